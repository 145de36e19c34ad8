package cluster

import (
	"slices"
	"strings"
	"testing"

	"github.com/twmb/franz-go/pkg/kmsg"
	"pgregory.net/rapid"
)

// racked makes a controller of a cluster with so many brokers in each rack, of which some are dead and some full.
func racked(t *testing.T, sizes []int, dead, full map[int32]bool, pick func(int) int) *driver {
	d := &driver{t: t}
	cfg := d.config()
	cfg.Pick = pick
	d.c = NewController(cfg)
	id := int32(1)
	for rack, size := range sizes {
		for range size {
			b := broker(id, byte(id))
			b.Rack = string(rune('a' + rack))
			d.register(b)
			id++
		}
	}
	d.c.cfg.Alive = func(id int32) bool { return !dead[id] }
	d.c.cfg.Full = func(id int32) bool { return full[id] }
	return d
}

// counts gives how many partitions each broker leads and holds.
func counts(partitions []Partition) (leads, holds map[int32]int) {
	leads, holds = map[int32]int{}, map[int32]int{}
	for _, p := range partitions {
		leads[p.Replicas[0]]++
		for _, id := range p.Replicas {
			holds[id]++
		}
	}
	return leads, holds
}

// TestPlacement: whatever the cluster, replicas are on different brokers, on living ones as long as there are any, in as many
// racks as can be, and leaders are balanced, also when a topic grows.
func TestPlacement(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		sizes := rapid.SliceOfN(rapid.IntRange(1, 4), 1, 4).Draw(rt, "racks")
		dead, full := map[int32]bool{}, map[int32]bool{}
		var living []int32
		racks, usable := map[string]bool{}, 0
		total := 0
		for _, s := range sizes {
			total += s
		}
		for id := int32(1); id <= int32(total); id++ {
			dead[id] = rapid.IntRange(0, 4).Draw(rt, "dead") == 0
			full[id] = rapid.IntRange(0, 9).Draw(rt, "full") == 0
			if !full[id] {
				usable++
			}
			if !dead[id] && !full[id] {
				living = append(living, id)
			}
		}
		d := racked(t, sizes, dead, full, func(n int) int { return rapid.IntRange(0, n-1).Draw(rt, "start") })
		for _, id := range living {
			racks[d.c.Image().Broker(id).Rack] = true
		}
		factor := rapid.IntRange(1, total).Draw(rt, "factor")
		first, more := rapid.IntRange(1, 40).Draw(rt, "partitions"), rapid.IntRange(0, 20).Draw(rt, "more")
		got, text := d.c.place(nil, first, factor)
		if impossible := factor > usable || len(living) == 0 || factor > 2 && 2*len(living) <= factor; impossible != (text != "") {
			rt.Fatalf("factor %d on %d living of %d: %q", factor, len(living), usable, text)
		}
		if text != "" {
			return
		}
		var partitions []Partition
		for _, replicas := range got {
			partitions = append(partitions, Partition{Replicas: replicas})
		}
		got, _ = d.c.place(partitions, more, factor)
		for _, replicas := range got {
			partitions = append(partitions, Partition{Replicas: replicas})
		}
		for number, p := range partitions {
			if len(p.Replicas) != factor || len(slices.Compact(slices.Sorted(slices.Values(p.Replicas)))) != factor {
				rt.Fatalf("partition %d has replicas %v", number, p.Replicas)
			}
			used, alive := map[string]bool{}, 0
			for _, id := range p.Replicas {
				if full[id] {
					rt.Fatalf("partition %d is on a full broker: %v", number, p.Replicas)
				}
				if !dead[id] {
					used[d.c.Image().Broker(id).Rack] = true
					alive++
				}
			}
			if dead[p.Replicas[0]] || alive != min(factor, len(living)) {
				rt.Fatalf("partition %d is on %d living brokers: %v", number, alive, p.Replicas)
			}
			if len(used) != min(factor, len(racks)) {
				rt.Fatalf("partition %d is in %d racks: %v", number, len(used), p.Replicas)
			}
		}
		leads, _ := counts(partitions)
		for _, id := range living {
			if floor := len(partitions) / len(living); leads[id] < floor || leads[id] > floor+1 {
				rt.Fatalf("broker %d leads %d of %d partitions on %d brokers", id, leads[id], len(partitions), len(living))
			}
		}
	})
}

// TestPlacementIsEvenInEvenRacks: with racks of one size, also the replicas are balanced, and a lost broker's partitions fall to
// all brokers of other racks alike.
func TestPlacementIsEvenInEvenRacks(t *testing.T) {
	for _, c := range []struct{ racks, size, factor int }{
		{1, 3, 2}, {1, 3, 3}, {1, 5, 3}, {1, 6, 2}, {3, 1, 3}, {3, 2, 3}, {3, 3, 2}, {3, 3, 3}, {2, 3, 2}, {2, 3, 4},
	} {
		sizes := slices.Repeat([]int{c.size}, c.racks)
		n := c.racks * c.size
		others := n - 1
		if c.racks > 1 {
			others = n - c.size
		}
		d := racked(t, sizes, nil, nil, func(int) int { return 1 })
		got, _ := d.c.place(nil, n*others, c.factor)
		var partitions []Partition
		seconds := map[[2]int32]int{}
		for _, replicas := range got {
			partitions = append(partitions, Partition{Replicas: replicas})
			seconds[[2]int32{replicas[0], replicas[1]}]++
		}
		leads, holds := counts(partitions)
		for id := int32(1); id <= int32(n); id++ {
			if even := others * c.factor; leads[id] != others || holds[id] < even-1 || holds[id] > even+1 {
				t.Errorf("%+v: broker %d leads %d and holds %d, want %d and about %d", c, id, leads[id], holds[id], others, even)
			}
		}
		if len(seconds) < n*min(others, 2) {
			t.Errorf("%+v: the seconds are only %v", c, seconds)
		}
	}
}

// TestPlacementErrors are Kafka's.
func TestPlacementErrors(t *testing.T) {
	dead, full := map[int32]bool{}, map[int32]bool{}
	d := racked(t, []int{4}, dead, full, func(int) int { return 0 })
	ask := func(to kmsg.CreateTopicsRequestTopic) string {
		got := d.create(true, to)[0]
		if got.ErrorMessage == nil {
			return ""
		}
		if got.ErrorCode != 38 && got.ErrorCode != 39 {
			t.Errorf("%d: %s", got.ErrorCode, *got.ErrorMessage)
		}
		return *got.ErrorMessage
	}
	grown := func(count int32, replicas ...int32) string {
		req := kmsg.NewPtrCreatePartitionsRequest()
		g := kmsg.NewCreatePartitionsRequestTopic()
		g.Topic, g.Count, g.Assignment = "t", count, nil
		if replicas != nil {
			g.Assignment = []kmsg.CreatePartitionsRequestTopicAssignment{{Replicas: replicas}}
		}
		req.Topics, req.ValidateOnly = append(req.Topics, g), true
		if got := d.send(Request{Body: req}).(*kmsg.CreatePartitionsResponse).Topics[0]; got.ErrorMessage != nil {
			return *got.ErrorMessage
		}
		return ""
	}
	d.create(false, topic("t", 1, 3))
	for _, c := range []struct {
		dead, full []int32
		ask        func() string
		want       string // how the message begins; "": it goes well
	}{
		{nil, nil, func() string { return ask(topic("x", 1, 5)) }, "Unable to replicate the partition 5 time(s): The target replication factor of 5 cannot be reached because only 4 broker(s) are registered or some brokers have all their log directories cordoned."},
		{nil, []int32{1, 2}, func() string { return ask(topic("x", 1, 3)) }, "Unable to replicate the partition 3 time(s): The target replication factor of 3 cannot be reached because only 2 broker(s) are registered or some"},
		{[]int32{4}, nil, func() string { return ask(topic("x", 1, 4)) }, ""},
		{[]int32{3, 4}, nil, func() string { return ask(topic("x", 1, 4)) }, "Unable to replicate the partition 4 time(s): The target replication factor of 4 cannot be reached because only 2 of 4 broker(s) are alive"},
		{[]int32{2, 3, 4}, nil, func() string { return ask(topic("x", 1, 2)) }, ""},
		{[]int32{1, 2, 3, 4}, nil, func() string { return ask(topic("x", 1, 1)) }, "Unable to replicate the partition 1 time(s): All brokers are currently fenced."},
		{[]int32{1, 2, 3, 4}, nil, func() string { return grown(2) }, "All brokers are currently fenced."},
		{nil, []int32{1, 2}, func() string { return grown(2) }, "The target replication factor of 3 cannot be reached because only 2 broker(s) are registered"},
		{[]int32{4}, nil, func() string { return ask(assignment(topic("x", 0, 0), []int32{1}, []int32{4})) }, "All brokers specified in the manual partition assignment for partition 1 are fenced or in controlled shutdown."},
		{[]int32{4}, nil, func() string { return ask(assignment(topic("x", 0, 0), []int32{4, 1})) }, ""},
		{[]int32{1, 2, 4}, nil, func() string { return grown(2, 1, 2, 4) }, "All brokers specified in the manual partition assignment for partition 1 are fenced or in controlled shutdown."},
		{nil, []int32{4}, func() string { return ask(assignment(topic("x", 0, 0), []int32{4})) }, "The manual partition assignment includes broker 4, but its disk is full."},
	} {
		clear(dead)
		clear(full)
		for _, id := range c.dead {
			dead[id] = true
		}
		for _, id := range c.full {
			full[id] = true
		}
		if got := c.ask(); !strings.HasPrefix(got, c.want) || c.want == "" && got != "" {
			t.Errorf("dead %v, full %v: %q, want %q", c.dead, c.full, got, c.want)
		}
	}
}
