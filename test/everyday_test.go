package test

import (
	"errors"
	"fmt"
	"os/exec"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
)

// TestEveryCodecPassesThrough writes with each codec and reads what was written, and that it is stored as it came.
func TestEveryCodecPassesThrough(t *testing.T) {
	n := start(t)
	for name, codec := range map[string]kgo.CompressionCodec{
		"none": kgo.NoCompression(), "gzip": kgo.GzipCompression(), "snappy": kgo.SnappyCompression(), "lz4": kgo.Lz4Compression(), "zstd": kgo.ZstdCompression(),
	} {
		t.Run(name, func(t *testing.T) {
			topic := "codec-" + name
			c := n.client(kgo.ProducerBatchCompression(codec), kgo.DefaultProduceTopic(topic))
			for i := range 100 {
				r := &kgo.Record{Key: []byte("k"), Value: []byte(strings.Repeat("v", 50) + fmt.Sprint(i)), Headers: []kgo.RecordHeader{{Key: "h", Value: []byte{1}}}}
				c.Produce(ctx(t), r, func(_ *kgo.Record, err error) {
					if err != nil {
						t.Error(err)
					}
				})
			}
			if err := c.Flush(ctx(t)); err != nil {
				t.Fatal(err)
			}
			for i, r := range n.consume(topic, 100) {
				if want := strings.Repeat("v", 50) + fmt.Sprint(i); string(r.Value) != want || r.Offset != int64(i) || string(r.Headers[0].Value) != "\x01" {
					t.Fatalf("record %d: %+v", i, r)
				}
				if got := r.Attrs.CompressionType(); (got != 0) != (name != "none") {
					t.Fatalf("codec on the wire: %d", got)
				}
			}
		})
	}
}

// TestGroupResumes kills a consumer of a group in the middle; another member picks up where it left off.
func TestGroupResumes(t *testing.T) {
	n := start(t)
	n.createTopic("work", 4)
	p := n.client(kgo.DefaultProduceTopic("work"))
	const total = 2000
	for i := range total {
		p.Produce(ctx(t), &kgo.Record{Key: fmt.Append(nil, i), Value: fmt.Append(nil, i)}, nil)
	}
	if err := p.Flush(ctx(t)); err != nil {
		t.Fatal(err)
	}
	seen := map[string]int{}
	consumer := func() *kgo.Client {
		return n.client(kgo.ConsumerGroup("workers"), kgo.ConsumeTopics("work"), kgo.DisableAutoCommit(), kgo.FetchMaxPartitionBytes(2000),
			kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()), kgo.SessionTimeout(6*time.Second))
	}
	first := consumer()
	for len(seen) < total/3 {
		f := first.PollRecords(ctx(t), 100)
		for _, r := range f.Records() {
			seen[string(r.Value)]++
		}
		if err := first.CommitRecords(ctx(t), f.Records()...); err != nil {
			t.Fatal(err)
		}
	}
	n.kill() // the coordinator dies as well
	n.start()
	first.Close()
	second := consumer()
	for len(seen) < total {
		f := second.PollFetches(ctx(t))
		if err := f.Err0(); err != nil {
			t.Fatalf("after %d records: %v", len(seen), err)
		}
		for _, r := range f.Records() {
			seen[string(r.Value)]++
		}
	}
	for v, count := range seen {
		if count != 1 {
			t.Fatalf("record %s was read %d times although its offset was committed", v, count)
		}
	}
}

// TestTwoMembersShareAndRebalance checks that members share the partitions and take over those of one that leaves.
func TestTwoMembersShareAndRebalance(t *testing.T) {
	n := start(t)
	n.createTopic("shared", 6)
	admin := kadm.NewClient(n.client())
	join := func() *kgo.Client {
		c := n.client(kgo.ConsumerGroup("team"), kgo.ConsumeTopics("shared"), kgo.HeartbeatInterval(100*time.Millisecond))
		go func() {
			for !c.PollFetches(ctx(t)).IsClientClosed() {
			}
		}()
		return c
	}
	assigned := func(members int) {
		t.Helper()
		deadline := time.Now().Add(30 * time.Second)
		for {
			d, err := admin.DescribeGroups(ctx(t), "team")
			if err != nil {
				t.Fatal(err)
			}
			g := d["team"]
			count, partitions := 0, 0
			for _, m := range g.Members {
				if a, ok := m.Assigned.AsConsumer(); ok && g.State == "Stable" {
					count++
					for _, topic := range a.Topics {
						partitions += len(topic.Partitions)
					}
				}
			}
			if count == members && partitions == 6 {
				return
			}
			if time.Now().After(deadline) {
				t.Fatalf("want %d members with 6 partitions, have %+v", members, g)
			}
			<-time.After(20 * time.Millisecond)
		}
	}
	a := join()
	assigned(1)
	b := join()
	assigned(2)
	a.Close()
	assigned(1)
	b.Close()
}

// TestTopicsComeAndGo exercises administration with an ordinary client.
func TestTopicsComeAndGo(t *testing.T) {
	n := start(t)
	admin := kadm.NewClient(n.client())
	for round := range 3 {
		if _, err := admin.CreateTopic(ctx(t), 2, 1, map[string]*string{"retention.ms": kadm.StringPtr("100000")}, "t"); err != nil {
			t.Fatalf("round %d: %v", round, err)
		}
		if _, err := admin.CreateTopic(ctx(t), 1, 1, nil, "t"); !errors.Is(err, kerr.TopicAlreadyExists) {
			t.Fatalf("creating it again: %v", err)
		}
		p := n.client(kgo.DefaultProduceTopic("t"), kgo.RecordPartitioner(kgo.ManualPartitioner()))
		if err := p.ProduceSync(ctx(t), &kgo.Record{Partition: 1, Value: []byte("x")}).FirstErr(); err != nil {
			t.Fatal(err)
		}
		if _, err := admin.UpdatePartitions(ctx(t), 4, "t"); err != nil {
			t.Fatal(err)
		}
		ends, err := admin.ListEndOffsets(ctx(t), "t")
		if err != nil || len(ends["t"]) != 4 || ends["t"][1].Offset != 1 || ends["t"][0].Offset != 0 {
			t.Fatalf("round %d: ends %v (%v)", round, ends, err)
		}
		configs, err := admin.DescribeTopicConfigs(ctx(t), "t")
		if err != nil {
			t.Fatal(err)
		}
		at := slices.IndexFunc(configs[0].Configs, func(c kadm.Config) bool { return c.Key == "retention.ms" })
		if got := configs[0].Configs[at]; got.MaybeValue() != "100000" || got.Source.String() != "DYNAMIC_TOPIC_CONFIG" {
			t.Fatalf("retention.ms: %+v", got)
		}
		if _, err := admin.DeleteTopics(ctx(t), "t"); err != nil {
			t.Fatal(err)
		}
	}
}

// TestOffsetsByTime looks records up by their time, also inside compressed batches.
func TestOffsetsByTime(t *testing.T) {
	n := start(t)
	n.createTopic("times", 1)
	c := n.client(kgo.DefaultProduceTopic("times"), kgo.ProducerBatchCompression(kgo.ZstdCompression()), kgo.ProducerLinger(50*time.Millisecond))
	base := time.Now().Add(-time.Hour).Truncate(time.Second)
	for i := range 50 {
		c.Produce(ctx(t), &kgo.Record{Value: fmt.Append(nil, i), Timestamp: base.Add(time.Duration(i) * time.Second)}, nil)
	}
	if err := c.Flush(ctx(t)); err != nil {
		t.Fatal(err)
	}
	admin := kadm.NewClient(c)
	for _, i := range []int{0, 1, 17, 49} {
		got, err := admin.ListOffsetsAfterMilli(ctx(t), base.Add(time.Duration(i)*time.Second-500*time.Millisecond).UnixMilli(), "times")
		if err != nil || got["times"][0].Offset != int64(i) {
			t.Fatalf("record %d: %+v (%v)", i, got["times"][0], err)
		}
	}
}

// TestSecondStartIsRefused starts another node on the same data directory, and one on the same port.
func TestSecondStartIsRefused(t *testing.T) {
	n := start(t)
	for _, args := range [][]string{
		{"serve", "--set", "log.dirs=" + n.dir, "--set", "listeners=PLAINTEXT://127.0.0.1:0", "--set", "http.listener="},
		{"serve", "--set", "log.dirs=" + t.TempDir(), "--set", "listeners=PLAINTEXT://" + n.address, "--set", "http.listener="},
		{"serve", "--set", "log.dirs=/proc/nowhere", "--set", "listeners=PLAINTEXT://127.0.0.1:0", "--set", "http.listener="},
		{"serve", "--set", "num.partition=3"},
	} {
		out, err := exec.Command(weirBinary, args...).CombinedOutput()
		text := strings.TrimSpace(string(out))
		if err == nil || strings.Count(text, "\n") > 0 || !strings.HasPrefix(text, "weir: ") {
			t.Errorf("%v: want one sentence, got %v:\n%s", args, err, text)
		}
	}
	if err := n.stop(); err != nil {
		t.Fatalf("SIGTERM: %v", err)
	}
	n.start()
}

// TestDeletedTopicsOffsetsGo: a topic that is made anew under an old name starts without committed offsets.
func TestDeletedTopicsOffsetsGo(t *testing.T) {
	n := start(t, "auto.create.topics.enable=false")
	admin := kadm.NewClient(n.client())
	committed := func() int64 {
		t.Helper()
		offsets, err := admin.FetchOffsets(ctx(t), "g")
		if err != nil {
			t.Fatal(err)
		}
		if o, ok := offsets.Lookup("t", 0); ok {
			return o.At
		}
		return -1
	}
	n.createTopic("t", 1)
	var offsets kadm.Offsets
	offsets.AddOffset("t", 0, 7, -1)
	if err := admin.CommitAllOffsets(ctx(t), "g", offsets); err != nil {
		t.Fatal(err)
	}
	if got := committed(); got != 7 {
		t.Fatalf("committed %d", got)
	}
	if _, err := admin.DeleteTopics(ctx(t), "t"); err != nil {
		t.Fatal(err)
	}
	n.createTopic("t", 1)
	for deadline := time.Now().Add(10 * time.Second); committed() != -1; {
		if time.Now().After(deadline) {
			t.Fatalf("the old topic's offset %d is still there", committed())
		}
		<-time.After(5 * time.Millisecond)
	}
}
