package sql

import (
	"bytes"
	"encoding/hex"
	"fmt"
	"math/big"
	"strconv"
	"time"
	"unsafe"

	"github.com/weir/weir/connect/sdk"
)

// kind is what a column of an answer holds, as JDBC's drivers would say it.
type kind uint8

const (
	kindNone kind = iota // has no place in records
	kindBool
	kindInt8
	kindInt16
	kindInt32
	kindInt64
	kindFloat32
	kindFloat64
	kindNumeric // which numeric.mapping is about
	kindDecimal
	kindString
	kindBytes
	kindBits // MySQL's, as a number
	kindDate
	kindTime
	kindStamp
)

// readColumn is a column of an answer.
type readColumn struct {
	name             string
	typ              string // as the server calls it
	kind             kind
	precision, scale int32 // of numbers; precision 0: there is no limit
	nullable         bool
	base             int  // of bit strings that are read as numbers; 0: 10
	plain            bool // bytes come as they are, and not as hexadecimal digits
}

// reader makes a value of what the server sent.
type reader func(b []byte) (any, error)

// reading is how rows become records.
type reading struct {
	mapping     string // numeric.mapping
	granularity string
	zone        *time.Location // of columns without one
}

// maxInteger is the most digits that are mapped to a whole number.
const maxInteger = 18

func integerKind(precision int32) kind {
	switch {
	case precision > 9:
		return kindInt64
	case precision > 4:
		return kindInt32
	case precision > 2:
		return kindInt16
	}
	return kindInt8
}

// mapped applies numeric.mapping.
func (r *reading) mapped(c *readColumn) kind {
	if c.kind != kindNumeric {
		return c.kind
	}
	fits, whole := c.precision > 0 && c.precision <= maxInteger, c.scale < 1 && c.scale >= -84
	switch r.mapping {
	case "precision_only":
		if fits && c.scale == 0 {
			return integerKind(c.precision)
		}
	case "best_fit":
		switch {
		case c.precision == 0, fits && !whole:
			return kindFloat64
		case fits:
			return integerKind(c.precision)
		}
	case "best_fit_eager_double":
		switch {
		case c.precision == 0, !whole:
			return kindFloat64
		case fits:
			return integerKind(c.precision)
		}
	}
	return kindDecimal
}

// field gives the schema of a column's values, and how they are read. nil: it has no place in records.
func (r *reading) field(c *readColumn) (*sdk.Schema, reader) {
	s, read := r.plain(c)
	if s == nil {
		return nil, nil
	}
	s.Optional = c.nullable
	return s, read
}

func (r *reading) plain(c *readColumn) (*sdk.Schema, reader) {
	switch kind := r.mapped(c); kind {
	case kindBool:
		return &sdk.Schema{Type: sdk.Boolean}, func(b []byte) (any, error) {
			return len(b) > 0 && (b[0] == 't' || b[0] == '1'), nil
		}
	case kindInt8, kindBits:
		read := integer(c, 8, func(n int64) any { return int8(n) })
		if kind == kindBits {
			read = bitNumber(c)
		}
		return &sdk.Schema{Type: sdk.Int8}, read
	case kindInt16:
		return &sdk.Schema{Type: sdk.Int16}, integer(c, 16, func(n int64) any { return int16(n) })
	case kindInt32:
		return &sdk.Schema{Type: sdk.Int32}, integer(c, 32, func(n int64) any { return int32(n) })
	case kindInt64:
		return &sdk.Schema{Type: sdk.Int64}, integer(c, 64, func(n int64) any { return n })
	case kindFloat32:
		return &sdk.Schema{Type: sdk.Float32}, func(b []byte) (any, error) {
			f, err := strconv.ParseFloat(string(b), 32)
			return float32(f), c.unreadable(b, err)
		}
	case kindFloat64:
		return &sdk.Schema{Type: sdk.Float64}, func(b []byte) (any, error) {
			f, err := strconv.ParseFloat(money(b), 64)
			return f, c.unreadable(b, err)
		}
	case kindDecimal:
		s := sdk.NewDecimal(c.scale)
		s.Params = append(s.Params, sdk.Param{Name: "connect.decimal.precision", Value: strconv.Itoa(int(c.precision))})
		return s, c.decimal
	case kindString:
		return &sdk.Schema{Type: sdk.String}, func(b []byte) (any, error) { return string(b), nil }
	case kindBytes:
		return &sdk.Schema{Type: sdk.Bytes}, c.bytes
	case kindDate:
		return &sdk.Schema{Type: sdk.Int32, Name: sdk.LogicalDate, Version: 1}, func(b []byte) (any, error) {
			if len(b) == 4 { // a year
				b = append(b[:4:4], "-01-01"...)
			}
			t, err := parseStamp(b, time.UTC)
			return missing(t, err, c, b)
		}
	case kindTime:
		return &sdk.Schema{Type: sdk.Int32, Name: sdk.LogicalTime, Version: 1}, func(b []byte) (any, error) {
			t, err := parseStamp(append([]byte("1970-01-01 "), b...), r.zone)
			if err == nil {
				t = time.UnixMilli(((t.UnixMilli() % 86400_000) + 86400_000) % 86400_000).UTC()
			}
			return missing(t, err, c, b)
		}
	case kindStamp:
		return r.stamps(c)
	}
	return nil, nil
}

// money takes what makes a number an amount of money away from it.
func money(b []byte) string {
	if bytes.IndexByte(b, '$') < 0 {
		return unsafe.String(unsafe.SliceData(b), len(b))
	}
	return string(bytes.Map(func(r rune) rune {
		if r == '$' || r == ',' {
			return -1
		}
		return r
	}, b))
}

func (c *readColumn) unreadable(b []byte, err error) error {
	if err == nil {
		return nil
	}
	return sdk.Misconfigured("column %s of type %s has the value %.40q, which records cannot hold: leave it out with a query, or cast it there", c.name, c.typ, b)
}

func integer(c *readColumn, bits int, as func(int64) any) reader {
	base := 10
	if c.base != 0 {
		base, bits = c.base, 64 // the highest bit is not a sign yet
	}
	return func(b []byte) (any, error) {
		n, err := strconv.ParseInt(unsafe.String(unsafe.SliceData(b), len(b)), base, bits)
		if err != nil && base == 10 && bytes.IndexByte(b, '.') > 0 { // a number like 5.00
			if d, ok := sdk.ParseDecimal(string(b)); ok {
				if whole, exact := rescale(d, 0); exact && whole.Big == nil {
					n, err = whole.Unscaled, nil
				}
			}
		}
		return as(n), c.unreadable(b, err)
	}
}

func bitNumber(c *readColumn) reader {
	return func(b []byte) (any, error) {
		if len(b) != 1 {
			return nil, c.unreadable(b, strconv.ErrRange)
		}
		return int8(b[0]), nil
	}
}

func (c *readColumn) decimal(b []byte) (any, error) {
	d, ok := sdk.ParseDecimal(string(b))
	if !ok {
		return nil, c.unreadable(b, strconv.ErrSyntax)
	}
	if d.Scale == c.scale {
		return d, nil
	}
	d, exact := rescale(d, c.scale)
	if !exact {
		return nil, sdk.Misconfigured("column %s is numeric without a scale, and has the value %.40q: set numeric.mapping=best_fit, or give the column a scale", c.name, b)
	}
	return d, nil
}

// rescale gives a number with another number of digits after the point. false: digits are lost.
func rescale(d sdk.Decimal, scale int32) (sdk.Decimal, bool) {
	n := d.Big
	if n == nil {
		n = big.NewInt(d.Unscaled)
	}
	by := new(big.Int).Exp(big.NewInt(10), big.NewInt(int64(max(scale-d.Scale, d.Scale-scale))), nil)
	out := new(big.Int)
	if scale > d.Scale {
		out.Mul(n, by)
	} else {
		rest := new(big.Int)
		if out.QuoRem(n, by, rest); rest.Sign() != 0 {
			return d, false
		}
	}
	if out.IsInt64() {
		return sdk.Decimal{Unscaled: out.Int64(), Scale: scale}, true
	}
	return sdk.Decimal{Big: out, Scale: scale}, true
}

func (c *readColumn) bytes(b []byte) (any, error) {
	if c.plain {
		return bytes.Clone(b), nil
	}
	if digits, ok := bytes.CutPrefix(b, []byte(`\x`)); ok {
		out := make([]byte, hex.DecodedLen(len(digits)))
		_, err := hex.Decode(out, digits)
		return out, c.unreadable(b, err)
	}
	return nil, c.unreadable(b, strconv.ErrSyntax)
}

// missing has null for days that are none, such as MySQL's 0000-00-00.
func missing(t time.Time, err error, c *readColumn, b []byte) (any, error) {
	if err != nil && bytes.HasPrefix(b, []byte("0000-00-00")) {
		if c.nullable {
			return nil, nil
		}
		return time.Unix(0, 0).UTC(), nil
	}
	return t, c.unreadable(b, err)
}

// stamps reads timestamps as timestamp.granularity says.
func (r *reading) stamps(c *readColumn) (*sdk.Schema, reader) {
	of := func(schema *sdk.Schema, as func(t time.Time) any) (*sdk.Schema, reader) {
		return schema, func(b []byte) (any, error) {
			t, err := parseStamp(b, r.zoneOf(c))
			v, err := missing(t, err, c, b)
			if t, ok := v.(time.Time); ok && err == nil {
				return as(t), nil
			}
			return v, err
		}
	}
	switch r.granularity {
	case "micros_long":
		return of(&sdk.Schema{Type: sdk.Int64}, func(t time.Time) any { return t.UnixMicro() })
	case "nanos_long":
		return of(&sdk.Schema{Type: sdk.Int64}, func(t time.Time) any { return t.UnixNano() })
	case "micros_string":
		return of(&sdk.Schema{Type: sdk.String}, func(t time.Time) any { return strconv.FormatInt(t.UnixMicro(), 10) })
	case "nanos_string":
		return of(&sdk.Schema{Type: sdk.String}, func(t time.Time) any { return strconv.FormatInt(t.UnixNano(), 10) })
	case "micros_iso_datetime_string":
		return of(&sdk.Schema{Type: sdk.String}, func(t time.Time) any { return t.In(r.zone).Format("2006-01-02T15:04:05.000000") })
	case "nanos_iso_datetime_string":
		return of(&sdk.Schema{Type: sdk.String}, func(t time.Time) any { return t.In(r.zone).Format("2006-01-02T15:04:05.000000000") })
	}
	return of(&sdk.Schema{Type: sdk.Int64, Name: sdk.LogicalTimestamp, Version: 1}, func(t time.Time) any { return time.UnixMilli(t.UnixMilli()).UTC() })
}

// zoneOf gives the zone that a column's timestamps are in, if they do not say it. MySQL sends those of type TIMESTAMP in the session's, which is UTC.
func (r *reading) zoneOf(c *readColumn) *time.Location {
	if c.typ == "TIMESTAMP" {
		return time.UTC
	}
	return r.zone
}

// parseStamp reads a day with or without a time, of both kinds of databases: 2024-02-29 13:14:15.123456+01:30 BC.
func parseStamp(b []byte, zone *time.Location) (time.Time, error) {
	bad := fmt.Errorf("%q is no point in time", b)
	b, bc := bytes.CutSuffix(b, []byte(" BC"))
	next := func(until byte) (int, bool) {
		n, i := 0, 0
		for i < len(b) && b[i] >= '0' && b[i] <= '9' && i < 9 {
			n = n*10 + int(b[i]-'0')
			i++
		}
		ok := i > 0 && (i == len(b) || until == 0 || b[i] == until)
		if b = b[i:]; until != 0 && len(b) > 0 && ok {
			b = b[1:]
		}
		return n, ok
	}
	year, ok1 := next('-')
	month, ok2 := next('-')
	day, ok3 := next(' ')
	if !ok1 || !ok2 || !ok3 || month < 1 || month > 12 || day < 1 || day > 31 {
		return time.Time{}, bad
	}
	if bc {
		year = 1 - year
	}
	if len(b) == 0 {
		return time.Date(year, time.Month(month), day, 0, 0, 0, 0, zone).UTC(), nil
	}
	hour, ok1 := next(':')
	minute, ok2 := next(':')
	second, ok3 := next(0)
	if !ok1 || !ok2 || !ok3 || hour > 24 {
		return time.Time{}, bad
	}
	nanos := 0
	if len(b) > 0 && b[0] == '.' {
		b = b[1:]
		digits := len(b)
		n, ok := next(0)
		if !ok {
			return time.Time{}, bad
		}
		for digits -= len(b); digits < 9; digits++ {
			n *= 10
		}
		nanos = n
	}
	if len(b) > 0 {
		sign := 1
		switch b[0] {
		case '-':
			sign = -1
		case '+':
		default:
			return time.Time{}, bad
		}
		b = b[1:]
		h, ok := next(':')
		m, s := 0, 0
		if ok && len(b) > 0 {
			m, ok = next(':')
		}
		if ok && len(b) > 0 {
			s, ok = next(0)
		}
		if !ok || len(b) > 0 {
			return time.Time{}, bad
		}
		zone = time.FixedZone("", sign*(h*3600+m*60+s))
	}
	return time.Date(year, time.Month(month), day, hour, minute, second, nanos, zone).UTC(), nil
}
