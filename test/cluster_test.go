package test

import (
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/twmb/franz-go/pkg/kmsg"
)

// nodes is how many nodes a test gets where it starts one: TEST_NODES, which is 1 or 3. Of three, the test talks to the first, and
// so the first leads: topics are made with it as their first replica, and the coordinators of groups are moved to it. Each
// partition has three replicas, of which two must have what is acknowledged.
var nodes = func() int {
	switch text := os.Getenv("TEST_NODES"); text {
	case "", "1":
		return 1
	case "3":
		return 3
	default:
		panic("TEST_NODES is 1 or 3, not " + text)
	}
}()

// alone leaves a test out where there are several nodes, and says why.
func alone(t *testing.T, because string) {
	t.Helper()
	if nodes > 1 {
		t.Skip("with one node only: " + because)
	}
}

// others makes the further nodes of a node's cluster. They are not started.
func (n *node) others() (out []*node) {
	voters := fmt.Sprintf("controller.quorum.voters=1@127.0.0.1:%d", freePort(n.t))
	for id := 2; id <= nodes; id++ {
		voters += fmt.Sprintf(",%d@127.0.0.1:%d", id, freePort(n.t))
		out = append(out, &node{t: n.t, dir: filepath.Join(n.dir, "other", strconv.Itoa(id)), address: fmt.Sprintf("127.0.0.1:%d", freePort(n.t))})
	}
	own := n.options
	for i, m := range append([]*node{n}, out...) {
		_, peer, _ := strings.Cut(strings.Split(strings.TrimPrefix(voters, "controller.quorum.voters="), ",")[i], "@")
		m.options = append([]string{
			fmt.Sprintf("node.id=%d", i+1), voters, "listeners=PLAINTEXT://" + m.address + ",CONTROLLER://" + peer,
			"default.replication.factor=3", "min.insync.replicas=2", "offsets.topic.replication.factor=3",
		}, own...)
	}
	return out
}

// replicas gives the brokers that a partition is on, its leader first.
func replicas() []int32 {
	if nodes == 1 {
		return []int32{1}
	}
	return []int32{1, 2, 3}
}

// placed gives where the partitions of a topic are.
func placed(partitions int32) (out []kmsg.CreateTopicsRequestTopicReplicaAssignment) {
	for p := range partitions {
		a := kmsg.NewCreateTopicsRequestTopicReplicaAssignment()
		a.Partition, a.Replicas = p, replicas()
		out = append(out, a)
	}
	return out
}

// leadGroups makes the first node the coordinator of all groups. There must be coordinators.
func (n *node) leadGroups() {
	n.t.Helper()
	const offsets = "__consumer_offsets"
	move := kmsg.NewPtrAlterPartitionAssignmentsRequest()
	move.TimeoutMillis = 10_000
	moved := kmsg.NewAlterPartitionAssignmentsRequestTopic()
	moved.Topic = offsets
	for _, p := range askMetadata(n, 9, false, byName(offsets)).Topics[0].Partitions {
		to := kmsg.NewAlterPartitionAssignmentsRequestTopicPartition()
		to.Partition, to.Replicas = p.Partition, replicas()
		moved.Partitions = append(moved.Partitions, to)
	}
	move.Topics = append(move.Topics, moved)
	if resp := mustAsk[*kmsg.AlterPartitionAssignmentsResponse](n, move, 0); resp.ErrorCode != 0 {
		n.t.Fatalf("placing the coordinators: %s", describe(resp.ErrorCode, resp.ErrorMessage))
	}
	n.lead()
}

// lead gives the leaderships to the first replicas, as an administrator does who does not wait until the cluster does that itself,
// and waits until all nodes know.
func (n *node) lead() {
	n.t.Helper()
	known := func(m *node) bool {
		got := askMetadata(m, 9, false)
		for _, t := range got.Topics {
			for _, p := range t.Partitions {
				if len(p.Replicas) == 0 || p.Leader != p.Replicas[0] {
					return false
				}
			}
		}
		return len(got.Brokers) == nodes
	}
	until(n.t, "all first replicas lead", func() bool {
		for _, m := range n.cluster() {
			if !known(m) {
				n.elect(2, 0, 10_000)
				return false
			}
		}
		return true
	})
}

// leader gives the node that leads a partition.
func (to topic) leader(partition int32) *node {
	to.n.t.Helper()
	for _, p := range askMetadata(to.n, 9, false, byName(to.name)).Topics[0].Partitions {
		if p.Partition == partition && p.Leader > 0 {
			return to.n.cluster()[p.Leader-1]
		}
	}
	to.n.t.Fatalf("%s-%d has no leader", to.name, partition)
	return nil
}
