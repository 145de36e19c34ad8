package replication

import (
	"errors"
	"fmt"
	"slices"
	"testing"

	"go.etcd.io/raft/v3/raftpb"

	"github.com/weir/weir/log"
)

// losesDurable restarts a node without the entries at the end of its log, durable as they were. With a flag, the log says so.
func (m *member) losesDurable(keep uint64, flag bool) {
	t := m.trio.t
	t.Helper()
	disk := m.fs.Clone()
	cfg := log.Config{SegmentBytes: 4000, SegmentMs: 1 << 40, IndexIntervalBytes: 200, RetentionMs: -1, RetentionBytes: -1}
	l, _, err := log.Open(disk, "d/t-3", log.Identity{TopicID: trioGroup.Topic, Partition: 3}, cfg, nil)
	if err != nil {
		t.Fatal(err)
	}
	if flag {
		err = l.Forget(log.ByDamage)
	}
	if err := errors.Join(err, l.TruncateSuffix(keep), l.Close()); err != nil {
		t.Fatal(err)
	}
	m.restart(disk)
}

func (m *member) hasForgotten() bool {
	forgotten := false
	_ = m.group.Do(func() error { forgotten = m.log.Forgotten() != log.Nothing; return nil })
	return forgotten
}

// TestAcknowledgedTailIsLost: a follower comes back without what it acknowledged. It notices, or was told, gives nobody its vote who
// may lack it too, and has all of it in the end; the leader is the same, or was elected meanwhile.
func TestAcknowledgedTailIsLost(t *testing.T) {
	for _, voters := range []int{2, 3} {
		for _, told := range []bool{false, true} {
			for _, asleep := range []bool{false, true} {
				t.Run(fmt.Sprintf("%d voters, told %v, asleep %v", voters, told, asleep), func(t *testing.T) {
					c := newNodes(t)
					first := []NodeID{1, 2, 3}[:voters]
					for _, id := range first {
						c.add(id, first...)
					}
					var acked []string
					c.write(&acked, 20)
					c.settled()
					if l := c.leader(); asleep {
						c.until("sleep", func() bool { return l.host.Awake() == 0 })
					}
					l := c.leader()
					victim := c.nodes[int(l.id)%voters]
					had := victim.log.LastIndex()
					victim.losesDurable(had/2, told)
					for _, m := range c.nodes { // the connection went and came
						if m != victim {
							m.host.NodeDown(BrokerOf(victim.id))
							m.host.NodeUp(BrokerOf(victim.id))
						}
					}
					c.until("all that was lost", func() bool {
						return victim.log.LastIndex() >= had && !victim.hasForgotten()
					})
					c.write(&acked, 3)
					c.settledInOrder(acked)
				})
			}
		}
	}
}

// TestForgottenDoesNotVote: two of three have what was acknowledged, and one of these has lost it. Without the other one nobody is
// elected, and nothing is lost when that one is back.
func TestForgottenDoesNotVote(t *testing.T) {
	c := newTrio(t)
	var acked []string
	c.write(&acked, 5)
	c.settled()
	l := c.leader()
	behind, victim := c.nodes[int(l.id)%3], c.nodes[int(l.id+1)%3]
	c.isolate(behind.id, true)
	c.write(&acked, 20)
	c.until("two to have it", func() bool { return victim.log.LastIndex() == l.log.LastIndex() })
	c.mu.Lock()
	c.lose = func(m *raftpb.Message) bool { return m.GetTo() == l.id || m.GetFrom() == l.id }
	c.mu.Unlock()
	c.isolate(behind.id, false)
	victim.losesDurable(behind.log.LastIndex(), true)
	ticks := 0
	c.until("elections, if there are any", func() bool {
		ticks++
		return ticks > 8*electionTicks
	})
	if behind.isLeader() || victim.isLeader() {
		t.Fatal("those without what was acknowledged have chosen a leader")
	}
	if !victim.hasForgotten() {
		t.Fatal("it believes that it lacks nothing")
	}
	victim.restart(victim.fs.Clone())
	if !victim.hasForgotten() {
		t.Fatal("it has forgotten that it lacks something")
	}
	c.mu.Lock()
	c.lose = nil
	c.mu.Unlock()
	c.settledInOrder(acked)
	c.until("the end of it", func() bool { return !victim.hasForgotten() })
	if names, err := victim.fs.List("d/t-3"); err != nil || slices.Contains(names, "forgotten") {
		t.Errorf("it has the files %v (%v)", names, err)
	}
}

// TestForgottenAlone: the only voter does not go on without what it acknowledged.
func TestForgottenAlone(t *testing.T) {
	c := newNodes(t)
	m := c.add(1, 1)
	var acked []string
	c.write(&acked, 5)
	m.losesDurable(3, true)
	m.group.SetReplicas([]NodeID{1, 2}, nil) // so that time passes for it
	ticks := 0
	c.until("an election, if there is one", func() bool {
		ticks++
		return ticks > 4*electionTicks
	})
	if m.isLeader() {
		t.Fatal("it leads")
	}
}
