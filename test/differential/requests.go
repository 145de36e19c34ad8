package main

import (
	"fmt"
	"maps"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/twmb/franz-go/pkg/kmsg"
)

// scenario asks about one thing.
type scenario struct {
	name string
	play func(*world)
}

// scenarios are played in this order.
var scenarios = []scenario{
	{"versions", playVersions},
	{"create topics", playCreateTopics},
	{"delete topics", playDeleteTopics},
	{"create partitions", playCreatePartitions},
	{"metadata", playMetadata},
	{"describe topic partitions", playDescribeTopicPartitions},
	{"cluster", playCluster},
	{"produce", playProduce},
	{"producers", playProducers},
	{"fetch", playFetch},
	{"fetch sessions", playSessions},
	{"offsets", playOffsets},
	{"delete records", playDeleteRecords},
	{"log dirs", playLogDirs},
	{"groups", playGroups},
	{"static members", playStaticMembers},
	{"group sizes", playGroupSizes},
	{"list groups", playListGroups},
	{"configs", playConfigs},
	{"alter topic", playAlterTopic},
	{"alter broker", playAlterBroker},
	{"malformed", playMalformed},
}

// createTopic asks for one topic, with configurations as key=value.
func createTopic(name string, partitions int32, replication int16, configs ...string) *kmsg.CreateTopicsRequest {
	req := kmsg.NewPtrCreateTopicsRequest()
	req.TimeoutMillis = 10_000
	t := kmsg.NewCreateTopicsRequestTopic()
	t.Topic, t.NumPartitions, t.ReplicationFactor = name, partitions, replication
	for _, kv := range configs {
		c := kmsg.NewCreateTopicsRequestTopicConfig()
		key, value, ok := strings.Cut(kv, "=")
		if c.Name = key; ok {
			c.Value = &value
		}
		t.Configs = append(t.Configs, c)
	}
	req.Topics = append(req.Topics, t)
	return req
}

// topic makes a topic in both, and waits until it is led. It gives Kafka's id of it.
func (w *world) topic(name string, partitions int32, configs ...string) [16]byte {
	resp, _ := w.ask(createTopic(name, partitions, 1, configs...), 7).(*kmsg.CreateTopicsResponse)
	w.settle()
	if resp == nil || len(resp.Topics) == 0 {
		return [16]byte{}
	}
	return resp.Topics[0].TopicID
}

// settle waits until both have the same topics and lead all their partitions. Topics that differ are waited for once.
func (w *world) settle() {
	var last [2]string
	for deadline := time.Now().Add(patience); time.Now().Before(deadline); <-time.After(10 * time.Millisecond) {
		for side := range last {
			if w.several() {
				last[side] = w.replicas(side)
				continue
			}
			last[side] = w.topics(side)
		}
		if last[kafka] == last[weir] && !strings.HasPrefix(last[kafka], "not led") || last == w.unsettled {
			return
		}
	}
	w.unsettled = last
	w.met(&exchange{label: "the topics, after a while"}, difference{"Topics", last})
}

// topics lists what topics there are, when all are led.
func (w *world) topics(side int) string {
	resp, err := w.alone(side, allTopics(), 12)
	if err != nil {
		w.gone(err)
	}
	var out []string
	offsets := kmsg.NewPtrListOffsetsRequest()
	offsets.ReplicaID = -1
	for _, t := range resp.(*kmsg.MetadataResponse).Topics {
		out = append(out, fmt.Sprintf("%s/%d", *t.Topic, len(t.Partitions)))
		for _, p := range t.Partitions {
			offsets.Topics = append(offsets.Topics, listOffset(*t.Topic, p.Partition, -1))
			if p.ErrorCode != 0 {
				return fmt.Sprintf("not led: %s-%d", *t.Topic, p.Partition)
			}
		}
	}
	resp, err = w.alone(side, offsets, 5)
	if err != nil {
		w.gone(err)
	}
	for _, t := range resp.(*kmsg.ListOffsetsResponse).Topics {
		for _, p := range t.Partitions {
			if p.ErrorCode != 0 {
				return fmt.Sprintf("not led: %s-%d", t.Topic, p.Partition)
			}
		}
	}
	return strings.Join(sorted(out), " ")
}

// gone ends everything: there is nobody to compare with.
func (w *world) gone(err error) {
	fmt.Fprintf(os.Stderr, "differential: %s step %d: %v\n", w.scenario, w.step, err)
	_ = w.report(false)
	w.stop()
	os.Exit(1)
}

func allTopics() *kmsg.MetadataRequest {
	req := kmsg.NewPtrMetadataRequest()
	req.Topics = nil
	return req
}

// metadata asks for topics by name.
func metadata(names ...string) *kmsg.MetadataRequest {
	req := kmsg.NewPtrMetadataRequest()
	req.Topics = []kmsg.MetadataRequestTopic{}
	for _, name := range names {
		t := kmsg.NewMetadataRequestTopic()
		t.Topic = &name
		req.Topics = append(req.Topics, t)
	}
	return req
}

func listOffset(topic string, partition int32, at int64) kmsg.ListOffsetsRequestTopic {
	t := kmsg.NewListOffsetsRequestTopic()
	t.Topic = topic
	p := kmsg.NewListOffsetsRequestTopicPartition()
	p.Partition, p.Timestamp = partition, at
	t.Partitions = append(t.Partitions, p)
	return t
}

// listOffsets asks where partitions have a time, or a special place.
func listOffsets(topics ...kmsg.ListOffsetsRequestTopic) *kmsg.ListOffsetsRequest {
	req := kmsg.NewPtrListOffsetsRequest()
	req.ReplicaID = -1
	req.Topics = topics
	return req
}

// produce writes batches to partitions of a topic, from 0 on.
func produce(topic string, id [16]byte, acks int16, batches ...[]byte) *kmsg.ProduceRequest {
	req := kmsg.NewPtrProduceRequest()
	req.Acks, req.TimeoutMillis = acks, 10_000
	t := kmsg.NewProduceRequestTopic()
	t.Topic, t.TopicID = topic, id
	for number, b := range batches {
		p := kmsg.NewProduceRequestTopicPartition()
		p.Partition, p.Records = int32(number), b
		t.Partitions = append(t.Partitions, p)
	}
	req.Topics = append(req.Topics, t)
	return req
}

// fetch reads partitions of a topic from an offset on.
func fetch(topic string, id [16]byte, offset int64, partitions ...int32) *kmsg.FetchRequest {
	req := kmsg.NewPtrFetchRequest()
	req.MaxBytes, req.MinBytes, req.MaxWaitMillis = 1<<20, 0, 0
	req.SessionEpoch = -1
	t := kmsg.NewFetchRequestTopic()
	t.Topic, t.TopicID = topic, id
	for _, number := range partitions {
		p := kmsg.NewFetchRequestTopicPartition()
		p.Partition, p.FetchOffset, p.PartitionMaxBytes = number, offset, 1<<20
		t.Partitions = append(t.Partitions, p)
	}
	req.Topics = append(req.Topics, t)
	return req
}

// edited changes a request as it is made.
func edited[R any](req R, change ...func(R)) R {
	for _, f := range change {
		f(req)
	}
	return req
}

func sortedKeys[V any](m map[string]V) []string { return slices.Sorted(maps.Keys(m)) }

func ptr[T any](v T) *T { return &v }

func sorted(list []string) []string {
	slices.Sort(list)
	return list
}
