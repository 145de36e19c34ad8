package weirtest

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// rawConn is a client that sends what it is told to.
type rawConn struct{ net.Conn }

func dial(t *testing.T, n *Node) rawConn {
	t.Helper()
	c, err := net.Dial("tcp", n.Addr())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close() })
	if err := c.SetDeadline(time.Now().Add(30 * time.Second)); err != nil {
		t.Fatal(err)
	}
	return rawConn{c}
}

func frameOf(correlation int32, req kmsg.Request) []byte {
	return kmsg.NewRequestFormatter(kmsg.FormatterClientID("raw")).AppendRequest(nil, req, correlation)
}

func (c rawConn) send(t *testing.T, correlation int32, req kmsg.Request) {
	t.Helper()
	if _, err := c.Write(frameOf(correlation, req)); err != nil {
		t.Fatal(err)
	}
}

// answer reads an answer: its correlation id and its body.
func (c rawConn) answer(t *testing.T) (int32, []byte) {
	t.Helper()
	head := make([]byte, 4)
	if _, err := io.ReadFull(c, head); err != nil {
		t.Fatal(err)
	}
	b := make([]byte, binary.BigEndian.Uint32(head))
	if _, err := io.ReadFull(c, b); err != nil {
		t.Fatal(err)
	}
	return int32(binary.BigEndian.Uint32(b)), b[4:]
}

// silent tells whether nothing comes for a moment.
func (c rawConn) silent(t *testing.T) bool {
	t.Helper()
	if err := c.SetReadDeadline(time.Now().Add(50 * time.Millisecond)); err != nil {
		t.Fatal(err)
	}
	defer func() { _ = c.SetReadDeadline(time.Now().Add(30 * time.Second)) }()
	_, err := c.Read(make([]byte, 1))
	var timeout net.Error
	return errors.As(err, &timeout) && timeout.Timeout()
}

// ends wants the connection to be closed without another byte.
func (c rawConn) ends(t *testing.T) {
	t.Helper()
	n, err := c.Read(make([]byte, 1))
	var timeout net.Error
	if n > 0 || err == nil || errors.As(err, &timeout) && timeout.Timeout() {
		t.Fatalf("%d bytes, %v", n, err)
	}
}

// versions is a small request.
func versions() kmsg.Request {
	r := kmsg.NewPtrApiVersionsRequest()
	r.SetVersion(0)
	return r
}

func TestRefuse(t *testing.T) {
	n := Start(t)
	there := dial(t, n)
	there.send(t, 1, versions())
	there.answer(t)
	n.Refuse()
	for range 3 {
		if c, err := net.Dial("tcp", n.Addr()); err == nil { // else the end came first
			rawConn{c}.ends(t)
			_ = c.Close()
		}
	}
	there.send(t, 2, versions())
	there.answer(t)
	if !through(t, n, func() { n.Cut() }, n.Heal) {
		t.Fatal("a client came through while connections were refused")
	}
}

// through lets a client produce during trouble, which lasts for a few of its attempts, and wants it to come through afterwards. It
// tells whether the client did not before.
func through(t *testing.T, n *Node, trouble, end func()) bool {
	t.Helper()
	var dials atomic.Int64
	c := client(t, n, kgo.Dialer(func(ctx context.Context, network, host string) (net.Conn, error) {
		dials.Add(1)
		return (&net.Dialer{}).DialContext(ctx, network, host)
	}))
	trouble()
	done := make(chan error, 1)
	go func() { done <- produce(t, c, "through") }()
	eventually(t, "the client tries again", func() bool { return dials.Load() >= 3 })
	held := len(done) == 0
	end()
	if err := <-done; err != nil {
		t.Fatal(err)
	}
	return held
}

func TestCut(t *testing.T) {
	n := Start(t, Topic("t", 1))
	c := client(t, n)
	mustProduce(t, c, "1")
	conn := dial(t, n)
	conn.send(t, 1, versions())
	conn.answer(t)
	n.Cut()
	conn.ends(t)
	mustProduce(t, c, "2")
	wantValues(t, n, "t", "1", "2")
}

func TestClientsSurviveAKill(t *testing.T) {
	n := Start(t, Topic("t", 1))
	n.Produce("t", "before")
	if !through(t, n, n.Kill, n.Restart) {
		t.Fatal("a killed node answers")
	}
	wantValues(t, n, "t", "before", "through")
}

func TestPause(t *testing.T) {
	n := Start(t)
	for _, c := range []struct {
		name       string
		directions []Direction
	}{{"all", nil}, {"requests", []Direction{Requests}}, {"answers", []Direction{Answers}}} {
		t.Run(c.name, func(t *testing.T) {
			before := dial(t, n)
			n.Pause(c.directions...)
			n.Pause(c.directions...)
			seen := n.Every(Any, Pass())
			for i, conn := range []rawConn{before, dial(t, n)} {
				conn.send(t, int32(i), versions())
				seen.Await(i + 1)
				if !conn.silent(t) {
					t.Fatal("an answer came through")
				}
				defer func() {
					if id, _ := conn.answer(t); id != int32(i) {
						t.Fatalf("the answer is to request %d", id)
					}
				}()
			}
			n.Resume()
		})
	}
}

// TestPauseOneWay: what only the answer is held up of is done.
func TestPauseOneWay(t *testing.T) {
	n := Start(t, Topic("t", 1))
	c := client(t, n)
	mustProduce(t, c, "1")
	for _, d := range []struct {
		direction Direction
		value     string
		end       int64
	}{{Answers, "2", 2}, {Requests, "3", 2}} {
		asked := n.Every(kmsg.Produce, Pass())
		n.Pause(d.direction)
		done := make(chan error, 1)
		go func() { done <- produce(t, c, d.value) }()
		asked.Await(1)
		eventually(t, "the record is there, or not", func() bool { return end(t, n) == d.end })
		if len(done) > 0 {
			t.Fatal("the client got an answer")
		}
		n.Resume()
		if err := <-done; err != nil {
			t.Fatal(err)
		}
	}
	wantValues(t, n, "t", "1", "2", "3")
}

func TestFail(t *testing.T) {
	n := Start(t, Topic("t", 1))
	asked := n.Every(kmsg.Produce, Pass())
	failed := n.Next(3, kmsg.Produce, Fail(kerr.NotLeaderForPartition))
	mustProduce(t, client(t, n), "x")
	if asked.Hits() != 4 || failed.Hits() != 3 {
		t.Fatalf("%d requests, of which %d failed", asked.Hits(), failed.Hits())
	}
	wantValues(t, n, "t", "x")

	denied := n.Every(kmsg.Produce, Fail(kerr.TopicAuthorizationFailed))
	if err := produce(t, client(t, n), "y"); !errors.Is(err, kerr.TopicAuthorizationFailed) {
		t.Fatalf("the client got %v", err)
	}
	denied.Remove()
	denied.Remove()
	mustProduce(t, client(t, n), "z")
	wantValues(t, n, "t", "x", "z")

	n.Next(2, kmsg.Fetch, Fail(kerr.NotLeaderForPartition))
	n.Next(2, kmsg.Metadata, Fail(kerr.LeaderNotAvailable))
	n.Next(1, kmsg.ListOffsets, Fail(kerr.NotLeaderForPartition))
	wantValues(t, n, "t", "x", "z")
}

// TestCutAnswer: the record is written, the client does not learn of it and sends it again, and it is there once.
func TestCutAnswer(t *testing.T) {
	n := Start(t, Topic("t", 1))
	c := client(t, n)
	for i, keep := range []int{-1, 0, 1, 4, 10, 30, 1 << 20} {
		asked := n.Every(kmsg.Produce, Pass())
		n.Next(1, kmsg.Produce, CutAnswer(keep))
		mustProduce(t, c, fmt.Sprint(i))
		want := 2
		if keep == 1<<20 { // all of it comes
			want = 1
		}
		if asked.Hits() != want {
			t.Errorf("after %d bytes of the answer: %d requests", keep, asked.Hits())
		}
	}
	wantValues(t, n, "t", "0", "1", "2", "3", "4", "5", "6")
	if end(t, n) != 7 {
		t.Fatalf("%d records, not 7", end(t, n))
	}
	conn := dial(t, n)
	n.Next(1, kmsg.ApiVersions, CutAnswer(6))
	conn.send(t, 1, versions())
	if b, _ := io.ReadAll(conn); len(b) != 6 {
		t.Fatalf("%d bytes of the answer, not 6", len(b))
	}
}

func TestCutRequest(t *testing.T) {
	n := Start(t, Topic("t", 1))
	asked := n.Every(kmsg.Produce, Pass())
	n.Next(2, kmsg.Produce, CutRequest())
	mustProduce(t, client(t, n), "x")
	if asked.Hits() != 3 {
		t.Fatalf("%d requests, not 3", asked.Hits())
	}
	wantValues(t, n, "t", "x")
}

// TestDelay: a request that is held up for very long is one that is not answered.
func TestDelay(t *testing.T) {
	n := Start(t, Topic("t", 1))
	n.Next(1, kmsg.Produce, Delay(time.Hour))
	n.Every(Any, Delay(time.Millisecond))
	mustProduce(t, client(t, n, kgo.ProduceRequestTimeout(100*time.Millisecond), kgo.RequestTimeoutOverhead(100*time.Millisecond)), "x")
	wantValues(t, n, "t", "x")
	conn := dial(t, n)
	n.Every(Any, Delay(time.Hour))
	conn.send(t, 1, versions())
	if !conn.silent(t) {
		t.Fatal("an answer came before its time")
	}
	n.Stop() // waits for nothing
	conn.ends(t)
}

func TestAnswer(t *testing.T) {
	n := Start(t)
	resp := kmsg.NewPtrMetadataResponse()
	resp.ClusterID = kmsg.StringPtr("made up")
	resp.Brokers = append(resp.Brokers, kmsg.MetadataResponseBroker{NodeID: 7, Host: "nowhere", Port: 9})
	n.Every(kmsg.Metadata, Answer(resp))
	for version := int16(0); version <= 12; version += 4 {
		req := kmsg.NewPtrMetadataRequest()
		req.SetVersion(version)
		conn := dial(t, n)
		conn.send(t, 1, req)
		_, b := conn.answer(t)
		got := req.ResponseKind().(*kmsg.MetadataResponse)
		if got.IsFlexible() {
			b = b[1:]
		}
		if err := got.ReadFrom(b); err != nil || len(got.Brokers) != 1 || got.Brokers[0].NodeID != 7 {
			t.Fatalf("version %d: %+v, %v", version, got, err)
		}
	}
}

// TestEdit changes answers with and without tags in their headers, and one with records.
func TestEdit(t *testing.T) {
	n := Start(t, Topic("t", 1))
	n.Produce("t", "x", "y")
	rename := n.Every(kmsg.Metadata, Edit(func(r kmsg.Response) { r.(*kmsg.MetadataResponse).ClusterID = kmsg.StringPtr("renamed") }))
	for _, version := range []int16{2, 12} {
		req := kmsg.NewPtrMetadataRequest()
		req.Topics = []kmsg.MetadataRequestTopic{}
		req.SetVersion(version)
		conn := dial(t, n)
		conn.send(t, 9, req)
		id, b := conn.answer(t)
		got := req.ResponseKind().(*kmsg.MetadataResponse)
		if got.IsFlexible() {
			b = b[1:]
		}
		if err := got.ReadFrom(b); err != nil || id != 9 || *got.ClusterID != "renamed" || len(got.Brokers) != 1 {
			t.Fatalf("version %d: %+v, %v", version, got, err)
		}
	}
	rename.Remove()
	seen := n.Every(kmsg.Fetch, Edit(func(r kmsg.Response) {
		for _, topic := range r.(*kmsg.FetchResponse).Topics {
			topic.Partitions[0].HighWatermark += 1000
		}
	}))
	n.Every(kmsg.ApiVersions, Edit(func(r kmsg.Response) { // without Fetch 13 and later, which have no names
		keys := r.(*kmsg.ApiVersionsResponse).ApiKeys
		for i := range keys {
			if keys[i].ApiKey == int16(kmsg.Fetch) {
				keys[i].MaxVersion = 12
			}
		}
	}))
	r := client(t, n, kgo.ConsumeTopics("t"), kgo.ConsumeResetOffset(kgo.NewOffset().AtStart())).PollFetches(soon(t))
	if len(r.Records()) != 2 || r[0].Topics[0].Partitions[0].HighWatermark != 1002 || seen.Hits() < 1 {
		t.Fatalf("%+v", r)
	}
}

// TestOrder sends requests in one go, of which some are not done: the answers are in order.
func TestOrder(t *testing.T) {
	n := Start(t)
	n.OnRequest(kmsg.ListGroups, func(r Request) Action {
		if r.ClientID == "raw" {
			return Fail(kerr.CoordinatorLoadInProgress)
		}
		return Action{}
	})
	conn := dial(t, n)
	var all []byte
	for i := range int32(50) {
		req := versions()
		if i%3 == 1 {
			req = kmsg.NewPtrListGroupsRequest()
			req.SetVersion(1)
		}
		all = append(all, frameOf(i, req)...)
	}
	if _, err := conn.Write(all); err != nil {
		t.Fatal(err)
	}
	for i := range int32(50) {
		id, b := conn.answer(t)
		if id != i {
			t.Fatalf("answer %d is to request %d", i, id)
		}
		if i%3 == 1 {
			resp := kmsg.NewPtrListGroupsResponse()
			resp.SetVersion(1)
			if err := resp.ReadFrom(b); err != nil || resp.ErrorCode != kerr.CoordinatorLoadInProgress.Code {
				t.Fatalf("answer %d: %+v, %v", i, resp, err)
			}
		}
	}
}

// TestSilentRequests: records that want no answer get none, so that the answers after them are taken for the right requests.
func TestSilentRequests(t *testing.T) {
	n := Start(t, Topic("t", 1))
	noAck := []kgo.Opt{kgo.RequiredAcks(kgo.NoAck()), kgo.DisableIdempotentWrite()}
	c := client(t, n, noAck...)
	mustProduce(t, c, "1")
	eventually(t, "the record is there", func() bool { return end(t, n) == 1 })
	failed := n.Next(1, kmsg.Produce, Fail(kerr.NotLeaderForPartition))
	mustProduce(t, c, "lost")
	failed.Await(1) // what this client sends before it notes that its connection ended is lost, too
	mustProduce(t, client(t, n, noAck...), "2")
	wantValues(t, n, "t", "1", "2")

	silent := kmsg.NewPtrProduceRequest()
	silent.SetVersion(7)
	silent.Acks = 0
	conn := dial(t, n)
	n.Every(kmsg.ListGroups, Fail(kerr.CoordinatorLoadInProgress))
	groups := kmsg.NewPtrListGroupsRequest()
	groups.SetVersion(0)
	if _, err := conn.Write(append(frameOf(1, silent), frameOf(2, groups)...)); err != nil {
		t.Fatal(err)
	}
	if id, b := conn.answer(t); id != 2 || int16(binary.BigEndian.Uint16(b)) != kerr.CoordinatorLoadInProgress.Code {
		t.Fatalf("the answer to %d: %x", id, b)
	}
}

// TestSeveralHooks: delays add up, the first of the other actions counts, and Heal removes all.
func TestSeveralHooks(t *testing.T) {
	w := newWire()
	n := &Node{wire: w, disk: newDisk("")}
	var asked []string
	add := func(name string, a Action) *Hook {
		return n.OnRequest(Any, func(Request) Action { asked = append(asked, name); return a })
	}
	add("a", Delay(time.Second))
	b := add("b", Fail(kerr.NotLeaderForPartition))
	add("c", CutRequest())
	add("d", Delay(time.Minute))
	got := w.ask(Request{})
	if got.delay != time.Minute+time.Second || got.err != kerr.NotLeaderForPartition || got.hangUp {
		t.Fatalf("%+v", got)
	}
	b.Remove()
	if got := w.ask(Request{}); got.err != nil || !got.hangUp {
		t.Fatalf("%+v", got)
	}
	if diff := cmp.Diff([]string{"a", "b", "c", "d", "a", "c", "d"}, asked); diff != "" {
		t.Fatal(diff)
	}
	n.Heal()
	if got := w.ask(Request{}); got.delay != 0 || got.decides() {
		t.Fatalf("after Heal: %+v", got)
	}
}

// TestNoise sends what is no request: the node closes these connections, and serves others.
func TestNoise(t *testing.T) {
	n := Start(t)
	for _, noise := range []string{
		"GET / HTTP/1.1\r\nHost: x\r\n\r\n", "\xff\xff\xff\xffabcd", "\x00\x00\x00\x02ab", "\x00\x00\x00\x0a\x7f\x7f\x00\x00\x00\x00\x00\x01\xff\xff",
		"\x00\x00\x00\x0a\x00\x00\x00\x09\x00\x00\x00\x01\xff\xff", "\x7f\xff\xff\xffxxxxxxxxxxxxxxx",
	} {
		conn := dial(t, n)
		if _, err := conn.Write([]byte(noise)); err != nil {
			t.Fatal(err)
		}
		conn.ends(t)
	}
	newer := kmsg.NewPtrApiVersionsRequest() // is answered in version 0
	newer.SetVersion(100)
	conn := dial(t, n)
	conn.send(t, 5, newer)
	if id, b := conn.answer(t); id != 5 || int16(binary.BigEndian.Uint16(b)) != kerr.UnsupportedVersion.Code {
		t.Fatalf("the answer to %d: %x", id, b)
	}
}
