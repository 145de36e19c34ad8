package log

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"math"
	"sort"

	"github.com/weir/weir/internal/vfs"
	"github.com/weir/weir/record"
)

// Run is a run of record batches in a file.
type Run struct {
	File vfs.File
	Pos  int64
	Len  int64
}

// Data are records that were read: where they are, not the bytes. It must be released.
type Data struct {
	Runs    []Run
	segment *segment
}

// Size is the number of bytes.
func (d *Data) Size() int {
	n := int64(0)
	for _, r := range d.Runs {
		n += r.Len
	}
	return int(n)
}

// Bytes reads the data into memory.
func (d *Data) Bytes() ([]byte, error) {
	b := make([]byte, d.Size())
	at := 0
	for _, r := range d.Runs {
		if n, err := r.File.ReadAt(b[at:at+int(r.Len)], r.Pos); err != nil && (err != io.EOF || int64(n) < r.Len) {
			return nil, err
		}
		at += int(r.Len)
	}
	return b, nil
}

// Release lets go of the files. It may be called more than once.
func (d *Data) Release() {
	if d.segment != nil {
		d.segment.release()
	}
	*d = Data{}
}

// view is what a reader needs of a segment, as of one moment.
type view struct {
	*segment
	number int
	end    int64 // bytes that are part of the log
	next   int64 // offset after the segment
	index  []indexEntry
}

func (l *Log) viewOf(i int) view {
	s := l.segments[i]
	v := view{segment: s, number: i, end: s.size, next: l.end, index: s.index}
	if i+1 < len(l.segments) {
		v.next = l.segments[i+1].base
	}
	return v
}

// Read gives the batches from the one with an offset on, up to about maxBytes and not beyond limit. The first batch may
// begin below the offset; with minOne it is given whole, however large, and without it is not given when maxBytes cuts it
// off. The last one may be cut off.
func (l *Log) Read(offset int64, maxBytes int, limit int64, minOne bool) (Data, error) {
	l.mu.RLock()
	if offset < l.start || offset > l.end {
		err := &OutOfRangeError{offset, l.start, l.end}
		l.mu.RUnlock()
		return Data{}, err
	}
	limit = min(limit, l.end)
	if offset >= limit || maxBytes <= 0 && !minOne {
		l.mu.RUnlock()
		return Data{}, nil
	}
	v := l.viewOf(l.segmentOf(offset))
	hint := l.hint
	l.mu.RUnlock()

	file, err := v.open()
	if err != nil {
		return Data{}, l.noticed(v.segment, err)
	}
	d := Data{segment: v.segment}
	end, err := l.fill(&d, v, file, hint, offset, maxBytes, limit, minOne)
	if err != nil {
		d.Release()
		return Data{}, l.noticed(v.segment, err)
	}
	if end.index != 0 {
		l.mu.Lock()
		l.hint = end
		l.mu.Unlock()
	}
	return d, nil
}

// fill finds the runs of a read. It gives where the read ended, if that is the start of a batch whose offset is known.
func (l *Log) fill(d *Data, v view, file vfs.File, hint mark, offset int64, maxBytes int, limit int64, minOne bool) (mark, error) {
	var at mark
	var err error
	if hint.base == v.base && hint.offset == offset && hint.index != 0 {
		at = hint
	} else if at, err = l.locate(v, file, offset); err != nil {
		return mark{}, err
	}
	stop, last := v.end, mark{}
	if limit < v.next {
		if last, err = l.place(v, file, limit); err != nil {
			return mark{}, err
		}
		stop = last.pos
	}
	want := int64(maxBytes)
	if minOne {
		end, err := batchEnd(file, v, at)
		if err != nil {
			return mark{}, err
		}
		want = max(want, end-at.pos)
	}
	ended := mark{}
	if at.pos+want < stop {
		if !minOne {
			if end, err := batchEnd(file, v, at); err != nil || end > at.pos+want {
				return mark{}, err
			}
		}
		stop = at.pos + want
	} else if limit < v.next {
		ended = last
	} else if v.next == limit {
		ended = mark{index: math.MaxUint64, offset: v.next, base: v.base, pos: v.end}
	}
	if err := l.verify(v, file, at, stop); err != nil {
		return mark{}, err
	}
	d.Runs = l.cut(v.base, file, at.pos, stop)
	return ended, nil
}

// batchEnd gives where the first batch from a place on ends.
func batchEnd(file vfs.File, v view, at mark) (int64, error) {
	w := walker{file: file, name: v.name + logSuffix, pos: at.pos, end: v.end, chunk: peekSize, next_: at.offset}
	for {
		f, _, err := w.next()
		if err != nil {
			return 0, unexpectedEnd(err, &w, at.offset)
		}
		if f.kind == Batch {
			return w.pos, nil
		}
	}
}

// cut gives [from, to) of a segment without the frames of our own.
func (l *Log) cut(base int64, file vfs.File, from, to int64) []Run {
	l.mu.RLock()
	defer l.mu.RUnlock()
	i := sort.Search(len(l.owns), func(i int) bool {
		o := &l.owns[i]
		return o.segment > base || o.segment == base && o.pos+o.size > from
	})
	runs := make([]Run, 0, 1)
	for ; i < len(l.owns) && l.owns[i].segment == base && l.owns[i].pos < to; i++ {
		if o := &l.owns[i]; o.pos > from {
			runs = append(runs, Run{file, from, o.pos - from})
		}
		from = l.owns[i].pos + l.owns[i].size
	}
	if to > from {
		runs = append(runs, Run{file, from, to - from})
	}
	return runs
}

// locate finds the batch with an offset: by the index, then from frame to frame.
func (l *Log) locate(v view, file vfs.File, offset int64) (mark, error) {
	from, err := l.lookup(v, func(e indexEntry) bool { return v.base+int64(e.offset) <= offset })
	if err != nil {
		return mark{}, err
	}
	w := newWalker(file, v.segment, from, v.end, walkChunk)
	for {
		f, pos, err := w.next()
		if err != nil {
			return mark{}, unexpectedEnd(err, w, offset)
		}
		if f.kind == Batch && f.next > offset {
			return mark{index: w.index, offset: f.base, base: v.base, pos: pos}, nil
		}
		if f.entry() {
			w.index++
		}
	}
}

func unexpectedEnd(err error, w *walker, offset int64) error {
	if err == io.EOF {
		return &CorruptError{File: w.name, Pos: w.pos, Offset: offset, Reason: "the offset is missing"}
	}
	return err
}

// place finds where the batches below an offset, which begins a batch or ends the log, stop.
func (l *Log) place(v view, file vfs.File, offset int64) (mark, error) {
	l.mu.RLock()
	i := sort.Search(len(l.marks), func(i int) bool { return l.marks[i].offset >= offset })
	if i < len(l.marks) && l.marks[i].offset == offset && l.marks[i].base == v.base {
		m := l.marks[i]
		l.mu.RUnlock()
		return m, nil
	}
	l.mu.RUnlock()
	return l.locate(v, file, offset)
}

// lookup searches the index. A damaged or missing one is made anew from the segment.
func (l *Log) lookup(v view, before func(indexEntry) bool) (indexEntry, error) {
	e, err := v.search(v.index, before)
	if errors.Is(err, fs.ErrClosed) { // it was made anew meanwhile
		e, err = v.search(v.index, before)
	}
	if err == nil || !v.sealed || !errors.Is(err, errIndex) && !errors.Is(err, errNotExist) {
		return e, err
	}
	made, err := l.rebuildIndex(v)
	if err != nil {
		return e, err
	}
	return v.search(made, before)
}

// verify checks the bytes of a segment that this process did not write itself, once.
func (l *Log) verify(v view, file vfs.File, at mark, to int64) error {
	from := at.pos
	l.mu.RLock()
	good := from >= v.trusted || from >= v.from && to <= v.to
	trusted := v.trusted
	l.mu.RUnlock()
	if good {
		return nil
	}
	w := walker{file: file, name: v.name + logSuffix, pos: from, end: v.end, chunk: scanChunk, next_: at.offset}
	for w.pos < min(to, trusted) {
		f, _, err := w.checked()
		if err != nil {
			return err
		}
		if epoch := l.EpochAt(f.base); f.kind == Batch && epoch != f.epoch {
			return &CorruptError{w.name, w.pos - f.size, f.base, fmt.Sprintf("its epoch is %d instead of %d", f.epoch, epoch)}
		}
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	s := v.segment
	if from <= s.to && w.pos >= s.from && s.to > s.from { // it adjoins what was checked before
		s.from, s.to = min(s.from, from), max(s.to, w.pos)
	} else {
		s.from, s.to = from, w.pos
	}
	return nil
}

// Entries reads the entries [lo, hi), at least one, and no more than about maxBytes.
func (l *Log) Entries(lo, hi, maxBytes uint64) ([]Entry, error) {
	var out []Entry
	size := uint64(0)
	for lo < hi {
		l.mu.RLock()
		if lo < l.segments[0].firstIndex {
			l.mu.RUnlock()
			return nil, ErrCompacted
		}
		if hi > l.lastIndex+1 {
			l.mu.RUnlock()
			return nil, ErrUnavailable
		}
		i := sort.Search(len(l.segments), func(i int) bool { return l.segments[i].firstIndex > lo }) - 1
		v := l.viewOf(i)
		l.mu.RUnlock()
		n, full, err := l.entriesOf(v, lo, hi, maxBytes, &size, &out)
		if err = l.noticed(v.segment, err); err != nil && len(out) > 0 {
			return out, nil // what follows cannot be read, and who asks for it is told
		}
		if err != nil || full {
			return out, err
		}
		lo += n
	}
	return out, nil
}

func (l *Log) entriesOf(v view, lo, hi, maxBytes uint64, size *uint64, out *[]Entry) (n uint64, full bool, err error) {
	file, err := v.open()
	if err != nil {
		return 0, false, err
	}
	defer v.release()
	from, err := l.lookup(v, func(e indexEntry) bool { return v.firstIndex+uint64(e.index) <= lo })
	if err != nil {
		return 0, false, err
	}
	w := newWalker(file, v.segment, from, v.end, walkChunk)
	for lo+n < hi {
		if w.index < lo {
			f, _, err := w.next()
			if err != nil {
				return 0, false, unexpectedEnd(err, w, -1)
			}
			if f.entry() {
				w.index++
			}
			continue
		}
		f, b, err := w.checked()
		if err == io.EOF {
			if n == 0 {
				return 0, false, unexpectedEnd(err, w, -1)
			}
			return n, false, nil
		}
		if err != nil {
			return 0, false, err
		}
		if !f.entry() {
			continue
		}
		w.index++
		data := b
		if f.kind != Batch {
			data = b[frameHeader:]
		}
		if len(*out) > 0 && *size+uint64(len(data)) > maxBytes {
			return n, true, nil
		}
		term, err := l.Term(lo + n)
		if err != nil {
			return 0, false, err
		}
		if term != uint64(uint32(f.epoch)) {
			return 0, false, &CorruptError{w.name, w.pos - f.size, f.base, fmt.Sprintf("its epoch is %d instead of %d", f.epoch, term)}
		}
		*out = append(*out, Entry{Index: lo + n, Term: term, Kind: f.kind, Data: append([]byte(nil), data...)})
		*size += uint64(len(data))
		n++
	}
	return n, true, nil
}

// EndOffsetAt is the log end offset after an entry. Where the log is damaged it may be less.
func (l *Log) EndOffsetAt(index uint64) (int64, error) {
	l.mu.RLock()
	if index == l.lastIndex {
		defer l.mu.RUnlock()
		return l.end, nil
	}
	if index+1 == l.segments[0].firstIndex {
		defer l.mu.RUnlock()
		return l.segments[0].base, nil
	}
	i := sort.Search(len(l.marks), func(i int) bool { return l.marks[i].index >= index })
	if i < len(l.marks) && l.marks[i].index == index {
		defer l.mu.RUnlock()
		return l.marks[i].offset, nil
	}
	l.mu.RUnlock()
	m, err := l.after(index)
	var damage *CorruptError
	if errors.As(err, &damage) {
		return l.notAfter(index), nil
	}
	return m.offset, err
}

// notAfter gives an offset that surely is not after the end offset at an entry.
func (l *Log) notAfter(index uint64) int64 {
	l.mu.RLock()
	defer l.mu.RUnlock()
	i := sort.Search(len(l.segments), func(i int) bool { return l.segments[i].firstIndex > index+1 }) - 1
	return l.segments[i].base
}

// after finds the place after an entry by the index.
func (l *Log) after(index uint64) (mark, error) {
	l.mu.RLock()
	if index+1 < l.segments[0].firstIndex {
		l.mu.RUnlock()
		return mark{}, ErrCompacted
	}
	if index > l.lastIndex {
		l.mu.RUnlock()
		return mark{}, ErrUnavailable
	}
	i := sort.Search(len(l.segments), func(i int) bool { return l.segments[i].firstIndex > index+1 }) - 1
	v := l.viewOf(i)
	l.mu.RUnlock()
	m, err := l.afterIn(v, index)
	return m, l.noticed(v.segment, err)
}

func (l *Log) afterIn(v view, index uint64) (mark, error) {
	file, err := v.open()
	if err != nil {
		return mark{}, err
	}
	defer v.release()
	from, err := l.lookup(v, func(e indexEntry) bool { return v.firstIndex+uint64(e.index) <= index })
	if err != nil {
		return mark{}, err
	}
	w := newWalker(file, v.segment, from, v.end, walkChunk)
	end := mark{index: index, offset: v.base, base: v.base, pos: headerFrame}
	for w.index <= index {
		f, _, err := w.checked()
		if err != nil {
			return mark{}, unexpectedEnd(err, w, -1)
		}
		if f.entry() {
			w.index++
		}
		end.offset, end.pos = f.next, w.pos
	}
	return end, nil
}

// OffsetForTime finds the first record below limit that is not older than ts (ms).
func (l *Log) OffsetForTime(ts, limit int64) (offset, timestamp int64, epoch int32, found bool, err error) {
	return l.seek(limit, func(v view) bool { return l.newest(v) >= ts },
		func(e indexEntry) bool { return e.before < ts },
		func(f frame) bool { return f.max >= ts },
		func(b []byte, start int64) (int64, int64, bool, error) { return record.FirstAtOrAfter(b, start, ts) })
}

// MaxTimestamp finds the first of the records below limit that have the newest time.
func (l *Log) MaxTimestamp(limit int64) (offset, timestamp int64, epoch int32, found bool, err error) {
	newest := int64(-1)
	l.mu.RLock()
	for _, s := range l.segments {
		if s.base < limit {
			newest = max(newest, s.maxTime)
		}
	}
	whole := limit >= l.end && l.start <= l.segments[0].base
	l.mu.RUnlock()
	if !whole { // the newest may be outside: look at each batch
		if newest, err = l.newestBelow(limit); err != nil {
			return -1, -1, -1, false, err
		}
	}
	if newest < 0 {
		return -1, -1, -1, false, nil
	}
	return l.OffsetForTime(newest, limit)
}

// newestBelow finds the newest time of the records from the log start to below limit. Of a batch that reaches beyond, each
// record is looked at.
func (l *Log) newestBelow(limit int64) (int64, error) {
	newest, start := int64(-1), l.StartOffset()
	_, _, _, _, err := l.seek(limit, func(view) bool { return true }, func(indexEntry) bool { return false },
		func(f frame) bool {
			if f.base < start || f.next > limit {
				return true
			}
			newest = max(newest, f.max)
			return false
		},
		func(b []byte, start int64) (int64, int64, bool, error) {
			for r, err := range record.Records(b) {
				if err != nil {
					return 0, 0, false, err
				}
				if r.Offset >= start && r.Offset < limit {
					newest = max(newest, r.Timestamp)
				}
			}
			return 0, 0, false, nil
		})
	return newest, err
}

func (l *Log) newest(v view) int64 {
	l.mu.RLock()
	defer l.mu.RUnlock()
	return v.maxTime
}

// seek finds a record: the first segment that may have it, the index entry before it, the first batch, the record.
func (l *Log) seek(limit int64, may func(view) bool, before func(indexEntry) bool, batch func(frame) bool,
	pick func(b []byte, start int64) (int64, int64, bool, error)) (offset, timestamp int64, epoch int32, found bool, err error) {
	l.mu.RLock()
	start := l.start
	var views []view
	for i := range l.segments {
		if v := l.viewOf(i); v.base < limit && v.next > start {
			views = append(views, v)
		}
	}
	l.mu.RUnlock()
	for _, v := range views {
		if !may(v) {
			continue
		}
		offset, timestamp, epoch, found, err = l.seekIn(v, start, limit, before, batch, pick)
		if found || err != nil {
			return offset, timestamp, epoch, found, l.noticed(v.segment, err)
		}
	}
	return -1, -1, -1, false, nil
}

func (l *Log) seekIn(v view, start, limit int64, before func(indexEntry) bool, batch func(frame) bool,
	pick func(b []byte, start int64) (int64, int64, bool, error)) (offset, timestamp int64, epoch int32, found bool, err error) {
	file, err := v.open()
	if err != nil {
		return -1, -1, -1, false, err
	}
	defer v.release()
	from, err := l.lookup(v, before)
	if err != nil {
		return -1, -1, -1, false, err
	}
	w := newWalker(file, v.segment, from, v.end, walkChunk)
	for {
		f, pos, err := w.next()
		if err == io.EOF || err == nil && f.base >= limit {
			return -1, -1, -1, false, nil
		}
		if err != nil {
			return -1, -1, -1, false, err
		}
		if f.kind != Batch || f.next <= start || !batch(f) {
			continue
		}
		w.pos, w.next_ = pos, f.base
		_, b, err := w.checked()
		if err != nil {
			return -1, -1, -1, false, err
		}
		offset, timestamp, found, err := pick(b, start)
		if err != nil {
			return -1, -1, -1, false, &CorruptError{File: w.name, Pos: pos, Offset: f.base, Reason: err.Error()}
		}
		if found && offset < limit {
			return offset, timestamp, f.epoch, true, nil
		}
	}
}

// rebuildIndex makes a sealed segment's index anew. If the disk is full it is kept in memory, and given: reading must not need
// space.
func (l *Log) rebuildIndex(v view) ([]indexEntry, error) {
	file, err := v.open()
	if err != nil {
		return nil, err
	}
	defer v.release()
	fresh := &segment{fs: l.fs, name: v.name, base: v.base, firstIndex: v.firstIndex, maxTime: -1}
	w := newWalker(file, v.segment, indexEntry{pos: headerFrame}, v.end, scanChunk)
	interval := l.cfg.Load().IndexIntervalBytes
	next := v.base
	for {
		index := w.index
		f, _, err := w.checked()
		if err == io.EOF {
			break
		}
		if err != nil {
			return nil, fmt.Errorf("making the index of %s anew: %w", v.name, err)
		}
		if f.entry() {
			fresh.noteIndex(interval, f.base, index, w.pos-f.size)
			fresh.maxTime = max(fresh.maxTime, f.max)
			w.index++
			next = f.next
		}
	}
	fresh.index = append(fresh.index, indexEntry{uint32(next - v.base), uint32(w.index - v.firstIndex), uint32(v.end), fresh.maxTime})
	_, err = fresh.writeIndex()
	if vfs.IsNoSpace(err) {
		l.mu.Lock()
		v.segment.index = fresh.index
		l.mu.Unlock()
		return fresh.index, fresh.removeIndex()
	}
	fresh.retire()
	if err != nil {
		return nil, err
	}
	v.fileMu.Lock()
	defer v.fileMu.Unlock()
	if v.idx != nil {
		_ = v.idx.Close()
		v.idx = nil
	}
	return nil, nil
}
