package replication

import (
	"testing"
	"time"
)

// TestNewsWaits: followers hear of a commit with the next append, and when there is none a moment later, without an answer.
func TestNewsWaits(t *testing.T) {
	c := newNodes(t)
	look := make(chan func(), 100)
	c.after = func(_ time.Duration, f func()) { look <- f }
	c.three()
	l := c.leader()
	c.settled() // so that both followers take appends as they come
	empty := func() int { c.mu.Lock(); defer c.mu.Unlock(); return c.empty }
	before := empty()
	var last *proposed
	for range 50 {
		last = l.propose("x", 10)
		if err := <-last.done; err != nil {
			t.Fatal(err)
		}
	}
	if n := empty() - before; n > 0 { // no time passed, so there was no heartbeat either
		t.Errorf("%d messages told of commits", n)
	}
	heard := func() bool {
		for _, m := range c.nodes {
			m.mu.Lock()
			told := m.told
			m.mu.Unlock()
			if told < last.index {
				return false
			}
		}
		return true
	}
	if heard() {
		t.Error("the followers know of the last commit before anybody told them")
	}
	for end := time.Now().Add(20 * time.Second); !heard(); {
		if time.Now().After(end) {
			t.Fatal("the followers never hear of the last commit")
		}
		select {
		case f := <-look:
			f()
		case <-time.After(time.Millisecond):
		}
	}
	if n := empty() - before; n > 0 {
		t.Errorf("%d messages were answers to the news", n)
	}
}
