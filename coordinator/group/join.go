package group

import (
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// join handles JoinGroup 0–9.
func (t *turn) join(id uint64, r Request, req *kmsg.JoinGroupRequest) {
	session := time.Duration(req.SessionTimeoutMillis) * time.Millisecond
	g := t.groups[req.Group]
	var err *kerr.Error
	switch {
	case req.Group == "":
		err = kerr.InvalidGroupID
	case session < t.cfg.MinSession || session > t.cfg.MaxSession:
		err = kerr.InvalidSessionTimeout
	case g == nil && req.MemberID != "":
		err = kerr.UnknownMemberID
	case g != nil && !g.accepts(req.ProtocolType, req.Protocols) || g == nil && (req.ProtocolType == "" || len(req.Protocols) == 0):
		err = kerr.InconsistentGroupProtocol
	}
	if err != nil {
		t.refuseJoin(id, req, req.MemberID, err)
		return
	}
	if g == nil {
		g = newGroup(req.Group)
		g.since = t.now
		t.groups[req.Group] = g
	}
	if req.MemberID == "" {
		t.joinNew(g, id, r, req)
	} else {
		t.joinKnown(g, id, r, req)
	}
}

func (t *turn) refuseJoin(id uint64, req *kmsg.JoinGroupRequest, memberID string, err *kerr.Error) {
	resp := req.ResponseKind().(*kmsg.JoinGroupResponse)
	resp.ErrorCode, resp.Generation, resp.MemberID = err.Code, -1, memberID
	if req.Version < 7 {
		resp.Protocol = kmsg.StringPtr("")
	}
	t.reply(id, resp)
}

func (t *turn) full(g *group) bool { return len(g.members)+len(g.pending) >= t.cfg.MaxSize }

// joinNew takes in a client without a member id.
func (t *turn) joinNew(g *group, id uint64, r Request, req *kmsg.JoinGroupRequest) {
	if req.InstanceID != nil {
		t.joinStatic(g, id, r, req)
		return
	}
	if t.full(g) {
		t.refuseJoin(id, req, "", kerr.GroupMaxSizeReached)
		return
	}
	memberID := t.cfg.NewMemberID(r.ClientID)
	if req.Version >= 4 { // it must come again with the id, so that lost answers leave no member behind (KIP-394)
		g.pending[memberID] = t.now.Add(time.Duration(req.SessionTimeoutMillis) * time.Millisecond)
		t.refuseJoin(id, req, memberID, kerr.MemberIDRequired)
		return
	}
	t.addMember(g, memberID, id, r, req)
}

// joinStatic takes in an instance: as a new member, or in the place of the one that it was before it restarted (KIP-345).
func (t *turn) joinStatic(g *group, id uint64, r Request, req *kmsg.JoinGroupRequest) {
	memberID := t.cfg.NewMemberID(*req.InstanceID)
	oldID, known := g.static[*req.InstanceID]
	if !known {
		if t.full(g) {
			t.refuseJoin(id, req, "", kerr.GroupMaxSizeReached)
			return
		}
		t.addMember(g, memberID, id, r, req)
		return
	}
	old := g.members[oldID]
	same := old.sameProtocols(req.Protocols)
	t.fence(old)
	wasLeader := g.leader == oldID
	for i := range g.order {
		if g.order[i] == oldID {
			g.order[i] = memberID
		}
	}
	delete(g.members, oldID)
	old.id = memberID
	g.members[memberID] = old
	g.static[*req.InstanceID] = memberID
	if wasLeader {
		g.leader = memberID
	}
	t.take(old, r, req)
	if g.state != Stable || !same {
		t.rejoin(g, old, id, req)
		return
	}
	// The assignment stands: it is given again, and recorded with the new member id.
	t.record(g)
	resp := t.joined(g, old, req)
	if wasLeader {
		if req.Version >= 9 {
			resp.SkipAssignment = true
			resp.Members = t.subscriptions(g)
		} else {
			// Older leaders would assign again: they are told of another leader.
			resp.LeaderID, resp.Members = oldID, nil
		}
	}
	t.reply(id, resp)
}

// fence tells whoever still waits under an old member id that another took its place.
func (t *turn) fence(m *member) {
	if m.joinID != 0 {
		t.refuseJoin(m.joinID, m.joinReq, m.id, kerr.FencedInstanceID)
	}
	if m.syncID != 0 {
		t.refuseSync(m.syncID, m.syncReq, kerr.FencedInstanceID)
	}
	m.joinID, m.syncID = 0, 0
}

// joinKnown handles a client that has a member id.
func (t *turn) joinKnown(g *group, id uint64, r Request, req *kmsg.JoinGroupRequest) {
	if _, pending := g.pending[req.MemberID]; pending && req.InstanceID == nil {
		t.addMember(g, req.MemberID, id, r, req)
		return
	}
	m, err := g.member(req.MemberID, req.InstanceID)
	if err != nil {
		t.refuseJoin(id, req, req.MemberID, err)
		return
	}
	same := m.sameProtocols(req.Protocols)
	switch {
	case g.state == CompletingRebalance && same:
		t.touch(m)
		t.reply(id, t.joined(g, m, req)) // the answer was lost; give it again
	case g.state == Stable && same && g.leader != m.id:
		t.touch(m)
		t.reply(id, t.joined(g, m, req))
	default:
		t.take(m, r, req)
		t.rejoin(g, m, id, req)
	}
}

// member finds who a request comes from.
func (g *group) member(id string, instance *string) (*member, *kerr.Error) {
	if instance != nil {
		known, ok := g.static[*instance]
		if !ok {
			return nil, kerr.UnknownMemberID
		}
		if known != id {
			return nil, kerr.FencedInstanceID
		}
	}
	m := g.members[id]
	if m == nil {
		return nil, kerr.UnknownMemberID
	}
	return m, nil
}

// touch notes that a member is alive.
func (t *turn) touch(m *member) { m.deadline = t.now.Add(m.session) }

func (t *turn) take(m *member, r Request, req *kmsg.JoinGroupRequest) {
	m.clientID, m.clientHost = r.ClientID, r.ClientHost
	m.session = time.Duration(req.SessionTimeoutMillis) * time.Millisecond
	m.rebalance = m.session // before version 1 they were one
	if req.Version >= 1 {
		m.rebalance = time.Duration(req.RebalanceTimeoutMillis) * time.Millisecond
	}
	m.protocols = req.Protocols
	t.touch(m)
}

func (t *turn) addMember(g *group, memberID string, id uint64, r Request, req *kmsg.JoinGroupRequest) {
	m := &member{id: memberID, instance: req.InstanceID, fresh: true}
	t.take(m, r, req)
	if len(g.members) == 0 {
		g.protocolType = req.ProtocolType
	}
	g.add(m)
	g.newcomers = true
	t.rejoin(g, m, id, req)
}

// rejoin makes a member wait for the next generation, and sees that there is one.
func (t *turn) rejoin(g *group, m *member, id uint64, req *kmsg.JoinGroupRequest) {
	if m.joinID != 0 { // it asked before: only the newest request is answered
		t.refuseJoin(m.joinID, m.joinReq, m.id, kerr.UnknownMemberID)
	}
	m.joinID, m.joinReq = id, req
	if g.state != PreparingRebalance {
		t.prepare(g)
	}
	t.tryComplete(g)
}

// prepare begins a rebalance.
func (t *turn) prepare(g *group) {
	if g.state == CompletingRebalance {
		t.cancelSync(g)
	}
	timeout := g.rebalanceTimeout()
	if g.state == Empty { // a new group waits a little for more members
		delay := min(t.cfg.InitialRebalanceDelay, timeout)
		g.more = timeout - delay
		g.rebalanceAt = t.now.Add(delay)
		g.newcomers = false
	} else {
		g.more = -1
		g.rebalanceAt = t.now.Add(timeout)
	}
	g.become(PreparingRebalance, t.now)
}

// first tells whether the rebalance is one that waits for newcomers.
func (g *group) first() bool { return g.more >= 0 }

// cancelSync sends those who wait for an assignment back to join.
func (t *turn) cancelSync(g *group) {
	for _, m := range g.each() {
		m.assignment, m.synced = nil, false
		if m.syncID != 0 {
			t.refuseSync(m.syncID, m.syncReq, kerr.RebalanceInProgress)
			m.syncID = 0
			t.touch(m)
		}
	}
}

// tryComplete ends a rebalance when all known members have joined.
func (t *turn) tryComplete(g *group) {
	if g.state != PreparingRebalance || g.first() && t.now.Before(g.rebalanceAt) || len(g.pending) > 0 && t.now.Before(g.rebalanceAt) {
		return
	}
	for _, m := range g.members {
		if m.joinID == 0 {
			return
		}
	}
	t.complete(g)
}

// rebalanceDue is called when the wait of a rebalance is over.
func (t *turn) rebalanceDue(g *group) {
	if g.first() && g.newcomers && g.more > 0 {
		delay := min(t.cfg.InitialRebalanceDelay, g.more)
		g.more -= delay
		g.newcomers = false
		g.rebalanceAt = t.now.Add(delay)
		return
	}
	t.complete(g)
}

// complete begins a generation with the members that joined. Dynamic members that did not are dropped; static ones stay,
// until their session is over.
func (t *turn) complete(g *group) {
	joined := false
	for _, m := range g.each() {
		if m.joinID == 0 && m.instance == nil {
			g.remove(m)
		}
		joined = joined || m.joinID != 0
	}
	if !joined && len(g.members) > 0 { // only static members, and none of them is here: wait for them, or their sessions' end
		g.more, g.rebalanceAt = -1, t.now.Add(g.rebalanceTimeout())
		return
	}
	g.generation++
	if g.generation < 0 {
		g.generation = 1
	}
	if len(g.members) == 0 {
		t.empty(g)
		return
	}
	if g.members[g.leader].joinID == 0 {
		for _, m := range g.each() {
			if m.joinID != 0 {
				g.leader = m.id
				break
			}
		}
	}
	g.protocol = g.vote()
	g.become(CompletingRebalance, t.now)
	g.syncBy = t.now.Add(g.rebalanceTimeout())
	for _, m := range g.each() {
		m.synced, m.fresh = m.joinID == 0, false
		if m.joinID == 0 {
			continue
		}
		t.touch(m)
		t.reply(m.joinID, t.joined(g, m, m.joinReq))
		m.joinID, m.joinReq = 0, nil
	}
}

// empty makes a group one without members, and records it.
func (t *turn) empty(g *group) {
	g.protocol, g.leader = "", ""
	g.become(Empty, t.now)
	t.record(g)
}

// joined answers a join with the present generation.
func (t *turn) joined(g *group, m *member, req *kmsg.JoinGroupRequest) *kmsg.JoinGroupResponse {
	resp := req.ResponseKind().(*kmsg.JoinGroupResponse)
	resp.Generation, resp.LeaderID, resp.MemberID = g.generation, g.leader, m.id
	resp.ProtocolType, resp.Protocol = &g.protocolType, &g.protocol
	if g.leader == m.id {
		resp.Members = t.subscriptions(g)
	}
	return resp
}

// subscriptions gives the leader what it needs to assign.
func (t *turn) subscriptions(g *group) []kmsg.JoinGroupResponseMember {
	var out []kmsg.JoinGroupResponseMember
	for _, m := range g.each() {
		e := kmsg.NewJoinGroupResponseMember()
		e.MemberID, e.InstanceID, e.ProtocolMetadata = m.id, m.instance, m.metadata(g.protocol)
		out = append(out, e)
	}
	return out
}
