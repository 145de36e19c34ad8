package replication

import (
	"errors"
	"fmt"
	"slices"
	"testing"

	"go.etcd.io/raft/v3/raftpb"

	"github.com/weir/weir/log"
)

// newRelaxed is newTrio with a relaxed group of two or three.
func newRelaxed(t *testing.T, voters int) *trio {
	c := newNodes(t)
	c.relaxed = true
	first := []NodeID{1, 2, 3}[:voters]
	for _, id := range first {
		c.add(id, first...)
	}
	c.settled()
	return c
}

// losesPower has the machine of a node lose its power, and with it all entries after one.
func (m *member) losesPower(keep uint64) {
	t := m.trio.t
	t.Helper()
	m.trio.isolate(m.id, true)
	disk := m.fs.Clone()
	cfg := log.Config{SegmentBytes: 4000, SegmentMs: 1 << 40, IndexIntervalBytes: 200, RetentionMs: -1, RetentionBytes: -1}
	l, _, err := log.Open(disk, "d/t-3", log.Identity{TopicID: trioGroup.Topic, Partition: 3}, cfg, nil)
	if err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(l.TruncateSuffix(keep), l.Close()); err != nil {
		t.Fatal(err)
	}
	m.powerLost = true
	m.restart(disk)
}

// blinks tells the others that a node went and came.
func (c *trio) blinks(m *member) {
	for _, other := range c.nodes {
		if other != m {
			other.host.NodeDown(BrokerOf(m.id))
			other.host.NodeUp(BrokerOf(m.id))
		}
	}
}

// passes lets some time pass.
func (c *trio) passes(ticks int) {
	c.until("time to pass", func() bool { ticks--; return ticks < 0 })
}

func (m *member) lacks() (why log.Lack) {
	_ = m.group.Do(func() error { why = m.log.Forgotten(); return nil })
	return why
}

// TestPowerIsLost: one of two or three has lost what it acknowledged, and has it again, whatever it and the others were just doing.
func TestPowerIsLost(t *testing.T) {
	for _, voters := range []int{2, 3} {
		for _, leads := range []bool{false, true} {
			for _, asleep := range []bool{false, true} {
				t.Run(fmt.Sprintf("%d voters, leader %v, asleep %v", voters, leads, asleep), func(t *testing.T) {
					c := newRelaxed(t, voters)
					var acked []string
					c.write(&acked, 20)
					c.settled()
					if asleep {
						c.until("sleep", func() bool {
							return !slices.ContainsFunc(c.nodes, func(m *member) bool { return m.host.Awake() > 0 })
						})
					}
					l := c.leader()
					victim := c.nodes[int(l.id)%voters]
					if leads {
						victim = l
					}
					for range 2 { // and soon again
						had := victim.log.LastIndex()
						victim.losesPower(had / 2)
						c.blinks(victim)
						c.until("all that was lost", func() bool { return victim.log.LastIndex() >= had && victim.lacks() == log.Nothing })
					}
					c.write(&acked, 3)
					c.settledInOrder(acked)
				})
			}
		}
	}
}

// TestLeaderStaysWhenPowerWasLost: a replica that comes back ends the leadership, and who led leads on at once, not after an election
// timeout.
func TestLeaderStaysWhenPowerWasLost(t *testing.T) {
	c := newRelaxed(t, 3)
	var acked []string
	c.write(&acked, 20)
	c.settled()
	l := c.leader()
	victim := c.nodes[l.id%3]
	had := victim.log.LastIndex()
	victim.losesPower(had / 2)
	c.blinks(victim)
	ticks := 0
	c.until("all that was lost", func() bool { ticks++; return victim.lacks() == log.Nothing && victim.log.LastIndex() >= had })
	if !l.isLeader() || ticks > electionTicks/2 {
		t.Errorf("after %d ticks it is still the leader: %v", ticks, l.isLeader())
	}
}

// TestKilledBeforeItCaughtUp: a process that ends before it has what the machine lost knows that the next time.
func TestKilledBeforeItCaughtUp(t *testing.T) {
	c := newRelaxed(t, 3)
	var acked []string
	c.write(&acked, 20)
	c.settled()
	victim := c.nodes[c.leader().id%3]
	c.mu.Lock()
	c.lose = func(m *raftpb.Message) bool { return m.GetTo() == victim.id }
	c.mu.Unlock()
	victim.losesPower(victim.log.LastIndex() / 2)
	for range 2 {
		victim.restart(victim.fs.Clone())
		if victim.lacks() != log.ByPower {
			t.Fatal("it does not know any more what it may lack")
		}
	}
	c.mu.Lock()
	c.lose = nil
	c.mu.Unlock()
	c.blinks(victim)
	c.settledInOrder(acked)
	c.until("the end of it", func() bool { return victim.lacks() == log.Nothing })
}

// TestTwoOfThreeLosePower: the third, which has what was acknowledged, is elected when they have waited, not one of them; and before, none.
func TestTwoOfThreeLosePower(t *testing.T) {
	for _, leads := range []bool{false, true} {
		t.Run(fmt.Sprintf("the third leads %v", leads), func(t *testing.T) {
			c := newRelaxed(t, 3)
			var acked []string
			c.write(&acked, 20)
			c.settled()
			l := c.leader()
			third := l
			if !leads {
				third = c.nodes[l.id%3]
			}
			term := third.end().term
			c.isolate(third.id, true)
			for _, m := range c.nodes {
				if m != third {
					m.losesPower(third.log.LastIndex() / 2)
				}
			}
			c.isolate(third.id, true) // from those that came back, too
			c.passes(3 * electionTicks)
			for _, m := range c.nodes {
				if m != third && m.isLeader() {
					t.Fatalf("node %d leads, and lacks what was acknowledged", m.id)
				}
			}
			c.isolate(third.id, false)
			c.blinks(third)
			found := c.leader()
			c.until("a leader of a later term", func() bool { found = c.leader(); return found.end().term > term })
			if found != third {
				t.Errorf("node %d leads, and node %d had all", found.id, third.id)
			}
			c.settledInOrder(acked)
		})
	}
}

// TestAllLosePower: they go on with what is left, of which one that most would elect has the most.
func TestAllLosePower(t *testing.T) {
	for _, voters := range []int{2, 3} {
		t.Run(fmt.Sprint(voters, " voters"), func(t *testing.T) {
			c := newRelaxed(t, voters)
			var acked []string
			c.write(&acked, 30)
			c.settled()
			for i, m := range c.nodes {
				m.losesPower(uint64(5 + 8*i))
			}
			c.passes(powerWait - 10)
			for _, m := range c.nodes {
				if m.isLeader() {
					t.Fatalf("node %d leads, and has not waited", m.id)
				}
			}
			more := slices.Clone(acked)
			c.write(&more, 5)
			places := c.settledInOrder(more[len(acked):])
			for _, key := range acked[:5+8-4] { // what all have, and at least one more of two; but for raft's own entries
				if _, ok := places[key]; !ok {
					t.Errorf("%s is lost", key)
				}
			}
			for _, m := range c.nodes {
				if m.lacks() != log.Nothing {
					t.Errorf("node %d still waits", m.id)
				}
			}
		})
	}
}

// TestWhoHadAllComesLate: two of three go on without what they acknowledged, while the third is away. It has it, and gives it up. If the
// entries are large, the leader's first message ends before those that differ.
func TestWhoHadAllComesLate(t *testing.T) {
	for _, size := range []int{100, messageBytes / 10} {
		for _, more := range []int{0, 60} { // than it has itself
			t.Run(fmt.Sprintf("%d bytes, %d more", size, more), func(t *testing.T) {
				c := newRelaxed(t, 3)
				var acked []string
				for i := range 30 {
					p := c.leader().propose(fmt.Sprint(i), size)
					c.until("an answer", func() bool { return len(p.done) > 0 })
					if err := <-p.done; err != nil {
						t.Fatal(err)
					}
					acked = append(acked, p.text)
				}
				c.settled()
				third := c.nodes[c.leader().id%3]
				c.away(third, true)
				for _, m := range c.nodes {
					if m != third {
						m.losesPower(25)
					}
				}
				c.isolate(third.id, true)
				c.until("a leader of two", func() bool { l := c.leader(third); return l.isLeader() && l.end().term > 1 })
				later := slices.Clone(acked)
				c.write(&later, 3+more)
				c.away(third, false)
				c.settledInOrder(later[len(acked):])
				third.mu.Lock()
				defer third.mu.Unlock()
				if !third.takenBack {
					t.Error("it was not told that what it knew is not so any more")
				}
			})
		}
	}
}

// TestPairLosesPower: of two replicas with a witness one loses its power, while the other is in sync.
func TestPairLosesPower(t *testing.T) {
	for _, leads := range []bool{false, true} {
		t.Run(fmt.Sprintf("leader %v", leads), func(t *testing.T) {
			c := newNodes(t)
			c.relaxed = true
			for _, id := range []NodeID{1, 2, WitnessOf(3)} {
				c.add(id, 1, 2, WitnessOf(3))
			}
			var acked []string
			for range 2 {
				c.write(&acked, 20)
				l := c.leader()
				c.until("two in sync", func() bool { l = c.leader(); return l.hasInSync(0, 1) || l.hasInSync(1, 0) })
				c.settledInOrder(acked)
				l = c.leader()
				victim := l
				if !leads {
					victim = c.other(l)
				}
				had := victim.log.LastIndex()
				victim.losesPower(had / 2)
				c.blinks(victim)
				c.until("all that was lost", func() bool { return victim.lacks() == log.Nothing && victim.log.LastIndex() >= had })
			}
			c.write(&acked, 3)
			c.settledInOrder(acked)
		})
	}
}

// TestWitnessKnewMore: what one of a pair had acknowledged with the witness alone it loses with its power. When it leads again, the
// witness does not stand for entries of which it has others, until there is more than it knew.
func TestWitnessKnewMore(t *testing.T) {
	c := newNodes(t)
	c.relaxed = true
	for _, id := range []NodeID{1, 2, WitnessOf(3)} {
		c.add(id, 1, 2, WitnessOf(3))
	}
	var acked []string
	c.write(&acked, 20)
	c.settledInOrder(acked)
	l := c.leader()
	other, witness := c.other(l), c.nodes[2]
	c.away(other, true)
	keep := l.log.LastIndex() + 2
	c.write(&acked, 10)
	knew := witness.last()
	l.losesPower(keep)
	c.isolate(l.id, true)
	c.isolate(l.id, false)
	c.blinks(l)
	c.away(other, false)
	c.until("a leader of two", func() bool { return l.isLeader() || other.isLeader() })
	if !l.isLeader() {
		t.Fatal("a replica leads that lacks what is left")
	}
	c.away(other, true)
	waiting := l.propose("alone", 0)
	c.until("time to pass", func() bool { return l.hasInSync(BrokerOf(l.id)) })
	c.passes(3 * electionTicks)
	if len(waiting.done) > 0 && witness.end() != l.end() {
		t.Errorf("entry %v is committed, and the witness ends with %v", l.end(), witness.end())
	}
	c.away(other, false)
	c.until("an answer", func() bool { return len(waiting.done) > 0 })
	later := slices.Clone(acked)
	c.write(&later, 20)
	c.settledInOrder(later[len(acked):])
	c.away(c.other(c.leader()), true)
	c.write(&later, 3)
	if now := witness.last(); now <= knew {
		t.Errorf("the witness knows of entries up to %d", now)
	}
}

// TestOnlyReplicaLosesPower: nobody else has what is lost, so it goes on at once.
func TestOnlyReplicaLosesPower(t *testing.T) {
	c := newNodes(t)
	c.relaxed = true
	m := c.add(1, 1)
	var acked []string
	c.write(&acked, 20)
	m.losesPower(10)
	c.write(&acked, 1)
	if m.lacks() != log.Nothing {
		t.Error("it waits for others")
	}
}

// TestPowerIsLostWithAllOnDisk: a group that was never relaxed has lost nothing.
func TestPowerIsLostWithAllOnDisk(t *testing.T) {
	c := newTrio(t)
	victim := c.nodes[0]
	disk := victim.fs.Clone()
	victim.powerLost = true
	victim.restart(disk)
	if victim.lacks() != log.Nothing {
		t.Error("it does not vote, and lacks nothing")
	}
}
