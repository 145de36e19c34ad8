package replication

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/weir/weir/internal/vfs"
)

// TestJournalDamage flips each bit, cuts at each length and blanks each sector of a journal: what then opens has everything.
func TestJournalDamage(t *testing.T) {
	journals := map[string]func(j *Journal){
		"frames":          func(j *Journal) { commit(t, j, vote(8, 3)); commit(t, j, vote(9, 3)) },
		"witnesses":       func(j *Journal) { commit(t, j, shown(8, 3), vote(8, 3), shown(9, 4)); commit(t, j, shown(8, 7)) },
		"members":         func(j *Journal) { commit(t, j, moved(8, 3), vote(8, 3), moved(9, 4)); commit(t, j, moved(8, 5)) },
		"after a rewrite": func(j *Journal) { commit(t, j, vote(8, 3)); _ = j.rewrite() },
		"large":           func(j *Journal) { commit(t, j, vote(1, 2), vote(2, 2), vote(3, 2), vote(4, 2), vote(5, 2), vote(6, 2)) },
	}
	for name, write := range journals {
		t.Run(name, func(t *testing.T) {
			fs := newDataDir(t)
			j := openJournal(t, fs)
			for n := range 12 {
				commit(t, j, vote(n, 1))
			}
			write(j)
			want, size, refused := content(j), j.size, 0
			known := len(j.states)
			check := func(what string, damage func(fs *vfs.Mem)) {
				t.Helper()
				clone := fs.Clone()
				damage(clone)
				groups, _, checkErr := CheckJournal(clone, "d")
				damaged, err := OpenJournal(clone, "d")
				var typed *DamageError
				switch {
				case (checkErr == nil) != (err == nil), err == nil && groups != known:
					t.Fatalf("%s: opened (%v), and checked: %d groups (%v)", what, err, groups, checkErr)
				case err == nil:
					if diff := cmp.Diff(want, content(damaged)); diff != "" {
						t.Fatalf("%s: opened with\n%s", what, diff)
					}
				case !errors.As(err, &typed) || typed.File != journalFile || !strings.Contains(err.Error(), journalFile):
					t.Fatalf("%s: %v", what, err)
				default:
					refused++
				}
			}
			b := fileOf(t, fs)
			for at := range size {
				for bit := range 8 {
					check(fmt.Sprintf("bit %d of byte %d", bit, at), func(fs *vfs.Mem) {
						overwrite(t, fs, []byte{b[at] ^ 1<<bit}, at)
					})
				}
				check(fmt.Sprintf("cut at %d", at), func(fs *vfs.Mem) {
					f, err := fs.OpenReadWrite(journalFile)
					if err != nil || f.Truncate(at) != nil {
						t.Fatal("the file cannot be cut")
					}
				})
			}
			for at := int64(0); at < size; at += 512 {
				check(fmt.Sprintf("sector at %d blank", at), func(fs *vfs.Mem) { overwrite(t, fs, make([]byte, min(512, size-at)), at) })
			}
			// Only the bytes of the header after its magic may be wrong without consequence.
			if most := int(size-(headerSize-4))*8 + int(size); refused < most {
				t.Errorf("%d of %d damages were refused", refused, most)
			}
			// With the header's word for it gone too, damage before whole frames is still noticed.
			if name == "frames" {
				header := append([]byte(journalMagic), make([]byte, headerSize-4)...)
				for at := int64(headerSize); at < size-nameSize-stateSize-frameHeader; at++ {
					clone := fs.Clone()
					overwrite(t, clone, header, 0)
					overwrite(t, clone, []byte{b[at] ^ 1}, at)
					if _, err := OpenJournal(clone, "d"); err == nil {
						t.Fatalf("damage at byte %d is not noticed", at)
					}
				}
			}
		})
	}
}

// TestJournalTornTail: what a crash left of a commit that was never answered is dropped.
func TestJournalTornTail(t *testing.T) {
	fs := newDataDir(t)
	j := openJournal(t, fs)
	commit(t, j, vote(1, 1), vote(2, 1))
	frame := appendFrame(nil, []Update{vote(1, 2), moved(1, 2), shown(1, 7), vote(3, 2)})
	zeros := make([]byte, len(frame))
	tails := [][]byte{zeros, []byte(strings.Repeat("\xff", 100)), append(slices.Clone(zeros[:20]), frame[20:]...)}
	for n := range frame {
		tails = append(tails, frame[:n], append(slices.Clone(frame[:n]), zeros[n:]...))
	}
	for _, tail := range tails {
		clone := fs.Clone()
		overwrite(t, clone, tail, j.size)
		again := openJournal(t, clone)
		if diff := cmp.Diff(content(j), content(again)); diff != "" {
			t.Fatalf("tail %x:\n%s", tail, diff)
		}
		commit(t, again, vote(1, 7))
		if diff := cmp.Diff(content(again), content(openJournal(t, clone.CrashClone(nil)))); diff != "" {
			t.Fatalf("tail %x, gone on:\n%s", tail, diff)
		}
	}
}

func TestJournalOfAnotherVersion(t *testing.T) {
	fs := newDataDir(t)
	openJournal(t, fs)
	newer := header(headerSize)
	newer[4] = 9
	overwrite(t, fs, sealHeader(newer), 0)
	if _, err := OpenJournal(fs, "d"); err == nil || !strings.Contains(err.Error(), "format 9") {
		t.Errorf("a newer format: %v", err)
	}
}

// TestJournalClosed: after a clean end also the last frame is known to be durable.
func TestJournalClosed(t *testing.T) {
	fs := newDataDir(t)
	j := openJournal(t, fs)
	commit(t, j, vote(1, 1))
	size := j.size
	if err := j.Close(); err != nil {
		t.Fatal(err)
	}
	crashed := fs.CrashClone(nil)
	overwrite(t, crashed, []byte{0xff}, size-1)
	var damage *DamageError
	if _, err := OpenJournal(crashed, "d"); !errors.As(err, &damage) || damage.Pos != headerSize {
		t.Errorf("the last frame is damaged: %v", err)
	}
}

// FuzzJournal opens arbitrary files: there is an error, or a journal that opens again with the same content.
func FuzzJournal(f *testing.F) {
	fs := newDataDir(f)
	j := openJournal(f, fs)
	commit(f, j, vote(1, 1), vote(2, 1))
	commit(f, j, vote(1, 2), moved(2, 5), shown(3, 7))
	f.Add(fileOf(f, fs), false)
	f.Add(header(headerSize), false)
	f.Add([]byte(journalMagic+strings.Repeat("\x00", 40)), true)
	f.Fuzz(func(t *testing.T, b []byte, seal bool) {
		if seal && len(b) >= headerSize {
			b = append(sealHeader(slices.Clone(b[:headerSize])), b[headerSize:]...)
		}
		fs := newDataDir(t)
		if err := vfs.WriteFileAtomic(fs, journalFile, b); err != nil {
			t.Fatal(err)
		}
		j, err := OpenJournal(fs, "d")
		if err != nil {
			return
		}
		if diff := cmp.Diff(content(j), content(openJournal(t, fs.CrashClone(nil)))); diff != "" {
			t.Error(diff)
		}
	})
}

// sealHeader makes a header's checksum right again.
func sealHeader(b []byte) []byte {
	return binary.BigEndian.AppendUint32(b[:headerSize-4], crc32.Checksum(b[:headerSize-4], castagnoli))
}
