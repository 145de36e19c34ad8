package process

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"
	"unicode"

	"github.com/weir/weir/connect/sdk"
)

// protocol is the version of what is spoken.
const protocol = 1

// mostDue bounds the requests that a process has and has not answered.
const mostDue = 16

// limits bound what a process may take.
type limits struct {
	answer time.Duration // to answer a request, and to read one
	stop   time.Duration // to end
	line   int           // bytes of a line that it writes
}

// conn is a process to which requests are made. One goroutine makes them; notices may be sent by others.
type conn struct {
	*child
	limits
	parser   *parser
	noting   func(text string) // nil: nobody hears of notes
	notes    int               // in the second
	noted    int64
	answers  chan *message // closed when no more come; why says why then
	quiet    chan struct{} // closed when nothing more is read
	asked    chan map[string]any
	seq      int64
	writing  sync.Mutex
	shutting sync.Once

	mu       sync.Mutex
	due      []request // not answered yet
	starting bool      // it may ask where to go on
	why      error
}

// request is one that was made.
type request struct {
	seq  int64
	kind string
}

// hearers get what a process tells besides answers.
type hearers struct {
	log    func(line string) // of its log; nil: nobody does
	noting func(text string) // nil: nobody does
	mask   func(text string) string
}

// dial starts a program and begins to read what it says.
func dial(program string, l limits, h hearers) (*conn, error) {
	if h.mask == nil {
		h.mask = func(text string) string { return text }
	}
	c := &conn{
		limits: l, noting: h.noting, parser: newParser(),
		answers: make(chan *message, mostDue+1), asked: make(chan map[string]any, 1), quiet: make(chan struct{}),
	}
	var err error
	if c.child, err = begin(program, h.mask, h.log); err != nil {
		return nil, sdk.Misconfigured("The program %s cannot be started: %w; see that it is there and may be executed, and begins with #! and its interpreter if it is a script", program, err)
	}
	go c.reads()
	return c, nil
}

// reads reads what the process says until it ends or says something that it may not.
func (c *conn) reads() {
	r := bufio.NewReaderSize(c.out, 64<<10)
	var long []byte
	for {
		line, err := c.line(r, &long)
		if err == nil {
			err = c.hear(line)
		}
		if err == nil {
			continue
		}
		if err == io.EOF || errors.Is(err, os.ErrDeadlineExceeded) || errors.Is(err, os.ErrClosed) {
			err = c.lost()
		}
		c.fail(err)
		_ = c.out.Close()
		close(c.answers)
		close(c.quiet)
		return
	}
}

// line reads a line. long is kept for lines that do not fit into the reader.
func (c *conn) line(r *bufio.Reader, long *[]byte) ([]byte, error) {
	b, err := r.ReadSlice('\n')
	if err == nil && len(b) <= c.limits.line {
		return b, nil
	}
	*long = append((*long)[:0], b...)
	for errors.Is(err, bufio.ErrBufferFull) && len(*long) <= c.limits.line {
		b, err = r.ReadSlice('\n')
		*long = append(*long, b...)
	}
	if len(*long) > c.limits.line {
		return nil, c.wrong("a line of more than %d bytes: let it send smaller batches, or set %s higher", c.limits.line, lineOption)
	}
	return *long, err
}

// lost says why nothing more comes.
func (c *conn) lost() error {
	select {
	case <-c.gone:
		return c.failure(sdk.Unknown, "the process %s ended: %s", c.name, c.ended())
	case <-time.After(readRest):
		return c.failure(sdk.Unknown, "the process %s has closed its standard output and goes on; a connector's process has to end then", c.name)
	}
}

// failure makes an error whose text has no secrets.
func (c *conn) failure(cause sdk.Cause, format string, args ...any) error {
	return sdk.Because(cause, errors.New(c.clean(fmt.Sprintf(format, args...))))
}

// clean makes a text one that can be shown, on one line.
func (c *conn) clean(text string) string { return shorten(oneLine(c.mask(text)), mostOfText) }

// oneLine gives spaces for what would not be seen, such as ends of lines.
func oneLine(text string) string {
	return strings.Map(func(r rune) rune {
		if unicode.IsControl(r) {
			return ' '
		}
		return r
	}, text)
}

// quote makes the begin of what a process sends one that can be shown.
func (c *conn) quote(text string) string {
	return strconv.Quote(short(c.mask(shorten(text, mostOfLine))))
}

// wrong makes an error of what a process may not do.
func (c *conn) wrong(format string, args ...any) error {
	return c.failure(sdk.Unknown, "the process %s does not keep to the protocol: it sends %s", c.name, fmt.Sprintf(format, args...))
}

// fail ends the process for a reason. The first counts.
func (c *conn) fail(err error) error {
	c.mu.Lock()
	if c.why == nil {
		c.why = err
	}
	err = c.why
	c.mu.Unlock()
	c.kill()
	return err
}

// refuse ends the process for what it has said, and gives that as the reason, also if it has ended already.
func (c *conn) refuse(err error) error {
	_ = c.fail(err)
	return err
}

// reason says why there are no more answers.
func (c *conn) reason() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.why
}

// begin begins the text of a request.
func (c *conn) begin(b []byte, kind string) []byte {
	c.seq++
	b = append(append(append(b, `{"type":"`...), kind...), `","seq":`...)
	return strconv.AppendInt(b, c.seq, 10)
}

// send sends a request, the last that was begun. If ctx ends before the process has read it, the process is of no use any more.
func (c *conn) send(ctx context.Context, kind string, seq int64, text ...[]byte) error {
	c.mu.Lock()
	if c.why == nil && len(c.due) >= mostDue {
		panic("BUG: more requests than a process may have")
	}
	c.due = append(c.due, request{seq, kind})
	c.mu.Unlock()
	return c.write(ctx, text...)
}

func (c *conn) write(ctx context.Context, text ...[]byte) error {
	c.writing.Lock()
	defer c.writing.Unlock()
	if err := c.reason(); err != nil {
		return err
	}
	_ = c.in.SetWriteDeadline(time.Now().Add(c.limits.answer))
	stop := context.AfterFunc(ctx, func() { _ = c.in.SetWriteDeadline(time.Unix(1, 0)) })
	defer stop()
	for _, b := range text {
		if len(b) == 0 {
			continue
		}
		_, err := c.in.Write(b)
		switch {
		case err == nil:
		case ctx.Err() != nil:
			return c.fail(fmt.Errorf("the process %s was to end while it did not read what it was sent: %w", c.name, ctx.Err()))
		case errors.Is(err, os.ErrDeadlineExceeded):
			return c.fail(c.failure(sdk.Unknown, "the process %s hangs: it has not read what it was sent for %v (%s); it was ended", c.name, c.limits.answer, answerOption))
		default: // it ends, and reads says how
			select {
			case <-c.quiet:
				return c.reason()
			case <-time.After(2 * readRest):
				return c.fail(c.failure(sdk.Unknown, "the process %s has closed its standard input and goes on; a connector's process has to end then", c.name))
			}
		}
	}
	return nil
}

// call makes a request and waits for its answer. more is what the request has besides its kind, as `,"name":value`.
func (c *conn) call(ctx context.Context, kind string, more []byte) (*message, error) {
	text := append(append(c.begin(nil, kind), more...), "}\n"...)
	seq := c.seq
	if err := c.send(ctx, kind, seq, text); err != nil {
		return nil, err
	}
	return c.await(ctx, kind, seq)
}

// await waits for the answer to a request. Those to requests before it, which nobody waits for any more, are dropped.
func (c *conn) await(ctx context.Context, kind string, seq int64) (*message, error) {
	timer := time.NewTimer(c.limits.answer)
	defer timer.Stop()
	for {
		select {
		case m, ok := <-c.answers:
			if !ok {
				return nil, c.reason()
			}
			if m.seq == seq {
				return m, m.err
			}
		case <-ctx.Done():
			return nil, ctx.Err()
		case <-timer.C:
			return nil, c.hang(kind)
		}
	}
}

func (c *conn) hang(kind string) error {
	return c.fail(c.failure(sdk.Unknown, "the process %s hangs: it has not answered %s for %v (%s); it was ended", c.name, kind, c.limits.answer, answerOption))
}

// hello hears what the program is.
func (c *conn) hello(ctx context.Context) (*hello, error) {
	m, err := c.call(ctx, "hello", strconv.AppendInt([]byte(`,"protocol":`), protocol, 10))
	if err != nil {
		return nil, err
	}
	h, err := m.hello()
	if err == nil && h.Protocol != protocol {
		err = fmt.Errorf("it speaks version %d of the protocol, and this worker version %d", h.Protocol, protocol)
	}
	if err != nil {
		return nil, c.refuse(c.failure(sdk.Unknown, "the process %s says hello in a way that is not right: %v", c.name, err))
	}
	return h, nil
}

// close lets the process end, and ends it if it does not. The error says how it ended if that was not well.
func (c *conn) close() (err error) {
	c.shutting.Do(func() {
		ours := c.reason() != nil                  // it has ended before, and that was told
		_ = c.in.SetWriteDeadline(time.Unix(1, 0)) // whoever writes does not hold it up
		_ = c.in.Close()
		timer := time.NewTimer(c.limits.stop)
		defer timer.Stop()
		late := false
		select {
		case <-c.gone:
		case <-timer.C:
			late = true
			c.kill()
			<-c.gone
		}
		for range c.answers { // until nothing more is read
		}
		switch {
		case ours:
		case late:
			err = c.failure(sdk.Unknown, "the process %s has not ended %v after its standard input did (%s); it was killed", c.name, c.limits.stop, stopOption)
		case !c.child.fine:
			err = c.failure(sdk.Unknown, "the process %s ended: %s", c.name, c.ended())
		}
	})
	return err
}

// hear takes what the process says.
func (c *conn) hear(line []byte) error {
	m, err := c.parser.parse(line)
	if err == nil && m.kind == "schema" {
		err = c.parser.define(m)
	}
	if err != nil {
		return c.wrong("what is not right: %v; it begins with %s", err, c.quote(string(bytes.TrimSpace(line[:min(len(line), mostOfLine)]))))
	}
	switch m.kind {
	case "schema":
		return nil
	case "note":
		return c.note(m.text)
	case "position":
		return c.question(m)
	case "hello", "done", "records", "error":
		return c.answer(m)
	}
	return c.wrong("a message of the type %s, which there is not", c.quote(m.kind))
}

// answer gives an answer to who waits for it.
func (c *conn) answer(m *message) error {
	c.mu.Lock()
	if len(c.due) == 0 {
		c.mu.Unlock()
		return c.wrong("%q with seq %d, and nothing was asked", m.kind, m.seq)
	}
	of := c.due[0]
	c.due = slices.Delete(c.due, 0, 1)
	c.starting = c.starting && of.kind != "start"
	c.mu.Unlock()
	if m.seq != of.seq {
		return c.wrong("%q with seq %d, where the answer to %s with seq %d is wanted", m.kind, m.seq, of.kind, of.seq)
	}
	if want := answerTo(of.kind); m.kind != want && (m.kind != "error" || of.kind == "hello") {
		return c.wrong("%q as the answer to %s, which is %q", m.kind, of.kind, want)
	}
	if m.kind == "error" {
		m.err = c.failure(m.cause, "%s", m.text)
	}
	c.answers <- m // there is room for all that are due
	return nil
}

// answerTo gives the type of the answer to a request, unless that is an error.
func answerTo(kind string) string {
	switch kind {
	case "hello":
		return "hello"
	case "poll":
		return "records"
	}
	return "done"
}

// question takes the question where a source is to go on.
func (c *conn) question(m *message) error {
	c.mu.Lock()
	may := c.starting
	c.mu.Unlock()
	if !may {
		return c.wrong("a question for a position, which it may only before it has answered start, as a source")
	}
	if m.partition == nil {
		return c.wrong("a question for a position without a partition")
	}
	select {
	case c.asked <- m.partition:
		return nil
	default:
		return c.wrong("a question for a position before the last one is answered")
	}
}

// mostNotes is how many notes a process may show in a second.
const mostNotes = 10

func (c *conn) note(text string) error {
	if now := time.Now().Unix(); now != c.noted {
		c.noted, c.notes = now, 0
	}
	if c.notes++; c.notes > mostNotes {
		return c.wrong("more than %d notes in a second", mostNotes)
	}
	if c.noting != nil {
		c.noting(text)
	}
	return nil
}

// logLine logs a line at the level that it begins with.
func logLine(logger *slog.Logger) func(string) {
	return func(line string) {
		level, text := slog.LevelInfo, line
		for _, l := range []struct {
			name  string
			level slog.Level
		}{{"DEBUG", slog.LevelDebug}, {"INFO", slog.LevelInfo}, {"WARNING", slog.LevelWarn}, {"WARN", slog.LevelWarn}, {"ERROR", slog.LevelError}} {
			if rest, ok := strings.CutPrefix(line, l.name); ok && rest != "" && (rest[0] == ' ' || rest[0] == ':') {
				level, text = l.level, strings.TrimLeft(rest, ": ")
				break
			}
		}
		logger.Log(context.Background(), level, "the connector says: "+text)
	}
}

// short cuts what is told of a text.
func short(s string) string { return shorten(s, 60) }
