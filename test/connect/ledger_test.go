package connect

import (
	"context"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgconn"
)

// ledger writes to a table, and knows what has to come of it. Each change writes another number, one higher than the last.
type ledger struct {
	t        *testing.T
	p        *postgres
	database string

	mu        sync.Mutex
	next      int
	committed []int // numbers whose change the database has confirmed
	stop      chan struct{}
	done      chan struct{}
}

// newLedger makes a database with a table of rows that are there before.
func newLedger(t *testing.T, p *postgres, database string, rows int) *ledger {
	t.Helper()
	p.run("postgres", "CREATE DATABASE "+database)
	p.run(database, fmt.Sprintf("CREATE TABLE a (id int PRIMARY KEY, n int, pad text); INSERT INTO a SELECT g, g, repeat('x', 100) FROM generate_series(1, %d) g", rows))
	return &ledger{t: t, p: p, database: database, next: rows + 1}
}

// writes begins to change the table, about so often a second, until end is called. Where the database is not there it tries again.
func (l *ledger) writes(rate int) {
	l.stop, l.done = make(chan struct{}), make(chan struct{})
	go func() {
		defer close(l.done)
		rnd := rand.New(rand.NewPCG(1, uint64(l.next)))
		tick := time.NewTicker(time.Second / time.Duration(rate))
		defer tick.Stop()
		var c *pgconn.PgConn
		for {
			select {
			case <-l.stop:
				if c != nil {
					_ = c.Close(context.Background())
				}
				return
			case <-tick.C:
			}
			if c == nil || c.IsClosed() {
				l.mu.Lock()
				p := l.p
				l.mu.Unlock()
				var err error
				if c, err = p.dial(l.database); err != nil {
					c = nil
					continue
				}
			}
			l.mu.Lock()
			n := l.next
			l.next++
			l.mu.Unlock()
			sql := fmt.Sprintf("INSERT INTO a VALUES (%d, %d, '') ON CONFLICT (id) DO UPDATE SET n = excluded.n", 1+rnd.IntN(2*n), n)
			if rnd.IntN(10) == 0 {
				sql += fmt.Sprintf("; DELETE FROM a WHERE id = %d", 1+rnd.IntN(n))
			}
			ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
			_, err := ask(ctx, c, sql)
			cancel()
			if err == nil {
				l.mu.Lock()
				l.committed = append(l.committed, n)
				l.mu.Unlock()
			}
		}
	}()
}

// moves goes on at another server.
func (l *ledger) moves(to *postgres) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.p = to
}

func (l *ledger) end() {
	close(l.stop)
	<-l.done
}

// wrote gives how many changes are confirmed.
func (l *ledger) wrote() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return len(l.committed)
}

// outcome is what came of a ledger.
type outcome struct {
	events, again int // again: events that came once more
	back          int // how often the order went back, which is when events come again
	reads         int // of a snapshot
}

// settle waits until the topic says of the table what it is, and checks that each confirmed change is told: nothing is lost.
func (l *ledger) settle(kafka string) outcome {
	l.t.Helper()
	want := map[int]int{}
	for _, row := range l.p.run(l.database, "SELECT id, n FROM a") {
		id, _ := strconv.Atoi(row[0])
		want[id], _ = strconv.Atoi(row[1])
	}
	c := consumer(l.t, kafka, l.database+".public.a")
	var out outcome
	have, seen := map[int]int{}, map[int]bool{}
	places := map[[2]int64]bool{}
	var lastPlace int64
	deadline, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	for !l.told(want, have, seen) {
		fetches := c.PollFetches(deadline)
		if deadline.Err() != nil {
			l.t.Fatalf("%s: %d events came, and of %d confirmed changes %d are missing; rows: %s", l.database, out.events, len(l.committed), l.missing(seen), differ(want, have))
		}
		for _, r := range fetches.Records() {
			var e struct {
				Op            string
				Before, After *struct{ ID, N int }
				Source        struct{ LSN, TxID int64 }
			}
			if err := json.Unmarshal(r.Value, &e); err != nil {
				l.t.Fatalf("%v: %s", err, r.Value)
			}
			out.events++
			if e.Op == "r" {
				out.reads++
				if seen[e.After.N] {
					out.again++
				}
			} else {
				place := [2]int64{e.Source.LSN, e.Source.TxID}
				if places[place] {
					out.again++
				}
				places[place] = true
				if e.Source.LSN < lastPlace {
					out.back++
				}
				lastPlace = e.Source.LSN
			}
			if e.After == nil {
				delete(have, e.Before.ID)
				continue
			}
			have[e.After.ID], seen[e.After.N] = e.After.N, true
		}
	}
	return out
}

// told tells whether all is there.
func (l *ledger) told(want, have map[int]int, seen map[int]bool) bool {
	return l.missing(seen) == 0 && differ(want, have) == ""
}

func (l *ledger) missing(seen map[int]bool) (n int) {
	for _, number := range l.committed {
		if !seen[number] {
			n++
		}
	}
	return n
}

// differ says how two states of a table differ.
func differ(want, have map[int]int) string {
	for id, n := range want {
		if have[id] != n {
			return fmt.Sprintf("%d has %d, want %d", id, have[id], n)
		}
	}
	for id, n := range have {
		if _, there := want[id]; !there {
			return fmt.Sprintf("%d has %d and is not in the table", id, n)
		}
	}
	return ""
}
