// Package sql brings rows of a PostgreSQL or MySQL (MariaDB) database into topics by queries, and the records of topics into tables. It takes
// the configurations of the JDBC connectors of Confluent and of Aiven.
//
// The sink makes of the records of a Put some segments: rows of one table with the same columns, of which no two have the same key. What
// is done with a segment is one statement for all of its rows. The source has one query a table, from where the last one ended, and reads
// its answer bit by bit.
package sql

import "github.com/weir/weir/connect/sdk"

// Connectors gives the package's connectors.
func Connectors() []sdk.Connector {
	return []sdk.Connector{sink{}, sink{aiven: true}, source{}, source{aiven: true}}
}

const version = "1.0.0"
