package transport

import (
	"encoding/binary"
	"errors"
	"math"
	"net"
	"syscall"

	"go.etcd.io/raft/v3/raftpb"
	"golang.org/x/sys/unix"

	"github.com/weir/weir/replication"
)

// What is queued for a peer is sent by whoever asks for it, if it is little and the socket takes it at once, so that no other
// goroutine need be woken. What is much, or does not fit, the peer's goroutine sends.

const (
	// directMax is how much is sent by whoever asks.
	directMax = 32 << 10
	// roomMax is how much room is kept for the next frames.
	roomMax = 256 << 10
)

// socket is a connection that may be written to without waiting.
type socket struct {
	net.Conn
	raw syscall.RawConn // nil: it cannot
}

func newSocket(c net.Conn) *socket {
	s := &socket{Conn: c}
	if sc, ok := c.(syscall.Conn); ok {
		if raw, err := sc.SyscallConn(); err == nil {
			s.raw = raw
		}
	}
	return s
}

// try writes what the socket takes at once, and gives the rest.
func (s *socket) try(b []byte) (left []byte, err error) {
	failed := s.raw.Write(func(fd uintptr) bool {
		for len(b) > 0 {
			var n int
			if n, err = unix.Write(int(fd), b); err == unix.EINTR {
				continue
			}
			if err != nil {
				break
			}
			b = b[n:]
		}
		return true
	})
	if err == unix.EAGAIN {
		err = nil
	}
	return b, errors.Join(err, failed)
}

// frames are encoded frames. Large batches are not copied into them: they stay where they are.
type frames struct {
	bytes  []byte
	insets []replication.Inset
	held   replication.Held // what the insets are in
	size   int              // with the insets
	kept   int              // bytes that held keeps
}

// add adds a frame. What encode adds to insets is not copied.
func (f *frames) add(kind byte, encode func(b []byte, insets *[]replication.Inset) []byte) {
	at, insets := len(f.bytes), len(f.insets)
	f.bytes = encode(append(f.bytes, 0, 0, 0, 0, kind), &f.insets)
	size := len(f.bytes) - at
	for _, inset := range f.insets[insets:] {
		size += len(inset.Data)
	}
	binary.BigEndian.PutUint32(f.bytes[at:], uint32(size-4))
	f.size += size
}

func (f *frames) addBytes(kind byte, b []byte) {
	f.add(kind, func(to []byte, _ *[]replication.Inset) []byte { return append(to, b...) })
}

// addMessage adds a message, which holds something until it is sent. It may keep so much memory; if that is too little it is copied.
func (f *frames) addMessage(id replication.GroupID, m *raftpb.Message, held replication.Held, keep int) {
	kept, insets := f.keeps(held), len(f.insets)
	f.add(frameRaft, func(b []byte, insets *[]replication.Inset) []byte {
		if kept > keep {
			insets = nil
		}
		return replication.AppendMessage(b, insets, id, m)
	})
	if len(f.insets) == insets {
		held.Release()
		return
	}
	f.held = append(f.held, held...)
	f.kept += kept
}

// keeps gives how much more would be kept. Batches of the same request mostly follow each other.
func (f *frames) keeps(held replication.Held) (sum int) {
	var last replication.Buffer
	if n := len(f.held); n > 0 {
		last = f.held[n-1]
	}
	for _, b := range held {
		if b != last {
			sum = min(sum, math.MaxInt-b.Size()) + b.Size()
		}
		last = b
	}
	return sum
}

// parts gives all bytes in order.
func (f *frames) parts() net.Buffers {
	parts := make(net.Buffers, 0, 2*len(f.insets)+1)
	from := 0
	for _, inset := range f.insets {
		parts = append(parts, f.bytes[from:inset.At], inset.Data)
		from = inset.At
	}
	return append(parts, f.bytes[from:])
}

// clear lets go of the frames, and keeps the room if it is not much.
func (f *frames) clear() {
	f.held.Release()
	if cap(f.bytes) > roomMax || cap(f.held) > roomMax {
		*f = frames{}
		return
	}
	clear(f.held)
	clear(f.insets)
	*f = frames{bytes: f.bytes[:0], insets: f.insets[:0], held: f.held[:0]}
}

// flush sends what is queued, or sees that it is sent.
func (p *peer) flush() {
	if !p.waits.Load() {
		return
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	for p.queue.size > 0 && !p.busy && !p.asked { // or somebody is at it, and looks again
		if p.out.raw == nil || p.queue.size > directMax || len(p.queue.insets) > 0 {
			p.ask()
			return
		}
		p.direct()
	}
}

// ask has the goroutine send. Under mu.
func (p *peer) ask() {
	p.asked = true
	p.changed.Broadcast()
}

// take takes what is queued, to write it. Under mu.
func (p *peer) take() {
	p.queue, p.writing = p.writing, p.queue
	p.busy = true
	p.waits.Store(false)
}

// wrote ends writing what was taken. Under mu.
func (p *peer) wrote() {
	p.writing.clear()
	p.busy = false
}

// direct writes what is queued, as far as that needs no waiting. Under mu, which it lets go of meanwhile.
func (p *peer) direct() {
	out := p.out
	p.take()
	p.mu.Unlock()
	left, err := out.try(p.writing.bytes)
	if err != nil {
		_ = out.Close() // which its reader notices
	}
	p.mu.Lock()
	if len(left) > 0 && err == nil && p.out == out {
		p.left = append([]byte(nil), left...)
		p.ask()
	}
	p.wrote()
}

// write is the goroutine that sends what others left to it. It comes back with nil when the connection was closed elsewhere.
func (p *peer) write(out *socket) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	for {
		for p.out == out && (!p.asked || p.busy) {
			p.changed.Wait()
		}
		if p.out != out {
			return nil
		}
		parts := net.Buffers{p.left}
		p.left, p.asked = nil, false
		p.take()
		p.mu.Unlock()
		parts = append(parts, p.writing.parts()...)
		_, err := parts.WriteTo(out.Conn)
		p.mu.Lock()
		if p.wrote(); err != nil {
			return err
		}
		p.asked = p.asked || p.queue.size > 0
	}
}
