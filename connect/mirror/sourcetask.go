package mirror

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/weir/weir/connect/runtime"
	"github.com/weir/weir/connect/sdk"
)

// sourceTask copies some partitions.
type sourceTask struct {
	*options
	logger   *slog.Logger
	clusters *clusters
	consumer *kgo.Client
	syncs    *syncWriter // nil: none are written
	parts    map[sdk.TopicPartition]*part
	limits   map[string]int32 // max.message.bytes of copies
	heard    time.Time        // when the source answered last
	out      []runtime.Stretch
}

// part is a partition that is copied.
type part struct {
	remote string
	id     string         // its topic's; "": not known
	at     map[string]any // as a source partition
}

// Start implements sdk.SourceTask.
func (t *sourceTask) Start(ctx context.Context, c sdk.SourceContext, v sdk.Values) (err error) {
	t.options, t.logger, t.parts = read(v), c.Logger(), map[sdk.TopicPartition]*part{}
	own, err := assigned(v.List("task.assigned.partitions"))
	if err != nil {
		return err
	}
	if t.clusters, err = dial(t.options); err != nil {
		return err
	}
	if err := t.ensure(ctx, own); err != nil {
		return err
	}
	if t.limits, err = t.clusters.limits(ctx, own); err != nil {
		return err
	}
	ids := map[string]string{}
	for _, name := range v.List("task.assigned.topics") {
		topic, id, _ := strings.Cut(name, ":")
		ids[topic] = id
	}
	from := map[string]map[int32]kgo.Offset{}
	for _, tp := range own {
		p := &part{t.policy.remote(tp.Topic), ids[tp.Topic], map[string]any{"cluster": t.policy.source, "topic": tp.Topic, "partition": int64(tp.Partition)}}
		t.parts[tp] = p
		kept, err := c.Position(ctx, p.at)
		if err != nil {
			return err
		}
		if from[tp.Topic] == nil {
			from[tp.Topic] = map[int32]kgo.Offset{}
		}
		from[tp.Topic][tp.Partition] = t.begin(p, kept)
	}
	if t.Bool("emit.offset-syncs.enabled") {
		if t.syncs, err = newSyncWriter(ctx, t.clusters, t.logger); err != nil {
			return err
		}
	}
	t.heard = time.Now()
	t.consumer, err = t.connect("source", "consumer", kgo.ConsumePartitions(from), kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()),
		kgo.FetchMaxWait(500*time.Millisecond), kgo.FetchMaxBytes(16<<20), kgo.FetchMaxPartitionBytes(2<<20), kgo.MaxConcurrentFetches(4))
	return err
}

// begin gives where to go on with a partition of which this is kept; nil: it was never copied. A position in a topic that was deleted and
// made again since means nothing in the new one, which is copied from its start. MirrorMaker's positions do not say which topic it was.
func (t *sourceTask) begin(p *part, kept map[string]any) kgo.Offset {
	if was, _ := kept[topicID].(string); was != "" && p.id != "" && was != p.id {
		t.logger.Warn("a topic was made again in the source; it is copied from its start", "copy", p.remote)
		return kgo.NewOffset().AtStart()
	}
	if last, ok := sdk.Int64Of(kept, "offset"); ok {
		return kgo.NewOffset().At(last + 1)
	}
	for _, name := range []string{"source.consumer.auto.offset.reset", "consumer.auto.offset.reset"} {
		if value, set := t.Map()[name]; set {
			if value == "latest" {
				return kgo.NewOffset().AtEnd()
			}
			break
		}
	}
	return kgo.NewOffset().AtStart()
}

// topicID is what positions say besides what MirrorMaker's do.
const topicID = "topicId"

// position is where the source is after a record.
func (p *part) position(offset int64) *sdk.Position {
	at := map[string]any{"offset": offset}
	if p.id != "" {
		at[topicID] = p.id
	}
	return &sdk.Position{Partition: p.at, Offset: at}
}

// ensure sees that what this task copies to is there, should it have been deleted since the work was divided.
func (t *sourceTask) ensure(ctx context.Context, own []sdk.TopicPartition) error {
	least := map[string]topic{}
	for _, tp := range own {
		least[tp.Topic] = topic{partitions: max(least[tp.Topic].partitions, int(tp.Partition)+1)}
	}
	return t.clusters.ensure(ctx, least)
}

// stretch is how many records go together at most, and so how close what is kept comes to where the source is.
const stretch = 500

// idleAfter is how long the source may give nothing before it is asked whether it is there.
const idleAfter = 2 * time.Second

// PollVerbatim implements runtime.Verbatim.
func (t *sourceTask) PollVerbatim(ctx context.Context) ([]runtime.Stretch, error) {
	fetches, err := t.fetch(ctx)
	if err != nil {
		return nil, err
	}
	clear(t.out)
	t.out = t.out[:0]
	fetches.EachPartition(func(f kgo.FetchTopicPartition) {
		tp := sdk.TopicPartition{Topic: f.Topic, Partition: f.Partition}
		p := t.parts[tp]
		for records := f.Records; len(records) > 0; {
			n := min(stretch, len(records))
			t.out = append(t.out, t.cut(p, tp, records[:n]))
			records = records[n:]
		}
	})
	return t.out, nil
}

// cut makes records that follow each other in a partition such of its copy.
func (t *sourceTask) cut(p *part, tp sdk.TopicPartition, records []*kgo.Record) runtime.Stretch {
	upstream := records[len(records)-1].Offset
	for _, r := range records {
		r.Topic = p.remote
	}
	s := runtime.Stretch{Records: records, At: p.position(upstream)}
	if t.syncs != nil {
		s.Landed = func(downstream int64) { t.syncs.landed(offsetSync{tp, upstream, downstream}) }
	}
	return s
}

// BatchLimit implements runtime.Verbatim.
func (t *sourceTask) BatchLimit(topic string) (int32, bool) {
	size, known := t.limits[topic]
	return size, known
}

// Poll implements sdk.SourceTask, for records that are to be transformed. Offsets in the target are then not known: records may be
// dropped, or go elsewhere.
func (t *sourceTask) Poll(ctx context.Context) ([]*sdk.Record, error) {
	fetches, err := t.fetch(ctx)
	if err != nil {
		return nil, err
	}
	var out []*sdk.Record
	fetches.EachRecord(func(r *kgo.Record) {
		p := t.parts[sdk.TopicPartition{Topic: r.Topic, Partition: r.Partition}]
		s := &sdk.Record{Topic: p.remote, Partition: r.Partition, KeySchema: sdk.OptionalBytesSchema, ValueSchema: sdk.OptionalBytesSchema, Timestamp: r.Timestamp,
			At: p.position(r.Offset)}
		if r.Key != nil {
			s.Key = r.Key
		}
		if r.Value != nil {
			s.Value = r.Value
		}
		for _, h := range r.Headers {
			to := sdk.Header{Key: h.Key, Schema: sdk.OptionalBytesSchema}
			if h.Value != nil {
				to.Value = h.Value
			}
			s.Headers = append(s.Headers, to)
		}
		out = append(out, s)
	})
	return out, nil
}

// fetch waits for records for a while.
func (t *sourceTask) fetch(ctx context.Context) (kgo.Fetches, error) {
	wait, cancel := context.WithTimeout(ctx, idleAfter)
	defer cancel()
	fetches := t.consumer.PollFetches(wait)
	if ctx.Err() != nil {
		return nil, ctx.Err()
	}
	var failed error
	fetches.EachError(func(topic string, partition int32, err error) {
		var loss *kgo.ErrDataLoss
		switch {
		case errors.Is(err, context.DeadlineExceeded), errors.Is(err, context.Canceled):
		case errors.As(err, &loss):
			t.logger.Warn("the source has lost records that were copied; the mirror goes on with what is there", "topic", topic, "partition", partition, "error", err)
		case errors.Is(err, kerr.UnknownTopicOrPartition), errors.Is(err, kerr.UnknownTopicID):
			t.logger.Warn("a topic is not there any more in the source; should it come back, it is copied again", "topic", topic, "partition", partition)
		default:
			failed = t.failed("source", fmt.Sprintf("give records of %s-%d", topic, partition), err)
		}
	})
	if fetches.NumRecords() > 0 {
		t.heard = time.Now()
		return fetches, nil // what failed fails again
	}
	if failed == nil && time.Since(t.heard) >= idleAfter {
		probe, cancel := context.WithTimeout(ctx, adminPatience)
		defer cancel()
		if err := t.consumer.Ping(probe); err != nil {
			return nil, t.failed("source", "answer", err)
		}
		t.heard = time.Now()
	}
	return nil, failed
}

// Acknowledged implements sdk.Acknowledged: what landed in this second is told.
func (t *sourceTask) Acknowledged(context.Context, []sdk.Position) error {
	if t.syncs != nil {
		t.syncs.flush()
	}
	return nil
}

// Stop implements sdk.SourceTask.
func (t *sourceTask) Stop() error {
	if t.syncs != nil {
		t.syncs.close()
	}
	if t.consumer != nil {
		t.consumer.Close()
	}
	if t.clusters != nil {
		t.clusters.close()
	}
	return nil
}
