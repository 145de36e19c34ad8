package group

import (
	"math"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/twmb/franz-go/pkg/kmsg"
)

func TestB091JoinNeedsAMemberID(t *testing.T) {
	w := newWorld(t)
	for version := int16(0); version <= 9; version++ {
		c := w.consumer("g")
		c.version = version
		got := w.send(c.joinRequest())
		if version < 4 {
			expect(t, "waits", got.answered(), false)
			continue
		}
		resp := answer[*kmsg.JoinGroupResponse](got)
		expect(t, "error", resp.ErrorCode, 79)
		expect(t, "id begins with the client's", strings.HasPrefix(resp.MemberID, "client-"), true)
		expect(t, "generation", resp.Generation, -1)
		c.id = resp.MemberID
		expect(t, "waits", w.send(c.joinRequest()).answered(), false)
	}
	w.pass(3 * time.Second)
	w.pass(3 * time.Second)
	expect(t, "members", len(w.describe("g").Members), 10)
}

func TestB091MemberIDIsGoodForASession(t *testing.T) {
	w := newWorld(t)
	c := w.consumer("g")
	c.id = answer[*kmsg.JoinGroupResponse](w.send(c.joinRequest())).MemberID
	w.pass(c.session)
	expect(t, "too late", joinError(w.send(c.joinRequest())), 25)

	c.id = ""
	c.id = answer[*kmsg.JoinGroupResponse](w.send(c.joinRequest())).MemberID
	w.start()
	expect(t, "state, recorded", w.state("g"), "Empty")
	expect(t, "after a restart", joinError(w.send(c.joinRequest())), 25)
}

// A generation does not begin while an id that was given out may still be used.
func TestB091PendingMemberIsWaitedFor(t *testing.T) {
	w := newWorld(t)
	a := w.consumer("g")
	w.stable(a)
	late := w.consumer("g")
	late.id = answer[*kmsg.JoinGroupResponse](w.send(late.joinRequest())).MemberID
	again := a.join()
	expect(t, "waits", again.answered(), false)
	w.pass(late.session)
	expect(t, "goes on without it", a.joined(again).Generation, 2)
}

func TestB092InitialJoinWaits(t *testing.T) {
	for name, test := range map[string]struct {
		arrivals []time.Duration // of members
		timeout  time.Duration   // of the rebalance
		done     time.Duration
	}{
		"alone":                         {arrivals: []time.Duration{0}, timeout: time.Minute, done: 3 * time.Second},
		"together":                      {arrivals: []time.Duration{0, 0, 0}, timeout: time.Minute, done: 6 * time.Second},
		"one after another":             {arrivals: []time.Duration{0, 2 * time.Second, 5 * time.Second}, timeout: time.Minute, done: 9 * time.Second},
		"but no longer than they allow": {arrivals: []time.Duration{0, 2 * time.Second, 5 * time.Second}, timeout: 7 * time.Second, done: 7 * time.Second},
		"the delay is the least":        {arrivals: []time.Duration{0}, timeout: time.Second, done: 3 * time.Second},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			var members []*consumer
			var joins []call
			passed := time.Duration(0)
			for _, at := range test.arrivals {
				w.pass(at - passed)
				passed = at
				c := w.consumer("g")
				c.rebalance = test.timeout
				members, joins = append(members, c), append(joins, c.join())
			}
			w.pass(test.done - passed - time.Millisecond)
			expect(t, "waits", slices.ContainsFunc(joins, call.answered), false)
			w.pass(time.Millisecond)
			for i, c := range members {
				expect(t, "generation", c.joined(joins[i]).Generation, 1)
			}
		})
	}
}

func TestB092NoInitialDelay(t *testing.T) {
	w := newWorld(t, func(c *Config) { c.InitialRebalanceDelay = 0 })
	a := w.consumer("g")
	got := a.join()
	w.pass(0)
	expect(t, "generation", a.joined(got).Generation, 1)
}

func TestB093LeaderSeesAllMembers(t *testing.T) {
	w := newWorld(t)
	a, b := w.consumer("g"), w.static("g", "b")
	b.protocols = []kmsg.JoinGroupRequestProtocol{protocol("range", []byte("b's"))}
	first, second := a.join(), b.join()
	w.pass(6 * time.Second)
	toA, toB := a.joined(first), b.joined(second)
	expect(t, "leader", toA.LeaderID, a.id)
	expect(t, "leader", toB.LeaderID, a.id)
	expect(t, "a follower's list", len(toB.Members), 0)
	expect(t, "protocol", *toB.Protocol, "range")
	expect(t, "protocol type", *toB.ProtocolType, "consumer")
	one, two := kmsg.NewJoinGroupResponseMember(), kmsg.NewJoinGroupResponseMember()
	one.MemberID, one.ProtocolMetadata = a.id, subscription("orders")
	two.MemberID, two.InstanceID, two.ProtocolMetadata = b.id, b.instance, []byte("b's")
	if d := cmp.Diff([]kmsg.JoinGroupResponseMember{one, two}, toA.Members, cmp.AllowUnexported(kmsg.Tags{})); d != "" {
		t.Fatalf("the leader's list (-want +got):\n%s", d)
	}

	follower := b.sync(nil)
	expect(t, "the follower waits", follower.answered(), false)
	a.expectSync(a.sync(map[*consumer]string{a: "\x00\xff", b: "b"}), 0, "\x00\xff")
	b.expectSync(follower, 0, "b")
	b.expectSync(b.sync(nil), 0, "b") // the answer was lost
}

func TestB093MembersWithoutAssignmentGetAnEmptyOne(t *testing.T) {
	w := newWorld(t)
	a, b := w.consumer("g"), w.consumer("g")
	first, second := a.join(), b.join()
	w.pass(6 * time.Second)
	a.joined(first)
	b.joined(second)
	a.expectSync(a.sync(map[*consumer]string{a: "all", {id: "nobody"}: "lost"}), 0, "all")
	b.expectSync(b.sync(nil), 0, "")
}

func TestB093ProtocolIsVotedFor(t *testing.T) {
	for name, test := range map[string]struct {
		members []string // their protocols, the best first
		want    string
	}{
		"most votes":            {[]string{"x y", "y x", "y x"}, "y"},
		"only what all speak":   {[]string{"x y", "x y", "z y"}, "y"},
		"the leader breaks tie": {[]string{"y x", "x y"}, "y"},
		"named twice, once":     {[]string{"x x y", "y x", "y x"}, "y"},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			var joins []call
			for _, m := range test.members {
				c := w.consumer("g")
				c.protocols = nil
				for _, p := range strings.Fields(m) {
					c.protocols = append(c.protocols, protocol(p, nil))
				}
				joins = append(joins, c.join())
			}
			w.pass(6 * time.Second)
			for _, j := range joins {
				expect(t, "protocol", *answer[*kmsg.JoinGroupResponse](j).Protocol, test.want)
			}
		})
	}
}

func TestB095JoinIsRefused(t *testing.T) {
	for name, test := range map[string]struct {
		change func(*kmsg.JoinGroupRequest)
		want   int16
	}{
		"empty group id":         {func(r *kmsg.JoinGroupRequest) { r.Group = "" }, 24},
		"session too short":      {func(r *kmsg.JoinGroupRequest) { r.SessionTimeoutMillis = 5999 }, 26},
		"session too long":       {func(r *kmsg.JoinGroupRequest) { r.SessionTimeoutMillis = 1800001 }, 26},
		"negative session":       {func(r *kmsg.JoinGroupRequest) { r.SessionTimeoutMillis = math.MinInt32 }, 26},
		"shortest session":       {func(r *kmsg.JoinGroupRequest) { r.SessionTimeoutMillis = 6000 }, 79},
		"longest session":        {func(r *kmsg.JoinGroupRequest) { r.SessionTimeoutMillis = 1800000 }, 79},
		"unknown member":         {func(r *kmsg.JoinGroupRequest) { r.MemberID = "x" }, 25},
		"unknown member, group":  {func(r *kmsg.JoinGroupRequest) { r.Group, r.MemberID = "other", "x" }, 25},
		"no protocol":            {func(r *kmsg.JoinGroupRequest) { r.Protocols = nil }, 23},
		"no protocol, new group": {func(r *kmsg.JoinGroupRequest) { r.Group, r.Protocols = "other", nil }, 23},
		"no type, new group":     {func(r *kmsg.JoinGroupRequest) { r.Group, r.ProtocolType = "other", "" }, 23},
		"no common protocol":     {func(r *kmsg.JoinGroupRequest) { r.Protocols[0].Name = "other" }, 23},
		"other type":             {func(r *kmsg.JoinGroupRequest) { r.ProtocolType = "connect" }, 23},
		"unknown instance":       {func(r *kmsg.JoinGroupRequest) { r.MemberID, r.InstanceID = "x", kmsg.StringPtr("i") }, 25},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			w.stable(w.consumer("g"))
			before := len(w.log)
			req := w.consumer("g").joinRequest()
			test.change(req)
			resp := answer[*kmsg.JoinGroupResponse](w.send(req))
			expect(t, "error", resp.ErrorCode, test.want)
			expect(t, "generation", resp.Generation, -1)
			expect(t, "records", len(w.log)-before, 0)
			expect(t, "the other group", w.state("other"), "Dead")
		})
	}
}

// Once all members are gone a group may speak another protocol.
func TestB095EmptyGroupChangesItsType(t *testing.T) {
	w := newWorld(t)
	a := w.consumer("g")
	w.stable(a)
	expect(t, "leave", a.leave(), 0)
	req := w.consumer("g").joinRequest()
	req.Version, req.ProtocolType = 3, "connect"
	got := w.send(req)
	w.pass(3 * time.Second)
	expect(t, "error", joinError(got), 0)
	expect(t, "type", w.describe("g").ProtocolType, "connect")
}

func TestB095GroupIsFull(t *testing.T) {
	w := newWorld(t, func(c *Config) { c.MaxSize = 2 })
	a, b := w.consumer("g"), w.consumer("g")
	first, second := a.join(), b.join()
	expect(t, "during the first rebalance", joinError(w.consumer("g").join()), 81)
	w.pass(6 * time.Second)
	a.joined(first)
	b.joined(second)
	expect(t, "while it completes", joinError(w.consumer("g").join()), 81)
	a.expectSync(a.sync(nil), 0, "")
	b.expectSync(b.sync(nil), 0, "")
	expect(t, "when stable", joinError(w.static("g", "i").join()), 81)

	expect(t, "leave", b.leave(), 0)
	c := w.consumer("g")
	third, again := c.join(), a.join()
	expect(t, "there is room again", a.joined(again).Generation, 2)
	c.joined(third)
}

// Ids that were given out take no place; who comes with one too late finds the group full, and is not waited for.
func TestB095PendingMembersTakeNoPlace(t *testing.T) {
	w := newWorld(t, func(c *Config) { c.MaxSize = 1 })
	late := w.consumer("g")
	late.id = answer[*kmsg.JoinGroupResponse](w.send(late.joinRequest())).MemberID
	a := w.consumer("g")
	got := a.join()
	resp := answer[*kmsg.JoinGroupResponse](w.send(late.joinRequest()))
	expect(t, "error", resp.ErrorCode, 81)
	expect(t, "member id", resp.MemberID, "")
	w.pass(3 * time.Second)
	expect(t, "generation", a.joined(got).Generation, 1)
	expect(t, "the id is gone", joinError(w.send(late.joinRequest())), 81)
}

// Who is turned away is not waited for.
func TestB095NobodyWaitsForWhoIsTurnedAway(t *testing.T) {
	w := newWorld(t, func(c *Config) { c.MaxSize = 2 })
	a := w.consumer("g")
	w.stable(a)
	late, b := w.consumer("g"), w.consumer("g")
	late.id = answer[*kmsg.JoinGroupResponse](w.send(late.joinRequest())).MemberID
	second, first := b.join(), a.join()
	expect(t, "waits", first.answered() || second.answered(), false)
	expect(t, "error", joinError(w.send(late.joinRequest())), 81)
	a.joined(first)
	b.joined(second)
}

// A group over a limit that was lowered begins a rebalance when it is loaded, and keeps those that come first.
func TestB095LimitWasLowered(t *testing.T) {
	w := newWorld(t)
	a, b, c := w.consumer("g"), w.consumer("g"), w.consumer("g")
	w.stable(a, b, c)
	w.cfg.MaxSize = 2
	w.start()
	expect(t, "state", w.state("g"), strings.Join([]string{"PreparingRebalance", a.id, b.id, c.id}, " "))
	expect(t, "heartbeat", c.heartbeat(), 27)
	two, three := b.join(), c.join()
	expect(t, "the last", joinError(a.join()), 81)
	b.joined(two)
	c.joined(three)
	expect(t, "state", w.state("g"), strings.Join([]string{"CompletingRebalance", b.id, c.id}, " "))
}

func TestJoinAgain(t *testing.T) {
	changed := func(c *consumer) {
		c.protocols = []kmsg.JoinGroupRequestProtocol{protocol("range", subscription("orders", "payments"))}
	}
	for name, test := range map[string]struct {
		who, state string
		change     func(*consumer)
		rebalances bool
	}{
		"leader":                     {who: "leader", state: "Stable", rebalances: true},
		"follower":                   {who: "follower", state: "Stable"},
		"follower that changed":      {who: "follower", state: "Stable", change: changed, rebalances: true},
		"leader in between":          {who: "leader", state: "CompletingRebalance"},
		"follower in between":        {who: "follower", state: "CompletingRebalance"},
		"changed leader in between":  {who: "leader", state: "CompletingRebalance", change: changed, rebalances: true},
		"changed member, in between": {who: "follower", state: "CompletingRebalance", change: changed, rebalances: true},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			a, b := w.consumer("g"), w.consumer("g")
			if test.state == "Stable" {
				w.stable(a, b)
			} else {
				first, second := a.join(), b.join()
				w.pass(6 * time.Second)
				a.joined(first)
				b.joined(second)
			}
			who, other := a, b
			if test.who == "follower" {
				who, other = b, a
			}
			if test.change != nil {
				test.change(who)
			}
			got := who.join()
			expect(t, "waits", !got.answered(), test.rebalances)
			if test.rebalances {
				expect(t, "the other's heartbeat", other.heartbeat(), 27)
				again := other.join()
				expect(t, "generation", who.joined(got).Generation, 2)
				expect(t, "generation", other.joined(again).Generation, 2)
				return
			}
			resp := who.joined(got)
			expect(t, "generation", resp.Generation, 1)
			expect(t, "leader", resp.LeaderID, a.id)
			if who == a {
				expect(t, "members", len(resp.Members), 2)
			} else {
				expect(t, "members", len(resp.Members), 0)
			}
		})
	}
}

// A client that asks twice gets the newer request served; the older one does not wait for ever.
func TestJoinReplacesAnEarlierOne(t *testing.T) {
	w := newWorld(t)
	a := w.consumer("g")
	older := a.join()
	newer := w.send(a.joinRequest())
	expect(t, "older", joinError(older), 27)
	w.pass(3 * time.Second)
	a.joined(newer)

	a.joined(a.join())
	b := w.consumer("g")
	b.join()
	expect(t, "heartbeat", a.heartbeat(), 27)
}

func TestGenerationWraps(t *testing.T) {
	w := newWorld(t)
	a := w.consumer("g")
	w.stable(a)
	w.m.groups["g"].generation, w.twin.groups["g"].generation = math.MaxInt32, math.MaxInt32
	expect(t, "generation", a.joined(a.join()).Generation, 1)
}

func TestB098RebalancesFollowEachOther(t *testing.T) {
	w := newWorld(t)
	a, b := w.consumer("g"), w.consumer("g")
	owns := func(c *consumer, what string) {
		c.protocols = []kmsg.JoinGroupRequestProtocol{protocol("cooperative-sticky", append(subscription("orders"), what...))}
	}
	owns(a, "")
	owns(b, "")
	w.stable(a)
	joins := b.join()
	expect(t, "a hears of it", a.heartbeat(), 27)
	owns(a, "0 1")
	again := a.join()
	a.joined(again)
	b.joined(joins)
	first := b.sync(nil)
	a.expectSync(a.sync(map[*consumer]string{a: "0"}), 0, "0") // gives up 1, which b may have only once a knows
	b.expectSync(first, 0, "")

	owns(a, "0")
	again = a.join()
	expect(t, "b hears of it", b.heartbeat(), 27)
	expect(t, "a's commit for what it gave up", a.commit("orders", 7), 0)
	joins = b.join()
	expect(t, "generation", a.joined(again).Generation, 3)
	b.joined(joins)
	a.expectSync(a.sync(map[*consumer]string{a: "0", b: "1"}), 0, "0")
	b.expectSync(b.sync(nil), 0, "1")
	expect(t, "heartbeat", a.heartbeat(), 0)
	expect(t, "heartbeat", b.heartbeat(), 0)
}

// Workers of Connect do not stop for a rebalance, so none is waited for.
func TestB092NoInitialDelayForConnect(t *testing.T) {
	w := newWorld(t)
	a := w.consumer("g")
	req := a.joinRequest()
	req.ProtocolType = "connect"
	a.id = answer[*kmsg.JoinGroupResponse](w.send(req)).MemberID
	req.MemberID = a.id
	got := w.send(req)
	w.pass(0)
	expect(t, "generation", answer[*kmsg.JoinGroupResponse](got).Generation, 1)
}
