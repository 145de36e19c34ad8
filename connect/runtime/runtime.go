package runtime

import (
	"context"
	"fmt"
	"log/slog"
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/weir/weir/connect/sdk"
)

// Config describes a runtime.
type Config struct {
	// Options are the worker's, by Kafka's names. Of these the runtime reads the converters, config providers, topic creation, file.root, and
	// those of clients: producer.*, consumer.* and admin.*.
	Options map[string]string
	// Kafka are options that all its clients have: how to reach the cluster.
	Kafka []kgo.Opt
	// Offsets keeps the positions of sources.
	Offsets Offsets
	// FlushEach is the time between two writes of offsets. 0: a second.
	FlushEach time.Duration
	// Grace is how long a task may take to end when it pauses or fails, before it is given up; then it can keep no offsets any more. Of
	// that time, what is under way gets the half. 0: five seconds.
	Grace  time.Duration
	Logger *slog.Logger // nil: nothing is logged
}

// Offsets keeps positions of sources. It may be used by several tasks at once.
type Offsets interface {
	// Get gives the positions of a connector, as far as anybody has written them when it is called.
	Get(ctx context.Context, connector string) ([]sdk.Position, error)
	// Put writes positions durably. An offset of nil forgets the partition.
	Put(ctx context.Context, connector string, positions []sdk.Position) error
	Close()
}

// Runtime runs tasks.
type Runtime struct {
	cfg        Config
	providers  *providers
	retryAfter func(cause sdk.Cause, failures int) time.Duration

	mu    sync.Mutex
	kafka *kgo.Client // for what is asked of the cluster
}

// New makes a runtime. It connects to nothing until it is asked to do something.
func New(cfg Config) (*Runtime, error) {
	p, err := newProviders(cfg.Options)
	if err != nil {
		return nil, err
	}
	if cfg.FlushEach <= 0 {
		cfg.FlushEach = time.Second
	}
	if cfg.Grace <= 0 {
		cfg.Grace = 5 * time.Second
	}
	if cfg.Logger == nil {
		cfg.Logger = slog.New(slog.DiscardHandler)
	}
	return &Runtime{cfg: cfg, providers: p, retryAfter: retryAfter}, nil
}

// Resolve replaces what a configuration refers to, as in ${env:NAME}.
func (r *Runtime) Resolve(config map[string]string) (map[string]string, error) {
	resolved, _, err := r.providers.look(config)
	return resolved, err
}

// Close ends what the runtime has open. All tasks are stopped.
func (r *Runtime) Close() {
	r.cfg.Offsets.Close()
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.kafka != nil {
		r.kafka.Close()
	}
}

// kafkaClient gives a client for what is asked of the cluster.
func (r *Runtime) kafkaClient() (*kgo.Client, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.kafka == nil {
		own, err := clientOptions(under(r.cfg.Options, "admin."), "admin.")
		if err != nil {
			return nil, err
		}
		k, err := kgo.NewClient(slices.Concat(r.cfg.Kafka, []kgo.Opt{kgo.DisableClientMetrics()}, own)...)
		if err != nil {
			return nil, err
		}
		r.kafka = k
	}
	return r.kafka, nil
}

func (r *Runtime) admin() (*kadm.Client, error) {
	k, err := r.kafkaClient()
	if err != nil {
		return nil, err
	}
	return kadm.NewClient(k), nil
}

// State is what a task does.
type State string

// The states, by Kafka's names.
const (
	Running State = "RUNNING"
	Paused  State = "PAUSED"
	Failed  State = "FAILED"
)

// Status is a state and what is wrong; "": nothing. A task that is Failed starts again by itself later; one that is Running with something
// wrong is trying again.
type Status struct {
	State State
	Trace string
	Cause sdk.Cause
}

// Spec describes a task.
type Spec struct {
	Connector string
	Task      int
	Type      sdk.Connector      // a Source or a Sink
	Config    map[string]string  // unresolved: each run looks up anew what it refers to
	Logger    *slog.Logger       // nil: the runtime's
	Status    func(Status)       // hears of each change, one after the other
	Used      func(topic string) // hears of each topic that it uses, perhaps again and again; nil: nobody does
}

// used tells of a topic.
func (s *Spec) used(topic string) {
	if s.Used != nil {
		s.Used(topic)
	}
}

func (s *Spec) name() string { return fmt.Sprintf("%s-%d", s.Connector, s.Task) }

// Positions gives how far a source is.
func (r *Runtime) Positions(ctx context.Context, connector string) ([]sdk.Position, error) {
	return r.cfg.Offsets.Get(ctx, connector)
}

// SetPositions moves a source. An offset of nil forgets the partition.
func (r *Runtime) SetPositions(ctx context.Context, connector string, positions []sdk.Position) error {
	return r.cfg.Offsets.Put(ctx, connector, positions)
}

// preset adds what a connector has as defaults of common options.
func preset(c sdk.Connector, config map[string]string) {
	p, ok := c.(sdk.Preset)
	if !ok {
		return
	}
	for name, value := range p.Defaults() {
		if _, set := config[name]; !set {
			config[name] = value
		}
	}
}

// groupOf names the group of a sink.
func groupOf(connector string, config map[string]string) string {
	if id := config["consumer.override.group.id"]; id != "" {
		return id
	}
	return "connect-" + connector
}

// SinkOffsets gives how far a sink is.
func (r *Runtime) SinkOffsets(ctx context.Context, connector string, config map[string]string) (map[sdk.TopicPartition]int64, error) {
	admin, err := r.admin()
	if err != nil {
		return nil, err
	}
	fetched, err := admin.FetchOffsets(ctx, groupOf(connector, config))
	if err == nil {
		err = fetched.Error()
	}
	if err != nil {
		return nil, fmt.Errorf("reading the offsets of group %s: %w", groupOf(connector, config), err)
	}
	out := map[sdk.TopicPartition]int64{}
	fetched.Each(func(o kadm.OffsetResponse) {
		if o.At >= 0 {
			out[sdk.TopicPartition{Topic: o.Topic, Partition: o.Partition}] = o.At
		}
	})
	return out, nil
}

// SetSinkOffsets moves a sink. An offset of -1 forgets a partition.
func (r *Runtime) SetSinkOffsets(ctx context.Context, connector string, config map[string]string, offsets map[sdk.TopicPartition]int64) error {
	admin, err := r.admin()
	if err != nil {
		return err
	}
	group := groupOf(connector, config)
	var set kadm.Offsets
	var forget kadm.TopicsSet
	for tp, at := range offsets {
		if at < 0 {
			forget.Add(tp.Topic, tp.Partition)
		} else {
			set.AddOffset(tp.Topic, tp.Partition, at, -1)
		}
	}
	if len(set) > 0 {
		done, err := admin.CommitOffsets(ctx, group, set)
		if err == nil {
			err = done.Error()
		}
		if err != nil {
			return fmt.Errorf("moving the offsets of group %s: %w", group, err)
		}
	}
	if len(forget) > 0 {
		done, err := admin.DeleteOffsets(ctx, group, forget)
		if err == nil {
			err = done.Error()
		}
		if err != nil {
			return fmt.Errorf("forgetting offsets of group %s: %w", group, err)
		}
	}
	return nil
}

// DeleteSinkOffsets makes a sink begin anew.
func (r *Runtime) DeleteSinkOffsets(ctx context.Context, connector string, config map[string]string) error {
	at, err := r.SinkOffsets(ctx, connector, config)
	if err != nil {
		return err
	}
	for tp := range maps.Clone(at) {
		at[tp] = -1
	}
	return r.SetSinkOffsets(ctx, connector, config, at)
}
