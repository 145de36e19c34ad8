package convert

import (
	"fmt"
	"strconv"

	"github.com/weir/weir/connect/sdk"
	"github.com/weir/weir/connect/values"
)

// JSON reads and writes schemas and values in the form that they have in the JSON converter's messages, for others who speak it. Unlike the
// converter it refuses what is not of its schema. It is for one goroutine. What Object, Array and the others read is what Reset was given;
// each reads the value that comes next.
type JSON struct {
	c *jsonConverter
	r reader
}

// mostPlans bounds the schemas that a JSON remembers how to write.
const mostPlans = 1000

// NewJSON makes one.
func NewJSON() *JSON {
	return &JSON{c: remembering(jsonConverter{schemas: true, strict: true, most: mostPlans})}
}

// AppendSchema appends a schema. After an error dst is as it was.
func (j *JSON) AppendSchema(dst []byte, s *sdk.Schema) ([]byte, error) {
	p, err := j.c.plan(s)
	if err != nil {
		return dst, err
	}
	return append(dst, p.text...), nil
}

// AppendValue appends a value; a schema of nil: it has none. After an error dst is as it was.
func (j *JSON) AppendValue(dst []byte, s *sdk.Schema, v any) ([]byte, error) {
	var out []byte
	var err error
	if s == nil {
		out, err = j.c.appendFree(dst, v)
	} else {
		var p *plan
		if p, err = j.c.plan(s); err == nil {
			out, err = p.append(dst, v)
		}
	}
	if err != nil {
		return dst, err
	}
	return out, nil
}

// AppendText appends a text as a JSON string.
func (j *JSON) AppendText(dst []byte, s string) []byte { return appendString(dst, s) }

// ParseSchema reads a schema.
func (j *JSON) ParseSchema(text []byte) (*sdk.Schema, error) { return j.c.parseSchema(text) }

// Reset begins to read a text. What is read does not refer to it, but for Raw and the keys of Object.
func (j *JSON) Reset(b []byte) {
	j.r = reader{b: b}
	j.r.space()
}

// End wants the text to end.
func (j *JSON) End() error {
	if j.r.space(); !j.r.done() {
		return j.r.bad("something after the end")
	}
	return nil
}

// Object reads an object: field is called with each key, and reads its value.
func (j *JSON) Object(field func(key []byte) error) error {
	if j.r.peek() != '{' {
		return j.r.bad("no object")
	}
	return j.r.object(field)
}

// Array reads an array: element is called for each of its elements, and reads it.
func (j *JSON) Array(element func() error) error {
	if j.r.peek() != '[' {
		return j.r.bad("no array")
	}
	return j.r.array(element)
}

// Text reads a string.
func (j *JSON) Text() (string, error) {
	if j.r.peek() != '"' {
		return "", j.r.bad("no string")
	}
	return j.r.text()
}

// Whole reads a whole number of 64 bits.
func (j *JSON) Whole() (int64, error) {
	n, err := j.r.number()
	if err == nil && !n.within(64) {
		err = j.r.bad("no whole number of 64 bits")
	}
	if err != nil {
		return 0, err
	}
	return n.long(), nil
}

// Null reads a null, if there is one.
func (j *JSON) Null() bool { return j.r.word("null") }

// Raw reads any value and gives its text.
func (j *JSON) Raw() ([]byte, error) {
	start := j.r.pos
	err := j.r.skip()
	return j.r.b[start:j.r.pos], err
}

// Value reads a value; a schema of nil: it has none, and is what its JSON says.
func (j *JSON) Value(s *sdk.Schema) (any, error) { return j.c.value(&j.r, s) }

// RawValue reads a value, and gives its text besides.
func (j *JSON) RawValue(s *sdk.Schema) (v any, text []byte, err error) {
	start := j.r.pos
	v, err = j.c.value(&j.r, s)
	return v, j.r.b[start:j.r.pos], err
}

// within tells whether it is a whole number of so many bits.
func (n number) within(bits int) bool {
	if !n.integral {
		return false
	}
	_, err := strconv.ParseInt(string(n.text), 10, bits)
	return err == nil
}

// fits wants what comes next to be of a schema's type. Maps and structures see to that themselves.
func (r *reader) fits(s *sdk.Schema) error {
	ok, c := true, r.peek()
	digits := c == '-' || isNumber(c)
	ahead := reader{b: r.b, pos: r.pos}
	switch s.Type {
	case sdk.Int8, sdk.Int16, sdk.Int32, sdk.Int64:
		n, err := ahead.number()
		ok = digits && err == nil && n.within(8<<(s.Type-sdk.Int8))
	case sdk.Float32, sdk.Float64:
		if ok = digits; c == '"' {
			text, err := ahead.text()
			ok = err == nil && (text == "NaN" || text == "Infinity" || text == "-Infinity")
		}
	case sdk.Boolean:
		ok = c == 't' || c == 'f'
	case sdk.String:
		ok = c == '"'
	case sdk.Bytes:
		ok = c == '"' || digits && s.Name == sdk.LogicalDecimal
	case sdk.Array:
		ok = c == '['
	}
	if ok {
		return nil
	}
	return r.bad(fmt.Sprintf("a %s that is no %s of the schema", r.kind(), values.JavaType(s.Type)))
}
