package test

import (
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"
)

func (n *node) topicID(name string) [16]byte {
	n.t.Helper()
	topics, err := kadm.NewClient(n.client()).ListTopics(ctx(n.t), name)
	if err != nil {
		n.t.Fatal(err)
	}
	return [16]byte(topics[name].ID)
}

// TestB058FetchSessions walks through the life of a fetch session.
func TestB058FetchSessions(t *testing.T) {
	n := start(t)
	n.createTopic("t", 2)
	id := n.topicID("t")
	fetch := func(session, epoch int32, change func(*kmsg.FetchRequest)) *kmsg.FetchResponse {
		t.Helper()
		req := kmsg.NewPtrFetchRequest()
		req.MaxBytes, req.SessionID, req.SessionEpoch = 1<<20, session, epoch
		if change != nil {
			change(req)
		}
		return mustAsk[*kmsg.FetchResponse](n, req, 13)
	}
	both := func(req *kmsg.FetchRequest) {
		topic := kmsg.NewFetchRequestTopic()
		topic.TopicID = id
		for p := range int32(2) {
			part := kmsg.NewFetchRequestTopicPartition()
			part.Partition, part.PartitionMaxBytes = p, 1<<20
			topic.Partitions = append(topic.Partitions, part)
		}
		req.Topics = append(req.Topics, topic)
	}
	full := fetch(0, 0, both)
	if full.ErrorCode != 0 || full.SessionID == 0 || len(full.Topics) != 1 || len(full.Topics[0].Partitions) != 2 {
		t.Fatalf("full: %+v", full)
	}
	s := full.SessionID
	if got := fetch(s, 1, nil); got.ErrorCode != 0 || len(got.Topics) != 0 {
		t.Fatalf("nothing new: %+v", got)
	}
	mustAsk[*kmsg.ProduceResponse](n, produceRequest("t", -1, nil), 9)
	if got := fetch(s, 2, nil); len(got.Topics) != 1 || len(got.Topics[0].Partitions) != 1 || len(got.Topics[0].Partitions[0].RecordBatches) == 0 {
		t.Fatalf("one record: %+v", got)
	}
	if got := fetch(s, 7, nil); got.ErrorCode != kerr.InvalidFetchSessionEpoch.Code {
		t.Fatalf("wrong epoch: %+v", got)
	}
	if got := fetch(s+1, 3, nil); got.ErrorCode != kerr.FetchSessionIDNotFound.Code {
		t.Fatalf("unknown session: %+v", got)
	}
	named := kmsg.NewPtrFetchRequest()
	named.MaxBytes, named.SessionID, named.SessionEpoch = 1<<20, s, 3
	if got := mustAsk[*kmsg.FetchResponse](n, named, 12); got.ErrorCode != kerr.FetchSessionTopicIDError.Code {
		t.Fatalf("from ids to names: %+v", got)
	}
	forget := fetch(s, 3, func(req *kmsg.FetchRequest) {
		f := kmsg.NewFetchRequestForgottenTopic()
		f.TopicID, f.Partitions = id, []int32{0}
		req.ForgottenTopics = append(req.ForgottenTopics, f)
	})
	if forget.ErrorCode != 0 || len(forget.Topics) != 0 {
		t.Fatalf("the forgotten partition's record came again: %+v", forget)
	}
	if got := fetch(s, -1, both); got.ErrorCode != 0 || got.SessionID != 0 || len(got.Topics) != 1 {
		t.Fatalf("the last: %+v", got)
	}
	if got := fetch(s, 4, nil); got.ErrorCode != kerr.FetchSessionIDNotFound.Code {
		t.Fatalf("after its end: %+v", got)
	}
}

// TestB055And063LongPolling: a fetch waits for its bytes, or its time; the first batch is whole however small the limit.
func TestB055And063LongPolling(t *testing.T) {
	n := start(t)
	n.createTopic("t", 1)
	id := n.topicID("t")
	fetch := func(minBytes, maxBytes, wait int32) *kmsg.FetchResponse {
		req := meaningful(1, "t", id).(*kmsg.FetchRequest)
		req.MinBytes, req.MaxBytes, req.MaxWaitMillis, req.SessionEpoch = minBytes, maxBytes, wait, -1
		req.Topics[0].Partitions[0].PartitionMaxBytes = maxBytes
		return mustAsk[*kmsg.FetchResponse](n, req, 16)
	}
	if got := fetch(1, 1<<20, 50); len(got.Topics[0].Partitions[0].RecordBatches) != 0 {
		t.Fatalf("%+v", got)
	}
	answer := make(chan *kmsg.FetchResponse, 1)
	go func() { answer <- fetch(1, 1<<20, 15_000) }()
	<-time.After(50 * time.Millisecond)
	mustAsk[*kmsg.ProduceResponse](n, produceRequest("t", -1, nil), 9)
	select {
	case got := <-answer:
		if len(got.Topics[0].Partitions[0].RecordBatches) == 0 {
			t.Fatal("woken without records")
		}
	case <-time.After(10 * time.Second):
		t.Fatal("the waiting fetch was not woken by the record")
	}
	if got := fetch(1, 1, 0).Topics[0].Partitions[0].RecordBatches; len(got) != len(batch("hello")) {
		t.Fatalf("with a limit of one byte %d bytes come, not the whole first batch of %d", len(got), len(batch("hello")))
	}
}

func TestB065And067ListOffsets(t *testing.T) {
	n := start(t)
	n.createTopic("t", 1)
	mustAsk[*kmsg.ProduceResponse](n, produceRequest("t", -1, nil), 9)
	list := func(version int16, timestamps ...int64) []kmsg.ListOffsetsResponseTopicPartition {
		req := kmsg.NewPtrListOffsetsRequest()
		topic := kmsg.NewListOffsetsRequestTopic()
		topic.Topic = "t"
		for _, ts := range timestamps {
			p := kmsg.NewListOffsetsRequestTopicPartition()
			p.Timestamp = ts
			topic.Partitions = append(topic.Partitions, p)
		}
		req.Topics = append(req.Topics, topic)
		return mustAsk[*kmsg.ListOffsetsResponse](n, req, version).Topics[0].Partitions
	}
	for _, c := range []struct {
		version         int16
		timestamp, want int64
		code            int16
	}{
		{9, -1, 1, 0}, {9, -2, 0, 0}, {9, -3, 0, 0}, {9, -4, 0, 0}, {9, -5, -1, 0}, {11, -6, -1, 0}, {9, 0, 0, 0},
		{9, time.Now().Add(time.Hour).UnixMilli(), -1, 0}, {6, -3, -1, 35}, {7, -4, -1, 35}, {8, -5, -1, 35}, {9, -6, -1, 35}, {9, -77, -1, 35},
	} {
		if got := list(c.version, c.timestamp)[0]; got.Offset != c.want || got.ErrorCode != c.code {
			t.Errorf("%+v: %+v", c, got)
		}
	}
	if got := list(9, -1, -2); got[0].ErrorCode != 42 || got[1].ErrorCode != 42 {
		t.Errorf("a partition twice: %+v", got)
	}
}

func TestB072Metadata(t *testing.T) {
	n := start(t)
	n.createTopic("a", 1)
	n.createTopic("b", 1)
	ask := func(version int16, topics []kmsg.MetadataRequestTopic, create bool) *kmsg.MetadataResponse {
		req := kmsg.NewPtrMetadataRequest()
		req.Topics, req.AllowAutoTopicCreation = topics, create
		return mustAsk[*kmsg.MetadataResponse](n, req, version)
	}
	named := func(names ...string) []kmsg.MetadataRequestTopic {
		out := []kmsg.MetadataRequestTopic{}
		for _, name := range names {
			topic := kmsg.NewMetadataRequestTopic()
			topic.Topic = &name
			out = append(out, topic)
		}
		return out
	}
	if got := ask(9, nil, true); len(got.Topics) != 2 || len(got.Brokers) != 1 {
		t.Errorf("all: %+v", got)
	}
	if got := ask(9, named(), true); len(got.Topics) != 0 || len(got.Brokers) != 1 {
		t.Errorf("none: %+v", got)
	}
	if got := ask(9, named("new"), false); got.Topics[0].ErrorCode != 3 {
		t.Errorf("not to be created: %+v", got)
	}
	if got := ask(9, named("new"), true); got.Topics[0].ErrorCode != 0 || got.Topics[0].Partitions[0].Leader != 1 {
		t.Errorf("created: %+v", got)
	}
	if got := ask(9, named("a b"), true); got.Topics[0].ErrorCode != 17 {
		t.Errorf("a bad name: %+v", got)
	}
	byID := kmsg.NewMetadataRequestTopic()
	byID.TopicID = n.topicID("b")
	unknown := kmsg.NewMetadataRequestTopic()
	unknown.TopicID = [16]byte{1}
	if got := ask(12, []kmsg.MetadataRequestTopic{byID, unknown}, true); got.Topics[0].ErrorCode != 0 || *got.Topics[0].Topic != "b" || got.Topics[1].ErrorCode != 100 {
		t.Errorf("by id: %+v", got)
	}
}

func TestB069EpochEnds(t *testing.T) {
	n := start(t)
	n.createTopic("t", 1)
	mustAsk[*kmsg.ProduceResponse](n, produceRequest("t", -1, nil), 9)
	n.kill()
	n.start() // a new epoch
	ask := func(current, epoch int32) kmsg.OffsetForLeaderEpochResponseTopicPartition {
		req := kmsg.NewPtrOffsetForLeaderEpochRequest()
		topic := kmsg.NewOffsetForLeaderEpochRequestTopic()
		topic.Topic = "t"
		p := kmsg.NewOffsetForLeaderEpochRequestTopicPartition()
		p.CurrentLeaderEpoch, p.LeaderEpoch = current, epoch
		topic.Partitions = append(topic.Partitions, p)
		req.Topics = append(req.Topics, topic)
		return mustAsk[*kmsg.OffsetForLeaderEpochResponse](n, req, 4).Topics[0].Partitions[0]
	}
	for _, c := range []struct {
		current, epoch, wantEpoch int32
		wantEnd                   int64
		code                      int16
	}{
		{-1, 1, 1, 1, 0}, {-1, 2, 2, 1, 0}, {2, 2, 2, 1, 0}, {-1, 0, 0, 0, 0}, {-1, 3, -1, -1, 0},
		{1, 1, -1, -1, kerr.FencedLeaderEpoch.Code}, {3, 1, -1, -1, kerr.UnknownLeaderEpoch.Code},
	} {
		if got := ask(c.current, c.epoch); got.LeaderEpoch != c.wantEpoch || got.EndOffset != c.wantEnd || got.ErrorCode != c.code {
			t.Errorf("%+v: %+v", c, got)
		}
	}
}
