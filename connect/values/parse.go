package values

import (
	"errors"
	"fmt"
	"math"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/weir/weir/connect/sdk"
)

// Parse reads a value from text as SimpleHeaderConverter does: numbers of the smallest type that holds them, booleans, dates and times,
// arrays and maps; anything else is a string. A text "null" has neither schema nor value.
func Parse(s string) (*sdk.Schema, any, error) {
	if s == "" {
		return sdk.StringSchema, "", nil
	}
	p := parser{tokens: tokens{text: s}}
	v, err := p.parse(false)
	if err != nil || v == nil {
		return nil, nil, err
	}
	return v.schema, v.value, nil
}

type typed struct {
	schema *sdk.Schema
	value  any
}

// nestedMost is how deep arrays and maps may lie in each other; deeper ones are a string.
const nestedMost = 200

type parser struct {
	tokens
	depth int
}

// unparsable is why text is no array, map or number. Whole, it is a string then.
type unparsable struct{ why string }

func (u *unparsable) Error() string { return u.why }

func wrong(format string, args ...any) error { return &unparsable{fmt.Sprintf(format, args...)} }

// literal consumes a word. What is not inside of something else has to end there.
func (p *parser) literal(inside bool, word string) bool {
	start := p.mark()
	if p.consume(word) && (inside || !p.more()) {
		return true
	}
	p.rewind(start)
	return false
}

func (p *parser) parse(inside bool) (*typed, error) {
	switch {
	case !p.more():
		return nil, nil
	case inside && p.consume(`"`):
		return p.quoted(), nil
	case p.literal(inside, "null"):
		return nil, nil
	case p.literal(inside, "true"):
		return &typed{sdk.BooleanSchema, true}, nil
	case p.literal(inside, "false"):
		return &typed{sdk.BooleanSchema, false}, nil
	}
	start := p.mark()
	if v, err := p.nested(); v != nil {
		return v, nil
	} else if u := (*unparsable)(nil); err != nil && (!errors.As(err, &u) || p.depth > 0) {
		return nil, err
	}
	p.rewind(start)
	token := p.next()
	if trim(token) == "" {
		return &typed{sdk.StringSchema, token}, nil
	}
	return p.word(inside, trim(token))
}

// nested reads an array or a map; nil: it is none.
func (p *parser) nested() (v *typed, err error) {
	p.depth++
	defer func() { p.depth-- }()
	if p.depth > nestedMost {
		return nil, wrong("more than %d arrays and maps in each other", nestedMost)
	}
	switch {
	case p.consume("["):
		return p.array()
	case p.consume("{"):
		return p.mapping()
	}
	return nil, nil
}

func (p *parser) word(inside bool, token string) (*typed, error) {
	first, _ := utf8.DecodeRuneInString(token)
	digit := unicode.IsDigit(first)
	if digit {
		if v := p.temporal(token); v != nil {
			return v, nil
		}
	}
	if digit || first == '+' || first == '-' {
		if v := number(token); v != nil {
			return v, nil
		}
	}
	if inside {
		return nil, wrong("Failed to parse embedded value")
	}
	return &typed{sdk.StringSchema, p.text}, nil
}

// temporal reads a date or time that is not in quotes. Its colons make five tokens of it.
func (p *parser) temporal(token string) *typed {
	start := p.mark()
	if rest, ok := p.several(4); ok {
		if v := temporal(token + rest); v != nil {
			return v
		}
	}
	p.rewind(start)
	return temporal(token)
}

func (p *parser) quoted() *typed {
	var content strings.Builder
	for p.more() && !p.consume(`"`) {
		content.WriteString(p.next())
	}
	if v := temporal(content.String()); v != nil {
		return v
	}
	return &typed{sdk.StringSchema, content.String()}
}

func (p *parser) array() (*typed, error) {
	elements, common := []any{}, merger{}
	for p.more() {
		if p.consume("]") {
			if common.schema == nil {
				return &typed{&sdk.Schema{Type: sdk.Array}, elements}, nil
			}
			s := sdk.NewArray(common.schema)
			for i := range elements {
				v, err := Convert(s.Elem, elements[i])
				if err != nil {
					return nil, &unparsable{err.Error()}
				}
				elements[i] = v
			}
			return &typed{s, elements}, nil
		}
		if p.consume(",") {
			return nil, wrong("Unable to parse an empty array element: %s", p.text)
		}
		e, err := p.parse(true)
		if err != nil {
			return nil, err
		}
		common.merge(e)
		elements = append(elements, e.or(nil))
		at := p.mark()
		if p.consume("]") {
			p.rewind(at)
		} else if !p.consume(",") {
			return nil, wrong("Array elements missing ',' delimiter")
		}
	}
	return nil, wrong("Array is missing terminating ']': %s", p.text)
}

func (t *typed) or(v any) any {
	if t == nil {
		return v
	}
	return t.value
}

func (p *parser) mapping() (*typed, error) {
	var entries []sdk.Entry
	var keys, vals merger
	for p.more() {
		if p.consume("}") {
			return aligned(entries, keys.schema, vals.schema)
		}
		if p.consume(",") {
			return nil, wrong("Unable to parse a map entry with no key or value: %s", p.text)
		}
		key, err := p.parse(true)
		switch {
		case err != nil:
			return nil, err
		case key.or(nil) == nil:
			return nil, wrong("Map entry may not have a null key: %s", p.text)
		case !p.consume(":"):
			return nil, wrong("Map entry is missing ':' at %d in %s", p.at, p.text)
		}
		value, err := p.parse(true)
		if err != nil {
			return nil, err
		}
		entries = put(entries, key.value, value.or(nil))
		p.consume(",")
		keys.merge(key)
		vals.merge(value)
	}
	return nil, wrong("Map is missing terminating '}': %s", p.text)
}

// put sets an entry, or its value if there is one with an equal key.
func put(entries []sdk.Entry, key, value any) []sdk.Entry {
	if hashable(key) {
		for i := range entries {
			if hashable(entries[i].Key) && entries[i].Key == key {
				entries[i].Value = value
				return entries
			}
		}
	}
	return append(entries, sdk.Entry{Key: key, Value: value})
}

func hashable(v any) bool {
	switch v.(type) {
	case []any, map[string]any, []sdk.Entry, []byte:
		return false
	}
	return true
}

// aligned makes all keys and all values of a map the same type.
func aligned(entries []sdk.Entry, key, value *sdk.Schema) (*typed, error) {
	s := &sdk.Schema{Type: sdk.Map, Key: key, Elem: value}
	if key == nil {
		s.Elem = nil
	}
	for i, e := range entries {
		var err error
		if key != nil {
			if e.Key, err = Convert(key, e.Key); err != nil {
				return nil, &unparsable{err.Error()}
			}
		}
		if key != nil && value != nil {
			if e.Value, err = Convert(value, e.Value); err != nil {
				return nil, &unparsable{err.Error()}
			}
		}
		entries[i] = e
	}
	for _, e := range entries {
		if _, ok := e.Key.(string); !ok {
			return &typed{s, entries}, nil
		}
	}
	m := make(map[string]any, len(entries))
	for _, e := range entries {
		m[e.Key.(string)] = e.Value
	}
	return &typed{s, m}, nil
}

func number(token string) *typed {
	d, ok := ParseDecimal(token)
	if !ok {
		return nil
	}
	if n, ok := integral(d); ok {
		switch {
		case n == int64(int8(n)):
			return &typed{int8Schema, int8(n)}
		case n == int64(int16(n)):
			return &typed{int16Schema, int16(n)}
		case n == int64(int32(n)):
			return &typed{sdk.Int32Schema, int32(n)}
		}
		return &typed{sdk.Int64Schema, n}
	}
	if f := Float32(d); !math.IsInf(float64(f), 0) && d.Scale != 0 {
		return &typed{float32Schema, f}
	}
	if f := Float64(d); !math.IsInf(f, 0) && d.Scale != 0 {
		return &typed{sdk.Float64Schema, f}
	}
	return &typed{sdk.NewDecimal(d.Scale), d}
}

var (
	int8Schema      = &sdk.Schema{Type: sdk.Int8}
	int16Schema     = &sdk.Schema{Type: sdk.Int16}
	float32Schema   = &sdk.Schema{Type: sdk.Float32}
	timeSchema      = &sdk.Schema{Type: sdk.Int32, Name: sdk.LogicalTime, Version: 1}
	dateSchema      = &sdk.Schema{Type: sdk.Int32, Name: sdk.LogicalDate, Version: 1}
	timestampSchema = &sdk.Schema{Type: sdk.Int64, Name: sdk.LogicalTimestamp, Version: 1}
)

// integral gives a number that is whole, however it is written, and fits.
func integral(d sdk.Decimal) (int64, bool) {
	n, ok := Whole(d)
	if !ok || !n.IsInt64() {
		return 0, false
	}
	if d.Scale > 0 && n.Sign() == 0 {
		return 0, Big(d).Sign() == 0
	}
	if d.Scale > 0 {
		back := power10(d.Scale)
		if back.Mul(back, n).Cmp(Big(d)) != 0 {
			return 0, false
		}
	}
	return n.Int64(), true
}

// temporal reads ISO 8601 as Kafka writes it; nil: it is something else.
func temporal(token string) *typed {
	token = strings.ReplaceAll(token, `\:`, ":")
	switch len(token) {
	case len("15:04:05.000Z"):
		return dated(token, timeSchema, "HH:mm:ss.SSS'Z'")
	case len("2006-01-02T15:04:05.000Z"):
		return dated(token, timestampSchema, "yyyy-MM-dd'T'HH:mm:ss.SSS'Z'")
	case len("2006-01-02"):
		return dated(token, dateSchema, "yyyy-MM-dd")
	}
	return nil
}

func dated(token string, s *sdk.Schema, pattern string) *typed {
	f, err := NewDateFormat(pattern)
	if err != nil {
		panic("BUG: " + err.Error())
	}
	t, _, ok := f.parse(token)
	if !ok {
		return nil
	}
	return &typed{s, t.Truncate(time.Millisecond)}
}

// merger finds a schema that holds all of several values.
type merger struct {
	schema *sdk.Schema
	mixed  bool
}

func (m *merger) merge(v *typed) {
	if v == nil || v.schema == nil || m.mixed {
		return
	}
	if m.schema == nil {
		m.schema = v.schema
		return
	}
	m.schema = merged(m.schema, v.schema)
	m.mixed = m.schema == nil
}

// merged gives the wider of two number types, or what is both; nil: there is nothing.
func merged(a, b *sdk.Schema) *sdk.Schema {
	number := func(t sdk.Type) bool { return t >= sdk.Int8 && t <= sdk.Float64 }
	switch {
	case a.Type != b.Type && number(a.Type) && number(b.Type) && a.Type > b.Type:
		return a
	case a.Type != b.Type && number(a.Type) && number(b.Type):
		return b
	case a.Type != b.Type:
		return nil
	case a.Optional:
		return a
	}
	return b
}
