package server

import (
	"errors"
	"net"
	"os"
	"sync"
	"time"

	"golang.org/x/sys/unix"

	"github.com/weir/weir/internal/stats"
)

// output is what a connection sends: the answers, in the order of the requests. Whoever answers the oldest request sends it,
// and all that are ready behind it, so that no other goroutine need be woken. Only when the socket takes no more, or
// records are to be sent by someone who must not wait, a goroutine is started for it.
type output struct {
	mu      sync.Mutex
	room    sync.Cond  // signalled when the queue gets shorter, or fails
	queue   []*Request // from head on: in the order of arrival, not yet sent
	head    int
	unsent  int  // bytes of answers, without records
	sending bool // somebody is
	ended   bool // nothing more will be queued
	failed  bool // answers are dropped
}

// unsentMax is how many bytes of answers may wait for a client to take them before it is asked what else it wants.
const unsentMax = 1 << 20

// enqueue takes a place for a request's answer, and waits while too many are under way. False: the connection is gone.
func (c *Conn) enqueue(r *Request) bool {
	o := &c.out
	o.mu.Lock()
	defer o.mu.Unlock()
	for (len(o.queue)-o.head >= pipelineMax || o.unsent > unsentMax) && !o.failed {
		o.room.Wait()
	}
	if o.failed {
		return false
	}
	if o.head > 0 && len(o.queue) == cap(o.queue) {
		n := copy(o.queue, o.queue[o.head:])
		clear(o.queue[n:])
		o.queue, o.head = o.queue[:n], 0
	}
	o.queue = append(o.queue, r)
	return true
}

// finish notes an answer and sends what can be sent. may: the caller may wait for the client to take it.
func (c *Conn) finish(r *Request, out response, may bool) {
	o := &c.out
	o.mu.Lock()
	if r.answered {
		panic("BUG: a request was answered twice")
	}
	r.out, r.answered, r.moments.answered = out, true, stats.Now()
	o.unsent += len(out.bytes)
	if o.sending || o.queue[o.head] != r {
		o.mu.Unlock()
		return
	}
	o.sending = true
	o.mu.Unlock()
	s := senders.Get().(*sender)
	s.c = c
	s.send(may)
}

// endOutput says that nothing more will be queued. The connection ends when everything is answered.
func (c *Conn) endOutput() {
	o := &c.out
	o.mu.Lock()
	o.ended = true
	last := !o.sending && len(o.queue) == o.head
	o.mu.Unlock()
	if last {
		c.end()
	}
}

// fail drops what is not sent yet.
func (o *output) fail() {
	o.mu.Lock()
	o.failed = true
	o.mu.Unlock()
	o.room.Broadcast()
}

// coalesceMax is up to how many bytes of ready answers go out in one write.
const coalesceMax = 64 << 10

// sender is one that is sending: a run of answers, and how far it is.
type sender struct {
	c      *Conn
	run    []*Request
	failed bool
	gather []byte // room for several answers
	left   []byte // of the run's bytes
}

var senders = sync.Pool{New: func() any { return new(sender) }}

// send sends answers from the oldest on as long as they are ready. A sender that must not wait, and would have to, leaves the
// rest to a goroutine.
func (s *sender) send(may bool) {
	for s.take() {
		if !s.failed {
			waits, err := s.transmit(may)
			if waits {
				go s.resume()
				return
			}
			if err != nil {
				s.c.broken(err)
			}
		}
		s.settle()
	}
	s.c = nil
	if cap(s.gather) > 4*coalesceMax {
		s.gather = nil
	}
	senders.Put(s)
}

// resume goes on, in a goroutine of its own, where send would have had to wait.
func (s *sender) resume() {
	if _, err := s.transmit(true); err != nil {
		s.c.broken(err)
	}
	s.settle()
	s.send(true)
}

// take gathers the next run: small answers together, one with records by itself. False: there is none, and the sender is
// no longer the one.
func (s *sender) take() bool {
	o := &s.c.out
	o.mu.Lock()
	size := 0
	for i := o.head; i < len(o.queue) && o.queue[i].answered; i++ {
		out := &o.queue[i].out
		alone := len(out.data) > 0 || out.close
		if len(s.run) > 0 && (alone || size+len(out.bytes) > coalesceMax) {
			break
		}
		s.run = append(s.run, o.queue[i])
		size += len(out.bytes)
		if alone {
			break
		}
	}
	s.failed = o.failed
	if len(s.run) > 0 {
		o.mu.Unlock()
		now := stats.Now()
		for _, r := range s.run {
			r.moments.taken = now
		}
		s.join(size)
		return true
	}
	o.sending = false
	last := o.ended && len(o.queue) == o.head
	o.mu.Unlock()
	if last {
		s.c.end()
	}
	return false
}

// join puts the bytes of a run together.
func (s *sender) join(size int) {
	if len(s.run) == 1 {
		s.left = s.run[0].out.bytes
		return
	}
	s.gather = s.gather[:0]
	for _, r := range s.run {
		s.gather = append(s.gather, r.out.bytes...)
	}
	s.left = s.gather
}

// transmit sends the run. waits: it would have had to wait and must not.
func (s *sender) transmit(may bool) (waits bool, err error) {
	if first := &s.run[0].out; first.close {
		return false, net.ErrClosed
	} else if len(first.data) > 0 {
		if !may {
			return true, nil
		}
		return false, s.c.sendRecords(first)
	}
	if s.c.raw != nil {
		if err := s.tryWrite(); err != nil || len(s.left) == 0 {
			return false, err
		}
	} else if len(s.left) == 0 {
		return false, nil
	}
	if !may {
		return true, nil
	}
	return false, s.c.write(s.left)
}

// tryWrite writes as much as the socket takes at once.
func (s *sender) tryWrite() error {
	var failed error
	err := s.c.raw.Write(func(fd uintptr) bool {
		for len(s.left) > 0 {
			n, err := unix.Write(int(fd), s.left)
			switch {
			case err == unix.EINTR:
				continue
			case err == unix.EAGAIN:
				return true
			case err != nil:
				failed = err
				return true
			}
			s.left = s.left[n:]
		}
		return true
	})
	return errors.Join(failed, err)
}

// settle lets go of the run that was sent, or dropped.
func (s *sender) settle() {
	o := &s.c.out
	now, sent := stats.Now(), 0
	for _, r := range s.run {
		r.count(now)
		sent += len(r.out.bytes)
		r.out.releaseData()
		r.frame.release()
	}
	o.mu.Lock()
	o.unsent -= sent
	clear(o.queue[o.head : o.head+len(s.run)])
	if o.head += len(s.run); o.head == len(o.queue) {
		o.queue, o.head = o.queue[:0], 0
	}
	o.mu.Unlock()
	o.room.Signal()
	clear(s.run)
	s.run, s.left = s.run[:0], nil
}

// broken gives up a connection that cannot be written to.
func (c *Conn) broken(err error) {
	if errors.Is(err, os.ErrDeadlineExceeded) {
		c.because(endedStalled)
	}
	c.abort()
}

// write sends bytes and waits until the client has taken them.
func (c *Conn) write(b []byte) error {
	if len(b) == 0 {
		return nil
	}
	if err := c.nc.SetWriteDeadline(time.Now().Add(writeTime)); err != nil {
		return err
	}
	_, err := c.nc.Write(b)
	return err
}

// sendRecords sends an answer whose records come from files.
func (c *Conn) sendRecords(out *response) error {
	at := 0
	for i, cut := range out.cuts {
		for _, run := range out.data[i].Runs {
			if err := c.write(out.bytes[at:cut]); err != nil {
				return err
			}
			at = cut
			if err := sendFile(c.nc, run); err != nil {
				return err
			}
		}
	}
	return c.write(out.bytes[at:])
}
