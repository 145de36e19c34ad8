package sql

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/weir/weir/connect/sdk"
)

// sink is the connector. Aiven's has some options more.
type sink struct{ aiven bool }

// Info implements sdk.Connector.
func (s sink) Info() sdk.Info {
	i := sdk.Info{Class: "io.confluent.connect.jdbc.JdbcSinkConnector", Aliases: []string{"JdbcSinkConnector", "SqlSink"}, Version: version,
		Doc: "Writes records to tables of PostgreSQL, MySQL and MariaDB: inserts, upserts, updates and deletes."}
	if s.aiven {
		i.Class, i.Aliases = "io.aiven.connect.jdbc.JdbcSinkConnector", nil
	}
	return i
}

// Options implements sdk.Connector.
func (s sink) Options() []sdk.Option {
	if s.aiven {
		return aivenSinkTable()
	}
	return sinkTable()
}

// NewTask implements sdk.Sink.
func (s sink) NewTask() sdk.SinkTask { return &sinkTask{} }

// Validate implements sdk.Validator: it checks the options together and, if they are right, whether the database can be reached.
func (s sink) Validate(ctx context.Context, v sdk.Values) []sdk.OptionError {
	o, wrong := parseSink(v)
	if len(wrong) > 0 {
		return wrong
	}
	ctx, cancel := context.WithTimeout(ctx, connectIn)
	defer cancel()
	session, err := o.target.connect(ctx, o.zone, o.dates, o.neverQuote)
	if err != nil {
		return []sdk.OptionError{{Option: "connection.url", Err: o.target.explain(err)}}
	}
	session.close()
	return nil
}

// sinkOptions are a sink's, ready to use.
type sinkOptions struct {
	target      *target
	mode        string // insert, upsert, update
	pkMode      string
	pkFields    []string
	whitelist   []string
	stampFields []string
	nanos       bool
	tableFormat string
	tables      map[string]string // of topics
	normalize   bool
	valueColumn string
	create      bool
	evolve      bool
	deletes     bool
	defaults    bool // replace null
	neverQuote  bool
	most        int      // rows of a statement; 0: as many as there are
	types       []string // of tables that may be written to; none: all
	retries     retries
	zone, dates *time.Location
}

func parseSink(v sdk.Values) (*sinkOptions, []sdk.OptionError) {
	var wrong []sdk.OptionError
	bad := func(option string, err error) {
		wrong = append(wrong, sdk.OptionError{Option: option, Err: err})
	}
	o := &sinkOptions{
		mode: strings.ToLower(v.String("insert.mode")), pkMode: strings.ToLower(v.String("pk.mode")), pkFields: v.List("pk.fields"),
		whitelist: v.List("fields.whitelist"), stampFields: v.List("timestamp.fields.list"), nanos: strings.EqualFold(v.String("timestamp.precision.mode"), "nanoseconds"),
		tableFormat: v.String("table.name.format"), normalize: v.Bool("table.name.normalize"), valueColumn: v.String("string.output.value.column.name"),
		create: v.Bool("auto.create"), evolve: v.Bool("auto.evolve"), deletes: v.Bool("delete.enabled"), tables: map[string]string{},
		defaults: true, neverQuote: neverQuotes(v), retries: retriesOf(v, "max.retries", "retry.backoff.ms"),
	}
	if on, set := v.Value("replace.null.with.default"); set {
		o.defaults = on == true
	}
	if o.valueColumn == "" {
		o.valueColumn = "record_value"
	}
	if v.Has("table.types") {
		for _, typ := range nonEmpty(v.List("table.types")) {
			o.types = append(o.types, strings.ToUpper(typ))
		}
	}
	if v.Has("batch.size") {
		o.most = int(v.Int("batch.size"))
	}
	for _, pair := range v.List("topics.to.tables.mapping") {
		topic, table, ok := strings.Cut(pair, ":")
		if !ok {
			bad("topics.to.tables.mapping", fmt.Errorf("Invalid value %s: write it as topic:table", pair))
		}
		o.tables[topic] = table
	}
	var err error
	if o.target, err = targetOf(v); err != nil {
		bad("connection.url", err)
	}
	if o.zone, err = zone(v.String("db.timezone")); err != nil {
		bad("db.timezone", err)
	}
	if o.dates = o.zone; strings.EqualFold(v.String("date.timezone"), "utc") {
		o.dates = time.UTC
	}
	switch {
	case o.deletes && o.pkMode != "record_key":
		bad("delete.enabled", fmt.Errorf("delete.enabled=true needs pk.mode=record_key: the key says what is deleted"))
	case o.mode != "insert" && o.pkMode == "none":
		bad("pk.mode", fmt.Errorf("insert.mode=%s needs a primary key: set pk.mode to record_key, record_value or kafka", o.mode))
	case o.pkMode == "kafka" && len(o.pkFields) != 0 && len(o.pkFields) != 3:
		bad("pk.fields", fmt.Errorf("pk.mode=kafka needs three names in pk.fields (for topic, partition and offset), or none"))
	}
	for _, name := range []string{"pk.fields", "fields.whitelist"} {
		if slices.Contains(v.List(name), "") {
			bad(name, fmt.Errorf("Invalid value %s: it has an empty name", v.Map()[name]))
		}
	}
	return o, wrong
}

// neverQuotes tells whether names in statements are left as they are, as two makers' options say.
func neverQuotes(v sdk.Values) bool {
	quoted, set := v.Value("sql.quote.identifiers")
	return strings.EqualFold(v.String("quote.sql.identifiers"), "never") || set && quoted == false
}

// table gives the table for a topic's records.
func (o *sinkOptions) table(topic string) tableID {
	if name, ok := o.tables[topic]; ok {
		return parseTable(name)
	}
	if o.normalize {
		topic = strings.Map(func(r rune) rune {
			if r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || r == '_' {
				return r
			}
			return '_'
		}, topic)
	}
	return parseTable(strings.ReplaceAll(o.tableFormat, "${topic}", topic))
}

func choices(all ...string) func(sdk.Values) []string {
	return func(sdk.Values) []string { return all }
}
