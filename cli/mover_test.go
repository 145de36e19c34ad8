package cli

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/twmb/franz-go/pkg/kerr"
)

// soon makes a command look again at once.
var soon = []string{"--interval", "1ms"}

func (w *operated) weirSoon(args ...string) ran { return w.weir(append(args, soon...)...) }

func TestPartitionReassign(t *testing.T) {
	w := operate(t, 4, "orders:0=0,1 orders:1=1,2 orders:2=2,0", 4096)
	w.perLook = 1024
	expect(t, w.weirSoon("partition", "reassign", "orders:0,2", "--replicas", "3,1"), 0, `
TOPIC   PARTITION  FROM  TO   ADDS  REMOVES  COPIES
orders  0          0,1   3,1  3     0        4.0KiB
orders  2          2,0   3,1  3,1   2,0      8.0KiB
`, "")
	if got, want := w.everything(), "orders:0=3,1 orders:1=1,2 orders:2=3,1"; got != want {
		t.Errorf("%s, want %s", got, want)
	}
	expect(t, w.weirSoon("partition", "reassign", "orders:0,2", "--replicas", "3,1"), 0, "There is nothing to move.\n", "")
	expect(t, w.weirSoon("partition", "reassign", "orders:0", "--replicas", "1,3", "--dry-run"), 0, `
TOPIC   PARTITION  FROM  TO
orders  0          3,1   1,3
`, dryRunHint("the command without --dry-run")+"\n")
	expect(t, w.weirSoon("partition", "reassign", "orders:0", "--replicas", "3,1,0", "-o", "json"), 0, `
[
  {
    "topic": "orders",
    "partition": 0,
    "from": [
      3,
      1
    ],
    "to": [
      3,
      1,
      0
    ],
    "bytes": 4096
  }
]
`, "")
}

func TestPartitionReassignThrottled(t *testing.T) {
	w := operate(t, 3, "orders:0=0 logs:0=1", 1)
	set := func(rate, replicas string) (all []string) {
		for _, of := range []string{"the cluster", `topic "orders"`} {
			for _, name := range []string{"leader", "follower"} {
				end, value := "rate", rate
				if of != "the cluster" {
					end, value = "replicas", replicas
				}
				all = append(all, fmt.Sprintf("%s %s.replication.throttled.%s=%s", of, name, end, value))
			}
		}
		return all
	}
	expect(t, w.weirSoon("partition", "reassign", "orders:0", "--replicas", "2", "--throttle", "10MiB"), 0, `
TOPIC   PARTITION  FROM  TO  ADDS  REMOVES  COPIES
orders  0          0     2   2     0        1B
`, "")
	if diff := cmp.Diff(append(set("10485760", "*"), set("none", "none")...), w.altered); diff != "" {
		t.Error(diff)
	}
	w.altered = nil
	w.refuse = map[topicPartition]int16{{"orders", 0}: kerr.InvalidReplicaAssignment.Code}
	got := w.weirSoon("partition", "reassign", "orders:0", "--replicas", "1", "--throttle", "1000")
	if want := "The throttle of 1000/s stays until the same command has come to its end.\n"; got.code != exitFailed || !strings.Contains(got.err, want) {
		t.Errorf("%+v", got)
	}
	if diff := cmp.Diff(set("1000", "*"), w.altered); diff != "" {
		t.Error(diff)
	}
}

func TestPartitionReassignFromFile(t *testing.T) {
	w := operate(t, 3, "orders:0=0 orders:1=1 logs:0=2", 1)
	plan := `{"version":1,"partitions":[{"topic":"orders","partition":1,"replicas":[2,0],"log_dirs":["any","any"]},{"topic":"logs","partition":0,"replicas":[2]}]}`
	file := filepath.Join(t.TempDir(), "plan.json")
	if err := os.WriteFile(file, []byte(plan), 0o600); err != nil {
		t.Fatal(err)
	}
	const moved = `
TOPIC   PARTITION  FROM  TO   ADDS  REMOVES  COPIES
orders  1          1     2,0  2,0   1        2B
`
	expect(t, w.weirSoon("partition", "reassign", "--from-file", file), 0, moved, "")
	if got := w.placed("orders", 1); got != "2,0" {
		t.Error(got)
	}
	got := w.weirWith(context.Background(), plan, "partition", "reassign", "--from-file", "-", "--interval", "1ms")
	expect(t, got, 0, "There is nothing to move.\n", "")
	for input, want := range map[string]string{
		"{":                             "- does not hold assignments in Kafka's JSON, as {\"version\": 1, \"partitions\": [{\"topic\": \"orders\", \"partition\": 0, \"replicas\": [1, 2]}]}: unexpected EOF",
		`{"version":2}`:                 "- has version 2 of Kafka's format, and only version 1 is known",
		`{"version":1,"partitions":[]}`: "- names no partitions",
		`{"version":1,"partitions":[{"topic":"orders","partition":7,"replicas":[1]}]}`:                                                   `partition 7 of topic "orders" does not exist`,
		`{"version":1,"partitions":[{"topic":"orders","partition":0,"replicas":[]}]}`:                                                    `partition 0 of topic "orders" needs at least one replica`,
		`{"version":1,"partitions":[{"topic":"logs","partition":0,"replicas":[1]},{"topic":"logs","partition":0,"replicas":[2]}]}`:       `partition 0 of topic "logs" is there twice`,
		`{"version":1,"partitions":[{"topic":"orders","partition":0,"replicas":[1,1]}]}`:                                                 `partition 0 of topic "orders" would have two replicas on broker 1`,
		`{"version":1,"partitions":[{"topic":"a","partition":0},{"topic":"b","partition":0},{"topic":"c","partition":0},{"topic":"d"}]}`: `partition 0 of topic "a" does not exist; partition 0 of topic "b" does not exist; partition 0 of topic "c" does not exist; and 1 more`,
	} {
		got := w.weirWith(context.Background(), input, "partition", "reassign", "--from-file", "-")
		expect(t, got, exitFailed, "", "weir: "+want+"\n")
	}
	if got := w.weir("partition", "reassign", "--from-file", file+".no"); got.code != exitFailed || !strings.HasPrefix(got.err, "weir: the file of assignments cannot be read: ") {
		t.Errorf("%+v", got)
	}
	if len(w.batches) != 1 {
		t.Errorf("a wrong plan was asked for: %v", w.batches)
	}
}

func TestPartitionReassignRefused(t *testing.T) {
	w := operate(t, 3, "orders:0=0 orders:1=1", 1)
	expect(t, w.weirSoon("partition", "reassign", "orders:0", "--replicas", "9"), exitFailed, "",
		"weir: partition 0 of topic \"orders\" cannot go to broker 9, which does not exist: there is 0,1,2\n")
	w.fail(2)
	expect(t, w.weirSoon("partition", "reassign", "orders:0", "--replicas", "2"), exitFailed, "",
		"weir: partition 0 of topic \"orders\" cannot go to broker 2, which is down\n")
	w.refuse[topicPartition{"orders", 1}] = kerr.InvalidReplicaAssignment.Code
	got := w.weirSoon("partition", "reassign", "orders", "--replicas", "1,0")
	if got.code != exitFailed || !strings.Contains(got.err, `weir: partition 1 of topic "orders": `) || !strings.Contains(got.err, "What is moving goes on by itself (1 partition)") {
		t.Errorf("%+v", got)
	}
	expect(t, w.weir("partition", "reassign", "ordres", "--replicas", "1"), exitFailed, "", "weir: topic \"ordres\" does not exist: did you mean \"orders\"?\n")
}

func TestPartitionReassignWithoutWaiting(t *testing.T) {
	w := operate(t, 3, "orders:0=0,1 orders:1=1,2", 4096)
	w.perLook = 1024
	expect(t, w.weir("partition", "reassignments"), 0, "No partition is being moved.\n", "")
	expect(t, w.weir("partition", "reassign", "orders:0", "--replicas", "2,1", "--no-wait"), 0, `
TOPIC   PARTITION  FROM  TO   ADDS  REMOVES  COPIES
orders  0          0,1   2,1  2     0        4.0KiB
`, "")
	expect(t, w.weir("partition", "reassignments"), 0, `
TOPIC   PARTITION  REPLICAS  ADDING  REMOVING  COPIED  OF      DONE
orders  0          2,1       2       0         1.0KiB  4.0KiB  25%
`, "")
	var moving []reassignment
	if err := json.Unmarshal([]byte(w.weir("partition", "reassignments", "-o", "json").out), &moving); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]reassignment{{"orders", 0, []int32{2, 1, 0}, []int32{2}, []int32{0}, ptr(int64(2048)), ptr(int64(4096))}}, moving); diff != "" {
		t.Error(diff)
	}
	// The same command waits for what is under way already.
	expect(t, w.weirSoon("partition", "reassign", "orders:0", "--replicas", "2,1"), 0, "There is nothing to move.\n", "")
	if got := w.placed("orders", 0); got != "2,1" || len(w.batches) != 1 {
		t.Error(got, w.batches)
	}
}

func TestPartitionReassignCancel(t *testing.T) {
	w := operate(t, 3, "orders:0=0,1 orders:1=1,2 logs:0=0", 4096)
	w.perLook = 1
	for _, args := range [][]string{{"orders:0", "--replicas", "2,1"}, {"orders:1", "--replicas", "0,1"}, {"logs:0", "--replicas", "1"}} {
		if got := w.weir(append([]string{"partition", "reassign", "--no-wait"}, args...)...); got.code != 0 {
			t.Fatal(got)
		}
	}
	const back = "TOPIC   PARTITION  FROM  TO   ADDS  REMOVES\norders  0          2,1   1,0  0     2\n"
	expect(t, w.weir("partition", "reassign", "--cancel", "orders:0", "--dry-run"), 0, back, "")
	expect(t, w.weir("partition", "reassign", "--cancel", "orders:0"), 0, back, "")
	expect(t, w.weir("partition", "reassign", "--cancel", "orders:0"), 0, "None of them is being moved.\n", "")
	expect(t, w.weir("partition", "reassign", "--cancel", "--all", "-o", "json"), 0, `[
  {
    "topic": "logs",
    "partition": 0,
    "from": [
      1
    ],
    "to": [
      0
    ],
    "bytes": 0
  },
  {
    "topic": "orders",
    "partition": 1,
    "from": [
      0,
      1
    ],
    "to": [
      1,
      2
    ],
    "bytes": 0
  }
]
`, "")
	expect(t, w.weir("partition", "reassignments", "-o", "json"), 0, "[]\n", "")
	if got := w.placed("logs", 0); got != "0" {
		t.Error(got)
	}
}

// TestSomebodyElseMoves: what was begun and then taken back by another is not begun again.
func TestSomebodyElseMoves(t *testing.T) {
	w := operate(t, 3, "orders:0=0,1", 4096)
	w.perLook = 1
	w.looked = func(looks int) {
		if looks == 5 {
			w.moveTo(w.partitions[topicPartition{"orders", 0}], nil)
		}
	}
	expect(t, w.weirSoon("partition", "reassign", "orders:0", "--replicas", "2,1"), exitFailed, "",
		"weir: somebody else has moved partition orders:0 to 1,0 meanwhile: run the command again to go on from there\n")
	if len(w.batches) != 1 {
		t.Error(w.batches)
	}
}

func TestPartitionElect(t *testing.T) {
	w := operate(t, 3, "orders:0=0,1 orders:1=1,2 orders:2=2,0", 1)
	lead := func(partition, leader int32) {
		w.change(func() { w.partitions[topicPartition{"orders", partition}].leader = leader })
	}
	expect(t, w.weir("partition", "elect", "--all"), 0, "Every partition is led by the replica that should lead it.\n", "")
	lead(0, 1)
	lead(1, 2)
	expect(t, w.weir("partition", "elect", "orders:0,2"), 0, `
TOPIC   PARTITION  LEADER-BEFORE  LEADER  RESULT
orders  0          1              0       elected
orders  2          2              2       not-needed
`, "")
	expect(t, w.weir("partition", "elect", "--all", "-o", "json"), 0, `
[
  {
    "topic": "orders",
    "partition": 1,
    "leader_before": 2,
    "leader": 1,
    "elected": true
  }
]
`, "")
	w.fail(1)
	expect(t, w.weir("partition", "elect", "orders:1"), exitFailed, "",
		"weir: partition 1 of topic \"orders\": broker 1 should lead, but its replica is not in sync: see `weir cluster status`\n")
	w.fail(2)
	expect(t, w.weir("partition", "elect", "orders:1", "--unclean"), exitFailed, "",
		"weir: partition 1 of topic \"orders\": too few of its replicas are up: start their brokers\n")
	w.change(func() { w.brokers[1].up = true })
	expect(t, w.weir("partition", "elect", "orders:1", "--unclean"), 0, `
TOPIC   PARTITION  LEADER-BEFORE  LEADER  RESULT
orders  1          -              1       elected
`, "")
}

func TestDecommission(t *testing.T) {
	w := operate(t, 4, "orders:0=0,1,2 orders:1=1,2,3 orders:2=2,3,0 orders:3=3,0,1 logs:0=3,2 logs:1=1,0", 4096)
	w.perLook = 2048
	const plan = `
TOPIC   PARTITION  FROM   TO     ADDS  REMOVES  COPIES
logs    0          3,2    1,2    1     3        4.0KiB
orders  1          1,2,3  1,2,0  0     3        4.0KiB
orders  2          2,3,0  2,1,0  1     3        4.0KiB
orders  3          3,0,1  2,0,1  2     3        4.0KiB
`
	expect(t, w.weirSoon("cluster", "decommission", "3", "--dry-run"), 0, plan, dryRunHint("the command without --dry-run")+"\n")
	if len(w.batches) > 0 {
		t.Error("a dry run moved something")
	}
	expect(t, w.weirSoon("cluster", "decommission", "3", "--at-once", "3"), 0, plan,
		"Broker 3 keeps no replicas: it can be stopped now, and then `weir cluster unregister 3` makes the cluster forget it.\n")
	if got, want := w.everything(), "logs:0=1,2 logs:1=1,0 orders:0=0,1,2 orders:1=1,2,0 orders:2=2,1,0 orders:3=2,0,1"; got != want || w.mostMoving != 3 {
		t.Errorf("%s, want %s; %d moved at once", got, want, w.mostMoving)
	}
	expect(t, w.weir("cluster", "unregister", "3"), exitFailed, "", "weir: broker 3 is up and would register again: stop it first\n")
	w.fail(3)
	expect(t, w.weir("cluster", "unregister", "3", "-o", "json"), 0, "{\n  \"id\": 3\n}\n", "")
	expect(t, w.weir("cluster", "unregister", "3"), exitFailed, "", "weir: broker 3: That broker is not registered\n")
	expect(t, w.weir("cluster", "unregister", "1"), exitFailed, "", "weir: broker 1 still has 6 replicas: `weir cluster decommission 1` moves them off\n")
	expect(t, w.weirSoon("cluster", "decommission", "3"), exitFailed, "", "weir: broker 3 does not exist: there is 0,1,2\n")
	expect(t, w.weirSoon("cluster", "decommission", "2"), exitFailed, "",
		"weir: partition 0 of topic \"orders\" has 3 replicas, and without broker 2 there is no broker to keep the last: add a broker, or give the topic fewer replicas with `weir partition reassign`\n")
}

// TestDecommissionIsGoneOnWith interrupts a decommission, lets a topic be made on the broker, and starts it again.
func TestDecommissionIsGoneOnWith(t *testing.T) {
	w := operate(t, 3, "orders:0=0,1 orders:1=1,2 orders:2=2,0 orders:3=2,1 orders:4=0,2", 4096)
	w.perLook = 1 // too slow to come to an end
	ctx, interrupt := context.WithCancel(context.Background())
	w.looked = func(looks int) {
		if looks == 5 {
			interrupt()
		}
	}
	got := w.weirWith(ctx, "", "cluster", "decommission", "2", "--at-once", "2", "--interval", "1ms")
	expect(t, got, exitFailed, "", "What is moving goes on by itself (2 partitions); the same command goes on with the rest.\nweir: interrupted\n")
	w.change(func() {
		w.perLook, w.looked = 2048, nil
		w.partitions[topicPartition{"new", 0}] = &operatedPartition{leader: 2, replicas: []int32{2}, isr: []int32{2}, bytes: 1, copied: map[int32]int64{}}
	})
	if got := w.weirSoon("cluster", "decommission", "2", "--at-once", "2"); got.code != 0 {
		t.Fatalf("%+v", got)
	}
	if got, want := w.everything(), "new:0=0 orders:0=0,1 orders:1=1,0 orders:2=1,0 orders:3=0,1 orders:4=0,1"; got != want || w.mostMoving != 2 {
		t.Errorf("%s, want %s; %d moved at once", got, want, w.mostMoving)
	}
	if len(slices.Concat(w.batches...)) != 5 {
		t.Errorf("something was moved twice: %v", w.batches)
	}
}

// TestDecommissionOfDeadBroker makes other replicas of what it had, and says what nobody can copy.
func TestDecommissionOfDeadBroker(t *testing.T) {
	w := operate(t, 3, "orders:0=0,1 orders:1=1,2 only:0=2 only:1=2", 4096)
	w.fail(2)
	got := w.weirSoon("cluster", "decommission", "2")
	if want := "weir: partition 0 of topic \"only\" has no leader to copy from; partition 1 of topic \"only\" has no leader to copy from: start broker 2 or the others that have it, or delete the topic\n"; got.code != exitFailed || got.err != want {
		t.Errorf("%+v", got)
	}
	if got := w.placed("orders", 1); got != "1,0" {
		t.Error(got)
	}
	w.change(func() {
		delete(w.partitions, topicPartition{"only", 0})
		delete(w.partitions, topicPartition{"only", 1})
	})
	w.change(func() { w.keepMetadata(2, 0, 1) })
	expect(t, w.weirSoon("cluster", "decommission", "2", "--unregister"), 0, "There is nothing to move.\n",
		"Node 2 votes on the cluster's metadata: `weir cluster remove-voter 2` ends that.\nThe cluster has forgotten broker 2.\n")
	if !w.brokers[2].gone {
		t.Error("it has not")
	}
}

// TestDecommissionWaitsForTheStop: a broker that is up would register again.
func TestDecommissionWaitsForTheStop(t *testing.T) {
	w := operate(t, 4, "orders:0=0,1", 1)
	errs := newWatched()
	done := make(chan int)
	go func() {
		done <- weirTo(context.Background(), nil, newWatched(), errs, append([]string{"cluster", "decommission", "3", "--unregister", "-b", w.seed}, soon...)...)
	}()
	errs.until(t, "Broker 3 keeps no replicas: stop it now. Waiting until it is down, to make the cluster forget it.\n")
	w.fail(3)
	if code := <-done; code != 0 || !strings.HasSuffix(errs.String(), "The cluster has forgotten broker 3.\n") {
		t.Errorf("exit code %d, %s", code, errs)
	}
}

// TestDecommissionSurvivesFailures: a broker that does not answer for a moment does not end hours of work.
func TestDecommissionSurvivesFailures(t *testing.T) {
	w := operate(t, 3, "orders:0=0,1 orders:1=1,2", 4096)
	w.perLook = 512
	w.looked = func(looks int) {
		w.brokers[0].up = looks%4 != 0 // and the client has to find another controller
	}
	if got := w.weirSoon("cluster", "decommission", "2"); got.code != 0 || w.placed("orders", 1) != "1,0" {
		t.Errorf("%+v", got)
	}
}

func TestRebalance(t *testing.T) {
	w := operate(t, 3, "orders:0=0,1 orders:1=1,0 orders:2=0,1 orders:3=1,0 orders:4=0,1 orders:5=1,0", 4096)
	w.perLook = 4096
	w.change(func() {
		for _, b := range w.brokers {
			b.rack = ""
		}
		w.partitions[topicPartition{"orders", 5}].leader = 0
	})
	dry := w.weirSoon("cluster", "rebalance", "--dry-run")
	if dry.code != 0 || len(w.batches) > 0 {
		t.Fatal(dry)
	}
	got := w.weirSoon("cluster", "rebalance", "--at-once", "2")
	expect(t, got, 0, dry.out, "")
	if w.mostMoving > 2 {
		t.Errorf("%d moved at once", w.mostMoving)
	}
	replicas, leaders := map[int32]int{}, map[int32]int{}
	for _, p := range w.partitions {
		leaders[p.leader]++
		for _, id := range p.replicas {
			replicas[id]++
		}
	}
	if diff := cmp.Diff([]map[int32]int{{0: 4, 1: 4, 2: 4}, {0: 2, 1: 2, 2: 2}}, []map[int32]int{replicas, leaders}); diff != "" {
		t.Error(diff)
	}
	expect(t, w.weirSoon("cluster", "rebalance"), 0, "There is nothing to move.\n", "")
	w.fail(1)
	expect(t, w.weirSoon("cluster", "rebalance"), exitFailed, "",
		"weir: broker 1 is down, so what is even cannot be said: start it, or move its replicas off with `weir cluster decommission`\n")
}

func TestProgressText(t *testing.T) {
	start := time.Unix(0, 0)
	moving := func(topic string, copied, bytes int64) reassignment {
		return reassignment{Topic: topic, Copied: &copied, Bytes: &bytes}
	}
	var p pace
	p.more(10 << 20)
	p.at(start, 0)
	if got, want := progressText(0, 4, nil, p), "Moved 0 of 4 partitions, 0 B of 10.0 MiB"; got != want {
		t.Errorf("%q, want %q", got, want)
	}
	if got, want := progressText(0, 0, []reassignment{{Topic: "a"}}, pace{}), "Waiting for what is moving already; moving now: a:0"; got != want {
		t.Errorf("%q, want %q", got, want)
	}
	p.at(start.Add(2*time.Second), 4<<20)
	waiting := []reassignment{moving("a", 1, 4), moving("b", 0, 0), {Topic: "c"}, moving("d", 1, 2), moving("e", 1, 2)}
	if got, want := progressText(1, 4, waiting, p), "Moved 1 of 4 partitions, 4.0 MiB of 10.0 MiB, 2.0 MiB/s, about 4s left; moving now: a:0 25%, b:0, c:0, 2 more"; got != want {
		t.Errorf("%q, want %q", got, want)
	}
	p.at(start.Add(3*time.Second), 3<<20) // retention took something away
	if p.now != 4<<20 {
		t.Error("it went backwards")
	}
	p.at(start.Add(5*time.Second), 11<<20)
	if got, want := progressText(4, 4, nil, p), "Moved 4 of 4 partitions, 10.0 MiB of 10.0 MiB, 2.2 MiB/s"; got != want {
		t.Errorf("%q, want %q", got, want)
	}
}

func TestReportWithoutTerminal(t *testing.T) {
	out := newWatched()
	start := time.Unix(100, 0)
	r := report{line: &progressLine{}, w: out, last: start}
	for _, after := range []time.Duration{0, tellEvery - 1, tellEvery, tellEvery + 1, 2 * tellEvery} {
		r.show(start.Add(after), func() string { return "at " + after.String() })
	}
	r.clear()
	if want := "at 30s.\nat 1m0s.\n"; out.String() != want {
		t.Errorf("%q", out.String())
	}
}
