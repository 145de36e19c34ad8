package api

import (
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/weir/weir/broker/server"
	"github.com/weir/weir/cluster"
)

// describeQuorum answers DescribeQuorum 0–2: who keeps the metadata log, and how far each is. It is this node alone, which
// is asked where clients are.
func (b *Broker) describeQuorum(r *server.Request, req *kmsg.DescribeQuorumRequest) {
	resp := req.ResponseKind().(*kmsg.DescribeQuorumResponse)
	resp.ErrorMessage = kmsg.StringPtr("")
	described := false
	for _, t := range req.Topics {
		out := kmsg.NewDescribeQuorumResponseTopic()
		out.Topic = t.Topic
		for _, p := range t.Partitions {
			part := kmsg.NewDescribeQuorumResponseTopicPartition()
			part.Partition, part.ErrorMessage = p.Partition, kmsg.StringPtr("")
			if t.Topic == cluster.MetadataTopic && p.Partition == 0 {
				b.describeVoters(&part)
				described = true
			} else {
				part.ErrorCode = kerr.UnknownTopicOrPartition.Code
				part.ErrorMessage = &kerr.UnknownTopicOrPartition.Description
			}
			out.Partitions = append(out.Partitions, part)
		}
		resp.Topics = append(resp.Topics, out)
	}
	if self := b.Controller.Image().Broker(b.Self); described && self != nil {
		node := kmsg.NewDescribeQuorumResponseNode()
		node.NodeID = self.ID
		for _, e := range self.Endpoints {
			l := kmsg.NewDescribeQuorumResponseNodeListener()
			l.Name, l.Host, l.Port = e.Listener, e.Host, uint16(e.Port)
			node.Listeners = append(node.Listeners, l)
		}
		resp.Nodes = append(resp.Nodes, node)
	}
	r.Reply(resp)
}

func (b *Broker) describeVoters(out *kmsg.DescribeQuorumResponseTopicPartition) {
	leadership := b.MetadataLog.Leadership()
	out.LeaderID, out.LeaderEpoch, out.HighWatermark = leadership.Broker, leadership.Epoch, b.MetadataLog.HighWatermark()
	self := kmsg.NewDescribeQuorumResponseTopicPartitionReplicaState()
	self.ReplicaID, self.LogEndOffset = b.Self, b.MetadataLog.LogEnd()
	self.LastFetchTimestamp, self.LastCaughtUpTimestamp = b.Now().UnixMilli(), b.Now().UnixMilli()
	out.CurrentVoters = append(out.CurrentVoters, self)
}
