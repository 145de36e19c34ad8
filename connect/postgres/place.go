package postgres

import (
	"maps"
	"slices"
	"strings"

	"github.com/weir/weir/connect/sdk"
)

// place is a position in the changes: after the event it names. As an offset it has Debezium's form.
//
// Transactions come in the order of their commits, the changes of each in the order of the log. So what came before a place are the
// transactions that ended before commit, and of transaction xid the changes before at, and nth of those at it.
type place struct {
	commit lsn    // where the last transaction before it ended; 0: none is known
	at     lsn    // of the event
	done   lsn    // of the last event before which nothing is missing
	nth    int64  // how many events at this place were seen; 0: the whole transaction was
	event  string // INSERT, UPDATE, DELETE, TRUNCATE, MESSAGE, BEGIN, COMMIT; "": none
	xid    int64  // 0: none
	micros int64  // when it happened

	snapshot  string // which kind of snapshot runs or was the last thing; "": none
	completed bool   // it is complete

	transaction string // whose changes are counted; "": none
	counts      []tableCount

	chunks map[string]any // how far the incremental snapshot is
}

// move goes on to an event of the stream.
func (p *place) move(at lsn, event string, nth, xid int64) {
	p.at, p.event, p.nth, p.xid = at, event, nth, xid
	p.snapshot, p.completed = "", false
}

const countPrefix = "transaction_data_collection_order_"

// offset writes the place as Debezium does.
func (p *place) offset() map[string]any {
	m := make(map[string]any, 12)
	number := func(key string, n int64) {
		if n != 0 {
			m[key] = n
		}
	}
	number("ts_usec", p.micros)
	number("txId", p.xid)
	number("lsn", int64(p.at))
	number("lsn_proc", int64(p.done))
	number("lsn_commit", int64(p.commit))
	number("lsn_events_processed", p.nth)
	if p.event != "" {
		m["messageType"] = p.event
	}
	if p.snapshot != "" {
		m["snapshot"], m["last_snapshot_record"], m["snapshot_completed"] = p.snapshot, p.completed, p.completed
		return m
	}
	if p.transaction != "" {
		m["transaction_id"] = p.transaction
		for _, c := range p.counts {
			m[countPrefix+c.table] = c.n
		}
	}
	maps.Copy(m, p.chunks)
	return m
}

// placeOf reads an offset.
func placeOf(m map[string]any) place {
	number := func(key string) int64 {
		n, _ := sdk.Int64Of(m, key)
		return n
	}
	text := func(key string) string {
		s, _ := m[key].(string)
		return s
	}
	truth := func(key string) bool {
		b, _ := m[key].(bool)
		return b
	}
	p := place{commit: lsn(number("lsn_commit")), at: lsn(number("lsn")), done: lsn(number("lsn_proc")), nth: number("lsn_events_processed"),
		event: text("messageType"), xid: number("txId"), micros: number("ts_usec"),
		snapshot: text("snapshot"), completed: truth("last_snapshot_record") || truth("snapshot_completed"), transaction: text("transaction_id")}
	if p.snapshot == "" {
		if b, ok := m["snapshot"].(bool); ok && b { // as older versions wrote it
			p.snapshot = "INITIAL"
		}
	}
	for key, value := range m {
		switch {
		case strings.HasPrefix(key, countPrefix):
			n, _ := sdk.Int64Of(m, key)
			p.counts = append(p.counts, tableCount{key[len(countPrefix):], n})
		case strings.HasPrefix(key, "incremental_snapshot_"):
			if p.chunks == nil {
				p.chunks = map[string]any{}
			}
			p.chunks[key] = value
		}
	}
	slices.SortFunc(p.counts, func(a, b tableCount) int { return strings.Compare(a.table, b.table) })
	return p
}

// finished tells whether nothing of the transaction that the place is in is still to come.
func (p *place) finished() bool {
	return p.event == "COMMIT" || p.event == "" || p.event == "MESSAGE" && p.xid == 0
}

// passed tells of an event in a transaction whether it came before the place: the transaction's commit record is at end, the event is
// the nth at its place.
func (p *place) passed(end lsn, xid uint32, at lsn, nth int64) bool {
	switch {
	case end < p.commit:
		return true
	case p.finished() || int64(xid) != p.xid:
		return false
	case at != p.at:
		return at < p.at
	case p.event == "BEGIN":
		return false
	}
	return nth <= max(p.nth, 1)
}

// samePlace tells whether an offset is the one of this place.
func (p *place) samePlace(m map[string]any) bool {
	if len(m) == 0 {
		return false
	}
	q := placeOf(m)
	return q.at == p.at && q.nth == p.nth && q.commit == p.commit && q.event == p.event && q.xid == p.xid && q.completed == p.completed
}
