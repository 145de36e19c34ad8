package cli

import (
	"cmp"
	"fmt"
	"slices"
)

// planDecommission says how to move every replica off a broker: another takes the place of each, and the partition's other
// replicas stay where they are. The other is one whose rack has the fewest of the partition's replicas, and of these the one
// that keeps the least. Partitions that are moving are left to the next plan.
func planDecommission(l replicaMap, leaving int32) ([]move, error) {
	d := l.draft()
	d.ids = without(d.ids, []int32{leaving})
	for at := range d.partitions {
		p := &d.partitions[at]
		i := slices.Index(p.replicas, leaving)
		if i < 0 || p.moving {
			continue
		}
		free := without(d.ids, p.replicas)
		if len(free) == 0 {
			return nil, fmt.Errorf("partition %d of topic %q has %s, and without broker %d there is no broker to keep the last: add a broker, or give the topic fewer replicas with `weir partition reassign`",
				p.partition, p.topic, plural(int64(len(p.replicas)), "replica"), leaving)
		}
		d.set(at, swapped(p.replicas, i, slices.MinFunc(free, d.successor(p, i))))
	}
	return d.moves(l), nil
}

// successor orders brokers by how well they take the place of a partition's replica, the best first.
func (d *draft) successor(p *draftPartition, place int) func(a, b int32) int {
	load := func(id int32) [4]int {
		leaders := 0
		if place == 0 {
			leaders = d.leaders[id]
		}
		return [4]int{p.inRack(d.rack(id), place), d.replicas[id], leaders, d.ofTopic[topicBroker{p.topic, id}]}
	}
	return func(a, b int32) int {
		loadA, loadB := load(a), load(b)
		return cmp.Or(slices.Compare(loadA[:], loadB[:]), cmp.Compare(a, b))
	}
}
