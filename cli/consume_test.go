package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// minute is the time of the n-th record of the topic that newTimedCluster makes.
func minute(n int) time.Time {
	return time.Date(2024, 3, 1, 12, n, 0, 0, time.UTC)
}

// newTimedCluster makes a topic of which partition 0 has ten records, a minute apart, partition 1 two, and 2 none.
func newTimedCluster(t *testing.T) *cluster {
	t.Helper()
	c := newCluster(t, kfake.NumBrokers(3))
	c.topic("orders", 3)
	for i := range 10 {
		c.write("orders", fmt.Sprintf("0 k %d %d", i, minute(i).UnixMilli()))
	}
	c.write("orders", fmt.Sprintf("1 k a %d", minute(0).UnixMilli()), fmt.Sprintf("1 k b %d", minute(9).UnixMilli()))
	return c
}

func TestConsumeFromAndUntil(t *testing.T) {
	c := newTimedCluster(t)
	for _, test := range []struct{ args, zero, one string }{
		{"", "0123456789", "ab"},
		{"--from start --until end", "0123456789", "ab"},
		{"--from earliest --until-end", "0123456789", "ab"},
		{"--from end", "", ""},
		{"--from 8", "89", ""},
		{"--from 1", "123456789", "b"},
		{"--from 99", "", ""},
		{"--from -3", "789", "ab"},
		{"--from -1", "9", "b"},
		{"--from -0", "", ""},
		{"--from -99", "0123456789", "ab"},
		{"--from -9223372036854775808", "0123456789", "ab"},
		{"--until 2", "01", "ab"},
		{"--until 0", "", ""},
		{"--until start", "", ""},
		{"--until -8", "01", ""},
		{"--from 3 --until 5", "34", ""},
		{"--from 5 --until 3", "", ""},
		{"--from 2024-03-01T12:07:00Z", "789", "b"},
		{"--from 2024-03-01T12:06:00.001Z", "789", "b"},
		{"--until 2024-03-01T13:01:00+01:00", "0", "a"},
		{"--from 2024-03-01T12:02:00Z --until 2024-03-01T12:04:00Z", "23", ""},
		{"--from -5m", "", ""},
		{"--from 2024-02-28", "0123456789", "ab"},
		{"--until 1969-01-01", "", ""},
		{"-p 1", "", "ab"},
		{"-p 0 -p 1 --from -1", "9", "b"},
		{"-p 0 --max 3", "012", ""},
		{"-p 0 --max 3 --from 8", "89", ""},
	} {
		for _, how := range []string{"", " --isolation-level read_committed", " --group %d"} {
			args := test.args + how
			if how == " --group %d" {
				if strings.Contains(args, "-p ") {
					continue
				}
				args = fmt.Sprintf(args, time.Now().UnixNano())
			}
			got := c.weir(append([]string{"consume", "orders", "--format", `%p%v\n`}, strings.Fields(args)...)...)
			zero, one := "", ""
			for line := range strings.Lines(got.out) {
				value := strings.TrimSuffix(line[1:], "\n")
				switch line[0] {
				case '0':
					zero += value
				case '1':
					one += value
				}
			}
			if got.code != 0 || got.err != "" || zero != test.zero || one != test.one {
				t.Errorf("consume %s: %q and %q, want %q and %q; %+v", args, zero, one, test.zero, test.one, got)
			}
		}
	}
}

func TestConsumeEmptyTopic(t *testing.T) {
	c := newCluster(t)
	c.topic("empty", 3)
	expect(t, c.weir("consume", "empty"), 0, "", "")
	expect(t, c.weir("consume", "empty", "--group", "g"), 0, "", "")
	expect(t, c.weir("consume", "empty", "-o", "json", "--from", "-5m"), 0, "", "")
}

func TestConsumeJSON(t *testing.T) {
	c := newCluster(t)
	c.topic("orders", 1)
	client := c.client()
	at := time.UnixMilli(1_700_000_000_123)
	for _, r := range []*kgo.Record{
		{Key: []byte("k"), Value: []byte(`{"a":"<&>"}`), Headers: []kgo.RecordHeader{{Key: "h", Value: []byte("v")}, {Key: "n"}, {Key: "b", Value: []byte{0xff}}}},
		{Value: []byte{}},
		{Key: []byte{0xfe}, Value: []byte("a\n\xff")},
		{Key: []byte{}},
	} {
		r.Topic, r.Timestamp = "orders", at
		if err := client.ProduceSync(t.Context(), r).FirstErr(); err != nil {
			t.Fatal(err)
		}
	}
	expect(t, c.weir("consume", "orders", "-o", "json"), 0, `
{"topic":"orders","partition":0,"offset":0,"leader_epoch":0,"timestamp":1700000000123,"key":"k","value":"{\"a\":\"<&>\"}","headers":[{"key":"h","value":"v"},{"key":"n","value":null},{"key":"b","value":null,"value_base64":"/w=="}]}
{"topic":"orders","partition":0,"offset":1,"leader_epoch":0,"timestamp":1700000000123,"key":null,"value":"","headers":[]}
{"topic":"orders","partition":0,"offset":2,"leader_epoch":0,"timestamp":1700000000123,"key":null,"key_base64":"/g==","value":null,"value_base64":"YQr/","headers":[]}
{"topic":"orders","partition":0,"offset":3,"leader_epoch":0,"timestamp":1700000000123,"key":"","value":null,"headers":[]}
`, "")
}

func TestConsumeFormat(t *testing.T) {
	c := newCluster(t)
	c.topic("orders", 1)
	c.write("orders", "0 key value 1700000000000")
	expect(t, c.weir("consume", "orders", "--format", `%t/%p/%o %K{big16}|%k{hex}=%v{base64} %d{strftime[%F]} %[ %] %i%%\x21\n`), 0,
		"orders/0/0 \x00\x03|6b6579=dmFsdWU= 2023-11-14 0 1 1%!\n", "")
}

// The last offsets of this partition have no record: they were compacted away.
func TestConsumeStopsAtCompactedEnd(t *testing.T) {
	c := newCluster(t)
	c.topic("orders", 1, "cleanup.policy", "compact", "delete.retention.ms", "0")
	c.write("orders", "0 k old", "0 k new", "0 j x")
	c.fake.Compact()
	expect(t, c.weir("consume", "orders", "--format", `%o %v\n`), 0, "1 new\n2 x\n", "")

	// Whatever is fetched from offset 2 on is answered as a broker does for a gap: nothing, though the end is 5.
	c.fake.KeepControl()
	c.fake.ControlKey(int16(kmsg.ListOffsets), func(request kmsg.Request) (kmsg.Response, error, bool) {
		c.fake.KeepControl()
		if request.(*kmsg.ListOffsetsRequest).Topics[0].Partitions[0].Timestamp != -1 {
			return nil, nil, false
		}
		one := kmsg.NewListOffsetsResponseTopicPartition()
		one.Offset = 5
		response := request.ResponseKind().(*kmsg.ListOffsetsResponse)
		response.Topics = []kmsg.ListOffsetsResponseTopic{{Topic: "orders", Partitions: []kmsg.ListOffsetsResponseTopicPartition{one}}}
		return response, nil, true
	})
	c.fake.ControlKey(int16(kmsg.Fetch), func(request kmsg.Request) (kmsg.Response, error, bool) {
		c.fake.KeepControl()
		fetch := request.(*kmsg.FetchRequest)
		if len(fetch.Topics) == 0 || fetch.Topics[0].Partitions[0].FetchOffset < 3 {
			return nil, nil, false
		}
		one := kmsg.NewFetchResponseTopicPartition()
		one.HighWatermark, one.LastStableOffset, one.LogStartOffset = 5, 5, 0
		response := request.ResponseKind().(*kmsg.FetchResponse)
		response.Topics = []kmsg.FetchResponseTopic{{Topic: "orders", TopicID: fetch.Topics[0].TopicID, Partitions: []kmsg.FetchResponseTopicPartition{one}}}
		return response, nil, true
	})
	for _, args := range []string{"", "--isolation-level read_committed", "--group g"} {
		got := c.weir(append([]string{"consume", "orders", "--format", `%o %v\n`, "--timeout", "5s"}, strings.Fields(args)...)...)
		expect(t, got, 0, "1 new\n2 x\n", "")
	}
}

func TestConsumeTransactions(t *testing.T) {
	c := newCluster(t)
	c.topic("orders", 1)
	for _, commit := range []kgo.TransactionEndTry{kgo.TryCommit, kgo.TryAbort} {
		client := c.client(kgo.TransactionalID(fmt.Sprint(commit)), kgo.DefaultProduceTopic("orders"))
		if err := client.BeginTransaction(); err != nil {
			t.Fatal(err)
		}
		if err := client.ProduceSync(t.Context(), kgo.StringRecord(fmt.Sprint(commit))).FirstErr(); err != nil {
			t.Fatal(err)
		}
		if err := client.EndTransaction(t.Context(), commit); err != nil {
			t.Fatal(err)
		}
	}
	// Offsets 1 and 3 are the markers.
	expect(t, c.weir("consume", "orders", "--format", `%o %v\n`), 0, "0 true\n2 false\n", "")
	started := time.Now()
	expect(t, c.weir("consume", "orders", "--format", `%o %v\n`, "--isolation-level", "read_committed"), 0, "0 true\n", "")
	expect(t, c.weir("consume", "orders", "--group", "g"), 0, "true\nfalse\n", "")
	expect(t, c.weir("consume", "orders", "--group", "g"), 0, "", "")
	if took := time.Since(started); took > 5*time.Second {
		t.Errorf("reading to the end took %v", took)
	}

	open := c.client(kgo.TransactionalID("open"), kgo.DefaultProduceTopic("orders"))
	if err := open.BeginTransaction(); err != nil {
		t.Fatal(err)
	}
	if err := open.ProduceSync(t.Context(), kgo.StringRecord("open")).FirstErr(); err != nil {
		t.Fatal(err)
	}
	expect(t, c.weir("consume", "orders", "--isolation-level", "read_committed"), 0, "true\n", "")
	expect(t, c.weir("consume", "orders", "--from", "-1"), 0, "open\n", "")
}

func TestConsumeFollow(t *testing.T) {
	c := newCluster(t)
	c.topic("orders", 2)
	c.write("orders", "0 k before")
	for _, test := range []struct{ args, first, rest string }{
		{"--from start", "0 before\n", "0 after\n1 other\n"},
		{"--from start --group g", "0 before\n", "0 after\n1 other\n"},
	} {
		ctx, stop := context.WithCancel(context.Background())
		out := newWatched()
		done := make(chan int)
		go func() {
			done <- weirTo(ctx, nil, out, io.Discard, append([]string{"consume", "orders", "-f", "-b", c.seed, "--format", `%p %v\n`}, strings.Fields(test.args)...)...)
		}()
		out.until(t, test.first)
		c.write("orders", "0 k after")
		out.until(t, "0 after\n")
		c.write("orders", "1 k other")
		out.until(t, "1 other\n")
		stop()
		if code := <-done; code != 0 {
			t.Errorf("%s: exit code %d", test.args, code)
		}
	}
}

func TestConsumeFollowFromTheEnd(t *testing.T) {
	c := newCluster(t)
	c.topic("orders", 1)
	c.write("orders", "0 k 0", "0 k 1")
	expect(t, c.weir("consume", "orders", "-f", "--from", "end", "--timeout", "100ms"), 0, "", "")
	expect(t, c.weir("consume", "orders", "-f", "--from", "-1", "--timeout", "300ms"), 0, "1\n", "")
	out := newWatched()
	done := make(chan int)
	go func() {
		done <- weirTo(context.Background(), nil, out, out, "consume", "orders", "-f", "--from", "4", "--max", "2", "-b", c.seed)
	}()
	c.write("orders", "0 k 2", "0 k 3", "0 k 4", "0 k 5", "0 k 6")
	if code := <-done; code != 0 || out.String() != "4\n5\n" {
		t.Errorf("exit code %d, output %q", code, out)
	}
}

func TestConsumeGroupGoesOnWhereItEnded(t *testing.T) {
	c := newTimedCluster(t)
	group := func(args ...string) string {
		t.Helper()
		got := c.weir(append([]string{"consume", "orders", "-g", "g", "--format", "%v "}, args...)...)
		if got.code != 0 || got.err != "" {
			t.Errorf("%+v", got)
		}
		return got.out
	}
	seen := map[string]bool{}
	add := func(out string, want int) {
		t.Helper()
		for _, value := range strings.Fields(out) {
			if seen[value] {
				t.Errorf("%s was printed twice", value)
			}
			seen[value] = true
		}
		if len(seen) != want {
			t.Errorf("%d records seen, want %d; last were %q", len(seen), want, out)
		}
	}
	add(group("--max", "1"), 1)
	add(group("--max", "4"), 5)
	add(group(), 12)
	add(group(), 12)
	// Partition 2 had nothing to commit but its beginning, which is enough to find what came since.
	c.write("orders", "2 k new")
	add(group("--from", "end"), 13)
}

func TestConsumeGroupWithMoreMembersThanPartitions(t *testing.T) {
	c := newCluster(t)
	c.topic("orders", 1)
	c.write("orders", "0 k v")
	out := newWatched()
	ctx, stop := context.WithCancel(context.Background())
	done := make(chan int)
	go func() {
		done <- weirTo(ctx, nil, out, io.Discard, "consume", "orders", "-g", "g", "-f", "-b", c.seed)
	}()
	out.until(t, "v\n")
	// Whichever of the two has the partition afterwards: this one has nothing left to print, and ends.
	expect(t, c.weir("consume", "orders", "-g", "g"), 0, "", "")
	stop()
	if code := <-done; code != 0 {
		t.Errorf("exit code %d", code)
	}
}

func TestConsumeFailsWhenTheGroupAssignsNothing(t *testing.T) {
	c := newCluster(t)
	c.topic("orders", 1)
	c.fake.ControlKey(int16(kmsg.JoinGroup), func(request kmsg.Request) (kmsg.Response, error, bool) {
		c.fake.KeepControl()
		response := request.ResponseKind().(*kmsg.JoinGroupResponse)
		response.ErrorCode = kerr.CoordinatorLoadInProgress.Code
		return response, nil, true
	})
	expect(t, c.weir("consume", "orders", "--group", "g", "--timeout", "500ms"), exitFailed, "",
		"weir: the group assigned no partitions within 500ms: unable to join group session: "+
			"The coordinator is loading and hence can't process requests (COORDINATOR_LOAD_IN_PROGRESS)\n")
}

// failingWriter is an output whose reader goes away after some bytes.
type failingWriter struct {
	left int
	err  error
}

func (w *failingWriter) Write(b []byte) (int, error) {
	if w.left -= len(b); w.left < 0 {
		return 0, w.err
	}
	return len(b), nil
}

func TestBrokenPipeEndsQuietly(t *testing.T) {
	c := newCluster(t)
	c.topic("orders", 1)
	for range 10 {
		c.write("orders", "0 k v")
	}
	for _, args := range []string{"consume orders", "consume orders --group g", "consume orders -f", "consume orders -o json", "topic list", "topic describe orders", "group list"} {
		read, write, err := os.Pipe()
		if err != nil {
			t.Fatal(err)
		}
		read.Close()
		var said strings.Builder
		code := weirTo(context.Background(), nil, write, &said, append(strings.Fields(args), "-b", c.seed)...)
		write.Close()
		if code != 0 || said.String() != "" {
			t.Errorf("weir %s: exit code %d, %q", args, code, said.String())
		}
	}
	// What could not be printed was not committed.
	expect(t, c.weir("consume", "orders", "--group", "g", "--max", "1"), 0, "v\n", "")
	offsets, err := kadm.NewClient(c.client()).FetchOffsets(t.Context(), "g")
	if err != nil {
		t.Fatal(err)
	}
	if at, _ := offsets.Lookup("orders", 0); at.At != 1 {
		t.Errorf("committed %d, want 1", at.At)
	}
}

func TestFailingOutputIsAnError(t *testing.T) {
	c := newCluster(t)
	c.topic("orders", 1)
	c.write("orders", "0 k v")
	for _, args := range []string{"consume orders", "topic list", "version"} {
		var said strings.Builder
		code := weirTo(context.Background(), nil, &failingWriter{err: errors.New("no space left on device")}, &said, append(strings.Fields(args), "-b", c.seed)...)
		if code != exitFailed || said.String() != "weir: no space left on device\n" {
			t.Errorf("weir %s: exit code %d, %q", args, code, said.String())
		}
	}
}

// failFetches answers every fetch with an error.
func (c *cluster) failFetches(code *kerr.Error) {
	c.fake.ControlKey(int16(kmsg.Fetch), func(request kmsg.Request) (kmsg.Response, error, bool) {
		c.fake.KeepControl()
		fetch := request.(*kmsg.FetchRequest)
		response := request.ResponseKind().(*kmsg.FetchResponse)
		for _, topic := range fetch.Topics {
			answer := kmsg.FetchResponseTopic{Topic: topic.Topic, TopicID: topic.TopicID}
			for _, p := range topic.Partitions {
				one := kmsg.NewFetchResponseTopicPartition()
				one.Partition, one.ErrorCode = p.Partition, code.Code
				answer.Partitions = append(answer.Partitions, one)
			}
			response.Topics = append(response.Topics, answer)
		}
		return response, nil, true
	})
}

func TestConsumeFailsWhenNothingArrives(t *testing.T) {
	c := newCluster(t)
	c.topic("orders", 2)
	c.write("orders", "0 k v", "1 k v")
	c.failFetches(kerr.KafkaStorageError)
	expect(t, c.weir("consume", "orders", "--timeout", "600ms"), exitFailed, "",
		"weir: nothing arrived for 600ms, though partition 0 of topic \"orders\" (at offset 0 of 1) has not been read to its end: "+
			"Disk error when trying to access log file on the disk (KAFKA_STORAGE_ERROR)\n")
}

func TestConsumeFollowEndsWhenRefused(t *testing.T) {
	c := newCluster(t)
	c.topic("orders", 1)
	c.failFetches(kerr.TopicAuthorizationFailed)
	for _, args := range []string{"consume orders -f", "consume orders -f --group g"} {
		got := c.weir(strings.Fields(args)...)
		if got.code != exitFailed || !strings.Contains(got.err, "weir: partition 0 of topic \"orders\": Not authorized to access topics") {
			t.Errorf("weir %s: %+v", args, got)
		}
	}
}

func TestConsumeUnknownPartition(t *testing.T) {
	c := newCluster(t)
	c.topic("orders", 2)
	expect(t, c.weir("consume", "orders", "-p", "0", "-p", "2"), 1, "", "weir: topic \"orders\" has no partition 2: its partitions are 0 to 1\n")
}
