package cluster

import (
	"fmt"
	"slices"
	"testing"

	"github.com/twmb/franz-go/pkg/kmsg"
)

// witnesses describes the witnesses of a topic's partitions, and those that are leaving.
func (d *driver) witnesses(topic string) (out []string) {
	for _, p := range d.c.Image().Topic(topic).Partitions {
		out = append(out, fmt.Sprint(p.Witnesses, p.Leaving))
	}
	return out
}

func (d *driver) wantWitnesses(what string, want ...string) {
	d.t.Helper()
	if got := d.witnesses("a"); !slices.Equal(got, want) {
		d.t.Errorf("%s: %v, and not %v", what, got, want)
	}
}

// TestWitnessesArePlaced beside two replicas, and only there: on a living broker if there is one, in a rack of its own if there is one.
func TestWitnessesArePlaced(t *testing.T) {
	for _, c := range []struct {
		what     string
		racks    []string // of brokers 1, 2, …
		dead     []int32
		replicas []int32
		want     []int32 // one of these; none: -1
	}{
		{"a third broker", []string{"", "", ""}, nil, []int32{1, 2}, []int32{3}},
		{"no third broker", []string{"", ""}, nil, []int32{1, 2}, []int32{-1}},
		{"a third broker that may come back", []string{"", "", ""}, []int32{3}, []int32{1, 2}, []int32{3}},
		{"one replica", []string{"", "", ""}, nil, []int32{1}, []int32{-1}},
		{"three replicas", []string{"", "", "", ""}, nil, []int32{1, 2, 3}, []int32{-1}},
		{"another rack", []string{"x", "y", "x", "z"}, nil, []int32{1, 2}, []int32{4}},
		{"another rack is dead", []string{"x", "y", "x", "z"}, []int32{4}, []int32{1, 2}, []int32{3}},
		{"two other racks", []string{"x", "y", "x", "z", "w"}, nil, []int32{1, 2}, []int32{4, 5}},
	} {
		t.Run(c.what, func(t *testing.T) {
			d := newDriver(t, 0)
			d.c.cfg.Alive = func(id int32) bool { return !slices.Contains(c.dead, id) }
			for i, rack := range c.racks {
				d.register(Broker{ID: int32(i + 1), Rack: rack})
			}
			d.create(false, assignment(topic("a", 0, 0), c.replicas))
			p := d.c.Image().Topic("a").Partitions[0]
			if w := p.Witness(); !slices.Contains(c.want, w) {
				t.Errorf("the witness is %d", w)
			}
			want := len(c.replicas)
			if p.Witness() >= 0 {
				want++
			}
			if first := p.First(); len(first) != want || !slices.Equal(first, d.c.Image().Members(p)) {
				t.Errorf("it is made with %x, and shall have %x", first, d.c.Image().Members(p))
			}
		})
	}
}

// TestWitnessesAreSpread over the brokers that hold no replica.
func TestWitnessesAreSpread(t *testing.T) {
	d := newDriver(t, 5)
	d.create(false, topic("a", 30, 2))
	count := map[int32]int{}
	for _, p := range d.c.Image().Topic("a").Partitions {
		if slices.Contains(p.Replicas, p.Witness()) {
			t.Errorf("%d is the witness of %v", p.Witness(), p.Replicas)
		}
		count[p.Witness()]++
	}
	for id := int32(1); id <= 5; id++ {
		if count[id] < 3 {
			t.Errorf("the witnesses are on %v", count)
		}
	}
}

// TestWitnessFollowsTheReplicas through reassignments: whoever may still be one stays named until the new members are reached.
func TestWitnessFollowsTheReplicas(t *testing.T) {
	d := newDriver(t, 3)
	d.create(false, assignment(topic("a", 0, 0), []int32{1, 2}))
	d.wantWitnesses("made", "[3] []")
	for _, step := range []struct {
		replicas       []int32
		during, after_ string
	}{
		{[]int32{1, 3}, "[2 3] [3]", "[2] []"},
		{[]int32{3, 1}, "[2] []", "[2] []"},
		{[]int32{1, 2, 3}, "[2] [2]", "[] []"},
		{[]int32{2}, "[] []", "[] []"},
		{[]int32{2, 3}, "[1] []", "[1] []"},
	} {
		if text := d.reassign(true, alteration("a", 0, step.replicas)); text != "" {
			t.Fatal(text)
		}
		d.wantWitnesses(fmt.Sprintf("towards %v", step.replicas), step.during)
		d.reached("a", 0, step.replicas...)
		d.wantWitnesses(fmt.Sprintf("at %v", step.replicas), step.after_)
		if p := d.c.Image().Topic("a").Partitions[0]; p.Changing() {
			t.Errorf("%+v is still on its way", p)
		}
	}
	// Called off: the one that was to go is wanted again.
	if text := d.reassign(true, alteration("a", 0, []int32{1, 2, 3})); text != "" {
		t.Fatal(text)
	}
	if text := d.reassign(true, alteration("a", 0, nil)); text != "" {
		t.Fatal(text)
	}
	d.wantWitnesses("called off", "[1] []")
}

// TestWitnessIsReplaced when its broker goes for good, or is dead when the replicas are set anew.
func TestWitnessIsReplaced(t *testing.T) {
	d := newDriver(t, 4)
	dead := map[int32]bool{4: true}
	d.c.cfg.Alive = func(id int32) bool { return !dead[id] }
	d.create(false, assignment(topic("a", 0, 0), []int32{1, 2}))
	d.wantWitnesses("made", "[3] []")
	dead[4], dead[3] = false, true
	if text := d.reassign(false, alteration("a", 0, []int32{1, 2})); text != "" {
		t.Fatal(text)
	}
	d.wantWitnesses("set anew", "[4 3] [3]")
	dead[4] = true
	if text := d.reassign(false, alteration("a", 0, []int32{1, 2})); text != "" {
		t.Fatal(text)
	}
	d.wantWitnesses("none is alive", "[4 3] [3]")
	dead[4] = false
	d.reached("a", 0, 1, 2)
	d.wantWitnesses("reached", "[4] []")
	dead[3] = false
	req := kmsg.NewPtrUnregisterBrokerRequest()
	req.BrokerID = 4
	if resp := d.send(Request{Body: req}).(*kmsg.UnregisterBrokerResponse); resp.ErrorCode != 0 {
		t.Fatalf("%+v", resp)
	}
	d.wantWitnesses("unregistered", "[3 4] [4]")
	d.reached("a", 0, 1, 2)
	dead[3] = true
	req.BrokerID = 3
	d.send(Request{Body: req})
	d.wantWitnesses("no other one", "[3] [3]")
	d.reached("a", 0, 1, 2)
	d.wantWitnesses("no other one", "[] []")
	d.register(Broker{ID: 5})
	d.wantWitnesses("another broker comes", "[5] []")
	if p := d.c.Image().Topic("a").Partitions[0]; p.First() != nil {
		t.Errorf("a broker that joins is taken for one that the partition was made with: %x", p.First())
	}
}

// TestReplicasOfBeforeTheWitness: who was to hold a partition when it was made, and has not begun to when a witness is lent to it, may vote
// on it, as nobody else can.
func TestReplicasOfBeforeTheWitness(t *testing.T) {
	d := newDriver(t, 2)
	d.create(false, assignment(topic("a", 0, 0), []int32{1, 2}))
	made := d.c.Image().Nodes([]int32{1, 2})
	first := func(what string, want []uint64) {
		t.Helper()
		if got := d.c.Image().Topic("a").Partitions[0].First(); !slices.Equal(got, want) {
			t.Errorf("%s: it is made with %x, and not %x", what, got, want)
		}
	}
	first("made", made)
	d.register(Broker{ID: 3})
	d.wantWitnesses("another broker comes", "[3] []")
	first("another broker comes", made)
	d.survives()
	first("begun anew", made)
	if text := d.reassign(false, alteration("a", 0, []int32{1, 3})); text != "" {
		t.Fatal(text)
	}
	first("moved", nil)
}

// TestWitnessesInSnapshots: a controller that starts from a snapshot knows them.
func TestWitnessesInSnapshots(t *testing.T) {
	d := newDriver(t, 3)
	d.create(false, assignment(topic("a", 0, 0), []int32{1, 2}, []int32{2, 3}, []int32{3, 1}))
	if text := d.reassign(false, alteration("a", 1, []int32{1, 2})); text != "" {
		t.Fatal(text)
	}
	want := d.witnesses("a")
	records, _ := d.c.Snapshot()
	again := NewController(d.c.cfg)
	for _, r := range records {
		if err := again.Replay(r); err != nil {
			t.Fatal(err)
		}
	}
	if got := (&driver{t: t, c: again}).witnesses("a"); !slices.Equal(got, want) {
		t.Errorf("%v became %v", want, got)
	}
}
