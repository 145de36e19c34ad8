package main

import (
	"fmt"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
)

func TestTrickle(t *testing.T) {
	start := time.Now()
	at := func(ms int) time.Time { return start.Add(time.Duration(ms) * time.Millisecond) }
	key := func(n int) *kgo.Record { return &kgo.Record{Key: fmt.Appendf(nil, `{"id":%d}`, n)} }
	const a, b, c = trickleFrom, trickleFrom + 1, trickleFrom + 2
	k := &trickle{committed: map[int64]time.Time{a: at(0), b: at(10), c: at(20)}, seen: map[int64]time.Time{}}
	k.saw([]*kgo.Record{key(1), key(a)}, at(5)) // the first is no row of its own
	k.saw([]*kgo.Record{key(b)}, at(500))
	k.cut()
	k.saw([]*kgo.Record{key(a), key(b)}, at(800)) // a worker that begins anew
	k.saw([]*kgo.Record{key(c)}, at(801))
	if k.again != 2 || k.gap != 300*time.Millisecond || k.reached != c || len(k.seen) != 3 {
		t.Errorf("%d events again, a gap of %v, up to %d, %d seen", k.again, k.gap, k.reached, len(k.seen))
	}
	if p50, p99 := k.latency(.5), k.latency(.99); p50 != 490 || p99 != 781 {
		t.Errorf("p50 is %v ms, p99 %v ms", p50, p99)
	}
}

func TestBetween(t *testing.T) {
	for _, c := range []struct{ first, last, want int }{{0, 0, 0}, {1, 0, 1}, {4, 3, 1}, {4, 4, 1000}} {
		n, err := between(1000, func(from int) (int, error) {
			if from == 0 {
				return c.first, nil
			}
			return c.last, nil
		})
		if n != c.want || err != nil {
			t.Errorf("%d of the first and %d of the last: %d, %v; want %d", c.first, c.last, n, err, c.want)
		}
	}
}
