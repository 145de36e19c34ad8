package cli

import (
	"bufio"
	"bytes"
	"encoding/json"
	"unicode/utf8"

	"github.com/twmb/franz-go/pkg/kgo"
)

// recordPrinter prints records, as text in a format or as JSON lines.
type recordPrinter struct {
	to      *bufio.Writer
	escaped bool
	format  *kgo.RecordFormatter // nil: JSON
	encoder *json.Encoder        // into buf
	buf     bytes.Buffer
	line    []byte
}

func newRecordPrinter(p *printer, format string) (*recordPrinter, error) {
	r := &recordPrinter{to: bufio.NewWriterSize(p.w, 64<<10), escaped: p.terminal}
	if p.json {
		r.encoder = json.NewEncoder(&r.buf)
		r.encoder.SetEscapeHTML(false)
		return r, nil
	}
	f, err := kgo.NewRecordFormatter(format)
	if err != nil {
		return nil, usagef("--format: %v", err)
	}
	r.format = f
	return r, nil
}

// record prints a record; it is on its way after flush.
func (r *recordPrinter) record(p *kgo.FetchPartition, record *kgo.Record) error {
	r.line = r.line[:0]
	if r.format != nil {
		r.line = r.format.AppendPartitionRecord(r.line, p, record)
	} else {
		r.buf.Reset()
		if err := r.encoder.Encode(recordJSON(record)); err != nil {
			return err
		}
		r.line = append(r.line, r.buf.Bytes()...)
	}
	if r.escaped {
		r.line = appendEscaped(nil, r.line, "\n\t")
	}
	_, err := r.to.Write(r.line)
	return err
}

func (r *recordPrinter) flush() error { return r.to.Flush() }

// jsonRecord is a record in JSON; its names are documented in the help of consume.
type jsonRecord struct {
	Topic       string       `json:"topic"`
	Partition   int32        `json:"partition"`
	Offset      int64        `json:"offset"`
	LeaderEpoch int32        `json:"leader_epoch"`
	Timestamp   int64        `json:"timestamp"`
	Key         *string      `json:"key"`
	KeyBase64   []byte       `json:"key_base64,omitempty"`
	Value       *string      `json:"value"`
	ValueBase64 []byte       `json:"value_base64,omitempty"`
	Headers     []jsonHeader `json:"headers"`
}

type jsonHeader struct {
	Key         string  `json:"key"`
	Value       *string `json:"value"`
	ValueBase64 []byte  `json:"value_base64,omitempty"`
}

func recordJSON(r *kgo.Record) jsonRecord {
	j := jsonRecord{Topic: r.Topic, Partition: r.Partition, Offset: r.Offset, LeaderEpoch: r.LeaderEpoch,
		Timestamp: r.Timestamp.UnixMilli(), Headers: make([]jsonHeader, len(r.Headers))}
	j.Key, j.KeyBase64 = jsonBytes(r.Key)
	j.Value, j.ValueBase64 = jsonBytes(r.Value)
	for i, h := range r.Headers {
		j.Headers[i].Key = h.Key
		j.Headers[i].Value, j.Headers[i].ValueBase64 = jsonBytes(h.Value)
	}
	return j
}

// jsonBytes gives bytes as text if they are UTF-8, or else as bytes, which JSON shows in base64.
func jsonBytes(b []byte) (*string, []byte) {
	if b == nil {
		return nil, nil
	}
	if !utf8.Valid(b) {
		return nil, b
	}
	text := string(b)
	return &text, nil
}
