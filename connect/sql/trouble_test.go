package sql

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/weir/weir/connect/sdk"
	"github.com/weir/weir/connect/sdk/kit"
)

// putThrough puts as the runtime does: again and again while the error passes.
func putThrough(t *testing.T, task *sinkTask, records []*sdk.Record) {
	t.Helper()
	for end := time.Now().Add(2 * patience); ; {
		err := task.Put(context.Background(), records)
		switch {
		case err == nil:
			return
		case sdk.CauseOf(err) != sdk.Transient:
			t.Errorf("a database that is down is told of as %s: %v", sdk.CauseOf(err), err)
			return
		case time.Now().After(end):
			t.Error(err)
			return
		}
		time.Sleep(20 * time.Millisecond)
	}
}

// TestKilled: the database is killed again and again while records are put and rows are read. Nothing is lost, and nobody has to do
// anything.
func TestKilled(t *testing.T) {
	for _, kind := range kinds {
		t.Run(kind, func(t *testing.T) {
			d := databaseFor(t, ownServer(t, kind))
			const batches, each, kills = 150, 40, 3
			d.run("CREATE TABLE t (id bigint PRIMARY KEY, name varchar(100), n int)")
			task, _ := begun(t, d.props("insert.mode=upsert", "pk.mode=record_key"))
			reader := readingTask(t, keeper(t), d.props("mode=incrementing", "incrementing.column.name=id", "table.whitelist=t", "batch.max.rows=7"))
			done := make(chan struct{})
			go func() {
				defer close(done)
				for i := range batches {
					var records []*sdk.Record
					for j := range each {
						records = append(records, rec(int64(i*each+j), "name", int32(i)))
					}
					putThrough(t, task, records)
				}
			}()
			var want, got []string
			for i := range batches * each {
				want = append(want, strconv.Itoa(i))
			}
			killed := 0
			for end := time.Now().Add(2 * patience); len(got) < len(want) && time.Now().Before(end); {
				records, err := reader.Poll(context.Background())
				if err != nil && sdk.CauseOf(err) != sdk.Transient {
					t.Fatalf("a database that is down is told of as %s: %v", sdk.CauseOf(err), err)
				}
				if err != nil {
					time.Sleep(10 * time.Millisecond)
				}
				got = append(got, strings.Fields(shown(records, "id"))...)
				if killed < kills && len(got) > killed*100 {
					killed++
					d.kill()
					if err := d.start(); err != nil {
						t.Fatal(err)
					}
				}
			}
			<-done
			if err := kit.Delivered(want, got); err != nil {
				t.Errorf("what was read: %v", err)
			}
			if killed < kills {
				t.Errorf("all was read after %d kills", killed)
			}
			same(t, d.ask("SELECT count(*), count(DISTINCT id), sum(n) FROM t"), fmt.Sprintf("%d|%d|%d", batches*each, batches*each, each*batches*(batches-1)/2))
		})
	}
}

// TestGoneConnection: a connection that the server has ended is made anew at once.
func TestGoneConnection(t *testing.T) {
	each(t, func(t *testing.T, d *database) {
		d.run(createT)
		task, _ := begun(t, d.props("insert.mode=upsert", "pk.mode=record_key"))
		put(t, task, rec(1, "one", nil))
		if d.kind == "postgres" {
			d.ask("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'Weir' AND datname = current_database()")
		} else {
			id := d.ask("SELECT id FROM information_schema.processlist WHERE db = DATABASE() AND id <> CONNECTION_ID()")
			d.run("KILL " + id)
		}
		put(t, task, rec(2, "two", nil))
		same(t, d.ask("SELECT count(*) FROM t"), "2")
	})
}

// TestRetries: options say how often a task is tried again, and apart from that how often it connects.
func TestRetries(t *testing.T) {
	const never, free = -1, time.Duration(-1)
	for _, test := range []struct {
		props             string
		connecting, other limit
	}{
		{"", limit{never, free}, limit{never, free}},
		{"max.retries=0,retry.backoff.ms=5", limit{never, free}, limit{0, 5 * time.Millisecond}},
		{"max.retries=10,retry.backoff.ms=3000,connection.attempts=3,connection.backoff.ms=10000", limit{2, 10 * time.Second}, limit{10, 3 * time.Second}},
	} {
		props := map[string]string{"connection.url": "jdbc:postgresql://127.0.0.1:1/x"}
		for _, one := range strings.FieldsFunc(test.props, func(r rune) bool { return r == ',' }) {
			name, value, _ := strings.Cut(one, "=")
			props[name] = value
		}
		v, wrong := sdk.Parse(sinkTable(), props)
		if len(wrong) > 0 {
			t.Fatal(wrong)
		}
		task := &sinkTask{}
		if err := task.Start(t.Context(), nil, v); err != nil {
			t.Fatal(err)
		}
		most, wait := task.Retries(sdk.Retry(errors.New("deadlock")))
		if got := (limit{most, wait}); got != test.other {
			t.Errorf("%s: %v", test.props, got)
		}
		most, wait = task.Retries(task.Put(t.Context(), []*sdk.Record{rec(1, "one", nil)})) // nobody listens there
		if got := (limit{most, wait}); got != test.connecting {
			t.Errorf("%s: connecting: %v", test.props, got)
		}
	}
	v, wrong := sdk.Parse(sourceTable(), map[string]string{"connection.url": "jdbc:postgresql://h/x", "mode": "bulk", "topic.prefix": "p", "query.retry.attempts": "4"})
	o, _ := parseSource(v)
	if most, _ := o.retries.after(errors.New("x")); len(wrong) > 0 || most != 4 {
		t.Errorf("query.retry.attempts: %d, %v", most, wrong)
	}
}

// TestTableTypes: tables of types that table.types does not have are not written to.
func TestTableTypes(t *testing.T) {
	each(t, func(t *testing.T, d *database) {
		d.run(createT, "CREATE VIEW v AS SELECT * FROM t")
		for _, test := range []struct{ table, types, says string }{
			{"t", "TABLE", ""}, {"v", "table,view", ""}, {"v", "", ""}, {"v", "TABLE", "is of the type VIEW"}, {"t", "VIEW", "is of the type TABLE"},
		} {
			props := []string{"insert.mode=update", "pk.mode=record_key", "table.name.format=" + test.table}
			if test.types != "" {
				props = append(props, "table.types="+test.types)
			}
			task, _ := begun(t, d.props(props...))
			d.run("DELETE FROM t")
			err := task.Put(t.Context(), []*sdk.Record{rec(1, "one", nil)})
			if test.says == "" && err != nil || test.says != "" && (sdk.CauseOf(err) != sdk.Configuration || !strings.Contains(fmt.Sprint(err), test.says)) {
				t.Errorf("%+v: %v", test, err)
			}
		}
	})
}

// TestTrouble: what is wrong outside is told in a sentence that says what to do, with the kind that decides whether trying again helps.
func TestTrouble(t *testing.T) {
	each(t, func(t *testing.T, d *database) {
		if d.kind == "postgres" {
			d.run("DROP ROLE IF EXISTS mere", "CREATE ROLE mere LOGIN", "CREATE TABLE t (id bigint PRIMARY KEY, name text, n int)")
		} else {
			d.run("CREATE OR REPLACE USER mere@'%' IDENTIFIED BY 'secret'", "GRANT SELECT ON "+d.name+".* TO mere@'%'", "CREATE TABLE t (id bigint PRIMARY KEY, name text, n int)")
		}
		place := map[string]string{"postgres": "postgresql", "mysql": "mysql"}[d.kind]
		for name, test := range map[string]struct {
			props []string
			cause sdk.Cause
			says  string
		}{
			"no server":    {[]string{"connection.url=jdbc:" + place + "://127.0.0.1:1/x"}, sdk.Transient, "cannot be reached"},
			"no database":  {[]string{fmt.Sprintf("connection.url=jdbc:%s://127.0.0.1:%d/nope", place, d.port)}, sdk.Configuration, "Check connection.url"},
			"no such user": {[]string{"connection.user=nobody", "connection.password=hushhush"}, sdk.Configuration, "Check connection.user and connection.password"},
			"no privilege": {[]string{"connection.user=mere", "connection.password=secret"}, sdk.Configuration, "lacks a privilege"},
			"no table":     {[]string{"table.name.format=absent"}, sdk.Configuration, "create it, or set auto.create=true"},
			"bad name":     {[]string{"table.name.format=a.b.c.d", "auto.create=true"}, sdk.Configuration, ""},
		} {
			t.Run(name, func(t *testing.T) {
				task, _ := begun(t, d.props(append([]string{"insert.mode=upsert", "pk.mode=record_key"}, test.props...)...))
				err := task.Put(context.Background(), []*sdk.Record{rec(1, "x", nil)})
				if err == nil || sdk.CauseOf(err) != test.cause || !strings.Contains(err.Error(), test.says) || strings.Contains(err.Error(), "hushhush") {
					t.Errorf("got %v (%s), want %s with %q", err, sdk.CauseOf(err), test.cause, test.says)
				}
			})
		}
		for name, test := range map[string]struct {
			props []string
			says  string
		}{
			"no column":      {[]string{"mode=incrementing", "incrementing.column.name=nope"}, "nope"},
			"nullable":       {[]string{"mode=incrementing", "incrementing.column.name=n"}, "can be null"},
			"nothing counts": {[]string{"mode=incrementing"}, "set incrementing.column.name"},
			"no table":       {[]string{"mode=bulk", "table.whitelist=absent"}, "there is no table to read"},
			"wrong query":    {[]string{"mode=bulk", "query=SELECT nothing FROM nowhere"}, "refuses a statement"},
		} {
			t.Run(name, func(t *testing.T) {
				v, _ := sdk.Parse(sourceTable(), d.props(append(test.props, "topic.prefix=p")...))
				task := &sourceTask{}
				err := task.Start(context.Background(), keeper(t), v)
				if err == nil {
					_, err = task.Poll(context.Background())
				}
				_ = task.Stop()
				if sdk.CauseOf(err) != sdk.Configuration || !strings.Contains(fmt.Sprint(err), test.says) {
					t.Errorf("got %v (%s), want %q", err, sdk.CauseOf(err), test.says)
				}
			})
		}
	})
}

// TestOptions: options that do not fit together are refused before anything runs.
func TestOptions(t *testing.T) {
	for name, test := range map[string]struct {
		options []sdk.Option
		wrong   string
		props   string
	}{
		"other database":     {sinkTable(), "connection.url", "connection.url=jdbc:oracle:thin:@localhost:1521/x"},
		"no url":             {sinkTable(), "connection.url", ""},
		"a word for a port":  {sinkTable(), "connection.url", "connection.url=jdbc:mysql://a:b/c"},
		"upsert by nothing":  {sinkTable(), "pk.mode", "insert.mode=upsert"},
		"deletes by nothing": {sinkTable(), "delete.enabled", "delete.enabled=true"},
		"two coordinates":    {sinkTable(), "pk.fields", "pk.mode=kafka;pk.fields=a,b"},
		"no such zone":       {sinkTable(), "db.timezone", "db.timezone=Middle/Earth"},
		"other dialect":      {sinkTable(), "connection.url", "dialect.name=MySqlDatabaseDialect"},
		"a class of Java":    {sinkTable(), "jdbc.credentials.provider.class", "jdbc.credentials.provider.class=com.example.Vault"},
		"no mode":            {sourceTable(), "mode", "topic.prefix=x"},
		"no timestamp":       {sourceTable(), "timestamp.column.name", "topic.prefix=x;mode=timestamp"},
		"query and tables":   {sourceTable(), "query", "topic.prefix=x;mode=bulk;query=SELECT 1;table.whitelist=a"},
		"two ways":           {sourceTable(), "table.blacklist", "topic.prefix=x;mode=bulk;table.whitelist=a;table.blacklist=b"},
		"wrong pattern":      {sourceTable(), "table.include.list", "topic.prefix=x;mode=bulk;table.include.list=a("},
		"isolation":          {sourceTable(), "transaction.isolation.mode", "topic.prefix=x;mode=bulk;transaction.isolation.mode=SQL_SERVER_SNAPSHOT"},
		"fine sink":          {sinkTable(), "", "insert.mode=upsert;pk.mode=record_key;delete.enabled=true;db.timezone=+02:00"},
		"fine source":        {sourceTable(), "", "topic.prefix=x;mode=timestamp+incrementing;timestamp.column.name=a,b;incrementing.column.name=id;timestamp.initial=-1"},
		"fine Aiven":         {aivenSinkTable(), "", "sql.quote.identifiers=false;table.name.normalize=true;topics.to.tables.mapping=a:b,c:d"},
	} {
		t.Run(name, func(t *testing.T) {
			props := map[string]string{"connection.url": "jdbc:postgresql://localhost/x"}
			for _, kv := range strings.Split(test.props, ";") {
				if k, v, ok := strings.Cut(kv, "="); ok {
					props[k] = v
				}
			}
			if test.props == "" {
				delete(props, "connection.url")
			}
			v, wrong := sdk.Parse(test.options, props)
			if len(wrong) == 0 && strings.Contains(name, "ource") || test.options[len(test.options)-1].Name == tablesOption && len(wrong) == 0 {
				_, wrong = parseSource(v)
			} else if len(wrong) == 0 {
				_, wrong = parseSink(v)
			}
			if test.wrong == "" && len(wrong) > 0 || test.wrong != "" && (len(wrong) == 0 || wrong[0].Option != test.wrong) {
				t.Errorf("got %v, want something about %q", wrong, test.wrong)
			}
		})
	}
}

// TestZones: time zones as Java has them.
func TestZones(t *testing.T) {
	for name, hours := range map[string]float64{"UTC": 0, "Z": 0, "GMT": 0, "+02:00": 2, "GMT+2": 2, "UTC-05:30": -5.5, "-0800": -8, "Asia/Tokyo": 9} {
		l, err := zone(name)
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		if _, seconds := time.Date(2024, 1, 1, 0, 0, 0, 0, l).Zone(); float64(seconds)/3600 != hours {
			t.Errorf("%s is %d seconds", name, seconds)
		}
	}
	for _, wrong := range []string{"", "Local", "Middle/Earth", "+x", "+"} {
		if l, err := zone(wrong); err == nil {
			t.Errorf("%q is %s", wrong, l)
		}
	}
}

// TestURLs: what JDBC's drivers understand.
func TestURLs(t *testing.T) {
	for url, want := range map[string]string{
		"jdbc:postgresql://db.example:5433/shop?user=a&password=b%26c": "true [db.example:5433] shop a b&c",
		"jdbc:postgresql://h1,h2:99/shop":                              "true [h1:5432 h2:99] shop  ",
		"jdbc:postgresql:shop":                                         "true [localhost:5432] shop  ",
		"jdbc:postgresql://[::1]:5432/shop":                            "true [[::1]:5432] shop  ",
		"jdbc:mysql://u:p@h/shop":                                      "false [h:3306] shop u p",
		"jdbc:mariadb://h:3307/?user=x":                                "false [h:3307]  x ",
	} {
		got, err := parseURL(url)
		if err != nil {
			t.Errorf("%s: %v", url, err)
			continue
		}
		same(t, fmt.Sprintln(got.postgres, got.hosts, got.database, got.user, got.password), want+"\n")
	}
}

const envelope = `{"schema":{"type":"struct","fields":[{"field":"id","type":"int64","optional":false},{"field":"name","type":"string","optional":true}],"optional":false},"payload":{"id":%d,"name":"%s"}}`

// TestCrash: a worker with a sink, and one with a source, that crash and come back, until all has gone from topic to table and from there to
// a topic again.
func TestCrash(t *testing.T) {
	each(t, func(t *testing.T, d *database) {
		json := kit.Converters("org.apache.kafka.connect.storage.StringConverter", "org.apache.kafka.connect.json.JsonConverter")
		k := kit.New(t, kit.Topic("t", 2), kit.Topic("back-t", 1), json)
		const count = 2000
		var in []kit.Record
		var want []string
		for i := range count {
			in = append(in, kit.Record{Topic: "t", Key: []byte(strconv.Itoa(i)), Value: fmt.Appendf(nil, envelope, i, fmt.Sprint("name ", i))})
			want = append(want, fmt.Sprintf(`{"id":%d,"name":"name %d"}`, i, i))
		}
		k.Produce(in...)
		k.Crash(sink{}, d.props("topics=t", "insert.mode=upsert", "pk.mode=record_value", "pk.fields=id", "auto.create=true"), func() bool { return k.Kept(sink{}, "t") })
		same(t, d.ask("SELECT count(*), min(name), max(id) FROM t"), fmt.Sprintf("%d|name 0|%d", count, count-1))
		k.Crash(source{}, d.props("mode=incrementing", "incrementing.column.name=id", "table.whitelist=t", "topic.prefix=back-", "poll.interval.ms=10", "batch.max.rows=50", "value.converter.schemas.enable=false",
			"value.converter=org.apache.kafka.connect.json.JsonConverter"), func() bool {
			all := k.Positions(source{})
			if len(all) == 0 {
				return false
			}
			n, _ := sdk.Int64Of(all[0].Offset, "incrementing")
			return n == count-1
		})
		if err := kit.Delivered(want, k.Values("back-t")); err != nil {
			t.Error(err)
		}
	})
}

// TestOptionTables: each option is there once, and has a default that it takes.
func TestOptionTables(t *testing.T) {
	for _, c := range Connectors() {
		seen := map[string]bool{}
		for _, o := range c.Options() {
			if seen[o.Name] || o.Doc == "" {
				t.Errorf("%s: %s is there twice, or means nothing", c.Info().Class, o.Name)
			}
			seen[o.Name] = true
			if o.Required || o.NoDefault {
				continue
			}
			if _, wrong := sdk.Parse([]sdk.Option{o}, nil); len(wrong) > 0 {
				t.Errorf("%s: %v", o.Name, wrong)
			}
		}
	}
}

// TestDeadLetters: a record that the database refuses goes to the dead-letter topic, and the others to the table.
func TestDeadLetters(t *testing.T) {
	each(t, func(t *testing.T, d *database) {
		d.run("CREATE TABLE t (id bigint PRIMARY KEY, name varchar(5))")
		k := kit.New(t, kit.Topic("t", 1), kit.Topic("dead", 1), kit.Converters("org.apache.kafka.connect.storage.StringConverter", "org.apache.kafka.connect.json.JsonConverter"))
		bad := fmt.Sprintf(envelope, 2, "much too long")
		k.Produce(kit.Record{Topic: "t", Value: fmt.Appendf(nil, envelope, 1, "one")}, kit.Record{Topic: "t", Value: []byte(bad)}, kit.Record{Topic: "t", Value: fmt.Appendf(nil, envelope, 3, "three")})
		run := k.Start(sink{}, d.props("topics=t", "insert.mode=upsert", "pk.mode=record_value", "pk.fields=id", "errors.tolerance=all",
			"errors.deadletterqueue.topic.name=dead", "errors.deadletterqueue.topic.replication.factor=1", "errors.deadletterqueue.context.headers.enable=true"))
		k.Await("the end of the topic", func() bool { return k.Kept(sink{}, "t") })
		run.Stop()
		same(t, d.ask("SELECT id FROM t ORDER BY id"), "1\n3")
		dead := k.Records("dead")
		if len(dead) != 1 || string(dead[0].Value) != bad || !strings.Contains(strings.ToLower(dead[0].Headers["__connect.errors.exception.message"]), "too long") {
			t.Errorf("the dead letters are %+v", dead)
		}
	})
}
