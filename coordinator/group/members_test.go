package group

import (
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kmsg"
)

func TestB096StaticMemberTakesItsPlaceAgain(t *testing.T) {
	for name, test := range map[string]struct {
		version  int16
		restarts string
		leader   string // that the answer names
		members  int    // in the answer
		skip     bool
	}{
		"leader":               {version: 9, restarts: "leader", leader: "new", members: 2, skip: true},
		"leader, old version":  {version: 8, restarts: "leader", leader: "old"},
		"follower":             {version: 9, restarts: "follower", leader: "leader"},
		"follower, older":      {version: 5, restarts: "follower", leader: "leader"},
		"new metadata is kept": {version: 9, restarts: "changed follower", leader: "leader"},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			a, b := w.static("g", "a"), w.static("g", "b")
			w.stable(a, b)
			who, had := a, "part 0"
			if test.restarts != "leader" {
				who, had = b, "part 1"
			}
			if test.restarts == "changed follower" {
				b.protocols = []kmsg.JoinGroupRequestProtocol{protocol("range", subscription("payments"))}
			}
			oldID := who.id
			who.id, who.version = "", test.version
			resp := who.joined(who.join())
			expect(t, "generation", resp.Generation, 1)
			expect(t, "has a new id", who.id != oldID && strings.HasPrefix(who.id, *who.instance+"-"), true)
			expect(t, "leader", resp.LeaderID, map[string]string{"new": who.id, "old": oldID, "leader": a.id}[test.leader])
			expect(t, "members", len(resp.Members), test.members)
			expect(t, "skips", resp.SkipAssignment, test.skip)
			who.expectSync(who.sync(nil), 0, had)
			expect(t, "state", w.state("g"), strings.Join([]string{"Stable", a.id, b.id}, " "))

			w.start() // it is recorded
			expect(t, "state after a restart", w.state("g"), strings.Join([]string{"Stable", a.id, b.id}, " "))
			who.expectSync(who.sync(nil), 0, had)
		})
	}
}

func TestB096OldIDIsFenced(t *testing.T) {
	w := newWorld(t)
	a := w.static("g", "a")
	w.stable(a)
	old := *a
	a.id = ""
	a.joined(a.join())
	expect(t, "heartbeat", old.heartbeat(), 82)
	expect(t, "commit", old.commit("orders", 1), 82)
	expect(t, "join", joinError(old.join()), 82)
	old.expectSync(old.sync(nil), 82, "")
	leave := kmsg.NewPtrLeaveGroupRequest()
	leave.Version, leave.Group = 5, "g"
	m := kmsg.NewLeaveGroupRequestMember()
	m.MemberID, m.InstanceID = old.id, old.instance
	leave.Members = append(leave.Members, m)
	expect(t, "leave", ask[*kmsg.LeaveGroupResponse](w, leave).Members[0].ErrorCode, 82)
	old.instance = nil
	expect(t, "heartbeat without the instance", old.heartbeat(), 25)
	expect(t, "the new one's heartbeat", a.heartbeat(), 0)
}

func TestB096WaitingTwinIsFenced(t *testing.T) {
	w := newWorld(t)
	a, b := w.static("g", "a"), w.static("g", "a")
	first := a.join()
	second := b.join()
	resp := answer[*kmsg.JoinGroupResponse](first)
	expect(t, "join", resp.ErrorCode, 82)
	w.pass(6 * time.Second)
	b.joined(second)

	waits := w.static("g", "c")
	third := waits.join()
	again := b.join()
	waits.joined(third)
	b.joined(again)
	got := waits.sync(nil)
	twin := w.static("g", "c")
	fourth := twin.join() // the leader knows of another id: all must join again
	waits.expectSync(got, 82, "")
	expect(t, "heartbeat", b.heartbeat(), 27)
	again = b.join()
	expect(t, "generation", twin.joined(fourth).Generation, b.joined(again).Generation)
}

// Who took a waiting member's place waits on, for as long as that takes.
func TestB096WaitingTwinOutlastsItsSession(t *testing.T) {
	w := newWorld(t)
	a, b := w.consumer("g"), w.static("g", "b")
	a.session = time.Minute
	w.stable(a)
	b.join()
	twin := w.static("g", "b")
	got := twin.join()
	w.pass(2 * twin.session)
	expect(t, "waits", got.answered(), false)
	again := a.join()
	a.joined(again)
	twin.joined(got)
}

// The protocol of the next generation would be another: the members must agree on it.
func TestB096StaticMemberChangesTheProtocol(t *testing.T) {
	w := newWorld(t)
	a, b := w.static("g", "a"), w.consumer("g")
	both := []kmsg.JoinGroupRequestProtocol{protocol("range", nil), protocol("sticky", nil)}
	a.protocols, b.protocols = both, both
	w.stable(a, b)
	a.id, a.protocols = "", both[1:]
	got := a.join()
	expect(t, "waits", got.answered(), false)
	again := b.join()
	expect(t, "protocol", *a.joined(got).Protocol, "sticky")
	b.joined(again)
}

func TestB096StaticMemberIsMissedInARebalance(t *testing.T) {
	w := newWorld(t)
	a, b := w.static("g", "a"), w.consumer("g")
	a.session, b.session = 10*time.Minute, 10*time.Minute
	w.stable(a, b)
	got := b.join() // a follower that changed nothing: no rebalance
	b.joined(got)
	c := w.consumer("g")
	c.session = 10 * time.Minute
	third, again := c.join(), b.join()
	w.pass(a.rebalance)
	expect(t, "leader", b.joined(again).LeaderID, b.id)
	c.joined(third)
	expect(t, "it stays", w.state("g"), strings.Join([]string{"CompletingRebalance", a.id, b.id, c.id}, " "))
	b.expectSync(b.sync(map[*consumer]string{b: "x"}), 0, "x")
	c.expectSync(c.sync(nil), 0, "")
	w.pass(a.rebalance - time.Millisecond)
	expect(t, "it stays", len(w.describe("g").Members), 3)
	w.pass(time.Millisecond)
	expect(t, "but must sync", w.state("g"), strings.Join([]string{"PreparingRebalance", b.id, c.id}, " "))
}

// When only static members are left and none of them joins, the group waits until they do or their sessions end.
func TestB096NoStaticMemberJoins(t *testing.T) {
	w := newWorld(t)
	a, b := w.static("g", "a"), w.consumer("g")
	a.session = 10 * time.Minute
	w.stable(b, a)
	a.id, a.rebalance = "", 0
	a.joined(a.join())
	expect(t, "leave", b.leave(), 0)
	before := w.ticks
	w.pass(9 * time.Minute)
	expect(t, "state", w.state("g"), "PreparingRebalance "+a.id)
	if w.ticks-before > 1000 {
		t.Fatalf("the machine wanted %d ticks in 9 minutes", w.ticks-before)
	}
	got := a.join()
	expect(t, "generation", a.joined(got).Generation, 2)
	w.pass(11 * time.Minute)
	expect(t, "its session ended; without offsets nothing is left", w.state("g"), "Dead")
}

func TestSyncIsRefused(t *testing.T) {
	for name, test := range map[string]struct {
		change func(*kmsg.SyncGroupRequest)
		want   int16
	}{
		"empty group id":        {func(r *kmsg.SyncGroupRequest) { r.Group = "" }, 24},
		"unknown group":         {func(r *kmsg.SyncGroupRequest) { r.Group = "x" }, 25},
		"unknown member":        {func(r *kmsg.SyncGroupRequest) { r.MemberID = "x" }, 25},
		"unknown instance":      {func(r *kmsg.SyncGroupRequest) { r.InstanceID = kmsg.StringPtr("x") }, 25},
		"older generation":      {func(r *kmsg.SyncGroupRequest) { r.Generation-- }, 22},
		"newer generation":      {func(r *kmsg.SyncGroupRequest) { r.Generation++ }, 22},
		"other type":            {func(r *kmsg.SyncGroupRequest) { *r.ProtocolType = "connect" }, 23},
		"other protocol":        {func(r *kmsg.SyncGroupRequest) { *r.Protocol = "sticky" }, 23},
		"no protocol":           {func(r *kmsg.SyncGroupRequest) { r.Protocol = nil }, 23},
		"no type":               {func(r *kmsg.SyncGroupRequest) { r.ProtocolType = nil }, 23},
		"none, as once":         {func(r *kmsg.SyncGroupRequest) { r.Version, r.ProtocolType, r.Protocol = 4, nil, nil }, 0},
		"nothing is the matter": {func(*kmsg.SyncGroupRequest) {}, 0},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			c := w.consumer("g")
			w.stable(c)
			req := c.syncRequest(nil)
			test.change(req)
			expect(t, "error", ask[*kmsg.SyncGroupResponse](w, req).ErrorCode, test.want)
		})
	}
	t.Run("empty group", func(t *testing.T) {
		w := newWorld(t)
		c := w.consumer("g")
		w.stable(c)
		expect(t, "leave", c.leave(), 0)
		c.expectSync(c.sync(nil), 25, "")
	})
	t.Run("during a rebalance", func(t *testing.T) {
		w := newWorld(t)
		c, other := w.consumer("g"), w.consumer("g")
		w.stable(c)
		other.join()
		c.expectSync(c.sync(nil), 27, "")
	})
}

// An assignment that is not there yet when a rebalance begins never comes.
func TestSyncIsCutShort(t *testing.T) {
	w := newWorld(t)
	a, b := w.consumer("g"), w.consumer("g")
	first, second := a.join(), b.join()
	w.pass(6 * time.Second)
	a.joined(first)
	b.joined(second)
	older := b.sync(nil)
	newer := b.sync(nil)
	b.expectSync(older, 27, "")
	w.consumer("g").join()
	b.expectSync(newer, 27, "")
	a.expectSync(a.sync(nil), 27, "")
}

func TestMembersThatDoNotSyncAreDropped(t *testing.T) {
	for name, test := range map[string]struct {
		synced []bool // of the leader, and of two followers
		state  string
	}{
		"leader":     {[]bool{false, true, true}, "CompletingRebalance"},
		"a follower": {[]bool{true, true, false}, "Stable"},
		"nobody did": {[]bool{false, false, false}, "CompletingRebalance"},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			members := []*consumer{w.consumer("g"), w.consumer("g"), w.consumer("g")}
			joins := make([]call, 3)
			for i, c := range members {
				c.session = 5 * time.Minute
				joins[i] = c.join()
			}
			w.pass(6 * time.Second)
			syncs := make([]call, 3)
			want := []string{"PreparingRebalance"}
			for i, c := range members {
				c.joined(joins[i])
				if test.synced[i] {
					syncs[i] = c.sync(nil)
					want = append(want, c.id)
				}
			}
			w.pass(time.Minute - time.Millisecond)
			expect(t, "state", strings.Fields(w.state("g"))[0], test.state)
			w.pass(time.Millisecond)
			if len(want) == 1 {
				want[0] = "Empty"
			}
			expect(t, "state", w.state("g"), strings.Join(want, " "))
			for i, c := range members {
				switch {
				case !test.synced[i]:
					expect(t, "heartbeat", c.heartbeat(), 25)
				case test.synced[0]:
					c.expectSync(syncs[i], 0, "")
				default:
					c.expectSync(syncs[i], 27, "")
				}
			}
		})
	}
}

// A rebalance that begins before all have synced forgets who did not, and the assignment that was not to be.
func TestRebalanceBeforeTheSync(t *testing.T) {
	w := newWorld(t)
	a, b := w.consumer("g"), w.consumer("g")
	a.session, b.session = 5*time.Minute, 5*time.Minute
	w.stable(a, b)
	first, second := a.join(), b.join()
	a.joined(first)
	b.joined(second)
	w.pass(30 * time.Second)
	w.consumer("g").join()
	for _, m := range w.describe("g").Members {
		expect(t, "assignment", string(m.MemberAssignment), "")
	}
	w.pass(59 * time.Second)
	expect(t, "heartbeat", a.heartbeat(), 27)
	expect(t, "heartbeat", b.heartbeat(), 27)
}

func TestHeartbeat(t *testing.T) {
	w := newWorld(t)
	a := w.consumer("g")
	stranger := w.consumer("x")
	stranger.id = "x"
	expect(t, "unknown group", stranger.heartbeat(), 25)
	stranger.group = ""
	expect(t, "empty group id", stranger.heartbeat(), 24)
	first := a.join()
	expect(t, "before the first generation", a.heartbeat(), 27)
	w.pass(3 * time.Second)
	a.joined(first)
	expect(t, "before the assignment", a.heartbeat(), 0)
	a.sync(nil)
	expect(t, "stable", a.heartbeat(), 0)
	stranger.group = "g"
	expect(t, "unknown member", stranger.heartbeat(), 25)
	a.generation++
	expect(t, "newer generation", a.heartbeat(), 22)
	a.generation -= 2
	expect(t, "older generation", a.heartbeat(), 22)
	a.generation++
	w.consumer("g").join()
	expect(t, "in a rebalance", a.heartbeat(), 27)
	expect(t, "leave", a.leave(), 0)
	expect(t, "after leaving", a.heartbeat(), 25)
}

func TestSessionEnds(t *testing.T) {
	w := newWorld(t)
	a, b := w.consumer("g"), w.consumer("g")
	a.session = time.Hour / 2
	w.stable(a, b)
	for range 5 {
		w.pass(b.session - time.Millisecond)
		expect(t, "heartbeat", b.heartbeat(), 0)
	}
	w.pass(b.session - time.Millisecond)
	expect(t, "a commit is a sign of life, too", b.commit("orders", 1), 0)
	w.pass(b.session - time.Millisecond)
	expect(t, "state", w.describe("g").State, "Stable")
	w.pass(time.Millisecond)
	expect(t, "state", w.state("g"), "PreparingRebalance "+a.id)
	expect(t, "heartbeat", b.heartbeat(), 25)
	got := a.join()
	expect(t, "generation", a.joined(got).Generation, 2)
}

// Who waits for an answer cannot send heartbeats.
func TestSessionRestsWhileWaiting(t *testing.T) {
	w := newWorld(t)
	a, b := w.consumer("g"), w.consumer("g")
	b.session = 10 * time.Minute
	w.stable(a, b)
	got := a.join()
	w.pass(a.rebalance - time.Millisecond)
	expect(t, "waits", got.answered(), false)
	w.pass(time.Millisecond)
	expect(t, "b is dropped", len(a.joined(got).Members), 1)
	w.pass(a.session - time.Millisecond)
	expect(t, "heartbeat", a.heartbeat(), 0)
}

// A client that was never in a generation may be gone: there is no heartbeat that tells.
func TestNewMemberWaitsOnlySoLong(t *testing.T) {
	w := newWorld(t)
	a := w.consumer("g")
	a.session, a.rebalance = 30*time.Minute, 20*time.Minute
	w.stable(a)
	b := w.consumer("g")
	got := b.join()
	w.pass(newMemberWait - time.Millisecond)
	expect(t, "waits", got.answered(), false)
	w.pass(time.Millisecond)
	resp := answer[*kmsg.JoinGroupResponse](got)
	expect(t, "error", resp.ErrorCode, 25)
	expect(t, "member id", resp.MemberID, "")
	expect(t, "state", w.state("g"), "PreparingRebalance "+a.id)
}

func TestSilentMembersMissTheRebalance(t *testing.T) {
	w := newWorld(t)
	a, b, c := w.consumer("g"), w.consumer("g"), w.consumer("g")
	for _, m := range []*consumer{a, b, c} {
		m.session = 10 * time.Minute
	}
	b.rebalance = 2 * time.Minute // the longest counts
	w.stable(a, b, c)
	d := w.consumer("g")
	fourth, third := d.join(), c.join()
	w.pass(2*time.Minute - time.Millisecond)
	expect(t, "waits", third.answered(), false)
	w.pass(time.Millisecond)
	expect(t, "the leader is one that is here", c.joined(third).LeaderID, c.id)
	d.joined(fourth)
	expect(t, "state", w.state("g"), strings.Join([]string{"CompletingRebalance", c.id, d.id}, " "))
}

func TestLeave(t *testing.T) {
	member := func(id string, instance *string) kmsg.LeaveGroupRequestMember {
		m := kmsg.NewLeaveGroupRequestMember()
		m.MemberID, m.InstanceID = id, instance
		return m
	}
	name := kmsg.StringPtr
	for _, test := range []struct {
		name    string
		version int16
		leavers func(dynamic, static *consumer) []kmsg.LeaveGroupRequestMember
		want    []int16
		left    int
	}{
		{"one, as once", 2, func(d, _ *consumer) []kmsg.LeaveGroupRequestMember {
			return []kmsg.LeaveGroupRequestMember{member(d.id, nil)}
		}, nil, 1},
		{"both", 3, func(d, s *consumer) []kmsg.LeaveGroupRequestMember {
			return []kmsg.LeaveGroupRequestMember{member(d.id, nil), member(s.id, s.instance)}
		}, []int16{0, 0}, 0},
		{"an administrator removes an instance", 5, func(_, s *consumer) []kmsg.LeaveGroupRequestMember {
			return []kmsg.LeaveGroupRequestMember{member("", s.instance)}
		}, []int16{0}, 1},
		{"an instance under another's id", 4, func(d, s *consumer) []kmsg.LeaveGroupRequestMember {
			return []kmsg.LeaveGroupRequestMember{member(d.id, s.instance)}
		}, []int16{82}, 2},
		{"strangers", 4, func(_, _ *consumer) []kmsg.LeaveGroupRequestMember {
			return []kmsg.LeaveGroupRequestMember{member("x", nil), member("", name("x")), member("", nil), member("x", name("x"))}
		}, []int16{25, 25, 25, 25}, 2},
		{"a stranger and a member", 4, func(d, _ *consumer) []kmsg.LeaveGroupRequestMember {
			return []kmsg.LeaveGroupRequestMember{member("x", nil), member(d.id, nil), member(d.id, nil)}
		}, []int16{25, 0, 25}, 1},
		{"nobody", 4, func(_, _ *consumer) []kmsg.LeaveGroupRequestMember { return nil }, nil, 2},
	} {
		t.Run(test.name, func(t *testing.T) {
			w := newWorld(t)
			dynamic, static := w.consumer("g"), w.static("g", "s")
			w.stable(dynamic, static)
			req := kmsg.NewPtrLeaveGroupRequest()
			req.Version, req.Group = test.version, "g"
			leavers := test.leavers(dynamic, static)
			if test.version < 3 {
				req.MemberID = leavers[0].MemberID
			} else {
				req.Members = leavers
			}
			resp := ask[*kmsg.LeaveGroupResponse](w, req)
			expect(t, "error", resp.ErrorCode, 0)
			var got []int16
			for i, m := range resp.Members {
				expect(t, "member id", m.MemberID, leavers[i].MemberID)
				got = append(got, m.ErrorCode)
			}
			if !slices.Equal(got, test.want) {
				t.Fatalf("errors %v, want %v", got, test.want)
			}
			g := w.describe("g")
			expect(t, "members", len(g.Members), test.left)
			expect(t, "state", g.State, []string{"Empty", "PreparingRebalance", "Stable"}[test.left])
		})
	}
}

func TestLeaveIsRefused(t *testing.T) {
	w := newWorld(t)
	for version := int16(0); version <= 5; version++ {
		req := kmsg.NewPtrLeaveGroupRequest()
		req.Version, req.MemberID = version, "x"
		m := kmsg.NewLeaveGroupRequestMember()
		m.MemberID = "x"
		req.Members = append(req.Members, m)
		expect(t, "empty group id", ask[*kmsg.LeaveGroupResponse](w, req).ErrorCode, 24)
		req.Group = "g"
		resp := ask[*kmsg.LeaveGroupResponse](w, req)
		if version < 3 {
			expect(t, "unknown group", resp.ErrorCode, 25)
			continue
		}
		expect(t, "unknown group", resp.ErrorCode, 0)
		expect(t, "unknown group", resp.Members[0].ErrorCode, 25)
	}
}

// All that leave together are gone before anyone else goes on: one rebalance, not two.
func TestLeaveTogether(t *testing.T) {
	w := newWorld(t)
	a, b, c := w.consumer("g"), w.consumer("g"), w.consumer("g")
	w.stable(a, b, c)
	first, third := a.join(), c.join() // b is waited for
	third2 := w.send(c.joinRequest())
	expect(t, "older", joinError(third), 27)
	req := kmsg.NewPtrLeaveGroupRequest()
	req.Version, req.Group = 4, "g"
	for _, id := range []string{b.id, c.id} {
		m := kmsg.NewLeaveGroupRequestMember()
		m.MemberID = id
		req.Members = append(req.Members, m)
	}
	ask[*kmsg.LeaveGroupResponse](w, req)
	expect(t, "who left does not wait on", joinError(third2), 25)
	resp := a.joined(first)
	expect(t, "generation", resp.Generation, 2)
	expect(t, "members", len(resp.Members), 1)
	expect(t, "heartbeat", a.heartbeat(), 0)
}

// An id that was never used is given back; nobody was waiting for its owner.
func TestPendingMemberLeaves(t *testing.T) {
	w := newWorld(t)
	a := w.consumer("g")
	w.stable(a)
	late := w.consumer("g")
	late.id = answer[*kmsg.JoinGroupResponse](w.send(late.joinRequest())).MemberID
	expect(t, "leave", late.leave(), 0)
	expect(t, "no rebalance", w.describe("g").State, "Stable")
	expect(t, "the id is gone", joinError(w.send(late.joinRequest())), 25)

	late.id = ""
	late.id = answer[*kmsg.JoinGroupResponse](w.send(late.joinRequest())).MemberID
	got := a.join()
	expect(t, "waits", got.answered(), false)
	expect(t, "leave", late.leave(), 0)
	a.joined(got)
}
