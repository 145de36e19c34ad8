package convert

import (
	"encoding/binary"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/sr"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/dynamicpb"

	"github.com/weir/weir/connect/sdk"
)

// TestDebeziumInProtobuf: rows of Debezium's come back from Protobuf with the same values, and the Protobuf library reads them.
func TestDebeziumInProtobuf(t *testing.T) {
	r := newRegistry(t)
	c := r.converter(t, "ProtobufConverter", "optional.for.nullables", "true", "scrub.invalid.names", "true")
	j := newConverter(t, "JsonConverter", map[string]string{"schemas.enable": "false", "replace.null.with.default": "false"})
	count := 0
	payloads(t, func(whole string, s *sdk.Schema, v any) {
		for i, f := range s.Fields {
			list, _ := v.(*sdk.Struct).Values[i].([]any)
			for _, e := range list {
				if e == nil {
					return // not in Protobuf
				}
			}
			if list == nil && f.Schema.Type == sdk.Array || f.Schema.Type == sdk.Map || strings.Contains(f.Name, " ") || f.Schema.Name == "io.debezium.data.geometry.Geometry" {
				return // null is an empty array or map, and an entry of a map is never null; another name
			}
		}
		count++
		b, err := c.From("t", s, v, nil)
		if err != nil {
			t.Fatalf("%v of %s", err, whole)
		}
		schema := r.schemas[binary.BigEndian.Uint32(b[1:])-1]
		made, err := (&protobufFormat{nullables: true}).reader(schema, nil)
		if err != nil {
			t.Fatalf("%v in\n%s", err, schema.Schema)
		}
		m := dynamicpb.NewMessage(made.(*protoFileReader).file.Messages().Get(0))
		if err := proto.Unmarshal(b[6:], m); err != nil || len(m.GetUnknown()) > 0 {
			t.Fatalf("the library reads %v of %x: %v", m, b, err)
		}
		s2, v2, err := c.To("t", b)
		if err != nil {
			t.Fatalf("%v of %s", err, whole)
		}
		want, _ := j.From("t", s, v, nil)
		got, err := j.From("t", s2, v2, nil)
		if err != nil || string(got) != string(want) {
			t.Errorf("comes back as\n%s instead of\n%s, %v\n%s", got, want, err, schema.Schema)
		}
	})
	if count < 25 {
		t.Fatalf("only %d payloads", count)
	}
}

// TestProtobufSchemas has a schema with all that structures may have, and what it comes back as.
func TestProtobufSchemas(t *testing.T) {
	r := newRegistry(t)
	c := r.converter(t, "io.confluent.connect.protobuf.ProtobufConverter")
	point := sdk.NewStructure("s.Point", sdk.Field{Name: "x", Schema: &sdk.Schema{Type: sdk.Int16}})
	s := sdk.NewStructure("s.t.Row",
		sdk.Field{Name: "id", Schema: sdk.Int32Schema}, sdk.Field{Name: "name", Schema: sdk.OptionalStringSchema},
		sdk.Field{Name: "a", Schema: point}, sdk.Field{Name: "b", Schema: point.AsOptional()}, sdk.Field{Name: "l", Schema: sdk.NewArray(sdk.Int64Schema)},
		sdk.Field{Name: "m", Schema: sdk.NewMap(sdk.StringSchema, point)}, sdk.Field{Name: "n", Schema: sdk.NewMap(sdk.Int32Schema, sdk.StringSchema)},
		sdk.Field{Name: "price", Schema: sdk.NewDecimal(2)}, sdk.Field{Name: "day", Schema: logical(sdk.Int32, sdk.LogicalDate)},
		sdk.Field{Name: "at", Schema: logical(sdk.Int64, sdk.LogicalTimestamp)}, sdk.Field{Name: "time", Schema: logical(sdk.Int32, sdk.LogicalTime)})
	x := &sdk.Struct{Schema: point, Values: []any{int16(-1)}}
	v := &sdk.Struct{Schema: s, Values: []any{int32(0), nil, x, nil, []any{int64(0), int64(300)}, map[string]any{"k": x, "": x}, []sdk.Entry{{Key: int32(2), Value: "two"}, {Key: int32(1), Value: ""}},
		sdk.Decimal{Unscaled: -5, Scale: 2}, time.UnixMilli(86400000).UTC(), time.UnixMilli(-1).UTC(), time.UnixMilli(86399999).UTC()}}
	b, err := c.From("t", s, v, nil)
	if err != nil {
		t.Fatal(err)
	}
	const want = `syntax = "proto3";
package s.t;

import "confluent/meta.proto";
import "confluent/type/decimal.proto";
import "google/protobuf/timestamp.proto";
import "google/type/date.proto";
import "google/type/timeofday.proto";

message Row {
  message Point {
    int32 x = 1 [(confluent.field_meta) = { params: [{ key: "connect.type", value: "int16" }] }];
  }
  int32 id = 1;
  string name = 2;
  Point a = 3;
  Point b = 4;
  repeated int64 l = 5;
  map<string, Point> m = 6;
  map<int32, string> n = 7;
  confluent.type.Decimal price = 8 [(confluent.field_meta) = { params: [{ key: "scale", value: "2" }] }];
  google.type.Date day = 9;
  google.protobuf.Timestamp at = 10;
  google.type.TimeOfDay time = 11;
}
`
	if got := r.schemas[0].Schema; got != want {
		t.Errorf("the schema is\n%s", got)
	}
	s2, v2, err := c.To("t", b)
	if err != nil {
		t.Fatal(err)
	}
	got, err := newConverter(t, "JsonConverter", map[string]string{"schemas.enable": "false"}).From("t", s2, v2, nil)
	if wanted := `{"id":0,"name":"","a":{"x":-1},"b":null,"l":[0,300],"m":{"":{"x":-1},"k":{"x":-1}},"n":[[2,"two"],[1,""]],"price":"+w==","day":1,"at":-1,"time":86399999}`; err != nil || string(got) != wanted {
		t.Errorf("comes back as\n%s instead of\n%s, %v", got, wanted, err)
	}
	again, err := c.From("t", s2, v2, nil)
	if err != nil || string(again[6:]) != string(b[6:]) {
		t.Errorf("is written again as %x instead of %x, %v", again, b, err)
	}
	if _, err := c.From("t", sdk.StringSchema, "x", nil); err == nil || !strings.HasPrefix(err.Error(), "Unsupported root schema") {
		t.Errorf("a string is written: %v", err)
	}
}

// TestProtobufRead: what other producers write: enums, unions, wrappers, references, messages that are not the file's first.
func TestProtobufRead(t *testing.T) {
	r := newRegistry(t)
	r.register("other", sr.Schema{Type: sr.TypeProtobuf, Schema: `syntax = "proto3"; package o; message Other { uint32 u = 1; sint64 s = 2; }`})
	id := r.register("t-value", sr.Schema{Type: sr.TypeProtobuf, References: []sr.SchemaReference{{Name: "other.proto", Subject: "other", Version: 1}}, Schema: `syntax = "proto3";
		import "other.proto"; import "google/protobuf/wrappers.proto";
		message First { string x = 1; }
		message Second { message In { enum E { A = 0; B = 1; } E e = 1; oneof u { string t = 2; int32 i = 3; } google.protobuf.StringValue w = 4; o.Other o = 5; repeated fixed32 f = 6; optional bool p = 7; } }
		message Loop { Loop l = 1; }`})
	c := r.converter(t, "ProtobufConverter")
	head := []byte{0, 0, 0, 0, byte(id)}
	for _, tc := range []struct{ data, want, err string }{
		{"\x04\x02\x00" + "\x08\x01\x18\x05\x22\x03\x0a\x01w\x2a\x04\x08\x07\x10\x03\x32\x04\x01\x00\x00\x00", `{"e":"B","u_0":{"t":null,"i":5},"w":"w","o":{"u":7,"s":-2},"f":[1],"p":null}`, ""},
		{"\x04\x02\x00" + "\x08\x09\x35\x02\x00\x00\x00\x38\x00\x48\x01", `{"e":"9","u_0":null,"w":null,"o":null,"f":[2],"p":false}`, ""},
		{"\x00", `{"x":""}`, ""},
		{"\x00\x0a\x05", "", "does not fit its schema"},
		{"\x00\x08\x01", "", "does not fit its schema"},
		{"\x02\x10", "", "does not fit its schema"},
		{"\x02\x04", "", "lies in itself"},
		{"", "", "does not fit its schema"},
	} {
		s, v, err := c.To("t", append(head[:5:5], tc.data...))
		if tc.err != "" {
			if err == nil || !strings.Contains(err.Error(), tc.err) {
				t.Errorf("%q is read as %v, %v", tc.data, v, err)
			}
			continue
		}
		if err != nil {
			t.Errorf("%q: %v", tc.data, err)
			continue
		}
		j, err := newConverter(t, "JsonConverter", map[string]string{"schemas.enable": "false"}).From("t", s, v, nil)
		if string(j) != tc.want {
			t.Errorf("%q is read as %s, %v; want %s", tc.data, j, err, tc.want)
		}
	}
}

// FuzzProtobuf: no bytes panic, and what is read is written and read the same.
func FuzzProtobuf(f *testing.F) {
	format := &protobufFormat{nullables: true, names: avroBuilder{format: &avroFormat{}}}
	s := sdk.NewStructure("R", sdk.Field{Name: "s", Schema: sdk.OptionalStringSchema}, sdk.Field{Name: "l", Schema: sdk.NewArray(sdk.Float64Schema)},
		sdk.Field{Name: "m", Schema: sdk.NewMap(sdk.StringSchema, sdk.NewStructure("I", sdk.Field{Name: "d", Schema: sdk.NewDecimal(1)}, sdk.Field{Name: "b", Schema: sdk.OptionalBytesSchema}))},
		sdk.Field{Name: "at", Schema: logical(sdk.Int64, sdk.LogicalTimestamp).AsOptional()})
	_, text, _, err := format.writer(s)
	if err != nil {
		f.Fatal(err)
	}
	r, err := format.reader(text, nil)
	if err != nil {
		f.Fatal(err)
	}
	written := map[string]payloadReader{} // readers of what is written, by its schema
	f.Add([]byte("\x04\x00\x00"))
	f.Add([]byte("\x00\x0a\x01x\x12\x08\x00\x00\x00\x00\x00\x00\xf0\x3f\x1a\x09\x0a\x01k\x12\x04\x0a\x02\x18\x01\x22\x02\x08\x01"))
	f.Fuzz(func(t *testing.T, b []byte) {
		s, v, err := r.read(b)
		if err != nil {
			return
		}
		w, text, _, err := format.writer(s) // of a message in another, it is a file of that message alone
		if err != nil {
			t.Fatal(err)
		}
		once, err := w.append(nil, v)
		if err != nil {
			return
		}
		r2, ok := written[text.Schema]
		if !ok {
			if r2, err = format.reader(text, nil); err != nil {
				t.Fatalf("%s is written, which is not read: %v", text.Schema, err)
			}
			written[text.Schema] = r2
		}
		_, v2, err := r2.read(once)
		if err != nil {
			t.Fatalf("%x is written as %x, which is not read: %v", b, once, err)
		}
		if twice, err := w.append(nil, v2); err != nil || string(twice) != string(once) {
			t.Fatalf("%x is written as %x, then as %x, %v", b, once, twice, err)
		}
	})
}
