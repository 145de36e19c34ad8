package cli

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// mapOf reads a map: brokers as "1", "2/rack", and partitions as "topic:0=1,2,3", with ! at the end if they are moving.
func mapOf(t *testing.T, brokers, partitions string) replicaMap {
	t.Helper()
	var l replicaMap
	for _, text := range strings.Fields(brokers) {
		var b mappedBroker
		id, rack, _ := strings.Cut(text, "/")
		b.rack = rack
		if _, err := fmt.Sscan(id, &b.id); err != nil {
			t.Fatal(err)
		}
		l.brokers = append(l.brokers, b)
	}
	for _, text := range strings.Fields(partitions) {
		var p mappedPartition
		text, p.moving = strings.CutSuffix(text, "!")
		name, replicas, _ := strings.Cut(text, "=")
		topic, partition, _ := strings.Cut(name, ":")
		p.topic = topic
		if _, err := fmt.Sscan(partition, &p.partition); err != nil {
			t.Fatal(err)
		}
		for id := range strings.SplitSeq(replicas, ",") {
			var n int32
			if _, err := fmt.Sscan(id, &n); err != nil {
				t.Fatal(err)
			}
			p.replicas = append(p.replicas, n)
		}
		l.partitions = append(l.partitions, p)
	}
	return l
}

func textOf(moves []move) string {
	var all []string
	for _, m := range moves {
		all = append(all, fmt.Sprintf("%s:%d=%s", m.topic, m.partition, numbers(m.to)))
	}
	return strings.Join(all, " ")
}

func TestPlanDecommission(t *testing.T) {
	for _, test := range []struct {
		name, brokers, partitions string
		leaving                   int32
		want                      string
	}{
		{"the emptiest takes over, in place", "1 2 3 4", "a:0=1,2,3 a:1=2,3,1 a:2=3,1,2", 1, "a:0=4,2,3 a:1=2,3,4 a:2=3,4,2"},
		{"spread over those that are left", "1 2 3", "a:0=1 a:1=1 a:2=1 a:3=1", 1, "a:0=2 a:1=3 a:2=2 a:3=3"},
		{"racks before numbers", "1/a 2/b 3/b 4/a", "a:0=1,2 b:0=4 b:1=4 b:2=4", 1, "a:0=4,2"},
		{"a broker that is down has no rack", "2/a 3/a", "a:0=1,2 a:1=3,1", 1, "a:0=3,2 a:1=3,2"},
		{"moving partitions wait", "1 2 3", "a:0=1,2! a:1=1,2", 1, "a:1=3,2"},
		{"nothing there", "1 2", "a:0=2", 1, ""},
		{"leaders are spread", "1 2 3", "a:0=1,2 a:1=1,3 b:0=2,3 b:1=2,3", 1, "a:0=3,2 a:1=2,3"},
	} {
		moves, err := planDecommission(mapOf(t, test.brokers, test.partitions), test.leaving)
		if got := textOf(moves); err != nil || got != test.want {
			t.Errorf("%s: %q, %v, want %q", test.name, got, err, test.want)
		}
	}
	_, err := planDecommission(mapOf(t, "1 2", "a:0=1,2"), 1)
	if want := "partition 0 of topic \"a\" has 2 replicas, and without broker 1 there is no broker to keep the last: add a broker, or give the topic fewer replicas with `weir partition reassign`"; err == nil || err.Error() != want {
		t.Error(err)
	}
}

func TestPlanRebalance(t *testing.T) {
	for _, test := range []struct{ name, brokers, partitions, want string }{
		{"even already", "1 2 3", "a:0=1,2 a:1=2,3 a:2=3,1", ""},
		{"a new broker gets its share", "1 2 3", "a:0=1,2 a:1=2,1 a:2=1,2", "a:0=3,1 a:1=2,3"},
		{"only leaders", "1 2 3", "a:0=1,2,3 a:1=1,2,3 a:2=1,2,3", "a:0=3,2,1 a:1=2,1,3"},
		{"leaders are passed on", "1 2 3 4", "a:0=1,2 a:1=1,2 b:0=2,3 b:1=2,3 c:0=4,3 c:1=4,3 d:0=1,4 d:1=1,4", "a:0=2,1 a:1=2,1 b:0=3,2 b:1=3,2"},
		{"racks stay", "1/a 2/b 3/b", "a:0=1,2 a:1=1,2 a:2=1,2 a:3=1,2", "a:0=3,1 a:1=1,3 a:2=2,1"},
		{"moving partitions stay", "1 2", "a:0=1! a:1=1! a:2=1!", ""},
		{"brokers that are down keep what they have", "1 2", "a:0=9 a:1=9 a:2=9 b:0=1 b:1=1", "b:0=2"},
		{"one broker", "1", "a:0=1 a:1=1", ""},
		{"nothing", "", "", ""},
	} {
		if got := textOf(planRebalance(mapOf(t, test.brokers, test.partitions))); got != test.want {
			t.Errorf("%s: %q, want %q", test.name, got, test.want)
		}
	}
}

// TestReplicasArePassedOn: a broker that cannot give to an empty one gives to one between them.
func TestReplicasArePassedOn(t *testing.T) {
	// In rack a are 1 and 2, in b are 3 and 4; broker 1 is full and 4 is empty, and no partition may leave its racks.
	l := mapOf(t, "1/a 2/a 3/b 4/b", "a:0=1,3 a:1=1,3 a:2=1,3 a:3=2,3")
	moves := planRebalance(l)
	after := apply(l, moves)
	if low, high := extremes(l, after, func(p mappedPartition) []int32 { return p.replicas }); high-low > 1 {
		t.Errorf("%s: between %d and %d replicas", textOf(moves), low, high)
	}
}

// randomMap makes a cluster that has grown and shrunk. racks 0: no broker has a rack.
func randomMap(r *rand.Rand, brokersMax, partitionsMax, racks int) replicaMap {
	var l replicaMap
	n := 1 + r.IntN(brokersMax)
	for id := range n {
		b := mappedBroker{id: int32(id + 1)}
		if racks > 0 {
			b.rack = string(rune('a' + r.IntN(racks)))
		}
		l.brokers = append(l.brokers, b)
	}
	used := 1 + r.IntN(n) // those that have replicas; the others are new
	for at := range r.IntN(partitionsMax + 1) {
		var replicas []int32
		for _, i := range r.Perm(used)[:1+r.IntN(min(3, used))] {
			replicas = append(replicas, l.brokers[i].id)
		}
		l.partitions = append(l.partitions, mappedPartition{topicPartition{string(rune('t' + at%3)), int32(at / 3)}, replicas, int64(r.IntN(100)), r.IntN(10) == 0})
	}
	return l
}

// apply gives the map after moves.
func apply(l replicaMap, moves []move) replicaMap {
	after := replicaMap{brokers: l.brokers}
	for _, p := range l.partitions {
		for _, m := range moves {
			if m.topicPartition == p.topicPartition {
				p.replicas = m.to
			}
		}
		after.partitions = append(after.partitions, p)
	}
	return after
}

// extremes gives the least and the most of what brokers have of partitions.
func extremes(l, of replicaMap, what func(mappedPartition) []int32) (low, high int) {
	load := map[int32]int{}
	for _, p := range of.partitions {
		for _, id := range what(p) {
			load[id]++
		}
	}
	var all []int
	for _, b := range l.brokers {
		all = append(all, load[b.id])
	}
	return slices.Min(all), slices.Max(all)
}

// checkMoves looks at what must be true of every plan.
func checkMoves(t *testing.T, seed uint64, l replicaMap, moves []move) {
	t.Helper()
	d := l.draft()
	for _, m := range moves {
		at := slices.IndexFunc(l.partitions, func(p mappedPartition) bool { return p.topicPartition == m.topicPartition })
		p := l.partitions[at]
		seen := map[int32]bool{}
		for _, id := range m.to {
			if seen[id] {
				t.Fatalf("seed %d: %s:%d has two replicas on broker %d", seed, m.topic, m.partition, id)
			}
			seen[id] = true
			if _, there := slices.BinarySearch(d.ids, id); !there && !slices.Contains(m.from, id) {
				t.Fatalf("seed %d: %s:%d is moved to broker %d, which can take none", seed, m.topic, m.partition, id)
			}
		}
		if p.moving || len(m.to) != len(p.replicas) || !slices.Equal(m.from, p.replicas) || slices.Equal(m.from, m.to) {
			t.Fatalf("seed %d: %+v of %+v", seed, m, p)
		}
	}
}

func TestRebalanceProperties(t *testing.T) {
	for seed := range uint64(3000) {
		r := rand.New(rand.NewPCG(seed, 1))
		racks := r.IntN(4)
		l := randomMap(r, 7, 40, racks)
		moves := planRebalance(l)
		checkMoves(t, seed, l, moves)
		after := apply(l, moves)
		d := l.draft()
		changed, pinned := 0, 0
		for i, p := range l.partitions {
			if spread(d, after.partitions[i].replicas) < spread(d, p.replicas) {
				t.Fatalf("seed %d: %v is in fewer racks than %v", seed, after.partitions[i].replicas, p.replicas)
			}
			changed += len(without(after.partitions[i].replicas, p.replicas))
			if p.moving {
				pinned++
			}
		}
		if again := planRebalance(after); len(again) > 0 {
			t.Fatalf("seed %d: a plan that was carried out leaves %s", seed, textOf(again))
		}
		if racks > 0 || pinned > 0 {
			continue
		}
		if low, high := extremes(l, after, func(p mappedPartition) []int32 { return p.replicas }); high-low > 1 {
			t.Fatalf("seed %d: between %d and %d replicas", seed, low, high)
		}
		// As few replicas move as must: what brokers have above their share.
		if least := surplus(l); changed != least {
			t.Fatalf("seed %d: %d replicas move, where %d would do", seed, changed, least)
		}
	}
}

// surplus counts the replicas that must leave their brokers, so that none has more than one more than another.
func surplus(l replicaMap) int {
	d := l.draft()
	total := 0
	var loads []int
	for _, id := range d.ids {
		loads = append(loads, d.replicas[id])
		total += d.replicas[id]
	}
	slices.SortFunc(loads, func(a, b int) int { return b - a })
	n := 0
	for i, load := range loads { // the fullest may keep the ones that do not divide
		share := total / len(loads)
		if i < total%len(loads) {
			share++
		}
		n += max(0, load-share)
	}
	return n
}

// TestRebalanceIsAsEvenAsCanBe tries every placement of small clusters with racks, and every choice of leaders.
func TestRebalanceIsAsEvenAsCanBe(t *testing.T) {
	for seed := range uint64(400) {
		r := rand.New(rand.NewPCG(seed, 2))
		l := randomMap(r, 4, 4, 1+r.IntN(3))
		after := apply(l, planRebalance(l))
		replicas := func(p mappedPartition) []int32 { return p.replicas }
		low, high := extremes(l, after, replicas)
		if best := leastGap(l, 0, replicas); high-low > max(1, best) {
			t.Errorf("seed %d: %v: between %d and %d replicas, but %d apart is possible", seed, l, low, high, best)
		}
	}
}

// leastGap tries all placements that a plan may choose, from a partition on, for the least difference between brokers.
func leastGap(l replicaMap, at int, what func(mappedPartition) []int32) int {
	if at == len(l.partitions) {
		low, high := extremes(l, l, what)
		return high - low
	}
	p := l.partitions[at]
	best := leastGap(l, at+1, what)
	if p.moving {
		return best
	}
	d := l.draft()
	var place func(chosen []int32, from int)
	place = func(chosen []int32, from int) {
		if len(chosen) == len(p.replicas) {
			if spread(d, chosen) >= spread(d, p.replicas) {
				other := replicaMap{l.brokers, slices.Clone(l.partitions)}
				other.partitions[at].replicas = slices.Clone(chosen)
				best = min(best, leastGap(other, at+1, what))
			}
			return
		}
		for i := from; i < len(l.brokers); i++ {
			place(append(chosen, l.brokers[i].id), i+1)
		}
	}
	place(nil, 0)
	return best
}

func TestDecommissionProperties(t *testing.T) {
	for seed := range uint64(3000) {
		r := rand.New(rand.NewPCG(seed, 3))
		l := randomMap(r, 7, 40, r.IntN(4))
		leaving := 1 + r.Int32N(int32(len(l.brokers)))
		moves, err := planDecommission(l, leaving)
		if err != nil {
			if most := slices.MaxFunc(l.partitions, func(a, b mappedPartition) int { return len(a.replicas) - len(b.replicas) }); len(most.replicas) < len(l.brokers) {
				t.Fatalf("seed %d: %v", seed, err)
			}
			continue
		}
		checkMoves(t, seed, l, moves)
		for i, p := range apply(l, moves).partitions {
			was := l.partitions[i]
			if !p.moving && slices.Contains(p.replicas, leaving) {
				t.Fatalf("seed %d: %v stays on broker %d", seed, p, leaving)
			}
			for at, id := range was.replicas {
				if id != leaving && p.replicas[at] != id {
					t.Fatalf("seed %d: %v became %v, which moves more than broker %d", seed, was.replicas, p.replicas, leaving)
				}
			}
		}
		// The racks are as many as the brokers that are left allow.
		d := l.draft()
		for _, m := range moves {
			for _, b := range l.brokers {
				if b.id == leaving || slices.Contains(m.from, b.id) {
					continue
				}
				if other := swapped(m.from, slices.Index(m.from, leaving), b.id); spread(d, other) > spread(d, m.to) {
					t.Fatalf("seed %d: %v is in fewer racks than %v", seed, m.to, other)
				}
			}
		}
	}
}

// spread counts the racks that replicas are in.
func spread(d *draft, replicas []int32) int {
	racks := map[int]bool{}
	for _, id := range replicas {
		racks[d.rack(id)] = true
	}
	return len(racks)
}

func TestMoveSays(t *testing.T) {
	m := move{topicPartition{"a", 0}, []int32{1, 2, 3}, []int32{4, 2, 5}, 10}
	if diff := cmp.Diff([][]int32{{4, 5}, {1, 3}}, [][]int32{m.added(), m.removed()}); diff != "" || m.copies() != 20 {
		t.Error(diff, m.copies())
	}
}

// TestRebalanceOfManyPartitions must come to an end in a time that somebody waits: the test's own limit is the check.
func TestRebalanceOfManyPartitions(t *testing.T) {
	var l replicaMap
	for id := range int32(12) {
		l.brokers = append(l.brokers, mappedBroker{id, string(rune('a' + id%3))})
	}
	for at := range int32(4000) { // racks a, b and c; brokers 9, 10 and 11 are new
		l.partitions = append(l.partitions, mappedPartition{topicPartition{fmt.Sprint("t", at%40), at / 40}, []int32{at % 9, (at + 1) % 9, (at + 2) % 9}, 1, false})
	}
	start := time.Now()
	moves := planRebalance(l)
	t.Logf("%d moves in %s", len(moves), time.Since(start))
	if low, high := extremes(l, apply(l, moves), func(p mappedPartition) []int32 { return p.replicas }); high-low > 1 {
		t.Errorf("between %d and %d replicas", low, high)
	}
}
