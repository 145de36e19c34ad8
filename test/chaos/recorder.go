package main

import (
	"bufio"
	"encoding/json"
	"errors"
	"os"
	"sync"

	"golang.org/x/sys/unix"

	"github.com/weir/weir/test/chaos/history"
)

// recorder takes down what clients do: in memory, to be judged, and in a file, to be read afterwards.
type recorder struct {
	mu     sync.Mutex
	file   *os.File
	out    *bufio.Writer
	json   *json.Encoder
	events []history.Event
	op     int64
	open   map[operationKey]history.Event // sends that have not ended
	acked  map[seriesKey]int64            // the latest begin of an acknowledged send
	err    error                          // the first error of the file
}

type operationKey struct {
	client string
	op     int64
}

// seriesKey names what one client sends to one partition.
type seriesKey struct {
	client    string
	partition int32
}

func newRecorder(name string) (*recorder, error) {
	f, err := os.Create(name)
	if err != nil {
		return nil, err
	}
	out := bufio.NewWriter(f)
	return &recorder{file: f, out: out, json: json.NewEncoder(out), open: map[operationKey]history.Event{}, acked: map[seriesKey]int64{}}, nil
}

// now gives the time of the clock that all clients have, in other processes too.
func now() int64 {
	var t unix.Timespec
	if err := unix.ClockGettime(unix.CLOCK_MONOTONIC, &t); err != nil {
		panic(err)
	}
	return t.Nano()
}

// add takes an event down. One without a time has happened now.
func (r *recorder) add(e history.Event) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if e.At == 0 {
		e.At = now()
	}
	r.events = append(r.events, e)
	r.err = errors.Join(r.err, r.json.Encode(e))
	if e.Kind != history.Send {
		return
	}
	key := operationKey{e.Client, e.Op}
	if e.Phase == history.Invoke {
		r.open[key] = e
		return
	}
	if begun := r.open[key]; e.Phase == history.OK {
		s := seriesKey{begun.Client, begun.Partition}
		r.acked[s] = max(r.acked[s], begun.At)
	}
	delete(r.open, key)
}

// begin takes the begin of an operation down, and gives how to take down its end.
func (r *recorder) begin(e history.Event) (end func(phase history.Phase, offset int64, err error)) {
	r.mu.Lock()
	r.op++
	e.Op, e.Phase = r.op, history.Invoke
	r.mu.Unlock()
	r.add(e)
	return func(phase history.Phase, offset int64, err error) {
		e := history.Event{Client: e.Client, Op: e.Op, Kind: e.Kind, Phase: phase, Partition: e.Partition, Offset: offset}
		if err != nil {
			e.Error = err.Error()
		}
		r.add(e)
	}
}

// ackedSince tells whether a client had a record acknowledged by a partition that it sent after that time.
func (r *recorder) ackedSince(s seriesKey, at int64) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.acked[s] > at
}

// close ends the file, and gives all events.
func (r *recorder) close() ([]history.Event, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.events, errors.Join(r.err, r.out.Flush(), r.file.Close())
}
