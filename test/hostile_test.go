package test

import (
	"encoding/binary"
	"io"
	"math/rand/v2"
	"net"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
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
