package convert

import (
	"errors"
	"fmt"
	"strconv"

	"github.com/weir/weir/connect/sdk"
)

// typeName is what a type is called in the JSON form of a schema.
func typeName(t sdk.Type) string {
	switch t {
	case sdk.Float32:
		return "float"
	case sdk.Float64:
		return "double"
	}
	return t.String()
}

var typesByName = func() map[string]sdk.Type {
	m := map[string]sdk.Type{}
	for t := sdk.Int8; t <= sdk.Structure; t++ {
		m[typeName(t)] = t
	}
	return m
}()

// appendSchema writes a plan's schema. preset is its default, as JSON; nil: there is none.
func (p *plan) appendSchema(dst, preset []byte) ([]byte, error) {
	s := p.schema
	dst = append(append(append(dst, `{"type":"`...), typeName(s.Type)...), '"')
	switch s.Type {
	case sdk.Array:
		if s.Elem == nil {
			return nil, errors.New("Array schema did not specify the element type")
		}
		dst = append(append(dst, `,"items":`...), p.elem.text...)
	case sdk.Map:
		if s.Key == nil || s.Elem == nil {
			return nil, errors.New("Map schema did not specify the types of its keys and values")
		}
		dst = append(append(dst, `,"keys":`...), p.key.text...)
		dst = append(append(dst, `,"values":`...), p.elem.text...)
	case sdk.Structure:
		dst = append(dst, `,"fields":[`...)
		for i, f := range s.Fields {
			text := p.fields[i].text
			dst = append(comma(dst, i), text[:len(text)-1]...)
			dst = append(appendString(append(dst, `,"field":`...), f.Name), '}')
		}
		dst = append(dst, ']')
	}
	dst = strconv.AppendBool(append(dst, `,"optional":`...), s.Optional)
	if s.Name != "" {
		dst = appendString(append(dst, `,"name":`...), s.Name)
	}
	if s.Version != 0 {
		dst = strconv.AppendInt(append(dst, `,"version":`...), int64(s.Version), 10)
	}
	if s.Doc != "" {
		dst = appendString(append(dst, `,"doc":`...), s.Doc)
	}
	if len(s.Params) > 0 {
		dst = append(dst, `,"parameters":{`...)
		for i, param := range s.Params {
			dst = appendString(append(appendString(comma(dst, i), param.Name), ':'), param.Value)
		}
		dst = append(dst, '}')
	}
	if preset != nil {
		dst = append(append(dst, `,"default":`...), preset...)
	}
	return append(dst, '}'), nil
}

// described is a schema's JSON, taken apart. Absent parts are nil.
type described struct {
	typ, optional, name, version, doc, field []byte
	items, keys, values, fields              []byte
	parameters, preset                       []byte
}

func (d *described) part(key string) *[]byte {
	switch key {
	case "type":
		return &d.typ
	case "optional":
		return &d.optional
	case "name":
		return &d.name
	case "version":
		return &d.version
	case "doc":
		return &d.doc
	case "field":
		return &d.field
	case "items":
		return &d.items
	case "keys":
		return &d.keys
	case "values":
		return &d.values
	case "fields":
		return &d.fields
	case "parameters":
		return &d.parameters
	case "default":
		return &d.preset
	}
	return nil
}

// parseSchema reads the JSON form of a schema.
func (c *jsonConverter) parseSchema(text []byte) (*sdk.Schema, error) {
	s, _, err := c.readSchema(&reader{b: text})
	return s, err
}

// readSchema reads a schema, and the name of the field that it is of.
func (c *jsonConverter) readSchema(r *reader) (*sdk.Schema, string, error) {
	r.space()
	var d described
	if r.peek() == '{' {
		err := r.object(func(key []byte) error {
			part := d.part(string(key))
			start := r.pos
			if err := r.skip(); err != nil {
				return err
			}
			if part != nil {
				*part = r.b[start:r.pos]
			}
			return nil
		})
		if err != nil {
			return nil, "", err
		}
	} else if err := r.skip(); err != nil {
		return nil, "", err
	}
	name, ok := textOf(d.typ)
	if !ok {
		return nil, "", errors.New("Schema must contain 'type' field")
	}
	t, ok := typesByName[name]
	if !ok {
		return nil, "", fmt.Errorf("Unknown schema type: %s", name)
	}
	s := &sdk.Schema{Type: t}
	if err := c.nested(s, &d, r.depth+1); err != nil {
		return nil, "", err
	}
	s.Optional = string(d.optional) == "true"
	s.Name, _ = textOf(d.name)
	s.Doc, _ = textOf(d.doc)
	if n := numberOf(d.version); n.integral {
		s.Version = int32(n.long())
	}
	if err := params(s, d.parameters); err != nil {
		return nil, "", err
	}
	if d.preset != nil {
		v, err := c.value(&reader{b: d.preset, depth: r.depth + 1}, s)
		if err != nil {
			return nil, "", err
		}
		if v, err = checked(s, v); err != nil {
			return nil, "", fmt.Errorf("Invalid default value: %w", err)
		}
		s.Default = v
	}
	field, _ := textOf(d.field)
	return s, field, nil
}

// nested reads the schemas in a schema.
func (c *jsonConverter) nested(s *sdk.Schema, d *described, depth int) (err error) {
	inner := func(text []byte, missing string) (*sdk.Schema, error) {
		if text == nil || string(text) == "null" {
			return nil, errors.New(missing)
		}
		inner, _, err := c.readSchema(&reader{b: text, depth: depth})
		return inner, err
	}
	switch s.Type {
	case sdk.Array:
		s.Elem, err = inner(d.items, "Array schema did not specify the element type")
	case sdk.Map:
		if s.Key, err = inner(d.keys, "Map schema did not specify the key type"); err == nil {
			s.Elem, err = inner(d.values, "Map schema did not specify the value type")
		}
	case sdk.Structure:
		var fields []sdk.Field
		if fields, err = c.readFields(d.fields, depth); err == nil {
			*s = *sdk.NewStructure("", fields...)
		}
	}
	return err
}

func (c *jsonConverter) readFields(text []byte, depth int) ([]sdk.Field, error) {
	r := reader{b: text, depth: depth}
	if r.peek() != '[' {
		return nil, errors.New(`Struct schema's "fields" argument is not an array.`)
	}
	var fields []sdk.Field
	seen := map[string]bool{}
	err := r.array(func() error {
		start := r.pos
		if err := r.skip(); err != nil {
			return err
		}
		s, name, err := c.readSchema(&reader{b: r.b[start:r.pos], depth: depth + 1})
		switch {
		case err != nil:
			return err
		case name == "":
			return errors.New("Struct schema's field name not specified properly")
		case seen[name]:
			return fmt.Errorf("Cannot create field because of field name duplication %s", name)
		}
		seen[name] = true
		fields = append(fields, sdk.Field{Name: name, Schema: s})
		return nil
	})
	return fields, err
}

func params(s *sdk.Schema, text []byte) error {
	r := reader{b: text}
	if r.peek() != '{' {
		return nil
	}
	return r.object(func(key []byte) error {
		start := r.pos
		if err := r.skip(); err != nil {
			return err
		}
		value, ok := textOf(r.b[start:r.pos])
		if !ok {
			return errors.New("Schema parameters must have string values.")
		}
		name := string(key)
		for i := range s.Params {
			if s.Params[i].Name == name {
				s.Params[i].Value = value
				return nil
			}
		}
		s.Params = append(s.Params, sdk.Param{Name: name, Value: value})
		return nil
	})
}
