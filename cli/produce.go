package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"github.com/spf13/cobra"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/weir/weir/internal/nearest"
)

const (
	// messageBytesDefault is Kafka's default of max.message.bytes, for topics whose configuration cannot be read.
	messageBytesDefault = 1048588
	// messageBytesMin is the least that the client takes as a limit.
	messageBytesMin = 512
	// messageBytesMax keeps a batch, and with it a line, well below what fits into a request.
	messageBytesMax = 64 << 20
	// anyPartition leaves the choice to the key.
	anyPartition = -1
)

type produce struct {
	topic        string
	files        []string
	keySeparator string
	format       string
	json         bool
	rate         float64
	byKey        bool // also a record that names a partition goes by its key: --partition -1 was given, or the topic is new
	partition    int32
	partitions   int // that the topic has; 0: not known
	headers      []string
	compression  string
	acks         string
}

var codecs = map[string]kgo.CompressionCodec{
	"none": kgo.NoCompression(), "gzip": kgo.GzipCompression(), "snappy": kgo.SnappyCompression(),
	"lz4": kgo.Lz4Compression(), "zstd": kgo.ZstdCompression(),
}

func produceCommand(o *options) *cobra.Command {
	var p produce
	cmd := &cobra.Command{
		Use:   "produce TOPIC",
		Short: "Write records to a topic, one per line of input",
		Long: `Write records to a topic, one per line of standard input or of files. A summary goes to standard error.
A topic that does not exist is created if the cluster creates topics automatically.

With --json a line is a JSON object as 'weir consume -o json' prints it, with the fields key and value (null
or absent: none; what is no string is written as its JSON), key_base64 and value_base64 (instead), headers (a
list of key, value or value_base64), partition and timestamp (ms). Topic, offset and leader_epoch are passed
over. --partition -1 leaves the choice to the key also if a line names a partition; so does a topic that does
not exist yet.

With --format the input need not be lines: it is a layout of franz-go's record reader, such as
'%k %v\n' (key and value), '%V{big32}%v' (a 4-byte length before each value) or '%v{json}'.

JSON: one object on standard output with the fields topic, records, bytes (of keys and values), seconds.`,
		Example: `  echo 'hello' | weir produce orders
  weir produce orders --file orders.txt --compression zstd
  weir produce prices --key-separator '\t' < prices.tsv
  weir produce orders --header source=test --partition 0
  echo '{"key": "anna", "value": {"candles": 2}, "headers": [{"key": "source", "value": "web"}]}' | weir produce orders --json
  weir consume a -o json | weir produce b --json
  weir produce orders --file orders.txt --rate 100
  weir consume a --format '%K{big32}%k%V{big32}%v' | weir produce b --format '%K{big32}%k%V{big32}%v'`,
		Args:              needs("TOPIC", false),
		ValidArgsFunction: o.completeTopics(false),
		RunE: o.run(func(ctx context.Context, cmd *cobra.Command, args []string) error {
			p.topic = args[0]
			return p.run(ctx, o, cmd)
		}),
	}
	flags := cmd.Flags()
	flags.StringArrayVar(&p.files, "file", nil, "read from this `file` instead of standard input; may be repeated")
	flags.BoolVar(&p.json, "json", false, "a line is a record in JSON")
	flags.Float64Var(&p.rate, "rate", 0, "write so many `records` a second at most")
	flags.StringVar(&p.keySeparator, "key-separator", "", "a line is key, `separator`, value; '\\t' is a tab")
	flags.StringVar(&p.format, "format", "", "the `layout` of the input, instead of lines")
	flags.Int32VarP(&p.partition, "partition", "p", anyPartition, "write to the partition of this `number`; -1: chosen by key")
	flags.StringArrayVar(&p.headers, "header", nil, "a header of every record, `key=value`; may be repeated")
	flags.StringVar(&p.compression, "compression", "none", "`codec`: none, gzip, snappy, lz4 or zstd")
	flags.StringVar(&p.acks, "acks", "all", "`who` must have a record: all in-sync replicas, 1 (the leader) or 0 (nobody)")
	_ = cmd.RegisterFlagCompletionFunc("compression", cobra.FixedCompletions([]string{"none", "gzip", "snappy", "lz4", "zstd"}, cobra.ShellCompDirectiveNoFileComp))
	_ = cmd.RegisterFlagCompletionFunc("acks", cobra.FixedCompletions([]string{"all", "1", "0"}, cobra.ShellCompDirectiveNoFileComp))
	return cmd
}

func (p *produce) run(ctx context.Context, o *options, cmd *cobra.Command) error {
	opts, err := p.clientOptions(o)
	if err != nil {
		return err
	}
	headers, err := p.recordHeaders()
	if err != nil {
		return err
	}
	if err := p.check(cmd); err != nil {
		return err
	}
	in := cmd.InOrStdin()
	source, err := p.input(in)
	if err != nil {
		return err
	}
	defer source.close()
	bytesMax, err := p.prepare(ctx, o, cmd)
	if err != nil {
		return err
	}
	source.limit(bytesMax)
	c, err := o.connect(append(opts, kgo.ProducerBatchMaxBytes(int32(bytesMax)))...)
	if err != nil {
		return err
	}
	defer c.Close()
	interactive := len(p.files) == 0 && isTerminal(in)
	if interactive {
		cmd.PrintErrf("Every line becomes a record of topic %s. End with Ctrl-D.\n", escape(p.topic))
	}

	s := &sending{produce: p, client: c, headers: headers, patience: newPatience(o.timeout), started: time.Now()}
	if !interactive {
		s.progress = newProgressLine(cmd)
	}
	err = s.all(ctx, source)
	if errors.Is(err, kerr.UnknownTopicOrPartition) {
		err = p.noTopic(ctx, o, c)
	}
	if interactive && errors.Is(err, context.Canceled) {
		err = nil // Ctrl-C is another way to end it
	}
	return joined(err, s.summary(o.printer(cmd), cmd))
}

// check makes sure that the flags go together.
func (p *produce) check(cmd *cobra.Command) error {
	changed := cmd.Flags().Changed
	layouts := slices.DeleteFunc([]string{"key-separator", "format", "json"}, func(flag string) bool { return !changed(flag) })
	switch {
	case len(layouts) > 1:
		return usagef("--%s and --%s exclude each other", layouts[0], layouts[1])
	case changed("rate") && !(p.rate > 0):
		return usagef("--rate must be more than 0")
	}
	p.byKey = p.partition == anyPartition && changed("partition")
	return nil
}

func (p *produce) clientOptions(o *options) ([]kgo.Opt, error) {
	opts := []kgo.Opt{
		kgo.AllowAutoTopicCreation(),
		// When patience ends, records are not sent again, and so not written twice.
		kgo.AllowIdempotentProduceCancellation(),
	}
	codec, ok := codecs[p.compression]
	if !ok {
		return nil, usagef("--compression %q: use none, gzip, snappy, lz4 or zstd", p.compression)
	}
	opts = append(opts, kgo.ProducerBatchCompression(codec))
	switch p.acks {
	case "all", "-1":
		opts = append(opts, kgo.RequiredAcks(kgo.AllISRAcks()))
	case "1":
		opts = append(opts, kgo.RequiredAcks(kgo.LeaderAck()), kgo.DisableIdempotentWrite())
	case "0":
		opts = append(opts, kgo.RequiredAcks(kgo.NoAck()), kgo.DisableIdempotentWrite())
	default:
		return nil, usagef("--acks %q: use all, 1 or 0", p.acks)
	}
	if p.partition < anyPartition {
		return nil, usagef("--partition must be at least 0")
	}
	if p.partition != anyPartition || p.json {
		opts = append(opts, kgo.RecordPartitioner(namedPartitioner{kgo.StickyKeyPartitioner(nil)}))
	}
	return opts, nil
}

func (p *produce) recordHeaders() ([]kgo.RecordHeader, error) {
	var headers []kgo.RecordHeader
	for _, header := range p.headers {
		key, value, err := keyValue("--header", header)
		if err != nil {
			return nil, err
		}
		headers = append(headers, kgo.RecordHeader{Key: key, Value: []byte(value)})
	}
	return headers, nil
}

// prepare looks at the topic before anything is read: it finds out early that no broker answers or that there is no such
// partition, and gives the bytes that a batch may have.
func (p *produce) prepare(ctx context.Context, o *options, cmd *cobra.Command) (size int, err error) {
	err = o.ask(ctx, func(ctx context.Context, c *client) error {
		details, err := c.admin.ListTopicsWithInternal(ctx, p.topic)
		if err != nil {
			return err
		}
		detail := details[p.topic]
		switch {
		case errors.Is(detail.Err, kerr.UnknownTopicOrPartition):
			cmd.PrintErrf("Topic %s does not exist yet: asking the cluster to create it.\n", escape(p.topic))
			size = messageBytesDefault
			p.byKey = true // nobody knows how many partitions it will have
			return nil
		case detail.Err != nil && !kerr.IsRetriable(detail.Err):
			return fmt.Errorf("topic %q: %w", p.topic, detail.Err)
		case p.partition != anyPartition && int(p.partition) >= len(detail.Partitions):
			return noPartition(p.topic, p.partition, len(detail.Partitions))
		}
		p.partitions = len(detail.Partitions)
		if err := reachable(ctx, c, p.topic); err != nil {
			return err
		}
		size, err = bytesMax(ctx, c, p.topic)
		return err
	})
	return size, err
}

// noPartition says that a topic has no such partition.
func noPartition(topic string, partition int32, partitions int) error {
	return fmt.Errorf("topic %q has no partition %d: its partitions are 0 to %d", topic, partition, partitions-1)
}

// reachable makes sure that a leader of the topic's partitions answers, whatever it answers: producing would only time out.
func reachable(ctx context.Context, c *client, topic string) error {
	_, err := c.admin.ListEndOffsets(ctx, topic)
	var shards *kadm.ShardErrors
	if brokerCode(err) != nil || errors.As(err, &shards) && !shards.AllFailed {
		return nil
	}
	return err
}

// bytesMax gives a topic's max.message.bytes. Not everybody who may write to a topic may read its configuration.
func bytesMax(ctx context.Context, c *client, topic string) (int, error) {
	configs, err := c.admin.DescribeTopicConfigs(ctx, topic)
	if err != nil && brokerCode(err) == nil {
		return 0, err
	}
	resource, _ := configs.On(topic, nil)
	for _, config := range resource.Configs {
		if config.Key != "max.message.bytes" {
			continue
		}
		if n, err := strconv.Atoi(config.MaybeValue()); err == nil && n > 0 {
			return min(max(n, messageBytesMin), messageBytesMax), nil
		}
	}
	return messageBytesDefault, nil
}

// noTopic says why nothing could be written: the cluster does not create topics by itself.
func (p *produce) noTopic(ctx context.Context, o *options, c *client) error {
	ctx, cancel := context.WithTimeout(ctx, o.timeout)
	defer cancel()
	names, err := c.topicNames(ctx)
	if err != nil {
		return err
	}
	if near, ok := nearest.Name(p.topic, names); ok && near != p.topic {
		return unknown("topic", p.topic, names)
	}
	return fmt.Errorf("topic %q does not exist and the cluster does not create it: `weir topic create %s` does", p.topic, p.topic)
}

// sending writes records and counts those that were acknowledged.
type sending struct {
	*produce
	client   *client
	headers  []kgo.RecordHeader
	patience *patience
	started  time.Time
	progress *progressLine // nil: none

	records atomic.Int64 // acknowledged
	bytes   atomic.Int64
	failure atomic.Pointer[error] // the first
}

// numbered is a record and its number in the input, from 1 on; or the error that ended reading.
type numbered struct {
	record *kgo.Record
	number int64
	err    error
}

// all sends what source gives, until its end, the first failure, or the end of ctx. What was read is sent in any case.
func (s *sending) all(ctx context.Context, source recordSource) error {
	reading, stop := context.WithCancel(ctx)
	defer stop()
	records := make(chan numbered, 256)
	go read(reading, source, records)
	for {
		select {
		case <-reading.Done():
			return s.flush(ctx, ctx.Err())
		case n := <-records:
			if n.err == nil {
				n.err = s.place(n)
			}
			if n.err != nil {
				return s.flush(ctx, n.err)
			}
			if !s.pace(reading, n.number) {
				return s.flush(ctx, ctx.Err())
			}
			s.send(n, stop)
			s.showProgress()
		}
	}
}

// place decides about the partition of a record: --partition, or what the record says, or else its key.
func (s *sending) place(n numbered) error {
	switch r := n.record; {
	case s.partition != anyPartition:
		r.Partition = s.partition
	case !s.json || s.byKey:
		r.Partition = anyPartition
	case s.partitions > 0 && int(r.Partition) >= s.partitions:
		return fmt.Errorf("record %d: %w (--partition -1 leaves the choice to the key)", n.number, noPartition(s.topic, r.Partition, s.partitions))
	}
	return nil
}

// pace waits until a record may go. It gives false at the end of ctx.
func (s *sending) pace(ctx context.Context, number int64) bool {
	if s.rate == 0 {
		return true
	}
	due := s.started.Add(time.Duration(float64(number-1) / s.rate * float64(time.Second)))
	select {
	case <-ctx.Done():
		return false
	case <-time.After(time.Until(due)):
		return true
	}
}

func (s *sending) showProgress() {
	if s.progress == nil {
		return
	}
	s.progress.show(time.Now(), func() string {
		return fmt.Sprintf("Wrote %s (%s)", plural(s.records.Load(), "record"), bytesText(float64(s.bytes.Load())))
	})
}

// read reads records into a channel until there are no more, which is an io.EOF.
func read(ctx context.Context, source recordSource, to chan<- numbered) {
	for number := int64(1); ; number++ {
		record, err := source.next()
		select {
		case <-ctx.Done():
			return
		case to <- numbered{record, number, err}:
		}
		if err != nil {
			return
		}
	}
}

// send hands a record to the client. Should it fail, it is the first failure that counts, and stop is called.
func (s *sending) send(n numbered, stop func()) {
	r := n.record
	r.Topic = s.topic
	r.Headers = append(r.Headers, s.headers...)
	size := int64(len(r.Key) + len(r.Value))
	s.patience.sent()
	s.client.Produce(s.patience.ctx, r, func(_ *kgo.Record, err error) {
		if ended := s.patience.arrived(); ended && err != nil {
			err = kgo.ErrRecordTimeout
		}
		if err != nil {
			err = fmt.Errorf("record %d: %w", n.number, err)
			s.failure.CompareAndSwap(nil, &err)
			stop()
			return
		}
		s.records.Add(1)
		s.bytes.Add(size)
	})
}

// patience ends when records are on their way and none has arrived for a time. It does not ask how old records are, as the
// client's own limit does: their timestamps may be of any time.
type patience struct {
	ctx  context.Context
	time time.Duration

	mu    sync.Mutex
	timer *time.Timer
	away  int
}

func newPatience(d time.Duration) *patience {
	ctx, end := context.WithCancel(context.Background())
	p := &patience{ctx: ctx, time: d, timer: time.AfterFunc(d, end)}
	p.timer.Stop()
	return p
}

func (p *patience) sent() {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.away++; p.away == 1 {
		p.timer.Reset(p.time)
	}
}

// arrived takes note of a record of which is known what became of it. It tells whether patience had ended.
func (p *patience) arrived() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.away--; p.away == 0 {
		p.timer.Stop()
	} else {
		p.timer.Reset(p.time)
	}
	return p.ctx.Err() != nil
}

// flush waits until the fate of everything sent is known, and gives the failure, or else the reason why reading ended; none if
// the input did.
func (s *sending) flush(ctx context.Context, reason error) error {
	if err := s.client.Flush(context.WithoutCancel(ctx)); err != nil {
		return err
	}
	if failure := s.failure.Load(); failure != nil {
		return *failure
	}
	if errors.Is(reason, io.EOF) {
		return nil
	}
	return reason
}

// produced is the summary in JSON; its names are documented in the help.
type produced struct {
	Topic   string  `json:"topic"`
	Records int64   `json:"records"`
	Bytes   int64   `json:"bytes"`
	Seconds float64 `json:"seconds"`
}

func (s *sending) summary(p *printer, cmd *cobra.Command) error {
	if s.progress != nil {
		s.progress.clear()
	}
	took := time.Since(s.started).Seconds()
	done := produced{s.topic, s.records.Load(), s.bytes.Load(), took}
	if p.json {
		return p.document(done)
	}
	cmd.PrintErrf("Wrote %s (%s) to topic %s in %.2f s: %.0f records/s, %s/s.\n", plural(done.Records, "record"), bytesText(float64(done.Bytes)),
		escape(s.topic), took, float64(done.Records)/took, bytesText(float64(done.Bytes)/took))
	return nil
}

// bytesText shows a number of bytes in a unit that suits it.
func bytesText(n float64) string {
	units := []string{"KiB", "MiB", "GiB", "TiB"}
	if n < 1024 {
		return fmt.Sprintf("%.0f B", n)
	}
	unit := -1
	for n >= 1024 && unit < len(units)-1 {
		n /= 1024
		unit++
	}
	return fmt.Sprintf("%.1f %s", n, units[unit])
}
