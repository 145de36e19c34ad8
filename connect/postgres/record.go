package postgres

import (
	"encoding/base64"
	"encoding/hex"
	"strconv"
	"time"

	"github.com/weir/weir/connect/sdk"
)

// version is told in records' sources: the version of Debezium whose format they have.
const version = "3.7.0.Final"

const snapshotStates = "true,first,first_in_data_collection,last_in_data_collection,last,false,incremental"

// transactionBlock says which place a record has in its transaction.
var transactionBlock = func() *sdk.Schema {
	s := sdk.NewStructure("event.block",
		sdk.Field{Name: "id", Schema: sdk.StringSchema},
		sdk.Field{Name: "total_order", Schema: sdk.Int64Schema},
		sdk.Field{Name: "data_collection_order", Schema: sdk.Int64Schema})
	s.Optional, s.Version = true, 1
	return s
}()

// Places in the source's structure.
const (
	sourceVersion = iota
	sourceConnector
	sourceName
	sourceMillis
	sourceSnapshot
	sourceDB
	sourceSequence
	sourceMicros
	sourceNanos
	sourceSchemaName
	sourceTable
	sourceTx
	sourceLSN
	sourceXmin
	sourceOrigin
	sourceOriginLSN
)

// sourceSchema is that of what records say about where they come from.
func sourceSchema(o *options) *sdk.Schema {
	state := &sdk.Schema{Type: sdk.String, Optional: true, Name: "io.debezium.data.Enum", Version: 1, Default: "false",
		Params: []sdk.Param{{Name: "allowed", Value: snapshotStates}}}
	s := sdk.NewStructure(o.schemaName("io.debezium.connector.postgresql.Source"),
		sdk.Field{Name: "version", Schema: sdk.StringSchema},
		sdk.Field{Name: "connector", Schema: sdk.StringSchema},
		sdk.Field{Name: "name", Schema: sdk.StringSchema},
		sdk.Field{Name: "ts_ms", Schema: sdk.Int64Schema},
		sdk.Field{Name: "snapshot", Schema: state},
		sdk.Field{Name: "db", Schema: sdk.StringSchema},
		sdk.Field{Name: "sequence", Schema: sdk.OptionalStringSchema},
		sdk.Field{Name: "ts_us", Schema: sdk.OptionalInt64Schema},
		sdk.Field{Name: "ts_ns", Schema: sdk.OptionalInt64Schema},
		sdk.Field{Name: "schema", Schema: sdk.StringSchema},
		sdk.Field{Name: "table", Schema: sdk.StringSchema},
		sdk.Field{Name: "txId", Schema: sdk.OptionalInt64Schema},
		sdk.Field{Name: "lsn", Schema: sdk.OptionalInt64Schema},
		sdk.Field{Name: "xmin", Schema: sdk.OptionalInt64Schema},
		sdk.Field{Name: "origin", Schema: sdk.OptionalStringSchema},
		sdk.Field{Name: "origin_lsn", Schema: sdk.OptionalInt64Schema})
	s.Version = 1
	return s
}

func versioned(s *sdk.Schema) *sdk.Schema {
	s.Version = 1
	return s
}

// Operations, boxed once.
var (
	opCreate   any = "c"
	opUpdate   any = "u"
	opDelete   any = "d"
	opRead     any = "r"
	opTruncate any = "t"
	opMessage  any = "m"
)

// maker makes records. It keeps what many of them say, so that it is made once.
type maker struct {
	o    *options
	slab slab

	version, connector, name, db any
	headers                      []sdk.Header

	// When records are made: taken once for all that arrived together.
	nowMillis, nowMicros, nowNanos any
	now                            time.Time

	// What the source says of the transaction.
	millis, micros, nanos any
	tx                    any // nil: none
	origin, originLSN     any
	sequenceStart         []byte // ["last commit",

	messageKey, messageValue, messageBlock *sdk.Schema
	txKey, txValue, txCollections          *sdk.Schema
	beatKey, beatValue                     *sdk.Schema
}

func newMaker(o *options, c sdk.SourceContext) *maker {
	m := &maker{o: o, version: version, connector: "postgresql", name: o.prefix, db: o.database}
	if o.contextHeaders {
		for _, h := range [][2]string{{"connectorLogicalName", o.prefix}, {"taskId", strconv.Itoa(c.Task())}, {"connectorName", "postgresql"}, {"runId", c.Run()}} {
			m.headers = append(m.headers, sdk.Header{Key: "__debezium.context." + h[0], Schema: sdk.StringSchema, Value: h[1]})
		}
	}
	content := sdk.OptionalBytesSchema
	if o.binary != "bytes" {
		content = sdk.OptionalStringSchema
	}
	name := func(s string) string { return o.schemaName(s) }
	m.messageKey = versioned(sdk.NewStructure(name("io.debezium.connector.postgresql.MessageKey"), sdk.Field{Name: "prefix", Schema: sdk.OptionalStringSchema}))
	m.messageBlock = versioned(sdk.NewStructure(name("io.debezium.connector.postgresql.Message"),
		sdk.Field{Name: "prefix", Schema: sdk.OptionalStringSchema}, sdk.Field{Name: "content", Schema: content}))
	m.messageValue = versioned(sdk.NewStructure(name("io.debezium.connector.postgresql.MessageValue"),
		sdk.Field{Name: "op", Schema: sdk.StringSchema}, sdk.Field{Name: "ts_ms", Schema: sdk.OptionalInt64Schema},
		sdk.Field{Name: "source", Schema: o.source}, sdk.Field{Name: "transaction", Schema: transactionBlock}, sdk.Field{Name: "message", Schema: m.messageBlock}))
	m.txKey = versioned(sdk.NewStructure(name("io.debezium.connector.common.TransactionMetadataKey"), sdk.Field{Name: "id", Schema: sdk.StringSchema}))
	m.txCollections = versioned(sdk.NewStructure(name("event.collection"),
		sdk.Field{Name: "data_collection", Schema: sdk.StringSchema}, sdk.Field{Name: "event_count", Schema: sdk.Int64Schema})).AsOptional()
	m.txValue = versioned(sdk.NewStructure(name("io.debezium.connector.common.TransactionMetadataValue"),
		sdk.Field{Name: "status", Schema: sdk.StringSchema}, sdk.Field{Name: "id", Schema: sdk.StringSchema},
		sdk.Field{Name: "event_count", Schema: sdk.OptionalInt64Schema},
		sdk.Field{Name: "data_collections", Schema: sdk.NewArray(m.txCollections).AsOptional()},
		sdk.Field{Name: "ts_ms", Schema: sdk.Int64Schema}))
	m.beatKey = versioned(sdk.NewStructure(name("io.debezium.connector.common.ServerNameKey"), sdk.Field{Name: "serverName", Schema: sdk.StringSchema}))
	m.beatValue = versioned(sdk.NewStructure(name("io.debezium.connector.common.Heartbeat"), sdk.Field{Name: "ts_ms", Schema: sdk.Int64Schema}))
	return m
}

// tick takes the time.
func (m *maker) tick(now time.Time) {
	m.now = now
	m.nowMillis, m.nowMicros, m.nowNanos = now.UnixMilli(), now.UnixMicro(), now.UnixNano()
}

// at sets when what follows happened in the database, in microseconds after 1970.
func (m *maker) at(micros int64) {
	m.millis, m.micros, m.nanos = micros/1000, micros, micros*1000
}

// after sets which commit was the last before what follows; 0: none is known.
func (m *maker) after(commit lsn) {
	if commit == 0 {
		m.sequenceStart = []byte("[null,")
		return
	}
	m.sequenceStart = append(strconv.AppendUint([]byte(`["`), uint64(commit), 10), `",`...)
}

// source says where a record comes from.
func (m *maker) source(t *table, at lsn, state any) *sdk.Struct {
	s := m.slab.structure(m.o.source)
	v := s.Values
	v[sourceVersion], v[sourceConnector], v[sourceName], v[sourceDB] = m.version, m.connector, m.name, m.db
	v[sourceMillis], v[sourceMicros], v[sourceNanos] = m.millis, m.micros, m.nanos
	v[sourceSnapshot] = state
	var text [48]byte
	seq := append(append(text[:0], m.sequenceStart...), '"')
	v[sourceSequence] = m.slab.string(append(strconv.AppendUint(seq, uint64(at), 10), `"]`...))
	if v[sourceSchemaName], v[sourceTable] = "", ""; t != nil {
		v[sourceSchemaName], v[sourceTable] = t.inSchema, t.inTable
	}
	v[sourceTx], v[sourceLSN] = m.tx, m.slab.int64(int64(at))
	v[sourceOrigin], v[sourceOriginLSN] = m.origin, m.originLSN
	return s
}

// Snapshot states, boxed once.
var (
	stateFalse any // its default, "false"
	stateTrue  any = "true"
	stateFirst any = "first"
	stateBegin any = "first_in_data_collection"
	stateEnd   any = "last_in_data_collection"
	stateLast  any = "last"
	stateChunk any = "incremental"
)

// change makes the record of a change. Structures may be nil.
func (m *maker) change(t *table, op any, key, before, after, source, tx *sdk.Struct) *sdk.Record {
	env := m.slab.structure(t.envelope)
	if before != nil {
		env.Values[0] = before
	}
	if after != nil {
		env.Values[1] = after
	}
	env.Values[2] = source
	if tx != nil {
		env.Values[3] = tx
	}
	env.Values[4], env.Values[5], env.Values[6], env.Values[7] = op, m.nowMillis, m.nowMicros, m.nowNanos
	r := m.record(t, key)
	r.ValueSchema, r.Value = t.envelope, env
	return r
}

// record makes a record without a value.
func (m *maker) record(t *table, key *sdk.Struct) *sdk.Record {
	r := m.slab.record()
	r.Topic, r.Partition, r.Headers = t.topic, -1, m.headers[:len(m.headers):len(m.headers)]
	if key != nil {
		r.KeySchema, r.Key = t.key, key
	}
	return r
}

// message makes the record of what pg_logical_emit_message wrote.
func (m *maker) message(msg message, at lsn, tx *sdk.Struct) *sdk.Record {
	var content any
	switch m.o.binary {
	case "base64":
		content = base64.StdEncoding.EncodeToString(msg.content)
	case "base64-url-safe":
		content = base64.URLEncoding.EncodeToString(msg.content)
	case "hex":
		content = hex.EncodeToString(msg.content)
	default:
		content = append([]byte{}, msg.content...)
	}
	value := sdk.NewStruct(m.messageValue)
	value.Values[0], value.Values[1], value.Values[2] = opMessage, m.nowMillis, m.source(nil, at, stateFalse)
	if tx != nil {
		value.Values[3] = tx
	}
	value.Values[4] = &sdk.Struct{Schema: m.messageBlock, Values: []any{msg.prefix, content}}
	return &sdk.Record{Topic: m.o.prefix + ".message", Partition: -1, KeySchema: m.messageKey, Key: &sdk.Struct{Schema: m.messageKey, Values: []any{msg.prefix}},
		ValueSchema: m.messageValue, Value: value}
}

// beat makes a heartbeat.
func (m *maker) beat() *sdk.Record {
	return &sdk.Record{Topic: m.o.heartbeatTopic, Partition: 0, KeySchema: m.beatKey, Key: &sdk.Struct{Schema: m.beatKey, Values: []any{m.o.prefix}},
		ValueSchema: m.beatValue, Value: &sdk.Struct{Schema: m.beatValue, Values: []any{m.now.UnixMilli()}}}
}

// boundary makes the record of a transaction's begin (counts nil) or end.
func (m *maker) boundary(status, id string, counts []tableCount) *sdk.Record {
	value := sdk.NewStruct(m.txValue)
	value.Values[0], value.Values[1], value.Values[4] = status, id, m.millis
	if status == "END" {
		total, list := int64(0), []any{}
		for _, c := range counts {
			total += c.n
			list = append(list, &sdk.Struct{Schema: m.txCollections, Values: []any{c.table, c.n}})
		}
		value.Values[2], value.Values[3] = total, list
	}
	return &sdk.Record{Topic: m.o.transactionTopic, Partition: -1, KeySchema: m.txKey, Key: &sdk.Struct{Schema: m.txKey, Values: []any{id}},
		ValueSchema: m.txValue, Value: value}
}

// tableCount is how many changes of a table a transaction has so far.
type tableCount struct {
	table string
	n     int64
}
