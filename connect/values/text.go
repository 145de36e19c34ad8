package values

import (
	"encoding/base64"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/weir/weir/connect/sdk"
)

// JavaString gives what a value's toString gives in Kafka Connect. Bytes, which have no useful one there, are written as base64.
func JavaString(v any) string {
	if s, ok := v.(string); ok {
		return s
	}
	return string(appendJava(nil, v))
}

func appendJava(dst []byte, v any) []byte {
	if out, ok := appendScalar(dst, v); ok {
		return out
	}
	switch v := v.(type) {
	case nil:
		return append(dst, "null"...)
	case string:
		return append(dst, v...)
	case time.Time:
		return v.UTC().AppendFormat(dst, "Mon Jan 02 15:04:05 MST 2006")
	case []any:
		dst = append(dst, '[')
		for i, e := range v {
			dst = appendJava(separate(dst, i, ", "), e)
		}
		return append(dst, ']')
	case map[string]any:
		dst = append(dst, '{')
		for i, k := range JavaOrder(v) {
			dst = append(append(separate(dst, i, ", "), k...), '=')
			dst = appendJava(dst, v[k])
		}
		return append(dst, '}')
	case []sdk.Entry:
		dst = append(dst, '{')
		for i, e := range v {
			dst = append(appendJava(separate(dst, i, ", "), e.Key), '=')
			dst = appendJava(dst, e.Value)
		}
		return append(dst, '}')
	case *sdk.Struct:
		dst = append(dst, "Struct{"...)
		n := 0
		for i, f := range v.Schema.Fields {
			if v.Values[i] != nil {
				dst = append(append(separate(dst, n, ","), f.Name...), '=')
				dst = appendJava(dst, v.Values[i])
				n++
			}
		}
		return append(dst, '}')
	}
	return fmt.Append(dst, v)
}

func separate(dst []byte, i int, by string) []byte {
	if i > 0 {
		return append(dst, by...)
	}
	return dst
}

// appendScalar writes numbers, booleans and bytes; false: it is none of them.
func appendScalar(dst []byte, v any) ([]byte, bool) {
	switch v := v.(type) {
	case int8:
		return strconv.AppendInt(dst, int64(v), 10), true
	case int16:
		return strconv.AppendInt(dst, int64(v), 10), true
	case int32:
		return strconv.AppendInt(dst, int64(v), 10), true
	case int64:
		return strconv.AppendInt(dst, v, 10), true
	case int:
		return strconv.AppendInt(dst, int64(v), 10), true
	case float32:
		return AppendFloat32(dst, v), true
	case float64:
		return AppendFloat64(dst, v), true
	case sdk.Decimal:
		return AppendDecimal(dst, v), true
	case bool:
		return strconv.AppendBool(dst, v), true
	case []byte:
		return base64.StdEncoding.AppendEncode(dst, v), true
	}
	return dst, false
}

// Append appends a value as text as SimpleHeaderConverter writes it; Parse reads that again. A structure becomes a map.
func Append(dst []byte, v any) ([]byte, error) { return appendText(dst, v, false) }

// String is Append to a string.
func String(v any) (string, error) {
	if s, ok := v.(string); ok {
		return s, nil
	}
	b, err := Append(nil, v)
	return string(b), err
}

var escapes = strings.NewReplacer(`\`, `\\`, `"`, `\"`)

// appendText writes a value; one that is inside of another is quoted if it is text.
func appendText(dst []byte, v any, inside bool) ([]byte, error) {
	switch v := v.(type) {
	case nil:
		return append(dst, "null"...), nil
	case string:
		if inside {
			v = `"` + escapes.Replace(v) + `"`
		}
		return append(dst, v...), nil
	case []byte:
		if !inside {
			return base64.StdEncoding.AppendEncode(dst, v), nil
		}
		return append(base64.StdEncoding.AppendEncode(append(dst, '"'), v), '"'), nil
	case time.Time:
		return appendDate(dst, v), nil
	}
	if out, ok := appendScalar(dst, v); ok {
		return out, nil
	}
	return appendNested(dst, v)
}

func appendNested(dst []byte, v any) (_ []byte, err error) {
	entry := func(i int, key, value any) {
		if err == nil {
			if dst, err = appendText(separate(dst, i, ","), key, true); err == nil {
				dst, err = appendText(append(dst, ':'), value, true)
			}
		}
	}
	switch v := v.(type) {
	case []any:
		dst = append(dst, '[')
		for i, e := range v {
			if dst, err = appendText(separate(dst, i, ","), e, true); err != nil {
				return nil, err
			}
		}
		return append(dst, ']'), nil
	case map[string]any:
		dst = append(dst, '{')
		for i, k := range JavaOrder(v) {
			entry(i, k, v[k])
		}
	case []sdk.Entry:
		dst = append(dst, '{')
		for i, e := range v {
			entry(i, e.Key, e.Value)
		}
	case *sdk.Struct:
		dst = append(dst, '{')
		for i, f := range v.Schema.Fields {
			entry(i, f.Name, WithDefault(v, i))
		}
	default:
		return nil, fmt.Errorf("Failed to serialize unexpected value type %T: %v", v, v)
	}
	return append(dst, '}'), err
}

const dayMs = 24 * 60 * 60 * 1000

// appendDate writes a time of the first day of 1970 or before as a time of day, a midnight as a date.
func appendDate(dst []byte, t time.Time) []byte {
	t = t.UTC()
	switch ms := t.UnixMilli(); {
	case ms < dayMs:
		return t.AppendFormat(dst, "15:04:05.000Z")
	case ms%dayMs == 0:
		return t.AppendFormat(dst, "2006-01-02")
	}
	return t.AppendFormat(dst, "2006-01-02T15:04:05.000Z")
}

// WithDefault gives a field's value as Kafka's Struct.get does: its schema's default if it is null.
func WithDefault(s *sdk.Struct, i int) any {
	if v := s.Values[i]; v != nil {
		return v
	}
	return s.Schema.Fields[i].Schema.Default
}
