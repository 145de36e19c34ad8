package api

import (
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/weir/weir/broker/server"
)

// offsetForLeaderEpoch answers OffsetForLeaderEpoch 2–4: where an epoch ends, so that a client notices when the log that it
// read from was cut (KIP-320).
func (b *Broker) offsetForLeaderEpoch(r *server.Request, req *kmsg.OffsetForLeaderEpochRequest) {
	resp := req.ResponseKind().(*kmsg.OffsetForLeaderEpochResponse)
	for _, t := range req.Topics {
		out := kmsg.NewOffsetForLeaderEpochResponseTopic()
		out.Topic = t.Topic
		for _, want := range t.Partitions {
			part := kmsg.NewOffsetForLeaderEpochResponseTopicPartition()
			part.Partition, part.LeaderEpoch, part.EndOffset = want.Partition, -1, -1
			p, err := b.Partitions.Lookup(t.Topic, want.Partition)
			if err == nil {
				err = p.CheckEpoch(want.CurrentLeaderEpoch)
			}
			if err != nil {
				part.ErrorCode = code(err)
			} else {
				end := p.EpochEnd(want.LeaderEpoch)
				part.LeaderEpoch, part.EndOffset = end.Epoch, end.Offset
			}
			out.Partitions = append(out.Partitions, part)
		}
		resp.Topics = append(resp.Topics, out)
	}
	r.Reply(resp)
}
