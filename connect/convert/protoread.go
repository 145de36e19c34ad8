package convert

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/bufbuild/protocompile"
	"github.com/twmb/franz-go/pkg/sr"
	"google.golang.org/protobuf/encoding/protowire"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/reflect/protoregistry"

	"github.com/weir/weir/connect/sdk"
	"github.com/weir/weir/connect/values"
)

// protoKnown are the files that schemas of Confluent's converter import and no registry has.
var protoKnown = map[string]string{
	"confluent/meta.proto": `syntax = "proto3"; package confluent; import "google/protobuf/descriptor.proto";
		message Meta { string doc = 1; map<string, string> params = 2; repeated string tags = 3; }
		extend google.protobuf.FileOptions { Meta file_meta = 1088; }
		extend google.protobuf.MessageOptions { Meta message_meta = 1088; }
		extend google.protobuf.FieldOptions { Meta field_meta = 1088; }
		extend google.protobuf.EnumOptions { Meta enum_meta = 1088; }
		extend google.protobuf.EnumValueOptions { Meta enum_value_meta = 1088; }`,
	"confluent/type/decimal.proto": `syntax = "proto3"; package confluent.type; message Decimal { bytes value = 1; uint32 precision = 2; int32 scale = 3; }`,
	"google/type/date.proto":       `syntax = "proto3"; package google.type; message Date { int32 year = 1; int32 month = 2; int32 day = 3; }`,
	"google/type/timeofday.proto":  `syntax = "proto3"; package google.type; message TimeOfDay { int32 hours = 1; int32 minutes = 2; int32 seconds = 3; int32 nanos = 4; }`,
}

// protoFile is the name under which a record's own schema is compiled.
const protoFile = "record.proto"

// protoReader reads messages of one type.
type protoReader struct {
	schema *sdk.Schema
	fields map[protowire.Number]*protoPart
	empty  []any // what a message without fields is
}

// protoPart is a field of a message.
type protoPart struct {
	at      int // in the structure
	union   *sdk.Schema
	in      int // in the union, if there is one
	kind    protoreflect.Kind
	message protoreflect.FullName
	nested  *protoReader
	list    bool
	key     *protoPart // of a map
	elem    *protoPart
	schema  *sdk.Schema
	enum    protoreflect.EnumValueDescriptors
}

// protoFileReader reads records whose message may be any of a file.
type protoFileReader struct {
	format  *protobufFormat
	file    protoreflect.FileDescriptor
	readers map[protoreflect.FullName]*protoReader
}

func (f *protobufFormat) reader(s sr.Schema, load func(sr.SchemaReference) (sr.Schema, error)) (payloadReader, error) {
	if s.Type != sr.TypeProtobuf {
		return nil, fmt.Errorf("The record's schema is %v, not Protobuf", s.Type)
	}
	files := map[string]string{protoFile: s.Schema}
	if err := protoReferences(files, s, load, 0); err != nil {
		return nil, err
	}
	resolver := protocompile.WithStandardImports(&protocompile.SourceResolver{Accessor: func(path string) (io.ReadCloser, error) {
		text, ok := files[path]
		if !ok {
			text, ok = protoKnown[path]
		}
		if !ok {
			return nil, protoregistry.NotFound
		}
		return io.NopCloser(strings.NewReader(text)), nil
	}})
	compiled, err := (&protocompile.Compiler{Resolver: resolver, MaxParallelism: 1}).Compile(context.Background(), protoFile)
	if err != nil {
		return nil, fmt.Errorf("The record's schema is no Protobuf: %w", err)
	}
	return &protoFileReader{f, compiled[0], map[protoreflect.FullName]*protoReader{}}, nil
}

func protoReferences(files map[string]string, s sr.Schema, load func(sr.SchemaReference) (sr.Schema, error), depth int) error {
	if depth > 50 {
		return errors.New("The schemas that a schema refers to lie in each other too deep")
	}
	for _, ref := range s.References {
		if files[ref.Name] != "" {
			continue
		}
		inner, err := load(ref)
		if err != nil {
			return err
		}
		files[ref.Name] = inner.Schema
		if err := protoReferences(files, inner, load, depth+1); err != nil {
			return err
		}
	}
	return nil
}

var errProto = errors.New("Error deserializing Protobuf message: the data does not fit its schema")

func (r *protoFileReader) read(b []byte) (*sdk.Schema, any, error) {
	m, b, err := r.find(b)
	if err != nil {
		return nil, nil, err
	}
	reader, err := r.reader(m, 0)
	if err != nil {
		return nil, nil, err
	}
	v, err := reader.message(b, 0)
	if err != nil {
		return nil, nil, err
	}
	return reader.schema, v, nil
}

// find reads which message of the file it is: a number of places, the first of them in the file, the next in that message.
func (r *protoFileReader) find(b []byte) (protoreflect.MessageDescriptor, []byte, error) {
	next := func() int64 {
		n, size := protowire.ConsumeVarint(b)
		if size < 0 {
			return -1
		}
		b = b[size:]
		return protowire.DecodeZigZag(n)
	}
	count := next()
	if count < 0 || count > refersMost {
		return nil, nil, errProto
	}
	path := []int64{0}
	if count > 0 {
		path = path[:0]
		for range count {
			path = append(path, next())
		}
	}
	messages := r.file.Messages()
	var m protoreflect.MessageDescriptor
	for _, at := range path {
		if at < 0 || at >= int64(messages.Len()) {
			return nil, nil, errProto
		}
		m = messages.Get(int(at))
		messages = m.Messages()
	}
	return m, b, nil
}

func (r *protoFileReader) reader(m protoreflect.MessageDescriptor, depth int) (*protoReader, error) {
	if made := r.readers[m.FullName()]; made != nil {
		return made, nil
	}
	if depth > refersMost {
		return nil, fmt.Errorf("The message %s lies in itself, which is not supported", m.FullName())
	}
	out := &protoReader{fields: map[protowire.Number]*protoPart{}}
	var fields []sdk.Field
	unions := map[protoreflect.FullName]int{}
	for i := range m.Fields().Len() {
		f := m.Fields().Get(i)
		part, zero, err := r.part(f, depth)
		if err != nil {
			return nil, err
		}
		out.fields[f.Number()] = part
		if o := f.ContainingOneof(); o != nil && !o.IsSynthetic() {
			at, made := unions[o.FullName()]
			if !made {
				at = len(fields)
				unions[o.FullName()] = at
				fields = append(fields, sdk.Field{Name: fmt.Sprintf("%s_%d", o.Name(), o.Index())})
				out.empty = append(out.empty, nil)
			}
			old := fields[at].Schema
			var inner []sdk.Field
			if old != nil {
				inner = slices.Clone(old.Fields)
			}
			part.at, part.in = at, len(inner)
			union := sdk.NewStructure("io.confluent.connect.protobuf.Union."+string(o.Name()), append(inner, sdk.Field{Name: string(f.Name()), Schema: part.schema})...)
			union.Optional = true
			fields[at].Schema = union
			for _, p := range out.fields {
				if p == part || p.union == old && old != nil {
					p.union = union
				}
			}
			continue
		}
		part.at = len(fields)
		fields = append(fields, sdk.Field{Name: string(f.Name()), Schema: part.schema})
		out.empty = append(out.empty, zero)
	}
	name := string(m.Name())
	if r.format.packages || m.ParentFile() == r.file && m.Parent() == protoreflect.Descriptor(r.file) {
		name = string(m.FullName())
	}
	out.schema = sdk.NewStructure(name, fields...)
	r.readers[m.FullName()] = out
	return out, nil
}

// wrappers are the messages that hold a plain value which may be null.
var wrappers = []protoreflect.FullName{"google.protobuf.DoubleValue", "google.protobuf.FloatValue", "google.protobuf.Int64Value", "google.protobuf.UInt64Value",
	"google.protobuf.Int32Value", "google.protobuf.UInt32Value", "google.protobuf.BoolValue", "google.protobuf.StringValue", "google.protobuf.BytesValue"}

// part makes what reads a field, and what it is if it is not there.
func (r *protoFileReader) part(f protoreflect.FieldDescriptor, depth int) (*protoPart, any, error) {
	if f.IsMap() {
		key, _, err := r.one(f.MapKey(), depth)
		if err != nil {
			return nil, nil, err
		}
		elem, _, err := r.one(f.MapValue(), depth)
		if err != nil {
			return nil, nil, err
		}
		s := sdk.NewMap(required(key.schema), elem.schema)
		s.Optional = true
		if key.schema.Type == sdk.String {
			return &protoPart{key: key, elem: elem, schema: s}, map[string]any{}, nil
		}
		return &protoPart{key: key, elem: elem, schema: s}, []sdk.Entry{}, nil
	}
	p, zero, err := r.one(f, depth)
	if err != nil || !f.IsList() {
		return p, zero, err
	}
	s := sdk.NewArray(p.schema)
	s.Optional = true
	return &protoPart{list: true, elem: p, schema: s}, []any{}, nil
}

func required(s *sdk.Schema) *sdk.Schema {
	c := *s
	c.Optional = false
	return &c
}

func (r *protoFileReader) one(f protoreflect.FieldDescriptor, depth int) (*protoPart, any, error) {
	p := &protoPart{kind: f.Kind()}
	var zero any
	t := sdk.Int64
	switch f.Kind() {
	case protoreflect.BoolKind:
		t, zero = sdk.Boolean, false
	case protoreflect.Int32Kind, protoreflect.Sint32Kind, protoreflect.Sfixed32Kind:
		t, zero = sdk.Int32, int32(0)
		switch metaParam(f, "connect.type") {
		case "int8":
			t, zero = sdk.Int8, int8(0)
		case "int16":
			t, zero = sdk.Int16, int16(0)
		}
	case protoreflect.FloatKind:
		t, zero = sdk.Float32, float32(0)
	case protoreflect.DoubleKind:
		t, zero = sdk.Float64, 0.0
	case protoreflect.StringKind:
		t, zero = sdk.String, ""
	case protoreflect.BytesKind:
		t, zero = sdk.Bytes, []byte{}
	case protoreflect.EnumKind:
		t, p.enum = sdk.String, f.Enum().Values()
		zero = p.symbol(0)
	case protoreflect.MessageKind, protoreflect.GroupKind:
		return p, nil, r.messagePart(p, f, depth)
	default:
		zero = int64(0)
	}
	p.schema = &sdk.Schema{Type: t, Optional: true}
	if r.format.nullables && !f.HasOptionalKeyword() && f.ContainingOneof() == nil {
		p.schema.Optional = false
	}
	if f.HasPresence() {
		zero = nil
	}
	return p, zero, nil
}

// metaParam gives what Confluent's converter keeps in a field's options.
func metaParam(f protoreflect.FieldDescriptor, name string) string {
	out := ""
	f.Options().ProtoReflect().Range(func(ext protoreflect.FieldDescriptor, v protoreflect.Value) bool {
		if ext.FullName() == "confluent.field_meta" {
			params := v.Message().Get(ext.Message().Fields().ByName("params")).Map()
			if p := params.Get(protoreflect.ValueOfString(name).MapKey()); p.IsValid() {
				out = p.String()
			}
		}
		return true
	})
	return out
}

func (r *protoFileReader) messagePart(p *protoPart, f protoreflect.FieldDescriptor, depth int) error {
	m := f.Message()
	p.message = m.FullName()
	switch p.message {
	case "google.protobuf.Timestamp":
		p.schema = &sdk.Schema{Type: sdk.Int64, Optional: true, Name: sdk.LogicalTimestamp, Version: 1}
	case "google.type.Date":
		p.schema = &sdk.Schema{Type: sdk.Int32, Optional: true, Name: sdk.LogicalDate, Version: 1}
	case "google.type.TimeOfDay":
		p.schema = &sdk.Schema{Type: sdk.Int32, Optional: true, Name: sdk.LogicalTime, Version: 1}
	case "confluent.type.Decimal":
		scale, err := strconv.ParseInt(metaParam(f, "scale"), 10, 32)
		if err != nil {
			return fmt.Errorf("The field %s is a decimal without a scale in its options, which is not supported", f.Name())
		}
		p.schema = sdk.NewDecimal(int32(scale)).AsOptional()
		if precision := metaParam(f, "precision"); precision != "" {
			p.schema.Params = append(p.schema.Params, sdk.Param{Name: "connect.decimal.precision", Value: precision})
		}
	default:
		if slices.Contains(wrappers, p.message) {
			var err error
			p.elem, _, err = r.one(m.Fields().Get(0), depth)
			if err == nil {
				p.schema = p.elem.schema.AsOptional()
			}
			return err
		}
		var err error
		if p.nested, err = r.reader(m, depth+1); err == nil {
			p.schema = p.nested.schema.AsOptional()
		}
		return err
	}
	return nil
}

func (p *protoPart) symbol(n int32) any {
	if v := p.enum.ByNumber(protoreflect.EnumNumber(n)); v != nil {
		return string(v.Name())
	}
	return fmt.Sprint(n)
}

// message reads a message's fields.
func (r *protoReader) message(b []byte, depth int) (*sdk.Struct, error) {
	if depth > refersMost {
		return nil, errProto
	}
	out := &sdk.Struct{Schema: r.schema, Values: slices.Clone(r.empty)}
	for len(b) > 0 {
		n, typ, size := protowire.ConsumeTag(b)
		if size < 0 {
			return nil, errProto
		}
		b = b[size:]
		size = protowire.ConsumeFieldValue(n, typ, b)
		if size < 0 {
			return nil, errProto
		}
		data := b[:size]
		b = b[size:]
		p := r.fields[n]
		if p == nil {
			continue
		}
		v, err := p.merge(out.Values[p.at], data, typ, depth)
		if err != nil {
			return nil, err
		}
		if p.union != nil {
			u := sdk.NewStruct(p.union)
			u.Values[p.in] = v
			v = u
		}
		out.Values[p.at] = v
	}
	return out, nil
}

// merge reads a field that may have come before: lists and maps grow, others are replaced.
func (p *protoPart) merge(old any, b []byte, typ protowire.Type, depth int) (any, error) {
	switch {
	case p.key != nil:
		return p.entry(old, b, typ, depth)
	case !p.list:
		return p.value(b, typ, depth)
	}
	list, _ := old.([]any)
	if typ == protowire.BytesType && p.elem.wire() != protowire.BytesType { // packed
		data, size := protowire.ConsumeBytes(b)
		if size < 0 {
			return nil, errProto
		}
		for len(data) > 0 {
			size := protowire.ConsumeFieldValue(1, p.elem.wire(), data)
			if size <= 0 {
				return nil, errProto
			}
			v, err := p.elem.value(data[:size], p.elem.wire(), depth)
			if err != nil {
				return nil, err
			}
			list, data = append(list, v), data[size:]
		}
		return list, nil
	}
	v, err := p.elem.value(b, typ, depth)
	return append(list, v), err
}

func (p *protoPart) wire() protowire.Type {
	switch p.kind {
	case protoreflect.StringKind, protoreflect.BytesKind, protoreflect.MessageKind:
		return protowire.BytesType
	case protoreflect.GroupKind:
		return protowire.StartGroupType
	case protoreflect.Fixed32Kind, protoreflect.Sfixed32Kind, protoreflect.FloatKind:
		return protowire.Fixed32Type
	case protoreflect.Fixed64Kind, protoreflect.Sfixed64Kind, protoreflect.DoubleKind:
		return protowire.Fixed64Type
	}
	return protowire.VarintType
}

func (p *protoPart) entry(old any, b []byte, typ protowire.Type, depth int) (any, error) {
	pair := protoReader{schema: sdk.NewStructure("", sdk.Field{Name: "key", Schema: p.key.schema}, sdk.Field{Name: "value", Schema: p.elem.schema}),
		fields: map[protowire.Number]*protoPart{1: p.key, 2: p.elem}, empty: []any{p.key.zero(), p.elem.zero()}}
	p.key.at, p.elem.at = 0, 1
	data, size := protowire.ConsumeBytes(b)
	if size < 0 || typ != protowire.BytesType {
		return nil, errProto
	}
	e, err := pair.message(data, depth)
	if err != nil {
		return nil, err
	}
	if p.key.schema.Type == sdk.String {
		m, _ := old.(map[string]any)
		if len(m) == 0 {
			m = map[string]any{} // the empty one belongs to all messages
		}
		key, _ := e.Values[0].(string)
		m[key] = e.Values[1]
		return m, nil
	}
	entries, _ := old.([]sdk.Entry)
	return append(entries, sdk.Entry{Key: e.Values[0], Value: e.Values[1]}), nil
}

// zero is what a key or value of a map is that is not there.
func (p *protoPart) zero() any {
	if p.enum != nil {
		return p.symbol(0)
	}
	switch p.schema.Type {
	case sdk.String:
		return ""
	case sdk.Bytes:
		return []byte{}
	case sdk.Boolean:
		return false
	}
	if p.message != "" {
		return nil
	}
	return (&jsonConverter{}).ofSize(p.schema.Type, number{})
}

func (p *protoPart) value(b []byte, typ protowire.Type, depth int) (any, error) {
	if typ != p.wire() {
		return nil, errProto
	}
	switch typ {
	case protowire.VarintType:
		n, _ := protowire.ConsumeVarint(b)
		return p.varint(n), nil
	case protowire.Fixed32Type:
		n, _ := protowire.ConsumeFixed32(b)
		switch p.kind {
		case protoreflect.FloatKind:
			return math.Float32frombits(n), nil
		case protoreflect.Sfixed32Kind:
			return p.whole(int64(int32(n))), nil
		}
		return int64(n), nil
	case protowire.Fixed64Type:
		n, _ := protowire.ConsumeFixed64(b)
		if p.kind == protoreflect.DoubleKind {
			return math.Float64frombits(n), nil
		}
		return int64(n), nil
	case protowire.StartGroupType:
		return nil, errors.New("Groups are not supported")
	}
	data, _ := protowire.ConsumeBytes(b)
	switch p.kind {
	case protoreflect.StringKind:
		return string(data), nil
	case protoreflect.BytesKind:
		return append([]byte{}, data...), nil
	}
	return p.messageValue(data, depth)
}

func (p *protoPart) varint(n uint64) any {
	switch p.kind {
	case protoreflect.BoolKind:
		return protowire.DecodeBool(n)
	case protoreflect.EnumKind:
		return p.symbol(int32(n))
	case protoreflect.Sint32Kind:
		return p.whole(protowire.DecodeZigZag(n & math.MaxUint32))
	case protoreflect.Sint64Kind:
		return protowire.DecodeZigZag(n)
	case protoreflect.Uint32Kind:
		return int64(uint32(n))
	case protoreflect.Int32Kind:
		return p.whole(int64(int32(n)))
	}
	return int64(n)
}

func (p *protoPart) whole(n int64) any {
	switch p.schema.Type {
	case sdk.Int8:
		return int8(n)
	case sdk.Int16:
		return int16(n)
	}
	return int32(n)
}

func (p *protoPart) messageValue(b []byte, depth int) (any, error) {
	switch {
	case p.nested != nil:
		s, err := p.nested.message(b, depth+1)
		if err != nil {
			return nil, err
		}
		s.Schema = p.schema // optional or not, as the field is
		return s, nil
	case p.elem != nil: // a wrapper
		inner := protoReader{schema: sdk.NewStructure("", sdk.Field{Name: "value", Schema: p.elem.schema}),
			fields: map[protowire.Number]*protoPart{1: p.elem}, empty: []any{p.elem.zero()}}
		s, err := inner.message(b, depth+1)
		if err != nil {
			return nil, err
		}
		return s.Values[0], nil
	}
	if p.schema.Name == sdk.LogicalDecimal {
		return decimalOf(b)
	}
	n, err := numbers(b)
	if err != nil {
		return nil, err
	}
	switch p.schema.Name {
	case sdk.LogicalDate:
		return time.Date(int(n[1]), time.Month(n[2]), int(n[3]), 0, 0, 0, 0, time.UTC), nil
	case sdk.LogicalTime:
		return values.FromLogical(sdk.LogicalTime, n[1]*3600000+n[2]*60000+n[3]*1000+n[4]/1e6)
	}
	return time.Unix(n[1], n[2]).UTC().Truncate(time.Millisecond), nil
}

// decimalOf reads a decimal, with the scale that is in it.
func decimalOf(b []byte) (any, error) {
	n, err := numbers(b)
	if err != nil {
		return nil, err
	}
	var unscaled []byte
	for len(b) > 0 {
		field, typ, size := protowire.ConsumeTag(b)
		data, _ := protowire.ConsumeBytes(b[size:])
		if field == 1 && typ == protowire.BytesType {
			unscaled = data
		}
		b = b[size+protowire.ConsumeFieldValue(field, typ, b[size:]):]
	}
	return sdk.DecimalFromBytes(unscaled, int32(n[3])), nil
}

// numbers reads the fields of a message of whole numbers.
func numbers(b []byte) (out [5]int64, err error) {
	for len(b) > 0 {
		n, typ, size := protowire.ConsumeTag(b)
		if size < 0 {
			return out, errProto
		}
		b = b[size:]
		if size = protowire.ConsumeFieldValue(n, typ, b); size < 0 {
			return out, errProto
		}
		if v, ok := protowire.ConsumeVarint(b); ok > 0 && typ == protowire.VarintType && int(n) < len(out) {
			out[n] = int64(v)
		}
		b = b[size:]
	}
	return out, nil
}
