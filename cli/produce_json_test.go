package cli

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"
)

const records = `{"topic":"orders","partition":2,"offset":0,"leader_epoch":0,"timestamp":1700000000123,"key":"k","value":"{\"a\":\"<&>\"}","headers":[{"key":"h","value":"v"},{"key":"n","value":null},{"key":"b","value":null,"value_base64":"/w=="},{"key":"e","value":""}]}
{"topic":"orders","partition":2,"offset":1,"leader_epoch":0,"timestamp":1700000000124,"key":null,"value":"","headers":[]}
{"topic":"orders","partition":2,"offset":2,"leader_epoch":0,"timestamp":1700000000125,"key":null,"key_base64":"/g==","value":null,"value_base64":"YQr/","headers":[]}
{"topic":"orders","partition":2,"offset":3,"leader_epoch":0,"timestamp":1700000000126,"key":"","value":null,"headers":[]}
`

func TestProduceTakesTheJSONOfConsume(t *testing.T) {
	c := newCluster(t, kfake.AllowAutoTopicCreation(), kfake.DefaultNumPartitions(1))
	c.topic("orders", 3)
	expect(t, c.weirWith(context.Background(), records, "produce", "orders", "--json"), 0, "", "Wrote 4 records (16 B) to topic orders in <n> s.\n")
	expect(t, c.weir("consume", "orders", "-o", "json"), 0, records, "")
	// Into a topic with other partitions only if the line's partition shall not count.
	c.topic("one", 1)
	expect(t, c.weirWith(context.Background(), records, "produce", "one", "--json"), 1, "",
		"Wrote 0 records (0 B) to topic one in <n> s.\nweir: record 1: topic \"one\" has no partition 2: its partitions are 0 to 0 (--partition -1 leaves the choice to the key)\n")
	expect(t, c.weirWith(context.Background(), records, "produce", "one", "--json", "-p", "-1", "--header", "more=x"), 0, "", "Wrote 4 records (16 B) to topic one in <n> s.\n")
	// The partitions of a topic that is new are nobody's wish.
	expect(t, c.weirWith(context.Background(), records, "produce", "new", "--json"), 0, "",
		"Topic new does not exist yet: asking the cluster to create it.\nWrote 4 records (16 B) to topic new in <n> s.\n")
	expect(t, c.weir("consume", "one", "--format", `%p/%o %d %k|%v %H%h{ %k}\n`, "--max", "2"), 0,
		"0/0 1700000000123 k|{\"a\":\"<&>\"} 5 h n b e more\n0/1 1700000000124 | 1 more\n", "")
}

func TestProduceJSON(t *testing.T) {
	for _, test := range []struct{ line, want string }{
		{`{}`, `<nil> <nil> []`},
		{`{"key":"a","value":"b"}`, `"a" "b" []`},
		{`{"value":{"n": [1, "x"]}}`, `<nil> {"n":[1,"x"]} []`},
		{`{"key":7,"value":true}`, `7 true []`},
		{`{"key":null,"value":null}`, `<nil> <nil> []`},
		{` {"value":"\u00e9\n"}` + "\r", "<nil> \"é\\n\" []"},
		{`{"headers":[{"key":"n","value":1},{"key":"n"}]}`, `<nil> <nil> [n=1 n=<nil>]`},
	} {
		c := newCluster(t)
		c.topic("orders", 1)
		before := time.Now().Add(-time.Minute)
		if got := c.weirWith(context.Background(), "\n"+test.line+"\n\n", "produce", "orders", "--json"); got.code != 0 {
			t.Errorf("%s: %+v", test.line, got)
			continue
		}
		fetches := c.client(kgo.ConsumeTopics("orders")).PollFetches(t.Context())
		r := fetches.Records()[0]
		got := fmt.Sprint(shown(r.Key), " ", shown(r.Value), " ", headersShown(r))
		if got != test.want || r.Timestamp.Before(before) {
			t.Errorf("%s: got %s at %s, want %s", test.line, got, r.Timestamp, test.want)
		}
	}
}

// shown shows bytes: text in quotation marks, other JSON as it is.
func shown(b []byte) string {
	switch {
	case b == nil:
		return "<nil>"
	case len(b) > 0 && strings.Contains("{[7t1", string(b[:1])):
		return string(b)
	}
	return fmt.Sprintf("%q", b)
}

func headersShown(r *kgo.Record) []string {
	var all []string
	for _, h := range r.Headers {
		all = append(all, h.Key+"="+shown(h.Value))
	}
	return all
}

func TestProduceBadJSON(t *testing.T) {
	c := newCluster(t)
	c.topic("orders", 1)
	for _, test := range []struct{ line, want string }{
		{`value`, "invalid character 'v' looking for beginning of value"},
		{`{"vaule":"x"}`, `json: unknown field "vaule"`},
		{`{"value":"x"} {}`, "there is something after it"},
		{`{"value":"x"`, "unexpected EOF"},
		{`{"value":"x","value_base64":"eA=="}`, "it has both value and value_base64"},
		{`{"key_base64":"?"}`, "illegal base64 data at input byte 0"},
		{`{"partition":-1}`, "partition must be at least 0"},
		{`{"timestamp":-5}`, "timestamp must be at least 0"},
		{`{"headers":[{"key":"h","value":"x","value_base64":"eA=="}]}`, `header "h": it has both value and value_base64`},
		{"{\"value\":\"\xff\"}", "it is not UTF-8: give bytes as key_base64 and value_base64"},
	} {
		got := c.weirWith(context.Background(), "{}\n"+test.line+"\n{}\n", "produce", "orders", "--json")
		expect(t, got, 1, "", "Wrote 1 record (0 B) to topic orders in <n> s.\nweir: line 2 is no record in JSON: "+test.want+"\n")
	}
}

func TestPatience(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newPatience(time.Minute)
		wait := func(d time.Duration, ended bool) {
			t.Helper()
			<-time.After(d)
			synctest.Wait()
			if (p.ctx.Err() != nil) != ended {
				t.Fatalf("ended: %t", !ended)
			}
		}
		wait(time.Hour, false) // nothing is on its way
		p.sent()
		wait(59*time.Second, false)
		p.sent() // gives the first no more time
		wait(500*time.Millisecond, false)
		p.arrived()
		wait(59*time.Second, false)
		p.arrived()
		wait(time.Hour, false)
		p.sent()
		wait(59*time.Second, false)
		wait(time.Second, true)
		if !p.arrived() {
			t.Error("the record was in time")
		}
	})
}

// The rate is not measured: a record that is due in an hour is not written, which the end of the command shows.
func TestProduceAtARate(t *testing.T) {
	c := newCluster(t)
	c.topic("orders", 1)
	ctx, interrupt := context.WithCancel(context.Background())
	done := make(chan ran)
	go func() {
		done <- c.weirWith(ctx, "one\ntwo\n", "produce", "orders", "--rate", "0.0003")
	}()
	out := newWatched()
	if code := weirTo(context.Background(), nil, out, out, "consume", "orders", "-f", "--max", "1", "-b", c.seed); code != 0 || out.String() != "one\n" {
		t.Errorf("exit code %d, %q", code, out)
	}
	interrupt()
	expect(t, <-done, 1, "", "Wrote 1 record (3 B) to topic orders in <n> s.\nweir: interrupted\n")
	expect(t, c.weirWith(context.Background(), strings.Repeat("x\n", 100), "produce", "orders", "--rate", "10000"), 0, "",
		"Wrote 100 records (100 B) to topic orders in <n> s.\n")
}
