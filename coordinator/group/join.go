package group

import (
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// newMemberWait is how long a client that has never been in a generation may wait for one. It has no heartbeat yet, and one
// that is gone must not hold a place for ever.
const newMemberWait = 5 * time.Minute

// join handles JoinGroup 0–9.
func (t *turn) join(id uint64, r Request, req *kmsg.JoinGroupRequest) {
	session := time.Duration(req.SessionTimeoutMillis) * time.Millisecond
	req.Protocols = distinct(req.Protocols)
	g, known := t.groups[req.Group]
	if !known {
		g = newGroup(req.Group)
		g.since = t.now
	}
	switch {
	case req.Group == "":
		t.refuseJoin(id, req, req.MemberID, kerr.InvalidGroupID)
	case session < t.cfg.MinSession || session > t.cfg.MaxSession:
		t.refuseJoin(id, req, req.MemberID, kerr.InvalidSessionTimeout)
	case !known && req.MemberID != "":
		t.refuseJoin(id, req, req.MemberID, kerr.UnknownMemberID)
	case !t.admits(g, req.MemberID):
		t.turnAway(g, req.MemberID)
		t.refuseJoin(id, req, "", kerr.GroupMaxSizeReached)
	case !g.accepts(req.ProtocolType, req.Protocols):
		t.refuseJoin(id, req, req.MemberID, kerr.InconsistentGroupProtocol)
	case req.MemberID != "":
		t.joinKnown(g, id, r, req)
	default:
		if !known {
			t.groups[req.Group] = g
			t.record(g)
		}
		t.joinNew(g, id, r, req)
	}
}

// distinct drops protocols whose name came before.
func distinct(protocols []kmsg.JoinGroupRequestProtocol) []kmsg.JoinGroupRequestProtocol {
	seen := make(map[string]bool, len(protocols))
	out := protocols[:0]
	for _, p := range protocols {
		if !seen[p.Name] {
			seen[p.Name] = true
			out = append(out, p)
		}
	}
	return out
}

// admits tells whether there is room for who joins. During a rebalance those that have joined count, not those of before: a
// group that is over its limit shrinks by letting in the first that come.
func (t *turn) admits(g *group, memberID string) bool {
	m := g.members[memberID]
	switch g.state {
	case Empty:
		return true
	case PreparingRebalance:
		return m != nil && m.joinID != 0 || g.joining < t.cfg.MaxSize
	default:
		return m != nil || len(g.members) < t.cfg.MaxSize
	}
}

// turnAway drops what is known of someone there is no room for.
func (t *turn) turnAway(g *group, memberID string) {
	delete(g.pending, memberID)
	if m := g.members[memberID]; m != nil {
		g.remove(m)
	}
	t.tryComplete(g)
}

func (t *turn) refuseJoin(id uint64, req *kmsg.JoinGroupRequest, memberID string, err *kerr.Error) {
	resp := req.ResponseKind().(*kmsg.JoinGroupResponse)
	resp.ErrorCode, resp.Generation, resp.MemberID = err.Code, -1, memberID
	if req.Version < 7 {
		resp.Protocol = kmsg.StringPtr("")
	}
	t.reply(id, resp)
}

// joinNew takes in a client without a member id.
func (t *turn) joinNew(g *group, id uint64, r Request, req *kmsg.JoinGroupRequest) {
	if req.InstanceID != nil {
		t.joinStatic(g, id, r, req)
		return
	}
	memberID := t.cfg.NewMemberID(r.ClientID)
	if req.Version >= 4 { // it must come again with the id, so that lost answers leave no member behind (KIP-394)
		until := t.now.Add(time.Duration(req.SessionTimeoutMillis) * time.Millisecond)
		g.pending[memberID] = until
		t.wake(g, until)
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
		t.addMember(g, memberID, id, r, req)
		return
	}
	m := g.members[oldID]
	t.fence(g, m)
	wasLeader := g.leader == oldID
	g.rename(m, memberID)
	g.update(m, req)
	m.fresh = false
	t.touch(g, m)
	if g.state != Stable || g.vote() != g.protocol {
		t.rejoin(g, m, id, req)
		return
	}
	// The assignment stands: it is given again, and recorded with the new member id.
	t.record(g)
	resp := t.joined(g, m, req)
	if wasLeader {
		if req.Version >= 9 {
			resp.SkipAssignment = true
		} else {
			// Older leaders would assign again: they are told of another leader.
			resp.LeaderID, resp.Members = oldID, nil
		}
	}
	t.reply(id, resp)
}

// fence tells whoever still waits under an old member id that another took its place.
func (t *turn) fence(g *group, m *member) {
	t.endJoin(g, m, kerr.FencedInstanceID, m.id)
	t.endSync(m, kerr.FencedInstanceID)
}

// endJoin refuses the join of a member that waits for its end, if it does.
func (t *turn) endJoin(g *group, m *member, err *kerr.Error, memberID string) {
	if m.joinID != 0 {
		t.refuseJoin(m.joinID, m.joinReq, memberID, err)
		m.joinID, m.joinReq = 0, nil
		g.joining--
	}
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
	switch same := m.sameProtocols(req.Protocols); {
	case g.state == CompletingRebalance && same:
		t.reply(id, t.joined(g, m, req)) // the answer was lost; give it again
	case g.state == Stable && same && g.leader != m.id:
		t.reply(id, t.joined(g, m, req))
	default:
		g.update(m, req)
		t.rejoin(g, m, id, req)
	}
}

// touch notes that a member is alive.
func (t *turn) touch(g *group, m *member) {
	m.deadline = t.now.Add(m.session)
	t.wake(g, m.deadline)
}

func (t *turn) addMember(g *group, memberID string, id uint64, r Request, req *kmsg.JoinGroupRequest) {
	m := &member{id: memberID, instance: req.InstanceID, clientID: r.ClientID, clientHost: "/" + r.ClientHost, fresh: true}
	m.describe(req)
	m.deadline = t.now.Add(newMemberWait)
	t.wake(g, m.deadline)
	if len(g.members) == 0 {
		g.protocolType = req.ProtocolType
	}
	g.add(m)
	g.newcomers = g.state == PreparingRebalance && g.first
	t.rejoin(g, m, id, req)
}

// rejoin makes a member wait for the next generation, and sees that there is one.
func (t *turn) rejoin(g *group, m *member, id uint64, req *kmsg.JoinGroupRequest) {
	t.endJoin(g, m, kerr.RebalanceInProgress, m.id) // it asked before: only the newest request is served
	m.joinID, m.joinReq = id, req
	g.joining++
	if g.state != PreparingRebalance {
		t.prepare(g)
	}
	t.tryComplete(g)
}

// joined answers a join with the present generation.
func (t *turn) joined(g *group, m *member, req *kmsg.JoinGroupRequest) *kmsg.JoinGroupResponse {
	resp := req.ResponseKind().(*kmsg.JoinGroupResponse)
	resp.Generation, resp.LeaderID, resp.MemberID = g.generation, g.leader, m.id
	resp.ProtocolType, resp.Protocol = kmsg.StringPtr(g.protocolType), kmsg.StringPtr(g.protocol)
	if g.leader == m.id { // what it needs to assign
		for _, other := range g.each() {
			e := kmsg.NewJoinGroupResponseMember()
			e.MemberID, e.InstanceID, e.ProtocolMetadata = other.id, other.instance, other.metadata(g.protocol)
			resp.Members = append(resp.Members, e)
		}
	}
	return resp
}
