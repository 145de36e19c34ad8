package group

import (
	"slices"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// sync handles SyncGroup 0–5: the leader brings the assignment, the others wait for it.
func (t *turn) sync(id uint64, req *kmsg.SyncGroupRequest) {
	g := t.groups[req.Group]
	m, err := g.checkSync(req)
	if err != nil {
		t.refuseSync(id, req, err)
		return
	}
	m.synced = true
	if g.state == Stable {
		t.reply(id, g.assigned(m, req))
		return
	}
	t.endSync(m, kerr.RebalanceInProgress) // it asked before: only the newest request is served
	m.syncID, m.syncReq = id, req
	if g.leader == m.id {
		t.assign(g, req)
	}
}

// checkSync finds who syncs. The group may be nil.
func (g *group) checkSync(req *kmsg.SyncGroupRequest) (*member, *kerr.Error) {
	switch {
	case req.Version >= 5 && (req.ProtocolType == nil || req.Protocol == nil):
		return nil, kerr.InconsistentGroupProtocol
	case req.Group == "":
		return nil, kerr.InvalidGroupID
	case g == nil:
		return nil, kerr.UnknownMemberID
	}
	m, err := g.member(req.MemberID, req.InstanceID)
	switch {
	case err != nil:
		return nil, err
	case req.Generation != g.generation:
		return nil, kerr.IllegalGeneration
	case req.ProtocolType != nil && *req.ProtocolType != g.protocolType, req.Protocol != nil && *req.Protocol != g.protocol:
		return nil, kerr.InconsistentGroupProtocol
	case g.state == PreparingRebalance:
		return nil, kerr.RebalanceInProgress
	}
	return m, nil
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
	if t.cfg.Rebalanced != nil {
		t.cfg.Rebalanced()
	}
	t.record(g)
	for _, m := range g.each() {
		if m.syncID != 0 {
			t.touch(g, m)
			t.reply(m.syncID, g.assigned(m, m.syncReq))
			m.syncID, m.syncReq = 0, nil
		}
	}
}

func (g *group) assigned(m *member, req *kmsg.SyncGroupRequest) *kmsg.SyncGroupResponse {
	resp := req.ResponseKind().(*kmsg.SyncGroupResponse)
	resp.ProtocolType, resp.Protocol = kmsg.StringPtr(g.protocolType), kmsg.StringPtr(g.protocol)
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

// endSync refuses the sync of a member that waits for its assignment, if it does.
func (t *turn) endSync(m *member, err *kerr.Error) {
	if m.syncID != 0 {
		t.refuseSync(m.syncID, m.syncReq, err)
		m.syncID, m.syncReq = 0, nil
	}
}
