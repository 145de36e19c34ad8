package main

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"golang.org/x/sync/errgroup"

	"github.com/weir/weir/test/chaos/history"
)

// workload is all clients.
type workload struct {
	cluster    *cluster
	recorder   *recorder
	partitions int
	topicID    kadm.TopicID
	leaders    atomic.Pointer[map[int32]int32]
	librdkafka *librdkafka // nil: it is not on this machine
	producers  []string    // those whose acknowledgements must never stop for long

	notesMu sync.Mutex
	notes   map[string]int // how often clients said what
}

const (
	franzProducers = 2
	members        = 2
	onceEvery      = 50 * time.Millisecond
	drainMost      = 60 * time.Second
	finalMost      = 120 * time.Second
)

func newWorkload(ctx context.Context, o *options, c *cluster, r *recorder, l *librdkafka) (*workload, error) {
	w := &workload{cluster: c, recorder: r, partitions: o.partitions, librdkafka: l, notes: map[string]int{}}
	topics, err := c.admin.ListTopics(ctx, topic)
	if err != nil {
		return nil, err
	}
	w.topicID = topics[topic].ID
	for i := range franzProducers {
		w.producers = append(w.producers, fmt.Sprintf("franz%d", i+1))
	}
	if l != nil {
		w.producers = append(w.producers, librdkafkaName)
	}
	w.leaders.Store(&map[int32]int32{})
	return w, nil
}

// clients are goroutines that act as clients until they are told to end.
type clients struct {
	errgroup.Group
	end context.CancelFunc
}

func (c *clients) stop() error {
	c.end()
	return c.Wait()
}

// send lets all that send begin.
func (w *workload) send(ctx context.Context, o *options) *clients {
	g := &clients{}
	ctx, g.end = context.WithCancel(ctx)
	every := time.Second * time.Duration(len(w.producers)) / time.Duration(o.rate)
	for i := range franzProducers {
		g.Go(func() error { return w.produce(ctx, w.producers[i], every, drainMost) })
	}
	g.Go(func() error { return w.produceOnce(ctx, "once", onceEvery) })
	g.Go(func() error { return w.followLeaders(ctx) })
	if w.librdkafka != nil {
		g.Go(func() error { return w.librdkafka.send(ctx, w, every, drainMost) })
	}
	return g
}

// follow lets all that read begin.
func (w *workload) follow(ctx context.Context, o *options) *clients {
	g := &clients{}
	ctx, g.end = context.WithCancel(ctx)
	g.Go(func() error { return w.read(ctx, "reader") })
	for i := range members {
		random := rand.New(rand.NewPCG(o.seed, uint64(100+i)))
		g.Go(func() error { return w.member(ctx, fmt.Sprintf("member%d", i+1), random) })
	}
	g.Go(func() error { return w.ask(ctx, "asker") })
	if w.librdkafka != nil {
		g.Go(func() error { return w.librdkafka.read(ctx, w) })
	}
	return g
}

// finish reads everything twice, when no one sends any more. It gives the ends of the log.
func (w *workload) finish(ctx context.Context) (ends map[int32]int64, err error) {
	final, cancel := context.WithTimeout(ctx, finalMost)
	defer cancel()
	for _, name := range []string{"final1", "final2"} {
		err = errors.Join(err, w.readAll(final, name))
	}
	ends, endsErr := w.ends(final)
	return ends, errors.Join(err, endsErr, w.askOnce(final, "final-asker"))
}

// followLeaders keeps who leads up to date for the producer that asks only once.
func (w *workload) followLeaders(ctx context.Context) error {
	for ; ctx.Err() == nil; _ = sleep(ctx, 200*time.Millisecond) {
		partitions, err := w.cluster.state(ctx)
		if err != nil {
			continue
		}
		leaders := map[int32]int32{}
		for _, p := range partitions {
			leaders[p.Partition] = p.Leader
		}
		w.leaders.Store(&leaders)
	}
	return nil
}

func (w *workload) leader(partition int32) (int32, bool) {
	l, ok := (*w.leaders.Load())[partition]
	return l, ok && l >= 0
}

// recovered returns when all that was interrupted goes on: every producer has a record acknowledged by every partition that it
// sent after that time, and all replicas are in sync.
func (w *workload) recovered(ctx context.Context, at int64) error {
	err := eventually(ctx, func() error {
		if w.cluster.wrong() != nil {
			return hopeless{errors.New("a node has ended")}
		}
		for _, name := range w.producers {
			for p := range w.partitions {
				if s := (seriesKey{name, int32(p)}); !w.recorder.ackedSince(s, at) {
					return fmt.Errorf("%s has no acknowledgement from partition %d", s.client, s.partition)
				}
			}
		}
		return nil
	})
	if err != nil {
		return err
	}
	return w.cluster.inSync(ctx)
}

// ends gives the high watermarks.
func (w *workload) ends(ctx context.Context) (map[int32]int64, error) {
	out := map[int32]int64{}
	listed, err := w.cluster.admin.ListEndOffsets(ctx, topic)
	if err != nil {
		return nil, err
	}
	listed.Each(func(o kadm.ListedOffset) {
		out[o.Partition] = o.Offset
		if o.Err != nil {
			err = o.Err
		}
	})
	return out, err
}

// note counts what a client said that is no event.
func (w *workload) note(format string, args ...any) {
	w.notesMu.Lock()
	defer w.notesMu.Unlock()
	w.notes[fmt.Sprintf(format, args...)]++
}

// counts sums up how the sends have ended.
func counts(events []history.Event) (sent, acked, failed, unknown int) {
	for _, e := range events {
		switch {
		case e.Kind != history.Send:
		case e.Phase == history.Invoke:
			sent++
		case e.Phase == history.OK:
			acked++
		case e.Phase == history.Fail:
			failed++
		}
	}
	return sent, acked, failed, sent - acked - failed
}
