package sql

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/weir/weir/connect/sdk"
)

// mostLayouts is how many layouts are remembered: a converter that makes a schema for each record must not fill the memory.
const mostLayouts = 1000

// layout gives a record's layout. An error is not the record's.
func (t *sinkTask) layout(ctx context.Context, r *sdk.Record, gone bool) (*layout, error) {
	key := layoutKey{r.Topic, r.KeySchema, r.ValueSchema, gone}
	if gone {
		key.value = nil
	}
	if t.latest != nil && t.last == key {
		return t.latest, nil
	}
	l := t.layouts[key]
	if l == nil {
		var err error
		if l, err = t.findLayout(ctx, key); err != nil {
			return nil, err
		}
		if len(t.layouts) >= mostLayouts {
			clear(t.layouts)
		}
		t.layouts[key] = l
	}
	t.last, t.latest = key, l
	return l, nil
}

// findLayout gives the layout of records that are like others but for the address of their schemas, or makes one.
func (t *sinkTask) findLayout(ctx context.Context, key layoutKey) (*layout, error) {
	id := t.o.table(key.topic)
	target := t.session.quoter().table(id)
	for _, l := range t.tables[target] {
		if l.gone == key.gone && l.key.Equal(key.key) && l.value.Equal(key.value) {
			return l, nil
		}
	}
	l := &layout{target: target, key: key.key, value: key.value, gone: key.gone}
	fields, err := t.fields(key)
	if err == nil {
		err = t.fill(ctx, l, id, fields)
	}
	var refused *refusal
	if errors.As(err, &refused) {
		l.refused, err = refused.error, nil
	}
	if err != nil {
		return nil, err
	}
	if len(t.tables[target]) < mostLayouts {
		t.tables[target] = append(t.tables[target], l)
	}
	return l, nil
}

// refusal is an error of records with some schemas, and not of the task.
type refusal struct{ error }

func (t *sinkTask) fields(key layoutKey) ([]field, error) {
	switch {
	case key.gone && !t.o.deletes:
		return nil, &refusal{errors.New("it has no value: set delete.enabled=true and pk.mode=record_key if that deletes the row")}
	case !key.gone && key.value == nil:
		return nil, &refusal{errors.New("its value has no schema, which says the columns: use a converter that gives one, such as JsonConverter with schemas.enable=true")}
	}
	fields, err := t.o.fieldsOf(key.key, key.value)
	if err != nil {
		return nil, &refusal{err}
	}
	return fields, nil
}

// fill gives a layout the columns of its table, which is made, or gets columns, if need be.
func (t *sinkTask) fill(ctx context.Context, l *layout, id tableID, fields []field) error {
	is, err := t.session.describe(ctx, id)
	if err != nil {
		return err
	}
	if is == nil {
		if is, err = t.create(ctx, l, id, fields); err != nil {
			return err
		}
	}
	if len(t.o.types) > 0 && !slices.Contains(t.o.types, is.typ) {
		return sdk.Misconfigured("table %s is of the type %s: add that to table.types, which has %s, or leave table.types out", l.target, is.typ, strings.Join(t.o.types, ","))
	}
	if is, err = t.evolve(ctx, l, is, fields); err != nil {
		return err
	}
	if t.o.mode == "upsert" && !is.unique {
		return sdk.Misconfigured("table %s has no primary key: insert.mode=upsert needs one, or a unique index, to know which row a record is", l.target)
	}
	for _, f := range fields {
		c := is.column(f.name)
		write, err := t.session.form().writer(f.schema, c.typ)
		if err != nil {
			return &refusal{fmt.Errorf("field %s: %w", f.name, err)}
		}
		made := column{name: t.session.quoter().name(c.name), field: f, write: write}
		if t.o.defaults {
			made.filler = f.schema.Default
		}
		l.columns = append(l.columns, made)
		if f.key {
			l.keys++
		}
	}
	return nil
}

// create makes a table.
func (t *sinkTask) create(ctx context.Context, l *layout, id tableID, fields []field) (*table, error) {
	if !t.o.create {
		return nil, sdk.Misconfigured("table %s is missing: create it, or set auto.create=true", l.target)
	}
	if l.gone {
		return nil, &refusal{fmt.Errorf("table %s is missing, and a deletion does not say its columns", l.target)}
	}
	var parts, keys []string
	for _, f := range fields {
		part, err := t.definition(f)
		if err != nil {
			return nil, err
		}
		if parts = append(parts, part); f.key {
			keys = append(keys, t.session.quoter().chosen(f.name))
		}
	}
	if len(keys) > 0 {
		parts = append(parts, "PRIMARY KEY ("+strings.Join(keys, ",")+")")
	}
	failed := t.session.exec(ctx, fmt.Sprintf("CREATE TABLE %s (%s)", l.target, strings.Join(parts, ",")))
	is, err := t.session.describe(ctx, id)
	switch {
	case err != nil:
		return nil, err
	case is != nil: // maybe by another task
		if failed == nil {
			t.c.Logger().Info("a table was created", "table", l.target)
		}
		return is, nil
	case failed == nil:
		failed = errors.New("it is not there after it was created")
	}
	return nil, t.refusedChange(failed, "table %s cannot be created", l.target)
}

// refusedChange says that the database does not take a change of a table.
func (t *sinkTask) refusedChange(err error, form string, args ...any) error {
	if explained := t.o.target.explain(err); sdk.CauseOf(explained) == sdk.Transient {
		return explained
	}
	return sdk.Misconfigured("%s: %s", fmt.Sprintf(form, args...), said(err))
}

// evolve adds columns that are missing.
func (t *sinkTask) evolve(ctx context.Context, l *layout, is *table, fields []field) (*table, error) {
	missing := slices.DeleteFunc(slices.Clone(fields), func(f field) bool { return is.column(f.name) != nil })
	if len(missing) == 0 {
		return is, nil
	}
	if !t.o.evolve {
		return nil, sdk.Misconfigured("table %s has no column %s: add it, set auto.evolve=true, or leave the field out with fields.whitelist", l.target, missing[0].name)
	}
	var parts []string
	for _, f := range missing {
		if f.key {
			return nil, sdk.Misconfigured("table %s has no column %s, which is part of the records' key: a primary key cannot be changed by auto.evolve", l.target, f.name)
		}
		part, err := t.definition(f)
		if err != nil {
			return nil, err
		}
		if f.schema.Default == nil {
			part = strings.TrimSuffix(part, " NOT NULL") // the rows that are there have no value
		}
		parts = append(parts, "ADD COLUMN "+part)
	}
	failed := t.session.exec(ctx, fmt.Sprintf("ALTER TABLE %s %s", l.target, strings.Join(parts, ",")))
	now, err := t.session.describe(ctx, is.id)
	if err != nil {
		return nil, err
	}
	for _, f := range missing {
		if now == nil || now.column(f.name) == nil {
			if failed == nil {
				failed = errors.New("it is not there after it was added")
			}
			return nil, t.refusedChange(failed, "table %s does not get a column %s", l.target, f.name)
		}
	}
	t.c.Logger().Info("a table got columns", "table", l.target, "columns", len(missing))
	return now, nil
}

// definition is how a column is made.
func (t *sinkTask) definition(f field) (string, error) {
	typ, err := t.session.form().columnType(f.schema, f.key)
	if err != nil {
		return "", &refusal{fmt.Errorf("field %s: %w", f.name, err)}
	}
	s := t.session.quoter().chosen(f.name) + " " + typ
	if value := plainDefault(f.schema); value != "" {
		s += " DEFAULT " + value
	}
	if !f.schema.Optional || f.key {
		s += " NOT NULL"
	}
	return s, nil
}

// plainDefault is a schema's default as a literal, if both kinds of databases take it for the column; else "".
func plainDefault(s *sdk.Schema) string {
	if m := meanings[s.Name]; m != isOther && m != isDecimal {
		return ""
	}
	if b, ok := s.Default.(bool); ok {
		if b {
			return "TRUE"
		}
		return "FALSE"
	}
	b, ok := appendPlain(nil, s.Default)
	if !ok {
		return ""
	}
	return string(b)
}
