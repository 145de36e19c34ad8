package log

import (
	"errors"
	"io"

	"github.com/weir/weir/internal/vfs"
)

// Whose tells whose log a folder holds, without opening it. False: no segment tells.
func Whose(fs vfs.FS, dir string) (Identity, bool, error) {
	files, err := (&Log{fs: fs, dir: dir}).list()
	if err != nil {
		return Identity{}, false, err
	}
	for _, base := range files.bases {
		if id, ok, err := whoseSegment(fs, segmentName(dir, base)+logSuffix); ok || err != nil {
			return id, ok, err
		}
	}
	return Identity{}, false, nil
}

func whoseSegment(fs vfs.FS, name string) (id Identity, whole bool, err error) {
	file, err := fs.Open(name)
	if err != nil {
		return Identity{}, false, err
	}
	var b [headerFrame]byte
	n, err := file.ReadAt(b[:], 0)
	if err = errors.Join(err, file.Close()); err != nil && !errors.Is(err, io.EOF) {
		return Identity{}, false, err
	}
	f, err := parseFrame(b[:n])
	if err != nil || n < len(b) || f.kind != segmentHeader || f.magic != ownMagic || f.size != headerFrame || !checkFrame(b[:]) {
		return Identity{}, false, nil
	}
	if version, found, _ := parseHeader(b[:]); version == formatVersion {
		return found, true, nil
	}
	return Identity{}, false, nil
}
