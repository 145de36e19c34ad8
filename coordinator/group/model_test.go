package group

import (
	"encoding/binary"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/twmb/franz-go/pkg/kmsg"
	"pgregory.net/rapid"

	"github.com/weir/weir/coordinator/machine"

	"github.com/weir/weir/broker/wire"
)

// check compares what the machine keeps twice, and what must always hold.
func (w *world) check() {
	w.t.Helper()
	fail := func(g *group, format string, args ...any) {
		w.t.Helper()
		w.t.Fatalf("group %q, %s: %s", g.id, g.state, fmt.Sprintf(format, args...))
	}
	for id, g := range w.m.groups {
		joining, dynamic, static := 0, 0, 0
		speakers := map[string]int{}
		for id, m := range g.members {
			if m.id != id || !slices.Contains(g.order, id) {
				fail(g, "member %q is kept as %q; order %q", m.id, id, g.order)
			}
			if m.instance != nil {
				static++
				if g.static[*m.instance] != id {
					fail(g, "instance %q is %q and %q", *m.instance, g.static[*m.instance], id)
				}
			} else {
				dynamic++
			}
			if m.joinID != 0 {
				joining++
				if g.state != PreparingRebalance {
					fail(g, "member %q waits for a rebalance", id)
				}
			}
			if m.syncID != 0 && g.state != CompletingRebalance {
				fail(g, "member %q waits for an assignment", id)
			}
			for _, p := range m.protocols {
				speakers[p.Name]++
			}
			if _, pending := g.pending[id]; pending {
				fail(g, "member %q is pending", id)
			}
		}
		if g.id != id || len(g.order) != len(g.members) || len(g.static) != static || g.joining != joining || joining > w.cfg.MaxSize {
			fail(g, "kept as %q; order %q, %d members; %d instances, %d static members; %d of %d joining", id, g.order, len(g.members),
				len(g.static), static, g.joining, joining)
		}
		if (g.state == CompletingRebalance || g.state == Stable) && (g.members[g.leader] == nil || dynamic > w.cfg.MaxSize) {
			fail(g, "leader %q; %d dynamic members", g.leader, dynamic)
		}
		if g.state == Empty && len(g.members) > 0 {
			fail(g, "%d members", len(g.members))
		}
		if d := cmp.Diff(speakers, g.speakers); d != "" {
			fail(g, "protocols (-spoken +kept):\n%s", d)
		}
		if at := g.next(); !at.IsZero() && (g.alarm.index < 0 || g.alarm.at.After(at)) {
			fail(g, "the alarm is at %v, the next deadline at %v", g.alarm, at)
		}
	}
	for i, g := range w.m.schedule {
		if w.m.groups[g.id] != g || g.alarm.index != i {
			fail(g, "is at %d in the schedule, and thinks it is at %d", i, g.alarm.index)
		}
	}
}

// story is a random history of a few clients, and what must come of it.
type story struct {
	*world
	t       *rapid.T
	clients []*consumer
	joins   map[*consumer]call // not yet answered
	offsets map[[2]string]int64
	last    map[string]int32  // generation of a group
	leaders map[string]string // of a group's generation
}

func TestAnyHistory(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		s := &story{t: t, joins: map[*consumer]call{}, offsets: map[[2]string]int64{}, last: map[string]int32{}, leaders: map[string]string{}}
		s.world = newWorld(t, func(c *Config) {
			c.MaxSize = rapid.IntRange(1, 5).Draw(t, "max size")
			c.InitialRebalanceDelay = time.Duration(rapid.IntRange(0, 3).Draw(t, "delay")) * time.Second
		})
		for i := range rapid.IntRange(1, 6).Draw(t, "clients") {
			c := s.consumer([]string{"g", "h"}[i/5])
			if rapid.IntRange(0, 2).Draw(t, "static") == 0 {
				c.instance = kmsg.StringPtr(fmt.Sprintf("i%d", i%4)) // perhaps the same as another's
			}
			c.rebalance = time.Duration(rapid.IntRange(0, 60).Draw(t, "rebalance timeout")) * time.Second
			s.clients = append(s.clients, c)
		}
		for range rapid.IntRange(1, 80).Draw(t, "steps") {
			s.step()
			s.gather()
			s.check()
			s.compareOffsets()
		}
		s.pass(time.Hour) // nobody shows any life: nobody may wait for ever
		if len(s.waiting) > 0 {
			t.Fatalf("requests %v are never answered", s.waiting)
		}
		s.check()
		s.restart()
		s.compareOffsets()
	})
}

func (s *story) step() {
	c := rapid.SampledFrom(s.clients).Draw(s.t, "client")
	topic := rapid.SampledFrom([]string{"orders", "payments"}).Draw(s.t, "topic")
	switch rapid.IntRange(0, 13).Draw(s.t, "what") {
	case 0, 1, 2:
		c.version = int16(rapid.IntRange(0, 9).Draw(s.t, "version"))
		if c.instance != nil {
			c.version = 9
		}
		c.protocols = rapid.SampledFrom(protocolSets).Draw(s.t, "protocols")
		if old, ok := s.joins[c]; !ok || old.answered() {
			s.joins[c] = c.join()
		} else {
			s.joins[c] = s.send(c.joinRequest()) // impatient: the older one is answered, too
		}
	case 3, 4, 5:
		assignment := map[*consumer]string{}
		for _, m := range s.clients {
			if m.id != "" && m.group == c.group {
				assignment[m] = "for " + m.id
			}
		}
		req := c.syncRequest(nil)
		req.Version = 4
		for _, m := range s.clients { // in their order, not the map's
			if what, ok := assignment[m]; ok {
				a := kmsg.NewSyncGroupRequestGroupAssignment()
				a.MemberID, a.MemberAssignment = m.id, []byte(what)
				req.GroupAssignment = append(req.GroupAssignment, a)
			}
		}
		s.send(req)
	case 6:
		if code := c.heartbeat(); code == 25 || code == 82 {
			c.id = ""
		}
	case 7:
		if c.leave() == 0 {
			c.id = ""
		}
	case 8:
		at := int64(len(s.log))
		if c.commit(topic, at) == 0 {
			s.offsets[[2]string{c.group, topic}] = at
		}
	case 9:
		at := int64(len(s.log))
		if s.commitFor(c.group, topic, at) == 0 {
			s.offsets[[2]string{c.group, topic}] = at
		}
	case 10:
		s.pass(time.Duration(rapid.IntRange(0, 15_000).Draw(s.t, "ms")) * time.Millisecond)
	case 11:
		s.restart()
	case 12:
		c.id = "" // the client restarts
	case 13:
		req := kmsg.NewPtrDeleteGroupsRequest()
		req.Groups = []string{c.group}
		if ask[*kmsg.DeleteGroupsResponse](s.world, req).Groups[0].ErrorCode == 0 {
			delete(s.offsets, [2]string{c.group, "orders"})
			delete(s.offsets, [2]string{c.group, "payments"})
			s.forget(c.group)
		}
	}
	for _, id := range []string{"g", "h"} {
		g := s.m.groups[id]
		if g == nil {
			s.forget(id)
			continue
		}
		if g.generation < s.last[id] {
			s.t.Fatalf("group %q: generation %d after %d", id, g.generation, s.last[id])
		}
		s.last[id] = g.generation
	}
}

var protocolSets = [][]kmsg.JoinGroupRequestProtocol{
	{protocol("range", subscription("orders")), protocol("sticky", subscription("orders"))},
	{protocol("sticky", subscription("orders")), protocol("range", subscription("orders"))},
	{protocol("range", subscription("orders", "payments"))},
	{protocol("sticky", nil)},
}

// forget is for when a group begins anew, or may fall back: a generation that has no assignment yet is not recorded.
func (s *story) forget(group string) {
	delete(s.last, group)
	for key := range s.leaders {
		if key[:len(group)] == group {
			delete(s.leaders, key)
		}
	}
}

// gather takes answered joins over. A generation has one leader.
func (s *story) gather() {
	for _, c := range s.clients {
		got, ok := s.joins[c]
		if !ok || !got.answered() {
			continue
		}
		delete(s.joins, c)
		resp := answer[*kmsg.JoinGroupResponse](got)
		switch resp.ErrorCode {
		case 0:
			c.id, c.generation = resp.MemberID, resp.Generation
			if len(resp.Members) > 0 && !resp.SkipAssignment {
				key := fmt.Sprint(c.group, resp.Generation)
				if other, ok := s.leaders[key]; ok && other != resp.MemberID {
					s.t.Fatalf("generation %d of %q is led by %q and %q", resp.Generation, c.group, other, resp.MemberID)
				}
				s.leaders[key] = resp.MemberID
			}
		case 79:
			c.id = resp.MemberID
		case 25, 81, 82:
			c.id = ""
		case 23, 27:
		default:
			s.t.Fatalf("join: error %d", resp.ErrorCode)
		}
	}
}

// restart loads the machine anew. Groups that were at rest are as before.
func (s *story) restart() {
	before := map[string]kmsg.DescribeGroupsResponseGroup{}
	for _, id := range []string{"g", "h"} {
		g := s.describe(id)
		if g.State == "Stable" && len(g.Members) <= s.cfg.MaxSize || g.State == "Empty" {
			before[id] = g
		}
		s.forget(id)
	}
	if rapid.Bool().Draw(s.t, "rewritten") {
		whole := replayed(s.t, s.log)
		s.rewrite(rapid.IntRange(0, len(s.log)).Draw(s.t, "trimmed"))
		if d := cmp.Diff(whole, replayed(s.t, s.log)); d != "" {
			s.t.Fatalf("what the log says (-before +after) it was rewritten:\n%s", d)
		}
	}
	s.joins = map[*consumer]call{}
	s.start()
	s.check()
	for id, want := range before {
		if d := cmp.Diff(want, s.describe(id), cmp.AllowUnexported(kmsg.Tags{})); d != "" {
			s.t.Fatalf("group %q after a restart (-before +after):\n%s", id, d)
		}
	}
}

// replayed gives what a machine that replays a log knows.
func replayed(t *rapid.T, log []machine.Record) map[string]string {
	m := New(Config{})
	for _, r := range log {
		if err := m.Replay(r); err != nil {
			t.Fatal(err)
		}
	}
	records, _ := m.Snapshot()
	out := map[string]string{}
	for _, r := range records {
		out[string(r.Key)] = string(r.Value)
	}
	return out
}

func (s *story) compareOffsets() {
	for _, group := range []string{"g", "h"} {
		for _, topic := range []string{"orders", "payments"} {
			want, ok := s.offsets[[2]string{group, topic}]
			if !ok {
				want = -1
			}
			if got := s.offset(group, topic); got != want {
				s.t.Fatalf("group %q, topic %q: offset %d, want %d", group, topic, got, want)
			}
		}
	}
}

// requestKinds are all that a machine takes.
var requestKinds = []int16{8, 9, 11, 12, 13, 14, 15, 16, 42, 47}

// FuzzRequests feeds bytes that clients might send, after each other, to one machine. Each record of the input is a kind, a
// version, a length, and the request's bytes.
func FuzzRequests(f *testing.F) {
	w := newWorld(f)
	c := w.static("g", "i")
	var seed []byte
	join := c.joinRequest()
	c.id = "i-1"
	for _, req := range []kmsg.Request{join, c.syncRequest(nil), c.commitRequest("orders", 5)} {
		body := req.AppendTo(nil)
		seed = append(seed, byte(slices.Index(requestKinds, req.Key())), byte(req.GetVersion()))
		seed = append(binary.BigEndian.AppendUint16(seed, uint16(len(body))), body...)
	}
	f.Add(seed)
	f.Fuzz(func(t *testing.T, in []byte) {
		w := newWorld(t, func(c *Config) { c.InitialRebalanceDelay, c.MaxSize = 0, 2 })
		for len(in) >= 4 {
			req := kmsg.RequestForKey(requestKinds[int(in[0])%len(requestKinds)])
			req.SetVersion(int16(in[1]) % (req.MaxVersion() + 1))
			n := min(int(binary.BigEndian.Uint16(in[2:])), len(in)-4)
			_, damaged := wire.Check(req.Key(), req.GetVersion(), in[4:4+n]) // as the server does before it decodes
			if damaged == nil && req.ReadFrom(in[4:4+n]) == nil {
				w.send(req)
				w.pass(time.Second)
				w.check()
			}
			in = in[4+n:]
		}
		w.pass(time.Hour)
		if len(w.waiting) > 0 {
			t.Fatalf("requests %v are never answered", w.waiting)
		}
		w.start()
		w.check()
	})
}
