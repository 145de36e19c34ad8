package replication

import (
	"fmt"
	"testing"
)

// tickByHand lets a tick pass on some nodes, and then all happen that follows. Messages arrive after all nodes have done what they
// had to do.
func (c *trio) tickByHand(nodes ...*member) {
	for _, m := range nodes {
		m.host.Tick()
	}
	for {
		for _, m := range c.nodes {
			for turn, sync := m.host.Due(); turn || sync; turn, sync = m.host.Due() {
				if turn {
					m.host.Turn()
				} else {
					m.host.Sync()()
				}
			}
		}
		if len(c.mail) == 0 {
			return
		}
		mail := c.mail
		c.mail = nil
		for _, arrive := range mail {
			arrive()
		}
	}
}

// TestVotersThatCampaignAtOnce: voters who began to be without a leader at different times, so that by their places in the line it
// is the turn of several at once, agree on one all the same.
func TestVotersThatCampaignAtOnce(t *testing.T) {
	for _, voters := range [][]NodeID{{1, 2}, {1, 2, 3}} {
		for early := range 2 * campaignEach * len(voters) {
			t.Run(fmt.Sprintf("%d voters, %d ticks apart", len(voters), early), func(t *testing.T) {
				c := newNodes(t)
				c.byHand = true
				for _, id := range voters {
					c.add(id, voters...)
				}
				c.mail = nil
				for _, m := range c.nodes {
					c.isolate(m.id, true)
				}
				c.tickByHand() // nobody hears of the first attempt
				for i, m := range c.nodes {
					for range early * i {
						c.tickByHand(m)
					}
				}
				for _, m := range c.nodes {
					c.isolate(m.id, false)
				}
				leads := func() bool {
					for _, m := range c.nodes {
						if m.isLeader() {
							return true
						}
					}
					return false
				}
				for ticks := 0; !leads(); ticks++ {
					if ticks == 300 {
						t.Fatal("nobody was elected in 300 ticks")
					}
					c.tickByHand(c.nodes...)
				}
			})
		}
	}
}
