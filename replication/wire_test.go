package replication

import (
	"testing"

	"go.etcd.io/raft/v3/raftpb"
)

// FuzzParseMessage reads what another node might send: it is refused, or it is written as it was read.
func FuzzParseMessage(f *testing.F) {
	for _, m := range []*raftpb.Message{
		{Type: raftpb.MsgHeartbeat.Enum(), From: new(uint64(1)), To: new(uint64(2)), Index: new(uint64(3))},
		{Type: raftpb.MsgApp.Enum(), From: new(uint64(1)), To: new(uint64(2)), Index: new(uint64(4)), Entries: []*raftpb.Entry{{Term: new(uint64(1))}}},
	} {
		b, err := AppendMessage(nil, GroupID{Partition: 7}, m)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(b)
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		id, m, err := ParseMessage(b)
		if err != nil {
			return
		}
		again, err := AppendMessage(nil, id, m)
		if err != nil {
			t.Fatal(err)
		}
		id2, m2, err := ParseMessage(again)
		if err != nil || id2 != id || m2.GetType() != m.GetType() || len(m2.Entries) != len(m.Entries) {
			t.Fatalf("it is not read as it was written: %v", err)
		}
	})
}
