package sdk

import "time"

// Header is a header of a record, before it is converted.
type Header struct {
	Key    string
	Schema *Schema // nil: none
	Value  any
}

// Record is what converters and transforms work on. A schema may be nil; then the value tells by its Go type what it is (and an object
// is a map[string]any). See Marks for one without anything.
type Record struct {
	Topic       string
	Partition   int32 // -1: not chosen yet
	KeySchema   *Schema
	Key         any
	ValueSchema *Schema
	Value       any
	Timestamp   time.Time // zero: none
	Headers     []Header

	// At is where in the source it comes from; of a record for a sink it is nil.
	At *Position
	// Offset is that in the topic, of a record for a sink.
	Offset int64
	// From is where a record for a sink was read, whatever transforms made of Topic and Partition since.
	From TopicPartition
}

// Marks tells of a record of a source that it has nothing but At. It is not sent: it only says how far the source is, so that this is kept
// where nothing else comes.
func (r *Record) Marks() bool { return r.Topic == "" && r.Key == nil && r.Value == nil }

// Position is a place in a source. Partition names a part of the source with its own order (a file, a table, a shard), Offset the
// place there *after* the record: with it a task begins again. Both are written as JSON; numbers come back as float64 unless
// read by Int64Of. Records of one poll may share a Position.
type Position struct {
	Partition map[string]any
	Offset    map[string]any
}

// TopicPartition names a partition of a topic.
type TopicPartition struct {
	Topic     string
	Partition int32
}

// Int64Of gives a whole number of a partition or an offset, whatever Go type it has.
func Int64Of(m map[string]any, key string) (int64, bool) {
	switch v := m[key].(type) {
	case int64:
		return v, true
	case int32:
		return int64(v), true
	case int:
		return int64(v), true
	case uint64:
		return int64(v), true
	case float64:
		return int64(v), v == float64(int64(v))
	case interface{ Int64() (int64, error) }: // json.Number
		n, err := v.Int64()
		return n, err == nil
	}
	return 0, false
}
