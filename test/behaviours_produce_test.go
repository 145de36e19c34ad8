package test

import (
	"bytes"
	"cmp"
	"encoding/binary"
	"fmt"
	"hash/crc32"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
)

func TestBehaviour011UnknownAcks(t *testing.T) {
	n := shared(t)
	to := n.newTopic(2)
	for _, acks := range []int16{5, 2, -2, 32767} {
		got := mustAsk[*kmsg.ProduceResponse](n, produceTo(to.name, acks, batch("a"), batch("b")), 9).Topics[0].Partitions
		for _, p := range got {
			if p.ErrorCode != 21 || p.BaseOffset != -1 || p.LogStartOffset != -1 {
				t.Errorf("acks=%d: %+v", acks, p)
			}
		}
		if len(got) != 2 {
			t.Errorf("acks=%d: %d partitions", acks, len(got))
		}
	}
	to.mustEnd(0)
}

// TestBehaviour012NoAcks: acks=0 gets no answer; what cannot be written closes the connection.
func TestBehaviour012NoAcks(t *testing.T) {
	n := shared(t)
	to := n.newTopic(1)
	c, err := n.dial()
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	for range 3 {
		quiet := produceRequest(to.name, 0, nil)
		quiet.SetVersion(9)
		if _, err := c.Write(kmsg.NewRequestFormatter().AppendRequest(nil, quiet, 1)); err != nil {
			t.Fatal(err)
		}
	}
	loud := produceRequest(to.name, 1, nil) // the first answer is the one to this
	loud.SetVersion(9)
	resp, err := c.ask(loud)
	if err != nil || resp.(*kmsg.ProduceResponse).Topics[0].Partitions[0].BaseOffset != 3 {
		t.Fatalf("%+v %v", resp, err)
	}
	for name, bad := range map[string]*kmsg.ProduceRequest{
		"no such topic":     produceRequest(unique("none"), 0, nil),
		"no such partition": produceTo(to.name, 0, batch("here"), batch("nowhere")),
		"a broken batch":    produceRequest(to.name, 0, broken()),
	} {
		bad.SetVersion(9)
		c, err := n.dial()
		if err != nil {
			t.Fatal(err)
		}
		if _, err := c.Write(kmsg.NewRequestFormatter().AppendRequest(nil, bad, 1)); err != nil {
			t.Fatal(err)
		}
		if err := closed(c); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		_ = c.Close()
	}
	until(t, "the batch beside the bad one is there", func() bool { return to.listOffset(0, -1).Offset == 5 })
}

// broken gives a batch with a flipped byte.
func broken() []byte {
	b := batch("hello")
	b[len(b)-2] ^= 1
	return b
}

func TestBehaviour014BatchTooLarge(t *testing.T) {
	n := shared(t)
	const limit = 10_000
	large := []rec{{value: strings.Repeat("x", 2*limit)}}
	for _, c := range []struct {
		config string
		raw    []byte
		code   int16
	}{
		{"", makeBatch(large), 10},
		{"", makeBatch(large, packed(t, codecGzip)), 0},
		{"compression.type=gzip", makeBatch(large), 10}, // on receipt, although it would become small
		{"compression.type=uncompressed", makeBatch(large, packed(t, codecZstd)), 10},
		{"compression.type=lz4", makeBatch(large, packed(t, codecZstd)), 0},
	} {
		configs := []string{fmt.Sprintf("max.message.bytes=%d", limit)}
		if c.config != "" {
			configs = append(configs, c.config)
		}
		to := n.newTopic(1, configs...)
		if got := to.produce(c.raw); got.ErrorCode != c.code {
			t.Errorf("%q, %d bytes: %s, want %d", c.config, len(c.raw), describe(got.ErrorCode, got.ErrorMessage), c.code)
		}
	}
	// The limit counts the whole batch, headers and all.
	exact := batch("hello")
	n.newTopic(1, fmt.Sprintf("max.message.bytes=%d", len(exact))).mustProduce(exact, 0)
	n.newTopic(1, fmt.Sprintf("max.message.bytes=%d", len(exact)-1)).refuse(exact, 10)
	// A batch must fit into a segment.
	n.newTopic(1, "max.message.bytes=4000000", "segment.bytes=1048576").refuse(batch(strings.Repeat("x", 2<<20)), 18)
}

// oldMessages gives a message set of format 1.
func oldMessages() []byte {
	m := []byte{1, 0}                                                               // magic, attributes
	m = binary.BigEndian.AppendUint64(m, uint64(time.Now().UnixMilli()))            // timestamp
	m = append(m, 0xff, 0xff, 0xff, 0xff, 0, 0, 0, 5, 'h', 'e', 'l', 'l', 'o')      // key, value
	m = append(binary.BigEndian.AppendUint32(nil, crc32.ChecksumIEEE(m)), m...)     // checksum
	b := binary.BigEndian.AppendUint32(make([]byte, 8, 8+4+len(m)), uint32(len(m))) // offset, size
	return append(b, m...)
}

// TestBehaviour015NotOneCleanBatch: what is not exactly one batch of a client is INVALID_RECORD, for its partition only.
func TestBehaviour015NotOneCleanBatch(t *testing.T) {
	n := shared(t)
	to := n.newTopic(2)
	two := slices.Concat(batch("a"), batch("b"))
	fine := int64(0)
	for name, raw := range map[string][]byte{
		"two batches":         two,
		"an empty set":        {},
		"format 1":            oldMessages(),
		"base offset 5":       makeBatch([]rec{{value: "x"}}, func(b *kmsg.RecordBatch) { b.FirstOffset = 5 }),
		"control":             makeBatch([]rec{{key: []byte{0, 0, 0, 1}, value: "\x00\x00\x00\x00\x00\x00"}}, flagged(controlBit), by(1, 0, 0)),
		"more offsets":        makeBatch([]rec{{value: "x"}}, func(b *kmsg.RecordBatch) { b.LastOffsetDelta = 3 }),
		"more records":        makeBatch([]rec{{value: "x"}}, func(b *kmsg.RecordBatch) { b.LastOffsetDelta, b.NumRecords = 1, 2 }),
		"fewer records":       makeBatch([]rec{{value: "x"}, {value: "y"}}, func(b *kmsg.RecordBatch) { b.LastOffsetDelta, b.NumRecords = 0, 1 }),
		"no records":          makeBatch(nil),
		"a negative sequence": makeBatch([]rec{{value: "x"}}, by(900_000, 0, -1)),
	} {
		got := mustAsk[*kmsg.ProduceResponse](n, produceTo(to.name, -1, raw, batch("fine")), 9).Topics[0].Partitions
		slices.SortFunc(got, func(a, b produced) int { return cmp.Compare(a.Partition, b.Partition) })
		if got[0].ErrorCode != 87 || got[0].BaseOffset != -1 {
			t.Errorf("%s: %s at %d", name, describe(got[0].ErrorCode, got[0].ErrorMessage), got[0].BaseOffset)
		}
		if got[1].ErrorCode != 0 || got[1].BaseOffset != fine {
			t.Errorf("%s: the partition beside it: %+v", name, got[1])
		}
		fine++
	}
	to.mustEnd(0)
}

func TestBehaviour016CorruptBatches(t *testing.T) {
	n := shared(t)
	to := n.newTopic(1)
	to.refuse(broken(), 2)
	for codec := codecGzip; codec <= codecZstd; codec++ {
		raw := makeBatch([]rec{{value: strings.Repeat("hello", 100)}}, packed(t, codec))
		for i := 61; i < len(raw); i++ {
			raw[i] ^= 0x55
		}
		if got := to.produce(seal(raw)); got.ErrorCode != orKafka(2, -1) || got.BaseOffset != -1 {
			t.Errorf("damaged %s: %s", allCodecs[codec].name, describe(got.ErrorCode, got.ErrorMessage))
		}
	}
	to.mustEnd(0)
}

func TestBehaviour018NullKeys(t *testing.T) {
	n := shared(t)
	for _, policy := range []string{"compact", "compact,delete"} {
		compacted, plain := n.newTopic(1, "cleanup.policy="+policy), n.newTopic(1)
		raw := makeBatch([]rec{{key: []byte("k"), value: "0"}, {value: "1"}, {key: []byte{}, value: "2"}, {value: "3"}})
		req := produceTo(compacted.name, -1, raw)
		req.Topics = append(req.Topics, produceTo(plain.name, -1, raw).Topics...)
		for version := int16(7); version <= 9; version++ {
			got := mustAsk[*kmsg.ProduceResponse](n, req, version)
			bad, good := got.Topics[0].Partitions[0], got.Topics[1].Partitions[0]
			if got.Topics[0].Topic != compacted.name {
				bad, good = good, bad
			}
			var named []int32
			for _, r := range bad.ErrorRecords {
				named = append(named, r.RelativeOffset)
			}
			want := []int32{1, 3}
			if version < 8 {
				want = nil
			}
			if bad.ErrorCode != 87 || bad.BaseOffset != -1 || !slices.Equal(named, want) || (bad.ErrorMessage != nil) != (version >= 8) {
				t.Errorf("%s, version %d: %s, records %v", policy, version, describe(bad.ErrorCode, bad.ErrorMessage), named)
			}
			if good.ErrorCode != 0 {
				t.Errorf("%s, version %d: the topic beside it: %+v", policy, version, good)
			}
		}
		compacted.mustEnd(0)
		compacted.mustProduce(makeBatch([]rec{{key: []byte("k"), value: "0"}, {key: []byte{}, value: ""}}), 0)
	}
}

func TestBehaviour019TimesOutOfRange(t *testing.T) {
	n := shared(t)
	to := n.newTopic(1, "message.timestamp.before.max.ms=3600000", "message.timestamp.after.max.ms=60000")
	got := to.refuse(makeBatch([]rec{{at: -time.Minute}, {at: -61 * time.Minute}, {}, {at: 2 * time.Minute}}), 32)
	if len(got.ErrorRecords) != 2 || got.ErrorRecords[0].RelativeOffset != 1 || got.ErrorRecords[1].RelativeOffset != 3 {
		t.Errorf("the records to blame: %+v", got.ErrorRecords)
	}
	to.refuse(makeBatch([]rec{{at: 2 * time.Minute}}, packed(t, codecLZ4)), 32)
	to.mustProduce(makeBatch([]rec{{at: -59 * time.Minute}, {at: 50 * time.Second}}), 0)
	// By default the past is open and the future is not.
	usual := n.newTopic(1)
	usual.refuse(makeBatch([]rec{{at: 61 * time.Minute}}), 32)
	usual.mustProduce(makeBatch([]rec{{at: -20 * 365 * 24 * time.Hour}, {at: 59 * time.Minute}}), 0)
	// Only the broker says that a time is the broker's. (Kafka looks only in topics where it is.)
	if got := usual.produce(makeBatch([]rec{{value: "x"}}, flagged(logAppendTimeBit))); got.ErrorCode != orKafka(32, 0) {
		t.Error(describe(got.ErrorCode, got.ErrorMessage))
	}
	n.newTopic(1, "message.timestamp.type=LogAppendTime").refuse(makeBatch([]rec{{value: "x"}}, flagged(logAppendTimeBit)), 32)
}

func TestBehaviour020LogAppendTime(t *testing.T) {
	n := shared(t)
	for _, codec := range []int16{0, codecLZ4} {
		to := n.newTopic(1, "message.timestamp.type=LogAppendTime")
		before := time.Now().UnixMilli()
		got := to.mustProduce(makeBatch([]rec{{value: "a", at: -time.Hour}, {value: "b", at: 1000 * time.Hour}}, packed(t, codec)), 0)
		if got.LogAppendTime < before || got.LogAppendTime > time.Now().UnixMilli() {
			t.Errorf("the answer's time is %d", got.LogAppendTime)
		}
		stored := to.readAll()[0]
		if stored.Attributes&logAppendTimeBit == 0 || stored.MaxTimestamp != got.LogAppendTime {
			t.Errorf("stored with attributes %b and time %d", stored.Attributes, stored.MaxTimestamp)
		}
		for _, r := range n.consume(to.name, 2) {
			if r.Timestamp.UnixMilli() != got.LogAppendTime || r.Attrs.TimestampType() != 1 {
				t.Errorf("%s is read with time %d of type %d, want %d", r.Value, r.Timestamp.UnixMilli(), r.Attrs.TimestampType(), got.LogAppendTime)
			}
		}
		if at := to.listOffset(0, before); at.Offset != 0 || at.Timestamp != got.LogAppendTime {
			t.Errorf("found by time: %+v", at)
		}
		if at := to.listOffset(0, -3); at.Timestamp != got.LogAppendTime {
			t.Errorf("the newest time: %+v", at)
		}
	}
	if got := n.newTopic(1).mustProduce(batch("x"), 0); got.LogAppendTime != -1 {
		t.Errorf("with CreateTime the answer's time is %d", got.LogAppendTime)
	}
}

// TestBehaviour022BrokerCompresses: a topic's compression holds, whatever the producer sends.
func TestBehaviour022BrokerCompresses(t *testing.T) {
	n := shared(t)
	value := strings.Repeat("weir ", 200)
	for want, codec := range allCodecs {
		to := n.newTopic(1, "compression.type="+codec.name)
		for sent := range allCodecs {
			first := int64(3 * sent)
			to.mustProduce(makeBatch([]rec{{key: []byte("k"), value: value}, {value: value + "2"}, {value: ""}}, packed(t, int16(sent)), by(70_000, 0, int32(first))), first)
		}
		for i, b := range to.readAll() {
			if got := int(b.Attributes & codecBits); got != want || b.FirstOffset != int64(3*i) || b.NumRecords != 3 || b.ProducerID != 70_000 || b.FirstSequence != int32(3*i) {
				t.Errorf("%s: sent as %s it is stored with codec %d: %+v", codec.name, allCodecs[i].name, got, b)
			}
		}
		for i, r := range n.consume(to.name, 3*len(allCodecs)) {
			if r.Offset != int64(i) || string(r.Value) != []string{value, value + "2", ""}[i%3] || (i%3 == 0) != (string(r.Key) == "k") {
				t.Errorf("%s: record %d: key %q, %d bytes", codec.name, r.Offset, r.Key, len(r.Value))
			}
		}
	}
	// What is to stay as it came stays so to the byte, but for the two fields that brokers assign.
	to := n.newTopic(1)
	sent := makeBatch([]rec{{value: value}}, packed(t, codecZstd))
	to.mustProduce(batch("x"), 0)
	to.mustProduce(bytes.Clone(sent), 1)
	raw := to.fetch(0).RecordBatches
	if stored := raw[len(raw)-len(sent):]; !bytes.Equal(stored[16:], sent[16:]) {
		t.Error("a batch was changed that should be kept as the producer sent it")
	}
}

// TestBehaviour022CompressionLevels: levels count, and can be changed while the topic is written to, also for all topics.
func TestBehaviour022CompressionLevels(t *testing.T) {
	n := shared(t)
	words, err := os.ReadFile("suite_test.go")
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct{ codec, low, high string }{
		{"gzip", "1", "9"}, {"lz4", "9", "17"}, {"zstd", "-5", "19"},
	} {
		option := "compression." + c.codec + ".level"
		to := n.newTopic(1, "compression.type="+c.codec)
		size := func() int {
			t.Helper()
			if got := to.produce(makeBatch([]rec{{value: string(words)}})); got.ErrorCode != 0 {
				t.Fatal(describe(got.ErrorCode, got.ErrorMessage))
			}
			stored := to.readAll()
			return int(stored[len(stored)-1].Length)
		}
		set := func(kind kmsg.ConfigResourceType, name string, op kmsg.IncrementalAlterConfigOp, level string) {
			t.Helper()
			if got := n.alter(kind, name, change{option, op, &level}); got.ErrorCode != 0 {
				t.Fatalf("%s=%s: %s", option, level, describe(got.ErrorCode, got.ErrorMessage))
			}
		}
		set(topicResource, to.name, 0, c.low)
		var low, high int
		until(t, c.codec+" "+c.low+" counts", func() bool { low = size(); return size() == low })
		set(topicResource, to.name, 0, c.high)
		until(t, c.codec+" "+c.high+" makes smaller batches than "+c.low, func() bool { high = size(); return high < low })
		set(topicResource, to.name, 1, "")
		t.Cleanup(func() { n.alter(brokerResource, "", change{option, 1, nil}) })
		for level, want := range map[string]int{c.low: low, c.high: high} {
			set(brokerResource, "", 0, level)
			until(t, c.codec+" "+level+" counts for all topics", func() bool { return size() == want })
		}
		for _, r := range n.consume(to.name, 1) {
			if string(r.Value) != string(words) {
				t.Errorf("%s: a record is not what was written", c.codec)
			}
		}
	}
	for _, wrong := range []string{"compression.gzip.level=0", "compression.gzip.level=10", "compression.lz4.level=0", "compression.lz4.level=18", "compression.zstd.level=23"} {
		option, level, _ := strings.Cut(wrong, "=")
		if got := n.alter(topicResource, n.newTopic(1).name, change{option, 0, &level}); got.ErrorCode != 40 {
			t.Errorf("%s for a topic: %s", wrong, describe(got.ErrorCode, got.ErrorMessage))
		}
		if got := n.alter(brokerResource, "", change{option, 0, &level}); got.ErrorCode != 42 {
			t.Errorf("%s for all topics: %s", wrong, describe(got.ErrorCode, got.ErrorMessage))
		}
	}
}

func TestBehaviour023InternalTopics(t *testing.T) {
	n := shared(t)
	n.newGroup() // makes the topic
	if got := (topic{n: n, name: "__consumer_offsets"}).produce(nil); got.ErrorCode != 17 || got.BaseOffset != -1 {
		t.Fatal(describe(got.ErrorCode, got.ErrorMessage))
	}
}

func TestBehaviour026MinInsyncReplicasCountsAtMostTheReplicas(t *testing.T) {
	n := shared(t)
	n.newTopic(1, "min.insync.replicas=2").mustProduce(nil, 0)
}

// TestProduceErrors: what is wrong about a produce request apart from its batches.
func TestProduceErrors(t *testing.T) {
	n := shared(t)
	to := n.newTopic(1)
	ask := func(version int16, req *kmsg.ProduceRequest) produced {
		t.Helper()
		return mustAsk[*kmsg.ProduceResponse](n, req, version).Topics[0].Partitions[0]
	}
	byID := func(id [16]byte) *kmsg.ProduceRequest {
		req := produceRequest("", -1, nil)
		req.Topics[0].TopicID = id
		return req
	}
	elsewhere := produceRequest(to.name, -1, nil)
	elsewhere.Topics[0].Partitions[0].Partition = 7
	negative := produceRequest(to.name, -1, nil)
	negative.Topics[0].Partitions[0].Partition = -1
	zstd := produceRequest(to.name, -1, makeBatch([]rec{{value: "x"}}, packed(t, codecZstd)))
	for name, c := range map[string]struct {
		version int16
		req     *kmsg.ProduceRequest
		code    int16
	}{
		"no such topic":             {9, produceRequest(unique("none"), -1, nil), 3},
		"no such partition":         {9, elsewhere, 3},
		"a negative partition":      {9, negative, 3},
		"no such id":                {13, byID([16]byte{1, 2, 3}), 100},
		"no id":                     {13, byID([16]byte{}), 100},
		"by id":                     {13, byID(to.id), 0},
		"zstd before it was there":  {6, zstd, 76},
		"zstd since it is there":    {7, zstd, 0},
		"acks=1":                    {3, produceRequest(to.name, 1, nil), 0},
		"by name, the last version": {12, produceRequest(to.name, -1, nil), 0},
		"an unknown codec (Kafka has an accident)": {9, produceRequest(to.name, -1, makeBatch([]rec{{value: "x"}}, flagged(5))), orKafka(87, -1)},
	} {
		got := ask(c.version, c.req)
		if got.ErrorCode != c.code || (got.BaseOffset >= 0) != (c.code == 0) {
			t.Errorf("%s: %s at %d, want %d", name, describe(got.ErrorCode, got.ErrorMessage), got.BaseOffset, c.code)
		}
		if (c.code == 3 || c.code == 100) && (got.LogStartOffset != -1 || got.LogAppendTime != -1) {
			t.Errorf("%s: an error that tells log start %d, time %d", name, got.LogStartOffset, got.LogAppendTime)
		}
	}
}

// TestProduceKeepsHeaders: headers, null values and empty ones come back as they were.
func TestProduceKeepsHeaders(t *testing.T) {
	n := shared(t)
	to := n.newTopic(1, "compression.type=zstd")
	c := n.client(kgo.DefaultProduceTopic(to.name))
	sent := &kgo.Record{Key: []byte{}, Value: nil, Headers: []kgo.RecordHeader{{Key: "a", Value: nil}, {Key: "a", Value: []byte{}}, {Key: "", Value: []byte{0}}}}
	if err := c.ProduceSync(ctx(t), sent).FirstErr(); err != nil {
		t.Fatal(err)
	}
	got := n.consume(to.name, 1)[0]
	if got.Key == nil || len(got.Key) != 0 || got.Value != nil || len(got.Headers) != 3 || got.Headers[0].Value != nil || got.Headers[1].Value == nil || string(got.Headers[2].Value) != "\x00" {
		t.Fatalf("%+v", got)
	}
}
