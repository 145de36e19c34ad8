package vfs

import (
	"os"
	"sync"

	"golang.org/x/sys/unix"
)

// osFS keeps the folders open that SyncAll was called for: syncfs reports errors since the descriptor was opened.
type osFS struct {
	mu      sync.Mutex
	folders map[string]*os.File
}

// Sync leaves out what fsync adds: times that nobody needs.
func (f osFile) Sync() error { return final(control(f.File, "fdatasync", unix.Fdatasync)) }

func (o *osFS) SyncAll(dir string) error {
	d, err := o.folder(dir)
	if err != nil {
		return err
	}
	return final(control(d, "syncfs", unix.Syncfs))
}

func (o *osFS) folder(dir string) (*os.File, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if d := o.folders[dir]; d != nil {
		return d, nil
	}
	d, err := os.Open(dir)
	if err != nil {
		return nil, err
	}
	if o.folders == nil {
		o.folders = map[string]*os.File{}
	}
	o.folders[dir] = d
	return d, nil
}

func (*osFS) Space(dir string) (total, free int64, err error) {
	var st unix.Statfs_t
	if err := retry(func() error { return unix.Statfs(dir, &st) }); err != nil {
		return 0, 0, &os.PathError{Op: "statfs", Path: dir, Err: err}
	}
	unit := int64(st.Frsize)
	if unit == 0 {
		unit = int64(st.Bsize)
	}
	return int64(st.Blocks) * unit, int64(st.Bavail) * unit, nil
}
