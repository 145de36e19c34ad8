package cli

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"
)

// cluster is an in-process Kafka cluster that commands are run against.
type cluster struct {
	t    *testing.T
	fake *kfake.Cluster
	seed string
}

func newCluster(t *testing.T, opts ...kfake.Opt) *cluster {
	t.Helper()
	fake, err := kfake.NewCluster(append([]kfake.Opt{kfake.NumBrokers(1)}, opts...)...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(fake.Close)
	return &cluster{t, fake, strings.Join(fake.ListenAddrs(), ",")}
}

// ran is what a command did.
type ran struct {
	out, err string
	code     int
}

// weir runs a command against the cluster.
func (c *cluster) weir(args ...string) ran { return c.weirWith(context.Background(), "", args...) }

func (c *cluster) weirWith(ctx context.Context, in string, args ...string) ran {
	c.t.Helper()
	return weir(ctx, strings.NewReader(in), append(args, "-b", c.seed)...)
}

func weir(ctx context.Context, in io.Reader, args ...string) ran {
	var out, err bytes.Buffer
	code := weirTo(ctx, in, &out, &err, args...)
	return ran{out.String(), err.String(), code}
}

func weirTo(ctx context.Context, in io.Reader, out, err io.Writer, args ...string) int {
	root := Root()
	root.SetArgs(args)
	root.SetIn(in)
	root.SetOut(out)
	root.SetErr(err)
	return Run(ctx, root)
}

// client gives a client of the cluster, for what commands cannot do.
func (c *cluster) client(opts ...kgo.Opt) *kgo.Client {
	c.t.Helper()
	client, err := kgo.NewClient(append([]kgo.Opt{kgo.SeedBrokers(strings.Split(c.seed, ",")...)}, opts...)...)
	if err != nil {
		c.t.Fatal(err)
	}
	c.t.Cleanup(client.Close)
	return client
}

// topic creates a topic.
func (c *cluster) topic(name string, partitions int32, configs ...string) {
	c.t.Helper()
	set := map[string]*string{}
	for i := 0; i < len(configs); i += 2 {
		set[configs[i]] = &configs[i+1]
	}
	if _, err := kadm.NewClient(c.client()).CreateTopic(c.t.Context(), partitions, 1, set, name); err != nil {
		c.t.Fatal(err)
	}
}

// write writes records, each as a batch of its own: "partition key value ms", the last two may be missing.
func (c *cluster) write(topic string, records ...string) {
	c.t.Helper()
	client := c.client(kgo.RecordPartitioner(kgo.ManualPartitioner()), kgo.ProducerLinger(0))
	for _, text := range records {
		r := &kgo.Record{Topic: topic}
		fields := strings.Fields(text)
		r.Key = []byte(fields[1])
		if len(fields) > 2 {
			r.Value = []byte(fields[2])
		}
		ms := time.Now().UnixMilli()
		if _, err := fmt.Sscan(fields[0], &r.Partition); err != nil {
			c.t.Fatal(err)
		}
		if len(fields) > 3 {
			if _, err := fmt.Sscan(fields[3], &ms); err != nil {
				c.t.Fatal(err)
			}
		}
		r.Timestamp = time.UnixMilli(ms)
		if err := client.ProduceSync(c.t.Context(), r).FirstErr(); err != nil {
			c.t.Fatal(err)
		}
	}
}

// expect compares what a command did. What differs from run to run is written as <id> and <n> there.
func expect(t *testing.T, got ran, code int, out, err string) {
	t.Helper()
	got.out, got.err = normal(got.out), normal(got.err)
	if diff := cmp.Diff(ran{strings.TrimLeft(out, "\n"), strings.TrimLeft(err, "\n"), code}, got, cmp.AllowUnexported(ran{})); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
}

var changing = []struct {
	find    *regexp.Regexp
	replace string
}{
	{regexp.MustCompile(`(id "?|"id": ")[-_A-Za-z0-9]{22}`), "${1}<id>"},
	{regexp.MustCompile(`\S+-[0-9a-f]{8}-[0-9a-f-]{27}`), "<member>"},
	{regexp.MustCompile(`in [0-9.]+ s: .*/s`), "in <n> s"},
	{regexp.MustCompile(`"seconds": [0-9.e-]+`), `"seconds": <n>`},
	{regexp.MustCompile(`\b[0-9]{4}d\b`), "<age>"},
	{regexp.MustCompile(`127\.0\.0\.1:\d+`), "<address>"},
}

func normal(s string) string {
	for _, c := range changing {
		s = c.find.ReplaceAllString(s, c.replace)
	}
	return s
}

// watched is an output that a test looks at while a command is running.
type watched struct {
	mu   sync.Mutex
	text strings.Builder
	more chan struct{}
}

func newWatched() *watched { return &watched{more: make(chan struct{}, 1)} }

func (w *watched) Write(b []byte) (int, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	select {
	case w.more <- struct{}{}:
	default:
	}
	return w.text.Write(b)
}

func (w *watched) String() string {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.text.String()
}

// until waits until something was written.
func (w *watched) until(t *testing.T, part string) {
	t.Helper()
	deadline := time.After(10 * time.Second)
	for !strings.Contains(w.String(), part) {
		select {
		case <-w.more:
		case <-deadline:
			t.Fatalf("%q was not written within 10 s, only %q", part, w.String())
		}
	}
}
