package cli

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/spf13/cobra"
	"github.com/twmb/franz-go/pkg/kadm"
)

// groupDescription is what `group describe` tells. Its JSON names are documented in the help.
type groupDescription struct {
	Group       string           `json:"group"`
	Type        string           `json:"type"`
	State       string           `json:"state"`
	Assignor    string           `json:"assignor"`
	Coordinator int32            `json:"coordinator"`
	Members     []groupMember    `json:"members"`
	Partitions  []groupPartition `json:"partitions"`
}

type groupMember struct {
	ID       string          `json:"id"`
	Instance string          `json:"instance_id"`
	Client   string          `json:"client_id"`
	Host     string          `json:"host"`
	Assigned []assignedTopic `json:"assigned"`
}

type assignedTopic struct {
	Topic      string  `json:"topic"`
	Partitions []int32 `json:"partitions"`
}

func groupDescribeCommand(o *options) *cobra.Command {
	return &cobra.Command{
		Use:   "describe GROUP...",
		Short: "Show a group's state, members and how far behind it is",
		Long: `Show a group's state, its members with their partitions, and for each partition the committed offset,
the partition's end offset, the lag between them, and the lag in time: how long ago the first record
was written that the group has not consumed. It is 0 where nothing is left to consume.

JSON: a list of objects with the fields group, type, state, assignor, coordinator,
  members: id, instance_id, client_id, host, assigned (a list of topic, partitions);
  partitions: topic, partition, committed_offset (null: none), end_offset (null: the partition does not
  answer), lag in records (null: not known), lag_ms (null: not known), member_id (empty: nobody's).`,
		Example: `  weir group describe billing
  weir group describe billing -o json | jq '[.[].partitions[].lag] | add'`,
		Args:              needs("GROUP", true),
		ValidArgsFunction: o.completeGroups(true),
		RunE: o.run(func(ctx context.Context, cmd *cobra.Command, names []string) error {
			return o.ask(ctx, func(ctx context.Context, c *client) error {
				described, err := describeGroups(ctx, c, unique(names))
				if err != nil {
					return err
				}
				return printEach(o.printer(cmd), described, printGroup)
			})
		}),
	}
}

func describeGroups(ctx context.Context, c *client, names []string) ([]groupDescription, error) {
	there, err := c.groups(ctx)
	if err != nil {
		return nil, err
	}
	var all []groupDescription
	for _, name := range names {
		g, err := there.named(name)
		if err != nil {
			return nil, err
		}
		d, err := describeGroup(ctx, c, g)
		if err != nil {
			return nil, fmt.Errorf("group %q: %w", name, err)
		}
		all = append(all, d)
	}
	return all, nil
}

func describeGroup(ctx context.Context, c *client, g groupSummary) (groupDescription, error) {
	d := groupDescription{Group: g.Group, Type: g.Type, State: g.State, Coordinator: g.Coordinator}
	if err := d.describe(ctx, c); err != nil {
		return d, err
	}
	return d, d.describePartitions(ctx, c)
}

// describe fills in the state and the members.
func (d *groupDescription) describe(ctx context.Context, c *client) error {
	switch d.Type {
	case classicGroup:
		return d.describeClassic(ctx, c)
	case consumerGroup:
		return d.describeConsumer(ctx, c)
	}
	return fmt.Errorf("it is a %s group; only classic and consumer groups have committed offsets that Weir can show and set", d.Type)
}

// describeClassic fills in what a group with client-side assignment (JoinGroup) tells.
func (d *groupDescription) describeClassic(ctx context.Context, c *client) error {
	groups, err := c.admin.DescribeGroups(ctx, d.Group)
	if err != nil {
		return err
	}
	g, err := groups.On(d.Group, func(g *kadm.DescribedGroup) error { return brokerError(g.Err, g.ErrMessage) })
	if err != nil {
		return err
	}
	d.State, d.Assignor, d.Members = g.State, g.Protocol, []groupMember{}
	for _, m := range g.Members {
		assigned := kadm.TopicsSet{}
		if a, ok := m.Assigned.AsConsumer(); ok {
			for _, t := range a.Topics {
				assigned.Add(t.Topic, t.Partitions...)
			}
		}
		d.addMember(m.MemberID, m.InstanceID, m.ClientID, m.ClientHost, assigned)
	}
	return nil
}

// describeConsumer fills in what a group with broker-side assignment (KIP-848) tells.
func (d *groupDescription) describeConsumer(ctx context.Context, c *client) error {
	groups, err := c.admin.DescribeConsumerGroups(ctx, d.Group)
	if err != nil {
		return err
	}
	g, ok := groups[d.Group]
	if !ok {
		return errors.New("the coordinator did not describe it")
	}
	if g.Err != nil {
		return g.Err
	}
	d.State, d.Assignor, d.Members = g.State, g.AssignorName, []groupMember{}
	for _, m := range g.Members {
		d.addMember(m.MemberID, m.InstanceID, m.ClientID, m.ClientHost, m.Assignment)
	}
	return nil
}

func (d *groupDescription) addMember(id string, instance *string, client, host string, assigned kadm.TopicsSet) {
	m := groupMember{ID: id, Client: client, Host: strings.TrimPrefix(host, "/"), Assigned: []assignedTopic{}}
	if instance != nil {
		m.Instance = *instance
	}
	for _, t := range assigned.Sorted() {
		m.Assigned = append(m.Assigned, assignedTopic{t.Topic, orEmpty(t.Partitions)})
	}
	d.Members = append(d.Members, m)
}

// describePartitions fills in every partition that is assigned or has a committed offset.
func (d *groupDescription) describePartitions(ctx context.Context, c *client) error {
	committed, err := c.admin.FetchOffsets(ctx, d.Group)
	if err != nil {
		return err
	}
	owners := map[string]map[int32]string{}
	add := func(topic string, partition int32, member string) {
		if owners[topic] == nil {
			owners[topic] = map[int32]string{}
		}
		if owners[topic][partition] == "" {
			owners[topic][partition] = member
		}
	}
	for _, m := range d.Members {
		for _, t := range m.Assigned {
			for _, partition := range t.Partitions {
				add(t.Topic, partition, m.ID)
			}
		}
	}
	committed.Each(func(r kadm.OffsetResponse) {
		if r.Err == nil && r.At >= 0 {
			add(r.Topic, r.Partition, "")
		}
	})
	d.Partitions = []groupPartition{}
	topics := slices.Sorted(maps.Keys(owners))
	if len(topics) == 0 {
		return nil
	}
	starts, ends, err := c.extents(ctx, topics)
	if err != nil {
		return err
	}
	for _, topic := range topics {
		for _, partition := range slices.Sorted(maps.Keys(owners[topic])) {
			p := newGroupPartition(topic, partition, committed, starts, ends)
			p.Member = owners[topic][partition]
			d.Partitions = append(d.Partitions, p)
		}
	}
	return c.measureTime(ctx, pointers(d.Partitions))
}

func printGroup(p *printer, d groupDescription) error {
	assignor := ""
	if d.Assignor != "" {
		assignor = ", assignor " + escape(d.Assignor)
	}
	if err := p.line("Group %s: %s, %s%s, coordinator %d, %s", escape(d.Group), escape(d.State), escape(d.Type), assignor,
		d.Coordinator, plural(int64(len(d.Members)), "member")); err != nil {
		return err
	}
	if len(d.Members) > 0 {
		t := newTable("MEMBER", "CLIENT-ID", "HOST", "ASSIGNED")
		for _, m := range d.Members {
			assigned := make([]string, len(m.Assigned))
			for i, a := range m.Assigned {
				assigned[i] = a.Topic + ":" + numbers(a.Partitions)
			}
			t.row(m.ID, m.Client, m.Host, strings.Join(assigned, " "))
		}
		if err := p.table(t); err != nil {
			return err
		}
	}
	if len(d.Partitions) == 0 {
		return p.line("No committed offsets.")
	}
	t := newTable("TOPIC", "PARTITION", "COMMITTED", "END", "LAG", "TIME-LAG", "MEMBER")
	for _, g := range d.Partitions {
		t.row(g.Topic, g.Partition, number(g.Committed), number(g.End), number(g.Lag), ageText(g.LagMs), g.Member)
	}
	return p.table(t)
}
