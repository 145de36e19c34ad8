package api

import (
	"context"
	"log/slog"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/weir/weir/broker/server"
	"github.com/weir/weir/cluster"
	"github.com/weir/weir/config"
	"github.com/weir/weir/coordinator"
	"github.com/weir/weir/partition"
)

// api is one row of the table of what this broker speaks.
type api struct {
	key      kmsg.Key
	min, max int16
	// advertised is the lowest version that ApiVersions names, when it is not min.
	advertised int16
	handle     func(*Broker, *server.Request)
}

// on makes a handler of a function that wants its own type of request.
func on[R kmsg.Request](f func(*Broker, *server.Request, R)) func(*Broker, *server.Request) {
	return func(b *Broker, r *server.Request) { f(b, r, r.Body.(R)) }
}

// apis is everything that this broker answers, and thereby what ApiVersions advertises. Versions are those of Kafka 4.4.
var apis []api

func init() {
	apis = []api{
		{kmsg.Produce, 3, 13, 0, on((*Broker).produce)}, // librdkafka looks for version 0 to pick its codecs (KAFKA-18659)
		{kmsg.Fetch, 4, 18, 4, on((*Broker).fetch)},
		{kmsg.ListOffsets, 1, 11, 1, on((*Broker).listOffsets)},
		{kmsg.Metadata, 0, 13, 0, on((*Broker).metadata)},
		{kmsg.OffsetCommit, 2, 10, 2, on((*Broker).offsetCommit)},
		{kmsg.OffsetFetch, 1, 10, 1, on((*Broker).offsetFetch)},
		{kmsg.FindCoordinator, 0, 6, 0, on((*Broker).findCoordinator)},
		{kmsg.JoinGroup, 0, 9, 0, on((*Broker).joinGroup)},
		{kmsg.Heartbeat, 0, 4, 0, on((*Broker).heartbeat)},
		{kmsg.LeaveGroup, 0, 5, 0, on((*Broker).leaveGroup)},
		{kmsg.SyncGroup, 0, 5, 0, on((*Broker).syncGroup)},
		{kmsg.DescribeGroups, 0, 6, 0, on((*Broker).describeGroups)},
		{kmsg.ListGroups, 0, 5, 0, on((*Broker).listGroups)},
		{kmsg.ApiVersions, 0, 5, 0, on((*Broker).apiVersions)},
		{kmsg.CreateTopics, 2, 7, 2, on((*Broker).createTopics)},
		{kmsg.DeleteTopics, 1, 6, 1, on((*Broker).deleteTopics)},
		{kmsg.DeleteRecords, 0, 2, 0, on((*Broker).deleteRecords)},
		{kmsg.InitProducerID, 0, 5, 0, on((*Broker).initProducerID)},
		{kmsg.OffsetForLeaderEpoch, 2, 4, 2, on((*Broker).offsetForLeaderEpoch)},
		{kmsg.DescribeACLs, 1, 3, 1, on((*Broker).describeACLs)},
		{kmsg.CreateACLs, 1, 3, 1, on((*Broker).createACLs)},
		{kmsg.DeleteACLs, 1, 3, 1, on((*Broker).deleteACLs)},
		{kmsg.DescribeConfigs, 1, 4, 1, on((*Broker).describeConfigs)},
		{kmsg.AlterConfigs, 0, 2, 0, on((*Broker).alterConfigs)},
		{kmsg.AlterReplicaLogDirs, 1, 2, 1, on((*Broker).alterReplicaLogDirs)},
		{kmsg.DescribeLogDirs, 1, 5, 1, on((*Broker).describeLogDirs)},
		{kmsg.CreatePartitions, 0, 3, 0, on((*Broker).createPartitions)},
		{kmsg.DeleteGroups, 0, 3, 0, on((*Broker).deleteGroups)},
		{kmsg.ElectLeaders, 0, 2, 0, on((*Broker).electLeaders)},
		{kmsg.IncrementalAlterConfigs, 0, 1, 0, on((*Broker).incrementalAlterConfigs)},
		{kmsg.AlterPartitionAssignments, 0, 1, 0, on((*Broker).alterPartitionAssignments)},
		{kmsg.ListPartitionReassignments, 0, 0, 0, on((*Broker).listPartitionReassignments)},
		{kmsg.OffsetDelete, 0, 0, 0, on((*Broker).offsetDelete)},
		{kmsg.DescribeClientQuotas, 0, 1, 0, on((*Broker).describeClientQuotas)},
		{kmsg.DescribeUserSCRAMCredentials, 0, 0, 0, on((*Broker).describeUserSCRAMCredentials)},
		{kmsg.DescribeQuorum, 0, 2, 0, on((*Broker).describeQuorum)},
		{kmsg.UpdateFeatures, 0, 2, 0, on((*Broker).updateFeatures)},
		{kmsg.DescribeCluster, 0, 2, 0, on((*Broker).describeCluster)},
		{kmsg.DescribeProducers, 0, 0, 0, on((*Broker).describeProducers)},
		{kmsg.UnregisterBroker, 0, 0, 0, on((*Broker).unregisterBroker)},
		{kmsg.ListTransactions, 0, 2, 0, on((*Broker).listTransactions)},
		{kmsg.ListConfigResources, 0, 1, 0, on((*Broker).listConfigResources)},
		{kmsg.DescribeTopicPartitions, 0, 0, 0, on((*Broker).describeTopicPartitions)},
		{kmsg.AddRaftVoter, 0, 1, 0, on((*Broker).addRaftVoter)},
		{kmsg.RemoveRaftVoter, 0, 0, 0, on((*Broker).removeRaftVoter)},
	}
}

// Controller is how handlers reach the metadata state machine.
type Controller interface {
	// Image is the newest picture. Partitions that are new in it may still be opening.
	Image() *cluster.Image
	// Submit hands a request to the controller.
	Submit(request any, done func(reply any, err error))
	// ProducerID gives an id that no other producer of the cluster has.
	ProducerID(done func(id int64, err error))
}

// Groups finds group coordinators.
type Groups interface {
	// For gives the coordinator of a group. Errors are Kafka's.
	For(group string) (*coordinator.Runtime, error)
	// Running tells whether the coordinators' topic is there and those of this node are started.
	Running() bool
	// All gives the coordinators that this node runs, by their partition's number.
	All() []*coordinator.Runtime
}

// Broker answers requests.
type Broker struct {
	ClusterID   string
	Self        int32
	Config      *config.Config
	Controller  Controller
	MetadataLog *partition.Partition
	Partitions  *partition.Set
	Leaders     *partition.Leaders
	Alive       func(broker int32) bool // whether a broker is there, as far as this one knows; if it is cut off, all are
	CutOff      func() bool             // whether this broker does not see most of the others
	Groups      Groups
	Elections   Elections // nil: leadership cannot be moved
	Quorum      Quorum    // nil: this node keeps the metadata alone
	Logger      *slog.Logger
	LogLevel    *slog.LevelVar // of Logger; nil: it cannot be changed
	Now         func() time.Time

	table    map[int16]*api
	sessions *sessions
}

// Start readies a broker whose fields are set.
func (b *Broker) Start() {
	b.table = map[int16]*api{}
	for i := range apis {
		b.table[int16(apis[i].key)] = &apis[i]
	}
	b.sessions = newSessions(int(b.Config.FetchSessionCacheSlots))
}

// Supports tells whether a version of an API is answered.
func (b *Broker) Supports(key, version int16) bool {
	a := b.table[key]
	return a != nil && a.min <= version && version <= a.max
}

// Handle implements server.Handler.
func (b *Broker) Handle(r *server.Request) { b.table[r.Key].handle(b, r) }

// Unsettled implements server.Handler: appends wait to become durable.
func (b *Broker) Unsettled() bool { return b.Partitions.Unsettled() }

// Settle implements server.Handler.
func (b *Broker) Settle(here bool) { b.Partitions.Settle(here) }

// code gives an error's number on the wire: 0 for nil, UNKNOWN_SERVER_ERROR for what is not Kafka's.
func code(err error) int16 {
	if err == nil {
		return 0
	}
	if ke := kafkaError(err); ke != nil {
		return ke.Code
	}
	return kerr.UnknownServerError.Code
}

// leaderWait bounds how long an answer about new partitions waits for their leaders.
const leaderWait = 5 * time.Second

// whenLed runs f when all partitions of topics have leaders, off the connection's goroutine. So many partitions they have at least: the
// newest image may not be here yet.
func (b *Broker) whenLed(topics map[string]int, f func()) {
	go func() {
		ctx, cancel := context.WithTimeout(context.Background(), leaderWait)
		defer cancel()
		for name, count := range topics {
			t := b.Controller.Image().Topic(name)
			if t != nil && b.Leaders.Await(ctx, t.ID, int32(max(count, len(t.Partitions)))) != nil {
				break // the topic is there; clients ask again for leaders that are late
			}
		}
		f()
	}()
}
