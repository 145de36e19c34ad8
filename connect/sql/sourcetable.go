package sql

import (
	"slices"
	"sync"

	"github.com/weir/weir/connect/sdk"
)

// sourceTable has the options of Confluent's JDBC source.
var sourceTable = sync.OnceValue(func() []sdk.Option {
	return slices.Concat(connectionTable("Database"), []sdk.Option{
		{Name: "table.whitelist", Kind: sdk.ListOption, Default: "", Importance: sdk.Medium, Group: "Database", Order: 11, Width: "LONG", Display: "Table Whitelist",
			Doc: "Tables to read, with their schemas or without; none: all."},
		{Name: "table.blacklist", Kind: sdk.ListOption, Default: "", Importance: sdk.Medium, Group: "Database", Order: 12, Width: "LONG", Display: "Table Blacklist",
			Doc: "Tables to leave out."},
		{Name: "table.include.list", Kind: sdk.ListOption, Default: "", Importance: sdk.Medium, Group: "Database", Order: 13, Width: "LONG", Display: "Table Include List",
			Doc: "Regular expressions of the tables (schema.table; of MySQL database.table) to read."},
		{Name: "table.exclude.list", Kind: sdk.ListOption, Default: "", Importance: sdk.Medium, Group: "Database", Order: 14, Width: "LONG", Display: "Table Exclude List",
			Doc: "Regular expressions of the tables to leave out."},
		{Name: "catalog.pattern", Kind: sdk.StringOption, NoDefault: true, Importance: sdk.Medium, Group: "Database", Order: 15, Width: "SHORT", Display: "Catalog pattern",
			Doc: "Databases of MySQL to look for tables in, as a pattern of LIKE. Without it: that of connection.url."},
		{Name: "schema.pattern", Kind: sdk.StringOption, NoDefault: true, Importance: sdk.High, Group: "Database", Order: 16, Width: "SHORT", Display: "Schema pattern",
			Doc: "Schemas of PostgreSQL to look for tables in, as a pattern of LIKE. Without it: all."},
		{Name: "numeric.precision.mapping", Kind: sdk.BooleanOption, Default: "false", Importance: sdk.Low, Group: "Database", Order: 17, Width: "SHORT", Display: "Map Numeric Values By Precision (deprecated)",
			Doc: "The same as numeric.mapping=precision_only."},
		{Name: "numeric.mapping", Kind: sdk.StringOption, NoDefault: true, Importance: sdk.Low, Group: "Database", Order: 18, Width: "SHORT", Display: "Map Numeric Values, Integral or Decimal, By Precision and Scale",
			Doc:         "What NUMERIC columns of PostgreSQL become: none (Decimal), precision_only (whole numbers if they are), best_fit, best_fit_eager_double (double if there are digits after the point).",
			Recommended: choices("none", "precision_only", "best_fit", "best_fit_eager_double"), Check: sdk.OneOf("none", "precision_only", "best_fit", "best_fit_eager_double")},
		{Name: "mode", Kind: sdk.StringOption, Required: true, Importance: sdk.High, Group: "Mode", Order: 1, Width: "MEDIUM", Display: "Table Loading Mode",
			Doc:         "What is read: bulk (all, each time), incrementing (rows with a higher number), timestamp (rows with a later time, also when they change), or timestamp+incrementing.",
			Recommended: choices("bulk", "timestamp", "incrementing", "timestamp+incrementing"), Check: sdk.OneOf("bulk", "timestamp", "incrementing", "timestamp+incrementing"),
			Dependents: []string{"incrementing.column.name", "timestamp.column.name", "validate.non.null"}},
		{Name: "incrementing.column.name", Kind: sdk.StringOption, Default: "", Importance: sdk.Medium, Group: "Mode", Order: 2, Width: "MEDIUM", Display: "Incrementing Column Name",
			Doc: "Column whose numbers only rise. Empty: the one that the database counts."},
		{Name: "timestamp.column.name", Kind: sdk.ListOption, Default: "", Importance: sdk.Medium, Group: "Mode", Order: 3, Width: "MEDIUM", Display: "Timestamp Column Name",
			Doc: "Columns with the time of the last change; of several the first that is not null counts."},
		{Name: "timestamp.columns.mapping", Kind: sdk.ListOption, Default: "", Importance: sdk.Medium, Group: "Mode", Order: 4, Width: "LONG", Display: "Timestamp Columns Mapping",
			Doc: "Timestamp columns of the tables that match: regex:[column|column],regex:[column]."},
		{Name: "incrementing.column.mapping", Kind: sdk.ListOption, Default: "", Importance: sdk.Medium, Group: "Mode", Order: 5, Width: "LONG", Display: "Incrementing Column Mapping",
			Doc: "Incrementing columns of the tables that match: regex:column,regex:column."},
		{Name: "timestamp.initial", Kind: sdk.LongOption, NoDefault: true, Importance: sdk.Low, Group: "Mode", Order: 6, Width: "MEDIUM", Display: "Unix time value of initial timestamp",
			Doc: "Where to begin, in milliseconds since 1970; -1: now."},
		{Name: "validate.non.null", Kind: sdk.BooleanOption, Default: "true", Importance: sdk.Low, Group: "Mode", Order: 7, Width: "SHORT", Display: "Validate Non Null",
			Doc: "Whether the columns of mode may not be nullable: rows with null would be left out."},
		{Name: "query", Kind: sdk.StringOption, Default: "", Importance: sdk.Medium, Group: "Mode", Order: 8, Width: "SHORT", Display: "Query",
			Doc: "Query to read instead of tables. With a mode other than bulk it is followed by WHERE, so it cannot end in one."},
		{Name: "query.masked", Kind: sdk.PasswordOption, Default: "", Importance: sdk.Medium, Group: "Mode", Order: 9, Width: "SHORT", Display: "Masked Query",
			Doc: "As query, and not shown."},
		{Name: "query.suffix", Kind: sdk.StringOption, Default: "", Importance: sdk.Low, Group: "Mode", Order: 10, Width: "MEDIUM", Display: "Query suffix",
			Doc: "What to put at the end of queries, such as LIMIT 1000."},
		{Name: "transaction.isolation.mode", Kind: sdk.StringOption, Default: "DEFAULT", Importance: sdk.Low, Group: "Mode", Order: 11, Width: "MEDIUM", Display: "Transaction Isolation Mode",
			Doc:         "Isolation of queries.",
			Recommended: choices("DEFAULT", "READ_UNCOMMITTED", "READ_COMMITTED", "REPEATABLE_READ", "SERIALIZABLE"), Check: sdk.OneOf("DEFAULT", "READ_UNCOMMITTED", "READ_COMMITTED", "REPEATABLE_READ", "SERIALIZABLE")},
		{Name: "query.retry.attempts", Kind: sdk.IntOption, Default: "-1", Importance: sdk.Low, Group: "Mode", Order: 12, Width: "MEDIUM", Display: "Query Retry Attempts",
			Doc: "How often a query is tried again after an error that passes, before the task fails, which then starts again by itself; -1: until it succeeds.", Check: sdk.AtLeast(-1)},
		{Name: "timestamp.granularity", Kind: sdk.StringOption, Default: "connect_logical", Importance: sdk.Low, Group: "Connector", Order: 1, Width: "MEDIUM", Display: "Timestamp granularity for timestamp columns",
			Doc:   "What timestamps become: connect_logical (milliseconds), micros_long, micros_string, micros_iso_datetime_string, nanos_long, nanos_string or nanos_iso_datetime_string.",
			Check: sdk.OneOf("connect_logical", "micros_long", "micros_string", "micros_iso_datetime_string", "nanos_long", "nanos_string", "nanos_iso_datetime_string")},
		{Name: "topic.prefix", Kind: sdk.StringOption, Required: true, Importance: sdk.High, Group: "Connector", Order: 2, Width: "MEDIUM", Display: "Topic Prefix",
			Doc: "What topics' names begin with; the table's name follows. Of a query it is the topic."},
		{Name: "poll.interval.ms", Kind: sdk.IntOption, Default: "5000", Importance: sdk.High, Group: "Connector", Order: 3, Width: "SHORT", Display: "Poll Interval (ms)",
			Doc: "How often each table is asked for new rows, in milliseconds."},
		{Name: "batch.max.rows", Kind: sdk.IntOption, Default: "1000", Importance: sdk.Low, Group: "Connector", Order: 4, Width: "SHORT", Display: "Max Rows Per Batch",
			Doc: "Most rows that are handed on at once.", Check: sdk.AtLeast(1)},
		{Name: "max.buffer.size", Kind: sdk.IntOption, Default: "0", Importance: sdk.Low, Group: "Connector", Order: 5, Width: "SHORT", Display: "Max Buffer Size", Doc: "There is no buffer.",
			NoEffect: "there is no buffer: rows are handed on as they come"},
		{Name: "poll.linger.ms", Kind: sdk.LongOption, Default: "5000", Importance: sdk.Low, Group: "Connector", Order: 6, Width: "SHORT", Display: "Poll Linger Milliseconds", Doc: "There is no buffer.",
			NoEffect: "rows are handed on as they come"},
		{Name: "table.monitoring.startup.polling.limit.ms", Kind: sdk.LongOption, Default: "10000", Importance: sdk.Low, Doc: "Tables are looked for before tasks start.",
			NoEffect: "tables are looked for before tasks start", Internal: true},
		{Name: "table.poll.interval.ms", Kind: sdk.LongOption, Default: "60000", Importance: sdk.Low, Group: "Connector", Order: 7, Width: "SHORT", Display: "Metadata Change Monitoring Interval (ms)",
			Doc: "How often to look for tables that come or go, in milliseconds."},
		{Name: "timestamp.delay.interval.ms", Kind: sdk.LongOption, Default: "0", Importance: sdk.High, Group: "Connector", Order: 8, Width: "MEDIUM", Display: "Delay Interval (ms)",
			Doc: "How long to wait after a row's time before it is read, so that transactions that began earlier can end."},
		{Name: "table.types", Kind: sdk.ListOption, Default: "TABLE", Importance: sdk.Low, Group: "Database", Order: 19, Width: "MEDIUM", Display: "Table Types",
			Doc: "Kinds of tables to read: TABLE, PARTITIONED TABLE, VIEW, MATERIALIZED VIEW, FOREIGN TABLE."},
		{Name: tablesOption, Kind: sdk.ListOption, NoDefault: true, Importance: sdk.Low, Doc: "Tables of a task.", Internal: true},
	})
})

// aivenSourceTable has the options of Aiven's.
var aivenSourceTable = sync.OnceValue(func() []sdk.Option {
	return slices.Concat(sourceTable(), aivenTable())
})
