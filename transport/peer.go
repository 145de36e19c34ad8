package transport

import (
	"bufio"
	"cmp"
	"context"
	"encoding/binary"
	"errors"
	"net"
	"sync"
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

	mu      sync.Mutex
	changed *sync.Cond
	out     net.Conn // nil: not connected
	queue   []envelope
	bytes   int
	up      bool

	in       net.Conn  // where its pings come from
	heard    time.Time // when its last one came
	hears    bool      // ours arrive there, it says
	reported sync.Mutex
}

// envelope is a message, or a note, that waits.
type envelope struct {
	id   replication.GroupID
	m    *raftpb.Message // nil: a note or a ping
	note []byte
	ping bool
}

func (e *envelope) size() int {
	size := 100 + len(e.note)
	if e.m != nil {
		for _, entry := range e.m.Entries {
			size += len(entry.GetData())
		}
	}
	return size
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

func (p *peer) send(e envelope) bool {
	size := e.size()
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.out == nil || p.bytes > 0 && p.bytes+size > queueBytes {
		return false
	}
	p.queue = append(p.queue, e)
	p.bytes += size
	p.changed.Signal()
	return true
}

// pinged notes that the peer is heard, and whether it hears us.
func (p *peer) pinged(c net.Conn, hears bool) {
	p.mu.Lock()
	p.in, p.heard, p.hears = c, time.Now(), hears
	p.mu.Unlock()
	p.judge()
}

// noticed notes that something of the peer arrives.
func (p *peer) noticed() {
	p.mu.Lock()
	p.heard = time.Now()
	p.mu.Unlock()
}

// judge tells whether the peer is up, when that changed. One call at a time, so that the tellings have an order.
func (p *peer) judge() {
	p.reported.Lock()
	defer p.reported.Unlock()
	p.mu.Lock()
	up := p.out != nil && p.hears && time.Since(p.heard) < silence && p.ctx.Err() == nil
	changed := up != p.up
	p.up = up
	p.mu.Unlock()
	tell := p.t.cfg.Down
	if up {
		tell = p.t.cfg.Up
	}
	if changed && tell != nil {
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
	p.mu.Lock()
	p.out = c
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
	err := p.write(c)
	_ = c.Close()
	close(stop)
	watch.Wait()
	p.judge()
	return cmp.Or(err, ended, net.ErrClosed)
}

// closed lets go of a connection that ended.
func (p *peer) closed() {
	p.mu.Lock()
	p.out, p.queue, p.bytes = nil, nil, 0
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
		hears := time.Since(p.heard) < silence
		in := p.in
		p.mu.Unlock()
		note := []byte{0}
		if hears {
			note[0] = 1
		}
		p.send(envelope{note: note, ping: true})
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

// write writes what is queued. It comes back with nil when the connection was closed elsewhere.
func (p *peer) write(c net.Conn) error {
	out := bufio.NewWriterSize(c, 256<<10)
	var frame []byte
	for {
		p.mu.Lock()
		for len(p.queue) == 0 && p.out == c {
			p.changed.Wait()
		}
		if p.out != c {
			p.mu.Unlock()
			return nil
		}
		batch := p.queue
		p.queue, p.bytes = nil, 0
		p.mu.Unlock()
		for i := range batch {
			var err error
			if frame, err = batch[i].append(frame[:0]); err != nil {
				return err
			}
			if _, err := out.Write(frame); err != nil {
				return err
			}
		}
		if err := out.Flush(); err != nil {
			return err
		}
	}
}

// append adds the envelope as a frame.
func (e *envelope) append(b []byte) ([]byte, error) {
	at := len(b)
	b = append(b, 0, 0, 0, 0)
	switch {
	case e.m != nil:
		var err error
		if b, err = replication.AppendMessage(append(b, frameRaft), e.id, e.m); err != nil {
			return b, err
		}
	case e.ping:
		b = append(append(b, framePing), e.note...)
	default:
		b = append(append(b, frameNote), e.note...)
	}
	binary.BigEndian.PutUint32(b[at:], uint32(len(b)-at-4))
	return b, nil
}
