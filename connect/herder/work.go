package herder

import (
	"cmp"
	"fmt"
	"iter"
	"maps"
	"slices"
)

// Itself in place of a task's number means the connector, which finds out which tasks there have to be.
const Itself = -1

// ID names a piece of work: a task of a connector, or the connector itself.
type ID struct {
	Connector string
	Task      int // Itself: the connector
}

// String is the way that Kafka names a task.
func (i ID) String() string {
	if i.Task == Itself {
		return i.Connector
	}
	return fmt.Sprintf("%s-%d", i.Connector, i.Task)
}

func compareIDs(a, b ID) int {
	return cmp.Or(cmp.Compare(a.Connector, b.Connector), cmp.Compare(a.Task, b.Task))
}

// Work is a set of pieces of work.
type Work map[ID]bool

// NewWork makes a set.
func NewWork(ids ...ID) Work {
	w := make(Work, len(ids))
	for _, id := range ids {
		w[id] = true
	}
	return w
}

// Sorted gives the pieces in order: by connector, each before its tasks.
func (w Work) Sorted() []ID { return slices.SortedFunc(maps.Keys(w), compareIDs) }

// Add puts pieces in.
func (w Work) Add(ids iter.Seq[ID]) {
	for id := range ids {
		w[id] = true
	}
}

// Without gives the pieces that are not in other.
func (w Work) Without(other Work) Work {
	out := Work{}
	for id := range w {
		if !other[id] {
			out[id] = true
		}
	}
	return out
}

// count gives how many connectors, or how many tasks, are in it.
func (w Work) count(connectors bool) (n int) {
	for id := range w {
		if (id.Task == Itself) == connectors {
			n++
		}
	}
	return n
}
