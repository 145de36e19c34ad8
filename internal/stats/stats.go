// Package stats counts. Its counters cost a few nanoseconds and no memory, so that they can stand on the hottest path; package
// node shows them to Prometheus.
package stats

import (
	"math/bits"
	"sync/atomic"
	"time"
)

// Counter only grows.
type Counter struct{ n atomic.Int64 }

// Add adds n, which must not be negative.
func (c *Counter) Add(n int) { c.n.Add(int64(n)) }

// Value gives the sum so far.
func (c *Counter) Value() int64 { return c.n.Load() }

// Histogram sorts numbers into buckets whose bounds are powers of two: bucket i holds those below 1<<i. The last one
// holds all that are larger.
type Histogram struct {
	buckets [HistogramBuckets]atomic.Int64
	sum     atomic.Int64
}

// HistogramBuckets is the number of buckets.
const HistogramBuckets = 36

// Observe adds a number; a negative one counts as 0.
func (h *Histogram) Observe(v int64) {
	v = max(v, 0)
	h.buckets[min(bits.Len64(uint64(v)), HistogramBuckets-1)].Add(1)
	h.sum.Add(v)
}

// Since observes the microseconds from start, which time.Now gave, to now.
func (h *Histogram) Since(start time.Time) { h.Observe(time.Since(start).Microseconds()) }

// Snapshot gives the count and the sum, and for each bucket from first to last the numbers that are below its bound, by the
// bound times scale.
func (h *Histogram) Snapshot(first, last int, scale float64) (count uint64, sum float64, below map[float64]uint64) {
	below = make(map[float64]uint64, last-first+1)
	for i := range h.buckets {
		count += uint64(h.buckets[i].Load())
		if i >= first && i <= last {
			below[float64(int64(1)<<i)*scale] = count
		}
	}
	return count, float64(h.sum.Load()) * scale, below
}
