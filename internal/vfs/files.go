package vfs

import (
	"errors"
	"io"
	"path"
	"syscall"
)

// ErrLocked is answered by Lock when another process holds the lock.
var ErrLocked = errors.New("locked by another process")

// FinalError is an error that trying again does not mend, whatever is behind it. Each failed Sync, SyncAll and SyncDir is one:
// what was written before may be lost, and the next sync may succeed without it.
type FinalError struct{ Err error }

func (e *FinalError) Error() string { return e.Err.Error() }

func (e *FinalError) Unwrap() error { return e.Err }

// final makes an error, if it is one, a *FinalError.
func final(err error) error {
	if err == nil {
		return nil
	}
	return &FinalError{err}
}

// IsNoSpace tells whether an error says that the disk, or the quota on it, is full, and that nothing else is wrong: what was
// refused may be tried again when there is space.
func IsNoSpace(err error) bool {
	var failed *FinalError
	return !errors.As(err, &failed) && (errors.Is(err, syscall.ENOSPC) || errors.Is(err, syscall.EDQUOT))
}

// SyncNew syncs a file that nothing depends on yet. If that fails, the file can be thrown away and made again, so the error is
// no *FinalError.
func SyncNew(f File) error {
	err := f.Sync()
	var failed *FinalError
	if errors.As(err, &failed) {
		return failed.Err
	}
	return err
}

// ReadFile reads a whole file.
func ReadFile(fs FS, name string) ([]byte, error) {
	f, err := fs.Open(name)
	if err != nil {
		return nil, err
	}
	size, err := f.Size()
	if err != nil {
		return nil, errors.Join(err, f.Close())
	}
	b := make([]byte, size)
	n, err := f.ReadAt(b, 0)
	if err == io.EOF {
		err = nil
	}
	return b[:n], errors.Join(err, f.Close())
}

// WriteFileAtomic replaces a file in one durable step: after a crash there is the old content or the new. On the way the
// new content is in name + ".tmp", so a file has one writer at a time.
func WriteFileAtomic(fs FS, name string, data []byte) error {
	tmp := name + ".tmp"
	f, err := fs.Create(tmp)
	if err != nil {
		return err
	}
	if _, err = f.WriteAt(data, 0); err == nil {
		err = SyncNew(f)
	}
	if err = errors.Join(err, f.Close()); err == nil {
		err = fs.Rename(tmp, name)
	}
	if err != nil {
		return errors.Join(err, fs.Remove(tmp))
	}
	return fs.SyncDir(path.Dir(name))
}
