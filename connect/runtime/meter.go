package runtime

import (
	"sync"
	"time"

	"github.com/weir/weir/connect/sdk"
)

// Details tells how a task fares.
type Details struct {
	Records int64     // since it was started
	Rate    float64   // records a second, lately
	Lag     int64     // records behind; -1: not known
	Cause   sdk.Cause // of its last failure; "": none
	Stuck   bool      // it runs, and moves nothing though there is something to move
}

// stuckAfter is how long nothing may move.
const stuckAfter = time.Minute

// meter counts what a task does.
type meter struct {
	mu      sync.Mutex
	records int64
	lag     int64 // known only if lagged
	lagged  bool
	waiting bool      // there is something to move
	moved   time.Time // when something moved last, or nothing was waiting
	cause   sdk.Cause

	rate    float64
	counted int64     // records at
	at      time.Time // when rate was taken last
}

// did counts records that were moved.
func (m *meter) did(records int) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.records += int64(records)
	m.moved = time.Now()
}

// holds says whether something waits to be moved.
func (m *meter) holds(waiting bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.waiting != waiting {
		m.moved = time.Now()
	}
	m.waiting = waiting
}

func (m *meter) behind(lag int64) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.lag, m.lagged = lag, true
}

func (m *meter) failed(cause sdk.Cause) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.cause, m.waiting = cause, false
}

func (m *meter) details(now time.Time) Details {
	m.mu.Lock()
	defer m.mu.Unlock()
	if passed := now.Sub(m.at); passed >= time.Second {
		if !m.at.IsZero() {
			m.rate = float64(m.records-m.counted) / passed.Seconds()
		}
		m.at, m.counted = now, m.records
	}
	d := Details{Records: m.records, Rate: m.rate, Lag: -1, Cause: m.cause, Stuck: m.waiting && now.Sub(m.moved) > stuckAfter}
	if m.lagged {
		d.Lag = m.lag
	}
	return d
}
