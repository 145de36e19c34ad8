package convert

import (
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/weir/weir/connect/sdk"
)

// TestJSON: values of each type are written, and read back as they were.
func TestJSON(t *testing.T) {
	inner := sdk.NewStructure("inner", sdk.Field{Name: "x", Schema: sdk.OptionalStringSchema})
	for _, test := range []struct {
		schema *sdk.Schema
		value  any
		want   string
	}{
		{nil, map[string]any{"a": []any{int64(1), 2.5, true, nil, "x"}}, `{"a":[1,2.5,true,null,"x"]}`},
		{&sdk.Schema{Type: sdk.Int8}, int8(-128), "-128"},
		{&sdk.Schema{Type: sdk.Int16}, int16(32767), "32767"},
		{sdk.Int32Schema, int32(5), "5"},
		{sdk.Int64Schema, int64(-9223372036854775808), "-9223372036854775808"},
		{&sdk.Schema{Type: sdk.Float32}, float32(1.5), "1.5"},
		{sdk.Float64Schema, 1e300, "1.0E300"},
		{sdk.BooleanSchema, false, "false"},
		{sdk.StringSchema, "a\"b", `"a\"b"`},
		{sdk.BytesSchema, []byte{1, 2}, `"AQI="`},
		{sdk.NewDecimal(2), sdk.Decimal{Unscaled: 1250, Scale: 2}, `"BOI="`},
		{&sdk.Schema{Type: sdk.Int64, Name: sdk.LogicalTimestamp}, time.UnixMilli(77).UTC(), "77"},
		{sdk.NewArray(inner), []any{&sdk.Struct{Schema: inner, Values: []any{nil}}}, `[{"x":null}]`},
		{sdk.NewMap(sdk.StringSchema, sdk.Int64Schema), map[string]any{"a": int64(1)}, `{"a":1}`},
		{sdk.NewMap(sdk.Int32Schema, sdk.Int64Schema), []sdk.Entry{{Key: int32(1), Value: int64(2)}}, `[[1,2]]`},
	} {
		j := NewJSON()
		b, err := j.AppendValue([]byte("x"), test.schema, test.value)
		if err != nil || string(b) != "x"+test.want {
			t.Errorf("%s %v, want %s", b, err, test.want)
			continue
		}
		schema := test.schema
		if schema != nil {
			text, err := j.AppendSchema(nil, schema)
			if err != nil {
				t.Fatal(err)
			}
			if schema, err = j.ParseSchema(text); err != nil || !schema.Equal(test.schema) {
				t.Errorf("%s: %v", text, err)
			}
		}
		j.Reset(b[1:])
		got, text, err := j.RawValue(schema)
		if diff := cmp.Diff(test.value, got); err != nil || diff != "" || string(text) != test.want || j.End() != nil {
			t.Errorf("%s: %v %s", test.want, err, diff)
		}
	}
}

// TestJSONRefuses: what the converter takes as zero or not at all is refused.
func TestJSONRefuses(t *testing.T) {
	for _, test := range []struct{ schema, text, want string }{
		{`{"type":"int8"}`, "128", "a NUMBER that is no INT8 of the schema"},
		{`{"type":"int64"}`, "9223372036854775808", "no INT64"},
		{`{"type":"int32"}`, "1.0", "no INT32"},
		{`{"type":"int32"}`, `"1"`, "a STRING that is no INT32"},
		{`{"type":"int32"}`, "null", "null"},
		{`{"type":"double"}`, `"1"`, "no FLOAT64"},
		{`{"type":"boolean"}`, "1", "no BOOLEAN"},
		{`{"type":"string"}`, "1", "no STRING"},
		{`{"type":"bytes"}`, "[1]", "a ARRAY that is no BYTES"},
		{`{"type":"bytes"}`, `"!"`, "Invalid bytes"},
		{`{"type":"array","items":{"type":"int8"}}`, "{}", "a OBJECT that is no ARRAY"},
		{`{"type":"map","keys":{"type":"string"},"values":{"type":"int8"}}`, "[]", "found ARRAY"},
		{`{"type":"struct","fields":[{"field":"a","type":"int8"}]}`, `{"a":1,"b":2}`, `a field "b" that the schema does not have`},
		{`{"type":"struct","fields":[{"field":"a","type":"int8"}]}`, `{}`, "null"},
		{`{"type":"struct","fields":[{"field":"a","type":"int8","default":3}]}`, `{}`, "null"},
		{"", "9223372036854775808", "a whole number that does not fit in 64 bits"},
		{"", "1 2", "something after the end"},
		{"", "", "no JSON"},
	} {
		j := NewJSON()
		var s *sdk.Schema
		var err error
		if test.schema != "" {
			if s, err = j.ParseSchema([]byte(test.schema)); err != nil {
				t.Fatal(err)
			}
		}
		j.Reset([]byte(test.text))
		if _, err = j.Value(s); err == nil {
			err = j.End()
		}
		if err == nil || !strings.Contains(err.Error(), test.want) {
			t.Errorf("%s as %s: %v, want %s", test.text, test.schema, err, test.want)
		}
	}
}
