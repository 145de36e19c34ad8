package cli

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"time"

	"github.com/spf13/cobra"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
)

func partitionCommand(o *options) *cobra.Command {
	cmd := group(&cobra.Command{
		Use:   "partition",
		Short: "Describe partitions, move them, elect their leaders, delete their oldest records",
		Example: `  weir partition describe orders
  weir partition reassign orders:3 --replicas 1,2,3
  weir partition delete-records orders --before -7d`,
	})
	cmd.AddCommand(partitionDescribeCommand(o), partitionDeleteRecordsCommand(o), partitionReassignCommand(o), partitionReassignmentsCommand(o),
		partitionElectCommand(o))
	return cmd
}

// partitionDescription is what `partition describe` tells. Its JSON names are documented in the help.
type partitionDescription struct {
	Topic string `json:"topic"`
	partitionPlacement
	Stable    *int64         `json:"last_stable_offset"`
	Logs      []replicaLog   `json:"logs"`
	Producers []producerInfo `json:"producers"`
}

// replicaLog is a replica's log in a broker's directory.
type replicaLog struct {
	Broker int32  `json:"broker"`
	Dir    string `json:"dir"`
	Bytes  int64  `json:"bytes"`
	Lag    int64  `json:"offset_lag"`
	Future bool   `json:"future"`
}

// producerInfo is a producer whose sequence numbers a partition remembers.
type producerInfo struct {
	ID               int64  `json:"producer_id"`
	Epoch            int16  `json:"epoch"`
	LastSequence     int32  `json:"last_sequence"`
	LastTimestamp    int64  `json:"last_timestamp"`
	CoordinatorEpoch int32  `json:"coordinator_epoch"`
	TransactionStart *int64 `json:"transaction_start_offset"`
}

func partitionDescribeCommand(o *options) *cobra.Command {
	return &cobra.Command{
		Use:   "describe TOPIC[:PARTITIONS]...",
		Short: "Show where partitions are, how large they are, and who writes to them",
		Long: `Show partitions: leader, leader epoch, replicas, in-sync replicas, the first offset, the offset after the
last record and after the last one of a finished transaction, the size of the log of each replica, and
the producers that the leader remembers (idempotent and transactional ones).

` + partitionsHelp + `

JSON: a list of objects with the fields topic, those of partitions in 'weir topic describe',
last_stable_offset,
  logs (null: not known): broker, dir, bytes, offset_lag (behind the high watermark), future (the log is
  being moved there);
  producers (null: not known): producer_id, epoch, last_sequence, last_timestamp (ms), coordinator_epoch,
  transaction_start_offset (null: no transaction is open).`,
		Example: `  weir partition describe orders
  weir partition describe orders:0,2 payments:5
  weir partition describe orders -o json | jq '[.[].logs[].bytes] | add'`,
		Args:              needs("TOPIC", true),
		ValidArgsFunction: o.completeTopics(true),
		RunE: o.run(func(ctx context.Context, cmd *cobra.Command, args []string) error {
			sets, err := parseAllPartitions(args)
			if err != nil {
				return err
			}
			return o.ask(ctx, func(ctx context.Context, c *client) error {
				described, err := describePartitions(ctx, c, sets)
				if err != nil {
					return err
				}
				return printPartitions(o.printer(cmd), described)
			})
		}),
	}
}

func describePartitions(ctx context.Context, c *client, sets []partitionSet) ([]partitionDescription, error) {
	wanted, details, err := c.partitionsOf(ctx, sets)
	if err != nil {
		return nil, err
	}
	starts, ends, err := c.extents(ctx, details.Names())
	if err != nil {
		return nil, err
	}
	asked := kadm.TopicsSet{}
	for _, at := range wanted {
		asked.Add(at.topic, at.partition)
	}
	// What follows not every cluster tells, nor every user may know: it stays unknown then.
	stable, _ := c.admin.ListCommittedOffsets(ctx, details.Names()...)
	dirs, _ := c.admin.DescribeAllLogDirs(ctx, asked)
	producers, _ := c.admin.DescribeProducers(ctx, asked)
	var all []partitionDescription
	for _, at := range wanted {
		all = append(all, partitionDescription{
			Topic:              at.topic,
			partitionPlacement: placementOf(details[at.topic].Partitions[at.partition], starts, ends),
			Stable:             offsetOf(stable, at.topic, at.partition),
			Logs:               logsOf(dirs, at),
			Producers:          producersOf(producers[at.topic].Partitions, at.partition),
		})
	}
	return all, ctx.Err()
}

// logsOf gives the logs of a partition's replicas; nil: not known.
func logsOf(dirs kadm.DescribedAllLogDirs, at topicPartition) []replicaLog {
	var logs []replicaLog
	for _, dir := range dirs.Sorted() {
		if p, ok := dir.Topics.Lookup(at.topic, at.partition); ok {
			logs = append(logs, replicaLog{dir.Broker, dir.Dir, p.Size, p.OffsetLag, p.IsFuture})
		}
	}
	return logs
}

// producersOf gives the producers of a partition; nil: not known.
func producersOf(partitions kadm.DescribedProducersPartitions, id int32) []producerInfo {
	p, ok := partitions[id]
	if !ok || p.Err != nil {
		return nil
	}
	producers := []producerInfo{}
	for _, active := range p.ActiveProducers.Sorted() {
		info := producerInfo{ID: active.ProducerID, Epoch: active.ProducerEpoch, LastSequence: active.LastSequence,
			LastTimestamp: active.LastTimestamp, CoordinatorEpoch: active.CoordinatorEpoch}
		if active.CurrentTxnStartOffset >= 0 {
			info.TransactionStart = &active.CurrentTxnStartOffset
		}
		producers = append(producers, info)
	}
	return producers
}

func printPartitions(p *printer, described []partitionDescription) error {
	if p.json {
		return p.document(described)
	}
	partitions := newTable("TOPIC", "PARTITION", "LEADER", "EPOCH", "REPLICAS", "ISR", "START", "STABLE", "END", "ERROR?")
	logs := newTable("TOPIC", "PARTITION", "BROKER", "SIZE", "OFFSET-LAG", "DIR")
	producers := newTable("TOPIC", "PARTITION", "PRODUCER-ID", "EPOCH", "LAST-SEQUENCE", "LAST-WRITE", "TRANSACTION-START")
	for _, d := range described {
		partitions.row(d.Topic, d.Partition, leaderText(d.Leader), d.Epoch, numbers(d.Replicas), numbers(d.ISR), number(d.Start), number(d.Stable), number(d.End), d.Error)
		for _, l := range d.Logs {
			logs.row(d.Topic, d.Partition, l.Broker, wordOf(bytesText(float64(l.Bytes))), l.Lag, l.Dir)
		}
		for _, w := range d.Producers {
			producers.row(d.Topic, d.Partition, w.ID, w.Epoch, w.LastSequence, timeText(w.LastTimestamp), number(w.TransactionStart))
		}
	}
	err := p.table(partitions)
	if len(logs.rows) > 0 {
		err = joined(err, p.line(""), p.table(logs))
	}
	if len(producers.rows) > 0 {
		err = joined(err, p.line(""), p.table(producers))
	}
	return err
}

func leaderText(id int32) string {
	if id < 0 {
		return ""
	}
	return strconv.Itoa(int(id))
}

func partitionDeleteRecordsCommand(o *options) *cobra.Command {
	var before string
	var execute bool
	cmd := &cobra.Command{
		Use:   "delete-records TOPIC[:PARTITIONS]...",
		Short: "Delete the oldest records of partitions",
		Long: `Delete the oldest records of partitions: all before a position. It shows what would be deleted; with
--execute it does it. The records cannot be brought back.

` + positionHelp + `
` + partitionsHelp + `

JSON: a list of objects with the fields topic, partition, start_offset (before), end_offset, delete_before
(the new first offset), note (only if there is one).`,
		Example: `  weir partition delete-records orders --before -7d
  weir partition delete-records orders:0,2 --before 1200 --execute
  weir partition delete-records orders --before end --execute`,
		Args:              needs("TOPIC", true),
		ValidArgsFunction: o.completeTopics(true),
		RunE: o.run(func(ctx context.Context, cmd *cobra.Command, args []string) error {
			sets, err := parseAllPartitions(args)
			if err != nil {
				return err
			}
			if before == "" {
				return usagef("say what to delete with --before: an offset, a time, or end for all records")
			}
			to, err := parsePosition(before, time.Now())
			if err != nil {
				return err
			}
			return o.ask(ctx, func(ctx context.Context, c *client) error {
				plan, err := planDeletion(ctx, c, sets, to)
				if err != nil {
					return err
				}
				if !execute {
					cmd.PrintErrln(dryRunHint("--execute"))
					return printDeletion(o.printer(cmd), plan)
				}
				done, err := deleteRecords(ctx, c, plan)
				return printDone(o.printer(cmd), done, err, printDeletion)
			})
		}),
	}
	cmd.Flags().StringVar(&before, "before", "", "the `position` of the first record to keep")
	cmd.Flags().BoolVar(&execute, "execute", false, "do it")
	return cmd
}

// deletion is a partition's line in the plan. Its JSON names are documented in the help.
type deletion struct {
	Topic     string `json:"topic"`
	Partition int32  `json:"partition"`
	Start     int64  `json:"start_offset"`
	End       int64  `json:"end_offset"`
	Before    int64  `json:"delete_before"`
	Note      string `json:"note,omitempty"`
}

func planDeletion(ctx context.Context, c *client, sets []partitionSet, to position) ([]deletion, error) {
	wanted, _, err := c.partitionsOf(ctx, sets)
	if err != nil {
		return nil, err
	}
	places, err := c.places(ctx, wanted, to)
	if err != nil {
		return nil, err
	}
	plan := []deletion{}
	for _, at := range wanted {
		before, note := to.within(places[at])
		plan = append(plan, deletion{at.topic, at.partition, places[at].start, places[at].end, before, note})
	}
	return plan, nil
}

// deleteRecords does what a plan says, and gives what was done of it.
func deleteRecords(ctx context.Context, c *client, plan []deletion) ([]deletion, error) {
	offsets := kadm.Offsets{}
	for _, d := range plan {
		if d.Before > d.Start {
			offsets.AddOffset(d.Topic, d.Partition, d.Before, -1)
		}
	}
	responses, err := c.admin.DeleteRecords(ctx, offsets)
	if err != nil {
		return nil, err
	}
	var failed []error
	done := slices.DeleteFunc(plan, func(d deletion) bool {
		r, answered := responses[d.Topic][d.Partition]
		err := r.Err
		if !answered && d.Before > d.Start {
			err = errNoAnswer
		}
		switch {
		case errors.Is(err, kerr.PolicyViolation):
			failed = append(failed, fmt.Errorf("topic %q is compacted: records can only be deleted where cleanup.policy includes delete", d.Topic))
		case err != nil:
			failed = append(failed, fmt.Errorf("partition %d of topic %q: %w", d.Partition, d.Topic, err))
		}
		return err != nil
	})
	return done, joined(failed...)
}

func printDeletion(p *printer, plan []deletion) error {
	if p.json {
		return p.document(plan)
	}
	t := newTable("TOPIC", "PARTITION", "START", "END", "DELETE-BEFORE", "OFFSETS", "NOTE?")
	for _, d := range plan {
		t.row(d.Topic, d.Partition, d.Start, d.End, d.Before, d.Before-d.Start, d.Note)
	}
	return p.table(t)
}
