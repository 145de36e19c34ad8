package test

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"os"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// send writes bytes on a connection of its own and gives what comes back until it is closed, or a moment has passed.
func (n *node) send(b []byte) []byte {
	n.t.Helper()
	c, err := net.Dial("tcp", n.address)
	if err != nil {
		n.t.Fatal(err)
	}
	defer c.Close()
	_, _ = c.Write(b)
	_ = c.(*net.TCPConn).CloseWrite()
	_ = c.SetReadDeadline(time.Now().Add(5 * time.Second))
	got, _ := io.ReadAll(c)
	return got
}

func frame(key, version int16, body []byte) []byte {
	b := binary.BigEndian.AppendUint32(nil, uint32(10+len(body)))
	b = binary.BigEndian.AppendUint16(b, uint16(key))
	b = binary.BigEndian.AppendUint16(b, uint16(version))
	b = append(b, 0, 0, 0, 7, 0xff, 0xff)
	return append(b, body...)
}

// amount gives a number that the environment may raise, for runs that have more time.
func amount(t *testing.T, name string, least int) int {
	t.Helper()
	text := os.Getenv(name)
	if text == "" {
		return least
	}
	n, err := strconv.Atoi(text)
	if err != nil {
		t.Fatalf("%s: %v", name, err)
	}
	return n
}

// calmly has a client write and read back, one record after the other, while something is done beside it. The client may
// notice nothing: no error, nothing lost. Nor may the node afterwards: it has as many files open as before.
func (n *node) calmly(do func(stop <-chan struct{})) {
	n.t.Helper()
	to := n.newTopic(1)
	c := n.client(kgo.DefaultProduceTopic(to.name), kgo.RecordRetries(0), kgo.ConsumeTopics(to.name))
	exchange := func() {
		if err := c.ProduceSync(ctx(n.t), kgo.StringRecord("still here")).FirstErr(); err != nil {
			n.t.Fatalf("writing: %v", err)
		}
		for read := 0; read < 1; {
			fetches := c.PollFetches(ctx(n.t))
			if err := fetches.Err(); err != nil {
				n.t.Fatalf("reading: %v", err)
			}
			read += fetches.NumRecords()
		}
	}
	exchange()
	before := n.openFiles()
	stop, done := make(chan struct{}), make(chan struct{})
	go func() { defer close(done); do(stop) }()
	defer func() { close(stop); <-done }()
	for working := true; working; {
		select {
		case <-done:
			working = false
		default:
		}
		exchange()
	}
	until(n.t, "all other connections are closed", func() bool { return n.openFiles() <= before })
}

func (n *node) openFiles() int {
	n.t.Helper()
	files, err := os.ReadDir(fmt.Sprintf("/proc/%d/fd", n.cmd.Process.Pid))
	if err != nil {
		n.t.Fatal(err)
	}
	return len(files)
}

// hostile makes frames that no client sends.
type hostile struct{ rng *rand.Rand }

func (h hostile) bytes(most int) []byte {
	b := make([]byte, h.rng.IntN(most))
	for i := range b {
		b[i] = byte(h.rng.UintN(256))
	}
	return b
}

// spoilt is a request with some of its bytes changed, or its end missing.
func (h hostile) spoilt() []byte {
	requests := []kmsg.Request{
		produceRequest("none", -1, batch("x")), kmsg.NewPtrFetchRequest(), kmsg.NewPtrMetadataRequest(), kmsg.NewPtrJoinGroupRequest(),
		kmsg.NewPtrOffsetCommitRequest(), kmsg.NewPtrIncrementalAlterConfigsRequest(), kmsg.NewPtrDescribeTopicPartitionsRequest(),
	}
	req := requests[h.rng.IntN(len(requests))]
	req.SetVersion(int16(h.rng.IntN(int(req.MaxVersion()) + 1)))
	b := kmsg.NewRequestFormatter().AppendRequest(nil, req, 1)
	for range 1 + h.rng.IntN(4) {
		b[4+h.rng.IntN(len(b)-4)] = []byte{0, 1, 0x7f, 0x80, 0xff}[h.rng.IntN(5)]
	}
	if h.rng.IntN(4) == 0 {
		b = b[:4+h.rng.IntN(len(b)-4)]
	}
	return b
}

func (h hostile) frame() []byte {
	switch h.rng.IntN(8) {
	case 0: // a length that is too much, or less than nothing
		return binary.BigEndian.AppendUint32(nil, 1<<30|h.rng.Uint32())
	case 1: // much is claimed, little comes
		return append([]byte{5, 0, 0, 0}, h.bytes(100)...)
	case 2:
		return []byte("GET / HTTP/1.1\r\nHost: localhost\r\n\r\n")
	case 3: // the beginning of TLS
		return append([]byte{0x16, 3, 1, 2, 0, 1, 0, 1, 0xfc, 3, 3}, h.bytes(200)...)
	case 4: // lists with more elements than there are bytes
		return frame(int16(h.rng.IntN(70)), int16(h.rng.IntN(14)), bytes.Repeat([]byte{0x7f, 0xff, 0xff, 0xff}, 1+h.rng.IntN(20)))
	case 5:
		return frame(int16(h.rng.IntN(70)), int16(h.rng.IntN(14)), h.bytes(60))
	default:
		return h.spoilt()
	}
}

// TestHostileFramesBesideAClient throws ten thousand hostile frames at the node while a client works.
func TestHostileFramesBesideAClient(t *testing.T) {
	n := start(t)
	n.calmly(func(stop <-chan struct{}) {
		h := hostile{rand.New(rand.NewPCG(9, 9))}
		var conn net.Conn
		for range 10_000 {
			select {
			case <-stop:
				return
			default:
			}
			if conn == nil {
				c, err := net.Dial("tcp", n.address)
				if err != nil {
					t.Error(err)
					return
				}
				conn = c
			}
			if _, err := conn.Write(h.frame()); err != nil || h.rng.IntN(3) == 0 {
				reset(conn)
				conn = nil
			}
		}
		if conn != nil {
			reset(conn)
		}
	})
}

// reset closes a connection without leaving its port in use.
func reset(c net.Conn) {
	_ = c.(*net.TCPConn).SetLinger(0)
	_ = c.Close()
}

// TestConnectionsComeAndGoBesideAClient opens and closes many connections: some say nothing, some half of something, some ask
// and do not wait for the answer.
func TestConnectionsComeAndGoBesideAClient(t *testing.T) {
	n := start(t)
	each := amount(t, "TEST_CONNECTIONS", 10_000) / 4
	n.calmly(func(stop <-chan struct{}) {
		var all sync.WaitGroup
		for range 4 {
			all.Go(func() {
				for i := range each {
					select {
					case <-stop:
						return
					default:
					}
					c, err := net.Dial("tcp", n.address)
					if err != nil {
						t.Error(err)
						return
					}
					switch i % 4 {
					case 1:
						_, _ = c.Write([]byte{0, 0, 1})
					case 2:
						_, _ = c.Write(frame(18, 0, nil)[:12])
					case 3:
						_, _ = c.Write(frame(18, 0, nil))
					}
					reset(c)
				}
			})
		}
		all.Wait()
	})
}
