package sql

import (
	"encoding/hex"
	"errors"
	"fmt"
	"math"
	"strconv"
	"time"

	"github.com/weir/weir/connect/sdk"
	"github.com/weir/weir/connect/values"
)

// writer appends a value, which is not nil, in the form that a statement's rows have.
type writer func(dst []byte, v any) ([]byte, error)

// Debezium's semantic types that are more than what their values look like.
const (
	debeziumDate      = "io.debezium.time.Date"           // int32, days
	debeziumTime      = "io.debezium.time.Time"           // int32, milliseconds
	debeziumMicroTime = "io.debezium.time.MicroTime"      // int64
	debeziumNanoTime  = "io.debezium.time.NanoTime"       // int64
	debeziumStamp     = "io.debezium.time.Timestamp"      // int64, milliseconds
	debeziumMicros    = "io.debezium.time.MicroTimestamp" // int64
	debeziumNanos     = "io.debezium.time.NanoTimestamp"  // int64
	debeziumZoned     = "io.debezium.time.ZonedTimestamp" // string
	debeziumZonedTime = "io.debezium.time.ZonedTime"      // string
	debeziumYear      = "io.debezium.time.Year"           // int32
	debeziumDecimal   = "io.debezium.data.VariableScaleDecimal"
	debeziumJSON      = "io.debezium.data.Json"
	debeziumUUID      = "io.debezium.data.Uuid"
	debeziumXML       = "io.debezium.data.Xml"
	debeziumBits      = "io.debezium.data.Bits" // bytes, the lowest first
)

// meaning is what a value is to the database, whatever form it has in records.
type meaning uint8

const (
	isOther meaning = iota // as its type says
	isDate
	isTime
	isStamp
	isDecimal
	isJSON
	isUUID
	isXML
	isBits
)

var meanings = map[string]meaning{
	sdk.LogicalDate: isDate, debeziumDate: isDate,
	sdk.LogicalTime: isTime, debeziumTime: isTime, debeziumMicroTime: isTime, debeziumNanoTime: isTime, debeziumZonedTime: isTime,
	sdk.LogicalTimestamp: isStamp, debeziumStamp: isStamp, debeziumMicros: isStamp, debeziumNanos: isStamp, debeziumZoned: isStamp,
	sdk.LogicalDecimal: isDecimal, debeziumDecimal: isDecimal, debeziumJSON: isJSON, debeziumUUID: isUUID, debeziumXML: isXML, debeziumBits: isBits,
}

// times gives the point in time that a value stands for. Days and times of day are in UTC.
func times(schema *sdk.Schema) func(v any) (time.Time, error) {
	switch schema.Name {
	case debeziumDate:
		return ticks(func(n int64) time.Time { return time.Unix(n*86400, 0) })
	case debeziumTime, debeziumStamp:
		return ticks(time.UnixMilli)
	case debeziumMicroTime, debeziumMicros:
		return ticks(time.UnixMicro)
	case debeziumNanoTime, debeziumNanos:
		return ticks(func(n int64) time.Time { return time.Unix(n/1e9, n%1e9) })
	case debeziumZoned:
		return func(v any) (time.Time, error) {
			s, _ := v.(string)
			return time.Parse(time.RFC3339Nano, s)
		}
	case debeziumZonedTime:
		return func(v any) (time.Time, error) {
			s, _ := v.(string)
			return time.Parse("15:04:05.999999999Z07:00", s)
		}
	}
	return func(v any) (time.Time, error) {
		t, ok := v.(time.Time)
		if !ok {
			return t, wrongValue(schema, v)
		}
		return t, nil
	}
}

func ticks(of func(int64) time.Time) func(v any) (time.Time, error) {
	return func(v any) (time.Time, error) {
		switch v := v.(type) {
		case int64:
			return of(v).UTC(), nil
		case int32:
			return of(int64(v)).UTC(), nil
		case time.Time: // a transform was at it
			return v, nil
		}
		return time.Time{}, fmt.Errorf("a value is %T, and not a whole number as its schema says", v)
	}
}

func wrongValue(s *sdk.Schema, v any) error {
	return fmt.Errorf("a value is %s, and not %s as its schema says", values.Class(v), cmpName(s))
}

func cmpName(s *sdk.Schema) string {
	if s.Name != "" {
		return s.Name
	}
	return s.Type.String()
}

// appendPlain writes values that need no quotes in any form: numbers. false: it is none.
func appendPlain(dst []byte, v any) ([]byte, bool) {
	switch v := v.(type) {
	case int64:
		return strconv.AppendInt(dst, v, 10), true
	case int32:
		return strconv.AppendInt(dst, int64(v), 10), true
	case int16:
		return strconv.AppendInt(dst, int64(v), 10), true
	case int8:
		return strconv.AppendInt(dst, int64(v), 10), true
	case sdk.Decimal:
		return append(dst, v.String()...), true
	}
	return dst, false
}

// variableDecimal gives the number that a structure of Debezium's stands for.
func variableDecimal(v any) (sdk.Decimal, error) {
	if s, ok := v.(*sdk.Struct); ok {
		scale, fits := s.Get("scale").(int32)
		b, isBytes := s.Get("value").([]byte)
		if fits && isBytes {
			return sdk.DecimalFromBytes(b, scale), nil
		}
	}
	return sdk.Decimal{}, errors.New("a value is not as Debezium's VariableScaleDecimal has to be")
}

// bits writes the bits of a value of Debezium's, the highest first, as the digits of a number with so many of them.
func bits(dst []byte, v any, length int) ([]byte, error) {
	b, ok := v.([]byte)
	if !ok {
		return dst, errors.New("a value is not as Debezium's Bits have to be")
	}
	for i := length - 1; i >= 0; i-- {
		bit := byte('0')
		if i/8 < len(b) && b[i/8]>>(i%8)&1 == 1 {
			bit = '1'
		}
		dst = append(dst, bit)
	}
	return dst, nil
}

func appendHex(dst, b []byte) []byte { return hex.AppendEncode(dst, b) }

// epoch gives the number that Connect has for a date or a time below its logical type.
func epoch(schema *sdk.Schema, t time.Time) int64 {
	switch schema.Name {
	case sdk.LogicalDate:
		return int64(math.Floor(float64(t.Unix()) / 86400))
	default:
		return t.UnixMilli()
	}
}
