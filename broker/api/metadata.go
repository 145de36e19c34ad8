package api

import (
	"slices"
	"strconv"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/weir/weir/broker/server"
	"github.com/weir/weir/cluster"
)

// What a client may do, as bits of Kafka's AclOperation: everything, since there is no authorizer.
const (
	topicOperations   = 0b1101_1111_1000 // read to describe, describe and alter configs
	clusterOperations = 0b1_1111_1010_0000
	// noAuthorizedOperations says that they were not asked for.
	noAuthorizedOperations = -2147483648
)

// metadata answers Metadata 0–13: brokers, topics, leaders. A topic that is named and missing is created when the broker
// and the request allow it; the answer then waits until its partitions are led.
func (b *Broker) metadata(r *server.Request, req *kmsg.MetadataRequest) {
	if req.Version < 12 {
		for _, t := range req.Topics {
			if t.Topic == nil || t.TopicID != [16]byte{} {
				r.Reply(refusedMetadata(req))
				return
			}
		}
	}
	var missing []string
	if req.AllowAutoTopicCreation || req.Version < 4 {
		missing = b.creatable(req)
	}
	if len(missing) == 0 {
		r.Reply(b.metadataResponse(r, req, nil))
		return
	}
	b.autoCreate(missing, func(failed map[string]*kerr.Error) {
		r.Reply(b.metadataResponse(r, req, failed))
	})
}

// refusedMetadata answers a request for topics by their ids in a version that knows only names.
func refusedMetadata(req *kmsg.MetadataRequest) *kmsg.MetadataResponse {
	resp := req.ResponseKind().(*kmsg.MetadataResponse)
	resp.ControllerID, resp.AuthorizedOperations = -1, noAuthorizedOperations
	for _, t := range req.Topics {
		out := kmsg.NewMetadataResponseTopic()
		out.Topic, out.TopicID, out.ErrorCode, out.AuthorizedOperations = t.Topic, t.TopicID, kerr.InvalidRequest.Code, noAuthorizedOperations
		if t.Topic == nil {
			out.Topic = kmsg.StringPtr("")
		}
		resp.Topics = append(resp.Topics, out)
	}
	return resp
}

// creatable gives the names that the request asks for and that auto.create.topics.enable lets come into being.
func (b *Broker) creatable(req *kmsg.MetadataRequest) []string {
	if !b.Config.AutoCreateTopicsEnable {
		return nil
	}
	img := b.Controller.Image()
	var out []string
	for _, t := range req.Topics {
		if t.Topic != nil && t.TopicID == [16]byte{} && img.Topic(*t.Topic) == nil && cluster.CheckTopicName(*t.Topic) == "" &&
			!slices.Contains(out, *t.Topic) {
			out = append(out, *t.Topic)
		}
	}
	return out
}

// autoCreate creates topics with the broker's defaults and calls done with those that could not be.
func (b *Broker) autoCreate(names []string, done func(failed map[string]*kerr.Error)) {
	req := kmsg.NewPtrCreateTopicsRequest()
	req.Version = 7
	for _, name := range names {
		req.Topics = append(req.Topics, b.newTopic(name))
	}
	b.Controller.Submit(cluster.Request{Body: req, Own: true}, func(reply any, err error) {
		failed := map[string]*kerr.Error{}
		if err != nil {
			for _, name := range names {
				failed[name] = kerr.UnknownTopicOrPartition // clients ask again
			}
			done(failed)
			return
		}
		made := map[string]int{}
		for _, t := range reply.(*kmsg.CreateTopicsResponse).Topics {
			switch e, _ := kerr.ErrorForCode(t.ErrorCode).(*kerr.Error); {
			case e == nil:
				made[t.Topic] = int(t.NumPartitions)
			case e == kerr.TopicAlreadyExists: // someone else was quicker
				made[t.Topic] = 1
			default:
				failed[t.Topic] = e
			}
		}
		b.whenLed(made, func() { done(failed) })
	})
}

// newTopic describes a topic with the defaults: the broker's, or the ones of an internal topic.
func (b *Broker) newTopic(name string) kmsg.CreateTopicsRequestTopic {
	t := kmsg.NewCreateTopicsRequestTopic()
	t.Topic, t.NumPartitions, t.ReplicationFactor = name, -1, -1
	if name == cluster.OffsetsTopic {
		brokers := 0
		for range b.Controller.Image().Brokers() {
			brokers++
		}
		t.NumPartitions = b.Config.OffsetsTopicNumPartitions
		t.ReplicationFactor = min(b.Config.OffsetsTopicReplication, int16(brokers))
		for _, c := range [][2]string{
			{"cleanup.policy", "compact"},
			{"compression.type", "producer"},
			{"segment.bytes", strconv.Itoa(int(b.Config.OffsetsTopicSegmentBytes))},
		} {
			out := kmsg.NewCreateTopicsRequestTopicConfig()
			out.Name, out.Value = c[0], &c[1]
			t.Configs = append(t.Configs, out)
		}
	}
	return t
}

func (b *Broker) metadataResponse(r *server.Request, req *kmsg.MetadataRequest, failed map[string]*kerr.Error) *kmsg.MetadataResponse {
	resp := req.ResponseKind().(*kmsg.MetadataResponse)
	img := b.Controller.Image()
	resp.ClusterID = &b.ClusterID
	resp.ControllerID = b.controllerID()
	resp.AuthorizedOperations = noAuthorizedOperations
	for broker := range img.Brokers() {
		e, ok := broker.Endpoint(r.Conn.Listener)
		if !ok || !b.Alive(broker.ID) {
			continue
		}
		out := kmsg.NewMetadataResponseBroker()
		out.NodeID, out.Host, out.Port = broker.ID, e.Host, e.Port
		if broker.Rack != "" {
			out.Rack = &broker.Rack
		}
		resp.Brokers = append(resp.Brokers, out)
	}
	if req.Topics == nil || req.Version == 0 && len(req.Topics) == 0 {
		for t := range img.Topics() {
			resp.Topics = append(resp.Topics, b.describeTopic(t))
		}
	} else {
		for _, want := range wantedTopicsOnce(req) {
			resp.Topics = append(resp.Topics, b.describeWanted(img, want, failed))
		}
	}
	if req.Version == 0 {
		hideOffline(resp)
	}
	if req.IncludeClusterAuthorizedOperations {
		resp.AuthorizedOperations = clusterOperations
	}
	if req.IncludeTopicAuthorizedOperations {
		for i := range resp.Topics {
			if resp.Topics[i].ErrorCode != kerr.UnknownTopicID.Code {
				resp.Topics[i].AuthorizedOperations = topicOperations
			}
		}
	}
	return resp
}

// hideOffline leaves out replicas whose broker is away, as the oldest clients want it, which look each one up among the brokers.
func hideOffline(resp *kmsg.MetadataResponse) {
	for _, t := range resp.Topics {
		for i := range t.Partitions {
			p := &t.Partitions[i]
			if len(p.OfflineReplicas) == 0 {
				continue
			}
			p.Replicas = slices.DeleteFunc(slices.Clone(p.Replicas), func(id int32) bool { return slices.Contains(p.OfflineReplicas, id) })
			if p.ErrorCode == 0 {
				p.ErrorCode = kerr.ReplicaNotAvailable.Code
			}
		}
	}
}

// wantedTopicsOnce gives what a request asks for, each topic once. One that asks for ids does not ask for names.
func wantedTopicsOnce(req *kmsg.MetadataRequest) (out []kmsg.MetadataRequestTopic) {
	byID := slices.ContainsFunc(req.Topics, func(t kmsg.MetadataRequestTopic) bool { return t.TopicID != [16]byte{} })
	type place struct {
		id   [16]byte
		name string
	}
	seen := map[place]bool{}
	for _, t := range req.Topics {
		at := place{id: t.TopicID}
		if t.Topic != nil && !byID {
			at.name = *t.Topic
		}
		if (!byID || t.TopicID != [16]byte{}) && !seen[at] {
			seen[at] = true
			out = append(out, t)
		}
	}
	return out
}

func (b *Broker) describeWanted(img *cluster.Image, want kmsg.MetadataRequestTopic, failed map[string]*kerr.Error) kmsg.MetadataResponseTopic {
	out := kmsg.NewMetadataResponseTopic()
	out.Topic, out.TopicID = want.Topic, want.TopicID
	out.AuthorizedOperations = noAuthorizedOperations
	switch {
	case want.Topic == nil && want.TopicID == [16]byte{}:
		out.ErrorCode = kerr.InvalidRequest.Code
	case want.TopicID != [16]byte{}:
		t := img.TopicByID(want.TopicID)
		if t != nil {
			return b.describeTopic(t)
		}
		out.Topic, out.ErrorCode = nil, kerr.UnknownTopicID.Code
	default:
		t := img.Topic(*want.Topic)
		if t != nil {
			return b.describeTopic(t)
		}
		out.ErrorCode = kerr.UnknownTopicOrPartition.Code
		if cluster.CheckTopicName(*want.Topic) != "" {
			out.ErrorCode = kerr.InvalidTopicException.Code
		} else if e := failed[*want.Topic]; e != nil {
			out.ErrorCode = e.Code
		}
	}
	return out
}

func (b *Broker) describeTopic(t *cluster.Topic) kmsg.MetadataResponseTopic {
	out := kmsg.NewMetadataResponseTopic()
	out.Topic, out.TopicID, out.IsInternal = &t.Name, t.ID, t.Internal()
	out.AuthorizedOperations = noAuthorizedOperations
	out.Partitions = make([]kmsg.MetadataResponseTopicPartition, len(t.Partitions))
	for number := range t.Partitions {
		part := kmsg.NewMetadataResponseTopicPartition()
		part.Partition = int32(number)
		part.Replicas = t.Partitions[number].Replicas
		v := b.leaderOf(t, int32(number))
		part.Leader, part.LeaderEpoch = v.leader, v.epoch
		part.ISR, part.OfflineReplicas = v.inSync, v.offline
		if v.leader < 0 {
			part.ErrorCode = kerr.LeaderNotAvailable.Code
		}
		out.Partitions[number] = part
	}
	return out
}

// controllerID is the broker that leads the metadata; -1: nobody that is known.
func (b *Broker) controllerID() int32 { return b.MetadataLog.Leadership().Broker }

// leaderHint tells who leads a partition, for clients that asked the wrong broker.
func (b *Broker) leaderHint(topic *cluster.Topic, number int32) (leader, epoch int32) {
	if topic == nil || number < 0 || int(number) >= len(topic.Partitions) {
		return -1, -1
	}
	v := b.leaderOf(topic, number)
	return v.leader, v.epoch
}

// endpoint tells where a broker is reached by clients of a listener.
func (b *Broker) endpoint(id int32, listener string) (e cluster.Endpoint, rack *string, ok bool) {
	broker := b.Controller.Image().Broker(id)
	if broker == nil {
		return e, nil, false
	}
	if broker.Rack != "" {
		rack = &broker.Rack
	}
	e, ok = broker.Endpoint(listener)
	return e, rack, ok
}

// leaderView is what clients are told of a partition's replicas.
type leaderView struct {
	leader          int32 // -1: none
	epoch           int32
	inSync, offline []int32
}

func (b *Broker) leaderOf(t *cluster.Topic, number int32) leaderView {
	known := b.Leaders.Of(t.ID, number)
	v := leaderView{leader: known.Broker, epoch: known.Epoch, inSync: known.InSync, offline: []int32{}}
	if known.Broker < 0 && known.Last != b.Self && b.CutOff() { // the others may well have gone on as they were
		v.leader, v.epoch = known.Last, known.LastEpoch
	}
	if known.Broker >= 0 && !b.Alive(known.Broker) {
		v.leader = -1
	}
	if known.Broker < 0 && known.Epoch < 0 && !known.Unopened {
		v.leader = b.firstLeader(t.Partitions[number])
	}
	for _, replica := range t.Partitions[number].Replicas {
		if !b.Alive(replica) || known.Unopened && replica == b.Self {
			v.offline = append(v.offline, replica)
		} else if known.InSync == nil {
			v.inSync = append(v.inSync, replica)
		}
	}
	if len(v.offline) > 0 { // a leader that went was in sync with itself to the last
		v.inSync = slices.DeleteFunc(slices.Clone(v.inSync), func(id int32) bool { return slices.Contains(v.offline, id) })
	}
	if v.inSync == nil {
		v.inSync = []int32{}
	}
	return v
}

// firstLeader is who leads a partition that this node has heard nothing of: one that was made a moment ago, which its first replica
// leads, and whose maker knows that already. -1: nobody can, or it would be this node, which knows.
func (b *Broker) firstLeader(p cluster.Partition) int32 {
	there, first := 0, p.Replicas[0]
	for _, replica := range p.Replicas {
		if b.Alive(replica) {
			there++
		}
	}
	made := slices.Contains(p.First(), b.Controller.Image().Nodes(p.Replicas)[0])
	if first != b.Self && b.Alive(first) && 2*there > len(p.Replicas) && made {
		return first
	}
	return -1
}
