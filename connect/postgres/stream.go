package postgres

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"time"

	"github.com/weir/weir/connect/sdk"
)

// stream is what is known of the replication that runs.
type stream struct {
	from place // what was handed out before it began is skipped

	tables map[uint32]*table

	in     bool  // in a transaction
	tx     begin // which
	skip   bool  // all of it was handed out before
	at     lsn   // of the last event
	nth    int64 // how many there were at it
	counts []tableCount
	total  int64

	row, old []datum // scratch

	silent, left time.Time // since when nothing came while it was listened to, and when that ended
}

// startStreaming asks for the changes after the task's place.
func (t *task) startStreaming(ctx context.Context) error {
	from := t.place.commit // 0: from where the slot is, as after a snapshot
	options := fmt.Sprintf(`proto_version '1', publication_names '%s'`, quoteIdent(t.o.publication))
	if t.serverVersion >= 140000 {
		options += `, messages 'true'`
	}
	sql := fmt.Sprintf(`START_REPLICATION SLOT %s LOGICAL %s (%s)`, quoteIdent(t.o.slot), from, options)
	if err := t.conn.ask(ctx, 'W', sql); err != nil {
		return err
	}
	now := time.Now()
	t.stream = stream{from: t.place, tables: map[uint32]*table{}, silent: now, left: now}
	t.streaming, t.nextMark = true, time.Time{}
	t.maker.after(t.place.commit)
	if t.maker.micros == nil {
		t.maker.at(t.maker.now.UnixMicro())
	}
	t.mu.Lock()
	t.live = t.conn
	t.safe = max(t.safe, from)
	if !t.outstanding {
		t.confirm(from)
	}
	t.mu.Unlock()
	t.startStatus()
	if t.chunks.behind {
		if err := t.readChunk(ctx); err != nil {
			return err
		}
	}
	t.log.Info("streaming", "slot", t.o.slot, "from", from.String())
	return nil
}

// follow makes records of what the server sends, until there are some and nothing more is there at once.
func (t *task) follow(ctx context.Context) error {
	s := &t.stream
	begun := time.Now()
	s.silent = s.silent.Add(begun.Sub(s.left))
	defer func() { s.left = time.Now() }()
	for {
		if err := t.take(ctx); err != nil || len(t.batch) > 0 {
			return err
		}
		until, lost := begun.Add(sdk.PollWithin), s.silent.Add(silences*t.o.status)
		if lost.Before(until) {
			until = lost
		}
		if t.o.heartbeat > 0 && t.nextBeat.Before(until) {
			until = t.nextBeat
		}
		if t.idles() && t.nextMark.Before(until) {
			until = t.nextMark
		}
		if t.mark() {
			return nil
		}
		t.lag.waits(time.Now())
		err := t.conn.fill(ctx, until)
		t.lag.goesOn()
		switch now := time.Now(); {
		case err == nil:
			s.silent = now
		case errors.Is(err, errQuiet) && !now.Before(lost):
			return sdk.Retry(fmt.Errorf("PostgreSQL at %s:%d has said nothing for %v, though it was asked to: the connection is given up for a new one", t.o.pg.Host, t.o.pg.Port, silences*t.o.status))
		case errors.Is(err, errQuiet) && t.o.heartbeat > 0 && !now.Before(t.nextBeat):
			t.mu.Lock()
			t.beat(ctx)
			t.mu.Unlock()
		case errors.Is(err, errQuiet) && t.idles():
		case errors.Is(err, errQuiet):
			return nil
		case err != nil && ctx.Err() != nil:
			return nil // what came in part stays where it is
		case err != nil:
			return err
		}
		t.maker.tick(time.Now())
	}
}

// silences is how many times the server may leave the regular question unanswered whether it is there.
const silences = 3

// take handles the messages that are there, as long as the batch has room.
func (t *task) take(ctx context.Context) error {
	t.mu.Lock()
	defer t.mu.Unlock()
	for len(t.batch) < t.o.batch {
		kind, body, ok := t.conn.next()
		if !ok {
			return nil
		}
		switch kind {
		case 'd':
			if err := t.handle(ctx, body); err != nil {
				return err
			}
		case 'E':
			return serverError(body)
		case 'c', 'C', 'Z':
			return errors.New("the server ended the replication")
		}
	}
	return nil
}

func (t *task) handle(ctx context.Context, body []byte) error {
	c := cursor{b: body}
	switch c.u8() {
	case 'w':
		at := lsn(c.u64())
		c.u64()
		c.u64()
		if err := t.change(ctx, &c, at); err != nil {
			return err
		}
		if c.bad {
			return errCut
		}
	case 'k':
		end := lsn(c.u64())
		c.u64()
		if !t.stream.in && end > t.safe {
			t.safe = end
		}
		if c.u8() == 1 {
			t.nextMark = time.Time{} // the server may want to end, and waits until all is kept
			return t.conn.send('d', status(t.confirmed, time.Now(), false))
		}
	}
	return nil
}

// change handles a message of pgoutput.
func (t *task) change(ctx context.Context, c *cursor, at lsn) error {
	s := &t.stream
	kind := c.u8()
	switch kind {
	case 'B':
		return t.begin(parseBegin(c), at)
	case 'C':
		end, micros := parseCommit(c)
		return t.commit(ctx, end, micros)
	case 'O':
		t.maker.originLSN, t.maker.origin = int64(c.u64()), c.text()
		return nil
	case 'R':
		return t.relation(ctx, parseRelation(c))
	case 'M':
		m := parseMessage(c)
		if !m.inTransaction {
			return t.loneMessage(m, at)
		}
		if t.event(at, "MESSAGE") && chosen(t.o.messageInclude, t.o.messageExclude, m.prefix) && !t.o.skips("m") {
			tx := t.count("LOGICAL_DECODING_MESSAGE", at)
			t.add(t.maker.message(m, at, tx))
		}
		return nil
	case 'I':
		tb, err := t.tableOf(c.u32())
		if err != nil {
			return err
		}
		c.u8()
		s.row = parseTuple(c, s.row[:0])
		if c.bad || !t.event(at, "INSERT") || !tb.captured && !tb.signals {
			return nil
		}
		return t.insert(ctx, tb, s.row, at)
	case 'U':
		tb, err := t.tableOf(c.u32())
		if err != nil {
			return err
		}
		var old []datum
		which := c.u8()
		if which == 'K' || which == 'O' {
			s.old = parseTuple(c, s.old[:0])
			old = s.old
			c.u8()
		}
		s.row = parseTuple(c, s.row[:0])
		if c.bad || !t.event(at, "UPDATE") || !tb.captured || t.o.skips("u") {
			return nil
		}
		err = t.update(tb, s.row, old, at)
		if tb, err = t.renewed(ctx, tb, err); tb != nil {
			err = t.update(tb, s.row, old, at)
		}
		return err
	case 'D':
		tb, err := t.tableOf(c.u32())
		if err != nil {
			return err
		}
		c.u8()
		s.old = parseTuple(c, s.old[:0])
		if c.bad || !t.event(at, "DELETE") {
			return nil
		}
		if tb.captured && !t.o.skips("d") {
			err := t.delete(tb, s.old, at)
			if renewed, e := t.renewed(ctx, tb, err); e != nil {
				return e
			} else if renewed != nil {
				if err := t.delete(renewed, s.old, at); err != nil {
					return err
				}
			}
		}
		if tb.signals && t.o.deleteWindows && len(s.old) > 0 && t.chunks.window != "" && string(s.old[0].text) == t.chunks.window+"-open" {
			return t.closeWindow(ctx)
		}
		return nil
	case 'T':
		ids := parseTruncate(c)
		if c.bad || !t.event(at, "TRUNCATE") || t.o.skips("t") {
			return nil
		}
		for _, id := range ids {
			if tb := s.tables[id]; tb != nil && tb.captured {
				tx := t.count(tb.id, at)
				t.add(t.maker.change(tb, opTruncate, nil, nil, nil, t.maker.source(tb, at, stateFalse), tx))
			}
		}
		return nil
	case 'Y':
		return nil
	}
	return fmt.Errorf("the server sent a message of kind %q that is not known", kind)
}

func (t *task) tableOf(id uint32) (*table, error) {
	if tb := t.stream.tables[id]; tb != nil {
		return tb, nil
	}
	return nil, fmt.Errorf("the server sent a row of table %d without describing it", id)
}

func (t *task) begin(b begin, at lsn) error {
	s := &t.stream
	s.in, s.tx, s.skip = true, b, b.commit < s.from.commit
	s.at, s.nth = 0, 0
	s.counts, s.total = s.counts[:0], 0
	m := t.maker
	m.at(b.at)
	m.tx, m.origin, m.originLSN = int64(b.xid), nil, nil
	if s.skip || !t.o.transactions {
		return nil
	}
	if !s.from.finished() && s.from.xid == int64(b.xid) {
		s.counts = append(s.counts, s.from.counts...)
		for _, c := range s.counts {
			s.total += c.n
		}
		return nil
	}
	t.place.move(at, "BEGIN", 0, int64(b.xid))
	t.place.micros = b.at
	t.add(m.boundary("BEGIN", transactionID(b.xid, at), nil))
	return nil
}

func transactionID(xid uint32, at lsn) string {
	return strconv.FormatUint(uint64(xid), 10) + ":" + strconv.FormatUint(uint64(at), 10)
}

// event moves on to an event of the transaction, and tells whether it is new.
func (t *task) event(at lsn, kind string) bool {
	s := &t.stream
	if s.at == at {
		s.nth++
	} else {
		s.at, s.nth = at, 1
	}
	if s.skip || s.from.passed(s.tx.commit, s.tx.xid, at, s.nth) {
		return false
	}
	t.place.move(at, kind, s.nth, int64(s.tx.xid))
	t.place.done, t.place.micros = at, s.tx.at
	return true
}

func (t *task) commit(ctx context.Context, end lsn, micros int64) error {
	s := &t.stream
	s.in = false
	if s.skip {
		return nil
	}
	p := &t.place
	p.move(end, "COMMIT", 0, int64(s.tx.xid))
	p.commit, p.done, p.micros = end, end, micros
	t.maker.after(end)
	if t.o.transactions {
		id := strconv.FormatUint(uint64(s.tx.xid), 10)
		p.transaction, p.counts = id, append([]tableCount(nil), s.counts...)
		t.add(t.maker.boundary("END", transactionID(s.tx.xid, end), p.counts))
	}
	t.safe = end
	if t.o.heartbeat > 0 && !t.maker.now.Before(t.nextBeat) {
		t.beat(ctx)
	}
	return nil
}

// count counts a change, and gives what its record says about its place in the transaction.
func (t *task) count(name string, at lsn) *sdk.Struct {
	if !t.o.transactions {
		return nil
	}
	s := &t.stream
	i := 0
	for i < len(s.counts) && s.counts[i].table != name {
		i++
	}
	if i == len(s.counts) {
		s.counts = append(s.counts, tableCount{table: name})
	}
	s.counts[i].n++
	s.total++
	t.place.transaction = strconv.FormatUint(uint64(s.tx.xid), 10)
	return &sdk.Struct{Schema: transactionBlock, Values: []any{transactionID(s.tx.xid, at), s.total, s.counts[i].n}}
}

// loneMessage handles a message that belongs to no transaction.
func (t *task) loneMessage(m message, at lsn) error {
	p := &t.place
	if at < t.stream.from.commit || t.stream.from.event == "MESSAGE" && t.stream.from.xid == 0 && at == t.stream.from.at {
		return nil
	}
	// Just behind the message: its place may be where the transaction before it ended, after which it was still to come.
	p.move(at, "MESSAGE", 0, 0)
	p.commit, p.done = at+1, at
	t.maker.after(at)
	t.maker.tx = nil
	if chosen(t.o.messageInclude, t.o.messageExclude, m.prefix) && !t.o.skips("m") {
		t.add(t.maker.message(m, at, nil))
	}
	if !t.stream.in {
		t.safe = at
	}
	return nil
}

func (t *task) relation(ctx context.Context, r relation) error {
	name := tableName{oid: r.id, schema: r.schema, name: r.name}
	captured, signals := t.o.captures(name), t.o.signalTable != "" && name.String() == t.o.signalTable
	t.met(name)
	if !captured && !signals {
		t.stream.tables[r.id] = &table{tableName: name}
		return nil
	}
	tb, err := t.look(ctx, r)
	if err != nil {
		return err
	}
	tb.captured, tb.signals, tb.relation = captured, signals, &r
	t.stream.tables[r.id] = tb
	return nil
}

// look builds a table of what the stream says and the catalogs add.
func (t *task) look(ctx context.Context, r relation) (*table, error) {
	var d *described
	err := t.aside(ctx, func(w *wire) (err error) {
		for _, c := range r.columns {
			if t.types.byOID[c.typ] == nil {
				if t.types, err = readTypes(ctx, w); err != nil {
					return err
				}
				break
			}
		}
		d, err = describe(ctx, w, r.id)
		return err
	})
	if err != nil {
		return nil, err
	}
	return t.o.build(t.types, d, &r, false), nil
}

// renewed gives the table with types looked up anew, if err is that an enum got a value since; else it gives err.
func (t *task) renewed(ctx context.Context, tb *table, err error) (*table, error) {
	if !errors.Is(err, errNewLabel) {
		return nil, err
	}
	if err := t.aside(ctx, func(w *wire) (err error) { t.types, err = readTypes(ctx, w); return err }); err != nil {
		return nil, err
	}
	if err := t.relation(ctx, *tb.relation); err != nil {
		return nil, err
	}
	return t.stream.tables[tb.oid], nil
}

func (t *task) insert(ctx context.Context, tb *table, row []datum, at lsn) error {
	if tb.captured && !t.o.skips("c") {
		err := t.create(tb, row, at)
		if renewed, e := t.renewed(ctx, tb, err); e != nil {
			return e
		} else if renewed != nil {
			if err := t.create(renewed, row, at); err != nil {
				return err
			}
		}
	}
	if tb.signals {
		return t.signal(ctx, tb, row)
	}
	return nil
}

func (t *task) create(tb *table, row []datum, at lsn) error {
	key, after, err := tb.read(&t.maker.slab, t.o, t.log, row, nil, true, true)
	if err != nil {
		return err
	}
	t.overtake(tb, key)
	tx := t.count(tb.id, at)
	t.add(t.maker.change(tb, opCreate, key, nil, after, t.maker.source(tb, at, stateFalse), tx))
	return nil
}

func (t *task) update(tb *table, row, old []datum, at lsn) error {
	if t.o.skipSame && old != nil && tb.full && tb.sameValue(old, row) {
		return nil
	}
	slab := &t.maker.slab
	key, after, err := tb.read(slab, t.o, t.log, row, old, true, true)
	if err != nil {
		return err
	}
	var before *sdk.Struct
	moved := old != nil && tb.key != nil && !tb.sameKey(old, row)
	var oldKey *sdk.Struct
	if old != nil {
		if oldKey, before, err = tb.read(slab, t.o, t.log, old, nil, moved, true); err != nil {
			return err
		}
	}
	t.overtake(tb, key)
	if !moved {
		tx := t.count(tb.id, at)
		t.add(t.maker.change(tb, opUpdate, key, before, after, t.maker.source(tb, at, stateFalse), tx))
		return nil
	}
	t.overtake(tb, oldKey)
	source := t.maker.source(tb, at, stateFalse)
	if !t.o.skips("d") {
		gone := t.maker.change(tb, opDelete, oldKey, before, nil, source, t.count(tb.id, at))
		gone.Headers = append([]sdk.Header{{Key: "__debezium.newkey", Schema: tb.key, Value: key}}, gone.Headers...)
		t.add(gone)
		if t.o.tombstones {
			tomb := t.maker.record(tb, oldKey)
			tomb.Headers = gone.Headers
			t.add(tomb)
		}
	}
	if !t.o.skips("c") {
		came := t.maker.change(tb, opCreate, key, nil, after, source, t.count(tb.id, at))
		came.Headers = append([]sdk.Header{{Key: "__debezium.oldkey", Schema: tb.key, Value: oldKey}}, came.Headers...)
		t.add(came)
	}
	return nil
}

func (t *task) delete(tb *table, old []datum, at lsn) error {
	key, before, err := tb.read(&t.maker.slab, t.o, t.log, old, nil, true, true)
	if err != nil {
		return err
	}
	t.overtake(tb, key)
	tx := t.count(tb.id, at)
	t.add(t.maker.change(tb, opDelete, key, before, nil, t.maker.source(tb, at, stateFalse), tx))
	if t.o.tombstones {
		t.add(t.maker.record(tb, key))
	}
	return nil
}

func (t *task) add(r *sdk.Record) {
	t.batch = append(t.batch, r)
	t.made.Store(true)
}

// idles tells whether the stream has gone on without anything to hand out.
func (t *task) idles() bool { return !t.stream.in && t.safe > t.place.commit }

// mark hands out the place alone, now and then, where the stream goes on with nothing to hand out: what is kept moves on, and the server may
// forget its log up to there. The server is never told more than what is kept, so a slot that begins later is not the one it was.
func (t *task) mark() bool {
	now := time.Now()
	if !t.idles() || now.Before(t.nextMark) {
		return false
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	t.nextMark = now.Add(t.o.status)
	t.catchUp()
	t.add(&sdk.Record{})
	return true
}

// catchUp moves the place to where the stream is, between transactions.
func (t *task) catchUp() {
	if p := &t.place; t.idles() {
		if p.commit = t.safe; p.at == 0 {
			p.at = t.safe
		}
	}
}

// beat makes a heartbeat, so that the place moves on where nothing else comes.
func (t *task) beat(ctx context.Context) {
	t.nextBeat = t.maker.now.Add(t.o.heartbeat)
	if time.Until(t.nextBeat) <= 0 {
		t.nextBeat = time.Now().Add(t.o.heartbeat)
	}
	if t.o.heartbeatQuery != "" {
		if err := t.aside(ctx, func(w *wire) error { _, err := w.query(ctx, t.o.heartbeatQuery); return err }); err != nil {
			t.log.Warn("heartbeat.action.query failed", "error", err)
		}
	}
	t.maker.tick(time.Now())
	t.catchUp()
	if t.place.at != 0 {
		t.add(t.maker.beat())
	}
}
