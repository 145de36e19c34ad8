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
//	type uint8 (of raft), reject uint8, from, to, term, log term, index, commit, reject hint uint64 each
//	length uint8, context
//	length uint32, snapshot (protobuf)
//	count uint32, count times: kind uint8 (of log.Entry; 0: it goes to a witness, without its data), term uint64, length uint32, data
//
// Entries are numbered from the message's index + 1 on. Batches come as they are in the log, and are checked here.

const (
	messageHeader = 16 + 4 + 2 + 7*8 + 1
	entryHeader   = 1 + 8 + 4
)

// fromPeers are the messages that nodes send each other.
var fromPeers = [256]bool{
	raftpb.MsgApp: true, raftpb.MsgAppResp: true, raftpb.MsgVote: true, raftpb.MsgVoteResp: true,
	raftpb.MsgPreVote: true, raftpb.MsgPreVoteResp: true, raftpb.MsgHeartbeat: true, raftpb.MsgHeartbeatResp: true,
	raftpb.MsgTimeoutNow: true, raftpb.MsgForgetLeader: true, raftpb.MsgSnap: true,
}

// Inset is data that belongs between other bytes, at a place, and was not copied there.
type Inset struct {
	At   int
	Data []byte
}

// insetMin is from how many bytes on a batch is not copied. To copy less costs less than to keep it where it is.
const insetMin = 32 << 10

// AppendMessage adds a message to b. If insets is not nil, large batches are added there instead.
func AppendMessage(b []byte, insets *[]Inset, id GroupID, m *raftpb.Message) []byte {
	be := binary.BigEndian
	b = append(b, id.Topic[:]...)
	b = be.AppendUint32(b, uint32(id.Partition))
	b = append(b, byte(m.GetType()), 0)
	if m.GetReject() {
		b[len(b)-1] = 1
	}
	for _, v := range [...]uint64{m.GetFrom(), m.GetTo(), m.GetTerm(), m.GetLogTerm(), m.GetIndex(), m.GetCommit(), m.GetRejectHint()} {
		b = be.AppendUint64(b, v)
	}
	b = append(append(b, byte(len(m.Context))), m.Context...)
	at := len(b)
	b = append(b, 0, 0, 0, 0)
	if m.Snapshot != nil {
		var err error
		if b, err = (proto.MarshalOptions{}).MarshalAppend(b, m.Snapshot); err != nil {
			panic(fmt.Sprintf("BUG: the snapshot of raft group %v cannot be written: %v", id, err))
		}
		be.PutUint32(b[at:], uint32(len(b)-at-4))
	}
	b = be.AppendUint32(b, uint32(len(m.Entries)))
	for _, e := range m.Entries {
		own := fromRaft(e)
		if outlined(e) {
			own.Kind, own.Data = kindHeader, nil
		}
		if b = appendEntryHeader(b, own); insets != nil && len(own.Data) >= insetMin {
			*insets = append(*insets, Inset{len(b), own.Data})
		} else {
			b = append(b, own.Data...)
		}
	}
	return b
}

var errMessage = errors.New("a message of another node is malformed")

// parsed is a message with room for what it points to.
type parsed struct {
	raftpb.Message
	kind   raftpb.MessageType
	reject bool
	n      [7]uint64
}

// ParseMessage reads a message of another node. Its batches stay in b, all else is copied.
func ParseMessage(b []byte) (id GroupID, m *raftpb.Message, err error) {
	be := binary.BigEndian
	if len(b) < messageHeader {
		return id, nil, errMessage
	}
	copy(id.Topic[:], b)
	id.Partition = int32(be.Uint32(b[16:]))
	p := &parsed{kind: raftpb.MessageType(b[20]), reject: b[21] == 1}
	for i := range p.n {
		p.n[i] = be.Uint64(b[22+8*i:])
	}
	m = &p.Message
	m.Type, m.From, m.To, m.Term = &p.kind, &p.n[0], &p.n[1], &p.n[2]
	m.LogTerm, m.Index, m.Commit, m.RejectHint = &p.n[3], &p.n[4], &p.n[5], &p.n[6]
	if p.reject {
		m.Reject = &p.reject
	}
	if !fromPeers[b[20]] || b[21] > 1 {
		return id, nil, fmt.Errorf("%w: a %v does not come from other nodes", errMessage, p.kind)
	}
	size := int(b[messageHeader-1])
	if b = b[messageHeader:]; size+4 > len(b) {
		return id, nil, errMessage
	}
	if size > 0 {
		m.Context = append([]byte(nil), b[:size]...)
	}
	if b, err = parseWithin(m, b[size:]); err != nil {
		return id, nil, err
	}
	return id, m, parseEntries(m, b)
}

// parseWithin takes the snapshot off the front of b.
func parseWithin(m *raftpb.Message, b []byte) ([]byte, error) {
	size := int64(binary.BigEndian.Uint32(b))
	if b = b[4:]; size > int64(len(b)) || (size > 0) != (m.GetType() == raftpb.MsgSnap) {
		return nil, errMessage
	}
	if size == 0 {
		return b, nil
	}
	m.Snapshot = &raftpb.Snapshot{}
	err := proto.Unmarshal(b[:size], m.Snapshot)
	if err == nil {
		_, _, err = parseSnapshot(m.Snapshot)
	}
	if err != nil {
		return nil, fmt.Errorf("%w: %w", errMessage, err)
	}
	return b[size:], nil
}

// parsedEntry is an entry with room for what it points to.
type parsedEntry struct {
	raftpb.Entry
	index, term uint64
}

func parseEntries(m *raftpb.Message, b []byte) (err error) {
	if len(b) < 4 {
		return errMessage
	}
	count := int(binary.BigEndian.Uint32(b))
	if b = b[4:]; count > len(b)/entryHeader || count > 0 && m.GetType() != raftpb.MsgApp {
		return errMessage
	}
	if count > 0 {
		entries := make([]parsedEntry, count)
		m.Entries = make([]*raftpb.Entry, count)
		for i := range entries {
			e := &entries[i]
			e.index = m.GetIndex() + 1 + uint64(i)
			if b, err = e.parse(b, IsWitness(m.GetTo())); err != nil {
				return err
			}
			m.Entries[i] = &e.Entry
		}
	}
	if len(b) > 0 {
		return errMessage
	}
	return nil
}

// parse takes an entry off the front of b. A damaged batch is refused here, so that it is never copied further.
func (e *parsedEntry) parse(b []byte, witness bool) ([]byte, error) {
	if len(b) < entryHeader {
		return nil, errMessage
	}
	kind, size := log.Kind(b[0]), int64(binary.BigEndian.Uint32(b[9:]))
	e.term = binary.BigEndian.Uint64(b[1:])
	e.Index, e.Term = &e.index, &e.term
	b = b[entryHeader:]
	if kind == kindHeader && size == 0 && witness {
		e.Data = withoutBatch
		return b, nil
	}
	if size > int64(len(b)) || kind == kindHeader || kind > kindNote || kind == kindEmpty && size > 0 || kind == kindNote && (size < 2 || size > noteMax) {
		return nil, errMessage
	}
	data := b[:size:size]
	if kind == log.Batch {
		h, err := record.ParseHeader(data)
		if err != nil || h.Size() != len(data) || uint64(uint32(h.LeaderEpoch)) != e.term || !bugs.UncheckedMessages && !record.CheckCRC(data) {
			return nil, fmt.Errorf("%w: entry %d is not a whole batch of term %d", errMessage, e.index, e.term)
		}
	} else {
		data = append([]byte(nil), data...)
	}
	e.Data, e.Type = data, typeOf(kind)
	if changesMembers(kind) {
		if _, _, err := parseChange(e.GetType(), data); err != nil {
			return nil, fmt.Errorf("%w: %w", errMessage, err)
		}
	}
	return b[size:], nil
}
