package cluster

import (
	"cmp"
	"slices"
)

// A partition with two replicas has a witness on a third broker, if there is one: a vote without data, so that the loss of one broker
// does not end the majority. Clients see nothing of it.

// witnessBit makes the number of a witness in Raft groups that of its broker.
const witnessBit uint64 = 1 << 63

// Witness gives the broker that shall be the partition's witness; -1: none.
func (p Partition) Witness() int32 {
	if w := without(p.Witnesses, p.Leaving); len(w) > 0 {
		return w[0]
	}
	return -1
}

// Changing tells whether the replicas or the witness change.
func (p Partition) Changing() bool { return p.Moving() || len(p.Leaving) > 0 }

// Members gives the nodes that shall vote in a partition, as Raft numbers them now: the replicas in their order, and the witness.
func (i *Image) Members(p Partition) []uint64 {
	out := i.Nodes(p.Target())
	if w := p.Witness(); w >= 0 {
		out = append(out, i.Nodes([]int32{w})[0]|witnessBit)
	}
	return out
}

// witnessed gives the partition on its way to another witness; -1: to none. Whoever may be one stays named until that is reached.
func (p Partition) witnessed(witness int32) Partition {
	if p.nodes = p.First(); slices.ContainsFunc(p.nodes, func(id uint64) bool { return id&witnessBit != 0 }) {
		p.nodes = nil // a witness that comes again has forgotten what it promised; replicas that stay have not
	}
	p.Epoch++
	p.Leaving = slices.Sorted(slices.Values(without(p.Witnesses, []int32{witness})))
	if p.Witnesses = p.Leaving; witness >= 0 {
		p.Witnesses = append([]int32{witness}, p.Leaving...)
	}
	return p
}

// witnesses chooses witnesses, spread over the brokers.
type witnesses struct {
	brokers []*Broker // in the order in which they come
	alive   map[int32]bool
	holds   map[int32]int
	racks   map[int32]string
}

// newWitnesses begins to choose. have are the topic's partitions so far, but is a broker that is to be none; -1: all may be.
func (c *Controller) newWitnesses(have []Partition, but int32) *witnesses {
	w := &witnesses{alive: map[int32]bool{}, holds: map[int32]int{}, racks: map[int32]string{}}
	for b := range c.image.Brokers() {
		w.racks[b.ID], w.alive[b.ID] = b.Rack, c.alive(b.ID)
		if b.ID != but {
			w.brokers = append(w.brokers, b)
		}
	}
	if n := len(w.brokers); n > 3 { // with three there is nothing to choose
		first := c.cfg.Pick(n)
		w.brokers = slices.Concat(w.brokers[first:], w.brokers[:first])
	}
	for _, p := range have {
		w.holds[p.Witness()]++
	}
	return w
}

// choose gives the witness of a partition with some replicas; -1: it shall have none, or there is no broker for it. It goes to who is
// alive, if there is one, to a rack of its own, and there to who holds least. One that is not alive is no worse than none: until it
// comes, both replicas are the majority of three.
func (w *witnesses) choose(replicas []int32) int32 {
	if len(replicas) != 2 {
		return -1
	}
	bad := func(b *Broker) (sum int) {
		if !w.alive[b.ID] {
			sum = 2
		}
		if slices.ContainsFunc(replicas, func(id int32) bool { return w.racks[id] == b.Rack }) {
			sum++
		}
		return sum
	}
	var best *Broker
	for _, b := range w.brokers {
		if !slices.Contains(replicas, b.ID) && (best == nil || cmp.Or(cmp.Compare(bad(b), bad(best)), cmp.Compare(w.holds[b.ID], w.holds[best.ID])) < 0) {
			best = b
		}
	}
	if best == nil {
		return -1
	}
	w.holds[best.ID]++
	return best.ID
}

// all chooses the witnesses of new partitions; nil: none has one.
func (w *witnesses) all(replicas [][]int32) []int32 {
	out := make([]int32, len(replicas))
	for i, r := range replicas {
		out[i] = w.choose(r)
	}
	if !slices.ContainsFunc(out, func(id int32) bool { return id >= 0 }) {
		return nil
	}
	return out
}

// witnessOf gives what a record says of one of its partitions.
func witnessOf(witnesses []int32, at int) []int32 {
	if at >= len(witnesses) || witnesses[at] < 0 {
		return nil
	}
	return []int32{witnesses[at]}
}

// witnessFor gives the witness that a partition of a topic shall have with other replicas: its own, if that will do.
func (c *Controller) witnessFor(t *Topic, p Partition, target []int32) int32 {
	now := p.Witness()
	will := now >= 0 && len(target) == 2 && !slices.Contains(target, now)
	if will && c.alive(now) {
		return now
	}
	if other := c.newWitnesses(t.Partitions, -1).choose(target); !will || c.alive(other) {
		return other
	}
	return now
}

// replaceWitness finds other witnesses in place of a broker that goes.
func (c *Controller) replaceWitness(d *draft, gone int32) {
	var m moves
	for t := range c.image.Topics() {
		var w *witnesses
		for number, p := range t.Partitions {
			if p.Witness() != gone {
				continue
			}
			if w == nil {
				w = c.newWitnesses(t.Partitions, gone)
			}
			m.set(t.Name, int32(number), p.witnessed(w.choose(p.Target())))
		}
	}
	m.put(d)
}

// lendWitness makes a broker that is there the witness of partitions that should have one and found none.
func (c *Controller) lendWitness(d *draft, broker int32) {
	var m moves
	for t := range c.image.Topics() {
		for number, p := range t.Partitions {
			if p.Witness() < 0 && !p.Changing() && len(p.Replicas) == 2 && !slices.Contains(p.Replicas, broker) {
				m.set(t.Name, int32(number), p.witnessed(broker))
			}
		}
	}
	m.put(d)
}
