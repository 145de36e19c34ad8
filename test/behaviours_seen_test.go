package test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// What was seen on Apache Kafka 4.3.1, and that clients and tools lean on.

// TestSeenElectionsWithoutTime: with a time-out of 0 Kafka answers REQUEST_TIMED_OUT to an election that it may well hold; here
// it is held and answered.
func TestSeenElectionsWithoutTime(t *testing.T) {
	n := shared(t)
	to := n.newTopic(1)
	got := n.elect(2, 0, 0, kmsg.ElectLeadersRequestTopic{Topic: to.name, Partitions: []int32{0}})
	if len(got.Topics) != 1 || got.Topics[0].Partitions[0].ErrorCode != 84 {
		t.Errorf("%+v", got)
	}
}

// TestSeenTopicsServeAtOnce: when a topic is made, asked for or grown, all of its partitions are led. Kafka promises less.
func TestSeenTopicsServeAtOnce(t *testing.T) {
	n := start(t)
	written := func(to topic, partitions int32) {
		t.Helper()
		for p := range partitions {
			req := produceRequest(to.name, -1, nil)
			req.Topics[0].Partitions[0].Partition = p
			if got := mustAsk[*kmsg.ProduceResponse](to.leader(p), req, 9).Topics[0].Partitions[0]; got.ErrorCode != 0 {
				t.Errorf("%s-%d: %s", to.name, p, describe(got.ErrorCode, got.ErrorMessage))
			}
		}
	}
	for i := range 5 {
		name := fmt.Sprintf("made-%d", i)
		if got := n.create(false, wantTopic(name, 20))[name]; got.ErrorCode != 0 {
			t.Fatal(describe(got.ErrorCode, got.ErrorMessage))
		}
		written(topic{n: n, name: name}, 20)
		grow := kmsg.NewPtrCreatePartitionsRequest()
		more := kmsg.NewCreatePartitionsRequestTopic()
		more.Topic, more.Count = name, 30
		grow.Topics = append(grow.Topics, more)
		mustAsk[*kmsg.CreatePartitionsResponse](n, grow, 3)
		written(topic{n: n, name: name}, 30)
		asked := fmt.Sprintf("asked-%d", i)
		if got := askMetadata(n, 9, true, byName(asked)).Topics[0]; got.ErrorCode != 0 || got.Partitions[0].Leader < 1 {
			t.Errorf("%+v", got)
		}
		written(topic{n: n, name: asked}, 1)
	}
}

// TestSeenMessages: tools and scripts compare texts.
func TestSeenMessages(t *testing.T) {
	n := shared(t)
	to := n.newTopic(2)
	none := unique("none")
	created := func(want kmsg.CreateTopicsRequestTopic) *string { return n.create(true, want)[want.Topic].ErrorMessage }
	grown := func(name string, count int32) *string {
		req := kmsg.NewPtrCreatePartitionsRequest()
		want := kmsg.NewCreatePartitionsRequestTopic()
		want.Topic, want.Count = name, count
		req.Topics = append(req.Topics, want)
		return mustAsk[*kmsg.CreatePartitionsResponse](n, req, 3).Topics[0].ErrorMessage
	}
	altered := func(c change) *string { return n.alter(topicResource, to.name, c).ErrorMessage }
	sized := func(partitions int32, factor int16) kmsg.CreateTopicsRequestTopic {
		want := plainTopic(unique("made"), partitions)
		want.ReplicationFactor = factor
		return want
	}
	describedTopic := func() *string {
		_, got := n.describeConfigs(topicResource, none)
		return got.ErrorMessage
	}
	long := strings.Repeat("x", 250)
	describeACLs := kmsg.NewPtrDescribeACLsRequest()
	describeACLs.ResourceType, describeACLs.ResourcePatternType, describeACLs.Operation, describeACLs.PermissionType = 1, 1, 1, 1
	for i, c := range []struct {
		got  *string
		want string
	}{
		{created(wantTopic(to.name, 1)), "Topic '" + to.name + "' already exists."},
		{created(wantTopic("made", 1, "x=1")), "Unknown topic config name: x"},
		{created(wantTopic("made", 1, "segment.bytes=1000")), "Invalid value 1000 for configuration segment.bytes: Value must be at least 1048576"},
		{created(wantTopic("made", 1, "retention.ms=soon")), "Invalid value soon for configuration retention.ms: Not a number of type LONG"},
		{created(wantTopic("made", 1, "cleanup.policy=burn")), "Invalid value burn for configuration cleanup.policy: String must be one of: compact, delete"},
		{created(wantTopic("a b", 1)), "Topic name is invalid: 'a b' contains one or more characters other than ASCII alphanumerics, '.', '_' and '-'"},
		{created(wantTopic("", 1)), "Topic name is invalid: the empty string is not allowed"},
		{created(wantTopic("..", 1)), "Topic name is invalid: '..' is not allowed"},
		{created(wantTopic(long, 1)), "Topic name is invalid: the length of '" + long + "' is longer than the max allowed length 249"},
		{created(sized(0, 1)), "Number of partitions was set to an invalid non-positive value."},
		{created(sized(1, 0)), "Replication factor must be larger than 0, or -1 to use the default value."},
		{created(sized(1, 4)), fmt.Sprintf("Unable to replicate the partition 4 time(s): The target replication factor of 4 cannot be reached because only %d broker(s) are registered or some brokers have all their log directories cordoned.", nodes)},
		{grown(to.name, 2), "Topic already has 2 partition(s)."},
		{grown(to.name, 1), "The topic " + to.name + " currently has 2 partition(s); 1 would not be an increase."},
		{altered(change{"x", 0, value("1")}), "Unknown topic config name: x"},
		{altered(change{"retention.ms", 2, value("1")}), "Can't APPEND to key retention.ms because its type is not LIST."},
		{describedTopic(), ""},
		{mustAsk[*kmsg.DescribeACLsResponse](n, describeACLs, 1).ErrorMessage, "No Authorizer is configured on the broker"},
	} {
		if text(c.got) != c.want {
			t.Errorf("%d: %q, want %q", i, text(c.got), c.want)
		}
	}
	if got := mustAsk[*kmsg.DescribeACLsResponse](n, describeACLs, 1); got.ErrorCode != 54 {
		t.Error(describe(got.ErrorCode, got.ErrorMessage))
	}
}

// TestSeenOffsetsTopicRecords: tools read __consumer_offsets by the versions of its keys and values.
func TestSeenOffsetsTopicRecords(t *testing.T) {
	n := shared(t)
	to := n.newTopic(1)
	group := n.newGroup()
	m := &member{n: n, group: group, topic: to.name}
	settle(m)
	wants(t, "commit", m.commit(11), 0)
	partitions := map[int32]kgo.Offset{}
	for p := range int32(4) {
		partitions[p] = kgo.NewOffset().AtStart()
	}
	c := n.client(kgo.ConsumePartitions(map[string]map[int32]kgo.Offset{"__consumer_offsets": partitions}))
	var offset kmsg.OffsetCommitValue
	var meta kmsg.GroupMetadataValue
	until(t, "both records are there", func() bool {
		c.PollFetches(ctx(t)).EachRecord(func(r *kgo.Record) {
			offsetKey, groupKey := kmsg.NewOffsetCommitKey(), kmsg.NewGroupMetadataKey()
			switch version := int(r.Key[0])<<8 | int(r.Key[1]); {
			case version <= 1:
				if err := offsetKey.ReadFrom(r.Key); err != nil {
					t.Error(err)
				}
				if offsetKey.Group == group && r.Value != nil {
					if err := offset.ReadFrom(r.Value); err != nil || offsetKey.Topic != to.name || offsetKey.Partition != 0 {
						t.Errorf("%+v %+v %v", offsetKey, offset, err)
					}
				}
			case version == 2:
				if err := groupKey.ReadFrom(r.Key); err != nil {
					t.Error(err)
				}
				if groupKey.Group == group && r.Value != nil {
					if err := meta.ReadFrom(r.Value); err != nil {
						t.Error(err)
					}
				}
			}
		})
		return offset.Offset == 11 && len(meta.Members) == 1 && len(meta.Members[0].Assignment) > 0
	})
	if meta.Generation != m.generation || meta.ProtocolType != "consumer" || text(meta.Protocol) != "range" || text(meta.Leader) != m.id ||
		meta.Members[0].MemberID != m.id || meta.Members[0].ClientID != "test" || string(meta.Members[0].Assignment) != assignment(0) || meta.Members[0].SessionTimeoutMillis != 30_000 {
		t.Errorf("%+v", meta)
	}
}

// TestSeenStreamsTopics: the topics that Kafka Streams makes for itself, and how it empties them.
func TestSeenStreamsTopics(t *testing.T) {
	n := shared(t)
	repartition := n.namedTopic(unique("app")+"-KSTREAM-AGGREGATE-STATE-STORE-0000000003-repartition", 1, "cleanup.policy=delete", "segment.bytes=52428800", "retention.ms=-1", "message.timestamp.type=CreateTime")
	n.namedTopic(unique("app")+"-changelog", 1, "cleanup.policy=compact", "message.timestamp.type=CreateTime")
	n.namedTopic(unique("app")+"-windowed-changelog", 1, "cleanup.policy=compact,delete", "retention.ms=172800000", "message.timestamp.type=CreateTime")
	repartition.mustProduce(makeBatch([]rec{{value: "a"}, {value: "b"}, {value: "c"}}), 0)
	if got := repartition.deleteRecords(2); got.ErrorCode != 0 || got.LowWatermark != 2 {
		t.Errorf("%+v", got)
	}
}

// TestSeenConnect: what Kafka Connect's workers do to begin with.
func TestSeenConnect(t *testing.T) {
	n := shared(t)
	to := n.newTopic(1, "cleanup.policy=compact")
	got, _ := n.describeConfigs(topicResource, to.name, "cleanup.policy")
	if text(got["cleanup.policy"].Value) != "compact" {
		t.Errorf("%+v", got)
	}
	to.mustProduce(makeBatch([]rec{{key: []byte("k"), value: "v"}}), 0)
	ends, err := kadm.NewClient(n.client()).ListCommittedOffsets(ctx(t), to.name)
	if err != nil || ends[to.name][0].Offset != 1 {
		t.Errorf("the end that is committed: %+v %v", ends, err)
	}
	m := &member{n: n, group: n.newGroup(), protocols: []string{"sessioned", "compatible"}, protocolType: "connect", topic: "any bytes"}
	form(m)
	if m.protocol != "sessioned" {
		t.Errorf("the protocol is %s", m.protocol)
	}
	wants(t, "sync", m.sync(map[string]string{m.id: "connectors"}).ErrorCode, 0)
	described := n.describeGroup(m.group)
	if described.ProtocolType != "connect" || described.Protocol != "sessioned" || described.State != "Stable" || string(described.Members[0].MemberAssignment) != "connectors" {
		t.Errorf("%+v", described)
	}
	if got := n.listGroups(5, nil, nil)[m.group]; got.ProtocolType != "connect" {
		t.Errorf("%+v", got)
	}
}

// TestSeenResettingAGroup: what tools run into when a group has members.
func TestSeenResettingAGroup(t *testing.T) {
	n := shared(t)
	to := n.newTopic(1)
	to.mustProduce(nil, 0)
	group := n.newGroup()
	m := &member{n: n, group: group, topic: to.name}
	settle(m)
	admin := kadm.NewClient(n.client())
	var reset kadm.Offsets
	reset.AddOffset(to.name, 0, 0, -1)
	got, err := admin.CommitOffsets(ctx(t), group, reset)
	if err != nil || errorName(got.Error()) != "UNKNOWN_MEMBER_ID" {
		t.Errorf("resetting offsets of a group with members: %v %v", got.Error(), err)
	}
	deleted, err := admin.DeleteGroup(ctx(t), group)
	if errorName(deleted.Err) != "NON_EMPTY_GROUP" && errorName(err) != "NON_EMPTY_GROUP" {
		t.Errorf("deleting it: %v %v", deleted.Err, err)
	}
	forgotten, err := admin.DeleteOffsets(ctx(t), group, kadm.TopicsSet{to.name: {0: {}}})
	if err != nil || errorName(forgotten.Error()) != "GROUP_SUBSCRIBED_TO_TOPIC" {
		t.Errorf("deleting offsets that are in use: %v %v", forgotten, err)
	}
}

// errorName gives Kafka's name of an error.
func errorName(err error) string {
	if err == nil {
		return ""
	}
	name, _, _ := strings.Cut(err.Error(), ":")
	return name
}
