package runtime

import (
	"reflect"
	"sync"
	"sync/atomic"
	"unsafe"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/weir/weir/connect/sdk"
)

// batch is a part of a poll on its way. Its buffers are used again when all of it is durable.
type batch struct {
	buf     []byte
	records []kgo.Record
	headers []kgo.RecordHeader
	last    bool            // of its poll
	places  []*sdk.Position // where the source is after the poll that it ends: of neighbours with the same partition the last
	pending atomic.Int32    // records that are not durable yet
	stretch Stretch         // instead of records, of a Verbatim
	broken  atomic.Bool     // a record of it was given up, and may still be in use
	promise func(*kgo.Record, error)
}

// reset empties a batch that is done with.
func (b *batch) reset() {
	clear(b.records)
	clear(b.headers)
	clear(b.places)
	b.last = false
	b.buf, b.records, b.headers, b.places, b.stretch = b.buf[:0], b.records[:0], b.headers[:0], b.places[:0], Stretch{}
}

// note takes down where a record comes from.
func (b *batch) note(p *sdk.Position) {
	if p == nil {
		return
	}
	if n := len(b.places); n > 0 {
		if b.places[n-1] == p {
			return
		}
		if address(b.places[n-1].Partition) == address(p.Partition) {
			b.places[n-1] = p
			return
		}
	}
	b.places = append(b.places, p)
}

// address tells maps apart.
func address(m map[string]any) unsafe.Pointer { return reflect.ValueOf(m).UnsafePointer() }

// tracker knows how far a source is: the position after the last batch that is durable with all before it. Batches become durable in any
// order; they count in the order in which they were polled.
//
// With transactions (KIP-618) it is not needed: then the positions of a poll are written in the transaction of its records, and the
// transaction's end takes the place of finish.
type tracker struct {
	mu    sync.Mutex
	queue []*batch // those before head are done with
	head  int
	done  map[string]sdk.Position // by identity: durable and not taken yet
	ids   map[unsafe.Pointer]string
}

func newTracker() *tracker {
	return &tracker{done: map[string]sdk.Position{}, ids: map[unsafe.Pointer]string{}}
}

// add takes a batch that was polled after those added before.
func (t *tracker) add(b *batch) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.head > 0 && len(t.queue) == cap(t.queue) {
		t.queue = t.queue[:copy(t.queue, t.queue[t.head:])]
		t.head = 0
	}
	t.queue = append(t.queue, b)
}

// advance takes note of what is durable. It gives the batches that are done with, appended to free, and whether there is a position to
// keep.
func (t *tracker) advance(free []*batch) (_ []*batch, moved bool, err error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	for t.head < len(t.queue) && t.queue[t.head].pending.Load() == 0 {
		b := t.queue[t.head]
		t.queue[t.head] = nil
		t.head++
		for _, p := range b.places {
			id, err := t.identity(p.Partition)
			if err != nil {
				return free, moved, err
			}
			t.done[id] = *p
			moved = true
		}
		free = append(free, b)
	}
	if t.head == len(t.queue) {
		t.queue, t.head = t.queue[:0], 0
	}
	return free, moved, nil
}

// mostIdentities bounds how many source partitions are remembered by their address.
const mostIdentities = 1000

func (t *tracker) identity(partition map[string]any) (string, error) {
	at := address(partition)
	if id, ok := t.ids[at]; ok {
		return id, nil
	}
	id, err := identity(partition)
	if len(t.ids) >= mostIdentities {
		clear(t.ids)
	}
	t.ids[at] = id // which keeps the map, so that no other one gets its address
	return id, err
}

// take gives the positions to keep.
func (t *tracker) take() []sdk.Position {
	t.mu.Lock()
	defer t.mu.Unlock()
	out := make([]sdk.Position, 0, len(t.done))
	for _, p := range t.done {
		out = append(out, p)
	}
	clear(t.done)
	return out
}

// waiting tells how many batches are not durable.
func (t *tracker) waiting() int {
	t.mu.Lock()
	defer t.mu.Unlock()
	return len(t.queue) - t.head
}
