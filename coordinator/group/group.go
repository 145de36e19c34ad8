package group

import (
	"slices"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// State is where a group is in its life.
type State uint8

// The states. A group that is not known counts as Dead.
const (
	// Empty has no members, perhaps offsets. Entered from PreparingRebalance, when nobody is left. Joins are taken in, and
	// lead to PreparingRebalance; commits are accepted without a generation; all else gets UNKNOWN_MEMBER_ID. A group that
	// also has no offsets is removed.
	Empty State = iota
	// PreparingRebalance waits for the members to join again. Entered from each other state. Joins wait; heartbeats and
	// syncs get REBALANCE_IN_PROGRESS; members of the last generation may still commit. Left when all have joined or time
	// is over: for CompletingRebalance, or Empty.
	PreparingRebalance
	// CompletingRebalance has a new generation and waits for the leader's assignment. Entered from PreparingRebalance.
	// Syncs wait; heartbeats are good; commits get REBALANCE_IN_PROGRESS. Left for Stable when the leader syncs, for
	// PreparingRebalance when a member comes, goes, changes, or does not sync in time.
	CompletingRebalance
	// Stable has an assignment, which syncs are given at once. Entered from CompletingRebalance. Heartbeats and commits of
	// the generation are good. Left for PreparingRebalance when a member comes, goes or changes, or the leader asks.
	Stable
)

var stateNames = [...]string{"Empty", "PreparingRebalance", "CompletingRebalance", "Stable"}

func (s State) String() string { return stateNames[s] }

// group is one consumer group.
type group struct {
	id           string
	state        State
	since        time.Time // of the state, for the expiry of offsets; zero: not known
	protocolType string
	protocol     string // chosen for the generation
	generation   int32
	leader       string
	members      map[string]*member
	order        []string             // of joining; ids of members
	static       map[string]string    // instance id → member id
	pending      map[string]time.Time // ids that were given out and not used yet, and until when they may be
	joining      int                  // members that wait for the end of a rebalance
	speakers     map[string]int       // protocol → how many members speak it
	subscribed   subscriptions        // of the generation
	offsets      map[topicPartition]offset
	recorded     []byte // the newest record of the group; nil: there is none

	// Of a rebalance.
	rebalanceAt time.Time     // when it goes on even if members are missing
	first       bool          // it began with no member: it waits for newcomers even if all are here
	more        time.Duration // how much longer a first rebalance may wait for newcomers
	newcomers   bool          // some came since the wait began
	syncBy      time.Time     // when members that did not sync are dropped; zero: all did

	alarm alarm
}

// member is a consumer in a group.
type member struct {
	id, clientID, clientHost string
	instance                 *string
	session, rebalance       time.Duration
	protocols                []kmsg.JoinGroupRequestProtocol // each name once
	assignment               []byte
	deadline                 time.Time // of its session

	joinID  uint64 // who waits for the join's answer; 0: nobody
	joinReq *kmsg.JoinGroupRequest
	syncID  uint64 // who waits for the sync's answer; 0: nobody
	syncReq *kmsg.SyncGroupRequest
	synced  bool // in this generation
	fresh   bool // it has never been in a generation
}

// excused tells whether a member need not send heartbeats because it waits for an answer. One that has never been in a
// generation may wait only so long: its client may be gone, and would come again as another.
func (m *member) excused() bool { return !m.fresh && (m.joinID != 0 || m.syncID != 0) }

func (m *member) metadata(protocol string) []byte {
	for _, p := range m.protocols {
		if p.Name == protocol {
			return p.Metadata
		}
	}
	return nil
}

func (m *member) sameProtocols(other []kmsg.JoinGroupRequestProtocol) bool {
	return slices.EqualFunc(m.protocols, other, func(a, b kmsg.JoinGroupRequestProtocol) bool {
		return a.Name == b.Name && string(a.Metadata) == string(b.Metadata)
	})
}

func newGroup(id string) *group {
	return &group{
		id: id, members: map[string]*member{}, static: map[string]string{}, pending: map[string]time.Time{},
		speakers: map[string]int{}, offsets: map[topicPartition]offset{}, alarm: alarm{index: -1},
	}
}

func (g *group) become(s State, now time.Time) { g.state, g.since = s, now }

// each gives the members in the order in which they joined.
func (g *group) each() []*member {
	out := make([]*member, 0, len(g.order))
	for _, id := range g.order {
		out = append(out, g.members[id])
	}
	return out
}

func (g *group) add(m *member) {
	g.members[m.id] = m
	g.order = append(g.order, m.id)
	if m.instance != nil {
		g.static[*m.instance] = m.id
	}
	g.count(m, 1)
	delete(g.pending, m.id)
	if g.leader == "" {
		g.leader = m.id
	}
}

func (g *group) remove(m *member) {
	delete(g.members, m.id)
	g.order = slices.DeleteFunc(g.order, func(id string) bool { return id == m.id })
	if m.instance != nil && g.static[*m.instance] == m.id {
		delete(g.static, *m.instance)
	}
	g.count(m, -1)
	if m.joinID != 0 {
		g.joining--
	}
	if g.leader == m.id {
		g.leader = ""
		if len(g.order) > 0 {
			g.leader = g.order[0]
		}
	}
}

// rename gives a static member the id of the client that took its place.
func (g *group) rename(m *member, id string) {
	g.order[slices.Index(g.order, m.id)] = id
	delete(g.members, m.id)
	g.members[id] = m
	g.static[*m.instance] = id
	if g.leader == m.id {
		g.leader = id
	}
	m.id = id
}

// update takes over what a member says of itself when it joins again.
func (g *group) update(m *member, req *kmsg.JoinGroupRequest) {
	g.count(m, -1)
	m.describe(req)
	g.count(m, 1)
}

func (m *member) describe(req *kmsg.JoinGroupRequest) {
	m.session = time.Duration(req.SessionTimeoutMillis) * time.Millisecond
	m.rebalance = m.session // before version 1 they were one
	if req.Version >= 1 {
		m.rebalance = time.Duration(req.RebalanceTimeoutMillis) * time.Millisecond
	}
	m.protocols = req.Protocols
}

// count adds a member's protocols to those that are spoken, or takes them away.
func (g *group) count(m *member, by int) {
	for _, p := range m.protocols {
		g.speakers[p.Name] += by
		if g.speakers[p.Name] == 0 {
			delete(g.speakers, p.Name)
		}
	}
}

// spokenByAll tells whether all members speak a protocol.
func (g *group) spokenByAll(protocol string) bool { return g.speakers[protocol] == len(g.members) }

// accepts tells whether a member with these protocols fits the others: one of its protocols is spoken by all.
func (g *group) accepts(protocolType string, protocols []kmsg.JoinGroupRequestProtocol) bool {
	if g.state == Empty {
		return protocolType != "" && len(protocols) > 0
	}
	return g.protocolType == protocolType &&
		slices.ContainsFunc(protocols, func(p kmsg.JoinGroupRequestProtocol) bool { return g.spokenByAll(p.Name) })
}

// vote chooses the protocol that most members like best among those that all speak. The leader's taste breaks a tie.
func (g *group) vote() string {
	votes := map[string]int{}
	for _, m := range g.members {
		for _, p := range m.protocols {
			if g.spokenByAll(p.Name) {
				votes[p.Name]++
				break
			}
		}
	}
	best := ""
	for _, p := range g.members[g.leader].protocols {
		if votes[p.Name] > votes[best] {
			best = p.Name
		}
	}
	return best
}

// rebalanceTimeout is the longest that a member wants others to wait for it.
func (g *group) rebalanceTimeout() time.Duration {
	longest := time.Duration(0)
	for _, m := range g.members {
		longest = max(longest, m.rebalance)
	}
	return longest
}

// member finds who a request comes from.
func (g *group) member(id string, instance *string) (*member, *kerr.Error) {
	if instance != nil {
		known, ok := g.static[*instance]
		if !ok {
			return nil, kerr.UnknownMemberID
		}
		if known != id {
			return nil, kerr.FencedInstanceID
		}
	}
	m := g.members[id]
	if m == nil {
		return nil, kerr.UnknownMemberID
	}
	return m, nil
}
