package group

import (
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/twmb/franz-go/pkg/kmsg"
)

func TestB102DeleteGroups(t *testing.T) {
	w := newWorld(t)
	c, gone := w.consumer("used"), w.consumer("gone")
	w.stable(c)
	w.stable(gone)
	for _, g := range []string{"simple", "gone", "used"} {
		if g == "gone" {
			expect(t, "leave", gone.leave(), 0)
		}
		if g == "used" {
			expect(t, "commit", c.commit("orders", 1), 0)
			continue
		}
		expect(t, "commit", w.commitFor(g, "orders", 1), 0)
	}
	req := kmsg.NewPtrDeleteGroupsRequest()
	req.Version, req.Groups = 3, []string{"simple", "gone", "used", "unknown", ""}
	var got []int16
	for i, g := range ask[*kmsg.DeleteGroupsResponse](w, req).Groups {
		expect(t, "group", g.Group, req.Groups[i])
		expect(t, "has a message", g.ErrorMessage != nil, g.ErrorCode != 0)
		got = append(got, g.ErrorCode)
	}
	if want := []int16{0, 0, 68, 69, 69}; !slices.Equal(got, want) {
		t.Fatalf("errors %v, want %v", got, want)
	}
	for range 2 {
		expect(t, "offset", w.offset("simple", "orders"), -1)
		expect(t, "state", w.state("simple"), "Dead")
		expect(t, "state", w.state("gone"), "Dead")
		expect(t, "state", w.state("used"), "Stable "+c.id)
		expect(t, "offset", w.offset("used", "orders"), 1)
		w.start()
	}
	expect(t, "a deleted group may come again", w.commitFor("simple", "orders", 2), 0)
	expect(t, "offset", w.offset("simple", "orders"), 2)
}

func TestB102DeletedGroupForgetsPendingMembers(t *testing.T) {
	w := newWorld(t)
	c := w.consumer("g")
	c.id = answer[*kmsg.JoinGroupResponse](w.send(c.joinRequest())).MemberID
	req := kmsg.NewPtrDeleteGroupsRequest()
	req.Groups = []string{"g"}
	expect(t, "delete", ask[*kmsg.DeleteGroupsResponse](w, req).Groups[0].ErrorCode, 0)
	expect(t, "join", joinError(w.send(c.joinRequest())), 25)
	w.pass(time.Hour)
}

func TestB102OffsetDelete(t *testing.T) {
	for name, test := range map[string]struct {
		group string
		whole int16            // the error
		topic map[string]int16 // the errors of topics
	}{
		"unknown":              {"unknown", 69, nil},
		"empty group id":       {"", 24, nil},
		"other protocol type":  {"connect", 68, nil},
		"active":               {"active", 0, map[string]int16{"orders": 86, "payments": 0}},
		"subscription unclear": {"unclear", 0, map[string]int16{"orders": 86, "payments": 86}},
		"empty":                {"empty", 0, map[string]int16{"orders": 0, "payments": 0}},
		"simple":               {"simple", 0, map[string]int16{"orders": 0, "payments": 0}},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			active, empty, unclear := w.consumer("active"), w.consumer("empty"), w.consumer("unclear")
			unclear.protocols = []kmsg.JoinGroupRequestProtocol{protocol("range", nil)}
			for _, topic := range []string{"orders", "payments"} {
				for _, g := range []string{"active", "empty", "simple", "unclear"} {
					expect(t, "commit", w.commitFor(g, topic, 5), 0)
				}
			}
			w.stable(empty)
			empty.leave()
			worker := w.consumer("connect").joinRequest()
			worker.Version, worker.ProtocolType = 3, "other"
			w.send(worker)
			w.stable(active)
			w.stable(unclear)
			req := kmsg.NewPtrOffsetDeleteRequest()
			req.Group = test.group
			for _, topic := range []string{"orders", "payments"} {
				d := kmsg.NewOffsetDeleteRequestTopic()
				d.Topic = topic
				for _, n := range []int32{0, 1} { // of which only one has an offset
					p := kmsg.NewOffsetDeleteRequestTopicPartition()
					p.Partition = n
					d.Partitions = append(d.Partitions, p)
				}
				req.Topics = append(req.Topics, d)
			}
			resp := ask[*kmsg.OffsetDeleteResponse](w, req)
			expect(t, "error", resp.ErrorCode, test.whole)
			expect(t, "topics", len(resp.Topics), len(test.topic))
			w.start()
			for _, topic := range resp.Topics {
				want := int64(5)
				if test.topic[topic.Topic] == 0 {
					want = -1
				}
				expect(t, "offset", w.offset(test.group, topic.Topic), want)
				for _, p := range topic.Partitions {
					expect(t, "error", p.ErrorCode, test.topic[topic.Topic])
				}
			}
		})
	}
}

func TestB104DescribeUnknownGroup(t *testing.T) {
	w := newWorld(t)
	for version := int16(0); version <= 6; version++ {
		req := kmsg.NewPtrDescribeGroupsRequest()
		req.Version, req.Groups = version, []string{"x"}
		g := ask[*kmsg.DescribeGroupsResponse](w, req).Groups[0]
		expect(t, "state", g.State, "Dead")
		if version < 6 {
			expect(t, "error", g.ErrorCode, 0)
			continue
		}
		expect(t, "error", g.ErrorCode, 69)
		expect(t, "message", *g.ErrorMessage, "Group x not found.")
	}
}

func TestB104DescribeGroup(t *testing.T) {
	w := newWorld(t)
	a, b := w.static("g", "a"), w.consumer("g")
	w.stable(a, b)
	describe := func() kmsg.DescribeGroupsResponseGroup { g := w.describe("g"); return g }
	want := kmsg.NewDescribeGroupsResponseGroup()
	want.Group, want.State, want.ProtocolType, want.Protocol = "g", "Stable", "consumer", "range"
	for i, c := range []*consumer{a, b} {
		m := kmsg.NewDescribeGroupsResponseGroupMember()
		m.MemberID, m.InstanceID, m.ClientID, m.ClientHost = c.id, c.instance, "client", "/10.0.0.1"
		m.ProtocolMetadata, m.MemberAssignment = c.protocols[0].Metadata, []byte{'p', 'a', 'r', 't', ' ', byte('0' + i)}
		want.Members = append(want.Members, m)
	}
	same := cmp.AllowUnexported(kmsg.Tags{})
	if d := cmp.Diff(want, describe(), same); d != "" {
		t.Fatalf("stable (-want +got):\n%s", d)
	}
	w.start()
	if d := cmp.Diff(want, describe(), same); d != "" {
		t.Fatalf("after a restart (-want +got):\n%s", d)
	}
	// In a rebalance there is no protocol and no metadata, but still the last assignment.
	again := a.join()
	want.State, want.Protocol = "PreparingRebalance", ""
	for i := range want.Members {
		want.Members[i].ProtocolMetadata = []byte{}
	}
	if d := cmp.Diff(want, describe(), same); d != "" {
		t.Fatalf("in a rebalance (-want +got):\n%s", d)
	}
	expect(t, "leave", b.leave(), 0)
	a.joined(again)
	expect(t, "state", describe().State, "CompletingRebalance")
}

func TestB104ListGroups(t *testing.T) {
	w := newWorld(t)
	a, b := w.consumer("stable"), w.consumer("left")
	w.stable(a)
	w.stable(b)
	b.leave()
	w.commitFor("simple", "orders", 1)
	w.consumer("preparing").join()
	for name, test := range map[string]struct {
		states, types []string
		want          []string
	}{
		"all":            {nil, nil, []string{"left", "preparing", "simple", "stable"}},
		"a state":        {[]string{"Empty"}, nil, []string{"left", "simple"}},
		"in any case":    {[]string{"stABLE", "preparingrebalance"}, nil, []string{"preparing", "stable"}},
		"unknown state":  {[]string{"Assigning"}, nil, nil},
		"a type":         {nil, []string{"Classic"}, []string{"left", "preparing", "simple", "stable"}},
		"another type":   {nil, []string{"consumer", "share"}, nil},
		"state and type": {[]string{"Stable"}, []string{"classic", "consumer"}, []string{"stable"}},
	} {
		t.Run(name, func(t *testing.T) {
			req := kmsg.NewPtrListGroupsRequest()
			req.Version, req.StatesFilter, req.TypesFilter = 5, test.states, test.types
			var got []string
			for _, g := range ask[*kmsg.ListGroupsResponse](w, req).Groups {
				got = append(got, g.Group)
				expect(t, "type", g.GroupType, "classic")
				expect(t, "state", g.GroupState, w.describe(g.Group).State)
				expect(t, "protocol type", g.ProtocolType, w.describe(g.Group).ProtocolType)
			}
			if !slices.Equal(got, test.want) {
				t.Fatalf("groups %v, want %v", got, test.want)
			}
		})
	}
}

func TestSummaries(t *testing.T) {
	w := newWorld(t)
	at := w.now.Local()
	w.commitFor("b", "orders", 7)
	a := w.consumer("a")
	w.stable(a)
	want := []Summary{
		{Group: "a", State: Stable, ProtocolType: "consumer", Generation: 1, Members: 1},
		{Group: "b", State: Empty, Offsets: []Committed{{Topic: "orders", Offset: 7, Time: at}}},
	}
	if d := cmp.Diff(want, w.m.Groups()); d != "" {
		t.Fatalf("(-want +got):\n%s", d)
	}
}

func TestUnknownRequestsAreABug(t *testing.T) {
	for _, req := range []any{nil, Request{Body: kmsg.NewPtrFetchRequest()}} {
		func() {
			defer func() {
				if recover() == nil {
					t.Fatalf("%v was taken", req)
				}
			}()
			newWorld(t).m.Handle(time.Time{}, 1, req)
		}()
	}
}
