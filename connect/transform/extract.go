package transform

import (
	"errors"
	"fmt"
	"strings"

	"github.com/weir/weir/connect/sdk"
	"github.com/weir/weir/connect/values"
)

var extractOptions = []sdk.Option{
	{Name: "field", Kind: sdk.StringOption, Required: true, Importance: sdk.Medium, Doc: "Field name to extract."},
	replaceNull,
	{Name: "field.syntax.version", Kind: sdk.StringOption, Default: "V1", Importance: sdk.High,
		Check: func(_ sdk.Values, v any) error {
			if !strings.EqualFold(v.(string), "V1") && !strings.EqualFold(v.(string), "V2") {
				return invalid("field.syntax.version", v, "String must be one of (case insensitive): V1, V2")
			}
			return nil
		},
		Doc: "Defines the version of the syntax to access fields. If set to <code>V1</code>, then the field paths are limited to access the elements at the root level of the struct or map. " +
			"If set to <code>V2</code>, the syntax will support accessing nested elements. To access nested elements, dotted notation is used. If dots are already included in the field name, " +
			"then backtick pairs can be used to wrap field names containing dots. E.g. to access the subfield <code>baz</code> from a field named \"foo.bar\" in a struct/map " +
			"the following format can be used to access its elements: \"<code>foo.bar</code>.baz\"."},
}

// extract puts a field in the place of the whole.
type extract struct {
	on       side
	name     string
	path     []string
	defaults bool
}

func newExtract(c config, on side) (any, error) {
	t := &extract{on: on, name: c.String("field"), defaults: c.Bool("replace.null.with.default")}
	t.path = []string{t.name}
	if strings.EqualFold(c.String("field.syntax.version"), "V2") {
		var err error
		if t.path, err = parsePath(t.name); err != nil {
			return nil, err
		}
	}
	return t, nil
}

func (t *extract) apply(r *sdk.Record) (bool, error) {
	schema, v := t.on.get(r)
	if schema == nil {
		out, err := t.free(v)
		t.on.set(r, nil, out)
		return true, err
	}
	s, err := structOrNil(v, "field extraction")
	if err != nil {
		return false, err
	}
	last := len(t.path) - 1
	for i, name := range t.path {
		if schema.Type != sdk.Structure {
			return false, errors.New("Cannot look up fields on non-struct type")
		}
		at := schema.Field(name)
		if at < 0 {
			return false, fmt.Errorf("Unknown field: %s", t.name)
		}
		schema = schema.Fields[at].Schema
		if v = nil; s != nil {
			v = fieldValue(s, at, t.defaults || i < last)
		}
		if i < last && schema.Type == sdk.Structure {
			if s, err = structOrNil(v, "nested field access"); err != nil {
				return false, err
			}
		}
	}
	t.on.set(r, schema, v)
	return true, nil
}

func (t *extract) free(v any) (any, error) {
	purpose := "field extraction"
	for _, name := range t.path {
		if v == nil {
			return nil, nil
		}
		m, err := requireMap(v, purpose)
		if err != nil {
			return nil, err
		}
		v, purpose = m[name], "nested field access"
	}
	return v, nil
}

// parsePath takes a path apart at its dots. Names in backticks may have dots in them.
func parsePath(path string) ([]string, error) {
	var steps []string
	rest := path
	for rest != "" {
		if rest[0] != '`' {
			step, after, _ := strings.Cut(rest, ".")
			steps, rest = append(steps, step), after
			continue
		}
		step, after, ok := backticked(rest[1:])
		if !ok {
			return nil, fmt.Errorf("Incomplete backtick pair in path: [%s], consider adding a backslash before backtick at position %d to escape it", path, len(path)-len(rest))
		}
		steps, rest = append(steps, step), after
	}
	if strings.HasSuffix(path, ".") || path == "" {
		steps = append(steps, "")
	}
	return steps, nil
}

// backticked reads up to a backtick that a dot or the end follows, unless a backslash precedes it.
func backticked(s string) (step, after string, ok bool) {
	var name strings.Builder
	start := 0
	for i := 0; i < len(s); i++ {
		end := i == len(s)-1
		if s[i] != '`' || !end && s[i+1] != '.' {
			continue
		}
		if i > 0 && s[i-1] == '\\' {
			if end {
				return "", "", false
			}
			name.WriteString(s[start : i-1])
			name.WriteByte('`')
			start = i + 1
			continue
		}
		name.WriteString(s[start:i])
		return name.String(), strings.TrimPrefix(s[i+1:], "."), true
	}
	return "", "", false
}

var hoistOptions = []sdk.Option{{
	Name: "field", Kind: sdk.StringOption, Required: true, Importance: sdk.Medium,
	Doc: "Field name for the single field that will be created in the resulting Struct or Map.",
}}

// hoist makes the whole a field of a structure.
type hoist struct {
	on      side
	name    string
	schemas cache
}

func newHoist(c config, on side) (any, error) { return &hoist{on, c.String("field"), cache{}}, nil }

func (t *hoist) apply(r *sdk.Record) (bool, error) {
	schema, v := t.on.get(r)
	if schema == nil {
		t.on.set(r, nil, map[string]any{t.name: v})
		return true, nil
	}
	updated, err := t.schemas.get(schema, func() (*sdk.Schema, error) {
		return sdk.NewStructure("", sdk.Field{Name: t.name, Schema: schema}), nil
	})
	if err != nil {
		return false, err
	}
	out := sdk.NewStruct(updated)
	t.on.set(r, updated, out)
	return true, put(out, 0, v)
}

var valueToKeyOptions = []sdk.Option{
	{Name: "fields", Kind: sdk.ListOption, Required: true, Importance: sdk.High, Check: filled("fields"),
		Doc: "Field names on the record value to extract as the record key."},
	replaceNull,
}

// valueToKey makes a key of fields of the value.
type valueToKey struct {
	fields   []string
	defaults bool
	schemas  cache
}

func newValueToKey(c config) (any, error) {
	return &valueToKey{c.List("fields"), c.Bool("replace.null.with.default"), cache{}}, nil
}

func (t *valueToKey) apply(r *sdk.Record) (bool, error) {
	const purpose = "copying fields from value to key"
	if r.ValueSchema == nil {
		m, err := requireMap(r.Value, purpose)
		if err != nil {
			return false, err
		}
		out := make(map[string]any, len(t.fields))
		for _, f := range t.fields {
			out[f] = m[f]
		}
		r.KeySchema, r.Key = nil, out
		return true, nil
	}
	s, err := requireStruct(r.Value, purpose)
	if err != nil {
		return false, err
	}
	schema, err := t.schemas.get(s.Schema, func() (*sdk.Schema, error) {
		var fields []sdk.Field
		for _, name := range t.fields {
			i := s.Schema.Field(name)
			if i < 0 {
				return nil, fmt.Errorf("Field does not exist: %s", name)
			}
			fields = append(fields, s.Schema.Fields[i])
		}
		return sdk.NewStructure("", fields...), nil
	})
	if err != nil {
		return false, err
	}
	out := sdk.NewStruct(schema)
	for i, f := range t.fields {
		out.Values[i] = fieldValue(s, s.Schema.Field(f), t.defaults)
	}
	r.KeySchema, r.Key = schema, out
	return true, nil
}

var metadataOptions = []sdk.Option{
	{Name: "schema.name", Kind: sdk.StringOption, NoDefault: true, Importance: sdk.High, Doc: "Schema name to set."},
	{Name: "schema.version", Kind: sdk.IntOption, NoDefault: true, Importance: sdk.High, Doc: "Schema version to set."},
	replaceNull,
}

// metadata gives schemas another name and version.
type metadata struct {
	on       side
	name     string
	version  int32
	named    bool
	numbered bool
	defaults bool
	schemas  cache
}

func newMetadata(c config, on side) (any, error) {
	t := &metadata{on, c.String("schema.name"), int32(c.Int("schema.version")), c.Has("schema.name"), c.Has("schema.version"), c.Bool("replace.null.with.default"), cache{}}
	if !t.named && !t.numbered {
		return nil, errors.New("Neither schema name nor version configured")
	}
	return t, nil
}

func (t *metadata) apply(r *sdk.Record) (bool, error) {
	schema, v := t.on.get(r)
	switch {
	case schema == nil && v == nil:
		return true, nil
	case schema == nil:
		return false, errors.New("Schema required for [updating schema metadata]")
	}
	updated, err := t.schemas.get(schema, func() (*sdk.Schema, error) {
		s := *schema
		if t.named {
			s.Name = t.name
		}
		if t.numbered {
			s.Version = t.version
		}
		return &s, nil
	})
	if err != nil {
		return false, err
	}
	if s, ok := v.(*sdk.Struct); ok {
		out := sdk.NewStruct(updated)
		for i := range s.Values {
			out.Values[i] = fieldValue(s, i, t.defaults)
		}
		v = out
	}
	t.on.set(r, updated, v)
	return true, nil
}

// simple gives the last part of a class name.
func simple(class string) string { return values.Simple(class) }
