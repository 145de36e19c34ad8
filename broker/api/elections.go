package api

import (
	"fmt"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/weir/weir/broker/server"
	"github.com/weir/weir/cluster"
)

// electLeaders answers ElectLeaders 0–2. A partition whose only replica is here is led by it or by nobody, so an election
// is either not needed or not possible. Asked about all partitions, those that need none are left out.
func (b *Broker) electLeaders(r *server.Request, req *kmsg.ElectLeadersRequest) {
	resp := req.ResponseKind().(*kmsg.ElectLeadersResponse)
	if req.ElectionType != 0 && req.ElectionType != 1 {
		resp.ErrorCode = kerr.InvalidRequest.Code
		r.Reply(resp)
		return
	}
	img := b.Controller.Image()
	add := func(topic string, number int32, ke *kerr.Error, text string) {
		if n := len(resp.Topics); n == 0 || resp.Topics[n-1].Topic != topic {
			t := kmsg.NewElectLeadersResponseTopic()
			t.Topic = topic
			resp.Topics = append(resp.Topics, t)
		}
		t := &resp.Topics[len(resp.Topics)-1]
		part := kmsg.NewElectLeadersResponseTopicPartition()
		part.Partition, part.ErrorCode, part.ErrorMessage = number, ke.Code, &text
		t.Partitions = append(t.Partitions, part)
	}
	if req.Topics == nil {
		for t := range img.Topics() {
			for number := range t.Partitions {
				if ke, text := b.election(t, t.Name, int32(number), req.ElectionType); ke != kerr.ElectionNotNeeded {
					add(t.Name, int32(number), ke, text)
				}
			}
		}
	}
	for _, want := range req.Topics {
		for _, number := range want.Partitions {
			ke, text := b.election(img.Topic(want.Topic), want.Topic, number, req.ElectionType)
			add(want.Topic, number, ke, text)
		}
	}
	r.Reply(resp)
}

func (b *Broker) election(t *cluster.Topic, name string, number int32, kind int8) (*kerr.Error, string) {
	switch {
	case t == nil:
		return kerr.UnknownTopicOrPartition, "No such topic as " + name
	case number < 0 || int(number) >= len(t.Partitions):
		return kerr.UnknownTopicOrPartition, fmt.Sprintf("No such partition as %s-%d", name, number)
	case b.leaderOf(t, number).leader >= 0:
		return kerr.ElectionNotNeeded, kerr.ElectionNotNeeded.Description
	case kind == 0:
		return kerr.PreferredLeaderNotAvailable, kerr.PreferredLeaderNotAvailable.Description
	}
	return kerr.EligibleLeadersNotAvailable, kerr.EligibleLeadersNotAvailable.Description
}

// listPartitionReassignments answers ListPartitionReassignments 0: nothing moves on one node.
func (b *Broker) listPartitionReassignments(r *server.Request, req *kmsg.ListPartitionReassignmentsRequest) {
	r.Reply(req.ResponseKind())
}
