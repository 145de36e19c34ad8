package sql

import (
	"github.com/weir/weir/connect/sdk"
	"sync"
)

// connectionTable has the options about the connection that sources and sinks have.
func connectionTable(group string) []sdk.Option {
	return []sdk.Option{
		{Name: "connection.url", Kind: sdk.StringOption, Required: true, Importance: sdk.High, Group: group, Order: 1, Width: "LONG", Display: "JDBC URL",
			Doc: "The database: jdbc:postgresql://host:port/database, jdbc:mysql://host:port/database or jdbc:mariadb://host:port/database, with parameters as the JDBC drivers have them.", Dependents: []string{"table.whitelist", "table.blacklist"},
			Check: func(v sdk.Values, value any) error {
				s, _ := value.(string)
				_, err := parseURL(s)
				return err
			}},
		{Name: "connection.user", Kind: sdk.StringOption, NoDefault: true, Importance: sdk.High, Group: group, Order: 2, Width: "MEDIUM", Display: "JDBC User",
			Doc: "User to connect as."},
		{Name: "connection.password", Kind: sdk.PasswordOption, NoDefault: true, Importance: sdk.High, Group: group, Order: 3, Width: "SHORT", Display: "JDBC Password",
			Doc: "The user's password."},
		{Name: "jdbc.credentials.provider.class", Kind: sdk.ClassOption, Default: "io.confluent.connect.jdbc.util.DefaultJdbcCredentialsProvider", Importance: sdk.Low, Group: group, Order: 4, Width: "LONG", Display: "JDBC Credentials Provider Class",
			Doc: "Classes of Java that give credentials cannot be loaded.", Unsupported: "classes of Java cannot be loaded; set connection.user and connection.password, with a config provider if they are secret"},
		{Name: "connection.attempts", Kind: sdk.IntOption, Default: "3", Importance: sdk.Low, Group: group, Order: 5, Width: "SHORT", Display: "JDBC connection attempts",
			Doc: "How often the database is connected to before the task fails, which then starts again by itself. If it is not set: until it can be reached.", Check: sdk.AtLeast(1)},
		{Name: "connection.backoff.ms", Kind: sdk.LongOption, Default: "10000", Importance: sdk.Low, Group: group, Order: 6, Width: "SHORT", Display: "JDBC connection backoff in milliseconds",
			Doc: "How long to wait before each try, in milliseconds. If it is not set: a moment, and longer each time up to 10 seconds.", Check: sdk.AtLeast(0)},
		{Name: "dialect.name", Kind: sdk.StringOption, Default: "", Importance: sdk.Low, Group: group, Order: 7, Width: "LONG", Display: "Database Dialect",
			Doc: "Kind of database; not needed, connection.url says it.", Recommended: choices("", "MySqlDatabaseDialect", "PostgreSqlDatabaseDialect"),
			Check: sdk.OneOf("", "MySqlDatabaseDialect", "PostgreSqlDatabaseDialect")},
		{Name: "db.timezone", Kind: sdk.StringOption, Default: "UTC", Importance: sdk.Medium, Group: group, Order: 8, Width: "MEDIUM", Display: "DB Time Zone",
			Doc: "Time zone of columns that have none.", Check: checkZone},
		{Name: "date.calendar.system", Kind: sdk.StringOption, Default: "LEGACY", Importance: sdk.Low, Group: group, Order: 9, Width: "MEDIUM", Display: "Date Calendar System",
			Doc: "The Gregorian calendar is used for all dates, also those before 1582.", NoEffect: "the Gregorian calendar is used for all dates, also those before 1582", Recommended: choices("LEGACY", "PROLEPTIC_GREGORIAN"), Check: sdk.OneOf("LEGACY", "PROLEPTIC_GREGORIAN")},
		{Name: "quote.sql.identifiers", Kind: sdk.StringOption, Default: "ALWAYS", Importance: sdk.Medium, Group: group, Order: 10, Width: "MEDIUM", Display: "Quote Identifiers",
			Doc: "Whether the names of tables and columns are quoted in statements: always or never.", Recommended: choices("always", "never"), Check: sdk.OneOf("always", "never")},
	}
}

func checkZone(_ sdk.Values, value any) error {
	s, _ := value.(string)
	_, err := zone(s)
	return err
}

// aivenTable has what is called otherwise, or is only there, in Aiven's connectors.
var aivenTable = sync.OnceValue(func() []sdk.Option {
	return []sdk.Option{
		{Name: "sql.quote.identifiers", Kind: sdk.BooleanOption, Default: "true", Importance: sdk.Medium, Group: "Connection", Order: 20, Width: "MEDIUM", Display: "Quote SQL Identifiers",
			Doc: "Whether the names of tables and columns are quoted in statements."},
	}
})
