package sim

import (
	"maps"
	"slices"
	"time"
)

// fault is something that goes wrong, for a while or once.
type fault struct {
	name string
	do   func(*sim)
}

// allFaults are those that there are.
var allFaults = []fault{
	{"a process is killed", func(s *sim) {
		n := s.victim()
		n.kill()
		n.restartLater()
	}},
	{"the power fails at a node", func(s *sim) {
		n := s.victim()
		n.powerCut()
		n.restartLater()
	}},
	{"the power fails everywhere", func(s *sim) {
		for _, n := range s.nodes {
			n.powerCut()
			n.restartLater()
		}
	}},
	{"the power fails at most nodes", func(s *sim) {
		for _, i := range s.rng.Perm(len(s.nodes))[:len(s.nodes)/2+1] {
			s.nodes[i].powerCut()
			s.nodes[i].restartLater()
		}
	}},
	{"the power fails in the midst of an operation", func(s *sim) { s.victim().disk.crashIn = 1 + s.rng.IntN(40) }},
	{"the power fails at a change of files", func(s *sim) {
		s.victim().disk.crashAt = pick(s, "create", "rename", "rename", "remove", "truncate", "syncdir")
	}},
	{"the power fails at who comes to lead", func(s *sim) { s.ambush = true }},
	{"leaders end, and the power fails at a slow node that comes to lead", func(s *sim) {
		s.ambush = true
		d := pick(s, s.nodes...).disk
		d.slow = time.Second
		s.later("the disk is quick", func() { d.slow = 0 })
		for _, n := range s.nodes {
			if n.leads() && n.disk != d {
				n.kill()
				n.restartLater()
			}
		}
	}},
	{"a process stands still", func(s *sim) {
		n := s.victim()
		n.pausedUntil = s.now + s.between(100*time.Millisecond, 3*time.Second).Microseconds()
	}},
	{"a node is cut off", func(s *sim) {
		n := s.victim()
		s.isolate(n, true, true)
	}},
	{"a node hears nothing", func(s *sim) { s.isolate(s.victim(), true, false) }},
	{"a node is not heard", func(s *sim) { s.isolate(s.victim(), false, true) }},
	{"a link is cut", func(s *sim) {
		a, b := pick(s, s.nodes...), pick(s, s.nodes...)
		both := s.chance(0.5)
		s.cutOff(a.id, []uint64{b.id}, both, true, true)
		s.later("a link is mended", func() { s.cutOff(a.id, []uint64{b.id}, both, true, false) })
	}},
	{"the network is cut in two", func(s *sim) {
		var one, other []uint64
		for _, n := range s.nodes {
			if s.chance(0.5) {
				one = append(one, n.id)
			} else {
				other = append(other, n.id)
			}
		}
		set := func(cut bool) {
			for _, id := range one {
				s.cutOff(id, other, true, true, cut)
			}
		}
		set(true)
		s.later("the network is one again", func() { set(false) })
	}},
	{"clients do not reach a node", func(s *sim) {
		n := s.victim()
		s.cutOff(clients, []uint64{n.id}, true, true, true)
		s.later("clients reach the node again", func() { s.cutOff(clients, []uint64{n.id}, true, true, false) })
	}},
	{"messages are lost", func(s *sim) {
		s.net.loss = pick(s, 0.01, 0.1, 0.3)
		s.later("no messages are lost", func() { s.net.loss = 0 })
	}},
	{"messages come twice", func(s *sim) {
		s.net.twice = pick(s, 0.05, 0.5)
		s.later("messages come once", func() { s.net.twice = 0 })
	}},
	{"messages come late", func(s *sim) {
		s.net.jitter = pick(s, 5*time.Millisecond, 100*time.Millisecond, time.Second)
		s.later("messages come in time", func() { s.net.jitter = 0 })
	}},
	{"messages are damaged", func(s *sim) {
		s.net.corrupt = 0.2
		s.later("messages are whole", func() { s.net.corrupt = 0 })
	}},
	{"a disk is slow", func(s *sim) {
		d := s.victim().disk
		d.slow = pick(s, 20*time.Millisecond, 500*time.Millisecond)
		s.later("the disk is quick", func() { d.slow = 0 })
	}},
	{"a disk is full", func(s *sim) {
		d := s.victim().disk
		d.full = true
		d.faults.Limit(s.rng.Int64N(3000))
		s.later("the disk has space", d.faults.Heal)
	}},
	{"the durability changes", (*sim).relax},
	{"a sync fails", func(s *sim) { s.victim().disk.failSync() }},
	{"a write fails", func(s *sim) { s.victim().disk.failWrite() }},
}

// disturb does a fault, and goes on so.
func (s *sim) disturb() {
	if s.calm {
		return
	}
	f := pick(s, s.plan.faults...)
	s.trace.note("fault: %s", f.name)
	s.trace.mix(hashText(f.name))
	s.Faults++
	f.do(s)
	s.after(s.between(s.plan.pause/4, s.plan.pause*2), "trouble", s.disturb)
}

// later ends a fault.
func (s *sim) later(what string, end func()) {
	s.after(s.between(50*time.Millisecond, 2500*time.Millisecond), what, end)
}

// led is told of a node that has come to lead.
func (s *sim) led(n *node) {
	if !s.ambush {
		return
	}
	s.ambush = false
	proc := n.proc
	s.after(s.between(0, pick(s, time.Millisecond, 10*time.Millisecond)), "the power fails at who came to lead", func() {
		if n.proc == proc && !s.calm {
			n.powerCut()
			s.after(10*time.Millisecond, "start", n.startIfDown)
		}
	})
}

// victim is a node, often one that leads.
func (s *sim) victim() *node {
	if s.chance(0.5) {
		var leading []*node
		for _, n := range s.nodes {
			if n.leads() {
				leading = append(leading, n)
			}
		}
		if len(leading) > 0 {
			return pick(s, leading...)
		}
	}
	return pick(s, s.nodes...)
}

func (n *node) leads() bool {
	return n.proc != nil && slices.ContainsFunc(n.proc.parts, func(r *replica) bool { return r != nil && r.leads })
}

// isolate cuts a node off from the other nodes, and sometimes from the clients.
func (s *sim) isolate(n *node, in, out bool) {
	var others []uint64
	for _, o := range s.nodes {
		others = append(others, o.id)
	}
	if s.chance(0.3) {
		others = append(others, clients)
	}
	s.net.saysUnreached = s.chance(0.5)
	s.cutOff(n.id, others, in, out, true)
	s.later("the node is reached again", func() { s.cutOff(n.id, others, in, out, false) })
}

// mend ends all faults.
func (s *sim) mend() {
	s.trace.note("all is mended")
	s.calm, s.ambush = true, false
	for over := range maps.Keys(s.net.cut) {
		s.net.cut[over] = false
	}
	s.net.loss, s.net.twice, s.net.jitter, s.net.corrupt = 0, 0, 0, 0
	for _, n := range s.nodes {
		n.disk.faults.Heal()
		n.disk.slow, n.disk.crashIn, n.disk.crashAt, n.pausedUntil = 0, 0, "", 0
		s.after(s.between(0, 100*time.Millisecond), "start", n.startIfDown)
	}
}
