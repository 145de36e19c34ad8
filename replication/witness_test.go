package replication

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"go.etcd.io/raft/v3/raftpb"
	"pgregory.net/rapid"

	"github.com/weir/weir/log"
)

// newPair is two replicas, and a witness on a third node.
func newPair(t *testing.T) *trio {
	c := newNodes(t)
	for _, id := range []NodeID{1, 2, WitnessOf(3)} {
		c.add(id, 1, 2, WitnessOf(3))
	}
	return c
}

// other gives the replica that is not m.
func (c *trio) other(m *member) *member { return c.nodes[2-m.id] }

// last gives the last entry of a node's log.
func (m *member) last() (last uint64) {
	_ = m.group.Do(func() error { last = m.group.log.LastIndex(); return nil })
	return last
}

// TestWitnessIsLeftAlone as long as both replicas are in sync, and so nothing waits for it.
func TestWitnessIsLeftAlone(t *testing.T) {
	c := newPair(t)
	var acked []string
	c.write(&acked, 1)
	l, witness := c.leader(), c.nodes[2]
	c.until("two in sync", func() bool { return l.hasInSync(0, 1) || l.hasInSync(1, 0) })
	before, syncs := witness.last(), witness.host.stats.JournalSyncs.Value()
	c.isolate(witness.id, true)
	c.write(&acked, 20)
	c.isolate(witness.id, false)
	c.write(&acked, 20)
	if now := witness.last(); now != before || witness.host.stats.JournalSyncs.Value() != syncs {
		t.Errorf("the witness has %d entries, and had %d", now, before)
	}
	c.until("sleep", c.asleep)
	c.settledInOrder(acked)
}

// TestAnyOneIsLost: whichever of the three is lost, the others go on, and there are two in sync when it is back.
func TestAnyOneIsLost(t *testing.T) {
	c := newPair(t)
	var acked []string
	c.write(&acked, 10)
	for round := range 6 {
		m := c.nodes[round%3]
		c.away(m, true)
		c.write(&acked, 10)
		if l := c.leader(m); m != c.nodes[2] {
			c.until("one in sync", func() bool { return l.hasInSync(BrokerOf(l.id)) })
			c.until("sleep of two", func() bool { return l.host.Awake()+c.nodes[2].host.Awake() == 0 })
		}
		c.away(m, false)
		l := c.leader(c.nodes[2])
		c.until("two in sync", func() bool { l = c.leader(); return l.hasInSync(0, 1) || l.hasInSync(1, 0) })
		c.settledInOrder(acked)
	}
}

// TestStaleReplicaDoesNotLead: what was acknowledged while it was away is not on it, and the partition waits for who has it.
func TestStaleReplicaDoesNotLead(t *testing.T) {
	c := newPair(t)
	var acked []string
	c.write(&acked, 10)
	l := c.leader()
	stale := c.other(l)
	c.away(stale, true)
	c.write(&acked, 10)
	c.until("the end of the leadership of who is away", func() bool { return !stale.isLeader() })
	rng := rand.New(rand.NewPCG(3, 3))
	c.nodes[2].crash(rng) // and it does not forget what it was shown
	c.away(l, true)
	c.away(stale, false)
	c.isolate(stale.id, false)
	for range 100 {
		for _, m := range c.nodes {
			m.host.Tick()
		}
		time.Sleep(time.Millisecond)
		if stale.isLeader() {
			t.Fatal("a replica leads that lacks what was acknowledged")
		}
	}
	c.away(l, false)
	c.settledInOrder(acked)
}

// TestWhoIsInSyncCanLead: at whatever moment a leader is lost that tells of two replicas in sync, the other one takes over.
func TestWhoIsInSyncCanLead(t *testing.T) {
	for seed := range uint64(4) {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			rng := rand.New(rand.NewPCG(seed, 9))
			c := newPair(t)
			var acked []string
			c.write(&acked, 1)
			lost := 0
			for round := 0; round < 20 && lost < 5; round++ {
				l := c.leader()
				c.away(c.other(l), true)
				waiting := propose(l, 30)
				c.away(c.other(l), false)
				for range rng.IntN(300) { // it catches up, while there is more
					l.host.Tick()
					waiting = append(waiting, propose(l, 1)...)
					time.Sleep(time.Duration(rng.IntN(200)) * time.Microsecond)
				}
				c.until("two in sync", func() bool {
					waiting = append(waiting, propose(l, 1)...)
					return l.hasInSync(0, 1) || l.hasInSync(1, 0) || !l.isLeader()
				})
				if !l.isLeader() { // time passed too fast for it
					continue
				}
				lost++
				c.away(l, true)
				c.leader(l)
				c.away(l, false)
				c.until("an end of the lost leadership", func() bool { return !l.isLeader() })
				places := c.settled()
				for _, p := range waiting {
					if len(p.done) > 0 && <-p.done == nil {
						if _, there := places[p.text]; !there {
							t.Fatalf("%s was acknowledged and is lost", p.text)
						}
					}
				}
			}
			if lost == 0 {
				t.Error("no leader was lost")
			}
		})
	}
}

var proposals int

// propose lets a node append batches.
func propose(m *member, count int) (out []*proposed) {
	for range count {
		proposals++
		out = append(out, m.propose(fmt.Sprintf("p%d", proposals), 50))
	}
	return out
}

// TestWitnessUnderFaults: nodes are cut off, lost, and end as a power cut does, while batches are proposed.
func TestWitnessUnderFaults(t *testing.T) {
	for seed := range uint64(12) {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			rng := rand.New(rand.NewPCG(seed, 6))
			c := newPair(t)
			var waiting []*proposed
			for range 80 {
				switch at := c.nodes[rng.IntN(3)]; rng.IntN(12) {
				case 0:
					c.isolate(at.id, true)
				case 1:
					c.away(at, true)
				case 2, 3, 4:
					for _, m := range c.nodes {
						c.away(m, false)
					}
				case 5:
					at.crash(rng)
				default:
					for _, m := range c.replicas() {
						if m.isLeader() {
							waiting = append(waiting, propose(m, 1+rng.IntN(4))...)
						}
					}
				}
				for range rng.IntN(15) {
					for _, m := range c.nodes {
						m.host.Tick()
					}
					time.Sleep(100 * time.Microsecond)
				}
			}
			for _, m := range c.nodes {
				c.away(m, false)
			}
			places, acked := c.settled(), 0
			for _, p := range waiting {
				if len(p.done) > 0 && <-p.done == nil {
					acked++
					if _, there := places[p.text]; !there {
						t.Fatalf("%s was acknowledged and is lost", p.text)
					}
				}
			}
			c.mu.Lock()
			defer c.mu.Unlock()
			for term, leader := range c.leads {
				if IsWitness(leader) {
					t.Errorf("the witness led in term %d", term)
				}
			}
			if acked == 0 {
				t.Fatal("nothing was acknowledged")
			}
		})
	}
}

// TestWitnessComesAndGoes with the number of replicas, and to another node, also while a replica is away.
func TestWitnessComesAndGoes(t *testing.T) {
	c := newNodes(t)
	var acked []string
	c.add(1, 1)
	c.write(&acked, 60)
	c.nodes[0].trim(40)
	c.add(2)
	c.add(WitnessOf(3))
	c.move(1, 2, WitnessOf(3))
	c.write(&acked, 5)
	l := c.leader()
	away := c.other(l)
	c.away(away, true)
	c.write(&acked, 5)
	c.add(WitnessOf(4))
	for _, m := range c.nodes {
		m.host.NodeUp(3)
	}
	c.move(1, 2, WitnessOf(4))
	c.write(&acked, 5)
	c.away(away, false)
	c.add(5)
	for _, m := range c.nodes {
		m.host.NodeUp(4)
	}
	c.move(1, 2, 5)
	c.settled()
	c.move(5, 1, WitnessOf(3)) // it has been away, and what it knew is old
	c.retire(2)
	c.write(&acked, 5)
	if !slices.Equal(c.nodes[0].group.Replicas().Voters, []NodeID{1, 5, WitnessOf(3)}) {
		t.Errorf("the replicas are %+v", c.nodes[0].group.Replicas())
	}
	c.settled()
}

// TestReplicaIsReplacedWithoutTheWitness: the node that is lost was to be the next witness, and nobody waits for it.
func TestReplicaIsReplacedWithoutTheWitness(t *testing.T) {
	c := newPair(t)
	var acked []string
	c.write(&acked, 5)
	l := c.leader()
	lost := c.other(l)
	c.away(lost, true)
	c.write(&acked, 5)
	c.add(4)
	for _, m := range c.nodes {
		m.host.NodeUp(3)
	}
	c.move(l.id, 4, WitnessOf(lost.id))
	c.retire(lost.id)
	c.write(&acked, 5)
	c.settledInOrder(acked)
}

// TestWitnessComesBeforeTheFirstVote: who has not voted yet when a witness is to join knows with whom the group was made.
func TestWitnessComesBeforeTheFirstVote(t *testing.T) {
	c := newNodes(t)
	var acked []string
	c.add(1, 1, 2)
	c.add(WitnessOf(3))
	c.want(1, 2, WitnessOf(3))
	c.add(2, 1, 2)
	c.write(&acked, 5)
	c.move(2, 1, WitnessOf(3))
	c.write(&acked, 5)
	c.settledInOrder(acked)
}

// TestFullDiskPassesTheWitnessBy: a leader that cannot write, and whose other replica is away, hands over to nobody.
func TestFullDiskPassesTheWitnessBy(t *testing.T) {
	c := newPair(t)
	var acked []string
	c.write(&acked, 5)
	l := c.leader()
	away := c.other(l)
	c.away(away, true)
	c.write(&acked, 5)
	l.disk.Limit(0)
	waits := l.propose("too much", 10)
	for range 50 {
		var to NodeID
		_ = l.group.Do(func() error { to = l.group.rn.BasicStatus().LeadTransferee; return nil })
		if to != 0 {
			t.Fatalf("leadership goes to %x", to)
		}
		for _, m := range c.nodes {
			m.host.Tick()
		}
		time.Sleep(time.Millisecond)
	}
	l.disk.Heal()
	if err := <-waits.done; err != nil {
		t.Fatal(err)
	}
	c.away(away, false)
	c.settledInOrder(append(acked, "too much"))
}

// TestWitnessed: it is told as long as a witness votes, also when it is not to.
func TestWitnessed(t *testing.T) {
	c := newPair(t)
	witnessed := func() (yes bool) {
		l := c.leader()
		_ = l.group.Do(func() error { yes = l.group.Witnessed(); return nil })
		return yes
	}
	if !witnessed() {
		t.Error("a witness votes, and it is not told")
	}
	var acked []string
	c.write(&acked, 1)
	c.want(1, 2, 4) // which is not there
	for range 5 {
		c.write(&acked, 1)
		if !witnessed() {
			t.Error("a witness still votes, and it is not told")
		}
	}
	c.add(4)
	for _, m := range c.nodes {
		m.host.NodeUp(3)
	}
	c.move(1, 2, 4)
	if witnessed() {
		t.Error("it is told of a witness that is gone")
	}
}

// TestWitnessTakesNoLeadership that is handed to it.
func TestWitnessTakesNoLeadership(t *testing.T) {
	c := newPair(t)
	l := c.leader()
	l.group.Transfer(WitnessOf(3))
	c.nodes[2].group.Campaign()
	p := l.propose("on", 0)
	if err := <-p.done; err != nil {
		t.Fatal(err)
	}
	s := step{}
	s = plan(1, &raftpb.ConfState{Voters: []uint64{1, 2, WitnessOf(3)}}, []NodeID{4, WitnessOf(3)}, nil, func(NodeID) bool { return true })
	if s.handTo != 0 {
		t.Errorf("leadership goes to %x", s.handTo)
	}
	s = plan(1, &raftpb.ConfState{Voters: []uint64{1, 2, WitnessOf(3)}}, []NodeID{WitnessOf(3), 2}, nil, func(NodeID) bool { return true })
	if s.handTo != 2 {
		t.Errorf("leadership goes to %x", s.handTo)
	}
}

// TestHeaders compares a witness's log with a list of entries.
func TestHeaders(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		h, want, first := &headers{}, []log.Entry{{}}, uint64(0) // want[0] is the entry before the first
		t.Repeat(map[string]func(*rapid.T){
			"append": func(t *rapid.T) {
				last := want[len(want)-1]
				e := log.Entry{Index: last.Index + 1, Term: last.Term + uint64(rapid.IntRange(0, 1).Draw(t, "terms")), Kind: log.Batch}
				if rapid.Bool().Draw(t, "change") {
					e.Kind, e.Data = kindConfChangeV2, []byte(fmt.Sprint(e.Index))
				}
				if err := h.Append([]log.Entry{e}); err != nil {
					t.Fatal(err)
				}
				want = append(want, e)
			},
			"cut": func(t *rapid.T) {
				left := rapid.IntRange(1, len(want)).Draw(t, "left")
				if err := h.TruncateSuffix(first + uint64(left-1)); err != nil {
					t.Fatal(err)
				}
				want = want[:left]
			},
			"drop": func(t *rapid.T) {
				n := rapid.IntRange(0, len(want)-1).Draw(t, "count")
				h.Keep(first + uint64(n) + 1)
				first += uint64(n)
				want = slices.Clone(want[n:])
			},
			"anew": func(t *rapid.T) {
				last := want[len(want)-1]
				first = last.Index + uint64(rapid.IntRange(0, 3).Draw(t, "gap"))
				want = []log.Entry{{Index: first, Term: last.Term + 1}}
				if err := h.Reset(log.Origin{Index: first + 1, Term: last.Term + 1}); err != nil {
					t.Fatal(err)
				}
			},
			"restart": func(t *rapid.T) {
				var ok bool
				if h, ok = parseHeaders(h.encode(nil)); !ok {
					t.Fatal("what was written cannot be read")
				}
			},
			"": func(t *rapid.T) {
				if h.FirstIndex() != first+1 || h.LastIndex() != first+uint64(len(want)-1) {
					t.Fatalf("entries %d to %d, and not %d to %d", h.FirstIndex(), h.LastIndex(), first+1, first+uint64(len(want)-1))
				}
				var changes []log.Entry
				for i, e := range want {
					if term, err := h.Term(first + uint64(i)); err != nil || term != e.Term {
						t.Fatalf("entry %d has term %d (%v), and not %d", e.Index, term, err, e.Term)
					}
					own, ok := h.Own(first + uint64(i))
					if i > 0 && ok != changesMembers(e.Kind) || ok && (own.Index != e.Index || own.Term != e.Term || string(own.Data) != string(e.Data)) {
						t.Fatalf("entry %d is %+v", e.Index, own)
					}
					if i > 0 && changesMembers(e.Kind) {
						changes = append(changes, e)
					}
				}
				n := 0
				for e, ok := h.NextOwn(first); ok; e, ok = h.NextOwn(e.Index) {
					n++
				}
				if n != len(changes) {
					t.Fatalf("%d changes of members, and not %d", n, len(changes))
				}
				if _, err := h.Term(h.LastIndex() + 1); !errors.Is(err, log.ErrUnavailable) {
					t.Fatal(err)
				}
			},
		})
	})
}

// FuzzHeaders: whatever bytes are read, they are read as they would be written, or not at all.
func FuzzHeaders(f *testing.F) {
	h := &headers{}
	if err := h.Append([]log.Entry{{Index: 1, Term: 1}, {Index: 2, Term: 1, Kind: kindConfChangeV2, Data: []byte("x")}, {Index: 3, Term: 4}}); err != nil {
		f.Fatal(err)
	}
	f.Add(h.encode(nil))
	f.Fuzz(func(t *testing.T, b []byte) {
		if h, ok := parseHeaders(b); ok && !slices.Equal(h.encode(nil), b) {
			t.Fatalf("%x became %x", b, h.encode(nil))
		}
	})
}
