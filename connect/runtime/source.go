package runtime

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"sync"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/weir/weir/connect/sdk"
)

// source runs a source task once.
//
// Exactly once (KIP-618) goes here: with transactions, send begins one with the id GROUP-CONNECTOR-TASK, which fences the task's
// predecessors, and ends it with the positions of its batches in it; then neither tracker nor keep is needed.
type source struct {
	*run
	task     sdk.SourceTask
	pipe     *pipeline
	policy   *policy
	client   *kgo.Client
	admin    *kadm.Client
	creation *creation // nil: topics are the cluster's to create
	tracker  *tracker
	topics   map[string]struct{} // that are there
	last     string              // the topic of the record before
	moved    chan struct{}       // has one when there are positions to keep

	mu   sync.Mutex
	free []*batch
}

func (r *run) source(c sdk.Source) (err error) {
	s := &source{run: r, policy: newPolicy(r), tracker: newTracker(), topics: map[string]struct{}{}, moved: make(chan struct{}, 1)}
	if topic := r.common.String("offsets.storage.topic"); topic != "" {
		return sdk.Misconfigured("offsets.storage.topic=%s is not supported: positions of all connectors are in the worker's offset.storage.topic; remove it", topic)
	}
	if s.pipe, err = newPipeline(r.t.r.cfg.Options, r.config); err != nil {
		return err
	}
	if s.creation, err = newCreation(r.t.r.cfg.Options, r.config); err != nil {
		return err
	}
	s.task = c.NewTask()
	var limit func(string) (int32, bool)
	if t, ok := s.task.(Verbatim); ok {
		limit = t.BatchLimit
	}
	client, end, err := r.producer(limit)
	if err != nil {
		return err
	}
	defer end()
	s.client = client
	admin, endAdmin, err := r.admin(client)
	if err != nil {
		return err
	}
	defer endAdmin()
	s.admin = admin
	stop := sync.OnceValue(func() error { return r.guard(s.task.Stop) })
	defer func() { _ = stop() }() // a connector that panics is stopped too
	defer r.t.meter.answered()
	r.t.meter.asks()
	if err := s.task.Start(r.ctx, &sourceContext{taskContext{r}, strconv.FormatInt(time.Now().UnixNano(), 36), nil}, r.values); err != nil {
		return fmt.Errorf("the source does not start: %w", err)
	}
	r.t.meter.answered()
	if l, ok := s.task.(sdk.Lagging); ok {
		r.t.meter.lagging(l)
		defer r.t.meter.lagging(nil)
	}
	r.fine()
	enough, kept := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(kept)
		if err := r.guard(func() error { return s.keep(enough) }); err != nil {
			r.fail(err)
		}
	}()
	if err = r.guard(s.polls); r.ctx.Err() == nil {
		r.fail(err)
	}
	close(enough)
	// Also after a failure: what is in the topics need not come again.
	if s.client.Flush(r.soft) != nil {
		r.logger.Warn("not all records arrived before a task had to end; they come again", "task", r.t.spec.name())
	}
	<-kept
	last, cancel := context.WithTimeout(r.hard, r.t.r.cfg.Grace/4)
	defer cancel()
	if err := s.flush(last); err != nil {
		r.logger.Warn("the last positions could not be kept; what came after those before comes again", "task", r.t.spec.name(), "error", r.mask(err.Error()))
	}
	return errors.Join(err, stop())
}

// tooLarge is a topic that does not take a batch because it is too large. Which record of it is, if any, is known when they come in
// batches that the topic takes: so the next run sends such, from the last position on, that their order stays.
type tooLarge struct{ topic string }

func (e *tooLarge) Error() string { return "the topic " + e.topic + " takes smaller batches only" }

// batchSizes gives how large batches may be for the topics that do not take the usual ones.
func (r *run) batchSizes() (map[string]int32, error) {
	sizes := make(map[string]int32, len(r.t.tooLarge))
	for topic := range r.t.tooLarge {
		admin, err := r.t.r.admin()
		if err != nil {
			return nil, err
		}
		configs, err := admin.DescribeTopicConfigs(r.ctx, topic)
		if err == nil {
			_, err = configs.On(topic, nil)
		}
		if err != nil {
			return nil, fmt.Errorf("it cannot be found out how large the batches are that the topic %s takes: %w; set producer.override.max.request.size to its max.message.bytes", topic, err)
		}
		for _, c := range configs[0].Configs {
			if n, err := strconv.ParseInt(c.MaybeValue(), 10, 32); c.Key == "max.message.bytes" && err == nil {
				sizes[topic] = int32(n)
			}
		}
	}
	return sizes, nil
}

// polls polls and sends until the run ends or something fails.
func (s *source) polls() error {
	verbatim, ok := s.task.(Verbatim)
	if ok && !s.pipe.verbatim() {
		verbatim = nil
	}
	for tries := 0; s.ctx.Err() == nil; {
		var records []*sdk.Record
		var stretches []Stretch
		var err error
		s.t.meter.asks()
		if verbatim != nil {
			stretches, err = verbatim.PollVerbatim(s.ctx)
		} else {
			records, err = s.task.Poll(s.ctx)
		}
		s.t.meter.answered()
		switch {
		case s.ctx.Err() != nil:
			return s.ctx.Err()
		case sdk.CauseOf(err) == sdk.Transient:
			tries++
			wait, err := s.nextTry(s.task, tries, fmt.Errorf("the source cannot be read: %w", err))
			if err != nil {
				return err
			}
			if err := s.sleep(wait); err != nil {
				return err
			}
			continue
		case err != nil:
			return fmt.Errorf("the source cannot be read: %w", err)
		case tries > 0:
			tries = 0
			s.fine()
		}
		for i := range stretches {
			if err := s.sendStretch(&stretches[i]); err != nil {
				return err
			}
		}
		for from := 0; from < len(records); from += mostOfBatch {
			if err := s.send(records, from, min(from+mostOfBatch, len(records))); err != nil {
				return err
			}
		}
	}
	return s.ctx.Err()
}

// mostOfBatch is how many records are converted before the first of them is sent.
const mostOfBatch = 1000

// send converts a part of the records of a poll, and gives it to the producer. Positions belong to the last part: records of one poll
// may share one, which is that after all of them.
func (s *source) send(records []*sdk.Record, from, to int) error {
	b := s.batch()
	for _, r := range records[from:to] {
		if err := s.convert(b, r); err != nil {
			return err
		}
	}
	if b.last = to == len(records); b.last {
		for _, r := range records {
			b.note(r.At)
		}
	}
	b.pending.Store(int32(len(b.records)))
	s.tracker.add(b)
	s.t.meter.holds()
	made := b.records
	for i := range made {
		s.client.Produce(s.soft, &made[i], b.promise)
	}
	if len(made) == 0 {
		s.advance()
	}
	return nil // b may be in use again already
}

// convert adds a record to a batch, unless it is dropped or passed over.
func (s *source) convert(b *batch, r *sdk.Record) error {
	if r.Marks() {
		return nil
	}
	out, err := s.encode(b, r)
	if err == nil && !out {
		return nil
	}
	if sdk.CauseOf(err) == sdk.Transient {
		err = s.policy.again(s.ctx, err, func() (err error) { out, err = s.encode(b, r); return err })
	}
	if s.ctx.Err() != nil {
		return s.ctx.Err()
	}
	if err != nil {
		return s.policy.passOver(err, r.Topic, nil)
	}
	if !out {
		return nil
	}
	return s.uses(b.records[len(b.records)-1].Topic)
}

// uses sees that a topic is there and known.
func (s *source) uses(topic string) error {
	if topic == s.last {
		return nil
	}
	s.last = topic
	if _, there := s.topics[topic]; there {
		return nil
	}
	return s.find(topic)
}

// encode adds a record to a batch, and tells whether it did.
func (s *source) encode(b *batch, r *sdk.Record) (bool, error) {
	r, err := s.pipe.transform(r)
	if err != nil || r == nil {
		return false, err
	}
	var out kgo.Record
	if b.buf, b.headers, err = s.pipe.encode(r, &out, b.buf, b.headers); err != nil {
		return false, err
	}
	b.records = append(b.records, out)
	return true, nil
}

// find sees that a topic is there before the first record goes to it.
func (s *source) find(topic string) error {
	if s.creation != nil {
		var err error
		for tries := 1; ; tries++ {
			if err = s.creation.ensure(s.ctx, s.admin, topic); sdk.CauseOf(err) != sdk.Transient {
				break
			}
			s.troubled(tries, err)
			if err := s.sleep(backoff(tries, retrySoon, retryLate)); err != nil {
				return err
			}
		}
		if err != nil {
			return err
		}
	}
	s.topics[topic] = struct{}{}
	s.t.spec.used(topic)
	return nil
}

// batch gives an empty batch.
func (s *source) batch() *batch {
	s.mu.Lock()
	defer s.mu.Unlock()
	if n := len(s.free); n > 0 {
		b := s.free[n-1]
		s.free = s.free[:n-1]
		return b
	}
	b := &batch{records: make([]kgo.Record, 0, mostOfBatch)}
	b.promise = func(r *kgo.Record, err error) { s.arrived(b, r, err) }
	return b
}

// Batches with more than mostFree bytes are not used again, and no more than mostBatches are kept for that.
const (
	mostFree    = 4 << 20
	mostBatches = 16
)

// arrived hears of each record that was sent. One that is given up without being passed over leaves its batch undone for ever, and with it
// all that come after it.
func (s *source) arrived(b *batch, r *kgo.Record, err error) {
	if err != nil {
		b.broken.Store(true)
		if s.ctx.Err() != nil {
			return // the run ends before it arrived
		}
		if errors.Is(err, kerr.MessageTooLarge) && !s.t.tooLarge[r.Topic] {
			s.fail(&tooLarge{r.Topic})
			return
		}
		err = produceError(r.Topic, err)
		var one *stageError
		if errors.As(err, &one) {
			err = s.policy.passOver(err, r.Topic, nil)
		}
		if err != nil {
			s.fail(err)
			return
		}
	}
	if b.pending.Add(-1) == 0 {
		s.advance() // b may be in use again already
	}
}

// produceError says what it means that a topic does not take a record. It is a stageError if it is the record's fault.
func produceError(topic string, err error) error {
	switch {
	case errors.Is(err, context.Canceled), errors.Is(err, kgo.ErrClientClosed):
		return err
	case errors.Is(err, kerr.MessageTooLarge), errors.Is(err, kerr.RecordListTooLarge):
		return &stageError{stageProduce, "producer", fmt.Errorf("the topic %s does not take a record of that size: %w; see max.message.bytes of the topic and producer.override.max.request.size", topic, err)}
	case errors.Is(err, kerr.InvalidRecord), errors.Is(err, kerr.InvalidTimestamp): // of a batch, which has good records too
		return &poison{fmt.Errorf("the topic %s does not take a record: %w; a compacted topic wants a key with each, and see message.timestamp.*.max.ms", topic, err)}
	case errors.Is(err, kerr.UnknownTopicOrPartition):
		return sdk.Misconfigured("The topic %s, or a partition of it that the connector chose, is not there: create it, or set topic.creation.default.partitions and topic.creation.default.replication.factor", topic)
	case errors.Is(err, kerr.TopicAuthorizationFailed), errors.Is(err, kerr.ClusterAuthorizationFailed), errors.Is(err, kerr.SaslAuthenticationFailed), errors.Is(err, kerr.InvalidTopicException):
		return sdk.Misconfigured("The topic %s cannot be written: %w", topic, err)
	}
	return fmt.Errorf("the topic %s cannot be written: %w", topic, err)
}

// advance takes note of what is durable.
func (s *source) advance() {
	var done [16]*batch
	all, moved, err := s.tracker.advance(done[:0])
	if err != nil {
		s.fail(err)
		return
	}
	var records, bytes int64
	polls := 0
	for _, b := range all {
		if b.last {
			polls++
		}
		stretched, size := b.land()
		records += int64(len(b.records)) + stretched
		bytes += int64(len(b.buf)) + size
	}
	s.t.meter.did(records, bytes, s.tracker.waiting() > 0)
	if d, ok := s.task.(sdk.Durable); ok && polls > 0 {
		d.Durable(polls)
	}
	if moved {
		select {
		case s.moved <- struct{}{}:
		default:
		}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, b := range all {
		if len(s.free) < mostBatches && !b.broken.Load() && cap(b.buf) <= mostFree {
			b.reset()
			s.free = append(s.free, b)
		}
	}
}

// keep keeps positions, a while after there are any, until enough is closed.
func (s *source) keep(enough <-chan struct{}) error {
	timer := time.NewTimer(0)
	<-timer.C
	for {
		select {
		case <-s.moved:
		case <-enough:
			return nil
		}
		timer.Reset(s.t.r.cfg.FlushEach)
		select {
		case <-timer.C:
		case <-enough:
			return nil
		}
		if err := s.flush(s.hard); err != nil {
			return err
		}
	}
}

// flush keeps the positions up to which all is durable, and tells the task. After the run is over, nothing is kept: another run of the
// task may be there, and farther.
func (s *source) flush(ctx context.Context) error {
	ready := s.tracker.take()
	if len(ready) == 0 || s.hard.Err() != nil {
		return nil
	}
	if err := s.t.r.cfg.Offsets.Put(ctx, s.t.spec.Connector, ready); err != nil {
		return sdk.Retry(fmt.Errorf("positions cannot be kept: %w", err))
	}
	if a, ok := s.task.(sdk.Acknowledged); ok {
		if err := a.Acknowledged(ctx, ready); err != nil {
			return fmt.Errorf("the source cannot be told what is kept: %w", err)
		}
	}
	return nil
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
		all, err := c.r.t.r.cfg.Offsets.Get(ctx, c.r.t.spec.Connector)
		if err != nil {
			return nil, sdk.Retry(fmt.Errorf("it cannot be read where to go on: %w", err))
		}
		c.known = make(map[string]map[string]any, len(all))
		for _, p := range all {
			c.known[PartitionKey(p.Partition)] = p.Offset
		}
	}
	id, err := identity(partition)
	return c.known[id], err
}
