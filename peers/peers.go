package peers

import (
	"encoding/binary"
	"errors"
	"fmt"
	"log/slog"
	"sync"

	"github.com/weir/weir/partition"
	"github.com/weir/weir/replication"
)

const (
	noteLeaders byte = 1 + iota
	noteRequest
	noteReply
)

var (
	// ErrUnreachable answers a request to a node that is not there. It was not asked.
	ErrUnreachable = errors.New("the other node cannot be reached")
	// ErrGone answers a request to a node that was lost before it answered. Whether it did what was asked is not known.
	ErrGone = errors.New("the other node was lost before it answered")
)

// Config describes a node's talk with the others.
type Config struct {
	Self    int32
	Leaders *partition.Leaders
	// Note sends a note. False: it is lost.
	Note func(to int32, note []byte) bool
	// Handle answers a request of another node. It must be quick; reply may be called later.
	Handle func(from int32, request []byte, reply func([]byte))
	Logger *slog.Logger
}

// Peers talks with the other nodes.
type Peers struct {
	cfg Config

	telling sync.Mutex // so that what is told of a leader has an order

	mu      sync.Mutex
	up      map[int32]bool
	lastID  uint64
	waiting map[uint64]call
}

// call is a request that waits for its reply.
type call struct {
	to   int32
	done func([]byte, error)
}

// New makes the talk of a node. It tells the others what the table of leaders hears of this node.
func New(cfg Config) *Peers {
	p := &Peers{cfg: cfg, up: map[int32]bool{}, waiting: map[uint64]call{}}
	cfg.Leaders.Tell = p.tell
	return p
}

// Up takes note of a node that is there.
func (p *Peers) Up(broker int32) {
	p.mu.Lock()
	p.up[broker] = true
	p.mu.Unlock()
	p.telling.Lock()
	defer p.telling.Unlock()
	var all []byte
	p.cfg.Leaders.Led(func(id replication.GroupID, l partition.Leader) { all = appendLeader(all, id, l) })
	if len(all) > 0 {
		p.cfg.Note(broker, append([]byte{noteLeaders}, all...))
	}
}

// Down takes note of a node that is gone. What it was asked gets no answer.
func (p *Peers) Down(broker int32) {
	p.mu.Lock()
	delete(p.up, broker)
	var lost []call
	for id, c := range p.waiting {
		if c.to == broker {
			lost = append(lost, c)
			delete(p.waiting, id)
		}
	}
	p.mu.Unlock()
	for _, c := range lost {
		c.done(nil, ErrGone)
	}
}

// Alive tells whether a broker is there.
func (p *Peers) Alive(broker int32) bool {
	if broker == p.cfg.Self {
		return true
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.up[broker]
}

// tell tells all nodes who is in sync with a leader here.
func (p *Peers) tell(id replication.GroupID, l partition.Leader) {
	p.telling.Lock()
	defer p.telling.Unlock()
	p.mu.Lock()
	to := make([]int32, 0, len(p.up))
	for broker := range p.up {
		to = append(to, broker)
	}
	p.mu.Unlock()
	if len(to) == 0 {
		return
	}
	note := appendLeader([]byte{noteLeaders}, id, l)
	for _, broker := range to {
		p.cfg.Note(broker, note)
	}
}

// Ask sends a request to a node. done is called once, with the reply or one of this package's errors.
func (p *Peers) Ask(to int32, request []byte, done func([]byte, error)) {
	p.mu.Lock()
	p.lastID++
	id := p.lastID
	p.waiting[id] = call{to, done}
	up := p.up[to]
	p.mu.Unlock()
	note := append(binary.BigEndian.AppendUint64([]byte{noteRequest}, id), request...)
	if !up || !p.cfg.Note(to, note) {
		if c, ok := p.take(id); ok {
			c.done(nil, ErrUnreachable)
		}
	}
}

func (p *Peers) take(id uint64) (call, bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	c, ok := p.waiting[id]
	delete(p.waiting, id)
	return c, ok
}

// Note takes a note of another node.
func (p *Peers) Note(from int32, note []byte) {
	if err := p.note(from, note); err != nil {
		p.cfg.Logger.Error("a note of another node cannot be read", "node", from, "error", err)
	}
}

var errShort = errors.New("it is too short")

func (p *Peers) note(from int32, note []byte) error {
	if len(note) == 0 {
		return errShort
	}
	kind, b := note[0], note[1:]
	switch kind {
	case noteLeaders:
		for len(b) > 0 {
			id, l, rest, err := parseLeader(b)
			if err != nil {
				return err
			}
			l.Broker, b = from, rest
			p.cfg.Leaders.Heard(id, l)
		}
		return nil
	case noteRequest, noteReply:
		if len(b) < 8 {
			return errShort
		}
		id, b := binary.BigEndian.Uint64(b), b[8:]
		if kind == noteReply {
			if c, ok := p.take(id); ok && c.to == from {
				c.done(b, nil)
			}
			return nil
		}
		p.cfg.Handle(from, b, func(reply []byte) {
			p.cfg.Note(from, append(binary.BigEndian.AppendUint64([]byte{noteReply}, id), reply...))
		})
		return nil
	}
	return fmt.Errorf("its kind is %d", kind)
}

func appendLeader(b []byte, id replication.GroupID, l partition.Leader) []byte {
	b = append(b, id.Topic[:]...)
	b = binary.BigEndian.AppendUint32(b, uint32(id.Partition))
	b = binary.BigEndian.AppendUint32(b, uint32(l.Epoch))
	b = append(b, byte(len(l.InSync)))
	for _, broker := range l.InSync {
		b = binary.BigEndian.AppendUint32(b, uint32(broker))
	}
	return b
}

func parseLeader(b []byte) (id replication.GroupID, l partition.Leader, rest []byte, err error) {
	const fixed = 16 + 4 + 4 + 1
	if len(b) < fixed || len(b) < fixed+4*int(b[fixed-1]) {
		return id, l, nil, errShort
	}
	copy(id.Topic[:], b)
	id.Partition = int32(binary.BigEndian.Uint32(b[16:]))
	l.Epoch = int32(binary.BigEndian.Uint32(b[20:]))
	count := int(b[24])
	l.InSync = make([]int32, count)
	for i := range l.InSync {
		l.InSync[i] = int32(binary.BigEndian.Uint32(b[fixed+4*i:]))
	}
	return id, l, b[fixed+4*count:], nil
}
