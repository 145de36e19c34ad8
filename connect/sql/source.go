package sql

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/weir/weir/connect/sdk"
)

// sourceTask reads some tables, or one query, one after the other.
type sourceTask struct {
	o       *sourceOptions
	c       sdk.SourceContext
	tables  []*tableTask
	session readSession // nil: there is none
	current *tableTask  // whose answer is on its way; nil: none's
	life    context.Context
	end     context.CancelFunc

	endAnswer context.CancelFunc // of the current table's
}

// tableTask is what there is to do for a table, or for the query.
type tableTask struct {
	id       *tableID // nil: the query
	topic    string
	position *sdk.Position // the last; its offset is nil before the first
	kept     progress      // what the position says
	due      time.Time

	schema  *sdk.Schema // of the last answer
	answer  answer
	more    bool // the answer's row is not read yet
	fields  []fieldReader
	counter int   // the incrementing column in the answer; -1: none
	stamps  []int // the timestamp columns
	last    progress
	warned  map[string]bool
}

// fieldReader reads a column of an answer.
type fieldReader struct {
	column int
	field  int
	read   reader
}

// progress is how far a table was read.
type progress struct {
	counted int64
	stamp   time.Time // zero: none
	any     bool
}

// Start implements sdk.SourceTask.
func (t *sourceTask) Start(ctx context.Context, c sdk.SourceContext, v sdk.Values) error {
	o, wrong := parseSource(v)
	if len(wrong) > 0 {
		return sdk.Misconfigured("%s: %w", wrong[0].Option, wrong[0].Err)
	}
	t.o, t.c = o, c
	t.life, t.end = context.WithCancel(context.WithoutCancel(ctx))
	ids, err := t.which(ctx, v)
	if err != nil {
		return err
	}
	if o.query != "" {
		task := &tableTask{topic: o.prefix, position: &sdk.Position{Partition: map[string]any{"query": "query"}}}
		t.tables = []*tableTask{task}
		return t.resume(ctx, task, nil)
	}
	if len(ids) == 0 {
		return sdk.Misconfigured("there is no table to read in the database %q: none matches table.whitelist, table.include.list and the other filters, or user %q may not see it", o.target.database, o.target.user)
	}
	for _, id := range ids {
		task := &tableTask{id: &id, topic: o.prefix + id.name, position: &sdk.Position{Partition: map[string]any{"protocol": "1", "table": id.String()}}}
		if err := t.resume(ctx, task, map[string]any{"table": id.name}); err != nil {
			return err
		}
		t.tables = append(t.tables, task)
	}
	return nil
}

// which gives the tables of this task.
func (t *sourceTask) which(ctx context.Context, v sdk.Values) ([]tableID, error) {
	if t.o.query != "" {
		return nil, nil
	}
	if !v.Has(tablesOption) {
		return t.o.find(ctx)
	}
	var ids []tableID
	for _, name := range nonEmpty(v.List(tablesOption)) {
		ids = append(ids, parseTable(name))
	}
	return ids, nil
}

// resume finds out how far a table was read. older is the partition that older versions have for it.
func (t *sourceTask) resume(ctx context.Context, task *tableTask, older map[string]any) error {
	offset, err := t.c.Position(ctx, task.position.Partition)
	if err == nil && offset == nil && older != nil {
		offset, err = t.c.Position(ctx, older)
	}
	if err != nil {
		return err
	}
	if n, ok := sdk.Int64Of(offset, "incrementing"); ok {
		task.kept.counted, task.kept.any = n, true
	} else {
		task.kept.counted = -1
	}
	if ms, ok := sdk.Int64Of(offset, "timestamp"); ok {
		task.kept.stamp = time.UnixMilli(ms)
		if nanos, ok := sdk.Int64Of(offset, "timestamp_nanos"); ok {
			task.kept.stamp = time.Unix(task.kept.stamp.Unix(), nanos)
		}
		task.kept.any = true
	} else if t.o.initial != nil && t.o.stamped {
		task.kept.stamp = *t.o.initial
		if t.o.initial.UnixMilli() == -1 {
			task.kept.stamp = time.Now()
		}
	}
	task.position.Offset = offset
	return nil
}

// Stop implements sdk.SourceTask.
func (t *sourceTask) Stop() error {
	if t.end != nil {
		t.end()
	}
	t.disconnect()
	return nil
}

func (t *sourceTask) disconnect() {
	if t.current != nil && t.current.answer != nil {
		t.endAnswer() // what is still to come of it is not waited for
		_ = t.current.answer.close()
		t.current.answer = nil
	}
	t.current = nil
	if t.session != nil {
		t.session.close()
		t.session = nil
	}
}

// Poll implements sdk.SourceTask.
func (t *sourceTask) Poll(ctx context.Context) ([]*sdk.Record, error) {
	defer context.AfterFunc(ctx, t.end)()
	for {
		if t.current == nil {
			if due, err := t.await(ctx); err != nil || !due {
				return nil, err
			}
			if err := t.ask(ctx); err != nil {
				return nil, t.failed(err)
			}
		}
		records, err := t.read(t.current)
		if err != nil {
			return nil, t.failed(err)
		}
		if len(records) > 0 {
			return records, nil
		}
	}
}

// Retries implements sdk.Retrying.
func (t *sourceTask) Retries(err error) (most int, wait time.Duration) { return t.o.retries.after(err) }

// failed gives an error its kind, and ends the session, after which the answer begins anew where records ended.
func (t *sourceTask) failed(err error) error {
	t.disconnect()
	return t.o.target.explain(err)
}

// await waits until a table is to be asked, and chooses the one that waits longest. It gives false if that takes longer than Poll may.
func (t *sourceTask) await(ctx context.Context) (due bool, err error) {
	var next *tableTask
	wait := sdk.PollWithin + 1 // without tables until there are some, and the work is divided anew
	if len(t.tables) > 0 {
		next = slices.MinFunc(t.tables, func(a, b *tableTask) int { return a.due.Compare(b.due) })
		wait = time.Until(next.due)
	}
	if wait > 0 {
		timer := time.NewTimer(min(wait, sdk.PollWithin))
		defer timer.Stop()
		select {
		case <-timer.C:
		case <-ctx.Done():
			return false, ctx.Err()
		}
	}
	if wait > sdk.PollWithin {
		return false, nil
	}
	t.current = next
	return true, nil
}

// ask sends the query of the table whose turn it is.
func (t *sourceTask) ask(ctx context.Context) error {
	task := t.current
	task.due = time.Now().Add(t.o.interval)
	if t.session == nil {
		session, err := t.o.target.open(ctx, t.o.isolation)
		if err != nil {
			task.due = time.Now()
			return &unconnected{err}
		}
		t.session = session
	}
	q, err := t.criteria(ctx, task)
	if err != nil {
		return err
	}
	life, end := context.WithCancel(t.life)
	t.endAnswer = end
	if task.answer, err = t.session.query(life, q.sql); err != nil {
		end()
		return err
	}
	if err := t.understand(task, q); err != nil {
		return err
	}
	task.last = task.kept
	task.more = task.answer.next()
	return nil
}

// understand finds the columns of an answer, and how its rows become records.
func (t *sourceTask) understand(task *tableTask, q *criteria) error {
	columns := task.answer.columns()
	var fields []sdk.Field
	task.fields = task.fields[:0]
	for i := range columns {
		schema, read := t.o.reading.field(&columns[i])
		if schema == nil {
			if task.warned == nil {
				task.warned = map[string]bool{}
			}
			if name := columns[i].name; !task.warned[name] {
				task.warned[name] = true
				t.c.Logger().Warn("a column has a type that records cannot hold, and is left out", "topic", task.topic, "column", name, "type", columns[i].typ)
			}
			continue
		}
		task.fields = append(task.fields, fieldReader{i, len(fields), read})
		fields = append(fields, sdk.Field{Name: columns[i].name, Schema: schema})
	}
	name := ""
	if task.id != nil {
		name = task.id.name
	}
	if schema := sdk.NewStructure(name, fields...); task.schema == nil || !task.schema.Equal(schema) {
		task.schema = schema
	}
	find := func(name string) (int, error) {
		i := slices.IndexFunc(columns, func(c readColumn) bool { return c.name == name })
		if i < 0 {
			i = slices.IndexFunc(columns, func(c readColumn) bool { return strings.EqualFold(c.name, name) })
		}
		if i < 0 {
			return i, sdk.Misconfigured("there is no column %s in what is read for the topic %s: check incrementing.column.name and timestamp.column.name", name, task.topic)
		}
		return i, nil
	}
	var err error
	task.counter, task.stamps = -1, task.stamps[:0]
	if q.counter != "" {
		if task.counter, err = find(q.counter); err != nil {
			return err
		}
		if t.o.nonNull && task.id != nil && columns[task.counter].nullable {
			return sdk.Misconfigured("column %s of table %s can be null, so that rows could be missed: make it NOT NULL, or set validate.non.null=false", q.counter, task.id)
		}
	}
	nullable := true
	for _, name := range q.stamps {
		i, err := find(name)
		if err != nil {
			return err
		}
		task.stamps = append(task.stamps, i)
		nullable = nullable && columns[i].nullable
	}
	if t.o.nonNull && task.id != nil && len(q.stamps) > 0 && nullable {
		return sdk.Misconfigured("column %s of table %s can be null, so that rows could be missed: make it NOT NULL, or set validate.non.null=false", strings.Join(q.stamps, " and "), task.id)
	}
	return nil
}

// read makes records of the next rows of an answer.
func (t *sourceTask) read(task *tableTask) (out []*sdk.Record, err error) {
	was := task.kept
	defer func() {
		if err != nil {
			task.kept = was // the records are not handed on
		}
	}()
	width := len(task.schema.Fields)
	columns := task.answer.columns()
	for len(out) < t.o.most && task.more {
		row := task.answer.row()
		s := &sdk.Struct{Schema: task.schema, Values: make([]any, width)}
		for _, f := range task.fields {
			b := row[f.column]
			if b == nil {
				continue
			}
			v, err := f.read(b)
			if err != nil {
				return nil, err
			}
			s.Values[f.field] = v
		}
		if err := task.advance(row, columns, &t.o.reading); err != nil {
			return nil, err
		}
		out = append(out, &sdk.Record{Topic: task.topic, Partition: -1, ValueSchema: task.schema, Value: s})
		task.more = task.answer.next()
	}
	if !task.more {
		if err := task.answer.close(); err != nil {
			return nil, err
		}
		t.endAnswer()
		task.kept = task.last // all of it was read
		task.answer, t.current = nil, nil
	} else if err := task.peek(task.answer.row(), columns, &t.o.reading); err != nil {
		return nil, err
	}
	at := task.offset()
	for _, r := range out {
		r.At = at
	}
	return out, nil
}

// advance takes note of how far a row is.
func (t *tableTask) advance(row [][]byte, columns []readColumn, r *reading) error {
	if err := t.peek(row, columns, r); err != nil {
		return err
	}
	if t.counter >= 0 {
		c := &columns[t.counter]
		if row[t.counter] == nil {
			return sdk.Misconfigured("column %s has a null: rows without a number cannot be read by mode=incrementing", c.name)
		}
		n, err := integer(c, 64, func(n int64) any { return n })(row[t.counter])
		if err != nil {
			return sdk.Misconfigured("column %s has the value %.40q: incrementing.column.name has to be a column of whole numbers", c.name, row[t.counter])
		}
		t.last.counted, t.last.any = n.(int64), true
	}
	if stamp, err := t.stamp(row, columns, r); err != nil {
		return err
	} else if !stamp.IsZero() {
		t.last.stamp, t.last.any = stamp, true
	}
	if t.counter >= 0 { // each row has its own place
		t.kept = t.last
	}
	return nil
}

// peek sees whether a row is later than those before it, all of which are read then. With timestamps alone there is no going on between
// rows of the same.
func (t *tableTask) peek(row [][]byte, columns []readColumn, r *reading) error {
	if t.counter >= 0 || len(t.stamps) == 0 {
		return nil
	}
	stamp, err := t.stamp(row, columns, r)
	if err == nil && stamp.After(t.last.stamp) {
		t.kept = t.last
	}
	return err
}

// stamp gives a row's time: that of the first of the timestamp columns that is not null.
func (t *tableTask) stamp(row [][]byte, columns []readColumn, r *reading) (time.Time, error) {
	for _, i := range t.stamps {
		if row[i] == nil {
			continue
		}
		stamp, err := parseStamp(row[i], r.zoneOf(&columns[i]))
		if err != nil {
			err = sdk.Misconfigured("column %s has the value %.40q: timestamp.column.name has to be a column of timestamps", columns[i].name, row[i])
		}
		return stamp, err
	}
	return time.Time{}, nil
}

// offset gives the position to go on from, in the form that Confluent's connector has. nil: there is none.
func (t *tableTask) offset() *sdk.Position {
	if t.counter < 0 && len(t.stamps) == 0 || !t.kept.any {
		return nil
	}
	offset := map[string]any{}
	if t.counter >= 0 {
		offset["incrementing"] = t.kept.counted
	}
	if len(t.stamps) > 0 && !t.kept.stamp.IsZero() {
		offset["timestamp"], offset["timestamp_nanos"] = t.kept.stamp.UnixMilli(), int64(t.kept.stamp.Nanosecond())
	}
	t.position = &sdk.Position{Partition: t.position.Partition, Offset: offset}
	return t.position
}

// criteria is a query, and the columns that say how far it was read.
type criteria struct {
	sql     string
	counter string
	stamps  []string
}

// criteria makes the query for what is new in a table.
func (t *sourceTask) criteria(ctx context.Context, task *tableTask) (*criteria, error) {
	quotes := t.session.quoter()
	quotes.never = t.o.neverQuote
	q := &criteria{sql: t.o.query}
	if task.id != nil {
		q.sql = "SELECT * FROM " + quotes.table(*task.id)
	}
	if t.o.incrementing {
		q.counter = t.o.counter
		if task.id != nil {
			q.counter = columnsOf(t.o.counterOf, *task.id, []string{q.counter})[0]
		}
		if q.counter == "" && task.id != nil {
			var err error
			if q.counter, err = t.session.counting(ctx, *task.id); err != nil {
				return nil, err
			}
		}
		if q.counter == "" {
			return nil, sdk.Misconfigured("table %s has no column that the database counts: set incrementing.column.name", task.id)
		}
	}
	if t.o.stamped {
		if q.stamps = t.o.stamps; task.id != nil {
			q.stamps = columnsOf(t.o.stampsOf, *task.id, q.stamps)
		}
		if len(q.stamps) == 0 {
			return nil, sdk.Misconfigured("table %s has no timestamp column by timestamp.columns.mapping: add it, or set timestamp.column.name", task.id)
		}
	}
	where, err := t.where(ctx, task, q, quotes)
	if err != nil {
		return nil, err
	}
	q.sql += where
	if t.o.suffix != "" {
		q.sql += " " + t.o.suffix
	}
	return q, nil
}

func (t *sourceTask) where(ctx context.Context, task *tableTask, q *criteria, quotes quoter) (string, error) {
	counter := quotes.chosen(q.counter)
	if !t.o.stamped {
		if q.counter == "" {
			return "", nil
		}
		return fmt.Sprintf(" WHERE %s > %d ORDER BY %s ASC", counter, task.kept.counted, counter), nil
	}
	var columns []string
	for _, name := range q.stamps {
		columns = append(columns, quotes.chosen(name))
	}
	stamp := columns[0]
	if len(columns) > 1 {
		stamp = "COALESCE(" + strings.Join(columns, ",") + ")"
	}
	now, err := t.session.now(ctx)
	if err != nil {
		return "", err
	}
	from := task.kept.stamp
	if from.IsZero() {
		from = time.Unix(0, 0)
	}
	begin, err := t.session.stamp(ctx, from, t.o.reading.zone, task.id, q.stamps[0])
	if err != nil {
		return "", err
	}
	end, err := t.session.stamp(ctx, now.Add(-t.o.delay), t.o.reading.zone, task.id, q.stamps[0])
	if err != nil {
		return "", err
	}
	if q.counter == "" {
		return fmt.Sprintf(" WHERE %s > %s AND %s < %s ORDER BY %s ASC", stamp, begin, stamp, end, stamp), nil
	}
	return fmt.Sprintf(" WHERE %s < %s AND ((%s = %s AND %s > %d) OR %s > %s) ORDER BY %s,%s ASC",
		stamp, end, stamp, begin, counter, task.kept.counted, stamp, begin, stamp, counter), nil
}
