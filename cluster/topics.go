package cluster

import (
	"cmp"
	"slices"
	"strings"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"
)

const (
	topicNameMax = 249
	// partitionsMax is how many partitions one request can make. It is Kafka's bound, too.
	partitionsMax = 10_000
)

// CheckTopicName tells what is wrong with a topic's name, in Kafka's words; "": nothing.
func CheckTopicName(name string) string {
	switch {
	case name == "":
		return "Topic name is invalid: the empty string is not allowed"
	case name == "." || name == "..":
		return "Topic name is invalid: '" + name + "' is not allowed"
	case len(name) > topicNameMax:
		return "Topic name is invalid: the length of '" + name + "' is longer than the max allowed length 249"
	}
	for i := range len(name) {
		b := name[i]
		if !('a' <= b && b <= 'z' || 'A' <= b && b <= 'Z' || '0' <= b && b <= '9' || b == '.' || b == '_' || b == '-') {
			return "Topic name is invalid: '" + name + "' contains one or more characters other than ASCII alphanumerics, '.', '_' and '-'"
		}
	}
	return ""
}

func (c *Controller) createTopics(d *draft, req *kmsg.CreateTopicsRequest, own bool) *kmsg.CreateTopicsResponse {
	resp := req.ResponseKind().(*kmsg.CreateTopicsResponse)
	resp.Topics = []kmsg.CreateTopicsResponseTopic{}
	var twice []kmsg.CreateTopicsResponseTopic // answered last, as Kafka does
	seen := map[string]int{}
	for _, t := range req.Topics {
		if seen[t.Topic]++; seen[t.Topic] == 2 {
			twice = append(twice, refused(t.Topic, fail(kerr.InvalidRequest, "Duplicate topic name.")))
		}
	}
	tooMany := c.countPartitions(req, seen) > partitionsMax
	made := map[string]bool{} // by the folded name, for collisions within the request
	for i := range req.Topics {
		t := &req.Topics[i]
		if seen[t.Topic] > 1 {
			continue
		}
		id, replicas, p := c.planTopic(t, own)
		switch {
		case tooMany && !own:
			p = fail(kerr.PolicyViolation, "Excessively large number of partitions per request.")
		case p == nil && made[fold(t.Topic)]:
			p = fail(kerr.InvalidTopicException, "Topic '%s' collides with another topic of the request", t.Topic)
		}
		if p != nil {
			resp.Topics = append(resp.Topics, refused(t.Topic, p))
			continue
		}
		made[fold(t.Topic)] = true
		out := kmsg.NewCreateTopicsResponseTopic()
		out.Topic, out.TopicID = t.Topic, id
		out.NumPartitions, out.ReplicationFactor = int32(len(replicas)), int16(len(replicas[0]))
		if !req.ValidateOnly {
			witnesses := c.newWitnesses(nil, -1).all(replicas)
			d.put(kindTopic, topicRecord{
				Name: t.Topic, ID: id, Replicas: replicas, Nodes: c.image.nodesApart(replicas, witnesses), Witnesses: witnesses,
			})
			for _, cfg := range t.Configs {
				d.put(kindConfig, configRecord{Kind: TopicResource, Name: t.Topic, Key: cfg.Name, Value: cfg.Value})
			}
		}
		resp.Topics = append(resp.Topics, out)
	}
	resp.Topics = append(resp.Topics, twice...)
	return resp
}

// nodesApart gives the replicas and witnesses of new partitions as Raft numbers them; nil: all are in their first incarnation.
func (i *Image) nodesApart(replicas [][]int32, witnesses []int32) [][]uint64 {
	out, apart := make([][]uint64, len(replicas)), false
	for at, brokers := range replicas {
		p := Partition{Replicas: brokers, Witnesses: witnessOf(witnesses, at)}
		out[at] = i.Members(p)
		for _, id := range slices.Concat(p.Replicas, p.Witnesses) {
			apart = apart || i.identity(id).incarnation > 0
		}
	}
	if !apart {
		return nil
	}
	return out
}

// refused answers for a topic that is not created.
func refused(topic string, p *problem) kmsg.CreateTopicsResponseTopic {
	out := kmsg.NewCreateTopicsResponseTopic()
	out.Topic, out.ErrorCode, out.ErrorMessage = topic, p.code.Code, &p.message
	out.Configs = []kmsg.CreateTopicsResponseTopicConfig{}
	return out
}

// countPartitions tells how many partitions a request asks for. Topics that it names twice are not made.
func (c *Controller) countPartitions(req *kmsg.CreateTopicsRequest, seen map[string]int) (sum int) {
	for _, t := range req.Topics {
		switch {
		case seen[t.Topic] > 1:
		case len(t.ReplicaAssignment) > 0:
			sum += len(t.ReplicaAssignment)
		case t.NumPartitions == -1:
			sum += int(c.cfg.Partitions)
		case t.NumPartitions > 0:
			sum += int(t.NumPartitions)
		}
	}
	return sum
}

// planTopic decides over one topic: its id and the replicas of each partition.
func (c *Controller) planTopic(t *kmsg.CreateTopicsRequestTopic, own bool) (UUID, [][]int32, *problem) {
	if text := CheckTopicName(t.Topic); text != "" {
		return UUID{}, nil, fail(kerr.InvalidTopicException, "%s", text)
	}
	if !own && t.Topic == MetadataTopic {
		return UUID{}, nil, fail(kerr.InvalidRequest, "Creation of internal topic %s is prohibited.", t.Topic)
	}
	if c.image.Topic(t.Topic) != nil {
		return UUID{}, nil, fail(kerr.TopicAlreadyExists, "Topic '%s' already exists.", t.Topic)
	}
	if other := c.collision(t.Topic); other != "" {
		return UUID{}, nil, fail(kerr.InvalidTopicException, "Topic '%s' collides with existing topic: %s", t.Topic, other)
	}
	set := map[string]string{}
	for _, cfg := range t.Configs {
		if cfg.Value == nil {
			return UUID{}, nil, fail(kerr.InvalidConfig, "Null value not supported for topic configs: %s", cfg.Name)
		}
		if err := c.cfg.ValidateTopicConfig(cfg.Name, *cfg.Value); err != nil {
			return UUID{}, nil, fail(kerr.InvalidConfig, "%s", err)
		}
		set[cfg.Name] = *cfg.Value
	}
	if err := c.cfg.ValidateTopicSet(set); err != nil {
		return UUID{}, nil, fail(kerr.InvalidConfig, "%s", err)
	}
	replicas, p := c.plan(t)
	if p != nil {
		return UUID{}, nil, p
	}
	return c.cfg.NewID(), replicas, nil
}

// fold maps names to what metrics make of them: there '.' and '_' are the same.
func fold(name string) string { return strings.ReplaceAll(name, ".", "_") }

func (c *Controller) collision(name string) string {
	if !strings.ContainsAny(name, "._") {
		return ""
	}
	for t := range c.image.Topics() {
		if fold(t.Name) == fold(name) {
			return t.Name
		}
	}
	return ""
}

func (c *Controller) deleteTopics(d *draft, req *kmsg.DeleteTopicsRequest) *kmsg.DeleteTopicsResponse {
	resp := req.ResponseKind().(*kmsg.DeleteTopicsResponse)
	answer := func(name *string, id UUID, p *problem) {
		out := kmsg.NewDeleteTopicsResponseTopic()
		out.Topic, out.TopicID = name, id
		if p != nil {
			out.ErrorCode, out.ErrorMessage = p.code.Code, &p.message
		}
		resp.Topics = append(resp.Topics, out)
	}
	if !c.cfg.DeleteTopics {
		for _, name := range req.TopicNames {
			answer(&name, UUID{}, deletionDisabled(req.Version))
		}
		for _, t := range req.Topics {
			answer(t.Topic, t.TopicID, deletionDisabled(req.Version))
		}
		return resp
	}
	names, ids := wantedOnce[string]{}, wantedOnce[UUID]{}
	for _, name := range req.TopicNames {
		names.add(name)
	}
	for _, t := range req.Topics {
		switch {
		case t.Topic != nil && UUID(t.TopicID).IsZero():
			names.add(*t.Topic)
		case t.Topic != nil:
			answer(t.Topic, t.TopicID, fail(kerr.InvalidRequest, "You may not specify both topic name and topic id."))
		case UUID(t.TopicID).IsZero():
			answer(nil, UUID{}, fail(kerr.InvalidRequest, "Neither topic name nor id were specified."))
		default:
			ids.add(t.TopicID)
		}
	}
	doomed := map[*Topic]bool{}
	for _, id := range ids.order {
		switch t := c.image.TopicByID(id); {
		case ids.times[id] > 1:
			answer(nil, id, fail(kerr.InvalidRequest, "Duplicate topic id."))
		case t == nil:
			answer(nil, id, &problem{kerr.UnknownTopicID, "This server does not host this topic ID."})
		default:
			doomed[t] = true
		}
	}
	for _, name := range names.order {
		switch t := c.image.Topic(name); {
		case names.times[name] > 1:
			answer(&name, UUID{}, fail(kerr.InvalidRequest, "Duplicate topic name."))
		case t == nil:
			answer(&name, UUID{}, &problem{kerr.UnknownTopicOrPartition, "This server does not host this topic-partition."})
		case doomed[t] || ids.times[t.ID] > 1:
			delete(doomed, t)
			answer(&name, t.ID, fail(kerr.InvalidRequest, "The provided topic name maps to an ID that was already supplied."))
		default:
			doomed[t] = true
		}
	}
	for t := range c.image.Topics() {
		if doomed[t] {
			d.put(kindTopicGone, topicGoneRecord{Name: t.Name, ID: t.ID})
			answer(&t.Name, t.ID, nil)
		}
	}
	return resp
}

// wantedOnce gathers what a request names, and how often.
type wantedOnce[T comparable] struct {
	order []T
	times map[T]int
}

func (w *wantedOnce[T]) add(one T) {
	if w.times == nil {
		w.times = map[T]int{}
	}
	if w.times[one]++; w.times[one] == 1 {
		w.order = append(w.order, one)
	}
}

func deletionDisabled(version int16) *problem {
	if version < 3 {
		return fail(kerr.InvalidRequest, "Topic deletion is disabled.")
	}
	return fail(kerr.TopicDeletionDisabled, "Topic deletion is disabled.")
}

func (c *Controller) createPartitions(d *draft, req *kmsg.CreatePartitionsRequest) *kmsg.CreatePartitionsResponse {
	resp := req.ResponseKind().(*kmsg.CreatePartitionsResponse)
	seen := map[string]int{}
	for _, t := range req.Topics {
		seen[t.Topic]++
	}
	answered := map[string]bool{}
	for i := range req.Topics {
		t := &req.Topics[i]
		if answered[t.Topic] {
			continue
		}
		answered[t.Topic] = true
		out := kmsg.NewCreatePartitionsResponseTopic()
		out.Topic = t.Topic
		more, p := c.planMore(t)
		if seen[t.Topic] > 1 {
			p = fail(kerr.InvalidRequest, "Duplicate topic name.")
		}
		switch {
		case p != nil:
			if out.ErrorCode = p.code.Code; p.message != "" {
				out.ErrorMessage = &p.message
			}
		case !req.ValidateOnly:
			have := c.image.Topic(t.Topic).Partitions
			witnesses := c.newWitnesses(have, -1).all(more)
			d.put(kindPartitions, partitionsRecord{
				Topic: t.Topic, First: len(have), Replicas: more, Nodes: c.image.nodesApart(more, witnesses), Witnesses: witnesses,
			})
		}
		resp.Topics = append(resp.Topics, out)
	}
	slices.SortStableFunc(resp.Topics, func(a, b kmsg.CreatePartitionsResponseTopic) int { return cmp.Compare(a.Topic, b.Topic) })
	return resp
}

// planMore decides over the replicas of a topic's new partitions.
func (c *Controller) planMore(t *kmsg.CreatePartitionsRequestTopic) ([][]int32, *problem) {
	topic := c.image.Topic(t.Topic)
	if topic == nil {
		return nil, &problem{code: kerr.UnknownTopicOrPartition}
	}
	have := int32(len(topic.Partitions))
	switch {
	case t.Count == have:
		return nil, fail(kerr.InvalidPartitions, "Topic already has %d partition(s).", have)
	case t.Count < have:
		return nil, fail(kerr.InvalidPartitions, "The topic %s currently has %d partition(s); %d would not be an increase.", t.Topic, have, t.Count)
	case t.Count > partitionsMax:
		return nil, fail(kerr.InvalidPartitions, "Number of partitions must not be above %d.", partitionsMax)
	}
	factor := len(topic.Partitions[0].Target())
	if t.Assignment == nil {
		replicas, text := c.place(topic.Partitions, int(t.Count-have), factor)
		if text != "" {
			return nil, fail(kerr.InvalidReplicationFactor, "%s", text)
		}
		return replicas, nil
	}
	if len(t.Assignment) != int(t.Count-have) {
		return nil, fail(kerr.InvalidReplicaAssignment, "Attempted to add %d additional partition(s), but only %d assignment(s) were specified.", t.Count-have, len(t.Assignment))
	}
	out := make([][]int32, 0, len(t.Assignment))
	for i, a := range t.Assignment {
		if p := c.checkNew(int(have)+i, a.Replicas, factor); p != nil {
			return nil, p
		}
		out = append(out, a.Replicas)
	}
	return out, nil
}
