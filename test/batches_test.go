package test

import (
	"bytes"
	"encoding/binary"
	"hash/crc32"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// rec is a record as tests write it.
type rec struct {
	key   []byte
	value string
	at    time.Duration // from now
}

// batch gives a batch of one record without a key.
func batch(value string) []byte { return makeBatch([]rec{{value: value}}) }

// makeBatch gives a record batch as a producer sends it. What change does to it is part of it: only then are its length and
// its checksum worked out.
func makeBatch(records []rec, change ...func(*kmsg.RecordBatch)) []byte {
	now := time.Now().UnixMilli()
	b := kmsg.RecordBatch{
		PartitionLeaderEpoch: -1, Magic: 2, ProducerID: -1, ProducerEpoch: -1, FirstSequence: -1,
		NumRecords: int32(len(records)), LastOffsetDelta: int32(len(records)) - 1,
	}
	for i, r := range records {
		at := now + r.at.Milliseconds()
		if i == 0 {
			b.FirstTimestamp, b.MaxTimestamp = at, at
		}
		b.MaxTimestamp = max(b.MaxTimestamp, at)
		one := kmsg.Record{Key: r.key, Value: []byte(r.value), OffsetDelta: int32(i), TimestampDelta64: at - b.FirstTimestamp}
		one.Length = int32(len(one.AppendTo(nil)) - 1) // a length of 0 takes one byte
		b.Records = one.AppendTo(b.Records)
	}
	for _, f := range change {
		f(&b)
	}
	return seal(b.AppendTo(nil))
}

// seal puts the length and the checksum of a batch right.
func seal(raw []byte) []byte {
	binary.BigEndian.PutUint32(raw[8:], uint32(len(raw)-12))
	binary.BigEndian.PutUint32(raw[17:], crc32.Checksum(raw[21:], crc32.MakeTable(crc32.Castagnoli)))
	return raw
}

// by makes a batch an idempotent producer's.
func by(id int64, epoch int16, sequence int32) func(*kmsg.RecordBatch) {
	return func(b *kmsg.RecordBatch) { b.ProducerID, b.ProducerEpoch, b.FirstSequence = id, epoch, sequence }
}

// flagged sets bits of a batch's attributes.
func flagged(bits int16) func(*kmsg.RecordBatch) {
	return func(b *kmsg.RecordBatch) { b.Attributes |= bits }
}

// The bits of a batch's attributes.
const (
	codecBits              = 7
	logAppendTimeBit       = 1 << 3
	transactionalBit       = 1 << 4
	controlBit             = 1 << 5
	codecGzip        int16 = 1
	codecLZ4         int16 = 3
	codecZstd        int16 = 4
)

// allCodecs are Kafka's, by their number in a batch.
var allCodecs = []struct {
	name  string // in compression.type
	codec kgo.CompressionCodec
}{
	{"uncompressed", kgo.NoCompression()}, {"gzip", kgo.GzipCompression()}, {"snappy", kgo.SnappyCompression()}, {"lz4", kgo.Lz4Compression()}, {"zstd", kgo.ZstdCompression()},
}

// packed compresses a batch.
func packed(t *testing.T, codec int16) func(*kmsg.RecordBatch) {
	t.Helper()
	return func(b *kmsg.RecordBatch) {
		if codec == 0 {
			return
		}
		c, err := kgo.DefaultCompressor(allCodecs[codec].codec)
		if err != nil {
			t.Fatal(err)
		}
		out, used := c.Compress(&bytes.Buffer{}, b.Records)
		b.Records = bytes.Clone(out)
		b.Attributes |= int16(used)
	}
}

// batches takes the batches of a fetch apart. One that is cut off at the end is not there.
func batches(t *testing.T, raw []byte) (out []kmsg.RecordBatch) {
	t.Helper()
	for len(raw) > 12 {
		size := 12 + int(binary.BigEndian.Uint32(raw[8:]))
		if size > len(raw) {
			break
		}
		var b kmsg.RecordBatch
		if err := b.ReadFrom(raw[:size]); err != nil {
			t.Fatal(err)
		}
		out = append(out, b)
		raw = raw[size:]
	}
	return out
}

// produceRequest writes to the first partition of a topic; nil stands for a batch of one record.
func produceRequest(topic string, acks int16, records []byte) *kmsg.ProduceRequest {
	if records == nil {
		records = batch("hello")
	}
	return produceTo(topic, acks, records)
}

// produceTo writes one batch to each partition, from the first on.
func produceTo(topic string, acks int16, batches ...[]byte) *kmsg.ProduceRequest {
	req := kmsg.NewPtrProduceRequest()
	req.Acks, req.TimeoutMillis = acks, 10_000
	t := kmsg.NewProduceRequestTopic()
	t.Topic = topic
	for number, b := range batches {
		p := kmsg.NewProduceRequestTopicPartition()
		p.Partition, p.Records = int32(number), b
		t.Partitions = append(t.Partitions, p)
	}
	req.Topics = append(req.Topics, t)
	return req
}

type produced = kmsg.ProduceResponseTopicPartition

// produce writes a batch to the first partition.
func (to topic) produce(raw []byte) produced {
	to.n.t.Helper()
	return mustAsk[*kmsg.ProduceResponse](to.n, produceRequest(to.name, -1, raw), 9).Topics[0].Partitions[0]
}

// mustProduce writes a batch, which must come to an offset.
func (to topic) mustProduce(raw []byte, at int64) produced {
	to.n.t.Helper()
	got := to.produce(raw)
	if got.ErrorCode != 0 || got.BaseOffset != at {
		to.n.t.Fatalf("written at %d (%s), want %d", got.BaseOffset, describe(got.ErrorCode, got.ErrorMessage), at)
	}
	return got
}

// refuse writes a batch, which must be refused.
func (to topic) refuse(raw []byte, code int16) produced {
	to.n.t.Helper()
	got := to.produce(raw)
	if got.ErrorCode != code || got.BaseOffset != -1 {
		to.n.t.Fatalf("answered with %s at %d, want %s", describe(got.ErrorCode, got.ErrorMessage), got.BaseOffset, describe(code, nil))
	}
	return got
}

// mustEnd checks where a topic's first partition ends.
func (to topic) mustEnd(at int64) {
	to.n.t.Helper()
	if got := to.listOffset(0, -1); got.Offset != at || got.ErrorCode != 0 {
		to.n.t.Fatalf("the log ends at %d (%s), not at %d", got.Offset, describe(got.ErrorCode, nil), at)
	}
}

// listOffset asks for one offset by its time or special value.
func (to topic) listOffset(partition int32, timestamp int64) kmsg.ListOffsetsResponseTopicPartition {
	to.n.t.Helper()
	req := kmsg.NewPtrListOffsetsRequest()
	t := kmsg.NewListOffsetsRequestTopic()
	t.Topic = to.name
	p := kmsg.NewListOffsetsRequestTopicPartition()
	p.Partition, p.Timestamp = partition, timestamp
	t.Partitions = append(t.Partitions, p)
	req.Topics = append(req.Topics, t)
	return mustAsk[*kmsg.ListOffsetsResponse](to.n, req, 9).Topics[0].Partitions[0]
}

type fetched = kmsg.FetchResponseTopicPartition

// fetchRequest reads the first partitions of a topic from an offset on, by topic id, without a session.
func (to topic) fetchRequest(offset int64, partitions int32) *kmsg.FetchRequest {
	req := kmsg.NewPtrFetchRequest()
	req.MaxBytes, req.MinBytes, req.SessionEpoch = 1<<20, 1, -1
	t := kmsg.NewFetchRequestTopic()
	t.Topic, t.TopicID = to.name, to.id
	for number := range partitions {
		p := kmsg.NewFetchRequestTopicPartition()
		p.Partition, p.FetchOffset, p.PartitionMaxBytes = number, offset, 1<<20
		t.Partitions = append(t.Partitions, p)
	}
	req.Topics = append(req.Topics, t)
	return req
}

// fetch reads the first partition from an offset on.
func (to topic) fetch(offset int64) fetched {
	to.n.t.Helper()
	return mustAsk[*kmsg.FetchResponse](to.n, to.fetchRequest(offset, 1), 16).Topics[0].Partitions[0]
}

// readAll gives the batches of the first partition.
func (to topic) readAll() []kmsg.RecordBatch {
	to.n.t.Helper()
	got := to.fetch(0)
	if got.ErrorCode != 0 {
		to.n.t.Fatal(describe(got.ErrorCode, nil))
	}
	return batches(to.n.t, got.RecordBatches)
}
