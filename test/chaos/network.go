package main

import (
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"sync/atomic"
	"time"

	"golang.org/x/sys/unix"
)

// network connects the hosts as a switch does. It carries every frame itself, so that each direction of each link can be made
// as bad as wanted, by a seed, whatever the kernel has modules for. Host 0 is that of the clients.
type network struct {
	taps  []*os.File
	wires [][]*wire // from, to; nil to itself
}

// link is the state of one direction between two hosts. The zero value is as good as it gets.
type link struct {
	cut            bool
	delay, jitter  time.Duration
	loss           float64 // share of the frames, as are the following
	duplicate      float64
	reorder        float64 // go before those that wait
	bytesPerSecond int     // 0: without limit
}

// wire carries frames in one direction. Only the reader of its source calls carry.
type wire struct {
	state  atomic.Pointer[link]
	random *rand.Rand
	to     io.Writer
	free   time.Time // when the last frame that was carried slowly arrives
	queue  chan frame
	inside atomic.Int32 // frames in the queue
}

type frame struct {
	due  time.Time
	data []byte
}

const (
	frameMost = 10_000
	queueMost = 10_000                 // frames
	waitMost  = 400 * time.Millisecond // for a slow link; what would wait longer is dropped
	mtu       = 9000                   // larger than usual: fewer frames to carry
)

// newNetwork gives a network of hosts that are not connected yet.
func newNetwork(hosts int, seed uint64) *network {
	n := &network{taps: make([]*os.File, hosts), wires: make([][]*wire, hosts)}
	for from := range hosts {
		n.wires[from] = make([]*wire, hosts)
		for to := range hosts {
			if from != to {
				w := &wire{random: rand.New(rand.NewPCG(seed, uint64(from<<16|to))), queue: make(chan frame, queueMost)}
				w.state.Store(&link{})
				n.wires[from][to] = w
			}
		}
	}
	return n
}

// start carries frames from now on, until the process ends. All hosts must be connected.
func (n *network) start() {
	for from, tap := range n.taps {
		for to, w := range n.wires[from] {
			if w != nil {
				w.to = n.taps[to]
				go w.deliver()
			}
		}
		go n.read(from, tap)
	}
}

// set changes one direction.
func (n *network) set(from, to int, l link) { n.wires[from][to].state.Store(&l) }

// heal makes all links good again.
func (n *network) heal() {
	for from := range n.wires {
		for to := range n.wires {
			if from != to {
				n.set(from, to, link{})
			}
		}
	}
}

func (n *network) read(from int, tap *os.File) {
	buf := make([]byte, frameMost)
	for {
		size, err := tap.Read(buf)
		if err != nil {
			panic(fmt.Sprintf("the switch cannot read from host %d: %v", from, err))
		}
		if size < 14 { // no Ethernet header
			continue
		}
		// The hosts know each other's hardware addresses, so nothing else than this is for anyone.
		if to := int(buf[5]); buf[0] == 2 && to < len(n.taps) && to != from {
			n.wires[from][to].carry(buf[:size])
		}
	}
}

func (w *wire) chance(share float64) bool { return share > 0 && w.random.Float64() < share }

func (w *wire) carry(data []byte) {
	l := w.state.Load()
	if l.cut || w.chance(l.loss) {
		return
	}
	w.send(l, data)
	if w.chance(l.duplicate) {
		w.send(l, data)
	}
}

func (w *wire) send(l *link, data []byte) {
	slow := l.delay > 0 || l.bytesPerSecond > 0
	if w.inside.Load() == 0 && !slow || w.chance(l.reorder) {
		w.write(data)
		return
	}
	now := time.Now()
	due := now.Add(l.delay)
	if l.jitter > 0 {
		due = due.Add(time.Duration(w.random.Int64N(int64(l.jitter))))
	}
	if due.Before(w.free) {
		due = w.free
	}
	if l.bytesPerSecond > 0 {
		due = due.Add(time.Duration(len(data)) * time.Second / time.Duration(l.bytesPerSecond))
		if due.Sub(now) > l.delay+l.jitter+waitMost {
			return
		}
	}
	w.inside.Add(1)
	select {
	case w.queue <- frame{due, append([]byte(nil), data...)}:
		w.free = due
	default:
		w.inside.Add(-1)
	}
}

func (w *wire) deliver() {
	for f := range w.queue {
		time.Sleep(time.Until(f.due))
		w.write(f.data)
		w.inside.Add(-1)
	}
}

func (w *wire) write(data []byte) {
	// A host that is too slow to take a frame loses it, as with every other switch.
	if _, err := w.to.Write(data); err != nil && !errors.Is(err, unix.EAGAIN) && !errors.Is(err, unix.ENOBUFS) && !errors.Is(err, unix.EIO) {
		panic(fmt.Sprintf("the switch cannot write: %v", err))
	}
}
