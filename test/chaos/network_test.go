package main

import (
	"cmp"
	"encoding/binary"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	gocmp "github.com/google/go-cmp/cmp"
)

const (
	framesSent = 1000
	frameSize  = 1000
)

// arrival is a frame, by its number, and when it came.
type arrival struct {
	number int
	at     time.Duration
}

type sink struct {
	mu    sync.Mutex
	begun time.Time
	came  []arrival
}

func (s *sink) Write(b []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.came = append(s.came, arrival{int(binary.BigEndian.Uint32(b[20:])), time.Since(s.begun)})
	return len(b), nil
}

// carried sends frames over a link, one each millisecond, and gives what comes.
func carried(t *testing.T, seed uint64, l link) (came []arrival) {
	synctest.Test(t, func(t *testing.T) {
		n := newNetwork(2, seed)
		w, s := n.wires[0][1], &sink{begun: time.Now()}
		w.to = s
		n.set(0, 1, l)
		go w.deliver()
		for i := range framesSent {
			b := make([]byte, frameSize)
			binary.BigEndian.PutUint32(b[20:], uint32(i))
			w.carry(b)
			time.Sleep(time.Millisecond)
		}
		n.heal()
		time.Sleep(time.Minute)
		close(w.queue)
		s.mu.Lock()
		defer s.mu.Unlock()
		came = slices.SortedFunc(slices.Values(s.came), func(a, b arrival) int { // of what came at one moment, the order is nobody's
			return cmp.Or(cmp.Compare(a.at, b.at), cmp.Compare(a.number, b.number))
		})
	})
	return came
}

func TestLinks(t *testing.T) {
	inOrder := func(came []arrival) bool {
		return slices.IsSortedFunc(came, func(a, b arrival) int { return a.number - b.number })
	}
	late := func(a arrival) time.Duration { return a.at - time.Duration(a.number)*time.Millisecond }
	for _, test := range []struct {
		name        string
		link        link
		least, most int // frames that come
		right       func(t *testing.T, came []arrival)
	}{
		{"good", link{}, framesSent, framesSent, func(t *testing.T, came []arrival) {
			for i, a := range came {
				if a.number != i || late(a) != 0 {
					t.Fatalf("frame %d came as number %d, %v late", a.number, i, late(a))
				}
			}
		}},
		{"cut", link{cut: true}, 0, 0, nil},
		{"loss", link{loss: 0.3}, 600, 800, nil},
		{"duplicates", link{duplicate: 0.3}, 1200, 1400, nil},
		{"delay", link{delay: 50 * time.Millisecond}, framesSent, framesSent, func(t *testing.T, came []arrival) {
			for i, a := range came {
				if a.number != i || late(a) != 50*time.Millisecond {
					t.Fatalf("frame %d came as number %d, %v late", a.number, i, late(a))
				}
			}
		}},
		{"jitter", link{delay: 50 * time.Millisecond, jitter: 20 * time.Millisecond}, framesSent, framesSent, func(t *testing.T, came []arrival) {
			for _, a := range came {
				if late(a) < 50*time.Millisecond || late(a) > 70*time.Millisecond {
					t.Errorf("frame %d came %v late", a.number, late(a))
				}
			}
			if !inOrder(came) {
				t.Error("jitter alone changes the order")
			}
		}},
		{"reorder", link{delay: 50 * time.Millisecond, reorder: 0.1}, framesSent, framesSent, func(t *testing.T, came []arrival) {
			if inOrder(came) {
				t.Error("all frames came in their order")
			}
		}},
		// Of a second's million bytes a tenth passes, and what may wait.
		{"narrow", link{bytesPerSecond: 100_000}, 130, 150, func(t *testing.T, came []arrival) {
			for _, a := range came {
				if late(a) > waitMost {
					t.Errorf("frame %d came %v late", a.number, late(a))
				}
			}
		}},
	} {
		t.Run(test.name, func(t *testing.T) {
			came := carried(t, 1, test.link)
			if len(came) < test.least || len(came) > test.most {
				t.Errorf("%d frames came of %d; it should be %d to %d", len(came), framesSent, test.least, test.most)
			}
			if test.right != nil {
				test.right(t, came)
			}
			if diff := gocmp.Diff(came, carried(t, 1, test.link), gocmp.AllowUnexported(arrival{})); diff != "" {
				t.Errorf("the same seed gives something else: %s", diff)
			}
		})
	}
}
