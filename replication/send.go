package replication

import (
	"fmt"

	"go.etcd.io/raft/v3/raftpb"
)

// messageBytes is about how much data one message carries. A single larger batch goes alone.
const messageBytes = 1 << 20

// send passes a message to another node. Raft does not have the data of what was proposed here, so it is filled in, and since
// raft did not know how much it is, the message may become several.
func (g *Group) send(m *raftpb.Message) {
	switch t := m.GetType(); {
	case unanswered(m), g.heldBack(m), !fromPeers[byte(t)]: // raft has followers pass on what only a leader can do
		return
	case t == raftpb.MsgPreVote && !g.mayAsk(): // raft asks by itself when it has not heard of a leader for long
		return
	case t == raftpb.MsgAppResp:
		g.answerAppend(m)
		return
	case IsWitness(m.GetTo()) && (t == raftpb.MsgApp || t == raftpb.MsgHeartbeat || t == raftpb.MsgSnap):
		g.toWitness(m)
		return
	case t == raftpb.MsgSnap:
		g.sendSnapshot(m)
		return
	case t != raftpb.MsgApp || len(m.Entries) == 0:
		g.post(m)
		return
	}
	out := outgoing{g: g, m: m, term: m.GetLogTerm(), entries: make([]*raftpb.Entry, 0, len(m.Entries))}
	for _, e := range m.Entries {
		if !out.add(e) {
			g.rn.ReportUnreachable(m.GetTo())
			return
		}
	}
	if !out.post() {
		g.rn.ReportUnreachable(m.GetTo())
	}
}

// outgoing is a message that raft wants sent, and what is sent of it next.
type outgoing struct {
	g       *Group
	m       *raftpb.Message
	term    uint64 // of the entry before
	entries []*raftpb.Entry
	held    Held
	size    int
}

// add adds an entry with its data. False: the disk is full and it was not written, or it was removed meanwhile, or what came before
// it is not taken.
func (o *outgoing) add(e *raftpb.Entry) bool {
	full, buf, ok := o.g.filled(e)
	if !ok || len(o.entries) > 0 && o.size+len(full.GetData()) > messageBytes && !o.post() {
		o.held.Release()
		return false
	}
	if buf != nil {
		buf.Retain()
		o.held = append(o.held, buf)
	}
	o.entries = append(o.entries, full)
	o.size += len(full.GetData())
	return true
}

// post sends what was added.
func (o *outgoing) post() bool {
	g, to := o.g, o.m.GetTo()
	part := &raftpb.Message{
		Type: o.m.Type, To: o.m.To, From: o.m.From, Term: o.m.Term, Commit: o.m.Commit,
		Index: new(o.entries[0].GetIndex() - 1), LogTerm: new(o.term), Entries: o.entries,
	}
	held, size := o.held, o.size
	o.term, o.size, o.held = o.entries[len(o.entries)-1].GetTerm(), 0, nil
	o.entries = make([]*raftpb.Entry, 0, len(o.m.Entries)-len(o.entries))
	if !g.afford(to, size) || !g.postHeld(part, held) {
		held.Release()
		return false
	}
	g.news.Store(newsNone)
	return true
}

// post gives a message to the transport. One that it does not take makes raft feel its way from the last answer on.
func (g *Group) post(m *raftpb.Message) bool {
	if BrokerOf(m.GetTo()) == BrokerOf(g.self) { // a replica and the witness, while one becomes the other
		g.postHere(m)
		return true
	}
	if g.postHeld(m, nil) {
		return true
	}
	g.rn.ReportUnreachable(m.GetTo())
	return false
}

// postHere hands a message to another voter on this node, as one that came from elsewhere.
func (g *Group) postHere(m *raftpb.Message) {
	id, parsed, err := ParseMessage(AppendMessage(nil, nil, g.id, m))
	if err != nil {
		panic(fmt.Sprintf("BUG: raft group %v sends %v that cannot be read: %v", g.id, m.GetType(), err))
	}
	g.host.Deliver(Arrived{ID: id, Message: parsed})
}

func (g *Group) postHeld(m *raftpb.Message, held Held) bool {
	if g.host.cfg.Send == nil || !g.host.cfg.Send(g.id, m, held) {
		return false
	}
	g.host.unsent.Store(true)
	return true
}

// filled gives an entry with its data, and what that is in, if it is lent.
func (g *Group) filled(e *raftpb.Entry) (*raftpb.Entry, Buffer, bool) {
	if !outlined(e) {
		return e, nil, true
	}
	if known, from := g.batches.find(e); from != nil {
		return &raftpb.Entry{Index: e.Index, Term: e.Term, Data: known.Data}, from.in, true
	}
	found, err := g.log.Entries(e.GetIndex(), e.GetIndex()+1, 1)
	if err != nil || found[0].Term != e.GetTerm() {
		return nil, nil, false
	}
	return toRaft(found[0]), nil, true
}
