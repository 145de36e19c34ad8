package group

import (
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
)

// staticWaitMin is how soon at the earliest a rebalance looks again for static members when none is here.
const staticWaitMin = time.Second

// prepare begins a rebalance.
func (t *turn) prepare(g *group) {
	if g.state == CompletingRebalance {
		for _, m := range g.each() { // send those that wait for an assignment back to join
			m.assignment = nil
			if m.syncID != 0 {
				t.endSync(m, kerr.RebalanceInProgress)
				t.touch(g, m)
			}
		}
	}
	g.syncBy = time.Time{}
	wait := g.rebalanceTimeout()
	g.first = g.state == Empty && g.protocolType != connectProtocol
	if g.first { // a new group waits a little for more members; workers of Connect stop nothing when more come
		g.more = max(wait-t.cfg.InitialRebalanceDelay, 0)
		g.newcomers = false
		wait = t.cfg.InitialRebalanceDelay
	}
	g.become(PreparingRebalance, t.now)
	t.waitForJoins(g, wait)
}

func (t *turn) waitForJoins(g *group, wait time.Duration) {
	g.rebalanceAt = t.now.Add(wait)
	t.wake(g, g.rebalanceAt)
}

// tryComplete ends a rebalance when all members have joined. A first one ends only when its time is over.
func (t *turn) tryComplete(g *group) {
	if g.state == PreparingRebalance && !g.first && g.joining == len(g.members) && len(g.pending) == 0 {
		t.complete(g)
	}
}

// rebalanceDue is called when the wait of a rebalance is over.
func (t *turn) rebalanceDue(g *group) {
	if g.first && g.newcomers && g.more > 0 {
		wait := min(t.cfg.InitialRebalanceDelay, g.more)
		g.more -= wait
		g.newcomers = false
		t.waitForJoins(g, wait)
		return
	}
	t.complete(g)
}

// complete begins a generation with the members that joined. Dynamic members that did not are dropped; static ones stay,
// until their session is over or they miss the sync.
func (t *turn) complete(g *group) {
	for _, m := range g.each() {
		if m.joinID == 0 && m.instance == nil {
			g.remove(m)
		}
	}
	if g.joining == 0 && len(g.members) > 0 { // only static members, and none of them is here: wait for them, or their sessions' end
		g.first = false
		t.waitForJoins(g, max(g.rebalanceTimeout(), staticWaitMin))
		return
	}
	g.generation++
	if g.generation < 0 {
		g.generation = 1
	}
	if len(g.members) == 0 {
		g.protocol, g.leader = "", ""
		g.subscribed = g.subscriptions()
		g.become(Empty, t.now)
		t.record(g)
		return
	}
	t.lead(g)
	g.protocol = g.vote()
	g.subscribed = g.subscriptions()
	g.become(CompletingRebalance, t.now)
	g.syncBy = t.now.Add(g.rebalanceTimeout())
	t.wake(g, g.syncBy)
	for _, m := range g.each() {
		m.synced, m.fresh = false, false
		t.touch(g, m)
		if m.joinID != 0 {
			t.reply(m.joinID, t.joined(g, m, m.joinReq))
			m.joinID, m.joinReq = 0, nil
			g.joining--
		}
	}
}

// lead sees that the leader is one that has joined.
func (t *turn) lead(g *group) {
	if g.members[g.leader].joinID != 0 {
		return
	}
	for _, m := range g.each() {
		if m.joinID != 0 {
			g.leader = m.id
			return
		}
	}
}

// membersGone sees to what follows when members are gone.
func (t *turn) membersGone(g *group) {
	if g.state == Stable || g.state == CompletingRebalance {
		t.prepare(g)
	}
	t.tryComplete(g)
}
