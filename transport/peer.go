package transport

import (
	"bufio"
	"cmp"
	"context"
	"encoding/binary"
	"net"
	"sync"
	"time"

	"go.etcd.io/raft/v3/raftpb"

	"github.com/weir/weir/replication"
)

// peer is another node, as one that messages are sent to.
type peer struct {
	t       *Transport
	id      replication.NodeID
	address string
	ctx     context.Context
	cancel  context.CancelFunc

	mu      sync.Mutex
	changed *sync.Cond
	up      bool
	queue   []envelope
	bytes   int
}

// envelope is a message that waits.
type envelope struct {
	id    replication.GroupID
	m     *raftpb.Message
	bytes int
}

func newPeer(t *Transport, id replication.NodeID, address string) *peer {
	p := &peer{t: t, id: id, address: address}
	p.changed = sync.NewCond(&p.mu)
	p.ctx, p.cancel = context.WithCancel(t.ctx)
	return p
}

func (p *peer) wake() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.changed.Broadcast()
}

func (p *peer) connected() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.up
}

func (p *peer) send(id replication.GroupID, m *raftpb.Message) bool {
	size := 100
	for _, e := range m.Entries {
		size += len(e.GetData())
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if !p.up || p.bytes > 0 && p.bytes+size > queueBytes {
		return false
	}
	p.queue = append(p.queue, envelope{id, m, size})
	p.bytes += size
	p.changed.Signal()
	return true
}

// run keeps a connection to the peer until the transport stops. What cannot work until somebody changes something is told
// once, and tried on.
func (p *peer) run() {
	defer context.AfterFunc(p.ctx, p.wake)()
	told := ""
	for wait := redialMin; p.ctx.Err() == nil; wait = min(2*wait, redialMax) {
		c, err := p.connect()
		if err == nil {
			wait, told = redialMin, ""
			p.t.cfg.Logger.Debug("connected to another node", "node", p.id, "address", p.address)
			err = p.write(c)
			_ = c.Close()
		}
		if p.ctx.Err() != nil {
			return
		}
		if text := err.Error(); text != told {
			told = text
			p.t.cfg.Logger.Warn("another node is not connected; it is tried on", "node", p.id, "address", p.address, "error", err)
		}
		if p.t.cfg.Down != nil {
			p.t.cfg.Down(p.id)
		}
		select {
		case <-time.After(wait):
		case <-p.ctx.Done():
		}
	}
}

func (p *peer) connect() (net.Conn, error) {
	c, err := p.t.cfg.Dial(p.ctx, p.address)
	if err != nil {
		return nil, err
	}
	if err := p.greet(c); err != nil {
		_ = c.Close()
		return nil, err
	}
	return c, nil
}

// write sends what is queued until the connection ends.
func (p *peer) write(c net.Conn) error {
	defer context.AfterFunc(p.ctx, func() { _ = c.Close() })()
	p.mu.Lock()
	p.up = true
	p.mu.Unlock()
	var ended error
	watch := make(chan struct{})
	go func() { // the peer sends nothing: a read ends when the connection does
		defer close(watch)
		var b [1]byte
		_, err := c.Read(b[:])
		p.mu.Lock()
		p.up, ended = false, err
		p.mu.Unlock()
		p.changed.Broadcast()
	}()
	defer func() {
		_ = c.Close()
		<-watch
		p.mu.Lock()
		p.up, p.queue, p.bytes = false, nil, 0
		p.mu.Unlock()
	}()
	out := bufio.NewWriterSize(c, 256<<10)
	var frame []byte
	for {
		p.mu.Lock()
		for len(p.queue) == 0 && p.up && p.ctx.Err() == nil {
			p.changed.Wait()
		}
		if !p.up || p.ctx.Err() != nil {
			err := cmp.Or(ended, net.ErrClosed)
			p.mu.Unlock()
			return err
		}
		batch := p.queue
		p.queue, p.bytes = nil, 0
		p.mu.Unlock()
		for _, e := range batch {
			var err error
			if frame, err = replication.AppendMessage(append(frame[:0], 0, 0, 0, 0), e.id, e.m); err != nil {
				return err
			}
			binary.BigEndian.PutUint32(frame, uint32(len(frame)-4))
			if _, err := out.Write(frame); err != nil {
				return err
			}
		}
		if err := out.Flush(); err != nil {
			return err
		}
	}
}
