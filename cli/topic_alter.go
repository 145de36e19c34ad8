package cli

import (
	"context"
	"fmt"
	"strconv"

	"github.com/spf13/cobra"
	"github.com/twmb/franz-go/pkg/kmsg"
)

type topicAlter struct {
	partitions  int
	sets, unset []string
	dryRun      bool
}

func topicAlterCommand(o *options) *cobra.Command {
	var a topicAlter
	cmd := &cobra.Command{
		Use:   "alter NAME...",
		Short: "Add partitions to topics, and change their configurations",
		Long: `Add partitions to topics, set and unset their configurations, and show what was before. The cluster is
asked first whether it will take all of it, so that either everything is changed or nothing.

Partitions can only be added. Records stay where they are: from then on a key's records may go to
another partition than its earlier ones.
` + unitsHelp + `

JSON: a list of objects with the fields topic, name (partitions, or that of a configuration), before and
after (null: not set, secret, or a default that the cluster does not tell).`,
		Example: `  weir topic alter orders --partitions 6
  weir topic alter orders --set retention.ms=7d --set segment.bytes=256MiB --unset cleanup.policy
  weir topic alter orders payments --partitions 12 --dry-run`,
		Args:              needs("NAME", true),
		ValidArgsFunction: o.completeTopics(true),
		RunE: o.run(func(ctx context.Context, cmd *cobra.Command, names []string) error {
			edits, err := a.check(cmd)
			if err != nil {
				return err
			}
			return o.ask(ctx, func(ctx context.Context, c *client) error {
				changes, err := a.alter(ctx, c, unique(names), edits)
				if err != nil {
					return err
				}
				if a.dryRun {
					cmd.PrintErrln(dryRunHint("leaving out --dry-run"))
				}
				return printChanges(o.printer(cmd), changes)
			})
		}),
	}
	flags := cmd.Flags()
	flags.IntVar(&a.partitions, "partitions", -1, "how many partitions there shall be")
	flags.StringArrayVar(&a.sets, "set", nil, "a configuration to set, `name=value`; may be repeated")
	flags.StringArrayVar(&a.unset, "unset", nil, "the `name` of a configuration to unset; may be repeated")
	flags.BoolVar(&a.dryRun, "dry-run", false, "only ask the cluster whether it would do it")
	_ = cmd.RegisterFlagCompletionFunc("set", o.completeTopicConfigs("="))
	_ = cmd.RegisterFlagCompletionFunc("unset", o.completeTopicConfigs(""))
	return cmd
}

func (a *topicAlter) check(cmd *cobra.Command) ([]configEdit, error) {
	if !cmd.Flags().Changed("partitions") {
		a.partitions = 0
	} else if a.partitions < 1 {
		return nil, usagef("--partitions must be at least 1")
	}
	edits, err := parseEdits("--set", a.sets, a.unset)
	if err == nil && len(edits) == 0 && a.partitions == 0 {
		err = usagef("say what to change: --partitions, --set or --unset")
	}
	return edits, err
}

// alter changes topics after making sure that the cluster will take all changes, and says what they are.
func (a *topicAlter) alter(ctx context.Context, c *client, names []string, edits []configEdit) ([]change, error) {
	details, err := c.topics(ctx, names)
	if err != nil {
		return nil, err
	}
	changes := []change{}
	var resources []configResource
	var grow []string
	for _, name := range names {
		if a.partitions > 0 {
			before := len(details[name].Partitions)
			if before > a.partitions {
				return nil, fmt.Errorf("topic %q has %d partitions: partitions can be added, not taken away", name, before)
			}
			if before < a.partitions {
				grow = append(grow, name)
			}
			was, is := strconv.Itoa(before), strconv.Itoa(a.partitions)
			changes = append(changes, change{Topic: name, Name: "partitions", Before: &was, After: &is})
		}
		if len(edits) == 0 {
			continue
		}
		r := configResource{kmsg.ConfigResourceTypeTopic, name}
		resources = append(resources, r)
		entries, err := c.configs(ctx, r)
		if err != nil {
			return nil, err
		}
		if err := c.checkConfigNames(ctx, r, entries, editNames(edits)); err != nil {
			return nil, err
		}
		changes = append(changes, changesOf(r, entries, edits)...)
	}
	if err := a.apply(ctx, c, resources, edits, grow, true); err != nil || a.dryRun {
		return changes, err
	}
	return changes, a.apply(ctx, c, resources, edits, grow, false)
}

func (a *topicAlter) apply(ctx context.Context, c *client, resources []configResource, edits []configEdit, grow []string, validateOnly bool) error {
	if err := c.alterConfigs(ctx, resources, edits, validateOnly); err != nil {
		return err
	}
	update := c.admin.UpdatePartitions
	if validateOnly {
		update = c.admin.ValidateUpdatePartitions
	}
	responses, err := update(ctx, a.partitions, grow...)
	if err != nil {
		return err
	}
	var failed []error
	for _, r := range responses.Sorted() {
		if r.Err != nil {
			failed = append(failed, fmt.Errorf("topic %q: %w", r.Topic, brokerError(r.Err, r.ErrMessage)))
		}
	}
	return joined(failed...)
}
