package load

import (
	"bytes"
	"context"
	crand "crypto/rand"
	"encoding/binary"
	"fmt"
	"sync"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"
)

// runKeyBytes is the size of the key that tells a run's records from those of others.
const runKeyBytes = 8

// dueKey makes the key of a record: that of the run, and when the record was due.
func dueKey(run []byte, due int64) []byte {
	return binary.BigEndian.AppendUint64(append(make([]byte, 0, runKeyBytes+8), run...), uint64(due))
}

// Latency writes records at a rate while a consumer reads them, and measures both: until a record is acknowledged, and until
// it is read.
func Latency(ctx context.Context, s *Spec) (Result, error) {
	p, err := newProducers(ctx, s)
	if err != nil {
		return Result{}, err
	}
	defer p.close()
	c, err := newEndToEnd(ctx, s)
	if err != nil {
		return Result{}, err
	}
	reading, stop := context.WithCancel(ctx)
	var read sync.WaitGroup
	read.Go(func() { c.read(reading, &p.failure) })
	defer func() {
		stop()
		read.Wait()
		c.client.Close()
	}()
	p.warmUp()
	m := newMeter()
	result := s.measured(m, func() {
		p.run(m, s.Duration, s.Records, c.key)
		if p.failure.err() == nil {
			p.failure.set(c.await(ctx, m.records.Load(), s.Timeout))
		}
	})
	result.EndToEnd = &c.latencies
	return result, p.failure.err()
}

// endToEnd reads a run's records.
type endToEnd struct {
	client    *kgo.Client
	key       []byte
	latencies Histogram
	more      chan struct{}
}

func newEndToEnd(ctx context.Context, s *Spec) (*endToEnd, error) {
	c := &endToEnd{key: make([]byte, runKeyBytes), more: make(chan struct{}, 1)}
	_, _ = crand.Read(c.key) // does not fail
	_, ends, err := s.offsets(ctx)
	if err != nil {
		return nil, err
	}
	from := map[int32]kgo.Offset{}
	for partition, end := range ends {
		from[partition] = kgo.NewOffset().At(end)
	}
	c.client, err = s.Connect(append(consumerOptions(), kgo.ConsumePartitions(map[string]map[int32]kgo.Offset{s.Topic: from}))...)
	return c, err
}

func (c *endToEnd) read(ctx context.Context, f *failure) {
	for ctx.Err() == nil {
		fetches := c.client.PollFetches(ctx)
		t := now()
		for _, e := range fetches.Errors() {
			if ctx.Err() == nil {
				f.set(fmt.Errorf("reading partition %d: %w", e.Partition, e.Err))
			}
		}
		fetches.EachRecord(func(r *kgo.Record) {
			if len(r.Key) == runKeyBytes+8 && bytes.Equal(r.Key[:runKeyBytes], c.key) {
				c.latencies.Add(t - int64(binary.BigEndian.Uint64(r.Key[runKeyBytes:])))
			}
			r.Recycle()
		})
		select {
		case c.more <- struct{}{}:
		default:
		}
	}
}

// await waits until so many records are read.
func (c *endToEnd) await(ctx context.Context, records int64, timeout time.Duration) error {
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	for c.latencies.Count() < records {
		select {
		case <-c.more:
		case <-ctx.Done():
			return fmt.Errorf("of %d acknowledged records only %d could be read", records, c.latencies.Count())
		}
	}
	return nil
}

// offsets gives the first offsets of the topic's partitions, and those after their last records.
func (s *Spec) offsets(ctx context.Context) (starts, ends map[int32]int64, err error) {
	client, err := s.Connect()
	if err != nil {
		return nil, nil, err
	}
	defer client.Close()
	admin := kadm.NewClient(client)
	list := func(of func(context.Context, ...string) (kadm.ListedOffsets, error)) map[int32]int64 {
		if err != nil {
			return nil
		}
		listed, listErr := of(ctx, s.Topic)
		if err = listErr; err == nil {
			err = listed.Error()
		}
		all := map[int32]int64{}
		for partition, offset := range listed[s.Topic] {
			all[partition] = offset.Offset
		}
		return all
	}
	return list(admin.ListStartOffsets), list(admin.ListEndOffsets), err
}
