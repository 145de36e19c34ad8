package cli

import (
	"context"
	"fmt"
	"io"
	"maps"
	"slices"
	"time"

	"github.com/spf13/cobra"
	"github.com/twmb/franz-go/pkg/kadm"
)

type groupReset struct {
	topics                           []string
	to, toTime, byDuration, fromFile string
	shiftBy                          int64
	execute, dryRun, export          bool
}

func groupResetCommand(o *options) *cobra.Command {
	var r groupReset
	cmd := &cobra.Command{
		Use:   "reset-offsets GROUP",
		Short: "Move a group to other offsets",
		Long: `Move a group to other offsets: of all partitions where it has committed some, or of those of --topic.
It shows what would be done; with --execute it does it. The group must have no members then.

Where to is one of --to, --to-time, --by-duration, --shift-by and --from-file. What is outside of a
partition becomes its start or its end, and a note says so. A group that does not exist yet is made.

` + positionHelp + `
For --to also current: where the group is, or the end where it has committed nothing.
` + partitionsHelp + `

--from-file reads, and --export writes, lines of topic,partition,offset as kafka-consumer-groups has
them (with several groups: group,topic,partition,offset). It also reads what -o json writes.

JSON: a list of objects with the fields group, topic, partition, committed_offset (null: none), offset
(the new one), note (only if there is one).`,
		Example: `  weir group reset-offsets billing --to earliest
  weir group reset-offsets billing --to-time 2026-11-24T08:30:00Z --topic orders:0,2 --execute
  weir group reset-offsets billing --shift-by -100 --execute
  weir group reset-offsets billing --by-duration 2h
  weir group reset-offsets billing --to current --export > billing.csv
  weir group reset-offsets billing --from-file billing.csv --execute`,
		Args:              needs("GROUP", false),
		ValidArgsFunction: o.completeGroups(false),
		RunE: o.run(func(ctx context.Context, cmd *cobra.Command, args []string) error {
			target, sets, err := r.check(cmd, args[0])
			if err != nil {
				return err
			}
			return o.ask(ctx, func(ctx context.Context, c *client) error {
				return r.reset(ctx, c, cmd, o.printer(cmd), args[0], target, sets)
			})
		}),
	}
	flags := cmd.Flags()
	flags.StringArrayVar(&r.topics, "topic", nil, "a `topic[:partitions]`; may be repeated; without it, all that the group has committed")
	flags.StringVar(&r.to, "to", "", "a `position`: earliest, latest, current, an offset or a time")
	flags.StringVar(&r.toTime, "to-time", "", "the first record that is not older than this `time`")
	flags.StringVar(&r.byDuration, "by-duration", "", "the first record that is not older than a `duration` before now (2h, 7d, PT30M)")
	flags.Int64Var(&r.shiftBy, "shift-by", 0, "so many offsets on from where the group is, or back if less than 0")
	flags.StringVar(&r.fromFile, "from-file", "", "the offsets in a `file`, CSV or JSON; -: standard input")
	flags.BoolVar(&r.execute, "execute", false, "do it")
	flags.BoolVar(&r.dryRun, "dry-run", false, "only show what would be done; so it is without --execute too")
	flags.BoolVar(&r.export, "export", false, "write the new offsets as CSV, and do nothing")
	_ = cmd.RegisterFlagCompletionFunc("topic", o.completeTopics(true))
	_ = cmd.RegisterFlagCompletionFunc("to", cobra.FixedCompletions([]string{"earliest", "latest", "current"}, cobra.ShellCompDirectiveNoFileComp))
	return cmd
}

// check makes sure of the flags and reads the file.
func (r *groupReset) check(cmd *cobra.Command, group string) (target resetTarget, sets []partitionSet, err error) {
	targets := []string{"to", "to-time", "by-duration", "shift-by", "from-file"}
	targets = slices.DeleteFunc(targets, func(flag string) bool { return !cmd.Flags().Changed(flag) })
	switch {
	case len(targets) == 0:
		return target, nil, usagef("say where to: --to, --to-time, --by-duration, --shift-by or --from-file")
	case len(targets) > 1:
		return target, nil, usagef("--%s and --%s exclude each other", targets[0], targets[1])
	case r.execute && (r.dryRun || r.export):
		return target, nil, usagef("--execute goes with neither --dry-run nor --export, which change nothing")
	}
	if sets, err = parseAllPartitions(r.topics); err != nil {
		return target, nil, err
	}
	target, err = r.target(targets[0], group, cmd.InOrStdin())
	return target, sets, err
}

func (r *groupReset) target(flag, group string, stdin io.Reader) (target resetTarget, err error) {
	now := time.Now()
	switch flag {
	case "to":
		if r.to == "current" {
			target.kind = resetToCurrent
		} else {
			target.position, err = parsePosition(r.to, now)
		}
	case "to-time":
		target.position, err = parseTime("--to-time", r.toTime, now)
	case "by-duration":
		var d time.Duration
		if d, err = parseAge(r.byDuration); err != nil {
			err = usagef("--by-duration %q: use 90s, 30m, 2h, 7d or PT30M", r.byDuration)
		}
		target.position = position{fromTime, ago(d, now)}
	case "shift-by":
		target.kind, target.shift = resetByShift, r.shiftBy
	case "from-file":
		target.kind = resetToFile
		target.file, err = readOffsets(r.fromFile, stdin, group)
	}
	return target, err
}

func (r *groupReset) reset(ctx context.Context, c *client, cmd *cobra.Command, p *printer, group string, target resetTarget, sets []partitionSet) error {
	plan, err := r.plan(ctx, c, cmd, group, target, sets)
	if err != nil {
		return err
	}
	if r.export {
		for _, line := range plan {
			if line.Note != "" {
				cmd.PrintErrf("Partition %d of topic %s: %s.\n", line.Partition, escape(line.Topic), line.Note)
			}
		}
		return writeOffsetsCSV(p, plan)
	}
	if !r.execute {
		cmd.PrintErrln(dryRunHint("--execute"))
		return printPlan(p, plan)
	}
	done, err := commitPlan(ctx, c, group, plan)
	return printDone(p, done, err, printPlan)
}

// plan finds out what is to be reset, and to what.
func (r *groupReset) plan(ctx context.Context, c *client, cmd *cobra.Command, group string, target resetTarget, sets []partitionSet) ([]offsetReset, error) {
	isNew, err := r.mayReset(ctx, c, group)
	if err != nil {
		return nil, err
	}
	if isNew != nil && len(sets) == 0 && target.kind != resetToFile {
		return nil, isNew
	}
	committed := map[topicPartition]int64{}
	if isNew != nil {
		cmd.PrintErrf("Group %s does not exist yet: its offsets make it.\n", escape(group))
	} else if committed, err = c.committed(ctx, group); err != nil {
		return nil, err
	}
	wanted, err := c.toReset(ctx, group, target, sets, committed)
	if err != nil {
		return nil, err
	}
	places, err := c.places(ctx, wanted, target.position)
	if err != nil {
		return nil, err
	}
	plan := []offsetReset{}
	for _, at := range wanted {
		var was *int64
		if offset, ok := committed[at]; ok {
			was = &offset
		}
		offset, note, err := target.plan(at, was, places[at])
		if err != nil {
			return nil, err
		}
		plan = append(plan, offsetReset{group, at.topic, at.partition, was, offset, note})
	}
	return plan, nil
}

// mayReset makes sure that nobody uses a group. isNew says that there is no such group.
func (r *groupReset) mayReset(ctx context.Context, c *client, group string) (isNew, err error) {
	groups, err := c.groups(ctx)
	if err != nil {
		return nil, err
	}
	g, isNew := groups.named(group)
	if isNew != nil || r.export {
		return isNew, nil
	}
	d := groupDescription{Group: g.Group, Type: g.Type, State: g.State}
	if err := d.describe(ctx, c); err != nil {
		return nil, fmt.Errorf("group %q: %w", group, err)
	}
	if d.State == "Empty" || d.State == "Dead" {
		return nil, nil
	}
	return nil, fmt.Errorf("group %q is in use: it is %s with %s; stop its consumers first, then reset its offsets",
		group, d.State, plural(int64(len(d.Members)), "member"))
}

// committed gives the offsets that a group has committed.
func (c *client) committed(ctx context.Context, group string) (map[topicPartition]int64, error) {
	offsets, err := c.admin.FetchOffsets(ctx, group)
	if err != nil {
		return nil, err
	}
	all := map[topicPartition]int64{}
	for _, o := range offsets.Sorted() {
		if o.Err != nil {
			return nil, fmt.Errorf("the committed offset of partition %d of topic %q: %w", o.Partition, o.Topic, o.Err)
		}
		if o.At >= 0 {
			all[topicPartition{o.Topic, o.Partition}] = o.At
		}
	}
	return all, nil
}

// toReset gives the partitions to reset: of --topic, of the file, or where the group has committed something. Of a file and
// --topic, those that are in both.
func (c *client) toReset(ctx context.Context, group string, target resetTarget, sets []partitionSet, committed map[topicPartition]int64) ([]topicPartition, error) {
	named := maps.Keys(committed)
	if target.kind == resetToFile {
		named = maps.Keys(target.file)
	}
	if len(sets) == 0 {
		for at := range named {
			sets = append(sets, partitionSet{at.topic, []int32{at.partition}})
		}
	}
	if len(sets) == 0 {
		return nil, fmt.Errorf("group %q has committed no offsets: say with --topic which partitions to set", group)
	}
	wanted, _, err := c.partitionsOf(ctx, sets)
	if err != nil {
		return nil, err
	}
	if target.kind == resetToFile {
		wanted = slices.DeleteFunc(wanted, func(at topicPartition) bool { _, ok := target.file[at]; return !ok })
	}
	return wanted, nil
}

// commitPlan makes the new offsets those of the group, and gives what was done of the plan.
func commitPlan(ctx context.Context, c *client, group string, plan []offsetReset) ([]offsetReset, error) {
	offsets := kadm.Offsets{}
	for _, r := range plan {
		offsets.AddOffset(r.Topic, r.Partition, r.Offset, -1)
	}
	responses, err := c.admin.CommitOffsets(ctx, group, offsets)
	if err != nil {
		return nil, err
	}
	var failed []error
	done := slices.DeleteFunc(plan, func(r offsetReset) bool {
		answer, answered := responses[r.Topic][r.Partition]
		err := answer.Err
		if !answered {
			err = errNoAnswer
		}
		if err != nil {
			failed = append(failed, fmt.Errorf("partition %d of topic %q was not reset: %w", r.Partition, r.Topic, err))
		}
		return err != nil
	})
	return done, joined(failed...)
}

func printPlan(p *printer, plan []offsetReset) error {
	if p.json {
		return p.document(plan)
	}
	t := newTable("TOPIC", "PARTITION", "CURRENT", "NEW", "NOTE?")
	for _, r := range plan {
		t.row(r.Topic, r.Partition, number(r.Committed), r.Offset, r.Note)
	}
	return p.table(t)
}
