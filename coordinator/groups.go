package coordinator

import (
	"sync"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"

	"github.com/weir/weir/cluster"
	"github.com/weir/weir/coordinator/group"
	"github.com/weir/weir/coordinator/machine"
	"github.com/weir/weir/partition"
)

// Groups runs the group coordinators of this node: one for each partition of __consumer_offsets.
type Groups struct {
	base   Config // without Partition and New
	limits group.Config

	mu       sync.RWMutex
	topic    cluster.UUID
	runtimes []*Runtime // by partition; nil: not on this node
}

// NewGroups makes the coordinators' host. base says how they run; its Partition and New are set for each.
func NewGroups(base Config, limits group.Config) *Groups {
	base.Loaded = func(m machine.Machine, now time.Time) machine.Effects { return m.(*group.Machine).Loaded(now) }
	return &Groups{base: base, limits: limits}
}

// Follow starts and stops coordinators after the partitions of __consumer_offsets changed, or were opened.
func (g *Groups) Follow(img *cluster.Image, set *partition.Set) {
	t := img.Topic(cluster.OffsetsTopic)
	g.mu.Lock()
	defer g.mu.Unlock()
	if t == nil || t.ID != g.topic {
		g.stop()
	}
	if t == nil {
		return
	}
	g.topic = t.ID
	g.runtimes = append(g.runtimes, make([]*Runtime, max(len(t.Partitions)-len(g.runtimes), 0))...)
	for number, r := range g.runtimes {
		p, err := set.Lookup(t.Name, int32(number))
		if r != nil && err != nil { // it moved away
			r.Stop()
			g.runtimes[number] = nil
		}
		if r == nil && err == nil {
			cfg := g.base
			cfg.Partition = p
			cfg.New = func() machine.Machine { return group.New(g.limits) }
			g.runtimes[number] = Start(cfg)
		}
	}
}

func (g *Groups) stop() {
	for _, r := range g.runtimes {
		if r != nil {
			r.Stop()
		}
	}
	g.runtimes, g.topic = nil, cluster.UUID{}
}

// Stop ends all coordinators.
func (g *Groups) Stop() {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.stop()
}

// TopicsDeleted lets all coordinators forget offsets of topics that are gone. One that is just loading misses it; its offsets
// carry the topic's id, so that they are not taken for those of a new topic of the name.
func (g *Groups) TopicsDeleted(names []string) {
	for _, r := range g.All() {
		r.Submit(group.TopicsDeleted{Topics: names}, func(any, error) {})
	}
}

// Summaries describes the groups that this node coordinates.
func (g *Groups) Summaries() []group.Summary {
	var out []group.Summary
	for _, r := range g.All() {
		r.Inspect(func(m machine.Machine) { out = append(out, m.(*group.Machine).Groups()...) })
	}
	return out
}

// Running tells whether the coordinators' topic is there and those of this node are started.
func (g *Groups) Running() bool {
	g.mu.RLock()
	defer g.mu.RUnlock()
	return len(g.runtimes) > 0
}

// For finds a group's coordinator. Errors are Kafka's.
func (g *Groups) For(id string) (*Runtime, error) {
	g.mu.RLock()
	defer g.mu.RUnlock()
	if len(g.runtimes) == 0 {
		return nil, kerr.CoordinatorNotAvailable
	}
	r := g.runtimes[PartitionFor(id, len(g.runtimes))]
	if r == nil {
		return nil, kerr.NotCoordinator
	}
	return r, nil
}

// All gives the coordinators of this node.
func (g *Groups) All() []*Runtime {
	g.mu.RLock()
	defer g.mu.RUnlock()
	var out []*Runtime
	for _, r := range g.runtimes {
		if r != nil {
			out = append(out, r)
		}
	}
	return out
}

// PartitionFor gives the partition of a coordinator's topic that an id belongs to: Java's hash of the string, without its
// sign, modulo the number of partitions.
func PartitionFor(id string, partitions int) int {
	h := int32(0)
	for _, r := range id {
		if r > 0xffff { // Java counts the halves of a pair
			r -= 0x10000
			h = 31*h + int32(0xd800+r>>10)
			h = 31*h + int32(0xdc00+r&0x3ff)
			continue
		}
		h = 31*h + int32(r)
	}
	if h == -1<<31 {
		return 0
	}
	if h < 0 {
		h = -h
	}
	return int(h) % partitions
}
