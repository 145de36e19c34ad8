package http

import (
	"context"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/weir/weir/connect/sdk"
	"github.com/weir/weir/connect/sdk/kit"
)

// service is a web service that remembers what it took.
type service struct {
	*httptest.Server
	mu     sync.Mutex
	bodies []string
	header http.Header
	answer func(w http.ResponseWriter, body string) bool // whether it took it
}

func newService(t testing.TB) *service {
	s := &service{}
	s.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		s.mu.Lock()
		defer s.mu.Unlock()
		s.header = r.Header
		if r.Method != http.MethodPost {
			w.WriteHeader(http.StatusMethodNotAllowed)
			return
		}
		if s.answer == nil || s.answer(w, string(body)) {
			s.bodies = append(s.bodies, string(body))
		}
	}))
	t.Cleanup(s.Close)
	return s
}

func (s *service) took() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.bodies)
}

func config(url string, pairs ...string) map[string]string {
	out := map[string]string{"http.url": url, "http.authorization.type": "none", "topics": "in", "retry.backoff.ms": "1"}
	for i := 0; i < len(pairs); i += 2 {
		out[pairs[i]] = pairs[i+1]
	}
	return out
}

func produce(k *kit.Kit, from, count int) (values []string) {
	var records []kit.Record
	for n := from; n < from+count; n++ {
		values = append(values, fmt.Sprint("v", n))
		records = append(records, kit.Record{Topic: "in", Value: []byte(values[len(values)-1])})
	}
	k.Produce(records...)
	return values
}

// TestSink: requests are as Aiven's connector makes them.
func TestSink(t *testing.T) {
	for _, test := range []struct {
		name   string
		config []string
		want   []string
		header map[string]string
	}{
		{"single", nil, []string{"v0", "v1", "v2", "v3", "v4"}, map[string]string{"Content-Type": "text/plain; charset=utf-8", "Authorization": ""}},
		{"static", []string{"http.authorization.type", "static", "http.headers.authorization", "Basic abc", "http.headers.content.type", "text/csv", "http.headers.additional", "X-A: 1, x-b:2:3"},
			[]string{"v0", "v1", "v2", "v3", "v4"}, map[string]string{"Content-Type": "text/csv", "Authorization": "Basic abc", "X-A": "1", "X-B": "2:3"}},
		{"batch", []string{"batching.enabled", "true", "batch.max.size", "2"}, []string{"v0\nv1\n", "v2\nv3\n", "v4\n"}, nil},
		{"array", []string{"batching.enabled", "true", "batch.prefix", "[", "batch.separator", ", ", "batch.suffix", `]\r\n`}, []string{"[v0, v1, v2, v3, v4]\r\n"}, nil},
		{"json", []string{"value.converter", "org.apache.kafka.connect.json.JsonConverter", "value.converter.schemas.enable", "false", "batching.enabled", "true", "batch.max.size", "1000"}, nil, map[string]string{"Content-Type": "application/json"}},
	} {
		t.Run(test.name, func(t *testing.T) {
			s := newService(t)
			k := kit.New(t, kit.Topic("in", 1))
			if test.name == "json" {
				k.Produce(kit.Record{Topic: "in", Value: []byte(`{"a": [1, "x"]}`)})
				test.want = []string{`{"a":[1,"x"]}` + "\n"}
			} else {
				produce(k, 0, 5)
			}
			r := k.Start(Sink{}, config(s.URL, test.config...))
			k.Await("the offset", func() bool { return k.Kept(Sink{}, "in") })
			r.Stop()
			if diff := cmp.Diff(test.want, s.took()); diff != "" {
				t.Error(diff)
			}
			for name, want := range test.header {
				if got := s.header.Get(name); got != want {
					t.Errorf("%s is %q, not %q", name, got, want)
				}
			}
		})
	}
}

// TestSinkCrash: with crashes all is delivered, in order.
func TestSinkCrash(t *testing.T) {
	s := newService(t)
	k := kit.New(t, kit.Topic("in", 1))
	want := produce(k, 0, 1000)
	k.Crash(Sink{}, config(s.URL, "batching.enabled", "true", "batch.max.size", "7"), func() bool { return k.Kept(Sink{}, "in") })
	var got []string
	for _, body := range s.took() {
		got = append(got, strings.Fields(body)...)
	}
	if err := kit.Delivered(want, got); err != nil {
		t.Error(err)
	}
}

// TestPassing: what fails in a way that passes is sent again, and nothing of what was taken.
func TestPassing(t *testing.T) {
	s := newService(t)
	answers := []int{429, 503, 200, 500, 408, 200, 502, 200, 200}
	s.answer = func(w http.ResponseWriter, _ string) bool {
		code := http.StatusOK
		if len(answers) > 0 {
			code, answers = answers[0], answers[1:]
		}
		w.WriteHeader(code)
		return code == http.StatusOK
	}
	k := kit.New(t, kit.Topic("in", 1))
	want := produce(k, 0, 5)
	r := k.Start(Sink{}, config(s.URL))
	k.Await("the offset", func() bool { return k.Kept(Sink{}, "in") })
	r.Stop()
	if diff := cmp.Diff(want, s.took()); diff != "" {
		t.Error(diff)
	}
}

// TestRetries: how often the runtime tries again, and when, is as the options say.
func TestRetries(t *testing.T) {
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(503) }))
	defer s.Close()
	for _, test := range []struct {
		props []string
		most  int
		least time.Duration // until it is tried again
		pause time.Duration // in which nothing is sent
	}{
		{nil, -1, -1, time.Millisecond},
		{[]string{"max.retries", "3", "retry.backoff.ms", "3000000"}, 3, time.Minute, 3000 * time.Second},
		{[]string{"max.retries", "3", "kafka.retry.backoff.ms", "7200000"}, -1, -1, 2 * time.Hour},
	} {
		v, wrong := sdk.Parse(sinkOptions(), config(s.URL, test.props...))
		task := &sinkTask{}
		if err := task.Start(t.Context(), nil, v); err != nil || len(wrong) > 0 {
			t.Fatal(err, wrong)
		}
		err := task.Put(t.Context(), []*sdk.Record{{Value: "x", ValueSchema: sdk.StringSchema}})
		if most, wait := task.Retries(err); sdk.CauseOf(err) != sdk.Transient || most != test.most || wait < test.least || task.pause != test.pause {
			t.Errorf("%v: %d times each %v after %v", test.props, most, wait, err)
		}
	}
}

// TestRetryAfter: a service that asks to be left alone is, and the status says so.
func TestRetryAfter(t *testing.T) {
	s := newService(t)
	asked := 0
	s.answer = func(w http.ResponseWriter, _ string) bool {
		asked++
		w.Header().Set("Retry-After", "3600")
		w.WriteHeader(http.StatusServiceUnavailable)
		return false
	}
	k := kit.New(t, kit.Topic("in", 1))
	produce(k, 0, 1)
	r := k.Start(Sink{}, config(s.URL))
	k.Await("more tries", func() bool { return r.Details().Cause == sdk.Transient && r.Details().Retries > 3 })
	r.Stop()
	s.mu.Lock()
	defer s.mu.Unlock()
	if asked != 1 {
		t.Errorf("it was asked %d times", asked)
	}
	now := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	for text, want := range map[string]time.Duration{"": 0, "soon": 0, "-5": 0, "7": 7 * time.Second, "100000": longest,
		"Thu, 01 Jan 2026 00:01:00 GMT": time.Minute, "Wed, 31 Dec 2025 00:01:00 GMT": 0} {
		if got := retryAfter(text, now); got != want {
			t.Errorf("%q: %s, not %s", text, got, want)
		}
	}
}

// TestPoison: the records that a service refuses go to the dead letters, and no others.
func TestPoison(t *testing.T) {
	s := newService(t)
	s.answer = func(w http.ResponseWriter, body string) bool {
		if strings.Contains(body, "v3\n") || strings.Contains(body, "v17\n") {
			w.WriteHeader(http.StatusUnprocessableEntity)
			_, _ = io.WriteString(w, "not that one")
			return false
		}
		return true
	}
	k := kit.New(t, kit.Topic("in", 1), kit.Topic("dead", 1))
	want := produce(k, 0, 20)
	k.Produce(kit.Record{Topic: "in"})
	r := k.Start(Sink{}, config(s.URL, "batching.enabled", "true", "errors.tolerance", "all", "errors.deadletterqueue.topic.name", "dead",
		"errors.deadletterqueue.topic.replication.factor", "1", "errors.deadletterqueue.context.headers.enable", "true"))
	k.Await("the offset", func() bool { return k.Kept(Sink{}, "in") })
	r.Stop()
	var got []string
	for _, body := range s.took() {
		got = append(got, strings.Fields(body)...)
	}
	if diff := cmp.Diff(slices.DeleteFunc(want, func(v string) bool { return v == "v3" || v == "v17" }), got); diff != "" {
		t.Error(diff)
	}
	dead := k.Records("dead")
	if len(dead) != 3 || string(dead[0].Value) != "v3" || !strings.Contains(dead[0].Headers["__connect.errors.exception.message"], "not that one") || string(dead[1].Value) != "v17" {
		t.Errorf("dead letters: %v", dead)
	}
}

// TestSinkTrouble: what somebody has to set right is said.
func TestSinkTrouble(t *testing.T) {
	s := newService(t)
	code, to := 0, ""
	s.answer = func(w http.ResponseWriter, _ string) bool {
		w.Header().Set("Location", to)
		w.WriteHeader(code)
		return false
	}
	for _, test := range []struct {
		code  int
		to    string
		cause sdk.Cause
		text  string
	}{
		{401, "", sdk.Configuration, "The service refuses the authorization (401 Unauthorized): correct http.authorization.type"},
		{403, "", sdk.Configuration, "refuses the authorization"},
		{404, "", sdk.Configuration, "There is nothing to post to at http.url (404 Not Found): correct it"},
		{301, "https://other/", sdk.Configuration, "set http.url to https://other/"},
		{422, "", sdk.Poison, "the service refuses it: 422 Unprocessable Entity"},
	} {
		s.mu.Lock()
		code, to = test.code, test.to
		s.mu.Unlock()
		k := kit.New(t, kit.Topic("in", 1))
		produce(k, 0, 1)
		r := k.Start(Sink{}, config(s.URL))
		if cause, text := r.Failure(); cause != test.cause || !strings.Contains(text, test.text) {
			t.Errorf("%d: %s: %s", test.code, cause, text)
		}
		r.Stop()
	}
	v, _ := sdk.Parse(sinkOptions(), config("http://me:hidden@127.0.0.1:1/"))
	task := Sink{}.NewTask()
	if err := task.Start(t.Context(), nil, v); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"the service at http.url cannot be reached", ""} {
		err := task.Put(t.Context(), []*sdk.Record{{Value: "x"}})
		if sdk.CauseOf(err) != sdk.Transient || !strings.Contains(err.Error(), want) || strings.Contains(err.Error(), "hidden") {
			t.Error(err)
		}
	}
	k := kit.New(t, kit.Topic("in", 1))
	produce(k, 0, 1)
	r := k.Start(Sink{}, config(strings.Replace(s.URL, "http:", "https:", 1)))
	if cause, text := r.Failure(); cause != sdk.Configuration || !strings.Contains(text, "does not speak https") {
		t.Errorf("%s: %s", cause, text)
	}
	for _, wrong := range [][]string{{"http.url", "ftp://x"}, {"http.authorization.type", "magic"}, {"http.headers.additional", "a"}, {"http.headers.additional", "a:1,A:2"}, {"http.proxy.host", "p"}} {
		if _, errs := sdk.Parse(sinkOptions(), config(s.URL, wrong...)); len(errs) != 1 || errs[0].Option != wrong[0] {
			t.Errorf("%v: %v", wrong, errs)
		}
	}
	for how, missing := range map[string]int{"none": 0, "static": 1, "oauth2": 3} {
		v, _ = sdk.Parse(sinkOptions(), config(s.URL, "http.authorization.type", how))
		if wrong := (Sink{}).Validate(context.Background(), v); len(wrong) != missing {
			t.Errorf("%s: %v", how, wrong)
		}
	}
}

// TestOAuth2: tokens are fetched when they are needed, and again when the service does not take them any more.
func TestOAuth2(t *testing.T) {
	for _, mode := range []string{"HEADER", "URL"} {
		var mu sync.Mutex
		given := 0
		forms := map[string][]string{}
		issuer := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			mu.Lock()
			defer mu.Unlock()
			_ = r.ParseForm()
			forms = maps.Clone(r.PostForm)
			id, secret, basic := r.BasicAuth()
			if !basic {
				id, secret = r.PostForm.Get("client_id"), r.PostForm.Get("client_secret")
			}
			if id != "me" || secret != "s3cret" || basic == (mode == "URL") {
				w.WriteHeader(http.StatusUnauthorized)
				return
			}
			given++
			_, _ = fmt.Fprintf(w, `{"token":"t%d","expires_in":3600}`, given)
		}))
		service := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			mu.Lock()
			defer mu.Unlock()
			if r.Header.Get("Authorization") != "Bearer t2" {
				w.WriteHeader(http.StatusUnauthorized)
			}
		}))
		k := kit.New(t, kit.Topic("in", 1))
		produce(k, 0, 5)
		options := config(service.URL, "http.authorization.type", "oauth2", "oauth2.access.token.url", issuer.URL, "oauth2.client.id", "me", "oauth2.client.secret", "s3cret",
			"oauth2.client.authorization.mode", mode, "oauth2.client.scope", "all", "oauth2.response.token.property", "token")
		r := k.Start(Sink{}, options)
		k.Await("the offset", func() bool { return k.Kept(Sink{}, "in") })
		r.Stop()
		mu.Lock()
		if given != 2 || forms["grant_type"][0] != "client_credentials" || forms["scope"][0] != "all" {
			t.Errorf("%d tokens were given, the last for %v", given, forms)
		}
		mu.Unlock()
		produce(k, 5, 1)
		options["oauth2.client.secret"] = "wrong"
		if cause, text := k.Start(Sink{}, options).Failure(); cause != sdk.Configuration || !strings.Contains(text, "correct oauth2.client.id") {
			t.Errorf("%s: %s", cause, text)
		}
		issuer.Close()
		service.Close()
	}
}
