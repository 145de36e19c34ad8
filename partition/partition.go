package partition

import (
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"

	"github.com/weir/weir/config"
	"github.com/weir/weir/internal/bugs"
	"github.com/weir/weir/internal/vfs"
	"github.com/weir/weir/log"
	"github.com/weir/weir/record"
	"github.com/weir/weir/replication"
)

// Leadership says who leads a partition, as its replica on this node knows it.
type Leadership struct {
	Broker int32 // -1: nobody that is known
	Epoch  int32
	here   bool
}

// Partition is this node's replica of one partition. Its exported methods may be called from any goroutine.
type Partition struct {
	Topic string
	ID    replication.GroupID

	self   replication.NodeID
	group  *replication.Group
	log    *log.Log
	logger *slog.Logger
	now    func() int64 // ms
	stats  counted
	health *Health
	// background runs what may take long.
	background func(func())

	config     atomic.Pointer[config.TopicConfig]
	leadership atomic.Pointer[Leadership]
	high       atomic.Int64 // high watermark
	inSync     atomic.Int32 // replicas, of a leader
	replicas   atomic.Int32 // that there are
	// wanted are the nodes that shall be the replicas, as it was last told, and observers those that shall be observers; see SetReplicas.
	wanted, observers []replication.NodeID
	leaders           *Leaders // nil: nobody wants to know
	opened, closed    atomic.Bool

	damage        sync.Mutex     // held while damage is repaired, and told of
	told          map[int64]bool // segments whose damage was told, by their base
	known         atomic.Int64   // producers that are remembered
	checkpointing atomic.Bool    // one is being written

	// The turn's own.
	producers *producers
	next      int64            // leader: offset of the next record
	pending   []*appendRequest // leader: proposed, not answered; by index
	here      int              // of these, those that are answered when this node has them
	committed uint64           // leader: index up to which all is
	noted     error            // what became of the last note
	switches  int              // of configurations

	mu      sync.Mutex
	waiters map[*Waiter]struct{}
	hooks   []func(Leadership)
}

// Leadership tells who leads, as far as this node knows.
func (p *Partition) Leadership() Leadership { return *p.leadership.Load() }

// Leads tells whether this node leads, and the epoch.
func (p *Partition) Leads() (epoch int32, ok bool) {
	l := p.leadership.Load()
	return l.Epoch, l.here
}

// InSync is the number of replicas that are in sync, of a partition that this node leads. 0: it has just begun to lead, and will tell.
func (p *Partition) InSync() int { return int(p.inSync.Load()) }

// HighWatermark is the offset up to which records are committed and may be read.
func (p *Partition) HighWatermark() int64 { return p.high.Load() }

// LastStable is the offset up to which read_committed readers may read.
func (p *Partition) LastStable() int64 { return p.high.Load() }

// LogStart is the offset of the first record that is still there.
func (p *Partition) LogStart() int64 { return p.log.StartOffset() }

// LogEnd is the offset after the newest record on this node, committed or not.
func (p *Partition) LogEnd() int64 { return p.log.EndOffset() }

// Size is the log's size on disk in bytes.
func (p *Partition) Size() int64 { return p.log.Size() }

// SetReplicas tells which nodes shall be the replicas, the preferred leader first, and the witness, and which observers, that have the
// log and do not vote. One goroutine at a time may call it.
func (p *Partition) SetReplicas(nodes, observers []replication.NodeID) {
	if slices.Equal(nodes, p.wanted) && slices.Equal(observers, p.observers) {
		return
	}
	p.wanted, p.observers = nodes, observers
	p.replicas.Store(countReplicas(nodes))
	p.group.SetReplicas(nodes, observers)
}

// countReplicas counts the nodes that are no witnesses.
func countReplicas(nodes []replication.NodeID) (count int32) {
	for _, id := range nodes {
		if !replication.IsWitness(id) {
			count++
		}
	}
	return count
}

// Replica is how far a replica is, as the leader knows.
type Replica struct {
	Broker int32
	Voter  bool
	Active bool // it was heard of lately
	LogEnd int64
}

// Replicas tells how far the replicas are, of a partition that this node leads; itself first.
func (p *Partition) Replicas() []Replica {
	s := p.group.Replicas()
	out := []Replica{{Broker: replication.BrokerOf(p.self), Voter: true, Active: true, LogEnd: p.LogEnd()}}
	for _, f := range s.Followers {
		if replication.IsWitness(f.ID) {
			continue
		}
		end, err := p.log.EndOffsetAt(f.Match)
		if err != nil { // it is behind the log's start, or nothing is known of it yet
			end = 0
		}
		out = append(out, Replica{Broker: replication.BrokerOf(f.ID), Voter: !f.Learner, Active: f.Active, LogEnd: end})
	}
	return out
}

// Transfer hands the leadership to a node, if it is led here.
func (p *Partition) Transfer(to replication.NodeID) { p.group.Transfer(to) }

// TooFewInSync tells whether fewer replicas are in sync than min.insync.replicas asks for.
func (p *Partition) TooFewInSync() bool {
	_, leads := p.Leads()
	inSync := p.InSync()
	return leads && inSync > 0 && inSync < min(p.Config().MinInSync, int(p.replicas.Load()))
}

// Resign hands the leadership to a replica that is in sync, if there is one.
func (p *Partition) Resign() { p.group.Resign() }

// Config is the topic's configuration in effect.
func (p *Partition) Config() *config.TopicConfig { return p.config.Load() }

// OnLeadership registers f to be told of every change of leadership, first of the present one. f is called from the
// group's turn and must be quick.
func (p *Partition) OnLeadership(f func(Leadership)) {
	p.mu.Lock()
	p.hooks = append(p.hooks, f)
	p.mu.Unlock()
	_ = p.group.Do(func() error { f(p.Leadership()); return nil })
}

// SetConfig takes a changed configuration of the topic into effect.
func (p *Partition) SetConfig(c *config.TopicConfig) {
	p.config.Store(c)
	_ = p.group.Do(func() error {
		p.log.SetConfig(p.logConfig(c))
		p.relax(c.Relaxed())
		return nil
	})
}

// relax switches between acknowledging what is on disk and what the operating system has. What may be lost with the machine's power is
// noted as long as there is anything.
func (p *Partition) relax(relaxed bool) {
	switch p.switches++; {
	case relaxed:
		if err := p.log.Relax(); vfs.IsNoSpace(err) {
			p.logger.Error("the disk is full: a partition is not relaxed as it is configured, until it is configured again or the node is restarted", "partition", p.String())
			return
		} else if err != nil {
			p.group.Fail(fmt.Errorf("noting that %s is relaxed: %w", p, err))
			return
		}
		p.group.SetRelaxed(true)
	default:
		p.group.SetRelaxed(false)
		if p.log.Relaxed() {
			p.unrelax(p.switches)
		}
	}
}

// unrelax notes that nothing can be lost with the machine's power any more, when all is durable, unless it is switched again before.
func (p *Partition) unrelax(now int) {
	settled := func() {
		if now != p.switches {
			return
		}
		if err := p.log.Unrelax(); err != nil {
			p.logger.Warn("it could not be noted that a partition is not relaxed any more", "partition", p.String(), "error", err)
		}
	}
	if bugs.UnrelaxedEarly {
		settled()
		return
	}
	p.group.Durable(settled)
}

// throttled tells which rates bound what is sent to a new replica on a broker.
func (p *Partition) throttled(broker int32) (sending, receiving bool) {
	c, number := p.Config(), p.ID.Partition
	return c.ThrottledLeader(number, replication.BrokerOf(p.self)), c.ThrottledFollower(number, broker)
}

func (p *Partition) logConfig(c *config.TopicConfig) log.Config {
	lc := log.Config{
		Repairable:         p.replicas.Load() > 1,
		SegmentBytes:       c.SegmentBytes,
		SegmentMs:          c.SegmentMs,
		IndexIntervalBytes: int(c.IndexIntervalBytes),
		RetentionMs:        c.RetentionMs,
		RetentionBytes:     c.RetentionBytes,
	}
	if !c.CleanupDelete() {
		lc.RetentionMs, lc.RetentionBytes = -1, -1
	}
	return lc
}

// Prepare implements replication.Replica: decides over the sequence number, assigns offset and epoch.
func (p *Partition) Prepare(prop *replication.Proposal, term uint64) bool {
	req := prop.Context.(*appendRequest)
	if req.header.HasProducer() {
		repeat, err := p.producers.check(req.header)
		if err != nil {
			req.finish(AppendResult{Err: err})
			return false
		}
		if repeat != nil {
			p.answerRepeat(req, *repeat)
			return false
		}
	}
	record.Assign(prop.Batch, p.next, int32(term))
	req.header.BaseOffset, req.header.LeaderEpoch = p.next, int32(term)
	p.next = req.header.NextOffset()
	p.producers.add(req.header)
	p.known.Store(int64(len(p.producers.byID)))
	return true
}

// answerRepeat answers a batch that is in the log already as it was answered first, once that one is committed.
func (p *Partition) answerRepeat(req *appendRequest, first appendedBatch) {
	if req.logAppendTime >= 0 {
		req.logAppendTime = first.timestamp
	}
	for _, r := range p.pending {
		if !r.note && r.header.BaseOffset == first.firstOffset {
			r.repeats = append(r.repeats, req)
			return
		}
	}
	if first.lastOffset < p.high.Load() {
		req.finish(p.result(first.firstOffset, first.lastOffset))
		return
	}
	panic(fmt.Sprintf("BUG: %v: batch at offset %d is neither committed nor pending", p.ID, first.firstOffset))
}

// Proposed implements replication.Replica.
func (p *Partition) Proposed(prop *replication.Proposal, index uint64) {
	req := prop.Context.(*appendRequest)
	req.index, req.bytes = index, len(prop.Batch)
	p.pending = append(p.pending, req)
	if req.here = req.here && !req.header.HasProducer(); req.here { // or a repeat of it would have to be told from one that is lost
		p.here++
	}
}

// Reject implements replication.Replica.
func (p *Partition) Reject(prop *replication.Proposal, err error) {
	prop.Context.(*appendRequest).finish(AppendResult{Err: appendError(err)})
}

// Appended implements replication.Replica: on a follower, what the leader sent.
func (p *Partition) Appended(entries []log.Entry) {
	for _, e := range entries {
		if e.Kind != log.Batch {
			continue
		}
		h, err := record.ParseHeader(e.Data)
		if err != nil {
			panic(fmt.Sprintf("BUG: %v: the log took a batch without a header: %v", p.ID, err))
		}
		p.producers.add(h)
	}
}

// Committed implements replication.Replica: raises the high watermark and answers who waits for it.
func (p *Partition) Committed(index uint64) {
	end, err := p.log.EndOffsetAt(index)
	if err != nil {
		panic(fmt.Sprintf("BUG: %v: no end offset of committed entry %d: %v", p.ID, index, err))
	}
	if _, leads := p.Leads(); bugs.CommitOwn && leads {
		end = p.log.EndOffset()
	}
	if _, own := p.log.Own(index); bugs.OwnCounted && own {
		end++
	}
	end = max(end, p.log.StartOffset()) // only what was committed is ever deleted
	if end < p.high.Load() {
		panic(fmt.Sprintf("BUG: %v: high watermark would go back from %d to %d", p.ID, p.high.Load(), end))
	}
	p.high.Store(end)
	p.answer(index)
	p.giveUp()
	p.wake()
	p.checkpoint()
}

// resume begins with what the group knows to be committed from before. It may be all that there is for long, and then nobody calls
// Committed.
func (p *Partition) resume() error {
	return p.group.Do(func() error {
		index := p.group.Applied()
		if _, err := p.log.EndOffsetAt(index); err != nil {
			return fmt.Errorf("finding the end of what is committed: %w", err)
		}
		p.Committed(index)
		if !p.Config().Relaxed() {
			p.relax(false) // it was synced when it was opened, but for what the group did since
		}
		return nil
	})
}

// answer answers appends that are committed, and that as many replicas have as min.insync.replicas asks for.
func (p *Partition) answer(committed uint64) {
	p.committed = committed
	p.answerHere(committed)
	if len(p.pending) == 0 {
		return
	}
	if need := p.needed(); need > 0 {
		committed = min(committed, p.group.HeldBy(need))
	}
	n := 0
	for ; n < len(p.pending) && p.pending[n].index <= committed; n++ {
		req := p.pending[n]
		result := AppendResult{Err: p.noted}
		if !req.note {
			result = p.result(req.header.BaseOffset, req.header.NextOffset()-1)
		}
		req.finishAll(result)
		p.pending[n] = nil
	}
	p.pending = p.pending[n:]
}

// answerHere answers, of the appends that are here up to an index, those that wait for nothing else.
func (p *Partition) answerHere(upTo uint64) {
	if p.here == 0 {
		return
	}
	kept := p.pending[:0]
	for _, req := range p.pending {
		if !req.here || req.index > upTo {
			kept = append(kept, req)
			continue
		}
		p.here--
		req.finish(p.result(req.header.BaseOffset, req.header.NextOffset()-1))
	}
	clear(p.pending[len(kept):])
	p.pending = kept
}

// needed is how many replicas must have what is acknowledged, if that is more than have it when it is committed; else 0.
func (p *Partition) needed() int {
	replicas := int(p.replicas.Load())
	surely := replicas/2 + 1
	if p.group.Witnessed() { // it may be the other half of the majority, also while the replicas become three
		surely = 1
	}
	if need := min(p.Config().MinInSync, replicas); need > surely {
		return need
	}
	return 0
}

// Progressed implements replication.Replica: this node or followers have more. Committed tells most who wait; the others are those that
// wait for this node alone, and for min.insync.replicas.
func (p *Partition) Progressed() {
	if p.here > 0 {
		p.answerHere(p.group.HeldHere())
	}
	if len(p.pending) > 0 && p.pending[0].index <= p.committed {
		p.answer(p.committed)
	}
}

// giveUp answers what is committed and waits for replicas that are not in sync any more.
func (p *Partition) giveUp() {
	if len(p.pending) == 0 || p.pending[0].index > p.committed || !p.TooFewInSync() {
		return
	}
	n := 0
	for ; n < len(p.pending) && p.pending[n].index <= p.committed; n++ {
		p.pending[n].finishAll(AppendResult{Err: kerr.NotEnoughReplicasAfterAppend})
		p.pending[n] = nil
	}
	p.pending = p.pending[n:]
}

// checkpoint sees that a start after a crash has little to read. What may take long happens outside the turn.
func (p *Partition) checkpoint() {
	if p.checkpointing.Load() || !p.log.CheckpointDue() {
		return
	}
	c, err := p.log.BeginCheckpoint()
	if err != nil {
		p.logger.Error("a checkpoint failed; it is tried again", "partition", p.String(), "error", err)
		return
	}
	p.checkpointing.Store(true)
	p.background(func() {
		defer p.checkpointing.Store(false)
		switch err := c.Write(); {
		case vfs.IsNoSpace(err):
			p.logger.Error("a checkpoint failed; it is tried again", "partition", p.String(), "error", err)
		case err != nil: // what could not be synced is lost, and must not be acknowledged
			p.group.Fail(fmt.Errorf("checkpoint of %s: %w", p, err))
		}
	})
}

// LeaderChanged implements replication.Replica.
func (p *Partition) LeaderChanged(leader replication.NodeID, term uint64) {
	if leader == p.self {
		p.next = p.log.EndOffset()
		if bugs.ProducersLost {
			clear(p.producers.byID)
		}
	} else {
		lost := p.pending
		p.pending, p.here = nil, 0
		for _, req := range lost {
			if bugs.ZombieAck {
				req.finish(p.result(req.header.BaseOffset, req.header.NextOffset()-1))
				continue
			}
			req.finish(AppendResult{Err: kerr.NotLeaderForPartition})
			for _, r := range req.repeats {
				r.finish(AppendResult{Err: kerr.NotLeaderForPartition})
			}
		}
	}
	now := Leadership{Broker: replication.BrokerOf(leader), Epoch: int32(term), here: leader == p.self}
	was := p.Leadership()
	p.inSync.Store(0) // before it leads, lest clients are refused for what an earlier leadership saw
	p.leadership.Store(&now)
	switch {
	case p.leaders == nil || now.here: // who leads here is told with who is in sync
	case p.closed.Load() && !was.here: // it goes, and what is known of others stays as it is
	default:
		p.leaders.replicaSays(p.ID, Leader{Broker: now.Broker, Epoch: now.Epoch})
	}
	p.mu.Lock()
	hooks := p.hooks
	p.mu.Unlock()
	for _, f := range hooks {
		f(now)
	}
	p.wake()
}

// TakenBack implements replication.Replica.
func (p *Partition) TakenBack() { p.high.Store(p.log.StartOffset()) }

// InSyncChanged implements replication.Replica.
func (p *Partition) InSyncChanged(brokers []int32) {
	p.inSync.Store(int32(len(brokers)))
	p.giveUp()
	if p.leaders != nil {
		p.leaders.replicaSays(p.ID, Leader{Broker: replication.BrokerOf(p.self), Epoch: p.Leadership().Epoch, InSync: brokers})
	}
}

// maintain does the rounds: retention, a checkpoint when one is due, expiry of producers.
func (p *Partition) maintain(now time.Time, producerIdle time.Duration) error {
	return p.changing(func() error {
		before := p.log.Size()
		removed, err := p.log.Retain(now.UnixMilli(), p.high.Load())
		if removed > 0 {
			p.stats.all.RetiredSegments.Add(removed)
			p.stats.all.RetiredBytes.Add(int(max(before-p.log.Size(), 0)))
			p.logger.Info("retention removed segments", "partition", p.String(), "segments", removed, "logStart", p.log.StartOffset())
		}
		p.producers.expire(producerIdle.Milliseconds())
		p.known.Store(int64(len(p.producers.byID)))
		return errors.Join(err, p.log.RollIfOld(now))
	})
}

func (p *Partition) String() string { return fmt.Sprintf("%s-%d", p.Topic, p.ID.Partition) }

// Waiter is woken when a partition that it watches may have more to read, or a new leader.
type Waiter struct{ C chan struct{} }

// NewWaiter makes a waiter. Its channel holds one wake-up.
func NewWaiter() *Waiter { return &Waiter{C: make(chan struct{}, 1)} }

// Watch makes p wake w until Unwatch.
func (p *Partition) Watch(w *Waiter) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.waiters == nil {
		p.waiters = map[*Waiter]struct{}{}
	}
	p.waiters[w] = struct{}{}
}

// Unwatch ends Watch.
func (p *Partition) Unwatch(w *Waiter) {
	p.mu.Lock()
	defer p.mu.Unlock()
	delete(p.waiters, w)
}

func (p *Partition) wake() {
	p.mu.Lock()
	defer p.mu.Unlock()
	for w := range p.waiters {
		select {
		case w.C <- struct{}{}:
		default:
		}
	}
}
