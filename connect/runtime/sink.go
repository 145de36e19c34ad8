package runtime

import (
	"cmp"
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

// sink runs a sink task once. It works in rounds. Partitions come and go between two, or while records wait to be put again: the client
// calls assigned and revoked then, which hold work as a round does, so that the connector is never called twice at once.
type sink struct {
	*run
	task    sdk.SinkTask
	pipe    *pipeline
	policy  *policy
	client  *kgo.Client
	letters *deadLetters // nil: none
	most    int          // records of a Put
	topics  map[string]struct{}

	work    chan struct{} // full while somebody works
	ahead   *ahead        // what is read while records are put; nil: nothing is
	rewinds bool          // the task goes back to other offsets
	ended   bool          // the task's partitions are taken from it
	parts   map[sdk.TopicPartition]*part
	pending []*sdk.Record                // what is being put
	next    map[sdk.TopicPartition]int64 // where to go on when that is done
	flushed time.Time

	asked     sync.Mutex
	assigning bool
	rewind    map[sdk.TopicPartition]int64 // where the task wants to go on
	begin     map[sdk.TopicPartition]int64 // where it wants to begin with partitions that it just got
}

// part is a partition that the task has.
type part struct {
	put  int64 // the next to read, of what was put; -1: nothing was
	kept int64 // what the group has, of that; -1: nothing
	high int64 // where the partition ends, as last seen
}

// mostOfPut is how many records are put at once, unless consumer.override.max.poll.records says.
const mostOfPut = 5000

func (r *run) sink(c sdk.Sink) (err error) {
	s := &sink{run: r, policy: newPolicy(r), most: mostOfPut, topics: map[string]struct{}{}, work: make(chan struct{}, 1), parts: map[sdk.TopicPartition]*part{}}
	if s.pipe, err = newPipeline(r.t.r.cfg.Options, r.config); err != nil {
		return err
	}
	if text, set := r.config["consumer.override.max.poll.records"]; set {
		if s.most, err = strconv.Atoi(text); err != nil || s.most < 1 {
			return sdk.Misconfigured("Invalid value %s for configuration consumer.override.max.poll.records: it must be a number, 1 or more", text)
		}
	}
	if s.letters, err = openDeadLetters(r); err != nil {
		return err
	}
	if s.policy.letters = s.letters; s.letters != nil {
		defer s.letters.end()
	}
	s.task = c.NewTask()
	stop := sync.OnceValue(func() error { return r.guard(s.task.Stop) })
	defer func() { _ = stop() }() // a connector that panics is stopped too
	if err := s.task.Start(r.ctx, sinkContext{taskContext{r}, s}, r.values); err != nil {
		return fmt.Errorf("the sink does not start: %w", err)
	}
	end, err := s.consumer()
	if err != nil {
		return err
	}
	defer end()
	r.fine()
	if err = r.guard(s.rounds); r.ctx.Err() == nil {
		r.fail(err)
	}
	if s.lock() {
		s.finish()
		s.unlock()
	}
	member, _ := s.client.GroupMetadata()
	end()
	s.leave(member)
	return errors.Join(err, stop())
}

// newTopicsEach is how often a sink with topics.regex looks for new topics.
const newTopicsEach = 10 * time.Second

// lock begins to work. false: the run is cut off.
func (s *sink) lock() bool {
	select {
	case s.work <- struct{}{}:
		return s.hard.Err() == nil || s.unlock()
	case <-s.hard.Done():
		return false
	}
}

func (s *sink) unlock() bool {
	<-s.work
	return false
}

// consumer makes the client, which joins the group.
func (s *sink) consumer() (end func(), err error) {
	// Callbacks wait for s.lock, so that none runs before the client is known here.
	opts := []kgo.Opt{
		kgo.ConsumerGroup(groupOf(s.t.spec.Connector, s.config)), kgo.DisableAutoCommit(), kgo.BlockRebalanceOnPoll(), kgo.Balancers(kgo.CooperativeStickyBalancer()),
		kgo.InstanceID(s.instance()), kgo.SessionTimeout(10 * time.Second),
		kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()), kgo.FetchMaxBytes(16 << 20), kgo.MaxConcurrentFetches(3),
		kgo.OnPartitionsAssigned(func(_ context.Context, _ *kgo.Client, p map[string][]int32) {
			s.called(func() error { return s.assigned(p) })
		}),
		kgo.AdjustFetchOffsetsFn(s.beginnings),
		kgo.OnPartitionsRevoked(func(_ context.Context, _ *kgo.Client, p map[string][]int32) {
			s.called(func() error { return s.revoked(p) })
		}),
		kgo.OnPartitionsLost(func(_ context.Context, _ *kgo.Client, p map[string][]int32) {
			s.called(func() error { return s.went(p, true) })
		}),
	}
	if pattern := s.common.String("topics.regex"); pattern != "" {
		pattern = "^(?:" + pattern + ")$"
		if _, err := regexp.Compile(pattern); err != nil {
			return nil, sdk.Misconfigured("Invalid value %s for configuration topics.regex: %w", s.common.String("topics.regex"), err)
		}
		opts = append(opts, kgo.ConsumeRegex(), kgo.ConsumeTopics(pattern), kgo.MetadataMaxAge(newTopicsEach))
	} else if topics := s.common.List("topics"); len(topics) > 0 {
		opts = append(opts, kgo.ConsumeTopics(topics...))
	} else {
		return nil, sdk.Misconfigured("Must configure one of topics or topics.regex")
	}
	if !s.lock() {
		return nil, context.Cause(s.hard)
	}
	defer s.unlock()
	s.client, end, err = s.run.client("consumer", opts...)
	return end, err
}

// instance names the task in its group, so that the next run of it, wherever that is, takes its place at once and shuts it out. Without that
// the group would wait for a task that was killed until its session is over.
func (s *sink) instance() string {
	return cmp.Or(s.config["consumer.override.group.instance.id"], strings.TrimPrefix(s.t.r.cfg.Options["group.id"]+"-"+s.t.spec.name(), "-"))
}

// leave takes the task out of its group after the client was closed: the group need not wait for it. A successor has another member id, and
// stays.
func (s *sink) leave(member string) {
	admin, err := s.t.r.kafkaClient()
	if err != nil || member == "" {
		return // then the group waits a while
	}
	instance := s.instance()
	req := kmsg.NewPtrLeaveGroupRequest()
	req.Group = groupOf(s.t.spec.Connector, s.config)
	m := kmsg.NewLeaveGroupRequestMember()
	m.MemberID, m.InstanceID = member, &instance
	req.Members = append(req.Members, m)
	ctx, cancel := context.WithTimeout(s.hard, s.t.r.cfg.Grace/4)
	defer cancel()
	if _, err := req.RequestWith(ctx, admin); err != nil {
		s.logger.Debug("a task could not leave its group", "task", s.t.spec.name(), "error", err)
	}
}

// called does what the client calls for, when nobody else works.
func (s *sink) called(do func() error) {
	if !s.lock() {
		return
	}
	defer s.unlock()
	if s.ended {
		return
	}
	if err := s.guard(do); err != nil {
		s.fail(err)
	}
}

// rounds reads and puts until the run ends or something fails.
func (s *sink) rounds() error {
	defer s.leaveAhead()
	for s.ctx.Err() == nil {
		read := s.nextReading()
		if !s.lock() {
			s.client.AllowRebalance() // what closes the client waits for it
			return context.Cause(s.hard)
		}
		err := s.guard(func() error { return s.round(read) }) // here, so that the work is given up after a panic
		s.unlock()
		if s.ahead == nil {
			s.client.AllowRebalance()
		}
		if err != nil {
			return err
		}
	}
	return s.ctx.Err()
}

// poll waits for records, or until offsets are to be kept.
func (s *sink) poll() kgo.Fetches {
	due, unkept := s.due()
	if !unkept {
		return s.client.PollRecords(s.ctx, s.most)
	}
	ctx, cancel := context.WithDeadline(s.ctx, due)
	defer cancel()
	return s.client.PollRecords(ctx, s.most)
}

// due tells when offsets are to be kept, if there are any.
func (s *sink) due() (at time.Time, unkept bool) {
	if !s.lock() {
		return at, false
	}
	defer s.unlock()
	for _, p := range s.parts {
		unkept = unkept || p.put != p.kept
	}
	return s.flushed.Add(s.t.r.cfg.FlushEach), unkept
}

func (s *sink) round(read reading) error {
	for _, e := range read.fetches.Errors() {
		if err := s.fetchError(e); err != nil {
			return err
		}
	}
	if s.ctx.Err() != nil {
		return s.ctx.Err()
	}
	if read.fetches.NumRecords() > 0 {
		if err := s.take(read); err != nil {
			return err
		}
	}
	if time.Since(s.flushed) < s.t.r.cfg.FlushEach {
		return nil
	}
	err := s.flush(s.soft)
	s.goBack()
	return err
}

// fetchError gives the errors of fetches after which there is no going on.
func (s *sink) fetchError(e kgo.FetchError) error {
	switch {
	case errors.Is(e.Err, context.DeadlineExceeded), errors.Is(e.Err, context.Canceled):
		return nil
	case errors.Is(e.Err, kerr.TopicAuthorizationFailed), errors.Is(e.Err, kerr.GroupAuthorizationFailed), errors.Is(e.Err, kerr.SaslAuthenticationFailed):
		return sdk.Misconfigured("The topic %s cannot be read by the group %s: %w", e.Topic, groupOf(s.t.spec.Connector, s.config), e.Err)
	case errors.Is(e.Err, kgo.ErrClientClosed):
		return e.Err
	}
	s.logger.Warn("a topic cannot be read; it is tried again", "task", s.t.spec.name(), "topic", e.Topic, "partition", e.Partition, "error", e.Err)
	return nil
}

// take converts what was read and puts it.
func (s *sink) take(read reading) error {
	s.t.meter.holds()
	s.next = map[sdk.TopicPartition]int64{}
	s.pending = make([]*sdk.Record, 0, read.fetches.NumRecords())
	made := make([]sdk.Record, read.fetches.NumRecords()-len(read.made)) // the task may keep them
	at := 0
	var err error
	read.fetches.EachPartition(func(p kgo.FetchTopicPartition) {
		tp := sdk.TopicPartition{Topic: p.Topic, Partition: p.Partition}
		mine := s.parts[tp]
		if mine == nil || len(p.Records) == 0 || err != nil {
			at += len(p.Records)
			return
		}
		mine.high = p.HighWatermark
		s.next[tp] = p.Records[len(p.Records)-1].Offset + 1
		s.uses(p.Topic)
		for _, raw := range p.Records {
			s.letters.remember(raw)
			if i := at; i < len(read.made) {
				if read.made[i] != nil {
					s.pending = append(s.pending, read.made[i])
				}
			} else if err = s.convert(raw, &made[i-len(read.made)]); err != nil {
				return
			}
			at++
		}
	})
	if err != nil {
		return err
	}
	s.readAhead(read)
	return s.putAll()
}

func (s *sink) uses(topic string) {
	if _, known := s.topics[topic]; !known {
		s.topics[topic] = struct{}{}
		s.t.spec.used(topic)
	}
}

// convert adds a record to those that are to be put, unless it is dropped or passed over.
func (s *sink) convert(raw *kgo.Record, made *sdk.Record) error {
	out, err := s.decode(raw, made)
	if sdk.CauseOf(err) == sdk.Transient {
		err = s.policy.again(s.ctx, err, func() (err error) { out, err = s.decode(raw, made); return err })
	}
	if err != nil {
		return s.policy.passOver(err, raw.Topic, raw)
	}
	if out != nil {
		s.pending = append(s.pending, out)
	}
	return nil
}

func (s *sink) decode(raw *kgo.Record, made *sdk.Record) (*sdk.Record, error) {
	if err := s.pipe.decode(raw, made); err != nil {
		return nil, err
	}
	return s.pipe.transform(made)
}

// putAll puts what is pending, again and again while that fails with an error that passes. It does not work while it waits, so that the
// group goes on; partitions that go meanwhile take their records with them.
func (s *sink) putAll() error {
	for tries := 0; ; {
		count := len(s.pending)
		err := s.putOnce()
		s.goBack()
		switch {
		case err == nil:
			if tries > 0 {
				s.fine()
			}
			for tp, at := range s.next {
				s.parts[tp].put = at
			}
			s.pending, s.next = nil, nil
			lag := s.lag()
			s.t.meter.behind.Store(lag)
			s.t.meter.did(int64(count), 0, lag > 0)
			return nil
		case s.ctx.Err() != nil:
			return s.ctx.Err()
		case sdk.CauseOf(err) != sdk.Transient:
			return err
		}
		tries++
		wait, err := s.nextTry(s.task, tries, err)
		if err != nil {
			return err
		}
		s.unlock()
		s.leaveAhead()
		ended := s.sleep(wait)
		s.work <- struct{}{} // those who hold it do not wait for others when the run is cut off
		if ended != nil {
			return ended
		}
	}
}

// putOnce gives what is pending to the task, and reports the records that it refuses.
func (s *sink) putOnce() error {
	if len(s.pending) == 0 {
		return nil
	}
	err := s.task.Put(s.soft, s.pending)
	refused := refusals(err)
	if refused == nil {
		if err != nil {
			err = fmt.Errorf("the sink does not take records: %w", err)
		}
		return err
	}
	for _, one := range refused {
		if err := s.report(one.Record, one.Err); err != nil {
			return err
		}
	}
	return nil
}

// refusals gives the records that an error is about, if it is about nothing else.
func refusals(err error) []*sdk.RecordError {
	if many, ok := err.(interface{ Unwrap() []error }); ok {
		var all []*sdk.RecordError
		for _, one := range many.Unwrap() {
			some := refusals(one)
			if some == nil {
				return nil
			}
			all = append(all, some...)
		}
		return all
	}
	var one *sdk.RecordError
	if errors.As(err, &one) {
		return []*sdk.RecordError{one}
	}
	return nil
}

// report decides about a record that the task refuses.
func (s *sink) report(r *sdk.Record, err error) error {
	raw := &kgo.Record{Topic: r.From.Topic, Partition: r.From.Partition, Offset: r.Offset, Timestamp: r.Timestamp}
	if s.letters != nil {
		if raw = s.letters.find(r); raw == nil {
			return nil // it is another task's now, which is given it again
		}
	}
	return s.policy.passOver(&stageError{stagePut, s.t.spec.Type.Info().Class, err}, raw.Topic, raw)
}

// lag counts the records that are known to be there and were not put.
func (s *sink) lag() (behind int64) {
	for _, p := range s.parts {
		if p.put >= 0 {
			behind += max(0, p.high-p.put)
		}
	}
	return behind
}

func (s *sink) assigned(p map[string][]int32) error {
	came := partitionsOf(p)
	for _, tp := range came {
		s.parts[tp] = &part{put: -1, kept: -1}
	}
	t, ok := s.task.(sdk.Partitioned)
	if !ok || len(came) == 0 {
		return nil
	}
	during := func(yes bool) {
		s.asked.Lock()
		s.assigning = yes
		s.asked.Unlock()
	}
	during(true)
	defer during(false)
	return t.Assigned(s.soft, came)
}

// beginnings puts in, for the offsets that the group has, those that the task wants instead. The client calls it after assigned.
func (s *sink) beginnings(_ context.Context, offsets map[string]map[int32]kgo.Offset) (map[string]map[int32]kgo.Offset, error) {
	s.asked.Lock()
	defer s.asked.Unlock()
	for tp, at := range s.begin {
		if _, ok := offsets[tp.Topic][tp.Partition]; ok {
			offsets[tp.Topic][tp.Partition] = kgo.NewOffset().At(at)
			delete(s.begin, tp)
		}
	}
	return offsets, nil
}

// revoked keeps the offsets before partitions go to somebody else.
func (s *sink) revoked(p map[string][]int32) error {
	if err := s.flush(s.soft); err != nil {
		return err
	}
	return s.went(p, false)
}

// went forgets partitions: what is kept of them from now on is their next owner's.
func (s *sink) went(p map[string][]int32, lost bool) error {
	gone := slices.DeleteFunc(partitionsOf(p), func(tp sdk.TopicPartition) bool { return s.parts[tp] == nil })
	for _, tp := range gone {
		delete(s.parts, tp)
		delete(s.next, tp)
		s.letters.forget(tp, maxOffset)
	}
	s.pending = slices.DeleteFunc(s.pending, func(r *sdk.Record) bool { return s.parts[r.From] == nil })
	if t, ok := s.task.(sdk.Partitioned); ok && len(gone) > 0 {
		return t.Revoked(s.soft, gone, lost)
	}
	return nil
}

const maxOffset = 1<<63 - 1

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
	done := make(map[sdk.TopicPartition]int64, len(s.parts))
	for tp, p := range s.parts {
		if p.put >= 0 {
			done[tp] = p.put
		}
	}
	if f, ok := s.task.(sdk.Flusher); ok && len(done) > 0 {
		put := done
		var err error
		done, err = f.Flush(ctx, maps.Clone(put))
		switch {
		case sdk.CauseOf(err) == sdk.Transient, err != nil && s.ctx.Err() != nil:
			s.logger.Warn("a sink cannot finish what it was given; it is tried again", "task", s.t.spec.name(), "error", s.mask(err.Error()))
			return nil
		case err != nil:
			return fmt.Errorf("the sink cannot finish what it was given: %w", err)
		}
		for tp, at := range done {
			if at > put[tp] {
				return fmt.Errorf("the connector has a mistake, please report it: it is done with %s-%d up to %d, and was given only what is before %d", tp.Topic, tp.Partition, at, put[tp])
			}
		}
	}
	return s.commit(ctx, done)
}

// commit keeps offsets in the group. If that does not succeed, the next flush tries again. After the run is over nothing is kept.
func (s *sink) commit(ctx context.Context, done map[sdk.TopicPartition]int64) error {
	offsets := map[string]map[int32]kgo.EpochOffset{}
	for tp, at := range done {
		if p := s.parts[tp]; p == nil || p.kept == at {
			continue
		}
		if offsets[tp.Topic] == nil {
			offsets[tp.Topic] = map[int32]kgo.EpochOffset{}
		}
		offsets[tp.Topic][tp.Partition] = kgo.EpochOffset{Epoch: -1, Offset: at}
	}
	if len(offsets) == 0 || s.hard.Err() != nil {
		return nil
	}
	if err := s.letters.arrived(ctx); err != nil {
		if s.ctx.Err() != nil {
			return nil
		}
		return err
	}
	s.client.CommitOffsetsSync(ctx, offsets, func(_ *kgo.Client, _ *kmsg.OffsetCommitRequest, resp *kmsg.OffsetCommitResponse, err error) {
		if err != nil {
			s.logger.Warn("offsets cannot be kept; it is tried again", "task", s.t.spec.name(), "error", err)
			return
		}
		for _, t := range resp.Topics {
			for _, p := range t.Partitions {
				if err := kerr.ErrorForCode(p.ErrorCode); err != nil {
					s.logger.Warn("offsets cannot be kept; it is tried again", "task", s.t.spec.name(), "topic", t.Topic, "partition", p.Partition, "error", err)
					continue
				}
				tp := sdk.TopicPartition{Topic: t.Topic, Partition: p.Partition}
				if mine := s.parts[tp]; mine != nil {
					mine.kept = done[tp]
					s.letters.forget(tp, done[tp])
				}
			}
		}
	})
	return nil
}

// finish keeps what is done, and takes the partitions from the task, before the run ends.
func (s *sink) finish() {
	s.ended = true
	_, flushes := s.task.(sdk.Flusher)
	err := s.guard(func() error {
		if s.failed.Err() != nil && flushes {
			return nil // who knows what it is done with
		}
		ctx, cancel := context.WithTimeout(s.hard, s.t.r.cfg.Grace*3/4)
		defer cancel()
		return s.flush(ctx)
	})
	if t, ok := s.task.(sdk.Partitioned); ok && len(s.parts) > 0 {
		all := slices.Collect(maps.Keys(s.parts))
		err = errors.Join(err, s.guard(func() error { return t.Revoked(s.soft, all, false) }))
	}
	if err != nil {
		s.logger.Warn("a sink did not end well; some records come again", "task", s.t.spec.name(), "error", s.mask(err.Error()))
	}
}

// goBack begins at other offsets, where the task asked for it.
func (s *sink) goBack() {
	s.asked.Lock()
	rewind := s.rewind
	s.rewind = nil
	s.asked.Unlock()
	if len(rewind) > 0 {
		s.rewinds = true
	}
	if s.rewinds && s.ahead != nil { // it is of offsets that come later
		s.unlock()
		s.leaveAhead()
		s.work <- struct{}{}
	}
	to := map[string]map[int32]kgo.EpochOffset{}
	for tp, at := range rewind {
		p := s.parts[tp]
		if p == nil {
			continue
		}
		if to[tp.Topic] == nil {
			to[tp.Topic] = map[int32]kgo.EpochOffset{}
		}
		to[tp.Topic][tp.Partition] = kgo.EpochOffset{Epoch: -1, Offset: at}
		p.put = at
		delete(s.next, tp)
		s.pending = slices.DeleteFunc(s.pending, func(r *sdk.Record) bool { return r.From == tp })
	}
	if len(to) > 0 {
		s.client.SetOffsets(to)
	}
}

type sinkContext struct {
	taskContext
	s *sink
}

// Report implements sdk.SinkContext.
func (c sinkContext) Report(r *sdk.Record, err error) error { return c.s.report(r, err) }

// End implements sdk.SinkContext. Who calls it holds the work.
func (c sinkContext) End(tp sdk.TopicPartition) int64 {
	if p := c.s.parts[tp]; p != nil {
		return p.high
	}
	return 0
}

// Rewind implements sdk.SinkContext.
func (c sinkContext) Rewind(to map[sdk.TopicPartition]int64) {
	c.s.asked.Lock()
	defer c.s.asked.Unlock()
	into := &c.s.rewind
	if c.s.assigning {
		into = &c.s.begin
	}
	if *into == nil {
		*into = map[sdk.TopicPartition]int64{}
	}
	maps.Copy(*into, to)
}
