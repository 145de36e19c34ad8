package sim

import (
	"time"

	"github.com/weir/weir/config"
	"github.com/weir/weir/log"
	"github.com/weir/weir/replication"
)

// A relaxed partition loses nothing that was acknowledged as long as fewer than most of its replicas lose their power before the others
// have caught up. So no more do so here.

// config is the topic's configuration, as far as it is the partition's.
func (t *part) config() *config.TopicConfig {
	if t.relaxed {
		return t.sim.plan.lazy
	}
	return t.sim.plan.topic
}

// mayLosePower tells whether a node may lose its power now.
func (n *node) mayLosePower() bool {
	for i, t := range n.sim.parts {
		if !t.risky || !t.on(n.id) {
			continue
		}
		whole := 0
		for _, id := range t.replicas {
			if other := n.sim.nodes[id-1]; other != n && !other.lost[i] && (t.witness == 0 || other.hasAll(t)) {
				whole++
			}
		}
		if t.witness != 0 {
			whole++
		}
		if whole < t.voters()/2+1 {
			return false
		}
	}
	return true
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
