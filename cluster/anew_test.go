package cluster

import "testing"

// TestBeginAnew lets only the only replica begin with nothing, if it is another one than the partition was made with, and nothing changes
// meanwhile. A snapshot says the same.
func TestBeginAnew(t *testing.T) {
	d := newDriver(t, 0)
	for id := range int32(3) {
		d.register(Broker{ID: id + 1, Directory: UUID{byte(id + 1)}})
	}
	d.create(false, assignment(topic("a", 0, 0), []int32{3}), assignment(topic("b", 0, 0), []int32{3, 2, 1}))
	begin := func(name string, number int32, incarnation, epoch int32) string {
		t.Helper()
		return d.send(BeginAnew{Topic: d.c.Image().Topic(name).ID, Partition: number, Epoch: epoch, Node: node(3, incarnation), After: 1007}).(BegunAnew).Refused
	}
	if why := begin("a", 0, 0, 0); why != "" || d.c.Image().Topic("a").Partitions[0].Epoch != 0 {
		t.Errorf("the replica that it was made with: %q", why)
	}
	d.register(Broker{ID: 3, Directory: UUID{33}})
	for name, why := range map[string]string{
		"an incarnation that is gone": begin("a", 0, 0, 0), "several replicas": begin("b", 0, 1, 0), "another epoch": begin("a", 0, 1, 1), "no such partition": begin("a", 1, 1, 0),
	} {
		if why == "" {
			t.Errorf("%s: it begins anew", name)
		}
	}
	for range 2 { // the second time changes nothing
		if why := begin("a", 0, 1, 0); why != "" {
			t.Errorf("it does not begin anew: %s", why)
		}
		p := d.c.Image().Topic("a").Partitions[0]
		if first := p.First(); p.Epoch != 1 || p.After() != 1007 || len(first) != 1 || first[0] != node(3, 1) {
			t.Errorf("%+v", p)
		}
	}
	records, _ := d.c.Snapshot()
	again := NewController(d.c.cfg)
	for _, r := range records {
		if err := again.Replay(r); err != nil {
			t.Fatal(err)
		}
	}
	if p := again.Image().Topic("a").Partitions[0]; p.After() != 1007 || len(p.First()) != 1 || p.First()[0] != node(3, 1) || p.Epoch != 1 {
		t.Errorf("after a snapshot: %+v", p)
	}
	if why := d.reassign(true, alteration("a", 0, []int32{1, 2})); why != "" {
		t.Fatal(why)
	}
	if why := begin("a", 0, 1, 2); why == "" {
		t.Error("it begins anew while it moves")
	}
}
