package record

import (
	"encoding/binary"
	"fmt"
	"strings"

	"github.com/twmb/franz-go/pkg/kerr"
)

// Error says why a batch from a client is refused: Kafka's error, a message for the client, and the records to blame.
type Error struct {
	Code    *kerr.Error
	Message string
	Records []RecordError
}

// RecordError blames one record, by its number in the batch.
type RecordError struct {
	Index   int32
	Message string
}

func (e *Error) Error() string { return e.Code.Message + ": " + e.Message }

// Unwrap gives Kafka's error.
func (e *Error) Unwrap() error { return e.Code }

// smallestLength is the least that any format's record takes behind its frame.
const smallestLength = 14

// blamedMax bounds how many records one error names.
const blamedMax = 100

func refuse(code *kerr.Error, format string, args ...any) error {
	return &Error{Code: code, Message: fmt.Sprintf(format, args...)}
}

// Limits are what a topic demands of batches.
type Limits struct {
	MaxBytes int   // largest batch, as sent
	Now      int64 // ms
	// BeforeMax and AfterMax are how far record times may be from Now, in ms. They do not count where the broker sets the
	// times.
	BeforeMax, AfterMax int64
	LogAppendTime       bool
	// KeyRequired refuses records without a key: the topic is compacted.
	KeyRequired bool
	Partition   fmt.Stringer // for messages about them
}

// Validate checks what a client sent as one batch: that it is exactly one, whole, well-formed down to the records, and
// within the limits. A wrong max timestamp in the header is put right in place. Errors are *Error.
func Validate(b []byte, l Limits) (Header, error) {
	h, err := validateHeader(b, l)
	if err != nil {
		return h, err
	}
	records, done, err := unpack(h, b)
	if err != nil {
		return h, refuse(kerr.CorruptMessage, "%v", err)
	}
	defer done()
	newest, err := walk(h, records, l)
	if err != nil {
		return h, err
	}
	if newest != h.MaxTimestamp && !l.LogAppendTime {
		h.MaxTimestamp = newest
		binary.BigEndian.PutUint64(b[offsetMaxTimestamp:], uint64(newest))
		setCRC(b)
	}
	return h, nil
}

func damaged() error {
	return refuse(kerr.CorruptMessage, "the record batch's checksum does not match: it was damaged on the way")
}

func validateHeader(b []byte, l Limits) (Header, error) {
	if len(b) == 0 {
		return Header{}, refuse(kerr.InvalidRecord, "the record set is empty")
	}
	size := len(b) + 1
	if len(b) >= FrameSize {
		length := int32(binary.BigEndian.Uint32(b[offsetLength:]))
		if length < smallestLength {
			return Header{}, refuse(kerr.CorruptMessage, "the record batch claims %d bytes, fewer than one can have", length)
		}
		size = FrameSize + int(length)
	}
	if len(b) > offsetMagic && b[offsetMagic] != Magic {
		if b[offsetMagic] > Magic {
			return Header{}, refuse(kerr.CorruptMessage, "record format %d is not known", b[offsetMagic])
		}
		return Header{}, refuse(kerr.InvalidRecord, "record format %d is no longer written; clients of Kafka 0.11 and newer send format 2", b[offsetMagic])
	}
	if size > len(b) {
		return Header{}, refuse(kerr.InvalidRecord, "the record batch is cut short")
	}
	h, err := ParseHeader(b)
	switch {
	case err != nil || size < HeaderSize || size < len(b) && !CheckCRC(b[:size]):
		return h, damaged()
	case size < len(b):
		return h, refuse(kerr.InvalidRecord, "a produce request must have exactly one record batch per partition")
	case h.BaseOffset != 0:
		return h, refuse(kerr.InvalidRecord, "the base offset of the record batch is %d and must be 0", h.BaseOffset)
	case len(b) > l.MaxBytes:
		return h, refuse(kerr.MessageTooLarge, "the record batch has %d bytes, more than the %d that max.message.bytes allows", len(b), l.MaxBytes)
	case !CheckCRC(b):
		return h, damaged()
	case h.Control():
		return h, refuse(kerr.InvalidRecord, "clients are not allowed to write control records")
	case h.Codec() > Zstd:
		return h, refuse(kerr.InvalidRecord, "unknown compression codec %d", h.Codec())
	case h.NumRecords <= 0 || h.LastOffsetDelta != h.NumRecords-1:
		return h, refuse(kerr.InvalidRecord, "the record batch claims %d records and a last offset delta of %d", h.NumRecords, h.LastOffsetDelta)
	case h.LogAppendTime():
		return h, refuse(kerr.InvalidTimestamp, "a producer must not mark times as the broker's")
	case h.HasProducer() && (h.ProducerEpoch < 0 || h.BaseSequence < 0):
		return h, refuse(kerr.InvalidRecord, "producer id %d comes with epoch %d and sequence %d", h.ProducerID, h.ProducerEpoch, h.BaseSequence)
	case h.Transactional() && !h.HasProducer():
		return h, refuse(kerr.InvalidRecord, "a transactional record batch needs a producer id")
	}
	return h, nil
}

// walk reads every record and gives the newest time.
func walk(h Header, records []byte, l Limits) (newest int64, err error) {
	oldest, latest := int64(-1<<63), int64(1<<63-1)
	if !l.LogAppendTime {
		oldest = l.Now - min(l.BeforeMax, l.Now)
		if l.AfterMax < latest-l.Now {
			latest = l.Now + l.AfterMax
		}
	}
	at := 0
	newest = NoTimestamp
	var blamed []RecordError
	untimely := false
	var r Record
	for i := range h.NumRecords {
		if at = r.parse(records, at); at < 0 || r.Offset != int64(i) {
			return 0, refuse(kerr.InvalidRecord, "record %d of the batch is malformed", i)
		}
		ts := h.BaseTimestamp + r.Timestamp
		newest = max(newest, ts)
		switch {
		case len(blamed) == blamedMax:
		case r.Key == nil && l.KeyRequired:
			blamed = append(blamed, RecordError{i, "Compacted topic cannot accept message without key in topic partition " + fmt.Sprint(l.Partition)})
		case (ts < oldest || ts > latest) && ts != NoTimestamp:
			untimely = true
			blamed = append(blamed, RecordError{i, fmt.Sprintf("Timestamp %d of message with offset %d is out of range. The timestamp should be within [%d, %d]", ts, i, oldest, latest)})
		}
	}
	switch {
	case at < len(records):
		return 0, refuse(kerr.InvalidRecord, "%d bytes follow the last record of the batch", len(records)-at)
	case untimely:
		return 0, &Error{kerr.InvalidTimestamp, "One or more records have been rejected due to invalid timestamp", blamed}
	case blamed != nil:
		return 0, &Error{kerr.InvalidRecord, summary(blamed), blamed}
	}
	return newest, nil
}

// summary says in Kafka's words which records are to blame.
func summary(blamed []RecordError) string {
	var first []string
	for _, r := range blamed[:min(len(blamed), 3)] {
		first = append(first, fmt.Sprintf("RecordError(batchIndex=%d, message='%s')", r.Index, r.Message))
	}
	return fmt.Sprintf("One or more records have been rejected due to %d record errors in total, and only showing the first three errors at most: [%s]", len(blamed), strings.Join(first, ", "))
}
