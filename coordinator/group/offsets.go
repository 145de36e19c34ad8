package group

import (
	"cmp"
	"slices"
	"time"

	"github.com/twmb/franz-go/pkg/kbin"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"
)

type topicPartition struct {
	topic     string
	partition int32
}

// offset is a committed offset.
type offset struct {
	at        int64
	epoch     int32
	metadata  string
	committed int64 // ms
}

// commit handles OffsetCommit 2–10. From version 10 on topics come by id; whoever passes the request on has put the names in.
func (t *turn) commit(req *kmsg.OffsetCommitRequest) *kmsg.OffsetCommitResponse {
	resp := req.ResponseKind().(*kmsg.OffsetCommitResponse)
	g := t.groups[req.Group]
	err := t.mayCommit(g, req)
	if err == nil && g == nil {
		g = newGroup(req.Group)
		g.since = t.now
		t.groups[req.Group] = g
	}
	for _, topic := range req.Topics {
		out := kmsg.NewOffsetCommitResponseTopic()
		out.Topic, out.TopicID = topic.Topic, topic.TopicID
		for _, p := range topic.Partitions {
			part := kmsg.NewOffsetCommitResponseTopicPartition()
			part.Partition = p.Partition
			switch {
			case err != nil:
				part.ErrorCode = err.Code
			case len(text(p.Metadata)) > t.cfg.OffsetMetadataMax:
				part.ErrorCode = kerr.OffsetMetadataTooLarge.Code
			default:
				t.effects.Records = append(t.effects.Records, offsetRecord(req.Group, topicPartition{topic.Topic, p.Partition},
					offset{p.Offset, p.LeaderEpoch, text(p.Metadata), t.now.UnixMilli()}))
			}
			out.Partitions = append(out.Partitions, part)
		}
		resp.Topics = append(resp.Topics, out)
	}
	return resp
}

// mayCommit checks who commits. Without member and generation it is a consumer that assigns itself, and the group must have
// no members.
func (t *turn) mayCommit(g *group, req *kmsg.OffsetCommitRequest) *kerr.Error {
	simple := req.Generation < 0 && req.MemberID == ""
	switch {
	case req.Group == "":
		return kerr.InvalidGroupID
	case g == nil && simple:
		return nil
	case g == nil && req.Version >= 9:
		return kerr.GroupIDNotFound
	case g == nil:
		return kerr.IllegalGeneration
	case req.Generation < 0 && g.state == Empty:
		return nil
	case simple && req.InstanceID == nil:
		return kerr.UnknownMemberID
	}
	m, err := g.member(req.MemberID, req.InstanceID)
	switch {
	case err != nil:
		return err
	case req.Generation != g.generation:
		return kerr.IllegalGeneration
	case g.state == CompletingRebalance:
		return kerr.RebalanceInProgress
	}
	t.touch(m)
	return nil
}

// fetch handles OffsetFetch 1–10.
func (t *turn) fetch(req *kmsg.OffsetFetchRequest) *kmsg.OffsetFetchResponse {
	resp := req.ResponseKind().(*kmsg.OffsetFetchResponse)
	if req.Version < 8 {
		topics := make([]kmsg.OffsetFetchRequestGroupTopic, 0, len(req.Topics))
		for _, topic := range req.Topics {
			topics = append(topics, kmsg.OffsetFetchRequestGroupTopic{Topic: topic.Topic, Partitions: topic.Partitions})
		}
		if req.Topics == nil {
			topics = nil
		}
		for _, topic := range t.fetchGroup(req.Group, topics) {
			out := kmsg.NewOffsetFetchResponseTopic()
			out.Topic = topic.Topic
			for _, p := range topic.Partitions {
				part := kmsg.NewOffsetFetchResponseTopicPartition()
				part.Partition, part.Offset, part.LeaderEpoch, part.Metadata = p.Partition, p.Offset, p.LeaderEpoch, p.Metadata
				out.Partitions = append(out.Partitions, part)
			}
			resp.Topics = append(resp.Topics, out)
		}
		return resp
	}
	for _, g := range req.Groups {
		out := kmsg.NewOffsetFetchResponseGroup()
		out.Group = g.Group
		out.ErrorCode = code(t.mayFetch(g))
		if out.ErrorCode == 0 {
			out.Topics = t.fetchGroup(g.Group, g.Topics)
		}
		resp.Groups = append(resp.Groups, out)
	}
	return resp
}

// mayFetch checks a member's epoch, when one is given.
func (t *turn) mayFetch(req kmsg.OffsetFetchRequestGroup) *kerr.Error {
	g := t.groups[req.Group]
	if req.MemberID == nil || *req.MemberID == "" || req.MemberEpoch < 0 {
		return nil
	}
	if g == nil || g.members[*req.MemberID] == nil {
		return kerr.UnknownMemberID
	}
	if g.generation != req.MemberEpoch {
		return kerr.IllegalGeneration
	}
	return nil
}

// fetchGroup gives the offsets of the asked partitions, or of all when topics is nil. One that was never committed is -1.
func (t *turn) fetchGroup(id string, topics []kmsg.OffsetFetchRequestGroupTopic) []kmsg.OffsetFetchResponseGroupTopic {
	g := t.groups[id]
	if g == nil {
		g = newGroup(id)
	}
	if topics == nil {
		topics = g.committedTopics()
	}
	var out []kmsg.OffsetFetchResponseGroupTopic
	for _, topic := range topics {
		o := kmsg.NewOffsetFetchResponseGroupTopic()
		o.Topic, o.TopicID = topic.Topic, topic.TopicID
		for _, number := range topic.Partitions {
			p := kmsg.NewOffsetFetchResponseGroupTopicPartition()
			p.Partition, p.Offset, p.LeaderEpoch, p.Metadata = number, -1, -1, kmsg.StringPtr("")
			if c, ok := g.offsets[topicPartition{topic.Topic, number}]; ok {
				p.Offset, p.LeaderEpoch, p.Metadata = c.at, c.epoch, &c.metadata
			}
			o.Partitions = append(o.Partitions, p)
		}
		out = append(out, o)
	}
	return out
}

func (g *group) sortedOffsets() []topicPartition {
	out := make([]topicPartition, 0, len(g.offsets))
	for tp := range g.offsets {
		out = append(out, tp)
	}
	slices.SortFunc(out, func(a, b topicPartition) int {
		return cmp.Or(cmp.Compare(a.topic, b.topic), cmp.Compare(a.partition, b.partition))
	})
	return out
}

func (g *group) committedTopics() []kmsg.OffsetFetchRequestGroupTopic {
	out := []kmsg.OffsetFetchRequestGroupTopic{}
	for _, tp := range g.sortedOffsets() {
		if n := len(out); n == 0 || out[n-1].Topic != tp.topic {
			out = append(out, kmsg.OffsetFetchRequestGroupTopic{Topic: tp.topic})
		}
		last := &out[len(out)-1]
		last.Partitions = append(last.Partitions, tp.partition)
	}
	return out
}

// deleteOffsets handles OffsetDelete 0.
func (t *turn) deleteOffsets(req *kmsg.OffsetDeleteRequest) *kmsg.OffsetDeleteResponse {
	resp := req.ResponseKind().(*kmsg.OffsetDeleteResponse)
	g := t.groups[req.Group]
	if g == nil {
		resp.ErrorCode = kerr.GroupIDNotFound.Code
		return resp
	}
	if g.state != Empty && g.protocolType != consumerProtocol {
		resp.ErrorCode = kerr.NonEmptyGroup.Code
		return resp
	}
	subscribed := g.subscribed()
	for _, topic := range req.Topics {
		out := kmsg.NewOffsetDeleteResponseTopic()
		out.Topic = topic.Topic
		for _, p := range topic.Partitions {
			part := kmsg.NewOffsetDeleteResponseTopicPartition()
			part.Partition = p.Partition
			tp := topicPartition{topic.Topic, p.Partition}
			if _, ok := g.offsets[tp]; ok && subscribed[topic.Topic] {
				part.ErrorCode = kerr.GroupSubscribedToTopic.Code
			} else if ok {
				t.effects.Records = append(t.effects.Records, offsetTombstone(g.id, tp))
			}
			out.Partitions = append(out.Partitions, part)
		}
		resp.Topics = append(resp.Topics, out)
	}
	return resp
}

// consumerProtocol is the protocol type of consumers; only of theirs is it known what is in their metadata.
const consumerProtocol = "consumer"

// subscribed gives the topics that members are subscribed to.
func (g *group) subscribed() map[string]bool {
	out := map[string]bool{}
	if g.protocolType != consumerProtocol {
		return out
	}
	for _, m := range g.members {
		for _, topic := range subscriptionTopics(m.metadata(g.protocol)) {
			out[topic] = true
		}
	}
	return out
}

// subscriptionTopics reads the topics off a consumer's metadata: version int16, then an array of strings.
func subscriptionTopics(b []byte) []string {
	r := kbin.Reader{Src: b}
	r.Int16()
	var out []string
	for n := r.ArrayLen(); n > 0 && r.Ok(); n-- {
		out = append(out, r.String())
	}
	return out
}

// expireOffsets removes offsets that nobody has used for the retention time, and groups that have nothing left.
func (t *turn) expireOffsets() {
	for _, g := range t.sorted() {
		before := t.now.Add(-t.cfg.OffsetsRetention)
		subscribed := g.subscribed()
		left := len(g.offsets)
		for _, tp := range g.sortedOffsets() {
			if g.expired(tp, before, subscribed) {
				t.effects.Records = append(t.effects.Records, offsetTombstone(g.id, tp))
				left--
			}
		}
		if g.state == Empty && left == 0 && len(g.pending) == 0 {
			if g.recorded {
				t.effects.Records = append(t.effects.Records, groupTombstone(g.id))
			} else if len(g.offsets) == 0 {
				delete(t.groups, g.id)
			}
		}
	}
}

func (g *group) expired(tp topicPartition, before time.Time, subscribed map[string]bool) bool {
	committed := time.UnixMilli(g.offsets[tp].committed)
	switch {
	case g.state == Empty && g.protocolType != "": // its members left
		return g.since.Before(before) && committed.Before(before)
	case g.state == Empty: // it never had members
		return committed.Before(before)
	case g.state == Stable && g.protocolType == consumerProtocol:
		return !subscribed[tp.topic] && committed.Before(before)
	}
	return false
}
