package opensearch

import (
	"fmt"
	"hash/maphash"
	"log/slog"
	"strconv"

	"github.com/weir/weir/connect/sdk"
	"github.com/weir/weir/connect/values"
)

// item is what a record has become: lines of a bulk request.
type item struct {
	record    *sdk.Record
	to        *target
	document  uint64 // two with the same number may be for the same document
	from, end int    // in the lane's body
	kind      operation
	versioned bool
	done      bool
}

type operation uint8

const (
	opIndex operation = iota
	opCreate
	opUpdate
	opDelete
)

// opened has the beginnings of lines.
var opened = [...]string{opIndex: `{"index":{"_index":`, opCreate: `{"create":{"_index":`, opUpdate: `{"update":{"_index":`, opDelete: `{"delete":{"_index":`}

// idMost is how many bytes an id may have.
const idMost = 512

// bulk makes items of records and spreads them over lanes.
type bulk struct {
	s     *settings
	w     *writer
	seed  maphash.Seed
	lanes []lane
	used  int    // of the lanes
	id    []byte // of the record that is being added
	stamp []byte
}

func newBulk(s *settings, c *client, log *slog.Logger) *bulk {
	b := &bulk{s: s, w: newWriter(s.compact), seed: maphash.MakeSeed(), lanes: make([]lane, s.requests)}
	for i := range b.lanes {
		b.lanes[i] = lane{number: i, s: s, c: c, log: log}
	}
	return b
}

// laneLeast is for how many records a lane is used, if there are so few.
const laneLeast = 500

// begin makes room for some records.
func (b *bulk) begin(records int) {
	b.used = max(1, min(len(b.lanes), (records+laneLeast-1)/laneLeast))
	for i := range b.lanes[:b.used] {
		b.lanes[i].reset()
	}
}

// add makes lines of a record. A record that is passed over makes none.
func (b *bulk) add(to *target, r *sdk.Record) (err error) {
	kind := opIndex
	switch {
	case r.Value == nil:
		if kind, err = b.tombstone(to, r); err != nil || kind != opDelete {
			return err
		}
	case b.s.upsert:
		kind = opUpdate
	case b.s.stream:
		kind = opCreate
	}
	if b.id, err = appendID(b.id[:0], to.ids, r); err != nil {
		return err
	}
	document := uint64(r.Offset)
	if len(b.id) > 0 {
		document = maphash.Bytes(b.seed, b.id) ^ to.number
	}
	l := &b.lanes[document%uint64(b.used)]
	from := len(l.body)
	// Upserts count versions up by themselves, so that a tombstone's offset could be lower.
	versioned := to.ids == byKey && !b.s.stream && !b.s.upsert
	body, err := b.lines(l.body, to, r, kind, versioned)
	if err != nil {
		return err
	}
	l.body = body
	l.items = append(l.items, item{record: r, to: to, document: document, from: from, end: len(body), kind: kind, versioned: versioned})
	return nil
}

// tombstone tells what is to be done about a record without a value: opDelete, or nothing.
func (b *bulk) tombstone(to *target, r *sdk.Record) (operation, error) {
	switch b.s.onNull {
	case "ignore":
		return opIndex, nil
	case "delete":
		if r.Key == nil || to.ids != byKey {
			return opIndex, nil // there is no document that it could be about
		}
		return opDelete, nil
	}
	return opIndex, fmt.Errorf("the record has no value; set behavior.on.null.values to delete or ignore")
}

func (b *bulk) lines(dst []byte, to *target, r *sdk.Record, kind operation, versioned bool) (_ []byte, err error) {
	dst = append(append(dst, opened[kind]...), to.quoted...)
	if len(b.id) > 0 {
		dst = appendString(append(dst, `,"_id":`...), b.id)
	}
	if versioned {
		version, err := b.version(r)
		if err != nil {
			return nil, err
		}
		dst = strconv.AppendInt(append(dst, `,"version":`...), version, 10)
		dst = append(dst, `,"version_type":"external"`...)
	}
	switch kind {
	case opDelete:
		return append(dst, "}}\n"...), nil
	case opUpdate:
		dst = append(dst, `,"retry_on_conflict":3}}`+"\n"+`{"doc":`...)
	default:
		dst = append(dst, "}}\n"...)
	}
	add, err := b.stampOf(r)
	if err != nil {
		return nil, err
	}
	if dst, err = b.w.document(dst, to.as, r.ValueSchema, r.Value, add); err != nil {
		return nil, err
	}
	if kind == opUpdate {
		dst = append(dst, `,"doc_as_upsert":true}`...)
	}
	return append(dst, '\n'), nil
}

// version gives the version that a document gets.
func (b *bulk) version(r *sdk.Record) (int64, error) {
	if b.s.versionHeader == "" {
		return r.Offset, nil
	}
	for i := len(r.Headers) - 1; i >= 0; i-- {
		if h := r.Headers[i]; h.Key == b.s.versionHeader {
			if n, err := strconv.ParseInt(values.JavaString(h.Value), 10, 64); err == nil && n >= 0 {
				return n, nil
			}
			return 0, fmt.Errorf("the header %s (external.version.header) is no whole number", h.Key)
		}
	}
	return 0, fmt.Errorf("the record has no header %s (external.version.header)", b.s.versionHeader)
}

const timeField = "@timestamp"

// stampOf gives the time that a document of a data stream gets, if it has none of its own.
func (b *bulk) stampOf(r *sdk.Record) (stamp, error) {
	if !b.s.stream {
		return stamp{}, nil
	}
	if b.s.of == aiven {
		if _, has := field(r.Value, timeField); has || b.s.stamp != timeField {
			return stamp{}, nil
		}
	}
	for _, name := range b.s.stamps {
		if v, has := field(r.Value, name); has {
			return b.stampAs(r, name, v)
		}
	}
	if len(b.s.stamps) > 0 {
		return stamp{}, nil
	}
	if r.Timestamp.IsZero() {
		return stamp{}, fmt.Errorf("the record has no time for %s; set data.stream.timestamp.field to a field that has one", timeField)
	}
	b.stamp = strconv.AppendInt(b.stamp[:0], r.Timestamp.UnixMilli(), 10)
	return stamp{timeField, b.stamp}, nil
}

func (b *bulk) stampAs(r *sdk.Record, name string, v any) (_ stamp, err error) {
	if name == timeField {
		return stamp{}, nil
	}
	var of *sdk.Schema
	if s, ok := r.Value.(*sdk.Struct); ok {
		of = s.Schema.Fields[s.Schema.Field(name)].Schema
	}
	if b.stamp, err = b.w.value(b.stamp[:0], mapped, of, v); err != nil {
		return stamp{}, fmt.Errorf("field %s: %w", name, err)
	}
	return stamp{timeField, b.stamp}, nil
}

// field gives a field of a value.
func field(value any, name string) (any, bool) {
	switch v := value.(type) {
	case *sdk.Struct:
		if i := v.Schema.Field(name); i >= 0 {
			return v.Values[i], true
		}
	case map[string]any:
		found, ok := v[name]
		return found, ok
	}
	return nil, false
}

// appendID appends a document's id; nothing: the server chooses one.
func appendID(dst []byte, ids string, r *sdk.Record) ([]byte, error) {
	switch ids {
	case byServer:
		return dst, nil
	case byOffset:
		dst = append(append(dst, r.Topic...), '+')
		dst = append(strconv.AppendInt(dst, int64(r.Partition), 10), '+')
		return strconv.AppendInt(dst, r.Offset, 10), nil
	}
	switch k := r.Key.(type) {
	case string:
		dst = append(dst, k...)
	case int64:
		dst = strconv.AppendInt(dst, k, 10)
	case int32:
		dst = strconv.AppendInt(dst, int64(k), 10)
	case int16:
		dst = strconv.AppendInt(dst, int64(k), 10)
	case int8:
		dst = strconv.AppendInt(dst, int64(k), 10)
	case nil:
		return dst, fmt.Errorf("the record has no key to be the document's id; set key.ignore to true to have ids of topic, partition and offset")
	default:
		return dst, fmt.Errorf("a key of the type %s cannot be a document's id; take a field of it with the transform ExtractField$Key, or set key.ignore to true", values.JavaType(values.TypeOf(k)))
	}
	switch {
	case len(dst) == 0:
		return dst, fmt.Errorf("the record's key, which is the document's id, is empty")
	case len(dst) > idMost:
		return dst, fmt.Errorf("the record's key, which is the document's id, has %d bytes, and ids may have %d at most", len(dst), idMost)
	}
	return dst, nil
}
