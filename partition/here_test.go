package partition

import (
	"errors"
	"log/slog"
	"sync/atomic"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"go.etcd.io/raft/v3/raftpb"

	"github.com/weir/weir/config"
	"github.com/weir/weir/internal/vfs"
	"github.com/weir/weir/replication"
)

// three are replicas of a partition, of which the first leads. While mute is set, the others' answers are lost.
type three struct {
	*rig
	hosts [3]*replication.Host
	mute  atomic.Bool
}

func newThree(t *testing.T, topic map[string]string) *three {
	t.Helper()
	c, _, err := config.Load(config.Sources{})
	if err != nil {
		t.Fatal(err)
	}
	all := &three{}
	voters := []replication.NodeID{replication.NodeOf(1, 0), replication.NodeOf(2, 0), replication.NodeOf(3, 0)}
	logger := slog.New(slog.DiscardHandler)
	disks := [3]*vfs.Faults{}
	for i := range all.hosts {
		disks[i] = vfs.NewFaults(vfs.NewMem())
		if err := errors.Join(disks[i].MkdirAll("data"), disks[i].SyncDir(".")); err != nil {
			t.Fatal(err)
		}
		all.hosts[i], err = replication.NewHost(replication.HostConfig{
			FS: disks[i], Dir: "data", Self: voters[i], Logger: logger, Fatal: func(err error) { t.Error(err) },
			Send: func(id replication.GroupID, m *raftpb.Message, held replication.Held) bool {
				defer held.Release()
				if all.mute.Load() && m.GetType() == raftpb.MsgAppResp {
					return false
				}
				all.hosts[replication.BrokerOf(m.GetTo())-1].Deliver(replication.Arrived{ID: id, Message: m})
				return true
			},
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	for i := 2; i >= 0; i-- { // the first one asks for votes when it is opened
		r := &rig{t: t, fs: disks[i], host: all.hosts[i]}
		r.set = NewSet(SetConfig{FS: disks[i], Dir: "data", Self: voters[i], Host: r.host, Logger: logger, Now: time.Now,
			Leaders: NewLeaders(int32(i + 1)), ProducerIdle: func() time.Duration { return time.Hour }})
		r.p, err = r.set.Open("t", [16]byte{1}, 0, voters, c.Topic(config.Layers{Resource: topic}))
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(r.stop)
		all.rig = r
	}
	led := make(chan struct{})
	all.p.OnLeadership(func(l Leadership) {
		if l.Broker == 1 {
			close(led)
		}
	})
	<-led
	return all
}

// TestAnswerWhenHere: an append that waits for this node alone is answered while the others are not heard of, also between such that
// wait for them, and not before it is on disk. Those of a producer with an id wait for the others.
func TestAnswerWhenHere(t *testing.T) {
	for _, relaxed := range []bool{false, true} {
		topic := map[string]string{}
		if relaxed {
			topic["durability"] = "relaxed"
		}
		all := newThree(t, topic)
		type answer struct {
			which string
			AppendResult
		}
		answers := make(chan answer, 10)
		add := func(which string, here bool, id int64) {
			append := all.p.Append
			if here {
				append = all.p.AppendHere
			}
			append(batch(id, 0, 0, 2), func(r AppendResult) { answers <- answer{which, r} }, nil)
			all.set.Settle(true)
		}
		all.mute.Store(true)
		var syncs atomic.Int32
		all.fs.(*vfs.Faults).Inject(vfs.Fault{Kind: "sync", Name: "/t-0/", Times: 2, Before: func(vfs.Op) { // of the first two
			if syncs.Add(1); len(answers) > 0 {
				t.Error("it is answered before it is on disk")
			}
		}})
		add("all", false, -1)
		add("here", true, -1)
		add("idempotent", true, 7)
		add("here again", true, -1)
		for _, want := range []answer{{"here", AppendResult{BaseOffset: 2}}, {"here again", AppendResult{BaseOffset: 6}}} {
			if got := <-answers; got.which != want.which || got.Err != nil || got.BaseOffset != want.BaseOffset {
				t.Errorf("relaxed %v: %+v; want %+v", relaxed, got, want)
			}
		}
		if syncs.Load() == 0 && !relaxed {
			t.Error("the log was not synced")
		}
		if high := all.p.HighWatermark(); high != 0 || len(answers) > 0 {
			t.Errorf("relaxed %v: the high watermark is %d, and there are %d more answers", relaxed, high, len(answers))
		}
		if err := all.p.group.Do(func() error { all.p.LeaderChanged(0, 9); return nil }); err != nil { // what is not answered is lost
			t.Fatal(err)
		}
		for range 2 {
			if got := <-answers; !errors.Is(got.Err, kerr.NotLeaderForPartition) || got.which != "all" && got.which != "idempotent" {
				t.Errorf("relaxed %v, when the leadership is lost: %+v", relaxed, got)
			}
		}
	}
}
