package cli

import (
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/spf13/cobra"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
)

func topicCommand(o *options) *cobra.Command {
	cmd := group(&cobra.Command{
		Use:   "topic",
		Short: "Create, list, describe, alter and delete topics",
		Example: `  weir topic create orders --partitions 3
  weir topic list
  weir topic describe orders
  weir topic alter orders --partitions 6 --set retention.ms=7d
  weir topic delete orders`,
	})
	cmd.AddCommand(topicCreateCommand(o), topicListCommand(o), topicDescribeCommand(o), topicAlterCommand(o), topicDeleteCommand(o))
	return cmd
}

// topicSummary is a topic as `topic create` and `topic list` tell it.
type topicSummary struct {
	Name              string `json:"name"`
	ID                string `json:"id"`
	Partitions        int    `json:"partitions"`
	ReplicationFactor int    `json:"replication_factor"`
	Internal          bool   `json:"internal"`
}

// topicID shows a topic id as Kafka does.
func topicID(id kadm.TopicID) string { return base64.RawURLEncoding.EncodeToString(id[:]) }

type topicCreate struct {
	partitions  int32
	replication int16
	configs     []string
	ifNotExists bool
}

func topicCreateCommand(o *options) *cobra.Command {
	var c topicCreate
	cmd := &cobra.Command{
		Use:   "create NAME...",
		Short: "Create topics",
		Long: `Create topics. What is not said is left to the cluster's defaults.
` + unitsHelp + `

JSON: a list of the topics created, with the fields of 'weir topic list'.`,
		Example: `  weir topic create orders
  weir topic create orders payments --partitions 12 --replication-factor 3
  weir topic create prices --config cleanup.policy=compact --config min.insync.replicas=2
  weir topic create orders --if-not-exists`,
		Args:              needs("NAME", true),
		ValidArgsFunction: cobra.NoFileCompletions,
		RunE: o.run(func(ctx context.Context, cmd *cobra.Command, names []string) error {
			configs, err := c.check(cmd)
			if err != nil {
				return err
			}
			return o.ask(ctx, func(ctx context.Context, cl *client) error {
				return c.create(ctx, cl, o.printer(cmd), configs, unique(names))
			})
		}),
	}
	flags := cmd.Flags()
	flags.Int32Var(&c.partitions, "partitions", -1, "how many partitions; -1: the cluster's default")
	flags.Int16Var(&c.replication, "replication-factor", -1, "how many brokers keep each partition; -1: the cluster's default")
	flags.StringArrayVar(&c.configs, "config", nil, "a topic configuration, `key=value`; may be repeated")
	flags.BoolVar(&c.ifNotExists, "if-not-exists", false, "leave a topic that exists as it is, and succeed")
	_ = cmd.RegisterFlagCompletionFunc("config", o.completeTopicConfigs("="))
	return cmd
}

// check makes sure of the flags and gives the configurations.
func (c *topicCreate) check(cmd *cobra.Command) (map[string]*string, error) {
	flags := cmd.Flags()
	if flags.Changed("partitions") && c.partitions < 1 && c.partitions != -1 {
		return nil, usagef("--partitions must be at least 1")
	}
	if flags.Changed("replication-factor") && c.replication < 1 && c.replication != -1 {
		return nil, usagef("--replication-factor must be at least 1")
	}
	return configMap(c.configs)
}

// configMap gives what --config says of a topic to be made.
func configMap(flags []string) (map[string]*string, error) {
	edits, err := parseEdits("--config", flags, nil)
	if err != nil {
		return nil, err
	}
	configs := map[string]*string{}
	for _, e := range edits {
		configs[e.name] = e.value
	}
	return configs, nil
}

func (c *topicCreate) create(ctx context.Context, cl *client, p *printer, configs map[string]*string, names []string) error {
	responses, err := cl.admin.CreateTopics(ctx, c.partitions, c.replication, configs, names...)
	if err != nil {
		return err
	}
	created := []topicSummary{}
	var failed []error
	for _, name := range names {
		r, ok := responses[name]
		switch {
		case !ok:
			failed = append(failed, fmt.Errorf("the cluster did not say whether it created topic %q", name))
		case errors.Is(r.Err, kerr.TopicAlreadyExists) && c.ifNotExists:
			if !p.json {
				failed = append(failed, p.line("Topic %s exists already.", escape(name)))
			}
		case r.Err != nil:
			failed = append(failed, brokerError(r.Err, r.ErrMessage))
		default:
			created = append(created, topicSummary{name, topicID(r.ID), int(r.NumPartitions), int(r.ReplicationFactor), false})
			if !p.json {
				failed = append(failed, p.line("Created topic %s with %s, replication factor %d.",
					escape(name), plural(int64(r.NumPartitions), "partition"), r.ReplicationFactor))
			}
		}
	}
	if p.json {
		failed = append(failed, p.document(created))
	}
	return joined(failed...)
}

func topicListCommand(o *options) *cobra.Command {
	var internal bool
	cmd := &cobra.Command{
		Use:   "list",
		Short: "List topics",
		Long: `List topics, without those that Kafka keeps for itself.

JSON: a list of objects with the fields name, id, partitions, replication_factor, internal.`,
		Example: `  weir topic list
  weir topic list --internal
  weir topic list -o json | jq -r '.[].name'`,
		Args:              noArgs,
		ValidArgsFunction: cobra.NoFileCompletions,
		RunE: o.run(func(ctx context.Context, cmd *cobra.Command, _ []string) error {
			return o.ask(ctx, func(ctx context.Context, c *client) error {
				details, err := c.admin.ListTopicsWithInternal(ctx)
				if err != nil {
					return err
				}
				if !internal {
					details.FilterInternal()
				}
				return printTopics(o.printer(cmd), details)
			})
		}),
	}
	cmd.Flags().BoolVar(&internal, "internal", false, "also list the cluster's own topics, such as __consumer_offsets")
	return cmd
}

func printTopics(p *printer, details kadm.TopicDetails) error {
	topics := []topicSummary{}
	for _, name := range slices.Sorted(maps.Keys(details)) {
		d := details[name]
		topics = append(topics, topicSummary{name, topicID(d.ID), len(d.Partitions), d.Partitions.NumReplicas(), d.IsInternal})
	}
	if p.json {
		return p.document(topics)
	}
	t := newTable("TOPIC", "PARTITIONS", "REPLICATION-FACTOR")
	for _, topic := range topics {
		t.row(topic.Name, topic.Partitions, topic.ReplicationFactor)
	}
	return p.table(t)
}

func topicDeleteCommand(o *options) *cobra.Command {
	d := deleter{kind: "topic"}
	cmd := &cobra.Command{
		Use:   "delete NAME...",
		Short: "Delete topics and all their records",
		Long: `Delete topics and all their records. On a terminal it asks first.

JSON: a list of the names of the topics deleted.`,
		Example: `  weir topic delete orders
  weir topic delete orders payments --yes
  weir topic delete orders --if-exists`,
		Args:              needs("NAME", true),
		ValidArgsFunction: o.completeTopics(true),
		RunE: o.run(func(ctx context.Context, cmd *cobra.Command, names []string) error {
			names = unique(names)
			if err := d.confirm(ctx, cmd, names, "records"); err != nil {
				return err
			}
			return o.ask(ctx, func(ctx context.Context, c *client) error {
				return deleteTopics(ctx, c, o.printer(cmd), &d, names)
			})
		}),
	}
	d.flags(cmd)
	return cmd
}

func deleteTopics(ctx context.Context, c *client, p *printer, d *deleter, names []string) error {
	responses, err := c.admin.DeleteTopics(ctx, names...)
	if err != nil {
		return err
	}
	return d.print(p, names, func(name string) (absent bool, err error) {
		r, ok := responses[name]
		switch {
		case !ok:
			return false, d.unanswered(name)
		case errors.Is(r.Err, kerr.UnknownTopicOrPartition):
			return true, c.topicError(ctx, name, r.Err)
		}
		return false, brokerError(r.Err, r.ErrMessage)
	})
}

// keyValue splits key=value.
func keyValue(flag, s string) (key, value string, err error) {
	key, value, found := strings.Cut(s, "=")
	if !found || key == "" {
		return "", "", usagef("%s %q is not key=value", flag, s)
	}
	return key, value, nil
}

// unique drops names that were there before, in place.
func unique(names []string) []string {
	seen := map[string]bool{}
	return slices.DeleteFunc(names, func(name string) bool {
		again := seen[name]
		seen[name] = true
		return again
	})
}
