package main

import (
	"context"
	"fmt"
	"math/rand/v2"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/weir/weir/test/chaos/history"
)

const group = "chaos"

// took takes down what a poll has brought.
func (w *workload) took(client string, mode history.Mode, fetches kgo.Fetches) {
	fetches.EachPartition(func(p kgo.FetchTopicPartition) {
		if len(p.Records) == 0 {
			return
		}
		e := history.Event{Client: client, Kind: history.Poll, Phase: history.OK, Mode: mode, Partition: p.Partition}
		for _, r := range p.Records {
			e.Reads = append(e.Reads, history.Read{Offset: r.Offset, Value: valueOf(r.Value)})
		}
		w.recorder.add(e)
	})
	fetches.EachError(func(_ string, partition int32, err error) {
		w.note("%s, reading partition %d: %v", client, partition, err)
	})
}

// reader gives a client that reads all partitions from the first offset on, and goes nowhere else by itself.
func (w *workload) reader(name string) (*kgo.Client, error) {
	from := map[int32]kgo.Offset{}
	for p := range w.partitions {
		from[int32(p)] = kgo.NewOffset().At(0)
	}
	return kgo.NewClient(append(clientOptions(w.cluster), kgo.ClientID(name), kgo.ConsumePartitions(map[string]map[int32]kgo.Offset{topic: from}),
		kgo.ConsumeResetOffset(kgo.NoResetOffset()), kgo.FetchMaxWait(500*time.Millisecond))...)
}

// read follows the log until ctx ends.
func (w *workload) read(ctx context.Context, name string) error {
	client, err := w.reader(name)
	if err != nil {
		return err
	}
	defer client.Close()
	for ctx.Err() == nil {
		w.took(name, history.Assign, withoutTimeouts(client.PollFetches(ctx), ctx))
	}
	return nil
}

// readAll reads the log from its begin to its end.
func (w *workload) readAll(ctx context.Context, name string) error {
	var ends map[int32]int64
	asking, cancel := context.WithTimeout(ctx, recoverMost)
	defer cancel()
	if err := eventually(asking, func() (err error) { ends, err = w.ends(asking); return err }); err != nil { // leaderships may still be given back
		return fmt.Errorf("asking for the ends of the log: %w", err)
	}
	client, err := w.reader(name)
	if err != nil {
		return err
	}
	defer client.Close()
	for {
		left := map[int32]int64{}
		for p, end := range ends {
			if end > 0 {
				left[p] = end
			}
		}
		if len(left) == 0 {
			return nil
		}
		fetches := client.PollFetches(ctx)
		if ctx.Err() != nil {
			return fmt.Errorf("%s did not come to the ends of the log; missing (partition: end): %v", name, left)
		}
		w.took(name, history.Final, fetches)
		fetches.EachRecord(func(r *kgo.Record) {
			if r.Offset >= ends[r.Partition]-1 {
				delete(ends, r.Partition)
			}
		})
	}
}

const (
	commitEvery  = 300 * time.Millisecond
	commitMost   = 10 * time.Second
	askEvery     = 500 * time.Millisecond
	askMost      = 5 * time.Second
	memberLeast  = 5 * time.Second // after which a member leaves and comes again
	memberSpread = 10 * time.Second
)

// member is in the group until ctx ends. Now and then it leaves and comes again, so that partitions change hands.
func (w *workload) member(ctx context.Context, name string, random *rand.Rand) error {
	for life := 0; ctx.Err() == nil; life++ {
		ends, cancel := context.WithTimeout(ctx, memberLeast+time.Duration(random.Int64N(int64(memberSpread))))
		err := w.live(ends, fmt.Sprintf("%s-%d", name, life))
		cancel()
		if err != nil {
			return err
		}
	}
	return nil
}

func (w *workload) live(ctx context.Context, name string) error {
	client, err := kgo.NewClient(append(clientOptions(w.cluster), kgo.ClientID(name), kgo.ConsumerGroup(group), kgo.ConsumeTopics(topic),
		kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()), kgo.DisableAutoCommit(), kgo.BlockRebalanceOnPoll(),
		kgo.SessionTimeout(10*time.Second), kgo.HeartbeatInterval(500*time.Millisecond), kgo.FetchMaxWait(500*time.Millisecond))...)
	if err != nil {
		return err
	}
	defer client.CloseAllowingRebalance()
	for ctx.Err() == nil {
		until, cancel := context.WithTimeout(ctx, commitEvery)
		w.took(name, history.Subscribe, withoutTimeouts(client.PollFetches(until), until))
		cancel()
		w.commit(name, client)
		client.AllowRebalance()
	}
	return nil
}

// withoutTimeouts drops what a poll says when its time is over.
func withoutTimeouts(f kgo.Fetches, ctx context.Context) kgo.Fetches {
	if ctx.Err() != nil && f.Err0() != nil {
		return nil
	}
	return f
}

// commit commits what a member has read.
func (w *workload) commit(name string, client *kgo.Client) {
	offsets := client.UncommittedOffsets()
	if len(offsets) == 0 {
		return
	}
	ends := map[int32]func(history.Phase, int64, error){}
	for p, o := range offsets[topic] {
		ends[p] = w.recorder.begin(history.Event{Client: name, Kind: history.Commit, Partition: p, Offset: o.Offset})
	}
	ctx, cancel := context.WithTimeout(context.Background(), commitMost)
	defer cancel()
	client.CommitOffsetsSync(ctx, offsets, func(_ *kgo.Client, _ *kmsg.OffsetCommitRequest, resp *kmsg.OffsetCommitResponse, err error) {
		if err != nil {
			return // all of them stay unknown
		}
		for _, t := range resp.Topics {
			for _, p := range t.Partitions {
				// The client tries more than once, so an error says nothing about the tries before.
				if err := kerr.ErrorForCode(p.ErrorCode); err != nil {
					ends[p.Partition](history.Info, 0, err)
				} else {
					ends[p.Partition](history.OK, 0, nil)
				}
			}
		}
	})
}

// ask asks again and again for the offsets that the group has committed.
func (w *workload) ask(ctx context.Context, name string) error {
	for sleep(ctx, askEvery) == nil {
		w.askOnce(ctx, name)
	}
	return nil
}

func (w *workload) askOnce(ctx context.Context, name string) error {
	ctx, cancel := context.WithTimeout(ctx, askMost)
	defer cancel()
	var ends []func(history.Phase, int64, error)
	for p := range w.partitions {
		ends = append(ends, w.recorder.begin(history.Event{Client: name, Kind: history.Committed, Partition: int32(p)}))
	}
	offsets, err := w.cluster.admin.FetchOffsets(ctx, group)
	if err != nil {
		return err
	}
	for p, end := range ends {
		o, ok := offsets.Lookup(topic, int32(p))
		switch {
		case !ok:
			end(history.OK, -1, nil)
		case o.Err != nil:
			end(history.Info, 0, o.Err)
		default:
			end(history.OK, o.At, nil)
		}
	}
	return nil
}
