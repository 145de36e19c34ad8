package group

import (
	"fmt"
	"math"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/twmb/franz-go/pkg/kbin"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/weir/weir/coordinator/machine"
)

// failer is what *testing.T and *rapid.T have in common.
type failer interface {
	Helper()
	Fatalf(string, ...any)
}

// world plays the runtime without a clock: it replays what the machine proposes, keeps it as the log, lets time pass, and
// gathers the replies. A second machine gets the same calls and must have the same effects.
type world struct {
	t       failer
	cfg     Config
	m, twin *Machine
	now     time.Time
	log     []machine.Record
	trimmed int // records that rewriting has taken off the log
	lastID  uint64
	waiting map[uint64]bool
	replies map[uint64]any
	ticks   int
}

func newWorld(t failer, change ...func(*Config)) *world {
	w := &world{t: t, now: time.UnixMilli(1_700_000_000_000), cfg: Config{
		InitialRebalanceDelay: 3 * time.Second,
		MinSession:            6 * time.Second, MaxSession: 30 * time.Minute,
		MaxSize: math.MaxInt32, OffsetMetadataMax: 4096,
		OffsetsRetention: 7 * 24 * time.Hour, OffsetsRetentionCheckEach: 10 * time.Minute,
	}}
	for _, f := range change {
		f(&w.cfg)
	}
	w.start()
	return w
}

// machineFor makes a machine whose member ids are counted, from a place that no machine before it has reached.
func (w *world) machineFor(from int) *Machine {
	cfg := w.cfg
	cfg.NewMemberID = func(prefix string) string {
		from++
		return fmt.Sprintf("%s-%d", prefix, from)
	}
	return New(cfg)
}

// start makes the machines and replays the log, as after a change of the leader. Who waits is answered by the runtime.
func (w *world) start() {
	w.t.Helper()
	from := 1000 * (w.trimmed + len(w.log))
	w.m, w.twin = w.machineFor(from), w.machineFor(from)
	w.waiting, w.replies = map[uint64]bool{}, map[uint64]any{}
	for _, r := range w.log {
		for _, m := range []*Machine{w.m, w.twin} {
			if err := m.Replay(r); err != nil {
				w.t.Fatalf("replay: %v", err)
			}
		}
	}
	w.perform(w.m.Loaded(w.now), w.twin.Loaded(w.now))
}

// rewrite writes everything that the machine knows to the end of the log, and takes off what was before it, up to a place.
func (w *world) rewrite(place int) {
	w.t.Helper()
	records, ok := w.m.Snapshot()
	if !ok {
		w.t.Fatalf("there is no snapshot of a log without unknown records")
	}
	w.log = w.log[place:]
	w.trimmed += place
	for _, r := range records {
		r.Offset, r.Timestamp = int64(w.trimmed+len(w.log)), w.now.UnixMilli()
		w.log = append(w.log, r)
	}
}

func (w *world) perform(e, twin machine.Effects) {
	w.t.Helper()
	if !reflect.DeepEqual(e, twin) {
		w.t.Fatalf("the same calls had different effects:\n%s", cmp.Diff(e, twin, cmp.AllowUnexported(kmsg.Tags{})))
	}
	for _, r := range e.Records {
		r.Offset, r.Timestamp = -1, w.now.UnixMilli()
		if err := w.m.Replay(r); err != nil {
			w.t.Fatalf("replay of a proposed record: %v", err)
		}
		if err := w.twin.Replay(r); err != nil {
			w.t.Fatalf("replay of a proposed record: %v", err)
		}
		r.Offset = int64(len(w.log))
		w.log = append(w.log, r)
	}
	for _, r := range e.Replies {
		if !w.waiting[r.ID] {
			w.t.Fatalf("request %d was answered though nobody waits for it: %+v", r.ID, r.Value)
		}
		delete(w.waiting, r.ID)
		w.replies[r.ID] = r.Value
	}
}

// pass lets time go by, and calls Tick whenever the machine wants it.
func (w *world) pass(d time.Duration) {
	w.t.Helper()
	end := w.now.Add(d)
	for n := 0; ; n++ {
		at := w.m.Deadline()
		if at.IsZero() || at.After(end) {
			break
		}
		if n > 100_000 {
			w.t.Fatalf("the machine does not come to rest")
		}
		if at.After(w.now) {
			w.now = at
		}
		w.ticks++
		w.perform(w.m.Tick(w.now), w.twin.Tick(w.now))
	}
	w.now = end
}

// call is a request and, once it is there, its answer.
type call struct {
	w  *world
	id uint64
}

func (w *world) send(req kmsg.Request) call {
	w.t.Helper()
	w.lastID++
	w.waiting[w.lastID] = true
	read := func() Request {
		return Request{ClientID: "client", ClientHost: "10.0.0.1", Body: wireRequest(w.t, req)}
	}
	w.perform(w.m.Handle(w.now, w.lastID, read()), w.twin.Handle(w.now, w.lastID, read()))
	return call{w, w.lastID}
}

// wireRequest gives a request as it comes from a client: with the fields of its version only.
func wireRequest(t failer, req kmsg.Request) kmsg.Request {
	t.Helper()
	out := kmsg.RequestForKey(req.Key())
	out.SetVersion(req.GetVersion())
	if err := out.ReadFrom(req.AppendTo(nil)); err != nil {
		t.Fatalf("%s: %v", kmsg.NameForKey(req.Key()), err)
	}
	return out
}

func (c call) answered() bool { return !c.w.waiting[c.id] }

// answer gives the response as the client reads it.
func answer[R kmsg.Response](c call) R {
	c.w.t.Helper()
	if !c.answered() {
		c.w.t.Fatalf("request %d is not answered", c.id)
	}
	resp := c.w.replies[c.id].(R)
	out := kmsg.ResponseForKey(resp.Key())
	out.SetVersion(resp.GetVersion())
	if err := out.ReadFrom(resp.AppendTo(nil)); err != nil {
		c.w.t.Fatalf("%T: %v", resp, err)
	}
	return out.(R)
}

func ask[R kmsg.Response](w *world, req kmsg.Request) R {
	w.t.Helper()
	return answer[R](w.send(req))
}

// consumer is a client of one group.
type consumer struct {
	w          *world
	group      string
	id         string
	instance   *string
	generation int32
	protocols  []kmsg.JoinGroupRequestProtocol
	session    time.Duration
	rebalance  time.Duration
	version    int16 // of JoinGroup
}

func (w *world) consumer(group string) *consumer {
	return &consumer{
		w: w, group: group, session: 10 * time.Second, rebalance: time.Minute, version: 9,
		protocols: []kmsg.JoinGroupRequestProtocol{protocol("range", subscription("orders"))},
	}
}

func (w *world) static(group, instance string) *consumer {
	c := w.consumer(group)
	c.instance = &instance
	return c
}

func protocol(name string, metadata []byte) kmsg.JoinGroupRequestProtocol {
	p := kmsg.NewJoinGroupRequestProtocol()
	p.Name, p.Metadata = name, metadata
	return p
}

func subscription(topics ...string) []byte {
	b := kbin.AppendArrayLen(kbin.AppendInt16(nil, 1), len(topics))
	for _, topic := range topics {
		b = kbin.AppendString(b, topic)
	}
	b = kbin.AppendNullableBytes(b, nil)
	return kbin.AppendArrayLen(b, 0) // owned partitions, since version 1
}

func (c *consumer) joinRequest() *kmsg.JoinGroupRequest {
	req := kmsg.NewPtrJoinGroupRequest()
	req.Version, req.Group, req.MemberID, req.InstanceID, req.ProtocolType = c.version, c.group, c.id, c.instance, "consumer"
	req.SessionTimeoutMillis, req.RebalanceTimeoutMillis = int32(c.session.Milliseconds()), int32(c.rebalance.Milliseconds())
	req.Protocols = c.protocols
	return req
}

// join sends a join and, if the coordinator wants that, sends it again with the id it gave.
func (c *consumer) join() call {
	c.w.t.Helper()
	got := c.w.send(c.joinRequest())
	if !got.answered() {
		return got
	}
	if resp := answer[*kmsg.JoinGroupResponse](got); resp.ErrorCode == 79 {
		c.id = resp.MemberID
		return c.w.send(c.joinRequest())
	}
	return got
}

// joined takes a good answer over.
func (c *consumer) joined(got call) *kmsg.JoinGroupResponse {
	c.w.t.Helper()
	resp := answer[*kmsg.JoinGroupResponse](got)
	if resp.ErrorCode != 0 {
		c.w.t.Fatalf("join: error %d", resp.ErrorCode)
	}
	c.id, c.generation = resp.MemberID, resp.Generation
	return resp
}

func (c *consumer) syncRequest(assignment map[*consumer]string) *kmsg.SyncGroupRequest {
	req := kmsg.NewPtrSyncGroupRequest()
	req.Version, req.Group, req.MemberID, req.InstanceID, req.Generation = 5, c.group, c.id, c.instance, c.generation
	req.ProtocolType, req.Protocol = kmsg.StringPtr("consumer"), kmsg.StringPtr(c.protocols[0].Name)
	for m, what := range assignment {
		a := kmsg.NewSyncGroupRequestGroupAssignment()
		a.MemberID, a.MemberAssignment = m.id, []byte(what)
		req.GroupAssignment = append(req.GroupAssignment, a)
	}
	return req
}

func (c *consumer) sync(assignment map[*consumer]string) call {
	c.w.t.Helper()
	return c.w.send(c.syncRequest(assignment))
}

func (c *consumer) heartbeat() int16 {
	c.w.t.Helper()
	req := kmsg.NewPtrHeartbeatRequest()
	req.Version, req.Group, req.MemberID, req.InstanceID, req.Generation = 4, c.group, c.id, c.instance, c.generation
	return ask[*kmsg.HeartbeatResponse](c.w, req).ErrorCode
}

func (c *consumer) leave() int16 {
	c.w.t.Helper()
	req := kmsg.NewPtrLeaveGroupRequest()
	req.Version, req.Group, req.MemberID = 2, c.group, c.id
	return ask[*kmsg.LeaveGroupResponse](c.w, req).ErrorCode
}

func (c *consumer) commitRequest(topic string, offset int64) *kmsg.OffsetCommitRequest {
	req := kmsg.NewPtrOffsetCommitRequest()
	req.Version, req.Group, req.MemberID, req.InstanceID, req.Generation = 9, c.group, c.id, c.instance, c.generation
	req.Topics = commitTopics(topic, offset)
	return req
}

func (c *consumer) commit(topic string, offset int64) int16 {
	c.w.t.Helper()
	return committed(ask[*kmsg.OffsetCommitResponse](c.w, c.commitRequest(topic, offset)))
}

func commitTopics(topic string, offset int64) []kmsg.OffsetCommitRequestTopic {
	out := kmsg.NewOffsetCommitRequestTopic()
	out.Topic = topic
	p := kmsg.NewOffsetCommitRequestTopicPartition()
	p.Offset = offset
	out.Partitions = append(out.Partitions, p)
	return []kmsg.OffsetCommitRequestTopic{out}
}

func committed(resp *kmsg.OffsetCommitResponse) int16 { return resp.Topics[0].Partitions[0].ErrorCode }

// commitFor commits without a member, as tools do.
func (w *world) commitFor(group, topic string, offset int64) int16 {
	w.t.Helper()
	req := kmsg.NewPtrOffsetCommitRequest()
	req.Version, req.Group, req.Topics = 8, group, commitTopics(topic, offset)
	return committed(ask[*kmsg.OffsetCommitResponse](w, req))
}

// offset fetches an offset of partition 0; -1: there is none.
func (w *world) offset(group, topic string) int64 {
	w.t.Helper()
	req := kmsg.NewPtrOffsetFetchRequest()
	req.Version = 9
	g := kmsg.NewOffsetFetchRequestGroup()
	g.Group = group
	of := kmsg.NewOffsetFetchRequestGroupTopic()
	of.Topic, of.Partitions = topic, []int32{0}
	g.Topics = append(g.Topics, of)
	req.Groups = append(req.Groups, g)
	return ask[*kmsg.OffsetFetchResponse](w, req).Groups[0].Topics[0].Partitions[0].Offset
}

func (w *world) describe(group string) kmsg.DescribeGroupsResponseGroup {
	w.t.Helper()
	req := kmsg.NewPtrDescribeGroupsRequest()
	req.Version, req.Groups = 5, []string{group}
	return ask[*kmsg.DescribeGroupsResponse](w, req).Groups[0]
}

// state tells a group's state and its members' ids, as "Stable a b".
func (w *world) state(group string) string {
	w.t.Helper()
	g := w.describe(group)
	words := []string{g.State}
	for _, m := range g.Members {
		words = append(words, m.MemberID)
	}
	return strings.Join(words, " ")
}

// stable makes a group whose members all have their assignment: "part 0", "part 1" and so on. The first one leads.
func (w *world) stable(members ...*consumer) {
	w.t.Helper()
	joins := make([]call, len(members))
	for i, c := range members {
		joins[i] = c.join()
	}
	w.pass(w.cfg.InitialRebalanceDelay)
	w.pass(w.cfg.InitialRebalanceDelay)
	assignment := map[*consumer]string{}
	for i, c := range members {
		c.joined(joins[i])
		assignment[c] = fmt.Sprintf("part %d", i)
	}
	for i, c := range members {
		var parts map[*consumer]string
		if i == 0 {
			parts = assignment
		}
		c.expectSync(c.sync(parts), 0, assignment[c])
	}
}

func (c *consumer) expectSync(got call, code int16, assignment string) {
	c.w.t.Helper()
	resp := answer[*kmsg.SyncGroupResponse](got)
	if resp.ErrorCode != code || string(resp.MemberAssignment) != assignment {
		c.w.t.Fatalf("sync of %s: error %d, assignment %q; want %d, %q", c.id, resp.ErrorCode, resp.MemberAssignment, code, assignment)
	}
}

func expect[T comparable](t *testing.T, what string, got, want T) {
	t.Helper()
	if got != want {
		t.Fatalf("%s: got %v, want %v", what, got, want)
	}
}

func joinError(got call) int16 {
	got.w.t.Helper()
	return answer[*kmsg.JoinGroupResponse](got).ErrorCode
}
