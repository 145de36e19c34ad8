//go:build unix && !linux

package vfs

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
)

type osFS struct{}

func (f osFile) Sync() error { return final(f.File.Sync()) }

// SyncAll syncs file by file: sync(2) promises here neither that it is done when it returns, nor that it tells of errors.
func (*osFS) SyncAll(dir string) error {
	return filepath.WalkDir(dir, func(name string, _ fs.DirEntry, err error) error {
		if errors.Is(err, fs.ErrNotExist) {
			return nil // removed meanwhile
		}
		if err != nil {
			return err
		}
		f, err := os.Open(name)
		if errors.Is(err, fs.ErrNotExist) {
			return nil
		}
		if err != nil {
			return err
		}
		return errors.Join(final(f.Sync()), f.Close())
	})
}
