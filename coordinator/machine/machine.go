// Package machine says what a state machine on a replicated log is. Machines are pure: no clock, no goroutine, no I/O.
package machine

import "time"

// Machine decides over requests and is replayed from records.
type Machine interface {
	// Handle takes a request. id names whoever waits for the answer; the machine may answer now, or keep the id and answer
	// in a later effect.
	Handle(now time.Time, id uint64, request any) Effects
	// Tick is called when Deadline has come.
	Tick(now time.Time) Effects
	// Deadline is when Tick next has something to do; zero: never.
	Deadline() time.Time
	// Replay applies one record. Nothing else changes durable state.
	Replay(r Record) error
	// Snapshot gives records that say everything durable. A machine that replays them ends in this one's state, whatever it
	// replayed of the same log before. False: that cannot be said, since records that are not known were replayed.
	Snapshot() ([]Record, bool)
}

// Effects are what a machine wants done.
type Effects struct {
	// Records are appended as one batch, and replayed on this machine before the next call.
	Records []Record
	// Apart allows several batches: there may be many Records, and each is right without those after it.
	Apart bool
	// Replies are given out when Records, and all records before them, are committed.
	Replies []Reply
}

// Record is a record of the machine's log. A nil Value is a tombstone.
type Record struct {
	Key, Value []byte
	Offset     int64 // when it is read from the log; -1 when it was only just proposed
	Timestamp  int64 // ms
}

// Reply answers a request.
type Reply struct {
	ID    uint64
	Value any
}
