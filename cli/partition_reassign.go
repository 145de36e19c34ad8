package cli

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"slices"
	"strconv"
	"strings"

	"github.com/spf13/cobra"
)

// assignmentBytesMax bounds what is read from a file of assignments.
const assignmentBytesMax = 256 << 20

type partitionReassign struct {
	replicas       []string
	file           string
	cancel, all    bool
	noWait, dryRun bool
	throttle       sizeValue
}

// assignments is Kafka's file of them.
type assignments struct {
	Version    int          `json:"version"`
	Partitions []assignment `json:"partitions"`
}

type assignment struct {
	Topic     string  `json:"topic"`
	Partition int32   `json:"partition"`
	Replicas  []int32 `json:"replicas"`
}

func partitionReassignCommand(o *options) *cobra.Command {
	var a partitionReassign
	m := newMover(o, nil, nil)
	m.atOnce = 1 << 30
	cmd := &cobra.Command{
		Use:   "reassign [TOPIC[:PARTITIONS]...]",
		Short: "Move partitions to other brokers",
		Long: `Give partitions other replicas, and wait until they are there. The first replica is the one that should
lead. More or fewer replicas than before change the replication factor. The partitions are served all
the time. Ctrl-C ends only the waiting, and the same command waits again.

The partitions are those that are named, which all get --replicas, or those of a file as Kafka's tools
write it:
  {"version": 1, "partitions": [{"topic": "orders", "partition": 0, "replicas": [1, 2, 3]}]}

--throttle bounds how much each broker copies per second, with Kafka's configurations
leader.replication.throttled.rate and follower.replication.throttled.rate of the cluster and ….replicas of
the topics; what is in sync is not slowed down. They are unset when the replicas are there. If the command
is interrupted they stay; the same command goes on, and another --throttle changes the rate.

--cancel takes back what is under way for the partitions that are named, or in the file, or with --all:
they keep the replicas that they had.

` + partitionsHelp + `

JSON: a list of objects with the fields topic, partition, from, to (lists of brokers), bytes (of one
replica; 0: not known).`,
		Example: `  weir partition reassign orders:3 --replicas 1,2,3
  weir partition reassign --from-file plan.json --at-once 10 --throttle 50MiB
  weir partition reassign --cancel orders
  weir partition reassign --cancel --all`,
		ValidArgsFunction: o.completeTopics(true),
	}
	cmd.RunE = o.run(func(ctx context.Context, cmd *cobra.Command, args []string) error {
		sets, replicas, err := a.check(cmd, args)
		if err == nil {
			err = m.check()
		}
		if err != nil {
			return err
		}
		var wanted []assignment
		if a.file != "" {
			if wanted, err = readAssignments(a.file, cmd.InOrStdin()); err != nil {
				return err
			}
		}
		return o.connected(ctx, func(c *client) error {
			if len(sets) > 0 {
				err := o.within(ctx, func(ctx context.Context) (err error) {
					wanted, err = assignAll(ctx, c, sets, replicas)
					return err
				})
				if err != nil {
					return err
				}
			}
			if a.cancel {
				return a.takeBack(ctx, o, cmd, c, wanted)
			}
			m.cmd = cmd
			return a.move(ctx, m, c, wanted)
		})
	})
	flags := cmd.Flags()
	flags.StringSliceVar(&a.replicas, "replicas", nil, "the `brokers` to keep the partitions, the one that should lead first")
	flags.Lookup("replicas").DefValue = ""
	flags.StringVar(&a.file, "from-file", "", "a `file` of assignments in Kafka's JSON; - reads standard input")
	flags.BoolVar(&a.cancel, "cancel", false, "take back what is under way")
	flags.BoolVar(&a.all, "all", false, "with --cancel: of all partitions")
	flags.BoolVar(&a.noWait, "no-wait", false, "do not wait until the replicas are there")
	flags.BoolVar(&a.dryRun, "dry-run", false, "only show what would be moved")
	flags.Var(&a.throttle, "throttle", "how `much` a broker may copy per second, as 50MiB")
	flags.Lookup("throttle").DefValue = ""
	m.flags(cmd)
	flags.Lookup("at-once").DefValue = ""
	flags.Lookup("at-once").Usage = "how many `partitions` may move at the same time; all unless it is given"
	_ = cmd.RegisterFlagCompletionFunc("replicas", o.completeBrokers())
	return cmd
}

// check makes sure that arguments and flags go together.
func (a *partitionReassign) check(cmd *cobra.Command, args []string) ([]partitionSet, []int32, error) {
	changed := cmd.Flags().Changed
	named := len(args) > 0
	switch {
	case named && a.file != "":
		return nil, nil, usagef("name partitions or give --from-file, not both")
	case a.all && !a.cancel:
		return nil, nil, usagef("--all goes with --cancel only: name the partitions to move")
	case a.all && (named || a.file != ""):
		return nil, nil, usagef("--all goes without partitions and --from-file")
	case a.cancel && changed("replicas"):
		return nil, nil, usagef("--cancel and --replicas exclude each other")
	case a.cancel && changed("at-once"):
		return nil, nil, usagef("--cancel and --at-once exclude each other")
	case a.cancel && !named && a.file == "" && !a.all:
		return nil, nil, usagef("say what to take back: partitions, --from-file or --all")
	case !a.cancel && !named && a.file == "":
		return nil, nil, usagef("say what to move: partitions with --replicas, or --from-file")
	case named && !a.cancel && len(a.replicas) == 0:
		return nil, nil, usagef("say where to with --replicas: the ids of brokers, the one that should lead first")
	case a.file != "" && changed("replicas"):
		return nil, nil, usagef("--replicas and --from-file exclude each other")
	case changed("throttle") && (a.cancel || a.noWait):
		return nil, nil, usagef("--throttle is taken back when the replicas are there: it goes without --cancel and --no-wait")
	case changed("throttle") && a.throttle == 0:
		return nil, nil, usagef("--throttle must be at least 1: leave it out to copy without a bound")
	case a.noWait && changed("at-once"):
		return nil, nil, usagef("--no-wait begins everything at once: leave out --at-once")
	}
	sets, err := parseAllPartitions(args)
	if err != nil {
		return nil, nil, err
	}
	var replicas []int32
	for _, text := range a.replicas {
		id, err := strconv.ParseInt(strings.TrimSpace(text), 10, 32)
		if err != nil || id < 0 {
			return nil, nil, usagef("--replicas %q: write the ids of brokers, as 1,2,3", strings.Join(a.replicas, ","))
		}
		replicas = append(replicas, int32(id))
	}
	return sets, replicas, nil
}

// readAssignments reads a file in Kafka's format.
func readAssignments(file string, in io.Reader) ([]assignment, error) {
	if file != "-" {
		f, err := os.Open(file)
		if err != nil {
			return nil, fmt.Errorf("the file of assignments cannot be read: %w", err)
		}
		defer f.Close()
		in = f
	}
	var read assignments
	d := json.NewDecoder(io.LimitReader(in, assignmentBytesMax))
	if err := d.Decode(&read); err != nil {
		return nil, fmt.Errorf("%s does not hold assignments in Kafka's JSON, as {\"version\": 1, \"partitions\": [{\"topic\": \"orders\", \"partition\": 0, \"replicas\": [1, 2]}]}: %w", file, err)
	}
	if read.Version != 1 {
		return nil, fmt.Errorf("%s has version %d of Kafka's format, and only version 1 is known", file, read.Version)
	}
	if len(read.Partitions) == 0 {
		return nil, fmt.Errorf("%s names no partitions", file)
	}
	return read.Partitions, nil
}

// assignAll gives all partitions of sets the same replicas.
func assignAll(ctx context.Context, c *client, sets []partitionSet, replicas []int32) ([]assignment, error) {
	all, _, err := c.partitionsOf(ctx, sets)
	var wanted []assignment
	for _, at := range all {
		wanted = append(wanted, assignment{at.topic, at.partition, replicas})
	}
	return wanted, err
}

// checkAssignments finds what is wrong with assignments before any is asked for, so that a mistake does not leave half of them done.
func checkAssignments(v *clusterView, wanted []assignment) error {
	seen := map[topicPartition]bool{}
	var failed []error
	for _, w := range wanted {
		at := topicPartition{w.Topic, w.Partition}
		problem := func(format string, args ...any) {
			failed = append(failed, fmt.Errorf("partition %d of topic %q %s", w.Partition, w.Topic, fmt.Sprintf(format, args...)))
		}
		switch {
		case seen[at]:
			problem("is there twice")
		case v.partition(at) == nil:
			problem("does not exist")
		case len(w.Replicas) == 0:
			problem("needs at least one replica")
		}
		seen[at] = true
		for i, id := range w.Replicas {
			b := v.broker(id)
			switch {
			case slices.Contains(w.Replicas[:i], id):
				problem("would have two replicas on broker %d", id)
			case b == nil:
				problem("cannot go to broker %d, which does not exist: there is %s", id, numbers(v.live()))
			case !b.up && !slices.Contains(v.planned(*orNone(v.partition(at))), id):
				problem("cannot go to broker %d, which is down", id)
			}
		}
	}
	return someOf(failed)
}

func orNone(p *partitionView) *partitionView {
	if p == nil {
		return &partitionView{}
	}
	return p
}

// planAssignments says which partitions do not have the replicas that they shall have.
func planAssignments(m replicaMap, wanted map[topicPartition][]int32) []move {
	var moves []move
	for _, p := range m.partitions {
		if replicas, ok := wanted[p.topicPartition]; ok && !slices.Equal(p.replicas, replicas) {
			moves = append(moves, move{p.topicPartition, p.replicas, replicas, p.bytes})
		}
	}
	return moves
}

func (a *partitionReassign) move(ctx context.Context, m *mover, c *client, assignments []assignment) error {
	// What is asked for is checked once; a broker that fails later is the cluster's to tell.
	err := m.o.within(ctx, func(ctx context.Context) error {
		v, err := c.view(ctx)
		if err != nil {
			return err
		}
		return checkAssignments(v, assignments)
	})
	if err != nil {
		return err
	}
	wanted := map[topicPartition][]int32{}
	for _, w := range assignments {
		wanted[topicPartition{w.Topic, w.Partition}] = w.Replicas
	}
	m.plan = func(_ *clusterView, now replicaMap) ([]move, error) { return planAssignments(now, wanted), nil }
	m.mine = func(r reassignment) bool { return slices.Equal(wanted[r.at()], r.target()) } // begun by a command that was interrupted
	if a.dryRun || a.noWait {
		return m.only(ctx, c, a.dryRun)
	}
	t := newThrottle(c, a.throttle, assignments)
	if err := m.o.within(ctx, t.begin); err != nil {
		return err
	}
	if err := m.all(ctx, c); err != nil {
		if a.throttle > 0 {
			m.cmd.PrintErrf("The throttle of %s/s stays until the same command has come to its end.\n", a.throttle.String())
		}
		return err
	}
	return m.o.within(ctx, t.end)
}

// takeBack cancels reassignments: those of partitions, or all that are under way.
func (a *partitionReassign) takeBack(ctx context.Context, o *options, cmd *cobra.Command, c *client, of []assignment) error {
	return o.within(ctx, func(ctx context.Context) error {
		moving, err := c.reassignments(ctx)
		if err != nil {
			return err
		}
		if !a.all {
			moving = slices.DeleteFunc(moving, func(r reassignment) bool {
				return !slices.ContainsFunc(of, func(w assignment) bool { return w.Topic == r.Topic && w.Partition == r.Partition })
			})
		}
		back := []move{}
		for _, r := range moving {
			back = append(back, move{r.at(), r.target(), nil, 0})
		}
		p := o.printer(cmd)
		if len(back) == 0 || a.dryRun {
			return printTakenBack(p, back, moving, a.dryRun)
		}
		back, err = c.reassign(ctx, back)
		if len(back) == 0 && err != nil {
			return err
		}
		return joined(err, printTakenBack(p, back, moving, false))
	})
}

// printTakenBack shows which reassignments were cancelled, and the replicas that partitions keep.
func printTakenBack(p *printer, back []move, moving []reassignment, dryRun bool) error {
	kept := []move{}
	for _, m := range back {
		for _, r := range moving {
			if r.at() == m.topicPartition {
				kept = append(kept, move{m.topicPartition, m.from, without(r.Replicas, r.Adding), 0})
			}
		}
	}
	if len(kept) == 0 && !p.json {
		return p.line("None of them is being moved.")
	}
	return printMoves(p, kept)
}

// movedJSON is a move in JSON; its names are documented in the help.
type movedJSON struct {
	Topic     string  `json:"topic"`
	Partition int32   `json:"partition"`
	From      []int32 `json:"from"`
	To        []int32 `json:"to"`
	Bytes     int64   `json:"bytes"`
}

// printMoves shows moves that were done, or would be.
func printMoves(p *printer, moves []move) error {
	if p.json {
		all := []movedJSON{}
		for _, m := range moves {
			all = append(all, movedJSON{m.topic, m.partition, orEmpty(m.from), orEmpty(m.to), m.bytes})
		}
		return p.document(all)
	}
	t := newTable("TOPIC", "PARTITION", "FROM", "TO", "ADDS?", "REMOVES?", "COPIES?")
	for _, m := range moves {
		copies := ""
		if n := m.copies(); n > 0 {
			copies = wordOf(bytesText(float64(n)))
		}
		t.row(m.topic, m.partition, numbers(m.from), numbers(m.to), numbers(m.added()), numbers(m.removed()), copies)
	}
	return p.table(t)
}
