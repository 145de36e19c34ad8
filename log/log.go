package log

import (
	"io/fs"
	"slices"
	"sort"
	"sync"
	"sync/atomic"

	"github.com/weir/weir/internal/vfs"
	"github.com/weir/weir/record"
)

var errNotExist = fs.ErrNotExist

// Config is what a log needs to know of its topic's configuration.
type Config struct {
	SegmentBytes       int64
	SegmentMs          int64
	IndexIntervalBytes int
	RetentionMs        int64 // -1: without limit
	RetentionBytes     int64 // -1: without limit
	// Repairable says that others have the log too: Open does without segments that are missing or too short, so that they can be
	// repaired (see Damaged), and without the end (see Forgotten). Otherwise they are an error.
	Repairable bool
}

// State is what the owner derives from the log's batches.
type State interface {
	// Restore takes over a snapshot; nil: the empty state.
	Restore(snapshot []byte) error
	// Replay notes a batch. Batches that are in the state already must change nothing.
	Replay(h record.Header)
	// Snapshot gives the state as of the batches below an offset.
	Snapshot(upTo int64) []byte
}

// termStart is where a term begins: the leader epoch cache.
type termStart struct {
	term   uint64
	index  uint64 // of its first entry
	offset int64  // log end offset before its first entry
}

// ownEntry is a raft-own entry: there are few, so all are kept.
type ownEntry struct {
	Entry
	offset  int64 // log end offset there
	segment int64 // base of its segment
	pos     int64
	size    int64
}

// mark is the place after a recent entry.
type mark struct {
	index  uint64
	offset int64
	base   int64 // of the segment
	pos    int64
}

// marksMax is how many recent entries' places are kept.
const marksMax = 4096

// Log is one partition's log. One goroutine at a time may call what changes it; the rest may be called by anyone.
type Log struct {
	fs    vfs.FS
	dir   string
	id    Identity
	state State
	cfg   atomic.Pointer[Config]
	// OnDamage, if set before the log is used, is told when a segment is found to be damaged. It is called by who reads, and must be
	// quick.
	OnDamage func()

	mu        sync.RWMutex
	segments  []*segment // by base; the last one is active
	start     int64
	end       int64
	lastIndex uint64
	lastTerm  uint64
	terms     []termStart
	owns      []ownEntry
	marks     []mark
	hint      mark // where the last read ended

	// The writer's own.
	staging []byte
	dirty   Dirty
	since   int64  // bytes appended since the last checkpoint
	rolled  bool   // since the last checkpoint
	saved   int64  // end offset of the last checkpoint
	kept    uint64 // entries from this one on stay; 0: none must

	forgotten Lack // see Forgotten
	relaxed   bool // see Relaxed

	checkpointMu sync.Mutex // held while a checkpoint is written, and while the log is cut
	cuts         int        // counts cuts; a checkpoint made before one is not written after it
	savedStart   int64      // log start of the last checkpoint that was written
	// savedBase is the base of the last segment of that checkpoint: the segments before it were synced.
	savedBase atomic.Int64
}

// Dirty is what must be synced for appended entries to be durable. The log may be cut before that happens.
type Dirty struct {
	Files []File
	Dirs  []string
}

// File is a file that can be synced from any goroutine.
type File interface{ Sync() error }

func (d *Dirty) addFile(s *segment) {
	if !slices.Contains(d.Files, File(s)) {
		d.Files = append(d.Files, s)
	}
}

func (d *Dirty) addDir(dir string) {
	if !slices.Contains(d.Dirs, dir) {
		d.Dirs = append(d.Dirs, dir)
	}
}

// TakeDirty adds to d what must be synced for everything appended so far to be durable, and forgets it.
func (l *Log) TakeDirty(d *Dirty) {
	for _, f := range l.dirty.Files {
		if !slices.Contains(d.Files, f) {
			d.Files = append(d.Files, f)
		}
	}
	for _, dir := range l.dirty.Dirs {
		d.addDir(dir)
	}
	clear(l.dirty.Files)
	l.dirty.Files, l.dirty.Dirs = l.dirty.Files[:0], l.dirty.Dirs[:0]
}

// SetConfig changes the configuration from now on.
func (l *Log) SetConfig(c Config) { l.cfg.Store(&c) }

// StartOffset is the offset of the first record.
func (l *Log) StartOffset() int64 {
	l.mu.RLock()
	defer l.mu.RUnlock()
	return l.start
}

// EndOffset is the offset that the next record gets.
func (l *Log) EndOffset() int64 {
	l.mu.RLock()
	defer l.mu.RUnlock()
	return l.end
}

// FirstIndex is the Raft index of the first entry that is still there.
func (l *Log) FirstIndex() uint64 {
	l.mu.RLock()
	defer l.mu.RUnlock()
	return l.segments[0].firstIndex
}

// LastIndex is the Raft index of the last entry.
func (l *Log) LastIndex() uint64 {
	l.mu.RLock()
	defer l.mu.RUnlock()
	return l.lastIndex
}

// Size is the size of all segments in bytes.
func (l *Log) Size() int64 {
	l.mu.RLock()
	defer l.mu.RUnlock()
	size := int64(0)
	for _, s := range l.segments {
		size += s.size
	}
	return size
}

// Term is the term of an entry, or of the one before the first.
func (l *Log) Term(index uint64) (uint64, error) {
	l.mu.RLock()
	defer l.mu.RUnlock()
	first := l.segments[0]
	switch {
	case index == l.lastIndex:
		return l.lastTerm, nil
	case index+1 == first.firstIndex:
		return first.prevTerm, nil
	case index < first.firstIndex:
		return 0, ErrCompacted
	case index > l.lastIndex:
		return 0, ErrUnavailable
	}
	i := sort.Search(len(l.terms), func(i int) bool { return l.terms[i].index > index })
	if i == 0 {
		return first.prevTerm, nil
	}
	return l.terms[i-1].term, nil
}

// Own gives the raft-own entry at an index, if that is what is there.
func (l *Log) Own(index uint64) (Entry, bool) {
	l.mu.RLock()
	defer l.mu.RUnlock()
	i := sort.Search(len(l.owns), func(i int) bool { return l.owns[i].Index >= index })
	if i < len(l.owns) && l.owns[i].Index == index {
		return l.owns[i].Entry, true
	}
	return Entry{}, false
}

// NextOwn gives the first raft-own entry after an index.
func (l *Log) NextOwn(after uint64) (Entry, bool) {
	l.mu.RLock()
	defer l.mu.RUnlock()
	i := sort.Search(len(l.owns), func(i int) bool { return l.owns[i].Index > after })
	if i == len(l.owns) {
		return Entry{}, false
	}
	return l.owns[i].Entry, true
}

// EpochEnd answers OffsetForLeaderEpoch: the largest epoch not above the asked one and the offset after its last record;
// the start of the first known epoch for an older one; (-1, -1) for a newer one than the latest.
func (l *Log) EpochEnd(epoch int32) (int32, int64) {
	l.mu.RLock()
	defer l.mu.RUnlock()
	if len(l.terms) == 0 || epoch < 0 || uint64(epoch) > l.terms[len(l.terms)-1].term {
		return -1, -1
	}
	i := sort.Search(len(l.terms), func(i int) bool { return l.terms[i].term > uint64(epoch) })
	switch i {
	case len(l.terms):
		return int32(l.terms[i-1].term), l.end
	case 0:
		return epoch, l.terms[0].offset
	}
	return int32(l.terms[i-1].term), l.terms[i].offset
}

// EpochAt is the leader epoch of the record at an offset, or of the newest entry if there is no such record yet.
func (l *Log) EpochAt(offset int64) int32 {
	l.mu.RLock()
	defer l.mu.RUnlock()
	i := sort.Search(len(l.terms), func(i int) bool { return l.terms[i].offset > offset })
	if i == 0 {
		return int32(l.segments[0].prevTerm)
	}
	return int32(l.terms[i-1].term)
}

// active is the segment that is written to. Under mu, or by the writer.
func (l *Log) active() *segment { return l.segments[len(l.segments)-1] }

// segmentOf finds the segment that has an offset. Under mu.
func (l *Log) segmentOf(offset int64) int {
	return sort.Search(len(l.segments), func(i int) bool { return l.segments[i].base > offset }) - 1
}

// Close closes all files. It writes no checkpoint.
func (l *Log) Close() error {
	if len(l.segments) > 0 {
		_ = l.trim(l.active()) // or the next Open does
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, s := range l.segments {
		s.retire()
	}
	return nil
}
