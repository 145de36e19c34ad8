package sql

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/weir/weir/connect/sdk"
)

// sinkTask writes what a Put gives in one transaction.
type sinkTask struct {
	o       *sinkOptions
	c       sdk.SinkContext
	session sinkSession // nil: there is none

	layouts map[layoutKey]*layout
	last    layoutKey
	latest  *layout
	tables  map[string][]*layout // by target
	free    []*segment
}

// layoutKey is what decides about a record's layout.
type layoutKey struct {
	topic      string
	key, value *sdk.Schema
	gone       bool
}

// Start implements sdk.SinkTask. It does not wait for the database: Put does.
func (t *sinkTask) Start(_ context.Context, c sdk.SinkContext, v sdk.Values) error {
	o, wrong := parseSink(v)
	if len(wrong) > 0 {
		return sdk.Misconfigured("%s: %w", wrong[0].Option, wrong[0].Err)
	}
	t.o, t.c = o, c
	t.forget()
	return nil
}

// Stop implements sdk.SinkTask.
func (t *sinkTask) Stop() error {
	t.disconnect()
	return nil
}

func (t *sinkTask) disconnect() {
	if t.session != nil {
		t.session.close()
		t.session = nil
	}
}

// forget makes tables be looked at again.
func (t *sinkTask) forget() {
	t.layouts, t.tables, t.latest = map[layoutKey]*layout{}, map[string][]*layout{}, nil
}

// Put implements sdk.SinkTask: all of the records that are not refused are in the database when it returns nil, else none is.
func (t *sinkTask) Put(ctx context.Context, records []*sdk.Record) error {
	if len(records) == 0 {
		return nil
	}
	old := t.session != nil
	good, err := t.attempt(ctx, records)
	// A connection that did nothing for a while may have gone, and a table may have changed since it was looked at.
	if isStructure(err) || isRecords(err) || old && sdk.CauseOf(t.o.target.explain(err)) == sdk.Transient {
		t.forget()
		t.disconnect()
		good, err = t.attempt(ctx, good)
	}
	if isRecords(err) {
		err = t.isolate(ctx, good)
	}
	if err != nil {
		t.forget()
		t.disconnect()
	}
	return t.o.target.explain(err)
}

// Retries implements sdk.Retrying.
func (t *sinkTask) Retries(err error) (most int, wait time.Duration) { return t.o.retries.after(err) }

// attempt puts records, and gives them less those that are refused before the database sees them, which are nil.
func (t *sinkTask) attempt(ctx context.Context, records []*sdk.Record) (good []*sdk.Record, err error) {
	if t.session == nil {
		session, err := t.o.target.connect(ctx, t.o.zone, t.o.dates, t.o.neverQuote)
		if err != nil {
			return records, &unconnected{err}
		}
		t.session = session
	}
	good = records
	segments, err := t.build(ctx, records, func(i int, err error) error {
		if &good[0] == &records[0] {
			good = slices.Clone(records)
		}
		good[i] = nil
		return t.c.Report(records[i], err)
	})
	if err == nil && len(segments) > 0 {
		err = t.session.write(ctx, segments, t.o.mode, false)
	}
	t.recycle(segments)
	return good, err
}

// build makes segments of records, in their order. nil is no record.
func (t *sinkTask) build(ctx context.Context, records []*sdk.Record, refuse func(i int, err error) error) (segments []*segment, err error) {
	framing := t.session.framing()
	open := map[string]*segment{} // of each table the last
	var s *segment
	var target string
	for i, r := range records {
		if r == nil {
			continue
		}
		gone := r.Value == nil
		l, err := t.layout(ctx, r, gone)
		if err != nil {
			return segments, err
		}
		if l.refused != nil {
			if err := refuse(i, l.refused); err != nil {
				return segments, err
			}
			continue
		}
		if s == nil || l.target != target {
			s, target = open[l.target], l.target
		}
		for {
			if s == nil || !s.takes(l, gone, t.o.mode, t.session.most()) || t.o.most > 0 && s.rows.live+s.gone.live >= t.o.most {
				s = t.segment()
				segments, open[target] = append(segments, s), s
			}
			full, err := s.add(r, l, gone, gone || t.o.mode != "insert", framing)
			if err != nil {
				if err := refuse(i, err); err != nil {
					return segments, err
				}
			}
			if !full {
				break
			}
			s = nil
		}
	}
	return segments, nil
}

func (t *sinkTask) segment() *segment {
	if n := len(t.free); n > 0 {
		s := t.free[n-1]
		t.free = t.free[:n-1]
		return s
	}
	return &segment{}
}

// most of the bytes and segments that are kept for later.
const (
	mostKept  = 16 << 20
	mostSpare = 8
)

func (t *sinkTask) recycle(segments []*segment) {
	for _, s := range segments {
		if cap(s.rows.buf)+cap(s.gone.buf) < mostKept && len(t.free) < mostSpare {
			s.reset()
			t.free = append(t.free, s)
		}
	}
}

// isolate finds the records that the database refuses, in one transaction with those that it takes: where it refuses some, each half of
// them is tried by itself. What is refused is reported before the transaction ends, so that nothing is in the database if that is an end.
func (t *sinkTask) isolate(ctx context.Context, records []*sdk.Record) error {
	if err := t.session.exec(ctx, "START TRANSACTION"); err != nil {
		return err
	}
	if t.o.target.postgres {
		if err := t.session.exec(ctx, "SET CONSTRAINTS ALL IMMEDIATE"); err != nil {
			return err
		}
	}
	all := make([]*sdk.Record, 0, len(records))
	for _, r := range records {
		if r != nil {
			all = append(all, r)
		}
	}
	if err := t.halve(ctx, all); err != nil {
		return err // the session ends, and with it the transaction
	}
	return t.session.exec(ctx, "COMMIT")
}

func (t *sinkTask) halve(ctx context.Context, records []*sdk.Record) error {
	if len(records) == 0 {
		return nil
	}
	segments, err := t.build(ctx, records, func(i int, err error) error {
		return fmt.Errorf("BUG: a record is refused only the second time: %w", err)
	})
	defer t.recycle(segments)
	if err != nil {
		return err
	}
	if err := t.session.exec(ctx, "SAVEPOINT weir"); err != nil {
		return err
	}
	err = t.session.write(ctx, segments, t.o.mode, true)
	switch {
	case err == nil:
		return t.session.exec(ctx, "RELEASE SAVEPOINT weir")
	case !isRecords(err):
		return err
	}
	if err := t.session.exec(ctx, "ROLLBACK TO SAVEPOINT weir"); err != nil {
		return err
	}
	if len(records) == 1 {
		return t.c.Report(records[0], errors.New(said(err)))
	}
	half := len(records) / 2
	if err := t.halve(ctx, records[:half]); err != nil {
		return err
	}
	return t.halve(ctx, records[half:])
}
