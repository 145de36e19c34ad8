package cluster

import (
	"encoding/json"
	"fmt"

	"github.com/benbjohnson/immutable"
)

// Kinds of records, the keys in the metadata log.
const (
	kindTopic       = "topic"
	kindPartitions  = "partitions"
	kindTopicGone   = "topic-deleted"
	kindBroker      = "broker"
	kindConfig      = "config"
	kindProducerIDs = "producer-ids"
	kindVersion     = "version"
)

// topicRecord says all about a topic but its configuration. One that says it again, in a snapshot, changes nothing.
type topicRecord struct {
	Name     string    `json:"name"`
	ID       UUID      `json:"id"`
	Replicas [][]int32 `json:"replicas"`
}

// partitionsRecord adds partitions to a topic, numbered from First on.
type partitionsRecord struct {
	Topic    string    `json:"topic"`
	First    int       `json:"first"`
	Replicas [][]int32 `json:"replicas"`
}

type topicGoneRecord struct {
	Name string `json:"name"`
	ID   UUID   `json:"id"`
}

type brokerRecord struct {
	ID        int32      `json:"id"`
	Rack      string     `json:"rack,omitempty"`
	Endpoints []Endpoint `json:"endpoints"`
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
	next.touched = Resource{}
	var err error
	switch kind {
	case kindTopic:
		err = change(value, next.addTopic)
	case kindPartitions:
		err = change(value, next.addPartitions)
	case kindTopicGone:
		err = change(value, next.removeTopic)
	case kindBroker:
		err = change(value, next.setBroker)
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
		t.Partitions[number].Replicas = replicas
	}
	i.touched = Resource{TopicResource, r.Name}
	i.topics = i.topics.Set(r.Name, t)
	i.names = i.names.Set(string(r.ID[:]), r.Name)
	return nil
}

func (i *Image) addPartitions(r partitionsRecord) error {
	t := i.Topic(r.Topic)
	if t == nil || len(t.Partitions) != r.First {
		return fmt.Errorf("partitions of %q do not follow those it has", r.Topic)
	}
	grown := *t
	grown.Partitions = append(make([]Partition, 0, r.First+len(r.Replicas)), t.Partitions...)
	for _, replicas := range r.Replicas {
		grown.Partitions = append(grown.Partitions, Partition{Replicas: replicas})
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

func (i *Image) setBroker(r brokerRecord) error {
	i.brokers = i.brokers.Set(r.ID, &Broker{ID: r.ID, Rack: r.Rack, Endpoints: r.Endpoints})
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
