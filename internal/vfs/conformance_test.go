package vfs

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"path"
	"path/filepath"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"
)

// TestConformance asks the same of every file system.
func TestConformance(t *testing.T) {
	systems := map[string]func(t *testing.T) (FS, string){
		"os":     func(t *testing.T) (FS, string) { return NewOS(), t.TempDir() },
		"mem":    func(t *testing.T) (FS, string) { return newMem("data"), "data" },
		"faults": func(t *testing.T) (FS, string) { return NewFaults(newMem("/data")), "/data" },
	}
	for name, system := range systems {
		for _, c := range conformance {
			t.Run(name+"/"+c.name, func(t *testing.T) {
				fs, dir := system(t)
				c.check(t, fs, func(name string) string { return path.Join(dir, name) })
			})
		}
	}
}

// newMem makes a file system with one durable folder.
func newMem(dir string) *Mem {
	m := NewMem()
	do(m.MkdirAll(dir))
	do(m.SyncAll(dir))
	return m
}

// do panics on an error that a test does not expect.
func do(err error) {
	if err != nil {
		panic(err)
	}
}

// got gives the value of a call that a test expects to succeed.
func got[T any](v T, err error) T {
	if err != nil {
		panic(err)
	}
	return v
}

func writeFile(fs FS, name, text string) {
	f := got(fs.Create(name))
	got(f.WriteAt([]byte(text), 0))
	do(f.Close())
}

func read(fs FS, name string) string {
	b, err := ReadFile(fs, name)
	if err != nil {
		return "error"
	}
	return string(b)
}

var conformance = []struct {
	name  string
	check func(t *testing.T, fs FS, in func(string) string)
}{
	{"write, read, size, truncate", func(t *testing.T, fs FS, in func(string) string) {
		f := got(fs.Create(in("f")))
		if n := got(f.WriteAt([]byte("hello"), 3)); n != 5 {
			t.Errorf("wrote %d bytes", n)
		}
		got(f.WriteAt([]byte("J"), 3))
		got(f.WriteAt(nil, 100)) // changes nothing
		if size := got(f.Size()); size != 8 || got(fs.Size(in("f"))) != 8 {
			t.Errorf("size %d", size)
		}
		if s := read(fs, in("f")); s != "\x00\x00\x00Jello" {
			t.Errorf("read %q", s)
		}
		do(f.Truncate(5))
		do(f.Truncate(7))
		if s := read(fs, in("f")); s != "\x00\x00\x00Je\x00\x00" {
			t.Errorf("after cutting and growing: %q", s)
		}
		do(f.Sync())
		do(f.Close())
	}},
	{"reads at the end", func(t *testing.T, fs FS, in func(string) string) {
		writeFile(fs, in("f"), "abc")
		f := got(fs.Open(in("f")))
		defer f.Close()
		for _, c := range []struct {
			size int
			at   int64
			n    int
			err  error
		}{{2, 1, 2, nil}, {3, 1, 2, io.EOF}, {1, 3, 0, io.EOF}, {1, 99, 0, io.EOF}, {0, 3, 0, nil}, {0, 99, 0, nil}} {
			if n, err := f.ReadAt(make([]byte, c.size), c.at); n != c.n || err != c.err {
				t.Errorf("%d bytes at %d: %d, %v", c.size, c.at, n, err)
			}
		}
		if _, err := f.ReadAt(make([]byte, 1), -1); err == nil {
			t.Error("a negative position is read")
		}
	}},
	{"missing files", func(t *testing.T, system FS, in func(string) string) {
		_, open := system.Open(in("no"))
		_, openRW := system.OpenReadWrite(in("no"))
		_, size := system.Size(in("no"))
		_, list := system.List(in("no"))
		_, create := system.Create(in("no/f"))
		_, lock := system.Lock(in("no/f"))
		writeFile(system, in("f"), "")
		for what, err := range map[string]error{
			"open": open, "open for writing": openRW, "size": size, "list": list, "create": create, "lock": lock,
			"remove": system.Remove(in("no")), "rename": system.Rename(in("no"), in("yes")), "syncdir": system.SyncDir(in("no")),
			"syncall": system.SyncAll(in("no")), "rename into": system.Rename(in("f"), in("no/f")),
		} {
			if !errors.Is(err, fs.ErrNotExist) {
				t.Errorf("%s of what is missing: %v", what, err)
			}
		}
		do(system.RemoveAll(in("no")))
		do(system.RemoveAll(in("no/no")))
	}},
	{"misuse", func(t *testing.T, fs FS, in func(string) string) {
		do(fs.MkdirAll(in("d/e")))
		writeFile(fs, in("f"), "x")
		_, create := fs.Create(in("d"))
		_, under := fs.Create(in("f/x"))
		_, list := fs.List(in("f"))
		reader, writer := got(fs.Open(in("f"))), got(fs.OpenReadWrite(in("f")))
		_, write := reader.WriteAt([]byte("y"), 0)
		_, before := writer.WriteAt([]byte("y"), -1)
		for what, err := range map[string]error{
			"create over a folder": create, "create below a file": under, "list of a file": list,
			"removing a full folder": fs.Remove(in("d")), "a folder below a file": fs.MkdirAll(in("f/x")),
			"a folder over a file": fs.Rename(in("d"), in("f")), "a file over a folder": fs.Rename(in("f"), in("d/e")),
			"a folder into itself": fs.Rename(in("d"), in("d/e/d")), "writing what is open for reading": write,
			"cutting what is open for reading": reader.Truncate(0), "a negative length": writer.Truncate(-1),
			"a negative position": before,
		} {
			if err == nil {
				t.Errorf("%s: no error", what)
			}
		}
		do(errors.Join(reader.Close(), writer.Close()))
		if s := read(fs, in("f")); s != "x" {
			t.Errorf("the file holds %q", s)
		}
	}},
	{"closed files", func(t *testing.T, system FS, in func(string) string) {
		f := got(system.Create(in("f")))
		do(f.Close())
		_, read := f.ReadAt(make([]byte, 1), 0)
		_, write := f.WriteAt(make([]byte, 1), 0)
		_, size := f.Size()
		for what, err := range map[string]error{
			"read": read, "write": write, "size": size, "truncate": f.Truncate(0), "sync": f.Sync(), "close": f.Close(),
		} {
			if !errors.Is(err, fs.ErrClosed) {
				t.Errorf("%s: %v", what, err)
			}
		}
	}},
	{"an open file outlives its name", func(t *testing.T, fs FS, in func(string) string) {
		writeFile(fs, in("f"), "old")
		writeFile(fs, in("g"), "new")
		f := got(fs.OpenReadWrite(in("f")))
		do(fs.Rename(in("g"), in("f")))
		got(f.WriteAt([]byte("O"), 0))
		do(f.Sync())
		b := make([]byte, 3)
		got(f.ReadAt(b, 0))
		if string(b) != "Old" || read(fs, in("f")) != "new" {
			t.Errorf("the open file holds %q, the name's %q", b, read(fs, in("f")))
		}
		do(f.Close())
	}},
	{"create empties", func(t *testing.T, fs FS, in func(string) string) {
		writeFile(fs, in("f"), "long content")
		reader := got(fs.Open(in("f")))
		writeFile(fs, in("f"), "x")
		if size := got(reader.Size()); size != 1 {
			t.Errorf("a reader from before sees %d bytes", size)
		}
		do(reader.Close())
	}},
	{"folders", func(t *testing.T, fs FS, in func(string) string) {
		do(fs.MkdirAll(in("a/b/c")))
		do(fs.MkdirAll(in("a/b/c")))
		writeFile(fs, in("a/b/z"), "z")
		writeFile(fs, in("a/b/y"), "y")
		do(fs.Rename(in("a/b"), in("a/d")))
		do(fs.SyncDir(in("a")))
		do(fs.SyncAll(in(".")))
		if diff := cmp.Diff([]string{"c", "y", "z"}, got(fs.List(in("a/d")))); diff != "" {
			t.Error(diff)
		}
		if s := read(fs, in("a/d/../d/y")); s != "y" {
			t.Errorf("a moved file holds %q", s)
		}
		do(fs.Remove(in("a/d/c")))
		do(fs.RemoveAll(in("a/d")))
		if names := got(fs.List(in("a"))); names == nil || len(names) != 0 {
			t.Errorf("left: %v", names)
		}
	}},
	{"locks", func(t *testing.T, fs FS, in func(string) string) {
		lock := got(fs.Lock(in("lock")))
		if _, err := fs.Lock(in("lock")); !errors.Is(err, ErrLocked) {
			t.Errorf("a second lock: %v", err)
		}
		do(lock.Close())
		if diff := cmp.Diff([]string{"lock"}, got(fs.List(in(".")))); diff != "" {
			t.Error(diff)
		}
		again := got(fs.Lock(in("lock")))
		if lock.Close() == nil {
			t.Error("a lock closes twice")
		}
		if _, err := fs.Lock(in("lock")); !errors.Is(err, ErrLocked) {
			t.Errorf("closing the first lock twice opened the second: %v", err)
		}
		do(again.Close())
	}},
	{"space", func(t *testing.T, fs FS, in func(string) string) {
		if total, free, err := fs.Space(in(".")); err != nil || free <= 0 || total < free {
			t.Errorf("%d of %d free (%v)", free, total, err)
		}
	}},
	{"atomic replacement", func(t *testing.T, fs FS, in func(string) string) {
		for _, text := range []string{"first, longer", "second"} {
			do(WriteFileAtomic(fs, in("f"), []byte(text)))
			if s := read(fs, in("f")); s != text {
				t.Errorf("read %q", s)
			}
		}
		if diff := cmp.Diff([]string{"f"}, got(fs.List(in(".")))); diff != "" {
			t.Error(diff)
		}
	}},
}

// TestMemIsLikeOS does the same random operations on both, and compares answers and outcome.
func TestMemIsLikeOS(t *testing.T) {
	root, n := t.TempDir(), 0
	rapid.Check(t, func(t *rapid.T) {
		n++
		dir := fmt.Sprintf("%s/%d", root, n)
		mem, system := newMem(dir), NewOS()
		do(system.MkdirAll(dir))
		open := map[string][2]File{}
		name := rapid.SampledFrom([]string{"a", "b", "d", "d/a", "d/b", "d/e", "d/e/a", "f", "f/e", "f/a"})
		file := func(do func(File) (string, error)) func(t *rapid.T) {
			return func(t *rapid.T) {
				if len(open) == 0 {
					return
				}
				both := open[rapid.SampledFrom(sortedKeys(open)).Draw(t, "file")]
				same(t, func(fs FS) (string, error) {
					if fs == FS(mem) {
						return do(both[0])
					}
					return do(both[1])
				}, mem, system)
			}
		}
		opener := func(do func(fs FS, name string) (File, error)) func(t *rapid.T) {
			return func(t *rapid.T) {
				name := name.Draw(t, "name")
				if isFolder(mem, dir+"/"+name) {
					return // the machine opens a folder for reading, which nobody needs
				}
				var files []File
				same(t, func(fs FS) (string, error) {
					f, err := do(fs, dir+"/"+name)
					files = append(files, f)
					return "", err
				}, mem, system)
				if files[0] != nil {
					open[fmt.Sprintf("%03d", len(open))] = [2]File(files)
				}
			}
		}
		names := func(do func(fs FS, a, b string) (string, error)) func(t *rapid.T) {
			return func(t *rapid.T) {
				a, b := dir+"/"+name.Draw(t, "a"), dir+"/"+name.Draw(t, "b")
				same(t, func(fs FS) (string, error) { return do(fs, a, b) }, mem, system)
			}
		}
		var at, size int64
		var data []byte
		t.Repeat(map[string]func(*rapid.T){
			"": func(t *rapid.T) {
				at, size = rapid.Int64Range(0, 30).Draw(t, "at"), rapid.Int64Range(0, 30).Draw(t, "size")
				data = bytes.Repeat([]byte{byte('a' + at)}, int(size)+1) // of nothing, the machine tells no errors
			},
			"create":   opener(FS.Create),
			"open":     opener(FS.Open),
			"open rw":  opener(FS.OpenReadWrite),
			"remove":   names(func(fs FS, a, _ string) (string, error) { return "", fs.Remove(a) }),
			"clear":    names(func(fs FS, a, _ string) (string, error) { return "", ignoreNotFolder(fs.RemoveAll(a)) }),
			"rename":   names(func(fs FS, a, b string) (string, error) { return "", fs.Rename(a, b) }),
			"mkdir":    names(func(fs FS, a, _ string) (string, error) { return "", fs.MkdirAll(a) }),
			"list":     names(func(fs FS, a, _ string) (string, error) { l, err := fs.List(a); return fmt.Sprint(l), err }),
			"write":    file(func(f File) (string, error) { n, err := f.WriteAt(data, at); return fmt.Sprint(n), err }),
			"truncate": file(func(f File) (string, error) { return "", f.Truncate(size) }),
			"sync":     file(func(f File) (string, error) { return "", f.Sync() }),
			"close":    file(func(f File) (string, error) { return "", f.Close() }),
			"size":     file(func(f File) (string, error) { n, err := f.Size(); return fmt.Sprint(n), err }),
			"read": file(func(f File) (string, error) {
				b := make([]byte, size+1)
				n, err := f.ReadAt(b, at)
				return string(b[:n]), err
			}),
		})
		if diff := cmp.Diff(tree(system, dir), tree(mem, dir)); diff != "" {
			t.Errorf("the machine and Mem hold:\n%s", diff)
		}
		if diff := cmp.Diff(tree(mem, dir), tree(mem.Clone(), dir)); diff != "" {
			t.Errorf("Mem and its clone hold:\n%s", diff)
		}
		do(mem.SyncAll("/"))
		if diff := cmp.Diff(tree(mem, dir), tree(mem.CrashClone(nil), dir)); diff != "" {
			t.Errorf("synced Mem and its crash clone hold:\n%s", diff)
		}
		for _, both := range open {
			_, _ = both[0].Close(), both[1].Close()
		}
	})
}

// same does one thing on both, and compares the answers, and whether there was an error of the kinds that callers ask for.
func same(t *rapid.T, do func(FS) (string, error), a, b FS) {
	t.Helper()
	answerA, errA := do(a)
	answerB, errB := do(b)
	if answerA != answerB || (errA == nil) != (errB == nil) || errors.Is(errA, fs.ErrNotExist) != errors.Is(errB, fs.ErrNotExist) ||
		errors.Is(errA, fs.ErrClosed) != errors.Is(errB, fs.ErrClosed) {
		t.Fatalf("Mem answers %q (%v), the machine %q (%v)", answerA, errA, answerB, errB)
	}
}

// ignoreNotFolder hides that the machine's RemoveAll below a file differs from one system to the other.
func ignoreNotFolder(err error) error {
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	return err
}

func isFolder(fs FS, name string) bool {
	_, err := fs.List(name)
	return err == nil
}

// tree gives all files with their contents, and all folders.
func tree(fs FS, dir string) map[string]string {
	out := map[string]string{}
	var walk func(at string)
	walk = func(at string) {
		for _, base := range got(fs.List(at)) {
			name := path.Join(at, base)
			shown := got(filepath.Rel(dir, name))
			if isFolder(fs, name) {
				out[shown] = "folder"
				walk(name)
			} else {
				out[shown] = "file " + read(fs, name)
			}
		}
	}
	walk(dir)
	return out
}

func sortedKeys[V any](m map[string]V) []string { return slices.Sorted(maps.Keys(m)) }
