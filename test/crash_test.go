package test

import (
	"context"
	"fmt"
	"maps"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// TestBehaviour127KillDuringLoad kills the node ten times, or TEST_KILLS, while an idempotent producer writes and a group reads and commits, and then
// reads everything: no acknowledged record is lost, none is there twice, and no offset was given to two records. After each
// kill the group's offsets are those that were acknowledged, or sent after them, and the group goes on.
func TestBehaviour127KillDuringLoad(t *testing.T) {
	n := start(t)
	const partitions = 3
	n.createTopic("load", partitions)
	c := n.client(kgo.DefaultProduceTopic("load"), kgo.RecordPartitioner(kgo.ManualPartitioner()), kgo.RecordDeliveryTimeout(time.Minute),
		kgo.RetryBackoffFn(func(int) time.Duration { return 10 * time.Millisecond }), kgo.MaxBufferedRecords(500),
		kgo.ProducerBatchMaxBytes(20_000))
	type place struct {
		partition int32
		offset    int64
	}
	var mu sync.Mutex
	acked := map[place]string{}
	var failures []error
	stop := make(chan struct{})
	var writing sync.WaitGroup
	writing.Go(func() {
		for i := 0; ; i++ {
			select {
			case <-stop:
				return
			default:
			}
			r := &kgo.Record{Partition: int32(i % partitions), Value: fmt.Appendf(nil, "%d-%0100d", i, i)}
			c.Produce(ctx(t), r, func(r *kgo.Record, err error) {
				mu.Lock()
				defer mu.Unlock()
				if err != nil {
					failures = append(failures, err)
					return
				}
				at := place{r.Partition, r.Offset}
				if before, twice := acked[at]; twice {
					failures = append(failures, fmt.Errorf("offset %v was given to %.20s and %.20s", at, before, r.Value))
				}
				acked[at] = string(r.Value)
			})
		}
	})
	count := func() int {
		mu.Lock()
		defer mu.Unlock()
		return len(acked)
	}
	group := n.newCommitter("readers", "load")
	kills := amount(t, "TEST_KILLS", 10)
	for round := range kills {
		records, commits := count(), group.count()
		until(t, fmt.Sprintf("there are more records and commits, after %d kills", round), func() bool { return count() >= records+2000 && group.count() > commits })
		n.kill()
		n.start()
		group.check()
	}
	close(stop)
	writing.Wait()
	group.stop()
	if err := c.Flush(ctx(t)); err != nil {
		t.Fatal(err)
	}
	for _, err := range failures {
		t.Error(err)
	}
	values := map[string]int{}
	at := map[place]string{}
	for _, r := range n.consume("load", len(acked)) {
		values[string(r.Value)]++
		at[place{r.Partition, r.Offset}] = string(r.Value)
	}
	for v, times := range values {
		if times > 1 {
			t.Errorf("%.20s is there %d times", v, times)
		}
	}
	for p, v := range acked {
		if at[p] != v {
			t.Errorf("offset %v holds %.20q, acknowledged was %.20q", p, at[p], v)
		}
	}
	t.Logf("%d records and %d commits acknowledged, %d crashes", len(acked), group.count(), kills)
}

// committer is the one member of a group, which commits what it reads.
type committer struct {
	n     *node
	group string
	topic string
	stop  func()

	mu          sync.Mutex
	sent, acked map[int32]int64 // offsets by partition
	commits     int             // that were acknowledged
}

func (n *node) newCommitter(group, topic string) *committer {
	g := &committer{n: n, group: group, topic: topic, sent: map[int32]int64{}, acked: map[int32]int64{}}
	c := n.client(kgo.ConsumerGroup(group), kgo.ConsumeTopics(topic), kgo.DisableAutoCommit(), kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()),
		kgo.RetryBackoffFn(func(int) time.Duration { return 10 * time.Millisecond }))
	running, cancel := context.WithCancel(context.Background())
	var reading sync.WaitGroup
	reading.Go(func() {
		for running.Err() == nil {
			c.PollFetches(running).EachPartition(func(p kgo.FetchTopicPartition) {
				if len(p.Records) > 0 {
					g.commit(running, c, p.Partition, p.Records[len(p.Records)-1].Offset+1)
				}
			})
		}
	})
	g.stop = func() {
		cancel()
		reading.Wait()
	}
	n.t.Cleanup(g.stop)
	return g
}

func (g *committer) commit(ctx context.Context, c *kgo.Client, partition int32, offset int64) {
	g.mu.Lock()
	if offset < g.acked[partition] {
		g.n.t.Errorf("the group reads partition %d before %d, and %d was committed", partition, offset, g.acked[partition])
	}
	g.sent[partition] = max(g.sent[partition], offset)
	g.mu.Unlock()
	offsets := map[string]map[int32]kgo.EpochOffset{g.topic: {partition: {Epoch: -1, Offset: offset}}}
	c.CommitOffsetsSync(ctx, offsets, func(_ *kgo.Client, _ *kmsg.OffsetCommitRequest, resp *kmsg.OffsetCommitResponse, err error) {
		if err != nil || resp.Topics[0].Partitions[0].ErrorCode != 0 {
			return // it is killed, or the group is about to begin anew
		}
		g.mu.Lock()
		defer g.mu.Unlock()
		g.acked[partition] = offset
		g.commits++
	})
}

// count is the number of acknowledged commits.
func (g *committer) count() int {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.commits
}

// check compares the group's offsets with what was acknowledged.
func (g *committer) check() {
	g.n.t.Helper()
	g.mu.Lock()
	acked := maps.Clone(g.acked)
	g.mu.Unlock()
	offsets, err := kadm.NewClient(g.n.client()).FetchOffsets(ctx(g.n.t), g.group)
	if err != nil {
		g.n.t.Fatal(err)
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	for partition, at := range acked {
		if got, _ := offsets.Lookup(g.topic, partition); got.At < at || got.At > g.sent[partition] {
			g.n.t.Errorf("the group is at %d of partition %d; %d was acknowledged, %d sent", got.At, partition, at, g.sent[partition])
		}
	}
}

// TestDeleteUnderLoad deletes and makes topics again while they, and another, are written to without pause.
func TestDeleteUnderLoad(t *testing.T) {
	n := start(t, "auto.create.topics.enable=false")
	n.createTopic("steady", 2)
	steady := n.client(kgo.DefaultProduceTopic("steady"))
	stop := make(chan struct{})
	var writing sync.WaitGroup
	var sent atomic.Int64
	writing.Go(func() {
		for {
			select {
			case <-stop:
				return
			default:
			}
			if err := steady.ProduceSync(ctx(t), kgo.StringRecord("on and on")).FirstErr(); err != nil {
				t.Error(err)
				return
			}
			sent.Add(1)
		}
	})
	admin := kadm.NewClient(n.client())
	for range 15 {
		n.createTopic("fleeting", 3)
		c := n.client(kgo.DefaultProduceTopic("fleeting"), kgo.UnknownTopicRetries(0), kgo.RecordRetries(0), kgo.DisableIdempotentWrite())
		before := sent.Load()
		for range 2000 {
			c.Produce(ctx(t), kgo.StringRecord("for a while"), nil)
		}
		if _, err := admin.DeleteTopics(ctx(t), "fleeting"); err != nil {
			t.Fatal(err)
		}
		for deadline := time.Now().Add(10 * time.Second); sent.Load() < before+10; {
			if time.Now().After(deadline) {
				t.Fatal("writing to the other topic has stopped")
			}
			<-time.After(time.Millisecond)
		}
		c.Close()
	}
	close(stop)
	writing.Wait()
	if got := n.consume("steady", int(sent.Load())); len(got) < int(sent.Load()) {
		t.Fatalf("%d of %d records", len(got), sent.Load())
	}
}
