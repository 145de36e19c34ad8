package node

import (
	"errors"
	"slices"
	"strings"
	"testing"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/weir/weir/internal/vfs"
)

// copyFolder makes a folder, or a file, of one disk the same on another one.
func copyFolder(t *testing.T, from, to *vfs.Mem, name string) {
	t.Helper()
	names, err := from.List("/data/" + name)
	if err != nil {
		t.Fatal(err)
	}
	err = errors.Join(to.RemoveAll("/data/"+name), to.MkdirAll("/data/"+name))
	for _, file := range names {
		b, readErr := vfs.ReadFile(from, "/data/"+name+"/"+file)
		err = errors.Join(err, readErr, vfs.WriteFileAtomic(to, "/data/"+name+"/"+file, b))
	}
	if err = errors.Join(err, to.SyncDir("/data")); err != nil {
		t.Fatal(err)
	}
}

// foldersOfXY gives the folders in a data directory that are of topics x and y.
func foldersOfXY(t *testing.T, disk *vfs.Mem) (out []string) {
	t.Helper()
	names, err := disk.List("/data")
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range names {
		if strings.HasPrefix(name, "x-") || strings.HasPrefix(name, "y-") {
			out = append(out, name)
		}
	}
	slices.Sort(out)
	return out
}

// during runs a node on a disk, and gives what it said.
func during(t *testing.T, disk *vfs.Mem, do func(*kadm.Client)) string {
	t.Helper()
	n, out := mustStart(t, disk)
	k, err := kgo.NewClient(kgo.SeedBrokers(n.Addresses()["PLAINTEXT"]))
	if err != nil {
		t.Fatal(err)
	}
	do(kadm.NewClient(k))
	k.Close()
	if err := n.Stop(); err != nil {
		t.Fatal(err)
	}
	return out.String()
}

func nothing(*kadm.Client) {}

func creates(t *testing.T, name string) func(*kadm.Client) {
	return func(a *kadm.Client) {
		t.Helper()
		if _, err := a.CreateTopic(timeout(t), 1, 1, nil, name); err != nil {
			t.Fatal(err)
		}
	}
}

func deletes(t *testing.T, name string) func(*kadm.Client) {
	return func(a *kadm.Client) {
		t.Helper()
		if _, err := a.DeleteTopic(timeout(t), name); err != nil {
			t.Fatal(err)
		}
	}
}

// TestFoldersOfNoTopic: what is left of a topic that was deleted is removed at the next start, but only if it surely was deleted. What may
// be all that is left of something is set aside, and stays.
func TestFoldersOfNoTopic(t *testing.T) {
	had := vfs.NewMem()
	during(t, had, creates(t, "x"))
	const removed, aside = "topics were deleted while this node was down", "a folder belongs to no topic of this cluster"

	t.Run("deleted", func(t *testing.T) {
		disk := had.Clone()
		during(t, disk, deletes(t, "x"))
		if left := foldersOfXY(t, disk); left != nil {
			t.Fatal("the deletion leaves", left)
		}
		copyFolder(t, had, disk, "x-0")
		said := during(t, disk, nothing)
		if left := foldersOfXY(t, disk); left != nil || strings.Count(said, removed) != 1 {
			t.Errorf("there is %v, and it said:\n%s", left, said)
		}
		if said := during(t, disk, nothing); strings.Contains(said, removed) || strings.Contains(said, aside) {
			t.Errorf("it says again:\n%s", said)
		}
	})
	t.Run("deleted and made again", func(t *testing.T) {
		disk := had.Clone()
		during(t, disk, deletes(t, "x"))
		during(t, disk, creates(t, "x"))
		copyFolder(t, had, disk, "x-0")
		said := during(t, disk, nothing)
		if left := foldersOfXY(t, disk); !slices.Equal(left, []string{"x-0"}) || strings.Count(said, removed) != 1 {
			t.Errorf("there is %v, and it said:\n%s", left, said)
		}
	})
	t.Run("of another cluster", func(t *testing.T) {
		disk := vfs.NewMem()
		if err := disk.MkdirAll("/data"); err != nil {
			t.Fatal(err)
		}
		copyFolder(t, had, disk, "x-0")
		for i := range 2 {
			said := during(t, disk, nothing)
			if left := foldersOfXY(t, disk); !slices.Equal(left, []string{"x-0-stray"}) || strings.Count(said, aside) != 1-i {
				t.Errorf("at start %d, there is %v, and it said:\n%s", i+1, left, said)
			}
		}
	})
	t.Run("with older metadata", func(t *testing.T) {
		disk := had.Clone()
		during(t, disk, creates(t, "y"))
		during(t, disk, nothing)
		copyFolder(t, had, disk, "__cluster_metadata-0")
		b, err := vfs.ReadFile(had, "/data/votes.journal")
		if err = errors.Join(err, vfs.WriteFileAtomic(disk, "/data/votes.journal", b)); err != nil {
			t.Fatal(err)
		}
		for i := range 2 {
			said := during(t, disk, nothing)
			if left := foldersOfXY(t, disk); !slices.Equal(left, []string{"x-0", "y-0-stray"}) || strings.Count(said, aside) != 1-i {
				t.Errorf("at start %d, there is %v, and it said:\n%s", i+1, left, said)
			}
		}
	})
	t.Run("that does not say whose it was", func(t *testing.T) {
		disk := had.Clone()
		if err := errors.Join(disk.MkdirAll("/data/y-0"), disk.SyncDir("/data")); err != nil {
			t.Fatal(err)
		}
		said := during(t, disk, nothing)
		if left := foldersOfXY(t, disk); !slices.Equal(left, []string{"x-0", "y-0"}) || !strings.Contains(said, "does not say whose it was") {
			t.Errorf("there is %v, and it said:\n%s", left, said)
		}
	})
}

// TestTopicsDeletedWhileANodeIsDown leave nothing on it when it is back, whether the name is another topic's by then or not.
func TestTopicsDeletedWhileANodeIsDown(t *testing.T) {
	c := newSeveral(t, 3)
	c.start(0, 1, 2)
	k := c.client()
	adm := kadm.NewClient(k)
	for _, name := range []string{"x", "y", "t"} {
		c.create(k, name, 3)
	}
	s := c.stream(k, 3)
	c.moves(s)
	for i := range 3 {
		c.kill(i)
		for _, name := range []string{"x", "y"} {
			deletes(t, name)(adm)
		}
		c.create(k, "y", 3)
		c.moves(s)
		c.start(i)
		c.eventually("nothing to be left of what was deleted", func() bool {
			return slices.Equal(foldersOfXY(t, c.disks[i]), []string{"y-0", "y-1", "y-2"})
		})
		c.inSync(k)
		c.create(k, "x", 3)
	}
	c.check(s)
}
