package opensearch

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"github.com/weir/weir/connect/sdk"
)

// task is a task of the connector.
type task struct {
	of      flavour
	s       *settings
	c       *client
	b       *bulk
	log     *slog.Logger
	targets map[string]*target // by topic
	made    uint64             // targets
	// written are records of a Put that failed which need not be sent again.
	written map[*sdk.Record]struct{}
}

// Start implements sdk.SinkTask. It asks nothing: a server that is down is waited for by Put.
func (t *task) Start(_ context.Context, c sdk.SinkContext, v sdk.Values) error {
	s, wrong := parseSettings(t.of, v)
	if len(wrong) > 0 {
		return sdk.Misconfigured("%w", wrong[0])
	}
	t.s, t.c, t.log, t.targets = s, newClient(s), c.Logger(), map[string]*target{}
	t.b = newBulk(s, t.c, t.log)
	return nil
}

// Retries implements sdk.Retrying: lanes have tried again already.
func (t *task) Retries(error) (most int, wait time.Duration) {
	if t.s.giveUp {
		return 0, -1
	}
	return -1, -1
}

// errLate is the cause of a Put that is cut off.
var errLate = errors.New("the server has not taken what was read together within flush.timeout.ms: raise it, or lower consumer.override.max.poll.records")

// Put implements sdk.SinkTask.
func (t *task) Put(ctx context.Context, records []*sdk.Record) error {
	limit, cancel := ctx, context.CancelFunc(func() {})
	if t.s.flushIn > 0 {
		limit, cancel = context.WithTimeoutCause(ctx, t.s.flushIn, errLate)
	}
	defer cancel()
	err := t.put(limit, records)
	if err != nil && limit.Err() != nil && ctx.Err() == nil {
		return fmt.Errorf("%w (%v)", context.Cause(limit), err)
	}
	if err == nil && len(records) < t.s.batch {
		_ = pause(ctx, t.s.linger, 0) // more may come meanwhile
	}
	return err
}

func (t *task) put(ctx context.Context, records []*sdk.Record) error {
	var refused []error
	t.b.begin(len(records))
	for _, r := range records {
		if _, ok := t.written[r]; ok {
			continue
		}
		to, err := t.target(ctx, r)
		if err != nil {
			return err
		}
		if err := t.b.add(to, r); err != nil && !t.passOver(r, err) {
			refused = append(refused, &sdk.RecordError{Record: r, Err: err})
		}
	}
	t.run(ctx)
	var failed error
	for i := range t.b.lanes[:t.b.used] {
		l := &t.b.lanes[i]
		for _, one := range l.refused {
			refused = append(refused, one)
		}
		if l.err != nil && (failed == nil || sdk.CauseOf(failed) == sdk.Transient) {
			failed = l.err
		}
	}
	if failed != nil {
		t.remember()
		return failed
	}
	t.written = nil
	return errors.Join(refused...)
}

// passOver tells whether a record that cannot be made a document is passed over.
func (t *task) passOver(r *sdk.Record, why error) bool {
	pass := t.s.dropInvalid
	if errors.Is(why, errNoObject) { // a server would say that it is malformed
		pass = pass || t.s.onMalformed == "ignore" || t.s.onMalformed == "warn"
	}
	if pass {
		t.log.Warn("a record is passed over", "topic", r.From.Topic, "partition", r.From.Partition, "offset", r.Offset, "error", why)
	}
	return pass && !(t.of == confluent && t.s.letters)
}

// run sends what the lanes have.
func (t *task) run(ctx context.Context) {
	var others sync.WaitGroup
	for i := 1; i < t.b.used; i++ {
		others.Go(func() { t.b.lanes[i].run(ctx) })
	}
	t.b.lanes[0].run(ctx)
	others.Wait()
}

// remember keeps what is written already of records that come again.
func (t *task) remember() {
	if t.written == nil {
		t.written = map[*sdk.Record]struct{}{}
	}
	for i := range t.b.lanes[:t.b.used] {
		for j := range t.b.lanes[i].items {
			if it := &t.b.lanes[i].items[j]; it.done {
				t.written[it.record] = struct{}{}
			}
		}
	}
}

// Stop implements sdk.SinkTask.
func (t *task) Stop() error {
	if t.c != nil {
		t.c.close()
	}
	return nil
}
