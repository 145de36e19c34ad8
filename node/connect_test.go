package node

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/weir/weir/connect"
	"github.com/weir/weir/connect/sdk"
	"github.com/weir/weir/internal/vfs"
)

// counting is a source that counts: each task to a hundred, and never the same number twice if it is told where it was.
type counting struct{}

func (counting) Info() sdk.Info { return sdk.Info{Class: "test.CountingSource", Version: "1"} }

func (counting) Options() []sdk.Option {
	return []sdk.Option{
		{Name: "topic", Kind: sdk.StringOption, Required: true, Importance: sdk.High},
		{Name: "counter", Kind: sdk.StringOption, Default: "0", Internal: true},
	}
}

func (counting) NewTask() sdk.SourceTask { return &countingTask{} }

func (counting) Split(_ context.Context, _ sdk.Values, most int) (out []map[string]string, err error) {
	for i := range most {
		out = append(out, map[string]string{"counter": fmt.Sprint(i)})
	}
	return out, nil
}

type countingTask struct {
	topic string
	name  map[string]any
	n     int64
}

func (c *countingTask) Start(ctx context.Context, sc sdk.SourceContext, v sdk.Values) error {
	c.topic, c.name = v.String("topic"), map[string]any{"counter": v.String("counter")}
	at, err := sc.Position(ctx, c.name)
	c.n, _ = sdk.Int64Of(at, "n")
	return err
}

func (c *countingTask) Poll(ctx context.Context) ([]*sdk.Record, error) {
	if c.n == 100 {
		<-ctx.Done()
		return nil, nil
	}
	c.n++
	return []*sdk.Record{{
		Topic: c.topic, Partition: -1, ValueSchema: sdk.StringSchema, Value: fmt.Sprintf("%s/%d", c.name["counter"], c.n),
		At: &sdk.Position{Partition: c.name, Offset: map[string]any{"n": c.n}},
	}}, nil
}

func (*countingTask) Stop() error { return nil }

// dropping is a sink that does nothing with what it takes.
type dropping struct{}

func (dropping) Info() sdk.Info        { return sdk.Info{Class: "test.DroppingSink", Version: "1"} }
func (dropping) Options() []sdk.Option { return nil }
func (dropping) NewTask() sdk.SinkTask { return dropping{} }

func (dropping) Start(context.Context, sdk.SinkContext, sdk.Values) error { return nil }
func (dropping) Put(context.Context, []*sdk.Record) error                 { return nil }
func (dropping) Stop() error                                              { return nil }

// rest asks the REST API of a node's worker.
func rest(t *testing.T, n *Node, method, path, body string) (int, string) {
	t.Helper()
	req, err := http.NewRequest(method, "http://"+n.ConnectAddress()+path, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Content-Type", "application/json")
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return resp.StatusCode, string(b)
}

const countingConfig = `{"name":"counting","config":{"connector.class":"test.CountingSource","topic":"numbers","tasks.max":"%d",
	"value.converter":"org.apache.kafka.connect.storage.StringConverter","topic.creation.default.partitions":"1","topic.creation.default.replication.factor":"-1"}}`

// counted reads the topic of the counters until all have counted to the end, each number once and in order.
func counted(t *testing.T, tasks int, opts ...kgo.Opt) {
	t.Helper()
	k, err := kgo.NewClient(append(opts, kgo.ConsumeTopics("numbers"), kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()), kgo.MetadataMinAge(10*time.Millisecond))...)
	if err != nil {
		t.Fatal(err)
	}
	defer k.Close()
	at := map[string]int{}
	ctx := timeout(t)
	for total := 0; total < 100*tasks; {
		fetches := k.PollFetches(ctx)
		if ctx.Err() != nil {
			t.Fatalf("they have counted to %v", at)
		}
		fetches.EachRecord(func(r *kgo.Record) {
			var name string
			var n int
			if _, err := fmt.Sscanf(strings.Replace(string(r.Value), "/", " ", 1), "%s %d", &name, &n); err != nil || n != at[name]+1 {
				t.Fatalf("%s comes after %d: %v", r.Value, at[name], err)
			}
			at[name] = n
			total++
		})
	}
}

// TestConnectSleepsUntilItIsNeeded: a node with Connect has no topics of it, serves its REST API at once, and runs what was created, also
// after it was started anew.
func TestConnectSleepsUntilItIsNeeded(t *testing.T) {
	disk := vfs.NewMem()
	begin := func() *Node {
		n, err := startWith(t, Options{FS: disk, Connect: connect.InNode([]sdk.Connector{counting{}, dropping{}})}, "connect.listener=127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		return n
	}
	n := begin()
	if status, answer := rest(t, n, "GET", "/connectors", ""); status != 200 || answer != "[]" {
		t.Fatalf("%d %s", status, answer)
	}
	if count := n.metadata.Image().TopicCount(); count != 0 {
		t.Errorf("there are %d topics", count)
	}
	if status, answer := rest(t, n, "POST", "/connectors", fmt.Sprintf(countingConfig, 2)); status != 201 {
		t.Fatalf("%d %s", status, answer)
	}
	counted(t, 2, kgo.SeedBrokers(n.Addresses()["PLAINTEXT"]))
	if err := n.Stop(); err != nil {
		t.Fatal(err)
	}
	n = begin()
	defer func() {
		if err := n.Stop(); err != nil {
			t.Error(err)
		}
	}()
	for end := time.Now().Add(30 * time.Second); ; time.Sleep(10 * time.Millisecond) {
		if _, answer := rest(t, n, "GET", "/connectors/counting/status", ""); strings.Count(answer, "RUNNING") == 3 {
			break
		} else if time.Now().After(end) {
			t.Fatalf("after a restart: %s", answer)
		}
	}
	if status, answer := rest(t, n, "POST", "/connectors", `{"name":"d","config":{"connector.class":"test.DroppingSink","topics":"numbers","value.converter":"org.apache.kafka.connect.storage.StringConverter"}}`); status != 201 {
		t.Fatalf("%d %s", status, answer)
	}
	text := ""
	for end := time.Now().Add(30 * time.Second); !strings.Contains(text, `weir_connect_task_lag_records{connector="d",task="0"} 0`); time.Sleep(10 * time.Millisecond) {
		if text = scrape(t, n); time.Now().After(end) {
			t.Fatalf("the sink does not come to the end: %s", text)
		}
	}
	counted(t, 2, kgo.SeedBrokers(n.Addresses()["PLAINTEXT"])) // nothing has come again
}

// TestConnectInACluster: the workers of all nodes are one group, each takes requests though their REST APIs are seen by their own machine
// only, and what a lost node did is done by the others.
func TestConnectInACluster(t *testing.T) {
	c := newSeveral(t, 3, "connect.listener=127.0.0.1:0")
	c.connect = connect.InNode([]sdk.Connector{counting{}})
	c.start(0, 1, 2)
	for _, i := range []int{1, 2} {
		status, answer := rest(t, c.nodes[i], "POST", "/connectors", fmt.Sprintf(countingConfig, 6))
		if want := map[int]int{1: 201, 2: 409}[i]; status != want {
			t.Fatalf("node %d: %d %s", i+1, status, answer)
		}
	}
	counted(t, 6, kgo.SeedBrokers(c.ports...))
	k := c.client()
	defer k.Close()
	c.eventually("all three nodes run two tasks each", func() bool {
		_, answer := rest(t, c.nodes[0], "GET", "/connectors/counting/status", "")
		even := strings.Count(answer, "RUNNING") == 7
		for _, n := range c.nodes {
			_, port, _ := strings.Cut(n.ConnectAddress(), ":")
			_, tasks, _ := strings.Cut(answer, `"tasks"`)
			even = even && strings.Count(tasks, ":"+port+`"`) == 2
		}
		return even
	})
	if groups, err := kadm.NewClient(k).DescribeGroups(timeout(t), "connect-cluster"); err != nil || len(groups["connect-cluster"].Members) != 3 {
		t.Errorf("the group: %+v, %v", groups, err)
	}
	for i := range c.nodes {
		if status, answer := rest(t, c.nodes[i], "PUT", "/connectors/counting/pause", ""); status != 202 {
			t.Errorf("node %d: %d %s", i+1, status, answer)
		}
		if status, answer := rest(t, c.nodes[i], "POST", "/connectors/counting/tasks/0/restart", ""); status != 204 {
			t.Errorf("node %d: %d %s", i+1, status, answer)
		}
	}
}
