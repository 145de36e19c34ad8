package runtime

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/weir/weir/connect/sdk"
)

// source runs a source task once.
//
// Exactly once (KIP-618) will go here: with transactions, a poll's records and the positions that the ledger gives for it are sent in one
// transaction of the id GROUP-CONNECTOR-TASK, which fences the task's predecessors.
type source struct {
	t        *Task
	config   map[string]string
	task     sdk.SourceTask
	pipeline *pipeline
	tolerate tolerance
	kafka    *kgo.Client
	topics   *creator
	ledger   *ledger
	arena    []byte // keys, values and headers of the poll under way
	size     int    // bytes of a record, of the last poll
	used     map[string]struct{}
}

func (t *Task) runSource(ctx context.Context, c sdk.Source, config map[string]string, values sdk.Values) (err error) {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	s := &source{t: t, config: config, tolerate: newTolerance(config, t.spec.Logger), used: map[string]struct{}{}}
	s.ledger = newLedger(func() { cancel(errRefused) })
	if s.pipeline, err = t.r.newPipeline(config); err != nil {
		return err
	}
	opts, err := overrides(config, "producer.override.")
	if err != nil {
		return err
	}
	s.kafka, err = kgo.NewClient(append(append(t.r.clientOptions(), producerOptions(t.spec.name())...), opts...)...)
	if err != nil {
		return sdk.Misconfigured("producer: %w", err)
	}
	defer s.kafka.Close()
	if s.topics, err = newCreator(s.kafka, t.r.cfg.Options, config); err != nil {
		return err
	}
	s.task = c.NewTask()
	stopped := false
	stop := func() error {
		stopped = true
		return s.task.Stop()
	}
	defer func() {
		if !stopped {
			_ = stop() // after a failure, which is what is told
		}
	}()
	if err := s.task.Start(ctx, s.context(), values); err != nil {
		return fmt.Errorf("starting: %w", err)
	}
	t.spec.Status(Status{State: Running})
	keeping := make(chan error, 1)
	stopKeeping := make(chan struct{})
	go func() {
		err := s.keep(ctx, stopKeeping)
		if err != nil {
			cancel(err)
		}
		keeping <- err
	}()
	err = s.polls(ctx)
	if cause := context.Cause(ctx); cause != nil && !errors.Is(cause, context.Canceled) {
		err = cause
	}
	close(stopKeeping)
	kept := <-keeping
	if err == nil || errors.Is(err, context.Canceled) {
		err = kept
		s.finish()
	}
	if _, refused := s.ledger.state(); refused != nil {
		err = refused
	}
	return errors.Join(err, stop())
}

// errRefused ends a run when a topic did not take a record; the ledger knows why.
var errRefused = errors.New("a record was not taken")

// producerOptions are those that sources and dead letters are sent with: nothing is acknowledged that could be lost, nothing comes twice
// or in another order, and what waits is bounded.
func producerOptions(name string) []kgo.Opt {
	return []kgo.Opt{
		kgo.ClientID("connector-producer-" + name), kgo.RequiredAcks(kgo.AllISRAcks()), kgo.ProducerLinger(0), kgo.MaxBufferedRecords(100_000),
		kgo.MaxBufferedBytes(32 << 20), kgo.AllowAutoTopicCreation(), kgo.UnknownTopicRetries(-1), kgo.ProducerBatchCompression(kgo.NoCompression()),
		kgo.RecordPartitioner(partitioner()), kgo.DisableClientMetrics(),
	}
}

// partitioner heeds the partition that a connector chose, and else does as Kafka's producers do.
func partitioner() kgo.Partitioner {
	byKey := kgo.StickyKeyPartitioner(nil)
	return chosen{byKey}
}

type chosen struct{ otherwise kgo.Partitioner }

func (c chosen) ForTopic(topic string) kgo.TopicPartitioner {
	return chosenTopic{c.otherwise.ForTopic(topic)}
}

type chosenTopic struct{ otherwise kgo.TopicPartitioner }

func (c chosenTopic) RequiresConsistency(r *kgo.Record) bool {
	return r.Partition >= 0 || c.otherwise.RequiresConsistency(r)
}

func (c chosenTopic) Partition(r *kgo.Record, n int) int {
	if r.Partition >= 0 {
		return int(r.Partition)
	}
	return c.otherwise.Partition(r, n)
}

// OnNewBatch lets records without a key go to one partition until a batch is full.
func (c chosenTopic) OnNewBatch() {
	if o, ok := c.otherwise.(kgo.TopicPartitionerOnNewBatch); ok {
		o.OnNewBatch()
	}
}

func (r *Runtime) clientOptions() []kgo.Opt { return append([]kgo.Opt(nil), r.cfg.Kafka...) }

// polls polls and sends until ctx ends or something fails.
func (s *source) polls(ctx context.Context) error {
	wait := patience{most: 30 * time.Second}
	for ctx.Err() == nil {
		records, err := s.task.Poll(ctx)
		switch {
		case err != nil && ctx.Err() != nil:
			return ctx.Err()
		case err != nil && sdk.CauseOf(err) == sdk.Transient:
			s.t.spec.Logger.Warn("a source could not be read; it is tried again", "task", s.t.spec.name(), "error", err)
			s.t.meter.failed(sdk.Transient)
			if err := wait.wait(ctx); err != nil {
				return err
			}
			continue
		case err != nil:
			return fmt.Errorf("polling: %w", err)
		}
		wait.next = 0
		if len(records) > 0 {
			if err := s.send(ctx, records); err != nil {
				return err
			}
		}
	}
	return ctx.Err()
}

// send converts the records of a poll and gives them to the producer.
func (s *source) send(ctx context.Context, records []*sdk.Record) error {
	p := s.ledger.begin(records)
	out := make([]kgo.Record, 0, len(records))
	s.arena = make([]byte, 0, len(records)*s.size) // the producer keeps what is in it until it is acknowledged
	for _, r := range records {
		var made kgo.Record
		f := s.convert(ctx, r, &made)
		switch {
		case f == nil && made.Topic == "": // a transform dropped it
		case f == nil:
			out = append(out, made)
		case ctx.Err() != nil:
			return ctx.Err()
		case !s.tolerate.all:
			s.tolerate.tell(f, r)
			return f
		default:
			s.tolerate.tell(f, r)
		}
	}
	if len(out) > 0 {
		s.size = len(s.arena)/len(out) + 16
	}
	for i := range out {
		if err := s.uses(ctx, out[i].Topic); err != nil {
			return err
		}
	}
	s.ledger.add(p, len(out))
	s.t.meter.holds(true)
	promise := func(r *kgo.Record, err error) { s.acknowledged(p, r, err) }
	for i := range out {
		s.kafka.Produce(ctx, &out[i], promise)
	}
	s.ledger.done(p, 1, nil)
	return nil
}

// acknowledged hears of each record that was sent.
func (s *source) acknowledged(p *poll, r *kgo.Record, err error) {
	if err != nil && !errors.Is(err, context.Canceled) && !errors.Is(err, kgo.ErrClientClosed) {
		f := &failure{stageProduce, "producer", fmt.Errorf("topic %s: %w", r.Topic, err)}
		s.tolerate.tell(f, nil)
		if s.tolerate.all {
			err = nil
		} else {
			err = f
		}
	}
	if err == nil {
		s.t.meter.did(1)
	}
	s.ledger.done(p, 1, err)
}

// uses sees that a topic is there before the first record is sent to it.
func (s *source) uses(ctx context.Context, topic string) error {
	if _, known := s.used[topic]; known {
		return nil
	}
	if err := s.topics.create(ctx, topic); err != nil {
		return err
	}
	s.used[topic] = struct{}{}
	s.t.spec.Used(topic)
	return nil
}

// convert makes a record for the producer. Its topic is "" if a transform dropped it.
func (s *source) convert(ctx context.Context, r *sdk.Record, out *kgo.Record) *failure {
	r, err := s.pipeline.chain.Apply(r)
	if err != nil {
		return &failure{stageTransform, "transforms", err}
	}
	if r == nil {
		return nil
	}
	var f *failure
	_ = s.tolerate.attempt(ctx, func() error {
		if f = s.encode(r, out); f != nil {
			return f
		}
		return nil
	})
	return f
}

// encode converts a record's headers, key and value into the arena.
func (s *source) encode(r *sdk.Record, out *kgo.Record) *failure {
	p, before := s.pipeline, len(s.arena)
	stage, class, err := stageHeader, "header converter", error(nil)
	if len(r.Headers) > 0 {
		out.Headers = make([]kgo.RecordHeader, len(r.Headers))
	}
	for i, h := range r.Headers {
		at := len(s.arena)
		var b []byte
		if b, err = p.header.FromHeader(r.Topic, h.Key, h.Schema, h.Value, s.arena); err != nil {
			break
		}
		out.Headers[i] = kgo.RecordHeader{Key: h.Key, Value: s.keepIn(b, at)}
	}
	if err == nil {
		stage, class = stageKey, "key converter"
		at := len(s.arena)
		var b []byte
		if b, err = p.key.From(r.Topic, r.KeySchema, r.Key, s.arena); err == nil {
			out.Key = s.keepIn(b, at)
		}
	}
	if err == nil {
		stage, class = stageValue, "value converter"
		at := len(s.arena)
		var b []byte
		if b, err = p.value.From(r.Topic, r.ValueSchema, r.Value, s.arena); err == nil {
			out.Value = s.keepIn(b, at)
		}
	}
	if err != nil {
		s.arena = s.arena[:before]
		return &failure{stage, class, err}
	}
	out.Topic, out.Partition, out.Timestamp = r.Topic, r.Partition, r.Timestamp
	return nil
}

// keepIn makes b the arena and gives what was appended to it; nil: nothing, not even an empty value.
func (s *source) keepIn(b []byte, at int) []byte {
	if b == nil {
		return nil
	}
	s.arena = b
	return b[at:len(b):len(b)]
}

// keep writes positions each second, and once more when it is told to stop.
func (s *source) keep(ctx context.Context, stop <-chan struct{}) error {
	tick := time.NewTicker(s.t.r.cfg.FlushEach)
	defer tick.Stop()
	for {
		select {
		case <-tick.C:
			idle, err := s.ledger.state()
			s.t.meter.holds(!idle && err == nil)
		case <-stop:
			return nil
		}
		if err := s.flush(ctx); err != nil {
			return err
		}
	}
}

// flush writes the positions that are ready, and tells the task.
func (s *source) flush(ctx context.Context) error {
	ready := s.ledger.take()
	if len(ready) == 0 || s.t.givenUp.Load() {
		return nil
	}
	if err := s.t.r.cfg.Offsets.Put(ctx, s.t.spec.Connector, ready); err != nil {
		return sdk.Retry(fmt.Errorf("keeping positions: %w", err))
	}
	if a, ok := s.task.(sdk.Acknowledged); ok {
		if err := a.Acknowledged(ctx, ready); err != nil && ctx.Err() == nil {
			return fmt.Errorf("telling the source what is kept: %w", err)
		}
	}
	return nil
}

// finish lets what was sent arrive, and keeps the positions, before a task ends.
func (s *source) finish() {
	ctx, cancel := context.WithTimeout(context.Background(), s.t.r.cfg.Grace*3/4)
	defer cancel()
	if err := s.kafka.Flush(ctx); err != nil {
		s.t.spec.Logger.Warn("not all records arrived before the task had to end; they come again", "task", s.t.spec.name())
	}
	if err := s.flush(ctx); err != nil {
		s.t.spec.Logger.Warn("the last positions could not be kept; what came after those before comes again", "task", s.t.spec.name(), "error", err)
	}
}

func (s *source) context() sdk.SourceContext {
	return &sourceContext{taskContext{s.t}, strconv.FormatInt(time.Now().UnixNano(), 36), nil}
}

type sourceContext struct {
	taskContext
	run   string
	known map[string]map[string]any // positions; nil: not read yet
}

// Run implements sdk.SourceContext.
func (c *sourceContext) Run() string { return c.run }

// Position implements sdk.SourceContext.
func (c *sourceContext) Position(ctx context.Context, partition map[string]any) (map[string]any, error) {
	if c.known == nil {
		all, err := c.t.r.cfg.Offsets.Get(ctx, c.t.spec.Connector)
		if err != nil {
			return nil, sdk.Retry(fmt.Errorf("reading where to go on: %w", err))
		}
		c.known = map[string]map[string]any{}
		for _, p := range all {
			c.known[PartitionKey(p.Partition)] = p.Offset
		}
	}
	return c.known[PartitionKey(partition)], nil
}
