package test

import (
	"fmt"
	"strconv"
	"strings"
	"testing"

	"github.com/twmb/franz-go/pkg/kmsg"
)

// The kinds of resources that have configurations.
const (
	topicResource  = kmsg.ConfigResourceTypeTopic
	brokerResource = kmsg.ConfigResourceTypeBroker
	groupResource  = kmsg.ConfigResourceTypeGroupConfig
)

type configEntry = kmsg.DescribeConfigsResponseResourceConfig

// describeConfigs gives a resource's options by name; without names all of them.
func (n *node) describeConfigs(kind kmsg.ConfigResourceType, name string, keys ...string) (map[string]configEntry, kmsg.DescribeConfigsResponseResource) {
	n.t.Helper()
	req := kmsg.NewPtrDescribeConfigsRequest()
	req.IncludeSynonyms, req.IncludeDocumentation = true, true
	req.Resources = []kmsg.DescribeConfigsRequestResource{{ResourceType: kind, ResourceName: name, ConfigNames: keys}}
	got := mustAsk[*kmsg.DescribeConfigsResponse](n, req, 4).Resources[0]
	out := map[string]configEntry{}
	for _, c := range got.Configs {
		if _, twice := out[c.Name]; twice {
			n.t.Errorf("%s is described twice", c.Name)
		}
		out[c.Name] = c
	}
	return out, got
}

func (n *node) brokerName() string {
	n.t.Helper()
	return strconv.Itoa(int(askMetadata(n, 9, false).Brokers[0].NodeID))
}

func text(s *string) string {
	if s == nil {
		return "<null>"
	}
	return *s
}

// shown says an option's value, its source and its synonyms, the strongest first.
func shown(c configEntry) string {
	out := fmt.Sprintf("%s %d:", text(c.Value), c.Source)
	for _, s := range c.ConfigSynonyms {
		out += fmt.Sprintf(" %s=%s %d", s.Name, text(s.Value), s.Source)
	}
	return out
}

func value(s string) *string { return &s }

func TestBehaviour082DescribeConfigs(t *testing.T) {
	n := shared(t)
	to := n.newTopic(1, "retention.ms=7000", "cleanup.policy=delete,compact")
	all, _ := n.describeConfigs(topicResource, to.name)
	for name, want := range map[string]string{
		"cleanup.policy":                          "delete,compact 1: cleanup.policy=delete,compact 1 log.cleanup.policy=delete 5",
		"compression.gzip.level":                  "-1 5: compression.gzip.level=-1 5",
		"compression.lz4.level":                   "9 5: compression.lz4.level=9 5",
		"compression.type":                        "producer 5: compression.type=producer 5",
		"compression.zstd.level":                  "3 5: compression.zstd.level=3 5",
		"delete.retention.ms":                     "86400000 5: log.cleaner.delete.retention.ms=86400000 5",
		"file.delete.delay.ms":                    "",
		"flush.messages":                          "9223372036854775807 5: log.flush.interval.messages=9223372036854775807 5",
		"flush.ms":                                "9223372036854775807 5:",
		"follower.replication.throttled.replicas": " 5:",
		"index.interval.bytes":                    "4096 5: log.index.interval.bytes=4096 5",
		"leader.replication.throttled.replicas":   " 5:",
		"local.retention.bytes":                   "-2 5: log.local.retention.bytes=-2 5",
		"local.retention.ms":                      "-2 5: log.local.retention.ms=-2 5",
		"max.compaction.lag.ms":                   "9223372036854775807 5: log.cleaner.max.compaction.lag.ms=9223372036854775807 5",
		"max.message.bytes":                       "1048588 5: message.max.bytes=1048588 5",
		"message.timestamp.after.max.ms":          "3600000 5: log.message.timestamp.after.max.ms=3600000 5",
		"message.timestamp.before.max.ms":         "9223372036854775807 5: log.message.timestamp.before.max.ms=9223372036854775807 5",
		"message.timestamp.type":                  "CreateTime 5: log.message.timestamp.type=CreateTime 5",
		"min.cleanable.dirty.ratio":               "0.5 5: log.cleaner.min.cleanable.ratio=0.5 5",
		"min.compaction.lag.ms":                   "0 5: log.cleaner.min.compaction.lag.ms=0 5",
		"min.insync.replicas":                     "",
		"preallocate":                             "false 5: log.preallocate=false 5",
		"remote.log.copy.disable":                 "false 5:",
		"remote.log.delete.on.disable":            "false 5:",
		"remote.storage.enable":                   "false 5:",
		"retention.bytes":                         "-1 5: log.retention.bytes=-1 5",
		"retention.ms":                            "7000 1: retention.ms=7000 1",
		"segment.bytes":                           "1073741824 5: log.segment.bytes=1073741824 5",
		"segment.index.bytes":                     "10485760 5: log.index.size.max.bytes=10485760 5",
		"segment.jitter.ms":                       "0 5:",
		"segment.ms":                              "604800000 5:",
		"unclean.leader.election.enable":          "false 5: unclean.leader.election.enable=false 5",
	} {
		c, ok := all[name]
		switch {
		case !ok:
			t.Errorf("%s is not there", name)
		case want != "" && shown(c) != want:
			t.Errorf("%s is %s, want %s", name, shown(c), want)
		case c.IsSensitive || c.ReadOnly || c.ConfigType == 0 || c.Documentation == nil:
			t.Errorf("%+v", c)
		}
	}
	some, _ := n.describeConfigs(topicResource, to.name, "retention.ms", "none.such", "flush.ms")
	if len(some) != 2 || shown(some["retention.ms"]) != shown(all["retention.ms"]) {
		t.Errorf("by name: %v", some)
	}
	for name, c := range map[string]struct {
		kind kmsg.ConfigResourceType
		name string
		code int16
	}{
		"no such topic":        {topicResource, unique("none"), 3},
		"a bad name":           {topicResource, "a b", 17},
		"no name":              {topicResource, "", 17},
		"another broker":       {brokerResource, "77", 42},
		"not a broker's id":    {brokerResource, "one", 42},
		"a group of no name":   {groupResource, "", 42},
		"an unknown resource":  {0, "x", 42},
		"another unknown kind": {9, "x", 42},
	} {
		if _, got := n.describeConfigs(c.kind, c.name); got.ErrorCode != c.code || got.ErrorMessage == nil || len(got.Configs) != 0 {
			t.Errorf("%s: %s, want %d", name, describe(got.ErrorCode, got.ErrorMessage), c.code)
		}
	}
	broker, _ := n.describeConfigs(brokerResource, n.brokerName())
	for name, want := range map[string]struct {
		value    string
		source   kmsg.ConfigSource
		readOnly bool
	}{
		"offsets.topic.num.partitions": {"4", 4, true}, "node.id": {"1", 4, true}, "num.partitions": {"1", 5, true}, "message.max.bytes": {"1048588", 5, false},
		"log.retention.hours": {"168", 5, true}, "group.max.size": {"4", 4, true},
	} {
		if c := broker[name]; text(c.Value) != want.value || c.Source != want.source && !(name == "node.id") || c.ReadOnly != want.readOnly || len(c.ConfigSynonyms) == 0 {
			t.Errorf("%s is %s, read-only %v", name, shown(c), c.ReadOnly)
		}
	}
	for _, name := range []string{"ssl.keystore.password", "ssl.key.password", "ssl.truststore.password"} {
		if c, ok := broker[name]; !ok || !c.IsSensitive || c.Value != nil {
			t.Errorf("%s is sensitive: %+v", name, c)
		}
	}
	group, _ := n.describeConfigs(groupResource, unique("group"))
	if c := group["consumer.session.timeout.ms"]; text(c.Value) != "45000" || len(group) < 10 {
		t.Errorf("a group: %v", group)
	}
	// Older versions say less.
	req := kmsg.NewPtrDescribeConfigsRequest()
	req.Resources = []kmsg.DescribeConfigsRequestResource{{ResourceType: topicResource, ResourceName: to.name}}
	for version := int16(1); version <= 4; version++ {
		for _, c := range mustAsk[*kmsg.DescribeConfigsResponse](n, req, version).Resources[0].Configs {
			if len(c.ConfigSynonyms) != 0 || text(c.Documentation) != "<null>" && text(c.Documentation) != "" || (version < 3) != (c.ConfigType == 0) {
				t.Errorf("version %d: %+v", version, c)
			}
		}
	}
}

func TestBehaviour083IncrementalAlterConfigs(t *testing.T) {
	n := shared(t)
	to := n.newTopic(1, "retention.ms=7000")
	policy := func() string {
		t.Helper()
		got, _ := n.describeConfigs(topicResource, to.name, "cleanup.policy")
		return text(got["cleanup.policy"].Value)
	}
	for i, c := range []struct {
		change change
		code   int16
		want   string // cleanup.policy afterwards
	}{
		{change{"cleanup.policy", 2, value("compact")}, 0, "delete,compact"},
		{change{"cleanup.policy", 2, value("compact")}, 0, "delete,compact"},
		{change{"cleanup.policy", 3, value("delete")}, 0, "compact"},
		{change{"cleanup.policy", 3, value("delete")}, 0, "compact"},
		{change{"cleanup.policy", 2, value("bogus")}, 40, "compact"},
		{change{"cleanup.policy", 0, value("bogus")}, 40, "compact"},
		{change{"cleanup.policy", 0, nil}, 42, "compact"},
		{change{"cleanup.policy", 0, value("delete")}, 0, "delete"},
		{change{"cleanup.policy", 1, nil}, 0, "delete"},
		{change{"cleanup.policy", 1, nil}, 0, "delete"},
		{change{"retention.ms", 2, value("1")}, 40, "delete"},
		{change{"retention.ms", 3, value("1")}, 40, "delete"},
		{change{"retention.ms", 0, value("x")}, 40, "delete"},
		{change{"retention.ms", 0, value("-2")}, 40, "delete"},
		{change{"retention.msec", 0, value("1")}, 40, "delete"},
		{change{"segment.bytes", 0, value("1000")}, 40, "delete"},
	} {
		got := n.alter(topicResource, to.name, c.change)
		if got.ErrorCode != c.code || (got.ErrorMessage == nil) != (c.code == 0) {
			t.Errorf("%d: %s op %d %s: %s, want %d", i, c.change.key, c.change.op, text(c.change.value), describe(got.ErrorCode, got.ErrorMessage), c.code)
		}
		if c.code == 0 {
			until(t, "the policy is "+c.want, func() bool { return policy() == c.want })
		} else if got := policy(); got != c.want {
			t.Errorf("%d: cleanup.policy is %s, want %s", i, got, c.want)
		}
	}
	retention := func() string {
		t.Helper()
		got, _ := n.describeConfigs(topicResource, to.name, "retention.ms")
		return text(got["retention.ms"].Value)
	}
	// All of a resource's changes, or none.
	for name, changes := range map[string][]change{
		"a key twice":     {{"retention.ms", 0, value("1")}, {"retention.ms", 0, value("2")}},
		"one is wrong":    {{"retention.ms", 0, value("1")}, {"segment.ms", 0, value("soon")}},
		"one is no list":  {{"retention.ms", 0, value("1")}, {"segment.ms", 2, value("1")}},
		"set and deleted": {{"retention.ms", 0, value("1")}, {"retention.ms", 1, nil}},
	} {
		want := int16(40)
		if len(changes) == 2 && changes[0].key == changes[1].key {
			want = 42
		}
		if got := n.alter(topicResource, to.name, changes...); got.ErrorCode != want {
			t.Errorf("%s: %s, want %d", name, describe(got.ErrorCode, got.ErrorMessage), want)
		}
		if got := retention(); got != "7000" {
			t.Errorf("%s: retention.ms is %s", name, got)
		}
	}
	try := alterRequest(topicResource, to.name, change{"retention.ms", 0, value("9000")})
	try.ValidateOnly = true
	if got := mustAsk[*kmsg.IncrementalAlterConfigsResponse](n, try, 1).Resources[0]; got.ErrorCode != 0 || retention() != "7000" {
		t.Errorf("only validated: %+v, retention.ms is %s", got, retention())
	}
	twice := alterRequest(topicResource, to.name, change{"retention.ms", 0, value("9000")})
	twice.Resources = append(twice.Resources, twice.Resources[0])
	for _, got := range mustAsk[*kmsg.IncrementalAlterConfigsResponse](n, twice, 1).Resources {
		if got.ErrorCode != 42 || retention() != "7000" {
			t.Errorf("a resource twice: %+v, retention.ms is %s", got, retention())
		}
	}
	for name, c := range map[string]struct {
		kind kmsg.ConfigResourceType
		name string
		code int16
	}{
		"no such topic":       {topicResource, unique("none"), 3},
		"an unknown resource": {0, "x", 42},
		"default group":       {groupResource, "", 42},
		"not a broker's id":   {brokerResource, "one", 42},
	} {
		if got := n.alter(c.kind, c.name, change{"retention.ms", 0, value("1")}); got.ErrorCode != c.code {
			t.Errorf("%s: %s, want %d", name, describe(got.ErrorCode, got.ErrorMessage), c.code)
		}
	}
	group := unique("group")
	if got := n.alter(groupResource, group, change{"consumer.session.timeout.ms", 0, value("50000")}); got.ErrorCode != 0 {
		t.Errorf("a group: %s", describe(got.ErrorCode, got.ErrorMessage))
	}
	until(t, "the group's option is set", func() bool {
		got, _ := n.describeConfigs(groupResource, group, "consumer.session.timeout.ms")
		return text(got["consumer.session.timeout.ms"].Value) == "50000" && got["consumer.session.timeout.ms"].Source == 8
	})
	if got := n.alter(groupResource, group, change{"consumer.session.timeout", 0, value("50000")}); got.ErrorCode != 40 {
		t.Errorf("an unknown option of a group: %s", describe(got.ErrorCode, got.ErrorMessage))
	}
}

// TestAlterConfigs: the older way to set configurations replaces all of a resource.
func TestAlterConfigs(t *testing.T) {
	n := shared(t)
	to := n.newTopic(1, "retention.ms=7000", "segment.ms=8000")
	alter := func(validate bool, name string, configs ...string) kmsg.AlterConfigsResponseResource {
		t.Helper()
		req := kmsg.NewPtrAlterConfigsRequest()
		req.ValidateOnly = validate
		res := kmsg.NewAlterConfigsRequestResource()
		res.ResourceType, res.ResourceName = topicResource, name
		for i := 0; i < len(configs); i += 2 {
			c := kmsg.NewAlterConfigsRequestResourceConfig()
			c.Name, c.Value = configs[i], &configs[i+1]
			res.Configs = append(res.Configs, c)
		}
		req.Resources = append(req.Resources, res)
		return mustAsk[*kmsg.AlterConfigsResponse](n, req, 2).Resources[0]
	}
	now := func() string {
		t.Helper()
		got, _ := n.describeConfigs(topicResource, to.name)
		return text(got["retention.ms"].Value) + " " + text(got["segment.ms"].Value) + " " + text(got["max.message.bytes"].Value)
	}
	for name, c := range map[string]struct {
		code int16
		got  kmsg.AlterConfigsResponseResource
	}{
		"bad value":     {40, alter(false, to.name, "retention.ms", "1", "segment.ms", "x")},
		"unknown":       {40, alter(false, to.name, "retention.msec", "1")},
		"validate only": {0, alter(true, to.name, "retention.ms", "1")},
		"no such topic": {3, alter(false, unique("none"), "retention.ms", "1")},
	} {
		if c.got.ErrorCode != c.code {
			t.Errorf("%s: %s, want %d", name, describe(c.got.ErrorCode, c.got.ErrorMessage), c.code)
		}
	}
	if got := now(); got != "7000 8000 1048588" {
		t.Errorf("changed by what was refused: %s", got)
	}
	if got := alter(false, to.name, "retention.ms", "9000", "max.message.bytes", "5000"); got.ErrorCode != 0 {
		t.Error(describe(got.ErrorCode, got.ErrorMessage))
	}
	until(t, "the configurations are replaced", func() bool { return now() == "9000 604800000 5000" })
	to.refuse(makeBatch([]rec{{value: fmt.Sprintf("%06000d", 0)}}), 10)
}

func TestBehaviour084BrokerConfigs(t *testing.T) {
	n := shared(t)
	me := n.brokerName()
	to := n.newTopic(1)
	own := n.newTopic(1, "max.message.bytes=9000")
	const key = "message.max.bytes"
	want := func(broker, topic, ofOwn string) {
		t.Helper()
		until(t, "broker "+broker+", topic "+topic, func() bool {
			b, _ := n.describeConfigs(brokerResource, me, key)
			c, _ := n.describeConfigs(topicResource, to.name, "max.message.bytes")
			o, _ := n.describeConfigs(topicResource, own.name, "max.message.bytes")
			return shown(b[key]) == broker && shown(c["max.message.bytes"]) == topic && shown(o["max.message.bytes"]) == ofOwn
		})
	}
	large := makeBatch([]rec{{value: fmt.Sprintf("%06500d", 0)}})
	byDefault := key + "=1048588 5"
	want("1048588 5: "+byDefault, "1048588 5: "+byDefault, "9000 1: max.message.bytes=9000 1 "+byDefault)
	to.mustProduce(large, 0)

	n.setBroker(t, "", key, "5000")
	forAll := key + "=5000 3 " + byDefault
	want("5000 3: "+forAll, "5000 3: "+forAll, "9000 1: max.message.bytes=9000 1 "+forAll)
	to.refuse(large, 10)
	own.mustProduce(large, 0)

	n.setBroker(t, me, key, "7000")
	forMe := key + "=7000 2 " + forAll
	want("7000 2: "+forMe, "7000 2: "+forMe, "9000 1: max.message.bytes=9000 1 "+forMe)
	to.mustProduce(large, 1)

	n.alter(brokerResource, me, change{key, 1, nil})
	want("5000 3: "+forAll, "5000 3: "+forAll, "9000 1: max.message.bytes=9000 1 "+forAll)
	n.alter(brokerResource, "", change{key, 1, nil})
	want("1048588 5: "+byDefault, "1048588 5: "+byDefault, "9000 1: max.message.bytes=9000 1 "+byDefault)
	to.mustProduce(large, 2)

	// Without a name what is set for all brokers is described.
	if got, _ := n.describeConfigs(brokerResource, ""); got[key].Name != "" {
		t.Errorf("still there: %s", shown(got[key]))
	}
	n.setBroker(t, "", "log.retention.ms", "1234567")
	until(t, "what is set for all brokers is described", func() bool {
		got, _ := n.describeConfigs(brokerResource, "")
		return text(got["log.retention.ms"].Value) == "1234567" && got["log.retention.ms"].Source == 3
	})
	until(t, "it counts for topics", func() bool {
		got, _ := n.describeConfigs(topicResource, to.name, "retention.ms")
		return strings.HasPrefix(shown(got["retention.ms"]), "1234567 3: log.retention.ms=1234567 3")
	})
}

func TestBehaviour085DynamicBrokerConfigs(t *testing.T) {
	n := shared(t)
	me := n.brokerName()
	for _, broker := range []string{"", me} {
		for _, kv := range [][2]string{
			{"num.io.threads", "9"}, {"log.cleaner.threads", "2"}, {"log.cleaner.io.max.bytes.per.second", "1234.5"},
			{"unclean.leader.election.enable", "true"}, {"compression.type", "gzip"}, {"background.threads", "11"}, {"log.retention.bytes", "100000000"},
		} {
			n.setBroker(t, broker, kv[0], kv[1])
			until(t, kv[0]+" is changed", func() bool {
				got, _ := n.describeConfigs(brokerResource, me, kv[0])
				return text(got[kv[0]].Value) == kv[1] && !got[kv[0]].ReadOnly
			})
		}
	}
	for name, c := range map[string]struct {
		broker string
		change change
	}{
		"no number":            {"", change{"num.io.threads", 0, value("many")}},
		"out of range":         {"", change{"log.segment.bytes", 0, value("-1")}},
		"one of no such kind":  {"", change{"log.cleanup.policy", 0, value("burn")}},
		"not while it runs":    {"", change{"num.partitions", 0, value("3")}},
		"nor for one broker":   {me, change{"node.id", 0, value("3")}},
		"a broker's own":       {"", change{"advertised.listeners", 0, value("PLAINTEXT://x:1")}},
		"a list's wrong entry": {"", change{"log.cleanup.policy", 2, value("burn")}},
	} {
		got := n.alter(brokerResource, c.broker, change{"log.roll.ms", 0, value("777777")}, c.change)
		if got.ErrorCode != 42 || got.ErrorMessage == nil {
			t.Errorf("%s: %s", name, describe(got.ErrorCode, got.ErrorMessage))
		}
		after, _ := n.describeConfigs(brokerResource, me, "log.roll.ms")
		if text(after["log.roll.ms"].Value) == "777777" {
			t.Errorf("%s: a change beside the refused one was made", name)
			n.alter(brokerResource, c.broker, change{"log.roll.ms", 1, nil})
		}
	}
}

// TestListConfigResources: what has, or can have, configurations.
func TestListConfigResources(t *testing.T) {
	n := shared(t)
	to := n.newTopic(1)
	group := unique("group")
	n.alter(groupResource, group, change{"consumer.session.timeout.ms", 0, value("50000")})
	ask := func(version int16, kinds ...int8) map[string]bool {
		t.Helper()
		req := kmsg.NewPtrListConfigResourcesRequest()
		req.ResourceTypes = kinds
		got := mustAsk[*kmsg.ListConfigResourcesResponse](n, req, version)
		if got.ErrorCode != 0 {
			t.Fatal(describe(got.ErrorCode, nil))
		}
		out := map[string]bool{}
		for _, r := range got.ConfigResources {
			out[fmt.Sprint(r.Type, r.Name)] = true
		}
		return out
	}
	until(t, "the group is listed", func() bool { return ask(1, 32)["32"+group] })
	all := ask(1)
	for _, want := range []string{"2" + to.name, "4" + n.brokerName(), "8" + n.brokerName(), "32" + group} {
		if !all[want] {
			t.Errorf("%s is not listed", want)
		}
	}
	for got := range ask(1, 2, 4) {
		if got[0] != '2' && got[0] != '4' {
			t.Errorf("topics and brokers: %s", got)
		}
	}
	if got := ask(0); len(got) != 0 {
		t.Errorf("client metrics: %v", got)
	}
	req := kmsg.NewPtrListConfigResourcesRequest()
	req.ResourceTypes = []int8{99}
	if got := mustAsk[*kmsg.ListConfigResourcesResponse](n, req, 1); got.ErrorCode != 35 {
		t.Errorf("an unknown kind: %d", got.ErrorCode)
	}
}
