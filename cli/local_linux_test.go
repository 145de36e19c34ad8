package cli

import (
	"context"
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

func TestPlanLocal(t *testing.T) {
	taken := map[int]bool{9093: true, 9194: true}
	free := func(port int) bool { return !taken[port] }
	nodes, err := planLocal(3, "/d", localPort, free)
	if err != nil {
		t.Fatal(err)
	}
	want := []localNode{
		{1, "/d/node-1", 9094, 9195, 8080, 8083, 3, 2}, {2, "/d/node-2", 9095, 9196, 8081, 8084, 3, 2}, {3, "/d/node-3", 9096, 9197, 8082, 8085, 3, 2},
	}
	if diff := cmp.Diff(want, nodes, cmp.AllowUnexported(localNode{})); diff != "" {
		t.Error(diff)
	}
	const text = "# Written by `weir cluster start-local`, which leaves it as it is from now on: change it as you like.\n" + `process.roles=broker,controller
node.id=2
controller.quorum.voters=1@127.0.0.1:9195,2@127.0.0.1:9196,3@127.0.0.1:9197
controller.listener.names=CONTROLLER
listeners=PLAINTEXT://127.0.0.1:9095,CONTROLLER://127.0.0.1:9196
http.listener=127.0.0.1:8081
connect.listener=127.0.0.1:8084
log.dirs=/d/node-2/data
default.replication.factor=3
min.insync.replicas=2
offsets.topic.replication.factor=3
`
	if diff := cmp.Diff(text, propertiesText(nodes[1].properties(nodes))); diff != "" {
		t.Error(diff)
	}
	for n, want := range map[int][2]int{1: {1, 1}, 2: {2, 1}, 3: {3, 2}, 5: {3, 2}} {
		nodes, err := planLocal(n, "/d", localPort, free)
		if err != nil || len(nodes) != n || nodes[0].replicas != want[0] || nodes[0].replicasIn != want[1] {
			t.Errorf("%d nodes: %+v, %v", n, nodes, err)
		}
	}
	// Whatever the first port is, no port is used twice.
	for _, first := range []int{8079, 8080, 9190, 9192, 9194} {
		nodes, err := planLocal(9, "/d", first, free)
		if err != nil {
			t.Fatal(err)
		}
		seen := map[int]bool{}
		for _, n := range nodes {
			for _, port := range []int{n.client, n.peers, n.http, n.connect} {
				if seen[port] || taken[port] {
					t.Errorf("from %d on: port %d is used twice", first, port)
				}
				seen[port] = true
			}
		}
	}
	if _, err := planLocal(3, "/d", 65534, free); err == nil || err.Error() != "there are no 3 consecutive free ports from 65534 on: give another with --port" {
		t.Error(err)
	}
}

func TestEnvironmentOfNodes(t *testing.T) {
	env := []string{"PATH=/bin", "WEIR_LISTENERS=PLAINTEXT://:1", "WEIR_LOG_LEVEL=debug", "WEIR_NODE_ID=9"}
	if diff := cmp.Diff([]string{"PATH=/bin", "WEIR_LOG_LEVEL=debug"}, withoutOptions(env, localNode{}.properties(nil))); diff != "" {
		t.Error(diff)
	}
}

// localRun is `weir cluster start-local` of one node.
type localRun struct {
	out, err *watched
	stop     context.CancelFunc
	code     chan int
}

func startLocalTest(t *testing.T, dir string, args ...string) *localRun {
	t.Helper()
	t.Setenv(asWeir, "1") // the nodes are this binary
	ctx, stop := context.WithCancel(context.Background())
	l := &localRun{newWatched(), newWatched(), stop, make(chan int, 1)}
	go func() {
		l.code <- weirTo(ctx, nil, l.out, l.err, append([]string{"cluster", "start-local", "--dir", dir}, args...)...)
	}()
	t.Cleanup(stop)
	return l
}

// nodes waits until the nodes answer.
func (l *localRun) nodes(t *testing.T) (nodes []localNodeInfo) {
	t.Helper()
	select {
	case <-l.listed():
	case code := <-l.code:
		t.Fatalf("exit code %d: %s", code, l.err)
	}
	if err := json.Unmarshal([]byte(l.out.String()), &nodes); err != nil {
		t.Fatal(err)
	}
	return nodes
}

// listed tells when the command has printed the list of nodes.
func (l *localRun) listed() <-chan struct{} {
	done := make(chan struct{})
	go func() {
		for !strings.HasSuffix(l.out.String(), "]\n") {
			<-l.out.more
		}
		close(done)
	}()
	return done
}

// end waits for the command's exit code.
func (l *localRun) end(t *testing.T) int {
	t.Helper()
	select {
	case code := <-l.code:
		return code
	case <-time.After(time.Minute):
		t.Fatal("the command does not end")
		return 0
	}
}

// TestStartLocal starts a node, stops it, goes on with its data, and then kills it.
func TestStartLocal(t *testing.T) {
	dir := t.TempDir()
	one := []string{"--nodes", "1", "--port", "21092", "-o", "json"}
	l := startLocalTest(t, dir, one...)
	first := l.nodes(t)
	bootstrap := first[0].Address
	if got := weir(t.Context(), nil, "topic", "create", "orders", "-b", bootstrap); got.code != 0 {
		t.Fatalf("%+v", got)
	}
	l.stop()
	if code := l.end(t); code != 0 || l.err.String() != "Stopping 1 node ...\n" {
		t.Errorf("exit code %d: %s", code, l.err)
	}
	if words := lastWords(first[0].Log); words != "Weir has stopped." {
		t.Errorf("it did not stop cleanly: %q", words)
	}

	l = startLocalTest(t, dir, "-o", "json") // as many nodes as there are, where they were
	again := l.nodes(t)
	if len(again) != 1 || again[0].Address != bootstrap || again[0].PID == first[0].PID {
		t.Errorf("%+v, and before %+v", again, first)
	}
	if got := weir(t.Context(), nil, "topic", "describe", "orders", "-b", bootstrap); got.code != 0 {
		t.Errorf("%+v", got)
	}
	if err := syscall.Kill(again[0].PID, syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	if code := l.end(t); code != exitFailed || !strings.Contains(l.err.String(), "Node 1 has ended (signal: killed)") || !strings.Contains(l.err.String(), "weir: no node is running any more\n") ||
		!strings.Contains(l.err.String(), " serve --config "+filepath.Join(dir, "node-1", "server.properties")) {
		t.Errorf("exit code %d: %s", code, l.err)
	}
}

func TestStartLocalFails(t *testing.T) {
	dir := t.TempDir()
	folder := filepath.Join(dir, "node-1")
	if err := os.Mkdir(folder, 0o700); err != nil {
		t.Fatal(err)
	}
	write := func(text string) {
		if err := os.WriteFile(filepath.Join(folder, localFile), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	for _, test := range []struct {
		properties string
		args       []string
		says       string
	}{
		{"node.id=1\nlisteners=PLAINTEXT://127.0.0.1:21192\nnosuch=1\n", nil, `its last words: weir: the configuration is not right: `},
		{"node.id=1\nlisteners=PLAINTEXT://127.0.0.1:21192\n", []string{"--nodes", "3"}, "holds a cluster of 1 node, the first on port 21192: leave out --nodes and --port to go on with it, give another --dir, or remove the folder with all data\n"},
		{"node.id=one\n", nil, "node-1/server.properties: node.id is not a number\n"},
		{"node.id=1\nlisteners=CONTROLLER://127.0.0.1:21192\n", nil, "node-1/server.properties: listeners names no port for clients\n"},
	} {
		write(test.properties)
		l := startLocalTest(t, dir, test.args...)
		if code := l.end(t); code != exitFailed || !strings.Contains(l.err.String(), test.says) {
			t.Errorf("%q: exit code %d: %s", test.properties, code, l.err)
		}
	}
}

func TestLastWords(t *testing.T) {
	name := filepath.Join(t.TempDir(), "log")
	for text, want := range map[string]string{"": "", "a\nb\n\n": "b", strings.Repeat("x", 3*lastWordsBytes) + "\nend\x1b\n": `end\x1b`} {
		if err := os.WriteFile(name, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		if got := lastWords(name); got != want {
			t.Errorf("%q, want %q", got, want)
		}
	}
	if got := lastWords(name + ".no"); got != "" {
		t.Error(got)
	}
}
