package process

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"

	"github.com/weir/weir/connect/sdk"
)

// enoughOfFrame is from how many bytes on no more records are put into one message.
const enoughOfFrame = 1 << 20

// sinkTask is a task of a sink in a process.
type sinkTask struct {
	*plugin
	c      *conn
	ctx    sdk.SinkContext
	enc    *encoder
	frames [2]frame
	taken  []*sdk.Record // of a Put that is to come again, those that were taken
}

// frame is a message with records.
type frame struct {
	text []byte
	seq  int64
	sent []*sdk.Record
	bad  []*sdk.RecordError // of those that cannot be written
	to   int                // the first of the Put that is not in it
}

// Start implements sdk.SinkTask.
func (t *sinkTask) Start(ctx context.Context, c sdk.SinkContext, v sdk.Values) (err error) {
	t.ctx, t.enc = c, newEncoder()
	if t.c, err = t.start(ctx, c, v); err != nil {
		return err
	}
	_, err = t.c.call(ctx, "start", fields(nil, "class", t.Class, "connector", c.Connector(), "task", c.Task(), "config", t.config(v)))
	return err
}

// Put implements sdk.SinkTask. While the process works on one message the next is written.
func (t *sinkTask) Put(ctx context.Context, records []*sdk.Record) error {
	first := 0
	if n := len(t.taken); n <= len(records) && slices.Equal(records[:n], t.taken) {
		first = n
	}
	t.taken = nil
	f, next := &t.frames[0], &t.frames[1]
	for t.fill(f, records, first); first < len(records); f, next = next, f {
		if len(f.sent) > 0 {
			if err := t.c.send(ctx, "put", f.seq, t.enc.fresh, f.text); err != nil {
				return err
			}
			t.enc.fresh = t.enc.fresh[:0]
		}
		t.fill(next, records, f.to)
		if err := t.put(ctx, f); err != nil {
			if sdk.CauseOf(err) == sdk.Transient {
				t.taken = slices.Clone(records[:first])
			}
			return err
		}
		first = f.to
	}
	return nil
}

// fill writes records, from a place on, into a message.
func (t *sinkTask) fill(f *frame, records []*sdk.Record, from int) {
	f.sent, f.bad, f.to = f.sent[:0], f.bad[:0], from
	if from == len(records) {
		return
	}
	f.text = append(t.c.begin(f.text[:0], "put"), `,"records":[`...)
	f.seq = t.c.seq
	for _, r := range records[from:] {
		if len(f.text) >= enoughOfFrame {
			break
		}
		if t.enc.full(r) {
			if f.to > from {
				break // the schemas of those in it keep their numbers until it is sent
			}
			t.enc.forget()
		}
		f.to++
		had := len(f.text)
		if len(f.sent) > 0 {
			f.text = append(f.text, ',')
		}
		var err error
		if f.text, err = t.enc.record(f.text, r); err != nil {
			f.text = f.text[:had]
			f.bad = append(f.bad, &sdk.RecordError{Record: r, Err: err})
			continue
		}
		f.sent = append(f.sent, r)
	}
	f.text = append(f.text, "]}\n"...)
}

// put hears what became of a message's records, and reports those that cannot be taken.
func (t *sinkTask) put(ctx context.Context, f *frame) error {
	var refused []refusal
	if len(f.sent) > 0 {
		m, err := t.c.await(ctx, "put", f.seq)
		if err != nil {
			return err
		}
		t.rewind(m)
		refused = m.refused
	}
	for _, bad := range f.bad {
		if err := t.ctx.Report(bad.Record, bad.Err); err != nil {
			return err
		}
	}
	for _, r := range refused {
		record, err := t.find(r, f.sent)
		if err == nil {
			err = t.ctx.Report(record, errors.New(t.c.clean(r.text)))
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// find gives the record that a refusal is about. Of one that was put earlier only its place is known, which is enough.
func (t *sinkTask) find(r refusal, sent []*sdk.Record) (*sdk.Record, error) {
	switch {
	case r.record >= 0 && r.record < int64(len(sent)):
		return sent[r.record], nil
	case r.record < 0 && r.at.Topic != "" && r.offset >= 0:
		return &sdk.Record{Topic: r.at.Topic, Partition: r.at.Partition, From: r.at, Offset: r.offset}, nil
	}
	return nil, t.c.refuse(t.c.wrong("a refusal of a record that there is not (record %d of %d, offset %d)", r.record, len(sent), r.offset))
}

func (t *sinkTask) rewind(m *message) {
	if len(m.rewind) > 0 {
		t.ctx.Rewind(m.rewind)
	}
}

// Assigned implements sdk.Partitioned.
func (t *sinkTask) Assigned(ctx context.Context, p []sdk.TopicPartition) error {
	return t.partitions(ctx, "open", p, nil)
}

// Revoked implements sdk.Partitioned.
func (t *sinkTask) Revoked(ctx context.Context, p []sdk.TopicPartition, lost bool) error {
	return t.partitions(ctx, "close", p, strconv.AppendBool([]byte(`,"lost":`), lost))
}

func (t *sinkTask) partitions(ctx context.Context, kind string, p []sdk.TopicPartition, more []byte) error {
	if !t.uses(usesPartitions) {
		return nil
	}
	type partition struct {
		Topic     string `json:"topic"`
		Partition int32  `json:"partition"`
	}
	all := make([]partition, len(p))
	for i, tp := range p {
		all[i] = partition(tp)
	}
	m, err := t.c.call(ctx, kind, fields(more, "partitions", all))
	if err == nil {
		t.rewind(m)
	}
	return err
}

// Stop implements sdk.SinkTask.
func (t *sinkTask) Stop() error {
	if t.c == nil {
		return nil
	}
	if err := t.c.close(); err != nil {
		return fmt.Errorf("the sink did not end well: %w", err)
	}
	return nil
}

// flusher is a sinkTask that is done with records later than it takes them.
type flusher struct{ *sinkTask }

// Flush implements sdk.Flusher.
func (t flusher) Flush(ctx context.Context, put map[sdk.TopicPartition]int64) (map[sdk.TopicPartition]int64, error) {
	type offset struct {
		Topic     string `json:"topic"`
		Partition int32  `json:"partition"`
		Offset    int64  `json:"offset"`
	}
	all := make([]offset, 0, len(put))
	for tp, at := range put {
		all = append(all, offset{tp.Topic, tp.Partition, at})
	}
	m, err := t.c.call(ctx, "flush", fields(nil, "offsets", all))
	if err != nil {
		return nil, err
	}
	for _, r := range m.refused {
		record, err := t.find(r, nil)
		if err == nil {
			err = t.ctx.Report(record, errors.New(t.c.clean(r.text)))
		}
		if err != nil {
			return nil, err
		}
	}
	t.rewind(m)
	if m.offsets == nil {
		return put, nil
	}
	for tp := range m.offsets {
		if _, ok := put[tp]; !ok {
			return nil, t.c.refuse(t.c.wrong("that it is done with %s-%d, of which it was given nothing", short(tp.Topic), tp.Partition))
		}
	}
	return m.offsets, nil
}
