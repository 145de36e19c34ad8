package s3

import (
	"bytes"
	"fmt"
	"io"
	"math/big"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/parquet-go/parquet-go"

	"github.com/weir/weir/connect/sdk"
)

func logicalOf(t sdk.Type, name string) *sdk.Schema {
	return &sdk.Schema{Type: t, Name: name, Version: 1}
}

// everything is a schema with all kinds of fields.
func everything() *sdk.Schema {
	inner := sdk.NewStructure("", sdk.Field{Name: "z", Schema: sdk.StringSchema}, sdk.Field{Name: "a", Schema: sdk.NewArray(sdk.OptionalInt32Schema).AsOptional()})
	fields := []sdk.Field{
		{Name: "int8", Schema: &sdk.Schema{Type: sdk.Int8}}, {Name: "int16", Schema: &sdk.Schema{Type: sdk.Int16}}, {Name: "int32", Schema: sdk.Int32Schema}, {Name: "int64", Schema: sdk.Int64Schema},
		{Name: "float", Schema: &sdk.Schema{Type: sdk.Float32}}, {Name: "double", Schema: sdk.Float64Schema}, {Name: "bool", Schema: sdk.BooleanSchema},
		{Name: "text", Schema: sdk.StringSchema}, {Name: "bytes", Schema: sdk.BytesSchema},
		{Name: "decimal", Schema: sdk.NewDecimal(3)}, {Name: "date", Schema: logicalOf(sdk.Int32, sdk.LogicalDate)},
		{Name: "time", Schema: logicalOf(sdk.Int32, sdk.LogicalTime)}, {Name: "timestamp", Schema: logicalOf(sdk.Int64, sdk.LogicalTimestamp)},
	}
	for _, f := range fields {
		fields = append(fields, sdk.Field{Name: "maybe_" + f.Name, Schema: f.Schema.AsOptional()})
	}
	return sdk.NewStructure("all.Everything", append(fields,
		sdk.Field{Name: "inner", Schema: inner}, sdk.Field{Name: "maybe_inner", Schema: inner.AsOptional()},
		sdk.Field{Name: "list", Schema: sdk.NewArray(inner)}, sdk.Field{Name: "lists", Schema: sdk.NewArray(sdk.NewArray(sdk.StringSchema)).AsOptional()},
		sdk.Field{Name: "map", Schema: sdk.NewMap(sdk.StringSchema, sdk.NewArray(inner.AsOptional()))}, sdk.Field{Name: "entries", Schema: sdk.NewMap(sdk.Int32Schema, sdk.OptionalStringSchema)},
	)...)
}

// sample makes a value of a schema; the number decides which.
func sample(s *sdk.Schema, n int) any {
	if s.Optional && n%3 == 0 {
		return nil
	}
	switch s.Name {
	case sdk.LogicalDecimal:
		if n%5 == 0 {
			return sdk.Decimal{Big: new(big.Int).Lsh(big.NewInt(int64(-n-1)), 90), Scale: 3}
		}
		return sdk.Decimal{Unscaled: int64(n*1000 - 7), Scale: 3}
	case sdk.LogicalDate:
		return time.Date(1960+n, 3, 1, 0, 0, 0, 0, time.UTC)
	case sdk.LogicalTime:
		return time.Date(1970, 1, 1, 23, n%60, 1, 5e6, time.UTC)
	case sdk.LogicalTimestamp:
		return time.Date(1960+n, 3, 1, 23, n%60, 1, 5e6, time.UTC)
	}
	switch s.Type {
	case sdk.Int8:
		return int8(n)
	case sdk.Int16:
		return int16(-n)
	case sdk.Int32:
		return int32(n << 20)
	case sdk.Int64:
		return int64(n) << 40
	case sdk.Float32:
		return float32(n) / 2
	case sdk.Float64:
		return float64(n) / 3
	case sdk.Boolean:
		return n%2 == 0
	case sdk.String:
		return fmt.Sprint("text ", n)
	case sdk.Bytes:
		return []byte{byte(n), 0, 255}
	case sdk.Array:
		list := []any{}
		for i := range n % 4 {
			list = append(list, sample(s.Elem, n+i))
		}
		return list
	case sdk.Map:
		if s.Key.Type != sdk.String {
			entries := []sdk.Entry{}
			for i := range n % 3 {
				entries = append(entries, sdk.Entry{Key: sample(s.Key, i), Value: sample(s.Elem, n+i)})
			}
			return entries
		}
		m := map[string]any{}
		for i := range n % 3 {
			m[fmt.Sprint(i)] = sample(s.Elem, n+i)
		}
		return m
	}
	v := sdk.NewStruct(s)
	for i, f := range s.Fields {
		v.Values[i] = sample(f.Schema, n+i)
	}
	return v
}

func parquetOf(t testing.TB, s *sdk.Schema, values ...any) []byte {
	t.Helper()
	codec, _ := parquetCodec("snappy")
	var b bytes.Buffer
	e, err := parquetFiles(codec)(&b, &sdk.Record{ValueSchema: s})
	if err != nil {
		t.Fatal(err)
	}
	for _, v := range values {
		if err := e.write(&sdk.Record{ValueSchema: s, Value: v}); err != nil {
			t.Fatal(err)
		}
	}
	if err := e.close(); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

// TestParquet: values of all kinds come back from a file, and a file has the same bytes each time.
func TestParquet(t *testing.T) {
	s := everything()
	var want []any
	for n := range 600 {
		want = append(want, sample(s, n%100))
	}
	b := parquetOf(t, s, want...)
	if !bytes.Equal(b, parquetOf(t, s, want...)) {
		t.Error("the same values give other bytes")
	}
	r, err := newParquetReader(bytes.NewReader(b), int64(len(b)))
	if err != nil {
		t.Fatal(err)
	}
	equal := cmp.Options{cmp.Comparer(func(a, b *big.Int) bool { return a.Cmp(b) == 0 }), cmp.Transformer("Values", func(s *sdk.Struct) []any { return s.Values })}
	for i, v := range want {
		_, got, err := r.next()
		if err != nil {
			t.Fatal(i, err)
		}
		if diff := cmp.Diff(v, got, equal); diff != "" {
			t.Fatal(i, diff)
		}
	}
	if _, _, err := r.next(); err != io.EOF {
		t.Errorf("after the last: %v", err)
	}
	f, err := parquet.OpenFile(bytes.NewReader(b), int64(len(b)))
	if err != nil {
		t.Fatal(err)
	}
	for i, c := range f.Schema().Fields() {
		if c.Name() != s.Fields[i].Name {
			t.Errorf("column %d is %s, not %s", i, c.Name(), s.Fields[i].Name)
		}
	}
}

// TestParquetRefuses: a value that its schema does not describe is refused, and leaves nothing in the file.
func TestParquetRefuses(t *testing.T) {
	s := sdk.NewStructure("", sdk.Field{Name: "a", Schema: sdk.NewArray(sdk.StringSchema)}, sdk.Field{Name: "b", Schema: sdk.Int32Schema})
	codec, _ := parquetCodec("none")
	var b bytes.Buffer
	e, err := parquetFiles(codec)(&b, &sdk.Record{ValueSchema: s})
	if err != nil {
		t.Fatal(err)
	}
	good := &sdk.Struct{Schema: s, Values: []any{[]any{"x"}, int32(7)}}
	for _, test := range []struct {
		v    any
		text string
	}{
		{&sdk.Struct{Schema: s, Values: []any{[]any{"x", "y"}, nil}}, "the field b has no value and is not optional"},
		{&sdk.Struct{Schema: s, Values: []any{[]any{"x", 3}, int32(1)}}, "the field a is"},
		{&sdk.Struct{Schema: s, Values: []any{[]any{"x", "y"}, "1"}}, "the field b is class java.lang.String, not int32 as its schema says"},
		{good, ""},
	} {
		err := e.write(&sdk.Record{Value: test.v})
		if (err == nil) != (test.text == "") || err != nil && !bytes.Contains([]byte(err.Error()), []byte(test.text)) {
			t.Errorf("%v: %v, not %s", test.v, err, test.text)
		}
	}
	if err := e.close(); err != nil {
		t.Fatal(err)
	}
	r, err := newParquetReader(bytes.NewReader(b.Bytes()), int64(b.Len()))
	if err != nil {
		t.Fatal(err)
	}
	if _, got, err := r.next(); err != nil || fmt.Sprint(got.(*sdk.Struct).Values) != "[[x] 7]" {
		t.Errorf("%v, %v", got, err)
	}
	if _, got, err := r.next(); err != io.EOF {
		t.Errorf("%v, %v", got, err)
	}
	for _, wrong := range []*sdk.Schema{nil, sdk.StringSchema, sdk.NewStructure("")} {
		if _, err := shapeOf(wrong); err == nil {
			t.Errorf("%v has columns", wrong)
		}
	}
}
