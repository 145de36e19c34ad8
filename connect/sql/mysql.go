package sql

import (
	"bytes"
	"context"
	"database/sql"
	"fmt"
	"io"
	"strings"
	"time"
	"unsafe"

	"github.com/go-sql-driver/mysql"
)

// mysqlSession writes by INSERT with many rows.
type mysqlSession struct {
	db     *sql.DB
	conn   *sql.Conn
	rows   mysqlForm
	quotes quoter
	packet int
	staged map[*layout]string // temporary tables, for updates
	buf    bytes.Buffer
}

func connectMySQL(ctx context.Context, t *target, zone, dates *time.Location, never bool) (*mysqlSession, error) {
	connector, err := mysql.NewConnector(t.mysqlConfig())
	if err != nil {
		return nil, err
	}
	s := &mysqlSession{db: sql.OpenDB(connector), quotes: quoter{"`", never}, staged: map[*layout]string{}}
	if s.conn, err = s.db.Conn(ctx); err != nil {
		_ = s.db.Close()
		return nil, err
	}
	var mode string
	if err := s.conn.QueryRowContext(ctx, "SELECT @@max_allowed_packet, @@sql_mode").Scan(&s.packet, &mode); err != nil {
		s.close()
		return nil, err
	}
	s.rows = mysqlForm{zone, dates, !strings.Contains(mode, "NO_BACKSLASH_ESCAPES")}
	return s, nil
}

func (s *mysqlSession) form() form        { return s.rows }
func (s *mysqlSession) framing() *framing { return &listFraming }
func (s *mysqlSession) quoter() quoter    { return s.quotes }
func (s *mysqlSession) most() int         { return min(s.packet/2, 8<<20) }

var listFraming = framing{begin: "(", separator: ",", null: "NULL", end: "),"}

func (s *mysqlSession) close() {
	if s.conn != nil {
		_ = s.conn.Close()
	}
	_ = s.db.Close()
}

func (s *mysqlSession) exec(ctx context.Context, sql string) error {
	_, err := s.conn.ExecContext(ctx, sql)
	return err
}

func (s *mysqlSession) literal(v string) string { return string(s.rows.appendText(nil, v)) }

func (s *mysqlSession) describe(ctx context.Context, id tableID) (*table, error) {
	schema := "DATABASE()"
	if id.schema != "" {
		schema = s.literal(id.schema)
	}
	answer, err := s.conn.QueryContext(ctx, fmt.Sprintf(`SELECT column_name, data_type, is_nullable = 'YES' OR column_default IS NOT NULL OR extra LIKE '%%auto_increment%%',
 (SELECT count(*) FROM information_schema.statistics k WHERE k.table_schema = c.table_schema AND k.table_name = c.table_name AND k.non_unique = 0),
 (SELECT t.table_type FROM information_schema.tables t WHERE t.table_schema = c.table_schema AND t.table_name = c.table_name)
 FROM information_schema.columns c WHERE table_schema = %s AND table_name = %s AND extra NOT LIKE '%%GENERATED%%' ORDER BY ordinal_position`, schema, s.literal(id.name)))
	if err != nil {
		return nil, err
	}
	defer answer.Close()
	var t *table
	for answer.Next() {
		var c tableColumn
		unique, typ := 0, ""
		if err := answer.Scan(&c.name, &c.typ, &c.filled, &unique, &typ); err != nil {
			return nil, err
		}
		if t == nil {
			t = &table{id: id, unique: unique > 0, typ: strings.TrimPrefix(typ, "BASE ")}
		}
		c.typ = strings.ToLower(c.typ)
		t.columns = append(t.columns, c)
	}
	return t, answer.Err()
}

func (s *mysqlSession) write(ctx context.Context, segments []*segment, mode string, within bool) (err error) {
	alone := len(segments) == 1 && mode != "update" && (segments[0].gone.live == 0 || segments[0].rows.live == 0)
	if !within && !alone {
		if err := s.exec(ctx, "START TRANSACTION"); err != nil {
			return err
		}
		defer func() {
			if err == nil {
				err = s.exec(ctx, "COMMIT")
			} else {
				_ = s.exec(ctx, "ROLLBACK")
			}
		}()
	}
	for _, g := range segments {
		if g.gone.live > 0 {
			l := g.keys
			if l.sql.before == "" {
				l.sql.before = fmt.Sprintf("DELETE FROM %s WHERE (%s) IN (", l.target, names(l.columns[:l.keys]))
			}
			if err := s.send(ctx, l.sql.before, &g.gone, ")"); err != nil {
				return err
			}
		}
		if g.rows.live > 0 {
			if err := s.put(ctx, g, mode); err != nil {
				return err
			}
		}
	}
	return nil
}

func (s *mysqlSession) put(ctx context.Context, g *segment, mode string) error {
	l := g.layout
	keys, others := l.columns[:l.keys], l.columns[l.keys:]
	if mode == "update" {
		return s.update(ctx, l, &g.rows)
	}
	if l.sql.before == "" {
		l.sql.before = fmt.Sprintf("INSERT INTO %s (%s) VALUES ", l.target, names(l.columns))
		if mode == "upsert" && len(others) > 0 {
			l.sql.after = " ON DUPLICATE KEY UPDATE " + listed(others, ",", func(c column) string { return c.name + "=VALUES(" + c.name + ")" })
		} else if mode == "upsert" {
			l.sql.after = " ON DUPLICATE KEY UPDATE " + keys[0].name + "=" + keys[0].name
		}
	}
	return s.send(ctx, l.sql.before, &g.rows, l.sql.after)
}

// update puts rows in a temporary table first.
func (s *mysqlSession) update(ctx context.Context, l *layout, r *rows) error {
	keys, others := l.columns[:l.keys], l.columns[l.keys:]
	if len(others) == 0 {
		return nil
	}
	name, there := s.staged[l]
	if !there {
		name = fmt.Sprintf("weir_%d", len(s.staged))
		if err := s.exec(ctx, fmt.Sprintf("CREATE TEMPORARY TABLE %s AS SELECT %s FROM %s LIMIT 0", name, names(l.columns), l.target)); err != nil {
			return err
		}
		s.staged[l] = name
	}
	if err := s.send(ctx, "INSERT INTO "+name+" VALUES ", r, ""); err != nil {
		return err
	}
	if err := s.exec(ctx, fmt.Sprintf("UPDATE %s t JOIN %s s ON %s SET %s", l.target, name, match(keys), listed(others, ",", func(c column) string { return "t." + c.name + "=s." + c.name }))); err != nil {
		return err
	}
	return s.exec(ctx, "DELETE FROM "+name)
}

// send runs a statement with rows in its middle.
func (s *mysqlSession) send(ctx context.Context, before string, r *rows, after string) error {
	s.buf.Reset()
	s.buf.WriteString(before)
	_, _ = io.Copy(&s.buf, r.reader())
	s.buf.Truncate(s.buf.Len() - 1) // the comma after the last row
	s.buf.WriteString(after)
	b := s.buf.Bytes()
	_, err := s.conn.ExecContext(ctx, unsafe.String(&b[0], len(b))) // the driver copies it
	return err
}
