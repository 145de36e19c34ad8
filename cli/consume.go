package cli

import (
	"context"
	"errors"
	"fmt"
	"math"
	"slices"
	"time"

	"github.com/spf13/cobra"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
)

type consume struct {
	from, until string
	untilEnd    bool
	partitions  []int32
	group       string
	follow      bool
	max         int64
	format      string
	isolation   string
	key, value  string
	headers     []string
}

func consumeCommand(o *options) *cobra.Command {
	var c consume
	cmd := &cobra.Command{
		Use:   "consume TOPIC...",
		Short: "Print the records of topics",
		Long: `Print the records of topics, up to the end that they had at start; with --follow also what comes after.

` + positionHelp + `

With --group the partitions are shared with the group's other members, --from only counts where the
group has committed nothing, and what was printed is committed: the next run continues after it.

--key, --value and --header print only records that have all of what they say; a text is the whole key or
value, and between slashes it is a regular expression, which need only match a part of it.

With --follow, a --timeout that is given ends the command after so long without a record; otherwise
it is how long to wait for the cluster before giving up.

Each record's value is printed on a line. --format prints more; its verbs are %t topic, %p partition,
%o offset, %e leader epoch, %k key, %v value, %h{%k=%v } headers, %d timestamp (ms), %T %K %V %H
lengths and counts, %i number, %a{compression}; modifiers such as %v{hex}, %v{base64}, %K{big32},
%d{strftime[%F %T]}; and \t \n \xNN. No line end is added to it.

JSON: an object per record and line, with the fields topic, partition, offset, leader_epoch, timestamp
(ms), key and value (null if absent or not UTF-8), key_base64 and value_base64 (instead, if not UTF-8),
headers (a list of key, value or value_base64).`,
		Example: `  weir consume orders
  weir consume orders payments --follow --from end
  weir consume orders --from -10
  weir consume orders --from -5m --format '%d{strftime[%T]} %p/%o %k: %v\n'
  weir consume orders --from 2026-11-24 --until 2026-11-25 -o json
  weir consume orders --key anna --value '/candles?/' --header source=web --header 'trace=/^4f/'
  weir consume orders --group billing`,
		Args:              needs("TOPIC", true),
		ValidArgsFunction: o.completeTopics(true),
		RunE: o.run(func(ctx context.Context, cmd *cobra.Command, topics []string) error {
			return c.run(ctx, o, cmd, unique(topics))
		}),
	}
	flags := cmd.Flags()
	flags.StringVar(&c.from, "from", "start", "the `position` to start at")
	flags.StringVar(&c.until, "until", "end", "the `position` to stop before, at most the end")
	flags.BoolVar(&c.untilEnd, "until-end", false, "stop at the end, as without --follow")
	flags.Int32SliceVarP(&c.partitions, "partition", "p", nil, "only this partition, by its `number`; may be repeated")
	flags.StringVarP(&c.group, "group", "g", "", "read as a member of this `group`")
	flags.BoolVarP(&c.follow, "follow", "f", false, "at the end, wait for more records, until Ctrl-C")
	flags.Int64VarP(&c.max, "max", "n", 0, "stop after this `number` of records")
	flags.StringVar(&c.format, "format", `%v\n`, "the `layout` of a printed record")
	flags.StringVar(&c.key, "key", "", "only records with this key, a `text` or a /regular expression/")
	flags.StringVar(&c.value, "value", "", "only records with this value, a `text` or a /regular expression/")
	flags.StringArrayVar(&c.headers, "header", nil, "only records with this header, `name=text`, name=/regular expression/ or name; may be repeated")
	flags.StringVar(&c.isolation, "isolation-level", "read_uncommitted", "`level`: with read_committed, only what transactions have committed")
	flags.Lookup("partition").DefValue = "" // the help need not show that no partitions is the default
	_ = cmd.RegisterFlagCompletionFunc("group", o.completeGroups(true))
	_ = cmd.RegisterFlagCompletionFunc("isolation-level", cobra.FixedCompletions([]string{"read_uncommitted", "read_committed"}, cobra.ShellCompDirectiveNoFileComp))
	return cmd
}

// check makes sure that the flags go together.
func (c *consume) check(o *options, cmd *cobra.Command) error {
	changed := cmd.Flags().Changed
	switch {
	case c.follow && (changed("until") || c.untilEnd):
		return usagef("--follow never stops at an end: leave out --until and --until-end")
	case c.untilEnd && changed("until"):
		return usagef("--until and --until-end exclude each other")
	case c.group != "" && len(c.partitions) > 0:
		return usagef("--group and --partition exclude each other: a group's partitions are assigned")
	case changed("max") && c.max < 1:
		return usagef("--max must be at least 1")
	case changed("format") && o.output == outputJSON:
		return usagef("--format and --output json exclude each other")
	case c.isolation != "read_uncommitted" && c.isolation != "read_committed":
		return usagef("--isolation-level %q: use read_uncommitted or read_committed", c.isolation)
	case slices.ContainsFunc(c.partitions, func(p int32) bool { return p < 0 }):
		return usagef("--partition must be at least 0")
	}
	return nil
}

func (c *consume) run(ctx context.Context, o *options, cmd *cobra.Command, topics []string) error {
	if err := c.check(o, cmd); err != nil {
		return err
	}
	now := time.Now()
	from, err := parsePosition(c.from, now)
	if err != nil {
		return err
	}
	until, err := parsePosition(c.until, now)
	if err != nil {
		return err
	}
	filter, err := c.filter(cmd)
	if err != nil {
		return err
	}
	print, err := newRecordPrinter(o.printer(cmd), c.format)
	if err != nil {
		return err
	}
	all, err := c.bounds(ctx, o, topics, from, until)
	if err != nil {
		return err
	}
	left := c.max
	if left == 0 {
		left = math.MaxInt64
	}
	r := &reading{print: print, filter: filter, left: left, timeout: o.timeout, follow: c.follow, grouped: c.group != "",
		committed: c.isolation == "read_committed",
		warn:      func(text string) { cmd.PrintErrln("weir: " + oneLine(text)) }}
	if !r.print.escaped && !c.follow { // on a terminal the records themselves show how far it is
		r.line = newProgressLine(cmd)
		defer r.line.clear()
	}
	if c.follow {
		r.idle = math.MaxInt64
		if cmd.Flags().Changed("timeout") {
			r.idle = o.timeout
		}
	}
	r.progress = newProgress(all, c.follow, from)
	if c.group == "" {
		r.progress.assignAll()
		if r.progress.done() {
			return nil
		}
	}
	if r.client, err = o.connect(c.clientOptions(r, topics)...); err != nil {
		return err
	}
	defer r.client.Close()
	err = r.run(ctx)
	if c.group != "" {
		err = joined(err, r.leave(ctx))
	}
	return err
}

// bounds looks at the topics, which must exist, and finds what to read of every partition.
func (c *consume) bounds(ctx context.Context, o *options, topics []string, from, until position) (all map[string]map[int32]bounds, err error) {
	err = o.ask(ctx, func(ctx context.Context, client *client) error {
		details, err := client.topics(ctx, topics)
		if err != nil {
			return err
		}
		for _, topic := range topics {
			for _, partition := range c.partitions {
				if n := len(details[topic].Partitions); int(partition) >= n {
					return noPartition(topic, partition, n)
				}
			}
		}
		r := resolver{client, topics, c.partitions, c.isolation == "read_committed"}
		all, err = r.resolve(ctx, from, until)
		return err
	})
	return all, err
}

func (c *consume) clientOptions(r *reading, topics []string) []kgo.Opt {
	opts := []kgo.Opt{
		// A control record at the end of a partition is not printed, but shows that the end was reached.
		kgo.KeepControlRecords(),
		kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()),
		kgo.FetchMaxWait(500 * time.Millisecond),
	}
	if r.committed {
		opts = append(opts, kgo.FetchIsolationLevel(kgo.ReadCommitted()))
	}
	if c.group == "" {
		return append(opts, kgo.ConsumePartitions(r.progress.positions()))
	}
	return append(opts, kgo.ConsumerGroup(c.group), kgo.ConsumeTopics(topics...),
		// Partitions change hands only between polls, when what was read is printed and can be committed.
		kgo.DisableAutoCommit(), kgo.BlockRebalanceOnPoll(),
		kgo.OnPartitionsAssigned(r.progress.assigned),
		kgo.OnPartitionsRevoked(r.revoked),
		kgo.OnPartitionsLost(func(_ context.Context, _ *kgo.Client, gone map[string][]int32) { r.progress.remove(gone) }),
		kgo.AdjustFetchOffsetsFn(r.progress.adjust))
}

// reading reads records until everything that was asked for is printed.
type reading struct {
	client    *client
	progress  *progress
	print     *recordPrinter
	filter    recordFilter
	left      int64         // records still to print
	timeout   time.Duration // without any progress, it fails after this
	idle      time.Duration // following, it ends after this without a record
	follow    bool
	committed bool
	warn      func(string)
	warned    string
	line      *progressLine // nil: none
	count     int64         // records read
	grouped   bool
	saved     time.Time // when the group's offsets were last committed
}

const (
	// pollPause is how long to wait for records before asking whether there can be any.
	pollPause = 500 * time.Millisecond
	// pollRecords is how many records to take at once.
	pollRecords = 10_000
	// saveInterval is how often a group's offsets are committed.
	saveInterval = time.Second
)

// run reads. The end of ctx is a normal end.
func (r *reading) run(ctx context.Context) error {
	last := time.Now()
	var trouble error
	for r.left > 0 && !r.progress.done() && ctx.Err() == nil {
		fetches, pollErr := r.poll(ctx)
		moved, err := r.printAll(fetches)
		if err != nil {
			return err
		}
		if pollErr != nil {
			if refused(pollErr) || !r.follow && !kerr.IsRetriable(pollErr) && !kgo.IsRetryableBrokerErr(pollErr) {
				return pollErr
			}
			trouble = pollErr
		}
		if fetches.NumRecords() == 0 && !r.follow {
			skipped, err := r.skipGaps(ctx)
			moved = moved || skipped
			if err != nil {
				trouble = err
			}
		}
		r.saveNow(ctx)
		r.client.AllowRebalance()
		switch waited := time.Since(last); {
		case moved:
			last, trouble = time.Now(), nil
		case r.follow && waited >= r.idle:
			return nil
		case !r.follow && waited >= r.timeout:
			return r.stalled(trouble)
		}
	}
	return nil
}

// refused tells whether an error will not pass by itself.
func refused(err error) bool {
	return errors.Is(err, kerr.TopicAuthorizationFailed) || errors.Is(err, kerr.GroupAuthorizationFailed) ||
		errors.Is(err, kerr.ClusterAuthorizationFailed) || errors.Is(err, kerr.SaslAuthenticationFailed)
}

// stalled says what is missing when nothing has moved for too long.
func (r *reading) stalled(trouble error) error {
	text := fmt.Sprintf("nothing arrived for %s, though %s has not been read to its end", r.timeout, r.progress.unread())
	hint := ""
	if !r.progress.joined() {
		text = fmt.Sprintf("the group assigned no partitions within %s", r.timeout)
		hint = "another member may hold up its rebalance, "
	}
	if trouble != nil && !errors.Is(trouble, context.DeadlineExceeded) {
		return fmt.Errorf("%s: %w", text, trouble)
	}
	return fmt.Errorf("%s: %s--timeout waits longer", text, hint)
}

// poll waits a moment for records. Errors that the client gets over by itself are no errors.
func (r *reading) poll(ctx context.Context) (kgo.Fetches, error) {
	wait := pollPause
	switch {
	case !r.progress.joined():
		wait /= 10 // an assignment does not wake a poll
	case r.follow:
		wait = min(r.idle, saveInterval)
	}
	polling, cancel := context.WithTimeout(ctx, wait)
	defer cancel()
	most := int64(pollRecords)
	if len(r.filter) == 0 {
		most = min(most, r.left)
	}
	fetches := r.client.PollRecords(polling, int(most))
	var failed error
	fetches.EachError(func(topic string, partition int32, err error) {
		var loss *kgo.ErrDataLoss
		switch {
		case errors.Is(err, context.Canceled), errors.Is(err, context.DeadlineExceeded):
		case errors.As(err, &loss):
			r.warnOnce(loss.Error())
		default:
			failed = err
			if topic != "" {
				failed = fmt.Errorf("partition %d of topic %q: %w", partition, topic, err)
			}
			r.warnOnce(failed.Error())
		}
	})
	return fetches, failed
}

// warnOnce warns, unless it just did.
func (r *reading) warnOnce(text string) {
	if r.follow && text != r.warned {
		r.warn(text)
	}
	r.warned = text
}

// printAll prints what is wanted of the records.
func (r *reading) printAll(fetches kgo.Fetches) (moved bool, err error) {
	fetches.EachPartition(func(p kgo.FetchTopicPartition) {
		for _, record := range p.Records {
			if r.left == 0 || err != nil {
				return
			}
			if !r.progress.step(record) {
				continue
			}
			moved = true
			r.count++
			if !record.Attrs.IsControl() && r.progress.wants(record) && r.filter.wants(record) {
				err = r.print.record(&p.FetchPartition, record)
				r.left--
			}
		}
	})
	if err == nil {
		err = r.print.flush()
	}
	if err == nil {
		r.progress.printed()
	}
	if r.line != nil {
		r.line.show(time.Now(), func() string { return "Read " + plural(r.count, "record") })
	}
	return moved, err
}

// saveNow commits what was printed, if it is time to. Should that fail, it is tried again, for the last time when leaving.
func (r *reading) saveNow(ctx context.Context) {
	if !r.grouped || time.Since(r.saved) < saveInterval {
		return
	}
	r.saved = time.Now()
	if err := r.save(ctx, r.client.Client); err != nil && ctx.Err() == nil {
		r.warnOnce("committing the group's offsets: " + err.Error())
	}
}

// save commits the offsets of what was printed.
func (r *reading) save(ctx context.Context, client *kgo.Client) error {
	offsets := r.progress.unsaved()
	if len(offsets) == 0 {
		return nil
	}
	var failed error
	client.CommitOffsetsSync(ctx, offsets, func(_ *kgo.Client, _ *kmsg.OffsetCommitRequest, response *kmsg.OffsetCommitResponse, err error) {
		if failed = err; err != nil {
			return
		}
		for _, topic := range response.Topics {
			for _, p := range topic.Partitions {
				if err := kerr.ErrorForCode(p.ErrorCode); err != nil && failed == nil {
					failed = err
				}
			}
		}
	})
	if failed == nil {
		r.progress.saved(offsets)
	}
	return failed
}

// revoked commits what was printed of partitions before another member gets them.
func (r *reading) revoked(ctx context.Context, client *kgo.Client, gone map[string][]int32) {
	if err := r.save(ctx, client); err != nil {
		r.warn("committing the group's offsets before partitions go to another member: " + err.Error())
	}
	r.progress.remove(gone)
}

// leave commits what was printed and leaves the group, so that another member, or the next run, goes on at once.
func (r *reading) leave(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), min(r.timeout, 5*time.Second))
	defer cancel()
	if err := r.save(ctx, r.client.Client); err != nil {
		return fmt.Errorf("committing the group's offsets: %w", err)
	}
	r.client.AllowRebalance()
	return r.client.LeaveGroupContext(ctx)
}
