package opensearch

import (
	"encoding/base64"
	"errors"
	"fmt"
	"math"
	"slices"
	"strconv"
	"time"
	"unicode/utf8"

	"github.com/weir/weir/connect/sdk"
	"github.com/weir/weir/connect/values"
)

// writer writes values as JSON. It is for one goroutine.
type writer struct {
	compact bool
	names   map[*sdk.Schema][]string // of a structure's fields, as JSON, with a colon after each
	keys    []string                 // of maps that are being written
}

func newWriter(compact bool) *writer {
	return &writer{compact: compact, names: map[*sdk.Schema][]string{}}
}

// schemasMost is how many schemas are remembered.
const schemasMost = 1000

// style is how values of some schemas are written.
type style uint8

const (
	mapped style = iota // as the mapping has them that is made of the schema
	plain               // as Kafka's JSON converter does
)

// stamp is a field that a document gets besides its own.
type stamp struct {
	name string
	text []byte // its value, as JSON; nil: there is none
}

var errNoObject = errors.New("a document has to be an object, and the value is none: use a converter that gives structures or maps, such as org.apache.kafka.connect.json.JsonConverter")

// document appends a record's value.
func (w *writer) document(dst []byte, as style, s *sdk.Schema, v any, add stamp) ([]byte, error) {
	switch v := v.(type) {
	case *sdk.Struct:
		return w.structure(dst, as, v, add)
	case map[string]any:
		if s == nil || w.compact || as == plain {
			return w.object(dst, as, elemOf(s), v, add)
		}
	case []sdk.Entry:
		if textKeys(v) && (w.compact || as == plain) {
			return w.entries(dst, as, s, v, add)
		}
	}
	return nil, errNoObject
}

func elemOf(s *sdk.Schema) *sdk.Schema {
	if s == nil {
		return nil
	}
	return s.Elem
}

func keyOf(s *sdk.Schema) *sdk.Schema {
	if s == nil {
		return nil
	}
	return s.Key
}

func textKeys(entries []sdk.Entry) bool {
	for _, e := range entries {
		if _, ok := e.Key.(string); !ok {
			return false
		}
	}
	return true
}

// begin opens an object, with what it gets besides its own fields.
func begin(dst []byte, add stamp) (_ []byte, some bool) {
	dst = append(dst, '{')
	if add.text == nil {
		return dst, false
	}
	dst = append(appendString(dst, add.name), ':')
	return append(dst, add.text...), true
}

func (w *writer) namesOf(s *sdk.Schema) []string {
	if names, ok := w.names[s]; ok {
		return names
	}
	if len(w.names) >= schemasMost {
		clear(w.names)
	}
	names := make([]string, len(s.Fields))
	for i, f := range s.Fields {
		names[i] = string(append(appendString(nil, f.Name), ':'))
	}
	w.names[s] = names
	return names
}

func (w *writer) structure(dst []byte, as style, v *sdk.Struct, add stamp) (_ []byte, err error) {
	names := w.namesOf(v.Schema)
	dst, some := begin(dst, add)
	for i := range v.Schema.Fields {
		f := &v.Schema.Fields[i]
		if add.text != nil && f.Name == add.name {
			continue
		}
		if some {
			dst = append(dst, ',')
		}
		some = true
		if dst, err = w.value(append(dst, names[i]...), as, f.Schema, v.Values[i]); err != nil {
			return nil, fmt.Errorf("field %s: %w", f.Name, err)
		}
	}
	return append(dst, '}'), nil
}

// object writes a map. Its keys are in order, so that documents of the same fields look alike, which the server can compress better.
func (w *writer) object(dst []byte, as style, elem *sdk.Schema, m map[string]any, add stamp) (_ []byte, err error) {
	from := len(w.keys)
	defer func() { w.keys = w.keys[:from] }()
	for k := range m {
		w.keys = append(w.keys, k)
	}
	end := len(w.keys)
	slices.Sort(w.keys[from:end])
	dst, some := begin(dst, add)
	for i := from; i < end; i++ {
		k := w.keys[i]
		if add.text != nil && k == add.name {
			continue
		}
		if some {
			dst = append(dst, ',')
		}
		some = true
		if dst, err = w.value(append(appendString(dst, k), ':'), as, elem, m[k]); err != nil {
			return nil, fmt.Errorf("%s: %w", k, err)
		}
	}
	return append(dst, '}'), nil
}

// entries writes a map with text as keys whose order somebody chose.
func (w *writer) entries(dst []byte, as style, s *sdk.Schema, entries []sdk.Entry, add stamp) (_ []byte, err error) {
	dst, some := begin(dst, add)
	for _, e := range entries {
		k := e.Key.(string)
		if add.text != nil && k == add.name {
			continue
		}
		if some {
			dst = append(dst, ',')
		}
		some = true
		if dst, err = w.value(append(appendString(dst, k), ':'), as, elemOf(s), e.Value); err != nil {
			return nil, fmt.Errorf("%s: %w", k, err)
		}
	}
	return append(dst, '}'), nil
}

var errNull = errors.New("a field that is required and has no default is null")

func (w *writer) value(dst []byte, as style, s *sdk.Schema, v any) (_ []byte, err error) {
	if v == nil {
		if s == nil {
			return append(dst, "null"...), nil
		}
		if s.Default == nil && !s.Optional {
			return nil, errNull
		}
		if v = s.Default; v == nil {
			return append(dst, "null"...), nil
		}
	}
	switch v := v.(type) {
	case string:
		return appendString(dst, v), nil
	case int64:
		return strconv.AppendInt(dst, v, 10), nil
	case int32:
		return strconv.AppendInt(dst, int64(v), 10), nil
	case float64:
		return appendFloat(dst, v, 64), nil
	case bool:
		return strconv.AppendBool(dst, v), nil
	case int16:
		return strconv.AppendInt(dst, int64(v), 10), nil
	case int8:
		return strconv.AppendInt(dst, int64(v), 10), nil
	case int:
		return strconv.AppendInt(dst, int64(v), 10), nil
	case float32:
		return appendFloat(dst, float64(v), 32), nil
	case []byte:
		return appendBase64(dst, v), nil
	case *sdk.Struct:
		return w.structure(dst, as, v, stamp{})
	case []any:
		return w.array(dst, as, elemOf(s), v)
	case map[string]any:
		if s == nil || w.compact || as == plain {
			return w.object(dst, as, elemOf(s), v, stamp{})
		}
		return w.pairs(dst, as, s, v)
	case []sdk.Entry:
		return w.entryList(dst, as, s, v)
	case sdk.Decimal:
		return appendDecimal(dst, as, s, v), nil
	case time.Time:
		return appendTime(dst, as, s, v)
	}
	return nil, fmt.Errorf("%s cannot be part of a document", values.Class(v))
}

func (w *writer) array(dst []byte, as style, elem *sdk.Schema, list []any) (_ []byte, err error) {
	dst = append(dst, '[')
	for i, e := range list {
		if i > 0 {
			dst = append(dst, ',')
		}
		if dst, err = w.value(dst, as, elem, e); err != nil {
			return nil, err
		}
	}
	return append(dst, ']'), nil
}

// pairs writes a map as an array of objects with key and value.
func (w *writer) pairs(dst []byte, as style, s *sdk.Schema, m map[string]any) ([]byte, error) {
	list := make([]sdk.Entry, 0, len(m))
	for _, k := range slices.Sorted(keys(m)) {
		list = append(list, sdk.Entry{Key: k, Value: m[k]})
	}
	return w.entryObjects(dst, as, s, list)
}

func keys(m map[string]any) func(func(string) bool) {
	return func(yield func(string) bool) {
		for k := range m {
			if !yield(k) {
				return
			}
		}
	}
}

func (w *writer) entryObjects(dst []byte, as style, s *sdk.Schema, list []sdk.Entry) (_ []byte, err error) {
	dst = append(dst, '[')
	for i, e := range list {
		if i > 0 {
			dst = append(dst, ',')
		}
		if dst, err = w.value(append(dst, `{"key":`...), as, keyOf(s), e.Key); err != nil {
			return nil, err
		}
		if dst, err = w.value(append(dst, `,"value":`...), as, elemOf(s), e.Value); err != nil {
			return nil, err
		}
		dst = append(dst, '}')
	}
	return append(dst, ']'), nil
}

func (w *writer) entryList(dst []byte, as style, s *sdk.Schema, list []sdk.Entry) (_ []byte, err error) {
	if textKeys(list) && (w.compact || as == plain) {
		return w.entries(dst, as, s, list, stamp{})
	}
	if as == mapped {
		return w.entryObjects(dst, as, s, list)
	}
	dst = append(dst, '[')
	for i, e := range list {
		if i > 0 {
			dst = append(dst, ',')
		}
		if dst, err = w.value(append(dst, '['), as, keyOf(s), e.Key); err != nil {
			return nil, err
		}
		if dst, err = w.value(append(dst, ','), as, elemOf(s), e.Value); err != nil {
			return nil, err
		}
		dst = append(dst, ']')
	}
	return append(dst, ']'), nil
}

// appendFloat writes a number so that it is seen to be none of the whole ones. What JSON has no numbers for is quoted.
func appendFloat(dst []byte, f float64, bits int) []byte {
	if math.IsNaN(f) || math.IsInf(f, 0) {
		return append(values.AppendFloat64(append(dst, '"'), f), '"')
	}
	if bits == 32 {
		return values.AppendFloat32(dst, float32(f))
	}
	return values.AppendFloat64(dst, f)
}

func appendBase64(dst, b []byte) []byte {
	return append(base64.StdEncoding.AppendEncode(append(dst, '"'), b), '"')
}

func appendDecimal(dst []byte, as style, s *sdk.Schema, d sdk.Decimal) []byte {
	if s != nil && as == plain {
		var few [32]byte
		return appendBase64(dst, d.AppendBytes(few[:0]))
	}
	dst = append(dst, d.String()...)
	if d.Scale <= 0 {
		dst = append(dst, '.', '0')
	}
	return dst
}

// appendTime writes a time as a number. Of a date that is the milliseconds, as its mapping wants them, not the days.
func appendTime(dst []byte, as style, s *sdk.Schema, t time.Time) ([]byte, error) {
	if s == nil || as == mapped {
		return strconv.AppendInt(dst, t.UnixMilli(), 10), nil
	}
	n, err := values.ToLogical(s.Name, t)
	if err != nil {
		return nil, err
	}
	return strconv.AppendInt(dst, n, 10), nil
}

// special has for each byte whether it cannot be in a JSON string as it is.
var special = func() (t [256]bool) {
	for c := range 0x20 {
		t[c] = true
	}
	t['"'], t['\\'] = true, true
	for c := utf8.RuneSelf; c < 256; c++ {
		t[c] = true // may be no UTF-8
	}
	return t
}()

func appendString[T string | []byte](dst []byte, s T) []byte {
	dst = append(dst, '"')
	from := 0
	for i := 0; i < len(s); {
		c := s[i]
		if !special[c] {
			i++
			continue
		}
		if c >= utf8.RuneSelf {
			if r, n := utf8.DecodeRuneInString(string(s[i:min(i+utf8.UTFMax, len(s))])); r != utf8.RuneError || n > 1 {
				i += n
				continue
			}
		}
		dst = appendEscape(append(dst, s[from:i]...), c)
		i++
		from = i
	}
	return append(append(dst, s[from:]...), '"')
}

func appendEscape(dst []byte, c byte) []byte {
	const hex = "0123456789abcdef"
	switch {
	case c == '"', c == '\\':
		return append(dst, '\\', c)
	case c == '\n':
		return append(dst, '\\', 'n')
	case c >= utf8.RuneSelf:
		return append(dst, "\uFFFD"...)
	}
	return append(dst, '\\', 'u', '0', '0', hex[c>>4], hex[c&15])
}
