package mirror

import (
	"encoding/hex"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/weir/weir/connect/sdk"
)

func parsed(t testing.TB, more map[string]string) *options {
	t.Helper()
	props := map[string]string{"source.cluster.alias": "a", "target.cluster.alias": "b", "source.cluster.bootstrap.servers": "x:1", "target.cluster.bootstrap.servers": "y:1"}
	for k, v := range more {
		props[k] = v
	}
	v, wrong := sdk.Parse(optionTable(), props)
	if len(wrong) > 0 {
		t.Fatal(wrong)
	}
	return read(v)
}

// TestTopics: which topics are copied, what the copies are called, and what a group's topic is called in the target.
func TestTopics(t *testing.T) {
	identity := map[string]string{"replication.policy.class": identityPolicy}
	underscore := map[string]string{"replication.policy.separator": "_"}
	for _, test := range []struct {
		name               string
		options            map[string]string
		topic              string
		copied             bool
		remote, downstream string
	}{
		{"plain", nil, "orders", true, "a.orders", "a.orders"},
		{"with dots", nil, "orders.eu", true, "a.orders.eu", "a.orders.eu"},
		{"from a third cluster", nil, "c.orders", true, "a.c.orders", "a.c.orders"},
		{"from the target", nil, "b.orders", false, "a.b.orders", "orders"},
		{"from the target over a third", nil, "c.b.orders", false, "a.c.b.orders", "a.c.b.orders"},
		{"from the target, which has it from a third", nil, "b.c.orders", false, "a.b.c.orders", "orders"},
		{"internal", nil, "__consumer_offsets", false, "a.__consumer_offsets", "a.__consumer_offsets"},
		{"of a mirror", nil, "mm2-offset-syncs.b.internal", false, "a.mm2-offset-syncs.b.internal", "a.mm2-offset-syncs.b.internal"},
		{"checkpoints", nil, "c.checkpoints.internal", false, "a.c.checkpoints.internal", "a.c.checkpoints.internal"},
		{"heartbeats, though not chosen", map[string]string{"topics": "orders"}, "heartbeats", true, "a.heartbeats", "a.heartbeats"},
		{"no heartbeats", map[string]string{"topics": "orders", "heartbeats.replication.enabled": "false"}, "heartbeats", false, "a.heartbeats", "a.heartbeats"},
		{"excluded", map[string]string{"topics": "orders.*", "topics.exclude": "orders-x"}, "orders-x", false, "a.orders-x", "a.orders-x"},
		{"excluded by the old name", map[string]string{"topics.blacklist": "orders-x"}, "orders-x", false, "a.orders-x", "a.orders-x"},
		{"not all of the name", map[string]string{"topics": "order"}, "orders", false, "a.orders", "a.orders"},
		{"identity", identity, "orders", true, "orders", "orders"},
		{"identity with dots", identity, "b.orders", true, "b.orders", "b.orders"},
		{"identity, heartbeats", identity, "heartbeats", true, "a.heartbeats", "a.heartbeats"},
		{"identity, heartbeats of the target", identity, "b.heartbeats", false, "a.b.heartbeats", "heartbeats"},
		{"separator", underscore, "orders", true, "a_orders", "a_orders"},
		{"separator, from the target", underscore, "b_orders", false, "a_b_orders", "orders"},
		{"separator, of a mirror", underscore, "c_checkpoints_internal", false, "a_c_checkpoints_internal", "a_c_checkpoints_internal"},
	} {
		o := parsed(t, test.options)
		if got := o.copies(test.topic); got != test.copied {
			t.Errorf("%s: copied: %v", test.name, got)
		}
		if got := o.policy.remote(test.topic); got != test.remote {
			t.Errorf("%s: the copy is %s", test.name, got)
		}
		if got := o.policy.downstream(test.topic); got != test.downstream {
			t.Errorf("%s: in the target it is %s", test.name, got)
		}
	}
	o := parsed(t, underscore)
	if topic, at := o.syncs(); topic != "mm2-offset-syncs_b_internal" || at != "source" || o.policy.checkpoints() != "a_checkpoints_internal" {
		t.Error(topic, at, o.policy.checkpoints())
	}
	underscore["replication.policy.internal.topic.separator.enabled"], underscore["offset-syncs.topic.location"] = "false", "target"
	o = parsed(t, underscore)
	if topic, at := o.syncs(); topic != "mm2-offset-syncs.a.internal" || at != "target" || o.policy.checkpoints() != "a.checkpoints.internal" {
		t.Error(topic, at, o.policy.checkpoints())
	}
}

// TestFormats: records have the bytes that MirrorMaker 2 writes, and are read again; what is none of them is refused.
func TestFormats(t *testing.T) {
	s := offsetSync{sdk.TopicPartition{Topic: "orders", Partition: 2}, 1000, 17}
	c := checkpoint{groupPartition{"g", sdk.TopicPartition{Topic: "a.orders", Partition: 2}}, 1001, 18, "m"}
	h := heartbeat{"a", "b", 1700000000000}
	for _, test := range []struct {
		key, value         []byte
		wantKey, wantValue string
	}{
		{s.key(), s.value(), "0006" + hex.EncodeToString([]byte("orders")) + "00000002", "00000000000003e80000000000000011"},
		{c.key(), c.value(), "000167" + "0008" + hex.EncodeToString([]byte("a.orders")) + "00000002", "0000" + "00000000000003e90000000000000012" + "00016d"},
		{h.key(), h.value(), "000161000162", "00000000018bcfe56800"},
	} {
		if got := hex.EncodeToString(test.key); got != test.wantKey {
			t.Errorf("key %s, not %s", got, test.wantKey)
		}
		if got := hex.EncodeToString(test.value); got != test.wantValue {
			t.Errorf("value %s, not %s", got, test.wantValue)
		}
	}
	if got, err := readSync(s.key(), s.value()); err != nil || got != s {
		t.Error(got, err)
	}
	if got, err := readCheckpoint(c.key(), c.value()); err != nil || got != c {
		t.Error(got, err)
	}
	if got, err := readHeartbeat(h.key(), h.value()); err != nil || got != h {
		t.Error(got, err)
	}
	future := append([]byte{0, 1}, c.value()[2:]...)
	for _, wrong := range [][2][]byte{{nil, nil}, {c.key(), nil}, {c.key(), s.value()}, {s.key(), c.value()}, {c.key(), future}, {append(c.key(), 1), c.value()}} {
		if _, err := readCheckpoint(wrong[0], wrong[1]); err == nil {
			t.Errorf("%x %x is read as a checkpoint", wrong[0], wrong[1])
		}
	}
	rapid.Check(t, func(t *rapid.T) {
		_, _ = readCheckpoint(rapid.SliceOf(rapid.Byte()).Draw(t, "key"), rapid.SliceOf(rapid.Byte()).Draw(t, "value")) // does not panic
	})
}

// TestTranslation copies a source that has gaps to a target, with crashes after which records come again, tells the syncs of some, and
// asks for each offset that a group may have: from where it goes on, all that it has not read comes. A group that has read all reads
// nothing again, if the last record was told.
func TestTranslation(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		of := sdk.TopicPartition{Topic: "t"}
		known := translation{}
		var source []int64
		var at int64
		for _, gap := range rapid.SliceOfN(rapid.Int64Range(1, 3), 1, 200).Draw(t, "gaps") {
			source = append(source, at)
			at += gap
		}
		var target []int64 // which record is at each offset
		for next := 0; next < len(source); next++ {
			target = append(target, source[next])
			if rapid.IntRange(0, 3).Draw(t, "told") == 0 || next == len(source)-1 {
				known.learn(offsetSync{of, source[next], int64(len(target) - 1)})
			}
			if rapid.IntRange(0, 30).Draw(t, "crash") == 0 {
				next = max(-1, next-rapid.IntRange(0, 10).Draw(t, "again"))
			}
		}
		end := source[len(source)-1] + 1
		for committed := int64(0); committed <= end; committed++ {
			at, ok := known.translate(of, committed)
			if !ok {
				continue
			}
			read := map[int64]bool{}
			for _, r := range target[at:] {
				read[r] = true
			}
			for _, r := range source {
				if r >= committed && !read[r] {
					t.Fatalf("a group at %d goes on at %d and misses %d", committed, at, r)
				}
			}
		}
		if at, ok := known.translate(of, end); !ok || at != int64(len(target)) {
			t.Fatalf("a group that has read all goes on at %d of %d", at, len(target))
		}
	})
}

// TestManyPairs: what is remembered is bounded, and close where groups are.
func TestManyPairs(t *testing.T) {
	of, known := sdk.TopicPartition{Topic: "t"}, translation{}
	const last = 1_000_000
	for at := int64(0); at <= last; at += 100 {
		known.learn(offsetSync{of, at, at})
	}
	if n := len(known[of]); n > mostPairs {
		t.Errorf("%d pairs", n)
	}
	for behind, most := range map[int64]int64{50: 100, 10_000: 200, 100_000: 30_000} {
		if at, ok := known.translate(of, last-behind); !ok || last-behind-at > most {
			t.Errorf("%d behind the end: translated to %d, %d too early", behind, at, last-behind-at)
		}
	}
}

// TestDivide: each partition has one task, and none has much more than others.
func TestDivide(t *testing.T) {
	got := divide(map[string]topic{"b-1": {1, "x"}, "a": {3, "y"}, "old": {1, ""}}, 2)
	want := []map[string]string{{"task.assigned.partitions": "a-0,a-2,old-0", "task.assigned.topics": "a:y"}, {"task.assigned.partitions": "a-1,b-1-0", "task.assigned.topics": "a:y,b-1:x"}}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
	if got := divide(nil, 2); len(got) != 0 {
		t.Error(got)
	}
	back, err := assigned(strings.Split(want[1]["task.assigned.partitions"], ","))
	if diff := cmp.Diff([]sdk.TopicPartition{{Topic: "a", Partition: 1}, {Topic: "b-1", Partition: 0}}, back); diff != "" || err != nil {
		t.Error(diff, err)
	}
	if _, err := assigned([]string{"a"}); err == nil {
		t.Error("a topic without a partition is taken")
	}
}

// TestClientOptions: the more special option counts, and those that no client has are told by name.
func TestClientOptions(t *testing.T) {
	o := parsed(t, map[string]string{"source.cluster.client.rack": "1", "consumer.fetch.max.wait.ms": "7", "consumer.poll.timeout.ms": "5", "source.consumer.isolation.level": "read_committed"})
	if _, err := o.client("source", "consumer"); err != nil {
		t.Error(err)
	}
	o = parsed(t, map[string]string{"source.admin.fetch.wait": "1"})
	if _, err := o.client("source", "admin"); err == nil || !strings.Contains(err.Error(), "fetch.wait") || sdk.CauseOf(err) != sdk.Configuration {
		t.Error(err)
	}
	if _, err := o.client("target", "admin"); err != nil {
		t.Error(err)
	}
}
