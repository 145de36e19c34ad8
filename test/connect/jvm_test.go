package connect

import (
	"bufio"
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"regexp"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
)

// startJVM starts Kafka's own worker against a broker. Its tests need minutes and Maven, so they run only when asked for.
func startJVM(t *testing.T, kafka string) *process {
	t.Helper()
	if os.Getenv("CONNECT_JVM") == "" {
		t.Skip("CONNECT_JVM=1 compares with Kafka's own Connect and Debezium, which needs a JDK and Maven")
	}
	if out, err := exec.Command("jvm/connect.sh", "fetch").CombinedOutput(); err != nil {
		t.Fatalf("fetching Kafka's Connect: %v\n%s", err, out)
	}
	port := freePort(t)
	p := &process{t: t, kafka: kafka, out: &output{}, rest: fmt.Sprintf("127.0.0.1:%d", port)}
	p.cmd = exec.Command("jvm/connect.sh", "serve", t.TempDir(), fmt.Sprint(port), kafka, "offset.flush.interval.ms=1000")
	p.cmd.Stdout, p.cmd.Stderr = p.out, p.out
	p.cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	if err := p.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		p.kill()
		if t.Failed() {
			t.Logf("Kafka's worker said:\n%.5000s", p.out)
		}
	})
	await(t, "Kafka's worker to be ready", func() bool {
		status, _ := p.ask("GET", "/connectors", nil)
		return status == 200
	})
	return p
}

// exchange is a request of the suite that package connect has, with the answer that it wants.
type exchange struct {
	Name, Method, Path, Accept string
	Body                       json.RawMessage
	Type                       *string
	Like                       string // words may differ
	Await                      bool
}

// told is an answer, as far as it is compared.
type told struct {
	status                int
	location, allow, body string
}

// from gives an answer from shortly before where another differs.
func (a told) from(b told) string {
	at := 0
	for at < min(len(a.body), len(b.body)) && a.body[at] == b.body[at] {
		at++
	}
	return fmt.Sprintf("%d, location %q, allow %q, …%.300s", a.status, a.location, a.allow, a.body[max(0, at-150):])
}

func (x exchange) send(t *testing.T, p *process) told {
	t.Helper()
	body := []byte(x.Body)
	var text string
	if json.Unmarshal(body, &text) == nil {
		body = []byte(text)
	}
	req, err := http.NewRequest(x.Method, "http://"+p.rest+x.Path, bytes.NewReader(body))
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
	b, _ := io.ReadAll(resp.Body)
	alike := strings.NewReplacer(p.rest, "WORKER")
	return told{resp.StatusCode, alike.Replace(resp.Header.Get("Location")), resp.Header.Get("Allow"), alike.Replace(string(b))}
}

// different are the requests that are answered differently on purpose, or that no two workers answer alike.
var different = map[string]string{
	"validate wrong values":       "an error of Java's that a pattern is null",
	"validate predicate":          "Java and Go have their own words for a pattern that is wrong",
	"plugins":                     "each has others beside those that are compared",
	"create name with slash":      "Weir's address for it is one that can be used",
	"status of a name with slash": "Kafka's worker cannot be asked for it",
	"delete a name with slash":    "nor delete it",
	"sink tolerant with dlq":      "whether its task is there yet is a matter of time",
	"status tolerant":             "an error of Java's has its stack",
}

// recommended are lists of plugins, of which each has others.
var recommended = regexp.MustCompile(`"recommended_values":\[[^\]]*\.[^\]]*\]`)

// alike tells whether two answers are the same, but for plugins and for the order of a configuration's options in Java's maps.
func alike(a, b told) bool {
	for _, x := range []*told{&a, &b} {
		x.body = recommended.ReplaceAllString(x.body, "")
		var config struct {
			Name, Type string
			Config     map[string]string
			Tasks      json.RawMessage
		}
		if json.Unmarshal([]byte(x.body), &config) == nil && config.Config != nil {
			x.body = fmt.Sprint(config.Name, config.Type, config.Config, string(config.Tasks))
		}
	}
	return a == b
}

// TestRESTBesideKafka sends the requests of the suite to Kafka's worker and to Weir's, one after the other, and compares the answers
// byte for byte.
func TestRESTBesideKafka(t *testing.T) {
	broker := startBroker(t)
	theirs := startJVM(t, broker.kafka)
	ours := startWorker(t, broker.kafka)
	client, err := kgo.NewClient(kgo.SeedBrokers(broker.kafka), kgo.AllowAutoTopicCreation())
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	if err := client.ProduceSync(t.Context(), &kgo.Record{Topic: "poison", Value: []byte("no JSON")}).FirstErr(); err != nil {
		t.Fatal(err)
	}
	f, err := os.Open("../../connect/testdata/rest.jsonl")
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	lines := bufio.NewScanner(f)
	lines.Buffer(nil, 1<<20)
	same, all := 0, 0
	for lines.Scan() {
		var x exchange
		if err := json.Unmarshal(lines.Bytes(), &x); err != nil {
			t.Fatal(err)
		}
		all++
		var a, b told
		for end := time.Now().Add(20 * time.Second); ; time.Sleep(50 * time.Millisecond) {
			a, b = x.send(t, theirs), x.send(t, ours)
			if x.Like != "" {
				a.body, b.body = "", "" // only the words differ
			}
			if alike(a, b) || !x.Await || time.Now().After(end) {
				break
			}
		}
		if alike(a, b) {
			same++
		} else if different[x.Name] == "" {
			a.body, b.body = recommended.ReplaceAllString(a.body, ""), recommended.ReplaceAllString(b.body, "")
			t.Errorf("%s: %s %s\nKafka: %s\nWeir:  %s", x.Name, x.Method, x.Path, a.from(b), b.from(a))
		}
	}
	t.Logf("%d of %d requests are answered alike", same, all)
}
