package connect

import (
	"context"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/weir/weir/connect/convert"
	"github.com/weir/weir/connect/herder"
	"github.com/weir/weir/connect/runtime"
	"github.com/weir/weir/connect/sdk"
	"github.com/weir/weir/connect/transform"
)

// otherPlugins are those that are no connectors.
func otherPlugins() []plugin {
	var out []plugin
	for _, p := range convert.Plugins() {
		out = append(out, plugin{class: p.Class, kind: string(p.Kind), version: p.Version, options: p.Options})
	}
	for _, p := range transform.Plugins() {
		out = append(out, plugin{class: p.Class, kind: string(p.Kind), version: p.Version, options: p.Options})
	}
	return out
}

// defaultConverter gives the converter that connectors have unless they are configured otherwise.
func (w *Worker) defaultConverter(option string) string {
	if class := w.settings.raw[option]; class != "" {
		return class
	}
	if option == "header.converter" {
		return "org.apache.kafka.connect.storage.SimpleHeaderConverter"
	}
	return "org.apache.kafka.connect.json.JsonConverter"
}

// converterOf gives the converter that a connector has unless it is configured otherwise.
func (w *Worker) converterOf(p *plugin, option string) string {
	if preset, ok := p.connector.(sdk.Preset); ok {
		if class, ok := preset.Defaults()[option]; ok {
			return class
		}
	}
	return w.defaultConverter(option)
}

// cluster gives the id of the Kafka cluster; "": it is not known.
func (w *Worker) cluster(ctx context.Context) string {
	if w.cfg.ClusterID != nil {
		return w.cfg.ClusterID()
	}
	w.mu.Lock()
	known, s := w.clusterID, w.store
	w.mu.Unlock()
	if t, ok := s.(*topics); ok && known == "" {
		if meta, err := t.admin.BrokerMetadata(ctx); err == nil {
			w.mu.Lock()
			w.clusterID = meta.Cluster
			w.mu.Unlock()
			return meta.Cluster
		}
	}
	return known
}

// tasks is the engine that package runtime is.
type tasks struct{ *runtime.Runtime }

func newRuntime(w *Worker) (engine, error) {
	kafka := append([]kgo.Opt{kgo.SeedBrokers(w.settings.bootstrap...)}, w.cfg.Kafka...)
	var offsets runtime.Offsets
	if file := w.settings.raw["offset.storage.file.filename"]; w.cfg.Standalone && file != "" {
		offsets = runtime.NewFileOffsets(file)
	} else {
		offsets = runtime.NewTopicOffsets(w.settings.offsets.name, kafka, func(ctx context.Context, admin *kadm.Client) error {
			return w.ensure(ctx, admin, w.settings.offsets)
		})
	}
	r, err := runtime.New(runtime.Config{Options: w.settings.raw, Kafka: kafka, Offsets: offsets, FlushEach: w.settings.flush, Grace: w.settings.grace, Logger: w.logger})
	if err != nil {
		return nil, err
	}
	return tasks{r}, nil
}

// Start implements engine.
func (t tasks) Start(spec taskSpec, told func(taskStatus)) task {
	return started{t.Runtime.Start(runtime.Spec{
		Connector: spec.id.Connector, Task: spec.id.Task, Type: spec.connector, Config: spec.config, Logger: spec.logger, Used: spec.used,
		Status: func(s runtime.Status) { told(taskStatus{herder.State(s.State), s.Trace, s.Cause}) },
	})}
}

// Positions implements engine.
func (t tasks) Positions(ctx context.Context, connector string, _ map[string]string) ([]sdk.Position, error) {
	return t.Runtime.Positions(ctx, connector)
}

// SetPositions implements engine.
func (t tasks) SetPositions(ctx context.Context, connector string, _ map[string]string, positions []sdk.Position) error {
	return t.Runtime.SetPositions(ctx, connector, positions)
}

type started struct{ *runtime.Task }

// Details implements task.
func (s started) Details() taskDetails {
	d := s.Task.Details()
	out := taskDetails{Records: d.Records, Rate: d.Rate, Cause: string(d.Cause), Stuck: d.Stuck}
	if d.Lag >= 0 {
		out.Lag = &d.Lag
	}
	if d.LagTime >= 0 {
		ms := d.LagTime.Milliseconds()
		out.LagMillis = &ms
	}
	return out
}
