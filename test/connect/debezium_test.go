package connect

import (
	"bytes"
	"context"
	"fmt"
	"maps"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"
)

// script runs the statements of a file of package postgres, each for itself.
func (p *postgres) script(database, file string) {
	p.t.Helper()
	b, err := os.ReadFile("../../connect/postgres/testdata/" + file)
	if err != nil {
		p.t.Fatal(err)
	}
	for _, sql := range strings.Split(string(b), ";\n") {
		if strings.TrimSpace(sql) != "" {
			p.run(database, sql)
		}
	}
}

// masks are what differs from run to run: the times of handling, and in a snapshot, of which each has its own, the place and the
// transaction; and what depends on the moment.
var masks = []struct {
	what *regexp.Regexp
	with string
}{
	{regexp.MustCompile(`"ts_(ms|us|ns)":\d+`), `"ts_$1":0`},
	{regexp.MustCompile(`("snapshot":"(?:true|first|last|first_in_data_collection|last_in_data_collection)".*?)"txId":\d+,"lsn":\d+`), `$1"txId":0,"lsn":0`},
	{regexp.MustCompile(`\{"closed":"true","type":"path"\}`), `{"type":"path","closed":"true"}`}, // in the order of one of Java's maps, which is another in each run
	{regexp.MustCompile(`"default":"x",("field":"extra")`), `$1`},                                // known only to who looks before the column is dropped
	{regexp.MustCompile(`"sequence":"\[[^\]]*\]"`), `"sequence":""`},
}

// taken are the records of a worker, as text, by topic.
func taken(t *testing.T, kafka, last string) map[string][]string {
	t.Helper()
	c, err := kgo.NewClient(kgo.SeedBrokers(kafka), kgo.ConsumeRegex(), kgo.ConsumeTopics(`^oracle\..*`), kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()), kgo.MetadataMaxAge(time.Second), kgo.MetadataMinAge(100*time.Millisecond))
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	out := map[string][]string{}
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	// whole tells whether all that is there is read, once the last record is.
	whole := func() bool {
		if len(out[last]) == 0 {
			return false
		}
		ends, err := kadm.NewClient(c).ListEndOffsets(ctx)
		if err != nil {
			t.Fatal(err)
		}
		read := true
		ends.Each(func(o kadm.ListedOffset) {
			read = read && (!strings.HasPrefix(o.Topic, "oracle.") || int64(len(out[o.Topic])) >= o.Offset)
		})
		return read
	}
	for !whole() {
		short, stop := context.WithTimeout(ctx, 200*time.Millisecond)
		fetches := c.PollFetches(short)
		stop()
		if ctx.Err() != nil {
			t.Fatalf("the last record does not come; there are %v", slices.Sorted(maps.Keys(out)))
		}
		for _, r := range fetches.Records() {
			value := r.Value
			for _, m := range masks {
				value = m.what.ReplaceAll(value, []byte(m.with))
			}
			text := fmt.Sprintf("%s\n%s", r.Key, value)
			for _, h := range r.Headers {
				if h.Key == "__debezium.context.runId" {
					h.Value = []byte("a name of each run")
				}
				text += fmt.Sprintf("\n%s: %s", h.Key, bytes.TrimSpace(h.Value))
			}
			out[r.Topic] = append(out[r.Topic], text)
		}
	}
	return out
}

// TestDebeziumBeside: Debezium and Weir's connector read the same database at the same time, with the same configuration: its snapshot
// and its changes. Their records are the same, byte for byte, schemas and headers included.
func TestDebeziumBeside(t *testing.T) {
	theirBroker, ourBroker := startBroker(t), startBroker(t)
	theirs := startJVM(t, theirBroker.kafka)
	ours := startWorker(t, ourBroker.kafka)
	pg := startPostgres(t)
	pg.run("postgres", "CREATE DATABASE oracle")
	pg.script("oracle", "types.sql")
	pg.script("oracle", "rows.sql")
	config := func(slot string) map[string]string {
		return pg.props("oracle", "slot.name", slot, "publication.name", slot, "key.converter.schemas.enable", "true", "value.converter.schemas.enable", "true", "tombstones.on.delete", "true")
	}
	theirs.connector("c", config("theirs"))
	ours.connector("c", config("ours"))
	streams(t, ours, "c")
	await(t, "Debezium to follow the changes", func() bool {
		rows := pg.run("oracle", "SELECT active FROM pg_replication_slots WHERE slot_name = 'theirs'")
		return len(rows) == 1 && rows[0][0] == "t"
	})
	pg.script("oracle", "changes.sql")
	pg.run("oracle", "INSERT INTO t_end VALUES (99)")
	a, b := taken(t, theirBroker.kafka, "oracle.public.t_end"), taken(t, ourBroker.kafka, "oracle.public.t_end")
	records, topics := 0, slices.Sorted(maps.Keys(a))
	if mine := slices.Sorted(maps.Keys(b)); !slices.Equal(topics, mine) {
		t.Errorf("topics differ: Debezium has %v, Weir %v", topics, mine)
	}
	for _, topic := range topics {
		records += len(a[topic])
		for i := range max(len(a[topic]), len(b[topic])) {
			if i >= len(a[topic]) || i >= len(b[topic]) {
				t.Errorf("%s: Debezium has %d records, Weir %d", topic, len(a[topic]), len(b[topic]))
				break
			}
			if x, y := a[topic][i], b[topic][i]; x != y {
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
