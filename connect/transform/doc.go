// Package transform has Kafka Connect's single message transforms and predicates, and Debezium's ExtractNewRecordState: what a
// connector's options transforms and predicates make of each record, with Kafka's names, options and errors.
//
// A chain is a pure function of a record. Schemas that a transform changes are made once for each schema that comes, by its address.
package transform
