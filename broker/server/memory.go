package server

import (
	"context"
	"sync"
	"sync/atomic"
)

// The memory of requests under way is a budget. A connection that finds it spent waits, before it reads a frame, for what the
// frame's first bytes need. Whoever holds something already must not wait for others who do the same, so for the rest of a
// frame, and for decoding it, there is an overdraft: one request at a time may go beyond the budget, until it is done.

// firstRead is how much memory a frame gets before any of it is there.
const firstRead = 64 << 10

// decodeFree is what decoding may cost without being counted; nearly all requests cost less.
const decodeFree = 4 << 10

// frame is a request's bytes, shared by those who still use them.
type frame struct {
	b         []byte
	cost      int64 // taken from the memory budget
	overdrawn bool  // it has the overdraft
	class     int   // of the pool; -1: none
	users     atomic.Int32
	server    *Server
}

// newFrame begins a frame that claims n bytes.
func (s *Server) newFrame(ctx context.Context, n int) (*frame, error) {
	f := &frame{server: s}
	f.users.Store(1)
	cost := min(int64(n), firstRead, s.cfg.MemoryBytes)
	if !s.memory.TryAcquire(cost) {
		s.stats.Waits.Add(1)
		if err := s.memory.Acquire(ctx, cost); err != nil {
			return nil, err
		}
	}
	f.took(cost)
	if f.b, f.class = usedBuffer(n); f.b == nil {
		f.b, f.class = getBuffer(min(n, firstRead))
	}
	return f, nil
}

// grow makes room for more of a frame of n bytes, if that is needed. A really large one grows in two steps.
func (f *frame) grow(at, n int) {
	const much = 8 << 20
	if at < len(f.b) {
		return
	}
	next := n
	if at < much/8 && n > much {
		next = much
	}
	old, class := f.b, f.class
	f.b, f.class = getBuffer(next)
	copy(f.b, old)
	putBuffer(old, class)
}

func (f *frame) took(n int64) {
	f.cost += n
	f.server.inUse.Add(n)
}

// charge takes n bytes more from the budget, or goes beyond it.
func (f *frame) charge(ctx context.Context, n int64) error {
	s := f.server
	if f.overdrawn {
		return nil
	}
	if s.memory.TryAcquire(n) {
		f.took(n)
		return nil
	}
	s.stats.Waits.Add(1)
	waiting, enough := context.WithCancel(ctx)
	defer enough()
	got := make(chan error, 1)
	go func() { got <- s.memory.Acquire(waiting, n) }()
	select {
	case err := <-got:
		if err == nil {
			f.took(n)
		}
		return err
	case s.overdraft <- struct{}{}:
		enough()
		if <-got == nil { // both came: one is enough
			<-s.overdraft
			f.took(n)
			return nil
		}
		f.overdrawn = true
		return nil
	}
}

func (f *frame) release() {
	switch n := f.users.Add(-1); {
	case n == 0:
		f.server.inUse.Add(-f.cost)
		f.server.memory.Release(f.cost)
		if f.overdrawn {
			<-f.server.overdraft
		}
		putBuffer(f.b, f.class)
		f.b = nil
	case n < 0:
		panic("BUG: a request's bytes were released twice")
	}
}

// Frame buffers are reused by size: powers of two from 4 KiB to 16 MiB: clients put what they have for several
// partitions into one request.
const (
	smallestClass = 12
	largestClass  = 24
)

var pools [largestClass - smallestClass + 1]sync.Pool

// classOf gives the pool for buffers of n bytes; -1: none.
func classOf(n int) int {
	for c := smallestClass; c <= largestClass; c++ {
		if n <= 1<<c {
			return c - smallestClass
		}
	}
	return -1
}

// usedBuffer gives a buffer of n bytes, and its class, if there is one that was used before; else nil.
func usedBuffer(n int) ([]byte, int) {
	class := classOf(n)
	if class >= 0 {
		if b, ok := pools[class].Get().(*[]byte); ok {
			return (*b)[:n], class
		}
	}
	return nil, class
}

// getBuffer gives a buffer of n bytes, and its class.
func getBuffer(n int) ([]byte, int) {
	b, class := usedBuffer(n)
	switch {
	case b != nil:
	case class >= 0:
		b = make([]byte, n, 1<<(class+smallestClass))
	default:
		b = make([]byte, n)
	}
	return b, class
}

func putBuffer(b []byte, class int) {
	if class >= 0 {
		b = b[:cap(b)]
		pools[class].Put(&b)
	}
}
