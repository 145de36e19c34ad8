package file

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"math"
	"os"
	"time"

	"github.com/weir/weir/connect/sdk"
)

// Source brings the lines of a file into a topic, also those that are added later.
type Source struct{}

// Info implements sdk.Connector.
func (Source) Info() sdk.Info {
	return sdk.Info{Class: "org.apache.kafka.connect.file.FileStreamSourceConnector", Version: version, Doc: "Lines of a text file become records."}
}

// Options implements sdk.Connector.
func (Source) Options() []sdk.Option {
	return []sdk.Option{
		{Name: "file", Kind: sdk.StringOption, NoDefault: true, Importance: sdk.High, Doc: "Source filename. If not specified, the standard input will be used"},
		{Name: "topic", Kind: sdk.StringOption, Required: true, Importance: sdk.High, Doc: "The topic to publish data to", Check: notEmpty("topic")},
		{Name: "batch.size", Kind: sdk.IntOption, Default: "2000", Importance: sdk.Low, Doc: "The maximum number of records the source task can read from the file each time it is polled"},
	}
}

func notEmpty(option string) func(sdk.Values, any) error {
	return func(_ sdk.Values, v any) error {
		if s, _ := v.(string); s == "" {
			return fmt.Errorf("Invalid value %s for configuration %s: String must be non-empty", s, option)
		}
		return nil
	}
}

// NewTask implements sdk.Source.
func (Source) NewTask() sdk.SourceTask { return &sourceTask{} }

// CheckPositions implements sdk.OffsetChecker, with the words of Kafka's connector.
func (Source) CheckPositions(v sdk.Values, positions []sdk.Position) error {
	if !v.Has("file") {
		return errors.New("Offsets cannot be modified if the 'file' configuration is unspecified. This is because stdin is used for input and offsets are not tracked.")
	}
	for _, p := range positions {
		if p.Offset == nil {
			continue
		}
		if _, set := p.Offset[positionField]; !set {
			return fmt.Errorf("Offset objects should either be null or contain the key '%s'", positionField)
		}
		switch n, ok := sdk.Int64Of(p.Offset, positionField); {
		case !ok:
			return fmt.Errorf("The value for the '%s' key in the offset is expected to be a Long value", positionField)
		case n < 0:
			return fmt.Errorf("The value for the '%s' key in the offset should be a non-negative value", positionField)
		}
		if _, ok := p.Partition[filenameField].(string); !ok {
			return fmt.Errorf("Partition objects should contain the key '%s'", filenameField)
		}
	}
	return nil
}

// The fields of positions, as Kafka's connector has them.
const (
	filenameField = "filename"
	positionField = "position"
)

type sourceTask struct {
	v         sdk.Values
	name      string
	topic     string
	most      int
	partition map[string]any // nil: standard input, which has no positions
	at        int64          // of the next line
	file      *os.File       // nil: not there yet
	buf       []byte         // what was read and is not a whole line yet; it begins at at
	waiting   bool           // it was told that the file is not there
	c         sdk.SourceContext
}

// Start implements sdk.SourceTask.
func (t *sourceTask) Start(ctx context.Context, c sdk.SourceContext, v sdk.Values) error {
	t.c, t.v, t.name, t.topic = c, v, v.String("file"), v.String("topic")
	t.most = int(max(1, min(v.Int("batch.size"), math.MaxInt32)))
	if t.name == "" {
		t.file = os.Stdin
		return only(v, "standard input")
	}
	t.partition = map[string]any{filenameField: t.name}
	kept, err := c.Position(ctx, t.partition)
	if err != nil {
		return err
	}
	t.at, _ = sdk.Int64Of(kept, positionField)
	return t.open()
}

// open opens the file if it is there.
func (t *sourceTask) open() error {
	f, err := open(t.v, t.name, os.O_RDONLY)
	if errors.Is(err, fs.ErrNotExist) {
		if !t.waiting {
			t.waiting = true
			t.c.Logger().Warn("the file is not there; it is waited for", "file", t.name)
		}
		return nil
	}
	if err != nil {
		return sdk.Misconfigured("The file cannot be read: %w", err)
	}
	if _, err := f.Seek(t.at, io.SeekStart); err != nil {
		return errors.Join(err, f.Close())
	}
	t.file = f
	return nil
}

// lookEach is how long it takes until new lines are looked for.
const lookEach = 100 * time.Millisecond

// Poll implements sdk.SourceTask.
func (t *sourceTask) Poll(ctx context.Context) ([]*sdk.Record, error) {
	for until := time.Now().Add(sdk.PollWithin); time.Now().Before(until); {
		if t.file == nil {
			if err := t.open(); err != nil {
				return nil, err
			}
		}
		if t.file != nil {
			if out := t.lines(); len(out) > 0 {
				return out, nil
			}
			more, err := t.read()
			if err != nil {
				return nil, err
			}
			if more {
				continue
			}
		}
		select {
		case <-time.After(lookEach):
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
	return nil, nil
}

// readAtOnce is how many bytes are read at once.
const readAtOnce = 64 << 10

// read reads on, and tells whether there was more.
func (t *sourceTask) read() (bool, error) {
	if t.partition != nil {
		if err := t.cutShort(); err != nil {
			return false, err
		}
	}
	had := len(t.buf)
	t.buf = append(t.buf, make([]byte, readAtOnce)...)
	n, err := t.file.Read(t.buf[had:])
	t.buf = t.buf[:had+n]
	if err != nil && !errors.Is(err, io.EOF) {
		return false, fmt.Errorf("the file %s cannot be read: %w", t.name, err)
	}
	return n > 0, nil
}

// cutShort makes an error if the file ends before where it was read to: nobody can say then which lines were read.
func (t *sourceTask) cutShort() error {
	info, err := t.file.Stat()
	if err != nil {
		return err
	}
	if info.Mode().IsRegular() && info.Size() < t.at {
		return sdk.Gone("The file %s has only %d bytes, and was read up to %d: it was cut short or is another one. Put it back, or have it read from its begin by DELETE /connectors/NAME/offsets", t.name, info.Size(), t.at)
	}
	return nil
}

// lines takes whole lines from what was read.
func (t *sourceTask) lines() (out []*sdk.Record) {
	now := time.Now()
	rest := t.buf
	for len(out) < t.most {
		line, length, ok := cutLine(rest)
		if !ok {
			break
		}
		rest = rest[length:]
		t.at += int64(length)
		r := &sdk.Record{Topic: t.topic, Partition: -1, ValueSchema: sdk.StringSchema, Value: string(line), Timestamp: now}
		if t.partition != nil {
			r.At = &sdk.Position{Partition: t.partition, Offset: map[string]any{positionField: t.at}}
		}
		out = append(out, r)
	}
	t.buf = t.buf[:copy(t.buf, rest)]
	return out
}

// cutLine gives the first line, and its length with what ends it: a line feed, a carriage return, or both. A carriage return at the end of
// what was read may have its line feed yet to come.
func cutLine(b []byte) (line []byte, length int, ok bool) {
	i := bytes.IndexAny(b, "\r\n")
	switch {
	case i < 0, b[i] == '\r' && i+1 == len(b):
		return nil, 0, false
	case b[i] == '\r' && b[i+1] == '\n':
		return b[:i], i + 2, true
	}
	return b[:i], i + 1, true
}

// Stop implements sdk.SourceTask.
func (t *sourceTask) Stop() error {
	if t.file == nil || t.file == os.Stdin {
		return nil
	}
	return t.file.Close()
}
