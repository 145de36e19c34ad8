package runtime

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/weir/weir/connect/sdk"
)

// sink runs a sink task once. It works in rounds; what the client calls when partitions come and go happens between two.
type sink struct {
	t        *Task
	config   map[string]string
	task     sdk.SinkTask
	pipeline *pipeline
	tolerate tolerance
	kafka    *kgo.Client
	letters  *deadLetters // nil: none
	most     int          // records of a Put

	work    sync.Mutex                   // held in a round, and while partitions come and go
	ended   bool                         // the task is stopped
	put     map[sdk.TopicPartition]int64 // the next to read, of what was put
	kept    map[sdk.TopicPartition]int64 // what the group has
	high    map[sdk.TopicPartition]int64 // the ends of the partitions, as last seen
	mine    map[string][]int32           // the partitions that the task has
	flushed time.Time
	rewind  map[sdk.TopicPartition]int64
	changes []change // that the task was not told of
	out     []*sdk.Record

	again   []*sdk.Record // what could not be put and is tried again; nothing is read meanwhile
	next    map[sdk.TopicPartition]int64
	wait    patience
	retryAt time.Time
}

// change is partitions that came or went.
type change struct {
	partitions []sdk.TopicPartition
	came, lost bool
}

func (t *Task) runSink(ctx context.Context, c sdk.Sink, config map[string]string, values sdk.Values) (err error) {
	s := &sink{t: t, config: config, tolerate: newTolerance(config, t.spec.Logger), put: map[sdk.TopicPartition]int64{}, kept: map[sdk.TopicPartition]int64{},
		high: map[sdk.TopicPartition]int64{}, mine: map[string][]int32{}, most: 500}
	if s.pipeline, err = t.r.newPipeline(config); err != nil {
		return err
	}
	if n, err := strconv.Atoi(config["consumer.override.max.poll.records"]); err == nil && n > 0 {
		s.most = n
	}
	opts, err := s.options()
	if err != nil {
		return err
	}
	if s.kafka, err = kgo.NewClient(opts...); err != nil {
		return sdk.Misconfigured("consumer: %w", err)
	}
	defer s.kafka.CloseAllowingRebalance()
	defer func() {
		s.work.Lock()
		defer s.work.Unlock()
		s.ended = true
	}()
	if s.letters, err = newDeadLetters(s); err != nil {
		return err
	}
	s.task = c.NewTask()
	stopped := false
	defer func() {
		if !stopped {
			_ = s.task.Stop() // after a failure, which is what is told
		}
	}()
	if err := s.task.Start(ctx, sinkContext{taskContext{t}, s}, values); err != nil {
		return fmt.Errorf("starting: %w", err)
	}
	t.spec.Status(Status{State: Running})
	err = s.rounds(ctx)
	if errors.Is(err, context.Canceled) {
		end, cancel := context.WithTimeout(context.Background(), t.r.cfg.Grace*3/4)
		defer cancel()
		s.work.Lock()
		kept := s.flush(end)
		s.work.Unlock()
		if kept != nil {
			t.spec.Logger.Warn("the last offsets could not be kept; what came after those before comes again", "task", t.spec.name(), "error", kept)
		}
	}
	s.work.Lock()
	defer s.work.Unlock()
	stopped, s.ended = true, true
	return errors.Join(err, s.task.Stop())
}

func (s *sink) options() ([]kgo.Opt, error) {
	opts := append(s.t.r.clientOptions(),
		kgo.ClientID("connector-consumer-"+s.t.spec.name()), kgo.ConsumerGroup(groupOf(s.t.spec.Connector, s.config)), kgo.DisableAutoCommit(), kgo.BlockRebalanceOnPoll(),
		kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()), kgo.FetchMaxWait(500*time.Millisecond), kgo.FetchMaxPartitionBytes(1<<20), kgo.FetchMaxBytes(16<<20),
		kgo.MaxConcurrentFetches(3), kgo.DisableClientMetrics(), kgo.Balancers(kgo.CooperativeStickyBalancer(), kgo.RangeBalancer()),
		kgo.OnPartitionsAssigned(func(_ context.Context, _ *kgo.Client, p map[string][]int32) { s.assigned(p) }),
		kgo.OnPartitionsRevoked(func(ctx context.Context, _ *kgo.Client, p map[string][]int32) { s.revoked(ctx, p) }),
		kgo.OnPartitionsLost(func(_ context.Context, _ *kgo.Client, p map[string][]int32) { s.lost(p) }),
	)
	if pattern := s.config["topics.regex"]; pattern != "" {
		if _, err := regexp.Compile(pattern); err != nil {
			return nil, sdk.Misconfigured("Invalid value %s for configuration topics.regex: %w", pattern, err)
		}
		opts = append(opts, kgo.ConsumeRegex(), kgo.ConsumeTopics("^(?:"+pattern+")$"))
	} else {
		var topics []string
		for _, name := range strings.Split(s.config["topics"], ",") {
			if name = strings.TrimSpace(name); name != "" {
				topics = append(topics, name)
			}
		}
		opts = append(opts, kgo.ConsumeTopics(topics...))
	}
	own, err := overrides(s.config, "consumer.override.")
	return append(opts, own...), err
}

// rounds reads and puts until ctx ends or something fails.
func (s *sink) rounds(ctx context.Context) error {
	due := time.Now()
	for {
		waiting, cancel := context.WithDeadline(ctx, due)
		fetches := s.kafka.PollRecords(waiting, s.most)
		cancel()
		if ctx.Err() != nil {
			return ctx.Err()
		}
		s.work.Lock()
		err := s.round(ctx, fetches)
		due = s.flushed.Add(s.t.r.cfg.FlushEach)
		if s.again != nil && s.retryAt.Before(due) {
			due = s.retryAt
		}
		s.work.Unlock()
		s.kafka.AllowRebalance()
		if err != nil {
			return err
		}
	}
}

func (s *sink) round(ctx context.Context, fetches kgo.Fetches) error {
	if err := s.tellTask(ctx); err != nil {
		return err
	}
	for _, e := range fetches.Errors() {
		if !errors.Is(e.Err, context.DeadlineExceeded) && !errors.Is(e.Err, context.Canceled) {
			s.t.spec.Logger.Warn("a topic could not be read; it is tried again", "task", s.t.spec.name(), "topic", e.Topic, "partition", e.Partition, "error", e.Err)
		}
	}
	if err := s.take(ctx, fetches); err != nil {
		return err
	}
	s.t.meter.behind(s.lag())
	if len(s.rewind) > 0 {
		return s.goBack(ctx)
	}
	if time.Since(s.flushed) >= s.t.r.cfg.FlushEach {
		return s.flush(ctx)
	}
	return nil
}

// take puts what was fetched, or what could not be put before.
func (s *sink) take(ctx context.Context, fetches kgo.Fetches) error {
	next := map[sdk.TopicPartition]int64{}
	fetches.EachPartition(func(p kgo.FetchTopicPartition) {
		tp := sdk.TopicPartition{Topic: p.Topic, Partition: p.Partition}
		s.high[tp] = p.HighWatermark
		if n := len(p.Records); n > 0 {
			next[tp] = p.Records[n-1].Offset + 1
		}
	})
	records, err := s.read(ctx, fetches)
	if err != nil {
		return err
	}
	if s.again != nil { // what was fetched before the pause comes behind
		records = append(s.again, records...)
		maps.Copy(s.next, next)
		s.again, next = records, s.next
		if time.Now().Before(s.retryAt) {
			return nil
		}
	}
	if len(records) > 0 {
		s.t.meter.holds(true)
		again, err := s.deliver(ctx, records)
		if err != nil {
			return err
		}
		if again {
			s.putOff(records, next)
			return nil
		}
		s.t.meter.did(len(records))
	}
	maps.Copy(s.put, next)
	s.t.meter.holds(false)
	if s.again != nil {
		s.again, s.next, s.wait.next = nil, nil, 0
		s.kafka.ResumeFetchPartitions(s.kafka.PauseFetchPartitions(nil))
	}
	return nil
}

// putOff lets the records be tried again later. Nothing is read until then, and the group goes on.
func (s *sink) putOff(records []*sdk.Record, next map[sdk.TopicPartition]int64) {
	if s.again == nil {
		s.again, s.next = slices.Clone(records), next
		s.wait.most = 30 * time.Second
		s.kafka.PauseFetchPartitions(s.mine)
	}
	s.retryAt = time.Now().Add(s.wait.step())
}

// lag counts the records that the client knows of and that were not put.
func (s *sink) lag() (behind int64) {
	for tp, next := range s.put {
		behind += max(0, s.high[tp]-next)
	}
	return behind
}

// read converts and transforms what was fetched. Records that fail are reported.
func (s *sink) read(ctx context.Context, fetches kgo.Fetches) ([]*sdk.Record, error) {
	made := make([]sdk.Record, 0, fetches.NumRecords())
	s.out = s.out[:0]
	var err error
	fetches.EachPartition(func(p kgo.FetchTopicPartition) {
		if len(p.Records) > 0 {
			s.t.spec.Used(p.Topic)
		}
		for _, r := range p.Records {
			if err != nil {
				return
			}
			s.letters.remember(r)
			made = append(made, sdk.Record{})
			one := &made[len(made)-1]
			f := s.decode(ctx, r, one)
			if f == nil {
				one, f = s.transformed(one)
			}
			if f != nil {
				err = s.report(f, r)
				continue
			}
			if one != nil {
				s.out = append(s.out, one)
			}
		}
	})
	return s.out, err
}

func (s *sink) decode(ctx context.Context, r *kgo.Record, out *sdk.Record) (f *failure) {
	_ = s.tolerate.attempt(ctx, func() error {
		if f = s.decodeOnce(r, out); f != nil {
			return f
		}
		return nil
	})
	return f
}

func (s *sink) decodeOnce(r *kgo.Record, out *sdk.Record) *failure {
	*out = sdk.Record{Topic: r.Topic, Partition: r.Partition, Timestamp: r.Timestamp, Offset: r.Offset, From: sdk.TopicPartition{Topic: r.Topic, Partition: r.Partition}}
	var err error
	if out.KeySchema, out.Key, err = s.pipeline.key.To(r.Topic, r.Key); err != nil {
		return &failure{stageKey, "key converter", err}
	}
	if out.ValueSchema, out.Value, err = s.pipeline.value.To(r.Topic, r.Value); err != nil {
		return &failure{stageValue, "value converter", err}
	}
	if len(r.Headers) > 0 {
		out.Headers = make([]sdk.Header, len(r.Headers))
	}
	for i, h := range r.Headers {
		out.Headers[i].Key = h.Key
		if out.Headers[i].Schema, out.Headers[i].Value, err = s.pipeline.header.ToHeader(r.Topic, h.Key, h.Value); err != nil {
			return &failure{stageHeader, "header converter", err}
		}
	}
	return nil
}

func (s *sink) transformed(r *sdk.Record) (*sdk.Record, *failure) {
	from, offset := r.From, r.Offset
	r, err := s.pipeline.chain.Apply(r)
	if err != nil {
		return nil, &failure{stageTransform, "transforms", err}
	}
	if r != nil {
		r.From, r.Offset = from, offset
	}
	return r, nil
}

// deliver gives records to the task. again: it failed with an error that passes.
func (s *sink) deliver(ctx context.Context, records []*sdk.Record) (again bool, err error) {
	err = s.task.Put(ctx, records)
	var poison *sdk.RecordError
	switch {
	case err == nil:
		return false, nil
	case ctx.Err() != nil:
		return false, ctx.Err()
	case errors.As(err, &poison):
		return false, s.refused(poison.Record, poison.Err)
	case sdk.CauseOf(err) != sdk.Transient:
		return false, fmt.Errorf("putting %d records: %w", len(records), err)
	}
	s.t.spec.Logger.Warn("records could not be put; it is tried again", "task", s.t.spec.name(), "records", len(records), "error", err)
	s.t.meter.failed(sdk.Transient)
	s.t.meter.holds(true)
	return true, nil
}

// tellTask tells the task of partitions that came and went.
func (s *sink) tellTask(ctx context.Context) error {
	p, wants := s.task.(sdk.Partitioned)
	for _, c := range s.changes {
		if !wants {
			break
		}
		var err error
		if c.came {
			err = p.Assigned(ctx, c.partitions)
		} else {
			err = p.Revoked(ctx, c.partitions, c.lost)
		}
		if err != nil {
			return fmt.Errorf("taking a change of partitions: %w", err)
		}
	}
	s.changes = nil
	return nil
}

func (s *sink) assigned(p map[string][]int32) {
	s.work.Lock()
	defer s.work.Unlock()
	s.changes = append(s.changes, change{partitions: partitionsOf(p), came: true})
	for topic, partitions := range p {
		s.mine[topic] = append(s.mine[topic], partitions...)
	}
	if s.again != nil {
		s.kafka.PauseFetchPartitions(p)
	}
}

// revoked keeps the offsets before partitions go to somebody else.
func (s *sink) revoked(ctx context.Context, p map[string][]int32) {
	s.work.Lock()
	defer s.work.Unlock()
	if s.ended {
		return
	}
	if err := s.flush(ctx); err != nil && ctx.Err() == nil {
		s.t.spec.Logger.Warn("offsets could not be kept before partitions went to another task, which reads some records again", "task", s.t.spec.name(), "error", err)
	}
	s.went(partitionsOf(p), false)
}

func (s *sink) lost(p map[string][]int32) {
	s.work.Lock()
	defer s.work.Unlock()
	s.went(partitionsOf(p), true)
}

// went forgets partitions: whatever is kept of them from now on is their next owner's.
func (s *sink) went(partitions []sdk.TopicPartition, lost bool) {
	for _, tp := range partitions {
		delete(s.put, tp)
		delete(s.kept, tp)
		delete(s.next, tp)
		delete(s.high, tp)
		s.mine[tp.Topic] = slices.DeleteFunc(s.mine[tp.Topic], func(n int32) bool { return n == tp.Partition })
	}
	if s.again != nil {
		s.again = slices.DeleteFunc(s.again, func(r *sdk.Record) bool { return slices.Contains(partitions, r.From) })
		if s.again == nil {
			s.again = []*sdk.Record{}
		}
	}
	s.changes = append(s.changes, change{partitions: partitions, lost: lost})
}

func partitionsOf(p map[string][]int32) (out []sdk.TopicPartition) {
	for _, topic := range slices.Sorted(maps.Keys(p)) {
		for _, n := range p[topic] {
			out = append(out, sdk.TopicPartition{Topic: topic, Partition: n})
		}
	}
	return out
}

// flush keeps how far the task is.
func (s *sink) flush(ctx context.Context) error {
	s.flushed = time.Now()
	done := s.put
	if f, ok := s.task.(sdk.Flusher); ok {
		var err error
		if done, err = f.Flush(ctx, maps.Clone(s.put)); err != nil {
			return fmt.Errorf("flushing: %w", err)
		}
	}
	if err := s.letters.arrived(ctx); err != nil {
		return err
	}
	commit := map[string]map[int32]kgo.EpochOffset{}
	for tp, at := range done {
		if s.kept[tp] == at {
			continue
		}
		if commit[tp.Topic] == nil {
			commit[tp.Topic] = map[int32]kgo.EpochOffset{}
		}
		commit[tp.Topic][tp.Partition] = kgo.EpochOffset{Epoch: -1, Offset: at}
	}
	if len(commit) == 0 || s.t.givenUp.Load() {
		return nil
	}
	var failed error
	s.kafka.CommitOffsetsSync(ctx, commit, func(_ *kgo.Client, _ *kmsg.OffsetCommitRequest, resp *kmsg.OffsetCommitResponse, err error) {
		failed = err
		for _, t := range topicsOf(resp) {
			for _, p := range t.Partitions {
				if failed == nil {
					failed = kerr.ErrorForCode(p.ErrorCode)
				}
			}
		}
	})
	if failed != nil {
		// What was done and is not kept comes again after a restart; until then it is tried with the next flush.
		s.t.spec.Logger.Warn("offsets could not be kept; it is tried again", "task", s.t.spec.name(), "error", failed)
		return nil
	}
	maps.Copy(s.kept, done)
	s.letters.forget(done)
	return nil
}

// goBack begins at other offsets, as the task asked for.
func (s *sink) goBack(ctx context.Context) error {
	to := map[string]map[int32]kgo.EpochOffset{}
	for tp, at := range s.rewind {
		if to[tp.Topic] == nil {
			to[tp.Topic] = map[int32]kgo.EpochOffset{}
		}
		to[tp.Topic][tp.Partition] = kgo.EpochOffset{Epoch: -1, Offset: at}
		s.put[tp] = at
	}
	s.rewind = nil
	if s.again != nil {
		s.again, s.next, s.wait.next = nil, nil, 0
		s.kafka.ResumeFetchPartitions(s.kafka.PauseFetchPartitions(nil))
	}
	s.kafka.SetOffsets(to)
	return s.flush(ctx)
}

type sinkContext struct {
	taskContext
	s *sink
}

// Report implements sdk.SinkContext.
func (c sinkContext) Report(r *sdk.Record, err error) error { return c.s.refused(r, err) }

// Rewind implements sdk.SinkContext.
func (c sinkContext) Rewind(to map[sdk.TopicPartition]int64) {
	if c.s.rewind == nil {
		c.s.rewind = map[sdk.TopicPartition]int64{}
	}
	maps.Copy(c.s.rewind, to)
}

func topicsOf(resp *kmsg.OffsetCommitResponse) []kmsg.OffsetCommitResponseTopic {
	if resp == nil {
		return nil
	}
	return resp.Topics
}
