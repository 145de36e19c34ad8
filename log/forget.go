package log

import (
	"errors"
	"path"
	"slices"
	"strconv"
	"strings"

	"github.com/weir/weir/internal/vfs"
)

// forgottenName is a file that is there while entries may be missing at the end that were once durable.
const forgottenName = "forgotten"

// Forgotten tells whether entries may be missing at the end of the log that were durable, and so perhaps acknowledged: until Remembered.
// Only the log's writer may call it.
func (l *Log) Forgotten() bool { return l.forgotten }

// Forget notes, durably, that entries are missing at the end that were durable before.
func (l *Log) Forget() error {
	if l.forgotten {
		return nil
	}
	l.forgotten = true
	return noteForgotten(l.fs, l.dir)
}

func noteForgotten(fs vfs.FS, dir string) error {
	return vfs.WriteFileAtomic(fs, path.Join(dir, forgottenName), nil)
}

// Remembered notes that nothing is missing any more. What is there must be durable.
func (l *Log) Remembered() error {
	l.forgotten = false
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
	if err := noteForgotten(fs, dir); err != nil {
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
