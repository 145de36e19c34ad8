package replication

import (
	"fmt"

	"go.etcd.io/raft/v3"
	"go.etcd.io/raft/v3/raftpb"

	"github.com/weir/weir/internal/bugs"
	"github.com/weir/weir/log"
)

// A disk may lose what was durable: entries that this replica acknowledged, so that others count on them. It is noticed when the log is
// opened (log.Forgotten), or by the leader's words. A machine that loses its power loses what a relaxed partition had acknowledged
// before it was durable (Config.PowerLost). Such a replica neither asks for votes nor gives any, or those without the entries could
// choose a leader without them.
//
// What it lacks, a leader has. But who led when the entries were acknowledged never sends them again. So the replica goes on to the
// next term, which ends that leadership, and whoever is elected by the others asks it how far its log goes. Once it has an entry that
// was committed in a later term than those in which it acknowledged what it lacks, it has all that was committed before.
//
// If most replicas lost their power at once, nobody can be elected without them. They wait for a while, for one to come that can, and
// then vote with what they have: first for others, so that one that has lost nothing is elected if there is one, and then also for
// themselves. Raft elects one that has the most of those that it asks.

const (
	// powerWait is for how many ticks a replica whose machine lost its power waits for a leader before it votes, while enough
	// others are there to elect one.
	powerWait = 100
	// powerRest is for how many more ticks it asks for no votes itself.
	powerRest = 30
)

type forgotten struct {
	is     bool
	power  bool   // because the power was lost
	term   uint64 // the last one in which it may have acknowledged what it lacks
	waited int    // ticks without a leader while there could be one
}

// hasForgotten is the context of answers to appends that come from a replica that has forgotten.
var hasForgotten = []byte("forgotten")

// lostPower notes what the machine's losing its power means for a partition that was relaxed.
func (g *Group) lostPower() error {
	if lone(g.members.now.State, g.self) {
		g.host.cfg.Logger.Warn("the machine lost its power: the newest records of this partition, which is relaxed and has no other replica, may be lost",
			"partition", g.id.String())
		return nil
	}
	return g.log.Forget(log.ByPower)
}

// beginForgotten begins with a log that lacks entries. What was committed is not known any more.
func (g *Group) beginForgotten(hs HardState) HardState {
	g.forgotten = forgotten{is: true, power: g.log.Forgotten() == log.ByPower, term: hs.Term}
	return HardState{Term: hs.Term + 1}
}

// saveTerm sees that the term that beginForgotten went on to comes into the journal, before anything is answered in it: if the replica
// forgot what it then acknowledges, it would not know of that term.
func (g *Group) saveTerm() {
	g.syncing++
	g.host.syncer.add(syncRequest{group: g, votes: true, hard: g.lastVotes}, false)
}

// mayAsk tells whether this replica may ask for votes.
func (g *Group) mayAsk() bool {
	return !g.forgotten.is || g.forgotten.waited >= powerWait+powerRest || bugs.PowerVotes
}

// mayAnswer tells whether it may give its vote. If there is one other voter, a majority is both, and what was committed the other one
// has.
func (g *Group) mayAnswer() bool {
	return !g.forgotten.is || g.forgotten.waited >= powerWait || g.twoVoters() || bugs.PowerVotes
}

// awaitLeader is a tick of a replica that has forgotten.
func (g *Group) awaitLeader(lead NodeID) {
	f := &g.forgotten
	switch {
	case lead != raft.None:
		f.waited = 0
	case f.power && g.majority():
		if f.waited++; f.waited == powerWait {
			g.host.cfg.Logger.Warn("most replicas of a relaxed partition may have lost their power at once: this one goes on with what it has, and the newest records may be lost",
				"partition", g.id.String(), "entry", g.log.LastIndex())
		}
	}
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
	if err := g.log.Forget(log.ByDamage); err != nil {
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
	if !g.forgotten.power {
		g.host.cfg.Logger.Info("the records that were missing on this node are there again", "partition", g.id.String())
	}
	g.forgotten = forgotten{}
}

// standAgain has a leader whose leadership was ended by a follower that has forgotten elected again at once. The others still wait for
// it, so it asks as one to whom the leadership is handed over.
func (g *Group) standAgain(m *raftpb.Message) {
	if string(m.GetContext()) != string(hasForgotten) || g.announced.lead != g.self || len(g.stalled) > 0 {
		return
	}
	now := g.rn.BasicStatus()
	if now.RaftState != raft.StateFollower || now.Lead != raft.None || now.GetTerm() != m.GetTerm() {
		return
	}
	if err := g.rn.Step(&raftpb.Message{Type: raftpb.MsgTimeoutNow.Enum(), From: m.From, To: new(g.self), Term: m.Term}); err != nil {
		panic(fmt.Sprintf("BUG: raft group %v cannot campaign: %v", g.id, err))
	}
}

// twoVoters tells whether there is one other voter. Then a majority is both, and what was committed the other one has: a replica that
// has forgotten may vote for it.
func (g *Group) twoVoters() bool {
	state := g.members.now.State
	return len(state.GetVoters()) == 2 && len(state.GetVotersOutgoing()) == 0
}
