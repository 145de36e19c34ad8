package values

import (
	"fmt"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/weir/weir/connect/sdk"
)

// described gives a schema in a few words.
func described(s *sdk.Schema) string {
	switch {
	case s == nil:
		return "null"
	case s.Name == sdk.LogicalDecimal:
		scale, _ := s.Param("scale")
		return "Decimal{scale=" + scale + "}"
	case s.Name != "":
		return Simple(s.Name)
	case s.Type == sdk.Array:
		return "[" + described(s.Elem) + "]"
	case s.Type == sdk.Map:
		return "{" + described(s.Key) + ":" + described(s.Elem) + "}"
	}
	return s.Type.String()
}

// TestParse has what SimpleHeaderConverter of Kafka 4.3.1 reads from texts, and writes again.
func TestParse(t *testing.T) {
	for _, tc := range []struct{ text, schema, again string }{
		{``, `string`, ``},
		{`true`, `boolean`, `true`},
		{`TRUE`, `string`, `TRUE`},
		{`1`, `int8`, `1`},
		{`128`, `int16`, `128`},
		{`-129`, `int16`, `-129`},
		{`40000`, `int32`, `40000`},
		{`3000000000`, `int64`, `3000000000`},
		{`9223372036854775808`, `Decimal{scale=0}`, `9223372036854775808`},
		{`1.5`, `float32`, `1.5`},
		{`1.0`, `int8`, `1`},
		{`0.1`, `float32`, `0.1`},
		{`1e3`, `int16`, `1000`},
		{`1e400`, `Decimal{scale=-400}`, `1E+400`},
		{`1.23456789012345`, `float32`, `1.2345679`},
		{`+5`, `int8`, `5`},
		{`-`, `string`, `-`},
		{`+`, `string`, `+`},
		{`abc`, `string`, `abc`},
		{` 12 `, `int8`, `12`},
		{`1.2.3`, `string`, `1.2.3`},
		{`[1,2,3]`, `[int8]`, `[1,2,3]`},
		{`[1,300]`, `[int16]`, `[1,300]`},
		{`[1,"a"]`, `[null]`, `[1,"a"]`},
		{`[]`, `[null]`, `[]`},
		{`{}`, `{null:null}`, `{}`},
		{`[null]`, `[null]`, `[null]`},
		{`{"a":1,"b":2}`, `{string:int8}`, `{"a":1,"b":2}`},
		{`{a:1}`, `string`, `{a:1}`},
		{`{1:2}`, `{int8:int8}`, `{1:2}`},
		{`{"a":1,"b":"x"}`, `{string:null}`, `{"a":1,"b":"x"}`},
		{`{1:"x","a":2}`, `{null:null}`, `{1:"x","a":2}`},
		{`[1,`, `string`, `[1,`},
		{`[1 2]`, `string`, `[1 2]`},
		{`{"a" 1}`, `string`, `{"a" 1}`},
		{`"quoted"`, `string`, `"quoted"`},
		{`["a\"b"]`, `[string]`, `["a\\\"b"]`},
		{`2024-02-29`, `Date`, `2024-02-29`},
		{`2024-13-45`, `Date`, `2025-02-14`},
		{`12:34:56.789Z`, `Time`, `12:34:56.789Z`},
		{`2024-02-29T12:34:56.789Z`, `Timestamp`, `2024-02-29T12:34:56.789Z`},
		{`2024-02-29T12:34:56Z`, `string`, `2024-02-29T12:34:56Z`},
		{`[2024-02-29]`, `[Date]`, `[2024-02-29]`},
		{`["2024-02-29"]`, `[Date]`, `[2024-02-29]`},
		{`true}`, `string`, `true}`},
		{`[true,false]`, `[boolean]`, `[true,false]`},
		{`[[1],[2]]`, `[[int8]]`, `[[1],[2]]`},
		{`{"a":{"b":[1]}}`, `{string:{string:[int8]}}`, `{"a":{"b":[1]}}`},
		{`{a`, `string`, `{a`},
		{`[1.5,2]`, `[float32]`, `[1.5,2.0]`},
		{`[1,2.5]`, `[float32]`, `[1.0,2.5]`},
		{`  `, `string`, `  `},
		{`é`, `string`, `é`},
		{`0x10`, `string`, `0x10`},
		{`1_000`, `string`, `1_000`},
		{`[,]`, `string`, `[,]`},
		{`{"a":null}`, `{string:null}`, `{"a":null}`},
		{`[1,null]`, `string`, `[1,null]`},
		{`007`, `int8`, `7`},
		{`1E-10`, `float32`, `1.0E-10`},
		{`99999999999999999999.5`, `float32`, `1.0E20`},
	} {
		s, v, err := Parse(tc.text)
		if err != nil || described(s) != tc.schema {
			t.Errorf("%q is read as %v of %s, %v; want %s", tc.text, v, described(s), err, tc.schema)
			continue
		}
		if again, err := String(v); err != nil || again != tc.again {
			t.Errorf("%q is written again as %q, %v; want %q", tc.text, again, err, tc.again)
		}
	}
	if s, v, err := Parse("null"); s != nil || v != nil || err != nil {
		t.Error(s, v, err)
	}
	deep := strings.Repeat("[", 100_000)
	if _, v, err := Parse(deep); v != deep || err != nil {
		t.Error("many brackets are no string")
	}
}

// TestHashMapOrder has the order of a java.util.HashMap with 30 keys, key0 to key29.
func TestHashMapOrder(t *testing.T) {
	m := map[string]int{}
	for i := range 30 {
		m[fmt.Sprint("key", i)] = i
	}
	const want = "key1, key2, key0, key5, key6, key3, key4, key9, key7, key8, key22, key21, key20, key15, key14, key13, key12, key19, key18, key17, key16, key11, key10, key26, key25, key24, key23, key29, key28, key27"
	// keys in the same bucket are in the order of their bytes here, and as they were put there
	got := strings.Join(JavaOrder(m), ", ")
	if got != want {
		t.Errorf("the order is\n%s instead of\n%s", got, want)
	}
}

func TestJavaString(t *testing.T) {
	s := sdk.NewStructure("", sdk.Field{Name: "a", Schema: sdk.Int32Schema}, sdk.Field{Name: "b", Schema: sdk.OptionalStringSchema},
		sdk.Field{Name: "c", Schema: sdk.NewArray(sdk.Float64Schema)})
	for _, tc := range []struct {
		value any
		want  string
	}{
		{&sdk.Struct{Schema: s, Values: []any{int32(1), nil, []any{1.5, 2.0}}}, "Struct{a=1,c=[1.5, 2.0]}"},
		{time.UnixMilli(0), "Thu Jan 01 00:00:00 UTC 1970"},
		{map[string]any{"a": int32(1)}, "{a=1}"},
		{nil, "null"},
		{sdk.Decimal{Unscaled: 12, Scale: 9}, "1.2E-8"},
	} {
		if got := JavaString(tc.value); got != tc.want {
			t.Errorf("%v is %q; want %q", tc.value, got, tc.want)
		}
	}
}

// TestDateFormat has what java.text.SimpleDateFormat gives in UTC.
func TestDateFormat(t *testing.T) {
	at := time.Date(2024, 2, 9, 15, 4, 5, 67e6, time.UTC)
	for _, tc := range []struct{ pattern, text string }{
		{"yyyy-MM-dd'T'HH:mm:ss.SSS'Z'", "2024-02-09T15:04:05.067Z"},
		{"yy/M/d h:m:s a", "24/2/9 3:4:5 PM"},
		{"EEE, d MMM yyyy HH:mm:ss Z", "Fri, 9 Feb 2024 15:04:05 +0000"},
		{"EEEE d MMMM yyyy G", "Friday 9 February 2024 AD"},
		{"yyyyMMddHHmmssSSS", "20240209150405067"},
		{"D w W F u k K", "40 6 2 2 5 15 3"},
		{"''yyyy'' 'o''clock'", "'2024' o'clock"},
		{"yyyy-MM-dd z zzzz X", "2024-02-09 UTC Coordinated Universal Time Z"},
	} {
		f, err := NewDateFormat(tc.pattern)
		if err != nil {
			t.Fatal(err)
		}
		if got := f.Format(at); got != tc.text {
			t.Errorf("%s gives %s; want %s", tc.pattern, got, tc.text)
		}
	}
	for _, tc := range []struct{ pattern, text, want string }{
		{"yyyy-MM-dd HH:mm:ss.SSS", "2024-02-30 25:00:00.1234567", "2024-03-02T01:20:34.567Z"},
		{"yyyyMMdd", "20240209", "2024-02-09T00:00:00Z"},
		{"yyyy-MM-dd", "2024-02-09 and more", "2024-02-09T00:00:00Z"},
		{"d MMM yy", "9 feb 24", "2024-02-09T00:00:00Z"},
		{"yy", "46", "1946-01-01T00:00:00Z"},
		{"HH:mm Z", "15:04 -0130", "1970-01-01T16:34:00Z"},
		{"HH:mm z", "15:04 CET", "1970-01-01T14:04:00Z"},
		{"HH:mm z", "15:04 GMT+2:00", "1970-01-01T13:04:00Z"},
		{"HH:mmXXX", "15:04+02:00", "1970-01-01T13:04:00Z"},
		{"hh:mm a", "12:04 AM", "1970-01-01T00:04:00Z"},
		{"yyyy D", "2024 60", "2024-02-29T00:00:00Z"},
		{"yyyy-MM-dd", "2024/02/09", ""},
		{"yyyy", "", ""},
		{"MMM", "foo", ""},
	} {
		f, err := NewDateFormat(tc.pattern)
		if err != nil {
			t.Fatal(err)
		}
		got, err := f.Parse(tc.text)
		if tc.want == "" {
			if err == nil || err.Error() != "Unparseable date: \""+tc.text+"\"" {
				t.Errorf("%s by %s is %v, %v", tc.text, tc.pattern, got, err)
			}
			continue
		}
		if err != nil || got.Format(time.RFC3339Nano) != tc.want {
			t.Errorf("%s by %s is %v, %v; want %s", tc.text, tc.pattern, got, err, tc.want)
		}
	}
	for pattern, want := range map[string]string{"yyyy'": "Unterminated quote", "yyyy-bb": "Illegal pattern character 'b'", "XXXX": "invalid ISO 8601 format: length=4"} {
		if _, err := NewDateFormat(pattern); err == nil || err.Error() != want {
			t.Errorf("%s: %v", pattern, err)
		}
	}
}

// FuzzParse: no text panics, and numbers keep to Java's way of writing them.
func FuzzParse(f *testing.F) {
	for _, s := range []string{"", "[1,2]", "{a:1}", "2024-02-29T12:34:56.789Z", `"x\"y"`, "1e-400000000", "-", `{"a":{"b":[null,true]}}`} {
		f.Add(s)
	}
	java := regexp.MustCompile(`^-?[0-9]+\.[0-9]+(E-?[0-9]+)?$`)
	f.Fuzz(func(t *testing.T, text string) {
		_, v, err := Parse(text)
		if err != nil {
			t.Fatal(err)
		}
		again, err := String(v)
		if err != nil {
			t.Fatal(err)
		}
		if f, ok := v.(float32); ok && !java.MatchString(again) {
			t.Fatalf("%v is written as %s", f, again)
		}
	})
}
