package postgres

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"github.com/jackc/pgx/v5/pgconn"
	"github.com/weir/weir/connect/sdk"
)

// task reads one database.
type task struct {
	o         *options
	log       *slog.Logger
	partition map[string]any

	home          home   // the log that the places are in
	conn          *wire  // of the replication
	side          *wire  // for questions meanwhile
	former        uint32 // the server's process of the replication before
	serverVersion int
	types         *types
	maker         *maker
	batch         []*sdk.Record
	failed        error // found when there were records to hand out first

	copying   *copying // the snapshot that runs
	streaming bool
	stream    stream
	chunks    chunks
	nextBeat  time.Time
	nextMark  time.Time

	mu          sync.Mutex // what follows, and all of it while messages are handled
	place       place      // after the last record made
	handed      place      // after the last record handed out
	live        *wire      // the connection, while changes are followed
	outstanding bool       // something handed out is not known to be durable
	safe        lsn        // before this nothing is to come that was not handed out
	confirmed   lsn        // what the server was told
	snapshotted bool       // by this task since it started
	stopStatus  func()

	made atomic.Bool // there are records that were not handed out
	lag  lag
	note func(string) // shows people something beside the task's state

	missing patterns
}

// Retries implements sdk.Retrying.
func (t *task) Retries(error) (most int, wait time.Duration) { return t.o.retryMost, t.o.retryWait }

func (t *task) Start(ctx context.Context, c sdk.SourceContext, v sdk.Values) error {
	o, wrong := parseOptions(v)
	if len(wrong) > 0 {
		return sdk.Misconfigured("%w", wrong[0].Err)
	}
	t.o, t.log, t.partition = o, c.Logger(), map[string]any{"server": o.prefix}
	t.note = func(string) {}
	if n, ok := c.(sdk.Noting); ok {
		t.note = n.Note
	}
	t.maker = newMaker(o, c)
	t.maker.tick(time.Now())
	t.nextBeat = t.maker.now.Add(o.heartbeat)
	kept, err := c.Position(ctx, t.partition)
	if err != nil {
		return err
	}
	t.place, t.home = placeOf(kept), homeOf(kept)
	t.handed = t.place
	t.chunks.load(t.place.chunks)
	return nil
}

func (t *task) Poll(ctx context.Context) ([]*sdk.Record, error) {
	if err := t.failed; err != nil {
		t.failed = nil
		return nil, err
	}
	t.batch = t.batch[:0]
	err := t.step(ctx)
	if err != nil {
		t.disconnect()
		switch {
		case ctx.Err() != nil:
			err = nil
		case len(t.batch) > 0:
			t.failed, err = t.explain(err), nil
		default:
			return nil, t.explain(err)
		}
	}
	return t.hand(), err
}

// hand gives the batch its position: all its records share it.
func (t *task) hand() []*sdk.Record {
	if len(t.batch) == 0 {
		return nil
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	t.place.chunks = t.chunks.store()
	if t.stream.in && t.o.transactions {
		t.place.counts = slices.Clone(t.stream.counts)
	}
	t.handed, t.outstanding = t.place, true
	t.made.Store(false)
	if t.streaming && !t.batch[0].Marks() {
		t.lag.handed(time.UnixMicro(t.stream.tx.at))
	}
	at := &sdk.Position{Partition: t.partition, Offset: t.place.offset()}
	t.home.store(at.Offset)
	for _, r := range t.batch {
		r.At = at
	}
	return t.batch
}

// step does what comes next: connect, go on with the snapshot, or follow the changes.
func (t *task) step(ctx context.Context) error {
	if t.conn == nil {
		if err := t.open(ctx); err != nil {
			return err
		}
	}
	defer context.AfterFunc(ctx, t.conn.interrupt)()
	t.maker.tick(time.Now())
	switch {
	case t.copying != nil:
		return t.copy(ctx)
	case !t.streaming: // initial_only: all is done
		select {
		case <-ctx.Done():
		case <-time.After(sdk.PollWithin):
		}
		return ctx.Err()
	}
	return t.follow(ctx)
}

// open connects and finds out how to go on.
func (t *task) open(ctx context.Context) (err error) {
	replication := t.o.pg.Copy()
	replication.RuntimeParams["replication"] = "database"
	delete(replication.RuntimeParams, "statement_timeout") // snapshots and streams take their time
	if t.conn, err = dial(ctx, replication); err != nil {
		return err
	}
	need := t.needSnapshot()
	err = t.aside(ctx, func(w *wire) error {
		if t.types, err = readTypes(ctx, w); err != nil {
			return err
		}
		rows, err := w.query(ctx, "SELECT pg_catalog.current_setting('server_version_num')")
		if err != nil {
			return err
		}
		if t.serverVersion, err = strconv.Atoi(rows[0][0]); err != nil {
			return err
		}
		if err := t.findMissing(ctx, w); err != nil {
			return err
		}
		if t.o.snapshotMode == "initial_only" {
			return nil
		}
		if err := t.primary(ctx, w); err != nil {
			return err
		}
		if err := t.publish(ctx, w); err != nil {
			return err
		}
		return t.identify(ctx, w)
	})
	if err != nil {
		return err
	}
	if t.o.snapshotMode == "initial_only" {
		if need {
			return t.startSnapshot(ctx, "")
		}
		return nil
	}
	is, err := t.stand(ctx)
	if err != nil {
		return err
	}
	if err := t.endFormer(ctx); err != nil {
		return err
	}
	if t.place.at != 0 && !need {
		if need, err = t.goesOn(is); err != nil {
			return err
		}
	}
	t.home = is.home
	slot := is.slot.state
	if slot == slotLost {
		if _, err := t.conn.query(ctx, "DROP_REPLICATION_SLOT "+quoteIdent(t.o.slot)); err != nil {
			return err
		}
		slot = slotMissing
	}
	if need {
		return t.startSnapshot(ctx, slot)
	}
	if slot == slotMissing {
		at, err := t.createSlot(ctx, "NOEXPORT_SNAPSHOT")
		if err != nil {
			return err
		}
		t.place.at = at
	}
	return t.startStreaming(ctx)
}

// needSnapshot tells whether the tables have to be read first.
func (t *task) needSnapshot() bool {
	if t.snapshotted {
		return false
	}
	switch t.o.snapshotMode {
	case "no_data", "never":
		return false
	case "always":
		return true
	}
	return t.place.at == 0 || t.place.snapshot != "" && !t.place.completed
}

// States of the slot.
const (
	slotReady   = "ready"
	slotMissing = "missing"
	slotLost    = "lost"
)

// findSlot tells whether the slot is there and can be used.
func (t *task) findSlot(ctx context.Context) (found slot, err error) {
	err = t.aside(ctx, func(w *wire) error {
		lost := "''"
		if t.serverVersion >= 130000 {
			lost = "wal_status"
		}
		rows, err := w.query(ctx, fmt.Sprintf(`SELECT plugin, database, %s, current_setting('wal_level'), confirmed_flush_lsn FROM pg_catalog.pg_replication_slots RIGHT JOIN (SELECT) one ON slot_name = %s`,
			lost, quoteText(t.o.slot)))
		if err != nil {
			return err
		}
		r := rows[0]
		switch {
		case r[3] != "logical":
			return sdk.Misconfigured("the database's wal_level is %s, but changes can only be read with logical: set wal_level = logical in postgresql.conf and restart PostgreSQL", r[3])
		case r[0] == "" && r[1] == "":
			found.state = slotMissing
		case r[0] != "pgoutput":
			return sdk.Misconfigured("replication slot %q uses the plugin %s, not pgoutput: choose another slot.name, or drop the slot", t.o.slot, r[0])
		case r[1] != t.o.database:
			return sdk.Misconfigured("replication slot %q is of database %q, not %q: choose another slot.name", t.o.slot, r[1], t.o.database)
		case r[2] == "lost":
			found.state = slotLost
		default:
			found.state = slotReady
			if r[4] != "" { // else it is being made
				found.confirmed, err = parseLSN(r[4])
			}
		}
		return err
	})
	return found, err
}

// endFormer ends the server's side of the connection before this one, should it still have the slot: after the network was cut the
// server would wait wal_sender_timeout for answers.
func (t *task) endFormer(ctx context.Context) error {
	if t.former == 0 {
		return nil
	}
	return t.aside(ctx, func(w *wire) error {
		_, err := w.query(ctx, fmt.Sprintf("SELECT pg_catalog.pg_terminate_backend(active_pid) FROM pg_catalog.pg_replication_slots WHERE slot_name = %s AND active_pid = %d", quoteText(t.o.slot), t.former))
		return err
	})
}

// goesOn looks whether changes can be read on from where the task is, and does what the options say if not. need: a snapshot is.
func (t *task) goesOn(is standing) (need bool, err error) {
	g := find(t.o, t.place, t.home, is)
	switch {
	case g == nil:
		if is.line != t.home.line && t.home.line != 0 {
			t.log.Info("a standby was promoted, and has all that is needed", "timeline", is.line, "before", t.home.line)
		}
		return false, nil
	case g.trusted(t.o.mismatch):
		t.log.Warn("going on from where the replication slot is, as offset.mismatch.strategy says", "slot", t.o.slot, "from", is.slot.confirmed.String(), "why", g.why)
		t.stands(place{commit: is.slot.confirmed, at: is.slot.confirmed})
		return false, nil
	case t.o.snapshotMode == "when_needed":
		t.log.Warn("taking a new snapshot", "why", g.why)
		t.stands(place{})
		t.snapshotted = false
		return true, nil
	}
	return false, g.err()
}

// stands puts the task to another place, whatever it said of the one before.
func (t *task) stands(at place) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.place, t.handed, t.safe, t.confirmed = at, at, 0, 0
	t.outstanding = false
}

func (l lsn) String() string { return fmt.Sprintf("%X/%X", uint32(l>>32), uint32(l)) }

func parseLSN(s string) (lsn, error) {
	var high, low uint32
	if _, err := fmt.Sscanf(s, "%X/%X", &high, &low); err != nil {
		return 0, fmt.Errorf("%q is no place in the log", s)
	}
	return lsn(high)<<32 | lsn(low), nil
}

// createSlot makes a replication slot, and gives from where on it has changes.
func (t *task) createSlot(ctx context.Context, snapshot string) (lsn, error) {
	sql := "CREATE_REPLICATION_SLOT " + quoteIdent(t.o.slot) + " LOGICAL pgoutput "
	if t.o.failoverSlot && t.serverVersion >= 170000 {
		sql += map[string]string{"USE_SNAPSHOT": "(SNAPSHOT 'use', FAILOVER true)", "NOEXPORT_SNAPSHOT": "(SNAPSHOT 'nothing', FAILOVER true)"}[snapshot]
	} else {
		if t.o.failoverSlot {
			t.log.Warn("slot.failover needs PostgreSQL 17: the slot is made without it, and is not on standbys", "slot", t.o.slot)
		}
		sql += snapshot
	}
	rows, err := t.conn.query(ctx, sql)
	if err != nil {
		return 0, err
	}
	if len(rows) == 0 || len(rows[0]) < 2 {
		return 0, errors.New("the server did not tell about the replication slot that it made")
	}
	t.log.Info("made a replication slot", "slot", t.o.slot, "at", rows[0][1])
	return parseLSN(rows[0][1])
}

// aside asks something over the other connection, and tries once more if that was cut.
func (t *task) aside(ctx context.Context, ask func(*wire) error) error {
	for again := t.side != nil; ; again = false {
		if t.side == nil {
			w, err := dial(ctx, t.o.pg)
			if err != nil {
				return err
			}
			for _, sql := range t.o.initial {
				if _, err := w.query(ctx, sql); err != nil {
					w.close()
					return err
				}
			}
			t.side = w
		}
		err := ask(t.side)
		var fromServer *pgconn.PgError
		if err == nil || errors.As(err, &fromServer) && fromServer.Severity != "FATAL" || sdk.CauseOf(err) != sdk.Unknown {
			return err
		}
		t.side.close()
		t.side = nil
		if !again || ctx.Err() != nil {
			return err
		}
	}
}

// confirm lets the server forget what is before a place.
func (t *task) confirm(done lsn) {
	if done > t.confirmed && !t.o.keepSlot {
		t.confirmed = done
	}
}

// startStatus tells the server regularly that somebody is there, also while nobody polls.
func (t *task) startStatus() {
	ctx, stop := context.WithCancel(context.Background())
	conn := t.conn
	done := make(chan struct{})
	t.stopStatus = func() { stop(); <-done }
	go func() {
		defer close(done)
		tick := time.NewTicker(t.o.status)
		defer tick.Stop()
		for {
			t.mu.Lock()
			b := status(t.confirmed, time.Now(), true)
			t.mu.Unlock()
			if err := conn.send('d', b); err != nil {
				return // whoever reads will see it
			}
			select {
			case <-tick.C:
			case <-ctx.Done():
				return
			}
		}
	}()
}

// Acknowledged lets the server forget what is durable.
func (t *task) Acknowledged(_ context.Context, positions []sdk.Position) error {
	t.mu.Lock()
	defer t.mu.Unlock()
	for _, p := range positions {
		if p.Partition["server"] != t.o.prefix {
			continue
		}
		before := t.confirmed
		if t.handed.samePlace(p.Offset) && !t.made.Load() {
			t.outstanding = false
		}
		q := placeOf(p.Offset)
		t.confirm(q.commit) // and no farther, that the slot never begins after what is kept
		if t.live != nil && t.confirmed > before {
			_ = t.live.send('d', status(t.confirmed, time.Now(), false)) // a broken connection is Poll's to find
		}
	}
	return nil
}

// disconnect gives up the connections. What was not handed out comes again.
func (t *task) disconnect() {
	if t.stopStatus != nil {
		t.stopStatus()
		t.stopStatus = nil
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	for _, w := range []*wire{t.conn, t.side} {
		if w != nil {
			w.close()
		}
	}
	if t.conn != nil {
		t.former = t.conn.pid
	}
	t.conn, t.side, t.live, t.copying, t.streaming = nil, nil, nil, nil, false
	if !t.made.Load() {
		t.place = t.handed
	}
	t.chunks.forget()
}

func (t *task) Stop() error {
	if t.o == nil {
		return nil
	}
	if t.o.dropSlot && t.conn != nil && t.o.snapshotMode != "initial_only" {
		t.disconnect()
		ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
		defer cancel()
		err := t.aside(ctx, func(w *wire) error {
			_, err := w.query(ctx, "SELECT pg_catalog.pg_drop_replication_slot("+quoteText(t.o.slot)+")")
			return err
		})
		if err != nil {
			t.log.Warn("cannot drop the replication slot", "slot", t.o.slot, "error", err)
		}
	}
	t.disconnect()
	return nil
}

// explain says what an error means and what to do.
func (t *task) explain(err error) error {
	if sdk.CauseOf(err) != sdk.Unknown {
		return err
	}
	return explain(t.o, err)
}
