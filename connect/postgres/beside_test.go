package postgres

import (
	"strings"
	"testing"
	"time"

	"github.com/weir/weir/connect/sdk"
)

// What is in this file was found by comparing with Debezium (TestDebeziumBeside of test/connect), and is held here without it.

// TestNames: how names of topics and schemas are made of those of tables and columns.
func TestNames(t *testing.T) {
	v, _ := sdk.Parse(source{}.Options(), map[string]string{"database.hostname": "h", "database.user": "u", "database.dbname": "d", "topic.prefix": "p"})
	o, _ := parseOptions(v)
	table := tableName{schema: "inventory", name: "Odd name"}
	if got := o.topic(table); got != "p.inventory.Odd_name" {
		t.Errorf("the topic is %s", got)
	}
	v, _ = sdk.Parse(source{}.Options(), map[string]string{"database.hostname": "h", "database.user": "u", "database.dbname": "d", "topic.prefix": "p",
		"topic.naming.strategy": "io.debezium.schema.DefaultTopicNamingStrategy", "topic.delimiter": "_"})
	o, _ = parseOptions(v)
	if got := o.topic(table); got != "p_Odd_name" {
		t.Errorf("with the default strategy the topic is %s", got)
	}
	for _, test := range []struct{ mode, name, want string }{
		{"avro", "9x", "_9x"}, {"avro_unicode", "9x", "_u0039x"}, {"avro", "a-b.c", "a_b_c"}, {"avro_unicode", "a-b_c", "a_u002db_u005fc"}, {"none", "9-x", "9-x"},
	} {
		if got := adjust(test.mode, false)(test.name); got != test.want {
			t.Errorf("%s makes %s of %s, want %s", test.mode, got, test.name, test.want)
		}
	}
}

// TestInfiniteDates: in a snapshot an infinite date is another day than in the stream, of which the number has 32 bits and the text all.
func TestInfiniteDates(t *testing.T) {
	for _, test := range []struct {
		mode, text string
		copied     bool
		want       any
	}{
		{"isostring", "infinity", true, "+292278994-08-16Z"}, {"isostring", "-infinity", true, "+292269055-12-02Z"},
		{"isostring", "infinity", false, "+5877611-06-21Z"}, {"adaptive", "infinity", true, int32(-622_191_234)}, {"adaptive", "-infinity", true, int32(-625_821_272)},
		{"connect", "infinity", true, time.Unix(-622_191_234*86_400, 0).UTC()},
	} {
		got, err := kinds{o: &options{times: test.mode}, copied: test.copied}.date().read(&slab{}, []byte(test.text))
		if err != nil || got != test.want {
			t.Errorf("%s, %s, in a snapshot: %v: %v (%v), want %v", test.mode, test.text, test.copied, got, err, test.want)
		}
	}
}

// TestSkippedParts: a change of a key is a delete and a create, each of which may be skipped; an update that is skipped is skipped as
// a whole.
func TestSkippedParts(t *testing.T) {
	s := postgresFor(t)
	for skipped, want := range map[string]string{"none": "d 1, tombstone 1, c 2 moved", "c": "d 1, tombstone 1", "d": "c 2 moved", "u": ""} {
		t.Run(skipped, func(t *testing.T) {
			c := s.database(t, "parts_"+skipped)
			c.run("CREATE TABLE a (id int PRIMARY KEY, v text); INSERT INTO a VALUES (1, 'one')")
			r := newRunner(t, s.props("parts_"+skipped, map[string]string{"snapshot.mode": "no_data", "skipped.operations": skipped}))
			for !r.task.isStreaming() {
				r.poll(100 * time.Millisecond)
			}
			c.run("UPDATE a SET id = 2, v = 'moved'")
			c.run("SELECT pg_logical_emit_message(true, 'x', 'end')")
			for deadline := time.Now().Add(patience); len(r.taken) == 0 || r.taken[len(r.taken)-1] != "m end"; {
				r.poll(time.Second)
				if time.Now().After(deadline) {
					t.Fatalf("got %q", r.taken)
				}
			}
			if got := strings.Join(r.taken[:len(r.taken)-1], ", "); got != want {
				t.Errorf("got %q, want %q", got, want)
			}
		})
	}
}

// TestSourceSnapshot: what follows a snapshot does not say so: the field has its default, which transforms see as null.
func TestSourceSnapshot(t *testing.T) {
	v, _ := sdk.Parse(source{}.Options(), map[string]string{"database.hostname": "h", "database.user": "u", "database.dbname": "d", "topic.prefix": "p"})
	o, _ := parseOptions(v)
	m := newMaker(o, newKeeper(t))
	m.after(0)
	s := m.source(&table{inSchema: "s", inTable: "t"}, 1, stateFalse)
	if got := s.Values[sourceSnapshot]; got != nil || s.Schema.Fields[sourceSnapshot].Schema.Default != "false" {
		t.Errorf("it says %v", got)
	}
}

// TestWindowDeleted: the row that opens a window of an incremental snapshot comes as any other of its table, also when its deletion closes
// the window.
func TestWindowDeleted(t *testing.T) {
	s := postgresFor(t)
	c := s.database(t, "windows")
	c.run("CREATE TABLE a (id int PRIMARY KEY, v text); INSERT INTO a VALUES (1, 'one'); CREATE TABLE signals (id text PRIMARY KEY, v text, data text)")
	r := newRunner(t, s.props("windows", map[string]string{"snapshot.mode": "no_data", "signal.data.collection": "public.signals",
		"incremental.snapshot.watermarking.strategy": "insert_delete"}))
	for !r.task.isStreaming() {
		r.poll(time.Second)
	}
	c.run(`INSERT INTO signals VALUES ('go', 'execute-snapshot', '{"data-collections": ["public.a"]}')`)
	var open, read, gone int
	for deadline := time.Now().Add(patience); gone == 0 || read == 0; {
		r.poll(time.Second)
		open, read, gone = 0, 0, 0
		for _, text := range r.taken {
			switch {
			case strings.HasPrefix(text, "c ") && strings.HasSuffix(text, "-open snapshot-window-open"):
				open++
			case text == "r 1 one":
				read++
			case strings.HasPrefix(text, "d ") && strings.HasSuffix(text, "-open"):
				gone++
			}
		}
		if time.Now().After(deadline) {
			t.Fatalf("got %q", r.taken)
		}
	}
	if open != gone || read != 1 {
		t.Errorf("%d windows opened, %d were deleted, %d rows read: %q", open, gone, read, r.taken)
	}
}
