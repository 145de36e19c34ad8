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
	c := cursor{b: r.headers}
	for range r.count {
		key := c.bytes()
		value := c.bytes()
		out = append(out, RecordHeader{string(key), value})
	}
	return out
}

// cursor reads varints and what they measure. Once something is wrong it stays bad.
type cursor struct {
	b   []byte
	bad bool
}

func (c *cursor) varint() int64 {
	if len(c.b) > 0 && c.b[0] < 0x80 { // most are one byte
		v := c.b[0]
		c.b = c.b[1:]
		return int64(v>>1) ^ -int64(v&1)
	}
	v, n := binary.Varint(c.b)
	if n <= 0 {
		c.bad = true
		return 0
	}
	c.b = c.b[n:]
	return v
}

// bytes reads a length and so many bytes; nil for length -1.
func (c *cursor) bytes() []byte {
	n := c.varint()
	if n == -1 {
		return nil
	}
	if c.bad || n < 0 || n > int64(len(c.b)) {
		c.bad = true
		return nil
	}
	out := c.b[:n:n]
	c.b = c.b[n:]
	return out
}

// next reads a record's body. Offset and Timestamp are deltas.
func (c *cursor) next(r *Record) bool {
	size := c.varint()
	if c.bad || size < 1 || size > int64(len(c.b)) {
		c.bad = true
		return false
	}
	body := cursor{b: c.b[1:size]} // attributes are unused
	c.b = c.b[size:]
	r.Timestamp = body.varint()
	r.Offset = body.varint()
	r.Key = body.bytes()
	r.Value = body.bytes()
	n := body.varint()
	if body.bad || n < 0 || n > int64(len(body.b)) {
		c.bad = true
		return false
	}
	r.headers, r.count = body.b, int(n)
	for range n {
		if key := body.bytes(); key == nil {
			body.bad = true
		}
		body.bytes()
	}
	if body.bad || len(body.b) != 0 {
		c.bad = true
		return false
	}
	return true
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
		c := cursor{b: records}
		for i := range h.NumRecords {
			var r Record
			if !c.next(&r) {
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

// MaxTimestampOffset finds the first record with the newest time of a batch.
func MaxTimestampOffset(b []byte) (offset, timestamp int64, err error) {
	offset, timestamp = -1, -1
	for r, err := range Records(b) {
		if err != nil {
			return -1, -1, err
		}
		if r.Timestamp > timestamp {
			offset, timestamp = r.Offset, r.Timestamp
		}
	}
	return offset, timestamp, nil
}
