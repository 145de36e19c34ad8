package api

import (
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/weir/weir/broker/server"
	"github.com/weir/weir/cluster"
)

// deleteRecords answers DeleteRecords 0–2: the records before an offset are no longer there. Offset -1 means all that are
// committed. It works off the connection's goroutine, since each partition syncs its new start.
func (b *Broker) deleteRecords(r *server.Request, req *kmsg.DeleteRecordsRequest) {
	go func() {
		resp := req.ResponseKind().(*kmsg.DeleteRecordsResponse)
		for _, t := range req.Topics {
			out := kmsg.NewDeleteRecordsResponseTopic()
			out.Topic = t.Topic
			for _, p := range t.Partitions {
				part := kmsg.NewDeleteRecordsResponseTopicPartition()
				part.Partition = p.Partition
				low, err := b.deletePartitionRecords(t.Topic, p.Partition, p.Offset)
				part.LowWatermark, part.ErrorCode = low, code(err)
				out.Partitions = append(out.Partitions, part)
			}
			resp.Topics = append(resp.Topics, out)
		}
		r.Reply(resp)
	}()
}

func (b *Broker) deletePartitionRecords(topic string, number int32, before int64) (low int64, err error) {
	if cluster.Internal(topic) {
		return -1, kerr.InvalidTopicException
	}
	p, err := b.Partitions.Lookup(topic, number)
	if err != nil {
		return -1, err
	}
	return p.DeleteRecords(before)
}
