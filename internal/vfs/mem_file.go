package vfs

import (
	"io"
	"io/fs"
	"slices"
	"sync"
	"sync/atomic"
	"syscall"
)

// content is a file's bytes as programs see them, and how to get back from there to what is durable. So a sync costs
// nothing, an append copies nothing but its bytes, and crashes, which are rarer, pay for the rest.
type content struct {
	mu       sync.RWMutex
	data     []byte
	shared   int // so many bytes at the start of data belong to clones too, and are copied before they are changed
	unsynced []write
}

// write is an unsynced write, or a cut, and what it did away with.
type write struct {
	at   int64
	n    int64  // bytes written; cut: the new length is at
	size int64  // the length before
	old  []byte // what was overwritten, or cut off
}

const cut = -1

func (c *content) size() int64 {
	c.mu.RLock()
	defer c.mu.RUnlock()
	return int64(len(c.data))
}

func (c *content) sync() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.unsynced = nil
}

func (c *content) write(b []byte, at int64) {
	if len(b) == 0 {
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	w := write{at: at, n: int64(len(b)), size: int64(len(c.data))}
	if at < w.size {
		w.old = slices.Clone(c.data[at:min(at+w.n, w.size)])
		if at < int64(c.shared) {
			c.data, c.shared = slices.Clone(c.data), 0
		}
	}
	c.data = put(c.data, at, b)
	c.unsynced = append(c.unsynced, w)
}

func (c *content) truncate(size int64) {
	c.mu.Lock()
	defer c.mu.Unlock()
	w := write{at: size, n: cut, size: int64(len(c.data))}
	switch {
	case size == w.size:
		return
	case size < w.size:
		// Without room behind it, the next append moves away from the bytes that were cut off.
		w.old = c.data[size:]
		c.data, c.shared = c.data[:size:size], min(c.shared, int(size))
	default:
		c.data = resize(c.data, size)
	}
	c.unsynced = append(c.unsynced, w)
}

// undo takes a write back from the content after it.
func (w write) undo(data []byte) []byte {
	if w.n == cut {
		return append(resize(data, min(w.at, w.size)), w.old...)
	}
	copy(data[w.at:], w.old)
	return data[:w.size]
}

// resize cuts b, or appends zeros.
func resize(b []byte, size int64) []byte {
	if size <= int64(len(b)) {
		return b[:size]
	}
	return append(b, make([]byte, size-int64(len(b)))...)
}

// put writes data into b, which grows.
func put(b []byte, at int64, data []byte) []byte {
	if at > int64(len(b)) {
		b = resize(b, at)
	}
	n := copy(b[at:], data)
	return append(b, data[n:]...)
}

// memFile is an open file of Mem.
type memFile struct {
	fs       *Mem
	content  *content
	name     string
	writable bool
	closed   atomic.Bool
}

// change does something to the content, unless the file is closed or not open for that.
func (f *memFile) change(op string, position int64, call func()) error {
	switch {
	case f.closed.Load():
		return wrap(op, f.name, fs.ErrClosed)
	case !f.writable:
		return wrap(op, f.name, syscall.EBADF)
	case position < 0:
		return wrap(op, f.name, syscall.EINVAL)
	}
	f.fs.mu.RLock()
	defer f.fs.mu.RUnlock()
	call()
	return nil
}

func (f *memFile) ReadAt(b []byte, at int64) (int, error) {
	switch {
	case f.closed.Load():
		return 0, wrap("read", f.name, fs.ErrClosed)
	case at < 0:
		return 0, wrap("read", f.name, syscall.EINVAL)
	}
	f.content.mu.RLock()
	defer f.content.mu.RUnlock()
	n := copy(b, f.content.data[min(at, int64(len(f.content.data))):])
	if n < len(b) {
		return n, io.EOF
	}
	return n, nil
}

func (f *memFile) WriteAt(b []byte, at int64) (int, error) {
	if err := f.change("write", at, func() { f.content.write(b, at) }); err != nil {
		return 0, err
	}
	return len(b), nil
}

func (f *memFile) Truncate(size int64) error {
	return f.change("truncate", size, func() { f.content.truncate(size) })
}

func (f *memFile) Size() (int64, error) {
	if f.closed.Load() {
		return 0, wrap("size", f.name, fs.ErrClosed)
	}
	return f.content.size(), nil
}

func (f *memFile) Sync() error {
	if f.closed.Load() {
		return wrap("sync", f.name, fs.ErrClosed)
	}
	f.fs.mu.RLock()
	defer f.fs.mu.RUnlock()
	f.content.sync()
	return nil
}

func (f *memFile) Close() error {
	if f.closed.Swap(true) {
		return wrap("close", f.name, fs.ErrClosed)
	}
	return nil
}

func (f *memFile) Fd() uintptr { return NoFd }
