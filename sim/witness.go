package sim

import (
	"errors"

	"go.etcd.io/raft/v3/raftpb"

	"github.com/weir/weir/log"
	"github.com/weir/weir/replication"
)

// lookAsWitness compares what the process's witnesses are now with what is true: none leads, and none has more than a replica that is
// told to be in sync.
func (p *process) lookAsWitness() {
	s, id := p.node.sim, p.node.id
	for i, t := range s.parts {
		if t.witness != id {
			continue
		}
		v, ok := p.host.ViewWitness(t.id)
		if !ok {
			s.fail("node %d has lost its witness of partition %d", id, i)
		}
		if v.Leads {
			s.fail("node %d, which is a witness, leads partition %d in term %d", id, i, v.Term)
		}
		if made := &p.node.witnessed[i]; made.index > 0 && !holds(v, made) { // a leader took it back
			made.index = 0
		}
		t.canLead(v)
	}
}

// canLead checks that a replica which its leader tells to be in sync has a log that the witness would elect.
func (t *part) canLead(v replication.View) {
	last := v.Witness.LastIndex()
	term, _ := v.Witness.Term(last)
	leader, in := t.leading(v.Term)
	if leader == nil || leader.InSync() < len(t.replicas) || !in {
		return
	}
	for _, id := range t.replicas {
		p := t.sim.nodes[id-1].proc
		if p == nil || p == leader.proc { // a leader with a full disk may have less itself
			continue
		}
		other, ok := p.host.View(t.id)
		if !ok || other.Term != v.Term {
			continue
		}
		end := other.Log.LastIndex()
		if newest, err := other.Log.Term(end); err != nil || newest < term || newest == term && end < last {
			t.sim.fail("node %d tells that all replicas of partition %d are in sync; node %d has entries up to %d of term %d, and the witness up to %d of term %d",
				leader.proc.node.id, t.id.Partition, id, end, newest, last, term)
		}
	}
}

// leading gives the replica that leads in a term. False: it has not told yet who is in sync.
func (t *part) leading(term uint64) (*replica, bool) {
	for _, id := range t.replicas {
		p := t.sim.nodes[id-1].proc
		if p == nil || p.parts[t.id.Partition] == nil {
			continue
		}
		r := p.parts[t.id.Partition]
		v, ok := p.host.View(t.id)
		if epoch, leads := r.Leads(); ok && v.Leads && v.Term == term {
			return r, leads && uint64(epoch) == term
		}
	}
	return nil, false
}

// holds tells whether a witness has what it told that it has.
func holds(v replication.View, made *promises) bool {
	if made.index > v.Witness.LastIndex() {
		return false
	}
	term, err := v.Witness.Term(made.index)
	return errors.Is(err, log.ErrCompacted) || err == nil && term == made.entry.term
}

// promiseAsWitness notes what a witness is about to tell another node.
func (p *process) promiseAsWitness(t *part, m *raftpb.Message) {
	v, ok := p.host.ViewWitness(t.id)
	if !ok {
		return // it is being opened
	}
	made := &p.node.witnessed[t.id.Partition]
	switch {
	case m.GetType() == raftpb.MsgAppResp && !m.GetReject():
		if m.GetTerm() < v.Term {
			return // a later leader may have changed the log since
		}
		term, err := v.Witness.Term(m.GetIndex())
		if err != nil && !errors.Is(err, log.ErrCompacted) {
			t.sim.fail("node %d tells that it has entry %d of partition %d as a witness: %v", p.node.id, m.GetIndex(), t.id.Partition, err)
		}
		if err == nil && m.GetIndex() > made.index {
			made.index, made.entry = m.GetIndex(), entry{term: term}
		}
	case m.GetType() == raftpb.MsgVoteResp && !m.GetReject():
		t.votesFor(made, p.node.id, m)
	}
}

// keptAsWitness checks the witnesses of a process that has just started.
func (p *process) keptAsWitness() {
	for i, t := range p.node.sim.parts {
		if t.witness != p.node.id {
			continue
		}
		made := p.node.witnessed[i]
		v, _ := p.host.ViewWitness(t.id)
		if made.index > 0 && !holds(v, &made) {
			t.sim.fail("node %d told others that it has entry %d of partition %d, as a witness, and has lost it", p.node.id, made.index, i)
		}
		t.keptVote(p.node.id, made, v)
	}
}
