package cli

import (
	"context"
	"fmt"
	"io"
	"os"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
	"golang.org/x/term"
)

// terminal is a pseudo terminal: what is written to keys is typed, what a command writes to screen is shown.
type terminal struct {
	keys   *os.File
	screen *os.File
	shown  *watched
}

func newTerminal(t *testing.T) *terminal {
	t.Helper()
	keys, err := os.OpenFile("/dev/ptmx", os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	var number int
	control(t, keys, func(fd int) error { return unix.IoctlSetPointerInt(fd, unix.TIOCSPTLCK, 0) })
	control(t, keys, func(fd int) (err error) { number, err = unix.IoctlGetInt(fd, unix.TIOCGPTN); return err })
	screen, err := os.OpenFile(fmt.Sprintf("/dev/pts/%d", number), os.O_RDWR|unix.O_NOCTTY, 0)
	if err != nil {
		t.Fatal(err)
	}
	control(t, screen, func(fd int) error { _, err := term.MakeRaw(fd); return err }) // neither echo nor \r
	tt := &terminal{keys, screen, newWatched()}
	copied := make(chan struct{})
	go func() {
		defer close(copied)
		_, _ = io.Copy(tt.shown, keys)
	}()
	t.Cleanup(func() {
		keys.Close() // hangs up, which also ends who reads from the screen
		<-copied
		screen.Close()
	})
	return tt
}

// control calls f with a file's descriptor, and leaves the file as it is: after Fd, Close would not end a Read.
func control(t *testing.T, file *os.File, f func(fd int) error) {
	t.Helper()
	raw, err := file.SyscallConn()
	if err != nil {
		t.Fatal(err)
	}
	var failed error
	if err := raw.Control(func(fd uintptr) { failed = f(int(fd)) }); err != nil || failed != nil {
		t.Fatal(err, failed)
	}
}

func (tt *terminal) weir(args ...string) int {
	return weirTo(context.Background(), tt.screen, tt.screen, tt.screen, args...)
}

func (tt *terminal) typed(t *testing.T, text string) {
	t.Helper()
	if _, err := tt.keys.WriteString(text); err != nil {
		t.Fatal(err)
	}
}

func TestDeleteAsksOnATerminal(t *testing.T) {
	c := newCluster(t)
	for _, test := range []struct {
		answer string
		code   int
		says   string
	}{
		{"n\n", exitFailed, "weir: nothing was deleted\n"},
		{"\n", exitFailed, "weir: nothing was deleted\n"},
		{"yep\n", exitFailed, "weir: nothing was deleted\n"},
		{"Y\n", exitOK, "Deleted topic a.\nDeleted topic b.\n"},
	} {
		c.topic("a", 1)
		c.topic("b", 1)
		tt := newTerminal(t)
		done := make(chan int)
		go func() { done <- tt.weir("topic", "delete", "a", "b", "-b", c.seed) }()
		tt.shown.until(t, "Delete 2 topics with all records: a, b? [y/N] ")
		tt.typed(t, test.answer)
		if code := <-done; code != test.code {
			t.Errorf("%q: exit code %d", test.answer, code)
		}
		tt.shown.until(t, test.says)
		if test.code != exitOK {
			if code := tt.weir("topic", "delete", "a", "b", "--yes", "-b", c.seed); code != exitOK {
				t.Errorf("with --yes: exit code %d", code)
			}
		}
	}
}

func TestDeleteOnATerminalCanBeInterrupted(t *testing.T) {
	c := newCluster(t)
	c.topic("a", 1)
	tt := newTerminal(t)
	ctx, interrupt := context.WithCancel(context.Background())
	done := make(chan int)
	go func() { done <- weirTo(ctx, tt.screen, tt.screen, tt.screen, "topic", "delete", "a", "-b", c.seed) }()
	tt.shown.until(t, "[y/N] ")
	interrupt()
	if code := <-done; code != exitFailed {
		t.Errorf("exit code %d", code)
	}
	tt.typed(t, "n\n") // lets the reader of the answer go
	tt.shown.until(t, "weir: interrupted\n")
	if got := c.weir("topic", "describe", "a"); got.code != 0 {
		t.Error("the topic is gone")
	}
}

func TestGroupDeleteAsksOnATerminal(t *testing.T) {
	c := billing(t)
	tt := newTerminal(t)
	done := make(chan int)
	go func() { done <- tt.weir("group", "delete", "billing", "-b", c.seed) }()
	tt.shown.until(t, "Delete 1 group with all committed offsets: billing? [y/N] ")
	tt.typed(t, "n\n")
	if code := <-done; code != exitFailed {
		t.Errorf("exit code %d", code)
	}
	tt.shown.until(t, "weir: nothing was deleted\n")
	if got := c.weir("group", "describe", "billing"); got.code != 0 {
		t.Error("the group is gone")
	}
}

func TestRecordsCannotControlATerminal(t *testing.T) {
	c := newCluster(t)
	c.topic("orders", 1)
	value := "\x1b]0;evil\x07 \u009b31m\u202e \xff\tü\u65e5"
	got := c.weirWith(context.Background(), value+"\n", "produce", "orders")
	if got.code != 0 {
		t.Fatal(got)
	}
	if got := c.weir("consume", "orders"); got.out != value+"\n" {
		t.Errorf("not as it was written: %q", got.out)
	}
	tt := newTerminal(t)
	if code := tt.weir("consume", "orders", "-b", c.seed); code != 0 {
		t.Errorf("exit code %d", code)
	}
	tt.shown.until(t, `\x1b]0;evil\a \u009b31m\u202e \xff`+"\tü\u65e5\n")
	if code := tt.weir("consume", "orders", "-o", "json", "-b", c.seed); code != 0 {
		t.Errorf("exit code %d", code)
	}
	tt.shown.until(t, `"value_base64":"`)
	if shown := tt.shown.String(); strings.ContainsAny(shown, "\x1b\x07\u009b\u202e") {
		t.Errorf("control characters reached the terminal: %q", shown)
	}
}

func TestProduceOnATerminal(t *testing.T) {
	c := newCluster(t)
	c.topic("orders", 1)
	tt := newTerminal(t)
	ctx, interrupt := context.WithCancel(context.Background())
	done := make(chan int)
	go func() {
		done <- weirTo(ctx, tt.screen, tt.screen, tt.screen, "produce", "orders", "-b", c.seed)
	}()
	tt.shown.until(t, "Every line becomes a record of topic orders. End with Ctrl-D.\n")
	tt.typed(t, "hello\n")
	out := newWatched()
	following, stop := context.WithCancel(context.Background())
	followed := make(chan int)
	go func() { followed <- weirTo(following, nil, out, io.Discard, "consume", "orders", "-f", "-b", c.seed) }()
	out.until(t, "hello\n")
	stop()
	<-followed
	interrupt()
	if code := <-done; code != 0 {
		t.Errorf("Ctrl-C is a normal end on a terminal, but the exit code is %d", code)
	}
	tt.shown.until(t, "Wrote 1 record (5 B) to topic orders")
	tt.typed(t, "\n") // lets the reader of the terminal go
}

func TestWatchOnATerminal(t *testing.T) {
	w := operate(t, 2, "orders:0=0,1", 1)
	tt := newTerminal(t)
	ctx, interrupt := context.WithCancel(context.Background())
	done := make(chan int)
	go func() {
		done <- weirTo(ctx, tt.screen, tt.screen, tt.screen, "cluster", "health", "--watch", "--interval", "1ms", "-b", w.seed)
	}()
	tt.shown.until(t, "every 1ms until Ctrl-C\x1b[K\n\x1b[K\nhealthy\x1b[K\n\x1b[J\x1b[H") // in place, and again
	w.fail(1)
	tt.shown.until(t, "\nunavailable: 1 partition has fewer")
	interrupt()
	if code := <-done; code != 0 {
		t.Errorf("exit code %d", code)
	}
}

func TestProgressOnATerminal(t *testing.T) {
	w := operate(t, 3, "orders:0=0,1", 1<<20)
	w.perLook = 1 << 10
	tt := newTerminal(t)
	if code := tt.weir("partition", "reassign", "orders:0", "--replicas", "2,1", "--interval", "1ms", "-b", w.seed); code != 0 {
		t.Errorf("exit code %d", code)
	}
	tt.shown.until(t, "Moved 0 of 1 partition, ")
	tt.shown.until(t, "orders  0          0,1   2,1  2     0        1.0MiB\n")
}
