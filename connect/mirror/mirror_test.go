package mirror_test

import (
	"crypto/sha256"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/weir/weir/weirtest"
)

// TestRecords: copies have the partitions and configurations of their topics, and records with the bytes, headers and times that they
// have there, in their order; what comes later too: records, partitions, topics, configurations.
func TestRecords(t *testing.T) {
	_, b, as, bs := two(t)
	copied(t, as, bs, work(t, b.Addr()))
}

func copied(t *testing.T, as, bs *site, w *worker) {
	t.Helper()
	as.create("orders", 3, "retention.ms=123456789", "cleanup.policy=compact,delete", "min.insync.replicas=1", "max.message.bytes=3000000")
	early := time.UnixMilli(1_700_000_000_123)
	odd := []*kgo.Record{
		{Topic: "orders", Partition: 2, Key: []byte{0, 0xff, 0x80}, Value: []byte("{"), Timestamp: early},
		{Topic: "orders", Partition: 2, Key: []byte("k"), Value: nil, Timestamp: early.Add(-time.Hour)},
		{Topic: "orders", Partition: 2, Key: []byte{}, Value: []byte{}, Timestamp: early,
			Headers: []kgo.RecordHeader{{Key: "h", Value: []byte{1, 2, 3}}, {Key: "h", Value: nil}, {Key: "", Value: []byte{}}}},
		{Topic: "orders", Partition: 2, Key: []byte("big"), Value: []byte(strings.Repeat("x", 2_000_000)), Timestamp: early},
	}
	sender, err := kgo.NewClient(kgo.SeedBrokers(as.addr), kgo.ProducerBatchMaxBytes(2_900_000), kgo.RecordPartitioner(kgo.ManualPartitioner()))
	if err != nil {
		t.Fatal(err)
	}
	defer sender.Close()
	if err := sender.ProduceSync(t.Context(), odd...).FirstErr(); err != nil {
		t.Fatal(err)
	}
	w.mirror("Source", "a", as.addr, "b", nil)
	type bare struct {
		Key, Value []byte
		Headers    []kgo.RecordHeader
		Time       int64
		Partition  int32
		Offset     int64
	}
	strip := func(records []*kgo.Record) (out []bare) {
		for _, r := range records {
			if sum := sha256.Sum256(r.Value); len(r.Value) > 1000 {
				r.Value = sum[:] // differences of large ones are slow to find
			}
			out = append(out, bare{r.Key, r.Value, r.Headers, r.Timestamp.UnixMilli(), r.Partition, r.Offset})
		}
		return out
	}
	want := as.read("orders", 2, len(odd))
	if diff := cmp.Diff(strip(want), strip(bs.read("a.orders", 2, len(odd)))); diff != "" {
		t.Error(diff)
	}
	if n := bs.partitions("a.orders"); n != 3 {
		t.Errorf("%d partitions", n)
	}
	for name, value := range map[string]string{"retention.ms": "123456789", "cleanup.policy": "compact,delete", "max.message.bytes": "3000000"} {
		if got := bs.config("a.orders", name); got != value {
			t.Errorf("%s=%s", name, got)
		}
	}

	// Later.
	if _, err := as.UpdatePartitions(t.Context(), 4, "orders"); err != nil {
		t.Fatal(err)
	}
	as.create("payments", 1)
	eventually(t, "the copy has another partition", func() bool { return bs.partitions("a.orders") == 4 })
	as.produce(numbers("orders", 3, 0, 2000)...)
	as.produce(numbers("payments", 0, 0, 5)...)
	for topic, count := range map[string]int{"orders": 2000, "payments": 5} {
		partition := map[string]int32{"orders": 3}[topic]
		for i, r := range bs.read("a."+topic, partition, count) {
			if string(r.Value) != fmt.Sprint(i) {
				t.Fatalf("%s: record %d is %s", topic, i, r.Value)
			}
		}
	}
	alter := []setting{{"retention.ms", "5000000"}, {"cleanup.policy", ""}}
	as.alter("orders", alter...)
	eventually(t, "configurations are copied", func() bool {
		return bs.config("a.orders", "retention.ms") == "5000000" && bs.config("a.orders", "cleanup.policy") == "delete"
	})
}

// TestGroups: the offset of a group comes to be its place in the copy, though offsets differ there. A group that has members in the
// target, or is farther there, is left alone.
func TestGroups(t *testing.T) {
	_, b, as, bs := two(t)
	translated(t, as, bs, work(t, b.Addr()))
}

func translated(t *testing.T, as, bs *site, w *worker) {
	t.Helper()
	as.create("orders", 1)
	as.produce(numbers("orders", 0, 0, 700)...)
	if _, err := as.DeleteRecords(t.Context(), offsets("orders", 0, 200)); err != nil {
		t.Fatal(err)
	}
	as.commit("read-all", "orders", 0, 700)
	as.commit("halfway", "orders", 0, 450)
	as.commit("nowhere", "orders", 0, 100)
	as.commit("connect-excluded", "orders", 0, 700)
	w.mirror("Source", "a", as.addr, "b", nil)
	bs.read("a.orders", 0, 500)
	bs.commit("farther", "a.orders", 0, 500)
	as.commit("farther", "orders", 0, 300)
	member, err := kgo.NewClient(kgo.SeedBrokers(bs.addr), kgo.ConsumerGroup("live"), kgo.ConsumeTopics("a.orders"), kgo.DisableAutoCommit())
	if err != nil {
		t.Fatal(err)
	}
	defer member.Close()
	member.PollFetches(t.Context())
	as.commit("live", "orders", 0, 700)
	w.mirror("Checkpoint", "a", as.addr, "b", map[string]string{"sync.group.offsets.enabled": "true"})
	eventually(t, "the group that has read all is at the end", func() bool { return bs.committed("read-all", "a.orders", 0) == 500 })
	as.produce(numbers("orders", 0, 700, 750)...)
	as.commit("read-all", "orders", 0, 750)
	eventually(t, "and still", func() bool { return bs.committed("read-all", "a.orders", 0) == 550 })
	if at := bs.committed("halfway", "a.orders", 0); at > 250 {
		t.Errorf("a group that misses records: %d", at)
	}
	for group, want := range map[string]int64{"nowhere": -1, "connect-excluded": -1, "farther": 500, "live": -1} {
		if at := bs.committed(group, "a.orders", 0); at != want {
			t.Errorf("%s: %d", group, at)
		}
	}
	// A group that moves is served where it goes on.
	member2, err := kgo.NewClient(kgo.SeedBrokers(bs.addr), kgo.ConsumerGroup("read-all"), kgo.ConsumeTopics("a.orders"))
	if err != nil {
		t.Fatal(err)
	}
	defer member2.Close()
	as.produce(numbers("orders", 0, 750, 751)...)
	if got := member2.PollFetches(t.Context()).Records(); len(got) != 1 || string(got[0].Value) != "750" {
		t.Errorf("it gets %d records", len(got))
	}
}

// TestBothWays: two clusters that mirror each other have each record twice, once in each, and each other's heartbeats.
func TestBothWays(t *testing.T) {
	a, b, as, bs := two(t)
	toB, toA := work(t, b.Addr()), work(t, a.Addr())
	as.create("orders", 1)
	bs.create("orders", 1)
	as.produce(numbers("orders", 0, 0, 10)...)
	bs.produce(numbers("orders", 0, 0, 20)...)
	toB.mirror("Source", "a", a.Addr(), "b", nil)
	toA.mirror("Source", "b", b.Addr(), "a", nil)
	toB.mirror("Heartbeat", "a", a.Addr(), "b", nil)
	bs.read("a.orders", 0, 10)
	as.read("b.orders", 0, 20)
	as.read("b.heartbeats", 0, 2) // written to b, copied to a
	for _, s := range []*site{as, bs} {
		topics, err := s.ListTopics(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		for _, name := range topics.Names() {
			if strings.HasPrefix(name, "a.b.") || strings.HasPrefix(name, "b.a.") {
				t.Errorf("a copy of a copy: %s", name)
			}
		}
	}
	if as.end("b.orders", 0) != 20 || bs.end("a.orders", 0) != 10 {
		t.Errorf("%d and %d records", as.end("b.orders", 0), bs.end("a.orders", 0))
	}
}

// TestGoesOn: over a stop of the worker nothing comes twice; over crashes and halts of both clusters nothing is missing, and the order stays.
func TestGoesOn(t *testing.T) {
	a := weirtest.Start(t, weirtest.Dir(t.TempDir()))
	b := weirtest.Start(t, weirtest.Dir(t.TempDir()))
	as, bs := newSite(t, a.Addr()), newSite(t, b.Addr())
	as.create("orders", 1)
	w := work(t, b.Addr())
	w.mirror("Source", "a", a.Addr(), "b", nil)
	as.produce(numbers("orders", 0, 0, 1000)...)
	bs.read("a.orders", 0, 1000)
	w.end()
	as.produce(numbers("orders", 0, 1000, 1500)...)
	w = work(t, b.Addr())
	bs.read("a.orders", 0, 1500)
	if end := bs.end("a.orders", 0); end != 1500 {
		t.Errorf("%d records", end)
	}
	a.Kill()
	eventually(t, "it is told that the source is down", func() bool {
		_, said := w.states("source-a-b")
		return strings.Contains(said, "source cluster a")
	})
	a.Restart()
	as.produce(numbers("orders", 0, 1500, 2000)...)
	bs.read("a.orders", 0, 2000)
	b.Kill()
	as.produce(numbers("orders", 0, 2000, 2500)...)
	b.Restart()
	eventually(t, "all is there", func() bool { return bs.end("a.orders", 0) >= 2500 })
	next := 0
	for _, r := range bs.read("a.orders", 0, int(bs.end("a.orders", 0))) {
		var n int
		if _, err := fmt.Sscan(string(r.Value), &n); err != nil || n > next {
			t.Fatalf("%s after %d", r.Value, next-1)
		}
		next = max(next, n+1)
	}
	if next != 2500 {
		t.Errorf("it ends with %d", next-1)
	}
}

// TestTopicThatComesBack: the source loses a topic, the others go on; when it is made again, it is copied again, from its start, though it
// has more records by then than were copied of the old one.
func TestTopicThatComesBack(t *testing.T) {
	_, b, as, bs := two(t)
	as.create("orders", 1)
	as.create("payments", 1)
	as.produce(numbers("orders", 0, 0, 10)...)
	w := work(t, b.Addr())
	w.mirror("Source", "a", as.addr, "b", nil)
	bs.read("a.orders", 0, 10)
	if _, err := as.DeleteTopic(t.Context(), "orders"); err != nil {
		t.Fatal(err)
	}
	as.create("orders", 1)
	newSite(t, as.addr).produce(numbers("orders", 0, 100, 120)...)
	as.produce(numbers("payments", 0, 0, 10)...)
	bs.read("a.payments", 0, 10)
	eventually(t, "all of the new topic is copied", func() bool {
		next := 100
		for _, r := range bs.read("a.orders", 0, int(bs.end("a.orders", 0))) {
			if string(r.Value) == fmt.Sprint(next) {
				next++
			}
		}
		return next == 120
	})
}

// TestTransformed: records can be transformed on their way, and what is not stays as it is.
func TestTransformed(t *testing.T) {
	_, b, as, bs := two(t)
	as.create("orders", 2)
	as.produce(&kgo.Record{Topic: "orders", Partition: 1, Key: []byte{0xff}, Value: nil, Headers: []kgo.RecordHeader{{Key: "h", Value: []byte{1}}, {Key: "h"}}, Timestamp: time.UnixMilli(1_700_000_000_000)})
	w := work(t, b.Addr())
	w.mirror("Source", "a", as.addr, "b", map[string]string{"transforms": "x", "transforms.x.type": "org.apache.kafka.connect.transforms.InsertHeader",
		"transforms.x.header": "from", "transforms.x.value.literal": "a", "header.converter": "org.apache.kafka.connect.storage.SimpleHeaderConverter"})
	r := bs.read("a.orders", 1, 1)[0]
	if string(r.Key) != "\xff" || r.Value != nil || r.Timestamp.UnixMilli() != 1_700_000_000_000 || len(r.Headers) != 3 || r.Headers[2].Key != "from" || string(r.Headers[2].Value) != "a" {
		t.Errorf("%q %q %v %v", r.Key, r.Value, r.Headers, r.Timestamp)
	}
}

// TestNothingYet: a mirror of a cluster that has no topics begins when there are some, and one of groups when there are such.
func TestNothingYet(t *testing.T) {
	_, b, as, bs := two(t)
	w := work(t, b.Addr())
	w.mirror("Source", "a", as.addr, "b", nil)
	w.mirror("Checkpoint", "a", as.addr, "b", map[string]string{"sync.group.offsets.enabled": "true"})
	eventually(t, "it runs", func() bool {
		states, _ := w.states("checkpoint-a-b")
		return len(states) == 1 && states[0] == "RUNNING"
	})
	as.create("orders", 1)
	as.produce(numbers("orders", 0, 0, 3)...)
	as.commit("g", "orders", 0, 3)
	bs.read("a.orders", 0, 3)
	eventually(t, "the group is in the target", func() bool { return bs.committed("g", "a.orders", 0) == 3 })
}

// TestSecrets: what only clients may know is in no answer.
func TestSecrets(t *testing.T) {
	_, b, as, _ := two(t)
	w := work(t, b.Addr())
	config := map[string]string{"connector.class": "MirrorSourceConnector", "name": "x", "source.cluster.alias": "a", "target.cluster.alias": "b",
		"source.cluster.bootstrap.servers": as.addr, "target.cluster.bootstrap.servers": b.Addr(), "source.cluster.security.protocol": "SASL_PLAINTEXT",
		"source.cluster.sasl.mechanism": "PLAIN", "source.cluster.sasl.jaas.config": `org.apache.kafka.common.security.plain.PlainLoginModule required username="me" password="hunter22";`}
	_, text := w.do("PUT", "/connector-plugins/MirrorSourceConnector/config/validate", config)
	if strings.Contains(string(text), "hunter22") || !strings.Contains(string(text), `"error_count":1`) || !strings.Contains(string(text), "the source cluster a cannot be asked to answer") &&
		!strings.Contains(string(text), "The source cluster a does not let the mirror answer") {
		t.Errorf("%s", text)
	}
}

// TestRefused: a configuration that cannot work is refused, with a sentence that says why.
func TestRefused(t *testing.T) {
	a, b, _, _ := two(t)
	w := work(t, b.Addr())
	for _, test := range []struct{ option, value, says string }{
		{"target.cluster.alias", "a", "Both clusters have the alias a"},
		{"source.cluster.bootstrap.servers", "127.0.0.1:1", "the source cluster a cannot be asked to answer"},
		{"topics", "(", "it must be a list of names and regular expressions"},
		{"sync.topic.acls.enabled", "true", "ACLs are not copied"},
		{"replication.policy.class", "com.example.Policy", "classes of Java cannot be loaded"},
		{"source.cluster.sasl.mechanism", "PLAIN", ""},
		{"source.cluster.sasl.mechanismus", "PLAIN", "sasl.mechanismus is not supported"},
		{"refresh.topic.interval.seconds", "1", "did you mean refresh.topics.interval.seconds?"},
	} {
		config := map[string]string{"connector.class": "MirrorSourceConnector", "name": "x", "source.cluster.alias": "a", "target.cluster.alias": "b",
			"source.cluster.bootstrap.servers": a.Addr(), "target.cluster.bootstrap.servers": b.Addr(), test.option: test.value}
		_, text := w.do("PUT", "/connector-plugins/MirrorSourceConnector/config/validate", config)
		if test.says == "" && !strings.Contains(string(text), `"error_count":0`) || !strings.Contains(string(text), test.says) {
			t.Errorf("%s=%s: %s", test.option, test.value, text)
		}
	}
}
