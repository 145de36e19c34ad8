package postgres

import (
	"context"
	"fmt"
	"log/slog"
	"net"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/weir/weir/connect/sdk"
)

// server is a PostgreSQL with a directory and a port of its own.
type server struct {
	bin, dir string
	port     int
	as       *syscall.Credential // who runs it: it refuses to run as root
	cmd      *exec.Cmd
}

var shared struct {
	sync.Once
	*server
	err error
}

func TestMain(m *testing.M) {
	code := m.Run()
	if shared.server != nil {
		shared.server.remove()
	}
	os.Exit(code)
}

// postgresFor gives the server that tests share, each with its own databases.
func postgresFor(t testing.TB) *server {
	t.Helper()
	shared.Do(func() { shared.server, shared.err = startServer() })
	if shared.err != nil {
		t.Fatal(shared.err)
	}
	if shared.server == nil {
		t.Skip("PostgreSQL's programs are not installed: apt-get install postgresql")
	}
	return shared.server
}

// ownServer starts a server that a test may stop.
func ownServer(t testing.TB, settings ...string) *server {
	t.Helper()
	postgresFor(t)
	s, err := startServer(settings...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.remove)
	return s
}

func startServer(settings ...string) (*server, error) {
	found, _ := filepath.Glob("/usr/lib/postgresql/*/bin/initdb")
	if len(found) == 0 {
		return nil, nil
	}
	s := &server{bin: filepath.Dir(found[len(found)-1])}
	var err error
	if s.dir, err = os.MkdirTemp("", "weir-postgres"); err != nil {
		return nil, err
	}
	if os.Getuid() == 0 {
		u, err := user.Lookup("postgres")
		if err != nil {
			return nil, err
		}
		uid, _ := strconv.Atoi(u.Uid)
		gid, _ := strconv.Atoi(u.Gid)
		s.as = &syscall.Credential{Uid: uint32(uid), Gid: uint32(gid)}
		if err := os.Chown(s.dir, uid, gid); err != nil {
			return nil, err
		}
	}
	if out, err := s.program("initdb", "-D", s.dir+"/data", "-U", "postgres", "-A", "trust", "-E", "UTF8", "--locale=C.UTF-8", "--no-sync").CombinedOutput(); err != nil {
		return nil, fmt.Errorf("initdb: %w\n%s", err, out)
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	s.port = l.Addr().(*net.TCPAddr).Port
	_ = l.Close()
	conf := fmt.Sprintf("listen_addresses='127.0.0.1'\nport=%d\nunix_socket_directories=''\nfsync=off\nwal_level=logical\nmax_replication_slots=60\nmax_wal_senders=60\n"+
		"max_connections=200\nlog_min_messages=fatal\ntimezone='UTC'\nautovacuum=off\n%s\n", s.port, strings.Join(settings, "\n"))
	if err := os.WriteFile(s.dir+"/data/postgresql.auto.conf", []byte(conf), 0o644); err != nil {
		return nil, err
	}
	return s, s.start()
}

func (s *server) program(name string, args ...string) *exec.Cmd {
	cmd := exec.Command(filepath.Join(s.bin, name), args...)
	cmd.Dir = s.dir
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: s.as, Pdeathsig: syscall.SIGQUIT}
	return cmd
}

// start runs the server and waits until it answers.
func (s *server) start() error {
	s.cmd = s.program("postgres", "-D", s.dir+"/data")
	if err := s.cmd.Start(); err != nil {
		return err
	}
	for range 300 {
		w, err := dial(context.Background(), s.options("postgres").pg)
		if err == nil {
			w.close()
			return nil
		}
		time.Sleep(50 * time.Millisecond)
	}
	return fmt.Errorf("PostgreSQL in %s does not answer", s.dir)
}

// kill ends the server at once, as a crash does.
func (s *server) kill() {
	_ = s.cmd.Process.Signal(syscall.SIGQUIT)
	_ = s.cmd.Wait()
}

func (s *server) remove() {
	s.kill()
	_ = os.RemoveAll(s.dir)
}

func (s *server) props(database string, more map[string]string) map[string]string {
	p := map[string]string{"database.hostname": "127.0.0.1", "database.port": strconv.Itoa(s.port), "database.user": "postgres", "database.dbname": database,
		"topic.prefix": "p", "plugin.name": "pgoutput", "slot.name": "slot_" + database, "publication.name": "pub_" + database}
	for k, v := range more {
		p[k] = v
	}
	return p
}

func (s *server) options(database string) *options {
	v, _ := sdk.Parse(source{}.Options(), s.props(database, nil))
	o, _ := parseOptions(v)
	return o
}

// client is a session for a test's own statements.
type client struct {
	t testing.TB
	w *wire
}

// database makes a database and gives a session in it.
func (s *server) database(t testing.TB, name string) *client {
	t.Helper()
	s.session(t, "postgres").run("CREATE DATABASE " + quoteIdent(name))
	t.Cleanup(func() {
		admin := s.session(t, "postgres")
		for range 100 { // a task that was just stopped may still hold its slot
			left := admin.run("SELECT slot_name, active FROM pg_replication_slots WHERE database = " + quoteText(name))
			for _, slot := range left {
				if slot[1] == "f" {
					admin.run("SELECT pg_drop_replication_slot(" + quoteText(slot[0]) + ")")
				}
			}
			if len(left) == 0 {
				break
			}
			time.Sleep(20 * time.Millisecond)
		}
		admin.run("DROP DATABASE " + quoteIdent(name) + " WITH (FORCE)")
	})
	return s.session(t, name)
}

func (s *server) session(t testing.TB, database string) *client {
	t.Helper()
	w, err := dial(context.Background(), s.options(database).pg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(w.close)
	return &client{t, w}
}

func (c *client) run(sql string) [][]string {
	c.t.Helper()
	rows, err := c.w.query(context.Background(), sql)
	if err != nil {
		c.t.Fatalf("%s: %v", sql, err)
	}
	return rows
}

// script runs the statements of a file, each for itself.
func (c *client) script(file string) {
	c.t.Helper()
	b, err := os.ReadFile(filepath.Join("testdata", file))
	if err != nil {
		c.t.Fatal(err)
	}
	for _, sql := range strings.Split(string(b), ";\n") {
		if strings.TrimSpace(sql) != "" {
			c.run(sql)
		}
	}
}

// keeper is the runtime's part: it keeps the offsets that a test acknowledges.
type keeper struct {
	kept map[string]any
	log  *slog.Logger
}

func (k *keeper) Position(context.Context, map[string]any) (map[string]any, error) {
	return k.kept, nil
}
func (k *keeper) Logger() *slog.Logger { return k.log }
func (k *keeper) Connector() string    { return "c" }
func (k *keeper) Task() int            { return 0 }
func (k *keeper) Run() string          { return "run" }

type testLog struct{ t testing.TB }

func (l testLog) Write(b []byte) (int, error) {
	if os.Getenv("POSTGRES_TEST_LOG") != "" {
		fmt.Printf("%s %s", l.t.Name(), b)
	}
	return len(b), nil
}

func newKeeper(t testing.TB) *keeper {
	return &keeper{log: slog.New(slog.NewTextHandler(testLog{t}, nil))}
}

// begun starts a task.
func begun(t testing.TB, k *keeper, props map[string]string) *task {
	t.Helper()
	v, wrong := sdk.Parse(source{}.Options(), props)
	if len(wrong) > 0 {
		t.Fatal(wrong)
	}
	s := &task{}
	if err := s.Start(context.Background(), k, v); err != nil {
		t.Fatal(err)
	}
	return s
}

// patience is for how long tests wait for what has to come.
const patience = 60 * time.Second

// pollUntil polls, as the runtime does, until done says so of a record.
func pollUntil(t testing.TB, s *task, done func(*sdk.Record) bool) []*sdk.Record {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	var out []*sdk.Record
	for {
		records, err := s.Poll(ctx)
		if err != nil {
			t.Fatalf("after %d records: %v", len(out), err)
		}
		if ctx.Err() != nil {
			t.Fatalf("%d records came, and not the last", len(out))
		}
		finished := false
		for _, r := range records {
			if r.Marks() {
				continue
			}
			out = append(out, r)
			finished = finished || done(r)
		}
		if finished {
			return out
		}
	}
}
