package partition

import (
	"context"
	"slices"
	"sync"

	"github.com/weir/weir/cluster"
	"github.com/weir/weir/replication"
)

// Leader says who leads a partition.
type Leader struct {
	Broker int32 // -1: nobody that this node has heard of
	Epoch  int32
	InSync []int32 // the replicas that are, in the order of the replicas; nil: not known
	// Unopened says that the replica on this node could not be opened, and that there is no use in waiting for it.
	Unopened bool
	// Last led last, in LastEpoch, if nobody leads; -1: nobody that this node has heard of.
	Last, LastEpoch int32
	lastInSync      []int32 // what Last told
}

// nobody leads a partition that this node has heard nothing of.
var nobody = Leader{Broker: -1, Epoch: -1, Last: -1, LastEpoch: -1}

// Leaders knows who leads the partitions of the cluster, as far as this node has heard: from its own replicas, and from the
// nodes that lead. Nothing of it is durable, and nothing depends on it but where clients are sent.
type Leaders struct {
	self int32
	// Tell is called with what this node leads, and with changes of who is in sync there; set it before anything leads.
	Tell func(replication.GroupID, Leader)

	mu      sync.RWMutex
	known   map[cluster.UUID]map[int32]Leader
	changed chan struct{} // closed and replaced with each change
}

// NewLeaders makes a table for a broker.
func NewLeaders(self int32) *Leaders {
	return &Leaders{self: self, known: map[cluster.UUID]map[int32]Leader{}, changed: make(chan struct{})}
}

// Of gives who leads a partition.
func (l *Leaders) Of(topic cluster.UUID, partition int32) Leader {
	l.mu.RLock()
	defer l.mu.RUnlock()
	if known, ok := l.known[topic][partition]; ok {
		return known
	}
	return nobody
}

// Heard takes what another node, or a replica here, says. What is older than what is known is passed over.
func (l *Leaders) Heard(id replication.GroupID, now Leader) {
	l.mu.Lock()
	defer l.mu.Unlock()
	topic := l.known[id.Topic]
	if topic == nil {
		topic = map[int32]Leader{}
		l.known[id.Topic] = topic
	}
	before, ok := topic[id.Partition]
	if ok && now.Epoch < before.Epoch {
		return
	}
	if !ok {
		before = nobody
	}
	if now.Last, now.LastEpoch, now.lastInSync = before.Last, before.LastEpoch, before.lastInSync; before.Broker >= 0 {
		now.Last, now.LastEpoch, now.lastInSync = before.Broker, before.Epoch, before.InSync
	}
	if now.Broker >= 0 {
		if now.InSync == nil && now.Broker == now.Last && now.Epoch == now.LastEpoch { // also if a replica here lost sight of it meanwhile
			now.InSync = now.lastInSync
		}
		now.Last, now.LastEpoch, now.lastInSync = -1, -1, nil
	}
	if ok && before.Broker == now.Broker && before.Epoch == now.Epoch && before.Unopened == now.Unopened && slices.Equal(before.InSync, now.InSync) {
		return
	}
	topic[id.Partition] = now
	close(l.changed)
	l.changed = make(chan struct{})
}

// replicaSays takes what a replica of this node knows, and passes it on if it leads.
func (l *Leaders) replicaSays(id replication.GroupID, now Leader) {
	l.Heard(id, now)
	if now.Broker == l.self && l.Tell != nil {
		l.Tell(id, now)
	}
}

// Led calls f for all partitions that this node leads.
func (l *Leaders) Led(f func(replication.GroupID, Leader)) {
	l.mu.RLock()
	defer l.mu.RUnlock()
	for topic, partitions := range l.known {
		for number, leader := range partitions {
			if leader.Broker == l.self {
				f(replication.GroupID{Topic: topic, Partition: number}, leader)
			}
		}
	}
}

// Forget forgets a topic that was deleted.
func (l *Leaders) Forget(topic cluster.UUID) {
	l.mu.Lock()
	defer l.mu.Unlock()
	delete(l.known, topic)
}

// Await waits until the first count partitions of a topic have leaders, those aside that cannot be opened here.
func (l *Leaders) Await(ctx context.Context, topic cluster.UUID, count int32) error {
	for number := range count {
		if err := l.awaitOne(ctx, replication.GroupID{Topic: topic, Partition: number}); err != nil {
			return err
		}
	}
	return nil
}

func (l *Leaders) awaitOne(ctx context.Context, id replication.GroupID) error {
	return l.await(ctx, id, func(now Leader, known bool) bool { return known && (l.serves(now) || now.Unopened) })
}

// serves tells whether a leader has said itself that it leads, which it does together with who is in sync: when something of its
// epoch is committed, from when on it serves. A follower knows its leader earlier.
func (l *Leaders) serves(now Leader) bool {
	return now.Broker == l.self || now.Broker >= 0 && len(now.InSync) > 0
}

// AwaitLeader waits until a broker leads a partition.
func (l *Leaders) AwaitLeader(ctx context.Context, id replication.GroupID, broker int32) error {
	return l.await(ctx, id, func(now Leader, known bool) bool { return known && now.Broker == broker })
}

func (l *Leaders) await(ctx context.Context, id replication.GroupID, ok func(now Leader, known bool) bool) error {
	for {
		l.mu.RLock()
		changed := l.changed
		leader, known := l.known[id.Topic][id.Partition]
		l.mu.RUnlock()
		if ok(leader, known) {
			return nil
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}
