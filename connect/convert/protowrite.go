package convert

import (
	"errors"
	"fmt"
	"math"
	"strconv"
	"strings"
	"time"

	"github.com/twmb/franz-go/pkg/sr"
	"google.golang.org/protobuf/encoding/protowire"

	"github.com/weir/weir/connect/sdk"
	"github.com/weir/weir/connect/values"
)

var protobufOptions = append(registryOptions[:len(registryOptions):len(registryOptions)],
	sdk.Option{Name: "optional.for.nullables", Kind: sdk.BooleanOption, Default: "false", Importance: sdk.Medium, Order: -1,
		Doc: "Whether optional fields are written with the keyword optional, so that nulls stay nulls. Otherwise they are read as zero or nothing."},
	sdk.Option{Name: "enhanced.protobuf.schema.support", Kind: sdk.BooleanOption, Default: "false", Importance: sdk.Medium, Order: -1,
		Doc: "Whether the package is kept in the names of messages."},
	sdk.Option{Name: "scrub.invalid.names", Kind: sdk.BooleanOption, Default: "false", Importance: sdk.Medium, Order: -1,
		Doc: "Whether to replace what Protobuf does not allow in names by underscores."},
)

// protobufFormat is Protobuf as Confluent's ProtobufConverter writes it.
type protobufFormat struct {
	nullables bool // the keyword optional
	packages  bool // in names
	names     avroBuilder
}

func newProtobuf(v sdk.Values) (format, error) {
	return &protobufFormat{v.Bool("optional.for.nullables"), v.Bool("enhanced.protobuf.schema.support"), avroBuilder{format: &avroFormat{scrub: v.Bool("scrub.invalid.names")}}}, nil
}

// protoWriter writes values of one schema.
type protoWriter struct {
	schema  *sdk.Schema
	message []protoField // of a structure
	elem    *protoWriter
	key     *protoWriter
	scale   int32
	typ     string // as fields have it
}

type protoField struct {
	*protoWriter
	number   protowire.Number
	presence bool // zero is written, too
}

func (f *protobufFormat) writer(s *sdk.Schema) (payloadWriter, sr.Schema, string, error) {
	if s == nil || s.Type != sdk.Structure {
		return nil, sr.Schema{}, "", errors.New("Unsupported root schema: Protobuf needs structures; use another converter for keys and values of plain types")
	}
	b := protoBuilder{format: f, imports: map[string]bool{}}
	space, name := splitName(s.Name)
	if s.Name == "" {
		name = "ConnectDefault1"
	}
	name, err := f.names.name(name)
	if err == nil {
		space, err = f.names.space(space)
	}
	if err != nil {
		return nil, sr.Schema{}, "", err
	}
	w, err := b.message(s, name, "", 0)
	if err != nil {
		return nil, sr.Schema{}, "", err
	}
	text := &strings.Builder{}
	text.WriteString("syntax = \"proto3\";\n")
	full := name
	if space != "" {
		text.WriteString("package " + space + ";\n")
		full = space + "." + name
	}
	text.WriteByte('\n')
	for _, path := range protoImports {
		if b.imports[path] {
			text.WriteString("import \"" + path + "\";\n")
		}
	}
	if len(b.imports) > 0 {
		text.WriteByte('\n')
	}
	text.WriteString(b.text.String())
	return protoRoot{w}, sr.Schema{Schema: text.String(), Type: sr.TypeProtobuf}, full, nil
}

// protoImports are the files that fields' types may come from.
var protoImports = []string{"confluent/meta.proto", "confluent/type/decimal.proto", "google/protobuf/timestamp.proto", "google/type/date.proto", "google/type/timeofday.proto"}

type protoBuilder struct {
	format  *protobufFormat
	imports map[string]bool
	text    strings.Builder
	unnamed int
}

// message writes a structure's message, with those of its fields inside.
func (b *protoBuilder) message(s *sdk.Schema, name, indent string, depth int) (*protoWriter, error) {
	if depth > refersMost {
		return nil, errors.New("a schema lies in itself")
	}
	w := &protoWriter{schema: s, typ: name}
	b.text.WriteString(indent + "message " + name + " {\n")
	inner := map[string]*protoWriter{}
	var fields strings.Builder
	for i, f := range s.Fields {
		label, fw, err := b.field(f.Schema, inner, indent+"  ", depth)
		if err != nil {
			return nil, err
		}
		fieldName, err := b.format.names.name(f.Name)
		if err != nil {
			return nil, err
		}
		plain := label == "" && fw.message == nil
		presence := plain && f.Schema.Optional && b.format.nullables
		if presence {
			label = "optional "
		}
		fields.WriteString(fmt.Sprintf("%s  %s%s %s = %d%s;\n", indent, label, fw.typ, fieldName, i+1, b.meta(f.Schema)))
		w.message = append(w.message, protoField{fw, protowire.Number(i + 1), presence})
	}
	if w.message == nil {
		w.message = []protoField{}
	}
	b.text.WriteString(fields.String() + indent + "}\n")
	return w, nil
}

// meta writes what Protobuf has no place for.
func (b *protoBuilder) meta(s *sdk.Schema) string {
	if s.Type == sdk.Array && s.Elem != nil {
		s = s.Elem
	}
	var params []string
	param := func(key, value string) {
		params = append(params, "{ key: \""+key+"\", value: \""+value+"\" }")
	}
	switch {
	case s.Name == sdk.LogicalDecimal:
		if p, ok := s.Param("connect.decimal.precision"); ok {
			param("precision", p)
		}
		scale, _ := s.Param("scale")
		param("scale", scale)
	case s.Type == sdk.Int8 || s.Type == sdk.Int16:
		param("connect.type", s.Type.String())
	default:
		return ""
	}
	b.imports["confluent/meta.proto"] = true
	return " [(confluent.field_meta) = { params: [" + strings.Join(params, ", ") + "] }]"
}

var protoTypes = map[sdk.Type]string{
	sdk.Int8: "int32", sdk.Int16: "int32", sdk.Int32: "int32", sdk.Int64: "int64", sdk.Float32: "float", sdk.Float64: "double",
	sdk.Boolean: "bool", sdk.String: "string", sdk.Bytes: "bytes",
}

func (b *protoBuilder) field(s *sdk.Schema, inner map[string]*protoWriter, indent string, depth int) (label string, w *protoWriter, err error) {
	external := func(path, typ string) {
		b.imports[path] = true
		w = &protoWriter{schema: s, typ: typ, message: []protoField{}}
	}
	switch s.Name {
	case sdk.LogicalDecimal:
		external("confluent/type/decimal.proto", "confluent.type.Decimal")
		w.scale, err = values.Scale(s)
		return "", w, err
	case sdk.LogicalDate:
		external("google/type/date.proto", "google.type.Date")
		return "", w, nil
	case sdk.LogicalTime:
		external("google/type/timeofday.proto", "google.type.TimeOfDay")
		return "", w, nil
	case sdk.LogicalTimestamp:
		external("google/protobuf/timestamp.proto", "google.protobuf.Timestamp")
		return "", w, nil
	}
	switch s.Type {
	case sdk.Structure:
		w, err = b.nested(s, inner, indent, depth)
		return "", w, err
	case sdk.Array:
		if s.Elem == nil || s.Elem.Type == sdk.Array || s.Elem.Type == sdk.Map {
			return "", nil, errors.New("Arrays of arrays and of maps are not supported with Protobuf")
		}
		_, elem, err := b.field(s.Elem, inner, indent, depth)
		if err != nil {
			return "", nil, err
		}
		return "repeated ", &protoWriter{schema: s, elem: elem, typ: elem.typ}, nil
	case sdk.Map:
		if s.Key == nil || s.Elem == nil || s.Key.Type == sdk.Float32 || s.Key.Type == sdk.Float64 || s.Key.Type > sdk.String || s.Elem.Type == sdk.Array || s.Elem.Type == sdk.Map {
			return "", nil, errors.New("Maps of maps and arrays, and by other keys than numbers, strings and booleans, are not supported with Protobuf")
		}
		if s.Elem.Name == sdk.LogicalDecimal {
			return "", nil, errors.New("Maps of decimals are not supported with Protobuf, which has no place for their scale")
		}
		_, key, err := b.field(s.Key, inner, indent, depth)
		if err != nil {
			return "", nil, err
		}
		_, elem, err := b.field(s.Elem, inner, indent, depth)
		if err != nil {
			return "", nil, err
		}
		return "map", &protoWriter{schema: s, key: key, elem: elem, typ: "<" + key.typ + ", " + elem.typ + ">"}, nil
	}
	return "", &protoWriter{schema: s, typ: protoTypes[s.Type]}, nil
}

// nested writes the message of a structure in another, once for each name.
func (b *protoBuilder) nested(s *sdk.Schema, inner map[string]*protoWriter, indent string, depth int) (*protoWriter, error) {
	_, name := splitName(s.Name)
	if s.Name == "" {
		b.unnamed++
		name = "ConnectDefault" + strconv.Itoa(b.unnamed+1)
	}
	name, err := b.format.names.name(name)
	if err != nil {
		return nil, err
	}
	if known := inner[name]; known != nil {
		if !sameButOptional(known.schema, s) {
			return nil, fmt.Errorf("Two messages with the name %s differ", name)
		}
		return known, nil
	}
	w, err := b.message(s, name, indent, depth+1)
	inner[name] = w
	return w, err
}

// protoRoot writes a message after its place in the file: the first.
type protoRoot struct{ *protoWriter }

func (w protoRoot) append(dst []byte, v any) ([]byte, error) {
	s, ok := v.(*sdk.Struct)
	if !ok {
		return nil, w.mismatch(v)
	}
	return w.appendStruct(append(dst, 0), s)
}

func (w *protoWriter) mismatch(v any) error {
	return fmt.Errorf("Invalid type for %s: %s", values.JavaType(w.schema.Type), values.Class(v))
}

func (w *protoWriter) appendStruct(dst []byte, s *sdk.Struct) (_ []byte, err error) {
	if s.Schema != w.schema && !sameButOptional(s.Schema, w.schema) {
		return nil, errSchemas
	}
	for i := range w.message {
		f := &w.message[i]
		v := values.WithDefault(s, i)
		if v == nil {
			if !f.schema.Optional && !s.Schema.Fields[i].Schema.Optional {
				return nil, fmt.Errorf("Invalid value: null used for required field: \"%s\", schema type: %s", s.Schema.Fields[i].Name, values.JavaType(f.schema.Type))
			}
			continue
		}
		if dst, err = f.appendField(dst, f.number, v, f.presence); err != nil {
			return nil, err
		}
	}
	return dst, nil
}

// appendField writes a field with its number. zero: also if it is nothing.
func (w *protoWriter) appendField(dst []byte, n protowire.Number, v any, zero bool) (_ []byte, err error) {
	switch {
	case w.key != nil:
		return w.appendMap(dst, n, v)
	case w.elem != nil:
		return w.appendList(dst, n, v)
	case w.message != nil:
		return appendNestedField(dst, n, func(dst []byte) ([]byte, error) { return w.appendMessage(dst, v) })
	}
	if values.TypeOf(v) != w.schema.Type {
		return nil, w.mismatch(v)
	}
	start := len(dst)
	dst = protowire.AppendTag(dst, n, wireType(w.schema.Type))
	tagged := len(dst)
	dst = appendProto(dst, v)
	if !zero && isZero(dst[tagged:], w.schema.Type) {
		dst = dst[:start]
	}
	return dst, nil
}

func isZero(b []byte, t sdk.Type) bool {
	for _, c := range b {
		if c != 0 {
			return false
		}
	}
	return len(b) == 1 || t == sdk.Float32 || t == sdk.Float64
}

func wireType(t sdk.Type) protowire.Type {
	switch t {
	case sdk.Float32:
		return protowire.Fixed32Type
	case sdk.Float64:
		return protowire.Fixed64Type
	case sdk.String, sdk.Bytes:
		return protowire.BytesType
	}
	return protowire.VarintType
}

func appendProto(dst []byte, v any) []byte {
	switch v := v.(type) {
	case float32:
		return protowire.AppendFixed32(dst, math.Float32bits(v))
	case float64:
		return protowire.AppendFixed64(dst, math.Float64bits(v))
	case string:
		return protowire.AppendString(dst, strings.ToValidUTF8(v, "\uFFFD"))
	case []byte:
		return protowire.AppendBytes(dst, v)
	case bool:
		return protowire.AppendVarint(dst, protowire.EncodeBool(v))
	}
	n, _ := values.Long(v)
	return protowire.AppendVarint(dst, uint64(n))
}

// appendNestedField writes a message as a field: its length is known after it.
func appendNestedField(dst []byte, n protowire.Number, body func(dst []byte) ([]byte, error)) ([]byte, error) {
	dst = protowire.AppendTag(dst, n, protowire.BytesType)
	start := len(dst)
	dst, err := body(dst)
	if err != nil {
		return nil, err
	}
	size := len(dst) - start
	shift := protowire.SizeVarint(uint64(size))
	var room [10]byte
	dst = append(dst, room[:shift]...)
	copy(dst[start+shift:], dst[start:start+size])
	protowire.AppendVarint(dst[:start], uint64(size))
	return dst, nil
}

func (w *protoWriter) appendMessage(dst []byte, v any) ([]byte, error) {
	varint := func(n protowire.Number, x int64) {
		if x != 0 {
			dst = protowire.AppendVarint(protowire.AppendTag(dst, n, protowire.VarintType), uint64(x))
		}
	}
	switch v := v.(type) {
	case *sdk.Struct:
		if w.schema.Type == sdk.Structure {
			return w.appendStruct(dst, v)
		}
	case sdk.Decimal:
		if w.schema.Name == sdk.LogicalDecimal {
			if v.Scale != w.scale {
				return failed("Decimal value has mismatching scale for given Decimal schema. Schema has scale %d, value has scale %d.", w.scale, v.Scale)
			}
			dst = protowire.AppendBytes(protowire.AppendTag(dst, 1, protowire.BytesType), v.AppendBytes(nil))
			if p, ok := w.schema.Param("connect.decimal.precision"); ok {
				n, _ := strconv.ParseUint(p, 10, 32)
				varint(2, int64(n))
			}
			varint(3, int64(v.Scale))
			return dst, nil
		}
	case time.Time:
		ms, err := values.ToLogical(w.schema.Name, v)
		if err != nil {
			return nil, err
		}
		v = v.UTC()
		switch w.schema.Name {
		case sdk.LogicalDate:
			varint(1, int64(v.Year()))
			varint(2, int64(v.Month()))
			varint(3, int64(v.Day()))
			return dst, nil
		case sdk.LogicalTime:
			varint(1, ms/3600000)
			varint(2, ms/60000%60)
			varint(3, ms/1000%60)
			varint(4, ms%1000*1e6)
			return dst, nil
		case sdk.LogicalTimestamp:
			varint(1, v.Unix())
			varint(2, int64(v.Nanosecond()/1e6*1e6))
			return dst, nil
		}
	}
	return nil, w.mismatch(v)
}

func (w *protoWriter) appendList(dst []byte, n protowire.Number, v any) (_ []byte, err error) {
	list, ok := v.([]any)
	if !ok {
		return nil, w.mismatch(v)
	}
	packed := w.elem.message == nil && wireType(w.elem.schema.Type) != protowire.BytesType
	for _, e := range list {
		if e == nil {
			return failed("Arrays in Protobuf have no nulls, and there is one")
		}
		if packed && values.TypeOf(e) != w.elem.schema.Type {
			return nil, w.elem.mismatch(e)
		}
	}
	if packed && len(list) > 0 {
		return appendNestedField(dst, n, func(dst []byte) ([]byte, error) {
			for _, e := range list {
				dst = appendProto(dst, e)
			}
			return dst, nil
		})
	}
	for _, e := range list {
		if dst, err = w.elem.appendField(dst, n, e, true); err != nil {
			return nil, err
		}
	}
	return dst, nil
}

func (w *protoWriter) appendMap(dst []byte, n protowire.Number, v any) (_ []byte, err error) {
	entry := func(key, value any) {
		if err != nil {
			return
		}
		dst, err = appendNestedField(dst, n, func(dst []byte) ([]byte, error) {
			dst, err := w.key.appendField(dst, 1, key, false)
			if err != nil || value == nil {
				return dst, err
			}
			return w.elem.appendField(dst, 2, value, false)
		})
	}
	switch v := v.(type) {
	case map[string]any:
		for _, k := range values.JavaOrder(v) {
			entry(k, v[k])
		}
	case []sdk.Entry:
		for _, e := range v {
			entry(e.Key, e.Value)
		}
	default:
		return nil, w.mismatch(v)
	}
	return dst, err
}
