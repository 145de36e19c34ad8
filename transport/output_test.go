package transport

import (
	"bytes"
	"math"
	"testing"

	"go.etcd.io/raft/v3/raftpb"

	"github.com/weir/weir/replication"
)

// loan is memory that is lent.
type loan struct{ size, users int }

func (l *loan) Retain()   { l.users++ }
func (l *loan) Release()  { l.users-- }
func (l *loan) Size() int { return l.size }

// TestFramesKeepSoMuch: large batches stay in the memory that they are in, until that would be too much.
func TestFramesKeepSoMuch(t *testing.T) {
	large, small := bytes.Repeat([]byte("large"), 10_000), []byte("small batch")
	one, other, scarce := &loan{size: 60_000}, &loan{size: 30_000}, &loan{size: math.MaxInt}
	var f, copied frames
	for i, c := range []struct {
		in    *loan
		batch []byte
		users int // afterwards
		kept  int
	}{
		{one, small, 0, 0},
		{one, large, 1, 60_000},
		{one, large, 2, 60_000}, // of the same request
		{other, large, 1, 90_000},
		{scarce, large, 0, 90_000},
		{one, large, 2, 90_000}, // would be too much
		{other, large, 2, 90_000},
	} {
		m := &raftpb.Message{Type: raftpb.MsgApp.Enum(), Entries: []*raftpb.Entry{{Index: new(uint64(1)), Term: new(uint64(1)), Data: c.batch}}}
		c.in.Retain()
		f.addMessage(replication.GroupID{Partition: int32(i)}, m, replication.Held{c.in}, 100_000-f.kept)
		copied.addMessage(replication.GroupID{Partition: int32(i)}, m, nil, -1)
		if c.in.users != c.users || f.kept != c.kept {
			t.Errorf("message %d: %d use the buffer, %d bytes are kept", i, c.in.users, f.kept)
		}
	}
	all := bytes.Join(f.parts(), nil)
	if len(copied.insets) > 0 || !bytes.Equal(all, copied.bytes) || f.size != len(all) {
		t.Errorf("%d bytes, said to be %d, are not the %d that they are when all is copied", len(all), f.size, len(copied.bytes))
	}
	f.clear()
	if one.users+other.users+scarce.users != 0 || f.size+f.kept != 0 || len(bytes.Join(f.parts(), nil)) > 0 {
		t.Error("something is left")
	}
}
