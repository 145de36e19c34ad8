package process

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/weir/weir/connect/sdk"
)

// message is one of a process: any of them.
type message struct {
	kind string
	seq  int64
	size int   // bytes of the line
	err  error // of an error

	records   []*sdk.Record  // of records
	places    []sdk.Position // where the source is after them
	topic     string         // of those that name none
	lag       int64          // ms; -1: not told
	partition map[string]any // of a question
	refused   []refusal
	offsets   map[sdk.TopicPartition]int64 // what a sink is done with; nil: all
	rewind    map[sdk.TopicPartition]int64
	cause     sdk.Cause
	text      string // of an error or a note
	id        int64
	raw       []byte // of a schema; only until the next line is read
	whole     []byte // of a hello or a done that says more: all of it
}

// refusal is a record that a sink does not take: one of those that were put, by its place, or one that was put before.
type refusal struct {
	record int64 // -1: by the others
	at     sdk.TopicPartition
	offset int64
	text   string
}

// parse reads a message.
func (c *conn) parse(line []byte) (*message, error) {
	j := c.json
	m := &message{size: len(line), lag: -1, cause: sdk.Unknown}
	whole := false
	j.Reset(line)
	err := j.Object(func(key []byte) (err error) {
		switch string(key) {
		case "type":
			m.kind, err = j.Text()
		case "seq":
			m.seq, err = j.Whole()
		case "records":
			m.records, err = c.records()
		case "topic":
			m.topic, err = j.Text()
		case "positions":
			m.places, err = c.positions()
		case "lag":
			m.lag, err = j.Whole()
		case "partition":
			m.partition, err = c.place()
		case "refused":
			m.refused, err = c.refusals()
		case "offsets":
			m.offsets, err = c.offsets()
		case "rewind":
			m.rewind, err = c.offsets()
		case "cause":
			m.cause, err = c.cause()
		case "error", "note":
			m.text, err = j.Text()
		case "id":
			m.id, err = j.Whole()
		case "schema":
			m.raw, err = j.Raw()
		case "connectors", "errors", "tasks":
			whole = true
			_, err = j.Raw()
		default:
			_, err = j.Raw()
		}
		if err != nil {
			err = inside(string(key), err)
		}
		return err
	})
	if err == nil {
		err = j.End()
	}
	if err != nil {
		return nil, c.wrong("what is not right: %v; it begins with %s", err, c.quote(string(bytes.TrimSpace(line[:min(len(line), mostOfLine)]))))
	}
	if m.kind == "" {
		return nil, c.wrong("a message without a type")
	}
	if whole {
		m.whole = bytes.Clone(line)
	}
	return m, c.complete(m)
}

// inside tells in which field something is wrong.
func inside(field string, err error) error {
	if f, ok := err.(*fieldError); ok {
		return &fieldError{field + "." + f.field, f.err}
	}
	return &fieldError{field, err}
}

type fieldError struct {
	field string
	err   error
}

func (f *fieldError) Error() string { return short(f.field) + ": " + f.err.Error() }
func (f *fieldError) Unwrap() error { return f.err }

// complete gives records their topic, and puts the positions into them: they are those after all of them.
func (c *conn) complete(m *message) error {
	for _, r := range m.records {
		if r.Topic == "" {
			r.Topic = m.topic
		}
		if r.Topic == "" {
			return c.wrong("a record without a topic")
		}
	}
	return nil
}

func (c *conn) records() ([]*sdk.Record, error) {
	var all []sdk.Record
	if n := c.lastRecords; n > 0 {
		all = make([]sdk.Record, 0, n)
	}
	err := c.json.Array(func() error {
		all = append(all, sdk.Record{Partition: -1})
		if err := c.record(&all[len(all)-1]); err != nil {
			return fmt.Errorf("record %d: %w", len(all)-1, err)
		}
		return nil
	})
	c.lastRecords = min(len(all), 10_000) // the next are likely as many
	out := make([]*sdk.Record, len(all))
	for i := range all {
		out[i] = &all[i]
	}
	return out, err
}

// part is a key or a value, whose schema may come before it or after.
type part struct {
	schema *sdk.Schema
	value  any
	text   []byte // nil: it was not there yet
}

func (p *part) readValue(c *conn) (err error) {
	p.value, p.text, err = c.json.RawValue(p.schema)
	return err
}

func (p *part) readSchema(c *conn) (err error) {
	if p.schema, err = c.schema(); err != nil || p.text == nil {
		return err
	}
	c.again.Reset(p.text)
	p.value, err = c.again.Value(p.schema)
	return err
}

// schema reads the number of a schema.
func (c *conn) schema() (*sdk.Schema, error) {
	if c.json.Null() {
		return nil, nil
	}
	id, err := c.json.Whole()
	if err != nil {
		return nil, err
	}
	s := c.schemas[id]
	if s == nil {
		return nil, fmt.Errorf("there is no schema with the id %d", id)
	}
	return s, nil
}

func (c *conn) record(r *sdk.Record) error {
	j := c.json
	var k, v part
	err := j.Object(func(name []byte) (err error) {
		switch string(name) {
		case "topic":
			r.Topic, err = c.topicName()
		case "partition":
			var n int64
			if n, err = j.Whole(); n < 0 || n > 1<<31-1 {
				err = fmt.Errorf("there is no partition %d", n)
			}
			r.Partition = int32(n)
		case "timestamp":
			if !j.Null() {
				var ms int64
				ms, err = j.Whole()
				r.Timestamp = time.UnixMilli(ms)
			}
		case "keySchema":
			err = k.readSchema(c)
		case "key":
			err = k.readValue(c)
		case "valueSchema":
			err = v.readSchema(c)
		case "value":
			err = v.readValue(c)
		case "headers":
			r.Headers, err = c.headers()
		default: // a mistyped one would be lost
			err = fmt.Errorf("there is no such field")
		}
		if err != nil {
			err = inside(string(name), err)
		}
		return err
	})
	r.KeySchema, r.Key, r.ValueSchema, r.Value = k.schema, k.value, v.schema, v.value
	return err
}

// topicName reads a topic's name, without taking memory again for the one before.
func (c *conn) topicName() (string, error) {
	text, err := c.json.Raw()
	if err != nil || string(text) == c.topicText {
		return c.topic, err
	}
	var name string
	if json.Unmarshal(text, &name) != nil || name == "" {
		return "", errors.New("it is no name")
	}
	c.topicText, c.topic = string(text), name
	return name, nil
}

func (c *conn) headers() ([]sdk.Header, error) {
	var out []sdk.Header
	err := c.json.Array(func() error {
		var h sdk.Header
		var v part
		err := c.json.Object(func(name []byte) (err error) {
			switch string(name) {
			case "key":
				h.Key, err = c.json.Text()
			case "schema":
				err = v.readSchema(c)
			case "value":
				err = v.readValue(c)
			default:
				err = fmt.Errorf("there is no field %q", short(string(name)))
			}
			return err
		})
		h.Schema, h.Value = v.schema, v.value
		out = append(out, h)
		return err
	})
	return out, err
}

// mostPlaces bounds the source partitions that are remembered.
const mostPlaces = 1000

// place reads a source partition. One that came before is the same map again, by which the runtime knows it.
func (c *conn) place() (map[string]any, error) {
	text, err := c.json.Raw()
	if err != nil {
		return nil, err
	}
	if m, ok := c.places[string(text)]; ok {
		return m, nil
	}
	m, err := c.object(text)
	if err == nil {
		if len(c.places) >= mostPlaces {
			clear(c.places)
		}
		c.places[string(text)] = m
	}
	return m, err
}

func (c *conn) object(text []byte) (map[string]any, error) {
	c.again.Reset(text)
	v, err := c.again.Value(nil)
	if err != nil {
		return nil, err
	}
	m, ok := v.(map[string]any)
	if !ok {
		return nil, errors.New("it is no object")
	}
	return m, nil
}

func (c *conn) positions() ([]sdk.Position, error) {
	var out []sdk.Position
	err := c.json.Array(func() error {
		var p sdk.Position
		told := false
		err := c.json.Object(func(name []byte) (err error) {
			switch string(name) {
			case "partition":
				p.Partition, err = c.place()
			case "offset":
				told = true
				var text []byte
				if !c.json.Null() {
					if text, err = c.json.Raw(); err == nil {
						p.Offset, err = c.object(text)
					}
				}
			default:
				err = fmt.Errorf("there is no field %q", short(string(name)))
			}
			return err
		})
		if err == nil && (p.Partition == nil || !told) {
			err = errors.New("one has a partition and an offset")
		}
		out = append(out, p)
		return err
	})
	return out, err
}

// spot reads what names a place in a topic. more reads fields that there are besides.
func (c *conn) spot(tp *sdk.TopicPartition, offset *int64, more func(name string) (bool, error)) error {
	return c.json.Object(func(name []byte) (err error) {
		switch string(name) {
		case "topic":
			tp.Topic, err = c.topicName()
		case "partition":
			var n int64
			if n, err = c.json.Whole(); n < 0 || n > 1<<31-1 {
				err = fmt.Errorf("there is no partition %d", n)
			}
			tp.Partition = int32(n)
		case "offset":
			*offset, err = c.json.Whole()
		default:
			known, wrong := more(string(name))
			if err = wrong; !known {
				err = fmt.Errorf("there is no field %q", short(string(name)))
			}
		}
		return err
	})
}

func (c *conn) offsets() (map[sdk.TopicPartition]int64, error) {
	if c.json.Null() {
		return nil, nil
	}
	out := map[sdk.TopicPartition]int64{}
	err := c.json.Array(func() error {
		var tp sdk.TopicPartition
		at := int64(-1)
		err := c.spot(&tp, &at, func(string) (bool, error) { return false, nil })
		if err == nil && (tp.Topic == "" || at < 0) {
			err = errors.New("one has a topic, a partition and an offset")
		}
		out[tp] = at
		return err
	})
	return out, err
}

func (c *conn) refusals() ([]refusal, error) {
	var out []refusal
	err := c.json.Array(func() error {
		r := refusal{record: -1, offset: -1}
		err := c.spot(&r.at, &r.offset, func(name string) (known bool, err error) {
			switch name {
			case "record":
				r.record, err = c.json.Whole()
			case "error":
				r.text, err = c.json.Text()
			default:
				return false, nil
			}
			return true, err
		})
		if err == nil && r.text == "" {
			err = errors.New("one has to say why (error)")
		}
		out = append(out, r)
		return err
	})
	return out, err
}

// causes are those that a process may give.
var causes = []sdk.Cause{sdk.Unknown, sdk.Transient, sdk.Configuration, sdk.Poison, sdk.Lost}

func (c *conn) cause() (sdk.Cause, error) {
	text, err := c.json.Text()
	if err == nil && !slices.Contains(causes, sdk.Cause(text)) {
		err = fmt.Errorf("there is no cause %q: choose transient, configuration, poison record, source gone or unknown", short(text))
	}
	return sdk.Cause(text), err
}

// hello reads what a program is.
func (m *message) hello() (*hello, error) {
	h := &hello{}
	if m.whole == nil {
		return nil, errors.New("connectors is missing")
	}
	return h, json.Unmarshal(m.whole, h)
}

// faults reads the answer to validate.
func (m *message) faults() ([]sdk.OptionError, error) {
	var told struct {
		Errors []struct{ Option, Error string } `json:"errors"`
	}
	if m.whole == nil {
		return nil, nil
	}
	if err := json.Unmarshal(m.whole, &told); err != nil {
		return nil, err
	}
	var out []sdk.OptionError
	for _, e := range told.Errors {
		out = append(out, sdk.OptionError{Option: e.Option, Err: errors.New(e.Error)})
	}
	return out, nil
}

// tasks reads the answer to split.
func (m *message) tasks() ([]map[string]string, error) {
	var told struct {
		Tasks []map[string]string `json:"tasks"`
	}
	if m.whole == nil {
		return nil, errors.New("tasks is missing")
	}
	err := json.Unmarshal(m.whole, &told)
	return told.Tasks, err
}
