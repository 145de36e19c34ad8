package postgres

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"sync"
	"time"

	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgproto3"
)

// readAhead is how much is read from the server at once; larger messages get a larger buffer.
const readAhead = 256 << 10

// errQuiet says that nothing came until the deadline.
var errQuiet = errors.New("nothing came")

// wire is a connection to PostgreSQL whose messages are taken out of a buffer. Reads are one goroutine's; writes may be another's.
type wire struct {
	conn net.Conn
	pid  uint32 // of the server's process

	buf  []byte
	r, w int // buf[r:w] is read but not taken

	writing sync.Mutex
	out     []byte
}

// dial connects and logs in.
func dial(ctx context.Context, c *pgconn.Config) (*wire, error) {
	pg, err := pgconn.ConnectConfig(ctx, c)
	if err != nil {
		return nil, err
	}
	h, err := pg.Hijack()
	if err != nil {
		return nil, err
	}
	return &wire{conn: h.Conn, pid: h.PID, buf: make([]byte, readAhead)}, nil
}

func (w *wire) close() {
	w.writing.Lock()
	defer w.writing.Unlock()
	_ = w.conn.SetDeadline(time.Now().Add(time.Second))
	_, _ = w.conn.Write([]byte{'X', 0, 0, 0, 4}) // so that the server does not log it as lost; if it is, no matter
	_ = w.conn.Close()
}

// interrupt makes a read that waits, or the next that would, end.
func (w *wire) interrupt() { _ = w.conn.SetReadDeadline(time.Unix(1, 0)) }

// next takes a whole message out of the buffer, if there is one. Its body may be used until fill is called.
func (w *wire) next() (kind byte, body []byte, ok bool) {
	if w.w-w.r < 5 {
		return 0, nil, false
	}
	size := 1 + int(binary.BigEndian.Uint32(w.buf[w.r+1:]))
	if w.w-w.r < size {
		return 0, nil, false
	}
	kind, body = w.buf[w.r], w.buf[w.r+5:w.r+size]
	w.r += size
	return kind, body, true
}

// fill reads more. It gives errQuiet if nothing came until the time (zero: wait), and ctx's error when that has ended.
func (w *wire) fill(ctx context.Context, until time.Time) error {
	need := 0
	if w.w-w.r >= 5 {
		need = 1 + int(binary.BigEndian.Uint32(w.buf[w.r+1:]))
		if need > 1<<30+5 {
			return fmt.Errorf("the server sent a message of %d bytes", need)
		}
	}
	switch {
	case need > len(w.buf):
		grown := make([]byte, need+readAhead)
		w.w = copy(grown, w.buf[w.r:w.w])
		w.buf, w.r = grown, 0
	case w.r == w.w:
		w.r, w.w = 0, 0
		if len(w.buf) > 8*readAhead {
			w.buf = make([]byte, readAhead) // one huge value does not hold memory for ever
		}
	case w.r > 0:
		w.w = copy(w.buf, w.buf[w.r:w.w])
		w.r = 0
	}
	for {
		if err := w.conn.SetReadDeadline(until); err != nil {
			return err
		}
		if err := ctx.Err(); err != nil { // after the deadline is set: whoever interrupts comes later, or is seen
			return err
		}
		n, err := w.conn.Read(w.buf[w.w:])
		w.w += n
		switch {
		case n > 0:
			return nil
		case errors.Is(err, os.ErrDeadlineExceeded):
			if !until.IsZero() && !time.Now().Before(until) {
				return errQuiet
			}
			// or else somebody interrupted, perhaps the call before
		case errors.Is(err, io.EOF):
			return io.ErrUnexpectedEOF
		case err != nil:
			return err
		}
	}
}

// receive waits for a message. Errors of the server are errors here.
func (w *wire) receive(ctx context.Context) (kind byte, body []byte, err error) {
	for {
		kind, body, ok := w.next()
		switch {
		case !ok:
			if err := w.fill(ctx, time.Time{}); err != nil {
				return 0, nil, err
			}
		case kind == 'E':
			return kind, nil, serverError(body)
		case kind == 'N', kind == 'S', kind == 'A': // a notice, a parameter's new value
		default:
			return kind, body, nil
		}
	}
}

func serverError(body []byte) error {
	var e pgproto3.ErrorResponse
	if err := e.Decode(body); err != nil {
		return fmt.Errorf("the server sent an error that cannot be read: %w", err)
	}
	return pgconn.ErrorResponseToPgError(&e)
}

// send writes one message.
func (w *wire) send(kind byte, parts ...[]byte) error {
	w.writing.Lock()
	defer w.writing.Unlock()
	size := 4
	for _, p := range parts {
		size += len(p)
	}
	w.out = binary.BigEndian.AppendUint32(append(w.out[:0], kind), uint32(size))
	for _, p := range parts {
		w.out = append(w.out, p...)
	}
	if err := w.conn.SetWriteDeadline(time.Now().Add(30 * time.Second)); err != nil {
		return err
	}
	_, err := w.conn.Write(w.out)
	return err
}

// ask sends a statement and waits for the message that says that it is under way.
func (w *wire) ask(ctx context.Context, want byte, sql string) error {
	defer context.AfterFunc(ctx, w.interrupt)()
	if err := w.send('Q', []byte(sql), []byte{0}); err != nil {
		return err
	}
	kind, _, err := w.receive(ctx)
	switch {
	case err != nil:
		return w.drain(ctx, err)
	case kind != want:
		return fmt.Errorf("the server answered %q with message %q", sql, kind)
	}
	return nil
}

// drain reads on until the server is ready for the next statement, and gives the error that came before.
func (w *wire) drain(ctx context.Context, err error) error {
	var fromServer *pgconn.PgError
	if !errors.As(err, &fromServer) {
		return err
	}
	for {
		kind, _, e := w.receive(ctx)
		if e != nil && !errors.As(e, &fromServer) {
			return err
		}
		if kind == 'Z' {
			return err
		}
	}
}

// query runs statements and gives the rows of the last that has some, as text; null is "".
func (w *wire) query(ctx context.Context, sql string) ([][]string, error) {
	var rows [][]string
	err := w.each(ctx, sql, func(values []datum) error {
		row := make([]string, len(values))
		for i, v := range values {
			row[i] = string(v.text)
		}
		rows = append(rows, row)
		return nil
	})
	return rows, err
}

// each runs statements and calls back with each row. The row may be used until it returns.
func (w *wire) each(ctx context.Context, sql string, row func([]datum) error) error {
	defer context.AfterFunc(ctx, w.interrupt)()
	if err := w.send('Q', []byte(sql), []byte{0}); err != nil {
		return err
	}
	var values []datum
	var wrong error
	for {
		kind, body, err := w.receive(ctx)
		if err != nil {
			return w.drain(ctx, err)
		}
		switch kind {
		case 'D':
			if wrong != nil {
				continue
			}
			if values, wrong = parseDataRow(body, values[:0]); wrong == nil {
				wrong = row(values)
			}
		case 'Z':
			return wrong
		}
	}
}

// parseDataRow reads the values of a row that a query gives.
func parseDataRow(body []byte, into []datum) ([]datum, error) {
	c := cursor{b: body}
	for range c.u16() {
		size := int32(c.u32())
		if size < 0 {
			into = append(into, datum{kind: 'n'})
			continue
		}
		into = append(into, datum{kind: 't', text: c.bytes(int(size))})
	}
	if c.bad {
		return nil, errCut
	}
	return into, nil
}
