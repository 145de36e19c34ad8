package api

import (
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/weir/weir/broker/server"
	"github.com/weir/weir/cluster"
)

// describeProducers answers DescribeProducers 0: the idempotent producers that a partition remembers (KIP-664).
func (b *Broker) describeProducers(r *server.Request, req *kmsg.DescribeProducersRequest) {
	resp := req.ResponseKind().(*kmsg.DescribeProducersResponse)
	for _, t := range req.Topics {
		out := kmsg.NewDescribeProducersResponseTopic()
		out.Topic = t.Topic
		for _, number := range t.Partitions {
			part := kmsg.NewDescribeProducersResponseTopicPartition()
			part.Partition = number
			if text := cluster.CheckTopicName(t.Topic); text != "" {
				part.ErrorCode, part.ErrorMessage = kerr.InvalidTopicException.Code, &text
			} else if b.Controller.Image().Topic(t.Topic) == nil {
				part.ErrorCode, part.ErrorMessage = kerr.UnknownTopicOrPartition.Code, described(kerr.UnknownTopicOrPartition)
			} else {
				active, err := b.activeProducers(t.Topic, number)
				part.ErrorCode, part.ActiveProducers = code(err), active
			}
			out.Partitions = append(out.Partitions, part)
		}
		resp.Topics = append(resp.Topics, out)
	}
	r.Reply(resp)
}

func (b *Broker) activeProducers(topic string, number int32) ([]kmsg.DescribeProducersResponseTopicPartitionActiveProducer, error) {
	p, err := b.Partitions.Lookup(topic, number)
	if err != nil {
		return nil, err
	}
	producers, err := p.Producers()
	if err != nil {
		return nil, err
	}
	var out []kmsg.DescribeProducersResponseTopicPartitionActiveProducer
	for _, k := range producers {
		a := kmsg.NewDescribeProducersResponseTopicPartitionActiveProducer()
		a.ProducerID, a.ProducerEpoch, a.CoordinatorEpoch = k.ID, int32(k.Epoch), -1
		a.LastSequence, a.LastTimestamp = k.LastSequence, k.LastTimestamp
		out = append(out, a)
	}
	return out, nil
}
