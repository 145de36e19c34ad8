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
	// BeginAnew lets a partition begin with nothing whose only replica was on a disk that is lost. done is called as by Transfer.
	BeginAnew(topic *cluster.Topic, partition int32, done func(error))
}

// The types of elections.
const (
	preferredElection = 0
	uncleanElection   = 1
)

// electLeaders answers ElectLeaders 0–2.
func (b *Broker) electLeaders(r *server.Request, req *kmsg.ElectLeadersRequest) {
	e := &electionRound{img: b.Controller.Image(), leaderOf: b.leaderOf, elections: b.Elections}
	e.resp = req.ResponseKind().(*kmsg.ElectLeadersResponse)
	e.hold(req)
	e.run(func() { r.Reply(e.resp) })
}

// electionRound decides over all partitions of a request, moves leaderships side by side, and answers when the last one is
// moved or could not be.
type electionRound struct {
	img       *cluster.Image
	leaderOf  func(*cluster.Topic, int32) leaderView
	elections Elections // nil: leadership cannot be moved
	resp      *kmsg.ElectLeadersResponse
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

// hold decides over the partitions of a request. Of all topics, partitions that need no election are left out.
func (e *electionRound) hold(req *kmsg.ElectLeadersRequest) {
	known := req.ElectionType == preferredElection || req.ElectionType == uncleanElection
	if !known && (req.Topics == nil || len(req.Topics) > 0) { // Kafka does not look at the type when it is asked for nothing
		e.resp.ErrorCode = kerr.InvalidRequest.Code
	}
	if req.Topics == nil && known {
		for t := range e.img.Topics() {
			e.topic(t.Name)
			for number := range t.Partitions {
				if v := e.decide(t, t.Name, int32(number), req.ElectionType); v.ke != kerr.ElectionNotNeeded {
					e.add(int32(number), v)
				}
			}
		}
	}
	for _, want := range req.Topics {
		e.topic(want.Topic)
		for _, number := range want.Partitions {
			if known {
				e.add(number, e.decide(e.img.Topic(want.Topic), want.Topic, number, req.ElectionType))
			} else {
				e.add(number, verdict{ke: kerr.InvalidRequest, text: fmt.Sprintf("Unknown election type %d", req.ElectionType)})
			}
		}
	}
}

func (e *electionRound) topic(name string) {
	out := kmsg.NewElectLeadersResponseTopic()
	out.Topic = name
	e.resp.Topics = append(e.resp.Topics, out)
}

func (e *electionRound) add(number int32, v verdict) {
	at := len(e.resp.Topics) - 1
	out := &e.resp.Topics[at]
	out.Partitions = append(out.Partitions, v.answer(number))
	if v.ke == nil {
		e.transfers = append(e.transfers, transfer{v, number, at, len(out.Partitions) - 1})
	}
}

// verdict is what is to be done about a partition: refused with an error, or its leadership moved.
type verdict struct {
	ke    *kerr.Error
	text  string
	topic *cluster.Topic
	to    int32
	anew  bool // it begins with nothing
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

// neverGivenUp is told who asks for an unclean election of what may come back.
const neverGivenUp = " Acknowledged records are never given up: start most of the partition's replicas, and they elect a leader."

// decide decides over one partition. An unclean election would give up what was acknowledged, which is never done: a
// partition whose replicas come back elects a leader by itself. But if there was one replica, and it is lost for good, nothing is given up.
func (e *electionRound) decide(t *cluster.Topic, name string, number int32, kind int8) verdict {
	switch {
	case t == nil:
		return verdict{ke: kerr.UnknownTopicOrPartition, text: "No such topic as " + name}
	case number < 0 || int(number) >= len(t.Partitions):
		return verdict{ke: kerr.UnknownTopicOrPartition, text: fmt.Sprintf("No such partition as %s-%d", name, number)}
	}
	v, preferred := e.leaderOf(t, number), t.Partitions[number].Replicas[0]
	switch {
	case kind == uncleanElection && v.leader < 0 && e.elections != nil && len(t.Partitions[number].Replicas) == 1 && len(v.offline) == 0:
		return verdict{topic: t, to: preferred, anew: true}
	case kind == uncleanElection && v.leader < 0:
		return verdict{ke: kerr.EligibleLeadersNotAvailable, text: *described(kerr.EligibleLeadersNotAvailable) + neverGivenUp}
	case kind == uncleanElection || v.leader == preferred:
		return refuse(kerr.ElectionNotNeeded)
	case v.leader < 0 || !slices.Contains(v.inSync, preferred) || e.elections == nil:
		return refuse(kerr.PreferredLeaderNotAvailable)
	}
	return verdict{topic: t, to: preferred}
}

// run moves the leaderships, and calls done when all is answered.
func (e *electionRound) run(done func()) {
	if e.left = len(e.transfers); e.left == 0 {
		done()
		return
	}
	for _, t := range e.transfers {
		e.do(t, func(err error) {
			e.mu.Lock()
			if err != nil {
				e.failed(t, err)
			}
			e.left--
			last := e.left == 0
			e.mu.Unlock()
			if last {
				done()
			}
		})
	}
}

func (e *electionRound) do(t transfer, done func(error)) {
	if t.anew {
		e.elections.BeginAnew(t.topic, t.number, done)
		return
	}
	e.elections.Transfer(t.topic, t.number, t.to, done)
}

func (e *electionRound) failed(t transfer, err error) {
	ke := kafkaError(err)
	if ke == nil {
		ke = kerr.PreferredLeaderNotAvailable
	}
	out := &e.resp.Topics[t.topicAt].Partitions[t.partition]
	text := *described(ke)
	if t.anew {
		text += neverGivenUp
	}
	out.ErrorCode, out.ErrorMessage = ke.Code, &text
}
