package connect

import (
	"bytes"
	"encoding/json"
	"fmt"
	"math"
	"slices"
	"strings"
	"unicode/utf16"
)

// object is a JSON object of strings whose members have an order: clients see them as Kafka's workers would write them.
type object struct {
	names  []string
	values map[string]string
	nulls  map[string]bool // members whose value was null; they are in names, and not in values
}

// set adds a member, or changes one in its place.
func (o *object) set(name, value string) {
	if o.values == nil {
		o.values = map[string]string{}
	}
	if _, ok := o.values[name]; !ok && !o.nulls[name] {
		o.names = append(o.names, name)
	}
	delete(o.nulls, name)
	o.values[name] = value
}

// MarshalJSON writes it.
func (o object) MarshalJSON() ([]byte, error) {
	b := []byte{'{'}
	for _, name := range o.names {
		if o.nulls[name] {
			continue
		}
		if len(b) > 1 {
			b = append(b, ',')
		}
		b = append(append(append(b, plainJSON(name)...), ':'), plainJSON(o.values[name])...)
	}
	return append(b, '}'), nil
}

// plainJSON writes a value without escaping what is only dangerous in HTML.
func plainJSON(v any) []byte {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	if err := e.Encode(v); err != nil {
		panic("BUG: an answer cannot be written as JSON: " + err.Error())
	}
	return bytes.TrimSuffix(b.Bytes(), []byte("\n"))
}

// UnmarshalJSON reads it. Numbers and booleans become text, as Kafka's workers take them.
func (o *object) UnmarshalJSON(b []byte) error {
	d := json.NewDecoder(bytes.NewReader(b))
	d.UseNumber()
	t, err := d.Token()
	if err != nil {
		return err
	}
	if t != json.Delim('{') {
		return fmt.Errorf("it has to be an object of strings, and begins with %v", t)
	}
	*o = object{values: map[string]string{}, nulls: map[string]bool{}}
	for d.More() {
		t, err := d.Token()
		if err != nil {
			return err
		}
		name := t.(string) // the decoder lets nothing else through
		if t, err = d.Token(); err != nil {
			return err
		}
		switch v := t.(type) {
		case string:
			o.set(name, v)
		case json.Number:
			o.set(name, v.String())
		case bool:
			o.set(name, fmt.Sprint(v))
		case nil:
			delete(o.values, name)
			if !o.nulls[name] && !slices.Contains(o.names, name) {
				o.names = append(o.names, name)
			}
			o.nulls[name] = true
		default:
			return fmt.Errorf("the value of %q has to be a string", name)
		}
	}
	_, err = d.Token()
	return err
}

// inHashOrder gives names in the order that a java.util.HashMap has them in, which is that of configurations in Kafka's answers. copied
// says that the map was made as a copy of one with so many; 0: it has grown from nothing.
func inHashOrder(names []string, copied int) []string {
	capacity := 16
	if copied > 0 {
		for capacity = 1; float64(capacity) < math.Ceil(float64(copied)/0.75); capacity *= 2 {
		}
	}
	for ; float64(len(names)) > 0.75*float64(capacity); capacity *= 2 {
	}
	out := slices.Clone(names)
	slices.SortStableFunc(out, func(a, b string) int {
		return int(javaHash(a)&uint32(capacity-1)) - int(javaHash(b)&uint32(capacity-1))
	})
	return out
}

// javaHash is String.hashCode as HashMap spreads it.
func javaHash(s string) (h uint32) {
	for _, c := range utf16.Encode([]rune(s)) {
		h = 31*h + uint32(c)
	}
	return h ^ h>>16
}

// objectOf makes a map an object in that order.
func objectOf(m map[string]string) object {
	names := make([]string, 0, len(m))
	for name := range m {
		names = append(names, name)
	}
	slices.Sort(names)
	return object{names: inHashOrder(names, 0), values: m}
}

// javaText writes a map as Java's toString does.
func javaText(m map[string]string) string {
	o := objectOf(m)
	parts := make([]string, len(o.names))
	for i, name := range o.names {
		parts[i] = name + "=" + m[name]
	}
	return "{" + strings.Join(parts, ", ") + "}"
}
