// Package runtime runs the tasks of connectors, each in a goroutine of its own, so that none can disturb another:
//
//	source:  Poll → transforms → converters → produce ─acks─→ ledger → offsets topic, each second
//	sink:    fetch → converters → transforms → Put, again until it succeeds → offsets of the group, each second
//
// What is kept as done is done: a source's position is written when all that was polled before it is in its topics, a sink's offsets
// when Put (or Flush) has taken the records. So nothing is lost whenever a task or the whole process ends; what was done and not yet
// kept comes again.
//
// A task that fails is started again by itself, sooner or later according to the cause of its failure (see sdk.Cause).
package runtime
