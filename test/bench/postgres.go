package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"strconv"
	"syscall"

	"github.com/jackc/pgx/v5"
)

// A postgres is a PostgreSQL server with a folder and a port of its own.
type postgres struct {
	process
	bin  string
	port int
	as   *syscall.Credential // who runs it: it refuses to run as root
	*pgx.Conn
}

func postgresPrograms() (string, error) {
	found, _ := filepath.Glob("/usr/lib/postgresql/*/bin/initdb")
	if len(found) == 0 {
		return "", errors.New("PostgreSQL's programs are not installed: apt-get install postgresql")
	}
	return filepath.Dir(found[len(found)-1]), nil
}

// startPostgres starts a server in a folder within dir. It is as Debian's, but that it has a log for connectors, and room for it.
func startPostgres(ctx context.Context, dir string) (p *postgres, err error) {
	bin, err := postgresPrograms()
	if err != nil {
		return nil, err
	}
	port, err := freePorts(2)
	if err != nil {
		return nil, err
	}
	home := filepath.Join(dir, "postgres")
	if err := os.Mkdir(home, 0o755); err != nil {
		return nil, err
	}
	p = &postgres{process: process{name: "PostgreSQL", home: home}, bin: bin, port: port}
	if os.Getuid() == 0 {
		if err := p.leaveRoot(dir); err != nil {
			return nil, err
		}
	}
	data := filepath.Join(home, "data")
	if out, err := p.program("initdb", "-D", data, "-U", "postgres", "-A", "trust", "-E", "UTF8", "--locale=C.UTF-8", "--no-sync").CombinedOutput(); err != nil {
		return nil, fmt.Errorf("initdb: %w\n%s", err, out)
	}
	settings := fmt.Sprintf("listen_addresses='127.0.0.1'\nport=%d\nunix_socket_directories=''\nwal_level=logical\nmax_wal_size='8GB'\nshared_buffers='512MB'\n", port)
	if err := os.WriteFile(filepath.Join(data, "postgresql.auto.conf"), []byte(settings), 0o644); err != nil {
		return nil, err
	}
	if err := p.begin(p.program("postgres", "-D", data)); err != nil {
		return nil, err
	}
	err = p.until(ctx, "answering", func() bool {
		p.Conn, err = p.dial(ctx)
		return err == nil
	})
	return p, err
}

// leaveRoot has the server run as the user that Debian makes for it.
func (p *postgres) leaveRoot(dir string) error {
	u, err := user.Lookup("postgres")
	if err != nil {
		return err
	}
	uid, _ := strconv.Atoi(u.Uid)
	gid, _ := strconv.Atoi(u.Gid)
	p.as = &syscall.Credential{Uid: uint32(uid), Gid: uint32(gid)}
	return errors.Join(os.Chmod(dir, 0o711), os.Chown(p.home, uid, gid))
}

func (p *postgres) program(name string, args ...string) *exec.Cmd {
	cmd := exec.Command(filepath.Join(p.bin, name), args...)
	cmd.Dir = p.home
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: p.as}
	return cmd
}

func (p *postgres) dial(ctx context.Context) (*pgx.Conn, error) {
	return pgx.Connect(ctx, fmt.Sprintf("host=127.0.0.1 port=%d user=postgres database=postgres sslmode=disable", p.port))
}

// stop ends the server at once, with its children.
func (p *postgres) stop() error { return p.end(syscall.SIGQUIT) }

// run runs a statement.
func (p *postgres) run(ctx context.Context, sql string, args ...any) error {
	if _, err := p.Exec(ctx, sql, args...); err != nil {
		return fmt.Errorf("%s: %w", sql, err)
	}
	return nil
}

// count gives the number that a query gives.
func (p *postgres) count(ctx context.Context, sql string, args ...any) (n int, err error) {
	if err := p.QueryRow(ctx, sql, args...).Scan(&n); err != nil {
		return 0, fmt.Errorf("%s: %w", sql, err)
	}
	return n, nil
}
