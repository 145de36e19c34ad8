package node

import (
	"os"
	"path"
	"strings"

	"github.com/weir/weir/internal/vfs"
)

// A partition with durability=relaxed acknowledges what only the operating system has. If the machine loses its power, this node may
// have forgotten records whose presence here others counted on. Those replicas then do not vote before they have what a leader has
// (replication.Config.PowerLost). All else on the node has lost nothing.

// relaxedName is a file that is there while a partition of this node may be relaxed. It holds the operating system's boot id.
const relaxedName = "relaxed.boot"

// bootID tells one start of the operating system from another; "": that cannot be told.
func bootID() string {
	b, err := os.ReadFile("/proc/sys/kernel/random/boot_id")
	if err != nil {
		return ""
	}
	return strings.TrimSpace(string(b))
}

// relaxes notes that records are acknowledged that are not on disk. After the power was lost, that is still noted: see opened.
func (n *Node) relaxes() {
	if !n.relaxed.CompareAndSwap(false, true) || n.powerLost.Load() {
		return
	}
	n.noteBoot()
}

func (n *Node) noteBoot() {
	if err := vfs.WriteFileAtomic(n.opts.FS, path.Join(n.dir.path, relaxedName), []byte(n.opts.BootID)); err != nil {
		n.fail(err)
	}
}

// opened notes, after the power was lost, that all partitions know it. Until then a start that is cut short must find out again.
func (n *Node) opened() {
	if !n.powerLost.Load() || !n.set.Complete() {
		return
	}
	n.powerLost.Store(false)
	if n.relaxed.Load() {
		n.noteBoot()
	} else if err := n.forgetBoot(); err != nil {
		n.fail(err)
	}
}

// settled notes that everything is on disk: the node stopped cleanly.
func (n *Node) settled() error {
	if !n.relaxed.Load() || n.powerLost.Load() {
		return nil
	}
	return n.forgetBoot()
}

func (n *Node) forgetBoot() error {
	if err := n.opts.FS.Remove(path.Join(n.dir.path, relaxedName)); err != nil {
		return err
	}
	return n.opts.FS.SyncDir(n.dir.path)
}

// losesPower finds out whether acknowledged records may be missing here, since the machine lost its power.
func (n *Node) losesPower() bool {
	b, err := vfs.ReadFile(n.opts.FS, path.Join(n.dir.path, relaxedName))
	lost := err == nil && string(b) != n.opts.BootID
	if n.powerLost.Store(lost); lost {
		n.opts.Logger.Warn("the machine lost its power, and records of relaxed topics may be missing here: their replicas on this node do not vote until they have what the others have")
	}
	return lost
}
