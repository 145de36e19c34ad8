// Package transport carries what nodes tell each other: Raft's messages of all groups, and notes, over one connection each way
// for a pair of nodes. It also tells which nodes are there.
//
// Who connects says who it is, whom it means (-1: anybody) and what for, big-endian:
//
//	"WEIRPEER", version uint8 = 3, use uint8, length uint8, cluster id, from int32, to int32, length uint8, address
//
// with the address where it can be reached, which is connected to if the node was not known, and is answered with
//
//	0 uint8; or 255: not yet; or else: length uint8, why not
//
// Use 1: it sends frames and is sent nothing. A frame is: length uint32 of what follows, kind uint8, and
//
//	kind 0  a ping: 1 uint8 if the other's pings arrive, else 0
//	kind 1  a Raft message, as replication.AppendMessage makes it
//	kind 2  a note, whose meaning is its receiver's business
//
// Use 2: it asks one question and gets one answer, each with its length uint32 before it. So nodes talk that are not yet, or not
// for sure, of the same cluster.
//
// A node is up while it can be sent to, something of it arrives, and its pings say that ours arrive. So also a cut of one direction is
// noticed on both sides. A process that ends takes its connections along, which is noticed at once; one that falls silent, after a
// second.
package transport

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"net"
	"slices"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"go.etcd.io/raft/v3/raftpb"

	"github.com/weir/weir/replication"
)

const (
	// queueBytes is how much may wait for a peer. Beyond it messages are refused, and Raft sends less.
	queueBytes = 32 << 20
	// frameMax bounds what a frame may claim. A batch can be as large as a request.
	frameMax = 1 << 30
	// helloTime is how long connecting, saying hello, and asking may take each.
	helloTime = 2 * time.Second
	// redialMin and redialMax bound the time between attempts to connect.
	redialMin = 20 * time.Millisecond
	redialMax = 500 * time.Millisecond
	// pingEach is the time between pings; after silence without one a node counts as gone.
	pingEach = 200 * time.Millisecond
	silence  = time.Second
	// refusalEach is the time between two messages about the same refusal, and refusalsMost how many are remembered.
	refusalEach  = time.Minute
	refusalsMost = 100
)

// Kinds of frames.
const (
	framePing byte = iota
	frameRaft
	frameNote
)

// Config describes a node's place among the others.
type Config struct {
	// ClusterID gives the cluster's id; "" while it is not known.
	ClusterID func() string
	Self      int32
	// Address is where this node is reached by others; "": it cannot be.
	Address string
	// Deliver takes Raft's messages that arrived at once, Note takes notes. What a message's batches are in must be retained to be used
	// after Deliver returns.
	Deliver func([]replication.Arrived)
	Note    func(from int32, note []byte)
	// Keep is how many bytes of lent memory may wait for one peer. A peer that is further behind gets copies.
	Keep int
	// Answer answers a question of a node that may be any.
	Answer func(from int32, question []byte) []byte
	// Up and Down, if set, are told when a peer is there and when it is gone, in turn. They must be quick.
	Up, Down func(int32)
	Logger   *slog.Logger
	// Dial connects to an address; nil: over TCP.
	Dial func(ctx context.Context, address string) (net.Conn, error)
}

// Transport is a node's connections to the others.
type Transport struct {
	cfg    Config
	ctx    context.Context
	cancel context.CancelFunc
	work   sync.WaitGroup

	peers atomic.Pointer[map[int32]*peer] // which is replaced, and never changed

	mu    sync.Mutex
	open  map[net.Conn]struct{} // that others made
	turns map[int32]*turn
	told  map[string]time.Time // refusals, when they were last told
}

// turn is a connection over which a node sends.
type turn struct {
	c     net.Conn
	ended chan struct{}
}

// New makes a transport that knows nobody.
func New(cfg Config) *Transport {
	if cfg.Dial == nil {
		cfg.Dial = dialTCP
	}
	t := &Transport{cfg: cfg, open: map[net.Conn]struct{}{}, turns: map[int32]*turn{}, told: map[string]time.Time{}}
	t.peers.Store(&map[int32]*peer{})
	t.ctx, t.cancel = context.WithCancel(context.Background())
	return t
}

func dialTCP(ctx context.Context, address string) (net.Conn, error) {
	c, err := (&net.Dialer{Timeout: helloTime}).DialContext(ctx, "tcp", address)
	if err == nil && c.LocalAddr().String() == c.RemoteAddr().String() { // TCP connected the port to itself: nobody listens
		return nil, errors.Join(syscall.ECONNREFUSED, c.Close())
	}
	return c, err
}

// SetPeer makes a peer known, or known elsewhere, and connects to it from then on.
func (t *Transport) SetPeer(id int32, address string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	old := t.peer(id)
	if t.ctx.Err() != nil || old != nil && old.address == address {
		return
	}
	if old != nil {
		old.cancel()
	}
	p := newPeer(t, id, address)
	t.replace(id, p)
	t.work.Go(p.run)
}

// RemovePeer forgets a peer.
func (t *Transport) RemovePeer(id int32) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if p := t.peer(id); p != nil {
		p.cancel()
		t.replace(id, nil)
	}
}

// replace puts a peer, or none, in a peer's place. Under mu.
func (t *Transport) replace(id int32, p *peer) {
	now := maps.Clone(*t.peers.Load())
	if delete(now, id); p != nil {
		now[id] = p
	}
	t.peers.Store(&now)
}

// Peers gives the peers that are known.
func (t *Transport) Peers() []int32 { return slices.Collect(maps.Keys(*t.peers.Load())) }

func (t *Transport) peer(id int32) *peer { return (*t.peers.Load())[id] }

// Send queues a message for a node; it goes out with the next Flush, and what it holds is released by then. False: it is lost,
// since that node is not known or not connected, or too much waits for it; what it holds stays the caller's.
func (t *Transport) Send(to int32, id replication.GroupID, m *raftpb.Message, held replication.Held) bool {
	p := t.peer(to)
	return p != nil && p.message(id, m, held)
}

// Flush sees that what was queued is sent. It does not wait for the others to take it.
func (t *Transport) Flush() {
	for _, p := range *t.peers.Load() {
		p.flush()
	}
}

// Note sends a note to a node. False: it is lost.
func (t *Transport) Note(to int32, note []byte) bool {
	p := t.peer(to)
	return p != nil && p.tell(frameNote, note)
}

// Connected tells whether a peer is up.
func (t *Transport) Connected(id int32) bool {
	p := t.peer(id)
	return p != nil && p.isUp()
}

// Serve takes connections of others until Stop, or until the listener fails.
func (t *Transport) Serve(l net.Listener) error {
	stop := context.AfterFunc(t.ctx, func() { _ = l.Close() })
	defer stop()
	for {
		c, err := l.Accept()
		if t.ctx.Err() != nil {
			return nil
		}
		if err != nil {
			return err
		}
		t.mu.Lock()
		t.open[c] = struct{}{}
		t.work.Go(func() { t.receive(c) })
		t.mu.Unlock()
	}
}

// Stop closes all connections, and then nobody is told of others any more. It sends nothing from its beginning on: what was queued is lost.
func (t *Transport) Stop() {
	t.mu.Lock()
	t.cancel()
	for c := range t.open {
		_ = c.Close()
	}
	t.mu.Unlock()
	t.work.Wait()
}

// receive takes what one connection brings.
func (t *Transport) receive(c net.Conn) {
	defer func() {
		t.mu.Lock()
		delete(t.open, c)
		t.mu.Unlock()
		_ = c.Close()
	}()
	g, err := t.welcome(c)
	switch {
	case err != nil:
	case g.use == forQuestion:
		err = t.answer(c, g.from)
	default:
		if g.address != "" && t.peer(g.from) == nil {
			t.SetPeer(g.from, g.address)
		}
		end := t.takeTurn(c, g.from)
		err = t.deliver(c, g.from)
		end()
	}
	var refused *RefusedError
	switch {
	case err == nil || t.ctx.Err() != nil || errors.Is(err, net.ErrClosed):
	case errors.As(err, &refused), errors.Is(err, errForeign):
		t.tellRefused(c.RemoteAddr().String(), err)
	default:
		t.cfg.Logger.Debug("a connection of another node ended", "node", g.from, "error", err)
	}
}

// takeTurn ends the connection over which a node sent before, and waits until all that came over it was taken: a note must not come
// after a newer one. What it gives ends the turn.
func (t *Transport) takeTurn(c net.Conn, from int32) (end func()) {
	mine := &turn{c, make(chan struct{})}
	t.mu.Lock()
	before := t.turns[from]
	t.turns[from] = mine
	t.mu.Unlock()
	if before != nil {
		_ = before.c.Close()
		<-before.ended
	}
	return func() {
		t.mu.Lock()
		defer t.mu.Unlock()
		close(mine.ended)
		if t.turns[from] == mine {
			delete(t.turns, from)
		}
	}
}

// tellRefused tells why a connection is refused. Who is refused tries on, which is not told each time.
func (t *Transport) tellRefused(address string, why error) {
	host, _, _ := net.SplitHostPort(address)
	what := host + " " + why.Error()
	t.mu.Lock()
	again := time.Since(t.told[what]) < refusalEach
	if !again {
		if len(t.told) == refusalsMost {
			clear(t.told)
		}
		t.told[what] = time.Now()
	}
	t.mu.Unlock()
	if !again {
		t.cfg.Logger.Warn("a connection of another node is refused", "address", address, "why", why)
	}
}

// deliver passes on the frames of a peer.
func (t *Transport) deliver(c net.Conn, from int32) error {
	heard := heard{c, t, from}
	defer heard.noticed(false)
	in := newFrameReader(heard)
	defer in.end()
	var arrived []replication.Arrived
	for {
		f, err := in.next()
		if err != nil {
			return err
		}
		bad := t.frame(from, c, f, &arrived)
		for bad == nil && in.more() {
			if f, bad = in.next(); bad == nil {
				bad = t.frame(from, c, f, &arrived)
			}
		}
		if len(arrived) > 0 {
			t.cfg.Deliver(arrived)
		}
		for _, a := range arrived {
			if a.In != nil {
				a.In.Release()
			}
		}
		clear(arrived)
		arrived = arrived[:0]
		if bad != nil {
			t.cfg.Logger.Error("a node sends what cannot be read; its connection is closed", "node", from, "error", bad)
			return bad
		}
	}
}

// heard is a connection whose bytes show that a peer lives: a large frame may take longer over a slow link than a node may be silent.
type heard struct {
	net.Conn
	t    *Transport
	from int32
}

func (h heard) Read(b []byte) (int, error) {
	h.noticed(false)
	n, err := h.Conn.Read(b)
	if n > 0 {
		h.noticed(true)
	}
	return n, err
}

// noticed notes that the peer lives, as far as can be heard, and whether what came of it is being done.
func (h heard) noticed(working bool) {
	if p := h.t.peer(h.from); p != nil {
		p.noticed(working)
	}
}

// frame takes one frame. A message is added to those that have arrived.
func (t *Transport) frame(from int32, c net.Conn, f *frame, arrived *[]replication.Arrived) error {
	if len(f.b) == 0 {
		return fmt.Errorf("%w: an empty frame", errForeign)
	}
	kind, b := f.b[0], f.b[1:]
	switch {
	case kind == framePing && len(b) == 1:
		if p := t.peer(from); p != nil {
			p.pinged(c, b[0] == 1)
		}
	case kind == frameRaft:
		id, m, err := replication.ParseMessage(b)
		if err != nil {
			return err
		}
		if replication.BrokerOf(m.GetFrom()) != from || replication.BrokerOf(m.GetTo()) != t.cfg.Self {
			return fmt.Errorf("%w: a message from node %d to node %d on a connection from %d", errForeign, m.GetFrom(), m.GetTo(), from)
		}
		a := replication.Arrived{ID: id, Message: m}
		if len(m.Entries) > 0 { // or nothing of it is in the frame any more
			f.Retain()
			a.In = f
		}
		*arrived = append(*arrived, a)
	case kind == frameNote:
		t.cfg.Note(from, bytes.Clone(b))
	default:
		return fmt.Errorf("%w: a frame of kind %d", errForeign, kind)
	}
	return nil
}
