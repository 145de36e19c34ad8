package cli

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/spf13/cobra"
)

const (
	stateHealthy     = "healthy"
	stateDegraded    = "degraded"
	stateUnavailable = "unavailable"
)

// silentMsMax is for how long a voter may not ask for the metadata before it counts as gone.
const silentMsMax = 10_000

// verdict is how a cluster is, in a word, with why.
type verdict struct {
	State   string   `json:"state"`
	Reasons []string `json:"reasons"`
}

func (v verdict) exitCode() exitCode {
	switch v.State {
	case stateHealthy:
		return 0
	case stateDegraded:
		return 1
	}
	return 2
}

// add takes a reason why the cluster is in a state; the worst counts. Reasons come from the worst on.
func (v *verdict) add(state, format string, args ...any) {
	if v.State == stateHealthy {
		v.State = state
	}
	v.Reasons = append(v.Reasons, fmt.Sprintf(format, args...))
}

// verdictOf judges a cluster: it is unavailable if something cannot be read or written now, and degraded if a further failure
// could make it so.
func verdictOf(s *clusterStatus) verdict {
	v := verdict{State: stateHealthy, Reasons: []string{}}
	if s.Controller < 0 {
		v.add(stateUnavailable, "there is no controller: more than half of the voters of the metadata must be up")
	}
	if s.Leaderless > 0 {
		v.add(stateUnavailable, "%s no leader: %s", have(s.Leaderless), s.named(problemNoLeader))
		if p, broker, ok := s.lost(); ok {
			v.add(stateUnavailable, "the only replica of %s is on broker %d, which is up: if the disk that it was on is lost, `weir partition elect %s --unclean` lets the partition begin anew, empty", p, broker, p)
		}
	}
	if s.UnderMinISR != nil && *s.UnderMinISR > 0 {
		v.add(stateUnavailable, "%s fewer in-sync replicas than min.insync.replicas, and refuse writes with acks=all: %s", have(*s.UnderMinISR), s.named(problemUnderMinISR))
	}
	for _, b := range s.Brokers {
		switch {
		case !b.Up:
			v.add(stateDegraded, "broker %d is down", b.ID)
		case b.Offline > 0:
			v.add(stateDegraded, "broker %d cannot serve %s: look after its disks", b.ID, plural(int64(b.Offline), "replica"))
		}
	}
	if s.UnderReplicated > 0 {
		v.add(stateDegraded, "%s replicas that are not in sync", have(s.UnderReplicated))
	}
	if s.Quorum != nil {
		for _, m := range s.Quorum.voters() {
			if m.SilentMs != nil && *m.SilentMs > silentMsMax {
				v.add(stateDegraded, "node %d, which votes on the metadata, has not asked for it for %s", m.ID, ageText(m.SilentMs))
			}
		}
	}
	return v
}

// have begins a sentence about partitions.
func have(n int) string {
	if n == 1 {
		return "1 partition has"
	}
	return fmt.Sprintf("%d partitions have", n)
}

// lost gives a partition without a leader whose only replica is on a broker that is up. It has no leader for long only if the disk is lost.
func (s *clusterStatus) lost() (p topicPartition, broker int32, ok bool) {
	for _, p := range s.Problems {
		if p.Problem == problemNoLeader && len(p.Replicas) == 1 && slices.ContainsFunc(s.Brokers, func(b brokerStatus) bool { return b.ID == p.Replicas[0] && b.Up }) {
			return topicPartition{p.Topic, p.Partition}, p.Replicas[0], true
		}
	}
	return p, 0, false
}

// named lists some of the partitions with a problem.
func (s *clusterStatus) named(problem string) string {
	const most = 3
	var names []string
	for _, p := range s.Problems {
		if p.Problem == problem {
			names = append(names, topicPartition{p.Topic, p.Partition}.String())
		}
	}
	if len(names) > most {
		names = append(names[:most], "...")
	}
	return strings.Join(names, ", ")
}

func clusterHealthCommand(o *options) *cobra.Command {
	w := watching{}
	cmd := &cobra.Command{
		Use:   "health",
		Short: "Tell in one line, and with the exit code, whether a cluster is well",
		Long: `Tell in one line whether a cluster is well, and why not.

  exit code 0  healthy
  exit code 1  degraded: all can be read and written, but something is missing that should be there; a broker
               is down, or replicas are not in sync
  exit code 2  unavailable: something cannot be read or written; partitions have no leader, or fewer in-sync
               replicas than min.insync.replicas, or the cluster does not answer

Replicas that a reassignment adds count when they are there. --watch tells it again and again, until Ctrl-C,
with exit code 0.

JSON: an object with the fields state (healthy, degraded or unavailable) and reasons.`,
		Example: `  weir cluster health
  weir cluster health --watch
  until weir cluster health; do sleep 1; done`,
		Args:              noArgs,
		ValidArgsFunction: cobra.NoFileCompletions,
	}
	w.flags(cmd)
	cmd.RunE = o.run(func(ctx context.Context, cmd *cobra.Command, _ []string) error {
		var last verdict
		err := w.repeat(ctx, cmd, o.printer(cmd), func(p *printer) (err error) {
			if last, err = o.askHealth(ctx); err != nil {
				return err
			}
			return printVerdict(p, last)
		})
		if code := last.exitCode(); err == nil && code != 0 && !w.on {
			return code
		}
		return err
	})
	return cmd
}

// askHealth judges the cluster. One that does not answer is unavailable; an error is the user's.
func (o *options) askHealth(ctx context.Context) (v verdict, err error) {
	err = o.ask(ctx, func(ctx context.Context, c *client) error {
		s, err := askStatus(ctx, c)
		if err == nil {
			v = s.verdict
		}
		return err
	})
	var usage *usageError
	if err == nil || ctx.Err() != nil || errors.As(err, &usage) {
		return v, err
	}
	return verdict{stateUnavailable, []string{o.explain(err).Error()}}, nil
}

func printVerdict(p *printer, v verdict) error {
	if p.json {
		return p.document(v)
	}
	if len(v.Reasons) == 0 {
		return p.line("%s", v.State)
	}
	return p.line("%s: %s", v.State, escape(strings.Join(v.Reasons, "; ")))
}
