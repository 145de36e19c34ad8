package herder

import (
	"cmp"
	"maps"
	"slices"
	"time"
)

// Member is a worker in a round of the group.
type Member struct {
	ID   string // its member id
	URL  string // where its REST API is, by which it is known again when it comes back as another member
	Owns Work
}

// Share is what a worker gets and has to give up. Both are changes to what it owns.
type Share struct {
	Add, Revoke Work
}

// Balancer divides the work among workers, round by round, without stopping what stays where it is (KIP-415): what is to move is
// revoked in one round and given to another worker in the next. The work of a worker that is gone waits for its return before others get
// it. It belongs to the leader of the group, who begins with a new one.
type Balancer struct {
	// Delay is how long the work of a lost worker waits.
	Delay time.Duration
	given map[string]Work // what each had after the last round, by URL
	gone  map[string]*lost
}

type lost struct {
	work  Work
	until time.Time
}

// Assign is a round. There is another one to be had at once if anything was revoked, and after wait (0: never), when the time of
// lost workers is over.
func (b *Balancer) Assign(now time.Time, members []Member, configured Work) (shares map[string]Share, wait time.Duration) {
	members = slices.Clone(members)
	slices.SortFunc(members, func(a, c Member) int { return cmp.Compare(a.ID, c.ID) })
	r := round{shares: map[string]Share{}, keep: map[string]Work{}, members: members}
	taken := Work{}
	for _, m := range members {
		share := Share{Add: Work{}, Revoke: Work{}}
		keep := Work{}
		for _, id := range m.Owns.Sorted() {
			if !configured[id] || taken[id] {
				share.Revoke[id] = true
			} else {
				keep[id], taken[id] = true, true
			}
		}
		r.shares[m.ID], r.keep[m.ID] = share, keep
	}
	b.miss(now, members)
	// What nobody has, or what nobody keeps; the latter only once all have let go of it.
	free := configured.Without(taken)
	for _, m := range members {
		free = free.Without(m.Owns)
	}
	b.giveBack(&r, free)
	for url, l := range b.gone {
		if rest := free.Without(l.work); len(rest) < len(free) {
			free = rest
		} else {
			delete(b.gone, url) // all that it had is deleted
			continue
		}
		if left := l.until.Sub(now); wait == 0 || left < wait {
			wait = left
		}
	}
	if wait == 0 {
		r.relieve(true, free)
		r.relieve(false, free)
	}
	r.hand(free)
	b.given = map[string]Work{}
	for _, m := range members {
		if b.given[m.URL] == nil {
			b.given[m.URL] = Work{}
		}
		b.given[m.URL].Add(maps.Keys(r.keep[m.ID]))
	}
	return r.shares, wait
}

// miss takes note of workers that are gone, that are back, and that have been away for too long.
func (b *Balancer) miss(now time.Time, members []Member) {
	if b.gone == nil {
		b.gone = map[string]*lost{}
	}
	for url, work := range b.given {
		if b.gone[url] == nil && len(work) > 0 {
			b.gone[url] = &lost{work, now.Add(b.Delay)}
		}
	}
	// Those that are there were never gone, or not for long: giveBack looks at what they had.
	for _, m := range members {
		if l := b.gone[m.URL]; l != nil {
			if b.given == nil {
				b.given = map[string]Work{}
			}
			b.given[m.URL] = l.work
			delete(b.gone, m.URL)
		}
	}
	maps.DeleteFunc(b.gone, func(_ string, l *lost) bool { return !now.Before(l.until) })
}

// giveBack gives workers what they had and do not have any more: they were started anew.
func (b *Balancer) giveBack(r *round, free Work) {
	for _, m := range r.members {
		for _, id := range b.given[m.URL].Sorted() {
			if free[id] {
				r.give(m.ID, id)
				delete(free, id)
			}
		}
	}
}

type round struct {
	members []Member
	shares  map[string]Share
	keep    map[string]Work // what each has after the round
}

func (r *round) give(member string, id ID) {
	r.shares[member].Add[id], r.keep[member][id] = true, true
}

// relieve takes from workers what is more than their part of the connectors, or of the tasks.
func (r *round) relieve(connectors bool, free Work) {
	n := len(r.members)
	if n == 0 {
		return
	}
	total := free.count(connectors)
	for _, keep := range r.keep {
		total += keep.count(connectors)
	}
	heavy := slices.Clone(r.members) // the heaviest first: they are the ones that may keep one more than others
	slices.SortStableFunc(heavy, func(a, b Member) int {
		return cmp.Compare(r.keep[b.ID].count(connectors), r.keep[a.ID].count(connectors))
	})
	for i, m := range heavy {
		part := total / n
		if i < total%n {
			part++
		}
		keep := r.keep[m.ID]
		own := slices.DeleteFunc(keep.Sorted(), func(id ID) bool {
			return (id.Task == Itself) != connectors || r.shares[m.ID].Add[id]
		})
		for excess := keep.count(connectors) - part; excess > 0 && len(own) > 0; excess-- {
			id := own[len(own)-1]
			own = own[:len(own)-1]
			delete(keep, id)
			r.shares[m.ID].Revoke[id] = true
		}
	}
}

// hand gives what is free to those that have the least.
func (r *round) hand(free Work) {
	if len(r.members) == 0 {
		return
	}
	for _, id := range free.Sorted() {
		connectors := id.Task == Itself
		least := slices.MinFunc(r.members, func(a, b Member) int {
			return cmp.Or(
				cmp.Compare(r.keep[a.ID].count(connectors), r.keep[b.ID].count(connectors)),
				cmp.Compare(len(r.keep[a.ID]), len(r.keep[b.ID])))
		})
		r.give(least.ID, id)
	}
}
