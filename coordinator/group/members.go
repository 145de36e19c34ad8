package group

import (
	"slices"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// sync handles SyncGroup 0–5: the leader brings the assignment, the others wait for it.
func (t *turn) sync(id uint64, req *kmsg.SyncGroupRequest) {
	g := t.groups[req.Group]
	var m *member
	var err *kerr.Error
	switch {
	case req.Group == "":
		err = kerr.InvalidGroupID
	case g == nil:
		err = kerr.UnknownMemberID
	default:
		m, err = g.member(req.MemberID, req.InstanceID)
	}
	if err == nil {
		err = g.checkSync(req)
	}
	if err != nil {
		t.refuseSync(id, req, err)
		return
	}
	t.touch(m)
	if g.state == Stable {
		t.reply(id, g.assigned(m, req))
		return
	}
	if m.syncID != 0 {
		t.refuseSync(m.syncID, m.syncReq, kerr.RebalanceInProgress)
	}
	m.syncID, m.syncReq, m.synced = id, req, true
	if g.leader == m.id {
		t.assign(g, req)
	}
}

func (g *group) checkSync(req *kmsg.SyncGroupRequest) *kerr.Error {
	switch {
	case req.Generation != g.generation:
		return kerr.IllegalGeneration
	case req.ProtocolType != nil && *req.ProtocolType != g.protocolType, req.Protocol != nil && *req.Protocol != g.protocol:
		return kerr.InconsistentGroupProtocol
	case g.state == Empty:
		return kerr.UnknownMemberID
	case g.state == PreparingRebalance:
		return kerr.RebalanceInProgress
	}
	return nil
}

// assign takes the leader's assignment over, records it, and gives everyone who waits theirs.
func (t *turn) assign(g *group, req *kmsg.SyncGroupRequest) {
	for _, m := range g.members {
		m.assignment = nil
	}
	for _, a := range req.GroupAssignment {
		if m := g.members[a.MemberID]; m != nil {
			m.assignment = slices.Clone(a.MemberAssignment)
		}
	}
	g.become(Stable, t.now)
	t.record(g)
	for _, m := range g.each() {
		if m.syncID != 0 {
			t.touch(m)
			t.reply(m.syncID, g.assigned(m, m.syncReq))
			m.syncID, m.syncReq = 0, nil
		}
	}
}

func (g *group) assigned(m *member, req *kmsg.SyncGroupRequest) *kmsg.SyncGroupResponse {
	resp := req.ResponseKind().(*kmsg.SyncGroupResponse)
	resp.ProtocolType, resp.Protocol = &g.protocolType, &g.protocol
	resp.MemberAssignment = slices.Clone(m.assignment)
	if resp.MemberAssignment == nil {
		resp.MemberAssignment = []byte{}
	}
	return resp
}

func (t *turn) refuseSync(id uint64, req *kmsg.SyncGroupRequest, err *kerr.Error) {
	resp := req.ResponseKind().(*kmsg.SyncGroupResponse)
	resp.ErrorCode, resp.MemberAssignment = err.Code, []byte{}
	t.reply(id, resp)
}

// heartbeat handles Heartbeat 0–4.
func (t *turn) heartbeat(req *kmsg.HeartbeatRequest) *kmsg.HeartbeatResponse {
	resp := req.ResponseKind().(*kmsg.HeartbeatResponse)
	g := t.groups[req.Group]
	if req.Group == "" {
		resp.ErrorCode = kerr.InvalidGroupID.Code
		return resp
	}
	if g == nil {
		resp.ErrorCode = kerr.UnknownMemberID.Code
		return resp
	}
	m, err := g.member(req.MemberID, req.InstanceID)
	switch {
	case err != nil:
	case req.Generation != g.generation:
		err = kerr.IllegalGeneration
	case g.state == Empty:
		err = kerr.UnknownMemberID
	default:
		t.touch(m)
		if g.state == PreparingRebalance {
			err = kerr.RebalanceInProgress
		}
	}
	resp.ErrorCode = code(err)
	return resp
}

// leave handles LeaveGroup 0–5.
func (t *turn) leave(req *kmsg.LeaveGroupRequest) *kmsg.LeaveGroupResponse {
	resp := req.ResponseKind().(*kmsg.LeaveGroupResponse)
	g := t.groups[req.Group]
	if req.Group == "" {
		resp.ErrorCode = kerr.InvalidGroupID.Code
		return resp
	}
	leavers := req.Members
	if req.Version < 3 {
		one := kmsg.NewLeaveGroupRequestMember()
		one.MemberID = req.MemberID
		leavers = []kmsg.LeaveGroupRequestMember{one}
	}
	for _, l := range leavers {
		out := kmsg.NewLeaveGroupResponseMember()
		out.MemberID, out.InstanceID = l.MemberID, l.InstanceID
		out.ErrorCode = code(t.leaveOne(g, l))
		if req.Version < 3 {
			resp.ErrorCode = out.ErrorCode
			return resp
		}
		resp.Members = append(resp.Members, out)
	}
	return resp
}

func (t *turn) leaveOne(g *group, l kmsg.LeaveGroupRequestMember) *kerr.Error {
	if g == nil {
		return kerr.UnknownMemberID
	}
	if _, pending := g.pending[l.MemberID]; pending {
		delete(g.pending, l.MemberID)
		t.tryComplete(g)
		return nil
	}
	id := l.MemberID
	if l.InstanceID != nil && id == "" { // an administrator removes an instance without knowing its member id
		id = g.static[*l.InstanceID]
	}
	m, err := g.member(id, l.InstanceID)
	if err != nil {
		return err
	}
	t.dropMember(g, m)
	return nil
}

// dropMember removes a member and sees to what follows from it.
func (t *turn) dropMember(g *group, m *member) {
	if m.joinID != 0 {
		t.refuseJoin(m.joinID, m.joinReq, "", kerr.UnknownMemberID)
	}
	if m.syncID != 0 {
		t.refuseSync(m.syncID, m.syncReq, kerr.UnknownMemberID)
	}
	g.remove(m)
	switch g.state {
	case Stable, CompletingRebalance:
		t.prepare(g)
	}
	t.tryComplete(g)
}

// expireMembers drops members, and ids that were given out, whose time is over.
func (t *turn) expireMembers(g *group) {
	for id, d := range g.pending {
		if !t.now.Before(d) {
			delete(g.pending, id)
		}
	}
	for _, m := range g.each() {
		if !m.waits() && !t.now.Before(m.deadline) && g.state != Empty {
			t.dropMember(g, m)
		}
	}
	t.tryComplete(g)
}

// dropUnsynced begins a new rebalance without those that came for no assignment.
func (t *turn) dropUnsynced(g *group) {
	for _, m := range g.each() {
		if !m.synced {
			g.remove(m)
		}
	}
	t.prepare(g)
	t.tryComplete(g)
}
