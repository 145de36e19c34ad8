package mirror

import (
	"sort"

	"github.com/weir/weir/connect/sdk"
)

// translation translates offsets of the source to those of the target, by offset syncs.
type translation map[sdk.TopicPartition][]pair

// pair is two offsets of the same record. Those of a partition ascend in both.
type pair struct{ upstream, downstream int64 }

// mostPairs bounds how many pairs a partition has. When there are more, each other one of the older half is left out: near the end,
// where most groups are, they stay close.
const mostPairs = 512

// learn takes in a sync. One that goes back, in either cluster, says that records came again or the topic is another one: what was
// known about records behind it is not true any more.
func (t translation) learn(s offsetSync) {
	known := t[s.TopicPartition]
	for n := len(known); n > 0 && known[n-1].upstream >= s.upstream; n = len(known) {
		known = known[:n-1]
	}
	for n := len(known); n > 0 && known[n-1].downstream >= s.downstream; n = len(known) {
		known = known[:n-1]
	}
	if len(known) >= mostPairs {
		kept := known[:0]
		for i, p := range known {
			if i%2 == 0 || i >= len(known)/2 {
				kept = append(kept, p)
			}
		}
		known = kept
	}
	t[s.TopicPartition] = append(known, pair{s.upstream, s.downstream})
}

// translate gives the offset in the target from which a group goes on that has committed an offset in the source: all records that
// it has not read are there or after it. false: the records that it has read last are from before anything is known.
func (t translation) translate(of sdk.TopicPartition, committed int64) (int64, bool) {
	known := t[of]
	after := sort.Search(len(known), func(i int) bool { return known[i].upstream > committed })
	if after == 0 {
		return 0, false
	}
	p := known[after-1]
	if p.upstream == committed {
		return p.downstream, true
	}
	return p.downstream + 1, true
}
