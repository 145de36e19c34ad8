package log

import (
	"errors"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/weir/weir/internal/vfs"
)

// checked gives what a check of the test's log finds.
func checked(t *testing.T, fs vfs.FS) ([]Finding, Checked) {
	t.Helper()
	var found []Finding
	c := &Checker{FS: fs, Found: func(f Finding) { found = append(found, f) }}
	id, err := c.Folder("data/t-0")
	if err != nil {
		t.Fatal(err)
	}
	if len(found) == 0 && c.Sum.Segments > 0 && id != (Identity{Partition: 7}) {
		t.Fatal("the log is whole, and belongs to", id)
	}
	return found, c.Sum
}

// TestCheckFindsNothingInWholeLogs goes through lives of logs: nothing may be found in one that its writer is using, nor in
// one that was synced before a crash.
func TestCheckFindsNothingInWholeLogs(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		cfg := testConfig
		cfg.SegmentBytes, cfg.IndexIntervalBytes = rapid.Int64Range(300, 900).Draw(rt, "segment"), rapid.IntRange(1, 300).Draw(rt, "interval")
		fs := vfs.NewMem()
		w, _ := openTest(t, fs, cfg)
		lead := func() { // a leader's first entry is one of Raft's own
			w.term++
			w.mustAppend(0)
		}
		lead()
		crashed := false
		for range rapid.IntRange(1, 30).Draw(rt, "steps") {
			var err error
			switch step := rapid.IntRange(0, 9).Draw(rt, "step"); step {
			default:
				w.mustAppend(rapid.SliceOfN(rapid.IntRange(0, 4), 1, 5).Draw(rt, "counts")...)
			case 4:
				lead()
			case 5:
				err = w.l.Checkpoint()
			case 6:
				err = w.l.SetStartOffset(rapid.Int64Range(w.l.StartOffset(), w.l.EndOffset()).Draw(rt, "start"))
			case 7:
				err = w.l.TruncateSuffix(rapid.Uint64Range(w.l.FirstIndex()-1, w.l.LastIndex()).Draw(rt, "last"))
				lead()
			case 8:
				err = w.sync()
			case 9:
				if err := w.sync(); err != nil {
					rt.Fatal(err)
				}
				crashed = true // index files are not synced: from now on they may be torn
				fs = fs.CrashClone(rand.New(rand.NewPCG(rapid.Uint64().Draw(rt, "seed"), 1)))
				w, _ = openTest(t, fs, cfg)
				lead()
			}
			if err != nil {
				rt.Fatal(err)
			}
			got := slices.DeleteFunc(found(t, fs), func(f Finding) bool { return crashed && strings.HasSuffix(f.File, indexSuffix) })
			if len(got) > 0 {
				rt.Fatalf("in a whole log: %+v", got)
			}
		}
		_, sum := checked(t, fs)
		if sum.Records < w.l.EndOffset()-w.l.StartOffset() {
			rt.Fatalf("checked %d records of %d to %d", sum.Records, w.l.StartOffset(), w.l.EndOffset())
		}
	})
}

func found(t *testing.T, fs vfs.FS) []Finding {
	t.Helper()
	all, _ := checked(t, fs)
	return all
}

// checkpointedLog gives a log of several segments with a checkpoint of all of it.
func checkpointedLog(t *testing.T) (*vfs.Mem, *writer) {
	t.Helper()
	cfg := testConfig
	cfg.SegmentBytes, cfg.IndexIntervalBytes = 500, 100
	fs := vfs.NewMem()
	w, _ := openTest(t, fs, cfg)
	for range 8 {
		w.mustAppend(0, 2)
	}
	w.term++
	w.mustAppend(0, 1)
	if err := w.l.Checkpoint(); err != nil {
		t.Fatal(err)
	}
	return fs, w
}

func TestCheckNoticesEveryFlippedByte(t *testing.T) {
	fs, w := checkpointedLog(t)
	names, err := fs.List("data/t-0")
	if err != nil {
		t.Fatal(err)
	}
	last := w.l.active()
	active := last.name + indexSuffix
	for _, name := range names {
		name = "data/t-0/" + name
		size, _ := fs.Size(name)
		for at := range size {
			flipped := fs.Clone()
			flip(t, flipped, name, at)
			all := found(t, flipped)
			if len(all) == 0 {
				t.Fatalf("%s, byte %d: nothing was found", name, at)
			}
			free := name == active || name == last.name+logSuffix && at >= last.size // nothing depends on it
			if damage := all[0].Damage; damage == free {
				t.Fatalf("%s, byte %d: %+v", name, at, all)
			}
		}
	}
}

func flip(t *testing.T, fs vfs.FS, name string, at int64) {
	t.Helper()
	f, err := fs.OpenReadWrite(name)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	var b [1]byte
	if _, err := f.ReadAt(b[:], at); err != nil {
		t.Fatal(err)
	}
	b[0] ^= 0x10
	if _, err := f.WriteAt(b[:], at); err != nil {
		t.Fatal(err)
	}
}

func TestCheckOfMissingAndShortFiles(t *testing.T) {
	whole, w := checkpointedLog(t)
	first, second := w.l.segments[0].name, w.l.segments[1].name
	last := w.l.active()
	for _, test := range []struct {
		name   string
		do     func(fs vfs.FS) error
		damage bool
		want   string // empty: nothing is to be found
	}{
		{"the oldest segment", func(fs vfs.FS) error { return fs.Remove(first + logSuffix) }, true, "it is missing, and the checkpoint covers it"},
		{"a segment in the middle", func(fs vfs.FS) error { return fs.Remove(second + logSuffix) }, true, "should follow"},
		{"the newest segment", func(fs vfs.FS) error { return fs.Remove(last.name + logSuffix) }, true, "no place where a frame ends"},
		{"an index", func(fs vfs.FS) error { return fs.Remove(first + indexSuffix) }, false, "it is missing; it is made anew"},
		{"the checkpoints", func(fs vfs.FS) error { return removeCheckpoints(fs) }, false, ""},
		{"the end of an index", func(fs vfs.FS) error { return truncate(fs, first+indexSuffix, indexEntrySize) }, true, "does not reach the end"},
		{"part of an index entry", func(fs vfs.FS) error { return truncate(fs, first+indexSuffix, indexEntrySize+3) }, true, "cut off"},
		{"the end of what is covered", func(fs vfs.FS) error { return truncate(fs, last.name+logSuffix, last.size-1) }, true, "the checkpoint covers"},
		{"the end of what is not covered", func(fs vfs.FS) error {
			return errors.Join(removeCheckpoints(fs), truncate(fs, last.name+logSuffix, last.size-1))
		}, false, "the next start cuts them off"},
		{"a header that is not covered", func(fs vfs.FS) error {
			return errors.Join(removeCheckpoints(fs), truncate(fs, last.name+logSuffix, headerFrame-1))
		}, false, "its header is not whole"},
		{"the end of a sealed segment", func(fs vfs.FS) error {
			return errors.Join(removeCheckpoints(fs), truncate(fs, first+logSuffix, 300))
		}, true, "cut off"},
	} {
		t.Run(test.name, func(t *testing.T) {
			fs := whole.Clone()
			if err := test.do(fs); err != nil {
				t.Fatal(err)
			}
			all := found(t, fs)
			if test.want == "" {
				if len(all) > 0 {
					t.Fatalf("found %+v", all)
				}
				return
			}
			for _, f := range all {
				if strings.Contains(f.Reason, test.want) && f.Damage == test.damage {
					return
				}
			}
			t.Fatalf("found %+v, want %q", all, test.want)
		})
	}
}

func removeCheckpoints(fs vfs.FS) error {
	names, err := fs.List("data/t-0")
	for _, name := range names {
		if strings.HasSuffix(name, checkpointSuffix) {
			err = errors.Join(err, fs.Remove("data/t-0/"+name))
		}
	}
	return err
}

func truncate(fs vfs.FS, name string, size int64) error {
	f, err := fs.OpenReadWrite(name)
	if err != nil {
		return err
	}
	return errors.Join(f.Truncate(size), f.Close())
}

// TestCheckGoesOnAfterDamage makes sure that one damaged batch does not hide another.
func TestCheckGoesOnAfterDamage(t *testing.T) {
	fs, w := checkpointedLog(t)
	flip(t, fs, w.l.segments[0].name+logSuffix, 150)
	flip(t, fs, w.l.segments[2].name+logSuffix, 150)
	if all := found(t, fs); len(all) != 2 || !all[0].Damage || !all[1].Damage {
		t.Fatalf("found %+v", all)
	}
}

func TestCheckOfOneSegment(t *testing.T) {
	fs, w := checkpointedLog(t)
	name := w.l.segments[1].name + logSuffix
	var all []Finding
	c := &Checker{FS: fs, Found: func(f Finding) { all = append(all, f) }}
	if err := c.Segment(name); err != nil || len(all) > 0 || c.Sum.Segments != 1 || c.Sum.Records == 0 {
		t.Fatalf("%v, %+v, %+v", err, all, c.Sum)
	}
	flip(t, fs, name, 100)
	if err := c.Segment(name); err != nil || len(all) != 1 || !all[0].Damage {
		t.Fatalf("%v, %+v", err, all)
	}
	if err := c.Segment("data/t-0/nothing.log"); err == nil {
		t.Fatal("a file that is not there was checked")
	}
}

func TestCheckEndsWhenToldTo(t *testing.T) {
	fs, _ := checkpointedLog(t)
	enough := errors.New("enough")
	c := &Checker{FS: fs, Found: func(Finding) {}, Read: func(int64) error { return enough }}
	if _, err := c.Folder("data/t-0"); !errors.Is(err, enough) {
		t.Fatal(err)
	}
}

// TestCheckpointSyncsAllThatItCovers writes several segments without syncing any, as relaxed durability does.
func TestCheckpointSyncsAllThatItCovers(t *testing.T) {
	cfg := testConfig
	cfg.SegmentBytes = 300
	for seed := range uint64(50) {
		fs := vfs.NewMem()
		w, _ := openTest(t, fs, cfg)
		if err := w.sync(); err != nil { // the folder
			t.Fatal(err)
		}
		w.term++
		for range 10 {
			w.mustAppend(0, 2)
		}
		if err := w.l.Checkpoint(); err != nil {
			t.Fatal(err)
		}
		end := w.l.EndOffset()
		w.mustAppend(3, 3, 3, 3, 3)
		again, _ := openTest(t, fs.CrashClone(rand.New(rand.NewPCG(seed, 1))), cfg)
		if _, err := readAll(again.l, 0); err != nil || again.l.EndOffset() < end {
			t.Fatalf("seed %d: the log ends with %d instead of %d (%v)", seed, again.l.EndOffset(), end, err)
		}
	}
}
