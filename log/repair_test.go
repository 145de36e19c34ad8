package log

import (
	"bytes"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/weir/weir/internal/vfs"
)

// several is a log of some segments on a disk, closed with a checkpoint, of a replica that others can repair.
func several(t *testing.T) (*vfs.Mem, Config) {
	t.Helper()
	cfg := testConfig
	cfg.SegmentBytes, cfg.IndexIntervalBytes, cfg.Repairable = 700, 200, true
	fs := vfs.NewMem()
	w, _ := openTest(t, fs, cfg)
	for term := range 6 {
		w.term++
		w.mustAppend(0, 2, 3, 1, 1, 4)
		if term%2 == 0 {
			w.term++
			w.mustAppend(0, 0, 1)
		}
	}
	if err := errors.Join(w.sync(), w.l.Checkpoint(), w.l.Close()); err != nil {
		t.Fatal(err)
	}
	return fs, cfg
}

func openSeveral(t *testing.T, fs vfs.FS, cfg Config) *Log {
	t.Helper()
	l, r, err := Open(fs, "data/t-0", Identity{Partition: 7}, cfg, nil)
	if err != nil {
		t.Fatal(err)
	}
	if r.Cut > 0 {
		t.Fatalf("opening cut something off: %v", r)
	}
	return l
}

func content(t *testing.T, fs vfs.FS, name string) []byte {
	t.Helper()
	b, err := vfs.ReadFile(fs, name)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func noPace(int64) error { return nil }

// repair repairs all damaged segments from another log, a few entries at a time.
func repair(l, from *Log) error {
	for _, base := range l.Damaged() {
		found, err := l.Check(base, noPace)
		if err != nil {
			return err
		}
		for _, d := range found {
			if err := repairOne(l, from, d); err != nil {
				return err
			}
		}
		if found, err := l.Check(base, noPace); err != nil || len(found) > 0 {
			return fmt.Errorf("after the repair there is %v (%v)", found, err)
		}
	}
	return nil
}

func repairOne(l, from *Log, d Damage) error {
	r, err := l.BeginRepair(d)
	if err != nil {
		return err
	}
	defer r.Close()
	for lo, hi := r.Wants(); lo < hi; lo, hi = r.Wants() {
		entries, err := from.Entries(lo, hi, 200)
		if err != nil {
			return err
		}
		if err := r.Write(entries); err != nil {
			return err
		}
	}
	return r.Finish()
}

// damageOnce damages a file in one way or another, and says how.
func damageOnce(t *testing.T, fs *vfs.Mem, name string, rng *rand.Rand) string {
	t.Helper()
	f, err := fs.OpenReadWrite(name)
	if err != nil {
		t.Fatal(err)
	}
	size, err := f.Size()
	if err != nil {
		t.Fatal(err)
	}
	at := rng.Int64N(size)
	what := ""
	switch rng.IntN(5) {
	case 0, 1:
		what = fmt.Sprintf("bit at %d", at)
		var b [1]byte
		_, err = f.ReadAt(b[:], at)
		b[0] ^= 1 << rng.IntN(8)
		err = errors.Join(err, writeAt(f, b[:], at))
	case 2:
		n := min(size-at, 1+rng.Int64N(400))
		what = fmt.Sprintf("%d zeros at %d", n, at)
		err = writeAt(f, make([]byte, n), at)
	case 4:
		what = "more follows"
		err = writeAt(f, []byte("more"), size)
	case 3:
		what = fmt.Sprintf("cut at %d", at)
		err = f.Truncate(at)
	}
	if err := errors.Join(err, f.Sync(), f.Close()); err != nil {
		t.Fatal(err)
	}
	return what
}

// served reads all that can be read, and compares it with a whole log. It tells whether damage was met.
func served(t *testing.T, l, whole *Log, what string) (met bool) {
	t.Helper()
	var damage *CorruptError
	for i := whole.FirstIndex(); i <= whole.LastIndex(); i++ {
		want, err := whole.Entries(i, i+1, 1)
		if err != nil {
			t.Fatal(err)
		}
		got, err := l.Entries(i, i+1, 1)
		if errors.As(err, &damage) {
			met = true
		} else if err != nil || got[0].Term != want[0].Term || got[0].Kind != want[0].Kind || !bytes.Equal(got[0].Data, want[0].Data) {
			t.Fatalf("%s: entry %d is read as another (%v)", what, i, err)
		}
		if want[0].Kind != Batch {
			continue
		}
		end, err := whole.EndOffsetAt(i - 1)
		if err != nil {
			t.Fatal(err)
		}
		d, err := l.Read(end, 1, l.EndOffset(), true)
		if errors.As(err, &damage) {
			met = true
			continue
		}
		b, errBytes := d.Bytes()
		d.Release()
		if err := errors.Join(err, errBytes); err != nil || !bytes.Equal(b, want[0].Data) {
			t.Fatalf("%s: at offset %d is read what was not written (%v)", what, end, err)
		}
		if at, err := l.EndOffsetAt(i - 1); err != nil || at > end {
			t.Fatalf("%s: the end offset at entry %d is %d instead of %d (%v)", what, i-1, at, end, err)
		}
	}
	return met
}

// TestRepair damages sealed segments in all ways: what is damaged is never served, is found by reading and by checking, and is
// written anew as it was, byte for byte, from another replica.
func TestRepair(t *testing.T) {
	whole, cfg := several(t)
	other := openSeveral(t, whole.Clone(), cfg)
	sealed := other.Sealed()
	if len(sealed) < 4 {
		t.Fatalf("there are %d sealed segments", len(sealed))
	}
	for seed := range uint64(400) {
		rng := rand.New(rand.NewPCG(seed, 2))
		fs := whole.Clone()
		var l *Log
		if seed%2 == 0 { // it runs when the disk rots
			l = openSeveral(t, fs, cfg)
			_ = served(t, l, other, "before")
		}
		bad := map[int64][]byte{}
		what := fmt.Sprintf("seed %d:", seed)
		for range 1 + rng.IntN(2) {
			base := sealed[rng.IntN(len(sealed))]
			name := segmentName("data/t-0", base) + logSuffix
			if size, err := fs.Size(name); bad[base] != nil || err != nil || size == 0 {
				continue
			}
			if rng.IntN(8) == 0 {
				what += fmt.Sprintf(" %d is removed", base)
				bad[base] = []byte{}
				if err := fs.Remove(name); err != nil {
					t.Fatal(err)
				}
				continue
			}
			what += fmt.Sprintf(" %d %s;", base, damageOnce(t, fs, name, rng))
			bad[base] = content(t, fs, name)
		}
		for base, b := range bad {
			if bytes.Equal(b, content(t, whole, segmentName("data/t-0", base)+logSuffix)) {
				delete(bad, base) // zeros over zeros
			}
		}
		if l == nil {
			l = openSeveral(t, fs, cfg)
			_ = served(t, l, other, what)
		}
		found := 0
		for _, base := range l.Sealed() {
			places, err := l.Check(base, noPace)
			if err != nil {
				t.Fatalf("%s: %v", what, err)
			}
			if len(places) > 0 != (bad[base] != nil) {
				t.Fatalf("%s: a check of segment %d finds %v", what, base, places)
			}
			found += min(len(places), 1)
		}
		if len(l.Damaged()) != len(bad) || found != len(bad) {
			t.Fatalf("%s: segments %v are known to be damaged", what, l.Damaged())
		}
		_ = served(t, l, other, what)
		if err := repair(l, other); err != nil {
			t.Fatalf("%s: %v", what, err)
		}
		if len(l.Damaged()) > 0 || served(t, l, other, what) {
			t.Fatalf("%s: it is not whole after the repair", what)
		}
		for _, base := range sealed {
			if name := segmentName("data/t-0", base) + logSuffix; !bytes.Equal(content(t, fs, name), content(t, whole, name)) {
				t.Fatalf("%s: segment %d is not what it was", what, base)
			}
		}
		checkKept(t, fs, what, bad)
	}
}

// checkKept checks that what is in .damaged files was there.
func checkKept(t *testing.T, fs vfs.FS, what string, bad map[int64][]byte) {
	t.Helper()
	names, err := fs.List("data/t-0")
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range names {
		if !strings.HasSuffix(name, ".damaged") {
			continue
		}
		var base, pos int64
		if _, err := fmt.Sscanf(name, "%d.%d.damaged", &base, &pos); err != nil {
			t.Fatal(err)
		}
		b := content(t, fs, "data/t-0/"+name)
		if from := bad[base]; int64(len(from)) < pos+int64(len(b)) || !bytes.Equal(b, from[pos:pos+int64(len(b))]) {
			t.Fatalf("%s: %s is not what was there", what, name)
		}
	}
}

// TestRepairRefuses: entries that are not those that were there are refused.
func TestRepairRefuses(t *testing.T) {
	whole, cfg := several(t)
	other := openSeveral(t, whole.Clone(), cfg)
	fs := whole.Clone()
	l := openSeveral(t, fs, cfg)
	name := segmentName("data/t-0", l.Sealed()[1]) + logSuffix
	if err := fs.Remove(name); err != nil {
		t.Fatal(err)
	}
	found, err := l.Check(l.Sealed()[1], noPace)
	if err != nil || len(found) != 1 {
		t.Fatal(found, err)
	}
	for what, change := range map[string]func(*Entry){
		"index": func(e *Entry) { e.Index++ },
		"term":  func(e *Entry) { e.Term++ },
		"kind":  func(e *Entry) { e.Kind++ },
		"bytes": func(e *Entry) { e.Data = append(slices.Clone(e.Data), 1) },
	} {
		for skip := range found[0].Last - found[0].First + 1 {
			r, err := l.BeginRepair(found[0])
			if err != nil {
				t.Fatal(err)
			}
			entries, err := other.Entries(found[0].First, found[0].Last+1, 1<<20)
			if err != nil {
				t.Fatal(err)
			}
			change(&entries[skip])
			if err := r.Write(entries); !errors.Is(err, ErrUnfit) {
				t.Errorf("another %s of entry %d: %v", what, entries[skip].Index, err)
			}
			if err := r.Finish(); !errors.Is(err, ErrUnfit) {
				t.Errorf("not all was written, and it is finished: %v", err)
			}
			r.Close()
		}
	}
}

// TestCrashWhileRepairing crashes after each step of a repair: nothing that is damaged is served then, and the next repair makes it
// whole.
func TestCrashWhileRepairing(t *testing.T) {
	whole, cfg := several(t)
	other := openSeveral(t, whole.Clone(), cfg)
	for seed := range uint64(40) {
		rng := rand.New(rand.NewPCG(seed, 3))
		base := whole.Clone()
		segment := other.Sealed()[rng.IntN(len(other.Sealed()))]
		name := segmentName("data/t-0", segment) + logSuffix
		what := "it is removed"
		if seed%4 == 0 {
			if err := errors.Join(base.Remove(name), base.SyncDir("data/t-0")); err != nil {
				t.Fatal(err)
			}
		} else {
			for what = ""; bytes.Equal(content(t, base, name), content(t, whole, name)); {
				what += damageOnce(t, base, name, rng)
			}
		}
		fs := vfs.NewFaults(base)
		l := openSeveral(t, fs, cfg)
		if found, err := l.Check(segment, noPace); err != nil || len(found) == 0 {
			t.Fatalf("%s: %v (%v)", what, found, err)
		}
		steps := 0
		fs.OnOp(func(op vfs.Op) {
			steps++
			left := base.CrashClone(rng)
			again := openSeveral(t, left, cfg)
			_ = served(t, again, other, fmt.Sprint(what, ", after ", op))
			for _, base := range again.Sealed() {
				if _, err := again.Check(base, noPace); err != nil {
					t.Fatal(err)
				}
			}
			if err := repair(again, other); err != nil {
				t.Fatalf("%s, after %v: %v", what, op, err)
			}
			if !bytes.Equal(content(t, left, name), content(t, whole, name)) {
				t.Fatalf("%s, after %v: the segment is not what it was", what, op)
			}
		})
		if err := repair(l, other); err != nil {
			t.Fatal(err)
		}
		if steps < 3 {
			t.Fatalf("%s: there were only %d steps", what, steps)
		}
		fs.OnOp(nil)
		if left := base.CrashClone(nil); !bytes.Equal(content(t, left, name), content(t, whole, name)) {
			t.Fatalf("%s: the repair is not durable", what)
		}
	}
}

// TestOpenWithoutSegment: a log of which a segment is missing or too short opens where others have it too, and goes on where it was;
// where nobody has, and where the last one is missing, it is an error, and nothing is changed.
func TestOpenWithoutSegment(t *testing.T) {
	whole, cfg := several(t)
	other := openSeveral(t, whole.Clone(), cfg)
	bases := append(other.Sealed(), other.active().base)
	for _, short := range []bool{false, true} {
		for _, repairable := range []bool{true, false} {
			for i, base := range bases {
				what := fmt.Sprintf("segment %d, short %v, repairable %v", base, short, repairable)
				fs := whole.Clone()
				name := segmentName("data/t-0", base) + logSuffix
				damage := fs.Remove
				if short {
					damage = func(name string) error {
						f, err := fs.OpenReadWrite(name)
						if err != nil {
							return err
						}
						return errors.Join(f.Truncate(60), f.Close())
					}
				}
				if err := damage(name); err != nil {
					t.Fatal(err)
				}
				before := logFiles(t, fs)
				cfg.Repairable = repairable
				l, _, err := Open(fs, "data/t-0", Identity{Partition: 7}, cfg, nil)
				if repairable && i == len(bases)-1 {
					forgets(t, what, fs, cfg, other, base)
					continue
				}
				if !repairable {
					var corrupt *CorruptError
					if !errors.As(err, &corrupt) || corrupt.File != name {
						t.Errorf("%s: %v", what, err)
					}
					if after := logFiles(t, fs); !slices.Equal(before, after) {
						t.Errorf("%s: there were files %v, and there are %v", what, before, after)
					}
					continue
				}
				if err != nil {
					t.Fatalf("%s: %v", what, err)
				}
				if l.LastIndex() != other.LastIndex() || l.EndOffset() != other.EndOffset() || l.StartOffset() != 0 || !slices.Equal(l.Damaged(), []int64{base}) {
					t.Errorf("%s: offsets %d to %d, and %v are damaged", what, l.StartOffset(), l.EndOffset(), l.Damaged())
				}
				w := &writer{t: t, l: l, term: l.lastTerm}
				w.mustAppend(3)
				if err := errors.Join(w.sync(), l.Checkpoint(), repair(l, other)); err != nil {
					t.Fatalf("%s: %v", what, err)
				}
				if _, err := readAll(l, 0); err != nil {
					t.Errorf("%s: %v", what, err)
				}
			}
		}
	}
}

// forgets opens a log whose last segment is not what it was: it goes on with what is before it, says so until it has the rest, and
// becomes the same as another one.
func forgets(t *testing.T, what string, fs vfs.FS, cfg Config, other *Log, from int64) {
	t.Helper()
	state := noted{}
	for range 2 { // it does not forget that it has forgotten
		l, _, err := Open(fs, "data/t-0", Identity{Partition: 7}, cfg, state)
		if err != nil || l.Forgotten() != ByDamage || l.EndOffset() != from {
			t.Fatalf("%s: forgotten %v, it ends at %d (%v)", what, l.Forgotten(), l.EndOffset(), err)
		}
		if err := l.Close(); err != nil {
			t.Fatal(err)
		}
	}
	l, _, err := Open(fs, "data/t-0", Identity{Partition: 7}, cfg, state)
	if err != nil {
		t.Fatal(err)
	}
	for base := range state {
		if base >= from {
			t.Errorf("%s: the state knows of a batch at %d", what, base)
		}
	}
	rest, err := other.Entries(l.LastIndex()+1, other.LastIndex()+1, 1<<30)
	if err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(l.Append(rest), l.Sync(), l.Remembered(), l.Close()); err != nil {
		t.Fatalf("%s: %v", what, err)
	}
	l = openSeveral(t, fs, cfg)
	if got, _ := readAll(l, l.StartOffset()); l.Forgotten() != Nothing || l.EndOffset() != other.EndOffset() || l.LastIndex() != other.LastIndex() || len(got) == 0 {
		t.Errorf("%s: forgotten %v, it ends at %d with entry %d", what, l.Forgotten(), l.EndOffset(), l.LastIndex())
	}
}

// TestOpenForgetsAfterCrash crashes at each step of giving up a damaged last segment: it is noted before anything that tells of it goes.
func TestOpenForgetsAfterCrash(t *testing.T) {
	whole, cfg := several(t)
	other := openSeveral(t, whole.Clone(), cfg)
	last := other.active().base
	if err := errors.Join(whole.Remove(segmentName("data/t-0", last)+logSuffix), whole.SyncDir("data/t-0")); err != nil {
		t.Fatal(err)
	}
	for seed := range uint64(40) {
		rng := rand.New(rand.NewPCG(seed, 6))
		base := whole.Clone()
		fs := vfs.NewFaults(base)
		fs.OnOp(func(op vfs.Op) {
			if again := openSeveral(t, base.CrashClone(rng), cfg); again.Forgotten() != ByDamage || again.EndOffset() > last {
				t.Fatalf("after %v: forgotten %v, it ends at %d", op, again.Forgotten(), again.EndOffset())
			}
		})
		openSeveral(t, fs, cfg)
	}
}

// TestOpenWithoutAnySegment: an empty log does not take the place of one whose segments are all lost, unless it says so.
func TestOpenWithoutAnySegment(t *testing.T) {
	whole, cfg := several(t)
	other := openSeveral(t, whole.Clone(), cfg)
	cfg.Repairable = false
	for _, deleted := range []bool{false, true} {
		fs := whole.Clone()
		if deleted {
			l := openSeveral(t, fs, cfg)
			if err := errors.Join(l.SetStartOffset(l.EndOffset()), l.Close()); err != nil {
				t.Fatal(err)
			}
		}
		for _, base := range append(other.Sealed(), other.active().base) {
			if err := fs.Remove(segmentName("data/t-0", base) + logSuffix); err != nil && !errors.Is(err, errNotExist) {
				t.Fatal(err)
			}
		}
		before := logFiles(t, fs)
		_, _, err := Open(fs, "data/t-0", Identity{Partition: 7}, cfg, nil)
		if damage := (&CorruptError{}); !errors.As(err, &damage) {
			t.Errorf("deleted %v: %v", deleted, err)
		}
		if after := logFiles(t, fs); !slices.Equal(before, after) {
			t.Errorf("deleted %v: there were files %v, and there are %v", deleted, before, after)
		}
		repairable := cfg
		repairable.Repairable = true
		if l := openSeveral(t, fs, repairable); l.Forgotten() != ByDamage || l.LastIndex() != 0 {
			t.Errorf("deleted %v: with others it ends with entry %d, forgotten %v", deleted, l.LastIndex(), l.Forgotten())
		}
	}
}

// logFiles gives the files that cannot be made anew.
func logFiles(t *testing.T, fs vfs.FS) []string {
	t.Helper()
	names, err := fs.List("data/t-0")
	if err != nil {
		t.Fatal(err)
	}
	return slices.DeleteFunc(names, func(name string) bool { return strings.HasSuffix(name, indexSuffix) })
}

// TestRemovedSegmentsAreNotDamage: what retention removed is no damage, also after a crash on the way.
func TestRemovedSegmentsAreNotDamage(t *testing.T) {
	whole, cfg := several(t)
	cfg.Repairable = false
	for seed := range uint64(30) {
		rng := rand.New(rand.NewPCG(seed, 4))
		base := whole.Clone()
		fs := vfs.NewFaults(base)
		l := openSeveral(t, fs, cfg)
		fs.OnOp(func(op vfs.Op) {
			again := openSeveral(t, base.CrashClone(rng), cfg)
			if again.EndOffset() != l.end {
				t.Fatalf("after %v it ends at %d", op, again.EndOffset())
			}
			if _, err := readAll(again, again.StartOffset()); err != nil {
				t.Fatalf("after %v: %v", op, err)
			}
		})
		now := cfg
		now.RetentionBytes = rng.Int64N(l.Size() - 800)
		l.SetConfig(now)
		if n, err := l.Retain(0, l.EndOffset()); n == 0 || err != nil {
			t.Fatalf("%d segments went (%v)", n, err)
		}
	}
}

// TestStaleIndex: an index that is not right is found by a check, and made anew.
func TestStaleIndex(t *testing.T) {
	whole, cfg := several(t)
	other := openSeveral(t, whole.Clone(), cfg)
	for seed := range uint64(60) {
		rng := rand.New(rand.NewPCG(seed, 5))
		fs := whole.Clone()
		l := openSeveral(t, fs, cfg)
		base := l.Sealed()[rng.IntN(len(l.Sealed()))]
		name := segmentName("data/t-0", base) + indexSuffix
		what := damageOnce(t, fs, name, rng)
		right := content(t, whole, name)
		if bytes.Equal(content(t, fs, name), right) {
			continue
		}
		if found, err := l.Check(base, noPace); err != nil || len(found) > 0 {
			t.Fatalf("%s: %v (%v)", what, found, err)
		}
		if served(t, l, other, what) {
			t.Fatalf("%s: damage was met", what)
		}
		if !bytes.Equal(content(t, fs, name), right) {
			t.Errorf("%s: the index is not what it was", what)
		}
	}
}
