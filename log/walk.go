package log

import (
	"fmt"
	"io"

	"github.com/weir/weir/internal/vfs"
)

const (
	walkChunk = 8 << 10
	scanChunk = 1 << 20
)

// walker goes from frame to frame of a segment. It reads ahead a little, but jumps over large frames.
type walker struct {
	file  vfs.File
	name  string
	pos   int64 // of the next frame
	end   int64 // where the log ends in this file
	index uint64
	buf   []byte
	at    int64 // position of buf
	chunk int
	next_ int64 // the offset that should come next; -1: not known
}

func newWalker(file vfs.File, s *segment, from indexEntry, end int64, chunk int) *walker {
	return &walker{file: file, name: s.name + logSuffix, pos: int64(from.pos), end: end, index: s.firstIndex + uint64(from.index), chunk: chunk, next_: s.base + int64(from.offset)}
}

// view gives n bytes at the walker's place, or fewer at the end.
func (w *walker) view(n int64) ([]byte, error) {
	n = min(n, w.end-w.pos)
	if w.pos < w.at || w.pos+n > w.at+int64(len(w.buf)) {
		size := min(max(n, int64(w.chunk)), w.end-w.pos)
		if int64(cap(w.buf)) < size {
			w.buf = make([]byte, size)
		}
		w.buf = w.buf[:size]
		got, err := w.file.ReadAt(w.buf, w.pos)
		if err != nil && err != io.EOF {
			return nil, fmt.Errorf("reading %s at %d: %w", w.name, w.pos, err)
		}
		w.buf, w.at = w.buf[:got], w.pos
	}
	from := w.pos - w.at
	return w.buf[from:min(from+n, int64(len(w.buf)))], nil
}

// next gives the frame at the walker's place and steps over it. At the end it gives io.EOF. A frame that is not whole or
// not where it should be is a *CorruptError.
func (w *walker) next() (frame, int64, error) {
	if w.pos >= w.end {
		return frame{}, w.pos, io.EOF
	}
	b, err := w.view(peekSize)
	if err != nil {
		return frame{}, w.pos, err
	}
	f, err := parseFrame(b)
	if err != nil {
		return f, w.pos, w.corrupt(err.Error())
	}
	if f.size > w.end-w.pos {
		return f, w.pos, w.corrupt(fmt.Sprintf("a frame of %d bytes is cut off", f.size))
	}
	if w.next_ >= 0 && f.base != w.next_ {
		return f, w.pos, w.corrupt(fmt.Sprintf("offset %d is there instead", f.base))
	}
	pos := w.pos
	w.pos += f.size
	w.next_ = f.next
	return f, pos, nil
}

// whole gives the bytes of the frame that next would give.
func (w *walker) whole(size int64) ([]byte, error) {
	b, err := w.view(size)
	if err == nil && int64(len(b)) < size {
		err = w.corrupt("the file ends early")
	}
	return b, err
}

func (w *walker) corrupt(reason string) error {
	return &CorruptError{File: w.name, Pos: w.pos, Offset: w.next_, Reason: reason}
}

// checked gives the next frame with its bytes, after checking its checksum.
func (w *walker) checked() (frame, []byte, error) {
	before := w.next_
	f, pos, err := w.next()
	if err != nil {
		return f, nil, err
	}
	w.pos = pos
	b, err := w.whole(f.size)
	if err == nil && !checkFrame(b) {
		w.next_ = before
		err = w.corrupt("its checksum does not match")
	}
	if err != nil {
		return f, nil, err
	}
	w.pos += f.size
	return f, b, nil
}
