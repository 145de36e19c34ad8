package vfs

import (
	"io"
	"path"
	"strings"
	"sync"
	"syscall"
)

// Op is one operation on a file system.
type Op struct {
	Kind string // create, open, read, write, truncate, sync, syncall, syncdir, rename, remove, list, size, mkdir, lock
	Name string
	To   string // of a rename: the new name
	N    int    // counted from 1 over all operations
}

// Fault changes what matching operations do: they fail, or only wait.
type Fault struct {
	Kind  string // as in Op; "": all
	Name  string // a part of the path, or a pattern for all of it or for its last part (path.Match); "": all
	After int    // how many matching operations pass first
	Times int    // how many are hit then; 0: all
	Err   error  // nil: EIO, unless there is a Before
	Write int    // of a failing write, so many bytes are written all the same
	// Before is called before the operation, outside all locks: it may block. Without an Err the operation is then done.
	Before func(Op)
}

func (f *Fault) matches(op Op) bool {
	return (f.Kind == "" || f.Kind == op.Kind) && (matchName(f.Name, op.Name) || op.To != "" && matchName(f.Name, op.To))
}

func matchName(pattern, name string) bool {
	if strings.Contains(name, pattern) {
		return true
	}
	whole, _ := path.Match(pattern, name)
	last, _ := path.Match(pattern, path.Base(name))
	return whole || last
}

// error is what a hit operation answers; nil: it is done.
func (f *Fault) error() error {
	switch {
	case f == nil:
		return nil
	case f.Err == nil && f.Before == nil:
		return syscall.EIO
	}
	return f.Err
}

// Faults passes operations on to a file system, counts them, and makes some of them fail.
type Faults struct {
	base FS

	mu     sync.Mutex
	faults []*Fault // their After and Times count down
	ops    int
	room   int64 // bytes that may still be written; negative: no limit
	onOp   func(Op)
}

// NewFaults wraps a file system. Nothing fails until Inject or Limit.
func NewFaults(base FS) *Faults { return &Faults{base: base, room: -1} }

// Inject adds a fault. An operation that several match is hit by the first that is due.
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

// OnOp calls a function after each operation, also after those that failed.
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

// before counts an operation and gives the fault that hits it, if any.
func (f *Faults) before(op *Op) *Fault {
	f.mu.Lock()
	f.ops++
	op.N = f.ops
	hit := f.hit(*op)
	f.mu.Unlock()
	if hit != nil && hit.Before != nil {
		hit.Before(*op)
	}
	return hit
}

// hit finds the fault that is due for an operation. Under mu.
func (f *Faults) hit(op Op) *Fault {
	for i, fault := range f.faults {
		if !fault.matches(op) {
			continue
		}
		if fault.After > 0 {
			fault.After--
			continue
		}
		if fault.Times > 0 {
			if fault.Times--; fault.Times == 0 {
				f.faults = append(f.faults[:i:i], f.faults[i+1:]...)
			}
		}
		return fault
	}
	return nil
}

func (f *Faults) after(op Op) {
	f.mu.Lock()
	call := f.onOp
	f.mu.Unlock()
	if call != nil {
		call(op)
	}
}

func (f *Faults) do(op Op, call func() error) error {
	err := f.before(&op).error()
	switch {
	case err == nil:
		err = call()
	case strings.HasPrefix(op.Kind, "sync"):
		err = final(err)
	}
	f.after(op)
	return err
}

func (f *Faults) file(kind, name string, open func(string) (File, error)) (File, error) {
	var file File
	err := f.do(Op{Kind: kind, Name: name}, func() (err error) {
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
	return f.do(Op{Kind: "remove", Name: name}, func() error { return f.base.Remove(name) })
}

// RemoveAll implements FS.
func (f *Faults) RemoveAll(dir string) error {
	return f.do(Op{Kind: "remove", Name: dir}, func() error { return f.base.RemoveAll(dir) })
}

// Rename implements FS.
func (f *Faults) Rename(from, to string) error {
	return f.do(Op{Kind: "rename", Name: from, To: to}, func() error { return f.base.Rename(from, to) })
}

// MkdirAll implements FS.
func (f *Faults) MkdirAll(dir string) error {
	return f.do(Op{Kind: "mkdir", Name: dir}, func() error { return f.base.MkdirAll(dir) })
}

// List implements FS.
func (f *Faults) List(dir string) (names []string, err error) {
	err = f.do(Op{Kind: "list", Name: dir}, func() error { names, err = f.base.List(dir); return err })
	return names, err
}

// Size implements FS.
func (f *Faults) Size(name string) (size int64, err error) {
	err = f.do(Op{Kind: "size", Name: name}, func() error { size, err = f.base.Size(name); return err })
	return size, err
}

// SyncDir implements FS.
func (f *Faults) SyncDir(dir string) error {
	return f.do(Op{Kind: "syncdir", Name: dir}, func() error { return f.base.SyncDir(dir) })
}

// SyncAll implements FS.
func (f *Faults) SyncAll(dir string) error {
	return f.do(Op{Kind: "syncall", Name: dir}, func() error { return f.base.SyncAll(dir) })
}

// Lock implements FS.
func (f *Faults) Lock(name string) (c io.Closer, err error) {
	err = f.do(Op{Kind: "lock", Name: name}, func() error { c, err = f.base.Lock(name); return err })
	return c, err
}

// Space implements FS. With a limit there is no more free than the limit leaves.
func (f *Faults) Space(dir string) (total, free int64, err error) {
	total, free, err = f.base.Space(dir)
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.room >= 0 {
		free = min(free, f.room)
	}
	return total, free, err
}
