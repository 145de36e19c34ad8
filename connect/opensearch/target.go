package opensearch

import (
	"bytes"
	"context"
	"fmt"
	"net/url"
	"strings"
	"sync/atomic"

	"github.com/weir/weir/connect/sdk"
)

// target is what the records of a topic are written to: an index, a data stream, or an alias.
type target struct {
	name   string
	quoted []byte // the name as JSON
	number uint64
	ids    string
	as     style
	ready  bool
	gone   atomic.Bool // a server says so
}

// targetsMost is how many targets are remembered; their topics may have names of days or hours.
const targetsMost = 1000

// target gives what a record is for, and sees that it is there.
func (t *task) target(ctx context.Context, r *sdk.Record) (*target, error) {
	to := t.targets[r.Topic]
	if to == nil {
		if len(t.targets) >= targetsMost {
			clear(t.targets)
		}
		var err error
		if to, err = t.newTarget(r.Topic); err != nil {
			return nil, err
		}
		t.targets[r.Topic] = to
	}
	if to.ready && !to.gone.Load() {
		return to, nil
	}
	to.gone.Store(false)
	if err := t.prepare(ctx, to, r.ValueSchema); err != nil {
		return nil, err
	}
	to.ready = true
	return to, nil
}

func (t *task) newTarget(topic string) (*target, error) {
	name, named := t.s.indices[topic]
	switch {
	case named:
	case t.s.external:
		return nil, sdk.Misconfigured("topic.to.external.resource.mapping does not say where the records of the topic %s go: add %s:NAME to it", topic, topic)
	case t.s.stream:
		name = t.s.streams(topic)
	default:
		name = indexName(topic)
	}
	t.made++
	to := &target{name: name, quoted: appendString(nil, name), number: t.made << 32, ids: t.s.idOf(topic)}
	if t.s.ignoreSchema || t.s.ignoreSchemaTopics[topic] {
		to.as = plain
	}
	return to, nil
}

func (to *target) path() string { return "/" + url.PathEscape(to.name) }

// prepare makes what is not there.
func (t *task) prepare(ctx context.Context, to *target, schema *sdk.Schema) error {
	if to.as == plain {
		schema = nil
	}
	if t.s.stream && !t.s.external {
		if err := t.dataStream(ctx, to); err != nil {
			return err
		}
		return t.mapping(ctx, to, schema)
	}
	a, err := t.c.insist(ctx, "HEAD", to.path(), nil)
	switch {
	case err != nil:
		return err
	case a.status == 200:
		return t.mapping(ctx, to, schema)
	case t.s.external:
		return sdk.Misconfigured("there is no %s, and topic.to.external.resource.mapping is about what is there: create it", to.name)
	}
	body := []byte("{}")
	if schema != nil {
		body = append(appendMapping([]byte(`{"mappings":`), schema, t.s.compact), '}')
	}
	if a, err = t.c.insist(ctx, "PUT", to.path(), body); err != nil || a.status == 200 {
		return err
	}
	if w := why(a.body); w.Type != "resource_already_exists_exception" {
		return sdk.Misconfigured("the index %s cannot be created: %v", to.name, w)
	}
	return nil
}

// mapping gives an index that has no mapping one of the schema.
func (t *task) mapping(ctx context.Context, to *target, schema *sdk.Schema) error {
	if schema == nil {
		return nil
	}
	a, err := t.c.insist(ctx, "GET", to.path()+"/_mapping", nil)
	if err != nil {
		return err
	}
	if a.status == 200 && bytes.Contains(a.body, []byte(`"properties":{`)) && !t.s.stream {
		return nil
	}
	a, err = t.c.insist(ctx, "PUT", to.path()+"/_mapping", appendMapping(nil, schema, t.s.compact))
	if err == nil && a.status != 200 {
		// What does not fit the mapping that there is will be told for each record.
		t.log.Warn("the mapping of an index is not that of the records' schema", "index", to.name, "error", why(a.body))
	}
	return err
}

// dataStream makes a data stream, with a template if none is for it.
func (t *task) dataStream(ctx context.Context, to *target) error {
	path := "/_data_stream" + to.path()
	a, err := t.c.insist(ctx, "GET", path, nil)
	if err != nil || a.status == 200 {
		return err
	}
	if name := t.s.template; name != "" {
		a, err := t.c.insist(ctx, "HEAD", "/_index_template/"+url.PathEscape(name), nil)
		if err != nil {
			return err
		}
		if a.status == 404 {
			if err := t.streamTemplate(ctx, to, name); err != nil {
				return err
			}
		}
	}
	if a, err = t.c.insist(ctx, "PUT", path, nil); err != nil || a.status == 200 {
		return err
	}
	w := why(a.body)
	if strings.Contains(w.Reason, "no matching index template") && t.s.template == "" {
		if err := t.streamTemplate(ctx, to, to.name+"-connector-data-stream-template"); err != nil {
			return err
		}
		if a, err = t.c.insist(ctx, "PUT", path, nil); err != nil || a.status == 200 {
			return err
		}
		w = why(a.body)
	}
	if w.Type == "resource_already_exists_exception" {
		return nil
	}
	return sdk.Misconfigured("the data stream %s cannot be created: %v", to.name, w)
}

func (t *task) streamTemplate(ctx context.Context, to *target, name string) error {
	body := append(append([]byte(`{"index_patterns":[`), to.quoted...), `],"priority":200,"data_stream":{`...)
	if t.s.of == aiven && t.s.stamp != timeField {
		body = append(appendString(append(body, `"timestamp_field":{"name":`...), t.s.stamp), '}')
	}
	a, err := t.c.insist(ctx, "PUT", "/_index_template/"+url.PathEscape(name), append(body, "}}"...))
	if err == nil && a.status != 200 {
		err = sdk.Misconfigured("the index template %s cannot be created: %v", name, why(a.body))
	}
	return err
}

// appendMapping appends the mapping of a schema.
func appendMapping(dst []byte, s *sdk.Schema, compact bool) []byte {
	switch s.Name {
	case sdk.LogicalDecimal:
		return append(dst, `{"type":"double"}`...)
	case sdk.LogicalDate, sdk.LogicalTime, sdk.LogicalTimestamp:
		return append(dst, `{"type":"date"}`...)
	}
	switch s.Type {
	case sdk.Array:
		return appendMapping(dst, s.Elem, compact)
	case sdk.Map:
		if compact && (s.Key == nil || s.Key.Type == sdk.String) {
			return append(dst, `{"type":"object"}`...)
		}
		dst = appendMapping(append(dst, `{"properties":{"key":`...), s.Key, compact)
		return append(appendMapping(append(dst, `,"value":`...), s.Elem, compact), "}}"...)
	case sdk.Structure:
		dst = append(dst, `{"properties":{`...)
		for i, f := range s.Fields {
			if i > 0 {
				dst = append(dst, ',')
			}
			dst = appendMapping(append(appendString(dst, f.Name), ':'), f.Schema, compact)
		}
		return append(dst, "}}"...)
	case sdk.String:
		return append(dst, `{"type":"text","fields":{"keyword":{"type":"keyword","ignore_above":256}}}`...)
	}
	return fmt.Appendf(dst, `{"type":%q}`, mappedTypes[s.Type])
}

var mappedTypes = map[sdk.Type]string{sdk.Boolean: "boolean", sdk.Int8: "byte", sdk.Int16: "short", sdk.Int32: "integer", sdk.Int64: "long",
	sdk.Float32: "float", sdk.Float64: "double", sdk.Bytes: "binary"}
