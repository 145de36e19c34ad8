package main

import (
	"fmt"
	"strings"

	"github.com/twmb/franz-go/pkg/kmsg"
)

// member asks for one member of a group, in the versions that go with one of JoinGroup.
type member struct {
	w          *world
	v          int16
	conn       string
	group, id  string
	instance   *string
	generation int32
}

func (m *member) version(key kmsg.Key) int16 { return min(m.v, m.w.newest(key)) }

func protocol(name, metadata string) kmsg.JoinGroupRequestProtocol {
	return kmsg.JoinGroupRequestProtocol{Name: name, Metadata: []byte(metadata)}
}

func (m *member) joinRequest(change ...func(*kmsg.JoinGroupRequest)) *kmsg.JoinGroupRequest {
	req := kmsg.NewPtrJoinGroupRequest()
	req.Group, req.MemberID, req.InstanceID, req.ProtocolType = m.group, m.id, m.instance, "consumer"
	req.SessionTimeoutMillis, req.RebalanceTimeoutMillis = 60_000, 60_000
	req.Protocols = []kmsg.JoinGroupRequestProtocol{protocol("range", "r-"+m.conn), protocol("roundrobin", "rr-"+m.conn)}
	return edited(req, change...)
}

// startJoin sends a join, whose answer may take its time.
func (m *member) startJoin(change ...func(*kmsg.JoinGroupRequest)) *exchange {
	return m.w.send(m.conn, m.joinRequest(change...), m.v)
}

// joined reads the answer to a join, and what the member is from then on.
func (m *member) joined(x *exchange) *kmsg.JoinGroupResponse {
	resp, ok := x.compare().(*kmsg.JoinGroupResponse)
	if !ok {
		return kmsg.NewPtrJoinGroupResponse()
	}
	if resp.ErrorCode == 0 || resp.ErrorCode == 79 {
		m.id = resp.MemberID
	}
	if resp.ErrorCode == 0 {
		m.generation = resp.Generation
	}
	return resp
}

// join joins; from version 4 on a member is given an id first.
func (m *member) join(change ...func(*kmsg.JoinGroupRequest)) *kmsg.JoinGroupResponse {
	resp := m.joined(m.startJoin(change...))
	if resp.ErrorCode == 79 {
		resp = m.joined(m.startJoin(change...))
	}
	return resp
}

func (m *member) startSync(assignments []kmsg.SyncGroupRequestGroupAssignment, change ...func(*kmsg.SyncGroupRequest)) *exchange {
	req := kmsg.NewPtrSyncGroupRequest()
	req.Group, req.MemberID, req.InstanceID, req.Generation = m.group, m.id, m.instance, m.generation
	req.ProtocolType, req.Protocol = ptr("consumer"), ptr("range")
	req.GroupAssignment = assignments
	return m.w.send(m.conn, edited(req, change...), m.version(kmsg.SyncGroup))
}

func (m *member) heartbeat(change ...func(*kmsg.HeartbeatRequest)) {
	req := kmsg.NewPtrHeartbeatRequest()
	req.Group, req.MemberID, req.InstanceID, req.Generation = m.group, m.id, m.instance, m.generation
	m.w.send(m.conn, edited(req, change...), m.version(kmsg.Heartbeat)).compare()
}

func (m *member) leave(change ...func(*kmsg.LeaveGroupRequest)) {
	req := kmsg.NewPtrLeaveGroupRequest()
	req.Group, req.MemberID = m.group, m.id
	req.Members = []kmsg.LeaveGroupRequestMember{{MemberID: m.id, InstanceID: m.instance}}
	m.w.send(m.conn, edited(req, change...), m.version(kmsg.LeaveGroup)).compare()
}

// commit commits an offset for each of some partitions.
func (m *member) commit(topic string, id [16]byte, offset int64, partitions []int32, change ...func(*kmsg.OffsetCommitRequest)) {
	for _, v := range m.w.versions(kmsg.OffsetCommit) {
		req := kmsg.NewPtrOffsetCommitRequest()
		req.Group, req.MemberID, req.InstanceID, req.Generation = m.group, m.id, nil, m.generation
		if v >= 7 {
			req.InstanceID = m.instance
		}
		t := kmsg.NewOffsetCommitRequestTopic()
		t.Topic, t.TopicID = topic, id
		for _, number := range partitions {
			p := kmsg.NewOffsetCommitRequestTopicPartition()
			p.Partition, p.Offset, p.LeaderEpoch, p.Metadata = number, offset+int64(v), 5, ptr(fmt.Sprintf("by %d", v))
			t.Partitions = append(t.Partitions, p)
		}
		req.Topics = append(req.Topics, t)
		m.w.send(m.conn, edited(req, change...), v).compare()
	}
}

// fetchOffsets asks for committed offsets in all versions.
func (w *world) fetchOffsets(group string, topics map[string][16]byte, partitions ...int32) {
	for _, v := range w.versions(kmsg.OffsetFetch) {
		req := kmsg.NewPtrOffsetFetchRequest()
		req.Group = group
		g := kmsg.NewOffsetFetchRequestGroup()
		g.Group, g.MemberEpoch = group, -1
		for _, name := range sortedKeys(topics) {
			req.Topics = append(req.Topics, kmsg.OffsetFetchRequestTopic{Topic: name, Partitions: partitions})
			g.Topics = append(g.Topics, kmsg.OffsetFetchRequestGroupTopic{Topic: name, TopicID: topics[name], Partitions: partitions})
		}
		req.Groups = append(req.Groups, g)
		if topics == nil && v < 2 {
			continue
		}
		w.ask(req, v)
		if v >= 7 {
			req.RequireStable = true
			w.ask(req, v)
		}
	}
}

// describe compares what both tell of a group.
func (w *world) describe(groups ...string) {
	for _, v := range w.versions(kmsg.DescribeGroups) {
		req := kmsg.NewPtrDescribeGroupsRequest()
		req.Groups = groups
		w.ask(req, v)
		if v >= 3 {
			req.IncludeAuthorizedOperations = true
			w.ask(req, v)
		}
	}
	w.ask(listGroups(), w.newest(kmsg.ListGroups))
}

func assignment(id, what string) kmsg.SyncGroupRequestGroupAssignment {
	return kmsg.SyncGroupRequestGroupAssignment{MemberID: id, MemberAssignment: []byte(what)}
}

func playGroups(w *world) {
	id := w.topic("grouped", 3)
	for _, v := range w.versions(kmsg.JoinGroup) {
		group := fmt.Sprintf("group-%d", v)
		one := &member{w: w, v: v, conn: "one", group: group}
		two := &member{w: w, v: v, conn: "two", group: group}

		// Joins that are refused.
		for _, change := range []func(*kmsg.JoinGroupRequest){
			func(r *kmsg.JoinGroupRequest) { r.Group = "" },
			func(r *kmsg.JoinGroupRequest) { r.SessionTimeoutMillis = 5999 },
			func(r *kmsg.JoinGroupRequest) { r.SessionTimeoutMillis = 1_800_001 },
			func(r *kmsg.JoinGroupRequest) { r.SessionTimeoutMillis = -1 },
			func(r *kmsg.JoinGroupRequest) { r.MemberID = "nobody" },
			func(r *kmsg.JoinGroupRequest) { r.ProtocolType = "" },
			func(r *kmsg.JoinGroupRequest) { r.Protocols = nil },
		} {
			one.startJoin(change).compare()
		}
		one.heartbeat()
		one.leave()
		w.fetchOffsets(group, map[string][16]byte{"grouped": id}, 0, 9)
		w.about = "refused join"
		w.describe(group, "", "never")
		w.about = ""

		// One member.
		one.join()
		one.heartbeat()
		w.describe(group)
		one.commit("grouped", id, 1, []int32{0})
		one.startSync([]kmsg.SyncGroupRequestGroupAssignment{assignment(one.id, "a"), assignment("nobody", "b")}, func(r *kmsg.SyncGroupRequest) { r.Generation = 9 }).compare()
		one.startSync(nil, func(r *kmsg.SyncGroupRequest) { r.MemberID = "nobody" }).compare()
		if one.version(kmsg.SyncGroup) >= 5 {
			one.startSync(nil, func(r *kmsg.SyncGroupRequest) { r.Protocol = ptr("other") }).compare()
			one.startSync(nil, func(r *kmsg.SyncGroupRequest) { r.ProtocolType = ptr("connect") }).compare()
			one.startSync(nil, func(r *kmsg.SyncGroupRequest) { r.Protocol = nil }).compare()
		}
		one.startSync([]kmsg.SyncGroupRequestGroupAssignment{assignment(one.id, "all"), assignment("nobody", "b")}).compare()
		one.startSync(nil).compare()
		for _, change := range []func(*kmsg.HeartbeatRequest){
			func(*kmsg.HeartbeatRequest) {},
			func(r *kmsg.HeartbeatRequest) { r.Generation++ },
			func(r *kmsg.HeartbeatRequest) { r.Generation = -1 },
			func(r *kmsg.HeartbeatRequest) { r.MemberID = "nobody" },
			func(r *kmsg.HeartbeatRequest) { r.MemberID = "" },
			func(r *kmsg.HeartbeatRequest) { r.Group = "never" },
			func(r *kmsg.HeartbeatRequest) { r.Group = "" },
		} {
			one.heartbeat(change)
		}
		w.describe(group)
		for _, change := range []func(*kmsg.OffsetCommitRequest){
			func(*kmsg.OffsetCommitRequest) {},
			func(r *kmsg.OffsetCommitRequest) { r.Generation++ },
			func(r *kmsg.OffsetCommitRequest) { r.Generation = -1 },
			func(r *kmsg.OffsetCommitRequest) { r.Generation, r.MemberID = -1, "" },
			func(r *kmsg.OffsetCommitRequest) { r.MemberID = "nobody" },
			func(r *kmsg.OffsetCommitRequest) { r.Group = "never" },
			func(r *kmsg.OffsetCommitRequest) { r.Group = "" },
			func(r *kmsg.OffsetCommitRequest) { r.Topics[0].Partitions[0].Metadata = nil },
			func(r *kmsg.OffsetCommitRequest) {
				r.Topics[0].Partitions[0].Metadata = ptr(strings.Repeat("m", 4096))
			},
			func(r *kmsg.OffsetCommitRequest) {
				r.Topics[0].Partitions[0].Metadata = ptr(strings.Repeat("m", 4097))
			},
			func(r *kmsg.OffsetCommitRequest) { r.Topics[0].Partitions[0].Offset = -1 },
			func(r *kmsg.OffsetCommitRequest) { r.Topics[0].Partitions[0].LeaderEpoch = -1 },
			func(r *kmsg.OffsetCommitRequest) { r.RetentionTimeMillis = 5 },
			func(r *kmsg.OffsetCommitRequest) { r.Topics[0].Partitions = nil },
			func(r *kmsg.OffsetCommitRequest) { r.Topics = nil },
		} {
			one.commit("grouped", id, 10, []int32{0, 1}, change)
		}
		one.commit("grouped", id, 20, []int32{2, 0, 9, -1, 0})
		one.commit("absent", [16]byte{3}, 20, []int32{0})
		one.commit("a b", [16]byte{}, 20, []int32{0})
		w.fetchOffsets(group, map[string][16]byte{"grouped": id, "absent": {3}}, 0, 1, 2, 9, -1, 0)
		w.fetchOffsets(group, nil)
		w.fetchOffsets("never", map[string][16]byte{"grouped": id}, 0)
		w.fetchOffsets("", map[string][16]byte{"grouped": id}, 0)

		// A second one comes, and both go through a rebalance.
		if v >= 4 {
			two.joined(two.startJoin())
		}
		coming := two.startJoin()
		w.until(coming, func() bool { return w.state(group) == "PreparingRebalance" })
		w.describe(group)
		one.heartbeat()
		one.commit("grouped", id, 30, []int32{0})
		one.startSync(nil).compare()
		again := one.startJoin()
		leader := one.joined(again)
		two.joined(coming)
		w.describe(group)
		one.heartbeat()
		two.heartbeat()
		two.commit("grouped", id, 40, []int32{0})
		waiting := two.startSync(nil)
		w.describe(group)
		one.startSync([]kmsg.SyncGroupRequestGroupAssignment{assignment(one.id, "for one"), assignment(two.id, "for two")}).compare()
		waiting.compare()
		w.describe(group)
		_ = leader
		other := &member{w: w, v: v, conn: "three", group: group}
		other.join(func(r *kmsg.JoinGroupRequest) { r.Protocols = []kmsg.JoinGroupRequestProtocol{protocol("sticky", "x")} })
		other.join(func(r *kmsg.JoinGroupRequest) { r.ProtocolType = "connect" })

		// They go.
		for _, name := range []string{group, "never", ""} {
			w.deleteGroup(name)
		}
		w.offsetDelete(group, "grouped", 0, 9)
		other.leave(func(r *kmsg.LeaveGroupRequest) {
			r.MemberID, r.Members = "nobody", []kmsg.LeaveGroupRequestMember{{MemberID: "nobody"}, {MemberID: "", InstanceID: ptr("i")}}
		})
		other.leave(func(r *kmsg.LeaveGroupRequest) { r.Group = "never" })
		other.leave(func(r *kmsg.LeaveGroupRequest) { r.Group = "" })
		two.leave()
		two.leave()
		w.describe(group)
		one.heartbeat()
		one.join()
		one.startSync([]kmsg.SyncGroupRequestGroupAssignment{assignment(one.id, "all again")}).compare()
		one.leave()
		w.describe(group)
		w.fetchOffsets(group, nil)
		nobody := &member{w: w, v: v, conn: "one", group: group, generation: -1}
		nobody.commit("grouped", id, 50, []int32{1})
		w.fetchOffsets(group, nil)
		w.offsetDelete(group, "grouped", 0, 0, 9)
		w.offsetDelete(group, "absent", 0)
		w.offsetDelete("never", "grouped", 0)
		w.offsetDelete("", "grouped", 0)
		w.offsetDelete(group, "grouped")
		w.fetchOffsets(group, nil)
		w.deleteGroup(group)
		w.deleteGroup(group)
		w.describe(group)
		w.fetchOffsets(group, nil)
		nobody.group = "simple-" + group
		nobody.commit("grouped", id, 5, []int32{0})
		w.describe(nobody.group)
		for _, name := range []string{"one", "two", "three"} {
			w.hangUp(name)
		}
	}
}

// until waits for something while a request is under way.
func (w *world) until(x *exchange, done func() bool) {
	for range 500 {
		if done() {
			return
		}
	}
	w.met(x, difference{"waiting", [2]string{"in vain", "in vain"}})
}

// state gives the state of a group when both say the same.
func (w *world) state(group string) string {
	state, _ := w.look(group)
	return state
}

// size gives how many members a group has when both say the same.
func (w *world) size(group string) int {
	_, size := w.look(group)
	return size
}

func (w *world) look(group string) (state string, size int) {
	req := kmsg.NewPtrDescribeGroupsRequest()
	req.Groups = []string{group}
	var said [2]kmsg.DescribeGroupsResponseGroup
	for side := range said {
		resp, err := w.alone(side, req, 5)
		if err != nil {
			w.gone(err)
		}
		said[side] = resp.(*kmsg.DescribeGroupsResponse).Groups[0]
	}
	if said[kafka].State != said[weir].State || len(said[kafka].Members) != len(said[weir].Members) {
		return "", -1
	}
	return said[kafka].State, len(said[kafka].Members)
}

func (w *world) deleteGroup(names ...string) {
	for _, v := range w.versions(kmsg.DeleteGroups) {
		req := kmsg.NewPtrDeleteGroupsRequest()
		req.Groups = names
		w.ask(req, v)
	}
}

func (w *world) offsetDelete(group, topic string, partitions ...int32) {
	for _, v := range w.versions(kmsg.OffsetDelete) {
		req := kmsg.NewPtrOffsetDeleteRequest()
		req.Group = group
		t := kmsg.NewOffsetDeleteRequestTopic()
		t.Topic = topic
		for _, number := range partitions {
			t.Partitions = append(t.Partitions, kmsg.OffsetDeleteRequestTopicPartition{Partition: number})
		}
		req.Topics = append(req.Topics, t)
		w.ask(req, v)
	}
}

// subscription is what a consumer says it wants, as Kafka's clients write it.
func subscription(topics ...string) []byte {
	meta := kmsg.NewConsumerMemberMetadata()
	meta.Topics = topics
	return meta.AppendTo(nil)
}

func playStaticMembers(w *world) {
	id := w.topic("static", 2)
	for _, v := range w.versions(kmsg.JoinGroup) {
		if v < 5 {
			continue
		}
		group := fmt.Sprintf("static-%d", v)
		one := &member{w: w, v: v, conn: "one", group: group, instance: ptr("i-one")}
		two := &member{w: w, v: v, conn: "two", group: group, instance: ptr("i-two")}
		subscribed := func(r *kmsg.JoinGroupRequest) {
			r.Protocols = []kmsg.JoinGroupRequestProtocol{{Name: "range", Metadata: subscription("static")}}
		}
		one.join(subscribed)
		one.startSync([]kmsg.SyncGroupRequestGroupAssignment{assignment(one.id, "all")}).compare()
		w.describe(group)
		one.heartbeat()
		one.heartbeat(func(r *kmsg.HeartbeatRequest) { r.InstanceID = ptr("i-other") })
		one.heartbeat(func(r *kmsg.HeartbeatRequest) { r.InstanceID = nil })
		one.heartbeat(func(r *kmsg.HeartbeatRequest) { r.MemberID = "nobody" })
		one.commit("static", id, 1, []int32{0})
		old := *one
		one.id = ""
		one.join(subscribed) // comes again under its name
		w.describe(group)
		old.conn = "old"
		old.heartbeat()
		old.commit("static", id, 2, []int32{0})
		old.startSync(nil).compare()
		old.leave()
		old.startJoin(subscribed).compare()
		one.startSync(nil).compare()
		one.heartbeat()

		coming := two.startJoin(subscribed)
		w.until(coming, func() bool { return w.state(group) == "PreparingRebalance" })
		one.joined(one.startJoin(subscribed))
		two.joined(coming)
		one.startSync([]kmsg.SyncGroupRequestGroupAssignment{assignment(one.id, "1"), assignment(two.id, "2")}).compare()
		two.startSync(nil).compare()
		w.describe(group)
		w.offsetDelete(group, "static", 0)
		two.id = ""
		two.join(subscribed)
		two.startSync(nil).compare()
		w.describe(group)
		two.leave(func(r *kmsg.LeaveGroupRequest) {
			r.Members = []kmsg.LeaveGroupRequestMember{{InstanceID: ptr("i-none")}, {InstanceID: ptr("i-two")}, {MemberID: "x", InstanceID: ptr("i-one")}, {MemberID: two.id}}
		})
		w.describe(group)
		two.leave(func(r *kmsg.LeaveGroupRequest) { r.Members = nil })
		one.leave(func(r *kmsg.LeaveGroupRequest) {
			r.Members = []kmsg.LeaveGroupRequestMember{{InstanceID: ptr("i-one")}}
		})
		w.describe(group)
		for _, name := range []string{"one", "two", "old"} {
			w.hangUp(name)
		}
	}
}

func playGroupSizes(w *world) {
	v := w.newest(kmsg.JoinGroup)
	var members []*member
	var joins []*exchange
	for i := range 6 {
		m := &member{w: w, v: v, conn: fmt.Sprintf("m%d", i), group: "crowd"}
		members = append(members, m)
		m.joined(m.startJoin())
	}
	for i, m := range members[:4] {
		joins = append(joins, m.startJoin())
		if i == 0 {
			m.joined(joins[0])
			m.startSync([]kmsg.SyncGroupRequestGroupAssignment{assignment(m.id, "all")}).compare()
		}
		w.until(joins[i], func() bool { return i == 0 || w.state("crowd") == "PreparingRebalance" })
	}
	members[4].startJoin()
	w.until(joins[3], func() bool { return w.size("crowd") == 5 })
	members[5].joined(members[5].startJoin())
	w.describe("crowd")
	members[0].joined(members[0].startJoin())
	for _, m := range members {
		w.hangUp(m.conn)
	}
}

func playListGroups(w *world) {
	for _, v := range w.versions(kmsg.ListGroups) {
		for _, states := range [][]string{nil, {"Empty"}, {"Stable"}, {"empty", "Dead"}, {"NoSuchState"}, {""}, {"Empty", "NoSuchState"}} {
			for _, types := range [][]string{nil, {"classic"}, {"Classic", "consumer"}, {"share"}, {"nothing"}, {""}} {
				if v < 4 && states != nil || v < 5 && types != nil {
					continue
				}
				req := kmsg.NewPtrListGroupsRequest()
				req.StatesFilter, req.TypesFilter = states, types
				w.ask(req, v)
			}
		}
	}
	for _, v := range w.versions(kmsg.FindCoordinator) {
		for _, kind := range []int8{0, 2, 3, -1} {
			for _, keys := range [][]string{{"a"}, {""}, {"a", "", "b", "a"}, {}} {
				req := kmsg.NewPtrFindCoordinatorRequest()
				req.CoordinatorType, req.CoordinatorKeys = kind, keys
				if v < 4 {
					if len(keys) != 1 {
						continue
					}
					req.CoordinatorKey = keys[0]
				}
				w.ask(req, v)
			}
		}
	}
}
