package weirtest

import (
	"encoding/binary"
	"fmt"
	"net"
	"os"
	"slices"
	"sync"
	"time"

	"github.com/twmb/franz-go/pkg/kmsg"

	protocol "github.com/weir/weir/broker/wire"
)

// conn is a client's connection as the node gets it. Requests that the node reads have gone through the hooks; what it
// answers goes to the client as the hooks want it.
type conn struct {
	net.Conn  // the client's
	wire      *wire
	closed    chan struct{} // closed when the connection is
	closeOnce sync.Once
	stop      chan struct{} // closed when the node wants to read no more
	stopOnce  sync.Once

	in      []byte // of a frame that is not all there yet
	ready   []byte // for the node to read
	unknown bool   // what comes are no frames: it goes to the node as it is

	mu      sync.Mutex
	pending []fate // of the answers to come, in order

	out []byte // of an answer that is not all there yet
}

// fate is what becomes of an answer of the node.
type fate struct {
	instead []byte // sent in its place; nil: it goes out itself
	edit    func([]byte) []byte
	cut     bool // the connection ends
	keep    int  // after so many bytes of it
}

func newConn(w *wire, socket net.Conn) *conn {
	return &conn{Conn: socket, wire: w, closed: make(chan struct{}), stop: make(chan struct{})}
}

// Close implements net.Conn.
func (c *conn) Close() error {
	err := net.ErrClosed
	c.closeOnce.Do(func() {
		close(c.closed)
		c.wire.disconnect(c)
		err = c.Conn.Close()
	})
	return err
}

// reset closes the connection so that the client is told at once, and gets nothing that is on its way.
func (c *conn) reset() {
	linger(c.Conn)
	_ = c.Close()
}

// linger makes closing a socket break it.
func linger(socket net.Conn) {
	if tcp, ok := socket.(*net.TCPConn); ok {
		_ = tcp.SetLinger(0)
	}
}

// SetReadDeadline implements net.Conn. With a time that is past, the node ends reading, and so all waiting.
func (c *conn) SetReadDeadline(t time.Time) error {
	if !t.IsZero() && t.Before(time.Now()) {
		c.stopOnce.Do(func() { close(c.stop) })
	}
	return c.Conn.SetReadDeadline(t)
}

// await waits for a channel, or the connection's end, or that of reading.
func (c *conn) await(ch <-chan struct{}, stop <-chan struct{}) error {
	if ch == nil {
		return nil
	}
	select {
	case <-ch:
		return nil
	case <-stop:
		return os.ErrDeadlineExceeded
	case <-c.closed:
		return net.ErrClosed
	}
}

// Read implements net.Conn.
func (c *conn) Read(b []byte) (int, error) {
	if c.unknown {
		n, err := c.Conn.Read(b)
		if held := c.await(c.wire.gate(Requests), c.stop); held != nil {
			return 0, held
		}
		return n, err
	}
	for len(c.ready) == 0 {
		if err := c.receive(); err != nil {
			return 0, err
		}
	}
	n := copy(b, c.ready)
	c.ready = c.ready[n:]
	return n, nil
}

const (
	// frameMax is the largest frame that is taken apart: no node takes a larger one.
	frameMax = 1 << 30
	// readStep is how much memory a frame gets before more of it is there.
	readStep = 64 << 10
)

// receive reads a frame and decides what the node gets of it.
func (c *conn) receive() error {
	if err := c.gather(4); err != nil {
		return err
	}
	n := int(int32(binary.BigEndian.Uint32(c.in)))
	if n < 0 || n > frameMax {
		c.ready, c.in, c.unknown = c.in, nil, true
		return nil
	}
	if err := c.gather(4 + n); err != nil {
		return err
	}
	frame := c.in
	c.in = nil
	ready, err := c.judge(frame)
	if err != nil {
		return err
	}
	if err := c.await(c.wire.gate(Requests), c.stop); err != nil {
		return err
	}
	c.ready = ready
	return nil
}

// gather reads until n bytes are in c.in. After an error it can go on.
func (c *conn) gather(n int) error {
	for len(c.in) < n {
		have := len(c.in)
		c.in = slices.Grow(c.in, min(n-have, readStep))
		got, err := c.Conn.Read(c.in[have:min(cap(c.in), n)])
		c.in = c.in[:have+got]
		if err != nil && len(c.in) < n {
			return err
		}
	}
	return nil
}

// judge asks the hooks about a request and gives what the node reads in its place. What is not a request goes on as it is:
// the node has its own opinion of it.
func (c *conn) judge(frame []byte) ([]byte, error) {
	h, body, err := protocol.ParseHeader(frame[4:])
	if err != nil {
		return frame, nil
	}
	req, err := protocol.ParseBody(h, body)
	if err != nil {
		c.expect(fate{})
		return frame, nil
	}
	r := Request{Key: kmsg.Key(h.Key), Version: h.Version, Client: c.RemoteAddr(), Body: req}
	if h.ClientID != nil {
		r.ClientID = *h.ClientID
	}
	act := c.wire.ask(r)
	if err := c.delay(act.delay); err != nil {
		return nil, err
	}
	produce, ok := req.(*kmsg.ProduceRequest)
	silent := ok && produce.Acks == 0
	answer := act.answerTo(req)
	switch {
	case act.hangUp, answer != nil && silent: // Kafka closes the connection, too, if it cannot answer with an error
		c.reset()
		return nil, net.ErrClosed
	case answer != nil:
		// The node is asked for something harmless instead, so that its answer keeps the place in the order.
		c.expect(fate{instead: protocol.AppendResponse(nil, h.CorrelationID, answer)})
		return harmless(h.CorrelationID), nil
	case !silent:
		f := fate{cut: act.cut, keep: act.keep}
		if act.edit != nil {
			f.edit = func(answer []byte) []byte { return edited(answer, req.ResponseKind(), act.edit) }
		}
		c.expect(f)
	}
	return frame, nil
}

// edited gives an answer with a change.
func edited(answer []byte, resp kmsg.Response, change func(kmsg.Response)) []byte {
	const header = 4 + 4 // length and correlation id
	body := answer[header:]
	if resp.IsFlexible() && resp.Key() != int16(kmsg.ApiVersions) {
		body = body[1:] // no tags
	}
	if err := resp.ReadFrom(body); err != nil {
		panic(fmt.Sprintf("BUG: the node's answer to %s cannot be read: %v", kmsg.NameForKey(resp.Key()), err))
	}
	change(resp)
	return protocol.AppendResponse(nil, int32(binary.BigEndian.Uint32(answer[4:])), resp)
}

// harmless is a request for the node's versions.
func harmless(correlationID int32) []byte {
	b := []byte{0, 0, 0, 10, 0, byte(kmsg.ApiVersions), 0, 0}
	b = binary.BigEndian.AppendUint32(b, uint32(correlationID))
	return append(b, 0xff, 0xff) // no client id
}

func (c *conn) delay(d time.Duration) error {
	if d <= 0 {
		return nil
	}
	over := make(chan struct{})
	t := time.AfterFunc(d, func() { close(over) })
	defer t.Stop()
	return c.await(over, c.stop)
}

func (c *conn) expect(f fate) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.pending = append(c.pending, f)
}

// next gives the fate of the next answer.
func (c *conn) next() (f fate) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if len(c.pending) > 0 {
		f = c.pending[0]
		c.pending = c.pending[1:]
	}
	return f
}

// Write implements net.Conn.
func (c *conn) Write(b []byte) (int, error) {
	c.out = append(c.out, b...)
	for len(c.out) >= 4 {
		n := 4 + int(binary.BigEndian.Uint32(c.out))
		if len(c.out) < n {
			break
		}
		if err := c.send(c.out[:n], c.next()); err != nil {
			return 0, err
		}
		c.out = append(c.out[:0], c.out[n:]...)
	}
	return len(b), nil
}

// send sends an answer as its fate wants it.
func (c *conn) send(answer []byte, f fate) error {
	switch {
	case f.instead != nil:
		answer = f.instead
	case f.edit != nil:
		answer = f.edit(answer)
	}
	if f.cut {
		answer = answer[:min(f.keep, len(answer))]
	}
	if err := c.await(c.wire.gate(Answers), nil); err != nil {
		return err
	}
	if _, err := c.Conn.Write(answer); err != nil {
		return err
	}
	if f.cut {
		_ = c.Close()
		return net.ErrClosed
	}
	return nil
}
