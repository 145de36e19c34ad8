package node

import (
	"flag"
	"fmt"
	"io"
	"net/http"
	"os"
	"regexp"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus/testutil/promlint"
	dto "github.com/prometheus/client_model/go"
	"github.com/prometheus/common/expfmt"
	"github.com/prometheus/common/model"
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
	b.WriteString("Counters begin at 0 when the node starts. What Apache Kafka gives as a rate is a counter here: `rate()` makes a rate of it. ")
	b.WriteString("[alerts.yml](alerts.yml) has rules to start from.\n\n")
	b.WriteString("Metrics have the label `topic` and not `partition`, so that an answer stays small with many partitions. `http.metrics.partitions=true` adds those that are marked with *each* below. ")
	b.WriteString("`http.pprof.enable=true` adds Go's profiles under `/debug/pprof/`.\n\n")
	b.WriteString("**Lag in seconds** is the age of the first record that a group has not committed, by the clock of the node. The record's time is taken from the header of its batch, so it is that of the batch's first record; on a topic with `message.timestamp.type=LogAppendTime` it is the node's own. ")
	b.WriteString("It is looked up when metrics are asked for, and remembered until the group commits further. One answer looks up at most 2,000; if a group has moved in more partitions than that, some have no age in this answer and get theirs in one of the next.\n\n")
	b.WriteString("**The last column** names what is the same, or nearest, in Apache Kafka: MBeans, and attributes after a space.\n\n")
	b.WriteString("| metric | kind | labels | meaning | in Apache Kafka |\n| --- | --- | --- | --- | --- |\n")
	for _, m := range metrics {
		kafka, kind := "", string(m.kind)
		if m.kafka != "" {
			kafka = "`" + m.kafka + "`"
		}
		if m.each {
			kind += ", each"
		}
		fmt.Fprintf(&b, "| `%s` | %s | %s | %s | %s |\n", m.name, kind, strings.Join(m.labels, ", "), m.help, kafka)
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

// families reads an answer as Prometheus does.
func families(t *testing.T, text string) map[string]*dto.MetricFamily {
	t.Helper()
	parser := expfmt.NewTextParser(model.UTF8Validation)
	out, err := parser.TextToMetricFamilies(strings.NewReader(text))
	if err != nil {
		t.Fatalf("the answer is not in Prometheus' format: %v", err)
	}
	return out
}

// TestMetricsAreWhatTheTableSays asks a node on which everything has happened for all metrics.
func TestMetricsAreWhatTheTableSays(t *testing.T) {
	n, _ := mustStart(t, vfs.NewMem(), "http.metrics.partitions=true")
	defer n.Stop()
	c := client(t, n)
	if err := produce(t, c, "hello"); err != nil {
		t.Fatal(err)
	}
	commit(t, c, "readers", 0)
	_, _ = kadm.NewClient(c).CreateTopic(timeout(t), 1, 1, nil, "bad name!")
	text := scrape(t, n)
	shown := families(t, text)
	for _, m := range metrics {
		f := shown[m.name]
		if f == nil {
			t.Errorf("%s is not shown", m.name)
			continue
		}
		if kind := strings.ToLower(f.GetType().String()); kind != string(m.kind) {
			t.Errorf("%s is a %s, not a %s", m.name, kind, m.kind)
		}
		var labels []string
		for _, l := range f.Metric[0].Label {
			labels = append(labels, l.GetName())
		}
		slices.Sort(labels)
		if want := slices.Sorted(slices.Values(m.labels)); !slices.Equal(labels, want) {
			t.Errorf("%s has the labels %v, not %v", m.name, labels, want)
		}
		delete(shown, m.name)
	}
	for name := range shown {
		if !strings.HasPrefix(name, "go_") && !strings.HasPrefix(name, "process_") {
			t.Errorf("%s is not in the table", name)
		}
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
}

// commit commits an offset of topic t's first partition.
func commit(t *testing.T, c *kgo.Client, group string, at int64) {
	t.Helper()
	offsets := kadm.Offsets{}
	offsets.Add(kadm.Offset{Topic: "t", At: at, LeaderEpoch: -1})
	if err := kadm.NewClient(c).CommitAllOffsets(timeout(t), group, offsets); err != nil {
		t.Fatal(err)
	}
}

// TestLags: in records and in time, as groups and the log move, by a clock of the test's own.
func TestLags(t *testing.T) {
	var clock atomic.Int64
	clock.Store(time.Date(2030, 1, 1, 0, 0, 0, 0, time.UTC).UnixMilli())
	now := func() time.Time { return time.UnixMilli(clock.Load()) }
	n, err := startWith(t, Options{FS: vfs.NewMem(), Now: now}, "log.message.timestamp.type=LogAppendTime", "http.metrics.partitions=true")
	if err != nil {
		t.Fatal(err)
	}
	defer n.Stop()
	c := client(t, n)
	for range 3 { // 10 s apart
		if err := produce(t, c, "x"); err != nil {
			t.Fatal(err)
		}
		clock.Add(10_000)
	}
	for _, step := range []struct {
		group       string
		committed   int64
		wait        int64 // ms
		lag, second string
	}{
		{"readers", 0, 0, "3", "30"},
		{"readers", 0, 5_000, "3", "35"},
		{"readers", 1, 0, "2", "25"},
		{"readers", 3, 1_000, "0", "0"},
		{"readers", 99, 0, "0", "0"}, // beyond the end
		{"readers", 2, 0, "1", "16"},
	} {
		commit(t, c, step.group, step.committed)
		clock.Add(step.wait)
		text := scrape(t, n)
		for _, labels := range []string{`{group="readers",topic="t"}`, `{group="readers",partition="0",topic="t"}`} {
			name := "weir_group_lag_"
			if strings.Contains(labels, "partition") {
				name = "weir_group_partition_lag_"
			}
			if got := lineValue(t, text, name+"records"+labels); got != step.lag {
				t.Errorf("committed %d: %s records behind, want %s", step.committed, got, step.lag)
			}
			if got := lineValue(t, text, name+"seconds"+labels); got != step.second {
				t.Errorf("committed %d: %s s behind, want %s", step.committed, got, step.second)
			}
		}
	}
	commit(t, c, "readers", 0)
	if _, err := kadm.NewClient(c).DeleteRecords(timeout(t), kadm.Offsets{"t": {0: {Topic: "t", At: 2}}}); err != nil {
		t.Fatal(err)
	}
	if got := lineValue(t, scrape(t, n), `weir_group_lag_records{group="readers",topic="t"}`); got != "1" {
		t.Errorf("%s records behind after those before were deleted", got)
	}
}

// TestLagsAreLookedUpInTurn: when there are more than one answer may look up.
func TestLagsAreLookedUpInTurn(t *testing.T) {
	n, _ := mustStart(t, vfs.NewMem())
	defer n.Stop()
	c := client(t, n)
	if err := produce(t, c, "x"); err != nil {
		t.Fatal(err)
	}
	p, err := n.set.Lookup("t", 0)
	if err != nil {
		t.Fatal(err)
	}
	var l lags
	var places []place
	for i := range 3 * lagReads / 2 {
		places = append(places, place{p, int64(-i)}) // all of them at the only record
	}
	times := map[place]time.Time{}
	l.lookUp(places, times)
	if len(times) != lagReads {
		t.Fatalf("%d were looked up", len(times))
	}
	l.lookUp(places, times)
	if len(times) != len(places) {
		t.Fatalf("%d of %d were looked up", len(times), len(places))
	}
}

// TestNamesThatAreNoText: a client may call a group anything, and must not take the metrics away from everyone.
func TestNamesThatAreNoText(t *testing.T) {
	n, _ := mustStart(t, vfs.NewMem())
	defer n.Stop()
	c := client(t, n)
	if err := produce(t, c, "x"); err != nil {
		t.Fatal(err)
	}
	commit(t, c, "a\xffb", 0)
	commit(t, c, "a\"b\n", 0)
	commit(t, c, "a\xfeb", 0)
	shown := families(t, scrape(t, n))
	groups := map[string]bool{}
	for _, m := range shown["weir_group_members"].GetMetric() {
		groups[m.Label[0].GetValue()] = true
	}
	for _, want := range []string{`"a\xffb"`, "a\"b\n", `"a\xfeb"`} {
		if !groups[want] {
			t.Errorf("there is no group %q in %v", want, groups)
		}
	}
}

// TestManyPartitions: the answer does not grow with the partitions of a topic, unless that is asked for.
func TestManyPartitions(t *testing.T) {
	n, _ := mustStart(t, vfs.NewMem())
	defer n.Stop()
	adm := kadm.NewClient(client(t, n))
	if _, err := adm.CreateTopic(timeout(t), 1, 1, nil, "t"); err != nil {
		t.Fatal(err)
	}
	few := scrape(t, n)
	if _, err := adm.CreateTopic(timeout(t), 1000, 1, nil, "many"); err != nil {
		t.Fatal(err)
	}
	many := scrape(t, n)
	if got := lineValue(t, many, "weir_partition_leaders"); got != "1001" {
		t.Errorf("%s partitions are led", got)
	}
	if more := strings.Count(many, "\n") - strings.Count(few, "\n"); more > 200 {
		t.Errorf("1,000 partitions add %d lines", more)
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
	n, _ := mustStart(t, vfs.NewMem(), "auto.create.topics.enable=false")
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
	if rules := strings.Count(string(b), "- alert:"); rules < 10 || len(names) < rules-1 { // one rule is about up alone
		t.Errorf("%d rules name %d metrics", rules, len(names))
	}
}
