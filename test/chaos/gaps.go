package main

import (
	"slices"
	"strings"
	"time"

	"github.com/weir/weir/test/chaos/history"
)

// fault is a step that was done.
type fault struct {
	step
	Hit       []int32 `json:"hit"`       // the partitions that the node led
	Begun     int64   `json:"begun"`     // ns, of the history's clock
	Healed    int64   `json:"healed"`    // when its heal was done
	Recovered int64   `json:"recovered"` // when everything went on; 0: not
}

// series are the acknowledgements of what one client sends to one partition.
type series struct {
	seriesKey
	acks []int64 // times, sorted
}

// acknowledgements gives the series of the clients that must never be without acknowledgements for long.
func acknowledgements(events []history.Event, clients []string) []series {
	times := map[seriesKey][]int64{}
	for _, e := range events {
		if e.Kind == history.Send && e.Phase == history.OK && slices.Contains(clients, e.Client) {
			key := seriesKey{e.Client, e.Partition}
			times[key] = append(times[key], e.At)
		}
	}
	var all []series
	for key, acks := range times {
		slices.Sort(acks)
		all = append(all, series{key, acks})
	}
	return all
}

// longestGap gives the longest time between two acknowledgements of which the later one came after from, and not after to.
func (s series) longestGap(from, to int64) time.Duration {
	longest := int64(0)
	first, _ := slices.BinarySearch(s.acks, from+1)
	for i := max(first, 1); i < len(s.acks) && s.acks[i] <= to; i++ {
		longest = max(longest, s.acks[i]-s.acks[i-1])
	}
	return time.Duration(longest)
}

// library is the client library that a client uses.
func library(client string) string { return strings.TrimRight(client, "0123456789") }

// gapRow sums up one kind of fault: for each fault the longest gap, of the partitions that it hit and of the others.
type gapRow struct {
	kind     string
	count    int
	gaps     map[gapColumn][]time.Duration // sorted
	recovery []time.Duration               // from the heal on, sorted
}

type gapColumn struct {
	library string
	hit     bool
}

// calm is the kind of the time between the faults.
const calm = "(no fault)"

// gapRows measures the faults, in the order of their kinds' names.
func gapRows(all []series, faults []fault) []*gapRow {
	rows := map[string]*gapRow{}
	row := func(kind string) *gapRow {
		if rows[kind] == nil {
			rows[kind] = &gapRow{kind: kind, gaps: map[gapColumn][]time.Duration{}}
		}
		rows[kind].count++
		return rows[kind]
	}
	before := int64(0)
	for _, f := range faults {
		if before > 0 {
			row(calm).measure(all, before, f.Begun, nil)
		}
		before = f.Recovered
		if f.Recovered == 0 {
			continue
		}
		r := row(f.Kind)
		r.measure(all, f.Begun, f.Recovered, f.Hit)
		r.recovery = append(r.recovery, time.Duration(f.Recovered-f.Healed))
	}
	var out []*gapRow
	for _, r := range rows {
		for _, d := range r.gaps {
			slices.Sort(d)
		}
		slices.Sort(r.recovery)
		out = append(out, r)
	}
	slices.SortFunc(out, func(a, b *gapRow) int { return strings.Compare(a.kind, b.kind) })
	return out
}

func (r *gapRow) measure(all []series, from, to int64, hit []int32) {
	longest := map[gapColumn]time.Duration{}
	for _, s := range all {
		c := gapColumn{library(s.client), slices.Contains(hit, s.partition)}
		longest[c] = max(longest[c], s.longestGap(from, to))
	}
	for c, d := range longest {
		r.gaps[c] = append(r.gaps[c], d)
	}
}
