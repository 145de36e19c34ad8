package process

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"os"
	"runtime/debug"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/weir/weir/connect/sdk"
)

// The figures: records a second through the pipe, and this process's own processor time; the other's is not in it.

// peerOf makes the test's own program a process that costs little: a source of the same records again and again, or a sink that throws away.
const peerOf = "WEIR_TEST_PEER"

const peerBatch = 1000

func init() {
	kind := os.Getenv(peerOf)
	if kind == "" {
		return
	}
	_ = os.Unsetenv(peerOf)
	peer(kind)
	os.Exit(0)
}

const orderJSON = `{"type":"struct","optional":false,"name":"order","fields":[{"field":"id","type":"int64"},{"field":"customer","type":"string"},{"field":"product","type":"string"},` +
	`{"field":"quantity","type":"int32"},{"field":"price","type":"double"},{"field":"note","type":"string","optional":true}]}`

func peer(kind string) {
	in := bufio.NewReaderSize(os.Stdin, 4<<20)
	var batch strings.Builder
	for i := range peerBatch {
		if i > 0 {
			batch.WriteByte(',')
		}
		schema := `"valueSchema":1,`
		if kind == "free" {
			schema = ""
		}
		fmt.Fprintf(&batch, `{"key":%d,%s"value":{"id":%d,"customer":"customer-%03d","product":"lantern","quantity":%d,"price":12.5,"note":"please leave it with the neighbours if nobody opens the door"}}`, i, schema, i, i%200, i%3)
	}
	say := func(format string, args ...any) { fmt.Fprintf(os.Stdout, format+"\n", args...) }
	seq := 0
	for {
		line, err := in.ReadSlice('\n')
		if err != nil {
			return
		}
		switch {
		case bytes.HasPrefix(line, []byte(`{"type":"schema"`)):
			continue
		case bytes.HasPrefix(line, []byte(`{"type":"hello"`)):
			seq++
			role := "source"
			if kind == "sink" {
				role = "sink"
			}
			say(`{"type":"hello","seq":1,"protocol":1,"connectors":[{"class":"Peer","kind":%q,"version":"1"}]}`, role)
		case bytes.HasPrefix(line, []byte(`{"type":"start"`)):
			seq++
			say(`{"type":"schema","id":1,"schema":%s}`, orderJSON)
			say(`{"type":"done","seq":%d}`, seq)
		case bytes.HasPrefix(line, []byte(`{"type":"poll"`)):
			seq++
			say(`{"type":"records","seq":%d,"topic":"orders","positions":[{"partition":{"table":"orders"},"offset":{"n":%d}}],"records":[%s]}`, seq, seq, batch.String())
		default: // put
			var n int
			_, _ = fmt.Sscanf(string(line[:min(len(line), 40)]), `{"type":"put","seq":%d`, &n)
			say(`{"type":"done","seq":%d}`, n)
		}
	}
}

func cpu() time.Duration {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		panic(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

func peerConnector(b *testing.B, kind string) sdk.Connector {
	b.Helper()
	b.Setenv(peerOf, kind)
	own, err := os.Executable()
	if err != nil {
		b.Fatal(err)
	}
	return connectorOf(b, own)
}

func figures(b *testing.B, wall time.Time, used time.Duration) {
	b.ReportMetric(float64(b.N)/time.Since(wall).Seconds(), "records/s")
	b.ReportMetric(float64((cpu()-used).Nanoseconds())/float64(b.N), "cpu-ns/record")
	b.ReportMetric(0, "ns/op")
}

// BenchmarkSource polls orders with a schema, and the same without.
func BenchmarkSource(b *testing.B) {
	for _, kind := range []string{"schema", "free"} {
		b.Run(kind, func(b *testing.B) {
			defer debug.SetGCPercent(debug.SetGCPercent(400)) // as weir serve has it
			s := peerConnector(b, kind)
			task := s.(sdk.Source).NewTask().(*sourceTask)
			if err := task.Start(b.Context(), &fakeContext{}, valuesOf(b, s, nil)); err != nil {
				b.Fatal(err)
			}
			b.ReportAllocs()
			b.ResetTimer()
			wall, used := time.Now(), cpu()
			for n := 0; n < b.N; n += peerBatch {
				if _, err := task.Poll(context.Background()); err != nil {
					b.Fatal(err)
				}
				task.Durable(1)
			}
			figures(b, wall, used)
			b.StopTimer()
			if err := task.Stop(); err != nil {
				b.Error(err)
			}
		})
	}
}

// BenchmarkSink puts orders with a schema.
func BenchmarkSink(b *testing.B) {
	defer debug.SetGCPercent(debug.SetGCPercent(400))
	s := peerConnector(b, "sink")
	task := s.(sdk.Sink).NewTask()
	if err := task.Start(b.Context(), &fakeContext{}, valuesOf(b, s, nil)); err != nil {
		b.Fatal(err)
	}
	schema := sdk.NewStructure("order",
		sdk.Field{Name: "id", Schema: sdk.Int64Schema}, sdk.Field{Name: "customer", Schema: sdk.StringSchema}, sdk.Field{Name: "product", Schema: sdk.StringSchema},
		sdk.Field{Name: "quantity", Schema: sdk.Int32Schema}, sdk.Field{Name: "price", Schema: sdk.Float64Schema}, sdk.Field{Name: "note", Schema: sdk.OptionalStringSchema})
	var records []*sdk.Record
	for i := range 5000 {
		tp := sdk.TopicPartition{Topic: "orders"}
		records = append(records, &sdk.Record{Topic: "orders", From: tp, Offset: int64(i), Timestamp: time.UnixMilli(1_700_000_000_000), KeySchema: sdk.Int64Schema, Key: int64(i), ValueSchema: schema,
			Value: &sdk.Struct{Schema: schema, Values: []any{int64(i), fmt.Sprintf("customer-%03d", i%200), "lantern", int32(i % 3), 12.5, "please leave it with the neighbours if nobody opens the door"}}})
	}
	b.ReportAllocs()
	b.ResetTimer()
	wall, used := time.Now(), cpu()
	for n := 0; n < b.N; n += len(records) {
		if err := task.Put(context.Background(), records); err != nil {
			b.Fatal(err)
		}
	}
	figures(b, wall, used)
	b.StopTimer()
	if err := task.Stop(); err != nil {
		b.Error(err)
	}
}
