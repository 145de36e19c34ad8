// Package transport carries Raft's messages between nodes, those of all groups of a pair over one connection each way.
//
// Who connects says who it is and whom it means, big-endian:
//
//	"WEIRPEER", version uint8 = 1, length uint8, cluster id, from uint64, to uint64
//
// and is answered with
//
//	0 uint8, or else: length uint8, why not
//
// Then it sends frames and is sent nothing: length uint32 of what follows, a message as replication.AppendMessage makes it.
package transport

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"sync"
	"time"

	"go.etcd.io/raft/v3/raftpb"

	"github.com/weir/weir/replication"
)

const (
	// queueBytes is how much may wait for a peer. Beyond it messages are refused, and Raft sends less.
	queueBytes = 32 << 20
	// frameMax bounds what a frame may claim. A batch can be as large as a request.
	frameMax = 1 << 30
	// helloTime is how long saying hello may take.
	helloTime = 5 * time.Second
	// redialMin and redialMax bound the time between attempts to connect.
	redialMin = 20 * time.Millisecond
	redialMax = time.Second
)

// Config describes a node's place among the others.
type Config struct {
	ClusterID string
	Self      replication.NodeID
	// Deliver takes what arrives.
	Deliver func(replication.GroupID, *raftpb.Message)
	// Down, if set, is told when the connection to a peer ends, or cannot be made. It must be quick.
	Down   func(replication.NodeID)
	Logger *slog.Logger
	// Dial connects to an address; nil: over TCP.
	Dial func(ctx context.Context, address string) (net.Conn, error)
}

// Transport is a node's connections to the others.
type Transport struct {
	cfg    Config
	ctx    context.Context
	cancel context.CancelFunc
	work   sync.WaitGroup

	mu    sync.Mutex
	peers map[replication.NodeID]*peer
	open  map[net.Conn]struct{} // that others made
}

// New makes a transport that knows nobody.
func New(cfg Config) *Transport {
	if cfg.Dial == nil {
		cfg.Dial = func(ctx context.Context, address string) (net.Conn, error) {
			return (&net.Dialer{Timeout: helloTime}).DialContext(ctx, "tcp", address)
		}
	}
	t := &Transport{cfg: cfg, peers: map[replication.NodeID]*peer{}, open: map[net.Conn]struct{}{}}
	t.ctx, t.cancel = context.WithCancel(context.Background())
	return t
}

// SetPeer makes a peer known, or known elsewhere, and connects to it from then on.
func (t *Transport) SetPeer(id replication.NodeID, address string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if p := t.peers[id]; p != nil {
		if p.address == address || t.ctx.Err() != nil {
			return
		}
		p.cancel()
	} else if t.ctx.Err() != nil {
		return
	}
	p := newPeer(t, id, address)
	t.peers[id] = p
	t.work.Go(p.run)
}

// Send queues a message for the node that it is meant for. False: it is lost, since that node is not known or not connected,
// or too much waits for it.
func (t *Transport) Send(id replication.GroupID, m *raftpb.Message) bool {
	t.mu.Lock()
	p := t.peers[m.GetTo()]
	t.mu.Unlock()
	return p != nil && p.send(id, m)
}

// Connected tells whether a peer takes messages.
func (t *Transport) Connected(id replication.NodeID) bool {
	t.mu.Lock()
	p := t.peers[id]
	t.mu.Unlock()
	return p != nil && p.connected()
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

// Stop closes all connections. What was queued is lost.
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
	from, err := t.welcome(c)
	if err == nil {
		err = t.deliver(c, from)
	}
	var refused *refusedError
	switch {
	case t.ctx.Err() != nil || errors.Is(err, net.ErrClosed):
	case errors.As(err, &refused), errors.Is(err, errForeign):
		t.cfg.Logger.Warn("a connection of another node is refused", "address", c.RemoteAddr().String(), "why", err)
	default:
		t.cfg.Logger.Debug("a connection of another node ended", "node", from, "error", err)
	}
}

// deliver passes on the messages of a peer.
func (t *Transport) deliver(c net.Conn, from replication.NodeID) error {
	frames := newFrameReader(c)
	for {
		b, err := frames.next()
		if err != nil {
			return err
		}
		id, m, err := replication.ParseMessage(b)
		if err == nil && (m.GetFrom() != from || m.GetTo() != t.cfg.Self) {
			err = fmt.Errorf("%w: a message from node %d to node %d on a connection from %d", errForeign, m.GetFrom(), m.GetTo(), from)
		}
		if err != nil {
			t.cfg.Logger.Error("a node sends what cannot be read; its connection is closed", "node", from, "error", err)
			return err
		}
		t.cfg.Deliver(id, m)
	}
}
