package postgres

import (
	"context"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/weir/weir/connect/sdk"
)

// runner is the runtime's part for a test: it takes records, keeps positions, and loses what was not kept when it crashes.
type runner struct {
	t     *testing.T
	k     *keeper
	props map[string]string
	task  *task

	taken []string       // what the records say, in order
	keeps []sdk.Position // after each batch
	upTo  []int          // how many records were taken at each
	kept  int            // how many are durable
}

func newRunner(t *testing.T, props map[string]string) *runner {
	r := &runner{t: t, k: newKeeper(t), props: props}
	r.task = begun(t, r.k, props)
	t.Cleanup(func() { r.task.Stop() })
	return r
}

// poll takes a batch, if one comes in time. What passes by itself is tried again, as the runtime does.
func (r *runner) poll(wait time.Duration) bool {
	ctx, cancel := context.WithTimeout(context.Background(), wait)
	defer cancel()
	records, err := r.task.Poll(ctx)
	if err != nil {
		if sdk.CauseOf(err) != sdk.Transient {
			r.t.Fatal(err)
		}
		time.Sleep(20 * time.Millisecond)
		return true
	}
	for _, rec := range records {
		if rec.Marks() {
			continue
		}
		if text := told(rec); text != "" {
			r.taken = append(r.taken, text)
		}
	}
	if len(records) > 0 {
		r.keeps = append(r.keeps, *records[len(records)-1].At)
		r.upTo = append(r.upTo, len(r.taken))
	}
	return len(records) > 0
}

// keep makes durable what was taken up to one of the batches.
func (r *runner) keep(i int) {
	r.k.kept, r.kept = overJSON(r.t, r.keeps[i].Offset), r.upTo[i]
	if err := r.task.Acknowledged(context.Background(), []sdk.Position{{Partition: r.keeps[i].Partition, Offset: r.k.kept}}); err != nil {
		r.t.Fatal(err)
	}
	r.keeps, r.upTo = slices.Delete(r.keeps, 0, i+1), slices.Delete(r.upTo, 0, i+1)
}

// crash loses what is not durable, and starts another task.
func (r *runner) crash() {
	r.task.disconnect()
	r.taken, r.keeps, r.upTo = r.taken[:r.kept], nil, nil
	r.task = begun(r.t, r.k, r.props)
}

// overJSON gives an offset as it comes back from the offsets topic.
func overJSON(t *testing.T, m map[string]any) map[string]any {
	b, err := json.Marshal(m)
	if err != nil {
		t.Fatal(err)
	}
	var out map[string]any
	d := json.NewDecoder(strings.NewReader(string(b)))
	d.UseNumber()
	if err := d.Decode(&out); err != nil {
		t.Fatal(err)
	}
	return out
}

// told says what a record is about: operation, key, and value v.
func told(r *sdk.Record) string {
	v, _ := r.Value.(*sdk.Struct)
	switch {
	case strings.HasSuffix(r.Topic, ".message"):
		return "m " + string(v.Get("message").(*sdk.Struct).Get("content").([]byte))
	case v == nil:
		return fmt.Sprintf("tombstone %v", r.Key.(*sdk.Struct).Values[0])
	}
	row, _ := v.Get("after").(*sdk.Struct)
	if row == nil {
		return fmt.Sprintf("%v %v", v.Get("op"), r.Key.(*sdk.Struct).Values[0])
	}
	return fmt.Sprintf("%v %v %v", v.Get("op"), r.Key.(*sdk.Struct).Values[0], row.Get("v"))
}

// writer changes a table, and knows what has to come of it.
type writer struct {
	c    *client
	rnd  *rand.Rand
	next int
	live []int
	want []string
}

// step runs a transaction.
func (w *writer) step() {
	r := w.rnd
	switch r.IntN(8) {
	case 0: // many rows in one record of the log
		n := 1 + r.IntN(120)
		w.c.run(fmt.Sprintf("INSERT INTO a SELECT g, 'many' FROM generate_series(%d, %d) g", w.next, w.next+n-1))
		for range n {
			w.inserted("many")
		}
	case 1: // rows that share a place in the log
		n := 1 + r.IntN(90)
		w.c.copyIn("a", w.next, n)
		for range n {
			w.inserted("copy")
		}
	case 2:
		w.c.run(fmt.Sprintf("INSERT INTO other VALUES (%d)", r.IntN(1000)))
	case 3:
		w.c.run(fmt.Sprintf("SELECT pg_logical_emit_message(false, 'x', 'lone%d')", w.next))
		w.c.run("INSERT INTO other VALUES (0)") // a message alone is not made durable at once
		w.want = append(w.want, fmt.Sprintf("m lone%d", w.next))
		w.next++
	case 4:
		w.c.run(fmt.Sprintf("BEGIN; INSERT INTO other VALUES (1); SELECT pg_logical_emit_message(true, 'x', 'in%d'); INSERT INTO other VALUES (2); COMMIT", w.next))
		w.want = append(w.want, fmt.Sprintf("m in%d", w.next))
		w.next++
	case 5: // rolled back
		w.c.run(fmt.Sprintf("BEGIN; INSERT INTO a VALUES (%d, 'never'); ROLLBACK", w.next))
		w.next++
	default:
		w.c.run("BEGIN")
		for range 1 + r.IntN(10) {
			switch {
			case len(w.live) == 0 || r.IntN(3) == 0:
				w.c.run(fmt.Sprintf("INSERT INTO a VALUES (%d, 'one')", w.next))
				w.inserted("one")
			case r.IntN(3) == 0:
				i := r.IntN(len(w.live))
				w.c.run(fmt.Sprintf("DELETE FROM a WHERE id = %d", w.live[i]))
				w.want = append(w.want, fmt.Sprintf("d %d", w.live[i]), fmt.Sprintf("tombstone %d", w.live[i]))
				w.live = slices.Delete(w.live, i, i+1)
			case r.IntN(2) == 0: // another key
				i := r.IntN(len(w.live))
				w.c.run(fmt.Sprintf("SAVEPOINT s; UPDATE a SET id = %d, v = 'moved' WHERE id = %d", w.next, w.live[i]))
				w.want = append(w.want, fmt.Sprintf("d %d", w.live[i]), fmt.Sprintf("tombstone %d", w.live[i]), fmt.Sprintf("c %d moved", w.next))
				w.live[i] = w.next
				w.next++
			default:
				i := r.IntN(len(w.live))
				w.c.run(fmt.Sprintf("UPDATE a SET v = 'v%d' WHERE id = %d", w.next, w.live[i]))
				w.want = append(w.want, fmt.Sprintf("u %d v%d", w.live[i], w.next))
			}
		}
		w.c.run("COMMIT")
	}
}

func (w *writer) inserted(v string) {
	w.want = append(w.want, fmt.Sprintf("c %d %s", w.next, v))
	w.live = append(w.live, w.next)
	w.next++
}

// copyIn inserts rows by COPY.
func (c *client) copyIn(table string, first, n int) {
	c.t.Helper()
	ctx := context.Background()
	if err := c.w.ask(ctx, 'G', "COPY "+table+" FROM STDIN"); err != nil {
		c.t.Fatal(err)
	}
	for i := range n {
		if err := c.w.send('d', fmt.Appendf(nil, "%d\tcopy\n", first+i)); err != nil {
			c.t.Fatal(err)
		}
	}
	if err := c.w.send('c'); err != nil {
		c.t.Fatal(err)
	}
	for {
		kind, _, err := c.w.receive(ctx)
		if err != nil {
			c.t.Fatal(err)
		}
		if kind == 'Z' {
			return
		}
	}
}

// TestResume: whatever crashes and when, each change comes exactly once after what was kept, in the order of commits: what was handed out of
// a transaction before the place that was kept is left out, the rest is not.
func TestResume(t *testing.T) {
	s := ownServer(t)
	c := s.database(t, "resume")
	c.run("CREATE TABLE a (id int PRIMARY KEY, v text); CREATE TABLE other (id int)")
	seed := uint64(time.Now().UnixNano())
	t.Logf("seed %d", seed)
	rnd := rand.New(rand.NewPCG(seed, 1))
	r := newRunner(t, s.props("resume", map[string]string{"table.include.list": "public.a", "max.batch.size": "20", "max.queue.size": "21", "status.update.interval.ms": "100"}))
	for !r.task.isStreaming() {
		r.poll(100 * time.Millisecond)
	}
	w := &writer{c: c, rnd: rnd, next: 1}
	c.run("INSERT INTO a VALUES (0, 'first')") // with a first position that is kept, no snapshot comes again
	w.want = append(w.want, "c 0 first")
	for len(r.keeps) == 0 {
		r.poll(100 * time.Millisecond)
	}
	r.keep(0)
	kills := 0
	for round := range 80 {
		for range rnd.IntN(5) {
			w.step()
		}
		for range rnd.IntN(20) {
			r.poll(10 * time.Millisecond)
		}
		if len(r.keeps) > 0 && rnd.IntN(2) == 0 {
			r.keep(rnd.IntN(len(r.keeps)))
		}
		switch rnd.IntN(12) {
		case 0, 1:
			r.crash()
		case 2, 3:
			c.run("SELECT pg_terminate_backend(active_pid) FROM pg_replication_slots WHERE active")
		case 4:
			if round%3 == 0 {
				kills++
				s.kill()
				if err := s.start(); err != nil {
					t.Fatal(err)
				}
				c = s.session(t, "resume")
				w.c = c
			}
		}
	}
	w.c.run("INSERT INTO a VALUES (-1, 'end')")
	w.want = append(w.want, "c -1 end")
	for deadline := time.Now().Add(patience); !slices.Contains(r.taken, "c -1 end"); {
		r.poll(time.Second)
		if time.Now().After(deadline) {
			t.Fatalf("the end did not come: %d of %d changes did", len(r.taken), len(w.want))
		}
	}
	t.Logf("%d changes, the server was killed %d times", len(w.want), kills)
	for i := range w.want {
		if i >= len(r.taken) || r.taken[i] != w.want[i] {
			t.Fatalf("change %d is %q, want %q (before it %q)", i, r.taken[i:min(i+3, len(r.taken))], w.want[i:min(i+3, len(w.want))], w.want[max(0, i-3):i])
		}
	}
	if len(r.taken) != len(w.want) {
		t.Fatalf("%d changes came, want %d", len(r.taken), len(w.want))
	}
}

// TestSnapshotInterrupted: a snapshot that is cut, by crashes of the task, its connection or the server, and beside which rows change,
// leads to what the table has.
func TestSnapshotInterrupted(t *testing.T) {
	s := ownServer(t)
	c := s.database(t, "snap")
	c.run("CREATE TABLE a (id int PRIMARY KEY, v text); INSERT INTO a SELECT g, 'first' FROM generate_series(1, 3000) g")
	r := newRunner(t, s.props("snap", map[string]string{"max.batch.size": "100", "max.queue.size": "101"}))
	seed := uint64(time.Now().UnixNano())
	t.Logf("seed %d", seed)
	rnd := rand.New(rand.NewPCG(seed, 1))
	next := 3001
	change := func() {
		id := 1 + rnd.IntN(3000)
		switch rnd.IntN(3) {
		case 0:
			c.run(fmt.Sprintf("UPDATE a SET v = 'u%d' WHERE id = %d", next, id))
		case 1:
			c.run(fmt.Sprintf("DELETE FROM a WHERE id = %d", id))
		default:
			c.run(fmt.Sprintf("INSERT INTO a VALUES (%d, 'new')", next))
		}
		next++
	}
	for round := range 12 {
		for range rnd.IntN(20) {
			r.poll(100 * time.Millisecond)
			change()
		}
		if len(r.keeps) > 0 && rnd.IntN(2) == 0 {
			r.keep(len(r.keeps) - 1)
		}
		switch round % 4 {
		case 0, 1:
			r.crash()
		case 2:
			c.run("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE pid <> pg_backend_pid() AND datname = 'snap'")
		default:
			s.kill()
			if err := s.start(); err != nil {
				t.Fatal(err)
			}
			c = s.session(t, "snap")
		}
	}
	c.run("INSERT INTO a VALUES (-1, 'end')")
	for deadline := time.Now().Add(patience); !slices.Contains(r.taken, "c -1 end"); { // of the stream; the last snapshot may have it too
		r.poll(time.Second)
		if time.Now().After(deadline) {
			t.Fatal("the end did not come")
		}
	}
	for _, d := range differences(r.taken, c.run("SELECT id, v FROM a")) {
		t.Error(d)
	}
}

// TestForgets: the server may forget its log up to what is durable, and, while other tables are busy, also what does not concern the
// connector.
func TestForgets(t *testing.T) {
	s := postgresFor(t)
	c := s.database(t, "forgets")
	c.run("CREATE TABLE a (id int PRIMARY KEY, v text); CREATE TABLE busy (id int, v text)")
	r := newRunner(t, s.props("forgets", map[string]string{"table.include.list": "public.a", "status.update.interval.ms": "50", "publication.autocreate.mode": "filtered"}))
	for !r.task.isStreaming() {
		r.poll(100 * time.Millisecond)
	}
	at := func(sql string) lsn {
		l, err := parseLSN(c.run(sql)[0][0])
		if err != nil {
			t.Fatal(err)
		}
		return l
	}
	flushed := func() lsn {
		return at("SELECT confirmed_flush_lsn FROM pg_replication_slots WHERE slot_name = 'slot_forgets'")
	}
	c.run("INSERT INTO a VALUES (1, 'one')")
	for !r.poll(time.Second) {
	}
	c.run("INSERT INTO busy SELECT g, repeat('x', 100) FROM generate_series(1, 10000) g")
	end := at("SELECT pg_current_wal_lsn()")
	for range 20 {
		r.poll(20 * time.Millisecond)
	}
	if got := flushed(); got >= end {
		t.Fatalf("the server may forget up to %s, but the record before %s is not durable", got, end)
	}
	for deadline := time.Now().Add(patience); flushed() < end; {
		if len(r.keeps) > 0 {
			r.keep(len(r.keeps) - 1)
		}
		if kept, _ := sdk.Int64Of(r.k.kept, "lsn_commit"); flushed() > lsn(kept) {
			t.Fatalf("the server may forget up to %s, and what is kept is %s", flushed(), lsn(kept))
		}
		r.poll(50 * time.Millisecond)
		c.run("SELECT pg_switch_wal()") // something for the server to tell of
		if time.Now().After(deadline) {
			t.Fatalf("the server still keeps its log from %s on; all was durable at %s", flushed(), end)
		}
	}
}

// TestIncrementalSnapshot: whatever changes and crashes meanwhile, an incremental snapshot brings each row that was there before, and what
// it brings is never older than what came before it.
func TestIncrementalSnapshot(t *testing.T) {
	for _, strategy := range []string{"INSERT_INSERT", "INSERT_DELETE"} {
		t.Run(strategy, func(t *testing.T) {
			s := postgresFor(t)
			c := s.database(t, "chunks")
			c.run("CREATE TABLE a (id int, part text, v text, PRIMARY KEY (id, part)); CREATE TABLE empty (id int PRIMARY KEY, v text); CREATE TABLE signals (id text PRIMARY KEY, type text, data text)")
			c.run("INSERT INTO a SELECT g, 'p' || g % 3, 'first' FROM generate_series(1, 600) g")
			r := newRunner(t, s.props("chunks", map[string]string{"snapshot.mode": "no_data", "signal.data.collection": "public.signals", "incremental.snapshot.chunk.size": "37",
				"table.include.list": "public.a,public.empty", "incremental.snapshot.watermarking.strategy": strategy, "max.batch.size": "10", "max.queue.size": "11"}))
			for !r.task.isStreaming() {
				r.poll(100 * time.Millisecond)
			}
			c.run("INSERT INTO a VALUES (0, 'p0', 'zero')")
			for len(r.keeps) == 0 {
				r.poll(100 * time.Millisecond)
			}
			r.keep(0)
			c.run(`INSERT INTO signals VALUES ('one', 'execute-snapshot', '{"data-collections": ["public.empty", "public.(a|none)"]}')`)
			rnd := rand.New(rand.NewPCG(1, 1))
			for round := range 60 {
				id := 1 + rnd.IntN(600)
				switch rnd.IntN(3) {
				case 0:
					c.run(fmt.Sprintf("UPDATE a SET v = 'u%d' WHERE id = %d", round, id))
				case 1:
					c.run(fmt.Sprintf("DELETE FROM a WHERE id = %d", id))
				default:
					c.run(fmt.Sprintf("INSERT INTO a VALUES (%d, 'p%d', 'new')", 1000+round, round%3))
				}
				r.poll(2 * time.Second)
				if len(r.keeps) > 0 && rnd.IntN(3) == 0 {
					r.keep(rnd.IntN(len(r.keeps)))
				}
				if rnd.IntN(8) == 0 {
					r.crash()
				}
			}
			rows := c.run("SELECT id, v FROM a")
			for deadline := time.Now().Add(patience); len(differences(r.taken, rows)) > 0; {
				r.poll(time.Second)
				if time.Now().After(deadline) {
					t.Fatal(differences(r.taken, rows))
				}
			}
		})
	}
}

// differences tells in what the records do not lead to the rows.
func differences(taken []string, rows [][]string) []string {
	got := map[string]string{}
	for _, text := range taken {
		f := strings.SplitN(text, " ", 3)
		switch f[0] {
		case "d":
			delete(got, f[1])
		case "tombstone":
		default:
			got[f[1]] = f[2]
		}
	}
	var out []string
	for _, row := range rows {
		if got[row[0]] != row[1] {
			out = append(out, fmt.Sprintf("row %s is %q, want %q", row[0], got[row[0]], row[1]))
		}
		delete(got, row[0])
	}
	for id, v := range got {
		out = append(out, fmt.Sprintf("row %s is %q, but was deleted", id, v))
	}
	return out
}
