package runtime

import (
	"context"
	"fmt"
	"log/slog"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/weir/weir/connect/sdk"
)

// orderSchema is that of rows as the tables of shops have them.
var orderSchema = sdk.NewStructure("order",
	sdk.Field{Name: "id", Schema: sdk.Int64Schema}, sdk.Field{Name: "customer", Schema: sdk.StringSchema}, sdk.Field{Name: "product", Schema: sdk.StringSchema},
	sdk.Field{Name: "quantity", Schema: sdk.Int32Schema}, sdk.Field{Name: "price", Schema: sdk.Float64Schema}, sdk.Field{Name: "note", Schema: sdk.OptionalStringSchema},
)

// BenchmarkSource moves rows into a topic as JSON without schemas. µs/row is the CPU of all: the source, the runtime, the client, and a
// cluster in this process that keeps nothing.
func BenchmarkSource(b *testing.B) {
	fake, err := kfake.NewCluster(kfake.NumBrokers(1), kfake.SeedTopics(1, "rows", "offsets"))
	if err != nil {
		b.Fatal(err)
	}
	defer fake.Close()
	kafka := []kgo.Opt{kgo.SeedBrokers(fake.ListenAddrs()...)}
	r, err := New(Config{Kafka: kafka, Offsets: NewTopicOffsets("offsets", kafka, func(context.Context, *kadm.Client) error { return nil }), Logger: slog.New(slog.DiscardHandler),
		Options: map[string]string{"value.converter.schemas.enable": "false", "key.converter.schemas.enable": "false"}})
	if err != nil {
		b.Fatal(err)
	}
	defer r.Close()
	rows := make([]*sdk.Record, 1000)
	for i := range rows {
		v := sdk.NewStruct(orderSchema)
		v.Values = []any{int64(i), fmt.Sprintf("customer-%03d", i%200), "lantern", int32(i % 3), 12.5, "please leave it with the neighbours if nobody opens the door"}
		rows[i] = &sdk.Record{Topic: "rows", Partition: -1, KeySchema: sdk.Int64Schema, Key: int64(i), ValueSchema: orderSchema, Value: v, At: &sdk.Position{Partition: partition}}
	}
	var given atomic.Int64
	source := &fakeSource{poll: func(ctx context.Context) ([]*sdk.Record, error) {
		n := given.Add(int64(len(rows)))
		if n >= int64(b.N)+int64(len(rows)) {
			<-ctx.Done()
			return nil, ctx.Err()
		}
		at := map[string]any{"n": n}
		for _, row := range rows {
			row.At.Offset = at
		}
		return rows, nil
	}}
	b.ReportAllocs()
	before := cpu()
	task := r.Start(Spec{Connector: "c", Type: source, Status: func(Status) {}})
	for task.Details().Records < int64(b.N) {
		time.Sleep(time.Millisecond)
	}
	b.ReportMetric(float64(cpu()-before)/1000/float64(b.N), "µs/row")
	stop(task)
}

func cpu() int64 {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		panic(err)
	}
	return u.Utime.Nano() + u.Stime.Nano()
}
