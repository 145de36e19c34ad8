package test

import (
	"slices"
	"strings"
	"testing"

	"github.com/twmb/franz-go/pkg/kmsg"
)

const loggerResource = kmsg.ConfigResourceTypeBrokerLogger

func TestBehaviour086BrokerLoggers(t *testing.T) {
	n := shared(t)
	me := n.brokerName()
	level := func() string {
		t.Helper()
		got, _ := n.describeConfigs(loggerResource, me, "root")
		if c := got["root"]; c.Source != 6 || c.ReadOnly || c.IsDefault {
			t.Errorf("%+v", c)
		}
		return text(got["root"].Value)
	}
	before := level()
	set := func(op kmsg.IncrementalAlterConfigOp, logger string, to *string) kmsg.IncrementalAlterConfigsResponseResource {
		t.Helper()
		return n.alter(loggerResource, me, change{logger, op, to})
	}
	t.Cleanup(func() { set(0, "root", &before) })
	for _, want := range []string{"ERROR", "WARN", "INFO"} {
		if got := set(0, "root", &want); got.ErrorCode != 0 || level() != want {
			t.Errorf("%s: %s, and it is %s", want, describe(got.ErrorCode, got.ErrorMessage), level())
		}
	}
	for name, c := range map[string]struct {
		op     kmsg.IncrementalAlterConfigOp
		logger string
		value  *string
		code   int16
	}{
		"the root cannot be deleted": {1, "root", nil, 42},
		"no such level":              {0, "root", value("LOUD"), 40},
		"levels are in capitals":     {0, "root", value("warn"), 40},
		"no level":                   {0, "root", nil, 42},
		"no such logger":             {0, "no.such.logger", value("INFO"), 40},
		"nor to be deleted":          {1, "no.such.logger", nil, 40},
		"it is no list":              {2, "root", value("WARN"), 42},
		"nor to be taken from":       {3, "root", value("INFO"), 42},
		"an unknown operation":       {9, "root", value("WARN"), orKafka(42, -1)},
	} {
		if got := set(c.op, c.logger, c.value); got.ErrorCode != c.code {
			t.Errorf("%s: %s, want %d", name, describe(got.ErrorCode, got.ErrorMessage), c.code)
		}
	}
	both := n.alter(loggerResource, me, change{"root", 0, value("ERROR")}, change{"no.such.logger", 0, value("WARN")})
	if both.ErrorCode != 40 || level() != "INFO" {
		t.Errorf("all changes or none: %d, and it is %s", both.ErrorCode, level())
	}
	for _, name := range []string{"", "77", "one"} {
		if got := n.alter(loggerResource, name, change{"root", 0, value("WARN")}); got.ErrorCode != 42 {
			t.Errorf("broker %q: %s", name, describe(got.ErrorCode, got.ErrorMessage))
		}
		if _, got := n.describeConfigs(loggerResource, name); got.ErrorCode != 42 {
			t.Errorf("broker %q described: %s", name, describe(got.ErrorCode, got.ErrorMessage))
		}
	}
	try := alterRequest(loggerResource, me, change{"root", 0, value("ERROR")})
	try.ValidateOnly = true
	if got := mustAsk[*kmsg.IncrementalAlterConfigsResponse](n, try, 1).Resources[0]; got.ErrorCode != 0 || level() != "INFO" {
		t.Errorf("only validated: %d, and it is %s", got.ErrorCode, level())
	}
	// Beside something else in the same request.
	to := n.newTopic(1)
	mixed := alterRequest(topicResource, to.name, change{"retention.ms", 0, value("7000")})
	mixed.Resources = append(mixed.Resources, alterRequest(loggerResource, me, change{"root", 0, value("WARN")}).Resources...)
	got := mustAsk[*kmsg.IncrementalAlterConfigsResponse](n, mixed, 1).Resources
	if len(got) != 2 || got[0].ErrorCode != 0 || got[1].ErrorCode != 0 || level() != "WARN" {
		t.Errorf("two resources: %+v, and it is %s", got, level())
	}
	until(t, "the topic is altered", func() bool {
		c, _ := n.describeConfigs(topicResource, to.name, "retention.ms")
		return text(c["retention.ms"].Value) == "7000"
	})
}

// TestLogLevelTakesEffectLive: what the node writes follows the level, until it starts again.
func TestLogLevelTakesEffectLive(t *testing.T) {
	n := start(t, "offsets.topic.num.partitions=1", "log.level=warn")
	if got := n.alter(loggerResource, "1", change{"root", 0, value("DEBUG")}); got.ErrorCode != 0 {
		t.Fatal(describe(got.ErrorCode, got.ErrorMessage))
	}
	const loaded = "coordinator loaded"
	if strings.Contains(n.out.String(), loaded) {
		t.Fatal("a debug message at level warn")
	}
	n.newGroup()
	until(t, "a debug message is written", func() bool { return strings.Contains(n.out.String(), loaded) })
	n.kill()
	n.start()
	if got, _ := n.describeConfigs(loggerResource, "1"); len(got) != 1 || text(got["root"].Value) != "WARN" {
		t.Errorf("after a start: %+v", got)
	}
}

// TestDescribeQuorum: what kafka-metadata-quorum reads.
func TestDescribeQuorum(t *testing.T) {
	n := shared(t)
	ask := func(version int16, topic string, number int32) (*kmsg.DescribeQuorumResponse, kmsg.DescribeQuorumResponseTopicPartition) {
		t.Helper()
		req := kmsg.NewPtrDescribeQuorumRequest()
		want := kmsg.NewDescribeQuorumRequestTopic()
		want.Topic, want.Partitions = topic, []kmsg.DescribeQuorumRequestTopicPartition{{Partition: number}}
		req.Topics = append(req.Topics, want)
		got := mustAsk[*kmsg.DescribeQuorumResponse](n, req, version)
		if got.ErrorCode != 0 || len(got.Topics) != 1 || len(got.Topics[0].Partitions) != 1 {
			t.Fatalf("version %d: %+v", version, got)
		}
		return got, got.Topics[0].Partitions[0]
	}
	for version := range int16(3) {
		got, p := ask(version, "__cluster_metadata", 0)
		if p.ErrorCode != 0 || p.LeaderID < 1 || int(p.LeaderID) > nodes || p.LeaderEpoch < 1 || p.HighWatermark < 1 || len(p.CurrentVoters) != nodes || len(p.Observers) != 0 {
			t.Fatalf("version %d: %+v", version, p)
		}
		for _, v := range p.CurrentVoters {
			if v.ReplicaID < 1 || int(v.ReplicaID) > nodes || v.ReplicaID == p.LeaderID && v.LogEndOffset < p.HighWatermark {
				t.Errorf("version %d: %+v", version, v)
			}
		}
		if version == 2 && (len(got.Nodes) != nodes || len(got.Nodes[0].Listeners) == 0 || got.Nodes[0].Listeners[0].Port == 0) {
			t.Errorf("nodes: %+v", got.Nodes)
		}
		for topic, number := range map[string]int32{unique("none"): 0, "__cluster_metadata": 1} {
			if _, p := ask(version, topic, number); p.ErrorCode != 3 {
				t.Errorf("version %d, %s-%d: %d", version, topic, number, p.ErrorCode)
			}
		}
	}
}

// TestReassignments: partitions stay where they are.
func TestReassignments(t *testing.T) {
	n := shared(t)
	self := askMetadata(n, 9, false).Brokers[0].NodeID
	cases := []struct {
		replicas []int32
		code     int16
	}{
		{replicas(), 0}, {nil, 85}, {[]int32{self + 50}, 39}, {[]int32{self, self + 50}, 39}, {[]int32{}, 39}, {[]int32{self, self}, 39},
		{[]int32{self}, 3}, // there is no such partition
	}
	to := n.newTopic(int32(len(cases)) - 1)
	req := kmsg.NewPtrAlterPartitionAssignmentsRequest()
	req.TimeoutMillis = 10_000
	want := kmsg.NewAlterPartitionAssignmentsRequestTopic()
	want.Topic = to.name
	for number, c := range cases {
		p := kmsg.NewAlterPartitionAssignmentsRequestTopicPartition()
		p.Partition, p.Replicas = int32(number), c.replicas
		want.Partitions = append(want.Partitions, p)
	}
	none := want
	none.Topic, none.Partitions = unique("none"), want.Partitions[:1]
	req.Topics = append(req.Topics, want, none)
	got := mustAsk[*kmsg.AlterPartitionAssignmentsResponse](n, req, 0)
	if got.ErrorCode != 0 || len(got.Topics) != 2 {
		t.Fatalf("%+v", got)
	}
	for _, topic := range got.Topics {
		for _, p := range topic.Partitions {
			code := int16(3)
			if topic.Topic == to.name {
				code = cases[p.Partition].code
			}
			if p.ErrorCode != code {
				t.Errorf("%s-%d: %s, want %d", topic.Topic, p.Partition, describe(p.ErrorCode, p.ErrorMessage), code)
			}
		}
	}
	list := kmsg.NewPtrListPartitionReassignmentsRequest()
	list.TimeoutMillis = 10_000
	if got := mustAsk[*kmsg.ListPartitionReassignmentsResponse](n, list, 0); got.ErrorCode != 0 || len(got.Topics) != 0 {
		t.Errorf("under way: %+v", got)
	}
}

// TestAlterReplicaLogDirs: there is one directory.
func TestAlterReplicaLogDirs(t *testing.T) {
	n := shared(t)
	to := n.newTopic(2)
	dir := mustAsk[*kmsg.DescribeLogDirsResponse](n, kmsg.NewPtrDescribeLogDirsRequest(), 4).Dirs[0].Dir
	req := kmsg.NewPtrAlterReplicaLogDirsRequest()
	for number, into := range []string{dir, dir + "/other"} {
		d := kmsg.NewAlterReplicaLogDirsRequestDir()
		d.Dir = into
		moved := kmsg.NewAlterReplicaLogDirsRequestDirTopic()
		moved.Topic, moved.Partitions = to.name, []int32{int32(number)}
		d.Topics = append(d.Topics, moved)
		req.Dirs = append(req.Dirs, d)
	}
	codes := map[int32]int16{}
	for _, topic := range mustAsk[*kmsg.AlterReplicaLogDirsResponse](n, req, 2).Topics {
		for _, p := range topic.Partitions {
			codes[p.Partition] = p.ErrorCode
		}
	}
	if len(codes) != 2 || codes[0] != 0 || codes[1] != 57 {
		t.Errorf("%v", codes)
	}
}

// TestUpdateFeatures: the level of Kafka that is there can be asked for, others cannot.
func TestUpdateFeatures(t *testing.T) {
	n := shared(t)
	versions := mustAsk[*kmsg.ApiVersionsResponse](n, meaningful(18, "", [16]byte{}).(*kmsg.ApiVersionsRequest), 4)
	at := slices.IndexFunc(versions.FinalizedFeatures, func(f kmsg.ApiVersionsResponseFinalizedFeature) bool { return f.Name == "metadata.version" })
	if at < 0 {
		t.Fatalf("%+v", versions)
	}
	level := versions.FinalizedFeatures[at].MaxVersionLevel
	for name, c := range map[string]struct {
		feature string
		level   int16
		kind    int8
		code    int16
	}{
		"the same":            {"metadata.version", level, 1, 0},
		"higher":              {"metadata.version", 99, 1, 95},
		"lower":               {"metadata.version", level - 5, 1, 95},
		"lower, on purpose":   {"metadata.version", level - 5, 2, 95},
		"none":                {"metadata.version", 0, 2, 95},
		"another feature":     {"foo.version", 1, 1, 95},
		"nor to be taken off": {"foo.version", 0, 2, 95},
		"an unknown kind":     {"metadata.version", level, 0, 95},
	} {
		for version := int16(1); version <= 2; version++ {
			req := kmsg.NewPtrUpdateFeaturesRequest()
			req.TimeoutMillis, req.ValidateOnly = 10_000, true
			u := kmsg.NewUpdateFeaturesRequestFeatureUpdate()
			u.Feature, u.MaxVersionLevel, u.UpgradeType = c.feature, c.level, c.kind
			req.FeatureUpdates = append(req.FeatureUpdates, u)
			got := mustAsk[*kmsg.UpdateFeaturesResponse](n, req, version)
			if got.ErrorCode != c.code {
				t.Errorf("%s, version %d: %s, want %d", name, version, describe(got.ErrorCode, got.ErrorMessage), c.code)
			}
			if c.code == 0 && version == 1 && (len(got.Results) != 1 || got.Results[0].ErrorCode != 0) {
				t.Errorf("%s: %+v", name, got)
			}
		}
	}
}

// TestNothingThere: what there is nothing of can be asked for, as tools do that show everything.
func TestNothingThere(t *testing.T) {
	n := shared(t)
	if got := mustAsk[*kmsg.DescribeClientQuotasResponse](n, kmsg.NewPtrDescribeClientQuotasRequest(), 1); got.ErrorCode != 0 || len(got.Entries) != 0 {
		t.Errorf("quotas: %+v", got)
	}
	type filter = kmsg.DescribeClientQuotasRequestComponent
	for name, c := range map[string]struct {
		code   int16
		filter []filter
	}{
		"users":              {0, []filter{{EntityType: "user", MatchType: 2}, {EntityType: "client-id", MatchType: 1}}},
		"a user":             {0, []filter{{EntityType: "user", MatchType: 0, Match: value("anna")}}},
		"twice":              {42, []filter{{EntityType: "user", MatchType: 2}, {EntityType: "user", MatchType: 1}}},
		"addresses of users": {42, []filter{{EntityType: "ip", MatchType: 2}, {EntityType: "user", MatchType: 2}}},
		"no kind":            {42, []filter{{MatchType: 2}}},
		"unknown kind":       {35, []filter{{EntityType: "planet", MatchType: 2}}},
		"unknown match":      {42, []filter{{EntityType: "user", MatchType: 9}}},
		"exactly nobody":     {42, []filter{{EntityType: "user"}}},
	} {
		req := kmsg.NewPtrDescribeClientQuotasRequest()
		req.Components = c.filter
		if got := mustAsk[*kmsg.DescribeClientQuotasResponse](n, req, 1); got.ErrorCode != c.code || len(got.Entries) != 0 {
			t.Errorf("quotas of %s: %s, want %d", name, describe(got.ErrorCode, got.ErrorMessage), c.code)
		}
	}
	users := kmsg.NewPtrDescribeUserSCRAMCredentialsRequest()
	if got := mustAsk[*kmsg.DescribeUserSCRAMCredentialsResponse](n, users, 0); got.ErrorCode != 0 || len(got.Results) != 0 {
		t.Errorf("credentials: %+v", got)
	}
	users.Users = []kmsg.DescribeUserSCRAMCredentialsRequestUser{{Name: "anna"}, {Name: "bert"}, {Name: "bert"}}
	codes := map[string]int16{}
	for _, r := range mustAsk[*kmsg.DescribeUserSCRAMCredentialsResponse](n, users, 0).Results {
		codes[r.User] = r.ErrorCode
	}
	if len(codes) != 2 || codes["anna"] != 91 || codes["bert"] != 92 {
		t.Errorf("credentials: %v", codes)
	}
	list := kmsg.NewPtrListTransactionsRequest()
	list.StateFilters = []string{"Ongoing", "Asleep"}
	if got := mustAsk[*kmsg.ListTransactionsResponse](n, list, 2); got.ErrorCode != 0 || len(got.TransactionStates) != 0 || !slices.Equal(got.UnknownStateFilters, []string{"Asleep"}) {
		t.Errorf("transactions: %+v", got)
	}
	list.TransactionalIDPattern = value("(")
	if got := mustAsk[*kmsg.ListTransactionsResponse](n, list, 2); got.ErrorCode != 128 {
		t.Errorf("transactions by a wrong pattern: %d", got.ErrorCode)
	}
}
