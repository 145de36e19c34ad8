package values

import (
	"fmt"
	"math"
	"strings"
	"time"

	"github.com/weir/weir/connect/sdk"
)

// Convert makes a value one of a schema, as Kafka Connect's Values.convertTo does with a value that has none.
func Convert(to *sdk.Schema, v any) (any, error) {
	if v == nil {
		if to.Optional {
			return nil, nil
		}
		return nil, fmt.Errorf("Unable to convert a null value to a schema that requires a value")
	}
	switch to.Type {
	case sdk.Bytes:
		return toBytes(to, v)
	case sdk.String:
		return String(v)
	case sdk.Boolean:
		return toBoolean(v)
	case sdk.Float32, sdk.Float64:
		f, err := toDouble(v)
		if err == nil && to.Type == sdk.Float32 {
			return float32(f), nil
		}
		return f, err
	case sdk.Int8, sdk.Int16, sdk.Int32, sdk.Int64:
		return toInteger(to, v)
	}
	if TypeOf(v) == to.Type {
		return v, nil
	}
	return nil, unable(v, to)
}

func unable(v any, to *sdk.Schema) error {
	return fmt.Errorf("Unable to convert %s (%s) to Schema{%s}", JavaString(v), Class(v), JavaType(to.Type))
}

func toBytes(to *sdk.Schema, v any) (any, error) {
	decimal := to.Name == sdk.LogicalDecimal
	switch v := v.(type) {
	case []byte:
		if !decimal {
			return v, nil
		}
		scale, err := Scale(to)
		return sdk.DecimalFromBytes(v, scale), err
	case sdk.Decimal:
		if decimal {
			return v, nil
		}
		return v.AppendBytes(nil), nil
	case string:
		if d, ok := ParseDecimal(v); ok && decimal {
			return d, nil
		}
	default:
		if f, err := toDouble(v); err == nil && decimal {
			if d, ok := ParseDecimal(string(AppendFloat64(nil, f))); ok {
				return d, nil
			}
		}
	}
	return nil, unable(v, to)
}

// Scale gives the digits after the point of a schema of decimals.
func Scale(s *sdk.Schema) (int32, error) {
	text, ok := s.Param("scale")
	if !ok {
		return 0, fmt.Errorf("Invalid Decimal schema: scale parameter not found.")
	}
	var scale int32
	if _, err := fmt.Sscanf(text, "%d", &scale); err != nil {
		return 0, fmt.Errorf("Invalid scale parameter found in Decimal schema: %s", text)
	}
	return scale, nil
}

func toBoolean(v any) (any, error) {
	switch v := v.(type) {
	case bool:
		return v, nil
	case string:
		if _, parsed, err := Parse(v); err == nil {
			if b, ok := parsed.(bool); ok {
				return b, nil
			}
		}
	}
	n, err := toLong(v)
	return n != 0, err
}

func toInteger(to *sdk.Schema, v any) (any, error) {
	switch to.Name {
	case sdk.LogicalDate, sdk.LogicalTime, sdk.LogicalTimestamp:
		return toTime(to, v)
	}
	n, err := toLong(v)
	if err != nil {
		return nil, err
	}
	switch to.Type {
	case sdk.Int8:
		return int8(n), nil
	case sdk.Int16:
		return int16(n), nil
	case sdk.Int32:
		return int32(n), nil
	}
	return n, nil
}

func toTime(to *sdk.Schema, v any) (any, error) {
	if s, ok := v.(string); ok {
		_, parsed, err := Parse(s)
		if err != nil {
			return nil, err
		}
		v = parsed
	}
	if t, ok := v.(time.Time); ok {
		return t, nil
	}
	n, err := toLong(v)
	if err != nil {
		return nil, err
	}
	return FromLogical(to.Name, n)
}

// FromLogical gives the time of a logical type's number.
func FromLogical(name string, n int64) (time.Time, error) {
	switch name {
	case sdk.LogicalDate:
		return time.UnixMilli(n * dayMs).UTC(), nil
	case sdk.LogicalTime:
		if n < 0 || n > dayMs {
			return time.Time{}, fmt.Errorf("Time values must use number of milliseconds greater than 0 and less than 86400000")
		}
	}
	return time.UnixMilli(n).UTC(), nil
}

// ToLogical gives the number of a logical type's time.
func ToLogical(name string, t time.Time) (int64, error) {
	ms := t.UnixMilli()
	switch name {
	case sdk.LogicalDate:
		if ms%dayMs != 0 {
			return 0, fmt.Errorf("Kafka Connect Date type should not have any time fields set to non-zero values.")
		}
		return ms / dayMs, nil
	case sdk.LogicalTime:
		if ms < 0 || ms > dayMs {
			return 0, fmt.Errorf("Kafka Connect Time type should not have any date fields set to non-zero values.")
		}
	}
	return ms, nil
}

func toLong(v any) (int64, error) {
	switch v := v.(type) {
	case string:
		if d, ok := ParseDecimal(v); ok {
			if n, ok := Whole(d); ok {
				return LowBits(n), nil
			}
		}
	default:
		if n, ok := Long(v); ok {
			return n, nil
		}
	}
	return 0, fmt.Errorf("Unable to convert %s (%s) to a number", JavaString(v), Class(v))
}

func toDouble(v any) (float64, error) {
	switch v := v.(type) {
	case string:
		if d, ok := ParseDecimal(v); ok {
			return Float64(d), nil
		}
	default:
		if f, ok := Double(v); ok {
			return f, nil
		}
	}
	return 0, fmt.Errorf("Unable to convert %s (%s) to a number", JavaString(v), Class(v))
}

// Long gives a number as Java's Number.longValue: without its fraction, the lower bits of what is too large, the bounds of floating
// point numbers beyond them. false: it is no number.
func Long(v any) (int64, bool) {
	switch v := v.(type) {
	case int8:
		return int64(v), true
	case int16:
		return int64(v), true
	case int32:
		return int64(v), true
	case int64:
		return v, true
	case int:
		return int64(v), true
	case float32:
		return floatToLong(float64(v)), true
	case float64:
		return floatToLong(v), true
	case sdk.Decimal:
		n, ok := Whole(v)
		if !ok {
			return 0, true // ten to such a power has no lower bits
		}
		return LowBits(n), true
	}
	return 0, false
}

func floatToLong(f float64) int64 {
	switch {
	case math.IsNaN(f):
		return 0
	case f >= math.MaxInt64:
		return math.MaxInt64
	case f <= math.MinInt64:
		return math.MinInt64
	}
	return int64(f)
}

// FloatToInt is Java's cast of a floating point number to int: the bounds beyond them.
func FloatToInt(f float64) int32 {
	return int32(max(math.MinInt32, min(math.MaxInt32, floatToLong(f))))
}

// Double gives a number as Java's Number.doubleValue; false: it is none.
func Double(v any) (float64, bool) {
	switch v := v.(type) {
	case float32:
		return float64(v), true
	case float64:
		return v, true
	case sdk.Decimal:
		return Float64(v), true
	}
	n, ok := Long(v)
	return float64(n), ok
}

// Simple gives the last part of a class or plugin name.
func Simple(class string) string { return class[strings.LastIndexByte(class, '.')+1:] }
