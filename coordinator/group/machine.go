package group

import (
	"cmp"
	"fmt"
	"slices"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/weir/weir/coordinator/machine"
)

// Config are the limits and habits of groups; the names are those of the broker's options.
type Config struct {
	InitialRebalanceDelay     time.Duration // group.initial.rebalance.delay.ms
	MinSession, MaxSession    time.Duration // group.min.session.timeout.ms, group.max.session.timeout.ms
	MaxSize                   int           // group.max.size
	OffsetMetadataMax         int           // offset.metadata.max.bytes
	OffsetsRetention          time.Duration // offsets.retention.minutes
	OffsetsRetentionCheckEach time.Duration // offsets.retention.check.interval.ms
	// NewMemberID makes an id for a new member; it must never give one twice.
	NewMemberID func(prefix string) string
	// Rebalanced, if set, is called whenever a rebalance is completed.
	Rebalanced func()
}

// Request is a client's request for groups of this partition.
type Request struct {
	ClientID   string
	ClientHost string
	Body       kmsg.Request
}

// TopicsDeleted tells a machine that topics are no more; their offsets are removed. It is answered with itself.
type TopicsDeleted struct{ Topics []string }

// Machine coordinates the groups of one partition.
type Machine struct {
	cfg       Config
	groups    map[string]*group
	schedule  schedule
	nextCheck time.Time // for expired offsets
	skipped   int       // records of kinds that are not known
}

var _ machine.Machine = (*Machine)(nil)

// New makes a machine without groups.
func New(cfg Config) *Machine { return &Machine{cfg: cfg, groups: map[string]*group{}} }

// Loaded readies a machine that was replayed: members of running generations have a full session to show up. A group that
// has grown over a limit since lowered must agree anew on who stays.
func (m *Machine) Loaded(now time.Time) machine.Effects {
	m.nextCheck = now.Add(m.cfg.OffsetsRetentionCheckEach)
	t := &turn{Machine: m, now: now}
	for _, g := range m.sorted() {
		for _, mem := range g.each() {
			t.touch(g, mem)
		}
		if len(g.members) > m.cfg.MaxSize {
			t.prepare(g)
		}
	}
	return t.effects
}

// Skipped tells how many records of kinds that are not known were replayed.
func (m *Machine) Skipped() int { return m.skipped }

func (m *Machine) sorted() []*group {
	out := make([]*group, 0, len(m.groups))
	for _, g := range m.groups {
		out = append(out, g)
	}
	slices.SortFunc(out, func(a, b *group) int { return cmp.Compare(a.id, b.id) })
	return out
}

// turn is one call of Handle or Tick: what it gathers.
type turn struct {
	*Machine
	now     time.Time
	effects machine.Effects
}

func (t *turn) reply(id uint64, resp any) {
	t.effects.Replies = append(t.effects.Replies, machine.Reply{ID: id, Value: resp})
}

// Handle implements machine.Machine. It takes a Request, or TopicsDeleted.
func (m *Machine) Handle(now time.Time, id uint64, request any) machine.Effects {
	t := &turn{Machine: m, now: now}
	switch r := request.(type) {
	case Request:
		t.handle(id, r)
	case TopicsDeleted:
		t.effects.Apart = true
		t.topicsDeleted(r.Topics)
		t.reply(id, r)
	default:
		panic(fmt.Sprintf("BUG: the group coordinator got a %T", request))
	}
	return t.effects
}

func (t *turn) handle(id uint64, r Request) {
	switch body := r.Body.(type) {
	case *kmsg.JoinGroupRequest:
		t.join(id, r, body)
	case *kmsg.SyncGroupRequest:
		t.sync(id, body)
	case *kmsg.HeartbeatRequest:
		t.reply(id, t.heartbeat(body))
	case *kmsg.LeaveGroupRequest:
		t.reply(id, t.leave(body))
	case *kmsg.OffsetCommitRequest:
		t.reply(id, t.commit(body))
	case *kmsg.OffsetFetchRequest:
		t.reply(id, t.fetch(body))
	case *kmsg.OffsetDeleteRequest:
		t.reply(id, t.deleteOffsets(body))
	case *kmsg.DescribeGroupsRequest:
		t.reply(id, t.describe(body))
	case *kmsg.ListGroupsRequest:
		t.reply(id, t.list(body))
	case *kmsg.DeleteGroupsRequest:
		t.reply(id, t.deleteGroups(body))
	default:
		panic(fmt.Sprintf("BUG: the group coordinator got a %T", r.Body))
	}
}

// Tick implements machine.Machine: rebalances that waited long enough go on, silent members leave, old offsets go.
func (m *Machine) Tick(now time.Time) machine.Effects {
	t := &turn{Machine: m, now: now}
	t.effects.Apart = true // they are of different groups, or tombstones
	var rang []*group
	for g := m.due(now); g != nil; g = m.due(now) {
		rang = append(rang, g)
	}
	for _, g := range rang {
		t.expireMembers(g)
		if g.state == PreparingRebalance && !now.Before(g.rebalanceAt) {
			t.rebalanceDue(g)
		}
		if !g.syncBy.IsZero() && !now.Before(g.syncBy) {
			t.dropUnsynced(g)
		}
		if at := g.next(); !at.IsZero() {
			m.wake(g, at)
		}
	}
	if !now.Before(m.nextCheck) {
		m.nextCheck = now.Add(m.cfg.OffsetsRetentionCheckEach)
		t.expireOffsets()
	}
	return t.effects
}

// Deadline implements machine.Machine.
func (m *Machine) Deadline() time.Time {
	if len(m.schedule) > 0 && m.schedule[0].alarm.at.Before(m.nextCheck) {
		return m.schedule[0].alarm.at
	}
	return m.nextCheck
}

// code gives Kafka's number of an error.
func code(err *kerr.Error) int16 {
	if err == nil {
		return 0
	}
	return err.Code
}

func text(s *string) string {
	if s == nil {
		return ""
	}
	return *s
}
