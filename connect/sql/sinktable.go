package sql

import (
	"slices"
	"sync"

	"github.com/weir/weir/connect/sdk"
)

// sinkTable has the options of Confluent's JDBC sink.
var sinkTable = sync.OnceValue(func() []sdk.Option {
	return slices.Concat(connectionTable("Connection"), []sdk.Option{
		{Name: "insert.mode", Kind: sdk.StringOption, Default: "insert", Importance: sdk.High, Group: "Writes", Order: 1, Width: "MEDIUM", Display: "Insert Mode",
			Doc: "What records do: insert rows, upsert them (insert, or update the row of the same key), or update rows that are there.", Recommended: choices("insert", "upsert", "update"), Check: sdk.OneOf("insert", "upsert", "update")},
		{Name: "batch.size", Kind: sdk.IntOption, Default: "3000", Importance: sdk.Medium, Group: "Writes", Order: 2, Width: "SHORT", Display: "Batch Size",
			Doc: "Most rows of a statement. If it is not set, all records that are there, up to consumer.override.max.poll.records, are one batch.", Check: sdk.AtLeast(0)},
		{Name: "delete.enabled", Kind: sdk.BooleanOption, Default: "false", Importance: sdk.Medium, Group: "Writes", Order: 3, Width: "SHORT", Display: "Enable deletes",
			Doc: "Whether a record without value deletes the row of its key. Needs pk.mode=record_key.", Dependents: []string{"pk.mode"}},
		{Name: "table.types", Kind: sdk.ListOption, Default: "TABLE", Importance: sdk.Low, Group: "Writes", Order: 4, Width: "MEDIUM", Display: "Table Types",
			Doc: "Kinds of tables that may be written to: TABLE, PARTITIONED TABLE, VIEW, FOREIGN TABLE. If it is not set: all that the database lets be written to."},
		{Name: "replace.null.with.default", Kind: sdk.BooleanOption, Default: "true", Importance: sdk.Low, Group: "Writes", Order: 5, Width: "SHORT", Display: "Replace null value with default value",
			Doc: "Whether null becomes the default value that the field's schema has."},
		{Name: "table.name.format", Kind: sdk.StringOption, Default: "${topic}", Importance: sdk.Medium, Group: "Data Mapping", Order: 1, Width: "LONG", Display: "Table Name Format",
			Doc: "Name of the table, in which ${topic} stands for the topic's. With a dot: schema.table."},
		{Name: "pk.mode", Kind: sdk.StringOption, Default: "none", Importance: sdk.High, Group: "Data Mapping", Order: 2, Width: "MEDIUM", Display: "Primary Key Mode",
			Doc: "Where the primary key comes from: none, kafka (topic, partition and offset), record_key or record_value.", Recommended: choices("none", "kafka", "record_key", "record_value"), Check: sdk.OneOf("none", "kafka", "record_key", "record_value")},
		{Name: "pk.fields", Kind: sdk.ListOption, Default: "", Importance: sdk.Medium, Group: "Data Mapping", Order: 3, Width: "LONG", Display: "Primary Key Fields",
			Doc: "Fields of the record's key or value that are the primary key; none: all of them. For a key that is no structure the name of the column; for pk.mode=kafka three columns."},
		{Name: "fields.whitelist", Kind: sdk.ListOption, Default: "", Importance: sdk.Medium, Group: "Data Mapping", Order: 4, Width: "LONG", Display: "Fields Whitelist",
			Doc: "Fields of the value that are written, besides the key; none: all of them."},
		{Name: "date.timezone", Kind: sdk.StringOption, Default: "DB_TIMEZONE", Importance: sdk.Medium, Group: "Data Mapping", Order: 5, Width: "MEDIUM", Display: "Date Time Zone",
			Doc: "In which time zone a Date's day is: DB_TIMEZONE (that of db.timezone) or UTC.", Recommended: choices("DB_TIMEZONE", "UTC"), Check: sdk.OneOf("DB_TIMEZONE", "UTC")},
		{Name: "timestamp.fields.list", Kind: sdk.ListOption, Default: "", Importance: sdk.Medium, Group: "Data Mapping", Order: 6, Width: "LONG", Display: "Timestamp Fields Whitelist",
			Doc: "Fields of the value, whole numbers or texts, that are timestamps."},
		{Name: "timestamp.precision.mode", Kind: sdk.StringOption, Default: "MICROSECONDS", Importance: sdk.Medium, Group: "Data Mapping", Order: 7, Width: "MEDIUM", Display: "Timestamp Precision Mode",
			Doc: "What those of timestamp.fields.list that are numbers count: microseconds or nanoseconds.", Recommended: choices("microseconds", "nanoseconds"), Check: sdk.OneOf("microseconds", "nanoseconds")},
		{Name: "string.output.value.column.name", Kind: sdk.StringOption, Default: "record_value", Importance: sdk.Low, Group: "Data Mapping", Order: 8, Width: "MEDIUM", Display: "String Value Column Name",
			Doc: "Column for values that are texts and not structures."},
		{Name: "auto.create", Kind: sdk.BooleanOption, Default: "false", Importance: sdk.Medium, Group: "DDL Support", Order: 1, Width: "SHORT", Display: "Auto-Create",
			Doc: "Whether tables that are missing are created, as the records' schemas say."},
		{Name: "auto.evolve", Kind: sdk.BooleanOption, Default: "false", Importance: sdk.Medium, Group: "DDL Support", Order: 2, Width: "SHORT", Display: "Auto-Evolve",
			Doc: "Whether columns that are missing are added."},
		{Name: "mssql.use.merge.holdlock", Kind: sdk.BooleanOption, Default: "true", Importance: sdk.Low, Group: "DML Support", Order: 1, Width: "MEDIUM", Display: "SQL Server - Use HOLDLOCK in MERGE",
			Doc: "It is for SQL Server.", NoEffect: "it is for SQL Server"},
		{Name: "max.retries", Kind: sdk.IntOption, Default: "10", Importance: sdk.Medium, Group: "Retries", Order: 1, Width: "SHORT", Display: "Maximum Retries",
			Doc: "How often records are tried again after an error that passes, before the task fails, which then starts again by itself. If it is not set: until they are taken.", Check: sdk.AtLeast(0)},
		{Name: "retry.backoff.ms", Kind: sdk.IntOption, Default: "3000", Importance: sdk.Medium, Group: "Retries", Order: 2, Width: "SHORT", Display: "Retry Backoff (millis)",
			Doc: "How long to wait before each try, in milliseconds. If it is not set: a moment, and longer each time up to 10 seconds.", Check: sdk.AtLeast(0)},
		{Name: "trim.sensitive.log", Kind: sdk.BooleanOption, Default: "false", Importance: sdk.Low, Doc: "Statements are not logged.", NoEffect: "statements and their values are not logged", Internal: true},
	})
})

// aivenSinkTable has the options of Aiven's.
var aivenSinkTable = sync.OnceValue(func() []sdk.Option {
	return slices.Concat(sinkTable(), aivenTable(), []sdk.Option{
		{Name: "table.name.normalize", Kind: sdk.BooleanOption, Default: "false", Importance: sdk.Medium, Group: "Data Mapping", Order: 20, Width: "SHORT", Display: "Table Name Normalize",
			Doc: "Whether characters of topics other than letters, digits and underscores become underscores in tables' names."},
		{Name: "topics.to.tables.mapping", Kind: sdk.ListOption, Default: "", Importance: sdk.Medium, Group: "Data Mapping", Order: 21, Width: "LONG", Display: "Topics To Tables Mapping",
			Doc: "Tables of some topics, as topic:table,topic:table; of others table.name.format says it."},
	})
})
