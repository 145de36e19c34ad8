package cli

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/spf13/cobra"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// topicDescription is what `topic describe` tells. Its JSON names are documented in the help.
type topicDescription struct {
	Name              string               `json:"name"`
	ID                string               `json:"id"`
	ReplicationFactor int                  `json:"replication_factor"`
	Internal          bool                 `json:"internal"`
	Configs           []topicConfig        `json:"configs"`
	Partitions        []partitionPlacement `json:"partitions"`
}

type topicConfig struct {
	Name   string  `json:"name"`
	Value  *string `json:"value"`
	Source string  `json:"source"`
}

type partitionPlacement struct {
	Partition int32   `json:"partition"`
	Leader    int32   `json:"leader"`
	Epoch     int32   `json:"leader_epoch"`
	Replicas  []int32 `json:"replicas"`
	ISR       []int32 `json:"isr"`
	Start     *int64  `json:"start_offset"`
	End       *int64  `json:"end_offset"`
	Error     string  `json:"error,omitempty"`
}

func topicDescribeCommand(o *options) *cobra.Command {
	return &cobra.Command{
		Use:   "describe NAME...",
		Short: "Show a topic's partitions, offsets and configuration",
		Long: `Show a topic's partitions (leader, leader epoch, replicas, in-sync replicas, first offset and the
offset after the last record) and the configurations that differ from the defaults.

JSON: a list of objects with the fields name, id, replication_factor, internal,
  configs: name, value (null if it is secret), source (as in 'weir config list');
  partitions: partition, leader (-1: none), leader_epoch, replicas, isr, start_offset and end_offset
  (null if the partition does not answer), error (only if there is one).`,
		Example: `  weir topic describe orders
  weir topic describe orders -o json | jq '[.[].partitions[].end_offset] | add'`,
		Args:              needs("NAME", true),
		ValidArgsFunction: o.completeTopics(true),
		RunE: o.run(func(ctx context.Context, cmd *cobra.Command, names []string) error {
			return o.ask(ctx, func(ctx context.Context, c *client) error {
				described, err := describeTopics(ctx, c, unique(names))
				if err != nil {
					return err
				}
				return printEach(o.printer(cmd), described, printTopic)
			})
		}),
	}
}

func describeTopics(ctx context.Context, c *client, names []string) ([]topicDescription, error) {
	details, err := c.topics(ctx, names)
	if err != nil {
		return nil, err
	}
	starts, ends, err := c.extents(ctx, names)
	if err != nil {
		return nil, err
	}
	configs, err := c.admin.DescribeTopicConfigs(ctx, names...)
	if err != nil {
		return nil, err
	}
	var all []topicDescription
	for _, name := range names {
		detail := details[name]
		d := topicDescription{Name: name, ID: topicID(detail.ID), ReplicationFactor: detail.Partitions.NumReplicas(),
			Internal: detail.IsInternal, Partitions: []partitionPlacement{}}
		for _, p := range detail.Partitions.Sorted() {
			d.Partitions = append(d.Partitions, placementOf(p, starts, ends))
		}
		config, err := configs.On(name, nil)
		if err == nil {
			err = brokerError(config.Err, config.ErrMessage)
		}
		if err != nil {
			return nil, fmt.Errorf("configuration of topic %q: %w", name, err)
		}
		d.Configs = changedConfigs(config.Configs)
		all = append(all, d)
	}
	return all, nil
}

func placementOf(p kadm.PartitionDetail, starts, ends kadm.ListedOffsets) partitionPlacement {
	return partitionPlacement{
		Partition: p.Partition, Leader: p.Leader, Epoch: p.LeaderEpoch, Replicas: orEmpty(p.Replicas), ISR: orEmpty(p.ISR),
		Start: offsetOf(starts, p.Topic, p.Partition), End: offsetOf(ends, p.Topic, p.Partition), Error: partitionError(p.Err),
	}
}

func partitionError(err error) string {
	if code, ok := err.(*kerr.Error); ok && code != nil {
		return code.Message
	}
	return ""
}

// changedConfigs gives the configurations that differ from the defaults.
func changedConfigs(configs []kadm.Config) []topicConfig {
	changed := []topicConfig{}
	for _, c := range configs {
		if c.Source != kmsg.ConfigSourceDefaultConfig {
			changed = append(changed, topicConfig{c.Key, c.Value, configSource(c.Source)})
		}
	}
	slices.SortFunc(changed, func(a, b topicConfig) int { return strings.Compare(a.Name, b.Name) })
	return changed
}

func printTopic(p *printer, d topicDescription) error {
	kind := ""
	if d.Internal {
		kind = ", internal"
	}
	var text strings.Builder
	fmt.Fprintf(&text, "Topic %s: %s, replication factor %d%s, id %s\n",
		escape(d.Name), plural(int64(len(d.Partitions)), "partition"), d.ReplicationFactor, kind, d.ID)
	for _, c := range d.Configs {
		fmt.Fprintf(&text, "  %s=%s", escape(c.Name), escape(valueText(c.Value, c.Value == nil)))
		if c.Source != "topic" {
			fmt.Fprintf(&text, "  (source: %s)", c.Source)
		}
		text.WriteByte('\n')
	}
	if err := p.text([]byte(text.String())); err != nil {
		return err
	}
	t := newTable("PARTITION", "LEADER", "EPOCH", "REPLICAS", "ISR", "START", "END", "ERROR?")
	for _, p := range d.Partitions {
		t.row(p.Partition, leaderText(p.Leader), p.Epoch, numbers(p.Replicas), numbers(p.ISR), number(p.Start), number(p.End), p.Error)
	}
	return p.table(t)
}
