package group

import (
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/twmb/franz-go/pkg/kmsg"
)

func TestB099WhoMayCommit(t *testing.T) {
	type request = kmsg.OffsetCommitRequest
	for name, test := range map[string]struct {
		state  string // of the group; "": there is none
		change func(*request)
		want   int16
	}{
		"member":                           {"Stable", func(*request) {}, 0},
		"member without a generation":      {"Stable", func(r *request) { r.Generation = -1 }, 22},
		"older generation":                 {"Stable", func(r *request) { r.Generation-- }, 22},
		"newer generation":                 {"Stable", func(r *request) { r.Generation++ }, 22},
		"unknown member":                   {"Stable", func(r *request) { r.MemberID = "x" }, 25},
		"no member id":                     {"Stable", func(r *request) { r.MemberID = "" }, 25},
		"unknown instance":                 {"Stable", func(r *request) { r.InstanceID = kmsg.StringPtr("x") }, 25},
		"simple consumer":                  {"Stable", func(r *request) { r.MemberID, r.Generation = "", -1 }, 25},
		"simple consumer, none left":       {"Empty", func(r *request) { r.MemberID, r.Generation = "", -1 }, 0},
		"who left, without its generation": {"Empty", func(r *request) { r.Generation = -1 }, 0},
		"who left":                         {"Empty", func(*request) {}, 25},
		"last generation in a rebalance":   {"PreparingRebalance", func(*request) {}, 0},
		"before the assignment":            {"CompletingRebalance", func(*request) {}, 27},
		"simple, before the assignment":    {"CompletingRebalance", func(r *request) { r.MemberID, r.Generation = "", -1 }, 25},
		"new group, simple":                {"", func(r *request) { r.MemberID, r.Generation = "", -1 }, 0},
		"new group, simple, with an id":    {"", func(r *request) { r.Generation = -1 }, 0},
		"new group, generation":            {"", func(*request) {}, 69},
		"new group, generation, older":     {"", func(r *request) { r.Version = 8 }, 22},
		"empty group id, as once":          {"", func(r *request) { r.Group, r.MemberID, r.Generation = "", "", -1 }, 0},
		"the oldest version":               {"Stable", func(r *request) { r.Version = 2 }, 0},
		"the newest version":               {"Stable", func(r *request) { r.Version = 9 }, 0},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			c := w.consumer("g")
			switch test.state {
			case "":
				c.id, c.generation = "x", 1
			case "CompletingRebalance":
				got := c.join()
				w.pass(3 * time.Second)
				c.joined(got)
			default:
				w.stable(c)
			}
			switch test.state {
			case "Empty":
				c.leave()
			case "PreparingRebalance":
				w.consumer("g").join()
			}
			req := c.commitRequest("orders", 5)
			test.change(req)
			before := len(w.log)
			expect(t, "error", committed(ask[*kmsg.OffsetCommitResponse](w, req)), test.want)
			if test.want != 0 {
				expect(t, "records", len(w.log)-before, 0)
				expect(t, "offset", w.offset("g", "orders"), -1)
				return
			}
			expect(t, "offset", w.offset(req.Group, "orders"), 5)
			w.start()
			expect(t, "offset after a restart", w.offset(req.Group, "orders"), 5)
		})
	}
}

func TestB099MetadataIsLimited(t *testing.T) {
	w := newWorld(t)
	for name, test := range map[string]struct {
		metadata *string
		want     int16
	}{
		"none":                       {nil, 0},
		"longest":                    {kmsg.StringPtr(strings.Repeat("x", 4096)), 0},
		"too long":                   {kmsg.StringPtr(strings.Repeat("x", 4097)), 12},
		"characters, not bytes":      {kmsg.StringPtr(strings.Repeat("é", 4096)), 0},
		"halves of pairs count":      {kmsg.StringPtr(strings.Repeat("\U0001f642", 2048)), 0},
		"one half too many":          {kmsg.StringPtr(strings.Repeat("\U0001f642", 2048) + "x"), 12},
		"bytes that are not letters": {kmsg.StringPtr(strings.Repeat("\xff", 4097)), 12},
	} {
		t.Run(name, func(t *testing.T) {
			req := kmsg.NewPtrOffsetCommitRequest()
			req.Version, req.Group = 8, "g"
			req.Topics = append(commitTopics("orders", 5), commitTopics("payments", 6)...)
			req.Topics[0].Partitions[0].Metadata = test.metadata
			resp := ask[*kmsg.OffsetCommitResponse](w, req)
			expect(t, "error", resp.Topics[0].Partitions[0].ErrorCode, test.want)
			expect(t, "error of another partition", resp.Topics[1].Partitions[0].ErrorCode, 0)
		})
	}
}

// fetched is an answer to OffsetFetch, of whichever version.
type fetched struct {
	Topic     string
	Partition int32
	Offset    int64
	Epoch     int32
	Metadata  string
	Error     int16
}

func TestOffsetFetch(t *testing.T) {
	w := newWorld(t)
	commit := kmsg.NewPtrOffsetCommitRequest()
	commit.Version, commit.Group = 8, "g"
	commit.Topics = append(commitTopics("orders", 5), commitTopics("payments", 6)...)
	commit.Topics[0].Partitions[0].Metadata, commit.Topics[0].Partitions[0].LeaderEpoch = kmsg.StringPtr("why"), 3
	commit.Topics[1].Partitions[0].Partition, commit.Topics[1].Partitions[0].LeaderEpoch = 9, -1
	ask[*kmsg.OffsetCommitResponse](w, commit)

	fetch := func(version int16, group string, all bool) (out []fetched) {
		req := kmsg.NewPtrOffsetFetchRequest()
		req.Version = version
		g := kmsg.NewOffsetFetchRequestGroup()
		g.Group, req.Group = group, group
		if version >= 9 { // means nothing to groups of the classic protocol
			g.MemberID, g.MemberEpoch = kmsg.StringPtr("x"), 77
		}
		if !all {
			one := kmsg.NewOffsetFetchRequestTopic()
			one.Topic, one.Partitions = "orders", []int32{0, 1}
			req.Topics = append(req.Topics, one)
			two := kmsg.NewOffsetFetchRequestGroupTopic()
			two.Topic, two.Partitions = "orders", []int32{0, 1}
			g.Topics = append(g.Topics, two)
		}
		req.Groups = append(req.Groups, g)
		resp := ask[*kmsg.OffsetFetchResponse](w, req)
		expect(t, "error", resp.ErrorCode, 0)
		for _, topic := range resp.Topics {
			for _, p := range topic.Partitions {
				out = append(out, fetched{topic.Topic, p.Partition, p.Offset, p.LeaderEpoch, *p.Metadata, p.ErrorCode})
			}
		}
		for _, g := range resp.Groups {
			expect(t, "group", g.Group, group)
			expect(t, "error", g.ErrorCode, 0)
			for _, topic := range g.Topics {
				for _, p := range topic.Partitions {
					out = append(out, fetched{topic.Topic, p.Partition, p.Offset, p.LeaderEpoch, *p.Metadata, p.ErrorCode})
				}
			}
		}
		return out
	}
	for version := int16(1); version <= 9; version++ {
		epoch := int32(3)
		if version < 5 {
			epoch = -1 // it has no place in the answer
		}
		none := fetched{"orders", 1, -1, -1, "", 0}
		has := fetched{"orders", 0, 5, epoch, "why", 0}
		if d := cmp.Diff([]fetched{has, none}, fetch(version, "g", false)); d != "" {
			t.Fatalf("version %d (-want +got):\n%s", version, d)
		}
		if d := cmp.Diff([]fetched{{"orders", 0, -1, -1, "", 0}, none}, fetch(version, "x", false)); d != "" {
			t.Fatalf("version %d, unknown group (-want +got):\n%s", version, d)
		}
		if version < 2 {
			continue // all could not be asked for
		}
		if d := cmp.Diff([]fetched{has, {"payments", 9, 6, -1, "", 0}}, fetch(version, "g", true)); d != "" {
			t.Fatalf("version %d, all (-want +got):\n%s", version, d)
		}
		if d := cmp.Diff([]fetched(nil), fetch(version, "x", true)); d != "" {
			t.Fatalf("version %d, all of an unknown group (-want +got):\n%s", version, d)
		}
	}
}

// Since version 10 topics come by their id; who passes the request on fills the names in.
func TestOffsetsOfATopicThatWasMadeAgain(t *testing.T) {
	w := newWorld(t)
	handle := func(body kmsg.Request) any {
		t.Helper()
		w.lastID++
		w.waiting[w.lastID] = true
		req := Request{Body: body}
		w.perform(w.m.Handle(w.now, w.lastID, req), w.twin.Handle(w.now, w.lastID, req))
		return w.replies[w.lastID]
	}
	fetch := func(id [16]byte) int64 {
		t.Helper()
		req := kmsg.NewPtrOffsetFetchRequest()
		req.Version = 10
		g := kmsg.NewOffsetFetchRequestGroup()
		g.Group = "g"
		topic := kmsg.NewOffsetFetchRequestGroupTopic()
		topic.Topic, topic.TopicID, topic.Partitions = "orders", id, []int32{0}
		g.Topics = append(g.Topics, topic)
		req.Groups = append(req.Groups, g)
		got := handle(req).(*kmsg.OffsetFetchResponse).Groups[0].Topics[0]
		expect(t, "id", got.TopicID, id)
		return got.Partitions[0].Offset
	}
	first, second, unknown := [16]byte{1}, [16]byte{2}, [16]byte{}
	commit := kmsg.NewPtrOffsetCommitRequest()
	commit.Version, commit.Group, commit.Topics = 10, "g", commitTopics("orders", 5)
	commit.Topics[0].TopicID = first
	resp := handle(commit).(*kmsg.OffsetCommitResponse)
	expect(t, "error", committed(resp), 0)
	expect(t, "id", resp.Topics[0].TopicID, first)
	for range 2 {
		expect(t, "offset of the first", fetch(first), 5)
		expect(t, "offset of the second", fetch(second), -1)
		expect(t, "offset by name", fetch(unknown), 5)
		w.start()
	}
	expect(t, "commit by name", w.commitFor("g", "orders", 6), 0)
	expect(t, "offset", fetch(second), 6)
}

func TestB101OffsetsExpire(t *testing.T) {
	week := 7 * 24 * time.Hour
	check := 10 * time.Minute
	left := func(w *world, group string) int64 { return w.offset(group, "orders") }

	t.Run("of a group whose members left", func(t *testing.T) {
		w := newWorld(t)
		c := w.consumer("g")
		w.stable(c)
		expect(t, "commit", c.commit("orders", 5), 0)
		w.pass(time.Second)
		expect(t, "leave", c.leave(), 0)
		w.pass(week - check)
		expect(t, "offset", left(w, "g"), 5)
		w.start() // the time of leaving is recorded
		w.pass(2*check - time.Second)
		expect(t, "offset", left(w, "g"), -1)
		expect(t, "group", w.state("g"), "Dead")
		w.start()
		expect(t, "group after a restart", w.state("g"), "Dead")
	})
	t.Run("of a group that never had members", func(t *testing.T) {
		w := newWorld(t)
		expect(t, "commit", w.commitFor("g", "orders", 5), 0)
		w.pass(week - time.Second)
		expect(t, "offset", left(w, "g"), 5)
		expect(t, "commit", w.commitFor("g", "payments", 6), 0)
		w.pass(check)
		expect(t, "offset", left(w, "g"), -1)
		expect(t, "the younger offset", w.offset("g", "payments"), 6)
		expect(t, "group", w.state("g"), "Empty")
		w.pass(week)
		expect(t, "group", w.state("g"), "Dead")
	})
	t.Run("not when committed since the members left", func(t *testing.T) {
		w := newWorld(t)
		c := w.consumer("g")
		w.stable(c)
		expect(t, "leave", c.leave(), 0)
		w.pass(week / 2)
		expect(t, "commit", w.commitFor("g", "orders", 5), 0)
		w.pass(week - time.Second)
		expect(t, "offset", left(w, "g"), 5)
		w.pass(check)
		expect(t, "offset", left(w, "g"), -1)
	})
	t.Run("of an active group, only of topics it left", func(t *testing.T) {
		w := newWorld(t)
		c := w.consumer("g")
		c.session = 30 * time.Minute
		w.stable(c)
		expect(t, "commit", c.commit("orders", 5), 0)
		expect(t, "commit", c.commit("payments", 6), 0)
		for passed := time.Duration(0); passed < 2*week; passed += 29 * time.Minute {
			w.pass(29 * time.Minute)
			expect(t, "heartbeat", c.heartbeat(), 0)
		}
		expect(t, "offset", left(w, "g"), 5)
		expect(t, "offset of another topic", w.offset("g", "payments"), -1)
	})
	t.Run("not if the subscription cannot be read", func(t *testing.T) {
		w := newWorld(t)
		c := w.consumer("g")
		c.session, c.protocols = 30*time.Minute, []kmsg.JoinGroupRequestProtocol{protocol("range", []byte{0})}
		w.stable(c)
		expect(t, "commit", c.commit("orders", 5), 0)
		for passed := time.Duration(0); passed < 2*week; passed += 29 * time.Minute {
			w.pass(29 * time.Minute)
			expect(t, "heartbeat", c.heartbeat(), 0)
		}
		expect(t, "offset", left(w, "g"), 5)
	})
	t.Run("when an old client said", func(t *testing.T) {
		w := newWorld(t)
		req := kmsg.NewPtrOffsetCommitRequest()
		req.Version, req.Group, req.RetentionTimeMillis, req.Topics = 4, "g", check.Milliseconds()+1, commitTopics("orders", 5)
		expect(t, "commit", committed(ask[*kmsg.OffsetCommitResponse](w, req)), 0)
		w.start()
		w.pass(check)
		expect(t, "offset", left(w, "g"), 5)
		w.pass(check)
		expect(t, "offset", left(w, "g"), -1)
	})
}

// A group that nobody uses does not stay for ever, but it does while someone may come with an id of it.
func TestB101UnusedGroupsGo(t *testing.T) {
	w := newWorld(t)
	c := w.consumer("g")
	c.session = 15 * time.Minute
	w.send(c.joinRequest())
	w.pass(10 * time.Minute)
	expect(t, "state", w.state("g"), "Empty")
	w.pass(10 * time.Minute)
	expect(t, "state", w.state("g"), "Dead")
	w.start()
	expect(t, "state after a restart", w.state("g"), "Dead")
}

func TestOffsetsOfDeletedTopicsGo(t *testing.T) {
	w := newWorld(t)
	for _, g := range []string{"a", "b"} {
		for _, topic := range []string{"orders", "payments"} {
			expect(t, "commit", w.commitFor(g, topic, 5), 0)
		}
	}
	w.lastID++
	w.waiting[w.lastID] = true
	gone := TopicsDeleted{Topics: []string{"orders", "never"}}
	w.perform(w.m.Handle(w.now, w.lastID, gone), w.twin.Handle(w.now, w.lastID, gone))
	expect(t, "answered", call{w, w.lastID}.answered(), true)
	w.start()
	for _, g := range []string{"a", "b"} {
		expect(t, "of the deleted topic", w.offset(g, "orders"), -1)
		expect(t, "of another", w.offset(g, "payments"), 5)
	}
}
