package convert

import (
	"bufio"
	"bytes"
	"fmt"
	"math"
	"math/big"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/weir/weir/connect/sdk"
)

func newConverter(t testing.TB, class string, props map[string]string) Converter {
	t.Helper()
	c, err := New(class, props, false)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// TestDebeziumAgain: what a JsonConverter wrote in a real worker is read, and written again byte for byte, schema and all.
func TestDebeziumAgain(t *testing.T) {
	f, err := os.Open("testdata/debezium.txt")
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	c := newConverter(t, "JsonConverter", nil)
	bare := newConverter(t, "JsonConverter", map[string]string{"schemas.enable": "false"})
	lines := bufio.NewScanner(f)
	lines.Buffer(nil, 1<<20)
	schema, count := "", 0
	for lines.Scan() {
		line := lines.Text()
		if s, ok := strings.CutPrefix(line, "schema "); ok {
			schema = s
		}
		payload, ok := strings.CutPrefix(line, "payload ")
		if !ok {
			continue
		}
		count++
		whole := fmt.Sprintf(`{"schema":%s,"payload":%s}`, schema, payload)
		s, v, err := c.To("t", []byte(whole))
		if err != nil {
			t.Fatalf("%v in %s", err, whole)
		}
		again, err := c.From("t", s, v, nil)
		if err != nil || string(again) != whole {
			t.Errorf("is written as\n%s instead of\n%s, %v", again, whole, err)
		}
		if again, err = bare.From("t", s, v, []byte("x")); err != nil || string(again) != "x"+payload {
			t.Errorf("is written without schema as\n%s instead of\n%s, %v", again, payload, err)
		}
	}
	if count < 40 {
		t.Fatalf("only %d payloads", count)
	}
}

func optional(t sdk.Type) *sdk.Schema { return &sdk.Schema{Type: t, Optional: true} }

func logical(t sdk.Type, name string) *sdk.Schema {
	return &sdk.Schema{Type: t, Name: name, Version: 1}
}

func big10(n int64) *big.Int { return new(big.Int).Exp(big.NewInt(10), big.NewInt(n), nil) }

// TestJSONWritten has what JsonConverter 4.3.1 gives.
func TestJSONWritten(t *testing.T) {
	day := time.Date(2024, 2, 29, 0, 0, 0, 0, time.UTC)
	point := sdk.NewStructure("p", sdk.Field{Name: "x", Schema: &sdk.Schema{Type: sdk.Int32, Default: int32(7)}}, sdk.Field{Name: "ÿ\"", Schema: optional(sdk.String)})
	for _, tc := range []struct {
		name   string
		props  string
		schema *sdk.Schema
		value  any
		want   string // the payload; with schemas=true the message
	}{
		{"int8", "", &sdk.Schema{Type: sdk.Int8}, int8(-128), "-128"},
		{"int64", "", sdk.Int64Schema, int64(math.MinInt64), "-9223372036854775808"},
		{"float", "", &sdk.Schema{Type: sdk.Float32}, float32(0.1), "0.1"},
		{"float, widened", "", &sdk.Schema{Type: sdk.Float32}, float32(16777216), "1.6777216E7"},
		{"double, whole", "", sdk.Float64Schema, 100.0, "100.0"},
		{"double, large", "", sdk.Float64Schema, 1e7, "1.0E7"},
		{"double, below", "", sdk.Float64Schema, 9999999.0, "9999999.0"},
		{"double, small", "", sdk.Float64Schema, 0.00012, "1.2E-4"},
		{"double, smallest", "", sdk.Float64Schema, 5e-324, "4.9E-324"},
		{"double, negative zero", "", sdk.Float64Schema, math.Copysign(0, -1), "-0.0"},
		{"double, not a number", "", sdk.Float64Schema, math.NaN(), `"NaN"`},
		{"double, infinite", "", sdk.Float64Schema, math.Inf(-1), `"-Infinity"`},
		{"text", "", sdk.StringSchema, "é😀\"\\/\b\f\n\r\t\x01\x1f\x7f\u2028", "\"é\\uD83D\\uDE00\\\"\\\\/\\b\\f\\n\\r\\t\\u0001\\u001F\x7f\u2028\""},
		{"bytes", "", sdk.BytesSchema, []byte{0xff, 0xfe, 0}, `"//4A"`},
		{"no bytes", "", sdk.BytesSchema, []byte{}, `""`},
		{"null with a default", "", &sdk.Schema{Type: sdk.Int32, Optional: true, Default: int32(3)}, nil, "3"},
		{"null with a default, kept", "replace.null.with.default=false", &sdk.Schema{Type: sdk.Int32, Optional: true, Default: int32(3)}, nil, "null"},
		{"array", "", sdk.NewArray(optional(sdk.Int64)), []any{int64(1), nil}, "[1,null]"},
		{"map", "", sdk.NewMap(sdk.StringSchema, sdk.Int32Schema), map[string]any{"b": int32(2), "a": int32(1)}, `{"a":1,"b":2}`},
		{"map, as HashMap has it", "", sdk.NewMap(sdk.StringSchema, sdk.Int32Schema),
			map[string]any{"server": int32(1), "table": int32(2), "x": int32(3), "topic": int32(4), "é": int32(5), "😀": int32(6)},
			`{"server":1,"x":3,"\uD83D\uDE00":6,"topic":4,"é":5,"table":2}`},
		{"map by numbers", "", sdk.NewMap(sdk.Int32Schema, optional(sdk.String)), []sdk.Entry{{Key: int32(1), Value: "a"}, {Key: int32(2), Value: nil}}, `[[1,"a"],[2,null]]`},
		{"struct", "", point, &sdk.Struct{Schema: point, Values: []any{nil, "y"}}, `{"x":7,"ÿ\"":"y"}`},
		{"empty struct", "", sdk.NewStructure(""), sdk.NewStruct(sdk.NewStructure("")), `{}`},
		{"decimal", "", sdk.NewDecimal(2), sdk.Decimal{Unscaled: -1234, Scale: 2}, `"+y4="`},
		{"decimal, plain", "decimal.format=numeric", sdk.NewDecimal(2), sdk.Decimal{Unscaled: -1234, Scale: 2}, `-12.34`},
		{"decimal, zeros kept", "decimal.format=NUMERIC", sdk.NewDecimal(3), sdk.Decimal{Unscaled: 1200, Scale: 3}, `1.200`},
		{"decimal, tiny", "decimal.format=NUMERIC", sdk.NewDecimal(9), sdk.Decimal{Unscaled: 12, Scale: 9}, `1.2E-8`},
		{"decimal, zero", "decimal.format=NUMERIC", sdk.NewDecimal(7), sdk.Decimal{Scale: 7}, `0E-7`},
		{"decimal, negative scale", "decimal.format=NUMERIC", sdk.NewDecimal(-3), sdk.Decimal{Unscaled: 12, Scale: -3}, `1.2E+4`},
		{"decimal, big", "decimal.format=NUMERIC", sdk.NewDecimal(0), sdk.Decimal{Big: big10(30)}, "1" + strings.Repeat("0", 30)},
		{"date", "", logical(sdk.Int32, sdk.LogicalDate), day, "19782"},
		{"date before 1970", "", logical(sdk.Int32, sdk.LogicalDate), time.Date(1969, 12, 31, 0, 0, 0, 0, time.UTC), "-1"},
		{"time", "", logical(sdk.Int32, sdk.LogicalTime), time.UnixMilli(86399999), "86399999"},
		{"timestamp", "", logical(sdk.Int64, sdk.LogicalTimestamp), day.Add(time.Millisecond), "1709164800001"},
		{"no schema", "", nil, map[string]any{"a": []any{int64(1), 2.5, nil, true, "x"}}, `{"a":[1,2.5,null,true,"x"]}`},
		{"no schema, by numbers", "", nil, []sdk.Entry{{Key: int64(1), Value: "x"}}, `[[1,"x"]]`},
		{"no schema, with envelope", "schemas.enable=true", nil, "x", `{"schema":null,"payload":"x"}`},
		{"null with a schema", "schemas.enable=true", sdk.OptionalStringSchema, nil, `{"schema":{"type":"string","optional":true},"payload":null}`},
		{"all of a schema", "schemas.enable=true",
			&sdk.Schema{Type: sdk.Float64, Optional: true, Name: "n", Version: 3, Doc: "d", Params: []sdk.Param{{Name: "z", Value: "1"}, {Name: "a", Value: "2"}}, Default: 1.0}, 2.5,
			`{"schema":{"type":"double","optional":true,"name":"n","version":3,"doc":"d","parameters":{"z":"1","a":"2"},"default":1.0},"payload":2.5}`},
		{"default of a logical type", "schemas.enable=true",
			&sdk.Schema{Type: sdk.Int32, Name: sdk.LogicalDate, Version: 1, Default: day}, day,
			`{"schema":{"type":"int32","optional":false,"name":"org.apache.kafka.connect.data.Date","version":1,"default":19782},"payload":19782}`},
		{"map's schema", "schemas.enable=true", sdk.NewMap(sdk.StringSchema, &sdk.Schema{Type: sdk.Float32}), map[string]any{},
			`{"schema":{"type":"map","keys":{"type":"string","optional":false},"values":{"type":"float","optional":false},"optional":false},"payload":{}}`},
	} {
		t.Run(tc.name, func(t *testing.T) {
			props := map[string]string{"schemas.enable": "false"}
			if k, v, ok := strings.Cut(tc.props, "="); ok {
				props[k] = v
			}
			got, err := newConverter(t, "org.apache.kafka.connect.json.JsonConverter", props).From("t", tc.schema, tc.value, nil)
			if err != nil || string(got) != tc.want {
				t.Errorf("is written as %s, %v; want %s", got, err, tc.want)
			}
		})
	}
}

// TestJSONRefused has the words in which JsonConverter refuses.
func TestJSONRefused(t *testing.T) {
	number := sdk.NewStructure("", sdk.Field{Name: "a", Schema: sdk.Int32Schema})
	other := sdk.NewStructure("", sdk.Field{Name: "b", Schema: sdk.Int32Schema})
	for _, tc := range []struct {
		schema *sdk.Schema
		value  any
		want   string
	}{
		{sdk.Int32Schema, "x", "Invalid type for INT32: class java.lang.String"},
		{sdk.Int32Schema, int64(1), "Invalid type for INT32: class java.lang.Long"},
		{sdk.Int32Schema, nil, "Conversion error: null value for field that is required and has no default value"},
		{number, &sdk.Struct{Schema: other, Values: []any{int32(1)}}, "Mismatching schema."},
		{number, &sdk.Struct{Schema: number, Values: []any{nil}}, "Conversion error: null value for field that is required and has no default value"},
		{sdk.NewDecimal(2), sdk.Decimal{Unscaled: 1, Scale: 3}, "Decimal value has mismatching scale for given Decimal schema. Schema has scale 2, value has scale 3."},
		{sdk.NewDecimal(2), 1.5, "Invalid type for Decimal, expected BigDecimal but was class java.lang.Double"},
		{logical(sdk.Int32, sdk.LogicalDate), time.UnixMilli(1), "Kafka Connect Date type should not have any time fields set to non-zero values."},
		{logical(sdk.Int32, sdk.LogicalTime), time.UnixMilli(-1), "Kafka Connect Time type should not have any date fields set to non-zero values."},
		{nil, time.UnixMilli(1), "Java class class java.util.Date does not have corresponding schema type."},
	} {
		dst := []byte("kept")
		if got, err := newConverter(t, "JsonConverter", nil).From("t", tc.schema, tc.value, dst); err == nil || err.Error() != tc.want || string(dst) != "kept" {
			t.Errorf("%v as %v is written as %s, %v; want the error %s", tc.value, tc.schema, got, err, tc.want)
		}
	}
}

// TestJSONRead has what JsonConverter 4.3.1 makes of messages, odd ones too, as it writes them again.
func TestJSONRead(t *testing.T) {
	with := func(schema, payload string) string { return `{"schema":` + schema + `,"payload":` + payload + `}` }
	const needs = `JsonConverter with schemas.enable requires "schema" and "payload" fields and may not contain additional fields.` +
		` If you are trying to deserialize plain JSON data, set schemas.enable=false in your converter configuration.`
	for _, tc := range []struct{ text, payload, err string }{
		{text: with(`{"type":"int32"}`, `12`), payload: "12"},
		{text: with(`{"type":"int32"}`, `4294967297`), payload: "1"},
		{text: with(`{"type":"int8"}`, `300`), payload: "44"},
		{text: with(`{"type":"int32"}`, `"12"`), payload: "0"},
		{text: with(`{"type":"int32"}`, `1.9`), payload: "1"},
		{text: with(`{"type":"int64"}`, `1e3`), payload: "1000"},
		{text: with(`{"type":"int64"}`, `007`), payload: "7"},
		{text: with(`{"type":"int32","optional":true,"default":5}`, `null`), payload: "5"},
		{text: with(`{"type":"string","optional":true}`, `5`), payload: "null"},
		{text: with(`{"type":"double"}`, `5`), payload: "5.0"},
		{text: with(`{"type":"double"}`, `1e999`), payload: `"Infinity"`},
		{text: with(`{"type":"double"}`, `"NaN"`), payload: `"NaN"`},
		{text: with(`{"type":"boolean"}`, `"true"`), payload: "false"},
		{text: with(`{"type":"bytes"}`, `"AQID BAUG\n"`), payload: `"AQIDBAUG"`},
		{text: with(`{"type":"bytes"}`, `"AQ ID"`), err: "Invalid bytes field"},
		{text: with(`{"type":"bytes"}`, `"AQI"`), err: "Invalid bytes field"},
		{text: with(`{"type":"int64"}`, `123456789012345678901234567890`), payload: "-4362896299872285998"},
		{text: with(`{"type":"array","items":{"type":"int32"}}`, `{"a":5}`), payload: "[5]"},
		{text: with(`{"type":"struct","fields":[{"type":"int32","field":"a"},{"type":"int32","field":"a"}]}`, `{}`), err: "Cannot create field because of field name duplication a"},
		{text: with(`{"type":"array","items":null}`, `[]`), err: "Array schema did not specify the element type"},
		{text: with(`{"type":"bytes","name":"org.apache.kafka.connect.data.Decimal","version":1,"parameters":{"scale":"2"}}`, `""`), err: "Invalid bytes for Decimal field"},
		{text: with(`{"type":"bytes","name":"org.apache.kafka.connect.data.Decimal","version":1,"parameters":{"scale":"2"}}`, `true`), err: "Invalid type for Decimal, underlying representation should be numeric or bytes but was BOOLEAN"},
		{text: with(`{"type":"string"}`, `"\u0041\ud83d\ude00\/"`), payload: `"A\uD83D\uDE00/"`},
		{text: with(`{"type":"struct","fields":[{"type":"int32","optional":true,"field":"a"},{"type":"int32","default":3,"field":"b"}]}`, `{"x":{"y":[1]},"b":null}`), payload: `{"a":null,"b":3}`},
		{text: with(`{"type":"map","keys":{"type":"int32"},"values":{"type":"string"}}`, `[[1,"a"]]`), payload: `[[1,"a"]]`},
		{text: with(`{"type":"bytes","name":"org.apache.kafka.connect.data.Decimal","version":1,"parameters":{"scale":"2"}}`, `1.25`), payload: `"fQ=="`},
		{text: with(`null`, `{"a":1}`), payload: `{"a":1}`},
		{text: ` { "payload" : 1 , "schema" : { "type" : "int32" } } `, payload: "1"},
		{text: with(`{"type":"int32"}`, `1`) + ` trailing`, payload: "1"},
		{text: with(`{"type":"int32"}`, `null`), err: "Invalid null value for required INT32 field"},
		{text: with(`{"type":"string"}`, `5`), err: ""},
		{text: with(`{"type":"struct","fields":[{"type":"string","field":"a"}]}`, `{"a":5}`), err: `Invalid value: null used for required field: "a", schema type: STRING`},
		{text: with(`{"type":"struct","fields":[]}`, `[]`), err: "Structs should be encoded as JSON objects, but found ARRAY"},
		{text: with(`{"type":"map","keys":{"type":"string"},"values":{"type":"string"}}`, `[]`), err: "Maps with string fields should be encoded as JSON objects, but found ARRAY"},
		{text: with(`{"type":"int32","name":"org.apache.kafka.connect.data.Date"}`, `"x"`), err: "Invalid type for Date, underlying representation should be integer but was STRING"},
		{text: with(`{"type":"int33"}`, `1`), err: "Unknown schema type: int33"},
		{text: with(`{}`, `1`), err: "Schema must contain 'type' field"},
		{text: with(`{"type":"struct"}`, `1`), err: `Struct schema's "fields" argument is not an array.`},
		{text: `{"a":1}`, err: needs},
		{text: `[]`, err: needs},
		{text: ``, err: needs},
		{text: `{"schema":null,"payload":1,"x":2}`, err: needs},
		{text: `{"schema":`, err: "Converting byte[] to Kafka Connect data failed due to serialization error: no JSON at byte 10"},
	} {
		c := newConverter(t, "JsonConverter", nil)
		bare := newConverter(t, "JsonConverter", map[string]string{"schemas.enable": "false"})
		for range 2 { // the second time the schema is known
			s, v, err := c.To("t", []byte(tc.text))
			if tc.err != "" {
				if err == nil || err.Error() != tc.err {
					t.Errorf("%s is read as %v, %v; want the error %s", tc.text, v, err, tc.err)
				}
				continue
			}
			if err != nil {
				t.Errorf("%s: %v", tc.text, err)
				continue
			}
			if tc.payload == "" {
				continue // null where none may be: only From refuses it
			}
			if got, err := bare.From("t", s, v, nil); err != nil || string(got) != tc.payload {
				t.Errorf("%s is read as %s, %v; want %s", tc.text, got, err, tc.payload)
			}
		}
	}
}

// TestJSONSchemas: schemas are the same for the same text, however many there are, and schema.content stands for all.
func TestJSONSchemas(t *testing.T) {
	c := newConverter(t, "JsonConverter", map[string]string{"schemas.cache.size": "2"})
	message := func(name string) []byte {
		return []byte(`{"schema":{"type":"int32","name":"` + name + `"},"payload":1}`)
	}
	a, _, _ := c.To("t", message("a"))
	if again, _, _ := c.To("t", message("a")); again != a {
		t.Error("the same schema is read again")
	}
	for i := range 10 {
		s, _, err := c.To("t", message(fmt.Sprint(i)))
		if err != nil || s.Name != fmt.Sprint(i) {
			t.Fatal(s, err)
		}
		if _, err := c.From("t", s, int32(1), nil); err != nil {
			t.Fatal(err)
		}
	}
	j := c.(*jsonConverter)
	if len(j.known) > 2 || len(j.plans) > 2 {
		t.Errorf("%d and %d schemas are kept", len(j.known), len(j.plans))
	}
	fixed := newConverter(t, "JsonConverter", map[string]string{"schema.content": `{"type":"struct","fields":[{"type":"int64","field":"a"}]}`})
	s, v, err := fixed.To("t", []byte(`{"a":5}`))
	if err != nil || s.Type != sdk.Structure || v.(*sdk.Struct).Get("a") != int64(5) {
		t.Errorf("with schema.content: %v, %v, %v", s, v, err)
	}
	if _, err := New("JsonConverter", map[string]string{"schema.content": "{"}, false); err == nil {
		t.Error("a schema.content that is none is taken")
	}
}

// FuzzJSON: no message panics, and what is read and written is read and written the same again.
// TestJSONAgain: a message after another one with the same schema is read as it is by itself, whatever follows its schema.
func TestJSONAgain(t *testing.T) {
	const schema = `{"schema":{"type":"struct","optional":true,"fields":[{"field":"a","type":"int32","optional":true},{"field":"b","type":"string","optional":true}]}`
	for _, rest := range []string{
		`,"payload":{"a":1,"b":"x"}}`, `,"payload":null}`, `,"payload": {"a":1} }`, `,"payload":{"a":1}} trailing`, `,"payload":{"a":1},"payload":{"a":2}}`,
		`,"payload":{"a":1},"more":2}`, `,"payload":{"a":"x"}}`, `,"payload":{"a":1,"b":2}}`, `,"payload":{"a":1,"c":[}}`, `,"payload":{"a":1}`, `,"payload":}`,
		`,"payload":{"b":"\u00e9\n"}}`, `}`, `,"payload":7}`, `,"payload":{"a":1}]`, `,"payload":{"a":01}}`, `,"payload":{"a":1.0}}`, `,"payload":{"a":1,"a":2}}`,
	} {
		fresh, used := newConverter(t, "JsonConverter", nil), newConverter(t, "JsonConverter", nil)
		if _, _, err := used.To("t", []byte(schema+`,"payload":null}`)); err != nil {
			t.Fatal(err)
		}
		wantSchema, want, wantErr := fresh.To("t", []byte(schema+rest))
		gotSchema, got, gotErr := used.To("t", []byte(schema+rest))
		same := wantSchema.Equal(gotSchema) && fmt.Sprint(wantErr) == fmt.Sprint(gotErr)
		a, isStruct := want.(*sdk.Struct)
		if b, ok := got.(*sdk.Struct); isStruct && ok {
			same = same && a.Equal(b)
		} else {
			same = same && want == got
		}
		if !same {
			t.Errorf("%s: got %v, %v, want %v, %v", rest, got, gotErr, want, wantErr)
		}
	}
}

func FuzzJSON(f *testing.F) {
	b, err := os.ReadFile("testdata/debezium.txt")
	if err != nil {
		f.Fatal(err)
	}
	schema := ""
	for _, line := range strings.Split(string(b), "\n") {
		if s, ok := strings.CutPrefix(line, "schema "); ok {
			schema = s
		} else if p, ok := strings.CutPrefix(line, "payload "); ok && len(schema) < 1000 {
			f.Add([]byte(`{"schema":` + schema + `,"payload":` + p + `}`))
		}
	}
	f.Add([]byte(`{"schema":{"type":"array","items":{"type":"map","keys":{"type":"int8"},"values":{"type":"float","optional":true}}},"payload":[[[1,2.5e3]]]}`))
	f.Fuzz(func(t *testing.T, b []byte) {
		for _, schemas := range []string{"true", "false"} {
			c := newConverter(t, "JsonConverter", map[string]string{"schemas.enable": schemas})
			s, v, err := c.To("t", b)
			if err != nil {
				continue
			}
			once, err := c.From("t", s, v, nil)
			if err != nil || once == nil {
				continue
			}
			s, v, err = c.To("t", once)
			if err != nil {
				t.Fatalf("%s is written as %s, which is not read: %v", b, once, err)
			}
			if twice, err := c.From("t", s, v, nil); err != nil || !bytes.Equal(once, twice) {
				t.Fatalf("%s is written as %s, then as %s, %v", b, once, twice, err)
			}
		}
	})
}

// TestOptionalStructure: a value whose own schema does not say that it may be missing fits a field that may be.
func TestOptionalStructure(t *testing.T) {
	inner := sdk.NewStructure("org.example.Scaled", sdk.Field{Name: "scale", Schema: sdk.Int32Schema})
	outer := sdk.NewStructure("org.example.Row", sdk.Field{Name: "n", Schema: inner.AsOptional()})
	c, err := New("org.apache.kafka.connect.json.JsonConverter", map[string]string{"schemas.enable": "false"}, false)
	if err != nil {
		t.Fatal(err)
	}
	value := &sdk.Struct{Schema: outer, Values: []any{&sdk.Struct{Schema: inner, Values: []any{int32(2)}}}}
	got, err := c.From("t", outer, value, nil)
	if want := `{"n":{"scale":2}}`; err != nil || string(got) != want {
		t.Errorf("got %s (%v), want %s", got, err, want)
	}
}

// TestPlainBytes: whatever means something in a string is found, wherever it is.
func TestPlainBytes(t *testing.T) {
	for c := range 256 {
		for at := range 17 {
			b := bytes.Repeat([]byte("~"), 17)
			b[at] = byte(c)
			special := c < ' ' || c == '"' || c == '\\' || c >= 0x80
			if n := plainBytes(b); special && n > at || !special && n != 16 {
				t.Fatalf("%q: %d bytes are plain", b, n)
			}
		}
	}
}

// TestFieldsInAnyOrder: fields are found by their names in any order, also such as are written with escapes.
func TestFieldsInAnyOrder(t *testing.T) {
	c := newConverter(t, "JsonConverter", map[string]string{"schemas.enable": "true"})
	const schema = `{"type":"struct","fields":[{"type":"int64","field":"a"},{"type":"string","field":"a\"b"},{"type":"int32","field":"c","optional":true}],"optional":false}`
	for _, test := range []struct {
		payload string
		want    []any
	}{
		{`{"a":-123456789012345678,"a\"b":"x","c":1000}`, []any{int64(-123456789012345678), "x", int32(1000)}},
		{`{"c":5,"a\"b":"","a":9223372036854775807}`, []any{int64(9223372036854775807), "", int32(5)}},
		{`{"\u0061":7,"other":{"a":1},"a\u0022b":"a longer text\n with an escape"}`, []any{int64(7), "a longer text\n with an escape", nil}},
	} {
		for range 2 { // the second time the schema is known
			_, v, err := c.To("t", []byte(`{"schema":`+schema+`,"payload":`+test.payload+`}`))
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(test.want, v.(*sdk.Struct).Values); diff != "" {
				t.Errorf("%s: %s", test.payload, diff)
			}
		}
	}
}
