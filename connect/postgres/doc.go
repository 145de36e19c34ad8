// Package postgres is the source of changes in a PostgreSQL database: a consistent snapshot of the tables, then what logical
// replication (pgoutput) sends. It takes the configurations of Debezium's PostgreSQL connector and gives the same topics, keys,
// envelopes, schemas, headers and offsets.
//
//	wire      a connection whose messages are read as they come, without a goroutine
//	pgoutput  what the messages say; no I/O
//	catalog   tables and types, as the database describes them
//	kind      one column's schema and the function that reads its values, chosen once by type and options
//	table     a table's schemas, and its rows as structures
//	stream    positions in the log: what is skipped after a restart, and what the server may forget
//	task      open → snapshot → stream, as Poll asks
//
// All values come as the text that PostgreSQL prints, in COPY as in the log: then both ways read them with the same functions, and types
// that only have a text form are no exception.
package postgres
