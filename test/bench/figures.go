package main

import (
	"context"
	"fmt"
)

// A column is a broker with a way to make records durable.
type column int

const (
	kafka       column = iota // as it comes: acknowledges before the disk has a record
	kafkaSynced               // flush.messages=1: syncs every batch
	weirSynced                // as it comes: acknowledges when the disk has a record
	weirRelaxed               // durability=relaxed: acknowledges as Kafka does

	kafkaWorker // of Connect, with Debezium
	weirWorker
	columns
)

var columnNames = [columns]string{"Kafka", "Kafka, fsynced", "Weir, fsynced", "Weir, relaxed", "Kafka Connect", "Weir"}

// columnKeys name them in JSON.
var columnKeys = [columns]string{"kafka", "kafka_fsynced", "weir_fsynced", "weir_relaxed", "kafka_connect", "weir_connect"}

// columnConfigs are set in the topics that are made.
var columnConfigs = [columns]string{kafkaSynced: "flush.messages=1", weirRelaxed: "durability=relaxed"}

func (c column) product() product {
	if c <= kafkaSynced {
		return theKafka
	}
	return theWeir
}

// A figure is a row of the table: what is measured, which of its values is shown, and what is aimed for.
type figure struct {
	name    string // for -only
	title   string
	unit    string
	from    *measurement
	value   string // of those that the measurement gives
	columns []column
	base    column // what Weir is compared with
	aim     aim    // for weirSynced, or weirWorker
	relaxed aim    // for weirRelaxed
}

// An aim is met by a value that is at most, or at least, this; a value times the base's if relative.
type aim struct {
	atLeast, relative bool
	limit             float64
}

func times(atMost float64) aim       { return aim{relative: true, limit: atMost} }
func timesAtLeast(least float64) aim { return aim{relative: true, atLeast: true, limit: least} }
func atMost(limit float64) aim       { return aim{limit: limit} }

func (a aim) text(unit string) string {
	if a == (aim{}) {
		return ""
	}
	sign := "≤"
	if a.atLeast {
		sign = "≥"
	}
	if a.relative {
		unit = "×"
	}
	return fmt.Sprintf("%s %s %s", sign, number(a.limit), unit)
}

func (a aim) met(value, base float64) bool {
	if a.relative {
		value /= base
	}
	if a.atLeast {
		return value >= a.limit
	}
	return value <= a.limit
}

var (
	everyColumn = []column{kafka, kafkaSynced, weirSynced, weirRelaxed}
	asTheyCome  = []column{kafka, weirSynced}
	ofThree     = []column{kafka, weirSynced, weirRelaxed} // Kafka with replicas relies on them, not on the disk
)

// A suite is what one run measures.
type suite struct {
	figures  []figure // the table, in the order in which it is printed
	columns  []column // of the table
	nodes    int      // of each cluster
	warmUp   string   // before each load of a full run
	measure  func(*run, context.Context, []figure) error
	versions func(context.Context) (string, error) // of what Weir is measured beside
	place    string                                // of the table in a page
}

// brokers measures them beside Apache Kafka's.
var brokers = suite{columns: everyColumn, nodes: 1, warmUp: "2s", measure: (*run).all, versions: kafkaVersion, place: "the table", figures: []figure{
	{"produce", "produce 1 KB, 12 partitions, acks=all", "MB/s", produce1K, "mb/s", everyColumn, kafka, timesAtLeast(1.3), timesAtLeast(1.8)},
	{"produce", "… broker CPU", "s/GB", produce1K, "cpu/gb", everyColumn, kafka, times(.5), times(.4)},
	{"consume", "consume 1 KB, broker CPU", "s/GB", consume1K, "cpu/gb", asTheyCome, kafka, times(1), aim{}},
	{"lz4", "produce with lz4, broker CPU per uncompressed GB", "s/GB", produceLZ4, "cpu/gb", asTheyCome, kafka, times(.3), aim{}},
	{"zstd", "… with zstd", "s/GB", produceZstd, "cpu/gb", asTheyCome, kafka, times(.3), aim{}},
	{"gzip", "… with gzip", "s/GB", produceGzip, "cpu/gb", asTheyCome, kafka, times(.3), aim{}},
	{"small", "produce 100 B, broker CPU", "s/GB", produce100B, "cpu/gb", asTheyCome, kafka, times(.5), aim{}},
	{"requests", "one record a request, 32 connections: broker CPU", "µs/request", requests32, "cpu/record", everyColumn, kafka, times(.4), times(.4)},
	{"requests", "… rate", "1/s", requests32, "records/s", everyColumn, kafkaSynced, timesAtLeast(4), aim{}},
	{"alone", "one record a request, 1 connection: ack p50", "ms", requests1, "p50", everyColumn, kafkaSynced, atMost(.35), aim{}},
	{"rate", "50,000 records/s of 1 KB, open loop: ack p99", "ms", openLoop, "p99", everyColumn, kafka, atMost(2.5), aim{}},
	{"idle", "idle: RSS", "MB", idle, "rss", asTheyCome, kafka, atMost(30), aim{}},
	{"start", "start → first acknowledged record", "s", start, "start", asTheyCome, kafka, atMost(.05), aim{}},
	{"partitions", "{partitions} partitions: create", "s", manyPartitions, "create", asTheyCome, kafka, atMost(3), aim{}},
	{"partitions", "… idle: RSS", "MB", manyPartitions, "rss", asTheyCome, kafka, atMost(150), aim{}},
	{"partitions", "… idle: CPU", "% of a core", manyPartitions, "cpu", asTheyCome, kafka, atMost(.5), aim{}},
	{"partitions", "… clean restart → first ack", "s", manyPartitions, "clean", asTheyCome, kafka, atMost(.5), aim{}},
	{"partitions", "… restart after kill -9 → first ack", "s", manyPartitions, "crash", asTheyCome, kafka, atMost(1.5), aim{}},
	{"crash", "restart after kill -9 with {gb} GB → first ack", "s", crash, "start", asTheyCome, kafka, atMost(.5), aim{}},
	{"binary", "the program (Kafka: its jars, without Java)", "MB", binarySize, "size", asTheyCome, kafka, atMost(40), aim{}},
}}
