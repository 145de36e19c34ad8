package replication

import (
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"go.etcd.io/raft/v3/raftpb"

	"github.com/weir/weir/internal/vfs"
	"github.com/weir/weir/log"
	"github.com/weir/weir/record"
)

// trio is three nodes, or more, with a replica each of one group, and a network that can be cut.
type trio struct {
	t     *testing.T
	nodes []*member

	mu        sync.Mutex
	byID      map[NodeID]*member
	cut       map[[2]NodeID]bool
	lose      func(*raftpb.Message) bool // nil: nothing is lost
	byHand    bool                       // the nodes are driven by hand
	relaxed   bool                       // the groups are
	mail      []func()                   // by hand: what is on its way
	leads     map[uint64]NodeID          // who led in which term
	reached   []NodeID                   // the last target that was
	gone      map[int32]bool             // brokers that are away
	after     func(time.Duration, func())
	empty     int                                   // messages that carry nothing but the progress of the log, and answers to heartbeats
	throttled func(int32) (sending, receiving bool) // the groups'
}

// member is one of the nodes.
type member struct {
	trio  *trio
	id    NodeID
	fs    *vfs.Mem
	disk  *vfs.Faults // fs, on which something may go wrong
	first []NodeID    // the members that the group was made with
	// powerLost: the machine lost its power since the node was last started.
	powerLost bool
	host      *Host
	group     *Group
	log       *log.Log

	mu        sync.Mutex
	next      int64
	leads     bool
	inSync    []int32
	notes     []string
	removed   bool
	down      bool
	takenBack bool
	crashIn   atomic.Int64            // operations on the disk until the node ends as in a power cut; 0 or less: it does not
	crashed   atomic.Pointer[vfs.Mem] // what that leaves
	high      int64                   // committed offset
	pending   []*proposed
	// told is up to where it was told that entries are committed.
	told    uint64
	batches map[int64]bool // offsets of batches that the log's owner knows of
}

// proposed is a batch on its way.
type proposed struct {
	text   string
	index  uint64
	offset int64
	done   chan error
	in     *loan
}

var errLost = errors.New("the leadership was lost")

var trioGroup = GroupID{Topic: [16]byte{7}, Partition: 3}

// newTrio makes three nodes that have settled: what was sent to nodes that had not yet begun is made up for, which takes time.
func newTrio(t *testing.T) *trio {
	c := newNodes(t).three()
	c.settled()
	return c
}

// three adds three nodes that vote.
func (c *trio) three() *trio {
	for id := range NodeID(3) {
		c.add(id+1, 1, 2, 3)
	}
	return c
}

// newNodes begins without a node.
func newNodes(t *testing.T) *trio {
	c := &trio{t: t, byID: map[NodeID]*member{}, cut: map[[2]NodeID]bool{}, leads: map[uint64]NodeID{}, gone: map[int32]bool{}}
	t.Cleanup(func() {
		for _, m := range c.nodes {
			m.stop()
		}
	})
	return c
}

// add starts a node that knows of some first members, or none.
func (c *trio) add(id NodeID, first ...NodeID) *member {
	m := &member{trio: c, id: id, fs: newDataDir(c.t), first: first}
	m.start()
	c.nodes = append(c.nodes, m)
	c.mu.Lock()
	c.byID[id] = m
	c.mu.Unlock()
	return m
}

func (m *member) start() {
	t := m.trio.t
	m.disk = m.watched()
	host, err := NewHost(HostConfig{
		FS: m.disk, Dir: "d", Self: m.id &^ witnessBit, Logger: slog.New(slog.DiscardHandler), Workers: 1, Send: m.send, After: m.trio.after, ByHand: m.trio.byHand,
		Fatal:   func(err error) { t.Errorf("node %d: %v", m.id, err) },
		Reached: func(_ GroupID, target []NodeID) { m.trio.tellReached(target) },
		Removed: func(GroupID) { m.mu.Lock(); m.removed = true; m.mu.Unlock() },
	})
	if err != nil {
		t.Fatal(err)
	}
	var l *log.Log
	config := Config{
		ID: trioGroup, Voters: m.first, Witness: IsWitness(m.id), Throttled: m.trio.throttled, Relaxed: m.trio.relaxed, PowerLost: m.powerLost,
	}
	m.powerLost = false
	if !config.Witness {
		l = m.openLog()
		if m.trio.relaxed {
			if err := l.Relax(); err != nil {
				t.Fatal(err)
			}
		}
		config.Log, config.Replica = l, m
	}
	for broker := range int32(3) {
		if broker != BrokerOf(m.id) && !m.trio.isGone(broker) {
			host.NodeUp(broker)
		}
	}
	m.mu.Lock()
	m.host, m.log = host, l
	m.mu.Unlock()
	g, err := host.Open(config)
	if err != nil {
		t.Fatal(err)
	}
	m.mu.Lock()
	m.group = g
	m.mu.Unlock()
}

func (m *member) openLog() *log.Log {
	cfg := log.Config{SegmentBytes: 4000, SegmentMs: 1 << 40, IndexIntervalBytes: 200, RetentionMs: -1, RetentionBytes: -1}
	l, _, err := log.Open(m.disk, "d/t-3", log.Identity{TopicID: trioGroup.Topic, Partition: 3}, cfg, m.owned())
	if err != nil {
		m.trio.t.Fatal(err)
	}
	return l
}

// running gives a node's host; nil: it is not started.
func (m *member) running() *Host {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.host
}

func (m *member) stop() {
	m.host.Close(m.group)
	err := m.host.Stop()
	if m.log != nil {
		err = errors.Join(err, m.log.Close())
	}
	if err != nil {
		m.trio.t.Error(err)
	}
}

func (c *trio) isGone(broker int32) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.gone[broker]
}

// away takes a node away from the others, which notice that at once, or brings it back.
func (c *trio) away(m *member, away bool) {
	c.isolate(m.id, away)
	c.mu.Lock()
	c.gone[BrokerOf(m.id)] = away
	c.mu.Unlock()
	tell := func(host *Host, broker int32) {
		if away {
			host.NodeDown(broker)
		} else {
			host.NodeUp(broker)
		}
	}
	for _, other := range c.nodes {
		if other != m && (away || !c.isGone(BrokerOf(other.id))) {
			tell(other.host, BrokerOf(m.id))
			tell(m.host, BrokerOf(other.id))
		}
	}
}

// crash ends a node as a power cut does, and starts it again.
func (m *member) crash(rng *rand.Rand) {
	m.trio.isolate(m.id, true)
	m.mu.Lock()
	m.down = true // what it says from here on, nobody hears
	m.mu.Unlock()
	disk := m.fs.CrashClone(rng)
	m.restart(disk)
}

// restart starts a node again with what a crash left, after it was cut off.
func (m *member) restart(disk *vfs.Mem) {
	m.stop()
	m.mu.Lock()
	m.fs, m.leads, m.down, m.pending, m.high = disk, false, false, nil, 0
	m.mu.Unlock()
	m.start()
	m.trio.isolate(m.id, false)
}

// watched is the node's file system, which notices when the node is to end.
func (m *member) watched() *vfs.Faults {
	base := m.fs
	fs := vfs.NewFaults(base)
	fs.OnOp(func(vfs.Op) {
		if m.crashIn.Add(-1) != 0 {
			return
		}
		m.trio.isolate(m.id, true)
		m.mu.Lock()
		m.down = true
		m.mu.Unlock()
		m.crashed.Store(base.CrashClone(rand.New(rand.NewPCG(uint64(m.id), 3))))
	})
	return fs
}

func (c *trio) isolate(id NodeID, cut bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for other := range c.byID {
		c.cut[[2]NodeID{id, other}] = cut
		c.cut[[2]NodeID{other, id}] = cut
	}
}

func (m *member) send(id GroupID, msg *raftpb.Message, held Held) bool {
	m.trio.mu.Lock()
	cut := m.trio.cut[[2]NodeID{m.id, msg.GetTo()}] || m.trio.lose != nil && m.trio.lose(msg)
	if t := msg.GetType(); t == raftpb.MsgApp && len(msg.Entries) == 0 || t == raftpb.MsgHeartbeatResp {
		m.trio.empty++
	}
	m.trio.mu.Unlock()
	if cut {
		return false
	}
	in := &loan{b: AppendMessage(nil, nil, id, msg)}
	in.Retain()
	defer in.Release()
	got, parsed, err := ParseMessage(in.b)
	if err != nil {
		panic(err)
	}
	m.trio.mu.Lock()
	to := m.trio.byID[msg.GetTo()]
	m.trio.mu.Unlock()
	if to == nil {
		return false
	}
	host := to.running()
	if host == nil {
		return false
	}
	held.Release()
	if m.trio.byHand {
		in.Retain()
		m.trio.mail = append(m.trio.mail, func() {
			host.Deliver(Arrived{got, parsed, in})
			in.Release()
		})
		return true
	}
	host.Deliver(Arrived{got, parsed, in})
	return true
}

// Prepare implements Replica.
func (m *member) Prepare(p *Proposal, term uint64) bool {
	record.Assign(p.Batch, m.next, int32(term))
	h, err := record.ParseHeader(p.Batch)
	if err != nil {
		panic(err)
	}
	p.Context.(*proposed).offset = h.BaseOffset
	m.next = h.NextOffset()
	m.note(h.BaseOffset)
	return true
}

// Proposed implements Replica.
func (m *member) Proposed(p *Proposal, index uint64) {
	m.mu.Lock()
	defer m.mu.Unlock()
	one := p.Context.(*proposed)
	one.index = index
	m.pending = append(m.pending, one)
}

// Reject implements Replica.
func (m *member) Reject(p *Proposal, err error) { p.Context.(*proposed).end(err) }

// Appended implements Replica.
func (m *member) Appended(entries []log.Entry) {
	for _, e := range entries {
		if h, err := record.ParseHeader(e.Data); e.Kind == log.Batch && err == nil {
			m.note(h.BaseOffset)
		}
	}
}

// Noted implements Replica.
func (m *member) Noted(note []byte) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.notes = append(m.notes, string(note))
}

// Progressed implements Replica.
func (m *member) Progressed() {}

// Committed implements Replica.
func (m *member) Committed(index uint64) {
	end, err := m.log.EndOffsetAt(index)
	if err != nil {
		panic(err)
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.high = max(m.high, m.log.StartOffset()); end < m.high && end > m.log.StartOffset() {
		m.trio.t.Errorf("node %d goes back from committed offset %d to %d", m.id, m.high, end)
	}
	m.high = max(m.high, end)
	m.told = index
	for len(m.pending) > 0 && m.pending[0].index <= index {
		if !m.down {
			m.pending[0].end(nil)
		}
		m.pending = m.pending[1:]
	}
}

// TakenBack implements Replica.
func (m *member) TakenBack() {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.high, m.told, m.takenBack = 0, 0, true
}

// LeaderChanged implements Replica.
func (m *member) LeaderChanged(leader NodeID, term uint64) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if !m.down {
		m.trio.tellLeader(leader, term)
	}
	m.leads = leader == m.id
	if m.leads {
		m.next = m.log.EndOffset()
		return
	}
	for _, p := range m.pending {
		p.end(errLost)
	}
	m.pending = nil
}

func (m *member) committed() int64 {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.high
}

func (m *member) isLeader() bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.leads
}

// until lets time pass until something is true.
func (c *trio) until(what string, ok func() bool) {
	c.t.Helper()
	for end := time.Now().Add(20 * time.Second); !ok(); {
		if time.Now().After(end) {
			c.t.Fatalf("waited in vain for %s", what)
		}
		for _, m := range c.nodes {
			m.host.Tick()
		}
		time.Sleep(10 * time.Millisecond) // an election takes ten, and what comes meanwhile must be handled in less
	}
}

// leader waits for a node that leads, other than those given.
func (c *trio) leader(but ...*member) *member {
	c.t.Helper()
	var found *member
	c.until("a leader", func() bool {
		for _, m := range c.nodes {
			for _, not := range but {
				if m == not {
					m = nil
					break
				}
			}
			if m != nil && m.isLeader() {
				found = m
			}
		}
		return found != nil
	})
	return found
}

// propose asks a node to append a batch of one record.
func (m *member) propose(text string, size int) *proposed {
	b := record.NewBuilder(record.BuilderOptions{})
	b.Append(1, []byte(text), make([]byte, size))
	p := &proposed{text: text, done: make(chan error, 1), in: &loan{b: b.Build()}}
	p.in.Retain()
	m.group.Propose(&Proposal{Batch: p.in.b, In: p.in, Context: p})
	return p
}

// loan is memory that is lent. Who uses it after it was given back finds it spoilt.
type loan struct {
	b     []byte
	users atomic.Int32
}

// Retain implements Buffer.
func (l *loan) Retain() { l.users.Add(1) }

// Release implements Buffer.
func (l *loan) Release() {
	if l.users.Add(-1) == 0 {
		for i := range l.b {
			l.b[i] = 0xdb
		}
	}
}

// Size implements Buffer.
func (l *loan) Size() int { return len(l.b) }

func (p *proposed) end(err error) {
	p.done <- err
	if p.in != nil {
		p.in.Release()
	}
}

// logged is an entry of a log, as far as all nodes must agree on it. Batches have one record each.
type logged struct {
	index, term uint64
	kind        log.Kind
	offset      int64
	key         string
}

func (m *member) content() (out []logged) {
	m.trio.t.Helper()
	entries, err := m.log.Entries(m.log.FirstIndex(), m.log.LastIndex()+1, 1<<40)
	if err != nil {
		m.trio.t.Fatal(err)
	}
	for _, e := range entries {
		one := logged{index: e.Index, term: e.Term, kind: e.Kind}
		if e.Kind == log.Batch {
			for r, err := range record.Records(e.Data) {
				if err != nil {
					m.trio.t.Fatal(err)
				}
				one.offset, one.key = r.Offset, string(r.Key)
			}
		}
		out = append(out, one)
	}
	return out
}

// end names the last entry: entries of the same index and term are the same, and so are all before.
func (m *member) end() (e struct{ index, term uint64 }) {
	if IsWitness(m.id) {
		_ = m.group.Do(func() error { e.index = m.group.log.LastIndex(); e.term, _ = m.group.log.Term(e.index); return nil })
		return e
	}
	e.index = m.log.LastIndex()
	e.term, _ = m.log.Term(e.index) // an entry that was cut off just now is not the last one of the others
	return e
}

// replicas gives the nodes that are no witnesses; the first node must be none.
func (c *trio) replicas() (out []*member) {
	for _, m := range c.nodes {
		if !IsWitness(m.id) {
			out = append(out, m)
		}
	}
	return out
}

// settled waits until all logs are equal and all in them is committed, and gives the place of each key, which is there once.
func (c *trio) settled() map[string]int {
	c.t.Helper()
	p := (*proposed)(nil)
	c.until("an acknowledgement of all three", func() bool { // a batch of a new term commits what came before
		if p == nil {
			p = c.leader().propose("end", 0)
		}
		select {
		case err := <-p.done:
			if p = nil; err != nil {
				return false
			}
		default:
			return false
		}
		for _, m := range c.replicas() {
			if m.end() != c.nodes[0].end() {
				return false
			}
		}
		return true
	})
	want := c.nodes[0].content()
	for _, m := range c.replicas()[1:] {
		got := m.content()
		if n := min(len(got), len(want)); !slices.Equal(got[len(got)-n:], want[len(want)-n:]) { // what retention left in both
			c.t.Fatalf("node %d has other entries than node %d (- these, + those): %s", m.id, c.nodes[0].id, cmp.Diff(got, want, cmp.AllowUnexported(logged{})))
		} else if n < len(got) {
			want = got
		}
	}
	places := map[string]int{}
	for i, e := range want {
		if e.kind != log.Batch || e.key == "end" {
			continue
		}
		if _, twice := places[e.key]; twice {
			c.t.Fatalf("%s is there twice", e.key)
		}
		places[e.key] = i
	}
	return places
}

// settledInOrder also checks that what was acknowledged is there, in order.
func (c *trio) settledInOrder(acked []string) map[string]int {
	c.t.Helper()
	places, before := c.settled(), -1
	for _, key := range acked {
		i, ok := places[key]
		if !ok || i < before {
			c.t.Fatalf("%s was acknowledged, and is lost or not in its place", key)
		}
		before = i
	}
	return places
}

func TestThreeVotersAgree(t *testing.T) {
	c := newTrio(t)
	l := c.leader()
	var acked []string
	for i := range 50 {
		p := l.propose(fmt.Sprint(i), 10)
		if err := <-p.done; err != nil {
			t.Fatal(err)
		}
		acked = append(acked, p.text)
	}
	c.settledInOrder(acked)
}

// TestFollowerCatchesUp: a node that was away gets more than fits one message, of what was written and of what was just proposed.
func TestFollowerCatchesUp(t *testing.T) {
	c := newTrio(t)
	l := c.leader()
	away := c.nodes[l.id%3]
	c.isolate(away.id, true)
	var acked []string
	var waiting []*proposed
	for i := range 30 {
		waiting = append(waiting, l.propose(fmt.Sprint(i), messageBytes/4))
	}
	c.isolate(away.id, false)
	for _, p := range waiting {
		if err := <-p.done; err != nil {
			t.Fatal(err)
		}
		acked = append(acked, p.text)
	}
	c.settledInOrder(acked)
}

// TestLeaderIsCutOff: the others go on, and what the old leader could not commit is refused and taken back.
func TestLeaderIsCutOff(t *testing.T) {
	c := newTrio(t)
	old := c.leader()
	if err := <-old.propose("before", 0).done; err != nil {
		t.Fatal(err)
	}
	c.isolate(old.id, true)
	lost := old.propose("lost", 0)
	next := c.leader(old)
	p := next.propose("after", 0)
	c.until("the others' acknowledgement", func() bool { return len(p.done) > 0 })
	if err := <-p.done; err != nil {
		t.Fatal(err)
	}
	c.until("the old leader's answer", func() bool { return len(lost.done) > 0 })
	if err := <-lost.done; !errors.Is(err, errLost) {
		t.Fatalf("a leader without a majority answers %v", err)
	}
	c.isolate(old.id, false)
	if _, there := c.settledInOrder([]string{"before", "after"})["lost"]; there {
		t.Fatal("what was refused is there")
	}
}

// TestFaults cuts nodes off, and ends them as a power cut does, while batches are proposed.
func TestFaults(t *testing.T) {
	for seed := range uint64(6) {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			rng := rand.New(rand.NewPCG(seed, 5))
			c := newTrio(t)
			var waiting []*proposed
			for step := range 60 {
				switch at := c.nodes[rng.IntN(3)]; rng.IntN(10) {
				case 0:
					c.isolate(at.id, true)
				case 1, 2:
					for _, m := range c.nodes {
						c.isolate(m.id, false)
					}
				case 3:
					at.crash(rng)
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
			places, acked := c.settled(), 0
			for _, p := range waiting {
				if len(p.done) > 0 && <-p.done == nil {
					acked++
					if _, there := places[p.text]; !there {
						t.Fatalf("%s was acknowledged and is lost", p.text)
					}
				}
			}
			if acked == 0 {
				t.Fatal("nothing was acknowledged")
			}
		})
	}
}

// InSyncChanged implements Replica.
func (m *member) InSyncChanged(brokers []int32) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.inSync = brokers
}

func (m *member) hasInSync(brokers ...int32) bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	return slices.Equal(m.inSync, brokers)
}

func (c *trio) asleep() bool {
	return c.nodes[0].host.Awake()+c.nodes[1].host.Awake()+c.nodes[2].host.Awake() == 0
}

// TestIdleGroupsSleep: when there is nothing to do, no time passes; a proposal wakes all that it takes.
func TestIdleGroupsSleep(t *testing.T) {
	c := newTrio(t)
	l := c.leader()
	for i := range 3 {
		c.until("sleep", c.asleep)
		p := l.propose(fmt.Sprint(i), 10)
		if err := <-p.done; err != nil { // no time needs to pass
			t.Fatal(err)
		}
	}
	c.until("sleep", c.asleep)
	if c.leader() != l {
		t.Error("another one leads")
	}
}

// TestNodeGoesWhileItsGroupsSleep: its followers elect another leader, without an election timeout, and go to sleep again while
// it is away. When it is back, it learns who leads and what it missed.
func TestNodeGoesWhileItsGroupsSleep(t *testing.T) {
	c := newTrio(t)
	old := c.leader()
	c.until("sleep", c.asleep)
	c.isolate(old.id, true)
	for _, m := range c.nodes {
		if m != old {
			m.host.NodeDown(BrokerOf(old.id))
			old.host.NodeDown(BrokerOf(m.id))
		}
	}
	next := c.leader(old)
	p := next.propose("meanwhile", 10)
	if err := <-p.done; err != nil {
		t.Fatal(err)
	}
	c.until("the end of the old leadership", func() bool { return !old.isLeader() })
	c.until("sleep of the two", func() bool { return next.host.Awake() == 0 })
	c.until("two in sync", func() bool { return !next.hasInSync(0, 1, 2) })
	c.isolate(old.id, false)
	for _, m := range c.nodes {
		if m != old {
			m.host.NodeUp(BrokerOf(old.id))
			old.host.NodeUp(BrokerOf(m.id))
		}
	}
	c.until("three in sync", func() bool { return next.hasInSync(0, 1, 2) })
	c.until("sleep of all", c.asleep)
	c.settledInOrder([]string{"meanwhile"})
}

// TestWhoCatchesUpIsInSync: a leader does not sleep before it has told that a replica that was away is in sync again, however long it had
// nothing else to do.
func TestWhoCatchesUpIsInSync(t *testing.T) {
	c := newTrio(t)
	old := c.leader()
	c.isolate(old.id, true)
	for _, m := range c.nodes {
		if m != old {
			m.host.NodeDown(BrokerOf(old.id))
		}
	}
	l := c.leader(old)
	ticks := 0
	c.until("a leader that is idle", func() bool { ticks++; return ticks > 2*idleTicks })
	l.host.NodeUp(BrokerOf(old.id))
	c.until("a leader that is idle", func() bool { ticks++; return ticks > 4*idleTicks })
	c.isolate(old.id, false)
	c.until("sleep", c.asleep)
	if !l.isLeader() || !l.hasInSync(0, 1, 2) {
		t.Errorf("in sync are %v", l.inSync)
	}
}

// TestSlowNodeKeepsLeading: time that passes while a group gets no turns is not held against its followers.
func TestSlowNodeKeepsLeading(t *testing.T) {
	c := newTrio(t)
	l := c.leader()
	busy, free := make(chan struct{}), make(chan struct{})
	var waiting sync.WaitGroup
	waiting.Go(func() { _ = l.group.Do(func() error { close(busy); <-free; return nil }) })
	<-busy
	for range 5 * electionTicks {
		l.host.Tick()
	}
	close(free)
	waiting.Wait()
	if err := l.group.Do(func() error { return nil }); err != nil || !l.isLeader() {
		t.Errorf("it leads: %v (%v)", l.isLeader(), err)
	}
}

// TestNotes: what a replica notes is told to all, in its place among the batches, also by nodes that were away.
func TestNotes(t *testing.T) {
	c := newTrio(t)
	l := c.leader()
	away := c.nodes[l.id%3]
	c.isolate(away.id, true)
	for i := range 3 {
		b, note := l.propose(fmt.Sprint(i), 10), &proposed{done: make(chan error, 1)}
		l.group.Propose(&Proposal{Batch: fmt.Appendf(nil, "note %d", i), Note: true, Context: note})
		if err := errors.Join(<-b.done, <-note.done); err != nil {
			t.Fatal(err)
		}
	}
	c.isolate(away.id, false)
	c.settledInOrder([]string{"0", "1", "2"})
	for _, m := range c.nodes {
		c.until("all notes", func() bool {
			m.mu.Lock()
			defer m.mu.Unlock()
			return slices.Equal(m.notes, []string{"note 0", "note 1", "note 2"})
		})
	}
}

func TestLeadershipIsHandedOver(t *testing.T) {
	c := newTrio(t)
	l := c.leader()
	c.until("three in sync", func() bool { return l.hasInSync(0, 1, 2) })
	l.group.Resign()
	next := c.leader(l)
	next.group.Transfer(l.id)
	c.until("the first leader", func() bool { return l.isLeader() && !next.isLeader() })
}

// TestWhoIsGoneIsNotFollowed: what a leader had sent before its node was gone does not make anybody wait for it.
func TestWhoIsGoneIsNotFollowed(t *testing.T) {
	c := newTrio(t)
	l := c.leader()
	m := c.nodes[l.id%3]
	status := func() (term uint64, lead NodeID) {
		_ = m.group.Do(func() error {
			now := m.group.rn.BasicStatus()
			term, lead = now.GetTerm(), now.Lead
			return nil
		})
		return term, lead
	}
	c.until("a leader that is known", func() bool { _, lead := status(); return lead == l.id })
	hear := func() {
		term, _ := status()
		m.host.Deliver(Arrived{ID: trioGroup, Message: &raftpb.Message{Type: raftpb.MsgHeartbeat.Enum(), From: new(l.id), To: new(m.id), Term: new(term)}})
		status() // calls come before messages in a turn
	}
	c.isolate(m.id, true)
	m.host.NodeDown(BrokerOf(l.id))
	hear()
	if _, lead := status(); lead != 0 {
		t.Errorf("node %x is followed, whose node is gone", lead)
	}
	m.host.NodeUp(BrokerOf(l.id))
	hear()
	if _, lead := status(); lead != l.id {
		t.Errorf("node %x is followed, and not who is there again", lead)
	}
}

// TestHeirIsLost: a leader that was about to hand over to a node which is lost goes on at once.
func TestHeirIsLost(t *testing.T) {
	c := newTrio(t)
	l := c.leader()
	c.until("three in sync", func() bool { return l.hasInSync(0, 1, 2) })
	heir := c.nodes[l.id%3]
	c.mu.Lock()
	c.lose = func(m *raftpb.Message) bool { return m.GetType() == raftpb.MsgTimeoutNow }
	c.mu.Unlock()
	l.group.Transfer(heir.id)
	if err := <-l.propose("refused", 10).done; !errors.Is(err, ErrNotLeader) {
		t.Fatalf("during the handover: %v", err)
	}
	c.away(heir, true)
	if err := <-l.propose("on", 10).done; err != nil {
		t.Errorf("without the heir: %v", err)
	}
}

// TestLeaderWithAFullDisk: it hands over at once, does not leave anybody waiting, asks for no votes as long as the disk is full, and
// follows when there is space.
func TestLeaderWithAFullDisk(t *testing.T) {
	c := newTrio(t)
	l := c.leader()
	acked := []string{"before"}
	if err := <-l.propose("before", 10).done; err != nil {
		t.Fatal(err)
	}
	l.disk.Limit(0)
	waits := l.propose("too much", 10)
	next := c.leader(l)
	c.until("the end of the old leadership", func() bool { return !l.isLeader() })
	if err := <-waits.done; !errors.Is(err, errLost) {
		t.Errorf("what waited for the full disk was answered with %v", err)
	}
	for i := range 300 { // more than may be on its way to a follower that does not answer
		acked = append(acked, fmt.Sprint(i))
		if err := <-next.propose(fmt.Sprint(i), 10).done; err != nil {
			t.Fatal(err)
		}
	}
	l.group.Campaign()
	next.group.Transfer(l.id) // which could not take it
	acked = append(acked, "still")
	if err := <-next.propose("still", 10).done; err != nil {
		t.Errorf("a leader that was asked to hand over to a node with a full disk: %v", err)
	}
	ticks := 0
	c.until("elections, if there are any", func() bool {
		ticks++
		return ticks > 30
	})
	if l.isLeader() {
		t.Error("the node with the full disk leads")
	}
	l.disk.Heal()
	c.settledInOrder(acked)
}

// TestAllDisksAreFull: nobody can take the leadership over. It all goes on when there is space.
func TestAllDisksAreFull(t *testing.T) {
	c := newTrio(t)
	l := c.leader()
	for _, m := range c.nodes {
		m.disk.Limit(0)
	}
	waits := l.propose("too much", 10)
	for range 50 {
		for _, m := range c.nodes {
			m.host.Tick()
		}
		time.Sleep(time.Millisecond)
	}
	for _, m := range c.nodes {
		m.disk.Heal()
	}
	c.settled()
	if err := <-waits.done; err != nil && !errors.Is(err, errLost) {
		t.Error(err)
	}
}

// TestBatchesComeWithTheEndOfALeadership: the owner of a log knows of batches that come from the next leader in the very message
// that ends a leadership.
func TestBatchesComeWithTheEndOfALeadership(t *testing.T) {
	c := newTrio(t)
	l := c.leader()
	if err := <-l.propose("mine", 10).done; err != nil {
		t.Fatal(err)
	}
	c.isolate(l.id, true)
	var last, term uint64
	if err := l.group.Do(func() (err error) {
		last = l.log.LastIndex()
		term, err = l.log.Term(last)
		return err
	}); err != nil {
		t.Fatal(err)
	}
	b := record.NewBuilder(record.BuilderOptions{})
	b.Append(1, []byte("the next one's"), nil)
	batch, offset := b.Build(), l.log.EndOffset()
	record.Assign(batch, offset, int32(term)+1)
	l.host.Deliver(Arrived{Message: &raftpb.Message{
		Type: raftpb.MsgApp.Enum(), From: new(l.id%3 + 1), To: new(l.id), Term: new(term + 1), Index: new(last), LogTerm: new(term), Commit: new(last),
		Entries: []*raftpb.Entry{{Index: new(last + 1), Term: new(term + 1)}, {Index: new(last + 2), Term: new(term + 1), Data: batch}},
	}, ID: trioGroup})
	c.until("the end of the leadership", func() bool { return !l.isLeader() })
	if err := l.group.Do(func() error {
		if !l.batches[offset] {
			t.Error("the owner of the log was not told of the batch")
		}
		return nil
	}); err != nil {
		t.Fatal(err)
	}
}

// TestLeaderWithoutAMajority: it says so when the nodes are gone, and does not wait.
func TestLeaderWithoutAMajority(t *testing.T) {
	c := newTrio(t)
	l := c.leader()
	c.isolate(l.id, true)
	waits := l.propose("in vain", 10)
	if err := l.group.Do(func() error { return nil }); err != nil {
		t.Fatal(err)
	}
	for _, m := range c.nodes {
		if m != l {
			l.host.NodeDown(BrokerOf(m.id))
		}
	}
	if err := <-waits.done; !errors.Is(err, errLost) { // no time needs to pass
		t.Error(err)
	}
	if err := <-l.propose("in vain, too", 10).done; !errors.Is(err, ErrNotLeader) {
		t.Error(err)
	}
	c.isolate(l.id, false)
	for _, m := range c.nodes {
		if m != l {
			l.host.NodeUp(BrokerOf(m.id))
		}
	}
	c.settled()
}

// TestVotesAreLost: a candidate that gets no majority, since votes are lost or were given to another one, makes another attempt before
// an election timeout.
func TestVotesAreLost(t *testing.T) {
	c := newNodes(t)
	c.byHand = true
	for id := NodeID(1); id <= 3; id++ {
		c.add(id, 1, 2, 3)
	}
	for !c.nodes[0].isLeader() {
		c.tickByHand(c.nodes...)
	}
	c.isolate(1, true)
	attempts, votes := 0, 0
	c.lose = func(msg *raftpb.Message) bool {
		switch msg.GetType() {
		case raftpb.MsgPreVote:
			attempts++
		case raftpb.MsgVote:
			votes++
			return true
		}
		return false
	}
	left := c.nodes[1:]
	for _, m := range left {
		m.host.NodeDown(BrokerOf(1))
	}
	for votes == 0 {
		c.tickByHand(left...)
	}
	attempts = 0
	for range electionTicks {
		c.tickByHand(left[0])
	}
	if attempts == 0 {
		t.Error("no other attempt is made")
	}
	c.lose = nil
	for !left[0].isLeader() && !left[1].isLeader() {
		c.tickByHand(left...)
	}
}

// TestFollowersPassNothingOn: raft has a follower send its leader what only a leader can do, and no node takes that.
func TestFollowersPassNothingOn(t *testing.T) {
	c := newTrio(t)
	l := c.leader()
	follower := c.nodes[l.id%3]
	passed := false
	c.mu.Lock()
	c.lose = func(m *raftpb.Message) bool {
		passed = passed || m.GetType() == raftpb.MsgTransferLeader
		return false
	}
	c.mu.Unlock()
	for range 2 { // when the second turn comes, the first has ended
		if err := follower.group.Do(func() error { follower.group.rn.TransferLeader(follower.id); return nil }); err != nil {
			t.Fatal(err)
		}
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if passed {
		t.Error("it asks its leader")
	}
}

// TestTooMuchWaits: a node that cannot write as fast as it is sent batches does not keep them all.
func TestTooMuchWaits(t *testing.T) {
	c := newTrio(t)
	l := c.leader()
	m := c.nodes[l.id%3]
	var term uint64
	if err := l.group.Do(func() error { term = l.group.term; return nil }); err != nil {
		t.Fatal(err)
	}
	begun, end, ended := make(chan struct{}), make(chan struct{}), make(chan error)
	go func() { ended <- m.group.Do(func() error { close(begun); <-end; return nil }) }()
	<-begun
	in, data := &loan{}, make([]byte, undoneMax/16)
	for range 100 {
		m.host.Deliver(Arrived{ID: trioGroup, In: in, Message: &raftpb.Message{
			Type: raftpb.MsgApp.Enum(), From: new(l.id), To: new(m.id), Term: new(term), Index: new(uint64(1000)), LogTerm: new(term),
			Entries: []*raftpb.Entry{{Index: new(uint64(1001)), Term: new(term), Data: data}},
		}})
	}
	if n := in.users.Load(); n != 17 { // one may be too much, or what is larger could never come
		t.Errorf("%d messages of a sixteenth each wait", n)
	}
	close(end)
	if err := <-ended; err != nil {
		t.Fatal(err)
	}
	c.settled()
	if in.users.Load() != 0 || m.host.undone.Load() != 0 {
		t.Error("something still waits")
	}
}
