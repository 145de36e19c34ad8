package s3

import (
	"fmt"
	"io"
	"time"

	"github.com/parquet-go/parquet-go"
	layouts "github.com/parquet-go/parquet-go/format"

	"github.com/weir/weir/connect/sdk"
	"github.com/weir/weir/connect/values"
)

// parquetReader reads rows as values with a schema.
type parquetReader struct {
	*shape
	of      *sdk.Schema
	groups  []parquet.RowGroup
	rows    parquet.Rows // of the group at hand; nil: none
	buf     []parquet.Row
	have    []parquet.Row // rows that were read
	columns [][]parquet.Value
}

func newParquetReader(r io.ReaderAt, size int64) (*parquetReader, error) {
	f, err := parquet.OpenFile(r, size)
	if err != nil {
		return nil, err
	}
	of, err := schemaOf(f.Schema())
	if err != nil {
		return nil, err
	}
	of.Name = f.Schema().Name()
	s, err := shapeOf(of)
	if err != nil {
		return nil, err
	}
	return &parquetReader{shape: s, of: of, groups: f.RowGroups(), buf: make([]parquet.Row, chunkRows), columns: make([][]parquet.Value, s.leaves)}, nil
}

// next implements decoder.
func (p *parquetReader) next() (*sdk.Schema, any, error) {
	for len(p.have) == 0 {
		if p.rows == nil {
			if len(p.groups) == 0 {
				return nil, nil, io.EOF
			}
			p.rows, p.groups = p.groups[0].Rows(), p.groups[1:]
		}
		n, err := p.rows.ReadRows(p.buf)
		p.have = p.buf[:n]
		if err == io.EOF {
			err = p.rows.Close()
			p.rows = nil
		}
		if err != nil {
			return nil, nil, err
		}
	}
	row := p.have[0]
	p.have = p.have[1:]
	clear(p.columns)
	row.Range(func(column int, of []parquet.Value) bool {
		p.columns[column] = of
		return true
	})
	v, err := p.root.assemble(p.columns)
	return p.of, v, err
}

// close implements decoder.
func (p *parquetReader) close() error {
	if p.rows == nil {
		return nil
	}
	return p.rows.Close()
}

// schemaOf gives the schema of what is in a group of Parquet.
func schemaOf(group parquet.Node) (*sdk.Schema, error) {
	var fields []sdk.Field
	for _, f := range group.Fields() {
		s, err := schemaOfField(f)
		if err != nil {
			return nil, fmt.Errorf("the column %s: %w", f.Name(), err)
		}
		fields = append(fields, sdk.Field{Name: f.Name(), Schema: s})
	}
	return sdk.NewStructure("", fields...), nil
}

func schemaOfField(n parquet.Node) (s *sdk.Schema, err error) {
	if n.Repeated() {
		return nil, fmt.Errorf("a list that is not marked as one cannot be read")
	}
	switch {
	case n.Leaf():
		s, err = schemaOfLeaf(n.Type())
	case logical(n).List != nil:
		s, err = schemaOfList(n)
	case logical(n).Map != nil:
		s, err = schemaOfMap(n)
	default:
		s, err = schemaOf(n)
	}
	if err != nil || !n.Optional() {
		return s, err
	}
	return s.AsOptional(), nil
}

// inner gives the fields of the repeated group in a list or a map.
func inner(n parquet.Node, count int) ([]parquet.Field, error) {
	if fields := n.Fields(); len(fields) == 1 && fields[0].Repeated() && !fields[0].Leaf() && len(fields[0].Fields()) == count {
		return fields[0].Fields(), nil
	}
	return nil, fmt.Errorf("a list or map of this form cannot be read")
}

func schemaOfList(n parquet.Node) (*sdk.Schema, error) {
	in, err := inner(n, 1)
	if err != nil {
		return nil, err
	}
	elem, err := schemaOfField(in[0])
	return sdk.NewArray(elem), err
}

func schemaOfMap(n parquet.Node) (*sdk.Schema, error) {
	in, err := inner(n, 2)
	if err != nil {
		return nil, err
	}
	key, err := schemaOfField(in[0])
	if err != nil {
		return nil, err
	}
	value, err := schemaOfField(in[1])
	return sdk.NewMap(key, value), err
}

// kinds tells which logical type a node has.
type kinds struct {
	List *layouts.ListType
	Map  *layouts.MapType
}

func logical(n parquet.Node) (k kinds) {
	if t := n.Type().LogicalType(); t != nil {
		k.List, _ = t.Value.(*layouts.ListType)
		k.Map, _ = t.Value.(*layouts.MapType)
	}
	return k
}

func schemaOfLeaf(t parquet.Type) (*sdk.Schema, error) {
	if l := t.LogicalType(); l != nil {
		switch v := l.Value.(type) {
		case *layouts.DecimalType:
			if t.Kind() == parquet.ByteArray || t.Kind() == parquet.FixedLenByteArray {
				s := sdk.NewDecimal(v.Scale)
				s.Params = append(s.Params, sdk.Param{Name: "connect.decimal.precision", Value: fmt.Sprint(v.Precision)})
				return s, nil
			}
			return nil, fmt.Errorf("a decimal in the form of a number cannot be read")
		case *layouts.DateType:
			return &sdk.Schema{Type: sdk.Int32, Name: sdk.LogicalDate, Version: 1}, nil
		case *layouts.TimeType:
			if _, ok := v.Unit.Value.(*layouts.MilliSeconds); ok {
				return &sdk.Schema{Type: sdk.Int32, Name: sdk.LogicalTime, Version: 1}, nil
			}
		case *layouts.TimestampType:
			if _, ok := v.Unit.Value.(*layouts.MilliSeconds); ok {
				return &sdk.Schema{Type: sdk.Int64, Name: sdk.LogicalTimestamp, Version: 1}, nil
			}
		case *layouts.StringType, *layouts.EnumType, *layouts.JsonType:
			return &sdk.Schema{Type: sdk.String}, nil
		case *layouts.IntType:
			if v.BitWidth <= 16 && v.IsSigned {
				return &sdk.Schema{Type: map[bool]sdk.Type{true: sdk.Int8, false: sdk.Int16}[v.BitWidth == 8]}, nil
			}
		}
	}
	switch t.Kind() {
	case parquet.Boolean:
		return &sdk.Schema{Type: sdk.Boolean}, nil
	case parquet.Int32:
		return &sdk.Schema{Type: sdk.Int32}, nil
	case parquet.Int64:
		return &sdk.Schema{Type: sdk.Int64}, nil
	case parquet.Float:
		return &sdk.Schema{Type: sdk.Float32}, nil
	case parquet.Double:
		return &sdk.Schema{Type: sdk.Float64}, nil
	case parquet.ByteArray, parquet.FixedLenByteArray:
		return &sdk.Schema{Type: sdk.Bytes}, nil
	}
	return nil, fmt.Errorf("a column of %s cannot be read", t)
}

// assemble is the reverse of shred: it takes a value off the columns below a field.
func (f *field) assemble(columns [][]parquet.Value) (any, error) {
	if len(columns[f.leaf]) == 0 {
		return nil, fmt.Errorf("the column of %s has too few values", f.name)
	}
	level := columns[f.leaf][0].DefinitionLevel()
	if level < f.defined {
		return nil, f.skip(columns)
	}
	switch f.of.Type {
	case sdk.Structure:
		s := sdk.NewStruct(f.of)
		for i, c := range f.children {
			var err error
			if s.Values[i], err = c.assemble(columns); err != nil {
				return nil, err
			}
		}
		return s, nil
	case sdk.Array:
		list := []any{}
		err := f.each(columns, level, func() error {
			v, err := f.children[0].assemble(columns)
			list = append(list, v)
			return err
		})
		return list, err
	case sdk.Map:
		text, entries := map[string]any{}, []sdk.Entry{}
		err := f.each(columns, level, func() error {
			key, err := f.children[0].assemble(columns)
			if err != nil {
				return err
			}
			value, err := f.children[1].assemble(columns)
			if name, ok := key.(string); ok {
				text[name] = value
			} else {
				entries = append(entries, sdk.Entry{Key: key, Value: value})
			}
			return err
		})
		if f.of.Key.Type == sdk.String {
			return text, err
		}
		return entries, err
	}
	v := columns[f.leaf][0]
	columns[f.leaf] = columns[f.leaf][1:]
	return fromParquet(f.of, v), nil
}

// each calls one for each element of a list or map.
func (f *field) each(columns [][]parquet.Value, level int, one func() error) error {
	if level == f.defined {
		return f.skip(columns)
	}
	for {
		if err := one(); err != nil {
			return err
		}
		if next := columns[f.leaf]; len(next) == 0 || next[0].RepetitionLevel() != f.repeat {
			return nil
		}
	}
}

func (f *field) skip(columns [][]parquet.Value) error {
	for i := f.leaf; i < f.last; i++ {
		if len(columns[i]) == 0 {
			return fmt.Errorf("the column of %s has too few values", f.name)
		}
		columns[i] = columns[i][1:]
	}
	return nil
}

// fromParquet gives the value of a leaf. What the file has is not kept.
func fromParquet(s *sdk.Schema, v parquet.Value) any {
	switch s.Name {
	case sdk.LogicalDecimal:
		scale, _ := values.Scale(s) // it has one: schemaOfLeaf made it
		return sdk.DecimalFromBytes(v.ByteArray(), scale)
	case sdk.LogicalDate:
		return time.Unix(int64(v.Int32())*86400, 0).UTC()
	case sdk.LogicalTime:
		return time.UnixMilli(int64(v.Int32())).UTC()
	case sdk.LogicalTimestamp:
		return time.UnixMilli(v.Int64()).UTC()
	}
	switch s.Type {
	case sdk.Int8:
		return int8(v.Int32())
	case sdk.Int16:
		return int16(v.Int32())
	case sdk.Int32:
		return v.Int32()
	case sdk.Int64:
		return v.Int64()
	case sdk.Float32:
		return v.Float()
	case sdk.Float64:
		return v.Double()
	case sdk.Boolean:
		return v.Boolean()
	case sdk.String:
		return string(v.ByteArray())
	}
	return append([]byte{}, v.ByteArray()...)
}
