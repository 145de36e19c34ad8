package transport

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"os"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"go.etcd.io/raft/v3/raftpb"

	"github.com/weir/weir/internal/kept"
	"github.com/weir/weir/record"
	"github.com/weir/weir/replication"
)

// place is a node of a test: what arrives is kept.
type place struct {
	*Transport
	address string
	arrived chan string
	downs   chan int32
	log     *text
}

// text is a log that may be read while it is written.
type text = kept.Text

func newPlace(t *testing.T, self int32, cluster, address string) *place {
	t.Helper()
	l, err := net.Listen("tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	p := &place{address: l.Addr().String(), arrived: make(chan string, 1000), downs: make(chan int32, 1000), log: &text{}}
	p.Transport = New(Config{
		ClusterID: func() string { return cluster }, Self: self, Address: p.address, Logger: slog.New(slog.NewTextHandler(p.log, nil)),
		Deliver: func(all []replication.Arrived) {
			for _, a := range all {
				m := a.Message
				p.arrived <- fmt.Sprintf("%d: %v of %d at %d, %d entries", a.ID.Partition, m.GetType(), replication.BrokerOf(m.GetFrom()), m.GetIndex(), len(m.Entries))
			}
		},
		Note:   func(from int32, b []byte) { p.arrived <- fmt.Sprintf("note of %d: %s", from, b) },
		Answer: func(from int32, b []byte) []byte { return fmt.Appendf(nil, "%d asks %d: %s", from, self, b) },
		Down:   func(id int32) { p.downs <- id },
	})
	go func() {
		if err := p.Serve(l); err != nil {
			t.Error(err)
		}
	}()
	t.Cleanup(p.Stop)
	return p
}

func heartbeat(from, to int32, index uint64) *raftpb.Message {
	return &raftpb.Message{Type: raftpb.MsgHeartbeat.Enum(), From: new(replication.NodeOf(from, 0)), To: new(replication.NodeOf(to, 0)), Index: new(index)}
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
		t.Fatalf("nothing arrives:\n%s", p.log)
		return ""
	}
}

func TestMessagesArriveInOrder(t *testing.T) {
	a, b := newPlace(t, 1, "c", "127.0.0.1:0"), newPlace(t, 2, "c", "127.0.0.1:0")
	if a.Send(2, replication.GroupID{}, heartbeat(1, 2, 0), nil) {
		t.Error("a message for nobody is taken")
	}
	a.SetPeer(2, b.address) // and b learns where a is
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
		until(t, "room in the queue", func() bool {
			defer a.Flush()
			return a.Send(2, replication.GroupID{Partition: int32(i)}, m, nil)
		})
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
	b.Note(1, []byte("hello"))
	if got := a.next(t); got != "note of 2: hello" {
		t.Errorf("%s arrives", got)
	}
}

// TestQuestions: whoever does not know its cluster yet can ask, but not of another cluster.
func TestQuestions(t *testing.T) {
	a, b, other := newPlace(t, 1, "", "127.0.0.1:0"), newPlace(t, 2, "c", "127.0.0.1:0"), newPlace(t, 3, "d", "127.0.0.1:0")
	got, err := a.Ask(t.Context(), b.address, Anybody, []byte("who"))
	if err != nil || string(got) != "1 asks 2: who" {
		t.Errorf("%q, %v", got, err)
	}
	if _, err := other.Ask(t.Context(), b.address, 2, nil); err == nil || err.Error() != "node 2 belongs to cluster c, not to d" {
		t.Error(err)
	}
}

// muffled is a connection that can be made to lose what is written.
type muffled struct {
	net.Conn
	lose *atomic.Bool
}

func (m muffled) Write(b []byte) (int, error) {
	if m.lose.Load() {
		return len(b), nil
	}
	return m.Conn.Write(b)
}

// TestOneWayCut: both sides notice that one of them is not heard, and that it is again.
func TestOneWayCut(t *testing.T) {
	a, b := newPlace(t, 1, "c", "127.0.0.1:0"), newPlace(t, 2, "c", "127.0.0.1:0")
	lose := &atomic.Bool{}
	dial := a.cfg.Dial
	a.cfg.Dial = func(ctx context.Context, address string) (net.Conn, error) {
		c, err := dial(ctx, address)
		return muffled{c, lose}, err
	}
	a.SetPeer(2, b.address) // and b learns where a is
	for range 2 {
		until(t, "the connection", func() bool { return a.Connected(2) && b.Connected(1) })
		lose.Store(true)
		until(t, "its end", func() bool { return !a.Connected(2) && !b.Connected(1) })
		lose.Store(false)
	}
}

// narrow is a connection over a slow link.
type narrow struct{ net.Conn }

func (n narrow) Write(b []byte) (sum int, err error) {
	for part := range slices.Chunk(b, 64<<10) {
		wrote, err := n.Conn.Write(part)
		if sum += wrote; err != nil {
			return sum, err
		}
		time.Sleep(silence / 20)
	}
	return sum, nil
}

// TestLargeFramesOverSlowLinks: a node that needs longer for a frame than it may be silent is there.
func TestLargeFramesOverSlowLinks(t *testing.T) {
	a, b := newPlace(t, 1, "c", "127.0.0.1:0"), newPlace(t, 2, "c", "127.0.0.1:0")
	dial := a.cfg.Dial
	a.cfg.Dial = func(ctx context.Context, address string) (net.Conn, error) {
		c, err := dial(ctx, address)
		return narrow{c}, err
	}
	a.SetPeer(2, b.address)
	until(t, "the connection", func() bool { return a.Connected(2) && b.Connected(1) })
	large := strings.Repeat("large ", 500_000)
	if !a.Note(2, []byte(large)) {
		t.Fatal("it is not taken")
	}
	if got := b.next(t); got != "note of 1: "+large {
		t.Errorf("%d bytes arrive", len(got))
	}
	if len(a.downs)+len(b.downs) > 0 {
		t.Error("one was taken to be gone")
	}
}

// TestPeerComesBack: the end of a connection is told at once, and it is made again.
func TestPeerComesBack(t *testing.T) {
	a, b := newPlace(t, 1, "c", "127.0.0.1:0"), newPlace(t, 2, "c", "127.0.0.1:0")
	a.SetPeer(2, b.address) // and b learns where a is
	until(t, "the connection", func() bool { return a.Connected(2) })
	b.Stop()
	if id := <-a.downs; id != 2 {
		t.Errorf("node %d is down", id)
	}
	if a.Connected(2) || a.Send(2, replication.GroupID{}, heartbeat(1, 2, 7), nil) {
		t.Error("a message for a node that is gone is taken")
	}
	again := newPlace(t, 2, "c", b.address)
	until(t, "the connection", func() bool { return a.Connected(2) })
	a.Send(2, replication.GroupID{}, heartbeat(1, 2, 8), nil)
	a.Flush()
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
		to := int32(2)
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
		for range 3 { // who is refused tries on
			c, err := net.Dial("tcp", b.address)
			if err != nil {
				t.Fatal(err)
			}
			if err := greet(c, greeting{forFrames, a.cfg.ClusterID(), a.cfg.Self, to, ""}); err == nil || !strings.Contains(err.Error(), want) {
				t.Error(err)
			}
			_ = c.Close()
		}
		if told := strings.Count(b.log.String(), want); told != 1 {
			t.Errorf("%q is told %d times", want, told)
		}
	}
}

// TestNewConnectionFollowsTheOld: what a node sent over a connection is taken before what it sends over its next one, and the old one
// ends.
func TestNewConnectionFollowsTheOld(t *testing.T) {
	b := newPlace(t, 2, "c", "127.0.0.1:0")
	connect := func() net.Conn {
		c, err := net.Dial("tcp", b.address)
		if err == nil {
			err = greet(c, greeting{forFrames, "c", 1, 2, ""})
		}
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = c.Close() })
		return c
	}
	note := func(c net.Conn, text string) {
		var out frames
		out.addBytes(frameNote, []byte(text))
		if _, err := c.Write(out.bytes); err != nil {
			t.Fatal(err)
		}
	}
	before := connect()
	note(before, "first")
	if got := b.next(t); got != "note of 1: first" {
		t.Error(got)
	}
	note(connect(), "second")
	if got := b.next(t); got != "note of 1: second" {
		t.Error(got)
	}
	_ = before.SetReadDeadline(time.Now().Add(20 * time.Second))
	if n, err := before.Read(make([]byte, 1)); errors.Is(err, os.ErrDeadlineExceeded) || n > 0 {
		t.Error("the old connection stays")
	}
}

// TestNonsenseEndsTheConnection sends what is no message, or another's.
func TestNonsenseEndsTheConnection(t *testing.T) {
	b := newPlace(t, 2, "c", "127.0.0.1:0")
	other := replication.AppendMessage([]byte{0, 0, 0, 0}, nil, replication.GroupID{}, heartbeat(3, 2, 0))
	other = slices.Insert(other, 4, frameRaft)
	other[3] = byte(len(other) - 4)
	for name, sent := range map[string][]byte{
		"another protocol": []byte("GET / HTTP/1.1\r\n\r\n"),
		"a huge frame":     append(greeting{forFrames, "c", 1, 2, ""}.bytes(), 0xff, 0xff, 0xff, 0xff),
		"an empty frame":   append(greeting{forFrames, "c", 1, 2, ""}.bytes(), 0, 0, 0, 0),
		"an unknown frame": append(greeting{forFrames, "c", 1, 2, ""}.bytes(), 0, 0, 0, 1, 9),
		"a short message":  append(greeting{forFrames, "c", 1, 2, ""}.bytes(), 0, 0, 0, 3, frameRaft, 1, 2),
		"another sender":   append(greeting{forFrames, "c", 1, 2, ""}.bytes(), other...),
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
