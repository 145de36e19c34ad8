package sim

import (
	"bytes"
	"time"

	"go.etcd.io/raft/v3/raftpb"

	"github.com/weir/weir/replication"
)

// link is one direction between two nodes, or between a node and the clients.
type link struct{ from, to uint64 }

// clients stand in a link for all clients.
const clients = 0

// network carries messages: late, in any order, twice or not at all.
type network struct {
	cut           map[link]bool
	delay, jitter time.Duration
	loss, twice   float64
	corrupt       float64
	saysUnreached bool // a sender learns at once that a link is cut
}

// late is how long a message takes.
func (s *sim) late() time.Duration {
	d := s.net.delay/2 + s.between(0, s.net.delay)
	if s.net.jitter > 0 && s.chance(0.2) {
		d += s.between(0, s.net.jitter)
	}
	return d
}

// send passes a message of a node's process on.
func (p *process) send(id replication.GroupID, m *raftpb.Message, held replication.Held) bool {
	s, to := p.node.sim, uint64(replication.BrokerOf(m.GetTo()))+1
	p.promise(id, m)
	over := link{p.node.id, to}
	if s.net.cut[over] && s.net.saysUnreached {
		return false
	}
	b := replication.AppendMessage(nil, nil, id, m)
	waiting := &queued{id, m, held, b}
	if n := len(m.Entries); n > 0 && s.chance(s.net.corrupt) && len(m.Entries[n-1].GetData()) > 100 {
		b = bytes.Clone(b)
		b[len(b)-1-s.rng.IntN(60)] ^= 1 << s.rng.IntN(8)
		s.Faults++
	}
	s.trace.mix(hashText(b))
	if s.trace.to != nil {
		s.trace.note("node %d sends to %d: %v term %d index %d commit %d, %d entries, reject %v", p.node.id, to, m.GetType(), m.GetTerm(), m.GetIndex(), m.GetCommit(), len(m.Entries), m.GetReject())
	}
	s.carry(over, b, waiting)
	if s.chance(s.net.twice) {
		retain(held)
		s.carry(over, b, waiting)
	}
	return true
}

// queued is a message that waits in its sender's memory.
type queued struct {
	id   replication.GroupID
	m    *raftpb.Message
	held replication.Held
	b    []byte // as it was when it was sent
}

// leave ends the waiting. The message must still be what it was.
func (q *queued) leave() {
	if !bytes.Equal(q.b, replication.AppendMessage(nil, nil, q.id, q.m)) {
		panic("BUG: a message changed after it was sent")
	}
	q.held.Release()
}

// carry delivers bytes later, if they are not lost.
func (s *sim) carry(over link, b []byte, from *queued) {
	if s.chance(s.net.loss) {
		from.leave()
		return
	}
	n := s.nodes[over.to-1]
	s.schedule(&event{at: s.now + s.late().Microseconds(), what: "a message arrives", node: n, run: func() {
		from.leave()
		if s.net.cut[over] {
			return
		}
		in := lend(bytes.Clone(b))
		defer in.Release()
		id, m, err := replication.ParseMessage(in.b)
		if err != nil {
			return
		}
		if r := n.proc.parts[id.Partition]; r != nil && !replication.IsWitness(m.GetTo()) {
			r.comes(m)
		}
		arrived := replication.Arrived{ID: id, Message: m, In: in}
		if s.chance(0.5) {
			n.proc.host.DeliverHere([]replication.Arrived{arrived})
		} else {
			n.proc.host.Deliver(arrived)
		}
	}})
}

// cutOff cuts links between a node and some others, in the directions that are given.
func (s *sim) cutOff(id uint64, others []uint64, in, out, cut bool) {
	for _, other := range others {
		if other == id {
			continue
		}
		if out {
			s.net.cut[link{id, other}] = cut
		}
		if in {
			s.net.cut[link{other, id}] = cut
		}
	}
}
