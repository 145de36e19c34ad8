// Package herder decides what a group of Connect workers does: what the records of the config topic mean (Configs), what those of the
// status topic say (Statuses), which worker runs what (Balancer), and how workers tell each other (Metadata, Assignment). All formats
// are Kafka's, so that workers of Kafka's own Connect can take over from ours, and ours from them.
//
// Nothing here has a clock or a connection: package connect feeds it records and answers.
package herder
