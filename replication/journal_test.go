package replication

import (
	"errors"
	"fmt"
	"hash/crc32"
	"maps"
	"math/rand/v2"
	"slices"
	"sync"
	"syscall"
	"testing"

	"github.com/google/go-cmp/cmp"
	"go.etcd.io/raft/v3/raftpb"
	"pgregory.net/rapid"

	"github.com/weir/weir/internal/vfs"
	"github.com/weir/weir/log"
)

const journalFile = "d/" + journalName

var errInjected = errors.New("injected")

type states = map[GroupID]HardState

func group(n int) GroupID { return GroupID{Topic: [16]byte{byte(n >> 8)}, Partition: int32(n)} }

// vote is an update of a group to a term and a vote that follows from it.
func vote(n int, term uint64) Update {
	return Update{ID: group(n), State: HardState{Term: term, Vote: 1 + term%3, Commit: term * 10}}
}

// newDataDir makes a file system with a durable folder d.
func newDataDir(t rapid.TB) *vfs.Mem {
	t.Helper()
	fs := vfs.NewMem()
	if err := errors.Join(fs.MkdirAll("d"), fs.SyncDir(".")); err != nil {
		t.Fatal(err)
	}
	return fs
}

func openJournal(t rapid.TB, fs vfs.FS) *Journal {
	t.Helper()
	j, err := OpenJournal(fs, "d")
	if err != nil {
		t.Fatal(err)
	}
	return j
}

func commit(t rapid.TB, j *Journal, updates ...Update) {
	t.Helper()
	if err := j.Commit(updates); err != nil {
		t.Fatal(err)
	}
}

// moved is an update of a group to members that follow from an index.
func moved(n int, index uint64) Update {
	return Update{ID: group(n), members: &Members{Index: index, State: &raftpb.ConfState{
		Voters: []uint64{1, 2 + index%3, 1 << 40}, Learners: []uint64{9}[:index%2], AutoLeave: new(index%5 == 0),
	}}}
}

// shown is an update of a witness's log that ends with an index.
func shown(n int, index uint64) Update {
	h := &headers{before: entryID{index / 2, 1}, last: index, terms: []entryID{{index, 2}}[:index%2]}
	if index%3 == 1 {
		h.changes = []log.Entry{{Index: index, Term: 1 + index%2, Kind: kindConfChangeV2, Data: []byte("change")}}
	}
	return Update{ID: group(n), headers: h}
}

// content gives what a journal holds.
func content(j *Journal) states {
	out := states{}
	j.Each(func(id GroupID, s HardState) { out[id] = s })
	for id, m := range j.members { // they are not to be told from a state by looking away
		out[membersOf(id)] = HardState{Term: m.Index, Vote: uint64(len(m.State.Voters)), Commit: uint64(crc32.ChecksumIEEE([]byte(m.State.String())))}
	}
	for id, h := range j.headers {
		out[headersOf(id)] = HardState{Term: uint64(len(h.terms)), Vote: h.last, Commit: uint64(crc32.ChecksumIEEE(h.encode(nil)))}
	}
	return out
}

// headersOf is the name under which content gives a witness's log.
func headersOf(id GroupID) GroupID {
	id.Topic[14] = 0xff
	return id
}

// membersOf is the name under which content gives a group's members.
func membersOf(id GroupID) GroupID {
	id.Topic[15] = 0xff
	return id
}

// overwrite writes into the journal's file, past the journal.
func overwrite(t rapid.TB, fs vfs.FS, b []byte, at int64) {
	t.Helper()
	f, err := fs.OpenReadWrite(journalFile)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := f.WriteAt(b, at); err != nil {
		t.Fatal(err)
	}
}

func fileOf(t rapid.TB, fs vfs.FS) []byte {
	t.Helper()
	b, err := vfs.ReadFile(fs, journalFile)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func TestJournalKeeps(t *testing.T) {
	fs := newDataDir(t)
	j := openJournal(t, fs)
	if _, ok := j.Get(group(1)); ok {
		t.Error("an empty journal knows a group")
	}
	commit(t, j, vote(1, 1), vote(2, 5), vote(300, 1))
	commit(t, j, vote(1, 2))
	commit(t, j)
	if err := j.Remove(group(2)); err != nil {
		t.Fatal(err)
	}
	want := states{group(1): vote(1, 2).State, group(300): vote(300, 1).State}
	if diff := cmp.Diff(want, content(j)); diff != "" {
		t.Error(diff)
	}
	if s, ok := j.Get(group(1)); !ok || s != (HardState{Term: 2, Vote: 3, Commit: 20}) {
		t.Errorf("group 1 has %+v", s)
	}
	var order []GroupID
	j.Each(func(id GroupID, _ HardState) { order = append(order, id) })
	if !slices.Equal(order, []GroupID{group(1), group(300)}) {
		t.Errorf("the order is %v", order)
	}
	if err := j.Close(); err != nil {
		t.Fatal(err)
	}
	if err := j.Commit([]Update{vote(1, 3)}); err == nil {
		t.Error("a closed journal takes votes")
	}
	for range 2 {
		if diff := cmp.Diff(want, content(openJournal(t, fs))); diff != "" {
			t.Error(diff)
		}
	}
}

// note does to a state what an update does.
func note(s states, u Update) {
	switch {
	case u.gone:
		delete(s, u.ID)
		delete(s, membersOf(u.ID))
		delete(s, headersOf(u.ID))
	case u.members != nil:
		j := &Journal{members: map[GroupID]Members{u.ID: *u.members}}
		maps.Copy(s, content(j))
	case u.headers != nil:
		maps.Copy(s, content(&Journal{headers: map[GroupID]*headers{u.ID: u.headers}}))
	default:
		s[u.ID] = u.State
	}
}

// TestJournalOfVersion1 reads what the version before wrote, and writes its own.
func TestJournalOfVersion1(t *testing.T) {
	fs := newDataDir(t)
	j := openJournal(t, fs)
	commit(t, j, vote(1, 2), vote(2, 3))
	want := content(j)
	old := header(j.size)
	old[4] = 1
	overwrite(t, fs, sealHeader(old), 0)
	j = openJournal(t, fs)
	if diff := cmp.Diff(want, content(j)); diff != "" {
		t.Error(diff)
	}
	commit(t, j, moved(1, 7))
	if b := fileOf(t, fs); b[4] != journalVersion {
		t.Errorf("the file has version %d", b[4])
	}
	j = openJournal(t, fs)
	if m, ok := j.Members(group(1)); !ok || m.Index != 7 || !slices.Equal(m.State.Voters, moved(1, 7).members.State.Voters) {
		t.Errorf("group 1 has %+v", m)
	}
	if _, ok := j.Members(group(2)); ok {
		t.Error("group 2 has members")
	}
}

// TestJournalCrash crashes after every operation of a life with rewrites: each commit is there as a whole or, unless it was
// answered, not at all. So it is after crashes while the journal is opened.
func TestJournalCrash(t *testing.T) {
	base := newDataDir(t)
	fs := vfs.NewFaults(base)
	rng := rand.New(rand.NewPCG(3, 4))
	durable, next := states{}, states{}
	count, older, newer := 0, 0, 0
	fs.OnOp(func(op vfs.Op) {
		check := func(clone *vfs.Mem) {
			count++
			switch got := content(openJournal(t, clone)); {
			case maps.Equal(got, durable):
				older++
			case maps.Equal(got, next):
				newer++
			default:
				t.Fatalf("after %v: %v, durable was %v", op, got, durable)
			}
		}
		check(base.Clone())
		check(base.CrashClone(nil))
		for range 8 {
			clone := base.CrashClone(rng)
			check(clone.Clone())
			again := vfs.NewFaults(clone)
			again.OnOp(func(vfs.Op) { check(clone.CrashClone(rng)) })
			openJournal(t, again)
		}
	})
	j := openJournal(t, fs)
	j.rewriteMin, j.rewriteAt = 12, 12
	rewrites := 0
	for term := uint64(1); term < 40; term++ {
		updates := []Update{vote(int(term%3), term), vote(9, term), vote(int(100+term), 1), moved(9, term), moved(int(term%2), term), shown(9, term)}
		if term > 3 {
			updates = append(updates, Update{ID: group(int(100 + term - 3)), gone: true})
		}
		next = maps.Clone(durable)
		for _, u := range updates {
			note(next, u)
		}
		before := j.size
		commit(t, j, updates...)
		if durable = next; j.size < before {
			rewrites++
		}
	}
	if rewrites < 3 || older == 0 || newer == 0 {
		t.Errorf("%d rewrites, %d states before and %d after a commit", rewrites, older, newer)
	}
	t.Logf("%d crash states", count)
}

// TestJournalModel commits, removes, reopens and crashes at random.
func TestJournalModel(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		fs := newDataDir(t)
		j := openJournal(t, fs)
		want := states{}
		n := rapid.IntRange(0, 6)
		t.Repeat(map[string]func(*rapid.T){
			"": func(t *rapid.T) {
				if diff := cmp.Diff(want, content(j)); diff != "" {
					t.Fatal(diff)
				}
			},
			"move": func(t *rapid.T) {
				u := moved(n.Draw(t, "group"), rapid.Uint64Range(0, 9).Draw(t, "index"))
				if u.members.Index >= want[membersOf(u.ID)].Term { // older ones change nothing
					note(want, u)
				}
				commit(t, j, u)
			},
			"show": func(t *rapid.T) {
				u := shown(n.Draw(t, "group"), rapid.Uint64Range(0, 9).Draw(t, "index"))
				note(want, u)
				commit(t, j, u)
			},
			"commit": func(t *rapid.T) {
				var updates []Update
				for _, n := range rapid.SliceOf(n).Draw(t, "groups") {
					u := vote(n, want[group(n)].Term+rapid.Uint64Range(0, 2).Draw(t, "terms"))
					updates = append(updates, u)
					want[u.ID] = u.State
				}
				commit(t, j, updates...)
			},
			"remove": func(t *rapid.T) {
				id := group(n.Draw(t, "group"))
				if err := j.Remove(id); err != nil {
					t.Fatal(err)
				}
				note(want, Update{ID: id, gone: true})
			},
			"eager": func(*rapid.T) { j.rewriteMin, j.rewriteAt = 5, 5 },
			"close": func(t *rapid.T) {
				if err := j.Close(); err != nil {
					t.Fatal(err)
				}
				j = openJournal(t, fs)
			},
			"kill":  func(t *rapid.T) { fs = fs.Clone(); j = openJournal(t, fs) },
			"crash": func(t *rapid.T) { fs = fs.CrashClone(nil); j = openJournal(t, fs) },
			"power": func(t *rapid.T) {
				fs = fs.CrashClone(rand.New(rand.NewPCG(1, rapid.Uint64().Draw(t, "seed"))))
				j = openJournal(t, fs)
			},
		})
	})
}

// TestJournalFailures fails each operation of a commit with a rewrite. An answered commit is durable, a refused one changes
// nothing that the journal says, and after a failed sync nothing is accepted again.
func TestJournalFailures(t *testing.T) {
	for after := range 9 { // write, sync, header; create, write, sync, rename, syncdir; none
		for _, err := range []error{errInjected, syscall.ENOSPC} {
			base := newDataDir(t)
			fs := vfs.NewFaults(base)
			j := openJournal(t, fs)
			commit(t, j, vote(1, 1), vote(2, 1))
			before := content(j)
			j.rewriteMin, j.rewriteAt = 1, 1
			var failing vfs.Op
			fs.Inject(vfs.Fault{After: after, Times: 1, Err: err, Write: 30, Before: func(op vfs.Op) { failing = op }})
			updates := []Update{vote(1, 2), vote(1, 3), vote(1, 4), vote(1, 5), vote(2, 2), vote(2, 3)}
			answer := j.Commit(updates)
			fs.Heal()
			what := fmt.Sprintf("%v of %s %s (%v)", err, failing.Kind, failing.Name, answer)
			onTemp := after >= 3 && after <= 5
			harmless := after == 8 || (onTemp || after == 2) && vfs.IsNoSpace(err)
			if (answer == nil) != harmless {
				t.Errorf("%s: the answer is wrong", what)
			}
			recovered := content(openJournal(t, base.CrashClone(nil)))
			if answer == nil && !maps.Equal(recovered, content(j)) || after < 2 && !maps.Equal(recovered, before) {
				t.Errorf("%s: a crash leaves %v", what, recovered)
			}
			if after < 2 && !maps.Equal(content(j), before) {
				t.Errorf("%s: the journal says %v", what, content(j))
			}
			if size, _ := base.Size(journalFile); after == 0 && size != j.size {
				t.Errorf("%s: the file has %d bytes, the journal %d", what, size, j.size)
			}
			again := j.Commit([]Update{vote(1, 6)})
			retriable := answer == nil || after == 0 || onTemp
			if (again == nil) != retriable {
				t.Errorf("%s: a commit afterwards: %v", what, again)
			}
			recovered = content(openJournal(t, base.CrashClone(nil)))
			if retriable != (recovered[group(1)].Term == 6) {
				t.Errorf("%s: afterwards a crash leaves %v", what, recovered)
			}
			_ = j.Close()
		}
	}
}

// TestJournalFullDisk opens on a full disk, with a torn tail, and goes on when there is space.
func TestJournalFullDisk(t *testing.T) {
	base := newDataDir(t)
	j := openJournal(t, base)
	commit(t, j, vote(1, 1), vote(2, 1))
	overwrite(t, base, []byte("torn"), j.size)
	fs := vfs.NewFaults(base)
	fs.Limit(30)
	full := openJournal(t, fs)
	if size := int64(len(fileOf(t, base))); size != j.size {
		t.Errorf("the file has %d bytes, and %d were whole", size, j.size)
	}
	if diff := cmp.Diff(content(j), content(full)); diff != "" {
		t.Error(diff)
	}
	if err := full.Commit([]Update{vote(1, 2)}); !vfs.IsNoSpace(err) {
		t.Errorf("a commit on a full disk: %v", err)
	}
	fs.Heal()
	commit(t, full, vote(1, 2))
	if diff := cmp.Diff(content(full), content(openJournal(t, base.CrashClone(nil)))); diff != "" {
		t.Error(diff)
	}
}

// TestJournalFullDiskForRewrite: where there is no space for a second file, the first one grows, and the rewrite is tried
// again only when it has doubled.
func TestJournalFullDiskForRewrite(t *testing.T) {
	base := newDataDir(t)
	fs := vfs.NewFaults(base)
	j := openJournal(t, fs)
	j.rewriteMin, j.rewriteAt = 10, 10
	tries := 0
	fs.Inject(vfs.Fault{Kind: "create", Err: syscall.ENOSPC, Before: func(vfs.Op) { tries++ }})
	for term := uint64(1); term < 40; term++ {
		commit(t, j, vote(1, term))
	}
	if tries != 2 { // at 10 and at 20
		t.Errorf("the rewrite was tried %d times", tries)
	}
	fs.Heal()
	commit(t, j, vote(1, 40))
	if j.count != 1 {
		t.Errorf("with space again, the file holds %d updates", j.count)
	}
	if diff := cmp.Diff(content(j), content(openJournal(t, base.CrashClone(nil)))); diff != "" {
		t.Error(diff)
	}
}

// TestJournalElections counts what it takes to elect leaders for all groups of a node.
func TestJournalElections(t *testing.T) {
	const groups = 10_000
	fs := vfs.NewFaults(newDataDir(t))
	j := openJournal(t, fs)
	var updates []Update
	for n := range groups {
		updates = append(updates, vote(n, 1))
	}
	var kinds []string
	fs.OnOp(func(op vfs.Op) { kinds = append(kinds, op.Kind) })
	commit(t, j, updates...)
	if diff := cmp.Diff([]string{"write", "sync", "write"}, kinds); diff != "" { // the last is the header
		t.Error(diff)
	}
	if got := len(content(openJournal(t, fs))); got != groups {
		t.Errorf("%d groups", got)
	}
}

func TestJournalConcurrently(t *testing.T) {
	fs := newDataDir(t)
	j := openJournal(t, fs)
	j.rewriteMin, j.rewriteAt = 50, 50
	var wg sync.WaitGroup
	for n := range 4 {
		wg.Go(func() {
			for term := uint64(1); term <= 100; term++ {
				commit(t, j, vote(n, term))
				if s, _ := j.Get(group(n)); s.Term != term {
					t.Errorf("group %d has term %d, not %d", n, s.Term, term)
				}
			}
		})
	}
	wg.Go(func() {
		for range 20 {
			j.Each(func(GroupID, HardState) {})
		}
	})
	wg.Wait()
	for id, s := range content(openJournal(t, fs.CrashClone(nil))) {
		if s.Term != 100 {
			t.Errorf("group %v has %+v", id, s)
		}
	}
}

// TestJournalRefusesToForget: a second vote in a term, or an older term, is a bug of the caller.
func TestJournalRefusesToForget(t *testing.T) {
	for name, c := range map[string]struct {
		next HardState
		ok   bool
	}{
		"another vote":     {HardState{Term: 5, Vote: 3}, false},
		"the vote is gone": {HardState{Term: 5}, false},
		"an older term":    {HardState{Term: 4, Vote: 2}, false},
		"the same":         {HardState{Term: 5, Vote: 2}, true},
		"a new term":       {HardState{Term: 6}, true},
	} {
		t.Run(name, func(t *testing.T) {
			j := openJournal(t, newDataDir(t))
			commit(t, j, Update{ID: group(1), State: HardState{Term: 5, Vote: 2}})
			defer func() {
				if refused := recover() != nil; refused == c.ok {
					t.Errorf("refused: %v", refused)
				}
			}()
			commit(t, j, Update{ID: group(1), State: c.next})
		})
	}
}
