package postgres

import (
	"bytes"
	"crypto/md5"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/weir/weir/connect/sdk"
)

// Golden files are what Debezium gave for types.sql, rows.sql and changes.sql, a variant of options each: its first line has the
// options; "topic T" begins a topic, "k1 …" and "v1 …" are schemas, and each record is "> key's schema, key, value's schema, value,
// headers". What differs from run to run is masked: times, places in the log, transactions.

// TestGolden: the same tables and statements give what Debezium gave.
func TestGolden(t *testing.T) {
	s := postgresFor(t)
	files, err := filepath.Glob("testdata/*.golden")
	if err != nil || len(files) == 0 {
		t.Fatal(err, files)
	}
	for _, file := range files {
		variant := strings.TrimSuffix(filepath.Base(file), ".golden")
		if variant == "incremental" {
			continue // see TestIncrementalSnapshotGolden
		}
		t.Run(variant, func(t *testing.T) { checkGolden(t, s, variant) })
	}
}

// known is where Weir differs on purpose: in a snapshot Debezium loses that a date is before the year 1; in the stream it does not.
var known = strings.NewReplacer(`"d":-703383,`, `"d":-735160,`)

func checkGolden(t *testing.T, s *server, variant string) {
	text, err := os.ReadFile("testdata/" + variant + ".golden")
	if err != nil {
		t.Fatal(err)
	}
	var options map[string]string
	first, rest, _ := strings.Cut(string(text), "\n")
	if err := json.Unmarshal([]byte(first[2:]), &options); err != nil {
		t.Fatal(err)
	}
	plain := options["schemas"] == "false"
	delete(options, "schemas")
	database := "g_" + strings.ReplaceAll(variant, "-", "_")
	options["topic.prefix"] = "g." + variant
	c := s.database(t, database)
	scripts, end := []string{"types.sql", "rows.sql", "changes.sql"}, "t_end"
	if strings.HasPrefix(variant, "edges-") {
		scripts, end = []string{"edges.sql", "edges-rows.sql"}, "e_end"
	}
	c.script(scripts[0])
	if variant == "default-snapshot" {
		c.run("CREATE TABLE debezium_signal (id text PRIMARY KEY)") // as there was: the first table had no rows
	}
	snapshot := strings.HasSuffix(variant, "-snapshot")
	if snapshot {
		c.script(scripts[1])
		scripts = nil
	}
	task := begun(t, newKeeper(t), s.props(database, options))
	defer task.Stop()
	changed := make(chan struct{})
	go func() {
		defer close(changed)
		for !task.isStreaming() {
			time.Sleep(10 * time.Millisecond)
		}
		for _, script := range scripts[min(1, len(scripts)):] {
			c.script(script)
		}
		c.run("INSERT INTO " + end + " VALUES (99)")
	}()
	defer func() { <-changed }()
	last := func(r *sdk.Record) bool { return strings.HasSuffix(r.Topic, "."+end) }
	if variant == "transactions" {
		last = func() func(r *sdk.Record) bool {
			ended := false
			return func(r *sdk.Record) bool {
				ended = ended || strings.HasSuffix(r.Topic, "."+end)
				return ended && strings.HasSuffix(r.Topic, ".transaction")
			}
		}()
	}
	records := pollUntil(t, task, last)
	want := parseGolden(t, known.Replace(rest))
	got := renderAll(records, plain)
	if os.Getenv("DUMP") != "" {
		b, _ := json.Marshal(map[string]any{"want": want, "got": got})
		_ = os.WriteFile(os.Getenv("DUMP"), b, 0o644)
	}
	for topic, lines := range want {
		if diff := cmp.Diff(canonical(lines), canonical(got[topic])); diff != "" {
			t.Errorf("%s (- Debezium, + Weir):\n%s", topic, diff)
		}
	}
	for topic := range got {
		if want[topic] == nil && !(variant == "schemas-and-reroute") {
			t.Errorf("records came in topic %s: %v", topic, got[topic])
		}
	}
}

func (t *task) isStreaming() bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.live != nil
}

// line is a record as golden files have it.
type line struct{ KeySchema, Key, ValueSchema, Value, Headers string }

func parseGolden(t *testing.T, text string) map[string][]line {
	sum := ""
	for g := 1; g <= 100; g++ {
		h := md5.Sum([]byte(strconv.Itoa(g)))
		sum += hex.EncodeToString(h[:])
	}
	out := map[string][]line{}
	topic, schemas := "", map[string]string{}
	for _, l := range strings.Split(strings.TrimSpace(text), "\n") {
		switch {
		case strings.HasPrefix(l, "topic "):
			topic, schemas = l[6:], map[string]string{"-": "-"}
		case strings.HasPrefix(l, ">\t"):
			f := strings.Split(l, "\t")
			headers := strings.Join(f[5:], "\t")
			prefix := strings.SplitN(topic, ".public.", 2)[0]
			headers = strings.ReplaceAll(headers, "@context", "__debezium.context.connectorLogicalName="+prefix+"\t__debezium.context.connectorName=postgresql\t__debezium.context.taskId=0")
			f2 := line{schemas[f[1]], f[2], schemas[f[3]], strings.ReplaceAll(f[4], "@md5", sum), headers}
			out[topic] = append(out[topic], f2)
		default:
			name, schema, _ := strings.Cut(l, " ")
			schemas[name] = schema
		}
	}
	return out
}

// canonical writes values' numbers and members in one way.
func canonical(lines []line) []line {
	out := slices.Clone(lines)
	for i := range out {
		for _, p := range []*string{&out[i].Key, &out[i].Value} {
			text := strings.ReplaceAll(*p, "@v,", "")
			var v any
			d := json.NewDecoder(strings.NewReader(text))
			d.UseNumber()
			if d.Decode(&v) == nil {
				b, _ := json.Marshal(canonicalNumbers(v))
				*p = string(b)
			}
		}
	}
	return out
}

func canonicalNumbers(v any) any {
	switch v := v.(type) {
	case map[string]any:
		for k := range v {
			v[k] = canonicalNumbers(v[k])
		}
	case []any:
		for i := range v {
			v[i] = canonicalNumbers(v[i])
		}
	case json.Number:
		if strings.ContainsAny(string(v), ".eE") {
			f, _ := v.Float64()
			return strconv.FormatFloat(f, 'g', -1, 64)
		}
	}
	return v
}

var masks = []struct {
	re   *regexp.Regexp
	with string
}{
	{regexp.MustCompile(`"version":"[^"]*","connector":"postgresql","name":"[^"]*","ts_ms":\d+,`), "@v,"},
	{regexp.MustCompile(`"sequence":"\[null,\\"\d+\\"\]"`), `"sequence":"[null,1]"`},
	{regexp.MustCompile(`"sequence":"\[\\"\d+\\",\\"\d+\\"\]"`), `"sequence":"[1,1]"`},
	{regexp.MustCompile(`"(ts_ms|ts_us|ts_ns)":\d+`), `"$1":0`},
	{regexp.MustCompile(`"id":1,"ts":("20[^"]*"|\d+),"u":"[^"]*"`), `"id":1,"ts":0,"u":0`}, // defaults that are computed
	{regexp.MustCompile(`"dt":("20[^"]*"|\d+)`), `"dt":0`},                                 // the day of the run
	{regexp.MustCompile(`"(lsn|txId)":\d+`), `"$1":1`},
	{regexp.MustCompile(`"id":"\d+:\d+"`), `"id":"1:1"`},
}

func mask(s string) string {
	for _, m := range masks {
		s = m.re.ReplaceAllString(s, m.with)
	}
	return s
}

var schemaMacros = []struct {
	re   *regexp.Regexp
	with string
}{
	{regexp.MustCompile(`\{"type":"struct","fields":\[\{"type":"string","optional":false,"field":"version"\}.*?"name":"io\.debezium\.connector\.postgresql\.Source","version":1,"field":"source"\}`), "@source"},
	{regexp.MustCompile(`\{"type":"struct","fields":\[\{"type":"string","optional":false,"field":"id"\},\{"type":"int64","optional":false,"field":"total_order"\}.*?"field":"transaction"\}`), "@transaction"},
	{regexp.MustCompile(`"default":"x",`), ""}, // of a column that is there only for a moment: seen or not
}

func renderSchema(s *sdk.Schema) string {
	if s == nil {
		return "-"
	}
	text := string(appendSchema(nil, s, ""))
	for _, m := range schemaMacros {
		text = m.re.ReplaceAllString(text, m.with)
	}
	return text
}

func renderAll(records []*sdk.Record, plain bool) map[string][]line {
	out := map[string][]line{}
	for _, r := range records {
		l := line{KeySchema: renderSchema(r.KeySchema), Key: string(appendValue(nil, r.KeySchema, r.Key)), ValueSchema: renderSchema(r.ValueSchema), Value: "-"}
		if plain {
			l.KeySchema, l.ValueSchema = "-", "-"
		}
		l.Key = mask(l.Key)
		if r.Value != nil {
			l.Value = mask(string(appendValue(nil, r.ValueSchema, r.Value)))
		}
		var headers []string
		for _, h := range r.Headers {
			if h.Key == "__debezium.context.runId" {
				continue
			}
			text := fmt.Sprint(h.Value)
			if h.Schema.Type == sdk.Structure {
				text = string(appendValue(nil, h.Schema, h.Value))
			}
			headers = append(headers, h.Key+"="+text)
		}
		slices.Sort(headers)
		l.Headers = strings.Join(headers, "\t")
		out[r.Topic] = append(out[r.Topic], l)
	}
	return out
}

// appendSchema writes a schema as Kafka's JSON converter does.
func appendSchema(b []byte, s *sdk.Schema, field string) []byte {
	names := map[sdk.Type]string{sdk.Float32: "float", sdk.Float64: "double"}
	name := names[s.Type]
	if name == "" {
		name = s.Type.String()
	}
	b = append(b, `{"type":"`+name+`"`...)
	switch s.Type {
	case sdk.Structure:
		b = append(b, `,"fields":[`...)
		for i, f := range s.Fields {
			if i > 0 {
				b = append(b, ',')
			}
			b = appendSchema(b, f.Schema, f.Name)
		}
		b = append(b, ']')
	case sdk.Array:
		b = appendSchema(append(b, `,"items":`...), s.Elem, "")
	case sdk.Map:
		b = appendSchema(append(b, `,"keys":`...), s.Key, "")
		b = appendSchema(append(b, `,"values":`...), s.Elem, "")
	}
	b = append(b, fmt.Sprintf(`,"optional":%v`, s.Optional)...)
	if s.Name != "" {
		b = append(b, `,"name":`+jsonText(s.Name)...)
	}
	if s.Version != 0 {
		b = append(b, fmt.Sprintf(`,"version":%d`, s.Version)...)
	}
	if s.Doc != "" {
		b = append(b, `,"doc":`+jsonText(s.Doc)...)
	}
	if len(s.Params) > 0 {
		b = append(b, `,"parameters":{`...)
		for i, p := range s.Params {
			if i > 0 {
				b = append(b, ',')
			}
			b = append(b, jsonText(p.Name)+":"+jsonText(p.Value)...)
		}
		b = append(b, '}')
	}
	if s.Default != nil {
		b = appendValue(append(b, `,"default":`...), s, s.Default)
	}
	if field != "" {
		b = append(b, `,"field":`+jsonText(field)...)
	}
	return append(b, '}')
}

func jsonText(s string) string {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	_ = e.Encode(s)
	return strings.TrimSpace(b.String())
}

// appendValue writes a value as Kafka's JSON converter does.
func appendValue(b []byte, s *sdk.Schema, v any) []byte {
	if v == nil && s != nil && s.Default != nil {
		v = s.Default
	}
	float := func(f float64) []byte {
		switch {
		case math.IsNaN(f):
			return append(b, `"NaN"`...)
		case math.IsInf(f, 1):
			return append(b, `"Infinity"`...)
		case math.IsInf(f, -1):
			return append(b, `"-Infinity"`...)
		case f == math.Trunc(f) && math.Abs(f) < 1e15:
			return strconv.AppendFloat(b, f, 'f', 1, 64)
		}
		return strconv.AppendFloat(b, f, 'g', -1, 64)
	}
	switch v := v.(type) {
	case nil:
		return append(b, "null"...)
	case sdk.Decimal:
		return append(b, jsonText(base64.StdEncoding.EncodeToString(v.AppendBytes(nil)))...)
	case time.Time:
		switch s.Name {
		case sdk.LogicalDate:
			return strconv.AppendInt(b, v.Unix()/86400, 10)
		default:
			return strconv.AppendInt(b, v.UnixMilli(), 10)
		}
	case string:
		return append(b, jsonText(v)...)
	case []byte:
		return append(b, jsonText(base64.StdEncoding.EncodeToString(v))...)
	case float32:
		f, _ := strconv.ParseFloat(strconv.FormatFloat(float64(v), 'g', -1, 32), 64)
		return float(f)
	case float64:
		return float(v)
	case []any:
		b = append(b, '[')
		for i, e := range v {
			if i > 0 {
				b = append(b, ',')
			}
			b = appendValue(b, s.Elem, e)
		}
		return append(b, ']')
	case map[string]any:
		text, _ := json.Marshal(v)
		return append(b, text...)
	case *sdk.Struct:
		b = append(b, '{')
		for i, f := range v.Schema.Fields {
			if i > 0 {
				b = append(b, ',')
			}
			b = appendValue(append(b, jsonText(f.Name)+":"...), f.Schema, v.Values[i])
		}
		return append(b, '}')
	}
	return append(b, fmt.Sprint(v)...)
}

// TestIncrementalSnapshotGolden: an incremental snapshot by signal gives what Debezium gave, the windows in the signal table too.
func TestIncrementalSnapshotGolden(t *testing.T) {
	s := postgresFor(t)
	text, err := os.ReadFile("testdata/incremental.golden")
	if err != nil {
		t.Fatal(err)
	}
	var options map[string]string
	first, rest, _ := strings.Cut(string(text), "\n")
	if err := json.Unmarshal([]byte(first[2:]), &options); err != nil {
		t.Fatal(err)
	}
	options["topic.prefix"] = "g.incremental"
	c := s.database(t, "g_incremental")
	c.script("types.sql")
	c.script("rows.sql")
	c.run("CREATE TABLE debezium_signal (id varchar(42) PRIMARY KEY, type varchar(32) NOT NULL, data varchar(2048))")
	task := begun(t, newKeeper(t), s.props("g_incremental", options))
	defer task.Stop()
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		for !task.isStreaming() {
			time.Sleep(10 * time.Millisecond)
		}
		c.run(`INSERT INTO debezium_signal VALUES ('ad-hoc-1', 'execute-snapshot', '{"data-collections": ["public.t_int", "public.t_composite"], "type": "incremental"}')`)
	}()
	closed := 0
	records := pollUntil(t, task, func(r *sdk.Record) bool {
		if strings.HasSuffix(r.Topic, ".debezium_signal") && strings.HasSuffix(r.Key.(*sdk.Struct).Values[0].(string), "-close") {
			if closed++; closed == 3 {
				s.session(t, "g_incremental").run("INSERT INTO t_end VALUES (99)")
			}
		}
		return strings.HasSuffix(r.Topic, ".t_end")
	})
	<-ended
	ids := regexp.MustCompile(`[0-9a-f-]{36}-(open|close)`)
	times := regexp.MustCompile(`WindowTimestamp\\": \\"[^"]*\\"`)
	plain := func(lines []line) []line {
		out := canonical(lines)
		for i := range out {
			out[i].Key = ids.ReplaceAllString(out[i].Key, "$1")
			out[i].Value = times.ReplaceAllString(ids.ReplaceAllString(out[i].Value, "$1"), "time")
		}
		return out
	}
	want, got := parseGolden(t, rest), renderAll(records, false)
	for topic, lines := range want {
		have := got[topic]
		if strings.HasPrefix(topic, "__debezium-heartbeat") {
			lines, have = lines[:1], have[:min(1, len(have))]
			if have == nil {
				continue // it was quicker than the first heartbeat
			}
		}
		if diff := cmp.Diff(plain(lines), plain(have)); diff != "" {
			t.Errorf("%s (- Debezium, + Weir):\n%s", topic, diff)
		}
	}
}
