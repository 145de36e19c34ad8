package test

import (
	"cmp"
	"fmt"
	"sync"
	"testing"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// member is a member of a classic group, driven request by request.
type member struct {
	n         *node
	group, id string
	instance  *string
	topic     string   // what it is subscribed to
	protocols []string // that it speaks, what it likes best first; "range" if there are none
	protocol  string   // of the generation
	// protocolType is "consumer" if it is not given.
	protocolType string
	generation   int32
	leader       string
	others       []kmsg.JoinGroupResponseMember // what the leader is told
}

// subscription is a consumer's metadata.
func subscription(topics ...string) []byte {
	meta := kmsg.NewConsumerMemberMetadata()
	meta.Topics = topics
	return meta.AppendTo(nil)
}

func (m *member) joinRequest() *kmsg.JoinGroupRequest {
	req := kmsg.NewPtrJoinGroupRequest()
	req.Group, req.MemberID, req.InstanceID, req.ProtocolType = m.group, m.id, m.instance, cmp.Or(m.protocolType, "consumer")
	req.SessionTimeoutMillis, req.RebalanceTimeoutMillis = 30_000, 10_000
	names := m.protocols
	if names == nil {
		names = []string{"range"}
	}
	for _, name := range names {
		p := kmsg.NewJoinGroupRequestProtocol()
		p.Name, p.Metadata = name, subscription(m.topic)
		req.Protocols = append(req.Protocols, p)
	}
	return req
}

// join joins, or joins again, and tells when it is answered.
func (m *member) join() chan *kmsg.JoinGroupResponse {
	m.n.t.Helper()
	answer := make(chan *kmsg.JoinGroupResponse, 1)
	if m.id == "" && m.instance == nil {
		first := mustAsk[*kmsg.JoinGroupResponse](m.n, m.joinRequest(), 9)
		if first.ErrorCode != 79 || first.MemberID == "" {
			m.n.t.Fatalf("joining without an id: %+v", first)
		}
		m.id = first.MemberID
	}
	req := m.joinRequest()
	go func() { answer <- mustAsk[*kmsg.JoinGroupResponse](m.n, req, 9) }()
	return answer
}

// take notes what a join was answered.
func (m *member) take(got *kmsg.JoinGroupResponse) {
	m.n.t.Helper()
	if got.ErrorCode != 0 {
		m.n.t.Fatalf("joining: %s", describe(got.ErrorCode, nil))
	}
	m.id, m.generation, m.leader, m.others, m.protocol = got.MemberID, got.Generation, got.LeaderID, got.Members, text(got.Protocol)
}

func (m *member) leads() bool { return m.id == m.leader }

func (m *member) syncRequest(assignments map[string]string) *kmsg.SyncGroupRequest {
	req := kmsg.NewPtrSyncGroupRequest()
	req.Group, req.MemberID, req.InstanceID, req.Generation = m.group, m.id, m.instance, m.generation
	req.ProtocolType, req.Protocol = kmsg.StringPtr(cmp.Or(m.protocolType, "consumer")), &m.protocol
	for id, a := range assignments {
		one := kmsg.NewSyncGroupRequestGroupAssignment()
		one.MemberID, one.MemberAssignment = id, []byte(a)
		req.GroupAssignment = append(req.GroupAssignment, one)
	}
	return req
}

func (m *member) sync(assignments map[string]string) *kmsg.SyncGroupResponse {
	m.n.t.Helper()
	return mustAsk[*kmsg.SyncGroupResponse](m.n, m.syncRequest(assignments), 5)
}

func (m *member) heartbeat() int16 {
	m.n.t.Helper()
	req := kmsg.NewPtrHeartbeatRequest()
	req.Group, req.MemberID, req.InstanceID, req.Generation = m.group, m.id, m.instance, m.generation
	return mustAsk[*kmsg.HeartbeatResponse](m.n, req, 4).ErrorCode
}

// leave takes members out of their group and gives their error codes.
func leave(n *node, group string, leavers ...kmsg.LeaveGroupRequestMember) []int16 {
	n.t.Helper()
	req := kmsg.NewPtrLeaveGroupRequest()
	req.Group, req.Members = group, leavers
	got := mustAsk[*kmsg.LeaveGroupResponse](n, req, 5)
	if got.ErrorCode != 0 {
		return []int16{got.ErrorCode}
	}
	var codes []int16
	for _, m := range got.Members {
		codes = append(codes, m.ErrorCode)
	}
	return codes
}

func (m *member) leave() int16 {
	m.n.t.Helper()
	return leave(m.n, m.group, kmsg.LeaveGroupRequestMember{MemberID: m.id, InstanceID: m.instance})[0]
}

// commitRequest commits an offset of the first partition of the member's topic.
func (m *member) commitRequest(offset int64) *kmsg.OffsetCommitRequest {
	req := kmsg.NewPtrOffsetCommitRequest()
	req.Group, req.MemberID, req.InstanceID, req.Generation = m.group, m.id, m.instance, m.generation
	t := kmsg.NewOffsetCommitRequestTopic()
	t.Topic = m.topic
	p := kmsg.NewOffsetCommitRequestTopicPartition()
	p.Offset = offset
	t.Partitions = append(t.Partitions, p)
	req.Topics = append(req.Topics, t)
	return req
}

// nobody commits without being a member.
func nobody(n *node, group, topic string) *member {
	return &member{n: n, group: group, topic: topic, generation: -1}
}

func (m *member) commit(offset int64) int16 {
	m.n.t.Helper()
	return mustAsk[*kmsg.OffsetCommitResponse](m.n, m.commitRequest(offset), 9).Topics[0].Partitions[0].ErrorCode
}

// committed gives the group's offset of the first partition of a topic.
func (n *node) committed(group, topic string) int64 {
	n.t.Helper()
	return n.fetchOffsets(group, topic)[0].Offset
}

func (n *node) fetchOffsets(group, topic string) []kmsg.OffsetFetchResponseGroupTopicPartition {
	n.t.Helper()
	req := kmsg.NewPtrOffsetFetchRequest()
	req.Groups = []kmsg.OffsetFetchRequestGroup{{Group: group, MemberEpoch: -1, Topics: []kmsg.OffsetFetchRequestGroupTopic{{Topic: topic, Partitions: []int32{0}}}}}
	got := mustAsk[*kmsg.OffsetFetchResponse](n, req, 8).Groups[0]
	if got.ErrorCode != 0 {
		n.t.Fatal(describe(got.ErrorCode, nil))
	}
	return got.Topics[0].Partitions
}

// describeGroup gives what DescribeGroups says of one group.
func (n *node) describeGroup(group string) kmsg.DescribeGroupsResponseGroup {
	n.t.Helper()
	req := kmsg.NewPtrDescribeGroupsRequest()
	req.Groups = []string{group}
	return mustAsk[*kmsg.DescribeGroupsResponse](n, req, 5).Groups[0]
}

func (n *node) awaitState(group, state string) {
	n.t.Helper()
	until(n.t, "the group is "+state, func() bool { return n.describeGroup(group).State == state })
}

// form makes a group of members, of which the first ones may be in it already. All are in one generation when it returns,
// and nobody has synced. They join one after the other, so that the first one leads.
func form(members ...*member) {
	t := members[0].n.t
	t.Helper()
	joined := 0
	for joined < len(members) && members[joined].generation > 0 {
		joined++
	}
	for count := joined + 1; count <= len(members); count++ {
		var answers []chan *kmsg.JoinGroupResponse
		for i := count - 1; i >= 0; i-- { // the newcomer first: the others come again because of it
			answers = append(answers, members[i].join())
			if i == count-1 && count > 1 {
				members[0].n.awaitState(members[0].group, "PreparingRebalance")
			}
		}
		for i, answer := range answers {
			members[count-1-i].take(<-answer)
		}
	}
}

// settle makes a stable group: each member is assigned its own number.
func settle(members ...*member) {
	t := members[0].n.t
	t.Helper()
	form(members...)
	assignments := map[string]string{}
	leader := members[0]
	for i, m := range members {
		assignments[m.id] = assignment(i)
		if m.leads() {
			leader = m
		}
	}
	wants(t, "the leader's sync", leader.sync(assignments).ErrorCode, 0)
	for i, m := range members {
		if got := m.sync(nil); got.ErrorCode != 0 || string(got.MemberAssignment) != assignment(i) {
			t.Fatalf("syncing: %s, %q", describe(got.ErrorCode, nil), got.MemberAssignment)
		}
	}
}

func assignment(i int) string { return string(rune('a'+i)) + " is assigned" }

// newMembers gives members that have not joined yet.
func (n *node) newMembers(group, topic string, count int) []*member {
	var out []*member
	for range count {
		out = append(out, &member{n: n, group: group, topic: topic})
	}
	return out
}

func (n *node) listGroups(version int16, states, types []string) map[string]kmsg.ListGroupsResponseGroup {
	n.t.Helper()
	req := kmsg.NewPtrListGroupsRequest()
	req.StatesFilter, req.TypesFilter = states, types
	got := mustAsk[*kmsg.ListGroupsResponse](n, req, version)
	if got.ErrorCode != 0 {
		n.t.Fatal(describe(got.ErrorCode, nil))
	}
	out := map[string]kmsg.ListGroupsResponseGroup{}
	for _, g := range got.Groups {
		out[g.Group] = g
	}
	return out
}

func (n *node) deleteGroup(group string) int16 {
	n.t.Helper()
	req := kmsg.NewPtrDeleteGroupsRequest()
	req.Groups = []string{group}
	return mustAsk[*kmsg.DeleteGroupsResponse](n, req, 2).Groups[0].ErrorCode
}

// wants checks an error code.
func wants(t *testing.T, what string, got, want int16) {
	t.Helper()
	if got != want {
		t.Errorf("%s: %s, want %s", what, describe(got, nil), describe(want, nil))
	}
}

// TestManyAskForCoordinators of a node that makes their topic just then: each is answered when its coordinator is there, whoever of them
// was the first.
func TestManyAskForCoordinators(t *testing.T) {
	n := start(t)
	var asking sync.WaitGroup
	for i := range 40 {
		asking.Go(func() {
			req := kmsg.NewPtrFindCoordinatorRequest()
			req.CoordinatorKeys = []string{fmt.Sprint("group ", i)}
			resp, err := req.RequestWith(ctx(t), n.client())
			if err != nil {
				t.Error(err)
				return
			}
			if c := resp.Coordinators[0]; c.ErrorCode != 0 {
				t.Errorf("%s: %v", c.Key, kerr.ErrorForCode(c.ErrorCode))
			}
		})
	}
	asking.Wait()
}
