package cli

import (
	"context"
	"fmt"
	"iter"
	"maps"
	"slices"
	"strconv"
	"strings"

	"github.com/twmb/franz-go/pkg/kadm"
)

// partitionsHelp is what the help of a command that takes partitions says about them.
const partitionsHelp = `Partitions are those of a topic (orders), or some of them (orders:0,2,5-7).`

// partitionIDsMax bounds what a range of partitions may name.
const partitionIDsMax = 100_000

// partitionSet is a topic with some of its partitions.
type partitionSet struct {
	topic      string
	partitions []int32 // empty: all
}

func (s partitionSet) includes(at topicPartition) bool {
	return s.topic == at.topic && (len(s.partitions) == 0 || slices.Contains(s.partitions, at.partition))
}

func (s partitionSet) String() string {
	if len(s.partitions) == 0 {
		return fmt.Sprintf("topic %q", s.topic)
	}
	return fmt.Sprintf("partitions %s of topic %q", numbers(s.partitions), s.topic)
}

// parsePartitions reads TOPIC or TOPIC:0,2,5-7.
func parsePartitions(s string) (partitionSet, error) {
	topic, list, some := strings.Cut(s, ":")
	set := partitionSet{topic: topic}
	wrong := usagef("%q is not a topic with partitions: write it as orders, orders:3 or orders:0,2,5-7", s)
	if topic == "" || some && list == "" {
		return set, wrong
	}
	if !some {
		return set, nil
	}
	for part := range strings.SplitSeq(list, ",") {
		first, last, isRange := strings.Cut(part, "-")
		if !isRange {
			last = first
		}
		from, err := strconv.ParseInt(first, 10, 32)
		to, err2 := strconv.ParseInt(last, 10, 32)
		if err != nil || err2 != nil || from < 0 || to < from || to-from >= partitionIDsMax || len(set.partitions) > partitionIDsMax {
			return set, wrong
		}
		for id := from; id <= to; id++ {
			set.partitions = append(set.partitions, int32(id))
		}
	}
	slices.Sort(set.partitions)
	set.partitions = slices.Compact(set.partitions)
	return set, nil
}

func parseAllPartitions(all []string) ([]partitionSet, error) {
	sets := make([]partitionSet, len(all))
	for i, s := range all {
		var err error
		if sets[i], err = parsePartitions(s); err != nil {
			return nil, err
		}
	}
	return sets, nil
}

// topicPartition names a partition.
type topicPartition struct {
	topic     string
	partition int32
}

// partitionsOf gives the partitions that sets name, in order, all of which must exist, and what the cluster knows about their
// topics.
func (c *client) partitionsOf(ctx context.Context, sets []partitionSet) ([]topicPartition, kadm.TopicDetails, error) {
	var names []string
	for _, set := range sets {
		names = append(names, set.topic)
	}
	details, err := c.topics(ctx, unique(names))
	if err != nil {
		return nil, nil, err
	}
	all := map[topicPartition]bool{}
	for _, set := range sets {
		there := details[set.topic].Partitions
		wanted := set.partitions
		if len(wanted) == 0 {
			wanted = there.Numbers()
		}
		for _, id := range wanted {
			if _, ok := there[id]; !ok {
				return nil, nil, fmt.Errorf("topic %q has no partition %d: it has %s", set.topic, id, plural(int64(len(there)), "partition"))
			}
			all[topicPartition{set.topic, id}] = true
		}
	}
	return sortedPartitions(maps.Keys(all)), details, nil
}

func sortedPartitions(all iter.Seq[topicPartition]) []topicPartition {
	return slices.SortedFunc(all, func(a, b topicPartition) int {
		return a.compare(b)
	})
}
