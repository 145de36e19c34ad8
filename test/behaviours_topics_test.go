package test

import (
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/twmb/franz-go/pkg/kmsg"
)

func askMetadata(n *node, version int16, create bool, topics ...kmsg.MetadataRequestTopic) *kmsg.MetadataResponse {
	n.t.Helper()
	req := kmsg.NewPtrMetadataRequest()
	req.Topics, req.AllowAutoTopicCreation = topics, create
	return mustAsk[*kmsg.MetadataResponse](n, req, version)
}

func byName(name string) kmsg.MetadataRequestTopic {
	topic := kmsg.NewMetadataRequestTopic()
	topic.Topic = &name
	return topic
}

func byID(id [16]byte) kmsg.MetadataRequestTopic {
	topic := kmsg.NewMetadataRequestTopic()
	topic.TopicID = id
	return topic
}

func TestBehaviour072Metadata(t *testing.T) {
	n := shared(t)
	a, b := n.newTopic(1), n.newTopic(3)
	has := func(got *kmsg.MetadataResponse, name string) bool {
		return slices.ContainsFunc(got.Topics, func(t kmsg.MetadataResponseTopic) bool { return t.Topic != nil && *t.Topic == name })
	}
	for version := range int16(14) {
		got := askMetadata(n, version, false) // null, or empty in version 0
		if !has(got, a.name) || !has(got, b.name) || len(got.Brokers) != nodes || got.ErrorCode != 0 {
			t.Errorf("version %d, all: %+v", version, got)
		}
		if version > 0 {
			req := kmsg.NewPtrMetadataRequest()
			req.Topics = []kmsg.MetadataRequestTopic{}
			if got := mustAsk[*kmsg.MetadataResponse](n, req, version); len(got.Topics) != 0 || len(got.Brokers) != nodes {
				t.Errorf("version %d, none: %+v", version, got)
			}
		}
		named := askMetadata(n, version, false, byName(b.name)).Topics
		if len(named) != 1 || named[0].ErrorCode != 0 || len(named[0].Partitions) != 3 || named[0].IsInternal {
			t.Errorf("version %d, by name: %+v", version, named)
		}
		for _, p := range named[0].Partitions {
			if p.ErrorCode != 0 || p.Leader != 1 || !slices.Equal(p.Replicas, replicas()) || !slices.Equal(p.ISR, p.Replicas) || len(p.OfflineReplicas) != 0 {
				t.Errorf("version %d: %+v", version, p)
			}
			if (p.LeaderEpoch >= 0) != (version >= 7) {
				t.Errorf("version %d: leader epoch %d", version, p.LeaderEpoch)
			}
		}
		if (named[0].TopicID == b.id) != (version >= 10) {
			t.Errorf("version %d: topic id %x, want %x", version, named[0].TopicID, b.id)
		}
		if version >= 4 {
			if got := askMetadata(n, version, false, byName(unique("none"))).Topics[0]; got.ErrorCode != 3 || len(got.Partitions) != 0 {
				t.Errorf("version %d, unknown and not to be created: %+v", version, got)
			}
		}
		if got := askMetadata(n, version, true, byName("a b")).Topics[0]; got.ErrorCode != 17 {
			t.Errorf("version %d, a bad name: %+v", version, got)
		}
	}
	fresh := unique("fresh")
	until(t, "the topic is created", func() bool {
		got := askMetadata(n, 9, true, byName(fresh)).Topics[0]
		if got.ErrorCode != 0 && external == "" {
			t.Fatalf("not led at once: %+v", got)
		}
		return got.ErrorCode == 0 && got.Partitions[0].Leader >= 0
	})
	got := askMetadata(n, 12, true, byID(b.id), byID([16]byte{1}))
	for _, topic := range got.Topics {
		if topic.TopicID == b.id && (topic.ErrorCode != 0 || *topic.Topic != b.name) || topic.TopicID != b.id && (topic.ErrorCode != 100 || topic.Topic != nil) {
			t.Errorf("by id: %+v", topic)
		}
	}
	if len(got.Topics) != 2 {
		t.Errorf("by id: %d topics", len(got.Topics))
	}
	// Asking for all, or by id, creates nothing.
	missing := unique("missing")
	askMetadata(n, 9, true)
	if has(askMetadata(n, 9, false), missing) {
		t.Error("created without being asked for")
	}
	n.newGroup()
	if got := askMetadata(n, 9, false, byName("__consumer_offsets")).Topics[0]; !got.IsInternal || len(got.Partitions) != 4 {
		t.Errorf("the offsets' topic: %+v", got)
	}
	if got := askMetadata(n, 9, false); got.ClusterID == nil || *got.ClusterID == "" || got.ControllerID < 1 || int(got.ControllerID) > nodes {
		t.Errorf("the cluster: %+v", got)
	}
}

// create asks for topics and gives the answers by name.
func (n *node) create(validate bool, topics ...kmsg.CreateTopicsRequestTopic) map[string]kmsg.CreateTopicsResponseTopic {
	n.t.Helper()
	req := kmsg.NewPtrCreateTopicsRequest()
	req.TimeoutMillis, req.ValidateOnly, req.Topics = 10_000, validate, topics
	out := map[string]kmsg.CreateTopicsResponseTopic{}
	for _, got := range mustAsk[*kmsg.CreateTopicsResponse](n, req, 7).Topics {
		if _, twice := out[got.Topic]; twice {
			n.t.Errorf("%s is answered twice", got.Topic)
		}
		out[got.Topic] = got
	}
	return out
}

func (n *node) exists(topic string) bool {
	n.t.Helper()
	return askMetadata(n, 9, false, byName(topic)).Topics[0].ErrorCode == 0
}

func TestBehaviour074TopicNames(t *testing.T) {
	n := shared(t)
	full := unique("n")
	full += strings.Repeat("x", 249-len(full))
	stem := unique("stem")
	n.newTopic(1)
	n.namedTopic(stem+".a_b", 1)
	for _, c := range []struct {
		name string
		code int16
	}{
		{full, 0}, {full + "x", 17}, {".", 17}, {"..", 17}, {"", 17}, {"a b", 17}, {"ä", 17}, {"a/b", 17}, {"a:b", 17}, {"a\x00", 17},
		{stem + ".a.b", 17}, {stem + "_a_b", 17}, {stem + "-a_b", 0}, {unique("...")[3:] + "...", 0}, {"__cluster_metadata", 42},
	} {
		got := n.create(false, wantTopic(c.name, 1))[c.name]
		if got.ErrorCode != c.code || (got.ErrorMessage == nil) != (c.code == 0) {
			t.Errorf("%q: %s, want %d", c.name, describe(got.ErrorCode, got.ErrorMessage), c.code)
		}
	}
	topic{n: n, name: full}.delete()
	if n.dir != "" {
		until(t, "nothing is left of the longest name's files", func() bool {
			left, err := filepath.Glob(filepath.Join(n.dir, full[:100]+"*"))
			return err == nil && len(left) == 0
		})
	}
}

// assigned asks for a topic whose partitions are placed by hand.
func assigned(name string, replicas map[int32][]int32) kmsg.CreateTopicsRequestTopic {
	want := plainTopic(name, -1)
	want.ReplicationFactor = -1
	for number, r := range replicas {
		a := kmsg.NewCreateTopicsRequestTopicReplicaAssignment()
		a.Partition, a.Replicas = number, r
		want.ReplicaAssignment = append(want.ReplicaAssignment, a)
	}
	return want
}

func TestBehaviour075CreateTopics(t *testing.T) {
	n := shared(t)
	there := n.newTopic(1)
	me := askMetadata(n, 9, false).Brokers[0].NodeID
	with := func(change func(*kmsg.CreateTopicsRequestTopic)) kmsg.CreateTopicsRequestTopic {
		want := plainTopic(unique("made"), 1)
		change(&want)
		return want
	}
	both := func(t kmsg.CreateTopicsRequestTopic, partitions int32, factor int16) kmsg.CreateTopicsRequestTopic {
		t.NumPartitions, t.ReplicationFactor = partitions, factor
		return t
	}
	null := func(t *kmsg.CreateTopicsRequestTopic) {
		c := kmsg.NewCreateTopicsRequestTopicConfig()
		c.Name = "retention.ms"
		t.Configs = append(t.Configs, c)
	}
	for name, c := range map[string]struct {
		want kmsg.CreateTopicsRequestTopic
		code int16
	}{
		"fine":                      {with(func(*kmsg.CreateTopicsRequestTopic) {}), 0},
		"defaults":                  {with(func(t *kmsg.CreateTopicsRequestTopic) { t.NumPartitions, t.ReplicationFactor = -1, -1 }), 0},
		"existing":                  {wantTopic(there.name, 1), 36},
		"many replicas":             {with(func(t *kmsg.CreateTopicsRequestTopic) { t.ReplicationFactor = 4 }), 38},
		"no replicas":               {with(func(t *kmsg.CreateTopicsRequestTopic) { t.ReplicationFactor = 0 }), 38},
		"negative replicas":         {with(func(t *kmsg.CreateTopicsRequestTopic) { t.ReplicationFactor = -2 }), 38},
		"no partitions":             {with(func(t *kmsg.CreateTopicsRequestTopic) { t.NumPartitions = 0 }), 37},
		"negative partitions":       {with(func(t *kmsg.CreateTopicsRequestTopic) { t.NumPartitions = -2 }), 37},
		"bad config":                {wantTopic(unique("made"), 1, "retention.ms=soon"), 40},
		"unknown config":            {wantTopic(unique("made"), 1, "retention.msec=1"), 40},
		"config out of range":       {wantTopic(unique("made"), 1, "segment.bytes=1048575"), 40},
		"null config":               {with(null), 40},
		"assigned":                  {assigned(unique("made"), map[int32][]int32{0: {me}, 1: {me}}), 0},
		"gap in the assignment":     {assigned(unique("made"), map[int32][]int32{0: {me}, 2: {me}}), 39},
		"not from 0":                {assigned(unique("made"), map[int32][]int32{1: {me}}), 39},
		"no replicas assigned":      {assigned(unique("made"), map[int32][]int32{0: {}}), 39},
		"a broker twice":            {assigned(unique("made"), map[int32][]int32{0: {me, me}}), 39},
		"no such broker":            {assigned(unique("made"), map[int32][]int32{0: {me + 77}}), 39},
		"uneven replicas":           {assigned(unique("made"), map[int32][]int32{0: {me}, 1: {me, me + 1}}), 39},
		"assigned, with partitions": {both(assigned(unique("made"), map[int32][]int32{0: {me}}), 1, -1), 42},
		"assigned, with replicas":   {both(assigned(unique("made"), map[int32][]int32{0: {me}}), -1, 1), 42},
	} {
		for _, validate := range []bool{true, false} {
			got := n.create(validate, c.want)[c.want.Topic]
			if got.ErrorCode != c.code || (got.ErrorMessage == nil) != (c.code == 0) {
				t.Errorf("%s (validate only: %v): %s, want %d", name, validate, describe(got.ErrorCode, got.ErrorMessage), c.code)
			}
			if zero := got.TopicID == [16]byte{}; zero != (c.code != 0) && !validate {
				t.Errorf("%s (validate only: %v): topic id %x", name, validate, got.TopicID)
			}
			if validate && c.code == 0 && n.exists(c.want.Topic) {
				t.Errorf("%s: created although it was only to be validated", name)
			}
		}
		if c.code == 0 {
			until(t, name+" is there", func() bool { return n.exists(c.want.Topic) })
		} else if c.want.Topic != there.name && n.exists(c.want.Topic) {
			t.Errorf("%s: created although it was refused", name)
		}
	}
	// One of a request is not the others' matter; a name twice is answered once.
	twice, fine := unique("twice"), unique("fine")
	got := n.create(false, wantTopic(twice, 1), wantTopic(fine, 1), wantTopic(twice, 2), wantTopic(there.name, 1))
	for name, code := range map[string]int16{twice: 42, fine: 0, there.name: 36} {
		if got[name].ErrorCode != code {
			t.Errorf("together: %s: %s", name, describe(got[name].ErrorCode, got[name].ErrorMessage))
		}
	}
}

func TestBehaviour076CreateTopicsAnswersConfigs(t *testing.T) {
	n := shared(t)
	inSync := "1 5"
	if nodes > 1 {
		inSync = "2 4"
	}
	for _, validate := range []bool{true, false} {
		name := unique("made")
		got := n.create(validate, wantTopic(name, 2, "retention.ms=7000", "cleanup.policy=compact"))[name]
		if got.NumPartitions != 2 || int(got.ReplicationFactor) != nodes || got.ConfigErrorCode != 0 {
			t.Errorf("validate only %v: %+v", validate, got)
		}
		values := map[string]string{}
		for _, c := range got.Configs {
			if c.Value != nil {
				values[c.Name] = fmt.Sprintf("%s %d", *c.Value, c.Source)
			}
			if c.ReadOnly || c.IsSensitive {
				t.Errorf("%+v", c)
			}
		}
		for key, want := range map[string]string{
			"retention.ms": "7000 1", "cleanup.policy": "compact 1", "max.message.bytes": "1048588 5", "segment.bytes": "1073741824 5", "compression.type": "producer 5",
			"min.insync.replicas": inSync, "unclean.leader.election.enable": "false 5", "message.timestamp.type": "CreateTime 5", "flush.ms": "9223372036854775807 5",
		} {
			if values[key] != want && !(external != "" && key == "min.insync.replicas") { // Kafka's ELR sets it for the cluster
				t.Errorf("validate only %v: %s is %q, want %q", validate, key, values[key], want)
			}
		}
	}
}

func (n *node) deleteTopics(version int16, topics ...kmsg.DeleteTopicsRequestTopic) []kmsg.DeleteTopicsResponseTopic {
	n.t.Helper()
	req := kmsg.NewPtrDeleteTopicsRequest()
	req.TimeoutMillis, req.Topics = 10_000, topics
	for _, topic := range topics {
		if topic.Topic != nil {
			req.TopicNames = append(req.TopicNames, *topic.Topic)
		}
	}
	return mustAsk[*kmsg.DeleteTopicsResponse](n, req, version).Topics
}

func TestBehaviour078DeleteTopics(t *testing.T) {
	n := shared(t)
	for round := range int32(3) {
		to := n.namedTopic("phoenix-"+run, round+1)
		to.mustProduce(nil, 0) // nothing of before is left
		got := n.deleteTopics(6, kmsg.DeleteTopicsRequestTopic{TopicID: to.id})
		if len(got) != 1 || got[0].ErrorCode != 0 || got[0].TopicID != to.id || got[0].Topic == nil || *got[0].Topic != to.name {
			t.Fatalf("by id: %+v", got)
		}
		if got := n.deleteTopics(6, kmsg.DeleteTopicsRequestTopic{TopicID: to.id}); got[0].ErrorCode != 100 || got[0].Topic != nil {
			t.Errorf("again: %+v", got)
		}
		if got := askMetadata(n, 12, false, byID(to.id)).Topics[0]; got.ErrorCode != 100 && external == "" {
			t.Errorf("metadata: %+v", got)
		}
	}
	for version := int16(1); version <= 6; version++ {
		to, none := n.newTopic(1), unique("none")
		for _, got := range n.deleteTopics(version, kmsg.DeleteTopicsRequestTopic{Topic: &to.name}, kmsg.DeleteTopicsRequestTopic{Topic: &none}) {
			if want := map[string]int16{to.name: 0, none: 3}[*got.Topic]; got.ErrorCode != want {
				t.Errorf("version %d: %+v", version, got)
			}
		}
	}
	to := n.newTopic(1)
	if got := n.deleteTopics(6, kmsg.DeleteTopicsRequestTopic{Topic: &to.name, TopicID: to.id}); got[0].ErrorCode != 42 {
		t.Errorf("by name and id: %+v", got)
	}
	if got := n.deleteTopics(6, kmsg.DeleteTopicsRequestTopic{}); got[0].ErrorCode != 42 {
		t.Errorf("by nothing: %+v", got)
	}
	for _, got := range n.deleteTopics(6, kmsg.DeleteTopicsRequestTopic{Topic: &to.name}, kmsg.DeleteTopicsRequestTopic{Topic: &to.name}) {
		if got.ErrorCode != 42 {
			t.Errorf("twice: %+v", got)
		}
	}
	if !n.exists(to.name) {
		t.Error("deleted by a request that was refused")
	}
}

func TestBehaviour078DeletionDisabled(t *testing.T) {
	n := start(t, "delete.topic.enable=false")
	to := n.newTopic(1)
	for version, want := range map[int16]int16{1: 42, 2: 42, 3: 73, 6: 73} {
		if got := n.deleteTopics(version, kmsg.DeleteTopicsRequestTopic{Topic: &to.name})[0]; got.ErrorCode != want {
			t.Errorf("version %d: %s, want %d", version, describe(got.ErrorCode, got.ErrorMessage), want)
		}
	}
	to.mustProduce(nil, 0)
}

func TestBehaviour079CreatePartitions(t *testing.T) {
	n := shared(t)
	to := n.newTopic(2)
	to.mustProduce(nil, 0)
	me := askMetadata(n, 9, false).Brokers[0].NodeID
	none := unique("none")
	grow := func(validate bool, name string, count int32, assignment [][]int32) kmsg.CreatePartitionsResponseTopic {
		t.Helper()
		req := kmsg.NewPtrCreatePartitionsRequest()
		req.TimeoutMillis, req.ValidateOnly = 10_000, validate
		want := kmsg.NewCreatePartitionsRequestTopic()
		want.Topic, want.Count = name, count
		if assignment != nil {
			want.Assignment = []kmsg.CreatePartitionsRequestTopicAssignment{}
		}
		for _, replicas := range assignment {
			want.Assignment = append(want.Assignment, kmsg.CreatePartitionsRequestTopicAssignment{Replicas: replicas})
		}
		req.Topics = append(req.Topics, want)
		return mustAsk[*kmsg.CreatePartitionsResponse](n, req, 3).Topics[0]
	}
	for _, validate := range []bool{true, false} {
		for name, c := range map[string]struct {
			topic      string
			count      int32
			assignment [][]int32
			code       int16
		}{
			"the same":                {to.name, 2, nil, 37},
			"fewer":                   {to.name, 1, nil, 37},
			"none":                    {to.name, 0, nil, 37},
			"negative":                {to.name, -1, nil, 37},
			"no such topic":           {none, 5, nil, 3},
			"too few assignments":     {to.name, 4, [][]int32{{me}}, 39},
			"too many assignments":    {to.name, 3, [][]int32{{me}, {me}}, 39},
			"empty assignments":       {to.name, 3, [][]int32{}, 39},
			"no such broker":          {to.name, 3, [][]int32{{me + 77}}, 39},
			"other replication":       {to.name, 3, [][]int32{{me, me + 1}}, 39},
			"a partition without any": {to.name, 3, [][]int32{{}}, 39},
		} {
			if got := grow(validate, c.topic, c.count, c.assignment); got.ErrorCode != c.code || got.ErrorMessage == nil && c.code != 3 {
				t.Errorf("%s (validate only: %v): %s, want %d", name, validate, describe(got.ErrorCode, got.ErrorMessage), c.code)
			}
		}
	}
	if got := grow(true, to.name, 5, nil); got.ErrorCode != 0 {
		t.Errorf("validated: %+v", got)
	}
	count := func() int { return len(askMetadata(n, 9, false, byName(to.name)).Topics[0].Partitions) }
	if got := count(); got != 2 {
		t.Fatalf("%d partitions after requests that were refused or only validated", got)
	}
	if got := grow(false, to.name, 3, [][]int32{replicas()}); got.ErrorCode != 0 {
		t.Errorf("assigned: %s", describe(got.ErrorCode, got.ErrorMessage))
	}
	until(t, "there are three partitions", func() bool { return count() == 3 })
	if got := grow(false, to.name, 5, nil); got.ErrorCode != 0 {
		t.Errorf("%s", describe(got.ErrorCode, got.ErrorMessage))
	}
	until(t, "there are five partitions", func() bool { return count() == 5 })
	until(t, "the last one is led", func() bool { return askMetadata(n, 9, false, byName(to.name)).Topics[0].Partitions[4].Leader > 0 })
	to.mustEnd(1)
}

// elect asks for elections of a kind (0 preferred, 1 unclean); without partitions, of all.
func (n *node) elect(version int16, kind int8, timeout int32, topics ...kmsg.ElectLeadersRequestTopic) *kmsg.ElectLeadersResponse {
	n.t.Helper()
	req := kmsg.NewPtrElectLeadersRequest()
	req.ElectionType, req.TimeoutMillis, req.Topics = kind, timeout, topics
	return mustAsk[*kmsg.ElectLeadersResponse](n, req, version)
}

func TestBehaviour081Elections(t *testing.T) {
	n := shared(t)
	to := n.newTopic(2)
	for kind := range int8(2) {
		got := n.elect(2, kind, 10_000, kmsg.ElectLeadersRequestTopic{Topic: to.name, Partitions: []int32{0, 1, 9}})
		if got.ErrorCode != 0 || len(got.Topics) != 1 || len(got.Topics[0].Partitions) != 3 {
			t.Fatalf("kind %d: %+v", kind, got)
		}
		for _, p := range got.Topics[0].Partitions {
			if want := map[int32]int16{0: 84, 1: 84, 9: 3}[p.Partition]; p.ErrorCode != want {
				t.Errorf("kind %d, partition %d: %s", kind, p.Partition, describe(p.ErrorCode, p.ErrorMessage))
			}
		}
		none := n.elect(2, kind, 10_000, kmsg.ElectLeadersRequestTopic{Topic: unique("none"), Partitions: []int32{0}})
		if none.ErrorCode != 0 || none.Topics[0].Partitions[0].ErrorCode != 3 {
			t.Errorf("kind %d, no such topic: %+v", kind, none)
		}
		all := n.elect(2, kind, 10_000)
		for _, topic := range all.Topics { // Kafka names them, without partitions
			if len(topic.Partitions) != 0 {
				t.Errorf("kind %d, all partitions: %+v", kind, topic)
			}
		}
		if all.ErrorCode != 0 {
			t.Errorf("kind %d, all partitions: %d", kind, all.ErrorCode)
		}
	}
	if got := n.elect(0, 0, 10_000, kmsg.ElectLeadersRequestTopic{Topic: to.name, Partitions: []int32{0}}); got.Topics[0].Partitions[0].ErrorCode != 84 {
		t.Errorf("version 0: %+v", got)
	}
}

func TestBehaviour089DescribeTopicPartitions(t *testing.T) {
	n := shared(t)
	stem := unique("pages")
	var names []string
	var ids [][16]byte
	for i, partitions := range []int32{3, 1, 2} {
		to := n.namedTopic(fmt.Sprintf("%s-%d", stem, i), partitions)
		names, ids = append(names, to.name), append(ids, to.id)
	}
	type cursor = kmsg.DescribeTopicPartitionsRequestCursor
	ask := func(limit int32, from *cursor, topics ...string) (seen []string, next *cursor, answer *kmsg.DescribeTopicPartitionsResponse) {
		t.Helper()
		req := kmsg.NewPtrDescribeTopicPartitionsRequest()
		req.ResponsePartitionLimit, req.Cursor = limit, from
		for _, name := range topics {
			req.Topics = append(req.Topics, kmsg.DescribeTopicPartitionsRequestTopic{Topic: name})
		}
		got := mustAsk[*kmsg.DescribeTopicPartitionsResponse](n, req, 0)
		for _, topic := range got.Topics {
			for _, p := range topic.Partitions {
				seen = append(seen, fmt.Sprintf("%s-%d", *topic.Topic, p.Partition))
				if p.ErrorCode != 0 || p.LeaderID < 0 || p.LeaderEpoch < 0 || len(p.Replicas) != nodes || len(p.ISR) != nodes || len(p.EligibleLeaderReplicas) != 0 {
					t.Errorf("%+v", p)
				}
			}
			if i := slices.Index(names, *topic.Topic); i >= 0 && topic.TopicID != ids[i] {
				t.Errorf("%s has the id %x, want %x", *topic.Topic, topic.TopicID, ids[i])
			}
		}
		if got.NextCursor != nil {
			next = &cursor{Topic: got.NextCursor.Topic, Partition: got.NextCursor.Partition}
		}
		return seen, next, got
	}
	var all []string
	for i, count := range []int{3, 1, 2} {
		for p := range count {
			all = append(all, fmt.Sprintf("%s-%d", names[i], p))
		}
	}
	for limit := int32(1); limit <= 7; limit++ {
		var seen []string
		var at *cursor
		for pages := 0; ; pages++ {
			some, next, _ := ask(limit, at, names[2], names[0], names[1]) // the answer is sorted
			if len(some) > int(limit) || pages > 7 {
				t.Fatalf("limit %d: page %d has %v", limit, pages, some)
			}
			seen = append(seen, some...)
			if at = next; next == nil {
				break
			}
		}
		if !slices.Equal(seen, all) {
			t.Errorf("limit %d: %v, want %v", limit, seen, all)
		}
	}
	if seen, _, _ := ask(100, &cursor{Topic: names[1]}, names...); !slices.Equal(seen, all[3:]) {
		t.Errorf("from the second topic: %v", seen)
	}
	if seen, _, _ := ask(100, &cursor{Topic: names[0], Partition: 2}, names...); !slices.Equal(seen, all[2:]) {
		t.Errorf("from the third partition: %v", seen)
	}
	if seen, next, _ := ask(2, &cursor{Topic: stem}); !slices.Equal(seen, all[:2]) || next == nil || next.Topic != names[0] || next.Partition != 2 {
		t.Errorf("of all topics: %v, then %+v", seen, next)
	}
	_, _, got := ask(100, nil, "a b", names[0], stem+"-none")
	codes := map[string]int16{}
	for _, topic := range got.Topics {
		codes[*topic.Topic] = topic.ErrorCode
	}
	if len(codes) != 3 || codes["a b"] != 17 || codes[names[0]] != 0 || codes[stem+"-none"] != 3 {
		t.Errorf("errors: %v", codes)
	}
}

// TestDescribeCluster: what tools read of a cluster.
func TestDescribeCluster(t *testing.T) {
	n := shared(t)
	for version := range int16(3) {
		req := kmsg.NewPtrDescribeClusterRequest()
		got := mustAsk[*kmsg.DescribeClusterResponse](n, req, version)
		if got.ErrorCode != 0 || got.ClusterID == "" || len(got.Brokers) != nodes || got.ControllerID < 1 || int(got.ControllerID) > nodes {
			t.Errorf("version %d: %+v", version, got)
		}
	}
	req := kmsg.NewPtrDescribeClusterRequest()
	req.EndpointType = 2
	if got := mustAsk[*kmsg.DescribeClusterResponse](n, req, 1); got.ErrorCode != 114 {
		t.Errorf("controllers: %s", describe(got.ErrorCode, got.ErrorMessage))
	}
	req.EndpointType = 9
	if got := mustAsk[*kmsg.DescribeClusterResponse](n, req, 1); got.ErrorCode != 115 {
		t.Errorf("an unknown type of endpoint: %s", describe(got.ErrorCode, got.ErrorMessage))
	}
}

// TestDescribeLogDirs: partitions and their sizes.
func TestDescribeLogDirs(t *testing.T) {
	n := shared(t)
	to := n.newTopic(2)
	size := int64(len(batch("hello")))
	to.mustProduce(nil, 0)
	ask := func(topics ...kmsg.DescribeLogDirsRequestTopic) map[string]kmsg.DescribeLogDirsResponseDirTopicPartition {
		t.Helper()
		req := kmsg.NewPtrDescribeLogDirsRequest()
		req.Topics = topics
		got := mustAsk[*kmsg.DescribeLogDirsResponse](n, req, 4)
		if got.ErrorCode != 0 || len(got.Dirs) != 1 {
			t.Fatalf("%+v", got)
		}
		d := got.Dirs[0]
		if d.ErrorCode != 0 || d.Dir == "" || d.TotalBytes <= 0 || d.UsableBytes <= 0 {
			t.Errorf("%+v", d)
		}
		out := map[string]kmsg.DescribeLogDirsResponseDirTopicPartition{}
		for _, topic := range d.Topics {
			for _, p := range topic.Partitions {
				out[fmt.Sprintf("%s-%d", topic.Topic, p.Partition)] = p
			}
		}
		return out
	}
	named := ask(kmsg.DescribeLogDirsRequestTopic{Topic: to.name, Partitions: []int32{0, 1, 7}}, kmsg.DescribeLogDirsRequestTopic{Topic: unique("none"), Partitions: []int32{0}})
	if len(named) != 2 || named[to.name+"-0"].Size < size || named[to.name+"-1"].Size > named[to.name+"-0"].Size || named[to.name+"-0"].IsFuture || named[to.name+"-0"].OffsetLag != 0 {
		t.Errorf("%+v", named)
	}
	if all := ask(); len(all) < 2 || all[to.name+"-0"].Size < size {
		t.Errorf("all: %+v", all)
	}
}
