package record

import (
	"encoding/binary"
	"fmt"
	"iter"
	"sync"
)

// Record is a view of one record. Key, Value and what Headers gives are slices of the batch, or of a buffer that lives as
// long as the loop's turn.
type Record struct {
	Offset    int64
	Timestamp int64  // ms
	Key       []byte // nil: null
	Value     []byte // nil: null
	headers   []byte
	count     int
}

// RecordHeader is one header of a record.
type RecordHeader struct {
	Key   string
	Value []byte // nil: null
}

// Headers decodes the record's headers.
func (r Record) Headers() []RecordHeader {
	out := make([]RecordHeader, 0, r.count)
	at := 0
	for range r.count {
		var key, value []byte
		key, at = measured(r.headers, at)
		value, at = measured(r.headers, at)
		out = append(out, RecordHeader{string(key), value})
	}
	return out
}

// varint reads a number of b that begins at a position, and gives the position after it: beyond the end of b if there is no
// number. Most numbers are of one byte, and nearly all others of two.
func varint(b []byte, at int) (v int64, next int) {
	if uint(at) < uint(len(b)) {
		low := b[at]
		if low < 0x80 {
			return zigzag(uint64(low)), at + 1
		}
		if uint(at+1) < uint(len(b)) && b[at+1] < 0x80 {
			return zigzag(uint64(low&0x7f) | uint64(b[at+1])<<7), at + 2
		}
	}
	return longVarint(b, at)
}

func zigzag(u uint64) int64 { return int64(u>>1) ^ -int64(u&1) }

func longVarint(b []byte, at int) (v int64, next int) {
	if at < len(b) {
		if v, n := binary.Varint(b[at:]); n > 0 {
			return v, at + n
		}
	}
	return 0, len(b) + 1
}

// measured reads a length and so many bytes; nil for length -1. The position after them is beyond the end of b if they are not
// there.
func measured(b []byte, at int) (out []byte, next int) {
	n, at := varint(b, at)
	if n < 0 || n > int64(len(b)-at) {
		if n == -1 {
			return nil, at
		}
		return nil, len(b) + 1
	}
	next = at + int(n)
	return b[at:next:next], next
}

// short reads a number of one or two bytes, the lowest of u. n is 0 if it has more.
func short(u uint64) (v, n int) {
	if u&0x80 == 0 {
		return int(zigzag(u & 0x7f)), 1
	}
	if u&0x8000 == 0 {
		return int(zigzag(u&0x7f | u>>1&0x3f80)), 2
	}
	return 0, 0
}

// parse reads the record of b that begins at a position, and gives the position after it; -1: it is malformed. Offset and
// Timestamp are deltas. Most records have no headers and short numbers. parse takes half the time of parseAny for them, and
// leaves all others to it.
func (r *Record) parse(b []byte, at int) (next int) {
	const head = 9 // bytes up to the length of the key, at most
	first := at
	if at > len(b)-head {
		return r.parseAny(b, first)
	}
	u := binary.LittleEndian.Uint64(b[at:])
	size, n1 := short(u)
	u >>= 8 * (n1 + 1) & 63 // also the attributes, which are unused
	timestamp, n2 := short(u)
	u >>= 8 * n2 & 63
	offset, n3 := short(u)
	next = at + n1 + size
	at += n1 + 1 + n2 + n3
	key, n4 := short(uint64(binary.LittleEndian.Uint16(b[at:])))
	at += n4
	if n1 == 0 || n2 == 0 || n3 == 0 || n4 == 0 || next > len(b) || key < -1 || at+key > next-2 || at > next-2 {
		return r.parseAny(b, first)
	}
	r.Key = nil
	if key >= 0 {
		r.Key = b[at : at+key : at+key]
		at += key
	}
	value, n5 := short(uint64(binary.LittleEndian.Uint16(b[at:])))
	at += n5
	if n5 == 0 || value < -1 || at+max(value, 0) != next-1 || b[next-1] != 0 {
		return r.parseAny(b, first)
	}
	r.Value = nil
	if value >= 0 {
		r.Value = b[at : next-1 : next-1]
	}
	r.Timestamp, r.Offset, r.headers, r.count = int64(timestamp), int64(offset), nil, 0
	return next
}

func (r *Record) parseAny(b []byte, at int) (next int) {
	size, at := varint(b, at)
	if size < 1 || size > int64(len(b)-at) {
		return -1
	}
	next = at + int(size)
	b, at = b[:next], at+1 // attributes are unused
	r.Timestamp, at = varint(b, at)
	r.Offset, at = varint(b, at)
	r.Key, at = measured(b, at)
	r.Value, at = measured(b, at)
	n, at := varint(b, at)
	if n < 0 || n > int64(len(b)-at) {
		return -1
	}
	r.headers, r.count = b[at:], int(n)
	for range n {
		var key []byte
		if key, at = measured(b, at); key == nil {
			return -1
		}
		_, at = measured(b, at)
	}
	if at != next {
		return -1
	}
	return next
}

// unpack gives a batch's records unpacked, and what to call when they are no longer needed.
func unpack(h Header, b []byte) (records []byte, done func(), err error) {
	if h.Codec() == None {
		return b[HeaderSize:h.Size()], func() {}, nil
	}
	buf := buffers.Get().(*[]byte)
	done = func() {
		if cap(*buf) <= keptBufferMax {
			buffers.Put(buf)
		}
	}
	if *buf, err = decompress((*buf)[:0], h.Codec(), b[HeaderSize:h.Size()]); err != nil {
		done()
		return nil, nil, fmt.Errorf("unpacking %s: %w", h.Codec(), err)
	}
	return *buf, done, nil
}

// buffers are reused to unpack records into.
var buffers = sync.Pool{New: func() any { return new([]byte) }}

// keptBufferMax is the size up to which a buffer goes back to the pool.
const keptBufferMax = 8 << 20

// Records gives the records of one batch, unpacked. An error ends the loop.
func Records(b []byte) iter.Seq2[Record, error] {
	return func(yield func(Record, error) bool) {
		h, err := checkFrame(b)
		if err != nil {
			yield(Record{}, err)
			return
		}
		records, done, err := unpack(h, b)
		if err != nil {
			yield(Record{}, err)
			return
		}
		defer done()
		at := 0
		for i := range h.NumRecords {
			var r Record
			if at = r.parse(records, at); at < 0 {
				yield(Record{}, fmt.Errorf("record %d of the batch at offset %d is malformed", i, h.BaseOffset))
				return
			}
			r.Offset += h.BaseOffset
			if r.Timestamp += h.BaseTimestamp; h.LogAppendTime() {
				r.Timestamp = h.MaxTimestamp
			}
			if !yield(r, nil) {
				return
			}
		}
	}
}

// checkFrame parses the header and checks that the whole batch is there.
func checkFrame(b []byte) (Header, error) {
	h, err := ParseHeader(b)
	if err != nil {
		return h, err
	}
	if h.Magic != Magic || h.Size() < HeaderSize {
		return h, fmt.Errorf("not a record batch: magic %d, length %d", h.Magic, h.Length)
	}
	if h.Size() > len(b) {
		return h, ErrShort
	}
	return h, nil
}

// Batches gives the batches of a run of bytes. A batch that is cut off at the end is left out.
func Batches(run []byte) iter.Seq[[]byte] {
	return func(yield func([]byte) bool) {
		for {
			h, err := checkFrame(run)
			if err != nil || !yield(run[:h.Size():h.Size()]) {
				return
			}
			run = run[h.Size():]
		}
	}
}

// FirstAtOrAfter finds the first record of a batch, from an offset on, that is not older than ts (ms).
func FirstAtOrAfter(b []byte, from, ts int64) (offset, timestamp int64, found bool, err error) {
	for r, err := range Records(b) {
		if err != nil {
			return 0, 0, false, err
		}
		if r.Timestamp >= ts && r.Offset >= from {
			return r.Offset, r.Timestamp, true, nil
		}
	}
	return 0, 0, false, nil
}
