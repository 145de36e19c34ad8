package runtime

import (
	"encoding/json"
	"reflect"
	"sync"
	"unsafe"

	"github.com/weir/weir/connect/sdk"
)

// ledger knows which records of a source are in their topics, and so which positions may be kept: those of polls that are done with
// all polls before them.
type ledger struct {
	mu    sync.Mutex
	polls []*poll // in their order
	ready map[string]sdk.Position
	moved chan struct{} // gets one when something is ready
	err   error         // the first record that a topic did not take
	fail  func()        // tells of it
}

// poll is what one Poll gave.
type poll struct {
	open      int // records that are not acknowledged, and one while it is being sent
	positions map[string]sdk.Position
}

func newLedger(fail func()) *ledger {
	return &ledger{ready: map[string]sdk.Position{}, moved: make(chan struct{}, 1), fail: fail}
}

// begin takes the records of a poll. The one who calls has to end it, with done, after they are sent.
func (l *ledger) begin(records []*sdk.Record) *poll {
	p := &poll{open: 1, positions: lastPositions(records)}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.polls = append(l.polls, p)
	return p
}

// add counts records of a poll that are about to be sent.
func (l *ledger) add(p *poll, records int) {
	l.mu.Lock()
	p.open += records
	l.mu.Unlock()
}

// done takes that records of a poll are in their topics, or, with an error, that one never will be.
func (l *ledger) done(p *poll, records int, err error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if err != nil {
		if l.err == nil {
			l.err = err
			l.fail()
		}
		return // the poll stays open, and with it all after it
	}
	if p.open -= records; p.open > 0 || l.polls[0] != p {
		return
	}
	n := 0
	for ; n < len(l.polls) && l.polls[n].open == 0; n++ {
		for key, at := range l.polls[n].positions {
			l.ready[key] = at
		}
	}
	l.polls = append(l.polls[:0], l.polls[n:]...)
	select {
	case l.moved <- struct{}{}:
	default:
	}
}

// take gives the positions that may be kept and were not taken yet.
func (l *ledger) take() []sdk.Position {
	l.mu.Lock()
	defer l.mu.Unlock()
	out := make([]sdk.Position, 0, len(l.ready))
	for _, at := range l.ready {
		out = append(out, at)
	}
	clear(l.ready)
	return out
}

// state tells whether all is acknowledged, and the first error.
func (l *ledger) state() (idle bool, err error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return len(l.polls) == 0, l.err
}

// lastPositions gives the last position of each source partition. Records of one partition mostly share the map that names it, so
// that few of them are looked at.
func lastPositions(records []*sdk.Record) map[string]sdk.Position {
	out := map[string]sdk.Position{}
	var seen []unsafe.Pointer
	var last *sdk.Position
next:
	for i := len(records) - 1; i >= 0; i-- {
		at := records[i].At
		if at == nil || at == last {
			continue
		}
		last = at
		address := reflect.ValueOf(at.Partition).UnsafePointer()
		for _, p := range seen {
			if p == address {
				continue next
			}
		}
		seen = append(seen, address)
		key := PartitionKey(at.Partition)
		if _, later := out[key]; !later {
			out[key] = *at
		}
	}
	return out
}

// PartitionKey gives the name of a source partition: the same for maps that are written the same.
func PartitionKey(partition map[string]any) string {
	b, err := json.Marshal(partition)
	if err != nil {
		panic("BUG: a source partition that is no JSON: " + err.Error())
	}
	return string(b)
}
