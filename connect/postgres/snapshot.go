package postgres

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/weir/weir/connect/sdk"
)

// copying is a snapshot that runs: one transaction that sees the tables as they were at the slot's beginning.
type copying struct {
	tables []tableName // still to read
	at     lsn

	table *table // that is being read; nil: none
	count int    // how many tables were begun
	rows  int64
	row   []datum

	held *sdk.Record // the last record made: what comes after it decides what it says of its place
	mark *any        // where in it
}

// startSnapshot begins the transaction. If the slot is made for it, the log and the tables agree: what is in the snapshot is not in the
// stream that follows, and the other way round. Beside a slot that is there already, as when a snapshot was interrupted, the stream
// begins where the slot is, which is earlier: some changes then come although the snapshot has them, but none is missing. A row
// that the interrupted snapshot had and that was deleted before this one is told of only by the stream.
func (t *task) startSnapshot(ctx context.Context, slot string) error {
	if t.o.delay > 0 {
		select {
		case <-time.After(t.o.delay):
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	if _, err := t.conn.query(ctx, "BEGIN READ ONLY ISOLATION LEVEL REPEATABLE READ"); err != nil {
		return err
	}
	c := &copying{}
	var err error
	if slot == slotMissing {
		c.at, err = t.createSlot(ctx, "USE_SNAPSHOT")
	} else {
		var rows [][]string
		if rows, err = t.conn.query(ctx, "SELECT pg_catalog.pg_current_wal_lsn()"); err == nil {
			c.at, err = parseLSN(rows[0][0])
		}
	}
	if err != nil {
		return err
	}
	rows, err := t.conn.query(ctx, "SELECT pg_catalog.txid_snapshot_xmax(pg_catalog.txid_current_snapshot()) & 4294967295")
	if err != nil {
		return err
	}
	xid, err := number([]byte(rows[0][0]))
	if err != nil {
		return err
	}
	if c.tables, err = t.capturedTables(ctx, t.conn); err != nil {
		return err
	}
	for _, tb := range c.tables {
		t.met(tb)
	}
	c.tables = slices.DeleteFunc(c.tables, func(tb tableName) bool {
		return !t.o.captures(tb) || len(t.o.snapshotTables) > 0 && !t.o.snapshotTables.match(tb.String())
	})
	if err := t.orderTables(ctx, c.tables); err != nil {
		return err
	}
	now := time.Now()
	t.mu.Lock()
	t.place = place{at: c.at, xid: xid, micros: now.UnixMicro(), snapshot: "INITIAL"}
	t.mu.Unlock()
	t.maker.at(now.UnixMicro())
	t.maker.tx = xid
	t.maker.after(0)
	t.copying = c
	t.log.Info("reading tables", "tables", len(c.tables), "at", c.at.String())
	return nil
}

// orderTables orders tables by how many rows the server thinks that they have, if that is asked for.
func (t *task) orderTables(ctx context.Context, tables []tableName) error {
	if t.o.order == "disabled" || len(tables) == 0 {
		return nil
	}
	var ids []string
	for _, tb := range tables {
		ids = append(ids, strconv.FormatUint(uint64(tb.oid), 10))
	}
	answer, err := t.conn.query(ctx, "SELECT oid FROM pg_catalog.pg_class WHERE oid IN ("+strings.Join(ids, ",")+") ORDER BY reltuples")
	if err != nil {
		return err
	}
	place := make(map[string]int, len(answer))
	for i, row := range answer {
		if place[row[0]] = i; t.o.order == "descending" {
			place[row[0]] = -i
		}
	}
	slices.SortStableFunc(tables, func(a, b tableName) int {
		return place[strconv.FormatUint(uint64(a.oid), 10)] - place[strconv.FormatUint(uint64(b.oid), 10)]
	})
	return nil
}

// copy makes records of rows, until the batch is full or nothing more is there at once.
func (t *task) copy(ctx context.Context) error {
	c := t.copying
	for len(t.batch) < t.o.batch {
		if c.table == nil {
			if len(c.tables) == 0 {
				return t.finishSnapshot(ctx)
			}
			next := c.tables[0]
			c.tables = c.tables[1:]
			c.count++
			if err := t.startTable(ctx, next); err != nil {
				return err
			}
			continue
		}
		kind, body, ok := t.conn.next()
		if !ok {
			if len(t.batch) > 0 {
				return nil
			}
			if err := t.conn.fill(ctx, time.Time{}); err != nil {
				if ctx.Err() != nil {
					return nil
				}
				return err
			}
			t.maker.tick(time.Now())
			continue
		}
		switch kind {
		case 'd':
			if err := t.copied(body); err != nil {
				return err
			}
		case 'E':
			return serverError(body)
		case 'Z':
			if c.rows > 0 && *c.mark != stateFirst {
				*c.mark = stateEnd
			}
			t.log.Info("read a table", "table", c.table.String(), "rows", c.rows)
			c.table, c.rows = nil, 0
		}
	}
	return nil
}

// startTable asks for the rows of a table.
func (t *task) startTable(ctx context.Context, name tableName) error {
	d, err := describe(ctx, t.conn, name.oid)
	if err != nil {
		return err
	}
	tb := t.o.build(t.types, d, nil, true)
	tb.columns = slices.DeleteFunc(tb.columns, func(c column) bool { return c.value < 0 && c.key < 0 })
	var columns []string
	for _, c := range tb.columns {
		columns = append(columns, quoteIdent(c.name))
	}
	if len(columns) == 0 {
		t.log.Warn("left out a table none of whose columns can be read", "table", name.String())
		return nil
	}
	from := name.quoted()
	if own := t.o.overrides[name.String()]; own != "" {
		from = "(" + own + ") AS own"
	}
	if err := t.conn.ask(ctx, 'H', fmt.Sprintf("COPY (SELECT %s FROM %s) TO STDOUT", strings.Join(columns, ", "), from)); err != nil {
		return err
	}
	t.copying.table = tb
	return nil
}

// copied makes the record of a row.
func (t *task) copied(line []byte) error {
	c := t.copying
	c.row = parseCopyRow(line, c.row[:0])
	key, after, err := c.table.read(&t.maker.slab, t.o, t.log, c.row, nil, true, true)
	if errors.Is(err, errNewLabel) {
		return sdk.Retry(err) // from the types of another moment: once more
	}
	if err != nil {
		return err
	}
	state := stateTrue
	if c.rows == 0 {
		state = stateBegin
		if c.count == 1 {
			state = stateFirst
		}
	}
	c.rows++
	t.release()
	source := t.maker.source(c.table, c.at, state)
	c.held = t.maker.change(c.table, opRead, key, nil, after, source, nil)
	c.mark = &source.Values[sourceSnapshot]
	return nil
}

// release hands out the record that was held back.
func (t *task) release() {
	if c := t.copying; c.held != nil && !t.o.skips("r") {
		t.add(c.held)
		c.held = nil
	}
}

// finishSnapshot ends the transaction and goes over to the changes.
func (t *task) finishSnapshot(ctx context.Context) error {
	c := t.copying
	if c.held != nil {
		*c.mark = stateLast
		t.release()
	}
	if _, err := t.conn.query(ctx, "COMMIT"); err != nil {
		return err
	}
	t.mu.Lock()
	t.place.completed = true
	if !t.made.Load() {
		t.handed = t.place
	}
	t.mu.Unlock()
	t.copying, t.snapshotted = nil, true
	t.log.Info("read all tables")
	if t.o.snapshotMode == "initial_only" {
		return nil
	}
	return t.startStreaming(ctx)
}
