// Package sdk is what connectors are written with. A source brings records from another system into topics, a sink takes
// records from topics to one; the runtime (package connect) does the rest: it configures, starts, stops, restarts and balances their
// tasks, converts and transforms records, keeps offsets, retries, and tells how they fare.
//
// A connector is a type with a Config (its options, from which forms, validation and docs are made) and NewTask. What a task does:
//
//	source:  Start → Poll, Poll, … → Stop      each record says where in the source it is (Position);
//	                                           the runtime keeps the last that is durable and hands it to the next Start
//	sink:    Start → Put, Put, … → Stop        what Put has returned without error for is done, unless the task is a Flusher
//
// Errors say by their kind what is to be done: see Retry, Misconfigured, Gone, and Fail.
package sdk
