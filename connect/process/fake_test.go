package process

import (
	"context"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/weir/weir/connect/sdk"
)

// program writes a shell script, which is a program that does what its lines say.
func program(t testing.TB, lines ...string) string {
	t.Helper()
	name := filepath.Join(t.TempDir(), "connector")
	if err := os.WriteFile(name, []byte("#!/bin/sh\n"+strings.Join(lines, "\n")+"\n"), 0o755); err != nil {
		t.Fatal(err)
	}
	return name
}

// says is a line of a script that writes a message; %d is the number of what it has read last.
func says(message string) string {
	return "printf '%s\\n' '" + strings.ReplaceAll(message, "'", `'\''`) + `'`
}

const reads = "read -r line || exit 0"

// helloOf is what a program with one connector begins with.
func helloOf(kind, more string) string {
	return reads + "\n" + says(fmt.Sprintf(`{"type":"hello","seq":1,"protocol":1,"connectors":[{"class":"org.example.Fake","kind":%q,"version":"1"%s}]}`, kind, more))
}

// fakeContext is a source's and a sink's context.
type fakeContext struct {
	mu        sync.Mutex
	logged    strings.Builder
	notes     []string
	positions []map[string]any
	kept      map[string]any
	reported  []string
	rewound   map[sdk.TopicPartition]int64
	tolerate  bool
}

func (f *fakeContext) Write(b []byte) (int, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.logged.Write(b)
}

func (f *fakeContext) log() string {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.logged.String()
}

func (f *fakeContext) Logger() *slog.Logger { return slog.New(slog.NewTextHandler(f, nil)) }
func (*fakeContext) Connector() string      { return "fake" }
func (*fakeContext) Task() int              { return 2 }
func (*fakeContext) Run() string            { return "run" }
func (*fakeContext) Mask(text string) string {
	return strings.ReplaceAll(text, "s3cret", "[hidden]")
}
func (f *fakeContext) Note(text string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.notes = append(f.notes, text)
}
func (f *fakeContext) Position(_ context.Context, p map[string]any) (map[string]any, error) {
	f.positions = append(f.positions, p)
	return f.kept, nil
}
func (f *fakeContext) Report(r *sdk.Record, err error) error {
	f.reported = append(f.reported, fmt.Sprintf("%s-%d@%d: %v", r.From.Topic, r.From.Partition, r.Offset, err))
	if f.tolerate {
		return nil
	}
	return err
}
func (f *fakeContext) Rewind(to map[sdk.TopicPartition]int64) { f.rewound = to }
func (*fakeContext) End(sdk.TopicPartition) int64             { return 0 }

// connectorOf asks a program what it is.
func connectorOf(t testing.TB, name string) sdk.Connector {
	t.Helper()
	all, err := Describe(name)
	if err != nil {
		t.Fatal(err)
	}
	return all[0]
}

func valuesOf(t testing.TB, c sdk.Connector, config map[string]string) sdk.Values {
	t.Helper()
	v, wrong := sdk.Parse(c.Options(), config)
	for _, w := range wrong {
		t.Fatal(w)
	}
	return v
}

// patience bounds what tests wait for.
const patience = 20 * time.Second

// soon gives a context for what does not take long.
func soon(t testing.TB) context.Context {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	t.Cleanup(cancel)
	return ctx
}

// sourceOf starts a task of a program that is a source.
func sourceOf(t testing.TB, c *fakeContext, config map[string]string, lines ...string) (*sourceTask, error) {
	t.Helper()
	s := connectorOf(t, program(t, lines...))
	task := s.(sdk.Source).NewTask().(*sourceTask)
	t.Cleanup(func() { _ = task.Stop() })
	return task, task.Start(soon(t), c, valuesOf(t, s, config))
}

// sinkOf starts a task of a program that is a sink.
func sinkOf(t testing.TB, c *fakeContext, config map[string]string, lines ...string) (sdk.SinkTask, error) {
	t.Helper()
	s := connectorOf(t, program(t, lines...))
	task := s.(sdk.Sink).NewTask()
	t.Cleanup(func() { _ = task.Stop() })
	return task, task.Start(soon(t), c, valuesOf(t, s, config))
}
