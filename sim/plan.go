package sim

import (
	"fmt"
	"time"

	"github.com/weir/weir/config"
	"github.com/weir/weir/internal/vfs"
)

// plan is what a seed decides of the whole run. Not every fault is in every run: some bugs show only when others are away.
type plan struct {
	nodes, replicas, partitions int
	witness                     bool // partitions have two replicas, and a witness
	producers, readers          int
	groups                      int           // 0: nothing coordinates them
	trouble                     time.Duration // until all is mended
	disk                        time.Duration // that a round of syncs takes
	down                        time.Duration // the longest that a node stays down
	think                       time.Duration // between a producer's batches
	busy                        time.Duration // the longest that a turn waits for a worker
	background                  time.Duration // the longest that a checkpoint waits
	window                      int           // batches that a producer has under way
	faults                      []fault
	pause                       time.Duration // between two faults
	topic                       *config.TopicConfig
	lazy                        *config.TopicConfig // of relaxed partitions
	relaxed                     bool                // some partitions are relaxed
	givesUp                     bool                // so many machines may lose their power that these lose records
}

func (s *sim) draw() {
	p := &s.plan
	p.nodes = pick(s, 3, 3, 3, 5)
	p.replicas = pick(s, 3, 3, p.nodes)
	p.partitions = 1 + s.rng.IntN(3)
	p.producers, p.readers = 1+s.rng.IntN(6), 1+s.rng.IntN(2)
	p.groups = pick(s, 0, 0, 1, 3)
	p.trouble = s.between(2*time.Second, 8*time.Second)
	p.disk = pick(s, 20*time.Microsecond, 200*time.Microsecond, 2*time.Millisecond)
	p.down = pick(s, 100*time.Millisecond, time.Second, 3*time.Second)
	p.think = pick(s, 10*time.Millisecond, 30*time.Millisecond, 100*time.Millisecond)
	p.busy = pick(s, 20*time.Microsecond, 200*time.Microsecond, 5*time.Millisecond)
	p.background = pick(s, 0, time.Millisecond, 50*time.Millisecond)
	p.window = pick(s, 1, 3, 5, 5) // five is the most that a producer may have under way
	p.pause = pick(s, 100*time.Millisecond, 400*time.Millisecond, 1500*time.Millisecond)
	for _, f := range allFaults {
		if s.chance(0.4) {
			p.faults = append(p.faults, f)
		}
	}
	if len(p.faults) == 0 {
		p.faults = allFaults
	}
	s.net.delay = pick(s, 50*time.Microsecond, 500*time.Microsecond, 5*time.Millisecond, 20*time.Millisecond)
	c, _, err := config.Load(config.Sources{})
	if err != nil {
		panic(err)
	}
	p.topic = c.Topic(config.Layers{})
	p.topic.SegmentBytes = pick(s, int64(2000), 10_000, 1<<20) // so that segments end, and checkpoints are made
	if p.witness = s.chance(0.3); p.witness {
		p.replicas = 2
	}
	p.topic.IndexIntervalBytes = pick(s, int64(200), 4096)
	p.lazy = c.Topic(config.Layers{Resource: map[string]string{"durability": "relaxed"}})
	p.lazy.SegmentBytes, p.lazy.IndexIntervalBytes = p.topic.SegmentBytes, p.topic.IndexIntervalBytes
	p.relaxed = s.chance(0.3)
	p.givesUp = p.relaxed && s.chance(0.2)
}

// start makes the cluster, its clients and their troubles.
func (s *sim) start() {
	s.draw()
	p := s.plan
	s.net.cut = map[link]bool{}
	s.trace.note("%d nodes, %d replicas each of %d partitions", p.nodes, p.replicas, p.partitions)
	all := p.partitions
	if p.groups > 0 {
		all++
	}
	for i := range all {
		replicas := make([]int32, p.replicas)
		for k := range replicas {
			replicas[k] = int32((i+k)%p.nodes + 1)
		}
		s.parts = append(s.parts, newPart(s, int32(i), replicas))
		s.parts[i].risky = p.relaxed && s.chance(0.7)
		s.parts[i].relaxed = s.parts[i].risky
		if p.witness {
			s.parts[i].witness = uint64((i+p.replicas)%p.nodes + 1)
		}
	}
	if p.groups > 0 {
		s.parts[p.partitions].coordinates = true
	}
	for i := range p.nodes {
		n := &node{sim: s, id: uint64(i + 1), made: make([]promises, all), witnessed: make([]promises, all), lost: make([]bool, all)}
		n.disk = newDisk(n, vfs.NewMem())
		s.nodes = append(s.nodes, n)
		s.after(s.between(0, 100*time.Millisecond), "start", n.startIfDown)
	}
	for i := range p.producers {
		c := newProducer(s, int64(i+1))
		s.producers = append(s.producers, c)
		s.after(s.between(0, 300*time.Millisecond), "produce", c.next)
	}
	for range p.readers {
		c := newReader(s)
		s.readers = append(s.readers, c)
		s.after(s.between(0, 300*time.Millisecond), "poll", c.poll)
	}
	for i := range p.groups {
		c := newCommitter(s, fmt.Sprintf("g%d", i))
		s.committers = append(s.committers, c)
		s.after(s.between(0, 300*time.Millisecond), "commit offsets", c.next)
	}
	s.after(s.between(0, time.Second), "trouble", s.disturb)
}
