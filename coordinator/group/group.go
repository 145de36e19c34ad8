package group

import (
	"slices"
	"time"

	"github.com/twmb/franz-go/pkg/kmsg"
)

// State is where a group is in its life.
type State uint8

// The states. A group that is not known counts as Dead.
const (
	Empty State = iota
	PreparingRebalance
	CompletingRebalance
	Stable
)

var stateNames = [...]string{"Empty", "PreparingRebalance", "CompletingRebalance", "Stable"}

func (s State) String() string { return stateNames[s] }

// group is one consumer group.
type group struct {
	id           string
	state        State
	since        time.Time // of the state, for the expiry of offsets
	protocolType string
	protocol     string // chosen for the generation
	generation   int32
	leader       string
	members      map[string]*member
	order        []string          // of joining; ids of members
	static       map[string]string // instance id → member id
	pending      map[string]time.Time
	offsets      map[topicPartition]offset
	recorded     bool // its metadata is in the log

	// Of a rebalance.
	rebalanceAt time.Time     // when it goes on even if members are missing
	more        time.Duration // the first rebalance: how much longer it may wait for newcomers
	newcomers   bool          // some came since the wait began
	syncBy      time.Time     // when members that did not sync are dropped
}

// member is a consumer in a group.
type member struct {
	id, clientID, clientHost string
	instance                 *string
	session, rebalance       time.Duration
	protocols                []kmsg.JoinGroupRequestProtocol
	assignment               []byte
	deadline                 time.Time // of its session

	joinID  uint64 // who waits for the join's answer; 0: nobody
	joinReq *kmsg.JoinGroupRequest
	syncID  uint64
	syncReq *kmsg.SyncGroupRequest
	synced  bool
	fresh   bool // it has never been in a generation
}

// waits tells whether the member is known to be there because it waits for an answer.
func (m *member) waits() bool { return m.joinID != 0 || m.syncID != 0 }

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
		offsets: map[topicPartition]offset{},
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
	if g.leader == m.id {
		g.leader = ""
		if len(g.order) > 0 {
			g.leader = g.order[0]
		}
	}
}

// accepts tells whether a member with these protocols fits the others: one of its protocols is spoken by all.
func (g *group) accepts(protocolType string, protocols []kmsg.JoinGroupRequestProtocol) bool {
	if protocolType == "" || len(protocols) == 0 {
		return false
	}
	if len(g.members) == 0 {
		return true
	}
	if g.protocolType != protocolType {
		return false
	}
	return slices.ContainsFunc(protocols, func(p kmsg.JoinGroupRequestProtocol) bool { return g.spokenByAll(p.Name) })
}

func (g *group) spokenByAll(protocol string) bool {
	for _, m := range g.members {
		if !slices.ContainsFunc(m.protocols, func(p kmsg.JoinGroupRequestProtocol) bool { return p.Name == protocol }) {
			return false
		}
	}
	return true
}

// vote chooses the protocol that most members like best among those that all speak.
func (g *group) vote() string {
	votes := map[string]int{}
	best := ""
	for _, m := range g.each() {
		for _, p := range m.protocols {
			if g.spokenByAll(p.Name) {
				votes[p.Name]++
				break
			}
		}
	}
	for _, p := range g.members[g.leader].protocols { // in a fixed order, so that ties are always broken alike
		if votes[p.Name] > 0 && (best == "" || votes[p.Name] > votes[best]) {
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
