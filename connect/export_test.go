package connect

import (
	"context"
	"maps"
	"sync"

	"github.com/weir/weir/connect/herder"
	"github.com/weir/weir/connect/sdk"
)

// Faked gives a worker an engine whose tasks do nothing but say that they run, or what the engine is told that they say.
func (c *Config) Faked(f *FakeEngine) { c.engine = func(*Worker) (engine, error) { return f, nil } }

// FakeEngine runs no tasks.
type FakeEngine struct {
	mu        sync.Mutex
	Running   map[string]map[string]string // configurations by name of the task
	Starts    map[string]int
	Fail      map[string]string // what tasks of a connector fail with
	positions map[string][]sdk.Position
	sinks     map[string]map[sdk.TopicPartition]int64
}

// Tasks gives the configurations of what runs.
func (f *FakeEngine) Tasks() map[string]map[string]string {
	f.mu.Lock()
	defer f.mu.Unlock()
	return maps.Clone(f.Running)
}

// Started tells how often a task was started.
func (f *FakeEngine) Started(task string) int {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.Starts[task]
}

type fakeTask struct {
	f    *FakeEngine
	spec taskSpec
	told func(taskStatus)
}

// Start implements engine.
func (f *FakeEngine) Start(spec taskSpec, told func(taskStatus)) task {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.Running == nil {
		f.Running, f.Starts = map[string]map[string]string{}, map[string]int{}
	}
	if f.Running[spec.id.String()] != nil {
		panic("BUG: " + spec.id.String() + " is started twice")
	}
	f.Running[spec.id.String()] = spec.config
	f.Starts[spec.id.String()]++
	if trace := f.Fail[spec.id.Connector]; trace != "" {
		go told(taskStatus{state: herder.Failed, trace: trace, cause: sdk.Unknown})
	} else {
		go told(taskStatus{state: herder.Running})
	}
	if topic := spec.config["topic"]; topic != "" {
		go spec.used(topic)
	}
	return &fakeTask{f, spec, told}
}

func (t *fakeTask) Pause()  { go t.told(taskStatus{state: herder.Pausing}) }
func (t *fakeTask) Resume() { go t.told(taskStatus{state: herder.Running}) }

func (t *fakeTask) Stop(context.Context) {
	t.f.mu.Lock()
	defer t.f.mu.Unlock()
	delete(t.f.Running, t.spec.id.String())
}

func (t *fakeTask) Details() taskDetails { return taskDetails{Records: 7} }

// Resolve implements engine: it knows one secret.
func (f *FakeEngine) Resolve(config map[string]string) (map[string]string, error) {
	out := maps.Clone(config)
	for name, value := range out {
		switch value {
		case "${env:SECRET}":
			out[name] = "hush"
		case "${env:MISSING}":
			return nil, sdk.Misconfigured("there is no environment variable MISSING")
		}
	}
	return out, nil
}

// Positions implements engine.
func (f *FakeEngine) Positions(_ context.Context, connector string, config map[string]string) ([]sdk.Position, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.positions[connector] == nil && config["file"] != "" {
		return []sdk.Position{{Partition: map[string]any{"filename": config["file"]}, Offset: map[string]any{"position": 6}}}, nil
	}
	return f.positions[connector], nil
}

// SetPositions implements engine.
func (f *FakeEngine) SetPositions(_ context.Context, connector string, _ map[string]string, positions []sdk.Position) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.positions == nil {
		f.positions = map[string][]sdk.Position{}
	}
	f.positions[connector] = []sdk.Position{}
	for _, p := range positions {
		if p.Offset != nil {
			f.positions[connector] = append(f.positions[connector], p)
		}
	}
	return nil
}

// SinkOffsets implements engine.
func (f *FakeEngine) SinkOffsets(_ context.Context, connector string, _ map[string]string) (map[sdk.TopicPartition]int64, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.sinks[connector] == nil {
		return map[sdk.TopicPartition]int64{{Topic: "poison"}: 3}, nil
	}
	return maps.Clone(f.sinks[connector]), nil
}

// SetSinkOffsets implements engine.
func (f *FakeEngine) SetSinkOffsets(_ context.Context, connector string, _ map[string]string, offsets map[sdk.TopicPartition]int64) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.sinks == nil {
		f.sinks = map[string]map[sdk.TopicPartition]int64{}
	}
	if f.sinks[connector] == nil {
		f.sinks[connector] = map[sdk.TopicPartition]int64{}
	}
	for at, offset := range offsets {
		if offset < 0 {
			delete(f.sinks[connector], at)
		} else {
			f.sinks[connector][at] = offset
		}
	}
	return nil
}

// DeleteSinkOffsets implements engine.
func (f *FakeEngine) DeleteSinkOffsets(_ context.Context, connector string, _ map[string]string) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.sinks == nil {
		f.sinks = map[string]map[sdk.TopicPartition]int64{}
	}
	f.sinks[connector] = map[sdk.TopicPartition]int64{}
	return nil
}

// Close implements engine.
func (f *FakeEngine) Close() {}
