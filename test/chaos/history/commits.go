package history

import (
	"cmp"
	"slices"
)

// commits checks that an acknowledged commit stays until a higher one: neither a later commit nor what the group is found to have
// committed is lower. A commit whose outcome is unknown may take effect late, as when a node was paused with it in its queue; so
// its offset may be found from its begin on.
func (c *checker) commits(p *partition) {
	begun := begins(p.commits, OK, Fail, Info)
	unknown := begins(p.commits, Info)
	acked, found := only(p.commits, OK), only(p.committed, OK)
	later := slices.Concat(acked, found)
	slices.SortStableFunc(later, func(a, b *operation) int { return cmp.Compare(a.begun, b.begun) })
	slices.SortFunc(acked, func(a, b *operation) int { return cmp.Compare(a.ended, b.ended) })
	highest := &operation{offset: -1}
	for _, o := range later {
		for ; len(acked) > 0 && acked[0].ended < o.begun; acked = acked[1:] {
			if acked[0].offset > highest.offset {
				highest = acked[0]
			}
		}
		at, late := unknown[o.offset]
		if o.offset < highest.offset && !(late && at < o.ended) {
			c.report(CommitRegress, "offset %d by %s comes after %s had committed %d", o.offset, o.client, highest.client, highest.offset)
		}
	}
	for _, o := range found {
		if at, ok := begun[o.offset]; o.offset >= 0 && !(ok && at < o.ended) {
			c.report(Phantom, "%s found offset %d committed, which nobody had committed", o.client, o.offset)
		}
	}
}

func only(all []*operation, phase Phase) (some []*operation) {
	for _, o := range all {
		if o.phase == phase {
			some = append(some, o)
		}
	}
	return some
}

// begins gives, by offset, when the first operation with one of the outcomes began.
func begins(all []*operation, outcomes ...Phase) map[int64]int64 {
	first := map[int64]int64{}
	for _, o := range all {
		if at, ok := first[o.offset]; slices.Contains(outcomes, o.phase) && (!ok || o.begun < at) {
			first[o.offset] = o.begun
		}
	}
	return first
}
