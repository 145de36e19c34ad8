package vfs

import (
	"os"

	"golang.org/x/sys/unix"
)

func (*osFS) Space(dir string) (total, free int64, err error) {
	var st unix.Statfs_t
	if err := retry(func() error { return unix.Statfs(dir, &st) }); err != nil {
		return 0, 0, &os.PathError{Op: "statfs", Path: dir, Err: err}
	}
	return int64(st.F_blocks) * int64(st.F_bsize), st.F_bavail * int64(st.F_bsize), nil
}
