// Package history holds what clients saw of a cluster, and judges it: whether every acknowledged record is there once, at one
// offset, in its order, and whether committed offsets stay. It only decides; others gather the events.
package history

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
)

// Kind is what a client did.
type Kind string

const (
	// Send is the production of one record.
	Send Kind = "send"
	// Poll is what one poll brought from one partition. It only has an end.
	Poll Kind = "poll"
	// Commit is the commit of one partition's offset by the consumer group.
	Commit Kind = "commit"
	// Committed is the question which offset the group has committed; -1 is the answer that there is none.
	Committed Kind = "committed"
)

// Phase tells the begin of an operation and its possible ends.
type Phase string

const (
	// Invoke is the begin. An operation that never ends counts as Info.
	Invoke Phase = "invoke"
	// OK is the end as wished.
	OK Phase = "ok"
	// Fail is a definite failure: what was wished has not happened, and will not.
	Fail Phase = "fail"
	// Info is an end that leaves open whether it happened.
	Info Phase = "info"
)

// Mode is how a poll's client came to its partitions.
type Mode string

const (
	// Assign reads partitions from offset 0 on, without a group.
	Assign Mode = "assign"
	// Subscribe reads what the group gives it, from where the group stands.
	Subscribe Mode = "subscribe"
	// Final is Assign after everything has healed, up to the end of the log.
	Final Mode = "final"
)

// Event is the begin or the end of an operation. The topic is always the same.
type Event struct {
	At        int64  `json:"at"`           // ns, of one clock that never goes back, the same for all clients
	Client    string `json:"client"`       //
	Op        int64  `json:"op,omitempty"` // pairs the begin and the end of one client's operation
	Kind      Kind   `json:"kind"`
	Phase     Phase  `json:"phase"`
	Mode      Mode   `json:"mode,omitempty"` // of a poll
	Partition int32  `json:"partition"`
	Offset    int64  `json:"offset"`          // of a send that is OK; -1: the broker did not say. Of a commit, and of a Committed that is OK.
	Value     string `json:"value,omitempty"` // of a send; no two sends have the same
	Reads     []Read `json:"reads,omitempty"` // of a poll, in the order in which they came
	Error     string `json:"error,omitempty"` // why it is not OK, for people
}

// Read is one record that came.
type Read struct {
	Offset int64  `json:"offset"`
	Value  string `json:"value"`
}

// Load reads events, one JSON object a line.
func Load(r io.Reader) ([]Event, error) {
	var all []Event
	d := json.NewDecoder(bufio.NewReader(r))
	for {
		var e Event
		if err := d.Decode(&e); err == io.EOF {
			return all, nil
		} else if err != nil {
			return nil, fmt.Errorf("event %d: %w", len(all), err)
		}
		all = append(all, e)
	}
}
