package log

import (
	"bytes"
	"math/rand/v2"
	"testing"

	"pgregory.net/rapid"

	"github.com/weir/weir/internal/vfs"
)

// entry is what the model knows of one.
type entry struct {
	index, term uint64
	base, next  int64 // equal: of raft's own
	ts          int64 // of the first record; the others follow by 1 ms
	bytes       []byte
}

// model is a log as a list.
type model struct {
	t       *rapid.T
	w       *writer
	fs      *vfs.Mem
	cfg     Config
	entries []entry
	start   int64
	durable int // of entries, that were synced
}

// TestModel leads logs through lives that also crash, and compares what they know with a list.
func TestModel(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		m := &model{t: rt, fs: vfs.NewMem(), cfg: testConfig}
		m.cfg.SegmentBytes, m.cfg.IndexIntervalBytes = rapid.Int64Range(300, 1500).Draw(rt, "segment"), rapid.IntRange(1, 400).Draw(rt, "interval")
		m.w, _ = openTest(t, m.fs, m.cfg)
		m.must(m.w.sync()) // the folder
		m.lead()
		for range rapid.IntRange(1, 25).Draw(rt, "steps") {
			m.step(t)
			m.check()
		}
	})
}

func (m *model) step(t *testing.T) {
	switch rapid.IntRange(0, 10).Draw(m.t, "step") {
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
		for m.last() > keep {
			m.entries = m.entries[:len(m.entries)-1]
		}
		m.durable = min(m.durable, len(m.entries))
		m.lead()
	case 10:
		m.reopen(t, rapid.IntRange(0, 2).Draw(m.t, "how"))
	}
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
func (m *model) reopen(t *testing.T, how int) {
	switch how {
	case 0:
		m.must(m.w.l.Checkpoint())
		m.must(m.w.l.Close())
		m.durable = len(m.entries)
	case 1:
		m.fs = m.fs.Clone()
	case 2:
		m.fs = m.fs.CrashClone(rand.New(rand.NewPCG(rapid.Uint64().Draw(m.t, "seed"), 1)))
	}
	term := m.w.term
	m.w, _ = openTest(t, m.fs, m.cfg)
	last := m.w.l.LastIndex()
	if how != 2 && last != m.last() || m.durable > 0 && last < m.entries[m.durable-1].index || last > m.last() {
		m.t.Fatalf("it ends at entry %d, and %d of %d were synced", last, m.durable, m.last())
	}
	for m.last() > last {
		m.entries = m.entries[:len(m.entries)-1]
	}
	m.w.term = term
	m.lead()
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
			m.w.now += 10
			e.ts, kind = m.w.now, Batch
			e.bytes = batch(e.base, e.term, e.ts, n, rapid.SampledFrom([]int{0, 20, direct}).Draw(m.t, "size"))
		}
		m.must(m.w.l.Append([]Entry{{Index: e.index, Term: e.term, Kind: kind, Data: e.bytes}}))
		m.entries = append(m.entries, e)
	}
}

func (m *model) last() uint64 {
	if len(m.entries) == 0 {
		return 0
	}
	return m.entries[len(m.entries)-1].index
}

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
	m.checkTime(rapid.Int64Range(900, m.w.now+20).Draw(m.t, "time"))
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
	if err != nil || len(got) != 1 || got[0].Index != e.index || got[0].Term != e.term || !bytes.Equal(got[0].Data, e.bytes) {
		m.t.Fatalf("entry %d: %v, %d entries", e.index, err, len(got))
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

// checkTime looks a time up.
func (m *model) checkTime(ts int64) {
	want := int64(-1)
	for _, e := range m.entries {
		for offset := max(e.base, m.start); offset < e.next && want < 0; offset++ {
			if e.ts+offset-e.base >= ts {
				want = offset
			}
		}
	}
	offset, _, _, found, err := m.w.l.OffsetForTime(ts, m.end())
	if err != nil || found != (want >= 0) || found && offset != want {
		m.t.Fatalf("time %d: offset %d, %v (%v), want %d", ts, offset, found, err, want)
	}
}
