package cli

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"time"
	"unicode/utf8"

	"github.com/twmb/franz-go/pkg/kgo"
)

// jsonLines makes a record of every line, a JSON object as consume prints it.
type jsonLines struct{ *lines }

// limit allows a line what a record of so many bytes may need: every byte as \u00XX, and the names around it.
func (j *jsonLines) limit(bytesMax int) { j.lines.limit(6*bytesMax + 64<<10) }

func (j *jsonLines) next() (*kgo.Record, error) {
	for {
		line, err := j.line()
		if err != nil {
			return nil, err
		}
		if len(bytes.TrimSpace(line)) == 0 {
			continue
		}
		r, err := parseJSONRecord(line)
		if err != nil {
			return nil, fmt.Errorf("line %d is no record in JSON: %w", j.number, err)
		}
		return r, nil
	}
}

// jsonInput is a record in JSON as produce takes it: what consume prints, and other JSON for key and values.
type jsonInput struct {
	Topic       json.RawMessage `json:"topic"`        // passed over, as are
	Offset      json.RawMessage `json:"offset"`       // the
	LeaderEpoch json.RawMessage `json:"leader_epoch"` // others
	Partition   *int32          `json:"partition"`
	Timestamp   *int64          `json:"timestamp"`
	Key         json.RawMessage `json:"key"`
	KeyBase64   []byte          `json:"key_base64"`
	Value       json.RawMessage `json:"value"`
	ValueBase64 []byte          `json:"value_base64"`
	Headers     []struct {
		Key         string          `json:"key"`
		Value       json.RawMessage `json:"value"`
		ValueBase64 []byte          `json:"value_base64"`
	} `json:"headers"`
}

func parseJSONRecord(line []byte) (*kgo.Record, error) {
	if !utf8.Valid(line) {
		return nil, errors.New("it is not UTF-8: give bytes as key_base64 and value_base64")
	}
	decoder := json.NewDecoder(bytes.NewReader(line))
	decoder.DisallowUnknownFields() // a name that is spelled wrongly must not be lost
	var in jsonInput
	if err := decoder.Decode(&in); err != nil {
		return nil, err
	}
	if _, err := decoder.Token(); !errors.Is(err, io.EOF) {
		return nil, errors.New("there is something after it")
	}
	r := &kgo.Record{Partition: anyPartition}
	if in.Partition != nil {
		if *in.Partition < 0 {
			return nil, errors.New("partition must be at least 0")
		}
		r.Partition = *in.Partition
	}
	if in.Timestamp != nil && *in.Timestamp != noTimestamp {
		if *in.Timestamp < 0 {
			return nil, errors.New("timestamp must be at least 0")
		}
		r.Timestamp = time.UnixMilli(*in.Timestamp)
	}
	var err error
	if r.Key, err = bytesOfJSON("key", in.Key, in.KeyBase64); err != nil {
		return nil, err
	}
	if r.Value, err = bytesOfJSON("value", in.Value, in.ValueBase64); err != nil {
		return nil, err
	}
	for _, h := range in.Headers {
		value, err := bytesOfJSON("value", h.Value, h.ValueBase64)
		if err != nil {
			return nil, fmt.Errorf("header %q: %w", h.Key, err)
		}
		r.Headers = append(r.Headers, kgo.RecordHeader{Key: h.Key, Value: value})
	}
	return r, nil
}

// noTimestamp is what a record without a timestamp has.
const noTimestamp = -1

// bytesOfJSON gives the bytes that a field means: the text of a string, none of null, and of other JSON itself.
func bytesOfJSON(name string, field json.RawMessage, base64 []byte) ([]byte, error) {
	none := len(field) == 0 || string(field) == "null"
	switch {
	case base64 != nil && !none:
		return nil, fmt.Errorf("it has both %s and %s_base64", name, name)
	case base64 != nil:
		return base64, nil
	case none:
		return nil, nil
	case field[0] != '"':
		var b bytes.Buffer
		err := json.Compact(&b, field)
		return b.Bytes(), err
	}
	text := ""
	err := json.Unmarshal(field, &text)
	return []byte(text), err
}

// namedPartitioner puts a record into the partition that it names; one that names none (anyPartition), by its key.
type namedPartitioner struct{ byKey kgo.Partitioner }

func (p namedPartitioner) ForTopic(topic string) kgo.TopicPartitioner {
	return &namedTopicPartitioner{p.byKey.ForTopic(topic)}
}

type namedTopicPartitioner struct{ kgo.TopicPartitioner }

func (p *namedTopicPartitioner) RequiresConsistency(r *kgo.Record) bool {
	return r.Partition >= 0 || p.TopicPartitioner.RequiresConsistency(r)
}

func (p *namedTopicPartitioner) Partition(r *kgo.Record, partitions int) int {
	if r.Partition >= 0 {
		return int(r.Partition)
	}
	return p.TopicPartitioner.Partition(r, partitions)
}

// OnNewBatch lets records without a key go to another partition from time to time.
func (p *namedTopicPartitioner) OnNewBatch() {
	if sticky, ok := p.TopicPartitioner.(kgo.TopicPartitionerOnNewBatch); ok {
		sticky.OnNewBatch()
	}
}
