package replication

import (
	"bytes"
	"cmp"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"path"
	"slices"
	"sync"

	"go.etcd.io/raft/v3/raftpb"

	"github.com/weir/weir/internal/bugs"
	"github.com/weir/weir/internal/vfs"
)

// GroupID names a group: a partition of a topic.
type GroupID struct {
	Topic     [16]byte
	Partition int32
}

func (g GroupID) String() string { return fmt.Sprintf("%x-%d", g.Topic, g.Partition) }

func (g GroupID) compare(other GroupID) int {
	return cmp.Or(bytes.Compare(g.Topic[:], other.Topic[:]), cmp.Compare(g.Partition, other.Partition))
}

// HardState is what raft must not forget. Term and vote are durable before they count; Commit is a hint.
type HardState struct{ Term, Vote, Commit uint64 }

// Members are the replicas of a group, as of an entry of its log.
type Members struct {
	Index uint64 // of the entry that made them so; 0: they are the first
	State *raftpb.ConfState
}

// Update is a new state of a group, or new members, or what a witness's log has become.
type Update struct {
	ID      GroupID
	State   HardState
	members *Members // nil: it is something else
	headers *headers // likewise; never changed
	gone    bool
}

// DamageError says that the voter journal is not what was written, so that a vote may be missing. A forgotten vote could
// make two leaders, so nothing is guessed.
type DamageError struct {
	File   string
	Pos    int64 // byte position in the file
	Reason string
}

func (e *DamageError) Error() string {
	return fmt.Sprintf("%s is damaged at byte %d: %s. A vote may be missing, so this node must not vote: "+
		"restore the data directory from a backup, or replace this node with a new one", e.File, e.Pos, e.Reason)
}

// Journal keeps the hard states and the members of all groups of a data directory in one file, so that many elections are one
// write and one sync. Its layout is in journal_format.go.
//
// Each commit is an append and a sync. The file is made anew, with one update a group, when most of it is outdated, and
// when it is opened: what an earlier process read back from a failed sync may not be on the disk.
type Journal struct {
	fs   vfs.FS
	name string

	mu      sync.Mutex
	states  map[GroupID]HardState
	members map[GroupID]Members
	headers map[GroupID]*headers
	file    vfs.File
	size    int64 // of the file
	count   int   // updates in the file
	// rewriteAt is the number of updates from which on the file is worth rewriting, if most of them are outdated. It is
	// rewriteMin, and more after a full disk was in the way.
	rewriteAt, rewriteMin int
	// failed is why the file can no longer be trusted: what a failed sync left out cannot be synced again.
	failed error
	buf    []byte
}

const (
	journalName = "votes.journal"
	// rewriteMin is the number of updates below which the file is not worth rewriting: 0.9 MB.
	rewriteMin = 20_000
	// rewriteFactor is how many times as many updates as groups make the file worth rewriting.
	rewriteFactor = 4
)

// OpenJournal reads the journal of a data directory, or begins one. A *DamageError means that votes may be missing.
func OpenJournal(fsys vfs.FS, dir string) (*Journal, error) {
	j := newJournal(fsys, dir)
	j.rewriteMin = rewriteMin
	b, err := vfs.ReadFile(fsys, j.name)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return opened(j, j.rewrite())
	case err != nil:
		return nil, err
	}
	end, err := j.load(b)
	if err != nil {
		return nil, err
	}
	err = j.rewrite()
	if vfs.IsNoSpace(err) {
		// On a full disk the old file has to do: a node that did not start could not free space.
		err = j.reuse(end)
	}
	return opened(j, err)
}

func newJournal(fsys vfs.FS, dir string) *Journal {
	return &Journal{fs: fsys, name: path.Join(dir, journalName), states: map[GroupID]HardState{}, members: map[GroupID]Members{}, headers: map[GroupID]*headers{}}
}

func opened(j *Journal, err error) (*Journal, error) {
	if err != nil {
		return nil, err
	}
	return j, nil
}

// Get gives a group's state.
func (j *Journal) Get(id GroupID) (HardState, bool) {
	j.mu.Lock()
	defer j.mu.Unlock()
	s, ok := j.states[id]
	return s, ok
}

// Members gives a group's members. False: it has none in the journal, since it never voted, or an older version wrote it.
func (j *Journal) Members(id GroupID) (Members, bool) {
	j.mu.Lock()
	defer j.mu.Unlock()
	m, ok := j.members[id]
	return m, ok
}

// headersOf gives a witness's log; nil: there is none.
func (j *Journal) headersOf(id GroupID) *headers {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.headers[id]
}

// Each calls f for every group, in the order of their ids.
func (j *Journal) Each(f func(GroupID, HardState)) {
	j.mu.Lock()
	all := j.snapshot()
	j.mu.Unlock()
	for _, u := range all {
		if u.members == nil && u.headers == nil {
			f(u.ID, u.State)
		}
	}
}

// Commit makes new states of groups durable, all in one write and one sync. After a failed write nothing has changed, and it
// may be tried again. A failed sync is final: all later commits fail. Once the commit is durable, rewriting the file may
// still fail; that the disk is full for it is no error.
func (j *Journal) Commit(updates []Update) error {
	j.mu.Lock()
	defer j.mu.Unlock()
	if j.failed != nil {
		return j.failed
	}
	if len(updates) == 0 {
		return nil
	}
	j.check(updates)
	j.buf = appendFrame(j.buf[:0], updates)
	if _, err := j.file.WriteAt(j.buf, j.size); err != nil {
		if cut := j.file.Truncate(j.size); cut != nil {
			return j.fail(errors.Join(err, cut))
		}
		return err
	}
	if bugs.JournalUnsynced {
	} else if err := j.file.Sync(); err != nil {
		return j.fail(err)
	}
	j.size += int64(len(j.buf))
	j.count += len(updates)
	for _, u := range updates {
		j.note(u)
	}
	if err := j.seal(); err != nil {
		return j.fail(err)
	}
	return j.compact()
}

// seal notes in the header how much is durable. A disk too full for that is no harm: the header then knows less.
func (j *Journal) seal() error {
	_, err := j.file.WriteAt(header(j.size), 0)
	if vfs.IsNoSpace(err) {
		return nil
	}
	return err
}

// check panics when a group would take back its word.
func (j *Journal) check(updates []Update) {
	for _, u := range updates {
		old := j.states[u.ID]
		if !u.gone && u.members == nil && u.headers == nil && (u.State.Term < old.Term || u.State.Term == old.Term && old.Vote != 0 && u.State.Vote != old.Vote) {
			panic(fmt.Sprintf("BUG: raft group %v goes from %+v to %+v", u.ID, old, u.State))
		}
	}
}

func (j *Journal) note(u Update) {
	switch {
	case u.gone:
		delete(j.states, u.ID)
		delete(j.members, u.ID)
		delete(j.headers, u.ID)
	case u.members != nil:
		if u.members.Index >= j.members[u.ID].Index {
			j.members[u.ID] = *u.members
		}
	case u.headers != nil:
		j.headers[u.ID] = u.headers
	default:
		j.states[u.ID] = u.State
	}
}

func (j *Journal) fail(err error) error {
	j.failed = &vfs.FinalError{Err: fmt.Errorf("%s cannot be trusted any more: %w", j.name, err)}
	return j.failed
}

// Remove forgets a group, durably.
func (j *Journal) Remove(id GroupID) error { return j.Commit([]Update{{ID: id, gone: true}}) }

// compact makes the file anew when most of it is outdated. Under mu.
func (j *Journal) compact() error {
	if j.count < j.rewriteAt || j.count < rewriteFactor*j.known() {
		return nil
	}
	err := j.rewrite()
	if vfs.IsNoSpace(err) {
		j.rewriteAt = 2 * j.count // until then the file may grow
		return nil
	}
	return err
}

// known is the number of updates that say all. Under mu.
func (j *Journal) known() int { return len(j.states) + len(j.members) + len(j.headers) }

// snapshot gives updates that say all of each group, in the order of their ids. Under mu.
func (j *Journal) snapshot() []Update {
	all := make([]Update, 0, j.known())
	for _, id := range slices.SortedFunc(maps.Keys(j.members), GroupID.compare) {
		m := j.members[id]
		all = append(all, Update{ID: id, members: &m})
	}
	for _, id := range slices.SortedFunc(maps.Keys(j.headers), GroupID.compare) {
		all = append(all, Update{ID: id, headers: j.headers[id]})
	}
	for _, id := range slices.SortedFunc(maps.Keys(j.states), GroupID.compare) {
		all = append(all, Update{ID: id, State: j.states[id]})
	}
	return all
}

// rewrite makes the file anew with one update a group, durably. Unless the journal failed, an error leaves the old file in
// use. Under mu, or before anyone else has the journal.
func (j *Journal) rewrite() error {
	b := make([]byte, headerSize)
	updates := j.snapshot()
	if len(updates) > 0 {
		b = appendFrame(b, updates)
	}
	copy(b, header(int64(len(b))))
	tmp := j.name + ".tmp"
	f, err := j.fs.Create(tmp)
	if err != nil {
		return err
	}
	if _, err = f.WriteAt(b, 0); err == nil {
		err = vfs.SyncNew(f)
	}
	if err != nil {
		return errors.Join(err, f.Close(), j.fs.Remove(tmp))
	}
	if err = j.fs.Rename(tmp, j.name); err == nil {
		err = j.fs.SyncDir(path.Dir(j.name))
	}
	if err != nil { // a crash may leave either file
		return errors.Join(j.fail(err), f.Close())
	}
	if j.file != nil {
		_ = j.file.Close() // nobody needs the old file
	}
	j.file, j.size, j.count, j.rewriteAt = f, int64(len(b)), len(updates), j.rewriteMin
	return nil
}

// reuse goes on with the old file, without what follows its last whole frame.
func (j *Journal) reuse(end int64) error {
	f, err := j.fs.OpenReadWrite(j.name)
	if err != nil {
		return err
	}
	j.file, j.size, j.rewriteAt = f, end, max(j.rewriteMin, 2*j.count)
	if err = f.Truncate(end); err == nil {
		err = f.Sync()
	}
	if err == nil {
		err = j.seal()
	}
	if err != nil {
		return errors.Join(err, f.Close())
	}
	return nil
}

// Close closes the file.
func (j *Journal) Close() error {
	j.mu.Lock()
	defer j.mu.Unlock()
	var err error
	if j.failed == nil {
		err = j.file.Sync() // the header
	}
	return errors.Join(err, j.file.Close())
}
