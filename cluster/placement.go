package cluster

import (
	"cmp"
	"fmt"
	"slices"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// alive tells whether a broker is registered and can be reached.
func (c *Controller) alive(id int32) bool {
	return c.image.Broker(id) != nil && (c.cfg.Alive == nil || c.cfg.Alive(id))
}

func (c *Controller) full(id int32) bool { return c.cfg.Full != nil && c.cfg.Full(id) }

// plan decides over the replicas of a new topic's partitions.
func (c *Controller) plan(t *kmsg.CreateTopicsRequestTopic) ([][]int32, *problem) {
	if len(t.ReplicaAssignment) > 0 {
		if t.ReplicationFactor != -1 {
			return nil, fail(kerr.InvalidRequest, "A manual partition assignment was specified, but replication factor was not set to -1.")
		}
		if t.NumPartitions != -1 {
			return nil, fail(kerr.InvalidRequest, "A manual partition assignment was specified, but numPartitions was not set to -1.")
		}
		byNumber := map[int32][]int32{}
		for _, a := range t.ReplicaAssignment {
			if _, twice := byNumber[a.Partition]; twice {
				return nil, fail(kerr.InvalidReplicaAssignment, "Found multiple manual partition assignments for partition %d", a.Partition)
			}
			byNumber[a.Partition] = a.Replicas
		}
		return c.assigned(byNumber)
	}
	partitions, factor := t.NumPartitions, t.ReplicationFactor
	if partitions == -1 {
		partitions = c.cfg.Partitions
	}
	if factor == -1 {
		factor = c.cfg.ReplicationFactor
	}
	switch {
	case factor <= 0:
		return nil, fail(kerr.InvalidReplicationFactor, "Replication factor must be larger than 0, or -1 to use the default value.")
	case partitions <= 0:
		return nil, fail(kerr.InvalidPartitions, "Number of partitions was set to an invalid non-positive value.")
	case partitions > partitionsMax: // the request is refused as a whole
		return nil, fail(kerr.PolicyViolation, "Excessively large number of partitions per request.")
	}
	replicas, text := c.place(nil, int(partitions), int(factor))
	if text != "" {
		return nil, fail(kerr.InvalidReplicationFactor, "Unable to replicate the partition %d time(s): %s", factor, text)
	}
	return replicas, nil
}

// assigned checks a placement that the client made.
func (c *Controller) assigned(byNumber map[int32][]int32) ([][]int32, *problem) {
	out := make([][]int32, len(byNumber))
	for number, replicas := range byNumber {
		if number < 0 || int(number) >= len(out) {
			return nil, fail(kerr.InvalidReplicaAssignment, "partitions should be a consecutive 0-based integer sequence")
		}
		out[number] = replicas
	}
	for number, replicas := range out {
		if p := c.checkNew(number, replicas, len(out[0])); p != nil {
			return nil, p
		}
	}
	return out, nil
}

// checkNew checks the replicas that a client wants for a new partition. One of them must be alive to begin it.
func (c *Controller) checkNew(number int, replicas []int32, factor int) *problem {
	if p := c.checkReplicas(replicas, factor, nil); p != nil {
		return p
	}
	if !slices.ContainsFunc(replicas, c.alive) {
		return fail(kerr.InvalidReplicaAssignment, "All brokers specified in the manual partition assignment for partition %d are fenced or in controlled shutdown.", number)
	}
	return nil
}

// checkReplicas checks replicas that a client wants for a partition that is on some of them already.
func (c *Controller) checkReplicas(replicas []int32, factor int, already []int32) *problem {
	if len(replicas) == 0 {
		return fail(kerr.InvalidReplicaAssignment, "The manual partition assignment includes an empty replica list.")
	}
	ids := slices.Sorted(slices.Values(replicas))
	for i, id := range ids {
		switch {
		case c.image.Broker(id) == nil:
			return fail(kerr.InvalidReplicaAssignment, "The manual partition assignment includes broker %d, but no such broker is registered.", id)
		case i > 0 && id == ids[i-1]:
			return fail(kerr.InvalidReplicaAssignment, "The manual partition assignment includes the broker %d more than once.", id)
		case c.full(id) && !slices.Contains(already, id):
			return fail(kerr.InvalidReplicaAssignment, "The manual partition assignment includes broker %d, but its disk is full.", id)
		}
	}
	if len(replicas) != factor {
		return fail(kerr.InvalidReplicaAssignment, "The manual partition assignment includes a partition with %d replica(s), but this is not consistent with previous partitions, which have %d replica(s).", len(replicas), factor)
	}
	return nil
}

// place spreads new partitions of a topic over the brokers; a text tells why it cannot.
func (c *Controller) place(have []Partition, count, factor int) ([][]int32, string) {
	p := c.newPlacer(have)
	alive := 0
	for i := range p.ring {
		if p.ring[i].alive {
			alive++
		}
	}
	switch {
	case factor > len(p.ring):
		return nil, fmt.Sprintf("The target replication factor of %d cannot be reached because only %d broker(s) are registered or some brokers have all their log directories cordoned.", factor, len(p.ring))
	case alive == 0:
		return nil, "All brokers are currently fenced."
	case factor > 2 && 2*alive <= factor: // two replicas have a witness, which may be alive
		return nil, fmt.Sprintf("The target replication factor of %d cannot be reached because only %d of %d broker(s) are alive, and most of the replicas have to be.", factor, alive, len(p.ring))
	}
	out := make([][]int32, count)
	for i := range out {
		out[i] = p.place(len(have)+i, factor)
	}
	return out, ""
}

// placer gives replicas to the partitions of one topic. All brokers form a ring in which racks take turns. The leader goes
// to who leads least, further replicas to racks that the partition has least of, and there to who holds least; the dead come
// last. Among equals it is the next one on the ring, counted from a place that moves on with each round, so that all go to
// different others when a broker is lost.
type placer struct {
	ring  []seat
	start int
	uses  []int // replicas of the partition that is being placed, by rack
}

// seat is a broker on the ring.
type seat struct {
	id           int32
	rack         int
	alive        bool
	leads, holds int  // partitions of the topic
	used         bool // by the partition that is being placed
}

func (c *Controller) newPlacer(have []Partition) *placer {
	p := &placer{}
	p.sit(c)
	if len(p.ring) > 1 {
		p.start = c.cfg.Pick(len(p.ring))
	}
	at := map[int32]*seat{}
	for i := range p.ring {
		at[p.ring[i].id] = &p.ring[i]
	}
	for _, part := range have {
		for i, id := range part.Target() {
			if s := at[id]; s != nil {
				s.holds++
				if i == 0 {
					s.leads++
				}
			}
		}
	}
	return p
}

// sit places the brokers on the ring: the first ones of all racks, then the second ones, and so on.
func (p *placer) sit(c *Controller) {
	byRack := map[string][]*Broker{}
	var racks []string
	for b := range c.image.Brokers() {
		if c.full(b.ID) {
			continue
		}
		if byRack[b.Rack] == nil {
			racks = append(racks, b.Rack)
		}
		byRack[b.Rack] = append(byRack[b.Rack], b)
	}
	slices.Sort(racks)
	for turn, more := 0, true; more; turn++ {
		more = false
		for rack, name := range racks {
			if brokers := byRack[name]; turn < len(brokers) {
				more = true
				p.ring = append(p.ring, seat{id: brokers[turn].ID, rack: rack, alive: c.alive(brokers[turn].ID)})
			}
		}
	}
	p.uses = make([]int, len(racks))
}

// place gives a partition its replicas.
func (p *placer) place(number, factor int) []int32 {
	clear(p.uses)
	for i := range p.ring {
		p.ring[i].used = false
	}
	out := make([]int32, 0, factor)
	first := p.take(p.start, func(a, b *seat) int { return cmp.Compare(a.leads, b.leads) })
	p.ring[first].leads++
	out = append(out, p.ring[first].id)
	from := first + 1 + number/len(p.ring)
	for len(out) < factor {
		next := p.take(from, func(a, b *seat) int {
			return cmp.Or(cmp.Compare(p.uses[a.rack], p.uses[b.rack]), cmp.Compare(a.holds, b.holds))
		})
		out = append(out, p.ring[next].id)
	}
	return out
}

// take uses the best seat, the living before the dead, and of equal ones the next from a place on.
func (p *placer) take(from int, compare func(a, b *seat) int) int {
	best := -1
	for i := range p.ring {
		at := (from + i) % len(p.ring)
		s := &p.ring[at]
		switch {
		case s.used:
		case best < 0, s.alive && !p.ring[best].alive, s.alive == p.ring[best].alive && compare(s, &p.ring[best]) < 0:
			best = at
		}
	}
	s := &p.ring[best]
	s.used = true
	s.holds++
	p.uses[s.rack]++
	return best
}
