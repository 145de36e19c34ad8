package test

import (
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"
)

// TestBehaviour127KillDuringLoad kills the node ten times, or TEST_KILLS, while an idempotent producer writes, and then reads everything: no
// acknowledged record is lost, none is there twice, and no offset was given to two records.
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
	kills := amount(t, "TEST_KILLS", 10)
	for round := range kills {
		before, deadline := count(), time.Now().Add(20*time.Second)
		for count() < before+2000 {
			if time.Now().After(deadline) {
				t.Fatalf("round %d: only %d records were acknowledged", round, count()-before)
			}
			<-time.After(time.Millisecond)
		}
		n.kill()
		n.start()
	}
	close(stop)
	writing.Wait()
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
	t.Logf("%d records acknowledged, %d crashes", len(acked), kills)
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
