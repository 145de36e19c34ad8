package log

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/weir/weir/internal/vfs"
	"github.com/weir/weir/record"
)

var testConfig = Config{SegmentBytes: 1 << 30, SegmentMs: 1 << 40, IndexIntervalBytes: 4096, RetentionMs: -1, RetentionBytes: -1}

// batch builds a batch of count records for a place in a log.
func batch(base int64, term uint64, ts int64, count int, size int) []byte {
	b := record.NewBuilder(record.BuilderOptions{})
	for i := range count {
		b.Append(ts+int64(i), []byte(fmt.Sprintf("k%d", base+int64(i))), make([]byte, size))
	}
	out := b.Build()
	record.Assign(out, base, int32(term))
	return out
}

// writer appends to a log as a leader would.
type writer struct {
	t    testing.TB
	l    *Log
	term uint64
	now  int64
}

func (w *writer) append(counts ...int) error {
	var entries []Entry
	index, end := w.l.LastIndex(), w.l.EndOffset()
	for _, n := range counts {
		index++
		e := Entry{Index: index, Term: w.term, Kind: Batch + 1}
		if n > 0 {
			w.now += 10
			e.Kind, e.Data = Batch, batch(end, w.term, w.now, n, 20)
			end += int64(n)
		}
		entries = append(entries, e)
	}
	return w.l.Append(entries)
}

func (w *writer) mustAppend(counts ...int) {
	w.t.Helper()
	if err := w.append(counts...); err != nil {
		w.t.Fatal(err)
	}
}

func (w *writer) sync() error {
	var d Dirty
	w.l.TakeDirty(&d)
	for _, f := range d.Files {
		if err := f.Sync(); err != nil {
			return err
		}
	}
	for _, dir := range d.Dirs {
		if err := w.l.fs.SyncDir(dir); err != nil {
			return err
		}
	}
	return nil
}

func openTest(t testing.TB, fs vfs.FS, cfg Config) (*writer, Recovery) {
	t.Helper()
	if err := errors.Join(fs.MkdirAll("data"), fs.SyncDir(".")); err != nil {
		t.Fatal(err)
	}
	l, r, err := Open(fs, "data/t-0", Identity{Partition: 7}, cfg, nil)
	if err != nil {
		t.Fatal(err)
	}
	term := uint64(0)
	if last, err := l.Term(l.LastIndex()); err == nil && last > 0 {
		term = last
	}
	return &writer{t: t, l: l, term: term, now: 1000 * int64(1+l.LastIndex())}, r
}

// readAll reads every batch from an offset on and checks that offsets follow each other.
func readAll(l *Log, from int64) ([][]byte, error) {
	var out [][]byte
	for offset := from; offset < l.EndOffset(); {
		d, err := l.Read(offset, 300, l.EndOffset(), true)
		if err != nil {
			return out, err
		}
		b, err := d.Bytes()
		d.Release()
		if err != nil {
			return out, err
		}
		before := offset
		for batch := range record.Batches(b) {
			h, _ := record.ParseHeader(batch)
			if !record.CheckCRC(batch) {
				return out, fmt.Errorf("a damaged batch was served at %d", offset)
			}
			if h.BaseOffset > offset || h.NextOffset() <= offset {
				return out, fmt.Errorf("batch [%d, %d) served for offset %d", h.BaseOffset, h.NextOffset(), offset)
			}
			offset = h.NextOffset()
			out = append(out, batch)
		}
		if offset == before {
			return out, fmt.Errorf("nothing served at %d of %d", offset, l.EndOffset())
		}
	}
	return out, nil
}

func TestAppendReadReopen(t *testing.T) {
	for _, segmentBytes := range []int64{400, 1000, 1 << 30} {
		t.Run(fmt.Sprint(segmentBytes), func(t *testing.T) {
			cfg := testConfig
			cfg.SegmentBytes, cfg.IndexIntervalBytes = segmentBytes, 150
			fs := vfs.NewMem()
			w, _ := openTest(t, fs, cfg)
			w.term = 1
			for i := range 30 {
				w.mustAppend(0, 1+i%4, 2)
			}
			check := func(l *Log) {
				t.Helper()
				batches, err := readAll(l, l.StartOffset())
				if err != nil {
					t.Fatal(err)
				}
				if len(batches) != 60 {
					t.Fatalf("%d batches, want 60", len(batches))
				}
				for offset := int64(0); offset < l.EndOffset(); offset++ {
					d, err := l.Read(offset, 1, l.EndOffset(), true)
					if err != nil {
						t.Fatal(err)
					}
					b, _ := d.Bytes()
					h, err := record.ParseHeader(b)
					d.Release()
					if err != nil || h.BaseOffset > offset || h.NextOffset() <= offset || h.Size() != len(b) {
						t.Fatalf("offset %d: got batch %+v of %d bytes (%v)", offset, h, len(b), err)
					}
				}
				for i := l.FirstIndex(); i <= l.LastIndex(); i++ {
					es, err := l.Entries(i, i+1, 1)
					if err != nil || len(es) != 1 || es[0].Index != i {
						t.Fatalf("entry %d: %v %v", i, es, err)
					}
					_, own := l.Own(i)
					if own != (i%3 == 1) || own != (es[0].Kind != Batch) {
						t.Fatalf("entry %d: own %v, kind %d", i, own, es[0].Kind)
					}
				}
				es, err := l.Entries(l.FirstIndex(), l.LastIndex()+1, 1<<30)
				if err != nil || len(es) != 90 {
					t.Fatalf("%d entries: %v", len(es), err)
				}
			}
			check(w.l)
			again, r := openTest(t, fs.Clone(), cfg)
			if r.Cut != 0 {
				t.Fatalf("cut %d bytes of a whole log", r.Cut)
			}
			check(again.l)
			if err := w.l.Checkpoint(); err != nil {
				t.Fatal(err)
			}
			again, r = openTest(t, fs.Clone(), cfg)
			if r.Scanned != 0 {
				t.Fatalf("scanned %d bytes below a checkpoint", r.Scanned)
			}
			check(again.l)
			again.mustAppend(0, 3)
			if _, err := readAll(again.l, 0); err != nil {
				t.Fatal(err)
			}
		})
	}
}

func TestEndOffsetAndTermOfEveryEntry(t *testing.T) {
	cfg := testConfig
	cfg.SegmentBytes, cfg.IndexIntervalBytes = 700, 100
	fs := vfs.NewMem()
	w, _ := openTest(t, fs, cfg)
	ends := map[uint64]int64{0: 0}
	terms := map[uint64]uint64{}
	for i := range 40 {
		if i%9 == 0 {
			w.term++
		}
		w.mustAppend(i % 3)
		ends[w.l.LastIndex()], terms[w.l.LastIndex()] = w.l.EndOffset(), w.term
	}
	again, _ := openTest(t, fs.Clone(), cfg)
	again.l.marks = nil // so that the index is used
	for _, l := range []*Log{w.l, again.l} {
		for i, want := range ends {
			if got, err := l.EndOffsetAt(i); err != nil || got != want {
				t.Errorf("end offset at %d: %d (%v), want %d", i, got, err, want)
			}
		}
		for i, want := range terms {
			if got, err := l.Term(i); err != nil || got != want {
				t.Errorf("term of %d: %d (%v), want %d", i, got, err, want)
			}
		}
	}
}

func TestTruncateSuffix(t *testing.T) {
	cfg := testConfig
	cfg.SegmentBytes, cfg.IndexIntervalBytes = 500, 100
	for keep := uint64(0); keep < 20; keep++ {
		fs := vfs.NewMem()
		w, _ := openTest(t, fs, cfg)
		for range 20 {
			w.mustAppend(2)
		}
		want, err := readAll(w.l, 0)
		if err != nil {
			t.Fatal(err)
		}
		if err := w.l.TruncateSuffix(keep); err != nil {
			t.Fatalf("keep %d: %v", keep, err)
		}
		for _, l := range []*Log{w.l, mustOpen(t, fs.CrashClone(nil), cfg)} {
			got, err := readAll(l, 0)
			if err != nil || len(got) != int(keep) || l.LastIndex() != keep || l.EndOffset() != int64(2*keep) {
				t.Fatalf("keep %d: %d batches, last index %d, end %d (%v)", keep, len(got), l.LastIndex(), l.EndOffset(), err)
			}
			for i := range got {
				if string(got[i]) != string(want[i]) {
					t.Fatalf("keep %d: batch %d changed", keep, i)
				}
			}
		}
		w.term++
		w.mustAppend(0, 1, 3)
		if _, err := readAll(mustOpen(t, fs.Clone(), cfg), 0); err != nil {
			t.Fatal(err)
		}
	}
}

func mustOpen(t *testing.T, fs vfs.FS, cfg Config) *Log {
	t.Helper()
	w, _ := openTest(t, fs, cfg)
	return w.l
}

func TestOffsetForTime(t *testing.T) {
	cfg := testConfig
	cfg.SegmentBytes, cfg.IndexIntervalBytes = 600, 100
	fs := vfs.NewMem()
	w, _ := openTest(t, fs, cfg)
	times := []int64{}
	for i := range 60 {
		ts := int64(1000 + (i%7)*100 + i*10) // not in order
		b := batch(w.l.EndOffset(), 0, ts, 2, 10)
		if err := w.l.Append([]Entry{{Index: w.l.LastIndex() + 1, Kind: Batch, Data: b}}); err != nil {
			t.Fatal(err)
		}
		times = append(times, ts, ts+1)
	}
	for _, l := range []*Log{w.l, mustOpen(t, fs.Clone(), cfg)} {
		for limit := int64(0); limit <= 120; limit += 17 {
			for ts := int64(900); ts < 2400; ts += 13 {
				want := int64(-1)
				for o, at := range times[:limit] {
					if at >= ts {
						want = int64(o)
						break
					}
				}
				got, at, epoch, found, err := l.OffsetForTime(ts, limit)
				if err != nil || found != (want >= 0) || got != want || found && (at != times[got] || epoch != 0) {
					t.Fatalf("time %d below %d: %d at %d (%v %v), want %d", ts, limit, got, at, found, err, want)
				}
			}
			newest, where := int64(-1), int64(-1)
			for o, at := range times[:limit] {
				if at > newest {
					newest, where = at, int64(o)
				}
			}
			got, _, _, _, err := l.MaxTimestamp(limit)
			if err != nil || got != where {
				t.Fatalf("newest below %d: %d (%v), want %d", limit, got, err, where)
			}
		}
	}
}

// TestNewestTimeOutsideItsBatch: the newest record of a batch is below the log start, or at the limit; another is the newest.
func TestNewestTimeOutsideItsBatch(t *testing.T) {
	w, _ := openTest(t, vfs.NewMem(), testConfig)
	b := record.NewBuilder(record.BuilderOptions{})
	for _, ts := range []int64{50, 20, 30, 90} {
		b.Append(ts, nil, nil)
	}
	data := b.Build()
	record.Assign(data, 0, 0)
	if err := w.l.Append([]Entry{{Index: 1, Kind: Batch, Data: data}}); err != nil {
		t.Fatal(err)
	}
	if offset, at, _, found, err := w.l.MaxTimestamp(3); offset != 0 || at != 50 || !found || err != nil {
		t.Errorf("below 3: offset %d at %d, %v (%v)", offset, at, found, err)
	}
	if err := w.l.SetStartOffset(1); err != nil {
		t.Fatal(err)
	}
	if offset, at, _, found, err := w.l.MaxTimestamp(3); offset != 2 || at != 30 || !found || err != nil {
		t.Errorf("from 1 to below 3: offset %d at %d, %v (%v)", offset, at, found, err)
	}
}

// TestRollingByTime wants a segment to end when its first batch is old, and not when the records of that batch only say so:
// where the broker sets the times, the batch has its own.
func TestRollingByTime(t *testing.T) {
	cfg := testConfig
	cfg.SegmentMs = 1000
	w, _ := openTest(t, vfs.NewMem(), cfg)
	put := func(base, stamped int64) {
		t.Helper()
		b := batch(w.l.EndOffset(), w.term, base, 1, 20)
		if stamped > 0 {
			record.SetLogAppendTime(b, stamped)
		}
		if err := w.l.Append([]Entry{{Index: w.l.LastIndex() + 1, Term: w.term, Kind: Batch, Data: b}}); err != nil {
			t.Fatal(err)
		}
	}
	for i := range int64(3) {
		put(5_000, 100_000+i)
	}
	if n := len(w.l.segments); n != 1 {
		t.Errorf("%d segments for batches of the same second", n)
	}
	put(101_500, 0)
	if n := len(w.l.segments); n != 2 {
		t.Errorf("%d segments after more than a second", n)
	}
}

// TestRollIfPassed: the newest segment is closed when the log begins within it and it is large, and goes when the start moves on.
func TestRollIfPassed(t *testing.T) {
	w, _ := openTest(t, vfs.NewMem(), testConfig)
	w.mustAppend(1, 1, 1)
	size := w.l.Size()
	for _, c := range []struct {
		start, bytes int64
		segments     int
	}{
		{0, 0, 1}, {2, size, 1}, {2, size - 1, 2}, {3, 0, 1},
	} {
		if err := errors.Join(w.sync(), w.l.SetStartOffset(c.start), w.l.RollIfPassed(c.bytes)); err != nil {
			t.Fatal(err)
		}
		if n := len(w.l.segments); n != c.segments {
			t.Errorf("from %d, with %d of %d bytes: %d segments, want %d", c.start, c.bytes, size, n, c.segments)
		}
	}
	w.mustAppend(1)
}

func TestRetention(t *testing.T) {
	cfg := testConfig
	cfg.SegmentBytes = 500
	fs := vfs.NewMem()
	w, _ := openTest(t, fs, cfg)
	for range 20 {
		w.mustAppend(2)
	}
	if n, err := w.l.Retain(w.now, w.l.EndOffset()); n != 0 || err != nil {
		t.Fatalf("without limits %d segments went (%v)", n, err)
	}
	held, err := w.l.Read(0, 100, 100, true)
	if err != nil {
		t.Fatal(err)
	}
	cfg.RetentionBytes = 600
	w.l.SetConfig(cfg)
	if n, err := w.l.Retain(w.now, 10); err != nil || w.l.StartOffset() > 10 {
		t.Fatalf("%d segments went, and the start %d is above the limit (%v)", n, w.l.StartOffset(), err)
	}
	if _, err := w.l.Retain(w.now, w.l.EndOffset()); err != nil {
		t.Fatal(err)
	}
	if w.l.Size() < 600 || w.l.Size() > 1300 || w.l.StartOffset() == 0 {
		t.Fatalf("size %d, start %d", w.l.Size(), w.l.StartOffset())
	}
	if b, err := held.Bytes(); err != nil || !record.CheckCRC(b) {
		t.Fatalf("a reader lost its segment: %v", err)
	}
	held.Release()
	var outside *OutOfRangeError
	if _, err := w.l.Read(0, 100, 100, true); !errors.As(err, &outside) {
		t.Fatalf("read below the start: %v", err)
	}
	if _, err := readAll(w.l, w.l.StartOffset()); err != nil {
		t.Fatal(err)
	}
	cfg.RetentionMs = 0
	w.l.SetConfig(cfg)
	end := w.l.EndOffset()
	if _, err := w.l.Retain(w.now+1000, end); err != nil || w.l.StartOffset() != end || w.l.EndOffset() != end {
		t.Fatalf("an old log is not empty: %d to %d (%v)", w.l.StartOffset(), w.l.EndOffset(), err)
	}
	again := mustOpen(t, fs.Clone(), cfg)
	if again.StartOffset() != end || again.EndOffset() != end || again.LastIndex() != w.l.LastIndex() {
		t.Fatalf("after reopening: %d to %d, last index %d", again.StartOffset(), again.EndOffset(), again.LastIndex())
	}
}

// TestCrashAtEveryOperation crashes after each file-system operation of a life of a log, in several ways, and checks that
// everything that was synced is there, whole and in order.
func TestCrashAtEveryOperation(t *testing.T) {
	cfg := testConfig
	cfg.SegmentBytes, cfg.IndexIntervalBytes = 600, 100
	base := vfs.NewMem()
	fs := vfs.NewFaults(base)
	var durable [][]byte // batches that were synced
	var started bool
	states := 0
	start := int64(0)
	verify := func(op vfs.Op, clone *vfs.Mem, how string) {
		states++
		l, _, err := Open(clone, "data/t-0", Identity{Partition: 7}, cfg, nil)
		if err != nil {
			t.Fatalf("%s after %v: %v", how, op, err)
		}
		if l.EndOffset() < int64(2*len(durable)) {
			t.Fatalf("%s after %v: end %d, but %d were durable", how, op, l.EndOffset(), 2*len(durable))
		}
		got, err := readAll(l, l.StartOffset())
		if err != nil {
			t.Fatalf("%s after %v: %v", how, op, err)
		}
		for _, b := range got {
			h, _ := record.ParseHeader(b)
			if n := int(h.BaseOffset / 2); n < len(durable) && string(durable[n]) != string(b) {
				t.Fatalf("%s after %v: batch %d changed", how, op, n)
			}
		}
		if l.StartOffset() > start {
			t.Fatalf("%s after %v: the log starts at %d, not %d", how, op, l.StartOffset(), start)
		}
		// The log goes on from there.
		w := &writer{t: t, l: l, term: 9, now: 1 << 30}
		w.mustAppend(0, 2)
		if err := w.sync(); err != nil {
			t.Fatal(err)
		}
		if _, err := readAll(mustOpen(t, clone.CrashClone(nil), cfg), l.StartOffset()); err != nil {
			t.Fatalf("%s after %v, gone on: %v", how, op, err)
		}
	}
	rng := rand.New(rand.NewPCG(1, 2))
	fs.OnOp(func(op vfs.Op) {
		if !started {
			return
		}
		verify(op, base.CrashClone(nil), "everything unsynced lost")
		verify(op, base.Clone(), "killed")
		for range 4 {
			verify(op, base.CrashClone(rng), "some lost")
		}
	})
	w, _ := openTest(t, fs, cfg)
	if err := w.sync(); err != nil {
		t.Fatal(err)
	}
	started = true
	for i := range 24 {
		first := w.l.EndOffset()
		if i == 0 || i == 13 {
			w.mustAppend(0)
		}
		w.mustAppend(2, 2)
		if err := w.sync(); err != nil {
			t.Fatal(err)
		}
		all, err := readAll(w.l, first)
		if err != nil {
			t.Fatal(err)
		}
		durable = append(durable, all...)
		switch {
		case i%7 == 3:
			if err := w.l.Checkpoint(); err != nil {
				t.Fatal(err)
			}
		case i == 12:
			keep := w.l.LastIndex() - 5
			durable = durable[:keep-1] // one entry is not a batch
			w.term++
			if err := w.l.TruncateSuffix(keep); err != nil {
				t.Fatal(err)
			}
		case i == 16:
			start = 9
			if err := w.l.SetStartOffset(9); err != nil {
				t.Fatal(err)
			}
		case i == 20:
			cfg2 := cfg
			cfg2.RetentionBytes = 700
			start = 1 << 40
			w.l.SetConfig(cfg2)
			if _, err := w.l.Retain(0, w.l.EndOffset()); err != nil {
				t.Fatal(err)
			}
			start = w.l.StartOffset()
		}
	}
	t.Logf("%d crash states", states)
}

// TestEveryFlippedByte flips each byte of each file of a small log once: what is then served is what was written, and if
// anything is missing, an error says so.
func TestEveryFlippedByte(t *testing.T) {
	cfg := testConfig
	cfg.SegmentBytes, cfg.IndexIntervalBytes = 500, 100
	fs := vfs.NewMem()
	w, _ := openTest(t, fs, cfg)
	for range 8 {
		w.mustAppend(0, 2)
	}
	if err := w.l.Checkpoint(); err != nil {
		t.Fatal(err)
	}
	want, err := readAll(w.l, 0)
	if err != nil {
		t.Fatal(err)
	}
	names, err := fs.List("data/t-0")
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range names {
		size, _ := fs.Size("data/t-0/" + name)
		for at := range size {
			flipped := fs.Clone()
			f, err := flipped.OpenReadWrite("data/t-0/" + name)
			if err != nil {
				t.Fatal(err)
			}
			var b [1]byte
			if _, err := f.ReadAt(b[:], at); err != nil {
				t.Fatal(err)
			}
			b[0] ^= 0x10
			if _, err := f.WriteAt(b[:], at); err != nil {
				t.Fatal(err)
			}
			l, r, err := Open(flipped, "data/t-0", Identity{Partition: 7}, cfg, nil)
			if err != nil {
				continue // it was noticed
			}
			got, err := readAll(l, l.StartOffset())
			for i := range got {
				if string(got[i]) != string(want[i]) {
					t.Fatalf("%s, byte %d: batch %d is served changed", name, at, i)
				}
			}
			if err == nil && len(got) < len(want) && r.Cut == 0 {
				t.Fatalf("%s, byte %d: %d of %d batches, and nobody says why", name, at, len(got), len(want))
			}
		}
	}
}

func TestFullDisk(t *testing.T) {
	cfg := testConfig
	cfg.SegmentBytes = 600
	base := vfs.NewMem()
	fs := vfs.NewFaults(base)
	w, _ := openTest(t, fs, cfg)
	for room := int64(0); room < 900; room += 7 {
		fs.Limit(room)
		before := w.l.LastIndex()
		if err := w.append(2, 0, 3); err != nil {
			fs.Heal()
			if err := w.l.TruncateSuffix(before); err != nil {
				t.Fatal(err)
			}
			w.mustAppend(2, 0, 3)
		}
		fs.Heal()
		if w.l.LastIndex() != before+3 {
			t.Fatalf("room %d: last index %d after %d", room, w.l.LastIndex(), before)
		}
	}
	if err := w.sync(); err != nil {
		t.Fatal(err)
	}
	got, err := readAll(mustOpen(t, base.CrashClone(nil), cfg), 0)
	if err != nil || len(got) != 2*129 {
		t.Fatalf("%d batches (%v)", len(got), err)
	}
}

// TestReadsNeedNoSpace: an index that is missing is made anew, and on a full disk it is done without.
func TestReadsNeedNoSpace(t *testing.T) {
	cfg := testConfig
	cfg.SegmentBytes, cfg.IndexIntervalBytes = 2000, 100
	mem := vfs.NewMem()
	w, _ := openTest(t, mem, cfg)
	w.term = 1
	w.mustAppend(0)
	for range 60 {
		w.mustAppend(3)
	}
	want, err := readAll(w.l, 0)
	if err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(w.l.Checkpoint(), w.l.Close()); err != nil {
		t.Fatal(err)
	}
	names, err := mem.List("data/t-0")
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range names {
		if strings.HasSuffix(name, indexSuffix) {
			if err := mem.Remove("data/t-0/" + name); err != nil {
				t.Fatal(err)
			}
		}
	}
	disk := vfs.NewFaults(mem)
	l := mustOpen(t, disk, cfg)
	disk.Limit(50)
	for _, full := range []bool{true, true, false} { // the second time the indexes are in memory
		if !full {
			disk.Heal()
		}
		got, err := readAll(l, 0)
		if err != nil || len(got) != len(want) {
			t.Fatalf("disk full: %v; %d batches of %d can be read: %v", full, len(got), len(want), err)
		}
		for index := uint64(1); index <= l.LastIndex(); index++ {
			if e, err := l.Entries(index, index+1, 1); err != nil || e[0].Index != index {
				t.Fatalf("disk full: %v; entry %d: %v", full, index, err)
			}
		}
	}
	if err := l.TruncateSuffix(l.LastIndex() / 2); err != nil {
		t.Fatal(err)
	}
	if got, err := readAll(l, 0); err != nil || len(got) < len(want)/3 {
		t.Fatalf("after a cut, %d batches can be read: %v", len(got), err)
	}
}

func TestOtherIdentityIsRefused(t *testing.T) {
	fs := vfs.NewMem()
	w, _ := openTest(t, fs, testConfig)
	w.mustAppend(1)
	_, _, err := Open(fs.Clone(), "data/t-0", Identity{Partition: 8}, testConfig, nil)
	var other *IdentityError
	if !errors.As(err, &other) || other.Found.Partition != 7 {
		t.Fatalf("got %v", err)
	}
}
