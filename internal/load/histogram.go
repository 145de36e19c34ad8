package load

import (
	"math/bits"
	"sync/atomic"
	"time"
)

// A number is counted with its leading bits only, so that a histogram of all of int64 is small and off by less than 1 in 128.
const (
	exactBits = 7
	exact     = 1 << exactBits // numbers below it are counted as they are
	buckets   = (63 - exactBits + 1) * exact
)

// Histogram counts durations. Many may count at once.
type Histogram struct {
	counts [buckets]atomic.Int64
	sum    atomic.Int64
	max    atomic.Int64
}

// Add counts a duration in ns; a negative one counts as 0.
func (h *Histogram) Add(ns int64) {
	ns = max(ns, 0)
	h.counts[bucketOf(ns)].Add(1)
	h.sum.Add(ns)
	for most := h.max.Load(); ns > most && !h.max.CompareAndSwap(most, ns); {
		most = h.max.Load()
	}
}

func bucketOf(n int64) int {
	if n < exact {
		return int(n)
	}
	shift := bits.Len64(uint64(n)) - exactBits - 1
	return shift*exact + int(n>>shift)
}

// lastOf gives the largest number of a bucket.
func lastOf(bucket int) int64 {
	if bucket < 2*exact {
		return int64(bucket)
	}
	shift := bucket/exact - 1
	return (int64(bucket%exact+exact)+1)<<shift - 1
}

// Count tells how many durations were counted.
func (h *Histogram) Count() (n int64) {
	for i := range h.counts {
		n += h.counts[i].Load()
	}
	return n
}

// Quantile gives the duration that a part of all (0.5: half of them) do not exceed.
func (h *Histogram) Quantile(part float64) time.Duration {
	rank := max(int64(part*float64(h.Count())+.5), 1)
	for i := range h.counts {
		if rank -= h.counts[i].Load(); rank <= 0 {
			return time.Duration(min(lastOf(i), h.max.Load()))
		}
	}
	return h.Max()
}

// Max gives the longest duration.
func (h *Histogram) Max() time.Duration { return time.Duration(h.max.Load()) }

// Mean gives the average.
func (h *Histogram) Mean() time.Duration { return time.Duration(h.sum.Load() / max(h.Count(), 1)) }
