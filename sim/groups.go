package sim

import (
	"log/slog"
	"time"

	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/weir/weir/coordinator"
	"github.com/weir/weir/coordinator/group"
	"github.com/weir/weir/coordinator/machine"
	"github.com/weir/weir/partition"
)

// coordinate starts the coordinator of consumer groups on its partition.
func (p *process) coordinate(on *partition.Partition, logger *slog.Logger) *coordinator.Runtime {
	s := p.node.sim
	return coordinator.Start(coordinator.Config{
		Partition: on,
		New:       func() machine.Machine { return group.New(group.Config{OffsetMetadataMax: 100}) },
		// The log is not rewritten: only the leader's would be cut at its start.
		RewriteFloor: 1 << 40,
		Now:          s.clock,
		Logger:       logger,
		Background:   func(f func()) { p.after(s.between(0, s.plan.busy), "background", f) },
		NewTimer:     func(f func()) coordinator.Timer { return &timer{proc: p, f: f} },
	})
}

// timer is a coordinator.Timer of the simulated clock.
type timer struct {
	proc *process
	f    func()
	set  int // counts how often it was set or stopped; what was set before does not count
}

// Stop implements coordinator.Timer.
func (t *timer) Stop() bool {
	t.set++
	return true
}

// Reset implements coordinator.Timer.
func (t *timer) Reset(d time.Duration) bool {
	t.set++
	mine := t.set
	t.proc.after(d, "timer", func() {
		if t.set == mine {
			t.f()
		}
	})
	return true
}

// committer is a consumer of a group of its own: it commits offsets, each larger than the one before, and asks for them.
type committer struct {
	sim     *sim
	part    *part
	group   string
	last    int64 // offset that was sent last
	acked   int64 // newest that a coordinator acknowledged, whether or not the answer came
	fetched int64 // the answer to the last question
	conn    *conn
	node    int
	turn    int // of requests; an answer to an older one is passed over
}

func newCommitter(s *sim, name string) *committer {
	return &committer{sim: s, part: s.parts[s.plan.partitions], group: name, acked: -1, fetched: -1, node: s.rng.IntN(len(s.nodes))}
}

// next commits an offset or asks for the newest, and goes on so.
func (c *committer) next() {
	s := c.sim
	if c.part.givenUp {
		return
	}
	if c.conn == nil {
		c.conn = s.connect(s.nodes[c.node])
	}
	c.turn++
	turn := c.turn
	done := func(ok bool) {
		if turn != c.turn {
			return
		}
		c.turn++
		if !ok {
			c.elsewhere()
			return
		}
		s.after(s.between(s.plan.think/4, s.plan.think*2), "commit offsets", c.next)
	}
	if s.calm || s.chance(0.5) {
		c.ask(done)
	} else {
		c.commit(done)
	}
	s.after(s.between(300*time.Millisecond, time.Second), "a consumer waited long", func() { done(false) })
}

// elsewhere tries another node. Nothing that was sent before comes any more, or an old commit could come after a newer one.
func (c *committer) elsewhere() {
	s := c.sim
	c.turn++
	c.conn.closed, c.conn.deaf = true, true
	c.conn = nil
	c.node = s.guess(c.part, c.node, true)
	s.after(s.between(5*time.Millisecond, 100*time.Millisecond), "commit offsets", c.next)
}

// submit hands a request to the coordinator; answered is called there, and tells whether the answer is good.
func (c *committer) submit(what string, body func() kmsg.Request, answered func(*replica, any) bool, done func(bool)) {
	c.conn.request(what, func(p *process, reply func(func())) {
		r := p.parts[c.part.id.Partition]
		if r == nil {
			reply(func() { done(false) })
			return
		}
		r.runtime.Submit(group.Request{ClientID: c.group, Body: body()}, func(answer any, err error) {
			ok := err == nil && !c.part.givenUp && answered(r, answer)
			reply(func() { done(ok) })
		})
	})
}

func (c *committer) commit(done func(bool)) {
	s := c.sim
	c.last++
	offset := c.last
	c.submit("offsets are committed", func() kmsg.Request {
		part := kmsg.NewOffsetCommitRequestTopicPartition()
		part.Offset = offset
		t := kmsg.NewOffsetCommitRequestTopic()
		t.Topic, t.Partitions = topic, []kmsg.OffsetCommitRequestTopicPartition{part}
		req := kmsg.NewPtrOffsetCommitRequest()
		req.Version, req.Group, req.Generation, req.Topics = 8, c.group, -1, []kmsg.OffsetCommitRequestTopic{t}
		return req
	}, func(r *replica, answer any) bool {
		if answer.(*kmsg.OffsetCommitResponse).Topics[0].Partitions[0].ErrorCode != 0 {
			s.fail("node %d refuses an offset of group %s: %+v", r.proc.node.id, c.group, answer)
		}
		s.trace.note("node %d acknowledges offset %d of group %s", r.proc.node.id, offset, c.group)
		s.trace.mix(uint64(offset))
		c.acked = max(c.acked, offset)
		s.Acked++
		return true
	}, done)
}

func (c *committer) ask(done func(bool)) {
	s := c.sim
	acked := int64(-1)
	c.submit("offsets are asked for", func() kmsg.Request {
		acked = c.acked
		t := kmsg.NewOffsetFetchRequestGroupTopic()
		t.Topic, t.Partitions = topic, []int32{0}
		g := kmsg.NewOffsetFetchRequestGroup()
		g.Group, g.Topics = c.group, []kmsg.OffsetFetchRequestGroupTopic{t}
		req := kmsg.NewPtrOffsetFetchRequest()
		req.Version, req.Groups = 8, []kmsg.OffsetFetchRequestGroup{g}
		return req
	}, func(r *replica, answer any) bool {
		offset := answer.(*kmsg.OffsetFetchResponse).Groups[0].Topics[0].Partitions[0].Offset
		s.trace.note("node %d says that group %s is at offset %d", r.proc.node.id, c.group, offset)
		s.trace.mix(uint64(offset))
		if r.replaced() { // and does not know it
			return false
		}
		if offset < acked || offset > c.last {
			s.fail("node %d says that group %s is at offset %d; it committed up to %d, and offset %d was acknowledged", r.proc.node.id, c.group, offset, c.last, acked)
		}
		c.fetched = offset
		s.Read++
		return true
	}, done)
}
