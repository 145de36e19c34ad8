package server

import (
	"reflect"
	"sync"
	"sync/atomic"

	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/weir/weir/broker/wire"
	"github.com/weir/weir/internal/stats"
)

// Stages of a request, by which its time is told.
const (
	StageLocal    = iota // in the handler
	StageRemote          // waiting for the disk, for data, or for a group
	StageResponse        // waiting for its turn to be sent, and being sent
	StageTotal
	stages
)

// StageNames are the stages' names.
var StageNames = [stages]string{"local", "remote", "response", "total"}

// Reasons for the end of a connection.
const (
	endedByClient = iota
	endedIdle     // nothing came for too long
	endedRefused  // what came was not understood, or came too slowly
	endedStalled  // the client did not take its answers
	endedByStop   // the server stops
	endReasons
)

// EndNames are the reasons' names.
var EndNames = [endReasons]string{"client", "idle", "refused", "stalled", "stop"}

// Stats is what a server counts.
type Stats struct {
	Opened  stats.Counter             // connections
	Ended   [endReasons]stats.Counter // connections, by reason
	TooMany stats.Counter             // connections closed because their address had as many as it may
	Waits   stats.Counter             // requests that waited for memory
	apis    [128]atomic.Pointer[APIStats]
}

// versionsMax is above the newest version of any API.
const versionsMax = 32

// APIStats is what is counted of one API.
type APIStats struct {
	Requests [versionsMax]stats.Counter // by version
	Stages   [stages]stats.Histogram    // µs
	Received stats.Counter              // bytes of requests
	Sent     stats.Counter              // bytes of answers, without records

	mu     sync.Mutex
	errors map[int16]int64
}

// API gives what is counted of an API; nil: it was never asked for.
func (s *Stats) API(key int16) *APIStats { return s.apis[key].Load() }

// of gives an API's counters. What is not an API of Kafka is not counted apart.
func (s *Stats) of(key int16) *APIStats {
	p := &s.apis[uint16(key)%uint16(len(s.apis))]
	if a := p.Load(); a != nil {
		return a
	}
	p.CompareAndSwap(nil, &APIStats{errors: map[int16]int64{}})
	return p.Load()
}

// Errors gives how often which error was answered, by Kafka's number.
func (a *APIStats) Errors() map[int16]int64 {
	a.mu.Lock()
	defer a.mu.Unlock()
	out := make(map[int16]int64, len(a.errors))
	for code, n := range a.errors {
		out[code] = n
	}
	return out
}

func (a *APIStats) failed(code int16) {
	if code == 0 {
		return
	}
	a.mu.Lock()
	a.errors[code]++
	a.mu.Unlock()
}

// answer counts the errors in an answer. Those of the hot APIs are looked for by hand.
func (a *APIStats) answer(resp kmsg.Response) {
	switch r := resp.(type) {
	case *kmsg.ProduceResponse:
		for t := range r.Topics {
			for p := range r.Topics[t].Partitions {
				a.failed(r.Topics[t].Partitions[p].ErrorCode)
			}
		}
	case *kmsg.MetadataResponse:
		for t := range r.Topics {
			a.failed(r.Topics[t].ErrorCode)
		}
	case *kmsg.HeartbeatResponse:
		a.failed(r.ErrorCode)
	default:
		a.search(reflect.ValueOf(resp).Elem())
	}
}

func (a *APIStats) fetched(f *wire.FetchResponse) {
	a.failed(f.ErrorCode)
	for t := range f.Topics {
		for p := range f.Topics[t].Partitions {
			a.failed(f.Topics[t].Partitions[p].ErrorCode)
		}
	}
}

// search counts all fields with the name of an error code.
func (a *APIStats) search(v reflect.Value) {
	t := v.Type()
	for i := range t.NumField() {
		switch f := v.Field(i); {
		case t.Field(i).Name == "ErrorCode" && f.Kind() == reflect.Int16:
			a.failed(int16(f.Int()))
		case f.Kind() == reflect.Slice && f.Type().Elem().Kind() == reflect.Struct:
			for j := range f.Len() {
				a.search(f.Index(j))
			}
		}
	}
}
