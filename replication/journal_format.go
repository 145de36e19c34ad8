package replication

import (
	"encoding/binary"
	"fmt"
	"hash/crc32"
	"path"
	"slices"

	"github.com/weir/weir/internal/bugs"
	"github.com/weir/weir/internal/vfs"
)

// The voter journal is a header and frames, big-endian:
//
//	header: "WVOT", version uint8 = 1, 3 zero bytes, durable int64, crc uint32 (CRC32C of the 16 bytes before)
//	frame:  crc uint32 (CRC32C of the rest of the frame), count uint32, and count times:
//	          kind uint8 (1: state, 2: group gone), topic id 16 bytes, partition int32, term uint64, vote uint64, commit uint64
//
// The last state of a group counts. Each frame is synced before the next is written, and then durable says how long the
// file is, so that a damaged frame is either one that a crash cut short, which is dropped, or one that was durable, which is
// an error. The header fits in a sector and needs no sync of its own: an older one only knows less.
const (
	headerSize  = 20
	frameHeader = 8
	updateSize  = 45
	kindState   = 1
	kindGone    = 2

	journalMagic   = "WVOT"
	journalVersion = 1
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
	if whole && b[4] != journalVersion {
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
	be := binary.BigEndian
	if len(b) < frameHeader {
		return nil, 0
	}
	count := int64(be.Uint32(b[4:]))
	if count == 0 || count > int64(len(b)-frameHeader)/updateSize {
		return nil, 0
	}
	size = frameHeader + int(count)*updateSize
	if crc32.Checksum(b[4:size], castagnoli) != be.Uint32(b) {
		return nil, 0
	}
	updates = make([]Update, 0, count)
	for u := range slices.Chunk(b[frameHeader:size], updateSize) {
		update := Update{
			ID:    GroupID{Topic: [16]byte(u[1:17]), Partition: int32(be.Uint32(u[17:]))},
			State: HardState{be.Uint64(u[21:]), be.Uint64(u[29:]), be.Uint64(u[37:])},
			gone:  u[0] == kindGone,
		}
		updates = append(updates, update)
	}
	return updates, size
}

func appendFrame(b []byte, updates []Update) []byte {
	be, at := binary.BigEndian, len(b)
	b = be.AppendUint32(append(b, 0, 0, 0, 0), uint32(len(updates)))
	for _, u := range updates {
		kind := byte(kindState)
		if u.gone {
			kind = kindGone
		}
		b = append(b, kind)
		b = append(b, u.ID.Topic[:]...)
		b = be.AppendUint32(b, uint32(u.ID.Partition))
		b = be.AppendUint64(b, u.State.Term)
		b = be.AppendUint64(b, u.State.Vote)
		b = be.AppendUint64(b, u.State.Commit)
	}
	be.PutUint32(b[at:], crc32.Checksum(b[at+4:], castagnoli))
	return b
}

// CheckJournal reads the voter journal of a data directory without changing it, and gives how many groups it knows and how many
// bytes at its end are not whole: a crash, or a write that is going on, cut them short. Damage is a *DamageError.
func CheckJournal(fsys vfs.FS, dir string) (groups int, unfinished int64, err error) {
	j := &Journal{fs: fsys, name: path.Join(dir, journalName), states: map[GroupID]HardState{}}
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
