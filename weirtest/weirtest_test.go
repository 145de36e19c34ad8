package weirtest

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// soon is a context that ends before the test's patience does.
func soon(t *testing.T) context.Context {
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	t.Cleanup(cancel)
	return ctx
}

// eventually waits for a condition.
func eventually(t *testing.T, what string, ok func() bool) {
	t.Helper()
	for ctx := soon(t); !ok(); {
		select {
		case <-ctx.Done():
			t.Fatalf("%s: not in time", what)
		case <-time.After(2 * time.Millisecond):
		}
	}
}

func client(t *testing.T, n *Node, opts ...kgo.Opt) *kgo.Client {
	t.Helper()
	c, err := kgo.NewClient(append([]kgo.Opt{
		kgo.SeedBrokers(n.Addrs()...), kgo.AllowAutoTopicCreation(), kgo.DefaultProduceTopic("t"),
		kgo.RetryBackoffFn(func(int) time.Duration { return 5 * time.Millisecond }), kgo.MetadataMinAge(10 * time.Millisecond),
	}, opts...)...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	return c
}

// produce produces with all of the client's retries.
func produce(t *testing.T, c *kgo.Client, value string) error {
	t.Helper()
	return c.ProduceSync(soon(t), kgo.StringRecord(value)).FirstErr()
}

func mustProduce(t *testing.T, c *kgo.Client, value string) {
	t.Helper()
	if err := produce(t, c, value); err != nil {
		t.Fatal(err)
	}
}

func wantValues(t *testing.T, n *Node, topic string, want ...string) {
	t.Helper()
	if got := n.Consume(topic, len(want)); !slices.Equal(got, want) {
		t.Fatalf("topic %s has %q, not %q", topic, got, want)
	}
}

func TestEveryday(t *testing.T) {
	for name, where := range map[string]Option{"in memory": Dir(""), "in a folder": Dir(t.TempDir())} {
		t.Run(name, func(t *testing.T) {
			n := Start(t, where, Topic("orders", 3), Topic("pinned", 1, "retention.ms=1000"), Config("num.partitions=2"))
			n.CreateTopic("more", -1)
			n.Produce("pinned", "a", "b", "c")
			wantValues(t, n, "pinned", "a", "b", "c")

			c := client(t, n, kgo.ConsumerGroup("g"), kgo.ConsumeTopics("pinned"), kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()))
			if f := c.PollFetches(soon(t)); f.Err() != nil || f.NumRecords() != 3 {
				t.Fatalf("a member of a group got %d records, %v", f.NumRecords(), f.Err())
			}
			if err := c.CommitUncommittedOffsets(soon(t)); err != nil {
				t.Fatal(err)
			}
			partitions := map[string]int{}
			for _, topic := range topics(t, n) {
				partitions[topic.Name] = len(topic.Partitions)
			}
			if partitions["orders"] != 3 || partitions["pinned"] != 1 || partitions["more"] != 2 {
				t.Fatalf("the topics' partitions: %v", partitions)
			}
		})
	}
}

type topicState struct {
	Name       string
	Partitions []struct{ EndOffset int64 }
}

// get asks a node over HTTP.
func get(t *testing.T, url string) string {
	t.Helper()
	defer http.DefaultClient.CloseIdleConnections()
	resp, err := http.Get(url)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

func topics(t *testing.T, n *Node) (out []topicState) {
	t.Helper()
	if err := json.Unmarshal([]byte(get(t, n.HTTP()+"/api/topics")), &out); err != nil {
		t.Fatal(err)
	}
	return out
}

// end is how many records there have been in partition 0 of topic t.
func end(t *testing.T, n *Node) int64 {
	t.Helper()
	for _, topic := range topics(t, n) {
		if topic.Name == "t" {
			return topic.Partitions[0].EndOffset
		}
	}
	t.Fatal("there is no topic t")
	return 0
}

func TestNodesSideBySide(t *testing.T) {
	for i := range 8 {
		t.Run(fmt.Sprint(i), func(t *testing.T) {
			t.Parallel()
			opts := []Option{Topic("t", 1)}
			if i%4 == 0 {
				opts = append(opts, Dir(t.TempDir()))
			}
			n := Start(t, opts...)
			own := fmt.Sprint("own ", i)
			n.Produce("t", own)
			n.Kill()
			n.Restart()
			n.Produce("t", own+" again")
			wantValues(t, n, "t", own, own+" again")
		})
	}
}

func TestClock(t *testing.T) {
	now := time.UnixMilli(1_000_000_000_000)
	n := Start(t, Clock(func() time.Time { return now }), Topic("t", 1, "message.timestamp.type=LogAppendTime"))
	n.Produce("t", "then")
	c := client(t, n, kgo.ConsumeTopics("t"), kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()))
	if r := c.PollRecords(soon(t), 1).Records(); len(r) != 1 || !r[0].Timestamp.Equal(now) {
		t.Fatalf("the record of %v: %v", now, r)
	}
}

func TestListeners(t *testing.T) {
	n := Start(t, Config("listeners=B://127.0.0.1:0,A://127.0.0.1:0", "listener.security.protocol.map=A:PLAINTEXT,B:PLAINTEXT",
		"inter.broker.listener.name=A", "http.listener="))
	if addrs := n.Addrs(); len(addrs) != 2 || n.Addr() != addrs[0] || addrs[0] == addrs[1] || n.HTTP() != "" {
		t.Fatalf("the addresses are %v and %q", addrs, n.HTTP())
	}
	for _, addr := range n.Addrs() {
		c, err := kgo.NewClient(kgo.SeedBrokers(addr))
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		if err := c.Ping(soon(t)); err != nil {
			t.Fatal(err)
		}
	}
}

// fakeT is a test whose failing can be looked at.
type fakeT struct {
	failed  bool
	said    strings.Builder
	cleanup []func()
}

type fatal struct{}

func (f *fakeT) Helper()          {}
func (f *fakeT) Cleanup(c func()) { f.cleanup = append(f.cleanup, c) }
func (f *fakeT) Failed() bool     { return f.failed }
func (f *fakeT) Logf(format string, args ...any) {
	fmt.Fprintf(&f.said, format+"\n", args...)
}
func (f *fakeT) Errorf(format string, args ...any) { f.failed = true; f.Logf(format, args...) }
func (f *fakeT) Fatalf(format string, args ...any) { f.Errorf(format, args...); panic(fatal{}) }

// run does something as a test, and gives what it said.
func (f *fakeT) run(test func()) string {
	func() {
		defer func() {
			if r := recover(); r != nil && r != (fatal{}) {
				panic(r)
			}
		}()
		test()
	}()
	for _, c := range slices.Backward(f.cleanup) {
		c()
	}
	return f.said.String()
}

func TestWhatTestsSee(t *testing.T) {
	const logged = "the node at 127.0.0.1:"
	dir := t.TempDir()
	Start(t, Dir(dir))
	for _, c := range []struct {
		name  string
		test  func(*fakeT)
		fails bool
		want  []string
	}{
		{name: "all is well", test: func(f *fakeT) { Start(f).Produce("t", "x") }},
		{name: "the test fails", fails: true, want: []string{logged, "background.threads"}, test: func(f *fakeT) {
			Start(f, Config("background.threads=3"))
			f.failed = true
		}},
		{name: "killed, with a failing disk", test: func(f *fakeT) {
			n := Start(f)
			n.FailDisk()
			n.Kill()
		}},
		{name: "bad configuration", fails: true, test: func(f *fakeT) { Start(f, Config("num.partitions=many")) },
			want: []string{"the node does not start", "num.partitions"}},
		{name: "bad topic", fails: true, test: func(f *fakeT) { Start(f, Topic("a b", 1)) },
			want: []string{"topic a b cannot be made", "INVALID_TOPIC_EXCEPTION"}},
		{name: "bad topic configuration", fails: true, test: func(f *fakeT) { Start(f).CreateTopic("t", 1, "retention.ms") },
			want: []string{`"retention.ms" is not of the form name=value`}},
		{name: "a taken folder", fails: true, test: func(f *fakeT) { Start(f, Dir(dir)) }, want: []string{"in use by another"}},
		{name: "refused record", fails: true, test: func(f *fakeT) { Start(f, Topic("t", 1, "max.message.bytes=80")).Produce("t", strings.Repeat("x", 100)) },
			want: []string{"topic t cannot be written", "MESSAGE_TOO_LARGE"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			f := &fakeT{}
			said := f.run(func() { c.test(f) })
			if f.failed != c.fails || !c.fails && said != "" {
				t.Fatalf("failed: %v; it said:\n%s", f.failed, said)
			}
			for _, want := range c.want {
				if !strings.Contains(said, want) {
					t.Errorf("nothing of %q in what it said:\n%s", want, said)
				}
			}
		})
	}
}

func TestLogsKeepTheNewest(t *testing.T) {
	l := &logs{}
	for i := range 3 * logBytesMax / 10 {
		fmt.Fprintf(l, "%09d\n", i)
	}
	text := l.String()
	if len(text) > logBytesMax+10 || !strings.HasSuffix(text, fmt.Sprintf("%09d\n", 3*logBytesMax/10-1)) {
		t.Fatalf("%d bytes are kept, the last are %q", len(text), text[len(text)-10:])
	}
}

func TestWithoutATest(t *testing.T) {
	if _, err := Run(Config("num.partitions=many")); err == nil {
		t.Fatal("a bad configuration is not an error")
	}
	n, err := Run(Topic("t", 1))
	if err != nil {
		t.Fatal(err)
	}
	defer n.Close()
	n.Produce("t", "x")
	wantValues(t, n, "t", "x")
	defer func() {
		if r := recover(); r == nil || !strings.Contains(fmt.Sprint(r), "INVALID_TOPIC_EXCEPTION") {
			t.Fatalf("a topic that cannot be made: %v", r)
		}
	}()
	n.CreateTopic("a b", 1)
}

func TestStopAndStart(t *testing.T) {
	n := Start(t)
	addr, url := n.Addr(), n.HTTP()
	n.Produce("t", "1")
	n.Stop()
	n.Stop()
	n.Kill() // it is down already
	if _, err := http.Get(url + "/health"); err == nil {
		t.Fatal("a stopped node answers over HTTP")
	}
	n.Restart()
	n.Produce("t", "2")
	n.Restart() // without being stopped before
	n.Produce("t", "3")
	wantValues(t, n, "t", "1", "2", "3")
	if health := get(t, url+"/health"); !strings.Contains(health, "ok") || n.Addr() != addr || n.HTTP() != url {
		t.Fatalf("health: %s; addresses %s and %s before, %s and %s now", health, addr, url, n.Addr(), n.HTTP())
	}
}

func TestFolderOutlivesTheNode(t *testing.T) {
	dir := t.TempDir()
	n := Start(t, Dir(dir))
	n.Produce("t", "1")
	n.Close()
	again := Start(t, Dir(dir))
	wantValues(t, again, "t", "1")
}

// TestTornByKills kills a node again and again under load: what was acknowledged is there, once.
func TestTornByKills(t *testing.T) {
	for name, where := range map[string]Option{"in memory": Dir(""), "in a folder": Dir(t.TempDir())} {
		t.Run(name, func(t *testing.T) {
			n := Start(t, where, Topic("t", 1))
			c := client(t, n)
			acked := make(chan int)
			ctx, stop := context.WithCancel(soon(t))
			go func() {
				defer close(acked)
				for i := 0; ctx.Err() == nil; i++ {
					if err := c.ProduceSync(context.WithoutCancel(ctx), kgo.StringRecord(fmt.Sprint(i))).FirstErr(); err != nil {
						t.Errorf("record %d: %v", i, err)
						return
					}
					acked <- i
				}
			}()
			last := 0
			for range 5 {
				for range 20 {
					last = <-acked
				}
				n.Kill()
				n.Restart()
			}
			stop()
			for i := range acked {
				last = i
			}
			for i, v := range n.Consume("t", last+1) {
				if v != fmt.Sprint(i) {
					t.Fatalf("record %d is %s", i, v)
				}
			}
			if end := end(t, n); end != int64(last)+1 {
				t.Fatalf("%d records were acknowledged, %d are there", last+1, end)
			}
		})
	}
}

// TestKillLosesWhatWasNotSynced: a power cut in memory, kill -9 in a folder.
func TestKillLosesWhatWasNotSynced(t *testing.T) {
	for _, c := range []struct {
		where Option
		want  []string
	}{{Dir(""), []string{"new"}}, {Dir(t.TempDir()), []string{"old", "new"}}} {
		n := Start(t, c.where, Topic("t", 1, "durability=relaxed"))
		n.Produce("t", "old")
		n.Kill()
		n.Restart()
		n.Produce("t", "new")
		wantValues(t, n, "t", c.want...)
	}
}

// TestFullDisk: records that the full disk could not take wait for room, others are refused, and nothing is lost.
func TestFullDisk(t *testing.T) {
	n := Start(t, Topic("t", 1))
	n.Produce("t", "before")
	n.FillDisk(0)
	waiting := make(chan error, 1)
	c := client(t, n)
	go func() { waiting <- produce(t, c, "waiting") }()
	eventually(t, "the disk is full", func() bool { return strings.Contains(get(t, n.HTTP()+"/metrics"), "\nweir_disk_full_total 1\n") })
	if err := produce(t, client(t, n, kgo.RecordRetries(0)), "refused"); !errors.Is(err, kerr.KafkaStorageError) {
		t.Fatalf("a full disk answers %v", err)
	}
	wantValues(t, n, "t", "before")
	n.Heal()
	if err := <-waiting; err != nil {
		t.Fatal(err)
	}
	n.Produce("t", "after")
	wantValues(t, n, "t", "before", "waiting", "after")
}

// TestFailingDisk: the node goes down, and what it did not acknowledge is acknowledged after a restart.
func TestFailingDisk(t *testing.T) {
	n := Start(t, Topic("t", 1))
	c := client(t, n)
	mustProduce(t, c, "before")
	for round := range 2 {
		n.FailDisk()
		done := make(chan error, 1)
		go func() { done <- produce(t, c, fmt.Sprint("through ", round)) }()
		select {
		case err := <-n.Failed():
			if !errors.Is(err, syscall.EIO) {
				t.Fatalf("the node failed with %v", err)
			}
		case <-soon(t).Done():
			t.Fatal("the node does not fail")
		}
		if len(done) > 0 {
			t.Fatalf("a failed node answers: %v", <-done)
		}
		n.Restart()
		if err := <-done; err != nil {
			t.Fatal(err)
		}
	}
	wantValues(t, n, "t", "before", "through 0", "through 1")
}
