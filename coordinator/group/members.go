package group

import (
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// heartbeat handles Heartbeat 0–4.
func (t *turn) heartbeat(req *kmsg.HeartbeatRequest) *kmsg.HeartbeatResponse {
	resp := req.ResponseKind().(*kmsg.HeartbeatResponse)
	resp.ErrorCode = code(t.beat(t.groups[req.Group], req))
	return resp
}

func (t *turn) beat(g *group, req *kmsg.HeartbeatRequest) *kerr.Error {
	switch {
	case req.Group == "":
		return kerr.InvalidGroupID
	case g == nil:
		return kerr.UnknownMemberID
	}
	m, err := g.member(req.MemberID, req.InstanceID)
	switch {
	case err != nil:
		return err
	case req.Generation != g.generation:
		return kerr.IllegalGeneration
	}
	t.touch(g, m)
	if g.state == PreparingRebalance {
		return kerr.RebalanceInProgress
	}
	return nil
}

// leave handles LeaveGroup 0–5.
func (t *turn) leave(req *kmsg.LeaveGroupRequest) *kmsg.LeaveGroupResponse {
	resp := req.ResponseKind().(*kmsg.LeaveGroupResponse)
	g := t.groups[req.Group]
	if req.Group == "" {
		resp.ErrorCode = kerr.InvalidGroupID.Code
		return resp
	}
	if req.Version < 3 {
		one := kmsg.NewLeaveGroupRequestMember()
		one.MemberID = req.MemberID
		resp.ErrorCode = t.leaveAll(g, []kmsg.LeaveGroupRequestMember{one})[0].ErrorCode
		return resp
	}
	resp.Members = t.leaveAll(g, req.Members)
	return resp
}

// leaveAll removes all who leave before a rebalance is begun, or ended, without them.
func (t *turn) leaveAll(g *group, leavers []kmsg.LeaveGroupRequestMember) []kmsg.LeaveGroupResponseMember {
	out := make([]kmsg.LeaveGroupResponseMember, 0, len(leavers))
	left := false // some member, not only ids that were never used
	for _, l := range leavers {
		answer := kmsg.NewLeaveGroupResponseMember()
		answer.MemberID, answer.InstanceID = l.MemberID, l.InstanceID
		m, err := g.leaver(l)
		switch {
		case err != nil:
			answer.ErrorCode = err.Code
		case m == nil:
			delete(g.pending, l.MemberID)
		default:
			t.removeMember(g, m)
			left = true
		}
		out = append(out, answer)
	}
	switch {
	case left:
		t.membersGone(g)
	case g != nil:
		t.tryComplete(g)
	}
	return out
}

// leaver finds who leaves: a member, or nil for an id that was given out and not used yet. The group may be nil.
func (g *group) leaver(l kmsg.LeaveGroupRequestMember) (*member, *kerr.Error) {
	if g == nil {
		return nil, kerr.UnknownMemberID
	}
	id := l.MemberID
	if _, pending := g.pending[id]; pending {
		return nil, nil
	}
	if l.InstanceID != nil && id == "" { // an administrator removes an instance without knowing its member id
		id = g.static[*l.InstanceID]
	}
	return g.member(id, l.InstanceID)
}

// removeMember removes a member and answers it if it waits.
func (t *turn) removeMember(g *group, m *member) {
	join, joinReq := m.joinID, m.joinReq
	g.remove(m)
	if join != 0 {
		t.refuseJoin(join, joinReq, "", kerr.UnknownMemberID)
	}
	t.endSync(m, kerr.UnknownMemberID)
}

// expireMembers drops members, and ids that were given out, whose time is over.
func (t *turn) expireMembers(g *group) {
	for id, until := range g.pending {
		if !t.now.Before(until) {
			delete(g.pending, id)
		}
	}
	gone := false
	for _, m := range g.each() {
		if !m.excused() && !t.now.Before(m.deadline) {
			t.removeMember(g, m)
			gone = true
		}
	}
	if gone {
		t.membersGone(g)
	} else {
		t.tryComplete(g)
	}
}

// dropUnsynced begins a new rebalance without those that did not come for the assignment.
func (t *turn) dropUnsynced(g *group) {
	g.syncBy = time.Time{}
	dropped := false
	for _, m := range g.each() {
		if !m.synced {
			t.removeMember(g, m)
			dropped = true
		}
	}
	if dropped {
		t.membersGone(g)
	}
}
