package node

import (
	"sync"
	"time"

	"github.com/weir/weir/coordinator/group"
	"github.com/weir/weir/partition"
)

// lagReads is how many records' times are looked up for one answer at most.
const lagReads = 2000

// lags works out how far groups are behind. The time of a record must be read from its batch, so it is kept as long as a group
// stays there. Times that one answer has no room to look up are left to the next ones.
type lags struct {
	mu    sync.Mutex
	times map[place]time.Time
	turn  int // which of the unknown times to look up first, so that in the end each has its turn
}

// place is the first record that a group has not committed.
type place struct {
	partition *partition.Partition
	offset    int64
}

// topicLag is how far a group is behind in a topic, by partition.
type topicLag struct {
	topic      string
	partitions []partitionLag
}

type partitionLag struct {
	number  int32
	place   place
	records int64
	age     time.Duration // of the first record that is not committed; 0: there is none
	timed   bool          // age is known
}

// sum gives all records, and the greatest age, if one is known.
func (t *topicLag) sum() partitionLag {
	var all partitionLag
	for _, p := range t.partitions {
		all.records += p.records
		all.age = max(all.age, p.age)
		all.timed = all.timed || p.timed
	}
	return all
}

// of gives the lags of groups, in their order. Partitions that are not on this node are left out.
func (l *lags) of(n *Node, groups []group.Summary) [][]topicLag {
	l.mu.Lock()
	defer l.mu.Unlock()
	out := make([][]topicLag, len(groups))
	times := map[place]time.Time{}
	var unknown []place
	for i, g := range groups {
		for _, o := range g.Offsets {
			p, err := n.set.Lookup(o.Topic, o.Partition)
			if err != nil {
				continue
			}
			at := place{p, max(o.Offset, p.LogStart())}
			lag := partitionLag{number: o.Partition, place: at, records: max(p.HighWatermark()-at.offset, 0)}
			if last := len(out[i]) - 1; last < 0 || out[i][last].topic != o.Topic {
				out[i] = append(out[i], topicLag{topic: o.Topic})
			}
			t := &out[i][len(out[i])-1]
			t.partitions = append(t.partitions, lag)
			if known, ok := l.times[at]; ok {
				times[at] = known
			} else if lag.records > 0 {
				unknown = append(unknown, at)
			}
		}
	}
	l.lookUp(unknown, times)
	l.times = times
	now := n.opts.Now()
	for _, topics := range out {
		for _, t := range topics {
			for i := range t.partitions {
				p := &t.partitions[i]
				at, known := times[p.place]
				switch {
				case p.records == 0:
					p.timed = true
				case known:
					p.age, p.timed = max(now.Sub(at), 0), true
				}
			}
		}
	}
	return out
}

// lookUp adds the times of places, as far as they may be looked up at once.
func (l *lags) lookUp(places []place, times map[place]time.Time) {
	reads := min(len(places), lagReads)
	for i := range reads {
		p := places[(l.turn+i)%len(places)]
		if ms, ok := p.partition.TimeAt(p.offset); ok {
			times[p] = time.UnixMilli(ms)
		}
	}
	l.turn += reads
}
