package replication

import (
	"maps"
	"math/rand/v2"
	"slices"

	"go.etcd.io/raft/v3"
	"go.etcd.io/raft/v3/raftpb"
	"go.etcd.io/raft/v3/tracker"

	"github.com/weir/weir/internal/bugs"
)

// Groups that have nothing to do sleep: no time passes for them, and so they cost nothing. What tells that a leader lives is then
// the connection to its node. A leader whose followers have all that it has tells them to sleep, and sleeps itself. Anything that
// arrives wakes a group, and so does the coming and going of a node that has a replica of it.

const (
	// idleTicks is how long there must be nothing to do before a group sleeps.
	idleTicks = 3
	// electionTicks is how long a follower waits at least for a leader whose node is there, and how long raft tries to hand a leadership
	// over. That a node is gone is noticed in less, so that who is first in line is not hindered by others whose patience ends.
	electionTicks = 15
	// lagTicks is by how much a follower may be behind before it is out of sync.
	lagTicks = 100
	// graceTicks is after how long a follower that a leader has not yet heard of is out of sync.
	graceTicks = 10
	// campaignEach is the time between attempts of the replica that is first in line to become the leader, when there is none.
	// Those behind it in the line wait as much longer. Such a round has as many turns as there are voters.
	campaignEach = 2
	// electionMost is how long an election may take before another attempt is made, as when two were candidates and shared the votes.
	electionMost = 5
)

// goodNight is the context of the heartbeat that tells a follower to sleep.
var goodNight = []byte("sleep")

func saysGoodNight(m *raftpb.Message) bool { return string(m.GetContext()) == string(goodNight) }

// liveness is what a group knows of its replicas' being there. It is the turn's own.
type liveness struct {
	order      []NodeID   // voters, the preferred leader first; see enlist
	leaderless int        // ticks without a leader
	candidate  int        // of these, as a candidate
	idle       int        // ticks without anything to do
	followers  []follower // of a leader
	term       uint64     // the last one in which this node led
	ticks      int        // as leader
	inSync     []int32    // brokers, as it was last told
	wantsSleep bool       // the leader said good night
	heir       NodeID     // who the leadership is to be handed over to, once it keeps up; 0: nobody
	heirUntil  int        // the last tick in which that may begin

	// Of a leader of a group that has a witness.
	asks  bool   // the witness, since a replica is out of sync
	calls bool   // it, since a replica was not heard of: without one of them the leadership ends
	shown uint64 // the last entry that it may have
}

// follower is a voter, as its leader sees it.
type follower struct {
	id     NodeID
	caught int    // tick up to which it has all that was committed
	next   uint64 // what was committed in a later tick, and it did not have yet
	since  int    // that tick
	match  uint64 // the last entry that it was known to have at the last tick
}

// NodeUp tells that a node is there. All are gone at first.
func (h *Host) NodeUp(broker int32) { h.nodeChanged(broker, true) }

// NodeDown tells that a node is gone: who followed a leader there chooses another one at once.
func (h *Host) NodeDown(broker int32) { h.nodeChanged(broker, false) }

func (h *Host) nodeChanged(broker int32, up bool) {
	h.nodes.Lock()
	now := make(map[int32]bool, len(h.nodes.up)+1)
	maps.Copy(now, h.nodes.up)
	now[broker] = up
	h.nodes.up = now
	h.nodes.Unlock()
	h.each(func(g *Group) {
		g.put(func(in *inbox) {
			if up {
				in.up = append(in.up, broker)
			} else {
				in.down = append(in.down, broker)
			}
		})
	})
}

// present tells which nodes are there, and which were, this one aside.
func (h *Host) present() map[int32]bool {
	h.nodes.Lock()
	defer h.nodes.Unlock()
	return h.nodes.up
}

func (h *Host) isUp(id NodeID) bool {
	return id&^witnessBit == h.cfg.Self || h.present()[BrokerOf(id)]
}

// isGone tells whether a node was there, and is not.
func (h *Host) isGone(id NodeID) bool {
	up, known := h.present()[BrokerOf(id)]
	return known && !up
}

// Awake is the number of groups for which time passes.
func (h *Host) Awake() int {
	h.nodes.Lock()
	defer h.nodes.Unlock()
	return len(h.nodes.awake)
}

// Tick lets a tenth of an election timeout pass for the groups that are awake. It tells whether there are any: if not, the next
// call may wait until Stirred says so.
func (h *Host) Tick() bool {
	h.nodes.Lock()
	groups := make([]*Group, 0, len(h.nodes.awake))
	for g := range h.nodes.awake {
		groups = append(groups, g)
	}
	h.nodes.Unlock()
	if h.cfg.ByHand {
		slices.SortFunc(groups, func(a, b *Group) int { return a.id.compare(b.id) })
	}
	h.catchUp.Load().refill()
	for _, g := range groups {
		g.tick()
	}
	return len(groups) > 0
}

// Stirred has something when a group wakes up while all slept.
func (h *Host) Stirred() <-chan struct{} { return h.nodes.stirred }

// wake notes that time passes for a group. The group's mu is held.
func (h *Host) wake(g *Group) {
	h.nodes.Lock()
	defer h.nodes.Unlock()
	if h.nodes.awake[g] = struct{}{}; len(h.nodes.awake) == 1 {
		select {
		case h.nodes.stirred <- struct{}{}:
		default:
		}
	}
}

func (h *Host) lull(g *Group) {
	h.nodes.Lock()
	defer h.nodes.Unlock()
	delete(h.nodes.awake, g)
}

// tick lets time pass. If there was no turn since the last tick, this node is too slow, and no more time passes: else a leader would end its
// leadership since its followers said nothing in a time in which it did not listen, and what comes of that makes the node slower still.
func (g *Group) tick() { g.put(func(in *inbox) { in.ticks = 1 }) }

// pass is a tick in the turn.
func (g *Group) pass() {
	if g.headers != nil && !bugs.WitnessLeads {
		g.passWitness()
		return
	}
	live := &g.live
	live.idle++
	now := g.rn.BasicStatus()
	if now.RaftState == raft.StateLeader {
		live.leaderless = 0
		if g.tickLeader(&now) {
			g.goodNight(now.GetTerm(), g.log.LastIndex()) // in place of the heartbeats of this tick, whose answers would wake it
			return
		}
	}
	if len(g.stalled) > 0 && now.RaftState != raft.StateLeader { // it could not write that it is elected
		return
	}
	if g.forgotten.is {
		if g.awaitLeader(now.Lead); !g.mayAsk() && len(g.members.now.State.GetVoters()) == 1 { // raft would not have to ask anybody
			return
		}
	}
	g.rn.Tick()
	switch {
	case now.RaftState == raft.StateLeader:
	case now.Lead == raft.None:
		live.leaderless++
		if live.candidate++; now.RaftState != raft.StateCandidate {
			live.candidate = 0
		}
		if live.candidate == 0 || live.candidate > electionMost { // or it would give up an election that is under way
			g.tickLeaderless(now.GetTerm())
		}
	default:
		live.leaderless = 0
	}
}

// tickLeaderless campaigns when it is this replica's turn to: once in each round. In the first tick somebody else may just be being
// elected.
func (g *Group) tickLeaderless(term uint64) {
	turn, ok := g.place()
	if !ok {
		return
	}
	count := len(g.live.order)
	if g.live.leaderless-2 >= campaignEach*count { // a round went by in vain
		turn = laterTurn(term, g.self, count)
	}
	if (g.live.leaderless-2)%(campaignEach*count) == campaignEach*turn {
		g.campaign()
	}
}

// laterTurn draws a turn. Replicas whose rounds did not begin at the same time may come at once by their places in the line, share the
// votes, and come at once in all later rounds too. Votes that were shared make a new term, and so other turns.
func laterTurn(term uint64, self NodeID, count int) int {
	return rand.New(rand.NewPCG(term, self)).IntN(count)
}

// place gives this replica's place in the line of those that may become leader. False: it is no voter, or too few are there.
func (g *Group) place() (place int, ok bool) {
	for _, id := range g.live.order {
		if id == g.self {
			return place, g.majority()
		}
		if g.host.isUp(id) {
			place++
		}
	}
	return 0, false
}

// majority tells whether enough voters are there to agree on anything; while the members are joint, of the old and of the new ones.
func (g *Group) majority() bool {
	enough := func(voters []NodeID) bool {
		there := 0
		for _, id := range voters {
			if g.host.isUp(id) {
				there++
			}
		}
		return len(voters) == 0 || there > len(voters)/2
	}
	state := g.members.now.State
	return enough(state.GetVoters()) && enough(state.GetVotersOutgoing())
}

// nodesChanged takes the coming and going of nodes.
func (g *Group) nodesChanged(up, down []int32) {
	for _, broker := range down {
		if lead := g.rn.BasicStatus().Lead; lead != raft.None && lead != g.self && BrokerOf(lead) == broker {
			g.forgetLeader()
			g.live.leaderless = 0
			if place, ok := g.place(); ok && place == 0 {
				g.live.leaderless = 1 // this tick's attempt is made
				g.campaign()
			}
		}
	}
	if len(down) > 0 {
		g.giveUp()
	}
	if len(up)+len(down) > 0 {
		g.live.idle = 0
		if now := g.rn.BasicStatus(); now.RaftState == raft.StateLeader {
			if to := now.LeadTransferee; to != raft.None && slices.Contains(down, BrokerOf(to)) {
				g.rn.TransferLeader(g.self) // it calls the handover off; raft would refuse proposals until its time is over
			}
			g.follow(now.GetTerm())
			g.left(down)
			g.judge()
		}
	}
}

// giveUp ends a leadership without a majority, so that nobody waits for it. Raft would end it when it has not heard of the others for
// some time; since it is known that they are gone, that time passes at once.
func (g *Group) giveUp() {
	if g.majority() {
		return
	}
	for range 2 * electionTicks {
		if g.rn.BasicStatus().RaftState != raft.StateLeader {
			return
		}
		g.rn.Tick()
	}
}

// left notes that followers are out of sync since their nodes were gone, even if they are back.
func (g *Group) left(down []int32) {
	for _, id := range g.live.order {
		if slices.Contains(down, BrokerOf(id)) {
			g.live.follower(id, g.applied).leave(&g.live)
		}
	}
}

// follow begins to look at who follows this leader, in a new term.
func (g *Group) follow(term uint64) {
	live := &g.live
	if live.term == term {
		return
	}
	live.term, live.ticks, live.followers, live.inSync, live.heir = term, 0, live.followers[:0], nil, 0
	live.asks, live.calls, live.shown = false, false, 0
	for _, id := range live.order {
		if f := live.follower(id, g.applied); !g.host.isUp(id) {
			f.leave(live)
		}
	}
	g.judge()
}

// beginLeading tells who is in sync.
func (g *Group) beginLeading() {
	g.follow(g.announced.term)
	g.live.inSync = nil
	g.judge()
}

// leave makes a follower be out of sync until it has all that is committed.
func (f *follower) leave(l *liveness) {
	f.caught = l.ticks - lagTicks - 1
	f.since = f.caught
}

// follower gives what is known of a voter. A new one is taken to be in sync, until it shows that it is not.
func (l *liveness) follower(id NodeID, committed uint64) *follower {
	for i := range l.followers {
		if l.followers[i].id == id {
			return &l.followers[i]
		}
	}
	l.followers = append(l.followers, follower{id: id, caught: l.ticks - lagTicks + graceTicks, next: committed, since: l.ticks})
	return &l.followers[len(l.followers)-1]
}

// tickLeader sees which followers keep up. True: all that are there do, and there is nothing more to do.
func (g *Group) tickLeader(now *raft.BasicStatus) (quiet bool) {
	live := &g.live
	g.follow(now.GetTerm())
	live.ticks++
	last, commit := g.log.LastIndex(), now.GetCommit()
	quiet = g.majority() && g.announced.lead == g.self && live.idle > idleTicks && commit == last && g.applied == last && now.LeadTransferee == raft.None && live.heir == 0 && len(g.stalled) == 0 && !g.members.due
	live.calls = false
	g.rn.WithProgress(func(id uint64, kind raft.ProgressType, pr tracker.Progress) {
		if id == g.self || IsWitness(id) && !live.asks {
			return
		}
		if g.host.isUp(id) && (pr.Match != last || !pr.RecentActive || pr.State != tracker.StateReplicate) {
			quiet = false
		}
		f := live.follower(id, commit)
		if kind != raft.ProgressTypePeer {
			return
		}
		f.match, live.calls = pr.Match, live.calls || !pr.RecentActive
		if pr.Match >= f.next && pr.RecentActive {
			f.caught, f.next, f.since = f.since, commit, live.ticks
		}
		if g.host.isUp(id) && live.ticks-f.caught > lagTicks { // it has all, and the next tick tells that it is in sync
			quiet = false
		}
	})
	g.judge()
	return quiet
}

// judge tells who is in sync, when that changed, and sees that the witness is asked in place of who is not.
func (g *Group) judge() {
	live := &g.live
	inSync, asks := []int32{}, false
	for _, id := range live.order {
		if IsWitness(id) {
			continue
		}
		f, broker := live.follower(id, g.applied), BrokerOf(id)
		there := id == g.self || live.ticks-f.caught <= lagTicks && g.host.isUp(id)
		asks = asks || !there
		if target := g.members.target; target != nil && !slices.Contains(target, id) {
			continue // it is on its way out
		}
		if there && (id == g.self || f.match >= live.shown || slices.Contains(live.inSync, broker)) {
			inSync = append(inSync, broker)
		}
	}
	if g.announced.lead == g.self && g.announced.term == live.term && !slices.Equal(inSync, live.inSync) {
		live.inSync = inSync
		g.replica.InSyncChanged(inSync)
	}
	before := live.asks
	if live.asks = asks; asks && !before {
		g.ask()
	}
}

// goodNight tells the followers to sleep, and sleeps.
func (g *Group) goodNight(term, last uint64) {
	g.rn.WithProgress(func(id uint64, _ raft.ProgressType, pr tracker.Progress) {
		if id != g.self && g.host.isUp(id) && (g.live.asks || !IsWitness(id)) {
			g.post(&raftpb.Message{
				Type: raftpb.MsgHeartbeat.Enum(), From: new(g.self), To: new(id), Term: new(term), Commit: new(min(pr.Match, last)), Context: goodNight,
			})
		}
	})
	g.sleep()
}

// heardGoodNight sleeps if this follower has all that its leader has.
func (g *Group) heardGoodNight() {
	g.live.wantsSleep = false
	now := g.rn.BasicStatus()
	if last := g.log.LastIndex(); now.RaftState == raft.StateFollower && now.Lead != raft.None && now.GetCommit() == last && g.applied == last {
		g.sleep()
	}
}

// HeldBy gives the index up to which so many replicas that vote, the leader among them, have the log on disk. It is for the turn of a leader.
func (g *Group) HeldBy(count int) uint64 {
	var held []uint64
	g.rn.WithProgress(func(id uint64, kind raft.ProgressType, pr tracker.Progress) {
		if kind == raft.ProgressTypePeer && !IsWitness(id) {
			held = append(held, pr.Match)
		}
	})
	if len(held) < count {
		return 0
	}
	slices.Sort(held)
	return held[len(held)-count]
}

// HeldHere gives the index up to which the leader has the log on disk, or in the operating system if it is relaxed. It is for the turn
// of a leader.
func (g *Group) HeldHere() (held uint64) {
	g.rn.WithProgress(func(id uint64, _ raft.ProgressType, pr tracker.Progress) {
		if id == g.host.cfg.Self {
			held = pr.Match
		}
	})
	return held
}

// sleep ends the passing of time until something comes.
func (g *Group) sleep() {
	g.mu.Lock()
	defer g.mu.Unlock()
	if !g.inbox.empty() || g.inbox.closed {
		return
	}
	g.asleep = true
	g.live.idle = 0
	g.host.lull(g)
}

// Transfer hands the leadership to another voter, if this node leads and that one keeps up, or does soon.
func (g *Group) Transfer(to NodeID) { g.put(func(in *inbox) { in.transfer = to }) }

// Resign hands the leadership to the first voter that keeps up, if this node leads and there is one.
func (g *Group) Resign() {
	g.put(func(in *inbox) {
		in.calls = append(in.calls, func() {
			for _, id := range g.live.order {
				if g.announced.lead == g.self && g.keepsUp(id) {
					g.rn.TransferLeader(id)
					return
				}
			}
		})
	})
}

// handOver begins to hand the leadership over as it was asked for. Until the heir has all there is nothing can be written, so it has
// to keep up.
func (g *Group) handOver(to NodeID) {
	live := &g.live
	if to != raft.None {
		live.heir, live.heirUntil = to, live.ticks+electionTicks
	}
	switch {
	case live.heir == raft.None:
	case g.announced.lead != g.self || live.ticks > live.heirUntil:
		live.heir = raft.None
	case g.keepsUp(live.heir):
		g.rn.TransferLeader(live.heir)
		live.heir = raft.None
	}
}

// keepsUp tells, on the leader, whether another replica that votes lately had all that was committed, or has it now.
func (g *Group) keepsUp(id NodeID) (yes bool) {
	last := g.log.LastIndex()
	g.rn.WithProgress(func(one uint64, kind raft.ProgressType, pr tracker.Progress) {
		if one != id || one == g.self || IsWitness(one) || kind != raft.ProgressTypePeer {
			return
		}
		lately := g.live.ticks-g.live.follower(id, g.applied).caught < electionTicks
		yes = g.host.isUp(id) && pr.RecentActive && pr.State == tracker.StateReplicate && (lately || pr.Match >= last)
	})
	return yes
}
