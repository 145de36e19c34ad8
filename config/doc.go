// Package config knows every option: of brokers, topics and groups. The tables are broker.tsv, topic.tsv and group.tsv,
// with a line an option; docs/configuration.md and the answers of DescribeConfigs are made from them.
//
// Names, types and meanings are Kafka's. Options of Kafka that mean nothing here are known, so that a server.properties
// starts as it is, and named in a note.
package config
