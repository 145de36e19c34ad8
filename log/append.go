package log

import (
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/weir/weir/internal/bugs"
	"github.com/weir/weir/record"
)

// direct is the size from which on a batch is written as it is, instead of being gathered with its neighbours.
const direct = 16 << 10

// Append writes entries at the end. Indexes must follow each other and the last one; a batch must carry the log end offset
// as its base and the term as its epoch. They are durable when what TakeDirty gives was synced.
//
// After an error, a prefix of the entries may have been appended: LastIndex tells.
func (l *Log) Append(entries []Entry) error {
	for len(entries) > 0 {
		n, err := l.appendSome(entries)
		if err != nil {
			return err
		}
		entries = entries[n:]
	}
	return nil
}

// appendSome writes entries up to where a new segment is due, or a large batch was written.
func (l *Log) appendSome(entries []Entry) (int, error) {
	cfg := l.cfg.Load()
	s := l.active()
	if l.mustRoll(s, entries[0], cfg) {
		if err := l.Roll(); err != nil {
			return 0, err
		}
		s = l.active()
	}
	file, err := s.open()
	if err != nil {
		return 0, err
	}
	defer s.release()
	p := pendingAppend{log: l, at: s.size, end: l.end, first: s.firstTime, newest: s.maxTime, index: l.lastIndex, term: l.lastTerm}
	buf, gathered := l.staging[:0], true
	n := 0
	for n < len(entries) {
		e := entries[n]
		if n > 0 && (l.mustRollAt(s, p.at, p.end, e, cfg) || len(buf)+len(e.Data) > 8*direct) {
			break
		}
		if e.Kind == Batch && len(e.Data) >= direct {
			if n == 0 {
				p.add(e, int64(len(e.Data)))
				buf, gathered = e.Data, false
				n++
			}
			break
		}
		before := len(buf)
		if e.Kind == Batch {
			buf = append(buf, e.Data...)
		} else {
			buf = appendOwn(buf, p.end, e.Term, e.Kind, e.Data)
		}
		p.add(e, int64(len(buf)-before))
		n++
	}
	if err := writeAt(file, buf, s.size); err != nil {
		s.room = 0
		return 0, errors.Join(err, file.Truncate(s.size))
	}
	if p.at > s.room && len(buf) < direct && !l.relaxed {
		s.makeRoom(file, p.at, min(s.size, roomMax, cfg.SegmentBytes-p.at))
	}
	if gathered {
		l.staging = buf[:0]
	}
	l.commit(s, &p, cfg)
	l.dirty.addFile(s)
	return n, nil
}

func writeAt(f interface {
	WriteAt([]byte, int64) (int, error)
}, b []byte, at int64) error {
	n, err := f.WriteAt(b, at)
	if err == nil && n < len(b) {
		err = fmt.Errorf("short write: %d of %d bytes", n, len(b))
	}
	return err
}

// pendingAppend gathers what will be true when a write succeeded.
type pendingAppend struct {
	log           *Log
	at            int64
	end           int64
	first, newest int64
	index, term   uint64
	placed        []placed
}

// placed is an entry and the place that it got.
type placed struct {
	Entry
	offset   int64 // log end offset before it
	pos      int64
	size     int64
	newest   int64 // newest timestamp of the segment before it
	nextBase int64
}

func (p *pendingAppend) add(e Entry, size int64) {
	if e.Index != p.index+1 || e.Term < p.term {
		panic(fmt.Sprintf("BUG: %s: entry %d of term %d does not follow entry %d of term %d", p.log.dir, e.Index, e.Term, p.index, p.term))
	}
	next, newest := p.end, p.newest
	if e.Kind == Batch {
		h, err := record.ParseHeader(e.Data)
		if err != nil || h.Size() != len(e.Data) || h.BaseOffset != p.end || uint64(h.LeaderEpoch) != e.Term || e.Term != p.term {
			panic(fmt.Sprintf("BUG: %s: batch with base offset %d, epoch %d and %d bytes does not fit offset %d, term %d (%v)",
				p.log.dir, h.BaseOffset, h.LeaderEpoch, len(e.Data), p.end, e.Term, err))
		}
		next = h.NextOffset()
		if p.first < 0 {
			p.first = h.MaxTimestamp
		}
		p.newest = max(p.newest, h.MaxTimestamp)
	}
	p.placed = append(p.placed, placed{e, p.end, p.at, size, newest, next})
	p.at += size
	p.end, p.index, p.term = next, e.Index, e.Term
}

// commit makes written entries part of the log.
func (l *Log) commit(s *segment, p *pendingAppend, cfg *Config) {
	l.mu.Lock()
	defer l.mu.Unlock()
	term := l.lastTerm
	for _, e := range p.placed {
		s.maxTime = e.newest
		s.noteIndex(cfg.IndexIntervalBytes, e.offset, e.Index, e.pos)
		if e.Term != term {
			l.terms = append(l.terms, termStart{e.Term, e.Index, e.offset})
			term = e.Term
		}
		if e.Kind != Batch {
			e.Data = slices.Clone(e.Data)
			l.owns = append(l.owns, ownEntry{e.Entry, e.offset, s.base, e.pos, e.size})
		}
		l.marks = append(l.marks, mark{e.Index, e.nextBase, s.base, e.pos + e.size})
	}
	if len(l.marks) > marksMax {
		l.marks = append(l.marks[:0], l.marks[len(l.marks)-marksMax/2:]...)
	}
	l.since += p.at - s.size
	s.size, s.firstTime, s.maxTime = p.at, p.first, p.newest
	l.end, l.lastIndex, l.lastTerm = p.end, p.index, p.term
}

func (l *Log) mustRoll(s *segment, e Entry, cfg *Config) bool {
	return l.mustRollAt(s, s.size, l.end, e, cfg)
}

// mustRollAt tells whether an entry belongs into a new segment.
func (l *Log) mustRollAt(s *segment, size, end int64, e Entry, cfg *Config) bool {
	if size <= headerFrame || e.Kind != Batch {
		return false
	}
	if size+int64(len(e.Data)) > cfg.SegmentBytes || end-s.base > 1<<31-1-1<<24 {
		return true
	}
	h, err := record.ParseHeader(e.Data)
	return err == nil && s.firstTime >= 0 && h.MaxTimestamp-s.firstTime >= cfg.SegmentMs
}

// Roll seals the active segment and begins a new one. A segment without entries is not sealed.
func (l *Log) Roll() error {
	old := l.active()
	if old.size <= headerFrame {
		return nil
	}
	if err := l.trim(old); err != nil {
		return err
	}
	s := &segment{
		fs: l.fs, name: segmentName(l.dir, l.end), base: l.end, firstIndex: l.lastIndex + 1, prevTerm: l.lastTerm,
		firstTime: -1, maxTime: -1,
	}
	if old.base == s.base { // only raft-own entries: the new segment would have the same name
		return nil
	}
	if err := l.createSegment(s); err != nil {
		return err
	}
	old.index = append(old.index, indexEntry{uint32(l.end - old.base), uint32(l.lastIndex + 1 - old.firstIndex), uint32(old.size), old.maxTime})
	if _, err := old.writeIndex(); err != nil {
		old.index = old.index[:len(old.index)-1]
		l.forgetDirty(s)
		return errors.Join(err, s.remove())
	}
	l.mu.Lock()
	old.sealed, old.index = true, nil
	l.segments = append(slices.Clip(l.segments), s)
	l.mu.Unlock()
	l.rolled = true
	return nil
}

// createSegment makes a segment's file with its header.
func (l *Log) createSegment(s *segment) error {
	f, err := l.fs.Create(s.name + logSuffix)
	if err != nil {
		return err
	}
	b := appendHeader(nil, s.base, s.prevTerm, l.id, s.firstIndex)
	if err := writeAt(f, b, 0); err != nil {
		return errors.Join(err, f.Close(), l.fs.Remove(s.name+logSuffix))
	}
	s.file, s.size, s.lastIndex = f, headerFrame, 0
	l.dirty.addFile(s)
	if !bugs.FolderUnsynced {
		l.dirty.addDir(l.dir)
	}
	return nil
}

// RollIfPassed begins a new segment if the log begins within the newest one and that has more than so many bytes, so that it can
// go when the start moves on.
func (l *Log) RollIfPassed(bytes int64) error {
	if s := l.active(); s.base < l.StartOffset() && s.size > bytes {
		return l.Roll()
	}
	return nil
}

// RollIfOld seals a segment whose first record is older than segment.ms allows.
func (l *Log) RollIfOld(now time.Time) error {
	s := l.active()
	if s.firstTime >= 0 && now.UnixMilli()-s.firstTime >= l.cfg.Load().SegmentMs {
		return l.Roll()
	}
	return nil
}
