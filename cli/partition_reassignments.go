package cli

import (
	"context"
	"fmt"

	"github.com/spf13/cobra"
)

func partitionReassignmentsCommand(o *options) *cobra.Command {
	w := watching{}
	cmd := &cobra.Command{
		Use:   "reassignments",
		Short: "Show the partitions that are being moved, and how far they are",
		Long: `Show the partitions that are being moved to other brokers: the replicas that are added and taken away,
and how much of the new ones is copied, if the brokers tell.

JSON: a list of objects with the fields topic, partition, replicas (with those that are added), adding,
removing, bytes_copied, bytes (that there are to copy; both null: not known).`,
		Example: `  weir partition reassignments
  weir partition reassignments --watch
  weir partition reassignments -o json | jq 'map(.bytes - .bytes_copied) | add'`,
		Args:              noArgs,
		ValidArgsFunction: cobra.NoFileCompletions,
	}
	w.flags(cmd)
	cmd.RunE = o.run(func(ctx context.Context, cmd *cobra.Command, _ []string) error {
		return o.watch(ctx, cmd, w, func(ctx context.Context, c *client, p *printer) error {
			moving, err := c.reassignments(ctx)
			if err != nil {
				return err
			}
			c.measure(ctx, moving)
			switch {
			case ctx.Err() != nil:
				return ctx.Err()
			case p.json:
				return p.document(orEmpty(moving))
			case len(moving) == 0:
				return p.line("No partition is being moved.")
			}
			return printReassignments(p, moving, len(moving))
		})
	})
	return cmd
}

// printReassignments shows what moves, at most so many partitions.
func printReassignments(p *printer, moving []reassignment, most int) error {
	t := newTable("TOPIC", "PARTITION", "REPLICAS", "ADDING", "REMOVING", "COPIED", "OF", "DONE")
	for _, r := range moving[:min(len(moving), most)] {
		copied, of, done := "", "", ""
		if r.Bytes != nil {
			copied, of = wordOf(bytesText(float64(*r.Copied))), wordOf(bytesText(float64(*r.Bytes)))
			if *r.Bytes > 0 {
				done = fmt.Sprintf("%d%%", 100**r.Copied / *r.Bytes)
			}
		}
		t.row(r.Topic, r.Partition, numbers(r.target()), numbers(r.Adding), numbers(r.Removing), copied, of, done)
	}
	return joined(p.table(t), p.more(len(moving), most))
}
