package replication

import (
	"fmt"

	"go.etcd.io/raft/v3/raftpb"

	"github.com/weir/weir/internal/bugs"
	"github.com/weir/weir/log"
)

// append writes what a MsgStorageAppend carries and sees to its responses.
func (g *Group) append(m *raftpb.Message) {
	if g.host.dead.Load() { // perhaps since a moment ago: what came before it is not written
		return
	}
	if len(g.stalled) > 0 {
		if m.Term != nil || m.Snapshot != nil || len(m.Entries) > 0 { // what only answers will be asked again
			g.stalled = append(g.stalled, m)
		}
		return
	}
	if err := g.write(m); err != nil {
		if !noSpace(err) {
			g.host.fatal(fmt.Errorf("writing partition %v: %w", g.id, err))
			return
		}
		g.stalled = append(g.stalled, m)
		g.host.full(g.id.String(), err, g.full)
		g.full = true
		g.host.cfg.After(stallRetry, func() { g.put(func(in *inbox) { in.retry = true }) })
		return
	}
	g.finish(m)
}

func (g *Group) write(m *raftpb.Message) error {
	if m.Term != nil {
		g.term = m.GetTerm()
	}
	if m.Snapshot != nil {
		if err := g.restore(m.Snapshot); err != nil {
			return err
		}
	}
	if len(m.Entries) == 0 {
		return nil
	}
	entries := make([]log.Entry, len(m.Entries))
	prepared := false // the replica knows of them; who leads now does not matter, since that may have changed meanwhile
	for i, e := range m.Entries {
		if entries[i] = fromRaft(e); g.headers == nil {
			var own bool
			entries[i], own = g.whole(e)
			prepared = prepared || own
		}
	}
	g.noteChanges(entries)
	missing := g.missing(entries)
	if len(missing) > 0 && missing[0].Index <= g.log.LastIndex() {
		if err := g.log.TruncateSuffix(missing[0].Index - 1); err != nil {
			return err
		}
	}
	if err := g.log.Append(missing); err != nil {
		return err
	}
	for i := range entries {
		if entries[i].Kind == log.Batch {
			g.written.batches++
			g.written.bytes += len(entries[i].Data)
		}
	}
	if !prepared {
		g.replica.Appended(entries)
	}
	return nil
}

// missing gives the entries from the first on that the log does not have. It has some when a full disk refused the rest; an index
// and a term say which entry it is. They are left where they are: to cut them off and write them again would forget what the
// replica knows of proposals that were prepared since.
func (g *Group) missing(entries []log.Entry) []log.Entry {
	for !bugs.FullDiskForgets && len(entries) > 0 && entries[0].Index <= g.log.LastIndex() {
		if term, err := g.log.Term(entries[0].Index); err != nil || term != entries[0].Term {
			break
		}
		entries = entries[1:]
	}
	return entries
}

// whole gives an entry with its data, and whether it was proposed here.
func (g *Group) whole(e *raftpb.Entry) (whole log.Entry, own bool) {
	if !outlined(e) {
		return fromRaft(e), false
	}
	whole, from := g.batches.find(e)
	if from == nil {
		panic(fmt.Sprintf("BUG: raft group %v appends entry %d, whose batch nobody has", g.id, e.GetIndex()))
	}
	return whole, from.own
}

// finish delivers the responses of a written append: now, or when the sync that they wait for is done.
func (g *Group) finish(m *raftpb.Message) {
	votes, headers := g.votes(m), g.takeHeaders()
	votes = votes || headers != nil
	if len(m.Responses) == 0 && !votes {
		return
	}
	if bugs.AckBeforeSync || !votes && g.relaxed.Load() && g.syncing == 0 {
		for _, r := range m.Responses {
			g.respond(r)
		}
		return
	}
	g.syncing++
	req := syncRequest{group: g, responses: m.Responses, votes: votes, hard: g.lastVotes, headers: headers}
	if votes {
		req.members = g.unsaved()
	}
	if !g.relaxed.Load() {
		g.log.TakeDirty(&req.dirty)
		req.written, g.written = g.written, written{}
	}
	g.host.syncer.add(req, g.lent)
}

// votes notes a new term or vote; only these must be journalled before they count.
func (g *Group) votes(m *raftpb.Message) bool {
	if m.Term == nil {
		return false
	}
	changed := !bugs.VoteUnwritten && (m.GetTerm() != g.lastVotes.Term || m.GetVote() != g.lastVotes.Vote)
	g.lastVotes = HardState{Term: m.GetTerm(), Vote: m.GetVote(), Commit: m.GetCommit()}
	return changed
}

func (g *Group) respond(r *raftpb.Message) {
	if r.GetTo() == g.self {
		g.step(r)
	} else {
		g.send(r)
	}
}
