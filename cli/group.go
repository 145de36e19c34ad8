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

func groupCommand(o *options) *cobra.Command {
	cmd := group(&cobra.Command{
		Use:   "group",
		Short: "List, describe, reset and delete consumer groups",
		Example: `  weir group list
  weir group describe billing
  weir group reset-offsets billing --to earliest
  weir group delete billing`,
	})
	cmd.AddCommand(groupListCommand(o), groupDescribeCommand(o), groupResetCommand(o), groupDeleteCommand(o), groupDeleteOffsetsCommand(o))
	return cmd
}

// groupSummary is a group as `group list` tells it. Its JSON names are documented in the help.
type groupSummary struct {
	Group       string `json:"group"`
	Type        string `json:"type"`
	State       string `json:"state"`
	Protocol    string `json:"protocol_type"`
	Coordinator int32  `json:"coordinator"`
	Lag         *int64 `json:"lag"`
	LagMs       *int64 `json:"lag_ms"`
}

const (
	classicGroup  = "classic"
	consumerGroup = "consumer"
)

type groupSummaries []groupSummary

func (s groupSummaries) names() []string {
	names := make([]string, len(s))
	for i, g := range s {
		names[i] = g.Group
	}
	return names
}

// named finds a group; an error says that it is not there.
func (s groupSummaries) named(name string) (groupSummary, error) {
	for _, g := range s {
		if g.Group == name {
			return g, nil
		}
	}
	return groupSummary{}, unknown("group", name, s.names())
}

// groups lists the groups of all brokers, in order.
func (c *client) groups(ctx context.Context) (groupSummaries, error) {
	groups := groupSummaries{}
	for _, shard := range c.RequestSharded(ctx, kmsg.NewPtrListGroupsRequest()) {
		if shard.Err != nil {
			return nil, shard.Err
		}
		response := shard.Resp.(*kmsg.ListGroupsResponse)
		if err := kerr.ErrorForCode(response.ErrorCode); err != nil {
			return nil, fmt.Errorf("broker %d: %w", shard.Meta.NodeID, err)
		}
		for _, g := range response.Groups {
			kind := strings.ToLower(g.GroupType)
			if kind == "" {
				kind = classicGroup // brokers before 3.8 know no other
			}
			groups = append(groups, groupSummary{Group: g.Group, Type: kind, State: g.GroupState, Protocol: g.ProtocolType, Coordinator: shard.Meta.NodeID})
		}
	}
	slices.SortFunc(groups, func(a, b groupSummary) int { return strings.Compare(a.Group, b.Group) })
	return groups, nil
}

func groupListCommand(o *options) *cobra.Command {
	return &cobra.Command{
		Use:   "list",
		Short: "List groups",
		Long: `List groups of all types, with how far each is behind: records in all of its partitions, and how long
ago the oldest record was written that it has not consumed. What cannot be found out is shown as -.

JSON: a list of objects with the fields group, type (classic, consumer, share or streams), state,
protocol_type, coordinator (a broker id), lag in records and lag_ms (null: not known).`,
		Example: `  weir group list
  weir group list -o json | jq -r '.[] | select(.state == "Empty").group'`,
		Args:              noArgs,
		ValidArgsFunction: cobra.NoFileCompletions,
		RunE: o.run(func(ctx context.Context, cmd *cobra.Command, _ []string) error {
			return o.ask(ctx, func(ctx context.Context, c *client) error {
				groups, err := c.groups(ctx)
				if err != nil {
					return err
				}
				// The list is worth having without the lags, so they have to leave time to show it.
				lagCtx, cancel := context.WithTimeout(ctx, o.timeout/2)
				defer cancel()
				c.addLags(lagCtx, groups)
				if ctx.Err() != nil {
					return ctx.Err()
				}
				return printGroupList(o.printer(cmd), groups)
			})
		}),
	}
}

// addLags fills in how far groups are behind, as far as that can be found out.
func (c *client) addLags(ctx context.Context, groups groupSummaries) {
	fetched := c.admin.FetchManyOffsets(ctx, groups.names()...)
	starts, ends, err := c.extents(ctx, fetched.CommittedPartitions().Topics())
	if err != nil {
		return
	}
	all := make([][]*groupPartition, len(groups))
	for i, g := range groups {
		offsets := fetched[g.Group].Fetched
		offsets.Each(func(r kadm.OffsetResponse) {
			if r.Err == nil && r.At >= 0 {
				p := newGroupPartition(r.Topic, r.Partition, offsets, starts, ends)
				all[i] = append(all[i], &p)
			}
		})
	}
	if c.measureTime(ctx, slices.Concat(all...)) != nil {
		return
	}
	for i := range groups {
		groups[i].Lag, groups[i].LagMs = sumLags(all[i])
	}
}

func printGroupList(p *printer, groups groupSummaries) error {
	if p.json {
		return p.document(groups)
	}
	t := newTable("GROUP", "TYPE", "STATE", "COORDINATOR", "LAG", "TIME-LAG")
	for _, g := range groups {
		t.row(g.Group, g.Type, g.State, g.Coordinator, number(g.Lag), ageText(g.LagMs))
	}
	return p.table(t)
}
