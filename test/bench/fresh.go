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

func measureIdle(ctx context.Context, r *run, b *broker, _ column) (values, error) {
	before, err := usageOf(b.pid)
	if err != nil {
		return nil, err
	}
	began := time.Now()
	select {
	case <-time.After(r.sizes.idle):
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	after, err := usageOf(b.pid)
	if err != nil {
		return nil, err
	}
	return values{"rss": after.rss, "cpu": 100 * (after.cpu - before.cpu) / time.Since(began).Seconds()}, nil
}

// restart stops the broker, or kills it, and gives the time from its start until it has acknowledged a record.
func restart(ctx context.Context, b *broker, kill bool) (float64, error) {
	end := b.stop
	if kill {
		end = b.kill
	}
	if err := end(); err != nil {
		return 0, err
	}
	began := time.Now()
	err := b.start(ctx)
	return time.Since(began).Seconds(), err
}

// measureStart starts twice: the first time Kafka has to format its directory.
func measureStart(ctx context.Context, _ *run, b *broker) (values, error) {
	if err := b.start(ctx); err != nil {
		return nil, err
	}
	took, err := restart(ctx, b, false)
	if err != nil {
		return nil, err
	}
	return values{"start": took}, nil
}

// Kafka does not create more than some thousand partitions in one request.
const topicPartitions = 1000

func measurePartitions(ctx context.Context, r *run, b *broker) (values, error) {
	if err := b.start(ctx); err != nil {
		return nil, err
	}
	began := time.Now()
	if err := createTopics(ctx, b, r.sizes.partitions); err != nil {
		return nil, err
	}
	created := time.Since(began).Seconds()
	v, err := measureIdle(ctx, r, b, kafka)
	if err != nil {
		return nil, err
	}
	v["create"] = created
	clean, err := restart(ctx, b, false)
	if err != nil {
		return v, fmt.Errorf("clean restart: %w", err)
	}
	v["clean"] = clean
	crashed, err := restart(ctx, b, true)
	if err != nil {
		return v, fmt.Errorf("restart after kill -9: %w", err)
	}
	v["crash"] = crashed
	return v, nil
}

// createTopics returns when a record in the last partition is acknowledged and all have leaders.
func createTopics(ctx context.Context, b *broker, partitions int) error {
	client, err := b.connect()
	if err != nil {
		return err
	}
	defer client.Close()
	admin := kadm.NewClient(client)
	admin.SetTimeoutMillis(120_000)
	for made := 0; made < partitions; made += topicPartitions {
		n := min(topicPartitions, partitions-made)
		b.topic, b.partition = fmt.Sprintf("many-%d", made/topicPartitions), int32(n-1)
		if _, err := admin.CreateTopic(ctx, int32(n), 1, nil, b.topic); err != nil {
			return fmt.Errorf("creating topic %s: %w", b.topic, err)
		}
	}
	for {
		topics, err := admin.ListTopics(ctx)
		if err != nil {
			return err
		}
		led := 0
		topics.EachPartition(func(p kadm.PartitionDetail) {
			if p.Err == nil && p.Leader >= 0 && strings.HasPrefix(p.Topic, "many-") {
				led++
			}
		})
		if led >= partitions {
			return b.acknowledged(ctx)
		}
		if err := pause(ctx); err != nil {
			return err
		}
	}
}

func measureCrash(ctx context.Context, r *run, b *broker) (values, error) {
	if err := b.start(ctx); err != nil {
		return nil, err
	}
	records := strconv.Itoa(int(r.sizes.crashGB * 1e9 / 1024))
	if _, err := r.weirBench(ctx, b, "produce", "--keep", "--warm-up", "0s", "--records", records); err != nil {
		return nil, err
	}
	took, err := restart(ctx, b, true)
	if err != nil {
		return nil, err
	}
	return values{"start": took}, nil
}

func measureBinary(ctx context.Context, r *run, b *broker) (values, error) {
	path := r.binary
	if b.product == theKafka {
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
