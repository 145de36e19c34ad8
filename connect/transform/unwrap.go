package transform

import (
	"fmt"
	"slices"
	"strings"

	"github.com/weir/weir/connect/sdk"
)

const addDoc = "Example: 'version,connector,source.ts_ms' would add __version, __connector and __source_ts_ms fields. " +
	"Optionally one can also map new field name like version:VERSION,connector:CONNECTOR,source.ts_ms:EVENT_TIMESTAMP.Please note that the new field name is case-sensitive."

// modes are what becomes of deletes and the tombstones after them.
var modes = []string{"drop", "tombstone", "rewrite-with-tombstone", "rewrite", "delete-to-tombstone"}

var unwrapOptions = []sdk.Option{
	{Name: "delete.tombstone.handling.mode", Kind: sdk.StringOption, Default: "tombstone", Importance: sdk.Medium, Width: "MEDIUM", Display: "Handle delete and tombstone records",
		Check: func(_ sdk.Values, v any) error {
			if !slices.Contains(modes, strings.ToLower(v.(string))) {
				return invalid("delete.tombstone.handling.mode", v, "Value must be one of "+strings.Join(modes, ", "))
			}
			return nil
		},
		Doc: "How to handle delete records. Options are: drop - Remove the delete event and tombstone from the stream." +
			"tombstone (default) - For each delete event, leave only a tombstone in the stream." +
			"rewrite - Remove tombstone from the record, and add a `__deleted` field with the value `true`." +
			"rewrite-with-tombstone - Retain tombstone in record and add a `__deleted` field with the value `true`." +
			"delete-to-tombstone - Convert delete events to tombstone events and drop tombstone events."},
	{Name: "route.by.field", Kind: sdk.StringOption, Importance: sdk.Low, Width: "LONG", Display: "Route by field name",
		Doc: "The column which determines how the events will be routed, the value will replace the topic name."},
	{Name: "add.fields.prefix", Kind: sdk.StringOption, Default: "__", Importance: sdk.Low, Width: "SHORT", Display: "Field prefix to be added to each field.",
		Doc: "Adds this prefix to each field listed."},
	{Name: "add.fields", Kind: sdk.ListOption, Importance: sdk.Low, Width: "LONG", Display: "Adds the specified field(s) to the message if they exist.",
		Check: validAdded("add.fields"), Doc: "Adds each field listed, prefixed with __ (or __<struct>_ if the struct is specified). " + addDoc},
	{Name: "add.headers.prefix", Kind: sdk.StringOption, Default: "__", Importance: sdk.Low, Width: "SHORT", Display: "Header prefix to be added to each header.",
		Doc: "Adds this prefix listed to each header."},
	{Name: "add.headers", Kind: sdk.ListOption, Importance: sdk.Low, Width: "LONG", Display: "Adds the specified fields to the header if they exist.",
		Check: validAdded("add.headers"), Doc: "Adds each field listed to the header,  __ (or __<struct>_ if the struct is specified). " + addDoc},
	{Name: "drop.fields.header.name", Kind: sdk.StringOption, NoDefault: true, Importance: sdk.Low, Width: "SHORT", Display: "Specifies a header that contains a list of field names to be removed",
		Doc: "Specifies the name of a header that contains a list of fields to be removed from the event value."},
	{Name: "drop.fields.from.key", Kind: sdk.BooleanOption, Default: "false", Importance: sdk.Low, Width: "SHORT", Display: "Specifies whether the fields to be dropped should also be omitted from the key",
		Doc: "Specifies whether to apply the drop fields behavior to the event key as well as the value. Default behavior is to only remove fields from the event value, not the key."},
	{Name: "drop.fields.keep.schema.compatible", Kind: sdk.BooleanOption, Default: "true", Importance: sdk.Low, Width: "SHORT", Display: "Specifies if fields are dropped, will the event's schemas be compatible",
		Doc: "Controls the output event's schema compatibility when using the drop fields feature. `true`: dropped fields are removed if the schema indicates its optional leaving the schemas unchanged, " +
			"`false`: dropped fields are removed from the key/value schemas, regardless of optionality."},
	{Name: "replace.null.with.default", Kind: sdk.BooleanOption, Default: "true", Importance: sdk.Low, Internal: true, // as Debezium, which reads it and does not tell
		Doc: "When this option is enabled, null field values are replaced by source-defined defaults when rewriting the record."},
}

// unwrap makes rows of Debezium's change events: what is in after.
type unwrap struct {
	mode           string
	route          string
	fields         []reference
	headers        []reference
	dropHeader     string
	dropFromKey    bool
	dropCompatible bool
	deleted        map[string]*insert  // by what __deleted says
	schemas        cache               // of rows with fields added
	optionals      cache               // of what is added
	leave          map[string]*replace // by the side and the fields to leave out
}

// reference is a field of an event to add to the row or the headers.
type reference struct {
	in   string // the structure of the event; "": the event
	name string
	as   string
}

func newUnwrap(c config) (any, error) {
	t := &unwrap{
		mode: strings.ToLower(c.String("delete.tombstone.handling.mode")), route: c.String("route.by.field"),
		dropHeader: c.String("drop.fields.header.name"), dropFromKey: c.Bool("drop.fields.from.key"), dropCompatible: c.Bool("drop.fields.keep.schema.compatible"),
		fields: references(c.String("add.fields.prefix"), c.List("add.fields")), headers: references(c.String("add.headers.prefix"), c.List("add.headers")),
		deleted: map[string]*insert{}, schemas: cache{}, optionals: cache{}, leave: map[string]*replace{},
	}
	for _, says := range []string{"true", "false"} {
		static := func(*sdk.Record) (any, error) { return says, nil }
		t.deleted[says] = &insert{on: value, defaults: c.Bool("replace.null.with.default"), schemas: cache{},
			added: []insertion{{sdk.Field{Name: "__deleted", Schema: sdk.OptionalStringSchema}, static, static}}}
	}
	return t, nil
}

func validAdded(name string) func(sdk.Values, any) error {
	return func(_ sdk.Values, v any) error {
		for _, f := range v.([]string) {
			if parts := split(f, ":"); len(parts) > 2 || parts[0] == "" {
				return invalid(name, v, "Unexpected field name: "+f)
			}
		}
		return nil
	}
}

func references(prefix string, list []string) []reference {
	var out []reference
	for _, text := range list {
		name, as, renamed := strings.Cut(text, ":")
		in, field, nested := strings.Cut(name, ".")
		r := reference{in: in, name: field, as: prefix + in + "_" + field}
		if !nested {
			r = reference{in: homeOf(name), name: name, as: prefix + name}
		}
		if renamed {
			r.as = prefix + as
		}
		out = append(out, r)
	}
	return out
}

// homeOf tells which structure of an event has a field that is named without one.
func homeOf(name string) string {
	switch name {
	case "id", "data_collection_order", "total_order":
		return "transaction"
	case "op", "ts_ms", "ts_us", "ts_ns":
		return ""
	}
	return "source"
}

func (t *unwrap) apply(r *sdk.Record) (bool, error) {
	if r.Value == nil {
		return t.tombstone(r)
	}
	if r.ValueSchema == nil || !strings.HasSuffix(r.ValueSchema.Name, ".Envelope") {
		return true, nil
	}
	event, err := requireStruct(r.Value, "source field insertion")
	if err != nil {
		return false, err
	}
	if event.Get("op") == "t" {
		return false, nil
	}
	for _, h := range t.headers {
		if s, v, ok := h.of(event); ok {
			r.Headers = append(slices.Clip(r.Headers), sdk.Header{Key: h.as, Schema: t.optional(s), Value: v})
		}
	}
	row, says := "after", "false"
	if event.Get("after") == nil {
		if t.mode == "drop" {
			return false, nil
		}
		row, says = "before", "true"
	}
	if err := t.setTopic(r, event.Get(row)); err != nil {
		return false, err
	}
	rewrite := strings.HasPrefix(t.mode, "rewrite")
	switch {
	case says == "true" && t.mode == "delete-to-tombstone":
		r.ValueSchema, r.Value = nil, nil
	case says == "true" && !rewrite:
		err = take(r, event, "after") // a null with the row's schema
	default:
		if err = take(r, event, row); err == nil && rewrite {
			_, err = t.deleted[says].apply(r)
		}
		if err == nil {
			err = t.addFields(r, event)
		}
	}
	if err != nil {
		return false, err
	}
	return true, t.drop(r)
}

func (t *unwrap) tombstone(r *sdk.Record) (bool, error) {
	if t.mode != "rewrite-with-tombstone" {
		return false, nil
	}
	for _, h := range t.headers {
		if h.name == "op" {
			r.Headers = append(slices.Clip(r.Headers), sdk.Header{Key: h.as, Schema: sdk.StringSchema, Value: "d"})
		}
	}
	return true, nil
}

// take makes a field of the event the record's value.
func take(r *sdk.Record, event *sdk.Struct, field string) error {
	i := event.Schema.Field(field)
	if i < 0 {
		return fmt.Errorf("Unknown field: %s", field)
	}
	r.ValueSchema, r.Value = event.Schema.Fields[i].Schema, event.Values[i]
	return nil
}

func (t *unwrap) setTopic(r *sdk.Record, row any) error {
	if t.route == "" {
		return nil
	}
	s, err := requireStruct(row, "Read record to set topic routing")
	if err != nil {
		return err
	}
	i := s.Schema.Field(t.route)
	if i < 0 {
		return fmt.Errorf("%s is not a valid field name", t.route)
	}
	if s.Schema.Fields[i].Schema.Type != sdk.String {
		return fmt.Errorf("Field '%s' is not of type STRING", t.route)
	}
	if topic, _ := s.Values[i].(string); strings.TrimSpace(topic) != "" {
		r.Topic = topic
	}
	return nil
}

// optional gives the schema of what is added for a field's schema.
func (t *unwrap) optional(s *sdk.Schema) *sdk.Schema {
	out, _ := t.optionals.get(s, func() (*sdk.Schema, error) {
		c := *s
		c.Optional, c.Default = true, nil
		return &c, nil
	})
	return out
}

// of finds the field in an event.
func (f reference) of(event *sdk.Struct) (*sdk.Schema, any, bool) {
	schema, holder := event.Schema, event
	if f.in != "" {
		i := schema.Field(f.in)
		if i < 0 || schema.Fields[i].Schema.Type != sdk.Structure {
			return nil, nil, false
		}
		schema = schema.Fields[i].Schema
		holder, _ = event.Values[i].(*sdk.Struct)
	}
	i := schema.Field(f.name)
	if i < 0 { // another transform may have put it beside
		if i = event.Schema.Field(f.name); i < 0 {
			return nil, nil, false
		}
		schema, holder = event.Schema, event
	}
	if holder == nil {
		return schema.Fields[i].Schema, nil, true
	}
	return schema.Fields[i].Schema, holder.Values[i], true
}

func (t *unwrap) addFields(r *sdk.Record, event *sdk.Struct) error {
	row, ok := r.Value.(*sdk.Struct)
	if !ok {
		return nil
	}
	updated, err := t.schemas.get(row.Schema, func() (*sdk.Schema, error) {
		fields := slices.Clone(row.Schema.Fields)
		for _, f := range t.fields {
			if s, _, ok := f.of(event); ok {
				fields = append(fields, sdk.Field{Name: f.as, Schema: t.optional(s)})
			}
		}
		return basics(row.Schema, fields), nil
	})
	if err != nil {
		return err
	}
	out := &sdk.Struct{Schema: updated, Values: make([]any, 0, len(updated.Fields))}
	out.Values = append(out.Values, row.Values...)
	for _, f := range t.fields {
		if _, v, ok := f.of(event); ok {
			out.Values = append(out.Values, v)
		}
	}
	if len(out.Values) != len(updated.Fields) {
		return fmt.Errorf("The events of a table differ in the fields of add.fields; give them the same fields")
	}
	r.ValueSchema, r.Value = updated, out
	return nil
}

// drop leaves out the fields that a header names.
func (t *unwrap) drop(r *sdk.Record) error {
	if t.dropHeader == "" {
		return nil
	}
	i := slices.IndexFunc(r.Headers, func(h sdk.Header) bool { return h.Key == t.dropHeader })
	if i < 0 {
		return nil
	}
	list, _ := r.Headers[i].Value.([]any)
	var names []string
	for _, e := range list {
		if s, ok := e.(string); ok {
			names = append(names, s)
		}
	}
	for _, on := range []side{key, value} {
		if on == key && !t.dropFromKey {
			continue
		}
		schema, v := on.get(r)
		if schema == nil || v == nil || schema.Type != sdk.Structure {
			continue
		}
		exclude := t.droppable(schema, names)
		if len(exclude) == 0 {
			continue
		}
		if _, err := t.without(on, exclude).apply(r); err != nil {
			return err
		}
	}
	return nil
}

// without gives what leaves fields out, the same for the same fields.
func (t *unwrap) without(on side, exclude []string) *replace {
	name := fmt.Sprint(on, exclude)
	leave := t.leave[name]
	if leave == nil {
		if len(t.leave) >= schemasMost {
			clear(t.leave)
		}
		leave = &replace{on: on, exclude: exclude, schemas: cache{}, places: map[*sdk.Schema][]int{}}
		t.leave[name] = leave
	}
	return leave
}

func (t *unwrap) droppable(schema *sdk.Schema, names []string) []string {
	if !t.dropCompatible {
		return names
	}
	var out []string
	for _, f := range schema.Fields {
		if f.Schema.Optional && slices.Contains(names, f.Name) {
			out = append(out, f.Name)
		}
	}
	return out
}
