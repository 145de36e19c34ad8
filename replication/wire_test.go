package replication

import (
	"errors"
	"testing"

	"go.etcd.io/raft/v3/raftpb"
)

// FuzzParseMessage reads what another node might send: it is refused, or it is written as it was read.
func FuzzParseMessage(f *testing.F) {
	for _, m := range []*raftpb.Message{
		{Type: raftpb.MsgHeartbeat.Enum(), From: new(uint64(1)), To: new(uint64(2)), Index: new(uint64(3))},
		{Type: raftpb.MsgApp.Enum(), From: new(uint64(1)), To: new(uint64(2)), Index: new(uint64(4)), Entries: []*raftpb.Entry{{Term: new(uint64(1))}}},
		{Type: raftpb.MsgSnap.Enum(), From: new(uint64(1)), To: new(uint64(2)), Snapshot: someSnapshot()},
		toWitness(WitnessOf(2)),
	} {
		f.Add(AppendMessage(nil, nil, GroupID{Partition: 7}, m))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		id, m, err := ParseMessage(b)
		if err != nil {
			return
		}
		again := AppendMessage(nil, nil, id, m)
		id2, m2, err := ParseMessage(again)
		if err != nil || id2 != id || m2.GetType() != m.GetType() || len(m2.Entries) != len(m.Entries) {
			t.Fatalf("it is not read as it was written: %v", err)
		}
	})
}

// toWitness is an append of entries without data, and of one of raft's own, to somebody.
func toWitness(id NodeID) *raftpb.Message {
	return &raftpb.Message{
		Type: raftpb.MsgApp.Enum(), From: new(uint64(1)), To: new(id), Index: new(uint64(4)),
		Entries: []*raftpb.Entry{{Term: new(uint64(1)), Data: withoutBatch}, {Term: new(uint64(3))}, {Term: new(uint64(3)), Data: withoutBatch}},
	}
}

// TestEntriesWithoutData go to witnesses, and to nobody else.
func TestEntriesWithoutData(t *testing.T) {
	for _, id := range []NodeID{2, WitnessOf(2)} {
		_, m, err := ParseMessage(AppendMessage(nil, nil, GroupID{Partition: 7}, toWitness(id)))
		if !IsWitness(id) {
			if !errors.Is(err, errMessage) {
				t.Errorf("a replica takes entries without data: %v", err)
			}
			continue
		}
		if err != nil || len(m.Entries) != 3 || !outlined(m.Entries[0]) || outlined(m.Entries[1]) || m.Entries[2].GetIndex() != 7 || m.Entries[2].GetTerm() != 3 {
			t.Errorf("a witness gets %v: %v", m, err)
		}
	}
}

func someSnapshot() *raftpb.Snapshot {
	return &raftpb.Snapshot{
		Data: append([]byte{snapshotVersion, 0, 0, 0, 0, 0, 0, 0, 9, 0, 0, 0, 0, 0, 0, 1, 0}, "state"...),
		Metadata: &raftpb.SnapshotMetadata{
			Index: new(uint64(41)), Term: new(uint64(3)), ConfState: &raftpb.ConfState{Voters: []uint64{1, 2}, Learners: []uint64{3}},
		},
	}
}

func TestSnapshotMessage(t *testing.T) {
	o, m, err := parseSnapshot(someSnapshot())
	if err != nil || o.Index != 42 || o.Term != 3 || o.Offset != 256 || string(o.State) != "state" || m.Index != 9 || len(m.State.Voters) != 2 {
		t.Fatalf("%+v, %+v (%v)", o, m, err)
	}
	for name, spoil := range map[string]func(s *raftpb.Snapshot){
		"no data":                   func(s *raftpb.Snapshot) { s.Data = nil },
		"short data":                func(s *raftpb.Snapshot) { s.Data = s.Data[:snapshotHeader-1] },
		"another version":           func(s *raftpb.Snapshot) { s.Data[0]++ },
		"a negative offset":         func(s *raftpb.Snapshot) { s.Data[9] = 0x80 },
		"nothing before it":         func(s *raftpb.Snapshot) { s.Metadata.Index = nil },
		"no members":                func(s *raftpb.Snapshot) { s.Metadata.ConfState = nil },
		"a voter that is a learner": func(s *raftpb.Snapshot) { s.Metadata.ConfState.Learners[0] = 1 },
		"members that raft refuses": func(s *raftpb.Snapshot) { s.Metadata.ConfState.Voters[0] = 0 },
	} {
		t.Run(name, func(t *testing.T) {
			s := someSnapshot()
			spoil(s)
			b := AppendMessage(nil, nil, GroupID{}, &raftpb.Message{Type: raftpb.MsgSnap.Enum(), Snapshot: s})
			if _, _, err := ParseMessage(b); err == nil {
				t.Error("it is taken")
			}
		})
	}
	for name, m := range map[string]*raftpb.Message{
		"without one":        {Type: raftpb.MsgSnap.Enum()},
		"with another kind":  {Type: raftpb.MsgApp.Enum(), Snapshot: someSnapshot()},
		"unreadable changes": {Type: raftpb.MsgApp.Enum(), Entries: []*raftpb.Entry{{Type: raftpb.EntryConfChangeV2.Enum(), Data: []byte{0xff}}}},
	} {
		b := AppendMessage(nil, nil, GroupID{}, m)
		if _, _, err := ParseMessage(b); err == nil {
			t.Errorf("%s: it is taken", name)
		}
	}
}
