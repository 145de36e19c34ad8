package cli

import (
	"context"
	"fmt"
	"math"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
)

// positionKind tells how a position is given.
type positionKind int

const (
	fromStart  positionKind = iota
	fromEnd                 // so many offsets before the end
	fromOffset              // an offset
	fromTime                // the first record that is not older
)

// position is a place in a partition as --from and --until name it.
type position struct {
	kind positionKind
	n    int64 // offsets before the end, offset, or ms since the Unix epoch
}

// positionHelp is what the help of a command with positions says about them.
const positionHelp = `A position is start, end, an offset (120), a number of offsets before the end (-10), a time
(2026-11-24T08:30:00Z, or in local time 2026-11-24T08:30, 2026-11-24) or a time ago (-90s, -5m, -2h, -7d).`

// timeLayouts are the forms of a time; those without a zone are local.
var timeLayouts = []string{time.RFC3339Nano, "2006-01-02T15:04:05.999999999", "2006-01-02T15:04", "2006-01-02 15:04:05", "2006-01-02 15:04", time.DateOnly}

// parsePosition reads a position; now is what a time ago counts from.
func parsePosition(s string, now time.Time) (position, error) {
	switch s {
	case "start", "earliest":
		return position{kind: fromStart}, nil
	case "end", "latest":
		return position{kind: fromEnd}, nil
	}
	if n, err := strconv.ParseInt(s, 10, 64); err == nil {
		if n < 0 || s[0] == '-' {
			return position{fromEnd, -max(n, -math.MaxInt64)}, nil
		}
		return position{fromOffset, n}, nil
	}
	if ms, ok := timeOf(s, now); ok {
		return position{fromTime, ms}, nil
	}
	return position{}, usagef("%q is not a position: use start, end, an offset, -10, 2026-11-24T08:30:00Z, 2026-11-24 or -5m", s)
}

// timeOf reads a time, or a time ago as -5m, in ms since the Unix epoch.
func timeOf(s string, now time.Time) (ms int64, ok bool) {
	if age, isAge := strings.CutPrefix(s, "-"); isAge {
		if d, err := parseAge(age); err == nil {
			return ago(d, now), true
		}
	}
	for _, layout := range timeLayouts {
		if t, err := time.ParseInLocation(layout, s, now.Location()); err == nil {
			return max(t.UnixMilli(), 0), true
		}
	}
	return 0, false
}

// ago gives the time that was a duration before now, in ms since the Unix epoch.
func ago(d time.Duration, now time.Time) int64 { return max(now.Add(-d).UnixMilli(), 0) }

// isoDuration is the form of durations that Kafka's tools take: PnDTnHnMnS.
var isoDuration = regexp.MustCompile(`^P(?:([0-9]+)D)?(?:T((?:[0-9]+H)?(?:[0-9]+M)?(?:[0-9]+(?:\.[0-9]+)?S)?))?$`)

// parseAge reads a duration in Go's form, in days, or in ISO 8601's form.
func parseAge(s string) (time.Duration, error) {
	if days, ok := strings.CutSuffix(s, "d"); ok {
		n, err := strconv.ParseUint(days, 10, 16)
		return time.Duration(n) * 24 * time.Hour, err
	}
	if parts := isoDuration.FindStringSubmatch(s); parts != nil && parts[1]+parts[2] != "" {
		days, err := strconv.ParseUint("0"+parts[1], 10, 16)
		if err != nil {
			return 0, err
		}
		rest, err := time.ParseDuration("0" + strings.ToLower(parts[2]))
		return time.Duration(days)*24*time.Hour + rest, err
	}
	d, err := time.ParseDuration(s)
	if err == nil && d < 0 {
		err = fmt.Errorf("negative duration %s", s)
	}
	return d, err
}

// at gives the offset that a position stands for in a partition, not outside of it. byTime is that of a position that is a time.
func (p position) at(start, end int64, byTime int64) int64 {
	offset, _ := p.within(place{start, end, &byTime})
	return offset
}

// place is what is known of a partition in which a position is looked for.
type place struct {
	start, end int64
	since      *int64 // the first record that is not older than the wanted time; nil: there is none
}

// within gives the offset that a position stands for, and a note if that is not the one that was meant.
func (p position) within(in place) (offset int64, note string) {
	switch p.kind {
	case fromStart:
		offset = in.start
	case fromEnd:
		offset = in.end - p.n
	case fromOffset:
		offset = p.n
	case fromTime:
		if in.since == nil {
			return in.end, "no record is that new: the end"
		}
		offset = *in.since
	}
	return in.clamp(offset)
}

// clamp gives an offset that is not outside of the partition, and a note if it is another one.
func (in place) clamp(offset int64) (inside int64, note string) {
	switch {
	case offset < in.start:
		return in.start, fmt.Sprintf("%d is before the start", offset)
	case offset > in.end:
		return in.end, fmt.Sprintf("%d is beyond the end", offset)
	}
	return offset, ""
}

// places finds out about partitions what it takes to find a position in them; all of them have to answer.
func (c *client) places(ctx context.Context, wanted []topicPartition, p position) (map[topicPartition]place, error) {
	if len(wanted) == 0 {
		return nil, nil
	}
	var topics []string
	for _, at := range wanted {
		topics = append(topics, at.topic)
	}
	topics = unique(topics)
	starts, err := c.admin.ListStartOffsets(ctx, topics...)
	if err != nil {
		return nil, err
	}
	ends, err := c.admin.ListEndOffsets(ctx, topics...)
	if err != nil {
		return nil, err
	}
	listings := []kadm.ListedOffsets{starts, ends}
	if p.kind == fromTime {
		since, err := c.admin.ListOffsetsAfterMilli(ctx, p.n, topics...)
		if err != nil {
			return nil, err
		}
		listings = append(listings, since)
	}
	all := map[topicPartition]place{}
	for _, at := range wanted {
		var found []kadm.ListedOffset
		for _, listing := range listings {
			listed, ok := listing.Lookup(at.topic, at.partition)
			if !ok {
				return nil, fmt.Errorf("partition %d of topic %q does not answer", at.partition, at.topic)
			}
			if listed.Err != nil {
				return nil, fmt.Errorf("partition %d of topic %q: %w", at.partition, at.topic, listed.Err)
			}
			found = append(found, listed)
		}
		in := place{start: found[0].Offset, end: found[1].Offset}
		if len(found) > 2 && found[2].Timestamp >= 0 {
			in.since = &found[2].Offset
		}
		all[at] = in
	}
	return all, nil
}

// bounds are the offsets of a partition as they were when asked for.
type bounds struct {
	start, end  int64 // of the partition
	from, until int64 // what is to be read: start <= from, until <= end
}

// resolver finds the offsets that positions stand for.
type resolver struct {
	client     *client
	topics     []string
	partitions []int32 // empty: all
	committed  bool    // the end is that of committed transactions
}

// resolve gives the bounds of every partition.
func (r *resolver) resolve(ctx context.Context, from, until position) (map[string]map[int32]bounds, error) {
	starts, err := r.list(r.client.admin.ListStartOffsets(ctx, r.topics...))
	if err != nil {
		return nil, err
	}
	listEnds := r.client.admin.ListEndOffsets
	if r.committed {
		listEnds = r.client.admin.ListCommittedOffsets
	}
	ends, err := r.list(listEnds(ctx, r.topics...))
	if err != nil {
		return nil, err
	}
	froms, err := r.times(ctx, from)
	if err != nil {
		return nil, err
	}
	untils, err := r.times(ctx, until)
	if err != nil {
		return nil, err
	}
	all := map[string]map[int32]bounds{}
	for topic, partitions := range starts {
		all[topic] = map[int32]bounds{}
		for partition, start := range partitions {
			end := max(ends[topic][partition].Offset, start.Offset)
			all[topic][partition] = bounds{
				start: start.Offset, end: end,
				from:  from.at(start.Offset, end, froms[topic][partition].Offset),
				until: until.at(start.Offset, end, untils[topic][partition].Offset),
			}
		}
	}
	return all, nil
}

// times lists the offsets of a position that is a time; nil of any other.
func (r *resolver) times(ctx context.Context, p position) (kadm.ListedOffsets, error) {
	if p.kind != fromTime {
		return nil, nil
	}
	return r.list(r.client.admin.ListOffsetsAfterMilli(ctx, p.n, r.topics...))
}

// list keeps the wanted partitions of a listing, all of which must have answered.
func (r *resolver) list(offsets kadm.ListedOffsets, err error) (kadm.ListedOffsets, error) {
	if err != nil {
		return nil, err
	}
	wanted := kadm.ListedOffsets{}
	for topic, partitions := range offsets {
		wanted[topic] = map[int32]kadm.ListedOffset{}
		for partition, offset := range partitions {
			if !r.wants(partition) {
				continue
			}
			if offset.Err != nil {
				return nil, fmt.Errorf("partition %d of topic %q: %w", partition, topic, offset.Err)
			}
			wanted[topic][partition] = offset
		}
	}
	return wanted, nil
}

func (r *resolver) wants(partition int32) bool {
	return len(r.partitions) == 0 || slices.Contains(r.partitions, partition)
}
