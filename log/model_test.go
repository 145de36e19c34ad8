package log

import (
	"bytes"
	"encoding/binary"
	"math/rand/v2"
	"slices"
	"testing"

	"pgregory.net/rapid"

	"github.com/weir/weir/internal/vfs"
	"github.com/weir/weir/record"
)

// entry is what the model knows of one.
type entry struct {
	index, term uint64
	base, next  int64 // equal: of raft's own
	ts          int64 // of the first record; the others follow by 1 ms
	bytes       []byte
}

// noted is a State that knows which batches it was shown.
type noted map[int64]bool

func (n noted) Restore(snapshot []byte) error {
	clear(n)
	for ; len(snapshot) > 0; snapshot = snapshot[8:] {
		n[int64(binary.BigEndian.Uint64(snapshot))] = true
	}
	return nil
}

func (n noted) Replay(h record.Header) { n[h.BaseOffset] = true }

func (n noted) Snapshot(upTo int64) (b []byte) {
	for base := range n {
		if base < upTo {
			b = binary.BigEndian.AppendUint64(b, uint64(base))
		}
	}
	return b
}

// model is a log as a list.
type model struct {
	t       *rapid.T
	w       *writer
	fs      *vfs.Mem
	state   noted
	cfg     Config
	entries []entry // the one with index 1 first; also those that are gone
	start   int64
	durable int // of entries, that were synced

	rng     *rand.Rand
	crashIn int      // operations until the crash that does not happen, but is looked at
	crashed *vfs.Mem // what it would leave
}

// TestModel leads logs through lives that also crash, and compares what they know with a list. Besides, it looks at what a
// crash in the midst of each step would leave.
func TestModel(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		m := &model{t: rt, fs: vfs.NewMem(), state: noted{}, cfg: testConfig}
		m.cfg.SegmentBytes, m.cfg.IndexIntervalBytes = rapid.Int64Range(300, 1500).Draw(rt, "segment"), rapid.IntRange(1, 400).Draw(rt, "interval")
		m.rng = rand.New(rand.NewPCG(rapid.Uint64().Draw(rt, "seed"), 1))
		m.must(m.fs.MkdirAll("data"))
		m.must(m.fs.SyncDir("."))
		m.w = &writer{t: t, l: m.open(m.fs)}
		m.must(m.w.sync()) // the folder
		m.lead()
		for range rapid.IntRange(1, 25).Draw(rt, "steps") {
			before := *m
			before.entries = slices.Clone(m.entries)
			m.crashIn, m.crashed = rapid.IntRange(0, 8).Draw(rt, "operation"), nil
			m.step()
			m.check()
			if m.crashed != nil {
				m.checkCrashed(&before)
			}
		}
	})
}

// open opens the log, and watches what it does to its files.
func (m *model) open(fs *vfs.Mem) *Log {
	m.fs = fs
	watched := vfs.NewFaults(fs)
	watched.OnOp(func(vfs.Op) {
		if m.crashIn == 0 {
			m.crashed = fs.CrashClone(m.rng)
		}
		m.crashIn--
	})
	return m.openIn(watched, m.state)
}

func (m *model) openIn(fs vfs.FS, state State) *Log {
	m.t.Helper()
	l, _, err := Open(fs, "data/t-0", Identity{Partition: 7}, m.cfg, state)
	m.must(err)
	return l
}

func (m *model) step() {
	switch rapid.IntRange(0, 12).Draw(m.t, "step") {
	default:
		m.append(rapid.SliceOfN(rapid.IntRange(1, 4), 1, 4).Draw(m.t, "counts")...)
	case 5:
		m.lead()
	case 6:
		m.must(m.w.sync())
		m.durable = len(m.entries)
	case 7:
		m.must(m.w.l.Checkpoint())
		m.durable = len(m.entries)
	case 8:
		m.start = rapid.Int64Range(m.start, m.end()).Draw(m.t, "start")
		m.must(m.w.l.SetStartOffset(m.start))
		m.durable = len(m.entries)
	case 9:
		keep := rapid.Uint64Range(m.keepable(), m.last()).Draw(m.t, "keep")
		m.must(m.w.l.TruncateSuffix(keep))
		m.entries = m.entries[:keep]
		m.durable = min(m.durable, len(m.entries))
		m.lead()
	case 10:
		m.reopen(rapid.IntRange(0, 2).Draw(m.t, "how"))
	case 11:
		m.must(m.w.l.Roll())
	case 12:
		m.retain()
	}
}

// retain lets time or size take the oldest segments. Which records share a segment is the log's affair: it must not take
// more than it may, nor leave what is all too old.
func (m *model) retain() {
	l, cfg := m.w.l, m.cfg
	limit, now := m.boundary(), int64(0)
	if rapid.Bool().Draw(m.t, "by time") {
		cfg.RetentionMs, now = 0, newestTime+10
	} else {
		cfg.RetentionBytes = rapid.Int64Range(0, 2000).Draw(m.t, "bytes")
	}
	size := l.Size()
	l.SetConfig(cfg)
	n, err := l.Retain(now, limit)
	m.must(err)
	l.SetConfig(m.cfg)
	switch start := l.StartOffset(); {
	case n == 0 && start != m.start, start < m.start, start > max(limit, m.start):
		m.t.Fatalf("%d segments went below %d, and it starts at %d instead of %d", n, limit, start, m.start)
	case cfg.RetentionBytes >= 0 && start > m.start && l.Size() < min(size, cfg.RetentionBytes):
		m.t.Fatalf("of %d bytes %d are left, and %d are wanted", size, l.Size(), cfg.RetentionBytes)
	case cfg.RetentionMs == 0 && limit == m.end() && start != m.end():
		m.t.Fatalf("all is old, and it starts at %d of %d", start, m.end())
	}
	m.start = l.StartOffset()
	m.durable = max(m.durable, int(l.FirstIndex())-1)
}

// boundary draws an offset where a batch begins or ends.
func (m *model) boundary() int64 {
	return max(m.start, rapid.SampledFrom(m.entries).Draw(m.t, "limit").next)
}

// keepable is the last entry that a cut must leave: those that reach below the log start are committed.
func (m *model) keepable() uint64 {
	keep := m.w.l.FirstIndex() - 1
	for _, e := range m.entries {
		if e.base < m.start {
			keep = max(keep, e.index)
		}
	}
	return keep
}

// reopen opens the log after a clean end, a kill, or a crash that loses some of what was not synced.
func (m *model) reopen(how int) {
	fs := m.fs
	switch how {
	case 0:
		m.must(m.w.l.Checkpoint())
		m.must(m.w.l.Close())
		m.durable = len(m.entries)
	case 1:
		fs = fs.Clone()
	case 2:
		fs = fs.CrashClone(m.rng)
	}
	m.w.l = m.open(fs)
	last := m.w.l.LastIndex()
	if how != 2 && last != m.last() || last < uint64(m.durable) || last > m.last() {
		m.t.Fatalf("it ends at entry %d, and %d of %d were synced", last, m.durable, m.last())
	}
	m.entries = m.entries[:last]
	m.lead()
}

// checkCrashed looks at what a crash in the midst of a step would have left: a state before the step, after it or between.
func (m *model) checkCrashed(before *model) {
	l := m.openIn(m.crashed, noted{})
	durable := min(before.durable, m.durable)
	if l.StartOffset() < before.start || l.StartOffset() > m.start || l.LastIndex() < uint64(durable) {
		m.t.Fatalf("after a crash it is from %d to entry %d; want %d or %d to %d", l.StartOffset(), l.LastIndex(), before.start, m.start, durable)
	}
	if _, err := readAll(l, l.StartOffset()); err != nil {
		m.t.Fatalf("after a crash: %v", err)
	}
	for i := l.FirstIndex(); i <= l.LastIndex(); i++ {
		got, err := l.Entries(i, i+1, 1)
		m.must(err)
		was, is := before.at(i), m.at(i)
		if !was.same(got[0]) && !is.same(got[0]) {
			m.t.Fatalf("after a crash, entry %d is another", i)
		}
	}
}

func (m *model) at(index uint64) entry {
	if index > m.last() {
		return entry{}
	}
	return m.entries[index-1]
}

func (e entry) same(o Entry) bool {
	return o.Index == e.index && o.Term == e.term && bytes.Equal(o.Data, e.bytes)
}

// lead begins a term with an entry of raft's own.
func (m *model) lead() {
	m.w.term++
	m.append(0)
}

func (m *model) append(counts ...int) {
	for _, n := range counts {
		e := entry{index: m.last() + 1, term: m.w.term, base: m.end(), next: m.end() + int64(n)}
		kind := Batch + 1
		if n > 0 {
			e.ts, kind = rapid.Int64Range(1000, newestTime).Draw(m.t, "time"), Batch
			e.bytes = batch(e.base, e.term, e.ts, n, rapid.SampledFrom([]int{0, 20, direct}).Draw(m.t, "size"))
		}
		m.must(m.w.l.Append([]Entry{{Index: e.index, Term: e.term, Kind: kind, Data: e.bytes}}))
		if n > 0 {
			m.state[e.base] = true
		}
		m.entries = append(m.entries, e)
	}
}

func (m *model) last() uint64 { return uint64(len(m.entries)) }

func (m *model) end() int64 {
	if len(m.entries) == 0 {
		return 0
	}
	return m.entries[len(m.entries)-1].next
}

func (m *model) must(err error) {
	m.t.Helper()
	if err != nil {
		m.t.Fatal(err)
	}
}

// check compares all that the log tells with the list.
func (m *model) check() {
	l := m.w.l
	if l.StartOffset() != m.start || l.EndOffset() != m.end() || l.LastIndex() != m.last() {
		m.t.Fatalf("it is %d to %d, entry %d; want %d to %d, %d", l.StartOffset(), l.EndOffset(), l.LastIndex(), m.start, m.end(), m.last())
	}
	for _, e := range m.entries {
		if e.index < l.FirstIndex() {
			if e.next > m.start {
				m.t.Fatalf("entry %d, offsets %d to %d, is gone, and the log starts at %d", e.index, e.base, e.next, m.start)
			}
			continue
		}
		m.checkEntry(e)
	}
	for base := range m.state {
		if base >= m.end() {
			m.t.Fatalf("the state knows of a batch at %d, and the log ends at %d", base, m.end())
		}
	}
	m.checkRead()
	m.checkTime()
}

func (m *model) checkEntry(e entry) {
	l := m.w.l
	if term, err := l.Term(e.index); err != nil || term != e.term {
		m.t.Fatalf("entry %d: term %d (%v), want %d", e.index, term, err, e.term)
	}
	if end, err := l.EndOffsetAt(e.index); err != nil || end != e.next {
		m.t.Fatalf("entry %d: end %d (%v), want %d", e.index, end, err, e.next)
	}
	got, err := l.Entries(e.index, e.index+1, 1)
	if err != nil || len(got) != 1 || !e.same(got[0]) {
		m.t.Fatalf("entry %d: %v, %d entries", e.index, err, len(got))
	}
	if e.next > e.base && !m.state[e.base] {
		m.t.Fatalf("the state does not know of entry %d at %d", e.index, e.base)
	}
	for _, offset := range []int64{max(e.base, m.start), e.next - 1} {
		if offset < e.base || offset < m.start || offset >= e.next {
			continue
		}
		d, err := l.Read(offset, 1, l.EndOffset(), true)
		m.must(err)
		b, err := d.Bytes()
		d.Release()
		if err != nil || !bytes.Equal(b, e.bytes) {
			m.t.Fatalf("offset %d of entry %d: other bytes (%v)", offset, e.index, err)
		}
		if epoch := l.EpochAt(offset); epoch != int32(e.term) {
			m.t.Fatalf("offset %d: epoch %d, want %d", offset, epoch, e.term)
		}
	}
}

// checkRead reads from some offset on, below some limit.
func (m *model) checkRead() {
	l, limit := m.w.l, m.boundary()
	from, most := rapid.Int64Range(m.start, m.end()).Draw(m.t, "from"), rapid.IntRange(0, 1000).Draw(m.t, "most")
	minOne := rapid.Bool().Draw(m.t, "at least one")
	var want []byte
	first, own, bases := 0, 0, []int64{} // size of the first batch; of frames of our own, which count; where segments begin
	for _, s := range l.segments {
		bases = append(bases, s.base)
	}
	ends := map[int]int64{} // by the bytes before
	for _, e := range m.entries {
		if e.base == e.next && first > 0 {
			own += frameHeader
		}
		if e.next > from && e.base < limit && from < limit {
			want = append(want, e.bytes...)
			ends[len(want)] = e.next
			if first == 0 {
				first = len(want)
			}
		}
	}
	d, err := l.Read(from, most, limit, minOne)
	m.must(err)
	defer d.Release()
	got, err := d.Bytes()
	m.must(err)
	end, whole := ends[len(got)]
	switch {
	case !bytes.HasPrefix(want, got):
		m.t.Fatalf("read %d below %d: other bytes", from, limit)
	case len(got) == 0 && !minOne && most < first:
	case len(got) < min(len(want), max(most-own, first)) && !(whole && slices.Contains(bases, end)):
		m.t.Fatalf("read %d below %d: %d of %d bytes, and no segment ends there", from, limit, len(got), len(want))
	case len(got) > max(most, first):
		m.t.Fatalf("read %d below %d: %d bytes", from, limit, len(got))
	}
}

// newestTime bounds the times of first records.
const newestTime = 1200

// checkTime looks up a time, and the newest one.
func (m *model) checkTime() {
	ts, limit := rapid.Int64Range(990, newestTime+10).Draw(m.t, "time"), rapid.Int64Range(m.start, m.end()).Draw(m.t, "below")
	want, newest, at := int64(-1), int64(-1), int64(-1)
	for _, e := range m.entries {
		for offset := max(e.base, m.start); offset < min(e.next, limit); offset++ {
			time := e.ts + offset - e.base
			if time >= ts && want < 0 {
				want = offset
			}
			if time > newest {
				newest, at = time, offset
			}
		}
	}
	offset, _, _, found, err := m.w.l.OffsetForTime(ts, limit)
	if err != nil || found != (want >= 0) || found && offset != want {
		m.t.Fatalf("time %d below %d: offset %d, %v (%v), want %d", ts, limit, offset, found, err, want)
	}
	offset, time, _, found, err := m.w.l.MaxTimestamp(limit)
	if err != nil || found != (at >= 0) || found && (offset != at || time != newest) {
		m.t.Fatalf("newest below %d: %d at %d, %v (%v), want %d at %d", limit, time, offset, found, err, newest, at)
	}
}
