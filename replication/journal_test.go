package replication

import (
	"errors"
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/weir/weir/internal/vfs"
)

func group(n int) GroupID { return GroupID{Partition: int32(n)} }

// TestJournalCrash crashes after every operation: what was synced is there, and nothing that was never written.
func TestJournalCrash(t *testing.T) {
	base := vfs.NewMem()
	if err := errors.Join(base.MkdirAll("d"), base.SyncDir(".")); err != nil {
		t.Fatal(err)
	}
	fs := vfs.NewFaults(base)
	durable, written := map[GroupID]HardState{}, map[GroupID]uint64{}
	rng := rand.New(rand.NewPCG(3, 4))
	fs.OnOp(func(op vfs.Op) {
		for n := range 4 {
			clone := base.Clone()
			if n > 0 {
				clone = base.CrashClone(rng)
			}
			j, err := OpenJournal(clone, "d")
			if err != nil {
				t.Fatalf("after %v: %v", op, err)
			}
			for id, want := range durable {
				got, ok := j.Get(id)
				if !ok || got.Term < want.Term || got.Term > written[id] {
					t.Fatalf("after %v: group %v has %+v, durable was %+v", op, id, got, want)
				}
			}
		}
	})
	j, err := OpenJournal(fs, "d")
	if err != nil {
		t.Fatal(err)
	}
	for term := uint64(1); term < 40; term++ {
		var updates []Update
		for g := range 3 {
			written[group(g)] = term
			updates = append(updates, Update{ID: group(g), State: HardState{Term: term, Vote: 1}})
		}
		if err := j.Commit(updates); err != nil {
			t.Fatal(err)
		}
		for _, u := range updates {
			durable[u.ID] = u.State
		}
	}
}

func TestJournalDamage(t *testing.T) {
	fs := vfs.NewMem()
	if err := fs.MkdirAll("d"); err != nil {
		t.Fatal(err)
	}
	j, err := OpenJournal(fs, "d")
	if err != nil {
		t.Fatal(err)
	}
	for g := range 5 {
		if err := j.Commit([]Update{{ID: group(g), State: HardState{Term: 7, Vote: 2, Commit: 9}}}); err != nil {
			t.Fatal(err)
		}
	}
	if err := j.Remove(group(3)); err != nil {
		t.Fatal(err)
	}
	size, _ := fs.Size("d/" + journalName)
	for at := range size {
		clone := fs.Clone()
		f, _ := clone.OpenReadWrite("d/" + journalName)
		var b [1]byte
		_, _ = f.ReadAt(b[:], at)
		b[0] ^= 1
		_, _ = f.WriteAt(b[:], at)
		got, err := OpenJournal(clone, "d")
		last := at >= size-updateSize-frameHeader
		switch {
		case !last && err == nil:
			t.Fatalf("damage at byte %d is not noticed", at)
		case !last && !strings.Contains(err.Error(), journalName):
			t.Fatalf("the error does not name the file: %v", err)
		case last && err != nil:
			t.Fatalf("a cut-off end is refused: %v", err)
		case last:
			if s, ok := got.Get(group(4)); !ok || s != (HardState{7, 2, 9}) {
				t.Fatalf("group 4 has %+v", s)
			}
		}
	}
	again, err := OpenJournal(fs.Clone(), "d")
	if err != nil {
		t.Fatal(err)
	}
	if _, ok := again.Get(group(3)); ok {
		t.Fatal("a removed group is back")
	}
}
