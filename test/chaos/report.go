package main

import (
	"fmt"
	"io"
	"maps"
	"slices"
	"text/tabwriter"
	"time"

	"github.com/weir/weir/test/chaos/history"
)

// verdict is what came out.
type verdict struct {
	*trial
	events    []history.Event
	anomalies []history.Anomaly
}

func (v *verdict) good() bool { return len(v.anomalies) == 0 && len(v.wrong) == 0 }

const shownMost = 5 // of each kind of anomaly; all are in anomalies.json

func (v *verdict) write(out io.Writer) {
	sent, acked, failed, unknown := counts(v.events)
	fmt.Fprintf(out, "\nsends: %d, of which acknowledged %d, failed %d, unknown %d\n", sent, acked, failed, unknown)
	v.writeGaps(out)
	for _, note := range slices.Sorted(maps.Keys(v.workload.notes)) {
		fmt.Fprintf(out, "note: %s (%d times)\n", note, v.workload.notes[note])
	}
	shown := map[string]int{}
	for _, a := range v.anomalies {
		if shown[a.Kind]++; shown[a.Kind] <= shownMost {
			fmt.Fprintln(out, "ANOMALY:", a)
		}
	}
	for _, w := range v.wrong {
		fmt.Fprintln(out, "WRONG:", w)
	}
	if v.good() {
		fmt.Fprintf(out, "PASS: no anomaly in %d events, %d faults, seed %d\n", len(v.events), len(v.done), v.seed)
		return
	}
	for _, kind := range slices.Sorted(maps.Keys(shown)) {
		fmt.Fprintf(out, "%d × %s\n", shown[kind], kind)
	}
	fmt.Fprintf(out, "FAIL: %d anomalies, %d other things wrong, %d faults, seed %d; logs, disks and history are in %s\n",
		len(v.anomalies), len(v.wrong), len(v.done), v.seed, v.dir)
}

// writeGaps writes the table of the longest times without an acknowledgement.
func (v *verdict) writeGaps(out io.Writer) {
	fmt.Fprintln(out, "longest time without an acknowledgement, in a partition whose leader was hit / in the others: p50, p99 and longest of the faults, in seconds")
	rows := gapRows(acknowledgements(v.events, v.workload.producers), v.done)
	w := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	libraries := slices.Compact(slices.Sorted(maps.Keys(v.libraries())))
	fmt.Fprint(w, "fault\tdone")
	for _, l := range libraries {
		fmt.Fprintf(w, "\t%s: hit\tothers", l)
	}
	fmt.Fprint(w, "\trecovered after the heal\n")
	for _, r := range rows {
		fmt.Fprintf(w, "%s\t%d", r.kind, r.count)
		for _, l := range libraries {
			fmt.Fprintf(w, "\t%s\t%s", spread(r.gaps[gapColumn{l, true}]), spread(r.gaps[gapColumn{l, false}]))
		}
		fmt.Fprintf(w, "\t%s\n", spread(r.recovery))
	}
	_ = w.Flush()
}

func (v *verdict) libraries() map[string]bool {
	out := map[string]bool{}
	for _, p := range v.workload.producers {
		out[library(p)] = true
	}
	return out
}

// spread gives the median, the 99th percentile and the longest of sorted times.
func spread(d []time.Duration) string {
	if len(d) == 0 {
		return "-"
	}
	rank := func(percent int) float64 { return d[(len(d)*percent+99)/100-1].Seconds() } // the smallest that so many do not exceed
	return fmt.Sprintf("%.2f %.2f %.2f", rank(50), rank(99), rank(100))
}
