package log

import (
	"slices"

	"github.com/weir/weir/internal/vfs"
)

// Origin is where a log begins, and what its owner knew there: all that another log must know to begin there too.
type Origin struct {
	Index  uint64 // Raft index of the first entry
	Term   uint64 // of the entry before it
	Offset int64  // of the first record
	State  []byte // the owner's, as of the batches below Offset
}

// Origin gives where the log begins. Only its writer may call it: the state belongs to the owner's turn.
func (l *Log) Origin() Origin {
	l.mu.RLock()
	first := l.segments[0]
	o := Origin{Index: first.firstIndex, Term: first.prevTerm, Offset: first.base}
	l.mu.RUnlock()
	if l.state != nil {
		o.State = l.state.Snapshot(o.Offset)
	}
	return o
}

// Reset throws all entries away and begins the log anew at an origin, durably. A crash on the way leaves the first of the old
// entries, as many as were not yet thrown away, or a log that has none and begins with entry 1, or the new one: never a gap.
// After an error it may be called again.
func (l *Log) Reset(o Origin) error {
	l.checkpointMu.Lock()
	defer l.checkpointMu.Unlock()
	l.cuts++
	if l.state != nil {
		if err := l.state.Restore(o.State); err != nil {
			return err
		}
	}
	f, err := l.list()
	if err != nil {
		return err
	}
	if err := l.dropCheckpointsOf(f); err != nil {
		return err
	}
	for _, base := range slices.Backward(f.bases) {
		// From the end on, each durably: what is left after a crash must not begin later than before, since a log's first entries
		// count as committed.
		if err := l.removeDurably(base); err != nil {
			return err
		}
	}
	s := &segment{
		fs: l.fs, name: segmentName(l.dir, o.Offset), base: o.Offset, firstIndex: o.Index, prevTerm: o.Term,
		size: headerFrame, firstTime: -1, maxTime: -1,
	}
	if err := l.writeOrigin(s, o); err != nil {
		return err
	}
	l.adoptOrigin(s)
	return nil
}

func (l *Log) dropCheckpointsOf(f files) error {
	for _, index := range f.checkpoints {
		if err := l.fs.Remove(checkpointName(l.dir, index)); err != nil {
			return err
		}
	}
	if len(f.checkpoints) == 0 {
		return nil
	}
	return l.fs.SyncDir(l.dir)
}

// removeDurably removes the segment with a base. Readers that have it keep it until they release it.
func (l *Log) removeDurably(base int64) error {
	s := &segment{fs: l.fs, name: segmentName(l.dir, base)}
	for _, known := range l.segments {
		if known.base == base {
			s = known
		}
	}
	if err := s.remove(); err != nil {
		return err
	}
	return l.fs.SyncDir(l.dir)
}

// writeOrigin makes the files of a log that begins with an empty segment. The checkpoint, which has the owner's state, is first,
// so that no segment is without it; without a segment it is of no use, and Open removes it.
func (l *Log) writeOrigin(s *segment, o Origin) error {
	c := checkpoint{
		start: s.base, end: s.base, lastIndex: s.firstIndex - 1, lastTerm: s.prevTerm, terms: originTerms(s), state: o.State,
		segments: []segmentInfo{{s.base, s.firstIndex, s.prevTerm, s.size, s.firstTime, s.maxTime}},
	}
	if err := vfs.WriteFileAtomic(l.fs, checkpointName(l.dir, c.lastIndex), c.encode()); err != nil {
		return err
	}
	return vfs.WriteFileAtomic(l.fs, s.name+logSuffix, appendHeader(nil, s.base, s.prevTerm, l.id, s.firstIndex))
}

// originTerms is what is known of the terms of a log that begins with s: that of the entry before it may go on.
func originTerms(s *segment) []termStart {
	if s.prevTerm == 0 {
		return nil
	}
	return []termStart{{s.prevTerm, s.firstIndex, s.base}}
}

// adoptOrigin makes a log that begins with an empty segment the one in memory.
func (l *Log) adoptOrigin(s *segment) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, old := range l.segments {
		old.retire()
	}
	l.segments = []*segment{s}
	l.start, l.end, l.lastIndex, l.lastTerm = s.base, s.base, s.firstIndex-1, s.prevTerm
	l.terms, l.owns, l.marks, l.hint = originTerms(s), nil, nil, mark{}
	l.dirty, l.since, l.rolled, l.saved = Dirty{}, 0, false, s.base
	l.savedStart = s.base
	l.savedBase.Store(s.base)
}
