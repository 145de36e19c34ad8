package transport

import (
	"cmp"
	"context"
	"errors"
	"net"
	"sync"
	"sync/atomic"
	"time"

	"go.etcd.io/raft/v3/raftpb"

	"github.com/weir/weir/replication"
)

// peer is another node, as one that is sent to.
type peer struct {
	t       *Transport
	id      int32
	address string
	ctx     context.Context
	cancel  context.CancelFunc

	waits atomic.Bool // something is queued

	mu      sync.Mutex
	changed *sync.Cond
	out     *socket // nil: not connected
	up      bool
	queue   frames
	writing frames // what somebody writes
	busy    bool   // somebody does
	asked   bool   // the goroutine is to do it
	left    []byte // of a frame that did not fit into the socket

	in       net.Conn  // where its pings come from
	heard    time.Time // when something of it last came
	working  bool      // something of it is being done, and nothing read meanwhile
	hears    bool      // ours arrive there, it says
	reported sync.Mutex
}

func newPeer(t *Transport, id int32, address string) *peer {
	p := &peer{t: t, id: id, address: address}
	p.changed = sync.NewCond(&p.mu)
	p.ctx, p.cancel = context.WithCancel(t.ctx)
	return p
}

func (p *peer) isUp() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.up
}

// send queues something, for flush to send.
func (p *peer) send(size int, add func(*frames)) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.out == nil || p.ctx.Err() != nil || p.queue.size > 0 && p.queue.size+size > queueBytes {
		return false
	}
	add(&p.queue)
	p.waits.Store(true)
	return true
}

// message queues a message, which holds something.
func (p *peer) message(id replication.GroupID, m *raftpb.Message, held replication.Held) bool {
	size := 0
	for _, e := range m.Entries {
		size += len(e.GetData())
	}
	return p.send(size, func(f *frames) { f.addMessage(id, m, held, p.t.cfg.Keep-f.kept-p.writing.kept) })
}

// tell queues and sends what is of another kind.
func (p *peer) tell(kind byte, b []byte) bool {
	if !p.send(len(b), func(f *frames) { f.addBytes(kind, b) }) {
		return false
	}
	p.flush()
	return true
}

// pinged notes that the peer is heard, and whether it hears us.
func (p *peer) pinged(c net.Conn, hears bool) {
	p.mu.Lock()
	p.in, p.heard, p.hears = c, time.Now(), hears
	p.mu.Unlock()
	p.judge()
}

// noticed notes that something of the peer has arrived or may, and whether it is being done. As long as it is, nothing is read, and the
// peer is not to blame for being silent.
func (p *peer) noticed(working bool) {
	p.mu.Lock()
	p.heard, p.working = time.Now(), working
	p.mu.Unlock()
}

// heardLately tells whether the peer lives, as far as can be heard. Under mu.
func (p *peer) heardLately() bool { return p.working || time.Since(p.heard) < silence }

// judge tells whether the peer is up, when that changed. One call at a time, so that the tellings have an order.
func (p *peer) judge() {
	p.reported.Lock()
	defer p.reported.Unlock()
	p.mu.Lock()
	up := p.out != nil && p.hears && p.heardLately() && p.ctx.Err() == nil
	changed := up != p.up
	p.up = up
	p.mu.Unlock()
	tell := p.t.cfg.Down
	if up {
		tell = p.t.cfg.Up
	}
	if changed && tell != nil && p.t.ctx.Err() == nil { // or it is this node that goes
		tell(p.id)
	}
}

// run keeps a connection to the peer until the transport stops. What cannot work until somebody changes something is told
// once, and tried on.
func (p *peer) run() {
	told := ""
	for wait := redialMin; p.ctx.Err() == nil; wait = min(2*wait, redialMax) {
		c, err := p.connect()
		if err == nil {
			wait, told = redialMin, ""
			p.t.cfg.Logger.Debug("connected to another node", "node", p.id, "address", p.address)
			err = p.use(c)
		}
		if p.ctx.Err() != nil {
			break
		}
		if text := err.Error(); text != told {
			told = text
			level := p.t.cfg.Logger.Debug
			var refused *RefusedError
			if errors.As(err, &refused) {
				level = p.t.cfg.Logger.Warn
			}
			level("another node is not connected; it is tried on", "node", p.id, "address", p.address, "error", err)
		}
		select {
		case <-time.After(wait):
		case <-p.ctx.Done():
		}
	}
	p.judge()
}

func (p *peer) connect() (net.Conn, error) {
	c, err := p.t.cfg.Dial(p.ctx, p.address)
	if err != nil {
		return nil, err
	}
	if err := greet(c, greeting{forFrames, p.t.cfg.ClusterID(), p.t.cfg.Self, p.id, p.t.cfg.Address}); err != nil {
		_ = c.Close()
		return nil, err
	}
	return c, nil
}

// use sends what is queued, and pings, until the connection ends.
func (p *peer) use(c net.Conn) error {
	defer context.AfterFunc(p.ctx, func() { _ = c.Close() })()
	out := newSocket(c)
	p.mu.Lock()
	p.out = out
	p.mu.Unlock()
	var watch sync.WaitGroup
	var ended error
	watch.Go(func() { // the peer sends nothing: a read ends when the connection does
		var b [1]byte
		_, ended = c.Read(b[:])
		p.closed()
	})
	stop := make(chan struct{})
	watch.Go(func() { p.ping(c, stop) })
	err := p.write(out)
	_ = c.Close()
	close(stop)
	watch.Wait()
	p.judge()
	return cmp.Or(err, ended, net.ErrClosed)
}

// closed lets go of a connection that ended.
func (p *peer) closed() {
	p.mu.Lock()
	p.queue.clear()
	p.out, p.left, p.asked = nil, nil, false
	p.waits.Store(false)
	p.mu.Unlock()
	p.changed.Broadcast()
	p.judge()
}

// ping pings until the connection ends, and ends it when the other falls silent: a new one knows sooner when it can be reached
// again than TCP, which waits longer from attempt to attempt.
func (p *peer) ping(c net.Conn, stop chan struct{}) {
	tick := time.NewTicker(pingEach)
	defer tick.Stop()
	for began := time.Now(); ; {
		p.mu.Lock()
		hears := p.heardLately()
		in := p.in
		p.mu.Unlock()
		note := []byte{0}
		if hears {
			note[0] = 1
		}
		p.tell(framePing, note)
		p.judge()
		if !hears && time.Since(began) > silence+pingEach {
			_ = c.Close()
			if in != nil {
				_ = in.Close()
			}
		}
		select {
		case <-tick.C:
		case <-stop:
			return
		}
	}
}
