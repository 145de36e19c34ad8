package sim

import (
	"encoding/binary"
	"errors"
	"math"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"

	"github.com/weir/weir/partition"
	"github.com/weir/weir/record"
)

// producer is a client that writes to one partition. With an id it is idempotent, and tries again until it knows that a batch
// is there; without one it tries once.
type producer struct {
	sim   *sim
	part  *part
	id    int64
	epoch int16
	seq   int32
	open  []*batch // that are not yet acknowledged, in order
	known bool     // a batch of the epoch was acknowledged
	conn  *conn
	// waiting: what is open is sent again soon, in order
	waiting bool
	node    int // index of the node that it takes for the leader
	acked   int
}

// batch is what a producer sends at once.
type batch struct {
	seq    int32
	values []uint64
	size   int   // of each record
	after  int64 // newest offset that was acknowledged before it was made
	done   bool
}

func newProducer(s *sim, id int64) *producer {
	c := &producer{sim: s, part: pick(s, s.parts[:s.plan.partitions]...), id: id, node: s.rng.IntN(len(s.nodes))}
	switch {
	case s.chance(0.2):
		c.id = record.NoProducerID
	case s.chance(0.3):
		c.seq = math.MaxInt32 - int32(s.rng.IntN(10)) // the numbers wrap soon
	}
	return c
}

// next makes a batch, if fewer are under way than may be, and goes on so.
func (c *producer) next() {
	s := c.sim
	if s.calm || c.part.givenUp {
		return
	}
	window := s.plan.window
	if !c.known {
		window = 1 // a leader that knows nothing of a producer takes any sequence number for its first
	}
	if len(c.open) < window {
		c.make()
	}
	s.after(s.between(s.plan.think/4, s.plan.think*2), "produce", c.next)
}

func (c *producer) make() {
	s := c.sim
	if len(c.open) == 0 && c.known && s.chance(0.02) { // as after an InitProducerId
		c.epoch, c.seq, c.known = c.epoch+1, 0, false
	}
	if c.id != record.NoProducerID && c.epoch > 0 && c.known && s.chance(0.05) {
		c.zombie()
	}
	b := &batch{seq: c.seq, after: c.part.newest, size: s.rng.IntN(200)}
	if s.chance(0.05) {
		b.size = s.rng.IntN(int(min(20_000, s.plan.topic.SegmentBytes/4)))
	}
	for range 1 + s.rng.IntN(3) {
		s.values++
		b.values = append(b.values, s.values)
		c.seq = nextSequence(c.seq)
	}
	c.open = append(c.open, b)
	if !c.waiting {
		c.send(b)
	}
}

func nextSequence(seq int32) int32 {
	if seq == math.MaxInt32 {
		return 0
	}
	return seq + 1
}

// zombie sends what a client of the same id does that does not know that it was replaced: it is refused.
func (c *producer) zombie() {
	s, epoch := c.sim, c.epoch-1
	s.values++
	b := &batch{seq: int32(s.rng.IntN(3)), values: []uint64{s.values}}
	c.part.fenced[s.values] = true
	s.connect(s.nodes[s.guess(c.part, c.node, true)]).request("a batch of an old epoch comes", func(p *process, _ func(func())) {
		if r := p.parts[c.part.id.Partition]; r != nil {
			in := lend(b.build(s, c.id, epoch))
			r.Append(in.b, func(partition.AppendResult) {}, in)
			in.Release()
			p.set.Settle(false)
		}
	})
}

// send sends a batch on the present connection, which it opens if there is none.
func (c *producer) send(b *batch) {
	s := c.sim
	if c.conn == nil {
		c.conn = s.connect(s.nodes[c.node])
	}
	now, epoch := c.conn, c.epoch
	now.request("a batch comes", func(p *process, reply func(func())) {
		r := p.parts[c.part.id.Partition]
		if r == nil {
			reply(func() { c.answered(now, b, partition.AppendResult{Err: kerr.NotLeaderForPartition}) })
			return
		}
		in := lend(b.build(s, c.id, epoch))
		defer in.Release()
		r.Append(in.b, func(result partition.AppendResult) {
			s.trace.mix(uint64(result.BaseOffset))
			if c.part.givenUp {
				return
			}
			if result.Err == nil {
				s.trace.note("node %d acknowledges records %v at offset %d", p.node.id, b.values, result.BaseOffset)
				c.part.acks = append(c.part.acks, ack{p.node.id, b.values, result.BaseOffset, b.after})
			} else {
				s.trace.note("node %d refuses records %v: %v", p.node.id, b.values, result.Err)
				if c.conn == now && len(c.open) > 0 && c.open[0] == b && !r.replaced() {
					b.mustNotFail(s, c, result.Err)
				}
			}
			reply(func() { c.answered(now, b, result) })
		}, in)
		p.set.Settle(false)
	})
	s.after(s.between(300*time.Millisecond, time.Second), "a client waited long", func() {
		if c.conn == now && !b.done {
			c.tryElsewhere(false)
		}
	})
}

// mustNotFail checks why the oldest batch that a producer waits for is refused. A leader that was replaced without knowing may say
// of any batch that it does not follow the one before, and the producer tries another node.
func (b *batch) mustNotFail(s *sim, c *producer, err error) {
	for _, never := range []*kerr.Error{kerr.OutOfOrderSequenceNumber, kerr.InvalidProducerEpoch, kerr.CorruptMessage} {
		if errors.Is(err, never) {
			s.fail("producer %d gets %v for its oldest batch, of sequence %d", c.id, err, b.seq)
		}
	}
}

func (b *batch) build(s *sim, id int64, epoch int16) []byte {
	opts := record.BuilderOptions{}
	if id != record.NoProducerID {
		opts.Producer = &record.Producer{ID: id, Epoch: epoch, Sequence: b.seq}
	}
	w := record.NewBuilder(opts)
	value := make([]byte, b.size)
	for _, v := range b.values {
		w.Append(1_700_000_000_000+s.now/1000, binary.BigEndian.AppendUint64(nil, v), value)
	}
	return w.Build()
}

// answered takes the answer to a batch that was sent on a connection.
func (c *producer) answered(on *conn, b *batch, result partition.AppendResult) {
	if c.conn != on || c.part.givenUp {
		return
	}
	if result.Err == nil {
		b.done, c.known = true, true
		c.acked++
		c.part.told(c, b, result)
		for len(c.open) > 0 && c.open[0].done {
			c.open = c.open[1:]
		}
		return
	}
	c.tryElsewhere(errors.Is(result.Err, kerr.NotLeaderForPartition))
}

// tryElsewhere gives the connection up and sends what is not acknowledged again on a new one.
func (c *producer) tryElsewhere(moved bool) {
	s := c.sim
	c.conn.closed = true
	c.conn = nil
	if c.id == record.NoProducerID { // whether they are there is not known
		c.open = nil
		c.node = s.guess(c.part, c.node, moved)
		return
	}
	c.waiting = true
	s.after(s.between(5*time.Millisecond, 100*time.Millisecond), "a client tries again", func() {
		c.waiting = false
		c.node = s.guess(c.part, c.node, moved)
		for _, b := range c.open {
			if !b.done {
				c.send(b)
			}
		}
	})
}

// guess gives the node that a client tries next.
func (s *sim) guess(t *part, now int, moved bool) int {
	if !moved && s.chance(0.3) {
		return now
	}
	if s.chance(0.7) { // as the cluster's metadata tell
		for i, n := range s.nodes {
			if n.proc != nil {
				if r := n.proc.parts[t.id.Partition]; r != nil && r.leads {
					return i
				}
			}
		}
	}
	return s.rng.IntN(len(s.nodes))
}
