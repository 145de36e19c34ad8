package sdk

import (
	"context"
	"log/slog"
	"time"
)

// Connector describes a connector: what it is called, which options it has, and its tasks. It has no state; each connector that
// somebody configures is an Instance or, if there is only one task, just that.
type Connector interface {
	// Info names it.
	Info() Info
	// Options are those that are its own; what all connectors have is added by the runtime.
	Options() []Option
}

// Info names a connector.
type Info struct {
	// Class is the name under which it is configured (connector.class); Aliases are others, such as those of the connectors of other
	// makers whose configurations it takes.
	Class   string
	Aliases []string
	Version string
	Doc     string // one sentence
}

// Source is a connector that brings records into topics.
type Source interface {
	Connector
	NewTask() SourceTask
}

// Sink is a connector that takes records from topics.
type Sink interface {
	Connector
	NewTask() SinkTask
}

// Validator is a Connector that checks options together, or against the live system. It gives an error for each option that is wrong.
type Validator interface {
	Validate(ctx context.Context, v Values) []OptionError
}

// Patterned is a Connector that has options whose names are known only by their form, such as column.mask.with.5.chars: HasOption tells
// whether a name is one of them. They are in Options by a name that stands for all.
type Patterned interface {
	HasOption(name string) bool
}

// Preset is a Connector for which options that all connectors have, such as converters, have other defaults than the worker's.
type Preset interface {
	Defaults() map[string]string
}

// Splitter is a Connector that divides the work among up to most tasks: it gives the options of each. Without it there is one task
// with the connector's options (a sink: tasks.max of them).
type Splitter interface {
	Split(ctx context.Context, v Values, most int) ([]map[string]string, error)
}

// Watcher is a Connector that sees by itself that the work has to be divided anew, as when tables come. Watch runs while the connector
// does, until ctx ends, and calls changed then.
type Watcher interface {
	Watch(ctx context.Context, v Values, changed func()) error
}

// OffsetChecker is a Source that checks positions that somebody wants to set by hand. An offset of nil is a reset.
type OffsetChecker interface {
	CheckPositions(v Values, positions []Position) error
}

// SourceTask reads from a source.
type SourceTask interface {
	// Start opens what is needed. It is given its options, and by c where to go on.
	Start(ctx context.Context, c SourceContext, v Values) error
	// Poll waits until there are records, or ctx ends, and gives some. If there are none for PollWithin it comes back with none: a task
	// whose Poll does not come back for long is shown as stuck. The records are the runtime's from then on; the slice is free again with
	// the next Poll.
	Poll(ctx context.Context) ([]*Record, error)
	// Stop closes all. It comes once, after the last Poll, also when Start failed.
	Stop() error
}

// PollWithin is how long Poll may wait for records.
const PollWithin = 15 * time.Second

// Lagging is a SourceTask that knows how far it is behind its source. Lag may be called at any time, also while Poll waits, and does not
// wait; known is false as long as there is nothing to tell, as during a snapshot.
type Lagging interface {
	Lag(now time.Time) (behind time.Duration, known bool)
}

// Noting is a SourceContext or SinkContext that shows a note beside the state of a task that runs: something that people should know, and
// that does not keep it from running. A later note takes its place; "" takes it back.
type Noting interface {
	Note(text string)
}

// Masking is a SourceContext or SinkContext that hides in a text what nobody may see: the values of passwords, and what the configuration
// refers to. Errors are masked anyway; it is for what a task gets from elsewhere and hands on, as to the log.
type Masking interface {
	Mask(text string) string
}

// Acknowledged is a SourceTask that wants to know what is durable, to let the source forget it. Acknowledged is called between polls, or
// while Poll waits, with the newest position of each source partition that is durable with all before it *and kept*, so that no
// restart goes back behind it.
type Acknowledged interface {
	Acknowledged(ctx context.Context, p []Position) error
}

// Retrying is a SourceTask or SinkTask whose options say how often it is tried again after an error that passes, until the task fails, and
// how long to wait before each try. most < 0: for ever. wait < 0: as long as the runtime thinks fit, longer each time.
type Retrying interface {
	Retries(err error) (most int, wait time.Duration)
}

// Durable is a SourceTask that wants to know at once when records are durable in their topics, or were dropped or passed over: Durable is
// called when that is so of all records of so many more polls that gave some, in their order. It must not wait.
type Durable interface {
	Durable(polls int)
}

// SourceContext is what the runtime does for a source task.
type SourceContext interface {
	// Position gives the last kept offset of a source partition; nil: there is none.
	Position(ctx context.Context, partition map[string]any) (map[string]any, error)
	// Logger is the task's.
	Logger() *slog.Logger
	// Connector and Task name the task.
	Connector() string
	Task() int
	// Run names this start of the task: another one after each.
	Run() string
}

// SinkTask writes to another system.
type SinkTask interface {
	Start(ctx context.Context, c SinkContext, v Values) error
	// Put takes records, in the order of each partition. When it returns nil they are done, or taken, if the task is a Flusher. After an
	// error marked with Retry it is called again with the same records. A *RecordError is one record that cannot be taken.
	Put(ctx context.Context, records []*Record) error
	Stop() error
}

// Flusher is a SinkTask that takes records and is done with them later. Flush gives, of the offsets that were put (the next to read of
// each partition), those up to which all is done. A partition that is left out keeps what it had.
type Flusher interface {
	Flush(ctx context.Context, put map[TopicPartition]int64) (map[TopicPartition]int64, error)
}

// Partitioned is a SinkTask that wants to know which partitions it has.
type Partitioned interface {
	Assigned(ctx context.Context, p []TopicPartition) error
	// Revoked comes after the last Put and Flush of them. lost: somebody else may have them already.
	Revoked(ctx context.Context, p []TopicPartition, lost bool) error
}

// SinkContext is what the runtime does for a sink task.
type SinkContext interface {
	// Report hands over a record that cannot be taken: to the dead-letter topic, the log, or, with errors.tolerance=none, as the error that
	// it gives, with which the task has to end.
	Report(r *Record, err error) error
	// Rewind makes the next Put begin at other offsets.
	Rewind(to map[TopicPartition]int64)
	// End tells, in Put, where a partition ended when it was last read. All that anybody has read of it until then is before that.
	End(p TopicPartition) int64
	Logger() *slog.Logger
	Connector() string
	Task() int
}
