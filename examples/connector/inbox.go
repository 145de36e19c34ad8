// Package inbox is an example of a connector: the files that are put in a folder become records, one each.
package inbox

import (
	"context"
	"os"
	"path/filepath"
	"time"

	"github.com/weir/weir/connect/sdk"
)

// Inbox is the connector. A task is made of it for each run.
type Inbox struct{}

func (Inbox) Info() sdk.Info {
	return sdk.Info{Class: "org.example.InboxConnector", Version: "1.0.0", Doc: "Files of a folder become records, in the order of their names."}
}

func (Inbox) Options() []sdk.Option {
	return []sdk.Option{
		{Name: "folder", Kind: sdk.StringOption, Required: true, Importance: sdk.High, Doc: "Where files are put, under names that grow."},
		{Name: "topic", Kind: sdk.StringOption, Required: true, Importance: sdk.High, Doc: "The topic that they go to."},
	}
}

func (Inbox) NewTask() sdk.SourceTask { return &task{} }

type task struct {
	folder, topic, last string         // last is the name of the file that was read last
	from                map[string]any // what positions are about
}

func (t *task) Start(ctx context.Context, c sdk.SourceContext, v sdk.Values) error {
	t.folder, t.topic, t.from = v.String("folder"), v.String("topic"), map[string]any{"folder": v.String("folder")}
	if _, err := os.Stat(t.folder); err != nil {
		return sdk.Misconfigured("The folder cannot be read: %w; create it, or set folder to another", err)
	}
	kept, err := c.Position(ctx, t.from)
	t.last, _ = kept["file"].(string)
	return err
}

func (t *task) Poll(ctx context.Context) ([]*sdk.Record, error) {
	files, err := os.ReadDir(t.folder) // in the order of names
	if err != nil {
		return nil, sdk.Retry(err)
	}
	var out []*sdk.Record
	for _, f := range files {
		if f.Name() <= t.last || f.IsDir() || len(out) == 100 {
			continue
		}
		text, err := os.ReadFile(filepath.Join(t.folder, f.Name()))
		if err != nil {
			return nil, sdk.Retry(err)
		}
		out = append(out, &sdk.Record{Topic: t.topic, Partition: -1, Key: f.Name(), Value: string(text), At: &sdk.Position{Partition: t.from, Offset: map[string]any{"file": f.Name()}}})
	}
	if len(out) > 0 {
		t.last = out[len(out)-1].Key.(string)
		return out, nil
	}
	select {
	case <-time.After(100 * time.Millisecond):
	case <-ctx.Done():
	}
	return nil, nil
}

func (t *task) Stop() error { return nil }
