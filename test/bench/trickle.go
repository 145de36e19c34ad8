package main

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/twmb/franz-go/pkg/kgo"
)

const (
	trickleRate = 500 // rows a second
	sessions    = 4   // which insert them
	trickleFrom = 10_000_000
	quietTime   = 500 * time.Millisecond
	arriveMost  = 2 * time.Minute
)

// A trickle inserts rows at a steady rate, each in a transaction of its own, and knows when each was committed and when a consumer of the
// topic first saw it.
type trickle struct {
	stop    func()
	writers sync.WaitGroup
	reader  sync.WaitGroup
	halt    context.CancelFunc // of the reader

	mu        sync.Mutex
	committed map[int64]time.Time
	seen      map[int64]time.Time
	failed    error
	inserted  int64 // the highest id that is committed
	reached   int64 // and seen
	again     int   // events that came before
	arrived   time.Time
	gap       time.Duration // the longest without events since the cut
}

func newTrickle(ctx context.Context, pg *postgres, kafka, topic string) (*trickle, error) {
	consumer, err := kgo.NewClient(kgo.SeedBrokers(kafka), kgo.MetadataMinAge(glanceTime), kgo.ConsumeTopics(topic), kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()))
	if err != nil {
		return nil, err
	}
	reading, halt := context.WithCancel(ctx)
	writing, stop := context.WithCancel(ctx)
	t := &trickle{stop: stop, halt: halt, committed: map[int64]time.Time{}, seen: map[int64]time.Time{}}
	t.reader.Go(func() {
		defer consumer.Close()
		for reading.Err() == nil {
			t.saw(consumer.PollFetches(reading).Records(), time.Now())
		}
	})
	start := time.Now()
	for i := range sessions {
		session, err := pg.dial(ctx)
		if err != nil {
			stop()
			halt()
			return nil, err
		}
		t.writers.Go(func() {
			defer func() { _ = session.Close(context.WithoutCancel(ctx)) }()
			for n := i; writing.Err() == nil; n += sessions {
				if wait(writing, time.Until(start.Add(time.Duration(n)*time.Second/trickleRate))) != nil {
					return
				}
				t.insert(ctx, session, trickleFrom+int64(n))
			}
		})
	}
	return t, nil
}

func (t *trickle) insert(ctx context.Context, session *pgx.Conn, id int64) {
	_, err := session.Exec(ctx, "INSERT INTO orders VALUES ($1, 1, 'SKU', 1, 1, 'new', $2)", id, note)
	now := time.Now()
	t.mu.Lock()
	defer t.mu.Unlock()
	if err != nil {
		t.failed = err
		t.stop()
		return
	}
	t.committed[id] = now
	t.inserted = max(t.inserted, id)
}

func (t *trickle) saw(records []*kgo.Record, now time.Time) {
	t.mu.Lock()
	defer t.mu.Unlock()
	for _, r := range records {
		id := idOf(r.Key)
		if id < trickleFrom {
			continue
		}
		if !t.arrived.IsZero() {
			t.gap = max(t.gap, now.Sub(t.arrived))
		}
		t.arrived = now
		if _, before := t.seen[id]; before {
			t.again++
			continue
		}
		t.seen[id], t.reached = now, max(t.reached, id)
	}
}

// cut begins to look for the longest gap.
func (t *trickle) cut() {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.gap = 0
}

// end waits until something arrives that is committed only now, stops to insert, and waits until all that was committed has arrived.
func (t *trickle) end(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, arriveMost)
	defer cancel()
	defer func() {
		t.stop()
		t.writers.Wait()
		t.halt()
		t.reader.Wait()
	}()
	t.mu.Lock()
	from := t.inserted
	t.mu.Unlock()
	await := func(so func() bool) error {
		for {
			t.mu.Lock()
			is, failed := so(), t.failed
			missing := len(t.committed) - len(t.seen)
			t.mu.Unlock()
			if is || failed != nil {
				return failed
			}
			if err := pause(ctx); err != nil {
				return fmt.Errorf("%d changes did not arrive: %w", missing, err)
			}
		}
	}
	if err := await(func() bool { return t.reached > from }); err != nil {
		return err
	}
	t.stop()
	t.writers.Wait()
	return await(func() bool { return len(t.seen) >= len(t.committed) })
}

// latency gives a quantile of the times from commit to arrival, in ms.
func (t *trickle) latency(quantile float64) float64 {
	var all []float64
	for id, at := range t.committed {
		all = append(all, max(0, t.seen[id].Sub(at).Seconds()*1e3)) // it may be seen before its writer knows
	}
	slices.Sort(all)
	return all[min(len(all)-1, int(quantile*float64(len(all))))]
}

// wait waits for some time.
func wait(ctx context.Context, d time.Duration) error {
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-time.After(d):
		return nil
	}
}
