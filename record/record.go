package record

import (
	"encoding/binary"
	"errors"
	"fmt"
)

// Byte positions in a batch, and the size of the header before the records.
const (
	offsetBaseOffset      = 0
	offsetLength          = 8
	offsetLeaderEpoch     = 12
	offsetMagic           = 16
	offsetCRC             = 17
	offsetAttributes      = 21
	offsetLastOffsetDelta = 23
	offsetBaseTimestamp   = 27
	offsetMaxTimestamp    = 35
	offsetProducerID      = 43
	offsetProducerEpoch   = 51
	offsetBaseSequence    = 53
	offsetNumRecords      = 57

	// HeaderSize is the size in bytes of a batch's header, base offset and length included.
	HeaderSize = 61
	// FrameSize is the size of base offset and length, which the length field does not count.
	FrameSize = 12
	// Magic is the only record format that is written since Kafka 4.0.
	Magic = 2
)

// Attributes of a batch.
const (
	codecMask               = 0x07
	flagLogAppendTime       = 0x08
	flagTransactional       = 0x10
	flagControl             = 0x20
	knownAttributes         = 0x7f
	flagDeleteHorizon       = 0x40
	NoProducerID            = -1
	NoSequence              = -1
	NoTimestamp       int64 = -1
)

// Codec is a compression codec as its number on the wire.
type Codec int8

// The codecs of record batches.
const (
	None Codec = iota
	Gzip
	Snappy
	LZ4
	Zstd
)

var codecNames = [...]string{"none", "gzip", "snappy", "lz4", "zstd"}

func (c Codec) String() string {
	if c >= 0 && int(c) < len(codecNames) {
		return codecNames[c]
	}
	return fmt.Sprintf("codec(%d)", int8(c))
}

// Header is the decoded header of a batch.
type Header struct {
	BaseOffset      int64
	Length          int32 // bytes that follow the length field
	LeaderEpoch     int32
	Magic           int8
	CRC             uint32 // CRC32C of everything from Attributes on
	Attributes      int16
	LastOffsetDelta int32
	BaseTimestamp   int64 // ms since the Unix epoch
	MaxTimestamp    int64 // ms since the Unix epoch
	ProducerID      int64 // -1: none
	ProducerEpoch   int16
	BaseSequence    int32 // -1: none
	NumRecords      int32
}

// ErrShort says that there are fewer bytes than a batch needs.
var ErrShort = errors.New("record batch is cut short")

// ParseHeader decodes the header at the start of b. It checks nothing but that the bytes are there.
func ParseHeader(b []byte) (Header, error) {
	if len(b) < HeaderSize {
		return Header{}, ErrShort
	}
	be := binary.BigEndian
	return Header{
		BaseOffset:      int64(be.Uint64(b[offsetBaseOffset:])),
		Length:          int32(be.Uint32(b[offsetLength:])),
		LeaderEpoch:     int32(be.Uint32(b[offsetLeaderEpoch:])),
		Magic:           int8(b[offsetMagic]),
		CRC:             be.Uint32(b[offsetCRC:]),
		Attributes:      int16(be.Uint16(b[offsetAttributes:])),
		LastOffsetDelta: int32(be.Uint32(b[offsetLastOffsetDelta:])),
		BaseTimestamp:   int64(be.Uint64(b[offsetBaseTimestamp:])),
		MaxTimestamp:    int64(be.Uint64(b[offsetMaxTimestamp:])),
		ProducerID:      int64(be.Uint64(b[offsetProducerID:])),
		ProducerEpoch:   int16(be.Uint16(b[offsetProducerEpoch:])),
		BaseSequence:    int32(be.Uint32(b[offsetBaseSequence:])),
		NumRecords:      int32(be.Uint32(b[offsetNumRecords:])),
	}, nil
}

// Size is the whole batch in bytes, base offset and length included.
func (h Header) Size() int { return FrameSize + int(h.Length) }

// NextOffset is the offset after the batch's last record.
func (h Header) NextOffset() int64 { return h.BaseOffset + int64(h.LastOffsetDelta) + 1 }

// LastSequence is the sequence number of the batch's last record; numbers wrap from 2147483647 to 0.
func (h Header) LastSequence() int32 {
	if h.BaseSequence == NoSequence {
		return NoSequence
	}
	return int32((int64(h.BaseSequence) + int64(h.LastOffsetDelta)) & 0x7fffffff)
}

// Codec tells how the records are compressed.
func (h Header) Codec() Codec { return Codec(h.Attributes & codecMask) }

// LogAppendTime tells whether the broker set the time of all records to MaxTimestamp.
func (h Header) LogAppendTime() bool { return h.Attributes&flagLogAppendTime != 0 }

// Transactional tells whether the batch is part of a transaction.
func (h Header) Transactional() bool { return h.Attributes&flagTransactional != 0 }

// Control tells whether the batch holds a transaction marker instead of data.
func (h Header) Control() bool { return h.Attributes&flagControl != 0 }

// HasProducer tells whether an idempotent producer wrote the batch.
func (h Header) HasProducer() bool { return h.ProducerID > NoProducerID }

// Assign writes the two fields that the leader of a partition decides, both outside the CRC.
func Assign(b []byte, baseOffset int64, leaderEpoch int32) {
	binary.BigEndian.PutUint64(b[offsetBaseOffset:], uint64(baseOffset))
	binary.BigEndian.PutUint32(b[offsetLeaderEpoch:], uint32(leaderEpoch))
}
