package cli

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// clusterView is what a cluster says of its brokers and partitions at one time.
type clusterView struct {
	id         string
	controller int32 // where requests for the controller go; -1: nowhere
	brokers    []brokerView
	topics     int
	partitions []partitionView // in order
	moving     []reassignment  // in order
}

// brokerView is a broker, also one that is down: the cluster knows it still, or a partition has a replica there.
type brokerView struct {
	id   int32
	host string // "": not known
	port int32
	rack string
	up   bool
}

// partitionView is where a partition is.
type partitionView struct {
	topicPartition
	leader        int32 // -1: none
	replicas, isr []int32
	offline       []int32 // replicas that cannot serve, since their broker is down or its disk has failed
}

// reassignment is a partition that gets other replicas. Its JSON names are documented in the help.
type reassignment struct {
	Topic     string  `json:"topic"`
	Partition int32   `json:"partition"`
	Replicas  []int32 `json:"replicas"`
	Adding    []int32 `json:"adding"`
	Removing  []int32 `json:"removing"`
	Copied    *int64  `json:"bytes_copied"`
	Bytes     *int64  `json:"bytes"`
}

func (r reassignment) at() topicPartition { return topicPartition{r.Topic, r.Partition} }

// target gives the replicas that the partition will have.
func (r reassignment) target() []int32 { return without(r.Replicas, r.Removing) }

// view asks the cluster for its state as it is now, past all caches.
func (c *client) view(ctx context.Context) (*clusterView, error) {
	moving, err := c.reassignments(ctx)
	if err != nil {
		return nil, err
	}
	v := &clusterView{moving: moving}
	if err := v.askMetadata(ctx, c); err != nil {
		return nil, err
	}
	v.askBrokers(ctx, c)
	for _, p := range v.partitions {
		for _, id := range p.replicas {
			if v.broker(id) == nil {
				v.brokers = append(v.brokers, brokerView{id: id})
			}
		}
	}
	slices.SortFunc(v.brokers, func(a, b brokerView) int { return cmp.Compare(a.id, b.id) })
	return v, ctx.Err()
}

func (v *clusterView) askMetadata(ctx context.Context, c *client) error {
	request := kmsg.NewPtrMetadataRequest() // of all topics
	response, err := request.RequestWith(ctx, c)
	if err != nil {
		return err
	}
	v.controller, v.topics = response.ControllerID, len(response.Topics)
	if response.ClusterID != nil {
		v.id = *response.ClusterID
	}
	for _, b := range response.Brokers {
		v.brokers = append(v.brokers, brokerView{b.NodeID, b.Host, b.Port, orBlank(b.Rack), true})
	}
	for _, t := range response.Topics {
		if t.Topic == nil || t.ErrorCode != 0 {
			return fmt.Errorf("topic %q: %w", orBlank(t.Topic), cmp.Or(kerr.ErrorForCode(t.ErrorCode), errNoAnswer))
		}
		for _, p := range t.Partitions {
			v.partitions = append(v.partitions, partitionView{topicPartition{*t.Topic, p.Partition}, p.Leader, p.Replicas, p.ISR, p.OfflineReplicas})
		}
	}
	slices.SortFunc(v.partitions, func(a, b partitionView) int { return a.compare(b.topicPartition) })
	return nil
}

// askBrokers adds the brokers that are down, if the cluster tells.
func (v *clusterView) askBrokers(ctx context.Context, c *client) {
	request := kmsg.NewPtrDescribeClusterRequest()
	request.IncludeFencedBrokers = true
	response, err := request.RequestWith(ctx, c)
	if err != nil || response.ErrorCode != 0 {
		return
	}
	for _, b := range response.Brokers {
		if v.broker(b.NodeID) == nil {
			v.brokers = append(v.brokers, brokerView{b.NodeID, b.Host, b.Port, orBlank(b.Rack), false})
		}
	}
}

// broker gives a broker by its id; nil: there is none.
func (v *clusterView) broker(id int32) *brokerView {
	i := slices.IndexFunc(v.brokers, func(b brokerView) bool { return b.id == id })
	if i < 0 {
		return nil
	}
	return &v.brokers[i]
}

// live gives the ids of the brokers that are up, down those of the others.
func (v *clusterView) live() []int32 { return v.ids(true) }
func (v *clusterView) down() []int32 { return v.ids(false) }

func (v *clusterView) ids(up bool) (ids []int32) {
	for _, b := range v.brokers {
		if b.up == up {
			ids = append(ids, b.id)
		}
	}
	return ids
}

// partition gives a partition; nil: there is none.
func (v *clusterView) partition(at topicPartition) *partitionView {
	i, found := slices.BinarySearchFunc(v.partitions, at, func(p partitionView, at topicPartition) int { return p.compare(at) })
	if !found {
		return nil
	}
	return &v.partitions[i]
}

// reassignment gives a partition's reassignment; nil: there is none.
func (v *clusterView) reassignment(at topicPartition) *reassignment {
	i, found := slices.BinarySearchFunc(v.moving, at, func(r reassignment, at topicPartition) int { return r.at().compare(at) })
	if !found {
		return nil
	}
	return &v.moving[i]
}

// assigned gives the replicas of a partition without those that a reassignment adds, which are not there yet.
func (v *clusterView) assigned(p partitionView) []int32 {
	if r := v.reassignment(p.topicPartition); r != nil {
		return without(p.replicas, r.Adding)
	}
	return p.replicas
}

// planned gives the replicas that a partition has, or will have when what is under way is done.
func (v *clusterView) planned(p partitionView) []int32 {
	if r := v.reassignment(p.topicPartition); r != nil {
		return r.target()
	}
	return p.replicas
}

// replicaMap gives what planners read: where replicas are, or will be when what is under way is done.
func (v *clusterView) replicaMap(sizes map[topicPartition]int64) replicaMap {
	var m replicaMap
	for _, b := range v.brokers {
		if b.up {
			m.brokers = append(m.brokers, mappedBroker{b.id, b.rack})
		}
	}
	for _, p := range v.partitions {
		if replicas := v.planned(p); len(replicas) > 0 {
			m.partitions = append(m.partitions, mappedPartition{p.topicPartition, replicas, sizes[p.topicPartition], v.reassignment(p.topicPartition) != nil})
		}
	}
	return m
}

// reassignments lists the partitions whose replicas are being changed, in order.
func (c *client) reassignments(ctx context.Context) ([]reassignment, error) {
	request := kmsg.NewPtrListPartitionReassignmentsRequest() // of all topics
	response, err := request.RequestWith(ctx, c)
	if err != nil {
		return nil, err
	}
	if err := answerError(response.ErrorCode, response.ErrorMessage); err != nil {
		return nil, fmt.Errorf("what is moving: %w", err)
	}
	var all []reassignment
	for _, t := range response.Topics {
		for _, p := range t.Partitions {
			all = append(all, reassignment{Topic: t.Topic, Partition: p.Partition, Replicas: p.Replicas, Adding: orEmpty(p.AddingReplicas), Removing: orEmpty(p.RemovingReplicas)})
		}
	}
	slices.SortFunc(all, func(a, b reassignment) int { return a.at().compare(b.at()) })
	return all, nil
}

// measure fills in how much of reassignments is copied, as far as the brokers tell.
func (c *client) measure(ctx context.Context, all []reassignment) {
	asked := kadm.TopicsSet{}
	for _, r := range all {
		asked.Add(r.Topic, r.Partition)
	}
	if len(all) == 0 {
		return
	}
	dirs, _ := c.admin.DescribeAllLogDirs(ctx, asked)
	for i := range all {
		r := &all[i]
		sizes := map[int32]int64{}
		for _, l := range logsOf(dirs, r.at()) {
			sizes[l.Broker] = l.Bytes
		}
		var whole, copied int64
		known := false
		for id, size := range sizes {
			if !slices.Contains(r.Adding, id) {
				whole, known = max(whole, size), true
			}
		}
		if !known {
			continue
		}
		for _, id := range r.Adding {
			copied += min(sizes[id], whole)
		}
		whole *= int64(len(r.Adding))
		r.Copied, r.Bytes = &copied, &whole
	}
}

// sizes gives how large a replica of each partition is, as far as the brokers tell.
func (c *client) sizes(ctx context.Context) map[topicPartition]int64 {
	sizes := map[topicPartition]int64{}
	dirs, _ := c.admin.DescribeAllLogDirs(ctx, nil)
	dirs.Each(func(dir kadm.DescribedLogDir) {
		dir.Topics.Each(func(p kadm.DescribedLogDirPartition) {
			at := topicPartition{p.Topic, p.Partition}
			sizes[at] = max(sizes[at], p.Size)
		})
	})
	return sizes
}

func (at topicPartition) compare(other topicPartition) int {
	return cmp.Or(strings.Compare(at.topic, other.topic), cmp.Compare(at.partition, other.partition))
}

func (at topicPartition) String() string { return fmt.Sprintf("%s:%d", at.topic, at.partition) }

// answerError gives the error of an answer, in the cluster's own words if it has any.
func answerError(code int16, message *string) error {
	err := kerr.ErrorForCode(code)
	if err == nil {
		return nil
	}
	return brokerError(err, orBlank(message))
}

// orBlank gives a text that may be absent.
func orBlank(s *string) string {
	if s == nil {
		return ""
	}
	return *s
}
