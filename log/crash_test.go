package log

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"testing"

	"github.com/weir/weir/internal/vfs"
)

// TestCrashWhileRetentionRemovesAll crashes at each step of removing all that is in a log, and after it: its offsets go on
// where they were.
func TestCrashWhileRetentionRemovesAll(t *testing.T) {
	cfg := testConfig
	cfg.RetentionMs = 0
	base := vfs.NewMem()
	fs := vfs.NewFaults(base)
	w, _ := openTest(t, fs, cfg)
	w.term++
	w.mustAppend(0, 2, 3)
	if err := w.sync(); err != nil {
		t.Fatal(err)
	}
	crash := func(when string) {
		for seed := range uint64(20) {
			again, _ := openTest(t, base.CrashClone(rand.New(rand.NewPCG(seed, 1))), cfg)
			if again.l.EndOffset() != 5 || again.l.LastIndex() != 3 {
				t.Fatalf("%s, seed %d: the log goes on with offset %d after entry %d", when, seed, again.l.EndOffset(), again.l.LastIndex())
			}
		}
	}
	steps := 0
	fs.OnOp(func(op vfs.Op) {
		steps++
		crash(fmt.Sprint("after ", op))
	})
	if n, err := w.l.Retain(w.now+1000, w.l.EndOffset()); n != 1 || err != nil {
		t.Fatalf("%d segments went (%v)", n, err)
	}
	if steps == 0 {
		t.Fatal("there was no step to crash after")
	}
}

// TestCrashWhileRolling crashes between a write and its sync when an entry of raft's own was the last of its segment.
func TestCrashWhileRolling(t *testing.T) {
	cfg := testConfig
	cfg.SegmentBytes = 300
	for seed := range uint64(200) {
		fs := vfs.NewMem()
		w, _ := openTest(t, fs, cfg)
		w.term++
		w.mustAppend(0, 2)
		if err := w.sync(); err != nil {
			t.Fatal(err)
		}
		w.term++
		w.mustAppend(0, 4) // the batch begins a segment
		if len(w.l.segments) != 2 {
			t.Fatal("the batch did not begin a segment")
		}
		again, _ := openTest(t, fs.CrashClone(rand.New(rand.NewPCG(seed, 1))), cfg)
		if _, err := readAll(again.l, 0); err != nil || again.l.EndOffset() < 2 {
			t.Fatalf("seed %d: the log ends with %d (%v)", seed, again.l.EndOffset(), err)
		}
	}
}

// TestCrashAfterKill: the process is killed before it wrote more than the header of a segment; the next one writes on, and
// syncs what it wrote. The segment's name must then be durable too.
func TestCrashAfterKill(t *testing.T) {
	for _, rolled := range []bool{false, true} {
		fs := vfs.NewMem()
		w, _ := openTest(t, fs, testConfig)
		if rolled {
			w.mustAppend(2)
			if err := errors.Join(w.sync(), w.l.Checkpoint(), w.l.Roll()); err != nil {
				t.Fatal(err)
			}
		}
		fs = fs.Clone()
		w, _ = openTest(t, fs, testConfig)
		w.mustAppend(3)
		if err := w.sync(); err != nil {
			t.Fatal(err)
		}
		if end := mustOpen(t, fs.CrashClone(nil), testConfig).EndOffset(); end != w.l.EndOffset() {
			t.Fatalf("rolled %v: it ends at %d, and %d was synced", rolled, end, w.l.EndOffset())
		}
	}
}
