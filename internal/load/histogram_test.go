package load

import (
	"math"
	"math/rand/v2"
	"slices"
	"testing"
	"time"
)

func TestHistogramIsNearTheSortedList(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	for name, draw := range map[string]func() int64{
		"small":       func() int64 { return r.Int64N(200) },
		"exponential": func() int64 { return int64(r.ExpFloat64() * 1e6) },
		"any":         func() int64 { return r.Int64() >> r.IntN(63) },
		"one":         func() int64 { return 1_234_567 },
	} {
		var h Histogram
		var all []int64
		sum := 0.0
		for range 10_000 {
			n := draw()
			h.Add(n)
			all = append(all, n)
			sum += float64(n)
		}
		slices.Sort(all)
		for _, part := range []float64{0, .5, .9, .99, .999, 1} {
			want := all[max(int(part*float64(len(all))+.5), 1)-1]
			got := int64(h.Quantile(part))
			if got < want || float64(got-want) > float64(want)/exact {
				t.Errorf("%s: quantile %v is %d, want %d", name, part, got, want)
			}
		}
		if h.Count() != 10_000 || int64(h.Max()) != all[len(all)-1] {
			t.Errorf("%s: %d numbers up to %d, want 10000 up to %d", name, h.Count(), h.Max(), all[len(all)-1])
		}
		if mean := sum / 10_000; name != "any" && math.Abs(float64(h.Mean())-mean) > 1 {
			t.Errorf("%s: mean %d, want %f", name, h.Mean(), mean)
		}
	}
}

func TestHistogramBuckets(t *testing.T) {
	for _, n := range []int64{0, 1, 127, 128, 255, 256, 257, 1 << 20, 1<<20 - 1, math.MaxInt64} {
		b := bucketOf(n)
		if last := lastOf(b); last < n || b > 0 && lastOf(b-1) >= n {
			t.Errorf("%d is in bucket %d, which ends with %d; the one before with %d", n, b, last, lastOf(b-1))
		}
	}
	if b := bucketOf(math.MaxInt64); b != buckets-1 {
		t.Errorf("the last bucket is %d of %d", b, buckets)
	}
}

func TestEmptyHistogram(t *testing.T) {
	var h Histogram
	if h.Quantile(.99) != 0 || h.Mean() != 0 || h.Max() != 0 || h.Count() != 0 {
		t.Error("it is not empty")
	}
	h.Add(-time.Second.Nanoseconds())
	if h.Quantile(.5) != 0 || h.Count() != 1 {
		t.Error("a negative number is not 0")
	}
}
