package sql

import (
	"context"
	"fmt"
	"runtime/debug"
	"syscall"
	"testing"
	"time"

	"github.com/weir/weir/connect/sdk"
)

// The figures: rows a second, and this process's own processor time a row; the server's is not in it.

func cpu() time.Duration {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		panic(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// orderSchema is a row of the table that JDBC sinks were measured with.
var orderSchema = sdk.NewStructure("",
	sdk.Field{Name: "id", Schema: sdk.Int64Schema}, sdk.Field{Name: "customer_id", Schema: sdk.Int32Schema}, sdk.Field{Name: "sku", Schema: sdk.StringSchema},
	sdk.Field{Name: "qty", Schema: sdk.Int32Schema}, sdk.Field{Name: "price", Schema: sdk.Float64Schema}, sdk.Field{Name: "status", Schema: sdk.StringSchema},
	sdk.Field{Name: "note", Schema: sdk.StringSchema}, sdk.Field{Name: "created", Schema: &sdk.Schema{Type: sdk.Int64, Name: sdk.LogicalTimestamp}})

const note = "the quick brown fox jumps over the lazy dog and then some more words follow so that the row is about two hundred bytes long"

func orders(from, count int) []*sdk.Record {
	out := make([]*sdk.Record, count)
	now := time.Now().UTC()
	for i := range out {
		id := int64(from + i)
		out[i] = &sdk.Record{Topic: "orders", KeySchema: idSchema, Key: &sdk.Struct{Schema: idSchema, Values: []any{id}}, ValueSchema: orderSchema,
			Value: &sdk.Struct{Schema: orderSchema, Values: []any{id, int32(id % 5000), fmt.Sprintf("SKU-%08d", id%9999), int32(id%7 + 1), float64(id%90000) / 100, "new", note, now}}}
	}
	return out
}

// BenchmarkUpsert puts rows that are new, and then the same again, by as many as the runtime gives at once.
func BenchmarkUpsert(b *testing.B) {
	const rows, each = 200_000, 5000
	for _, kind := range kinds {
		for _, pass := range []string{"inserts", "updates"} {
			b.Run(kind+"/"+pass, func(b *testing.B) {
				d := databaseFor(b, serverFor(b, kind))
				task, _ := begun(b, d.props("insert.mode=upsert", "pk.mode=record_key", "auto.create=true"))
				var all [][]*sdk.Record
				for from := 0; from < rows; from += each {
					all = append(all, orders(from, each))
				}
				putAll := func() {
					for _, records := range all {
						if err := task.Put(context.Background(), records); err != nil {
							b.Fatal(err)
						}
					}
				}
				defer debug.SetGCPercent(debug.SetGCPercent(400)) // as weir serve has it
				if pass == "updates" {
					putAll()
				}
				b.ResetTimer()
				wall, used := time.Now(), cpu()
				for range b.N {
					if pass == "inserts" {
						b.StopTimer()
						d.run("DROP TABLE IF EXISTS orders")
						task.forget()
						task.disconnect()
						b.StartTimer()
					}
					putAll()
				}
				b.ReportMetric(float64(rows*b.N)/time.Since(wall).Seconds(), "rows/s")
				b.ReportMetric(float64((cpu()-used).Nanoseconds())/float64(rows*b.N), "cpu-ns/row")
				b.ReportMetric(0, "ns/op")
			})
		}
	}
}
