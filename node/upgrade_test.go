package node

import (
	"strings"
	"testing"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/weir/weir/cluster"
)

// raise asks for a level of weir.version, and gives what is refused.
func (c *several) raise(k *kgo.Client, level int16) string {
	c.t.Helper()
	req := kmsg.NewPtrUpdateFeaturesRequest()
	req.TimeoutMillis = 10_000
	u := kmsg.NewUpdateFeaturesRequestFeatureUpdate()
	u.Feature, u.MaxVersionLevel, u.UpgradeType = cluster.WeirVersion, level, 1
	req.FeatureUpdates = append(req.FeatureUpdates, u)
	resp, err := req.RequestWith(timeout(c.t), k)
	switch {
	case err != nil:
		c.t.Fatal(err)
	case resp.ErrorCode == kerr.InvalidUpdateVersion.Code:
		return *resp.ErrorMessage
	case resp.ErrorCode != 0:
		c.t.Fatal(kerr.ErrorForCode(resp.ErrorCode))
	}
	return ""
}

// TestRollingUpgrade: a newer version comes node by node, while clients write. Its level can be raised once all nodes have it, and an
// older version is no part of the cluster from then on. Until then there is a way back.
func TestRollingUpgrade(t *testing.T) {
	c := newSeveral(t, 3)
	c.newer = map[int]bool{}
	c.start(0, 1, 2)
	k := c.client()
	c.create(k, "t", 3)
	s := c.stream(k, 3)
	replace := func(i int, newer bool) {
		c.moves(s)
		c.stop(i)
		c.newer[i] = newer
		c.start(i)
		c.inSync(k)
	}
	for i := range 3 {
		if text := c.raise(k, 2); !strings.HasPrefix(text, "The update failed for all features since the following feature had an error: Invalid update version 2 for feature weir.version. ") {
			t.Fatalf("with %d of three nodes newer: %q", i, text)
		}
		replace(i, true)
	}
	replace(1, false) // and back, since nothing was raised
	if text := c.raise(k, 2); text == "" {
		t.Fatal("the level was raised while a node is older")
	}
	replace(1, true)
	if text := c.raise(k, 2); text != "" {
		t.Fatal(text)
	}
	c.moves(s)
	c.stop(2)
	c.newer[2] = false
	if err := c.begin(2); err == nil || !strings.Contains(err.Error(), "level 2 of weir.version, and this version knows levels up to 1 only: start it with the newer version") {
		t.Errorf("an older version began: %v", err)
	}
	c.moves(s)
	c.newer[2] = true
	c.start(2)
	c.inSync(k)
	c.check(s)
}
