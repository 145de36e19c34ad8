package stats

import (
	"sync"
	"testing"
)

func TestHistogram(t *testing.T) {
	var h Histogram
	for _, v := range []int64{-5, 0, 1, 2, 3, 4, 1000, 1 << 40} {
		h.Observe(v)
	}
	count, sum, below := h.Snapshot(0, 11, 0.5)
	if count != 8 || sum != (0+0+1+2+3+4+1000+1<<40)*0.5 {
		t.Errorf("%d numbers with the sum %v", count, sum)
	}
	for bound, want := range map[float64]uint64{0.5: 2, 1: 3, 2: 5, 4: 6, 512: 7, 1024: 7} {
		if below[bound] != want {
			t.Errorf("below %v: %d, want %d", bound, below[bound], want)
		}
	}
}

func TestManyCountAtOnce(t *testing.T) {
	var c Counter
	var h Histogram
	var all sync.WaitGroup
	for range 8 {
		all.Go(func() {
			for i := range 1000 {
				c.Add(2)
				h.Observe(int64(i))
			}
		})
	}
	all.Wait()
	if count, _, _ := h.Snapshot(0, 0, 1); c.Value() != 16000 || count != 8000 {
		t.Fatalf("counted %d and %d", c.Value(), count)
	}
}

func BenchmarkObserve(b *testing.B) {
	var h Histogram
	b.ReportAllocs()
	for i := 0; b.Loop(); i++ {
		h.Observe(int64(i & 0xffff))
	}
}
