package transform

import (
	"fmt"
	"maps"

	"github.com/weir/weir/connect/sdk"
	"github.com/weir/weir/connect/values"
)

var flattenOptions = []sdk.Option{{
	Name: "delimiter", Kind: sdk.StringOption, Default: ".", Importance: sdk.Medium,
	Doc: "Delimiter to insert between field names from the input record when generating field names for the output record",
}}

// flatten makes the fields of nested structures fields of the whole.
type flatten struct {
	on        side
	delimiter string
	schemas   cache
}

func newFlatten(c config, on side) (any, error) {
	return &flatten{on, c.String("delimiter"), cache{}}, nil
}

func copied(m map[string]any) map[string]any {
	out := maps.Clone(m)
	if out == nil {
		out = map[string]any{}
	}
	return out
}

func (t *flatten) apply(r *sdk.Record) (bool, error) {
	schema, v := t.on.get(r)
	if v == nil {
		return true, nil
	}
	if schema == nil {
		m, err := requireMap(v, "flattening")
		if err != nil {
			return false, err
		}
		out := make(map[string]any, len(m))
		t.on.set(r, nil, out)
		return true, t.free(m, "", out)
	}
	s, err := requireStruct(v, "flattening")
	if err != nil {
		return false, err
	}
	updated, err := t.schemas.get(schema, func() (*sdk.Schema, error) {
		preset, _ := schema.Default.(*sdk.Struct)
		fields, err := t.fields(nil, schema, "", schema.Optional, preset)
		return basics(schema, fields), err
	})
	if err != nil {
		return false, err
	}
	out := &sdk.Struct{Schema: updated, Values: make([]any, 0, len(updated.Fields))}
	t.fill(out, schema, s)
	t.on.set(r, updated, out)
	return true, nil
}

func (t *flatten) name(prefix, name string) string {
	if prefix == "" {
		return name
	}
	return prefix + t.delimiter + name
}

func (t *flatten) free(m map[string]any, prefix string, out map[string]any) error {
	for name, v := range m {
		name = t.name(prefix, name)
		if v == nil {
			out[name] = nil
			continue
		}
		switch kind := values.TypeOf(v); kind {
		case sdk.Invalid:
			return fmt.Errorf("Flatten transformation was passed a value of type %s which is not supported by Connect's data API", values.Class(v))
		case sdk.Map:
			inner, err := requireMap(v, "flattening")
			if err != nil {
				return err
			}
			if err := t.free(inner, name, out); err != nil {
				return err
			}
		case sdk.Structure:
			return fmt.Errorf("Flatten transformation does not support %s for record without schemas (for field %s).", values.Class(v), name)
		default:
			out[name] = v
		}
	}
	return nil
}

// fields appends the fields that a structure becomes. What may be missing because a structure around it is, is optional.
func (t *flatten) fields(out []sdk.Field, s *sdk.Schema, prefix string, optional bool, preset *sdk.Struct) ([]sdk.Field, error) {
	for i, f := range s.Fields {
		name := t.name(prefix, f.Name)
		optional := optional || f.Schema.Optional
		d := f.Schema.Default
		if d == nil && preset != nil {
			d = values.WithDefault(preset, i)
		}
		switch f.Schema.Type {
		case sdk.Map:
			return nil, fmt.Errorf("Flatten transformation does not support MAP for record with schemas (for field %s).", name)
		case sdk.Structure:
			inner, _ := d.(*sdk.Struct)
			var err error
			if out, err = t.fields(out, f.Schema, name, optional, inner); err != nil {
				return nil, err
			}
		default:
			c := *f.Schema
			c.Optional, c.Default = optional, d
			out = append(out, sdk.Field{Name: name, Schema: &c})
		}
	}
	return out, nil
}

// fill appends the values of a structure; nil: nulls for all of them.
func (t *flatten) fill(out *sdk.Struct, schema *sdk.Schema, s *sdk.Struct) {
	for i, f := range schema.Fields {
		var v any
		if s != nil {
			v = values.WithDefault(s, i)
		}
		if f.Schema.Type == sdk.Structure {
			inner, _ := v.(*sdk.Struct)
			t.fill(out, f.Schema, inner)
			continue
		}
		out.Values = append(out.Values, v)
	}
}
