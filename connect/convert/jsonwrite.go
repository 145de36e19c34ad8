package convert

import (
	"encoding/base64"
	"errors"
	"fmt"
	"math"
	"strconv"
	"time"
	"unicode/utf16"
	"unicode/utf8"

	"github.com/weir/weir/connect/sdk"
	"github.com/weir/weir/connect/values"
)

// plan says how values of one schema are written, with all that depends on the schema made ready.
type plan struct {
	c      *jsonConverter
	schema *sdk.Schema
	same   *sdk.Schema // another schema that was found equal
	form   form
	text   []byte // the schema as JSON
	null   []byte // what null is written as; nil: it may not be
	scale  int32  // of decimals
	names  []string
	fields []*plan
	key    *plan
	elem   *plan
}

// form is how a value is written.
type form uint8

const (
	asInt8 form = iota
	asInt16
	asInt32
	asInt64
	asFloat32
	asFloat64
	asBoolean
	asString
	asBytes
	asArray
	asMap
	asEntries // a map whose keys are no strings
	asStruct
	asDecimal
	asTime // any of the logical types that are times
)

func formOf(s *sdk.Schema) (form, error) {
	switch s.Name {
	case sdk.LogicalDecimal:
		return asDecimal, nil
	case sdk.LogicalDate, sdk.LogicalTime, sdk.LogicalTimestamp:
		return asTime, nil
	}
	switch s.Type {
	case sdk.Int8, sdk.Int16, sdk.Int32, sdk.Int64, sdk.Float32, sdk.Float64, sdk.Boolean, sdk.String, sdk.Bytes, sdk.Array:
		return form(s.Type - sdk.Int8), nil
	case sdk.Map:
		if s.Key != nil && s.Key.Type != sdk.String {
			return asEntries, nil
		}
		return asMap, nil
	case sdk.Structure:
		return asStruct, nil
	}
	return 0, fmt.Errorf("Couldn't translate unsupported schema type %v.", s.Type)
}

// plan gives how values of a schema are written.
func (c *jsonConverter) plan(s *sdk.Schema) (*plan, error) {
	if p := c.plans[s]; p != nil {
		return p, nil
	}
	if len(c.plans) >= c.most {
		clear(c.plans)
	}
	p, err := c.newPlan(s, 0)
	if err != nil {
		return nil, err
	}
	c.plans[s] = p
	return p, nil
}

// depthMost is how deep values may lie in each other, as in Kafka's JSON.
const depthMost = 1000

func (c *jsonConverter) newPlan(s *sdk.Schema, depth int) (_ *plan, err error) {
	if s == nil {
		return &plan{c: c}, nil
	}
	if depth > depthMost {
		return nil, errors.New("a schema lies in itself")
	}
	p := &plan{c: c, schema: s}
	if p.form, err = formOf(s); err != nil {
		return nil, err
	}
	if p.form == asDecimal {
		if p.scale, err = values.Scale(s); err != nil {
			return nil, err
		}
	}
	if s.Type == sdk.Map || s.Type == sdk.Array {
		if p.elem, err = c.newPlan(s.Elem, depth+1); err == nil {
			p.key, err = c.newPlan(s.Key, depth+1)
		}
		if err != nil {
			return nil, err
		}
	}
	for i, f := range s.Fields {
		fp, err := c.newPlan(f.Schema, depth+1)
		if err != nil {
			return nil, err
		}
		p.fields = append(p.fields, fp)
		open := byte(',')
		if i == 0 {
			open = '{'
		}
		p.names = append(p.names, string(append(appendString([]byte{open}, f.Name), ':')))
	}
	return p, p.prepare()
}

// prepare writes the schema, and what null is.
func (p *plan) prepare() (err error) {
	if p.schema.Optional {
		p.null = []byte("null")
	}
	if p.schema.Default != nil {
		d, err := p.append(nil, p.schema.Default)
		if err != nil {
			return err
		}
		p.text = d // for the schema's text, which replaces it
		if p.c.nullDefault {
			p.null = d
		}
	}
	if !p.c.schemas {
		p.text = nil
		return nil
	}
	p.text, err = p.appendSchema(nil, p.text)
	return err
}

var errNull = errors.New("Conversion error: null value for field that is required and has no default value")

func (p *plan) append(dst []byte, v any) ([]byte, error) {
	if p.schema == nil {
		return p.c.appendFree(dst, v)
	}
	if v == nil {
		if p.null == nil {
			return nil, errNull
		}
		return append(dst, p.null...), nil
	}
	switch p.form {
	case asInt8:
		if n, ok := v.(int8); ok {
			return strconv.AppendInt(dst, int64(n), 10), nil
		}
	case asInt16:
		if n, ok := v.(int16); ok {
			return strconv.AppendInt(dst, int64(n), 10), nil
		}
	case asInt32:
		if n, ok := v.(int32); ok {
			return strconv.AppendInt(dst, int64(n), 10), nil
		}
	case asInt64:
		if n, ok := v.(int64); ok {
			return strconv.AppendInt(dst, n, 10), nil
		}
	case asFloat32:
		if f, ok := v.(float32); ok {
			return appendFloat32(dst, f), nil
		}
	case asFloat64:
		if f, ok := v.(float64); ok {
			return appendFloat64(dst, f), nil
		}
	case asBoolean:
		if b, ok := v.(bool); ok {
			return strconv.AppendBool(dst, b), nil
		}
	case asString:
		if s, ok := v.(string); ok {
			return appendString(dst, s), nil
		}
	case asBytes:
		if b, ok := v.([]byte); ok {
			return appendBase64(dst, b), nil
		}
	case asStruct:
		if s, ok := v.(*sdk.Struct); ok {
			return p.appendStruct(dst, s)
		}
	case asDecimal:
		return p.appendDecimal(dst, v)
	case asTime:
		return p.appendTime(dst, v)
	default:
		return p.appendMany(dst, v)
	}
	return nil, p.mismatch(v)
}

func (p *plan) mismatch(v any) error {
	return fmt.Errorf("Invalid type for %s: %s", values.JavaType(p.schema.Type), values.Class(v))
}

var errSchemas = errors.New("Mismatching schema.")

func (p *plan) appendStruct(dst []byte, s *sdk.Struct) (_ []byte, err error) {
	if s.Schema != p.schema && s.Schema != p.same {
		if !sameButOptional(s.Schema, p.schema) { // whether the field may be missing is the field's, not the value's
			return nil, errSchemas
		}
		p.same = s.Schema
	}
	if len(s.Values) != len(p.fields) {
		panic("BUG: a structure with more or fewer values than its schema has fields")
	}
	if len(p.fields) == 0 {
		return append(dst, '{', '}'), nil
	}
	for i, f := range p.fields {
		if dst, err = f.append(append(dst, p.names[i]...), s.Values[i]); err != nil {
			return nil, err
		}
	}
	return append(dst, '}'), nil
}

func (p *plan) appendMany(dst []byte, v any) (_ []byte, err error) {
	switch v := v.(type) {
	case []any:
		if p.form != asArray {
			break
		}
		dst = append(dst, '[')
		for i, e := range v {
			if dst, err = p.elem.append(comma(dst, i), e); err != nil {
				return nil, err
			}
		}
		return append(dst, ']'), nil
	case map[string]any:
		if p.form != asMap {
			break
		}
		dst = append(dst, '{')
		for i, k := range values.JavaOrder(v) {
			dst = append(appendString(comma(dst, i), k), ':')
			if dst, err = p.elem.append(dst, v[k]); err != nil {
				return nil, err
			}
		}
		return append(dst, '}'), nil
	case []sdk.Entry:
		if p.form != asEntries {
			return p.appendOrdered(dst, v)
		}
		dst = append(dst, '[')
		for i, e := range v {
			if dst, err = p.key.append(append(comma(dst, i), '['), e.Key); err != nil {
				return nil, err
			}
			if dst, err = p.elem.append(append(dst, ','), e.Value); err != nil {
				return nil, err
			}
			dst = append(dst, ']')
		}
		return append(dst, ']'), nil
	}
	return nil, p.mismatch(v)
}

// appendOrdered writes a map with text as keys whose order somebody chose.
func (p *plan) appendOrdered(dst []byte, entries []sdk.Entry) (_ []byte, err error) {
	if p.form != asMap {
		return nil, p.mismatch(entries)
	}
	dst = append(dst, '{')
	for i, e := range entries {
		k, ok := e.Key.(string)
		if !ok {
			return nil, p.key.mismatch(e.Key)
		}
		if dst, err = p.elem.append(append(appendString(comma(dst, i), k), ':'), e.Value); err != nil {
			return nil, err
		}
	}
	return append(dst, '}'), nil
}

func comma(dst []byte, i int) []byte {
	if i > 0 {
		return append(dst, ',')
	}
	return dst
}

func (p *plan) appendDecimal(dst []byte, v any) ([]byte, error) {
	d, ok := v.(sdk.Decimal)
	switch {
	case !ok:
		return failed("Invalid type for Decimal, expected BigDecimal but was %s", values.Class(v))
	case p.c.numeric:
		return values.AppendDecimal(dst, d), nil
	case d.Scale != p.scale:
		return failed("Decimal value has mismatching scale for given Decimal schema. Schema has scale %d, value has scale %d.", p.scale, d.Scale)
	}
	var few [32]byte
	return appendBase64(dst, d.AppendBytes(few[:0])), nil
}

func (p *plan) appendTime(dst []byte, v any) ([]byte, error) {
	t, ok := v.(time.Time)
	if !ok {
		return failed("Invalid type for %s, expected Date but was %s", values.Simple(p.schema.Name), values.Class(v))
	}
	n, err := values.ToLogical(p.schema.Name, t)
	if err != nil {
		return nil, err
	}
	return strconv.AppendInt(dst, n, 10), nil
}

// appendFree writes a value that has no schema.
func (c *jsonConverter) appendFree(dst []byte, v any) (_ []byte, err error) {
	switch v := v.(type) {
	case nil:
		return append(dst, "null"...), nil
	case string:
		return appendString(dst, v), nil
	case int64:
		return strconv.AppendInt(dst, v, 10), nil
	case int:
		return strconv.AppendInt(dst, int64(v), 10), nil
	case int32:
		return strconv.AppendInt(dst, int64(v), 10), nil
	case int16:
		return strconv.AppendInt(dst, int64(v), 10), nil
	case int8:
		return strconv.AppendInt(dst, int64(v), 10), nil
	case float64:
		return appendFloat64(dst, v), nil
	case float32:
		return appendFloat32(dst, v), nil
	case bool:
		return strconv.AppendBool(dst, v), nil
	case []byte:
		return appendBase64(dst, v), nil
	case []any:
		dst = append(dst, '[')
		for i, e := range v {
			if dst, err = c.appendFree(comma(dst, i), e); err != nil {
				return nil, err
			}
		}
		return append(dst, ']'), nil
	case map[string]any:
		dst = append(dst, '{')
		for i, k := range values.JavaOrder(v) {
			if dst, err = c.appendFree(append(appendString(comma(dst, i), k), ':'), v[k]); err != nil {
				return nil, err
			}
		}
		return append(dst, '}'), nil
	case []sdk.Entry:
		return c.appendFreeEntries(dst, v)
	case *sdk.Struct:
		return nil, errSchemas
	}
	return nil, fmt.Errorf("Java class %s does not have corresponding schema type.", values.Class(v))
}

func (c *jsonConverter) appendFreeEntries(dst []byte, entries []sdk.Entry) (_ []byte, err error) {
	dst = append(dst, '[')
	for i, e := range entries {
		if dst, err = c.appendFree(append(comma(dst, i), '['), e.Key); err != nil {
			return nil, err
		}
		if dst, err = c.appendFree(append(dst, ','), e.Value); err != nil {
			return nil, err
		}
		dst = append(dst, ']')
	}
	return append(dst, ']'), nil
}

// appendFloat64 writes a number as Jackson does: those that JSON has none for in quotes.
func appendFloat64(dst []byte, f float64) []byte {
	if math.IsNaN(f) || math.IsInf(f, 0) {
		return append(values.AppendFloat64(append(dst, '"'), f), '"')
	}
	return values.AppendFloat64(dst, f)
}

func appendFloat32(dst []byte, f float32) []byte {
	if f64 := float64(f); math.IsNaN(f64) || math.IsInf(f64, 0) {
		return appendFloat64(dst, f64)
	}
	return values.AppendFloat32(dst, f)
}

func appendBase64(dst, b []byte) []byte {
	return append(base64.StdEncoding.AppendEncode(append(dst, '"'), b), '"')
}

// escaped has for each byte whether it cannot be in a JSON string as it is.
var escaped = func() (t [256]bool) {
	for c := range 0x20 {
		t[c] = true
	}
	t['"'], t['\\'] = true, true
	for c := utf8.RuneSelf; c < 256; c++ {
		t[c] = true // may be no UTF-8
	}
	return t
}()

// appendString writes text as Jackson does: nothing is escaped but quotes, backslashes, control characters and what takes two units
// of UTF-16, as emoji do.
func appendString(dst []byte, s string) []byte {
	dst = append(dst, '"')
	from := 0
	for i := 0; i < len(s); {
		if !escaped[s[i]] {
			i++
			continue
		}
		if s[i] >= utf8.RuneSelf {
			r, n := utf8.DecodeRuneInString(s[i:])
			switch {
			case r == utf8.RuneError && n == 1:
				dst = append(append(dst, s[from:i]...), "\uFFFD"...)
				from = i + 1
			case n == 4:
				high, low := utf16.EncodeRune(r)
				dst = appendHex(appendHex(append(dst, s[from:i]...), high), low)
				from = i + 4
			}
			i += n
			continue
		}
		dst = appendEscape(append(dst, s[from:i]...), s[i])
		i++
		from = i
	}
	return append(append(dst, s[from:]...), '"')
}

func appendEscape(dst []byte, c byte) []byte {
	switch c {
	case '"', '\\':
		return append(dst, '\\', c)
	case '\b':
		return append(dst, '\\', 'b')
	case '\t':
		return append(dst, '\\', 't')
	case '\n':
		return append(dst, '\\', 'n')
	case '\f':
		return append(dst, '\\', 'f')
	case '\r':
		return append(dst, '\\', 'r')
	}
	return appendHex(dst, rune(c))
}

func appendHex(dst []byte, u rune) []byte {
	const hex = "0123456789ABCDEF"
	return append(dst, '\\', 'u', hex[u>>12&15], hex[u>>8&15], hex[u>>4&15], hex[u&15])
}
