package main

import (
	"fmt"
	"slices"
	"strings"
	"time"
)

// history is what a replay saw of each key of each topic.
type history map[topicKey]*past

type topicKey struct{ topic, key string }

type past struct {
	partitions []int32
	events     []Event
	misdated   int // events whose record has another time
}

// add notes an event that was read.
func (h history) add(topic string, partition int32, key string, at time.Time, e Event) {
	p := h[topicKey{topic, key}]
	if p == nil {
		p = &past{}
		h[topicKey{topic, key}] = p
	}
	if !slices.Contains(p.partitions, partition) {
		p.partitions = append(p.partitions, partition)
	}
	if !at.Equal(e.Time) {
		p.misdated++
	}
	p.events = append(p.events, e)
}

// diff tells what is not as it happened: "" when each key's events are in one partition, complete and in order.
func (h history) diff(events []Event) string {
	want := map[topicKey][]Event{}
	for _, e := range events {
		k := topicKey{topicOf[e.Kind], e.key()}
		want[k] = append(want[k], e)
	}
	var out []string
	for k, w := range want {
		switch got := h[k]; {
		case got == nil:
			out = append(out, fmt.Sprintf("%s, key %s: got nothing, want %d events", k.topic, k.key, len(w)))
		case len(got.partitions) > 1:
			out = append(out, fmt.Sprintf("%s, key %s: is in the partitions %v, want one", k.topic, k.key, got.partitions))
		case got.misdated > 0:
			out = append(out, fmt.Sprintf("%s, key %s: %d records have another time than their events", k.topic, k.key, got.misdated))
		case !slices.Equal(got.events, w):
			out = append(out, fmt.Sprintf("%s, key %s: got %d events, want %d, or their order differs", k.topic, k.key, len(got.events), len(w)))
		}
	}
	for k := range h {
		if want[k] == nil {
			out = append(out, fmt.Sprintf("%s, key %s: got %d events, want none", k.topic, k.key, len(h[k].events)))
		}
	}
	return problems(out)
}

// diffLines tells which lines are missing and which are too many, in any order.
func diffLines(got, want []string) string {
	count := map[string]int{}
	for _, l := range want {
		count[l]++
	}
	for _, l := range got {
		count[l]--
	}
	var out []string
	for l, n := range count {
		switch {
		case n > 0:
			out = append(out, fmt.Sprintf("missing %d time(s): %s", n, l))
		case n < 0:
			out = append(out, fmt.Sprintf("too often, %d time(s): %s", -n, l))
		}
	}
	return problems(out)
}

// problems puts the first few in order, one a line.
func problems(all []string) string {
	const most = 20
	slices.Sort(all)
	if len(all) > most {
		all = append(all[:most:most], fmt.Sprintf("and %d more", len(all)-most))
	}
	return strings.Join(all, "\n")
}
