package main

import (
	"fmt"
	"os/exec"
	"slices"
	"strings"
	"time"

	"github.com/twmb/franz-go/pkg/kmsg"
)

// clusterScenarios are played with clusters of three nodes, in this order: in the last one a node is stopped.
var clusterScenarios = []scenario{
	{"brokers", playBrokers},
	{"assignments", playAssignments},
	{"more partitions", playMorePartitions},
	{"spread", playSpread},
	{"wrong leader", playWrongLeader},
	{"epochs", playEpochs},
	{"in sync", playInSync},
	{"reassignments", playReassignments},
	{"elections", playElections},
	{"throttles", playThrottles},
	{"log dirs of a cluster", playLogDirsOfCluster},
	{"quorum", playQuorum},
	{"features", playFeatures},
	{"registrations", playRegistrations},
	{"deletions", playDeletions},
	{"a node is away", playAway},
}

// replicas lists the partitions of topics that are no internal ones, with who has and leads them, when all are led and each replica is
// in sync whose node is there, and all nodes say so.
func (w *world) replicas(side int) string {
	first := w.replicasAt(side, 0)
	for node := 1; node < len(w.addresses[side]); node++ {
		if w.replicasAt(side, node) != first {
			return "not led: the nodes do not agree yet"
		}
	}
	return first
}

func (w *world) replicasAt(side, node int) string {
	resp, err := w.aloneAt(side, node, allTopics(), 12)
	if err != nil {
		w.gone(err)
	}
	var out []string
	for _, t := range resp.(*kmsg.MetadataResponse).Topics {
		if t.IsInternal {
			continue
		}
		for _, p := range t.Partitions {
			if p.Leader >= 0 && p.LeaderEpoch < 0 || p.Leader < 0 && len(p.OfflineReplicas) < len(p.Replicas) || len(p.ISR)+len(p.OfflineReplicas) < len(p.Replicas) {
				return fmt.Sprintf("not led: %s-%d", *t.Topic, p.Partition)
			}
			slices.Sort(p.ISR)
			if placed := !strings.HasPrefix(*t.Topic, "auto-"); placed {
				out = append(out, fmt.Sprintf("%s-%d %d %v %v %v", *t.Topic, p.Partition, p.Leader, p.Replicas, p.ISR, p.OfflineReplicas))
			} else {
				out = append(out, fmt.Sprintf("%s-%d %d", *t.Topic, p.Partition, len(p.Replicas)))
			}
		}
	}
	return strings.Join(sorted(out), " ")
}

// placeOffsets brings the offsets' topic, which the clusters made and placed, to the same nodes in both.
func (w *world) placeOffsets() {
	const name = "__consumer_offsets"
	targets := [][]int32{{1, 2, 3}, {2, 3, 1}}
	for side := range w.addresses {
		for number, target := range targets {
			if _, err := w.alone(side, reassign(name, int32(number), target...), 0); err != nil {
				w.gone(err)
			}
		}
		for deadline := time.Now().Add(patience); ; <-time.After(50 * time.Millisecond) {
			_, err := w.alone(side, electLeaders(0, name, 0, 1), 1)
			resp, err2 := w.alone(side, metadata(name), 12)
			if err != nil || err2 != nil || time.Now().After(deadline) {
				w.gone(fmt.Errorf("the topic %s cannot be placed: %v, %v", name, err, err2))
			}
			there := 0
			for _, p := range resp.(*kmsg.MetadataResponse).Topics[0].Partitions {
				if target := targets[p.Partition]; slices.Equal(p.Replicas, target) && p.Leader == target[0] && len(p.ISR) == len(target) {
					there++
				}
			}
			if there == len(targets) {
				break
			}
		}
	}
}

// assigned asks for a topic on certain brokers.
func assigned(name string, replicas ...[]int32) *kmsg.CreateTopicsRequest {
	req := createTopic(name, -1, -1)
	for number, r := range replicas {
		req.Topics[0].ReplicaAssignment = append(req.Topics[0].ReplicaAssignment, kmsg.CreateTopicsRequestTopicReplicaAssignment{Partition: int32(number), Replicas: r})
	}
	return req
}

// place makes a topic on certain brokers in both, with configurations as key=value, and waits until all replicas are in sync.
func (w *world) place(name string, configs []string, replicas ...[]int32) [16]byte {
	req := assigned(name, replicas...)
	req.Topics[0].Configs = createTopic(name, 1, 1, configs...).Topics[0].Configs
	resp, _ := w.ask(req, 7).(*kmsg.CreateTopicsResponse)
	w.settle()
	if resp == nil || len(resp.Topics) == 0 {
		return [16]byte{}
	}
	return resp.Topics[0].TopicID
}

// each asks for something of each node.
func (w *world) each(req kmsg.Request, version int16) {
	for node := range w.addresses[kafka] {
		w.send(fmt.Sprintf("node %d", node+1), req, version).compare()
	}
}

func playBrokers(w *world) {
	for _, v := range w.versions(kmsg.DescribeCluster) {
		for _, endpoint := range []int8{0, 1, 2, 3, -1} {
			for _, flag := range []bool{false, true} {
				req := kmsg.NewPtrDescribeClusterRequest()
				req.EndpointType, req.IncludeClusterAuthorizedOperations, req.IncludeFencedBrokers = endpoint, flag, flag
				w.each(req, v)
			}
		}
	}
	for _, v := range w.versions(kmsg.Metadata) {
		w.each(metadata(), v)
	}
}

func playAssignments(w *world) {
	for _, v := range w.versions(kmsg.CreateTopics) {
		ask := func(req *kmsg.CreateTopicsRequest) {
			for _, only := range []bool{true, false} {
				req.ValidateOnly = only
				w.ask(req, v)
			}
			w.settle()
		}
		for i, replicas := range [][][]int32{
			{{1, 2, 3}, {2, 3, 1}, {3, 1, 2}}, {{3}}, {{2, 1}}, {{1, 9}}, {{9}}, {{1, 1}}, {{1, 2, 1}}, {{1, 2, 3, 4}}, {{1, 2}, {3}}, {{1}, {}}, {{-1, 2}}, {{}}, {{1, 2}, {2, 2}},
		} {
			ask(assigned(fmt.Sprintf("assigned-%d-%d", v, i), replicas...))
		}
		for i, factor := range []int16{4, 0, -2, 32767, 100} {
			ask(createTopic(fmt.Sprintf("auto-factor-%d-%d", v, i), 1, factor))
		}
		for i, both := range [][2]int{{1, -1}, {-1, 3}, {3, 3}} {
			req := assigned(fmt.Sprintf("both-%d-%d", v, i), []int32{1, 2, 3})
			req.Topics[0].NumPartitions, req.Topics[0].ReplicationFactor = int32(both[0]), int16(both[1])
			ask(req)
		}
		for i, configs := range [][]string{{"min.insync.replicas=2"}, {"min.insync.replicas=4"}, {"min.insync.replicas=0"}, {"follower.replication.throttled.replicas=0:1,0:2"}, {"leader.replication.throttled.replicas=1"}} {
			ask(createTopic(fmt.Sprintf("auto-config-%d-%d", v, i), 1, 3, configs...))
		}
	}
}

func playMorePartitions(w *world) {
	w.place("grows", nil, []int32{1, 2, 3})
	count := int32(1)
	for _, v := range w.versions(kmsg.CreatePartitions) {
		for _, only := range []bool{true, false} {
			for _, assignment := range [][][]int32{
				{{1, 9, 2}}, {{1, 1, 2}}, {{1, 2}}, {{1, 2, 3}, {3, 2, 1}}, {{}}, {{1, 2, 3, 4}}, {{-1, 1, 2}}, {{9, 8, 7}},
			} {
				req := createPartitions("grows", count+1, assignment...)
				req.ValidateOnly = only
				w.ask(req, v)
			}
		}
		count += 2
		w.ask(createPartitions("grows", count, []int32{3, 1, 2}, []int32{2, 3, 1}), v)
		w.settle()
	}
	w.each(metadata("grows"), w.newest(kmsg.Metadata))
}

func playSpread(w *world) {
	id := w.place("spread", nil, []int32{1, 2, 3}, []int32{2, 3, 1}, []int32{3, 1, 2}, []int32{3}, []int32{2, 1})
	for _, v := range w.versions(kmsg.Metadata) {
		w.each(metadata("spread"), v)
		if v >= 12 {
			byID := metadata()
			t := kmsg.NewMetadataRequestTopic()
			t.TopicID = id
			byID.Topics = append(byID.Topics, t)
			w.each(byID, v)
		}
	}
	for _, v := range w.versions(kmsg.DescribeTopicPartitions) {
		w.each(describePartitions(2000, nil, "spread", "absent"), v)
	}
}

// toPartitions writes a batch to some partitions.
func toPartitions(topic string, id [16]byte, acks int16, raw []byte, partitions ...int32) *kmsg.ProduceRequest {
	req := produce(topic, id, acks)
	for _, number := range partitions {
		p := kmsg.NewProduceRequestTopicPartition()
		p.Partition, p.Records = number, raw
		req.Topics[0].Partitions = append(req.Topics[0].Partitions, p)
	}
	return req
}

func playWrongLeader(w *world) {
	id := w.place("led", []string{"retention.ms=-1"}, []int32{1, 2, 3}, []int32{2, 3, 1}, []int32{3, 1, 2}, []int32{2})
	all := []int32{0, 1, 2, 3, 4}
	for _, v := range w.versions(kmsg.Produce) {
		for _, acks := range []int16{-1, 1} {
			w.each(toPartitions("led", id, acks, w.one("x"), all...), v)
		}
	}
	for _, v := range w.versions(kmsg.Fetch) {
		w.each(fetch("led", id, 0, all...), v)
		w.each(fetch("led", id, 9999, all...), v)
	}
	for _, v := range w.versions(kmsg.ListOffsets) {
		for _, at := range []int64{-1, -2} {
			var topics []kmsg.ListOffsetsRequestTopic
			for _, number := range all {
				topics = append(topics, listOffset("led", number, at))
			}
			w.each(listOffsets(topics...), v)
		}
	}
	for _, v := range w.versions(kmsg.DeleteRecords) {
		for node := range 3 {
			for _, number := range all {
				w.send(fmt.Sprintf("node %d", node+1), deleteRecords("led", number, 0), v).compare()
			}
		}
	}
	for _, v := range w.versions(kmsg.DescribeProducers) {
		req := kmsg.NewPtrDescribeProducersRequest()
		req.Topics = append(req.Topics, kmsg.DescribeProducersRequestTopic{Topic: "led", Partitions: all})
		w.each(req, v)
	}
}

// epochsOf tells what the leader epoch of a topic's first partition is in each of the two.
func (w *world) epochsOf(topic string) (both [2]int32) {
	for side := range both {
		resp, err := w.alone(side, metadata(topic), 9)
		if err != nil {
			w.gone(err)
		}
		both[side] = resp.(*kmsg.MetadataResponse).Topics[0].Partitions[0].LeaderEpoch
	}
	return both
}

func playEpochs(w *world) {
	id := w.place("epochs", []string{"retention.ms=-1"}, []int32{1, 2, 3})
	w.ask(toPartitions("epochs", id, -1, w.one("x"), 0), w.newest(kmsg.Produce))
	w.caughtUp("epochs", id, 1)
	is := w.epochsOf("epochs")
	w.pairs.epochs = int64(is[weir]) - weirEpoch(int64(is[kafka]))
	defer func() { w.pairs.epochs = 0 }()
	current := []int32{-1, is[kafka], is[kafka] + 1, is[kafka] + 100}
	for _, v := range w.versions(kmsg.OffsetForLeaderEpoch) {
		for _, number := range []int32{0, 1, -1} {
			for _, now := range current {
				for _, epoch := range []int32{is[kafka], is[kafka] + 1, is[kafka] + 100} {
					req := kmsg.NewPtrOffsetForLeaderEpochRequest()
					req.ReplicaID = -1
					req.Topics = append(req.Topics, kmsg.OffsetForLeaderEpochRequestTopic{Topic: "epochs", Partitions: []kmsg.OffsetForLeaderEpochRequestTopicPartition{
						{Partition: number, CurrentLeaderEpoch: now, LeaderEpoch: epoch}}})
					w.each(req, v)
				}
			}
		}
	}
	for _, v := range w.versions(kmsg.Fetch) {
		for _, now := range current {
			req := fetch("epochs", id, 0, 0)
			req.Topics[0].Partitions[0].CurrentLeaderEpoch = now
			w.each(req, v)
		}
	}
	for _, v := range w.versions(kmsg.ListOffsets) {
		for _, now := range current {
			req := listOffsets(listOffset("epochs", 0, -1))
			req.Topics[0].Partitions[0].CurrentLeaderEpoch = now
			w.each(req, v)
		}
	}
}

func playInSync(w *world) {
	for _, least := range []int{1, 2, 3, 4, 5} {
		for factor, replicas := range [][]int32{{1, 2, 3}, {1, 2}, {1}} {
			name := fmt.Sprintf("least-%d-%d", least, 3-factor)
			id := w.place(name, []string{fmt.Sprintf("min.insync.replicas=%d", least)}, replicas)
			for _, v := range w.versions(kmsg.Produce) {
				for _, acks := range []int16{-1, 1} {
					w.ask(toPartitions(name, id, acks, w.one("x"), 0), v)
				}
			}
		}
	}
}

func reassign(topic string, partition int32, replicas ...int32) *kmsg.AlterPartitionAssignmentsRequest {
	req := kmsg.NewPtrAlterPartitionAssignmentsRequest()
	req.TimeoutMillis = 10_000
	p := kmsg.NewAlterPartitionAssignmentsRequestTopicPartition()
	p.Partition, p.Replicas = partition, replicas
	req.Topics = append(req.Topics, kmsg.AlterPartitionAssignmentsRequestTopic{Topic: topic, Partitions: []kmsg.AlterPartitionAssignmentsRequestTopicPartition{p}})
	return req
}

func listReassignments(topic string, partitions ...int32) *kmsg.ListPartitionReassignmentsRequest {
	req := kmsg.NewPtrListPartitionReassignmentsRequest()
	if topic != "" {
		req.Topics = append(req.Topics, kmsg.ListPartitionReassignmentsRequestTopic{Topic: topic, Partitions: partitions})
	}
	return req
}

// settleReassignments waits until nothing moves in either.
func (w *world) settleReassignments() {
	for deadline := time.Now().Add(patience); time.Now().Before(deadline); <-time.After(10 * time.Millisecond) {
		moving := 0
		for side := range w.addresses {
			resp, err := w.alone(side, listReassignments(""), 0)
			if err != nil {
				w.gone(err)
			}
			moving += len(resp.(*kmsg.ListPartitionReassignmentsResponse).Topics)
		}
		if moving == 0 {
			w.settle()
			return
		}
	}
	w.met(&exchange{label: "reassignments, after a while"}, difference{"Reassignments", [2]string{"", ""}})
}

func playReassignments(w *world) {
	w.place("moves", nil, []int32{1, 2, 3}, []int32{1}, []int32{2, 1})
	for _, v := range w.versions(kmsg.AlterPartitionAssignments) {
		for _, change := range []bool{true, false} {
			ask := func(req *kmsg.AlterPartitionAssignmentsRequest) {
				req.AllowReplicationFactorChange = change
				w.ask(req, v)
				w.settleReassignments()
			}
			ask(reassign("absent", 0, 1))
			ask(reassign("a b", 0, 1))
			ask(reassign("", 0, 1))
			for _, number := range []int32{9, -1} {
				ask(reassign("moves", number, 1))
			}
			for _, replicas := range [][]int32{{9}, {1, 9}, {1, 1}, {-1}, {}, {1, 2, 3, 4}, {1, 2, 2}} {
				ask(reassign("moves", 0, replicas...))
			}
			for _, number := range []int32{0, 9} { // nothing moves that could be called off
				none := reassign("moves", number)
				none.Topics[0].Partitions[0].Replicas = nil
				ask(none)
			}
			ask(reassign("moves", 0, 3, 2, 1))
			ask(reassign("moves", 0, 1, 2, 3))
			ask(reassign("moves", 2, 2, 3))
			ask(reassign("moves", 2, 2, 1))
			if change {
				ask(reassign("moves", 0, 1, 2))
				ask(reassign("moves", 0, 1, 2, 3))
				ask(reassign("moves", 1, 1, 3))
				ask(reassign("moves", 1, 1))
			} else {
				ask(reassign("moves", 0, 1, 2))
				ask(reassign("moves", 1, 1, 3))
			}
			twice := reassign("moves", 0, 1, 2, 3)
			twice.Topics = append(twice.Topics, reassign("moves", 1, 1).Topics[0], reassign("absent", 1, 1).Topics[0])
			ask(twice)
			ask(kmsg.NewPtrAlterPartitionAssignmentsRequest())
			w.ask(metadata("moves"), w.newest(kmsg.Metadata))
		}
	}
	for _, v := range w.versions(kmsg.ListPartitionReassignments) {
		for _, req := range []*kmsg.ListPartitionReassignmentsRequest{
			listReassignments(""), listReassignments("moves", 0, 1, 9, -1), listReassignments("absent", 0), listReassignments("moves"), listReassignments("a b", 1),
		} {
			w.each(req, v)
		}
	}
}

func electLeaders(kind int8, topic string, partitions ...int32) *kmsg.ElectLeadersRequest {
	req := kmsg.NewPtrElectLeadersRequest()
	req.ElectionType, req.TimeoutMillis = kind, 10_000
	if topic != "" {
		req.Topics = append(req.Topics, kmsg.ElectLeadersRequestTopic{Topic: topic, Partitions: partitions})
	}
	return req
}

func playElections(w *world) {
	w.place("elected", nil, []int32{1, 2, 3}, []int32{2, 3, 1}, []int32{3})
	for _, v := range w.versions(kmsg.ElectLeaders) {
		for _, kind := range []int8{0, 1, 2} {
			for _, topic := range []string{"elected", "absent", "a b"} {
				w.ask(electLeaders(kind, topic, 0, 1, 2, 3, -1), v)
			}
			w.ask(electLeaders(kind, ""), v)
		}
		// the first replica is another one, and the leader stays until somebody asks
		w.ask(reassign("elected", 0, 2, 1, 3), 0)
		w.settleReassignments()
		w.ask(electLeaders(0, "elected", 0, 1), v)
		w.settle()
		w.ask(electLeaders(0, "elected", 0), v)
		w.ask(reassign("elected", 0, 1, 2, 3), 0)
		w.settleReassignments()
		w.ask(electLeaders(0, ""), v)
		w.settle()
		w.each(metadata("elected"), w.newest(kmsg.Metadata))
	}
}

func playThrottles(w *world) {
	id := w.place("slow", []string{"retention.ms=-1"}, []int32{1}, []int32{1, 2})
	for _, v := range w.versions(kmsg.IncrementalAlterConfigs) {
		for _, s := range []setting{
			set("leader.replication.throttled.replicas", "0:1"), set("follower.replication.throttled.replicas", "0:2"), set("leader.replication.throttled.replicas", "*"),
			set("leader.replication.throttled.replicas", "x"), set("follower.replication.throttled.replicas", "0:1:2"), set("follower.replication.throttled.replicas", ""),
			{"leader.replication.throttled.replicas", 2, ptr("1:1")}, {"leader.replication.throttled.replicas", 3, ptr("0:1")}, {"follower.replication.throttled.replicas", 1, nil},
		} {
			w.ask(alter(topicResource, "slow", s), v)
			w.settleConfigs(topicResource, "slow", s.key)
			w.ask(describeConfigs(topicResource, "slow", s.key), w.newest(kmsg.DescribeConfigs))
		}
		for node, broker := range []string{"1", "2", "3", "", "7"} {
			conn := "main"
			if node < 3 {
				conn = "node " + broker
			}
			for _, key := range []string{"leader.replication.throttled.rate", "follower.replication.throttled.rate", "replica.alter.log.dirs.io.max.bytes.per.second"} {
				for _, value := range []string{"1000", "-1", "x", "0", "9223372036854775807"} {
					w.send(conn, alter(brokerResource, broker, set(key, value)), v).compare()
				}
				w.send(conn, alter(brokerResource, broker, setting{key, 1, nil}), v).compare()
			}
		}
	}
	// What moves at a thousand bytes a second is under way for long enough to be asked about.
	for range 8 {
		w.ask(toPartitions("slow", id, -1, w.one(strings.Repeat("x", 100_000)), 0), w.newest(kmsg.Produce))
	}
	w.ask(alter(topicResource, "slow", set("leader.replication.throttled.replicas", "*"), set("follower.replication.throttled.replicas", "*")), 1)
	for _, broker := range []string{"1", "2", "3"} {
		w.send("node "+broker, alter(brokerResource, broker, set("leader.replication.throttled.rate", "1000"), set("follower.replication.throttled.rate", "1000")), 1).compare()
	}
	w.ask(reassign("slow", 0, 2, 3), 0)
	for _, v := range w.versions(kmsg.ListPartitionReassignments) {
		w.ask(listReassignments(""), v)
		w.ask(listReassignments("slow", 0, 1), v)
		w.ask(listReassignments("slow", 1), v)
	}
	w.ask(createPartitions("slow", 3), w.newest(kmsg.CreatePartitions)) // while something moves
	w.ask(reassign("slow", 0, 2), 0)                                    // another target
	w.ask(listReassignments("slow", 0), 0)
	none := reassign("slow", 0)
	none.Topics[0].Partitions[0].Replicas = nil
	w.ask(none, 0)
	w.settleReassignments()
	w.ask(none, 0)
	for _, broker := range []string{"1", "2", "3"} {
		w.send("node "+broker, alter(brokerResource, broker, setting{"leader.replication.throttled.rate", 1, nil}, setting{"follower.replication.throttled.rate", 1, nil}), 1).compare()
	}
	for _, v := range w.versions(kmsg.DescribeClientQuotas) {
		w.ask(kmsg.NewPtrDescribeClientQuotasRequest(), v)
	}
}

func playLogDirsOfCluster(w *world) {
	w.place("stored", nil, []int32{1, 2}, []int32{3})
	for _, v := range w.versions(kmsg.DescribeLogDirs) {
		req := kmsg.NewPtrDescribeLogDirsRequest()
		req.Topics = append(req.Topics, kmsg.DescribeLogDirsRequestTopic{Topic: "stored", Partitions: []int32{0, 1, 7}}, kmsg.DescribeLogDirsRequestTopic{Topic: "absent", Partitions: []int32{0}})
		w.each(req, v)
	}
	for _, v := range w.versions(kmsg.AlterReplicaLogDirs) {
		to := func(dir string) *kmsg.AlterReplicaLogDirsRequest {
			req := kmsg.NewPtrAlterReplicaLogDirsRequest()
			req.Dirs = append(req.Dirs, kmsg.AlterReplicaLogDirsRequestDir{Dir: dir, Topics: []kmsg.AlterReplicaLogDirsRequestDirTopic{
				{Topic: "stored", Partitions: []int32{0, 1, 7}}, {Topic: "absent", Partitions: []int32{0}}}})
			return req
		}
		for _, dir := range []string{"/absent", "relative", ""} {
			w.each(to(dir), v)
		}
		for node := range w.addresses[kafka] { // where they are
			conn := fmt.Sprintf("node %d", node+1)
			if resp, ok := w.send(conn, kmsg.NewPtrDescribeLogDirsRequest(), 1).compare().(*kmsg.DescribeLogDirsResponse); ok && len(resp.Dirs) == 1 {
				w.send(conn, to(resp.Dirs[0].Dir), v).compare()
			}
		}
		w.ask(kmsg.NewPtrAlterReplicaLogDirsRequest(), v)
	}
}

func playQuorum(w *world) {
	for _, v := range w.versions(kmsg.DescribeQuorum) {
		for _, topic := range []string{"__cluster_metadata", "absent", "stored", ""} {
			for _, number := range []int32{0, 1, -1} {
				req := kmsg.NewPtrDescribeQuorumRequest()
				req.Topics = append(req.Topics, kmsg.DescribeQuorumRequestTopic{Topic: topic, Partitions: []kmsg.DescribeQuorumRequestTopicPartition{{Partition: number}}})
				w.each(req, v)
			}
		}
		w.ask(kmsg.NewPtrDescribeQuorumRequest(), v)
	}
	for _, v := range w.versions(kmsg.AddRaftVoter) {
		for _, id := range []int32{1, 9, -1} {
			req := kmsg.NewPtrAddRaftVoterRequest()
			req.TimeoutMillis, req.VoterID, req.VoterDirectoryID = 5000, id, [16]byte{byte(id)}
			req.Listeners = append(req.Listeners, kmsg.AddRaftVoterRequestListener{Name: "CONTROLLER", Host: "localhost", Port: 9})
			w.ask(req, v)
			req.ClusterID = ptr("another-cluster")
			w.ask(req, v)
		}
	}
	for _, v := range w.versions(kmsg.RemoveRaftVoter) {
		for _, id := range []int32{1, 9, -1} {
			req := kmsg.NewPtrRemoveRaftVoterRequest()
			req.VoterID, req.VoterDirectoryID = id, [16]byte{77}
			w.ask(req, v)
			req.ClusterID = ptr("another-cluster")
			w.ask(req, v)
		}
	}
}

func playFeatures(w *world) {
	for _, v := range w.versions(kmsg.UpdateFeatures) {
		for _, feature := range []string{"metadata.version", "absent.version", "", "group.version", "kraft.version"} {
			for _, level := range []int16{-1, 0, 1, 100, 32767} {
				for _, kind := range []int8{1, 2, 3, 4} {
					req := kmsg.NewPtrUpdateFeaturesRequest()
					req.TimeoutMillis, req.ValidateOnly = 5000, true
					req.FeatureUpdates = append(req.FeatureUpdates, kmsg.UpdateFeaturesRequestFeatureUpdate{Feature: feature, MaxVersionLevel: level, UpgradeType: kind})
					if v == 0 {
						if kind > 1 || feature != "absent.version" { // it could not only be validated
							continue
						}
						req.ValidateOnly = false
					}
					w.askAbout(feature == "group.version" || feature == "kraft.version", "feature of Kafka's", req, v)
				}
			}
		}
	}
}

func playRegistrations(w *world) {
	for _, v := range w.versions(kmsg.UnregisterBroker) {
		for _, id := range []int32{9, -1, 1 << 30} {
			req := kmsg.NewPtrUnregisterBrokerRequest()
			req.BrokerID = id
			w.each(req, v)
		}
	}
}

func playDeletions(w *world) {
	for _, v := range w.versions(kmsg.DeleteTopics) {
		id := w.place("gone", nil, []int32{3, 2, 1}, []int32{2})
		w.ask(deleteTopics([]string{"gone", "absent"}), v)
		w.settle()
		w.each(deleteTopics([]string{"gone"}), v)
		w.each(metadata("gone"), w.newest(kmsg.Metadata))
		if v >= 6 {
			w.each(deleteTopics(nil, id), v)
		}
	}
}

// removeAuto removes the topics that were placed by the clusters themselves.
func (w *world) removeAuto() {
	resp, err := w.alone(kafka, allTopics(), 12)
	if err != nil {
		w.gone(err)
	}
	var names []string
	for _, t := range resp.(*kmsg.MetadataResponse).Topics {
		if strings.HasPrefix(*t.Topic, "auto-") {
			names = append(names, *t.Topic)
		}
	}
	w.ask(deleteTopics(names), w.newest(kmsg.DeleteTopics))
	w.settle()
}

// caughtUp waits until the followers of a topic's first partition tell as much as the leader.
func (w *world) caughtUp(topic string, id [16]byte, end int64) {
	for side := range w.addresses {
		for node := range w.addresses[side] {
			for deadline := time.Now().Add(patience); time.Now().Before(deadline); <-time.After(10 * time.Millisecond) {
				resp, err := w.aloneAt(side, node, fetch(topic, id, 0, 0), 12)
				if err != nil {
					w.gone(err)
				}
				if resp.(*kmsg.FetchResponse).Topics[0].Partitions[0].HighWatermark >= end {
					break
				}
			}
		}
	}
}

// stopThird ends the third node of both as their operators do.
func (w *world) stopThird() {
	for side := range w.addresses {
		if out, err := exec.Command("bash", "-c", "kill $(cat '"+w.pid[side]+"'); while kill -0 $(cat '"+w.pid[side]+"') 2>/dev/null; do sleep 0.05; done").CombinedOutput(); err != nil {
			w.gone(fmt.Errorf("stopping a node of %s: %w: %s", names[side], err, out))
		}
	}
	w.hangUp("node 3")
	for node := range w.addresses {
		w.addresses[node] = w.addresses[node][:2]
	}
	w.settle()
}

func playAway(w *world) {
	id := w.place("away", nil, []int32{3, 1, 2}, []int32{3}, []int32{1, 3}, []int32{1, 2, 3})
	strict := w.place("strict", []string{"min.insync.replicas=3"}, []int32{1, 2, 3})
	w.removeAuto()
	w.stopThird()
	for _, v := range w.versions(kmsg.Metadata) {
		w.each(metadata("away", "strict"), v)
	}
	for _, v := range w.versions(kmsg.DescribeTopicPartitions) {
		w.each(describePartitions(2000, nil, "away", "strict"), v)
	}
	for _, v := range w.versions(kmsg.DescribeCluster) {
		for _, fenced := range []bool{false, true} {
			req := kmsg.NewPtrDescribeClusterRequest()
			req.EndpointType, req.IncludeFencedBrokers = 1, fenced
			w.each(req, v)
		}
	}
	for _, v := range w.versions(kmsg.Produce) {
		for _, acks := range []int16{-1, 1} {
			w.ask(toPartitions("strict", strict, acks, w.one("x"), 0), v)
			w.ask(toPartitions("away", id, acks, w.one("x"), 0, 1, 2, 3), v)
		}
	}
	for _, v := range w.versions(kmsg.Fetch) {
		w.ask(fetch("away", id, 0, 1), v)
	}
	for _, v := range w.versions(kmsg.ElectLeaders) {
		for _, kind := range []int8{0, 1} {
			w.ask(electLeaders(kind, "away", 0, 1, 2, 3), v)
			w.ask(electLeaders(kind, ""), v)
		}
	}
	for _, v := range w.versions(kmsg.CreateTopics) {
		for i, replicas := range [][]int32{{3, 1}, {3}, {1, 2, 3}} {
			w.ask(edited(assigned(fmt.Sprintf("late-%d-%d", v, i), replicas), func(r *kmsg.CreateTopicsRequest) { r.ValidateOnly = true }), v)
		}
		for _, factor := range []int16{2, 3, 4} {
			w.ask(edited(createTopic(fmt.Sprintf("auto-late-%d-%d", v, factor), 1, factor), func(r *kmsg.CreateTopicsRequest) { r.ValidateOnly = true }), v)
		}
	}
	w.ask(reassign("away", 3, 1, 2), 0)
	w.settleReassignments()
	w.ask(reassign("away", 1, 1), 0) // whose data is away
	w.ask(listReassignments(""), 0)
	none := reassign("away", 1)
	none.Topics[0].Partitions[0].Replicas = nil
	w.ask(none, 0)
	w.ask(listReassignments(""), 0)
	for _, v := range w.versions(kmsg.UnregisterBroker) {
		req := kmsg.NewPtrUnregisterBrokerRequest()
		req.BrokerID = 3
		w.ask(req, v)
	}
}
