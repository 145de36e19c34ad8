package cli

import (
	"cmp"
	"slices"
)

// replicaMap is where the replicas of all partitions are. The planners read one and say what to move; they ask and do nothing.
type replicaMap struct {
	brokers    []mappedBroker // those that can take replicas
	partitions []mappedPartition
}

type mappedBroker struct {
	id   int32
	rack string // "": not known, and counts as a rack of its own
}

type mappedPartition struct {
	topicPartition
	replicas []int32 // the first is the one that should lead
	bytes    int64   // of one replica; 0 if it is not known
	moving   bool    // replicas are those that a reassignment under way will lead to
}

// move gives a partition other replicas, or the same in another order.
type move struct {
	topicPartition
	from, to []int32
	bytes    int64 // of one replica
}

// added and removed are the brokers that a move brings in and takes out.
func (m move) added() []int32   { return without(m.to, m.from) }
func (m move) removed() []int32 { return without(m.from, m.to) }

// copies is how many bytes a move has to copy.
func (m move) copies() int64 { return m.bytes * int64(len(m.added())) }

func copiesOf(moves []move) (bytes int64) {
	for _, m := range moves {
		bytes += m.copies()
	}
	return bytes
}

// without gives the ids that are not among others.
func without(ids, others []int32) []int32 {
	return slices.DeleteFunc(slices.Clone(ids), func(id int32) bool { return slices.Contains(others, id) })
}

// draft is a map that a planner changes, with the counts that it decides by.
type draft struct {
	ids        []int32       // the brokers that can take replicas, in order
	racks      map[int32]int // of all brokers, numbered; one whose rack is not known has a rack of its own
	partitions []draftPartition
	on         map[int32][]int // the partitions that a broker has: their places, in order
	replicas   map[int32]int   // how many a broker keeps
	leaders    map[int32]int   // how many it should lead
	ofTopic    map[topicBroker]int
}

type draftPartition struct {
	mappedPartition
	racks []int // of the replicas
}

type topicBroker struct {
	topic  string
	broker int32
}

func (l replicaMap) draft() *draft {
	d := &draft{racks: map[int32]int{}, on: map[int32][]int{}, replicas: map[int32]int{}, leaders: map[int32]int{}, ofTopic: map[topicBroker]int{}}
	named := map[string]int{}
	for _, b := range l.brokers {
		d.ids = append(d.ids, b.id)
		if b.rack == "" {
			continue
		}
		if _, known := named[b.rack]; !known {
			named[b.rack] = len(named)
		}
		d.racks[b.id] = named[b.rack]
	}
	slices.Sort(d.ids)
	for at, p := range l.partitions {
		d.partitions = append(d.partitions, draftPartition{mappedPartition: p})
		d.enter(at, p.replicas)
	}
	return d
}

// enter puts a partition's replicas where they are.
func (d *draft) enter(at int, replicas []int32) {
	p := &d.partitions[at]
	p.replicas, p.racks = replicas, nil
	d.leaders[replicas[0]]++
	for _, id := range replicas {
		p.racks = append(p.racks, d.rack(id))
		d.replicas[id]++
		d.ofTopic[topicBroker{p.topic, id}]++
		i, _ := slices.BinarySearch(d.on[id], at)
		d.on[id] = slices.Insert(d.on[id], i, at)
	}
}

// set gives a partition other replicas.
func (d *draft) set(at int, replicas []int32) {
	p := d.partitions[at]
	d.leaders[p.replicas[0]]--
	for _, id := range p.replicas {
		d.replicas[id]--
		d.ofTopic[topicBroker{p.topic, id}]--
		i, _ := slices.BinarySearch(d.on[id], at)
		d.on[id] = slices.Delete(d.on[id], i, i+1)
	}
	d.enter(at, replicas)
}

// rack numbers the rack of a broker.
func (d *draft) rack(id int32) int {
	rack, known := d.racks[id]
	if !known {
		rack = -1 - len(d.racks)
		d.racks[id] = rack
	}
	return rack
}

// inRack counts the replicas, but for one, that are in a rack.
func (p *draftPartition) inRack(rack, except int) (n int) {
	for i, in := range p.racks {
		if i != except && in == rack {
			n++
		}
	}
	return n
}

// swapped gives replicas with another broker in a place.
func swapped(replicas []int32, place int, id int32) []int32 {
	replicas = slices.Clone(replicas)
	replicas[place] = id
	return replicas
}

// moves says how the draft differs from what it was made of.
func (d *draft) moves(l replicaMap) []move {
	var moves []move
	for i, was := range l.partitions {
		if is := d.partitions[i].replicas; !slices.Equal(was.replicas, is) {
			moves = append(moves, move{was.topicPartition, was.replicas, is, was.bytes})
		}
	}
	slices.SortFunc(moves, func(a, b move) int {
		return cmp.Or(cmp.Compare(a.topic, b.topic), cmp.Compare(a.partition, b.partition))
	})
	return moves
}
