package partition

import (
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/weir/weir/record"
)

// TestProducersFromAnywhere: a replica whose log begins anywhere, with what another one's producers were there, knows after the same
// batches the same producers.
func TestProducersFromAnywhere(t *testing.T) {
	rng := rand.New(rand.NewPCG(4, 4))
	for range 200 {
		now := func() int64 { return 0 }
		leader := newProducers(now)
		var batches []record.Header
		next, sequences := int64(0), map[int64]int32{}
		for range 40 {
			id := rng.Int64N(5)
			h := record.Header{
				BaseOffset: next, LastOffsetDelta: int32(rng.IntN(3)), ProducerID: id, ProducerEpoch: int16(sequences[id] / 20),
				BaseSequence: sequences[id], NumRecords: 1,
			}
			sequences[id] = nextSequence(h.LastSequence())
			next = h.NextOffset()
			leader.add(h)
			batches = append(batches, h)
		}
		from := rng.IntN(len(batches) + 1)
		offset := next
		if from < len(batches) {
			offset = batches[from].BaseOffset
		}
		follower := newProducers(now)
		if err := follower.Restore(leader.Snapshot(offset)); err != nil {
			t.Fatal(err)
		}
		for _, h := range batches[from:] {
			follower.add(h)
		}
		for id, p := range leader.byID {
			if q := follower.byID[id]; q == nil || q.epoch != p.epoch || !slices.Equal(q.batches, p.batches) {
				t.Fatalf("from batch %d on, producer %d is %+v instead of %+v", from, id, q, p)
			}
		}
	}
}
