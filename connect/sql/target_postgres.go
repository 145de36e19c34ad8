package sql

import (
	"bytes"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/weir/weir/connect/sdk"
)

// postgresForm writes rows as PostgreSQL's COPY reads them: columns are separated by tabs.
type postgresForm struct {
	zone  *time.Location // of columns without one
	dates *time.Location
}

// columnType is the type that a column gets for values of a schema.
func (f postgresForm) columnType(s *sdk.Schema, _ bool) (string, error) {
	switch meanings[s.Name] {
	case isDecimal:
		return "DECIMAL", nil
	case isDate:
		return "DATE", nil
	case isTime:
		if s.Name == debeziumZonedTime {
			return "TIMETZ", nil
		}
		return "TIME", nil
	case isStamp:
		if s.Name == debeziumZoned {
			return "TIMESTAMPTZ", nil
		}
		return "TIMESTAMP", nil
	case isJSON:
		return "JSON", nil
	case isUUID:
		return "UUID", nil
	case isXML:
		return "XML", nil
	case isBits:
		if length, ok := s.Param("length"); ok && length != "2147483647" {
			return "BIT VARYING(" + length + ")", nil
		}
		return "BIT VARYING", nil
	}
	switch s.Type {
	case sdk.Int8, sdk.Int16:
		return "SMALLINT", nil
	case sdk.Int32:
		return "INT", nil
	case sdk.Int64:
		return "BIGINT", nil
	case sdk.Float32:
		return "REAL", nil
	case sdk.Float64:
		return "DOUBLE PRECISION", nil
	case sdk.Boolean:
		return "BOOLEAN", nil
	case sdk.String:
		return "TEXT", nil
	case sdk.Bytes:
		return "BYTEA", nil
	case sdk.Array:
		elem, err := f.columnType(s.Elem, false)
		return elem + "[]", err
	}
	return "", unfit(s)
}

// unfit is what is wrong with values that no column takes.
func unfit(s *sdk.Schema) error {
	return fmt.Errorf("a value of type %s does not fit in a column: flatten records with the transform Flatten, or leave the field out with fields.whitelist", cmpName(s))
}

// writer gives how values of a schema are written for a column of a type.
func (f postgresForm) writer(s *sdk.Schema, typ string) (writer, error) {
	number := typ == "int2" || typ == "int4" || typ == "int8" || typ == "numeric"
	switch meaning := meanings[s.Name]; meaning {
	case isDate, isTime, isStamp:
		return f.timeWriter(s, typ, meaning, number), nil
	case isDecimal:
		if s.Type == sdk.Structure {
			return func(dst []byte, v any) ([]byte, error) {
				d, err := variableDecimal(v)
				return append(dst, d.String()...), err
			}, nil
		}
	case isBits:
		length, _ := s.Param("length")
		n, _ := strconv.Atoi(length)
		if typ == "bit" || typ == "varbit" {
			return func(dst []byte, v any) ([]byte, error) { return bits(dst, v, n) }, nil
		}
	}
	switch s.Type {
	case sdk.Array:
		if strings.HasPrefix(typ, "_") {
			elem, err := f.writer(s.Elem, typ[1:])
			if err != nil {
				return nil, err
			}
			return func(dst []byte, v any) ([]byte, error) { return appendCopyArray(dst, v, s, elem) }, nil
		}
		return nil, fmt.Errorf("an array does not fit in a column of type %s", typ)
	case sdk.Map, sdk.Structure:
		return nil, unfit(s)
	case sdk.Boolean:
		if number {
			return func(dst []byte, v any) ([]byte, error) {
				if b, ok := v.(bool); ok {
					return append(dst, oneOrZero(b)), nil
				}
				return dst, wrongValue(s, v)
			}, nil
		}
	case sdk.String:
		return func(dst []byte, v any) ([]byte, error) {
			if v, ok := v.(string); ok {
				return appendCopyText(dst, v), nil
			}
			return appendCopy(dst, s, v)
		}, nil
	}
	return func(dst []byte, v any) ([]byte, error) { return appendCopy(dst, s, v) }, nil
}

func oneOrZero(b bool) byte {
	if b {
		return '1'
	}
	return '0'
}

func (f postgresForm) timeWriter(s *sdk.Schema, typ string, m meaning, number bool) writer {
	of := times(s)
	zone, zoned := f.zone, typ == "timestamptz" || typ == "timetz"
	switch m {
	case isDate:
		zone = f.dates
		if s.Name == debeziumDate {
			zone = time.UTC
		}
	case isTime:
		if s.Name != sdk.LogicalTime {
			zone = time.UTC
		}
	case isStamp:
		if s.Name != sdk.LogicalTimestamp && s.Name != debeziumZoned { // what a clock without a zone shows
			zone = time.UTC
		}
	}
	return func(dst []byte, v any) ([]byte, error) {
		if number {
			if t, ok := v.(time.Time); ok {
				return strconv.AppendInt(dst, epoch(s, t), 10), nil
			}
			if dst, ok := appendPlain(dst, v); ok {
				return dst, nil
			}
		}
		t, err := of(v)
		if err != nil {
			if text, ok := v.(string); ok { // such as infinity
				return appendCopyText(dst, text), nil
			}
			return dst, err
		}
		if s.Name != debeziumZonedTime {
			t = t.In(zone)
		}
		switch {
		case m == isDate && typ != "timestamp" && typ != "timestamptz":
			return appendDate(dst, t), nil
		case m == isTime && zoned:
			return t.AppendFormat(dst, "15:04:05.999999Z07:00"), nil
		case m == isTime:
			return appendClock(dst, t), nil
		}
		return appendStamp(dst, t, zoned), nil
	}
}

// appendCopy writes a value by its Go type.
func appendCopy(dst []byte, s *sdk.Schema, v any) ([]byte, error) {
	switch v := v.(type) {
	case string:
		return appendCopyText(dst, v), nil
	case []byte:
		return appendHex(append(dst, `\\x`...), v), nil
	case bool:
		if v {
			return append(dst, 't'), nil
		}
		return append(dst, 'f'), nil
	case float64:
		return strconv.AppendFloat(dst, v, 'g', -1, 64), nil
	case float32:
		return strconv.AppendFloat(dst, float64(v), 'g', -1, 32), nil
	case time.Time:
		return appendStamp(dst, v, true), nil
	}
	if dst, ok := appendPlain(dst, v); ok {
		return dst, nil
	}
	return dst, wrongValue(s, v)
}

// appendCopyText writes a text, with what means something to COPY escaped.
func appendCopyText(dst []byte, v string) []byte {
	from := 0
	for i := 0; i < len(v); i++ {
		c := v[i]
		if c >= ' ' && c != '\\' {
			continue
		}
		var escape byte
		switch c {
		case '\\':
			escape = '\\'
		case '\n':
			escape = 'n'
		case '\r':
			escape = 'r'
		case '\t':
			escape = 't'
		default:
			continue
		}
		dst = append(append(dst, v[from:i]...), '\\', escape)
		from = i + 1
	}
	return append(dst, v[from:]...)
}

// appendCopyArray writes an array: each element in quotes, escaped once for the array and once for COPY.
func appendCopyArray(dst []byte, v any, s *sdk.Schema, elem writer) ([]byte, error) {
	all, ok := v.([]any)
	if !ok {
		return dst, wrongValue(s, v)
	}
	dst = append(dst, '{')
	for i, e := range all {
		if i > 0 {
			dst = append(dst, ',')
		}
		if e == nil {
			dst = append(dst, "NULL"...)
			continue
		}
		if _, nested := e.([]any); nested {
			var err error
			if dst, err = elem(dst, e); err != nil {
				return dst, err
			}
			continue
		}
		var err error
		if dst, err = appendCopyElement(dst, e, elem); err != nil {
			return dst, err
		}
	}
	return append(dst, '}'), nil
}

func appendCopyElement(dst []byte, v any, elem writer) ([]byte, error) {
	dst = append(dst, '"')
	from := len(dst)
	dst, err := elem(dst, v)
	if raw := dst[from:]; bytes.IndexByte(raw, '"') >= 0 || bytes.IndexByte(raw, '\\') >= 0 {
		quoted := make([]byte, 0, 2*len(raw))
		for i := 0; i < len(raw); i++ {
			switch {
			case raw[i] == '"':
				quoted = append(quoted, `\\"`...)
			case raw[i] == '\\' && i+1 < len(raw) && raw[i+1] == '\\': // a backslash, as COPY has it
				quoted = append(quoted, `\\\\`...)
				i++
			default:
				quoted = append(quoted, raw[i])
			}
		}
		dst = append(dst[:from], quoted...)
	}
	return append(dst, '"'), err
}
