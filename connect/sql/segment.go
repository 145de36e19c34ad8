package sql

import (
	"bytes"
	"fmt"
	"hash/maphash"
	"io"

	"github.com/weir/weir/connect/sdk"
)

// rows are rows, written one after the other as a statement has them.
type rows struct {
	buf  []byte
	each []row
	live int
}

type row struct {
	from, key, to int32 // where it begins, its key ends, it ends
	dead          bool  // another row of the same key, or its deletion, came later
}

func (r *rows) reset() { r.buf, r.each, r.live = r.buf[:0], r.each[:0], 0 }

// reader gives those that are alive.
func (r *rows) reader() io.Reader {
	if r.live == len(r.each) {
		return bytes.NewReader(r.buf)
	}
	return &liveReader{buf: r.buf, each: r.each}
}

// abandon leaves the memory to a reader that may still be at it.
func (r *rows) abandon() { *r = rows{} }

type liveReader struct {
	buf  []byte
	each []row
	next int
	left []byte
}

func (l *liveReader) Read(p []byte) (n int, err error) {
	for n < len(p) {
		if len(l.left) == 0 {
			if l.left = l.span(); l.left == nil {
				if n == 0 {
					return 0, io.EOF
				}
				return n, nil
			}
		}
		c := copy(p[n:], l.left)
		n += c
		l.left = l.left[c:]
	}
	return n, nil
}

// span gives the next live rows that lie side by side; nil: there are no more.
func (l *liveReader) span() []byte {
	each := l.each
	for l.next < len(each) && each[l.next].dead {
		l.next++
	}
	if l.next == len(each) {
		return nil
	}
	from := each[l.next].from
	for l.next < len(each) && !each[l.next].dead {
		l.next++
	}
	return l.buf[from:each[l.next-1].to]
}

// segment is what is done to one table by one statement: rows of one layout, and deletions by keys of one layout. Unless rows are only
// inserted, no key is there twice: the last one counts.
type segment struct {
	layout, keys *layout // of rows and of deletions; nil: there are none
	rows, gone   rows
	seen         map[uint64]place
}

// place is where a key was seen last.
type place struct {
	n    int32
	gone bool
}

var seed = maphash.MakeSeed()

func (s *segment) reset() {
	s.layout, s.keys = nil, nil
	s.rows.reset()
	s.gone.reset()
	clear(s.seen)
}

// takes tells whether another record can be added.
func (s *segment) takes(l *layout, gone bool, mode string, most int) bool {
	mine, others := s.layout, s.gone.live
	if gone {
		mine, others = s.keys, s.rows.live
	}
	return (mine == nil || mine == l) && (mode == "upsert" || others == 0) && len(s.rows.buf)+len(s.gone.buf) < most
}

// framing is how values are put together to rows.
type framing struct {
	begin, separator, null, end string
}

// add writes a record's row, or the key of the row that it deletes. An error is the record's, and nothing is added then. full: the segment
// cannot take it.
func (s *segment) add(r *sdk.Record, l *layout, gone, once bool, f *framing) (full bool, err error) {
	if _, ok := r.Value.(*sdk.Struct); !ok && !gone && l.value.Type == sdk.Structure {
		return false, wrongValue(l.value, r.Value)
	}
	into := &s.rows
	if gone {
		s.keys, into = l, &s.gone
	} else {
		s.layout = l
	}
	columns := l.columns
	if gone {
		columns = columns[:l.keys]
	}
	from := len(into.buf)
	buf := append(into.buf, f.begin...)
	key := from
	for i := range columns {
		c := &columns[i]
		if i > 0 {
			buf = append(buf, f.separator...)
		}
		v := c.value(r)
		switch {
		case v != nil:
			if buf, err = c.write(buf, v); err != nil {
				into.buf = buf[:from]
				return false, fmt.Errorf("field %s: %w", c.field.name, err)
			}
		case c.field.key:
			into.buf = buf[:from]
			return false, fmt.Errorf("the field %s of the primary key is null", c.field.name)
		default:
			buf = append(buf, f.null...)
		}
		if i == l.keys-1 {
			key = len(buf)
		}
	}
	buf = append(buf, f.end...)
	into.buf = buf
	this := row{from: int32(from), key: int32(key), to: int32(len(buf))}
	if once && l.keys > 0 && !s.supersede(this, into, gone) {
		into.buf = buf[:from]
		return true, nil
	}
	into.each = append(into.each, this)
	into.live++
	return false, nil
}

// supersede takes out what the segment had for the key of a row. false: another key has the same hash.
func (s *segment) supersede(this row, into *rows, gone bool) bool {
	if s.seen == nil {
		s.seen = map[uint64]place{}
	}
	key := into.buf[this.from:this.key]
	h := maphash.Bytes(seed, key)
	if p, was := s.seen[h]; was {
		old := &s.rows
		if p.gone {
			old = &s.gone
		}
		o := &old.each[p.n]
		if !bytes.Equal(old.buf[o.from:o.key], key) {
			return false
		}
		o.dead = true
		old.live--
	}
	s.seen[h] = place{int32(len(into.each)), gone}
	return true
}
