package replication

import (
	"slices"
	"sync/atomic"
)

// budget bounds what a node sends to new replicas that are not in sync. It counts by ticks, so that no clock is needed.
type budget struct {
	rate atomic.Int64 // bytes a tick; 0: without bound
	left atomic.Int64 // below 0 after a message that was larger than what was left
}

// SetCatchUpRate bounds what all groups of this node together send to learners, in bytes for each Tick; 0: without bound.
func (h *Host) SetCatchUpRate(bytesPerTick int64) {
	h.catchUp.rate.Store(bytesPerTick)
	h.catchUp.left.Store(bytesPerTick)
}

// refill lets one tick's worth be sent. What was not used is lost.
func (b *budget) refill() {
	rate := b.rate.Load()
	for {
		left := b.left.Load()
		if left == rate || b.left.CompareAndSwap(left, min(left+rate, rate)) {
			return
		}
	}
}

// take tells whether something may be sent, and counts it.
func (b *budget) take(bytes int) bool {
	if b.rate.Load() == 0 {
		return true
	}
	for {
		left := b.left.Load()
		if left <= 0 {
			return false
		}
		if b.left.CompareAndSwap(left, left-int64(bytes)) {
			return true
		}
	}
}

// afford tells whether data may be sent to a replica now.
func (g *Group) afford(to NodeID, bytes int) bool {
	return !slices.Contains(g.members.now.State.Learners, to) || g.host.catchUp.take(bytes)
}
