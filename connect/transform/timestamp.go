package transform

import (
	"errors"
	"fmt"
	"math"
	"strings"
	"time"

	"github.com/weir/weir/connect/sdk"
	"github.com/weir/weir/connect/values"
)

var timestampOptions = []sdk.Option{
	{Name: "field", Kind: sdk.StringOption, Importance: sdk.High, Doc: "The field containing the timestamp, or empty if the entire value is a timestamp"},
	{Name: "target.type", Kind: sdk.StringOption, Required: true, Importance: sdk.High, Check: oneOf("target.type", "string", "unix", "Date", "Time", "Timestamp"),
		Doc: "The desired timestamp representation: string, unix, Date, Time, or Timestamp"},
	{Name: "format", Kind: sdk.StringOption, Importance: sdk.Medium,
		Doc: "A SimpleDateFormat-compatible format for the timestamp. Used to generate the output when type=string or used to parse the input if the input is a string."},
	{Name: "unix.precision", Kind: sdk.StringOption, Default: "milliseconds", Importance: sdk.Low, Check: oneOf("unix.precision", "nanoseconds", "microseconds", "milliseconds", "seconds"),
		Doc: "The desired Unix precision for the timestamp: seconds, milliseconds, microseconds, or nanoseconds. Used to generate the output when type=unix or used to parse the input if the input is a Long." +
			"Note: This SMT will cause precision loss during conversions from, and to, values with sub-millisecond components."},
	replaceNull,
}

var (
	dateSchema      = &sdk.Schema{Type: sdk.Int32, Name: sdk.LogicalDate, Version: 1}
	timeSchema      = &sdk.Schema{Type: sdk.Int32, Name: sdk.LogicalTime, Version: 1}
	timestampSchema = &sdk.Schema{Type: sdk.Int64, Name: sdk.LogicalTimestamp, Version: 1}
)

// timestamp writes times in another form.
type timestamp struct {
	on        side
	field     string
	target    string
	format    *values.DateFormat
	pattern   string
	precision time.Duration // of a Unix time
	defaults  bool
	schemas   cache
	optional  *sdk.Schema // of the target
	required  *sdk.Schema
}

func newTimestamp(c config, on side) (any, error) {
	t := &timestamp{on: on, field: c.String("field"), target: c.String("target.type"), pattern: c.String("format"), defaults: c.Bool("replace.null.with.default"), schemas: cache{}}
	t.precision = map[string]time.Duration{"nanoseconds": 1, "microseconds": time.Microsecond, "milliseconds": time.Millisecond, "seconds": time.Second}[c.String("unix.precision")]
	t.required = map[string]*sdk.Schema{"string": sdk.StringSchema, "unix": sdk.Int64Schema, "Date": dateSchema, "Time": timeSchema, "Timestamp": timestampSchema}[t.target]
	t.optional = t.required.AsOptional()
	blank := strings.TrimSpace(t.pattern) == ""
	if t.target == "string" && blank {
		return nil, errors.New("TimestampConverter requires format option to be specified when using string timestamps")
	}
	if !blank {
		f, err := values.NewDateFormat(t.pattern)
		if err != nil {
			return nil, fmt.Errorf("TimestampConverter requires a SimpleDateFormat-compatible pattern for string timestamps: %s", t.pattern)
		}
		t.format = f
	}
	return t, nil
}

func (t *timestamp) schemaLike(s *sdk.Schema) *sdk.Schema {
	if s.Optional {
		return t.optional
	}
	return t.required
}

func (t *timestamp) apply(r *sdk.Record) (bool, error) {
	schema, v := t.on.get(r)
	if schema == nil {
		return true, t.free(r, v)
	}
	if t.field == "" {
		kind, err := kindOf(schema)
		if err != nil {
			return false, err
		}
		out, err := t.convert(v, kind)
		t.on.set(r, t.schemaLike(schema), out)
		return true, err
	}
	s, err := structOrNil(v, "converting timestamp formats")
	if err != nil {
		return false, err
	}
	updated, err := t.schemas.get(schema, func() (*sdk.Schema, error) { return t.schema(schema) })
	if err != nil {
		return false, err
	}
	if s == nil {
		t.on.set(r, updated, nil)
		return true, nil
	}
	out, err := t.structure(s, updated)
	t.on.set(r, updated, out)
	return true, err
}

func (t *timestamp) schema(from *sdk.Schema) (*sdk.Schema, error) {
	fields := make([]sdk.Field, len(from.Fields))
	for i, f := range from.Fields {
		fields[i] = f
		if f.Name == t.field {
			fields[i].Schema = t.schemaLike(f.Schema)
		}
	}
	s := basics(from, fields)
	s.Optional = from.Optional
	if d, ok := from.Default.(*sdk.Struct); ok {
		preset, err := t.structure(d, s)
		if err != nil {
			return nil, err
		}
		s.Default = preset
	}
	return s, nil
}

func (t *timestamp) structure(s *sdk.Struct, updated *sdk.Schema) (*sdk.Struct, error) {
	out := sdk.NewStruct(updated)
	for i, f := range s.Schema.Fields {
		v := fieldValue(s, i, t.defaults)
		if f.Name == t.field {
			kind, err := kindOf(f.Schema)
			if err != nil {
				return nil, err
			}
			if v, err = t.convert(v, kind); err != nil {
				return nil, err
			}
		}
		out.Values[i] = v
	}
	return out, nil
}

func (t *timestamp) free(r *sdk.Record, v any) error {
	if v == nil || t.field == "" {
		out, err := t.convert(v, "")
		t.on.set(r, nil, out)
		return err
	}
	m, err := requireMap(v, "converting timestamp formats")
	if err != nil {
		return err
	}
	out := copied(m)
	out[t.field], err = t.convert(m[t.field], "")
	t.on.set(r, nil, out)
	return err
}

// kindOf tells how values of a schema say a time.
func kindOf(s *sdk.Schema) (string, error) {
	switch {
	case s.Name == sdk.LogicalTimestamp || s.Name == sdk.LogicalDate || s.Name == sdk.LogicalTime:
		return simple(s.Name), nil
	case s.Type == sdk.String:
		return "string", nil
	case s.Type == sdk.Int64:
		return "unix", nil
	}
	return "", fmt.Errorf("Schema Schema{%s} does not correspond to a known timestamp type format", schemaText(s))
}

func schemaText(s *sdk.Schema) string {
	if s.Name != "" {
		return s.Name + ":" + values.JavaType(s.Type)
	}
	return values.JavaType(s.Type)
}

func (t *timestamp) convert(v any, kind string) (any, error) {
	if v == nil {
		return nil, nil
	}
	if kind == "" {
		switch v.(type) {
		case time.Time:
			kind = "Timestamp"
		case int64:
			kind = "unix"
		case string:
			kind = "string"
		default:
			return nil, fmt.Errorf("TimestampConverter does not support %s objects as timestamps", values.Class(v))
		}
	}
	at, err := t.read(v, kind)
	if err != nil {
		return nil, err
	}
	return t.write(at), nil
}

func (t *timestamp) read(v any, kind string) (time.Time, error) {
	switch kind {
	case "string":
		s, ok := v.(string)
		if !ok {
			return time.Time{}, fmt.Errorf("Expected string timestamp to be a String, but found %s", values.Class(v))
		}
		if t.format == nil {
			return time.Time{}, errors.New("A timestamp is a string, but there is no format to read it; set the option format")
		}
		at, err := t.format.Parse(s)
		if err != nil {
			return at, fmt.Errorf("Could not parse timestamp: value (%s) does not match pattern (%s)", s, t.pattern)
		}
		return at, nil
	case "unix":
		n, ok := v.(int64)
		if !ok {
			return time.Time{}, fmt.Errorf("Expected Unix timestamp to be a Long, but found %s", values.Class(v))
		}
		return time.UnixMilli(t.milliseconds(n)).UTC(), nil
	}
	at, ok := v.(time.Time)
	if !ok {
		return at, fmt.Errorf("Expected %s to be a java.util.Date, but found %s", kind, values.Class(v))
	}
	return at, nil
}

// milliseconds of a Unix time, as Java's TimeUnit: towards zero, and within the bounds.
func (t *timestamp) milliseconds(n int64) int64 {
	if t.precision <= time.Millisecond {
		return n / int64(time.Millisecond/t.precision)
	}
	return saturated(n, int64(t.precision/time.Millisecond))
}

func saturated(n, by int64) int64 {
	switch {
	case n > math.MaxInt64/by:
		return math.MaxInt64
	case n < math.MinInt64/by:
		return math.MinInt64
	}
	return n * by
}

func (t *timestamp) write(at time.Time) any {
	ms := at.UnixMilli()
	const day = 24 * 60 * 60 * 1000
	switch t.target {
	case "string":
		return t.format.Format(at)
	case "unix":
		if t.precision >= time.Millisecond {
			return ms / int64(t.precision/time.Millisecond)
		}
		return saturated(ms, int64(time.Millisecond/t.precision))
	case "Date":
		return time.UnixMilli(ms - (ms%day+day)%day).UTC()
	case "Time":
		return time.UnixMilli((ms%day + day) % day).UTC()
	}
	return at
}
