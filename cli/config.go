package cli

import (
	"context"
	"slices"
	"strconv"
	"strings"

	"github.com/spf13/cobra"
	"github.com/twmb/franz-go/pkg/kmsg"
)

func configCommand(o *options) *cobra.Command {
	cmd := group(&cobra.Command{
		Use:   "config",
		Short: "Get, set, unset and list the configurations of topics, brokers and groups",
		Example: `  weir config list --topic orders
  weir config get retention.ms --topic orders
  weir config set retention.ms=7d --topic orders
  weir config unset retention.ms --topic orders
  weir config set log.retention.ms=7d --cluster`,
	})
	cmd.AddCommand(configGetCommand(o), configListCommand(o), configSetCommand(o), configUnsetCommand(o))
	return cmd
}

// configTarget is whose configurations a command is about.
type configTarget struct {
	topic, group string
	broker       int32
	cluster      bool
}

// flags gives a command the flags that say whose configurations it is about.
func (t *configTarget) flags(cmd *cobra.Command, o *options) {
	flags := cmd.Flags()
	flags.StringVar(&t.topic, "topic", "", "those of a `topic`")
	flags.StringVar(&t.group, "group", "", "those of a consumer `group`")
	flags.Int32Var(&t.broker, "broker", 0, "those of the broker with this `id`")
	flags.BoolVar(&t.cluster, "cluster", false, "those of all brokers, where a broker has none of its own")
	_ = cmd.RegisterFlagCompletionFunc("topic", o.completeTopics(true))
	_ = cmd.RegisterFlagCompletionFunc("group", o.completeGroups(true))
	_ = cmd.RegisterFlagCompletionFunc("broker", o.completeBrokers())
}

// resource gives what the flags name.
func (t *configTarget) resource(cmd *cobra.Command) (configResource, error) {
	var named []string
	for _, flag := range []string{"topic", "group", "broker", "cluster"} {
		if cmd.Flags().Changed(flag) {
			named = append(named, flag)
		}
	}
	switch {
	case len(named) == 0:
		return configResource{}, usagef("say whose configurations: --topic NAME, --group NAME, --broker ID or --cluster")
	case len(named) > 1:
		return configResource{}, usagef("--%s and --%s exclude each other", named[0], named[1])
	}
	switch named[0] {
	case "topic":
		return configResource{kmsg.ConfigResourceTypeTopic, t.topic}, nonEmpty("topic", t.topic)
	case "group":
		return configResource{kmsg.ConfigResourceTypeGroupConfig, t.group}, nonEmpty("group", t.group)
	case "broker":
		return configResource{kmsg.ConfigResourceTypeBroker, strconv.Itoa(int(t.broker))}, nil
	}
	return clusterResource, nil
}

func nonEmpty(flag, value string) error {
	if value == "" {
		return usagef("--%s needs a name", flag)
	}
	return nil
}

const configJSONHelp = `JSON: a list of objects with the fields name, value (null if it is secret), source, secret, read_only
(it cannot be set while the broker runs), synonyms (where the value could come from, the first counts: a
list of name, value, source).`

func configGetCommand(o *options) *cobra.Command {
	var t configTarget
	var all bool
	cmd := &cobra.Command{
		Use:   "get NAME...",
		Short: "Show configurations of a topic, broker, group or the cluster",
		Long: `Show configurations, and where their values come from; with --all also what would count without that.

` + configSourcesHelp + `

` + configJSONHelp,
		Example: `  weir config get retention.ms --topic orders
  weir config get log.retention.ms log.retention.hours --broker 1 --all
  weir config get retention.ms --topic orders -o json | jq -r '.[].value'`,
		Args:              needs("NAME", true),
		ValidArgsFunction: o.completeConfigs(&t, ""),
		RunE: o.run(func(ctx context.Context, cmd *cobra.Command, names []string) error {
			r, err := t.resource(cmd)
			if err != nil {
				return err
			}
			return o.ask(ctx, func(ctx context.Context, c *client) error {
				entries, err := c.configs(ctx, r)
				if err != nil {
					return err
				}
				if err := c.checkConfigNames(ctx, r, entries, names); err != nil {
					return err
				}
				entries = slices.DeleteFunc(entries, func(e configEntry) bool { return !slices.Contains(names, e.Name) })
				return printConfigs(o.printer(cmd), entries, all)
			})
		}),
	}
	cmd.Flags().BoolVarP(&all, "all", "a", false, "also show what would count if the value were unset")
	t.flags(cmd, o)
	return cmd
}

func configListCommand(o *options) *cobra.Command {
	var t configTarget
	var all bool
	cmd := &cobra.Command{
		Use:   "list",
		Short: "List the configurations of a topic, broker, group or the cluster",
		Long: `List the configurations that differ from the defaults, and where their values come from; with --all also
those that do not, and what would count if a value were unset.

` + configSourcesHelp + `

` + configJSONHelp,
		Example: `  weir config list --topic orders
  weir config list --broker 1 --all
  weir config list --cluster
  weir config list --group billing --all`,
		Args:              noArgs,
		ValidArgsFunction: cobra.NoFileCompletions,
		RunE: o.run(func(ctx context.Context, cmd *cobra.Command, _ []string) error {
			r, err := t.resource(cmd)
			if err != nil {
				return err
			}
			return o.ask(ctx, func(ctx context.Context, c *client) error {
				entries, err := c.configs(ctx, r)
				if err != nil {
					return err
				}
				if !all {
					entries = slices.DeleteFunc(entries, func(e configEntry) bool { return e.isDefault })
				}
				return printConfigs(o.printer(cmd), entries, all)
			})
		}),
	}
	cmd.Flags().BoolVarP(&all, "all", "a", false, "also list defaults, and what would count if a value were unset")
	t.flags(cmd, o)
	return cmd
}

func printConfigs(p *printer, entries []configEntry, all bool) error {
	if p.json {
		return p.document(entries)
	}
	heads := []string{"NAME", "VALUE", "SOURCE"}
	if all {
		heads = append(heads, "SYNONYMS")
	}
	t := newTable(heads...)
	for _, e := range entries {
		cells := []any{e.Name, valueText(e.Value, e.Secret), e.Source}
		if all {
			synonyms := make([]string, len(e.Synonyms))
			for i, s := range e.Synonyms {
				synonyms[i] = s.Source + ":" + s.Name + "=" + valueText(s.Value, e.Secret)
			}
			cells = append(cells, strings.Join(synonyms, " "))
		}
		t.row(cells...)
	}
	return p.table(t)
}

const changesJSONHelp = `JSON: a list of objects with the fields topic (only of a topic), name, before and after (null: not set,
secret, or a default that the cluster does not tell).`

func configSetCommand(o *options) *cobra.Command {
	var t configTarget
	var dryRun bool
	cmd := &cobra.Command{
		Use:   "set NAME=VALUE...",
		Short: "Set configurations of a topic, broker, group or the cluster",
		Long: `Set configurations, all or none of them, and show what they were before. They count at once.
` + unitsHelp + `

` + changesJSONHelp,
		Example: `  weir config set retention.ms=7d --topic orders
  weir config set cleanup.policy=compact,delete min.cleanable.dirty.ratio=0.2 --topic prices --dry-run
  weir config set log.retention.ms=7d --cluster
  weir config set max.connections=500 --broker 1
  weir config set consumer.session.timeout.ms=60s --group billing`,
		Args:              needs("NAME=VALUE", true),
		ValidArgsFunction: o.completeConfigs(&t, "="),
		RunE: o.run(func(ctx context.Context, cmd *cobra.Command, args []string) error {
			edits, err := parseEdits("argument", args, nil)
			if err != nil {
				return err
			}
			return o.changeConfigs(ctx, cmd, &t, edits, dryRun)
		}),
	}
	cmd.Flags().BoolVar(&dryRun, "dry-run", false, "only ask the cluster whether it would take them")
	t.flags(cmd, o)
	return cmd
}

func configUnsetCommand(o *options) *cobra.Command {
	var t configTarget
	var dryRun bool
	cmd := &cobra.Command{
		Use:   "unset NAME...",
		Short: "Unset configurations of a topic, broker, group or the cluster",
		Long: `Unset configurations, all or none of them, and show what they were and what counts now.

` + changesJSONHelp,
		Example: `  weir config unset retention.ms --topic orders
  weir config unset log.retention.ms --cluster --dry-run`,
		Args:              needs("NAME", true),
		ValidArgsFunction: o.completeConfigs(&t, ""),
		RunE: o.run(func(ctx context.Context, cmd *cobra.Command, names []string) error {
			edits, err := parseEdits("", nil, unique(names))
			if err != nil {
				return err
			}
			return o.changeConfigs(ctx, cmd, &t, edits, dryRun)
		}),
	}
	cmd.Flags().BoolVar(&dryRun, "dry-run", false, "only ask the cluster whether it would do it")
	t.flags(cmd, o)
	return cmd
}

// changeConfigs makes edits of a resource's configurations, and shows what changed.
func (o *options) changeConfigs(ctx context.Context, cmd *cobra.Command, t *configTarget, edits []configEdit, dryRun bool) error {
	r, err := t.resource(cmd)
	if err != nil {
		return err
	}
	return o.ask(ctx, func(ctx context.Context, c *client) error {
		entries, err := c.configs(ctx, r)
		if err != nil {
			return err
		}
		if err := c.checkConfigNames(ctx, r, entries, editNames(edits)); err != nil {
			return err
		}
		if err := c.alterConfigs(ctx, []configResource{r}, edits, dryRun); err != nil {
			return err
		}
		if dryRun {
			cmd.PrintErrln(dryRunHint("leaving out --dry-run"))
		}
		return printChanges(o.printer(cmd), changesOf(r, entries, edits))
	})
}
