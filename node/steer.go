package node

import (
	"context"
	"encoding/binary"
	"encoding/json"
	"errors"
	"slices"
	"sync/atomic"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"

	"github.com/weir/weir/broker/api"
	"github.com/weir/weir/cluster"
	"github.com/weir/weir/replication"
)

const (
	// transferTime is how long a leadership may take to move.
	transferTime = 2 * time.Second
	// giveBackEach is the time between rounds that give leaderships back to the preferred replicas, giveBackMost how many a round
	// gives at most, and giveBackRest how long a node must have been there before it is given any.
	giveBackEach = time.Second
	giveBackMost = 100
	giveBackRest = 5 * time.Second
)

// Requests to any node, beside those to the controller:
//
//	16  how far the metadata's replicas are, of the controller; answered with JSON
//	17  hand over a leadership: topic id 16 bytes, partition int32, to broker int32; answered with nothing
//	18  entries of a replica's log, to repair another one: topic id 16 bytes, partition int32, first uint64, after the last uint64;
//	    answered with 0 uint8 and the first of them as replication.AppendEntries writes them, or with 1 uint8: it has none
//	19  a request to the REST API of Connect: JSON of connect.Request; answered with that of connect.Response
//	20  begin a partition with nothing, since the disk of its only replica is lost: topic id 16 bytes, partition int32, its last known leader
//	    epoch int32; answered with 0 uint8, or with 1 uint8: it is not so
const (
	askQuorum byte = 16 + iota
	askTransfer
	askEntries
	askConnect
	askBeginAnew
)

// handle answers a request of another node.
func (n *Node) handle(from int32, request []byte, reply func([]byte)) {
	m := n.following.Load()
	switch {
	case m == nil || len(request) == 0:
		reply([]byte{notDone})
	case request[0] == askQuorum:
		n.replyQuorum(reply)
	case request[0] == askTransfer && len(request) == 1+16+4+4:
		id := replication.GroupID{Topic: [16]byte(request[1:17]), Partition: int32(binary.BigEndian.Uint32(request[17:]))}
		n.transfer(id, int32(binary.BigEndian.Uint32(request[21:])))
		reply(nil)
	case request[0] == askEntries && len(request) == 1+16+4+8+8:
		go n.replyEntries(request[1:], reply)
	case request[0] == askBeginAnew && len(request) == 1+16+4+4:
		id := replication.GroupID{Topic: [16]byte(request[1:17]), Partition: int32(binary.BigEndian.Uint32(request[17:]))}
		go n.replyBeginAnew(id, int32(binary.BigEndian.Uint32(request[21:])), reply)
	case request[0] == askConnect:
		go n.replyConnect(request[1:], reply)
	default:
		m.handle(from, request, reply)
	}
}

// transfer hands the leadership of a partition to a broker, if it is led here.
func (n *Node) transfer(id replication.GroupID, to int32) {
	img := n.metadata.Image()
	t := img.TopicByID(id.Topic)
	if t == nil {
		return
	}
	if p, err := n.set.Lookup(t.Name, id.Partition); err == nil {
		p.Transfer(img.Nodes([]int32{to})[0])
	}
}

// elections implements api.Elections.
type elections struct{ n *Node }

// Transfer implements api.Elections.
func (e elections) Transfer(t *cluster.Topic, number int32, to int32, done func(error)) {
	n, id := e.n, replication.GroupID{Topic: t.ID, Partition: number}
	leader := n.leaders.Of(t.ID, number).Broker
	if leader == n.cfg.NodeID {
		n.transfer(id, to)
	} else if leader >= 0 {
		request := append([]byte{askTransfer}, t.ID[:]...)
		request = binary.BigEndian.AppendUint32(request, uint32(number))
		request = binary.BigEndian.AppendUint32(request, uint32(to))
		n.peers.Ask(leader, request, func([]byte, error) {})
	}
	e.await(id, to, kerr.PreferredLeaderNotAvailable, done)
}

// await tells when a broker leads a partition, or that it does not in time.
func (e elections) await(id replication.GroupID, to int32, otherwise error, done func(error)) {
	go func() {
		ctx, cancel := context.WithTimeout(context.Background(), transferTime)
		defer cancel()
		if e.n.leaders.AwaitLeader(ctx, id, to) != nil {
			done(otherwise)
			return
		}
		done(nil)
	}()
}

// quorum implements api.Quorum.
type quorum struct{ n *Node }

// Describe implements api.Quorum.
func (q quorum) Describe(done func(api.QuorumState, error)) {
	n := q.n
	leader := n.log.Leadership().Broker
	switch {
	case leader == n.cfg.NodeID:
		go func() { done(n.describeQuorum()) }()
	case leader < 0:
		done(api.QuorumState{}, kerr.NotLeaderForPartition)
	default:
		n.peers.Ask(leader, []byte{askQuorum}, func(b []byte, err error) {
			var s api.QuorumState
			if err == nil {
				err = json.Unmarshal(b, &s)
			}
			if err != nil {
				err = kerr.NotLeaderForPartition
			}
			done(s, err)
		})
	}
}

func (n *Node) replyQuorum(reply func([]byte)) {
	go func() {
		s, err := n.describeQuorum()
		if err != nil {
			reply(nil)
			return
		}
		b, err := json.Marshal(s)
		if err != nil {
			panic("BUG: " + err.Error())
		}
		reply(b)
	}()
}

// describeQuorum tells how far the metadata's replicas are, on the controller.
func (n *Node) describeQuorum() (api.QuorumState, error) {
	l := n.log.Leadership()
	if _, leads := n.log.Leads(); !leads {
		return api.QuorumState{}, errors.New("this node is not the controller")
	}
	s := api.QuorumState{Leader: l.Broker, Epoch: l.Epoch, HighWatermark: n.log.HighWatermark()}
	img, now := n.metadata.Image(), n.opts.Now()
	for _, r := range n.log.Replicas() {
		out := api.QuorumReplica{ID: r.Broker, LogEnd: r.LogEnd}
		if b := img.Broker(r.Broker); b != nil {
			out.Directory = b.Directory
		}
		if r.Active {
			out.LastFetch = now
			if r.LogEnd >= s.HighWatermark {
				out.LastCaughtUp = now
			}
		}
		if r.Voter {
			s.Voters = append(s.Voters, out)
		} else {
			s.Observers = append(s.Observers, out)
		}
	}
	return s, nil
}

// balance gives leaderships back to the preferred replicas, as nodes come.
type balance struct {
	due   atomic.Bool
	since atomic.Int64 // when the last node came, in nanoseconds
}

// noticed sees that leaderships are looked at after a node came.
func (b *balance) noticed() {
	b.since.Store(time.Now().UnixNano())
	b.due.Store(true)
}

// giveBack gives leaderships back to preferred replicas until the node stops, gradually, and only to those that are in sync.
func (n *Node) giveBack() {
	tick := time.NewTicker(giveBackEach)
	defer tick.Stop()
	for {
		select {
		case <-tick.C:
		case <-n.stop:
			return
		}
		n.settleVoters(n.metadata.Image())
		if !n.balance.due.Load() || time.Since(time.Unix(0, n.balance.since.Load())) < giveBackRest || !n.effective.Load().AutoLeaderRebalance {
			continue
		}
		if n.giveBackSome() == 0 {
			n.balance.due.Store(false)
		}
	}
}

// giveBackSome gives some leaderships back. It tells how many it gave, or could not give yet.
func (n *Node) giveBackSome() (given int) {
	img := n.metadata.Image()
	for t := range img.Topics() {
		for number, p := range t.Partitions {
			preferred := p.Target()[0]
			if preferred == n.cfg.NodeID || n.leaders.Of(t.ID, int32(number)).Broker != n.cfg.NodeID || !n.peers.Alive(preferred) {
				continue
			}
			if given++; given > giveBackMost {
				return given
			}
			if slices.Contains(n.leaders.Of(t.ID, int32(number)).InSync, preferred) {
				n.transfer(replication.GroupID{Topic: t.ID, Partition: int32(number)}, preferred)
			}
		}
	}
	return given
}
