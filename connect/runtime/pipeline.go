package runtime

import (
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/weir/weir/connect/convert"
	"github.com/weir/weir/connect/sdk"
	"github.com/weir/weir/connect/transform"
)

// stage is what was being done with a record when it failed, by Kafka's names.
type stage string

// The stages.
const (
	stageTransform stage = "TRANSFORMATION"
	stageKey       stage = "KEY_CONVERTER"
	stageValue     stage = "VALUE_CONVERTER"
	stageHeaders   stage = "HEADER_CONVERTER"
	stagePut       stage = "TASK_PUT"
	stageProduce   stage = "KAFKA_PRODUCE"
)

// stageError is a failure of a stage with a record.
type stageError struct {
	stage stage
	class string // what was at work
	err   error
}

func (e *stageError) Error() string { return e.err.Error() }
func (e *stageError) Unwrap() error { return e.err }

// pipeline is what happens to records between connector and topic. It is for one goroutine.
type pipeline struct {
	key, value                       convert.Converter
	header                           convert.HeaderConverter
	chain                            *transform.Chain
	keyClass, valueClass, headerName string
	transformClass                   string
}

// defaultConverter and defaultHeaderConverter are a worker's that says nothing about it.
const (
	defaultConverter       = "org.apache.kafka.connect.json.JsonConverter"
	defaultHeaderConverter = "org.apache.kafka.connect.storage.SimpleHeaderConverter"
)

// newPipeline makes that of a task's configuration. worker has the options of the worker.
func newPipeline(worker, props map[string]string) (*pipeline, error) {
	p := &pipeline{}
	var err error
	var options map[string]string
	p.keyClass, options = converterOptions(worker, props, "key.converter", defaultConverter)
	if p.key, err = convert.New(p.keyClass, options, true); err != nil {
		return nil, err
	}
	p.valueClass, options = converterOptions(worker, props, "value.converter", defaultConverter)
	if p.value, err = convert.New(p.valueClass, options, false); err != nil {
		return nil, err
	}
	p.headerName, options = converterOptions(worker, props, "header.converter", defaultHeaderConverter)
	if p.header, err = convert.NewHeader(p.headerName, options); err != nil {
		return nil, err
	}
	chain, wrong := transform.New(props)
	if len(wrong) > 0 {
		return nil, sdk.Misconfigured("%s", wrong[0].Error())
	}
	p.chain = chain
	p.transformClass = props["transforms."+props["transforms"]+".type"] // if there is but one
	return p, nil
}

// converterOptions gives a converter's class and options. Those of the connector go before the worker's; if they are only options and
// no class, they are for the worker's.
func converterOptions(worker, props map[string]string, name, class string) (string, map[string]string) {
	options := map[string]string{}
	if own, ok := props[name]; ok {
		class = own
	} else {
		if of, ok := worker[name]; ok {
			class = of
		}
		options = under(worker, name+".")
	}
	for k, v := range under(props, name+".") {
		options[k] = v
	}
	delete(options, "plugin.version")
	return class, options
}

// transform gives the record that goes on; nil: none does.
func (p *pipeline) transform(r *sdk.Record) (*sdk.Record, error) {
	out, err := p.chain.Apply(r)
	if err != nil {
		return nil, &stageError{stageTransform, p.transformClass, err}
	}
	return out, nil
}

// encode turns a record of a source into one for a topic. Its bytes are appended to b and its headers to headers, which it gives back.
func (p *pipeline) encode(r *sdk.Record, out *kgo.Record, b []byte, headers []kgo.RecordHeader) ([]byte, []kgo.RecordHeader, error) {
	topic, first := r.Topic, len(headers)
	for i := range r.Headers {
		h := &r.Headers[i]
		value, err := p.header.FromHeader(topic, h.Key, h.Schema, h.Value, b)
		if err != nil {
			return b, headers[:first], &stageError{stageHeaders, p.headerName, err}
		}
		at := kgo.RecordHeader{Key: h.Key}
		at.Value, b = cut(b, value)
		headers = append(headers, at)
	}
	key, err := p.key.From(topic, r.KeySchema, r.Key, b)
	if err != nil {
		return b, headers[:first], &stageError{stageKey, p.keyClass, err}
	}
	keyBytes, b := cut(b, key)
	value, err := p.value.From(topic, r.ValueSchema, r.Value, b)
	if err != nil {
		return b, headers[:first], &stageError{stageValue, p.valueClass, err}
	}
	valueBytes, b := cut(b, value)
	*out = kgo.Record{Topic: topic, Key: keyBytes, Value: valueBytes, Partition: r.Partition, Timestamp: r.Timestamp}
	if len(headers) > first {
		out.Headers = headers[first:len(headers):len(headers)]
	}
	return b, headers, nil
}

// cut gives what was appended to a buffer, and the buffer. appended is nil if there is no value.
func cut(b, appended []byte) (value, buffer []byte) {
	if appended == nil {
		return nil, b
	}
	return appended[len(b):len(appended):len(appended)], appended
}

// decode turns a record of a topic into one for a sink.
func (p *pipeline) decode(in *kgo.Record, out *sdk.Record) error {
	*out = sdk.Record{Topic: in.Topic, Partition: in.Partition, Offset: in.Offset, Timestamp: in.Timestamp, From: sdk.TopicPartition{Topic: in.Topic, Partition: in.Partition}}
	var err error
	if out.KeySchema, out.Key, err = p.key.To(in.Topic, in.Key); err != nil {
		return &stageError{stageKey, p.keyClass, err}
	}
	if out.ValueSchema, out.Value, err = p.value.To(in.Topic, in.Value); err != nil {
		return &stageError{stageValue, p.valueClass, err}
	}
	if len(in.Headers) == 0 {
		return nil
	}
	out.Headers = make([]sdk.Header, len(in.Headers))
	for i, h := range in.Headers {
		to := &out.Headers[i]
		to.Key = h.Key
		if to.Schema, to.Value, err = p.header.ToHeader(in.Topic, h.Key, h.Value); err != nil {
			return &stageError{stageHeaders, p.headerName, err}
		}
	}
	return nil
}
