package sdk

import (
	"fmt"
	"slices"
)

// Type is the kind of a value, as Kafka Connect has them.
type Type uint8

// The kinds, and which Go type a value of it has.
const (
	Invalid   Type = iota
	Int8           // int8
	Int16          // int16
	Int32          // int32
	Int64          // int64
	Float32        // float32
	Float64        // float64
	Boolean        // bool
	String         // string
	Bytes          // []byte
	Array          // []any
	Map            // map[string]any, or []Entry if the keys are no strings
	Structure      // *Struct
)

var typeNames = [...]string{"invalid", "int8", "int16", "int32", "int64", "float32", "float64", "boolean", "string", "bytes", "array", "map", "struct"}

// String gives the name that Kafka Connect has for it. (The JSON converter writes float and double for float32 and float64.)
func (t Type) String() string { return typeNames[t] }

// Names of Kafka Connect's logical types, and which Go type a value of it has instead.
const (
	LogicalDecimal   = "org.apache.kafka.connect.data.Decimal"   // Decimal; of Bytes
	LogicalDate      = "org.apache.kafka.connect.data.Date"      // time.Time, at midnight UTC; of Int32
	LogicalTime      = "org.apache.kafka.connect.data.Time"      // time.Time, of 1970-01-01 UTC; of Int32
	LogicalTimestamp = "org.apache.kafka.connect.data.Timestamp" // time.Time, UTC, milliseconds; of Int64
)

// Schema describes values. It is never changed once it is used: converters remember schemas by their address.
type Schema struct {
	Type     Type
	Optional bool
	Name     string
	Version  int32 // 0: none
	Doc      string
	Default  any // nil: none
	Params   []Param
	Fields   []Field // of a Structure
	Key      *Schema // of a Map
	Elem     *Schema // of the values of a Map, the elements of an Array

	index map[string]int // of Fields, if there are many
}

// Param is a parameter of a schema. Their order is kept.
type Param struct{ Name, Value string }

// Field is a field of a structure.
type Field struct {
	Name   string
	Schema *Schema
}

// manyFields is from how many fields on a structure's schema looks fields up in a map.
const manyFields = 12

// Schemas of plain values.
var (
	StringSchema          = &Schema{Type: String}
	OptionalStringSchema  = &Schema{Type: String, Optional: true}
	BytesSchema           = &Schema{Type: Bytes}
	OptionalBytesSchema   = &Schema{Type: Bytes, Optional: true}
	BooleanSchema         = &Schema{Type: Boolean}
	OptionalBooleanSchema = &Schema{Type: Boolean, Optional: true}
	Int32Schema           = &Schema{Type: Int32}
	OptionalInt32Schema   = &Schema{Type: Int32, Optional: true}
	Int64Schema           = &Schema{Type: Int64}
	OptionalInt64Schema   = &Schema{Type: Int64, Optional: true}
	Float64Schema         = &Schema{Type: Float64}
	OptionalFloat64Schema = &Schema{Type: Float64, Optional: true}
)

// NewStructure makes the schema of a structure.
func NewStructure(name string, fields ...Field) *Schema {
	s := &Schema{Type: Structure, Name: name, Fields: fields}
	if len(fields) >= manyFields {
		s.index = make(map[string]int, len(fields))
		for i, f := range fields {
			s.index[f.Name] = i
		}
	}
	return s
}

// NewArray makes the schema of an array.
func NewArray(elem *Schema) *Schema { return &Schema{Type: Array, Elem: elem} }

// NewMap makes the schema of a map.
func NewMap(key, value *Schema) *Schema { return &Schema{Type: Map, Key: key, Elem: value} }

// NewDecimal makes the schema of decimals with so many digits after the point.
func NewDecimal(scale int32) *Schema {
	return &Schema{Type: Bytes, Name: LogicalDecimal, Version: 1, Params: []Param{{"scale", fmt.Sprint(scale)}}}
}

// AsOptional gives the schema with the values that it describes made optional.
func (s *Schema) AsOptional() *Schema {
	if s.Optional {
		return s
	}
	c := *s
	c.Optional = true
	return &c
}

// Equal tells whether two schemas say the same, though they may be made apart.
func (s *Schema) Equal(o *Schema) bool {
	if s == o {
		return true
	}
	if s == nil || o == nil || s.Type != o.Type || s.Optional != o.Optional || s.Name != o.Name || s.Version != o.Version || s.Doc != o.Doc ||
		len(s.Params) != len(o.Params) || len(s.Fields) != len(o.Fields) || !s.Key.Equal(o.Key) || !s.Elem.Equal(o.Elem) {
		return false
	}
	for _, p := range s.Params {
		if v, ok := o.Param(p.Name); !ok || v != p.Value {
			return false
		}
	}
	for i, f := range s.Fields {
		if f.Name != o.Fields[i].Name || !f.Schema.Equal(o.Fields[i].Schema) {
			return false
		}
	}
	return equalValues(s.Default, o.Default)
}

// Param gives a parameter, and whether it is there.
func (s *Schema) Param(name string) (string, bool) {
	for _, p := range s.Params {
		if p.Name == name {
			return p.Value, true
		}
	}
	return "", false
}

// Field gives a field's place in a structure; -1: there is none.
func (s *Schema) Field(name string) int {
	if s.index != nil {
		if i, ok := s.index[name]; ok {
			return i
		}
		return -1
	}
	return slices.IndexFunc(s.Fields, func(f Field) bool { return f.Name == name })
}
