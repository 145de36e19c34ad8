package main

import (
	"context"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
)

var (
	idle           = &measurement{name: "idle", loaded: measureIdle}
	start          = &measurement{name: "start", fresh: measureStart}
	manyPartitions = &measurement{name: "partitions", fresh: measurePartitions}
	crash          = &measurement{name: "crash", fresh: measureCrash}
	binarySize     = &measurement{name: "binary", fresh: measureBinary}
)

func measureIdle(ctx context.Context, r *run, c *cluster, _ column) (values, error) {
	if len(c.brokers) > 1 { // they have things to even out between them after a start or a change
		if err := sleep(ctx, r.sizes.calm); err != nil {
			return nil, err
		}
	}
	before, err := usageOf(c.pids()...)
	if err != nil {
		return nil, err
	}
	began := time.Now()
	if err := sleep(ctx, r.sizes.idle); err != nil {
		return nil, err
	}
	after, err := usageOf(c.pids()...)
	if err != nil {
		return nil, err
	}
	return values{"rss": after.rss, "cpu": 100 * (after.cpu - before.cpu) / time.Since(began).Seconds()}, nil
}

// restart stops the brokers, or kills it, and gives the time from its start until it has acknowledged a record.
func restart(ctx context.Context, c *cluster, kill bool) (float64, error) {
	end := c.stop
	if kill {
		end = c.kill
	}
	if err := end(); err != nil {
		return 0, err
	}
	began := time.Now()
	err := c.start(ctx)
	return time.Since(began).Seconds(), err
}

// measureStart starts twice: the first time Kafka has to format its directory.
func measureStart(ctx context.Context, _ *run, c *cluster) (values, error) {
	if err := c.start(ctx); err != nil {
		return nil, err
	}
	took, err := restart(ctx, c, false)
	if err != nil {
		return nil, err
	}
	return values{"start": took}, nil
}

// Kafka does not create more than some thousand partitions in one request.
const topicPartitions = 1000

func measurePartitions(ctx context.Context, r *run, c *cluster) (values, error) {
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
	clean, err := restart(ctx, c, false)
	if err != nil {
		return v, fmt.Errorf("clean restart: %w", err)
	}
	v["clean"] = clean
	crashed, err := restart(ctx, c, true)
	if err != nil {
		return v, fmt.Errorf("restart after kill -9: %w", err)
	}
	v["crash"] = crashed
	return v, nil
}

// createTopics returns when a record in the last partition is acknowledged and all have leaders.
func createTopics(ctx context.Context, c *cluster, partitions int) error {
	client, err := c.connect()
	if err != nil {
		return err
	}
	defer client.Close()
	admin := kadm.NewClient(client)
	admin.SetTimeoutMillis(120_000)
	for made := 0; made < partitions; made += topicPartitions {
		n := min(topicPartitions, partitions-made)
		c.topic, c.partition = fmt.Sprintf("many-%d", made/topicPartitions), int32(n-1)
		if _, err := admin.CreateTopic(ctx, int32(n), -1, nil, c.topic); err != nil {
			return fmt.Errorf("creating topic %s: %w", c.topic, err)
		}
	}
	if err := allLed(ctx, admin, partitions, -1); err != nil {
		return err
	}
	return c.acknowledged(ctx)
}

// allLed returns when all of the many partitions have leaders, none of which is the node that is gone.
func allLed(ctx context.Context, admin *kadm.Client, partitions int, gone int32) error {
	for led := 0; ; {
		topics, err := admin.ListTopics(ctx)
		if err != nil {
			return fmt.Errorf("%d of %d partitions are led: %w", led, partitions, err)
		}
		led = 0
		topics.EachPartition(func(p kadm.PartitionDetail) {
			if p.Err == nil && p.Leader >= 0 && p.Leader != gone && strings.HasPrefix(p.Topic, "many-") {
				led++
			}
		})
		if led >= partitions {
			return nil
		}
		if err := sleep(ctx, lookTime); err != nil {
			return fmt.Errorf("%d of %d partitions are led: %w", led, partitions, err)
		}
	}
}

func measureCrash(ctx context.Context, r *run, c *cluster) (values, error) {
	if err := c.start(ctx); err != nil {
		return nil, err
	}
	records := strconv.Itoa(int(r.sizes.crashGB * 1e9 / 1024))
	if _, err := r.weirBench(ctx, c, "produce", "--keep", "--warm-up", "0s", "--records", records); err != nil {
		return nil, err
	}
	took, err := restart(ctx, c, true)
	if err != nil {
		return nil, err
	}
	return values{"start": took}, nil
}

func measureBinary(ctx context.Context, r *run, c *cluster) (values, error) {
	path := r.binary
	if c.product == theKafka {
		out, err := exec.CommandContext(ctx, kafkaScript, "libs").Output()
		if err != nil {
			return nil, fmt.Errorf("%s libs: %w", kafkaScript, err)
		}
		path = strings.TrimSpace(string(out))
	}
	size := int64(0)
	err := filepath.WalkDir(path, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		info, err := os.Stat(path)
		if err == nil {
			size += info.Size()
		}
		return err
	})
	if err != nil {
		return nil, err
	}
	return values{"size": float64(size) / 1e6}, nil
}
