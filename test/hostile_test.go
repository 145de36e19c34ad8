package test

import (
	"encoding/binary"
	"io"
	"math/rand/v2"
	"net"
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

// TestB001UnknownApiVersionsVersion: version 127 is answered in the layout of version 0 with error 35 and key 18 alone, and
// the connection stays usable.
func TestB001UnknownApiVersionsVersion(t *testing.T) {
	n := start(t)
	req := append(frame(18, 127, nil), frame(18, 0, nil)...)
	got := n.send(req)
	if len(got) < 4 {
		t.Fatalf("no answer: %x", got)
	}
	size := binary.BigEndian.Uint32(got)
	first := got[4 : 4+size]
	resp := kmsg.NewPtrApiVersionsResponse()
	if err := resp.ReadFrom(first[4:]); err != nil || binary.BigEndian.Uint32(first) != 7 {
		t.Fatalf("answer %x: %v", first, err)
	}
	if resp.ErrorCode != 35 || len(resp.ApiKeys) != 1 || resp.ApiKeys[0].ApiKey != 18 {
		t.Fatalf("answer %+v", resp)
	}
	second := kmsg.NewPtrApiVersionsResponse()
	if err := second.ReadFrom(got[4+size+4+4:]); err != nil || second.ErrorCode != 0 || len(second.ApiKeys) < 20 {
		t.Fatalf("the connection is not usable: %+v %v", second, err)
	}
}

// TestB003UnknownRequestsCloseTheConnection: an unknown key or version, or a malformed body, gets no byte.
func TestB003UnknownRequestsCloseTheConnection(t *testing.T) {
	n := start(t)
	for name, b := range map[string][]byte{
		"unknown key":         frame(999, 0, nil),
		"controller-only key": frame(52, 0, nil),
		"unknown version":     frame(3, 99, []byte{0, 0, 0, 0}),
		"removed version":     frame(0, 2, make([]byte, 20)),
		"garbage":             []byte("GET / HTTP/1.1\r\nHost: x\r\n\r\n"),
		"negative length":     {0xff, 0xff, 0xff, 0xff},
		"huge length":         {0x7f, 0xff, 0xff, 0xff, 0, 0},
		"cut off":             frame(3, 9, []byte{5, 1, 2})[:15],
		"bad body":            frame(3, 9, []byte{0xff, 0xff, 0xff, 0xff, 0x0f}),
		"tag bomb":            frame(18, 3, []byte{0xff, 0xff, 0xff, 0xff, 0x0f, 0, 0}),
	} {
		if got := n.send(b); len(got) != 0 {
			t.Errorf("%s: answered with %x", name, got)
		}
	}
}

// TestHostileFramesBesideAClient throws ten thousand hostile frames at the node while a client works; it notices nothing.
func TestHostileFramesBesideAClient(t *testing.T) {
	n := start(t)
	n.createTopic("calm", 1)
	c := n.client(kgo.DefaultProduceTopic("calm"), kgo.RecordRetries(0))
	done := make(chan struct{})
	go func() {
		defer close(done)
		rng := rand.New(rand.NewPCG(9, 9))
		for range 100 {
			conn, err := net.Dial("tcp", n.address)
			if err != nil {
				t.Error(err)
				return
			}
			for range 100 {
				body := make([]byte, rng.IntN(60))
				for i := range body {
					body[i] = byte(rng.UintN(256))
				}
				if _, err := conn.Write(frame(int16(rng.IntN(70)), int16(rng.IntN(14)), body)); err != nil {
					_ = conn.Close()
					if conn, err = net.Dial("tcp", n.address); err != nil {
						t.Error(err)
						return
					}
				}
			}
			_ = conn.Close()
		}
	}()
	sent := 0
	for working := true; working; sent++ {
		select {
		case <-done:
			working = false
		default:
		}
		if err := c.ProduceSync(ctx(t), &kgo.Record{Value: []byte("still here")}).FirstErr(); err != nil {
			t.Fatalf("after %d records: %v", sent, err)
		}
	}
	if got := n.consume("calm", sent); len(got) != sent {
		t.Fatalf("%d of %d records", len(got), sent)
	}
}

// TestB005PipelinedRequestsAreAnsweredInOrder sends ten requests at once.
func TestB005PipelinedRequestsAreAnsweredInOrder(t *testing.T) {
	n := start(t)
	var all []byte
	for i := range 10 {
		f := frame(18, 0, nil)
		f[11] = byte(i)
		all = append(all, f...)
	}
	got := n.send(all)
	for i := range 10 {
		if len(got) < 8 || got[7] != byte(i) {
			t.Fatalf("answer %d: %x", i, got[:min(8, len(got))])
		}
		got = got[4+binary.BigEndian.Uint32(got):]
	}
}
