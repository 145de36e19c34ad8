package connect

import (
	"context"
	"log/slog"

	"github.com/weir/weir/connect/herder"
	"github.com/weir/weir/connect/sdk"
)

// engine runs tasks and knows how far they are.
type engine interface {
	// Start starts a task, which goes on until it is stopped. It may not wait. told hears of each change of its state, not from within Start.
	Start(spec taskSpec, told func(taskStatus)) task
	// Resolve replaces what a configuration refers to, as in ${env:NAME}.
	Resolve(config map[string]string) (map[string]string, error)
	// Positions gives how far a source is, with partitions in no order.
	Positions(ctx context.Context, connector string, config map[string]string) ([]sdk.Position, error)
	// SetPositions moves a source. An offset of nil forgets the partition.
	SetPositions(ctx context.Context, connector string, config map[string]string, positions []sdk.Position) error
	// SinkOffsets, SetSinkOffsets and DeleteSinkOffsets do that for the group of a sink; an offset of -1 forgets a partition.
	SinkOffsets(ctx context.Context, connector string, config map[string]string) (map[sdk.TopicPartition]int64, error)
	SetSinkOffsets(ctx context.Context, connector string, config map[string]string, offsets map[sdk.TopicPartition]int64) error
	DeleteSinkOffsets(ctx context.Context, connector string, config map[string]string) error
	// Close ends what it has open. All tasks are stopped.
	Close()
}

// taskSpec says which task is to be run.
type taskSpec struct {
	id        herder.ID
	connector sdk.Connector
	config    map[string]string // unresolved
	logger    *slog.Logger
	used      func(topic string) // hears of each topic that the task uses, perhaps again and again
}

// taskStatus is what a task does.
type taskStatus struct {
	state herder.State
	trace string
	cause sdk.Cause
}

// task is one that was started.
type task interface {
	Pause()
	Resume()
	// Stop ends it, with all that it has done kept, or when ctx ends.
	Stop(ctx context.Context)
	// Details tells how it fares.
	Details() taskDetails
}

// taskDetails is what there is to know of a task besides its state.
type taskDetails struct {
	Records   int64   `json:"records"`            // since it was started
	Rate      float64 `json:"records_per_second"` // lately
	Lag       *int64  `json:"lag"`                // records behind; null: not known
	LagMillis *int64  `json:"lag_ms"`             // how far a source is behind; null: not known
	Cause     string  `json:"cause,omitempty"`
	Stuck     bool    `json:"stuck,omitempty"` // it says that it runs, and moves nothing though there is something to move
}
