package server

import (
	"sync"
	"sync/atomic"

	"github.com/weir/weir/internal/stats"
)

// Stages of a request, by which its time is told. They follow each other; the last one is all of them.
const (
	StageQueue         = iota // from its last byte until the handler has it
	StageLocal                // in the handler
	StageRemote               // waiting for the disk, for data, or for a group
	StageResponseQueue        // answered, waiting for answers before it to be sent
	StageResponseSend
	StageTotal
	stages
)

// StageNames are the stages' names.
var StageNames = [stages]string{"request_queue", "local", "remote", "response_queue", "response_send", "total"}

// Reasons for the end of a connection.
const (
	endedByClient = iota
	endedIdle     // nothing came for too long
	endedSlow     // the rest of a request did not come in time
	endedRefused  // what came was not understood
	endedStalled  // the client did not take its answers
	endedByStop   // the server stops
	endReasons
)

// EndNames are the reasons' names.
var EndNames = [endReasons]string{"client", "idle", "slow", "refused", "stalled", "stop"}

// Stats is what a server counts.
type Stats struct {
	Opened  stats.Counter             // connections
	Ended   [endReasons]stats.Counter // connections, by reason
	TooMany stats.Counter             // connections closed because their address had as many as it may
	Failed  stats.Counter             // connections that the system did not give, as it has no more
	Waits   stats.Counter             // requests that waited for memory
	apis    [128]atomic.Pointer[APIStats]
}

// versionsMax is above the newest version of any API.
const versionsMax = 32

// APIStats is what is counted of one API.
type APIStats struct {
	Requests [versionsMax]stats.Counter // by version
	Stages   [stages]stats.Histogram    // ns
	Received stats.Counter              // bytes of requests
	Sent     stats.Counter              // bytes of answers

	shape  atomic.Pointer[shape] // of the answers
	mu     sync.Mutex
	errors map[int16]int64
}

// API gives what is counted of an API; nil: it was never asked for.
func (s *Stats) API(key int16) *APIStats { return s.apis[key].Load() }

// of gives an API's counters.
func (s *Stats) of(key int16) *APIStats {
	p := &s.apis[uint16(key)%uint16(len(s.apis))]
	if a := p.Load(); a != nil {
		return a
	}
	p.CompareAndSwap(nil, &APIStats{errors: map[int16]int64{}})
	return p.Load()
}

// moments are when a request came from one stage to the next; stats.Now gave them.
type moments struct {
	received int64
	called   int64        // of the handler
	returned atomic.Int64 // of the handler; 0: it has not returned
	answered int64
	taken    int64 // to be sent
}

// count counts a request that was sent, or dropped, now.
func (r *Request) count(now int64) {
	a := r.Conn.server.stats.of(r.Key)
	a.Requests[uint16(r.Version)%versionsMax].Add(1)
	a.Received.Add(len(r.frame.b))
	sent := len(r.out.bytes)
	for i := range r.out.data {
		sent += r.out.data[i].Size()
	}
	a.Sent.Add(sent)
	m := &r.moments
	returned := m.returned.Load()
	if returned == 0 || returned > m.answered { // it was answered while it was handled
		returned = m.answered
	}
	a.Stages[StageQueue].Observe(m.called - m.received)
	a.Stages[StageLocal].Observe(returned - m.called)
	a.Stages[StageRemote].Observe(m.answered - returned)
	a.Stages[StageResponseQueue].Observe(m.taken - m.answered)
	a.Stages[StageResponseSend].Observe(now - m.taken)
	a.Stages[StageTotal].Observe(now - m.received)
}
