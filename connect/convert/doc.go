// Package convert turns the keys, values and headers of records into bytes and back, as Kafka Connect's converters do: JSON with and
// without schemas, text, bytes, numbers, and Avro, JSON Schema and Protobuf with a schema registry. They are chosen by the class names
// that Kafka's and Confluent's have, and take their options, so that a worker's or connector's configuration means the same here.
//
// Writing appends to a buffer of the caller. What depends on the schema alone (its text, the names of fields) is made once for each
// schema, by its address, and kept.
package convert
