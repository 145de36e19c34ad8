package api

import (
	"slices"
	"sync"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/weir/weir/broker/server"
	"github.com/weir/weir/cluster"
	"github.com/weir/weir/coordinator"
	"github.com/weir/weir/coordinator/group"
)

// submit hands a request for one group to its coordinator. failed makes the answer when there is none.
func submit[R kmsg.Request](b *Broker, r *server.Request, id string, req R, failed func(*kerr.Error) kmsg.Response, done func(kmsg.Response)) {
	runtime, err := b.Groups.For(id)
	if err != nil {
		done(failed(kafkaError(err)))
		return
	}
	runtime.Submit(b.groupRequest(r, req), func(reply any, err error) {
		if err != nil {
			done(failed(coordinatorError(err)))
			return
		}
		done(reply.(kmsg.Response))
	})
}

func (b *Broker) groupRequest(r *server.Request, body kmsg.Request) group.Request {
	out := group.Request{ClientHost: r.Conn.Host(), Body: body}
	if r.ClientID != nil {
		out.ClientID = *r.ClientID
	}
	return out
}

// joinGroup answers JoinGroup 0–9. The coordinator may take its time: the answer comes when the group is complete. Metadata
// of the member is a slice of the request's bytes and lives longer than the request.
func (b *Broker) joinGroup(r *server.Request, req *kmsg.JoinGroupRequest) {
	for i := range req.Protocols {
		req.Protocols[i].Metadata = slices.Clone(req.Protocols[i].Metadata)
	}
	submit(b, r, req.Group, req, func(e *kerr.Error) kmsg.Response {
		resp := req.ResponseKind().(*kmsg.JoinGroupResponse)
		resp.ErrorCode, resp.Generation, resp.MemberID = e.Code, -1, req.MemberID
		if req.Version < 7 {
			resp.Protocol = kmsg.StringPtr("")
		}
		return resp
	}, r.Reply)
}

// syncGroup answers SyncGroup 0–5.
func (b *Broker) syncGroup(r *server.Request, req *kmsg.SyncGroupRequest) {
	submit(b, r, req.Group, req, func(e *kerr.Error) kmsg.Response {
		resp := req.ResponseKind().(*kmsg.SyncGroupResponse)
		resp.ErrorCode, resp.MemberAssignment = e.Code, []byte{}
		return resp
	}, r.Reply)
}

// heartbeat answers Heartbeat 0–4. While the coordinator loads, members are told that all is well.
func (b *Broker) heartbeat(r *server.Request, req *kmsg.HeartbeatRequest) {
	submit(b, r, req.Group, req, func(e *kerr.Error) kmsg.Response {
		resp := req.ResponseKind().(*kmsg.HeartbeatResponse)
		if e != kerr.CoordinatorLoadInProgress {
			resp.ErrorCode = e.Code
		}
		return resp
	}, r.Reply)
}

// leaveGroup answers LeaveGroup 0–5.
func (b *Broker) leaveGroup(r *server.Request, req *kmsg.LeaveGroupRequest) {
	submit(b, r, req.Group, req, func(e *kerr.Error) kmsg.Response {
		resp := req.ResponseKind().(*kmsg.LeaveGroupResponse)
		resp.ErrorCode = e.Code
		return resp
	}, r.Reply)
}

// offsetCommit answers OffsetCommit 2–10. Topics that do not exist are answered here and not passed on.
func (b *Broker) offsetCommit(r *server.Request, req *kmsg.OffsetCommitRequest) {
	img := b.Controller.Image()
	known := *req
	known.Topics = nil
	var unknown []kmsg.OffsetCommitResponseTopic
	for _, t := range req.Topics {
		topic, missing := b.committedTopic(img, req.Version, t)
		out := kmsg.NewOffsetCommitResponseTopic()
		out.Topic, out.TopicID = t.Topic, t.TopicID
		pass := t
		pass.Partitions = nil
		for _, p := range t.Partitions {
			if topic != nil && p.Partition >= 0 && int(p.Partition) < len(topic.Partitions) {
				pass.Topic, pass.TopicID = topic.Name, topic.ID
				pass.Partitions = append(pass.Partitions, p)
				continue
			}
			part := kmsg.NewOffsetCommitResponseTopicPartition()
			part.Partition, part.ErrorCode = p.Partition, kerr.UnknownTopicOrPartition.Code
			if topic == nil {
				part.ErrorCode = missing.Code
			}
			out.Partitions = append(out.Partitions, part)
		}
		if pass.Partitions != nil {
			known.Topics = append(known.Topics, pass)
		}
		if out.Partitions != nil {
			unknown = append(unknown, out)
		}
	}
	submit(b, r, req.Group, &known, func(e *kerr.Error) kmsg.Response {
		resp := req.ResponseKind().(*kmsg.OffsetCommitResponse)
		for _, t := range known.Topics {
			out := kmsg.NewOffsetCommitResponseTopic()
			out.Topic, out.TopicID = t.Topic, t.TopicID
			for _, p := range t.Partitions {
				part := kmsg.NewOffsetCommitResponseTopicPartition()
				part.Partition, part.ErrorCode = p.Partition, e.Code
				out.Partitions = append(out.Partitions, part)
			}
			resp.Topics = append(resp.Topics, out)
		}
		return resp
	}, func(reply kmsg.Response) {
		resp := reply.(*kmsg.OffsetCommitResponse)
		resp.Topics = append(resp.Topics, unknown...)
		r.Reply(resp)
	})
}

// committedTopic finds a topic by its name or, in newer versions, by its id, and the error for when it is not there.
func (b *Broker) committedTopic(img *cluster.Image, version int16, t kmsg.OffsetCommitRequestTopic) (*cluster.Topic, *kerr.Error) {
	if version >= 10 {
		return img.TopicByID(t.TopicID), kerr.UnknownTopicID
	}
	return img.Topic(t.Topic), kerr.UnknownTopicOrPartition
}

// offsetFetch answers OffsetFetch 1–10. Since version 8 one request may ask for several groups.
func (b *Broker) offsetFetch(r *server.Request, req *kmsg.OffsetFetchRequest) {
	if req.Version < 8 {
		submit(b, r, req.Group, req, func(e *kerr.Error) kmsg.Response { return failedOffsets(req, e) }, r.Reply)
		return
	}
	resp := req.ResponseKind().(*kmsg.OffsetFetchResponse)
	resp.Groups = make([]kmsg.OffsetFetchResponseGroup, len(req.Groups))
	all := newGather(len(req.Groups), func() { r.Reply(resp) })
	for i := range req.Groups {
		b.fetchGroupOffsets(r, req, i, func(g kmsg.OffsetFetchResponseGroup) {
			resp.Groups[i] = g
			all.done()
		})
	}
}

// failedOffsets answers a request of one of the older versions: on the whole since version 2, by partition before.
func failedOffsets(req *kmsg.OffsetFetchRequest, e *kerr.Error) kmsg.Response {
	resp := req.ResponseKind().(*kmsg.OffsetFetchResponse)
	resp.ErrorCode = e.Code
	for _, t := range req.Topics {
		out := kmsg.NewOffsetFetchResponseTopic()
		out.Topic = t.Topic
		for _, number := range t.Partitions {
			p := kmsg.NewOffsetFetchResponseTopicPartition()
			p.Partition, p.Offset, p.LeaderEpoch, p.Metadata, p.ErrorCode = number, -1, -1, kmsg.StringPtr(""), e.Code
			out.Partitions = append(out.Partitions, p)
		}
		resp.Topics = append(resp.Topics, out)
	}
	return resp
}

// fetchGroupOffsets asks for one group of several. Topic ids are turned into names on the way there, and back.
func (b *Broker) fetchGroupOffsets(r *server.Request, req *kmsg.OffsetFetchRequest, i int, done func(kmsg.OffsetFetchResponseGroup)) {
	img := b.Controller.Image()
	one := *req
	g := req.Groups[i]
	var unknown []kmsg.OffsetFetchResponseGroupTopic
	if req.Version >= 10 && g.Topics != nil {
		named := []kmsg.OffsetFetchRequestGroupTopic{}
		for _, t := range g.Topics {
			topic := img.TopicByID(t.TopicID)
			if topic == nil {
				unknown = append(unknown, unknownOffsets(t))
				continue
			}
			t.Topic = topic.Name
			named = append(named, t)
		}
		g.Topics = named
	}
	one.Groups = []kmsg.OffsetFetchRequestGroup{g}
	submit(b, r, g.Group, &one, func(e *kerr.Error) kmsg.Response {
		resp := req.ResponseKind().(*kmsg.OffsetFetchResponse)
		out := kmsg.NewOffsetFetchResponseGroup()
		out.Group, out.ErrorCode = g.Group, e.Code
		resp.Groups = append(resp.Groups, out)
		return resp
	}, func(reply kmsg.Response) {
		out := reply.(*kmsg.OffsetFetchResponse).Groups[0]
		if req.Version >= 10 {
			out.Topics = slices.DeleteFunc(out.Topics, func(t kmsg.OffsetFetchResponseGroupTopic) bool { return img.Topic(t.Topic) == nil })
			for j := range out.Topics {
				out.Topics[j].TopicID = img.Topic(out.Topics[j].Topic).ID
			}
		}
		out.Topics = append(out.Topics, unknown...)
		done(out)
	})
}

func unknownOffsets(t kmsg.OffsetFetchRequestGroupTopic) kmsg.OffsetFetchResponseGroupTopic {
	out := kmsg.NewOffsetFetchResponseGroupTopic()
	out.TopicID = t.TopicID
	for _, number := range t.Partitions {
		p := kmsg.NewOffsetFetchResponseGroupTopicPartition()
		p.Partition, p.Offset, p.LeaderEpoch, p.Metadata, p.ErrorCode = number, -1, -1, kmsg.StringPtr(""), kerr.UnknownTopicID.Code
		out.Partitions = append(out.Partitions, p)
	}
	return out
}

// describeGroups answers DescribeGroups 0–6, each group by its coordinator.
func (b *Broker) describeGroups(r *server.Request, req *kmsg.DescribeGroupsRequest) {
	resp := req.ResponseKind().(*kmsg.DescribeGroupsResponse)
	resp.Groups = make([]kmsg.DescribeGroupsResponseGroup, len(req.Groups))
	all := newGather(len(req.Groups), func() { r.Reply(resp) })
	for i, id := range req.Groups {
		one := *req
		one.Groups = []string{id}
		submit(b, r, id, &one, func(e *kerr.Error) kmsg.Response {
			failed := req.ResponseKind().(*kmsg.DescribeGroupsResponse)
			out := kmsg.NewDescribeGroupsResponseGroup()
			out.Group, out.ErrorCode, out.AuthorizedOperations = id, e.Code, noAuthorizedOperations
			failed.Groups = append(failed.Groups, out)
			return failed
		}, func(reply kmsg.Response) {
			resp.Groups[i] = reply.(*kmsg.DescribeGroupsResponse).Groups[0]
			all.done()
		})
	}
}

// deleteGroups answers DeleteGroups 0–3, each group by its coordinator.
func (b *Broker) deleteGroups(r *server.Request, req *kmsg.DeleteGroupsRequest) {
	resp := req.ResponseKind().(*kmsg.DeleteGroupsResponse)
	resp.Groups = make([]kmsg.DeleteGroupsResponseGroup, len(req.Groups))
	all := newGather(len(req.Groups), func() { r.Reply(resp) })
	for i, id := range req.Groups {
		one := *req
		one.Groups = []string{id}
		submit(b, r, id, &one, func(e *kerr.Error) kmsg.Response {
			failed := req.ResponseKind().(*kmsg.DeleteGroupsResponse)
			out := kmsg.NewDeleteGroupsResponseGroup()
			out.Group, out.ErrorCode = id, e.Code
			failed.Groups = append(failed.Groups, out)
			return failed
		}, func(reply kmsg.Response) {
			resp.Groups[i] = reply.(*kmsg.DeleteGroupsResponse).Groups[0]
			all.done()
		})
	}
}

// offsetDelete answers OffsetDelete 0. Partitions that do not exist are answered here and not passed on, unless the whole
// request fails.
func (b *Broker) offsetDelete(r *server.Request, req *kmsg.OffsetDeleteRequest) {
	img := b.Controller.Image()
	known := *req
	known.Topics = nil
	var unknown []kmsg.OffsetDeleteResponseTopic
	for _, t := range req.Topics {
		topic := img.Topic(t.Topic)
		out := kmsg.NewOffsetDeleteResponseTopic()
		out.Topic = t.Topic
		pass := t
		pass.Partitions = nil
		for _, p := range t.Partitions {
			if topic != nil && p.Partition >= 0 && int(p.Partition) < len(topic.Partitions) {
				pass.Partitions = append(pass.Partitions, p)
				continue
			}
			part := kmsg.NewOffsetDeleteResponseTopicPartition()
			part.Partition, part.ErrorCode = p.Partition, kerr.UnknownTopicOrPartition.Code
			out.Partitions = append(out.Partitions, part)
		}
		if pass.Partitions != nil {
			known.Topics = append(known.Topics, pass)
		}
		if out.Partitions != nil {
			unknown = append(unknown, out)
		}
	}
	submit(b, r, req.Group, &known, func(e *kerr.Error) kmsg.Response {
		resp := req.ResponseKind().(*kmsg.OffsetDeleteResponse)
		resp.ErrorCode = e.Code
		return resp
	}, func(reply kmsg.Response) {
		resp := reply.(*kmsg.OffsetDeleteResponse)
		if resp.ErrorCode == 0 {
			resp.Topics = append(resp.Topics, unknown...)
		}
		r.Reply(resp)
	})
}

// listGroups answers ListGroups 0–5 with the groups of all coordinators of this node.
func (b *Broker) listGroups(r *server.Request, req *kmsg.ListGroupsRequest) {
	resp := req.ResponseKind().(*kmsg.ListGroupsResponse)
	runtimes := b.Groups.All()
	var mu sync.Mutex
	all := newGather(len(runtimes), func() { r.Reply(resp) })
	for _, runtime := range runtimes {
		runtime.Submit(b.groupRequest(r, req), func(reply any, err error) {
			mu.Lock()
			if e := coordinatorError(err); e == kerr.CoordinatorLoadInProgress {
				resp.ErrorCode = e.Code
			} else if err == nil {
				resp.Groups = append(resp.Groups, reply.(*kmsg.ListGroupsResponse).Groups...)
			}
			mu.Unlock()
			all.done()
		})
	}
}

// gather calls a function when a number of things were done.
type gather struct {
	mu   sync.Mutex
	left int
	then func()
}

// newGather waits for n things; with none it is done at once.
func newGather(n int, then func()) *gather {
	if n == 0 {
		then()
	}
	return &gather{left: n, then: then}
}

func (g *gather) done() {
	g.mu.Lock()
	g.left--
	last := g.left == 0
	g.mu.Unlock()
	if last {
		g.then()
	}
}

// The types of coordinators in FindCoordinator.
const groupCoordinator = 0

// findCoordinator answers FindCoordinator 0–6. The topic of the group coordinators is made when it is first asked for; who asks
// while it is being made waits for it.
func (b *Broker) findCoordinator(r *server.Request, req *kmsg.FindCoordinatorRequest) {
	if req.CoordinatorType != groupCoordinator {
		r.Reply(b.coordinators(r, req, kerr.InvalidRequest))
		return
	}
	t := b.Controller.Image().Topic(cluster.OffsetsTopic)
	if t != nil && b.Groups.Running() {
		if b.everLed(t) {
			r.Reply(b.coordinators(r, req, nil))
		} else {
			b.whenLed(map[string]int{t.Name: len(t.Partitions)}, func() { r.Reply(b.coordinators(r, req, nil)) })
		}
		return
	}
	b.autoCreate([]string{cluster.OffsetsTopic}, func(failed map[string]*kerr.Error) {
		var err *kerr.Error
		if failed[cluster.OffsetsTopic] != nil {
			err = kerr.CoordinatorNotAvailable
		}
		r.Reply(b.coordinators(r, req, err))
	})
}

// everLed tells whether all partitions of a topic have had a leader, as far as this node has heard.
func (b *Broker) everLed(t *cluster.Topic) bool {
	for number := range t.Partitions {
		if known := b.Leaders.Of(t.ID, int32(number)); known.Epoch < 0 && !known.Unopened {
			return false
		}
	}
	return true
}

func (b *Broker) coordinators(r *server.Request, req *kmsg.FindCoordinatorRequest, failed *kerr.Error) *kmsg.FindCoordinatorResponse {
	resp := req.ResponseKind().(*kmsg.FindCoordinatorResponse)
	keys := req.CoordinatorKeys
	if req.Version < 4 {
		keys = []string{req.CoordinatorKey}
	}
	for _, key := range keys {
		out := kmsg.NewFindCoordinatorResponseCoordinator()
		out.Key, out.NodeID, out.Port = key, -1, -1
		err := failed
		if err == nil {
			err = b.coordinatorOf(r, key, &out)
		}
		out.ErrorMessage = kmsg.StringPtr("")
		if err != nil {
			out.ErrorCode = err.Code
		}
		if req.Version < 4 {
			out.ErrorMessage = kmsg.StringPtr("NONE") // the name of Kafka's error 0
			if err != nil {
				out.ErrorMessage = described(err)
			}
			resp.ErrorCode, resp.ErrorMessage = out.ErrorCode, out.ErrorMessage
			resp.NodeID, resp.Host, resp.Port = out.NodeID, out.Host, out.Port
			return resp
		}
		resp.Coordinators = append(resp.Coordinators, out)
	}
	return resp
}

func (b *Broker) coordinatorOf(r *server.Request, key string, out *kmsg.FindCoordinatorResponseCoordinator) *kerr.Error {
	img := b.Controller.Image()
	t := img.Topic(cluster.OffsetsTopic)
	if t == nil {
		return kerr.CoordinatorNotAvailable
	}
	leader := b.leaderOf(t, int32(coordinator.PartitionFor(key, len(t.Partitions)))).leader
	broker := img.Broker(leader)
	if broker == nil {
		return kerr.CoordinatorNotAvailable
	}
	e, ok := broker.Endpoint(r.Conn.Listener)
	if !ok {
		return kerr.CoordinatorNotAvailable
	}
	out.NodeID, out.Host, out.Port = broker.ID, e.Host, e.Port
	return nil
}
