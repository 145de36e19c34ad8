package cluster

import (
	"slices"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// record says how the partition's replicas are.
func (p Partition) record(number int32) replicas {
	return replicas{
		Partition: number, Replicas: p.Replicas, Adding: p.Adding, Removing: p.Removing,
		Witnesses: p.Witnesses, Leaving: p.Leaving, Epoch: p.Epoch, Nodes: p.nodes, After: p.after,
	}
}

// towards gives the partition on its way to other replicas, and another witness. Whoever may hold it stays named until the target is reached.
func (p Partition) towards(target []int32, witness int32) Partition {
	all := append(slices.Clone(target), slices.Sorted(slices.Values(without(p.Replicas, target)))...)
	out := p.witnessed(witness)
	out.Replicas, out.nodes = all, nil
	out.Adding = slices.Sorted(slices.Values(without(all, p.origin())))
	out.Removing = slices.Sorted(slices.Values(without(all, target)))
	return out
}

// moves gathers the changes of replicas of one answer, a record for each topic.
type moves struct {
	order   []string
	byTopic map[string]map[int32]Partition
}

func (m *moves) set(topic string, number int32, p Partition) {
	if m.byTopic == nil {
		m.byTopic = map[string]map[int32]Partition{}
	}
	if m.byTopic[topic] == nil {
		m.byTopic[topic] = map[int32]Partition{}
		m.order = append(m.order, topic)
	}
	m.byTopic[topic][number] = p
}

func (m *moves) put(d *draft) {
	for _, topic := range m.order {
		r := replicasRecord{Topic: topic}
		for number, p := range m.byTopic[topic] {
			r.Partitions = append(r.Partitions, p.record(number))
		}
		slices.SortFunc(r.Partitions, func(a, b replicas) int { return int(a.Partition) - int(b.Partition) })
		d.put(kindReplicas, r)
	}
}

// alterPartitionAssignments begins, changes or calls off reassignments; each partition is answered by itself.
func (c *Controller) alterPartitionAssignments(d *draft, req *kmsg.AlterPartitionAssignmentsRequest) *kmsg.AlterPartitionAssignmentsResponse {
	resp := req.ResponseKind().(*kmsg.AlterPartitionAssignmentsResponse)
	resp.AllowReplicationFactorChange = req.AllowReplicationFactorChange
	var m moves
	for _, t := range req.Topics {
		out := kmsg.NewAlterPartitionAssignmentsResponseTopic()
		out.Topic = t.Topic
		for _, want := range t.Partitions {
			part := kmsg.NewAlterPartitionAssignmentsResponseTopicPartition()
			part.Partition = want.Partition
			now, next, p := c.reassign(t.Topic, want, req.Version < 1 || req.AllowReplicationFactorChange)
			switch {
			case p != nil:
				if part.ErrorCode = p.code.Code; p.message != "" {
					part.ErrorMessage = &p.message
				}
			case !slices.Equal(now.Replicas, next.Replicas) || !slices.Equal(now.Removing, next.Removing) || now.Witness() != next.Witness():
				m.set(t.Topic, want.Partition, next)
			}
			out.Partitions = append(out.Partitions, part)
		}
		resp.Topics = append(resp.Topics, out)
	}
	m.put(d)
	return resp
}

// reassign decides over one partition: how its replicas are, and how they shall be.
func (c *Controller) reassign(topic string, want kmsg.AlterPartitionAssignmentsRequestTopicPartition, anyFactor bool) (now, next Partition, _ *problem) {
	t := c.image.Topic(topic)
	switch {
	case t == nil:
		return now, next, fail(kerr.UnknownTopicOrPartition, "Unable to find a topic named %s.", topic)
	case want.Partition < 0 || int(want.Partition) >= len(t.Partitions):
		return now, next, fail(kerr.UnknownTopicOrPartition, "Unable to find partition %s:%d.", topic, want.Partition)
	}
	now = t.Partitions[want.Partition]
	target := want.Replicas
	if target == nil {
		target = now.origin()
		switch {
		case sameSet(target, now.Target()): // nothing moves, or what is called off already
			return now, next, &problem{code: kerr.NoReassignmentInProgress}
		case !slices.ContainsFunc(target, c.alive):
			return now, next, fail(kerr.InvalidReplicaAssignment, "Unable to revert partition assignment for %s:%d because it would require an unclean leader election.", topic, want.Partition)
		}
		return now, now.towards(target, c.witnessFor(t, now, target)), nil
	}
	if p := c.checkReplicas(target, len(target), now.Replicas); p != nil {
		return now, next, p
	}
	if factor := len(now.Target()); !anyFactor && len(target) != factor {
		return now, next, fail(kerr.InvalidReplicationFactor, "The replication factor is changed from %d to %d", factor, len(target))
	}
	return now, now.towards(target, c.witnessFor(t, now, target)), nil
}

// replicasReached ends a reassignment whose target is reached. News of an earlier target is passed over.
func (c *Controller) replicasReached(d *draft, r ReplicasReached) {
	t := c.image.TopicByID(r.Topic)
	if t == nil || r.Partition < 0 || int(r.Partition) >= len(t.Partitions) {
		return
	}
	p := t.Partitions[r.Partition]
	if !p.Changing() || p.Epoch != r.Epoch || !sameSet(p.Target(), r.Replicas) {
		return
	}
	var m moves
	m.set(t.Name, r.Partition, Partition{Replicas: p.Target(), Witnesses: without(p.Witnesses, p.Leaving), Epoch: p.Epoch + 1})
	m.put(d)
}

// beginAnew lets the only replica of a partition begin with nothing. It tells why not; "": it does, or did already.
func (c *Controller) beginAnew(d *draft, r BeginAnew) (refused string) {
	t := c.image.TopicByID(r.Topic)
	if t == nil || r.Partition < 0 || int(r.Partition) >= len(t.Partitions) {
		return "there is no such partition"
	}
	p := t.Partitions[r.Partition]
	node := c.image.Nodes(p.Replicas)
	switch {
	case len(node) != 1 || p.Changing() || node[0] != r.Node:
		return "it is not the partition's only replica"
	case slices.Equal(p.First(), node):
		return ""
	case p.Epoch != r.Epoch:
		return "the partition's replicas have changed"
	}
	var m moves
	m.set(t.Name, r.Partition, Partition{Replicas: p.Replicas, Epoch: p.Epoch + 1, nodes: node, after: r.After})
	m.put(d)
	return ""
}

// Reassignments answers ListPartitionReassignments from the image.
func (i *Image) Reassignments(req *kmsg.ListPartitionReassignmentsRequest) *kmsg.ListPartitionReassignmentsResponse {
	resp := req.ResponseKind().(*kmsg.ListPartitionReassignmentsResponse)
	list := func(t *Topic, numbers []int32) {
		out := kmsg.NewListPartitionReassignmentsResponseTopic()
		out.Topic = t.Name
		for _, number := range numbers {
			if number < 0 || int(number) >= len(t.Partitions) || !t.Partitions[number].Moving() {
				continue
			}
			p := t.Partitions[number]
			part := kmsg.NewListPartitionReassignmentsResponseTopicPartition()
			part.Partition, part.Replicas, part.AddingReplicas, part.RemovingReplicas = number, p.Replicas, p.Adding, p.Removing
			out.Partitions = append(out.Partitions, part)
		}
		if out.Partitions != nil {
			resp.Topics = append(resp.Topics, out)
		}
	}
	if req.Topics == nil {
		for t := range i.Topics() {
			list(t, numbersOf(t))
		}
	}
	for _, want := range req.Topics {
		if t := i.Topic(want.Topic); t != nil {
			list(t, want.Partitions)
		}
	}
	return resp
}

// numbersOf gives the numbers of all partitions.
func numbersOf(t *Topic) []int32 {
	out := make([]int32, len(t.Partitions))
	for number := range out {
		out[number] = int32(number)
	}
	return out
}
