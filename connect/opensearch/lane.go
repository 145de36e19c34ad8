package opensearch

import (
	"context"
	"fmt"
	"log/slog"

	"github.com/weir/weir/connect/sdk"
)

// lane sends items one after the other.
type lane struct {
	number int
	s      *settings
	c      *client
	log    *slog.Logger

	body    []byte
	items   []item
	batch   []int  // of the items, those that are sent together
	part    []byte // of the body, when some are sent again
	refused []*sdk.RecordError
	err     error
}

// keepMost is how much memory a lane keeps for the next records.
const keepMost = 8 << 20

func (l *lane) reset() {
	if cap(l.body) > keepMost {
		l.body = nil
	}
	if cap(l.part) > keepMost {
		l.part = nil
	}
	clear(l.items) // so that the records can go
	l.body, l.items, l.refused, l.err = l.body[:0], l.items[:0], nil, nil
}

// run sends all. In the end either all are done or refused, or err says why not.
func (l *lane) run(ctx context.Context) {
	for from := 0; from < len(l.items); {
		l.batch = l.batch[:0]
		for i := from; i < len(l.items) && len(l.batch) < l.s.batch; i++ {
			if len(l.batch) > 0 && l.items[i].end-l.items[from].from > l.s.bulkBytes {
				break
			}
			l.batch = append(l.batch, i)
		}
		from += len(l.batch)
		if l.err = l.send(ctx, l.batch); l.err != nil {
			return
		}
	}
}

// send sends a batch, and what is left of it again.
func (l *lane) send(ctx context.Context, batch []int) error {
	for tries := 0; ; tries++ {
		left, err := l.once(ctx, batch, tries)
		switch {
		case ctx.Err() != nil && err != nil:
			return ctx.Err()
		case err != nil && sdk.CauseOf(err) != sdk.Transient:
			return err
		case len(left) == 0:
			return nil
		case len(left) < len(batch):
			tries = 0 // it goes on
		case tries >= l.s.retries:
			return err
		}
		batch = left
		if err := pause(ctx, l.s.backoff, tries); err != nil {
			return err
		}
	}
}

// bulkPath asks for no more of the answer than is read.
const bulkPath = "/_bulk?filter_path=errors,items.*.status,items.*.error"

// once sends a batch, and gives what has to be sent again, and why.
func (l *lane) once(ctx context.Context, batch []int, tries int) (left []int, err error) {
	limit, cancel := ctx, context.CancelFunc(func() {})
	if l.s.readIn > 0 {
		limit, cancel = context.WithTimeout(ctx, l.s.readIn<<min(tries, 8))
	}
	defer cancel()
	a, err := l.c.ask(limit, l.number, "POST", bulkPath, l.bodyOf(batch))
	if err != nil {
		l.c.next(l.number)
		return batch, sdk.Retry(err)
	}
	switch a.status {
	case 200:
		return l.judge(batch, a)
	case 400, 413:
		return nil, l.divide(ctx, batch, a)
	case 401, 403:
		return batch, notAllowed(l.s, a)
	case 429, 500, 502, 503, 504:
		l.c.passBy(l.number, a)
		return batch, sdk.Retry(troubled(a))
	}
	return batch, sdk.Misconfigured("%s answers a bulk request with HTTP status %d: %v; check that connection.url is that of OpenSearch or Elasticsearch", a.from, a.status, why(a.body))
}

// bodyOf gives the lines of a batch.
func (l *lane) bodyOf(batch []int) []byte {
	first, last := batch[0], batch[len(batch)-1]
	if last-first == len(batch)-1 {
		return l.body[l.items[first].from:l.items[last].end]
	}
	l.part = l.part[:0]
	for _, i := range batch {
		l.part = append(l.part, l.body[l.items[i].from:l.items[i].end]...)
	}
	return l.part
}

// divide finds out which items a whole request was refused for, or sends less at once.
func (l *lane) divide(ctx context.Context, batch []int, a answer) error {
	if len(batch) == 1 {
		l.refuse(batch[0], fmt.Errorf("the document is refused with HTTP status %d: %v", a.status, why(a.body)), malformed)
		return nil
	}
	half := len(batch) / 2
	if err := l.send(ctx, batch[:half]); err != nil {
		return err
	}
	return l.send(ctx, batch[half:])
}

// judge goes through the answer to a batch.
func (l *lane) judge(batch []int, a answer) (left []int, err error) {
	all, err := outcomes(a.body, len(batch))
	if err != nil {
		return batch, sdk.Retry(fmt.Errorf("%s: %w", a.from, err))
	}
	if all == nil {
		for _, i := range batch {
			l.items[i].done = true
		}
		return nil, nil
	}
	behind := map[uint64]bool{} // documents of which something is left
	for n, i := range batch {
		it, o := &l.items[i], all[n]
		switch v := judge(it, o); v {
		case done:
			// What is left must not come after it and undo it.
			if behind[it.document] && !it.versioned {
				left = append(left, i)
			} else {
				it.done = true
			}
		case again, stale:
			if v == stale {
				it.to.gone.Store(true)
			}
			left = append(left, i)
			behind[it.document] = true
			if err == nil {
				err = sdk.Retry(fmt.Errorf("%s does not take documents for %s: status %d, %v", a.from, it.to.name, o.Status, o.Error))
			}
		case denied:
			return batch, sdk.Misconfigured("the user %q may not write to %s: %v; give the user the permission", l.s.user, it.to.name, o.Error)
		case conflict:
			l.refuse(i, fmt.Errorf("the document is newer: %v", o.Error), v)
		default:
			l.refuse(i, fmt.Errorf("the document is refused with status %d: %v", o.Status, o.Error), v)
		}
	}
	return left, err
}

// refuse does with an item that the server does not take as the options say.
func (l *lane) refuse(i int, why error, v verdict) {
	it := &l.items[i]
	behaviour := "fail"
	switch v {
	case malformed:
		behaviour = l.s.onMalformed
	case conflict:
		behaviour = l.s.onConflict
	}
	r := it.record
	switch behaviour {
	case "ignore", "warn":
		level := slog.LevelDebug
		if behaviour == "warn" {
			level = slog.LevelWarn
		}
		l.log.Log(context.Background(), level, "a record is passed over", "topic", r.From.Topic, "partition", r.From.Partition, "offset", r.Offset, "error", why)
		if v != malformed || l.s.of != confluent || !l.s.letters {
			it.done = true
			return
		}
	}
	l.refused = append(l.refused, &sdk.RecordError{Record: r, Err: why})
}
