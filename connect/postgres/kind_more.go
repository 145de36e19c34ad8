package postgres

import (
	"bytes"
	"crypto/md5"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"math"
	"math/big"
	"slices"
	"strconv"
	"unicode/utf16"

	"github.com/weir/weir/connect/sdk"
)

// errNewLabel is a value of an enum that came into the type after it was read.
var errNewLabel = errors.New("the enum has a value that it did not have when it was looked up")

// errSpecial is a number that is none.
var errSpecial = errors.New("NaN and infinite numbers need decimal.handling.mode string or double")

var ten = big.NewInt(10)

// rescale gives the number with so many digits after the point, rounded half up if there were more.
func rescale(d sdk.Decimal, scale int32) (sdk.Decimal, error) {
	n := d.Big
	if n == nil {
		n = big.NewInt(d.Unscaled)
	}
	if diff := scale - d.Scale; diff >= 0 {
		n = new(big.Int).Mul(n, new(big.Int).Exp(ten, big.NewInt(int64(diff)), nil))
	} else {
		by := new(big.Int).Exp(ten, big.NewInt(int64(-diff)), nil)
		half := new(big.Int).Rsh(by, 1)
		if n.Sign() < 0 {
			half.Neg(half)
		}
		n = new(big.Int).Quo(new(big.Int).Add(n, half), by)
	}
	if n.IsInt64() {
		return sdk.Decimal{Unscaled: n.Int64(), Scale: scale}, nil
	}
	return sdk.Decimal{Big: n, Scale: scale}, nil
}

// trimBig takes zeros off the end of a large number's fraction.
func trimBig(d sdk.Decimal) sdk.Decimal {
	n := new(big.Int).Set(d.Big)
	var q, r big.Int
	for d.Scale > 0 {
		if q.QuoRem(n, ten, &r); r.Sign() != 0 {
			break
		}
		n.Set(&q)
		d.Scale--
	}
	if n.IsInt64() {
		return sdk.Decimal{Unscaled: n.Int64(), Scale: d.Scale}
	}
	return sdk.Decimal{Big: n, Scale: d.Scale}
}

// nameUUID is the UUID (version 3) of a name.
func nameUUID(name string) string {
	h := md5.Sum([]byte(name))
	h[6] = h[6]&0x0f | 0x30
	h[8] = h[8]&0x3f | 0x80
	x := hex.EncodeToString(h[:])
	return x[:8] + "-" + x[8:12] + "-" + x[12:16] + "-" + x[16:20] + "-" + x[20:]
}

// jsonPairs writes a JSON object whose members are in the order in which Java's HashMap gives them: that is how Debezium writes it, and
// equal rows should be equal text.
func jsonPairs(keys []string, values []any) string {
	type pair struct {
		key  string
		val  any
		hash uint32
	}
	buckets := uint32(16)
	for n := len(keys); uint32(n)*4 > buckets*3; {
		buckets *= 2
	}
	pairs := make([]pair, len(keys))
	for i, k := range keys {
		h := uint32(0)
		for _, u := range utf16.Encode([]rune(k)) {
			h = 31*h + uint32(u)
		}
		pairs[i] = pair{k, values[i], (h ^ h>>16) & (buckets - 1)}
	}
	slices.SortStableFunc(pairs, func(a, b pair) int { return int(a.hash) - int(b.hash) })
	b := []byte{'{'}
	for i, p := range pairs {
		if i > 0 {
			b = append(b, ',')
		}
		b = append(appendJSON(b, p.key), ':')
		if text, ok := p.val.(string); ok {
			b = appendJSON(b, text)
		} else {
			b = append(b, "null"...)
		}
	}
	return string(append(b, '}'))
}

func appendJSON(b []byte, text string) []byte {
	b = append(b, '"')
	for i := 0; i < len(text); i++ {
		switch c := text[i]; c {
		case '"', '\\':
			b = append(b, '\\', c)
		case '\b':
			b = append(b, `\b`...)
		case '\f':
			b = append(b, `\f`...)
		case '\n':
			b = append(b, `\n`...)
		case '\r':
			b = append(b, `\r`...)
		case '\t':
			b = append(b, `\t`...)
		default:
			if c < ' ' {
				b = append(b, fmt.Sprintf(`\u%04X`, c)...)
			} else {
				b = append(b, c)
			}
		}
	}
	return append(b, '"')
}

func documented(s *sdk.Schema, version int32, doc string) *sdk.Schema {
	s.Version, s.Doc = version, doc
	return s
}

// Schemas of geometric values. All but points' allow null, also of columns that do not.
var (
	pointSchema = documented(sdk.NewStructure("io.debezium.data.geometry.Point",
		sdk.Field{Name: "x", Schema: sdk.Float64Schema}, sdk.Field{Name: "y", Schema: sdk.Float64Schema},
		sdk.Field{Name: "wkb", Schema: sdk.OptionalBytesSchema}, sdk.Field{Name: "srid", Schema: sdk.OptionalInt32Schema}), 1, "Geometry (POINT)")
	extensions     = sdk.NewMap(sdk.StringSchema, sdk.StringSchema).AsOptional()
	geometrySchema = documented(sdk.NewStructure("io.debezium.data.geometry.Geometry",
		sdk.Field{Name: "wkb", Schema: sdk.BytesSchema}, sdk.Field{Name: "srid", Schema: sdk.OptionalInt32Schema},
		sdk.Field{Name: "extensions", Schema: extensions}), 2, "Geometry").AsOptional()
	geographySchema = documented(sdk.NewStructure("io.debezium.data.geometry.Geography",
		sdk.Field{Name: "wkb", Schema: sdk.BytesSchema}, sdk.Field{Name: "srid", Schema: sdk.OptionalInt32Schema},
		sdk.Field{Name: "extensions", Schema: extensions}), 2, "Geography").AsOptional()
	circleSchema = documented(sdk.NewStructure("io.debezium.data.geometry.Circle",
		sdk.Field{Name: "center", Schema: pointSchema}, sdk.Field{Name: "radius", Schema: sdk.Float64Schema}), 1, "Geometry (CIRCLE)").AsOptional()
	lineSchema = documented(sdk.NewStructure("io.debezium.data.geometry.Line",
		sdk.Field{Name: "a", Schema: sdk.Float64Schema}, sdk.Field{Name: "b", Schema: sdk.Float64Schema}, sdk.Field{Name: "c", Schema: sdk.Float64Schema}), 1, "Geometry (LINE)").AsOptional()
)

// wkb writes points as well-known binary, little-endian: 1 a point, 2 a line, 3 a polygon of one ring.
func wkb(shape uint32, coordinates []float64) []byte {
	b := binary.LittleEndian.AppendUint32([]byte{1}, shape)
	if shape == 3 {
		b = binary.LittleEndian.AppendUint32(b, 1)
	}
	if shape > 1 {
		b = binary.LittleEndian.AppendUint32(b, uint32(len(coordinates)/2))
	}
	for _, v := range coordinates {
		b = binary.LittleEndian.AppendUint64(b, math.Float64bits(v))
	}
	return b
}

func pointOf(x, y float64) *sdk.Struct {
	return &sdk.Struct{Schema: pointSchema, Values: []any{x, y, wkb(1, []float64{x, y}), nil}}
}

func geometryOf(shape uint32, coordinates []float64, ext map[string]any) *sdk.Struct {
	return &sdk.Struct{Schema: geometrySchema, Values: []any{wkb(shape, coordinates), nil, ext}}
}

func geometric(oid uint32) kind {
	// with gives the kind of values that have so many numbers; 0: any even count.
	with := func(schema *sdk.Schema, count int, zero any, make func(text []byte, f []float64) any) kind {
		return kind{schema: schema, zero: zero, read: func(_ *slab, b []byte) (any, error) {
			f, err := floats(b)
			if err == nil && (count > 0 && len(f) != count || count == 0 && (len(f) == 0 || len(f)%2 != 0)) {
				err = wrong(b, "geometric value")
			}
			if err != nil {
				return nil, err
			}
			return make(b, f), nil
		}}
	}
	named := func(name string) map[string]any { return map[string]any{"type": name} }
	switch oid {
	case oidPoint:
		return with(pointSchema, 2, pointOf(0, 0), func(_ []byte, f []float64) any { return pointOf(f[0], f[1]) })
	case oidCircle:
		return with(circleSchema, 3, &sdk.Struct{Schema: circleSchema, Values: []any{pointOf(0, 0), 0.0}}, func(_ []byte, f []float64) any {
			return &sdk.Struct{Schema: circleSchema, Values: []any{pointOf(f[0], f[1]), f[2]}}
		})
	case oidLine:
		return with(lineSchema, 3, &sdk.Struct{Schema: lineSchema, Values: []any{0.0, 1.0, 0.0}}, func(_ []byte, f []float64) any {
			return &sdk.Struct{Schema: lineSchema, Values: []any{f[0], f[1], f[2]}}
		})
	case oidBox:
		return with(geometrySchema, 4, geometryOf(3, []float64{0, 0, 0, 1, 1, 1, 1, 0, 0, 0}, named("box")), func(_ []byte, f []float64) any {
			return geometryOf(3, []float64{f[0], f[1], f[0], f[3], f[2], f[3], f[2], f[1], f[0], f[1]}, named("box"))
		})
	case oidLseg:
		return with(geometrySchema, 4, geometryOf(2, []float64{0, 0, 1, 0}, named("lseg")), func(_ []byte, f []float64) any { return geometryOf(2, f, named("lseg")) })
	case oidPath:
		return with(geometrySchema, 0, geometryOf(2, []float64{0, 0, 1, 0}, named("path")), func(text []byte, f []float64) any {
			return geometryOf(2, f, map[string]any{"type": "path", "closed": strconv.FormatBool(bytes.HasPrefix(text, []byte("(")))})
		})
	}
	return with(geometrySchema, 0, geometryOf(3, []float64{0, 0, 1, 0, 0, 1, 0, 0}, named("polygon")), func(_ []byte, f []float64) any {
		return geometryOf(3, append(f, f[0], f[1]), named("polygon"))
	})
}

// postgis reads PostGIS's types, which come as well-known binary in hexadecimal digits, with the reference system in it.
func postgis(name string) kind {
	schema := geometrySchema
	if name == "geography" {
		schema = geographySchema
	}
	return kind{schema: schema, zero: &sdk.Struct{Schema: schema, Values: []any{[]byte{1, 7, 0, 0, 0, 0, 0, 0, 0}, nil, nil}}, read: func(_ *slab, b []byte) (any, error) {
		raw := make([]byte, hex.DecodedLen(len(b)))
		if _, err := hex.Decode(raw, b); err != nil || len(raw) < 5 {
			return nil, wrong(b, name)
		}
		var order binary.ByteOrder = binary.BigEndian
		if raw[0] == 1 {
			order = binary.LittleEndian
		}
		var srid any
		if order.Uint32(raw[1:])&0x2000_0000 != 0 && len(raw) >= 9 {
			srid = int32(order.Uint32(raw[5:]))
		}
		return &sdk.Struct{Schema: schema, Values: []any{raw, srid, nil}}, nil
	}}
}

// vector reads pgvector's types.
func vector(elem *sdk.Schema, name string, bits int) kind {
	schema := sdk.NewArray(elem)
	schema.Name, schema.Version = name, 1
	return kind{schema: schema, zero: []any{}, read: func(_ *slab, b []byte) (any, error) {
		f, err := floats(b)
		out := make([]any, len(f))
		for i, v := range f {
			if bits == 32 {
				out[i] = float32(v)
			} else {
				out[i] = v
			}
		}
		return out, err
	}}
}
