package convert

import (
	"bufio"
	"encoding/binary"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"os"
	"reflect"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/twmb/avro"
	"github.com/twmb/franz-go/pkg/sr"

	"github.com/weir/weir/connect/sdk"
)

// registryDouble speaks as much of the registry's REST API as converters need.
type registryDouble struct {
	*httptest.Server
	mu       sync.Mutex
	schemas  []sr.Schema      // by id, from 1
	subjects map[string][]int // ids by version, from 1
	asked    []string
	status   int // to answer with, if not zero
}

func newRegistry(t testing.TB) *registryDouble {
	r := &registryDouble{subjects: map[string][]int{}}
	mux := http.NewServeMux()
	handle := func(pattern string, f func(req *http.Request) (any, int)) {
		mux.HandleFunc(pattern, func(w http.ResponseWriter, req *http.Request) {
			r.mu.Lock()
			defer r.mu.Unlock()
			r.asked = append(r.asked, req.Method+" "+req.URL.Path)
			answer, status := f(req)
			if r.status != 0 {
				answer, status = map[string]any{"error_code": r.status, "message": "as told"}, r.status
			}
			w.Header().Set("Content-Type", "application/vnd.schemaregistry.v1+json")
			w.WriteHeader(status)
			_ = json.NewEncoder(w).Encode(answer)
		})
	}
	missing := map[string]any{"error_code": 40403, "message": "Schema not found"}
	handle("POST /subjects/{subject}/versions", func(req *http.Request) (any, int) {
		var s sr.Schema
		if err := json.NewDecoder(req.Body).Decode(&s); err != nil {
			return map[string]any{"error_code": 42201, "message": err.Error()}, 422
		}
		return map[string]int{"id": r.register(req.PathValue("subject"), s)}, 200
	})
	handle("POST /subjects/{subject}", func(req *http.Request) (any, int) {
		var s sr.Schema
		_ = json.NewDecoder(req.Body).Decode(&s)
		for v, id := range r.subjects[req.PathValue("subject")] {
			if r.schemas[id-1].Schema == s.Schema {
				return sr.SubjectSchema{Subject: req.PathValue("subject"), Version: v + 1, ID: id, Schema: s}, 200
			}
		}
		return missing, 404
	})
	handle("GET /schemas/ids/{id}", func(req *http.Request) (any, int) {
		id, _ := strconv.Atoi(req.PathValue("id"))
		if id < 1 || id > len(r.schemas) {
			return missing, 404
		}
		return r.schemas[id-1], 200
	})
	handle("GET /subjects/{subject}/versions/{version}", func(req *http.Request) (any, int) {
		ids := r.subjects[req.PathValue("subject")]
		v, err := strconv.Atoi(req.PathValue("version"))
		if err != nil {
			v = len(ids)
		}
		if v < 1 || v > len(ids) {
			return missing, 404
		}
		return sr.SubjectSchema{Subject: req.PathValue("subject"), Version: v, ID: ids[v-1], Schema: r.schemas[ids[v-1]-1]}, 200
	})
	r.Server = httptest.NewServer(mux)
	t.Cleanup(r.Close)
	return r
}

// register gives a schema's id, the same for the same schema.
func (r *registryDouble) register(subject string, s sr.Schema) int {
	id := 0
	for i, known := range r.schemas {
		if reflect.DeepEqual(known, s) {
			id = i + 1
		}
	}
	if id == 0 {
		r.schemas = append(r.schemas, s)
		id = len(r.schemas)
	}
	for _, have := range r.subjects[subject] {
		if have == id {
			return id
		}
	}
	r.subjects[subject] = append(r.subjects[subject], id)
	return id
}

func (r *registryDouble) converter(t testing.TB, class string, props ...string) Converter {
	t.Helper()
	all := map[string]string{"schema.registry.url": r.URL}
	for i := 0; i < len(props); i += 2 {
		all[props[i]] = props[i+1]
	}
	return newConverter(t, class, all)
}

// payloads are the schemas and values of testdata/debezium.txt.
func payloads(t testing.TB, each func(whole string, s *sdk.Schema, v any)) {
	t.Helper()
	f, err := os.Open("testdata/debezium.txt")
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	c := newConverter(t, "JsonConverter", nil)
	lines := bufio.NewScanner(f)
	lines.Buffer(nil, 1<<20)
	schema := ""
	for lines.Scan() {
		if s, ok := strings.CutPrefix(lines.Text(), "schema "); ok {
			schema = s
		}
		if payload, ok := strings.CutPrefix(lines.Text(), "payload "); ok {
			whole := `{"schema":` + schema + `,"payload":` + payload + "}"
			s, v, err := c.To("t", []byte(whole))
			if err != nil {
				t.Fatal(err)
			}
			each(whole, s, v)
		}
	}
}

// TestDebeziumInAvro: rows of Debezium's come back from Avro with the same schema and value, and another Avro library reads them.
func TestDebeziumInAvro(t *testing.T) {
	r := newRegistry(t)
	c := r.converter(t, "AvroConverter", "scrub.invalid.names", "true")
	count := 0
	payloads(t, func(whole string, s *sdk.Schema, v any) {
		for _, f := range s.Fields {
			if strings.Contains(f.Name, " ") {
				return // its name would come back changed
			}
		}
		count++
		b, err := c.From("t", s, v, nil)
		if err != nil {
			t.Fatalf("%v of %s", err, whole)
		}
		id := binary.BigEndian.Uint32(b[1:])
		parsed, err := avro.Parse(r.schemas[id-1].Schema)
		if err != nil {
			t.Fatalf("%v in the schema %s", err, r.schemas[id-1].Schema)
		}
		var other any
		if rest, err := parsed.Decode(b[5:], &other); err != nil || len(rest) > 0 {
			t.Fatalf("another library reads %v of %x, and %d bytes are left: %v", other, b[5:], len(rest), err)
		}
		s2, v2, err := c.To("t", b)
		if err != nil {
			t.Fatalf("%v of %s", err, whole)
		}
		again, err := c.From("t", s2, v2, nil)
		if err != nil || string(again[5:]) != string(b[5:]) {
			t.Fatalf("%x is written again as %x, %v", b, again, err)
		}
		j := newConverter(t, "JsonConverter", map[string]string{"schemas.enable": "false"})
		want, _ := j.From("t", s, v, nil)
		got, err := j.From("t", s2, v2, nil)
		if err != nil || string(got) != string(want) {
			t.Errorf("comes back as\n%s instead of\n%s, %v", got, want, err)
		}
	})
	if count < 30 {
		t.Fatalf("only %d payloads", count)
	}
}

// TestAvroSchemas has the schemas that Confluent's AvroData makes, and their bytes.
func TestAvroSchemas(t *testing.T) {
	row := sdk.NewStructure("s.t.Value", sdk.Field{Name: "id", Schema: sdk.Int32Schema}, sdk.Field{Name: "name", Schema: &sdk.Schema{Type: sdk.String, Optional: true, Default: "x"}})
	for _, tc := range []struct {
		name   string
		schema *sdk.Schema
		value  any
		text   string
		bytes  string
	}{
		{"string", sdk.StringSchema, "ab", `"string"`, "\x04ab"},
		{"optional", sdk.OptionalInt64Schema, int64(-1), `["null","long"]`, "\x02\x01"},
		{"int8", &sdk.Schema{Type: sdk.Int8}, int8(1), `{"type":"int","connect.type":"int8"}`, "\x02"},
		{"row", row, &sdk.Struct{Schema: row, Values: []any{int32(2), nil}},
			`{"type":"record","name":"Value","namespace":"s.t","fields":[{"name":"id","type":"int"},{"name":"name","type":[{"type":"string","connect.default":"x"},"null"],"default":"x"}],"connect.name":"s.t.Value"}`, "\x04\x00\x02x"},
		{"twice", sdk.NewStructure("s.t.Envelope", sdk.Field{Name: "before", Schema: row.AsOptional()}, sdk.Field{Name: "after", Schema: row.AsOptional()}),
			nil, `{"type":"record","name":"Envelope","namespace":"s.t","fields":[{"name":"before","type":["null",{"type":"record","name":"Value","fields":[{"name":"id","type":"int"},{"name":"name","type":[{"type":"string","connect.default":"x"},"null"],"default":"x"}],"connect.name":"s.t.Value"}],"default":null},{"name":"after","type":["null","Value"],"default":null}],"connect.name":"s.t.Envelope"}`, "\x00\x00"},
		{"decimal", sdk.NewDecimal(2), sdk.Decimal{Unscaled: 300, Scale: 2},
			`{"type":"bytes","scale":2,"precision":64,"connect.version":1,"connect.parameters":{"scale":"2"},"connect.name":"org.apache.kafka.connect.data.Decimal","logicalType":"decimal"}`, "\x04\x01\x2c"},
		{"date", logical(sdk.Int32, sdk.LogicalDate), time.UnixMilli(86400000), `{"type":"int","connect.version":1,"connect.name":"org.apache.kafka.connect.data.Date","logicalType":"date"}`, "\x02"},
		{"array", sdk.NewArray(sdk.Float64Schema), []any{1.0}, `{"type":"array","items":"double"}`, "\x02\x00\x00\x00\x00\x00\x00\xf0\x3f\x00"},
		{"map", sdk.NewMap(sdk.StringSchema, sdk.BooleanSchema), map[string]any{"a": true}, `{"type":"map","values":"boolean"}`, "\x02\x02a\x01\x00"},
		{"map by numbers", sdk.NewMap(sdk.Int32Schema, sdk.StringSchema), []sdk.Entry{{Key: int32(1), Value: "a"}},
			`{"type":"array","items":{"type":"record","name":"MapEntry","namespace":"io.confluent.connect.avro","fields":[{"name":"key","type":"int"},{"name":"value","type":"string"}]}}`, "\x02\x02\x02a\x00"},
		{"nothing", nil, map[string]any{"a": int64(1), "b": []any{true, nil, "x", 1.5}}, anythingSchema, ""},
	} {
		t.Run(tc.name, func(t *testing.T) {
			r := newRegistry(t)
			c := r.converter(t, "io.confluent.connect.avro.AvroConverter")
			v := tc.value
			if v == nil {
				v = sdk.NewStruct(tc.schema)
			}
			b, err := c.From("t", tc.schema, v, nil)
			if err != nil {
				t.Fatal(err)
			}
			if got := r.schemas[0].Schema; got != tc.text {
				t.Errorf("the schema is\n%s instead of\n%s", got, tc.text)
			}
			if tc.bytes != "" && string(b) != "\x00\x00\x00\x00\x01"+tc.bytes {
				t.Errorf("the bytes are %q", b)
			}
			s, back, err := c.To("t", b)
			if err != nil {
				t.Fatal(err)
			}
			if tc.schema == nil && (s != nil || !reflect.DeepEqual(back, tc.value)) {
				t.Errorf("comes back as %v of %v", back, s)
			}
			again, err := c.From("t", s, back, nil)
			if err != nil || string(again[5:]) != string(b[5:]) {
				t.Errorf("comes back as %v and is written as %q, %v", back, again, err)
			}
		})
	}
}

// TestAvroUnions: what other producers write, too: enums, fixed, unions of several types.
func TestAvroUnions(t *testing.T) {
	r := newRegistry(t)
	text := `{"type":"record","name":"R","namespace":"n","fields":[{"name":"e","type":{"type":"enum","name":"E","symbols":["A","B"]}},{"name":"f","type":{"type":"fixed","name":"F","size":2}},
		{"name":"u","type":["null","string",{"type":"record","name":"I","fields":[{"name":"x","type":"int","default":7}]}]},{"name":"again","type":"I"}]}`
	id := r.register("t-value", sr.Schema{Schema: text})
	c := r.converter(t, "AvroConverter")
	data, err := avro.MustParse(text).Encode(map[string]any{"e": "B", "f": []byte{1, 2}, "u": map[string]any{"x": 5}, "again": map[string]any{"x": 6}})
	if err != nil {
		t.Fatal(err)
	}
	s, v, err := c.To("t", append(binary.BigEndian.AppendUint32([]byte{0}, uint32(id)), data...))
	if err != nil {
		t.Fatal(err)
	}
	j, _ := newConverter(t, "JsonConverter", map[string]string{"schemas.enable": "false"}).From("t", s, v, nil)
	if want := `{"e":"B","f":"AQI=","u":{"string":null,"I":{"x":5}},"again":{"x":6}}`; string(j) != want {
		t.Errorf("is read as %s; want %s", j, want)
	}
	loop := r.register("t-value", sr.Schema{Schema: `{"type":"record","name":"L","fields":[{"name":"l","type":["null","L"]}]}`})
	if _, _, err := c.To("t", []byte{0, 0, 0, 0, byte(loop), 0}); err == nil || !strings.Contains(err.Error(), "lies in itself") {
		t.Errorf("a schema in itself: %v", err)
	}
}

// TestRegistry: subjects by the strategies, ids that are asked for once, and what the registry's answers mean.
func TestRegistry(t *testing.T) {
	row := sdk.NewStructure("s.Row", sdk.Field{Name: "id", Schema: sdk.Int32Schema})
	v := &sdk.Struct{Schema: row, Values: []any{int32(1)}}
	for strategy, want := range map[string]string{"": "t-value", "RecordNameStrategy": "s.Row", "TopicRecordNameStrategy": "t-s.Row"} {
		r := newRegistry(t)
		props := []string{}
		if strategy != "" {
			props = []string{"value.subject.name.strategy", "io.confluent.kafka.serializers.subject." + strategy}
		}
		c := r.converter(t, "AvroConverter", props...)
		for range 3 {
			if _, err := c.From("t", row, v, nil); err != nil {
				t.Fatal(err)
			}
		}
		if len(r.asked) != 1 || r.asked[0] != "POST /subjects/"+want+"/versions" {
			t.Errorf("%s asks %v", strategy, r.asked)
		}
	}
	r := newRegistry(t)
	c := r.converter(t, "AvroConverter", "auto.register.schemas", "false")
	if _, err := c.From("t", row, v, nil); err == nil || sdk.CauseOf(err) == sdk.Transient {
		t.Errorf("a schema that is not there: %v", err)
	}
	latest := r.converter(t, "AvroConverter", "auto.register.schemas", "false", "use.latest.version", "true")
	r.register("t-value", sr.Schema{Schema: "{}"})
	r.register("t-value", sr.Schema{Schema: "{ }"})
	if b, err := latest.From("t", row, v, nil); err != nil || b[4] != 2 {
		t.Errorf("with the latest version: %x, %v", b, err)
	}
	for status, cause := range map[int]sdk.Cause{500: sdk.Transient, 401: sdk.Configuration, 409: sdk.Unknown} {
		r := newRegistry(t)
		r.status = status
		c := r.converter(t, "AvroConverter")
		if _, err := c.From("t", row, v, nil); sdk.CauseOf(err) != cause {
			t.Errorf("an answer of %d is %s: %v", status, sdk.CauseOf(err), err)
		}
	}
	gone := newRegistry(t)
	gone.Close()
	if _, err := gone.converter(t, "AvroConverter").From("t", row, v, nil); sdk.CauseOf(err) != sdk.Transient {
		t.Errorf("no registry is %s: %v", sdk.CauseOf(err), err)
	}
	if _, _, err := c.To("t", []byte("{}")); err == nil || !strings.HasPrefix(err.Error(), "Unknown magic byte!") {
		t.Errorf("JSON is read as Avro: %v", err)
	}
	if _, err := New("AvroConverter", nil, true); err == nil {
		t.Error("no schema.registry.url is well")
	}
	if b, err := c.From("t", row.AsOptional(), nil, nil); b != nil || err != nil {
		t.Errorf("null is %x, %v", b, err)
	}
}

// TestDebeziumInJSONSchema: rows of Debezium's come back from JSON with the schema that a JSON Schema keeps.
func TestDebeziumInJSONSchema(t *testing.T) {
	for _, decimals := range []string{"BASE64", "NUMERIC"} {
		r := newRegistry(t)
		c := r.converter(t, "JsonSchemaConverter", "decimal.format", decimals)
		count := 0
		payloads(t, func(whole string, s *sdk.Schema, v any) {
			count++
			b, err := c.From("t", s, v, nil)
			if err != nil {
				t.Fatalf("%v of %s", err, whole)
			}
			s2, v2, err := c.To("t", b)
			if err != nil {
				t.Fatalf("%v of %s", err, whole)
			}
			again, err := newConverter(t, "JsonConverter", nil).From("t", s2, v2, nil)
			if err != nil || string(again) != whole {
				t.Errorf("comes back as\n%s instead of\n%s, %v", again, whole, err)
			}
		})
		if count < 40 || r.schemas[0].Type != sr.TypeJSON {
			t.Fatalf("only %d payloads, of %v", count, r.schemas[0].Type)
		}
	}
}

// TestJSONSchemaOf has the schema of a structure as Confluent's JsonSchemaData makes it, and what other producers write.
func TestJSONSchemaOf(t *testing.T) {
	r := newRegistry(t)
	c := r.converter(t, "io.confluent.connect.json.JsonSchemaConverter")
	row := sdk.NewStructure("s.Row", sdk.Field{Name: "id", Schema: sdk.Int32Schema}, sdk.Field{Name: "name", Schema: sdk.OptionalStringSchema},
		sdk.Field{Name: "m", Schema: sdk.NewMap(sdk.StringSchema, sdk.BytesSchema)})
	b, err := c.From("t", row, &sdk.Struct{Schema: row, Values: []any{int32(1), nil, map[string]any{"a": []byte{1}}}}, nil)
	if err != nil || string(b[5:]) != `{"id":1,"name":null,"m":{"a":"AQ=="}}` {
		t.Errorf("is written as %s, %v", b, err)
	}
	want := `{"type":"object","properties":{"id":{"connect.index":0,"type":"integer","connect.type":"int32"},"name":{"connect.index":1,"oneOf":[{"type":"null"},{"type":"string"}]},` +
		`"m":{"connect.index":2,"type":"object","connect.type":"map","additionalProperties":{"type":"string","connect.type":"bytes"}}},"title":"s.Row"}`
	if got := r.schemas[0].Schema; got != want {
		t.Errorf("the schema is\n%s instead of\n%s", got, want)
	}
	r.register("other", sr.Schema{Type: sr.TypeJSON, Schema: `{"type":"object","properties":{"street":{"type":["string","null"]}}}`})
	id := r.register("t-value", sr.Schema{Type: sr.TypeJSON, References: []sr.SchemaReference{{Name: "other.json", Subject: "other", Version: 1}},
		Schema: `{"$schema":"x","type":"object","definitions":{"n":{"type":"number","default":1.5}},"properties":{"n":{"$ref":"#/definitions/n"},"at":{"$ref":"other.json"},"l":{"type":"array","items":{"type":"integer"}}}}`})
	s, v, err := c.To("t", append([]byte{0, 0, 0, 0, byte(id)}, `{"at":{"street":null},"l":[1]}`...))
	if err != nil {
		t.Fatal(err)
	}
	j, _ := newConverter(t, "JsonConverter", map[string]string{"schemas.enable": "false"}).From("t", s, v, nil)
	if string(j) != `{"n":1.5,"at":{"street":null},"l":[1]}` {
		t.Errorf("is read as %s", j)
	}
	for schema, want := range map[string]string{
		`{"$ref":"#"}`: "lies in itself", `{"$ref":"#/a"}`: "is not there", `{"oneOf":[{"type":"string"},{"type":"integer"}]}`: "several types", `{`: "no JSON", `{"type":"array"}`: "items",
	} {
		id := r.register("bad", sr.Schema{Type: sr.TypeJSON, Schema: schema})
		if _, _, err := c.To("t", []byte{0, 0, 0, 0, byte(id), '1'}); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v", schema, err)
		}
	}
	free, err := c.From("t", nil, map[string]any{"a": int64(1)}, nil)
	if err != nil {
		t.Fatal(err)
	}
	if s, v, err := c.To("t", free); s != nil || !reflect.DeepEqual(v, map[string]any{"a": int64(1)}) || err != nil {
		t.Errorf("a value without a schema comes back as %v of %v, %v", v, s, err)
	}
}

// FuzzAvro: no bytes panic or take long, whatever the schema.
func FuzzAvro(f *testing.F) {
	format := &avroFormat{meta: true}
	var readers []payloadReader
	add := func(s *sdk.Schema, v any) {
		w, text, _, err := format.writer(s)
		if err != nil {
			f.Fatal(err)
		}
		b, err := w.append(nil, v)
		if err != nil {
			f.Fatal(err)
		}
		r, err := format.reader(text, nil)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(uint8(len(readers)), b)
		readers = append(readers, r)
	}
	s, v := envelope()
	add(s, v)
	add(nil, map[string]any{"a": []any{1.5, nil, true}})
	add(sdk.NewArray(sdk.NewStructure("e")), []any{})
	add(sdk.NewMap(sdk.Int32Schema, sdk.NewArray(optional(sdk.Bytes))), []sdk.Entry{{Key: int32(1), Value: []any{[]byte{1}}}})
	f.Fuzz(func(t *testing.T, which uint8, b []byte) {
		r := readers[int(which)%len(readers)]
		s, v, err := r.read(b)
		if err != nil {
			return
		}
		w, _, _, err := format.writer(s)
		if err != nil {
			t.Fatal(err)
		}
		once, err := w.append(nil, v)
		if err != nil {
			return
		}
		_, v2, err := r.read(once)
		if err != nil {
			t.Fatalf("%x is written as %x, which is not read: %v", b, once, err)
		}
		if twice, err := w.append(nil, v2); err != nil || string(twice) != string(once) {
			t.Fatalf("%x is written as %x, then as %x, %v", b, once, twice, err)
		}
	})
}

func BenchmarkAvro(b *testing.B) {
	r := newRegistry(b)
	c := r.converter(b, "AvroConverter")
	s, v := envelope()
	buf, err := c.From("t", s, v, nil)
	if err != nil {
		b.Fatal(err)
	}
	b.Run("From", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			if _, err := c.From("t", s, v, buf[:0]); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("To", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			if _, _, err := c.To("t", buf); err != nil {
				b.Fatal(err)
			}
		}
	})
}
