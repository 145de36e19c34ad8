package s3

import (
	"context"
	"errors"
	"fmt"
	"math"
	"strconv"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/weir/weir/connect/sdk"
)

// settings are what a sink does, by whichever connector's options it is configured.
type settings struct {
	store      *store
	layout     layout
	format     format
	partSize   int
	most       int           // records of a batch
	span       time.Duration // of the records of a batch, by clock; 0: any
	clock      clock         // nil, if there is no span
	age        time.Duration // for how long a batch takes records; 0: for any time
	each       time.Duration // how often batches are closed, by the time of day in zone; 0: never
	zone       *time.Location
	skipNulls  bool
	wantNulls  bool   // values may be null
	nullAdvice string // what to do else
	schemas    bool   // a batch ends when the schema changes
	tagObjects bool
	retryWait  time.Duration // < 0: as the runtime thinks fit
}

type sinkTask struct {
	options func(v sdk.Values) (*settings, error)
	*settings
	c     sdk.SinkContext
	parts map[sdk.TopicPartition]*partition
	at    []byte // folder of the record at hand
}

// partition is what one has given since its last commit.
type partition struct {
	next   int64 // what is before was taken
	known  int64 // where it ended when its first record was taken: whoever wrote files of it before had no record after that
	batch  map[string]*file
	first  int64     // offset of the batch's first record
	count  int       // of its records; 0: there is no batch
	base   time.Time // of its first record, by clock
	due    time.Time // when it is to be closed
	folder string    // of its last record
	fed    time.Time // when records of it came last
	full   bool      // it takes no more: it is to be committed
}

// file is one of a batch.
type file struct {
	object
	encoder
	schema *sdk.Schema
	first  int64
	last   int64
	count  int
	closed bool // the encoder has written all
}

// Start implements sdk.SinkTask.
func (t *sinkTask) Start(ctx context.Context, c sdk.SinkContext, v sdk.Values) (err error) {
	t.c, t.parts = c, map[sdk.TopicPartition]*partition{}
	if t.settings, err = t.options(v); err != nil {
		return err
	}
	return t.store.check(ctx)
}

// Retries implements sdk.Retrying.
func (t *sinkTask) Retries(error) (most int, wait time.Duration) { return -1, t.retryWait }

// Put implements sdk.SinkTask. After an error that passes it is given the same records: those that were taken are known by their offsets.
func (t *sinkTask) Put(ctx context.Context, records []*sdk.Record) error {
	for tp, p := range t.parts {
		if p.full {
			if err := t.commit(ctx, p); err != nil {
				return t.failed(ctx, tp, p, err)
			}
		}
	}
	now := time.Now()
	var from sdk.TopicPartition
	var p *partition
	for _, r := range records {
		if p == nil || r.From != from {
			from, p = r.From, t.parts[r.From]
			if p == nil {
				p = &partition{batch: map[string]*file{}, known: t.c.End(from)}
				t.parts[from] = p
			}
			p.fed = now
		}
		if r.Offset < p.next {
			continue
		}
		if err := t.take(ctx, p, r); err != nil {
			return t.failed(ctx, from, p, err)
		}
	}
	return nil
}

// failed decides about an error with the batch of a partition.
func (t *sinkTask) failed(ctx context.Context, tp sdk.TopicPartition, p *partition, err error) error {
	if !errors.Is(err, errForgotten) {
		return err
	}
	t.drop(ctx, tp)
	t.c.Rewind(map[sdk.TopicPartition]int64{tp: p.first})
	return sdk.Retry(fmt.Errorf("%s-%d is read again from offset %d: %w", tp.Topic, tp.Partition, p.first, err))
}

// take adds a record to its partition's batch. When that is full, it is committed.
func (t *sinkTask) take(ctx context.Context, p *partition, r *sdk.Record) error {
	if r.Value == nil && !t.wantNulls {
		if !t.skipNulls {
			return t.refuse(p, r, errors.New("the record has no value"+t.nullAdvice))
		}
		p.next = r.Offset + 1
		return nil
	}
	var when time.Time
	var err error
	if t.clock != nil {
		if when, err = t.clock(r); err != nil {
			return t.refuse(p, r, err)
		}
	}
	if t.at, err = t.layout.folder(t.at[:0], r); err != nil {
		return t.refuse(p, r, err)
	}
	f := p.batch[string(t.at)]
	if p.count > 0 && t.ends(p, f, when, r) {
		p.full = true
		if err := t.commit(ctx, p); err != nil {
			return err
		}
		f = nil
	}
	if f == nil {
		folder := string(t.at)
		f = &file{object: object{s: t.store, key: t.layout.key(folder, r), buf: t.store.buffer()}, schema: r.ValueSchema, first: r.Offset}
		if f.encoder, err = t.format(&f.object, r); err != nil {
			return t.refuse(p, r, err)
		}
		if err := f.write(r); err != nil {
			return t.refuse(p, r, err)
		}
		p.batch[folder], p.folder = f, folder
	} else if err := f.write(r); err != nil {
		return t.refuse(p, r, err)
	}
	if p.count == 0 {
		p.first, p.base, p.due = r.Offset, when, t.closing(time.Now())
	}
	if t.span > 0 && string(t.at) != p.folder {
		p.folder = string(t.at)
	}
	f.count, f.last = f.count+1, r.Offset
	p.count++
	p.next = r.Offset + 1
	p.full = p.count >= t.most
	if p.full {
		return t.commit(ctx, p)
	}
	if len(f.buf) >= t.partSize {
		return f.send(ctx)
	}
	return nil
}

// ends tells whether the batch is to be closed before a record. f is the file that it would go to; nil: there is none yet.
func (t *sinkTask) ends(p *partition, f *file, when time.Time, r *sdk.Record) bool {
	if t.span > 0 && (when.Sub(p.base) >= t.span || string(t.at) != p.folder) {
		return true
	}
	return t.schemas && f != nil && !f.schema.Equal(r.ValueSchema)
}

// closing tells when a batch that begins now is to be closed, if it is not full before; zero: never.
func (t *sinkTask) closing(now time.Time) (due time.Time) {
	if t.each > 0 {
		l := local(now, t.zone).UnixMilli()
		day := floor(l, (24 * time.Hour).Milliseconds())
		next := day + floor(l-day, t.each.Milliseconds()) + t.each.Milliseconds()
		due = now.Add(time.Duration(next-l) * time.Millisecond)
	}
	if t.age > 0 && (due.IsZero() || t.age < due.Sub(now)) {
		due = now.Add(t.age)
	}
	return due
}

// isTime tells whether the time of day closes a batch. It does not while there may be later files that somebody wrote whose offset was not kept: those
// are replaced only if batches end where they ended then. Where the time of day alone closes batches there is one such file at most.
func (t *sinkTask) isTime(p *partition, now time.Time) bool {
	if p.due.IsZero() || now.Before(p.due) {
		return false
	}
	// The last offsets of a partition may have no records, so that next stays before known.
	return p.next >= p.known || now.Sub(p.fed) >= quiet || t.most == notBounded && t.span == 0
}

// quiet is how long a partition gives nothing when all of it is read.
const quiet = 10 * time.Second

// refuse reports a record that cannot be written.
func (t *sinkTask) refuse(p *partition, r *sdk.Record, err error) error {
	if err := t.c.Report(r, err); err != nil {
		return err
	}
	p.next = r.Offset + 1
	return nil
}

// atOnce is how many files are put at the same time.
const atOnce = 8

// commit puts the files of a batch. What was put is not put again when it is called again after an error.
func (t *sinkTask) commit(ctx context.Context, p *partition) error {
	g, ctx := errgroup.WithContext(ctx)
	g.SetLimit(atOnce)
	for _, f := range p.batch {
		if !f.closed {
			if err := f.encoder.close(); err != nil {
				return fmt.Errorf("the file %s cannot be written: %w", f.key, err)
			}
			f.closed = true
		}
		if t.tagObjects {
			f.tags = map[string]string{"startOffset": strconv.FormatInt(f.first, 10), "endOffset": strconv.FormatInt(f.last, 10), "recordCount": strconv.Itoa(f.count)}
		}
		g.Go(func() error { return f.complete(ctx) })
	}
	if err := g.Wait(); err != nil {
		return err
	}
	clear(p.batch)
	p.count, p.full = 0, false
	return nil
}

// Flush implements sdk.Flusher. It also closes the batches for which it is time: their offsets are kept before anything else is put, so that after a
// crash no file is there that another one does not replace.
func (t *sinkTask) Flush(ctx context.Context, put map[sdk.TopicPartition]int64) (map[sdk.TopicPartition]int64, error) {
	done := make(map[sdk.TopicPartition]int64, len(put))
	now := time.Now()
	for tp, at := range put {
		p := t.parts[tp]
		if p == nil {
			done[tp] = at // all of it was passed over
			continue
		}
		if p.count > 0 && (p.full || t.isTime(p, now)) {
			p.full = true
			err := t.commit(ctx, p)
			if err != nil {
				if err = t.failed(ctx, tp, p, err); sdk.CauseOf(err) != sdk.Transient && ctx.Err() == nil {
					return nil, err
				}
				t.c.Logger().Warn("the files of a partition cannot be written; it is tried again", "topic", tp.Topic, "partition", tp.Partition, "error", err)
			}
		}
		done[tp] = at
		if p.count > 0 {
			done[tp] = min(at, p.first)
		}
	}
	return done, nil
}

// Assigned implements sdk.Partitioned.
func (t *sinkTask) Assigned(context.Context, []sdk.TopicPartition) error { return nil }

// Revoked implements sdk.Partitioned: what is not committed is written by whoever has the partitions next.
func (t *sinkTask) Revoked(ctx context.Context, gone []sdk.TopicPartition, _ bool) error {
	for _, tp := range gone {
		t.drop(ctx, tp)
	}
	return nil
}

// drop forgets the batch of a partition.
func (t *sinkTask) drop(ctx context.Context, tp sdk.TopicPartition) {
	p := t.parts[tp]
	if p == nil {
		return
	}
	delete(t.parts, tp)
	for _, f := range p.batch {
		f.abort(ctx)
	}
}

// Stop implements sdk.SinkTask.
func (t *sinkTask) Stop() error {
	ctx, cancel := context.WithTimeout(context.Background(), 2*time.Second)
	defer cancel()
	for tp := range t.parts {
		t.drop(ctx, tp)
	}
	return nil
}

// notBounded is the size of batches that no number of records closes.
const notBounded = math.MaxInt
