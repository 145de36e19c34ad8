package sim

import (
	"syscall"
	"time"

	"github.com/weir/weir/internal/vfs"
)

// disk is a node's disk: what is on it stays when the node's process ends.
type disk struct {
	sim    *sim
	node   *node
	mem    *vfs.Mem
	faults *vfs.Faults // over mem
	slow   time.Duration
	// crashIn is the number of operations after which the power fails; 0: it does not.
	crashIn int
	// crashAt is a kind of operation; at the next of its kind, or soon after, the power fails. "": it does not.
	crashAt string
	full    bool // or was
	broken  bool // a sync failed: later ones succeed, and do nothing
}

func newDisk(n *node, mem *vfs.Mem) *disk {
	s := n.sim
	d := &disk{sim: s, node: n, mem: mem}
	d.faults = vfs.NewFaults(&forgetful{mem, d})
	d.faults.OnOp(func(op vfs.Op) {
		if s.looking {
			return
		}
		if op.Kind == d.crashAt {
			d.crashAt, d.crashIn = "", 1+s.rng.IntN(3)
		}
		if d.crashIn > 0 {
			if d.crashIn--; d.crashIn == 0 && n.mayLosePower() {
				panic(powerFailed{d.mem.CrashClone(s.rng)})
			}
		}
	})
	return d
}

// powerFailed is thrown by an operation of a disk in whose midst the power fails: what is left of the disk.
type powerFailed struct{ left *vfs.Mem }

// failSync makes a sync fail: the data is gone, as Linux does it, and the next sync says that all is well.
func (d *disk) failSync() {
	for _, kind := range []string{"sync", "syncall"} {
		d.faults.Inject(vfs.Fault{Kind: kind, Times: 1, Err: syscall.EIO, Before: func(vfs.Op) { d.broken = true }})
	}
}

func (d *disk) failWrite() {
	d.faults.Inject(vfs.Fault{Kind: "write", Times: 1, Write: d.sim.rng.IntN(600), Err: syscall.EIO})
}

// syncTime is how long a round of syncs takes.
func (d *disk) syncTime() time.Duration {
	return d.sim.between(d.sim.plan.disk/2, d.sim.plan.disk*2) + d.sim.between(d.slow/2, d.slow)
}

// forgetful is a file system whose syncs do nothing once the disk is broken.
type forgetful struct {
	*vfs.Mem
	disk *disk
}

type forgetfulFile struct {
	vfs.File
	disk *disk
}

func (f *forgetful) file(file vfs.File, err error) (vfs.File, error) {
	if err != nil {
		return nil, err
	}
	return &forgetfulFile{file, f.disk}, nil
}

func (f *forgetful) Create(name string) (vfs.File, error) { return f.file(f.Mem.Create(name)) }
func (f *forgetful) Open(name string) (vfs.File, error)   { return f.file(f.Mem.Open(name)) }
func (f *forgetful) OpenReadWrite(name string) (vfs.File, error) {
	return f.file(f.Mem.OpenReadWrite(name))
}

func (f *forgetful) SyncAll(dir string) error {
	if f.disk.broken {
		return nil
	}
	return f.Mem.SyncAll(dir)
}

func (f *forgetful) SyncDir(dir string) error {
	if f.disk.broken {
		return nil
	}
	return f.Mem.SyncDir(dir)
}

func (f *forgetfulFile) Sync() error {
	if f.disk.broken {
		return nil
	}
	return f.File.Sync()
}
