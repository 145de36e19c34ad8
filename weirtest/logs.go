package weirtest

import (
	"context"
	"fmt"
	"log/slog"
	"sync"
	"sync/atomic"
)

// reporter is what a node wants of a test.
type reporter interface {
	Helper()
	Errorf(format string, args ...any)
	Fatalf(format string, args ...any)
}

// program stands in for a test where there is none.
type program struct{}

func (program) Helper() {}

func (program) Errorf(format string, args ...any) {
	slog.Error("weirtest: " + fmt.Sprintf(format, args...))
}

func (program) Fatalf(format string, args ...any) { panic("weirtest: " + fmt.Sprintf(format, args...)) }

// logBytesMax is how much of what nodes log is kept, at most: the newest.
const logBytesMax = 256 << 10

// logs keeps what nodes log until it is known whether anybody wants to see it.
type logs struct {
	mu   sync.Mutex
	text []byte
}

func (l *logs) Write(line []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if len(l.text) > logBytesMax {
		l.text = append(l.text[:0], l.text[logBytesMax/2:]...)
	}
	l.text = append(l.text, line...)
	return len(line), nil
}

func (l *logs) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return string(l.text)
}

// quietable gives a logger like l, and what ends its logging.
func quietable(l *slog.Logger) (logger *slog.Logger, quiet func()) {
	over := &atomic.Bool{}
	return slog.New(quietHandler{l.Handler(), over}), func() { over.Store(true) }
}

// quietHandler logs until it is over: what a killed node says is of no interest.
type quietHandler struct {
	slog.Handler
	over *atomic.Bool
}

func (h quietHandler) Enabled(ctx context.Context, level slog.Level) bool {
	return !h.over.Load() && h.Handler.Enabled(ctx, level)
}

func (h quietHandler) WithAttrs(attrs []slog.Attr) slog.Handler {
	return quietHandler{h.Handler.WithAttrs(attrs), h.over}
}

func (h quietHandler) WithGroup(name string) slog.Handler {
	return quietHandler{h.Handler.WithGroup(name), h.over}
}
