package replication

import (
	"fmt"

	"go.etcd.io/raft/v3/raftpb"
)

// A disk may lose what was durable: entries that this replica acknowledged, so that others count on them. It is noticed when the log is
// opened (log.Forgotten), or by the leader's words. Such a replica neither asks for votes nor gives any, or those without the entries
// could choose a leader without them.
//
// What it lacks, a leader has. But who led when the entries were acknowledged never sends them again. So the replica goes on to the
// next term, which ends that leadership, and whoever is elected by the others asks it how far its log goes. Once it has an entry that
// was committed in a later term than those in which it acknowledged what it lacks, it has all that was committed before.
type forgotten struct {
	is   bool
	term uint64 // the last one in which it may have acknowledged what it lacks
}

// beginForgotten begins with a log that lacks entries. What was committed is not known any more.
func (g *Group) beginForgotten(hs HardState) HardState {
	g.forgotten = forgotten{is: true, term: hs.Term}
	return HardState{Term: hs.Term + 1}
}

// lacks tells whether a leader counts on an entry that this replica does not have. A heartbeat says what is committed of what the
// replica acknowledged to that leader.
func (g *Group) lacks(m *raftpb.Message) bool {
	return m.GetCommit() > g.log.LastIndex() && m.GetTerm() >= g.rn.BasicStatus().GetTerm()
}

// forget notes that entries are missing that were acknowledged to a leader.
func (g *Group) forget(m *raftpb.Message) {
	g.host.cfg.Logger.Error("acknowledged records are missing at the end of the log on this node; they are fetched again, and until then this replica does not vote",
		"partition", g.id.String(), "entry", g.log.LastIndex(), "acknowledged", m.GetCommit())
	if err := g.log.Forget(); err != nil {
		g.host.fatal(fmt.Errorf("noting that entries of partition %v are missing: %w", g.id, err))
		return
	}
	g.forgotten = forgotten{is: true, term: m.GetTerm()}
	// Of a message of a later term, raft takes the term; this kind has no other effect where nobody leads.
	next := &raftpb.Message{Type: raftpb.MsgTransferLeader.Enum(), From: m.From, To: m.To, Term: new(m.GetTerm() + 1)}
	if err := g.rn.Step(next); err != nil {
		panic(fmt.Sprintf("BUG: raft group %v does not go on to the next term: %v", g.id, err))
	}
}

// remember notes that nothing is missing any more, when that is so.
func (g *Group) remember() {
	if !g.forgotten.is {
		return
	}
	if term, err := g.log.Term(g.applied); err != nil || term <= g.forgotten.term {
		return
	}
	if err := g.log.Remembered(); err != nil {
		g.host.fatal(fmt.Errorf("noting that nothing of partition %v is missing: %w", g.id, err))
		return
	}
	g.forgotten = forgotten{}
	g.host.cfg.Logger.Info("the records that were missing on this node are there again", "partition", g.id.String())
}

// twoVoters tells whether there is one other voter. Then a majority is both, and what was committed the other one has: a replica that
// has forgotten may vote for it.
func (g *Group) twoVoters() bool {
	state := g.members.now.State
	return len(state.GetVoters()) == 2 && len(state.GetVotersOutgoing()) == 0
}
