package replication

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io/fs"
	"path"
	"sync"

	"github.com/weir/weir/internal/vfs"
)

// GroupID names a group: a partition of a topic.
type GroupID struct {
	Topic     [16]byte
	Partition int32
}

func (g GroupID) String() string { return fmt.Sprintf("%x-%d", g.Topic, g.Partition) }

// HardState is what raft must not forget. Term and vote are durable before they count; Commit is a hint.
type HardState struct{ Term, Vote, Commit uint64 }

// Update is a new state of a group.
type Update struct {
	ID    GroupID
	State HardState
	gone  bool
}

// Journal keeps the hard states of all groups of a data directory in one file, so that many elections are one write and
// one sync. The file begins with "WVOT" and a version uint8 = 1. Then frames, big-endian, each synced before the next:
//
//	crc uint32 (CRC32C of the rest of the frame), count uint32, and count times:
//	  kind uint8 (1: state, 2: group gone), topic id 16 bytes, partition int32, term uint64, vote uint64, commit uint64
//
// The last state of a group counts. A damaged frame at the end was not yet durable and is dropped; one that whole frames
// follow is an error, because a forgotten vote could make two leaders.
type Journal struct {
	fs   vfs.FS
	name string

	mu     sync.Mutex
	file   vfs.File
	states map[GroupID]HardState
	size   int64 // of the file
	count  int   // updates in the file
}

const (
	journalName   = "votes.journal"
	journalHeader = 5
	frameHeader   = 8
	updateSize    = 45
	kindState     = 1
	kindGone      = 2
	// rewriteMin is the number of updates below which the file is not worth rewriting.
	rewriteMin = 20_000
)

var (
	journalMagic = []byte{'W', 'V', 'O', 'T', 1}
	castagnoli   = crc32.MakeTable(crc32.Castagnoli)
)

// OpenJournal reads the journal of a data directory, or begins one.
func OpenJournal(fsys vfs.FS, dir string) (*Journal, error) {
	j := &Journal{fs: fsys, name: path.Join(dir, journalName), states: map[GroupID]HardState{}}
	b, err := vfs.ReadFile(fsys, j.name)
	if errors.Is(err, fs.ErrNotExist) {
		return j, j.rewrite()
	}
	if err != nil {
		return nil, err
	}
	if err := j.load(b); err != nil {
		return nil, err
	}
	// Beginning anew drops what was cut off, and what is outdated.
	return j, j.rewrite()
}

func (j *Journal) load(b []byte) error {
	if len(b) < journalHeader || string(b[:4]) != string(journalMagic[:4]) {
		return fmt.Errorf("%s is damaged at byte 0: it is not a voter journal; restore it, or remove this node's data directory if other nodes have the data", j.name)
	}
	if b[4] != journalMagic[4] {
		return fmt.Errorf("%s has format %d, and this version knows %d: start the node with the version that wrote it", j.name, b[4], journalMagic[4])
	}
	for pos := journalHeader; pos < len(b); {
		updates, size := parseFrame(b[pos:])
		if size == 0 {
			for at := pos + 1; at < len(b); at++ {
				if _, size := parseFrame(b[at:]); size > 0 {
					return fmt.Errorf("%s is damaged at byte %d and whole again at %d: a vote may be missing, so this node must not vote; restore the file from a backup", j.name, pos, at)
				}
			}
			return nil
		}
		for _, u := range updates {
			j.note(u)
		}
		pos += size
	}
	return nil
}

func (j *Journal) note(u Update) {
	if u.gone {
		delete(j.states, u.ID)
	} else {
		j.states[u.ID] = u.State
	}
}

// parseFrame reads the frame at the start of b. Size 0: there is no whole one.
func parseFrame(b []byte) (updates []Update, size int) {
	be := binary.BigEndian
	if len(b) < frameHeader {
		return nil, 0
	}
	count := int(be.Uint32(b[4:]))
	if count == 0 || count > (len(b)-frameHeader)/updateSize {
		return nil, 0
	}
	size = frameHeader + count*updateSize
	if crc32.Checksum(b[4:size], castagnoli) != be.Uint32(b) {
		return nil, 0
	}
	for b = b[frameHeader:size]; len(b) > 0; b = b[updateSize:] {
		u := Update{gone: b[0] == kindGone}
		copy(u.ID.Topic[:], b[1:17])
		u.ID.Partition = int32(be.Uint32(b[17:]))
		u.State = HardState{be.Uint64(b[21:]), be.Uint64(b[29:]), be.Uint64(b[37:])}
		updates = append(updates, u)
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

// Get gives a group's state.
func (j *Journal) Get(id GroupID) (HardState, bool) {
	j.mu.Lock()
	defer j.mu.Unlock()
	s, ok := j.states[id]
	return s, ok
}

// Commit makes new states of groups durable.
func (j *Journal) Commit(updates []Update) error {
	j.mu.Lock()
	defer j.mu.Unlock()
	b := appendFrame(nil, updates)
	if _, err := j.file.WriteAt(b, j.size); err != nil {
		return errors.Join(err, j.file.Truncate(j.size))
	}
	if err := j.file.Sync(); err != nil {
		return err
	}
	j.size += int64(len(b))
	j.count += len(updates)
	for _, u := range updates {
		j.note(u)
	}
	if j.count > rewriteMin && j.count > 4*len(j.states) {
		return j.rewrite()
	}
	return nil
}

// Remove forgets a group, durably.
func (j *Journal) Remove(id GroupID) error { return j.Commit([]Update{{ID: id, gone: true}}) }

// rewrite makes the file anew with one update a group, durably. Under mu, or before anyone else has the journal.
func (j *Journal) rewrite() error {
	b := append([]byte(nil), journalMagic...)
	updates := make([]Update, 0, len(j.states))
	for id, s := range j.states {
		updates = append(updates, Update{ID: id, State: s})
	}
	if len(updates) > 0 {
		b = appendFrame(b, updates)
	}
	if err := vfs.WriteFileAtomic(j.fs, j.name, b); err != nil {
		return err
	}
	f, err := j.fs.OpenReadWrite(j.name)
	if err != nil {
		return err
	}
	old := j.file
	j.file, j.size, j.count = f, int64(len(b)), len(j.states)
	if old != nil {
		return old.Close()
	}
	return nil
}

// Close closes the file.
func (j *Journal) Close() error {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.file.Close()
}
