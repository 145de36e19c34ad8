package vfs

import (
	"errors"
	"io"
	"os"
	"sync"

	"golang.org/x/sys/unix"
)

// ErrLocked is answered by Lock when another process holds the lock.
var ErrLocked = errors.New("locked by another process")

// NewOS gives the file system of the machine.
func NewOS() FS { return &osFS{folders: map[string]*os.File{}} }

// osFS keeps the folders open that SyncAll was called for: syncfs reports errors since the descriptor was opened.
type osFS struct {
	mu      sync.Mutex
	folders map[string]*os.File
}

type osFile struct {
	*os.File
}

func (f osFile) Size() (int64, error) {
	st, err := f.Stat()
	if err != nil {
		return 0, err
	}
	return st.Size(), nil
}

func (f osFile) Sync() error {
	return retry(func() error { return unix.Fdatasync(int(f.Fd())) }, "fdatasync", f.Name())
}

// retry calls a system call again while signals interrupt it.
func retry(call func() error, op, name string) error {
	for {
		err := call()
		if err == nil {
			return nil
		}
		if !errors.Is(err, unix.EINTR) {
			return &os.PathError{Op: op, Path: name, Err: err}
		}
	}
}

func open(name string, flag int) (File, error) {
	f, err := os.OpenFile(name, flag, 0o644)
	if err != nil {
		return nil, err
	}
	return osFile{f}, nil
}

func (*osFS) Create(name string) (File, error) {
	return open(name, os.O_RDWR|os.O_CREATE|os.O_TRUNC)
}
func (*osFS) Open(name string) (File, error)          { return open(name, os.O_RDONLY) }
func (*osFS) OpenReadWrite(name string) (File, error) { return open(name, os.O_RDWR) }
func (*osFS) Remove(name string) error                { return os.Remove(name) }
func (*osFS) RemoveAll(dir string) error              { return os.RemoveAll(dir) }
func (*osFS) Rename(from, to string) error            { return os.Rename(from, to) }
func (*osFS) MkdirAll(dir string) error               { return os.MkdirAll(dir, 0o755) }

func (*osFS) List(dir string) ([]string, error) {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return nil, err
	}
	names := make([]string, len(entries))
	for i, e := range entries {
		names[i] = e.Name()
	}
	return names, nil
}

func (*osFS) Size(name string) (int64, error) {
	st, err := os.Stat(name)
	if err != nil {
		return 0, err
	}
	return st.Size(), nil
}

func (*osFS) SyncDir(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(retry(func() error { return unix.Fsync(int(d.Fd())) }, "fsync", dir), d.Close())
}

func (o *osFS) SyncAll(dir string) error {
	o.mu.Lock()
	d := o.folders[dir]
	if d == nil {
		var err error
		if d, err = os.Open(dir); err != nil {
			o.mu.Unlock()
			return err
		}
		o.folders[dir] = d
	}
	o.mu.Unlock()
	return retry(func() error { return unix.Syncfs(int(d.Fd())) }, "syncfs", dir)
}

func (*osFS) Lock(name string) (io.Closer, error) {
	f, err := os.OpenFile(name, os.O_RDWR|os.O_CREATE, 0o644)
	if err != nil {
		return nil, err
	}
	if err := unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB); err != nil {
		if errors.Is(err, unix.EWOULDBLOCK) {
			err = ErrLocked
		}
		return nil, errors.Join(&os.PathError{Op: "lock", Path: name, Err: err}, f.Close())
	}
	return f, nil
}

func (*osFS) Space(dir string) (total, free int64, err error) {
	var st unix.Statfs_t
	if err := retry(func() error { return unix.Statfs(dir, &st) }, "statfs", dir); err != nil {
		return 0, 0, err
	}
	return int64(st.Blocks) * st.Bsize, int64(st.Bavail) * st.Bsize, nil
}

// IsNoSpace tells whether an error says that the disk, or the quota on it, is full.
func IsNoSpace(err error) bool {
	return errors.Is(err, unix.ENOSPC) || errors.Is(err, unix.EDQUOT)
}
