package weirtest

import (
	"errors"
	"syscall"

	"github.com/weir/weir/internal/vfs"
)

// disk is what the node's data is on.
type disk struct {
	dir    string
	base   vfs.FS
	faults *vfs.Faults // the node's way to base; each node has its own, so that a dead one cannot reach it
	broken bool        // it was made to fail, if it is well again or not
}

func newDisk(dir string) *disk {
	d := &disk{dir: dir, base: vfs.NewOS()}
	if dir == "" {
		d.dir, d.base = "/weir-data", vfs.NewMem()
	}
	d.faults = vfs.NewFaults(d.base)
	return d
}

var errKilled = errors.New("the node was killed")

// crash takes the disk away from a node that ends here, and readies it for the next one.
func (d *disk) crash() {
	d.faults.Inject(vfs.Fault{Err: errKilled})
	if mem, ok := d.base.(*vfs.Mem); ok {
		d.base = mem.CrashClone(nil)
	}
	d.faults, d.broken = vfs.NewFaults(d.base), false
}

// FillDisk leaves room for so many more bytes on the disk. Then it is full, until Heal or Kill: the node serves readers and
// refuses writers with KAFKA_STORAGE_ERROR.
func (n *Node) FillDisk(room int64) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.disk.broken = true
	n.disk.faults.Limit(room)
}

// FailDisk makes every write to the disk and every sync fail. The node goes down at the next one: see Failed.
func (n *Node) FailDisk() {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.disk.broken = true
	for _, kind := range []string{"write", "sync", "syncall", "syncdir"} {
		n.disk.faults.Inject(vfs.Fault{Kind: kind, Err: syscall.EIO})
	}
}
