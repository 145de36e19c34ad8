package postgres

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"

	"github.com/jackc/pgx/v5/pgconn"
	"github.com/weir/weir/connect/sdk"
)

// A standby that was promoted has the log of the server before it up to some place, and its own from there on: another timeline. What
// was read of the log counts there only as far as both have the same, and the slot may be missing, or begin later. All of this has to
// be noticed before changes are read on: the server itself begins without a word where its slot is.

// home is the log that a place is in.
type home struct {
	system string // names the database cluster, its standbys too; "": not known
	line   int64  // the timeline; 0: not known
}

// What offsets tell of it, beside what Debezium's do.
const (
	homeSystem = "weir_system"
	homeLine   = "weir_timeline"
)

func (h home) store(m map[string]any) {
	if h.system != "" {
		m[homeSystem], m[homeLine] = h.system, h.line
	}
}

func homeOf(m map[string]any) home {
	system, _ := m[homeSystem].(string)
	line, _ := sdk.Int64Of(m, homeLine)
	return home{system, line}
}

// standing is what a server has when a task comes to it.
type standing struct {
	home
	end    lsn // of its log
	parted lsn // where it left the timeline that the task knows; 0: it is on that, or nobody knows
	slot   slot
}

// slot is the replication slot.
type slot struct {
	state     string
	confirmed lsn // from here on it has changes
}

// behind gives up to where changes were read: what a slot has from there on is all that is missing.
func (p *place) behind() lsn {
	if p.commit != 0 {
		return p.commit
	}
	return p.at
}

// gap is why changes cannot be read on from where a task is.
type gap struct {
	why  string
	slot bool // there is a slot from which people may let it go on, with offset.mismatch.strategy=trust_slot
	late bool // all that is wrong is that the slot begins later
}

// find looks for a gap between a place in a log and what a server has; nil: there is none. pg is where the server is.
func find(o *options, p place, was home, is standing) *gap {
	read, pg := p.behind(), fmt.Sprintf("%s:%d", o.pg.Host, o.pg.Port)
	promoted := was.line != 0 && is.line > was.line
	since := ""
	if promoted {
		since = fmt.Sprintf(" since a standby was promoted (timeline %d became %d)", was.line, is.line)
	}
	switch {
	case was.system != "" && was.system != is.system:
		return &gap{why: fmt.Sprintf("PostgreSQL at %s is another database (system identifier %s) than the one whose changes were read up to %s (%s). "+
			"If it is not meant, correct database.hostname and database.port", pg, is.system, read, was.system)}
	case is.slot.state == slotLost:
		return &gap{why: fmt.Sprintf("replication slot %q is invalid, because the server had to keep more log for it than max_slot_wal_keep_size: the changes since %s are lost. "+
			"Raise that limit and drop the slot", o.slot, read)}
	case is.slot.state == slotMissing && promoted:
		return &gap{why: fmt.Sprintf("replication slot %q does not exist%s: the changes since %s are lost", o.slot, since, read)}
	case is.slot.state == slotMissing:
		return &gap{why: fmt.Sprintf("replication slot %q does not exist any more: the changes since %s are lost", o.slot, read)}
	case is.parted != 0 && read > is.parted:
		return &gap{slot: true, why: fmt.Sprintf("the standby that was promoted (timeline %d became %d) was behind: it has the log up to %s only, and changes were read up to %s, so topics have changes that the database has not",
			was.line, is.line, is.parted, read)}
	case read > is.end:
		return &gap{slot: true, why: fmt.Sprintf("the log of PostgreSQL at %s ends at %s, and changes were read up to %s%s: it is a copy that was behind, or another database, and topics have changes that it has not", pg, is.end, read, since)}
	case is.slot.confirmed > read:
		return &gap{slot: true, late: true, why: fmt.Sprintf("replication slot %q begins at %s, and changes were read up to %s only%s: somebody has made the slot anew or moved it on, and what was changed between is lost", o.slot, is.slot.confirmed, read, since)}
	}
	return nil
}

// err says what to do about it.
func (g *gap) err() error {
	what := "Reset the connector's offsets to take a new snapshot (or set snapshot.mode=when_needed)"
	if g.slot {
		what += ", or let it go on from where the slot is (offset.mismatch.strategy=trust_slot)"
	}
	return sdk.Gone("%s. %s", g.why, what)
}

// trusted tells whether people have said that the slot has what is needed.
func (g *gap) trusted(strategy string) bool {
	return g.slot && strategy == "trust_slot" || g.late && strategy == "trust_greater_lsn"
}

// stand finds out what the server has.
func (t *task) stand(ctx context.Context) (standing, error) {
	var is standing
	rows, err := t.conn.query(ctx, "IDENTIFY_SYSTEM")
	if err != nil {
		return is, err
	}
	if len(rows) == 0 || len(rows[0]) < 3 {
		return is, errors.New("the server did not tell which it is")
	}
	is.system = rows[0][0]
	if is.line, err = strconv.ParseInt(rows[0][1], 10, 64); err != nil {
		return is, fmt.Errorf("%q is no timeline", rows[0][1])
	}
	if is.end, err = parseLSN(rows[0][2]); err != nil {
		return is, err
	}
	if was := t.home.line; was != 0 && was != is.line {
		rows, err := t.conn.query(ctx, fmt.Sprintf("TIMELINE_HISTORY %d", is.line))
		var fromServer *pgconn.PgError
		switch {
		case errors.As(err, &fromServer):
			t.log.Warn("the server does not tell where its timeline begins", "timeline", is.line, "error", err)
		case err != nil:
			return is, err
		case len(rows) > 0 && len(rows[0]) > 1:
			is.parted = parted(rows[0][1], was)
		}
	}
	is.slot, err = t.findSlot(ctx)
	return is, err
}

// parted reads in the history of a timeline where it left an earlier one; 0: that is not there.
func parted(history string, line int64) lsn {
	for _, l := range strings.Split(history, "\n") {
		f := strings.Fields(l)
		if len(f) < 2 || f[0] != strconv.FormatInt(line, 10) {
			continue
		}
		if at, err := parseLSN(f[1]); err == nil {
			return at
		}
	}
	return 0
}

// primary waits for a standby to be promoted. Since PostgreSQL 16 a standby gives changes itself, if it has a slot of its own, or one is
// to be made there.
func (t *task) primary(ctx context.Context, w *wire) error {
	rows, err := w.query(ctx, "SELECT pg_catalog.pg_is_in_recovery()")
	if err != nil || rows[0][0] != "t" {
		return err
	}
	if t.serverVersion >= 160000 {
		own := "NOT synced"
		if t.serverVersion < 170000 {
			own = "true"
		}
		if rows, err = w.query(ctx, fmt.Sprintf("SELECT %s FROM pg_catalog.pg_replication_slots WHERE slot_name = %s", own, quoteText(t.o.slot))); err != nil {
			return err
		}
		if len(rows) == 0 && t.place.at == 0 || len(rows) > 0 && rows[0][0] == "t" {
			return nil
		}
	}
	return sdk.Retry(fmt.Errorf("PostgreSQL at %s:%d is a standby, and only a primary gives changes: it goes on when the standby is promoted, or the address is the primary's", t.o.pg.Host, t.o.pg.Port))
}
