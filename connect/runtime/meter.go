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
	Rate           float64   // records a second, lately
	Lag            int64     // records that a sink is behind, as far as it has heard; -1: not known
	Cause          sdk.Cause // of what is wrong, or was wrong last; "": nothing ever was
	// Failures counts runs that failed, Retries what was tried again within a run, Skipped the records that were passed over
	// (errors.tolerance), and DeadLetters those of them that are in the dead-letter topic.
	Failures, Retries, Skipped, DeadLetters int64
	Stuck                                   bool // it runs, and moves nothing though there is something to move
}

// stuckAfter is how long nothing may move.
const stuckAfter = time.Minute

// meter counts what a task does, over all of its runs.
type meter struct {
	records, bytes, failures, retries, skipped, deadLetters atomic.Int64

	behind atomic.Int64 // lag; -1: not known
	since  atomic.Int64 // when what waits began to, or moved last, in ns; 0: nothing waits

	mu      sync.Mutex
	cause   sdk.Cause
	rate    float64
	counted int64     // records at
	at      time.Time // when rate was taken last
}

// did counts what was moved. more: there is more that waits.
func (m *meter) did(records, bytes int64, more bool) {
	m.records.Add(records)
	m.bytes.Add(bytes)
	if more {
		m.since.Store(time.Now().UnixNano())
	} else {
		m.since.Store(0)
	}
}

// holds says that something waits to be moved.
func (m *meter) holds() { m.since.CompareAndSwap(0, time.Now().UnixNano()) }

// rests says that nothing does.
func (m *meter) rests() { m.since.Store(0) }

func (m *meter) failed(cause sdk.Cause) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.cause = cause
}

func (m *meter) details(now time.Time) Details {
	m.mu.Lock()
	defer m.mu.Unlock()
	records := m.records.Load()
	if passed := now.Sub(m.at); passed >= time.Second {
		if !m.at.IsZero() {
			m.rate = float64(records-m.counted) / passed.Seconds()
		}
		m.at, m.counted = now, records
	}
	since := m.since.Load()
	return Details{
		Records: records, Bytes: m.bytes.Load(), Rate: m.rate, Lag: m.behind.Load(), Cause: m.cause,
		Failures: m.failures.Load(), Retries: m.retries.Load(), Skipped: m.skipped.Load(), DeadLetters: m.deadLetters.Load(),
		Stuck: since != 0 && now.Sub(time.Unix(0, since)) > stuckAfter,
	}
}
