package weirtest

import (
	"errors"
	"net"
	"sync"
	"sync/atomic"
	"time"
)

// wire is all that lies between clients and the node: its connections, and what happens to them.
type wire struct {
	mu     sync.Mutex
	refuse bool
	gates  [2]chan struct{} // by direction; closed when it is opened again; nil: open
	conns  map[*conn]struct{}
	hooks  []*Hook
}

func newWire() *wire { return &wire{conns: map[*conn]struct{}{}} }

// Direction is a way through a connection.
type Direction int

const (
	// Requests go from clients to the node.
	Requests Direction = iota
	// Answers go from the node to clients.
	Answers
)

// Refuse refuses new connections, until Heal: they are reset as soon as they are there. Those that are there stay, unless Cut
// follows.
func (n *Node) Refuse() { n.wire.setRefuse(true) }

// Cut breaks all connections. Clients may come back at once, unless Refuse came before.
func (n *Node) Cut() { n.wire.cut() }

// Pause lets nothing through, in both directions or those given, until Resume or Heal. Connections stay, and new ones are
// taken, but nothing moves. No matter what clients do then, the node goes on with what it has, and its time passes.
func (n *Node) Pause(directions ...Direction) {
	if len(directions) == 0 {
		directions = []Direction{Requests, Answers}
	}
	n.wire.mu.Lock()
	defer n.wire.mu.Unlock()
	for _, d := range directions {
		if n.wire.gates[d] == nil {
			n.wire.gates[d] = make(chan struct{})
		}
	}
}

// Resume ends Pause: what was held up arrives.
func (n *Node) Resume() { n.wire.open() }

func (w *wire) setRefuse(refuse bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.refuse = refuse
}

func (w *wire) open() {
	w.mu.Lock()
	defer w.mu.Unlock()
	for d, gate := range w.gates {
		if gate != nil {
			close(gate)
			w.gates[d] = nil
		}
	}
}

func (w *wire) heal() {
	w.setRefuse(false)
	w.open()
	w.mu.Lock()
	defer w.mu.Unlock()
	w.hooks = nil
}

func (w *wire) cut() {
	w.mu.Lock()
	all := make([]*conn, 0, len(w.conns))
	for c := range w.conns {
		all = append(all, c)
	}
	w.mu.Unlock()
	for _, c := range all {
		c.reset()
	}
}

// gate is what a direction waits for; nil: nothing.
func (w *wire) gate(d Direction) <-chan struct{} {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.gates[d]
}

// connect puts a connection on the wire. False: it is refused.
func (w *wire) connect(c *conn) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	if !w.refuse {
		w.conns[c] = struct{}{}
	}
	return !w.refuse
}

func (w *wire) disconnect(c *conn) {
	w.mu.Lock()
	defer w.mu.Unlock()
	delete(w.conns, c)
}

// listener keeps an address, while nodes behind it come and go. With no node behind it, connections are refused.
type listener struct {
	wire   *wire // nil: connections go to the node as they are
	socket net.Listener
	behind atomic.Pointer[attached]
	done   chan struct{}
}

func newListener(w *wire, address string) (*listener, error) {
	socket, err := net.Listen("tcp", address)
	if err != nil {
		return nil, err
	}
	l := &listener{wire: w, socket: socket, done: make(chan struct{})}
	go l.accept()
	return l, nil
}

// acceptPause is how long to wait when the system has no more connections to give.
const acceptPause = 20 * time.Millisecond

func (l *listener) accept() {
	defer close(l.done)
	for {
		socket, err := l.socket.Accept()
		switch {
		case errors.Is(err, net.ErrClosed):
			return
		case err != nil:
			time.Sleep(acceptPause)
			continue
		}
		l.take(socket)
	}
}

// take hands a connection to the node behind, or breaks it.
func (l *listener) take(socket net.Conn) {
	c := socket
	if l.wire != nil {
		onWire := newConn(l.wire, socket)
		if !l.wire.connect(onWire) {
			linger(socket)
			_ = socket.Close()
			return
		}
		c = onWire
	}
	if a := l.behind.Load(); a == nil || !a.give(c) {
		linger(socket)
		_ = c.Close()
	}
}

// attach puts a node behind the listener: the net.Listener that it gets.
func (l *listener) attach() *attached {
	a := &attached{listener: l, conns: make(chan net.Conn), closed: make(chan struct{})}
	l.behind.Store(a)
	return a
}

// detach takes the node away.
func (l *listener) detach() {
	if a := l.behind.Load(); a != nil {
		_ = a.Close()
	}
}

func (l *listener) close() {
	l.detach()
	_ = l.socket.Close()
	<-l.done
}

// attached is a node's end of a listener.
type attached struct {
	listener *listener
	conns    chan net.Conn
	closed   chan struct{}
	once     sync.Once
}

// give hands a connection to the node. False: it is gone.
func (a *attached) give(c net.Conn) bool {
	select {
	case a.conns <- c:
		return true
	case <-a.closed:
		return false
	}
}

// Accept implements net.Listener.
func (a *attached) Accept() (net.Conn, error) {
	select {
	case c := <-a.conns:
		return c, nil
	case <-a.closed:
		return nil, net.ErrClosed
	}
}

// Close implements net.Listener. The address is kept.
func (a *attached) Close() error {
	a.once.Do(func() {
		a.listener.behind.CompareAndSwap(a, nil)
		close(a.closed)
	})
	return nil
}

// Addr implements net.Listener.
func (a *attached) Addr() net.Addr { return a.listener.socket.Addr() }
