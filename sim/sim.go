package sim

import (
	"container/heap"
	"crypto/rand"
	"fmt"
	"io"
	mathrand "math/rand/v2"
	"runtime/debug"
	"sync"
	"time"
)

// Options say what to run.
type Options struct {
	Seed  uint64
	Trace io.Writer // gets a line for each event; nil: nothing is written
}

// Result is what happened in a run.
type Result struct {
	Hash   uint64        // of all events, in order
	Events int           // that happened
	Took   time.Duration // simulated
	Acked  int           // records that were acknowledged
	Read   int           // records that readers got
	Faults int           // that were done
	Terms  int           // in which someone led
	// GivenUp counts the partitions that lost records since most of their replicas lost their power at once, being relaxed.
	GivenUp int
}

// Violation is something that must never happen.
type Violation struct {
	Seed uint64
	At   time.Duration // simulated
	What string
}

func (v *Violation) Error() string {
	return fmt.Sprintf("seed %d, after %v: %s\nonce more: SIM_SEED=%d SIM_TRACE=/dev/stderr go test ./sim -run Seeds", v.Seed, v.At, v.What, v.Seed)
}

// sim is a run.
type sim struct {
	seed  uint64
	rng   *mathrand.Rand
	now   int64 // µs
	queue events
	count uint64 // of events that were scheduled
	trace trace
	plan  plan
	nodes []*node
	parts []*part
	net   network
	result
	producers  []*producer
	readers    []*reader
	committers []*committer
	values     uint64   // of records that were made
	ambush     bool     // the next node that comes to lead loses its power
	looking    bool     // what is read from a disk is read for a check
	answers    []func() // to clients, of the present event
	calm       bool     // all is mended, and stays so
}

type result = Result

// event is something that happens at a time.
type event struct {
	at   int64
	nth  uint64
	what string
	node *node    // whose it is: it waits while the node pauses; nil: nobody's
	proc *process // it ends with this process; nil: it does not
	run  func()
}

// events is a heap of them.
type events []*event

func (q events) Len() int { return len(q) }
func (q events) Less(i, j int) bool {
	return q[i].at < q[j].at || q[i].at == q[j].at && q[i].nth < q[j].nth
}
func (q events) Swap(i, j int) { q[i], q[j] = q[j], q[i] }
func (q *events) Push(e any)   { *q = append(*q, e.(*event)) }
func (q *events) Pop() any {
	last := len(*q) - 1
	e := (*q)[last]
	(*q)[last] = nil
	*q = (*q)[:last]
	return e
}

// running keeps runs apart: raft draws from the process's one source of randomness.
var running sync.Mutex

// raftRandom is that source during a run.
type raftRandom struct{ rng *mathrand.Rand }

func (r raftRandom) Read(b []byte) (int, error) {
	for i := range b {
		b[i] = byte(r.rng.Uint32())
	}
	return len(b), nil
}

// Run runs a seed. An error is a *Violation.
func Run(o Options) (r Result, err error) {
	running.Lock()
	defer running.Unlock()
	s := &sim{seed: o.Seed, rng: mathrand.New(mathrand.NewPCG(o.Seed, 0x5eed))}
	s.trace.to = o.Trace
	before := rand.Reader
	rand.Reader = raftRandom{mathrand.New(mathrand.NewPCG(o.Seed, 0x4af7))}
	defer func() { rand.Reader = before }()
	defer func() {
		r = s.result
		r.Hash, r.Took = s.trace.hash, s.elapsed()
		switch p := recover().(type) {
		case nil:
		case *Violation:
			err = p
		default:
			err = &Violation{s.seed, s.elapsed(), fmt.Sprintf("panic: %v\n%s", p, debug.Stack())}
		}
	}()
	s.start()
	s.until(s.plan.trouble)
	s.mend()
	s.finish()
	return r, nil
}

func (s *sim) elapsed() time.Duration { return time.Duration(s.now) * time.Microsecond }

// fail ends the run.
func (s *sim) fail(format string, args ...any) {
	what := fmt.Sprintf(format, args...)
	s.trace.note("VIOLATION: %s", what)
	panic(&Violation{s.seed, s.elapsed(), what})
}

// after schedules an event of nobody's.
func (s *sim) after(d time.Duration, what string, run func()) {
	s.schedule(&event{at: s.now + d.Microseconds(), what: what, run: run})
}

func (s *sim) schedule(e *event) {
	s.count++
	e.nth = s.count
	heap.Push(&s.queue, e)
}

// until lets time pass.
func (s *sim) until(end time.Duration) {
	for len(s.queue) > 0 && s.queue[0].at <= end.Microseconds() {
		s.step()
	}
	s.now = max(s.now, end.Microseconds())
}

// step lets the next event happen.
func (s *sim) step() {
	e := heap.Pop(&s.queue).(*event)
	s.now = e.at
	n := e.node
	if n == nil {
		s.Events++
		s.trace.event(s.now, 0, e.what)
		e.run()
		return
	}
	switch {
	case e.proc != nil && e.proc != n.proc, n.proc == nil:
		return
	case n.pausedUntil > s.now:
		e.at = n.pausedUntil
		s.schedule(e)
		return
	}
	s.Events++
	s.trace.event(s.now, n.id, e.what)
	n.do(e.run)
}

// clock is the time of day.
func (s *sim) clock() time.Time { return time.UnixMilli(1_700_000_000_000 + s.now/1000) }

// chance is true with a probability.
func (s *sim) chance(p float64) bool { return p > 0 && s.rng.Float64() < p }

// between draws a duration.
func (s *sim) between(from, to time.Duration) time.Duration {
	if to <= from {
		return from
	}
	return from + time.Duration(s.rng.Int64N(int64(to-from)))
}

// pick draws one of several.
func pick[T any](s *sim, from ...T) T { return from[s.rng.IntN(len(from))] }
