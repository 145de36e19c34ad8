package convert

import (
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"strconv"
	"strings"
	"time"

	"github.com/twmb/franz-go/pkg/sr"

	"github.com/weir/weir/connect/sdk"
	"github.com/weir/weir/connect/values"
)

var avroOptions = append(registryOptions[:len(registryOptions):len(registryOptions)],
	sdk.Option{Name: "connect.meta.data", Kind: sdk.BooleanOption, Default: "true", Importance: sdk.Low, Order: -1,
		Doc: "Whether schemas carry what Avro has no place for: names, versions, parameters and types of Kafka Connect."},
	sdk.Option{Name: "scrub.invalid.names", Kind: sdk.BooleanOption, Default: "false", Importance: sdk.Medium, Order: -1,
		Doc: "Whether to replace what Avro does not allow in names by underscores."},
)

const (
	confluent    = "io.confluent.connect.avro"
	anything     = confluent + ".Anything"
	fieldDefault = confluent + ".field.default"
	enumType     = confluent + ".Enum"
	unionType    = confluent + ".Union"
	mapEntry     = "MapEntry"
	// decimalPrecision is the precision of decimals whose schema says none.
	decimalPrecision = "64"
)

// avroFormat is Avro as Confluent's AvroConverter writes it.
type avroFormat struct {
	meta, scrub bool
}

func newAvro(v sdk.Values) (format, error) {
	return &avroFormat{v.Bool("connect.meta.data"), v.Bool("scrub.invalid.names")}, nil
}

// avroWriter writes values of one schema.
type avroWriter struct {
	schema *sdk.Schema // nil: anything
	text   string      // as JSON, without the union with null
	name   string      // of a record
	branch int         // where the value is in the union of an optional one: after null, or before if there is a default; -1: not optional
	fields []*avroWriter
	key    *avroWriter
	elem   *avroWriter
	scale  int32
}

func (f *avroFormat) writer(s *sdk.Schema) (payloadWriter, sr.Schema, string, error) {
	if s == nil {
		return &avroWriter{branch: -1}, sr.Schema{Schema: anythingSchema, Type: sr.TypeAvro}, anything, nil
	}
	b := avroBuilder{format: f, named: map[string]*sdk.Schema{}}
	w, err := b.build(s, "", 0)
	if err != nil {
		return nil, sr.Schema{}, "", err
	}
	return w, sr.Schema{Schema: w.union(), Type: sr.TypeAvro}, w.name, nil
}

const anythingSchema = `{"type":"record","name":"Anything","namespace":"io.confluent.connect.avro","fields":[` +
	`{"name":"boolean","type":["null","boolean"],"default":null},{"name":"bytes","type":["null","bytes"],"default":null},` +
	`{"name":"double","type":["null","double"],"default":null},{"name":"float","type":["null","float"],"default":null},` +
	`{"name":"int","type":["null","int"],"default":null},{"name":"long","type":["null","long"],"default":null},` +
	`{"name":"string","type":["null","string"],"default":null},{"name":"array","type":["null",{"type":"array","items":"Anything"}],"default":null},` +
	`{"name":"map","type":["null",{"type":"array","items":{"type":"record","name":"MapEntry","fields":[{"name":"key","type":"Anything"},{"name":"value","type":"Anything"}]}}],"default":null}]}`

// union gives the schema with null, if it is optional.
func (w *avroWriter) union() string {
	switch w.branch {
	case 0:
		return "[" + w.text + `,"null"]`
	case 1:
		return `["null",` + w.text + "]"
	}
	return w.text
}

// avroBuilder writes the text of schemas. A record that comes again is named only.
type avroBuilder struct {
	format *avroFormat
	named  map[string]*sdk.Schema
}

func (b *avroBuilder) build(s *sdk.Schema, namespace string, depth int) (*avroWriter, error) {
	if depth > depthMost {
		return nil, errors.New("a schema lies in itself")
	}
	w := &avroWriter{schema: s, branch: -1}
	if s.Optional {
		w.branch = 1
		if s.Default != nil && s.Type != sdk.Structure {
			w.branch = 0
		}
	}
	text := &strings.Builder{}
	var err error
	switch s.Type {
	case sdk.Structure:
		return w, b.record(w, text, namespace, depth)
	case sdk.Array:
		if s.Elem == nil {
			return nil, errors.New("Array schema did not specify the element type")
		}
		if w.elem, err = b.build(s.Elem, namespace, depth+1); err != nil {
			return nil, err
		}
		text.WriteString(`{"type":"array","items":` + w.elem.union())
	case sdk.Map:
		if err := b.mapping(w, text, namespace, depth); err != nil {
			return nil, err
		}
	default:
		text.WriteString(`{"type":"` + avroTypes[s.Type] + `"`)
		if s.Name == sdk.LogicalDecimal {
			if w.scale, err = values.Scale(s); err != nil {
				return nil, err
			}
		}
	}
	if err := b.properties(w, text); err != nil {
		return nil, err
	}
	w.text = text.String() + "}"
	if bare := `{"type":"` + avroTypes[s.Type] + `"}`; w.text == bare && s.Type <= sdk.Bytes {
		w.text = `"` + avroTypes[s.Type] + `"`
	}
	return w, nil
}

var avroTypes = map[sdk.Type]string{
	sdk.Int8: "int", sdk.Int16: "int", sdk.Int32: "int", sdk.Int64: "long", sdk.Float32: "float", sdk.Float64: "double",
	sdk.Boolean: "boolean", sdk.String: "string", sdk.Bytes: "bytes",
}

// mapping writes a map: Avro's if the keys are text, else an array of entries.
func (b *avroBuilder) mapping(w *avroWriter, text *strings.Builder, namespace string, depth int) (err error) {
	s := w.schema
	if s.Key == nil || s.Elem == nil {
		return errors.New("Map schema did not specify the types of its keys and values")
	}
	if s.Key.Type == sdk.String && !s.Key.Optional {
		w.elem, err = b.build(s.Elem, namespace, depth+1)
		if err == nil {
			text.WriteString(`{"type":"map","values":` + w.elem.union())
		}
		return err
	}
	space, name := confluent, mapEntry
	if s.Name != "" {
		space, name = splitName(s.Name)
	}
	if w.key, err = b.build(s.Key, space, depth+1); err != nil {
		return err
	}
	if w.elem, err = b.build(s.Elem, space, depth+1); err != nil {
		return err
	}
	text.WriteString(`{"type":"array","items":{"type":"record","name":"` + name + `"`)
	if space != namespace {
		text.WriteString(`,"namespace":` + quote(space))
	}
	text.WriteString(`,"fields":[{"name":"key","type":` + w.key.union() + `},{"name":"value","type":` + w.elem.union() + `}]`)
	if s.Name != "" {
		text.WriteString(`,"connect.internal.type":"MapEntry"`)
	}
	text.WriteByte('}')
	return nil
}

func (b *avroBuilder) record(w *avroWriter, text *strings.Builder, namespace string, depth int) error {
	s := w.schema
	space, name := confluent, "ConnectDefault"
	if s.Name != "" {
		space, name = splitName(s.Name)
	}
	var err error
	if name, err = b.name(name); err != nil {
		return err
	}
	if space, err = b.space(space); err != nil {
		return err
	}
	full := name
	if space != "" {
		full = space + "." + name
	}
	w.name = full
	known := b.named[full]
	if known != nil && !sameButOptional(known, s) {
		return fmt.Errorf("Can't redefine: %s", full)
	}
	b.named[full] = s
	text.WriteString(`{"type":"record","name":` + quote(name))
	if space != namespace {
		text.WriteString(`,"namespace":` + quote(space))
	}
	if doc, ok := s.Param(confluent + ".record.doc"); ok {
		text.WriteString(`,"doc":` + quote(doc))
	}
	text.WriteString(`,"fields":[`)
	for i, f := range s.Fields {
		if err := b.field(w, text, i, f, space, depth); err != nil {
			return err
		}
	}
	text.WriteByte(']')
	if err := b.properties(w, text); err != nil {
		return err
	}
	w.text = text.String() + "}"
	if known != nil {
		w.text = quote(full)
		if space == namespace {
			w.text = quote(name)
		}
	}
	return nil
}

func sameButOptional(a, b *sdk.Schema) bool {
	x, y := *a, *b
	x.Optional, y.Optional = false, false
	return x.Equal(&y)
}

func (b *avroBuilder) field(w *avroWriter, text *strings.Builder, i int, f sdk.Field, space string, depth int) error {
	fw, err := b.build(f.Schema, space, depth+1)
	if err != nil {
		return err
	}
	w.fields = append(w.fields, fw)
	name, err := b.name(f.Name)
	if err != nil {
		return err
	}
	if i > 0 {
		text.WriteByte(',')
	}
	text.WriteString(`{"name":` + quote(name) + `,"type":` + fw.union())
	if doc, ok := w.schema.Param(confluent + ".field.doc." + f.Name); ok {
		text.WriteString(`,"doc":` + quote(doc))
	}
	switch {
	case f.Schema.Default != nil:
		d, err := avroDefault(f.Schema, f.Schema.Default)
		if err != nil {
			return err
		}
		text.WriteString(`,"default":` + d)
	case f.Schema.Optional:
		text.WriteString(`,"default":null`)
	}
	text.WriteByte('}')
	return nil
}

// properties writes what Avro has no place for.
func (b *avroBuilder) properties(w *avroWriter, text *strings.Builder) error {
	s := w.schema
	decimal := s.Name == sdk.LogicalDecimal
	if decimal {
		text.WriteString(fmt.Sprintf(`,"scale":%d,"precision":%s`, w.scale, precision(s)))
	}
	if b.format.meta {
		if s.Doc != "" {
			text.WriteString(`,"connect.doc":` + quote(s.Doc))
		}
		if s.Version != 0 {
			text.WriteString(`,"connect.version":` + strconv.Itoa(int(s.Version)))
		}
		var params []byte
		for _, p := range s.Params {
			if p.Name != fieldDefault {
				params = appendString(append(appendString(comma(params, len(params)), p.Name), ':'), p.Value)
			}
		}
		if len(params) > 0 {
			text.WriteString(`,"connect.parameters":{` + string(params) + "}")
		}
		if _, flagged := s.Param(fieldDefault); s.Default != nil && !flagged {
			d, err := avroDefault(s, s.Default)
			if err != nil {
				return err
			}
			text.WriteString(`,"connect.default":` + d)
		}
		if s.Name != "" {
			text.WriteString(`,"connect.name":` + quote(s.Name))
		}
		if s.Type == sdk.Int8 || s.Type == sdk.Int16 {
			text.WriteString(`,"connect.type":"` + s.Type.String() + `"`)
		}
	}
	switch s.Name {
	case sdk.LogicalDecimal:
		text.WriteString(`,"logicalType":"decimal"`)
	case sdk.LogicalDate:
		text.WriteString(`,"logicalType":"date"`)
	case sdk.LogicalTime:
		text.WriteString(`,"logicalType":"time-millis"`)
	case sdk.LogicalTimestamp:
		text.WriteString(`,"logicalType":"timestamp-millis"`)
	}
	return nil
}

func precision(s *sdk.Schema) string {
	if p, ok := s.Param("connect.decimal.precision"); ok {
		if _, err := strconv.Atoi(p); err == nil {
			return p
		}
	}
	return decimalPrecision
}

func quote(s string) string { return string(appendString(nil, s)) }

func splitName(full string) (namespace, name string) {
	at := strings.LastIndexByte(full, '.')
	return full[:max(at, 0)], full[at+1:]
}

// name gives a name that Avro allows.
func (b *avroBuilder) name(s string) (string, error) {
	ok := func(i int, c byte) bool {
		return c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c == '_' || i > 0 && isNumber(c)
	}
	out := []byte(s)
	for i, c := range out {
		switch {
		case ok(i, c):
		case !b.format.scrub:
			return "", fmt.Errorf("Illegal character in: %s; set scrub.invalid.names=true, or give the source an adjustment of names", s)
		default:
			out[i] = '_'
		}
	}
	if s == "" {
		return "", errors.New("Empty name")
	}
	return string(out), nil
}

func (b *avroBuilder) space(s string) (string, error) {
	if s == "" {
		return "", nil
	}
	parts := strings.Split(s, ".")
	for i := range parts {
		var err error
		if parts[i], err = b.name(parts[i]); err != nil {
			return "", err
		}
	}
	return strings.Join(parts, "."), nil
}

// avroDefault writes a default as JSON: bytes are a character each.
func avroDefault(s *sdk.Schema, v any) (string, error) {
	switch x := v.(type) {
	case []byte:
		return quoteBytes(x), nil
	case sdk.Decimal:
		return quoteBytes(x.AppendBytes(nil)), nil
	case time.Time:
		n, err := values.ToLogical(s.Name, x)
		return strconv.FormatInt(n, 10), err
	case *sdk.Struct:
		return join('{', '}', len(x.Values), func(i int) (string, error) {
			f := x.Schema.Fields[i]
			d, err := avroDefault(f.Schema, values.WithDefault(x, i))
			return quote(f.Name) + ":" + d, err
		})
	case []any:
		return join('[', ']', len(x), func(i int) (string, error) { return avroDefault(s.Elem, x[i]) })
	case map[string]any:
		keys := values.JavaOrder(x)
		return join('{', '}', len(keys), func(i int) (string, error) {
			d, err := avroDefault(s.Elem, x[keys[i]])
			return quote(keys[i]) + ":" + d, err
		})
	}
	b, err := (&jsonConverter{}).appendFree(nil, v)
	return string(b), err
}

func join(open, end byte, n int, item func(i int) (string, error)) (string, error) {
	out := []byte{open}
	for i := range n {
		s, err := item(i)
		if err != nil {
			return "", err
		}
		out = append(comma(out, i), s...)
	}
	return string(append(out, end)), nil
}

func quoteBytes(b []byte) string {
	runes := make([]rune, len(b))
	for i, c := range b {
		runes[i] = rune(c)
	}
	return quote(string(runes))
}

func (w *avroWriter) append(dst []byte, v any) (_ []byte, err error) {
	if w.schema == nil {
		return appendAnything(dst, v)
	}
	if w.branch >= 0 {
		if v == nil {
			return append(dst, byte(2*(1-w.branch))), nil
		}
		dst = append(dst, byte(2*w.branch))
	}
	if v == nil {
		return failed("Found null value for non-optional schema")
	}
	switch v := v.(type) {
	case time.Time:
		if w.schema.Name == sdk.LogicalDate || w.schema.Name == sdk.LogicalTime || w.schema.Name == sdk.LogicalTimestamp {
			n, err := values.ToLogical(w.schema.Name, v)
			return binary.AppendVarint(dst, n), err
		}
	case sdk.Decimal:
		if w.schema.Name != sdk.LogicalDecimal {
			break
		}
		if v.Scale != w.scale {
			return failed("Decimal value has mismatching scale for given Decimal schema. Schema has scale %d, value has scale %d.", w.scale, v.Scale)
		}
		var few [32]byte
		return appendAvroBytes(dst, v.AppendBytes(few[:0])), nil
	default:
		if out, ok := w.appendPlain(dst, v); ok {
			return out, nil
		}
		return w.appendMany(dst, v)
	}
	return nil, w.mismatch(v)
}

func (w *avroWriter) mismatch(v any) error {
	return fmt.Errorf("Invalid type for %s: %s", values.JavaType(w.schema.Type), values.Class(v))
}

func (w *avroWriter) appendPlain(dst []byte, v any) ([]byte, bool) {
	if values.TypeOf(v) != w.schema.Type || w.schema.Name == sdk.LogicalDecimal {
		return nil, false
	}
	switch v := v.(type) {
	case int8:
		return binary.AppendVarint(dst, int64(v)), true
	case int16:
		return binary.AppendVarint(dst, int64(v)), true
	case int32:
		return binary.AppendVarint(dst, int64(v)), true
	case int64:
		return binary.AppendVarint(dst, v), true
	case float32:
		return binary.LittleEndian.AppendUint32(dst, math.Float32bits(v)), true
	case float64:
		return binary.LittleEndian.AppendUint64(dst, math.Float64bits(v)), true
	case bool:
		if v {
			return append(dst, 1), true
		}
		return append(dst, 0), true
	case string:
		return append(binary.AppendVarint(dst, int64(len(v))), v...), true
	case []byte:
		return appendAvroBytes(dst, v), true
	}
	return nil, false
}

func appendAvroBytes(dst, b []byte) []byte {
	return append(binary.AppendVarint(dst, int64(len(b))), b...)
}

func (w *avroWriter) appendMany(dst []byte, v any) (_ []byte, err error) {
	switch v := v.(type) {
	case *sdk.Struct:
		if w.schema.Type != sdk.Structure {
			break
		}
		if v.Schema != w.schema && !sameButOptional(v.Schema, w.schema) {
			return nil, errSchemas
		}
		for i, f := range w.fields {
			if dst, err = f.append(dst, values.WithDefault(v, i)); err != nil {
				return nil, err
			}
		}
		return dst, nil
	case []any:
		if w.schema.Type != sdk.Array {
			break
		}
		return appendBlock(dst, len(v), func(dst []byte, i int) ([]byte, error) { return w.elem.append(dst, v[i]) })
	case map[string]any:
		if w.schema.Type != sdk.Map {
			break
		}
		keys := values.JavaOrder(v)
		return appendBlock(dst, len(keys), func(dst []byte, i int) ([]byte, error) {
			if w.key != nil {
				if dst, err = w.key.append(dst, keys[i]); err != nil {
					return nil, err
				}
			} else {
				dst = append(binary.AppendVarint(dst, int64(len(keys[i]))), keys[i]...)
			}
			return w.elem.append(dst, v[keys[i]])
		})
	case []sdk.Entry:
		if w.key == nil {
			break
		}
		return appendBlock(dst, len(v), func(dst []byte, i int) ([]byte, error) {
			if dst, err = w.key.append(dst, v[i].Key); err != nil {
				return nil, err
			}
			return w.elem.append(dst, v[i].Value)
		})
	}
	return nil, w.mismatch(v)
}

// appendBlock writes the items of an array or a map in one block, and the end.
func appendBlock(dst []byte, n int, item func(dst []byte, i int) ([]byte, error)) (_ []byte, err error) {
	if n > 0 {
		dst = binary.AppendVarint(dst, int64(n))
	}
	for i := range n {
		if dst, err = item(dst, i); err != nil {
			return nil, err
		}
	}
	return append(dst, 0), nil
}

// appendAnything writes a value without a schema: a record with a field for each type, of which one is not null.
func appendAnything(dst []byte, v any) (_ []byte, err error) {
	var set byte = 255 // the field
	var text []byte
	switch v := v.(type) {
	case nil:
	case bool:
		set, text = 0, append(text, 0)
		if v {
			text[0] = 1
		}
	case []byte:
		set, text = 1, appendAvroBytes(nil, v)
	case float64:
		set, text = 2, binary.LittleEndian.AppendUint64(nil, math.Float64bits(v))
	case float32:
		set, text = 3, binary.LittleEndian.AppendUint32(nil, math.Float32bits(v))
	case int8:
		set, text = 4, binary.AppendVarint(nil, int64(v))
	case int16:
		set, text = 4, binary.AppendVarint(nil, int64(v))
	case int32:
		set, text = 4, binary.AppendVarint(nil, int64(v))
	case int64:
		set, text = 5, binary.AppendVarint(nil, v)
	case string:
		set, text = 6, appendAvroBytes(nil, []byte(v))
	case []any:
		set = 7
		text, err = appendBlock(nil, len(v), func(dst []byte, i int) ([]byte, error) { return appendAnything(dst, v[i]) })
	case map[string]any:
		keys := values.JavaOrder(v)
		set = 8
		text, err = appendBlock(nil, len(keys), func(dst []byte, i int) ([]byte, error) {
			if dst, err = appendAnything(dst, keys[i]); err != nil {
				return nil, err
			}
			return appendAnything(dst, v[keys[i]])
		})
	default:
		return nil, fmt.Errorf("Java class %s does not have corresponding schema type.", values.Class(v))
	}
	for i := range byte(9) {
		if i != set {
			dst = append(dst, 0)
			continue
		}
		dst = append(append(dst, 2), text...)
	}
	return dst, err
}
