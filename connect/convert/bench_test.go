package convert

import (
	"testing"

	"github.com/weir/weir/connect/sdk"
)

// envelope makes a Debezium change of a table with eight columns.
func envelope() (*sdk.Schema, *sdk.Struct) {
	row := sdk.NewStructure("s.public.orders.Value",
		sdk.Field{Name: "id", Schema: sdk.Int64Schema}, sdk.Field{Name: "customer", Schema: sdk.OptionalInt32Schema},
		sdk.Field{Name: "status", Schema: sdk.OptionalStringSchema}, sdk.Field{Name: "total", Schema: sdk.NewDecimal(2)},
		sdk.Field{Name: "created", Schema: &sdk.Schema{Type: sdk.Int64, Optional: true, Name: "io.debezium.time.MicroTimestamp", Version: 1}},
		sdk.Field{Name: "address", Schema: sdk.OptionalStringSchema}, sdk.Field{Name: "note", Schema: sdk.OptionalStringSchema},
		sdk.Field{Name: "weight", Schema: sdk.OptionalFloat64Schema}).AsOptional()
	source := sdk.NewStructure("io.debezium.connector.postgresql.Source",
		sdk.Field{Name: "version", Schema: sdk.StringSchema}, sdk.Field{Name: "connector", Schema: sdk.StringSchema},
		sdk.Field{Name: "name", Schema: sdk.StringSchema}, sdk.Field{Name: "ts_ms", Schema: sdk.Int64Schema},
		sdk.Field{Name: "snapshot", Schema: &sdk.Schema{Type: sdk.String, Optional: true, Default: "false"}}, sdk.Field{Name: "db", Schema: sdk.StringSchema},
		sdk.Field{Name: "sequence", Schema: sdk.OptionalStringSchema}, sdk.Field{Name: "ts_us", Schema: sdk.OptionalInt64Schema},
		sdk.Field{Name: "ts_ns", Schema: sdk.OptionalInt64Schema}, sdk.Field{Name: "schema", Schema: sdk.StringSchema},
		sdk.Field{Name: "table", Schema: sdk.StringSchema}, sdk.Field{Name: "txId", Schema: sdk.OptionalInt64Schema},
		sdk.Field{Name: "lsn", Schema: sdk.OptionalInt64Schema}, sdk.Field{Name: "xmin", Schema: sdk.OptionalInt64Schema})
	s := sdk.NewStructure("s.public.orders.Envelope", sdk.Field{Name: "before", Schema: row}, sdk.Field{Name: "after", Schema: row},
		sdk.Field{Name: "source", Schema: source}, sdk.Field{Name: "op", Schema: sdk.StringSchema}, sdk.Field{Name: "ts_ms", Schema: sdk.OptionalInt64Schema})
	after := &sdk.Struct{Schema: row, Values: []any{int64(123456), int32(4711), "shipped", sdk.Decimal{Unscaled: 129900, Scale: 2}, int64(1709212455123456),
		"Main Street 1, 12345 Springfield", "please ring twice; leave it at the door of the neighbour if nobody answers", 12.75}}
	from := &sdk.Struct{Schema: source, Values: []any{"3.7.0.Final", "postgresql", "s", int64(1795419968881), "false", "shop", `["2114793416","2114793640"]`,
		int64(1795419968881379), int64(1795419968881379000), "public", "orders", int64(78508), int64(2114793640), nil}}
	return s, &sdk.Struct{Schema: s, Values: []any{nil, after, from, "c", int64(1795419968946)}}
}

func BenchmarkJSON(b *testing.B) {
	for _, schemas := range []string{"false", "true"} {
		c := newConverter(b, "JsonConverter", map[string]string{"schemas.enable": schemas})
		s, v := envelope()
		buf, err := c.From("t", s, v, nil)
		if err != nil {
			b.Fatal(err)
		}
		b.Run("From/schemas="+schemas, func(b *testing.B) {
			b.ReportAllocs()
			b.SetBytes(int64(len(buf)))
			for b.Loop() {
				if _, err := c.From("t", s, v, buf[:0]); err != nil {
					b.Fatal(err)
				}
			}
		})
		b.Run("To/schemas="+schemas, func(b *testing.B) {
			b.ReportAllocs()
			b.SetBytes(int64(len(buf)))
			for b.Loop() {
				if _, _, err := c.To("t", buf); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

// TestJSONAllocatesNothing: writing a record takes no memory but the buffer's.
func TestJSONAllocatesNothing(t *testing.T) {
	for _, schemas := range []string{"false", "true"} {
		c := newConverter(t, "JsonConverter", map[string]string{"schemas.enable": schemas})
		s, v := envelope()
		buf, err := c.From("t", s, v, nil)
		if err != nil {
			t.Fatal(err)
		}
		if n := testing.AllocsPerRun(100, func() { _, err = c.From("t", s, v, buf[:0]) }); n != 0 || err != nil {
			t.Errorf("with schemas.enable=%s: %v allocations a record, %v", schemas, n, err)
		}
	}
}
