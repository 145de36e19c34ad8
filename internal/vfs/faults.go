package vfs

import (
	"io"
	"strings"
	"sync"

	"golang.org/x/sys/unix"
)

// Op is one operation on a file system.
type Op struct {
	Kind string // create, open, read, write, truncate, sync, syncall, syncdir, rename, remove, list, size, mkdir, lock
	Name string
	N    int // counted from 1 over all operations
}

// Fault makes matching operations fail.
type Fault struct {
	Kind  string // as in Op; "": all
	Name  string // a part of the path; "": all
	After int    // how many matching operations pass first
	Times int    // how many fail then; 0: all
	Err   error
	Write int // of a failing write, so many bytes are written all the same
}

// Faults passes operations on to a file system and makes some of them fail.
type Faults struct {
	base FS

	mu     sync.Mutex
	faults []*Fault
	ops    int
	room   int64 // bytes that may still be written; negative: no limit
	onOp   func(Op)
}

// NewFaults wraps a file system. Nothing fails until Inject or Limit.
func NewFaults(base FS) *Faults { return &Faults{base: base, room: -1} }

// Inject adds a fault.
func (f *Faults) Inject(fault Fault) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.faults = append(f.faults, &fault)
}

// Heal removes all faults and the limit.
func (f *Faults) Heal() {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.faults, f.room = nil, -1
}

// Limit makes the disk full after so many more bytes.
func (f *Faults) Limit(bytes int64) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.room = bytes
}

// OnOp calls a function after each operation.
func (f *Faults) OnOp(call func(Op)) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.onOp = call
}

// Ops counts the operations so far.
func (f *Faults) Ops() int {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.ops
}

// before counts an operation and gives the fault that hits it.
func (f *Faults) before(kind, name string) (Op, *Fault) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.ops++
	op := Op{kind, name, f.ops}
	for i, fault := range f.faults {
		if fault.Kind != "" && fault.Kind != kind || !strings.Contains(name, fault.Name) {
			continue
		}
		if fault.After > 0 {
			fault.After--
			continue
		}
		hit := *fault
		if fault.Times > 0 {
			if fault.Times--; fault.Times == 0 {
				f.faults = append(f.faults[:i:i], f.faults[i+1:]...)
			}
		}
		return op, &hit
	}
	return op, nil
}

func (f *Faults) after(op Op) {
	f.mu.Lock()
	call := f.onOp
	f.mu.Unlock()
	if call != nil {
		call(op)
	}
}

func (f *Faults) do(kind, name string, call func() error) error {
	op, hit := f.before(kind, name)
	if hit != nil {
		return hit.Err
	}
	err := call()
	f.after(op)
	return err
}

func (f *Faults) file(kind, name string, open func(string) (File, error)) (File, error) {
	var file File
	err := f.do(kind, name, func() (err error) {
		file, err = open(name)
		return err
	})
	if err != nil {
		return nil, err
	}
	return &faultFile{file, f, name}, nil
}

// Create implements FS.
func (f *Faults) Create(name string) (File, error) { return f.file("create", name, f.base.Create) }

// Open implements FS.
func (f *Faults) Open(name string) (File, error) { return f.file("open", name, f.base.Open) }

// OpenReadWrite implements FS.
func (f *Faults) OpenReadWrite(name string) (File, error) {
	return f.file("open", name, f.base.OpenReadWrite)
}

// Remove implements FS.
func (f *Faults) Remove(name string) error {
	return f.do("remove", name, func() error { return f.base.Remove(name) })
}

// RemoveAll implements FS.
func (f *Faults) RemoveAll(dir string) error {
	return f.do("remove", dir, func() error { return f.base.RemoveAll(dir) })
}

// Rename implements FS.
func (f *Faults) Rename(from, to string) error {
	return f.do("rename", from, func() error { return f.base.Rename(from, to) })
}

// MkdirAll implements FS.
func (f *Faults) MkdirAll(dir string) error {
	return f.do("mkdir", dir, func() error { return f.base.MkdirAll(dir) })
}

// List implements FS.
func (f *Faults) List(dir string) (names []string, err error) {
	err = f.do("list", dir, func() error { names, err = f.base.List(dir); return err })
	return names, err
}

// Size implements FS.
func (f *Faults) Size(name string) (size int64, err error) {
	err = f.do("size", name, func() error { size, err = f.base.Size(name); return err })
	return size, err
}

// SyncDir implements FS.
func (f *Faults) SyncDir(dir string) error {
	return f.do("syncdir", dir, func() error { return f.base.SyncDir(dir) })
}

// SyncAll implements FS.
func (f *Faults) SyncAll(dir string) error {
	return f.do("syncall", dir, func() error { return f.base.SyncAll(dir) })
}

// Lock implements FS.
func (f *Faults) Lock(name string) (c io.Closer, err error) {
	err = f.do("lock", name, func() error { c, err = f.base.Lock(name); return err })
	return c, err
}

// Space implements FS.
func (f *Faults) Space(dir string) (total, free int64, err error) { return f.base.Space(dir) }

type faultFile struct {
	File
	f    *Faults
	name string
}

func (x *faultFile) ReadAt(b []byte, at int64) (n int, err error) {
	op, hit := x.f.before("read", x.name)
	if hit != nil {
		return 0, hit.Err
	}
	n, err = x.File.ReadAt(b, at)
	x.f.after(op)
	return n, err
}

func (x *faultFile) WriteAt(b []byte, at int64) (int, error) {
	op, hit := x.f.before("write", x.name)
	if hit != nil {
		n := 0
		if part := min(hit.Write, len(b)); part > 0 {
			n, _ = x.File.WriteAt(b[:part], at)
		}
		return n, hit.Err
	}
	room := x.f.take(int64(len(b)))
	n, err := x.File.WriteAt(b[:room], at)
	if err == nil && room < int64(len(b)) {
		err = unix.ENOSPC
	}
	x.f.after(op)
	return n, err
}

// take gives how many of the bytes still fit on the disk.
func (f *Faults) take(bytes int64) int64 {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.room < 0 {
		return bytes
	}
	got := min(bytes, f.room)
	f.room -= got
	return got
}

func (x *faultFile) Truncate(size int64) error {
	return x.f.do("truncate", x.name, func() error { return x.File.Truncate(size) })
}

func (x *faultFile) Sync() error {
	return x.f.do("sync", x.name, x.File.Sync)
}
