package replication

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"math"

	"go.etcd.io/raft/v3/raftpb"
	"google.golang.org/protobuf/proto"

	"github.com/weir/weir/internal/bugs"
	"github.com/weir/weir/internal/vfs"
)

// The voter journal is a header and frames, big-endian:
//
//	header: "WVOT", version uint8 = 3, 3 zero bytes, durable int64, crc uint32 (CRC32C of the 16 bytes before)
//	frame:  crc uint32 (CRC32C of the rest of the frame), count uint32, and count times:
//	          kind uint8 (1: state, 2: group gone, 3: members, 4: a witness's log), topic id 16 bytes, partition int32, and then of
//	          1 and 2: term uint64, vote uint64, commit uint64
//	          3:       index uint64, length uint16, raft's ConfState (protobuf)
//	          4:       length uint32, see headers.encode
//
// A group's witness has the number -1 minus the partition's. Versions 1 and 2, which are read too, have no witnesses, and version 1
// no members. The last state of a group counts, and its members as of the last
// entry. Each frame is synced before the next is written, and then durable says how long the
// file is, so that a damaged frame is either one that a crash cut short, which is dropped, or one that was durable, which is
// an error. The header fits in a sector and needs no sync of its own: an older one only knows less.
const (
	headerSize  = 20
	frameHeader = 8
	nameSize    = 21 // kind and group
	stateSize   = 24
	membersSize = 10 // and what length says
	kindState   = 1
	kindGone    = 2
	kindMembers = 3
	kindHeaders = 4

	journalMagic   = "WVOT"
	journalVersion = 3
)

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

func header(durable int64) []byte {
	be := binary.BigEndian
	b := append(make([]byte, 0, headerSize), journalMagic...)
	b = append(b, journalVersion, 0, 0, 0)
	b = be.AppendUint64(b, uint64(durable))
	return be.AppendUint32(b, crc32.Checksum(b, castagnoli))
}

// parseHeader gives the length that is known to be durable. A header that says nothing trustworthy is no reason to refuse
// frames that are whole.
func (j *Journal) parseHeader(b []byte) (durable int64, err error) {
	if len(b) < headerSize || string(b[:4]) != journalMagic {
		return 0, &DamageError{j.name, 0, "it does not begin as a voter journal"}
	}
	be := binary.BigEndian
	whole := crc32.Checksum(b[:headerSize-4], castagnoli) == be.Uint32(b[headerSize-4:])
	if whole && (b[4] < 1 || b[4] > journalVersion) {
		return 0, fmt.Errorf("%s has format %d, and this version knows %d: start the node with the version that wrote it", j.name, b[4], journalVersion)
	}
	if !whole {
		return 0, nil
	}
	return int64(be.Uint64(b[8:])), nil
}

// load takes the states from a file, and tells where its last whole frame ends.
func (j *Journal) load(b []byte) (end int64, err error) {
	durable, err := j.parseHeader(b)
	if err != nil {
		return 0, err
	}
	pos := headerSize
	for pos < len(b) {
		updates, size := parseFrame(b[pos:])
		if size == 0 {
			break
		}
		for _, u := range updates {
			if !bugs.JournalCut || pos+size < len(b) {
				j.note(u)
			}
		}
		j.count += len(updates)
		pos += size
	}
	if int64(pos) < durable {
		return 0, &DamageError{j.name, int64(pos), fmt.Sprintf("%d bytes were durable", durable)}
	}
	for at := pos + 1; at < len(b); at++ {
		if _, size := parseFrame(b[at:]); size > 0 {
			return 0, &DamageError{j.name, int64(pos), fmt.Sprintf("it is whole again at byte %d", at)}
		}
	}
	return int64(pos), nil
}

// parseFrame reads the frame at the start of b. Size 0: there is no whole one.
func parseFrame(b []byte) (updates []Update, size int) {
	size = frameSize(b)
	if size == 0 || crc32.Checksum(b[4:size], castagnoli) != binary.BigEndian.Uint32(b) {
		return nil, 0
	}
	for rest := b[frameHeader:size]; len(rest) > 0; {
		u, n, err := parseUpdate(rest)
		if err != nil {
			return nil, 0
		}
		updates = append(updates, u)
		rest = rest[n:]
	}
	return updates, size
}

// frameSize tells how long the frame at the start of b says that it is. 0: it is not all there.
func frameSize(b []byte) int {
	if len(b) < frameHeader {
		return 0
	}
	count := int64(binary.BigEndian.Uint32(b[4:]))
	if count == 0 || count > int64(len(b)-frameHeader)/(nameSize+membersSize) {
		return 0
	}
	size := frameHeader
	for range count {
		n := updateSize(b[size:])
		if n == 0 || n > len(b)-size {
			return 0
		}
		size += n
	}
	return size
}

// updateSize tells how long the update at the start of b is. 0: that cannot be said.
func updateSize(b []byte) int {
	switch {
	case len(b) < nameSize+membersSize:
		return 0
	case b[0] == kindMembers:
		return nameSize + membersSize + int(binary.BigEndian.Uint16(b[nameSize+8:]))
	case b[0] == kindHeaders:
		return nameSize + 4 + int(binary.BigEndian.Uint32(b[nameSize:]))
	}
	return nameSize + stateSize
}

// parseUpdate reads the update at the start of b, which is all there.
func parseUpdate(b []byte) (u Update, size int, err error) {
	be := binary.BigEndian
	size = updateSize(b)
	u.ID = GroupID{Topic: [16]byte(b[1:]), Partition: int32(be.Uint32(b[17:]))}
	d := b[nameSize:size]
	if b[0] == kindMembers {
		u.members = &Members{Index: be.Uint64(d), State: &raftpb.ConfState{}}
		return u, size, unmarshal(d[membersSize:], u.members.State)
	}
	if b[0] == kindHeaders {
		known := false
		if u.headers, known = parseHeaders(d[4:]); !known {
			return u, size, errors.New("a witness's log cannot be read")
		}
		return u, size, nil
	}
	u.State = HardState{be.Uint64(d), be.Uint64(d[8:]), be.Uint64(d[16:])}
	u.gone = b[0] == kindGone
	return u, size, nil
}

func appendFrame(b []byte, updates []Update) []byte {
	be, at := binary.BigEndian, len(b)
	b = be.AppendUint32(append(b, 0, 0, 0, 0), uint32(len(updates)))
	for _, u := range updates {
		b = appendUpdate(b, u)
	}
	be.PutUint32(b[at:], crc32.Checksum(b[at+4:], castagnoli))
	return b
}

func appendUpdate(b []byte, u Update) []byte {
	be := binary.BigEndian
	b = append(b, u.kind())
	b = append(b, u.ID.Topic[:]...)
	b = be.AppendUint32(b, uint32(u.ID.Partition))
	switch {
	case u.headers != nil:
		at := len(b)
		b = u.headers.encode(append(b, 0, 0, 0, 0))
		be.PutUint32(b[at:], uint32(len(b)-at-4))
		return b
	case u.members == nil:
		b = be.AppendUint64(b, u.State.Term)
		b = be.AppendUint64(b, u.State.Vote)
		return be.AppendUint64(b, u.State.Commit)
	}
	b = be.AppendUint64(b, u.members.Index)
	at := len(b)
	b, err := proto.MarshalOptions{}.MarshalAppend(append(b, 0, 0), u.members.State)
	if size := len(b) - at - 2; err != nil || size > math.MaxUint16 {
		panic(fmt.Sprintf("BUG: raft group %v has members that cannot be written (%d bytes): %v", u.ID, size, err))
	}
	be.PutUint16(b[at:], uint16(len(b)-at-2))
	return b
}

func (u Update) kind() byte {
	switch {
	case u.gone:
		return kindGone
	case u.members != nil:
		return kindMembers
	case u.headers != nil:
		return kindHeaders
	}
	return kindState
}

// CheckJournal reads the voter journal of a data directory without changing it, and gives how many groups it knows and how many
// bytes at its end are not whole: a crash, or a write that is going on, cut them short. Damage is a *DamageError.
func CheckJournal(fsys vfs.FS, dir string) (groups int, unfinished int64, err error) {
	j := newJournal(fsys, dir)
	b, err := vfs.ReadFile(fsys, j.name)
	if err != nil {
		return 0, 0, err
	}
	end, err := j.load(b)
	if err != nil {
		return 0, 0, err
	}
	return len(j.states), int64(len(b)) - end, nil
}
