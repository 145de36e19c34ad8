package api

import (
	"slices"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/weir/weir/broker/server"
	"github.com/weir/weir/cluster"
)

// pageMax is how many partitions one answer holds at most (max.request.partition.size.limit).
const pageMax = 2000

// describeTopicPartitions answers DescribeTopicPartitions 0: topics by name, in pages. The cursor says where the next page
// begins (KIP-966).
func (b *Broker) describeTopicPartitions(r *server.Request, req *kmsg.DescribeTopicPartitionsRequest) {
	resp := req.ResponseKind().(*kmsg.DescribeTopicPartitionsResponse)
	img := b.Controller.Image()
	names, all := wantedTopics(img, req)
	if c := req.Cursor; c != nil && (c.Partition < 0 || !all && !slices.Contains(names, c.Topic)) {
		for _, t := range req.Topics {
			out := describedFailure(t.Topic, kerr.InvalidRequest)
			out.AuthorizedOperations = noAuthorizedOperations
			resp.Topics = append(resp.Topics, out)
		}
		r.Reply(resp)
		return
	}
	left := max(min(pageMax, int(req.ResponsePartitionLimit)), 1)
	for _, name := range names {
		first := 0
		if req.Cursor != nil && req.Cursor.Topic == name {
			first = int(req.Cursor.Partition)
		}
		if left == 0 {
			resp.NextCursor = cursorAt(name, first)
			break
		}
		t := img.Topic(name)
		if t == nil {
			if all { // it was deleted meanwhile
				continue
			}
			failure := kerr.UnknownTopicOrPartition
			if cluster.CheckTopicName(name) != "" {
				failure = kerr.InvalidTopicException
			}
			resp.Topics = append(resp.Topics, describedFailure(name, failure))
			continue
		}
		end := min(len(t.Partitions), first+left)
		resp.Topics = append(resp.Topics, b.describePage(t, first, end))
		left -= max(end-first, 0)
		if end < len(t.Partitions) {
			resp.NextCursor = cursorAt(name, end)
			break
		}
	}
	r.Reply(resp)
}

// wantedTopics gives the names that a request is about, sorted, from its cursor on. all: it named none.
func wantedTopics(img *cluster.Image, req *kmsg.DescribeTopicPartitionsRequest) (names []string, all bool) {
	if all = len(req.Topics) == 0; all {
		for t := range img.Topics() {
			names = append(names, t.Name)
		}
	}
	for _, t := range req.Topics {
		names = append(names, t.Topic)
	}
	slices.Sort(names)
	names = slices.Compact(names)
	if req.Cursor != nil {
		at, _ := slices.BinarySearch(names, req.Cursor.Topic)
		names = names[at:]
	}
	return names, all
}

func cursorAt(topic string, partition int) *kmsg.DescribeTopicPartitionsResponseNextCursor {
	c := kmsg.NewDescribeTopicPartitionsResponseNextCursor()
	c.Topic, c.Partition = topic, int32(partition)
	return &c
}

func describedFailure(name string, err *kerr.Error) kmsg.DescribeTopicPartitionsResponseTopic {
	out := kmsg.NewDescribeTopicPartitionsResponseTopic()
	out.Topic, out.ErrorCode, out.AuthorizedOperations = &name, err.Code, topicOperations
	return out
}

// describePage describes the partitions [first, end) of a topic.
func (b *Broker) describePage(t *cluster.Topic, first, end int) kmsg.DescribeTopicPartitionsResponseTopic {
	out := kmsg.NewDescribeTopicPartitionsResponseTopic()
	out.Topic, out.TopicID, out.IsInternal, out.AuthorizedOperations = &t.Name, t.ID, t.Internal(), topicOperations
	for number := first; number < end; number++ {
		part := kmsg.NewDescribeTopicPartitionsResponseTopicPartition()
		v := b.leaderOf(t, int32(number))
		part.Partition, part.LeaderID, part.LeaderEpoch = int32(number), v.leader, v.epoch
		part.Replicas, part.ISR, part.OfflineReplicas = t.Partitions[number].Replicas, v.inSync, v.offline
		part.EligibleLeaderReplicas, part.LastKnownELR = []int32{}, []int32{}
		if v.leader < 0 {
			part.ErrorCode = kerr.LeaderNotAvailable.Code
		}
		out.Partitions = append(out.Partitions, part)
	}
	return out
}
