// Package load puts load on a Kafka cluster and measures how the cluster bears it. It costs as little as it can itself: records
// and their buffers are used again, and what it measures is counted, not kept.
//
// A run warms up first, which is not counted, and then measures. With a rate the load is an open loop: every record has a
// time at which it is due, however long the ones before it take, and its latency counts from then on. A cluster that pauses
// is so charged with all records that had to wait, not only with those that were under way.
package load

import (
	"context"
	"sync"
	"sync/atomic"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
)

// Spec says what load to put on a topic.
type Spec struct {
	Topic      string
	Partitions int32
	Connect    func(...kgo.Opt) (*kgo.Client, error)

	Payload     *Payload
	Codec       kgo.CompressionCodec
	Acks        kgo.Acks
	Linger      time.Duration
	BatchBytes  int32
	Timeout     time.Duration // a record that is not acknowledged for so long ends the run
	Connections int           // clients, each with connections of its own
	InFlight    int           // records that a client waits for, at most; 0: as many as its buffer holds
	Rate        float64       // records a second, of all clients together; 0: as fast as it goes

	WarmUp   time.Duration
	Duration time.Duration // of the measurement, unless
	Records  int64         // so many are to be written or read, if not 0
	PIDs     []int         // processes of brokers on this machine, whose CPU and memory to measure

	// Progress, if not nil, is called every now and then.
	Progress func(Progress)
}

// Progress is how far a run is.
type Progress struct {
	WarmUp  bool
	Seconds float64 // since the warm-up, or the measurement, began
	Records int64   // acknowledged, or read, in this time
	Bytes   int64
	P99     time.Duration
}

// Result is what was measured.
type Result struct {
	Seconds  float64
	Records  int64
	Bytes    int64
	Ack      *Histogram // from due, or sent if there is no rate, until acknowledged
	Late     *Histogram // from due until handed to the client library: what the generator itself, or InFlight, added
	EndToEnd *Histogram // from due until read by a consumer
	Client   Usage
	Brokers  Usage // RSS is that at the end
}

// meter counts what is acknowledged, or read, in a phase of a run.
type meter struct {
	records atomic.Int64
	bytes   atomic.Int64
	ack     Histogram
	late    Histogram
	began   time.Time
}

func newMeter() *meter { return &meter{began: time.Now()} }

// failure is the first error of a run. It ends the run.
type failure struct {
	first atomic.Pointer[error]
	end   context.CancelFunc
}

func (f *failure) set(err error) {
	if err != nil && f.first.CompareAndSwap(nil, &err) {
		f.end()
	}
}

func (f *failure) err() error {
	if err := f.first.Load(); err != nil {
		return *err
	}
	return nil
}

// watched calls do while it tells of its progress.
func (s *Spec) watched(m *meter, warmUp bool, do func()) {
	if s.Progress == nil {
		do()
		return
	}
	over := make(chan struct{})
	var told sync.WaitGroup
	told.Go(func() {
		tick := time.NewTicker(time.Second)
		defer tick.Stop()
		for {
			select {
			case <-over:
				return
			case <-tick.C:
				s.Progress(Progress{warmUp, time.Since(m.began).Seconds(), m.records.Load(), m.bytes.Load(), m.ack.Quantile(.99)})
			}
		}
	})
	do()
	close(over)
	told.Wait()
}

// measured calls do and gives what it took in time, CPU and memory.
func (s *Spec) measured(m *meter, do func()) Result {
	client, brokers := selfUsage(), usageOf(s.PIDs)
	m.began = time.Now()
	s.watched(m, false, do)
	took := time.Since(m.began).Seconds()
	return Result{Seconds: took, Records: m.records.Load(), Bytes: m.bytes.Load(), Ack: &m.ack, Late: &m.late,
		Client: selfUsage().since(client), Brokers: usageOf(s.PIDs).since(brokers)}
}

var began = time.Now()

// now gives a moment, in ns since the process began: cheaper than time.Now, and never set back.
func now() int64 { return int64(time.Since(began)) }
