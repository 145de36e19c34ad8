// Package kept keeps what goroutines and processes say, for tests that read it meanwhile.
package kept

import (
	"strings"
	"sync"
)

// Text is what was written to it. Any goroutine may write and read. Its zero value is empty.
type Text struct {
	mu sync.Mutex
	b  strings.Builder
}

// Write adds to it.
func (t *Text) Write(b []byte) (int, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.b.Write(b)
}

// String gives all of it so far.
func (t *Text) String() string {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.b.String()
}
