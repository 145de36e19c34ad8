package log

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"io/fs"
	"path"
	"sort"
	"sync"

	"github.com/weir/weir/internal/vfs"
)

// segment is one file of the log. Its fields are guarded by Log.mu, except what says otherwise.
type segment struct {
	fs         vfs.FS
	name       string // path without the ending
	base       int64
	firstIndex uint64
	prevTerm   uint64 // term of the entry before the first
	size       int64  // bytes that are part of the log
	room       int64  // up to where the file has zeros for what comes next (see room.go), if that is more than size; the writer's own
	firstTime  int64  // newest timestamp of the first batch; -1: none yet
	maxTime    int64  // newest timestamp; -1: none
	sealed     bool
	index      []indexEntry // of the active segment; sealed ones have theirs on disk, unless it was full
	lastIndex  int64        // position of the newest index entry, of the active segment
	written    int          // entries of index that are in the file

	// What this process did not write must be checked before it is served: bytes from trusted on, and those in
	// [from, to), are known to be good.
	trusted  int64
	from, to int64
	damaged  bool // bytes of it were found not to be what was written, and are not yet written anew

	fileMu   sync.Mutex // guards what follows
	file     vfs.File
	replaced []vfs.File // that readers may still have
	idx      vfs.File
	refs     int
	gone     bool
}

// ErrRemoved says that a segment is no longer part of the log.
var ErrRemoved = errors.New("it was removed")

const (
	indexEntrySize = 24
	logSuffix      = ".log"
	indexSuffix    = ".index"
)

// indexEntry says what is at a position of a segment.
type indexEntry struct {
	offset uint32 // relative to the segment's base
	index  uint32 // relative to the segment's first Raft index
	pos    uint32
	before int64 // newest timestamp before pos
}

func (e indexEntry) appendTo(b []byte) []byte {
	at := len(b)
	b = binary.BigEndian.AppendUint32(b, e.offset)
	b = binary.BigEndian.AppendUint32(b, e.index)
	b = binary.BigEndian.AppendUint32(b, e.pos)
	b = append(b, 0, 0, 0, 0)
	b = binary.BigEndian.AppendUint64(b, uint64(e.before))
	binary.BigEndian.PutUint32(b[at+12:], indexCRC(b[at:]))
	return b
}

func indexCRC(b []byte) uint32 {
	return crc32.Update(crc32.Checksum(b[:12], castagnoli), castagnoli, b[16:24])
}

func parseIndexEntry(b []byte) (indexEntry, bool) {
	be := binary.BigEndian
	e := indexEntry{be.Uint32(b), be.Uint32(b[4:]), be.Uint32(b[8:]), int64(be.Uint64(b[16:]))}
	return e, be.Uint32(b[12:]) == indexCRC(b)
}

func segmentName(dir string, base int64) string { return path.Join(dir, fmt.Sprintf("%020d", base)) }

// open gives the segment's file, opened if need be. Every successful open needs a release.
func (s *segment) open() (vfs.File, error) {
	s.fileMu.Lock()
	defer s.fileMu.Unlock()
	if s.file == nil {
		if s.gone {
			return nil, fmt.Errorf("segment %s: %w", s.name, ErrRemoved)
		}
		f, err := s.fs.OpenReadWrite(s.name + logSuffix)
		if errors.Is(err, errNotExist) {
			return nil, s.missing()
		}
		if err != nil {
			return nil, err
		}
		s.file = f
	}
	s.refs++
	return s.file, nil
}

func (s *segment) missing() error {
	return &CorruptError{File: s.name + logSuffix, Offset: s.base, Reason: "the file is missing"}
}

func (s *segment) release() {
	s.fileMu.Lock()
	defer s.fileMu.Unlock()
	s.refs--
	if s.refs > 0 {
		return
	}
	s.closeReplaced()
	if s.gone {
		s.closeFiles()
	}
}

// reopen makes the next who opens the file get the one that now has its name.
func (s *segment) reopen() {
	s.fileMu.Lock()
	defer s.fileMu.Unlock()
	if s.file != nil {
		s.replaced, s.file = append(s.replaced, s.file), nil
	}
	if s.refs == 0 {
		s.closeReplaced()
	}
}

// closeReplaced is called under fileMu.
func (s *segment) closeReplaced() {
	for _, f := range s.replaced {
		_ = f.Close()
	}
	s.replaced = nil
}

// Sync makes what was written durable. There is nothing to be done for a segment that was removed.
func (s *segment) Sync() error {
	file, err := s.open()
	if errors.Is(err, ErrRemoved) {
		return nil
	}
	if err != nil {
		return err
	}
	defer s.release()
	return file.Sync()
}

// indexFile is the index of a segment as a file to sync.
type indexFile struct {
	segment *segment
	file    vfs.File
}

// Sync makes the index durable, unless it was removed.
func (i indexFile) Sync() error {
	err := i.file.Sync()
	if errors.Is(err, fs.ErrClosed) {
		i.segment.fileMu.Lock()
		defer i.segment.fileMu.Unlock()
		if i.segment.idx != i.file {
			return nil
		}
	}
	return err
}

// closeFiles is called under fileMu. Nothing is written through these any more, so a failing close changes nothing.
func (s *segment) closeFiles() {
	if s.file != nil {
		_ = s.file.Close()
	}
	if s.idx != nil {
		_ = s.idx.Close()
	}
	s.file, s.idx = nil, nil
}

// retire closes the files once nobody reads them.
func (s *segment) retire() {
	s.fileMu.Lock()
	defer s.fileMu.Unlock()
	s.gone = true
	if s.refs == 0 {
		s.closeFiles()
	}
}

// remove deletes the segment. Readers that have it keep it until they release it.
func (s *segment) remove() error {
	s.retire()
	err := s.fs.Remove(s.name + logSuffix)
	if errors.Is(err, errNotExist) {
		err = nil
	}
	return errors.Join(err, s.removeIndex())
}

// removeIndex deletes the index file. After a cut its entries are right again only in memory, and a crash must not bring
// those back that are wrong.
func (s *segment) removeIndex() error {
	s.fileMu.Lock()
	defer s.fileMu.Unlock()
	if s.idx != nil {
		_ = s.idx.Close()
		s.idx = nil
	}
	err := s.fs.Remove(s.name + indexSuffix)
	if errors.Is(err, errNotExist) {
		return nil
	}
	return err
}

// noteIndex adds an index entry for what is about to be at pos, if the last one is far enough back.
func (s *segment) noteIndex(interval int, offset int64, index uint64, pos int64) {
	if pos-s.lastIndex < int64(interval) {
		return
	}
	s.index = append(s.index, indexEntry{uint32(offset - s.base), uint32(index - s.firstIndex), uint32(pos), s.maxTime})
	s.lastIndex = pos
}

// writeIndex brings the index file up to the entries in memory.
func (s *segment) writeIndex() (vfs.File, error) {
	s.fileMu.Lock()
	defer s.fileMu.Unlock()
	if s.idx == nil {
		f, err := s.fs.OpenReadWrite(s.name + indexSuffix)
		if errors.Is(err, errNotExist) {
			f, err = s.fs.Create(s.name + indexSuffix)
		}
		if err != nil {
			return nil, err
		}
		s.idx = f
	}
	if s.written == len(s.index) {
		return s.idx, nil
	}
	b := make([]byte, 0, (len(s.index)-s.written)*indexEntrySize)
	for _, e := range s.index[s.written:] {
		b = e.appendTo(b)
	}
	if _, err := s.idx.WriteAt(b, int64(s.written)*indexEntrySize); err != nil {
		return nil, err
	}
	if err := s.idx.Truncate(int64(len(s.index)) * indexEntrySize); err != nil {
		return nil, err
	}
	s.written = len(s.index)
	return s.idx, nil
}

var errIndex = errors.New("index is damaged")

// search finds the last index entry for which before holds; entries are in order, so before is true up to some entry.
// Without one it gives the segment's start. active are the entries in memory, if that is where they are.
func (s *segment) search(active []indexEntry, before func(indexEntry) bool) (indexEntry, error) {
	start := indexEntry{pos: headerFrame, before: -1}
	if !s.sealed || len(active) > 0 {
		n := sort.Search(len(active), func(i int) bool { return !before(active[i]) })
		if n == 0 {
			return start, nil
		}
		return active[n-1], nil
	}
	idx, err := s.openIndex()
	if err != nil {
		return start, err
	}
	size, err := idx.Size()
	if err != nil {
		return start, err
	}
	var failed error
	read := func(i int) indexEntry {
		var b [indexEntrySize]byte
		if _, err := idx.ReadAt(b[:], int64(i)*indexEntrySize); err != nil && err != io.EOF {
			failed = err
		}
		e, ok := parseIndexEntry(b[:])
		if !ok {
			failed = errIndex
		}
		return e
	}
	n := sort.Search(int(size/indexEntrySize), func(i int) bool { return !before(read(i)) })
	if failed != nil {
		return start, failed
	}
	if n == 0 {
		return start, nil
	}
	e := read(n - 1)
	return e, failed
}

func (s *segment) openIndex() (vfs.File, error) {
	s.fileMu.Lock()
	defer s.fileMu.Unlock()
	if s.idx == nil {
		f, err := s.fs.OpenReadWrite(s.name + indexSuffix)
		if err != nil {
			return nil, err
		}
		s.idx = f
	}
	return s.idx, nil
}
