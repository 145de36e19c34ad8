package transform

import (
	"errors"
	"fmt"
	"math"
	"strconv"
	"strings"
	"time"

	"github.com/weir/weir/connect/sdk"
	"github.com/weir/weir/connect/values"
)

var castOptions = []sdk.Option{
	{Name: "spec", Kind: sdk.ListOption, Required: true, Importance: sdk.High,
		Check: func(_ sdk.Values, v any) error { _, _, err := parseCasts(v.([]string)); return err },
		Doc: "List of fields and the type to cast them to of the form field1:type,field2:type to cast fields of Maps or Structs. " +
			"A single type to cast the entire value. Valid types are int8, int16, int32, int64, float32, float64, boolean, and string. " +
			"Note that binary fields can only be cast to string."},
	replaceNull,
}

// cast changes the type of fields, or of the whole.
type cast struct {
	on       side
	casts    map[string]sdk.Type
	whole    sdk.Type // Invalid: fields
	defaults bool
	schemas  cache
}

func newCast(c config, on side) (any, error) {
	casts, whole, err := parseCasts(c.List("spec"))
	return &cast{on, casts, whole, c.Bool("replace.null.with.default"), cache{}}, err
}

func parseCasts(spec []string) (map[string]sdk.Type, sdk.Type, error) {
	if len(spec) == 0 {
		return nil, 0, errors.New("Must specify at least one field to cast.")
	}
	casts, whole := map[string]sdk.Type{}, sdk.Invalid
	for _, mapping := range spec {
		parts := split(mapping, ":")
		if len(parts) > 2 {
			return nil, 0, invalid("renames", spec, "Invalid rename mapping: "+mapping)
		}
		t, err := castType(strings.TrimSpace(parts[len(parts)-1]))
		switch {
		case err != nil:
			return nil, 0, err
		case len(parts) == 1:
			whole = t
		default:
			casts[strings.TrimSpace(parts[0])] = t
		}
	}
	if whole != sdk.Invalid && len(spec) > 1 {
		return nil, 0, errors.New("Cast transformations that specify a type to cast the entire value to may only specify a single cast in their spec")
	}
	return casts, whole, nil
}

func castType(name string) (sdk.Type, error) {
	for t := sdk.Int8; t <= sdk.Structure; t++ {
		if !strings.EqualFold(name, t.String()) {
			continue
		}
		if t > sdk.String {
			return 0, fmt.Errorf("Cast transformation does not support casting to %s; supported types are [INT8, INT16, INT32, INT64, FLOAT32, FLOAT64, BOOLEAN, STRING]", values.JavaType(t))
		}
		return t, nil
	}
	return 0, fmt.Errorf("Invalid type found in casting spec: %s", name)
}

func (t *cast) apply(r *sdk.Record) (bool, error) {
	schema, v := t.on.get(r)
	if v == nil {
		return true, nil
	}
	if schema == nil {
		return true, t.free(r, v)
	}
	updated, err := t.schemas.get(schema, func() (*sdk.Schema, error) { return t.schema(schema) })
	if err != nil {
		return false, err
	}
	if t.whole != sdk.Invalid {
		out, err := castTo(schema, v, t.whole)
		t.on.set(r, updated, out)
		return true, err
	}
	s, err := requireStruct(v, "cast types")
	if err != nil {
		return false, err
	}
	out := sdk.NewStruct(updated)
	for i, f := range s.Schema.Fields {
		out.Values[i] = fieldValue(s, i, t.defaults)
		if to, ok := t.casts[f.Name]; ok {
			if out.Values[i], err = castTo(f.Schema, out.Values[i], to); err != nil {
				return false, err
			}
		}
	}
	t.on.set(r, updated, out)
	return true, nil
}

func (t *cast) free(r *sdk.Record, v any) error {
	if t.whole != sdk.Invalid {
		out, err := castTo(nil, v, t.whole)
		t.on.set(r, nil, out)
		return err
	}
	m, err := requireMap(v, "cast types")
	if err != nil {
		return err
	}
	out := copied(m)
	for name, to := range t.casts {
		if out[name], err = castTo(nil, m[name], to); err != nil {
			return err
		}
	}
	t.on.set(r, nil, out)
	return nil
}

func (t *cast) schema(from *sdk.Schema) (_ *sdk.Schema, err error) {
	var s *sdk.Schema
	if t.whole != sdk.Invalid {
		s = &sdk.Schema{Type: t.whole, Name: from.Name, Version: from.Version, Doc: from.Doc, Params: from.Params}
		s.Default, err = castTo(from, from.Default, t.whole)
	} else {
		fields := make([]sdk.Field, len(from.Fields))
		for i, f := range from.Fields {
			fields[i] = f
			to, ok := t.casts[f.Name]
			if !ok {
				continue
			}
			fields[i].Schema = &sdk.Schema{Type: to, Optional: f.Schema.Optional}
			if fields[i].Schema.Default, err = castTo(f.Schema, f.Schema.Default, to); err != nil {
				return nil, err
			}
		}
		s = basics(from, fields)
		s.Default, err = castTo(from, from.Default, sdk.Structure)
	}
	s.Optional = from.Optional
	return s, err
}

// castTo makes a value one of another type.
func castTo(schema *sdk.Schema, v any, to sdk.Type) (any, error) {
	if v == nil {
		return nil, nil
	}
	from := values.TypeOf(v)
	if schema != nil {
		from = schema.Type
	}
	switch {
	case from == sdk.Invalid:
		return nil, fmt.Errorf("Cast transformation was passed a value of type %s which is not supported by Connect's data API", values.Class(v))
	case from > sdk.Bytes:
		return nil, fmt.Errorf("Cast transformation does not support casting from %s; supported types are [INT8, INT16, INT32, INT64, FLOAT32, FLOAT64, BOOLEAN, STRING, BYTES]", values.JavaType(from))
	case to > sdk.String:
		return nil, fmt.Errorf("%s is not supported in the Cast transformation.", values.JavaType(to))
	case to == sdk.String:
		return castString(v)
	}
	if at, ok := v.(time.Time); ok && schema != nil && schema.Name != "" {
		n, err := values.ToLogical(schema.Name, at)
		if err != nil {
			return nil, err
		}
		if v = n; schema.Type == sdk.Int32 {
			v = int32(n)
		}
	}
	if out, ok := castNumber(v, to); ok {
		return out, nil
	}
	switch v := v.(type) {
	case bool:
		n := int64(0)
		if v {
			n = 1
		}
		out, _ := castNumber(n, to)
		return out, nil
	case string:
		out, err := castText(v, to)
		if err != nil {
			return nil, fmt.Errorf("Value (%s) was out of range for requested data type", v)
		}
		return out, nil
	}
	return nil, fmt.Errorf("Unexpected type in Cast transformation: %s", values.Class(v))
}

func castString(v any) (any, error) {
	switch v.(type) {
	case time.Time:
		return values.String(v)
	}
	return values.JavaString(v), nil
}

// castNumber casts numbers as Java does: floating point numbers to the nearest there is, whole ones to their lower bits.
func castNumber(v any, to sdk.Type) (any, bool) {
	n, ok := values.Long(v)
	if !ok {
		return nil, false
	}
	f, _ := values.Double(v)
	small := int32(n)
	switch v.(type) {
	case float32, float64:
		small = values.FloatToInt(f)
	}
	switch to {
	case sdk.Int8:
		return int8(small), true
	case sdk.Int16:
		return int16(small), true
	case sdk.Int32:
		return small, true
	case sdk.Int64:
		return n, true
	case sdk.Float32:
		switch v := v.(type) {
		case sdk.Decimal:
			return values.Float32(v), true
		case int64:
			return float32(v), true
		}
		return float32(f), true
	case sdk.Float64:
		return f, true
	}
	return n != 0, true
}

func castText(s string, to sdk.Type) (any, error) {
	switch to {
	case sdk.Boolean:
		return strings.EqualFold(s, "true"), nil
	case sdk.Float32, sdk.Float64:
		f, err := parseFloat(s, map[sdk.Type]int{sdk.Float32: 32, sdk.Float64: 64}[to])
		if to == sdk.Float32 {
			return float32(f), err
		}
		return f, err
	}
	bits := map[sdk.Type]int{sdk.Int8: 8, sdk.Int16: 16, sdk.Int32: 32, sdk.Int64: 64}[to]
	n, err := strconv.ParseInt(s, 10, bits)
	switch to {
	case sdk.Int8:
		return int8(n), err
	case sdk.Int16:
		return int16(n), err
	case sdk.Int32:
		return int32(n), err
	}
	return n, err
}

// parseFloat reads what Java's Double.parseDouble reads.
func parseFloat(s string, bits int) (float64, error) {
	s = strings.TrimFunc(s, func(c rune) bool { return c <= ' ' })
	switch strings.TrimLeft(s, "+-") {
	case "NaN":
		return math.NaN(), nil
	case "Infinity":
		return strconv.ParseFloat(s, bits)
	}
	if strings.ContainsAny(s, "_nN") || strings.ContainsAny(s, "iI") {
		return 0, strconv.ErrSyntax
	}
	if !strings.ContainsAny(s, "xX") {
		if n := len(s); n > 1 && strings.ContainsRune("fFdD", rune(s[n-1])) {
			s = s[:n-1]
		}
	}
	f, err := strconv.ParseFloat(s, bits)
	if errors.Is(err, strconv.ErrRange) {
		err = nil // infinite
	}
	return f, err
}
