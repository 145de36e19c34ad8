package transform

import (
	"fmt"
	"slices"
	"time"

	"github.com/weir/weir/connect/sdk"
	"github.com/weir/weir/connect/values"
)

var replaceOptions = []sdk.Option{
	{Name: "exclude", Kind: sdk.ListOption, Importance: sdk.Medium, Doc: "Fields to exclude. This takes precedence over the fields to include."},
	{Name: "include", Kind: sdk.ListOption, Importance: sdk.Medium, Doc: "Fields to include. If specified, only these fields will be used."},
	{Name: "renames", Kind: sdk.ListOption, Importance: sdk.Medium, Doc: "Field rename mappings.",
		Check: func(_ sdk.Values, v any) error { _, err := parseRenames(v.([]string)); return err }},
	replaceNull,
}

// replace leaves fields out and renames them.
type replace struct {
	on       side
	exclude  []string
	include  []string
	renames  map[string]string
	defaults bool
	schemas  cache
	places   map[*sdk.Schema][]int // where the fields of a new schema are in the one that came
}

func newReplace(c config, on side) (any, error) {
	renames, err := parseRenames(c.List("renames"))
	return &replace{on, c.List("exclude"), c.List("include"), renames, c.Bool("replace.null.with.default"), cache{}, map[*sdk.Schema][]int{}}, err
}

func parseRenames(list []string) (map[string]string, error) {
	out := map[string]string{}
	for _, mapping := range list {
		parts := split(mapping, ":")
		if len(parts) != 2 {
			return nil, invalid("renames", list, "Invalid rename mapping: "+mapping)
		}
		out[parts[0]] = parts[1]
	}
	return out, nil
}

func (t *replace) keeps(name string) bool {
	return !slices.Contains(t.exclude, name) && (len(t.include) == 0 || slices.Contains(t.include, name))
}

func (t *replace) renamed(name string) string {
	if to, ok := t.renames[name]; ok {
		return to
	}
	return name
}

func (t *replace) apply(r *sdk.Record) (bool, error) {
	schema, v := t.on.get(r)
	if v == nil {
		return true, nil
	}
	if schema == nil {
		m, err := requireMap(v, "field replacement")
		if err != nil {
			return false, err
		}
		out := make(map[string]any, len(m))
		for _, name := range values.JavaOrder(m) {
			if t.keeps(name) {
				out[t.renamed(name)] = m[name]
			}
		}
		t.on.set(r, nil, out)
		return true, nil
	}
	s, err := requireStruct(v, "field replacement")
	if err != nil {
		return false, err
	}
	updated, err := t.schemas.get(s.Schema, func() (*sdk.Schema, error) { return t.schema(s.Schema) })
	if err != nil {
		return false, err
	}
	out := sdk.NewStruct(updated)
	for i, from := range t.places[updated] {
		out.Values[i] = fieldValue(s, from, t.defaults)
	}
	t.on.set(r, updated, out)
	return true, nil
}

func (t *replace) schema(from *sdk.Schema) (*sdk.Schema, error) {
	var fields []sdk.Field
	var places []int
	seen := map[string]bool{}
	for i, f := range from.Fields {
		if !t.keeps(f.Name) {
			continue
		}
		name := t.renamed(f.Name)
		if seen[name] {
			return nil, fmt.Errorf("Cannot create field because of field name duplication %s", name)
		}
		seen[name] = true
		fields, places = append(fields, sdk.Field{Name: name, Schema: f.Schema}), append(places, i)
	}
	if len(t.schemas) >= schemasMost {
		clear(t.places)
	}
	s := basics(from, fields)
	t.places[s] = places
	return s, nil
}

var maskOptions = []sdk.Option{
	{Name: "fields", Kind: sdk.ListOption, Required: true, Importance: sdk.High, Check: filled("fields"), Doc: "Names of fields to mask."},
	{Name: "replacement", Kind: sdk.StringOption, NoDefault: true, Importance: sdk.Low, Check: nonEmptyString("replacement"),
		Doc: "Custom value replacement, that will be applied to all 'fields' values (numeric or non-empty string values only)."},
	replaceNull,
}

// mask puts zero, nothing or a replacement in the place of fields' values.
type mask struct {
	on          side
	fields      []string
	replacement string
	replaces    bool
	defaults    bool
}

func newMask(c config, on side) (any, error) {
	return &mask{on, c.List("fields"), c.String("replacement"), c.Has("replacement"), c.Bool("replace.null.with.default")}, nil
}

func (t *mask) apply(r *sdk.Record) (bool, error) {
	schema, v := t.on.get(r)
	if schema == nil {
		m, err := requireMap(v, "mask fields")
		if err != nil {
			return false, err
		}
		out := copied(m)
		for _, f := range t.fields {
			if out[f], err = t.masked(m[f]); err != nil {
				return false, err
			}
		}
		t.on.set(r, nil, out)
		return true, nil
	}
	s, err := requireStruct(v, "mask fields")
	if err != nil {
		return false, err
	}
	out := sdk.NewStruct(s.Schema)
	for i, f := range s.Schema.Fields {
		out.Values[i] = fieldValue(s, i, t.defaults)
		if slices.Contains(t.fields, f.Name) {
			if out.Values[i], err = t.masked(out.Values[i]); err != nil {
				return false, err
			}
		}
	}
	t.on.set(r, schema, out)
	return true, nil
}

func (t *mask) masked(v any) (any, error) {
	switch {
	case v == nil:
		return nil, nil
	case t.replaces:
		return t.replaced(v)
	}
	switch v.(type) {
	case string:
		return "", nil
	case bool:
		return false, nil
	case sdk.Decimal:
		return sdk.Decimal{}, nil
	case time.Time:
		return time.UnixMilli(0).UTC(), nil
	case []any:
		return []any{}, nil
	case map[string]any:
		return map[string]any{}, nil
	case []sdk.Entry:
		return []sdk.Entry{}, nil
	}
	if zero, ok := castNumber(int64(0), values.TypeOf(v)); ok && values.TypeOf(v) <= sdk.Float64 {
		return zero, nil
	}
	return nil, fmt.Errorf("Cannot mask value of type: %s", values.Class(v))
}

func (t *mask) replaced(v any) (any, error) {
	switch v.(type) {
	case string:
		return t.replacement, nil
	case sdk.Decimal:
		if d, ok := values.ParseDecimal(t.replacement); ok {
			return d, nil
		}
		return nil, fmt.Errorf("Unable to convert %s (class java.lang.String) to number", t.replacement)
	}
	if to := values.TypeOf(v); to >= sdk.Int8 && to <= sdk.Float64 {
		return values.Convert(&sdk.Schema{Type: to}, t.replacement)
	}
	return nil, fmt.Errorf("Cannot mask value of type %s with custom replacement.", values.Class(v))
}
