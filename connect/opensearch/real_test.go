package opensearch

import (
	"encoding/base64"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/weir/weir/connect/sdk"
	"github.com/weir/weir/connect/sdk/kit"
	"github.com/weir/weir/weirtest"
)

// fakeContext is a task's, without a runtime.
type fakeContext struct{}

func (fakeContext) Report(*sdk.Record, error) error     { panic("BUG: nobody reports so") }
func (fakeContext) Rewind(map[sdk.TopicPartition]int64) {}
func (fakeContext) End(sdk.TopicPartition) int64        { return 0 }
func (fakeContext) Logger() *slog.Logger                { return slog.New(slog.DiscardHandler) }
func (fakeContext) Connector() string                   { return "c" }
func (fakeContext) Task() int                           { return 0 }

// startTask starts a task by itself.
func startTask(t testing.TB, of flavour, url string, props map[string]string) sdk.SinkTask {
	t.Helper()
	all := maps.Clone(props)
	if all == nil {
		all = map[string]string{}
	}
	all["connection.url"] = url
	v, wrong := sdk.Parse(sink{of}.Options(), all)
	if len(wrong) > 0 {
		t.Fatal(wrong)
	}
	task := sink{of}.NewTask()
	if err := task.Start(t.Context(), fakeContext{}, v); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = task.Stop() })
	return task
}

func put(t testing.TB, task sdk.SinkTask, records ...*sdk.Record) error {
	t.Helper()
	for i, r := range records {
		r.Offset += int64(i)
		r.From = sdk.TopicPartition{Topic: r.Topic, Partition: r.Partition}
	}
	return task.Put(t.Context(), records)
}

func of(topic string, key, value any) *sdk.Record {
	return &sdk.Record{Topic: topic, Key: key, Value: value, Timestamp: time.UnixMilli(1700000000000)}
}

func refusals(err error) (out []*sdk.RecordError) {
	if many, ok := err.(interface{ Unwrap() []error }); ok {
		for _, one := range many.Unwrap() {
			out = append(out, refusals(one)...)
		}
		return out
	}
	var one *sdk.RecordError
	if errors.As(err, &one) {
		out = append(out, one)
	}
	return out
}

// TestRealDocuments: what is there after inserts, updates, tombstones, and records that come again.
func TestRealDocuments(t *testing.T) {
	s := serverFor(t)
	docs := func(n int) map[string]any { return map[string]any{"n": int64(n)} }
	for _, test := range []struct {
		name  string
		of    flavour
		props map[string]string
		want  map[string]string
	}{
		{"replace", aiven, map[string]string{"behavior.on.null.values": "delete"}, map[string]string{"b": `{"n":5}`, "c": `{"n":4}`}},
		{"keep", aiven, nil, map[string]string{"a": `{"n":1}`, "b": `{"n":5}`, "c": `{"n":4}`}},
		{"merge", confluent, map[string]string{"write.method": "upsert", "behavior.on.null.values": "delete"}, map[string]string{"b": `{"m":1,"n":5}`, "c": `{"n":4}`}},
		{"all", confluent, map[string]string{"key.ignore": "true", "behavior.on.null.values": "ignore"},
			map[string]string{"all+0+0": `{"n":1}`, "all+0+1": `{"m":1}`, "all+0+3": `{"n":4}`, "all+0+4": `{"n":5}`}},
	} {
		t.Run(test.name, func(t *testing.T) {
			records := func() []*sdk.Record {
				return []*sdk.Record{of(test.name, "a", docs(1)), of(test.name, "b", map[string]any{"m": int64(1)}), of(test.name, "a", nil), of(test.name, "c", docs(4)), of(test.name, "b", docs(5))}
			}
			task := startTask(t, test.of, s.url, test.props)
			for range 2 { // the second time all comes again, as after a crash
				if err := put(t, task, records()...); err != nil {
					t.Fatal(err)
				}
				if diff := cmp.Diff(test.want, s.documents(t, test.name)); diff != "" {
					t.Error(diff)
				}
			}
		})
	}
}

// TestRealMapping: the mapping is that of the schema, and index templates count.
func TestRealMapping(t *testing.T) {
	s := serverFor(t)
	s.must(t, "PUT", "/_index_template/times", `{"index_patterns":["times-*"],"template":{"mappings":{"properties":{"at":{"type":"date"}}}}}`)
	schema := sdk.NewStructure("v", sdk.Field{Name: "price", Schema: sdk.NewDecimal(2)}, sdk.Field{Name: "at", Schema: &sdk.Schema{Type: sdk.Int64, Name: sdk.LogicalTimestamp}})
	v := sdk.NewStruct(schema)
	v.Set("price", sdk.Decimal{Unscaled: 150, Scale: 2})
	v.Set("at", time.UnixMilli(1700000000000))
	with := of("mapped", "k", v)
	with.ValueSchema = schema
	task := startTask(t, aiven, s.url, nil)
	if err := put(t, task, with, of("times-2024", "k", map[string]any{"at": "2024-01-01T00:00:00Z", "x": 1.5})); err != nil {
		t.Fatal(err)
	}
	for index, want := range map[string]string{"mapped": `"price":{"type":"double"}`, "times-2024": `"at":{"type":"date"}`} {
		if got := string(s.must(t, "GET", "/"+index+"/_mapping", "")); !strings.Contains(got, want) || !strings.Contains(got, `"at":{"type":"date"}`) {
			t.Errorf("%s is mapped as %s", index, got)
		}
	}
	if diff := cmp.Diff(map[string]string{"k": `{"price":1.50,"at":1700000000000}`}, s.documents(t, "mapped")); diff != "" {
		t.Error(diff)
	}
}

// TestRealMalformed: documents that do not fit are told one by one, with the server's reason, and the others are written.
func TestRealMalformed(t *testing.T) {
	s := serverFor(t)
	for behaviour, want := range map[string]int{"fail": 2, "report": 2, "warn": 0, "ignore": 0} {
		index := "malformed-" + behaviour
		s.must(t, "PUT", "/"+index, `{"mappings":{"properties":{"n":{"type":"integer"}}}}`)
		task := startTask(t, aiven, s.url, map[string]string{"behavior.on.malformed.documents": behaviour})
		err := put(t, task, of(index, "a", map[string]any{"n": int64(1)}), of(index, "b", map[string]any{"n": "many"}),
			of(index, "c", map[string]any{"n": map[string]any{"x": true}}), of(index, "d", map[string]any{"n": int64(2)}))
		if got := refusals(err); len(got) != want {
			t.Errorf("%s: %d records are refused: %v", behaviour, len(got), err)
		} else if want > 0 && (got[0].Record.Key == "a" || !strings.Contains(err.Error(), "mapper_parsing_exception") || !strings.Contains(err.Error(), "[n] of type [integer]") || !strings.Contains(err.Error(), `"many"`)) {
			t.Errorf("%s: told as %v", behaviour, err)
		}
		if diff := cmp.Diff(map[string]string{"a": `{"n":1}`, "d": `{"n":2}`}, s.documents(t, index)); diff != "" {
			t.Error(diff)
		}
	}
}

// TestRealVersions: a record that is older than the document is as the option says; one that comes again is fine.
func TestRealVersions(t *testing.T) {
	s := serverFor(t)
	doc := map[string]any{"n": int64(1)}
	newer := of("versions", "a", doc)
	newer.Offset = 10
	if err := put(t, startTask(t, aiven, s.url, nil), newer); err != nil {
		t.Fatal(err)
	}
	for behaviour, want := range map[string]int{"ignore": 0, "warn": 0, "report": 1, "fail": 1} {
		same := of("versions", "a", doc)
		same.Offset = 10
		older := of("versions", "a", doc)
		older.Offset = 4
		err := startTask(t, aiven, s.url, map[string]string{"behavior.on.version.conflict": behaviour}).Put(t.Context(), []*sdk.Record{same, older})
		if got := refusals(err); len(got) != want || want > 0 && got[0].Record != older {
			t.Errorf("%s: refused are %v", behaviour, err)
		}
	}
}

// TestRealStreams: data streams are made, with a template if there is none, and hold each record once.
func TestRealStreams(t *testing.T) {
	s := serverFor(t)
	for _, test := range []struct {
		name  string
		of    flavour
		props map[string]string
	}{
		{"logs-shop-streams", confluent, map[string]string{"data.stream.type": "logs", "data.stream.dataset": "shop", "key.ignore": "true"}},
		{"a-streams", aiven, map[string]string{"data.stream.enabled": "true", "data.stream.prefix": "a", "key.ignore": "true"}},
		{"b-streams", aiven, map[string]string{"data.stream.enabled": "true", "data.stream.prefix": "b", "key.ignore": "true", "data.streams.existing.index.template.name": "mine"}},
		{"c-streams", aiven, map[string]string{"data.stream.enabled": "true", "data.stream.prefix": "c", "key.ignore": "true", "data.stream.timestamp.field": "at"}},
	} {
		t.Run(test.name, func(t *testing.T) {
			for range 2 {
				task := startTask(t, test.of, s.url, test.props)
				if err := put(t, task, of("streams", nil, map[string]any{"at": int64(1700000000000)}), of("streams", nil, map[string]any{"at": int64(1700000000001)})); err != nil {
					t.Fatal(err)
				}
			}
			if got := s.documents(t, test.name); len(got) != 2 || got["streams+0+0"] == "" {
				t.Errorf("it has %v", got)
			}
			if got := string(s.must(t, "GET", "/_data_stream/"+test.name, "")); !strings.Contains(got, `"timestamp_field"`) {
				t.Errorf("it is no data stream: %s", got)
			}
		})
	}
}

// TestRealExternal: what has to be there and is not is told.
func TestRealExternal(t *testing.T) {
	s := serverFor(t)
	props := map[string]string{"external.resource.usage": "ALIAS_INDEX", "topic.to.external.resource.mapping": "external:an-alias"}
	task := startTask(t, confluent, s.url, props)
	doc := map[string]any{"n": int64(1)}
	if err := put(t, task, of("external", "k", doc)); sdk.CauseOf(err) != sdk.Configuration || !strings.Contains(err.Error(), "an-alias") {
		t.Errorf("it is told as %v", err)
	}
	s.must(t, "PUT", "/behind", `{"aliases":{"an-alias":{"is_write_index":true}}}`)
	if err := put(t, task, of("external", "k", doc)); err != nil {
		t.Fatal(err)
	}
	if got := s.documents(t, "behind"); len(got) != 1 {
		t.Errorf("there is %v", got)
	}
	if err := put(t, task, of("other", "k", doc)); sdk.CauseOf(err) != sdk.Configuration || !strings.Contains(err.Error(), "other:NAME") {
		t.Errorf("a topic without a resource is told as %v", err)
	}
}

// proxy stands in front of a server and answers some requests itself.
type proxy struct {
	*httptest.Server
	fault atomic.Pointer[func(w http.ResponseWriter, r *http.Request) bool]
	asked atomic.Int64
}

func newProxy(t testing.TB, s *server) *proxy {
	to, _ := url.Parse(s.url)
	p, forward := &proxy{}, httputil.NewSingleHostReverseProxy(to)
	p.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		p.asked.Add(1)
		if f := p.fault.Load(); f != nil && (*f)(w, r) {
			return
		}
		forward.ServeHTTP(w, r)
	}))
	t.Cleanup(p.Close)
	return p
}

func (p *proxy) answers(f func(w http.ResponseWriter, r *http.Request) bool) { p.fault.Store(&f) }

// TestRealBusy: whole requests, and parts of them, that a server has no room for are sent again, and what is for one document keeps its order.
func TestRealBusy(t *testing.T) {
	s := ownServer(t, "thread_pool.write.size=1", "thread_pool.write.queue_size=1")
	s.must(t, "PUT", "/busy", `{"settings":{"number_of_shards":6,"number_of_replicas":0}}`)
	p := newProxy(t, s)
	var whole atomic.Int64
	p.answers(func(w http.ResponseWriter, r *http.Request) bool {
		if strings.HasPrefix(r.URL.Path, "/_bulk") && p.asked.Load()%5 == 0 {
			whole.Add(1)
			w.WriteHeader(429)
			return true
		}
		return false
	})
	var rejected atomic.Int64
	task := startTask(t, confluent, p.URL, map[string]string{"write.method": "upsert", "batch.size": "100", "retry.backoff.ms": "20", "read.timeout.ms": "30000"})
	const keys, rounds = 200, 5
	offset := int64(0)
	for round := range rounds {
		var records []*sdk.Record
		for n := range keys * 5 {
			records = append(records, &sdk.Record{Topic: "busy", Offset: offset, Key: fmt.Sprint(n % keys), Value: map[string]any{"n": int64(round*5 + n/keys)}})
			offset++
		}
		for {
			err := task.Put(t.Context(), records)
			if err == nil {
				break
			}
			rejected.Add(1)
			if sdk.CauseOf(err) != sdk.Transient {
				t.Fatal(err)
			}
		}
	}
	got := s.documents(t, "busy")
	for n := range keys {
		if want := fmt.Sprintf(`{"n":%d}`, rounds*5-1); got[fmt.Sprint(n)] != want {
			t.Fatalf("document %d is %s, not %s", n, got[fmt.Sprint(n)], want)
		}
	}
	var stats struct {
		Nodes map[string]struct {
			ThreadPool map[string]struct{ Rejected int64 } `json:"thread_pool"`
		}
	}
	decode(t, s.must(t, "GET", "/_nodes/stats/thread_pool", ""), &stats)
	for _, n := range stats.Nodes {
		t.Logf("the server refused %d shards' parts, the proxy %d requests, and %d Puts had to come again", n.ThreadPool["write"].Rejected, whole.Load(), rejected.Load())
		if n.ThreadPool["write"].Rejected == 0 || whole.Load() == 0 {
			t.Error("nothing was refused")
		}
	}
}

// TestRealKilled: the server is killed again and again while records come; after that all documents are there, the newest of each key.
func TestRealKilled(t *testing.T) {
	s := ownServer(t)
	node := weirtest.Start(t, weirtest.Topic("killed", 3))
	k := kit.New(t, kit.Cluster(node.Addr()), kit.Patience(4*time.Minute), kit.Converters("org.apache.kafka.connect.storage.StringConverter", "org.apache.kafka.connect.json.JsonConverter"))
	run := k.Start(sink{aiven}, map[string]string{"topics": "killed", "connection.url": s.url + ",http://127.0.0.1:1", "value.converter": "org.apache.kafka.connect.json.JsonConverter",
		"value.converter.schemas.enable": "false", "consumer.override.max.poll.records": "500", "retry.backoff.ms": "10"})
	const keys, rounds = 300, 60
	written := make(chan struct{})
	go func() {
		defer close(written)
		for round := range rounds {
			var records []kit.Record
			for n := range keys {
				records = append(records, kit.Record{Topic: "killed", Key: fmt.Append(nil, "key", n), Value: fmt.Appendf(nil, `{"n":%d}`, round)})
			}
			k.Produce(records...)
		}
	}()
	for range 3 {
		time.Sleep(300 * time.Millisecond)
		s.kill()
		if err := s.start(); err != nil {
			t.Fatal(err)
		}
	}
	<-written
	k.Await("all to be written", func() bool { return k.Kept(sink{aiven}, "killed") })
	got := s.documents(t, "killed")
	for n := range keys {
		if want := fmt.Sprintf(`{"n":%d}`, rounds-1); got[fmt.Sprint("key", n)] != want {
			t.Fatalf("document %d is %s, not %s", n, got[fmt.Sprint("key", n)], want)
		}
	}
	if run.Details().Failures > 0 {
		t.Errorf("the task failed: %+v", run.Details())
	}
	run.Stop()
}

// TestRealFullDisk: an index that the server made read-only, as it does when its disk is full, is waited for.
func TestRealFullDisk(t *testing.T) {
	s := serverFor(t)
	task := startTask(t, aiven, s.url, map[string]string{"max.retries": "1", "retry.backoff.ms": "10"})
	doc := map[string]any{"n": int64(1)}
	if err := put(t, task, of("full", "a", doc)); err != nil {
		t.Fatal(err)
	}
	s.must(t, "PUT", "/full/_settings", `{"index.blocks.read_only_allow_delete":true}`)
	records := []*sdk.Record{of("full", "b", doc), of("beside", "c", doc)}
	err := put(t, task, records...)
	if sdk.CauseOf(err) != sdk.Transient || !strings.Contains(err.Error(), "full") || !strings.Contains(err.Error(), "block") {
		t.Fatalf("told as %v", err)
	}
	if got := s.documents(t, "beside"); len(got) != 1 {
		t.Errorf("what is beside it waits: %v", got)
	}
	s.must(t, "PUT", "/full/_settings", `{"index.blocks.read_only_allow_delete":null}`)
	if err := task.Put(t.Context(), records); err != nil {
		t.Fatal(err)
	}
	if got := s.documents(t, "full"); len(got) != 2 {
		t.Errorf("there is %v", got)
	}
}

// TestRealGone: an index that is deleted while records come is made again, with its mapping.
func TestRealGone(t *testing.T) {
	s := serverFor(t)
	s.must(t, "PUT", "/_cluster/settings", `{"transient":{"action.auto_create_index":"false"}}`)
	defer s.must(t, "PUT", "/_cluster/settings", `{"transient":{"action.auto_create_index":null}}`)
	task := startTask(t, aiven, s.url, map[string]string{"max.retries": "0"})
	records := []*sdk.Record{of("gone", "a", map[string]any{"n": int64(1)})}
	if err := put(t, task, records...); err != nil {
		t.Fatal(err)
	}
	s.must(t, "DELETE", "/gone", "")
	if err := task.Put(t.Context(), records); sdk.CauseOf(err) != sdk.Transient {
		t.Fatalf("told as %v", err)
	}
	if err := task.Put(t.Context(), records); err != nil {
		t.Fatal(err)
	}
	if got := s.documents(t, "gone"); len(got) != 1 {
		t.Errorf("there is %v", got)
	}
}

// TestRealDeadLetters: documents that do not fit are in the dead-letter topic, with the server's reason.
func TestRealDeadLetters(t *testing.T) {
	s := serverFor(t)
	s.must(t, "PUT", "/letters", `{"mappings":{"properties":{"n":{"type":"integer"}}}}`)
	node := weirtest.Start(t, weirtest.Topic("letters", 1))
	k := kit.New(t, kit.Cluster(node.Addr()))
	k.Produce(kit.Record{Topic: "letters", Key: []byte("a"), Value: []byte(`{"n":1}`)}, kit.Record{Topic: "letters", Key: []byte("b"), Value: []byte(`{"n":"many"}`)},
		kit.Record{Topic: "letters", Value: []byte(`{"n":3}`)}, kit.Record{Topic: "letters", Key: []byte("d"), Value: []byte(`{"n":4}`)})
	run := k.Start(sink{confluent}, map[string]string{"topics": "letters", "connection.url": s.url, "value.converter": "org.apache.kafka.connect.json.JsonConverter", "value.converter.schemas.enable": "false",
		"errors.tolerance": "all", "errors.deadletterqueue.topic.name": "dead", "errors.deadletterqueue.context.headers.enable": "true", "errors.deadletterqueue.topic.replication.factor": "1"})
	k.Await("all to be done", func() bool { return k.Kept(sink{confluent}, "letters") })
	run.Stop()
	if diff := cmp.Diff(map[string]string{"a": `{"n":1}`, "d": `{"n":4}`}, s.documents(t, "letters")); diff != "" {
		t.Error(diff)
	}
	dead := map[string]string{}
	for _, r := range k.Records("dead") {
		dead[string(r.Value)] = r.Headers["__connect.errors.exception.message"]
	}
	if len(dead) != 2 || !strings.Contains(dead[`{"n":"many"}`], "mapper_parsing_exception") || !strings.Contains(dead[`{"n":3}`], "key.ignore") {
		t.Errorf("the dead letters are %q", dead)
	}
}

// TestRealServers: with several servers, those that do not answer or are in trouble are passed by.
func TestRealServers(t *testing.T) {
	s := serverFor(t)
	p := newProxy(t, s)
	p.answers(func(w http.ResponseWriter, r *http.Request) bool { w.WriteHeader(503); return true })
	task := startTask(t, aiven, "http://127.0.0.1:1,"+p.URL+","+s.url, map[string]string{"retry.backoff.ms": "1", "connection.compression": "true"})
	var records []*sdk.Record
	for n := range 3000 {
		records = append(records, of("servers", fmt.Sprint(n), map[string]any{"n": int64(n)}))
	}
	if err := put(t, task, records...); err != nil {
		t.Fatal(err)
	}
	if got := s.documents(t, "servers"); len(got) != 3000 || p.asked.Load() == 0 {
		t.Errorf("%d documents are there; one server was asked %d times", len(got), p.asked.Load())
	}
}

// TestRealPassword: a user and a password are sent, and are in no error.
func TestRealPassword(t *testing.T) {
	s := serverFor(t)
	p := newProxy(t, s)
	p.answers(func(w http.ResponseWriter, r *http.Request) bool {
		if r.Header.Get("Authorization") == "Basic "+base64.StdEncoding.EncodeToString([]byte("anna:s3cret")) {
			return false
		}
		w.WriteHeader(401)
		return true
	})
	at := strings.Replace(p.URL, "http://", "http://anna:%s@", 1)
	for password, want := range map[string]sdk.Cause{"s3cret": "", "wr0ng": sdk.Configuration} {
		for _, props := range []map[string]string{{"connection.username": "anna", "connection.password": password}, nil} {
			url := p.URL
			if props == nil {
				url = fmt.Sprintf(at, password)
			}
			err := put(t, startTask(t, aiven, url, props), of("password", "k", map[string]any{"n": int64(1)}))
			if err == nil && want != "" || err != nil && sdk.CauseOf(err) != want {
				t.Errorf("%s: %v", password, err)
			}
			all := map[string]string{"connection.url": url}
			maps.Copy(all, props)
			v, _ := sdk.Parse(sink{aiven}.Options(), all)
			wrong := sink{aiven}.Validate(t.Context(), v)
			if (len(wrong) > 0) != (want != "") {
				t.Errorf("%s: validated as %v", password, wrong)
			}
			if text := fmt.Sprint(err, wrong); strings.Contains(text, password) || want != "" && !strings.Contains(text, "connection.password") {
				t.Errorf("told as %s", text)
			}
		}
	}
	v, _ := sdk.Parse(sink{aiven}.Options(), map[string]string{"connection.url": "http://anna:s3cret@127.0.0.1:1"})
	if text := fmt.Sprint(sink{aiven}.Validate(t.Context(), v)); strings.Contains(text, "s3cret") || !strings.Contains(text, "127.0.0.1:1 does not answer") {
		t.Errorf("a server that is down is told as %s", text)
	}
}
