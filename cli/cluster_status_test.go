package cli

import (
	"context"
	"encoding/json"
	"regexp"
	"strings"
	"testing"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"
)

func TestClusterStatus(t *testing.T) {
	w := operate(t, 3, "orders:0=0,1,2 orders:1=1,2,0 orders:2=2,0,1 logs:0=1,0", 4096)
	expect(t, w.weir("cluster", "status"), 0, `
Cluster the-cluster: healthy
3 brokers, controller 0, 2 topics, 4 partitions
0 partitions without a leader, 0 under min.insync.replicas, 0 under-replicated, 0 not led by the first replica, 0 moving

BROKER  STATE  ADDRESS          RACK  LEADERS  REPLICAS  OUT-OF-SYNC
0       up     <address>  r0    1        4         0
1       up     <address>  r1    2        4         0
2       up     <address>  r0    1        3         0

NODE  ROLE    LOG-END  LAG  TIME-LAG  LAST-FETCH  DIRECTORY-ID            ENDPOINT
0     leader  100      0    -         -           AQAAAAAAAAAAAAAAAAAAAA  CONTROLLER://node0:9093
1     voter   99       1    100ms     50ms        AQEAAAAAAAAAAAAAAAAAAA  CONTROLLER://node1:9093
2     voter   98       2    200ms     100ms       AQIAAAAAAAAAAAAAAAAAAA  CONTROLLER://node2:9093
`, "")

	w.fail(1)
	w.change(func() {
		w.perLook = 1024
		w.moveTo(w.partitions[topicPartition{"orders", 0}], []int32{0, 2})
		w.moveTo(w.partitions[topicPartition{"logs", 0}], []int32{2, 0})
		w.partitions[topicPartition{"orders", 2}].isr = []int32{2}
		w.partitions[topicPartition{"orders", 1}].leader = -1
		w.partitions[topicPartition{"orders", 1}].isr = nil
	})
	got := w.weir("cluster", "status")
	for _, want := range []string{
		`Cluster the-cluster: unavailable
1 partition has no leader: orders:1
2 partitions have fewer in-sync replicas than min.insync.replicas, and refuse writes with acks=all: logs:0, orders:2
broker 1 is down
3 partitions have replicas that are not in sync
3 brokers, controller 0, 2 topics, 4 partitions
1 partition without a leader, 2 under min.insync.replicas, 3 under-replicated, 1 not led by the first replica, 1 moving
`,
		"\n1 down <address> r1 0 3 3\n",
		"\nTOPIC PARTITION PROBLEM LEADER REPLICAS ISR\norders 1 no-leader - 1,2,0 -\nlogs 0 under-min-isr 0 2,0,1 0\norders 2 under-min-isr 2 2,0,1 2\n",
		"\nTOPIC PARTITION REPLICAS ADDING REMOVING COPIED OF DONE\nlogs 0 2,0 2 1 1.0KiB 4.0KiB 25%\n",
	} {
		if text := regexp.MustCompile(`(?m)^ +`).ReplaceAllString(words(normal(got.out)), ""); got.code != 0 || !strings.Contains(text, want) {
			t.Errorf("%s\ndoes not say %q", text, want)
		}
	}
	var s clusterStatus
	if err := json.Unmarshal([]byte(w.weir("cluster", "status", "-o", "json").out), &s); err != nil {
		t.Fatal(err)
	}
	if s.State != stateUnavailable || s.Leaderless != 1 || *s.UnderMinISR != 2 || s.UnderReplicated != 3 || len(s.Moving) != 1 || *s.Moving[0].Copied != 2048 ||
		s.Brokers[1].Up || len(s.Problems) != 3 || s.Quorum.Leader != 0 || len(s.Quorum.Members) != 3 {
		t.Errorf("%+v", s)
	}
}

// TestAddedReplicasAreNotMissing: a partition that gets a replica is whole before it has it.
func TestAddedReplicasAreNotMissing(t *testing.T) {
	w := operate(t, 3, "orders:0=0,1", 4096)
	w.change(func() {
		w.perLook = 1
		w.moveTo(w.partitions[topicPartition{"orders", 0}], []int32{1, 2})
	})
	expect(t, w.weir("cluster", "health"), 0, "healthy\n", "")
}

// TestStatusWithoutRights leaves out what the cluster does not tell.
func TestStatusWithoutRights(t *testing.T) {
	w := operate(t, 2, "orders:0=0,1", 1)
	for _, key := range []kmsg.Key{kmsg.DescribeConfigs, kmsg.DescribeQuorum, kmsg.DescribeCluster, kmsg.DescribeLogDirs} {
		w.answer[key] = func(request kmsg.Request) (kmsg.Response, error, bool) {
			response := request.ResponseKind()
			switch r := response.(type) {
			case *kmsg.DescribeQuorumResponse:
				r.ErrorCode = kerr.ClusterAuthorizationFailed.Code
			case *kmsg.DescribeClusterResponse:
				r.ErrorCode = kerr.ClusterAuthorizationFailed.Code
			}
			return response, nil, true
		}
	}
	w.brokers[1].up = false
	got := w.weir("cluster", "status")
	for _, want := range []string{"2 brokers, controller 0, 1 topic, 1 partition\n", "0 partitions without a leader, - under min.insync.replicas", "\n1 down - - 0 1 0\n"} {
		if got.code != 0 || !strings.Contains(words(normal(got.out)), want) {
			t.Errorf("%+v does not say %q", got, want)
		}
	}
}

func TestClusterHealth(t *testing.T) {
	w := operate(t, 3, "orders:0=0,1,2 orders:1=1,2,0", 1)
	expect(t, w.weir("cluster", "health"), 0, "healthy\n", "")
	expect(t, w.weir("cluster", "health", "-o", "json"), 0, "{\n  \"state\": \"healthy\",\n  \"reasons\": []\n}\n", "")
	w.fail(2)
	expect(t, w.weir("cluster", "health"), 1, "degraded: broker 2 is down; 2 partitions have replicas that are not in sync\n", "")
	w.fail(1)
	expect(t, w.weir("cluster", "health"), 2, "unavailable: 2 partitions have fewer in-sync replicas than min.insync.replicas, and refuse writes with acks=all: orders:0, orders:1; "+
		"broker 1 is down; broker 2 is down; 2 partitions have replicas that are not in sync\n", "")
	address := closedPort(t)
	expect(t, weir(context.Background(), nil, "cluster", "health", "-b", address), 2, "unavailable: no broker answers at <address>: is it running? Start one with `weir serve`\n", "")
	expect(t, weir(context.Background(), nil, "cluster", "health", "-b", address, "-o", "json"), 2, `
{
  "state": "unavailable",
  "reasons": [
    "no broker answers at <address>: is it running? Start one with `+"`weir serve`"+`"
  ]
}
`, "")
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	expect(t, weir(ctx, nil, "cluster", "health", "-b", address), exitFailed, "", "weir: interrupted\n")
}

func TestVerdict(t *testing.T) {
	known := func(n int) *int { return &n }
	silent := &quorum{Leader: 1, Members: []quorumVoter{{ID: 1, Role: roleLeader}, {ID: 2, Role: roleVoter, SilentMs: ptr(int64(42_000))}, {ID: 3, Role: roleObserver, SilentMs: ptr(int64(99_000))}}}
	for _, test := range []struct {
		name  string
		s     clusterStatus
		state string
		says  string
	}{
		{"well", clusterStatus{Controller: 1}, stateHealthy, ""},
		{"unknown", clusterStatus{Controller: 1, UnderMinISR: nil}, stateHealthy, ""},
		{"no controller", clusterStatus{Controller: -1}, stateUnavailable, "there is no controller: more than half of the voters of the metadata must be up"},
		{"no leader", clusterStatus{Leaderless: 4, UnderMinISR: known(0), Problems: []partitionProblem{{Topic: "a", Problem: problemNoLeader}, {Topic: "b", Problem: problemNoLeader}, {Topic: "c", Problem: problemNoLeader}, {Topic: "d", Problem: problemNoLeader}}},
			stateUnavailable, "4 partitions have no leader: a:0, b:0, c:0, ..."},
		{"a lost disk", clusterStatus{Leaderless: 2, UnderMinISR: known(0), Brokers: []brokerStatus{{ID: 3, Up: true}}, Problems: []partitionProblem{
			{Topic: "a", Problem: problemNoLeader, Replicas: []int32{4}}, {Topic: "b", Partition: 1, Problem: problemNoLeader, Replicas: []int32{3}}}}, stateUnavailable,
			"2 partitions have no leader: a:0, b:1; the only replica of b:1 is on broker 3, which is up: if the disk that it was on is lost, `weir partition elect b:1 --unclean` lets the partition begin anew, empty"},
		{"disk", clusterStatus{Brokers: []brokerStatus{{ID: 7, Up: true, Offline: 2}}}, stateDegraded, "broker 7 cannot serve 2 replicas: look after its disks"},
		{"silent voter", clusterStatus{Quorum: silent}, stateDegraded, "node 2, which votes on the metadata, has not asked for it for 42s"},
		{"the worst first", clusterStatus{Controller: -1, UnderReplicated: 1}, stateUnavailable, "there is no controller: more than half of the voters of the metadata must be up; 1 partition has replicas that are not in sync"},
	} {
		v := verdictOf(&test.s)
		if got := strings.Join(v.Reasons, "; "); v.State != test.state || got != test.says {
			t.Errorf("%s: %s: %q", test.name, v.State, got)
		}
	}
}

// TestWatch shows a cluster that fails and comes back.
func TestWatch(t *testing.T) {
	w := operate(t, 2, "orders:0=0,1", 1)
	out, errs := newWatched(), newWatched()
	ctx, interrupt := context.WithCancel(context.Background())
	done := make(chan int)
	go func() {
		done <- weirTo(ctx, nil, out, errs, "cluster", "health", "--watch", "--interval", "1ms", "-o", "json", "-b", w.seed)
	}()
	out.until(t, "{\"state\":\"healthy\",\"reasons\":[]}\n{\"state\":\"healthy\"")
	w.fail(1)
	out.until(t, `{"state":"unavailable","reasons":["1 partition has fewer in-sync replicas`)
	interrupt()
	if code := <-done; code != 0 || errs.String() != "" {
		t.Errorf("exit code %d, %s", code, errs)
	}
}

// TestWatchGoesOnWithoutAnswers tells each time that there was none.
func TestWatchGoesOnWithoutAnswers(t *testing.T) {
	w := operate(t, 2, "orders:0=0,1", 1)
	refuse := func(request kmsg.Request) (kmsg.Response, error, bool) {
		response := request.ResponseKind().(*kmsg.ListPartitionReassignmentsResponse)
		response.ErrorCode, response.ErrorMessage = kerr.ClusterAuthorizationFailed.Code, ptr("not for you")
		return response, nil, true
	}
	w.answer[kmsg.ListPartitionReassignments] = refuse
	out, errs := newWatched(), newWatched()
	ctx, interrupt := context.WithCancel(context.Background())
	done := make(chan int)
	go func() {
		done <- weirTo(ctx, nil, out, errs, "cluster", "status", "--watch", "--interval", "1ms", "-b", w.seed)
	}()
	errs.until(t, "what is moving: not for you\n")
	w.change(func() { delete(w.answer, kmsg.ListPartitionReassignments) })
	out.until(t, "\nCluster the-cluster: healthy\n")
	interrupt()
	if code := <-done; code != 0 {
		t.Errorf("exit code %d", code)
	}
	if got := w.weir("cluster", "status", "--watch", "--interval", "0s"); got.code != exitUsage {
		t.Errorf("%+v", got)
	}
}

func TestOnScreen(t *testing.T) {
	for _, test := range []struct {
		text   string
		height int
		want   string
	}{
		{"a\nb\n", 10, "\x1b[Ha\x1b[K\nb\x1b[K\n\x1b[J"},
		{"a\nb\nc\nd\n", 4, "\x1b[Ha\x1b[K\nb\x1b[K\n...\x1b[K\n\x1b[J"},
		{"a\nb\n", 1, "\x1b[H...\x1b[K\n\x1b[J"},
	} {
		if got := string(onScreen([]byte(test.text), test.height)); got != test.want {
			t.Errorf("%q on %d lines: %q", test.text, test.height, got)
		}
	}
}
