package cluster

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/twmb/franz-go/pkg/kmsg"
	"pgregory.net/rapid"
)

// alteration asks for a reassignment of one partition; nil replicas call it off.
func alteration(topic string, partition int32, replicas []int32) kmsg.AlterPartitionAssignmentsRequestTopic {
	t := kmsg.NewAlterPartitionAssignmentsRequestTopic()
	t.Topic = topic
	p := kmsg.NewAlterPartitionAssignmentsRequestTopicPartition()
	p.Partition, p.Replicas = partition, replicas
	t.Partitions = append(t.Partitions, p)
	return t
}

// reassign asks for one reassignment and gives the error as a text; "": it goes well.
func (d *driver) reassign(anyFactor bool, t kmsg.AlterPartitionAssignmentsRequestTopic) string {
	d.t.Helper()
	req := kmsg.NewPtrAlterPartitionAssignmentsRequest()
	req.Version, req.AllowReplicationFactorChange = 1, anyFactor
	req.Topics = append(req.Topics, t)
	resp := d.send(Request{Body: req}).(*kmsg.AlterPartitionAssignmentsResponse)
	if resp.ErrorCode != 0 || resp.AllowReplicationFactorChange != anyFactor {
		d.t.Fatalf("%+v", resp)
	}
	p := resp.Topics[0].Partitions[0]
	switch {
	case p.ErrorMessage != nil:
		return fmt.Sprintf("%d %s", p.ErrorCode, *p.ErrorMessage)
	case p.ErrorCode != 0:
		return fmt.Sprint(p.ErrorCode)
	}
	return ""
}

// partition describes a partition as the answers do.
func (d *driver) partition(topic string, number int32) string {
	p := d.c.Image().Topic(topic).Partitions[number]
	return fmt.Sprint(p.Replicas, p.Adding, p.Removing)
}

func (d *driver) reached(topic string, number int32, replicas ...int32) {
	t := d.c.Image().Topic(topic)
	d.send(ReplicasReached{t.ID, number, t.Partitions[number].Epoch, replicas})
}

// TestReassignmentErrors are in Kafka's words, and leave all as it was.
func TestReassignmentErrors(t *testing.T) {
	d := newDriver(t, 4)
	d.create(false, assignment(topic("a", 0, 0), []int32{1, 2}, []int32{2, 3}))
	full := map[int32]bool{}
	d.c.cfg.Full = func(id int32) bool { return full[id] }
	before := len(d.log)
	for name, c := range map[string]struct {
		anyFactor bool
		ask       kmsg.AlterPartitionAssignmentsRequestTopic
		full      int32
		want      string
	}{
		"unknown topic":      {true, alteration("zz", 0, []int32{1}), 0, "3 Unable to find a topic named zz."},
		"unknown partition":  {true, alteration("a", 9, []int32{1}), 0, "3 Unable to find partition a:9."},
		"negative partition": {true, alteration("a", -1, []int32{1}), 0, "3 Unable to find partition a:-1."},
		"metadata":           {true, alteration(MetadataTopic, 0, []int32{1}), 0, "3 Unable to find a topic named __cluster_metadata."},
		"empty":              {false, alteration("a", 0, []int32{}), 0, "39 The manual partition assignment includes an empty replica list."},
		"twice":              {false, alteration("a", 0, []int32{1, 1, 1}), 0, "39 The manual partition assignment includes the broker 1 more than once."},
		"unknown broker":     {false, alteration("a", 0, []int32{1, 9, 8}), 0, "39 The manual partition assignment includes broker 8, but no such broker is registered."},
		"factor":             {false, alteration("a", 0, []int32{1, 2, 3}), 0, "38 The replication factor is changed from 2 to 3"},
		"nothing to cancel":  {false, alteration("a", 0, nil), 0, "85"},
		"full":               {true, alteration("a", 0, []int32{1, 4}), 4, "39 The manual partition assignment includes broker 4, but its disk is full."},
		"full, but there":    {true, alteration("a", 0, []int32{1, 2}), 2, ""},
		"the same":           {false, alteration("a", 0, []int32{1, 2}), 0, ""},
	} {
		clear(full)
		full[c.full] = true
		if got := d.reassign(c.anyFactor, c.ask); got != c.want {
			t.Errorf("%s: %q, want %q", name, got, c.want)
		}
		if len(d.log) != before {
			t.Fatalf("%s: recorded %s", name, d.log[before].Value)
		}
	}
}

// TestReassignment tells the story of one partition step by step; what Kafka shows of it too was asked of Kafka.
func TestReassignment(t *testing.T) {
	d := newDriver(t, 5)
	d.create(false, assignment(topic("a", 0, 0), []int32{1, 2}, []int32{2, 3}))
	for i, step := range []struct {
		do   func() string
		want string // replicas, adding, removing
	}{
		{func() string { return d.reassign(false, alteration("a", 0, []int32{3, 2})) }, "[3 2 1] [3] [1]"},
		{func() string { d.reached("a", 0, 3, 2, 1); return "" }, "[3 2 1] [3] [1]"},
		{func() string { d.reached("a", 0, 3); return "" }, "[3 2 1] [3] [1]"},
		{func() string { return d.reassign(false, alteration("a", 0, []int32{3, 2})) }, "[3 2 1] [3] [1]"}, // again
		{func() string { return d.reassign(true, alteration("a", 0, nil)) }, "[2 1 3] [3] [3]"},            // 3 may hold it already
		{func() string { return d.reassign(true, alteration("a", 0, nil))[:2] }, "[2 1 3] [3] [3]"},
		{func() string { d.reached("a", 0, 1, 2); return "" }, "[2 1] [] []"},
		{func() string { d.reached("a", 0, 1, 2); return "" }, "[2 1] [] []"},
		{func() string { return d.reassign(true, alteration("a", 0, []int32{1, 2})) }, "[1 2] [] []"}, // only the order
		{func() string { return d.reassign(true, alteration("a", 0, []int32{4, 1})) }, "[4 1 2] [4] [2]"},
		{func() string { return d.reassign(true, alteration("a", 0, []int32{4, 1, 2})) }, "[4 1 2] [4] []"}, // 2 stays after all
		{func() string { return d.reassign(true, alteration("a", 0, []int32{4, 1})) }, "[4 1 2] [4] [2]"},
		{func() string { return d.reassign(false, alteration("a", 0, []int32{4, 3})) }, "[4 3 1 2] [3 4] [1 2]"}, // changed
		{func() string { return d.reassign(false, alteration("a", 0, []int32{5})) }, "[4 3 1 2] [3 4] [1 2]"},
		{func() string { return d.reassign(true, alteration("a", 0, []int32{5})) }, "[5 1 2 3 4] [3 4 5] [1 2 3 4]"},
		{func() string { return d.reassign(true, alteration("a", 0, []int32{1, 2})) }, "[1 2 3 4 5] [3 4 5] [3 4 5]"}, // back by hand
		{func() string { return d.reassign(true, alteration("a", 0, nil))[:2] }, "[1 2 3 4 5] [3 4 5] [3 4 5]"},
		{func() string { return d.reassign(true, alteration("a", 0, []int32{2})) }, "[2 1 3 4 5] [3 4 5] [1 3 4 5]"},
		{func() string { d.reached("a", 0, 2); return "" }, "[2] [] []"},
		{func() string { return d.reassign(true, alteration("a", 0, []int32{2, 5, 1})) }, "[2 5 1] [1 5] []"},
		{func() string { return d.reassign(true, alteration("a", 0, nil)) }, "[2 1 5] [1 5] [1 5]"},
		{func() string { d.reached("a", 0, 2); return "" }, "[2] [] []"},
	} {
		d.c.TakeChanges()
		before := d.partition("a", 0)
		if got := step.do(); got != "" && got != "85" && !strings.HasPrefix(got, "38 The replication factor is changed from 2 to 1") {
			t.Errorf("step %d: %s", i, got)
		}
		if got := d.partition("a", 0); got != step.want {
			t.Fatalf("step %d: %s, want %s", i, got, step.want)
		}
		if changed := d.partition("a", 0) != before; changed != slices.Equal(d.c.TakeChanges().Topics, []string{"a"}) {
			t.Errorf("step %d: whether the topic changed (%t) is not told", i, changed)
		}
		if got := d.partition("a", 1); got != "[2 3] [] []" {
			t.Fatalf("step %d: the other partition is %s", i, got)
		}
		d.survives()
	}
}

// TestReassignmentToTheDead waits for them, as in Kafka; going back to the dead is refused.
func TestReassignmentToTheDead(t *testing.T) {
	d := newDriver(t, 3)
	d.create(false, assignment(topic("a", 0, 0), []int32{1}))
	dead := map[int32]bool{3: true}
	d.c.cfg.Alive = func(id int32) bool { return !dead[id] }
	if got := d.reassign(true, alteration("a", 0, []int32{3})); got != "" || d.partition("a", 0) != "[3 1] [3] [1]" {
		t.Errorf("%s: %s", got, d.partition("a", 0))
	}
	dead[1] = true
	if got := d.reassign(true, alteration("a", 0, nil)); got != "39 Unable to revert partition assignment for a:0 because it would require an unclean leader election." {
		t.Error(got)
	}
}

func TestListingReassignments(t *testing.T) {
	d := newDriver(t, 3)
	d.create(false, assignment(topic("a", 0, 0), []int32{1}, []int32{1}), assignment(topic("b", 0, 0), []int32{2}))
	list := func(topics ...kmsg.ListPartitionReassignmentsRequestTopic) string {
		req := kmsg.NewPtrListPartitionReassignmentsRequest()
		req.Topics = topics
		resp := d.c.Image().Reassignments(req)
		var out []string
		for _, t := range resp.Topics {
			for _, p := range t.Partitions {
				out = append(out, fmt.Sprint(t.Topic, p.Partition, p.Replicas, p.AddingReplicas, p.RemovingReplicas))
			}
		}
		return strings.Join(out, ", ")
	}
	asked := func(topic string, partitions ...int32) kmsg.ListPartitionReassignmentsRequestTopic {
		t := kmsg.NewListPartitionReassignmentsRequestTopic()
		t.Topic, t.Partitions = topic, partitions
		return t
	}
	if got := list(); got != "" {
		t.Error(got)
	}
	d.reassign(true, alteration("a", 1, []int32{3}))
	d.reassign(true, alteration("b", 0, []int32{2, 1}))
	const a, b = "a1 [3 1] [3] [1]", "b0 [2 1] [1] []"
	for _, c := range []struct {
		name, got, want string
	}{
		{"all", list(), a + ", " + b},
		{"some", list(asked("b", 0), asked("none", 0), asked("a", 0, 7, -1)), b},
		{"one", list(asked("a", 1)), a},
		{"twice", list(asked("a", 1, 1)), a + ", " + a},
		{"no partitions", list(asked("a")), ""},
		{"no topics", list([]kmsg.ListPartitionReassignmentsRequestTopic{}...), ""},
	} {
		if c.got != c.want {
			t.Errorf("%s: %q, want %q", c.name, c.got, c.want)
		}
	}
}

// TestGrowingAndDeletingWhileMoving: new partitions get the factor that the topic shall have; a topic that moves can go.
func TestGrowingAndDeletingWhileMoving(t *testing.T) {
	d := newDriver(t, 4)
	d.create(false, assignment(topic("a", 0, 0), []int32{1, 2}))
	d.reassign(true, alteration("a", 0, []int32{3, 4}))
	req := kmsg.NewPtrCreatePartitionsRequest()
	g := kmsg.NewCreatePartitionsRequestTopic()
	g.Topic, g.Count, g.Assignment = "a", 3, nil
	req.Topics = append(req.Topics, g)
	if got := d.send(Request{Body: req}).(*kmsg.CreatePartitionsResponse).Topics[0]; got.ErrorCode != 0 {
		t.Fatalf("%+v", got)
	}
	a := d.c.Image().Topic("a")
	if d.partition("a", 0) != "[3 4 1 2] [3 4] [1 2]" || len(a.Partitions[1].Replicas) != 2 || len(a.Partitions[2].Replicas) != 2 {
		t.Fatalf("%+v", a)
	}
	d.survives()
	del := kmsg.NewPtrDeleteTopicsRequest()
	del.TopicNames = []string{"a"}
	d.send(Request{Body: del})
	d.send(ReplicasReached{a.ID, 0, 1, []int32{3, 4}})
	if d.c.Image().Topic("a") != nil {
		t.Fatal("it is still there")
	}
	d.survives()
}

// TestWhoeverMayHoldAPartitionIsNamed plays the leader of a group that works towards what it has heard of, late, and whose news
// come late: every member of the group is always among the replicas, or its broker would remove the partition while it votes.
func TestWhoeverMayHoldAPartitionIsNamed(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		d := newDriver(t, 6)
		d.create(false, assignment(topic("a", 0, 0), []int32{1, 2, 3}))
		first := d.c.Image().Topic("a")
		members, heard := []int32{1, 2, 3}, first.Partitions[0]
		var news []ReplicasReached
		steps := map[string]func(*rapid.T){
			"reassign": func(rt *rapid.T) {
				d.reassign(true, alteration("a", 0, rapid.SliceOfNDistinct(rapid.Int32Range(1, 6), 1, 4, rapid.ID[int32]).Draw(rt, "target")))
			},
			"cancel": func(*rapid.T) { d.reassign(true, alteration("a", 0, nil)) },
			"hear":   func(*rapid.T) { heard = d.c.Image().Topic("a").Partitions[0] },
			"work": func(*rapid.T) {
				target := heard.Target()
				if missing := without(target, members); len(missing) > 0 {
					members = append(slices.Clone(members), missing[0])
				} else if extra := without(members, target); len(extra) > 0 {
					members = without(members, extra[:1])
				} else {
					news = append(news, ReplicasReached{first.ID, 0, heard.Epoch, slices.Clone(members)})
				}
			},
			"deliver": func(rt *rapid.T) {
				if len(news) > 0 {
					d.send(rapid.SampledFrom(news).Draw(rt, "news"))
				}
			},
			"": func(rt *rapid.T) {
				p := d.c.Image().Topic("a").Partitions[0]
				if missing := without(members, p.Replicas); len(missing) > 0 {
					rt.Fatalf("%v are members and not named: %+v", missing, p)
				}
				if distinct := slices.Compact(slices.Sorted(slices.Values(p.Replicas))); len(distinct) != len(p.Replicas) || len(p.Target()) == 0 || len(p.origin()) == 0 {
					rt.Fatalf("%+v", p)
				}
				if len(without(p.Adding, p.Replicas)) > 0 || len(without(p.Removing, p.Replicas)) > 0 || !slices.Equal(p.Target(), p.Replicas[:len(p.Target())]) {
					rt.Fatalf("%+v", p)
				}
			},
		}
		rt.Repeat(steps)
		heard = d.c.Image().Topic("a").Partitions[0]
		for range 12 {
			steps["work"](rt)
		}
		if heard.Moving() {
			d.send(news[len(news)-1])
		}
		if p := d.c.Image().Topic("a").Partitions[0]; p.Moving() || !slices.Equal(p.Replicas, heard.Target()) {
			rt.Fatalf("it does not end: %+v", p)
		}
	})
}
