package group

import (
	"bytes"
	"encoding/hex"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/weir/weir/coordinator/machine"
)

// Records that Kafka 4.3.1 wrote: a commit of offset 77, a group with one dynamic member, one with a static member.
const (
	kafkaOffsetKey   = "0001000964756d7067726f75700002743100000000"
	kafkaOffsetValue = "0004000000000000004dffffffff01000001a20dd44d930100103118e207b54d4ff3910155b6e41740b4"
	kafkaGroupKey    = "0002001472313739353532383137383332372d322d302d61"
	kafkaGroupValue  = "00030008636f6e73756d657200000001000572616e67650027636c2d33623738316364302d363265352d346135642d613663362d396365623635363364633561" +
		"000001a20dd1baab000000010027636c2d33623738316364302d363265352d346135642d613663362d396365623635363364633561ffff0002636c000a2f3132372e" +
		"302e302e310001d4c00000ea600000000e00000000000100027431ffffffff0000000a666f722023303a636c2d"
	kafkaStaticKey   = "0002001472313739353532383138333437382d312d332d61"
	kafkaStaticValue = "00030008636f6e73756d657200000001000572616e6765002773302d63356430363530362d643233622d343765662d613165352d643265383663333131313935" +
		"000001a20dd1cf2000000001002773302d63356430363530362d643233622d343765662d613165352d643265383663333131313935000273300002636c000a2f3132" +
		"372e302e302e310001d4c00000ea600000000e00000000000100027431ffffffff00000000"
)

func unhex(t *testing.T, s string) []byte {
	t.Helper()
	b, err := hex.DecodeString(s)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func TestRecordsAreKafkas(t *testing.T) {
	m := New(Config{})
	for i, pair := range [][2]string{{kafkaOffsetKey, kafkaOffsetValue}, {kafkaGroupKey, kafkaGroupValue}, {kafkaStaticKey, kafkaStaticValue}} {
		r := machine.Record{Key: unhex(t, pair[0]), Value: unhex(t, pair[1]), Offset: int64(i)}
		if err := m.Replay(r); err != nil {
			t.Fatal(err)
		}
	}
	same := func(what string, r machine.Record, key, value string) {
		t.Helper()
		if !bytes.Equal(r.Key, unhex(t, key)) || !bytes.Equal(r.Value, unhex(t, value)) {
			t.Fatalf("%s:\n%x %x\nwant\n%s %s", what, r.Key, r.Value, key, value)
		}
	}
	tp := topicPartition{"t1", 0}
	same("offset", offsetRecord("dumpgroup", tp, m.groups["dumpgroup"].offsets[tp]), kafkaOffsetKey, kafkaOffsetValue)
	for _, id := range []string{"r1795528178327-2-0-a", "r1795528183478-1-3-a"} {
		turn := &turn{Machine: m}
		turn.record(m.groups[id])
		if id == "r1795528178327-2-0-a" {
			same("group", turn.effects.Records[0], kafkaGroupKey, kafkaGroupValue)
		} else {
			same("group with a static member", turn.effects.Records[0], kafkaStaticKey, kafkaStaticValue)
		}
	}
	if got := m.groups["dumpgroup"].offsets[tp].at; got != 77 {
		t.Fatalf("offset %d", got)
	}
}

func TestOlderRecordsAreRead(t *testing.T) {
	tp := topicPartition{"orders", 3}
	for version, want := range []offset{
		{at: 5, epoch: -1, metadata: "m", committed: 7, expires: -1},
		{at: 5, epoch: -1, metadata: "m", committed: 7, expires: 9},
		{at: 5, epoch: -1, metadata: "m", committed: 7, expires: -1},
		{at: 5, epoch: 2, metadata: "m", committed: 7, expires: -1},
		{at: 5, epoch: 2, metadata: "m", committed: 7, expires: -1, topicID: [16]byte{1}},
	} {
		v := kmsg.NewOffsetCommitValue()
		v.Version, v.Offset, v.LeaderEpoch, v.Metadata, v.CommitTimestamp = int16(version), 5, 2, "m", 7
		v.ExpireTimestamp, v.TopicID = 9, [16]byte{1}
		for keyVersion := int16(0); keyVersion <= 1; keyVersion++ {
			k := kmsg.NewOffsetCommitKey()
			k.Version, k.Group, k.Topic, k.Partition = keyVersion, "g", tp.topic, tp.partition
			m := New(Config{})
			if err := m.Replay(machine.Record{Key: k.AppendTo(nil), Value: v.AppendTo(nil)}); err != nil {
				t.Fatal(err)
			}
			if d := cmp.Diff(want, m.groups["g"].offsets[tp], cmp.AllowUnexported(offset{})); d != "" {
				t.Fatalf("version %d (-want +got):\n%s", version, d)
			}
		}
	}
	for version := int16(0); version <= 4; version++ {
		v := kmsg.NewGroupMetadataValue()
		v.Version, v.ProtocolType, v.Generation, v.Protocol, v.CurrentStateTimestamp = version, "consumer", 4, kmsg.StringPtr("range"), 1000
		e := kmsg.NewGroupMetadataValueMember()
		e.MemberID, e.SessionTimeoutMillis, e.RebalanceTimeoutMillis = "a", 10_000, 60_000
		v.Members = append(v.Members, e) // and no leader
		if version == 4 {
			e.MemberID, v.Leader = "b", kmsg.StringPtr("b")
			v.Members = append(v.Members, e)
		}
		m := New(Config{})
		if err := m.Replay(machine.Record{Key: groupKey("g"), Value: v.AppendTo(nil)}); err != nil {
			t.Fatal(err)
		}
		g := m.groups["g"]
		expect(t, "leader", g.leader, map[bool]string{false: "a", true: "b"}[version == 4])
		expect(t, "state", g.state, Stable)
		rebalance, since := time.Minute, time.UnixMilli(1000)
		if version == 0 {
			rebalance = 10 * time.Second
		}
		if version < 2 {
			since = time.Time{}
		}
		expect(t, "rebalance timeout", g.members["a"].rebalance, rebalance)
		expect(t, "time of the state", g.since, since)
	}
}

// A group without a time of its state: its offsets expire by when they were committed.
func TestB101GroupsOfOldVersionsExpire(t *testing.T) {
	w := newWorld(t)
	expect(t, "commit", w.commitFor("g", "orders", 5), 0)
	v := kmsg.NewGroupMetadataValue()
	v.Version, v.ProtocolType, v.Generation = 1, "consumer", 4
	w.log = append(w.log, machine.Record{Key: groupKey("g"), Value: v.AppendTo(nil), Offset: int64(len(w.log))})
	w.start()
	w.pass(7*24*time.Hour - time.Second)
	expect(t, "offset", w.offset("g", "orders"), 5)
	w.pass(10 * time.Minute)
	expect(t, "offset", w.offset("g", "orders"), -1)
}

func TestForeignRecordsAreSkipped(t *testing.T) {
	m := New(Config{})
	for _, version := range []byte{3, 4, 5, 6, 7, 8, 10, 15, 16, 17, 23, 99} {
		if err := m.Replay(machine.Record{Key: []byte{0, version, 1, 2}, Value: []byte{0xff}}); err != nil {
			t.Fatal(err)
		}
	}
	expect(t, "skipped", m.Skipped(), 12)
	expect(t, "groups", len(m.Groups()), 0)
}

func TestDamagedRecordsAreRefused(t *testing.T) {
	for _, pair := range [][2]string{{kafkaOffsetKey, kafkaOffsetValue}, {kafkaGroupKey, kafkaGroupValue}} {
		key, value := unhex(t, pair[0]), unhex(t, pair[1])
		for n := range len(key) {
			if err := New(Config{}).Replay(machine.Record{Key: key[:n], Value: value}); err == nil {
				t.Fatalf("a key cut to %d bytes was taken", n)
			}
		}
		for n := range len(value) {
			if err := New(Config{}).Replay(machine.Record{Key: key, Value: value[:n]}); err == nil {
				t.Fatalf("a value cut to %d bytes was taken", n)
			}
		}
		for _, version := range []byte{5, 0xff} {
			other := bytes.Clone(value)
			other[0], other[1] = version&0x80, version
			if err := New(Config{}).Replay(machine.Record{Key: key, Value: other}); err == nil || !strings.Contains(err.Error(), "version") {
				t.Fatalf("a value of version %d: %v", int8(version), err)
			}
		}
	}
}

func TestMembersThatAreThereTwiceAreRefused(t *testing.T) {
	for name, members := range map[string][2]string{"id": {"a", "a"}, "instance": {"a", "b"}} {
		t.Run(name, func(t *testing.T) {
			v := kmsg.NewGroupMetadataValue()
			v.Version, v.ProtocolType = 3, "consumer"
			for _, id := range members {
				e := kmsg.NewGroupMetadataValueMember()
				e.MemberID, e.InstanceID = id, kmsg.StringPtr("i")
				v.Members = append(v.Members, e)
			}
			if err := New(Config{}).Replay(machine.Record{Key: groupKey("g"), Value: v.AppendTo(nil)}); err == nil {
				t.Fatal("it was taken")
			}
		})
	}
}

// The log may hold a group's tombstone and later offsets, or offsets that a tombstone did not take along.
func TestTombstones(t *testing.T) {
	w := newWorld(t)
	c := w.consumer("g")
	w.stable(c)
	expect(t, "commit", c.commit("orders", 5), 0)
	w.log = append(w.log, groupTombstone("g"), groupTombstone("never"), offsetTombstone("never", topicPartition{"orders", 0}))
	w.start()
	expect(t, "state", w.state("g"), "Empty")
	expect(t, "protocol type", w.describe("g").ProtocolType, "")
	expect(t, "offset", w.offset("g", "orders"), 5)
	expect(t, "heartbeat", c.heartbeat(), 25)
	expect(t, "state", w.state("never"), "Dead")
}

func FuzzReplay(f *testing.F) {
	for _, pair := range [][2]string{{kafkaOffsetKey, kafkaOffsetValue}, {kafkaGroupKey, kafkaGroupValue}, {kafkaStaticKey, kafkaStaticValue}} {
		key, _ := hex.DecodeString(pair[0])
		value, _ := hex.DecodeString(pair[1])
		f.Add(key, value)
	}
	f.Fuzz(func(t *testing.T, key, value []byte) {
		w := newWorld(t, func(c *Config) { c.MaxSize = 1 })
		if w.m.Replay(machine.Record{Key: key, Value: value}) != nil {
			return
		}
		w.log = append(w.log, machine.Record{Key: key, Value: value})
		w.start()
		w.check()
		for _, g := range w.m.Groups() {
			w.describe(g.Group)
			w.offset(g.Group, "t1")
		}
		w.pass(time.Hour)
		w.check()
	})
}
