package sql

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/weir/weir/connect/sdk"
)

// field is a column that records want, before it is known whether the table has it.
type field struct {
	name   string
	schema *sdk.Schema
	origin origin
	index  int // in the key's or value's structure
	key    bool
}

// origin is where a column's values come from.
type origin uint8

const (
	fromValue origin = iota
	fromKey
	wholeKey
	wholeValue
	fromTopic
	fromPartition
	fromOffset
)

// coordinates are the columns of pk.mode=kafka, unless pk.fields names them.
var coordinates = []string{"__connect_topic", "__connect_partition", "__connect_offset"}

// fieldsOf gives the columns of records with such schemas, keys first. value is nil for deletions, of which only keys count.
func (o *sinkOptions) fieldsOf(key, value *sdk.Schema) ([]field, error) {
	fields, err := o.keyFields(key, value)
	if err != nil || value == nil {
		return fields, err
	}
	has := func(name string) bool {
		return slices.ContainsFunc(fields, func(f field) bool { return f.name == name })
	}
	switch {
	case value.Type == sdk.String && value.Name == "":
		if has(o.valueColumn) {
			return nil, fmt.Errorf("string.output.value.column.name is %s, which is a column of the key: choose another", o.valueColumn)
		}
		fields = append(fields, field{name: o.valueColumn, schema: sdk.OptionalStringSchema, origin: wholeValue})
	case value.Type != sdk.Structure:
		return nil, fmt.Errorf("the value is of type %s and not a structure: a row needs fields (see the transform HoistField)", nameOf(value))
	}
	for i, f := range value.Fields {
		if !has(f.Name) && (len(o.whitelist) == 0 || slices.Contains(o.whitelist, f.Name)) {
			fields = append(fields, field{name: f.Name, schema: o.withStamps(f), origin: fromValue, index: i})
		}
	}
	if len(fields) == 0 {
		return nil, errors.New("it has no field that is a column: check fields.whitelist")
	}
	return fields, nil
}

// withStamps gives the schema of a field, which timestamp.fields.list may call a timestamp.
func (o *sinkOptions) withStamps(f sdk.Field) *sdk.Schema {
	if !slices.Contains(o.stampFields, f.Name) {
		return f.Schema
	}
	s := *f.Schema
	switch s.Type {
	case sdk.Int64:
		s.Name = debeziumMicros
		if o.nanos {
			s.Name = debeziumNanos
		}
	case sdk.String:
		s.Name = debeziumZoned
	}
	return &s
}

func (o *sinkOptions) keyFields(key, value *sdk.Schema) ([]field, error) {
	switch o.pkMode {
	case "kafka":
		names := coordinates
		if len(o.pkFields) > 0 {
			names = o.pkFields
		}
		return []field{{name: names[0], schema: sdk.StringSchema, origin: fromTopic, key: true}, {name: names[1], schema: sdk.Int32Schema, origin: fromPartition, key: true},
			{name: names[2], schema: sdk.Int64Schema, origin: fromOffset, key: true}}, nil
	case "record_key":
		return o.structureKey(key, fromKey)
	case "record_value":
		return o.structureKey(value, fromValue)
	}
	return nil, nil
}

// structureKey gives the key's columns out of a record's key or value.
func (o *sinkOptions) structureKey(s *sdk.Schema, from origin) ([]field, error) {
	part := "key"
	if from == fromValue {
		part = "value"
	}
	if s == nil {
		return nil, fmt.Errorf("the %s has no schema, which pk.mode=%s needs: use a converter that gives one, such as JsonConverter with schemas.enable=true", part, o.pkMode)
	}
	if s.Type != sdk.Structure {
		switch {
		case from == fromValue || s.Type == sdk.Array || s.Type == sdk.Map:
			return nil, fmt.Errorf("the %s is of type %s, and has no fields as pk.mode=%s needs", part, s.Type, o.pkMode)
		case len(o.pkFields) != 1:
			return nil, fmt.Errorf("the key is of type %s: pk.fields has to name the one column for it", nameOf(s))
		}
		return []field{{name: o.pkFields[0], schema: s, origin: wholeKey, key: true}}, nil
	}
	var fields []field
	if len(o.pkFields) == 0 {
		for i, f := range s.Fields {
			fields = append(fields, field{name: f.Name, schema: f.Schema, origin: from, index: i, key: true})
		}
	}
	for _, name := range o.pkFields {
		i := s.Field(name)
		if i < 0 {
			return nil, fmt.Errorf("pk.fields names %s, which the record's %s does not have", name, part)
		}
		fields = append(fields, field{name: name, schema: s.Fields[i].Schema, origin: from, index: i, key: true})
	}
	return fields, nil
}

// tableColumn is a column that a table has.
type tableColumn struct {
	name   string
	typ    string // as the server calls it, without lengths
	filled bool   // it need not be given: it may be null, or has a default
}

// table is a table as it is.
type table struct {
	id      tableID
	typ     string // TABLE, VIEW and the like, as JDBC has them
	columns []tableColumn
	unique  bool // it has a primary or another unique key
}

// column finds a column: by its name, or by that in other letters if there is just one.
func (t *table) column(name string) *tableColumn {
	found, many := -1, false
	for i := range t.columns {
		if t.columns[i].name == name {
			return &t.columns[i]
		}
		if strings.EqualFold(t.columns[i].name, name) {
			many = many || found >= 0
			found = i
		}
	}
	if found < 0 || many {
		return nil
	}
	return &t.columns[found]
}

// layout is how records with the same schemas become rows of a table.
type layout struct {
	target     string // the table, quoted
	key, value *sdk.Schema
	columns    []column
	gone       bool  // it is for deletions
	keys       int   // how many of the columns, from the first on, are the key
	refused    error // why such records cannot become rows

	sql statements // made when they are first needed
}

type column struct {
	name   string // quoted
	field  field
	write  writer
	filler any // what stands for null
}

// names lists columns.
func names(columns []column) string {
	return listed(columns, ",", func(c column) string { return c.name })
}

func listed(columns []column, between string, each func(column) string) string {
	var all []string
	for _, c := range columns {
		all = append(all, each(c))
	}
	return strings.Join(all, between)
}

// match compares the keys of the table t with those of the table s.
func match(keys []column) string {
	return listed(keys, " AND ", func(c column) string { return "t." + c.name + "=s." + c.name })
}

// value gives a record's value for a column.
func (c *column) value(r *sdk.Record) any {
	var v any
	switch c.field.origin {
	case fromValue:
		s, ok := r.Value.(*sdk.Struct)
		if ok {
			v = s.Values[c.field.index]
		}
	case fromKey:
		s, ok := r.Key.(*sdk.Struct)
		if ok {
			v = s.Values[c.field.index]
		}
	case wholeKey:
		v = r.Key
	case wholeValue:
		v = r.Value
	case fromTopic:
		return r.Topic
	case fromPartition:
		return r.From.Partition
	case fromOffset:
		return r.Offset
	}
	if v == nil {
		return c.filler
	}
	return v
}
