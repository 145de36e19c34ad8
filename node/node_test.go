package node

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
	"golang.org/x/sys/unix"

	"github.com/weir/weir/config"
	"github.com/weir/weir/internal/kept"
	"github.com/weir/weir/internal/vfs"
)

// said gathers what a node logs.
type said = kept.Text

// start starts a node on a file system, on a free port.
func start(t testing.TB, fs vfs.FS, set ...string) (*Node, *said, error) {
	t.Helper()
	out := &said{}
	n, err := startWith(t, Options{FS: fs, Logger: slog.New(slog.NewTextHandler(out, nil))}, set...)
	return n, out, err
}

func startWith(t testing.TB, opts Options, set ...string) (*Node, error) {
	t.Helper()
	cfg, _, err := config.Load(config.Sources{Set: append([]string{
		"listeners=PLAINTEXT://127.0.0.1:0", "http.listener=127.0.0.1:0", "log.dirs=/data", "group.initial.rebalance.delay.ms=0",
	}, set...)})
	if err != nil {
		t.Fatal(err)
	}
	opts.Config = cfg
	if opts.Logger == nil {
		opts.Logger = slog.New(slog.DiscardHandler)
	}
	return Start(opts)
}

func mustStart(t *testing.T, fs vfs.FS, set ...string) (*Node, *said) {
	t.Helper()
	n, out, err := start(t, fs, set...)
	if err != nil {
		t.Fatal(err)
	}
	return n, out
}

func client(t *testing.T, n *Node, opts ...kgo.Opt) *kgo.Client {
	t.Helper()
	c, err := kgo.NewClient(append([]kgo.Opt{kgo.SeedBrokers(n.Addresses()["PLAINTEXT"]), kgo.AllowAutoTopicCreation(), kgo.DefaultProduceTopic("t")}, opts...)...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	return c
}

func timeout(t *testing.T) context.Context {
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	t.Cleanup(cancel)
	return ctx
}

// produce sends one batch without retries and gives Kafka's error.
func produce(t *testing.T, c *kgo.Client, value string) error {
	t.Helper()
	return c.ProduceSync(timeout(t), kgo.StringRecord(value)).FirstErr()
}

// readAll reads topic t from its start to its end.
func readAll(t *testing.T, n *Node, want int) []string {
	t.Helper()
	c := client(t, n, kgo.ConsumeTopics("t"), kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()))
	var out []string
	for len(out) < want {
		f := c.PollFetches(timeout(t))
		if err := f.Err(); err != nil {
			t.Fatalf("after %d of %d records: %v", len(out), want, err)
		}
		for _, r := range f.Records() {
			out = append(out, string(r.Value))
		}
	}
	return out
}

// written gives the number of records that are committed in the topic.
func written(t *testing.T, n *Node) int {
	t.Helper()
	p, err := n.set.Lookup("t", 0)
	if err != nil {
		t.Fatal(err)
	}
	return int(p.HighWatermark() - p.LogStart())
}

func TestPowerCut(t *testing.T) {
	disk := vfs.NewMem()
	n, _ := mustStart(t, disk)
	c := client(t, n)
	for i := range 50 {
		if err := produce(t, c, fmt.Sprint(i)); err != nil {
			t.Fatal(err)
		}
	}
	after := disk.CrashClone(nil) // everything that was not synced is lost
	if err := n.Stop(); err != nil {
		t.Fatal(err)
	}
	n, _ = mustStart(t, after)
	for i, v := range readAll(t, n, 50) {
		if v != fmt.Sprint(i) {
			t.Fatalf("record %d is %q", i, v)
		}
	}
	if err := n.Stop(); err != nil {
		t.Fatal(err)
	}
}

func TestFullDisk(t *testing.T) {
	disk := vfs.NewFaults(vfs.NewMem())
	n, _ := mustStart(t, disk)
	c := client(t, n, kgo.RecordRetries(0), kgo.DisableIdempotentWrite(), kgo.RequiredAcks(kgo.LeaderAck()), kgo.ProduceRequestTimeout(200*time.Millisecond))
	var acked []string
	send := func(i int) error {
		v := fmt.Sprint(i)
		err := produce(t, c, v)
		if err == nil {
			acked = append(acked, v)
		}
		return err
	}
	for i := range 10 {
		if err := send(i); err != nil {
			t.Fatal(err)
		}
	}
	disk.Limit(300)
	refused := 0
	for i := 10; i < 30; i++ {
		if err := send(i); errors.Is(err, kerr.KafkaStorageError) {
			refused++
		}
	}
	if refused == 0 {
		t.Fatal("a full disk refuses nothing")
	}
	if got := readAll(t, n, 10); got[0] != "0" {
		t.Fatalf("reading goes on: %v", got)
	}
	disk.Heal()
	deadline := time.Now().Add(20 * time.Second)
	for send(30) != nil {
		if time.Now().After(deadline) {
			t.Fatal("writing does not go on after space was freed")
		}
	}
	there := map[string]bool{}
	for _, v := range readAll(t, n, written(t, n)) {
		there[v] = true
	}
	for _, v := range acked {
		if !there[v] {
			t.Fatalf("%s was acknowledged and is lost", v)
		}
	}
	if err := n.Stop(); err != nil {
		t.Fatal(err)
	}
}

// TestFailedSyncIsFinal lets a sync fail once: nothing is acknowledged any more, and the node says so.
func TestFailedSyncIsFinal(t *testing.T) {
	for _, kind := range []string{"sync", "syncall", "write"} {
		t.Run(kind, func(t *testing.T) {
			base := vfs.NewMem()
			disk := vfs.NewFaults(base)
			n, _ := mustStart(t, disk)
			c := client(t, n, kgo.RecordRetries(0), kgo.DisableIdempotentWrite(), kgo.RequiredAcks(kgo.LeaderAck()), kgo.ProduceRequestTimeout(200*time.Millisecond))
			for i := range 5 {
				if err := produce(t, c, fmt.Sprint("before ", i)); err != nil {
					t.Fatal(err)
				}
			}
			disk.Inject(vfs.Fault{Kind: kind, Times: 1, Err: unix.EIO})
			if kind == "syncall" {
				wide := kmsg.NewPtrCreateTopicsRequest()
				topic := kmsg.NewCreateTopicsRequestTopic()
				topic.Topic, topic.NumPartitions, topic.ReplicationFactor = "wide", 20, 1
				wide.Topics = append(wide.Topics, topic)
				ctx, cancel := context.WithTimeout(context.Background(), time.Second)
				_, _ = wide.RequestWith(ctx, c)
				cancel()
			}
			for i := range 3 {
				if err := produce(t, c, "after"); err == nil {
					t.Fatalf("record %d was acknowledged after a failed %s", i, kind)
				}
			}
			select {
			case err := <-n.Failed():
				if !errors.Is(err, unix.EIO) {
					t.Fatalf("the node failed with %v", err)
				}
			case <-time.After(10 * time.Second):
				t.Fatal("the node does not say that it failed")
			}
			again, _ := mustStart(t, base.Clone())
			got := readAll(t, again, written(t, again))
			for i := range 5 {
				if i >= len(got) || got[i] != fmt.Sprint("before ", i) {
					t.Fatalf("after the failure: %v", got)
				}
			}
			if err := again.Stop(); err != nil {
				t.Fatal(err)
			}
		})
	}
}

// TestDamagedPartition damages one partition's segment: it is never served damaged, and the others serve.
func TestDamagedPartition(t *testing.T) {
	disk := vfs.NewMem()
	n, _ := mustStart(t, disk)
	c := client(t, n)
	for i := range 5 {
		if err := produce(t, c, fmt.Sprintf("%d-%050d", i, i)); err != nil {
			t.Fatal(err)
		}
	}
	if err := c.ProduceSync(timeout(t), &kgo.Record{Topic: "other", Value: []byte("well")}).FirstErr(); err != nil {
		t.Fatal(err)
	}
	if err := n.Stop(); err != nil {
		t.Fatal(err)
	}
	const name = "/data/t-0/00000000000000000000.log"
	f, err := disk.OpenReadWrite(name)
	if err != nil {
		t.Fatal(err)
	}
	size, _ := f.Size()
	if _, err := f.WriteAt([]byte{0xff}, size-30); err != nil {
		t.Fatal(err)
	}
	n, out := mustStart(t, disk)
	r := client(t, n, kgo.ConsumeTopics("t"), kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()), kgo.FetchMaxWait(100*time.Millisecond), kgo.KeepRetryableFetchErrors())
	var seen int
	for deadline := time.Now().Add(10 * time.Second); ; {
		fetches := r.PollFetches(timeout(t))
		seen += fetches.NumRecords()
		if err := fetches.Err(); err != nil { // the damaged batch
			if !errors.Is(err, kerr.CorruptMessage) {
				t.Fatalf("damage is answered with %v", err)
			}
			break
		}
		if seen == 5 || time.Now().After(deadline) {
			t.Fatalf("%d records were served, the damaged one among them?", seen)
		}
	}
	if !strings.Contains(out.String(), "is damaged at byte") || !strings.Contains(out.String(), name) {
		t.Fatalf("the log does not say what is damaged:\n%s", out)
	}
	o := client(t, n, kgo.ConsumeTopics("other"), kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()))
	if got := o.PollFetches(timeout(t)).Records(); len(got) != 1 || string(got[0].Value) != "well" {
		t.Fatalf("the other topic: %v", got)
	}
	if err := n.Stop(); err != nil {
		t.Fatal(err)
	}
}

func TestDataDirectoryOfSomeoneElse(t *testing.T) {
	disk := vfs.NewMem()
	n, _ := mustStart(t, disk)
	if _, _, err := start(t, disk); err == nil || !strings.Contains(err.Error(), "in use by another weir process") {
		t.Fatalf("a second node: %v", err)
	}
	if err := n.Stop(); err != nil {
		t.Fatal(err)
	}
	if _, _, err := start(t, disk, "node.id=2"); err == nil || !strings.Contains(err.Error(), "belongs to node 1") {
		t.Fatalf("another node's directory: %v", err)
	}
	for text, want := range map[string]string{
		"version=9\ncluster.id=x\nnode.id=1\n": "written by a newer version",
		"version=1\n":                          "is damaged",
	} {
		if err := vfs.WriteFileAtomic(disk, "/data/"+metaName, []byte(text)); err != nil {
			t.Fatal(err)
		}
		if _, _, err := start(t, disk); err == nil || !strings.Contains(err.Error(), want) {
			t.Fatalf("%q: %v", text, err)
		}
	}
}

func TestStartOnAFullDisk(t *testing.T) {
	base := vfs.NewMem()
	for room := int64(0); ; room += 40 {
		disk := vfs.NewFaults(base.Clone())
		disk.Limit(room)
		n, _, err := start(t, disk)
		if err == nil {
			if room == 0 {
				t.Fatal("a node starts on a disk without room")
			}
			disk.Heal()
			if err := n.Stop(); err != nil {
				t.Fatal(err)
			}
			return
		}
		if !strings.Contains(err.Error(), "is full: free some space") {
			t.Fatalf("with room for %d bytes: %v", room, err)
		}
		disk.Heal()
		if n, _, err = start(t, disk); err != nil {
			t.Fatalf("after %d bytes, with space freed: %v", room, err)
		}
		if err := n.Stop(); err != nil {
			t.Fatal(err)
		}
	}
}
