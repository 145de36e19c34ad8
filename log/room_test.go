package log

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/weir/weir/internal/vfs"
)

// fileSize is the size of the active segment's file.
func fileSize(t *testing.T, fs vfs.FS, w *writer) int64 {
	t.Helper()
	n, err := fs.Size(w.l.active().name + logSuffix)
	if err != nil {
		t.Fatal(err)
	}
	return n
}

// TestSmallAppendsKeepTheFilesSize: nearly all of them, so that a sync has nothing to write but data.
func TestSmallAppendsKeepTheFilesSize(t *testing.T) {
	fs := vfs.NewMem()
	w, _ := openTest(t, fs, testConfig)
	w.term++
	w.mustAppend(0)
	grown, last, n := 0, fileSize(t, fs, w), 20_000
	for range n {
		w.mustAppend(1)
		size := fileSize(t, fs, w)
		if size != last {
			grown++
		}
		if size > 2*w.l.Size() || size > w.l.Size()+roomMax {
			t.Fatalf("the file has %d bytes, and %d are used", size, w.l.Size())
		}
		last = size
	}
	if most := 20 + int(w.l.Size()/roomMax); grown > most {
		t.Errorf("%d of %d appends made the file larger; at most %d should", grown, n, most)
	}
	if err := w.l.Roll(); err != nil {
		t.Fatal(err)
	}
	if size, _ := fs.Size(w.l.segments[0].name + logSuffix); size != w.l.segments[0].size {
		t.Errorf("a sealed segment of %d bytes has a file of %d", w.l.segments[0].size, size)
	}
	w.mustAppend(1, 1)
	if err := w.l.Close(); err != nil {
		t.Fatal(err)
	}
	if size := fileSize(t, fs, w); size != w.l.active().size {
		t.Errorf("a closed segment of %d bytes has a file of %d", w.l.active().size, size)
	}
}

// TestRoomIsNotTakenWithoutSyncs: it would only cost.
func TestRoomIsNotTakenWithoutSyncs(t *testing.T) {
	fs := vfs.NewMem()
	w, _ := openTest(t, fs, testConfig)
	if err := w.l.Relax(); err != nil {
		t.Fatal(err)
	}
	w.term++
	w.mustAppend(0)
	for range 100 {
		w.mustAppend(1)
		if size := fileSize(t, fs, w); size != w.l.Size() {
			t.Fatalf("the file has %d bytes, and %d are used", size, w.l.Size())
		}
	}
}

// TestRoomIsNotTakenByMuch: where much is written at a time, zeros would be much too, and what they save little.
func TestRoomIsNotTakenByMuch(t *testing.T) {
	fs := vfs.NewMem()
	w, _ := openTest(t, fs, testConfig)
	w.term++
	w.mustAppend(slices.Repeat([]int{0}, 1000)...)
	for range 20 {
		w.mustAppend(slices.Repeat([]int{1}, 400)...)
		if size := fileSize(t, fs, w); size != w.l.Size() {
			t.Fatalf("the file has %d bytes, and %d are used", size, w.l.Size())
		}
	}
}

// TestRoomIsNoDamage: after a kill, and after crashes that tear the write before them, a log opens with all that was synced, and what is
// kept aside is never only room.
func TestRoomIsNoDamage(t *testing.T) {
	cfg := testConfig
	cfg.SegmentBytes = 4000
	for seed := range uint64(300) {
		rng := rand.New(rand.NewPCG(seed, 1))
		fs := vfs.NewMem()
		w, _ := openTest(t, fs, cfg)
		w.term++
		w.mustAppend(0)
		for range rng.IntN(100) {
			w.mustAppend(1)
		}
		if rng.IntN(2) == 0 {
			if err := errors.Join(w.sync(), w.l.Checkpoint()); err != nil {
				t.Fatal(err)
			}
		}
		killed := fs.Clone()
		if all := found(t, killed); len(all) > 0 {
			t.Fatalf("seed %d: %+v", seed, all)
		}
		again, r := openTest(t, killed, cfg)
		if again.l.EndOffset() != w.l.EndOffset() || r.String() != "" {
			t.Fatalf("seed %d: after a kill %d of %d records, %q", seed, again.l.EndOffset(), w.l.EndOffset(), r)
		}
		if size := fileSize(t, killed, again); size != again.l.active().size {
			t.Fatalf("seed %d: a file of %d bytes is opened, of which %d are used", seed, size, again.l.active().size)
		}
		if err := w.sync(); err != nil {
			t.Fatal(err)
		}
		synced := w.l.EndOffset()
		for range rng.IntN(20) {
			w.mustAppend(1)
		}
		crashed := fs.CrashClone(rng)
		again, r = openTest(t, crashed, cfg)
		if again.l.EndOffset() < synced {
			t.Fatalf("seed %d: %d of %d synced records after a crash", seed, again.l.EndOffset(), synced)
		}
		if r.CutFile == again.l.active().name+".cut" {
			if b, err := vfs.ReadFile(crashed, r.CutFile); err != nil || !slices.ContainsFunc(b, func(c byte) bool { return c != 0 }) {
				t.Fatalf("seed %d: %d bytes of room are kept aside (%v)", seed, len(b), err)
			}
		}
		for range 3 {
			again.term++
			again.mustAppend(0, 1)
		}
		if _, err := readAll(again.l, 0); err != nil {
			t.Fatalf("seed %d: %v", seed, err)
		}
	}
}

// TestRoomComesBack: that a sealed segment's file was made shorter is lost in a crash. All that follows it stays.
func TestRoomComesBack(t *testing.T) {
	fs := vfs.NewMem()
	w, _ := openTest(t, fs, testConfig)
	w.term++
	w.mustAppend(0, 1, 1, 1)
	if err := w.l.Roll(); err != nil {
		t.Fatal(err)
	}
	w.mustAppend(1, 1)
	name := w.l.segments[0].name + logSuffix
	f, err := fs.OpenReadWrite(name)
	if err != nil {
		t.Fatal(err)
	}
	if err := writeAt(f, zeros[:1000], w.l.segments[0].size); err != nil {
		t.Fatal(err)
	}
	if all := slices.DeleteFunc(found(t, fs), func(f Finding) bool { return !f.Damage }); len(all) > 0 {
		t.Errorf("%+v", all)
	}
	again, r := openTest(t, fs, testConfig)
	if again.l.EndOffset() != 5 || r.String() != "" {
		t.Errorf("%d of 5 records, %q", again.l.EndOffset(), r)
	}
	if size, _ := fs.Size(name); size != again.l.segments[0].size {
		t.Errorf("the file has %d bytes, and %d are used", size, again.l.segments[0].size)
	}
	if dirty := again.l.dirty.Files; !slices.Contains(dirty, File(again.l.segments[0])) {
		t.Error("that it was made shorter is never synced")
	}
}

// TestNoRoomOnAFullDisk: what fits is appended, whatever becomes of the room after it.
func TestNoRoomOnAFullDisk(t *testing.T) {
	for after := range 4 {
		t.Run(fmt.Sprint(after), func(t *testing.T) {
			fs := vfs.NewFaults(vfs.NewMem())
			w, _ := openTest(t, fs, testConfig)
			w.term++
			w.mustAppend(0, 1)
			w.l.active().room = 0
			size := w.l.Size()
			w.mustAppend(1)
			one := w.l.Size() - size
			w.l.active().room = 0
			fs.Limit(one + int64(after)*one/3)
			w.mustAppend(1)
			if size := fileSize(t, fs, w); size < w.l.Size() {
				t.Errorf("the file has %d bytes of %d", size, w.l.Size())
			}
			if err := w.append(1, 1, 1, 1); !vfs.IsNoSpace(err) {
				t.Errorf("on a full disk: %v", err)
			}
			if again, _ := openTest(t, fs, testConfig); again.l.EndOffset() != w.l.EndOffset() {
				t.Errorf("%d of %d records", again.l.EndOffset(), w.l.EndOffset())
			}
		})
	}
}
