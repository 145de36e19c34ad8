package sql

import (
	"context"
	"fmt"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/weir/weir/connect/sdk"
)

// source is the connector.
type source struct{ aiven bool }

// Info implements sdk.Connector.
func (s source) Info() sdk.Info {
	i := sdk.Info{Class: "io.confluent.connect.jdbc.JdbcSourceConnector", Aliases: []string{"JdbcSourceConnector", "SqlSource"}, Version: version,
		Doc: "Reads new and changed rows of PostgreSQL, MySQL and MariaDB by queries, again and again."}
	if s.aiven {
		i.Class, i.Aliases = "io.aiven.connect.jdbc.JdbcSourceConnector", nil
	}
	return i
}

// Options implements sdk.Connector.
func (s source) Options() []sdk.Option {
	if s.aiven {
		return aivenSourceTable()
	}
	return sourceTable()
}

// NewTask implements sdk.Source.
func (s source) NewTask() sdk.SourceTask { return &sourceTask{} }

// Validate implements sdk.Validator: it checks the options together and, if they are right, whether the database can be reached and has
// the tables.
func (s source) Validate(ctx context.Context, v sdk.Values) []sdk.OptionError {
	o, wrong := parseSource(v)
	if len(wrong) > 0 {
		return wrong
	}
	ctx, cancel := context.WithTimeout(ctx, connectIn)
	defer cancel()
	if _, err := o.find(ctx); err != nil {
		return []sdk.OptionError{{Option: "connection.url", Err: err}}
	}
	return nil
}

// find lists the tables that are to be read.
func (o *sourceOptions) find(ctx context.Context) ([]tableID, error) {
	session, err := o.target.open(ctx, o.isolation)
	if err != nil {
		return nil, o.target.explain(err)
	}
	defer session.close()
	if o.query != "" {
		return nil, nil
	}
	all, err := session.tables(ctx, &o.filter)
	if err != nil {
		return nil, o.target.explain(err)
	}
	return slices.DeleteFunc(all, func(t tableID) bool { return !o.filter.chooses(t) }), nil
}

// Split implements sdk.Splitter: each task gets some of the tables. If there are none there is a task that says so.
func (s source) Split(ctx context.Context, v sdk.Values, most int) ([]map[string]string, error) {
	o, wrong := parseSource(v)
	if len(wrong) > 0 {
		return nil, sdk.Misconfigured("%s: %w", wrong[0].Option, wrong[0].Err)
	}
	if o.query != "" {
		return []map[string]string{{tablesOption: ""}}, nil
	}
	all, err := o.find(ctx)
	if err != nil {
		return nil, err
	}
	tasks := max(1, min(most, len(all)))
	parts := make([]map[string]string, tasks)
	for i := range parts {
		n := (len(all) + tasks - i - 1) / (tasks - i) // the first ones have one more, if it does not come out even
		var names []string
		for _, t := range all[:n] {
			names = append(names, quoter{mark: `"`}.table(t))
		}
		all = all[n:]
		parts[i] = map[string]string{tablesOption: strings.Join(names, ",")}
	}
	return parts, nil
}

// Watch implements sdk.Watcher: it looks for tables that come or go.
func (s source) Watch(ctx context.Context, v sdk.Values, changed func()) error {
	o, wrong := parseSource(v)
	if len(wrong) > 0 || o.query != "" || o.lookEach <= 0 {
		<-ctx.Done()
		return ctx.Err()
	}
	var known []tableID
	first := true
	for {
		if now, err := o.find(ctx); err == nil {
			if !first && !slices.Equal(known, now) {
				changed()
			}
			known, first = now, false
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(o.lookEach):
		}
	}
}

// CheckPositions implements sdk.OffsetChecker.
func (source) CheckPositions(_ sdk.Values, positions []sdk.Position) error {
	for _, p := range positions {
		if p.Partition["table"] == nil && p.Partition["query"] == nil {
			return fmt.Errorf("the partition %v is none of this connector's: it has a table and protocol 1, or a query", p.Partition)
		}
		for name := range p.Offset {
			if _, ok := sdk.Int64Of(p.Offset, name); !ok || name != "incrementing" && name != "timestamp" && name != "timestamp_nanos" {
				return fmt.Errorf("the offset has %s: it may have the whole numbers incrementing, timestamp and timestamp_nanos", name)
			}
		}
	}
	return nil
}

// filter chooses tables.
type filter struct {
	catalog, schema  string // patterns as LIKE has them; "": any
	types            []string
	include, exclude []string // names, with the schema or without
	in, out          []*regexp.Regexp
}

// qualified tells whether tables are named with their schemas.
func (f *filter) qualified() bool {
	return slices.ContainsFunc(f.include, func(s string) bool { return parseTable(s).schema != "" })
}

func (f *filter) chooses(t tableID) bool {
	named := func(s string) bool {
		n := parseTable(s)
		return n.name == t.name && (n.schema == "" || n.schema == t.schema)
	}
	full := t.String()
	matches := func(r *regexp.Regexp) bool { return r.MatchString(full) }
	return (len(f.include) == 0 || slices.ContainsFunc(f.include, named)) && !slices.ContainsFunc(f.exclude, named) &&
		(len(f.in) == 0 || slices.ContainsFunc(f.in, matches)) && !slices.ContainsFunc(f.out, matches)
}

// mapped is an option that says something about the tables whose names match: regex:[a|b].
type mapped struct {
	tables *regexp.Regexp
	names  []string
}

// sourceOptions are a source's, ready to use.
type sourceOptions struct {
	target       *target
	reading      reading
	filter       filter
	incrementing bool
	stamped      bool
	counter      string // incrementing.column.name
	stamps       []string
	counterOf    []mapped
	stampsOf     []mapped
	initial      *time.Time // timestamp.initial
	delay        time.Duration
	query        string
	suffix       string
	prefix       string
	interval     time.Duration
	lookEach     time.Duration
	most         int
	nonNull      bool
	neverQuote   bool
	isolation    string
	retries      retries
}

// tablesOption says which tables a task has. Split sets it.
const tablesOption = "tables"

func parseSource(v sdk.Values) (*sourceOptions, []sdk.OptionError) {
	var wrong []sdk.OptionError
	bad := func(option string, form string, args ...any) {
		wrong = append(wrong, sdk.OptionError{Option: option, Err: fmt.Errorf(form, args...)})
	}
	mode := strings.ToLower(v.String("mode"))
	o := &sourceOptions{
		incrementing: mode == "incrementing" || mode == "timestamp+incrementing", stamped: mode == "timestamp" || mode == "timestamp+incrementing",
		counter: v.String("incrementing.column.name"), stamps: nonEmpty(v.List("timestamp.column.name")), delay: v.Milliseconds("timestamp.delay.interval.ms"),
		query: v.String("query"), suffix: v.String("query.suffix"), prefix: v.String("topic.prefix"), interval: v.Milliseconds("poll.interval.ms"),
		lookEach: v.Milliseconds("table.poll.interval.ms"), most: int(v.Int("batch.max.rows")), nonNull: v.Bool("validate.non.null"), neverQuote: neverQuotes(v),
		isolation: strings.ToUpper(strings.ReplaceAll(v.String("transaction.isolation.mode"), "_", " ")), retries: retriesOf(v, "query.retry.attempts", ""),
	}
	if masked := v.String("query.masked"); masked != "" {
		if o.query != "" {
			bad("query.masked", "query and query.masked are both set: leave one out")
		}
		o.query = masked
	}
	var err error
	if o.target, err = targetOf(v); err != nil {
		bad("connection.url", "%w", err)
	}
	o.reading = reading{mapping: strings.ToLower(v.String("numeric.mapping")), granularity: strings.ToLower(v.String("timestamp.granularity"))}
	if o.reading.mapping == "" && v.Bool("numeric.precision.mapping") {
		o.reading.mapping = "precision_only"
	}
	if o.reading.zone, err = zone(v.String("db.timezone")); err != nil {
		bad("db.timezone", "%w", err)
	}
	o.filter = filter{catalog: v.String("catalog.pattern"), schema: v.String("schema.pattern"), types: v.List("table.types"),
		include: nonEmpty(v.List("table.whitelist")), exclude: nonEmpty(v.List("table.blacklist"))}
	o.filter.in = patterns(v, "table.include.list", bad)
	o.filter.out = patterns(v, "table.exclude.list", bad)
	o.counterOf, o.stampsOf = mappings(v, "incrementing.column.mapping", bad), mappings(v, "timestamp.columns.mapping", bad)
	if ms, set := v.Value("timestamp.initial"); set && v.Has("timestamp.initial") {
		at := time.UnixMilli(ms.(int64))
		o.initial = &at
	}
	chosen := 0
	for _, name := range []string{"table.whitelist", "table.include.list"} {
		if len(nonEmpty(v.List(name))) > 0 {
			chosen++
		}
	}
	switch {
	case o.query != "" && (chosen > 0 || len(o.filter.exclude)+len(o.filter.out) > 0):
		bad("query", "query reads what it says: leave out table.whitelist, table.blacklist, table.include.list and table.exclude.list")
	case chosen > 1:
		bad("table.whitelist", "table.whitelist and table.include.list are both set: leave one out")
	case len(o.filter.include) > 0 && len(o.filter.exclude) > 0:
		bad("table.blacklist", "table.whitelist and table.blacklist are both set: leave one out")
	}
	if o.stamped && len(o.stamps) == 0 && len(o.stampsOf) == 0 {
		bad("timestamp.column.name", "mode=%s needs timestamp.column.name", mode)
	}
	if o.incrementing && o.query != "" && o.counter == "" {
		bad("incrementing.column.name", "mode=%s with a query needs incrementing.column.name", mode)
	}
	return o, wrong
}

func nonEmpty(all []string) []string {
	return slices.DeleteFunc(all, func(s string) bool { return s == "" })
}

func patterns(v sdk.Values, option string, bad func(string, string, ...any)) (out []*regexp.Regexp) {
	for _, text := range nonEmpty(v.List(option)) {
		r, err := regexp.Compile("^(?:" + text + ")$")
		if err != nil {
			bad(option, "Invalid value %s: %w", text, err)
			continue
		}
		out = append(out, r)
	}
	return out
}

// mappings reads regex:[a|b],regex:c.
func mappings(v sdk.Values, option string, bad func(string, string, ...any)) (out []mapped) {
	for _, text := range nonEmpty(v.List(option)) {
		at := strings.LastIndexByte(text, ':')
		if at < 0 {
			bad(option, "Invalid value %s: write it as regex:[column|column]", text)
			continue
		}
		r, err := regexp.Compile("^(?:" + text[:at] + ")$")
		if err != nil {
			bad(option, "Invalid value %s: %w", text, err)
			continue
		}
		out = append(out, mapped{r, strings.Split(strings.Trim(text[at+1:], "[]"), "|")})
	}
	return out
}

func columnsOf(all []mapped, t tableID, otherwise []string) []string {
	for _, m := range all {
		if m.tables.MatchString(t.String()) {
			return m.names
		}
	}
	return otherwise
}
