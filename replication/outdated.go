package replication

import (
	"fmt"

	"go.etcd.io/raft/v3"
	"go.etcd.io/raft/v3/raftpb"
)

// When most replicas of a relaxed partition lose their power at once, those that are left may elect a leader that lacks what was
// committed. A replica that has it all, and comes later, must then give it up. Raft knows of no such thing: a follower takes what it
// believes to be committed for what the leader has, and says so. Therefore answers to appends say also which term the entry has, the
// leader compares it, and a follower whose committed entries are other ones begins again, as after a restart, with nothing that it
// knows to be committed.

// answerAppend sends a follower's answer to an append.
func (g *Group) answerAppend(m *raftpb.Message) {
	if g.forgotten.is {
		m.Context = hasForgotten
	}
	if (g.doubtful || g.headers != nil) && !m.GetReject() && m.GetTerm() == g.term {
		if term, err := g.log.Term(m.GetIndex()); err == nil {
			m.LogTerm = new(term)
		}
	}
	g.post(m)
}

// differs tells, on a leader, whether a follower has another entry than it says. The follower is shown what this leader has there.
func (g *Group) differs(m *raftpb.Message) bool {
	if m.GetLogTerm() == 0 || m.GetReject() || len(g.stalled) > 0 {
		return false
	}
	last := g.log.LastIndex()
	index := min(m.GetIndex(), last)
	term, err := g.log.Term(index)
	if err != nil || m.GetIndex() <= last && term == m.GetLogTerm() {
		return false
	}
	if now := g.rn.BasicStatus(); now.RaftState != raft.StateLeader || now.GetTerm() != m.GetTerm() {
		return false
	}
	g.send(&raftpb.Message{
		Type: raftpb.MsgApp.Enum(), From: new(g.self), To: m.From, Term: m.Term, Index: new(index), LogTerm: new(term), Commit: new(uint64(0)),
	})
	return true
}

// outdated tells whether an append shows that the leader has other entries than those that are committed here.
func (g *Group) outdated(m *raftpb.Message) bool {
	if m.GetTerm() < g.term {
		return false
	}
	differs := func(index, term uint64) bool {
		here, err := g.log.Term(index)
		return err == nil && here != term
	}
	at, last := m.GetIndex(), g.log.LastIndex()
	found := differs(at, m.GetLogTerm())
	for i := 0; !found && i < len(m.Entries) && at < last; i++ {
		at = m.Entries[i].GetIndex()
		found = differs(at, m.Entries[i].GetTerm())
	}
	return found && at <= g.rn.BasicStatus().GetCommit()
}

// beginAgain begins with nothing that is known to be committed.
func (g *Group) beginAgain() {
	g.host.cfg.Logger.Error("most replicas of a relaxed partition lost their power at once, and the others go on without records that were acknowledged: they are given up here, too",
		"partition", g.id.String(), "entry", g.applied)
	now := g.rn.BasicStatus()
	g.applied = g.log.FirstIndex() - 1
	g.storage.hard = HardState{Term: now.GetTerm(), Vote: now.GetVote(), Commit: g.applied}
	g.lastVotes = g.storage.hard
	if err := g.newNode(); err != nil {
		panic(fmt.Sprintf("BUG: raft group %v cannot begin again: %v", g.id, err))
	}
	g.lead = raft.None
	g.announce()
	g.replica.TakenBack()
	g.keep()
}
