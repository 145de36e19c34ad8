package postgres

import (
	"context"
	"io"
	"net"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/weir/weir/connect/sdk"
)

// TestLag: a task is not behind while nothing comes, is when it reads what was committed before, and when not even answers come.
func TestLag(t *testing.T) {
	now := time.UnixMicro(time.Now().UnixMicro())
	s := &task{o: &options{status: 10 * time.Second}}
	for _, step := range []struct {
		name  string
		do    func()
		after time.Duration
		want  time.Duration
		known bool
	}{
		{"before anything", func() {}, 0, 0, false},
		{"an old change", func() { s.lag.handed(now.Add(-time.Minute)) }, 0, time.Minute, true},
		{"nothing more", func() { s.lag.waits(now) }, time.Second, 0, true},
		{"and no answers", func() {}, time.Minute, time.Minute, true},
		{"the server's clock is ahead", func() { s.lag.goesOn(); s.lag.handed(now.Add(time.Hour)) }, 0, 0, true},
	} {
		step.do()
		if got, known := s.Lag(now.Add(step.after)); got != step.want || known != step.known {
			t.Errorf("%s: %v %v, want %v %v", step.name, got, known, step.want, step.known)
		}
	}
}

// TestMissingTable: a table that is named and not there is told of, and followed when it comes.
func TestMissingTable(t *testing.T) {
	s := postgresFor(t)
	c := s.database(t, "missing")
	c.run("CREATE TABLE a (id int PRIMARY KEY, v text)")
	k := &notedKeeper{keeper: newKeeper(t)}
	v, _ := sdk.Parse(source{}.Options(), s.props("missing", map[string]string{"table.include.list": "public.a,public.late"}))
	task := &task{}
	if err := task.Start(context.Background(), k, v); err != nil {
		t.Fatal(err)
	}
	defer task.Stop()
	for !task.isStreaming() {
		if _, err := task.Poll(context.Background()); err != nil {
			t.Fatal(err)
		}
	}
	if len(k.notes) != 1 || !strings.Contains(k.notes[0], `no table in database "missing" matches public.late: create it`) {
		t.Errorf("noted %q", k.notes)
	}
	c.run("CREATE TABLE late (id int PRIMARY KEY, v text); INSERT INTO late VALUES (1, 'x')")
	pollUntil(t, task, func(*sdk.Record) bool { return true })
	if len(k.notes) != 2 || k.notes[1] != "" {
		t.Errorf("noted %q", k.notes)
	}
}

type notedKeeper struct {
	*keeper
	notes []string
}

func (k *notedKeeper) Note(text string) { k.notes = append(k.notes, text) }

// TestSilence: a connection through which nothing comes any more, though it stands, is given up for a new one.
func TestSilence(t *testing.T) {
	s := postgresFor(t)
	c := s.database(t, "silence")
	c.run("CREATE TABLE a (id int PRIMARY KEY, v text)")
	p := newDam(t, s.port)
	r := newRunner(t, s.props("silence", map[string]string{"database.port": strconv.Itoa(p.port), "snapshot.mode": "no_data", "status.update.interval.ms": "100"}))
	for !r.task.isStreaming() {
		r.poll(100 * time.Millisecond)
	}
	p.shut()
	c.run("INSERT INTO a VALUES (1, 'one')")
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	if _, err := r.task.Poll(ctx); sdk.CauseOf(err) != sdk.Transient || !strings.Contains(err.Error(), "has said nothing for 300ms") {
		t.Fatalf("got %v", err)
	}
	for deadline := time.Now().Add(patience); len(r.taken) == 0; {
		r.poll(100 * time.Millisecond)
		if time.Now().After(deadline) {
			t.Fatal("the change does not come")
		}
	}
}

// dam is a way to a server that can be shut for the connections that there are: they stand, and nothing flows.
type dam struct {
	port int
	mu   sync.Mutex
	open chan struct{} // closed when it is shut
}

func newDam(t *testing.T, to int) *dam {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	d := &dam{port: l.Addr().(*net.TCPAddr).Port, open: make(chan struct{})}
	t.Cleanup(func() { l.Close() })
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			up, err := net.Dial("tcp", net.JoinHostPort("127.0.0.1", strconv.Itoa(to)))
			if err != nil {
				c.Close()
				continue
			}
			t.Cleanup(func() { c.Close(); up.Close() })
			d.mu.Lock()
			shut := d.open
			d.mu.Unlock()
			go flow(up, c, shut)
			go flow(c, up, shut)
		}
	}()
	return d
}

func (d *dam) shut() {
	d.mu.Lock()
	defer d.mu.Unlock()
	close(d.open)
	d.open = make(chan struct{})
}

func flow(to io.WriteCloser, from io.Reader, shut <-chan struct{}) {
	b := make([]byte, 32<<10)
	for {
		n, err := from.Read(b)
		select {
		case <-shut:
			return
		default:
		}
		if _, werr := to.Write(b[:n]); err != nil || werr != nil {
			to.Close()
			return
		}
	}
}
