package runtime

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/weir/weir/connect/sdk"
	"github.com/weir/weir/weirtest"
)

var (
	sinkOf   = map[string]string{"topics": "in"}
	tolerant = map[string]string{
		"topics": "in", "errors.tolerance": "all", "errors.deadletterqueue.topic.name": "dead", "errors.deadletterqueue.context.headers.enable": "true",
		"value.converter": "org.apache.kafka.connect.json.JsonConverter", "value.converter.schemas.enable": "false",
	}
)

func with(config map[string]string, more ...string) map[string]string {
	out := map[string]string{}
	for k, v := range config {
		out[k] = v
	}
	for i := 0; i < len(more); i += 2 {
		out[more[i]] = more[i+1]
	}
	return out
}

// kept waits until the sink's offset of the topic in is so.
func (p *place) kept(at int64) {
	p.t.Helper()
	p.eventually(fmt.Sprintf("offset %d to be kept", at), func() bool {
		offsets, err := p.r.SinkOffsets(p.t.Context(), "c", nil)
		return err == nil && offsets[sdk.TopicPartition{Topic: "in"}] == at
	})
}

// letters reads the records of the topic dead.
func (p *place) letters(count int) (out []*kgo.Record) {
	p.t.Helper()
	c, err := kgo.NewClient(kgo.SeedBrokers(p.node.Addr()), kgo.ConsumeTopics("dead"))
	if err != nil {
		p.t.Fatal(err)
	}
	defer c.Close()
	ctx, cancel := context.WithTimeout(p.t.Context(), 30*time.Second)
	defer cancel()
	for len(out) < count {
		fetches := c.PollFetches(ctx)
		if err := fetches.Err(); err != nil {
			p.t.Fatalf("%d dead letters of %d: %v", len(out), count, err)
		}
		out = append(out, fetches.Records()...)
	}
	return out
}

// TestDeadLetters: records that fail are passed over and kept, as they were, with what is wrong with them; the others arrive.
func TestDeadLetters(t *testing.T) {
	refuse := func(c sdk.SinkContext, records []*sdk.Record) error {
		for _, r := range records {
			if r.Value == "bad" {
				return &sdk.RecordError{Record: r, Err: errors.New("no room")}
			}
		}
		return nil
	}
	for _, test := range []struct {
		name                         string
		config                       map[string]string
		put                          func(sdk.SinkContext, []*sdk.Record) error
		bad, stage, class, exception string
		good                         int
		plain                        bool
	}{
		{name: "converter", config: tolerant, bad: `{"half`, stage: "VALUE_CONVERTER", class: "org.apache.kafka.connect.json.JsonConverter", exception: "org.apache.kafka.connect.errors.DataException", good: 2},
		{name: "transform", config: with(tolerant, "transforms", "x", "transforms.x.type", "org.apache.kafka.connect.transforms.ExtractField$Value", "transforms.x.field", "a"),
			bad: `"text"`, stage: "TRANSFORMATION", class: "org.apache.kafka.connect.transforms.ExtractField$Value", exception: "org.apache.kafka.connect.errors.DataException", good: 2},
		{name: "Put", config: tolerant, put: refuse, bad: `"bad"`, stage: "TASK_PUT", class: "org.example.FakeSink", exception: "org.apache.kafka.connect.errors.ConnectException"},
		{name: "Put of many", config: tolerant, put: func(c sdk.SinkContext, records []*sdk.Record) error { return errors.Join(refuse(c, records)) },
			bad: `"bad"`, stage: "TASK_PUT", class: "org.example.FakeSink", exception: "org.apache.kafka.connect.errors.ConnectException"},
		{name: "Report", config: tolerant, put: func(c sdk.SinkContext, records []*sdk.Record) error {
			for _, r := range records {
				if r.Value == "bad" {
					if err := c.Report(r, errors.New("no room")); err != nil {
						return err
					}
				}
			}
			return nil
		}, bad: `"bad"`, stage: "TASK_PUT", class: "org.example.FakeSink", exception: "org.apache.kafka.connect.errors.ConnectException", good: 3},
		{name: "without context", config: with(tolerant, "errors.deadletterqueue.context.headers.enable", "false"), bad: `{"half`, good: 2, plain: true},
	} {
		t.Run(test.name, func(t *testing.T) {
			p := newPlace(t, nil, weirtest.Topic("in", 1))
			sink := &fakeSink{put: test.put}
			p.node.Produce("in", `{"a":"1"}`, test.bad, `{"a":"2"}`)
			task := p.start(sink, test.config)
			defer stop(task)
			p.kept(3)
			letter := p.letters(1)[0]
			if string(letter.Value) != test.bad {
				t.Errorf("the dead letter is %q", letter.Value)
			}
			if test.good > 0 && sink.count() != test.good {
				t.Errorf("the sink got %d records", sink.count())
			}
			if d := task.Details(); d.Skipped != 1 || d.DeadLetters != 1 {
				t.Errorf("counted as %+v", d)
			}
			got := map[string]string{}
			for _, h := range letter.Headers {
				got[strings.TrimPrefix(h.Key, "__connect.errors.")] = string(h.Value)
			}
			if test.plain {
				if len(got) > 0 {
					t.Errorf("it has headers: %v", got)
				}
				return
			}
			text := got["exception.message"]
			want := map[string]string{"topic": "in", "partition": "0", "offset": "1", "connector.name": "c", "task.id": "0", "stage": test.stage, "class.name": test.class,
				"exception.class.name": test.exception, "exception.message": text, "exception.stacktrace": test.exception + ": " + text + "\n"}
			if diff := cmp.Diff(want, got); diff != "" || text == "" {
				t.Errorf("headers (-want +got):\n%s", diff)
			}
		})
	}
}

// TestNoTolerance: without errors.tolerance=all a record that fails ends the run, with its place told, and is not passed by.
func TestNoTolerance(t *testing.T) {
	p := newPlace(t, nil, weirtest.Topic("in", 1))
	p.node.Produce("in", "good", "bad")
	var refused atomic.Int32
	task := p.start(&fakeSink{put: func(_ sdk.SinkContext, records []*sdk.Record) error {
		for _, r := range records {
			if r.Value == "bad" {
				refused.Add(1)
				return &sdk.RecordError{Record: r, Err: errors.New("no room")}
			}
		}
		return nil
	}}, with(sinkOf, "consumer.override.max.poll.records", "1"))
	p.eventually("the second try", func() bool { return refused.Load() >= 2 })
	stop(task)
	failed := p.find(func(s Status) bool { return s.State == Failed })
	if failed.Cause != sdk.Poison || !strings.Contains(failed.Trace, "in-0 offset 1") || !strings.Contains(failed.Trace, "no room") || !strings.Contains(failed.Trace, "errors.tolerance") {
		t.Errorf("told as %+v", failed)
	}
	p.kept(1)
}

// find gives the first status of a kind that was told.
func (p *place) find(is func(Status) bool) Status {
	p.t.Helper()
	var found Status
	p.eventually("a status", func() bool {
		p.mu.Lock()
		defer p.mu.Unlock()
		i := slices.IndexFunc(p.told, is)
		if i >= 0 {
			found = p.told[i]
		}
		return i >= 0
	})
	return found
}

// TestPutAgain: what passes is tried again with the same records, is told of after a while, and is nobody's failure; nothing is lost or comes
// twice.
func TestPutAgain(t *testing.T) {
	p := newPlace(t, nil, weirtest.Topic("in", 1))
	p.node.Produce("in", "a", "b")
	var tries atomic.Int32
	sink := &fakeSink{put: func(_ sdk.SinkContext, records []*sdk.Record) error {
		if tries.Add(1) <= troubleAfter+1 {
			return sdk.Retry(errors.New("the server is down"))
		}
		return nil
	}}
	task := p.start(sink, sinkOf)
	defer stop(task)
	p.kept(2)
	if diff := cmp.Diff([]any{"a", "b"}, sink.got); diff != "" {
		t.Error(diff)
	}
	told := p.find(func(s Status) bool { return s.Trace != "" })
	if told.State != Running || told.Cause != sdk.Transient || !strings.Contains(told.Trace, "the server is down") {
		t.Errorf("told as %+v", told)
	}
	if s := p.status(); s != (Status{State: Running}) {
		t.Errorf("in the end it says %+v", s)
	}
	if d := task.Details(); d.Retries != troubleAfter+1 || d.Failures != 0 || d.Records != 2 {
		t.Errorf("counted as %+v", d)
	}
}

// TestPutAgainAsOften: a task whose options say how often it is tried again fails after that, with the cause that passes, and starts again
// by itself; nothing is lost.
func TestPutAgainAsOften(t *testing.T) {
	for _, most := range []int{0, 2} {
		p := newPlace(t, nil, weirtest.Topic("in", 1))
		p.node.Produce("in", "a", "b")
		var tries atomic.Int32
		sink := &retrying{most: most, fakeSink: fakeSink{put: func(sdk.SinkContext, []*sdk.Record) error {
			if tries.Add(1) <= int32(most)+1 {
				return sdk.Retry(errors.New("the server is down"))
			}
			return nil
		}}}
		task := p.start(sink, sinkOf)
		p.kept(2)
		failed := p.find(func(s Status) bool { return s.State == Failed })
		if failed.Cause != sdk.Transient || !strings.Contains(failed.Trace, fmt.Sprintf("it was tried %d times", most+1)) || !strings.Contains(failed.Trace, "the server is down") {
			t.Errorf("%d retries: told as %+v", most, failed)
		}
		if d := task.Details(); d.Retries != int64(most) || d.Failures != 1 || sink.starts.Load() != 2 {
			t.Errorf("%d retries: counted as %+v, started %d times", most, d, sink.starts.Load())
		}
		stop(task)
		if diff := cmp.Diff([]any{"a", "b"}, sink.got); diff != "" {
			t.Error(diff)
		}
	}
}

// TestGroupGoesOn: a task that waits to put again gives up partitions, with their records, when another task comes.
func TestGroupGoesOn(t *testing.T) {
	p := newPlace(t, nil, weirtest.Topic("in", 2))
	p.node.Produce("in", "a", "b", "c", "d")
	var down atomic.Bool
	down.Store(true)
	sink := &fakeSink{put: func(_ sdk.SinkContext, records []*sdk.Record) error {
		if down.Load() {
			return sdk.Retry(errors.New("the server is down"))
		}
		return nil
	}}
	one := p.start(sink, sinkOf)
	p.find(func(s Status) bool { return s.Trace != "" })
	came := make(chan struct{})
	var told atomic.Bool
	two := p.r.Start(Spec{Connector: "c", Task: 1, Type: &fullSink{assigned: func(_ sdk.SinkContext, all []sdk.TopicPartition) error {
		if !told.Swap(true) {
			close(came)
		}
		return nil
	}}, Config: sinkOf, Status: func(Status) {}})
	defer stop(two)
	<-came
	down.Store(false)
	p.eventually("all to be kept", func() bool {
		offsets, err := p.r.SinkOffsets(t.Context(), "c", nil)
		sum := int64(0)
		for _, at := range offsets {
			sum += at
		}
		return err == nil && sum == 4
	})
	stop(one)
}

// TestFlusher: only what the task is done with is kept; a task that says more than that is wrong.
func TestFlusher(t *testing.T) {
	p := newPlace(t, nil, weirtest.Topic("in", 1))
	p.node.Produce("in", "a", "b", "c")
	var done atomic.Int64
	done.Store(2)
	sink := &fullSink{flush: func(put map[sdk.TopicPartition]int64) (map[sdk.TopicPartition]int64, error) {
		for tp := range put {
			put[tp] = done.Load()
		}
		return put, nil
	}}
	task := p.start(sink, sinkOf)
	p.kept(2)
	done.Store(3)
	p.kept(3)
	stop(task)
	done.Store(9)
	p.node.Produce("in", "d")
	task = p.start(sink, sinkOf)
	failed := p.find(func(s Status) bool { return s.State == Failed })
	stop(task)
	if !strings.Contains(failed.Trace, "up to 9") {
		t.Errorf("told as %+v", failed)
	}
	p.kept(3)
}

// TestRewind: a task begins where it wants, when it gets partitions and while it runs.
func TestRewind(t *testing.T) {
	p := newPlace(t, nil, weirtest.Topic("in", 1))
	p.node.Produce("in", "a", "b", "c", "d")
	var rewound atomic.Bool
	in := sdk.TopicPartition{Topic: "in"}
	sink := &fullSink{assigned: func(c sdk.SinkContext, _ []sdk.TopicPartition) error {
		c.Rewind(map[sdk.TopicPartition]int64{in: 1})
		return nil
	}}
	sink.put = func(c sdk.SinkContext, records []*sdk.Record) error {
		if records[len(records)-1].Value == "d" && !rewound.Swap(true) {
			c.Rewind(map[sdk.TopicPartition]int64{in: 2})
		}
		return nil
	}
	task := p.start(sink, sinkOf)
	defer stop(task)
	p.eventually("all", func() bool { return sink.count() == 5 })
	p.kept(4)
	if diff := cmp.Diff([]any{"b", "c", "d", "c", "d"}, sink.got); diff != "" {
		t.Error(diff)
	}
}

// TestEnd: a task can ask where a partition ends.
func TestEnd(t *testing.T) {
	p := newPlace(t, nil, weirtest.Topic("in", 1))
	p.node.Produce("in", "a", "b", "c", "d")
	var end, elsewhere atomic.Int64
	sink := &fullSink{}
	sink.put = func(c sdk.SinkContext, records []*sdk.Record) error {
		end.Store(c.End(records[0].From))
		elsewhere.Store(c.End(sdk.TopicPartition{Topic: "in", Partition: 7}))
		return nil
	}
	task := p.start(sink, sinkOf)
	defer stop(task)
	p.eventually("all", func() bool { return sink.count() == 4 })
	if end.Load() != 4 || elsewhere.Load() != 0 {
		t.Errorf("it ends at %d, and that which it does not have at %d", end.Load(), elsewhere.Load())
	}
}

// TestPartitionsComeAndGo: a task hears of the partitions that it gets, and that they are taken from it at its end, before it is stopped.
func TestPartitionsComeAndGo(t *testing.T) {
	p := newPlace(t, nil, weirtest.Topic("in", 2))
	var heard []string
	sink := &fullSink{
		assigned: func(_ sdk.SinkContext, all []sdk.TopicPartition) error {
			heard = append(heard, fmt.Sprint("got ", all))
			return nil
		},
		revoked: func(all []sdk.TopicPartition, lost bool) error {
			slices.SortFunc(all, func(a, b sdk.TopicPartition) int { return int(a.Partition - b.Partition) })
			heard = append(heard, fmt.Sprint("gave ", all, lost))
			return nil
		},
	}
	p.node.Produce("in", "a")
	task := p.start(sink, sinkOf)
	p.eventually("a record", func() bool { return sink.count() == 1 })
	stop(task)
	if diff := cmp.Diff([]string{"got [{in 0} {in 1}]", "gave [{in 0} {in 1}] false"}, heard); diff != "" {
		t.Error(diff)
	}
}

// TestHangingSink: a sink that hangs is left alone; another run takes its partitions at once, and what the first one does when it wakes up
// changes nothing.
func TestHangingSink(t *testing.T) {
	p := newPlace(t, nil, weirtest.Topic("in", 1))
	p.node.Produce("in", "a")
	hanging, wake := make(chan struct{}), make(chan struct{})
	first := &fakeSink{put: func(sdk.SinkContext, []*sdk.Record) error { close(hanging); <-wake; return nil }}
	task := p.start(first, sinkOf)
	<-hanging
	giveUp(task)
	p.node.Produce("in", "b")
	second := &fakeSink{}
	task = p.start(second, sinkOf)
	defer stop(task)
	p.kept(2)
	close(wake)
	p.eventually("the first to stop", func() bool { return first.stops.Load() == 1 })
	if diff := cmp.Diff([]any{"a", "b"}, second.got); diff != "" {
		t.Error(diff)
	}
	p.kept(2)
}

// TestNoTopics: what a configuration lacks is told in a sentence.
func TestNoTopics(t *testing.T) {
	p := newPlace(t, nil)
	for _, test := range []struct {
		config map[string]string
		want   string
	}{
		{nil, "Must configure one of topics or topics.regex"},
		{map[string]string{"topics.regex": "("}, "topics.regex"},
		{with(sinkOf, "consumer.override.max.poll.records", "many"), "consumer.override.max.poll.records"},
		{with(sinkOf, "consumer.override.isolation.level", "some"), "consumer.override.isolation.level"},
		{with(sinkOf, "consumer.override.fetch.max.byte", "1"), "consumer.override.fetch.max.byte"},
		{with(sinkOf, "value.converter", "nope"), "nope"},
		{with(sinkOf, "transforms", "x"), "transforms.x.type"},
		{with(sinkOf, "errors.tolerance", "some"), "errors.tolerance"},
		{with(sinkOf, "x", "${env:NO_SUCH_VARIABLE}"), "NO_SUCH_VARIABLE"},
	} {
		p.mu.Lock()
		p.told = nil
		p.mu.Unlock()
		task := p.start(&fakeSink{}, test.config)
		failed := p.find(func(s Status) bool { return s.State == Failed })
		stop(task)
		if failed.Cause != sdk.Configuration || !strings.Contains(failed.Trace, test.want) {
			t.Errorf("%v is told as %+v", test.config, failed)
		}
	}
}
