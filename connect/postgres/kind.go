package postgres

import (
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"math"
	"slices"
	"strconv"
	"time"

	"github.com/weir/weir/connect/sdk"
)

// kind is how the values of a column come out: chosen once by the column's type and the options.
type kind struct {
	schema *sdk.Schema // of values that cannot be null
	read   func(s *slab, text []byte) (any, error)
	// zero stands for null where the schema does not allow it: in a row of which only the key is known.
	zero any
	// absent stands for a large value that did not change and was not sent.
	absent any
}

// kinds makes kinds.
type kinds struct {
	o     *options
	types *types
	// copied: for rows of a snapshot, where two things differ: infinite dates, and columns of type name, which in the stream are null.
	copied bool
}

func named(t sdk.Type, name string) *sdk.Schema { return &sdk.Schema{Type: t, Name: name, Version: 1} }

// of gives the kind of a column; false: columns of its type are left out.
func (k kinds) of(t *pgType, mod int32) (kind, bool) {
	t, mod = k.types.root(t, mod)
	switch t.oid {
	case oidBool:
		return kind{schema: sdk.BooleanSchema, zero: false, read: func(_ *slab, b []byte) (any, error) { return len(b) == 1 && b[0] == 't', nil }}, true
	case oidInt2:
		return kind{schema: &sdk.Schema{Type: sdk.Int16}, zero: int16(0), read: func(s *slab, b []byte) (any, error) {
			n, err := number(b)
			return s.int16(int16(n)), err
		}}, true
	case oidInt4:
		return kind{schema: sdk.Int32Schema, zero: int32(0), read: func(s *slab, b []byte) (any, error) {
			n, err := number(b)
			return s.int32(int32(n)), err
		}}, true
	case oidInt8, oidOid:
		return kind{schema: sdk.Int64Schema, zero: int64(0), read: func(s *slab, b []byte) (any, error) {
			n, err := number(b)
			return s.int64(n), err
		}}, true
	case oidFloat4:
		return kind{schema: &sdk.Schema{Type: sdk.Float32}, zero: float32(0), read: func(_ *slab, b []byte) (any, error) {
			f, err := readFloat(b, 32)
			return float32(f), err
		}}, true
	case oidFloat8:
		return kind{schema: sdk.Float64Schema, zero: float64(0), read: func(s *slab, b []byte) (any, error) {
			f, err := readFloat(b, 64)
			return s.float64(f), err
		}}, true
	case oidNumeric:
		return k.numeric(mod), true
	case oidMoney:
		return k.money(), true
	case oidText, oidVarchar, oidBpchar, oidChar, oidInet, oidCidr, oidMacaddr, oidMacaddr8,
		oidInt4range, oidInt8range, oidNumrange, oidTsrange, oidTstzrange, oidDaterange:
		return k.text(sdk.StringSchema), true
	case oidName:
		out := k.text(sdk.StringSchema)
		if !k.copied && !k.o.unknownTypes {
			out.read = func(*slab, []byte) (any, error) { return nil, nil }
		}
		return out, true
	case oidUUID:
		return k.text(named(sdk.String, "io.debezium.data.Uuid")), true
	case oidXML:
		return k.text(named(sdk.String, "io.debezium.data.Xml")), true
	case oidJSON, oidJSONB:
		return k.text(named(sdk.String, "io.debezium.data.Json")), true
	case oidTsvector:
		return k.text(named(sdk.String, "io.debezium.data.Tsvector")), true
	case oidBytea:
		return k.binary(readBytes), true
	case oidBit, oidVarbit:
		return k.bits(mod), true
	case oidDate:
		return k.date(), true
	case oidTime:
		return k.time(mod), true
	case oidTimetz:
		return k.timetz(), true
	case oidTimestamp:
		return k.timestamp(mod), true
	case oidTimestamptz:
		return k.timestamptz(mod), true
	case oidInterval:
		return k.interval(), true
	case oidPoint, oidBox, oidLseg, oidPath, oidPolygon, oidCircle, oidLine:
		return geometric(t.oid), true
	case oidMoneyArray, oidNameArray, oidIntervalArray, oidVarbitArray, oidXMLArray, oidPointArray, oidRefcursorArray:
		return kind{}, false
	case oidBitArray: // told as if it were no array, and always null
		out := k.bits(mod)
		out.read = func(*slab, []byte) (any, error) { return nil, nil }
		return out, true
	}
	switch {
	case t.labels != nil:
		return k.enum(t), true
	case t.name == "citext":
		return k.text(sdk.StringSchema), true
	case t.name == "isbn":
		return k.text(sdk.StringSchema), true
	case t.name == "ltree":
		return k.text(named(sdk.String, "io.debezium.data.Ltree")), true
	case t.name == "hstore":
		return k.hstore(), true
	case t.name == "geometry", t.name == "geography":
		return postgis(t.name), true
	case t.name == "vector":
		return vector(sdk.Float64Schema, "io.debezium.data.DoubleVector", 64), true
	case t.name == "halfvec":
		return vector(&sdk.Schema{Type: sdk.Float32}, "io.debezium.data.FloatVector", 32), true
	case t.elem != nil && t.category == 'A':
		return k.array(t, mod)
	case k.o.unknownTypes:
		return k.unknown(), true
	}
	return kind{}, false
}

// unknown gives the text of values of types that are not known, as bytes.
func (k kinds) unknown() kind {
	return k.binary(func(b []byte) ([]byte, error) { return append([]byte{}, b...), nil })
}

func (k kinds) text(s *sdk.Schema) kind {
	return kind{schema: s, zero: "", absent: k.o.placeholder, read: func(s *slab, b []byte) (any, error) { return s.string(b), nil }}
}

func (k kinds) enum(t *pgType) kind {
	values := make(map[string]any, len(t.labels))
	list := ""
	for i, l := range t.labels {
		if i > 0 {
			list += ","
		}
		list += l
		values[l] = l
	}
	schema := named(sdk.String, "io.debezium.data.Enum")
	schema.Params = []sdk.Param{{Name: "allowed", Value: list}}
	out := k.text(schema)
	out.read = func(_ *slab, b []byte) (any, error) {
		if v, ok := values[string(b)]; ok {
			return v, nil
		}
		return nil, errNewLabel
	}
	return out
}

// decimalSchema is that of numbers with a fixed number of digits after the point. precision 0: not told.
func decimalSchema(precision, scale int32) *sdk.Schema {
	s := sdk.NewDecimal(scale)
	if precision > 0 {
		s.Params = append(s.Params, sdk.Param{Name: "connect.decimal.precision", Value: strconv.Itoa(int(precision))})
	}
	return s
}

// variableScale is the schema of numbers each of which has its own number of digits after the point.
var variableScale = func() *sdk.Schema {
	s := sdk.NewStructure("io.debezium.data.VariableScaleDecimal", sdk.Field{Name: "scale", Schema: sdk.Int32Schema}, sdk.Field{Name: "value", Schema: sdk.BytesSchema})
	s.Version, s.Doc = 1, "Variable scaled decimal"
	return s
}()

// numericLimits gives what a modifier says of a numeric column; false: nothing.
func numericLimits(mod int32) (precision, scale int32, ok bool) {
	if mod < 4 {
		return 0, 0, false
	}
	mod -= 4
	return mod >> 16 & 0xffff, mod << 21 >> 21, true
}

func (k kinds) numeric(mod int32) kind {
	precision, scale, limited := numericLimits(mod)
	switch {
	case k.o.decimals == "string":
		return kind{schema: sdk.StringSchema, zero: sdk.Decimal{Scale: scale}.String(), absent: k.o.placeholder, read: func(s *slab, b []byte) (any, error) {
			switch string(b) {
			case "NaN":
				return "NAN", nil
			case "Infinity":
				return "POSITIVE_INFINITY", nil
			case "-Infinity":
				return "NEGATIVE_INFINITY", nil
			}
			return s.string(b), nil
		}}
	case k.o.decimals == "double":
		return kind{schema: sdk.Float64Schema, zero: float64(0), read: func(s *slab, b []byte) (any, error) {
			f, err := readFloat(b, 64)
			return s.float64(f), err
		}}
	case !limited:
		return kind{schema: variableScale, zero: variable(sdk.Decimal{}), read: func(_ *slab, b []byte) (any, error) {
			if special(b) {
				return nil, errSpecial
			}
			d, err := readDecimal(b)
			return variable(d), err
		}}
	}
	return kind{schema: decimalSchema(precision, scale), zero: sdk.Decimal{Scale: scale}, read: func(s *slab, b []byte) (any, error) {
		if special(b) {
			return nil, errSpecial
		}
		d, err := readDecimal(b)
		if err == nil && d.Scale != scale {
			d, err = rescale(d, scale)
		}
		return s.decimal(d), err
	}}
}

// variable makes the structure of a number, without zeros at the end of its fraction.
func variable(d sdk.Decimal) *sdk.Struct {
	for d.Scale > 0 && d.Big == nil && d.Unscaled%10 == 0 {
		d.Unscaled /= 10
		d.Scale--
	}
	if d.Big != nil {
		d = trimBig(d)
	}
	return &sdk.Struct{Schema: variableScale, Values: []any{d.Scale, d.AppendBytes(nil)}}
}

func (k kinds) money() kind {
	scale := k.o.moneyDigits
	switch k.o.decimals {
	case "string":
		return kind{schema: sdk.StringSchema, zero: sdk.Decimal{Scale: scale}.String(), read: func(_ *slab, b []byte) (any, error) { return string(readMoney(b)), nil }}
	case "double":
		return kind{schema: sdk.Float64Schema, zero: float64(0), read: func(_ *slab, b []byte) (any, error) { return readFloat(readMoney(b), 64) }}
	}
	return kind{schema: decimalSchema(0, scale), zero: sdk.Decimal{Scale: scale}, read: func(_ *slab, b []byte) (any, error) {
		d, err := readDecimal(readMoney(b))
		if err == nil && d.Scale != scale {
			d, err = rescale(d, scale)
		}
		return d, err
	}}
}

// binary is how bytes come out.
func (k kinds) binary(read func([]byte) ([]byte, error)) kind {
	var encode func([]byte) string
	switch k.o.binary {
	case "base64":
		encode = base64.StdEncoding.EncodeToString
	case "base64-url-safe":
		encode = base64.URLEncoding.EncodeToString
	case "hex":
		encode = hex.EncodeToString
	default:
		return kind{schema: sdk.BytesSchema, zero: []byte{}, absent: []byte(k.o.placeholder), read: func(_ *slab, b []byte) (any, error) { return read(b) }}
	}
	var absent any // as Debezium has it: nothing where it is base64
	if k.o.binary == "hex" {
		absent = k.o.placeholder
	}
	return kind{schema: sdk.StringSchema, zero: "", absent: absent, read: func(_ *slab, b []byte) (any, error) {
		raw, err := read(b)
		return encode(raw), err
	}}
}

func (k kinds) bits(mod int32) kind {
	if mod == 1 {
		return kind{schema: sdk.BooleanSchema, zero: false, read: func(_ *slab, b []byte) (any, error) { return len(b) == 1 && b[0] == '1', nil }}
	}
	if mod < 0 {
		mod = math.MaxInt32
	}
	schema := named(sdk.Bytes, "io.debezium.data.Bits")
	schema.Params = []sdk.Param{{Name: "length", Value: strconv.Itoa(int(mod))}}
	return kind{schema: schema, zero: []byte{}, read: func(_ *slab, b []byte) (any, error) { return readBits(b) }}
}

// Infinite dates and times, as numbers. Dates are those days that Debezium's driver makes of them, which are others when it reads tables,
// and more than 32 bits there, of which numbers have the lower.
const (
	infiniteMillis    = 9_223_372_036_825_200_000
	negInfiniteMillis = -9_223_372_036_832_400_000
)

func (k kinds) infiniteDays(sign int) int64 {
	switch {
	case k.copied && sign > 0:
		return days(292_278_994, 8, 16)
	case k.copied:
		return days(292_269_055, 12, 2)
	case sign > 0:
		return days(5_877_611, 6, 21)
	}
	return days(-5_877_611, 6, 22)
}

func (k kinds) date() kind {
	read := func(b []byte) (int64, error) {
		if sign := infinity(b); sign != 0 {
			return k.infiniteDays(sign), nil
		}
		return readDate(b)
	}
	switch k.o.times {
	case "isostring":
		return kind{schema: named(sdk.String, "io.debezium.time.IsoDate"), zero: "1970-01-01Z", read: func(_ *slab, b []byte) (any, error) {
			n, err := read(b)
			return string(append(appendISODate(nil, n), 'Z')), err
		}}
	case "connect":
		return kind{schema: named(sdk.Int32, sdk.LogicalDate), zero: midnight(0), read: func(_ *slab, b []byte) (any, error) {
			n, err := read(b)
			return midnight(int64(int32(n))), err
		}}
	}
	return kind{schema: named(sdk.Int32, "io.debezium.time.Date"), zero: int32(0), read: func(s *slab, b []byte) (any, error) {
		n, err := read(b)
		return s.int32(int32(n)), err
	}}
}

// timePrecision is how many digits of a second a column keeps.
func timePrecision(mod int32) int32 {
	if mod < 0 {
		return 6
	}
	return mod
}

func (k kinds) time(mod int32) kind {
	switch mode := k.o.times; {
	case mode == "isostring":
		return kind{schema: named(sdk.String, "io.debezium.time.IsoTime"), zero: "00:00:00Z", read: func(_ *slab, b []byte) (any, error) {
			n, err := readTime(b)
			return string(append(appendISOTime(nil, n%day, 0), 'Z')), err
		}}
	case mode == "connect":
		return kind{schema: named(sdk.Int32, sdk.LogicalTime), zero: midnight(0), read: func(_ *slab, b []byte) (any, error) {
			n, err := readTime(b)
			return time.UnixMilli(n / 1000).UTC(), err
		}}
	case mode == "nanoseconds":
		return longKind("io.debezium.time.NanoTime", func(b []byte) (int64, error) {
			n, err := readTime(b)
			return n * 1000, err
		})
	case mode == "adaptive" && timePrecision(mod) <= 3:
		return kind{schema: named(sdk.Int32, "io.debezium.time.Time"), zero: int32(0), read: func(s *slab, b []byte) (any, error) {
			n, err := readTime(b)
			return s.int32(int32(n / 1000)), err
		}}
	}
	return longKind("io.debezium.time.MicroTime", readTime)
}

func longKind(name string, read func([]byte) (int64, error)) kind {
	return kind{schema: named(sdk.Int64, name), zero: int64(0), read: func(s *slab, b []byte) (any, error) {
		n, err := read(b)
		if err != nil {
			return nil, err
		}
		return s.int64(n), nil
	}}
}

func (k kinds) timetz() kind {
	return kind{schema: named(sdk.String, "io.debezium.time.ZonedTime"), zero: "00:00:00Z", read: func(s *slab, b []byte) (any, error) {
		c := scan{b: b}
		t := c.clock()
		zone := c.zone()
		if !c.done() {
			return nil, wrong(b, "time")
		}
		if t == day && zone == 0 {
			return "24:00:00Z", nil
		}
		var text [24]byte
		return s.string(append(appendISOTime(text[:0], ((t-zone)%day+day)%day, 0), 'Z')), nil
	}}
}

func (k kinds) timestamp(mod int32) kind {
	whole := func(b []byte) (int64, int, error) {
		if sign := infinity(b); sign != 0 {
			return 0, sign, nil
		}
		n, err := readTimestamp(b, false)
		return n, 0, err
	}
	extreme := func(sign int) int64 {
		if sign > 0 {
			return math.MaxInt64
		}
		return math.MinInt64
	}
	switch mode := k.o.times; {
	case mode == "isostring":
		return kind{schema: named(sdk.String, "io.debezium.time.IsoTimestamp"), zero: "1970-01-01T00:00:00Z", read: func(s *slab, b []byte) (any, error) {
			n, sign, err := whole(b)
			switch {
			case err != nil:
				return nil, err
			case sign > 0:
				return isoMillis(infiniteMillis), nil
			case sign < 0:
				return isoMillis(negInfiniteMillis), nil
			}
			var text [40]byte
			return s.string(appendISOTimestamp(text[:0], n, 0)), nil
		}}
	case mode == "connect":
		return kind{schema: named(sdk.Int64, sdk.LogicalTimestamp), zero: midnight(0), read: func(_ *slab, b []byte) (any, error) {
			n, sign, err := whole(b)
			switch {
			case sign > 0:
				n = infiniteMillis
			case sign < 0:
				n = negInfiniteMillis
			default:
				n = floor(n, 1000)
			}
			return time.UnixMilli(n).UTC(), err
		}}
	case mode == "nanoseconds":
		return longKind("io.debezium.time.NanoTimestamp", func(b []byte) (int64, error) {
			n, sign, err := whole(b)
			if sign != 0 {
				return extreme(sign), nil
			}
			if err == nil && (n > math.MaxInt64/1000 || n < math.MinInt64/1000) {
				return 0, fmt.Errorf("%s does not fit in nanoseconds", b)
			}
			return n * 1000, err
		})
	case mode != "microseconds" && timePrecision(mod) <= 3:
		return longKind("io.debezium.time.Timestamp", func(b []byte) (int64, error) {
			n, sign, err := whole(b)
			if sign > 0 {
				return infiniteMillis, nil
			}
			if sign < 0 {
				return negInfiniteMillis, nil
			}
			return floor(n, 1000), err
		})
	}
	return longKind("io.debezium.time.MicroTimestamp", func(b []byte) (int64, error) {
		n, sign, err := whole(b)
		if sign != 0 {
			return extreme(sign), nil
		}
		return n, err
	})
}

// isoMillis writes a moment that is beyond what microseconds reach.
func isoMillis(ms int64) string {
	n := floor(ms, 86_400_000)
	b := append(appendISODate(nil, n), 'T')
	return string(append(appendISOTime(b, (ms-n*86_400_000)*1000, 0), 'Z'))
}

func (k kinds) timestamptz(mod int32) kind {
	width := timePrecision(mod)
	return kind{schema: named(sdk.String, "io.debezium.time.ZonedTimestamp"), zero: "1970-01-01T00:00:00Z", read: func(s *slab, b []byte) (any, error) {
		if infinity(b) != 0 {
			return s.string(b), nil
		}
		n, err := readTimestamp(b, true)
		if err != nil {
			return nil, err
		}
		var text [40]byte
		return s.string(appendISOTimestamp(text[:0], n, width)), nil
	}}
}

func (k kinds) interval() kind {
	if k.o.intervals == "string" {
		return kind{schema: named(sdk.String, "io.debezium.time.Interval"), zero: "P0Y0M0DT0H0M0S", read: func(_ *slab, b []byte) (any, error) {
			v, err := readInterval(b)
			return v.iso(), err
		}}
	}
	return longKind("io.debezium.time.MicroDuration", func(b []byte) (int64, error) {
		v, err := readInterval(b)
		return v.micros(), err
	})
}

func (k kinds) hstore() kind {
	if k.o.hstores == "map" {
		absent := map[string]any{k.o.placeholder: k.o.placeholder}
		return kind{schema: sdk.NewMap(sdk.StringSchema, sdk.OptionalStringSchema), zero: map[string]any{}, absent: absent, read: func(_ *slab, b []byte) (any, error) {
			keys, values, err := readPairs(b)
			m := make(map[string]any, len(keys))
			for i, key := range keys {
				m[key] = values[i]
			}
			return m, err
		}}
	}
	out := k.text(named(sdk.String, "io.debezium.data.Json"))
	out.zero = "{}"
	out.absent = jsonPairs([]string{k.o.placeholder}, []any{k.o.placeholder})
	out.read = func(_ *slab, b []byte) (any, error) {
		keys, values, err := readPairs(b)
		return jsonPairs(keys, values), err
	}
	return out
}

func (k kinds) array(t *pgType, mod int32) (kind, bool) {
	elem, ok := k.of(t.elem, mod)
	if t.elem.base != nil { // elements of domains are as of unknown types
		elem, ok = k.unknown(), k.o.unknownTypes
	}
	if !ok {
		return kind{}, false
	}
	midnight := t.elem.oid == oidTime
	schema := elem.schema
	if optionalElements[t.elem.oid] || slices.Contains([]string{"citext", "hstore", "ltree", "geometry", "geography"}, t.elem.name) {
		schema = schema.AsOptional()
	}
	return kind{schema: sdk.NewArray(schema), zero: []any{}, absent: k.absentArray(t.elem), read: func(s *slab, b []byte) (any, error) {
		elements, err := readArray(b)
		if err != nil {
			return nil, err
		}
		out := make([]any, len(elements))
		for i, e := range elements {
			switch e.kind {
			case 'n':
			case '{':
				return nil, fmt.Errorf("arrays of arrays are not supported")
			default:
				if midnight && string(e.text) == "24:00:00" {
					e.text = []byte("00:00:00") // as Debezium has it: in an array it is the beginning of the day
				}
				if out[i], err = elem.read(s, e.text); err != nil {
					return nil, err
				}
			}
		}
		return out, nil
	}}, true
}

// optionalElements are the types whose arrays say that elements may be null; others, such as enums', do not say so.
var optionalElements = func() map[uint32]bool {
	m := map[uint32]bool{}
	for _, oid := range []uint32{oidInt2, oidInt4, oidInt8, oidOid, oidChar, oidVarchar, oidText, oidBpchar, oidInet, oidCidr, oidMacaddr, oidMacaddr8,
		oidTsrange, oidTstzrange, oidDaterange, oidInt4range, oidNumrange, oidInt8range, oidNumeric, oidFloat4, oidFloat8, oidBool, oidDate, oidUUID,
		oidJSON, oidJSONB, oidTime, oidTimetz, oidTimestamp, oidTimestamptz, oidBytea} {
		m[oid] = true
	}
	return m
}()

// absentArray is what Debezium puts for an array that was not sent, which depends on its elements.
func (k kinds) absentArray(elem *pgType) any {
	switch elem.oid {
	case oidText, oidVarchar, oidBpchar, oidJSON, oidJSONB:
		return []any{k.o.placeholder}
	case oidBytea:
		if k.o.binary != "bytes" {
			return nil
		}
		return []any{[]byte(k.o.placeholder)}
	case oidInt4, oidDate:
		if elem.oid == oidDate && (k.o.times == "isostring" || k.o.times == "connect") {
			return nil
		}
		var out []any
		for _, c := range []byte(k.o.placeholder) {
			out = append(out, int32(c))
		}
		return out
	case oidInt8:
		var out []any
		for _, c := range []byte(k.o.placeholder) {
			out = append(out, int64(c))
		}
		return out
	case oidUUID:
		return []any{nameUUID(k.o.placeholder)}
	}
	return nil
}
