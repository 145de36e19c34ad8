package coordinator

import (
	"errors"
	"log/slog"
	"slices"
	"sync"
	"testing"
	"time"

	"go.etcd.io/raft/v3/raftpb"

	"github.com/weir/weir/config"
	"github.com/weir/weir/coordinator/machine"
	"github.com/weir/weir/internal/vfs"
	"github.com/weir/weir/partition"
	"github.com/weir/weir/record"
	"github.com/weir/weir/replication"
)

// follower is a node with a replica, and a runtime on it, of a group that another node leads in term 1.
type follower struct {
	t       *testing.T
	host    *replication.Host
	set     *partition.Set
	p       *partition.Partition
	runtime *Runtime
	term    uint64 // the leader's

	mu        sync.Mutex
	published []int
}

var self, leader = replication.NodeOf(1, 0), replication.NodeOf(2, 0)

func newFollower(t *testing.T, fs vfs.FS) *follower {
	t.Helper()
	c, _, err := config.Load(config.Sources{})
	if err != nil {
		t.Fatal(err)
	}
	f := &follower{t: t, term: 1}
	logger := slog.New(slog.DiscardHandler)
	f.host, err = replication.NewHost(replication.HostConfig{FS: fs, Dir: "data", Self: self, Logger: logger, Fatal: func(err error) { t.Error(err) }})
	if err != nil {
		t.Fatal(err)
	}
	f.set = partition.NewSet(partition.SetConfig{FS: fs, Dir: "data", Self: self, Host: f.host, Logger: logger, Now: time.Now, Leaders: partition.NewLeaders(1)})
	if f.p, err = f.set.Open("counter", [16]byte{1}, 0, []replication.NodeID{leader, self}, c.Topic(config.Layers{})); err != nil {
		t.Fatal(err)
	}
	f.runtime = Start(Config{
		Partition: f.p, New: func() machine.Machine { return &counter{} }, Now: time.Now, Logger: logger, Follow: true,
		Capture: func(m machine.Machine) any { return m.(*counter).sum },
		Publish: func(sum any) {
			f.mu.Lock()
			defer f.mu.Unlock()
			f.published = append(f.published, sum.(int))
		},
	})
	return f
}

func (f *follower) stop() {
	f.t.Helper()
	f.runtime.Stop()
	if err := errors.Join(f.set.ClosePartition(f.p), f.host.Stop()); err != nil {
		f.t.Fatal(err)
	}
}

// eventually waits until something is so.
func (f *follower) eventually(ok func() bool) {
	f.t.Helper()
	for end := time.Now().Add(10 * time.Second); !ok(); time.Sleep(time.Millisecond) {
		if time.Now().After(end) {
			f.t.Fatal("waited in vain")
		}
	}
}

// publishes waits until a sum is published.
func (f *follower) publishes(sum int) {
	f.t.Helper()
	f.eventually(func() bool {
		f.mu.Lock()
		defer f.mu.Unlock()
		return slices.Contains(f.published, sum)
	})
}

// hears takes a message of the leader.
func (f *follower) hears(kind raftpb.MessageType, commit uint64, entries ...*raftpb.Entry) {
	f.host.Deliver(replication.Arrived{ID: f.p.ID, Message: &raftpb.Message{
		Type: kind.Enum(), From: new(leader), To: new(self), Term: new(f.term), Commit: new(commit),
		Index: new(uint64(0)), LogTerm: new(uint64(0)), Entries: entries,
	}})
}

// TestThePastIsNotPublished: what was known before a restart is published when all of it is known again, and not as it was on the way.
func TestThePastIsNotPublished(t *testing.T) {
	disk := vfs.NewMem()
	if err := errors.Join(disk.MkdirAll("data"), disk.SyncDir(".")); err != nil {
		t.Fatal(err)
	}
	entries := []*raftpb.Entry{{Index: new(uint64(1)), Term: new(uint64(1))}}
	for i := range 6 {
		b := record.NewBuilder(record.BuilderOptions{})
		b.Append(1, []byte("add"), []byte("1"))
		batch := b.Build()
		record.Assign(batch, int64(i), 1)
		entries = append(entries, &raftpb.Entry{Index: new(uint64(i + 2)), Term: new(uint64(1)), Data: batch})
	}
	f := newFollower(t, disk)
	f.hears(raftpb.MsgApp, 4, entries...)
	f.publishes(3)
	f.stop()

	f = newFollower(t, disk)
	for known := int64(4); known <= 6; known++ {
		f.hears(raftpb.MsgHeartbeat, uint64(known)+1)
		f.eventually(func() bool { return f.p.HighWatermark() == known })
	}
	f.publishes(6)
	f.term = 2 // which is journalled, and with it how far the log is committed
	f.hears(raftpb.MsgHeartbeat, 7)
	f.eventually(func() bool { return f.p.Leadership().Epoch == 2 })
	f.stop()
	if !slices.Equal(f.published, []int{6}) {
		t.Errorf("published: %v", f.published)
	}

	f = newFollower(t, disk)
	f.publishes(6) // nobody tells it anything
	f.stop()
}
