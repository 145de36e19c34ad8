package log

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"

	"github.com/weir/weir/record"
)

const (
	ownMagic      = 87
	offsetMagic   = 16
	offsetCRC     = 17
	offsetKind    = 21
	frameHeader   = 22 // of our own frames, up to their data
	formatVersion = 1
	headerFrame   = frameHeader + 1 + 16 + 4 + 8
	// frameMax bounds what a frame's length field may claim.
	frameMax = 1 << 30
)

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// Kind tells what an entry of the Raft log is.
type Kind uint8

const (
	segmentHeader Kind = 0
	// Batch is a record batch. It takes offsets. Entries of all other kinds take an index but no offset.
	Batch Kind = 1
)

// Entry is an entry of the Raft log.
type Entry struct {
	Index, Term uint64
	Kind        Kind
	Data        []byte
}

// Identity says whose log it is. It is written into every segment.
type Identity struct {
	TopicID   [16]byte
	Partition int32
}

// IdentityError says that a folder holds another partition's log.
type IdentityError struct {
	File  string
	Found Identity
}

func (e *IdentityError) Error() string {
	return fmt.Sprintf("%s belongs to partition %d of topic id %x, not to this partition", e.File, e.Found.Partition, e.Found.TopicID)
}

// CorruptError says that bytes on disk are not what was written. They are never served.
type CorruptError struct {
	File   string
	Pos    int64 // byte position in the file
	Offset int64 // the offset that should be there
	Reason string
}

func (e *CorruptError) Error() string {
	return fmt.Sprintf("%s is damaged at byte %d (offset %d): %s", e.File, e.Pos, e.Offset, e.Reason)
}

// OutOfRangeError says that an offset is not in the log.
type OutOfRangeError struct{ Offset, Start, End int64 }

func (e *OutOfRangeError) Error() string {
	return fmt.Sprintf("offset %d is outside the log's %d to %d", e.Offset, e.Start, e.End)
}

// ErrCompacted and ErrUnavailable answer questions for entries that are gone, and that are not there yet.
var (
	ErrCompacted   = errors.New("entry is no longer in the log")
	ErrUnavailable = errors.New("entry is not in the log")
)

// frame is the outer layout of what is in a segment.
type frame struct {
	base  int64
	size  int64 // in the file
	epoch int32
	magic int8
	kind  Kind
	next  int64 // the log end offset after it
	max   int64 // newest timestamp, of a batch
}

func (f frame) entry() bool { return f.kind != segmentHeader }

// peekSize is how many bytes parseFrame wants to see.
const peekSize = record.HeaderSize

// parseFrame reads the outer layout at the start of b, which may be shorter than the frame.
func parseFrame(b []byte) (frame, error) {
	if len(b) < frameHeader {
		return frame{}, record.ErrShort
	}
	be := binary.BigEndian
	f := frame{
		base: int64(be.Uint64(b)), size: int64(int32(be.Uint32(b[8:]))) + record.FrameSize,
		epoch: int32(be.Uint32(b[12:])), magic: int8(b[offsetMagic]), max: record.NoTimestamp,
	}
	f.next = f.base
	switch {
	case f.size < frameHeader || f.size > frameMax:
		return f, fmt.Errorf("a frame claims %d bytes", f.size)
	case f.magic == ownMagic:
		f.kind = Kind(b[offsetKind])
	case f.magic == record.Magic:
		h, err := record.ParseHeader(b)
		if err != nil || f.size < record.HeaderSize || h.LastOffsetDelta < 0 {
			return f, errors.New("not a record batch")
		}
		f.kind, f.next, f.max = Batch, h.NextOffset(), h.MaxTimestamp
	default:
		return f, fmt.Errorf("unknown magic %d", f.magic)
	}
	return f, nil
}

// checkFrame checks a whole frame's checksum.
func checkFrame(b []byte) bool {
	sum := binary.BigEndian.Uint32(b[offsetCRC:])
	if b[offsetMagic] == ownMagic {
		return ownCRC(b) == sum
	}
	return record.CRC(b) == sum
}

// ownCRC covers all of a frame of our own but the checksum itself, unlike a batch's, which leaves out what leaders assign.
func ownCRC(b []byte) uint32 {
	return crc32.Update(crc32.Checksum(b[:offsetCRC], castagnoli), castagnoli, b[offsetKind:])
}

func appendOwn(b []byte, base int64, epoch uint64, kind Kind, data []byte) []byte {
	at := len(b)
	b = binary.BigEndian.AppendUint64(b, uint64(base))
	b = binary.BigEndian.AppendUint32(b, uint32(frameHeader+len(data)-record.FrameSize))
	b = binary.BigEndian.AppendUint32(b, uint32(epoch))
	b = append(b, ownMagic, 0, 0, 0, 0, byte(kind))
	b = append(b, data...)
	binary.BigEndian.PutUint32(b[at+offsetCRC:], ownCRC(b[at:]))
	return b
}

func appendHeader(b []byte, base int64, prevTerm uint64, id Identity, firstIndex uint64) []byte {
	data := make([]byte, 0, headerFrame)
	data = append(data, formatVersion)
	data = append(data, id.TopicID[:]...)
	data = binary.BigEndian.AppendUint32(data, uint32(id.Partition))
	data = binary.BigEndian.AppendUint64(data, firstIndex)
	return appendOwn(b, base, prevTerm, segmentHeader, data)
}

// parseHeader reads a segment header's own part.
func parseHeader(b []byte) (version byte, id Identity, firstIndex uint64) {
	d := b[frameHeader:]
	copy(id.TopicID[:], d[1:17])
	id.Partition = int32(binary.BigEndian.Uint32(d[17:]))
	return d[0], id, binary.BigEndian.Uint64(d[21:])
}
