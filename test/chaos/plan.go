package main

import (
	"math/rand/v2"
	"time"
)

// step is one fault: what happens, to which node, for how long.
type step struct {
	Kind   string        `json:"kind"`
	Node   int           `json:"node"`   // index; that of the leader when the fault begins, if Leader is set
	Leader int32         `json:"leader"` // it hits the leader of this partition; -1: the node it says
	Pause  time.Duration `json:"pause"`  // before it, with everything healed
	Lasts  time.Duration `json:"lasts"`
	Degree float64       `json:"degree"` // 0 to 1: how bad, for what has degrees
}

// planner gives the steps of a run. The same seed, kinds and nodes give the same steps.
type planner struct {
	random     *rand.Rand
	kinds      []*kind
	nodes      int
	partitions int32
	bag        []*kind // left of this round; in each round every kind comes once
}

// leaderShare is the share of the faults that hit the leader of a partition, wherever it is.
const leaderShare = 0.7

const pauseLeast, pauseMost = 500 * time.Millisecond, 2500 * time.Millisecond

func newPlanner(seed uint64, kinds []*kind, nodes int, partitions int) *planner {
	return &planner{random: rand.New(rand.NewPCG(seed, 1)), kinds: kinds, nodes: nodes, partitions: int32(partitions)}
}

func (p *planner) next() step {
	if len(p.bag) == 0 {
		p.bag = append(p.bag, p.kinds...)
		p.random.Shuffle(len(p.bag), func(i, j int) { p.bag[i], p.bag[j] = p.bag[j], p.bag[i] })
	}
	k := p.bag[0]
	p.bag = p.bag[1:]
	leader := int32(-1)
	if p.random.Float64() < leaderShare {
		leader = p.random.Int32N(p.partitions)
	}
	return step{
		Kind:   k.name,
		Node:   p.random.IntN(p.nodes),
		Leader: leader,
		Pause:  p.between(pauseLeast, pauseMost),
		Lasts:  p.between(k.least, k.most),
		Degree: p.random.Float64(),
	}
}

func (p *planner) between(least, most time.Duration) time.Duration {
	return (least + time.Duration(p.random.Int64N(int64(most-least)+1))).Round(time.Millisecond)
}
