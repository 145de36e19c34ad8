package transport

import (
	"bufio"
	"bytes"
	"encoding/binary"
	"fmt"
	"io"
	"sync"
	"sync/atomic"
)

// readAhead is how much is read of small frames at once. What is larger is read to where it stays.
const readAhead = 16 << 10

// frame is the bytes of a frame, shared by those who still use them. Its memory is used again, by frames of about its size: so a
// small one that stays keeps no more than that.
type frame struct {
	b     []byte
	class int // of the memory; -1: it is not used again
	users atomic.Int32
}

// Memory has sizes that are powers of two, with a little more, as a message has beside its data.
const (
	smallestFrame = 4 << 10
	frameClasses  = 9 // the largest has room for what a message carries
	frameMore     = 4 << 10
)

var spareFrames [frameClasses]sync.Pool

// classOf gives the class of a frame; -1: it is too large.
func classOf(n int64) int {
	for class := range frameClasses {
		if n <= smallestFrame<<class+frameMore {
			return class
		}
	}
	return -1
}

// newFrame gives a frame with room for those of its class.
func newFrame(class int) *frame {
	f, ok := (*frame)(nil), false
	if class >= 0 {
		f, ok = spareFrames[class].Get().(*frame)
	}
	if !ok {
		f = &frame{class: class}
		if class >= 0 {
			f.b = make([]byte, smallestFrame<<class+frameMore)
		}
	}
	f.users.Store(1)
	return f
}

// Retain keeps the bytes until Release.
func (f *frame) Retain() { f.users.Add(1) }

// Release lets go of the bytes.
func (f *frame) Release() {
	switch n := f.users.Add(-1); {
	case n < 0:
		panic("BUG: a frame was released twice")
	case n == 0 && f.class >= 0:
		spareFrames[f.class].Put(f)
	}
}

// Size implements replication.Buffer.
func (f *frame) Size() int { return cap(f.b) }

// frameReader reads frames.
type frameReader struct {
	r *bufio.Reader
	f *frame // the last one
}

func newFrameReader(r io.Reader) *frameReader {
	return &frameReader{r: bufio.NewReaderSize(r, readAhead)}
}

// more tells whether a whole frame is there already.
func (in *frameReader) more() bool {
	b, err := in.r.Peek(min(4, in.r.Buffered()))
	return err == nil && len(b) == 4 && int64(in.r.Buffered()-4) >= int64(binary.BigEndian.Uint32(b))
}

// next gives a frame, which stays until the next call, or until it is released by who retains it.
func (in *frameReader) next() (*frame, error) {
	n, err := readLength(in.r)
	if err != nil {
		return nil, err
	}
	class := classOf(n)
	if in.f != nil && (in.f.users.Load() > 1 || in.f.class != class || class < 0) {
		in.end()
	}
	if in.f == nil {
		in.f = newFrame(class)
	}
	if class < 0 {
		in.f.b, err = readMuch(in.r, n)
		return in.f, err
	}
	in.f.b = in.f.b[:n]
	_, err = io.ReadFull(in.r, in.f.b)
	return in.f, err
}

// end lets go of the last frame.
func (in *frameReader) end() {
	if in.f != nil {
		in.f.Release()
		in.f = nil
	}
}

func readLength(r io.Reader) (int64, error) {
	var length [4]byte
	if _, err := io.ReadFull(r, length[:]); err != nil {
		return 0, err
	}
	n := int64(binary.BigEndian.Uint32(length[:]))
	if n > frameMax {
		return 0, fmt.Errorf("%w: a frame claims %d bytes", errForeign, n)
	}
	return n, nil
}

// readMuch reads n bytes. Memory is taken as they arrive.
func readMuch(r io.Reader, n int64) ([]byte, error) {
	var b bytes.Buffer
	if _, err := io.CopyN(&b, r, n); err != nil {
		return nil, err
	}
	return b.Bytes(), nil
}

// readAlone reads the one frame that a connection brings.
func readAlone(r io.Reader) ([]byte, error) {
	n, err := readLength(r)
	if err != nil {
		return nil, err
	}
	return readMuch(r, n)
}
