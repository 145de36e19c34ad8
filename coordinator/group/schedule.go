package group

import (
	"cmp"
	"container/heap"
	"time"
)

// alarm is when Tick looks at a group again. It never rings too late, but may ring too early: what moves a deadline back,
// as each heartbeat does, leaves it as it is.
type alarm struct {
	at    time.Time
	index int // in the schedule; -1: not set
}

// schedule is a heap of the groups whose alarm is set, the earliest first.
type schedule []*group

func (s schedule) Len() int { return len(s) }

func (s schedule) Less(i, j int) bool {
	return cmp.Or(s[i].alarm.at.Compare(s[j].alarm.at), cmp.Compare(s[i].id, s[j].id)) < 0
}

func (s schedule) Swap(i, j int) {
	s[i], s[j] = s[j], s[i]
	s[i].alarm.index, s[j].alarm.index = i, j
}

// Push implements heap.Interface.
func (s *schedule) Push(g any) {
	g.(*group).alarm.index = len(*s)
	*s = append(*s, g.(*group))
}

// Pop implements heap.Interface.
func (s *schedule) Pop() any {
	last := len(*s) - 1
	g := (*s)[last]
	(*s)[last] = nil
	*s = (*s)[:last]
	g.alarm = alarm{index: -1}
	return g
}

// wake sees that Tick looks at a group at a time, or before.
func (m *Machine) wake(g *group, at time.Time) {
	switch {
	case g.alarm.index < 0:
		g.alarm.at = at
		heap.Push(&m.schedule, g)
	case at.Before(g.alarm.at):
		g.alarm.at = at
		heap.Fix(&m.schedule, g.alarm.index)
	}
}

// due takes the next group whose alarm rings, or nil.
func (m *Machine) due(now time.Time) *group {
	if len(m.schedule) == 0 || now.Before(m.schedule[0].alarm.at) {
		return nil
	}
	return heap.Pop(&m.schedule).(*group)
}

// forget takes a removed group off the schedule.
func (m *Machine) forget(g *group) {
	delete(m.groups, g.id)
	if g.alarm.index >= 0 {
		heap.Remove(&m.schedule, g.alarm.index)
	}
}

// next is when a group's next deadline comes; zero: never.
func (g *group) next() time.Time {
	var at time.Time
	soonest := func(d time.Time) {
		if at.IsZero() || d.Before(at) {
			at = d
		}
	}
	if g.state == PreparingRebalance {
		soonest(g.rebalanceAt)
	}
	if !g.syncBy.IsZero() {
		soonest(g.syncBy)
	}
	for _, m := range g.members {
		if !m.excused() {
			soonest(m.deadline)
		}
	}
	for _, d := range g.pending {
		soonest(d)
	}
	return at
}
