package runtime

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/weir/weir/connect/sdk"
	"github.com/weir/weir/weirtest"
)

// ordered is a sink that holds what it is given against the order of the topic.
type ordered struct {
	mu    sync.Mutex
	rnd   *rand.Rand
	next  map[sdk.TopicPartition]int64
	total int
	wrong []string
	back  int // how often it goes back
}

func (o *ordered) put(c sdk.SinkContext, records []*sdk.Record) error {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.rnd.IntN(8) == 0 {
		return sdk.Retry(errors.New("the server is down"))
	}
	for _, r := range records {
		at := o.next[r.From]
		if fmt.Sprint(r.Value) != fmt.Sprint(r.Offset) || r.Offset != at {
			o.wrong = append(o.wrong, fmt.Sprintf("%v at offset %d has %v, where %d is due", r.From, r.Offset, r.Value, at))
		}
		o.next[r.From] = r.Offset + 1
		o.total++
	}
	if o.back > 0 && o.rnd.IntN(8) == 0 {
		o.back--
		for tp, at := range o.next {
			if records[0].From == tp {
				to := max(0, at-int64(o.rnd.IntN(20)))
				o.total -= int(at - to)
				o.next[tp] = to
				c.Rewind(map[sdk.TopicPartition]int64{tp: to})
			}
		}
	}
	return nil
}

// fill gives each partition of the topic in records that say their offsets.
func (p *place) fill(partitions, each int) {
	p.t.Helper()
	c, err := kgo.NewClient(kgo.SeedBrokers(p.node.Addr()), kgo.DefaultProduceTopic("in"), kgo.RecordPartitioner(kgo.ManualPartitioner()))
	if err != nil {
		p.t.Fatal(err)
	}
	defer c.Close()
	var records []*kgo.Record
	for n := range each {
		for part := range partitions {
			records = append(records, &kgo.Record{Partition: int32(part), Value: fmt.Append(nil, n)})
		}
	}
	if err := c.ProduceSync(p.t.Context(), records...).FirstErr(); err != nil {
		p.t.Fatal(err)
	}
}

// TestReadAhead: what is read while records are put comes in its order, once, whatever happens meanwhile: errors that pass, tasks that come and
// go, and a task that goes back.
func TestReadAhead(t *testing.T) {
	const partitions, each = 4, 700
	for name, back := range map[string]int{"forward": 0, "and back": 10} {
		t.Run(name, func(t *testing.T) {
			p := newPlace(t, nil, weirtest.Topic("in", partitions))
			p.fill(partitions, each)
			o := &ordered{rnd: rand.New(rand.NewPCG(1, uint64(back))), next: map[sdk.TopicPartition]int64{}, back: back}
			spec := func(task int) Spec {
				return Spec{Connector: "c", Task: task, Type: &retrying{fakeSink: fakeSink{put: o.put}, most: -1, wait: time.Millisecond},
					Config: with(sinkOf, "consumer.override.max.poll.records", "7"), Status: func(Status) {}}
			}
			done := func(part int) func() bool {
				return func() bool {
					o.mu.Lock()
					defer o.mu.Unlock()
					return o.total >= partitions*each*part/10 || len(o.wrong) > 0
				}
			}
			one := p.r.Start(spec(0))
			for part := 1; part <= 8; part += 4 { // another task comes and goes
				p.eventually("records", done(part))
				two := p.r.Start(spec(1))
				p.eventually("records", done(part+1))
				stop(two)
			}
			p.eventually("all records", done(10))
			stop(one)
			for _, wrong := range o.wrong {
				t.Error(wrong)
			}
			if o.total != partitions*each {
				t.Errorf("%d records came", o.total)
			}
		})
	}
}
