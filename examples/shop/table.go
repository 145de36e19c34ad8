package main

import (
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"text/tabwriter"
	"time"
)

// Row is what the shop knows of a product.
type Row struct {
	Available int `json:"available"` // delivered and not yet dispatched
	Sold      int `json:"sold"`      // ordered
	Searched  int `json:"searched"`
}

// Table is the shop's picture of its products. Every event changes it by a plain addition, so partitions can be counted
// apart and added up.
type Table map[string]Row

// apply counts an event.
func (t Table) apply(e Event) {
	r := t[e.Product]
	switch e.Kind {
	case searched:
		r.Searched++
	case ordered:
		r.Sold += e.Quantity
	case delivered:
		r.Available += e.Quantity
	case dispatched:
		r.Available -= e.Quantity
	default:
		return
	}
	t[e.Product] = r
}

// add adds up two tables.
func (t Table) add(o Table) {
	for product, r := range o {
		sum := t[product]
		sum.Available += r.Available
		sum.Sold += r.Sold
		sum.Searched += r.Searched
		t[product] = sum
	}
}

func (t Table) print(w io.Writer) {
	tw := tabwriter.NewWriter(w, 0, 4, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintln(tw, "product\tavailable\tsold\tsearched\t")
	for _, p := range slices.Sorted(maps.Keys(t)) {
		fmt.Fprintf(tw, "%s\t%d\t%d\t%d\t\n", p, t[p].Available, t[p].Sold, t[p].Searched)
	}
	_ = tw.Flush()
}

// diff tells where two tables differ; "": nowhere.
func diff(got, want Table) string {
	var out []string
	for p := range want {
		if got[p] != want[p] {
			out = append(out, fmt.Sprintf("%s: got %+v, want %+v", p, got[p], want[p]))
		}
	}
	for p := range got {
		if _, ok := want[p]; !ok {
			out = append(out, fmt.Sprintf("%s: got %+v, want nothing", p, got[p]))
		}
	}
	slices.Sort(out)
	return strings.Join(out, "\n")
}

// straight computes the table from the data file, without any topic: what all others must agree with. It is written apart
// from Table.apply on purpose.
func straight(events []Event, until time.Time) Table {
	sum := func(product, kind string, weigh bool) (n int) {
		for _, e := range events {
			if e.Product == product && e.Kind == kind && !e.Time.After(until) {
				if weigh {
					n += e.Quantity
				} else {
					n++
				}
			}
		}
		return n
	}
	out := Table{}
	for _, p := range products {
		r := Row{
			Available: sum(p, delivered, true) - sum(p, dispatched, true),
			Sold:      sum(p, ordered, true),
			Searched:  sum(p, searched, false),
		}
		if r != (Row{}) || sum(p, delivered, false) > 0 {
			out[p] = r
		}
	}
	return out
}
