package node

import (
	"errors"
	"strings"
	"testing"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/weir/weir/internal/vfs"
)

// TestTheOnlyReplicaIsLost: a partition whose only replica was on a disk that is lost has no leader, and says so, until somebody asks for an
// unclean election. Then it begins anew, and clients that knew it before go on. A partition whose replica only is away is never given up.
func TestTheOnlyReplicaIsLost(t *testing.T) {
	c := newSeveral(t, 3)
	c.start(0, 1, 2)
	c.meet()
	k := c.client(kgo.AllowAutoTopicCreation())
	adm := kadm.NewClient(k)
	one := map[string]*string{"min.insync.replicas": kadm.StringPtr("1")}
	if _, err := adm.CreateTopic(timeout(t), 3, 1, one, "t"); err != nil {
		t.Fatal(err)
	}
	produce := func(p int32, value string) *kgo.Record {
		t.Helper()
		r := &kgo.Record{Partition: p, Value: []byte(value)}
		if err := k.ProduceSync(timeout(t), r).FirstErr(); err != nil {
			t.Fatalf("%s to partition %d: %v", value, p, err)
		}
		return r
	}
	lost, victim := int32(-1), 2
	for p := range int32(3) {
		for range 5 {
			produce(p, "before")
		}
		if c.topic(k, "t").Partitions[p].Replicas[0] == int32(victim+1) {
			lost = p
		}
	}
	elect := func() error {
		t.Helper()
		asked := kadm.TopicsSet{}
		asked.Add("t", lost)
		results, err := adm.ElectLeaders(timeout(t), kadm.ElectLiveReplica, asked)
		if err != nil {
			t.Fatal(err)
		}
		return results["t"][lost].Err
	}
	led := func() bool { return c.topic(k, "t").Partitions[lost].Leader >= 0 }

	c.kill(victim)
	c.eventually("nobody to lead", func() bool { return !led() })
	if err := elect(); !errors.Is(err, kerr.EligibleLeadersNotAvailable) {
		t.Errorf("an election while the replica is away: %v", err)
	}
	c.start(victim)
	c.eventually("the leader that came back", led)
	if err := elect(); !errors.Is(err, kerr.ElectionNotNeeded) {
		t.Errorf("an election where there is a leader: %v", err)
	}

	allKnow := func() {
		t.Helper()
		c.eventually("all to know that it has no leader", func() bool {
			for i := range c.nodes {
				one := c.client(kgo.SeedBrokers(c.ports[i]))
				leads := c.topic(one, "t").Partitions[lost].Leader
				one.Close()
				if leads >= 0 {
					return false
				}
			}
			return true
		})
	}
	for round := range 2 { // also what began anew may be lost
		c.kill(victim)
		c.eventually("the others to know that it is gone", func() bool {
			return !c.nodes[0].peers.Alive(int32(victim+1)) && !c.nodes[1].peers.Alive(int32(victim+1))
		})
		c.disks[victim] = vfs.NewMem()
		c.start(victim)
		c.eventually("all brokers", func() bool {
			m, err := adm.BrokerMetadata(timeout(t))
			return err == nil && len(m.Brokers) == 3
		})
		allKnow()
		c.kill(round) // a node that has heard nothing knows it, too
		c.start(round)
		allKnow()
		if said := c.logs[victim].String(); strings.Count(said, "weir partition elect t:") != round+1 {
			t.Errorf("what to do was not said:\n%s", said)
		}
		c.eventually("an election", func() bool { return elect() == nil })
		if r := produce(lost, "after"); r.Offset != 0 {
			t.Errorf("the first record is at offset %d", r.Offset)
		}
		if said := c.logs[victim].String(); strings.Count(said, "begins anew") != round+1 {
			t.Errorf("the loss was not told:\n%s", said)
		}
		c.kill(victim)
		c.start(victim)
		if r := produce(lost, "again"); r.Offset != 1 {
			t.Errorf("the second record is at offset %d", r.Offset)
		}
	}
	for p := range int32(3) {
		want := int64(6)
		if p == lost {
			want = 3
		}
		if r := produce(p, "last"); r.Offset != want-1 {
			t.Errorf("the last record of partition %d is at offset %d", p, r.Offset)
		}
	}
}
