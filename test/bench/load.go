package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// values are what a measurement gives, by name.
type values map[string]float64

// A measurement is made once for each column that a figure wants of it. One that fails may give the values that it came to.
type measurement struct {
	name string
	// loaded measures brokers that others have been measured with before.
	loaded func(context.Context, *run, *cluster, column) (values, error)
	// fresh measures with brokers of its own, which it starts and stops.
	fresh func(context.Context, *run, *cluster) (values, error)
	// worker measures a worker of Connect that others have been measured with before.
	worker func(context.Context, *site) (values, error)
}

var (
	produce1K   = load("produce", byRecords(3_000_000))
	consume1K   = load("consume", func(s sizes) []string { return []string{"--records", s.records(3_000_000)} })
	produceLZ4  = load("produce", byTime, "--compression", "lz4")
	produceZstd = load("produce", byTime, "--compression", "zstd")
	produceGzip = load("produce", byTime, "--compression", "gzip")
	produce100B = load("produce", byTime, "--record-bytes", "100")
	requests32  = load("produce", byTime, "--in-flight", "1", "--connections", "32")
	requests1   = load("produce", byTime, "--in-flight", "1")
	openLoop    = load("produce", byTime, "--rate", "50000")
)

// byRecords writes so much that both write the same, in a full run.
func byRecords(n int) func(sizes) []string {
	return func(s sizes) []string { return []string{"--records", s.records(n), "--warm-up", s.warmUp} }
}

func byTime(s sizes) []string { return []string{"--duration", s.duration, "--warm-up", s.warmUp} }

// load is a measurement with weir bench. Values are of the brokers; the topic is made for it, with 12 partitions.
func load(kind string, sized func(sizes) []string, flags ...string) *measurement {
	return &measurement{
		name: strings.Join(append([]string{kind}, flags...), " "),
		loaded: func(ctx context.Context, r *run, of *cluster, c column) (values, error) {
			args := append(append([]string{"--pid", numbers(of.pids())}, sized(r.sizes)...), flags...)
			if columnConfigs[c] != "" {
				args = append(args, "--config", columnConfigs[c])
			}
			v, err := r.weirBench(ctx, of, kind, args...)
			if err != nil {
				return nil, err
			}
			return v, of.settle(ctx)
		},
	}
}

func numbers(of []int) string {
	var all []string
	for _, n := range of {
		all = append(all, strconv.Itoa(n))
	}
	return strings.Join(all, ",")
}

// weirBench runs weir bench and gives what it measured.
func (r *run) weirBench(ctx context.Context, c *cluster, kind string, args ...string) (values, error) {
	args = append([]string{"bench", kind, "--bootstrap-server", strings.Join(c.bootstrap(), ","), "--output", "json"}, args...)
	cmd := exec.CommandContext(ctx, r.binary, args...)
	cmd.Cancel = func() error { return cmd.Process.Signal(syscall.SIGTERM) }
	cmd.WaitDelay = 10 * time.Second
	cmd.Stderr = os.Stderr
	out, err := cmd.Output()
	if err != nil {
		return nil, errors.Join(ctx.Err(), fmt.Errorf("weir %s: %w\n%s", strings.Join(args, " "), err, c.said()))
	}
	var result struct {
		Records  float64                    `json:"records_per_second"`
		Megabyte float64                    `json:"megabytes_per_second"`
		Ack      struct{ P50, P99 float64 } `json:"ack_ms"`
		Brokers  struct {
			PerGB     float64 `json:"cpu_seconds_per_gb"`
			PerRecord float64 `json:"cpu_us_per_record"`
		} `json:"brokers"`
	}
	if err := json.Unmarshal(out, &result); err != nil {
		return nil, fmt.Errorf("weir %s: %w", strings.Join(args, " "), err)
	}
	return values{
		"records/s": result.Records, "mb/s": result.Megabyte, "p50": result.Ack.P50, "p99": result.Ack.P99,
		"cpu/gb": result.Brokers.PerGB, "cpu/record": result.Brokers.PerRecord,
	}, nil
}
