package postgres

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/weir/weir/connect/sdk"
)

// An incremental snapshot reads tables in chunks while changes go on. Before a chunk is read, a row in the signal table opens a window,
// after it another closes it; both come back in the stream. Between them there may be changes of rows that the chunk has, and nobody knows which
// is newer: the change counts, and the chunk's row is left out. When the window closes, the rest of the chunk is handed out.

// chunks is an incremental snapshot.
type chunks struct {
	tables []chunkTable // still to read, the first is being read
	after  []string     // the key of the last row handed out of the first; nil: none yet
	most   []string     // the key of its last row when it was begun
	paused bool

	behind bool // a chunk has to be read, as after a restart

	window string // the id of the window; "": none
	opened bool   // its opening came back
	table  *table // whose rows these are
	rows   map[string]*chunkRow
	order  []*chunkRow
	next   []string // the key of the last row of the chunk
}

type chunkTable struct {
	Name      string `json:"id"`
	Signal    string `json:"correlation_id,omitempty"`
	Condition string `json:"additional_condition,omitempty"`
}

type chunkRow struct{ key, value *sdk.Struct }

const (
	chunkTables = "incremental_snapshot_collections"
	chunkAfter  = "incremental_snapshot_primary_key"
	chunkMost   = "incremental_snapshot_maximum_key"
)

// load goes on where an offset says. What another connector wrote in a form of its own begins anew.
func (c *chunks) load(m map[string]any) {
	get := func(key string, into any) bool {
		text, _ := m[key].(string)
		return text != "" && json.Unmarshal([]byte(text), into) == nil
	}
	if !get(chunkTables, &c.tables) {
		return
	}
	if !get(chunkAfter, &c.after) || !get(chunkMost, &c.most) {
		c.after, c.most = nil, nil
	}
	c.behind = len(c.tables) > 0
}

// store writes how far it is; nil: there is none.
func (c *chunks) store() map[string]any {
	if len(c.tables) == 0 {
		return nil
	}
	put := func(v any) string {
		b, err := json.Marshal(v)
		if err != nil {
			panic("BUG: keys are texts: " + err.Error())
		}
		return string(b)
	}
	m := map[string]any{chunkTables: put(c.tables)}
	if c.after != nil {
		m[chunkAfter], m[chunkMost] = put(c.after), put(c.most)
	}
	return m
}

// forget gives up the window: it is opened again on the next connection.
func (c *chunks) forget() {
	c.close()
	c.behind = len(c.tables) > 0
}

func (c *chunks) close() { c.window, c.opened, c.rows, c.order = "", false, nil, nil }

// nextTable goes on to the next table.
func (c *chunks) nextTable() {
	c.tables = c.tables[1:]
	c.after, c.most = nil, nil
}

// overtake leaves out a row of the chunk because a change of it came.
func (t *task) overtake(tb *table, key *sdk.Struct) {
	c := &t.chunks
	if !c.opened || len(c.rows) == 0 || key == nil || c.table.id != tb.id {
		return
	}
	delete(c.rows, keyText(key))
}

func keyText(key *sdk.Struct) string {
	var b strings.Builder
	for _, v := range key.Values {
		if s, ok := v.(string); ok {
			b.WriteString(strconv.Quote(s))
		} else {
			fmt.Fprint(&b, v)
		}
		b.WriteByte(',')
	}
	return b.String()
}

// signal does what a row in the signal table asks for. What cannot be read is told in the log: a signal ends nothing.
func (t *task) signal(ctx context.Context, tb *table, row []datum) error {
	if len(row) < 3 {
		t.log.Warn("the signal table must have the columns id, type and data", "table", tb.id)
		return nil
	}
	c := &t.chunks
	id, kind, data := string(row[0].text), string(row[1].text), string(row[2].text)
	var asked struct {
		Collections []string `json:"data-collections"`
		Type        string   `json:"type"`
		Message     string   `json:"message"`
		Conditions  []struct {
			Collection string `json:"data-collection"`
			Filter     string `json:"filter"`
		} `json:"additional-conditions"`
	}
	switch kind {
	case "snapshot-window-open":
		c.opened = c.opened || c.window != "" && id == c.window+"-open"
		return nil
	case "snapshot-window-close":
		if c.window != "" && id == c.window+"-close" {
			return t.closeWindow(ctx)
		}
		return nil
	}
	if err := json.Unmarshal([]byte(data), &asked); err != nil && data != "" {
		t.log.Warn("cannot read a signal", "id", id, "type", kind, "error", err)
		return nil
	}
	switch kind {
	case "execute-snapshot":
		if asked.Type != "" && !strings.EqualFold(asked.Type, "incremental") {
			t.log.Warn("snapshots by signal are incremental only", "id", id, "type", asked.Type)
			return nil
		}
		names, err := t.expand(ctx, asked.Collections)
		if err != nil {
			return err
		}
		idle := len(c.tables) == 0
		for _, name := range names {
			next := chunkTable{Name: name, Signal: id}
			for _, cond := range asked.Conditions {
				if matchesName(cond.Collection, name) {
					next.Condition = cond.Filter
				}
			}
			c.tables = append(c.tables, next)
		}
		t.log.Info("an incremental snapshot was asked for", "id", id, "tables", names)
		if idle {
			return t.readChunk(ctx)
		}
	case "stop-snapshot":
		stop := func(ct chunkTable) bool {
			return len(asked.Collections) == 0 || slices.ContainsFunc(asked.Collections, func(p string) bool { return matchesName(p, ct.Name) })
		}
		first := len(c.tables) > 0 && stop(c.tables[0])
		c.tables = slices.DeleteFunc(c.tables, stop)
		if first {
			c.close()
			c.after, c.most = nil, nil
			return t.readChunk(ctx)
		}
	case "pause-snapshot":
		c.paused = true
	case "resume-snapshot":
		if c.paused {
			c.paused = false
			if c.window == "" {
				return t.readChunk(ctx)
			}
		}
	case "log":
		t.log.Info("signal", "id", id, "message", asked.Message)
	default:
		t.log.Warn("a signal of a type that is not known", "id", id, "type", kind)
	}
	return nil
}

// matchesName tells whether a regular expression, or what is none, is a table's name.
func matchesName(pattern, name string) bool {
	if pattern == name {
		return true
	}
	re, err := regexp.Compile(`^(?:` + pattern + `)$`)
	return err == nil && re.MatchString(name)
}

// expand gives the captured tables that regular expressions name.
func (t *task) expand(ctx context.Context, patterns []string) ([]string, error) {
	var out []string
	err := t.aside(ctx, func(w *wire) error {
		out = nil
		tables, err := t.capturedTables(ctx, w)
		if err != nil {
			return err
		}
		for _, p := range patterns {
			some := false
			for _, tb := range tables {
				if t.o.captures(tb) && matchesName(p, tb.String()) {
					some = true
					if !slices.Contains(out, tb.String()) {
						out = append(out, tb.String())
					}
				}
			}
			if !some {
				t.log.Warn("a snapshot was asked for of a table that is not captured", "table", p)
			}
		}
		return nil
	})
	return out, err
}

// readChunk opens a window, reads rows, and closes it.
func (t *task) readChunk(ctx context.Context) error {
	c := &t.chunks
	c.behind = false
	if len(c.tables) == 0 || c.paused {
		return nil
	}
	return t.aside(ctx, func(w *wire) error {
		c.close()
		schema, name, _ := strings.Cut(t.o.signalTable, ".")
		signals := tableName{schema: schema, name: name}.quoted()
		window, opened := newUUID(), time.Now().UTC().Format(time.RFC3339Nano)
		first := c.tables[0]
		_, err := w.query(ctx, fmt.Sprintf(`INSERT INTO %s VALUES (%s, 'snapshot-window-open', %s)`, signals, quoteText(window+"-open"),
			quoteText(fmt.Sprintf(`{"openWindowTimestamp": %q, "correlationId": %q, "dataCollectionId": %q}`, opened, first.Signal, first.Name))))
		if err != nil {
			return err
		}
		for len(c.tables) > 0 && len(c.order) == 0 {
			if err := t.fillWindow(ctx, w); err != nil {
				return err
			}
		}
		c.window = window
		if t.o.deleteWindows {
			_, err = w.query(ctx, fmt.Sprintf(`DELETE FROM %s WHERE id = %s`, signals, quoteText(window+"-open")))
			return err
		}
		_, err = w.query(ctx, fmt.Sprintf(`INSERT INTO %s VALUES (%s, 'snapshot-window-close', %s)`, signals, quoteText(window+"-close"),
			quoteText(fmt.Sprintf(`{"openWindowTimestamp": %q, "closeWindowTimestamp": %q, "correlationId": %q, "dataCollectionId": %q}`,
				opened, time.Now().UTC().Format(time.RFC3339Nano), first.Signal, first.Name))))
		return err
	})
}

// fillWindow reads the next rows of the first table, or goes on to the next if there are none.
func (t *task) fillWindow(ctx context.Context, w *wire) error {
	c := &t.chunks
	current := c.tables[0]
	skip := func(why string) {
		t.log.Warn("left a table out of the incremental snapshot", "table", current.Name, "why", why)
		c.nextTable()
	}
	tables, err := listTables(ctx, w)
	if err != nil {
		return err
	}
	i := slices.IndexFunc(tables, func(tb tableName) bool { return tb.String() == current.Name })
	if i < 0 {
		skip("it is not there")
		return nil
	}
	d, err := describe(ctx, w, tables[i].oid)
	if err != nil {
		return err
	}
	tb := t.o.build(t.types, d, nil, true)
	if len(d.key) == 0 {
		skip("it has no primary key")
		return nil
	}
	var keys, descending, columns []string
	for _, k := range d.key {
		keys, descending = append(keys, quoteIdent(k)), append(descending, quoteIdent(k)+" DESC")
	}
	tb.columns = slices.DeleteFunc(tb.columns, func(col column) bool { return col.value < 0 && col.key < 0 })
	for _, col := range tb.columns {
		columns = append(columns, quoteIdent(col.name))
	}
	where := func(more ...string) string {
		if current.Condition != "" {
			more = append(more, "("+current.Condition+")")
		}
		if len(more) == 0 {
			return ""
		}
		return " WHERE " + strings.Join(more, " AND ")
	}
	row := func(values []string) string {
		var list []string
		for _, v := range values {
			list = append(list, quoteText(v))
		}
		return "ROW(" + strings.Join(list, ", ") + ")"
	}
	key := "ROW(" + strings.Join(keys, ", ") + ")"
	if c.most == nil {
		rows, err := w.query(ctx, fmt.Sprintf("SELECT %s FROM %s%s ORDER BY %s LIMIT 1", strings.Join(keys, ", "), tables[i].quoted(), where(), strings.Join(descending, ", ")))
		if err != nil {
			return err
		}
		if len(rows) == 0 {
			c.nextTable()
			return nil
		}
		c.most = rows[0]
	}
	bounds := []string{key + " <= " + row(c.most)}
	if c.after != nil {
		bounds = append(bounds, key+" > "+row(c.after))
	}
	c.table, c.rows, c.order = tb, map[string]*chunkRow{}, nil
	slab := &slab{}
	sql := fmt.Sprintf("SELECT %s, %s FROM %s%s ORDER BY %s LIMIT %d", strings.Join(keys, ", "), strings.Join(columns, ", "), tables[i].quoted(), where(bounds...), strings.Join(keys, ", "), t.o.chunk)
	err = w.each(ctx, sql, func(values []datum) error {
		c.next = c.next[:0]
		for _, v := range values[:len(keys)] {
			c.next = append(c.next, string(v.text))
		}
		k, v, err := tb.read(slab, t.o, t.log, values[len(keys):], nil, true, true)
		if err != nil {
			return err
		}
		r := &chunkRow{k, v}
		c.order = append(c.order, r)
		if k != nil {
			c.rows[keyText(k)] = r
		}
		return nil
	})
	if err == nil && len(c.order) == 0 {
		c.nextTable()
	}
	return err
}

// closeWindow hands out what is left of the chunk, and reads the next.
func (t *task) closeWindow(ctx context.Context) error {
	c, m := &t.chunks, t.maker
	now := time.Now()
	for _, r := range c.order {
		if r.key != nil && c.rows[keyText(r.key)] != r {
			continue
		}
		source := m.source(c.table, t.place.at, stateChunk)
		v := source.Values
		v[sourceMillis], v[sourceMicros], v[sourceNanos] = now.UnixMilli(), now.UnixMicro(), now.UnixNano()
		v[sourceTx], v[sourceLSN], v[sourceOrigin], v[sourceOriginLSN] = nil, nil, nil, nil
		t.add(m.change(c.table, opRead, r.key, nil, r.value, source, nil))
	}
	if len(c.order) > 0 {
		c.after = slices.Clone(c.next)
	}
	c.close()
	if len(c.tables) == 0 {
		t.log.Info("the incremental snapshot is complete")
	}
	return t.readChunk(ctx)
}

func newUUID() string {
	var b [16]byte
	_, _ = rand.Read(b[:]) // never fails
	b[6], b[8] = b[6]&0x0f|0x40, b[8]&0x3f|0x80
	return fmt.Sprintf("%x-%x-%x-%x-%x", b[:4], b[4:6], b[6:8], b[8:10], b[10:])
}
