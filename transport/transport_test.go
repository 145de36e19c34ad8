package transport

import (
	"fmt"
	"io"
	"log/slog"
	"net"
	"strings"
	"sync"
	"testing"
	"time"

	"go.etcd.io/raft/v3/raftpb"

	"github.com/weir/weir/record"
	"github.com/weir/weir/replication"
)

// place is a node of a test: what arrives is kept.
type place struct {
	*Transport
	address string
	arrived chan string
	downs   chan replication.NodeID
	log     *text
}

// text is a log that may be read while it is written.
type text struct {
	mu sync.Mutex
	b  strings.Builder
}

func (t *text) Write(b []byte) (int, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.b.Write(b)
}

func (t *text) String() string {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.b.String()
}

func newPlace(t *testing.T, self replication.NodeID, cluster, address string) *place {
	t.Helper()
	l, err := net.Listen("tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	p := &place{address: l.Addr().String(), arrived: make(chan string, 1000), downs: make(chan replication.NodeID, 1000), log: &text{}}
	p.Transport = New(Config{
		ClusterID: cluster, Self: self, Logger: slog.New(slog.NewTextHandler(p.log, nil)),
		Deliver: func(id replication.GroupID, m *raftpb.Message) {
			p.arrived <- fmt.Sprintf("%d: %v of %d at %d, %d entries", id.Partition, m.GetType(), m.GetFrom(), m.GetIndex(), len(m.Entries))
		},
		Down: func(id replication.NodeID) { p.downs <- id },
	})
	go func() {
		if err := p.Serve(l); err != nil {
			t.Error(err)
		}
	}()
	t.Cleanup(p.Stop)
	return p
}

func heartbeat(from, to replication.NodeID, index uint64) *raftpb.Message {
	return &raftpb.Message{Type: raftpb.MsgHeartbeat.Enum(), From: new(from), To: new(to), Index: new(index)}
}

func until(t *testing.T, what string, ok func() bool) {
	t.Helper()
	for end := time.Now().Add(20 * time.Second); !ok(); time.Sleep(time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("waited in vain for %s", what)
		}
	}
}

func (p *place) next(t *testing.T) string {
	t.Helper()
	select {
	case got := <-p.arrived:
		return got
	case <-time.After(20 * time.Second):
		t.Fatal("nothing arrives")
		return ""
	}
}

func TestMessagesArriveInOrder(t *testing.T) {
	a, b := newPlace(t, 1, "c", "127.0.0.1:0"), newPlace(t, 2, "c", "127.0.0.1:0")
	if a.Send(replication.GroupID{}, heartbeat(1, 2, 0)) {
		t.Error("a message for nobody is taken")
	}
	a.SetPeer(2, b.address)
	until(t, "the connection", func() bool { return a.Connected(2) })
	batch := record.NewBuilder(record.BuilderOptions{})
	batch.Append(1, nil, make([]byte, 3<<20))
	data := batch.Build()
	record.Assign(data, 0, 5)
	for i := range uint64(100) {
		m := heartbeat(1, 2, i)
		if i%10 == 0 {
			m.Type, m.Entries = raftpb.MsgApp.Enum(), []*raftpb.Entry{{Index: new(i + 1), Term: new(uint64(5)), Data: data}}
		}
		until(t, "room in the queue", func() bool { return a.Send(replication.GroupID{Partition: int32(i)}, m) })
	}
	for i := range 100 {
		want := fmt.Sprintf("%d: MsgHeartbeat of 1 at %d, 0 entries", i, i)
		if i%10 == 0 {
			want = fmt.Sprintf("%d: MsgApp of 1 at %d, 1 entries", i, i)
		}
		if got := b.next(t); got != want {
			t.Fatalf("%s arrives, not %s", got, want)
		}
	}
}

// TestPeerComesBack: the end of a connection is told at once, and it is made again.
func TestPeerComesBack(t *testing.T) {
	a, b := newPlace(t, 1, "c", "127.0.0.1:0"), newPlace(t, 2, "c", "127.0.0.1:0")
	a.SetPeer(2, b.address)
	until(t, "the connection", func() bool { return a.Connected(2) })
	b.Stop()
	if id := <-a.downs; id != 2 {
		t.Errorf("node %d is down", id)
	}
	if a.Connected(2) || a.Send(replication.GroupID{}, heartbeat(1, 2, 7)) {
		t.Error("a message for a node that is gone is taken")
	}
	again := newPlace(t, 2, "c", b.address)
	until(t, "the connection", func() bool { return a.Connected(2) })
	a.Send(replication.GroupID{}, heartbeat(1, 2, 8))
	if got := again.next(t); got != "0: MsgHeartbeat of 1 at 8, 0 entries" {
		t.Errorf("%s arrives", got)
	}
}

func TestStrangersAreRefused(t *testing.T) {
	b := newPlace(t, 2, "c", "127.0.0.1:0")
	for want, a := range map[string]*place{
		"node 2 belongs to cluster c, not to other":                                   newPlace(t, 1, "other", "127.0.0.1:0"),
		"node id 2 is used twice: give each node a node.id of its own":                newPlace(t, 2, "c", "127.0.0.1:0"),
		"this is node 2, not node 3: check the addresses in controller.quorum.voters": newPlace(t, 4, "c", "127.0.0.1:0"),
	} {
		to := replication.NodeID(2)
		if strings.Contains(want, "not node 3") {
			to = 3
		}
		a.SetPeer(to, b.address)
		until(t, "a refusal on both sides", func() bool {
			return strings.Contains(a.log.String(), want) && strings.Contains(b.log.String(), want)
		})
		if a.Connected(to) {
			t.Error("and yet it is connected")
		}
	}
}

// TestNonsenseEndsTheConnection sends what is no message, or another's.
func TestNonsenseEndsTheConnection(t *testing.T) {
	b := newPlace(t, 2, "c", "127.0.0.1:0")
	other, err := replication.AppendMessage([]byte{0, 0, 0, 0}, replication.GroupID{}, heartbeat(3, 2, 0))
	if err != nil {
		t.Fatal(err)
	}
	other[3] = byte(len(other) - 4)
	for name, sent := range map[string][]byte{
		"another protocol": []byte("GET / HTTP/1.1\r\n\r\n"),
		"a huge frame":     append(hello("c", 1, 2), 0xff, 0xff, 0xff, 0xff),
		"a short message":  append(hello("c", 1, 2), 0, 0, 0, 2, 1, 2),
		"another sender":   append(hello("c", 1, 2), other...),
	} {
		c, err := net.Dial("tcp", b.address)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := c.Write(sent); err != nil {
			t.Fatal(err)
		}
		_ = c.SetReadDeadline(time.Now().Add(20 * time.Second))
		if _, err := io.ReadAll(c); err != nil && !strings.Contains(err.Error(), "reset") {
			t.Errorf("%s: %v", name, err)
		}
		_ = c.Close()
	}
	if len(b.arrived) > 0 {
		t.Error("something was delivered")
	}
}
