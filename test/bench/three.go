package main

import (
	"context"
	"fmt"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
)

// clusters measures three nodes beside three of Apache Kafka.
var clusters = suite{columns: ofThree, nodes: 3, warmUp: "5s", measure: (*run).all, versions: kafkaVersion, place: "the table of three nodes", figures: []figure{
	{"produce", "produce 1 KB, 12 partitions, acks=all", "MB/s", produceThree, "mb/s", ofThree, kafka, timesAtLeast(1.5), timesAtLeast(2)},
	{"produce", "… CPU of all brokers", "s/GB", produceThree, "cpu/gb", ofThree, kafka, times(.5), times(.5)},
	{"alone", "one record a request, 1 connection: ack p50", "ms", requests1, "p50", ofThree, kafka, atMost(.6), aim{}},
	{"alone", "… rate", "1/s", requests1, "records/s", ofThree, kafka, aim{}, aim{}},
	{"alone", "… CPU of all brokers", "µs/request", requests1, "cpu/record", ofThree, kafka, times(.3), aim{}},
	{"requests", "one record a request, 32 connections: ack p50", "ms", requests32, "p50", ofThree, kafka, aim{}, aim{}},
	{"requests", "… rate", "1/s", requests32, "records/s", ofThree, kafka, timesAtLeast(5), aim{}},
	{"requests", "… CPU of all brokers", "µs/request", requests32, "cpu/record", ofThree, kafka, aim{}, aim{}},
	{"rate", "5,000 records/s of 1 KB, open loop: ack p99", "ms", openLoopThree, "p99", ofThree, kafka, atMost(10), aim{}},
	{"idle", "idle: RSS of all brokers", "MB", idle, "rss", asTheyCome, kafka, atMost(120), aim{}},
	{"idle", "… CPU of all brokers", "% of a core", idle, "cpu", asTheyCome, kafka, atMost(2), aim{}},
	{"kill", "leader killed (kill -9), {kills} times: longest time without an ack in its partitions, p50", "s", kills, "hit p50", asTheyCome, kafka, atMost(.5), aim{}},
	{"kill", "… longest of all", "s", kills, "hit", asTheyCome, kafka, atMost(.5), aim{}},
	{"kill", "… in the other partitions, p50", "s", kills, "other p50", asTheyCome, kafka, aim{}, aim{}},
	{"kill", "… longest of all", "s", kills, "other", asTheyCome, kafka, aim{}, aim{}},
	{"kill", "… their p50 in parts of the longest when nothing is killed", "×", kills, "noise", asTheyCome, kafka, atMost(1), aim{}},
	{"partitions", "{partitions} partitions × 3 replicas: create", "s", manyThree, "create", asTheyCome, kafka, atMost(8), aim{}},
	{"partitions", "… idle: CPU of all brokers", "% of a core", manyThree, "cpu", asTheyCome, kafka, atMost(5), aim{}},
	{"partitions", "… idle: RSS of all brokers", "MB", manyThree, "rss", asTheyCome, kafka, atMost(450), aim{}},
	{"partitions", "… node killed → all led again", "s", manyThree, "led", asTheyCome, kafka, atMost(3), aim{}},
}}

var (
	produceThree  = load("produce", byRecords(1_500_000)) // which they write three times
	openLoopThree = load("produce", byTime, "--rate", "5000")
	manyThree     = &measurement{name: "partitions of three nodes", fresh: measureManyThree}
)

// measureManyThree is measurePartitions of a cluster, of which a node is killed.
func measureManyThree(ctx context.Context, r *run, c *cluster) (values, error) {
	if err := c.start(ctx); err != nil {
		return nil, err
	}
	began := time.Now()
	if err := createTopics(ctx, c, r.sizes.partitions); err != nil {
		return nil, err
	}
	created := time.Since(began).Seconds()
	v, err := measureIdle(ctx, r, c, kafka)
	if err != nil {
		return nil, err
	}
	v["create"] = created
	client, err := c.connect()
	if err != nil {
		return v, err
	}
	defer client.Close()
	ctx, cancel := context.WithTimeout(ctx, startMost)
	defer cancel()
	gone := c.brokers[0]
	killed := time.Now()
	if err := gone.kill(); err != nil {
		return v, err
	}
	if err := allLed(ctx, kadm.NewClient(client), r.sizes.partitions, int32(gone.number)); err != nil {
		return v, fmt.Errorf("after a node was killed: %w\n%s", err, c.said())
	}
	v["led"] = time.Since(killed).Seconds()
	return v, nil
}
