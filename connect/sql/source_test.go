package sql

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"maps"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/weir/weir/connect/runtime"
	"github.com/weir/weir/connect/sdk"
)

// sourceKeeper is the runtime's part of a source: it keeps the positions of what a test has taken.
type sourceKeeper struct {
	t    testing.TB
	kept map[string]map[string]any
}

func (k *sourceKeeper) Position(_ context.Context, p map[string]any) (map[string]any, error) {
	return k.kept[runtime.PartitionKey(p)], nil
}
func (k *sourceKeeper) Logger() *slog.Logger { return testLogger(k.t) }
func (k *sourceKeeper) Connector() string    { return "c" }
func (k *sourceKeeper) Task() int            { return 0 }
func (k *sourceKeeper) Run() string          { return "run" }

func keeper(t testing.TB) *sourceKeeper {
	return &sourceKeeper{t: t, kept: map[string]map[string]any{}}
}

const patience = 30 * time.Second

func readingTask(t testing.TB, k *sourceKeeper, props map[string]string) *sourceTask {
	t.Helper()
	props = maps.Clone(props)
	if props["poll.interval.ms"] == "" {
		props["poll.interval.ms"] = "20"
	}
	if props["topic.prefix"] == "" {
		props["topic.prefix"] = "p-"
	}
	v, wrong := sdk.Parse(sourceTable(), props)
	if len(wrong) > 0 {
		t.Fatal(wrong)
	}
	task := &sourceTask{}
	if err := task.Start(context.Background(), k, v); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = task.Stop() })
	return task
}

// take polls until there are so many records, and keeps their positions, as a durable record's are.
func take(t testing.TB, task *sourceTask, k *sourceKeeper, count int) (out []*sdk.Record) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	for len(out) < count {
		records, err := task.Poll(ctx)
		if err != nil {
			t.Fatalf("after %d records: %v", len(out), err)
		}
		for _, r := range records {
			if r.At != nil {
				b, _ := json.Marshal(r.At.Offset) // as it comes back
				var offset map[string]any
				_ = json.Unmarshal(b, &offset)
				k.kept[runtime.PartitionKey(r.At.Partition)] = offset
			}
			out = append(out, r)
		}
	}
	return out
}

func shown(records []*sdk.Record, fields ...string) string {
	var all []string
	for _, r := range records {
		var one []string
		for _, f := range fields {
			one = append(one, fmt.Sprint(r.Value.(*sdk.Struct).Get(f)))
		}
		all = append(all, strings.Join(one, "|"))
	}
	return strings.Join(all, " ")
}

func same(t testing.TB, got, want string) {
	t.Helper()
	if got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
}

// TestIncrementing: what has a higher number comes, once, also after a restart.
func TestIncrementing(t *testing.T) {
	each(t, func(t *testing.T, d *database) {
		serial := map[string]string{"postgres": "bigserial", "mysql": "bigint auto_increment"}[d.kind]
		d.run("CREATE TABLE a (id "+serial+" PRIMARY KEY, v varchar(10))", "INSERT INTO a (v) VALUES ('one'), ('two'), ('three')")
		k := keeper(t)
		for _, counter := range []string{"id", ""} {
			props := d.props("mode=incrementing", "incrementing.column.name="+counter, "table.whitelist=a", "batch.max.rows=2")
			task := readingTask(t, k, props)
			if counter == "id" {
				records := take(t, task, k, 3)
				same(t, shown(records, "id", "v"), "1|one 2|two 3|three")
				if records[0].Topic != "p-a" || records[0].KeySchema != nil || records[0].ValueSchema.Name != "a" {
					t.Errorf("a record is %+v", records[0])
				}
				d.run("INSERT INTO a (v) VALUES ('four')")
				same(t, shown(take(t, task, k, 1), "id", "v"), "4|four")
			} else {
				d.run("INSERT INTO a (v) VALUES ('five')")
				same(t, shown(take(t, task, k, 1), "id", "v"), "5|five")
			}
			_ = task.Stop()
		}
		full := map[string]string{"postgres": "public.a", "mysql": d.name + ".a"}[d.kind]
		want := map[string]map[string]any{runtime.PartitionKey(map[string]any{"protocol": "1", "table": full}): {"incrementing": 5.0}}
		if diff := cmp.Diff(want, k.kept); diff != "" {
			t.Error(diff)
		}
	})
}

// TestTimestamp: rows come when they change; of those with the same time none is missed, if a restart comes between them.
func TestTimestamp(t *testing.T) {
	each(t, func(t *testing.T, d *database) {
		d.run("CREATE TABLE a (id int PRIMARY KEY, made timestamp(6) NULL, changed timestamp(6) NOT NULL)",
			"INSERT INTO a VALUES (1, NULL, '2024-01-01 00:00:00.000001'), (2, NULL, '2024-01-01 00:00:01.5'), (3, NULL, '2024-01-01 00:00:01.5'), (4, NULL, '2024-01-01 00:00:01.5'), (5, '2024-01-01 00:00:02', '2000-01-01')")
		for name, test := range map[string]struct{ first, second, third string }{
			"mode=timestamp": {"1 2", "2 3 4 5", "1"},
			"mode=timestamp+incrementing,incrementing.column.name=id": {"1 2", "3 4 5", "1"},
		} {
			k := keeper(t)
			d.run("UPDATE a SET changed = '2024-01-01 00:00:00.000001' WHERE id = 1")
			props := d.props(append(strings.Split(name, ","), "timestamp.column.name=made,changed", "table.include.list=.*\\.a", "batch.max.rows=2")...)
			task := readingTask(t, k, props)
			same(t, shown(take(t, task, k, 2), "id"), test.first)
			_ = task.Stop()
			task = readingTask(t, k, props)
			same(t, shown(take(t, task, k, len(strings.Fields(test.second))), "id"), test.second)
			d.run("UPDATE a SET changed = '2024-01-01 00:00:03.000007' WHERE id = 1")
			same(t, shown(take(t, task, k, 1), "id"), test.third)
			for _, offset := range k.kept {
				if offset["timestamp"] != 1704067203000.0 || offset["timestamp_nanos"] != 7000.0 {
					t.Errorf("%s: the offset is %v", name, offset)
				}
			}
			_ = task.Stop()
		}
	})
}

// TestQueriesAndBulk: a query with criteria, and tables as a whole, again and again.
func TestQueriesAndBulk(t *testing.T) {
	each(t, func(t *testing.T, d *database) {
		d.run("CREATE TABLE a (id int PRIMARY KEY, b int)", "CREATE TABLE b (id int PRIMARY KEY, name varchar(10))", "INSERT INTO b VALUES (1, 'x'), (2, 'y')", "INSERT INTO a VALUES (10, 1), (11, 2)")
		k := keeper(t)
		task := readingTask(t, k, d.props("mode=incrementing", "incrementing.column.name=id", "query=SELECT * FROM (SELECT a.id, b.name FROM a JOIN b ON a.b = b.id) j", "topic.prefix=joined"))
		records := take(t, task, k, 2)
		same(t, shown(records, "id", "name"), "10|x 11|y")
		if records[0].Topic != "joined" || records[0].ValueSchema.Name != "" {
			t.Errorf("a record is %+v", records[0])
		}
		if diff := cmp.Diff(map[string]map[string]any{runtime.PartitionKey(map[string]any{"query": "query"}): {"incrementing": 11.0}}, k.kept); diff != "" {
			t.Error(diff)
		}
		all := readingTask(t, k, d.props("mode=bulk", "table.blacklist=a", "transaction.isolation.mode=REPEATABLE_READ"))
		same(t, shown(take(t, all, k, 4), "id", "name"), "1|x 2|y 1|x 2|y")
	})
}

// TestOlderOffsets: a position that an older version of Confluent's connector has kept is where it goes on.
func TestOlderOffsets(t *testing.T) {
	each(t, func(t *testing.T, d *database) {
		d.run("CREATE TABLE a (id int PRIMARY KEY)", "INSERT INTO a VALUES (1), (2), (3)")
		k := keeper(t)
		k.kept[runtime.PartitionKey(map[string]any{"table": "a"})] = map[string]any{"incrementing": 2.0}
		same(t, shown(take(t, readingTask(t, k, d.props("mode=incrementing", "incrementing.column.name=id")), k, 1), "id"), "3")
	})
}

// TestSplit: tables are divided among tasks, those that the filters choose.
func TestSplit(t *testing.T) {
	each(t, func(t *testing.T, d *database) {
		for _, name := range []string{"a", "b", "c", "d", "nope"} {
			d.run("CREATE TABLE " + name + " (id int PRIMARY KEY)")
		}
		d.run("CREATE VIEW seen AS SELECT * FROM a")
		v, wrong := sdk.Parse(sourceTable(), d.props("mode=bulk", "topic.prefix=p", "table.exclude.list=.*\\.nope"))
		if len(wrong) > 0 {
			t.Fatal(wrong)
		}
		parts, err := source{}.Split(t.Context(), v, 3)
		if err != nil {
			t.Fatal(err)
		}
		s := map[string]string{"postgres": "public", "mysql": d.name}[d.kind]
		want := []map[string]string{{"tables": fmt.Sprintf(`"%s"."a","%s"."b"`, s, s)}, {"tables": fmt.Sprintf(`"%s"."c"`, s)}, {"tables": fmt.Sprintf(`"%s"."d"`, s)}}
		if diff := cmp.Diff(want, parts); diff != "" {
			t.Error(diff)
		}
	})
}

// TestWatch: a table that comes is noticed.
func TestWatch(t *testing.T) {
	each(t, func(t *testing.T, d *database) {
		d.run("CREATE TABLE a (id int PRIMARY KEY)")
		v, wrong := sdk.Parse(sourceTable(), d.props("mode=bulk", "topic.prefix=p", "table.poll.interval.ms=10"))
		if len(wrong) > 0 {
			t.Fatal(wrong)
		}
		ctx, cancel := context.WithTimeout(t.Context(), patience)
		defer cancel()
		changed, ended := make(chan struct{}, 1), make(chan error)
		go func() {
			ended <- source{}.Watch(ctx, v, func() {
				select {
				case changed <- struct{}{}:
				default:
				}
			})
		}()
		for n := 0; ; n++ { // the first look may come later than the first table
			d.run(fmt.Sprintf("CREATE TABLE b%d (id int PRIMARY KEY)", n))
			select {
			case <-changed:
			case <-time.After(50 * time.Millisecond):
				continue
			case <-ctx.Done():
				t.Fatal("a table that came was not noticed")
			}
			break
		}
		cancel()
		<-ended
	})
}

// TestStamps: what is written as a timestamp is read as the same.
func TestStamps(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		zone := time.FixedZone("", rapid.IntRange(-50000, 50000).Draw(t, "offset"))
		at := time.UnixMicro(rapid.Int64Range(-200_000_000_000_000_000, 9_000_000_000_000_000_000/40).Draw(t, "micros"))
		got, err := parseStamp(appendStamp(nil, at.In(zone), true), time.UTC)
		if err != nil || !got.Equal(at) {
			t.Fatalf("%s is read as %s, %v", appendStamp(nil, at.In(zone), true), got, err)
		}
		if got, err = parseStamp(appendStamp(nil, at.In(zone), false), zone); err != nil || !got.Equal(at) {
			t.Fatalf("%s is read as %s, %v", appendStamp(nil, at.In(zone), false), got, err)
		}
	})
	for _, wrong := range []string{"", "infinity", "2024", "2024-13-01", "2024-01-01 1", "2024-01-01 00:00:00x", "2024-01-01 00:00:00+", "0000-00-00 00:00:00"} {
		if at, err := parseStamp([]byte(wrong), time.UTC); err == nil {
			t.Errorf("%q is read as %s", wrong, at)
		}
	}
}
