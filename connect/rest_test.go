package connect_test

import (
	"bufio"
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/weir/weir/connect"
	"github.com/weir/weir/connect/sdk"
	"github.com/weir/weir/weirtest"
)

// testTime bounds what tests wait for.
const testTime = 30 * time.Second

// worker is one that is tested.
type worker struct {
	*connect.Worker
	engine *connect.FakeEngine
	id     string
	stop   func()
}

// startWorker starts a worker against a broker.
func startWorker(t *testing.T, broker string, change func(*connect.Config)) *worker {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	var logs bytes.Buffer
	cfg := connect.Config{
		Options: map[string]string{
			"bootstrap.servers": broker, "heartbeat.interval.ms": "200", "offset.storage.partitions": "1", "status.storage.partitions": "1",
		},
		Connectors: []sdk.Connector{fileSource{}, fileSink{}, partsSource{parts: func() int { return 1 }}},
		Logger:     slog.New(slog.NewTextHandler(&synced{w: &logs}, nil)), Level: new(slog.LevelVar), Commit: "abc", Listener: l,
	}
	w := &worker{engine: &connect.FakeEngine{}, id: l.Addr().String()}
	cfg.Faked(w.engine)
	if change != nil {
		change(&cfg)
	}
	if w.Worker, err = connect.New(cfg); err != nil {
		t.Fatal(err)
	}
	w.Start()
	stopped := false
	w.stop = func() {
		if !stopped {
			stopped = true
			w.Stop()
		}
	}
	t.Cleanup(func() {
		w.stop()
		if t.Failed() {
			t.Logf("the worker %s logged:\n%s", w.id, logs.String())
		}
	})
	return w
}

// synced lets goroutines write after each other.
type synced struct {
	mu sync.Mutex
	w  io.Writer
}

func (s *synced) Write(b []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.w.Write(b)
}

// exchange is a request and what a worker has to answer: what Kafka's own answers, with the words changed where they are Java's.
type exchange struct {
	Name, Method, Path string
	Body               json.RawMessage
	Type               *string
	Accept             string
	Status             int
	Answer, Like       string
	Location, Allow    string
	Await              bool // it may take a moment
}

func (x exchange) send(t *testing.T, w *worker) (int, http.Header, string) {
	t.Helper()
	body := []byte(x.Body)
	var text string
	if json.Unmarshal(body, &text) == nil {
		body = []byte(text)
	}
	req, err := http.NewRequest(x.Method, "http://"+w.id+x.Path, bytes.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	switch {
	case x.Type != nil && *x.Type != "":
		req.Header.Set("Content-Type", *x.Type)
	case x.Type == nil && x.Body != nil:
		req.Header.Set("Content-Type", "application/json")
	}
	if x.Accept != "" {
		req.Header.Set("Accept", x.Accept)
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	answer, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return resp.StatusCode, resp.Header, string(answer)
}

// wrong tells how an answer differs from what it has to be; "": it does not.
func (x exchange) wrong(w *worker, status int, h http.Header, answer string) string {
	mine := func(s string) string { return strings.ReplaceAll(s, "WORKER", w.id) }
	switch {
	case status != x.Status:
		return fmt.Sprintf("status %d, want %d; %s", status, x.Status, answer)
	case x.Like != "":
		pattern := "^" + strings.ReplaceAll(regexp.QuoteMeta(x.Like), `\*`, ".*") + "$"
		if !regexp.MustCompile(pattern).MatchString(answer) {
			return fmt.Sprintf("answer\n%s\nwant\n%s", answer, x.Like)
		}
	case answer != mine(x.Answer):
		return fmt.Sprintf("answer\n%s\nwant\n%s", answer, mine(x.Answer))
	case h.Get("Location") != mine(x.Location):
		return fmt.Sprintf("location %s, want %s", h.Get("Location"), mine(x.Location))
	case h.Get("Allow") != x.Allow:
		return fmt.Sprintf("allow %s, want %s", h.Get("Allow"), x.Allow)
	}
	return ""
}

// TestREST sends requests one after the other, as they were once sent to Kafka's own worker.
func TestREST(t *testing.T) {
	node := weirtest.Start(t)
	w := startWorker(t, node.Addr(), nil)
	f, err := os.Open("testdata/rest.jsonl")
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	lines := bufio.NewScanner(f)
	lines.Buffer(nil, 1<<20)
	for lines.Scan() {
		var x exchange
		if err := json.Unmarshal(lines.Bytes(), &x); err != nil {
			t.Fatal(err)
		}
		t.Run(x.Name, func(t *testing.T) { expect(t, w, x) })
	}
	if err := lines.Err(); err != nil {
		t.Fatal(err)
	}
}

// expect sends a request, again and again if the answer may take a moment.
func expect(t *testing.T, w *worker, x exchange) {
	t.Helper()
	for end := time.Now().Add(testTime); ; time.Sleep(5 * time.Millisecond) {
		status, h, answer := x.send(t, w)
		wrong := x.wrong(w, status, h, answer)
		if wrong == "" {
			return
		}
		if !x.Await || time.Now().After(end) {
			t.Fatal(wrong)
		}
	}
}
