package postgres

import (
	"context"
	"fmt"
	"runtime/debug"
	"syscall"
	"testing"
	"time"
)

// The figures: rows a second, and this process's own processor time a row; PostgreSQL's is not in it.

func cpu() time.Duration {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		panic(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

const benchTable = "CREATE TABLE orders (id bigint PRIMARY KEY, customer int NOT NULL, status text NOT NULL, amount numeric(10,2) NOT NULL, note text, created timestamptz NOT NULL, updated timestamp)"

const benchRows = "SELECT g, g %% 1000, 'shipped', (g %% 10000) / 100.0, 'a note for order ' || g, '2024-02-29 13:14:15.123456+00'::timestamptz + g * interval '1 second', '2024-02-29 13:14:15.123456' FROM generate_series(1, %d) g"

func report(b *testing.B, rows int, wall, used time.Duration) {
	b.ReportMetric(float64(rows)/wall.Seconds(), "rows/s")
	b.ReportMetric(float64(used.Nanoseconds())/float64(rows), "cpu-ns/row")
	b.ReportMetric(0, "ns/op")
}

func drain(b *testing.B, t *task, rows int) {
	for got := 0; got < rows; {
		records, err := t.Poll(context.Background())
		if err != nil {
			b.Fatal(err)
		}
		got += len(records)
	}
}

func BenchmarkSnapshot(b *testing.B) {
	const rows = 400_000
	s := postgresFor(b)
	c := s.database(b, "bench_snapshot")
	c.run(benchTable)
	c.run("INSERT INTO orders " + fmt.Sprintf(benchRows, rows))
	defer debug.SetGCPercent(debug.SetGCPercent(400)) // as weir serve has it
	b.ReportAllocs()
	b.ResetTimer()
	wall, used := time.Now(), cpu()
	for i := range b.N {
		t := begun(b, newKeeper(b), s.props("bench_snapshot", map[string]string{"slot.name": fmt.Sprintf("bench_%d", i)}))
		drain(b, t, rows)
		b.StopTimer()
		t.o.dropSlot = true
		_ = t.Stop()
		b.StartTimer()
	}
	report(b, rows*b.N, time.Since(wall), cpu()-used)
}

func BenchmarkStream(b *testing.B) {
	const rows = 400_000
	s := postgresFor(b)
	c := s.database(b, "bench_stream")
	c.run(benchTable)
	k := newKeeper(b)
	t := begun(b, k, s.props("bench_stream", map[string]string{"snapshot.mode": "no_data"}))
	defer t.Stop()
	ctx, cancel := context.WithTimeout(context.Background(), time.Second)
	defer cancel()
	if _, err := t.Poll(ctx); err != nil {
		b.Fatal(err)
	}
	defer debug.SetGCPercent(debug.SetGCPercent(400))
	b.ReportAllocs()
	for range b.N {
		b.StopTimer()
		c.run("TRUNCATE orders")
		for i := range 100 {
			c.run("INSERT INTO orders " + fmt.Sprintf(benchRows, rows/100) + fmt.Sprintf(" WHERE g + %d > 0", i*rows/100))
			c.run(fmt.Sprintf("UPDATE orders SET id = id + %d WHERE false", i))
			c.run("TRUNCATE orders")
		}
		b.StartTimer()
		wall, used := time.Now(), cpu()
		drain(b, t, rows)
		report(b, rows, time.Since(wall), cpu()-used)
	}
}
