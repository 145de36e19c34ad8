package http

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
	"net"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/weir/weir/connect/sdk"
	"github.com/weir/weir/connect/sdk/kit"
)

// address finds one that is free.
func address(t testing.TB) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().String()
}

func hook(at string, pairs ...string) map[string]string {
	return config("", append([]string{"listen", at, "topic", "out"}, pairs...)...)
}

// send posts, and gives the answer; 0: there is none.
func send(method, url, body string, headers ...string) (int, string) {
	req, err := http.NewRequest(method, url, strings.NewReader(body))
	if err != nil {
		return 0, err.Error()
	}
	for i := 0; i < len(headers); i += 2 {
		req.Header.Set(headers[i], headers[i+1])
	}
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		return 0, err.Error()
	}
	defer res.Body.Close()
	b, _ := io.ReadAll(res.Body)
	return res.StatusCode, strings.TrimSpace(string(b))
}

// listening waits until somebody listens.
func listening(k *kit.Kit, at string) {
	k.Await("somebody to listen", func() bool {
		c, err := net.Dial("tcp", at)
		if err == nil {
			_ = c.Close()
		}
		return err == nil
	})
}

// TestWebhook: what is posted is in the topic when the answer comes, and what may not come does not.
func TestWebhook(t *testing.T) {
	const token, signed = "s3cret", "key"
	sum := hmac.New(sha256.New, []byte(signed))
	sum.Write([]byte(`{"a":1}`))
	signature := "sha256=" + hex.EncodeToString(sum.Sum(nil))
	for _, test := range []struct {
		name, method, path, body string
		config, headers          []string
		code                     int
		value                    string
	}{
		{"json", "POST", "/", ` {"a": [1.5, null]} `, nil, nil, 200, `{"a":[1.5,null]}`},
		{"no json", "POST", "/", `{"a":`, nil, nil, 400, ""},
		{"nothing", "POST", "/", ``, nil, nil, 400, ""},
		{"text", "POST", "/", "just text", []string{"format", "text", "value.converter", "org.apache.kafka.connect.storage.StringConverter"}, nil, 200, "just text"},
		{"bytes", "POST", "/", "\x00\xff", []string{"format", "bytes", "value.converter", "org.apache.kafka.connect.converters.ByteArrayConverter"}, nil, 200, "\x00\xff"},
		{"path", "POST", "/in/here", "1", []string{"path", "/in/here"}, nil, 200, "1"},
		{"other path", "POST", "/elsewhere", "1", []string{"path", "/in/here"}, nil, 404, ""},
		{"method", "PUT", "/", "1", nil, nil, 405, ""},
		{"large", "POST", "/", "[1,2,3,4]", []string{"max.body.bytes", "8"}, nil, 413, ""},
		{"as large as may be", "POST", "/", "[1,2,34]", []string{"max.body.bytes", "8"}, nil, 200, "[1,2,34]"},
		{"token", "POST", "/", "1", []string{"auth", "token", "auth.secret", token}, []string{"Authorization", "Bearer " + token}, 200, "1"},
		{"own token", "POST", "/", "1", []string{"auth", "token", "auth.secret", token, "auth.header", "X-Token"}, []string{"X-Token", token}, 200, "1"},
		{"wrong token", "POST", "/", "1", []string{"auth", "token", "auth.secret", token}, []string{"Authorization", "Bearer other"}, 401, ""},
		{"no token", "POST", "/", "1", []string{"auth", "token", "auth.secret", token}, nil, 401, ""},
		{"signature", "POST", "/", `{"a":1}`, []string{"auth", "hmac", "auth.secret", signed}, []string{"X-Hub-Signature-256", signature}, 200, `{"a":1}`},
		{"other body", "POST", "/", `{"a":2}`, []string{"auth", "hmac", "auth.secret", signed}, []string{"X-Hub-Signature-256", signature}, 401, ""},
		{"no signature", "POST", "/", `{"a":1}`, []string{"auth", "hmac", "auth.secret", signed}, nil, 401, ""},
	} {
		t.Run(test.name, func(t *testing.T) {
			k := kit.New(t, kit.Topic("out", 1), kit.Converters("org.apache.kafka.connect.storage.StringConverter", "org.apache.kafka.connect.json.JsonConverter"))
			at := address(t)
			r := k.Start(Webhook{}, hook(at, append([]string{"value.converter", "org.apache.kafka.connect.json.JsonConverter", "value.converter.schemas.enable", "false",
				"key.header", "X-Key", "headers", "X-Event"}, test.config...)...))
			listening(k, at)
			code, text := send(test.method, "http://"+at+test.path, test.body, append([]string{"X-Key", "k", "X-Event", "e"}, test.headers...)...)
			if code != test.code || strings.Contains(text, token) {
				t.Fatalf("%d, not %d: %s", code, test.code, text)
			}
			records := k.Records("out")
			r.Stop()
			switch {
			case code != 200:
				if len(records) != 0 {
					t.Errorf("%v is in the topic", records)
				}
			case len(records) != 1:
				t.Errorf("%d records", len(records))
			case string(records[0].Value) != test.value || string(records[0].Key) != "k" || records[0].Headers["X-Event"] != "e":
				t.Errorf("%q, %v", records[0].Value, records[0])
			}
		})
	}
}

// TestWebhookCrash: with crashes nothing is lost that was answered.
func TestWebhookCrash(t *testing.T) {
	k := kit.New(t, kit.Topic("out", 1))
	at := address(t)
	var want []string
	var group sync.WaitGroup
	done := make(chan struct{})
	const clients, each = 8, 100
	for c := range clients {
		for n := range each {
			want = append(want, fmt.Sprintf("%d-%d", c, n))
		}
		group.Add(1)
		go func() {
			defer group.Done()
			for n := range each {
				for code := 0; code != http.StatusOK; {
					if code, _ = send("POST", "http://"+at, fmt.Sprintf("%d-%d", c, n)); code != http.StatusOK {
						time.Sleep(time.Millisecond)
					}
				}
			}
		}()
	}
	go func() {
		defer close(done)
		group.Wait()
	}()
	k.Crash(Webhook{}, hook(at, "format", "text", "value.converter", "org.apache.kafka.connect.storage.StringConverter"), func() bool {
		select {
		case <-done:
			return true
		default:
			return false
		}
	})
	got := k.Values("out")
	slices.Sort(got)
	slices.Sort(want)
	if diff := cmp.Diff(want, slices.Compact(got)); diff != "" {
		t.Error(diff)
	}
}

// TestWebhookUnanswered: a record that does not come to the topic is not answered with 200.
func TestWebhookUnanswered(t *testing.T) {
	k := kit.New(t, kit.Topic("out", 1))
	at := address(t)
	r := k.Start(Webhook{}, hook(at, "format", "text", "value.converter", "org.apache.kafka.connect.converters.LongConverter"))
	listening(k, at)
	if code, text := send("POST", "http://"+at, "x"); code != http.StatusServiceUnavailable {
		t.Errorf("%d: %s", code, text)
	}
	if cause, text := r.Failure(); cause != sdk.Poison {
		t.Errorf("%s: %s", cause, text)
	}
}

// TestWebhookTaken: an address that somebody else has is told of.
func TestWebhookTaken(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	k := kit.New(t, kit.Topic("out", 1))
	cause, text := k.Start(Webhook{}, hook(l.Addr().String())).Failure()
	if cause != sdk.Transient || !strings.Contains(text, "is taken: choose another one for listen") {
		t.Errorf("%s: %s", cause, text)
	}
	cause, text = k.Start(Webhook{}, hook("192.0.2.1:80")).Failure()
	if cause != sdk.Configuration || !strings.Contains(text, "The address 192.0.2.1:80 cannot be listened at: correct listen") {
		t.Errorf("%s: %s", cause, text)
	}
	for _, wrong := range [][]string{{"listen", "80"}, {"path", "x"}, {"format", "xml"}, {"auth", "magic"}} {
		if _, errs := sdk.Parse(webhookOptions, hook("127.0.0.1:1", wrong...)); len(errs) != 1 || errs[0].Option != wrong[0] {
			t.Errorf("%v: %v", wrong, errs)
		}
	}
	v, _ := sdk.Parse(webhookOptions, hook("127.0.0.1:1", "auth", "hmac", "headers", "a b"))
	if wrong := (Webhook{}).Validate(t.Context(), v); len(wrong) != 2 {
		t.Errorf("%v", wrong)
	}
	if tasks, _ := (Webhook{}).Split(t.Context(), v, 5); len(tasks) != 1 {
		t.Errorf("%d tasks", len(tasks))
	}
}
