package test

import (
	"fmt"
	"os"
	"path/filepath"
	"testing"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// TestTheOffsetsLogStaysSmall commits far more than the log may grow by, and kills the node on the way: what is left is small,
// in Kafka's formats, and says the newest offsets.
func TestTheOffsetsLogStaysSmall(t *testing.T) {
	n := start(t, "offsets.topic.num.partitions=1")
	n.createTopic("orders", 10)
	const rounds, partitions = 1500, 10
	commit := func(c *kgo.Client, group string, at int64) {
		offsets := kadm.Offsets{}
		for p := range int32(partitions) {
			offsets.Add(kadm.Offset{Topic: "orders", Partition: p, At: at, LeaderEpoch: -1, Metadata: "committed by a test of the log"})
		}
		if err := kadm.NewClient(c).CommitAllOffsets(ctx(t), group, offsets); err != nil {
			t.Fatal(err)
		}
	}
	for life := range 3 {
		c := n.client()
		commit(c, "rare", int64(life))
		for i := range rounds {
			commit(c, "busy", int64(life*rounds+i))
		}
		c.Close()
		if life == 1 {
			if err := n.stop(); err != nil {
				t.Fatal(err)
			}
		} else {
			n.kill()
		}
		n.start()
	}
	if size := folderSize(t, filepath.Join(n.dir, "__consumer_offsets-0")); size > 3<<20 {
		t.Errorf("the log has %d bytes", size)
	}
	newest := map[string]int64{}
	c := n.client(kgo.ConsumePartitions(map[string]map[int32]kgo.Offset{"__consumer_offsets": {0: kgo.NewOffset().AtStart()}}))
	until := ctx(t)
	for end, next := n.endOffset("__consumer_offsets"), int64(0); next < end; {
		f := c.PollFetches(until)
		if err := f.Err(); err != nil {
			t.Fatal(err)
		}
		for _, r := range f.Records() {
			next = r.Offset + 1
			k, v := kmsg.NewOffsetCommitKey(), kmsg.NewOffsetCommitValue()
			if err := k.ReadFrom(r.Key); err != nil {
				t.Fatal(err)
			}
			if err := v.ReadFrom(r.Value); err != nil {
				t.Fatal(err)
			}
			newest[fmt.Sprint(k.Group, k.Topic, k.Partition)] = v.Offset
		}
	}
	for p := range partitions {
		if rare, busy := newest[fmt.Sprint("rareorders", p)], newest[fmt.Sprint("busyorders", p)]; rare != 2 || busy != 3*rounds-1 {
			t.Errorf("partition %d: the log ends with offsets %d and %d, not 2 and %d", p, rare, busy, 3*rounds-1)
		}
	}
	commit(c, "rare", 3) // and it goes on
}

func (n *node) endOffset(topic string) int64 {
	n.t.Helper()
	req := kmsg.NewPtrListOffsetsRequest()
	tp, p := kmsg.NewListOffsetsRequestTopic(), kmsg.NewListOffsetsRequestTopicPartition()
	p.Timestamp = -1
	tp.Topic, tp.Partitions = topic, append(tp.Partitions, p)
	req.Topics, req.ReplicaID = append(req.Topics, tp), -1
	resp, err := req.RequestWith(ctx(n.t), n.client())
	if err != nil {
		n.t.Fatal(err)
	}
	return resp.Topics[0].Partitions[0].Offset
}

func folderSize(t *testing.T, dir string) (size int64) {
	t.Helper()
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		info, err := e.Info()
		if err != nil {
			t.Fatal(err)
		}
		size += info.Size()
	}
	return size
}
