package server

import (
	"bytes"
	"context"
	"encoding/binary"
	"io"
	"log/slog"
	"net"
	"path/filepath"
	"runtime"
	"sync"
	"testing"
	"testing/synctest"
	"time"
	"unsafe"

	"github.com/twmb/franz-go/pkg/kmsg"
	"go.uber.org/goleak"

	"github.com/weir/weir/broker/wire"
	"github.com/weir/weir/internal/vfs"
	"github.com/weir/weir/log"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// handler answers ApiVersions of version 0, when and how a test wants it.
type handler struct {
	handle func(*Request)
}

func (handler) Supports(key, version int16) bool {
	return key == 18 && version == 0 || key == 1 && version == 12
}

func (h handler) Handle(r *Request) { h.handle(r) }
func (handler) Unsettled() bool     { return false }
func (handler) Settle(bool)         {}

func echo(r *Request) { r.Reply(r.Body.ResponseKind()) }

// pipe is a listener whose connections are pipes in memory, so that time can be virtual.
type pipe struct {
	conns chan net.Conn
	once  sync.Once
	done  chan struct{}
}

func newPipe() *pipe { return &pipe{conns: make(chan net.Conn), done: make(chan struct{})} }

func (p *pipe) Accept() (net.Conn, error) {
	select {
	case c := <-p.conns:
		return c, nil
	case <-p.done:
		return nil, net.ErrClosed
	}
}

func (p *pipe) Close() error   { p.once.Do(func() { close(p.done) }); return nil }
func (p *pipe) Addr() net.Addr { return &net.TCPAddr{} }

func (p *pipe) dial() net.Conn {
	ours, theirs := net.Pipe()
	p.conns <- theirs
	return ours
}

// serve runs a server on pipes for one test, in virtual time.
func serve(t *testing.T, cfg Config, handle func(*Request), test func(t *testing.T, s *Server, dial func() net.Conn)) {
	synctest.Test(t, func(t *testing.T) {
		cfg.Logger = slog.New(slog.DiscardHandler)
		if cfg.MaxRequestBytes == 0 {
			cfg.MaxRequestBytes = 1 << 20
		}
		s := New(cfg, handler{handle})
		l := newPipe()
		go func() {
			if err := s.Serve(l, "PLAINTEXT"); err != nil {
				t.Error(err)
			}
		}()
		test(t, s, l.dial)
		ctx, cancel := context.WithTimeout(context.Background(), time.Second)
		defer cancel()
		s.Shutdown(ctx)
	})
}

func request(id int) []byte {
	b := binary.BigEndian.AppendUint32(nil, 10)
	b = append(b, 0, 18, 0, 0)
	b = binary.BigEndian.AppendUint32(b, uint32(id))
	return append(b, 0xff, 0xff)
}

// answer reads one response and gives its correlation id.
func answer(t *testing.T, c io.Reader) int {
	t.Helper()
	var head [8]byte
	if _, err := io.ReadFull(c, head[:]); err != nil {
		t.Fatal(err)
	}
	if _, err := io.CopyN(io.Discard, c, int64(binary.BigEndian.Uint32(head[:]))-4); err != nil {
		t.Fatal(err)
	}
	return int(binary.BigEndian.Uint32(head[4:]))
}

func closed(t *testing.T, c net.Conn) {
	t.Helper()
	if b, err := io.ReadAll(c); err != nil || len(b) > 0 {
		t.Fatalf("got %x, %v instead of the end", b, err)
	}
}

func TestAnswersComeInTheOrderOfRequests(t *testing.T) {
	var mu sync.Mutex
	var waiting []*Request
	serve(t, Config{}, func(r *Request) {
		mu.Lock()
		waiting = append(waiting, r)
		mu.Unlock()
	}, func(t *testing.T, _ *Server, dial func() net.Conn) {
		c := dial()
		defer c.Close()
		for i := range 5 {
			if _, err := c.Write(request(i)); err != nil {
				t.Fatal(err)
			}
		}
		synctest.Wait()
		go func() {
			for i := len(waiting) - 1; i >= 0; i-- { // answered from the last to the first
				echo(waiting[i])
			}
		}()
		for i := range 5 {
			if got := answer(t, c); got != i {
				t.Fatalf("answer %d came as number %d", got, i)
			}
		}
	})
}

func TestIdleConnectionsAreClosed(t *testing.T) {
	serve(t, Config{IdleTimeout: time.Minute}, echo, func(t *testing.T, s *Server, dial func() net.Conn) {
		c := dial()
		for range 3 {
			time.Sleep(50 * time.Second) // virtual
			if _, err := c.Write(request(1)); err != nil {
				t.Fatal(err)
			}
			answer(t, c)
		}
		start := time.Now()
		closed(t, c)
		if d := time.Since(start); d < 59*time.Second || d > 61*time.Second {
			t.Fatalf("closed after %s", d)
		}
		synctest.Wait()
		if s.Connections() != 0 {
			t.Fatal("the connection is still counted")
		}
	})
}

func TestSlowSendersAreCutOff(t *testing.T) {
	serve(t, Config{}, echo, func(t *testing.T, _ *Server, dial func() net.Conn) {
		c := dial()
		sent := make(chan struct{})
		go func() {
			defer close(sent)
			for _, b := range request(1) { // a byte each 10 s
				if _, err := c.Write([]byte{b}); err != nil {
					return
				}
				time.Sleep(10 * time.Second)
			}
		}()
		closed(t, c)
		<-sent
	})
}

func TestStalledReadersAreCutOff(t *testing.T) {
	serve(t, Config{}, echo, func(t *testing.T, s *Server, dial func() net.Conn) {
		c := dial()
		defer c.Close()
		if _, err := c.Write(request(1)); err != nil { // and never reads the answer
			t.Fatal(err)
		}
		time.Sleep(2 * writeTime)
		synctest.Wait()
		if s.Connections() != 0 {
			t.Fatal("the connection is still open")
		}
	})
}

func TestConnectionLimits(t *testing.T) {
	serve(t, Config{Limits: Limits{Connections: 2}}, echo, func(t *testing.T, s *Server, dial func() net.Conn) {
		a, b := dial(), dial()
		synctest.Wait()
		third := make(chan net.Conn)
		go func() { third <- dial() }()
		synctest.Wait()
		select {
		case <-third:
			t.Fatal("a third connection is accepted")
		default:
		}
		a.Close()
		c := <-third
		if _, err := c.Write(request(3)); err != nil {
			t.Fatal(err)
		}
		if answer(t, c) != 3 {
			t.Fatal("the place of a closed connection is not free")
		}
		go func() { third <- dial() }()
		synctest.Wait()
		s.SetLimits(Limits{Connections: 3})
		(<-third).Close()
		b.Close()
		c.Close()
	})
}

func TestConnectionLimitsOfAnAddress(t *testing.T) {
	serve(t, Config{Limits: Limits{ConnectionsPerIP: 1}}, echo, func(t *testing.T, s *Server, dial func() net.Conn) {
		a := dial()
		defer a.Close()
		closed(t, dial())
		s.SetLimits(Limits{ConnectionsPerIP: 1, PerIP: map[string]int{"pipe": 2}})
		b := dial()
		defer b.Close()
		if _, err := b.Write(request(3)); err != nil {
			t.Fatal(err)
		}
		if answer(t, b) != 3 {
			t.Fatal("the limit of the single address does not count")
		}
		closed(t, dial())
	})
}

func TestNewConnectionsArePaced(t *testing.T) {
	serve(t, Config{Limits: Limits{PerSecond: 10}}, echo, func(t *testing.T, _ *Server, dial func() net.Conn) {
		start := time.Now()
		for range 21 {
			dial().Close()
		}
		if took := time.Since(start); took < 1900*time.Millisecond { // on the bubble's clock
			t.Fatalf("21 connections came in %v, with 10 a second allowed", took)
		}
	})
}

func TestMemoryIsABudget(t *testing.T) {
	release := make(chan *Request, 10)
	serve(t, Config{MaxRequestBytes: 15, MemoryBytes: 15}, func(r *Request) { release <- r }, func(t *testing.T, _ *Server, dial func() net.Conn) {
		a, b := dial(), dial()
		defer a.Close()
		defer b.Close()
		go a.Write(request(1))
		synctest.Wait()
		go b.Write(request(2))
		synctest.Wait()
		if len(release) != 1 {
			t.Fatalf("%d requests are under way with room for one", len(release))
		}
		echo(<-release)
		if answer(t, a) != 1 {
			t.Fatal("wrong answer")
		}
		synctest.Wait()
		if len(release) != 1 {
			t.Fatal("the second request does not come when there is room")
		}
		echo(<-release)
		answer(t, b)
	})
}

// TestClaimsCostNothing: a frame that claims much and brings little gets little memory.
func TestClaimsCostNothing(t *testing.T) {
	serve(t, Config{MaxRequestBytes: 100 << 20, MemoryBytes: 1 << 40}, echo, func(t *testing.T, _ *Server, dial func() net.Conn) {
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		for range 20 {
			c := dial()
			if _, err := c.Write([]byte{6, 0, 0, 0, 0, 18, 0, 0}); err != nil { // 100,663,296 bytes
				t.Error(err)
			}
			c.Close()
		}
		synctest.Wait()
		runtime.ReadMemStats(&after)
		if got := after.TotalAlloc - before.TotalAlloc; got > 20*(firstRead+64<<10) {
			t.Fatalf("%d bytes were allocated for 20 claims of 100 MB", got)
		}
	})
}

func TestShutdownAnswersWhatIsUnderWay(t *testing.T) {
	held := make(chan *Request, 1)
	serve(t, Config{}, func(r *Request) { held <- r }, func(t *testing.T, s *Server, dial func() net.Conn) {
		c := dial()
		if _, err := c.Write(request(1)); err != nil {
			t.Fatal(err)
		}
		r := <-held
		go func() {
			<-r.Done() // it is told that the server stops
			echo(r)
		}()
		got := make(chan int, 1)
		go func() { got <- answer(t, c) }()
		ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
		defer cancel()
		s.Shutdown(ctx)
		if <-got != 1 {
			t.Fatal("no answer")
		}
		closed(t, c)
	})
}

// TestRecordsComeFromFiles sends runs of a real file over a real socket, where the kernel does the work, and over a pipe.
func TestRecordsComeFromFiles(t *testing.T) {
	content := bytes.Repeat([]byte("0123456789abcdef"), 1<<16) // 1 MiB
	name := filepath.Join(t.TempDir(), "segment")
	fs := vfs.NewOS()
	f, err := fs.Create(name)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if _, err := f.WriteAt(content, 0); err != nil {
		t.Fatal(err)
	}
	s := New(Config{MaxRequestBytes: 1 << 20, Logger: slog.New(slog.DiscardHandler)}, handler{func(r *Request) {
		resp := &wire.FetchResponse{Topics: []wire.FetchTopic{{Topic: "t", Partitions: []wire.FetchPartition{
			{Partition: 0, RecordsLen: 5 + 1<<20 - 16}, {Partition: 1, RecordsLen: 7},
		}}}}
		r.ReplyFetch(resp, []log.Data{
			{Runs: []log.Run{{File: f, Pos: 3, Len: 5}, {File: f, Pos: 16, Len: 1<<20 - 16}}},
			{Runs: []log.Run{{File: f, Pos: 2, Len: 7}}},
		})
	}})
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	go s.Serve(l, "PLAINTEXT")
	defer s.Shutdown(context.Background())
	c, err := net.Dial("tcp", l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	req := kmsg.NewPtrFetchRequest()
	req.Version = 12
	body := req.AppendTo(nil)
	b := binary.BigEndian.AppendUint32(nil, uint32(11+len(body)))
	b = append(b, 0, 1, 0, 12, 0, 0, 0, 9, 0xff, 0xff, 0)
	if _, err := c.Write(append(b, body...)); err != nil {
		t.Fatal(err)
	}
	var size [4]byte
	if _, err := io.ReadFull(c, size[:]); err != nil {
		t.Fatal(err)
	}
	got := make([]byte, binary.BigEndian.Uint32(size[:]))
	if _, err := io.ReadFull(c, got); err != nil {
		t.Fatal(err)
	}
	resp := kmsg.NewPtrFetchResponse()
	resp.Version = 12
	if err := resp.ReadFrom(got[5:]); err != nil {
		t.Fatal(err)
	}
	parts := resp.Topics[0].Partitions
	want := append(bytes.Clone(content[3:8]), content[16:]...)
	if !bytes.Equal(parts[0].RecordBatches, want) || !bytes.Equal(parts[1].RecordBatches, content[2:9]) {
		t.Fatalf("got %d and %d bytes, not what is in the file", len(parts[0].RecordBatches), len(parts[1].RecordBatches))
	}
}

// padded is a request of n bytes: what follows its fields is passed over.
func padded(id, n int) []byte {
	b := append(request(id), make([]byte, n)...)
	binary.BigEndian.PutUint32(b, uint32(len(b)-4))
	return b
}

// TestRequestsBeyondTheBudgetGoOneByOne: of many that together, or each, need more memory than there is, every one is answered.
func TestRequestsBeyondTheBudgetGoOneByOne(t *testing.T) {
	for _, budget := range []int64{1 << 10, 3 * firstRead, 1 << 20} {
		const clients = 20
		held := make(chan *Request, clients)
		serve(t, Config{MemoryBytes: budget, MaxRequestBytes: 1 << 20}, func(r *Request) { held <- r }, func(t *testing.T, s *Server, dial func() net.Conn) {
			answered := make(chan int, clients)
			for i := range clients {
				c := dial()
				go func() {
					defer c.Close()
					if _, err := c.Write(padded(i, 500<<10)); err != nil {
						t.Error(err)
					}
					answered <- answer(t, c)
				}()
			}
			for left := clients; left > 0; {
				synctest.Wait()
				n := len(held)
				if n == 0 || int64(n-1)*500<<10 > budget {
					t.Fatalf("%d requests of 500 KB are under way with a budget of %d, %d more wait", n, budget, left-n)
				}
				for range n {
					echo(<-held)
					<-answered
				}
				left -= n
			}
			synctest.Wait()
			if used, _ := s.Memory(); used != 0 || len(s.overdraft) > 0 {
				t.Errorf("%d bytes are still in use", used)
			}
		})
	}
}

// TestDecodingIsCharged: what a small frame becomes in memory counts, too.
func TestDecodingIsCharged(t *testing.T) {
	req := kmsg.NewPtrFetchRequest()
	req.SetVersion(12)
	req.Topics = make([]kmsg.FetchRequestTopic, 20_000)
	frame := kmsg.NewRequestFormatter().AppendRequest(nil, req, 1)
	held := make(chan *Request, 1)
	serve(t, Config{}, func(r *Request) { held <- r }, func(t *testing.T, s *Server, dial func() net.Conn) {
		c := dial()
		defer c.Close()
		go c.Write(frame)
		r := <-held
		if used, _ := s.Memory(); used < 20_000*int64(unsafe.Sizeof(kmsg.FetchRequestTopic{})) {
			t.Errorf("%d bytes are charged for a frame of %d bytes with 20,000 topics", used, len(frame))
		}
		go r.Reply(r.Body.ResponseKind())
		answer(t, c)
	})
}

// TestClaimsDoNotHoldMemory: who claims a large frame and sends little of it takes little of the budget, and not for long.
func TestClaimsDoNotHoldMemory(t *testing.T) {
	serve(t, Config{MaxRequestBytes: 100 << 20, MemoryBytes: 4 << 20}, echo, func(t *testing.T, s *Server, dial func() net.Conn) {
		for range 10 {
			c := dial()
			if _, err := c.Write([]byte{6, 0, 0, 0, 0, 18, 0, 0}); err != nil { // 100,663,296 bytes
				t.Error(err)
			}
		}
		synctest.Wait()
		if used, _ := s.Memory(); used != 10*firstRead {
			t.Errorf("ten claims hold %d bytes", used)
		}
		calm := dial()
		defer calm.Close()
		go calm.Write(request(7))
		answer(t, calm)
		time.Sleep(frameTime + time.Second) // of the test's own time
		if n := s.Connections(); n != 1 {
			t.Errorf("%d connections are left after the time for a part of a frame", n)
		}
	})
}

// TestLeavingWithinAFrame: who leaves at any place of a large request leaves nothing behind, and everybody else is served.
func TestLeavingWithinAFrame(t *testing.T) {
	serve(t, Config{MemoryBytes: 4 << 20}, echo, func(t *testing.T, s *Server, dial func() net.Conn) {
		whole := padded(1, 900<<10)
		for _, size := range []int{0, 3, 100, firstRead, firstRead + 4, 2 * firstRead, 500 << 10, len(whole) - 1} {
			c := dial()
			if _, err := c.Write(whole[:size]); err != nil {
				t.Error(err)
			}
			_ = c.Close()
			synctest.Wait()
			if used, _ := s.Memory(); used != 0 {
				t.Errorf("after %d bytes of a request, %d are held", size, used)
			}
		}
		c := dial()
		defer c.Close()
		go c.Write(request(7))
		answer(t, c)
	})
}

// TestAnswersThatNobodyTakesAreFew: a client that asks and does not read is asked nothing more.
func TestAnswersThatNobodyTakesAreFew(t *testing.T) {
	asked := 0
	serve(t, Config{}, func(r *Request) {
		asked++
		resp := kmsg.NewPtrApiVersionsResponse()
		resp.ApiKeys = make([]kmsg.ApiVersionsResponseApiKey, 50_000) // 300 KB
		r.Reply(resp)
	}, func(t *testing.T, _ *Server, dial func() net.Conn) {
		c := dial()
		defer c.Close()
		go func() {
			for i := range 40 {
				if _, err := c.Write(request(i)); err != nil {
					return
				}
			}
		}()
		synctest.Wait()
		if asked > 6 {
			t.Errorf("%d answers of 300 KB wait to be read", asked)
		}
		for i := range 40 {
			if got := answer(t, c); got != i {
				t.Fatalf("answer %d in place of %d", got, i)
			}
		}
	})
}
