package server

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"
	"golang.org/x/sys/unix"

	"github.com/weir/weir/broker/wire"
	"github.com/weir/weir/internal/stats"
)

// Conn is a client's connection.
type Conn struct {
	Listener string // the name of the listener that it came in on
	server   *Server
	nc       net.Conn
	raw      syscall.RawConn // nil: it is not a socket
	ip       string
	in       input
	out      output
	gone     chan struct{} // closed when the connection is of no more use
	goneOnce sync.Once
	ctx      context.Context // ends with gone
	cancel   context.CancelFunc
	stop     chan struct{} // closed when reading should end
	stopOnce sync.Once
	ended    atomic.Int32 // why it ends; the first reason counts
}

// readAhead is how much is read before it is known how long a frame is. A request with one record of 1 KB should need one read.
const readAhead = 2 << 10

// input is the reader's: what came and was not used yet, and until when more must come.
type input struct {
	buf      [readAhead]byte
	from, to int
	until    time.Time
}

func newConn(s *Server, nc net.Conn, listener, ip string) *Conn {
	ctx, cancel := context.WithCancel(context.Background())
	c := &Conn{
		Listener: listener, server: s, nc: nc, ip: ip,
		gone: make(chan struct{}), ctx: ctx, cancel: cancel, stop: make(chan struct{}),
	}
	c.out.room.L = &c.out.mu
	if socket, ok := nc.(syscall.Conn); ok {
		if raw, err := socket.SyscallConn(); err == nil {
			c.raw = raw
		}
	}
	return c
}

// RemoteAddr is where the client is, as host:port.
func (c *Conn) RemoteAddr() string { return c.nc.RemoteAddr().String() }

// Host is the client's address without the port.
func (c *Conn) Host() string { return c.ip }

// abort gives the connection up: nothing more is read or written.
func (c *Conn) abort() {
	c.goneOnce.Do(func() {
		close(c.gone)
		c.cancel()
		_ = c.nc.Close()
		c.out.fail()
	})
	c.stopReading()
}

// because notes why the connection ends.
func (c *Conn) because(reason int32) { c.ended.CompareAndSwap(endedByClient, reason) }

// end gives up a connection whose requests are all answered, and that will bring no more.
func (c *Conn) end() {
	c.abort()
	c.server.stats.Ended[c.ended.Load()].Add(1)
	c.server.forget(c)
	c.server.running.Done()
}

// stopReading lets what is under way be answered, and nothing more be read.
func (c *Conn) stopReading() {
	c.stopOnce.Do(func() {
		close(c.stop)
		_ = c.nc.SetReadDeadline(time.Unix(1, 0))
	})
}

// read takes requests off the socket until it ends.
func (c *Conn) read() {
	defer c.endOutput()
	defer c.stopReading()
	for {
		r, err := c.readRequest()
		if err != nil {
			c.explain(err)
			return
		}
		if !c.enqueue(r) {
			r.frame.release()
			return
		}
		r.moments.called = stats.Now()
		c.dispatch(r)
		r.moments.returned.Store(stats.Now())
		if c.server.handler.Unsettled() {
			c.server.handler.Settle(!c.more())
		}
	}
}

// more tells whether further requests are there already, or may be.
func (c *Conn) more() bool {
	in := &c.in
	if in.from < in.to || c.raw == nil {
		return true
	}
	in.from, in.to = 0, 0
	err := c.raw.Read(func(fd uintptr) bool {
		if n, err := unix.Read(int(fd), in.buf[:]); err == nil {
			in.to = n
		}
		return true
	})
	return err == nil && in.to > 0
}

// errRefused ends a connection whose client sent what this broker does not understand.
type errRefused struct {
	reason int32 // endedRefused or endedSlow
	why    string
}

func (e errRefused) Error() string { return e.why }

// explain logs why a connection ends, if that is not the client's own wish.
func (c *Conn) explain(err error) {
	var refused errRefused
	switch {
	case errors.As(err, &refused):
		c.because(refused.reason)
		c.server.cfg.Logger.Warn("closing a connection", "client", c.RemoteAddr(), "listener", c.Listener, "reason", refused.why)
	case errors.Is(err, os.ErrDeadlineExceeded):
		select {
		case <-c.stop:
			c.because(endedByStop)
		default:
			c.because(endedIdle)
			c.server.cfg.Logger.Debug("closing an idle connection", "client", c.RemoteAddr())
		}
	}
}

// readRequest reads and decodes one frame.
func (c *Conn) readRequest() (*Request, error) {
	in := &c.in
	in.to = copy(in.buf[:], in.buf[in.from:in.to])
	for in.from = 0; in.to < 4; {
		if err := c.deadline(c.server.cfg.IdleTimeout); err != nil {
			return nil, err
		}
		n, err := c.nc.Read(in.buf[in.to:])
		if in.to += n; err != nil && in.to < 4 {
			return nil, err
		}
	}
	n := int(int32(binary.BigEndian.Uint32(in.buf[:])))
	in.from = 4
	if n < 10 || n > c.server.cfg.MaxRequestBytes {
		return nil, errRefused{endedRefused, fmt.Sprintf("a request claims %d bytes, and %d to %d are accepted (socket.request.max.bytes); is this a Kafka client?", n, 10, c.server.cfg.MaxRequestBytes)}
	}
	f, err := c.readFrame(n)
	if err != nil {
		return nil, err
	}
	r := &Request{Conn: c, frame: f}
	r.moments.received = stats.Now()
	if err := c.decode(r); err != nil {
		f.release()
		return nil, err
	}
	return r, nil
}

// deadline ends reading after d; zero: never. So that not every request sets a timer, it may be a little less. Once
// reading should stop, the deadline stays in the past.
func (c *Conn) deadline(d time.Duration) error {
	at := time.Time{}
	if d > 0 {
		at = time.Now().Add(d)
	}
	if slack := at.Sub(c.in.until); slack >= 0 && slack < d/128 || at.IsZero() && c.in.until.IsZero() {
		return nil
	}
	c.in.until = at
	if err := c.nc.SetReadDeadline(at); err != nil {
		return err
	}
	select {
	case <-c.stop:
		return c.nc.SetReadDeadline(time.Unix(1, 0))
	default:
		return nil
	}
}

// readFrame reads a frame of n bytes. Memory for a large one is taken as its bytes arrive: who claims much gets little.
func (c *Conn) readFrame(n int) (*frame, error) {
	f, err := c.server.newFrame(c.ctx, n)
	if err != nil {
		return nil, err
	}
	if err := c.fillFrame(f, n); err != nil {
		f.release()
		return nil, err
	}
	return f, nil
}

func (c *Conn) fillFrame(f *frame, n int) error {
	in, first := &c.in, min(n, firstRead)
	at := copy(f.b[:first], in.buf[in.from:in.to])
	in.from += at
	at, err := c.fill(f, at, first, n)
	if err != nil || at == n {
		return err
	}
	if err := f.charge(c.ctx, int64(n)-f.cost); err != nil {
		return err
	}
	for at < n {
		f.grow(at, n)
		if at, err = c.fill(f, at, min(len(f.b), at+frameTimeBytes), n); err != nil {
			return err
		}
	}
	return nil
}

// fill reads a frame of n bytes further, up to a place, and gives how far it is.
func (c *Conn) fill(f *frame, at, to, n int) (int, error) {
	if at == to {
		return at, nil
	}
	if err := c.deadline(frameTime); err != nil {
		return at, err
	}
	got, err := io.ReadFull(c.nc, f.b[at:to])
	if at += got; errors.Is(err, os.ErrDeadlineExceeded) {
		err = errRefused{endedSlow, fmt.Sprintf("a request of %d bytes did not arrive in time: %d bytes came", n, at)}
	}
	return at, err
}

func (c *Conn) decode(r *Request) error {
	h, body, err := wire.ParseHeader(r.frame.b)
	if err != nil {
		return errRefused{endedRefused, err.Error()}
	}
	r.Header = h
	if !c.server.handler.Supports(h.Key, h.Version) {
		if h.Key == int16(kmsg.ApiVersions) {
			return nil // answered in version 0 by dispatch
		}
		return errRefused{endedRefused, fmt.Sprintf("%s (key %d) version %d is not spoken here", kmsg.NameForKey(h.Key), h.Key, h.Version)}
	}
	cost, err := wire.Check(h.Key, h.Version, body)
	if err != nil {
		return errRefused{endedRefused, err.Error()}
	}
	if cost > decodeFree {
		if err := r.frame.charge(c.ctx, int64(cost)); err != nil {
			return err
		}
	}
	if r.Body, err = wire.Decode(h, body); err != nil {
		return errRefused{endedRefused, err.Error()}
	}
	return nil
}

func (c *Conn) dispatch(r *Request) {
	if r.Body == nil {
		r.Reply(c.unsupportedVersions())
		return
	}
	c.server.handler.Handle(r)
}

// unsupportedVersions answers an ApiVersions request of an unknown version so that any client can read it (KIP-511).
func (c *Conn) unsupportedVersions() kmsg.Response {
	resp := kmsg.NewPtrApiVersionsResponse()
	resp.ErrorCode = kerr.UnsupportedVersion.Code
	k := kmsg.NewApiVersionsResponseApiKey()
	k.ApiKey = int16(kmsg.ApiVersions)
	for c.server.handler.Supports(k.ApiKey, k.MaxVersion+1) {
		k.MaxVersion++
	}
	resp.ApiKeys = append(resp.ApiKeys, k)
	return resp
}
