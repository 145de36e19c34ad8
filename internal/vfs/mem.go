package vfs

import (
	"io"
	"io/fs"
	"maps"
	"path"
	"slices"
	"strings"
	"sync"
	"syscall"
)

// Mem is a file system in memory with honest sync semantics. Content counts after Sync of the file, a name after SyncDir of
// its folder (a rename between two folders: of both), everything after SyncAll. CrashClone shows what a power cut may leave.
// Relative names begin at the root.
type Mem struct {
	// mu guards the tree. Reading and writing content holds it shared, and the content's own lock besides.
	mu      sync.RWMutex
	root    *node
	changes []change // of entries, not yet durable, oldest first
	locked  map[*node]bool
}

// node is a file or a folder.
type node struct {
	content    *content         // nil: a folder
	live, safe map[string]*node // a folder's entries: as programs see them, and as they are durable
}

func newFolder() *node { return &node{live: map[string]*node{}, safe: map[string]*node{}} }

func (n *node) isFolder() bool { return n.content == nil }

// NewMem makes an empty file system.
func NewMem() *Mem { return &Mem{root: newFolder(), locked: map[*node]bool{}} }

// find walks to a file or folder. Under mu.
func (m *Mem) find(name string) (*node, error) {
	at := m.root
	for part := range strings.SplitSeq(path.Clean("/"+name), "/") {
		if part == "" {
			continue
		}
		if !at.isFolder() {
			return nil, syscall.ENOTDIR
		}
		if at = at.live[part]; at == nil {
			return nil, fs.ErrNotExist
		}
	}
	return at, nil
}

// findFolder walks to a folder. Under mu.
func (m *Mem) findFolder(name string) (*node, error) {
	n, err := m.find(name)
	if err == nil && !n.isFolder() {
		err = syscall.ENOTDIR
	}
	return n, err
}

// findFile walks to a file. Under mu.
func (m *Mem) findFile(name string) (*node, error) {
	n, err := m.find(name)
	if err == nil && n.isFolder() {
		err = syscall.EISDIR
	}
	return n, err
}

// entry walks to the folder of a name and gives the name's last part. Under mu.
func (m *Mem) entry(name string) (folder *node, base string, err error) {
	name = path.Clean("/" + name)
	if name == "/" {
		return nil, "", syscall.EINVAL
	}
	folder, err = m.findFolder(path.Dir(name))
	return folder, path.Base(name), err
}

func wrap(op, name string, err error) error {
	if err == nil {
		return nil
	}
	return &fs.PathError{Op: op, Path: name, Err: err}
}

// Create implements FS.
func (m *Mem) Create(name string) (File, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	n, err := m.findOrMake(name)
	if err != nil {
		return nil, wrap("create", name, err)
	}
	n.content.truncate(0)
	return &memFile{fs: m, content: n.content, name: name, writable: true}, nil
}

// findOrMake walks to a file, and makes it if it is missing. Under mu.
func (m *Mem) findOrMake(name string) (*node, error) {
	folder, base, err := m.entry(name)
	if err != nil {
		return nil, err
	}
	n := folder.live[base]
	if n == nil {
		n = &node{content: &content{}}
		m.change(edit{folder: folder, name: base, to: n})
	}
	if n.isFolder() {
		return nil, syscall.EISDIR
	}
	return n, nil
}

// Open implements FS.
func (m *Mem) Open(name string) (File, error) { return m.open(name, false) }

// OpenReadWrite implements FS.
func (m *Mem) OpenReadWrite(name string) (File, error) { return m.open(name, true) }

func (m *Mem) open(name string, writable bool) (File, error) {
	m.mu.RLock()
	defer m.mu.RUnlock()
	n, err := m.findFile(name)
	if err != nil {
		return nil, wrap("open", name, err)
	}
	return &memFile{fs: m, content: n.content, name: name, writable: writable}, nil
}

// Remove implements FS.
func (m *Mem) Remove(name string) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	folder, base, err := m.entry(name)
	if err != nil {
		return wrap("remove", name, err)
	}
	n := folder.live[base]
	switch {
	case n == nil:
		return wrap("remove", name, fs.ErrNotExist)
	case n.isFolder() && len(n.live) > 0:
		return wrap("remove", name, syscall.ENOTEMPTY)
	}
	m.change(edit{folder: folder, name: base, gone: n})
	return nil
}

// RemoveAll implements FS.
func (m *Mem) RemoveAll(dir string) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	folder, base, err := m.entry(dir)
	if err == fs.ErrNotExist {
		return nil
	}
	if err != nil {
		return wrap("remove", dir, err)
	}
	m.removeTree(folder, base)
	return nil
}

func (m *Mem) removeTree(folder *node, name string) {
	n := folder.live[name]
	if n == nil {
		return
	}
	for _, inside := range slices.Sorted(maps.Keys(n.live)) {
		m.removeTree(n, inside)
	}
	m.change(edit{folder: folder, name: name, gone: n})
}

// Rename implements FS. A folder takes what is in it along, and replaces nothing.
func (m *Mem) Rename(from, to string) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	fromFolder, fromBase, err := m.entry(from)
	if err != nil {
		return wrap("rename", from, err)
	}
	toFolder, toBase, err := m.entry(to)
	if err != nil {
		return wrap("rename", to, err)
	}
	n, old := fromFolder.live[fromBase], toFolder.live[toBase]
	switch {
	case n == nil:
		return wrap("rename", from, fs.ErrNotExist)
	case old != nil && old.isFolder():
		return wrap("rename", to, fs.ErrExist)
	case old == n:
		return nil
	case old != nil && n.isFolder():
		return wrap("rename", to, syscall.ENOTDIR)
	case n.isFolder() && strings.HasPrefix(path.Clean("/"+to), path.Clean("/"+from)+"/"):
		return wrap("rename", to, syscall.EINVAL)
	}
	m.change(edit{folder: fromFolder, name: fromBase}, edit{folder: toFolder, name: toBase, to: n})
	return nil
}

// MkdirAll implements FS.
func (m *Mem) MkdirAll(dir string) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	at := m.root
	for part := range strings.SplitSeq(path.Clean("/"+dir), "/") {
		if part == "" {
			continue
		}
		if at.live[part] == nil {
			m.change(edit{folder: at, name: part, to: newFolder()})
		}
		if at = at.live[part]; !at.isFolder() {
			return wrap("mkdir", dir, syscall.ENOTDIR)
		}
	}
	return nil
}

// List implements FS.
func (m *Mem) List(dir string) ([]string, error) {
	m.mu.RLock()
	defer m.mu.RUnlock()
	n, err := m.findFolder(dir)
	if err != nil {
		return nil, wrap("list", dir, err)
	}
	names := slices.AppendSeq(make([]string, 0, len(n.live)), maps.Keys(n.live))
	slices.Sort(names)
	return names, nil
}

// Size implements FS.
func (m *Mem) Size(name string) (int64, error) {
	m.mu.RLock()
	defer m.mu.RUnlock()
	n, err := m.findFile(name)
	if err != nil {
		return 0, wrap("size", name, err)
	}
	return n.content.size(), nil
}

// SyncDir implements FS.
func (m *Mem) SyncDir(dir string) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	n, err := m.findFolder(dir)
	if err != nil {
		return wrap("sync", dir, err)
	}
	m.settle(n)
	return nil
}

// SyncAll implements FS.
func (m *Mem) SyncAll(dir string) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if _, err := m.findFolder(dir); err != nil {
		return wrap("sync", dir, err)
	}
	for _, c := range m.changes {
		c.settle()
	}
	m.changes = nil
	m.root.syncTree()
	return nil
}

func (n *node) syncTree() {
	if !n.isFolder() {
		n.content.sync()
	}
	for _, inside := range n.live {
		inside.syncTree()
	}
}

// Lock implements FS. Locks end with the process: clones have none.
func (m *Mem) Lock(name string) (io.Closer, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	n, err := m.findOrMake(name)
	if err == nil && m.locked[n] {
		err = ErrLocked
	}
	if err != nil {
		return nil, wrap("lock", name, err)
	}
	m.locked[n] = true
	return &memLock{fs: m, node: n}, nil
}

type memLock struct {
	fs   *Mem
	node *node // nil: closed
}

func (l *memLock) Close() error {
	l.fs.mu.Lock()
	defer l.fs.mu.Unlock()
	if l.node == nil {
		return fs.ErrClosed
	}
	delete(l.fs.locked, l.node)
	l.node = nil
	return nil
}

// Space implements FS: as much as anyone could want.
func (m *Mem) Space(string) (total, free int64, err error) { return 1 << 40, 1 << 40, nil }
