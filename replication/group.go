package replication

import (
	"cmp"
	"errors"
	"fmt"
	"maps"
	"slices"
	"sync"
	"sync/atomic"

	"go.etcd.io/raft/v3"
	"go.etcd.io/raft/v3/raftpb"
	"go.etcd.io/raft/v3/tracker"

	"github.com/weir/weir/internal/bugs"
	"github.com/weir/weir/log"
)

// NodeID names a node to raft: a broker, with one data directory. 0 is nobody.
type NodeID = uint64

// NodeOf gives the NodeID of a broker. A broker that lost its data directory comes back in another incarnation, as another
// voter, so that what it promised before and does not know of any more binds nobody.
func NodeOf(broker, incarnation int32) NodeID {
	return uint64(uint32(incarnation))<<32 | uint64(uint32(broker)+1)
}

// BrokerOf gives the broker of a NodeID; -1: nobody.
func BrokerOf(id NodeID) int32 { return int32(uint32(id)) - 1 }

// Kinds of raft-own entries in a log; log.Batch is the kind of all others.
const (
	kindEmpty        = log.Batch + 1 // first entry of a term
	kindConfChange   = log.Batch + 2
	kindConfChangeV2 = log.Batch + 3
	kindNote         = log.Batch + 4 // what a replica tells all others
)

// kindHeader is the kind of an entry on its way to a witness, which gets no data but that of changes of members. It is in no log.
const kindHeader log.Kind = 0

// noteMax is how many bytes a note has at most: fewer than any batch, so that the two cannot be mistaken.
const noteMax = 60

// ErrNotLeader answers proposals of a node that does not lead the group.
var ErrNotLeader = errors.New("this node does not lead the partition")

// ErrStorage answers proposals while the disk takes no more data. It passes when space is freed.
var ErrStorage = errors.New("the disk is full")

// ErrFailed answers proposals after the data directory failed.
var ErrFailed = errors.New("the data directory has failed")

// ErrClosed answers proposals to a group that was closed.
var ErrClosed = errors.New("the partition is closed on this node")

// Proposal asks a group to append a batch.
type Proposal struct {
	// Batch must stay untouched: for good, or until In is released.
	Batch []byte
	// In is what Batch is in, if that is lent: it stays at least until the proposal is answered.
	In Buffer
	// Note says that Batch is not one, but 2 to 60 bytes that replicas tell each other. It has no offset.
	Note bool
	// Context is the proposer's own.
	Context any
}

// Replica is what a group's entries mean to its owner. All methods are called from the group's turn, one at a time.
type Replica interface {
	// Prepare is called on the leader for each proposal of a batch in order. It assigns offset and epoch in the batch. False: the
	// replica has answered the proposal itself and nothing is appended.
	Prepare(p *Proposal, term uint64) bool
	// Proposed tells the index that a prepared proposal got.
	Proposed(p *Proposal, index uint64)
	// Reject answers a proposal that could not be prepared.
	Reject(p *Proposal, err error)
	// Appended tells of entries that a leader elsewhere sent and that are now in the log.
	Appended(entries []log.Entry)
	// Noted tells of a committed note, before Committed tells of its index. It may be told again after a restart.
	Noted(note []byte)
	// Committed tells that all entries up to index are committed.
	Committed(index uint64)
	// Progressed tells, on the leader, that followers or its own disk may have more: see Group.HeldBy and Group.HeldHere.
	Progressed()
	// LeaderChanged tells who leads in which term. On the leader itself it comes when the first entry of its own term is
	// committed, so that it knows everything committed before. 0: nobody.
	LeaderChanged(leader NodeID, term uint64)
	// TakenBack tells that it is not known any more what is committed, but for what lies before the log's first entry. Committed tells it
	// anew, and perhaps of other entries than before: most replicas have lost what was acknowledged.
	TakenBack()
	// InSyncChanged tells, on the leader, which brokers have all that is committed, or had it lately: itself, and followers.
	InSyncChanged(brokers []int32)
}

// Config describes a group.
type Config struct {
	ID GroupID
	// Witness says that this is the partition's witness on this node, and no replica: it has neither Log nor Replica.
	Witness bool
	Log     *log.Log
	// Voters are the members that the group was made with; none: this replica is to join the group, and waits for its leader.
	// They count until the group has members in the journal.
	Voters  []NodeID
	Replica Replica
	// After is a term that the group goes on after: one of the same id was there before, which nobody remembers.
	After uint64
	// Relaxed acknowledges appends that are in the page cache only. The log has noted it: log.Log.Relax.
	Relaxed bool
	// PowerLost says that the machine lost its power since it last wrote the log: what was acknowledged may be missing, if the log
	// was relaxed.
	PowerLost bool
	// Prompt tells followers at once what is committed.
	Prompt bool
	// Throttled, if set, tells whether what is sent to a learner on a broker counts against the rates of SetCatchUpRates: that of all
	// that this node sends, and that of the broker. It is called from the group's turn.
	Throttled func(broker int32) (sending, receiving bool)
}

// Group is one replica of one Raft group.
type Group struct {
	id      GroupID
	key     GroupID // in the host and its journal; another one than id of a witness
	self    NodeID
	host    *Host
	log     Log
	headers *headers // the log of a witness; nil: it is a replica
	replica Replica
	relaxed atomic.Bool
	prompt  bool
	// throttled is as in Config.
	throttled func(broker int32) (sending, receiving bool)

	// The turn's own.
	lent      bool // it is done by someone who settles
	rn        *raft.RawNode
	storage   *storage
	term      uint64
	lead      NodeID
	announced struct {
		lead NodeID
		term uint64
	}
	applied   uint64
	batches   lent              // that are not yet written
	written   written           // and not yet handed to the syncer
	syncing   int               // appends handed to the syncer and not back yet
	stalled   []*raftpb.Message // appends that the full disk refused, to be tried again in order
	full      bool              // the operator was told that it is full
	yields    int               // attempts to hand the leadership over since then
	lastVotes HardState
	members   membership
	forgotten forgotten
	// doubtful: what was committed may be lost, if most replicas lost their power at once. See outdated.
	doubtful bool

	live liveness

	probing bool         // in this turn, messages bring out what followers lack
	news    atomic.Int32 // newsNone and so on
	listed  bool         // among the host's news; under its lock

	held bool // the syncer holds its requests back; under the syncer's mu

	mu      sync.Mutex
	inbox   inbox
	closing bool // proposals are refused, so that those under way come to an end
	asleep  bool // no time passes for it
	state   runState
	idle    *sync.Cond // signalled when state becomes runIdle
}

// inbox gathers what the next turn takes.
type inbox struct {
	calls     []func()
	done      []*raftpb.Message // responses of finished appends
	synced    int               // finished appends
	messages  []delivered
	proposals []*Proposal
	up, down  []int32 // brokers that came and went
	ticks     int
	campaign  bool
	transfer  NodeID // 0: none
	retry     bool   // what is stalled
	news      bool   // is to be told
	closed    bool
}

func (in *inbox) empty() bool {
	return len(in.calls)+len(in.done)+len(in.messages)+len(in.proposals)+len(in.up)+len(in.down)+in.ticks == 0 &&
		in.synced == 0 && !in.campaign && in.transfer == 0 && !in.retry && !in.news
}

// delivered is a message of another node, and what its batches are in.
type delivered struct {
	*raftpb.Message
	in   Buffer // nil: nobody else's memory
	size int64  // of its batches
}

// runState keeps a group on at most one worker.
type runState uint8

const (
	runIdle   runState = iota
	runQueued          // waits for a worker
	runActive          // a worker has it
	runAgain           // a worker has it, and more came in
)

func newGroup(h *Host, c Config) (*Group, error) {
	g := &Group{id: c.ID, key: c.ID, self: h.cfg.Self, host: h, log: c.Log, replica: c.Replica, prompt: c.Prompt, throttled: c.Throttled}
	if c.Witness {
		g.beWitness()
	}
	g.idle = sync.NewCond(&g.mu)
	g.relaxed.Store(c.Relaxed)
	hs, _ := h.journal.Get(g.key)
	lastTerm, err := g.log.Term(g.log.LastIndex())
	if err != nil {
		return nil, fmt.Errorf("term of the last entry: %w", err)
	}
	if lastTerm > hs.Term || bugs.TermForgotten {
		// The entries came with the term and were written before the journal was: no vote was given in it.
		hs = HardState{Term: lastTerm, Commit: hs.Commit}
	}
	if c.After > hs.Term {
		hs = HardState{Term: c.After, Commit: hs.Commit}
	}
	if bugs.CutAtStart {
		if err := g.log.TruncateSuffix(min(max(hs.Commit, g.log.FirstIndex()-1), g.log.LastIndex())); err != nil {
			return nil, err
		}
	}
	g.members = newMembership(h.journal, g.key, c.Voters)
	if g.headers == nil && c.Log.Relaxed() {
		if g.doubtful = true; c.PowerLost && !bugs.PowerUnnoticed {
			if err := g.lostPower(); err != nil {
				return nil, err
			}
		}
	}
	if g.log.Forgotten() != log.Nothing {
		hs = g.beginForgotten(hs)
	}
	hs.Commit, g.applied = g.members.resume(g.log, g.self, hs.Commit)
	g.lastVotes, g.term = hs, hs.Term
	g.live.order = distinct(c.Voters)
	if g.members.now.Index > 0 {
		g.live.order = g.voters()
	}
	g.keep()
	g.storage = &storage{log: g.log, hard: hs, members: &g.members, light: g.headers != nil}
	err = g.newNode()
	if err != nil {
		return nil, err
	}
	return g, nil
}

// newNode makes raft anew from what the storage says.
func (g *Group) newNode() (err error) {
	g.rn, err = raft.NewRawNode(&raft.Config{
		ID:                        g.self,
		ElectionTick:              electionTicks,
		HeartbeatTick:             1,
		Storage:                   g.storage,
		Applied:                   g.applied,
		AsyncStorageWrites:        true,
		MaxSizePerMsg:             1 << 20,
		MaxInflightMsgs:           256,
		MaxInflightBytes:          16 << 20,
		CheckQuorum:               true,
		PreVote:                   true,
		DisableProposalForwarding: true,
		StepDownOnRemoval:         true,
		Logger:                    raftLogger{g.host.cfg.Logger},
	})
	return err
}

// Propose asks to append a batch. The replica answers, in its turn.
func (g *Group) Propose(p *Proposal) {
	switch ok, idle := g.offerProposal(p); {
	case !ok:
		g.replica.Reject(p, ErrClosed)
	case idle:
		g.host.enqueue(g)
	}
}

// ProposeHere is Propose for a caller that lends its goroutine: if the group is idle, its turn happens before this returns,
// which spares waking a worker. The caller must hold no lock that the replica's answers want, and call Host.Settle when it has
// proposed all that it has.
func (g *Group) ProposeHere(p *Proposal) {
	switch ok, idle := g.offerProposal(p); {
	case !ok:
		g.replica.Reject(p, ErrClosed)
	case idle:
		g.runHere()
	}
}

func (g *Group) offerProposal(p *Proposal) (ok, idle bool) {
	return g.offer(func(in *inbox) bool {
		if !g.closing {
			in.proposals = append(in.proposals, p)
		}
		return !g.closing
	})
}

// runHere does the turn of a group that offer found idle. Who calls it settles afterwards.
func (g *Group) runHere() {
	if g.run(true) {
		g.host.enqueue(g)
	}
}

// Do runs f in the group's turn, when nothing else touches its log or replica, and waits for it.
func (g *Group) Do(f func() error) error {
	var err error
	done := make(chan struct{})
	if !g.put(func(in *inbox) { in.calls = append(in.calls, func() { err = f(); close(done) }) }) {
		return ErrClosed
	}
	g.host.await(done)
	return err
}

// Applied is the last entry that the replica was told to be committed, or that was known to be when the group was opened. It is for a
// turn of the group.
func (g *Group) Applied() uint64 { return g.applied }

// SetRelaxed switches between acknowledging after the sync and after the write. It holds from the next append on. It is for the group's
// turn, and the log must have noted before that it is relaxed.
func (g *Group) SetRelaxed(relaxed bool) {
	g.relaxed.Store(relaxed)
	g.doubtful = g.doubtful || relaxed
}

// Durable sees that all that is in the log becomes durable, and then calls f, in the group's turn. It is for the group's turn. f is not
// called if the group is closed before.
func (g *Group) Durable(f func()) {
	g.syncing++
	req := syncRequest{group: g, then: f}
	g.log.TakeDirty(&req.dirty)
	g.host.syncer.add(req, false)
}

// Fail ends all acknowledging on this node: the data directory can no longer be trusted.
func (g *Group) Fail(err error) { g.host.fatal(err) }

// Campaign starts an election now.
func (g *Group) Campaign() { g.put(func(in *inbox) { in.campaign = true }) }

// offerMessage hands over a message of another node. idle: the caller must see to the turn.
func (g *Group) offerMessage(m *raftpb.Message, in Buffer) (idle bool) {
	size := int64(batchBytes(m))
	_, idle = g.offer(func(box *inbox) bool {
		if size > 0 && g.host.undone.Add(size) > undoneMax+size {
			g.host.undone.Add(-size)
			return false
		}
		if in != nil {
			in.Retain()
		}
		box.messages = append(box.messages, delivered{m, in, size})
		return true
	})
	return idle
}

// put adds to the inbox and sees that a turn comes. False: the group is closed.
func (g *Group) put(add func(*inbox)) bool {
	ok, idle := g.offer(func(in *inbox) bool { add(in); return true })
	if idle {
		g.host.enqueue(g)
	}
	return ok
}

// offer adds to the inbox of a group that is not closed, if add does not refuse. If the group was idle, the caller must see to
// its turn.
func (g *Group) offer(add func(*inbox) bool) (ok, idle bool) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.inbox.closed || !add(&g.inbox) {
		return false, false
	}
	if g.asleep {
		g.asleep = false
		g.host.wake(g)
	}
	switch g.state {
	case runIdle:
		g.state = runQueued
		return true, true
	case runActive:
		g.state = runAgain
	}
	return true, false
}

// close ends the group: proposals are refused, appends under way are waited for.
func (g *Group) close() {
	g.mu.Lock()
	g.closing = true
	g.mu.Unlock()
	for {
		var busy bool
		if g.Do(func() error { g.syncing -= g.host.syncer.drop(g); busy = g.syncing > 0; return nil }) != nil {
			return
		}
		if !busy {
			break
		}
		g.host.syncer.wait()
	}
	g.host.turnsByHand()
	g.mu.Lock()
	g.inbox.closed = true
	for g.state != runIdle {
		g.idle.Wait()
	}
	late := g.inbox.proposals
	g.inbox.proposals = nil
	g.stalled = nil
	g.letGo(&g.inbox)
	g.mu.Unlock()
	for _, p := range late {
		g.replica.Reject(p, ErrClosed)
	}
	g.replica.LeaderChanged(0, g.term)
}

// run is a worker's visit, or that of a goroutine that is lent: one turn, and whether another is due.
func (g *Group) run(lent bool) (again bool) {
	g.mu.Lock()
	g.state = runActive
	g.lent = lent
	in := g.inbox
	g.inbox = inbox{closed: in.closed}
	g.mu.Unlock()

	g.turn(&in)

	g.mu.Lock()
	defer g.mu.Unlock()
	if g.state == runAgain {
		g.state = runQueued
		return true
	}
	g.state = runIdle
	g.idle.Broadcast()
	return false
}

// turn advances the group by everything that came in.
func (g *Group) turn(in *inbox) {
	defer g.letGo(in)
	for _, call := range in.calls {
		call()
	}
	if g.host.dead.Load() { // nothing is believed any more, and nothing acknowledged
		g.syncing = 0
		g.refuse(in.proposals, ErrFailed)
		return
	}
	g.syncing -= in.synced
	g.probing = in.ticks > 0 || len(in.up)+len(in.down) > 0
	g.saved()
	for _, m := range in.done {
		g.respond(m)
	}
	progress := in.synced > 0 || g.relaxed.Load() && len(in.proposals) > 0
	for _, m := range in.messages {
		g.probing = g.probing || m.GetType() != raftpb.MsgAppResp || m.GetReject()
		if g.outline(m) {
			g.step(m.Message)
		}
		g.heard(m.Message)
		g.live.wantsSleep = saysGoodNight(m.Message)
		progress = progress || m.GetType() == raftpb.MsgAppResp
	}
	g.nodesChanged(in.up, in.down)
	for range in.ticks {
		g.pass()
	}
	if in.campaign {
		g.drain() // with changes of members to apply, raft would not campaign
		g.campaign()
	}
	g.handOver(in.transfer)
	if in.retry {
		g.retryStalled()
	}
	if in.news {
		g.tellNews()
	}
	g.propose(in.proposals)
	g.drain()
	if progress && g.announced.lead == g.self {
		g.replica.Progressed()
	}
	g.yield()
	g.reconcile(in.ticks)
	if g.live.wantsSleep {
		g.heardGoodNight()
	}
}

// outline takes the batches out of a message. False: it has some, and cannot be taken, since the disk is full.
func (g *Group) outline(m delivered) bool {
	if len(m.Entries) == 0 || len(g.stalled) > 0 {
		return len(m.Entries) == 0
	}
	if g.headers != nil { // its entries came without batches
		return true
	}
	entries := make([]log.Entry, len(m.Entries))
	for i, e := range m.Entries {
		if entries[i] = fromRaft(e); entries[i].Kind == log.Batch {
			e.Data = withoutBatch
		}
	}
	g.batches.add(run{entries, m.in, false})
	return true
}

// letGo ends a turn's use of what came in.
func (g *Group) letGo(in *inbox) {
	for _, m := range in.messages {
		g.host.undone.Add(-m.size)
		if m.in != nil {
			m.in.Release()
		}
	}
	if len(g.stalled) == 0 {
		g.batches.letGo()
	}
}

// campaign asks to be elected, unless that could not be written.
func (g *Group) campaign() {
	if len(g.stalled) > 0 || !g.mayAsk() || g.headers != nil && !bugs.WitnessLeads {
		return
	}
	if err := g.rn.Campaign(); err != nil {
		panic(fmt.Sprintf("BUG: raft group %v cannot campaign: %v", g.id, err))
	}
}

func (g *Group) step(m *raftpb.Message) {
	switch m.GetType() {
	case raftpb.MsgApp, raftpb.MsgHeartbeat, raftpb.MsgSnap, raftpb.MsgVote, raftpb.MsgPreVote:
		if g.host.isGone(m.GetFrom()) { // it was still on its way; to follow who sent it would hinder an election
			return
		}
	}
	switch m.GetType() {
	case raftpb.MsgVote, raftpb.MsgPreVote:
		if len(g.stalled) > 0 || !g.mayVote() || !g.mayAnswer() {
			return
		}
		g.asksVote(m)
	case raftpb.MsgTimeoutNow:
		if len(g.stalled) > 0 || !g.mayAsk() || g.headers != nil {
			return
		}
	case raftpb.MsgApp:
		if g.doubtful && g.outdated(m) {
			if g.syncing > 0 || len(g.stalled) > 0 { // what is on its way to the disk is for raft as it is
				return
			}
			g.beginAgain()
		}
	case raftpb.MsgAppResp:
		if g.differs(m) {
			return
		}
	case raftpb.MsgHeartbeat:
		if g.headers == nil && g.lacks(m) {
			g.forget(m)
			return
		}
	}
	if err := g.rn.Step(m); err != nil && !errors.Is(err, raft.ErrProposalDropped) && !errors.Is(err, raft.ErrStepPeerNotFound) {
		panic(fmt.Sprintf("BUG: raft group %v refuses %v: %v", g.id, m.GetType(), err))
	}
	if m.GetType() == raftpb.MsgAppResp {
		g.standAgain(m)
		g.acknowledged()
	}
}

// propose hands proposals to raft as one message. Offsets are assigned on the way, so from here on none may be dropped.
func (g *Group) propose(proposals []*Proposal) {
	if len(proposals) == 0 {
		return
	}
	g.live.idle = 0
	var refuse error
	switch now := g.rn.BasicStatus(); {
	case g.announced.lead != g.self || g.announced.term != now.GetTerm() || now.RaftState != raft.StateLeader || now.LeadTransferee != 0:
		refuse = ErrNotLeader // perhaps since something that came in this turn, and was not yet told
	case len(g.stalled) > 0:
		refuse = ErrStorage
	}
	if refuse != nil {
		g.refuse(proposals, refuse)
		return
	}
	entries := make([]*raftpb.Entry, 0, len(proposals))
	next := g.lastIndex() + 1
	for _, p := range proposals {
		if !p.Note && !g.replica.Prepare(p, g.term) {
			continue
		}
		index := next + uint64(len(entries))
		g.replica.Proposed(p, index)
		if p.Note {
			entries = append(entries, &raftpb.Entry{Data: p.Batch})
			continue
		}
		entries = append(entries, &raftpb.Entry{Data: withoutBatch})
		g.batches.add(run{[]log.Entry{{Index: index, Term: g.term, Kind: log.Batch, Data: p.Batch}}, p.In, true})
	}
	if len(entries) == 0 {
		return
	}
	g.host.stats.Proposals.Add(len(entries))
	err := g.rn.Step(&raftpb.Message{Type: raftpb.MsgProp.Enum(), From: new(g.self), Entries: entries})
	if err != nil {
		panic(fmt.Sprintf("BUG: raft group %v dropped proposals of its leader: %v", g.id, err))
	}
}

func (g *Group) refuse(proposals []*Proposal, err error) {
	for _, p := range proposals {
		g.replica.Reject(p, err)
	}
}

// yield hands the leadership over while the disk is full: to the follower that has most, and if that one does not take it, to the
// next.
func (g *Group) yield() {
	if len(g.stalled) == 0 {
		g.yields = 0
		return
	}
	if now := g.rn.BasicStatus(); now.RaftState != raft.StateLeader || now.LeadTransferee != raft.None {
		return
	}
	match := map[NodeID]uint64{}
	g.rn.WithProgress(func(id uint64, kind raft.ProgressType, pr tracker.Progress) {
		if id != g.self && !IsWitness(id) && kind == raft.ProgressTypePeer && pr.RecentActive && g.host.isUp(id) {
			match[id] = pr.Match
		}
	})
	if len(match) == 0 {
		return
	}
	heirs := slices.SortedFunc(maps.Keys(match), func(a, b NodeID) int {
		return cmp.Or(cmp.Compare(match[b], match[a]), cmp.Compare(a, b))
	})
	g.rn.TransferLeader(heirs[g.yields%len(heirs)])
	g.yields++
	g.drain()
}

// lastIndex is the index of the newest entry that raft has. At the end of a turn all of them are in the log, unless the
// disk is full, and then nothing is proposed.
func (g *Group) lastIndex() uint64 { return g.log.LastIndex() }

// drain does what raft asks for until it asks for nothing more.
func (g *Group) drain() {
	for g.rn.HasReady() && !g.host.dead.Load() {
		g.storage.light = true
		ready := g.rn.Ready()
		g.storage.light = g.headers != nil
		if ready.SoftState != nil {
			g.lead = ready.SoftState.Lead
		}
		var asks []*raftpb.Message
		for _, m := range ready.Messages {
			switch {
			case m.GetTo() == raft.LocalAppendThread:
				m.Responses = slices.Concat(m.Responses, asks)
				g.append(m)
			case m.GetTo() == raft.LocalApplyThread:
				g.apply(m)
			case m.GetType() == raftpb.MsgVote && !bugs.AskEarly:
				// Raft would ask for votes while its own is being written. If others elected this node and the power failed, it
				// would ask them again in the same term, and they would say yes again: two leaders, one after the other.
				asks = append(asks, m)
			default:
				g.send(m)
			}
		}
		g.announce()
	}
}

// apply takes committed entries. They carry no data: see storage.light.
func (g *Group) apply(m *raftpb.Message) {
	for _, e := range m.Entries {
		g.applied = e.GetIndex()
		if isNote(e) {
			g.replica.Noted(e.GetData())
		}
		if err := g.applyChange(e); err != nil {
			panic(fmt.Sprintf("BUG: raft group %v holds an unreadable membership change at %d: %v", g.id, e.GetIndex(), err))
		}
	}
	g.save()
	g.keep()
	g.remember()
	if len(m.Entries) > 0 {
		g.replica.Committed(g.applied)
	}
	for _, r := range m.Responses {
		g.step(r)
	}
}

// announce tells the replica who leads. A leader is announced to itself once its own term has a committed entry.
func (g *Group) announce() {
	lead, term := g.lead, g.term
	if len(g.stalled) > 0 && lead != g.announced.lead { // the term that it leads in is not written yet
		lead = raft.None
	}
	if lead == g.self {
		if t, err := g.log.Term(g.applied); !bugs.AnnounceEarly && (err != nil || t != term) {
			if g.announced.lead != g.self {
				return
			}
			lead = 0
		}
	}
	if lead != g.announced.lead || lead != 0 && term != g.announced.term {
		g.announced.lead, g.announced.term = lead, term
		g.host.stats.LeaderChanges.Add(1)
		g.replica.LeaderChanged(lead, term)
		if lead == g.self {
			g.beginLeading()
		}
	}
}

// retryStalled tries again what the full disk refused.
func (g *Group) retryStalled() {
	waiting := g.stalled
	g.stalled = nil
	for _, m := range waiting {
		g.append(m)
	}
	g.announce()
	if len(g.stalled) == 0 {
		g.full = false
		g.host.cfg.Logger.Info("disk takes data again", "partition", g.id.String())
	}
}
