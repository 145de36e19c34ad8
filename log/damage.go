package log

import (
	"bytes"
	"cmp"
	"errors"
	"fmt"
	"io"
	"slices"

	"github.com/weir/weir/internal/vfs"
)

// Damage is a place in a sealed segment where the bytes on disk are not what was written.
type Damage struct {
	CorruptError        // where it begins, and what is wrong
	Base         int64  // of the segment
	End          int64  // byte position that it does not reach
	First, Last  uint64 // entries that are there, if perhaps in part; First > Last: none
	next         int64  // log end offset after them
}

// Size is how many bytes have to be written anew.
func (d *Damage) Size() int64 { return d.End - d.Pos }

// noticed takes note of damage that was met in a segment: from now on all of the segment is checked before it is served.
func (l *Log) noticed(s *segment, err error) error {
	var damage *CorruptError
	if !errors.As(err, &damage) {
		return err
	}
	l.mu.Lock()
	news := !s.damaged && slices.Contains(l.segments, s)
	s.damaged, s.trusted, s.from, s.to = true, s.size, 0, 0
	l.mu.Unlock()
	if news && l.OnDamage != nil {
		l.OnDamage()
	}
	return err
}

// Damaged gives the base offsets of segments that are known to be damaged. The last one may still be written to; before it can be
// checked and repaired, Roll has to end it.
func (l *Log) Damaged() []int64 { return l.bases(func(s *segment) bool { return s.damaged }) }

// Sealed gives the base offsets of the segments that are not written to any more.
func (l *Log) Sealed() []int64 { return l.bases(func(s *segment) bool { return s.sealed }) }

func (l *Log) bases(of func(*segment) bool) (bases []int64) {
	l.mu.RLock()
	defer l.mu.RUnlock()
	for _, s := range l.segments {
		if of(s) {
			bases = append(bases, s.base)
		}
	}
	return bases
}

// Check reads a sealed segment from the disk again: every checksum, and that offsets, terms and entries are those that the log
// knows of. It gives the damaged places in order; nil also if there is no such segment any more. An index that is not right is
// removed; it is made anew when it is needed. read is told of bytes that were read, and an error of it ends the check.
func (l *Log) Check(base int64, read func(bytes int64) error) ([]Damage, error) {
	l.mu.RLock()
	i := slices.IndexFunc(l.segments, func(s *segment) bool { return s.base == base && s.sealed })
	if i < 0 || i+1 == len(l.segments) {
		l.mu.RUnlock()
		return nil, nil
	}
	v := l.viewOf(i)
	end := spot{v.end, v.next, l.segments[i+1].firstIndex}
	damaged := v.damaged
	l.mu.RUnlock()
	c := &recheck{log: l, view: v, end: end, read: read, newest: -1}
	err := c.run()
	if len(l.bases(func(s *segment) bool { return s == v.segment })) == 0 {
		return nil, nil // it was removed meanwhile
	}
	switch {
	case err != nil:
		return nil, err
	case len(c.found) > 0:
		_ = l.noticed(v.segment, &c.found[0].CorruptError)
	case damaged:
		v.reopen() // it may be another file than the one that is open
		l.mu.Lock()
		v.segment.damaged = false
		l.mu.Unlock()
	}
	return c.found, nil
}

// spot is a place between two frames.
type spot struct {
	pos, offset int64
	index       uint64 // of the entry after it
}

// recheck is a check of a sealed segment.
type recheck struct {
	log *Log
	view
	end    spot
	read   func(int64) error
	file   vfs.File
	found  []Damage
	index  []indexEntry // not yet compared
	newest int64        // newest timestamp so far; it is not known after damage
}

func (c *recheck) run() error {
	file, err := c.fs.Open(c.name + logSuffix)
	if errors.Is(err, errNotExist) {
		c.damage(spot{0, c.base, c.firstIndex}, c.end, "the file is missing")
		return nil
	}
	if err != nil {
		return err
	}
	defer file.Close()
	c.file = file
	if err := c.header(); err != nil {
		return err
	}
	stale, err := c.loadIndex()
	if err != nil {
		return err
	}
	stale, err = c.frames(stale)
	if err != nil {
		return err
	}
	if err := c.surplus(); err != nil || !stale {
		return err
	}
	return c.removeIndex()
}

// surplus sees whether something follows that was not written.
func (c *recheck) surplus() error {
	size, err := c.file.Size()
	if err == nil && size > c.end.pos {
		to := c.end
		to.pos = size
		c.damage(c.end, to, "more follows than was written")
	}
	return err
}

// damage notes a damaged place.
func (c *recheck) damage(from, to spot, reason string) {
	c.found = append(c.found, Damage{
		CorruptError: CorruptError{File: c.name + logSuffix, Pos: from.pos, Offset: from.offset, Reason: reason},
		Base:         c.base, End: to.pos, First: from.index, Last: to.index - 1, next: to.offset,
	})
}

func (c *recheck) header() error {
	b := make([]byte, headerFrame)
	if n, err := c.file.ReadAt(b, 0); err != nil && (err != io.EOF || n == len(b)) {
		return fmt.Errorf("reading %s%s: %w", c.name, logSuffix, err)
	}
	if !bytes.Equal(b, appendHeader(nil, c.base, c.prevTerm, c.log.id, c.firstIndex)) {
		c.damage(spot{0, c.base, c.firstIndex}, spot{headerFrame, c.base, c.firstIndex}, "its header is damaged")
	}
	return nil
}

// loadIndex reads the entries of the index that are whole, and tells whether there are others.
func (c *recheck) loadIndex() (stale bool, err error) {
	b, err := vfs.ReadFile(c.fs, c.name+indexSuffix)
	if errors.Is(err, errNotExist) {
		return false, nil
	}
	if err != nil {
		return false, err
	}
	for ; len(b) >= indexEntrySize; b = b[indexEntrySize:] {
		e, ok := parseIndexEntry(b)
		if n := len(c.index); !ok || n > 0 && e.pos <= c.index[n-1].pos {
			stale = true
			continue
		}
		c.index = append(c.index, e)
	}
	n := len(c.index)
	return stale || len(b) > 0 || n == 0 || int64(c.index[n-1].pos) != c.end.pos, c.read(int64(n) * indexEntrySize)
}

// frames goes through the segment, and tells whether its index is right.
func (c *recheck) frames(stale bool) (bool, error) {
	spots := c.spots()
	w := &walker{file: c.file, name: c.name + logSuffix, end: c.end.pos, chunk: scanChunk}
	at := spot{headerFrame, c.base, c.firstIndex}
	for at.pos < c.end.pos {
		for len(c.index) > 0 && int64(c.index[0].pos) <= at.pos {
			stale = stale || !c.fits(c.index[0], at)
			c.index = c.index[1:]
		}
		to, reason, err := c.frame(w, at)
		if err != nil {
			return false, err
		}
		if reason != "" {
			if to, err = c.resume(w, at, spots); err != nil {
				return false, err
			}
			c.damage(at, to, reason)
		}
		if err := c.read(to.pos - at.pos); err != nil {
			return false, err
		}
		at = to
	}
	if at != c.end {
		c.found = nil
		c.damage(spot{0, c.base, c.firstIndex}, c.end, fmt.Sprintf("it ends with offset %d and entry %d instead of %d and %d",
			at.offset, at.index-1, c.end.offset, c.end.index-1))
	}
	return stale, nil
}

// fits tells whether an index entry is right for a place.
func (c *recheck) fits(e indexEntry, at spot) bool {
	return c.at(e) == at && (len(c.found) > 0 || e.before == c.newest)
}

func (c *recheck) at(e indexEntry) spot {
	return spot{int64(e.pos), c.base + int64(e.offset), c.firstIndex + uint64(e.index)}
}

// spots gives the places between frames that are known without reading the segment, in order. The last one is its end.
func (c *recheck) spots() []spot {
	var out []spot
	for _, e := range c.index {
		out = append(out, c.at(e))
	}
	c.log.mu.RLock()
	for _, o := range c.log.owns {
		if o.segment == c.base {
			out = append(out, spot{o.pos, o.offset, o.Index})
		}
	}
	c.log.mu.RUnlock()
	out = slices.DeleteFunc(out, func(s spot) bool { return s.pos >= c.end.pos })
	slices.SortFunc(out, func(a, b spot) int { return cmp.Compare(a.pos, b.pos) })
	return append(out, c.end)
}

// frame reads a frame, and gives the place after it. reason is not empty if it is not what was written there.
func (c *recheck) frame(w *walker, at spot) (to spot, reason string, err error) {
	w.pos, w.next_ = at.pos, at.offset
	f, b, err := w.checked()
	var damage *CorruptError
	switch {
	case errors.As(err, &damage):
		return at, damage.Reason, nil
	case err != nil:
		return at, "", err
	case at.index >= c.end.index:
		return at, "there are more entries than there should be", nil
	}
	term, err := c.log.Term(at.index)
	if err != nil {
		return at, "", err
	}
	own, isOwn := c.log.Own(at.index)
	switch {
	case uint64(uint32(f.epoch)) != term:
		reason = fmt.Sprintf("its epoch is %d instead of %d", f.epoch, term)
	case isOwn != (f.kind != Batch) || isOwn && (own.Kind != f.kind || !bytes.Equal(own.Data, b[frameHeader:])):
		reason = "another entry should be there"
	}
	c.newest = max(c.newest, f.max)
	return spot{w.pos, f.next, at.index + 1}, reason, nil
}

// resume finds the first known place after a damaged frame where a whole one begins, or the end.
func (c *recheck) resume(w *walker, from spot, spots []spot) (spot, error) {
	for _, s := range spots {
		if s.pos <= from.pos || s.index <= from.index || s.offset < from.offset || s == c.end {
			continue
		}
		switch _, reason, err := c.frame(w, s); {
		case err != nil:
			return s, err
		case reason == "":
			return s, nil
		}
	}
	return c.end, nil
}
