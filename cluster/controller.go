package cluster

import (
	"encoding/json"
	"fmt"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/weir/weir/coordinator/machine"
)

// producerIDBlock is how many producer ids a broker gets at once.
const producerIDBlock = 1000

// Config is what a Controller needs from outside, so that it stays pure.
type Config struct {
	// NewID gives a fresh random id for a topic.
	NewID func() UUID
	// Pick gives a random number in [0, n), to spread first replicas.
	Pick func(n int) int
	// Self is the broker whose controller this is.
	Self int32
	// Alive tells whether a registered broker, of the incarnation in the image, can be reached. Nil: all can.
	Alive func(id int32) bool
	// Full tells whether a broker has no room for more replicas. Nil: none is full.
	Full func(id int32) bool
	// Features is what this version supports. Nil: what Features gives.
	Features []Feature
	// Defaults of the cluster for requests that leave these open.
	Partitions        int32
	ReplicationFactor int16
	DeleteTopics      bool // delete.topic.enable
	// ValidateTopicConfig and ValidateBrokerConfig check one option's new value; the error's text goes to the client.
	ValidateTopicConfig func(name, value string) error
	// ValidateTopicSet checks whether all options that are set for a topic go together.
	ValidateTopicSet     func(map[string]string) error
	ValidateBrokerConfig func(name, value string, perBroker bool) error
	ValidateGroupConfig  func(name, value string) error
	// ApplyConfig does an incremental operation on a value: nil is unset, current is what is in effect.
	ApplyConfig func(kind ResourceKind, name string, op kmsg.IncrementalAlterConfigOp, current *string, value *string) (*string, error)
}

// Requests of nodes, beside those of clients.
type (
	// RegisterBroker makes a broker known or changes what is known of it. Its Incarnation is not looked at. One without an id (-1) gets
	// that of the broker with its directory, or one that was never used. Its reply is BrokerRegistered.
	RegisterBroker struct{ Broker Broker }
	// BrokerRegistered tells a broker which incarnation it is, or why it is not registered.
	BrokerRegistered struct {
		ID          int32
		Incarnation int32
		Refused     string // "": it is registered
	}
	// ReplicasReached says that a partition is on these replicas and no others, in any order. Epoch is that of the
	// partition in the image that was worked towards. Its reply is nil; it may be sent again.
	ReplicasReached struct {
		Topic     UUID
		Partition int32
		Epoch     int32
		Replicas  []int32
	}
	// BeginAnew lets the only replica of a partition, which has nothing of it, begin with an empty log, after a term: the disk that it was
	// on is lost, and somebody decided to go on without. Node is that replica, as Raft numbers it, and Epoch that of the partition in the
	// image that it knows. Its reply is BegunAnew.
	BeginAnew struct {
		Topic     UUID
		Partition int32
		Epoch     int32
		Node      uint64
		After     uint64
	}
	// BegunAnew answers BeginAnew.
	BegunAnew struct {
		Refused string // why nothing changed; "": it begins
	}
	// SetVoters makes Voters the voters of the metadata, when they are Were until then (nil: never said). A voter without
	// a directory is the broker with its id. Its reply is VotersSet.
	SetVoters struct{ Were, Voters []Voter }
	// VotersSet answers SetVoters.
	VotersSet struct {
		Refused string // why nothing changed; "": they are the voters
	}
	// AllocateProducerIDs asks for a block of producer ids. Its reply is ProducerIDs.
	AllocateProducerIDs struct{}
	// ProducerIDs are the ids [First, First+Count), given to one broker only.
	ProducerIDs struct {
		First int64
		Count int64
	}
	// Request is a client's request. A platform's own request may also create the platform's topics.
	Request struct {
		Body kmsg.Request
		Own  bool
	}
)

// Controller is the metadata state machine.
type Controller struct {
	cfg     Config
	image   *Image
	changes Changes
}

// Changes says what is different in an image from the one before.
type Changes struct {
	Topics  []string // created, grown, reconfigured or deleted
	Brokers bool     // the configuration of brokers, which is the default of topics
	Members bool     // who the brokers and voters are, and the levels of features
}

var _ machine.Machine = (*Controller)(nil)

// NewController makes a controller of an empty cluster.
func NewController(cfg Config) *Controller { return &Controller{cfg: cfg, image: emptyImage()} }

// Image is the picture after everything replayed so far.
func (c *Controller) Image() *Image { return c.image }

// Replay implements machine.Machine.
func (c *Controller) Replay(r machine.Record) error {
	next, err := c.image.apply(string(r.Key), r.Value)
	if err != nil {
		return err
	}
	if next.members {
		if err := c.checkLevels(next); err != nil {
			return err
		}
	}
	c.image = next
	c.changes.Members = c.changes.Members || next.members
	switch {
	case next.touched.Kind == TopicResource:
		c.changes.Topics = append(c.changes.Topics, next.touched.Name)
	case next.touched.Kind == BrokerResource:
		c.changes.Brokers = true
	}
	return nil
}

// TakeChanges gives what changed since it was called before.
func (c *Controller) TakeChanges() Changes {
	out := c.changes
	c.changes = Changes{}
	return out
}

// Tick implements machine.Machine: the controller waits for nothing.
func (c *Controller) Tick(time.Time) machine.Effects { return machine.Effects{} }

// Deadline implements machine.Machine.
func (c *Controller) Deadline() time.Time { return time.Time{} }

// Handle implements machine.Machine.
func (c *Controller) Handle(_ time.Time, id uint64, request any) machine.Effects {
	d := &draft{}
	var reply any
	switch r := request.(type) {
	case RegisterBroker:
		reply = c.registerBroker(d, r.Broker)
	case ReplicasReached:
		c.replicasReached(d, r)
	case BeginAnew:
		reply = BegunAnew{c.beginAnew(d, r)}
	case SetVoters:
		reply = c.setVoters(d, r)
	case AllocateProducerIDs:
		first := c.image.nextProducerID
		d.put(kindProducerIDs, producerIDsRecord{Next: first + producerIDBlock})
		reply = ProducerIDs{First: first, Count: producerIDBlock}
	case Request:
		reply = c.handleClient(d, r)
	default:
		panic(fmt.Sprintf("BUG: the controller got a %T", request))
	}
	return machine.Effects{Records: d.records, Replies: []machine.Reply{{ID: id, Value: reply}}}
}

func (c *Controller) handleClient(d *draft, r Request) kmsg.Response {
	switch body := r.Body.(type) {
	case *kmsg.CreateTopicsRequest:
		return c.createTopics(d, body, r.Own)
	case *kmsg.DeleteTopicsRequest:
		return c.deleteTopics(d, body)
	case *kmsg.CreatePartitionsRequest:
		return c.createPartitions(d, body)
	case *kmsg.AlterPartitionAssignmentsRequest:
		return c.alterPartitionAssignments(d, body)
	case *kmsg.UnregisterBrokerRequest:
		return c.unregisterBroker(d, body)
	case *kmsg.AddRaftVoterRequest:
		return c.addRaftVoter(d, body)
	case *kmsg.RemoveRaftVoterRequest:
		return c.removeRaftVoter(d, body)
	case *kmsg.UpdateFeaturesRequest:
		return c.updateFeatures(d, body)
	case *kmsg.AlterConfigsRequest:
		return c.alterConfigs(d, body)
	case *kmsg.IncrementalAlterConfigsRequest:
		return c.incrementalAlterConfigs(d, body)
	}
	panic(fmt.Sprintf("BUG: the controller got a %T", r.Body))
}

// draft gathers the records of one answer. What they say is not yet in the image.
type draft struct{ records []machine.Record }

func (d *draft) put(kind string, value any) {
	b, err := json.Marshal(value)
	if err != nil {
		panic(fmt.Sprintf("BUG: metadata record %q cannot be written: %v", kind, err))
	}
	d.records = append(d.records, machine.Record{Key: []byte(kind), Value: b})
}

// problem is an error of Kafka's with a message of its own for the client.
type problem struct {
	code    *kerr.Error
	message string
}

func (p *problem) Error() string { return p.code.Message + ": " + p.message }

func fail(code *kerr.Error, format string, args ...any) *problem {
	return &problem{code: code, message: fmt.Sprintf(format, args...)}
}
