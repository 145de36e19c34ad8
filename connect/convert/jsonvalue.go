package convert

import (
	"errors"
	"fmt"
	"math"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/weir/weir/connect/sdk"
	"github.com/weir/weir/connect/values"
)

// value reads a value of a schema. What is of another type is taken as Kafka takes it: as zero, or as null, which may be refused then.
func (c *jsonConverter) value(r *reader, s *sdk.Schema) (any, error) {
	if s == nil {
		return c.free(r)
	}
	if r.word("null") {
		return c.missing(s)
	}
	if c.strict {
		if err := r.fits(s); err != nil {
			return nil, err
		}
	}
	switch s.Name {
	case sdk.LogicalDecimal:
		return decimal(r, s)
	case sdk.LogicalDate, sdk.LogicalTime, sdk.LogicalTimestamp:
		return moment(r, s)
	}
	switch s.Type {
	case sdk.Int8, sdk.Int16, sdk.Int32, sdk.Int64:
		n, err := r.numeric()
		return c.ofSize(s.Type, n), err
	case sdk.Float32, sdk.Float64:
		if r.peek() == '"' {
			return infinite(r, s.Type)
		}
		n, err := r.numeric()
		return c.ofSize(s.Type, n), err
	case sdk.Boolean:
		if r.word("true") {
			return true, nil
		}
		return false, r.skip()
	case sdk.String, sdk.Bytes:
		if r.peek() != '"' {
			return nil, r.skip()
		}
		text, err := r.key()
		switch {
		case err != nil:
			return nil, err
		case s.Type == sdk.String:
			return c.boxes.String(text), nil
		}
		return asAny(fromBase64(string(text)))
	case sdk.Array:
		return c.elements(r, s.Elem)
	case sdk.Map:
		if s.Key != nil && s.Key.Type != sdk.String {
			return c.entries(r, s)
		}
		return c.mapping(r, s.Elem)
	case sdk.Structure:
		return c.structure(r, s)
	}
	return nil, fmt.Errorf("Unknown schema type: %v", s.Type)
}

func asAny(b []byte, err error) (any, error) {
	if err != nil {
		return nil, err
	}
	return b, nil
}

// missing gives what a value that is null or not there is.
func (c *jsonConverter) missing(s *sdk.Schema) (any, error) {
	switch {
	case s == nil:
		return nil, nil
	case s.Default != nil && c.nullDefault:
		return s.Default, nil
	case s.Optional:
		return nil, nil
	}
	return nil, fmt.Errorf("Invalid null value for required %s field", values.JavaType(s.Type))
}

// numeric reads a number; of anything else it gives none.
func (r *reader) numeric() (number, error) {
	if c := r.peek(); c == '-' || isNumber(c) {
		return r.number()
	}
	return number{}, r.skip()
}

func (c *jsonConverter) ofSize(t sdk.Type, n number) any {
	switch t {
	case sdk.Int8:
		return int8(n.long())
	case sdk.Int16:
		return int16(n.long())
	case sdk.Int32:
		return c.boxes.Int32(int32(n.long()))
	case sdk.Int64:
		return c.boxes.Int64(n.long())
	case sdk.Float32:
		return float32(n.float(32))
	}
	return c.boxes.Float64(n.float(64))
}

// infinite reads what JSON has no numbers for, as From writes them. (Kafka reads them as zero, as any other text.)
func infinite(r *reader, t sdk.Type) (any, error) {
	text, err := r.text()
	f := map[string]float64{"NaN": math.NaN(), "Infinity": math.Inf(1), "-Infinity": math.Inf(-1)}[text]
	if t == sdk.Float32 {
		return float32(f), err
	}
	return f, err
}

func decimal(r *reader, s *sdk.Schema) (any, error) {
	switch c := r.peek(); {
	case c == '-' || isNumber(c):
		n, err := r.number()
		return n.decimal(), err
	case c == '"':
		text, err := r.text()
		if err != nil {
			return nil, err
		}
		scale, err := values.Scale(s)
		if err != nil {
			return nil, err
		}
		b, err := fromBase64(text)
		if err != nil || len(b) == 0 {
			return nil, errors.New("Invalid bytes for Decimal field")
		}
		return sdk.DecimalFromBytes(b, scale), nil
	}
	kind := r.kind()
	if err := r.skip(); err != nil {
		return nil, err
	}
	return nil, fmt.Errorf("Invalid type for Decimal, underlying representation should be numeric or bytes but was %s", kind)
}

func moment(r *reader, s *sdk.Schema) (any, error) {
	kind := r.kind()
	n, err := r.numeric()
	if err != nil {
		return nil, err
	}
	ms := n.long()
	if s.Name != sdk.LogicalTimestamp && n.integral && ms != int64(int32(ms)) {
		n.integral = false
	}
	if !n.integral {
		wanted := "integer"
		if s.Name == sdk.LogicalTimestamp {
			wanted = "integral"
		}
		return nil, fmt.Errorf("Invalid type for %s, underlying representation should be %s but was %s", values.Simple(s.Name), wanted, kind)
	}
	t, err := values.FromLogical(s.Name, ms)
	if err != nil {
		return nil, err
	}
	return t, nil
}

// kind names what comes next, as Jackson does.
func (r *reader) kind() string {
	switch r.peek() {
	case '{':
		return "OBJECT"
	case '[':
		return "ARRAY"
	case '"':
		return "STRING"
	case 't', 'f':
		return "BOOLEAN"
	case 'n':
		return "NULL"
	}
	return "NUMBER"
}

func (c *jsonConverter) elements(r *reader, elem *sdk.Schema) (any, error) {
	out := []any{}
	if r.peek() != '[' {
		if r.peek() == '{' { // Kafka takes an object's values for the elements
			err := r.object(func([]byte) error { return c.element(r, elem, &out) })
			return out, err
		}
		return out, r.skip()
	}
	err := r.array(func() error { return c.element(r, elem, &out) })
	return out, err
}

func (c *jsonConverter) element(r *reader, elem *sdk.Schema, out *[]any) error {
	v, err := c.value(r, elem)
	*out = append(*out, v)
	return err
}

func (c *jsonConverter) mapping(r *reader, elem *sdk.Schema) (any, error) {
	if r.peek() != '{' {
		return nil, r.refuse("Maps with string fields should be encoded as JSON objects, but found ")
	}
	size := &c.sizes[min(r.depth, len(c.sizes)-1)]
	out := make(map[string]any, *size)
	err := r.object(func(key []byte) error {
		name := c.name(key)
		v, err := c.value(r, elem)
		out[name] = v
		return err
	})
	*size = min(len(out), namesMost)
	return out, err
}

// namesMost bounds the names to remember, and how large a map is made before anything is in it.
const namesMost = 1000

// name gives a key of a map, without taking memory again for one that came before.
func (c *jsonConverter) name(key []byte) string {
	if s, ok := c.names[string(key)]; ok {
		return s
	}
	s := string(key)
	if len(c.names) >= namesMost {
		clear(c.names)
	}
	if len(s) <= 64 && c.names != nil {
		c.names[s] = s
	}
	return s
}

func (c *jsonConverter) entries(r *reader, s *sdk.Schema) (any, error) {
	if r.peek() != '[' {
		return nil, r.refuse("Maps with non-string fields should be encoded as JSON array of tuples, but found ")
	}
	out := []sdk.Entry{}
	err := r.array(func() error {
		if r.peek() != '[' {
			return r.refuse("Found invalid map entry instead of array tuple: ")
		}
		var pair [2]any
		n := 0
		err := r.array(func() (err error) {
			if n++; n > 2 {
				return r.skip()
			}
			schema := s.Key
			if n == 2 {
				schema = s.Elem
			}
			pair[n-1], err = c.value(r, schema)
			return err
		})
		if err == nil && n != 2 {
			err = fmt.Errorf("Found invalid map entry, expected length 2 but found :%d", n)
		}
		out = append(out, sdk.Entry{Key: pair[0], Value: pair[1]})
		return err
	})
	return out, err
}

// refuse gives an error that names what comes instead of what is wanted.
func (r *reader) refuse(why string) error {
	kind := r.kind()
	if err := r.skip(); err != nil {
		return err
	}
	return errors.New(why + kind)
}

func (c *jsonConverter) structure(r *reader, s *sdk.Schema) (any, error) {
	if r.peek() != '{' {
		return nil, r.refuse("Structs should be encoded as JSON objects, but found ")
	}
	out := sdk.NewStruct(s)
	var few [64]bool
	seen := few[:]
	if len(s.Fields) > len(few) {
		seen = make([]bool, len(s.Fields))
	}
	next, plain := 0, c.plainNames(s)
	hint := func() {
		if r.hint = ""; plain && next < len(s.Fields) {
			r.hint = s.Fields[next].Name
		}
	}
	hint()
	err := r.object(func(key []byte) error {
		i := next
		if i >= len(s.Fields) || s.Fields[i].Name != string(key) {
			if i = s.Field(string(key)); i < 0 {
				if c.strict {
					return fmt.Errorf("there is a field %q that the schema does not have", key)
				}
				return r.skip()
			}
		}
		next = i + 1
		seen[i] = true
		err := c.field(r, out, i)
		hint()
		return err
	})
	if err != nil {
		return nil, err
	}
	for i := range s.Fields {
		if !seen[i] {
			if err := c.absent(out, i); err != nil {
				return nil, err
			}
		}
	}
	return out, nil
}

// plainNames tells whether the names of a structure's fields are the same in JSON.
func (c *jsonConverter) plainNames(s *sdk.Schema) bool {
	plain, ok := c.plain[s]
	if !ok {
		plain = !slices.ContainsFunc(s.Fields, func(f sdk.Field) bool {
			return strings.ContainsFunc(f.Name, func(r rune) bool { return r < ' ' || r == '"' || r == '\\' || r == utf8.RuneError })
		})
		if len(c.plain) >= c.most {
			clear(c.plain)
		}
		c.plain[s] = plain
	}
	return plain
}

func (c *jsonConverter) field(r *reader, out *sdk.Struct, i int) (err error) {
	f := &out.Schema.Fields[i]
	if out.Values[i], err = c.value(r, f.Schema); err != nil {
		return err
	}
	if out.Values[i] == nil && !f.Schema.Optional {
		return values.Check(f.Schema, nil, "field: \""+f.Name+"\"")
	}
	return nil
}

func (c *jsonConverter) absent(out *sdk.Struct, i int) (err error) {
	out.Values[i], err = c.missing(out.Schema.Fields[i].Schema)
	return err
}

// free reads a value without a schema: whole numbers are int64, others float64.
func (c *jsonConverter) free(r *reader) (any, error) {
	switch ch := r.peek(); {
	case ch == '"':
		return r.text()
	case ch == '{':
		return c.mapping(r, nil)
	case ch == '[':
		return c.elements(r, nil)
	case ch == '-' || isNumber(ch):
		n, err := r.number()
		if err != nil {
			return nil, err
		}
		if n.integral {
			if c.strict && !n.within(64) {
				return nil, r.bad("a whole number that does not fit in 64 bits")
			}
			return n.long(), nil
		}
		return n.float(64), nil
	case r.word("true"):
		return true, nil
	case r.word("false"):
		return false, nil
	case r.word("null"):
		return nil, nil
	}
	return nil, r.bad("no JSON")
}

// checked wants a default to be of its schema.
func checked(s *sdk.Schema, v any) (any, error) {
	if v == nil {
		return nil, nil
	}
	return v, values.Check(s, v, "value")
}
