package node

import (
	"errors"
	"slices"
	"testing"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/weir/weir/internal/vfs"
)

// createPair makes t with two replicas of each of three partitions.
func (c *several) createPair(k *kgo.Client) {
	c.t.Helper()
	if _, err := kadm.NewClient(k).CreateTopic(timeout(c.t), 3, 2, nil, "t"); err != nil {
		c.t.Fatal(err)
	}
}

// TestTwoReplicasSurvive: partitions with two replicas go on, whichever of three nodes is killed, and when all were.
func TestTwoReplicasSurvive(t *testing.T) {
	c := newSeveral(t, 3, "min.insync.replicas=1", "offsets.topic.replication.factor=2")
	c.start(0, 1, 2)
	k := c.client()
	c.createPair(k)
	s := c.stream(k, 3)
	for i := range 6 {
		c.moves(s)
		c.countInSync(k, 2)
		s.longest()
		c.kill(i % 3)
		c.moves(s)
		t.Logf("node %d was killed: the longest times without an ack: %v", i%3+1, s.longest())
		c.start(i % 3)
	}
	c.countInSync(k, 2)
	for i := range 3 {
		c.kill(i)
	}
	c.start(0, 1, 2)
	c.moves(s)
	c.check(s)
}

// TestWitnessIsNoReplica: it does not count for min.insync.replicas, and clients see nothing of it.
func TestWitnessIsNoReplica(t *testing.T) {
	c := newSeveral(t, 3)
	c.start(0, 1, 2)
	k := c.client()
	c.createPair(k)
	c.countInSync(k, 2)
	replicas := c.topic(k, "t").Partitions[0].Replicas
	dirs, err := kadm.NewClient(k).DescribeAllLogDirs(timeout(t), nil)
	if err != nil {
		t.Fatal(err)
	}
	dirs.Each(func(d kadm.DescribedLogDir) {
		if _, there := d.Topics["t"][0]; there != slices.Contains(replicas, d.Broker) {
			t.Errorf("broker %d holds t-0: %v, and its replicas are %v", d.Broker, there, replicas)
		}
	})
	if err := c.sendRaw(k, "t", "with both"); err != nil {
		t.Fatal(err)
	}
	c.kill(int(replicas[1]) - 1)
	c.eventually("one in sync", func() bool { return len(c.topic(k, "t").Partitions[0].ISR) == 1 })
	if err := c.sendRaw(k, "t", "with one"); !errors.Is(err, kerr.NotEnoughReplicas) {
		t.Errorf("with one of two in sync: %v", err)
	}
}

// TestWitnessFollowsReassignments: replicas and witnesses change places on the same nodes while records are written.
func TestWitnessFollowsReassignments(t *testing.T) {
	c := newSeveral(t, 3, "min.insync.replicas=1", "offsets.topic.replication.factor=2")
	c.start(0, 1, 2)
	k := c.client()
	c.createPair(k)
	s := c.stream(k, 3)
	adm := kadm.NewClient(k)
	for _, replicas := range [][]int32{{2, 3}, {3, 1}, {1, 2, 3}, {3, 2}, {1}, {2, 1}} {
		c.moves(s)
		var req kadm.AlterPartitionAssignmentsReq
		for p := range int32(3) {
			req.Assign("t", p, replicas)
		}
		if _, err := adm.AlterPartitionAssignments(timeout(t), req); err != nil {
			t.Fatal(err)
		}
		c.eventually("the new replicas", func() bool {
			for _, n := range c.nodes {
				for _, p := range n.metadata.Image().Topic("t").Partitions {
					if p.Changing() || !slices.Equal(p.Replicas, replicas) || (p.Witness() >= 0) != (len(replicas) == 2) {
						return false
					}
				}
			}
			return true
		})
		c.countInSync(k, len(replicas))
		if len(replicas) == 2 { // the loss of any node can be borne
			for i := range 3 {
				c.kill(i)
				c.moves(s)
				c.start(i)
				c.countInSync(k, 2)
			}
		}
	}
	c.check(s)
}

// TestDiskOfAPairIsLost: a node that comes back with an empty disk is a replica, and a witness, anew.
func TestDiskOfAPairIsLost(t *testing.T) {
	for i := range 3 {
		c := newSeveral(t, 3, "min.insync.replicas=1", "offsets.topic.replication.factor=2")
		c.start(0, 1, 2)
		k := c.client()
		c.createPair(k)
		s := c.stream(k, 3)
		c.moves(s)
		c.countInSync(k, 2)
		c.kill(i)
		c.disks[i] = vfs.NewMem()
		c.moves(s)
		c.start(i)
		c.countInSync(k, 2)
		c.moves(s)
		c.check(s)
		for i := range c.nodes {
			c.stop(i)
		}
	}
}
