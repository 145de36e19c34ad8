package transform_test

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"reflect"
	"sort"
	"strings"
	"testing"
	"time"

	"github.com/weir/weir/connect/convert"
	"github.com/weir/weir/connect/sdk"
	"github.com/weir/weir/connect/transform"
)

// example is a record that the real transforms were given, and what they made of it.
type example struct {
	line  int
	class string
	props map[string]string
	given map[string]string
	want  []string
}

// examples reads testdata/kafka.txt.
func examples(t testing.TB) []example {
	t.Helper()
	f, err := os.Open("testdata/kafka.txt")
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	var out []example
	schemas := map[string]string{}
	lines := bufio.NewScanner(f)
	lines.Buffer(nil, 1<<20)
	for n := 1; lines.Scan(); n++ {
		word, rest, _ := strings.Cut(lines.Text(), " ")
		if after, ok := strings.CutPrefix(strings.TrimPrefix(rest, word), `{"schema":$`); ok {
			name, end, _ := strings.Cut(after, ",")
			rest = `{"schema":` + schemas[name] + "," + end
		}
		switch {
		case word == "" || word == "#":
		case word == "schema":
			name, text, _ := strings.Cut(rest, " ")
			schemas[name] = text
		case word == "==":
			class, props, _ := strings.Cut(rest, " ")
			e := example{line: n, class: class, given: map[string]string{}}
			if props != "" {
				if err := json.Unmarshal([]byte(props), &e.props); err != nil {
					t.Fatal(err)
				}
			}
			out = append(out, e)
		case word == "->":
			what, text, _ := strings.Cut(rest, " ")
			if after, ok := strings.CutPrefix(text, `{"schema":$`); ok {
				name, end, _ := strings.Cut(after, ",")
				text = `{"schema":` + schemas[name] + "," + end
			}
			e := &out[len(out)-1]
			e.want = append(e.want, what+" "+text)
		default:
			out[len(out)-1].given[word] = rest
		}
	}
	return out
}

type converters struct{ with, without convert.Converter }

func newConverters(t testing.TB) converters {
	make := func(schemas string) convert.Converter {
		c, err := convert.New("JsonConverter", map[string]string{"schemas.enable": schemas, "decimal.format": "NUMERIC", "replace.null.with.default": "false"}, false)
		if err != nil {
			t.Fatal(err)
		}
		return c
	}
	return converters{make("true"), make("false")}
}

func (c converters) read(t testing.TB, text string) (*sdk.Schema, any) {
	t.Helper()
	if text == "" || text == "null" {
		return nil, nil
	}
	from := c.without
	if strings.HasPrefix(text, `{"schema":`) {
		from = c.with
	}
	s, v, err := from.To("t", []byte(text))
	if err != nil {
		t.Fatalf("%s: %v", text, err)
	}
	return s, v
}

func (c converters) write(s *sdk.Schema, v any) (string, error) {
	if s == nil && v == nil {
		return "none", nil
	}
	to := c.without
	if s != nil {
		to = c.with
	}
	b, err := to.From("t", s, v, nil)
	return string(b), err
}

func (c converters) record(t testing.TB, e example) *sdk.Record {
	r := &sdk.Record{Topic: "topic", Partition: 3, Timestamp: time.UnixMilli(1709212455123), Offset: 42, From: sdk.TopicPartition{Topic: "topic", Partition: 3}}
	if text, ok := e.given["topic"]; ok {
		if err := json.Unmarshal([]byte(text), &r.Topic); err != nil {
			t.Fatal(err)
		}
	}
	if e.given["partition"] == "null" {
		r.Partition = -1
	}
	if e.given["ts"] == "null" {
		r.Timestamp = time.Time{}
	}
	if e.given["source"] != "" {
		r.From = sdk.TopicPartition{}
	}
	var headers map[string]json.RawMessage
	if text := e.given["headers"]; text != "" {
		if err := json.Unmarshal([]byte(text), &headers); err != nil {
			t.Fatal(err)
		}
	}
	for name, text := range headers {
		h := sdk.Header{Key: name}
		h.Schema, h.Value = c.read(t, string(text))
		r.Headers = append(r.Headers, h)
	}
	sort.Slice(r.Headers, func(i, j int) bool { return r.Headers[i].Key < r.Headers[j].Key })
	r.KeySchema, r.Key = c.read(t, e.given["key"])
	r.ValueSchema, r.Value = c.read(t, e.given["value"])
	return r
}

// results are what became of a record, as the examples have it.
func (c converters) results(e example, before, r *sdk.Record, err error) []string {
	if err != nil {
		return []string{"error " + strings.ReplaceAll(err.Error(), "\n", `\n`)}
	}
	if r == nil {
		return []string{"dropped "}
	}
	var out []string
	if r.Topic != before.Topic {
		out = append(out, "topic "+r.Topic)
	}
	write := func(what string, s *sdk.Schema, v any) {
		text, wrong := c.write(s, v)
		if wrong != nil && err == nil {
			err = wrong
		}
		out = append(out, what+text)
	}
	was, _ := c.write(before.KeySchema, before.Key)
	if is, _ := c.write(r.KeySchema, r.Key); is != was {
		write("key ", r.KeySchema, r.Key)
	}
	write("value ", r.ValueSchema, r.Value)
	for _, h := range r.Headers {
		write("header "+h.Key+"=", h.Schema, h.Value)
	}
	if err != nil {
		return []string{"error " + err.Error()}
	}
	for i := range out {
		if strings.HasSuffix(out[i], "=none") {
			out[i] = strings.TrimSuffix(out[i], "none") + "null"
		}
	}
	return out
}

// TestAsKafka: the transforms make of records what Kafka's and Debezium's own made of them, errors word for word.
func TestAsKafka(t *testing.T) {
	all := examples(t)
	if len(all) < 300 {
		t.Fatalf("only %d examples", len(all))
	}
	for _, e := range all {
		c := newConverters(t)
		r := c.record(t, e)
		var got []string
		if strings.Contains(e.class, ".predicates.") {
			got = []string{fmt.Sprint("is ", holds(t, e, r))}
		} else {
			props := map[string]string{"transforms": "x", "transforms.x.type": e.class}
			for k, v := range e.props {
				props["transforms.x."+k] = v
			}
			chain, wrong := transform.New(props)
			if len(wrong) > 0 {
				got = c.results(e, r, nil, errors.New(strings.ReplaceAll(wrong[0].Error(), "transforms.x.", "")))
			} else {
				out, err := chain.Apply(r)
				got = c.results(e, r, out, err)
			}
		}
		same := len(got) == len(e.want)
		for i := range got {
			same = same && (got[i] == e.want[i] || sameJSON(got[i], e.want[i]) || strings.HasPrefix(e.want[i], "error Timestamp missing") && strings.HasPrefix(got[i], e.want[i]))
		}
		if !same {
			t.Errorf("kafka.txt:%d: %s %v of %v gives\n\t%s\ninstead of\n\t%s", e.line, e.class, e.props, e.given, strings.Join(got, "\n\t"), strings.Join(e.want, "\n\t"))
		}
	}
}

// sameJSON compares maps without schemas, whose order in Kafka depends on how they came to be.
func sameJSON(a, b string) bool {
	whatA, a, _ := strings.Cut(a, " ")
	whatB, b, _ := strings.Cut(b, " ")
	var x, y any
	return whatA == whatB && !strings.Contains(a, `"schema":`) && json.Unmarshal([]byte(a), &x) == nil && json.Unmarshal([]byte(b), &y) == nil && reflect.DeepEqual(x, y)
}

// holds tells whether a predicate is true: whether a filter with it drops the record.
func holds(t *testing.T, e example, r *sdk.Record) bool {
	props := map[string]string{"transforms": "f", "transforms.f.type": "Filter", "transforms.f.predicate": "p", "predicates": "p", "predicates.p.type": e.class}
	for k, v := range e.props {
		props["predicates.p."+k] = v
	}
	chain, wrong := transform.New(props)
	if len(wrong) > 0 {
		t.Fatal(wrong)
	}
	out, err := chain.Apply(r)
	if err != nil {
		t.Fatal(err)
	}
	props["transforms.f.negate"] = "true"
	chain, _ = transform.New(props)
	if negated, _ := chain.Apply(r); (negated == nil) == (out == nil) {
		t.Errorf("%s means the same when it is negated", e.class)
	}
	return out == nil
}

// TestChain: transforms come one after the other, predicates choose, and the record that was given stays as it is.
func TestChain(t *testing.T) {
	chain, wrong := transform.New(map[string]string{
		"transforms": "drop, mask,route", "predicates": "gone,other",
		"transforms.drop.type": "org.apache.kafka.connect.transforms.Filter", "transforms.drop.predicate": "gone",
		"transforms.mask.type": "org.apache.kafka.connect.transforms.MaskField$Value", "transforms.mask.fields": "secret",
		"transforms.route.type": "RegexRouter", "transforms.route.regex": "(.*)", "transforms.route.replacement": "x.$1",
		"transforms.route.predicate": "other", "transforms.route.negate": "true",
		"predicates.gone.type":  "org.apache.kafka.connect.transforms.predicates.RecordIsTombstone",
		"predicates.other.type": "org.apache.kafka.connect.transforms.predicates.TopicNameMatches", "predicates.other.pattern": "other",
	})
	if len(wrong) > 0 {
		t.Fatal(wrong)
	}
	for _, tc := range []struct {
		topic string
		value any
		want  string
	}{
		{"t", map[string]any{"secret": "x", "a": int64(1)}, "x.t"},
		{"other", map[string]any{"secret": "x"}, "other"},
		{"t", nil, ""},
	} {
		r := &sdk.Record{Topic: tc.topic, Value: tc.value}
		out, err := chain.Apply(r)
		if err != nil || (out == nil) != (tc.want == "") || out != nil && (out.Topic != tc.want || out.Value.(map[string]any)["secret"] != "") {
			t.Errorf("%s, %v becomes %v, %v", tc.topic, tc.value, out, err)
		}
		if r.Topic != tc.topic || tc.value != nil && r.Value.(map[string]any)["secret"] != "x" {
			t.Errorf("the record that was given is now %v", r)
		}
	}
	if chain, _ := transform.New(nil); chain != nil {
		r := &sdk.Record{}
		if out, err := chain.Apply(r); out != r || err != nil {
			t.Error("no transforms change a record")
		}
	}
}

// TestWrong: what is wrong in a configuration, and at which option.
func TestWrong(t *testing.T) {
	const cast = "org.apache.kafka.connect.transforms.Cast$Value"
	for _, tc := range []struct{ props, option, want string }{
		{"transforms=a", "transforms.a.type", `Missing required configuration "transforms.a.type" which has no default value.`},
		{"transforms=a;transforms.a.type=Nothing", "transforms.a.type", "Invalid value Nothing for configuration transforms.a.type: Class Nothing could not be found."},
		{"transforms=a;transforms.a.type=" + cast, "transforms.a.spec", `Missing required configuration "transforms.a.spec" which has no default value.`},
		{"transforms=a;transforms.a.type=" + cast + ";transforms.a.spec=int8;transforms.a.negate=maybe;transforms.a.predicate=p", "transforms.a.negate", "Invalid value maybe for configuration transforms.a.negate: Expected value to be either true or false"},
		{"transforms=a;transforms.a.type=Filter;transforms.a.negate=true", "transforms.a.type", "Config 'transforms.a.negate' was provided but there is no config 'transforms.a.predicate' defining a predicate to be negated."},
		{"transforms=a;transforms.a.type=Filter;transforms.a.predicate=p", "transforms.a.predicate", "There is no predicate p; name it in predicates, and give predicates.p.type"},
		{"predicates=p;predicates.p.type=TopicNameMatches;predicates.p.pattern=(?=x)", "predicates.p.pattern", "Invalid value (?=x) for configuration pattern: Invalid regex: invalid or unsupported Perl syntax: `(?=` (look-around, back references and possessive quantifiers are not supported)"},
	} {
		props := map[string]string{}
		for _, kv := range strings.Split(tc.props, ";") {
			k, v, _ := strings.Cut(kv, "=")
			props[k] = v
		}
		_, wrong := transform.New(props)
		if len(wrong) == 0 || wrong[0].Option != tc.option || wrong[0].Error() != tc.want {
			t.Errorf("%s: %v; want %s at %s", tc.props, wrong, tc.want, tc.option)
		}
	}
}

// TestPlugins: every transform and predicate is found by its name, and Options has what the REST API tells.
func TestPlugins(t *testing.T) {
	plugins := transform.Plugins()
	if len(plugins) != 30 {
		t.Errorf("%d plugins", len(plugins))
	}
	options, wrong := transform.Options(map[string]string{"transforms": "f", "transforms.f.type": plugins[0].Class, "predicates": "p", "predicates.p.type": "HasHeaderKey"})
	if len(wrong) > 0 {
		t.Fatal(wrong)
	}
	var names []string
	for _, o := range options {
		names = append(names, fmt.Sprint(o.Name, " in ", o.Group, " ", o.Order))
	}
	got := strings.Join(names, "\n")
	for _, want := range []string{"transforms.f.type in Transforms: f 0\ntransforms.f.plugin.version in Transforms: f 1\ntransforms.f.negate in Transforms: f 2\ntransforms.f.predicate in Transforms: f 3\n",
		"predicates.p.type in Predicates: p 0\npredicates.p.plugin.version in Predicates: p 1\npredicates.p.name in Predicates: p 2"} {
		if !strings.Contains(got, want) {
			t.Errorf("the options are\n%s\nwithout\n%s", got, want)
		}
	}
}

// BenchmarkUnwrap is a common chain: rows of events, with a field more.
func BenchmarkUnwrap(b *testing.B) {
	for _, e := range examples(b) {
		if !strings.Contains(e.class, "debezium") || e.props["add.fields"] == "" || !strings.Contains(e.given["value"], `"op":"u"`) {
			continue
		}
		r := newConverters(b).record(b, e)
		props := map[string]string{"transforms": "x", "transforms.x.type": e.class}
		for k, v := range e.props {
			props["transforms.x."+k] = v
		}
		chain, wrong := transform.New(props)
		if len(wrong) > 0 {
			b.Fatal(wrong)
		}
		b.ReportAllocs()
		for b.Loop() {
			if _, err := chain.Apply(r); err != nil {
				b.Fatal(err)
			}
		}
		return
	}
	b.Fatal("no example")
}
