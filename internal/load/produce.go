package load

import (
	"context"
	"sync"
	"sync/atomic"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
)

const (
	bufferedRecords = 1 << 18
	bufferedBytes   = 128 << 20
	// partitionBytes is how much goes to a partition before it is another's turn.
	partitionBytes = 64 << 10
	// pauseMin is the shortest pause of an open loop, which would otherwise do little but pause at a high rate.
	pauseMin = 100 * time.Microsecond
)

// Produce writes records and measures how long they take to be acknowledged.
func Produce(ctx context.Context, s *Spec) (Result, error) {
	p, err := newProducers(ctx, s)
	if err != nil {
		return Result{}, err
	}
	defer p.close()
	p.warmUp()
	m := newMeter()
	result := s.measured(m, func() { p.run(m, s.Duration, s.Records, nil) })
	return result, p.failure.err()
}

// producers are the clients of a run.
type producers struct {
	*Spec
	clients []*kgo.Client
	failure failure
	stop    atomic.Bool // the run is to end early
	release func() bool
}

func newProducers(ctx context.Context, s *Spec) (*producers, error) {
	p := &producers{Spec: s}
	ctx, p.failure.end = context.WithCancel(ctx)
	p.release = context.AfterFunc(ctx, func() { p.stop.Store(true) })
	for range s.Connections {
		client, err := s.Connect(p.options()...)
		if err != nil {
			p.close()
			return nil, err
		}
		p.clients = append(p.clients, client)
	}
	return p, nil
}

func (p *producers) close() {
	p.release()
	p.failure.end()
	for _, c := range p.clients {
		c.Close()
	}
}

func (p *producers) options() []kgo.Opt {
	opts := []kgo.Opt{
		kgo.DefaultProduceTopic(p.Topic),
		kgo.ProducerBatchCompression(p.Codec), kgo.RequiredAcks(p.Acks),
		kgo.ProducerLinger(p.Linger), kgo.ProducerBatchMaxBytes(p.BatchBytes),
		kgo.MaxBufferedRecords(bufferedRecords), kgo.MaxBufferedBytes(bufferedBytes),
		kgo.RecordDeliveryTimeout(p.Timeout), kgo.AllowIdempotentProduceCancellation(),
	}
	if p.Acks != kgo.AllISRAcks() {
		opts = append(opts, kgo.DisableIdempotentWrite(), kgo.MaxProduceRequestsInflightPerBroker(5))
	}
	if p.InFlight > 0 { // each client stays with a partition
		return append(opts, kgo.RecordPartitioner(kgo.ManualPartitioner()))
	}
	return append(opts, kgo.RecordPartitioner(kgo.UniformBytesPartitioner(partitionBytes, false, false, nil)))
}

func (p *producers) warmUp() {
	if p.WarmUp > 0 {
		m := newMeter()
		p.watched(m, true, func() { p.run(m, p.WarmUp, 0, nil) })
	}
}

// run writes records for a time, or so many, and waits for all of them. With a key every record gets one: key and when it
// was due.
func (p *producers) run(m *meter, d time.Duration, records int64, key []byte) {
	start := now()
	var all sync.WaitGroup
	for i, client := range p.clients {
		w := &writer{producers: p, client: client, meter: m, key: key, number: int64(i), start: start, end: start + int64(d)}
		if records > 0 {
			n := int64(len(p.clients))
			w.records, w.end = (records-int64(i)+n-1)/n, 1<<62
			if w.records <= 0 {
				continue
			}
		}
		all.Go(w.run)
	}
	all.Wait()
}

// writer writes what one client has to write.
type writer struct {
	*producers
	client  *kgo.Client
	meter   *meter
	key     []byte
	number  int64 // of the client
	start   int64
	end     int64
	records int64 // to write; 0: until the end

	flights sync.Pool    // of *flight
	slots   chan *flight // of those that may be in flight; nil: there is no limit
}

// flight is a record on its way. It is used again when it has arrived.
type flight struct {
	record  kgo.Record
	due     int64
	arrived func(*kgo.Record, error)
}

func (w *writer) run() {
	w.flights.New = func() any { return w.newFlight() }
	if w.InFlight > 0 {
		w.slots = make(chan *flight, w.InFlight)
		for range w.InFlight {
			w.slots <- w.newFlight()
		}
	}
	if w.Rate > 0 {
		ownThread()
	}
	for i := int64(0); (w.records == 0 || i < w.records) && !w.stop.Load(); i++ {
		due := w.due(i)
		if due >= w.end {
			break
		}
		w.send(i, due)
	}
	w.failure.set(w.client.Flush(context.Background()))
}

// due waits until the n-th record is due, and tells when that is. Without a rate it is due now.
func (w *writer) due(n int64) int64 {
	t := now()
	if w.Rate == 0 {
		return t
	}
	due := w.start + int64(float64(n*int64(len(w.clients))+w.number)/w.Rate*1e9)
	for t < due && due < w.end && !w.stop.Load() {
		pause(min(max(time.Duration(due-t), pauseMin), longestPause))
		t = now()
	}
	return due
}

// longestPause is how long it may take until the end of a run is noticed.
const longestPause = 100 * time.Millisecond

func (w *writer) newFlight() *flight {
	f := &flight{}
	f.arrived = func(_ *kgo.Record, err error) { w.arrived(f, err) }
	return f
}

func (w *writer) send(n, due int64) {
	var f *flight
	if w.slots != nil {
		f = <-w.slots
	} else {
		f = w.flights.Get().(*flight)
	}
	if w.Rate > 0 {
		w.meter.late.Add(now() - due)
	} else if w.slots != nil {
		due = now() // the wait for the one before is not this one's
	}
	f.due = due
	f.record = kgo.Record{Value: w.Payload.Value(n), Partition: int32(w.number % int64(w.Partitions))}
	if w.key != nil {
		f.record.Key = dueKey(w.key, due)
	}
	w.client.Produce(context.Background(), &f.record, f.arrived)
}

func (w *writer) arrived(f *flight, err error) {
	if err != nil {
		w.failure.set(err)
	} else {
		w.meter.ack.Add(now() - f.due)
		w.meter.records.Add(1)
		w.meter.bytes.Add(int64(len(f.record.Value)))
	}
	if w.slots != nil {
		w.slots <- f
	} else {
		w.flights.Put(f)
	}
}
