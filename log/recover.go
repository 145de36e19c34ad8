package log

import (
	"errors"
	"fmt"
	"io"
	"math"
	"path"
	"slices"
	"strconv"
	"strings"

	"github.com/weir/weir/internal/vfs"
	"github.com/weir/weir/record"
)

// Recovery says what opening a log had to do.
type Recovery struct {
	Scanned int64 // bytes read because no checkpoint covered them
	Records int64 // records in them
	Cut     int64 // bytes cut off at the end: they were not whole
	CutFile string
	Note    string // what else was put right
}

// String is empty when there was nothing worth telling.
func (r Recovery) String() string {
	var parts []string
	if r.Cut > 0 {
		parts = append(parts, fmt.Sprintf("cut off %d bytes that were not completely written when the node ended (kept in %s)", r.Cut, r.CutFile))
	}
	if r.Note != "" {
		parts = append(parts, r.Note)
	}
	return strings.Join(parts, "; ")
}

// Open opens a log, or makes an empty one. What a crash left half written is cut off; damage below the last checkpoint is
// found when it is read. If that keeps a log from being opened which other replicas have too, it goes on with what is before the
// damage, and has forgotten the rest (see Forgotten).
func Open(fs vfs.FS, dir string, id Identity, cfg Config, state State) (*Log, Recovery, error) {
	l, r, err := open(fs, dir, id, cfg, state)
	var note []string
	for damage := (*CorruptError)(nil); cfg.Repairable && errors.As(err, &damage); l, r, err = open(fs, dir, id, cfg, state) {
		if given, failed := giveUpFrom(fs, dir, damage, &r); !given {
			return nil, r, errors.Join(err, failed)
		}
		note = append(note, damage.Error()+": what follows is fetched from the other replicas")
	}
	if err == nil && note != nil {
		r.Note = strings.Join(append(note, r.Note), "; ")
	}
	return l, r, err
}

func open(fs vfs.FS, dir string, id Identity, cfg Config, state State) (*Log, Recovery, error) {
	l := &Log{fs: fs, dir: dir, id: id, state: state}
	l.cfg.Store(&cfg)
	if err := l.finishReset(); err != nil {
		return nil, Recovery{}, err
	}
	f, err := l.tidy()
	if err != nil {
		return nil, Recovery{}, err
	}
	if l.relaxed = f.relaxed; f.forgotten {
		if l.forgotten, err = readForgotten(fs, dir); err != nil {
			return nil, Recovery{}, err
		}
	}
	var r Recovery
	if len(f.bases) == 0 {
		if _, err := l.resume(&f.bases, f.checkpoints, &r); err != nil {
			return nil, r, err // all segments are lost: an empty log would be a lie
		}
		return l, r, l.create()
	}
	r, err = l.recover(f)
	if err != nil {
		return nil, r, errors.Join(err, l.Close())
	}
	return l, r, nil
}

// files are the names in a log's folder.
type files struct {
	bases       []int64  // of segments, in order
	indexes     []int64  // the bases of those that have an index
	checkpoints []uint64 // their Raft indexes, oldest first
	unfinished  []string
	forgotten   bool
	relaxed     bool
}

func (l *Log) list() (files, error) {
	names, err := l.fs.List(l.dir)
	var f files
	for _, name := range names {
		number, ending := name, ""
		if dot := strings.LastIndexByte(name, '.'); dot >= 0 {
			number, ending = name[:dot], name[dot:]
		}
		switch ending {
		case ".tmp":
			f.unfinished = append(f.unfinished, name)
		case "":
			f.forgotten, f.relaxed = f.forgotten || name == forgottenName, f.relaxed || name == relaxedName
		case logSuffix:
			if base, err := strconv.ParseInt(number, 10, 64); err == nil {
				f.bases = append(f.bases, base)
			}
		case indexSuffix:
			if base, err := strconv.ParseInt(number, 10, 64); err == nil {
				f.indexes = append(f.indexes, base)
			}
		case checkpointSuffix:
			if index, err := strconv.ParseUint(number, 10, 64); err == nil {
				f.checkpoints = append(f.checkpoints, index)
			}
		}
	}
	slices.Sort(f.bases)
	slices.Sort(f.checkpoints)
	return f, err
}

// tidy makes the folder, removes unfinished files and indexes without a segment, and tells what is there. A segment that is
// begun where a crash took another must not come by its index.
func (l *Log) tidy() (files, error) {
	f, err := l.list()
	if errors.Is(err, errNotExist) {
		return f, l.fs.MkdirAll(l.dir)
	}
	for _, name := range f.unfinished {
		err = errors.Join(err, l.fs.Remove(path.Join(l.dir, name)))
	}
	for _, base := range f.indexes {
		if _, found := slices.BinarySearch(f.bases, base); err == nil && !found {
			err = l.dropIndex(&segment{fs: l.fs, name: segmentName(l.dir, base)})
		}
	}
	return f, err
}

// create begins an empty log.
func (l *Log) create() error {
	if l.state != nil {
		if err := l.state.Restore(nil); err != nil {
			return err
		}
	}
	s := &segment{fs: l.fs, name: segmentName(l.dir, 0), firstIndex: 1, firstTime: -1, maxTime: -1}
	if err := l.createSegment(s); err != nil {
		return err
	}
	l.segments = []*segment{s}
	l.dirty.addDir(path.Dir(l.dir)) // the folder itself is new
	return nil
}

// recover brings an existing log to memory: what the newest fitting checkpoint says, then what follows it.
func (l *Log) recover(f files) (Recovery, error) {
	var r Recovery
	bases := f.bases
	covered, err := l.resume(&bases, f.checkpoints, &r)
	if err != nil {
		return r, err
	}
	if covered == nil {
		if err := l.begin(bases[0], f.indexes); err != nil {
			if !errors.Is(err, io.ErrUnexpectedEOF) {
				return r, err
			}
			return r, l.beginAgain(bases, &r)
		}
		if l.state != nil {
			if err := l.state.Restore(nil); err != nil {
				return r, err
			}
		}
	}
	err = l.scan(bases, f.indexes, &r)
	l.start = min(l.start, l.end)
	if covered == nil || r.Scanned > 0 || l.rolled { // a process that was killed may not have come to sync the names of its files
		l.dirty.addDir(l.dir)
		l.dirty.addDir(path.Dir(l.dir))
	}
	return r, err
}

// resume takes over the newest checkpoint whose segments were not all removed since. nil: there is none.
func (l *Log) resume(bases *[]int64, have []uint64, r *Recovery) (*checkpoint, error) {
	for i := len(have) - 1; i >= 0; i-- {
		b, err := vfs.ReadFile(l.fs, checkpointName(l.dir, have[i]))
		if err != nil {
			return nil, err
		}
		c, err := parseCheckpoint(b)
		if errors.Is(err, errCheckpoint) {
			r.Note = fmt.Sprintf("a damaged checkpoint at entry %d was passed over", have[i])
			continue
		}
		if err != nil {
			return nil, err
		}
		l.forgetRemoved(c, *bases, i == len(have)-1)
		if len(c.segments) > 0 {
			return c, l.adopt(c, bases)
		}
	}
	return nil, nil
}

// forgetRemoved takes the segments that retention removed since out of a checkpoint. The newest one knows where the log starts, and
// so which they are (see noteStart); of an older one they are those at the front that are not there.
func (l *Log) forgetRemoved(c *checkpoint, bases []int64, newest bool) {
	n, most := 0, len(c.segments)
	if len(bases) == 0 || bases[len(bases)-1] < c.end {
		most-- // the last one is never removed
	}
	for n < most && !slices.Contains(bases, c.segments[n].base) && (!newest || c.next(n) <= c.start) {
		n++
	}
	c.segments = c.segments[n:]
}

// next is the offset after a segment.
func (c *checkpoint) next(n int) int64 {
	if n+1 < len(c.segments) {
		return c.segments[n+1].base
	}
	return c.end
}

// lacking tells what a file lacks of what a checkpoint covers. nil: nothing.
func (l *Log) lacking(c *checkpoint, info segmentInfo) (*CorruptError, error) {
	name := segmentName(l.dir, info.base) + logSuffix
	size, err := l.fs.Size(name)
	switch {
	case errors.Is(err, errNotExist):
		return &CorruptError{name, 0, info.base, fmt.Sprintf("the file is missing, and the checkpoint at entry %d covers it", c.lastIndex)}, nil
	case err != nil:
		return nil, err
	case size < info.size:
		return &CorruptError{name, size, -1, fmt.Sprintf("it is shorter than the %d bytes that the checkpoint at entry %d covers", info.size, c.lastIndex)}, nil
	}
	return nil, nil
}

// adopt makes a checkpoint the state of the log. Where entries go on, and what the log's owner knows, it says also if a segment is
// damaged; only in the last one, which was written to, there may have been more.
func (l *Log) adopt(c *checkpoint, bases *[]int64) error {
	var lost *CorruptError // the first of those that lack something
	for n, info := range c.segments {
		damage, err := l.lacking(c, info)
		if err != nil {
			return err
		}
		if lost == nil {
			lost = damage
		}
		last := n == len(c.segments)-1
		if damage != nil && (last || !l.cfg.Load().Repairable) {
			return lost
		}
		s := &segment{
			fs: l.fs, name: segmentName(l.dir, info.base), base: info.base, firstIndex: info.firstIndex, prevTerm: info.prevTerm,
			size: info.size, firstTime: info.firstTime, maxTime: info.maxTime, sealed: !last, trusted: info.size, damaged: damage != nil,
		}
		l.segments = append(l.segments, s)
	}
	first := l.segments[0]
	// Segments that are older than all that the checkpoint covers were removed, but the removal was not durable.
	for len(*bases) > 0 && (*bases)[0] < first.base {
		old := &segment{fs: l.fs, name: segmentName(l.dir, (*bases)[0])}
		if err := old.remove(); err != nil {
			return err
		}
		*bases = (*bases)[1:]
	}
	l.start, l.end, l.lastIndex, l.lastTerm = max(c.start, first.base), c.end, c.lastIndex, c.lastTerm
	l.terms, l.owns, l.saved = c.terms, c.owns, c.end
	l.forgetBelow(first)
	active := l.active()
	l.savedBase.Store(active.base)
	if err := l.loadIndex(active); err != nil {
		return err
	}
	if l.state != nil {
		return l.state.Restore(c.state)
	}
	return nil
}

// loadIndex reads the active segment's index entries into memory, as far as they are whole.
func (l *Log) loadIndex(s *segment) error {
	b, err := vfs.ReadFile(l.fs, s.name+indexSuffix)
	if err != nil && !errors.Is(err, errNotExist) {
		return err
	}
	s.index, s.lastIndex = s.index[:0], 0
	for ; len(b) >= indexEntrySize; b = b[indexEntrySize:] {
		e, ok := parseIndexEntry(b)
		if !ok || int64(e.pos) >= s.size || len(s.index) > 0 && e.pos <= s.index[len(s.index)-1].pos {
			break
		}
		s.index = append(s.index, e)
		s.lastIndex = int64(e.pos)
	}
	s.written = len(s.index)
	if len(b) > 0 {
		return l.dropIndex(s)
	}
	return nil
}

// dropIndex removes an index file with entries for what a crash took from the segment. If it were only overwritten, another
// crash could bring them back, when they are wrong for what the segment then holds.
func (l *Log) dropIndex(s *segment) error {
	s.written = 0
	if err := s.removeIndex(); err != nil {
		return err
	}
	return l.fs.SyncDir(l.dir)
}

// begin readies a log without a checkpoint for the scan of all of its segments.
func (l *Log) begin(base int64, indexes []int64) error {
	s := &segment{fs: l.fs, name: segmentName(l.dir, base), base: base, firstTime: -1, maxTime: -1}
	firstIndex, prevTerm, err := l.readHeader(s)
	if err != nil {
		return err
	}
	s.firstIndex, s.prevTerm, s.size = firstIndex, prevTerm, headerFrame
	l.segments = []*segment{s}
	l.start, l.end, l.lastIndex, l.lastTerm = base, base, firstIndex-1, prevTerm
	if slices.Contains(indexes, base) {
		return l.dropIndex(s)
	}
	return nil
}

// beginAgain makes an empty log of one whose very first header never reached the disk: nothing in it was synced. A header that
// is there and wrong is damage, and nothing is cut.
func (l *Log) beginAgain(bases []int64, r *Recovery) error {
	name := segmentName(l.dir, bases[0]) + logSuffix
	file, err := l.fs.Open(name)
	if err != nil {
		return err
	}
	var b [headerFrame]byte
	n, err := file.ReadAt(b[:], 0)
	if err = errors.Join(err, file.Close()); err != nil && !errors.Is(err, io.EOF) {
		return err
	}
	if bases[0] != 0 || n == len(b) && b != [headerFrame]byte{} {
		return &CorruptError{name, 0, bases[0], "its header is damaged"}
	}
	if err := l.setAside(bases, r); err != nil {
		return err
	}
	return l.create()
}

// readHeader reads and checks a segment's header frame. A header that is not whole is io.ErrUnexpectedEOF.
func (l *Log) readHeader(s *segment) (firstIndex, prevTerm uint64, err error) {
	file, err := s.open()
	if err != nil {
		return 0, 0, err
	}
	defer s.release()
	var b [headerFrame]byte
	if _, err := file.ReadAt(b[:], 0); err != nil {
		if err == io.EOF {
			err = io.ErrUnexpectedEOF
		}
		return 0, 0, err
	}
	base, firstIndex, prevTerm, err := l.checkHeader(b[:], s.name+logSuffix)
	if err == nil && base != s.base {
		err = &CorruptError{s.name + logSuffix, 0, s.base, fmt.Sprintf("its header says offset %d", base)}
	}
	return firstIndex, prevTerm, err
}

// checkHeader reads a segment's header frame, which stands in a file. One that is not whole is io.ErrUnexpectedEOF.
func (l *Log) checkHeader(b []byte, file string) (base int64, firstIndex, prevTerm uint64, err error) {
	f, err := parseFrame(b)
	if err != nil || f.kind != segmentHeader || f.magic != ownMagic || f.size != headerFrame || !checkFrame(b) {
		return 0, 0, 0, io.ErrUnexpectedEOF
	}
	version, id, firstIndex := parseHeader(b)
	if version != formatVersion {
		return 0, 0, 0, fmt.Errorf("%s has format %d, and this version knows %d: start the node with the version that wrote it", file, version, formatVersion)
	}
	if id != l.id {
		return 0, 0, 0, &IdentityError{file, id}
	}
	return f.base, firstIndex, uint64(uint32(f.epoch)), nil
}

// scan reads what no checkpoint covers, checks it, and cuts off what is not whole.
func (l *Log) scan(bases, indexes []int64, r *Recovery) error {
	later := slices.DeleteFunc(slices.Clone(bases), func(b int64) bool { return b <= l.active().base })
	for {
		damage, err := l.scanSegment(r)
		if err != nil {
			return err
		}
		if damage != nil {
			return l.cutTail(damage, later, r)
		}
		if len(later) == 0 {
			return nil
		}
		s := &segment{fs: l.fs, name: segmentName(l.dir, later[0]), base: later[0], firstTime: -1, maxTime: -1}
		firstIndex, prevTerm, err := l.readHeader(s)
		switch {
		case errors.Is(err, io.ErrUnexpectedEOF), err == nil && (s.base > l.end || firstIndex > l.lastIndex+1):
			return l.cutTail(nil, later, r) // the end of the segment before it, or its own header, was not yet on disk
		case err != nil:
			return err
		case s.base != l.end || firstIndex != l.lastIndex+1:
			return &CorruptError{s.name + logSuffix, 0, l.end, fmt.Sprintf("the segment begins with entry %d, and entry %d should follow", firstIndex, l.lastIndex+1)}
		}
		if slices.Contains(indexes, s.base) {
			if err := l.dropIndex(s); err != nil {
				return err
			}
		}
		s.firstIndex, s.prevTerm, s.size = firstIndex, prevTerm, headerFrame
		old := l.active()
		old.index = append(old.index, indexEntry{uint32(l.end - old.base), uint32(l.lastIndex + 1 - old.firstIndex), uint32(old.size), old.maxTime})
		if _, err := old.writeIndex(); err != nil {
			return err
		}
		old.sealed, old.index = true, nil
		l.segments = append(l.segments, s)
		l.rolled = true
		later = later[1:]
	}
}

// scanSegment takes in the frames of the active segment from its covered size on. It gives the damage that ends it, if any.
func (l *Log) scanSegment(r *Recovery) (*CorruptError, error) {
	s := l.active()
	file, err := s.open()
	if err != nil {
		return nil, err
	}
	defer s.release()
	size, err := file.Size()
	if err != nil {
		return nil, err
	}
	w := newWalker(file, s, indexEntry{offset: uint32(l.end - s.base), pos: uint32(s.size), index: uint32(l.lastIndex + 1 - s.firstIndex)}, size, scanChunk)
	for {
		f, b, err := w.checked()
		if err == io.EOF {
			return nil, nil
		}
		var damage *CorruptError
		if errors.As(err, &damage) {
			unused, err := isRoom(file, s.size, size)
			if err != nil || !unused {
				return damage, err
			}
			s.room = size
			return nil, l.trim(s)
		}
		if err != nil {
			return nil, err
		}
		if term := uint64(uint32(f.epoch)); !f.entry() || term < l.lastTerm || f.kind == Batch && term != l.lastTerm {
			w.pos -= f.size
			w.next_ = f.base
			return w.corrupt("the frame does not belong there").(*CorruptError), nil
		}
		l.take(s, f, b)
		r.Scanned += f.size
		r.Records += f.next - f.base
		l.dirty.addFile(s)
	}
}

// take makes a frame that was found in a file part of the log in memory.
func (l *Log) take(s *segment, f frame, b []byte) {
	index, term := l.lastIndex+1, uint64(uint32(f.epoch))
	s.noteIndex(l.cfg.Load().IndexIntervalBytes, f.base, index, s.size)
	if term != l.lastTerm {
		l.terms = append(l.terms, termStart{term, index, f.base})
	}
	if f.kind == Batch {
		h, err := record.ParseHeader(b)
		if err != nil {
			panic("BUG: a checked batch has no header")
		}
		if l.state != nil {
			l.state.Replay(h)
		}
		if s.firstTime < 0 {
			s.firstTime = h.MaxTimestamp
		}
		s.maxTime = max(s.maxTime, h.MaxTimestamp)
	} else {
		l.owns = append(l.owns, ownEntry{Entry{index, term, f.kind, slices.Clone(b[frameHeader:])}, f.base, s.base, s.size, f.size})
	}
	s.size += f.size
	l.since += f.size
	l.end, l.lastIndex, l.lastTerm = f.next, index, term
	l.marks = append(l.marks, mark{index, f.next, s.base, s.size})
	if len(l.marks) > marksMax {
		l.marks = append(l.marks[:0], l.marks[len(l.marks)-marksMax/2:]...)
	}
}

// cutTail ends the log where it is no longer whole, durably: what came back after another crash would mix with what was written
// since. What is cut off is kept beside the log, for whoever wants to look.
func (l *Log) cutTail(damage *CorruptError, later []int64, r *Recovery) error {
	s := l.active()
	file, err := s.open()
	if err != nil {
		return err
	}
	defer s.release()
	size, err := file.Size()
	if err != nil {
		return err
	}
	if size > s.size {
		if err := l.keepAside(s, file, size, r); err != nil {
			return err
		}
		if damage != nil {
			r.Note = damage.Reason
		}
		if err := errors.Join(file.Truncate(s.size), file.Sync()); err != nil {
			return err
		}
	}
	return l.setAside(later, r)
}

// setAside takes segments out of the log, durably: if one came back after a crash, it would not fit what was written since.
// Those that hold more than a header are kept beside the log.
func (l *Log) setAside(bases []int64, r *Recovery) error {
	for _, base := range bases {
		gone := &segment{fs: l.fs, name: segmentName(l.dir, base)}
		n, err := l.fs.Size(gone.name + logSuffix)
		if err != nil {
			return err
		}
		if n > headerFrame {
			r.Cut += n
			r.CutFile = gone.name + ".cut"
			if err := errors.Join(l.fs.Rename(gone.name+logSuffix, r.CutFile), gone.removeIndex()); err != nil {
				return err
			}
		} else if err := gone.remove(); err != nil {
			return err
		}
	}
	if len(bases) == 0 {
		return nil
	}
	return l.fs.SyncDir(l.dir)
}

// keepAside copies what is about to be cut off, unless there is nothing in it.
func (l *Log) keepAside(s *segment, file vfs.File, size int64, r *Recovery) error {
	b := make([]byte, min(size-s.size, math.MaxInt32))
	if _, err := file.ReadAt(b, s.size); err != nil && err != io.EOF {
		return err
	}
	r.Cut += int64(len(b))
	r.CutFile = s.name + ".cut"
	return vfs.WriteFileAtomic(l.fs, r.CutFile, b)
}
