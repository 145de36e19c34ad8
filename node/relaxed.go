package node

import (
	"encoding/json"
	"os"
	"path"
	"strings"
	"time"

	"github.com/weir/weir/internal/vfs"
)

// A partition with durability=relaxed acknowledges what only the operating system has. If the machine loses its power, this node may
// have forgotten records whose presence here others counted on. It must not help to choose a leader that lacks them, too. So it comes
// back as another incarnation, as if its disk was lost: what it has is still there, and it is a replica again when a leader
// has seen that nothing is missing.

// relaxedName is a file that is there while a partition of this node is relaxed. It holds the operating system's boot id.
const relaxedName = "relaxed.boot"

// relaxedWait is how long a node that lost its power looks for a cluster that goes on without it. When most nodes lost their power at
// once, there is none, and each goes on with what it has.
const relaxedWait = 10 * time.Second

// bootID tells one start of the operating system from another; "": that cannot be told.
func bootID() string {
	b, err := os.ReadFile("/proc/sys/kernel/random/boot_id")
	if err != nil {
		return ""
	}
	return strings.TrimSpace(string(b))
}

// relaxes notes that records are acknowledged that are not on disk.
func (n *Node) relaxes() {
	if !n.several() || !n.relaxed.CompareAndSwap(false, true) {
		return
	}
	if err := vfs.WriteFileAtomic(n.opts.FS, path.Join(n.dir.path, relaxedName), []byte(n.opts.BootID)); err != nil {
		n.fail(err)
	}
}

// settled notes that everything is on disk: the node stopped cleanly.
func (n *Node) settled() error {
	if !n.relaxed.Load() {
		return nil
	}
	if err := n.opts.FS.Remove(path.Join(n.dir.path, relaxedName)); err != nil {
		return err
	}
	return n.opts.FS.SyncDir(n.dir.path)
}

// forgot tells whether acknowledged records may be missing here.
func (n *Node) forgot() bool {
	b, err := vfs.ReadFile(n.opts.FS, path.Join(n.dir.path, relaxedName))
	return err == nil && string(b) != n.opts.BootID
}

// comeBack makes a node that may have forgotten records another incarnation, if the cluster goes on without it.
func (n *Node) comeBack() error {
	if n.dir.clusterID == "" || !n.several() || !n.forgot() {
		return nil
	}
	addresses := n.dir.peers()
	for _, v := range n.cfg.Voters {
		if v.ID != n.cfg.NodeID {
			addresses[v.ID] = v.Address
		}
	}
	before := n.dir.id
	n.dir.id = randomID()
	question, err := json.Marshal(n.asBroker())
	if err != nil {
		panic("BUG: " + err.Error())
	}
	n.opts.Logger.Warn("the machine lost its power, and records of relaxed topics may be missing here: this node asks to be a new replica")
	for end := time.Now().Add(relaxedWait); time.Now().Before(end) && n.opts.Context.Err() == nil; time.Sleep(askEach) {
		for _, address := range addresses {
			if a, err := n.askToJoin(address, question); err == nil && a.Registered != nil && a.Registered.Refused == "" && a.Cluster == n.dir.clusterID {
				return n.dir.join(a.Cluster, a.Registered.Incarnation)
			}
		}
	}
	n.opts.Logger.Warn("no cluster goes on without this node: it goes on with what it has; the newest records of relaxed topics may be lost")
	n.dir.id = before
	return n.opts.Context.Err()
}
