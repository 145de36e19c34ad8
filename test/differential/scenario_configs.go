package main

import (
	"fmt"

	"github.com/twmb/franz-go/pkg/kmsg"
)

// The kinds of resources that have configurations.
const (
	topicResource  = 2
	brokerResource = 4
	loggerResource = 8
	clientResource = 16
	groupResource  = 32
)

func describeConfigs(kind kmsg.ConfigResourceType, name string, keys ...string) *kmsg.DescribeConfigsRequest {
	req := kmsg.NewPtrDescribeConfigsRequest()
	req.Resources = append(req.Resources, kmsg.DescribeConfigsRequestResource{ResourceType: kind, ResourceName: name, ConfigNames: keys})
	return req
}

type setting struct {
	key   string
	op    kmsg.IncrementalAlterConfigOp // 0 set, 1 delete, 2 append, 3 subtract
	value *string
}

func set(key, value string) setting { return setting{key, 0, &value} }

func alter(kind kmsg.ConfigResourceType, name string, settings ...setting) *kmsg.IncrementalAlterConfigsRequest {
	req := kmsg.NewPtrIncrementalAlterConfigsRequest()
	res := kmsg.NewIncrementalAlterConfigsRequestResource()
	res.ResourceType, res.ResourceName = kind, name
	for _, s := range settings {
		res.Configs = append(res.Configs, kmsg.IncrementalAlterConfigsRequestResourceConfig{Name: s.key, Op: s.op, Value: s.value})
	}
	req.Resources = append(req.Resources, res)
	return req
}

// settleConfigs waits until both tell the same of a resource. What they do not agree on is waited for once.
func (w *world) settleConfigs(kind kmsg.ConfigResourceType, name string, keys ...string) {
	var said [2]string
	for range 300 {
		said = [2]string{}
		for side := range said {
			resp, err := w.alone(side, describeConfigs(kind, name, keys...), 1)
			if err != nil {
				w.gone(err)
			}
			for _, c := range resp.(*kmsg.DescribeConfigsResponse).Resources[0].Configs {
				said[side] += fmt.Sprintf("%s=%s %d\n", c.Name, show(c.Value), c.Source)
			}
		}
		if said[kafka] == said[weir] || w.disagreed[said] {
			return
		}
	}
	w.disagreed[said] = true
}

func playConfigs(w *world) {
	w.topic("configured", 1, "retention.ms=1000", "cleanup.policy=compact,delete")
	for _, v := range w.versions(kmsg.DescribeConfigs) {
		for _, synonyms := range []bool{false, true} {
			for _, docs := range []bool{false, true} {
				ask := func(req *kmsg.DescribeConfigsRequest) {
					req.IncludeSynonyms, req.IncludeDocumentation = synonyms, docs
					w.ask(req, v)
				}
				if docs && v < 3 {
					continue
				}
				ask(describeConfigs(topicResource, "configured"))
				ask(describeConfigs(topicResource, "configured", "retention.ms", "no.such", "cleanup.policy", "retention.ms"))
				ask(describeConfigs(topicResource, "configured", []string{}...))
				ask(describeConfigs(topicResource, "absent"))
				ask(describeConfigs(topicResource, ""))
				ask(describeConfigs(topicResource, "a b"))
				ask(describeConfigs(brokerResource, ""))
				ask(describeConfigs(brokerResource, "1", "log.retention.ms", "log.retention.hours", "num.io.threads", "group.max.size", "log.cleanup.policy", "message.max.bytes", "no.such"))
				ask(describeConfigs(brokerResource, "7"))
				ask(describeConfigs(brokerResource, "x"))
				ask(describeConfigs(groupResource, "some"))
				ask(describeConfigs(groupResource, ""))
				ask(describeConfigs(3, "x"))
				ask(describeConfigs(0, "x"))
				ask(describeConfigs(64, "x"))
				twice := describeConfigs(topicResource, "configured", "retention.ms")
				twice.Resources = append(twice.Resources, twice.Resources[0], describeConfigs(topicResource, "absent").Resources[0], describeConfigs(brokerResource, "1", "message.max.bytes").Resources[0])
				ask(twice)
				ask(kmsg.NewPtrDescribeConfigsRequest())
			}
		}
	}
	w.ask(edited(describeConfigs(brokerResource, "1"), func(r *kmsg.DescribeConfigsRequest) { r.IncludeSynonyms = true }), w.newest(kmsg.DescribeConfigs))
	for _, v := range w.versions(kmsg.ListConfigResources) {
		for _, kinds := range [][]int8{nil, {2}, {4}, {8}, {16}, {32}, {2, 4}, {1}, {2, 99}} {
			if v == 0 && kinds != nil {
				continue
			}
			req := kmsg.NewPtrListConfigResourcesRequest()
			req.ResourceTypes = kinds
			w.ask(req, v)
		}
	}
}

func playAlterTopic(w *world) {
	w.topic("altered", 1)
	for _, v := range w.versions(kmsg.IncrementalAlterConfigs) {
		for _, settings := range [][]setting{
			{set("retention.ms", "5000")}, {set("retention.ms", "x")}, {set("retention.ms", "-2")}, {set("no.such", "1")}, {{"retention.ms", 0, nil}}, {{"retention.ms", 1, nil}},
			{{"retention.ms", 1, nil}}, {{"no.such", 1, nil}}, {set("", "1")}, {set("retention.ms", "1"), set("retention.ms", "2")}, {set("retention.ms", "1"), {"retention.ms", 1, nil}},
			{{"cleanup.policy", 2, ptr("compact")}}, {{"cleanup.policy", 2, ptr("compact")}}, {{"cleanup.policy", 3, ptr("delete")}}, {{"cleanup.policy", 3, ptr("delete")}},
			{{"cleanup.policy", 3, ptr("compact")}}, {{"cleanup.policy", 2, ptr("delete,compact")}}, {{"cleanup.policy", 2, ptr("nothing")}}, {{"cleanup.policy", 2, nil}},
			{{"retention.ms", 2, ptr("5")}}, {{"retention.ms", 3, ptr("5")}}, {{"retention.ms", 4, ptr("5")}}, {{"retention.ms", -1, ptr("5")}},
			{set("segment.bytes", "10")}, {set("min.insync.replicas", "0")}, {set("min.insync.replicas", "5")}, {{"min.insync.replicas", 1, nil}}, {set("retention.ms", "7"), set("segment.bytes", "1")},
			{{"leader.replication.throttled.replicas", 2, ptr("0:1")}}, {{"leader.replication.throttled.replicas", 2, ptr("1:1")}}, {{"leader.replication.throttled.replicas", 3, ptr("0:1")}},
			{set("compression.type", "zstd"), set("compression.zstd.level", "30")}, {set("compression.type", "ZSTD")}, {set("max.message.bytes", "0")}, {set("local.retention.ms", "5")},
			{set("retention.ms", "100"), set("local.retention.ms", "200")}, {set("remote.storage.enable", "true")}, {set("unclean.leader.election.enable", "yes")}, {},
		} {
			for _, only := range []bool{true, false} {
				req := alter(topicResource, "altered", settings...)
				req.ValidateOnly = only
				w.ask(req, v)
			}
			w.settleConfigs(topicResource, "altered", "retention.ms", "cleanup.policy", "segment.bytes", "segment.ms", "retention.bytes", "compression.type")
			w.ask(describeConfigs(topicResource, "altered", "retention.ms", "cleanup.policy", "segment.bytes", "min.insync.replicas", "leader.replication.throttled.replicas", "compression.type"), 4)
		}
		for _, name := range []string{"absent", "", "a b", "__consumer_offsets"} {
			w.ask(edited(alter(topicResource, name, set("retention.ms", "604800000")), func(r *kmsg.IncrementalAlterConfigsRequest) { r.ValidateOnly = true }), v)
		}
		twice := alter(topicResource, "altered", set("retention.ms", "1"))
		twice.Resources = append(twice.Resources, alter(topicResource, "altered", set("retention.ms", "2")).Resources[0], alter(topicResource, "absent", set("retention.ms", "2")).Resources[0])
		w.ask(twice, v)
		w.ask(kmsg.NewPtrIncrementalAlterConfigsRequest(), v)
		for _, kind := range []kmsg.ConfigResourceType{0, 3, 64} {
			w.ask(alter(kind, "x", set("a", "b")), v)
		}
	}
	for _, v := range w.versions(kmsg.AlterConfigs) {
		for _, settings := range [][]setting{
			{set("retention.ms", "5000")}, {set("retention.bytes", "7"), set("segment.ms", "10")}, {set("retention.ms", "x")}, {set("no.such", "1")}, {{"retention.ms", 0, nil}},
			{set("retention.ms", "1"), set("retention.ms", "2")}, {set("cleanup.policy", "compact"), set("segment.bytes", "1")}, {},
		} {
			for _, only := range []bool{true, false} {
				w.ask(replace(topicResource, "altered", only, settings...), v)
			}
			w.settleConfigs(topicResource, "altered", "retention.ms", "cleanup.policy", "segment.bytes", "segment.ms", "retention.bytes", "compression.type")
			w.ask(describeConfigs(topicResource, "altered", "retention.ms", "cleanup.policy", "retention.bytes", "segment.ms", "segment.bytes"), 4)
		}
		for _, name := range []string{"absent", "", "a b"} {
			w.ask(replace(topicResource, name, false, set("retention.ms", "1")), v)
		}
		w.ask(replace(3, "x", false, set("retention.ms", "1")), v)
		w.ask(kmsg.NewPtrAlterConfigsRequest(), v)
	}
}

// replace is AlterConfigs: what is not named is unset.
func replace(kind kmsg.ConfigResourceType, name string, only bool, settings ...setting) *kmsg.AlterConfigsRequest {
	req := kmsg.NewPtrAlterConfigsRequest()
	req.ValidateOnly = only
	res := kmsg.NewAlterConfigsRequestResource()
	res.ResourceType, res.ResourceName = kind, name
	for _, s := range settings {
		res.Configs = append(res.Configs, kmsg.AlterConfigsRequestResourceConfig{Name: s.key, Value: s.value})
	}
	req.Resources = append(req.Resources, res)
	return req
}

func playAlterBroker(w *world) {
	keys := []string{"log.retention.ms", "message.max.bytes", "log.cleanup.policy", "num.io.threads", "group.max.size", "max.connections.per.ip", "log.segment.bytes"}
	v := w.newest(kmsg.IncrementalAlterConfigs)
	for _, name := range []string{"1", "", "7", "x"} {
		for _, settings := range [][]setting{
			{set("log.retention.ms", "5000000000")}, {set("log.retention.ms", "x")}, {set("message.max.bytes", "2000000")}, {set("message.max.bytes", "-1")}, {set("num.io.threads", "9")},
			{set("group.max.size", "7")}, {set("no.such", "1")}, {set("node.id", "5")}, {set("log.dirs", "/tmp")}, {set("log.cleanup.policy", "compact")}, {{"log.cleanup.policy", 2, ptr("delete")}},
			{{"log.cleanup.policy", 3, ptr("compact")}}, {{"log.retention.ms", 2, ptr("5")}}, {set("max.connections.per.ip", "100")}, {set("log.segment.bytes", "5")}, {set("", "x")},
			{{"log.retention.ms", 0, nil}}, {set("log.retention.ms", "1"), set("log.retention.ms", "2")},
		} {
			for _, only := range []bool{true, false} {
				req := alter(brokerResource, name, settings...)
				req.ValidateOnly = only
				w.ask(req, v)
			}
			w.settleConfigs(brokerResource, "1", keys...)
			w.ask(edited(describeConfigs(brokerResource, "1", keys...), func(r *kmsg.DescribeConfigsRequest) { r.IncludeSynonyms = true }), 4)
			w.ask(describeConfigs(brokerResource, ""), 4)
			w.ask(edited(describeConfigs(topicResource, "configured", "retention.ms", "max.message.bytes", "cleanup.policy"), func(r *kmsg.DescribeConfigsRequest) { r.IncludeSynonyms = true }), 4)
		}
		for _, key := range keys {
			w.ask(alter(brokerResource, name, setting{key, 1, nil}), v)
		}
		w.settleConfigs(brokerResource, "1", keys...)
		w.ask(describeConfigs(brokerResource, "1", keys...), 4)
	}
	for _, name := range []string{"some-group", "", "a b"} {
		for _, settings := range [][]setting{
			{set("consumer.session.timeout.ms", "50000")}, {set("consumer.session.timeout.ms", "1")}, {set("consumer.heartbeat.interval.ms", "x")}, {set("no.such", "1")},
			{set("share.auto.offset.reset", "earliest")}, {set("share.auto.offset.reset", "never")}, {{"consumer.session.timeout.ms", 1, nil}},
		} {
			for _, only := range []bool{true, false} {
				w.ask(edited(alter(groupResource, name, settings...), func(r *kmsg.IncrementalAlterConfigsRequest) { r.ValidateOnly = only }), v)
			}
			w.settleConfigs(groupResource, name)
			w.ask(describeConfigs(groupResource, name), 4)
		}
	}
	w.ask(edited(kmsg.NewPtrListConfigResourcesRequest(), func(r *kmsg.ListConfigResourcesRequest) { r.ResourceTypes = []int8{groupResource} }), w.newest(kmsg.ListConfigResources))
	w.ask(replace(brokerResource, "1", true, set("message.max.bytes", "1500000")), w.newest(kmsg.AlterConfigs))
}
