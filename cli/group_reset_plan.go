package cli

import (
	"fmt"
	"math"
	"strings"
	"time"
)

// resetKind tells where offsets are to be reset to.
type resetKind int

const (
	resetToPosition resetKind = iota
	resetToCurrent            // where they are
	resetByShift              // so many records on, or back
	resetToFile               // what a file says
)

// resetTarget is where a group's offsets are to be reset to.
type resetTarget struct {
	kind     resetKind
	position position
	shift    int64
	file     map[topicPartition]int64
}

// parseTime reads a time, or how long ago it was: -5m, 5m or "5m ago". In ms since the Unix epoch.
func parseTime(flag, s string, now time.Time) (position, error) {
	if ms, ok := timeOf(s, now); ok {
		return position{fromTime, ms}, nil
	}
	if d, err := parseAge(strings.TrimSuffix(s, " ago")); err == nil {
		return position{fromTime, ago(d, now)}, nil
	}
	return position{}, usagef("%s %q: use a time (2026-11-24T08:30:00Z, 2026-11-24) or a time ago (-5m, -7d)", flag, s)
}

// offsetReset is a partition's line in the plan. Its JSON names are documented in the help.
type offsetReset struct {
	Group     string `json:"group"`
	Topic     string `json:"topic"`
	Partition int32  `json:"partition"`
	Committed *int64 `json:"committed_offset"`
	Offset    int64  `json:"offset"`
	Note      string `json:"note,omitempty"`
}

// plan gives the new offset of a partition and what is worth knowing about it. Unless it is the committed one, it is not outside
// of what is there. committed is nil where nothing is.
func (t *resetTarget) plan(at topicPartition, committed *int64, p place) (offset int64, note string, err error) {
	switch t.kind {
	case resetToCurrent:
		if committed == nil {
			return p.end, "nothing was committed: the end", nil
		}
		return *committed, "", nil // as it is, as Kafka's own tool has it
	case resetByShift:
		if committed == nil {
			return 0, "", fmt.Errorf("partition %d of topic %q has no committed offset to shift: leave it out, or use --to", at.partition, at.topic)
		}
		offset = shifted(*committed, t.shift)
	case resetToFile:
		offset = t.file[at]
	default:
		offset, note = t.position.within(p)
		return offset, note, nil
	}
	offset, note = p.clamp(offset)
	return offset, note, nil
}

// shifted adds without overflow.
func shifted(offset, by int64) int64 {
	if by > 0 && offset > math.MaxInt64-by {
		return math.MaxInt64
	}
	return offset + by
}
