package sql

import (
	"context"
	"database/sql"
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

	"github.com/go-sql-driver/mysql"
	_ "github.com/jackc/pgx/v5/stdlib"
)

// server is a database server with a directory and a port of its own.
type server struct {
	kind string // postgres or mysql
	dir  string
	port int
	as   *syscall.Credential // who runs it: it refuses to run as root
	cmd  *exec.Cmd
}

// kinds are the kinds of servers that tests run against.
var kinds = []string{"postgres", "mysql"}

var shared sync.Map // kind: func() (*server, error)

func init() {
	for _, kind := range kinds {
		shared.Store(kind, sync.OnceValues(func() (*server, error) { return startServer(kind) }))
	}
}

var started struct {
	sync.Mutex
	all []*server
}

func TestMain(m *testing.M) {
	code := m.Run()
	for _, s := range started.all {
		s.remove()
	}
	os.Exit(code)
}

// serverFor gives the server of a kind that tests share, each with its own database.
func serverFor(t testing.TB, kind string) *server {
	t.Helper()
	start, _ := shared.Load(kind)
	s, err := start.(func() (*server, error))()
	if err != nil {
		t.Fatal(err)
	}
	if s == nil {
		t.Skipf("The programs of %s are not installed: apt-get install postgresql mariadb-server", kind)
	}
	return s
}

// ownServer starts a server that a test may kill.
func ownServer(t testing.TB, kind string) *server {
	t.Helper()
	serverFor(t, kind)
	s, err := startServer(kind)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func program(pattern string) string {
	found, _ := filepath.Glob(pattern)
	if len(found) == 0 {
		return ""
	}
	return found[len(found)-1]
}

func startServer(kind string) (*server, error) {
	s := &server{kind: kind}
	owner, initdb := "postgres", program("/usr/lib/postgresql/*/bin/initdb")
	if kind == "mysql" {
		owner, initdb = "mysql", program("/usr/bin/mariadb-install-db")
	}
	if initdb == "" {
		return nil, nil
	}
	var err error
	if s.dir, err = os.MkdirTemp("", "weir-"+kind); err != nil {
		return nil, err
	}
	if os.Getuid() == 0 {
		u, err := user.Lookup(owner)
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
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	s.port = l.Addr().(*net.TCPAddr).Port
	_ = l.Close()
	args := []string{"-D", s.dir + "/data", "-U", "postgres", "-A", "trust", "-E", "UTF8", "--locale=C.UTF-8", "--no-sync"}
	if kind == "mysql" {
		args = []string{"--no-defaults", "--datadir=" + s.dir + "/data", "--auth-root-authentication-method=normal", "--skip-test-db"}
	}
	if out, err := s.command(initdb, args...).CombinedOutput(); err != nil {
		return nil, fmt.Errorf("%s: %w\n%s", initdb, err, out)
	}
	if kind == "postgres" {
		conf := fmt.Sprintf("listen_addresses='127.0.0.1'\nport=%d\nunix_socket_directories=''\nfsync=off\nlog_min_messages=fatal\nautovacuum=off\nmax_wal_size=4GB\n", s.port)
		if err := os.WriteFile(s.dir+"/data/postgresql.auto.conf", []byte(conf), 0o644); err != nil {
			return nil, err
		}
	}
	started.Lock()
	started.all = append(started.all, s)
	started.Unlock()
	return s, s.start()
}

func (s *server) command(name string, args ...string) *exec.Cmd {
	cmd := exec.Command(name, args...)
	cmd.Dir = s.dir
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: s.as, Pdeathsig: syscall.SIGQUIT}
	return cmd
}

// start runs the server and waits until it answers.
func (s *server) start() error {
	if s.kind == "postgres" {
		s.cmd = s.command(program("/usr/lib/postgresql/*/bin/postgres"), "-D", s.dir+"/data")
	} else {
		s.cmd = s.command(program("/usr/sbin/mariadbd"), "--no-defaults", "--datadir="+s.dir+"/data", "--port="+strconv.Itoa(s.port), "--bind-address=127.0.0.1",
			"--socket="+s.dir+"/sock", "--pid-file="+s.dir+"/pid", "--innodb-flush-log-at-trx-commit=0", "--innodb-buffer-pool-size=128M", "--log-error="+s.dir+"/log",
			"--innodb-flush-method=nosync", "--character-set-server=utf8mb4", "--skip-log-bin")
	}
	if err := s.cmd.Start(); err != nil {
		return err
	}
	db := s.open("")
	defer db.Close()
	for range 400 {
		ctx, cancel := context.WithTimeout(context.Background(), time.Second)
		err := db.PingContext(ctx)
		cancel()
		if err == nil {
			return nil
		}
		time.Sleep(50 * time.Millisecond)
	}
	return fmt.Errorf("the server in %s does not answer", s.dir)
}

// kill ends the server at once, as a crash does.
func (s *server) kill() {
	if s.kind == "postgres" {
		_ = s.cmd.Process.Signal(syscall.SIGQUIT)
	} else {
		_ = s.cmd.Process.Kill()
	}
	_ = s.cmd.Wait()
}

func (s *server) remove() {
	s.kill()
	_ = os.RemoveAll(s.dir)
}

func (s *server) user() string {
	if s.kind == "postgres" {
		return "postgres"
	}
	return "root"
}

// open gives connections for a test's own statements.
func (s *server) open(database string) *sql.DB {
	driver, dsn := "pgx", fmt.Sprintf("postgres://postgres@127.0.0.1:%d/%s?sslmode=disable", s.port, database)
	if s.kind == "mysql" {
		driver, dsn = "mysql", fmt.Sprintf("root@tcp(127.0.0.1:%d)/%s", s.port, database)
		_ = mysql.SetLogger(quiet{})
	}
	if s.kind == "postgres" && database == "" {
		dsn = strings.Replace(dsn, "/?", "/postgres?", 1)
	}
	db, err := sql.Open(driver, dsn)
	if err != nil {
		panic(err)
	}
	return db
}

// database is one that a test has for itself.
type database struct {
	*server
	t    testing.TB
	name string
	db   *sql.DB
}

func databaseFor(t testing.TB, s *server) *database {
	t.Helper()
	name := strings.Map(func(r rune) rune {
		if r >= 'a' && r <= 'z' || r >= '0' && r <= '9' {
			return r
		}
		return '_'
	}, strings.ToLower(t.Name()))
	admin := s.open("")
	defer admin.Close()
	for _, statement := range []string{"DROP DATABASE IF EXISTS " + name, "CREATE DATABASE " + name} {
		if _, err := admin.Exec(statement); err != nil {
			t.Fatal(err)
		}
	}
	d := &database{s, t, name, s.open(name)}
	t.Cleanup(func() { _ = d.db.Close() })
	return d
}

func (d *database) run(statements ...string) {
	d.t.Helper()
	for _, s := range statements {
		if _, err := d.db.Exec(s); err != nil {
			d.t.Fatalf("%s: %v", s, err)
		}
	}
}

// ask gives an answer as text, rows as lines, columns with | between them.
func (d *database) ask(query string) string {
	d.t.Helper()
	rows, err := d.db.Query(query)
	if err != nil {
		d.t.Fatalf("%s: %v", query, err)
	}
	defer rows.Close()
	names, _ := rows.Columns()
	var lines []string
	for rows.Next() {
		cells, into := make([]sql.NullString, len(names)), make([]any, len(names))
		for i := range cells {
			into[i] = &cells[i]
		}
		if err := rows.Scan(into...); err != nil {
			d.t.Fatal(err)
		}
		var line []string
		for _, c := range cells {
			if !c.Valid {
				c.String = "null"
			}
			line = append(line, c.String)
		}
		lines = append(lines, strings.Join(line, "|"))
	}
	if rows.Err() != nil {
		d.t.Fatal(rows.Err())
	}
	return strings.Join(lines, "\n")
}

// props are options of a connector to the database.
func (d *database) props(more ...string) map[string]string {
	scheme := map[string]string{"postgres": "postgresql", "mysql": "mariadb"}[d.kind]
	p := map[string]string{"connection.url": fmt.Sprintf("jdbc:%s://127.0.0.1:%d/%s", scheme, d.port, d.name), "connection.user": d.user()}
	for _, kv := range more {
		name, value, _ := strings.Cut(kv, "=")
		p[name] = value
	}
	return p
}

type testLog struct{ t testing.TB }

func (l testLog) Write(b []byte) (int, error) {
	l.t.Logf("%s", b)
	return len(b), nil
}

func testLogger(t testing.TB) *slog.Logger { return slog.New(slog.NewTextHandler(testLog{t}, nil)) }
