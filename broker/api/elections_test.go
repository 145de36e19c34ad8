package api

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/weir/weir/cluster"
)

// lateElections keeps what is asked for, to be answered later.
type lateElections struct {
	asked []string
	done  []func(error)
}

func (e *lateElections) Transfer(t *cluster.Topic, partition, to int32, done func(error)) {
	e.asked = append(e.asked, fmt.Sprintf("%s-%d to %d", t.Name, partition, to))
	e.done = append(e.done, done)
}

func (e *lateElections) BeginAnew(t *cluster.Topic, partition int32, done func(error)) {
	e.asked = append(e.asked, fmt.Sprintf("%s-%d anew", t.Name, partition))
	e.done = append(e.done, done)
}

// answers describes the answer to an election.
func answers(resp *kmsg.ElectLeadersResponse) string {
	var out []string
	for _, t := range resp.Topics {
		for _, p := range t.Partitions {
			text := fmt.Sprintf("%s-%d %d", t.Topic, p.Partition, p.ErrorCode)
			if p.ErrorMessage != nil {
				text += " " + *p.ErrorMessage
			}
			out = append(out, text)
		}
	}
	return strings.Join(out, "\n")
}

// electionOf begins a round in a cluster where a-0 has its preferred leader, a-1 another one, a-2 too, its preferred leader
// being out of sync, and a-3 none. one-0 and one-1 have one replica each, and no leader.
func electionOf(t *testing.T, elections Elections, kind int8, topics []kmsg.ElectLeadersRequestTopic) *electionRound {
	c := newDirectController(t, 3)
	c.topic("a", []int32{1, 2}, []int32{2, 1}, []int32{3, 1}, []int32{3, 2})
	c.topic("one", []int32{3}, []int32{3})
	views := []leaderView{{leader: 1, inSync: []int32{1, 2}}, {leader: 1, inSync: []int32{1, 2}}, {leader: 1, inSync: []int32{1}}, {leader: -1, inSync: []int32{}}}
	req := kmsg.NewPtrElectLeadersRequest()
	req.ElectionType, req.Topics = kind, topics
	e := &electionRound{
		img: c.Image(), leaderOf: func(t *cluster.Topic, number int32) leaderView {
			if t.Name == "one" { // the second one's broker is away
				return leaderView{leader: -1, inSync: []int32{}, offline: make([]int32, number)}
			}
			return views[number]
		}, elections: elections,
		resp: req.ResponseKind().(*kmsg.ElectLeadersResponse),
	}
	e.hold(req)
	return e
}

func TestElections(t *testing.T) {
	named := func(topic string, partitions ...int32) []kmsg.ElectLeadersRequestTopic {
		return []kmsg.ElectLeadersRequestTopic{{Topic: topic, Partitions: partitions}}
	}
	const notNeeded, noPreferred = "84 Leader election not needed for topic partition.", "80 The preferred leader was not available."
	const unclean = "83 Eligible topic partition leaders are not available. Acknowledged records are never given up: start most of the partition's replicas, and they elect a leader."
	for name, c := range map[string]struct {
		kind   int8
		topics []kmsg.ElectLeadersRequestTopic
		none   bool // leadership cannot be moved
		moved  []string
		want   string
	}{
		"preferred":            {0, named("a", 3, 2, 1, 0), false, []string{"a-1 to 2"}, "a-3 " + noPreferred + "\na-2 " + noPreferred + "\na-1 0\na-0 " + notNeeded},
		"preferred, all":       {0, nil, false, []string{"a-1 to 2"}, "a-1 0\na-2 " + noPreferred + "\na-3 " + noPreferred + "\none-0 " + noPreferred + "\none-1 " + noPreferred},
		"unclean":              {1, named("a", 0, 1, 2, 3), false, nil, "a-0 " + notNeeded + "\na-1 " + notNeeded + "\na-2 " + notNeeded + "\na-3 " + unclean},
		"unclean, all":         {1, nil, false, []string{"one-0 anew"}, "a-3 " + unclean + "\none-0 0\none-1 " + unclean},
		"unknown topic":        {0, named("b", 0), false, nil, "b-0 3 No such topic as b"},
		"unknown partition":    {0, named("a", -1, 4), false, nil, "a--1 3 No such partition as a--1\na-4 3 No such partition as a-4"},
		"unclean, one replica": {1, named("one", 0, 1), false, []string{"one-0 anew"}, "one-0 0\none-1 " + unclean},
		"cannot be moved":      {0, named("a", 1), true, nil, "a-1 " + noPreferred},
	} {
		elections := &lateElections{}
		e := electionOf(t, elections, c.kind, c.topics)
		if c.none {
			e = electionOf(t, nil, c.kind, c.topics)
		}
		answered := 0
		e.run(func() { answered++ })
		if want := len(c.moved) == 0; want != (answered == 1) {
			t.Errorf("%s: answered %d times before leaderships were moved", name, answered)
		}
		for _, done := range elections.done {
			done(nil)
		}
		if answered != 1 || !slices.Equal(elections.asked, c.moved) {
			t.Errorf("%s: answered %d times, moved %v", name, answered, elections.asked)
		}
		if got := answers(e.resp); got != c.want || e.resp.ErrorCode != 0 {
			t.Errorf("%s: %s, want %s", name, got, c.want)
		}
	}
}

func TestElectionTypes(t *testing.T) {
	if e := electionOf(t, nil, 7, nil); e.resp.ErrorCode != 42 || e.resp.Topics != nil {
		t.Errorf("%+v", e.resp)
	}
	if e := electionOf(t, nil, 7, []kmsg.ElectLeadersRequestTopic{}); e.resp.ErrorCode != 0 {
		t.Errorf("of nothing: %+v", e.resp)
	}
}

// TestElectionsThatFail are answered with their errors, when the last one is known.
func TestElectionsThatFail(t *testing.T) {
	for want, err := range map[string]error{
		"a-1 7 " + *described(kerr.RequestTimedOut):      fmt.Errorf("moving: %w", kerr.RequestTimedOut),
		"a-1 80 The preferred leader was not available.": errors.New("the disk is full"),
	} {
		elections := &lateElections{}
		e := electionOf(t, elections, 0, []kmsg.ElectLeadersRequestTopic{{Topic: "a", Partitions: []int32{1, 1}}})
		answered := 0
		e.run(func() { answered++ })
		elections.done[1](nil)
		if answered != 0 {
			t.Error("answered before all is known")
		}
		elections.done[0](err)
		if got := answers(e.resp); answered != 1 || got != want+"\na-1 0" {
			t.Errorf("%s, want %s", got, want)
		}
	}
}
