package replication

import (
	"go.etcd.io/raft/v3/raftpb"

	"github.com/weir/weir/log"
)

// Raft never sees batches: it would keep them, and copy them. It gets empty entries, and the batches go past it from the request,
// or from the message of another node, into the log, and to other nodes. They stay in the memory that they came in.

// Buffer is memory that is lent to whoever retains it, until it is released.
type Buffer interface {
	Retain()
	Release()
	// Size is how many bytes are kept as long as it is retained. Who may have to wait for somebody should not keep much.
	Size() int
}

// Held are buffers that something uses.
type Held []Buffer

// Release lets go of all of them.
func (h Held) Release() {
	for _, b := range h {
		b.Release()
	}
}

// lent are batches that raft was told of with empty entries, and that are not yet written.
type lent struct {
	runs []run
}

// run are entries that follow each other.
type run struct {
	entries []log.Entry
	in      Buffer // nil: memory that is nobody else's
	own     bool   // proposed here
}

// add adds entries, which stay until all are let go of.
func (l *lent) add(r run) {
	if r.in != nil {
		r.in.Retain()
	}
	l.runs = append(l.runs, r)
}

// find finds what an empty entry stands for. An index and a term say which entry it is, so of several any will do.
func (l *lent) find(e *raftpb.Entry) (log.Entry, *run) {
	if len(l.runs) == 0 {
		return log.Entry{}, nil
	}
	if at := e.GetIndex() - l.runs[0].entries[0].Index; at < uint64(len(l.runs)) { // where a proposal is
		if found, ok := l.runs[at].find(e); ok {
			return found, &l.runs[at]
		}
	}
	for i := range l.runs {
		if found, ok := l.runs[i].find(e); ok {
			return found, &l.runs[i]
		}
	}
	return log.Entry{}, nil
}

func (r *run) find(e *raftpb.Entry) (log.Entry, bool) {
	at := e.GetIndex() - r.entries[0].Index
	if at >= uint64(len(r.entries)) || r.entries[at].Term != e.GetTerm() {
		return log.Entry{}, false
	}
	return r.entries[at], true
}

// letGo forgets all.
func (l *lent) letGo() {
	for _, r := range l.runs {
		if r.in != nil {
			r.in.Release()
		}
	}
	clear(l.runs)
	l.runs = l.runs[:0]
}
