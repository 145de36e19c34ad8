package herder

import (
	"encoding/binary"
	"errors"
	"slices"
)

// The protocols that workers can agree on, the better first. With both, work is moved without stopping the rest; with the first they sign
// their requests to each other.
const (
	Sessioned  = "sessioned"
	Compatible = "compatible"
)

// ProtocolType is the type of Connect's groups.
const ProtocolType = "connect"

// version gives the version of the formats that a protocol has.
func version(protocol string) int16 {
	if protocol == Sessioned {
		return 2
	}
	return 1
}

// Metadata is what a worker tells about itself when it joins.
type Metadata struct {
	URL    string
	Offset int64 // of the config topic, up to which it has read
	Owns   Assignment
	Has    bool // Owns was told
}

// Assignment is what the leader tells a worker, and what a worker tells of what it has.
type Assignment struct {
	// Mismatch asks the worker to read the config topic to its end and join again.
	Mismatch  bool
	Leader    string
	LeaderURL string
	Offset    int64
	Add       Work // of a worker: what it has
	Revoke    Work
	DelayMs   int32 // after which it shall join again; 0: it need not
}

// Encode writes it for a protocol.
func (m Metadata) Encode(protocol string) []byte {
	b := binary.BigEndian.AppendUint16(nil, uint16(version(protocol)))
	b = appendString(b, m.URL)
	b = binary.BigEndian.AppendUint64(b, uint64(m.Offset))
	if !m.Has {
		return binary.BigEndian.AppendUint32(b, 1<<32-1)
	}
	owns := m.Owns.Encode(protocol)
	return append(binary.BigEndian.AppendUint32(b, uint32(len(owns))), owns...)
}

// Encode writes it for a protocol.
func (a Assignment) Encode(protocol string) []byte {
	b := binary.BigEndian.AppendUint16(nil, uint16(version(protocol)))
	code := uint16(0)
	if a.Mismatch {
		code = 1
	}
	b = binary.BigEndian.AppendUint16(b, code)
	b = appendString(b, a.Leader)
	b = appendString(b, a.LeaderURL)
	b = binary.BigEndian.AppendUint64(b, uint64(a.Offset))
	b = appendWork(b, a.Add)
	b = appendWork(b, a.Revoke)
	return binary.BigEndian.AppendUint32(b, uint32(a.DelayMs))
}

func appendString(b []byte, s string) []byte {
	return append(binary.BigEndian.AppendUint16(b, uint16(len(s))), s...)
}

func appendWork(b []byte, w Work) []byte {
	ids := w.Sorted()
	count := len(b)
	b = binary.BigEndian.AppendUint32(b, 0)
	n := uint32(0)
	for len(ids) > 0 {
		end := slices.IndexFunc(ids, func(id ID) bool { return id.Connector != ids[0].Connector })
		if end < 0 {
			end = len(ids)
		}
		b = appendString(b, ids[0].Connector)
		b = binary.BigEndian.AppendUint32(b, uint32(end))
		for _, id := range ids[:end] {
			b = binary.BigEndian.AppendUint32(b, uint32(int32(id.Task)))
		}
		ids = ids[end:]
		n++
	}
	binary.BigEndian.PutUint32(b[count:], n)
	return b
}

var errShort = errors.New("it is cut off")

// reader reads what the encoders write. After an error it gives zero values.
type reader struct {
	b    []byte
	fail bool
}

func (r *reader) take(n int) []byte {
	if r.fail || n < 0 || n > len(r.b) {
		r.fail = true
		return make([]byte, max(0, min(n, 8)))
	}
	out := r.b[:n]
	r.b = r.b[n:]
	return out
}

func (r *reader) int16() int16 { return int16(binary.BigEndian.Uint16(r.take(2))) }
func (r *reader) int32() int32 { return int32(binary.BigEndian.Uint32(r.take(4))) }
func (r *reader) int64() int64 { return int64(binary.BigEndian.Uint64(r.take(8))) }

func (r *reader) string() string {
	n := int(r.int16())
	if r.fail || n < 0 || n > len(r.b) {
		r.fail = true
		return ""
	}
	return string(r.take(n))
}

func (r *reader) work() Work {
	w := Work{}
	for range r.int32() {
		name := r.string()
		for range r.int32() {
			w[ID{name, int(r.int32())}] = true
			if r.fail {
				return Work{}
			}
		}
		if r.fail {
			return Work{}
		}
	}
	return w
}

// DecodeMetadata reads what a worker tells about itself, in any version.
func DecodeMetadata(b []byte) (m Metadata, err error) {
	r := reader{b: b}
	v := r.int16()
	m.URL, m.Offset = r.string(), r.int64()
	if v >= 1 {
		if n := r.int32(); n >= 0 && !r.fail {
			if owns := r.take(int(n)); !r.fail && len(owns) > 0 {
				if m.Owns, err = DecodeAssignment(owns); err != nil {
					return m, err
				}
				m.Has = true
			}
		}
	}
	if r.fail {
		return m, errShort
	}
	return m, nil
}

// DecodeAssignment reads what a leader tells, in any version.
func DecodeAssignment(b []byte) (a Assignment, err error) {
	r := reader{b: b}
	v := r.int16()
	a.Mismatch = r.int16() != 0
	a.Leader, a.LeaderURL, a.Offset = r.string(), r.string(), r.int64()
	a.Add = r.work()
	if a.Revoke = (Work{}); v >= 1 {
		a.Revoke = r.work()
		a.DelayMs = r.int32()
	}
	if r.fail {
		return Assignment{}, errShort
	}
	return a, nil
}
