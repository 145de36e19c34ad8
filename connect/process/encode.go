package process

import (
	"strconv"

	"github.com/weir/weir/connect/convert"
	"github.com/weir/weir/connect/sdk"
)

// mostSent is how many schemas a process is sent until their numbers begin anew.
const mostSent = 5000

// encoder writes the records that a sink is given, and the schemas that it needs for that.
type encoder struct {
	json  *convert.JSON
	ids   map[*sdk.Schema]int64
	texts map[string]int64 // schemas that are made apart may be the same
	fresh []byte           // schemas that are to be sent before any record
	buf   []byte
}

func newEncoder() *encoder {
	return &encoder{json: convert.NewJSON(), ids: map[*sdk.Schema]int64{}, texts: map[string]int64{}}
}

// full tells whether there are not enough numbers left for the schemas of a record.
func (e *encoder) full(r *sdk.Record) bool { return len(e.texts)+2+len(r.Headers) > mostSent }

// forget begins the numbers anew.
func (e *encoder) forget() {
	clear(e.ids)
	clear(e.texts)
}

func (e *encoder) schema(s *sdk.Schema) (int64, error) {
	if id, ok := e.ids[s]; ok {
		return id, nil
	}
	var err error
	if e.buf, err = e.json.AppendSchema(e.buf[:0], s); err != nil {
		return 0, err
	}
	id, known := e.texts[string(e.buf)]
	if !known {
		id = int64(len(e.texts) + 1)
		e.texts[string(e.buf)] = id
		e.fresh = strconv.AppendInt(append(e.fresh, `{"type":"schema","id":`...), id, 10)
		e.fresh = append(append(append(e.fresh, `,"schema":`...), e.buf...), "}\n"...)
	}
	if len(e.ids) > 2*mostSent {
		clear(e.ids)
	}
	e.ids[s] = id
	return id, nil
}

// record appends a record. After an error b is as it was.
func (e *encoder) record(b []byte, r *sdk.Record) ([]byte, error) {
	out := e.json.AppendText(append(b, `{"topic":`...), r.Topic)
	out = strconv.AppendInt(append(out, `,"partition":`...), int64(r.Partition), 10)
	out = strconv.AppendInt(append(out, `,"offset":`...), r.Offset, 10)
	if r.From.Topic != r.Topic || r.From.Partition != r.Partition { // transforms changed it
		out = e.json.AppendText(append(out, `,"from":{"topic":`...), r.From.Topic)
		out = append(strconv.AppendInt(append(out, `,"partition":`...), int64(r.From.Partition), 10), '}')
	}
	if !r.Timestamp.IsZero() {
		out = strconv.AppendInt(append(out, `,"timestamp":`...), r.Timestamp.UnixMilli(), 10)
	}
	out, err := e.part(out, `,"keySchema":`, `,"key":`, r.KeySchema, r.Key)
	if err == nil {
		out, err = e.part(out, `,"valueSchema":`, `,"value":`, r.ValueSchema, r.Value)
	}
	if err == nil && len(r.Headers) > 0 {
		out, err = e.headers(out, r.Headers)
	}
	if err != nil {
		return b, err
	}
	return append(out, '}'), nil
}

func (e *encoder) part(b []byte, schemaName, name string, s *sdk.Schema, v any) ([]byte, error) {
	if v == nil { // whatever its schema says of nulls
		return append(append(b, name...), "null"...), nil
	}
	if s != nil {
		id, err := e.schema(s)
		if err != nil {
			return b, err
		}
		b = strconv.AppendInt(append(b, schemaName...), id, 10)
	}
	return e.json.AppendValue(append(b, name...), s, v)
}

func (e *encoder) headers(b []byte, headers []sdk.Header) (_ []byte, err error) {
	b = append(b, `,"headers":[`...)
	for i := range headers {
		if i > 0 {
			b = append(b, ',')
		}
		h := &headers[i]
		b = e.json.AppendText(append(b, `{"key":`...), h.Key)
		if b, err = e.part(b, `,"schema":`, `,"value":`, h.Schema, h.Value); err != nil {
			return b, err
		}
		b = append(b, '}')
	}
	return append(b, ']'), nil
}
