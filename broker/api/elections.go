package api

import (
	"fmt"
	"slices"
	"sync"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/weir/weir/broker/server"
	"github.com/weir/weir/cluster"
)

// Elections moves leadership.
type Elections interface {
	// Transfer makes the replica on broker to the leader of a partition, wherever the leader is now. done is called once,
	// nil when it leads; it must come in bounded time. Errors are Kafka's.
	Transfer(topic *cluster.Topic, partition int32, to int32, done func(error))
}

// The types of elections.
const (
	preferredElection = 0
	uncleanElection   = 1
)

// electLeaders answers ElectLeaders 0–2, when all leaderships that are to be moved are moved, or could not be. Asked about
// all topics, partitions that need no election are left out.
func (b *Broker) electLeaders(r *server.Request, req *kmsg.ElectLeadersRequest) {
	resp := req.ResponseKind().(*kmsg.ElectLeadersResponse)
	known := req.ElectionType == preferredElection || req.ElectionType == uncleanElection
	if !known && (req.Topics == nil || len(req.Topics) > 0) { // Kafka does not look at the type when it is asked for nothing
		resp.ErrorCode = kerr.InvalidRequest.Code
	}
	img := b.Controller.Image()
	round := &electionRound{answer: func() { r.Reply(resp) }}
	if req.Topics == nil && known {
		for t := range img.Topics() {
			out := kmsg.NewElectLeadersResponseTopic()
			out.Topic = t.Name
			for number := range t.Partitions {
				if v := b.election(t, t.Name, int32(number), req.ElectionType); v.ke != kerr.ElectionNotNeeded {
					out.Partitions = append(out.Partitions, v.answer(int32(number)))
					round.add(v, int32(number), len(resp.Topics), len(out.Partitions)-1)
				}
			}
			resp.Topics = append(resp.Topics, out)
		}
	}
	for _, want := range req.Topics {
		out := kmsg.NewElectLeadersResponseTopic()
		out.Topic = want.Topic
		for _, number := range want.Partitions {
			v := verdict{ke: kerr.InvalidRequest, text: fmt.Sprintf("Unknown election type %d", req.ElectionType)}
			if known {
				v = b.election(img.Topic(want.Topic), want.Topic, number, req.ElectionType)
			}
			out.Partitions = append(out.Partitions, v.answer(number))
			round.add(v, number, len(resp.Topics), len(out.Partitions)-1)
		}
		resp.Topics = append(resp.Topics, out)
	}
	round.run(b.Elections, resp)
}

// verdict is what is to be done about a partition: refused with an error, or its leadership moved.
type verdict struct {
	ke    *kerr.Error
	text  string
	topic *cluster.Topic
	to    int32
}

func (v verdict) answer(number int32) kmsg.ElectLeadersResponseTopicPartition {
	out := kmsg.NewElectLeadersResponseTopicPartition()
	out.Partition = number
	if v.ke != nil {
		out.ErrorCode, out.ErrorMessage = v.ke.Code, &v.text
	}
	return out
}

func refuse(ke *kerr.Error) verdict { return verdict{ke: ke, text: *described(ke)} }

// election decides over one partition. An unclean election would give up what was acknowledged, which is never done: a
// partition whose replicas come back elects a leader by itself.
func (b *Broker) election(t *cluster.Topic, name string, number int32, kind int8) verdict {
	switch {
	case t == nil:
		return verdict{ke: kerr.UnknownTopicOrPartition, text: "No such topic as " + name}
	case number < 0 || int(number) >= len(t.Partitions):
		return verdict{ke: kerr.UnknownTopicOrPartition, text: fmt.Sprintf("No such partition as %s-%d", name, number)}
	}
	v, preferred := b.leaderOf(t, number), t.Partitions[number].Replicas[0]
	switch {
	case kind == uncleanElection && v.leader < 0:
		return verdict{ke: kerr.EligibleLeadersNotAvailable, text: *described(kerr.EligibleLeadersNotAvailable) +
			" Weir never gives up acknowledged records: start most of the partition's replicas, and they elect a leader."}
	case kind == uncleanElection || v.leader == preferred:
		return refuse(kerr.ElectionNotNeeded)
	case v.leader < 0 || !slices.Contains(v.inSync, preferred) || b.Elections == nil:
		return refuse(kerr.PreferredLeaderNotAvailable)
	}
	return verdict{topic: t, to: preferred}
}

// electionRound moves leaderships side by side, and answers when the last one is done.
type electionRound struct {
	answer    func()
	transfers []transfer

	mu   sync.Mutex
	left int
}

// transfer is a leadership to be moved, and where its result belongs in the answer.
type transfer struct {
	verdict
	number             int32
	topicAt, partition int
}

func (e *electionRound) add(v verdict, number int32, topicAt, partition int) {
	if v.ke == nil {
		e.transfers = append(e.transfers, transfer{v, number, topicAt, partition})
	}
}

func (e *electionRound) run(elections Elections, resp *kmsg.ElectLeadersResponse) {
	if len(e.transfers) == 0 {
		e.answer()
		return
	}
	e.left = len(e.transfers)
	for _, t := range e.transfers {
		elections.Transfer(t.topic, t.number, t.to, func(err error) {
			if err != nil {
				ke := kafkaError(err)
				if ke == nil {
					ke = kerr.PreferredLeaderNotAvailable
				}
				out := &resp.Topics[t.topicAt].Partitions[t.partition]
				out.ErrorCode, out.ErrorMessage = ke.Code, described(ke)
			}
			e.mu.Lock()
			e.left--
			last := e.left == 0
			e.mu.Unlock()
			if last {
				e.answer()
			}
		})
	}
}
