package replication

import (
	"encoding/binary"
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"go.etcd.io/raft/v3/raftpb"
	"google.golang.org/protobuf/proto"

	"github.com/weir/weir/log"
	"github.com/weir/weir/record"
)

// tellLeader notes who leads: there is one in a term.
func (c *trio) tellLeader(leader NodeID, term uint64) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if other := c.leads[term]; leader != 0 && other != 0 && other != leader {
		c.t.Errorf("%d and %d lead in term %d", other, leader, term)
	}
	if leader != 0 {
		c.leads[term] = leader
	}
}

func (c *trio) tellReached(target []NodeID) {
	c.mu.Lock()
	c.reached = target
	c.mu.Unlock()
}

// owned is what the log's owner derives from it: the offsets of its batches.
type owned struct{ m *member }

func (m *member) owned() log.State { return owned{m} }

func (m *member) note(offset int64) {
	m.mu.Lock()
	m.batches[offset] = true
	m.mu.Unlock()
}

func (o owned) Restore(b []byte) error {
	o.m.mu.Lock()
	defer o.m.mu.Unlock()
	o.m.batches = map[int64]bool{}
	for ; len(b) > 0; b = b[8:] {
		o.m.batches[int64(binary.BigEndian.Uint64(b))] = true
	}
	return nil
}

func (o owned) Replay(h record.Header) { o.m.note(h.BaseOffset) }

func (o owned) Snapshot(upTo int64) (b []byte) {
	o.m.mu.Lock()
	defer o.m.mu.Unlock()
	for _, offset := range slices.Sorted(maps.Keys(o.m.batches)) {
		if offset < upTo {
			b = binary.BigEndian.AppendUint64(b, uint64(offset))
		}
	}
	return b
}

// move tells all nodes which replicas are wanted, and waits until that is reached.
func (c *trio) move(target ...NodeID) {
	c.t.Helper()
	c.want(target...)
	c.until(fmt.Sprintf("replicas %v", target), func() bool {
		c.mu.Lock()
		defer c.mu.Unlock()
		return slices.Equal(c.reached, target)
	})
	for _, m := range c.nodes {
		if s := m.group.Replicas(); m.isLeader() && (!slices.Equal(s.Voters, slices.Sorted(slices.Values(target))) || len(s.Learners) > 0) {
			c.t.Fatalf("node %d has voters %v and learners %v", m.id, s.Voters, s.Learners)
		}
	}
}

func (c *trio) want(target ...NodeID) {
	c.mu.Lock()
	c.reached = nil
	c.mu.Unlock()
	for _, m := range c.nodes {
		m.group.SetReplicas(target, nil)
	}
}

// retire ends nodes that are no replicas any more.
func (c *trio) retire(ids ...NodeID) {
	c.t.Helper()
	for _, id := range ids {
		i := slices.IndexFunc(c.nodes, func(m *member) bool { return m.id == id })
		c.nodes[i].stop()
		c.nodes = slices.Delete(c.nodes, i, i+1)
		c.mu.Lock()
		delete(c.byID, id)
		c.mu.Unlock()
	}
}

func (m *member) gone() bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.removed
}

// write lets the leader acknowledge batches.
func (c *trio) write(acked *[]string, count int) {
	c.t.Helper()
	for range count {
		for end := time.Now().Add(20 * time.Second); ; {
			p := c.leader().propose(fmt.Sprint(len(*acked)), 100)
			c.until("an answer", func() bool { return len(p.done) > 0 })
			if err := <-p.done; err == nil {
				*acked = append(*acked, p.text)
				break
			} else if !errors.Is(err, errLost) && !errors.Is(err, ErrNotLeader) || time.Now().After(end) {
				c.t.Fatal(err)
			}
		}
	}
}

// trim makes a node's log begin later, as retention does, with the entry before keep ones from the end.
func (m *member) trim(offset int64) {
	m.trio.t.Helper()
	if err := m.group.Do(func() error { return m.log.SetStartOffset(offset) }); err != nil {
		m.trio.t.Fatal(err)
	}
}

// TestGrowAndShrink: 1, 3, 5, 3 and 1 replicas, of which each has everything, and a crash of all brings nothing back.
func TestGrowAndShrink(t *testing.T) {
	c := newNodes(t)
	var acked []string
	c.add(1, 1)
	c.write(&acked, 5)
	c.add(2)
	c.add(3)
	c.move(1, 2, 3)
	c.write(&acked, 5)
	c.settledInOrder(acked)
	c.add(4)
	c.add(5)
	c.move(1, 2, 3, 4, 5)
	c.write(&acked, 5)
	c.settledInOrder(acked)
	rng := rand.New(rand.NewPCG(1, 1))
	for _, m := range c.nodes {
		m.crash(rng)
	}
	for _, m := range c.nodes {
		if s := m.group.Replicas(); len(s.Voters) != 5 || s.Target != nil {
			t.Fatalf("after a crash node %d knows %+v", m.id, s)
		}
	}
	c.move(3, 4, 5)
	c.until("the removed nodes to know", func() bool { return c.nodes[0].gone() && c.nodes[1].gone() })
	c.retire(1, 2)
	c.write(&acked, 5)
	c.settledInOrder(acked)
	c.move(5)
	c.retire(3, 4)
	c.write(&acked, 5)
	c.nodes[0].crash(rng)
	c.write(&acked, 1)
	c.settledInOrder(acked)
	if _, listed := c.nodes[0].host.groups.Load(trioGroup); listed {
		t.Error("a lone replica gets ticks")
	}
}

// TestReplaceADeadNode: the disk of a voter is lost, and the node comes back under a new id.
func TestReplaceADeadNode(t *testing.T) {
	c := newTrio(t)
	var acked []string
	c.write(&acked, 20)
	c.retire(3)
	c.write(&acked, 5)
	c.add(4)
	c.move(1, 2, 4)
	c.retire(1) // the new one counts
	c.write(&acked, 5)
	c.settledInOrder(acked)
}

// TestReplaceAll: no replica stays, and the leader is none of those that are wanted.
func TestReplaceAll(t *testing.T) {
	for _, n := range []int{1, 3} {
		c := newNodes(t)
		var old, fresh []NodeID
		for id := range NodeID(n) {
			old, fresh = append(old, id+1), append(fresh, id+11)
		}
		for _, id := range old {
			c.add(id, old...)
		}
		var acked []string
		c.write(&acked, 10)
		for _, id := range fresh {
			c.add(id)
		}
		c.move(fresh...)
		c.until("the removed nodes to know", func() bool {
			return !slices.ContainsFunc(c.nodes[:n], func(m *member) bool { return !m.gone() })
		})
		c.retire(old...)
		c.write(&acked, 10)
		c.settledInOrder(acked)
	}
}

// TestCatchUpAfterRetention: what a new replica, and one that was away, need is no longer in the leader's log. They get what is,
// and what the log's owner knew of what is gone.
func TestCatchUpAfterRetention(t *testing.T) {
	c := newTrio(t)
	var acked []string
	c.write(&acked, 20)
	l := c.leader()
	away := c.nodes[l.id%3]
	c.isolate(away.id, true)
	c.write(&acked, 60)
	for _, m := range c.nodes {
		if m != away {
			m.trim(50)
		}
	}
	if l = c.leader(away); l.log.FirstIndex() <= away.log.LastIndex()+1 {
		t.Fatalf("the leader has entries from %d on, and the other one up to %d", l.log.FirstIndex(), away.log.LastIndex())
	}
	c.isolate(away.id, false)
	c.write(&acked, 1)
	c.add(4)
	c.move(1, 2, 3, 4)
	c.settled()
	for _, m := range c.nodes {
		m.mu.Lock()
		if count := len(m.batches); count < len(acked) || !m.batches[0] {
			t.Errorf("node %d's owner knows of %d batches", m.id, count)
		}
		m.mu.Unlock()
	}
	for _, m := range []*member{away, c.nodes[3]} {
		if m.log.StartOffset() == 0 {
			t.Errorf("node %d has what the leader had not", m.id)
		}
	}
}

// TestCatchUpIsThrottled: what learners get is bounded by ticks, by the rate of who sends or of who receives, if the group is
// throttled; voters are not affected.
func TestCatchUpIsThrottled(t *testing.T) {
	for _, c := range []struct {
		what               string
		sending, receiving bool // what the group is throttled by
		send               int64
		receive            map[int32]int64
		bound              bool
	}{
		{"sending", true, false, 10_000, nil, true},
		{"receiving", false, true, 0, map[int32]int64{1: 10_000}, true},
		{"both", true, true, 1 << 40, map[int32]int64{1: 10_000}, true},
		{"another broker's rate", true, true, 0, map[int32]int64{2: 10_000}, false},
		{"another group's rates", false, false, 10_000, map[int32]int64{1: 10_000}, false},
	} {
		t.Run(c.what, func(t *testing.T) { throttles(t, c.sending, c.receiving, c.send, c.receive, c.bound) })
	}
}

func throttles(t *testing.T, sending, receiving bool, send int64, receive map[int32]int64, bound bool) {
	c := newNodes(t)
	c.throttled = func(int32) (bool, bool) { return sending, receiving }
	var acked []string
	c.add(1, 1)
	l := c.leader()
	for range 10 {
		p := l.propose(fmt.Sprint(len(acked)), messageBytes/2)
		if err := <-p.done; err != nil {
			t.Fatal(err)
		}
		acked = append(acked, p.text)
	}
	c.add(2)
	l.host.SetCatchUpRates(send, receive)
	c.want(1, 2)
	if bound {
		sent := uint64(0)
		for range 60 {
			for _, m := range c.nodes {
				m.host.Tick()
			}
			time.Sleep(5 * time.Millisecond)
			sent = max(sent, c.nodes[1].log.LastIndex())
		}
		if sent > 6 { // 600 KB, and a message may be a whole one more
			t.Fatalf("the learner got %d entries", sent)
		}
		l.host.SetCatchUpRates(0, nil)
	}
	c.until("the replicas", func() bool { c.mu.Lock(); defer c.mu.Unlock(); return c.reached != nil })
	l.host.SetCatchUpRates(1, map[int32]int64{0: 1, 1: 1})
	for range 20 { // who is in sync is not throttled
		p := c.leader().propose(fmt.Sprint(len(acked)), 1000)
		if err := <-p.done; err != nil {
			t.Fatal(err)
		}
		acked = append(acked, p.text)
	}
	c.settledInOrder(acked)
}

// TestNewReplicaDoesNotVote: one that has no members, and whose log does not name it, answers nobody who asks for a vote.
func TestNewReplicaDoesNotVote(t *testing.T) {
	c := newNodes(t)
	m := c.add(4)
	done := func() { // a turn begins with calls, so what came before is done when the next one is
		for range 2 {
			_ = m.group.Do(func() error { return nil })
		}
		m.host.syncer.wait()
	}
	asks := func(index uint64) {
		m.host.Deliver(Arrived{Message: &raftpb.Message{
			Type: raftpb.MsgVote.Enum(), From: new(NodeID(1)), To: new(NodeID(4)), Term: new(uint64(5)), Index: new(index), LogTerm: new(uint64(5)),
		}, ID: trioGroup})
		done()
	}
	asks(0)
	for range 50 {
		m.host.Tick()
		done()
	}
	if s, ok := m.host.journal.Get(trioGroup); ok {
		t.Fatalf("it has %+v", s)
	}
	other := &raftpb.ConfChangeV2{Changes: []*raftpb.ConfChangeSingle{{Type: raftpb.ConfChangeAddLearnerNode.Enum(), NodeId: new(NodeID(7))}}}
	mine := &raftpb.ConfChangeV2{Changes: []*raftpb.ConfChangeSingle{{Type: raftpb.ConfChangeAddLearnerNode.Enum(), NodeId: new(NodeID(4))}}}
	for i, cc := range []*raftpb.ConfChangeV2{other, mine} {
		before, err := proto.Marshal(&raftpb.ConfState{Voters: []uint64{1, 2, 3}})
		if err != nil {
			t.Fatal(err)
		}
		cc.Context = before
		b, err := proto.Marshal(cc)
		if err != nil {
			t.Fatal(err)
		}
		m.host.Deliver(Arrived{Message: &raftpb.Message{
			Type: raftpb.MsgApp.Enum(), From: new(NodeID(2)), To: new(NodeID(4)), Term: new(uint64(4)), Index: new(uint64(i)),
			LogTerm: new(uint64(min(i, 1) * 4)), Entries: []*raftpb.Entry{{
				Index: new(uint64(i + 1)), Term: new(uint64(4)), Type: raftpb.EntryConfChangeV2.Enum(), Data: b,
			}},
		}, ID: trioGroup})
		done()
		if m.log.LastIndex() != uint64(i+1) {
			t.Fatalf("it has %d entries", m.log.LastIndex())
		}
		for range 25 { // nobody leads any more
			m.host.Tick()
			done()
		}
		asks(uint64(i + 1))
		if s, _ := m.host.journal.Get(trioGroup); (s.Vote != 0) != (i == 1) {
			t.Fatalf("after entry %d it has %+v", i+1, s)
		}
	}
}

// TestMovesUnderFaults changes the replicas at random while nodes are cut off, end as a power cut does, and lose the front of their
// logs.
func TestMovesUnderFaults(t *testing.T) {
	for seed := range uint64(8) {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			rng := rand.New(rand.NewPCG(seed, 8))
			c := newTrio(t)
			for id := NodeID(4); id <= 6; id++ {
				c.add(id)
			}
			ids := []NodeID{1, 2, 3, 4, 5, 6}
			target := []NodeID{1, 2, 3}
			var waiting []*proposed
			for step := range 80 {
				switch at := c.nodes[rng.IntN(6)]; rng.IntN(14) {
				case 0:
					c.isolate(at.id, true)
				case 1, 2:
					for _, m := range c.nodes {
						c.isolate(m.id, false)
					}
				case 3, 4:
					at.crash(rng)
					at.group.SetReplicas(target, nil)
				case 5, 6:
					rng.Shuffle(len(ids), func(i, j int) { ids[i], ids[j] = ids[j], ids[i] })
					target = slices.Clone(ids[:1+rng.IntN(5)])
					c.want(target...)
				case 7:
					if high := at.committed(); high > at.log.StartOffset() {
						at.trim(high - rng.Int64N(high-at.log.StartOffset()))
					}
				default:
					for _, m := range c.nodes {
						if m.isLeader() {
							for i := range 1 + rng.IntN(4) {
								waiting = append(waiting, m.propose(fmt.Sprintf("%d.%d.%d", step, m.id, i), rng.IntN(300)))
							}
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
				c.isolate(m.id, false)
			}
			c.move(ids...)
			places := c.settled()
			acked := 0
			for _, p := range waiting {
				if len(p.done) > 0 && <-p.done == nil {
					acked++
					if _, there := places[p.text]; !there && !c.deleted(p.offset) {
						t.Fatalf("%s was acknowledged at offset %d and is lost", p.text, p.offset)
					}
				}
			}
			if acked == 0 {
				t.Fatal("nothing was acknowledged")
			}
		})
	}
}

// deleted tells whether no node's log reaches back to an offset, while all know that there was a batch.
func (c *trio) deleted(offset int64) bool {
	for _, m := range c.nodes {
		m.mu.Lock()
		known := m.batches[offset]
		m.mu.Unlock()
		if !known || offset >= m.log.Origin().Offset {
			return false
		}
	}
	return true
}

// TestCrashInTheMidstOfAMove ends one of the nodes after one of the steps that it takes on its disk while a replica is replaced, whose
// successor needs what is no longer in the logs.
func TestCrashInTheMidstOfAMove(t *testing.T) {
	for _, id := range []NodeID{1, 2, 4} {
		for try := range 9 {
			t.Run(fmt.Sprintf("node %d, %d", id, try), func(t *testing.T) {
				t.Parallel() // most of the time passes waiting
				c := newTrio(t)
				var acked []string
				c.write(&acked, 40)
				c.settled()
				for _, m := range c.nodes {
					m.trim(m.committed() - 5)
				}
				m := c.add(4)
				if id != 4 {
					m = c.nodes[id-1]
				}
				m.mu.Lock()
				disk := m.fs
				m.mu.Unlock()
				m.restart(disk)
				m.crashIn.Store(int64(1 + 3*try))
				c.want(2, 3, 4)
				again := func() {
					if disk := m.crashed.Swap(nil); disk != nil {
						m.restart(disk)
						m.group.SetReplicas([]NodeID{2, 3, 4}, nil)
					}
				}
				c.until("the replicas", func() bool {
					again()
					c.mu.Lock()
					defer c.mu.Unlock()
					return slices.Equal(c.reached, []NodeID{2, 3, 4})
				})
				m.crashIn.Store(0)
				again()
				c.retire(1)
				c.write(&acked, 3)
				c.settled()
			})
		}
	}
}

// TestRetentionLeavesWhatIsNotCommitted: an entry of raft's own has no offset, so it looks like a part of what was committed before
// it.
func TestRetentionLeavesWhatIsNotCommitted(t *testing.T) {
	c := newTrio(t)
	var acked []string
	c.write(&acked, 5)
	l := c.leader()
	c.settled()
	c.isolate(l.id, true)
	last := l.log.LastIndex()
	l.group.SetReplicas([]NodeID{1, 2, 3, 4}, nil)
	for range 3 {
		l.host.Tick()
		_ = l.group.Do(func() error { return nil })
	}
	if l.log.LastIndex() != last+1 {
		t.Fatalf("entry %d is the last one, and %d was", l.log.LastIndex(), last)
	}
	retain := func() {
		cfg := log.Config{SegmentBytes: 4000, SegmentMs: 1 << 40, IndexIntervalBytes: 200, RetentionMs: 0, RetentionBytes: -1}
		err := l.group.Do(func() error {
			l.log.SetConfig(cfg)
			_, err := l.log.Retain(1<<50, l.committed())
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	if retain(); l.log.FirstIndex() > last+1 {
		t.Fatalf("entry %d is not committed, and the log begins with %d", last+1, l.log.FirstIndex())
	}
	c.isolate(l.id, false)
	c.settled()
	if retain(); l.log.FirstIndex() <= last+1 {
		t.Fatalf("the log still begins with %d", l.log.FirstIndex())
	}
}
