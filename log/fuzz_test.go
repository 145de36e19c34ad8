package log

import (
	"errors"
	"testing"

	"github.com/weir/weir/internal/vfs"
)

// FuzzOpen writes arbitrary bytes over a place of one of a log's files, or cuts it there: it is refused, or it opens, serves
// nothing that is damaged, can be written on, and opens again with the same end.
func FuzzOpen(f *testing.F) {
	fs := vfs.NewMem()
	cfg := testConfig
	cfg.SegmentBytes, cfg.IndexIntervalBytes = 400, 100
	w, _ := openTest(f, fs, cfg)
	w.term = 1
	for i := range 6 {
		w.mustAppend(0, 1+i)
		if i == 3 {
			if err := w.l.Checkpoint(); err != nil {
				f.Fatal(err)
			}
		}
	}
	if err := w.sync(); err != nil {
		f.Fatal(err)
	}
	names, err := fs.List("data/t-0")
	if err != nil {
		f.Fatal(err)
	}
	for i := range names {
		f.Add(uint8(i), uint16(0), []byte{}, true)
		f.Add(uint8(i), uint16(17), []byte{0xff, 0xff, 0xff, 0xff}, false)
		f.Add(uint8(i), uint16(40), []byte("\x7f\xff\xff\xff\xff\xff\xff\xff\x00"), true)
	}
	f.Fuzz(func(t *testing.T, file uint8, at uint16, b []byte, cut bool) {
		fs := fs.Clone()
		spoil(t, fs, "data/t-0/"+names[int(file)%len(names)], int64(at), b, cut)
		l, _, err := Open(fs, "data/t-0", Identity{Partition: 7}, cfg, nil)
		if err != nil {
			return
		}
		var damage *CorruptError
		if _, err := readAll(l, l.StartOffset()); err != nil && !errors.As(err, &damage) {
			t.Fatalf("read: %v", err)
		}
		w := &writer{t: t, l: l, now: 1 << 30}
		if w.term, err = l.Term(l.LastIndex()); err != nil && l.LastIndex() >= l.FirstIndex() {
			t.Fatal(err)
		}
		w.term++
		w.mustAppend(0, 2)
		end := l.EndOffset()
		if _, err := readAll(l, end-2); err != nil {
			t.Fatalf("what was just appended: %v", err)
		}
		if err := errors.Join(w.sync(), l.Close()); err != nil {
			t.Fatal(err)
		}
		if again, _, err := Open(fs, "data/t-0", Identity{Partition: 7}, cfg, nil); err == nil && again.EndOffset() != end {
			t.Fatalf("it ended at %d, and opened again at %d", end, again.EndOffset())
		}
	})
}

// spoil writes bytes into a file, and may end it after them.
func spoil(t *testing.T, fs vfs.FS, name string, at int64, b []byte, cut bool) {
	file, err := fs.OpenReadWrite(name)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := file.WriteAt(b, at); err != nil {
		t.Fatal(err)
	}
	if cut {
		err = file.Truncate(at + int64(len(b)))
	}
	if err := errors.Join(err, file.Sync(), file.Close()); err != nil {
		t.Fatal(err)
	}
}
