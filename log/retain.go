package log

import (
	"errors"
	"fmt"
	"io"
	"math"
	"slices"

	"github.com/weir/weir/internal/bugs"
	"github.com/weir/weir/internal/vfs"
	"github.com/weir/weir/record"
)

// Retain removes whole segments from the oldest on that time or size say are due, never one that reaches above limit.
func (l *Log) Retain(nowMs, limit int64) (removed int, err error) {
	cfg := l.cfg.Load()
	for {
		l.mu.RLock()
		s := l.segments[0]
		last := len(l.segments) == 1
		next, index, size := l.end, l.lastIndex+1, int64(0)
		if !last {
			next, index = l.segments[1].base, l.segments[1].firstIndex
		}
		for _, o := range l.segments {
			size += o.size
		}
		due := next <= l.start && !last ||
			cfg.RetentionMs >= 0 && s.maxTime >= 0 && nowMs-s.maxTime > cfg.RetentionMs ||
			cfg.RetentionBytes >= 0 && !last && size-s.size >= cfg.RetentionBytes
		l.mu.RUnlock()
		if !due || next > limit || l.keeps(index) || s.size <= headerFrame {
			return removed, nil
		}
		if last {
			if err := l.Roll(); err != nil || len(l.segments) == 1 {
				return removed, err
			}
		}
		if err := l.dropFirst(); err != nil {
			return removed, err
		}
		removed++
	}
}

// Keep makes entries from an index on stay in the log, whatever retention and the log start say, which know of offsets only and not
// of entries without one; 0: none must. What stayed goes later. Only the log's writer may call it.
func (l *Log) Keep(from uint64) { l.kept = from }

// keeps tells whether an entry before an index must stay.
func (l *Log) keeps(before uint64) bool { return l.kept != 0 && l.kept < before }

// dropFirst removes the oldest segment, durably, so that after a crash no gap is between those that are left.
func (l *Log) dropFirst() error {
	// Without the header of the segment that is first then, nothing would say where offsets go on.
	if next := l.segments[1]; next.base >= l.savedBase.Load() {
		if err := errors.Join(next.Sync(), l.fs.SyncDir(l.dir)); err != nil {
			return err
		}
	}
	if err := l.noteStart(l.segments[1].base); err != nil {
		return err
	}
	l.mu.Lock()
	s := l.segments[0]
	l.segments = slices.Clone(l.segments[1:])
	first := l.segments[0]
	l.start = max(l.start, first.base)
	l.forgetBelow(first)
	l.mu.Unlock()
	l.forgetDirty(s)
	if err := s.remove(); err != nil {
		return err
	}
	return l.fs.SyncDir(l.dir)
}

// noteStart makes the newest checkpoint say where the log starts, before what is below is removed: so a segment that is lost is told
// from one that was removed.
func (l *Log) noteStart(start int64) error {
	l.checkpointMu.Lock()
	defer l.checkpointMu.Unlock()
	c, err := l.lastCheckpoint(math.MaxUint64)
	if err != nil || c == nil || c.start >= start {
		return err
	}
	c.start = start
	if err := vfs.WriteFileAtomic(l.fs, checkpointName(l.dir, c.lastIndex), c.encode()); err != nil {
		return err
	}
	l.savedStart = max(l.savedStart, start)
	return nil
}

// forgetBelow drops what is known of entries before a segment. Under mu.
func (l *Log) forgetBelow(first *segment) {
	l.owns = slices.DeleteFunc(slices.Clone(l.owns), func(o ownEntry) bool { return o.Index < first.firstIndex })
	n := 0
	for n+1 < len(l.terms) && l.terms[n+1].index <= first.firstIndex {
		n++
	}
	l.terms = slices.Clone(l.terms[n:])
	if len(l.terms) > 0 && l.terms[0].index < first.firstIndex {
		l.terms[0].index, l.terms[0].offset = first.firstIndex, max(l.terms[0].offset, first.base)
	}
	l.marks = slices.DeleteFunc(slices.Clone(l.marks), func(m mark) bool { return m.base < first.base })
}

// SetStartOffset makes an offset the first one (DeleteRecords). It is durable when it returns; after an error the start is
// what it was.
func (l *Log) SetStartOffset(offset int64) error {
	l.mu.Lock()
	if offset < l.start || offset > l.end {
		defer l.mu.Unlock()
		return &OutOfRangeError{offset, l.start, l.end}
	}
	before := l.start
	l.start = offset
	l.mu.Unlock()
	if err := l.Checkpoint(); err != nil {
		l.mu.Lock()
		l.start = before
		l.mu.Unlock()
		return err
	}
	for len(l.segments) > 1 && l.segments[1].base <= offset && !l.keeps(l.segments[1].firstIndex) {
		if err := l.dropFirst(); err != nil {
			return err
		}
	}
	return nil
}

// TruncateSuffix removes the entries after lastIndex. It is durable when it returns.
func (l *Log) TruncateSuffix(lastIndex uint64) error {
	if lastIndex >= l.LastIndex() {
		return nil
	}
	if lastIndex+1 < l.FirstIndex() {
		return fmt.Errorf("%s: entries up to %d cannot be kept, the first is %d", l.dir, lastIndex, l.FirstIndex())
	}
	l.checkpointMu.Lock()
	defer l.checkpointMu.Unlock()
	l.cuts++
	to, err := l.after(lastIndex)
	if err != nil {
		return err
	}
	if err := l.keepStart(lastIndex); err != nil {
		return err
	}
	if err := l.dropCheckpointsAbove(lastIndex); err != nil {
		return err
	}
	for l.active().base > to.base {
		s := l.active()
		l.mu.Lock()
		l.segments = slices.Clone(l.segments[:len(l.segments)-1])
		l.mu.Unlock()
		l.forgetDirty(s)
		if err := s.remove(); err != nil {
			return err
		}
	}
	if err := l.cutActive(to, lastIndex); err != nil {
		return err
	}
	l.savedStart = min(l.savedStart, l.StartOffset())
	if err := l.Sync(); err != nil {
		return err
	}
	return l.rebuildState()
}

func (l *Log) forgetDirty(s *segment) {
	l.dirty.Files = slices.DeleteFunc(l.dirty.Files, func(f File) bool { return f == s })
}

// Sync makes everything appended so far durable.
func (l *Log) Sync() error {
	for _, f := range l.dirty.Files {
		if err := f.Sync(); err != nil {
			return err
		}
	}
	for _, dir := range append(l.dirty.Dirs, l.dir) {
		if err := l.fs.SyncDir(dir); err != nil {
			return err
		}
	}
	l.dirty = Dirty{}
	return nil
}

// keepStart writes the log start where a cut leaves it: only checkpoints tell it, and those above the cut go.
func (l *Log) keepStart(lastIndex uint64) error {
	first, start := l.segments[0], l.StartOffset()
	c, err := l.lastCheckpoint(lastIndex)
	if err != nil || start == first.base && (c == nil || c.start >= start) {
		return err
	}
	if c == nil || c.segments[len(c.segments)-1].base < first.base {
		c = &checkpoint{
			end: first.base, lastIndex: first.firstIndex - 1, lastTerm: first.prevTerm,
			segments: []segmentInfo{{first.base, first.firstIndex, first.prevTerm, headerFrame, -1, -1}},
		}
	}
	c.start = start
	return vfs.WriteFileAtomic(l.fs, checkpointName(l.dir, c.lastIndex), c.encode())
}

// lastCheckpoint reads the newest checkpoint that covers no entry after one. nil: there is none that can be read.
func (l *Log) lastCheckpoint(lastIndex uint64) (*checkpoint, error) {
	f, err := l.list()
	if err != nil {
		return nil, err
	}
	for _, index := range slices.Backward(f.checkpoints) {
		if index > lastIndex {
			continue
		}
		b, err := vfs.ReadFile(l.fs, checkpointName(l.dir, index))
		if err != nil {
			return nil, err
		}
		if c, err := parseCheckpoint(b); err == nil {
			return c, nil
		}
	}
	return nil, nil
}

func (l *Log) dropCheckpointsAbove(index uint64) error {
	f, err := l.list()
	if err != nil {
		return err
	}
	for _, c := range f.checkpoints {
		if c > index && !bugs.CheckpointStays {
			if err := l.fs.Remove(checkpointName(l.dir, c)); err != nil {
				return err
			}
		}
	}
	return l.fs.SyncDir(l.dir)
}

// cutActive shortens the last segment to a place.
func (l *Log) cutActive(to mark, lastIndex uint64) error {
	s := l.active()
	file, err := s.open()
	if err != nil {
		return err
	}
	defer s.release()
	if err := file.Truncate(to.pos); err != nil {
		return err
	}
	s.room = 0
	if s.sealed {
		if err := l.loadIndex(s); err != nil {
			return err
		}
	}
	if err := s.removeIndex(); err != nil {
		return err
	}
	lastTerm, err := l.Term(lastIndex)
	if err != nil {
		return err
	}
	l.mu.Lock()
	s.sealed, s.size = false, to.pos
	for len(s.index) > 0 && int64(s.index[len(s.index)-1].pos) >= to.pos {
		s.index = s.index[:len(s.index)-1]
	}
	s.lastIndex = 0
	if n := len(s.index); n > 0 {
		s.lastIndex = int64(s.index[n-1].pos)
	}
	s.written = 0 // so that the file is written anew, without the entries that are gone
	s.trusted, s.to = min(s.trusted, to.pos), min(s.to, to.pos)
	l.end, l.lastIndex, l.lastTerm = to.offset, lastIndex, lastTerm
	l.terms = slices.DeleteFunc(l.terms, func(t termStart) bool { return !bugs.TermsStay && t.index > lastIndex })
	l.owns = slices.DeleteFunc(l.owns, func(o ownEntry) bool { return !bugs.OwnsStay && o.Index > lastIndex })
	l.marks = slices.DeleteFunc(l.marks, func(m mark) bool { return !bugs.MarksStay && m.index > lastIndex })
	l.hint = mark{}
	l.start = min(l.start, l.end)
	l.savedBase.Store(min(l.savedBase.Load(), to.base))
	l.mu.Unlock()
	if err := l.measure(s); err != nil {
		return err
	}
	l.dirty.addFile(s)
	return nil
}

// measure finds out a segment's oldest and newest times again.
func (l *Log) measure(s *segment) error {
	first, newest := int64(-1), int64(-1)
	err := l.frames(s, func(f frame, h record.Header) {
		if first < 0 {
			first = h.MaxTimestamp
		}
		newest = max(newest, h.MaxTimestamp)
	})
	l.mu.Lock()
	defer l.mu.Unlock()
	s.firstTime, s.maxTime = first, newest
	return err
}

// frames calls f for each batch of a segment.
func (l *Log) frames(s *segment, call func(frame, record.Header)) error {
	file, err := s.open()
	if err != nil {
		return err
	}
	defer s.release()
	w := newWalker(file, s, indexEntry{pos: headerFrame}, s.size, walkChunk)
	for {
		b, err := w.view(peekSize)
		if err != nil {
			return err
		}
		f, _, err := w.next()
		if err == io.EOF {
			return nil
		}
		if err != nil {
			return err
		}
		if f.kind == Batch {
			h, err := record.ParseHeader(b)
			if err != nil {
				return w.corrupt(err.Error())
			}
			call(f, h)
		}
	}
}

// rebuildState makes the owner's state that of the log: the newest checkpoint's, and what follows it.
func (l *Log) rebuildState() error {
	if l.state == nil || bugs.ProducersKept {
		return nil
	}
	c, err := l.lastCheckpoint(l.lastIndex)
	if err != nil {
		return err
	}
	if c == nil {
		c = &checkpoint{end: -1}
	}
	if err := l.state.Restore(c.state); err != nil {
		return err
	}
	for n, s := range l.segments {
		if n+1 < len(l.segments) && l.segments[n+1].base <= c.end {
			continue // the checkpoint knows all that is in it, and it may be damaged
		}
		err := l.frames(s, func(f frame, h record.Header) {
			if f.base >= c.end {
				l.state.Replay(h)
			}
		})
		if err != nil {
			return err
		}
	}
	return nil
}
