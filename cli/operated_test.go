package cli

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// operated is a cluster whose brokers fail and whose partitions move, as far as the commands that look after clusters can see. Its
// clock is the looks at it: each list of what moves copies some more.
type operated struct {
	*cluster
	mu         sync.Mutex
	brokers    map[int32]*operatedBroker
	partitions map[topicPartition]*operatedPartition
	perLook    int64                                                                // bytes that every new replica gets with each look
	batches    [][]string                                                           // what was asked to be moved, request by request
	altered    []string                                                             // configurations
	mostMoving int                                                                  // at the same time
	refuse     map[topicPartition]int16                                             // the error codes of moves that are refused
	quorum     kmsg.DescribeQuorumResponseTopicPartition                            // who keeps the metadata
	features   map[string]*operatedFeature                                          // by name
	requests   map[string]int                                                       // how many were made, by API
	answer     map[kmsg.Key]func(request kmsg.Request) (kmsg.Response, error, bool) // what a test answers itself
	looked     func(looks int)                                                      // called with each list of what moves; the lock is held
}

type operatedBroker struct {
	rack string
	up   bool
	gone bool // unregistered
}

type operatedPartition struct {
	leader           int32
	replicas, isr    []int32
	adding, removing []int32
	bytes            int64
	copied           map[int32]int64
}

type operatedFeature struct{ finalized, max int16 }

// operate starts a cluster of n brokers, and makes partitions as mapOf reads them, of size bytes each.
func operate(t *testing.T, n int, partitions string, size int64) *operated {
	t.Helper()
	w := &operated{cluster: newCluster(t, kfake.NumBrokers(n), kfake.ClusterID("the-cluster")), brokers: map[int32]*operatedBroker{}, partitions: map[topicPartition]*operatedPartition{},
		perLook: 1 << 40, refuse: map[topicPartition]int16{}, features: map[string]*operatedFeature{}, requests: map[string]int{}, answer: map[kmsg.Key]func(kmsg.Request) (kmsg.Response, error, bool){}}
	for id := range int32(n) {
		w.brokers[id] = &operatedBroker{rack: "r" + fmt.Sprint(id%2), up: true}
	}
	for _, p := range mapOf(t, "", partitions).partitions {
		w.partitions[p.topicPartition] = &operatedPartition{leader: p.replicas[0], replicas: p.replicas, isr: p.replicas, bytes: size, copied: map[int32]int64{}}
	}
	w.keepMetadata(0, 1, 2)
	for key, handle := range map[kmsg.Key]func(kmsg.Request) kmsg.Response{
		kmsg.ApiVersions: w.apiVersions, kmsg.Metadata: w.metadata, kmsg.DescribeCluster: w.describeCluster, kmsg.DescribeLogDirs: w.describeLogDirs,
		kmsg.AlterPartitionAssignments: w.reassign, kmsg.ListPartitionReassignments: w.listReassignments, kmsg.ElectLeaders: w.elect,
		kmsg.DescribeConfigs: w.describeConfigs, kmsg.DescribeQuorum: w.describeQuorum, kmsg.UnregisterBroker: w.unregister,
		kmsg.AddRaftVoter: w.changeVoters, kmsg.RemoveRaftVoter: w.changeVoters, kmsg.UpdateFeatures: w.updateFeatures,
		kmsg.IncrementalAlterConfigs: w.alterConfigs,
	} {
		w.fake.ControlKey(int16(key), func(request kmsg.Request) (kmsg.Response, error, bool) {
			w.fake.KeepControl()
			w.mu.Lock()
			defer w.mu.Unlock()
			w.requests[key.Name()]++
			if answer := w.answer[key]; answer != nil {
				return answer(request)
			}
			return handle(request), nil, true
		})
	}
	return w
}

// change changes the cluster while commands may be running.
func (w *operated) change(f func()) {
	w.mu.Lock()
	defer w.mu.Unlock()
	f()
}

// fail takes a broker down: others lead, and its replicas are not in sync.
func (w *operated) fail(id int32) {
	w.change(func() {
		w.brokers[id].up = false
		for _, p := range w.partitions {
			p.isr = without(p.isr, []int32{id})
			if p.leader == id {
				p.leader = -1
				if len(p.isr) > 0 {
					p.leader = p.isr[0]
				}
			}
		}
	})
}

// placed says where a partition is.
func (w *operated) placed(topic string, partition int32) string {
	w.mu.Lock()
	defer w.mu.Unlock()
	return numbers(w.partitions[topicPartition{topic, partition}].replicas)
}

// everything says where all partitions are, as mapOf reads it.
func (w *operated) everything() string {
	w.mu.Lock()
	defer w.mu.Unlock()
	var all []string
	for _, at := range sortedPartitions(maps.Keys(w.partitions)) {
		all = append(all, fmt.Sprintf("%s=%s", at, numbers(w.partitions[at].replicas)))
	}
	return strings.Join(all, " ")
}

func (w *operated) keepMetadata(voters ...int32) {
	w.quorum = kmsg.DescribeQuorumResponseTopicPartition{LeaderID: voters[0], LeaderEpoch: 3, HighWatermark: 100}
	for i, id := range voters {
		w.quorum.CurrentVoters = append(w.quorum.CurrentVoters, kmsg.DescribeQuorumResponseTopicPartitionReplicaState{
			ReplicaID: id, ReplicaDirectoryID: [16]byte{1, byte(id)}, LogEndOffset: 100 - int64(i), LastFetchTimestamp: 10_000 - 50*int64(i), LastCaughtUpTimestamp: 10_000 - 100*int64(i)})
	}
}

func (w *operated) apiVersions(request kmsg.Request) kmsg.Response {
	response := request.ResponseKind().(*kmsg.ApiVersionsResponse)
	for key := range int16(kmsg.MaxKey + 1) {
		if kind := kmsg.RequestForKey(key); kind != nil {
			response.ApiKeys = append(response.ApiKeys, kmsg.ApiVersionsResponseApiKey{ApiKey: key, MaxVersion: kind.MaxVersion()})
		}
	}
	for _, name := range slices.Sorted(maps.Keys(w.features)) {
		f := w.features[name]
		response.SupportedFeatures = append(response.SupportedFeatures, kmsg.ApiVersionsResponseSupportedFeature{Name: name, MinVersion: 0, MaxVersion: f.max})
		response.FinalizedFeatures = append(response.FinalizedFeatures, kmsg.ApiVersionsResponseFinalizedFeature{Name: name, MaxVersionLevel: f.finalized, MinVersionLevel: f.finalized})
	}
	return response
}

// address gives where a broker listens.
func (w *operated) address(id int32) (host string, port int32) {
	address := w.fake.ListenAddrs()[id]
	if _, err := fmt.Sscanf(address, "127.0.0.1:%d", &port); err != nil {
		panic("BUG: kfake listens at " + address)
	}
	return "127.0.0.1", port
}

func (w *operated) metadata(request kmsg.Request) kmsg.Response {
	response := request.ResponseKind().(*kmsg.MetadataResponse)
	response.ControllerID, response.ClusterID = -1, ptr("the-cluster")
	for _, id := range slices.Sorted(maps.Keys(w.brokers)) {
		if b := w.brokers[id]; b.up {
			host, port := w.address(id)
			response.ControllerID = id
			response.Brokers = append(response.Brokers, kmsg.MetadataResponseBroker{NodeID: id, Host: host, Port: port, Rack: &b.rack})
		}
	}
	topics := map[string]*kmsg.MetadataResponseTopic{}
	for _, at := range sortedPartitions(maps.Keys(w.partitions)) {
		t := topics[at.topic]
		if t == nil {
			t = &kmsg.MetadataResponseTopic{Topic: ptr(at.topic), TopicID: [16]byte{byte(len(topics) + 1)}}
			topics[at.topic] = t
		}
		p := w.partitions[at]
		answer := kmsg.MetadataResponseTopicPartition{Partition: at.partition, Leader: p.leader, Replicas: p.replicas, ISR: p.isr}
		for _, id := range p.replicas {
			if b := w.brokers[id]; b == nil || !b.up {
				answer.OfflineReplicas = append(answer.OfflineReplicas, id)
			}
		}
		t.Partitions = append(t.Partitions, answer)
	}
	asked := request.(*kmsg.MetadataRequest).Topics
	if asked == nil {
		for _, name := range slices.Sorted(maps.Keys(topics)) {
			response.Topics = append(response.Topics, *topics[name])
		}
	}
	for _, t := range asked {
		if there := topics[orBlank(t.Topic)]; there != nil {
			response.Topics = append(response.Topics, *there)
		} else {
			response.Topics = append(response.Topics, kmsg.MetadataResponseTopic{Topic: t.Topic, TopicID: t.TopicID, ErrorCode: kerr.UnknownTopicOrPartition.Code})
		}
	}
	return response
}

func (w *operated) describeCluster(request kmsg.Request) kmsg.Response {
	response := request.ResponseKind().(*kmsg.DescribeClusterResponse)
	for id, b := range w.brokers {
		if host, port := w.address(id); !b.gone && (b.up || request.(*kmsg.DescribeClusterRequest).IncludeFencedBrokers) {
			response.Brokers = append(response.Brokers, kmsg.DescribeClusterResponseBroker{NodeID: id, Host: host, Port: port, Rack: &b.rack, IsFenced: !b.up})
		}
	}
	return response
}

func (w *operated) describeLogDirs(request kmsg.Request) kmsg.Response {
	response := request.ResponseKind().(*kmsg.DescribeLogDirsResponse)
	dir := kmsg.NewDescribeLogDirsResponseDir()
	dir.Dir = "/data"
	self := w.fake.CurrentNode()
	for _, at := range sortedPartitions(maps.Keys(w.partitions)) {
		p := w.partitions[at]
		if !slices.Contains(p.replicas, self) {
			continue
		}
		size := p.bytes
		if slices.Contains(p.adding, self) {
			size = p.copied[self]
		}
		if n := len(dir.Topics); n == 0 || dir.Topics[n-1].Topic != at.topic {
			dir.Topics = append(dir.Topics, kmsg.DescribeLogDirsResponseDirTopic{Topic: at.topic})
		}
		t := &dir.Topics[len(dir.Topics)-1]
		t.Partitions = append(t.Partitions, kmsg.DescribeLogDirsResponseDirTopicPartition{Partition: at.partition, Size: size})
	}
	response.Dirs = append(response.Dirs, dir)
	return response
}

func (w *operated) reassign(request kmsg.Request) kmsg.Response {
	response := request.ResponseKind().(*kmsg.AlterPartitionAssignmentsResponse)
	var batch []string
	for _, t := range request.(*kmsg.AlterPartitionAssignmentsRequest).Topics {
		answer := kmsg.AlterPartitionAssignmentsResponseTopic{Topic: t.Topic}
		for _, p := range t.Partitions {
			at := topicPartition{t.Topic, p.Partition}
			code := w.refuse[at]
			if code == 0 {
				code = w.moveTo(w.partitions[at], p.Replicas)
				batch = append(batch, fmt.Sprintf("%s=%s", at, numbers(p.Replicas)))
			}
			answer.Partitions = append(answer.Partitions, kmsg.AlterPartitionAssignmentsResponseTopicPartition{Partition: p.Partition, ErrorCode: code})
		}
		response.Topics = append(response.Topics, answer)
	}
	slices.Sort(batch)
	w.batches = append(w.batches, batch)
	moving := 0
	for _, p := range w.partitions {
		if len(p.adding)+len(p.removing) > 0 {
			moving++
		}
	}
	w.mostMoving = max(w.mostMoving, moving)
	return response
}

// moveTo begins to move a partition, or with no replicas takes that back.
func (w *operated) moveTo(p *operatedPartition, to []int32) int16 {
	switch {
	case p == nil:
		return kerr.UnknownTopicOrPartition.Code
	case to == nil && p.adding == nil && p.removing == nil:
		return kerr.NoReassignmentInProgress.Code
	case to == nil:
		p.replicas = without(p.replicas, p.adding)
		p.adding, p.removing = nil, nil
		return 0
	}
	had := without(p.replicas, p.adding)
	p.adding, p.removing = without(to, had), without(had, to)
	p.replicas = append(slices.Clone(to), p.removing...)
	if len(p.adding)+len(p.removing) == 0 {
		p.adding, p.removing = nil, nil
	}
	return 0
}

func (w *operated) listReassignments(request kmsg.Request) kmsg.Response {
	response := request.ResponseKind().(*kmsg.ListPartitionReassignmentsResponse)
	if w.looked != nil {
		w.looked(w.requests[kmsg.ListPartitionReassignments.Name()])
	}
	for _, at := range sortedPartitions(maps.Keys(w.partitions)) {
		p := w.partitions[at]
		if len(p.adding)+len(p.removing) == 0 {
			continue
		}
		there := p.leader >= 0 // else there is nobody to copy from
		for _, id := range p.adding {
			p.copied[id] = min(p.copied[id]+w.perLook, p.bytes)
			there = there && p.copied[id] == p.bytes
		}
		if there {
			w.finish(p)
			continue
		}
		response.Topics = append(response.Topics, kmsg.ListPartitionReassignmentsResponseTopic{Topic: at.topic, Partitions: []kmsg.ListPartitionReassignmentsResponseTopicPartition{
			{Partition: at.partition, Replicas: p.replicas, AddingReplicas: p.adding, RemovingReplicas: p.removing}}})
	}
	return response
}

func (w *operated) finish(p *operatedPartition) {
	p.replicas = without(p.replicas, p.removing)
	p.isr = without(append(without(p.isr, p.adding), p.adding...), p.removing)
	p.adding, p.removing, p.copied = nil, nil, map[int32]int64{}
	if !slices.Contains(p.replicas, p.leader) {
		p.leader = p.replicas[0]
	}
}

func (w *operated) elect(request kmsg.Request) kmsg.Response {
	response := request.ResponseKind().(*kmsg.ElectLeadersResponse)
	asked := request.(*kmsg.ElectLeadersRequest)
	for _, at := range sortedPartitions(maps.Keys(w.partitions)) {
		wanted := asked.Topics == nil || slices.ContainsFunc(asked.Topics, func(t kmsg.ElectLeadersRequestTopic) bool {
			return t.Topic == at.topic && slices.Contains(t.Partitions, at.partition)
		})
		p := w.partitions[at]
		var code int16
		switch unclean := asked.ElectionType == 1; {
		case !wanted:
			continue
		case unclean && p.leader >= 0, !unclean && p.leader == p.replicas[0]:
			if code = kerr.ElectionNotNeeded.Code; asked.Topics == nil {
				continue
			}
		case !unclean && !slices.Contains(p.isr, p.replicas[0]):
			code = kerr.PreferredLeaderNotAvailable.Code
		case !unclean:
			p.leader = p.replicas[0]
		default:
			code = kerr.EligibleLeadersNotAvailable.Code
			for _, id := range p.replicas {
				if w.brokers[id].up {
					p.leader, p.isr, code = id, []int32{id}, 0
					break
				}
			}
		}
		if n := len(response.Topics); n == 0 || response.Topics[n-1].Topic != at.topic {
			response.Topics = append(response.Topics, kmsg.ElectLeadersResponseTopic{Topic: at.topic})
		}
		t := &response.Topics[len(response.Topics)-1]
		t.Partitions = append(t.Partitions, kmsg.ElectLeadersResponseTopicPartition{Partition: at.partition, ErrorCode: code})
	}
	return response
}

// describeConfigs tells min.insync.replicas, which is 2 for every topic.
func (w *operated) describeConfigs(request kmsg.Request) kmsg.Response {
	response := request.ResponseKind().(*kmsg.DescribeConfigsResponse)
	for _, r := range request.(*kmsg.DescribeConfigsRequest).Resources {
		response.Resources = append(response.Resources, kmsg.DescribeConfigsResponseResource{ResourceType: r.ResourceType, ResourceName: r.ResourceName,
			Configs: []kmsg.DescribeConfigsResponseResourceConfig{{Name: "min.insync.replicas", Value: ptr("2")}}})
	}
	return response
}

func (w *operated) alterConfigs(request kmsg.Request) kmsg.Response {
	response := request.ResponseKind().(*kmsg.IncrementalAlterConfigsResponse)
	for _, r := range request.(*kmsg.IncrementalAlterConfigsRequest).Resources {
		for _, c := range r.Configs {
			value := "none"
			if c.Value != nil {
				value = *c.Value
			}
			w.altered = append(w.altered, fmt.Sprintf("%s %s=%s", configResource{r.ResourceType, r.ResourceName}, c.Name, value))
		}
		response.Resources = append(response.Resources, kmsg.IncrementalAlterConfigsResponseResource{ResourceType: r.ResourceType, ResourceName: r.ResourceName})
	}
	return response
}

func (w *operated) describeQuorum(request kmsg.Request) kmsg.Response {
	response := request.ResponseKind().(*kmsg.DescribeQuorumResponse)
	response.Topics = []kmsg.DescribeQuorumResponseTopic{{Topic: metadataTopic, Partitions: []kmsg.DescribeQuorumResponseTopicPartition{w.quorum}}}
	for _, v := range w.quorum.CurrentVoters {
		response.Nodes = append(response.Nodes, kmsg.DescribeQuorumResponseNode{NodeID: v.ReplicaID, Listeners: []kmsg.DescribeQuorumResponseNodeListener{{Name: "CONTROLLER", Host: "node" + fmt.Sprint(v.ReplicaID), Port: 9093}}})
	}
	return response
}

func (w *operated) unregister(request kmsg.Request) kmsg.Response {
	response := request.ResponseKind().(*kmsg.UnregisterBrokerResponse)
	b := w.brokers[request.(*kmsg.UnregisterBrokerRequest).BrokerID]
	if b == nil || b.gone {
		response.ErrorCode, response.ErrorMessage = kerr.BrokerIDNotRegistered.Code, ptr("That broker is not registered")
		return response
	}
	b.gone = true
	return response
}

func (w *operated) changeVoters(request kmsg.Request) kmsg.Response {
	voter := func(id int32, directory [16]byte) func(kmsg.DescribeQuorumResponseTopicPartitionReplicaState) bool {
		return func(v kmsg.DescribeQuorumResponseTopicPartitionReplicaState) bool {
			return v.ReplicaID == id && v.ReplicaDirectoryID == directory
		}
	}
	q := &w.quorum
	if r, add := request.(*kmsg.AddRaftVoterRequest); add {
		response := request.ResponseKind().(*kmsg.AddRaftVoterResponse)
		i := slices.IndexFunc(q.Observers, voter(r.VoterID, r.VoterDirectoryID))
		if i < 0 || len(r.Listeners) != 1 || r.Listeners[0].Port != 9093 {
			response.ErrorCode, response.ErrorMessage = kerr.InvalidRequest.Code, ptr("No such observer")
			return response
		}
		q.CurrentVoters = append(q.CurrentVoters, q.Observers[i])
		q.Observers = slices.Delete(q.Observers, i, i+1)
		return response
	}
	r := request.(*kmsg.RemoveRaftVoterRequest)
	response := request.ResponseKind().(*kmsg.RemoveRaftVoterResponse)
	i := slices.IndexFunc(q.CurrentVoters, voter(r.VoterID, r.VoterDirectoryID))
	if i < 0 {
		response.ErrorCode = kerr.VoterNotFound.Code
		return response
	}
	q.CurrentVoters = slices.Delete(q.CurrentVoters, i, i+1)
	return response
}

func (w *operated) updateFeatures(request kmsg.Request) kmsg.Response {
	r := request.(*kmsg.UpdateFeaturesRequest)
	response := request.ResponseKind().(*kmsg.UpdateFeaturesResponse)
	for _, u := range r.FeatureUpdates {
		f := w.features[u.Feature]
		if u.MaxVersionLevel > f.max || (u.UpgradeType == 1) != (u.MaxVersionLevel > f.finalized) {
			response.ErrorCode, response.ErrorMessage = kerr.FeatureUpdateFailed.Code, ptr(fmt.Sprintf("Level %d is out of the question", u.MaxVersionLevel))
			return response
		}
		if !r.ValidateOnly {
			f.finalized = u.MaxVersionLevel
		}
	}
	return response
}
