package api

import (
	"net"
	"slices"
	"strconv"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/weir/weir/broker/server"
	"github.com/weir/weir/cluster"
)

// Quorum tells how the metadata is kept.
type Quorum interface {
	// Describe asks the controller's node, which alone knows how far all are. done is called once; errors are Kafka's,
	// NOT_LEADER_OR_FOLLOWER when there is no controller.
	Describe(done func(QuorumState, error))
}

// QuorumState is how far the nodes are with the metadata log, by id.
type QuorumState struct {
	Leader            int32 // broker id
	Epoch             int32
	HighWatermark     int64
	Voters, Observers []QuorumReplica
}

// QuorumReplica is one node's copy of the metadata log. Times are zero when they are not known.
type QuorumReplica struct {
	ID           int32
	Directory    cluster.UUID
	LogEnd       int64
	LastFetch    time.Time // when the leader last heard of it
	LastCaughtUp time.Time // when it last had all that the leader had
}

// describeQuorum answers DescribeQuorum 0–2: who keeps the metadata log, and how far each is.
func (b *Broker) describeQuorum(r *server.Request, req *kmsg.DescribeQuorumRequest) {
	if !slices.ContainsFunc(req.Topics, asksForMetadata) {
		r.Reply(quorumResponse(req, QuorumState{}, nil))
		return
	}
	if b.Quorum == nil {
		r.Reply(b.describedQuorum(req, b.aloneQuorum(), nil))
		return
	}
	b.Quorum.Describe(func(s QuorumState, err error) { r.Reply(b.describedQuorum(req, s, err)) })
}

func asksForMetadata(t kmsg.DescribeQuorumRequestTopic) bool {
	return t.Topic == cluster.MetadataTopic && slices.ContainsFunc(t.Partitions, func(p kmsg.DescribeQuorumRequestTopicPartition) bool { return p.Partition == 0 })
}

// aloneQuorum describes this node as the only one.
func (b *Broker) aloneQuorum() QuorumState {
	leadership, now := b.MetadataLog.Leadership(), b.Now()
	s := QuorumState{Leader: leadership.Broker, Epoch: leadership.Epoch, HighWatermark: b.MetadataLog.HighWatermark()}
	s.Voters = []QuorumReplica{{ID: b.Self, LogEnd: b.MetadataLog.LogEnd(), LastFetch: now, LastCaughtUp: now}}
	if self := b.Controller.Image().Broker(b.Self); self != nil {
		s.Voters[0].Directory = self.Directory
	}
	return s
}

// describedQuorum answers with the voters' addresses.
func (b *Broker) describedQuorum(req *kmsg.DescribeQuorumRequest, s QuorumState, err error) *kmsg.DescribeQuorumResponse {
	resp := quorumResponse(req, s, err)
	if err != nil {
		return resp
	}
	for _, v := range s.Voters {
		known := b.Controller.Image().Broker(v.ID)
		if known == nil {
			continue
		}
		node := kmsg.NewDescribeQuorumResponseNode()
		node.NodeID = known.ID
		for _, e := range b.quorumEndpoints(known) {
			l := kmsg.NewDescribeQuorumResponseNodeListener()
			l.Name, l.Host, l.Port = e.Listener, e.Host, uint16(e.Port)
			node.Listeners = append(node.Listeners, l)
		}
		resp.Nodes = append(resp.Nodes, node)
	}
	return resp
}

// quorumEndpoints tells where others reach a voter; one that has no port for other nodes, where clients are.
func (b *Broker) quorumEndpoints(voter *cluster.Broker) []cluster.Endpoint {
	host, port, err := net.SplitHostPort(voter.Peer)
	number, numberErr := strconv.ParseUint(port, 10, 16)
	if err != nil || numberErr != nil || len(b.Config.PeerListeners) == 0 {
		return voter.Endpoints
	}
	return []cluster.Endpoint{{Listener: b.Config.PeerListeners[0].Name, Host: host, Port: int32(number)}}
}

func quorumResponse(req *kmsg.DescribeQuorumRequest, s QuorumState, err error) *kmsg.DescribeQuorumResponse {
	resp := req.ResponseKind().(*kmsg.DescribeQuorumResponse)
	resp.ErrorMessage = kmsg.StringPtr("")
	for _, t := range req.Topics {
		out := kmsg.NewDescribeQuorumResponseTopic()
		out.Topic = t.Topic
		for _, p := range t.Partitions {
			part := kmsg.NewDescribeQuorumResponseTopicPartition()
			part.Partition, part.ErrorMessage = p.Partition, kmsg.StringPtr("")
			switch {
			case t.Topic != cluster.MetadataTopic || p.Partition != 0:
				part.ErrorCode = kerr.UnknownTopicOrPartition.Code
				part.ErrorMessage = &kerr.UnknownTopicOrPartition.Description
			case err != nil:
				ke := kafkaError(err)
				if ke == nil {
					ke = kerr.NotLeaderForPartition
				}
				part.ErrorCode, part.ErrorMessage = ke.Code, described(ke)
			default:
				part.LeaderID, part.LeaderEpoch, part.HighWatermark = s.Leader, s.Epoch, s.HighWatermark
				part.CurrentVoters, part.Observers = replicaStates(s.Voters), replicaStates(s.Observers)
			}
			out.Partitions = append(out.Partitions, part)
		}
		resp.Topics = append(resp.Topics, out)
	}
	return resp
}

func replicaStates(replicas []QuorumReplica) []kmsg.DescribeQuorumResponseTopicPartitionReplicaState {
	var out []kmsg.DescribeQuorumResponseTopicPartitionReplicaState
	for _, r := range replicas {
		s := kmsg.NewDescribeQuorumResponseTopicPartitionReplicaState()
		s.ReplicaID, s.ReplicaDirectoryID, s.LogEndOffset = r.ID, r.Directory, r.LogEnd
		s.LastFetchTimestamp, s.LastCaughtUpTimestamp = millis(r.LastFetch), millis(r.LastCaughtUp)
		out = append(out, s)
	}
	return out
}

// millis gives a time as in answers; -1: it is not known.
func millis(t time.Time) int64 {
	if t.IsZero() {
		return -1
	}
	return t.UnixMilli()
}
