package partition

import (
	"context"
	"errors"
	"testing"

	"github.com/weir/weir/cluster"
	"github.com/weir/weir/replication"
)

// TestAwaitALeaderThatServes: who waits for a leader waits until that one says itself that it leads.
func TestAwaitALeaderThatServes(t *testing.T) {
	id := replication.GroupID{Topic: cluster.UUID{1}}
	for name, c := range map[string]struct {
		heard []Leader
		led   bool
	}{
		"nothing heard":               {nil, false},
		"no leader":                   {[]Leader{{Broker: -1, Epoch: 1}}, false},
		"a follower knows its leader": {[]Leader{{Broker: 2, Epoch: 1}}, false},
		"the leader says so":          {[]Leader{{Broker: 2, Epoch: 1}, {Broker: 2, Epoch: 1, InSync: []int32{2}}}, true},
		"lost sight of, and seen":     {[]Leader{{Broker: 2, Epoch: 1, InSync: []int32{2}}, {Broker: -1, Epoch: 1}, {Broker: 2, Epoch: 1}}, true},
		"only the one before did":     {[]Leader{{Broker: 2, Epoch: 1, InSync: []int32{2}}, {Broker: 3, Epoch: 2}}, false},
		"this node leads":             {[]Leader{{Broker: 1, Epoch: 1}}, true},
		"it cannot be opened here":    {[]Leader{{Broker: -1, Epoch: -1, Unopened: true}}, true},
	} {
		l := NewLeaders(1)
		for _, heard := range c.heard {
			l.Heard(id, heard)
		}
		over, cancel := context.WithCancel(context.Background())
		cancel()
		if err := l.Await(over, id.Topic, 1); c.led != (err == nil) || err != nil && !errors.Is(err, context.Canceled) {
			t.Errorf("%s: %v", name, err)
		}
	}
}
