package connect

import (
	"bytes"
	"cmp"
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
)

// shop are tables for what options change beside the values of types.
const shop = `
CREATE SCHEMA inventory;
CREATE TABLE inventory.orders (id int PRIMARY KEY, customer varchar(40) NOT NULL, email varchar(12), note text, amount numeric(10,2) DEFAULT 1.50, code char(5));
COMMENT ON COLUMN inventory.orders.customer IS 'who pays';
CREATE TABLE inventory.lines (order_id int, line int, article text, PRIMARY KEY (order_id, line));
CREATE TABLE i_default (id int PRIMARY KEY, v text, n int);
CREATE TABLE i_full (id int PRIMARY KEY, v text, n int);
ALTER TABLE i_full REPLICA IDENTITY FULL;
CREATE TABLE i_index (id int PRIMARY KEY, code text NOT NULL, v text);
CREATE UNIQUE INDEX i_index_code ON i_index (code);
ALTER TABLE i_index REPLICA IDENTITY USING INDEX i_index_code;
CREATE TABLE i_nothing (id int PRIMARY KEY, v text);
ALTER TABLE i_nothing REPLICA IDENTITY NOTHING;
CREATE TABLE i_nokey (a int, v text);
CREATE TABLE "Odd name" ("a-b" int PRIMARY KEY, "Ü" text, "9x" int, under_score int);
CREATE TABLE large (id int PRIMARY KEY, big text, n int);
ALTER TABLE large ALTER COLUMN big SET STORAGE EXTERNAL;
CREATE TABLE parts (id int, d date, v text, PRIMARY KEY (id, d)) PARTITION BY RANGE (d);
CREATE TABLE parts_2024 PARTITION OF parts FOR VALUES FROM ('2024-01-01') TO ('2025-01-01');
CREATE TABLE signals (id varchar(42) PRIMARY KEY, type varchar(32) NOT NULL, data varchar(2048));
CREATE TABLE z_end (id int PRIMARY KEY);
INSERT INTO inventory.orders VALUES (1, 'Ada Lovelace', 'ada@a.org', 'first', 10.50, 'x'), (2, 'Bo', NULL, NULL, NULL, NULL);
INSERT INTO inventory.lines VALUES (1, 1, 'pen'), (1, 2, 'ink');
INSERT INTO i_default VALUES (1, 'one', 1), (2, 'two', 2), (3, NULL, NULL);
INSERT INTO i_full VALUES (1, 'one', 1), (2, 'two', 2), (3, NULL, NULL);
INSERT INTO i_index VALUES (1, 'a', 'one'), (2, 'b', 'two');
INSERT INTO i_nothing VALUES (1, 'one');
INSERT INTO i_nokey VALUES (1, 'one');
INSERT INTO "Odd name" VALUES (1, 'ü', 9, 1);
INSERT INTO large SELECT 1, string_agg(md5(g::text), ''), 1 FROM generate_series(1, 100) g;
INSERT INTO parts VALUES (1, '2024-05-05', 'one')
`

const shopChanges = `
INSERT INTO inventory.orders VALUES (3, 'Cäsar Ötker', 'c@rome', 'third', 3, 'abc');
UPDATE inventory.orders SET note = 'changed', email = 'long@e.org' WHERE id = 1;
UPDATE inventory.orders SET note = note WHERE id = 1;
UPDATE inventory.orders SET customer = 'Bob' WHERE id = 2;
UPDATE inventory.orders SET id = 20 WHERE id = 2;
DELETE FROM inventory.orders WHERE id = 1;
BEGIN;
INSERT INTO inventory.lines VALUES (3, 1, 'pen');
INSERT INTO i_full VALUES (10, 'ten', 10);
UPDATE inventory.lines SET article = 'paper' WHERE order_id = 3;
UPDATE inventory.lines SET line = 7 WHERE order_id = 3;
SELECT pg_logical_emit_message(true, 'app', 'within');
DELETE FROM inventory.lines WHERE order_id = 3;
COMMIT;
BEGIN;
INSERT INTO i_full VALUES (11, 'never', 11);
ROLLBACK;
UPDATE i_default SET v = 'uno' WHERE id = 1;
UPDATE i_default SET v = v WHERE id = 2;
UPDATE i_default SET id = 30 WHERE id = 3;
DELETE FROM i_default WHERE id = 2;
UPDATE i_full SET v = 'uno' WHERE id = 1;
UPDATE i_full SET v = v WHERE id = 2;
UPDATE i_full SET n = 22 WHERE id = 2;
UPDATE i_full SET id = 30 WHERE id = 3;
DELETE FROM i_full WHERE id = 2;
INSERT INTO i_index VALUES (3, 'c', 'three');
UPDATE i_index SET v = 'uno' WHERE id = 1;
UPDATE i_index SET code = 'bb' WHERE id = 2;
UPDATE i_index SET id = 30 WHERE id = 3;
DELETE FROM i_index WHERE id = 1;
INSERT INTO i_nothing VALUES (2, 'two');
INSERT INTO i_nokey VALUES (2, 'two');
UPDATE "Odd name" SET "Ü" = 'Ü' WHERE "a-b" = 1;
UPDATE large SET n = 2;
UPDATE large SET big = 'short';
INSERT INTO parts VALUES (2, '2024-06-06', 'two');
UPDATE parts SET v = 'zwei' WHERE id = 2;
DELETE FROM parts WHERE id = 2;
SELECT pg_logical_emit_message(false, 'other', 'outside'), pg_logical_emit_message(false, 'app', 'outside too');
TRUNCATE i_default, i_full;
TRUNCATE inventory.orders
`

// besides are configurations with which both connectors read the same database.
var besides = []struct {
	name    string
	types   string // what the database has: a file of package postgres before its "-rows" and "-changes"; "": the shop
	options []string
	before  bool   // the snapshot has the rows of edges
	end     string // the last statement; "": an insert
	once    bool   // no changes follow
	last    string // the topic of the last record, after the prefix; "": that of z_end
	reads   int    // how many records an incremental snapshot has
	skip    string // topics whose name has this are not compared: both connectors write to them
	first   string // of topics whose name has this only the first record is
	run     string // statements after the changes
}{
	{name: "types", types: "types", options: []string{"schemas", "true"}, last: ".public.t_end"},
	{name: "edges-before", types: "edges", before: true, options: []string{"schemas", "true", "time.precision.mode", "isostring", "decimal.handling.mode", "string"}, last: ".public.e_end"},
	{name: "edges", types: "edges", options: []string{"schemas", "true"}, last: ".public.e_end"},
	{name: "strings", types: "types", last: ".public.t_end", options: []string{"schemas", "true", "decimal.handling.mode", "string", "binary.handling.mode", "hex", "hstore.handling.mode", "map",
		"interval.handling.mode", "string", "time.precision.mode", "isostring"}},
	{name: "doubles", types: "types", last: ".public.t_end", options: []string{"schemas", "true", "decimal.handling.mode", "double", "binary.handling.mode", "base64", "include.unknown.datatypes", "true",
		"time.precision.mode", "connect", "money.fraction.digits", "1"}},
	{name: "micros", types: "edges", last: ".public.e_end", options: []string{"schemas", "true", "binary.handling.mode", "base64-url-safe", "time.precision.mode", "microseconds", "include.unknown.datatypes", "true",
		"decimal.handling.mode", "string", "hstore.handling.mode", "map"}},
	{name: "nanos", types: "types", last: ".public.t_end", options: []string{"time.precision.mode", "nanoseconds", "decimal.handling.mode", "string", "interval.handling.mode", "string"}},
	{name: "adaptive", types: "edges", last: ".public.e_end", options: []string{"time.precision.mode", "adaptive_time_microseconds", "binary.handling.mode", "hex"}},
	{name: "identities", options: []string{"skipped.operations", "none"}},
	{name: "schemas", options: []string{"schemas", "true", "skipped.operations", "none", "tombstones.on.delete", "false", "include.schema.comments", "true", "column.propagate.source.type", ".*"}},
	{name: "skips", options: []string{"skipped.operations", "u,d"}},
	{name: "creates", end: "BEGIN; INSERT INTO z_end VALUES (99); UPDATE z_end SET id = 99; COMMIT", options: []string{"skipped.operations", "c,t", "extended.headers.enabled", "false", "datatype.propagate.source.type", ".*varchar,.*numeric", "schemas", "true"}},
	{name: "transactions", options: []string{"schemas", "true", "provide.transaction.metadata", "true", "skipped.operations", "none"}},
	{name: "counted", options: []string{"provide.transaction.metadata", "true", "topic.transaction", "tx", "table.include.list", "inventory.*,public.z_end", "tombstones.on.delete", "false"}},
	{name: "beats", options: []string{"schemas", "true", "heartbeat.interval.ms", "100", "topic.heartbeat.prefix", "beat"}, first: "beat"},
	{name: "keys", options: []string{"schemas", "true", "message.key.columns", "inventory.orders:customer,code;public.i_(full|default):v;public.i_nokey:a"}},
	{name: "columns", options: []string{"schemas", "true", "column.exclude.list", "inventory.orders.note,public.i_full.n", "column.mask.with.6.chars", "inventory.orders.email,public.i_full.id",
		"column.truncate.to.3.chars", "inventory.orders.customer", "column.mask.hash.SHA-256.with.salt.CzQMA0cB5K", "inventory.orders.code,public.i_default.v",
		"column.mask.hash.v2.MD5.with.salt.pepper", "inventory.lines.article"}},
	{name: "chosen", options: []string{"column.include.list", "inventory.orders.(id|customer),public.*", "schema.include.list", "inventory,public", "table.exclude.list", "public.(large|signals)", "topic.delimiter", "_"}, last: "_public_z_end"},
	{name: "unchanged", options: []string{"skip.messages.without.change", "true", "column.exclude.list", "public.i_full.n", "skipped.operations", "none"}},
	{name: "avro", options: []string{"schemas", "true", "schema.name.adjustment.mode", "avro", "field.name.adjustment.mode", "avro"}},
	{name: "avro-unicode", options: []string{"schemas", "true", "schema.name.adjustment.mode", "avro_unicode", "field.name.adjustment.mode", "avro_unicode"}},
	{name: "naming", options: []string{"topic.naming.strategy", "io.debezium.schema.DefaultTopicNamingStrategy", "unavailable.value.placeholder", "gone"}, last: ".z_end"},
	{name: "messages", options: []string{"message.prefix.include.list", "app.*", "binary.handling.mode", "base64", "schemas", "true"}},
	{name: "quiet", options: []string{"message.prefix.exclude.list", "app", "publication.autocreate.mode", "filtered", "table.include.list", "public.(parts|i_full|z_end)", "publish.via.partition.root", "true"}},
	{name: "identify", options: []string{"replica.identity.autoset.values", "public.i_default:FULL,inventory.orders:INDEX orders_pkey", "schema.exclude.list", "pg_temp"}},
	{name: "initial-only", options: []string{"schemas", "true", "snapshot.mode", "initial_only"}, once: true},
	{name: "no-data", options: []string{"snapshot.mode", "no_data"}},
	{name: "when-needed", options: []string{"snapshot.mode", "when_needed", "snapshot.include.collection.list", "inventory.orders,public.z_end"}},
	{name: "always", options: []string{"snapshot.mode", "always", "snapshot.select.statement.overrides", "public.i_full", "snapshot.select.statement.overrides.public.i_full", "SELECT * FROM i_full WHERE id > 1"}},
	{name: "rows", options: unwrapped("add.fields", "op,table,source.name,source.snapshot", "add.headers", "op,source.db:DB", "schemas", "true")},
	{name: "rows-drop", options: unwrapped("delete.tombstone.handling.mode", "drop")},
	{name: "rows-rewrite", options: unwrapped("delete.tombstone.handling.mode", "rewrite", "add.fields", "op", "schemas", "true")},
	{name: "rows-both", options: unwrapped("delete.tombstone.handling.mode", "rewrite-with-tombstone", "table.include.list", "public.(i_full|z_end)")},
	{name: "rows-deleted", options: unwrapped("delete.tombstone.handling.mode", "delete-to-tombstone", "skipped.operations", "none")},
	{name: "chunks", options: []string{"schemas", "true", "snapshot.mode", "no_data", "signal.data.collection", "public.signals", "incremental.snapshot.chunk.size", "2", "skipped.operations", "none"}, skip: "signals", reads: 4,
		run: `INSERT INTO signals VALUES ('a', 'execute-snapshot', '{"type": "incremental", "data-collections": ["public.i_index", "inventory.lines", "public.large"], "additional-conditions": [{"data-collection": "inventory.lines", "filter": "line > 1"}]}')`},
	{name: "chunks-delete", options: []string{"snapshot.mode", "no_data", "signal.data.collection", "public.signals", "incremental.snapshot.watermarking.strategy", "insert_delete", "provide.transaction.metadata", "true"}, skip: "signals", reads: 4,
		run: `INSERT INTO signals VALUES ('a', 'execute-snapshot', '{"data-collections": ["public.i_index", "public.i_nothing"]}')`},
}

// unwrapped are options with which rows come without their envelopes.
func unwrapped(options ...string) []string {
	out := []string{"transforms", "rows", "transforms.rows.type", "io.debezium.transforms.ExtractNewRecordState"}
	for i := 0; i < len(options); i += 2 {
		name := options[i]
		switch strings.SplitN(name, ".", 2)[0] {
		case "add", "delete", "route":
			name = "transforms.rows." + name
		}
		out = append(out, name, options[i+1])
	}
	return out
}

// TestDebeziumBeside: Debezium and Weir's connector read the same database at the same time, with the same configuration: its snapshot
// and its changes. Their records are the same, byte for byte, schemas and headers included.
func TestDebeziumBeside(t *testing.T) {
	theirBroker, ourBroker := startBroker(t), startBroker(t)
	theirs := startJVM(t, theirBroker.kafka)
	ours := startWorker(t, ourBroker.kafka)
	pg := startPostgres(t, "max_replication_slots=100", "max_wal_senders=100", "max_connections=200")
	for _, b := range besides {
		t.Run(b.name, func(t *testing.T) {
			t.Parallel() // so many at a time as there are cores: most of the time is Debezium's waiting
			pg, theirs, ours := *pg, *theirs, *ours
			pg.t, theirs.t, ours.t = t, t, t
			id := strings.ReplaceAll(b.name, "-", "_")
			pg.run("postgres", "CREATE DATABASE "+id)
			if b.types != "" {
				pg.script(id, b.types+".sql")
			} else {
				pg.statements(id, shop)
			}
			switch {
			case b.types == "types":
				pg.script(id, "rows.sql")
			case b.before:
				pg.script(id, "edges-rows.sql")
			}
			config := func(slot string) map[string]string {
				out := pg.props(id, append([]string{"topic.prefix", b.name, "slot.name", slot + id, "publication.name", slot, "tombstones.on.delete", "true", "poll.interval.ms", "20"}, b.options...)...)
				schemas := out["schemas"]
				delete(out, "schemas")
				if schemas == "true" {
					out["key.converter.schemas.enable"], out["value.converter.schemas.enable"] = schemas, schemas
				}
				return out
			}
			last := b.name + cmp.Or(b.last, ".public.z_end")
			end := func() {
				if b.end != "" {
					pg.run(id, b.end)
					return
				}
				pg.run(id, fmt.Sprintf("INSERT INTO %s VALUES (99)", cmp.Or(map[string]string{"types": "t_end", "edges": "e_end"}[b.types], "z_end")))
			}
			if b.once {
				end()
			}
			theirs.connector(b.name, config("theirs_"))
			ours.connector(b.name, config("ours_"))
			defer func() {
				for _, p := range []*process{&theirs, &ours} {
					p.ask("DELETE", "/connectors/"+b.name, nil)
				}
			}()
			if !b.once {
				for _, slot := range []string{"ours_", "theirs_"} {
					await(t, slot+" to follow the changes", func() bool {
						rows := pg.run(id, "SELECT state FROM pg_stat_replication JOIN pg_replication_slots ON active_pid = pid WHERE slot_name = '"+slot+id+"'")
						return len(rows) == 1 && rows[0][0] == "streaming"
					})
				}
				switch {
				case b.types == "":
					pg.statements(id, shopChanges)
				case b.before:
				case b.types == "edges":
					pg.script(id, "edges-rows.sql")
				default:
					pg.script(id, "changes.sql")
				}
				if b.run != "" {
					pg.run(id, b.run)
					for _, p := range []*process{&theirs, &ours} {
						await(t, "the incremental snapshot", func() bool { return p.reads(b.name) == b.reads })
					}
				}
				end()
			}
			compare(t, taken(t, theirBroker.kafka, b.name, last), taken(t, ourBroker.kafka, b.name, last), b.skip, b.first)
		})
	}
}

// reads counts the records of an incremental snapshot.
func (p *process) reads(prefix string) (n int) {
	c, err := kgo.NewClient(kgo.SeedBrokers(p.kafka), kgo.ConsumeRegex(), kgo.ConsumeTopics(`^`+prefix+`\..*`), kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()))
	if err != nil {
		p.t.Fatal(err)
	}
	defer c.Close()
	for {
		ctx, cancel := context.WithTimeout(context.Background(), 300*time.Millisecond)
		fetches := c.PollFetches(ctx)
		cancel()
		if fetches.NumRecords() == 0 {
			return n
		}
		for _, r := range fetches.Records() {
			if bytes.Contains(r.Value, []byte(`"snapshot":"incremental"`)) {
				n++
			}
		}
	}
}

// compare tells where topics differ.
func compare(t *testing.T, theirs, ours map[string][]string, skip, first string) {
	t.Helper()
	for _, side := range []map[string][]string{theirs, ours} {
		for topic, records := range side {
			switch {
			case skip != "" && strings.Contains(topic, skip):
				delete(side, topic)
			case first != "" && strings.Contains(topic, first):
				side[topic] = records[:1]
			}
		}
	}
	records, topics := 0, slices.Sorted(maps.Keys(theirs))
	if mine := slices.Sorted(maps.Keys(ours)); !slices.Equal(topics, mine) {
		t.Errorf("topics differ: Debezium has %v, Weir %v", topics, mine)
	}
	for _, topic := range topics {
		records += len(theirs[topic])
		for i := range max(len(theirs[topic]), len(ours[topic])) {
			if i >= len(theirs[topic]) || i >= len(ours[topic]) {
				t.Errorf("%s: Debezium has %d records, Weir %d", topic, len(theirs[topic]), len(ours[topic]))
				break
			}
			if x, y := theirs[topic][i], ours[topic][i]; x != y {
				at := 0
				for at < min(len(x), len(y)) && x[at] == y[at] {
					at++
				}
				t.Errorf("%s, record %d:\nDebezium: …%.300s\nWeir:     …%.300s", topic, i, x[max(0, at-100):], y[max(0, at-100):])
			}
		}
	}
	t.Logf("%d records in %d topics were compared", records, len(topics))
}
