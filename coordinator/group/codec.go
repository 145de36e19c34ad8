package group

import (
	"encoding/binary"
	"fmt"
	"slices"
	"time"

	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/weir/weir/coordinator/machine"
)

// Versions of keys and values in __consumer_offsets, as Kafka 4 writes them.
const (
	offsetKeyVersion = 1
	groupKeyVersion  = 2

	offsetValueVersion    = 4 // the last: later fields are tagged, as the topic's id is
	expiringOffsetVersion = 1 // the only one that says when an offset expires
	offsetEpochVersionMin = 3
	groupValueVersion     = 3
	groupValueVersionMax  = 4

	noTimestamp int64 = -1
)

func offsetKey(group string, tp topicPartition) []byte {
	k := kmsg.NewOffsetCommitKey()
	k.Version, k.Group, k.Topic, k.Partition = offsetKeyVersion, group, tp.topic, tp.partition
	return k.AppendTo(nil)
}

func offsetRecord(group string, tp topicPartition, o offset) machine.Record {
	v := kmsg.NewOffsetCommitValue()
	v.Version, v.Offset, v.LeaderEpoch, v.Metadata = offsetValueVersion, o.at, o.epoch, o.metadata
	v.CommitTimestamp, v.ExpireTimestamp, v.TopicID = o.committed, o.expires, o.topicID
	if o.expires != noTimestamp {
		v.Version = expiringOffsetVersion
	}
	return machine.Record{Key: offsetKey(group, tp), Value: v.AppendTo(nil)}
}

func offsetTombstone(group string, tp topicPartition) machine.Record {
	return machine.Record{Key: offsetKey(group, tp)}
}

func groupKey(group string) []byte {
	k := kmsg.NewGroupMetadataKey()
	k.Version, k.Group = groupKeyVersion, group
	return k.AppendTo(nil)
}

func groupTombstone(group string) machine.Record { return machine.Record{Key: groupKey(group)} }

// record adds the group as it is now to the effects.
func (t *turn) record(g *group) {
	v := kmsg.NewGroupMetadataValue()
	v.Version, v.Generation, v.CurrentStateTimestamp = groupValueVersion, g.generation, g.since.UnixMilli()
	v.ProtocolType = g.protocolType
	if g.state == Stable {
		v.Protocol, v.Leader = &g.protocol, &g.leader
		for _, m := range g.each() {
			e := kmsg.NewGroupMetadataValueMember()
			e.MemberID, e.InstanceID, e.ClientID, e.ClientHost = m.id, m.instance, m.clientID, m.clientHost
			e.RebalanceTimeoutMillis, e.SessionTimeoutMillis = int32(m.rebalance.Milliseconds()), int32(m.session.Milliseconds())
			e.Subscription, e.Assignment = m.metadata(g.protocol), m.assignment
			v.Members = append(v.Members, e)
		}
	}
	t.effects.Records = append(t.effects.Records, machine.Record{Key: groupKey(g.id), Value: v.AppendTo(nil)})
}

// Replay implements machine.Machine. A group's members are taken from the log only when it is loaded: while it runs, what
// was proposed says what the group is already. Records of other kinds are skipped and counted.
func (m *Machine) Replay(r machine.Record) error {
	if len(r.Key) < 2 {
		return fmt.Errorf("a key of %d bytes", len(r.Key))
	}
	switch version := int16(binary.BigEndian.Uint16(r.Key)); version {
	case 0, offsetKeyVersion:
		return m.replayOffset(r)
	case groupKeyVersion:
		return m.replayGroup(r)
	default:
		m.skipped++ // of a kind that other versions and coordinators write
		return nil
	}
}

// read reads a value. Versions that are not known are refused: their fields may lie elsewhere.
func read(v interface{ ReadFrom([]byte) error }, value []byte, versionMax int16) error {
	if len(value) < 2 {
		return fmt.Errorf("a value of %d bytes", len(value))
	}
	if version := int16(binary.BigEndian.Uint16(value)); version < 0 || version > versionMax {
		return fmt.Errorf("a value of version %d; known are 0 to %d", version, versionMax)
	}
	return v.ReadFrom(value)
}

func (m *Machine) replayOffset(r machine.Record) error {
	k := kmsg.NewOffsetCommitKey()
	if err := k.ReadFrom(r.Key); err != nil {
		return fmt.Errorf("key of an offset: %w", err)
	}
	tp := topicPartition{k.Topic, k.Partition}
	g := m.groups[k.Group]
	if r.Value == nil {
		if g != nil {
			delete(g.offsets, tp)
		}
		return nil
	}
	v := kmsg.NewOffsetCommitValue()
	if err := read(&v, r.Value, offsetValueVersion); err != nil {
		return fmt.Errorf("offset of group %q: %w", k.Group, err)
	}
	if g == nil {
		g = newGroup(k.Group)
		m.groups[k.Group] = g
	}
	if v.Version != expiringOffsetVersion {
		v.ExpireTimestamp = noTimestamp
	}
	if v.Version < offsetEpochVersionMin {
		v.LeaderEpoch = -1
	}
	g.offsets[tp] = offset{
		at: v.Offset, epoch: v.LeaderEpoch, metadata: v.Metadata, committed: v.CommitTimestamp, expires: v.ExpireTimestamp, topicID: v.TopicID,
	}
	return nil
}

func (m *Machine) replayGroup(r machine.Record) error {
	k := kmsg.NewGroupMetadataKey()
	if err := k.ReadFrom(r.Key); err != nil {
		return fmt.Errorf("key of a group: %w", err)
	}
	if r.Value == nil {
		m.groupGone(k.Group)
		return nil
	}
	if r.Offset < 0 {
		m.groups[k.Group].recorded = r.Value
		return nil
	}
	v := kmsg.NewGroupMetadataValue()
	if err := read(&v, r.Value, groupValueVersionMax); err != nil {
		return fmt.Errorf("metadata of group %q: %w", k.Group, err)
	}
	g, err := loadGroup(k.Group, v)
	if err != nil {
		return fmt.Errorf("metadata of group %q: %w", k.Group, err)
	}
	g.recorded = slices.Clone(r.Value)
	if old := m.groups[k.Group]; old != nil {
		g.offsets = old.offsets
		m.forget(old)
	}
	m.groups[k.Group] = g
	return nil
}

// Snapshot implements machine.Machine. A group in the middle of a rebalance is as its newest record says.
func (m *Machine) Snapshot() ([]machine.Record, bool) {
	if m.skipped > 0 {
		return nil, false
	}
	var out []machine.Record
	for _, g := range m.sorted() {
		if g.recorded != nil {
			out = append(out, machine.Record{Key: groupKey(g.id), Value: g.recorded})
		}
		for tp, o := range g.offsets {
			out = append(out, offsetRecord(g.id, tp, o))
		}
	}
	return out, true
}

// groupGone removes a group. As long as it has offsets, it stays as one that never had members.
func (m *Machine) groupGone(id string) {
	old := m.groups[id]
	if old == nil {
		return
	}
	m.forget(old)
	if len(old.offsets) > 0 {
		g := newGroup(id)
		g.offsets = old.offsets
		m.groups[id] = g
	}
}

func loadGroup(id string, v kmsg.GroupMetadataValue) (*group, error) {
	g := newGroup(id)
	g.protocolType, g.generation, g.protocol = v.ProtocolType, v.Generation, text(v.Protocol)
	if v.CurrentStateTimestamp != noTimestamp {
		g.since = time.UnixMilli(v.CurrentStateTimestamp)
	}
	for _, e := range v.Members {
		m := &member{
			id: e.MemberID, instance: e.InstanceID, clientID: e.ClientID, clientHost: e.ClientHost,
			session: time.Duration(e.SessionTimeoutMillis) * time.Millisecond, assignment: slices.Clone(e.Assignment),
		}
		m.rebalance = m.session
		if e.RebalanceTimeoutMillis != -1 { // before version 1 they were one
			m.rebalance = time.Duration(e.RebalanceTimeoutMillis) * time.Millisecond
		}
		if g.members[m.id] != nil || m.instance != nil && g.static[*m.instance] != "" {
			return nil, fmt.Errorf("member %q is there twice", m.id)
		}
		p := kmsg.NewJoinGroupRequestProtocol()
		p.Name, p.Metadata = g.protocol, slices.Clone(e.Subscription)
		m.protocols = append(m.protocols, p)
		g.add(m)
	}
	if len(g.members) > 0 {
		g.state = Stable
		if leader := text(v.Leader); g.members[leader] != nil {
			g.leader = leader
		}
	}
	g.subscribed = g.subscriptions()
	return g, nil
}
