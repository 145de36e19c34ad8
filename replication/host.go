package replication

import (
	"fmt"
	"log/slog"
	"runtime"
	"sync"
	"sync/atomic"
	"time"

	"go.etcd.io/raft/v3/raftpb"

	"github.com/weir/weir/internal/bugs"
	"github.com/weir/weir/internal/stats"
	"github.com/weir/weir/internal/vfs"
)

// stallRetry is how often a group tries again to write what a full disk refused.
const stallRetry = 200 * time.Millisecond

// HostConfig describes the groups' surroundings.
type HostConfig struct {
	FS   vfs.FS
	Dir  string // data directory: journal and partition logs are on its file system
	Self NodeID
	// Send passes a message to another node, with the next Flush at the latest; nil: there is none. A lost message is fine. What
	// its batches are in is held for it until it is released. False: the message was not taken, since the node is not connected,
	// or too much waits for it, and what is held stays the host's.
	Send func(id GroupID, m *raftpb.Message, held Held) bool
	// Flush, if set, sends what was passed on.
	Flush func()
	// Stalled, if set, is told whenever a write finds the disk full. The group goes on trying.
	Stalled func(error)
	// Reached, if set, is told on a group's leader that its replicas are those that SetReplicas asked for: after each new target, and
	// in each new term. What other nodes have of the group is then needed no more. It is called from the group's turn.
	Reached func(id GroupID, target []NodeID)
	// Removed, if set, is told that this node is no replica of a group any more. It need not come: a node may be down or behind when
	// it is removed. It is called from the group's turn.
	Removed func(id GroupID)
	// Fatal is told once when the data directory can no longer be trusted (a failed write or sync). Nothing is
	// acknowledged after it.
	Fatal  func(error)
	Logger *slog.Logger
	// Workers is the number of goroutines that run turns. 0: one a core.
	Workers int
	// ByHand starts no goroutines: turns and syncs happen when Turn and Sync are called, all by one goroutine. So the same calls
	// always lead to the same effects.
	ByHand bool
	// After calls f once, d later, from any goroutine. nil: time.AfterFunc.
	After func(d time.Duration, f func())
}

// Host runs the groups of one data directory.
type Host struct {
	cfg     HostConfig
	journal *Journal
	syncer  *syncer
	dead    atomic.Bool
	stats   Stats
	catchUp atomic.Pointer[budgets]
	news    news
	undone  atomic.Int64 // bytes of batches of other nodes that wait
	unsent  atomic.Bool  // messages wait for Flush

	groups sync.Map // GroupID → *Group, those with other replicas
	nodes  struct {
		sync.Mutex
		up      map[int32]bool // brokers that are there; false: that were; replaced, and never changed
		awake   map[*Group]struct{}
		stirred chan struct{}
	}

	mu      sync.Mutex
	ready   *sync.Cond
	queue   []*Group
	stopped bool
	workers sync.WaitGroup
}

// NewHost opens the voter journal and starts workers and syncer.
func NewHost(cfg HostConfig) (*Host, error) {
	journal, err := OpenJournal(cfg.FS, cfg.Dir)
	if err != nil {
		return nil, err
	}
	if cfg.Workers == 0 {
		cfg.Workers = runtime.GOMAXPROCS(0)
	}
	if cfg.ByHand {
		cfg.Workers = 0
	}
	if cfg.After == nil {
		cfg.After = func(d time.Duration, f func()) { time.AfterFunc(d, f) }
	}
	h := &Host{cfg: cfg, journal: journal}
	h.catchUp.Store(&budgets{})
	h.ready = sync.NewCond(&h.mu)
	h.nodes.awake, h.nodes.stirred = map[*Group]struct{}{}, make(chan struct{}, 1)
	h.syncer = newSyncer(h)
	for range cfg.Workers {
		h.workers.Go(h.work)
	}
	return h, nil
}

// Open starts a replica. A group whose only voter is this node campaigns at once.
func (h *Host) Open(c Config) (*Group, error) {
	g, err := newGroup(h, c)
	if err != nil {
		return nil, fmt.Errorf("opening the raft group of partition %v: %w", c.ID, err)
	}
	if lone(g.members.now.State, g.self) {
		g.Campaign()
		return g, nil
	}
	if g.forgotten.is && !bugs.PowerTermUnsaved {
		g.saveTerm()
	}
	first := g.lastVotes == (HardState{}) && len(c.Voters) > 0 && c.Voters[0] == g.self
	h.groups.Store(g.key, g)
	h.wake(g)
	if first { // a new group: the preferred leader asks at once
		g.Campaign()
	}
	return g, nil
}

// Close ends a group's turns. Its log may be closed afterwards.
func (h *Host) Close(g *Group) {
	g.close()
	h.groups.CompareAndDelete(g.key, g)
	h.lull(g)
}

// Arrived is a message of another node.
type Arrived struct {
	ID      GroupID
	Message *raftpb.Message
	In      Buffer // what its batches are in, if that is lent
}

// Deliver hands over a message of another node. It is lost if it is for a group that is not here, or for an earlier incarnation of this
// node, or if too much waits here to be written.
func (h *Host) Deliver(a Arrived) {
	if g := h.receiver(a); g != nil {
		h.enqueue(g)
	}
}

const (
	// hereMax is how many bytes of batches a lent goroutine handles, and turnsMax how many groups.
	hereMax  = 32 << 10
	turnsMax = 8
	// undoneMax is how many bytes of batches of other nodes may wait to be written. What is too much raft sends again.
	undoneMax = 64 << 20
)

// DeliverHere is Deliver for a caller that lends its goroutine, with all that arrived at once: turns of idle groups that have little to
// do happen before it returns, and what they write becomes durable if the disk is quick.
func (h *Host) DeliverHere(all []Arrived) {
	var due [turnsMax]*Group
	n := 0
	for _, a := range all {
		switch g := h.receiver(a); {
		case g == nil:
		case n == turnsMax || batchBytes(a.Message) > hereMax:
			h.enqueue(g)
		default:
			due[n] = g
			n++
		}
	}
	for _, g := range due[:n] {
		g.runHere()
	}
	h.Settle(h.syncer.took.Load() < int64(quickSync) && !h.cfg.ByHand)
}

// quickSync is how long a group commit may take for those to wait for it who have other things to do.
const quickSync = 5 * time.Millisecond

// receiver gives a message to its group. If that was idle, the caller must see to its turn; else it gets nil.
func (h *Host) receiver(a Arrived) *Group {
	switch a.Message.GetTo() {
	case h.cfg.Self:
	case WitnessOf(h.cfg.Self):
		a.ID = a.ID.witness()
	default:
		return nil
	}
	if g, ok := h.groups.Load(a.ID); ok && g.(*Group).offerMessage(a.Message, a.In) {
		return g.(*Group)
	}
	return nil
}

func batchBytes(m *raftpb.Message) (sum int) {
	for _, e := range m.Entries {
		sum += len(e.GetData())
	}
	return sum
}

// Forget removes a closed group's votes: its partition was deleted.
func (h *Host) Forget(id GroupID) error { return h.journal.Remove(id) }

// ForgetWitness removes all that a closed witness of a partition knew: the partition was deleted, or has another witness.
func (h *Host) ForgetWitness(id GroupID) error { return h.journal.Remove(id.witness()) }

// Stop ends workers and syncer. Groups must be closed before.
func (h *Host) Stop() error {
	h.mu.Lock()
	h.stopped = true
	h.mu.Unlock()
	h.ready.Broadcast()
	h.workers.Wait()
	h.syncer.stop()
	return h.journal.Close()
}

// Unsettled tells whether something proposed with ProposeHere waits for Settle.
func (h *Host) Unsettled() bool { return h.syncer.lazy.Load() || h.unsent.Load() }

// Settle sees that what was proposed with ProposeHere goes to the other nodes and becomes durable: here, by the caller, who waits for
// the disk, or by another goroutine.
func (h *Host) Settle(here bool) {
	h.flush()
	h.syncer.settle(here)
}

// flush sends what turns passed on.
func (h *Host) flush() {
	if h.unsent.Load() && h.unsent.Swap(false) && h.cfg.Flush != nil {
		h.cfg.Flush()
	}
}

// Stats is what a host counts. A group commit makes durable what all groups have written since the last one.
type Stats struct {
	SyncTime    stats.Histogram // of group commits, ns
	SyncBatches stats.Histogram // batches that one made durable
	SyncBytes   stats.Histogram // bytes of these batches
	// What group commits asked the operating system for.
	FileSyncs, FolderSyncs, SystemSyncs, JournalSyncs stats.Counter

	Proposals     stats.Counter // batches that were proposed
	LeaderChanges stats.Counter
	Stalls        stats.Counter // writes that found the disk full
}

// Stats gives what the host counts.
func (h *Host) Stats() *Stats { return &h.stats }

func (h *Host) enqueue(g *Group) {
	h.mu.Lock()
	h.queue = append(h.queue, g)
	h.mu.Unlock()
	h.ready.Signal()
}

func (h *Host) work() {
	for {
		h.mu.Lock()
		for len(h.queue) == 0 && !h.stopped {
			h.ready.Wait()
		}
		if len(h.queue) == 0 {
			h.mu.Unlock()
			return
		}
		g := h.queue[0]
		h.queue = h.queue[1:]
		h.mu.Unlock()
		if g.run(false) {
			h.enqueue(g)
		}
		h.flush()
	}
}

// fatal ends all acknowledging and tells the owner once.
func (h *Host) fatal(err error) {
	if h.dead.CompareAndSwap(false, true) {
		h.cfg.Fatal(err)
	}
}

// full tells of a write that found the disk full. The operator is told once, and not of every try.
func (h *Host) full(partition string, err error, again bool) {
	h.stats.Stalls.Add(1)
	if !again {
		h.cfg.Logger.Error("the disk is full: writes are refused until space is freed", "partition", partition, "error", err)
	}
	if h.cfg.Stalled != nil {
		h.cfg.Stalled(err)
	}
}
