package connect

import (
	"io"
	"net"
	"strconv"
	"sync"
	"testing"
)

// link is a network between a worker and a server, which can be cut.
type link struct {
	t    *testing.T
	port int
	to   string

	mu    sync.Mutex
	up    bool
	conns []net.Conn
	shut  chan struct{} // closed when nothing flows any more through the connections that there are
}

func newLink(t *testing.T, to int) *link {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	k := &link{t: t, port: l.Addr().(*net.TCPAddr).Port, to: net.JoinHostPort("127.0.0.1", strconv.Itoa(to)), up: true, shut: make(chan struct{})}
	t.Cleanup(func() { l.Close(); k.cut() })
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			k.join(c)
		}
	}()
	return k
}

func (k *link) join(c net.Conn) {
	k.mu.Lock()
	defer k.mu.Unlock()
	s, err := net.Dial("tcp", k.to)
	if err != nil || !k.up {
		c.Close()
		return
	}
	k.conns = append(k.conns, c, s)
	go flow(s, c, k.shut)
	go flow(c, s, k.shut)
}

func flow(to, from net.Conn, shut <-chan struct{}) {
	b := make([]byte, 32<<10)
	for {
		n, err := from.Read(b)
		select {
		case <-shut:
			return // the connections stand, and nothing flows
		default:
		}
		if n > 0 {
			if _, err := to.Write(b[:n]); err != nil {
				return
			}
		}
		if err == io.EOF || err != nil {
			to.Close()
			return
		}
	}
}

// cut ends all connections, and lets no others come.
func (k *link) cut() {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.up = false
	for _, c := range k.conns {
		c.Close()
	}
	k.conns = nil
}

// mend lets connections come again.
func (k *link) mend() {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.up = true
}

// leads makes new connections go elsewhere.
func (k *link) leads(to int) {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.to = net.JoinHostPort("127.0.0.1", strconv.Itoa(to))
}

// hold lets nothing flow any more through the connections that there are, and does not tell their ends. New ones work.
func (k *link) hold() {
	k.mu.Lock()
	defer k.mu.Unlock()
	close(k.shut)
	k.shut = make(chan struct{})
}

// TestNetworkCut: the network between worker and database is cut, or swallows everything without a word. Nothing is lost and nothing
// comes twice.
func TestNetworkCut(t *testing.T) {
	t.Parallel()
	pg := startPostgres(t)
	node := startNode(t)
	k := newLink(t, pg.port)
	l := newLedger(t, pg, "cut", 100)
	node.connector("c", pg.props(l.database, "database.port", strconv.Itoa(k.port), "status.update.interval.ms", "300"))
	streams(t, node, "c")
	l.writes(200)
	for round := range 6 {
		moved := node.task("c").Details.Records
		await(t, "events", func() bool { return node.task("c").Details.Records > moved+50 })
		if round%2 == 0 {
			k.cut()
			at := l.wrote()
			await(t, "changes meanwhile", func() bool { return l.wrote() > at+100 })
			k.mend()
		} else {
			k.hold()
			await(t, "the lag to be seen", func() bool { d := node.task("c").Details; return d.LagMS != nil && *d.LagMS > 500 })
		}
	}
	l.end()
	out := l.settle(node.kafka)
	t.Logf("%d changes, %d events, of which %d again", l.wrote(), out.events, out.again)
	if out.again > 0 {
		t.Errorf("%d events came twice", out.again)
	}
}

// TestNetworkCutInSnapshot: the same while tables are read, which then begins anew.
func TestNetworkCutInSnapshot(t *testing.T) {
	t.Parallel()
	pg := startPostgres(t)
	node := startNode(t)
	k := newLink(t, pg.port)
	l := newLedger(t, pg, "cutsnapshot", 200_000)
	node.connector("c", pg.props(l.database, "database.port", strconv.Itoa(k.port)))
	l.writes(100)
	await(t, "rows", func() bool { return node.task("c").Details.Records > 1000 })
	within := node.task("c").Details.LagMS == nil
	k.cut()
	await(t, "the trouble to be told", func() bool {
		task := node.task("c")
		return task.State == "RUNNING" && task.Details.Cause == "transient" && says(task.Trace, "PostgreSQL at 127.0.0.1:", "cannot be reached")
	})
	k.mend()
	streams(t, node, "c")
	l.end()
	out := l.settle(node.kafka)
	t.Logf("cut within the snapshot: %v; %d rows read, %d events in all, of which %d again", within, out.reads, out.events, out.again)
}

// TestStuck: a source that does not come back from asking for records is shown as stuck, and as well when it goes on.
func TestStuck(t *testing.T) {
	t.Parallel()
	pg := startPostgres(t)
	node := startNode(t)
	l := newLedger(t, pg, "stuck", 10)
	// Whoever makes a replication slot waits for all transactions that write.
	c, err := pg.dial(l.database)
	if err != nil {
		t.Fatal(err)
	}
	ctx := t.Context()
	if _, err := ask(ctx, c, "BEGIN; INSERT INTO a VALUES (1000, 1000, '')"); err != nil {
		t.Fatal(err)
	}
	node.connector("c", pg.props(l.database))
	await(t, "the task to be shown as stuck", func() bool { task := node.task("c"); return task.State == "RUNNING" && task.Details.Stuck })
	shown, err := node.cli("connect", "status", "c")
	if err != nil || !says(shown, "RUNNING (stuck)", "weir connect restart c --task 0") {
		t.Errorf("the command shows %s (%v)", shown, err)
	}
	if _, err := ask(ctx, c, "COMMIT"); err != nil {
		t.Fatal(err)
	}
	await(t, "the task to go on", func() bool { d := node.task("c").Details; return !d.Stuck && d.LagMS != nil })
	l.settle(node.kafka)
}
