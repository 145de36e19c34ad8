package vfs

import (
	"errors"
	"io"
	"slices"
	"strings"
	"syscall"
	"testing"

	"github.com/google/go-cmp/cmp"
)

var errInjected = errors.New("injected")

// operations does one operation of each kind; the names are of files that are there.
var operations = map[string]func(fs FS, f File) error{
	"create":   func(fs FS, _ File) error { _, err := fs.Create("d/new"); return err },
	"open":     func(fs FS, _ File) error { _, err := fs.Open("d/f"); return err },
	"read":     func(_ FS, f File) error { _, err := f.ReadAt(make([]byte, 1), 0); return err },
	"write":    func(_ FS, f File) error { _, err := f.WriteAt([]byte("y"), 0); return err },
	"truncate": func(_ FS, f File) error { return f.Truncate(1) },
	"sync":     func(_ FS, f File) error { return f.Sync() },
	"syncall":  func(fs FS, _ File) error { return fs.SyncAll("d/f/..") },
	"syncdir":  func(fs FS, _ File) error { return fs.SyncDir("d/f/..") },
	"rename":   func(fs FS, _ File) error { return fs.Rename("d/f", "d/g") },
	"remove":   func(fs FS, _ File) error { return fs.Remove("d/f") },
	"list":     func(fs FS, _ File) error { _, err := fs.List("d/f/.."); return err },
	"size":     func(fs FS, _ File) error { _, err := fs.Size("d/f"); return err },
	"mkdir":    func(fs FS, _ File) error { return fs.MkdirAll("d/e") },
	"lock":     func(fs FS, _ File) error { _, err := fs.Lock("d/f"); return err },
}

func faultyFile() (*Mem, *Faults, File) {
	m := newMem("d")
	syncedFile(m, "d/f", "x")
	do(m.SyncDir("d"))
	faults := NewFaults(m)
	return m, faults, got(faults.OpenReadWrite("d/f"))
}

// TestFaultOfEachKind: the operation fails, the base is not touched, other kinds are not hit.
func TestFaultOfEachKind(t *testing.T) {
	for kind := range operations {
		t.Run(kind, func(t *testing.T) {
			m, faults, f := faultyFile()
			before := tree(m, "d")
			faults.Inject(Fault{Kind: kind, Err: errInjected})
			var seen []Op
			faults.OnOp(func(op Op) { seen = append(seen, op) })
			var failed *FinalError
			err := operations[kind](faults, f)
			if isFinal := errors.As(err, &failed); !errors.Is(err, errInjected) || isFinal != strings.HasPrefix(kind, "sync") {
				t.Errorf("the error is %v, final: %v", err, isFinal)
			}
			if len(seen) != 1 || seen[0].Kind != kind || seen[0].N != faults.Ops() {
				t.Errorf("told of %v, the last of %d", seen, faults.Ops())
			}
			if diff := cmp.Diff(before, tree(m, "d")); diff != "" {
				t.Error(diff)
			}
			for other, do := range operations {
				_, faults, f := faultyFile()
				faults.Inject(Fault{Kind: kind, Err: errInjected})
				if err := do(faults, f); other != kind && err != nil {
					t.Errorf("%s fails too: %v", other, err)
				}
			}
			faults.Heal()
			if err := operations[kind](faults, f); err != nil {
				t.Errorf("healed: %v", err)
			}
		})
	}
}

func TestFaultsOfAnOpenFilesSize(t *testing.T) {
	_, faults, f := faultyFile()
	faults.Inject(Fault{Kind: "size"})
	if _, err := f.Size(); !errors.Is(err, syscall.EIO) {
		t.Errorf("without an error of its own a fault is %v", err)
	}
	if err := faults.RemoveAll("d"); err != nil {
		t.Error(err)
	}
}

func TestFaultsByCount(t *testing.T) {
	_, faults, f := faultyFile()
	faults.Inject(Fault{Kind: "sync", After: 2, Times: 3, Err: errInjected})
	var failed []int
	for i := range 8 {
		if f.Sync() != nil {
			failed = append(failed, i)
		}
	}
	if !slices.Equal(failed, []int{2, 3, 4}) {
		t.Errorf("these failed: %v", failed)
	}
	if faults.Ops() != 9 {
		t.Errorf("%d operations", faults.Ops())
	}
}

func TestFaultsByName(t *testing.T) {
	for _, c := range []struct {
		pattern string
		hits    []string
	}{
		{"", []string{"d/a.log", "d/b.idx", "d/e/c.log"}},
		{".log", []string{"d/a.log", "d/e/c.log"}},
		{"d/a", []string{"d/a.log"}},
		{"*.log", []string{"d/a.log", "d/e/c.log"}},
		{"d/*.log", []string{"d/a.log"}},
		{"[ab].*", []string{"d/a.log", "d/b.idx"}},
		{"z", nil},
	} {
		m := newMem("d/e")
		faults := NewFaults(m)
		faults.Inject(Fault{Name: c.pattern, Err: errInjected})
		var hits []string
		for _, name := range []string{"d/a.log", "d/b.idx", "d/e/c.log"} {
			if _, err := faults.Create(name); err != nil {
				hits = append(hits, name)
			}
		}
		if !slices.Equal(hits, c.hits) {
			t.Errorf("%q hits %v", c.pattern, hits)
		}
	}
	_, faults, _ := faultyFile()
	faults.Inject(Fault{Kind: "rename", Name: "d/target", Err: errInjected})
	if err := faults.Rename("d/f", "d/target"); err != errInjected {
		t.Errorf("a rename is not hit by its new name: %v", err)
	}
}

func TestFaultsWriteInPart(t *testing.T) {
	m, faults, f := faultyFile()
	faults.Inject(Fault{Kind: "write", Write: 3, Err: errInjected})
	if n, err := f.WriteAt([]byte("hello"), 0); n != 3 || err != errInjected || read(m, "d/f") != "hel" {
		t.Errorf("%d bytes written (%v), the file holds %q", n, err, read(m, "d/f"))
	}
	if n, err := f.WriteAt([]byte("HE"), 0); n != 2 || err != errInjected {
		t.Errorf("%d bytes written (%v)", n, err)
	}
}

func TestFaultsFullDisk(t *testing.T) {
	m, faults, f := faultyFile()
	faults.Limit(8)
	if n, err := f.WriteAt([]byte("12345"), 0); n != 5 || err != nil {
		t.Errorf("%d bytes written (%v)", n, err)
	}
	if _, free, err := faults.Space("d"); free != 3 || err != nil {
		t.Errorf("%d bytes free (%v)", free, err)
	}
	for _, n := range []int{3, 0} {
		if wrote, err := f.WriteAt([]byte("abcde"), 5); wrote != n || !IsNoSpace(err) {
			t.Errorf("%d bytes written, not %d (%v)", wrote, n, err)
		}
	}
	if s := read(m, "d/f"); s != "12345abc" {
		t.Errorf("the file holds %q", s)
	}
	faults.Heal()
	if _, err := f.WriteAt([]byte("abcde"), 5); err != nil {
		t.Errorf("healed: %v", err)
	}
}

// TestFaultsHold holds an operation until the test lets it go on, while others pass.
func TestFaultsHold(t *testing.T) {
	m, faults, f := faultyFile()
	reached, release, written := make(chan Op), make(chan struct{}), make(chan error)
	faults.Inject(Fault{Kind: "write", Times: 1, Before: func(op Op) { reached <- op; <-release }})
	go func() {
		_, err := f.WriteAt([]byte("y"), 0)
		written <- err
	}()
	if op := <-reached; op.Kind != "write" || op.Name != "d/f" {
		t.Errorf("held: %v", op)
	}
	if err := f.Sync(); err != nil || read(m, "d/f") != "x" {
		t.Errorf("meanwhile: %v, the file holds %q", err, read(m, "d/f"))
	}
	close(release)
	if err := <-written; err != nil || read(m, "d/f") != "y" {
		t.Errorf("released: %v, the file holds %q", err, read(m, "d/f"))
	}
}

// TestCrashAfterEachOperation uses all of it together, as the tests of other packages do.
func TestCrashAfterEachOperation(t *testing.T) {
	m := newMem("d")
	syncedFile(m, "d/f", "old")
	do(m.SyncDir("d"))
	faults := NewFaults(m)
	var kinds []string
	seen := map[string]bool{}
	faults.OnOp(func(op Op) {
		kinds = append(kinds, op.Kind)
		for clone := range crashes(m, 50) {
			seen[read(clone, "d/f")] = true
		}
	})
	do(WriteFileAtomic(faults, "d/f", []byte("new")))
	if s := strings.Join(kinds, " "); s != "create write sync rename syncdir" {
		t.Errorf("operations: %s", s)
	}
	if diff := cmp.Diff(map[string]bool{"old": true, "new": true}, seen); diff != "" {
		t.Error(diff)
	}
}

// TestWriteFileAtomicFails at each operation: the old content or the new is there, and nothing else is left.
func TestWriteFileAtomicFails(t *testing.T) {
	for after := range 6 {
		m, faults, _ := faultyFile()
		faults.Inject(Fault{After: after, Times: 1, Err: errInjected, Write: 1})
		err := WriteFileAtomic(faults, "d/f", []byte("new"))
		if failed := err != nil; failed != (after < 5) {
			t.Errorf("fault %d: %v", after, err)
		}
		want := "x"
		if after >= 4 { // the rename is done; whether it is durable, nobody knows
			want = "new"
		}
		if s := read(m, "d/f"); s != want {
			t.Errorf("fault %d: the file holds %q", after, s)
		}
		if names := got(m.List("d")); !slices.Equal(names, []string{"f"}) {
			t.Errorf("fault %d: left %v", after, names)
		}
	}
}

func TestReadFile(t *testing.T) {
	_, faults, f := faultyFile()
	got(f.WriteAt([]byte("hello"), 0))
	for after, want := range []bool{true, true, true, false} { // open, size, read
		faults.Heal()
		faults.Inject(Fault{After: after, Times: 1, Err: io.ErrUnexpectedEOF})
		b, err := ReadFile(faults, "d/f")
		if (err != nil) != want || !want && string(b) != "hello" {
			t.Errorf("fault %d: %q, %v", after, b, err)
		}
	}
}
