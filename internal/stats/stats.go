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

var began = time.Now()

// Now gives a moment, in ns since the process began; for measuring, as it is cheaper than time.Now.
func Now() int64 { return int64(time.Since(began)) }

// HistogramBuckets is the number of buckets of a Histogram.
const HistogramBuckets = 36

// Histogram sorts numbers into buckets whose bounds are powers of two: bucket i holds those up to 1<<i that are above the
// bound before. The last one holds all that are larger.
type Histogram struct {
	buckets [HistogramBuckets]atomic.Int64
	sum     atomic.Int64
}

// Observe adds a number; a negative one counts as 0.
func (h *Histogram) Observe(v int64) {
	h.buckets[min(bits.Len64(uint64(max(v, 1)-1)), HistogramBuckets-1)].Add(1)
	h.sum.Add(max(v, 0))
}

// Snapshot gives the count and the sum, and for each bucket from first to last how many numbers are not above its bound, by
// the bound. Bounds and sum are multiplied by scale.
func (h *Histogram) Snapshot(first, last int, scale float64) (count uint64, sum float64, upTo map[float64]uint64) {
	upTo = make(map[float64]uint64, last-first+1)
	for i := range h.buckets {
		count += uint64(h.buckets[i].Load())
		if i >= first && i <= last {
			upTo[float64(int64(1)<<i)*scale] = count
		}
	}
	return count, float64(h.sum.Load()) * scale, upTo
}
