package cli

import (
	"context"
	"fmt"
	"math"
	"math/rand/v2"
	"time"

	"github.com/spf13/cobra"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/weir/weir/internal/load"
)

type bench struct {
	kind        string // produce, consume or latency
	topic       string // empty: one is made, and deleted at the end
	keep        bool
	partitions  int32
	replication int16
	configs     []string

	recordBytes, batchBytes sizeValue
	payload                 string
	compression, acks       string
	linger                  time.Duration
	connections, inFlight   int
	rate                    float64
	warmUp, duration        time.Duration
	records                 int64
	pids                    []int
}

const (
	recordBytesDefault = 1 << 10
	batchBytesDefault  = 1 << 20
	// batchOverhead is left of a batch's limit for what is not records, as brokers count it too.
	batchOverhead = 1 << 10
	// deliveryMin is the least time that records have: the queue before a slow broker is long.
	deliveryMin = time.Minute
	// fillBytes is how much is written to a topic that is made to be read.
	fillBytes = 1 << 30
)

const benchHelp = `
Without TOPIC a topic is made, and deleted at the end. The warm-up is not counted. Payloads are random bytes,
which do not compress, or json: events like those of a shop's orders; that is the default with --compression,
and the result says how well a batch of them compresses.

With --pid the CPU and memory of brokers on this machine are measured too, as is the CPU of this client.

JSON: an object with the fields benchmark, topic, partitions, record_bytes, payload, compression,
compressed_to (1: not at all; these null for consume from a given topic), acks, connections, in_flight
(0: no limit), target_rate (null: none), seconds, records, bytes, records_per_second, megabytes_per_second
(of 10^6 bytes, keys and values only);
  ack_ms, late_ms (from due until handed to the client library), end_to_end_ms (each null if not measured):
  p50, p90, p99, p999, max, mean;
  client, brokers (null without --pid): cpu_seconds, cpu_seconds_per_gb (of 10^9 bytes), cpu_us_per_record,
  rss_bytes (at the end).`

func benchCommand(o *options) *cobra.Command {
	cmd := group(&cobra.Command{
		Use:   "bench",
		Short: "Put load on a cluster and measure how it bears it",
		Example: `  weir bench produce
  weir bench consume
  weir bench latency --rate 5000`,
	})
	cmd.AddCommand(benchProduceCommand(o), benchConsumeCommand(o), benchLatencyCommand(o))
	return cmd
}

func benchProduceCommand(o *options) *cobra.Command {
	b := &bench{kind: "produce"}
	cmd := b.command(o, &cobra.Command{
		Use:   "produce [TOPIC]",
		Short: "Measure how fast records are written, and how long they take to be acknowledged",
		Long: `Write records as fast as the cluster takes them, or with --rate so many a second, and measure how long they
take to be acknowledged: from when they were handed to the client library, or with --rate from when they were
due, whether or not those before them were late.

--in-flight 1 makes each client wait for a record before it sends the next: one record a request.
` + benchHelp,
		Example: `  weir bench produce
  weir bench produce --record-bytes 100 --partitions 12 --duration 30s
  weir bench produce --in-flight 1 --connections 32
  weir bench produce --compression zstd --pid "$(pidof weir)" -o json | jq .brokers.cpu_seconds_per_gb
  weir bench produce orders --rate 5000 --acks 1`,
	})
	b.writeFlags(cmd, 0)
	b.loadFlags(cmd)
	return cmd
}

func benchConsumeCommand(o *options) *cobra.Command {
	b := &bench{kind: "consume"}
	cmd := b.command(o, &cobra.Command{
		Use:   "consume [TOPIC]",
		Short: "Measure how fast records are read",
		Long: `Read a topic once, from its start to the end that it has when the command starts, as fast as the cluster
gives it; or only --records of it. With several --connections each client reads a share of the partitions.
A topic that is made for it gets --records first, or 1 GiB.
` + benchHelp,
		Example: `  weir bench consume
  weir bench consume orders --connections 4
  weir bench consume orders --records 1000000 --pid "$(pidof weir)"`,
	})
	b.writeFlags(cmd, 0)
	return cmd
}

func benchLatencyCommand(o *options) *cobra.Command {
	b := &bench{kind: "latency"}
	cmd := b.command(o, &cobra.Command{
		Use:   "latency [TOPIC]",
		Short: "Measure how long records take from writer to reader, at a rate",
		Long: `Write records at a rate while a consumer reads them, and measure how long each takes until it is acknowledged
and until it is read: from when it was due, whether or not those before it were late.
` + benchHelp,
		Example: `  weir bench latency
  weir bench latency --rate 50000 --partitions 12 --duration 30s
  weir bench latency orders --rate 100 -o json | jq .end_to_end_ms.p99`,
	})
	b.writeFlags(cmd, 1000)
	b.loadFlags(cmd)
	return cmd
}

func (b *bench) command(o *options, cmd *cobra.Command) *cobra.Command {
	cmd.Args = func(cmd *cobra.Command, args []string) error {
		if len(args) == 0 {
			return nil
		}
		return needs("TOPIC", false)(cmd, args)
	}
	cmd.ValidArgsFunction = o.completeTopics(false)
	cmd.RunE = o.run(func(ctx context.Context, cmd *cobra.Command, args []string) error {
		if len(args) > 0 {
			b.topic = args[0]
		}
		return b.run(ctx, o, cmd)
	})
	flags := cmd.Flags()
	flags.IntVar(&b.connections, "connections", 1, "so many `clients`, each with connections of its own")
	flags.Int64Var(&b.records, "records", 0, "measure with so many records")
	flags.IntSliceVar(&b.pids, "pid", nil, "measure this `process` too, a broker on this machine; may be repeated")
	flags.Lookup("pid").DefValue = ""
	flags.Lookup("records").DefValue = ""
	return cmd
}

// writeFlags are those about a topic that is made, and the records that are written to it.
func (b *bench) writeFlags(cmd *cobra.Command, rate float64) {
	b.recordBytes, b.batchBytes = recordBytesDefault, batchBytesDefault-batchOverhead
	flags := cmd.Flags()
	flags.BoolVar(&b.keep, "keep", false, "do not delete the topic that was made")
	flags.Int32Var(&b.partitions, "partitions", 12, "how many partitions the topic that is made has")
	flags.Int16Var(&b.replication, "replication-factor", -1, "how many brokers keep each of its partitions; -1: the cluster's default")
	flags.StringArrayVar(&b.configs, "config", nil, "a configuration of it, `key=value`; may be repeated")
	flags.Var(&b.recordBytes, "record-bytes", "the size of a record's value")
	flags.StringVar(&b.payload, "payload", "", "`kind` of values: random or json")
	flags.StringVar(&b.compression, "compression", "none", "`codec`: none, gzip, snappy, lz4 or zstd")
	flags.StringVar(&b.acks, "acks", "all", "`who` must have a record: all in-sync replicas, 1 (the leader) or 0 (nobody)")
	flags.Var(&b.batchBytes, "batch-bytes", "how large a batch may become")
	flags.DurationVar(&b.linger, "linger", 0, "how long to wait for more records before a batch is sent")
	b.rate = rate
	completeFixed(cmd, "payload", "random", "json")
	completeFixed(cmd, "compression", "none", "gzip", "snappy", "lz4", "zstd")
	completeFixed(cmd, "acks", "all", "1", "0")
}

// loadFlags are those about how records are written.
func (b *bench) loadFlags(cmd *cobra.Command) {
	flags := cmd.Flags()
	flags.Float64Var(&b.rate, "rate", b.rate, "write so many `records` a second, all clients together")
	flags.IntVar(&b.inFlight, "in-flight", 0, "a client waits for so many `records` at most")
	flags.DurationVar(&b.warmUp, "warm-up", 3*time.Second, "how long to put on load before anything is counted")
	flags.DurationVar(&b.duration, "duration", 10*time.Second, "how long to measure")
	flags.Lookup("in-flight").DefValue = ""
	if b.rate == 0 {
		flags.Lookup("rate").DefValue = ""
	}
}

func completeFixed(cmd *cobra.Command, flag string, values ...string) {
	_ = cmd.RegisterFlagCompletionFunc(flag, cobra.FixedCompletions(values, cobra.ShellCompDirectiveNoFileComp))
}

// check makes sure that the flags are possible, and go together.
func (b *bench) check(cmd *cobra.Command) error {
	changed := cmd.Flags().Changed
	switch {
	case changed("records") && changed("duration"):
		return usagef("--records and --duration exclude each other")
	case changed("records") && b.records < 1:
		return usagef("--records must be at least 1")
	case b.connections < 1:
		return usagef("--connections must be at least 1")
	case changed("in-flight") && b.inFlight < 1:
		return usagef("--in-flight must be at least 1")
	case (changed("rate") || b.kind == "latency") && !(b.rate > 0 && b.rate <= math.MaxInt32):
		return usagef("--rate must be more than 0")
	case b.kind != "consume" && b.duration <= 0:
		return usagef("--duration must be more than 0")
	case b.warmUp < 0:
		return usagef("--warm-up must be at least 0s")
	case b.partitions < 1:
		return usagef("--partitions must be at least 1")
	case b.recordBytes < 1 || b.recordBytes > messageBytesMax:
		return usagef("--record-bytes must be 1 to %d", messageBytesMax)
	case b.batchBytes < messageBytesMin || b.batchBytes > messageBytesMax:
		return usagef("--batch-bytes must be %d to %d", messageBytesMin, messageBytesMax)
	}
	for _, flag := range []string{"partitions", "replication-factor", "config", "keep"} {
		if b.topic != "" && changed(flag) {
			return usagef("--%s is about a topic that is made: leave it out, or TOPIC", flag)
		}
	}
	for _, pid := range b.pids {
		if err := load.CheckPID(pid); err != nil {
			return usagef("--pid: %v", err)
		}
	}
	return nil
}

// spec says what load to put on.
func (b *bench) spec(o *options) (*load.Spec, error) {
	codec, ok := codecs[b.compression]
	if !ok {
		return nil, usagef("--compression %q: use none, gzip, snappy, lz4 or zstd", b.compression)
	}
	acks, ok := map[string]kgo.Acks{"all": kgo.AllISRAcks(), "-1": kgo.AllISRAcks(), "1": kgo.LeaderAck(), "0": kgo.NoAck()}[b.acks]
	if !ok {
		return nil, usagef("--acks %q: use all, 1 or 0", b.acks)
	}
	if b.payload == "" {
		b.payload = "random"
		if b.compression != "none" {
			b.payload = "json"
		}
	}
	payload, err := load.NewPayload(b.payload, int(b.recordBytes), b.compression != "none")
	if err != nil {
		return nil, usagef("--payload: %v", err)
	}
	return &load.Spec{
		Topic: b.topic, Partitions: b.partitions,
		Connect: func(opts ...kgo.Opt) (*kgo.Client, error) {
			c, err := o.connect(opts...)
			if err != nil {
				return nil, err
			}
			return c.Client, nil
		},
		Payload: payload, Codec: codec, Acks: acks, Linger: b.linger, BatchBytes: int32(b.batchBytes),
		Timeout: max(o.timeout, deliveryMin), Connections: b.connections, InFlight: b.inFlight, Rate: b.rate,
		WarmUp: b.warmUp, Duration: b.duration, Records: b.records, PIDs: b.pids,
	}, nil
}

func (b *bench) run(ctx context.Context, o *options, cmd *cobra.Command) (err error) {
	if err := b.check(cmd); err != nil {
		return err
	}
	given := b.topic != ""
	if !given {
		b.topic = fmt.Sprintf("bench-%s-%06x", b.kind, rand.Uint32()>>8)
	}
	s, err := b.spec(o)
	if err != nil {
		return err
	}
	undo, err := b.prepare(ctx, o, cmd, given)
	if err != nil {
		return err
	}
	defer func() { err = joined(err, undo()) }()
	s.Partitions = b.partitions
	line := newProgressLine(cmd)
	defer line.clear()
	if b.kind == "consume" && !given {
		if err := b.fill(ctx, *s, line); err != nil {
			return err
		}
	}
	s.Progress = b.progress(line, "")
	measure := map[string]func(context.Context, *load.Spec) (load.Result, error){"produce": load.Produce, "consume": load.Consume, "latency": load.Latency}
	result, err := measure[b.kind](ctx, s)
	line.clear()
	if ctx.Err() != nil { // what was measured until then may be worth having
		err = ctx.Err()
	}
	if err != nil && result.Records == 0 {
		return err
	}
	return joined(err, b.print(o.printer(cmd), s, result, given))
}

// fill writes what is to be read.
func (b *bench) fill(ctx context.Context, s load.Spec, line *progressLine) error {
	s.WarmUp, s.Connections, s.PIDs = 0, 1, nil
	if s.Records == 0 {
		s.Records = max(fillBytes/int64(b.recordBytes), 1)
	}
	s.Progress = b.progress(line, "writing what is to be read, ")
	_, err := load.Produce(ctx, &s)
	if ctx.Err() != nil {
		return ctx.Err()
	}
	return err
}

// progress shows on a terminal how far a run is.
func (b *bench) progress(line *progressLine, what string) func(load.Progress) {
	if line.w == nil {
		return nil
	}
	return func(p load.Progress) {
		line.show(time.Now(), func() string {
			if p.WarmUp {
				what = "warming up, "
			} else if what == "warming up, " {
				what = ""
			}
			text := fmt.Sprintf("%s%.0f s: %d records, %.0f records/s, %.1f MB/s", what, p.Seconds, p.Records,
				float64(p.Records)/p.Seconds, float64(p.Bytes)/1e6/p.Seconds)
			if p.P99 > 0 {
				text += fmt.Sprintf(", p99 %.2f ms", p.P99.Seconds()*1e3)
			}
			return text
		})
	}
}
