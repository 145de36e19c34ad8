package opensearch

import (
	"bytes"
	"compress/gzip"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/weir/weir/connect/sdk"
)

// TestVerdicts: what is done about each kind of answer to an item, as servers word them.
func TestVerdicts(t *testing.T) {
	plain, versioned, create, update := &item{}, &item{versioned: true}, &item{kind: opCreate}, &item{kind: opUpdate}
	for _, test := range []struct {
		name   string
		it     *item
		answer string
		want   verdict
	}{
		{"written", plain, `"status":201`, done},
		{"deleted what was not there", versioned, `"status":404`, done},
		{"queue full", plain, `"status":429,"error":{"type":"rejected_execution_exception","reason":"rejected execution"}`, again},
		{"disk full", plain, `"status":429,"error":{"type":"cluster_block_exception","reason":"index [i] blocked by: [TOO_MANY_REQUESTS/12/disk usage exceeded flood-stage watermark]"}`, again},
		{"read-only", plain, `"status":403,"error":{"type":"cluster_block_exception","reason":"index [i] blocked by: [FORBIDDEN/8/index write (api)];"}`, again},
		{"shard away", plain, `"status":503,"error":{"type":"unavailable_shards_exception","reason":"primary shard is not active"}`, again},
		{"update beside another", update, `"status":409,"error":{"type":"version_conflict_engine_exception","reason":"[k]: version conflict, required seqNo [1]"}`, again},
		{"index gone", plain, `"status":404,"error":{"type":"index_not_found_exception","reason":"no such index [i]"}`, stale},
		{"older", versioned, `"status":409,"error":{"type":"version_conflict_engine_exception","reason":"[k]: version conflict, current version [8] is higher or equal to the one provided [5]"}`, conflict},
		{"the same again", versioned, `"status":409,"error":{"type":"version_conflict_engine_exception","reason":"[k]: version conflict, current version [5] is higher or equal to the one provided [5]"}`, done},
		{"created again", create, `"status":409,"error":{"type":"version_conflict_engine_exception","reason":"[k]: version conflict, document already exists (current version [1])"}`, done},
		{"no permission", plain, `"status":403,"error":{"type":"security_exception","reason":"no permissions for [indices:data/write/bulk]"}`, denied},
		{"does not fit", plain, `"status":400,"error":{"type":"mapper_parsing_exception","reason":"failed to parse field [n]","caused_by":{"type":"number_format_exception","reason":"For input string"}}`, malformed},
		{"something else", plain, `"status":405,"error":{"type":"odd_exception","reason":"?"}`, refused},
	} {
		all, err := outcomes([]byte(`{"errors":true,"items":[{"index":{`+test.answer+`}}]}`), 1)
		if err != nil {
			t.Fatal(err)
		}
		if got := judge(test.it, all[0]); got != test.want {
			t.Errorf("%s: %d, not %d", test.name, got, test.want)
		}
		if test.want == malformed && all[0].Error.String() != "mapper_parsing_exception: failed to parse field [n] (number_format_exception: For input string)" {
			t.Errorf("told as %v", all[0].Error)
		}
	}
}

// TestAnswers: what is no answer to what was sent counts as none.
func TestAnswers(t *testing.T) {
	for answer, ok := range map[string]bool{`{"errors":false,"items":[]}`: true, `{"took":3,"errors":false}`: true, ``: false, `<html>`: false, `{}`: false, `{"errors":true,"items":[]}`: false} {
		all, err := outcomes([]byte(answer), 1)
		if (err == nil) != ok || all != nil {
			t.Errorf("%s is read as %v, %v", answer, all, err)
		}
	}
	for answer, want := range map[string]string{
		`{"error":{"type":"a","reason":"b"},"status":400}`: "a: b", `{"error":"text"}`: `answer: {"error":"text"}`, ``: "answer: none", `busy `: "answer: busy",
	} {
		if got := why([]byte(answer)).String(); got != want {
			t.Errorf("%s is %s, not %s", answer, got, want)
		}
	}
}

// script is a server that answers bulk requests as it is told, and keeps the lines that it got.
type script struct {
	*httptest.Server
	mu      sync.Mutex
	answers []func(lines []string) (int, string)
	got     [][]string
}

const fine = `{"errors":false}`

func newScript(t *testing.T, answers ...func(lines []string) (int, string)) *script {
	s := &script{answers: answers}
	s.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method != "POST" {
			return
		}
		body, _ := io.ReadAll(r.Body)
		if r.Header.Get("Content-Encoding") == "gzip" {
			z, _ := gzip.NewReader(bytes.NewReader(body))
			body, _ = io.ReadAll(z)
		}
		s.mu.Lock()
		defer s.mu.Unlock()
		var docs []string
		for _, line := range strings.Split(strings.TrimSpace(string(body)), "\n") {
			if strings.HasPrefix(line, `{"d`) {
				docs = append(docs, line)
			}
		}
		s.got = append(s.got, docs)
		status, answer := 200, fine
		if len(s.answers) > 0 {
			status, answer = s.answers[0](docs)
			s.answers = s.answers[1:]
		}
		w.WriteHeader(status)
		_, _ = io.WriteString(w, answer)
	}))
	t.Cleanup(s.Close)
	return s
}

func items(statuses ...int) func([]string) (int, string) {
	return func([]string) (int, string) {
		var b strings.Builder
		for _, s := range statuses {
			failed := ""
			if s > 299 {
				failed = fmt.Sprintf(`,"error":{"type":"some_exception","reason":"status %d"}`, s)
			}
			fmt.Fprintf(&b, `,{"update":{"status":%d%s}}`, s, failed)
		}
		return 200, `{"errors":true,"items":[` + b.String()[1:] + `]}`
	}
}

func whole(status int, answer string) func([]string) (int, string) {
	return func([]string) (int, string) { return status, answer }
}

func updates(keys ...string) (out []*sdk.Record) {
	for i, k := range keys {
		out = append(out, &sdk.Record{Topic: "t", Offset: int64(i), Key: k, Value: map[string]any{"n": int64(i)}})
	}
	return out
}

func doc(n int) string { return fmt.Sprintf(`{"doc":{"n":%d},"doc_as_upsert":true}`, n) }

// TestSendingAgain: only what is refused for now is sent again, with what must not come before it.
func TestSendingAgain(t *testing.T) {
	down := whole(500, "")
	for _, test := range []struct {
		name    string
		puts    int
		keys    []string
		answers []func([]string) (int, string)
		want    [][]string
		refused []int
		cause   sdk.Cause
	}{
		{name: "parts", keys: []string{"a", "b", "c"}, answers: []func([]string) (int, string){items(200, 429, 200), items(429)}, want: [][]string{{doc(0), doc(1), doc(2)}, {doc(1)}, {doc(1)}}},
		{name: "one document twice", keys: []string{"a", "b", "a", "b"}, answers: []func([]string) (int, string){items(429, 200, 200, 200)}, want: [][]string{{doc(0), doc(1), doc(2), doc(3)}, {doc(0), doc(2)}}},
		{name: "all", keys: []string{"a", "b"}, answers: []func([]string) (int, string){whole(429, ""), whole(503, "")}, want: [][]string{{doc(0), doc(1)}, {doc(0), doc(1)}, {doc(0), doc(1)}}},
		{name: "nonsense", keys: []string{"a"}, answers: []func([]string) (int, string){whole(200, "<html>"), items(200, 200)}, want: [][]string{{doc(0)}, {doc(0)}, {doc(0)}}},
		{name: "too much at once", keys: []string{"a", "b", "c"}, answers: []func([]string) (int, string){whole(413, "")}, want: [][]string{{doc(0), doc(1), doc(2)}, {doc(0)}, {doc(1), doc(2)}}},
		{name: "one that spoils all", keys: []string{"a", "b"}, answers: []func([]string) (int, string){whole(400, ""), whole(400, "")}, want: [][]string{{doc(0), doc(1)}, {doc(0)}, {doc(1)}}, refused: []int{0}, cause: sdk.Poison},
		{name: "not allowed", keys: []string{"a"}, answers: []func([]string) (int, string){whole(401, "")}, want: [][]string{{doc(0)}}, cause: sdk.Configuration},
		{name: "not OpenSearch", keys: []string{"a"}, answers: []func([]string) (int, string){whole(404, "")}, want: [][]string{{doc(0)}}, cause: sdk.Configuration},
		{name: "for long", puts: 2, keys: []string{"a", "b"}, answers: []func([]string) (int, string){items(200, 429), down, down, down}, want: [][]string{{doc(0), doc(1)}, {doc(1)}, {doc(1)}, {doc(1)}, {doc(1)}}},
		{name: "a part for long", puts: 2, keys: []string{"a", "b"}, answers: []func([]string) (int, string){whole(413, ""), whole(200, fine), down, down, down}, want: [][]string{{doc(0), doc(1)}, {doc(0)}, {doc(1)}, {doc(1)}, {doc(1)}, {doc(1)}}},
		{name: "elsewhere", keys: []string{"a"}, answers: []func([]string) (int, string){whole(301, "")}, want: [][]string{{doc(0)}}, cause: sdk.Configuration},
		{name: "for long, and never", keys: []string{"a"}, answers: []func([]string) (int, string){down, down, down}, want: [][]string{{doc(0)}, {doc(0)}, {doc(0)}}, cause: sdk.Transient},
	} {
		t.Run(test.name, func(t *testing.T) {
			s := newScript(t, test.answers...)
			task := startTask(t, confluent, s.URL, map[string]string{"write.method": "upsert", "retry.backoff.ms": "0", "max.retries": "2", "connection.compression": "true"})
			records := updates(test.keys...)
			err := task.Put(t.Context(), records)
			for n := 1; n < test.puts; n++ {
				if sdk.CauseOf(err) != sdk.Transient {
					t.Fatal(err)
				}
				err = task.Put(t.Context(), records)
			}
			if diff := cmp.Diff(test.want, s.got); diff != "" {
				t.Error(diff)
			}
			var refused []int
			for _, r := range refusals(err) {
				refused = append(refused, int(r.Record.Offset))
			}
			if diff := cmp.Diff(test.refused, refused); diff != "" {
				t.Error(diff)
			}
			if err != nil && test.refused == nil && sdk.CauseOf(err) != test.cause || err == nil && test.cause != "" {
				t.Errorf("the error is %v", err)
			}
		})
	}
}

// TestPatience: a Put takes no longer than flush.timeout.ms, and is tried again by the runtime unless max.retries is set.
func TestPatience(t *testing.T) {
	down := whole(503, "")
	for _, test := range []struct {
		props map[string]string
		most  int
		cause sdk.Cause
		says  string
	}{
		{map[string]string{"retry.backoff.ms": "100000", "flush.timeout.ms": "50"}, -1, sdk.Unknown, "flush.timeout.ms"},
		{map[string]string{"retry.backoff.ms": "0", "max.retries": "1"}, 0, sdk.Transient, "503"},
	} {
		task := startTask(t, aiven, newScript(t, down, down, down).URL, test.props)
		err := task.Put(t.Context(), updates("a"))
		if sdk.CauseOf(err) != test.cause || !strings.Contains(fmt.Sprint(err), test.says) {
			t.Errorf("%v: %v", test.props, err)
		}
		if most, _ := task.(sdk.Retrying).Retries(err); most != test.most {
			t.Errorf("%v: it is tried again %d times", test.props, most)
		}
	}
	// With a time to linger a Put of few records waits, also after they are written.
	ctx, cancel := context.WithCancel(t.Context())
	s := newScript(t, func([]string) (int, string) { cancel(); return 200, fine })
	if err := startTask(t, aiven, s.URL, map[string]string{"linger.ms": "100000000"}).Put(ctx, updates("a")); err != nil && !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
}

// TestLanes: all that is for one document goes by the same lane, in order, in requests of the sizes that the options say.
func TestLanes(t *testing.T) {
	s := newScript(t)
	var keys []string
	for n := range 4000 {
		keys = append(keys, fmt.Sprint(n%97))
	}
	task := startTask(t, confluent, s.URL, map[string]string{"write.method": "upsert", "batch.size": "300", "bulk.size.bytes": "20000"})
	if err := task.Put(t.Context(), updates(keys...)); err != nil {
		t.Fatal(err)
	}
	last, count := map[int]int{}, 0
	for _, request := range s.got {
		if len(request) > 300 || len(strings.Join(request, "\n")) > 20000 {
			t.Errorf("a request has %d documents", len(request))
		}
		for _, line := range request {
			var n int
			if _, err := fmt.Sscanf(line, `{"doc":{"n":%d}`, &n); err != nil {
				t.Fatal(err)
			}
			if before, ok := last[n%97]; ok && before >= n {
				t.Errorf("%d comes after %d", n, before)
			}
			last[n%97] = n
			count++
		}
	}
	if count != 4000 {
		t.Errorf("%d were sent", count)
	}
}
