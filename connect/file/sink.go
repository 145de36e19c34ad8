package file

import (
	"context"
	"fmt"
	"os"

	"github.com/weir/weir/connect/sdk"
	"github.com/weir/weir/connect/values"
)

// Sink writes the values of records to a file, a line each.
type Sink struct{}

// Info implements sdk.Connector.
func (Sink) Info() sdk.Info {
	return sdk.Info{Class: "org.apache.kafka.connect.file.FileStreamSinkConnector", Version: version, Doc: "The values of records become lines of a text file."}
}

// Options implements sdk.Connector.
func (Sink) Options() []sdk.Option {
	return []sdk.Option{{Name: "file", Kind: sdk.StringOption, NoDefault: true, Importance: sdk.High, Doc: "Destination filename. If not specified, the standard output will be used"}}
}

// NewTask implements sdk.Sink.
func (Sink) NewTask() sdk.SinkTask { return &sinkTask{} }

type sinkTask struct {
	file *os.File
	buf  []byte
}

// Start implements sdk.SinkTask.
func (t *sinkTask) Start(_ context.Context, _ sdk.SinkContext, v sdk.Values) (err error) {
	if v.String("file") == "" {
		t.file = os.Stdout
		return only(v, "standard output")
	}
	if t.file, err = open(v, v.String("file"), os.O_WRONLY|os.O_CREATE|os.O_APPEND); err != nil {
		return sdk.Misconfigured("The file cannot be written: %w", err)
	}
	return nil
}

// Put implements sdk.SinkTask.
func (t *sinkTask) Put(_ context.Context, records []*sdk.Record) error {
	t.buf = t.buf[:0]
	for _, r := range records {
		if s, ok := r.Value.(string); ok {
			t.buf = append(t.buf, s...)
		} else {
			t.buf = append(t.buf, values.JavaString(r.Value)...)
		}
		t.buf = append(t.buf, '\n')
	}
	if _, err := t.file.Write(t.buf); err != nil {
		return sdk.Retry(fmt.Errorf("the file %s cannot be written: %w", t.file.Name(), err))
	}
	return nil
}

// Flush implements sdk.Flusher: what was put is done when it is on disk.
func (t *sinkTask) Flush(_ context.Context, put map[sdk.TopicPartition]int64) (map[sdk.TopicPartition]int64, error) {
	if info, err := t.file.Stat(); err == nil && info.Mode().IsRegular() {
		if err := t.file.Sync(); err != nil {
			return nil, fmt.Errorf("the file %s cannot be written: %w", t.file.Name(), err)
		}
	}
	return put, nil
}

// Stop implements sdk.SinkTask.
func (t *sinkTask) Stop() error {
	if t.file == nil || t.file == os.Stdout {
		return nil
	}
	return t.file.Close()
}
