package cli

import (
	"context"
	"encoding/json"
	"io"
	"os"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// bench runs a benchmark and gives its result.
func (c *cluster) bench(args ...string) map[string]any {
	c.t.Helper()
	got := c.weir(append(append([]string{"bench"}, args...), "-o", "json")...)
	result := map[string]any{}
	if err := json.Unmarshal([]byte(got.out), &result); err != nil || got.code != 0 || got.err != "" {
		c.t.Fatalf("%v: %+v, %v", args, got, err)
	}
	return result
}

func (c *cluster) topicsAre(want ...string) {
	c.t.Helper()
	if got := c.weir("topic", "list", "-o", "json"); got.code != 0 || strings.Count(got.out, `"name"`) != len(want) {
		c.t.Errorf("the topics are %s, want %q", got.out, want)
	}
}

func TestBenchFieldsAreWhatTheHelpSays(t *testing.T) {
	c := newCluster(t)
	pid := strconv.Itoa(os.Getpid())
	for _, args := range [][]string{
		{"produce", "--records", "20", "--warm-up", "0s", "--pid", pid},
		{"latency", "--records", "20", "--warm-up", "0s", "--pid", pid},
		{"consume", "--records", "20", "--pid", pid},
	} {
		result := c.bench(args...)
		help := c.weir("bench", args[0], "--help").out
		_, help, _ = strings.Cut(help, "JSON: an object")
		help = strings.Join(strings.Fields(help), " ")
		names := map[string]bool{}
		var collect func(map[string]any)
		collect = func(of map[string]any) {
			for name, value := range of {
				names[name] = true
				if inner, ok := value.(map[string]any); ok {
					collect(inner)
				}
			}
		}
		collect(result)
		for name := range names {
			if !strings.Contains(help, name) {
				t.Errorf("the help of bench %s does not say what %s is", args[0], name)
			}
		}
		for _, part := range []string{"client", "brokers"} {
			if usage := result[part].(map[string]any); usage["rss_bytes"].(float64) <= 0 {
				t.Errorf("bench %s: %s uses %v", args[0], part, usage)
			}
		}
	}
	c.topicsAre()
}

func TestBenchProduce(t *testing.T) {
	c := newCluster(t)
	got := c.bench("produce", "--records", "200", "--warm-up", "0s", "--record-bytes", "1KiB", "--connections", "2", "--in-flight", "1", "--rate", "10000")
	for name, want := range map[string]any{"benchmark": "produce", "partitions": 12., "record_bytes": 1024., "payload": "random", "compression": "none",
		"compressed_to": 1., "acks": "all", "connections": 2., "in_flight": 1., "target_rate": 10000., "records": 200., "bytes": 200 * 1024., "brokers": nil, "end_to_end_ms": nil} {
		if got[name] != want {
			t.Errorf("%s is %v, want %v", name, got[name], want)
		}
	}
	ack := got["ack_ms"].(map[string]any)
	order := []float64{0}
	for _, name := range []string{"p50", "p90", "p99", "p999", "max"} {
		order = append(order, ack[name].(float64))
	}
	if !slices.IsSorted(order) || order[1] <= 0 {
		t.Errorf("latencies are %v", ack)
	}
	c.topicsAre()

	got = c.bench("produce", "--records", "10", "--warm-up", "0s", "--compression", "zstd", "--partitions", "2", "--acks", "1")
	if to := got["compressed_to"].(float64); got["payload"] != "json" || got["partitions"] != 2. || got["acks"] != "1" || to < .1 || to > .5 {
		t.Errorf("%v", got)
	}
}

func TestBenchOfATopicThatExists(t *testing.T) {
	c := newCluster(t)
	c.topic("orders", 3)
	if got := c.bench("produce", "orders", "--records", "30", "--warm-up", "0s"); got["topic"] != "orders" || got["partitions"] != 3. || got["late_ms"] != nil {
		t.Errorf("%v", got)
	}
	if got := c.bench("consume", "orders"); got["records"] != 30. || got["bytes"] != 30*1024. || got["payload"] != nil || got["ack_ms"] != nil {
		t.Errorf("%v", got)
	}
	if got := c.bench("latency", "orders", "--records", "10", "--warm-up", "0s"); got["records"] != 10. || got["target_rate"] != 1000. || got["end_to_end_ms"] == nil {
		t.Errorf("%v", got)
	}
	c.topicsAre("orders")
	expect(t, c.weir("bench", "produce", "ordres"), 1, "", "weir: topic \"ordres\" does not exist: did you mean \"orders\"?\n")
}

func TestBenchTable(t *testing.T) {
	c := newCluster(t)
	got := c.weir("bench", "latency", "--records", "20", "--warm-up", "0s", "--compression", "lz4", "--pid", strconv.Itoa(os.Getpid()))
	var heads []string
	for line := range strings.Lines(got.out) {
		heads = append(heads, strings.Fields(line + " -")[0])
	}
	if diff := cmp.Diff([]string{"RECORDS", "20", "-", "MS", "acknowledged", "read", "sent-late", "-", "PROCESS", "client", "brokers"}, heads); diff != "" || got.code != 0 || got.err != "" {
		t.Errorf("%+v\n%s", got, diff)
	}
	if !strings.Contains(got.out, "json:1KiB") || !strings.Contains(got.out, "%") {
		t.Errorf("it does not say what was sent: %s", got.out)
	}
}

func TestBenchKeepsTheTopicIfAsked(t *testing.T) {
	c := newCluster(t)
	got := c.weir("bench", "consume", "--records", "20", "--keep", "--partitions", "2", "--config", "retention.ms=1000")
	if got.code != 0 || !strings.HasPrefix(got.err, "Topic bench-consume-") {
		t.Errorf("%+v", got)
	}
	name := strings.Fields(got.err)[1]
	if got := c.weir("topic", "describe", name); !strings.Contains(got.out, "retention.ms") || got.code != 0 {
		t.Errorf("%+v", got)
	}
}

// Ctrl-C ends the run: what was measured is printed, and the topic is deleted.
func TestBenchInterrupted(t *testing.T) {
	c := newCluster(t)
	ctx, interrupt := context.WithCancel(context.Background())
	c.fake.ControlKey(int16(kmsg.Produce), func(kmsg.Request) (kmsg.Response, error, bool) {
		interrupt()
		return nil, nil, false
	})
	out, said := newWatched(), newWatched()
	code := weirTo(ctx, nil, out, said, "bench", "produce", "--duration", "1h", "--warm-up", "0s", "--rate", "100", "-o", "json", "-b", c.seed)
	if code != exitFailed || said.String() != "weir: interrupted\n" || !strings.Contains(out.String(), `"records": `) {
		t.Errorf("exit code %d, %q, %q", code, out, said)
	}
	c.topicsAre()
}

func TestBenchShowsProgressOnATerminal(t *testing.T) {
	c := newCluster(t)
	tt := newTerminal(t)
	ctx, interrupt := context.WithCancel(context.Background())
	done := make(chan int)
	go func() {
		done <- weirTo(ctx, nil, io.Discard, tt.screen, "bench", "produce", "--duration", "1h", "--warm-up", "0s", "--rate", "100", "-b", c.seed)
	}()
	tt.shown.until(t, " records/s, ")
	interrupt()
	if code := <-done; code != exitFailed {
		t.Errorf("exit code %d", code)
	}
}
