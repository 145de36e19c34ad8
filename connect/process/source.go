package process

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"github.com/weir/weir/connect/runtime"
	"github.com/weir/weir/connect/sdk"
)

// A source is asked for so many batches before the first of them is taken, and has no more than so many, and so many bytes, that are not
// durable.
const (
	mostAhead     = 3
	mostOpen      = 16
	mostOpenBytes = 32 << 20
)

// sourceTask is a task of a source in a process.
type sourceTask struct {
	*plugin
	c       *conn
	ahead   int       // batches that are asked for and were not taken
	since   time.Time // the last answer, or when the first of those was asked for
	idle    bool      // the last one had no records: more than one need not be asked for
	carried map[string]sdk.Position
	buf     []byte
	lag     atomic.Int64 // ms; -1: not known

	mu      sync.Mutex
	undone  []batch // those that are not durable
	bytes   int     // of those
	durable int64   // news for the process; 0: none
	commits map[string]sdk.Position
	freed   chan struct{} // has one when fewer are open
	news    chan struct{}
	ended   chan struct{}
	ending  sync.Once
	telling bool
	told    chan struct{} // closed when the process is told nothing more
	writes  context.Context
	giveUp  context.CancelFunc
}

// batch is what an answer to a poll had.
type batch struct {
	seq   int64
	bytes int // of its line
}

// Start implements sdk.SourceTask.
func (t *sourceTask) Start(ctx context.Context, c sdk.SourceContext, v sdk.Values) (err error) {
	t.lag.Store(-1)
	t.carried, t.commits = map[string]sdk.Position{}, map[string]sdk.Position{}
	t.freed, t.news, t.ended, t.told = make(chan struct{}, 1), make(chan struct{}, 1), make(chan struct{}), make(chan struct{})
	t.writes, t.giveUp = context.WithCancel(context.Background())
	if t.c, err = t.start(ctx, c, v); err != nil {
		return err
	}
	if err := t.begin(ctx, c, v); err != nil {
		return err
	}
	t.telling = true
	go t.tell()
	return nil
}

// begin has the process start, and tells it where to go on.
func (t *sourceTask) begin(ctx context.Context, c sdk.SourceContext, v sdk.Values) error {
	t.c.mu.Lock()
	t.c.starting = true
	t.c.mu.Unlock()
	text := fields(t.c.begin(nil, "start"), "class", t.Class, "connector", c.Connector(), "task", c.Task(), "run", c.Run(), "config", t.config(v))
	if err := t.c.send(ctx, "start", t.c.seq, append(text, "}\n"...)); err != nil {
		return err
	}
	timer := time.NewTimer(t.c.limits.answer)
	defer timer.Stop()
	for {
		select {
		case m, ok := <-t.c.answers:
			if !ok {
				return t.c.reason()
			}
			return m.err
		case partition := <-t.c.asked:
			offset, err := c.Position(ctx, partition)
			if err != nil {
				return err
			}
			if err := t.c.write(ctx, append(fields([]byte(`{"type":"position"`), "offset", offset), "}\n"...)); err != nil {
				return err
			}
			timer.Reset(t.c.limits.answer)
		case <-ctx.Done():
			return ctx.Err()
		case <-timer.C:
			return t.c.hang("start")
		}
	}
}

// Poll implements sdk.SourceTask.
func (t *sourceTask) Poll(ctx context.Context) ([]*sdk.Record, error) {
	if err := t.ask(ctx); err != nil {
		if ctx.Err() != nil {
			return nil, ctx.Err()
		}
		m, ok := <-t.c.answers // it may have answered before it ended
		return t.take(m, ok)
	}
	timer := time.NewTimer(0)
	defer timer.Stop()
	for until := time.Now().Add(sdk.PollWithin); ; {
		select {
		case m, ok := <-t.c.answers:
			return t.take(m, ok)
		default: // what is there counts, however long it took until somebody looked
		}
		wait := time.Until(until)
		if wait <= 0 {
			return nil, nil
		}
		if t.ahead > 0 {
			left := t.c.limits.answer - time.Since(t.since)
			if left <= 0 {
				return nil, t.c.hang("poll")
			}
			wait = min(wait, left)
		}
		timer.Reset(wait)
		select {
		case m, ok := <-t.c.answers:
			return t.take(m, ok)
		case <-t.freed:
			if t.ask(ctx) != nil {
				continue // answers are closed then
			}
		case <-timer.C:
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
}

// ask asks for as many batches ahead as the source may have.
func (t *sourceTask) ask(ctx context.Context) error {
	t.mu.Lock()
	room := mostOpen - len(t.undone)
	if t.bytes >= mostOpenBytes {
		room = 0
	}
	t.mu.Unlock()
	want := min(mostAhead, room)
	if t.idle {
		want = min(1, room)
	}
	for t.ahead < want {
		if t.ahead == 0 {
			t.since = time.Now()
		}
		t.buf = append(t.c.begin(t.buf[:0], "poll"), "}\n"...)
		if err := t.c.send(ctx, "poll", t.c.seq, t.buf); err != nil {
			return err
		}
		t.ahead++
	}
	return nil
}

// take gives what an answer has.
func (t *sourceTask) take(m *message, ok bool) ([]*sdk.Record, error) {
	if !ok {
		return nil, t.c.reason()
	}
	t.ahead--
	t.since = time.Now()
	t.idle = len(m.records) == 0
	if m.err != nil {
		return nil, m.err
	}
	if m.lag >= 0 {
		t.lag.Store(m.lag)
	}
	if err := t.place(m); err != nil || len(m.records) == 0 {
		return nil, err
	}
	t.mu.Lock()
	t.undone = append(t.undone, batch{m.seq, m.size})
	t.bytes += m.size
	t.mu.Unlock()
	return m.records, nil
}

// place gives positions to records: to the runtime they are those after all of them. What finds no record waits for the next batch; until
// then the source is only kept as being farther back than it is.
func (t *sourceTask) place(m *message) error {
	places := m.places
	if len(t.carried) > 0 || len(places) > len(m.records) {
		for _, p := range places {
			t.carried[runtime.PartitionKey(p.Partition)] = p
		}
		if places = places[:0]; len(t.carried) > mostPlaces {
			return t.c.refuse(t.c.wrong("positions of more than %d partitions without records", mostPlaces))
		}
		for key, p := range t.carried {
			if len(places) == len(m.records) {
				break
			}
			places = append(places, p)
			delete(t.carried, key)
		}
	}
	for i := range places {
		m.records[i].At = &places[i]
	}
	return nil
}

// Lag implements sdk.Lagging.
func (t *sourceTask) Lag(time.Time) (time.Duration, bool) {
	lag := t.lag.Load()
	return time.Duration(lag) * time.Millisecond, lag >= 0
}

// Durable implements sdk.Durable.
func (t *sourceTask) Durable(polls int) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if polls > len(t.undone) {
		panic("BUG: more batches are durable than there were")
	}
	if t.uses(usesDurable) {
		t.durable = t.undone[polls-1].seq
		signal(t.news)
	}
	for _, b := range t.undone[:polls] {
		t.bytes -= b.bytes
	}
	t.undone = t.undone[:copy(t.undone, t.undone[polls:])]
	signal(t.freed)
}

// Acknowledged implements sdk.Acknowledged. It does not wait for the process, which may be waiting for its source.
func (t *sourceTask) Acknowledged(_ context.Context, positions []sdk.Position) error {
	if !t.uses(usesCommit) {
		return nil
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	for _, p := range positions {
		t.commits[runtime.PartitionKey(p.Partition)] = p
	}
	signal(t.news)
	return nil
}

func signal(c chan struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}

// tell tells the process what is durable and what is kept, the newest of it, until the task ends.
func (t *sourceTask) tell() {
	defer close(t.told)
	for {
		select {
		case <-t.news:
			if t.tellOnce() != nil {
				return // Poll finds out as well
			}
		case <-t.ended:
			_ = t.tellOnce() // it ends anyway
			return
		}
	}
}

func (t *sourceTask) tellOnce() error {
	t.mu.Lock()
	var b []byte
	if t.durable > 0 {
		b = append(strconv.AppendInt([]byte(`{"type":"durable","seq":`), t.durable, 10), "}\n"...)
		t.durable = 0
	}
	if len(t.commits) > 0 {
		all := slices.Collect(maps.Values(t.commits))
		clear(t.commits)
		b = append(fields(append(b, `{"type":"commit"`...), "positions", inWords(all)), "}\n"...)
	}
	t.mu.Unlock()
	return t.c.write(t.writes, b)
}

// Stop implements sdk.SourceTask.
func (t *sourceTask) Stop() error {
	if t.c == nil {
		return nil
	}
	t.ending.Do(func() { close(t.ended) })
	timer := time.AfterFunc(t.c.limits.stop/2, t.giveUp)
	defer timer.Stop()
	defer t.giveUp()
	if t.telling {
		<-t.told
	}
	if err := t.c.close(); err != nil {
		return fmt.Errorf("the source did not end well: %w", err)
	}
	return nil
}
