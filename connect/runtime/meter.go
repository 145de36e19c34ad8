package runtime

import (
	"sync"
	"sync/atomic"
	"time"

	"github.com/weir/weir/connect/sdk"
)

// Details tells how a task fares.
type Details struct {
	// Records counts those that are done since the task was started: durable in a topic, or taken by the sink. Bytes are those of a
	// source's keys, values and headers.
	Records, Bytes int64
	Rate           float64       // records a second, lately
	Lag            int64         // records that a sink is behind, as far as it has heard; -1: not known
	LagTime        time.Duration // how far a source is behind, as it says itself; -1: not known
	Cause          sdk.Cause     // of what is wrong, or was wrong last; "": nothing ever was
	// Failures counts runs that failed, Retries what was tried again within a run, Skipped the records that were passed over
	// (errors.tolerance), and DeadLetters those of them that are in the dead-letter topic.
	Failures, Retries, Skipped, DeadLetters int64
	Stuck                                   bool // it runs, and moves nothing though there is something to move, or does not come back from Poll
}

// stuckAfter is how long nothing may move.
const stuckAfter = time.Minute

// meter counts what a task does, over all of its runs.
type meter struct {
	records, bytes, failures, retries, skipped, deadLetters atomic.Int64

	behind atomic.Int64 // lag; -1: not known
	since  atomic.Int64 // when what waits began to, or moved last, in ns; 0: nothing waits
	asked  atomic.Int64 // when the connector was asked for records, in ns; 0: it is not asked

	mu     sync.Mutex
	cause  sdk.Cause
	lag    sdk.Lagging // the task that runs, if it knows; nil: none does
	rate   float64     // of the last window that is over
	window time.Time   // when the present one began; zero: nothing was ever moved
	inside int64       // records in it
}

// rateOver is how long a window is, at least.
const rateOver = time.Second

// did counts what was moved. more: there is more that waits.
func (m *meter) did(records, bytes int64, more bool) {
	now := time.Now()
	m.records.Add(records)
	m.bytes.Add(bytes)
	if more {
		m.since.Store(now.UnixNano())
	} else {
		m.since.Store(0)
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	m.slide(now)
	m.inside += records
}

// slide begins another window if the present one is over. Under mu.
func (m *meter) slide(now time.Time) {
	if m.window.IsZero() {
		m.window = now
	}
	if passed := now.Sub(m.window); passed >= rateOver {
		m.rate = float64(m.inside) / passed.Seconds()
		m.window, m.inside = now, 0
	}
}

// holds says that something waits to be moved.
func (m *meter) holds() { m.since.CompareAndSwap(0, time.Now().UnixNano()) }

// rests says that nothing does.
func (m *meter) rests() { m.since.Store(0) }

// asks says that the connector is asked for records, which it has to answer within a while, even with none; answered says that it has.
func (m *meter) asks()     { m.asked.Store(time.Now().UnixNano()) }
func (m *meter) answered() { m.asked.Store(0) }

// lagging says who knows how far a source is behind; nil: nobody.
func (m *meter) lagging(l sdk.Lagging) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.lag = l
}

func (m *meter) failed(cause sdk.Cause) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.cause = cause
}

func (m *meter) details(now time.Time) Details {
	m.mu.Lock()
	defer m.mu.Unlock()
	if !m.window.IsZero() {
		m.slide(now)
	}
	lag := time.Duration(-1)
	if m.lag != nil {
		if d, known := m.lag.Lag(now); known {
			lag = d
		}
	}
	long := func(since int64) bool { return since != 0 && now.Sub(time.Unix(0, since)) > stuckAfter }
	return Details{
		Records: m.records.Load(), Bytes: m.bytes.Load(), Rate: m.rate, Lag: m.behind.Load(), LagTime: lag, Cause: m.cause,
		Failures: m.failures.Load(), Retries: m.retries.Load(), Skipped: m.skipped.Load(), DeadLetters: m.deadLetters.Load(),
		Stuck: long(m.since.Load()) || long(m.asked.Load()),
	}
}
