package cli

import (
	"encoding/json"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/twmb/franz-go/pkg/kmsg"
)

func TestClusterVoters(t *testing.T) {
	w := operate(t, 2, "", 1)
	w.quorum.Observers = append(w.quorum.Observers, kmsg.DescribeQuorumResponseTopicPartitionReplicaState{ReplicaID: 7, LogEndOffset: -1, LastFetchTimestamp: -1, LastCaughtUpTimestamp: -1})
	expect(t, w.weir("cluster", "voters"), 0, `
NODE  ROLE      LOG-END  LAG  TIME-LAG  LAST-FETCH  DIRECTORY-ID            ENDPOINT
0     leader    100      0    -         -           AQAAAAAAAAAAAAAAAAAAAA  CONTROLLER://node0:9093
1     voter     99       1    100ms     50ms        AQEAAAAAAAAAAAAAAAAAAA  CONTROLLER://node1:9093
2     voter     98       2    200ms     100ms       AQIAAAAAAAAAAAAAAAAAAA  CONTROLLER://node2:9093
7     observer  -1       -    -         -           -                       -
`, "")
	var q quorum
	if err := json.Unmarshal([]byte(w.weir("cluster", "voters", "-o", "json").out), &q); err != nil {
		t.Fatal(err)
	}
	want := quorumVoter{ID: 2, Role: roleVoter, Directory: "AQIAAAAAAAAAAAAAAAAAAA", LogEnd: 98, Lag: ptr(int64(2)), LagMs: ptr(int64(200)), SilentMs: ptr(int64(100)), Endpoints: []string{"CONTROLLER://node2:9093"}}
	if diff := cmp.Diff(want, q.Members[2]); diff != "" || q.Leader != 0 || q.Epoch != 3 || q.HighWatermark != 100 {
		t.Error(diff, q)
	}
}

// TestQuorumWithoutLeader: what is relative to the leader is not known then.
func TestQuorumWithoutLeader(t *testing.T) {
	q := quorumOf(kmsg.DescribeQuorumResponseTopicPartition{LeaderID: -1, CurrentVoters: []kmsg.DescribeQuorumResponseTopicPartitionReplicaState{{ReplicaID: 1, LogEndOffset: 5}}}, nil)
	if diff := cmp.Diff([]quorumVoter{{ID: 1, Role: roleVoter, LogEnd: 5, Endpoints: []string{}}}, q.Members); diff != "" {
		t.Error(diff)
	}
}

func TestChangeVoters(t *testing.T) {
	w := operate(t, 2, "", 1)
	w.quorum.Observers = append(w.quorum.Observers, kmsg.DescribeQuorumResponseTopicPartitionReplicaState{ReplicaID: 7, ReplicaDirectoryID: [16]byte{9}})
	endpoint := []string{"--endpoint", "CONTROLLER://node7:9093"}
	add := func(args ...string) ran {
		return w.weir(append(append([]string{"cluster", "add-voter"}, args...), endpoint...)...)
	}
	expect(t, add("8"), exitFailed, "", "weir: node 8 does not follow the cluster's metadata: start it, and wait until `weir cluster voters` shows it as an observer\n")
	expect(t, add("8", "--directory-id", "CQAAAAAAAAAAAAAAAAAAAA"), exitFailed, "", "weir: node 8 as a voter: No such observer\n")
	expect(t, add("1"), exitFailed, "", "weir: node 1 votes already\n")
	expect(t, add("7"), 0, "Node 7 votes.\n", "")
	expect(t, w.weir("cluster", "remove-voter", "9"), exitFailed, "", "weir: node 9 is no voter: `weir cluster voters` shows those\n")
	expect(t, w.weir("cluster", "remove-voter", "7", "-o", "json"), 0, "{\n  \"id\": 7,\n  \"directory_id\": \"CQAAAAAAAAAAAAAAAAAAAA\"\n}\n", "")
	expect(t, w.weir("cluster", "remove-voter", "2"), 0, "Node 2 votes no more.\n", "")
	expect(t, w.weir("cluster", "remove-voter", "1"), 0, "Node 1 votes no more.\n", "")
	expect(t, w.weir("cluster", "remove-voter", "0"), exitFailed, "",
		"weir: node 0 is the last voter, and somebody must keep the metadata: add another first with `weir cluster add-voter`\n")
}

func TestClusterFeatures(t *testing.T) {
	w := operate(t, 2, "", 1)
	w.features["metadata.version"] = &operatedFeature{28, 30}
	w.features["group.version"] = &operatedFeature{1, 1}
	expect(t, w.weir("cluster", "features"), 0, `
FEATURE           FINALIZED  SUPPORTED
group.version     1          0-1
metadata.version  28         0-30
`, "")
	const upgrade = `
FEATURE           FINALIZED  SUPPORTED  AFTER
metadata.version  28         0-30       30
group.version     1          0-1        1
`
	both := []string{"cluster", "features", "--upgrade", "metadata.version=latest", "--upgrade", "group.version=1"}
	expect(t, w.weir(append(both, "--dry-run")...), 0, upgrade, "")
	expect(t, w.weir(both...), 0, upgrade, "")
	if got := w.features["metadata.version"].finalized; got != 30 {
		t.Error(got)
	}
	expect(t, w.weir("cluster", "features", "--downgrade", "group.version=0", "-o", "json"), 0, `
[
  {
    "name": "group.version",
    "finalized": 1,
    "supported_min": 0,
    "supported_max": 1,
    "after": 0
  }
]
`, "")
	expect(t, w.weir("cluster", "features", "--upgrade", "metadata.version=31"), exitFailed, "", "weir: features: Level 31 is out of the question\n")
	expect(t, w.weir("cluster", "features", "--upgrade", "metadata=31"), exitFailed, "", "weir: there is no feature \"metadata\": there are group.version, metadata.version\n")
}

// TestFeaturesOfDifferentBrokers: in the midst of a rolling upgrade only what all support can be finalized.
func TestFeaturesOfDifferentBrokers(t *testing.T) {
	feature := func(low, high int16) clusterFeature {
		return clusterFeature{Name: "a", SupportedMin: low, SupportedMax: high}
	}
	for _, test := range []struct {
		brokers   [][]clusterFeature
		low, high int16
	}{
		{[][]clusterFeature{{feature(1, 5)}, {feature(2, 7)}}, 2, 5},
		{[][]clusterFeature{{feature(1, 5)}, {}}, 0, 0},
	} {
		if got := commonFeatures([]clusterFeature{feature(1, 5)}, test.brokers); len(got) != 1 || got[0].SupportedMin != test.low || got[0].SupportedMax != test.high {
			t.Errorf("%+v", got)
		}
	}
}

// TestReleaseThatCannot: kfake knows nothing of voters and unregistering.
func TestReleaseThatCannot(t *testing.T) {
	c := newCluster(t)
	want := "weir: the cluster at " + c.seed + " cannot do that: its release knows no such request\n"
	for _, args := range [][]string{{"cluster", "voters"}, {"cluster", "unregister", "7"}} {
		if got := c.weir(args...); got != (ran{err: want, code: exitFailed}) {
			t.Errorf("%v: %+v", args, got)
		}
	}
}
