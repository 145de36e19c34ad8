package main

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"hash/crc32"
	"reflect"

	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// The places of fields in a record batch.
const (
	batchLength     = 8
	batchMagic      = 16
	batchChecksum   = 17
	batchAttributes = 21
	batchProducer   = 43
	batchRecords    = 61
)

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// rec is a record; at is its time in milliseconds.
type rec struct {
	key     []byte
	value   string
	at      int64
	headers []kmsg.Header
}

// batch makes a record batch as a producer sends it. What change does comes before its length and checksum are worked out.
func batch(records []rec, change ...func(*kmsg.RecordBatch)) []byte {
	b := kmsg.RecordBatch{
		PartitionLeaderEpoch: -1, Magic: 2, ProducerID: -1, ProducerEpoch: -1, FirstSequence: -1,
		NumRecords: int32(len(records)), LastOffsetDelta: int32(len(records)) - 1,
	}
	for i, r := range records {
		if i == 0 {
			b.FirstTimestamp, b.MaxTimestamp = r.at, r.at
		}
		b.MaxTimestamp = max(b.MaxTimestamp, r.at)
		one := kmsg.Record{Key: r.key, Value: []byte(r.value), OffsetDelta: int32(i), TimestampDelta64: r.at - b.FirstTimestamp, Headers: r.headers}
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
	binary.BigEndian.PutUint32(raw[batchLength:], uint32(len(raw)-12))
	binary.BigEndian.PutUint32(raw[batchChecksum:], crc32.Checksum(raw[batchAttributes:], castagnoli))
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

var codecs = []kgo.CompressionCodec{kgo.NoCompression(), kgo.GzipCompression(), kgo.SnappyCompression(), kgo.Lz4Compression(), kgo.ZstdCompression()}

// packed compresses a batch with a codec, by its number.
func packed(codec int) func(*kmsg.RecordBatch) {
	return func(b *kmsg.RecordBatch) {
		if codec == 0 {
			return
		}
		c, err := kgo.DefaultCompressor(codecs[codec])
		if err != nil {
			panic(err)
		}
		out, used := c.Compress(&bytes.Buffer{}, b.Records)
		b.Records = append([]byte(nil), out...)
		b.Attributes |= int16(used)
	}
}

// translateBatches puts Weir's producer ids into batches with Kafka's. A wrong checksum stays wrong.
func (p *pairs) translateBatches(raw []byte) {
	for len(raw) >= batchRecords && raw[batchMagic] == 2 {
		size := 12 + int(int32(binary.BigEndian.Uint32(raw[batchLength:])))
		if size < batchRecords || size > len(raw) {
			return
		}
		b := raw[:size]
		id := int64(binary.BigEndian.Uint64(b[batchProducer:]))
		right := binary.BigEndian.Uint32(b[batchChecksum:]) == crc32.Checksum(b[batchAttributes:], castagnoli)
		p.put("producer", reflect.ValueOf(&id).Elem())
		binary.BigEndian.PutUint64(b[batchProducer:], uint64(id))
		if right {
			binary.BigEndian.PutUint32(b[batchChecksum:], crc32.Checksum(b[batchAttributes:], castagnoli))
		}
		raw = raw[size:]
	}
}

// stored is what is compared of a batch that was fetched. Its checksum and length follow from the rest; compressed bytes
// may differ between libraries, so records are compared as they were before.
type stored struct {
	FirstOffset          int64
	PartitionLeaderEpoch int32
	Magic                int8
	Attributes           int16
	LastOffsetDelta      int32
	FirstTimestamp       int64
	MaxTimestamp         int64
	ProducerID           int64
	ProducerEpoch        int16
	FirstSequence        int32
	NumRecords           int32
	Plain                string
	ChecksumIsRight      bool
}

// stores takes fetched records apart. rest are the bytes of a batch that was cut off.
func stores(raw []byte, side int) (out []stored, rest int, err error) {
	for len(raw) > 12 {
		size := 12 + int(binary.BigEndian.Uint32(raw[batchLength:]))
		if size > len(raw) {
			break
		}
		var b kmsg.RecordBatch
		if err := b.ReadFrom(raw[:size]); err != nil {
			return out, 0, err
		}
		plain, err := kgo.DefaultDecompressor().Decompress(b.Records, kgo.CompressionCodecType(b.Attributes&7))
		if err != nil {
			return out, 0, fmt.Errorf("%s's batch at %d: %w", names[side], b.FirstOffset, err)
		}
		out = append(out, stored{
			b.FirstOffset, b.PartitionLeaderEpoch, b.Magic, b.Attributes, b.LastOffsetDelta, b.FirstTimestamp, b.MaxTimestamp,
			b.ProducerID, b.ProducerEpoch, b.FirstSequence, b.NumRecords, fmt.Sprintf("%q", plain),
			binary.BigEndian.Uint32(raw[batchChecksum:]) == crc32.Checksum(raw[batchAttributes:size], castagnoli),
		})
		raw = raw[size:]
	}
	return out, len(raw), nil
}

// records compares what was fetched of a partition.
func (c *comparison) records(path string, k, w []byte) {
	ks, kRest, kErr := stores(k, kafka)
	ws, wRest, wErr := stores(w, weir)
	if show(kErr) != show(wErr) || kRest != wRest && len(ks) == len(ws) {
		c.differ(path+".rest", fmt.Sprintf("%d bytes %v", kRest, kErr), fmt.Sprintf("%d bytes %v", wRest, wErr))
	}
	const brokersTime = 1 << 3
	for i := range min(len(ks), len(ws)) {
		if ks[i].Attributes&ws[i].Attributes&brokersTime != 0 {
			ws[i].MaxTimestamp = ks[i].MaxTimestamp
		}
	}
	c.slices(path, "", reflect.ValueOf(&ks).Elem(), reflect.ValueOf(&ws).Elem())
}
