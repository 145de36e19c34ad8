package cli

import (
	"context"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kmsg"
)

const everything = `%p %o %K:%k %V:%v%h{ %k=%v}\n`

func TestProduce(t *testing.T) {
	file := filepath.Join(t.TempDir(), "records")
	if err := os.WriteFile(file, []byte("from\nfile"), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, test := range []struct {
		name, in string
		args     []string
		want     string
		count    string
	}{
		{"lines", "one\ntwo\n", nil, "0 0 0: 3:one\n0 1 0: 3:two\n", "2 records (6 B)"},
		{"no end of the last line", "one\ntwo", nil, "0 0 0: 3:one\n0 1 0: 3:two\n", "2 records (6 B)"},
		{"empty lines are empty values", "\n\n", nil, "0 0 0: 0:\n0 1 0: 0:\n", "2 records (0 B)"},
		{"lines of Windows", "a\r\n\rb\r\n", nil, "0 0 0: 1:a\n0 1 0: 2:\rb\n", "2 records (3 B)"},
		{"nothing", "", nil, "", "0 records (0 B)"},
		{"keys", "k:v:w\n:v\nk:\n", []string{"--key-separator", ":"}, "0 0 1:k 3:v:w\n0 1 0: 1:v\n0 2 1:k 0:\n", "3 records (6 B)"},
		{"tab", "k\tv\n", []string{"--key-separator", `\t`}, "0 0 1:k 1:v\n", "1 record (2 B)"},
		{"file", "", []string{"--file", file}, "0 0 0: 4:from\n0 1 0: 4:file\n", "2 records (8 B)"},
		{"files", "", []string{"--file", file, "--file", file}, "0 0 0: 4:from\n0 1 0: 4:file\n0 2 0: 4:from\n0 3 0: 4:file\n", "4 records (16 B)"},
		{"headers", "x\n", []string{"--header", "a=b", "--header", "c==d"}, "0 0 0: 1:x a=b c==d\n", "1 record (1 B)"},
		{"gzip", "x\n", []string{"--compression", "gzip"}, "0 0 0: 1:x\n", "1 record (1 B)"},
		{"leader only", "x\n", []string{"--acks", "1"}, "0 0 0: 1:x\n", "1 record (1 B)"},
		{"format", "2k3val1k1v", []string{"--format", "%K%k%V%v"}, "0 0 2:k3 1:a\n", ""},
		{"sized format", "\x02kk\x03val\x00\x01v", []string{"--format", "%K{byte}%k%V{byte}%v"}, "0 0 2:kk 3:val\n0 1 0: 1:v\n", "2 records (6 B)"},
	} {
		t.Run(test.name, func(t *testing.T) {
			c := newCluster(t)
			c.topic("orders", 1)
			got := c.weirWith(context.Background(), test.in, append([]string{"produce", "orders"}, test.args...)...)
			if test.count == "" { // an input that does not fit its layout
				if got.code != exitFailed || !strings.Contains(got.err, "weir: ") {
					t.Errorf("got %+v", got)
				}
				return
			}
			expect(t, got, 0, "", "Wrote "+test.count+" to topic orders in <n> s.\n")
			if written := c.weir("consume", "orders", "--format", everything); written.out != test.want {
				t.Errorf("written: %q, want %q", written.out, test.want)
			}
		})
	}
}

func TestProduceToPartition(t *testing.T) {
	c := newCluster(t)
	c.topic("orders", 3)
	expect(t, c.weirWith(context.Background(), "a\nb\n", "produce", "orders", "-p", "2", "-o", "json"), 0, `
{
  "topic": "orders",
  "records": 2,
  "bytes": 2,
  "seconds": <n>
}
`, "")
	expect(t, c.weir("consume", "orders", "--format", everything), 0, "2 0 0: 1:a\n2 1 0: 1:b\n", "")
	expect(t, c.weirWith(context.Background(), "a\n", "produce", "orders", "-p", "3"), 1, "", "weir: topic \"orders\" has no partition 3: its partitions are 0 to 2\n")
}

func TestProduceManyRecordsKeepsEachOne(t *testing.T) {
	c := newCluster(t)
	c.topic("orders", 3)
	var in strings.Builder
	want := map[string]int{}
	for i := range 20_000 {
		fmt.Fprintf(&in, "record %d\n", i)
		want[fmt.Sprintf("record %d", i)] = 1
	}
	expect(t, c.weirWith(context.Background(), in.String(), "produce", "orders", "--compression", "lz4"), 0, "",
		"Wrote 20000 records (223.5 KiB) to topic orders in <n> s.\n")
	got := map[string]int{}
	for line := range strings.Lines(c.weir("consume", "orders").out) {
		got[strings.TrimSuffix(line, "\n")]++
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("-want +got:\n%.1000s", diff)
	}
}

func TestProduceUnknownTopic(t *testing.T) {
	in := func(c *cluster) ran { return c.weirWith(context.Background(), "a\n", "produce", "ordres") }
	c := newCluster(t, kfake.AllowAutoTopicCreation(), kfake.DefaultNumPartitions(1))
	expect(t, in(c), 0, "", "Topic ordres does not exist yet: asking the cluster to create it.\nWrote 1 record (1 B) to topic ordres in <n> s.\n")

	c = newCluster(t)
	expect(t, in(c), 1, "", `
Topic ordres does not exist yet: asking the cluster to create it.
Wrote 0 records (0 B) to topic ordres in <n> s.
weir: topic "ordres" does not exist and the cluster does not create it: `+"`weir topic create ordres` does\n")
	c.topic("orders", 1)
	expect(t, in(c), 1, "", `
Topic ordres does not exist yet: asking the cluster to create it.
Wrote 0 records (0 B) to topic ordres in <n> s.
weir: topic "ordres" does not exist: did you mean "orders"?
`)
}

func TestProduceBadInput(t *testing.T) {
	c := newCluster(t)
	c.topic("orders", 1)
	expect(t, c.weirWith(context.Background(), "k=v\nno\nk=v\n", "produce", "orders", "--key-separator", "="), 1, "",
		"Wrote 1 record (2 B) to topic orders in <n> s.\nweir: line 2 has no key separator \"=\"\n")
	c.topic("small", 1, "max.message.bytes", "1000")
	expect(t, c.weirWith(context.Background(), "a\n"+strings.Repeat("b", 2000), "produce", "small"), 1, "",
		"Wrote 1 record (1 B) to topic small in <n> s.\nweir: line 2 is longer than the 1000 bytes that the topic's max.message.bytes allows\n")
	got := c.weirWith(context.Background(), "", "produce", "orders", "--file", "/nothing/here")
	expect(t, got, 1, "", "weir: open /nothing/here: no such file or directory\n")
	file := filepath.Join(t.TempDir(), "records")
	if err := os.WriteFile(file, []byte("k=v\nkv\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	expect(t, c.weir("produce", "orders", "--key-separator", "=", "--file", file, "--file", file), 1, "",
		"Wrote 1 record (2 B) to topic orders in <n> s.\nweir: "+file+": line 2 has no key separator \"=\"\n")
}

func TestProduceStopsAtTheFirstFailure(t *testing.T) {
	c := newCluster(t)
	c.topic("orders", 1)
	c.fake.ControlKey(int16(kmsg.Produce), func(request kmsg.Request) (kmsg.Response, error, bool) {
		c.fake.KeepControl()
		response := request.ResponseKind().(*kmsg.ProduceResponse)
		for _, topic := range request.(*kmsg.ProduceRequest).Topics {
			answer := kmsg.ProduceResponseTopic{Topic: topic.Topic, TopicID: topic.TopicID}
			for _, p := range topic.Partitions {
				one := kmsg.NewProduceResponseTopicPartition()
				one.Partition, one.ErrorCode = p.Partition, kerr.TopicAuthorizationFailed.Code
				answer.Partitions = append(answer.Partitions, one)
			}
			response.Topics = append(response.Topics, answer)
		}
		return response, nil, true
	})
	// The input never ends: only the failure does.
	in, feed := io.Pipe()
	defer feed.Close()
	go func() { _, _ = feed.Write([]byte("a\n")) }()
	got := weir(context.Background(), in, "produce", "orders", "-b", c.seed)
	expect(t, got, 1, "", "Wrote 0 records (0 B) to topic orders in <n> s.\nweir: record 1: Not authorized to access topics: [Topic authorization failed.] (TOPIC_AUTHORIZATION_FAILED)\n")
}

func TestProduceInterruptedSendsWhatItRead(t *testing.T) {
	c := newCluster(t)
	c.topic("orders", 1)
	ctx, interrupt := context.WithCancel(context.Background())
	in, feed := io.Pipe()
	defer feed.Close()
	done := make(chan ran)
	go func() { done <- weir(ctx, in, "produce", "orders", "-b", c.seed) }()
	if _, err := feed.Write([]byte("one\ntwo\n")); err != nil {
		t.Fatal(err)
	}
	out := newWatched()
	following, stop := context.WithCancel(context.Background())
	followed := make(chan int)
	go func() { followed <- weirTo(following, nil, out, out, "consume", "orders", "-f", "-b", c.seed) }()
	out.until(t, "two\n")
	stop()
	<-followed
	interrupt()
	expect(t, <-done, 1, "", "Wrote 2 records (6 B) to topic orders in <n> s.\nweir: interrupted\n")
}
