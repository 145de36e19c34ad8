package api

import (
	"fmt"
	"slices"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/weir/weir/broker/server"
	"github.com/weir/weir/cluster"
)

// alterPartitionAssignments answers AlterPartitionReassignments 0–1. Partitions are already on the only broker there is, so
// whoever asks for that has it, and anything else is refused.
func (b *Broker) alterPartitionAssignments(r *server.Request, req *kmsg.AlterPartitionAssignmentsRequest) {
	resp := req.ResponseKind().(*kmsg.AlterPartitionAssignmentsResponse)
	img := b.Controller.Image()
	for _, t := range req.Topics {
		out := kmsg.NewAlterPartitionAssignmentsResponseTopic()
		out.Topic = t.Topic
		for _, p := range t.Partitions {
			part := kmsg.NewAlterPartitionAssignmentsResponseTopicPartition()
			part.Partition = p.Partition
			if ke, text := checkAssignment(img, t.Topic, p); ke != nil {
				part.ErrorCode = ke.Code
				if text != "" {
					part.ErrorMessage = &text
				}
			}
			out.Partitions = append(out.Partitions, part)
		}
		resp.Topics = append(resp.Topics, out)
	}
	r.Reply(resp)
}

func checkAssignment(img *cluster.Image, topic string, p kmsg.AlterPartitionAssignmentsRequestTopicPartition) (*kerr.Error, string) {
	t := img.Topic(topic)
	switch {
	case t == nil:
		return kerr.UnknownTopicOrPartition, fmt.Sprintf("Unable to find a topic named %s.", topic)
	case p.Partition < 0 || int(p.Partition) >= len(t.Partitions):
		return kerr.UnknownTopicOrPartition, fmt.Sprintf("Unable to find partition %s:%d.", topic, p.Partition)
	case p.Replicas == nil: // cancel
		return kerr.NoReassignmentInProgress, ""
	case len(p.Replicas) == 0:
		return kerr.InvalidReplicaAssignment, "The manual partition assignment includes an empty replica list."
	}
	sorted := slices.Sorted(slices.Values(p.Replicas))
	for i, broker := range sorted {
		if img.Broker(broker) == nil {
			return kerr.InvalidReplicaAssignment, fmt.Sprintf("The manual partition assignment includes broker %d, but no such broker is registered.", broker)
		}
		if i > 0 && sorted[i-1] == broker {
			return kerr.InvalidReplicaAssignment, fmt.Sprintf("The manual partition assignment includes the broker %d more than once.", broker)
		}
	}
	return nil, ""
}

// listPartitionReassignments answers ListPartitionReassignments 0: nothing moves on one node.
func (b *Broker) listPartitionReassignments(r *server.Request, req *kmsg.ListPartitionReassignmentsRequest) {
	r.Reply(req.ResponseKind())
}
