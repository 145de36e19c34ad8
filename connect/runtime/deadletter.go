package runtime

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"sync"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/weir/weir/connect/sdk"
)

// deadLetters sends records that fail, as they were read, to a topic (errors.deadletterqueue.*, KIP-298). nil: there is none.
type deadLetters struct {
	s       *sink
	topic   string
	headers bool
	kafka   *kgo.Client
	// read are records that were read and are not kept as done: what a task may yet report.
	read map[sdk.TopicPartition][]*kgo.Record

	mu     sync.Mutex
	failed error
}

func newDeadLetters(s *sink) (*deadLetters, error) {
	d := &deadLetters{s: s, topic: s.config["errors.deadletterqueue.topic.name"], headers: s.config["errors.deadletterqueue.context.headers.enable"] == "true",
		kafka: s.kafka, read: map[sdk.TopicPartition][]*kgo.Record{}}
	if d.topic == "" {
		return nil, nil
	}
	factor := int64(3)
	if n, err := strconv.ParseInt(s.config["errors.deadletterqueue.topic.replication.factor"], 10, 16); err == nil {
		factor = n
	}
	_, err := kadm.NewClient(s.kafka).CreateTopic(s.t.ctx, 1, int16(factor), nil, d.topic)
	switch {
	case err == nil, errors.Is(err, kerr.TopicAlreadyExists):
		return d, nil
	case errors.Is(err, kerr.InvalidReplicationFactor):
		return nil, sdk.Misconfigured("The dead-letter topic %s cannot have %d replicas in this cluster: set errors.deadletterqueue.topic.replication.factor, or create it", d.topic, factor)
	}
	return nil, sdk.Retry(fmt.Errorf("creating the dead-letter topic %s: %w", d.topic, err))
}

func (d *deadLetters) remember(r *kgo.Record) {
	if d != nil {
		tp := sdk.TopicPartition{Topic: r.Topic, Partition: r.Partition}
		d.read[tp] = append(d.read[tp], r)
	}
}

// forget lets go what was kept as done.
func (d *deadLetters) forget(done map[sdk.TopicPartition]int64) {
	if d == nil {
		return
	}
	for tp, at := range done {
		i, _ := slices.BinarySearchFunc(d.read[tp], at, func(r *kgo.Record, at int64) int { return int(r.Offset - at) })
		d.read[tp] = append(d.read[tp][:0], d.read[tp][i:]...)
	}
}

// find gives a record as it was read.
func (d *deadLetters) find(r *sdk.Record) *kgo.Record {
	all := d.read[r.From]
	if i, ok := slices.BinarySearchFunc(all, r.Offset, func(r *kgo.Record, at int64) int { return int(r.Offset - at) }); ok {
		return all[i]
	}
	return &kgo.Record{Topic: r.From.Topic, Partition: r.From.Partition, Offset: r.Offset}
}

// send sends a record that failed. Offsets are kept only after arrived.
func (d *deadLetters) send(f *failure, r *kgo.Record) {
	out := &kgo.Record{Topic: d.topic, Key: r.Key, Value: r.Value, Headers: slices.Clone(r.Headers), Timestamp: r.Timestamp}
	if d.headers {
		add := func(key, value string) {
			out.Headers = append(out.Headers, kgo.RecordHeader{Key: "__connect.errors." + key, Value: []byte(value)})
		}
		add("topic", r.Topic)
		add("partition", strconv.Itoa(int(r.Partition)))
		add("offset", strconv.FormatInt(r.Offset, 10))
		add("connector.name", d.s.t.spec.Connector)
		add("task.id", strconv.Itoa(d.s.t.spec.Task))
		add("stage", f.stage)
		add("class.name", f.class)
		add("exception.class.name", fmt.Sprintf("%T", f.err))
		add("exception.message", f.err.Error())
		add("exception.stacktrace", f.Error())
	}
	d.kafka.Produce(context.WithoutCancel(d.s.t.ctx), out, func(_ *kgo.Record, err error) {
		d.mu.Lock()
		defer d.mu.Unlock()
		if d.failed == nil && err != nil {
			d.failed = err
		}
	})
}

// arrived waits until all that was sent is in the topic.
func (d *deadLetters) arrived(ctx context.Context) error {
	if d == nil {
		return nil
	}
	if err := d.kafka.Flush(ctx); err != nil {
		return sdk.Retry(fmt.Errorf("sending dead letters to %s: %w", d.topic, err))
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.failed != nil {
		return fmt.Errorf("a dead letter could not be sent to %s: %w", d.topic, d.failed)
	}
	return nil
}

// report takes a record that failed before it could be put.
func (s *sink) report(f *failure, r *kgo.Record) error {
	s.tolerate.tell(f, &sdk.Record{From: sdk.TopicPartition{Topic: r.Topic, Partition: r.Partition}, Offset: r.Offset})
	if !s.tolerate.all {
		return &sdk.RecordError{Record: &sdk.Record{From: sdk.TopicPartition{Topic: r.Topic, Partition: r.Partition}, Offset: r.Offset}, Err: f}
	}
	if s.letters != nil {
		s.letters.send(f, r)
	}
	return nil
}

// refused takes a record that the task cannot take.
func (s *sink) refused(r *sdk.Record, err error) error {
	raw := &kgo.Record{Topic: r.From.Topic, Partition: r.From.Partition, Offset: r.Offset}
	if s.letters != nil {
		raw = s.letters.find(r)
	}
	return s.report(&failure{stagePut, s.t.spec.Type.Info().Class, err}, raw)
}
