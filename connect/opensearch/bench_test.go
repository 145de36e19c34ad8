package opensearch

import (
	"fmt"
	"syscall"
	"testing"
	"time"

	"github.com/weir/weir/connect/convert"
	"github.com/weir/weir/connect/sdk"
)

func cpu(b *testing.B) time.Duration {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		b.Fatal(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

const ordersOfPut = 5000 // as many as the runtime puts at once

// orders gives documents of 250 bytes, as a JSON converter without schemas gives them.
func orders(b *testing.B, c convert.Converter, from int) []*sdk.Record {
	out := make([]*sdk.Record, ordersOfPut)
	var text []byte
	for i := range out {
		n := from + i
		text = fmt.Appendf(text[:0], `{"id":%d,"customer":"customer-%d","status":"shipped","amount":%d.25,"created_at":%d,"paid":true,"note":"a note about the order number %d that makes the document as long as others are","address":{"street":"Main Street %d","city":"Springfield"}}`,
			n, n%1000, n%500, 1700000000000+n, n, n%100)
		_, v, err := c.To("bench", text)
		if err != nil {
			b.Fatal(err)
		}
		out[i] = &sdk.Record{Topic: "bench", Offset: int64(n), Key: fmt.Sprint("order-", n), Value: v}
	}
	return out
}

func jsonConverter(b *testing.B) convert.Converter {
	c, err := convert.New("org.apache.kafka.connect.json.JsonConverter", map[string]string{"schemas.enable": "false"}, false)
	if err != nil {
		b.Fatal(err)
	}
	return c
}

// BenchmarkReal writes documents to a real OpenSearch. CPU-s/M are Put's own, per million documents:
// TEST_OPENSEARCH=1 OPENSEARCH_JAVA=-XX:+UseG1GC go test -run '^$' -bench Real -benchtime 200000x ./connect/opensearch
func BenchmarkReal(b *testing.B) {
	s := serverFor(b)
	s.ask("DELETE", "/bench", "")
	task, c := startTask(b, aiven, s.url, map[string]string{"schema.ignore": "true", "read.timeout.ms": "30000"}), jsonConverter(b)
	var spent, wall time.Duration
	n := 0
	for ; n < b.N; n += ordersOfPut {
		records := orders(b, c, n)
		before, at := cpu(b), time.Now()
		if err := task.Put(b.Context(), records); err != nil {
			b.Fatal(err)
		}
		spent, wall = spent+cpu(b)-before, wall+time.Since(at)
	}
	b.ReportMetric(float64(n)/wall.Seconds(), "docs/s")
	b.ReportMetric(spent.Seconds()/float64(n)*1e6, "CPU-s/M")
}

// BenchmarkBody makes the body of bulk requests, and sends nothing.
func BenchmarkBody(b *testing.B) {
	s := settingsOf(b, aiven, nil)
	k, c := newBulk(s, nil, nil), jsonConverter(b)
	to, err := (&task{s: s}).newTarget("bench")
	if err != nil {
		b.Fatal(err)
	}
	records := orders(b, c, 0)
	b.ReportAllocs()
	for n := 0; n < b.N; n += ordersOfPut {
		k.begin(len(records))
		for _, r := range records {
			if err := k.add(to, r); err != nil {
				b.Fatal(err)
			}
		}
	}
}
