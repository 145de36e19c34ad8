package weirtest

import (
	"runtime"
	"testing"

	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"
)

// stacks are what a benchmark compares: each starts a broker with a topic "t", and gives its address and what ends it.
var stacks = []struct {
	name  string
	start func(testing.TB) (addr string, end func())
}{
	{"memory", func(t testing.TB) (string, func()) { return started(t) }},
	{"folder", func(t testing.TB) (string, func()) { return started(t, Dir(t.TempDir())) }},
	{"kfake", func(t testing.TB) (string, func()) {
		c, err := kfake.NewCluster(kfake.NumBrokers(1), kfake.SeedTopics(1, "t"))
		if err != nil {
			t.Fatal(err)
		}
		return c.ListenAddrs()[0], c.Close
	}},
}

func started(t testing.TB, opts ...Option) (string, func()) {
	n, err := Run(append(opts, Topic("t", 1))...)
	if err != nil {
		t.Fatal(err)
	}
	return n.Addr(), n.Close
}

// BenchmarkStart starts a broker with a topic, and stops it.
func BenchmarkStart(b *testing.B) {
	for _, s := range stacks {
		b.Run(s.name, func(b *testing.B) {
			for b.Loop() {
				_, end := s.start(b)
				end()
			}
		})
	}
}

// BenchmarkFirstRecord starts a broker, and has it acknowledge a record of a new client.
func BenchmarkFirstRecord(b *testing.B) {
	for _, s := range stacks {
		b.Run(s.name, func(b *testing.B) {
			for b.Loop() {
				addr, end := s.start(b)
				c, err := kgo.NewClient(kgo.SeedBrokers(addr), kgo.DefaultProduceTopic("t"))
				if err != nil {
					b.Fatal(err)
				}
				if err := c.ProduceSync(b.Context(), kgo.StringRecord("x")).FirstErr(); err != nil {
					b.Fatal(err)
				}
				c.Close()
				end()
			}
		})
	}
}

// BenchmarkMemory has brokers side by side, and tells what each of them holds while nothing happens.
func BenchmarkMemory(b *testing.B) {
	const count = 20
	for _, s := range stacks {
		b.Run(s.name, func(b *testing.B) {
			for b.Loop() {
				heap, routines := held()
				var ends []func()
				for range count {
					_, end := s.start(b)
					ends = append(ends, end)
				}
				heapThen, routinesThen := held()
				b.ReportMetric(float64(heapThen-heap)/count/1024, "KiB/node")
				b.ReportMetric(float64(routinesThen-routines)/count, "goroutines/node")
				for _, end := range ends {
					end()
				}
			}
		})
	}
}

// held is what the process holds.
func held() (heap int64, routines int) {
	runtime.GC()
	runtime.GC() // also what pools had
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return int64(m.HeapAlloc + m.StackInuse), runtime.NumGoroutine()
}
