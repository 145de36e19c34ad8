package group

import (
	"cmp"
	"slices"
	"unicode/utf16"

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
	committed int64    // ms
	expires   int64    // ms; noTimestamp: by the retention time, as all but the oldest clients' do
	topicID   [16]byte // zero: not known
}

// of tells whether an offset is of a topic, and not of one before it that had the same name.
func (o offset) of(topicID [16]byte) bool {
	return o.topicID == topicID || o.topicID == [16]byte{} || topicID == [16]byte{}
}

// commit handles OffsetCommit 2–10. From version 10 on topics come by id; whoever passes the request on has put the names in
// (and, if it knows them, in older versions the ids).
func (t *turn) commit(req *kmsg.OffsetCommitRequest) *kmsg.OffsetCommitResponse {
	resp := req.ResponseKind().(*kmsg.OffsetCommitResponse)
	err := t.mayCommit(t.groups[req.Group], req)
	now := t.now.UnixMilli()
	expires := noTimestamp
	if req.RetentionTimeMillis != -1 { // up to version 4
		expires = now + req.RetentionTimeMillis
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
			case javaLength(text(p.Metadata)) > t.cfg.OffsetMetadataMax:
				part.ErrorCode = kerr.OffsetMetadataTooLarge.Code
			default:
				t.effects.Records = append(t.effects.Records, offsetRecord(req.Group, topicPartition{topic.Topic, p.Partition},
					offset{
						at: p.Offset, epoch: p.LeaderEpoch, metadata: text(p.Metadata), committed: now, expires: expires, topicID: topic.TopicID,
					}))
			}
			out.Partitions = append(out.Partitions, part)
		}
		resp.Topics = append(resp.Topics, out)
	}
	return resp
}

// javaLength is a string's length as Kafka measures it, in UTF-16 units, although the option's name says bytes.
func javaLength(s string) int {
	n := 0
	for _, r := range s {
		n += max(utf16.RuneLen(r), 1)
	}
	return n
}

// mayCommit checks who commits. Without a generation it is a consumer that assigns itself, or a tool, and the group must
// have no members. The group may be nil.
func (t *turn) mayCommit(g *group, req *kmsg.OffsetCommitRequest) *kerr.Error {
	switch {
	case req.Generation < 0 && (g == nil || g.state == Empty):
		return nil
	case g == nil && req.Version >= 9:
		return kerr.GroupIDNotFound
	case g == nil:
		return kerr.IllegalGeneration
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
	t.touch(g, m)
	return nil
}

// fetch handles OffsetFetch 1–10. The member that newer versions name matters only to groups of the consumer protocol.
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
		out.Group, out.Topics = g.Group, t.fetchGroup(g.Group, g.Topics)
		resp.Groups = append(resp.Groups, out)
	}
	return resp
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
			if c, ok := g.offsets[topicPartition{topic.Topic, number}]; ok && c.of(topic.TopicID) {
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
	switch {
	case req.Group == "":
		resp.ErrorCode = kerr.InvalidGroupID.Code
		return resp
	case g == nil:
		resp.ErrorCode = kerr.GroupIDNotFound.Code
		return resp
	case g.state != Empty && g.protocolType != consumerProtocol:
		resp.ErrorCode = kerr.NonEmptyGroup.Code
		return resp
	}
	for _, topic := range req.Topics {
		out := kmsg.NewOffsetDeleteResponseTopic()
		out.Topic = topic.Topic
		for _, p := range topic.Partitions {
			part := kmsg.NewOffsetDeleteResponseTopicPartition()
			part.Partition = p.Partition
			tp := topicPartition{topic.Topic, p.Partition}
			if g.uses(topic.Topic) {
				part.ErrorCode = kerr.GroupSubscribedToTopic.Code
			} else if _, ok := g.offsets[tp]; ok {
				t.effects.Records = append(t.effects.Records, offsetTombstone(g.id, tp))
			}
			out.Partitions = append(out.Partitions, part)
		}
		resp.Topics = append(resp.Topics, out)
	}
	return resp
}

// topicsDeleted removes the offsets of topics that are no more, of all groups: a new topic of that name begins anew.
func (t *turn) topicsDeleted(topics []string) {
	gone := map[string]bool{}
	for _, topic := range topics {
		gone[topic] = true
	}
	for _, g := range t.sorted() {
		for _, tp := range g.sortedOffsets() {
			if gone[tp.topic] {
				t.effects.Records = append(t.effects.Records, offsetTombstone(g.id, tp))
			}
		}
	}
}
