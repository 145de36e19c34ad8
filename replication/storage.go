package replication

import (
	"context"
	"errors"
	"fmt"
	"log/slog"

	"go.etcd.io/raft/v3"
	"go.etcd.io/raft/v3/raftpb"
	"google.golang.org/protobuf/proto"

	"github.com/weir/weir/internal/vfs"
	"github.com/weir/weir/log"
)

// storage shows a partition log to raft.
type storage struct {
	log     Log
	hard    HardState
	members *membership
	// light makes Entries leave out the data of batches. It is set while raft collects what to apply: a replica only
	// wants to know how far its log is committed, so nothing is read back from disk for it.
	light bool
	// unread says that entries could not be read, though they are there. To who needs them a snapshot is of no use.
	unread bool
}

func (s *storage) InitialState() (*raftpb.HardState, *raftpb.ConfState, error) {
	hard := &raftpb.HardState{Term: new(s.hard.Term), Vote: new(s.hard.Vote), Commit: new(s.hard.Commit)}
	return hard, raftpb.EnsureConfState(proto.Clone(s.members.now.State).(*raftpb.ConfState)), nil
}

func (s *storage) Entries(lo, hi, maxSize uint64) ([]*raftpb.Entry, error) {
	if lo < s.log.FirstIndex() {
		return nil, raft.ErrCompacted
	}
	if s.light {
		return s.outline(lo, hi)
	}
	entries, err := s.log.Entries(lo, hi, maxSize)
	if err = raftError(err); err != nil && err != raft.ErrCompacted && err != raft.ErrUnavailable {
		s.unread = true
		return nil, raft.ErrCompacted // raft then sends nothing, and tries again later: see Snapshot
	}
	if s.unread = false; err != nil {
		return nil, err
	}
	out := make([]*raftpb.Entry, len(entries))
	for i, e := range entries {
		out[i] = toRaft(e)
	}
	return out, nil
}

func (s *storage) outline(lo, hi uint64) ([]*raftpb.Entry, error) {
	out := make([]*raftpb.Entry, 0, hi-lo)
	for i := lo; i < hi; i++ {
		if own, ok := s.log.Own(i); ok {
			out = append(out, toRaft(own))
			continue
		}
		term, err := s.log.Term(i)
		if err != nil {
			return nil, raftError(err)
		}
		out = append(out, &raftpb.Entry{Index: new(i), Term: new(term), Data: withoutBatch})
	}
	return out, nil
}

func (s *storage) Term(i uint64) (uint64, error) {
	t, err := s.log.Term(i)
	return t, raftError(err)
}

func (s *storage) LastIndex() (uint64, error)  { return s.log.LastIndex(), nil }
func (s *storage) FirstIndex() (uint64, error) { return s.log.FirstIndex(), nil }

func raftError(err error) error {
	switch {
	case errors.Is(err, log.ErrCompacted):
		return raft.ErrCompacted
	case errors.Is(err, log.ErrUnavailable):
		return raft.ErrUnavailable
	}
	return err
}

// withoutBatch stands in raft's entries for the data of a batch, which raft never sees.
var withoutBatch = []byte{0}

// outlined tells whether an entry is a batch without its data. No batch is as short as what stands for it.
func outlined(e *raftpb.Entry) bool {
	return e.GetType() == raftpb.EntryNormal && len(e.GetData()) == len(withoutBatch)
}

// isNote tells notes from batches by their size.
func isNote(e *raftpb.Entry) bool {
	return e.GetType() == raftpb.EntryNormal && len(e.GetData()) > len(withoutBatch) && len(e.GetData()) <= noteMax
}

func fromRaft(e *raftpb.Entry) log.Entry {
	kind := log.Batch
	switch {
	case e.GetType() == raftpb.EntryConfChange:
		kind = kindConfChange
	case e.GetType() == raftpb.EntryConfChangeV2:
		kind = kindConfChangeV2
	case len(e.GetData()) == 0:
		kind = kindEmpty
	case isNote(e):
		kind = kindNote
	}
	return log.Entry{Index: e.GetIndex(), Term: e.GetTerm(), Kind: kind, Data: e.GetData()}
}

func toRaft(e log.Entry) *raftpb.Entry {
	return &raftpb.Entry{Index: new(e.Index), Term: new(e.Term), Type: typeOf(e.Kind), Data: e.Data}
}

// typeOf gives raft's type of a kind of entry; nil: normal.
func typeOf(k log.Kind) *raftpb.EntryType {
	switch k {
	case kindConfChange:
		return raftpb.EntryConfChange.Enum()
	case kindConfChangeV2:
		return raftpb.EntryConfChangeV2.Enum()
	}
	return nil
}

func unmarshal(b []byte, m proto.Message) error { return proto.Unmarshal(b, m) }

func noSpace(err error) bool { return vfs.IsNoSpace(err) }

// raftLogger passes on what raft says. Its chatter about elections is for debugging, as are its warnings, which name nodes by raft's
// numbers; what it calls fatal is a bug.
type raftLogger struct{ l *slog.Logger }

func (r raftLogger) Debug(v ...any)                   { r.l.Debug(fmt.Sprint(v...)) }
func (r raftLogger) Debugf(format string, v ...any)   { r.debugf(format, v...) }
func (r raftLogger) Info(v ...any)                    { r.l.Debug(fmt.Sprint(v...)) }
func (r raftLogger) Infof(format string, v ...any)    { r.debugf(format, v...) }
func (r raftLogger) Warning(v ...any)                 { r.l.Debug(fmt.Sprint(v...)) }
func (r raftLogger) Warningf(format string, v ...any) { r.debugf(format, v...) }
func (r raftLogger) Error(v ...any)                   { r.l.Error(fmt.Sprint(v...)) }
func (r raftLogger) Errorf(format string, v ...any)   { r.l.Error(fmt.Sprintf(format, v...)) }
func (r raftLogger) Fatal(v ...any)                   { panic("BUG: raft: " + fmt.Sprint(v...)) }
func (r raftLogger) Fatalf(format string, v ...any)   { panic("BUG: raft: " + fmt.Sprintf(format, v...)) }
func (r raftLogger) Panic(v ...any)                   { panic("BUG: raft: " + fmt.Sprint(v...)) }
func (r raftLogger) Panicf(format string, v ...any)   { panic("BUG: raft: " + fmt.Sprintf(format, v...)) }

func (r raftLogger) debugf(format string, v ...any) {
	if r.l.Enabled(context.Background(), slog.LevelDebug) {
		r.l.Debug(fmt.Sprintf(format, v...))
	}
}
