package runtime

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/twmb/franz-go/pkg/kadm"

	"github.com/weir/weir/connect/sdk"
	"github.com/weir/weir/weirtest"
)

var partition = map[string]any{"from": "here"}

func record(topic string, value any, at int64) *sdk.Record {
	return &sdk.Record{Topic: topic, Partition: -1, Value: value, At: &sdk.Position{Partition: partition, Offset: map[string]any{"at": at}}}
}

func withKey(r *sdk.Record, key any) *sdk.Record { r.Key = key; return r }

// at gives the offset that is kept of the source; -1: none.
func (p *place) at() int64 {
	p.t.Helper()
	all, err := p.r.Positions(p.t.Context(), "c")
	if err != nil {
		p.t.Fatal(err)
	}
	if len(all) == 0 {
		return -1
	}
	n, _ := sdk.Int64Of(all[0].Offset, "at")
	return n
}

// TestSharedPosition: a position that all records of a poll share is kept when all of them are in the topic, however many they are, and
// not when the last one is not.
func TestSharedPosition(t *testing.T) {
	for _, bad := range []bool{false, true} {
		p := newPlace(t, map[string]string{"value.converter": "org.apache.kafka.connect.converters.LongConverter"}, weirtest.Topic("out", 1))
		const count = 2*mostOfBatch + 500
		shared := &sdk.Position{Partition: partition, Offset: map[string]any{"at": int64(count)}}
		records := make([]*sdk.Record, count)
		for i := range records {
			records[i] = &sdk.Record{Topic: "out", Partition: -1, Value: int64(i), At: shared}
		}
		if bad {
			records[count-1].Value = "no number"
		}
		task := p.start(&fakeSource{records: records}, nil)
		if bad {
			if s := p.find(func(s Status) bool { return s.State == Failed }); s.Cause != sdk.Poison {
				t.Errorf("told as %+v", s)
			}
			stop(task)
			if at := p.at(); at != -1 {
				t.Errorf("a position behind a record that failed is kept: %d", at)
			}
			continue
		}
		p.eventually("the position", func() bool { return p.at() == count })
		stop(task)
		if got := len(p.node.Consume("out", count)); got != count {
			t.Errorf("%d records", got)
		}
	}
}

// TestMarks: a record that only says how far the source is, is not sent, and its position is kept.
func TestMarks(t *testing.T) {
	p := newPlace(t, map[string]string{"value.converter": "org.apache.kafka.connect.converters.LongConverter"}, weirtest.Topic("out", 1))
	task := p.start(&fakeSource{records: []*sdk.Record{record("out", int64(7), 1), {At: &sdk.Position{Partition: partition, Offset: map[string]any{"at": int64(2)}}}}}, nil)
	p.eventually("the position", func() bool { return p.at() == 2 })
	stop(task)
	if got := len(p.node.Consume("out", 1)); got != 1 {
		t.Errorf("%d records", got)
	}
}

// TestDurable: a source hears of each poll once, when all of its records are in the topic or passed over.
func TestDurable(t *testing.T) {
	p := newPlace(t, map[string]string{"value.converter": "org.apache.kafka.connect.converters.LongConverter"}, weirtest.Topic("out", 1))
	sizes := []int{1, 2*mostOfBatch + 5, 0, 3}
	var polls, heard, early atomic.Int64
	var mu sync.Mutex
	ends := []int64{} // of each poll, in the topic
	source := &fakeSource{}
	source.poll = func(ctx context.Context) ([]*sdk.Record, error) {
		n := int(polls.Add(1)) - 1
		if n >= len(sizes) {
			<-ctx.Done()
			return nil, ctx.Err()
		}
		out := make([]*sdk.Record, sizes[n])
		for i := range out {
			out[i] = &sdk.Record{Topic: "out", Partition: -1, Value: int64(i)}
		}
		if n == 3 {
			out[1].Value = "no number"
		}
		if len(out) > 0 {
			mu.Lock()
			defer mu.Unlock()
			end := int64(len(out))
			if len(ends) > 0 {
				end += ends[len(ends)-1]
			}
			if n == 3 {
				end--
			}
			ends = append(ends, end)
		}
		return out, nil
	}
	source.durable = func(polls int) {
		n := heard.Add(int64(polls))
		mu.Lock()
		defer mu.Unlock()
		if int64(len(ends)) < n {
			early.Add(1)
		}
	}
	task := p.start(source, map[string]string{"errors.tolerance": "all"})
	defer stop(task)
	p.eventually("all polls", func() bool { return heard.Load() == 3 })
	if early.Load() > 0 {
		t.Error("a source heard of polls that it had not given")
	}
	mu.Lock()
	defer mu.Unlock()
	if got := len(p.node.Consume("out", int(ends[2]))); int64(got) != ends[2] {
		t.Errorf("%d records are there, not %d", got, ends[2])
	}
}

// TestSourceTolerance: with errors.tolerance=all records that cannot be converted, or that a topic does not take, are passed over, and
// the source goes on behind them.
func TestSourceTolerance(t *testing.T) {
	p := newPlace(t, nil, weirtest.Topic("out", 1, "max.message.bytes=10000"))
	config := map[string]string{"errors.tolerance": "all", "transforms": "x", "transforms.x.type": "org.apache.kafka.connect.transforms.ExtractField$Key", "transforms.x.field": "id"}
	key := func(r *sdk.Record) *sdk.Record { return withKey(r, map[string]any{"id": "k"}) }
	bad := withKey(record("out", "without a key that has fields", 2), "text")
	task := p.start(&fakeSource{records: []*sdk.Record{key(record("out", "a", 1)), bad, key(record("out", strings.Repeat("x", 100_000), 3)), key(record("out", "b", 4))}}, config)
	p.eventually("the position", func() bool { return p.at() == 4 })
	stop(task)
	if diff := cmp.Diff([]string{"a", "b"}, p.node.Consume("out", 2)); diff != "" {
		t.Error(diff)
	}
	if d := task.Details(); d.Skipped != 3 { // the one without fields in both runs
		t.Errorf("counted as %+v", d)
	}
}

// TestTooLarge: without tolerance a record that the topic does not take ends the run, and nothing behind it is kept as done.
func TestTooLarge(t *testing.T) {
	p := newPlace(t, nil, weirtest.Topic("out", 1, "max.message.bytes=10000"))
	task := p.start(&fakeSource{records: []*sdk.Record{record("out", strings.Repeat("x", 100_000), 1), record("out", "b", 2)}}, nil)
	s := p.find(func(s Status) bool { return s.State == Failed })
	stop(task)
	if s.Cause != sdk.Poison || !strings.Contains(s.Trace, "max.message.bytes") {
		t.Errorf("told as %+v", s)
	}
	if at := p.at(); at != -1 {
		t.Errorf("%d is kept", at)
	}
}

// TestTopicsOfSources: topics are created as the rules say; without rules and where the cluster creates none, it is told which is missing.
func TestTopicsOfSources(t *testing.T) {
	p := newPlace(t, nil, weirtest.Config("auto.create.topics.enable=false"))
	rules := map[string]string{
		"topic.creation.default.partitions": "3", "topic.creation.default.replication.factor": "-1", "topic.creation.default.retention.ms": "1234",
		"topic.creation.groups": "small", "topic.creation.small.include": "s.*", "topic.creation.small.exclude": "sss", "topic.creation.small.partitions": "1",
		"topic.creation.small.cleanup.policy": "compact",
	}
	task := p.start(&fakeSource{records: []*sdk.Record{record("big", "a", 1), withKey(record("s", "b", 2), "k"), record("sss", "c", 3)}}, rules)
	p.eventually("the position", func() bool { return p.at() == 3 })
	stop(task)
	admin, err := p.r.admin()
	if err != nil {
		t.Fatal(err)
	}
	topics, err := admin.ListTopics(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	configs, err := admin.DescribeTopicConfigs(t.Context(), "big", "s", "sss")
	if err != nil {
		t.Fatal(err)
	}
	got := map[string]string{}
	for _, c := range configs {
		values := map[string]string{}
		for _, v := range c.Configs {
			values[v.Key] = v.MaybeValue()
		}
		got[c.Name] = fmt.Sprint(len(topics[c.Name].Partitions), " ", values["cleanup.policy"], " ", values["retention.ms"])
	}
	if diff := cmp.Diff(map[string]string{"big": "3 delete 1234", "s": "1 compact 604800000", "sss": "3 delete 1234"}, got); diff != "" {
		t.Error(diff)
	}
	for _, test := range []struct {
		config map[string]string
		want   string
	}{
		{map[string]string{"topic.creation.default.partitions": "1"}, "topic.creation.default.replication.factor"},
		{with(rules, "topic.creation.small.include", "("), "topic.creation.small.include"},
		{with(rules, "topic.creation.default.partitions", "0"), "topic.creation.default.partitions"},
		{with(rules, "topic.creation.default.replication.factor", "3"), "The topic missing cannot be created"},
		{map[string]string{"producer.override.acks": "1"}, "producer.override.acks"},
		{map[string]string{"admin.override.bootstrap.server": "x:1"}, "admin.override.bootstrap.server"},
		{map[string]string{"offsets.storage.topic": "mine"}, "offsets.storage.topic"},
	} {
		p.mu.Lock()
		p.told = nil
		p.mu.Unlock()
		task := p.start(&fakeSource{records: []*sdk.Record{record("missing", "a", 9)}}, test.config)
		s := p.find(func(s Status) bool { return s.State == Failed })
		stop(task)
		if s.Cause != sdk.Configuration || !strings.Contains(s.Trace, test.want) {
			t.Errorf("%v is told as %+v", test.config, s)
		}
	}
}

// TestPollAgain: a source that cannot be read for a while is polled again, and what is told is what is wrong now.
func TestPollAgain(t *testing.T) {
	p := newPlace(t, nil, weirtest.Topic("out", 1))
	var tries atomic.Int32
	task := p.start(&fakeSource{poll: func(ctx context.Context) ([]*sdk.Record, error) {
		if tries.Add(1) <= troubleAfter {
			return nil, sdk.Retry(errors.New("the database is down"))
		}
		if tries.Load() <= troubleAfter+2 {
			return nil, sdk.Retry(errors.New("the database is a standby"))
		}
		if tries.Load() == troubleAfter+3 {
			return []*sdk.Record{record("out", "a", 1)}, nil
		}
		<-ctx.Done()
		return nil, ctx.Err()
	}}, nil)
	defer stop(task)
	p.eventually("the position", func() bool { return p.at() == 1 })
	for _, trouble := range []string{"the database is down", "the database is a standby"} {
		if told := p.find(func(s Status) bool { return strings.Contains(s.Trace, trouble) }); told.State != Running || told.Cause != sdk.Transient {
			t.Errorf("told as %+v", told)
		}
	}
	if p.status() != (Status{State: Running}) {
		t.Errorf("then told as %+v", p.status())
	}
}

// TestMistakes: a connector that panics, wherever that is, fails; nothing else happens, and it starts again.
func TestMistakes(t *testing.T) {
	panics := func() error { panic("oh dear") }
	everything := func() *fullSink { return &fullSink{} }
	for name, c := range map[string]func() sdk.Connector{
		"Start": func() sdk.Connector {
			return &fakeSource{start: func(sdk.SourceContext, sdk.Values) error { return panics() }}
		},
		"Poll": func() sdk.Connector {
			return &fakeSource{poll: func(context.Context) ([]*sdk.Record, error) { return nil, panics() }}
		},
		"Acknowledged": func() sdk.Connector {
			return &fakeSource{records: []*sdk.Record{record("out", "a", 1)}, acked: func([]sdk.Position) error { return panics() }}
		},
		"Put": func() sdk.Connector {
			return &fakeSink{put: func(sdk.SinkContext, []*sdk.Record) error { return panics() }}
		},
		"Flush": func() sdk.Connector {
			s := everything()
			s.flush = func(map[sdk.TopicPartition]int64) (map[sdk.TopicPartition]int64, error) { return nil, panics() }
			return s
		},
		"Assigned": func() sdk.Connector {
			s := everything()
			s.assigned = func(sdk.SinkContext, []sdk.TopicPartition) error { return panics() }
			return s
		},
	} {
		t.Run(name, func(t *testing.T) {
			p := newPlace(t, nil, weirtest.Topic("in", 1), weirtest.Topic("out", 1))
			p.node.Produce("in", "a")
			task := p.start(c(), sinkOf)
			s := p.find(func(s Status) bool { return s.State == Failed })
			stop(task)
			if s.Cause != sdk.Unknown || !strings.Contains(s.Trace, "oh dear") {
				t.Errorf("told as %+v", s)
			}
		})
	}
}

// TestPause: a task that pauses is stopped, with what it has done kept, and goes on when it is resumed.
func TestPause(t *testing.T) {
	p := newPlace(t, nil)
	source := &counting{most: 1 << 40, acked: map[string]int64{}}
	task := p.start(source, nil)
	defer stop(task)
	acked := func() int64 {
		source.mu.Lock()
		defer source.mu.Unlock()
		return source.acked["0"]
	}
	p.eventually("progress", func() bool { return acked() > 0 })
	task.Pause()
	p.eventually("the pause", func() bool { return p.status() == Status{State: Paused} })
	before := acked()
	offsets, err := p.r.Positions(t.Context(), "c")
	if err != nil {
		t.Fatal(err)
	}
	if n, _ := sdk.Int64Of(offsets[0].Offset, "next"); n != before {
		t.Errorf("it is at %d, and %d is kept", before, n)
	}
	task.Resume()
	p.eventually("progress", func() bool { return acked() > before })
	if source.starts != 2 {
		t.Errorf("it was started %d times", source.starts)
	}
}

// TestHangingSource: a source that hangs is left alone when it is to stop, or to pause; what it does when it wakes up changes nothing.
func TestHangingSource(t *testing.T) {
	for _, pause := range []bool{false, true} {
		p := newPlace(t, nil, weirtest.Topic("out", 1))
		p.r.cfg.Grace = 50 * time.Millisecond
		hanging, wake := make(chan struct{}), make(chan struct{})
		var polls sync.Once
		source := &fakeSource{poll: func(context.Context) ([]*sdk.Record, error) {
			first := false
			polls.Do(func() { first = true })
			if first {
				return []*sdk.Record{record("out", "a", 1)}, nil
			}
			close(hanging)
			<-wake
			return []*sdk.Record{record("out", "b", 2)}, nil
		}}
		task := p.start(source, nil)
		<-hanging
		if pause {
			task.Pause()
			p.eventually("the pause", func() bool { return p.status().State == Paused })
		}
		giveUp(task)
		if err := p.r.SetPositions(t.Context(), "c", []sdk.Position{{Partition: partition, Offset: map[string]any{"at": 7}}}); err != nil {
			t.Fatal(err)
		}
		close(wake)
		p.eventually("the source to stop", func() bool { return source.stops.Load() == 1 })
		if at := p.at(); at != 7 {
			t.Errorf("it has kept %d after it was left alone", at)
		}
		if ends := p.end("out"); ends > 1 {
			t.Errorf("it has sent %d records", ends)
		}
	}
}

// end gives where partition 0 of a topic ends.
func (p *place) end(topic string) int64 {
	p.t.Helper()
	admin, err := p.r.admin()
	if err != nil {
		p.t.Fatal(err)
	}
	ends, err := admin.ListEndOffsets(p.t.Context(), topic)
	if err != nil {
		p.t.Fatal(err)
	}
	var end kadm.ListedOffset
	end, _ = ends.Lookup(topic, 0)
	return end.Offset
}

// TestSecrets: what a configuration refers to is looked up for each run, and is never told.
func TestSecrets(t *testing.T) {
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "db.properties"), []byte("password=sesame\nuser=ali\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	t.Setenv("WEIR_TEST_TOKEN", "s3cr3t")
	p := newPlace(t, map[string]string{"file.root": dir})
	source := &fakeSource{
		options: []sdk.Option{{Name: "url", Kind: sdk.StringOption, Required: true}, {Name: "password", Kind: sdk.PasswordOption, NoDefault: true}},
		start: func(_ sdk.SourceContext, v sdk.Values) error {
			return fmt.Errorf("no answer from %s with %s", v.String("url"), v.String("password"))
		},
	}
	task := p.start(source, map[string]string{"url": "db://${file:" + dir + "/db.properties:user}:${file:" + dir + "/db.properties:password}@host?t=${env:WEIR_TEST_TOKEN}", "password": "opensesame!"})
	s := p.find(func(s Status) bool { return s.State == Failed })
	stop(task)
	if want := "the source does not start: no answer from db://[hidden]:[hidden]@host?t=[hidden] with [hidden]"; !strings.HasPrefix(s.Trace, strings.Split(want, " with ")[0]) || strings.Contains(s.Trace, "sesame!") {
		t.Errorf("told as %q", s.Trace)
	}
}

// TestProviders: what may be referred to, and what is said of what may not.
func TestProviders(t *testing.T) {
	dir, outside := t.TempDir(), t.TempDir()
	for path, text := range map[string]string{dir + "/p.properties": "key=value\n", dir + "/secret": "hush", outside + "/p.properties": "key=other\n"} {
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Symlink(outside+"/p.properties", dir+"/link"); err != nil {
		t.Fatal(err)
	}
	t.Setenv("WEIR_TEST_A", "a")
	chosen := map[string]string{"config.providers": "e, f", "config.providers.e.class": "org.apache.kafka.common.config.provider.EnvVarConfigProvider",
		"config.providers.e.param.allowlist.pattern": "WEIR_TEST_B.*", "config.providers.f.class": "org.apache.kafka.common.config.provider.FileConfigProvider",
		"config.providers.f.param.allowed.paths": dir}
	root := map[string]string{"file.root": dir}
	for _, test := range []struct {
		options     map[string]string
		value, want string // want begins with an exclamation mark if it is a part of an error
	}{
		{nil, "x${env:WEIR_TEST_A}${env:WEIR_TEST_A}", "xaa"},
		{nil, "${file:" + dir + "/p.properties:key}", "${file:" + dir + "/p.properties:key}"},
		{nil, "${topic}-${x:y}", "${topic}-${x:y}"},
		{nil, "${env:WEIR_TEST_NONE}", "!WEIR_TEST_NONE"},
		{root, "${file:" + dir + "/p.properties:key}", "value"},
		{root, "${directory:" + dir + ":secret}", "hush"},
		{root, "${file:" + dir + "/p.properties:none}", "!has no none"},
		{root, "${file:" + dir + "/none:key}", "!there is no file"},
		{root, "${file:" + outside + "/p.properties:key}", "!is not under"},
		{root, "${file:" + dir + "/../" + filepath.Base(outside) + "/p.properties:key}", "!is not under"},
		{root, "${file:" + dir + "/link:key}", "!is not under"},
		{root, "${directory:" + dir + ":link}", "!is not under"},
		{root, "${directory:" + dir + ":../secret}", "!is no file's name"},
		{chosen, "${e:WEIR_TEST_A}", "!WEIR_TEST_A"},
		{chosen, "${f:" + dir + "/p.properties:key}", "value"},
		{chosen, "${env:WEIR_TEST_A}", "${env:WEIR_TEST_A}"},
	} {
		p, err := newProviders(test.options)
		if err != nil {
			t.Fatal(err)
		}
		out, _, err := p.look(map[string]string{"option": test.value})
		if part, fails := strings.CutPrefix(test.want, "!"); fails {
			if sdk.CauseOf(err) != sdk.Configuration || !strings.Contains(err.Error(), part) || !strings.HasPrefix(err.Error(), "option ") {
				t.Errorf("%s: %v, not %s", test.value, err, part)
			}
		} else if err != nil || out["option"] != test.want {
			t.Errorf("%s is %s, %v, not %s", test.value, out["option"], err, test.want)
		}
	}
	if _, err := newProviders(map[string]string{"config.providers": "v", "config.providers.v.class": "x.VaultProvider"}); err == nil {
		t.Error("a provider that is not there is taken")
	}
}

// TestRetryTimeout: what passes is tried again for as long as errors.retry.timeout says, and what does not pass is not.
func TestRetryTimeout(t *testing.T) {
	passes, stays := sdk.Retry(errors.New("passes")), errors.New("stays")
	for _, test := range []struct {
		timeout time.Duration
		fails   int
		err     error
		want    bool // it succeeds
	}{
		{0, 1, passes, false},
		{-1, 3, passes, true},
		{time.Hour, 3, passes, true},
		{time.Hour, 3, stays, false},
		{time.Nanosecond, 1, passes, false},
	} {
		p := &policy{retry: test.timeout, retryMost: time.Millisecond, retryFirst: time.Millisecond, meter: &meter{}}
		tries := 1
		err := p.again(t.Context(), test.err, func() error {
			if tries++; tries <= test.fails {
				return test.err
			}
			return nil
		})
		if (err == nil) != test.want {
			t.Errorf("%+v: %v after %d tries", test, err, tries)
		}
	}
}

// TestStuck: a task in which something waits and nothing moves for a while is stuck.
func TestStuck(t *testing.T) {
	var m meter
	now := time.Now()
	later := func(d time.Duration) bool { return m.details(now.Add(d)).Stuck }
	if later(time.Hour) {
		t.Error("a task with nothing to do is stuck")
	}
	m.holds()
	if later(0) || !later(2*stuckAfter) {
		t.Error("a task that moves nothing is not stuck after a while, or is before")
	}
	m.did(1, 1, false)
	if later(time.Hour) {
		t.Error("a task that is done is stuck")
	}
	m.asks()
	if later(0) || !later(2*stuckAfter) {
		t.Error("a task whose connector does not come back is not stuck after a while, or is before")
	}
	m.answered()
	if later(time.Hour) {
		t.Error("a task whose connector came back is stuck")
	}
}

type fixedLag struct{ known bool }

func (l fixedLag) Lag(time.Time) (time.Duration, bool) { return time.Second, l.known }

// TestLagOfSource: a source tells how far it is behind, if it knows.
func TestLagOfSource(t *testing.T) {
	var m meter
	for _, test := range []struct {
		lag  sdk.Lagging
		want time.Duration
	}{{nil, -1}, {fixedLag{false}, -1}, {fixedLag{true}, time.Second}} {
		m.lagging(test.lag)
		if got := m.details(time.Now()).LagTime; got != test.want {
			t.Errorf("with %v: %v, want %v", test.lag, got, test.want)
		}
	}
}

// TestNote: what a connector wants people to know is shown beside RUNNING, until it takes it back.
func TestNote(t *testing.T) {
	var told []Status
	r := &run{t: &Task{spec: Spec{Status: func(s Status) { told = append(told, s) }}, waited: context.Background()}, secrets: []string{"hush"}}
	c := taskContext{r}
	c.Note("hush, no table yet")
	r.fine()
	c.Note("")
	want := []Status{{State: Running, Trace: "[hidden], no table yet"}, {State: Running}}
	if !slices.Equal(told, want) {
		t.Errorf("told %v, want %v", told, want)
	}
}

// TestRate: the rate is that of the last second or more, for whoever asks first too.
func TestRate(t *testing.T) {
	var m meter
	m.did(50, 0, false)
	begun := m.window
	m.did(50, 0, false)
	if got := m.details(begun.Add(2 * rateOver)).Rate; got != 50 {
		t.Errorf("%v", got)
	}
	if got := m.details(begun.Add(4 * rateOver)).Rate; got != 0 {
		t.Errorf("%v after a while with nothing", got)
	}
}

// TestClientOptions: what clients' configurations mean here, and what is said of those that mean nothing.
func TestClientOptions(t *testing.T) {
	jaas := `org.apache.kafka.common.security.plain.PlainLoginModule required username="me" password="a\"b;c";`
	for _, test := range []struct {
		props map[string]string
		want  string // "": it is taken
	}{
		{map[string]string{"security.protocol": "SASL_SSL", "sasl.mechanism": "SCRAM-SHA-512", "sasl.jaas.config": jaas}, ""},
		{map[string]string{"batch.size": "1", "linger.ms": "5", "compression.type": "lz4", "acks": "all"}, ""},
		{map[string]string{"security.protocol": "SASL_SSL", "sasl.mechanism": "GSSAPI", "sasl.jaas.config": jaas}, "sasl.mechanism"},
		{map[string]string{"security.protocol": "SASL_SSL", "sasl.mechanism": "PLAIN"}, "sasl.jaas.config"},
		{map[string]string{"security.protocol": "SSL", "ssl.truststore.location": "/x.jks"}, "PEM"},
		{map[string]string{"security.protocol": "TLS"}, "security.protocol"},
		{map[string]string{"linger.ms": "soon"}, "linger.ms"},
		{map[string]string{"acks": "1"}, "acks"},
		{map[string]string{"linger": "5"}, "linger is not supported"},
	} {
		_, err := ClientOptions(test.props)
		if test.want == "" && err != nil || test.want != "" && (sdk.CauseOf(err) != sdk.Configuration || !strings.Contains(err.Error(), test.want)) {
			t.Errorf("%v: %v, not %q", test.props, err, test.want)
		}
	}
	if user, password, err := parseJAAS(jaas); user != "me" || password != `a"b;c` || err != nil {
		t.Errorf("%s is read as %s, %s, %v", jaas, user, password, err)
	}
}
