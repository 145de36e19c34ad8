package log

import (
	"errors"
	"io"

	"github.com/weir/weir/internal/vfs"
)

// Frame is what ScanSegment shows of a frame.
type Frame struct {
	Pos, Size int64
	Offset    int64 // base offset
	Next      int64 // log end offset after it
	Epoch     int32
	Index     uint64 // Raft index of an entry
	Header    bool   // it is the segment's header
	Kind      Kind
	Identity  Identity // of a header
	Data      []byte   // the whole frame; valid until the call returns
	Damage    string   // not empty: what is wrong; nothing is known beyond it
}

// ScanSegment calls f for every frame of a segment file. Damage comes as the last frame.
func ScanSegment(fs vfs.FS, name string, f func(Frame) error) error {
	file, err := fs.Open(name)
	if err != nil {
		return err
	}
	defer file.Close()
	size, err := file.Size()
	if err != nil {
		return err
	}
	w := &walker{file: file, name: name, end: size, chunk: scanChunk, next_: -1}
	for {
		fr, b, err := w.checked()
		if err == io.EOF {
			return nil
		}
		var damage *CorruptError
		if errors.As(err, &damage) {
			if unused, err := isRoom(file, damage.Pos, size); err != nil || unused && damage.Pos > 0 {
				return err
			}
			return f(Frame{Pos: damage.Pos, Size: size - damage.Pos, Offset: damage.Offset, Damage: damage.Reason})
		}
		if err != nil {
			return err
		}
		out := Frame{Pos: w.pos - fr.size, Size: fr.size, Offset: fr.base, Next: fr.next, Epoch: fr.epoch, Kind: fr.kind, Data: b}
		if fr.kind == segmentHeader {
			out.Header = true
			if fr.size != headerFrame {
				out.Damage = "a header of another size than this version writes"
				return f(out)
			}
			_, out.Identity, w.index = parseHeader(b)
		} else {
			out.Index = w.index
			w.index++
		}
		if err := f(out); err != nil {
			return err
		}
	}
}
