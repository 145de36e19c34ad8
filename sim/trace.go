package sim

import (
	"fmt"
	"io"
)

// trace is what happened: a hash of it, and the text for whoever wants to read it.
type trace struct {
	hash uint64
	now  int64
	to   io.Writer
}

// mix adds to the hash.
func (t *trace) mix(values ...uint64) {
	for _, v := range values {
		t.hash = (t.hash ^ v) * 0x9e3779b97f4a7c15
		t.hash ^= t.hash >> 29
	}
}

func (t *trace) event(now int64, node uint64, what string) {
	t.now = now
	t.mix(uint64(now), node, hashText(what))
	if t.to != nil {
		if node == 0 {
			t.note("%s", what)
		} else {
			t.note("node %d: %s", node, what)
		}
	}
}

// note writes a line, which is not part of the hash.
func (t *trace) note(format string, args ...any) {
	if t.to != nil {
		fmt.Fprintf(t.to, "%10.3f ms  %s\n", float64(t.now)/1000, fmt.Sprintf(format, args...))
	}
}

func hashText[T string | []byte](text T) uint64 {
	h := uint64(14695981039346656037)
	for i := range len(text) {
		h = (h ^ uint64(text[i])) * 1099511628211
	}
	return h
}
