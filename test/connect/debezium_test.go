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
	p.statements(database, string(b))
}

// statements runs statements, each for itself.
func (p *postgres) statements(database, text string) {
	p.t.Helper()
	c, err := p.dial(database)
	if err != nil {
		p.t.Fatal(err)
	}
	defer c.Close(context.Background())
	for _, sql := range strings.Split(text, ";\n") {
		if strings.TrimSpace(sql) == "" {
			continue
		}
		if _, err := ask(p.t.Context(), c, sql); err != nil {
			p.t.Fatalf("%s: %v", sql, err)
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
	{regexp.MustCompile(`\{"closed":"true","type":"path"\}`), `{"type":"path","closed":"true"}`},                                                                        // in the order of one of Java's maps, which is another in each run
	{regexp.MustCompile(`"default":"x",("field":"extra")`), `$1`},                                                                                                       // known only to who looks before the column is dropped
	{regexp.MustCompile(`io\.debezium\.[a-zA-Z.]*\$LogicalDecodingMessageId@[0-9a-f]+`), "LOGICAL_DECODING_MESSAGE"},                                                    // where Debezium's object is in memory
	{regexp.MustCompile(`,\{"data_collection":"LOGICAL_DECODING_MESSAGE","event_count":\d+\}|\{"data_collection":"LOGICAL_DECODING_MESSAGE","event_count":\d+\},`), ""}, // whose order is by that
	{regexp.MustCompile(`"two":"2","three":"3"`), `"three":"3","two":"2"`},                                                                                              // members of a map that share a bucket of Java's: in the order in which they were put there, which Go's maps forget
	{regexp.MustCompile(`"d":"0044-03-15Z"`), `"d":"-0043-03-15Z"`},                                                                                                     // in a snapshot Debezium loses that a date is before the year 1; Weir does not
	{regexp.MustCompile(`"sequence":"\[[^\]]*\]"`), `"sequence":""`},
}

// taken are the records in topics that begin with a prefix, as text, by topic, once there is one in the topic last.
func taken(t *testing.T, kafka, prefix, last string) map[string][]string {
	t.Helper()
	mine := regexp.MustCompile(`^(` + prefix + `[._].*|beat\.` + prefix + `)$`)
	c, err := kgo.NewClient(kgo.SeedBrokers(kafka), kgo.ConsumeRegex(), kgo.ConsumeTopics(mine.String()), kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()), kgo.MetadataMaxAge(time.Second), kgo.MetadataMinAge(100*time.Millisecond))
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
			return false // a topic, perhaps another set's, is just being made
		}
		read := true
		ends.Each(func(o kadm.ListedOffset) {
			read = read && (!mine.MatchString(o.Topic) || int64(len(out[o.Topic])) >= o.Offset)
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
			if r.Value == nil {
				text = fmt.Sprintf("%s\nno value", r.Key)
			}
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
