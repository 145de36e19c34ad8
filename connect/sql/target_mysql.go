package sql

import (
	"fmt"
	"math"
	"strconv"
	"time"

	"github.com/weir/weir/connect/sdk"
)

// mysqlForm writes rows as lists of literals.
type mysqlForm struct {
	zone      *time.Location // of DATETIME; TIMESTAMP is in the session's, which is UTC
	dates     *time.Location
	backslash bool // means something in texts
}

// keyLength is how many characters of a text can be a key.
const keyLength = "191"

// columnType is the type that a column gets for values of a schema.
func (f mysqlForm) columnType(s *sdk.Schema, key bool) (string, error) {
	switch meanings[s.Name] {
	case isDecimal:
		scale, ok := s.Param("scale")
		if !ok {
			return "DECIMAL(65,30)", nil
		}
		return "DECIMAL(65," + scale + ")", nil
	case isDate:
		return "DATE", nil
	case isTime:
		if s.Name == sdk.LogicalTime || s.Name == debeziumTime {
			return "TIME(3)", nil
		}
		return "TIME(6)", nil
	case isStamp:
		if s.Name == sdk.LogicalTimestamp || s.Name == debeziumStamp {
			return "DATETIME(3)", nil
		}
		return "DATETIME(6)", nil
	case isJSON:
		return "JSON", nil
	case isUUID:
		return "CHAR(36)", nil
	case isBits:
		if length, ok := s.Param("length"); ok {
			if n, err := strconv.Atoi(length); err == nil && n <= 64 {
				return "BIT(" + length + ")", nil
			}
		}
	}
	switch s.Type {
	case sdk.Int8:
		return "TINYINT", nil
	case sdk.Int16:
		return "SMALLINT", nil
	case sdk.Int32:
		return "INT", nil
	case sdk.Int64:
		return "BIGINT", nil
	case sdk.Float32:
		return "FLOAT", nil
	case sdk.Float64:
		return "DOUBLE", nil
	case sdk.Boolean:
		return "TINYINT", nil
	case sdk.String:
		if key {
			return "VARCHAR(" + keyLength + ")", nil
		}
		return "LONGTEXT", nil
	case sdk.Bytes:
		if key {
			return "VARBINARY(767)", nil
		}
		return "LONGBLOB", nil
	}
	return "", unfit(s)
}

// writer gives how values of a schema are written for a column of a type.
func (f mysqlForm) writer(s *sdk.Schema, typ string) (writer, error) {
	number := false
	switch typ {
	case "tinyint", "smallint", "mediumint", "int", "bigint", "decimal", "year":
		number = true
	}
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
		if n, err := strconv.Atoi(length); err == nil && typ == "bit" {
			return func(dst []byte, v any) ([]byte, error) {
				dst, err := bits(append(dst, "b'"...), v, n)
				return append(dst, '\''), err
			}, nil
		}
	}
	switch s.Type {
	case sdk.Map, sdk.Structure, sdk.Array:
		return nil, unfit(s)
	}
	return func(dst []byte, v any) ([]byte, error) { return f.append(dst, s, v) }, nil
}

func (f mysqlForm) timeWriter(s *sdk.Schema, typ string, m meaning, number bool) writer {
	of := times(s)
	zone := f.zone
	switch {
	case typ == "timestamp":
		zone = time.UTC
	case m == isDate && s.Name == sdk.LogicalDate:
		zone = f.dates
	case s.Name != sdk.LogicalTimestamp && s.Name != sdk.LogicalTime && s.Name != debeziumZoned: // what a clock without a zone shows
		zone = time.UTC
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
			if text, ok := v.(string); ok {
				return f.appendText(dst, text), nil
			}
			return dst, err
		}
		if s.Name != debeziumZonedTime {
			t = t.In(zone)
		}
		dst = append(dst, '\'')
		switch m {
		case isDate:
			dst = appendDate(dst, t)
		case isTime:
			dst = appendClock(dst, t)
		default:
			dst = appendStamp(dst, t, false)
		}
		return append(dst, '\''), nil
	}
}

// append writes a value by its Go type.
func (f mysqlForm) append(dst []byte, s *sdk.Schema, v any) ([]byte, error) {
	switch v := v.(type) {
	case string:
		return f.appendText(dst, v), nil
	case []byte:
		return append(appendHex(append(dst, "x'"...), v), '\''), nil
	case bool:
		return append(dst, oneOrZero(v)), nil
	case float64:
		return appendMySQLFloat(dst, v, 64)
	case float32:
		return appendMySQLFloat(dst, float64(v), 32)
	case time.Time:
		return append(appendStamp(append(dst, '\''), v.In(f.zone), false), '\''), nil
	}
	if dst, ok := appendPlain(dst, v); ok {
		return dst, nil
	}
	return dst, wrongValue(s, v)
}

func appendMySQLFloat(dst []byte, v float64, bits int) ([]byte, error) {
	if math.IsNaN(v) || math.IsInf(v, 0) {
		return dst, fmt.Errorf("a column of MySQL cannot hold %v", v)
	}
	return strconv.AppendFloat(dst, v, 'e', -1, bits), nil
}

// appendText writes a text as a literal.
func (f mysqlForm) appendText(dst []byte, v string) []byte {
	dst = append(dst, '\'')
	from := 0
	for i := 0; i < len(v); i++ {
		if c := v[i]; c == '\'' || c == '\\' && f.backslash {
			dst = append(append(dst, v[from:i]...), c)
			from = i
		}
	}
	return append(append(dst, v[from:]...), '\'')
}
