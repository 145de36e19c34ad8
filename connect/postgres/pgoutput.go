package postgres

import (
	"bytes"
	"encoding/binary"
	"errors"
	"time"
)

// errCut is a message that is shorter than it says.
var errCut = errors.New("the server sent a message that is cut short")

// cursor reads a message. After it went beyond the end it is bad and gives zeros.
type cursor struct {
	b   []byte
	bad bool
}

func (c *cursor) bytes(n int) []byte {
	if n < 0 || n > len(c.b) {
		c.b, c.bad = nil, true
		return nil
	}
	out := c.b[:n:n]
	c.b = c.b[n:]
	return out
}

func (c *cursor) u8() byte {
	if b := c.bytes(1); b != nil {
		return b[0]
	}
	return 0
}

func (c *cursor) u16() int {
	if b := c.bytes(2); b != nil {
		return int(binary.BigEndian.Uint16(b))
	}
	return 0
}

func (c *cursor) u32() uint32 {
	if b := c.bytes(4); b != nil {
		return binary.BigEndian.Uint32(b)
	}
	return 0
}

func (c *cursor) u64() uint64 {
	if b := c.bytes(8); b != nil {
		return binary.BigEndian.Uint64(b)
	}
	return 0
}

func (c *cursor) text() string {
	i := bytes.IndexByte(c.b, 0)
	if i < 0 {
		c.b, c.bad = nil, true
		return ""
	}
	s := string(c.b[:i])
	c.b = c.b[i+1:]
	return s
}

// epoch is where PostgreSQL's clock begins, in microseconds after 1970.
const epoch = 946_684_800_000_000

// lsn is a place in the database's log.
type lsn uint64

// datum is a value in a row: 't' its text, 'n' null, 'u' a large value that did not change and is not sent.
type datum struct {
	kind byte
	text []byte
}

// begin is the first message of a transaction.
type begin struct {
	commit lsn   // where its commit is
	at     int64 // microseconds after 1970
	xid    uint32
}

func parseBegin(c *cursor) begin {
	return begin{commit: lsn(c.u64()), at: int64(c.u64()) + epoch, xid: c.u32()}
}

// parseCommit gives where the log goes on after the transaction, and when it was committed.
func parseCommit(c *cursor) (end lsn, at int64) {
	c.u8() // flags
	c.u64()
	return lsn(c.u64()), int64(c.u64()) + epoch
}

// relation is what the stream tells about a table before its first row, and again after it changed.
type relation struct {
	id           uint32
	schema, name string
	identity     byte // d: key, n: nothing, f: whole row, i: an index
	columns      []relationColumn
}

type relationColumn struct {
	name string
	typ  uint32
	mod  int32
}

func parseRelation(c *cursor) relation {
	r := relation{id: c.u32(), schema: c.text(), name: c.text(), identity: c.u8()}
	for range c.u16() {
		c.u8() // whether it is of the identity
		r.columns = append(r.columns, relationColumn{name: c.text(), typ: c.u32(), mod: int32(c.u32())})
		if c.bad {
			break
		}
	}
	return r
}

// parseTuple reads the values of a row.
func parseTuple(c *cursor, into []datum) []datum {
	for range c.u16() {
		d := datum{kind: c.u8()}
		if d.kind == 't' || d.kind == 'b' {
			d.text = c.bytes(int(int32(c.u32())))
		}
		into = append(into, d)
		if c.bad {
			break
		}
	}
	return into
}

// message is what pg_logical_emit_message wrote.
type message struct {
	inTransaction bool
	at            lsn
	prefix        string
	content       []byte
}

func parseMessage(c *cursor) message {
	m := message{inTransaction: c.u8() == 1, at: lsn(c.u64()), prefix: c.text()}
	m.content = c.bytes(int(int32(c.u32())))
	return m
}

// parseTruncate gives the tables that are emptied.
func parseTruncate(c *cursor) []uint32 {
	n := c.u32()
	c.u8() // CASCADE, RESTART IDENTITY
	var ids []uint32
	for range n {
		ids = append(ids, c.u32())
		if c.bad {
			break
		}
	}
	return ids
}

// status is the message that tells the server up to where it may forget.
func status(done lsn, now time.Time, answer bool) []byte {
	b := append(make([]byte, 0, 34), 'r')
	for range 3 { // written, flushed, applied
		b = binary.BigEndian.AppendUint64(b, uint64(done))
	}
	b = binary.BigEndian.AppendUint64(b, uint64(now.UnixMicro()-epoch))
	if answer {
		return append(b, 1)
	}
	return append(b, 0)
}

// parseCopyRow reads a line of COPY's text format. Escapes are resolved in place.
func parseCopyRow(line []byte, into []datum) []datum {
	if n := len(line); n > 0 && line[n-1] == '\n' {
		line = line[:n-1]
	}
	for {
		field := line
		i := bytes.IndexByte(line, '\t')
		if i >= 0 {
			field, line = line[:i], line[i+1:]
		}
		switch {
		case len(field) == 2 && field[0] == '\\' && field[1] == 'N':
			into = append(into, datum{kind: 'n'})
		case bytes.IndexByte(field, '\\') < 0:
			into = append(into, datum{kind: 't', text: field})
		default:
			into = append(into, datum{kind: 't', text: unescape(field)})
		}
		if i < 0 {
			return into
		}
	}
}

func unescape(b []byte) []byte {
	out := b[:0]
	for i := 0; i < len(b); i++ {
		c := b[i]
		if c == '\\' && i+1 < len(b) {
			i++
			switch c = b[i]; c {
			case 'b':
				c = '\b'
			case 'f':
				c = '\f'
			case 'n':
				c = '\n'
			case 'r':
				c = '\r'
			case 't':
				c = '\t'
			case 'v':
				c = '\v'
			}
		}
		out = append(out, c)
	}
	return out
}
