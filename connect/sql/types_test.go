package sql

import (
	"context"
	"fmt"
	"math/big"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/weir/weir/connect/sdk"
)

func named(t sdk.Type, name string, params ...sdk.Param) *sdk.Schema {
	return &sdk.Schema{Type: t, Name: name, Params: params, Optional: true}
}

// typeCase is a field with a value, and what is in its column then, as text: of PostgreSQL and of MySQL.
type typeCase struct {
	name     string
	schema   *sdk.Schema
	value    any
	postgres string
	mysql    string
}

func typeCases() []typeCase {
	day := time.Date(2024, 2, 29, 0, 0, 0, 0, time.UTC)
	at := time.Date(2024, 2, 29, 13, 14, 15, 123_000_000, time.UTC)
	clock := time.UnixMilli(at.UnixMilli() % 86400_000).UTC()
	huge, _ := new(big.Int).SetString("-123456789012345678901234567890", 10)
	variable := sdk.NewStructure("io.debezium.data.VariableScaleDecimal", sdk.Field{Name: "scale", Schema: sdk.Int32Schema}, sdk.Field{Name: "value", Schema: sdk.BytesSchema})
	variable.Optional = true
	return []typeCase{
		{"i8", named(sdk.Int8, ""), int8(-128), "-128", "-128"},
		{"i16", named(sdk.Int16, ""), int16(-32768), "-32768", "-32768"},
		{"i32", named(sdk.Int32, ""), int32(-2147483648), "-2147483648", "-2147483648"},
		{"i64", named(sdk.Int64, ""), int64(-9223372036854775808), "-9223372036854775808", "-9223372036854775808"},
		{"f32", named(sdk.Float32, ""), float32(1.5), "1.5", "1.5"},
		{"f64", named(sdk.Float64, ""), -1.5e-300, "-1.5e-300", "-1.5e-300"},
		{"yes", named(sdk.Boolean, ""), true, "true", "1"},
		{"txt", named(sdk.String, ""), "a'b\"c\\d\te\nf\r {},é😀", "a'b\"c\\d\te\nf\r {},é😀", "a'b\"c\\d\te\nf\r {},é😀"},
		{"bin", named(sdk.Bytes, ""), []byte{0, 1, '\\', 0xff}, `\x00015cff`, "\x00\x01\\\xff"},
		{"num", sdk.NewDecimal(3).AsOptional(), sdk.Decimal{Unscaled: -1234, Scale: 3}, "-1.234", "-1.234"},
		{"big", sdk.NewDecimal(10).AsOptional(), sdk.Decimal{Big: huge, Scale: 10}, "-12345678901234567890.1234567890", "-12345678901234567890.1234567890"},
		{"d", named(sdk.Int32, sdk.LogicalDate), day, "2024-02-29", "2024-02-29"},
		{"tm", named(sdk.Int32, sdk.LogicalTime), clock, "13:14:15.123", "13:14:15.123"},
		{"ts", named(sdk.Int64, sdk.LogicalTimestamp), at, "2024-02-29 13:14:15.123", "2024-02-29 13:14:15.123"},
		{"dz_date", named(sdk.Int32, debeziumDate), int32(-1), "1969-12-31", "1969-12-31"},
		{"dz_time", named(sdk.Int32, debeziumTime), int32(47655123), "13:14:15.123", "13:14:15.123"},
		{"dz_mtime", named(sdk.Int64, debeziumMicroTime), int64(47655123456), "13:14:15.123456", "13:14:15.123456"},
		{"dz_ntime", named(sdk.Int64, debeziumNanoTime), int64(47655123456000), "13:14:15.123456", "13:14:15.123456"},
		{"dz_stamp", named(sdk.Int64, debeziumStamp), at.UnixMilli(), "2024-02-29 13:14:15.123", "2024-02-29 13:14:15.123"},
		{"dz_micros", named(sdk.Int64, debeziumMicros), at.UnixMicro() + 456, "2024-02-29 13:14:15.123456", "2024-02-29 13:14:15.123456"},
		{"dz_nanos", named(sdk.Int64, debeziumNanos), at.UnixNano() + 456000, "2024-02-29 13:14:15.123456", "2024-02-29 13:14:15.123456"},
		{"dz_zoned", named(sdk.String, debeziumZoned), "2024-02-29T13:14:15.123456+02:00", "2024-02-29 11:14:15.123456+00", "2024-02-29 11:14:15.123456"},
		{"dz_ztime", named(sdk.String, debeziumZonedTime), "13:14:15.5Z", "13:14:15.5+00", "13:14:15.500000"},
		{"dz_year", named(sdk.Int32, debeziumYear), int32(2024), "2024", "2024"},
		{"dz_json", named(sdk.String, debeziumJSON), `{"a": "\"\\ü"}`, `{"a": "\"\\ü"}`, `{"a": "\"\\ü"}`},
		{"dz_uuid", named(sdk.String, debeziumUUID), "6ccd780c-baba-1026-9564-5b8c656024db", "6ccd780c-baba-1026-9564-5b8c656024db", "6ccd780c-baba-1026-9564-5b8c656024db"},
		{"dz_xml", named(sdk.String, debeziumXML), "<a>b</a>", "<a>b</a>", "<a>b</a>"},
		{"dz_bits", named(sdk.Bytes, debeziumBits, sdk.Param{Name: "length", Value: "10"}), []byte{0b101, 0b10}, "1000000101", "\x02\x05"},
		{"dz_var", variable, &sdk.Struct{Schema: variable, Values: []any{int32(2), []byte{0x04, 0xd2}}}, "12.34", "12.340000000000000000000000000000"},
		{"dz_enum", named(sdk.String, "io.debezium.data.Enum"), "sad", "sad", "sad"},
		{"words", &sdk.Schema{Type: sdk.Array, Elem: sdk.OptionalStringSchema, Optional: true}, []any{"a,b", `"q"`, `back\slash`, "line\nbreak", nil, ""}, `{"a,b","\"q\"","back\\slash",` + "\"line\nbreak\"" + `,NULL,""}`, ""},
		{"ints", &sdk.Schema{Type: sdk.Array, Elem: sdk.Int32Schema, Optional: true}, []any{int32(1), int32(-2)}, `{1,-2}`, ""},
		{"blobs", &sdk.Schema{Type: sdk.Array, Elem: sdk.BytesSchema, Optional: true}, []any{[]byte{1, '"'}}, `{"\\x0122"}`, ""},
	}
}

// TestTypes: each type becomes the column and the value that it stands for; and what a source then reads from the table makes an equal
// table again.
func TestTypes(t *testing.T) {
	each(t, func(t *testing.T, d *database) {
		cases := typeCases()
		if d.kind == "mysql" {
			cases = slices.DeleteFunc(cases, func(c typeCase) bool { return c.mysql == "" })
		}
		fields := []sdk.Field{{Name: "id", Schema: sdk.Int32Schema}}
		full, empty := []any{int32(1)}, []any{int32(2)}
		for _, c := range cases {
			fields = append(fields, sdk.Field{Name: c.name, Schema: c.schema})
			full, empty = append(full, c.value), append(empty, nil)
		}
		schema := sdk.NewStructure("row", fields...)
		task, k := begun(t, d.props("auto.create=true", "insert.mode=upsert", "pk.mode=record_value", "pk.fields=id"))
		for i, values := range [][]any{full, empty} {
			put(t, task, &sdk.Record{Topic: "made", Offset: int64(i), ValueSchema: schema, Value: &sdk.Struct{Schema: schema, Values: values}})
		}
		if len(k.refused) > 0 {
			t.Fatal(k.refused)
		}
		look := func(table, column string) string {
			as := column
			if d.kind == "postgres" {
				as = column + "::text"
			}
			return d.ask(fmt.Sprintf("SELECT %s FROM %s ORDER BY id", as, table))
		}
		for _, c := range cases {
			want := c.postgres
			if d.kind == "mysql" {
				want = c.mysql
			}
			if got := look("made", c.name); got != want+"\nnull" {
				t.Errorf("%s: got %q, want %q", c.name, got, want)
			}
		}
		// And back, through a source.
		if d.kind == "postgres" {
			d.run("ALTER TABLE made ALTER num TYPE numeric(10,3), ALTER big TYPE numeric(40,10), ALTER dz_var TYPE numeric(10,2)")
		} else {
			d.run("ALTER TABLE made DROP COLUMN dz_bits")
			cases = slices.DeleteFunc(cases, func(c typeCase) bool { return c.name == "dz_bits" })
		}
		source := readingTask(t, keeper(t), d.props("mode=bulk", "table.whitelist=made", "timestamp.granularity=micros_long", "topic.prefix="))
		records := take(t, source, keeper(t), 2)
		copied := records[0].ValueSchema
		for i, r := range records {
			r.Topic, r.Offset = "copied", int64(i)
		}
		stamps := []string{"ts", "dz_stamp", "dz_micros", "dz_nanos", "dz_zoned"}
		back, k := begun(t, d.props("auto.create=true", "insert.mode=insert", "pk.mode=record_value", "pk.fields=id", "timestamp.fields.list="+strings.Join(stamps, ",")))
		put(t, back, records[:2]...)
		if len(k.refused) > 0 {
			t.Fatal(k.refused)
		}
		for _, c := range cases {
			if copied.Field(c.name) < 0 {
				if !strings.HasPrefix(c.postgres, "{\"") && c.name != "ints" && c.name != "dz_bits" {
					t.Errorf("%s is not read", c.name)
				}
				continue
			}
			got, want := look("copied", c.name), look("made", c.name)
			switch c.name {
			case "dz_zoned", "dz_ztime":
				got, want = strings.ReplaceAll(got, "+00", ""), strings.ReplaceAll(want, "+00", "")
			case "num", "big", "dz_var":
			case "dz_mtime", "dz_ntime": // Connect's Time has milliseconds
				want = strings.Replace(want, "13:14:15.123456", "13:14:15.123", 1)
			}
			if strings.TrimRight(strings.Split(got, "\n")[0], "0") != strings.TrimRight(strings.Split(want, "\n")[0], "0") {
				t.Errorf("%s comes back as %q, and was %q", c.name, got, want)
			}
		}
	})
}

// TestReadSchemas: columns have the schemas that Confluent's connector gives them.
func TestReadSchemas(t *testing.T) {
	create := map[string]string{
		"postgres": `CREATE TYPE mood AS ENUM ('sad'); CREATE DOMAIN price AS numeric(8,2); CREATE TABLE a (id int NOT NULL, n4 numeric(4,0), n10 numeric(10,0), n10_2 numeric(10,2), n30 numeric(30,0), n numeric,
 b boolean, s smallint, l bigint, r real, dp double precision, tx text NOT NULL, c char(3), j jsonb, u uuid, m mood, p price, by bytea, d date, tm time, ts timestamp, tz timestamptz, bt bit(1), bs bit(5), ia int[], ip inet, mo money);
 INSERT INTO a VALUES (1, 12, 12, 1.5, 12, 3, true, 1, 2, 1.5, 2.5, 'x', 'c', '{"a": 1}', '6ccd780c-baba-1026-9564-5b8c656024db', 'sad', 9.99, '\x01ff', '2024-02-29', '13:14:15.123456', '2024-02-29 13:14:15.123456', '2024-02-29 13:14:15.123456+01', B'1', B'00101', '{1}', '::1', 1234.5)`,
		"mysql": `CREATE TABLE a (id int NOT NULL, t1 tinyint(1), tu tinyint unsigned, s smallint, su smallint unsigned, mu mediumint unsigned, iu int unsigned, l bigint, n10_2 decimal(10,2), f float, dp double,
 v varchar(10) NOT NULL, j json, e enum('a','b'), vb varbinary(10), bl blob, d date, y year, tm time(3), dt datetime(6), ts timestamp(3) NULL, bt bit(1));
 INSERT INTO a VALUES (1, 1, 255, -1, 65535, 16777215, 4294967295, 2, 1.5, 1.5, 2.5, 'x', '{"a": 1}', 'b', x'01ff', x'01ff', '2024-02-29', 2024, '13:14:15.123', '2024-02-29 13:14:15.123456', '2024-02-29 13:14:15.123', b'1')`,
	}
	want := map[string]map[string]string{
		"postgres": {
			"":                      `id:int32!=1 n4:Decimal(0)[4]=12 n10:Decimal(0)[10]=12 n10_2:Decimal(2)[10]=1.50 n30:Decimal(0)[30]=12 n:Decimal(0)[0]=3 b:boolean=true s:int16=1 l:int64=2 r:float32=1.5 dp:float64=2.5 tx:string!=x c:string=c   j:string={"a": 1} u:string=6ccd780c-baba-1026-9564-5b8c656024db m:string=sad p:Decimal(2)[8]=9.99 by:bytes=[1 255] d:Date=2024-02-29T00:00:00Z tm:Time=1970-01-01T12:14:15.123Z ts:Timestamp=2024-02-29T12:14:15.123Z tz:Timestamp=2024-02-29T12:14:15.123Z bt:boolean=true bs:int8=5 mo:float64=1234.5`,
			"precision_only":        `n4:int16=12 n10:int64=12 n10_2:Decimal(2)[10]=1.50 n30:Decimal(0)[30]=12`,
			"best_fit":              `n4:int16=12 n10:int64=12 n10_2:float64=1.5 n30:Decimal(0)[30]=12 n:float64=3`,
			"best_fit_eager_double": `n4:int16=12 n10:int64=12 n10_2:float64=1.5 n30:Decimal(0)[30]=12 n:float64=3`,
		},
		"mysql": {
			"":         `id:int32!=1 t1:int8=1 tu:int16=255 s:int16=-1 su:int32=65535 mu:int64=16777215 iu:int64=4294967295 l:int64=2 n10_2:Decimal(2)[10]=1.50 f:float32=1.5 dp:float64=2.5 v:string!=x j:string={"a": 1} e:string=b vb:bytes=[1 255] bl:bytes=[1 255] d:Date=2024-02-29T00:00:00Z y:Date=2024-01-01T00:00:00Z tm:Time=1970-01-01T12:14:15.123Z dt:Timestamp=2024-02-29T12:14:15.123Z ts:Timestamp=2024-02-29T13:14:15.123Z bt:int8=1`,
			"best_fit": `n10_2:Decimal(2)[10]=1.50`,
		},
	}
	each(t, func(t *testing.T, d *database) {
		for _, statement := range strings.Split(create[d.kind], ";") {
			d.run(statement)
		}
		for mapping, want := range want[d.kind] {
			props := d.props("mode=bulk", "db.timezone=+01:00")
			if mapping != "" {
				props["numeric.mapping"] = mapping
			}
			r := take(t, readingTask(t, keeper(t), props), keeper(t), 1)[0]
			var all []string
			for i, f := range r.ValueSchema.Fields {
				s := f.Name + ":" + f.Schema.Type.String()
				if f.Schema.Name != "" {
					s = f.Name + ":" + f.Schema.Name[strings.LastIndexByte(f.Schema.Name, '.')+1:]
				}
				if scale, ok := f.Schema.Param("scale"); ok {
					precision, _ := f.Schema.Param("connect.decimal.precision")
					s += "(" + scale + ")[" + precision + "]"
				}
				if !f.Schema.Optional {
					s += "!"
				}
				v := r.Value.(*sdk.Struct).Values[i]
				if at, ok := v.(time.Time); ok {
					v = at.Format(time.RFC3339Nano)
				}
				all = append(all, fmt.Sprintf("%s=%v", s, v))
			}
			got := strings.Join(all, " ")
			if mapping == "" {
				same(t, got, want)
				continue
			}
			for _, one := range strings.Split(want, " ") {
				if !slices.Contains(all, one) {
					t.Errorf("%s: %s is not in %s", mapping, one, got)
				}
			}
		}
	})
}

// TestColumnsThatAreThere: values fit themselves to columns that somebody else has made.
func TestColumnsThatAreThere(t *testing.T) {
	each(t, func(t *testing.T, d *database) {
		zoned := map[string]string{"postgres": "timestamptz", "mysql": "timestamp(3)"}[d.kind]
		d.run("CREATE TABLE t (ID int, flag int, micros bigint, at " + zoned + ", local_at timestamp NULL, day varchar(30))")
		s := sdk.NewStructure("", sdk.Field{Name: "id", Schema: sdk.Int64Schema}, sdk.Field{Name: "flag", Schema: sdk.BooleanSchema}, sdk.Field{Name: "micros", Schema: named(sdk.Int64, debeziumMicros)},
			sdk.Field{Name: "at", Schema: named(sdk.Int64, sdk.LogicalTimestamp)}, sdk.Field{Name: "day", Schema: named(sdk.Int32, sdk.LogicalDate)})
		task, k := begun(t, d.props("db.timezone=Europe/Berlin", "date.timezone=UTC"))
		at := time.Date(2024, 7, 1, 12, 0, 0, 0, time.UTC)
		if err := task.Put(context.Background(), []*sdk.Record{{Topic: "t", ValueSchema: s, Value: &sdk.Struct{Schema: s, Values: []any{int64(1), true, int64(5), at, time.Date(2024, 7, 1, 0, 0, 0, 0, time.UTC)}}}}); err != nil || len(k.refused) > 0 {
			t.Fatal(err, k.refused)
		}
		d.run(map[string]string{"postgres": "SET TIME ZONE 'UTC'", "mysql": "SET time_zone = '+00:00'"}[d.kind])
		same(t, d.ask("SELECT id, flag, micros, "+map[string]string{"postgres": "(at AT TIME ZONE 'UTC')::text", "mysql": "CONVERT_TZ(at, @@session.time_zone, '+00:00')"}[d.kind]+", day FROM t"),
			"1|1|5|2024-07-01 12:00:00"+map[string]string{"postgres": "", "mysql": ".000"}[d.kind]+"|2024-07-01")
	})
}
