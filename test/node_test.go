package test

import (
	"context"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/weir/weir/internal/kept"
)

// weirBinary is the weir that is tested.
var weirBinary string

func TestMain(m *testing.M) {
	if external != "" {
		os.Exit(m.Run())
	}
	dir, err := os.MkdirTemp("", "weir-test-")
	if err != nil {
		panic(err)
	}
	weirBinary = filepath.Join(dir, "weir")
	build := exec.Command("go", append(append([]string{"build"}, raceFlag...), "-o", weirBinary, "../cmd/weir")...)
	if out, err := build.CombinedOutput(); err != nil {
		fmt.Fprintf(os.Stderr, "building weir: %v\n%s", err, out)
		os.Exit(1)
	}
	code := m.Run()
	stopShared()
	_ = os.RemoveAll(dir)
	os.Exit(code)
}

// node is a running weir.
type node struct {
	t       *testing.T
	dir     string
	address string
	cmd     *exec.Cmd
	out     *output
	options []string
	beside  []*node // the other nodes of its cluster
}

// output gathers what a process prints.
type output = kept.Text

// freePort gives a port that nobody uses.
func freePort(t *testing.T) int {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().(*net.TCPAddr).Port
}

// start runs a node on a folder of its own and waits until it serves.
func start(t *testing.T, options ...string) *node {
	t.Helper()
	if external != "" {
		t.Skip("needs a node of its own")
	}
	return startIn(t, t.TempDir(), options...)
}

// startIn is start on a given folder.
func startIn(t *testing.T, dir string, options ...string) *node {
	t.Helper()
	n := &node{t: t, dir: dir, address: fmt.Sprintf("127.0.0.1:%d", freePort(t)), options: options}
	t.Cleanup(func() {
		for _, m := range n.cluster() {
			if m.cmd != nil && m.cmd.ProcessState == nil {
				m.kill()
			}
			if t.Failed() {
				t.Logf("the node at %s said:\n%s", m.address, m.out)
			}
		}
	})
	n.begin()
	return n
}

// begin starts a node, and the others of its cluster.
func (n *node) begin() {
	n.t.Helper()
	if nodes > 1 {
		n.beside = n.others()
	}
	for _, m := range n.cluster() {
		m.run()
	}
	for _, m := range n.cluster() {
		m.await()
	}
}

// cluster gives all nodes, the node first.
func (n *node) cluster() []*node { return append([]*node{n}, n.beside...) }

func (n *node) command() *exec.Cmd {
	args := []string{"serve", "--set", "log.dirs=" + n.dir, "--set", "listeners=PLAINTEXT://" + n.address, "--set", "http.listener=",
		"--set", "group.initial.rebalance.delay.ms=0"}
	for _, o := range n.options {
		args = append(args, "--set", o)
	}
	return exec.Command(weirBinary, args...)
}

// start starts a node that was ended, and waits until it is ready and leads again.
func (n *node) start() {
	n.t.Helper()
	n.run()
	n.await()
	if nodes > 1 {
		n.lead()
	}
}

func (n *node) run() {
	n.t.Helper()
	n.out = &output{}
	n.cmd = n.command()
	n.cmd.Stdout, n.cmd.Stderr = n.out, n.out
	if err := n.cmd.Start(); err != nil {
		n.t.Fatal(err)
	}
}

func (n *node) await() {
	n.t.Helper()
	deadline := time.Now().Add(30 * time.Second)
	for !strings.Contains(n.out.String(), "Weir is ready") {
		if time.Now().After(deadline) {
			n.t.Fatalf("the node is not ready:\n%s", n.out)
		}
		if syscall.Kill(n.cmd.Process.Pid, 0) != nil {
			n.t.Fatalf("the node ended:\n%s", n.out)
		}
		<-time.After(2 * time.Millisecond)
	}
}

// kill ends the node as a crash does.
func (n *node) kill() {
	_ = n.cmd.Process.Kill()
	_ = n.cmd.Wait()
}

// stop ends the node as an operator does.
func (n *node) stop() error {
	if err := n.cmd.Process.Signal(syscall.SIGTERM); err != nil {
		return err
	}
	return n.cmd.Wait()
}

func (n *node) client(opts ...kgo.Opt) *kgo.Client {
	n.t.Helper()
	var seeds []string
	for _, m := range n.cluster() {
		seeds = append(seeds, m.address)
	}
	c, err := kgo.NewClient(append([]kgo.Opt{kgo.SeedBrokers(seeds...), kgo.AllowAutoTopicCreation(), kgo.MetadataMinAge(20 * time.Millisecond)}, opts...)...)
	if err != nil {
		n.t.Fatal(err)
	}
	n.t.Cleanup(c.Close)
	return c
}

func (n *node) createTopic(name string, partitions int32, configs ...string) {
	n.t.Helper()
	n.namedTopic(name, partitions, configs...)
}

// ctx ends with the test, or when it takes too long.
func ctx(t *testing.T) context.Context {
	c, cancel := context.WithTimeout(context.Background(), 60*time.Second)
	t.Cleanup(cancel)
	return c
}

// consume reads count records of a topic from the start.
func (n *node) consume(topic string, count int, opts ...kgo.Opt) []*kgo.Record {
	n.t.Helper()
	c := n.client(append([]kgo.Opt{kgo.ConsumeTopics(topic), kgo.ConsumeResetOffset(kgo.NewOffset().AtStart())}, opts...)...)
	defer c.Close()
	var out []*kgo.Record
	until := ctx(n.t)
	for len(out) < count {
		f := c.PollFetches(until)
		if err := f.Err0(); err != nil {
			n.t.Fatalf("after %d of %d records: %v", len(out), count, err)
		}
		out = append(out, f.Records()...)
	}
	return out
}
