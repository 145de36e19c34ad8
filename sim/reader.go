package sim

import (
	"time"

	"github.com/weir/weir/partition"
)

// reader is a client that reads one partition from its start.
type reader struct {
	sim  *sim
	part *part
	next int64 // offset
	conn *conn
	node int
	turn int // of polls; an answer to an older one is passed over
}

// seenByReaders is what was ever answered.
type seenByReaders struct {
	high map[int32]int64 // high watermarks, by leader epoch
}

func newSeen() seenByReaders { return seenByReaders{high: map[int32]int64{}} }

func newReader(s *sim) *reader {
	return &reader{sim: s, part: pick(s, s.parts[:s.plan.partitions]...), node: s.rng.IntN(len(s.nodes))}
}

// poll asks for the next records, and goes on so.
func (c *reader) poll() {
	s := c.sim
	if c.part.givenUp {
		return
	}
	if c.conn == nil {
		c.conn = s.connect(s.nodes[c.node])
	}
	now := c.conn
	c.turn++
	turn, from := c.turn, c.next
	request := partition.ReadRequest{Offset: from, MaxBytes: 1 + s.rng.IntN(4000), MinOne: s.chance(0.8), LeaderEpoch: -1, LastFetchedEpoch: -1}
	if s.calm {
		request.MaxBytes = 1 << 20
	} else if s.chance(0.05) { // from anywhere
		request.Offset = s.rng.Int64N(c.part.end() + 3)
	}
	now.request("a fetch comes", func(p *process, reply func(func())) {
		r := p.parts[c.part.id.Partition]
		if r == nil {
			return
		}
		values, ok := r.read(request)
		s.trace.note("node %d answers a fetch of %+v with %d records", p.node.id, request, len(values))
		reply(func() {
			if turn == c.turn && c.conn == now {
				c.answered(values, ok && request.Offset == from)
			}
		})
	})
	s.after(s.between(200*time.Millisecond, 600*time.Millisecond), "a reader waited long", func() {
		if turn == c.turn {
			c.elsewhere()
		}
	})
}

func (c *reader) answered(values []valueAt, ok bool) {
	s := c.sim
	c.turn++
	if c.part.givenUp {
		return
	}
	for _, v := range values {
		if !ok || v.offset < c.next {
			continue // the first batch begins before what was asked for
		}
		if v.offset != c.next {
			s.fail("a reader of partition %d gets offset %d after offset %d", c.part.id.Partition, v.offset, c.next-1)
		}
		c.next++
		s.Read++
	}
	if !ok {
		c.elsewhere()
		return
	}
	if s.calm && len(values) > 0 {
		c.poll()
		return
	}
	s.after(s.between(5*time.Millisecond, 100*time.Millisecond), "poll", c.poll)
}

func (c *reader) elsewhere() {
	s := c.sim
	c.turn++
	c.conn.closed = true
	c.conn = nil
	c.node = s.guess(c.part, c.node, true)
	s.after(s.between(5*time.Millisecond, 100*time.Millisecond), "poll", c.poll)
}

// read answers a fetch, and checks the answer. False: it is refused.
func (r *replica) read(request partition.ReadRequest) ([]valueAt, bool) {
	t, s, id := r.part, r.part.sim, r.proc.node.id
	epoch, _ := r.Leads()
	result, err := r.Read(request)
	if err != nil {
		return nil, false
	}
	defer result.Data.Release()
	if t.givenUp {
		return nil, false
	}
	b, err := result.Data.Bytes()
	if err != nil {
		s.fail("node %d cannot read what it answers of %v: %v", id, r, err)
	}
	values := t.valuesOf(b)
	s.trace.mix(hashText(b), uint64(result.HighWatermark))
	for _, v := range values {
		if v.offset >= result.HighWatermark {
			s.fail("node %d gives out offset %d of %v, and the high watermark is %d", id, v.offset, r, result.HighWatermark)
		}
	}
	t.saw(r, epoch, result.HighWatermark, values)
	return values, true
}
