package cluster

import (
	"encoding/json"
	"fmt"
	"slices"

	"github.com/benbjohnson/immutable"
)

// Kinds of records, the keys in the metadata log.
const (
	kindTopic       = "topic"
	kindPartitions  = "partitions"
	kindTopicGone   = "topic-deleted"
	kindReplicas    = "replicas"
	kindBroker      = "broker"
	kindBrokerGone  = "broker-unregistered"
	kindVoters      = "voters"
	kindFeatures    = "features"
	kindConfig      = "config"
	kindProducerIDs = "producer-ids"
	kindVersion     = "version"
)

// topicRecord says all about a topic but its configuration. One that says it again, in a snapshot, changes nothing.
type topicRecord struct {
	Name     string     `json:"name"`
	ID       UUID       `json:"id"`
	Replicas [][]int32  `json:"replicas"`
	Nodes    [][]uint64 `json:"nodes,omitempty"` // see Partition.nodes
	// Witnesses are those of the partitions; -1: none; nil: none has one.
	Witnesses []int32 `json:"witnesses,omitempty"`
}

// partitionsRecord adds partitions to a topic, numbered from First on.
type partitionsRecord struct {
	Topic     string     `json:"topic"`
	First     int        `json:"first"`
	Replicas  [][]int32  `json:"replicas"`
	Nodes     [][]uint64 `json:"nodes,omitempty"`
	Witnesses []int32    `json:"witnesses,omitempty"`
}

type topicGoneRecord struct {
	Name string `json:"name"`
	ID   UUID   `json:"id"`
}

// replicasRecord says all about the replicas of some of a topic's partitions.
type replicasRecord struct {
	Topic      string     `json:"topic"`
	Partitions []replicas `json:"partitions"`
}

type replicas struct {
	Partition int32   `json:"partition"`
	Replicas  []int32 `json:"replicas"`
	Adding    []int32 `json:"adding,omitempty"`
	Removing  []int32 `json:"removing,omitempty"`
	Witnesses []int32 `json:"witnesses,omitempty"`
	Leaving   []int32 `json:"leaving,omitempty"`
	Epoch     int32   `json:"epoch"`
	// Nodes are those that it was made with, as long as only its witness has changed; see Partition.nodes.
	Nodes []uint64 `json:"nodes,omitempty"`
	// After is as in Partition.after.
	After uint64 `json:"after,omitempty"`
}

type brokerRecord struct {
	ID          int32      `json:"id"`
	Rack        string     `json:"rack,omitempty"`
	Endpoints   []Endpoint `json:"endpoints"`
	Peer        string     `json:"peer,omitempty"`
	Directory   UUID       `json:"directory,omitzero"`
	Incarnation int32      `json:"incarnation,omitempty"`
	Features    []Feature  `json:"features,omitempty"`
}

// brokerGoneRecord unregisters a broker, and says which one it was.
type brokerGoneRecord struct {
	ID          int32 `json:"id"`
	Directory   UUID  `json:"directory,omitzero"`
	Incarnation int32 `json:"incarnation,omitempty"`
}

// votersRecord says who the voters of the metadata are.
type votersRecord struct {
	Voters []Voter `json:"voters"`
}

// featuresRecord says the levels of all features.
type featuresRecord struct {
	Levels map[string]int16 `json:"levels"`
}

// configRecord sets one configuration, or removes it (Value nil).
type configRecord struct {
	Kind  ResourceKind `json:"kind"`
	Name  string       `json:"name"`
	Key   string       `json:"key"`
	Value *string      `json:"value"`
}

// producerIDsRecord says that all ids below Next are given out.
type producerIDsRecord struct {
	Next int64 `json:"next"`
}

// versionRecord begins a snapshot: the image had this version then, so that it never goes back.
type versionRecord struct {
	Version int64 `json:"version"`
}

// apply gives the image after a record.
func (i *Image) apply(kind string, value []byte) (*Image, error) {
	next := *i
	next.version++
	next.touched, next.members = Resource{}, false
	var err error
	switch kind {
	case kindTopic:
		err = change(value, next.addTopic)
	case kindPartitions:
		err = change(value, next.addPartitions)
	case kindTopicGone:
		err = change(value, next.removeTopic)
	case kindReplicas:
		err = change(value, next.setReplicas)
	case kindBroker:
		err = change(value, next.setBroker)
	case kindBrokerGone:
		err = change(value, next.removeBroker)
	case kindVoters:
		err = change(value, next.setVoters)
	case kindFeatures:
		err = change(value, next.setLevels)
	case kindConfig:
		err = change(value, next.setConfig)
	case kindProducerIDs:
		err = change(value, func(r producerIDsRecord) error { next.nextProducerID = r.Next; return nil })
	case kindVersion:
		err = change(value, func(r versionRecord) error { next.version = max(next.version, r.Version); return nil })
	default:
		return nil, fmt.Errorf("the metadata log holds a record of kind %q that this version does not know: start it with the newer version that wrote it", kind)
	}
	if err != nil {
		return nil, fmt.Errorf("metadata record %q: %w", kind, err)
	}
	return &next, nil
}

func change[R any](value []byte, f func(R) error) error {
	var r R
	if err := json.Unmarshal(value, &r); err != nil {
		return err
	}
	return f(r)
}

func (i *Image) addTopic(r topicRecord) error {
	if t := i.Topic(r.Name); t != nil && t.ID != r.ID {
		return fmt.Errorf("topic %q is there already", r.Name)
	}
	t := &Topic{Name: r.Name, ID: r.ID, Partitions: make([]Partition, len(r.Replicas))}
	for number, replicas := range r.Replicas {
		t.Partitions[number] = Partition{Replicas: replicas, nodes: nodesOf(r.Nodes, number), Witnesses: witnessOf(r.Witnesses, number)}
	}
	i.touched = Resource{TopicResource, r.Name}
	i.topics = i.topics.Set(r.Name, t)
	i.names = i.names.Set(string(r.ID[:]), r.Name)
	return nil
}

// nodesOf gives what a record says of one of its partitions.
func nodesOf(nodes [][]uint64, at int) []uint64 {
	if at >= len(nodes) {
		return nil
	}
	return nodes[at]
}

func (i *Image) addPartitions(r partitionsRecord) error {
	t := i.Topic(r.Topic)
	if t == nil || len(t.Partitions) != r.First {
		return fmt.Errorf("partitions of %q do not follow those it has", r.Topic)
	}
	grown := *t
	grown.Partitions = append(make([]Partition, 0, r.First+len(r.Replicas)), t.Partitions...)
	for at, replicas := range r.Replicas {
		grown.Partitions = append(grown.Partitions, Partition{Replicas: replicas, nodes: nodesOf(r.Nodes, at), Witnesses: witnessOf(r.Witnesses, at)})
	}
	i.touched = Resource{TopicResource, r.Topic}
	i.topics = i.topics.Set(r.Topic, &grown)
	return nil
}

func (i *Image) removeTopic(r topicGoneRecord) error {
	t := i.Topic(r.Name)
	if t == nil || t.ID != r.ID {
		return fmt.Errorf("topic %q is not there", r.Name)
	}
	i.touched = Resource{TopicResource, r.Name}
	i.topics = i.topics.Delete(r.Name)
	i.names = i.names.Delete(string(r.ID[:]))
	i.configs = i.configs.Delete(Resource{TopicResource, r.Name})
	return nil
}

func (i *Image) setReplicas(r replicasRecord) error {
	t := i.Topic(r.Topic)
	if t == nil {
		return fmt.Errorf("topic %q is not there", r.Topic)
	}
	moved := *t
	moved.Partitions = slices.Clone(t.Partitions)
	for _, p := range r.Partitions {
		if p.Partition < 0 || int(p.Partition) >= len(moved.Partitions) {
			return fmt.Errorf("topic %q has no partition %d", r.Topic, p.Partition)
		}
		moved.Partitions[p.Partition] = Partition{
			Replicas: p.Replicas, Adding: p.Adding, Removing: p.Removing, Witnesses: p.Witnesses, Leaving: p.Leaving, Epoch: p.Epoch,
			nodes: p.Nodes, after: p.After,
		}
	}
	i.touched = Resource{TopicResource, r.Topic}
	i.topics = i.topics.Set(r.Topic, &moved)
	return nil
}

func (i *Image) setBroker(r brokerRecord) error {
	i.brokers = i.brokers.Set(r.ID, &Broker{
		ID: r.ID, Rack: r.Rack, Endpoints: r.Endpoints, Peer: r.Peer,
		Directory: r.Directory, Incarnation: r.Incarnation, Features: r.Features,
	})
	i.gone = i.gone.Delete(r.ID)
	i.members = true
	return nil
}

func (i *Image) removeBroker(r brokerGoneRecord) error {
	i.brokers = i.brokers.Delete(r.ID)
	i.gone = i.gone.Set(r.ID, identity{r.Directory, r.Incarnation})
	i.members = true
	return nil
}

func (i *Image) setVoters(r votersRecord) error {
	i.voters = r.Voters
	i.members = true
	return nil
}

func (i *Image) setLevels(r featuresRecord) error {
	i.levels = r.Levels
	i.members = true
	return nil
}

func (i *Image) setConfig(r configRecord) error {
	res := Resource{r.Kind, r.Name}
	i.touched = res
	set, ok := i.configs.Get(res)
	if !ok {
		set = immutable.NewSortedMap[string, string](nil)
	}
	if r.Value == nil {
		set = set.Delete(r.Key)
	} else {
		set = set.Set(r.Key, *r.Value)
	}
	if set.Len() == 0 {
		i.configs = i.configs.Delete(res)
	} else {
		i.configs = i.configs.Set(res, set)
	}
	return nil
}
