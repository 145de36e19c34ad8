package cli

import (
	"cmp"
	"context"
	"fmt"
	"net"
	"slices"
	"strconv"

	"github.com/spf13/cobra"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// clusterStatus is what `cluster status` tells. Its JSON names are documented in the help.
type clusterStatus struct {
	verdict
	ID              string             `json:"cluster_id"`
	Controller      int32              `json:"controller"`
	Brokers         []brokerStatus     `json:"brokers"`
	Quorum          *quorum            `json:"quorum"`
	Topics          int                `json:"topics"`
	Partitions      int                `json:"partitions"`
	Leaderless      int                `json:"partitions_without_leader"`
	UnderMinISR     *int               `json:"partitions_under_min_isr"`
	UnderReplicated int                `json:"partitions_under_replicated"`
	NotPreferred    int                `json:"partitions_led_by_another"`
	Problems        []partitionProblem `json:"problems"`
	Moving          []reassignment     `json:"reassignments"`
}

type brokerStatus struct {
	ID        int32  `json:"id"`
	Host      string `json:"host"`
	Port      int32  `json:"port"`
	Rack      string `json:"rack"`
	Up        bool   `json:"up"`
	Leaders   int    `json:"leaders"`
	Preferred int    `json:"preferred_leaders"`
	Replicas  int    `json:"replicas"`
	OutOfSync int    `json:"replicas_out_of_sync"`
	Offline   int    `json:"replicas_offline"`
}

// partitionProblem is a partition that is not as it should be.
type partitionProblem struct {
	Topic     string  `json:"topic"`
	Partition int32   `json:"partition"`
	Problem   string  `json:"problem"`
	Leader    int32   `json:"leader"`
	Replicas  []int32 `json:"replicas"`
	ISR       []int32 `json:"isr"`
}

const (
	problemNoLeader        = "no-leader"
	problemUnderMinISR     = "under-min-isr"
	problemUnderReplicated = "under-replicated"
)

// minISR gives a topic's min.insync.replicas; 0: not known.
type minISR map[string]int

func clusterStatusCommand(o *options) *cobra.Command {
	w := watching{}
	cmd := &cobra.Command{
		Use:   "status",
		Short: "Show how a cluster is: its brokers, its metadata, partitions with problems, and what moves",
		Long: `Show how a cluster is: which brokers are up and what they lead and keep, who keeps the metadata and how far
behind the others are, the partitions that are not as they should be, and those that get other replicas.
OUT-OF-SYNC counts a broker's replicas that are not in sync. --watch shows it again and again: on a
terminal in place, as JSON with one line each time. What the cluster does not tell is shown as -.

The state is that of 'weir cluster health', which also has an exit code for scripts.

JSON: an object with the fields state (healthy, degraded or unavailable), reasons, cluster_id, controller,
  brokers: id, host, port, rack, up, leaders, preferred_leaders (that it should lead), replicas,
  replicas_out_of_sync, replicas_offline;
  quorum (null: not known): as in 'weir cluster voters';
  topics, partitions, partitions_without_leader, partitions_under_min_isr (null: not known),
  partitions_under_replicated, partitions_led_by_another (than the first replica),
  problems: topic, partition, problem (no-leader, under-min-isr or under-replicated), leader, replicas, isr;
  reassignments: as in 'weir partition reassignments'.`,
		Example: `  weir cluster status
  weir cluster status --watch
  weir cluster status -o json | jq '.brokers[] | select(.up | not) | .id'`,
		Args:              noArgs,
		ValidArgsFunction: cobra.NoFileCompletions,
	}
	w.flags(cmd)
	cmd.RunE = o.run(func(ctx context.Context, cmd *cobra.Command, _ []string) error {
		return o.watch(ctx, cmd, w, func(ctx context.Context, c *client, p *printer) error {
			s, err := askStatus(ctx, c)
			if err != nil {
				return err
			}
			if p.json {
				return p.document(s)
			}
			return printStatus(p, s)
		})
	})
	return cmd
}

func askStatus(ctx context.Context, c *client) (*clusterStatus, error) {
	v, err := c.view(ctx)
	if err != nil {
		return nil, err
	}
	// What follows not every cluster tells, nor every user may know: it stays unknown then.
	q, _ := c.quorum(ctx)
	least := c.minISRs(ctx, v)
	c.measure(ctx, v.moving)
	if ctx.Err() != nil {
		return nil, ctx.Err()
	}
	return statusOf(v, q, least), nil
}

// minISRsAtOnce bounds how many topics are asked about in one request.
const minISRsAtOnce = 1000

// minISRs asks for min.insync.replicas of all topics; nil: the cluster does not tell.
func (c *client) minISRs(ctx context.Context, v *clusterView) minISR {
	var names []string
	for _, p := range v.partitions {
		if len(names) == 0 || names[len(names)-1] != p.topic {
			names = append(names, p.topic)
		}
	}
	least := minISR{}
	for some := range slices.Chunk(names, minISRsAtOnce) {
		request := kmsg.NewPtrDescribeConfigsRequest()
		for _, name := range some {
			resource := kmsg.NewDescribeConfigsRequestResource()
			resource.ResourceType, resource.ResourceName, resource.ConfigNames = kmsg.ConfigResourceTypeTopic, name, []string{"min.insync.replicas"}
			request.Resources = append(request.Resources, resource)
		}
		response, err := request.RequestWith(ctx, c)
		if err != nil {
			return nil
		}
		for _, r := range response.Resources {
			for _, config := range r.Configs {
				if n, err := strconv.Atoi(orBlank(config.Value)); err == nil && config.Name == "min.insync.replicas" {
					least[r.ResourceName] = n
				}
			}
		}
	}
	if len(least) == 0 && len(names) > 0 {
		return nil
	}
	return least
}

// statusOf works out what a cluster's answers mean.
func statusOf(v *clusterView, q *quorum, least minISR) *clusterStatus {
	s := &clusterStatus{ID: v.id, Controller: v.controller, Brokers: []brokerStatus{}, Quorum: q, Topics: v.topics, Partitions: len(v.partitions),
		Problems: []partitionProblem{}, Moving: orEmpty(v.moving)}
	if q != nil {
		s.Controller = q.Leader
	}
	if least != nil {
		s.UnderMinISR = new(int)
	}
	brokers := map[int32]*brokerStatus{}
	for _, b := range v.brokers {
		brokers[b.id] = &brokerStatus{ID: b.id, Host: b.host, Port: b.port, Rack: b.rack, Up: b.up}
	}
	for _, p := range v.partitions {
		if leader := brokers[p.leader]; leader != nil {
			leader.Leaders++
		}
		for i, id := range p.replicas {
			b := brokers[id]
			b.Replicas++
			if i == 0 {
				b.Preferred++
			}
			if slices.Contains(p.offline, id) {
				b.Offline++
			}
		}
		missing := without(v.assigned(p), p.isr)
		for _, id := range missing {
			brokers[id].OutOfSync++
		}
		if len(p.replicas) > 0 && p.leader >= 0 && p.leader != p.replicas[0] {
			s.NotPreferred++
		}
		s.judge(p, missing, min(least[p.topic], len(p.replicas)))
	}
	for _, b := range v.brokers {
		s.Brokers = append(s.Brokers, *brokers[b.id])
	}
	slices.SortStableFunc(s.Problems, func(a, b partitionProblem) int { return cmp.Compare(severity(a.Problem), severity(b.Problem)) })
	s.verdict = verdictOf(s)
	return s
}

// judge counts a partition that is not as it should be, under the worst of what is wrong with it.
func (s *clusterStatus) judge(p partitionView, missing []int32, least int) {
	problem := ""
	switch {
	case p.leader < 0:
		s.Leaderless++
		problem = problemNoLeader
	case len(p.isr) < least:
		*s.UnderMinISR++
		problem = problemUnderMinISR
	case len(missing) > 0:
		problem = problemUnderReplicated
	}
	if len(missing) > 0 {
		s.UnderReplicated++
	}
	if problem != "" {
		s.Problems = append(s.Problems, partitionProblem{p.topic, p.partition, problem, p.leader, orEmpty(p.replicas), orEmpty(p.isr)})
	}
}

// severity puts the worst problems first.
func severity(problem string) int {
	return slices.Index([]string{problemNoLeader, problemUnderMinISR, problemUnderReplicated}, problem)
}

// problemsShown bounds how many partitions a table lists.
const problemsShown = 20

func printStatus(p *printer, s *clusterStatus) error {
	if err := p.line("Cluster %s: %s", escape(s.ID), s.State); err != nil {
		return err
	}
	for _, reason := range s.Reasons {
		if err := p.line("  %s", escape(reason)); err != nil {
			return err
		}
	}
	controller := "no controller"
	if s.Controller >= 0 {
		controller = fmt.Sprintf("controller %d", s.Controller)
	}
	under := "-"
	if s.UnderMinISR != nil {
		under = strconv.Itoa(*s.UnderMinISR)
	}
	if err := p.line("%s, %s, %s, %s\n%s without a leader, %s under min.insync.replicas, %d under-replicated, %d not led by the first replica, %d moving\n",
		plural(int64(len(s.Brokers)), "broker"), controller, plural(int64(s.Topics), "topic"), plural(int64(s.Partitions), "partition"),
		plural(int64(s.Leaderless), "partition"), under, s.UnderReplicated, s.NotPreferred, len(s.Moving)); err != nil {
		return err
	}
	brokers := newTable("BROKER", "STATE", "ADDRESS", "RACK", "LEADERS", "REPLICAS", "OUT-OF-SYNC")
	for _, b := range s.Brokers {
		state, address := "up", ""
		if !b.Up {
			state = "down"
		}
		if b.Host != "" {
			address = net.JoinHostPort(b.Host, strconv.Itoa(int(b.Port)))
		}
		brokers.row(b.ID, state, address, b.Rack, b.Leaders, b.Replicas, b.OutOfSync)
	}
	err := p.table(brokers)
	if s.Quorum != nil {
		err = joined(err, p.line(""), printQuorum(p, s.Quorum))
	}
	if len(s.Problems) > 0 {
		err = joined(err, p.line(""), printProblems(p, s.Problems))
	}
	if len(s.Moving) > 0 {
		err = joined(err, p.line(""), printReassignments(p, s.Moving, problemsShown))
	}
	return err
}

func printProblems(p *printer, problems []partitionProblem) error {
	t := newTable("TOPIC", "PARTITION", "PROBLEM", "LEADER", "REPLICAS", "ISR")
	for _, pp := range problems[:min(len(problems), problemsShown)] {
		t.row(pp.Topic, pp.Partition, pp.Problem, leaderText(pp.Leader), numbers(pp.Replicas), numbers(pp.ISR))
	}
	return joined(p.table(t), p.more(len(problems), problemsShown))
}

// more says how many rows of a table were left out.
func (p *printer) more(all, shown int) error {
	if all <= shown {
		return nil
	}
	return p.line("... and %d more: --output json lists all", all-shown)
}
