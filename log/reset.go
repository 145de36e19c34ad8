package log

import (
	"errors"
	"io"
	"path"

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

// originName is the file that tells Open to begin the log anew. It has the header of the segment that it then begins with, and the
// checkpoint of what it then is.
const originName = "origin"

// Reset throws all entries away and begins the log anew at an origin, durably. After a crash the log is the old one or the new
// one: to forget entries that were acknowledged, and have nothing instead, would break a majority's word. After an error it may be
// called again.
func (l *Log) Reset(o Origin) error {
	l.checkpointMu.Lock()
	defer l.checkpointMu.Unlock()
	l.cuts++
	if l.state != nil {
		if err := l.state.Restore(o.State); err != nil {
			return err
		}
	}
	s := l.originSegment(o.Offset, o.Index, o.Term)
	c := checkpoint{
		start: s.base, end: s.base, lastIndex: s.firstIndex - 1, lastTerm: s.prevTerm, terms: originTerms(s), state: o.State,
		segments: []segmentInfo{{s.base, s.firstIndex, s.prevTerm, s.size, s.firstTime, s.maxTime}},
	}
	b := append(appendHeader(nil, s.base, s.prevTerm, l.id, s.firstIndex), c.encode()...)
	if err := vfs.WriteFileAtomic(l.fs, path.Join(l.dir, originName), b); err != nil {
		return err
	}
	if err := l.beginAnew(s, b); err != nil {
		return err
	}
	l.adoptOrigin(s)
	return nil
}

// originSegment is the segment that a log begins with.
func (l *Log) originSegment(base int64, firstIndex, prevTerm uint64) *segment {
	return &segment{
		fs: l.fs, name: segmentName(l.dir, base), base: base, firstIndex: firstIndex, prevTerm: prevTerm,
		size: headerFrame, firstTime: -1, maxTime: -1,
	}
}

// originTerms is what is known of the terms of a log that begins with s: that of the entry before it may go on.
func originTerms(s *segment) []termStart {
	if s.prevTerm == 0 {
		return nil
	}
	return []termStart{{s.prevTerm, s.firstIndex, s.base}}
}

// finishReset does what a crash kept Reset from doing.
func (l *Log) finishReset() error {
	name := path.Join(l.dir, originName)
	b, err := vfs.ReadFile(l.fs, name)
	if errors.Is(err, errNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	damage := &CorruptError{File: name, Reason: "it does not say where the log begins anew"}
	if len(b) < headerFrame {
		return damage
	}
	base, firstIndex, prevTerm, err := l.checkHeader(b[:headerFrame], name)
	if errors.Is(err, io.ErrUnexpectedEOF) {
		return damage
	}
	if err != nil {
		return err
	}
	if _, err := parseCheckpoint(b[headerFrame:]); err != nil {
		return damage
	}
	return l.beginAnew(l.originSegment(base, firstIndex, prevTerm), b)
}

// beginAnew makes the files of a log that begins with an empty segment and a checkpoint the only ones. What is done is done again
// by the next Open until originName, whose content is given, is gone.
func (l *Log) beginAnew(s *segment, origin []byte) error {
	f, err := l.list()
	if err != nil {
		return err
	}
	for _, index := range f.checkpoints {
		err = errors.Join(err, l.fs.Remove(checkpointName(l.dir, index)))
	}
	for _, base := range f.bases {
		err = errors.Join(err, l.segmentAt(base).remove())
	}
	if err = errors.Join(err, l.fs.SyncDir(l.dir)); err != nil {
		return err
	}
	if err := vfs.WriteFileAtomic(l.fs, checkpointName(l.dir, s.firstIndex-1), origin[headerFrame:]); err != nil {
		return err
	}
	if err := vfs.WriteFileAtomic(l.fs, s.name+logSuffix, origin[:headerFrame]); err != nil {
		return err
	}
	if err := l.fs.Remove(path.Join(l.dir, originName)); err != nil {
		return err
	}
	return l.fs.SyncDir(l.dir)
}

// segmentAt gives the segment with a base, also one that is not in memory. Readers that have it keep it until they release it.
func (l *Log) segmentAt(base int64) *segment {
	for _, s := range l.segments {
		if s.base == base {
			return s
		}
	}
	return &segment{fs: l.fs, name: segmentName(l.dir, base)}
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
