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
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/weir/weir/broker/wire"
)

// Conn is a client's connection.
type Conn struct {
	Listener string // the name of the listener that it came in on
	server   *Server
	nc       net.Conn
	ip       string
	queue    chan *Request // in the order of arrival, for the writer
	gone     chan struct{} // closed when the connection is of no more use
	goneOnce sync.Once
	ctx      context.Context // ends with gone
	cancel   context.CancelFunc
	stop     chan struct{} // closed when reading should end
	stopOnce sync.Once
}

func newConn(s *Server, nc net.Conn, listener, ip string) *Conn {
	ctx, cancel := context.WithCancel(context.Background())
	return &Conn{
		Listener: listener, server: s, nc: nc, ip: ip, queue: make(chan *Request, pipelineMax),
		gone: make(chan struct{}), ctx: ctx, cancel: cancel, stop: make(chan struct{}),
	}
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
	})
	c.stopReading()
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
	defer close(c.queue)
	defer c.stopReading()
	for {
		r, err := c.readRequest()
		if err != nil {
			c.explain(err)
			return
		}
		select {
		case c.queue <- r:
		case <-c.gone:
			r.frame.release()
			return
		}
		c.server.requests.Add(1)
		c.dispatch(r)
	}
}

// errRefused ends a connection whose client sent what this broker does not understand.
type errRefused struct{ why string }

func (e errRefused) Error() string { return e.why }

// explain logs why a connection ends, if that is not the client's own wish.
func (c *Conn) explain(err error) {
	var refused errRefused
	switch {
	case errors.As(err, &refused):
		c.server.cfg.Logger.Warn("closing a connection", "client", c.RemoteAddr(), "listener", c.Listener, "reason", refused.why)
	case errors.Is(err, os.ErrDeadlineExceeded):
		select {
		case <-c.stop:
		default:
			c.server.cfg.Logger.Debug("closing an idle connection", "client", c.RemoteAddr())
		}
	}
}

// readRequest reads and decodes one frame.
func (c *Conn) readRequest() (*Request, error) {
	var size [4]byte
	if err := c.deadline(c.server.cfg.IdleTimeout); err != nil {
		return nil, err
	}
	if _, err := io.ReadFull(c.nc, size[:]); err != nil {
		return nil, err
	}
	n := int(int32(binary.BigEndian.Uint32(size[:])))
	if n < 10 || n > c.server.cfg.MaxRequestBytes {
		return nil, errRefused{fmt.Sprintf("a request claims %d bytes, and %d to %d are accepted (socket.request.max.bytes); is this a Kafka client?", n, 10, c.server.cfg.MaxRequestBytes)}
	}
	f, err := c.readFrame(n)
	if err != nil {
		return nil, err
	}
	r := &Request{Conn: c, frame: f, Received: time.Now(), ready: make(chan struct{})}
	if err := c.decode(r); err != nil {
		f.release()
		return nil, err
	}
	return r, nil
}

// deadline ends the next read after d; zero: never. Once reading should stop it stays in the past.
func (c *Conn) deadline(d time.Duration) error {
	at := time.Time{}
	if d > 0 {
		at = time.Now().Add(d)
	}
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

// firstRead is how much memory a frame gets before any of it is there.
const firstRead = 64 << 10

// readFrame reads a frame of n bytes. Memory for a large one that is not at hand is taken as its bytes arrive: who claims
// much gets little.
func (c *Conn) readFrame(n int) (*frame, error) {
	f := &frame{server: c.server, cost: int64(n)}
	f.users.Store(1)
	if !c.server.memory.TryAcquire(f.cost) {
		if err := c.server.memory.Acquire(c.ctx, f.cost); err != nil {
			return nil, err
		}
	}
	if err := c.deadline(frameTime * time.Duration(1+n/frameTimeBytes)); err != nil {
		f.release()
		return nil, err
	}
	if f.b, f.class = usedBuffer(n); f.b == nil {
		f.b, f.class = getBuffer(min(n, firstRead))
	}
	at := 0
	for {
		got, err := io.ReadFull(c.nc, f.b[at:])
		if at += got; err != nil {
			f.release()
			if errors.Is(err, os.ErrDeadlineExceeded) {
				err = errRefused{fmt.Sprintf("a request of %d bytes did not arrive in time: %d bytes came", n, at)}
			}
			return nil, err
		}
		if at == n {
			return f, nil
		}
		old, class := f.b, f.class
		next := n
		if at < 1<<20 && n > 8<<20 {
			next = min(n, 8<<20) // a really large frame grows in two more steps
		}
		f.b, f.class = getBuffer(next)
		copy(f.b, old)
		putBuffer(old, class)
	}
}

func (c *Conn) decode(r *Request) error {
	h, body, err := wire.ParseHeader(r.frame.b)
	if err != nil {
		return errRefused{err.Error()}
	}
	r.Header = h
	if !c.server.handler.Supports(h.Key, h.Version) {
		if h.Key == int16(kmsg.ApiVersions) {
			return nil // answered in version 0 by dispatch
		}
		return errRefused{fmt.Sprintf("%s (key %d) version %d is not spoken here", kmsg.NameForKey(h.Key), h.Key, h.Version)}
	}
	if r.Body, _, err = wire.ParseBody(h, body); err != nil {
		return errRefused{err.Error()}
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

// coalesceMax is up to how many bytes of ready responses go out in one write.
const coalesceMax = 64 << 10

// write sends responses in order until the reader has ended and everything is answered, or the client is gone.
func (c *Conn) write() {
	defer c.abort()
	w := writer{c: c}
	for r := range c.queue {
		select {
		case <-r.ready:
		default:
			if err := w.flush(); err != nil { // others wait for it
				c.abort()
			}
			select {
			case <-r.ready:
			case <-c.gone:
				<-r.ready // handlers always answer; those that wait long look at Done
			}
		}
		w.add(&r.out, len(c.queue) == 0)
		r.frame.release()
		if w.err != nil {
			c.abort()
		}
	}
	_ = w.flush()
}

// writer gathers small responses and sends them.
type writer struct {
	c   *Conn
	buf []byte
	err error
}

// add sends a response, or keeps it for the next flush if another follows.
func (w *writer) add(out *response, last bool) {
	defer out.releaseData()
	if w.err == nil && out.close {
		w.err = errors.Join(w.flush(), net.ErrClosed)
	}
	if w.err != nil {
		return
	}
	at := 0
	for i, cut := range out.cuts {
		w.buf = append(w.buf, out.bytes[at:cut]...)
		at = cut
		for _, run := range out.data[i].Runs {
			if w.flush() != nil {
				return
			}
			w.err = sendFile(w.c.nc, run)
			if w.err != nil {
				return
			}
		}
	}
	w.buf = append(w.buf, out.bytes[at:]...)
	if last || len(w.buf) >= coalesceMax {
		_ = w.flush()
	}
}

func (w *writer) flush() error {
	if w.err == nil && len(w.buf) > 0 {
		if w.err = w.c.nc.SetWriteDeadline(time.Now().Add(writeTime)); w.err == nil {
			_, w.err = w.c.nc.Write(w.buf)
		}
	}
	if w.buf = w.buf[:0]; cap(w.buf) > 4*coalesceMax {
		w.buf = nil
	}
	return w.err
}
