package convert

import (
	"bytes"
	"slices"
	"testing"
	"time"

	"github.com/weir/weir/connect/sdk"
)

// TestPrimitives has the bytes of Kafka's serializers and its words.
func TestPrimitives(t *testing.T) {
	for _, tc := range []struct {
		class  string
		schema *sdk.Schema
		value  any
		want   string
		err    string
	}{
		{"StringConverter", nil, "é", "é", ""},
		{"StringConverter", nil, nil, "", ""},
		{"StringConverter", nil, "", "", ""},
		{"StringConverter", nil, 1.0, "1.0", ""},
		{"StringConverter", nil, time.UnixMilli(0), "Thu Jan 01 00:00:00 UTC 1970", ""},
		{"ByteArrayConverter", sdk.BytesSchema, []byte{1, 2}, "\x01\x02", ""},
		{"ByteArrayConverter", sdk.StringSchema, "x", "", "Invalid schema type for ByteArrayConverter: STRING"},
		{"ByteArrayConverter", nil, "x", "", "ByteArrayConverter is not compatible with objects of type class java.lang.String"},
		{"BooleanConverter", nil, true, "\x01", ""},
		{"BooleanConverter", sdk.Int32Schema, true, "", "Invalid schema type for BooleanConverter: INT32"},
		{"ShortConverter", nil, int16(-2), "\xff\xfe", ""},
		{"IntegerConverter", nil, int32(1), "\x00\x00\x00\x01", ""},
		{"LongConverter", nil, int64(-1), "\xff\xff\xff\xff\xff\xff\xff\xff", ""},
		{"LongConverter", nil, int32(1), "", "Failed to serialize to long (was class java.lang.Integer)"},
		{"FloatConverter", nil, float32(1), "\x3f\x80\x00\x00", ""},
		{"DoubleConverter", nil, 1.0, "\x3f\xf0\x00\x00\x00\x00\x00\x00", ""},
		{"DoubleConverter", nil, nil, "", ""},
	} {
		c := newConverter(t, tc.class, nil)
		got, err := c.From("t", tc.schema, tc.value, nil)
		if tc.err != "" {
			if err == nil || err.Error() != tc.err {
				t.Errorf("%s of %v: %v; want %s", tc.class, tc.value, err, tc.err)
			}
			continue
		}
		if err != nil || string(got) != tc.want || (got == nil) != (tc.value == nil) {
			t.Errorf("%s of %v is %q, %v; want %q", tc.class, tc.value, got, err, tc.want)
			continue
		}
		s, back, err := c.To("t", got)
		again, _ := c.From("t", s, back, nil)
		if err != nil || !s.Optional || !bytes.Equal(again, got) {
			t.Errorf("%s: %q comes back as %v, %v", tc.class, got, back, err)
		}
	}
	for class, want := range map[string]string{
		"IntegerConverter": "Failed to deserialize integer: Size of data received by IntegerDeserializer is not 4",
		"BooleanConverter": "Failed to deserialize boolean: Size of data received by BooleanDeserializer is not 1",
	} {
		if _, _, err := newConverter(t, class, nil).To("t", []byte("xxx")); err == nil || err.Error() != want {
			t.Errorf("%s reads three bytes: %v", class, err)
		}
	}
}

func TestEncodings(t *testing.T) {
	for _, tc := range []struct{ encoding, text, bytes, back string }{
		{"UTF-8", "é€", "é€", "é€"},
		{"iso-8859-1", "é€", "\xe9?", "é?"},
		{"US-ASCII", "aé", "a?", "a?"},
		{"UTF-16", "a😀", "\xfe\xff\x00a\xd8\x3d\xde\x00", "a😀"},
	} {
		c := newConverter(t, "StringConverter", map[string]string{"converter.encoding": tc.encoding})
		b, err := c.From("t", nil, tc.text, nil)
		_, back, _ := c.To("t", b)
		if err != nil || string(b) != tc.bytes || back != tc.back {
			t.Errorf("%s of %s is %q and comes back as %v, %v", tc.encoding, tc.text, b, back, err)
		}
	}
	if _, err := New("StringConverter", map[string]string{"converter.encoding": "EBCDIC"}, true); err == nil {
		t.Error("a character set that is not there is taken")
	}
}

// TestHeaders: header converters by class, and that each converter is one but for Simple, which is nothing else.
func TestHeaders(t *testing.T) {
	h, err := NewHeader("org.apache.kafka.connect.storage.SimpleHeaderConverter", nil)
	if err != nil {
		t.Fatal(err)
	}
	b, err := h.FromHeader("t", "h", nil, map[string]any{"a": []byte{1}}, []byte("x"))
	if err != nil || string(b) != `x{"a":"AQ=="}` {
		t.Errorf("%s, %v", b, err)
	}
	s, v, err := h.ToHeader("t", "h", []byte("[1,2]"))
	if err != nil || s.Elem.Type != sdk.Int8 || !slices.Equal(v.([]any), []any{int8(1), int8(2)}) {
		t.Errorf("%v, %v, %v", s, v, err)
	}
	if b, err = h.FromHeader("t", "h", nil, nil, nil); b != nil || err != nil {
		t.Errorf("null is %q, %v", b, err)
	}
	for _, p := range Plugins() {
		made, err := NewHeader(p.Class, map[string]string{"schema.registry.url": "http://localhost"})
		if isHeader := p.Kind == KindHeaderConverter; isHeader && (made == nil || err != nil) {
			t.Errorf("%s for headers: %v", p.Class, err)
		}
	}
	for _, name := range []string{"org.apache.kafka.connect.json.JsonConverter", "JsonConverter", "Json"} {
		if _, err := New(name, nil, true); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
	for _, tc := range []struct{ class, option, value string }{
		{"SimpleHeaderConverter", "", ""}, {"XmlConverter", "", ""}, {"JsonConverter", "schemas.enable", "perhaps"}, {"JsonConverter", "decimal.format", "roman"},
	} {
		if _, err := New(tc.class, map[string]string{tc.option: tc.value}, false); err == nil || sdk.CauseOf(err) != sdk.Configuration {
			t.Errorf("%s with %s=%s: %v", tc.class, tc.option, tc.value, err)
		}
	}
}
