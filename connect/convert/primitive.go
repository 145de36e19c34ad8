package convert

import (
	"encoding/binary"
	"fmt"
	"math"

	"github.com/weir/weir/connect/sdk"
	"github.com/weir/weir/connect/values"
)

// plain is a converter of values of one type, which have no more than their bytes.
type plain struct {
	name   string // of the type, for messages
	schema *sdk.Schema
	strict bool // refuses other schemas, too
	from   func(value any, dst []byte) ([]byte, bool)
	to     func(b []byte) (any, error)
}

func primitive(p plain) func(sdk.Values, use) (any, error) {
	return func(sdk.Values, use) (any, error) { return &p, nil }
}

func (p *plain) From(_ string, schema *sdk.Schema, value any, dst []byte) ([]byte, error) {
	if p.strict && schema != nil && schema.Type != p.schema.Type {
		return failed("Invalid schema type for %sConverter: %s", p.name, values.JavaType(schema.Type))
	}
	if value == nil {
		return nil, nil
	}
	out, ok := p.from(value, dst)
	switch {
	case ok:
		return present(out), nil
	case p.strict:
		return failed("%sConverter is not compatible with objects of type %s", p.name, values.Class(value))
	}
	return failed("Failed to serialize to %s (was %s)", p.name, values.Class(value))
}

func (p *plain) To(_ string, b []byte) (*sdk.Schema, any, error) {
	if b == nil {
		return p.schema, nil, nil
	}
	v, err := p.to(b)
	if err != nil {
		return nil, nil, err
	}
	return p.schema, v, nil
}

func (p *plain) FromHeader(topic, _ string, schema *sdk.Schema, value any, dst []byte) ([]byte, error) {
	return p.From(topic, schema, value, dst)
}

func (p *plain) ToHeader(topic, _ string, b []byte) (*sdk.Schema, any, error) { return p.To(topic, b) }

// present makes no bytes something else than nil.
func present(b []byte) []byte {
	if b == nil {
		return []byte{}
	}
	return b
}

// sized reads numbers that have so many bytes.
func sized(n int, name, reader string, read func(b []byte) any) func([]byte) (any, error) {
	return func(b []byte) (any, error) {
		if len(b) != n {
			return nil, fmt.Errorf("Failed to deserialize %s: Size of data received by %s is not %d", name, reader, n)
		}
		return read(b), nil
	}
}

var (
	byteArrays = plain{
		name: "ByteArray", strict: true, schema: sdk.OptionalBytesSchema,
		from: func(v any, dst []byte) ([]byte, bool) { b, ok := v.([]byte); return append(dst, b...), ok },
		to:   func(b []byte) (any, error) { return b, nil },
	}
	booleans = plain{
		name: "Boolean", strict: true, schema: sdk.OptionalBooleanSchema,
		from: func(v any, dst []byte) ([]byte, bool) {
			b, ok := v.(bool)
			if b {
				return append(dst, 1), ok
			}
			return append(dst, 0), ok
		},
		to: func(b []byte) (any, error) {
			if len(b) != 1 {
				return nil, fmt.Errorf("Failed to deserialize boolean: Size of data received by BooleanDeserializer is not 1")
			}
			if b[0] > 1 {
				return nil, fmt.Errorf("Failed to deserialize boolean: Unexpected byte received by BooleanDeserializer: %d", int8(b[0]))
			}
			return b[0] == 1, nil
		},
	}
	shorts = plain{
		name: "short", schema: &sdk.Schema{Type: sdk.Int16, Optional: true},
		from: func(v any, dst []byte) ([]byte, bool) {
			n, ok := v.(int16)
			return binary.BigEndian.AppendUint16(dst, uint16(n)), ok
		},
		to: sized(2, "short", "ShortDeserializer", func(b []byte) any { return int16(binary.BigEndian.Uint16(b)) }),
	}
	integers = plain{
		name: "integer", schema: sdk.OptionalInt32Schema,
		from: func(v any, dst []byte) ([]byte, bool) {
			n, ok := v.(int32)
			return binary.BigEndian.AppendUint32(dst, uint32(n)), ok
		},
		to: sized(4, "integer", "IntegerDeserializer", func(b []byte) any { return int32(binary.BigEndian.Uint32(b)) }),
	}
	longs = plain{
		name: "long", schema: sdk.OptionalInt64Schema,
		from: func(v any, dst []byte) ([]byte, bool) {
			n, ok := v.(int64)
			return binary.BigEndian.AppendUint64(dst, uint64(n)), ok
		},
		to: sized(8, "long", "LongDeserializer", func(b []byte) any { return int64(binary.BigEndian.Uint64(b)) }),
	}
	floats = plain{
		name: "float", schema: &sdk.Schema{Type: sdk.Float32, Optional: true},
		from: func(v any, dst []byte) ([]byte, bool) {
			f, ok := v.(float32)
			return binary.BigEndian.AppendUint32(dst, math.Float32bits(f)), ok
		},
		to: sized(4, "float", "Deserializer", func(b []byte) any { return math.Float32frombits(binary.BigEndian.Uint32(b)) }),
	}
	doubles = plain{
		name: "double", schema: sdk.OptionalFloat64Schema,
		from: func(v any, dst []byte) ([]byte, bool) {
			f, ok := v.(float64)
			return binary.BigEndian.AppendUint64(dst, math.Float64bits(f)), ok
		},
		to: sized(8, "double", "Deserializer", func(b []byte) any { return math.Float64frombits(binary.BigEndian.Uint64(b)) }),
	}
)
