package cli

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/spf13/cobra"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kmsg"
)

func clusterDecommissionCommand(o *options) *cobra.Command {
	var dryRun, unregister bool
	m := newMover(o, nil, nil)
	cmd := &cobra.Command{
		Use:   "decommission BROKER",
		Short: "Move every replica off a broker, so that it can be stopped for good",
		Long: `Move every replica off a broker, so that it can be stopped for good. Another broker takes the place of each
replica; the partition's other replicas stay where they are. The other is in a rack with fewest of the
partition's replicas, and keeps the least. --dry-run shows it.

A few partitions move at the same time (--at-once), and all are served meanwhile. What is there already
and what is left is learned from the cluster, so the command can be interrupted and started again. Topics
that are made on the broker meanwhile are moved, too. A broker that is down can be decommissioned, if its
partitions have other replicas.

With --unregister it then waits until the broker is stopped, and makes the cluster forget it.

JSON: a list of objects with the fields topic, partition, from, to (lists of brokers), bytes (of one
replica; 0: not known).`,
		Example: `  weir cluster decommission 4 --dry-run
  weir cluster decommission 4
  weir cluster decommission 4 --unregister`,
		Args:              needs("BROKER", false),
		ValidArgsFunction: o.completeBrokers(),
	}
	cmd.RunE = o.run(func(ctx context.Context, cmd *cobra.Command, args []string) error {
		id, err := parseID(args[0])
		if err == nil {
			err = m.check()
		}
		if err != nil {
			return err
		}
		m.cmd = cmd
		m.plan = func(v *clusterView, now replicaMap) ([]move, error) {
			if v.broker(id) == nil && len(m.done) == 0 {
				return nil, fmt.Errorf("broker %d does not exist: there is %s", id, numbers(v.live()))
			}
			return planLeaving(v, now, id)
		}
		m.mine = func(r reassignment) bool { return slices.Contains(r.Replicas, id) }
		return o.connected(ctx, func(c *client) error {
			if dryRun {
				return m.only(ctx, c, true)
			}
			if err := m.all(ctx, c); err != nil {
				return err
			}
			return afterDecommission(ctx, m, c, id, unregister)
		})
	})
	cmd.Flags().BoolVar(&dryRun, "dry-run", false, "only show what would be moved")
	cmd.Flags().BoolVar(&unregister, "unregister", false, "let the cluster forget the broker then")
	m.flags(cmd)
	return cmd
}

// planLeaving plans what can be moved off a broker. What nobody can copy comes last: then there is nothing left but to say so.
func planLeaving(v *clusterView, now replicaMap, id int32) ([]move, error) {
	var stuck []error
	now.partitions = slices.DeleteFunc(now.partitions, func(p mappedPartition) bool {
		if !slices.Contains(p.replicas, id) || v.partition(p.topicPartition).leader >= 0 {
			return false
		}
		stuck = append(stuck, fmt.Errorf("partition %d of topic %q has no leader to copy from", p.partition, p.topic))
		return true
	})
	moves, err := planDecommission(now, id)
	if err == nil && len(moves) == 0 && len(stuck) > 0 {
		err = fmt.Errorf("%w: start broker %d or the others that have it, or delete the topic", someOf(stuck), id)
	}
	return moves, err
}

// afterDecommission says what to do with a broker that keeps nothing any more. With unregister it waits until it is stopped: one
// that is up would register again.
func afterDecommission(ctx context.Context, m *mover, c *client, id int32, unregister bool) error {
	say := func(format string, args ...any) { m.cmd.PrintErrf(format+"\n", args...) }
	b, votes, err := m.stateOf(ctx, c, id)
	if err != nil || b == nil {
		return err
	}
	if votes {
		say("Node %d votes on the cluster's metadata: `weir cluster remove-voter %[1]d` ends that.", id)
	}
	if b.up && !unregister {
		say("Broker %d keeps no replicas: it can be stopped now, and then `weir cluster unregister %[1]d` makes the cluster forget it.", id)
		return nil
	}
	if !unregister {
		say("Broker %d keeps no replicas: `weir cluster unregister %[1]d` makes the cluster forget it.", id)
		return nil
	}
	if b.up {
		say("Broker %d keeps no replicas: stop it now. Waiting until it is down, to make the cluster forget it.", id)
	}
	for b != nil && b.up {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(m.every):
		}
		if b, _, err = m.stateOf(ctx, c, id); err != nil {
			return err
		}
	}
	if err := m.o.within(ctx, func(ctx context.Context) error { return c.unregister(ctx, id) }); err != nil {
		return err
	}
	say("The cluster has forgotten broker %d.", id)
	return nil
}

// stateOf gives what the cluster knows of a broker, nil if nothing, and whether it votes on the metadata.
func (m *mover) stateOf(ctx context.Context, c *client, id int32) (b *brokerView, votes bool, err error) {
	err = m.o.within(ctx, func(ctx context.Context) error {
		v, err := c.view(ctx)
		if err != nil {
			return err
		}
		b = v.broker(id)
		if q, _ := c.quorum(ctx); q != nil {
			member := q.member(id)
			votes = member != nil && member.Role != roleObserver
		}
		return nil
	})
	return b, votes, err
}

func clusterUnregisterCommand(o *options) *cobra.Command {
	return &cobra.Command{
		Use:   "unregister BROKER",
		Short: "Let a cluster forget a broker that was stopped for good",
		Long: `Let a cluster forget a broker that was stopped for good. The broker must be down and keep no replicas:
'weir cluster decommission' moves them off first.

JSON: an object with the field id.`,
		Example: `  weir cluster unregister 4
  weir cluster decommission 4 && weir cluster unregister 4`,
		Args:              needs("BROKER", false),
		ValidArgsFunction: cobra.NoFileCompletions,
		RunE: o.run(func(ctx context.Context, cmd *cobra.Command, args []string) error {
			id, err := parseID(args[0])
			if err != nil {
				return err
			}
			return o.ask(ctx, func(ctx context.Context, c *client) error {
				v, err := c.view(ctx)
				if err != nil {
					return err
				}
				if err := mayUnregister(v, id); err != nil {
					return err
				}
				if err := c.unregister(ctx, id); err != nil {
					return err
				}
				p := o.printer(cmd)
				if p.json {
					return p.document(struct {
						ID int32 `json:"id"`
					}{id})
				}
				return p.line("The cluster has forgotten broker %d.", id)
			})
		}),
	}
}

// mayUnregister makes sure that nothing needs a broker. One that is not listed may still be registered: the cluster will tell.
func mayUnregister(v *clusterView, id int32) error {
	n := 0
	for _, p := range v.partitions {
		if slices.Contains(p.replicas, id) {
			n++
		}
	}
	b := v.broker(id)
	switch {
	case n > 0:
		return fmt.Errorf("broker %d still has %s: `weir cluster decommission %[1]d` moves them off", id, plural(int64(n), "replica"))
	case b != nil && b.up:
		return fmt.Errorf("broker %d is up and would register again: stop it first", id)
	}
	return nil
}

// unregister makes the cluster forget a broker.
func (c *client) unregister(ctx context.Context, id int32) error {
	request := kmsg.NewPtrUnregisterBrokerRequest()
	request.BrokerID = id
	response, err := request.RequestWith(ctx, c)
	if err == nil {
		err = answerError(response.ErrorCode, response.ErrorMessage)
	}
	if err != nil {
		return fmt.Errorf("broker %d: %w", id, err)
	}
	return nil
}

func clusterRebalanceCommand(o *options) *cobra.Command {
	var dryRun bool
	m := newMover(o, nil, nil)
	cmd := &cobra.Command{
		Use:   "rebalance",
		Short: "Even out replicas and leaders over the brokers",
		Long: `Even out how many replicas brokers keep and how many partitions they lead, with as few moves as that
takes: after brokers were added, or when some have become fuller than others. No partition gets into
fewer racks than it is in. --dry-run shows it.

A few partitions move at the same time (--at-once), and all are served meanwhile. The command can be
interrupted and started again. At the end the replicas lead that should.

JSON: a list of objects with the fields topic, partition, from, to (lists of brokers), bytes (of one
replica; 0: not known).`,
		Example: `  weir cluster rebalance --dry-run
  weir cluster rebalance --at-once 5`,
		Args:              noArgs,
		ValidArgsFunction: cobra.NoFileCompletions,
	}
	cmd.RunE = o.run(func(ctx context.Context, cmd *cobra.Command, _ []string) error {
		if err := m.check(); err != nil {
			return err
		}
		m.cmd = cmd
		m.plan = func(v *clusterView, now replicaMap) ([]move, error) {
			if down := v.down(); len(down) > 0 {
				return nil, fmt.Errorf("broker %s is down, so what is even cannot be said: start it, or move its replicas off with `weir cluster decommission`", numbers(down))
			}
			return planRebalance(now), nil
		}
		m.mine = func(reassignment) bool { return true }
		return o.connected(ctx, func(c *client) error {
			if dryRun {
				return m.only(ctx, c, true)
			}
			if err := m.all(ctx, c); err != nil {
				return err
			}
			return o.within(ctx, c.electPreferred)
		})
	})
	cmd.Flags().BoolVar(&dryRun, "dry-run", false, "only show what would be moved")
	m.flags(cmd)
	return cmd
}

// electPreferred lets the first replica lead wherever another does.
func (c *client) electPreferred(ctx context.Context) error {
	v, err := c.view(ctx)
	if err != nil {
		return err
	}
	var asked kadm.TopicsSet
	for _, p := range v.partitions {
		if p.leader >= 0 && p.leader != p.replicas[0] && slices.Contains(p.isr, p.replicas[0]) {
			asked.Add(p.topic, p.partition)
		}
	}
	if len(asked) == 0 {
		return nil
	}
	_, err = c.admin.ElectLeaders(ctx, kadm.ElectPreferredReplica, asked)
	return err
}
