package replication

import (
	"encoding/binary"
	"slices"

	"go.etcd.io/raft/v3"
	"go.etcd.io/raft/v3/raftpb"
	"google.golang.org/protobuf/proto"

	"github.com/weir/weir/internal/bugs"
	"github.com/weir/weir/log"
)

// A witness is a voter that knows which entries there are, and nothing of what is in them: the third vote of a partition with two
// replicas. It never leads.
//
// It is left alone as long as all replicas are in sync: then what is committed is on all of them, and whichever is lost, the other
// one has it all, and a log that is at least as long as the witness's. Only when a replica is out of sync the leader asks the witness
// in its place, and only when that replica has all that the witness was shown, it is in sync again. So a replica that is told to be
// in sync can always be elected.
//
// What is committed a witness need not see: it is told where the leader's applied entries end (see brief).

// witnessBit makes the NodeID of a witness that of its node, so that a witness and a replica on the same broker, while one becomes
// the other, are two voters.
const witnessBit NodeID = 1 << 63

// silentTicks is after how many ticks a witness forgets a leader that it does not hear of. No time passes for its raft, which would
// campaign.
const silentTicks = 10

// WitnessOf gives the NodeID of a witness on a node.
func WitnessOf(node NodeID) NodeID { return node | witnessBit }

// IsWitness tells a witness's NodeID from those of replicas.
func IsWitness(id NodeID) bool { return id&witnessBit != 0 }

// witness gives the name under which a host keeps the witness of a partition, beside a replica of it.
func (g GroupID) witness() GroupID {
	g.Partition = ^g.Partition
	return g
}

// beWitness makes a group that is being opened a witness.
func (g *Group) beWitness() {
	g.key, g.self, g.replica = g.id.witness(), WitnessOf(g.self), bystander{}
	if g.headers = g.host.journal.headersOf(g.key); g.headers == nil {
		g.headers = &headers{}
	}
	g.headers = g.headers.clone()
	g.log = g.headers
}

// takeHeaders gives what is to be journalled of a witness's log; nil: nothing.
func (g *Group) takeHeaders() *headers {
	if g.headers == nil || !g.headers.dirty || bugs.WitnessUnwritten {
		return nil
	}
	g.headers.dirty = false
	return g.headers.clone()
}

// bystander is the Replica of a witness: nothing of it matters to anyone.
type bystander struct{}

func (bystander) Prepare(*Proposal, uint64) bool { return true }
func (bystander) Proposed(*Proposal, uint64)     {}
func (bystander) Reject(*Proposal, error)        {}
func (bystander) Appended([]log.Entry)           {}
func (bystander) Noted([]byte)                   {}
func (bystander) Committed(uint64)               {}
func (bystander) Progressed()                    {}
func (bystander) TakenBack()                     {}
func (bystander) LeaderChanged(NodeID, uint64)   {}
func (bystander) InSyncChanged([]int32)          {}

// passWitness is a tick of a witness. One that hears of no leader has nothing to do, and sleeps.
func (g *Group) passWitness() {
	if g.live.idle++; g.live.idle >= silentTicks {
		g.forgetLeader()
		g.sleep()
	}
}

func (g *Group) forgetLeader() {
	if err := g.rn.ForgetLeader(); err != nil {
		panic("BUG: raft does not forget a leader: " + err.Error())
	}
}

// heard notes on a witness that its leader is there.
func (g *Group) heard(m *raftpb.Message) {
	if g.headers != nil && g.rn.BasicStatus().Lead == m.GetFrom() {
		g.live.idle = 0
	}
}

// asksVote readies a witness for a request for its vote. Who asks does not lead, even if a witness that was left alone thinks so.
func (g *Group) asksVote(m *raftpb.Message) {
	if g.headers == nil {
		return
	}
	if g.rn.BasicStatus().Lead == m.GetFrom() {
		g.forgetLeader()
	}
	if bugs.WitnessBlind {
		m.LogTerm = new(m.GetTerm())
	}
}

// toWitness sends a leader's message to a witness, as far as it is to have it.
func (g *Group) toWitness(m *raftpb.Message) {
	live, to := &g.live, m.GetTo()
	g.follow(m.GetTerm())
	asked := (live.asks || bugs.WitnessAhead) && g.votesIn(to)
	switch told := asked || live.calls || !g.votesIn(to); {
	case m.GetType() == raftpb.MsgSnap:
		g.rn.ReportSnapshot(to, raft.SnapshotFailure)
		if told {
			g.brief(to, m.GetTerm())
		}
	case len(m.Entries) == 0:
		if told {
			g.post(m)
		}
	case m.Entries[0].GetIndex() <= g.applied:
		if told {
			g.brief(to, m.GetTerm())
		}
	case asked:
		live.shown = max(live.shown, m.Entries[len(m.Entries)-1].GetIndex())
		g.post(withoutData(m))
	}
}

// Witnessed tells whether a witness votes, so that what is committed may be on one replica alone. It is for the turn of a leader.
func (g *Group) Witnessed() bool { return slices.ContainsFunc(g.live.order, IsWitness) }

// votesIn tells whether a member is a voter, and no learner.
func (g *Group) votesIn(id NodeID) bool { return slices.Contains(g.live.order, id) }

// withoutData gives an append as a witness gets it.
func withoutData(m *raftpb.Message) *raftpb.Message {
	out := &raftpb.Message{
		Type: m.Type, To: m.To, From: m.From, Term: m.Term, Commit: m.Commit, Index: m.Index, LogTerm: m.LogTerm,
		Entries: make([]*raftpb.Entry, len(m.Entries)),
	}
	for i, e := range m.Entries {
		if out.Entries[i] = e; e.GetType() == raftpb.EntryNormal {
			out.Entries[i] = &raftpb.Entry{Index: e.Index, Term: e.Term, Data: withoutBatch}
		}
	}
	return out
}

// brief tells a witness that all is committed that is applied here, and who the members are: a snapshot without content. Raft takes
// its answer as that to an append, and goes on from there.
func (g *Group) brief(to NodeID, term uint64) {
	g.rn.ReportUnreachable(to) // what was sent before may not have been shown to it
	of, err := g.log.Term(g.applied)
	if g.applied == 0 || err != nil {
		return
	}
	g.live.shown = max(g.live.shown, g.applied)
	data := append(make([]byte, 0, snapshotHeader), snapshotVersion)
	data = binary.BigEndian.AppendUint64(data, g.members.now.Index)
	data = binary.BigEndian.AppendUint64(data, 0)
	g.post(&raftpb.Message{
		Type: raftpb.MsgSnap.Enum(), From: new(g.self), To: new(to), Term: new(term),
		Snapshot: &raftpb.Snapshot{Data: data, Metadata: &raftpb.SnapshotMetadata{
			Index: new(g.applied), Term: new(of), ConfState: proto.Clone(g.members.now.State).(*raftpb.ConfState),
		}},
	})
}

// ask begins to ask the witness, if there is one.
func (g *Group) ask() {
	for _, id := range g.live.order {
		if IsWitness(id) {
			g.brief(id, g.live.term)
		}
	}
}
