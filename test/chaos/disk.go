package main

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"

	"golang.org/x/sys/unix"
)

// disk is where a node has its data: a file system of its own in an image file, so that it can be filled and lose its power; or
// a plain directory, where the machine does not allow that.
type disk struct {
	image string // "": a plain directory
	dir   string
}

const diskBytes = 2 << 30 // at most; the image is sparse

// disksAllowed tells why this machine gives no disks, if it does not.
func disksAllowed() error {
	if os.Getenv(insideMark) != "root" {
		return errors.New("only root may mount")
	}
	if _, err := os.Stat("/dev/loop-control"); err != nil {
		return err
	}
	_, err := exec.LookPath("mkfs.ext4")
	return err
}

// newDisk makes an empty disk.
func newDisk(dir, image string) (*disk, error) {
	d := &disk{image: image, dir: dir}
	if err := os.MkdirAll(dir, 0o755); err != nil || image == "" {
		return d, err
	}
	f, err := os.Create(image)
	if err != nil {
		return nil, err
	}
	if err := errors.Join(f.Truncate(diskBytes), f.Close()); err != nil {
		return nil, err
	}
	if err := run("mkfs.ext4", "-q", "-F", "-m", "0", image); err != nil {
		return nil, err
	}
	return d, d.mount()
}

func (d *disk) mount() error { return run("mount", "-o", "loop", d.image, d.dir) }

// data is the node's directory on the disk.
func (d *disk) data() string { return filepath.Join(d.dir, "data") }

// goDown is FS_IOC_SHUTDOWN of the kernel, and noFlush its argument: not even the journal is written any more.
const (
	goDown  = 0x8004587d
	noFlush = 2
)

// cut takes the power away: what was not synced is gone. Whoever has files open there must be ended before restore.
func (d *disk) cut() error {
	f, err := os.Open(d.dir)
	if err != nil {
		return err
	}
	defer func() { _ = f.Close() }()
	if err := unix.IoctlSetPointerInt(int(f.Fd()), goDown, noFlush); err != nil {
		return fmt.Errorf("shutting %s down: %w", d.dir, err)
	}
	return nil
}

// restore brings a disk back that lost its power.
func (d *disk) restore() error {
	if err := run("umount", d.dir); err != nil {
		return err
	}
	return d.mount()
}

func (d *disk) ballast() string { return filepath.Join(d.dir, "ballast") }

// fill leaves no block free.
func (d *disk) fill() error {
	f, err := os.Create(d.ballast())
	if err != nil {
		return err
	}
	defer func() { _ = f.Close() }()
	size := int64(0)
	for step := int64(64 << 20); step >= 4096; { // takes what is free, in smaller and smaller steps
		err := unix.Fallocate(int(f.Fd()), 0, size, step)
		switch {
		case err == nil:
			size += step
		case errors.Is(err, unix.ENOSPC):
			step /= 2
		case !errors.Is(err, unix.EINTR):
			return fmt.Errorf("filling %s: %w", d.dir, err)
		}
	}
	return nil
}

// empty undoes fill.
func (d *disk) empty() error { return os.Remove(d.ballast()) }
