package log

import (
	"cmp"
	"errors"
	"fmt"
	"io"
	"path"
	"slices"
	"strings"

	"github.com/weir/weir/internal/vfs"
	"github.com/weir/weir/record"
)

// Finding is something that is not as it should be in the files of a log.
type Finding struct {
	File string
	Pos  int64 // byte position in the file; -1: the file as a whole
	// Damage: bytes are not what was written, or are missing. Otherwise it is what a crash may leave behind, or what a node that
	// is running has not completely written yet: the next start puts it right.
	Damage bool
	Reason string
}

// Checked sums up what was checked.
type Checked struct {
	Segments       int
	Bytes, Records int64
}

// Checker checks the files of logs without changing anything: every checksum, that offsets, Raft indexes and terms follow each
// other without a gap, that segments, index files and checkpoints agree. The node may be running.
type Checker struct {
	FS    vfs.FS
	Found func(Finding)
	// Read is called with the number of bytes checked since the last call. An error of it ends the check.
	Read func(bytes int64) error
	Sum  Checked
}

// Folder checks the log in a folder, and gives whose it is; the zero value if no segment tells. An error means that the
// check did not go on, not that something was found.
func (c *Checker) Folder(dir string) (Identity, error) {
	files, err := (&Log{fs: c.FS, dir: dir}).list()
	if err != nil {
		return Identity{}, err
	}
	k := &folderCheck{Checker: c, dir: dir, whole: true}
	k.loadCheckpoints(files.checkpoints, k.Found)
	if len(files.bases) == 0 && len(k.checkpoints) > 0 {
		k.damage(dir, -1, "the segments that its checkpoints cover are missing")
	}
	k.missingFront(files.bases)
	for i, base := range files.bases {
		if n := k.newest(); n != nil && base < n.segments[0].base && i < len(files.bases)-1 {
			continue // it was removed, but the removal was not durable: the next start removes it
		}
		if err := k.segment(base, i == len(files.bases)-1); err != nil {
			return k.identity(), err
		}
	}
	k.compareCheckpoints()
	return k.identity(), nil
}

// missingFront tells of segments at the front that were lost: those that were removed are below where the log starts. Others that
// are missing show in what does not follow.
func (k *folderCheck) missingFront(bases []int64) {
	n := k.newest()
	for i := 0; n != nil && len(bases) > 0 && i < len(n.segments) && n.segments[i].base < bases[0]; i++ {
		if n.next(i) > n.start {
			k.damage(segmentName(k.dir, n.segments[i].base)+logSuffix, -1, "it is missing, and the checkpoint covers it")
		}
	}
}

// Segment checks one segment file, its index file, and what the checkpoints beside it say of it.
func (c *Checker) Segment(name string) error {
	k := &folderCheck{Checker: c, dir: path.Dir(name)}
	files, err := (&Log{fs: c.FS, dir: k.dir}).list()
	if err != nil {
		return err
	}
	name = strings.TrimSuffix(name, logSuffix)
	for i, base := range files.bases {
		if segmentName(k.dir, base) == path.Clean(name) {
			k.loadCheckpoints(files.checkpoints, func(Finding) {})
			return k.check(name, base, i == len(files.bases)-1)
		}
	}
	return k.check(name, -1, true) // a copy, with a name of its own
}

// folderCheck is the check of a folder.
type folderCheck struct {
	*Checker
	dir         string
	checkpoints []*checkpointCheck // newest last
	id          *Identity
	first       uint64 // first Raft index of the first segment; 0: none was read
	whole       bool   // nothing that was read so far is damaged or missing
	// sure: what was read last was whole, so that what follows has to continue it.
	sure                bool
	end                 int64
	lastIndex, lastTerm uint64
	terms               []termStart
	owns                []ownEntry
}

// checkpointCheck is a checkpoint that could be read. met: its end was found in a segment.
type checkpointCheck struct {
	*checkpoint
	name string
	met  bool
}

func (k *folderCheck) identity() Identity {
	if k.id == nil {
		return Identity{}
	}
	return *k.id
}

// broken notes that what comes next cannot be expected to continue what was read.
func (k *folderCheck) broken() { k.whole, k.sure = false, false }

func (k *folderCheck) damage(file string, pos int64, format string, args ...any) {
	k.Found(Finding{file, pos, true, fmt.Sprintf(format, args...)})
}

// newest gives the newest checkpoint; nil: there is none.
func (k *folderCheck) newest() *checkpoint {
	if len(k.checkpoints) == 0 {
		return nil
	}
	return k.checkpoints[len(k.checkpoints)-1].checkpoint
}

// covered gives how many bytes of a segment a checkpoint vouches for.
func (k *folderCheck) covered(base int64) int64 {
	if n := k.newest(); n != nil {
		for _, s := range n.segments {
			if s.base == base {
				return s.size
			}
		}
	}
	return 0
}

func (k *folderCheck) loadCheckpoints(indexes []uint64, found func(Finding)) {
	for _, index := range indexes {
		name := checkpointName(k.dir, index)
		b, err := vfs.ReadFile(k.FS, name)
		if errors.Is(err, errNotExist) {
			continue // a newer one took its place meanwhile
		}
		var parsed *checkpoint
		if err == nil {
			parsed, err = parseCheckpoint(b)
		}
		switch {
		case err != nil:
			found(Finding{name, -1, true, err.Error()})
		case parsed.lastIndex != index:
			found(Finding{name, -1, true, fmt.Sprintf("it covers entries up to %d, and not %d as its name says", parsed.lastIndex, index)})
		default:
			k.checkpoints = append(k.checkpoints, &checkpointCheck{parsed, name, false})
		}
	}
}

// segment checks the next segment.
func (k *folderCheck) segment(base int64, last bool) error {
	err := k.check(segmentName(k.dir, base), base, last)
	if errors.Is(err, errNotExist) {
		k.broken() // removed meanwhile: the next one begins anew
		return nil
	}
	return err
}

// check checks a segment file. base is what its name says; -1: whatever it says itself.
func (k *folderCheck) check(name string, base int64, last bool) error {
	file, err := k.FS.Open(name + logSuffix)
	if err != nil {
		return err
	}
	defer file.Close()
	size, err := file.Size()
	if err != nil {
		return err
	}
	s := &segmentCheck{folderCheck: k, name: name + logSuffix, last: last, covered: k.covered(base), size: size,
		w: &walker{file: file, name: name + logSuffix, end: size, chunk: scanChunk, next_: -1}, firstTime: -1, maxTime: -1}
	k.Sum.Segments++
	if s.covered > size {
		k.damage(s.name, size, "it ends there, but the checkpoint covers %d bytes", s.covered)
		k.broken()
	}
	if !s.header(base) {
		k.broken()
		return k.read(size)
	}
	if err := s.loadIndex(name + indexSuffix); err != nil {
		return err
	}
	return s.frames()
}

func (c *Checker) read(n int64) error {
	c.Sum.Bytes += n
	if c.Read == nil {
		return nil
	}
	return c.Read(n)
}

// compareCheckpoints compares what checkpoints say of all segments with what was read.
func (k *folderCheck) compareCheckpoints() {
	if !k.whole || k.first == 0 {
		return // what was read is not whole, which is told already
	}
	for _, c := range k.checkpoints {
		terms := slices.DeleteFunc(slices.Clone(k.terms), func(t termStart) bool { return t.index > c.lastIndex || t.index <= k.first })
		itsTerms := slices.DeleteFunc(slices.Clone(c.terms), func(t termStart) bool { return t.index <= k.first })
		owns := slices.DeleteFunc(slices.Clone(k.owns), func(o ownEntry) bool { return o.Index > c.lastIndex })
		itsOwns := slices.DeleteFunc(slices.Clone(c.owns), func(o ownEntry) bool { return o.Index < k.first })
		switch {
		case !c.met && c.lastIndex >= k.first:
			k.damage(c.name, -1, "it covers the log up to entry %d, which is no place where a frame ends", c.lastIndex)
		case !c.met:
			// An older one, all of whose segments were removed since.
		case !slices.Equal(terms, itsTerms):
			k.damage(c.name, -1, "it has other leader epochs than the segments")
		case !slices.EqualFunc(owns, itsOwns, sameOwn):
			k.damage(c.name, -1, "it has other entries of Raft's own than the segments")
		}
	}
}

func sameOwn(a, b ownEntry) bool {
	return a.Index == b.Index && a.Term == b.Term && a.Kind == b.Kind && string(a.Data) == string(b.Data) &&
		a.offset == b.offset && a.segment == b.segment && a.pos == b.pos && a.size == b.size
}

// segmentCheck is the check of a segment.
type segmentCheck struct {
	*folderCheck
	name               string
	base               int64
	last               bool // the log's last one
	covered            int64
	size               int64
	w                  *walker
	index              []indexEntry // not yet compared
	firstIndex         uint64
	firstTime, maxTime int64
}

// header checks the segment's header and whether it continues the segment before. false: it is no header to go on from.
func (s *segmentCheck) header(base int64) bool {
	f, b, err := s.w.checked()
	if err != nil || f.kind != segmentHeader || f.magic != ownMagic || f.size != headerFrame {
		if s.last && s.covered == 0 && base >= 0 {
			s.Found(Finding{s.name, 0, false, "its header is not whole: the next start removes the file, or keeps it aside"})
			return false
		}
		s.damage(s.name, 0, "its header is damaged")
		return false
	}
	version, id, firstIndex := parseHeader(b)
	if version != formatVersion {
		s.damage(s.name, 0, "it has format %d, and this version knows %d", version, formatVersion)
		return false
	}
	prevTerm := uint64(uint32(f.epoch))
	switch {
	case base >= 0 && f.base != base:
		s.damage(s.name, 0, "its header says that it begins with offset %d", f.base)
	case s.id != nil && *s.id != id:
		s.damage(s.name, 0, "it belongs to partition %d of topic id %x, unlike the segment before", id.Partition, id.TopicID)
	case s.sure && s.first != 0 && (f.base != s.end || firstIndex != s.lastIndex+1 || prevTerm != s.lastTerm):
		s.damage(s.name, 0, "it begins with offset %d, entry %d after term %d; offset %d, entry %d after term %d should follow",
			f.base, firstIndex, prevTerm, s.end, s.lastIndex+1, s.lastTerm)
	}
	for _, c := range s.checkpoints {
		i := slices.IndexFunc(c.segments, func(i segmentInfo) bool { return i.base == f.base })
		if i < 0 {
			continue
		}
		if info := c.segments[i]; info.firstIndex != firstIndex || info.prevTerm != prevTerm || i < len(c.segments)-1 && info.size != s.size {
			s.damage(c.name, -1, "it describes segment %s otherwise than the segment itself", path.Base(s.name))
		}
	}
	if s.first == 0 {
		s.first = firstIndex
	}
	s.id, s.base, s.firstIndex, s.sure = &id, f.base, firstIndex, true
	s.end, s.lastIndex, s.lastTerm = f.base, firstIndex-1, prevTerm
	return true
}

// indexFinding tells about an index file that is not whole. Nothing depends on it, but below a checkpoint it should be.
func (s *segmentCheck) indexFinding(pos int64, reason string) {
	s.Found(Finding{strings.TrimSuffix(s.name, logSuffix) + indexSuffix, pos, s.covered > 0 && !s.last, reason + "; it is made anew when it is needed"})
	s.index = nil
}

func (s *segmentCheck) loadIndex(name string) error {
	b, err := vfs.ReadFile(s.FS, name)
	switch {
	case errors.Is(err, errNotExist):
		if !s.last {
			s.Found(Finding{name, -1, false, "it is missing; it is made anew when it is needed"})
		}
		return nil
	case err != nil:
		s.damage(name, -1, "%v", err)
		return nil
	}
	if err := s.read(int64(len(b))); err != nil {
		return err
	}
	whole := len(b) - len(b)%indexEntrySize
	for at := 0; at < whole; at += indexEntrySize {
		e, ok := parseIndexEntry(b[at:])
		if !ok {
			s.indexFinding(int64(at), "an entry's checksum does not match")
			return nil
		}
		s.index = append(s.index, e)
	}
	if !slices.IsSortedFunc(s.index, func(a, b indexEntry) int { return cmp.Compare(a.pos, b.pos) }) {
		s.indexFinding(-1, "its entries are not in order")
	}
	if whole < len(b) {
		s.indexFinding(int64(whole), "its last entry is cut off")
	}
	if n := len(s.index); !s.last && (n == 0 || int64(s.index[n-1].pos) != s.size) {
		s.indexFinding(-1, "it does not reach the end of the segment")
	}
	return nil
}

// frames goes through the segment.
func (s *segmentCheck) frames() error {
	s.w.next_, s.w.index = s.base, s.firstIndex
	if err := s.read(s.w.pos); err != nil {
		return err
	}
	for {
		pos := s.w.pos
		s.compareAt(pos)
		f, b, err := s.w.checked()
		if err == io.EOF {
			return nil
		}
		reason := ""
		var damage *CorruptError
		switch {
		case errors.As(err, &damage):
			reason = damage.Reason
		case err != nil:
			s.damage(s.name, pos, "%v", err)
			s.broken()
			return s.read(s.size - pos)
		default:
			reason = s.misplaced(f)
		}
		if reason != "" {
			unused, err := isRoom(s.w.file, pos, s.size)
			if err != nil || unused && pos >= s.covered || !s.passOver(pos, f, reason) {
				return errors.Join(err, s.read(s.size-pos))
			}
		}
		if reason == "" {
			s.take(f, b, pos)
		}
		if err := s.read(s.w.pos - pos); err != nil {
			return err
		}
	}
}

// misplaced tells why a frame, which is whole, cannot follow the one before; empty: it can.
func (s *segmentCheck) misplaced(f frame) string {
	term := uint64(uint32(f.epoch))
	switch {
	case !f.entry():
		return "a second segment header"
	case s.sure && (term < s.lastTerm || f.kind == Batch && term != s.lastTerm):
		return fmt.Sprintf("its leader epoch is %d after %d", term, s.lastTerm)
	}
	return ""
}

// passOver tells about a frame that is damaged and steps over it. false: there is nothing whole after it to go on with.
func (s *segmentCheck) passOver(pos int64, f frame, reason string) bool {
	s.broken()
	next := &walker{file: s.w.file, name: s.w.name, pos: pos + f.size, end: s.size, chunk: s.w.chunk, next_: -1}
	follows := false
	if f.size >= frameHeader && next.pos < s.size {
		_, _, err := next.checked()
		follows = err == nil
	}
	if pos >= s.covered && s.last && !follows {
		s.Found(Finding{s.name, pos, false,
			fmt.Sprintf("the last %d bytes are not whole (%s): the next start cuts them off and keeps them aside", s.size-pos, reason)})
		return false
	}
	if pos+f.size > s.size && s.covered > s.size {
		return false // that the file is too short is told already
	}
	if !follows && s.size > pos+f.size {
		reason += "; what follows in the file cannot be read"
	}
	s.damage(s.name, pos, "%s", reason)
	if follows {
		s.w.pos, s.w.next_ = pos+f.size, -1
	}
	return follows
}

// take notes a frame that is as it should be.
func (s *segmentCheck) take(f frame, b []byte, pos int64) {
	index, term := s.lastIndex+1, uint64(uint32(f.epoch))
	if term != s.lastTerm {
		s.terms = append(s.terms, termStart{term, index, f.base})
	}
	if f.kind == Batch {
		h, err := record.ParseHeader(b)
		if err != nil {
			panic("BUG: a checked batch has no header")
		}
		if s.firstTime < 0 {
			s.firstTime = h.MaxTimestamp
		}
		s.maxTime = max(s.maxTime, h.MaxTimestamp)
		s.Sum.Records += f.next - f.base
	} else {
		s.owns = append(s.owns, ownEntry{Entry{index, term, f.kind, slices.Clone(b[frameHeader:])}, f.base, s.base, pos, f.size})
	}
	s.end, s.lastIndex, s.lastTerm = f.next, index, term
}

// compareAt compares what the index and the checkpoints say of a place between two frames with what was read up to there.
func (s *segmentCheck) compareAt(pos int64) {
	if !s.sure {
		s.index = nil
		return
	}
	for len(s.index) > 0 && int64(s.index[0].pos) <= pos {
		e := s.index[0]
		s.index = s.index[1:]
		want := indexEntry{uint32(s.end - s.base), uint32(s.lastIndex + 1 - s.firstIndex), uint32(pos), s.maxTime}
		if e != want {
			s.damage(strings.TrimSuffix(s.name, logSuffix)+indexSuffix, -1,
				"its entry for byte %d says offset %d and entry %d; the segment has offset %d and entry %d at byte %d",
				e.pos, s.base+int64(e.offset), s.firstIndex+uint64(e.index), s.end, s.lastIndex+1, pos)
			s.index = nil
		}
	}
	for _, c := range s.checkpoints {
		info := c.segments[len(c.segments)-1]
		if info.base != s.base || info.size != pos {
			continue
		}
		c.met = true
		if c.end != s.end || c.lastIndex != s.lastIndex || c.lastTerm != s.lastTerm || info.firstTime != s.firstTime || info.maxTime != s.maxTime {
			s.damage(c.name, -1, "it says that the log ends with offset %d, entry %d of term %d at byte %d of %s; there it is offset %d, entry %d of term %d",
				c.end, c.lastIndex, c.lastTerm, pos, path.Base(s.name), s.end, s.lastIndex, s.lastTerm)
		}
	}
}
