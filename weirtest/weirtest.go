package weirtest

import (
	"fmt"
	"log/slog"
	"net"
	"slices"
	"sync"
	"time"

	"github.com/weir/weir/config"
	"github.com/weir/weir/node"
)

// Option changes how a node is started.
type Option func(*settings)

type settings struct {
	dir    string // "": in memory
	set    []string
	topics []topic
	logger *slog.Logger // nil: kept, and shown if the test fails
	now    func() time.Time
}

type topic struct {
	name       string
	partitions int
	configs    []string
}

// Dir keeps the node's data in a folder, which is made if it is missing, and not in memory. A folder that a node left can be
// used again.
func Dir(path string) Option { return func(s *settings) { s.dir = path } }

// Topic makes a topic, with configurations as name=value. -1 partitions are as many as num.partitions says.
func Topic(name string, partitions int, configs ...string) Option {
	return func(s *settings) { s.topics = append(s.topics, topic{name, partitions, configs}) }
}

// Config sets configurations of the broker, under Kafka's names, as name=value.
func Config(configs ...string) Option {
	return func(s *settings) { s.set = append(s.set, configs...) }
}

// Clock gives the node a clock of its own, which says what time records get (LogAppendTime) and what is too old: records
// (retention), committed offsets, producers. Waiting is done in real time.
func Clock(now func() time.Time) Option { return func(s *settings) { s.now = now } }

// Logger takes what the node logs. Without it, a test shows it if it fails, and Run gives it to slog.Default.
func Logger(l *slog.Logger) Option { return func(s *settings) { s.logger = l } }

// TB is what a node wants of a test. *testing.T, *testing.B and *testing.F have it, and what other frameworks put in their
// place, such as ginkgo's GinkgoT().
type TB interface {
	Helper()
	Cleanup(func())
	Failed() bool
	Logf(format string, args ...any)
	Errorf(format string, args ...any)
	Fatalf(format string, args ...any)
}

// Node is a broker, and all that can happen to it. Its methods may be called from any goroutine, except that those which can
// fail the test (CreateTopic, Produce, Consume, Restart, Hook.Await) belong in the test's own. Without a test they panic.
type Node struct {
	t       reporter
	options settings
	logs    *logs
	wire    *wire
	listen  map[string]*listener // by name
	failed  chan error

	mu         sync.Mutex
	disk       *disk
	running    *running // nil: it is down
	background sync.WaitGroup
}

// running is a node from its start to its end.
type running struct {
	*node.Node
	quiet func()        // ends its logging
	over  chan struct{} // closed at its end
}

// Start starts a node that stops with the test. When it returns, clients are served.
func Start(t TB, opts ...Option) *Node {
	t.Helper()
	n := newNode(t, opts)
	t.Cleanup(func() {
		n.Close()
		if text := n.logs.String(); t.Failed() && text != "" {
			t.Logf("the node at %s logged:\n%s", n.Addr(), text)
		}
	})
	if err := n.begin(); err != nil {
		t.Fatalf("the node does not start: %v", err)
	}
	return n
}

// Run starts a node for what is not a test: a program, or TestMain. Close ends it.
func Run(opts ...Option) (*Node, error) {
	n := newNode(program{}, append([]Option{Logger(slog.Default())}, opts...))
	if err := n.begin(); err != nil {
		n.Close()
		return nil, err
	}
	return n, nil
}

func newNode(t reporter, opts []Option) *Node {
	n := &Node{t: t, logs: &logs{}, wire: newWire(), listen: map[string]*listener{}, failed: make(chan error, 1)}
	for _, o := range opts {
		o(&n.options)
	}
	if n.options.logger == nil {
		n.options.logger = slog.New(slog.NewTextHandler(n.logs, nil))
	}
	n.disk = newDisk(n.options.dir)
	return n
}

// begin starts the node for the first time.
func (n *Node) begin() error {
	n.mu.Lock()
	defer n.mu.Unlock()
	if err := n.start(); err != nil {
		return err
	}
	for _, t := range n.options.topics {
		if err := n.createTopic(t); err != nil {
			return err
		}
	}
	return nil
}

// start starts the node. Under mu.
func (n *Node) start() error {
	set := []string{"listeners=PLAINTEXT://127.0.0.1:0", "http.listener=127.0.0.1:0", "group.initial.rebalance.delay.ms=0"}
	set = append(set, n.options.set...)
	cfg, notes, err := config.Load(config.Sources{Set: append(set, "log.dirs="+n.disk.dir)})
	if err != nil {
		return fmt.Errorf("its configuration is not right: %w", err)
	}
	logger, quiet := quietable(n.options.logger)
	if len(notes.NoEffect) > 0 {
		logger.Info("these options of Kafka have no effect here", "options", notes.NoEffect)
	}
	started, err := node.Start(node.Options{Config: cfg, Logger: logger, FS: n.disk.faults, Now: n.options.now, Listen: n.open})
	if err != nil {
		return err
	}
	r := &running{started, quiet, make(chan struct{})}
	n.running = r
	select {
	case <-n.failed: // nobody asked about the last one
	default:
	}
	n.background.Go(func() { n.watch(r) })
	return nil
}

// open gives a node its listener. The socket is opened once, so that the address stays. The wire lies between the node and
// its clients only: over HTTP a test sees what is going on behind it.
func (n *Node) open(name, address string) (net.Listener, error) {
	l := n.listen[name]
	if l == nil {
		w := n.wire
		if name == httpListener {
			w = nil
		}
		var err error
		if l, err = newListener(w, address); err != nil {
			return nil, err
		}
		n.listen[name] = l
	}
	return l.attach(), nil
}

// httpListener is what the node calls the listener that is not for clients of Kafka.
const httpListener = "http.listener"

// Addr is where a client connects first, as host:port. It stays the same over Restart.
func (n *Node) Addr() string {
	if addrs := n.Addrs(); len(addrs) > 0 {
		return addrs[0]
	}
	return ""
}

// Addrs are the addresses of all listeners for clients, in the order of their names. There is one, unless configured
// otherwise.
func (n *Node) Addrs() []string {
	var names, out []string
	for name := range n.listen {
		if name != httpListener {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	for _, name := range names {
		out = append(out, n.listen[name].socket.Addr().String())
	}
	return out
}

// HTTP is the address of health, metrics and questions about the cluster, as http://host:port; "" if it is configured away.
// Faults of the wire do not touch it.
func (n *Node) HTTP() string {
	l := n.listen[httpListener]
	if l == nil {
		return ""
	}
	return "http://" + l.socket.Addr().String()
}
