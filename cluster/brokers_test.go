package cluster

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/weir/weir/coordinator/machine"
)

// state says all that an image holds, as its snapshot does.
func (d *driver) state() []string {
	records, ok := d.c.Snapshot()
	if !ok {
		d.t.Fatal("there is no snapshot")
	}
	var out []string
	for _, r := range records[1:] { // the first one is its version
		out = append(out, string(r.Key)+" "+string(r.Value))
	}
	return out
}

// survives checks that the image is the same after the log is replayed, and after it is rewritten and trimmed.
func (d *driver) survives() {
	d.t.Helper()
	want := d.state()
	for _, rewrite := range []func(){
		func() {},
		func() { d.rewrite() },
		func() { d.log = d.log[len(d.log)-d.rewrite():] },
	} {
		rewrite()
		cfg := d.c.cfg
		d.c = NewController(cfg)
		for _, r := range d.log {
			if err := d.c.Replay(r); err != nil {
				d.t.Fatalf("%s %s: %v", r.Key, r.Value, err)
			}
		}
		if diff := cmp.Diff(want, d.state()); diff != "" {
			d.t.Fatal(diff)
		}
	}
}

// broker describes a broker with the data directory of that number; 0: it does not say.
func broker(id int32, directory byte) Broker {
	return Broker{ID: id, Peer: "h:9", Directory: UUID{15: directory}, Endpoints: []Endpoint{{"PLAINTEXT", "h", 9092}}}
}

func (d *driver) register(b Broker) BrokerRegistered {
	d.t.Helper()
	return d.send(RegisterBroker{b}).(BrokerRegistered)
}

func (d *driver) unregister(id int32) (int16, string) {
	d.t.Helper()
	req := kmsg.NewPtrUnregisterBrokerRequest()
	req.BrokerID = id
	resp := d.send(Request{Body: req}).(*kmsg.UnregisterBrokerResponse)
	return resp.ErrorCode, *resp.ErrorMessage
}

// TestIncarnations: a broker that comes back with its data is who it was; with another directory it is another one, also after
// it was unregistered.
func TestIncarnations(t *testing.T) {
	d := newDriver(t, 0)
	for i, step := range []struct {
		directory byte
		gone      bool // unregistered before
		want      int32
	}{
		{directory: 1, want: 0},
		{directory: 1, want: 0},
		{directory: 2, want: 1},
		{directory: 0, want: 1}, // a version that does not say it
		{directory: 2, want: 1},
		{directory: 1, want: 2}, // the old disk is found again: what was promised since is not on it
		{directory: 1, want: 2, gone: true},
		{directory: 3, want: 3, gone: true},
	} {
		if step.gone {
			if code, text := d.unregister(7); code != 0 || d.c.Image().Broker(7) != nil {
				t.Fatalf("step %d: %d %s", i, code, text)
			}
			d.survives()
		}
		if got := d.register(broker(7, step.directory)); got != (BrokerRegistered{ID: 7, Incarnation: step.want}) {
			t.Fatalf("step %d: %+v, want %d", i, got, step.want)
		}
		b := d.c.Image().Broker(7)
		if b.Incarnation != step.want || b.Node() != uint64(step.want)<<32|8 {
			t.Fatalf("step %d: %+v is node %x", i, b, b.Node())
		}
		d.survives()
	}
}

func TestRegisteringAgainChangesWhatIsNew(t *testing.T) {
	d := newDriver(t, 0)
	d.register(broker(1, 1))
	d.c.TakeChanges()
	before := len(d.log)
	d.register(broker(1, 1))
	if len(d.log) != before || d.c.TakeChanges().Members {
		t.Errorf("the same again is recorded: %v", d.log[before:])
	}
	moved := broker(1, 1)
	moved.Peer, moved.Rack, moved.Endpoints = "elsewhere:9", "r", []Endpoint{{"PLAINTEXT", "elsewhere", 9092}}
	d.register(moved)
	if got := d.c.Image().Broker(1); got.Peer != moved.Peer || got.Rack != "r" || got.Endpoints[0].Host != "elsewhere" || !d.c.TakeChanges().Members {
		t.Errorf("%+v", got)
	}
}

// TestUsedBrokerID: a second node with the id of one that runs is refused, one that takes the place of a dead one is not.
func TestUsedBrokerID(t *testing.T) {
	d := newDriver(t, 0)
	alive := true
	d.c.cfg.Alive = func(int32) bool { return alive }
	d.register(broker(1, 1))
	before := len(d.log)
	if got := d.register(broker(1, 2)); !strings.HasPrefix(got.Refused, "Another broker is registered with that broker id.") || len(d.log) != before {
		t.Errorf("%+v", got)
	}
	if got := d.register(broker(1, 1)); got.Refused != "" {
		t.Errorf("itself: %+v", got)
	}
	alive = false
	if got := d.register(broker(1, 2)); got != (BrokerRegistered{ID: 1, Incarnation: 1}) {
		t.Errorf("%+v", got)
	}
}

// TestOldBrokerRecords: brokers were recorded with less.
func TestOldBrokerRecords(t *testing.T) {
	d := newDriver(t, 0)
	d.log = []machine.Record{{Key: []byte(kindBroker), Value: []byte(`{"id":1,"endpoints":[{"listener":"PLAINTEXT","host":"h","port":9092}]}`)}}
	d.replay()
	if got := d.register(broker(1, 1)); got != (BrokerRegistered{ID: 1}) {
		t.Fatalf("%+v", got)
	}
	if got := d.c.Image().Broker(1); got.Directory != (UUID{15: 1}) || got.Node() != 2 {
		t.Fatalf("%+v", got)
	}
	d.survives()
}

func TestUnregistering(t *testing.T) {
	d := newDriver(t, 3)
	d.create(false, assignment(topic("s", 0, 0), []int32{1}), assignment(topic("t", 0, 0), []int32{1, 2}))
	d.send(SetVoters{Voters: []Voter{{ID: 3}}})
	for id, want := range map[int32]struct {
		code int16
		text string
	}{
		1: {42, "Broker 1 holds replicas of 2 partition(s), for example of t-0: reassign them to other brokers first."},
		2: {42, "Broker 2 holds replicas of 1 partition(s), for example of t-0: reassign them to other brokers first."},
		3: {42, "Broker 3 is a voter of the metadata: remove it from the voters first."},
		9: {102, "Broker ID 9 is not currently registered"},
	} {
		if code, text := d.unregister(id); code != want.code || text != want.text {
			t.Errorf("%d: %d %s", id, code, text)
		}
	}
	d.survives()
	d.register(broker(4, 4))
	d.c.TakeChanges()
	if code, text := d.unregister(4); code != 0 || text != "" || d.c.Image().Broker(4) != nil || !d.c.TakeChanges().Members {
		t.Errorf("%d %s", code, text)
	}
	if code, _ := d.unregister(4); code != 102 {
		t.Errorf("twice: %d", code)
	}
	d.survives()
}

// TestAssignedBrokerIDs: a broker without an id gets one that nobody has or had, and the same again when it asks again.
func TestAssignedBrokerIDs(t *testing.T) {
	d := newDriver(t, 0)
	d.register(broker(4, 1))
	for range 2 {
		if got := d.register(broker(-1, 2)); got != (BrokerRegistered{ID: 5}) {
			t.Fatalf("%+v", got)
		}
	}
	d.unregister(5)
	if got := d.register(broker(-1, 3)); got != (BrokerRegistered{ID: 6}) {
		t.Fatalf("after one was unregistered: %+v", got)
	}
}
