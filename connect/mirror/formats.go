package mirror

import (
	"encoding/binary"
	"fmt"

	"github.com/weir/weir/connect/sdk"
)

// Records of MirrorMaker's topics are Kafka's protocol types one after the other: strings with their length in two bytes, numbers
// big-endian. Values of checkpoints and heartbeats begin with a version, 0.

// offsetSync says that a record of the source and one of the target are the same.
type offsetSync struct {
	sdk.TopicPartition // in the source
	upstream           int64
	downstream         int64
}

func (s *offsetSync) key() []byte {
	return binary.BigEndian.AppendUint32(appendString(nil, s.Topic), uint32(s.Partition))
}

func (s *offsetSync) value() []byte {
	return binary.BigEndian.AppendUint64(binary.BigEndian.AppendUint64(nil, uint64(s.upstream)), uint64(s.downstream))
}

func readSync(key, value []byte) (offsetSync, error) {
	k, v := reader{b: key}, reader{b: value}
	s := offsetSync{sdk.TopicPartition{Topic: k.string(), Partition: k.int32()}, v.int64(), v.int64()}
	return s, wrong("an offset sync", k, v)
}

// groupPartition names a partition of the target, and a group.
type groupPartition struct {
	group string
	sdk.TopicPartition
}

// checkpoint says how far a group is.
type checkpoint struct {
	groupPartition
	upstream   int64
	downstream int64
	metadata   string
}

func (c *checkpoint) key() []byte {
	return binary.BigEndian.AppendUint32(appendString(appendString(nil, c.group), c.Topic), uint32(c.Partition))
}

func (c *checkpoint) value() []byte {
	b := binary.BigEndian.AppendUint64([]byte{0, 0}, uint64(c.upstream))
	return appendString(binary.BigEndian.AppendUint64(b, uint64(c.downstream)), c.metadata)
}

func readCheckpoint(key, value []byte) (checkpoint, error) {
	k, v := reader{b: key}, reader{b: value}
	v.version()
	c := checkpoint{groupPartition{k.string(), sdk.TopicPartition{Topic: k.string(), Partition: k.int32()}}, v.int64(), v.int64(), v.string()}
	return c, wrong("a checkpoint", k, v)
}

// heartbeat says that a mirror from a cluster to another was alive at a time, in milliseconds.
type heartbeat struct {
	source, target string
	at             int64
}

func (h *heartbeat) key() []byte   { return appendString(appendString(nil, h.source), h.target) }
func (h *heartbeat) value() []byte { return binary.BigEndian.AppendUint64([]byte{0, 0}, uint64(h.at)) }

func readHeartbeat(key, value []byte) (heartbeat, error) {
	k, v := reader{b: key}, reader{b: value}
	v.version()
	h := heartbeat{k.string(), k.string(), v.int64()}
	return h, wrong("a heartbeat", k, v)
}

func appendString(b []byte, s string) []byte {
	return append(binary.BigEndian.AppendUint16(b, uint16(len(s))), s...)
}

// reader reads what is in a record. Behind its end are zeros.
type reader struct {
	b   []byte
	bad bool
}

func (r *reader) take(n int) []byte {
	if n < 0 || len(r.b) < n {
		r.bad, r.b = true, nil
		return make([]byte, max(n, 0))
	}
	out := r.b[:n]
	r.b = r.b[n:]
	return out
}

func (r *reader) string() string {
	return string(r.take(int(int16(binary.BigEndian.Uint16(r.take(2))))))
}
func (r *reader) int32() int32 { return int32(binary.BigEndian.Uint32(r.take(4))) }
func (r *reader) int64() int64 { return int64(binary.BigEndian.Uint64(r.take(8))) }

func (r *reader) version() {
	if v := binary.BigEndian.Uint16(r.take(2)); v != 0 {
		r.bad = true
	}
}

func wrong(what string, key, value reader) error {
	if key.bad || value.bad || len(key.b) > 0 || len(value.b) > 0 {
		return fmt.Errorf("a record that should be %s is none that is known", what)
	}
	return nil
}
