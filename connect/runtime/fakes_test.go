package runtime

import (
	"context"
	"sync"
	"sync/atomic"
	"time"

	"github.com/weir/weir/connect/sdk"
)

// fakeSource is a source made of functions; those that are nil do nothing.
type fakeSource struct {
	options []sdk.Option
	start   func(c sdk.SourceContext, v sdk.Values) error
	poll    func(ctx context.Context) ([]*sdk.Record, error)
	records []*sdk.Record // what the first Poll of each run gives, if there is no poll
	acked   func(p []sdk.Position) error
	durable func(polls int)
	starts  atomic.Int32
	stops   atomic.Int32
}

func (f *fakeSource) Info() sdk.Info          { return sdk.Info{Class: "org.example.FakeSource", Version: "1"} }
func (f *fakeSource) Options() []sdk.Option   { return f.options }
func (f *fakeSource) NewTask() sdk.SourceTask { return &fakeSourceTask{f: f} }

type fakeSourceTask struct {
	f     *fakeSource
	given bool
}

func (t *fakeSourceTask) Start(_ context.Context, c sdk.SourceContext, v sdk.Values) error {
	t.f.starts.Add(1)
	if t.f.start != nil {
		return t.f.start(c, v)
	}
	return nil
}

func (t *fakeSourceTask) Poll(ctx context.Context) ([]*sdk.Record, error) {
	if t.f.poll == nil {
		if given := t.f.records; given != nil && !t.given {
			t.given = true
			return given, nil
		}
		<-ctx.Done()
		return nil, ctx.Err()
	}
	return t.f.poll(ctx)
}

func (t *fakeSourceTask) Acknowledged(_ context.Context, p []sdk.Position) error {
	if t.f.acked != nil {
		return t.f.acked(p)
	}
	return nil
}

func (t *fakeSourceTask) Durable(polls int) {
	if t.f.durable != nil {
		t.f.durable(polls)
	}
}

func (t *fakeSourceTask) Stop() error { t.f.stops.Add(1); return nil }

// fakeSink is a sink made of functions; those that are nil do nothing. It remembers the values that Put has taken.
type fakeSink struct {
	start  func(c sdk.SinkContext) error
	put    func(c sdk.SinkContext, records []*sdk.Record) error
	starts atomic.Int32
	stops  atomic.Int32

	mu  sync.Mutex
	got []any
}

func (f *fakeSink) Info() sdk.Info        { return sdk.Info{Class: "org.example.FakeSink", Version: "1"} }
func (f *fakeSink) Options() []sdk.Option { return nil }
func (f *fakeSink) NewTask() sdk.SinkTask { return &fakeSinkTask{f: f} }

type fakeSinkTask struct {
	f *fakeSink
	c sdk.SinkContext
}

func (t *fakeSinkTask) Start(_ context.Context, c sdk.SinkContext, _ sdk.Values) error {
	t.c = c
	t.f.starts.Add(1)
	if t.f.start != nil {
		return t.f.start(c)
	}
	return nil
}

func (t *fakeSinkTask) Put(_ context.Context, records []*sdk.Record) error {
	if t.f.put != nil {
		if err := t.f.put(t.c, records); err != nil {
			return err
		}
	}
	t.f.mu.Lock()
	defer t.f.mu.Unlock()
	for _, r := range records {
		t.f.got = append(t.f.got, r.Value)
	}
	return nil
}

func (t *fakeSinkTask) Stop() error { t.f.stops.Add(1); return nil }

func (f *fakeSink) count() int {
	f.mu.Lock()
	defer f.mu.Unlock()
	return len(f.got)
}

// retrying is a fakeSink that says how often it is tried again.
type retrying struct {
	fakeSink
	most int
	wait time.Duration
}

func (f *retrying) NewTask() sdk.SinkTask { return &retryingTask{fakeSinkTask{f: &f.fakeSink}, f} }

type retryingTask struct {
	fakeSinkTask
	f *retrying
}

func (t *retryingTask) Retries(error) (int, time.Duration) { return t.f.most, t.f.wait }

// fullSink is a fakeSink that flushes and hears of partitions.
type fullSink struct {
	fakeSink
	flush    func(put map[sdk.TopicPartition]int64) (map[sdk.TopicPartition]int64, error)
	assigned func(c sdk.SinkContext, p []sdk.TopicPartition) error
	revoked  func(p []sdk.TopicPartition, lost bool) error
}

func (f *fullSink) NewTask() sdk.SinkTask { return &fullSinkTask{fakeSinkTask{f: &f.fakeSink}, f} }

type fullSinkTask struct {
	fakeSinkTask
	f *fullSink
}

func (t *fullSinkTask) Flush(_ context.Context, put map[sdk.TopicPartition]int64) (map[sdk.TopicPartition]int64, error) {
	if t.f.flush != nil {
		return t.f.flush(put)
	}
	return put, nil
}

func (t *fullSinkTask) Assigned(_ context.Context, p []sdk.TopicPartition) error {
	if t.f.assigned != nil {
		return t.f.assigned(t.c, p)
	}
	return nil
}

func (t *fullSinkTask) Revoked(_ context.Context, p []sdk.TopicPartition, lost bool) error {
	if t.f.revoked != nil {
		return t.f.revoked(p, lost)
	}
	return nil
}
