package cli

import (
	"cmp"
	"slices"
)

// planRebalance says how to even out replicas and leaders over the brokers, until no two brokers differ by more than one of
// either, or nothing is left that can be done. A move never puts two replicas of a partition on one broker, or its replicas in
// fewer racks. Partitions that are moving, and replicas on brokers that can take none, stay.
func planRebalance(l replicaMap) []move {
	d := l.draft()
	for d.shift(d.replicas, d.replicaEdge) {
	}
	for d.shift(d.leaders, d.leaderEdge) {
	}
	return d.moves(l)
}

// edge finds the best way to take one thing from a broker and give it to another: a partition, and the replicas it then has. With
// any it only finds out whether there is a way, which is much faster.
type edge func(from, to int32, any bool) (at int, replicas []int32, ok bool)

// shift makes a broker that has more and one that has at least two less more even. If the one cannot give to the other, some
// between them pass on what they get: a shortest path of such steps is looked for, from the fullest broker on. It tells whether
// there was one. The squares of the loads add up to less each time, so that there is an end.
func (d *draft) shift(load map[int32]int, step edge) bool {
	fullest := slices.SortedFunc(slices.Values(d.ids), func(a, b int32) int { return cmp.Or(load[b]-load[a], cmp.Compare(a, b)) })
	for _, from := range fullest {
		emptiest := fullest[len(fullest)-1]
		if load[emptiest] > load[from]-2 {
			return false
		}
		if d.walk([]int32{from, emptiest}, step) || d.walk(d.path(from, load, step), step) {
			return true
		}
	}
	return false
}

// walk takes the steps of a path, all or none: one may have become impossible by an earlier one with the same partition.
func (d *draft) walk(path []int32, step edge) bool {
	type undo struct {
		at       int
		replicas []int32
	}
	var done []undo
	for i := 1; i < len(path); i++ {
		at, replicas, ok := step(path[i-1], path[i], false)
		if !ok {
			for _, u := range slices.Backward(done) {
				d.set(u.at, u.replicas)
			}
			return false
		}
		done = append(done, undo{at, d.partitions[at].replicas})
		d.set(at, replicas)
	}
	return len(done) > 0
}

// path gives the brokers over which one can give to another that has at least two less; the shortest, and to the emptiest.
func (d *draft) path(from int32, load map[int32]int, step edge) []int32 {
	before := map[int32]int32{from: from}
	for ring := []int32{from}; len(ring) > 0; {
		var next, ends []int32
		for _, at := range ring {
			for _, to := range d.ids {
				if _, seen := before[to]; seen {
					continue
				}
				if _, _, ok := step(at, to, true); !ok {
					continue
				}
				before[to] = at
				next = append(next, to)
				if load[to] <= load[from]-2 {
					ends = append(ends, to)
				}
			}
		}
		if len(ends) > 0 {
			path := []int32{slices.MinFunc(ends, func(a, b int32) int { return cmp.Or(load[a]-load[b], cmp.Compare(a, b)) })}
			for path[0] != from {
				path = slices.Insert(path, 0, before[path[0]])
			}
			return path
		}
		ring = next
	}
	return nil
}

// replicaEdge moves a replica: the one that brings the most racks, then whose topic is the most uneven between the two, then one
// that does not lead, then the smallest.
func (d *draft) replicaEdge(from, to int32, any bool) (best int, replicas []int32, found bool) {
	var bestCost [4]int64
	rackFrom, rackTo := d.rack(from), d.rack(to)
	for _, at := range d.on[from] {
		p := &d.partitions[at]
		place := slices.Index(p.replicas, from)
		if p.moving || slices.Contains(p.replicas, to) {
			continue
		}
		racks := 0 // that the partition gains
		if p.inRack(rackTo, place) == 0 {
			racks++
		}
		if p.inRack(rackFrom, place) == 0 {
			racks--
		}
		if racks < 0 {
			continue
		}
		if any {
			return at, nil, true
		}
		cost := [4]int64{-int64(racks), int64(d.ofTopic[topicBroker{p.topic, to}] - d.ofTopic[topicBroker{p.topic, from}]), 0, p.bytes}
		if place == 0 {
			cost[2] = 1
		}
		if !found || slices.Compare(cost[:], bestCost[:]) < 0 {
			best, replicas, bestCost, found = at, p.replicas, cost, true
		}
	}
	if found {
		replicas = swapped(replicas, slices.Index(replicas, from), to)
	}
	return best, replicas, found
}

// leaderEdge lets another replica of a partition lead, which moves no data.
func (d *draft) leaderEdge(from, to int32, _ bool) (at int, replicas []int32, found bool) {
	for _, at := range d.on[from] {
		p := &d.partitions[at]
		if place := slices.Index(p.replicas, to); place > 0 && p.replicas[0] == from && !p.moving {
			return at, swapped(swapped(p.replicas, place, from), 0, to), true
		}
	}
	return 0, nil, false
}
