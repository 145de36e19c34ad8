package s3

import (
	"fmt"
	"io"
	"maps"
	"reflect"
	"slices"
	"strconv"
	"time"

	"github.com/parquet-go/parquet-go"
	"github.com/parquet-go/parquet-go/compress"
	"github.com/parquet-go/parquet-go/encoding"

	"github.com/weir/weir/connect/sdk"
	"github.com/weir/weir/connect/values"
)

// parquetCodec gives the compression of Parquet's pages by its name, and how the names of files say so.
func parquetCodec(name string) (codec compress.Codec, extension string) {
	switch name {
	case "snappy":
		return &parquet.Snappy, ".snappy"
	case "gzip":
		return &parquet.Gzip, ".gz"
	case "zstd":
		return &parquet.Zstd, ".zstd"
	case "brotli":
		return &parquet.Brotli, ".br"
	case "lz4raw":
		return &parquet.Lz4Raw, ".lz4raw"
	}
	return &parquet.Uncompressed, ""
}

// Rows go to the columns in chunks, and the columns to the file in groups of about so many bytes.
const (
	chunkRows  = 256
	groupBytes = 32 << 20
)

// parquetFiles is Confluent's ParquetFormat: a column for each field. Values need a schema.
func parquetFiles(codec compress.Codec) format {
	known := map[*sdk.Schema]*shape{} // converters give the same schema again and again
	return func(w io.Writer, first *sdk.Record) (encoder, error) {
		s, ok := known[first.ValueSchema]
		if !ok {
			var err error
			if s, err = shapeOf(first.ValueSchema); err != nil {
				return nil, err
			}
			if len(known) > 1000 {
				clear(known)
			}
			known[first.ValueSchema] = s
		}
		out := parquet.NewGenericWriter[any](w, s.schema, parquet.Compression(codec), parquet.DictionaryMaxBytes(1<<20), parquet.CreatedBy("weir", "1", ""))
		return &parquetEncoder{shape: s, out: out, columns: make([][]parquet.Value, s.leaves)}, nil
	}
}

type parquetEncoder struct {
	*shape
	out     *parquet.GenericWriter[any]
	columns [][]parquet.Value // of rows that are not in the columns yet
	marks   []int
	rows    int
	before  int64 // size of the file without the group at hand
}

// write implements encoder.
func (e *parquetEncoder) write(r *sdk.Record) error {
	e.marks = e.marks[:0]
	for _, c := range e.columns {
		e.marks = append(e.marks, len(c))
	}
	if err := e.root.shred(e.columns, r.Value, 0, 0); err != nil {
		for i, n := range e.marks {
			e.columns[i] = e.columns[i][:n]
		}
		return err
	}
	if e.rows++; e.rows < chunkRows {
		return nil
	}
	return e.flush()
}

func (e *parquetEncoder) flush() error {
	e.rows = 0
	for i, w := range e.out.ColumnWriters() {
		if len(e.columns[i]) == 0 {
			continue
		}
		if _, err := w.WriteRowValues(e.columns[i]); err != nil {
			return err
		}
		clear(e.columns[i])
		e.columns[i] = e.columns[i][:0]
	}
	if e.out.Size()-e.before < groupBytes {
		return nil
	}
	err := e.out.Flush()
	e.before = e.out.Size()
	return err
}

// close implements encoder.
func (e *parquetEncoder) close() error {
	if err := e.flush(); err != nil {
		return err
	}
	return e.out.Close()
}

// shape is how values of a schema become columns.
type shape struct {
	schema *parquet.Schema
	root   *field
	leaves int
}

// field is a part of a schema. Its levels are Parquet's: how many optional and repeated fields there are down to it.
type field struct {
	name     string
	of       *sdk.Schema
	children []*field                          // of a structure, a list (one), a map (two)
	leaf     int                               // number of the column; of others: of the first below
	last     int                               // number after that of the last column below
	defined  int                               // level of definition at which a value is there
	repeat   int                               // level of a list's or map's repetition
	value    func(v any) (parquet.Value, bool) // of a leaf; false: it is of another type
}

func shapeOf(s *sdk.Schema) (*shape, error) {
	if s == nil || s.Type != sdk.Structure {
		return nil, fmt.Errorf("the value has no schema with fields, which Parquet needs: use a converter that has schemas, or JsonFormat")
	}
	if len(s.Fields) == 0 {
		return nil, fmt.Errorf("the value's schema has no fields, and Parquet has no files without columns")
	}
	out := &shape{}
	required := *s
	required.Optional = false
	root, node, err := out.field("", &required, 0, 0)
	if err != nil {
		return nil, err
	}
	name := "ConnectDefault"
	if s.Name != "" {
		name = s.Name
	}
	out.root, out.schema = root, parquet.NewSchema(name, node)
	return out, nil
}

// field makes the field for a schema. repeat and defined are the levels of what it lies in.
func (s *shape) field(name string, of *sdk.Schema, repeat, defined int) (*field, parquet.Node, error) {
	if of.Optional {
		defined++
	}
	f := &field{name: name, of: of, leaf: s.leaves, defined: defined}
	var node parquet.Node
	var err error
	switch of.Type {
	case sdk.Structure:
		group := group{}
		if len(of.Fields) == 0 {
			return nil, nil, fmt.Errorf("the field %s is a structure without fields, which Parquet does not have", name)
		}
		for _, child := range of.Fields {
			c, n, err := s.field(child.Name, child.Schema, repeat, defined)
			if err != nil {
				return nil, nil, err
			}
			f.children = append(f.children, c)
			group = append(group, named{n, child.Name})
		}
		node = group
	case sdk.Array:
		f.repeat = repeat + 1
		c, n, err := s.field(name, of.Elem, f.repeat, defined+1)
		if err != nil {
			return nil, nil, err
		}
		f.children, node = []*field{c}, parquet.List(n)
	case sdk.Map:
		f.repeat = repeat + 1
		key := *of.Key
		key.Optional = false
		k, kn, err := s.field(name, &key, f.repeat, defined+1)
		if err != nil {
			return nil, nil, err
		}
		v, vn, err := s.field(name, of.Elem, f.repeat, defined+1)
		if err != nil {
			return nil, nil, err
		}
		f.children, node = []*field{k, v}, parquet.Map(kn, vn)
	default:
		if node, f.value, err = leafOf(of); err != nil {
			return nil, nil, fmt.Errorf("the field %s: %w", name, err)
		}
		// What all readers know, as Java's writer does.
		if of.Type == sdk.String {
			node = parquet.Encoded(node, &parquet.RLEDictionary)
		} else {
			node = parquet.Encoded(node, &parquet.Plain)
		}
		s.leaves++
	}
	f.last = s.leaves
	if of.Optional {
		node = parquet.Optional(node)
	}
	return f, node, nil
}

// group is a Parquet group whose fields have the order of the schema's.
type group []parquet.Field

func (g group) Fields() []parquet.Field     { return g }
func (g group) GoType() reflect.Type        { return g.sorted().GoType() }
func (g group) String() string              { return g.sorted().String() }
func (g group) ID() int                     { return 0 }
func (g group) Type() parquet.Type          { return parquet.Group{}.Type() }
func (g group) Optional() bool              { return false }
func (g group) Repeated() bool              { return false }
func (g group) Required() bool              { return true }
func (g group) Leaf() bool                  { return false }
func (g group) Encoding() encoding.Encoding { return nil }
func (g group) Compression() compress.Codec { return nil }
func (g group) sorted() parquet.Group {
	out := parquet.Group{}
	for _, f := range g {
		out[f.Name()] = f
	}
	return out
}

// named is a field of a group.
type named struct {
	parquet.Node
	name string
}

// Name implements parquet.Field.
func (n named) Name() string { return n.name }

// Value implements parquet.Field. Rows are not made from Go values.
func (n named) Value(reflect.Value) reflect.Value {
	panic("BUG: a Parquet field is asked for a Go value")
}

// leafOf gives the column for a schema, and how its values are made.
func leafOf(s *sdk.Schema) (parquet.Node, func(any) (parquet.Value, bool), error) {
	switch s.Name {
	case sdk.LogicalDecimal:
		scale, err := values.Scale(s)
		if err != nil {
			return nil, nil, err
		}
		precision := 38 // the most that readers take
		if text, ok := s.Param("connect.decimal.precision"); ok {
			if n, err := strconv.Atoi(text); err == nil && n > 0 {
				precision = n
			}
		}
		if scale < 0 || int(scale) > precision {
			return nil, nil, fmt.Errorf("a decimal of scale %d does not fit in Parquet", scale)
		}
		return parquet.Decimal(int(scale), precision, parquet.ByteArrayType), func(v any) (parquet.Value, bool) {
			d, ok := v.(sdk.Decimal)
			return parquet.ByteArrayValue(d.AppendBytes(nil)), ok && d.Scale == scale
		}, nil
	case sdk.LogicalDate:
		return parquet.Date(), func(v any) (parquet.Value, bool) {
			t, ok := v.(time.Time)
			return parquet.Int32Value(int32(floor(t.Unix(), 86400) / 86400)), ok
		}, nil
	case sdk.LogicalTime:
		return parquet.Time(parquet.Millisecond), func(v any) (parquet.Value, bool) {
			t, ok := v.(time.Time)
			return parquet.Int32Value(int32(t.UnixMilli())), ok
		}, nil
	case sdk.LogicalTimestamp:
		return parquet.Timestamp(parquet.Millisecond), func(v any) (parquet.Value, bool) {
			t, ok := v.(time.Time)
			return parquet.Int64Value(t.UnixMilli()), ok
		}, nil
	}
	switch s.Type {
	case sdk.Int8:
		return parquet.Int(8), func(v any) (parquet.Value, bool) { n, ok := v.(int8); return parquet.Int32Value(int32(n)), ok }, nil
	case sdk.Int16:
		return parquet.Int(16), func(v any) (parquet.Value, bool) { n, ok := v.(int16); return parquet.Int32Value(int32(n)), ok }, nil
	case sdk.Int32:
		return parquet.Leaf(parquet.Int32Type), func(v any) (parquet.Value, bool) { n, ok := v.(int32); return parquet.Int32Value(n), ok }, nil
	case sdk.Int64:
		return parquet.Leaf(parquet.Int64Type), func(v any) (parquet.Value, bool) { n, ok := v.(int64); return parquet.Int64Value(n), ok }, nil
	case sdk.Float32:
		return parquet.Leaf(parquet.FloatType), func(v any) (parquet.Value, bool) { n, ok := v.(float32); return parquet.FloatValue(n), ok }, nil
	case sdk.Float64:
		return parquet.Leaf(parquet.DoubleType), func(v any) (parquet.Value, bool) { n, ok := v.(float64); return parquet.DoubleValue(n), ok }, nil
	case sdk.Boolean:
		return parquet.Leaf(parquet.BooleanType), func(v any) (parquet.Value, bool) { b, ok := v.(bool); return parquet.BooleanValue(b), ok }, nil
	case sdk.String:
		return parquet.String(), func(v any) (parquet.Value, bool) { s, ok := v.(string); return parquet.ByteArrayValue([]byte(s)), ok }, nil
	case sdk.Bytes:
		return parquet.Leaf(parquet.ByteArrayType), func(v any) (parquet.Value, bool) { b, ok := v.([]byte); return parquet.ByteArrayValue(b), ok }, nil
	}
	return nil, nil, fmt.Errorf("Parquet has no column for a value of type %s", s.Type)
}

// shred appends a value to the columns below a field. repeat is the level at which it repeats what came before; defined, how many of what it lies in
// is there.
func (f *field) shred(columns [][]parquet.Value, v any, repeat, defined int) error {
	if v == nil {
		if !f.of.Optional {
			return fmt.Errorf("the field %s has no value and is not optional", f.name)
		}
		f.null(columns, repeat, defined)
		return nil
	}
	if f.of.Optional {
		defined++
	}
	switch f.of.Type {
	case sdk.Structure:
		s, ok := v.(*sdk.Struct)
		if !ok || len(s.Values) != len(f.children) {
			return f.mismatch(v)
		}
		for i, c := range f.children {
			if err := c.shred(columns, values.WithDefault(s, i), repeat, defined); err != nil {
				return err
			}
		}
		return nil
	case sdk.Array:
		list, ok := v.([]any)
		if !ok {
			return f.mismatch(v)
		}
		for i, one := range list {
			if err := f.children[0].shred(columns, one, f.level(i, repeat), defined+1); err != nil {
				return err
			}
		}
		if len(list) == 0 {
			f.null(columns, repeat, defined)
		}
		return nil
	case sdk.Map:
		return f.shredMap(columns, v, repeat, defined)
	}
	value, ok := f.value(v)
	if !ok {
		return f.mismatch(v)
	}
	columns[f.leaf] = append(columns[f.leaf], value.Level(repeat, defined, f.leaf))
	return nil
}

func (f *field) shredMap(columns [][]parquet.Value, v any, repeat, defined int) error {
	pair := func(i int, key, value any) error {
		level := f.level(i, repeat)
		if err := f.children[0].shred(columns, key, level, defined+1); err != nil {
			return err
		}
		return f.children[1].shred(columns, value, level, defined+1)
	}
	count := 0
	switch m := v.(type) {
	case map[string]any:
		for _, key := range slices.Sorted(maps.Keys(m)) { // the same file each time
			if err := pair(count, key, m[key]); err != nil {
				return err
			}
			count++
		}
	case []sdk.Entry:
		for _, e := range m {
			if err := pair(count, e.Key, e.Value); err != nil {
				return err
			}
			count++
		}
	default:
		return f.mismatch(v)
	}
	if count == 0 {
		f.null(columns, repeat, defined)
	}
	return nil
}

// level is that of the repetition of an element of a list: the first does not repeat it.
func (f *field) level(i, repeat int) int {
	if i == 0 {
		return repeat
	}
	return f.repeat
}

func (f *field) null(columns [][]parquet.Value, repeat, defined int) {
	for i := f.leaf; i < f.last; i++ {
		columns[i] = append(columns[i], parquet.NullValue().Level(repeat, defined, i))
	}
}

func (f *field) mismatch(v any) error {
	return fmt.Errorf("the field %s is %s, not %s as its schema says", f.name, values.Class(v), f.of.Type)
}
