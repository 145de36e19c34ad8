package sim

import (
	"slices"
	"time"

	"github.com/weir/weir/config"
	"github.com/weir/weir/log"
	"github.com/weir/weir/replication"
)

// A relaxed partition loses nothing that was acknowledged as long as fewer than most of its replicas lose their power before the others
// have caught up. In most runs no more do so. In some they do, and then the newest records of the partition are given up: nothing is said any
// more of what is in it, but that its replicas agree on it in the end, with one leader. All that is synced loses nothing, there too.

// config is the topic's configuration, as far as it is the partition's.
func (t *part) config() *config.TopicConfig {
	if t.relaxed {
		return t.sim.plan.lazy
	}
	return t.sim.plan.topic
}

// mayLosePower tells whether a node may lose its power now.
func (n *node) mayLosePower() bool {
	return n.sim.plan.givesUp || !slices.ContainsFunc(n.sim.parts, n.isNeededFor)
}

// isNeededFor tells whether a partition may lose what was acknowledged if a node loses its power.
func (n *node) isNeededFor(t *part) bool {
	if !t.risky || !t.on(n.id) || t.givenUp {
		return false
	}
	whole := 0
	for _, id := range t.replicas {
		if other := n.sim.nodes[id-1]; other != n && !other.lost[t.id.Partition] && (t.witness == 0 || other.hasAll(t)) {
			whole++
		}
	}
	if t.witness != 0 {
		whole++
	}
	return whole < t.voters()/2+1
}

// giveUp notes that what was acknowledged may be lost. Clients of the partition go.
func (t *part) giveUp() {
	s := t.sim
	s.trace.note("most replicas of partition %d have lost their power: its newest records are given up", t.id.Partition)
	t.givenUp, t.acks = true, nil
	s.GivenUp++
	for _, c := range s.producers {
		if c.part == t {
			c.open = nil
		}
	}
}

// settledAnyhow tells what is not yet well in a partition that was given up; "": all is.
func (t *part) settledAnyhow() string {
	leaders, first := 0, t.sim.nodes[t.replicas[0]-1].proc.parts[t.id.Partition]
	for _, id := range t.replicas {
		r := t.sim.nodes[id-1].proc.parts[t.id.Partition]
		if _, leads := r.Leads(); leads {
			leaders++
		}
		same := func(a, b entry) bool { return a.hash == b.hash }
		if !slices.EqualFunc(r.log, first.log, same) || r.applied != uint64(len(r.log)) || r.high != r.LogEnd() {
			return "a replica of a partition that was given up lags"
		}
	}
	if leaders != 1 {
		return "a partition that was given up has not one leader"
	}
	return ""
}

func (t *part) voters() int { return len(t.nodes()) }

// hasAll tells whether a node that runs has all that is committed. What a leader and a witness have committed, no other replica need
// have.
func (n *node) hasAll(t *part) bool {
	count := len(t.committed)
	if n.proc == nil || n.proc.parts[t.id.Partition] == nil {
		return false
	}
	have := n.proc.parts[t.id.Partition].log
	return len(have) >= count && (count == 0 || have[count-1].hash == t.committed[count-1].hash)
}

// lookWhetherLost compares what a replica says of what it may lack with what its machine went through.
func (r *replica) lookWhetherLost(v replication.View) {
	n, number := r.proc.node, r.part.id.Partition
	switch why := v.Log.Forgotten(); {
	case why == log.ByDamage, why == log.ByPower && !n.lost[number]: // no disk here loses what is durable
		r.part.sim.fail("node %d lacks entries of %v that were durable", n.id, r)
	case why == log.Nothing:
		n.lost[number] = false
	}
}

// relax switches a partition between acknowledging what is on disk and what is in memory; one node after the other hears of it.
func (s *sim) relax() {
	t := pick(s, s.parts...)
	if !t.risky {
		return
	}
	t.relaxed = !t.relaxed
	s.trace.note("partition %d is relaxed: %v", t.id.Partition, t.relaxed)
	for _, n := range s.nodes {
		if n.proc != nil && n.proc.parts[t.id.Partition] != nil {
			r := n.proc.parts[t.id.Partition]
			n.proc.after(s.between(0, 100*time.Millisecond), "the durability changes", func() { r.SetConfig(t.config()) })
		}
	}
}
