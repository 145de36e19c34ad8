package weirtest_test

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/weir/weir/weirtest"
)

// These tests are what users of the package write: of their own code, which is here a client that is set up as theirs would
// be. Those that franz-go has for its client, and runs on kfake, are named.

// minAge makes clients ask at once again where their partitions are.
const minAge = 10 * time.Millisecond

func newClient(t *testing.T, node *weirtest.Node, opts ...kgo.Opt) *kgo.Client {
	t.Helper()
	client, err := kgo.NewClient(append([]kgo.Opt{
		kgo.SeedBrokers(node.Addr()), kgo.MetadataMinAge(minAge), kgo.RetryBackoffFn(func(int) time.Duration { return minAge }),
	}, opts...)...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(client.Close)
	return client
}

// within is a context for what should come at once.
func within(t *testing.T) context.Context {
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	t.Cleanup(cancel)
	return ctx
}

// produceOrders produces orders with these numbers.
func produceOrders(t *testing.T, client *kgo.Client, from, to int) {
	t.Helper()
	var records []*kgo.Record
	for i := from; i < to; i++ {
		records = append(records, &kgo.Record{Topic: "orders", Key: fmt.Append(nil, i), Value: fmt.Append(nil, i)})
	}
	if err := client.ProduceSync(within(t), records...).FirstErr(); err != nil {
		t.Fatal(err)
	}
}

// bill takes orders off the topic as a member of a group, and commits what it has handed on, until the test ends.
func bill(t *testing.T, node *weirtest.Node, billed chan<- string) {
	client := newClient(t, node, kgo.ConsumerGroup("billing"), kgo.ConsumeTopics("orders"),
		kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()), kgo.DisableAutoCommit())
	ctx, stop := context.WithCancel(within(t))
	var running sync.WaitGroup
	running.Go(func() {
		for ctx.Err() == nil {
			for _, r := range client.PollFetches(ctx).Records() {
				billed <- string(r.Value)
			}
			_ = client.CommitUncommittedOffsets(ctx) // if it fails, orders are billed again
		}
	})
	t.Cleanup(func() { stop(); running.Wait() })
}

// TestGroupOverAKill: two members of a group share a topic, and the broker is killed in between. All orders are billed, and
// those that were committed before are not billed again.
func TestGroupOverAKill(t *testing.T) {
	const half = 100
	node := weirtest.Start(t, weirtest.Topic("orders", 4))
	producer := newClient(t, node)
	produceOrders(t, producer, 0, half)
	billed := make(chan string, 10*half)
	for range 2 {
		bill(t, node, billed)
	}
	for seen := map[string]bool{}; len(seen) < half; {
		seen[<-billed] = true
	}
	admin := kadm.NewClient(producer)
	for sum := int64(0); sum < half; {
		sum = 0
		offsets, err := admin.FetchOffsets(within(t), "billing")
		if err != nil {
			t.Fatal(err)
		}
		offsets.Each(func(o kadm.OffsetResponse) { sum += o.At })
	}

	node.Kill()
	for len(billed) > 0 {
		<-billed // came again before it was committed
	}
	node.Restart()
	produceOrders(t, producer, half, 2*half)
	for seen := map[string]bool{}; len(seen) < half; {
		order := <-billed
		if n, err := strconv.Atoi(order); err != nil || n < half {
			t.Fatalf("order %s was billed again", order)
		}
		seen[order] = true
	}
}

// TestProduceUnknownFailLimitNotResetByOtherErrors is franz-go's: a topic that is unknown three times is given up, also if
// other errors come in between.
func TestProduceUnknownFailLimitNotResetByOtherErrors(t *testing.T) {
	node := weirtest.Start(t, weirtest.Topic("foo", 1))
	var calls atomic.Int32
	hook := node.OnRequest(kmsg.Produce, func(weirtest.Request) weirtest.Action {
		if calls.Add(1)%2 == 0 {
			return weirtest.Fail(kerr.NotEnoughReplicas)
		}
		return weirtest.Fail(kerr.UnknownTopicOrPartition)
	})
	client := newClient(t, node, kgo.DefaultProduceTopic("foo"), kgo.UnknownTopicRetries(2))
	err := client.ProduceSync(within(t), kgo.StringRecord("x")).FirstErr()
	if !errors.Is(err, kerr.UnknownTopicOrPartition) || hook.Hits() != 5 {
		t.Fatalf("%v after %d requests", err, hook.Hits())
	}
}

// TestFirstMetadataPartitionErrors is franz-go's: a client that first learns that a topic has no leader asks again.
func TestFirstMetadataPartitionErrors(t *testing.T) {
	node := weirtest.Start(t, weirtest.Topic("orders", 1))
	var told atomic.Bool
	node.Every(kmsg.Metadata, weirtest.Edit(func(r kmsg.Response) {
		for _, topic := range r.(*kmsg.MetadataResponse).Topics {
			for i := range topic.Partitions {
				if !told.Swap(true) {
					topic.Partitions[i].ErrorCode, topic.Partitions[i].Leader = kerr.LeaderNotAvailable.Code, -1
				}
			}
		}
	}))
	produceOrders(t, newClient(t, node), 0, 1)
	if !told.Load() {
		t.Fatal("the client did not ask where the topic is")
	}
}

// TestMetadataZeroPartitionsNoFakeSuccess is franz-go's: a topic without partitions takes no records.
func TestMetadataZeroPartitionsNoFakeSuccess(t *testing.T) {
	node := weirtest.Start(t, weirtest.Topic("orders", 1))
	node.Every(kmsg.Metadata, weirtest.Edit(func(r kmsg.Response) {
		for i := range r.(*kmsg.MetadataResponse).Topics {
			r.(*kmsg.MetadataResponse).Topics[i].Partitions = nil
		}
	}))
	client := newClient(t, node, kgo.UnknownTopicRetries(1), kgo.DefaultProduceTopic("orders"), kgo.MetadataMaxAge(50*time.Millisecond))
	if err := client.ProduceSync(within(t), kgo.StringRecord("x")).FirstErr(); !errors.Is(err, kerr.UnknownTopicOrPartition) {
		t.Fatal(err)
	}
}

// TestForgottenMember: a member that the group no longer knows loses its partitions, and gets them again.
func TestForgottenMember(t *testing.T) {
	node := weirtest.Start(t, weirtest.Topic("orders", 2))
	happened := make(chan string, 10)
	client := newClient(t, node, kgo.ConsumerGroup("billing"), kgo.ConsumeTopics("orders"), kgo.HeartbeatInterval(100*time.Millisecond),
		kgo.OnPartitionsAssigned(func(_ context.Context, _ *kgo.Client, p map[string][]int32) {
			happened <- fmt.Sprint("got ", len(p["orders"]))
		}),
		kgo.OnPartitionsLost(func(_ context.Context, _ *kgo.Client, p map[string][]int32) {
			happened <- fmt.Sprint("lost ", len(p["orders"]))
		}))
	polling, stop := context.WithCancel(within(t))
	defer stop()
	go client.PollFetches(polling)
	for _, want := range []string{"got 2", "lost 2", "got 2"} {
		if got := <-happened; got != want {
			t.Fatalf("it %s, and should have %s", got, want)
		}
		if want == "got 2" {
			node.Next(1, kmsg.Heartbeat, weirtest.Fail(kerr.UnknownMemberID))
		}
	}
}

// TestSlowBroker: a client gives a broker up that does not answer in time, and comes through when it does again.
func TestSlowBroker(t *testing.T) {
	node := weirtest.Start(t, weirtest.Topic("orders", 1))
	client := newClient(t, node, kgo.ProduceRequestTimeout(100*time.Millisecond), kgo.RequestTimeoutOverhead(100*time.Millisecond))
	slow := node.Next(1, kmsg.Produce, weirtest.Delay(time.Hour))
	produceOrders(t, client, 0, 1)
	if values := node.Consume("orders", 1); slow.Hits() != 1 || values[0] != "0" {
		t.Fatalf("%d slow requests; then %v", slow.Hits(), values)
	}
}
