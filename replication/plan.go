package replication

import (
	"slices"

	"go.etcd.io/raft/v3/raftpb"
)

// step is what the leader does next to bring a group's members to those that are wanted. At most one of its fields is set;
// none: it waits.
type step struct {
	changes []*raftpb.ConfChangeSingle
	leave   bool   // the joint members
	handTo  NodeID // hands leadership over
	reached bool
}

func (s *step) add(kind raftpb.ConfChangeType, id NodeID) {
	s.changes = append(s.changes, &raftpb.ConfChangeSingle{Type: kind.Enum(), NodeId: new(id)})
}

// plan finds the next step:
//
//  1. Wanted nodes that are no replicas become learners, and learners that are not wanted go. Observers stay learners.
//  2. When all learners are in sync, witnesses aside, which have nothing to catch up with and may not be there, and with them a majority
//     of what is wanted, a leader that is not wanted hands over to a wanted voter, but to no witness.
//  3. The learners become voters and the voters that are not wanted go, in one joint change. A leader that is not wanted, and
//     found nobody to hand over to, stays until the next round.
func plan(self NodeID, now *raftpb.ConfState, target, observers []NodeID, synced func(NodeID) bool) (s step) {
	if len(now.VotersOutgoing) > 0 {
		return step{leave: true}
	}
	wanted := func(id NodeID) bool { return slices.Contains(target, id) }
	voter := func(id NodeID) bool { return slices.Contains(now.Voters, id) }
	replica := func(id NodeID) bool { return voter(id) && !IsWitness(id) }
	learner := func(id NodeID) bool { return slices.Contains(now.Learners, id) }
	observes := func(id NodeID) bool { return slices.Contains(observers, id) && !wanted(id) }
	for _, id := range slices.Concat(target, observers) {
		if !voter(id) && !learner(id) {
			s.add(raftpb.ConfChangeAddLearnerNode, id)
		}
	}
	for _, id := range now.Learners {
		if !wanted(id) && !observes(id) {
			s.add(raftpb.ConfChangeRemoveNode, id)
		}
	}
	if len(s.changes) > 0 {
		return s
	}
	there, waits := 0, false
	for _, id := range target {
		if synced(id) {
			there++
		} else {
			waits = waits || learner(id) && !IsWitness(id)
		}
	}
	if !slices.ContainsFunc(target, learner) && !slices.ContainsFunc(now.Voters, func(id NodeID) bool { return !wanted(id) }) {
		return step{reached: true}
	}
	if waits || there <= len(target)/2 {
		return step{}
	}
	if !wanted(self) && slices.ContainsFunc(target, replica) {
		for _, id := range target {
			if replica(id) && synced(id) {
				return step{handTo: id}
			}
		}
		return step{}
	}
	for _, id := range target {
		if learner(id) {
			s.add(raftpb.ConfChangeAddNode, id)
		}
	}
	for _, id := range now.Voters {
		switch {
		case wanted(id) || id == self:
		case observes(id):
			s.add(raftpb.ConfChangeAddLearnerNode, id)
		default:
			s.add(raftpb.ConfChangeRemoveNode, id)
		}
	}
	return s
}
