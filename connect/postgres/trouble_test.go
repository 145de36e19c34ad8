package postgres

import (
	"context"
	"strings"
	"testing"
	"time"

	"github.com/weir/weir/connect/sdk"
)

// TestTrouble: what is wrong outside is told in a sentence that says what to do, with the kind that decides whether trying again helps.
func TestTrouble(t *testing.T) {
	s := postgresFor(t)
	c := s.database(t, "trouble")
	c.run("CREATE TABLE a (id int PRIMARY KEY, v text)")
	c.run("DROP ROLE IF EXISTS mere; CREATE ROLE mere LOGIN; DROP ROLE IF EXISTS replica; CREATE ROLE replica LOGIN REPLICATION")
	t.Cleanup(func() { s.session(t, "postgres").run("DROP ROLE mere; DROP ROLE replica") })
	c.run("SELECT pg_create_logical_replication_slot('other_plugin', 'test_decoding')")
	c.run("SELECT pg_create_logical_replication_slot('ours', 'pgoutput')")
	kept := map[string]any{"lsn": int64(100), "lsn_commit": int64(100), "lsn_proc": int64(100), "messageType": "COMMIT", "txId": int64(1)}
	for name, test := range map[string]struct {
		props map[string]string
		kept  map[string]any
		cause sdk.Cause
		says  string
	}{
		"no server":          {props: map[string]string{"database.port": "1"}, cause: sdk.Transient, says: "cannot be reached"},
		"no database":        {props: map[string]string{"database.dbname": "nope"}, cause: sdk.Configuration, says: "Check database.dbname"},
		"no such user":       {props: map[string]string{"database.user": "nobody"}, cause: sdk.Configuration, says: "Check database.user"},
		"may not replicate":  {props: map[string]string{"database.user": "mere"}, cause: sdk.Configuration, says: "ALTER ROLE \"mere\" REPLICATION"},
		"may not publish":    {props: map[string]string{"database.user": "replica", "publication.name": "not_ours"}, cause: sdk.Configuration, says: "Somebody with the right to has to run: CREATE PUBLICATION"},
		"no publication":     {props: map[string]string{"publication.autocreate.mode": "disabled", "publication.name": "absent"}, cause: sdk.Configuration, says: "run CREATE PUBLICATION"},
		"another plugin":     {props: map[string]string{"slot.name": "other_plugin"}, cause: sdk.Configuration, says: "uses the plugin test_decoding"},
		"slot gone":          {kept: kept, cause: sdk.Lost, says: "does not exist any more: the changes since 0/64 are lost. Reset the connector's offsets"},
		"nothing to publish": {props: map[string]string{"publication.autocreate.mode": "filtered", "publication.name": "nothing", "table.include.list": "public.nope"}, cause: sdk.Configuration, says: "no table matches the filters"},
	} {
		t.Run(name, func(t *testing.T) {
			k := newKeeper(t)
			k.kept = test.kept
			task := begun(t, k, s.props("trouble", test.props))
			defer task.Stop()
			ctx, cancel := context.WithTimeout(context.Background(), patience)
			defer cancel()
			_, err := task.Poll(ctx)
			if err == nil || sdk.CauseOf(err) != test.cause || !strings.Contains(err.Error(), test.says) {
				t.Errorf("got %v (%s), want %s with %q", err, sdk.CauseOf(err), test.cause, test.says)
			}
		})
	}
}

// TestSlotInUse: of two tasks with one slot the second waits for the first.
func TestSlotInUse(t *testing.T) {
	s := postgresFor(t)
	c := s.database(t, "inuse")
	c.run("CREATE TABLE a (id int PRIMARY KEY, v text)")
	first, second := newRunner(t, s.props("inuse", map[string]string{"snapshot.mode": "no_data"})), newRunner(t, s.props("inuse", map[string]string{"snapshot.mode": "no_data"}))
	for !first.task.isStreaming() {
		first.poll(100 * time.Millisecond)
	}
	if _, err := second.task.Poll(context.Background()); sdk.CauseOf(err) != sdk.Transient || !strings.Contains(err.Error(), "is used by somebody else") {
		t.Fatalf("got %v", err)
	}
	if err := first.task.Stop(); err != nil {
		t.Fatal(err)
	}
	c.run("INSERT INTO a VALUES (1, 'one')")
	for deadline := time.Now().Add(patience); len(second.taken) == 0; {
		second.poll(100 * time.Millisecond)
		if time.Now().After(deadline) {
			t.Fatal("the second does not go on")
		}
	}
}

// TestWALLevel: a server that does not write what logical replication needs is told of, by validation too.
func TestWALLevel(t *testing.T) {
	s := ownServer(t, "wal_level=replica")
	task := begun(t, newKeeper(t), s.props("postgres", nil))
	defer task.Stop()
	_, err := task.Poll(context.Background())
	if sdk.CauseOf(err) != sdk.Configuration || !strings.Contains(err.Error(), "set wal_level = logical in postgresql.conf and restart PostgreSQL") {
		t.Errorf("got %v", err)
	}
	v, _ := sdk.Parse(source{}.Options(), s.props("postgres", nil))
	wrong := source{}.Validate(context.Background(), v)
	if len(wrong) != 1 || wrong[0].Option != "database.hostname" || !strings.Contains(wrong[0].Err.Error(), "wal_level is replica") {
		t.Errorf("validation says %v", wrong)
	}
}

// TestWhenNeeded: with snapshot.mode=when_needed a slot that is gone leads to a new snapshot.
func TestWhenNeeded(t *testing.T) {
	s := postgresFor(t)
	c := s.database(t, "needed")
	c.run("CREATE TABLE a (id int PRIMARY KEY, v text); INSERT INTO a VALUES (1, 'one')")
	r := newRunner(t, s.props("needed", map[string]string{"snapshot.mode": "when_needed"}))
	for len(r.taken) == 0 {
		r.poll(time.Second)
	}
	r.keep(0)
	if err := r.task.Stop(); err != nil {
		t.Fatal(err)
	}
	for c.run("SELECT active FROM pg_replication_slots WHERE slot_name = 'slot_needed'")[0][0] == "t" {
		time.Sleep(10 * time.Millisecond)
	}
	c.run("SELECT pg_drop_replication_slot('slot_needed'); UPDATE a SET v = 'two'")
	r.crash()
	for deadline := time.Now().Add(patience); len(r.taken) < 2; {
		r.poll(time.Second)
		if time.Now().After(deadline) {
			t.Fatal("no snapshot came")
		}
	}
	if r.taken[1] != "r 1 two" {
		t.Errorf("got %q", r.taken)
	}
}

// TestTableOrder: a snapshot reads tables in the order of their sizes, if that is asked for.
func TestTableOrder(t *testing.T) {
	s := postgresFor(t)
	c := s.database(t, "ordered")
	c.run(`CREATE TABLE a (id int PRIMARY KEY, v text); CREATE TABLE b (id int PRIMARY KEY, v text); CREATE TABLE c (id int PRIMARY KEY, v text);
 INSERT INTO a VALUES (1, 'a'), (2, 'a'); INSERT INTO b VALUES (1, 'b'); INSERT INTO c VALUES (1, 'c'), (2, 'c'), (3, 'c'); ANALYZE`)
	for order, want := range map[string]string{
		"disabled": "r 1 a,r 2 a,r 1 b,r 1 c,r 2 c,r 3 c", "ascending": "r 1 b,r 1 a,r 2 a,r 1 c,r 2 c,r 3 c", "descending": "r 1 c,r 2 c,r 3 c,r 1 a,r 2 a,r 1 b",
	} {
		r := newRunner(t, s.props("ordered", map[string]string{"snapshot.mode": "initial_only", "snapshot.tables.order.by.row.count": order}))
		for deadline := time.Now().Add(patience); len(r.taken) < 6 && time.Now().Before(deadline); {
			r.poll(time.Second)
		}
		if got := strings.Join(r.taken, ","); got != want {
			t.Errorf("%s: got %s", order, got)
		}
		if err := r.task.Stop(); err != nil {
			t.Fatal(err)
		}
	}
}

// TestValidation: options are checked in Debezium's words, and what is not supported is named.
func TestValidation(t *testing.T) {
	good := map[string]string{"database.hostname": "h", "database.user": "u", "database.dbname": "d", "topic.prefix": "p"}
	for option, test := range map[string]struct{ value, says string }{
		"database.hostname":             {"", "The 'database.hostname' value is invalid: A value is required"},
		"topic.prefix":                  {"bad prefix!", "The 'topic.prefix' value is invalid: bad prefix! has invalid format (only the underscore, hyphen, dot and alphanumeric characters are allowed)"},
		"slot.name":                     {"Bad-Slot", "The 'slot.name' value is invalid: Valid replication slot name must contain only digits, lowercase characters and underscores with length <= 63"},
		"snapshot.mode":                 {"custom", "The 'snapshot.mode' value is invalid: custom is not supported: choose initial"},
		"time.precision.mode":           {"structured", "structured is not supported"},
		"decimal.handling.mode":         {"odd", "The 'decimal.handling.mode' value is invalid: Value must be one of string, double, precise"},
		"plugin.name":                   {"decoderbufs", "set plugin.name=pgoutput"},
		"table.include.list":            {"[", "The 'table.include.list' value is invalid: A comma-separated list of valid regular expressions is expected, but"},
		"poll.interval.ms":              {"0", "The 'poll.interval.ms' value is invalid: A positive, non-zero integer value is expected"},
		"max.queue.size":                {"10", "The 'max.queue.size' value is invalid: Must be larger than the maximum batch size"},
		"converters":                    {"mine", "converters is not supported: custom converters are classes of Java"},
		"notification.enabled.channels": {"sink", "notification.enabled.channels is not supported: notifications are not sent"},
		"skipped.operations":            {"x", "it must be none, or some of c, u, d, t"},
		"message.key.columns":           {"nonsense", "has an invalid format"},
	} {
		props := map[string]string{}
		for k, v := range good {
			props[k] = v
		}
		props[option] = test.value
		v, wrong := sdk.Parse(source{}.Options(), props)
		_, more := parseOptions(v)
		found := false
		var all []string
		for _, w := range append(wrong, more...) {
			all = append(all, w.Option+": "+w.Error())
			found = found || w.Option == option && strings.Contains(w.Error(), test.says)
		}
		if !found {
			t.Errorf("%s=%s: got %q, want %q", option, test.value, all, test.says)
		}
	}
	v, wrong := sdk.Parse(source{}.Options(), good)
	if _, more := parseOptions(v); len(wrong)+len(more) > 0 {
		t.Errorf("right options are refused: %v %v", wrong, more)
	}
	good["errors.max.retries"], good["retriable.restart.connector.wait.ms"], good["connection.validation.timeout.ms"] = "4", "250", "70"
	v, _ = sdk.Parse(source{}.Options(), good)
	o, _ := parseOptions(v)
	if most, wait := (&task{o: o}).Retries(nil); most != 4 || wait != 250*time.Millisecond || o.validateIn != 70*time.Millisecond {
		t.Errorf("it is tried again %d times after %v, and validated in %v", most, wait, o.validateIn)
	}
}

// TestTablesChange: columns that come, go, change their names and types, keys that come, enums that get values: each row has the
// schema of its time, and nothing stops.
func TestTablesChange(t *testing.T) {
	s := postgresFor(t)
	c := s.database(t, "changing")
	c.run("CREATE TYPE mood AS ENUM ('sad'); CREATE TABLE a (id int, m mood)")
	r := newRunner(t, s.props("changing", map[string]string{"snapshot.mode": "no_data"}))
	for !r.task.isStreaming() {
		r.poll(100 * time.Millisecond)
	}
	step := func(want string, statements ...string) {
		t.Helper()
		for _, sql := range statements {
			c.run(sql)
		}
		ctx, cancel := context.WithTimeout(context.Background(), patience)
		defer cancel()
		var got *sdk.Record
		for got == nil {
			records, err := r.task.Poll(ctx)
			if err != nil || ctx.Err() != nil {
				t.Fatal(err, ctx.Err())
			}
			if len(records) > 0 && !records[0].Marks() {
				got = records[len(records)-1]
			}
		}
		after := got.Value.(*sdk.Struct).Get("after").(*sdk.Struct)
		var text strings.Builder
		text.Write(appendValue(nil, after.Schema, after))
		if got.KeySchema != nil {
			text.WriteString(" key ")
			text.Write(appendValue(nil, got.KeySchema, got.Key))
		}
		if text.String() != want {
			t.Errorf("after %q: %s, want %s", statements, text.String(), want)
		}
	}
	step(`{"id":1,"m":"sad"}`, "INSERT INTO a VALUES (1, 'sad')")
	step(`{"id":2,"m":"happy"}`, "ALTER TYPE mood ADD VALUE 'happy'", "INSERT INTO a VALUES (2, 'happy')")
	step(`{"id":3,"m":null,"extra":"x"}`, "ALTER TABLE a ADD extra text", "INSERT INTO a VALUES (3, NULL, 'x')")
	step(`{"id":4,"m":null,"more":5}`, "ALTER TABLE a RENAME extra TO more; ALTER TABLE a ALTER more TYPE bigint USING 0", "INSERT INTO a VALUES (4, NULL, 5)")
	step(`{"id":5,"more":6} key {"id":5}`, "ALTER TABLE a DROP m; ALTER TABLE a ADD PRIMARY KEY (id)", "INSERT INTO a VALUES (5, 6)")
	step(`{"id":1,"when":"2024-01-01T00:00:00.000000Z"} key {"id":1}`, `CREATE TABLE b (id int PRIMARY KEY, "when" timestamptz)`, "INSERT INTO b VALUES (1, '2024-01-01')")
	step(`{"id":7,"more":6} key {"id":7}`, "ALTER TABLE a RENAME TO renamed", "INSERT INTO renamed VALUES (7, 6)")
	step(`{"id":1,"c":{"scale":1,"value":"Dw=="}} key {"id":1}`, "CREATE DOMAIN price AS numeric; CREATE TABLE d (id int PRIMARY KEY, c price)", "INSERT INTO d VALUES (1, 1.50)")
}

// TestHeartbeats: with nothing else to tell, heartbeats move the offset on, and the statement is run.
func TestHeartbeats(t *testing.T) {
	s := postgresFor(t)
	c := s.database(t, "beats")
	c.run("CREATE TABLE a (id int PRIMARY KEY, v text); CREATE TABLE other (id serial, v text); CREATE TABLE beats (id int PRIMARY KEY, n int); INSERT INTO beats VALUES (1, 0)")
	r := newRunner(t, s.props("beats", map[string]string{"snapshot.mode": "no_data", "table.include.list": "public.a", "heartbeat.interval.ms": "50",
		"heartbeat.action.query": "UPDATE beats SET n = n + 1"}))
	for !r.task.isStreaming() {
		r.poll(100 * time.Millisecond)
	}
	end := c.run("INSERT INTO other (v) VALUES ('x'); SELECT pg_current_wal_lsn()")[0][0]
	want, err := parseLSN(end)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	for {
		records, err := r.task.Poll(ctx)
		if err != nil || ctx.Err() != nil {
			t.Fatal(err, ctx.Err())
		}
		if len(records) == 0 || records[0].Marks() {
			continue
		}
		if records[0].Topic != "__debezium-heartbeat.p" {
			t.Fatalf("a record came in topic %s", records[0].Topic)
		}
		if at, _ := sdk.Int64Of(records[0].At.Offset, "lsn_commit"); lsn(at) >= want {
			break
		}
	}
	if n := c.run("SELECT n FROM beats")[0][0]; n == "0" {
		t.Error("heartbeat.action.query was not run")
	}
}
