package postgres

import (
	"bytes"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strconv"
	"strings"

	"github.com/weir/weir/connect/sdk"
)

// table is a version of a table: its schemas, made once, and how its rows are read.
type table struct {
	tableName
	captured bool // its changes become records
	signals  bool // its rows are signals to the connector
	full     bool // updates and deletes come with the whole row as it was
	relation *relation
	topic    string
	id       string   // schema.table
	columns  []column // as they are in the rows

	key      *sdk.Schema // nil: it has none
	value    *sdk.Schema
	envelope *sdk.Schema
	keyNames []string

	// Boxed once, for each record's source.
	inSchema, inTable any
}

// column is a column of a table.
type column struct {
	name    string
	kind    kind
	value   int // its place in the value's structure; -1: left out
	key     int // its place in the key's
	null    any // what stands for null
	rewrite func(any) any
}

// build makes a table of what the catalogs say. Columns are those of rel, if it is given, else the catalogs'.
func (o *options) build(ts *types, d *described, rel *relation, copied bool) *table {
	t := &table{tableName: tableName{oid: d.oid, schema: d.schema, name: d.name}}
	names := d.key
	if rel != nil {
		t.schema, t.name, t.full = rel.schema, rel.name, rel.identity == 'f'
	}
	id := t.tableName.String()
	t.id = id
	t.topic = o.topic(t.tableName)
	t.inSchema, t.inTable = t.schema, t.name
	if custom := o.customKey(id, t, d, rel); custom != nil {
		names = custom
	}
	var columns []relationColumn
	if rel != nil {
		columns = rel.columns
	} else {
		for _, c := range d.columns {
			columns = append(columns, relationColumn{c.name, c.typ, c.mod})
		}
	}
	names = slices.DeleteFunc(slices.Clone(names), func(n string) bool { // a key from later than these rows
		return !slices.ContainsFunc(columns, func(c relationColumn) bool { return c.name == n })
	})
	value := &sdk.Schema{Type: sdk.Structure, Optional: true}
	keyFields := make([]sdk.Field, len(names))
	for _, rc := range columns {
		c := column{name: rc.name, value: -1, key: slices.Index(names, rc.name)}
		dc := d.column(rc.name)
		if dc == nil {
			dc = &describedColumn{name: rc.name}
		}
		typ := ts.byOID[rc.typ]
		included := chosen(o.columnInclude, o.columnExclude, id+"."+rc.name)
		var ok bool
		if typ != nil {
			c.kind, ok = kinds{o: o, types: ts, copied: copied}.of(typ, rc.mod)
		}
		if !ok {
			t.columns = append(t.columns, column{name: rc.name, value: -1, key: -1})
			continue
		}
		optional := !dc.notNull && !typ.notNull
		field := *c.kind.schema
		field.Optional = optional || field.Optional
		if dc.def != "" && !dc.generated {
			field.Default = defaultOf(typ, c.kind, dc.def)
		}
		if !optional {
			c.null = c.kind.zero
			if field.Default != nil {
				c.null = field.Default
			}
		}
		if c.key >= 0 {
			key := field
			keyFields[c.key] = sdk.Field{Name: o.fieldName(rc.name), Schema: &key}
		}
		if included {
			c.value = len(value.Fields)
			c.rewrite = o.alter(id, dc, typ, rc, ts, &field)
			value.Fields = append(value.Fields, sdk.Field{Name: o.fieldName(rc.name), Schema: &field})
		}
		t.columns = append(t.columns, c)
	}
	keyFields = slices.DeleteFunc(keyFields, func(f sdk.Field) bool { return f.Schema == nil })
	prefix := o.schemaName(t.topic)
	t.value = sdk.NewStructure(prefix+".Value", value.Fields...)
	t.value.Optional = true
	if len(keyFields) > 0 {
		t.key, t.keyNames = sdk.NewStructure(prefix+".Key", keyFields...), names
	}
	t.envelope = sdk.NewStructure(prefix+".Envelope",
		sdk.Field{Name: "before", Schema: t.value},
		sdk.Field{Name: "after", Schema: t.value},
		sdk.Field{Name: "source", Schema: o.source},
		sdk.Field{Name: "transaction", Schema: transactionBlock},
		sdk.Field{Name: "op", Schema: sdk.StringSchema},
		sdk.Field{Name: "ts_ms", Schema: sdk.OptionalInt64Schema},
		sdk.Field{Name: "ts_us", Schema: sdk.OptionalInt64Schema},
		sdk.Field{Name: "ts_ns", Schema: sdk.OptionalInt64Schema})
	t.envelope.Version = 2
	return t
}

// customKey gives the key that message.key.columns names; nil: none.
func (o *options) customKey(id string, t *table, d *described, rel *relation) []string {
	var out []string
	for _, p := range o.messageKeys {
		if rel != nil {
			for _, c := range rel.columns {
				if p.MatchString(id + "." + c.name) {
					out = append(out, c.name)
				}
			}
			continue
		}
		for _, c := range d.columns {
			if p.MatchString(id + "." + c.name) {
				out = append(out, c.name)
			}
		}
	}
	return out
}

// alter lets the first option that names the column change its schema, and gives what that does to values.
func (o *options) alter(id string, dc *describedColumn, typ *pgType, rc relationColumn, ts *types, field *sdk.Schema) func(any) any {
	root, mod := ts.root(typ, rc.mod)
	length, scale := extent(root, mod)
	for _, m := range o.mappers {
		byType := m.types && (m.match(id+"."+typ.name) || m.match(typ.schema+"."+typ.name) || m.match(typ.name))
		if !byType && (m.types || !m.match(id+"."+rc.name)) {
			continue
		}
		params := slices.Clone(field.Params)
		defer func() { field.Params = params }()
		add := func(name, value string) { params = append(params, sdk.Param{Name: name, Value: value}) }
		switch {
		case m.propagate:
			name := typ.name
			if strings.HasPrefix(dc.def, "nextval(") {
				name = map[uint32]string{oidInt2: "smallserial", oidInt4: "serial", oidInt8: "bigserial"}[root.oid]
			}
			add("__debezium.source.column.type", strings.ToUpper(name))
			add("__debezium.source.column.length", strconv.Itoa(int(length)))
			add("__debezium.source.column.scale", strconv.Itoa(int(scale)))
			add("__debezium.source.column.name", rc.name)
			return nil
		case m.truncate >= 0:
			if length <= int32(m.truncate) {
				return nil
			}
			add("truncateLength", strconv.Itoa(m.truncate))
			return m.rewrite
		}
		add("masked", "true")
		if field.Type != sdk.String || root.labels != nil || root.oid == oidUUID || root.oid == oidJSON || root.oid == oidJSONB {
			return nil // only characters are masked
		}
		if m.hash && length > 0 {
			return func(v any) any {
				if s, ok := m.rewrite(v).(string); ok && len(s) > int(length) {
					return s[:length]
				} else if ok {
					return s
				}
				return nil
			}
		}
		return m.rewrite
	}
	return nil
}

// errRead is a value that could not be read.
type errRead struct {
	column string
	err    error
}

func (e errRead) Error() string { return fmt.Sprintf("column %s: %v", e.column, e.err) }
func (e errRead) Unwrap() error { return e.err }

// read makes the structures of a row. Of a value that was not sent, old, the row as it was, is asked; it may be nil. wantKey and wantValue
// say what is needed.
func (t *table) read(s *slab, o *options, log *slog.Logger, row, old []datum, wantKey, wantValue bool) (key, value *sdk.Struct, err error) {
	if wantKey && t.key != nil {
		key = s.structure(t.key)
	}
	if wantValue {
		value = s.structure(t.value)
	}
	for i := range t.columns {
		c := &t.columns[i]
		if i >= len(row) || c.value < 0 && c.key < 0 || !wantValue && (key == nil || c.key < 0) {
			continue
		}
		d := row[i]
		if d.kind == 'u' && i < len(old) && old[i].kind == 't' {
			d = old[i]
		}
		var v any
		switch d.kind {
		case 'n':
			v = c.null
		case 'u':
			if v = c.kind.absent; v == nil {
				v = c.null
			}
		default:
			if v, err = c.kind.read(s, d.text); err != nil {
				if errors.Is(err, errNewLabel) {
					return nil, nil, err
				}
				if err = o.failed(log, t, errRead{c.name, err}); err != nil {
					return nil, nil, err
				}
				v = nil
			}
		}
		if key != nil && c.key >= 0 {
			key.Values[c.key] = v
		}
		if value != nil && c.value >= 0 {
			if c.rewrite != nil {
				v = c.rewrite(v)
			}
			value.Values[c.value] = v
		}
	}
	return key, value, nil
}

// failed does with a value that could not be read what the options say.
func (o *options) failed(log *slog.Logger, t *table, err errRead) error {
	switch o.onFailure {
	case "fail":
		return sdk.Misconfigured("a value of table %s cannot be converted: %w (event.converting.failure.handling.mode=warn would leave it out)", t.tableName, err)
	case "skip":
		log.Debug("left out a value that cannot be converted", "table", t.tableName.String(), "column", err.column, "error", err.err)
	default:
		log.Warn("left out a value that cannot be converted", "table", t.tableName.String(), "column", err.column, "error", err.err)
	}
	return nil
}

// sameKey tells whether two rows have the same key. A row of which there is nothing has the same.
func (t *table) sameKey(a, b []datum) bool {
	for i := range t.columns {
		if t.columns[i].key >= 0 && i < len(a) && i < len(b) && !same(a[i], b[i]) {
			return false
		}
	}
	return true
}

// sameValue tells whether what becomes of two rows is the same.
func (t *table) sameValue(a, b []datum) bool {
	for i := range t.columns {
		if t.columns[i].value >= 0 && i < len(a) && i < len(b) && !same(a[i], b[i]) {
			return false
		}
	}
	return true
}

func same(a, b datum) bool {
	return a.kind == 'u' || b.kind == 'u' || a.kind == b.kind && bytes.Equal(a.text, b.text)
}
