package api

import (
	"container/list"
	"iter"
	"math"
	"math/rand/v2"
	"sync"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/weir/weir/broker/wire"
)

// Fetch sessions (KIP-227): the broker remembers what a client fetches, so that requests name only what changed and
// answers only what is new.
//
//	id 0,  epoch 0    a full fetch that asks for a session
//	id s,  epoch 0    the same, and session s ends
//	id s,  epoch -1   a full fetch without a session, and session s ends
//	id s,  epoch e>0  the next request of session s
const (
	sessionInitial = 0
	sessionFinal   = -1
)

// wanted is one partition that a client fetches, and what it was last told.
type wanted struct {
	topic            string
	id               [16]byte
	partition        int32
	offset           int64
	maxBytes         int32
	leaderEpoch      int32
	lastFetchedEpoch int32

	told                        bool
	toldHigh, toldStable, start int64
}

type wantedKey struct {
	topic     string
	id        [16]byte
	partition int32
}

// session is what one client fetches, in the order of its requests. Between requests it rests in the cache.
type session struct {
	id          int32 // 0: not kept
	epoch       int32
	incremental bool // this request names only what changed
	byID        bool
	order       *list.List // of *wanted
	index       map[wantedKey]*list.Element
	cache       *sessions
	used        *list.Element // in the cache's order of use
	mu          sync.Mutex    // held from open to close
}

// sessions is the cache of all sessions. When it is full the one that was not used for longest makes room.
type sessions struct {
	mu    sync.Mutex
	most  int
	byID  map[int32]*session
	order *list.List // of *session, most recently used first
}

func newSessions(most int) *sessions {
	return &sessions{most: most, byID: map[int32]*session{}, order: list.New()}
}

// FetchSessions is the number of fetch sessions that are remembered.
func (b *Broker) FetchSessions() int {
	b.sessions.mu.Lock()
	defer b.sessions.mu.Unlock()
	return len(b.sessions.byID)
}

// open gives the session of a request, brought up to what the request says. Errors are Kafka's. close must be called when
// the answer is made.
func (c *sessions) open(req *kmsg.FetchRequest) (*session, error) {
	if req.Version < 7 || req.SessionEpoch == sessionInitial || req.SessionEpoch == sessionFinal {
		return c.full(req), nil
	}
	c.mu.Lock()
	s := c.byID[req.SessionID]
	c.mu.Unlock()
	if s == nil {
		return nil, kerr.FetchSessionIDNotFound
	}
	s.mu.Lock()
	switch {
	case s.epoch != req.SessionEpoch:
		s.mu.Unlock()
		return nil, kerr.InvalidFetchSessionEpoch
	case s.byID != (req.Version >= 13):
		s.mu.Unlock()
		return nil, kerr.FetchSessionTopicIDError
	}
	s.incremental = true
	s.epoch = nextEpoch(s.epoch)
	s.update(req)
	c.mu.Lock()
	defer c.mu.Unlock()
	switch {
	case s.order.Len() == 0: // nothing is left of it
		if s.used != nil {
			c.forget(s)
		}
		s.id = 0
	case s.used != nil:
		c.order.MoveToFront(s.used)
	}
	return s, nil
}

func nextEpoch(e int32) int32 {
	if e == math.MaxInt32 {
		return 1
	}
	return e + 1
}

// full makes the session of a request that names everything.
func (c *sessions) full(req *kmsg.FetchRequest) *session {
	s := &session{byID: req.Version >= 13, order: list.New(), index: map[wantedKey]*list.Element{}, cache: c}
	s.mu.Lock()
	s.update(req)
	if req.Version < 7 {
		return s
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if old := c.byID[req.SessionID]; old != nil {
		c.forget(old)
	}
	if req.SessionEpoch == sessionFinal || c.most == 0 {
		return s
	}
	if len(c.byID) >= c.most {
		c.forget(c.order.Back().Value.(*session))
	}
	for s.id == 0 || c.byID[s.id] != nil {
		s.id = rand.Int32N(math.MaxInt32)
	}
	s.epoch = 1
	s.used = c.order.PushFront(s)
	c.byID[s.id] = s
	return s
}

func (c *sessions) forget(s *session) {
	delete(c.byID, s.id)
	c.order.Remove(s.used)
	s.used = nil
}

func (s *session) close() { s.mu.Unlock() }

// update adds and changes what the request names and drops what it forgets.
func (s *session) update(req *kmsg.FetchRequest) {
	for _, t := range req.Topics {
		for _, p := range t.Partitions {
			key := wantedKey{t.Topic, t.TopicID, p.Partition}
			e := s.index[key]
			if e == nil {
				e = s.order.PushBack(&wanted{topic: t.Topic, id: t.TopicID, partition: p.Partition})
				s.index[key] = e
			}
			w := e.Value.(*wanted)
			w.offset, w.maxBytes = p.FetchOffset, p.PartitionMaxBytes
			w.leaderEpoch, w.lastFetchedEpoch = p.CurrentLeaderEpoch, p.LastFetchedEpoch
		}
	}
	for _, t := range req.ForgottenTopics {
		for _, number := range t.Partitions {
			key := wantedKey{t.Topic, t.TopicID, number}
			if e := s.index[key]; e != nil {
				s.order.Remove(e)
				delete(s.index, key)
			}
		}
	}
}

// each gives all partitions of the session, in turn.
func (s *session) each() iter.Seq[*wanted] {
	return func(yield func(*wanted) bool) {
		for e := s.order.Front(); e != nil; e = e.Next() {
			if !yield(e.Value.(*wanted)) {
				return
			}
		}
	}
}

// report notes what the client is told, and whether there is anything to tell. A partition that had records goes to the
// end of the line, so that none of them starves; a session's first answer leaves the order as it is.
func (s *session) report(w *wanted, p *wire.FetchPartition) bool {
	news := !w.told || p.RecordsLen > 0 || p.ErrorCode != 0 || p.DivergingEpoch.Epoch >= 0 ||
		p.HighWatermark != w.toldHigh || p.LastStableOffset != w.toldStable || p.LogStartOffset != w.start
	w.told = p.ErrorCode == 0
	w.toldHigh, w.toldStable, w.start = p.HighWatermark, p.LastStableOffset, p.LogStartOffset
	if s.incremental && p.RecordsLen > 0 {
		s.order.MoveToBack(s.index[wantedKey{w.topic, w.id, w.partition}])
	}
	return news || !s.incremental
}
