package process

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/weir/weir/connect/convert"
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

// parser reads the messages of a process. It is for one goroutine.
type parser struct {
	json, again *convert.JSON
	schemas     map[int64]*sdk.Schema     // by their numbers
	places      map[string]map[string]any // source partitions, by their text
	lastRecords int                       // how many the last batch had
	topicText   string                    // the last topic's name, as it came
	topic       string
}

func newParser() *parser {
	return &parser{json: convert.NewJSON(), again: convert.NewJSON(), schemas: map[int64]*sdk.Schema{}, places: map[string]map[string]any{}}
}

// parse reads a message. The error says what is wrong with it.
func (p *parser) parse(line []byte) (*message, error) {
	j := p.json
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
			m.records, err = p.records()
		case "topic":
			m.topic, err = j.Text()
		case "positions":
			m.places, err = p.positions()
		case "lag":
			m.lag, err = j.Whole()
		case "partition":
			m.partition, err = p.place()
		case "refused":
			m.refused, err = p.refusals()
		case "offsets":
			m.offsets, err = p.offsets()
		case "rewind":
			m.rewind, err = p.offsets()
		case "cause":
			m.cause, err = p.cause()
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
	if err == nil {
		err = m.complete()
	}
	if err != nil {
		return nil, err
	}
	if whole {
		m.whole = bytes.Clone(line)
	}
	return m, nil
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

// complete gives records their topic, and sees that nothing is missing.
func (m *message) complete() error {
	if m.kind == "" {
		return errors.New("a message without a type")
	}
	for _, r := range m.records {
		if r.Topic == "" {
			r.Topic = m.topic
		}
		if r.Topic == "" {
			return errors.New("a record without a topic")
		}
	}
	return nil
}

// Schemas have numbers up to mostSchemas, and no more than mostOfSchema bytes.
const (
	mostSchemas  = 10_000
	mostOfSchema = 256 << 10
)

// define takes a schema.
func (p *parser) define(m *message) error {
	switch {
	case m.id < 1 || m.id > mostSchemas:
		return fmt.Errorf("a schema with the id %d: ids are from 1 to %d", m.id, mostSchemas)
	case len(m.raw) > mostOfSchema:
		return fmt.Errorf("a schema of %d bytes: it may have %d", len(m.raw), mostOfSchema)
	}
	s, err := p.json.ParseSchema(m.raw)
	if err != nil {
		return fmt.Errorf("a schema that is not right (id %d): %w", m.id, err)
	}
	p.schemas[m.id] = s
	return nil
}

func (p *parser) records() ([]*sdk.Record, error) {
	var all []sdk.Record
	if n := p.lastRecords; n > 0 {
		all = make([]sdk.Record, 0, n)
	}
	err := p.json.Array(func() error {
		all = append(all, sdk.Record{Partition: -1})
		if err := p.record(&all[len(all)-1]); err != nil {
			return fmt.Errorf("record %d: %w", len(all)-1, err)
		}
		return nil
	})
	p.lastRecords = min(len(all), 10_000) // the next are likely as many
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

func (v *part) read(p *parser) (err error) {
	v.value, v.text, err = p.json.RawValue(v.schema)
	return err
}

func (v *part) readSchema(p *parser) (err error) {
	if v.schema, err = p.schema(); err != nil || v.text == nil {
		return err
	}
	p.again.Reset(v.text)
	v.value, err = p.again.Value(v.schema)
	return err
}

// schema reads the number of a schema.
func (p *parser) schema() (*sdk.Schema, error) {
	if p.json.Null() {
		return nil, nil
	}
	id, err := p.json.Whole()
	if err != nil {
		return nil, err
	}
	s := p.schemas[id]
	if s == nil {
		return nil, fmt.Errorf("there is no schema with the id %d", id)
	}
	return s, nil
}

func (p *parser) record(r *sdk.Record) error {
	j := p.json
	var k, v part
	err := j.Object(func(name []byte) (err error) {
		switch string(name) {
		case "topic":
			r.Topic, err = p.topicName()
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
			err = k.readSchema(p)
		case "key":
			err = k.read(p)
		case "valueSchema":
			err = v.readSchema(p)
		case "value":
			err = v.read(p)
		case "headers":
			r.Headers, err = p.headers()
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
func (p *parser) topicName() (string, error) {
	text, err := p.json.Raw()
	if err != nil || string(text) == p.topicText {
		return p.topic, err
	}
	var name string
	if json.Unmarshal(text, &name) != nil || name == "" {
		return "", errors.New("it is no name")
	}
	p.topicText, p.topic = string(text), name
	return name, nil
}

func (p *parser) headers() ([]sdk.Header, error) {
	var out []sdk.Header
	err := p.json.Array(func() error {
		var h sdk.Header
		var v part
		err := p.json.Object(func(name []byte) (err error) {
			switch string(name) {
			case "key":
				h.Key, err = p.json.Text()
			case "schema":
				err = v.readSchema(p)
			case "value":
				err = v.read(p)
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
func (p *parser) place() (map[string]any, error) {
	text, err := p.json.Raw()
	if err != nil {
		return nil, err
	}
	if m, ok := p.places[string(text)]; ok {
		return m, nil
	}
	m, err := p.object(text)
	if err == nil {
		if len(p.places) >= mostPlaces {
			clear(p.places)
		}
		p.places[string(text)] = m
	}
	return m, err
}

func (p *parser) object(text []byte) (map[string]any, error) {
	p.again.Reset(text)
	v, err := p.again.Value(nil)
	if err != nil {
		return nil, err
	}
	m, ok := v.(map[string]any)
	if !ok {
		return nil, errors.New("it is no object")
	}
	return m, nil
}

func (p *parser) positions() ([]sdk.Position, error) {
	var out []sdk.Position
	err := p.json.Array(func() error {
		var at sdk.Position
		told := false
		err := p.json.Object(func(name []byte) (err error) {
			switch string(name) {
			case "partition":
				at.Partition, err = p.place()
			case "offset":
				told = true
				var text []byte
				if !p.json.Null() {
					if text, err = p.json.Raw(); err == nil {
						at.Offset, err = p.object(text)
					}
				}
			default:
				err = fmt.Errorf("there is no field %q", short(string(name)))
			}
			return err
		})
		if err == nil && (at.Partition == nil || !told) {
			err = errors.New("one has a partition and an offset")
		}
		out = append(out, at)
		return err
	})
	return out, err
}

// spot reads what names a place in a topic. more reads fields that there are besides.
func (p *parser) spot(tp *sdk.TopicPartition, offset *int64, more func(name string) (bool, error)) error {
	return p.json.Object(func(name []byte) (err error) {
		switch string(name) {
		case "topic":
			tp.Topic, err = p.topicName()
		case "partition":
			var n int64
			if n, err = p.json.Whole(); n < 0 || n > 1<<31-1 {
				err = fmt.Errorf("there is no partition %d", n)
			}
			tp.Partition = int32(n)
		case "offset":
			*offset, err = p.json.Whole()
		default:
			known, wrong := more(string(name))
			if err = wrong; !known {
				err = fmt.Errorf("there is no field %q", short(string(name)))
			}
		}
		return err
	})
}

func (p *parser) offsets() (map[sdk.TopicPartition]int64, error) {
	if p.json.Null() {
		return nil, nil
	}
	out := map[sdk.TopicPartition]int64{}
	err := p.json.Array(func() error {
		var tp sdk.TopicPartition
		at := int64(-1)
		err := p.spot(&tp, &at, func(string) (bool, error) { return false, nil })
		if err == nil && (tp.Topic == "" || at < 0) {
			err = errors.New("one has a topic, a partition and an offset")
		}
		out[tp] = at
		return err
	})
	return out, err
}

func (p *parser) refusals() ([]refusal, error) {
	var out []refusal
	err := p.json.Array(func() error {
		r := refusal{record: -1, offset: -1}
		err := p.spot(&r.at, &r.offset, func(name string) (known bool, err error) {
			switch name {
			case "record":
				r.record, err = p.json.Whole()
			case "error":
				r.text, err = p.json.Text()
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

func (p *parser) cause() (sdk.Cause, error) {
	text, err := p.json.Text()
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
