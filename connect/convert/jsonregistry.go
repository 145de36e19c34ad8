package convert

import (
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/twmb/franz-go/pkg/sr"

	"github.com/weir/weir/connect/sdk"
	"github.com/weir/weir/connect/values"
)

var jsonSchemaOptions = append(registryOptions[:len(registryOptions):len(registryOptions)],
	sdk.Option{Name: "decimal.format", Kind: sdk.StringOption, Default: "BASE64", Importance: sdk.Low, Order: -1, Check: sdk.OneOf("BASE64", "NUMERIC"),
		Doc: "Whether decimals are written as their bytes in base64, or as numbers."},
	sdk.Option{Name: "object.additional.properties", Kind: sdk.BooleanOption, Default: "true", Importance: sdk.Medium, Order: -1,
		Doc: "Whether the schemas of structures allow fields that they do not name."},
	sdk.Option{Name: "use.optional.for.nonrequired", Kind: sdk.BooleanOption, Default: "false", Importance: sdk.Medium, Order: -1,
		Doc: "Whether fields that a schema does not require are optional when they are read."},
)

// jsonSchemaFormat is JSON with a JSON Schema in the registry, as Confluent's JsonSchemaConverter writes it.
type jsonSchemaFormat struct {
	json        *jsonConverter // for the values
	numeric     bool
	closed      bool // no other fields
	nonRequired bool
}

func newJSONSchema(v sdk.Values) (format, error) {
	numeric := strings.EqualFold(v.String("decimal.format"), "NUMERIC")
	return &jsonSchemaFormat{
		json:    remembering(jsonConverter{numeric: numeric, nullDefault: true, most: 1000}),
		numeric: numeric, closed: !v.Bool("object.additional.properties"), nonRequired: v.Bool("use.optional.for.nonrequired"),
	}, nil
}

type jsonSchemaWriter struct{ plan *plan }

func (w jsonSchemaWriter) append(dst []byte, v any) ([]byte, error) { return w.plan.append(dst, v) }

func (f *jsonSchemaFormat) writer(s *sdk.Schema) (payloadWriter, sr.Schema, string, error) {
	p, err := f.json.newPlan(s, 0)
	if err != nil {
		return nil, sr.Schema{}, "", err
	}
	text := []byte("{}")
	name := ""
	if s != nil {
		name = s.Name
		if text, err = f.appendSchema(nil, p, -1); err != nil {
			return nil, sr.Schema{}, "", err
		}
	}
	return jsonSchemaWriter{p}, sr.Schema{Schema: string(text), Type: sr.TypeJSON}, name, nil
}

// appendSchema writes a schema; index is its field's place in a structure, -1: it is of none.
func (f *jsonSchemaFormat) appendSchema(dst []byte, p *plan, index int) (_ []byte, err error) {
	s := p.schema
	dst = append(dst, '{')
	place := func() {
		if index >= 0 {
			dst = strconv.AppendInt(append(dst, `"connect.index":`...), int64(index), 10)
			dst = append(dst, ',')
		}
	}
	if s.Optional {
		place()
		dst = append(dst, `"oneOf":[{"type":"null"},{`...)
	}
	if !s.Optional {
		place()
	}
	if dst, err = f.appendType(dst, p); err != nil {
		return nil, err
	}
	if s.Name != "" {
		dst = appendString(append(dst, `,"title":`...), s.Name)
	}
	if s.Version != 0 {
		dst = strconv.AppendInt(append(dst, `,"connect.version":`...), int64(s.Version), 10)
	}
	if s.Doc != "" {
		dst = appendString(append(dst, `,"description":`...), s.Doc)
	}
	if len(s.Params) > 0 {
		dst = append(dst, `,"connect.parameters":{`...)
		for i, param := range s.Params {
			dst = appendString(append(appendString(comma(dst, i), param.Name), ':'), param.Value)
		}
		dst = append(dst, '}')
	}
	if s.Default != nil {
		if dst, err = p.append(append(dst, `,"default":`...), s.Default); err != nil {
			return nil, err
		}
	}
	if s.Optional {
		dst = append(dst, '}', ']')
	}
	return append(dst, '}'), nil
}

func (f *jsonSchemaFormat) appendType(dst []byte, p *plan) (_ []byte, err error) {
	s := p.schema
	typed := func(json string) []byte {
		dst = append(append(append(dst, `"type":"`...), json...), `","connect.type":"`...)
		return append(append(dst, s.Type.String()...), '"')
	}
	switch s.Type {
	case sdk.Int8, sdk.Int16, sdk.Int32, sdk.Int64:
		return typed("integer"), nil
	case sdk.Float32, sdk.Float64:
		return typed("number"), nil
	case sdk.Boolean, sdk.String:
		return append(append(append(dst, `"type":"`...), s.Type.String()...), '"'), nil
	case sdk.Bytes:
		if s.Name == sdk.LogicalDecimal && f.numeric {
			return typed("number"), nil
		}
		return typed("string"), nil
	case sdk.Array:
		if s.Elem == nil {
			return nil, errors.New("Array schema did not specify the element type")
		}
		return f.appendSchema(append(dst, `"type":"array","items":`...), p.elem, -1)
	case sdk.Map:
		if s.Key == nil || s.Elem == nil {
			return nil, errors.New("Map schema did not specify the types of its keys and values")
		}
		if p.form == asMap {
			return f.appendSchema(append(dst, `"type":"object","connect.type":"map","additionalProperties":`...), p.elem, -1)
		}
		return nil, errors.New("Maps whose keys are no strings are not supported with JSON Schema; use a transform, or Avro")
	}
	dst = append(dst, `"type":"object","properties":{`...)
	for i, field := range s.Fields {
		dst = append(appendString(comma(dst, i), field.Name), ':')
		if dst, err = f.appendSchema(dst, p.fields[i], i); err != nil {
			return nil, err
		}
	}
	dst = append(dst, '}')
	if f.closed {
		dst = append(dst, `,"additionalProperties":false`...)
	}
	return dst, nil
}

type jsonSchemaReader struct {
	json   *jsonConverter
	schema *sdk.Schema
}

func (r *jsonSchemaReader) read(b []byte) (*sdk.Schema, any, error) {
	in := reader{b: b}
	in.space()
	v, err := r.json.value(&in, r.schema)
	if err == nil {
		in.space()
		if !in.done() {
			err = in.bad("more than a value")
		}
	}
	if err != nil {
		return nil, nil, fmt.Errorf("Error deserializing JSON message: %w", err)
	}
	return r.schema, v, nil
}

func (f *jsonSchemaFormat) reader(s sr.Schema, load func(sr.SchemaReference) (sr.Schema, error)) (payloadReader, error) {
	if s.Type != sr.TypeJSON {
		return nil, fmt.Errorf("The record's schema is %v, not JSON Schema", s.Type)
	}
	m := jsonSchemaMaker{format: f, documents: map[string]*member{}}
	if err := m.load(s, load, 0); err != nil {
		return nil, err
	}
	root, err := parseMembers([]byte(s.Schema))
	if err != nil {
		return nil, err
	}
	schema, err := m.make(root, root, 0)
	if err != nil {
		return nil, err
	}
	return &jsonSchemaReader{f.json, schema}, nil
}

// member is a JSON value; an object's members are in their order.
type member struct {
	text    []byte
	names   []string
	members map[string]*member
	items   []*member
}

func parseMembers(text []byte) (*member, error) {
	r := reader{b: text}
	r.space()
	m, err := r.member()
	if err != nil {
		return nil, fmt.Errorf("The record's schema is no JSON: %w", err)
	}
	return m, nil
}

func (r *reader) member() (*member, error) {
	m, start := &member{}, r.pos
	var err error
	switch r.peek() {
	case '{':
		m.members = map[string]*member{}
		err = r.object(func(key []byte) error {
			name := string(key)
			inner, err := r.member()
			m.names, m.members[name] = append(m.names, name), inner
			return err
		})
	case '[':
		err = r.array(func() error {
			inner, err := r.member()
			m.items = append(m.items, inner)
			return err
		})
	default:
		err = r.skip()
	}
	m.text = r.b[start:r.pos]
	return m, err
}

func (m *member) get(name string) *member {
	if m == nil {
		return nil
	}
	return m.members[name]
}

func (m *member) string() string {
	if m == nil {
		return ""
	}
	s, _ := textOf(m.text)
	return s
}

type jsonSchemaMaker struct {
	format    *jsonSchemaFormat
	documents map[string]*member // by the name under which they are referred to
}

func (m *jsonSchemaMaker) load(s sr.Schema, load func(sr.SchemaReference) (sr.Schema, error), depth int) error {
	if depth > 50 {
		return errors.New("The schemas that a schema refers to lie in each other too deep")
	}
	for _, ref := range s.References {
		inner, err := load(ref)
		if err != nil {
			return err
		}
		doc, err := parseMembers([]byte(inner.Schema))
		if err != nil {
			return err
		}
		m.documents[ref.Name] = doc
		if err := m.load(inner, load, depth+1); err != nil {
			return err
		}
	}
	return nil
}

// refersMost is how deep schemas may lie in each other, by references, too.
const refersMost = 100

// make makes the schema that a JSON Schema stands for; nil: anything.
func (m *jsonSchemaMaker) make(n, root *member, depth int) (*sdk.Schema, error) {
	if depth > refersMost {
		return nil, errors.New("The record's schema lies in itself, which is not supported")
	}
	if ref := n.get("$ref").string(); ref != "" {
		target, root, err := m.find(ref, root)
		if err != nil {
			return nil, err
		}
		return m.make(target, root, depth+1)
	}
	if inner, optional, err := nullable(n); inner != nil || err != nil {
		if err != nil {
			return nil, err
		}
		s, err := m.make(inner, root, depth+1)
		if err != nil || s == nil || !optional {
			return s, err
		}
		return s.AsOptional(), nil
	}
	s, err := m.typed(n, root, depth)
	if err != nil || s == nil {
		return nil, err
	}
	return s, m.annotate(s, n)
}

// nullable takes a union with null apart.
func nullable(n *member) (inner *member, optional bool, err error) {
	for _, word := range []string{"oneOf", "anyOf", "allOf"} {
		union := n.get(word)
		if union == nil {
			continue
		}
		for _, branch := range union.items {
			switch {
			case branch.get("type").string() == "null":
				optional = true
			case inner != nil:
				return nil, false, fmt.Errorf("A schema with several types in %s is not supported", word)
			default:
				inner = branch
			}
		}
		return inner, optional, nil
	}
	return nil, false, nil
}

func (m *jsonSchemaMaker) find(ref string, root *member) (target, in *member, err error) {
	name, path, _ := strings.Cut(ref, "#")
	if name != "" {
		if root = m.documents[name]; root == nil {
			return nil, nil, fmt.Errorf("The record's schema refers to %s, which is none of its references", name)
		}
	}
	target = root
	for _, step := range strings.Split(strings.Trim(path, "/"), "/") {
		if step != "" {
			target = target.get(strings.NewReplacer("~1", "/", "~0", "~").Replace(step))
		}
	}
	if target == nil {
		return nil, nil, fmt.Errorf("The record's schema refers to %s, which is not there", ref)
	}
	return target, root, nil
}

func (m *jsonSchemaMaker) typed(n, root *member, depth int) (*sdk.Schema, error) {
	name, optional := typeOf(n)
	s := &sdk.Schema{Optional: optional}
	connect := n.get("connect.type").string()
	switch name {
	case "boolean":
		s.Type = sdk.Boolean
	case "integer":
		s.Type = sdk.Int64
		if t := typesByName[connect]; t >= sdk.Int8 && t <= sdk.Int64 {
			s.Type = t
		}
	case "number":
		s.Type = sdk.Float64
		switch connect {
		case "float32":
			s.Type = sdk.Float32
		case "bytes":
			s.Type = sdk.Bytes
		}
	case "string":
		s.Type = sdk.String
		if connect == "bytes" {
			s.Type = sdk.Bytes
		}
	case "array":
		items := n.get("items")
		if items == nil {
			return nil, errors.New("Array schema did not specify the items type")
		}
		elem, err := m.make(items, root, depth+1)
		if err != nil {
			return nil, err
		}
		if elem == nil {
			return nil, errors.New("An array of anything is not supported")
		}
		s.Type, s.Elem = sdk.Array, elem
	case "object":
		return m.object(s, n, root, connect, depth)
	case "":
		if n.get("properties") != nil {
			return m.object(s, n, root, connect, depth)
		}
		return nil, nil
	default:
		return nil, fmt.Errorf("A schema of the type %s is not supported", name)
	}
	return s, nil
}

// typeOf gives the type that a schema names, and whether null is one, too.
func typeOf(n *member) (name string, optional bool) {
	t := n.get("type")
	if t == nil {
		return "", false
	}
	name = t.string()
	for _, item := range t.items {
		if item.string() == "null" {
			optional = true
		} else {
			name = item.string()
		}
	}
	return name, optional
}

func (m *jsonSchemaMaker) object(s *sdk.Schema, n, root *member, connect string, depth int) (*sdk.Schema, error) {
	properties := n.get("properties")
	if more := n.get("additionalProperties"); connect == "map" || properties == nil && more.get("type") != nil {
		elem, err := m.make(more, root, depth+1)
		if err != nil || elem == nil {
			return nil, errors.Join(err, errors.New("A map of anything is not supported"))
		}
		s.Type, s.Key, s.Elem = sdk.Map, sdk.StringSchema, elem
		return s, nil
	}
	var required []string
	if r := n.get("required"); r != nil {
		for _, item := range r.items {
			required = append(required, item.string())
		}
	}
	type placed struct {
		at    int64
		field sdk.Field
	}
	var fields []placed
	if properties != nil {
		for i, name := range properties.names {
			property := properties.members[name]
			fs, err := m.make(property, root, depth+1)
			switch {
			case err != nil:
				return nil, err
			case fs == nil:
				return nil, fmt.Errorf("The field %s may be anything, which is not supported", name)
			case m.format.nonRequired && !slices.Contains(required, name):
				fs = fs.AsOptional()
			}
			at := int64(i)
			if index := property.get("connect.index"); index != nil {
				at = numberOf(index.text).long()
			}
			fields = append(fields, placed{at, sdk.Field{Name: name, Schema: fs}})
		}
	}
	slices.SortStableFunc(fields, func(a, b placed) int { return int(max(-1, min(1, a.at-b.at))) })
	var out []sdk.Field
	for _, f := range fields {
		out = append(out, f.field)
	}
	structure := sdk.NewStructure("", out...)
	structure.Optional = s.Optional
	return structure, nil
}

func (m *jsonSchemaMaker) annotate(s *sdk.Schema, n *member) error {
	s.Name = n.get("title").string()
	s.Doc = n.get("description").string()
	if v := n.get("connect.version"); v != nil {
		s.Version = int32(numberOf(v.text).long())
	}
	if p := n.get("connect.parameters"); p != nil {
		for _, name := range p.names {
			s.Params = append(s.Params, sdk.Param{Name: name, Value: p.members[name].string()})
		}
	}
	if s.Name == sdk.LogicalDecimal {
		if _, err := values.Scale(s); err != nil {
			return err
		}
	}
	d := n.get("default")
	if d == nil || string(d.text) == "null" {
		return nil
	}
	v, err := m.format.json.value(&reader{b: d.text}, s)
	if err == nil {
		v, err = checked(s, v)
	}
	s.Default = v
	return err
}
