package runtime

import (
	"context"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/weir/weir/connect/sdk"
)

// Verbatim is a SourceTask whose records are bytes already, as those of another cluster are. Unless the configuration wants them
// transformed or converted, PollVerbatim is called instead of Poll, and the records are sent as they are: no copy of them is made, and
// nothing is done for each of them but handing it to the producer.
type Verbatim interface {
	sdk.SourceTask
	// PollVerbatim waits until there are records, or ctx ends, and gives some. It may give none.
	PollVerbatim(ctx context.Context) ([]Stretch, error)
	// BatchLimit gives how large batches may be that a topic takes (max.message.bytes), if that is known after Start. It is called often, by
	// any goroutine.
	BatchLimit(topic string) (int32, bool)
}

// Stretch is a part of a source partition, in order.
type Stretch struct {
	// Records have the topic and the partition that they go to, the same for all. They are the runtime's from then on. There is at least one.
	Records []*kgo.Record
	// At is where the source is after the last of them.
	At *sdk.Position
	// Landed hears, when all of them and all before them are durable, of the offset that the last of them has in the topic. It may not wait.
	// It is not called if one of them was passed over.
	Landed func(offset int64)
}

// bytesConverter leaves bytes as they are.
const bytesConverter = "org.apache.kafka.connect.converters.ByteArrayConverter"

// verbatim tells whether bytes come out of the pipeline as they are.
func (p *pipeline) verbatim() bool {
	return p.chain.Empty() && p.keyClass == bytesConverter && p.valueClass == bytesConverter && p.headerName == bytesConverter
}

// sendStretch gives records to the producer.
func (s *source) sendStretch(st *Stretch) error {
	if len(st.Records) == 0 {
		panic("BUG: a stretch without records")
	}
	if err := s.uses(st.Records[0].Topic); err != nil {
		return err
	}
	b := s.batch()
	b.stretch = *st
	b.note(st.At)
	b.pending.Store(int32(len(st.Records)))
	s.tracker.add(b)
	s.t.meter.holds()
	for _, r := range st.Records {
		s.client.Produce(s.soft, r, b.promise)
	}
	return nil // b may be in use again already
}

// land tells of a stretch that is durable, and gives how many records and bytes it has.
func (b *batch) land() (records, bytes int64) {
	for _, r := range b.stretch.Records {
		bytes += int64(len(r.Key) + len(r.Value))
	}
	n := len(b.stretch.Records)
	if n > 0 && b.stretch.Landed != nil && !b.broken.Load() {
		b.stretch.Landed(b.stretch.Records[n-1].Offset)
	}
	return int64(n), bytes
}
