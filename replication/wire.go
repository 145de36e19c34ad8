package replication

import (
	"encoding/binary"
	"errors"
	"fmt"

	"go.etcd.io/raft/v3/raftpb"
	"google.golang.org/protobuf/proto"

	"github.com/weir/weir/internal/bugs"
	"github.com/weir/weir/log"
	"github.com/weir/weir/record"
)

// A message between nodes, big-endian:
//
//	topic id 16 bytes, partition int32
//	length uint32, raft's message without entries (protobuf)
//	count uint32, count times: kind uint8 (of log.Entry; 0: it goes to a witness, without its data), term uint64, length uint32, data
//
// Entries are numbered from the message's index + 1 on. Batches come as they are in the log, and are checked here.

const (
	messageHeader = 16 + 4 + 4
	entryHeader   = 1 + 8 + 4
)

// fromPeers are the messages that nodes send each other.
var fromPeers = map[raftpb.MessageType]bool{
	raftpb.MsgApp: true, raftpb.MsgAppResp: true, raftpb.MsgVote: true, raftpb.MsgVoteResp: true,
	raftpb.MsgPreVote: true, raftpb.MsgPreVoteResp: true, raftpb.MsgHeartbeat: true, raftpb.MsgHeartbeatResp: true,
	raftpb.MsgTimeoutNow: true, raftpb.MsgForgetLeader: true, raftpb.MsgSnap: true,
}

// AppendMessage adds a message to b.
func AppendMessage(b []byte, id GroupID, m *raftpb.Message) ([]byte, error) {
	be := binary.BigEndian
	b = append(b, id.Topic[:]...)
	b = be.AppendUint32(b, uint32(id.Partition))
	at := len(b)
	b = append(b, 0, 0, 0, 0)
	entries := m.Entries
	m.Entries = nil
	b, err := proto.MarshalOptions{}.MarshalAppend(b, m)
	m.Entries = entries
	if err != nil {
		return nil, err
	}
	be.PutUint32(b[at:], uint32(len(b)-at-4))
	b = be.AppendUint32(b, uint32(len(entries)))
	for _, e := range entries {
		own := fromRaft(e)
		if outlined(e) {
			own.Kind, own.Data = kindHeader, nil
		}
		b = appendEntry(b, own)
	}
	return b, nil
}

var errMessage = errors.New("a message of another node is malformed")

// ParseMessage reads a message of another node, which goes on to use b.
func ParseMessage(b []byte) (id GroupID, m *raftpb.Message, err error) {
	be := binary.BigEndian
	if len(b) < messageHeader {
		return id, nil, errMessage
	}
	copy(id.Topic[:], b)
	id.Partition = int32(be.Uint32(b[16:]))
	size := int64(be.Uint32(b[20:]))
	b = b[messageHeader:]
	if size+4 > int64(len(b)) {
		return id, nil, errMessage
	}
	m = &raftpb.Message{}
	if err := proto.Unmarshal(b[:size], m); err != nil {
		return id, nil, fmt.Errorf("%w: %w", errMessage, err)
	}
	if !fromPeers[m.GetType()] || len(m.Entries) > 0 || len(m.Responses) > 0 || (m.Snapshot != nil) != (m.GetType() == raftpb.MsgSnap) {
		return id, nil, fmt.Errorf("%w: a %v does not come from other nodes", errMessage, m.GetType())
	}
	if m.Snapshot != nil {
		if _, _, err := parseSnapshot(m.Snapshot); err != nil {
			return id, nil, fmt.Errorf("%w: %w", errMessage, err)
		}
	}
	count := int(be.Uint32(b[size:]))
	b = b[size+4:]
	if count > len(b)/entryHeader || count > 0 && m.GetType() != raftpb.MsgApp {
		return id, nil, errMessage
	}
	m.Entries = make([]*raftpb.Entry, count)
	for i := range m.Entries {
		if m.Entries[i], b, err = parseEntry(b, m.GetIndex()+1+uint64(i), IsWitness(m.GetTo())); err != nil {
			return id, nil, err
		}
	}
	if len(b) > 0 {
		return id, nil, errMessage
	}
	return id, m, nil
}

// parseEntry takes an entry off the front of b. A damaged batch is refused here, so that it is never copied further.
func parseEntry(b []byte, index uint64, witness bool) (*raftpb.Entry, []byte, error) {
	if len(b) < entryHeader {
		return nil, nil, errMessage
	}
	kind, term, size := log.Kind(b[0]), binary.BigEndian.Uint64(b[1:]), int64(binary.BigEndian.Uint32(b[9:]))
	b = b[entryHeader:]
	if kind == kindHeader && size == 0 && witness {
		return &raftpb.Entry{Index: new(index), Term: new(term), Data: withoutBatch}, b, nil
	}
	if size > int64(len(b)) || kind == kindHeader || kind > kindNote || kind == kindEmpty && size > 0 || kind == kindNote && (size < 2 || size > noteMax) {
		return nil, nil, errMessage
	}
	data := b[:size:size]
	if kind == log.Batch {
		h, err := record.ParseHeader(data)
		if err != nil || h.Size() != len(data) || uint64(uint32(h.LeaderEpoch)) != term || !bugs.UncheckedMessages && !record.CheckCRC(data) {
			return nil, nil, fmt.Errorf("%w: entry %d is not a whole batch of term %d", errMessage, index, term)
		}
	}
	e := toRaft(log.Entry{Index: index, Term: term, Kind: kind, Data: data})
	if changesMembers(kind) {
		if _, _, err := parseChange(e.GetType(), data); err != nil {
			return nil, nil, fmt.Errorf("%w: %w", errMessage, err)
		}
	}
	return e, b[size:], nil
}
