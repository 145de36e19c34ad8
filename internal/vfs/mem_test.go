package vfs

import (
	"bytes"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"
)

// crashes gives many crash clones, and one with everything unsynced lost first.
func crashes(m *Mem, count int) func(func(*Mem) bool) {
	rng := rand.New(rand.NewPCG(1, uint64(count)))
	return func(yield func(*Mem) bool) {
		if !yield(m.CrashClone(nil)) {
			return
		}
		for range count {
			if !yield(m.CrashClone(rng)) {
				return
			}
		}
	}
}

// outcomes gives what a file holds in many crash clones: each content, sorted.
func outcomes(m *Mem, name string, count int) []string {
	seen := map[string]bool{}
	for clone := range crashes(m, count) {
		seen[read(clone, name)] = true
	}
	return sortedKeys(seen)
}

func TestCrashOfEntries(t *testing.T) {
	for _, c := range []struct {
		name string
		do   func(m *Mem)
		want map[string][]string // what a name may hold; "error": nothing
	}{
		{"a new file", func(m *Mem) { syncedFile(m, "d/f", "x") },
			map[string][]string{"d/f": {"error", "x"}}},
		{"a new file with a synced name", func(m *Mem) { syncedFile(m, "d/f", "x"); do(m.SyncDir("d")) },
			map[string][]string{"d/f": {"x"}}},
		{"a name synced in another folder", func(m *Mem) { syncedFile(m, "d/f", "x"); do(m.SyncDir(".")) },
			map[string][]string{"d/f": {"error", "x"}}},
		{"a synced name without content", func(m *Mem) { writeFile(m, "d/f", "x"); do(m.SyncDir("d")) },
			map[string][]string{"d/f": {"", "\x00", "x"}}},
		{"everything synced", func(m *Mem) { do(m.MkdirAll("e/e")); writeFile(m, "e/e/f", "x"); do(m.SyncAll("d")) },
			map[string][]string{"e/e/f": {"x"}}},
		{"a new folder", func(m *Mem) { do(m.MkdirAll("d/e")); syncedFile(m, "d/e/f", "x"); do(m.SyncDir("d/e")) },
			map[string][]string{"d/e/f": {"error", "x"}}},
		{"a new folder with a synced name", func(m *Mem) {
			do(m.MkdirAll("d/e"))
			syncedFile(m, "d/e/f", "x")
			do(m.SyncDir("d/e"))
			do(m.SyncDir("d"))
		}, map[string][]string{"d/e/f": {"x"}}},
		{"a removal", func(m *Mem) { do(m.Remove("d/old")) },
			map[string][]string{"d/old": {"error", "old"}}},
		{"a synced removal", func(m *Mem) { do(m.Remove("d/old")); do(m.SyncDir("d")) },
			map[string][]string{"d/old": {"error"}}},
		{"removed and made again", func(m *Mem) { do(m.Remove("d/old")); syncedFile(m, "d/old", "new") },
			map[string][]string{"d/old": {"error", "new", "old"}}},
		{"a folder is removed after what is in it", func(m *Mem) { do(m.RemoveAll("d/sub")) },
			map[string][]string{"d/sub/1": {"1", "error"}, "d/sub/2": {"2", "error"}}},
		{"a synced removal of a folder", func(m *Mem) { do(m.RemoveAll("d/sub")); do(m.SyncDir("d")) },
			map[string][]string{"d/sub/1": {"error"}, "d/sub/2": {"error"}}},
		{"a renamed folder", func(m *Mem) { do(m.Rename("d/sub", "d/new")) },
			map[string][]string{"d/sub/1": {"1", "error"}, "d/new/1": {"1", "error"}}},
		{"replaced in one step", func(m *Mem) { syncedFile(m, "d/tmp", "new"); do(m.Rename("d/tmp", "d/old")) },
			map[string][]string{"d/old": {"new", "old"}, "d/tmp": {"error", "new"}}},
		{"replaced durably", func(m *Mem) { do(WriteFileAtomic(m, "d/old", []byte("new"))) },
			map[string][]string{"d/old": {"new"}, "d/old.tmp": {"error"}}},
		{"moved, one folder synced", func(m *Mem) { do(m.Rename("d/old", "d/sub/new")); do(m.SyncDir("d/sub")) },
			map[string][]string{"d/old": {"error", "old"}, "d/sub/new": {"error", "old"}}},
		{"moved, both folders synced", func(m *Mem) {
			do(m.Rename("d/old", "d/sub/new"))
			do(m.SyncDir("d/sub"))
			do(m.SyncDir("d"))
		}, map[string][]string{"d/old": {"error"}, "d/sub/new": {"old"}}},
		{"moved, and the name synced anew", func(m *Mem) {
			do(m.Rename("d/old", "d/sub/new"))
			syncedFile(m, "d/old", "again")
			do(m.SyncDir("d"))
		}, map[string][]string{"d/old": {"again"}, "d/sub/new": {"old"}}},
		{"a lock", func(m *Mem) { got(m.Lock("d/lock")); do(m.SyncDir("d")) },
			map[string][]string{"d/lock": {""}}},
	} {
		t.Run(c.name, func(t *testing.T) {
			m := newMem("d/sub")
			for name, text := range map[string]string{"d/old": "old", "d/sub/1": "1", "d/sub/2": "2"} {
				writeFile(m, name, text)
			}
			do(m.SyncAll("d"))
			c.do(m)
			for name, want := range c.want {
				if diff := cmp.Diff(want, outcomes(m, name, 300)); diff != "" {
					t.Errorf("%s holds\n%s", name, diff)
				}
			}
			if _, err := m.CrashClone(nil).Lock("d/old"); err != nil {
				t.Errorf("a lock outlived the crash: %v", err)
			}
		})
	}
}

func syncedFile(m *Mem, name, text string) {
	f := got(m.Create(name))
	got(f.WriteAt([]byte(text), 0))
	do(f.Sync())
	do(f.Close())
}

// TestRenameIsWhole: in a crash a renamed file has one name, never two or none.
func TestRenameIsWhole(t *testing.T) {
	m := newMem("d")
	syncedFile(m, "d/a", "x")
	do(m.SyncDir("d"))
	do(m.Rename("d/a", "d/b"))
	do(m.Rename("d/b", "d/c"))
	seen := map[string]bool{}
	for clone := range crashes(m, 500) {
		names := got(clone.List("d"))
		if len(names) != 1 || read(clone, "d/"+names[0]) != "x" {
			t.Fatalf("left: %v", names)
		}
		seen[names[0]] = true
	}
	if len(seen) != 3 {
		t.Errorf("only these names survive: %v", seen)
	}
}

// TestFolderIsRemovedLast: what was moved out of a folder before its removal is not lost with it.
func TestFolderIsRemovedLast(t *testing.T) {
	m := newMem("d/sub")
	syncedFile(m, "d/sub/f", "x")
	do(m.SyncAll("d"))
	do(m.Rename("d/sub/f", "d/f"))
	do(m.RemoveAll("d/sub"))
	for clone := range crashes(m, 500) {
		if inside, outside := read(clone, "d/sub/f"), read(clone, "d/f"); inside+outside != "xerror" && inside+outside != "errorx" {
			t.Fatalf("in the folder: %s, outside: %s", inside, outside)
		}
	}
	do(m.SyncDir("d"))
	if len(m.changes) != 0 {
		t.Errorf("%d changes in a removed folder are kept", len(m.changes))
	}
}

// TestCrashOfEntriesModel compares crashes of random changes in one folder with a list of all outcomes that are allowed.
func TestCrashOfEntriesModel(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		m := newMem("d")
		durable := map[string]string{}
		var unsynced []map[string]string // changes: name → content, "" for none
		live := map[string]string{}
		apply := func(to map[string]string, change map[string]string) {
			maps.Copy(to, change)
			maps.DeleteFunc(to, func(_, v string) bool { return v == "" })
		}
		change := func(c map[string]string) {
			unsynced = append(unsynced, c)
			apply(live, c)
		}
		for i := range rapid.IntRange(1, 9).Draw(t, "operations") {
			a, b := rapid.SampledFrom([]string{"a", "b", "c"}).Draw(t, "a"), rapid.SampledFrom([]string{"a", "b", "c"}).Draw(t, "b")
			switch rapid.IntRange(0, 5).Draw(t, "operation") {
			case 0, 1:
				if live[a] == "" {
					text := fmt.Sprint(i)
					syncedFile(m, "d/"+a, text)
					change(map[string]string{a: text})
				}
			case 2:
				if live[a] != "" {
					do(m.Remove("d/" + a))
					change(map[string]string{a: ""})
				}
			case 3, 4:
				if live[a] != "" && a != b {
					do(m.Rename("d/"+a, "d/"+b))
					change(map[string]string{a: "", b: live[a]})
				}
			case 5:
				do(m.SyncDir("d"))
				durable, unsynced = maps.Clone(live), nil
			}
		}
		allowed := map[string]bool{}
		for kept := range 1 << len(unsynced) {
			outcome, lost, possible := maps.Clone(durable), map[string]bool{}, true
			for i, c := range unsynced {
				keep := kept>>i&1 == 1
				for name := range c {
					possible = possible && !(keep && lost[name])
					lost[name] = lost[name] || !keep
				}
				if keep {
					apply(outcome, c)
				}
			}
			if possible {
				allowed[fmt.Sprint(outcome)] = true
			}
		}
		for clone := range crashes(m, 60) {
			found := map[string]string{}
			for _, name := range got(clone.List("d")) {
				found[name] = read(clone, "d/"+name)
			}
			if !allowed[fmt.Sprint(found)] {
				t.Fatalf("a crash left %v; allowed: %v", found, sortedKeys(allowed))
			}
		}
	})
}

func TestCrashTearsAtSectors(t *testing.T) {
	const size, at, length = 4 * sector, 100, 3 * sector
	m := newMem("d")
	f := got(m.Create("d/f"))
	do(m.SyncDir("d"))
	got(f.WriteAt(bytes.Repeat([]byte{'o'}, size), 0))
	do(f.Sync())
	got(f.WriteAt(bytes.Repeat([]byte{'n'}, length), at))
	// The write touches four sectors: the first from byte 100 on, the last up to there.
	want := map[string]bool{}
	for kept := range 1 << 4 {
		b := bytes.Repeat([]byte{'o'}, size)
		for i := at; i < at+length; i++ {
			if kept>>(i/sector)&1 == 1 {
				b[i] = 'n'
			}
		}
		want[string(b)] = true
	}
	seen := outcomes(m, "d/f", 2000)
	if !slices.Equal(seen, sortedKeys(want)) {
		t.Errorf("%d outcomes, not these %d", len(seen), len(want))
	}
	if read(m.CrashClone(nil), "d/f") != strings.Repeat("o", size) {
		t.Error("an unsynced write survived")
	}
	do(f.Sync())
	if seen := outcomes(m, "d/f", 100); len(seen) != 1 || seen[0] != read(m, "d/f") {
		t.Error("a synced write was torn")
	}
}

func TestCrashOfLengths(t *testing.T) {
	for _, c := range []struct {
		name string
		do   func(f File)
		want []string
	}{
		{"append", func(f File) { got(f.WriteAt([]byte("XY"), 4)) }, []string{"abcd", "abcd\x00\x00", "abcdXY"}},
		{"cut", func(f File) { do(f.Truncate(2)) }, []string{"ab", "abcd"}},
		{"grow", func(f File) { do(f.Truncate(6)) }, []string{"abcd", "abcd\x00\x00"}},
		{"cut and synced", func(f File) { do(f.Truncate(2)); do(f.Sync()) }, []string{"ab"}},
		{"cut and append", func(f File) { do(f.Truncate(2)); got(f.WriteAt([]byte("X"), 2)) },
			[]string{"ab", "ab\x00", "abX", "abXd", "abcd"}},
		{"two appends in any order", func(f File) { got(f.WriteAt([]byte("X"), 4)); got(f.WriteAt([]byte("Y"), 5)) },
			[]string{"abcd", "abcd\x00", "abcd\x00\x00", "abcd\x00Y", "abcdX", "abcdX\x00", "abcdXY"}},
		{"overwritten twice", func(f File) { got(f.WriteAt([]byte("X"), 0)); got(f.WriteAt([]byte("Y"), 0)) },
			[]string{"Xbcd", "Ybcd", "abcd"}},
		{"beyond the end", func(f File) { got(f.WriteAt([]byte("X"), 6)) }, []string{"abcd", "abcd\x00\x00\x00", "abcd\x00\x00X"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			m := newMem("d")
			syncedFile(m, "d/f", "abcd")
			do(m.SyncDir("d"))
			c.do(got(m.OpenReadWrite("d/f")))
			seen := outcomes(m, "d/f", 1500)
			if diff := cmp.Diff(c.want, seen); diff != "" {
				t.Error(diff)
			}
			seen = outcomes(m.Clone(), "d/f", 1500)
			if diff := cmp.Diff(c.want, seen); diff != "" {
				t.Errorf("a clone remembers what is unsynced otherwise:\n%s", diff)
			}
		})
	}
}

// TestDurableBytesModel writes, cuts and syncs at random, beside a copy that is taken at each sync.
func TestDurableBytesModel(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		m := newMem("d")
		syncedFile(m, "d/f", "")
		do(m.SyncDir("d"))
		var live, durable []byte
		clones := map[*Mem]string{}
		for i := range rapid.IntRange(1, 20).Draw(t, "operations") {
			f := got(m.OpenReadWrite("d/f"))
			at, size := rapid.Int64Range(0, 40).Draw(t, "at"), rapid.IntRange(1, 40).Draw(t, "size")
			switch rapid.IntRange(0, 5).Draw(t, "operation") {
			case 0, 1, 2:
				b := bytes.Repeat([]byte{byte('a' + i)}, size)
				got(f.WriteAt(b, at))
				live = append(live, make([]byte, max(0, int(at)+size-len(live)))...)
				copy(live[at:], b)
			case 3:
				do(f.Truncate(at))
				live = append(live, make([]byte, max(0, int(at)-len(live)))...)[:at]
			case 4:
				do(f.Sync())
				durable = slices.Clone(live)
			case 5:
				clones[m.Clone()] = string(live)
				m = m.Clone()
			}
			live = slices.Clone(live)
			if s := read(m, "d/f"); s != string(live) {
				t.Fatalf("the file holds %q, not %q", s, live)
			}
			if s := read(m.CrashClone(nil), "d/f"); s != string(durable) {
				t.Fatalf("a crash leaves %q, not %q", s, durable)
			}
		}
		for clone, want := range clones {
			if s := read(clone, "d/f"); s != want {
				t.Fatalf("a clone changed from %q to %q", want, s)
			}
		}
	})
}

// TestCloneIsApart changes original and clone, and finds each as it should be.
func TestCloneIsApart(t *testing.T) {
	for name, clone := range map[string]func(*Mem) *Mem{
		"kill": (*Mem).Clone, "crash": func(m *Mem) *Mem { return m.CrashClone(nil) },
	} {
		t.Run(name, func(t *testing.T) {
			m := newMem("d")
			syncedFile(m, "d/f", "content")
			do(m.SyncDir("d"))
			other := clone(m)
			change := func(m *Mem, text string) {
				f := got(m.OpenReadWrite("d/f"))
				got(f.WriteAt([]byte(text), 7))
				if end := read(m, "d/f"); end != "content"+text {
					t.Errorf("appended: %s", end)
				}
			}
			for range 2 { // the second is into the room that the first made
				change(m, "1")
				change(other, "2")
			}
			if a, b := read(m, "d/f"), read(other, "d/f"); a != "content1" || b != "content2" {
				t.Errorf("the original holds %q, the clone %q", a, b)
			}
			change = func(m *Mem, text string) {
				f := got(m.OpenReadWrite("d/f"))
				do(f.Truncate(4))
				got(f.WriteAt([]byte(text), 3))
				writeFile(m, "d/"+text, "")
			}
			change(m, "original")
			change(other, "clone")
			if a, b := read(m, "d/f"), read(other, "d/f"); a != "conoriginal" || b != "conclone" {
				t.Errorf("the original holds %q, the clone %q", a, b)
			}
			if a, b := got(m.List("d")), got(other.List("d")); !slices.Equal(a, []string{"f", "original"}) || !slices.Equal(b, []string{"clone", "f"}) {
				t.Errorf("the original has %v, the clone %v", a, b)
			}
		})
	}
}

// TestMemConcurrently is for the race detector; and a crash clone is of one moment.
func TestMemConcurrently(t *testing.T) {
	m := newMem("d")
	var wg sync.WaitGroup
	for i := range 4 {
		name := fmt.Sprintf("d/%d", i)
		f := got(m.Create(name))
		do(m.SyncDir("d"))
		wg.Go(func() {
			b := make([]byte, 100)
			for n := range int64(200) {
				got(f.WriteAt(b[:10], n*10))
				got(f.ReadAt(b[:10], n*10))
				if n%10 == 0 {
					do(f.Sync())
					do(m.Rename(name, name+"x"))
					do(m.Rename(name+"x", name))
					do(m.SyncAll("d"))
				}
			}
		})
	}
	wg.Go(func() {
		rng := rand.New(rand.NewPCG(1, 1))
		for range 100 {
			if names := got(m.CrashClone(rng).List("d")); len(names) != 4 {
				t.Errorf("a crash leaves %v", names)
			}
			got(m.Clone().List("d"))
		}
	})
	wg.Wait()
}

// TestCrashIsRepeatable: the same seed gives the same crash.
func TestCrashIsRepeatable(t *testing.T) {
	m := newMem("d")
	for i := range 20 {
		writeFile(m, fmt.Sprintf("d/%d", i), strings.Repeat("x", 2000))
	}
	crash := func() map[string]string { return tree(m.CrashClone(rand.New(rand.NewPCG(3, 3))), "d") }
	if diff := cmp.Diff(crash(), crash()); diff != "" {
		t.Error(diff)
	}
}

// BenchmarkCrashClone crashes a small log that is being appended to.
func BenchmarkCrashClone(b *testing.B) {
	m := newMem("d")
	for i := range 5 {
		syncedFile(m, fmt.Sprintf("d/%d", i), strings.Repeat("x", 4000))
	}
	do(m.SyncDir("d"))
	f := got(m.OpenReadWrite("d/0"))
	for i := range int64(5) {
		got(f.WriteAt(make([]byte, 700), 4000+i*700))
	}
	rng := rand.New(rand.NewPCG(1, 1))
	for b.Loop() {
		m.CrashClone(rng)
	}
}

// BenchmarkMemAppend appends and syncs.
func BenchmarkMemAppend(b *testing.B) {
	f := got(newMem("d").Create("d/f"))
	record := make([]byte, 1000)
	b.SetBytes(int64(len(record)))
	for at := int64(0); b.Loop(); at += int64(len(record)) {
		got(f.WriteAt(record, at))
		do(f.Sync())
	}
}
