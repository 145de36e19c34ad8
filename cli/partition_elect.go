package cli

import (
	"context"
	"errors"
	"fmt"

	"github.com/spf13/cobra"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
)

type partitionElect struct {
	all, unclean, yes bool
}

// election is what became of a partition's leadership. Its JSON names are documented in the help.
type election struct {
	Topic     string `json:"topic"`
	Partition int32  `json:"partition"`
	Before    int32  `json:"leader_before"`
	After     int32  `json:"leader"`
	Elected   bool   `json:"elected"`
}

func partitionElectCommand(o *options) *cobra.Command {
	var e partitionElect
	cmd := &cobra.Command{
		Use:   "elect [TOPIC[:PARTITIONS]...]",
		Short: "Elect leaders of partitions",
		Long: `Let the first replica of partitions lead, if it is in sync and does not lead already; so leadership is
where it should be after brokers were restarted.

--unclean lets any replica that is up lead a partition that has no leader. Records that only the missing
replicas have are lost, also acknowledged ones: it is for when those replicas will never come back. Weir
does so only where nobody can have them any more: the only replica was on a disk that is lost, and the
partition begins anew, empty.

` + partitionsHelp + `

JSON: a list of objects with the fields topic, partition, leader_before, leader (-1: none), elected
(false: nothing had to be done).`,
		Example: `  weir partition elect --all
  weir partition elect orders:0,2 payments
  weir partition elect orders:3 --unclean`,
		ValidArgsFunction: o.completeTopics(true),
		RunE: o.run(func(ctx context.Context, cmd *cobra.Command, args []string) error {
			sets, err := parseAllPartitions(args)
			switch {
			case err != nil:
				return err
			case len(args) == 0 && !e.all:
				return usagef("say of which partitions, or --all")
			case len(args) > 0 && e.all:
				return usagef("name partitions or give --all, not both")
			}
			if e.unclean && !e.yes {
				if err := confirm(ctx, cmd, "Lose the records that only the missing replicas have?", "no leader was elected"); err != nil {
					return err
				}
			}
			return o.ask(ctx, func(ctx context.Context, c *client) error {
				done, err := e.elect(ctx, c, sets)
				return printDone(o.printer(cmd), done, err, printElections)
			})
		}),
	}
	cmd.Flags().BoolVar(&e.all, "all", false, "of all partitions")
	cmd.Flags().BoolVar(&e.unclean, "unclean", false, "where there is no leader, let a replica lead that is not in sync; records may be lost")
	cmd.Flags().BoolVarP(&e.yes, "yes", "y", false, "do not ask")
	return cmd
}

// elect has leaders elected, and gives the partitions that were elected for, or all that were named.
func (e *partitionElect) elect(ctx context.Context, c *client, sets []partitionSet) ([]election, error) {
	var asked kadm.TopicsSet // nil: all
	if !e.all {
		wanted, _, err := c.partitionsOf(ctx, sets)
		if err != nil {
			return nil, err
		}
		for _, at := range wanted {
			asked.Add(at.topic, at.partition)
		}
	}
	before, err := c.view(ctx)
	if err != nil {
		return nil, err
	}
	how := kadm.ElectPreferredReplica
	if e.unclean {
		how = kadm.ElectLiveReplica
	}
	results, err := c.admin.ElectLeaders(ctx, how, asked)
	if err != nil {
		return nil, err
	}
	after, err := c.view(ctx)
	if err != nil {
		return nil, err
	}
	done := []election{}
	var failed []error
	for _, p := range before.partitions {
		r, answered := results[p.topic][p.partition]
		is := after.partition(p.topicPartition)
		needless := errors.Is(r.Err, kerr.ElectionNotNeeded)
		switch {
		case !answered && e.all, is == nil, needless && e.all:
		case !answered && !asked.Lookup(p.topic, p.partition):
		case !answered:
			failed = append(failed, fmt.Errorf("partition %d of topic %q: %w", p.partition, p.topic, errNoAnswer))
		case r.Err != nil && !needless:
			failed = append(failed, fmt.Errorf("partition %d of topic %q: %w", p.partition, p.topic, electionError(r, *is)))
		default:
			leader := is.leader
			if !needless && !e.unclean {
				leader = p.replicas[0] // which the broker that was asked may not have heard of yet
			}
			done = append(done, election{p.topic, p.partition, p.leader, leader, !needless})
		}
	}
	return done, someOf(failed)
}

// electionError says what can be done about a leader that could not be elected.
func electionError(r kadm.ElectLeadersResult, p partitionView) error {
	switch {
	case errors.Is(r.Err, kerr.PreferredLeaderNotAvailable) && len(p.replicas) > 0:
		return fmt.Errorf("broker %d should lead, but its replica is not in sync: see `weir cluster status`", p.replicas[0])
	case errors.Is(r.Err, kerr.EligibleLeadersNotAvailable):
		return errors.New("too few of its replicas are up: start their brokers")
	}
	return brokerError(r.Err, r.ErrMessage)
}

func printElections(p *printer, done []election) error {
	if p.json {
		return p.document(done)
	}
	if len(done) == 0 {
		return p.line("Every partition is led by the replica that should lead it.")
	}
	t := newTable("TOPIC", "PARTITION", "LEADER-BEFORE", "LEADER", "RESULT")
	for _, d := range done {
		result := "elected"
		if !d.Elected {
			result = "not-needed"
		}
		t.row(d.Topic, d.Partition, leaderText(d.Before), leaderText(d.After), result)
	}
	return p.table(t)
}
