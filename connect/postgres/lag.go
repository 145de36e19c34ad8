package postgres

import (
	"sync/atomic"
	"time"
)

// lag knows up to when all that was committed is handed out. It may be asked by anybody.
type lag struct {
	upTo    atomic.Int64 // µs; 0: not known
	waiting atomic.Bool  // all that had come by upTo is handed out, and nothing has come since
}

// handed says that all up to a commit at that time is handed out.
func (l *lag) handed(commit time.Time) { l.upTo.Store(commit.UnixMicro()) }

// waits says that there is nothing more, and goesOn that something came.
func (l *lag) waits(now time.Time) {
	l.upTo.Store(now.UnixMicro())
	l.waiting.Store(true)
}
func (l *lag) goesOn() { l.waiting.Store(false) }

// Lag implements sdk.Lagging. While nothing comes the task is not behind, unless even the answers that come regularly are missing.
func (t *task) Lag(now time.Time) (behind time.Duration, known bool) {
	upTo := t.lag.upTo.Load()
	if upTo == 0 {
		return 0, false
	}
	behind = max(0, now.Sub(time.UnixMicro(upTo))) // the server's clock may be ahead
	if t.lag.waiting.Load() && behind < 2*t.o.status {
		behind = 0
	}
	return behind, true
}
