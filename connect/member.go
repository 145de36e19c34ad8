package connect

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"strings"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/weir/weir/connect/herder"
)

// member is the worker's place in the group. It is kept over a restart of the worker (KIP-345), so that the others need not wait for the
// worker that was to be lost first.
type member struct {
	w        *Worker
	client   *kgo.Client
	instance string
	id       string
	balancer *herder.Balancer // of the leader
	all      herder.Work      // of the leader: what it has divided
	last     herder.Assignment
	seen     time.Time // when the coordinator was heard of last
}

func newMember(w *Worker, client *kgo.Client) *member {
	m := &member{w: w, client: client, instance: w.cfg.Instance}
	if m.instance == "" {
		m.instance = w.id
	}
	return m
}

// divided tells whether what is to be run is what was divided among the workers. Under mu.
func (w *Worker) divided() bool { return maps.Equal(w.configs.Work(), w.dividedWork) }

// run takes part until the worker stops.
func (m *member) run() {
	w := m.w
	for delay := retryFirst; w.ctx.Err() == nil; {
		begun := time.Now()
		err := m.generation()
		if w.ctx.Err() != nil {
			break
		}
		if err == nil {
			delay = retryFirst
			continue
		}
		w.logger.Warn("this worker is not in the group at the moment; it is tried on", "group", w.settings.group, "error", err)
		if time.Since(m.seen) > w.settings.session {
			m.lose()
		}
		if time.Since(begun) > retryMost {
			delay = retryFirst
		}
		select {
		case <-time.After(delay):
		case <-w.ctx.Done():
		}
		delay = min(2*delay, retryMost)
	}
	m.leave()
}

// generation joins, does what it is told, and stays until the group divides the work anew.
func (m *member) generation() error {
	w := m.w
	select {
	case <-w.rejoin:
	default:
	}
	sync, cancel := context.WithTimeout(w.ctx, openTime)
	err := w.store.sync(sync)
	cancel()
	if err != nil {
		return err
	}
	begins := m.id == ""
	joined, err := m.join()
	if err != nil {
		return m.excluded(err)
	}
	assignment, err := m.share(joined)
	if err != nil {
		return m.excluded(err)
	}
	m.seen = time.Now()
	if begins || assignment.Mismatch {
		// A member that takes the place of its former self is given what that one was assigned last, without a rebalance; and that is only
		// what has changed for it then. So the first round counts for nothing, and the second, in which it tells that it has nothing, does.
		return nil
	}
	if revoked := m.enact(joined, assignment); revoked {
		return nil // join again at once: somebody waits for what this worker has let go of
	}
	return m.excluded(m.stay(joined.Generation, assignment.DelayMs))
}

// excluded acts on the group's refusal of this member.
func (m *member) excluded(err error) error {
	switch {
	case errors.Is(err, kerr.RebalanceInProgress):
		return nil
	case errors.Is(err, kerr.MemberIDRequired):
		return nil
	case errors.Is(err, kerr.UnknownMemberID), errors.Is(err, kerr.IllegalGeneration):
		m.lose()
		m.id = ""
		return nil
	case errors.Is(err, kerr.FencedInstanceID):
		m.lose()
		m.id = ""
		return fmt.Errorf("another worker of the group is at %s as well, and has taken this one's place: give each an address of its own with listeners or rest.advertised.host.name", m.instance)
	}
	return err
}

// lose stops all work: others may have it soon.
func (m *member) lose() {
	w := m.w
	w.mu.Lock()
	had := len(w.owned)
	w.leads, w.leader, m.balancer = false, "", nil
	w.change()
	w.mu.Unlock()
	if had > 0 {
		w.logger.Warn("this worker was away from its group for too long: its tasks stop, and go on when it is back", "group", w.settings.group)
	}
	w.release(nil)
	m.last = herder.Assignment{}
}

func (m *member) join() (*kmsg.JoinGroupResponse, error) {
	w := m.w
	w.mu.Lock()
	// What the first round tells differs from what the second does, or the coordinator would see no reason for a rebalance in that.
	meta := herder.Metadata{URL: w.url, Offset: w.configs.Next, Has: m.id != "", Owns: m.last}
	meta.Owns.Add, meta.Owns.Revoke, meta.Owns.DelayMs = maps.Clone(w.owned), herder.Work{}, 0
	w.mu.Unlock()
	req := kmsg.NewPtrJoinGroupRequest()
	req.Group, req.MemberID, req.InstanceID, req.ProtocolType = w.settings.group, m.id, &m.instance, herder.ProtocolType
	req.SessionTimeoutMillis, req.RebalanceTimeoutMillis = int32(w.settings.session.Milliseconds()), int32(w.settings.rebalance.Milliseconds())
	for _, protocol := range []string{herder.Sessioned, herder.Compatible} {
		p := kmsg.NewJoinGroupRequestProtocol()
		p.Name, p.Metadata = protocol, meta.Encode(protocol)
		req.Protocols = append(req.Protocols, p)
	}
	ctx, cancel := context.WithTimeout(w.ctx, w.settings.rebalance+w.settings.session)
	defer cancel()
	resp, err := req.RequestWith(ctx, m.client)
	if err != nil {
		return nil, err
	}
	if resp.MemberID != "" {
		m.id = resp.MemberID
	}
	return resp, kerr.ErrorForCode(resp.ErrorCode)
}

// share gets this worker's part of the work; the leader divides it first.
func (m *member) share(joined *kmsg.JoinGroupResponse) (herder.Assignment, error) {
	w := m.w
	req := kmsg.NewPtrSyncGroupRequest()
	req.Group, req.Generation, req.MemberID, req.InstanceID = w.settings.group, joined.Generation, m.id, &m.instance
	protocolType := herder.ProtocolType
	req.ProtocolType, req.Protocol = &protocolType, joined.Protocol
	if joined.LeaderID == m.id && !joined.SkipAssignment {
		var err error
		if req.GroupAssignment, err = m.divide(joined); err != nil {
			return herder.Assignment{}, err
		}
	} else if joined.LeaderID != m.id {
		m.balancer, m.all = nil, nil
	}
	ctx, cancel := context.WithTimeout(w.ctx, w.settings.rebalance+w.settings.session)
	defer cancel()
	resp, err := req.RequestWith(ctx, m.client)
	if err == nil {
		err = kerr.ErrorForCode(resp.ErrorCode)
	}
	if err != nil {
		return herder.Assignment{}, err
	}
	a, err := herder.DecodeAssignment(resp.MemberAssignment)
	if err != nil {
		return a, fmt.Errorf("what the group's leader assigns cannot be read: %w", err)
	}
	return a, nil
}

// divide divides the work among the members.
func (m *member) divide(joined *kmsg.JoinGroupResponse) ([]kmsg.SyncGroupRequestGroupAssignment, error) {
	w := m.w
	if m.balancer == nil {
		m.balancer = &herder.Balancer{Delay: w.settings.delay}
	}
	protocol := herder.Compatible
	if joined.Protocol != nil {
		protocol = *joined.Protocol
	}
	// No member may have read further than the leader, or the leader would take away what it does not know of.
	ctx, cancel := context.WithTimeout(w.ctx, openTime)
	defer cancel()
	if err := w.store.sync(ctx); err != nil {
		return nil, err
	}
	members := make([]herder.Member, len(joined.Members))
	for i, j := range joined.Members {
		meta, err := herder.DecodeMetadata(j.ProtocolMetadata)
		if err != nil {
			return nil, fmt.Errorf("what the member %s tells about itself cannot be read: %w", j.MemberID, err)
		}
		members[i] = herder.Member{ID: j.MemberID, URL: meta.URL, Owns: meta.Owns.Add}
	}
	w.mu.Lock()
	all, next := w.configs.Work(), w.configs.Next
	w.mu.Unlock()
	m.all = all
	shares, wait := m.balancer.Assign(time.Now(), members, all)
	owners := map[herder.ID]string{}
	var out []kmsg.SyncGroupRequestGroupAssignment
	for _, member := range members {
		share := shares[member.ID]
		a := herder.Assignment{Leader: m.id, LeaderURL: w.url, Offset: next, Add: share.Add, Revoke: share.Revoke, DelayMs: int32(wait.Milliseconds())}
		g := kmsg.NewSyncGroupRequestGroupAssignment()
		g.MemberID, g.MemberAssignment = member.ID, a.Encode(protocol)
		out = append(out, g)
		for id := range member.Owns.Without(share.Revoke) {
			owners[id] = member.URL
		}
		for id := range share.Add {
			owners[id] = member.URL
		}
	}
	w.mu.Lock()
	w.owners = owners
	w.mu.Unlock()
	if len(members) > 1 {
		w.running.Go(w.handOutKey)
	}
	return out, nil
}

// enact stops what is revoked and starts what is new, and tells whether anything was revoked.
func (m *member) enact(joined *kmsg.JoinGroupResponse, a herder.Assignment) (revoked bool) {
	w := m.w
	if len(a.Revoke) > 0 {
		w.logger.Info("this worker runs less", "work", fmt.Sprint(a.Revoke.Sorted()))
		w.release(a.Revoke)
	}
	reading, cancel := context.WithTimeout(w.ctx, openTime)
	_ = w.await(reading, func() bool { return w.configs.Next >= a.Offset }) // if it takes longer, it starts what it knows of
	cancel()
	w.mu.Lock()
	defer w.mu.Unlock()
	w.owned = w.owned.Without(a.Revoke)
	w.owned.Add(maps.Keys(a.Add))
	m.last = herder.Assignment{Leader: a.Leader, LeaderURL: a.LeaderURL, Offset: a.Offset}
	w.generation, w.leads, w.leader, w.ready = joined.Generation, joined.LeaderID == m.id, a.LeaderURL, true
	w.dividedWork = m.all
	if !w.leads && w.configs.Next == a.Offset {
		w.dividedWork = w.configs.Work()
	}
	select {
	case <-w.rejoin: // it was asked for what is done now
	default:
	}
	if !w.divided() {
		w.rejoin <- struct{}{}
	}
	if w.cfg.Forward == nil && strings.HasPrefix(a.LeaderURL, nodeURL) {
		w.logger.Error(w.inNodes().Error())
	}
	if len(a.Add) > 0 {
		w.logger.Info("this worker runs more", "work", fmt.Sprint(a.Add.Sorted()))
	}
	w.reconcile()
	w.change()
	return len(a.Revoke) > 0
}

// stay tells the coordinator that this member is here, until the work is to be divided anew. delay: then it is, at the latest.
func (m *member) stay(generation int32, delay int32) error {
	w := m.w
	tick := time.NewTicker(w.settings.heartbeat)
	defer tick.Stop()
	var late <-chan time.Time
	if delay > 0 {
		late = time.After(time.Duration(delay) * time.Millisecond)
	}
	for {
		select {
		case <-w.rejoin:
			return nil
		case <-late:
			return nil
		case <-tick.C:
		case <-w.ctx.Done():
			return nil
		}
		req := kmsg.NewPtrHeartbeatRequest()
		req.Group, req.Generation, req.MemberID, req.InstanceID = w.settings.group, generation, m.id, &m.instance
		ctx, cancel := context.WithTimeout(w.ctx, w.settings.heartbeat)
		resp, err := req.RequestWith(ctx, m.client)
		cancel()
		if err == nil {
			err = kerr.ErrorForCode(resp.ErrorCode)
		}
		switch {
		case err == nil:
			m.seen = time.Now()
		case kerr.IsRetriable(err) && !errors.Is(err, kerr.RebalanceInProgress), !isCode(err):
			if time.Since(m.seen) > w.settings.session {
				return err
			}
		default:
			return err
		}
	}
}

// isCode tells whether a broker has answered with an error.
func isCode(err error) bool {
	var code *kerr.Error
	return errors.As(err, &code)
}

// leaveTime bounds how long leaving the group may take.
const leaveTime = time.Second

// leave leaves the group, so that it knows at once.
func (m *member) leave() {
	req := kmsg.NewPtrLeaveGroupRequest()
	req.Group, req.MemberID = m.w.settings.group, m.id
	l := kmsg.NewLeaveGroupRequestMember()
	l.MemberID, l.InstanceID = m.id, &m.instance
	req.Members = append(req.Members, l)
	ctx, cancel := context.WithTimeout(context.Background(), leaveTime)
	defer cancel()
	_, _ = req.RequestWith(ctx, m.client) // if it fails, the group finds out
}
