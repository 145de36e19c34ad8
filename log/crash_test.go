package log

import (
	"bytes"
	"errors"
	"fmt"
	"math/rand/v2"
	"testing"

	"github.com/weir/weir/internal/vfs"
	"github.com/weir/weir/record"
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

// TestCutTailStaysCut crashes twice: of what the first crash left half written, nothing comes back after the second. Here it would
// give an entry of the new term the content of an old one, since the border of a sector lies between what a batch's leader assigns
// and its checksum, and an entry would no longer be the same on all replicas.
func TestCutTailStaysCut(t *testing.T) {
	const lead = frameHeader + offsetCRC // from the first entry of a term to the checksum of the batch after it
	batches := func(w *writer, n int, fill byte) {
		w.term++
		value := bytes.Repeat([]byte{fill}, n)
		b := record.NewBuilder(record.BuilderOptions{})
		b.Append(1000, []byte("k"), value)
		one := b.Build()
		record.Assign(one, w.l.EndOffset(), int32(w.term))
		last := w.l.LastIndex()
		err := w.l.Append([]Entry{{Index: last + 1, Term: w.term, Kind: Batch + 1}, {Index: last + 2, Term: w.term, Kind: Batch, Data: one}})
		if err != nil {
			t.Fatal(err)
		}
	}
	fs := vfs.NewMem()
	w, _ := openTest(t, fs, testConfig)
	for n := 300; (w.l.Size()+lead)%512 != 0; n++ { // the batch that follows begins where it shall
		fs = vfs.NewMem()
		w, _ = openTest(t, fs, testConfig)
		batches(w, n, 'a')
	}
	if err := w.sync(); err != nil {
		t.Fatal(err)
	}
	whole := w.l.LastIndex()
	batches(w, 1000, 'b')
	cut := 0
	for seed := range uint64(3000) {
		first := fs.CrashClone(rand.New(rand.NewPCG(seed, 1)))
		again, r := openTest(t, first, testConfig)
		if r.Cut == 0 {
			continue
		}
		cut++
		if again.term++; again.l.LastIndex() != whole {
			continue // the first entry of the term is there
		}
		batches(again, 1000, 'c')
		l := mustOpen(t, first.CrashClone(rand.New(rand.NewPCG(seed, 2))), testConfig)
		for i := whole + 1; i <= l.LastIndex(); i++ {
			got, err := l.Entries(i, i+1, 1)
			if err != nil {
				t.Fatal(err)
			}
			if got[0].Term != again.term || bytes.IndexByte(got[0].Data, 'b') >= 0 {
				t.Fatalf("seed %d: entry %d, of term %d, is what was cut off", seed, i, got[0].Term)
			}
		}
	}
	if cut == 0 {
		t.Fatal("nothing was cut off")
	}
}
