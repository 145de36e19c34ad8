package record

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"hash/crc32"
)

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// CRC computes the checksum of a batch: CRC32C from the attributes to the end.
func CRC(b []byte) uint32 { return crc32.Checksum(b[offsetAttributes:], castagnoli) }

// CheckCRC tells whether a whole batch is as it was written.
func CheckCRC(b []byte) bool {
	return len(b) >= HeaderSize && CRC(b) == binary.BigEndian.Uint32(b[offsetCRC:])
}

func setCRC(b []byte) { binary.BigEndian.PutUint32(b[offsetCRC:], CRC(b)) }

// SetLogAppendTime gives all records of a batch the broker's time (ms), without touching the records (KIP-32).
func SetLogAppendTime(b []byte, ts int64) {
	attributes := binary.BigEndian.Uint16(b[offsetAttributes:])
	binary.BigEndian.PutUint16(b[offsetAttributes:], attributes&knownAttributes|flagLogAppendTime)
	binary.BigEndian.PutUint64(b[offsetMaxTimestamp:], uint64(ts))
	setCRC(b)
}

// Recompress gives a copy of a batch with another codec. Offsets, times and producer stay. Level 0 is the codec's default.
func Recompress(b []byte, codec Codec, level int) ([]byte, error) {
	h, err := checkFrame(b)
	if err != nil {
		return nil, err
	}
	records, done, err := unpack(h, b)
	if err != nil {
		return nil, err
	}
	defer done()
	out := bytes.NewBuffer(make([]byte, 0, HeaderSize+len(records)))
	out.Write(b[:HeaderSize])
	if err := compress(out, codec, level, records); err != nil {
		return nil, err
	}
	batch := out.Bytes()
	binary.BigEndian.PutUint32(batch[offsetLength:], uint32(len(batch)-FrameSize))
	binary.BigEndian.PutUint16(batch[offsetAttributes:], uint16(h.Attributes&(flagLogAppendTime|flagTransactional|flagControl)|int16(codec)))
	setCRC(batch)
	return batch, nil
}

// BuilderOptions describe a batch to build.
type BuilderOptions struct {
	Codec         Codec
	Transactional bool
	Control       bool
	// Producer is the idempotent producer; nil: none.
	Producer *Producer
}

// Producer names an idempotent producer and the sequence number of a batch's first record.
type Producer struct {
	ID       int64
	Epoch    int16
	Sequence int32
}

// Builder makes a batch of records, with offsets from 0 on.
type Builder struct {
	opts  BuilderOptions
	b     []byte
	count int32
	first int64
	max   int64
	body  []byte
}

// NewBuilder starts a batch.
func NewBuilder(opts BuilderOptions) *Builder {
	return &Builder{opts: opts, b: make([]byte, HeaderSize, 512), max: NoTimestamp}
}

// Append adds a record. Key and value may be nil, which is null.
func (w *Builder) Append(ts int64, key, value []byte, headers ...RecordHeader) {
	if w.count == 0 {
		w.first = ts
	}
	w.max = max(w.max, ts)
	body := append(w.body[:0], 0) // attributes
	body = binary.AppendVarint(body, ts-w.first)
	body = binary.AppendVarint(body, int64(w.count))
	body = appendNullable(body, key)
	body = appendNullable(body, value)
	body = binary.AppendVarint(body, int64(len(headers)))
	for _, h := range headers {
		body = binary.AppendVarint(body, int64(len(h.Key)))
		body = append(body, h.Key...)
		body = appendNullable(body, h.Value)
	}
	w.b = binary.AppendVarint(w.b, int64(len(body)))
	w.b = append(w.b, body...)
	w.body = body
	w.count++
}

func appendNullable(b, v []byte) []byte {
	if v == nil {
		return binary.AppendVarint(b, -1)
	}
	return append(binary.AppendVarint(b, int64(len(v))), v...)
}

// Build gives the finished batch. It must have at least one record.
func (w *Builder) Build() []byte {
	if w.count == 0 {
		panic("BUG: a batch without records")
	}
	b, be := w.b, binary.BigEndian
	attributes := int16(0)
	if w.opts.Transactional {
		attributes |= flagTransactional
	}
	if w.opts.Control {
		attributes |= flagControl
	}
	producer := Producer{NoProducerID, -1, NoSequence}
	if w.opts.Producer != nil {
		producer = *w.opts.Producer
	}
	be.PutUint32(b[offsetLength:], uint32(len(b)-FrameSize))
	be.PutUint32(b[offsetLeaderEpoch:], 0xffffffff)
	b[offsetMagic] = Magic
	be.PutUint16(b[offsetAttributes:], uint16(attributes))
	be.PutUint32(b[offsetLastOffsetDelta:], uint32(w.count-1))
	be.PutUint64(b[offsetBaseTimestamp:], uint64(w.first))
	be.PutUint64(b[offsetMaxTimestamp:], uint64(w.max))
	be.PutUint64(b[offsetProducerID:], uint64(producer.ID))
	be.PutUint16(b[offsetProducerEpoch:], uint16(producer.Epoch))
	be.PutUint32(b[offsetBaseSequence:], uint32(producer.Sequence))
	be.PutUint32(b[offsetNumRecords:], uint32(w.count))
	setCRC(b)
	if w.opts.Codec == None {
		return b
	}
	packed, err := Recompress(b, w.opts.Codec, 0)
	if err != nil {
		panic(fmt.Sprintf("BUG: own batch cannot be packed with %s: %v", w.opts.Codec, err))
	}
	return packed
}
