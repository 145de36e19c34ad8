package api

import (
	"fmt"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/weir/weir/broker/server"
	"github.com/weir/weir/cluster"
)

// electLeaders answers ElectLeaders 0–2. A partition whose only replica is here is led by it or by nobody, so an election
// is either not needed or not possible. Asked about all topics, partitions that need none are left out.
func (b *Broker) electLeaders(r *server.Request, req *kmsg.ElectLeadersRequest) {
	resp := req.ResponseKind().(*kmsg.ElectLeadersResponse)
	known := req.ElectionType == 0 || req.ElectionType == 1
	if !known && (req.Topics == nil || len(req.Topics) > 0) { // Kafka does not look at the type when it is asked for nothing
		resp.ErrorCode = kerr.InvalidRequest.Code
	}
	img := b.Controller.Image()
	if req.Topics == nil && known {
		for t := range img.Topics() {
			out := kmsg.NewElectLeadersResponseTopic()
			out.Topic = t.Name
			for number := range t.Partitions {
				if ke, text := b.election(t, t.Name, int32(number), req.ElectionType); ke != kerr.ElectionNotNeeded {
					out.Partitions = append(out.Partitions, elected(int32(number), ke, text))
				}
			}
			resp.Topics = append(resp.Topics, out)
		}
	}
	for _, want := range req.Topics {
		out := kmsg.NewElectLeadersResponseTopic()
		out.Topic = want.Topic
		for _, number := range want.Partitions {
			ke, text := kerr.InvalidRequest, fmt.Sprintf("Unknown election type %d", req.ElectionType)
			if known {
				ke, text = b.election(img.Topic(want.Topic), want.Topic, number, req.ElectionType)
			}
			out.Partitions = append(out.Partitions, elected(number, ke, text))
		}
		resp.Topics = append(resp.Topics, out)
	}
	r.Reply(resp)
}

func elected(number int32, ke *kerr.Error, text string) kmsg.ElectLeadersResponseTopicPartition {
	out := kmsg.NewElectLeadersResponseTopicPartition()
	out.Partition, out.ErrorCode, out.ErrorMessage = number, ke.Code, &text
	return out
}

func (b *Broker) election(t *cluster.Topic, name string, number int32, kind int8) (*kerr.Error, string) {
	switch {
	case t == nil:
		return kerr.UnknownTopicOrPartition, "No such topic as " + name
	case number < 0 || int(number) >= len(t.Partitions):
		return kerr.UnknownTopicOrPartition, fmt.Sprintf("No such partition as %s-%d", name, number)
	case b.leaderOf(t, number).leader >= 0:
		return kerr.ElectionNotNeeded, *described(kerr.ElectionNotNeeded)
	case kind == 0:
		return kerr.PreferredLeaderNotAvailable, *described(kerr.PreferredLeaderNotAvailable)
	}
	return kerr.EligibleLeadersNotAvailable, *described(kerr.EligibleLeadersNotAvailable)
}
