package load

import (
	"context"
	"fmt"
	"sync"

	"github.com/twmb/franz-go/pkg/kgo"
)

const (
	fetchBytes          = 64 << 20
	fetchPartitionBytes = 4 << 20
)

func consumerOptions() []kgo.Opt {
	return []kgo.Opt{kgo.FetchMaxBytes(fetchBytes), kgo.FetchMaxPartitionBytes(fetchPartitionBytes), kgo.WithPools(&recordPool{}), kgo.KeepControlRecords()}
}

// Consume reads a topic from its start to the end that it has, or so many records, with a share of its partitions for each
// client.
func Consume(ctx context.Context, s *Spec) (Result, error) {
	starts, ends, err := s.offsets(ctx)
	if err != nil {
		return Result{}, err
	}
	ctx, end := context.WithCancel(ctx)
	defer end()
	f := &failure{end: end}
	var readers []*reader
	for i := range s.Connections {
		r := &reader{Spec: s, failure: f, left: map[int32]int64{}}
		from := map[int32]kgo.Offset{}
		for partition, end := range ends {
			if int(partition)%s.Connections == i && starts[partition] < end {
				r.left[partition] = end
				from[partition] = kgo.NewOffset().At(starts[partition])
			}
		}
		if len(from) == 0 {
			continue
		}
		r.client, err = s.Connect(append(consumerOptions(), kgo.ConsumePartitions(map[string]map[int32]kgo.Offset{s.Topic: from}))...)
		if err != nil {
			return Result{}, err
		}
		defer r.client.Close()
		readers = append(readers, r)
	}
	m := newMeter()
	result := s.measured(m, func() {
		var all sync.WaitGroup
		for _, r := range readers {
			r.meter, r.stop = m, end
			all.Go(func() { r.run(ctx) })
		}
		all.Wait()
	})
	return result, f.err()
}

// reader reads what one client has to read.
type reader struct {
	*Spec
	client  *kgo.Client
	meter   *meter
	failure *failure
	stop    context.CancelFunc
	left    map[int32]int64 // the offset to reach in each partition
}

func (r *reader) run(ctx context.Context) {
	for len(r.left) > 0 && ctx.Err() == nil {
		fetches := r.client.PollFetches(ctx)
		for _, e := range fetches.Errors() {
			if ctx.Err() == nil {
				r.failure.set(fmt.Errorf("reading partition %d: %w", e.Partition, e.Err))
			}
		}
		fetches.EachPartition(func(p kgo.FetchTopicPartition) { r.took(p.Partition, p.Records) })
		if r.Records > 0 && r.meter.records.Load() >= r.Records {
			r.stop()
		}
	}
}

func (r *reader) took(partition int32, records []*kgo.Record) {
	size, n := int64(0), int64(0)
	for _, record := range records {
		if !record.Attrs.IsControl() {
			size += int64(len(record.Key) + len(record.Value))
			n++
		}
		if record.Offset+1 >= r.left[partition] {
			delete(r.left, partition)
		}
		record.Recycle()
	}
	r.meter.records.Add(n)
	r.meter.bytes.Add(size)
}

// recordPool lets the client library use its records again.
type recordPool struct{ slices sync.Pool }

func (p *recordPool) GetRecords(n int) []kgo.Record {
	if s, ok := p.slices.Get().(*[]kgo.Record); ok && cap(*s) >= n {
		return (*s)[:0]
	}
	return make([]kgo.Record, 0, n)
}

func (p *recordPool) PutRecords(r []kgo.Record) { p.slices.Put(&r) }
