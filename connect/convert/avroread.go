package convert

import (
	"encoding/binary"
	"errors"
	"fmt"
	"maps"
	"math"
	"slices"
	"strconv"
	"strings"

	"github.com/twmb/avro"
	"github.com/twmb/franz-go/pkg/sr"

	"github.com/weir/weir/connect/sdk"
	"github.com/weir/weir/connect/values"
)

// avroReader reads values as an Avro schema has them into values of the schema that stands for it.
type avroReader struct {
	kind    string // Avro's type; "anything"
	schema  *sdk.Schema
	size    int // of a fixed
	scale   int32
	symbols []string
	fields  []*avroReader // of a record; the branches of a union, nil for null
	elem    *avroReader   // of arrays and maps
	entries bool          // an array that is a map
	plain   bool          // a union of one type with null
}

func (f *avroFormat) reader(s sr.Schema, load func(sr.SchemaReference) (sr.Schema, error)) (payloadReader, error) {
	if s.Type != sr.TypeAvro {
		return nil, fmt.Errorf("The record's schema is %v, not Avro", s.Type)
	}
	cache := &avro.SchemaCache{}
	if err := f.references(cache, s, load, 0); err != nil {
		return nil, err
	}
	parsed, err := cache.Parse(s.Schema)
	if err != nil {
		return nil, fmt.Errorf("The record's schema is no Avro schema: %w", err)
	}
	m := avroMaker{format: f, open: map[string]bool{}, named: map[string]avro.SchemaNode{}}
	return m.make(*parsed.Root().ExpandReferences(), nil, 0)
}

func (f *avroFormat) references(cache *avro.SchemaCache, s sr.Schema, load func(sr.SchemaReference) (sr.Schema, error), depth int) error {
	if depth > 50 {
		return errors.New("The schemas that a schema refers to lie in each other too deep")
	}
	for _, ref := range s.References {
		inner, err := load(ref)
		if err != nil {
			return err
		}
		if err := f.references(cache, inner, load, depth+1); err != nil {
			return err
		}
		if _, err := cache.Parse(inner.Schema); err != nil {
			return fmt.Errorf("A schema that the record's refers to, %s, is no Avro schema: %w", ref.Name, err)
		}
	}
	return nil
}

type avroMaker struct {
	format *avroFormat
	open   map[string]bool // records that are being made
	named  map[string]avro.SchemaNode
}

func fullName(n avro.SchemaNode) string {
	if n.Namespace == "" || strings.Contains(n.Name, ".") {
		return n.Name
	}
	return n.Namespace + "." + n.Name
}

// make makes the reader of a schema, which may be that of a field with a default.
func (m *avroMaker) make(n avro.SchemaNode, preset *avro.SchemaField, depth int) (*avroReader, error) {
	if depth > depthMost {
		return nil, errors.New("schemas lie in each other too deep")
	}
	if n.Name != "" {
		m.named[fullName(n)] = n
	} else if known, ok := m.named[n.Type]; ok {
		n = known
	}
	r := &avroReader{kind: n.Type, size: n.Size, symbols: n.Symbols}
	s := &sdk.Schema{}
	r.schema = s
	var err error
	switch n.Type {
	case "boolean":
		s.Type = sdk.Boolean
	case "int":
		s.Type = sdk.Int32
		switch {
		case n.LogicalType == "date":
			s.Name, s.Version = sdk.LogicalDate, 1
		case n.LogicalType == "time-millis":
			s.Name, s.Version = sdk.LogicalTime, 1
		case n.LogicalType == "" && n.Props["connect.type"] == "int8":
			s.Type = sdk.Int8
		case n.LogicalType == "" && n.Props["connect.type"] == "int16":
			s.Type = sdk.Int16
		}
	case "long":
		s.Type = sdk.Int64
		if n.LogicalType == "timestamp-millis" {
			s.Name, s.Version = sdk.LogicalTimestamp, 1
		}
	case "float":
		s.Type = sdk.Float32
	case "double":
		s.Type = sdk.Float64
	case "string":
		s.Type = sdk.String
	case "bytes", "fixed":
		s.Type = sdk.Bytes
		if n.LogicalType == "decimal" {
			*s = *sdk.NewDecimal(int32(n.Scale))
			r.scale = int32(n.Scale)
			if p := strconv.Itoa(n.Precision); p != decimalPrecision {
				s.Params = append(s.Params, sdk.Param{Name: "connect.decimal.precision", Value: p})
			}
		}
	case "enum":
		s.Type = sdk.String
		s.Params = append(s.Params, sdk.Param{Name: enumType, Value: fullName(n)})
		for _, symbol := range n.Symbols {
			s.Params = append(s.Params, sdk.Param{Name: enumType + "." + symbol, Value: symbol})
		}
	case "array":
		if r.elem, err = m.make(*n.Items, nil, depth+1); err != nil {
			return nil, err
		}
		*s = *sdk.NewArray(r.elem.schema)
		if e := r.elem; e.kind == "record" && len(e.fields) == 2 && isMapEntry(*n.Items) {
			r.entries = true
			*s = *sdk.NewMap(e.fields[0].schema, e.fields[1].schema)
		}
	case "map":
		if r.elem, err = m.make(*n.Values, nil, depth+1); err != nil {
			return nil, err
		}
		*s = *sdk.NewMap(sdk.StringSchema, r.elem.schema)
	case "record", "error":
		if fullName(n) == anything {
			return &avroReader{kind: "anything"}, nil
		}
		r.kind = "record"
		if err := m.record(r, n, depth); err != nil {
			return nil, err
		}
	case "union":
		return m.union(r, n, preset, depth)
	default:
		return nil, fmt.Errorf("Standalone %s schemas are not supported by this converter", n.Type)
	}
	return r, m.annotate(r, n, preset)
}

func isMapEntry(n avro.SchemaNode) bool {
	return fullName(n) == confluent+"."+mapEntry || n.Props["connect.internal.type"] == mapEntry
}

func (m *avroMaker) record(r *avroReader, n avro.SchemaNode, depth int) error {
	name := fullName(n)
	if m.open[name] {
		return fmt.Errorf("The schema %s lies in itself, which is not supported", name)
	}
	m.open[name] = true
	defer delete(m.open, name)
	var fields []sdk.Field
	var params []sdk.Param
	if n.Doc != "" && m.format.meta {
		params = append(params, sdk.Param{Name: confluent + ".record.doc", Value: n.Doc})
	}
	for i := range n.Fields {
		f := &n.Fields[i]
		if f.Doc != "" && m.format.meta {
			params = append(params, sdk.Param{Name: confluent + ".field.doc." + f.Name, Value: f.Doc})
		}
		fr, err := m.make(f.Type, f, depth+1)
		if err != nil {
			return err
		}
		if fr.kind == "anything" {
			return fmt.Errorf("The field %s has no schema of its own, which is not supported in a structure", f.Name)
		}
		r.fields = append(r.fields, fr)
		fields = append(fields, sdk.Field{Name: f.Name, Schema: fr.schema})
	}
	*r.schema = *sdk.NewStructure("", fields...)
	r.schema.Params = params
	return nil
}

// union makes an optional value of a type and null, and a structure with a field for each of several.
func (m *avroMaker) union(r *avroReader, n avro.SchemaNode, preset *avro.SchemaField, depth int) (*avroReader, error) {
	null := slices.ContainsFunc(n.Branches, func(b avro.SchemaNode) bool { return b.Type == "null" })
	r.plain = len(n.Branches) == 2 && null
	var fields []sdk.Field
	for _, b := range n.Branches {
		if b.Type == "null" {
			r.fields = append(r.fields, nil)
			continue
		}
		inner := (*avro.SchemaField)(nil)
		if r.plain && preset != nil && preset.HasDefault && preset.Default != nil {
			inner = preset
		}
		br, err := m.make(b, inner, depth+1)
		if err != nil {
			return nil, err
		}
		if br.kind == "anything" {
			return nil, errors.New("A value without a schema in a union is not supported")
		}
		br.schema = br.schema.AsOptional()
		r.fields = append(r.fields, br)
		if r.plain {
			r.schema = br.schema
			continue
		}
		fields = append(fields, sdk.Field{Name: memberName(b), Schema: br.schema})
	}
	if !r.plain {
		*r.schema = *sdk.NewStructure(unionType, fields...)
		r.schema.Optional = null
	}
	return r, nil
}

func memberName(n avro.SchemaNode) string {
	if n.Name != "" {
		_, name := splitName(fullName(n))
		return name
	}
	_, name := splitName(n.Type)
	return name
}

// annotate adds what Kafka Connect keeps in properties.
func (m *avroMaker) annotate(r *avroReader, n avro.SchemaNode, preset *avro.SchemaField) error {
	s := r.schema
	if m.format.meta {
		if doc, ok := n.Props["connect.doc"].(string); ok {
			s.Doc = doc
		}
		params, _ := n.Props["connect.parameters"].(map[string]any)
		for _, k := range slices.Sorted(maps.Keys(params)) {
			if _, has := s.Param(k); !has {
				s.Params = append(s.Params, sdk.Param{Name: k, Value: fmt.Sprint(params[k])})
			}
		}
	}
	if v, ok := n.Props["connect.version"].(int64); ok {
		s.Version = int32(v)
	}
	if s.Name == "" {
		name, ok := n.Props["connect.name"].(string)
		if !ok && (r.kind == "record" || r.kind == "enum") {
			name = fullName(n)
		}
		if name != confluent+".ConnectDefault" {
			s.Name = name
		}
	}
	own, has := n.Props["connect.default"]
	switch {
	case preset != nil && preset.HasDefault && preset.Default != nil:
		if !has {
			s.Params = append(s.Params, sdk.Param{Name: fieldDefault, Value: "true"})
		}
		own = preset.Default
	case !has:
		return nil
	}
	d, err := r.preset(own)
	s.Default = d
	return err
}

// preset makes a default of what JSON has for it.
func (r *avroReader) preset(v any) (any, error) {
	s := r.schema
	wrong := fmt.Errorf("Invalid default value %v for a schema of the type %s", v, values.JavaType(s.Type))
	n, isNumber := values.Long(v)
	switch {
	case s.Name == sdk.LogicalDate || s.Name == sdk.LogicalTime || s.Name == sdk.LogicalTimestamp:
		if !isNumber {
			return nil, wrong
		}
		return values.FromLogical(s.Name, n)
	case s.Type >= sdk.Int8 && s.Type <= sdk.Float64:
		if !isNumber {
			return nil, wrong
		}
		f, _ := values.Double(v)
		switch s.Type {
		case sdk.Int8:
			return int8(n), nil
		case sdk.Int16:
			return int16(n), nil
		case sdk.Int32:
			return int32(n), nil
		case sdk.Int64:
			return n, nil
		case sdk.Float32:
			return float32(f), nil
		}
		return f, nil
	case s.Type == sdk.Bytes:
		if text, ok := v.(string); ok {
			var b []byte
			for _, c := range text {
				b = append(b, byte(c))
			}
			v = b
		}
		b, ok := v.([]byte)
		if !ok {
			return nil, wrong
		}
		if s.Name == sdk.LogicalDecimal {
			return sdk.DecimalFromBytes(b, r.scale), nil
		}
		return b, nil
	}
	return r.presetMany(v, wrong)
}

func (r *avroReader) presetMany(v any, wrong error) (any, error) {
	switch x := v.(type) {
	case []any:
		if r.kind != "array" || r.entries {
			return nil, wrong
		}
		out := make([]any, len(x))
		for i := range x {
			var err error
			if out[i], err = r.elem.preset(x[i]); err != nil {
				return nil, err
			}
		}
		return out, nil
	case map[string]any:
		if r.kind == "map" {
			out := map[string]any{}
			for k, e := range x {
				d, err := r.elem.preset(e)
				if err != nil {
					return nil, err
				}
				out[k] = d
			}
			return out, nil
		}
		if r.kind != "record" {
			return nil, wrong
		}
		out := sdk.NewStruct(r.schema)
		for i, f := range r.schema.Fields {
			if x[f.Name] == nil {
				continue
			}
			d, err := r.fields[i].preset(x[f.Name])
			if err != nil {
				return nil, err
			}
			out.Values[i] = d
		}
		return out, nil
	}
	if values.TypeOf(v) != r.schema.Type {
		return nil, wrong
	}
	return v, nil
}

var errAvro = errors.New("Error deserializing Avro message: the data does not fit its schema")

func (r *avroReader) read(b []byte) (*sdk.Schema, any, error) {
	d := avroData{b: b}
	v := d.value(r)
	if d.bad {
		return nil, nil, errAvro
	}
	if d.err != nil {
		return nil, nil, d.err
	}
	return r.schema, v, nil
}

// avroData reads values. Once something is bad, all that follows is nothing.
type avroData struct {
	b     []byte
	bad   bool
	err   error
	depth int
}

func (d *avroData) long() int64 {
	n, size := binary.Varint(d.b)
	if size <= 0 {
		d.bad, d.b = true, nil
		return 0
	}
	d.b = d.b[size:]
	return n
}

func (d *avroData) take(n int64) []byte {
	if n < 0 || n > int64(len(d.b)) {
		d.bad, d.b = true, nil
		return nil
	}
	out := d.b[:n]
	d.b = d.b[n:]
	return out
}

func (d *avroData) value(r *avroReader) any {
	switch r.kind {
	case "boolean":
		b := d.take(1)
		return len(b) == 1 && b[0] == 1
	case "int", "long":
		n := d.long()
		switch r.schema.Name {
		case sdk.LogicalDate, sdk.LogicalTime, sdk.LogicalTimestamp:
			t, err := values.FromLogical(r.schema.Name, n)
			d.fail(err)
			return t
		}
		switch r.schema.Type {
		case sdk.Int8:
			return int8(n)
		case sdk.Int16:
			return int16(n)
		case sdk.Int32:
			return int32(n)
		}
		return n
	case "float":
		if b := d.take(4); b != nil {
			return math.Float32frombits(binary.LittleEndian.Uint32(b))
		}
		return float32(0)
	case "double":
		if b := d.take(8); b != nil {
			return math.Float64frombits(binary.LittleEndian.Uint64(b))
		}
		return 0.0
	case "string":
		return string(d.take(d.long()))
	case "bytes", "fixed":
		n := int64(r.size)
		if r.kind == "bytes" {
			n = d.long()
		}
		b := append([]byte{}, d.take(n)...)
		if r.schema.Name == sdk.LogicalDecimal {
			return sdk.DecimalFromBytes(b, r.scale)
		}
		return b
	case "enum":
		if n := d.long(); n >= 0 && n < int64(len(r.symbols)) {
			return r.symbols[n]
		}
		d.bad = true
		return nil
	}
	return d.nested(r)
}

func (d *avroData) fail(err error) {
	if err != nil && d.err == nil {
		d.err = err
	}
}

func (d *avroData) nested(r *avroReader) any {
	if d.depth++; d.depth > depthMost {
		d.bad, d.b = true, nil
		return nil
	}
	defer func() { d.depth-- }()
	switch r.kind {
	case "record":
		out := sdk.NewStruct(r.schema)
		for i, f := range r.fields {
			out.Values[i] = d.value(f)
		}
		return out
	case "union":
		n := d.long()
		if n < 0 || n >= int64(len(r.fields)) {
			d.bad = true
			return nil
		}
		return d.member(r, int(n))
	case "map":
		out := map[string]any{}
		d.blocks(func() {
			k := string(d.take(d.long()))
			out[k] = d.value(r.elem)
		})
		return out
	case "array":
		if r.entries {
			return d.entries(r)
		}
		out := []any{}
		d.blocks(func() { out = append(out, d.value(r.elem)) })
		return out
	}
	return d.anything()
}

func (d *avroData) member(r *avroReader, n int) any {
	br := r.fields[n]
	if br == nil {
		return nil
	}
	v := d.value(br)
	if r.plain {
		return v
	}
	out, at := sdk.NewStruct(r.schema), 0
	for _, before := range r.fields[:n] {
		if before != nil {
			at++
		}
	}
	out.Values[at] = v
	return out
}

func (d *avroData) entries(r *avroReader) any {
	out := []sdk.Entry{}
	d.blocks(func() {
		out = append(out, sdk.Entry{Key: d.value(r.elem.fields[0]), Value: d.value(r.elem.fields[1])})
	})
	if r.schema.Key.Type != sdk.String {
		return out
	}
	m := make(map[string]any, len(out))
	for _, e := range out {
		k, _ := e.Key.(string)
		m[k] = e.Value
	}
	return m
}

// emptyMost bounds how many items that take no bytes may follow each other.
const emptyMost = 1 << 16

func (d *avroData) blocks(item func()) {
	empty := 0
	for {
		n := d.long()
		if n < 0 {
			n = -n
			d.long() // the size of the block
		}
		if n == 0 || d.bad {
			return
		}
		for ; n != 0 && !d.bad; n-- {
			left := len(d.b)
			item()
			if len(d.b) == left {
				if empty++; empty > emptyMost {
					d.bad = true
				}
			}
		}
	}
}

// anything reads a value that was written without a schema.
func (d *avroData) anything() any {
	var out any
	for i := range 9 {
		switch d.long() {
		case 0:
			continue
		case 1:
		default:
			d.bad = true
			return nil
		}
		out = d.of(i)
	}
	return out
}

var free = []*avroReader{{kind: "boolean"}, {kind: "bytes", schema: sdk.BytesSchema}, {kind: "double"}, {kind: "float"},
	{kind: "int", schema: sdk.Int32Schema}, {kind: "long", schema: sdk.Int64Schema}, {kind: "string"},
	{kind: "array", elem: &avroReader{kind: "anything"}}}

func (d *avroData) of(i int) any {
	if i < len(free) {
		return d.value(free[i])
	}
	inner := &avroReader{kind: "anything"}
	var entries []sdk.Entry
	d.blocks(func() { entries = append(entries, sdk.Entry{Key: d.value(inner), Value: d.value(inner)}) })
	m := make(map[string]any, len(entries))
	for _, e := range entries {
		k, ok := e.Key.(string)
		if !ok {
			return entries
		}
		m[k] = e.Value
	}
	return m
}
