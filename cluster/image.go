package cluster

import (
	"cmp"
	"encoding/hex"
	"fmt"
	"iter"
	"slices"

	"github.com/benbjohnson/immutable"
)

// UUID is a topic's or cluster's id, as on the wire.
type UUID [16]byte

// IsZero tells whether the id is missing.
func (u UUID) IsZero() bool { return u == UUID{} }

// MarshalText writes the id as hex.
func (u UUID) MarshalText() ([]byte, error) { return hex.AppendEncode(nil, u[:]), nil }

// UnmarshalText reads what MarshalText wrote.
func (u *UUID) UnmarshalText(b []byte) error {
	if len(b) != hex.EncodedLen(len(u)) {
		return fmt.Errorf("an id of %d characters, not %d", len(b), hex.EncodedLen(len(u)))
	}
	_, err := hex.Decode(u[:], b)
	return err
}

// Names of the topics that the platform keeps for itself.
const (
	MetadataTopic = "__cluster_metadata"
	OffsetsTopic  = "__consumer_offsets"
)

// Topic is a topic of the image. It is never changed once it is in an image.
type Topic struct {
	Name       string
	ID         UUID
	Partitions []Partition // by number
}

// Partition says where a partition lives. While its replicas change, Replicas are those that it shall have, in their order,
// and behind them all others that may still hold it.
type Partition struct {
	Replicas []int32 // broker ids, the preferred leader first
	// Adding are the replicas that it did not have before the change, Removing those that it shall not have after it. One that
	// is in both was to be added by a change that was called off.
	Adding, Removing []int32
	// Witnesses are the brokers that vote and hold no data: the one that shall, and behind it, while that changes, those that
	// did. Leaving are those of them that shall not.
	Witnesses, Leaving []int32
	// Epoch counts the changes, so that news of an earlier one can be told apart.
	Epoch int32
	// nodes are the replicas that it was made with, and the witness, as Raft numbers them; nil: in their first incarnation.
	nodes []uint64
	// after is a term that its Raft group goes on after, since it began anew: see BeginAnew.
	after uint64
}

// After gives a term that the partition's Raft group goes on after; 0: it is the first of its id.
func (p Partition) After() uint64 { return p.after }

// First gives the nodes that a partition was made with, as Raft numbers them, as long as they are those that it has. A node that is
// none of them is not to take part in decisions until it was made a replica; nil: that is so of all.
func (p Partition) First() []uint64 {
	switch {
	case p.nodes != nil:
		return p.nodes
	case p.Epoch != 0:
		return nil
	}
	out := make([]uint64, len(p.Replicas), len(p.Replicas)+len(p.Witnesses))
	for i, id := range p.Replicas {
		out[i] = node(id, 0)
	}
	for _, id := range p.Witnesses {
		out = append(out, node(id, 0)|witnessBit)
	}
	return out
}

// Nodes gives brokers as Raft numbers them now.
func (i *Image) Nodes(brokers []int32) []uint64 {
	out := make([]uint64, len(brokers))
	for at, id := range brokers {
		out[at] = node(id, i.identity(id).incarnation)
	}
	return out
}

// Moving tells whether the replicas change.
func (p Partition) Moving() bool { return len(p.Adding) > 0 || len(p.Removing) > 0 }

// Target gives the replicas that the partition shall have.
func (p Partition) Target() []int32 { return without(p.Replicas, p.Removing) }

// origin gives the replicas that the partition had before the change.
func (p Partition) origin() []int32 { return without(p.Replicas, p.Adding) }

// without gives what is in all and not in some, in the order of all.
func without(all, some []int32) []int32 {
	if len(some) == 0 {
		return all
	}
	out := make([]int32, 0, len(all))
	for _, id := range all {
		if !slices.Contains(some, id) {
			out = append(out, id)
		}
	}
	return out
}

// sameSet tells whether two lists without repetitions have the same members.
func sameSet(a, b []int32) bool { return len(a) == len(b) && len(without(a, b)) == 0 }

// Internal tells whether the platform keeps the topic for itself.
func (t *Topic) Internal() bool { return Internal(t.Name) }

// Internal tells the same by the topic's name.
func Internal(topic string) bool {
	return topic == OffsetsTopic || topic == "__transaction_state" || topic == "__share_group_state"
}

// Broker is a node that serves clients.
type Broker struct {
	ID        int32
	Rack      string
	Endpoints []Endpoint
	Peer      string // host:port where other nodes reach it
	Directory UUID   // of its data directory
	// Incarnation counts how often the broker came back with another data directory. What an earlier one had promised is
	// forgotten, so to Raft it is another node.
	Incarnation int32
	Features    []Feature // what its version supports
}

// Node gives the broker's number in Raft groups, where 0 is nobody.
func (b *Broker) Node() uint64 { return node(b.ID, b.Incarnation) }

func node(id, incarnation int32) uint64 {
	return uint64(uint32(incarnation))<<32 | uint64(uint32(id)+1)
}

// Endpoint is where a broker's listener is reached.
type Endpoint struct {
	Listener string `json:"listener"`
	Host     string `json:"host"`
	Port     int32  `json:"port"`
}

// Endpoint gives the broker's address on a listener.
func (b *Broker) Endpoint(listener string) (Endpoint, bool) {
	for _, e := range b.Endpoints {
		if e.Listener == listener {
			return e, true
		}
	}
	return Endpoint{}, false
}

// ResourceKind is what a configuration belongs to, by Kafka's numbers.
type ResourceKind int8

// The kinds of resources that have dynamic configurations.
const (
	TopicResource  ResourceKind = 2
	BrokerResource ResourceKind = 4
	GroupResource  ResourceKind = 32
)

// Resource names what a configuration belongs to. A broker resource without a name is the default of all brokers.
type Resource struct {
	Kind ResourceKind
	Name string
}

type resourceComparer struct{}

// Compare gives -1, 0 or 1: the map wants exactly these.
func (resourceComparer) Compare(a, b Resource) int {
	return cmp.Or(cmp.Compare(a.Kind, b.Kind), cmp.Compare(a.Name, b.Name))
}

// Image is the cluster's metadata at one moment. It is immutable; a change makes a new one that shares what stayed.
type Image struct {
	topics  *immutable.SortedMap[string, *Topic]
	names   *immutable.Map[string, string] // topic id, as a string of 16 bytes → name
	brokers *immutable.SortedMap[int32, *Broker]
	// gone are brokers that were unregistered: one that comes back must not be taken for one that it is not.
	gone    *immutable.SortedMap[int32, identity]
	voters  []Voter          // of the metadata, by id; nil: not known
	levels  map[string]int16 // of features; nil: those of logs that do not say
	configs *immutable.SortedMap[Resource, *immutable.SortedMap[string, string]]
	// nextProducerID is the first id of the next block.
	nextProducerID int64
	version        int64
	touched        Resource // by the last record; a zero kind: no resource
	members        bool     // whether the last record changed brokers, voters or levels
}

func emptyImage() *Image {
	return &Image{
		topics:  immutable.NewSortedMap[string, *Topic](nil),
		names:   immutable.NewMap[string, string](nil),
		brokers: immutable.NewSortedMap[int32, *Broker](nil),
		gone:    immutable.NewSortedMap[int32, identity](nil),
		configs: immutable.NewSortedMap[Resource, *immutable.SortedMap[string, string]](resourceComparer{}),
	}
}

// Version counts the records that made this image; it only grows.
func (i *Image) Version() int64 { return i.version }

// Topic finds a topic by its name; nil: there is none.
func (i *Image) Topic(name string) *Topic {
	t, _ := i.topics.Get(name)
	return t
}

// TopicByID finds a topic by its id; nil: there is none.
func (i *Image) TopicByID(id UUID) *Topic {
	name, ok := i.names.Get(string(id[:]))
	if !ok {
		return nil
	}
	return i.Topic(name)
}

// Topics gives all topics by name.
func (i *Image) Topics() iter.Seq[*Topic] {
	return func(yield func(*Topic) bool) {
		for it := i.topics.Iterator(); !it.Done(); {
			if _, t, _ := it.Next(); !yield(t) {
				return
			}
		}
	}
}

// TopicCount is the number of topics.
func (i *Image) TopicCount() int { return i.topics.Len() }

// Broker finds a broker; nil: there is none.
func (i *Image) Broker(id int32) *Broker {
	b, _ := i.brokers.Get(id)
	return b
}

// Brokers gives all brokers by id.
func (i *Image) Brokers() iter.Seq[*Broker] {
	return func(yield func(*Broker) bool) {
		for it := i.brokers.Iterator(); !it.Done(); {
			if _, b, _ := it.Next(); !yield(b) {
				return
			}
		}
	}
}

// Config gives the dynamic configuration of a resource, by name; nil: none is set.
func (i *Image) Config(r Resource) map[string]string {
	set, ok := i.configs.Get(r)
	if !ok {
		return nil
	}
	out := make(map[string]string, set.Len())
	for it := set.Iterator(); !it.Done(); {
		k, v, _ := it.Next()
		out[k] = v
	}
	return out
}

// Resources gives the names of all resources of a kind that have a dynamic configuration.
func (i *Image) Resources(kind ResourceKind) []string {
	var out []string
	for it := i.configs.Iterator(); !it.Done(); {
		if r, _, _ := it.Next(); r.Kind == kind {
			out = append(out, r.Name)
		}
	}
	return out
}
