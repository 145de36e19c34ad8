//go:build unix

package vfs

import (
	"errors"
	"io"
	"os"

	"golang.org/x/sys/unix"
)

// NewOS gives the file system of the machine.
func NewOS() FS { return &osFS{} }

// osFile is an open file. The descriptor is held while a system call uses it: a Close meanwhile cannot pass its number on to
// another file.
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

// control calls a system call on an open file, again while signals interrupt it.
func control(f *os.File, op string, call func(fd int) error) error {
	conn, err := f.SyscallConn()
	if err != nil {
		return err
	}
	var failed error
	if conn.Control(func(fd uintptr) { failed = retry(func() error { return call(int(fd)) }) }) != nil {
		failed = os.ErrClosed // the only reason that there is
	}
	if failed != nil {
		return &os.PathError{Op: op, Path: f.Name(), Err: failed}
	}
	return nil
}

// retry calls a system call again while signals interrupt it.
func retry(call func() error) error {
	for {
		if err := call(); err != unix.EINTR {
			return err
		}
	}
}

// open does without os.OpenFile, which tries for each file, also of a disk, whether it can be polled: five system calls more.
func open(name string, flag int) (File, error) {
	fd := -1
	err := retry(func() (err error) {
		fd, err = unix.Open(name, flag|unix.O_CLOEXEC, 0o644)
		return err
	})
	if err != nil {
		return nil, &os.PathError{Op: "open", Path: name, Err: err}
	}
	return osFile{os.NewFile(uintptr(fd), name)}, nil
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
	return errors.Join(final(d.Sync()), d.Close())
}

func (*osFS) Lock(name string) (io.Closer, error) {
	f, err := os.OpenFile(name, os.O_RDWR|os.O_CREATE, 0o644)
	if err != nil {
		return nil, err
	}
	err = control(f, "lock", func(fd int) error {
		err := unix.Flock(fd, unix.LOCK_EX|unix.LOCK_NB)
		if err == unix.EWOULDBLOCK {
			return ErrLocked
		}
		return err
	})
	if err != nil {
		return nil, errors.Join(err, f.Close())
	}
	return f, nil
}
