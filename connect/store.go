package connect

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/weir/weir/connect/herder"
)

// store keeps records, and hands them to the worker.
type store interface {
	// configure writes to the config topic, and waits until the worker has read what it wrote.
	configure(ctx context.Context, records ...herder.Record) error
	// tell writes to the status topic, without waiting. It is called with the worker's lock held.
	tell(records ...herder.Record)
	// flush waits until all that was told is written, or ctx ends.
	flush(ctx context.Context)
	// sync waits until the worker has read all that is in the config topic.
	sync(ctx context.Context) error
	close()
}

// topics is a store in Kafka's topics.
type topics struct {
	w      *Worker
	client *kgo.Client
	admin  *kadm.Client
	ended  chan struct{}

	mu    sync.Mutex
	reach map[string]map[int32]int64 // how far each partition was read
	moved chan struct{}              // closed when any was read further
}

// openTopics creates the topics that are missing, and follows them. It gives up when ctx ends.
func openTopics(ctx context.Context, w *Worker, client *kgo.Client) (*topics, error) {
	t := &topics{w: w, client: client, admin: kadm.NewClient(client), ended: make(chan struct{}), reach: map[string]map[int32]int64{}, moved: make(chan struct{})}
	for _, s := range []topicSetting{w.settings.configs, w.settings.status, w.settings.offsets} {
		if err := w.ensure(ctx, t.admin, s); err != nil {
			return nil, err
		}
	}
	ends, err := t.ends(ctx, w.settings.configs.name, w.settings.status.name)
	if err != nil {
		return nil, err
	}
	from := map[string]map[int32]kgo.Offset{}
	ends.Each(func(o kadm.ListedOffset) {
		if from[o.Topic] == nil {
			from[o.Topic] = map[int32]kgo.Offset{}
		}
		from[o.Topic][o.Partition] = kgo.NewOffset().AtStart()
	})
	client.AddConsumePartitions(from)
	go t.follow()
	return t, t.reached(ctx, ends)
}

// ensure creates a topic if it is not there, and checks that it keeps what has to be kept.
func (w *Worker) ensure(ctx context.Context, admin *kadm.Client, s topicSetting) error {
	compact := "compact"
	settings := map[string]*string{"cleanup.policy": &compact}
	prefix := strings.TrimSuffix(s.option, "topic")
	for name, value := range w.settings.raw { // config.storage.min.insync.replicas sets min.insync.replicas of the topic
		if rest, ok := strings.CutPrefix(name, prefix); ok && rest != "topic" && rest != "partitions" && rest != "replication.factor" && rest != "cleanup.policy" {
			settings[rest] = &value
		}
	}
	answer, err := admin.CreateTopic(ctx, s.partitions, s.replicas, settings, s.name)
	if err == nil {
		return nil
	}
	if !errors.Is(err, kerr.TopicAlreadyExists) {
		if answer.ErrMessage != "" {
			err = errors.New(answer.ErrMessage)
		}
		return fmt.Errorf("the topic %s, which %s names, cannot be created: %w", s.name, s.option, err)
	}
	there, err := admin.DescribeTopicConfigs(ctx, s.name)
	if err != nil {
		return fmt.Errorf("the topic %s, which %s names, cannot be looked at: %w", s.name, s.option, err)
	}
	for _, r := range there {
		for _, c := range r.Configs {
			if c.Key == "cleanup.policy" && c.MaybeValue() != compact {
				return fmt.Errorf("Topic '%s' supplied via the '%s' property is required to have 'cleanup.policy=compact', but found the topic currently has 'cleanup.policy=%s'. Continuing would likely result in eventually losing what is in it, and problems restarting this worker. Change the property to use a topic with 'cleanup.policy=compact'", s.name, s.option, c.MaybeValue())
			}
		}
	}
	if s.option != w.settings.configs.option {
		return nil
	}
	details, err := admin.ListTopics(ctx, s.name)
	if err == nil && len(details[s.name].Partitions) > 1 {
		return fmt.Errorf("Topic '%s' supplied via the '%s' property is required to have a single partition in order to guarantee consistency of connector configurations, but found %d partitions", s.name, s.option, len(details[s.name].Partitions))
	}
	return err
}

// ends lists how far topics go. One that was just created may need a moment to have leaders.
func (t *topics) ends(ctx context.Context, names ...string) (kadm.ListedOffsets, error) {
	for {
		ends, err := t.admin.ListEndOffsets(ctx, names...)
		if err == nil {
			err = ends.Error()
		}
		if err == nil || ctx.Err() != nil {
			return ends, err
		}
		select {
		case <-ctx.Done():
			return nil, err
		case <-time.After(20 * time.Millisecond):
		}
	}
}

// follow reads the topics until the client is closed.
func (t *topics) follow() {
	defer close(t.ended)
	for {
		fetches := t.client.PollFetches(context.Background())
		if fetches.IsClientClosed() {
			return
		}
		fetches.EachError(func(topic string, partition int32, err error) {
			t.w.logger.Warn("a topic of Connect cannot be read; it is tried on", "topic", topic, "partition", partition, "error", err)
		})
		fetches.EachRecord(func(r *kgo.Record) {
			if !r.Attrs.IsControl() {
				t.w.apply(r.Topic == t.w.settings.configs.name, r.Offset, string(r.Key), r.Value)
			}
		})
		t.w.applied()
		t.mu.Lock()
		fetches.EachRecord(func(r *kgo.Record) {
			if t.reach[r.Topic] == nil {
				t.reach[r.Topic] = map[int32]int64{}
			}
			t.reach[r.Topic][r.Partition] = r.Offset + 1
		})
		close(t.moved)
		t.moved = make(chan struct{})
		t.mu.Unlock()
	}
}

// silence is how long nothing has come when what is still missing are not records: compaction may leave nothing of the last ones.
const silence = 5 * time.Second

// reached waits until all is read that is before ends.
func (t *topics) reached(ctx context.Context, ends kadm.ListedOffsets) error {
	for {
		t.mu.Lock()
		behind := false
		ends.Each(func(o kadm.ListedOffset) {
			behind = behind || o.Offset > 0 && t.reach[o.Topic][o.Partition] < o.Offset
		})
		moved := t.moved
		t.mu.Unlock()
		if !behind {
			return nil
		}
		select {
		case <-moved:
		case <-time.After(silence):
			t.mu.Lock()
			quiet := moved == t.moved
			t.mu.Unlock()
			if quiet && t.client.Ping(ctx) == nil {
				return nil
			}
		case <-ctx.Done():
			return fmt.Errorf("the topics of Connect cannot be read: %w", ctx.Err())
		}
	}
}

func (t *topics) sync(ctx context.Context) error {
	ends, err := t.ends(ctx, t.w.settings.configs.name)
	if err != nil {
		return err
	}
	return t.reached(ctx, ends)
}

func (t *topics) configure(ctx context.Context, records ...herder.Record) error {
	out := make([]*kgo.Record, len(records))
	for i, r := range records {
		out[i] = &kgo.Record{Topic: t.w.settings.configs.name, Key: []byte(r.Key), Value: r.Value}
	}
	if err := t.client.ProduceSync(ctx, out...).FirstErr(); err != nil {
		return fmt.Errorf("the config topic %s cannot be written: %w", t.w.settings.configs.name, err)
	}
	last := out[len(out)-1]
	return t.reached(ctx, kadm.ListedOffsets{last.Topic: {last.Partition: {Topic: last.Topic, Partition: last.Partition, Offset: last.Offset + 1}}})
}

func (t *topics) tell(records ...herder.Record) {
	for _, r := range records {
		t.w.told[r.Key]++
		t.client.Produce(context.Background(), &kgo.Record{Topic: t.w.settings.status.name, Key: []byte(r.Key), Value: r.Value}, func(_ *kgo.Record, err error) {
			if err == nil {
				return
			}
			go func() { // tell may have been called with the lock held that this takes
				t.w.mu.Lock()
				defer t.w.mu.Unlock()
				t.w.took(r.Key)
			}()
			if !errors.Is(err, kgo.ErrClientClosed) {
				t.w.logger.Error("a status cannot be written, other workers do not see it", "error", err)
			}
		})
	}
}

func (t *topics) flush(ctx context.Context) { _ = t.client.Flush(ctx) }

func (t *topics) close() {
	t.client.Close()
	<-t.ended
}

// memory is a store that keeps nothing: that of a worker which is given its connectors in files.
type memory struct {
	w    *Worker
	mu   sync.Mutex
	next int64
}

func (m *memory) configure(_ context.Context, records ...herder.Record) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, r := range records {
		m.w.apply(true, m.next, r.Key, r.Value)
		m.next++
	}
	m.w.applied()
	return nil
}

func (m *memory) tell(...herder.Record)      {} // the worker knows what it has told
func (m *memory) flush(context.Context)      {}
func (m *memory) sync(context.Context) error { return nil }
func (m *memory) close()                     {}
