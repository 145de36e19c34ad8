package replication

import (
	"slices"
	"sync/atomic"
)

// budget bounds what is sent to new replicas that are not in sync. It counts by ticks, so that no clock is needed.
type budget struct {
	rate int64        // bytes a tick
	left atomic.Int64 // below 0 after messages that were larger than what was left
}

func newBudget(rate int64) *budget {
	b := &budget{rate: rate}
	b.left.Store(rate)
	return b
}

// refill lets one tick's worth be sent. What was not used is lost.
func (b *budget) refill() {
	for {
		left := b.left.Load()
		if left == b.rate || b.left.CompareAndSwap(left, min(left+b.rate, b.rate)) {
			return
		}
	}
}

// budgets are those of a node.
type budgets struct {
	sending   *budget           // to all; nil: without bound
	receiving map[int32]*budget // to brokers
}

// SetCatchUpRates bounds what the groups of this node that are throttled (see Config) together send to learners, in bytes for each
// Tick: to all of them, and to those on single brokers. 0, or a broker that is not named: without bound.
func (h *Host) SetCatchUpRates(sending int64, receiving map[int32]int64) {
	b := &budgets{receiving: map[int32]*budget{}}
	if sending > 0 {
		b.sending = newBudget(sending)
	}
	for broker, rate := range receiving {
		if rate > 0 {
			b.receiving[broker] = newBudget(rate)
		}
	}
	h.catchUp.Store(b)
}

func (b *budgets) refill() {
	if b.sending != nil {
		b.sending.refill()
	}
	for _, one := range b.receiving {
		one.refill()
	}
}

// afford tells whether data may be sent to a replica now, and counts it.
func (g *Group) afford(to NodeID, bytes int) bool {
	if g.throttled == nil || !slices.Contains(g.members.now.State.Learners, to) {
		return true
	}
	all := g.host.catchUp.Load()
	sending, receiving := g.throttled(BrokerOf(to))
	var due []*budget
	if sending && all.sending != nil {
		due = append(due, all.sending)
	}
	if b := all.receiving[BrokerOf(to)]; receiving && b != nil {
		due = append(due, b)
	}
	if slices.ContainsFunc(due, func(b *budget) bool { return b.left.Load() <= 0 }) {
		return false
	}
	for _, b := range due {
		b.left.Add(-int64(bytes))
	}
	return true
}
