package stats

import (
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

func TestHistogram(t *testing.T) {
	var h Histogram
	for _, v := range []int64{-5, 0, 1, 2, 3, 4, 1000, 1 << 40} {
		h.Observe(v)
	}
	count, sum, upTo := h.Snapshot(0, 11, 0.5)
	if count != 8 || sum != (0+0+1+2+3+4+1000+1<<40)*0.5 {
		t.Errorf("%d numbers with the sum %v", count, sum)
	}
	for bound, want := range map[float64]uint64{0.5: 3, 1: 4, 2: 6, 4: 6, 256: 6, 512: 7, 1024: 7} {
		if upTo[bound] != want {
			t.Errorf("up to %v: %d, want %d", bound, upTo[bound], want)
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

func TestNowGoesOn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		before := Now()
		<-time.After(3 * time.Second)
		if took := Now() - before; took != 3e9 {
			t.Errorf("3 s took %d ns", took)
		}
	})
}

func BenchmarkObserve(b *testing.B) {
	var h Histogram
	b.ReportAllocs()
	for i := 0; b.Loop(); i++ {
		h.Observe(int64(i & 0xffff))
	}
}
