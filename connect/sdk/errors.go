package sdk

import (
	"errors"
	"fmt"
)

// Cause is the kind of a failure: it decides whether trying again helps, and tells people where to look.
type Cause string

// The causes.
const (
	Unknown       Cause = "unknown"       // an error that says nothing about itself; the task is restarted with back-off
	Transient     Cause = "transient"     // it passes: a server that is down, a time-out; tried again until it does
	Configuration Cause = "configuration" // the options, or something that the other system's owner has to set; tried again only rarely
	Poison        Cause = "poison record" // this record is refused whatever is done
	Lost          Cause = "source gone"   // what was to be read next is not there any more (a dropped slot, a deleted table): people decide
)

type classified struct {
	cause Cause
	err   error
}

func (c *classified) Error() string { return c.err.Error() }
func (c *classified) Unwrap() error { return c.err }

// Retry marks an error that passes. Put is then called again with the same records, and Poll again.
func Retry(err error) error { return &classified{Transient, err} }

// Misconfigured makes an error of what somebody has to set right. Say what is wrong and what to do.
func Misconfigured(format string, args ...any) error {
	return &classified{Configuration, fmt.Errorf(format, args...)}
}

// Gone makes an error of something to read that is not there any more. Say what, and what to do.
func Gone(format string, args ...any) error { return &classified{Lost, fmt.Errorf(format, args...)} }

// Because marks an error with its cause, where that is known only when the program runs. Otherwise use those above.
func Because(cause Cause, err error) error { return &classified{cause, err} }

// RecordError is a record that a sink refuses. The others of the same Put are done. See SinkContext.Report for tasks that go on
// themselves.
type RecordError struct {
	Record *Record
	Err    error
}

func (e *RecordError) Error() string {
	return fmt.Sprintf("record at %s-%d offset %d: %v", e.Record.From.Topic, e.Record.From.Partition, e.Record.Offset, e.Err)
}
func (e *RecordError) Unwrap() error { return e.Err }

// CauseOf tells the kind of an error.
func CauseOf(err error) Cause {
	var c *classified
	if errors.As(err, &c) {
		return c.cause
	}
	var r *RecordError
	if errors.As(err, &r) {
		return Poison
	}
	return Unknown
}
