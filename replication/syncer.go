package replication

import (
	"fmt"
	"slices"
	"sync"
	"sync/atomic"

	"go.etcd.io/raft/v3/raftpb"

	"github.com/weir/weir/internal/bugs"
	"github.com/weir/weir/internal/stats"
	"github.com/weir/weir/internal/vfs"
	"github.com/weir/weir/log"
)

// syncEachMax is the number of dirty files up to which each is synced on its own. Beyond it one sync of the file system
// is quicker (measured: 12 files 0.17 ms instead of 1.1 ms).
const syncEachMax = 2

// syncRequest asks that everything in dirty, and the votes, be durable before the responses are delivered.
type syncRequest struct {
	group     *Group
	dirty     log.Dirty
	votes     bool
	hard      HardState
	members   *Members // nil: they have not changed
	headers   *headers // of a witness; nil: they have not changed, or it is none
	responses []*raftpb.Message
	then      func() // to be called in the group's turn; nil: nothing
	written   written
}

// written is how much a group wrote.
type written struct{ batches, bytes int }

// syncer is the group commit of a data directory: while one round of syncs runs, requests gather for the next.
type syncer struct {
	host    *Host
	lazy    atomic.Bool  // requests wait, and nobody was asked to do them
	took    atomic.Int64 // the last round of syncs, ns
	mu      sync.Mutex
	changed *sync.Cond
	waiting []syncRequest
	held    []syncRequest // of groups whose votes the full disk refused, to be tried again in order
	full    bool          // the operator was told that votes were refused; of whose round it is
	wanted  bool          // the goroutine is asked to do them
	busy    bool          // a round is under way
	added   uint64        // requests so far
	settled uint64        // of these, answered
	waiters int           // for settled to come that far
	ended   bool
	done    chan struct{}
}

func newSyncer(h *Host) *syncer {
	s := &syncer{host: h, done: make(chan struct{})}
	s.changed = sync.NewCond(&s.mu)
	if h.cfg.ByHand {
		close(s.done)
	} else {
		go s.run()
	}
	return s
}

// add takes a request. A lazy one is done when settle is called, if no round comes before.
func (s *syncer) add(r syncRequest, lazy bool) {
	s.mu.Lock()
	if r.group.held {
		s.held = append(s.held, r)
		s.mu.Unlock()
		return
	}
	s.waiting = append(s.waiting, r)
	s.added++
	if lazy && !s.wanted && !s.busy {
		s.lazy.Store(true)
		s.mu.Unlock()
		return
	}
	s.wanted = true
	wake := !s.busy
	s.mu.Unlock()
	if wake {
		s.changed.Broadcast()
	}
}

// settle sees that lazy requests are done: in a round right here, or by the goroutine.
func (s *syncer) settle(here bool) {
	s.mu.Lock()
	switch {
	case len(s.waiting) == 0 || s.wanted || s.busy:
		s.mu.Unlock()
	case here:
		batch := s.take(nil)
		s.mu.Unlock()
		s.round(batch)
		s.mu.Lock()
		s.finish(batch)
		s.mu.Unlock()
	default:
		s.wanted = true
		s.lazy.Store(false)
		s.mu.Unlock()
		s.changed.Broadcast()
	}
}

// take begins a round with all that waits. Under mu.
func (s *syncer) take(room []syncRequest) []syncRequest {
	batch := s.waiting
	s.waiting = room[:0]
	s.wanted, s.busy = false, true
	s.lazy.Store(false)
	return batch
}

// hold keeps the requests of a batch back whose votes the full disk refused, with what came after them from their groups, and
// gives the others. They are tried again later.
func (s *syncer) hold(batch []syncRequest, err error) (others []syncRequest) {
	s.mu.Lock()
	for _, r := range batch {
		r.group.held = r.group.held || r.votes
		if r.group.held {
			s.held = append(s.held, r)
		} else {
			others = append(others, r)
		}
	}
	s.waiting = slices.DeleteFunc(s.waiting, func(r syncRequest) bool {
		if r.group.held {
			s.held = append(s.held, r)
			s.settled++
		}
		return r.group.held
	})
	s.mu.Unlock()
	s.host.full("votes", err, s.full)
	s.full = true
	s.host.cfg.After(stallRetry, s.retry)
	return others
}

// retry puts what was held back in front of what waits.
func (s *syncer) retry() {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, r := range s.held {
		r.group.held = false
	}
	s.added += uint64(len(s.held))
	s.waiting = append(s.held, s.waiting...)
	s.held = nil
	s.wanted = len(s.waiting) > 0
	s.changed.Broadcast()
}

// drop forgets the requests of a group that are held back, and tells how many there were.
func (s *syncer) drop(g *Group) int {
	s.mu.Lock()
	defer s.mu.Unlock()
	before := len(s.held)
	s.held = slices.DeleteFunc(s.held, func(r syncRequest) bool { return r.group == g })
	g.held = false
	return before - len(s.held)
}

// finish ends a round. Under mu.
func (s *syncer) finish(batch []syncRequest) {
	s.settled += uint64(len(batch))
	clear(batch)
	s.busy = false
	if s.wanted = len(s.waiting) > 0; s.wanted || s.waiters > 0 || s.ended { // or nobody need be woken
		s.changed.Broadcast()
	}
}

// wait returns when all requests that were added before are answered.
func (s *syncer) wait() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.wanted = s.wanted || len(s.waiting) > 0
	s.changed.Broadcast()
	s.waiters++
	defer func() { s.waiters-- }()
	for until := s.added; s.settled < until; {
		if s.host.cfg.ByHand {
			s.roundByHand()
		} else {
			s.changed.Wait()
		}
	}
}

func (s *syncer) stop() {
	s.mu.Lock()
	s.ended = true
	s.mu.Unlock()
	s.changed.Broadcast()
	<-s.done
}

func (s *syncer) run() {
	defer close(s.done)
	var room []syncRequest
	s.mu.Lock()
	defer s.mu.Unlock()
	for {
		for s.busy || !s.wanted && !s.ended {
			s.changed.Wait()
		}
		if len(s.waiting) == 0 {
			if s.ended {
				return
			}
			s.wanted = false
			continue
		}
		batch := s.take(room)
		s.mu.Unlock()
		s.round(batch)
		s.mu.Lock()
		s.finish(batch)
		room = batch
	}
}

// round makes a batch of requests durable and delivers their responses.
func (s *syncer) round(batch []syncRequest) { s.deliver(s.settleAll(batch)) }

// settleAll makes a batch of requests durable, and gives those whose responses may be delivered. A failed sync is final: what
// the kernel dropped cannot be synced again, so nothing may be acknowledged from here on.
func (s *syncer) settleAll(batch []syncRequest) []syncRequest {
	if s.host.dead.Load() {
		return nil
	}
	batch, err := s.sync(batch)
	if err != nil {
		s.host.fatal(err)
		return nil
	}
	return batch
}

// deliver gives the responses of requests that are durable back to their groups.
func (s *syncer) deliver(batch []syncRequest) {
	if bugs.AckBesideSync {
		s.mu.Lock()
		batch = slices.Concat(batch, s.waiting)
		s.settled += uint64(len(s.waiting))
		s.waiting = nil
		s.mu.Unlock()
	}
	for i, r := range batch {
		_, idle := r.group.offer(func(in *inbox) bool {
			in.synced++
			in.done = append(in.done, r.responses...)
			if r.then != nil {
				in.calls = append(in.calls, r.then)
			}
			return true
		})
		switch {
		case idle && i == len(batch)-1: // the last one's turn happens here: no worker need be woken for it
			r.group.runHere()
		case idle:
			s.host.enqueue(r.group)
		}
	}
	s.host.flush()
}

// sync makes requests durable, and gives those that are: all but what hold keeps back.
func (s *syncer) sync(batch []syncRequest) ([]syncRequest, error) {
	var files []log.File
	var dirs []string
	var votes []Update
	var sum written
	for _, r := range batch {
		sum.batches += r.written.batches
		sum.bytes += r.written.bytes
		files = addNew(files, r.dirty.Files)
		dirs = addNew(dirs, r.dirty.Dirs)
		if r.votes {
			votes = append(votes, Update{ID: r.group.key, State: r.hard})
			if r.members != nil {
				votes = append(votes, Update{ID: r.group.key, members: r.members})
			}
			if r.headers != nil {
				votes = append(votes, Update{ID: r.group.key, headers: r.headers})
			}
		}
	}
	if len(files)+len(dirs) == 0 && len(votes) == 0 {
		return batch, nil
	}
	counts, start := &s.host.stats, stats.Now()
	defer func() {
		took := stats.Now() - start
		s.took.Store(took)
		counts.SyncTime.Observe(took)
		counts.SyncBatches.Observe(int64(sum.batches))
		counts.SyncBytes.Observe(int64(sum.bytes))
	}()
	if len(votes) > 0 {
		counts.JournalSyncs.Add(1)
		err := s.host.journal.Commit(votes)
		if vfs.IsNoSpace(err) {
			batch, err = s.hold(batch, err), nil
		} else {
			s.full = false
		}
		if err != nil {
			return nil, fmt.Errorf("writing the voter journal: %w", err)
		}
	}
	if len(files)+len(dirs) > syncEachMax {
		counts.SystemSyncs.Add(1)
		if err := s.host.cfg.FS.SyncAll(s.host.cfg.Dir); err != nil {
			return nil, fmt.Errorf("syncing the file system of %s: %w", s.host.cfg.Dir, err)
		}
		return batch, nil
	}
	counts.FileSyncs.Add(len(files))
	for _, f := range files {
		err := f.Sync()
		if bugs.SyncAgain && err != nil {
			err = f.Sync()
		}
		if err != nil {
			return nil, fmt.Errorf("syncing a segment in %s: %w", s.host.cfg.Dir, err)
		}
	}
	counts.FolderSyncs.Add(len(dirs))
	for _, d := range dirs {
		if err := s.host.cfg.FS.SyncDir(d); err != nil {
			return nil, fmt.Errorf("syncing folder %s: %w", d, err)
		}
	}
	return batch, nil
}

// addNew adds what is not there yet. In a round with many, the sync of the file system takes over, so a linear look for
// doubles stays short: it stops counting once there are more than syncEachMax.
func addNew[T comparable](have, more []T) []T {
	for _, m := range more {
		if len(have) > syncEachMax {
			return have
		}
		found := false
		for _, h := range have {
			found = found || h == m
		}
		if !found {
			have = append(have, m)
		}
	}
	return have
}
