package sim

import (
	"encoding/binary"
	"slices"

	"go.etcd.io/raft/v3/raftpb"

	"github.com/weir/weir/coordinator"
	"github.com/weir/weir/log"
	"github.com/weir/weir/partition"
	"github.com/weir/weir/record"
	"github.com/weir/weir/replication"
)

// part is a partition as it must be on all nodes: what was ever committed.
type part struct {
	sim         *sim
	id          replication.GroupID
	replicas    []int32
	witness     uint64 // node; 0: none
	risky       bool   // at times it is relaxed
	relaxed     bool   // now
	givenUp     bool   // most of its replicas lost their power at once while it was relaxed: what it holds is not known any more
	coordinates bool   // consumer groups are coordinated there, and no clients write to it
	// committed are the entries that a node took for committed, from index 1 on. They never change.
	committed []entry
	values    []uint64         // of the committed records, by offset
	offsets   map[uint64]int64 // of these values
	acked     map[uint64]int64 // offsets that producers were told
	newest    int64            // of these
	fenced    map[uint64]bool  // values that must never be committed
	acks      []ack            // that were given in the present event
	leaders   map[uint64]uint64
	matching  map[place]uint64 // hashes of the entries that were ever in a log
	votes     map[vote]uint64
	seen      seenByReaders
}

// entry is an entry of a log, as far as all nodes must agree on it.
type entry struct {
	term       uint64
	hash       uint64 // of what is in it, and of the term before it
	kind       log.Kind
	base, next int64                   // log end offset before it and after it
	producer   partition.ProducerState // ID is -1: none
	in         uint64                  // committed entries: it was committed in this term or in an earlier one
}

// place is an index and a term, which name an entry.
type place struct{ index, term uint64 }

// vote is a node and a term, in which it may vote once.
type vote struct{ node, term uint64 }

// ack is what a producer was told.
type ack struct {
	node   uint64
	values []uint64
	base   int64
	after  int64 // newest offset that was acknowledged before the batch was made; -1: none
}

func newPart(s *sim, number int32, replicas []int32) *part {
	return &part{
		sim: s, id: replication.GroupID{Topic: [16]byte{1}, Partition: number}, replicas: replicas, newest: -1,
		offsets: map[uint64]int64{}, acked: map[uint64]int64{}, fenced: map[uint64]bool{}, leaders: map[uint64]uint64{},
		matching: map[place]uint64{}, votes: map[vote]uint64{}, seen: newSeen(),
	}
}

func (t *part) on(node uint64) bool { return slices.Contains(t.replicas, int32(node)) }

func (t *part) end() int64 { return int64(len(t.values)) }

// replica is a partition on a node, and what was seen of it.
type replica struct {
	*partition.Partition
	part    *part
	proc    *process
	runtime *coordinator.Runtime // nil: the partition coordinates no groups
	log     []entry              // from index 1 on
	applied uint64
	high    int64
	leads   bool
	term    uint64
	mayCut  uint64 // entries from here on may be gone when the power fails in the midst of something
}

// promises is what a node told others of one partition, and must not forget, even when the power fails.
type promises struct {
	index uint64 // the log holds what it held, up to here
	entry entry  // there
	voted place  // index: for whom
}

// replaced tells whether another node has led in a later term than this one.
func (r *replica) replaced() bool {
	for term := range r.part.leaders {
		if term > r.term {
			return true
		}
	}
	return false
}

// look compares what the process's replicas are now with what is true.
func (p *process) look() {
	p.node.sim.looking = true
	defer func() { p.node.sim.looking = false }()
	for _, r := range p.parts {
		if r != nil {
			r.look()
		}
	}
	p.lookAsWitness()
}

func (r *replica) look() {
	t, s, id := r.part, r.part.sim, r.proc.node.id
	v, ok := r.proc.host.View(t.id)
	if !ok {
		s.fail("node %d has lost its replica of %v", id, r)
	}
	r.lookWhetherLost(v)
	r.compareLog(v)
	if v.Leads && (!r.leads || v.Term != r.term) {
		r.compareLeader(v.Term)
	}
	r.leads, r.term = v.Leads, v.Term
	if t.givenUp {
		r.applied, r.high = v.Applied, r.HighWatermark()
		return
	}
	for ; r.applied < v.Applied; r.applied++ {
		t.commit(r, r.applied+1, v.Term)
	}
	switch high := r.HighWatermark(); {
	case high < r.high:
		s.fail("node %d: the high watermark of %v goes back from %d to %d", id, r, r.high, high)
	case high > t.end():
		s.fail("node %d: the high watermark of %v is %d, and records are committed up to %d", id, r, high, t.end())
	case high > r.high:
		if want := t.committed[v.Applied-1].next; high != want {
			s.fail("node %d: the high watermark of %v is %d after entry %d, and should be %d", id, r, high, v.Applied, want)
		}
		s.trace.mix(uint64(high))
		r.high = high
	}
	t.checkAcks()
}

// compareLog takes in what is new in the replica's log.
func (r *replica) compareLog(v replication.View) {
	t, s, id := r.part, r.part.sim, r.proc.node.id
	last := v.Log.LastIndex()
	same := min(uint64(len(r.log)), last)
	for ; same > 0; same-- {
		if term, err := v.Log.Term(same); err != nil {
			s.fail("node %d: term of entry %d of %v: %v", id, same, r, err)
		} else if term == r.log[same-1].term {
			break
		}
	}
	if same < uint64(len(r.log)) {
		s.trace.note("node %d cuts %v back to entry %d", id, r, same)
		s.trace.mix(same)
		for i := same; i < uint64(min(len(r.log), len(t.committed))); i++ {
			if r.log[i].hash == t.committed[i].hash && !t.givenUp {
				s.fail("node %d takes the committed entry %d of %v back", id, i+1, r)
			}
		}
		r.promisedUpTo(same)
		r.log = r.log[:same]
	}
	if same == last {
		return
	}
	entries, err := v.Log.Entries(same+1, last+1, 1<<40)
	if err != nil {
		s.fail("node %d cannot read entries %d to %d of %v: %v", id, same+1, last, r, err)
	}
	for _, e := range entries {
		r.take(e)
	}
	s.trace.mix(last, r.log[last-1].hash)
}

// take notes an entry that the log has. One of the same index and term is the same on all nodes, and so are those before it.
func (r *replica) take(e log.Entry) {
	t, s, id := r.part, r.part.sim, r.proc.node.id
	if e.Index != uint64(len(r.log))+1 {
		s.fail("node %d: entry %d of %v follows entry %d", id, e.Index, r, len(r.log))
	}
	now := entry{term: e.Term, kind: e.Kind, producer: partition.ProducerState{ID: -1}}
	before := uint64(0)
	if n := len(r.log); n > 0 {
		now.base, before = r.log[n-1].next, r.log[n-1].term
	}
	now.next = now.base
	if e.Kind == log.Batch {
		h, err := record.ParseHeader(e.Data)
		if err != nil || !record.CheckCRC(e.Data) || h.BaseOffset != now.base || uint64(h.LeaderEpoch) != e.Term {
			s.fail("node %d: the batch at entry %d of %v is not whole: offset %d and epoch %d instead of %d and %d, checksum right: %v (%v)",
				id, e.Index, r, h.BaseOffset, h.LeaderEpoch, now.base, e.Term, record.CheckCRC(e.Data), err)
		}
		now.next = h.NextOffset()
		now.producer = partition.ProducerState{ID: h.ProducerID, Epoch: h.ProducerEpoch, LastSequence: h.LastSequence(), LastTimestamp: h.MaxTimestamp}
	}
	now.hash = hashText(e.Data) ^ before<<48 ^ e.Term<<32 ^ uint64(e.Kind)<<24
	at := place{e.Index, e.Term}
	if have, ok := t.matching[at]; ok && have != now.hash {
		s.fail("node %d: entry %d of term %d of %v is not what it is on another node", id, e.Index, e.Term, r)
	}
	t.matching[at] = now.hash
	r.log = append(r.log, now)
}

// compareLeader checks a node that has come to lead: nobody else leads in its term, and nothing committed is missing.
func (r *replica) compareLeader(term uint64) {
	t, s, id := r.part, r.part.sim, r.proc.node.id
	s.trace.note("node %d leads %v in term %d", id, r, term)
	s.trace.mix(term)
	if other, ok := t.leaders[term]; ok && other != id {
		s.fail("nodes %d and %d both lead %v in term %d", other, id, r, term)
	} else if ok {
		s.fail("node %d leads %v in term %d a second time", id, r, term)
	}
	t.leaders[term] = id
	s.Terms++
	s.led(r.proc.node)
	if !r.proc.node.disk.full { // what a full disk refused is known of, and not in the log
		r.compareProducers()
	}
	for i, e := range t.committed {
		if t.givenUp {
			break
		}
		if e.in < term && (i >= len(r.log) || r.log[i].hash != e.hash) {
			s.fail("node %d leads %v in term %d without entry %d, which was committed in term %d", id, r, term, i+1, e.in)
		}
	}
}

// compareProducers compares what the replica remembers of producers with what its log says.
func (r *replica) compareProducers() {
	newest := map[int64]partition.ProducerState{}
	for _, e := range r.log {
		if e.producer.ID >= 0 {
			newest[e.producer.ID] = e.producer
		}
	}
	have := r.ProducersHere()
	for _, p := range have {
		if newest[p.ID] != p {
			r.part.sim.fail("node %d remembers %+v of a producer of %v, and its log has %+v", r.proc.node.id, p, r, newest[p.ID])
		}
	}
	if len(have) != len(newest) {
		r.part.sim.fail("node %d remembers %d producers of %v, and its log has %d", r.proc.node.id, len(have), r, len(newest))
	}
}

// commit notes that a replica takes an entry for committed.
func (t *part) commit(r *replica, index, term uint64) {
	id := r.proc.node.id
	if index > uint64(len(r.log)) {
		t.sim.fail("node %d takes entry %d of %v for committed, and has %d", id, index, r, len(r.log))
	}
	e := r.log[index-1]
	if index <= uint64(len(t.committed)) {
		if known := t.committed[index-1]; e.hash != known.hash || e.next != known.next {
			t.sim.fail("node %d takes another entry %d of %v for committed than others: %+v instead of %+v", id, index, r, e, known)
		}
		return
	}
	e.in = term
	t.committed = append(t.committed, e)
	if e.kind != log.Batch {
		return
	}
	v, _ := r.proc.host.View(t.id)
	found, err := v.Log.Entries(index, index+1, 1)
	if err != nil {
		t.sim.fail("node %d cannot read entry %d of %v: %v", id, index, r, err)
	}
	for _, value := range t.valuesOf(found[0].Data) {
		if at, twice := t.offsets[value.value]; twice {
			t.sim.fail("record %d is at offset %d of %v, and again at offset %d", value.value, at, r, value.offset)
		}
		if t.fenced[value.value] {
			t.sim.fail("record %d of a producer's old epoch is at offset %d of %v", value.value, value.offset, r)
		}
		if value.offset != t.end() {
			t.sim.fail("offset %d of %v follows offset %d", value.offset, r, t.end()-1)
		}
		t.offsets[value.value] = value.offset
		t.values = append(t.values, value.value)
	}
}

// checkAcks checks what producers were told in the present event.
func (t *part) checkAcks() {
	for _, a := range t.acks {
		for i, value := range a.values {
			offset := a.base + int64(i)
			if at, ok := t.offsets[value]; !ok || at != offset {
				t.sim.fail("node %d acknowledges record %d at offset %d of partition %d, where it is not committed", a.node, value, offset, t.id.Partition)
			}
			if offset <= a.after {
				t.sim.fail("record %d is at offset %d of partition %d, and was made after one at offset %d was acknowledged", value, offset, t.id.Partition, a.after)
			}
			if _, again := t.acked[value]; !again {
				t.sim.Acked++
			}
			t.acked[value] = offset
			t.newest = max(t.newest, offset)
		}
	}
	t.acks = t.acks[:0]
}

// promise notes what a node is about to tell another one.
func (p *process) promise(id replication.GroupID, m *raftpb.Message) {
	s, self := p.node.sim, p.node.id
	if replication.IsWitness(m.GetFrom()) {
		p.promiseAsWitness(s.parts[id.Partition], m)
		return
	}
	r := p.parts[id.Partition]
	if r == nil {
		return // it is being opened
	}
	made := &p.node.made[id.Partition]
	switch {
	case m.GetType() == raftpb.MsgAppResp && !m.GetReject():
		v, _ := p.host.View(id)
		if m.GetTerm() < v.Term {
			return // a later leader may have changed the log since
		}
		r.compareLog(v)
		index := m.GetIndex()
		if index > uint64(len(r.log)) {
			s.fail("node %d tells that it has entry %d of partition %d, and has %d", self, index, id.Partition, len(r.log))
		}
		if index > made.index {
			made.index, made.entry = index, r.log[index-1]
		}
	case m.GetType() == raftpb.MsgVoteResp && !m.GetReject():
		r.part.votesFor(made, self, m)
	}
}

// votesFor notes a vote that a node is about to give.
func (t *part) votesFor(made *promises, self uint64, m *raftpb.Message) {
	now := vote{self, m.GetTerm()}
	if other, ok := t.votes[now]; ok && other != m.GetTo() {
		t.sim.fail("node %d votes for nodes %d and %d in term %d of partition %d", self, other, m.GetTo(), m.GetTerm(), t.id.Partition)
	}
	t.votes[now] = m.GetTo()
	if m.GetTerm() > made.voted.term {
		made.voted = place{m.GetTo(), m.GetTerm()}
	}
}

// promisedUpTo takes a promise back, as a leader may do with what is not committed.
func (r *replica) promisedUpTo(index uint64) {
	made := &r.proc.node.made[r.part.id.Partition]
	if made.index <= index {
		return
	}
	made.index, made.entry = index, entry{}
	if index > 0 {
		made.entry = r.log[index-1]
	}
}

// comes notes a message that may make a replica take entries back: if the power fails meanwhile, they may be gone.
func (r *replica) comes(m *raftpb.Message) {
	for _, e := range m.Entries {
		if i := e.GetIndex(); i <= uint64(len(r.log)) && r.log[i-1].term != e.GetTerm() {
			r.mayCut = min(r.mayCut, i-1)
			return
		}
	}
}

// keptPromises checks a process that has just started: what it told others before is on the disk.
func (p *process) keptPromises() {
	s, self := p.node.sim, p.node.id
	s.looking = true
	defer func() { s.looking = false }()
	for i, r := range p.parts {
		if r == nil {
			continue
		}
		made := p.node.made[i]
		v, _ := p.host.View(r.part.id)
		r.compareLog(v)
		r.compareProducers()
		if v.Log.Forgotten() == log.ByPower {
			p.node.made[i].index = 0 // but a vote is not forgotten
			made.index = 0
		}
		if made.index > uint64(len(r.log)) || made.index > 0 && r.log[made.index-1].hash != made.entry.hash {
			s.fail("node %d told others that it has entry %d of %v, and has lost it", self, made.index, r)
		}
		r.part.keptVote(self, made, v)
	}
	p.keptAsWitness()
}

// keptVote checks what is left of a vote after a restart.
func (t *part) keptVote(self uint64, made promises, v replication.View) {
	if v.Term < made.voted.term || v.Term == made.voted.term && v.Vote != made.voted.index {
		t.sim.fail("node %d voted for node %d in term %d of partition %d, and remembers a vote for %d in term %d", self, made.voted.index, made.voted.term, t.id.Partition, v.Vote, v.Term)
	}
}

// valueAt is a record's value, and where it is.
type valueAt struct {
	value  uint64
	offset int64
}

// valuesOf gives the values of batches. Those of a coordinator are of no interest here, and its offsets stand for them.
func (t *part) valuesOf(batches []byte) (out []valueAt) {
	for batch := range record.Batches(batches) {
		for r, err := range record.Records(batch) {
			if err != nil {
				t.sim.fail("a record of partition %d cannot be read: %v", t.id.Partition, err)
			}
			value := uint64(r.Offset)
			if !t.coordinates {
				value = binary.BigEndian.Uint64(r.Key)
			}
			out = append(out, valueAt{value, r.Offset})
		}
	}
	return out
}
