package cli

import (
	"context"
	"errors"
	"fmt"

	"github.com/spf13/cobra"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
)

func groupDeleteCommand(o *options) *cobra.Command {
	d := deleter{kind: "group"}
	cmd := &cobra.Command{
		Use:   "delete GROUP...",
		Short: "Delete groups and their committed offsets",
		Long: `Delete groups and their committed offsets. They must have no members. On a terminal it asks first.

JSON: a list of the names of the groups deleted.`,
		Example: `  weir group delete billing
  weir group delete billing dispatch --yes
  weir group delete billing --if-exists`,
		Args:              needs("GROUP", true),
		ValidArgsFunction: o.completeGroups(true),
		RunE: o.run(func(ctx context.Context, cmd *cobra.Command, names []string) error {
			names = unique(names)
			if err := d.confirm(ctx, cmd, names, "committed offsets"); err != nil {
				return err
			}
			return o.ask(ctx, func(ctx context.Context, c *client) error {
				return deleteGroups(ctx, c, o.printer(cmd), &d, names)
			})
		}),
	}
	d.flags(cmd)
	return cmd
}

func deleteGroups(ctx context.Context, c *client, p *printer, d *deleter, names []string) error {
	responses, err := c.admin.DeleteGroups(ctx, names...)
	if err != nil {
		return err
	}
	return d.print(p, names, func(name string) (absent bool, err error) {
		r, ok := responses[name]
		switch {
		case !ok:
			return false, d.unanswered(name)
		case r.Err != nil:
			return errors.Is(r.Err, kerr.GroupIDNotFound), c.groupError(ctx, name, r.Err, r.ErrMessage)
		}
		return false, nil
	})
}

// groupError names the group that an error is about, and says what to do. message is the broker's, if it sent one.
func (c *client) groupError(ctx context.Context, name string, err error, message string) error {
	switch {
	case errors.Is(err, kerr.GroupIDNotFound):
		groups, listErr := c.groups(ctx)
		if listErr != nil {
			return listErr
		}
		return unknown("group", name, groups.names())
	case errors.Is(err, kerr.NonEmptyGroup):
		return fmt.Errorf("group %q has members: stop its consumers first", name)
	case errors.Is(err, kerr.GroupSubscribedToTopic):
		return fmt.Errorf("group %q has members that consume the topic: stop them first", name)
	}
	return fmt.Errorf("group %q: %w", name, brokerError(err, message))
}

func groupDeleteOffsetsCommand(o *options) *cobra.Command {
	var topics []string
	cmd := &cobra.Command{
		Use:   "delete-offsets GROUP --topic TOPIC",
		Short: "Forget the offsets that a group has committed for a topic",
		Long: `Forget the offsets that a group has committed for a topic, or for some partitions. No member of the
group may consume the topic. A consumer that starts without an offset goes where its own
configuration says (auto.offset.reset).

` + partitionsHelp + `

JSON: a list of objects with the fields topic, partition, committed_offset (that was forgotten).`,
		Example: `  weir group delete-offsets billing --topic orders
  weir group delete-offsets billing --topic orders:0,2 --topic payments`,
		Args:              needs("GROUP", false),
		ValidArgsFunction: o.completeGroups(false),
		RunE: o.run(func(ctx context.Context, cmd *cobra.Command, args []string) error {
			if len(topics) == 0 {
				return usagef("say which offsets with --topic; `weir group delete` deletes the group with all of them")
			}
			sets, err := parseAllPartitions(topics)
			if err != nil {
				return err
			}
			return o.ask(ctx, func(ctx context.Context, c *client) error {
				return deleteOffsets(ctx, c, o.printer(cmd), args[0], sets)
			})
		}),
	}
	cmd.Flags().StringArrayVar(&topics, "topic", nil, "a `topic[:partitions]`; may be repeated")
	_ = cmd.RegisterFlagCompletionFunc("topic", o.completeTopics(true))
	return cmd
}

// forgottenOffset is an offset that was deleted. Its JSON names are documented in the help.
type forgottenOffset struct {
	Topic     string `json:"topic"`
	Partition int32  `json:"partition"`
	Committed int64  `json:"committed_offset"`
}

func deleteOffsets(ctx context.Context, c *client, p *printer, group string, sets []partitionSet) error {
	groups, err := c.groups(ctx)
	if err != nil {
		return err
	}
	if _, err := groups.named(group); err != nil {
		return err
	}
	committed, err := c.committed(ctx, group)
	if err != nil {
		return err
	}
	// The topic may be gone: its offsets can still be forgotten, so only the group is asked which partitions there are.
	wanted := kadm.TopicsSet{}
	var absent []error
	for _, set := range sets {
		found := false
		for at := range committed {
			if set.includes(at) {
				wanted.Add(at.topic, at.partition)
				found = true
			}
		}
		if !found {
			absent = append(absent, fmt.Errorf("group %q has committed no offsets for %s: `weir group describe` shows for which", group, set))
		}
	}
	if len(absent) > 0 {
		return joined(absent...)
	}
	responses, err := c.admin.DeleteOffsets(ctx, group, wanted)
	if err != nil {
		return c.groupError(ctx, group, err, "")
	}
	var failed []error
	forgotten := []forgottenOffset{}
	for _, t := range wanted.Sorted() {
		for _, partition := range t.Partitions {
			if err := responses[t.Topic][partition]; err != nil {
				failed = append(failed, fmt.Errorf("partition %d of topic %q: %w", partition, t.Topic, c.groupError(ctx, group, err, "")))
				continue
			}
			forgotten = append(forgotten, forgottenOffset{t.Topic, partition, committed[topicPartition{t.Topic, partition}]})
		}
	}
	return printDone(p, forgotten, joined(failed...), printForgotten)
}

func printForgotten(p *printer, forgotten []forgottenOffset) error {
	if p.json {
		return p.document(forgotten)
	}
	t := newTable("TOPIC", "PARTITION", "FORGOTTEN")
	for _, f := range forgotten {
		t.row(f.Topic, f.Partition, f.Committed)
	}
	return p.table(t)
}
