package log

import (
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"syscall"
	"testing"

	"github.com/weir/weir/internal/vfs"
)

// resetLog makes a log of several segments with a state, a checkpoint and a start within its first segment.
func resetLog(t *testing.T, fs vfs.FS) (*writer, noted) {
	t.Helper()
	cfg := testConfig
	cfg.SegmentBytes, cfg.IndexIntervalBytes = 500, 100
	w, _ := openTest(t, fs, cfg)
	state := noted{}
	w.l.state = state
	for range 4 {
		w.term++
		w.mustAppend(0, 2, 3, 1)
	}
	if err := errors.Join(w.l.SetStartOffset(3), w.sync()); err != nil {
		t.Fatal(err)
	}
	w.mustAppend(5, 1)
	if len(w.l.segments) < 4 {
		t.Fatalf("the log has %d segments", len(w.l.segments))
	}
	return w, state
}

func openNoted(t *testing.T, fs vfs.FS) (*Log, noted) {
	t.Helper()
	state := noted{}
	l, _, err := Open(fs, "data/t-0", Identity{Partition: 7}, testConfig, state)
	if err != nil {
		t.Fatal(err)
	}
	return l, state
}

// origins are places to begin anew at: after the end, within the log, at the name of one of its segments, and before it.
func origins(w *writer) []Origin {
	state := noted{100: true, 7: true}.Snapshot(1 << 40)
	second := w.l.segments[1]
	return []Origin{
		{Index: 1000, Term: 50, Offset: 5000, State: state},
		{Index: w.l.LastIndex() - 1, Term: 9, Offset: w.l.EndOffset() - 2, State: state},
		{Index: second.firstIndex, Term: 9, Offset: second.base, State: state},
		{Index: 2, Term: 1, Offset: 0, State: state},
	}
}

func TestReset(t *testing.T) {
	for n := range 4 {
		fs := vfs.NewMem()
		w, state := resetLog(t, fs)
		o := origins(w)[n]
		held, err := w.l.Read(3, 100, 100, true)
		if err != nil {
			t.Fatal(err)
		}
		before, err := w.l.BeginCheckpoint()
		if err != nil {
			t.Fatal(err)
		}
		if err := errors.Join(w.l.Reset(o), before.Write()); err != nil { // the checkpoint of what is gone is not written
			t.Fatal(err)
		}
		if _, err := held.Bytes(); err != nil {
			t.Fatalf("a reader lost its segment: %v", err)
		}
		held.Release()
		check := func(when string, l *Log, state noted) {
			t.Helper()
			term, err := l.Term(o.Index - 1)
			if l.FirstIndex() != o.Index || l.LastIndex() != o.Index-1 || term != o.Term || err != nil {
				t.Fatalf("%s: entries from %d on, to %d; the term before is %d (%v)", when, l.FirstIndex(), l.LastIndex(), term, err)
			}
			if end, err := l.EndOffsetAt(o.Index - 1); l.StartOffset() != o.Offset || l.EndOffset() != o.Offset || end != o.Offset || err != nil {
				t.Fatalf("%s: offsets %d to %d, and %d at entry %d (%v)", when, l.StartOffset(), l.EndOffset(), end, o.Index-1, err)
			}
			if !maps.Equal(state, noted{100: true, 7: true}) {
				t.Fatalf("%s: the owner's state is %v", when, state)
			}
			if got := l.Origin(); got.Index != o.Index || got.Term != o.Term || got.Offset != o.Offset {
				t.Fatalf("%s: the origin is %+v", when, got)
			}
		}
		check("at once", w.l, state)
		l, state := openNoted(t, fs.CrashClone(nil))
		check("after a crash", l, state)

		w = &writer{t: t, l: l, term: o.Term}
		w.mustAppend(2)
		w.term++
		w.mustAppend(0, 3)
		if epoch, end := l.EpochEnd(int32(o.Term)); epoch != int32(o.Term) || end != o.Offset+2 {
			t.Fatalf("epoch %d ends as %d at %d", o.Term, epoch, end)
		}
		if epoch := l.EpochAt(o.Offset + 1); epoch != int32(o.Term) {
			t.Fatalf("offset %d has epoch %d", o.Offset+1, epoch)
		}
		if err := w.sync(); err != nil {
			t.Fatal(err)
		}
		l, _ = openNoted(t, l.fs.(*vfs.Mem).CrashClone(nil))
		if l.LastIndex() != o.Index+2 || l.EndOffset() != o.Offset+5 {
			t.Fatalf("it goes on to entry %d and offset %d", l.LastIndex(), l.EndOffset())
		}
		if _, err := readAll(l, l.StartOffset()); err != nil {
			t.Fatal(err)
		}
	}
}

// TestCrashWhileResetting crashes after each step: the log then is the old one, or the new one with the owner's state.
func TestCrashWhileResetting(t *testing.T) {
	for n := range 4 {
		base := vfs.NewMem()
		fs := vfs.NewFaults(base)
		w, _ := resetLog(t, fs)
		o := origins(w)[n]
		if err := w.sync(); err != nil {
			t.Fatal(err)
		}
		old, err := w.l.Entries(1, w.l.LastIndex()+1, 1<<30)
		if err != nil {
			t.Fatal(err)
		}
		counts := map[string]int{}
		check := func(what string, clone *vfs.Mem) {
			l, state := openNoted(t, clone)
			first, last := l.FirstIndex(), l.LastIndex()
			term, err := l.Term(last)
			switch {
			case err != nil:
				t.Fatalf("%s: %v", what, err)
			case first == o.Index && last == o.Index-1 && term == o.Term && l.EndOffset() == o.Offset && maps.Equal(state, noted{100: true, 7: true}):
				counts["new"]++
				return
			case first != 1 || last != uint64(len(old)) || term != old[last-1].Term || l.StartOffset() != 3:
				t.Fatalf("%s: entries %d to %d, the last of term %d, and offsets %d to %d", what, first, last, term, l.StartOffset(), l.EndOffset())
			}
			counts["old"]++
			if _, err := readAll(l, l.StartOffset()); err != nil {
				t.Fatalf("%s: %v", what, err)
			}
			if err := l.Reset(o); err != nil { // it is asked for again
				t.Fatalf("%s, again: %v", what, err)
			}
			if l, _ := openNoted(t, clone.CrashClone(nil)); l.FirstIndex() != o.Index {
				t.Fatalf("%s, again: the first entry is %d", what, l.FirstIndex())
			}
		}
		fs.OnOp(func(op vfs.Op) {
			check(fmt.Sprint("killed after ", op), base.Clone())
			for seed := range uint64(6) {
				check(fmt.Sprint("seed ", seed, ", after ", op), base.CrashClone(rand.New(rand.NewPCG(seed, 1))))
			}
		})
		if err := w.l.Reset(o); err != nil {
			t.Fatal(err)
		}
		if w.l.FirstIndex() != o.Index {
			t.Fatalf("the log was not reset: it begins with entry %d", w.l.FirstIndex())
		}
		for _, what := range []string{"old", "new"} {
			if counts[what] == 0 {
				t.Errorf("no crash left the log %s: %v", what, counts)
			}
		}
	}
}

// TestResetFailing lets each step fail for lack of space: the next try does it.
func TestResetFailing(t *testing.T) {
	for after, failed := 0, true; failed; after++ {
		base := vfs.NewMem()
		fs := vfs.NewFaults(base)
		w, _ := resetLog(t, fs)
		o := origins(w)[1]
		fs.Inject(vfs.Fault{After: after, Times: 1, Err: syscall.ENOSPC})
		failed = w.l.Reset(o) != nil
		fs.Heal()
		if err := w.l.Reset(o); err != nil {
			t.Fatalf("after a failure at step %d: %v", after, err)
		}
		if l, state := openNoted(t, base.CrashClone(nil)); l.FirstIndex() != o.Index || l.LastIndex() != o.Index-1 || len(state) != 2 {
			t.Fatalf("after a failure at step %d: entries from %d on, to %d, and a state of %d", after, l.FirstIndex(), l.LastIndex(), len(state))
		}
		if !failed && after < 10 {
			t.Fatalf("a reset takes %d steps", after)
		}
	}
}

// TestSyncOfWhatWasCut: what waits for a sync may be cut off meanwhile, and then there is nothing to be done for it.
func TestSyncOfWhatWasCut(t *testing.T) {
	cfg := testConfig
	cfg.SegmentBytes, cfg.IndexIntervalBytes = 300, 50
	for name, cut := range map[string]func(l *Log) error{
		"truncated": func(l *Log) error { return l.TruncateSuffix(1) },
		"reset":     func(l *Log) error { return l.Reset(Origin{Index: 100, Term: 9, Offset: 100}) },
		"retired": func(l *Log) error {
			_, err := l.Retain(1<<40, l.EndOffset())
			return err
		},
	} {
		t.Run(name, func(t *testing.T) {
			w, _ := openTest(t, vfs.NewMem(), cfg)
			w.term++
			w.mustAppend(0)
			for range 6 {
				w.mustAppend(3)
			}
			var d Dirty
			w.l.TakeDirty(&d)
			if len(d.Files) < 3 {
				t.Fatalf("%d files are to be synced", len(d.Files))
			}
			c, err := w.l.BeginCheckpoint()
			if err != nil {
				t.Fatal(err)
			}
			cfg.RetentionMs = 0
			w.l.SetConfig(cfg)
			if err := cut(w.l); err != nil {
				t.Fatal(err)
			}
			for _, f := range d.Files {
				if err := f.Sync(); err != nil {
					t.Error(err)
				}
			}
			if err := c.Write(); err != nil {
				t.Error(err)
			}
		})
	}
}

// TestKeptEntriesStay: neither retention nor a later start takes entries that must stay, and both do when they need not any more.
func TestKeptEntriesStay(t *testing.T) {
	cfg := testConfig
	cfg.SegmentBytes, cfg.RetentionMs = 300, 0
	w, _ := openTest(t, vfs.NewMem(), cfg)
	w.term++
	w.mustAppend(0)
	for range 8 {
		w.mustAppend(2)
	}
	w.l.Keep(3)
	if _, err := w.l.Retain(1<<40, w.l.EndOffset()); err != nil || w.l.FirstIndex() > 3 || w.l.FirstIndex() == 1 {
		t.Fatalf("retention leaves entries from %d on (%v)", w.l.FirstIndex(), err)
	}
	if err := w.l.SetStartOffset(15); err != nil || w.l.FirstIndex() > 3 || w.l.StartOffset() != 15 {
		t.Fatalf("entries from %d on and offsets from %d on are left (%v)", w.l.FirstIndex(), w.l.StartOffset(), err)
	}
	w.l.Keep(0)
	if _, err := w.l.Retain(0, w.l.EndOffset()); err != nil || w.l.FirstIndex() <= 3 {
		t.Fatalf("entries from %d on are left (%v)", w.l.FirstIndex(), err)
	}
}
