package connect_test

import (
	"context"
	"errors"
	"fmt"

	"github.com/weir/weir/connect/sdk"
)

// fileSource and fileSink have the options of Kafka's FileStream connectors. Their tasks are an engine's that runs none.
type fileSource struct{}

func (fileSource) Info() sdk.Info {
	return sdk.Info{Class: "org.apache.kafka.connect.file.FileStreamSourceConnector", Version: "4.3.1"}
}

func (fileSource) Options() []sdk.Option {
	return []sdk.Option{
		{Name: "file", Kind: sdk.StringOption, NoDefault: true, Importance: sdk.High, Doc: "Source filename. If not specified, the standard input will be used"},
		{Name: "topic", Kind: sdk.StringOption, Required: true, Importance: sdk.High, Doc: "The topic to publish data to", Check: func(_ sdk.Values, v any) error {
			if v == "" {
				return errors.New("Invalid value  for configuration topic: String must be non-empty")
			}
			return nil
		}},
		{Name: "batch.size", Kind: sdk.IntOption, Default: "2000", Importance: sdk.Low, Doc: "The maximum number of records the source task can read from the file each time it is polled"},
	}
}

func (fileSource) NewTask() sdk.SourceTask { panic("BUG: tasks are faked") }

func (fileSource) CheckPositions(_ sdk.Values, positions []sdk.Position) error {
	for _, p := range positions {
		if _, ok := sdk.Int64Of(p.Offset, "position"); p.Offset != nil && !ok {
			return errors.New("The value for the 'position' key in the offset is expected to be a Long value")
		}
	}
	return nil
}

type fileSink struct{}

func (fileSink) Info() sdk.Info {
	return sdk.Info{Class: "org.apache.kafka.connect.file.FileStreamSinkConnector", Version: "4.3.1"}
}

func (fileSink) Options() []sdk.Option {
	return []sdk.Option{{Name: "file", Kind: sdk.StringOption, NoDefault: true, Importance: sdk.High, Doc: "Destination filename. If not specified, the standard output will be used"}}
}

func (fileSink) NewTask() sdk.SinkTask { panic("BUG: tasks are faked") }

// partsSource divides its work into as many tasks as it is told to, and tells when it wants to divide it anew.
type partsSource struct {
	parts   func() int
	changed chan struct{}
	refuse  func() error
}

func (partsSource) Info() sdk.Info {
	return sdk.Info{Class: "test.PartsSource", Aliases: []string{"com.example.PartsConnector"}, Version: "1", Doc: "A source with parts."}
}

func (partsSource) Options() []sdk.Option {
	return []sdk.Option{
		{Name: "password", Kind: sdk.PasswordOption, NoDefault: true, Importance: sdk.High, Doc: "A secret."},
		{Name: "part", Kind: sdk.StringOption, NoDefault: true, Internal: true},
		{Name: "fancy", Kind: sdk.StringOption, Default: "no", Importance: sdk.Low, Doc: "Not here.", Unsupported: "nobody needs it", Accepts: []string{"never"}},
	}
}

func (partsSource) NewTask() sdk.SourceTask { panic("BUG: tasks are faked") }

func (p partsSource) Split(_ context.Context, v sdk.Values, most int) ([]map[string]string, error) {
	if p.refuse != nil {
		if err := p.refuse(); err != nil {
			return nil, err
		}
	}
	out := make([]map[string]string, p.parts())
	for i := range out {
		out[i] = map[string]string{"part": fmt.Sprint(i), "password": v.String("password")}
	}
	return out, nil
}

func (p partsSource) Watch(ctx context.Context, _ sdk.Values, changed func()) error {
	for {
		select {
		case <-p.changed:
			changed()
		case <-ctx.Done():
			return nil
		}
	}
}
