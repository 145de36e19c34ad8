package replication

import (
	"maps"
	"slices"

	"go.etcd.io/raft/v3"

	"github.com/weir/weir/log"
)

// A host that is driven by hand has no goroutines: who made it calls Turn and Sync, in the order that it wants to see.

// Turn runs the queued turn that waits longest. False: none waits.
func (h *Host) Turn() bool {
	h.mu.Lock()
	if len(h.queue) == 0 {
		h.mu.Unlock()
		return false
	}
	g := h.queue[0]
	h.queue = h.queue[1:]
	h.mu.Unlock()
	if g.run(false) {
		h.enqueue(g)
	}
	return true
}

// Due tells whether Turn and Sync have something to do. No round of syncs is due while one is under way.
func (h *Host) Due() (turn, sync bool) {
	h.mu.Lock()
	turn = len(h.queue) > 0
	h.mu.Unlock()
	s := h.syncer
	s.mu.Lock()
	defer s.mu.Unlock()
	return turn, s.wanted && !s.busy && len(s.waiting) > 0
}

// Sync does a round of syncs. The round is under way, and what is written meanwhile waits for the next, until finish is called,
// which delivers what the groups wait for.
func (h *Host) Sync() (finish func()) {
	s := h.syncer
	s.mu.Lock()
	batch := s.take(nil)
	s.mu.Unlock()
	durable := s.settleAll(batch)
	return func() {
		s.deliver(durable)
		s.mu.Lock()
		s.finish(batch)
		s.mu.Unlock()
	}
}

// roundByHand does a whole round. Under mu.
func (s *syncer) roundByHand() {
	if s.busy || len(s.waiting) == 0 {
		panic("BUG: a host that is driven by hand waits for a round that only its driver can finish")
	}
	s.mu.Unlock()
	s.host.Sync()()
	s.mu.Lock()
}

// turnsByHand runs all turns that are queued, if nobody else would.
func (h *Host) turnsByHand() {
	for h.cfg.ByHand && h.Turn() {
	}
}

// await waits for a turn's work.
func (h *Host) await(done chan struct{}) {
	h.turnsByHand()
	<-done
}

// each calls f for every group with other voters; by hand always in the same order.
func (h *Host) each(f func(*Group)) {
	if !h.cfg.ByHand {
		h.groups.Range(func(_, g any) bool { f(g.(*Group)); return true })
		return
	}
	all := map[GroupID]*Group{}
	h.groups.Range(func(id, g any) bool { all[id.(GroupID)] = g.(*Group); return true })
	for _, id := range slices.SortedFunc(maps.Keys(all), GroupID.compare) {
		f(all[id])
	}
}

// View is what a group is between two turns.
type View struct {
	Term, Vote uint64
	Lead       NodeID // 0: nobody that raft knows of
	Leads      bool   // raft takes this node for the leader
	Applied    uint64 // index up to which the replica was told that entries are committed
	Log        *log.Log
	Witness    Log // the entries that a witness has; it has no other log
}

// ViewWitness shows the witness of a partition on a host that is driven by hand. False: it is not here.
func (h *Host) ViewWitness(id GroupID) (View, bool) { return h.View(id.witness()) }

// View shows a group of a host that is driven by hand. False: it is not here, or has no other voters.
func (h *Host) View(id GroupID) (View, bool) {
	found, ok := h.groups.Load(id)
	if !ok {
		return View{}, false
	}
	g := found.(*Group)
	now := g.rn.BasicStatus()
	v := View{
		Term: now.GetTerm(), Vote: now.GetVote(), Lead: now.Lead, Leads: now.RaftState == raft.StateLeader,
		Applied: g.applied,
	}
	if g.headers != nil {
		v.Witness = g.log
	} else {
		v.Log = g.log.(*log.Log)
	}
	return v, true
}
