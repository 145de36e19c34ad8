package vfs

import "syscall"

// faultFile is an open file of Faults.
type faultFile struct {
	File
	f    *Faults
	name string
}

func (x *faultFile) ReadAt(b []byte, at int64) (n int, err error) {
	err = x.f.do(Op{Kind: "read", Name: x.name}, func() error { n, err = x.File.ReadAt(b, at); return err })
	return n, err
}

func (x *faultFile) WriteAt(b []byte, at int64) (int, error) {
	op := Op{Kind: "write", Name: x.name}
	hit := x.f.before(&op)
	defer func() { x.f.after(op) }()
	allowed, failed := len(b), hit.error()
	if failed != nil {
		allowed = min(hit.Write, len(b))
	}
	room := x.f.take(allowed)
	if failed == nil && room < len(b) {
		failed = syscall.ENOSPC
	}
	if room == 0 && failed != nil {
		return 0, failed
	}
	n, err := x.File.WriteAt(b[:room], at)
	if err == nil {
		err = failed
	}
	return n, err
}

// take gives how many of the bytes still fit on the disk.
func (f *Faults) take(bytes int) int {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.room < 0 {
		return bytes
	}
	got := min(int64(bytes), f.room)
	f.room -= got
	return int(got)
}

func (x *faultFile) Truncate(size int64) error {
	return x.f.do(Op{Kind: "truncate", Name: x.name}, func() error { return x.File.Truncate(size) })
}

func (x *faultFile) Size() (size int64, err error) {
	err = x.f.do(Op{Kind: "size", Name: x.name}, func() error { size, err = x.File.Size(); return err })
	return size, err
}

func (x *faultFile) Sync() error {
	return x.f.do(Op{Kind: "sync", Name: x.name}, x.File.Sync)
}

// Fd is the base file's, except while reads of the file are made to fail: those must come here.
func (x *faultFile) Fd() uintptr {
	x.f.mu.Lock()
	defer x.f.mu.Unlock()
	for _, fault := range x.f.faults {
		if fault.matches(Op{Kind: "read", Name: x.name}) {
			return NoFd
		}
	}
	return x.File.Fd()
}
