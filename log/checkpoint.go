package log

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"path"

	"github.com/weir/weir/internal/bugs"
	"github.com/weir/weir/internal/vfs"
)

const (
	checkpointSuffix  = ".checkpoint"
	checkpointMagic   = "WCKP"
	checkpointVersion = 1
	// checkpointBytes is how much may be appended before a checkpoint is due: what a start after a crash has to read.
	checkpointBytes = 64 << 20
	// checkpointsKept are kept for the case that the newest cannot be read.
	checkpointsKept = 2
)

// checkpoint is everything that opening needs to know of the log up to a Raft index, in this order, all numbers big-endian:
//
//	"WCKP", version uint8, log start int64, end offset int64, last index uint64, last term uint64,
//	count uint32, { segment base int64, first index uint64, term before uint64, size int64, first time int64, newest time int64 },
//	count uint32, { term uint64, first index uint64, start offset int64 },
//	count uint32, { index uint64, term uint64, kind uint8, offset int64, segment base int64, position int64, size int64, length uint32, data },
//	length uint32, the owner's snapshot,
//	CRC32C uint32 of all before
type checkpoint struct {
	start, end          int64
	lastIndex, lastTerm uint64
	segments            []segmentInfo
	terms               []termStart
	owns                []ownEntry
	state               []byte
}

type segmentInfo struct {
	base               int64
	firstIndex         uint64
	prevTerm           uint64
	size               int64
	firstTime, maxTime int64
}

func (c *checkpoint) encode() []byte {
	be := binary.BigEndian
	b := append([]byte(checkpointMagic), checkpointVersion)
	b = be.AppendUint64(b, uint64(c.start))
	b = be.AppendUint64(b, uint64(c.end))
	b = be.AppendUint64(b, c.lastIndex)
	b = be.AppendUint64(b, c.lastTerm)
	b = be.AppendUint32(b, uint32(len(c.segments)))
	for _, s := range c.segments {
		b = be.AppendUint64(b, uint64(s.base))
		b = be.AppendUint64(b, s.firstIndex)
		b = be.AppendUint64(b, s.prevTerm)
		b = be.AppendUint64(b, uint64(s.size))
		b = be.AppendUint64(b, uint64(s.firstTime))
		b = be.AppendUint64(b, uint64(s.maxTime))
	}
	b = be.AppendUint32(b, uint32(len(c.terms)))
	for _, t := range c.terms {
		b = be.AppendUint64(b, t.term)
		b = be.AppendUint64(b, t.index)
		b = be.AppendUint64(b, uint64(t.offset))
	}
	b = be.AppendUint32(b, uint32(len(c.owns)))
	for _, o := range c.owns {
		b = be.AppendUint64(b, o.Index)
		b = be.AppendUint64(b, o.Term)
		b = append(b, byte(o.Kind))
		b = be.AppendUint64(b, uint64(o.offset))
		b = be.AppendUint64(b, uint64(o.segment))
		b = be.AppendUint64(b, uint64(o.pos))
		b = be.AppendUint64(b, uint64(o.size))
		b = be.AppendUint32(b, uint32(len(o.Data)))
		b = append(b, o.Data...)
	}
	b = be.AppendUint32(b, uint32(len(c.state)))
	b = append(b, c.state...)
	return be.AppendUint32(b, crc32.Checksum(b, castagnoli))
}

var errCheckpoint = errors.New("checkpoint is damaged")

// fields takes numbers off the front of a checkpoint whose checksum was right.
type fields struct {
	b   []byte
	bad bool
}

func (f *fields) take(n int) []byte {
	if n < 0 || n > len(f.b) {
		f.bad = true
		return make([]byte, max(min(n, 8), 0))
	}
	out := f.b[:n:n]
	f.b = f.b[n:]
	return out
}

func (f *fields) u64() uint64 { return binary.BigEndian.Uint64(f.take(8)) }
func (f *fields) i64() int64  { return int64(f.u64()) }

// count reads how many elements of at least min bytes follow.
func (f *fields) count(min int) int {
	n := int(binary.BigEndian.Uint32(append(f.take(4), 0, 0, 0, 0)))
	if f.bad || n > len(f.b)/min {
		f.bad = true
		return 0
	}
	return n
}

func parseCheckpoint(b []byte) (*checkpoint, error) {
	head := len(checkpointMagic) + 1
	if len(b) < head+4 || string(b[:head-1]) != checkpointMagic {
		return nil, errCheckpoint
	}
	body, sum := b[:len(b)-4], binary.BigEndian.Uint32(b[len(b)-4:])
	if crc32.Checksum(body, castagnoli) != sum {
		return nil, errCheckpoint
	}
	if v := body[head-1]; v != checkpointVersion {
		return nil, fmt.Errorf("checkpoint format %d is newer than this version knows: start it with the version that wrote it", v)
	}
	f := &fields{b: body[head:]}
	c := &checkpoint{start: f.i64(), end: f.i64(), lastIndex: f.u64(), lastTerm: f.u64()}
	for range f.count(48) {
		c.segments = append(c.segments, segmentInfo{f.i64(), f.u64(), f.u64(), f.i64(), f.i64(), f.i64()})
	}
	for range f.count(24) {
		c.terms = append(c.terms, termStart{f.u64(), f.u64(), f.i64()})
	}
	for range f.count(53) {
		o := ownEntry{Entry: Entry{Index: f.u64(), Term: f.u64(), Kind: Kind(f.take(1)[0])}, offset: f.i64(), segment: f.i64(), pos: f.i64(), size: f.i64()}
		o.Data = f.take(f.count(1))
		c.owns = append(c.owns, o)
	}
	if n := f.count(1); n > 0 {
		c.state = f.take(n)
	}
	if f.bad || len(f.b) != 0 || len(c.segments) == 0 {
		return nil, errCheckpoint
	}
	return c, nil
}

func checkpointName(dir string, index uint64) string {
	return path.Join(dir, fmt.Sprintf("%020d%s", index, checkpointSuffix))
}

// Checkpoint is a checkpoint on its way to the disk.
type Checkpoint struct {
	log     *Log
	cuts    int
	files   []File
	holds   []*segment
	content *checkpoint
}

// CheckpointDue tells whether enough was appended since the last checkpoint for a new one.
func (l *Log) CheckpointDue() bool { return l.rolled || l.since >= checkpointBytes }

// CheckpointWorthwhile tells whether there are records that no checkpoint covers. Without any, opening has next to nothing
// to read.
func (l *Log) CheckpointWorthwhile() bool { return l.rolled || l.end != l.saved }

// BeginCheckpoint takes down what the log is now. Write, which may be called from any goroutine, makes it durable.
func (l *Log) BeginCheckpoint() (*Checkpoint, error) {
	c := &Checkpoint{log: l, cuts: l.cuts}
	active := l.active()
	idx, err := active.writeIndex()
	if err != nil {
		return nil, err
	}
	l.mu.RLock()
	defer l.mu.RUnlock()
	c.content = &checkpoint{
		start: l.start, end: l.end, lastIndex: l.lastIndex, lastTerm: l.lastTerm,
		terms: append([]termStart(nil), l.terms...), owns: append([]ownEntry(nil), l.owns...),
	}
	if l.state != nil {
		c.content.state = l.state.Snapshot(l.end)
	}
	for _, s := range l.segments {
		c.content.segments = append(c.content.segments, segmentInfo{s.base, s.firstIndex, s.prevTerm, s.size, s.firstTime, s.maxTime})
		if s.base < l.savedBase.Load() {
			continue // it was synced for an earlier checkpoint
		}
		if _, err := s.open(); err != nil {
			c.letGo()
			return nil, err
		}
		c.holds, c.files = append(c.holds, s), append(c.files, s)
	}
	c.files = append(c.files, indexFile{active, idx})
	l.since, l.rolled, l.saved = 0, false, l.end
	return c, nil
}

func (c *Checkpoint) letGo() {
	for _, s := range c.holds {
		s.release()
	}
	c.holds = nil
}

// Write syncs what the checkpoint covers, then writes it. If the log was cut in between, or a checkpoint with a later start
// was written, it does nothing.
func (c *Checkpoint) Write() error {
	defer c.letGo()
	l := c.log
	for _, f := range c.files {
		if bugs.CheckpointAhead {
			break
		}
		if err := f.Sync(); err != nil {
			return fmt.Errorf("syncing for a checkpoint of %s: %w", l.dir, err)
		}
	}
	l.checkpointMu.Lock()
	defer l.checkpointMu.Unlock()
	if c.cuts != l.cuts || c.content.start < l.savedStart {
		return nil
	}
	if err := l.fs.SyncDir(l.dir); err != nil {
		return err
	}
	if err := vfs.WriteFileAtomic(l.fs, checkpointName(l.dir, c.content.lastIndex), c.content.encode()); err != nil {
		return err
	}
	l.savedStart = c.content.start
	l.savedBase.Store(c.content.segments[len(c.content.segments)-1].base)
	return l.dropCheckpoints()
}

// Checkpoint makes a checkpoint of the log as it is now.
func (l *Log) Checkpoint() error {
	c, err := l.BeginCheckpoint()
	if err != nil {
		return err
	}
	return c.Write()
}

func (l *Log) dropCheckpoints() error {
	f, err := l.list()
	if err != nil {
		return err
	}
	for have := f.checkpoints; len(have) > checkpointsKept; have = have[1:] {
		if err := l.fs.Remove(checkpointName(l.dir, have[0])); err != nil {
			return err
		}
	}
	return nil
}
