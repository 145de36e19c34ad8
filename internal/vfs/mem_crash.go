package vfs

import (
	"maps"
	"math/rand/v2"
	"slices"
)

// sector is what a disk writes in one piece.
const sector = 512

// change is an unsynced change of entries, in one step: a creation, a removal, or both (a rename).
type change []edit

// edit gives a name in a folder to a file or folder.
type edit struct {
	folder *node
	name   string
	to     *node // nil: the name ends
	gone   *node // what a removal removed
	synced bool  // the folder was synced since
}

// place is where an entry stands.
type place struct {
	folder *node
	name   string
}

func (e edit) place() place { return place{e.folder, e.name} }

func (e edit) apply(entries map[string]*node) {
	if e.to == nil {
		delete(entries, e.name)
	} else {
		entries[e.name] = e.to
	}
}

// change makes edits visible, in one step. Under mu.
func (m *Mem) change(edits ...edit) {
	for _, e := range edits {
		e.apply(e.folder.live)
	}
	m.changes = append(m.changes, edits)
}

func (c change) settle() {
	for _, e := range c {
		e.apply(e.folder.safe)
	}
}

// settle makes the changes in a folder durable. Changes of one entry become durable in their order, so those that led up to
// a durable one are durable too, and with a removed folder all that happened in it. Under mu.
func (m *Mem) settle(folder *node) {
	settled := make([]bool, len(m.changes))
	places, gone := map[place]bool{}, map[*node]bool{}
	for i, c := range slices.Backward(m.changes) {
		all, led := true, false
		for j := range c {
			e := &c[j]
			e.synced = e.synced || e.folder == folder
			all = all && e.synced
			led = led || places[e.place()] || gone[e.folder]
		}
		if settled[i] = all || led; !settled[i] {
			continue
		}
		for _, e := range c {
			places[e.place()] = true
			if e.gone != nil {
				gone[e.gone] = true
			}
		}
	}
	var rest []change
	for i, c := range m.changes {
		if settled[i] {
			c.settle()
		} else {
			rest = append(rest, c)
		}
	}
	m.changes = rest
}

// Clone copies the file system as after the end of the process: everything written is there, if not durable yet.
func (m *Mem) Clone() *Mem {
	m.mu.Lock()
	defer m.mu.Unlock()
	copies := map[*node]*node{}
	var clone func(n *node) *node
	cloneAll := func(from map[string]*node) map[string]*node {
		to := make(map[string]*node, len(from))
		for name, n := range from {
			to[name] = clone(n)
		}
		return to
	}
	clone = func(n *node) *node {
		c := copies[n]
		switch {
		case n == nil || c != nil:
		case n.isFolder():
			c = &node{}
			copies[n] = c
			c.live, c.safe = cloneAll(n.live), cloneAll(n.safe)
		default:
			c = &node{content: n.content.clone()}
			copies[n] = c
		}
		return c
	}
	out := NewMem()
	out.root = clone(m.root)
	for _, c := range m.changes {
		c = slices.Clone(c)
		for i, e := range c {
			c[i].folder, c[i].to, c[i].gone = clone(e.folder), clone(e.to), clone(e.gone)
		}
		out.changes = append(out.changes, c)
	}
	return out
}

func (c *content) clone() *content {
	c.shared = len(c.data)
	return &content{data: slices.Clip(c.data), shared: c.shared, unsynced: slices.Clone(c.unsynced)}
}

// CrashClone copies the file system as after a power cut. Of what was not synced, each sector of each write, each change of
// a length and each change of entries is there or not, in any order; only changes of one entry keep theirs, a rename is
// whole, and a folder is not removed before what is in it. How much is lost differs from crash to crash; with a nil rng it
// is all. The copy is durable.
func (m *Mem) CrashClone(rng *rand.Rand) *Mem {
	m.mu.Lock()
	defer m.mu.Unlock()
	kept := m.crashEntries(newCoin(rng))
	coin := newCoin(rng)
	copies := map[*node]*node{}
	var crash func(n *node) *node
	crash = func(n *node) *node {
		if c := copies[n]; c != nil {
			return c
		}
		c := &node{}
		copies[n] = c
		if !n.isFolder() {
			c.content = n.content.crash(coin)
			return c
		}
		entries := kept[n]
		if entries == nil {
			entries = n.safe
		}
		c.live, c.safe = make(map[string]*node, len(entries)), make(map[string]*node, len(entries))
		for _, name := range slices.Sorted(maps.Keys(entries)) {
			c.live[name] = crash(entries[name])
			c.safe[name] = c.live[name]
		}
		return c
	}
	out := NewMem()
	out.root = crash(m.root)
	return out
}

// coin decides what survives a crash.
type coin struct {
	rng  *rand.Rand
	keep float64
}

func newCoin(rng *rand.Rand) coin {
	if rng == nil {
		return coin{}
	}
	return coin{rng, []float64{0.05, 0.5, 0.95, 1}[rng.IntN(4)]}
}

func (c coin) keeps() bool { return c.rng != nil && c.rng.Float64() < c.keep }

// crashEntries gives the entries of the folders where unsynced changes survive.
func (m *Mem) crashEntries(coin coin) map[*node]map[string]*node {
	out := map[*node]map[string]*node{}
	lost, lossy := map[place]bool{}, map[*node]bool{}
	for _, c := range m.changes {
		keep := coin.keeps()
		for _, e := range c {
			keep = keep && !lost[e.place()] && !lossy[e.gone]
		}
		for _, e := range c {
			if !keep {
				lost[e.place()], lossy[e.folder] = true, true
				continue
			}
			if out[e.folder] == nil {
				out[e.folder] = maps.Clone(e.folder.safe)
			}
			e.apply(out[e.folder])
		}
	}
	return out
}

// crash gives the content after a power cut.
func (c *content) crash(coin coin) *content {
	if len(c.unsynced) == 0 {
		return c.clone()
	}
	data := slices.Clone(c.data)
	written := make([][]byte, len(c.unsynced))
	for i, w := range slices.Backward(c.unsynced) {
		if w.n != cut && coin.rng != nil {
			written[i] = slices.Clone(data[w.at : w.at+w.n])
		}
		data = w.undo(data)
	}
	if coin.rng != nil {
		for i, w := range c.unsynced {
			data = w.redo(data, written[i], coin)
		}
	}
	return &content{data: data}
}

// redo does again what survives of a write. Of a lost sector, the length may survive: then there are zeros.
func (w write) redo(data, written []byte, coin coin) []byte {
	if w.n == cut {
		if coin.keeps() {
			data = resize(data, w.at)
		}
		return data
	}
	for from := int64(0); from < w.n; {
		to := min((w.at+from)/sector*sector+sector-w.at, w.n)
		switch {
		case coin.keeps():
			data = put(data, w.at+from, written[from:to])
		case w.at+to > int64(len(data)) && coin.rng.IntN(8) == 0:
			data = resize(data, w.at+to)
		}
		from = to
	}
	return data
}
