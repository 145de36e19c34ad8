package node

import (
	"encoding/binary"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/weir/weir/cluster"
	"github.com/weir/weir/log"
	"github.com/weir/weir/partition"
	"github.com/weir/weir/replication"
)

const (
	// repairBytes is about how much another node is asked for at a time to repair damage.
	repairBytes = 1 << 20
	// repairWait is how long another node may take to answer.
	repairWait = 10 * time.Second
	// repairMin and repairMax bound the time between attempts to repair what could not be repaired.
	repairMin = 100 * time.Millisecond
	repairMax = 10 * time.Second
)

// repairs are the partitions whose logs are damaged on this node.
type repairs struct {
	wake chan struct{}
	mu   sync.Mutex
	due  map[*partition.Partition]struct{}
	// resigned are those that this node led; who repairs alone touches it.
	resigned map[*partition.Partition]bool
}

func newRepairs() repairs {
	return repairs{wake: make(chan struct{}, 1), due: map[*partition.Partition]struct{}{}, resigned: map[*partition.Partition]bool{}}
}

// add sees that a partition is repaired.
func (r *repairs) add(p *partition.Partition) {
	r.mu.Lock()
	r.due[p] = struct{}{}
	r.mu.Unlock()
	select {
	case r.wake <- struct{}{}:
	default:
	}
}

// take gives what is due.
func (r *repairs) take() []*partition.Partition {
	r.mu.Lock()
	defer r.mu.Unlock()
	var all []*partition.Partition
	for p := range r.due {
		all = append(all, p)
	}
	clear(r.due)
	return all
}

// repair repairs damaged logs from other nodes until the node stops.
func (n *Node) repair() {
	wait := repairMin
	var again []*partition.Partition
	for {
		var later <-chan time.Time
		if len(again) > 0 {
			later = time.After(wait)
			wait = min(2*wait, repairMax)
		}
		select {
		case <-n.repairs.wake:
			wait = repairMin
		case <-later:
		case <-n.stop:
			return
		}
		for _, p := range again {
			n.repairs.add(p)
		}
		again = n.repairAll(n.repairs.take(), wait == 2*repairMin)
	}
}

// repairAll repairs partitions, and gives those that are to be tried again.
func (n *Node) repairAll(all []*partition.Partition, tell bool) (again []*partition.Partition) {
	for _, p := range all {
		if _, leads := p.Leads(); leads && p.InSync() > 1 {
			n.repairs.resigned[p] = true
			p.Resign() // who reads goes on where nothing is damaged
		}
		err := p.Repair(n.sources(p))
		if err == nil || errors.Is(err, replication.ErrClosed) {
			if n.repairs.resigned[p] {
				delete(n.repairs.resigned, p)
				n.takeBack(p)
			}
			continue
		}
		if tell {
			n.opts.Logger.Warn("a damaged log could not be repaired yet; it is tried on", "partition", p.String(), "error", err)
		}
		again = append(again, p)
	}
	return again
}

// takeBack asks for the leadership that was handed over because of damage, if this node is the preferred leader.
func (n *Node) takeBack(p *partition.Partition) {
	m := n.following.Load()
	if m == nil || m.Image() == nil || !n.effective.Load().AutoLeaderRebalance {
		return
	}
	t, number, self := m.Image().TopicByID(p.ID.Topic), p.ID.Partition, n.cfg.NodeID
	if t != nil && int(number) < len(t.Partitions) && t.Partitions[number].Target()[0] == self && slices.Contains(n.leaders.Of(t.ID, number).InSync, self) {
		elections{n}.Transfer(t, number, self, func(error) {})
	}
}

// sources gives the other replicas of a partition, its leader first.
func (n *Node) sources(p *partition.Partition) (out []partition.Source) {
	leader := p.Leadership().Broker
	for _, broker := range append([]int32{leader}, n.replicasOf(p)...) {
		if broker != n.cfg.NodeID && broker >= 0 && (broker != leader || len(out) == 0) {
			out = append(out, partition.Source{Broker: broker, Entries: func(lo, hi uint64) ([]log.Entry, error) {
				return n.entries(broker, p.ID, lo, hi)
			}})
		}
	}
	return out
}

// replicasOf gives the brokers that have a partition, as far as this node knows; those that may have the metadata.
func (n *Node) replicasOf(p *partition.Partition) []int32 {
	m := n.following.Load()
	if m == nil || p.ID.Topic == (cluster.UUID{}) || m.Image() == nil {
		return n.transport.Peers()
	}
	if t := m.Image().TopicByID(p.ID.Topic); t != nil && int(p.ID.Partition) < len(t.Partitions) {
		return t.Partitions[p.ID.Partition].Replicas
	}
	return nil
}

var errNoEntries = errors.New("it does not have the entries, or cannot read them")

// entries asks another node for entries [lo, hi) of its log of a partition.
func (n *Node) entries(broker int32, id replication.GroupID, lo, hi uint64) ([]log.Entry, error) {
	be := binary.BigEndian
	request := append([]byte{askEntries}, id.Topic[:]...)
	request = be.AppendUint32(request, uint32(id.Partition))
	request = be.AppendUint64(be.AppendUint64(request, lo), hi)
	type answer struct {
		b   []byte
		err error
	}
	answers := make(chan answer, 1)
	n.peers.Ask(broker, request, func(b []byte, err error) { answers <- answer{b, err} })
	late := time.NewTimer(repairWait)
	defer late.Stop()
	select {
	case a := <-answers:
		switch {
		case a.err != nil:
			return nil, a.err
		case len(a.b) == 0 || a.b[0] != answered:
			return nil, errNoEntries
		}
		return replication.ParseEntries(a.b[1:], lo)
	case <-late.C:
		return nil, fmt.Errorf("it has not answered within %v", repairWait)
	case <-n.stop:
		return nil, replication.ErrClosed
	}
}

// replyEntries answers another node's request for entries. They are checked as they are read.
func (n *Node) replyEntries(b []byte, reply func([]byte)) {
	be := binary.BigEndian
	id := replication.GroupID{Topic: [16]byte(b), Partition: int32(be.Uint32(b[16:]))}
	p := n.partition(id)
	if p == nil {
		reply([]byte{notDone})
		return
	}
	entries, err := p.Entries(be.Uint64(b[20:]), be.Uint64(b[28:]), repairBytes)
	if err != nil || len(entries) == 0 {
		reply([]byte{notDone})
		return
	}
	reply(replication.AppendEntries([]byte{answered}, entries))
}

// partition finds a partition of this node, the metadata log among them; nil: it is not here.
func (n *Node) partition(id replication.GroupID) *partition.Partition {
	m := n.following.Load()
	if id.Topic == (cluster.UUID{}) {
		return m.log
	}
	img := m.Image()
	if img == nil {
		return nil
	}
	t := img.TopicByID(id.Topic)
	if t == nil {
		return nil
	}
	p, err := n.set.Lookup(t.Name, id.Partition)
	if err != nil {
		return nil
	}
	return p
}
