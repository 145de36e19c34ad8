package peers

import (
	"errors"
	"log/slog"
	"slices"
	"testing"

	"github.com/weir/weir/partition"
	"github.com/weir/weir/replication"
)

// pair is two nodes that hear each other at once.
func pair() (a, b *Peers) {
	nodes := map[int32]*Peers{}
	for id := range int32(2) {
		nodes[id] = New(Config{
			Self: id, Leaders: partition.NewLeaders(id), Logger: slog.New(slog.DiscardHandler),
			Note: func(to int32, note []byte) bool { nodes[to].Note(id, note); return true },
			Handle: func(from int32, request []byte, reply func([]byte)) {
				if string(request) != "silence" {
					reply(append([]byte("not "), request...))
				}
			},
		})
	}
	return nodes[0], nodes[1]
}

func TestLeadersAreTold(t *testing.T) {
	a, b := pair()
	early, late := replication.GroupID{Topic: [16]byte{1}, Partition: 2}, replication.GroupID{Topic: [16]byte{3}}
	led := partition.Leader{Broker: 0, Epoch: 7, InSync: []int32{0, 1}}
	a.cfg.Leaders.Heard(early, led)
	a.Up(1)
	a.tell(late, led)
	for _, id := range []replication.GroupID{early, late} {
		if got := b.cfg.Leaders.Of(id.Topic, id.Partition); got.Broker != 0 || got.Epoch != 7 || !slices.Equal(got.InSync, led.InSync) {
			t.Errorf("of %v is heard %+v", id, got)
		}
	}
}

func TestRequests(t *testing.T) {
	a, b := pair()
	a.Up(1)
	b.Up(0)
	ask := func(what string) (reply string, err error) {
		called := 0
		a.Ask(1, []byte(what), func(b []byte, e error) { reply, err = string(b), e; called++ })
		if what == "silence" {
			a.Down(1)
		}
		if called != 1 {
			t.Fatalf("%d answers to %s", called, what)
		}
		return reply, err
	}
	if reply, err := ask("yes"); reply != "not yes" || err != nil {
		t.Error(reply, err)
	}
	if reply, err := ask("silence"); !errors.Is(err, ErrGone) {
		t.Error(reply, err)
	}
	if reply, err := ask("away"); !errors.Is(err, ErrUnreachable) {
		t.Error(reply, err)
	}
}

// TestNonsense: what is cut short, or of no known kind, is refused, and changes nothing.
func TestNonsense(t *testing.T) {
	a, _ := pair()
	whole := appendLeader([]byte{noteLeaders}, replication.GroupID{}, partition.Leader{InSync: []int32{1, 2}})
	if err := a.note(1, whole); err != nil {
		t.Fatal(err)
	}
	for _, note := range [][]byte{nil, {99}, {noteRequest, 1}, {noteReply}, whole[:5], whole[:len(whole)-1]} {
		if err := a.note(1, note); err == nil {
			t.Errorf("%v is taken", note)
		}
	}
}
