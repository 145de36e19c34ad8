package node

import (
	"encoding/binary"

	"github.com/twmb/franz-go/pkg/kerr"

	"github.com/weir/weir/cluster"
	"github.com/weir/weir/partition"
	"github.com/weir/weir/replication"
)

// unheard is how many elections of a partition there may have been that nobody who is left has heard of. Its leader epochs go on beyond,
// or clients that saw later ones would not believe in the new leader.
const unheard = 1000

// forgetLost takes note of brokers that came back with another disk: what only they had, they do not lead any more, and nobody else is
// there to say so.
func (n *Node) forgetLost(img *cluster.Image) {
	before := n.incarnations
	n.incarnations = map[int32]int32{}
	lost := map[int32]bool{}
	for b := range img.Brokers() {
		if was, ok := before[b.ID]; ok && was < b.Incarnation {
			lost[b.ID] = true
		}
		n.incarnations[b.ID] = b.Incarnation
	}
	if len(lost) == 0 {
		return
	}
	for t := range img.Topics() {
		for number, p := range t.Partitions {
			if known := n.leaders.Of(t.ID, int32(number)); len(p.Replicas) == 1 && lost[known.Broker] {
				n.leaders.Heard(replication.GroupID{Topic: t.ID, Partition: int32(number)}, partition.Leader{Broker: -1, Epoch: known.Epoch})
			}
		}
	}
}

// BeginAnew implements api.Elections.
func (e elections) BeginAnew(t *cluster.Topic, number int32, done func(error)) {
	n, id, only := e.n, replication.GroupID{Topic: t.ID, Partition: number}, t.Partitions[number].Replicas[0]
	answer := func(b []byte, err error) {
		if err != nil || len(b) != 1 || b[0] != answered {
			done(kerr.EligibleLeadersNotAvailable)
			return
		}
		e.await(id, only, kerr.EligibleLeadersNotAvailable, done)
	}
	known := n.leaders.Of(t.ID, number)
	epoch := max(known.Epoch, known.LastEpoch)
	if only == n.cfg.NodeID {
		go n.replyBeginAnew(id, epoch, func(b []byte) { answer(b, nil) })
		return
	}
	request := append([]byte{askBeginAnew}, t.ID[:]...)
	request = binary.BigEndian.AppendUint32(request, uint32(number))
	n.peers.Ask(only, binary.BigEndian.AppendUint32(request, uint32(epoch)), answer)
}

// replyBeginAnew lets a partition begin with nothing, if its only replica is here and has nothing.
func (n *Node) replyBeginAnew(id replication.GroupID, epoch int32, reply func([]byte)) {
	img := n.metadata.Image()
	t := img.TopicByID(id.Topic)
	if t == nil || id.Partition < 0 || int(id.Partition) >= len(t.Partitions) {
		reply([]byte{notDone})
		return
	}
	p, err := n.set.Lookup(t.Name, id.Partition)
	if err != nil || !p.Stranger() {
		reply([]byte{notDone})
		return
	}
	known := n.leaders.Of(t.ID, id.Partition)
	n.metadata.Submit(cluster.BeginAnew{
		Topic: id.Topic, Partition: id.Partition, Epoch: t.Partitions[id.Partition].Epoch, Node: n.self(),
		After: uint64(max(epoch, known.Epoch, known.LastEpoch, 0) + unheard),
	}, func(answer any, err error) {
		if begun, ok := answer.(cluster.BegunAnew); err == nil && ok && begun.Refused == "" {
			reply([]byte{answered})
			return
		}
		reply([]byte{notDone})
	})
}
