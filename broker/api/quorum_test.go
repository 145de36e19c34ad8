package api

import (
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/weir/weir/cluster"
	"github.com/weir/weir/coordinator"
)

func quorumRequest(topic string, partitions ...int32) *kmsg.DescribeQuorumRequest {
	req := kmsg.NewPtrDescribeQuorumRequest()
	req.Version = 2
	t := kmsg.NewDescribeQuorumRequestTopic()
	t.Topic = topic
	for _, p := range partitions {
		t.Partitions = append(t.Partitions, kmsg.DescribeQuorumRequestTopicPartition{Partition: p})
	}
	req.Topics = append(req.Topics, t)
	return req
}

func TestDescribingTheQuorum(t *testing.T) {
	b := &Broker{Controller: newDirectController(t, 3)}
	at := time.UnixMilli(1234)
	state := QuorumState{Leader: 2, Epoch: 5, HighWatermark: 77,
		Voters:    []QuorumReplica{{ID: 2, Directory: cluster.UUID{15: 2}, LogEnd: 80, LastFetch: at, LastCaughtUp: at}, {ID: 9, LogEnd: -1}},
		Observers: []QuorumReplica{{ID: 3, LogEnd: 70, LastFetch: at}},
	}
	resp := b.describedQuorum(quorumRequest(cluster.MetadataTopic, 0, 1), state, nil)
	if resp.ErrorCode != 0 || *resp.ErrorMessage != "" || len(resp.Topics) != 1 || len(resp.Topics[0].Partitions) != 2 {
		t.Fatalf("%+v", resp)
	}
	p := resp.Topics[0].Partitions[0]
	if p.ErrorCode != 0 || p.LeaderID != 2 || p.LeaderEpoch != 5 || p.HighWatermark != 77 || len(p.CurrentVoters) != 2 || len(p.Observers) != 1 {
		t.Fatalf("%+v", p)
	}
	describe := func(r kmsg.DescribeQuorumResponseTopicPartitionReplicaState) string {
		return fmt.Sprint(r.ReplicaID, r.ReplicaDirectoryID[15], r.LogEndOffset, r.LastFetchTimestamp, r.LastCaughtUpTimestamp)
	}
	for want, got := range map[string]string{
		"2 2 80 1234 1234": describe(p.CurrentVoters[0]), "9 0 -1 -1 -1": describe(p.CurrentVoters[1]), "3 0 70 1234 -1": describe(p.Observers[0]),
	} {
		if got != want {
			t.Errorf("%s, want %s", got, want)
		}
	}
	if n := resp.Nodes; len(n) != 1 || n[0].NodeID != 2 || n[0].Listeners[0].Host != "h" || n[0].Listeners[0].Port != 9093 {
		t.Errorf("%+v", n)
	}
	if p := resp.Topics[0].Partitions[1]; p.ErrorCode != 3 || *p.ErrorMessage != "This server does not host this topic-partition." {
		t.Errorf("%+v", p)
	}
}

func TestDescribingNoQuorum(t *testing.T) {
	b := &Broker{Controller: newDirectController(t, 1)}
	for want, err := range map[int16]error{6: errors.New("there is no controller"), 7: kerr.RequestTimedOut} {
		resp := b.describedQuorum(quorumRequest(cluster.MetadataTopic, 0), QuorumState{}, err)
		if p := resp.Topics[0].Partitions[0]; p.ErrorCode != want || *p.ErrorMessage == "" || resp.Nodes != nil {
			t.Errorf("%v: %+v", err, p)
		}
	}
	for req, want := range map[*kmsg.DescribeQuorumRequest]bool{
		quorumRequest(cluster.MetadataTopic, 1, 0): true, quorumRequest(cluster.MetadataTopic, 1): false, quorumRequest("t", 0): false, quorumRequest(cluster.MetadataTopic): false,
	} {
		if asksForMetadata(req.Topics[0]) != want {
			t.Errorf("%+v asks for the metadata: %t", req, !want)
		}
	}
}

// TestChangingVoters: another cluster's id is refused, and so is a change that no controller can be asked for.
func TestChangingVoters(t *testing.T) {
	c := newDirectController(t, 2)
	b := &Broker{ClusterID: "mine", Controller: c}
	c.Submit(cluster.SetVoters{Voters: []cluster.Voter{{ID: 1}}}, func(any, error) {})
	mine, other := "mine", "other"
	for _, step := range []struct {
		cluster *string
		err     error
		want    *kerr.Error
		text    string
		voters  int
	}{
		{&other, nil, kerr.InconsistentClusterID, `The given id "other" doesn't match the cluster id "mine"`, 1},
		{nil, coordinator.ErrNotLeader, kerr.NotController, *described(kerr.NotController), 1},
		{&mine, nil, nil, "", 2},
	} {
		c.err = step.err
		req := kmsg.NewPtrAddRaftVoterRequest()
		req.VoterID, req.VoterDirectoryID = 2, [16]byte{15: 2}
		answered := false
		b.changeVoters(req, step.cluster, func(reply any, ke *kerr.Error, text *string) {
			answered = true
			if ke != step.want || ke != nil && *text != step.text || ke == nil && reply.(*kmsg.AddRaftVoterResponse).ErrorCode != 0 {
				t.Errorf("%v, %v, %+v", ke, text, reply)
			}
		})
		if got := len(c.Image().Voters()); !answered || got != step.voters {
			t.Errorf("answered %t, %d voters", answered, got)
		}
	}
}

func TestFeaturesInApiVersions(t *testing.T) {
	resp := kmsg.NewPtrApiVersionsResponse()
	img := newDirectController(t, 1).Image()
	describeFeatures(resp, img)
	var supported, finalized []string
	for _, f := range resp.SupportedFeatures {
		supported = append(supported, fmt.Sprint(f.Name, f.MinVersion, f.MaxVersion))
	}
	for _, f := range resp.FinalizedFeatures {
		finalized = append(finalized, fmt.Sprint(f.Name, f.MinVersionLevel, f.MaxVersionLevel))
	}
	const want = "[metadata.version33 33 weir.version1 1]"
	if fmt.Sprint(supported) != want || fmt.Sprint(finalized) != want || resp.FinalizedFeaturesEpoch != img.Version() {
		t.Errorf("%v, %v at %d", supported, finalized, resp.FinalizedFeaturesEpoch)
	}
}
