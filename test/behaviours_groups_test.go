package test

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// TestBehaviour091TwoStepJoin: newer clients get an id first, and join with it.
func TestBehaviour091TwoStepJoin(t *testing.T) {
	n := shared(t)
	for version := range int16(10) {
		m := &member{n: n, group: n.newGroup(), topic: "t"}
		first := mustAsk[*kmsg.JoinGroupResponse](n, m.joinRequest(), version)
		if version >= 4 {
			if first.ErrorCode != 79 || first.Generation != -1 || !strings.HasPrefix(first.MemberID, "test-") {
				t.Fatalf("version %d: %+v", version, first)
			}
			if got := n.describeGroup(m.group); len(got.Members) != 0 {
				t.Errorf("version %d: there is a member already: %+v", version, got)
			}
			m.id = first.MemberID
			first = mustAsk[*kmsg.JoinGroupResponse](n, m.joinRequest(), version)
		}
		if first.ErrorCode != 0 || first.Generation != 1 || first.LeaderID != first.MemberID || len(first.Members) != 1 || text(first.Protocol) != "range" {
			t.Errorf("version %d: %+v", version, first)
		}
		if want := map[bool]string{true: "consumer", false: "<null>"}[version >= 7]; text(first.ProtocolType) != want {
			t.Errorf("version %d: protocol type %s", version, text(first.ProtocolType))
		}
		m.take(first)
		wants(t, "leaving", m.leave(), 0)
	}
	stranger := &member{n: n, group: n.newGroup(), id: "made-up", topic: "t"}
	wants(t, "an id that nobody gave", (<-stranger.join()).ErrorCode, 25)
}

// TestBehaviour092InitialRebalanceDelay: members that come at the same time are in the first generation together.
func TestBehaviour092InitialRebalanceDelay(t *testing.T) {
	n := start(t, "group.initial.rebalance.delay.ms=700")
	members := n.newMembers(n.newGroup(), "t", 3)
	var answers []chan *kmsg.JoinGroupResponse
	for _, m := range members {
		answers = append(answers, m.join())
	}
	for i, answer := range answers {
		members[i].take(<-answer)
	}
	for i, m := range members {
		if m.generation != 1 || m.leader != members[0].leader || m.leads() != (len(m.others) == 3) {
			t.Errorf("member %d is in generation %d: %+v", i, m.generation, m)
		}
	}
	c, _ := n.describeConfigs(brokerResource, n.brokerName(), "group.initial.rebalance.delay.ms")
	if got := shown(c["group.initial.rebalance.delay.ms"]); !strings.HasSuffix(got, "=3000 5") {
		t.Errorf("by default it is not three seconds: %s", got)
	}
}

func TestBehaviour093LeaderAndFollowers(t *testing.T) {
	n := shared(t)
	members := n.newMembers(n.newGroup(), "t", 3)
	for i, m := range members {
		m.topic = fmt.Sprintf("t%d", i)
	}
	form(members...)
	for i, m := range members {
		if m.generation != 3 || m.leader != members[0].id || m.leads() != (len(m.others) == 3) || !m.leads() && len(m.others) != 0 {
			t.Fatalf("member %d: %+v", i, m)
		}
	}
	for _, o := range members[0].others {
		i := slices.IndexFunc(members, func(m *member) bool { return m.id == o.MemberID })
		if i < 0 || string(o.ProtocolMetadata) != string(subscription(members[i].topic)) {
			t.Errorf("the leader is told: %+v", o)
		}
	}
	if got := n.describeGroup(members[0].group); got.State != "CompletingRebalance" || got.Protocol != "" {
		t.Errorf("before the assignment: %+v", got)
	}
	answers := make(chan *kmsg.SyncGroupResponse, 1)
	go func() { answers <- members[1].sync(nil) }() // waits for the leader
	opaque := "\x00\xff any bytes"
	led := members[0].sync(map[string]string{members[0].id: "mine", members[1].id: opaque, "nobody": "x"})
	if led.ErrorCode != 0 || string(led.MemberAssignment) != "mine" || text(led.Protocol) != "range" || text(led.ProtocolType) != "consumer" {
		t.Errorf("the leader: %+v", led)
	}
	if got := <-answers; got.ErrorCode != 0 || string(got.MemberAssignment) != opaque {
		t.Errorf("a follower: %+v", got)
	}
	if got := members[2].sync(nil); got.ErrorCode != 0 || len(got.MemberAssignment) != 0 {
		t.Errorf("who is assigned nothing: %+v", got)
	}
	got := n.describeGroup(members[0].group)
	if got.State != "Stable" || got.Protocol != "range" || got.ProtocolType != "consumer" || len(got.Members) != 3 {
		t.Errorf("described: %+v", got)
	}
	for _, d := range got.Members {
		i := slices.IndexFunc(members, func(m *member) bool { return m.id == d.MemberID })
		if i < 0 || d.ClientID != "test" || !strings.HasPrefix(d.ClientHost, "/127.0.0.1") || string(d.ProtocolMetadata) != string(subscription(members[i].topic)) ||
			string(d.MemberAssignment) != []string{"mine", opaque, ""}[i] {
			t.Errorf("described member: %+v", d)
		}
	}
	for _, m := range members {
		wants(t, "heartbeat", m.heartbeat(), 0)
	}
	// A follower that comes again unchanged is given the same generation; the leader begins a new one.
	members[1].take(<-members[1].join())
	if members[1].generation != 3 || members[1].leads() {
		t.Errorf("the follower again: %+v", members[1])
	}
	again := members[0].join()
	n.awaitState(members[0].group, "PreparingRebalance")
	wants(t, "heartbeat while it rebalances", members[1].heartbeat(), 27)
	wants(t, "sync while it rebalances", members[1].sync(nil).ErrorCode, 27)
	wants(t, "a member leaves", members[2].leave(), 0)
	follower := members[1].join()
	members[0].take(<-again)
	members[1].take(<-follower)
	if members[0].generation != 4 || len(members[0].others) != 2 {
		t.Errorf("the leader again: %+v", members[0])
	}
}

func TestBehaviour095JoinErrors(t *testing.T) {
	n := shared(t)
	group := n.newGroup()
	members := n.newMembers(group, "t", 4) // as many as group.max.size allows
	settle(members[:3]...)
	for name, c := range map[string]struct {
		change func(*kmsg.JoinGroupRequest)
		code   int16
	}{
		"no group":                    {func(r *kmsg.JoinGroupRequest) { r.Group = "" }, 24},
		"a session too short":         {func(r *kmsg.JoinGroupRequest) { r.SessionTimeoutMillis = 5999 }, 26},
		"a session too long":          {func(r *kmsg.JoinGroupRequest) { r.SessionTimeoutMillis = 1800001 }, 26},
		"another protocol type":       {func(r *kmsg.JoinGroupRequest) { r.ProtocolType = "connect" }, 23},
		"no protocol in common":       {func(r *kmsg.JoinGroupRequest) { r.Protocols[0].Name = "roundrobin" }, 23},
		"no protocols":                {func(r *kmsg.JoinGroupRequest) { r.Protocols = nil }, 23},
		"an unknown member":           {func(r *kmsg.JoinGroupRequest) { r.MemberID = "made-up" }, 25},
		"a new group, no protocols":   {func(r *kmsg.JoinGroupRequest) { r.Group, r.Protocols = unique("group"), nil }, 23},
		"a new group, no type":        {func(r *kmsg.JoinGroupRequest) { r.Group, r.ProtocolType = unique("group"), "" }, 23},
		"a new group, a member of it": {func(r *kmsg.JoinGroupRequest) { r.Group, r.MemberID = unique("group"), "made-up" }, 25},
	} {
		req := members[3].joinRequest()
		c.change(req)
		wants(t, name, mustAsk[*kmsg.JoinGroupResponse](n, req, 9).ErrorCode, c.code)
	}
	for _, m := range members[:3] {
		wants(t, "heartbeat of a member", m.heartbeat(), 0)
	}
	settle(members...)
	fifth := &member{n: n, group: group, topic: "t"}
	wants(t, "one too many", mustAsk[*kmsg.JoinGroupResponse](n, fifth.joinRequest(), 9).ErrorCode, 81)
	for _, m := range members {
		wants(t, "heartbeat of a member", m.heartbeat(), 0)
	}
}

func TestBehaviour096StaticMembers(t *testing.T) {
	n := shared(t)
	to := n.newTopic(1)
	group := n.newGroup()
	members := n.newMembers(group, to.name, 3)
	for i, m := range members {
		m.instance = value(fmt.Sprintf("instance-%d", i))
	}
	settle(members...)
	old := *members[1]
	members[1].id = "" // it restarts
	members[1].take(<-members[1].join())
	if members[1].id == old.id || members[1].generation != old.generation || members[1].leads() {
		t.Fatalf("after the restart: %+v, before %+v", members[1], old)
	}
	if got := members[1].sync(nil); got.ErrorCode != 0 || string(got.MemberAssignment) != assignment(1) {
		t.Errorf("its assignment: %+v", got)
	}
	if got := n.describeGroup(group).State; got != "Stable" {
		t.Errorf("the group is %s", got)
	}
	for _, m := range members {
		wants(t, "heartbeat", m.heartbeat(), 0)
	}
	// Whoever comes with the old id is fenced.
	wants(t, "the old one's heartbeat", old.heartbeat(), 82)
	wants(t, "the old one's sync", old.sync(nil).ErrorCode, 82)
	wants(t, "the old one's join", (<-old.join()).ErrorCode, 82)
	wants(t, "the old one's commit", old.commit(3), 82)
	wants(t, "the old one's leaving", old.leave(), 82)
	stranger := *members[1]
	stranger.instance = value("instance-7")
	wants(t, "an unknown instance", stranger.heartbeat(), 25)

	// The leader restarts: it is told that there is nothing to assign.
	members[0].id = ""
	back := <-members[0].join()
	if back.ErrorCode != 0 || !back.SkipAssignment || back.LeaderID != back.MemberID || back.Generation != old.generation {
		t.Errorf("the leader's restart: %+v", back)
	}
	members[0].take(back)
	if got := members[0].sync(nil); got.ErrorCode != 0 || string(got.MemberAssignment) != assignment(0) {
		t.Errorf("its assignment: %+v", got)
	}
	// With other topics it is a change for all.
	members[2].topic = "other"
	changed := members[2].join()
	n.awaitState(group, "PreparingRebalance")
	again := []chan *kmsg.JoinGroupResponse{members[0].join(), members[1].join()}
	members[2].take(<-changed)
	members[0].take(<-again[0])
	members[1].take(<-again[1])
	if members[0].generation != old.generation+1 {
		t.Errorf("generation %d after %d", members[0].generation, old.generation)
	}
	// An administrator takes instances out by their names.
	got := leave(n, group, kmsg.LeaveGroupRequestMember{InstanceID: value("instance-2")}, kmsg.LeaveGroupRequestMember{InstanceID: value("instance-9")},
		kmsg.LeaveGroupRequestMember{MemberID: "made-up", InstanceID: value("instance-1")}, kmsg.LeaveGroupRequestMember{MemberID: members[1].id})
	if !slices.Equal(got, []int16{0, 25, 82, 0}) {
		t.Errorf("leaving: %v", got)
	}
	if got := n.describeGroup(group); len(got.Members) != 1 || text(got.Members[0].InstanceID) != "instance-0" {
		t.Errorf("left are %+v", got.Members)
	}
}

// TestBehaviour098CooperativeRebalance: a partition is taken from one member before it is given to another, and what need
// not move stays.
func TestBehaviour098CooperativeRebalance(t *testing.T) {
	n := shared(t)
	to := n.newTopic(6)
	group := n.newGroup()
	var mu sync.Mutex
	owner := map[int32]int{}
	moved := 0
	held := func(who int) (count int) {
		mu.Lock()
		defer mu.Unlock()
		for _, o := range owner {
			if o == who {
				count++
			}
		}
		return count
	}
	join := func(who int) *kgo.Client {
		lose := func(_ context.Context, _ *kgo.Client, gone map[string][]int32) {
			mu.Lock()
			defer mu.Unlock()
			for _, p := range gone[to.name] {
				if owner[p] != who {
					t.Errorf("%d gives up partition %d of %d", who, p, owner[p])
				}
				delete(owner, p)
				moved++
			}
		}
		c := n.client(kgo.ConsumerGroup(group), kgo.ConsumeTopics(to.name), kgo.Balancers(kgo.CooperativeStickyBalancer()), kgo.HeartbeatInterval(50*time.Millisecond),
			kgo.OnPartitionsAssigned(func(_ context.Context, _ *kgo.Client, given map[string][]int32) {
				mu.Lock()
				defer mu.Unlock()
				for _, p := range given[to.name] {
					if o, taken := owner[p]; taken {
						t.Errorf("partition %d is given to %d while %d has it", p, who, o)
					}
					owner[p] = who
				}
			}), kgo.OnPartitionsRevoked(lose), kgo.OnPartitionsLost(lose))
		go func() {
			for !c.PollFetches(ctx(t)).IsClientClosed() {
			}
		}()
		return c
	}
	a := join(1)
	until(t, "the first has all", func() bool { return held(1) == 6 })
	b := join(2)
	until(t, "they share", func() bool { return held(1) == 3 && held(2) == 3 })
	mu.Lock()
	if moved != 3 {
		t.Errorf("%d partitions were taken away, three have moved", moved)
	}
	mu.Unlock()
	c := join(3)
	until(t, "the three share", func() bool { return held(1) == 2 && held(2) == 2 && held(3) == 2 })
	a.Close()
	until(t, "the others have all", func() bool { return held(2) == 3 && held(3) == 3 })
	b.Close()
	c.Close()
}

func TestBehaviour099OffsetCommit(t *testing.T) {
	n := shared(t)
	to := n.newTopic(1)
	group := n.newGroup()
	members := n.newMembers(group, to.name, 2)
	form(members...)
	wants(t, "while the assignment is made", members[0].commit(1), 27)
	wants(t, "the leader's sync", members[0].sync(nil).ErrorCode, 0)
	wants(t, "a member's commit", members[0].commit(2), 0)
	for name, c := range map[string]struct {
		change  func(*kmsg.OffsetCommitRequest)
		version int16
		code    int16
	}{
		"an older generation":  {func(r *kmsg.OffsetCommitRequest) { r.Generation-- }, 9, 22},
		"a generation to come": {func(r *kmsg.OffsetCommitRequest) { r.Generation++ }, 9, 22},
		"an unknown member":    {func(r *kmsg.OffsetCommitRequest) { r.MemberID = "made-up" }, 9, 25},
		"nobody":               {func(r *kmsg.OffsetCommitRequest) { r.MemberID, r.Generation = "", -1 }, 9, 25},
		"no member":            {func(r *kmsg.OffsetCommitRequest) { r.MemberID = "" }, 9, 25},
		"a note too long": {func(r *kmsg.OffsetCommitRequest) {
			r.Topics[0].Partitions[0].Metadata = value(strings.Repeat("x", 4097))
		}, 9, 12},
		"a long note": {func(r *kmsg.OffsetCommitRequest) {
			r.Topics[0].Partitions[0].Metadata = value(strings.Repeat("x", 4096))
		}, 9, 0},
		"no note":                  {func(r *kmsg.OffsetCommitRequest) { r.Topics[0].Partitions[0].Metadata = nil }, 9, 0},
		"no such topic":            {func(r *kmsg.OffsetCommitRequest) { r.Topics[0].Topic = unique("none") }, 9, 3},
		"no such partition":        {func(r *kmsg.OffsetCommitRequest) { r.Topics[0].Partitions[0].Partition = 5 }, 9, 3},
		"no such id":               {func(r *kmsg.OffsetCommitRequest) { r.Topics[0].TopicID = [16]byte{5} }, 10, 100},
		"by id":                    {func(r *kmsg.OffsetCommitRequest) { r.Topics[0].TopicID = to.id }, 10, 0},
		"a group without a name":   {func(r *kmsg.OffsetCommitRequest) { r.Group = "" }, 9, 69},
		"another group's member":   {func(r *kmsg.OffsetCommitRequest) { r.Group = unique("group") }, 9, 69},
		"the same, before that":    {func(r *kmsg.OffsetCommitRequest) { r.Group = unique("group") }, 8, 22},
		"an old client, by itself": {func(r *kmsg.OffsetCommitRequest) { r.Group, r.MemberID, r.Generation = unique("group"), "", -1 }, 2, 0},
	} {
		req := members[1].commitRequest(3)
		c.change(req)
		wants(t, name, mustAsk[*kmsg.OffsetCommitResponse](n, req, c.version).Topics[0].Partitions[0].ErrorCode, c.code)
	}
	if got := n.committed(group, to.name); got != 3 {
		t.Errorf("committed is %d", got)
	}
	for _, m := range members {
		wants(t, "leaving", m.leave(), 0)
	}
	wants(t, "who has left", members[0].commit(5), 25)
	wants(t, "nobody, in a group without members", nobody(n, group, to.name).commit(9), 0)
	if got := n.committed(group, to.name); got != 9 {
		t.Errorf("committed is %d", got)
	}
}

func TestBehaviour099OffsetFetch(t *testing.T) {
	n := shared(t)
	to := n.newTopic(2)
	group := n.newGroup()
	req := nobody(n, group, to.name).commitRequest(7)
	req.Topics[0].Partitions[0].LeaderEpoch, req.Topics[0].Partitions[0].Metadata = 0, value("a note")
	wants(t, "commit", mustAsk[*kmsg.OffsetCommitResponse](n, req, 9).Topics[0].Partitions[0].ErrorCode, 0)
	for _, c := range []struct {
		group, topic string
		offset       int64
		epoch        int32
		note         string
	}{
		{group, to.name, 7, 0, "a note"}, {group, unique("none"), -1, -1, ""}, {unique("group"), to.name, -1, -1, ""},
	} {
		got := n.fetchOffsets(c.group, c.topic)[0]
		if got.ErrorCode != 0 || got.Offset != c.offset || got.LeaderEpoch != c.epoch || text(got.Metadata) != c.note {
			t.Errorf("%s of %s: %+v", c.topic, c.group, got)
		}
	}
	for version := int16(2); version <= 9; version++ { // all that the group has
		all := kmsg.NewPtrOffsetFetchRequest()
		all.Group = group
		all.Groups = []kmsg.OffsetFetchRequestGroup{{Group: group, MemberEpoch: -1}, {Group: unique("group"), MemberEpoch: -1}}
		got := mustAsk[*kmsg.OffsetFetchResponse](n, all, version)
		if version < 8 {
			if len(got.Topics) != 1 || len(got.Topics[0].Partitions) != 1 || got.Topics[0].Partitions[0].Offset != 7 {
				t.Errorf("version %d: %+v", version, got)
			}
			continue
		}
		for _, g := range got.Groups {
			if g.Group == group && (len(g.Topics) != 1 || g.Topics[0].Partitions[0].Offset != 7) || g.Group != group && len(g.Topics) != 0 || g.ErrorCode != 0 {
				t.Errorf("version %d: %+v", version, g)
			}
		}
	}
}

// TestBehaviour101OffsetsExpire: of an empty group, after the time that an old client gave; in use they never do.
func TestBehaviour101OffsetsExpire(t *testing.T) {
	n := start(t, "offsets.retention.check.interval.ms=20")
	used, unused := n.newTopic(1), n.newTopic(1)
	group := n.newGroup()
	m := &member{n: n, group: group, topic: used.name}
	settle(m)
	short := func(m *member, topic string) {
		t.Helper()
		req := m.commitRequest(5)
		req.Topics[0].Topic, req.RetentionTimeMillis = topic, 1
		wants(t, "commit", mustAsk[*kmsg.OffsetCommitResponse](n, req, 4).Topics[0].Partitions[0].ErrorCode, 0)
	}
	short(m, used.name)
	short(m, unused.name)
	wants(t, "a commit for as long as is usual", m.commit(6), 0)
	short(m, used.name)
	until(t, "what nobody uses is gone", func() bool { return n.committed(group, unused.name) == -1 })
	if got := n.committed(group, used.name); got != 5 {
		t.Errorf("what is in use is %d", got)
	}
	wants(t, "leaving", m.leave(), 0)
	until(t, "what is no longer used is gone", func() bool { return n.committed(group, used.name) == -1 })
	until(t, "the group is gone", func() bool { _, there := n.listGroups(4, nil, nil)[group]; return !there })

	// A group that never had members.
	alone := nobody(n, n.newGroup(), used.name)
	short(alone, used.name)
	until(t, "the offset is gone", func() bool { return n.committed(alone.group, used.name) == -1 })
}

func TestBehaviour102DeletingGroupsAndOffsets(t *testing.T) {
	n := shared(t)
	used, unused := n.newTopic(1), n.newTopic(1)
	group := n.newGroup()
	m := &member{n: n, group: group, topic: used.name}
	settle(m)
	wants(t, "commit", m.commit(5), 0)
	other := m.commitRequest(6)
	other.Topics[0].Topic = unused.name
	wants(t, "commit", mustAsk[*kmsg.OffsetCommitResponse](n, other, 9).Topics[0].Partitions[0].ErrorCode, 0)
	wants(t, "deleting a group with members", n.deleteGroup(group), 68)
	wants(t, "deleting no group", n.deleteGroup(unique("group")), 69)
	wants(t, "deleting a group without a name", n.deleteGroup(""), 69)

	forget := func(group string, topics ...string) (int16, map[string]int16) {
		t.Helper()
		req := kmsg.NewPtrOffsetDeleteRequest()
		req.Group = group
		for _, topic := range topics {
			req.Topics = append(req.Topics, kmsg.OffsetDeleteRequestTopic{Topic: topic, Partitions: []kmsg.OffsetDeleteRequestTopicPartition{{Partition: 0}}})
		}
		got := mustAsk[*kmsg.OffsetDeleteResponse](n, req, 0)
		codes := map[string]int16{}
		for _, topic := range got.Topics {
			codes[topic.Topic] = topic.Partitions[0].ErrorCode
		}
		return got.ErrorCode, codes
	}
	none := unique("none")
	code, codes := forget(group, used.name, unused.name, none)
	if code != 0 || codes[used.name] != 86 || codes[unused.name] != 0 || codes[none] != 3 {
		t.Errorf("forgetting offsets: %d, %v", code, codes)
	}
	if n.committed(group, used.name) != 5 || n.committed(group, unused.name) != -1 {
		t.Errorf("committed are %d and %d", n.committed(group, used.name), n.committed(group, unused.name))
	}
	code, _ = forget(unique("group"), used.name)
	wants(t, "forgetting offsets of no group", code, 69)
	wants(t, "leaving", m.leave(), 0)
	code, codes = forget(group, used.name)
	if code != 0 || codes[used.name] != 0 || n.committed(group, used.name) != -1 {
		t.Errorf("forgetting offsets of an empty group: %d, %v", code, codes)
	}
	wants(t, "a commit", nobody(n, group, used.name).commit(8), 0)
	wants(t, "deleting an empty group", n.deleteGroup(group), 0)
	if got := n.committed(group, used.name); got != -1 {
		t.Errorf("the deleted group's offset is %d", got)
	}
	wants(t, "deleting it again", n.deleteGroup(group), 69)
}

func TestBehaviour104DescribingAndListingGroups(t *testing.T) {
	n := shared(t)
	for version := range int16(7) {
		req := kmsg.NewPtrDescribeGroupsRequest()
		req.Groups = []string{unique("group"), unique("group")}
		got := mustAsk[*kmsg.DescribeGroupsResponse](n, req, version).Groups
		for _, g := range got {
			want := int16(0)
			if version >= 6 {
				want = 69
			}
			if g.ErrorCode != want || g.State != "Dead" || len(g.Members) != 0 || (g.ErrorMessage != nil) != (version >= 6) {
				t.Errorf("version %d: %+v", version, g)
			}
		}
		if len(got) != 2 {
			t.Errorf("version %d: %d groups", version, len(got))
		}
	}
	to := n.newTopic(1)
	stable := &member{n: n, group: n.newGroup(), topic: to.name}
	settle(stable)
	empty := nobody(n, n.newGroup(), to.name)
	wants(t, "commit", empty.commit(1), 0)
	for _, c := range []struct {
		version       int16
		states, types []string
		stable, empty bool
	}{
		{0, nil, nil, true, true}, {3, nil, nil, true, true}, {4, nil, nil, true, true}, {5, nil, nil, true, true},
		{4, []string{"Stable"}, nil, true, false}, {4, []string{"Empty"}, nil, false, true}, {4, []string{"stable", "EMPTY"}, nil, true, true},
		{4, []string{"Dead"}, nil, false, false}, {4, []string{"Bogus"}, nil, false, false}, {5, nil, []string{"classic"}, true, true},
		{5, nil, []string{"Classic"}, true, true}, {5, nil, []string{"consumer"}, false, false}, {5, []string{"Empty"}, []string{"share", "classic"}, false, true},
	} {
		got := n.listGroups(c.version, c.states, c.types)
		s, hasStable := got[stable.group]
		e, hasEmpty := got[empty.group]
		if hasStable != c.stable || hasEmpty != c.empty {
			t.Errorf("%+v: %v and %v", c, hasStable, hasEmpty)
		}
		if c.version == 5 && c.stable && (s.GroupState != "Stable" || s.GroupType != "classic" || s.ProtocolType != "consumer") {
			t.Errorf("%+v", s)
		}
		if c.version == 5 && c.empty && (e.GroupState != "Empty" || e.GroupType != "classic" || e.ProtocolType != "") {
			t.Errorf("%+v", e)
		}
	}
}

// TestGroupErrors: heartbeats, syncs and leaving that are not in order.
func TestGroupErrors(t *testing.T) {
	n := shared(t)
	group := n.newGroup()
	members := n.newMembers(group, "t", 2)
	settle(members...)
	with := func(change func(*member)) *member {
		m := *members[1]
		change(&m)
		return &m
	}
	for name, c := range map[string]struct {
		m                      *member
		heartbeat, sync, leave int16
	}{
		"no group":            {with(func(m *member) { m.group = "" }), 24, 24, 24},
		"an unknown group":    {with(func(m *member) { m.group = unique("group") }), 25, 25, 25},
		"an unknown member":   {with(func(m *member) { m.id = "made-up" }), 25, 25, 25},
		"no member":           {with(func(m *member) { m.id = "" }), 25, 25, 25},
		"an unknown instance": {with(func(m *member) { m.instance = value("made-up") }), 25, 25, 25},
	} {
		wants(t, name+": heartbeat", c.m.heartbeat(), c.heartbeat)
		wants(t, name+": sync", c.m.sync(nil).ErrorCode, c.sync)
		wants(t, name+": leave", c.m.leave(), c.leave)
	}
	for _, by := range []int32{-1, 1} {
		m := with(func(m *member) { m.generation += by })
		wants(t, "another generation: heartbeat", m.heartbeat(), 22)
		wants(t, "another generation: sync", m.sync(nil).ErrorCode, 22)
	}
	for name, change := range map[string]func(*kmsg.SyncGroupRequest){
		"another protocol type": func(r *kmsg.SyncGroupRequest) { r.ProtocolType = value("connect") },
		"another protocol":      func(r *kmsg.SyncGroupRequest) { r.Protocol = value("roundrobin") },
		"no protocol":           func(r *kmsg.SyncGroupRequest) { r.Protocol = nil },
	} {
		req := members[1].syncRequest(nil)
		change(req)
		wants(t, name, mustAsk[*kmsg.SyncGroupResponse](n, req, 5).ErrorCode, 23)
	}
	for _, m := range members {
		wants(t, "heartbeat of a member", m.heartbeat(), 0)
	}
	old := kmsg.NewPtrLeaveGroupRequest() // one member, by id
	old.Group, old.MemberID = group, "made-up"
	wants(t, "an old client leaves that is not there", mustAsk[*kmsg.LeaveGroupResponse](n, old, 1).ErrorCode, 25)
	old.MemberID = members[1].id
	wants(t, "an old client leaves", mustAsk[*kmsg.LeaveGroupResponse](n, old, 1).ErrorCode, 0)
	wants(t, "it has left", members[1].heartbeat(), 25)
	wants(t, "the other is to join again", members[0].heartbeat(), 27)
}

// TestGroupPicksTheProtocol: what most members like best, of what all can speak.
func TestGroupPicksTheProtocol(t *testing.T) {
	n := shared(t)
	members := n.newMembers(n.newGroup(), "t", 3)
	members[0].protocols = []string{"alone", "b", "a"}
	members[1].protocols = []string{"a", "b"}
	members[2].protocols = []string{"b", "a", "c"}
	for count, want := range []string{"alone", "b", "b"} {
		form(members[:count+1]...)
		for _, m := range members[:count+1] {
			if got := m.protocol; got != want && count != 1 || got != "a" && got != "b" && count == 1 { // two may not agree
				t.Errorf("%d members: the protocol is %s, want %s", count+1, got, want)
			}
		}
	}
}
