package connect

import (
	"cmp"
	"context"
	"fmt"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgconn"
)

// postgres is a PostgreSQL with a folder and a port of its own.
type postgres struct {
	t        testing.TB
	bin, dir string
	port     int
	as       *syscall.Credential // who runs it: it refuses to run as root
	cmd      *exec.Cmd
}

// prepared gives a server with a folder and a port that is not there yet.
func prepared(t testing.TB) *postgres {
	t.Helper()
	programs, _ := filepath.Glob(cmp.Or(os.Getenv("POSTGRES_BIN"), "/usr/lib/postgresql/*/bin") + "/initdb")
	if len(programs) == 0 {
		t.Skip("PostgreSQL's programs are not installed: apt-get install postgresql")
	}
	dir, err := os.MkdirTemp("", "weir-connect-postgres")
	if err != nil {
		t.Fatal(err)
	}
	p := &postgres{t: t, bin: filepath.Dir(programs[len(programs)-1]), dir: dir, port: freePort(t)}
	t.Cleanup(func() {
		if p.cmd != nil {
			p.stop(syscall.SIGQUIT)
		}
		_ = os.RemoveAll(dir)
	})
	if os.Getuid() == 0 {
		u, err := user.Lookup("postgres")
		if err != nil {
			t.Fatal(err)
		}
		uid, _ := strconv.Atoi(u.Uid)
		gid, _ := strconv.Atoi(u.Gid)
		p.as = &syscall.Credential{Uid: uint32(uid), Gid: uint32(gid)}
		if err := os.Chown(dir, uid, gid); err != nil {
			t.Fatal(err)
		}
	}
	return p
}

// startPostgres starts a PostgreSQL that ends with the test.
func startPostgres(t testing.TB, settings ...string) *postgres {
	t.Helper()
	p := prepared(t)
	dir := p.dir
	if out, err := p.program("initdb", "-D", dir+"/data", "-U", "postgres", "-A", "trust", "-E", "UTF8", "--locale=C.UTF-8", "--no-sync").CombinedOutput(); err != nil {
		t.Fatalf("initdb: %v\n%s", err, out)
	}
	conf := fmt.Sprintf("listen_addresses='127.0.0.1'\nport=%d\nunix_socket_directories=''\nfsync=off\nwal_level=logical\nmax_replication_slots=40\nmax_wal_senders=40\nautovacuum=off\n%s\n",
		p.port, strings.Join(settings, "\n"))
	if err := os.WriteFile(dir+"/data/postgresql.auto.conf", []byte(conf), 0o644); err != nil {
		t.Fatal(err)
	}
	p.start()
	return p
}

func (p *postgres) program(name string, args ...string) *exec.Cmd {
	cmd := exec.Command(filepath.Join(p.bin, name), args...)
	cmd.Dir = p.dir
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: p.as, Pdeathsig: syscall.SIGQUIT}
	return cmd
}

// start runs the server and waits until it answers. After a kill its own children may take a moment to end, and it does not start before.
func (p *postgres) start() {
	p.t.Helper()
	for end := time.Now().Add(patience); time.Now().Before(end); {
		p.cmd = p.program("postgres", "-D", p.dir+"/data")
		if err := p.cmd.Start(); err != nil {
			p.t.Fatal(err)
		}
		ended := make(chan struct{})
		cmd := p.cmd
		go func() { _ = cmd.Wait(); close(ended) }()
		for {
			if c, err := p.dial("postgres"); err == nil {
				_ = c.Close(context.Background())
				return
			}
			select {
			case <-ended:
			case <-time.After(20 * time.Millisecond):
				continue
			}
			break
		}
		time.Sleep(20 * time.Millisecond)
	}
	p.t.Fatal("PostgreSQL does not start")
}

// stop ends the server: SIGKILL is a crash of all of it, since its children end when they miss it.
func (p *postgres) stop(how syscall.Signal) {
	_ = p.cmd.Process.Signal(how)
	for p.cmd.Process.Signal(syscall.Signal(0)) == nil {
		time.Sleep(time.Millisecond)
	}
}

func (p *postgres) dial(database string) (*pgconn.PgConn, error) {
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	return pgconn.Connect(ctx, fmt.Sprintf("host=127.0.0.1 port=%d user=postgres database=%s sslmode=disable", p.port, database))
}

// query runs statements in a session of their own and gives the rows of the last.
func (p *postgres) query(database, sql string) ([][]string, error) {
	c, err := p.dial(database)
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	defer c.Close(ctx)
	return ask(ctx, c, sql)
}

func ask(ctx context.Context, c *pgconn.PgConn, sql string) ([][]string, error) {
	results, err := c.Exec(ctx, sql).ReadAll()
	if err != nil || len(results) == 0 {
		return nil, err
	}
	var out [][]string
	for _, row := range results[len(results)-1].Rows {
		var texts []string
		for _, v := range row {
			texts = append(texts, string(v))
		}
		out = append(out, texts)
	}
	return out, nil
}

func (p *postgres) run(database, sql string) [][]string {
	p.t.Helper()
	rows, err := p.query(database, sql)
	if err != nil {
		p.t.Fatalf("%s: %v", sql, err)
	}
	return rows
}

// props are a connector's options for a database.
func (p *postgres) props(database string, more ...string) map[string]string {
	out := map[string]string{
		"connector.class": "io.debezium.connector.postgresql.PostgresConnector", "database.hostname": "127.0.0.1", "database.port": strconv.Itoa(p.port),
		"database.user": "postgres", "database.password": "x", "database.dbname": database, "plugin.name": "pgoutput", "topic.prefix": database,
		"slot.name": database, "publication.name": database, "tombstones.on.delete": "false",
		"key.converter": "org.apache.kafka.connect.json.JsonConverter", "key.converter.schemas.enable": "false",
		"value.converter": "org.apache.kafka.connect.json.JsonConverter", "value.converter.schemas.enable": "false",
	}
	for i := 0; i < len(more); i += 2 {
		out[more[i]] = more[i+1]
	}
	return out
}
