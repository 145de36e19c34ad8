package node

import (
	"log/slog"
	"testing"

	"github.com/weir/weir/partition"
	"github.com/weir/weir/peers"
)

// TestANodeMayComeBeforeReplicationRuns: when a node starts, another may connect before there are groups to be told of it.
func TestANodeMayComeBeforeReplicationRuns(t *testing.T) {
	n := &Node{peers: peers.New(peers.Config{
		Self: 1, Leaders: partition.NewLeaders(1), Logger: slog.New(slog.DiscardHandler), Note: func(int32, []byte) bool { return true },
	})}
	n.noticed(2, true)
	n.noticed(3, true)
	n.noticed(3, false)
	if !n.peers.Alive(2) || n.peers.Alive(3) {
		t.Fatalf("of 2 and 3, alive are %t and %t", n.peers.Alive(2), n.peers.Alive(3))
	}
}
