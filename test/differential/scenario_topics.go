package main

import (
	"fmt"
	"strings"

	"github.com/twmb/franz-go/pkg/kmsg"
)

func playVersions(w *world) {
	for _, v := range w.versions(kmsg.ApiVersions) {
		for _, software := range [][2]string{{"test", "1.0"}, {"", ""}, {"@@", "1"}, {"test", "@"}, {"a b", "1"}, {"-a", "1"}, {"a-", "1"}, {"a.b-c", "1-2.3"}, {"ä", "1"}} {
			req := kmsg.NewPtrApiVersionsRequest()
			req.ClientSoftwareName, req.ClientSoftwareVersion = software[0], software[1]
			w.ask(req, v)
		}
	}
}

func playCreateTopics(w *world) {
	w.topic("made", 2)
	for _, v := range w.versions(kmsg.CreateTopics) {
		ask := func(change ...func(*kmsg.CreateTopicsRequest)) {
			for _, only := range []bool{true, false} {
				req := edited(createTopic(fmt.Sprintf("new-%d", v), 1, 1), change...)
				req.ValidateOnly = only
				w.ask(req, v)
			}
		}
		topic := func(f func(*kmsg.CreateTopicsRequestTopic)) func(*kmsg.CreateTopicsRequest) {
			return func(r *kmsg.CreateTopicsRequest) { f(&r.Topics[0]) }
		}
		named := func(name string) func(*kmsg.CreateTopicsRequest) {
			return topic(func(t *kmsg.CreateTopicsRequestTopic) { t.Topic = name })
		}
		for _, name := range []string{"made", "", ".", "..", "a b", "a/b", "ä", strings.Repeat("x", 250), "__consumer_offsets", "__transaction_state", "__cluster_metadata", "__share_group_state", "ma.de_", "a\x00b"} {
			ask(named(name))
		}
		for _, n := range []int32{-2, 0, 10_001, 1 << 30} {
			ask(topic(func(t *kmsg.CreateTopicsRequestTopic) { t.NumPartitions = n }))
		}
		for _, n := range []int16{-2, 0, 2, 32767} {
			ask(topic(func(t *kmsg.CreateTopicsRequestTopic) { t.ReplicationFactor = n }))
		}
		for _, assignment := range [][]kmsg.CreateTopicsRequestTopicReplicaAssignment{
			{{Partition: 0, Replicas: []int32{2}}},
			{{Partition: 1, Replicas: []int32{1}}},
			{{Partition: 0, Replicas: []int32{1}}, {Partition: 2, Replicas: []int32{1}}},
			{{Partition: 0, Replicas: []int32{1}}, {Partition: 0, Replicas: []int32{1}}},
			{{Partition: -1, Replicas: []int32{1}}},
			{{Partition: 0, Replicas: []int32{}}},
			{{Partition: 0, Replicas: []int32{1, 1}}},
			{{Partition: 0, Replicas: []int32{1}}, {Partition: 1, Replicas: []int32{1, 2}}},
			{{Partition: 0, Replicas: []int32{-1}}},
		} {
			for _, counts := range [][2]int{{-1, -1}, {1, -1}, {-1, 1}, {2, 1}} {
				ask(topic(func(t *kmsg.CreateTopicsRequestTopic) {
					t.ReplicaAssignment, t.NumPartitions, t.ReplicationFactor = assignment, int32(counts[0]), int16(counts[1])
				}))
			}
		}
		for i, configs := range [][]string{
			{"no.such=1"}, {"retention.ms=x"}, {"retention.ms"}, {"retention.ms=-2"}, {"retention.ms=1", "retention.ms=2"}, {"cleanup.policy=nothing"},
			{"cleanup.policy="}, {"cleanup.policy=compact,delete,compact"}, {"segment.bytes=10"}, {"segment.bytes=99999999999"}, {"min.insync.replicas=0"}, {"compression.type=lzma"},
			{"max.message.bytes=-1"}, {"preallocate=perhaps"}, {"=1"}, {"message.timestamp.type=Never"}, {"compression.gzip.level=0"}, {"compression.gzip.level=10"},
			{"compression.zstd.level=100"}, {"compression.lz4.level=0"}, {"local.retention.ms=5"}, {"retention.ms=100", "local.retention.ms=200"}, {"remote.storage.enable=true"},
			{"leader.replication.throttled.replicas=x"}, {"leader.replication.throttled.replicas=*"}, {"leader.replication.throttled.replicas=0:1,1:2"},
			{"min.cleanable.dirty.ratio=1.1"}, {"min.cleanable.dirty.ratio=nan"}, {"segment.ms=0"}, {"unclean.leader.election.enable=TRUE "}, {"delete.retention.ms=-1"},
			{"min.compaction.lag.ms=10", "max.compaction.lag.ms=5"}, {"message.format.version=3.0"}, {"flush.messages=0"}, {"index.interval.bytes=-1"}, {"segment.index.bytes=3"},
		} {
			ask(func(r *kmsg.CreateTopicsRequest) {
				*r = *createTopic(fmt.Sprintf("config-%d-%d", v, i), 1, 1, configs...)
			})
		}
		twice := createTopic("twice", 1, 1)
		twice.Topics = append(twice.Topics, twice.Topics[0], createTopic("made", 1, 1).Topics[0], createTopic("made", 1, 1).Topics[0], createTopic("a b", 1, 1).Topics[0])
		w.ask(twice, v)
		w.ask(kmsg.NewPtrCreateTopicsRequest(), v)
		several := createTopic(fmt.Sprintf("several-%d-a", v), 1, 1, "retention.ms=-1", "cleanup.policy=compact")
		several.Topics = append(several.Topics, createTopic("made", 1, 1).Topics[0], createTopic(fmt.Sprintf("several-%d.b", v), 3, 1).Topics[0])
		w.ask(several, v)
		for _, timeout := range []int32{-1, 0} {
			ask(func(r *kmsg.CreateTopicsRequest) { r.TimeoutMillis = timeout; r.Topics[0].Topic = "made" })
		}
		if v >= 4 {
			w.ask(createTopic(fmt.Sprintf("defaults-%d", v), -1, -1), v)
		}
		w.settle()
		w.ask(createTopic(fmt.Sprintf("several-%d_b", v), 1, 1), v) // differs from one that is there in . and _ only
		w.settle()
	}
	w.ask(allTopics(), w.newest(kmsg.Metadata))
}

func deleteTopics(names []string, ids ...[16]byte) *kmsg.DeleteTopicsRequest {
	req := kmsg.NewPtrDeleteTopicsRequest()
	req.TimeoutMillis = 10_000
	req.TopicNames = names
	for _, name := range names {
		t := kmsg.NewDeleteTopicsRequestTopic()
		t.Topic = &name
		req.Topics = append(req.Topics, t)
	}
	for _, id := range ids {
		t := kmsg.NewDeleteTopicsRequestTopic()
		t.TopicID = id
		req.Topics = append(req.Topics, t)
	}
	return req
}

func playDeleteTopics(w *world) {
	for _, v := range w.versions(kmsg.DeleteTopics) {
		id := w.topic("gone", 2)
		other := w.topic("gone-too", 1)
		w.ask(deleteTopics([]string{"absent", "a b", "", "gone", "gone", ".."}), v)
		w.ask(deleteTopics(nil), v)
		w.ask(deleteTopics([]string{"gone-too"}, [16]byte{9}), v)
		w.settle()
		w.topic("gone-too", 1)
		if v >= 6 {
			w.ask(deleteTopics(nil, other), v)
			w.ask(deleteTopics([]string{"gone"}, id), v)
			w.ask(deleteTopics(nil, [16]byte{}, [16]byte{7}, [16]byte{7}), v)
			both := deleteTopics([]string{"gone"})
			both.Topics[0].TopicID = id
			w.ask(both, v)
			w.ask(deleteTopics(nil, id), v)
			w.settle()
		}
		w.ask(metadata("gone", "gone-too"), 7)
		w.ask(deleteTopics([]string{"gone", "gone-too"}), v)
		w.settle()
		w.ask(deleteTopics([]string{"gone"}), v)
	}
}

func createPartitions(name string, count int32, assignment ...[]int32) *kmsg.CreatePartitionsRequest {
	req := kmsg.NewPtrCreatePartitionsRequest()
	req.TimeoutMillis = 10_000
	t := kmsg.NewCreatePartitionsRequestTopic()
	t.Topic, t.Count = name, count
	for _, replicas := range assignment {
		t.Assignment = append(t.Assignment, kmsg.CreatePartitionsRequestTopicAssignment{Replicas: replicas})
	}
	req.Topics = append(req.Topics, t)
	return req
}

func playCreatePartitions(w *world) {
	w.topic("grows", 2)
	count := int32(2)
	for _, v := range w.versions(kmsg.CreatePartitions) {
		for _, only := range []bool{true, false} {
			ask := func(req *kmsg.CreatePartitionsRequest) {
				req.ValidateOnly = only
				w.ask(req, v)
			}
			for _, n := range []int32{-1, 0, 1, count} {
				ask(createPartitions("grows", n))
			}
			ask(createPartitions("absent", 2))
			ask(createPartitions("a b", 2))
			ask(createPartitions("", 2))
			ask(createPartitions("grows", count+1, []int32{2}))
			ask(createPartitions("grows", count+1, []int32{1}, []int32{1}))
			ask(createPartitions("grows", count+2, []int32{1}))
			ask(createPartitions("grows", count+1, []int32{}))
			ask(createPartitions("grows", count+1, []int32{1, 1}))
			ask(createPartitions("grows", count+2, []int32{1}, []int32{1, 2}))
			none := createPartitions("grows", count+1)
			none.Topics[0].Assignment = []kmsg.CreatePartitionsRequestTopicAssignment{}
			ask(none)
			ask(createPartitions("__consumer_offsets", 5))
			twice := createPartitions("grows", count+1)
			twice.Topics = append(twice.Topics, twice.Topics[0], createPartitions("absent", 3).Topics[0])
			ask(twice)
			ask(kmsg.NewPtrCreatePartitionsRequest())
		}
		w.settle()
		count++
		w.ask(createPartitions("grows", count), v)
		count++
		w.settle()
		w.ask(createPartitions("grows", count, []int32{1}), v)
		w.settle()
		w.ask(metadata("grows"), w.newest(kmsg.Metadata))
	}
}

func playMetadata(w *world) {
	id := w.topic("seen", 3)
	for _, v := range w.versions(kmsg.Metadata) {
		w.ask(metadata("seen"), v)
		w.ask(metadata(), v)
		w.ask(allTopics(), v)
		none := metadata("absent", "a b", "", "..", strings.Repeat("y", 250), "seen", "seen")
		if v >= 4 {
			none.AllowAutoTopicCreation = false
			w.ask(none, v)
		}
		for _, flags := range [][2]bool{{true, true}, {true, false}, {false, true}} {
			req := metadata("seen")
			req.IncludeClusterAuthorizedOperations, req.IncludeTopicAuthorizedOperations = flags[0], flags[1]
			w.ask(req, v)
		}
		bad := metadata("a b", "", "..", strings.Repeat("y", 250))
		bad.AllowAutoTopicCreation = true
		w.ask(bad, v)
		if v >= 10 {
			byID := metadata()
			for _, want := range [][16]byte{id, {8}, {}} {
				t := kmsg.NewMetadataRequestTopic()
				t.TopicID = want
				byID.Topics = append(byID.Topics, t)
				one := metadata()
				one.Topics = append(one.Topics, t)
				one.AllowAutoTopicCreation = false
				w.ask(one, v)
			}
			w.ask(byID, v)
			both := metadata("seen")
			both.Topics[0].TopicID = id
			w.ask(both, v)
			mixed := metadata("seen")
			mixed.Topics = append(mixed.Topics, byID.Topics[0])
			w.ask(mixed, v)
		}
		auto := metadata(fmt.Sprintf("auto-%d", v), "a b")
		auto.AllowAutoTopicCreation = true
		w.ask(auto, v)
		w.settle()
		w.ask(auto, v)
	}
}

func describePartitions(limit int32, cursor *kmsg.DescribeTopicPartitionsRequestCursor, names ...string) *kmsg.DescribeTopicPartitionsRequest {
	req := kmsg.NewPtrDescribeTopicPartitionsRequest()
	req.ResponsePartitionLimit, req.Cursor = limit, cursor
	for _, name := range names {
		t := kmsg.NewDescribeTopicPartitionsRequestTopic()
		t.Topic = name
		req.Topics = append(req.Topics, t)
	}
	return req
}

func playDescribeTopicPartitions(w *world) {
	w.topic("paged-a", 3)
	w.topic("paged-b", 2)
	at := func(topic string, partition int32) *kmsg.DescribeTopicPartitionsRequestCursor {
		return &kmsg.DescribeTopicPartitionsRequestCursor{Topic: topic, Partition: partition}
	}
	for _, v := range w.versions(kmsg.DescribeTopicPartitions) {
		for _, limit := range []int32{2000, 1, 2, 3, 4, 5, 0, -1, 1 << 30} {
			for _, cursor := range []*kmsg.DescribeTopicPartitionsRequestCursor{
				nil, at("paged-a", 0), at("paged-a", 2), at("paged-a", 3), at("paged-a", 9), at("paged-a", -1), at("paged-b", 1), at("paged-aa", 1), at("zzz", 0), at("", 0), at("a", 1),
			} {
				w.ask(describePartitions(limit, cursor, "paged-b", "paged-a", "paged-c", "paged-a", "a b"), v)
			}
		}
		w.ask(describePartitions(2000, nil, "", "paged-a"), v)
		w.ask(describePartitions(2000, nil), v)
		w.ask(describePartitions(3, at("paged-a", 1)), v)
	}
}

func playCluster(w *world) {
	for _, v := range w.versions(kmsg.DescribeCluster) {
		for _, endpoint := range []int8{0, 1, 2, 3, -1} {
			for _, flag := range []bool{false, true} {
				req := kmsg.NewPtrDescribeClusterRequest()
				req.EndpointType, req.IncludeClusterAuthorizedOperations, req.IncludeFencedBrokers = endpoint, flag, flag
				w.ask(req, v)
			}
		}
	}
	w.topic("elected", 2)
	elect := func(kind int8, timeout int32, topics ...kmsg.ElectLeadersRequestTopic) *kmsg.ElectLeadersRequest {
		req := kmsg.NewPtrElectLeadersRequest()
		req.ElectionType, req.TimeoutMillis, req.Topics = kind, timeout, topics
		return req
	}
	of := func(topic string, partitions ...int32) kmsg.ElectLeadersRequestTopic {
		return kmsg.ElectLeadersRequestTopic{Topic: topic, Partitions: partitions}
	}
	for _, v := range w.versions(kmsg.ElectLeaders) {
		for _, kind := range []int8{0, 1, 2, -1} {
			for _, timeout := range []int32{10_000, 0, -1} {
				if v > 0 || timeout > 0 { // version 0 cannot say that the time was up
					w.ask(elect(kind, timeout), v)
				}
				w.ask(elect(kind, timeout, of("elected", 0, 1, 2, -1, 0), of("absent", 0), of("elected", 1), of("", 0), of("a b", 3)), v)
				w.ask(elect(kind, timeout, of("elected")), v)
				w.ask(elect(kind, timeout, []kmsg.ElectLeadersRequestTopic{}...), v)
			}
		}
	}
	for _, v := range w.versions(kmsg.ListPartitionReassignments) {
		req := kmsg.NewPtrListPartitionReassignmentsRequest()
		w.ask(req, v)
		req = kmsg.NewPtrListPartitionReassignmentsRequest()
		req.Topics = append(req.Topics, kmsg.ListPartitionReassignmentsRequestTopic{Topic: "elected", Partitions: []int32{0, 7}}, kmsg.ListPartitionReassignmentsRequestTopic{Topic: "absent", Partitions: []int32{0}})
		w.ask(req, v)
	}
	for _, v := range w.versions(kmsg.DescribeACLs) {
		req := kmsg.NewPtrDescribeACLsRequest()
		req.ResourceType, req.ResourcePatternType, req.Operation, req.PermissionType = 1, 1, 1, 1
		w.ask(req, v)
	}
}
