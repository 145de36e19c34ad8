package replication

import (
	"encoding/binary"
	"errors"
	"fmt"
	"math"

	"go.etcd.io/raft/v3"
	"go.etcd.io/raft/v3/confchange"
	"go.etcd.io/raft/v3/raftpb"
	"go.etcd.io/raft/v3/tracker"
	"google.golang.org/protobuf/proto"

	"github.com/weir/weir/log"
)

// A follower that needs entries which the leader's log no longer has gets raft's snapshot: where the leader's log begins, what the
// log's owner knew there, and the members. It begins its own log there too (log.Reset), and all else comes as it comes to any
// follower that is behind, from the leader's log. A snapshot is small, so a lost one is noticed and sent again as a probe is.
//
// Its index is that of the entry before the leader's first one. The members are those of now, and may be newer: a replica
// does not apply changes that are in its members already.
//
// A snapshot's data, big-endian: version uint8 = 1, index of the members uint64, offset int64, the owner's state.

const (
	snapshotVersion = 1
	snapshotHeader  = 1 + 8 + 8
)

// Snapshot is asked for when a follower needs what the log no longer has.
func (s *storage) Snapshot() (*raftpb.Snapshot, error) {
	o := s.log.Origin()
	if o.Index == 1 || s.unread { // all is there
		s.unread = false
		return nil, raft.ErrSnapshotTemporarilyUnavailable
	}
	data := append(make([]byte, 0, snapshotHeader+len(o.State)), snapshotVersion)
	data = binary.BigEndian.AppendUint64(data, s.members.now.Index)
	data = binary.BigEndian.AppendUint64(data, uint64(o.Offset))
	return &raftpb.Snapshot{
		Data: append(data, o.State...),
		Metadata: &raftpb.SnapshotMetadata{
			Index: new(o.Index - 1), Term: new(o.Term),
			ConfState: proto.Clone(s.members.now.State).(*raftpb.ConfState),
		},
	}, nil
}

var errSnapshot = errors.New("a snapshot is malformed")

// parseSnapshot reads where a log is to begin, and with which members.
func parseSnapshot(s *raftpb.Snapshot) (o log.Origin, m Members, err error) {
	meta, data := s.GetMetadata(), s.GetData()
	if meta.GetIndex() == 0 || len(data) < snapshotHeader || data[0] != snapshotVersion {
		return o, m, errSnapshot
	}
	m = Members{Index: binary.BigEndian.Uint64(data[1:]), State: meta.GetConfState()}
	o = log.Origin{Index: meta.GetIndex() + 1, Term: meta.GetTerm(), Offset: int64(binary.BigEndian.Uint64(data[9:])), State: data[snapshotHeader:]}
	if o.Offset < 0 || len(m.State.GetVoters()) == 0 {
		return o, m, errSnapshot
	}
	if err := checkMembers(m.State); err != nil {
		return o, m, fmt.Errorf("%w: %w", errSnapshot, err)
	}
	return o, m, nil
}

// checkMembers refuses members that raft would not have.
func checkMembers(s *raftpb.ConfState) error {
	cfg, _, err := confchange.Restore(confchange.Changer{Tracker: tracker.MakeProgressTracker(1, 0)}, raftpb.EnsureConfState(s))
	if err != nil {
		return err
	}
	restored := tracker.ProgressTracker{Config: cfg}
	return s.Equivalent(restored.ConfState())
}

// restore begins the log anew where a leader's begins. The members are durable first: with the old ones this node could win an
// election that its new place in the log does not entitle it to. New ones before their entries are in the log do no harm, since a
// majority of them has those entries.
func (g *Group) restore(s *raftpb.Snapshot) error {
	o, members, err := parseSnapshot(s)
	if err != nil {
		return err
	}
	if o.Index <= g.applied+1 { // it was done, and then the disk was too full for the entries after it
		return nil
	}
	m := &g.members
	if g.headers == nil {
		if err := g.host.journal.Commit([]Update{{ID: g.key, members: &members}}); err != nil {
			return err
		}
		m.unsaved, m.saving = false, false
	} else { // both are written at once, and it does not lead
		m.unsaved, m.oldest = true, math.MaxUint64
	}
	if err := g.log.Reset(o); err != nil {
		return err
	}
	g.applied = o.Index - 1
	g.keep()
	if m.fence = g.applied; g.applied < members.Index {
		m.fence = math.MaxUint64
	}
	g.become(members)
	if g.headers == nil {
		g.host.cfg.Logger.Info("the log begins anew where the leader's begins", "partition", g.id.String(), "offset", o.Offset)
	}
	g.announce() // what this node proposed as a leader is not what is committed there
	g.replica.Committed(g.applied)
	return nil
}

// sendSnapshot passes a snapshot on. Raft then goes on as if it had arrived, and comes back to it if it did not.
func (g *Group) sendSnapshot(m *raftpb.Message) {
	status := raft.SnapshotFinish
	if !g.afford(m.GetTo(), len(m.GetSnapshot().GetData())) || !g.post(m) {
		status = raft.SnapshotFailure
	}
	g.rn.ReportSnapshot(m.GetTo(), status)
}
