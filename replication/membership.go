package replication

import (
	"cmp"
	"fmt"
	"math"
	"slices"

	"go.etcd.io/raft/v3"
	"go.etcd.io/raft/v3/raftpb"
	"go.etcd.io/raft/v3/tracker"
	"google.golang.org/protobuf/proto"

	"github.com/weir/weir/log"
)

// How the replicas of a group change while it works. Every node of the group is told which replicas are wanted, and who leads takes
// one step after the other towards them (see plan). Whoever leads next goes on.
//
// A node uses the members that the applied part of its log made. After a crash it must not come back with members that are two
// changes old, since then two majorities might have no node in common. A change is proposed only when the one before is
// committed, so the last change in a log says that those before it are, and they are applied again (see resume). The members
// themselves are journalled after they changed; until then the log keeps the change (see keep).
//
// A change carries the members before it, so that a replica that begins with an empty log needs to be told of none.

// hearsayTicks is how long the others may take to hear that a change is committed. Until then they cannot take leadership over.
const hearsayTicks = 2

// handoverRest is for how many ticks leadership is not handed over again, so that proposals pass meanwhile.
const handoverRest = 30

// membership is what a group's turn knows of its replicas.
type membership struct {
	now     Members // in force; its State is never changed, but replaced
	unsaved bool    // and not on its way to the journal
	saving  bool    // and on its way
	oldest  uint64  // the first change that is not in the journal, if there is one
	// fence is the last entry when now was applied. An entry after it that is committed was acknowledged by nodes that know now.
	fence uint64

	target []NodeID // wanted; nil: not known
	// observers are wanted as learners.
	observers []NodeID
	due       bool   // the target may not be reached, or that was not told
	look      bool   // something changed since the last look
	led       uint64 // the last term in which this node led
	goal      uint64 // what was committed at the last tick: a replica that has it is in sync
	rest      int    // ticks until leadership may be handed over again
	// change is the newest change of members that was appended, and its term.
	change, changeTerm uint64
}

// newMembership gives the members that a group begins with: the journal's, or the first ones.
func newMembership(j *Journal, key GroupID, voters []NodeID) membership {
	if m, ok := j.Members(key); ok {
		return membership{now: m}
	}
	first := &raftpb.ConfState{Voters: slices.Sorted(slices.Values(voters))}
	return membership{now: Members{State: first}, unsaved: len(first.Voters) > 0, oldest: math.MaxUint64}
}

// resume gives up to where a log is committed at least, and up to where it was applied to the members.
func (m *membership) resume(l Log, self NodeID, commit uint64) (committed, applied uint64) {
	next, changes := nextChange(l, m.now.Index)
	switch alone := lone(m.now.State, self); { // what a lone voter has on disk is committed
	case alone && changes:
		commit = max(commit, next.Index)
	case alone:
		commit = l.LastIndex()
	}
	for c, ok := next, changes; ok; {
		before := c.Index
		if c, ok = nextChange(l, c.Index); ok {
			commit = max(commit, before)
		}
	}
	commit = min(max(commit, l.FirstIndex()-1), l.LastIndex())
	applied = commit
	if changes {
		applied = min(applied, next.Index-1)
	}
	if m.fence = l.LastIndex(); applied < m.now.Index {
		m.fence = math.MaxUint64
	}
	return commit, applied
}

// nextChange finds the first change of members after an entry.
func nextChange(l Log, after uint64) (log.Entry, bool) {
	for {
		e, ok := l.NextOwn(after)
		if !ok || changesMembers(e.Kind) {
			return e, ok
		}
		after = e.Index
	}
}

func changesMembers(k log.Kind) bool { return k == kindConfChange || k == kindConfChangeV2 }

// lone tells whether a node is the only replica.
func lone(s *raftpb.ConfState, self NodeID) bool {
	return len(s.Voters) == 1 && s.Voters[0] == self && len(s.Learners)+len(s.VotersOutgoing) == 0
}

// Stranger tells whether this replica knows of no members: it waits for a leader that makes it one, and has nothing. It is for the group's
// turn.
func (g *Group) Stranger() bool {
	return len(g.members.now.State.GetVoters()) == 0 && g.log.LastIndex() == 0
}

// has tells whether a node is among the members.
func (m Members) has(id NodeID) bool {
	return slices.Contains(m.State.Voters, id) || slices.Contains(m.State.Learners, id) || slices.Contains(m.State.VotersOutgoing, id)
}

// SetReplicas tells which replicas the group is to have, the preferred leader first, and which observers, that have the log and do not
// vote. It may be called on any node of the group, at any time, and does not wait.
func (g *Group) SetReplicas(target, observers []NodeID) {
	target, observers = distinct(target), distinct(observers)
	g.put(func(in *inbox) {
		in.calls = append(in.calls, func() {
			m := &g.members
			if len(target) == 0 || slices.Equal(target, m.target) && slices.Equal(observers, m.observers) {
				return
			}
			m.target, m.observers, m.due = target, observers, true
			g.members.begin()
			g.enlist()
		})
	})
}

func distinct(ids []NodeID) (out []NodeID) {
	for _, id := range ids {
		if !slices.Contains(out, id) {
			out = append(out, id)
		}
	}
	return out
}

// begin forgets what was observed of followers before.
func (m *membership) begin() { m.look, m.goal, m.rest = true, math.MaxUint64, 0 }

// enlist sees that a group with other replicas, now or soon, gets messages and ticks.
func (g *Group) enlist() {
	m, self := &g.members, g.self
	g.live.order = g.voters()
	if lone(m.now.State, self) && (m.target == nil || slices.Equal(m.target, []NodeID{self}) && len(m.observers) == 0) {
		g.host.groups.CompareAndDelete(g.key, g)
		g.host.lull(g)
	} else {
		g.host.groups.Store(g.key, g)
		g.host.wake(g)
	}
}

// voters gives those who vote, in the order of the target.
func (g *Group) voters() []NodeID {
	m := &g.members
	out := distinct(slices.Concat(m.now.State.GetVoters(), m.now.State.GetVotersOutgoing()))
	place := func(id NodeID) int { return (slices.Index(m.target, id) + len(m.target) + 1) % (len(m.target) + 1) }
	slices.SortStableFunc(out, func(a, b NodeID) int { return cmp.Compare(place(a), place(b)) })
	return out
}

// moving tells whether this node has to do something for the replicas to become those that are wanted. It needs ticks for it.
func (g *Group) moving() bool { return g.members.due && g.announced.lead == g.self }

// reconcile takes the next step towards the replicas that are wanted, at the end of a turn. One change is under way at a time.
func (g *Group) reconcile(ticks int) {
	m := &g.members
	if m.target == nil || g.announced.lead != g.self {
		return
	}
	if m.led != g.announced.term {
		m.led, m.due = g.announced.term, true
		m.begin()
	}
	if !g.moving() || !m.look && ticks == 0 {
		return
	}
	status := g.rn.BasicStatus()
	if status.RaftState != raft.StateLeader || status.GetTerm() != g.announced.term || status.LeadTransferee != 0 || len(g.stalled) > 0 {
		return
	}
	m.look, m.rest = false, max(m.rest-ticks, 0)
	goal := m.goal
	if ticks > 0 {
		m.goal = status.GetCommit()
	}
	if m.changeTerm == g.announced.term && m.change > g.applied {
		return
	}
	g.take(plan(g.self, m.now.State, m.target, m.observers, g.synced(goal)))
	g.drain()
}

// take does a step.
func (g *Group) take(s step) {
	m := &g.members
	switch {
	case s.leave:
		g.change(nil)
	case len(s.changes) > 0:
		g.change(s.changes)
	case s.handTo != 0 && m.rest == 0:
		m.rest = handoverRest
		g.rn.TransferLeader(s.handTo)
	case s.reached && g.applied > m.fence:
		m.due = false
		if g.host.cfg.Reached != nil {
			g.host.cfg.Reached(g.id, slices.Clone(m.target))
		}
	case s.reached && g.lastIndex() <= m.fence: // nothing is being committed that would tell the others: an empty entry does
		_ = g.rn.Propose(nil) // raft refuses it only if it does not lead any more
	}
	m.look = m.look || s.reached && m.due
}

// change proposes a change of members; nil: to leave the joint members. That raft refuses it is no harm: it is tried again.
func (g *Group) change(changes []*raftpb.ConfChangeSingle) {
	cc := &raftpb.ConfChangeV2{Changes: changes}
	if changes != nil {
		before, err := proto.Marshal(g.members.now.State)
		if err != nil {
			panic(fmt.Sprintf("BUG: raft group %v has members that cannot be written: %v", g.id, err))
		}
		cc.Context = before
	}
	_ = g.rn.ProposeConfChange(cc)
}

// ReplicaStatus says which replicas a group has, as far as a node knows.
type ReplicaStatus struct {
	Voters, Learners []NodeID
	// Leaving are voters until the change that is under way is complete.
	Leaving []NodeID
	// Target is what SetReplicas asked for; nil: nothing.
	Target []NodeID
	// Reached tells whether the replicas are those of the target, on the leader.
	Reached bool
	// Followers are the others, on the leader.
	Followers []Follower
}

// Follower is what a leader knows of another replica.
type Follower struct {
	ID      NodeID
	Learner bool
	Active  bool   // it was heard of in this or the last election timeout
	Match   uint64 // the last entry that it is known to have
}

// Replicas gives the group's replicas. It takes a turn of the group.
func (g *Group) Replicas() (s ReplicaStatus) {
	_ = g.Do(func() error { // a closed group knows none
		m := &g.members
		s = ReplicaStatus{
			Voters: slices.Clone(m.now.State.Voters), Learners: slices.Clone(m.now.State.Learners),
			Leaving: slices.DeleteFunc(slices.Clone(m.now.State.VotersOutgoing), func(id NodeID) bool { return slices.Contains(m.now.State.Voters, id) }),
			Target:  slices.Clone(m.target),
		}
		if g.announced.lead != g.self {
			return nil
		}
		s.Reached = m.target != nil && !m.due
		g.rn.WithProgress(func(id uint64, t raft.ProgressType, p tracker.Progress) {
			if id != g.self {
				s.Followers = append(s.Followers, Follower{ID: id, Learner: t == raft.ProgressTypeLearner, Active: p.RecentActive, Match: p.Match})
			}
		})
		return nil
	})
	return s
}

// synced tells which replicas have all entries up to one and are there.
func (g *Group) synced(goal uint64) func(NodeID) bool {
	var ids []NodeID
	g.rn.WithProgress(func(id uint64, _ raft.ProgressType, p tracker.Progress) {
		if id == g.self || p.RecentActive && p.State == tracker.StateReplicate && p.Match >= goal {
			ids = append(ids, id)
		}
	})
	return func(id NodeID) bool { return slices.Contains(ids, id) }
}

// noteChanges notes changes of members among appended entries.
func (g *Group) noteChanges(entries []log.Entry) {
	for _, e := range entries {
		if changesMembers(e.Kind) {
			g.members.change, g.members.changeTerm = e.Index, e.Term
		}
	}
}

// applyChange takes a committed change of members into effect.
func (g *Group) applyChange(e *raftpb.Entry) error {
	m := &g.members
	if e.GetType() == raftpb.EntryNormal || e.GetIndex() < m.now.Index {
		return nil
	}
	if e.GetIndex() == m.now.Index { // it was in effect before, and is now known to be committed
		m.fence = g.log.LastIndex()
		return nil
	}
	cc, before, err := parseChange(e.GetType(), e.GetData())
	if err != nil {
		return err
	}
	if len(m.now.State.Voters) == 0 {
		g.begin(before)
	}
	state := g.rn.ApplyConfChange(cc)
	if !m.unsaved && !m.saving {
		m.oldest = math.MaxUint64
	}
	m.oldest = min(m.oldest, e.GetIndex())
	m.unsaved, m.fence = true, g.log.LastIndex()
	g.become(Members{Index: e.GetIndex(), State: state})
	return nil
}

// begin takes the members before the first change that a new replica applies into effect. They are not joint.
func (g *Group) begin(before *raftpb.ConfState) {
	add := func(ids []NodeID, kind raftpb.ConfChangeType) {
		for _, id := range ids {
			g.rn.ApplyConfChange(&raftpb.ConfChange{Type: kind.Enum(), NodeId: new(id)})
		}
	}
	add(before.GetVoters(), raftpb.ConfChangeAddNode)
	add(before.GetLearners(), raftpb.ConfChangeAddLearnerNode)
}

// become notes the members that raft now goes by, and tells those who are none any more.
func (g *Group) become(now Members) {
	m, self := &g.members, g.self
	before := m.now
	m.now, m.look, m.rest = now, true, max(m.rest, hearsayTicks)
	g.enlist()
	if before.has(self) && !now.has(self) && g.host.cfg.Removed != nil && g.headers == nil {
		g.host.cfg.Removed(g.id)
	}
	status := g.rn.BasicStatus()
	if status.RaftState != raft.StateLeader { // also if who was told that this node leads was not yet told that it does not
		return
	}
	for _, id := range slices.Concat(before.State.Voters, before.State.VotersOutgoing, before.State.Learners) {
		if id != self && !now.has(id) {
			g.dismiss(id, status.GetTerm())
		}
	}
}

// dismiss tells a node that its removal is committed: raft, which leads here, does not send it anything any more.
func (g *Group) dismiss(id NodeID, term uint64) {
	index := g.members.now.Index
	of, err := g.log.Term(index)
	if err != nil {
		panic(fmt.Sprintf("BUG: raft group %v has no term of the entry %d that it applies: %v", g.id, index, err))
	}
	g.post(&raftpb.Message{
		Type: raftpb.MsgApp.Enum(), From: new(g.self), To: new(id), Term: new(term),
		Index: new(index), LogTerm: new(of), Commit: new(index),
	})
}

// parseChange reads a change of members and what they were before it; empty, if it does not say.
func parseChange(t raftpb.EntryType, b []byte) (raftpb.ConfChangeI, *raftpb.ConfState, error) {
	before := &raftpb.ConfState{}
	if t == raftpb.EntryConfChange {
		cc := &raftpb.ConfChange{}
		return cc, before, unmarshal(b, cc)
	}
	cc := &raftpb.ConfChangeV2{}
	if err := unmarshal(b, cc); err != nil {
		return nil, nil, err
	}
	return cc, before, unmarshal(cc.GetContext(), before)
}

// save sees that the members come into the journal.
func (g *Group) save() {
	if g.members.unsaved {
		g.syncing++
		g.host.syncer.add(syncRequest{group: g, votes: true, hard: g.lastVotes, members: g.unsaved()}, g.lent)
	}
}

// unsaved gives the members to journal them, if that has not been done.
func (g *Group) unsaved() *Members {
	m := &g.members
	if !m.unsaved {
		return nil
	}
	m.unsaved, m.saving = false, true
	now := m.now
	return &now
}

// saved lets the log drop changes of members that are in the journal.
func (g *Group) saved() {
	m := &g.members
	if !m.saving || m.unsaved {
		return
	}
	if there, ok := g.host.journal.Members(g.key); ok && there.Index >= m.now.Index {
		m.saving = false
		g.keep()
	}
}

// keep makes the log keep what is not applied, since its first entry counts as committed, and changes of members that are not in the
// journal.
func (g *Group) keep() {
	from := g.applied + 1
	if m := &g.members; m.unsaved || m.saving {
		from = min(from, m.oldest)
	}
	g.log.Keep(from)
}

// mayVote tells whether this node may have a say in who leads. A new replica has none until its log names it.
func (g *Group) mayVote() bool {
	self := g.self
	if g.members.now.has(self) {
		return true
	}
	for e, ok := nextChange(g.log, 0); ok; e, ok = nextChange(g.log, e.Index) {
		cc, before, err := parseChange(toRaft(e).GetType(), e.Data)
		if err != nil {
			panic(fmt.Sprintf("BUG: raft group %v holds an unreadable change of members at %d: %v", g.id, e.Index, err))
		}
		named := func(c *raftpb.ConfChangeSingle) bool { return c.GetNodeId() == self }
		if (Members{State: before}).has(self) || slices.ContainsFunc(cc.AsV2().Changes, named) {
			return true
		}
	}
	return false
}
