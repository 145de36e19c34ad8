package vfs

import (
	"fmt"
	"io"
	"io/fs"
	"math/rand/v2"
	"path"
	"slices"
	"sort"
	"strings"
	"sync"
)

// sector is what a disk writes in one piece.
const sector = 512

// Mem is a file system in memory with honest sync semantics. Content counts after Sync of the file, a name after SyncDir of
// its folder, everything after SyncAll. CrashClone shows what a power cut may leave.
type Mem struct {
	mu    sync.RWMutex
	live  map[string]*inode // what programs see
	safe  map[string]*inode // the names that survive
	dirs  map[string]bool   // folders; they are durable at once
	locks map[string]bool
}

// inode is a file's content: what is durable, and what was written since.
type inode struct {
	data    []byte // as programs see it
	synced  []byte // as of the last sync
	pending []write
}

// write is an unsynced write, or a cut (data nil) to a length.
type write struct {
	at   int64
	data []byte
}

// NewMem makes an empty file system.
func NewMem() *Mem {
	return &Mem{live: map[string]*inode{}, safe: map[string]*inode{}, dirs: map[string]bool{".": true, "/": true}, locks: map[string]bool{}}
}

// Clone copies the file system as after the end of the process: everything written is there.
func (m *Mem) Clone() *Mem {
	m.mu.RLock()
	defer m.mu.RUnlock()
	out := NewMem()
	copies := map[*inode]*inode{}
	dup := func(n *inode) *inode {
		c := copies[n]
		if c == nil {
			c = &inode{data: slices.Clone(n.data), synced: slices.Clone(n.synced), pending: slices.Clone(n.pending)}
			copies[n] = c
		}
		return c
	}
	for name, n := range m.live {
		out.live[name] = dup(n)
	}
	for name, n := range m.safe {
		out.safe[name] = dup(n)
	}
	for d := range m.dirs {
		out.dirs[d] = true
	}
	return out
}

// CrashClone copies the file system as after a power cut: of what was not synced, each write and each name is there or not,
// and the pieces of a write independently of each other. With a nil rng all of it is lost.
func (m *Mem) CrashClone(rng *rand.Rand) *Mem {
	m.mu.RLock()
	defer m.mu.RUnlock()
	out := NewMem()
	for d := range m.dirs {
		out.dirs[d] = true
	}
	copies := map[*inode]*inode{}
	crash := func(n *inode) *inode {
		c := copies[n]
		if c == nil {
			data := n.crash(rng)
			c = &inode{data: data, synced: slices.Clone(data)}
			copies[n] = c
		}
		return c
	}
	for _, name := range sortedKeys(m.live, m.safe) {
		n := m.safe[name]
		if now := m.live[name]; now != n && rng != nil && rng.IntN(2) == 0 {
			n = now
		}
		if n != nil {
			out.live[name] = crash(n)
			out.safe[name] = out.live[name]
		}
	}
	return out
}

func sortedKeys(maps ...map[string]*inode) []string {
	seen := map[string]bool{}
	var out []string
	for _, m := range maps {
		for k := range m {
			if !seen[k] {
				seen[k] = true
				out = append(out, k)
			}
		}
	}
	sort.Strings(out)
	return out
}

// crash gives the content after a power cut.
func (n *inode) crash(rng *rand.Rand) []byte {
	data := slices.Clone(n.synced)
	if rng == nil {
		return data
	}
	for _, w := range n.pending {
		if w.data == nil {
			if rng.IntN(2) == 0 {
				data = resize(data, w.at)
			}
			continue
		}
		for from := int64(0); from < int64(len(w.data)); {
			to := min((w.at+from)/sector*sector+sector-w.at, int64(len(w.data)))
			if rng.IntN(2) == 0 {
				data = put(data, w.at+from, w.data[from:to])
			}
			from = to
		}
	}
	return data
}

func resize(b []byte, size int64) []byte {
	if size <= int64(len(b)) {
		return b[:size]
	}
	return append(b, make([]byte, size-int64(len(b)))...)
}

func put(b []byte, at int64, data []byte) []byte {
	if end := at + int64(len(data)); end > int64(len(b)) {
		b = resize(b, end)
	}
	copy(b[at:], data)
	return b
}

func missing(op, name string) error {
	return &fs.PathError{Op: op, Path: name, Err: fs.ErrNotExist}
}

// Create implements FS.
func (m *Mem) Create(name string) (File, error) {
	name = path.Clean(name)
	m.mu.Lock()
	defer m.mu.Unlock()
	if !m.dirs[path.Dir(name)] {
		return nil, missing("create", name)
	}
	n := &inode{}
	if old := m.live[name]; old != nil {
		n = old
		n.data = n.data[:0:0]
		n.pending = append(n.pending, write{at: 0})
	}
	m.live[name] = n
	return &memFile{fs: m, node: n, name: name}, nil
}

// Open implements FS.
func (m *Mem) Open(name string) (File, error) { return m.open(name) }

// OpenReadWrite implements FS.
func (m *Mem) OpenReadWrite(name string) (File, error) { return m.open(name) }

func (m *Mem) open(name string) (File, error) {
	name = path.Clean(name)
	m.mu.RLock()
	defer m.mu.RUnlock()
	n := m.live[name]
	if n == nil {
		return nil, missing("open", name)
	}
	return &memFile{fs: m, node: n, name: name}, nil
}

// Remove implements FS.
func (m *Mem) Remove(name string) error {
	name = path.Clean(name)
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.live[name] == nil {
		return missing("remove", name)
	}
	delete(m.live, name)
	return nil
}

// RemoveAll implements FS.
func (m *Mem) RemoveAll(dir string) error {
	dir = path.Clean(dir)
	m.mu.Lock()
	defer m.mu.Unlock()
	for name := range m.live {
		if name == dir || strings.HasPrefix(name, dir+"/") {
			delete(m.live, name)
		}
	}
	for d := range m.dirs {
		if d == dir || strings.HasPrefix(d, dir+"/") {
			delete(m.dirs, d)
		}
	}
	return nil
}

// Rename implements FS. A folder takes what is in it along.
func (m *Mem) Rename(from, to string) error {
	from, to = path.Clean(from), path.Clean(to)
	m.mu.Lock()
	defer m.mu.Unlock()
	if n := m.live[from]; n != nil {
		delete(m.live, from)
		m.live[to] = n
		return nil
	}
	if !m.dirs[from] {
		return missing("rename", from)
	}
	move := func(names map[string]*inode) {
		for _, name := range sortedKeys(names) {
			if rest, ok := strings.CutPrefix(name, from+"/"); ok {
				names[to+"/"+rest] = names[name]
				delete(names, name)
			}
		}
	}
	move(m.live)
	move(m.safe)
	delete(m.dirs, from)
	m.dirs[to] = true
	return nil
}

// MkdirAll implements FS.
func (m *Mem) MkdirAll(dir string) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	for d := path.Clean(dir); !m.dirs[d]; d = path.Dir(d) {
		m.dirs[d] = true
	}
	return nil
}

// List implements FS.
func (m *Mem) List(dir string) ([]string, error) {
	dir = path.Clean(dir)
	m.mu.RLock()
	defer m.mu.RUnlock()
	if !m.dirs[dir] {
		return nil, missing("list", dir)
	}
	var out []string
	for name := range m.live {
		if path.Dir(name) == dir {
			out = append(out, path.Base(name))
		}
	}
	for d := range m.dirs {
		if d != dir && path.Dir(d) == dir {
			out = append(out, path.Base(d))
		}
	}
	sort.Strings(out)
	return out, nil
}

// Size implements FS.
func (m *Mem) Size(name string) (int64, error) {
	m.mu.RLock()
	defer m.mu.RUnlock()
	n := m.live[path.Clean(name)]
	if n == nil {
		return 0, missing("size", name)
	}
	return int64(len(n.data)), nil
}

// SyncDir implements FS.
func (m *Mem) SyncDir(dir string) error {
	dir = path.Clean(dir)
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, name := range sortedKeys(m.live, m.safe) {
		if path.Dir(name) == dir {
			m.settle(name)
		}
	}
	return nil
}

// settle makes a name durable as it is. Under mu.
func (m *Mem) settle(name string) {
	if n := m.live[name]; n != nil {
		m.safe[name] = n
	} else {
		delete(m.safe, name)
	}
}

// SyncAll implements FS.
func (m *Mem) SyncAll(string) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, name := range sortedKeys(m.live, m.safe) {
		m.settle(name)
	}
	for _, n := range m.live {
		n.sync()
	}
	return nil
}

func (n *inode) sync() {
	if len(n.pending) > 0 {
		n.synced = slices.Clone(n.data)
		n.pending = nil
	}
}

// Lock implements FS. Locks end with the process: clones have none.
func (m *Mem) Lock(name string) (io.Closer, error) {
	name = path.Clean(name)
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.locks[name] {
		return nil, &fs.PathError{Op: "lock", Path: name, Err: ErrLocked}
	}
	m.locks[name] = true
	return memLock{m, name}, nil
}

type memLock struct {
	fs   *Mem
	name string
}

func (l memLock) Close() error {
	l.fs.mu.Lock()
	defer l.fs.mu.Unlock()
	delete(l.fs.locks, l.name)
	return nil
}

// Space implements FS: as much as anyone could want.
func (m *Mem) Space(string) (total, free int64, err error) { return 1 << 40, 1 << 40, nil }

type memFile struct {
	fs   *Mem
	node *inode
	name string
}

func (f *memFile) ReadAt(b []byte, at int64) (int, error) {
	f.fs.mu.RLock()
	defer f.fs.mu.RUnlock()
	if at >= int64(len(f.node.data)) {
		return 0, io.EOF
	}
	n := copy(b, f.node.data[at:])
	if n < len(b) {
		return n, io.EOF
	}
	return n, nil
}

func (f *memFile) WriteAt(b []byte, at int64) (int, error) {
	if at < 0 {
		return 0, fmt.Errorf("write %s: negative position", f.name)
	}
	f.fs.mu.Lock()
	defer f.fs.mu.Unlock()
	f.node.data = put(f.node.data, at, b)
	f.node.pending = append(f.node.pending, write{at, slices.Clone(b)})
	return len(b), nil
}

func (f *memFile) Truncate(size int64) error {
	f.fs.mu.Lock()
	defer f.fs.mu.Unlock()
	f.node.data = resize(f.node.data, size)
	f.node.pending = append(f.node.pending, write{at: size})
	return nil
}

func (f *memFile) Size() (int64, error) {
	f.fs.mu.RLock()
	defer f.fs.mu.RUnlock()
	return int64(len(f.node.data)), nil
}

func (f *memFile) Sync() error {
	f.fs.mu.Lock()
	defer f.fs.mu.Unlock()
	f.node.sync()
	return nil
}

func (f *memFile) Close() error { return nil }
func (f *memFile) Fd() uintptr  { return NoFd }
