package runtime

import (
	"bytes"
	"encoding/json"
	"fmt"
	"maps"
	"math"
	"slices"
	"strconv"
	"unicode/utf16"
)

// A position's key in the offsets topic is a JSON array of the connector's name and the source partition. Kafka's workers find a position
// by the bytes of its key, so new keys are written with their fields in the order in which Java's maps have them; here one is found
// whatever the order of its fields is, and written again with the bytes that it has.

// writeKey makes the bytes of a key.
func writeKey(connector string, partition map[string]any) ([]byte, error) {
	b := appendText([]byte{'['}, connector)
	b, err := appendValue(append(b, ','), partition)
	return append(b, ']'), err
}

// readKey reads what writeKey or a worker of Kafka's wrote.
func readKey(b []byte) (connector string, partition map[string]any, err error) {
	var parts []json.RawMessage
	if err := json.Unmarshal(b, &parts); err != nil || len(parts) != 2 {
		return "", nil, fmt.Errorf("the key %q is not a connector's name and a source partition", b)
	}
	if err := json.Unmarshal(parts[0], &connector); err != nil {
		return "", nil, fmt.Errorf("the key %q does not begin with a connector's name", b)
	}
	partition, err = readMap(parts[1])
	return connector, partition, err
}

// readMap reads a source partition or an offset. Numbers that are whole come as int64. JSON's null is nil.
func readMap(b []byte) (map[string]any, error) {
	d := json.NewDecoder(bytes.NewReader(b))
	d.UseNumber()
	var m map[string]any
	if err := d.Decode(&m); err != nil {
		return nil, fmt.Errorf("%q is not a JSON object: %w", b, err)
	}
	for k, v := range m {
		m[k] = goNumbers(v)
	}
	return m, nil
}

// goNumbers has Go's numbers for JSON's.
func goNumbers(v any) any {
	switch v := v.(type) {
	case json.Number:
		if n, err := v.Int64(); err == nil {
			return n
		}
		f, err := v.Float64()
		if err != nil {
			return v
		}
		return f
	case map[string]any:
		for k := range v {
			v[k] = goNumbers(v[k])
		}
	case []any:
		for i := range v {
			v[i] = goNumbers(v[i])
		}
	}
	return v
}

// PartitionKey gives the name of a source partition: the same for equal ones, whatever the types of their numbers are.
func PartitionKey(partition map[string]any) string {
	id, err := identity(partition)
	if err != nil {
		panic("BUG: a source partition that was kept has no form as JSON: " + err.Error())
	}
	return id
}

// identity is the same for equal source partitions, whatever the types of their numbers and the order of their fields are.
func identity(partition map[string]any) (string, error) {
	b, err := appendSorted(nil, partition, func(m map[string]any) []string { return slices.Sorted(maps.Keys(m)) })
	return string(b), err
}

// appendValue writes JSON as Kafka's JSON converter does.
func appendValue(b []byte, v any) ([]byte, error) {
	return appendSorted(b, v, func(m map[string]any) []string { return javaOrder(slices.Sorted(maps.Keys(m))) })
}

func appendSorted(b []byte, v any, order func(map[string]any) []string) ([]byte, error) {
	switch v := v.(type) {
	case map[string]any:
		if v == nil {
			return append(b, "null"...), nil
		}
		b = append(b, '{')
		for i, k := range order(v) {
			if i > 0 {
				b = append(b, ',')
			}
			var err error
			if b, err = appendSorted(append(appendText(b, k), ':'), v[k], order); err != nil {
				return nil, err
			}
		}
		return append(b, '}'), nil
	case []any:
		b = append(b, '[')
		for i := range v {
			if i > 0 {
				b = append(b, ',')
			}
			var err error
			if b, err = appendSorted(b, v[i], order); err != nil {
				return nil, err
			}
		}
		return append(b, ']'), nil
	case string:
		return appendText(b, v), nil
	case float64:
		if math.Abs(v) < 1<<53 && v == math.Trunc(v) { // a whole number is the same position whatever its type was
			return strconv.AppendInt(b, int64(v), 10), nil
		}
	}
	text, err := json.Marshal(v)
	if err != nil {
		return nil, fmt.Errorf("a source partition or an offset has a value that JSON has no form for: %w", err)
	}
	return append(b, text...), nil
}

// appendText writes a string without the escapes that are only for web pages.
func appendText(b []byte, s string) []byte {
	var out bytes.Buffer
	e := json.NewEncoder(&out)
	e.SetEscapeHTML(false)
	if err := e.Encode(s); err != nil {
		panic("BUG: a string cannot be written as JSON: " + err.Error())
	}
	return append(b, bytes.TrimSuffix(out.Bytes(), []byte{'\n'})...)
}

// javaOrder puts names in the order in which a java.util.HashMap has them.
func javaOrder(names []string) []string {
	size := 16
	for float64(len(names)) > 0.75*float64(size) {
		size *= 2
	}
	bucket := func(s string) int {
		var h uint32
		for _, c := range utf16.Encode([]rune(s)) {
			h = 31*h + uint32(c)
		}
		return int(h^h>>16) & (size - 1)
	}
	slices.SortStableFunc(names, func(a, b string) int { return bucket(a) - bucket(b) })
	return names
}
