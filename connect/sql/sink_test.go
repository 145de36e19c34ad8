package sql

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"testing"
	"time"

	"github.com/weir/weir/connect/sdk"
)

// sinkKeeper is the runtime's part of a sink.
type sinkKeeper struct {
	t       testing.TB
	refused map[int64]string // by offset
	strict  bool             // errors.tolerance=none
}

func (k *sinkKeeper) Report(r *sdk.Record, err error) error {
	if k.strict {
		return &sdk.RecordError{Record: r, Err: err}
	}
	k.refused[r.Offset] = err.Error()
	return nil
}
func (k *sinkKeeper) Rewind(map[sdk.TopicPartition]int64) {}
func (k *sinkKeeper) End(sdk.TopicPartition) int64        { return 0 }
func (k *sinkKeeper) Logger() *slog.Logger                { return testLogger(k.t) }
func (k *sinkKeeper) Connector() string                   { return "c" }
func (k *sinkKeeper) Task() int                           { return 0 }

// begun starts a task of a sink.
func begun(t testing.TB, props map[string]string) (*sinkTask, *sinkKeeper) {
	t.Helper()
	v, wrong := sdk.Parse(sinkTable(), props)
	if len(wrong) > 0 {
		t.Fatal(wrong)
	}
	if _, wrong := parseSink(v); len(wrong) > 0 {
		t.Fatal(wrong)
	}
	task, k := &sinkTask{}, &sinkKeeper{t: t, refused: map[int64]string{}}
	if err := task.Start(context.Background(), k, v); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = task.Stop() })
	return task, k
}

func put(t testing.TB, task *sinkTask, records ...*sdk.Record) {
	t.Helper()
	if err := task.Put(context.Background(), records); err != nil {
		t.Fatal(err)
	}
}

// each runs a test against each kind of server.
func each(t *testing.T, test func(t *testing.T, d *database)) {
	for _, kind := range kinds {
		t.Run(kind, func(t *testing.T) { test(t, databaseFor(t, serverFor(t, kind))) })
	}
}

var (
	idSchema  = sdk.NewStructure("", sdk.Field{Name: "id", Schema: sdk.Int64Schema})
	rowSchema = sdk.NewStructure("", sdk.Field{Name: "id", Schema: sdk.Int64Schema}, sdk.Field{Name: "name", Schema: sdk.OptionalStringSchema}, sdk.Field{Name: "n", Schema: sdk.OptionalInt32Schema})
)

var offsets int64

// rec makes a record; of a nil name it is a deletion.
func rec(id int64, name any, n any) *sdk.Record {
	offsets++
	r := &sdk.Record{Topic: "t", Offset: offsets, From: sdk.TopicPartition{Topic: "t", Partition: 3}, KeySchema: idSchema, Key: &sdk.Struct{Schema: idSchema, Values: []any{id}}}
	if name != nil {
		r.ValueSchema, r.Value = rowSchema, &sdk.Struct{Schema: rowSchema, Values: []any{id, name, n}}
	}
	return r
}

const createT = "CREATE TABLE t (id bigint PRIMARY KEY, name varchar(100), n int)"

// TestUpsert: of the records of a key the last counts, within a batch and over batches, deletions among them.
func TestUpsert(t *testing.T) {
	each(t, func(t *testing.T, d *database) {
		d.run(createT)
		task, _ := begun(t, d.props("insert.mode=upsert", "pk.mode=record_key", "delete.enabled=true"))
		put(t, task, rec(1, "one", int32(1)), rec(2, "two", nil), rec(1, "uno", int32(2)), rec(3, "three", int32(3)))
		put(t, task, rec(2, nil, nil), rec(4, "four\t\\ 'x' \"y\"\n", int32(4)), rec(3, nil, nil), rec(3, "drei", int32(-3)), rec(5, "five", nil), rec(5, nil, nil))
		if got, want := d.ask("SELECT * FROM t ORDER BY id"), "1|uno|2\n3|drei|-3\n4|four\t\\ 'x' \"y\"\n|4"; got != want {
			t.Errorf("got\n%s\nwant\n%s", got, want)
		}
	})
}

// TestInsertAndUpdate: the other two modes, the keys out of values and out of where records are.
func TestInsertAndUpdate(t *testing.T) {
	each(t, func(t *testing.T, d *database) {
		d.run(createT)
		insert, _ := begun(t, d.props("insert.mode=insert"))
		put(t, insert, rec(1, "one", int32(1)), rec(2, "two", int32(2)), rec(3, "three", nil))
		update, _ := begun(t, d.props("insert.mode=update", "pk.mode=record_value", "pk.fields=id", "fields.whitelist=name"))
		put(t, update, rec(1, "uno", nil), rec(9, "nine", nil), rec(3, "tre", nil), rec(3, "trois", nil))
		if got, want := d.ask("SELECT * FROM t ORDER BY id"), "1|uno|1\n2|two|2\n3|trois|null"; got != want {
			t.Errorf("got\n%s\nwant\n%s", got, want)
		}
		gone, _ := begun(t, d.props("insert.mode=insert", "pk.mode=record_key", "delete.enabled=true"))
		put(t, gone, rec(1, nil, nil), rec(1, "again", int32(7)), rec(2, nil, nil))
		if got, want := d.ask("SELECT * FROM t ORDER BY id"), "1|again|7\n3|trois|null"; got != want {
			t.Errorf("got\n%s\nwant\n%s", got, want)
		}
		places, _ := begun(t, d.props("insert.mode=upsert", "pk.mode=kafka", "auto.create=true", "table.name.format=${topic}_copy"))
		r := rec(5, "five", nil)
		put(t, places, r)
		if got, want := d.ask("SELECT * FROM t_copy"), fmt.Sprintf("t|3|%d|5|five|null", r.Offset); got != want {
			t.Errorf("got %s, want %s", got, want)
		}
	})
}

// TestPoison: records that the database refuses are reported, and all others are there.
func TestPoison(t *testing.T) {
	each(t, func(t *testing.T, d *database) {
		d.run("CREATE TABLE t (id bigint PRIMARY KEY, name varchar(10), n int CHECK (n < 100))")
		task, k := begun(t, d.props("insert.mode=upsert", "pk.mode=record_key", "delete.enabled=true"))
		var records []*sdk.Record
		bad := map[int64]bool{}
		for i := range int64(1000) {
			r := rec(i, "good", int32(1))
			switch i {
			case 17:
				r = rec(i, "much too long for it", int32(1))
			case 500, 501:
				r = rec(i, "n", int32(1000))
			case 600:
				r.Key.(*sdk.Struct).Values[0] = nil
			case 700:
				r.ValueSchema, r.Value = nil, map[string]any{"id": i}
			}
			if i == 17 || i == 500 || i == 501 || i == 600 || i == 700 {
				bad[r.Offset] = true
			}
			records = append(records, r)
		}
		put(t, task, records...)
		if len(k.refused) != len(bad) {
			t.Errorf("refused: %v", k.refused)
		}
		for offset, why := range k.refused {
			if !bad[offset] || why == "" {
				t.Errorf("offset %d is refused: %s", offset, why)
			}
		}
		if got := d.ask("SELECT count(*) FROM t"); got != "995" {
			t.Errorf("%s rows are there", got)
		}
		k.strict = true
		err := task.Put(context.Background(), []*sdk.Record{rec(2000, "good", nil), rec(2001, "much too long for it", nil), rec(2002, "good", nil)})
		var refused *sdk.RecordError
		if !errors.As(err, &refused) || sdk.CauseOf(err) != sdk.Poison {
			t.Errorf("got %v", err)
		}
		if got := d.ask("SELECT count(*) FROM t WHERE id >= 2000"); got != "0" {
			t.Errorf("%s rows of a batch that failed are there", got)
		}
	})
}

// TestEvolve: tables are made, and get columns, as schemas say; others are refused by a sentence that says what to do.
func TestEvolve(t *testing.T) {
	each(t, func(t *testing.T, d *database) {
		strict, _ := begun(t, d.props("insert.mode=upsert", "pk.mode=record_key"))
		wants := func(says string, r *sdk.Record) {
			t.Helper()
			err := strict.Put(context.Background(), []*sdk.Record{r})
			if sdk.CauseOf(err) != sdk.Configuration || !strings.Contains(fmt.Sprint(err), says) {
				t.Errorf("got %v, want %q", err, says)
			}
		}
		wants("is missing: create it, or set auto.create=true", rec(1, "one", nil))
		task, _ := begun(t, d.props("insert.mode=upsert", "pk.mode=record_key", "auto.create=true", "auto.evolve=true"))
		put(t, task, rec(1, "one", nil))
		more := sdk.NewStructure("", append(append([]sdk.Field(nil), rowSchema.Fields...), sdk.Field{Name: "Extra", Schema: &sdk.Schema{Type: sdk.Int16, Default: int16(7)}},
			sdk.Field{Name: "at", Schema: &sdk.Schema{Type: sdk.Int64, Name: sdk.LogicalTimestamp}})...)
		wider := rec(2, "two", nil)
		wider.ValueSchema, wider.Value = more, &sdk.Struct{Schema: more, Values: []any{int64(2), "two", nil, int16(8), time.UnixMilli(1709212455123).UTC()}}
		wants("has no column Extra: add it, set auto.evolve=true", wider)
		put(t, task, rec(3, "three", nil), wider, rec(4, "four", nil))
		quote := quoter{`"`, false}
		if d.kind == "mysql" {
			quote.mark = "`"
		}
		if got, want := d.ask("SELECT id, name, "+quote.name("Extra")+", at IS NULL FROM t ORDER BY id"), "1|one|7|true\n2|two|8|false\n3|three|7|true\n4|four|7|true"; got != want && got != strings.NewReplacer("true", "1", "false", "0").Replace(want) {
			t.Errorf("got\n%s\nwant\n%s", got, want)
		}
		d.run("ALTER TABLE t DROP COLUMN n", "CREATE TABLE nokey (id bigint, name varchar(10), n int)") // while the task knows the table
		put(t, task, rec(5, "five", int32(5)))
		if got := d.ask("SELECT n FROM t WHERE id = 5"); got != "5" {
			t.Errorf("n is %s", got)
		}
		nokey := rec(1, "one", nil)
		nokey.Topic = "nokey"
		err := task.Put(context.Background(), []*sdk.Record{nokey})
		if sdk.CauseOf(err) != sdk.Configuration {
			t.Errorf("a table without a key: %v", err)
		}
		narrow, k := begun(t, d.props("insert.mode=upsert", "pk.mode=record_key", "table.name.format=narrow"))
		d.run("CREATE TABLE narrow (id bigint PRIMARY KEY, name varchar(3), n int)")
		put(t, narrow, rec(1, "one", nil))
		d.run("ALTER TABLE narrow " + map[string]string{"postgres": "ALTER name TYPE", "mysql": "MODIFY name"}[d.kind] + " varchar(30)")
		put(t, narrow, rec(2, "much longer", nil))
		same(t, d.ask("SELECT id, name FROM narrow ORDER BY id")+fmt.Sprint(k.refused), "1|one\n2|much longermap[]")
	})
}

// TestNames: tables are found by their schemas, names are quoted or not, and columns are found whatever their case.
func TestNames(t *testing.T) {
	each(t, func(t *testing.T, d *database) {
		place := d.name
		if d.kind == "postgres" {
			place = "other"
			d.run(`CREATE SCHEMA other`)
		}
		put1 := func(props ...string) {
			t.Helper()
			task, k := begun(t, d.props(append(props, "insert.mode=upsert", "pk.mode=record_key", "auto.create=true", "auto.evolve=true")...))
			put(t, task, rec(1, "one", int32(1)))
			if len(k.refused) > 0 {
				t.Error(k.refused)
			}
		}
		put1("table.name.format=" + place + ".a ${topic}-b")
		q := quoter{"\"", false}
		if d.kind == "mysql" {
			q.mark = "`"
		}
		same(t, d.ask("SELECT name FROM "+q.table(tableID{schema: place, name: "a t-b"})), "one")
		put1("table.name.format=Plain", "quote.sql.identifiers=never")
		plain := map[string]string{"postgres": "plain", "mysql": "Plain"}[d.kind]
		same(t, d.ask("SELECT name FROM "+plain), "one")
		d.run("CREATE TABLE odd (" + q.name("ID") + " bigint PRIMARY KEY, " + q.name("Na,me") + " int, " + q.name("NAME") + " varchar(10), n int)")
		put1("table.name.format=odd")
		same(t, d.ask("SELECT "+q.name("ID")+", "+q.name("NAME")+" FROM odd"), "1|one")
	})
}

// TestMixedSchemas: records of different schemas and tables in one batch are done in their order.
func TestMixedSchemas(t *testing.T) {
	each(t, func(t *testing.T, d *database) {
		task, k := begun(t, d.props("insert.mode=upsert", "pk.mode=record_key", "auto.create=true", "auto.evolve=true", "delete.enabled=true"))
		small := sdk.NewStructure("", sdk.Field{Name: "id", Schema: sdk.Int64Schema}, sdk.Field{Name: "n", Schema: sdk.OptionalInt32Schema})
		var records []*sdk.Record
		for i := range int32(300) {
			r := rec(int64(i%10), fmt.Sprint("name ", i), i)
			switch i % 3 {
			case 1:
				r.ValueSchema = small
				r.Value = &sdk.Struct{Schema: small, Values: []any{int64(i % 10), i}}
			case 2:
				if i%5 == 0 {
					r.ValueSchema, r.Value = nil, nil
				}
			}
			if i%7 == 0 {
				r.Topic = "u"
			}
			records = append(records, r)
		}
		put(t, task, records...)
		if len(k.refused) > 0 {
			t.Fatal(k.refused)
		}
		for _, table := range []string{"t", "u"} {
			type state struct{ name, n string }
			want := map[int64]*state{}
			for _, r := range records {
				if r.Topic != table {
					continue
				}
				id := r.Key.(*sdk.Struct).Values[0].(int64)
				if r.Value == nil {
					delete(want, id)
					continue
				}
				if want[id] == nil {
					want[id] = &state{name: "null"}
				}
				v := r.Value.(*sdk.Struct)
				want[id].n = fmt.Sprint(v.Get("n"))
				if name, ok := v.Get("name").(string); ok {
					want[id].name = name
				}
			}
			var lines []string
			for id := range int64(10) {
				if s := want[id]; s != nil {
					lines = append(lines, fmt.Sprintf("%d|%s|%s", id, s.name, s.n))
				}
			}
			same(t, d.ask("SELECT id, name, n FROM "+table+" ORDER BY id"), strings.Join(lines, "\n"))
		}
	})
}

// TestEqualKeys: keys that differ as texts and are the same to the database are one row, of which the last counts.
func TestEqualKeys(t *testing.T) {
	each(t, func(t *testing.T, d *database) {
		d.run("CREATE TABLE t (k char(3) PRIMARY KEY, id bigint, name varchar(10), n int)")
		task, k := begun(t, d.props("insert.mode=upsert", "pk.mode=record_key", "pk.fields=k"))
		var records []*sdk.Record
		for i, key := range []string{"a", "b", "a ", "c", "b  ", "a"} {
			r := rec(int64(i), "x", nil)
			r.KeySchema, r.Key = sdk.StringSchema, key
			records = append(records, r)
		}
		put(t, task, records...)
		same(t, d.ask("SELECT trim(k), id FROM t ORDER BY k")+fmt.Sprint(k.refused), "a|5\nb|4\nc|3map[]")
	})
}
