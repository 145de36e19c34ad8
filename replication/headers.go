package replication

import (
	"encoding/binary"
	"fmt"
	"slices"

	"github.com/weir/weir/log"
)

// Log is what a group needs of its log. Only the group's turn calls it.
type Log interface {
	FirstIndex() uint64
	LastIndex() uint64
	Term(index uint64) (uint64, error)
	Own(index uint64) (log.Entry, bool)
	NextOwn(after uint64) (log.Entry, bool)
	Entries(lo, hi, maxBytes uint64) ([]log.Entry, error)
	Append([]log.Entry) error
	TruncateSuffix(lastIndex uint64) error
	Reset(log.Origin) error
	Origin() log.Origin
	Keep(from uint64)
	TakeDirty(*log.Dirty)
	Forgotten() log.Lack
	Forget(log.Lack) error
	Remembered() error
}

// headers is the log of a witness: which entries it has, and nothing of what is in them, but for changes of members. Since terms
// come in runs, it is some numbers, however many entries there are. They are kept in the voter journal.
type headers struct {
	before  entryID     // the entry before the first
	last    uint64      // index of the last entry
	terms   []entryID   // the first entries of each term after before
	changes []log.Entry // of members
	dirty   bool        // it is not yet on its way to the journal
}

// entryID names an entry.
type entryID struct{ index, term uint64 }

var _ Log = (*headers)(nil)

// clone gives a copy that stays as it is.
func (h *headers) clone() *headers {
	return &headers{before: h.before, last: h.last, terms: slices.Clone(h.terms), changes: slices.Clone(h.changes)}
}

// FirstIndex implements Log.
func (h *headers) FirstIndex() uint64 { return h.before.index + 1 }

// LastIndex implements Log.
func (h *headers) LastIndex() uint64 { return h.last }

// Term implements Log.
func (h *headers) Term(index uint64) (uint64, error) {
	switch {
	case index < h.before.index:
		return 0, log.ErrCompacted
	case index > h.last:
		return 0, log.ErrUnavailable
	}
	term := h.before.term
	for _, t := range h.terms {
		if t.index <= index {
			term = t.term
		}
	}
	return term, nil
}

// Own implements Log.
func (h *headers) Own(index uint64) (log.Entry, bool) {
	e, ok := h.NextOwn(index - 1)
	return e, ok && e.Index == index
}

// NextOwn implements Log: of raft's own entries only changes of members are told apart.
func (h *headers) NextOwn(after uint64) (log.Entry, bool) {
	for _, e := range h.changes {
		if e.Index > after {
			return e, true
		}
	}
	return log.Entry{}, false
}

// Entries implements Log.
func (h *headers) Entries(uint64, uint64, uint64) ([]log.Entry, error) {
	panic("BUG: a witness is asked for what is in its entries")
}

// Append implements Log.
func (h *headers) Append(entries []log.Entry) error {
	for _, e := range entries {
		last, _ := h.Term(h.last)
		if e.Index != h.last+1 || e.Term < last {
			panic(fmt.Sprintf("BUG: entry %d of term %d does not follow a witness's entry %d of term %d", e.Index, e.Term, h.last, last))
		}
		if e.Term != last {
			h.terms = append(h.terms, entryID{e.Index, e.Term})
		}
		if changesMembers(e.Kind) {
			e.Data = slices.Clone(e.Data)
			h.changes = append(h.changes, e)
		}
		h.last, h.dirty = e.Index, true
	}
	return nil
}

// TruncateSuffix implements Log. It is durable with what is appended next.
func (h *headers) TruncateSuffix(lastIndex uint64) error {
	if lastIndex < h.before.index {
		panic(fmt.Sprintf("BUG: a witness takes back entry %d, which is committed", h.before.index))
	}
	h.last, h.dirty = min(h.last, lastIndex), true
	h.terms = slices.DeleteFunc(h.terms, func(t entryID) bool { return t.index > lastIndex })
	h.changes = slices.DeleteFunc(h.changes, func(e log.Entry) bool { return e.Index > lastIndex })
	return nil
}

// Reset implements Log.
func (h *headers) Reset(o log.Origin) error {
	*h = headers{before: entryID{o.Index - 1, o.Term}, last: o.Index - 1, dirty: true}
	return nil
}

// Origin implements Log.
func (h *headers) Origin() log.Origin {
	return log.Origin{Index: h.before.index + 1, Term: h.before.term}
}

// Keep implements Log: what need not stay goes at once.
func (h *headers) Keep(from uint64) {
	if from <= h.before.index+1 {
		return
	}
	term, err := h.Term(from - 1)
	if err != nil {
		panic(fmt.Sprintf("BUG: a witness with entries up to %d is to keep those from %d on", h.last, from))
	}
	h.before = entryID{from - 1, term}
	h.terms = slices.DeleteFunc(h.terms, func(t entryID) bool { return t.index < from })
	h.changes = slices.DeleteFunc(h.changes, func(e log.Entry) bool { return e.Index < from })
}

// TakeDirty implements Log: there are no files.
func (h *headers) TakeDirty(*log.Dirty) {}

// encode adds a witness's log to b, all numbers big-endian: index and term of the entry before the first, index of the last one;
// count uint32, count times index and term of the first entry of a term; count uint32, count times a change of members: index
// uint64, kind uint8, length uint32, data.
func (h *headers) encode(b []byte) []byte {
	be := binary.BigEndian
	b = be.AppendUint64(b, h.before.index)
	b = be.AppendUint64(b, h.before.term)
	b = be.AppendUint64(b, h.last)
	b = be.AppendUint32(b, uint32(len(h.terms)))
	for _, t := range h.terms {
		b = be.AppendUint64(b, t.index)
		b = be.AppendUint64(b, t.term)
	}
	b = be.AppendUint32(b, uint32(len(h.changes)))
	for _, e := range h.changes {
		b = be.AppendUint64(b, e.Index)
		b = append(b, byte(e.Kind))
		b = be.AppendUint32(b, uint32(len(e.Data)))
		b = append(b, e.Data...)
	}
	return b
}

const (
	headersFixed = 8 + 8 + 8 + 4
	changeFixed  = 8 + 1 + 4
)

// parseHeaders reads what encode wrote. False: that cannot be said of b.
func parseHeaders(b []byte) (*headers, bool) {
	be := binary.BigEndian
	if len(b) < headersFixed {
		return nil, false
	}
	h := &headers{before: entryID{be.Uint64(b), be.Uint64(b[8:])}, last: be.Uint64(b[16:])}
	count := int(be.Uint32(b[24:]))
	if b = b[headersFixed:]; count > len(b)/16 {
		return nil, false
	}
	for ; count > 0; count-- {
		h.terms = append(h.terms, entryID{be.Uint64(b), be.Uint64(b[8:])})
		b = b[16:]
	}
	if len(b) < 4 {
		return nil, false
	}
	count = int(be.Uint32(b))
	for b = b[4:]; count > 0; count-- {
		if len(b) < changeFixed || int64(be.Uint32(b[9:])) > int64(len(b)-changeFixed) {
			return nil, false
		}
		e := log.Entry{Index: be.Uint64(b), Kind: log.Kind(b[8])}
		size := changeFixed + int(be.Uint32(b[9:]))
		e.Data = slices.Clone(b[changeFixed:size])
		term, err := h.Term(e.Index)
		if err != nil {
			return nil, false
		}
		e.Term = term
		h.changes = append(h.changes, e)
		b = b[size:]
	}
	return h, len(b) == 0
}

// Forgotten implements Log: what a witness's journal lacks is noticed when it is read.
func (h *headers) Forgotten() log.Lack { return log.Nothing }

// Forget implements Log.
func (h *headers) Forget(log.Lack) error { panic("BUG: a witness is told that it has forgotten") }

// Remembered implements Log.
func (h *headers) Remembered() error { return nil }
