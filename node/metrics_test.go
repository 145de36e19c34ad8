package node

import (
	"flag"
	"fmt"
	"io"
	"net/http"
	"os"
	"regexp"
	"strings"
	"testing"

	"github.com/prometheus/client_golang/prometheus/testutil/promlint"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/weir/weir/internal/vfs"
)

//go:generate go test -run TestMetricsPage . -args -update

var updatePage = flag.Bool("update", false, "write docs/metrics.md anew")

// TestMetricsPage holds the page of metrics against the table.
func TestMetricsPage(t *testing.T) {
	const name = "../docs/metrics.md"
	var b strings.Builder
	b.WriteString("# Metrics\n\nThis page is made from the table of metrics; `go generate ./node` writes it anew.\n\n")
	b.WriteString("`GET /metrics` on `http.listener` answers in the text format of Prometheus. Beside the node's own metrics there are those of the Go runtime (`go_*`) and of the process (`process_*`: memory, CPU, open files, start time). ")
	b.WriteString("Counters begin at 0 when the node starts. `http.metrics.partitions=false` leaves out the metrics of single partitions, of which there are three for each. ")
	b.WriteString("`http.pprof.enable=true` adds Go's profiles under `/debug/pprof/`.\n\n")
	b.WriteString("A group's lag in seconds is the age of the first record that it has not committed, taken from the header of its batch: it is looked up when asked for, at most 2,000 places an answer, and kept for ten seconds.\n\n")
	b.WriteString("[alerts.yml](alerts.yml) has rules to start from.\n\n")
	b.WriteString("| metric | kind | labels | meaning | in Apache Kafka |\n| --- | --- | --- | --- | --- |\n")
	for _, m := range metrics {
		kafka := ""
		if m.kafka != "" {
			kafka = "`" + m.kafka + "`"
		}
		fmt.Fprintf(&b, "| `%s` | %s | %s | %s | %s |\n", m.name, m.kind, strings.Join(m.labels, ", "), m.help, kafka)
	}
	if *updatePage {
		if err := os.WriteFile(name, []byte(b.String()), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	if got, err := os.ReadFile(name); err != nil || string(got) != b.String() {
		t.Fatalf("%s is not what the table says: run go generate ./node (%v)", name, err)
	}
}

// scrape gives what /metrics answers.
func scrape(t *testing.T, n *Node) string {
	t.Helper()
	resp, err := http.Get("http://" + n.HTTPAddress() + "/metrics")
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	if err != nil || resp.StatusCode != http.StatusOK {
		t.Fatalf("%s, %v\n%s", resp.Status, err, b)
	}
	return string(b)
}

// TestMetricsAreExact does known work and looks for its traces.
func TestMetricsAreExact(t *testing.T) {
	n, _ := mustStart(t, vfs.NewMem())
	defer n.Stop()
	c := client(t, n, kgo.ProducerBatchCompression(kgo.NoCompression()))
	for i := range 5 {
		if err := produce(t, c, fmt.Sprint("record ", i)); err != nil {
			t.Fatal(err)
		}
	}
	if err := produce(t, c, string(make([]byte, 2<<20))); err == nil {
		t.Fatal("a record of 2 MiB is accepted")
	}
	readAll(t, n, 5)
	offsets := kadm.Offsets{}
	offsets.Add(kadm.Offset{Topic: "t", At: 2, LeaderEpoch: -1})
	if err := kadm.NewClient(c).CommitAllOffsets(timeout(t), "readers", offsets); err != nil {
		t.Fatal(err)
	}
	text := scrape(t, n)
	for _, want := range []string{
		`weir_topic_messages_in_total{topic="t"} 5`,
		`weir_topic_produce_total{topic="t"} 5`, // the client itself refused the large one
		`weir_topic_produce_failed_total{topic="t"} 0`,
		`weir_topic_fetch_failed_total{topic="t"} 0`,
		`weir_partition_end_offset{partition="0",topic="t"} 5`,
		`weir_request_seconds_count{api="Produce",stage="total"} 5`,
		`weir_requests_total{api="OffsetCommit",version="`,
		`weir_group_lag{group="readers",partition="0",topic="t"} 3`,
		`weir_group_lag_seconds{group="readers",partition="0",topic="t"}`,
		`weir_groups{state="Empty"} 1`,
		`weir_producer_ids 1`,
		`weir_active_controller 1`,
		`weir_partitions_offline 0`,
		`weir_connections_closed_total{reason="stop"} 0`,
	} {
		if !strings.Contains(text, "\n"+want) {
			t.Errorf("not there: %s", want)
		}
	}
	size := lineValue(t, text, `weir_partition_bytes{partition="0",topic="t"}`)
	in, out := lineValue(t, text, `weir_topic_bytes_in_total{topic="t"}`), lineValue(t, text, `weir_topic_bytes_out_total{topic="t"}`)
	if in == "0" || in != out || in == size { // the log has frames of its own beside the batches
		t.Errorf("bytes in %s, out %s, on disk %s", in, out, size)
	}
	problems, err := promlint.New(strings.NewReader(text)).Lint()
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range problems {
		if strings.HasPrefix(p.Metric, "weir_") {
			t.Errorf("%s: %s", p.Metric, p.Text)
		}
	}
	for _, m := range metrics {
		if !strings.Contains(text, "# TYPE "+m.name+" "+m.kind+"\n") && m != requestErrors {
			t.Errorf("%s is not shown", m.name)
		}
	}
}

func lineValue(t *testing.T, text, name string) string {
	t.Helper()
	_, rest, ok := strings.Cut(text, "\n"+name+" ")
	if !ok {
		t.Fatalf("%s is not there", name)
	}
	value, _, _ := strings.Cut(rest, "\n")
	return value
}

// TestErrorsAreCounted: by API and name, also those deep in an answer.
func TestErrorsAreCounted(t *testing.T) {
	n, _ := mustStart(t, vfs.NewMem(), "auto.create.topics.enable=false", "http.metrics.partitions=false")
	defer n.Stop()
	adm := kadm.NewClient(client(t, n))
	_, _ = adm.CreateTopic(timeout(t), 1, 1, nil, "bad name!")
	_, _ = adm.DeleteTopic(timeout(t), "not there")
	text := scrape(t, n)
	for _, want := range []string{
		`weir_request_errors_total{api="CreateTopics",error="INVALID_TOPIC_EXCEPTION"} 1`,
		`weir_request_errors_total{api="DeleteTopics",error="UNKNOWN_TOPIC_OR_PARTITION"} 1`,
	} {
		if !strings.Contains(text, "\n"+want) {
			t.Errorf("not there: %s", want)
		}
	}
	if strings.Contains(text, "weir_partition_end_offset{") {
		t.Error("partitions are shown although http.metrics.partitions is off")
	}
}

func TestProfilesAreOffByDefault(t *testing.T) {
	for enabled, want := range map[string]int{"false": http.StatusNotFound, "true": http.StatusOK} {
		n, _ := mustStart(t, vfs.NewMem(), "http.pprof.enable="+enabled)
		resp, err := http.Get("http://" + n.HTTPAddress() + "/debug/pprof/")
		if err != nil {
			t.Fatal(err)
		}
		resp.Body.Close()
		if resp.StatusCode != want {
			t.Errorf("http.pprof.enable=%s: %s", enabled, resp.Status)
		}
		if err := n.Stop(); err != nil {
			t.Fatal(err)
		}
	}
}

// TestAlertsNameMetricsThatExist: the rules of docs/alerts.yml.
func TestAlertsNameMetricsThatExist(t *testing.T) {
	b, err := os.ReadFile("../docs/alerts.yml")
	if err != nil {
		t.Fatal(err)
	}
	known := map[string]bool{}
	for _, m := range metrics {
		known[m.name] = true
		if m.kind == "histogram" {
			known[m.name+"_bucket"] = true
		}
	}
	names := regexp.MustCompile(`weir_[a-z_]+`).FindAllString(string(b), -1)
	for _, name := range names {
		if !known[name] {
			t.Errorf("%s is no metric", name)
		}
	}
	if len(names) < 9 {
		t.Errorf("only %d metrics are named", len(names))
	}
}
