package replication

import (
	"go.etcd.io/raft/v3/raftpb"

	"github.com/weir/weir/log"
)

// messageBytes is about how much data one message carries. A single larger batch goes alone.
const messageBytes = 1 << 20

// send passes a message to another node. Raft does not have the data of what was proposed here, so it is filled in, and since
// raft did not know how much it is, the message may become several.
func (g *Group) send(m *raftpb.Message) {
	switch {
	case unanswered(m), g.heldBack(m):
		return
	case m.GetType() == raftpb.MsgSnap:
		g.sendSnapshot(m)
		return
	case m.GetType() != raftpb.MsgApp || len(m.Entries) == 0:
		g.post(m)
		return
	}
	entries := make([]*raftpb.Entry, 0, len(m.Entries))
	size, term := 0, m.GetLogTerm()
	post := func() bool {
		part := &raftpb.Message{
			Type: m.Type, To: m.To, From: m.From, Term: m.Term, Commit: m.Commit,
			Index: new(entries[0].GetIndex() - 1), LogTerm: new(term), Entries: entries,
		}
		if !g.afford(m.GetTo(), size) {
			g.rn.ReportUnreachable(m.GetTo())
			return false
		}
		term, size = entries[len(entries)-1].GetTerm(), 0
		g.news.Store(newsNone)
		entries = make([]*raftpb.Entry, 0, len(m.Entries)-len(entries))
		return g.post(part)
	}
	for _, e := range m.Entries {
		full, ok := g.filled(e)
		if !ok { // the disk is full and it was not written, or it was removed meanwhile
			g.rn.ReportUnreachable(m.GetTo())
			return
		}
		if len(entries) > 0 && size+len(full.GetData()) > messageBytes && !post() {
			return
		}
		entries = append(entries, full)
		size += len(full.GetData())
	}
	post()
}

// post gives a message to the transport. One that it does not take makes raft feel its way from the last answer on.
func (g *Group) post(m *raftpb.Message) bool {
	if g.host.cfg.Send != nil && g.host.cfg.Send(g.id, m) {
		return true
	}
	g.rn.ReportUnreachable(m.GetTo())
	return false
}

// filled gives an entry with its data, which the receiver may keep: a proposed batch's own bytes are the proposer's.
func (g *Group) filled(e *raftpb.Entry) (*raftpb.Entry, bool) {
	if !outlined(e) {
		return e, true
	}
	if p, ok := g.proposal(e); ok {
		return &raftpb.Entry{Index: e.Index, Term: e.Term, Data: append([]byte(nil), p.Data...)}, true
	}
	found, err := g.log.Entries(e.GetIndex(), e.GetIndex()+1, 1)
	if err != nil || found[0].Term != e.GetTerm() {
		return nil, false
	}
	return toRaft(found[0]), true
}

// proposal finds a proposed entry that is not yet written.
func (g *Group) proposal(e *raftpb.Entry) (log.Entry, bool) {
	if len(g.proposed) > 0 {
		if at := e.GetIndex() - g.proposed[0].Index; at < uint64(len(g.proposed)) && g.proposed[at].Term == e.GetTerm() {
			return g.proposed[at], true
		}
	}
	return log.Entry{}, false
}
