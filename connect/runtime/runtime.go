package runtime

import (
	"context"
	"fmt"
	"log/slog"
	"maps"
	"strings"
	"sync"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/weir/weir/connect/convert"
	"github.com/weir/weir/connect/sdk"
	"github.com/weir/weir/connect/transform"
)

// Config describes a runtime.
type Config struct {
	// Options are the worker's, by Kafka's names: converters, errors, config providers, topic creation.
	Options map[string]string
	// Kafka are options that all its clients have: how to reach the cluster.
	Kafka []kgo.Opt
	// Offsets keeps the positions of sources.
	Offsets Offsets
	// FlushEach is the time between two writes of offsets.
	FlushEach time.Duration
	// Grace is how long a task may take to end before it is given up; then it can keep no offsets any more.
	Grace  time.Duration
	Logger *slog.Logger
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
	cfg       Config
	providers *providers

	mu    sync.Mutex
	kafka *kgo.Client // for what is asked of the cluster
}

// New makes a runtime. It connects to nothing until it is asked to do something.
func New(cfg Config) (*Runtime, error) {
	p, err := newProviders(cfg.Options)
	if err != nil {
		return nil, err
	}
	return &Runtime{cfg: cfg, providers: p}, nil
}

// Resolve replaces what a configuration refers to, as in ${env:NAME}.
func (r *Runtime) Resolve(config map[string]string) (map[string]string, error) {
	return r.providers.resolve(config)
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

func (r *Runtime) admin() (*kadm.Client, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.kafka == nil {
		k, err := kgo.NewClient(append(r.cfg.Kafka[:len(r.cfg.Kafka):len(r.cfg.Kafka)], kgo.DisableClientMetrics())...)
		if err != nil {
			return nil, err
		}
		r.kafka = k
	}
	return kadm.NewClient(r.kafka), nil
}

// State is what a task does.
type State string

// The states, by Kafka's names.
const (
	Running State = "RUNNING"
	Paused  State = "PAUSED"
	Failed  State = "FAILED"
)

// Status is a state and, if it is Failed, why.
type Status struct {
	State State
	Trace string
	Cause sdk.Cause
}

// Spec describes a task.
type Spec struct {
	Connector string
	Task      int
	Type      sdk.Connector     // a Source or a Sink
	Config    map[string]string // unresolved
	Logger    *slog.Logger
	Status    func(Status)       // hears of each change of the state, one after the other
	Used      func(topic string) // hears of each topic that it uses, perhaps again and again
}

func (s *Spec) name() string { return fmt.Sprintf("%s-%d", s.Connector, s.Task) }

// pipeline is what converts and transforms the records of a task. It is for one goroutine.
type pipeline struct {
	key, value convert.Converter
	header     convert.HeaderConverter
	chain      *transform.Chain
}

func (r *Runtime) newPipeline(config map[string]string) (*pipeline, error) {
	p := &pipeline{}
	var err error
	key, props := r.converter(config, "key.converter", "org.apache.kafka.connect.json.JsonConverter")
	if p.key, err = convert.New(key, props, true); err != nil {
		return nil, err
	}
	value, props := r.converter(config, "value.converter", "org.apache.kafka.connect.json.JsonConverter")
	if p.value, err = convert.New(value, props, false); err != nil {
		return nil, err
	}
	header, props := r.converter(config, "header.converter", "org.apache.kafka.connect.storage.SimpleHeaderConverter")
	if p.header, err = convert.NewHeader(header, props); err != nil {
		return nil, err
	}
	chain, wrong := transform.New(config)
	if len(wrong) > 0 {
		return nil, sdk.Misconfigured("%s", wrong[0].Error())
	}
	p.chain = chain
	return p, nil
}

// converter gives the class and the options of a converter: all of the connector's if it names one, else all of the worker's.
func (r *Runtime) converter(config map[string]string, option, class string) (string, map[string]string) {
	from := config
	if from[option] == "" {
		from = r.cfg.Options
	}
	if from[option] != "" {
		class = from[option]
	}
	return class, under(from, option+".")
}

// under gives the options with a prefix, without it.
func under(config map[string]string, prefix string) map[string]string {
	out := map[string]string{}
	for k, v := range config {
		if rest, ok := strings.CutPrefix(k, prefix); ok {
			out[rest] = v
		}
	}
	return out
}

// Positions gives how far a source is.
func (r *Runtime) Positions(ctx context.Context, connector string) ([]sdk.Position, error) {
	return r.cfg.Offsets.Get(ctx, connector)
}

// SetPositions moves a source. An offset of nil forgets the partition.
func (r *Runtime) SetPositions(ctx context.Context, connector string, positions []sdk.Position) error {
	return r.cfg.Offsets.Put(ctx, connector, positions)
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
