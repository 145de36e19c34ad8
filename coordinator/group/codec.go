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
	offsetKeyVersion   = 1
	offsetValueVersion = 3
	groupKeyVersion    = 2
	groupValueVersion  = 3
)

func offsetKey(group string, tp topicPartition) []byte {
	k := kmsg.NewOffsetCommitKey()
	k.Version, k.Group, k.Topic, k.Partition = offsetKeyVersion, group, tp.topic, tp.partition
	return k.AppendTo(nil)
}

func offsetRecord(group string, tp topicPartition, o offset) machine.Record {
	v := kmsg.NewOffsetCommitValue()
	v.Version, v.Offset, v.LeaderEpoch, v.Metadata, v.CommitTimestamp = offsetValueVersion, o.at, o.epoch, o.metadata, o.committed
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
	v.Version, v.ProtocolType, v.Generation, v.CurrentStateTimestamp = groupValueVersion, g.protocolType, g.generation, t.now.UnixMilli()
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
	g.recorded = true
	t.effects.Records = append(t.effects.Records, machine.Record{Key: groupKey(g.id), Value: v.AppendTo(nil)})
}

// Replay implements machine.Machine. A group's members are taken from the log only when it is loaded: while it runs, what
// was proposed says what the group is already.
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
	if err := v.ReadFrom(r.Value); err != nil {
		return fmt.Errorf("offset of group %q: %w", k.Group, err)
	}
	if g == nil {
		g = newGroup(k.Group)
		m.groups[k.Group] = g
	}
	g.offsets[tp] = offset{v.Offset, v.LeaderEpoch, v.Metadata, v.CommitTimestamp}
	return nil
}

func (m *Machine) replayGroup(r machine.Record) error {
	k := kmsg.NewGroupMetadataKey()
	if err := k.ReadFrom(r.Key); err != nil {
		return fmt.Errorf("key of a group: %w", err)
	}
	if r.Value == nil {
		if g := m.groups[k.Group]; g != nil && (len(g.offsets) == 0 || r.Offset < 0) {
			delete(m.groups, k.Group)
		}
		return nil
	}
	if r.Offset < 0 {
		return nil
	}
	v := kmsg.NewGroupMetadataValue()
	if err := v.ReadFrom(r.Value); err != nil {
		return fmt.Errorf("metadata of group %q: %w", k.Group, err)
	}
	g := newGroup(k.Group)
	if old := m.groups[k.Group]; old != nil {
		g.offsets = old.offsets
	}
	m.groups[k.Group] = g
	g.recorded = true
	g.protocolType, g.generation, g.protocol = v.ProtocolType, v.Generation, text(v.Protocol)
	g.since = time.UnixMilli(v.CurrentStateTimestamp)
	for _, e := range v.Members {
		mem := &member{
			id: e.MemberID, instance: e.InstanceID, clientID: e.ClientID, clientHost: e.ClientHost,
			session:    time.Duration(e.SessionTimeoutMillis) * time.Millisecond,
			rebalance:  time.Duration(e.RebalanceTimeoutMillis) * time.Millisecond,
			assignment: slices.Clone(e.Assignment), synced: true,
		}
		p := kmsg.NewJoinGroupRequestProtocol()
		p.Name, p.Metadata = g.protocol, slices.Clone(e.Subscription)
		mem.protocols = append(mem.protocols, p)
		g.add(mem)
	}
	if len(g.members) > 0 {
		g.state, g.leader = Stable, text(v.Leader)
		if g.members[g.leader] == nil {
			g.leader = g.order[0]
		}
	}
	return nil
}
