package transform

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/weir/weir/connect/sdk"
	"github.com/weir/weir/connect/values"
)

const optionality = "Suffix with <code>!</code> to make this a required field, or <code>?</code> to keep it optional (the default)."

var insertOptions = []sdk.Option{
	{Name: "topic.field", Kind: sdk.StringOption, NoDefault: true, Importance: sdk.Medium, Doc: "Field name for Kafka topic. " + optionality},
	{Name: "partition.field", Kind: sdk.StringOption, NoDefault: true, Importance: sdk.Medium, Doc: "Field name for Kafka partition. " + optionality},
	{Name: "offset.field", Kind: sdk.StringOption, NoDefault: true, Importance: sdk.Medium, Doc: "Field name for Kafka offset - only applicable to sink connectors.<br/>" + optionality},
	{Name: "timestamp.field", Kind: sdk.StringOption, NoDefault: true, Importance: sdk.Medium, Doc: "Field name for record timestamp. " + optionality},
	{Name: "static.field", Kind: sdk.StringOption, NoDefault: true, Importance: sdk.Medium, Doc: "Field name for static data field. " + optionality},
	{Name: "static.value", Kind: sdk.StringOption, NoDefault: true, Importance: sdk.Medium, Doc: "Static field value, if field name configured."},
	replaceNull,
}

// insert adds fields with what is known of a record.
type insert struct {
	on       side
	added    []insertion
	defaults bool
	schemas  cache
}

// insertion is a field to add. free and typed give its value in a map and in a structure; nil: there is none.
type insertion struct {
	field       sdk.Field
	free, typed func(r *sdk.Record) (any, error)
}

func newInsert(c config, on side) (any, error) {
	t := &insert{on: on, defaults: c.Bool("replace.null.with.default"), schemas: cache{}}
	add := func(option string, schema *sdk.Schema, free, typed func(r *sdk.Record) (any, error)) {
		if !c.Has(option) {
			return
		}
		name, required := strings.CutSuffix(c.String(option), "!")
		if !required {
			schema = schema.AsOptional()
			name = strings.TrimSuffix(name, "?")
		}
		t.added = append(t.added, insertion{sdk.Field{Name: name, Schema: schema}, free, typed})
	}
	topic := func(r *sdk.Record) (any, error) { return r.Topic, nil }
	static := func(*sdk.Record) (any, error) { return c.String("static.value"), nil }
	add("topic.field", sdk.StringSchema, topic, topic)
	add("partition.field", sdk.Int32Schema, partitionOf, partitionOf)
	add("offset.field", sdk.Int64Schema, offsetOf, offsetOf)
	add("timestamp.field", timestampSchema, unixOf, timestampOf)
	add("static.field", sdk.StringSchema, static, static)
	switch {
	case len(t.added) == 0:
		return nil, errors.New("No field insertion configured")
	case c.Has("static.field") && !c.Has("static.value"):
		return nil, invalid("static.value", "null", "No value specified for static field: "+c.String("static.field"))
	}
	return t, nil
}

func partitionOf(r *sdk.Record) (any, error) {
	if r.Partition < 0 {
		return nil, nil
	}
	return r.Partition, nil
}

func offsetOf(r *sdk.Record) (any, error) {
	if r.From.Topic == "" {
		return nil, errors.New("Only SinkRecord supported for [field insertion], found: org.apache.kafka.connect.source.SourceRecord")
	}
	return r.Offset, nil
}

func unixOf(r *sdk.Record) (any, error) {
	if r.Timestamp.IsZero() {
		return nil, nil
	}
	return r.Timestamp.UnixMilli(), nil
}

func timestampOf(r *sdk.Record) (any, error) {
	if r.Timestamp.IsZero() {
		return nil, nil
	}
	return r.Timestamp.UTC(), nil
}

func (t *insert) apply(r *sdk.Record) (bool, error) {
	schema, v := t.on.get(r)
	if v == nil {
		return true, nil
	}
	if schema == nil {
		return true, t.mapping(r, v)
	}
	s, err := requireStruct(v, "field insertion")
	if err != nil {
		return false, err
	}
	updated, err := t.schemas.get(s.Schema, func() (*sdk.Schema, error) {
		fields := slices.Clone(s.Schema.Fields)
		for _, a := range t.added {
			if s.Schema.Field(a.field.Name) >= 0 {
				return nil, fmt.Errorf("Cannot create field because of field name duplication %s", a.field.Name)
			}
			fields = append(fields, a.field)
		}
		return basics(s.Schema, fields), nil
	})
	if err != nil {
		return false, err
	}
	out := sdk.NewStruct(updated)
	for i := range s.Values {
		out.Values[i] = fieldValue(s, i, t.defaults)
	}
	for i, a := range t.added {
		if out.Values[len(s.Values)+i], err = a.typed(r); err != nil {
			return false, err
		}
	}
	t.on.set(r, updated, out)
	return true, nil
}

func (t *insert) mapping(r *sdk.Record, v any) error {
	m, err := requireMap(v, "field insertion")
	if err != nil {
		return err
	}
	out := copied(m)
	for _, a := range t.added {
		v, err := a.free(r)
		if err != nil {
			return err
		}
		if v != nil {
			out[a.field.Name] = v
		}
	}
	t.on.set(r, nil, out)
	return nil
}

var insertHeaderOptions = []sdk.Option{
	{Name: "header", Kind: sdk.StringOption, Required: true, Importance: sdk.High, Doc: "The name of the header."},
	{Name: "value.literal", Kind: sdk.StringOption, Required: true, Importance: sdk.High, Doc: "The literal value that is to be set as the header value on all records."},
}

type insertHeader sdk.Header

func newInsertHeader(c config) (any, error) {
	s, v, err := values.Parse(c.String("value.literal"))
	return &insertHeader{Key: c.String("header"), Schema: s, Value: v}, err
}

func (t *insertHeader) apply(r *sdk.Record) (bool, error) {
	r.Headers = append(slices.Clip(r.Headers), sdk.Header(*t))
	return true, nil
}

var dropHeadersOptions = []sdk.Option{{
	Name: "headers", Kind: sdk.ListOption, Required: true, Importance: sdk.High, Check: filled("headers"), Doc: "The name of the headers to be removed.",
}}

type dropHeaders []string

func newDropHeaders(c config) (any, error) { return dropHeaders(c.List("headers")), nil }

func (t dropHeaders) apply(r *sdk.Record) (bool, error) {
	drop := func(h sdk.Header) bool { return slices.Contains(t, h.Key) }
	if slices.ContainsFunc(r.Headers, drop) {
		r.Headers = slices.DeleteFunc(slices.Clone(r.Headers), drop)
	}
	return true, nil
}

var headerFromOptions = []sdk.Option{
	{Name: "fields", Kind: sdk.ListOption, Required: true, Importance: sdk.High, Check: nonEmptyList("fields"),
		Doc: "Field names in the record whose values are to be copied or moved to headers."},
	{Name: "headers", Kind: sdk.ListOption, Required: true, Importance: sdk.High, Check: nonEmptyList("headers"),
		Doc: "Header names, in the same order as the field names listed in the fields configuration property."},
	{Name: "operation", Kind: sdk.StringOption, Required: true, Importance: sdk.High, Check: oneOf("operation", "move", "copy"),
		Doc: "Either <code>move</code> if the fields are to be moved to the headers (removed from the key/value), or <code>copy</code> if the fields are to be copied to the headers (retained in the key/value)."},
	replaceNull,
}

// headerFrom copies or moves fields to headers.
type headerFrom struct {
	on       side
	fields   []string
	headers  []string
	move     bool
	defaults bool
	rest     *replace // what is left
}

func newHeaderFrom(c config, on side) (any, error) {
	t := &headerFrom{on: on, fields: c.List("fields"), headers: c.List("headers"), move: c.String("operation") == "move", defaults: c.Bool("replace.null.with.default")}
	if len(t.fields) != len(t.headers) {
		return nil, errors.New("'fields' config must have the same number of elements as 'headers' config.")
	}
	t.rest = &replace{on, t.fields, nil, nil, t.defaults, cache{}, map[*sdk.Schema][]int{}}
	return t, nil
}

func (t *headerFrom) apply(r *sdk.Record) (bool, error) {
	schema, v := t.on.get(r)
	purpose := "header copy"
	if t.move {
		purpose = "header move"
	}
	headers := slices.Clip(r.Headers)
	if schema == nil {
		m, err := requireMap(v, purpose)
		if err != nil {
			return false, err
		}
		for i, f := range t.fields {
			headers = append(headers, sdk.Header{Key: t.headers[i], Value: m[f]})
		}
	} else {
		s, err := requireStruct(v, purpose)
		if err != nil {
			return false, err
		}
		for i, name := range t.fields {
			at := s.Schema.Field(name)
			if at < 0 {
				return false, fmt.Errorf("Unknown field: %s", name) // a NullPointerException in Kafka
			}
			headers = append(headers, sdk.Header{Key: t.headers[i], Schema: s.Schema.Fields[at].Schema, Value: fieldValue(s, at, t.defaults)})
		}
	}
	r.Headers = headers
	if !t.move {
		return true, nil
	}
	return t.rest.apply(r)
}
