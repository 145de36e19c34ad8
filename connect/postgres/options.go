package postgres

import (
	"cmp"
	"crypto/md5"
	"crypto/sha1"
	"crypto/sha256"
	"crypto/sha512"
	"encoding/hex"
	"fmt"
	"hash"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"
	"unicode/utf8"

	"github.com/jackc/pgx/v5/pgconn"
	"github.com/weir/weir/connect/sdk"
)

// options are a connector's, ready to use.
type options struct {
	pg *pgconn.Config

	prefix, delimiter string
	bareTopics        bool // topics are named by tables alone, without their schemas
	database          string
	slot, publication string
	autocreate        string
	dropSlot          bool
	failoverSlot      bool
	mismatch          string // what to do where the slot begins later than what was read
	viaRoot           bool
	keepSlot          bool // the slot is moved on by somebody else
	initial           []string
	identities        []identityRule
	snapshotMode      string
	snapshotTables    patterns
	overrides         map[string]string
	delay             time.Duration
	batch             int
	status            time.Duration
	heartbeat         time.Duration
	retryMost         int           // < 0: for ever
	retryWait         time.Duration // < 0: as the runtime thinks fit
	validateIn        time.Duration
	order             string // of the tables of a snapshot, by their rows: disabled, ascending, descending
	heartbeatTopic    string
	heartbeatQuery    string

	tableInclude, tableExclude     patterns
	schemaInclude, schemaExclude   patterns
	columnInclude, columnExclude   patterns
	messageInclude, messageExclude patterns
	messageKeys                    []*regexp.Regexp
	mappers                        []mapper

	binary, decimals, times, hstores, intervals string
	moneyDigits                                 int32
	unknownTypes                                bool
	placeholder                                 string
	onFailure                                   string
	tombstones                                  bool
	skipped                                     string // operations, one letter each
	skipSame                                    bool
	transactions                                bool
	transactionTopic                            string
	contextHeaders                              bool
	schemaName, fieldName                       func(string) string

	signalTable   string
	chunk         int
	deleteWindows bool // a window closes by the deletion of the row that opened it

	source *sdk.Schema
}

// mapper is an option that changes columns.
type mapper struct {
	patterns
	types     bool // the patterns are types'
	propagate bool
	truncate  int // -1: it does not
	hash      bool
	rewrite   func(any) any
}

// identityRule sets a table's replica identity.
type identityRule struct {
	tables *regexp.Regexp
	clause string
}

var (
	maskOption     = lazily(`^column\.mask\.with\.(\d+)\.chars$`)
	truncateOption = lazily(`^column\.truncate\.to\.(\d+)\.chars$`)
	hashOption     = lazily(`^column\.mask\.hash(\.v2)?\.([^.]+)\.with\.salt\.(.+)$`)
	slotName       = lazily(`^[a-z0-9_]{1,63}$`)
	prefixForm     = lazily(`^[A-Za-z0-9._-]+$`)
	topicForm      = lazily(`[^A-Za-z0-9._-]`)
	avroForm       = lazily(`[^A-Za-z0-9_.]`)
)

// lazily compiles a pattern when it is first used: most commands never do.
func lazily(pattern string) func() *regexp.Regexp {
	return sync.OnceValue(func() *regexp.Regexp { return regexp.MustCompile(pattern) })
}

// parseOptions reads options of which Parse found nothing wrong, and finds what it could not.
func parseOptions(v sdk.Values) (*options, []sdk.OptionError) {
	var bad []sdk.OptionError
	fail := func(name, format string, args ...any) {
		bad = append(bad, sdk.OptionError{Option: name, Err: fmt.Errorf("The '%s' value is invalid: %s", name, fmt.Sprintf(format, args...))})
	}
	for _, name := range []string{"database.hostname", "database.user", "database.dbname", "topic.prefix"} {
		if v.String(name) == "" {
			fail(name, "A value is required")
		}
	}
	list := func(name string) patterns {
		p, err := compilePatterns(splitList(v.Map()[name]))
		if err != nil {
			fail(name, "%v", err)
		}
		return p
	}
	o := &options{
		prefix: v.String("topic.prefix"), delimiter: cmp.Or(v.String("topic.delimiter"), "."), database: v.String("database.dbname"),
		slot: v.String("slot.name"), publication: v.String("publication.name"), autocreate: lower(v, "publication.autocreate.mode"),
		dropSlot: v.Bool("slot.drop.on.stop"), failoverSlot: v.Bool("slot.failover"), viaRoot: v.Bool("publish.via.partition.root"),
		mismatch:     lower(v, "offset.mismatch.strategy"),
		bareTopics:   strings.HasSuffix(v.Map()["topic.naming.strategy"], ".DefaultTopicNamingStrategy"),
		keepSlot:     !v.Bool("flush.lsn.source") || strings.EqualFold(v.String("lsn.flush.mode"), "manual"),
		snapshotMode: lower(v, "snapshot.mode"), delay: v.Milliseconds("snapshot.delay.ms"), batch: int(max(v.Int("max.batch.size"), 1)),
		status:    v.Milliseconds("status.update.interval.ms"),
		heartbeat: v.Milliseconds("heartbeat.interval.ms"), heartbeatQuery: v.String("heartbeat.action.query"),
		binary: lower(v, "binary.handling.mode"), decimals: lower(v, "decimal.handling.mode"), times: lower(v, "time.precision.mode"),
		hstores: lower(v, "hstore.handling.mode"), intervals: lower(v, "interval.handling.mode"), moneyDigits: int32(v.Int("money.fraction.digits")),
		unknownTypes: v.Bool("include.unknown.datatypes"), placeholder: v.String("unavailable.value.placeholder"),
		onFailure:  lower(v, "event.converting.failure.handling.mode"),
		tombstones: v.Bool("tombstones.on.delete"), skipSame: v.Bool("skip.messages.without.change"),
		transactions: v.Bool("provide.transaction.metadata"), contextHeaders: v.Bool("extended.headers.enabled"),
		signalTable: v.Map()["signal.data.collection"], chunk: int(max(v.Int("incremental.snapshot.chunk.size"), 1)),
		deleteWindows: lower(v, "incremental.snapshot.watermarking.strategy") == "insert_delete",
		tableInclude:  list("table.include.list"), tableExclude: list("table.exclude.list"),
		schemaInclude: list("schema.include.list"), schemaExclude: list("schema.exclude.list"),
		columnInclude: list("column.include.list"), columnExclude: list("column.exclude.list"),
		messageInclude: list("message.prefix.include.list"), messageExclude: list("message.prefix.exclude.list"),
		snapshotTables: list("snapshot.include.collection.list"),
		overrides:      map[string]string{},
		retryMost:      int(v.Int("errors.max.retries")), retryWait: -1, validateIn: 15 * time.Second, order: lower(v, "snapshot.tables.order.by.row.count"),
	}
	if v.Has("retriable.restart.connector.wait.ms") {
		o.retryWait = v.Milliseconds("retriable.restart.connector.wait.ms")
	}
	if v.Has("connection.validation.timeout.ms") {
		o.validateIn = v.Milliseconds("connection.validation.timeout.ms")
	}
	if o.status <= 0 {
		o.status = 10 * time.Second
	}
	o.heartbeatTopic = cmp.Or(v.String("topic.heartbeat.prefix"), v.String("heartbeat.topics.prefix")) + o.delimiter + o.prefix
	o.transactionTopic = o.prefix + o.delimiter + cmp.Or(v.String("topic.transaction"), "transaction")
	if text := o.placeholder; strings.HasPrefix(text, "hex:") {
		raw, err := hex.DecodeString(text[4:])
		if err != nil {
			fail("unavailable.value.placeholder", "hex: must be followed by hexadecimal digits")
		}
		o.placeholder = string(raw)
	}
	o.schemaName, o.fieldName = adjust(lower(v, "schema.name.adjustment.mode"), true), adjust(lower(v, "field.name.adjustment.mode"), false)
	o.source = sourceSchema(o)

	if o.prefix != "" && !prefixForm().MatchString(o.prefix) {
		fail("topic.prefix", "%s has invalid format (only the underscore, hyphen, dot and alphanumeric characters are allowed)", o.prefix)
	}
	if !slotName().MatchString(o.slot) {
		fail("slot.name", "Valid replication slot name must contain only digits, lowercase characters and underscores with length <= 63")
	}
	for _, pair := range [][2]string{{"table.include.list", "table.exclude.list"}, {"schema.include.list", "schema.exclude.list"},
		{"column.include.list", "column.exclude.list"}, {"message.prefix.include.list", "message.prefix.exclude.list"}} {
		if v.Map()[pair[0]] != "" && v.Map()[pair[1]] != "" {
			fail(pair[1], `"%s" is already specified`, pair[0])
		}
	}
	if v.Has("plugin.name") && lower(v, "plugin.name") == "decoderbufs" {
		fail("plugin.name", "only pgoutput is supported, which every PostgreSQL since 10 has: set plugin.name=pgoutput")
	}
	switch o.snapshotMode {
	case "custom", "configuration_based":
		fail("snapshot.mode", "%s is not supported: choose initial, initial_only, always, when_needed or no_data", o.snapshotMode)
	}
	if o.times == "structured" {
		fail("time.precision.mode", "structured is not supported: choose adaptive, adaptive_time_microseconds, connect, isostring, microseconds or nanoseconds")
	}
	for _, op := range v.List("skipped.operations") {
		switch op {
		case "none":
		case "c", "u", "d", "t", "m":
			o.skipped += op
		default:
			fail("skipped.operations", "it must be none, or some of c, u, d, t")
		}
	}
	for _, entry := range strings.Split(v.String("message.key.columns"), ";") {
		if strings.TrimSpace(entry) == "" {
			continue
		}
		t, columns, ok := strings.Cut(strings.TrimSpace(entry), ":")
		if !ok || t == "" || columns == "" {
			fail("message.key.columns", "%s has an invalid format (expecting '^\\s*([^:]+):([^:,]+(,[^:,]+)*)\\s*$')", entry)
			continue
		}
		for _, c := range strings.Split(columns, ",") {
			re, err := regexp.Compile(`(?i)^(?:` + t + `\.` + strings.TrimSpace(c) + `)$`)
			if err != nil {
				fail("message.key.columns", "%v", err)
				continue
			}
			o.messageKeys = append(o.messageKeys, re)
		}
	}
	for _, entry := range splitList(v.String("replica.identity.autoset.values")) {
		rule, err := parseIdentity(entry)
		if err != nil {
			fail("replica.identity.autoset.values", "%v", err)
		}
		o.identities = append(o.identities, rule)
	}
	for _, name := range splitList(v.Map()["snapshot.select.statement.overrides"]) {
		if o.overrides[name] = v.Map()["snapshot.select.statement.overrides."+name]; o.overrides[name] == "" {
			fail("snapshot.select.statement.overrides", "snapshot.select.statement.overrides.%s is missing", name)
		}
	}
	for _, s := range strings.Split(strings.ReplaceAll(v.String("database.initial.statements"), ";;", "\x00"), ";") {
		if s = strings.TrimSpace(strings.ReplaceAll(s, "\x00", ";")); s != "" {
			o.initial = append(o.initial, s)
		}
	}
	o.mappers = parseMappers(v, fail)
	var err error
	if o.pg, err = connection(v); err != nil {
		fail("database.hostname", "%v", err)
	}
	return o, bad
}

func lower(v sdk.Values, name string) string { return strings.ToLower(v.String(name)) }

// parseMappers reads the options that change columns, in the order in which they count.
func parseMappers(v sdk.Values, fail func(name, format string, args ...any)) []mapper {
	props := v.Map()
	var names []string
	for name := range props {
		names = append(names, name)
	}
	slices.Sort(names)
	var out []mapper
	add := func(name string, m mapper) {
		var err error
		if m.patterns, err = compilePatterns(splitList(props[name])); err != nil {
			fail(name, "%v", err)
		}
		out = append(out, m)
	}
	for _, name := range names {
		if m := truncateOption().FindStringSubmatch(name); m != nil {
			n, _ := strconv.Atoi(m[1]) // digits only
			add(name, mapper{truncate: n, rewrite: func(v any) any { return truncated(v, n) }})
		}
	}
	for _, name := range names {
		if m := maskOption().FindStringSubmatch(name); m != nil {
			n, _ := strconv.Atoi(m[1])
			mask := any(strings.Repeat("*", n))
			add(name, mapper{truncate: -1, rewrite: func(any) any { return mask }})
		}
	}
	if _, ok := props["column.propagate.source.type"]; ok {
		add("column.propagate.source.type", mapper{truncate: -1, propagate: true})
	}
	if _, ok := props["datatype.propagate.source.type"]; ok {
		add("datatype.propagate.source.type", mapper{truncate: -1, propagate: true, types: true})
	}
	for _, name := range names {
		m := hashOption().FindStringSubmatch(name)
		if m == nil {
			continue
		}
		digest := hashes[strings.ToUpper(m[2])]
		if digest == nil {
			fail(name, "the hash %s is not known: use SHA-256, SHA-384, SHA-512, SHA-1 or MD5", m[2])
			continue
		}
		java := m[1] == ""
		salt := m[3]
		add(name, mapper{truncate: -1, hash: true, rewrite: func(v any) any {
			text, ok := v.(string)
			if !ok {
				return nil
			}
			h := digest()
			h.Write([]byte(salt))
			if java {
				h.Write(javaString(text))
			} else {
				h.Write([]byte(text))
			}
			return hex.EncodeToString(h.Sum(nil))
		}})
	}
	return out
}

var hashes = map[string]func() hash.Hash{"MD5": md5.New, "SHA-1": sha1.New, "SHA-224": sha256.New224, "SHA-256": sha256.New, "SHA-384": sha512.New384, "SHA-512": sha512.New}

// javaString writes a text as Java serializes it: that is what the first version of hashed columns hashes.
func javaString(text string) []byte {
	b := []byte{0xac, 0xed, 0, 5, 't'}
	return append(append(b, byte(len(text)>>8), byte(len(text))), text...)
}

// truncated gives the first characters of a text, or bytes of bytes.
func truncated(v any, n int) any {
	switch v := v.(type) {
	case string:
		if utf8.RuneCountInString(v) > n {
			return string([]rune(v)[:n])
		}
	case []byte:
		if len(v) > n {
			return v[:n]
		}
	}
	return v
}

func parseIdentity(entry string) (identityRule, error) {
	i := strings.LastIndexByte(entry, ':')
	if i < 0 {
		return identityRule{}, fmt.Errorf("%s has no colon: write table:FULL, table:DEFAULT, table:NOTHING or table:INDEX name", entry)
	}
	re, err := regexp.Compile(`(?i)^(?:` + strings.TrimSpace(entry[:i]) + `)$`)
	if err != nil {
		return identityRule{}, err
	}
	clause := strings.TrimSpace(entry[i+1:])
	switch word, index, _ := strings.Cut(clause, " "); strings.ToUpper(word) {
	case "FULL", "DEFAULT", "NOTHING":
		return identityRule{re, strings.ToUpper(word)}, nil
	case "INDEX":
		return identityRule{re, "USING INDEX " + quoteIdent(strings.TrimSpace(index))}, nil
	}
	return identityRule{}, fmt.Errorf("%s is no replica identity: write FULL, DEFAULT, NOTHING or INDEX name", clause)
}

// adjust gives the function that makes names fit for schemas. dots: they may have them.
func adjust(mode string, dots bool) func(string) string {
	each := func(name string, replace, digit func(string) string) string {
		out := avroForm().ReplaceAllStringFunc(name, replace)
		if !dots {
			out = strings.ReplaceAll(out, ".", replace("."))
		}
		if out != "" && out[0] >= '0' && out[0] <= '9' {
			return digit(out[:1]) + out[1:]
		}
		return out
	}
	switch mode {
	case "avro":
		return func(name string) string {
			return each(name, func(string) string { return "_" }, func(c string) string { return "_" + c })
		}
	case "avro_unicode":
		code := func(c string) string {
			if c == "\x00" {
				return "_u005f"
			}
			return fmt.Sprintf("_u%04x", []rune(c)[0])
		}
		return func(name string) string { return each(strings.ReplaceAll(name, "_", "\x00"), code, code) }
	}
	return func(name string) string { return name }
}

// connection gives how to connect. The environment of this process has no say.
func connection(v sdk.Values) (*pgconn.Config, error) {
	mode := cmp.Or(lower(v, "database.sslmode"), "prefer")
	text := fmt.Sprintf("host=%s port=%d user=%s dbname=%s sslmode=%s connect_timeout=10 passfile='' servicefile=''",
		quoteConn(cmp.Or(v.String("database.hostname"), "localhost")), v.Int("database.port"), quoteConn(v.String("database.user")), quoteConn(v.String("database.dbname")), mode)
	for _, name := range []string{"sslcert", "sslkey", "sslrootcert", "sslpassword"} {
		if value := v.String("database." + name); value != "" {
			text += fmt.Sprintf(" %s=%s", name, quoteConn(value))
		}
	}
	c, err := pgconn.ParseConfig(text)
	if err != nil {
		return nil, err
	}
	c.Password = v.String("database.password")
	c.RuntimeParams = map[string]string{"application_name": "Weir", "client_encoding": "UTF8", "DateStyle": "ISO", "IntervalStyle": "postgres",
		"TimeZone": "UTC", "bytea_output": "hex", "extra_float_digits": "1", "lc_monetary": "C"}
	if v.Has("database.query.timeout.ms") {
		c.RuntimeParams["statement_timeout"] = strconv.FormatInt(max(0, v.Int("database.query.timeout.ms")), 10)
	}
	return c, nil
}

func quoteConn(s string) string {
	return `'` + strings.ReplaceAll(strings.ReplaceAll(s, `\`, `\\`), `'`, `\'`) + `'`
}

// topic gives the topic of a table's changes.
func (o *options) topic(t tableName) string {
	name := o.prefix + o.delimiter
	if !o.bareTopics {
		name += t.schema + o.delimiter
	}
	return topicForm().ReplaceAllString(name+t.name, "_")
}

// captures tells whether a table's changes become records.
func (o *options) captures(t tableName) bool {
	id := t.String()
	if id == o.signalTable {
		return chosen(o.tableInclude, o.tableExclude, id)
	}
	return chosen(o.schemaInclude, o.schemaExclude, t.schema) && chosen(o.tableInclude, o.tableExclude, id)
}

// skips tells whether records of an operation are left out.
func (o *options) skips(op string) bool { return strings.Contains(o.skipped, op) }
