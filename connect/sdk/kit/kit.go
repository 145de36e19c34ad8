package kit

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"math/rand/v2"
	"sync"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/weir/weir/connect/runtime"
	"github.com/weir/weir/connect/sdk"
)

// TB is what the kit wants of a test; *testing.T has it.
type TB interface {
	Helper()
	Cleanup(func())
	Logf(format string, args ...any)
	Fatalf(format string, args ...any)
}

// Option changes what a Kit works with.
type Option func(*Kit)

// Cluster runs connectors against a real cluster; without it, there is one in the test's process that knows no more of Kafka than tests need.
func Cluster(brokers ...string) Option { return func(k *Kit) { k.brokers = brokers } }

// Topic creates a topic.
func Topic(name string, partitions int) Option {
	return func(k *Kit) { k.topics[name] = partitions }
}

// Converters sets the converters, by their classes. Without it keys and values are text.
func Converters(key, value string) Option {
	return func(k *Kit) { k.worker["key.converter"], k.worker["value.converter"] = key, value }
}

// Patience is how long the kit waits for what has to happen. Without it: 30 seconds.
func Patience(d time.Duration) Option { return func(k *Kit) { k.patience = d } }

// Seed chooses when Crash crashes. Without it: 1.
func Seed(seed uint64) Option { return func(k *Kit) { k.seed = seed } }

// Kit is a worker and a cluster to test connectors with.
type Kit struct {
	t        TB
	brokers  []string
	topics   map[string]int
	worker   map[string]string
	patience time.Duration
	seed     uint64

	runtime *runtime.Runtime
	client  *kgo.Client
	admin   *kadm.Client
}

const offsetsTopic = "kit-offsets"

// New makes a kit, which ends with the test.
func New(t TB, opts ...Option) *Kit {
	t.Helper()
	k := &Kit{t: t, topics: map[string]int{offsetsTopic: 1}, patience: 30 * time.Second, seed: 1, worker: map[string]string{
		"key.converter": "org.apache.kafka.connect.storage.StringConverter", "value.converter": "org.apache.kafka.connect.storage.StringConverter",
	}}
	for _, o := range opts {
		o(k)
	}
	if k.brokers == nil {
		fake, err := kfake.NewCluster(kfake.NumBrokers(1), kfake.AllowAutoTopicCreation(), kfake.DefaultNumPartitions(1))
		if err != nil {
			t.Fatalf("the cluster cannot be started: %v", err)
		}
		t.Cleanup(fake.Close)
		k.brokers = fake.ListenAddrs()
	}
	kafka := []kgo.Opt{kgo.SeedBrokers(k.brokers...), kgo.MetadataMinAge(50 * time.Millisecond)}
	var err error
	if k.client, err = kgo.NewClient(append(kafka, kgo.AllowAutoTopicCreation())...); err != nil {
		t.Fatalf("the cluster cannot be reached: %v", err)
	}
	t.Cleanup(k.client.Close)
	k.admin = kadm.NewClient(k.client)
	for topic, partitions := range k.topics {
		ctx, cancel := k.wait()
		if _, err := k.admin.CreateTopic(ctx, int32(partitions), -1, nil, topic); err != nil && !errors.Is(err, kerr.TopicAlreadyExists) {
			t.Fatalf("the topic %s cannot be created: %v", topic, err)
		}
		cancel()
	}
	k.runtime, err = runtime.New(runtime.Config{
		Options: k.worker, Kafka: kafka, FlushEach: 20 * time.Millisecond, Grace: 5 * time.Second, Logger: slog.New(slog.DiscardHandler),
		Offsets: runtime.NewTopicOffsets(offsetsTopic, kafka, func(context.Context, *kadm.Client) error { return nil }),
	})
	if err != nil {
		t.Fatalf("the worker cannot be made: %v", err)
	}
	t.Cleanup(k.runtime.Close)
	return k
}

func (k *Kit) wait() (context.Context, context.CancelFunc) {
	return context.WithTimeout(context.Background(), k.patience)
}

// Await waits until something is true. what is told if it never is.
func (k *Kit) Await(what string, is func() bool) {
	k.t.Helper()
	for end := time.Now().Add(k.patience); !is(); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(end) {
			k.t.Fatalf("waited in vain for %s", what)
		}
	}
}

// Run is a task of a connector that was started.
type Run struct {
	k    *Kit
	task *runtime.Task
	mu   sync.Mutex
	told []runtime.Status
}

// Start runs one task of a connector, which is called after its class. Its options are checked as a worker does. It ends with the test, if
// not before.
func (k *Kit) Start(c sdk.Connector, config map[string]string) *Run {
	k.t.Helper()
	config = maps.Clone(config)
	if config == nil {
		config = map[string]string{}
	}
	config["name"], config["connector.class"] = c.Info().Class, c.Info().Class
	v, wrong := sdk.Parse(c.Options(), config)
	if validator, ok := c.(sdk.Validator); ok && len(wrong) == 0 {
		ctx, cancel := k.wait()
		wrong = validator.Validate(ctx, v)
		cancel()
	}
	for _, w := range wrong {
		k.t.Fatalf("%s: %v", w.Option, w)
	}
	r := &Run{k: k}
	r.task = k.runtime.Start(runtime.Spec{Connector: c.Info().Class, Type: c, Config: config, Status: func(s runtime.Status) {
		r.mu.Lock()
		defer r.mu.Unlock()
		r.told = append(r.told, s)
		if s.Trace != "" {
			k.t.Logf("%s: %s (%s): %s", c.Info().Class, s.State, s.Cause, s.Trace)
		}
	}})
	k.t.Cleanup(r.Crash)
	return r
}

// Stop stops it, with all that it has done kept.
func (r *Run) Stop() {
	r.k.t.Helper()
	ctx, cancel := r.k.wait()
	defer cancel()
	r.task.Stop(ctx)
	if ctx.Err() != nil {
		r.k.t.Fatalf("the connector does not end when its context does")
	}
}

// Crash ends it as the death of its worker does.
func (r *Run) Crash() {
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	r.task.Stop(ctx)
}

// Failure waits until it has failed, and gives what is told of that.
func (r *Run) Failure() (cause sdk.Cause, text string) {
	r.k.t.Helper()
	r.k.Await("a failure", func() bool {
		r.mu.Lock()
		defer r.mu.Unlock()
		for _, s := range r.told {
			if s.State == runtime.Failed {
				cause, text = s.Cause, s.Trace
				return true
			}
		}
		return false
	})
	return cause, text
}

// Details tells how it fares.
func (r *Run) Details() runtime.Details { return r.task.Details() }

// crashes is how often Crash ends a connector before it lets it be.
const crashes = 8

// Crash runs a connector, ends it, well or by a crash, after a while that differs each time, and starts it again, some times; then it lets it be
// until done says that all is there, and stops it.
func (k *Kit) Crash(c sdk.Connector, config map[string]string, done func() bool) {
	k.t.Helper()
	rng := rand.New(rand.NewPCG(k.seed, k.seed))
	for range crashes {
		r := k.Start(c, config)
		time.Sleep(time.Duration(rng.IntN(80)) * time.Millisecond)
		if rng.IntN(3) == 0 {
			r.Stop()
		} else {
			r.Crash()
		}
	}
	r := k.Start(c, config)
	k.Await("the connector to be done", done)
	r.Stop()
}

// Record is a record of a topic.
type Record struct {
	Topic      string
	Partition  int32
	Offset     int64
	Key, Value []byte // nil: none
	Headers    map[string]string
	Timestamp  time.Time
}

// Records gives all that is in a topic, in the order of each partition.
func (k *Kit) Records(topic string) []Record {
	k.t.Helper()
	ctx, cancel := k.wait()
	defer cancel()
	ends, err := k.admin.ListEndOffsets(ctx, topic)
	if err != nil {
		k.t.Fatalf("the topic %s cannot be read: %v", topic, err)
	}
	from, missing := map[int32]kgo.Offset{}, map[int32]int64{}
	ends.Each(func(o kadm.ListedOffset) {
		if o.Err == nil && o.Offset > 0 {
			from[o.Partition], missing[o.Partition] = kgo.NewOffset().AtStart(), o.Offset
		}
	})
	if len(from) == 0 {
		return nil
	}
	c, err := kgo.NewClient(kgo.SeedBrokers(k.brokers...), kgo.ConsumePartitions(map[string]map[int32]kgo.Offset{topic: from}))
	if err != nil {
		k.t.Fatalf("the topic %s cannot be read: %v", topic, err)
	}
	defer c.Close()
	var out []Record
	for len(missing) > 0 {
		fetches := c.PollFetches(ctx)
		if err := fetches.Err(); err != nil {
			k.t.Fatalf("the topic %s cannot be read: %v", topic, err)
		}
		fetches.EachRecord(func(r *kgo.Record) {
			if r.Offset+1 >= missing[r.Partition] {
				delete(missing, r.Partition)
			}
			headers := map[string]string{}
			for _, h := range r.Headers {
				headers[h.Key] = string(h.Value)
			}
			out = append(out, Record{r.Topic, r.Partition, r.Offset, r.Key, r.Value, headers, r.Timestamp})
		})
	}
	return out
}

// Values gives the values of Records as text.
func (k *Kit) Values(topic string) []string {
	k.t.Helper()
	var out []string
	for _, r := range k.Records(topic) {
		out = append(out, string(r.Value))
	}
	return out
}

// Produce adds records to topics, in order, and waits until they are there.
func (k *Kit) Produce(records ...Record) {
	k.t.Helper()
	out := make([]*kgo.Record, len(records))
	for i, r := range records {
		out[i] = &kgo.Record{Topic: r.Topic, Key: r.Key, Value: r.Value, Timestamp: r.Timestamp}
		for key, value := range r.Headers {
			out[i].Headers = append(out[i].Headers, kgo.RecordHeader{Key: key, Value: []byte(value)})
		}
	}
	ctx, cancel := k.wait()
	defer cancel()
	if err := k.client.ProduceSync(ctx, out...).FirstErr(); err != nil {
		k.t.Fatalf("records cannot be produced: %v", err)
	}
}

// Kept tells whether a sink's offsets are the ends of topics: it is done with all that is there.
func (k *Kit) Kept(c sdk.Sink, topics ...string) bool {
	k.t.Helper()
	ctx, cancel := k.wait()
	defer cancel()
	ends, err := k.admin.ListEndOffsets(ctx, topics...)
	if err != nil {
		k.t.Fatalf("the ends of topics cannot be found: %v", err)
	}
	kept, err := k.runtime.SinkOffsets(ctx, c.Info().Class, nil)
	if err != nil {
		return false // it has no group yet
	}
	all := true
	ends.Each(func(o kadm.ListedOffset) {
		all = all && (o.Offset == 0 || kept[sdk.TopicPartition{Topic: o.Topic, Partition: o.Partition}] == o.Offset)
	})
	return all
}

// Positions gives the positions of a source that are kept.
func (k *Kit) Positions(c sdk.Source) []sdk.Position {
	k.t.Helper()
	ctx, cancel := k.wait()
	defer cancel()
	all, err := k.runtime.Positions(ctx, c.Info().Class)
	if err != nil {
		k.t.Fatalf("positions cannot be read: %v", err)
	}
	return all
}

// Delivered checks that what arrived is all that was wanted, in its order, at least once: after a crash a part may come again, from some place
// on and in order from there. want has to have no value twice.
func Delivered(want, got []string) error {
	place := make(map[string]int, len(want))
	for i, v := range want {
		if _, twice := place[v]; twice {
			return fmt.Errorf("%q is wanted twice, so that its order cannot be checked", v)
		}
		place[v] = i
	}
	next, most := 0, 0 // what has to come next if nothing comes again, and what has never come
	for i, v := range got {
		at, known := place[v]
		switch {
		case !known:
			return fmt.Errorf("%q, number %d of what arrived, was not wanted", v, i)
		case at > most:
			return fmt.Errorf("%q arrived before %q", v, want[most])
		case at > next:
			return fmt.Errorf("%q, which came again, came after %q left out", v, want[next])
		}
		next = at + 1
		most = max(most, next)
	}
	if most < len(want) {
		return fmt.Errorf("%d of %d are missing: %q is the first", len(want)-most, len(want), want[most])
	}
	return nil
}
