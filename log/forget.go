package log

import (
	"errors"
	"path"
	"slices"
	"strconv"
	"strings"

	"github.com/weir/weir/internal/vfs"
)

// Files in a log's folder that are there while something is not as usual.
const (
	// forgottenName: entries may be missing at the end that were acknowledged. It says why.
	forgottenName = "forgotten"
	// relaxedName: what is in the log may have been acknowledged before it was durable.
	relaxedName = "relaxed"
)

// Lack says why entries may be missing at the end of a log that were acknowledged. What it counts less is smaller.
type Lack uint8

const (
	// Nothing: none may be missing.
	Nothing Lack = iota
	// ByPower: the machine lost its power, and they were acknowledged before they were durable.
	ByPower
	// ByDamage: they were durable, and are lost all the same.
	ByDamage
)

// noteOfPower is what a file says of ByPower. What else it says is ByDamage.
const noteOfPower = "power"

// Forgotten tells whether and why entries may be missing at the end of the log that were acknowledged: until Remembered.
// Only the log's writer may call it.
func (l *Log) Forgotten() Lack { return l.forgotten }

// Forget notes, durably, that entries may be missing at the end that were acknowledged.
func (l *Log) Forget(why Lack) error {
	if l.forgotten >= why {
		return nil
	}
	l.forgotten = why
	return noteForgotten(l.fs, l.dir, why)
}

func noteForgotten(fs vfs.FS, dir string, why Lack) error {
	note := ""
	if why == ByPower {
		note = noteOfPower
	}
	return vfs.WriteFileAtomic(fs, path.Join(dir, forgottenName), []byte(note))
}

// readForgotten tells what the file in a folder says that is there.
func readForgotten(fs vfs.FS, dir string) (Lack, error) {
	b, err := vfs.ReadFile(fs, path.Join(dir, forgottenName))
	if string(b) == noteOfPower {
		return ByPower, err
	}
	return ByDamage, err
}

// Relaxed tells whether entries may have been acknowledged that are not durable. Only the log's writer may call it.
func (l *Log) Relaxed() bool { return l.relaxed }

// Relax notes, durably, that entries are acknowledged from now on before they are durable.
func (l *Log) Relax() error {
	if l.relaxed {
		return nil
	}
	err := vfs.WriteFileAtomic(l.fs, path.Join(l.dir, relaxedName), nil)
	if err == nil {
		err = l.fs.SyncDir(path.Dir(l.dir)) // or the whole log could be gone, and with it this
	}
	if err != nil {
		return err
	}
	l.relaxed = true
	return nil
}

// Unrelax notes that all entries are durable, and are from now on before they are acknowledged. If a crash undoes that, it is no harm.
func (l *Log) Unrelax() error {
	if !l.relaxed {
		return nil
	}
	l.relaxed = false
	return l.fs.Remove(path.Join(l.dir, relaxedName))
}

// Remembered notes that nothing is missing any more. What is there must be durable.
func (l *Log) Remembered() error {
	l.forgotten = Nothing
	return errors.Join(l.fs.Remove(path.Join(l.dir, forgottenName)), l.fs.SyncDir(l.dir))
}

// giveUpFrom takes a damaged segment and those after it out of a log that cannot be opened with it, and the checkpoints that cover
// it. False: it is not a segment that is damaged, or that failed.
func giveUpFrom(fs vfs.FS, dir string, damage *CorruptError, r *Recovery) (bool, error) {
	number, isSegment := strings.CutSuffix(path.Base(damage.File), logSuffix)
	from, err := strconv.ParseInt(number, 10, 64)
	if !isSegment || err != nil {
		return false, nil
	}
	if err := noteForgotten(fs, dir, ByDamage); err != nil {
		return false, err
	}
	l := &Log{fs: fs, dir: dir}
	f, err := l.list()
	if err != nil {
		return false, err
	}
	for _, index := range f.checkpoints {
		name := checkpointName(dir, index)
		b, err := vfs.ReadFile(fs, name)
		if err != nil {
			return false, err
		}
		if c, err := parseCheckpoint(b); err == nil && c.segments[len(c.segments)-1].base < from {
			continue
		}
		if err := fs.Remove(name); err != nil {
			return false, err
		}
	}
	if err := fs.SyncDir(dir); err != nil {
		return false, err
	}
	given := slices.DeleteFunc(f.bases, func(base int64) bool { return base < from })
	return true, l.setAside(given, r)
}
