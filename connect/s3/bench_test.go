package s3

import (
	"context"
	"fmt"
	"log/slog"
	"testing"
	"time"

	"github.com/weir/weir/connect/sdk"
)

type benchContext struct{ b *testing.B }

func (c benchContext) Report(_ *sdk.Record, err error) error { c.b.Fatal(err); return err }
func (c benchContext) Rewind(map[sdk.TopicPartition]int64)   {}
func (c benchContext) End(sdk.TopicPartition) int64          { return 0 }
func (c benchContext) Logger() *slog.Logger                  { return slog.New(slog.DiscardHandler) }
func (c benchContext) Connector() string                     { return "bench" }
func (c benchContext) Task() int                             { return 0 }

// BenchmarkSink writes records of eight fields to files of 100,000, in a real store; it tells the time of one record.
func BenchmarkSink(b *testing.B) {
	s := sdk.NewStructure("order", sdk.Field{Name: "id", Schema: sdk.Int64Schema}, sdk.Field{Name: "customer", Schema: sdk.StringSchema},
		sdk.Field{Name: "email", Schema: sdk.OptionalStringSchema}, sdk.Field{Name: "amount", Schema: sdk.NewDecimal(2)}, sdk.Field{Name: "items", Schema: sdk.Int32Schema},
		sdk.Field{Name: "paid", Schema: sdk.BooleanSchema}, sdk.Field{Name: "at", Schema: logicalOf(sdk.Int64, sdk.LogicalTimestamp)}, sdk.Field{Name: "note", Schema: sdk.OptionalStringSchema})
	for _, test := range []struct {
		name   string
		config []string
	}{
		{"json", nil}, {"gzip", []string{"s3.compression.type", "gzip"}}, {"parquet", []string{"format.class", "ParquetFormat"}},
		{"time", []string{"partitioner.class", "HourlyPartitioner", "timezone", "UTC", "timestamp.extractor", "Record"}},
	} {
		b.Run(test.name, func(b *testing.B) {
			_, options := serverFor(b).bucketNamed(b, fmt.Sprintf("bench-%s-%d", test.name, b.N))
			v, wrong := sdk.Parse(confluentOptions(), with(options, append(test.config, "flush.size", "100000")...))
			if len(wrong) > 0 {
				b.Fatal(wrong)
			}
			task := confluentSink{}.NewTask().(*sinkTask)
			if err := task.Start(b.Context(), benchContext{b}, v); err != nil {
				b.Fatal(err)
			}
			const chunk = 5000
			at := time.Date(2026, 3, 1, 0, 0, 0, 0, time.UTC)
			records := make([]*sdk.Record, chunk)
			for i := range records {
				records[i] = &sdk.Record{Topic: "orders", ValueSchema: s, Timestamp: at, From: sdk.TopicPartition{Topic: "orders"}, Value: &sdk.Struct{Schema: s, Values: []any{
					int64(i), fmt.Sprint("customer ", i%1000), fmt.Sprintf("someone%d@example.com", i), sdk.Decimal{Unscaled: int64(i * 17), Scale: 2}, int32(i % 7), i%2 == 0, at, nil}}}
			}
			b.ReportAllocs()
			b.ResetTimer()
			for n := 0; n < b.N; n += chunk {
				for i, r := range records {
					r.Offset = int64(n + i)
				}
				if err := task.Put(context.Background(), records[:min(chunk, b.N-n)]); err != nil {
					b.Fatal(err)
				}
			}
			b.StopTimer()
			if err := task.Stop(); err != nil {
				b.Fatal(err)
			}
		})
	}
}
