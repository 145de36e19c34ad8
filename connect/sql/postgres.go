package sql

import (
	"bytes"
	"context"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5/pgconn"
)

// postgresSession writes by COPY: rows that are only inserted to the table, others to a temporary table first, which lives as long as the
// session and is empty between transactions. A segment is one message to the server and one answer.
type postgresSession struct {
	conn   *pgconn.PgConn
	rows   postgresForm
	quotes quoter
	staged map[*layout]string // temporary tables
}

func connectPostgres(ctx context.Context, t *target, zone, dates *time.Location, never bool) (*postgresSession, error) {
	config, err := t.postgresConfig()
	if err != nil {
		return nil, err
	}
	conn, err := pgconn.ConnectConfig(ctx, config)
	if err != nil {
		return nil, err
	}
	return &postgresSession{conn: conn, rows: postgresForm{zone, dates}, quotes: quoter{`"`, never}, staged: map[*layout]string{}}, nil
}

func (s *postgresSession) form() form        { return s.rows }
func (s *postgresSession) framing() *framing { return &copyFraming }
func (s *postgresSession) quoter() quoter    { return s.quotes }
func (s *postgresSession) most() int         { return 64 << 20 }

var copyFraming = framing{separator: "\t", null: `\N`, end: "\n"}

func (s *postgresSession) close() {
	ctx, cancel := context.WithTimeout(context.Background(), time.Second)
	defer cancel()
	_ = s.conn.Close(ctx)
}

func (s *postgresSession) exec(ctx context.Context, sql string) error {
	_, err := s.conn.Exec(ctx, sql).ReadAll()
	return err
}

func (s *postgresSession) describe(ctx context.Context, id tableID) (*table, error) {
	results, err := s.conn.Exec(ctx, `SELECT a.attname, COALESCE(b.typname, t.typname), NOT a.attnotnull OR a.atthasdef OR a.attidentity <> '', c.relkind
 FROM pg_catalog.pg_attribute a JOIN pg_catalog.pg_class c ON c.oid = a.attrelid JOIN pg_catalog.pg_type t ON t.oid = a.atttypid LEFT JOIN pg_catalog.pg_type b ON b.oid = t.typbasetype AND t.typtype = 'd'
 WHERE a.attrelid = pg_catalog.to_regclass(`+text(s.quotes.table(id))+`) AND a.attnum > 0 AND NOT a.attisdropped AND a.attgenerated = '' ORDER BY a.attnum`).ReadAll()
	if err != nil || len(results[0].Rows) == 0 {
		return nil, err
	}
	t := &table{id: id, unique: true} // the server says so if it is not
	for typ, letter := range relations {
		if letter == string(results[0].Rows[0][3]) {
			t.typ = typ
		}
	}
	for _, row := range results[0].Rows {
		t.columns = append(t.columns, tableColumn{string(row[0]), string(row[1]), row[2][0] == 't'})
	}
	return t, nil
}

// step is a statement that reads rows.
type step struct {
	sql    string
	rows   *rows
	staged string // the temporary table that they are in then; "": none
}

func (s *postgresSession) write(ctx context.Context, segments []*segment, mode string, within bool) error {
	var some [2]step
	steps := some[:0]
	for _, g := range segments {
		if g.gone.live > 0 {
			sql, err := s.staging(ctx, g.keys, true, "")
			if err != nil {
				return err
			}
			steps = append(steps, step{sql, &g.gone, s.staged[g.keys]})
		}
		if g.rows.live > 0 {
			sql, err := s.staging(ctx, g.layout, false, mode)
			if err != nil {
				return err
			}
			steps = append(steps, step{sql, &g.rows, s.staged[g.layout]})
		}
	}
	several := len(steps) > 1 && !within // else the server makes a message a transaction by itself
	for i, step := range steps {
		sql := step.sql
		if (several || within) && step.staged != "" {
			sql += ";TRUNCATE pg_temp." + step.staged
		}
		if several && i == 0 {
			sql = "BEGIN;" + sql
		}
		if several && i == len(steps)-1 {
			sql += ";COMMIT"
		}
		if _, err := s.conn.CopyFrom(ctx, step.rows.reader(), sql); err != nil {
			step.rows.abandon() // CopyFrom does not wait for its goroutine, which reads them, when the connection fails
			if several && !s.conn.IsClosed() {
				_ = s.exec(ctx, "ROLLBACK")
			}
			return err
		}
	}
	return nil
}

// staging gives the statement for rows of a layout, or for deletions by its keys, and makes the temporary table that it needs.
func (s *postgresSession) staging(ctx context.Context, l *layout, gone bool, mode string) (string, error) {
	if mode == "insert" {
		if l.sql.before == "" {
			l.sql.before = fmt.Sprintf("COPY %s (%s) FROM STDIN", l.target, names(l.columns))
		}
		return l.sql.before, nil
	}
	columns := l.columns
	if gone {
		columns = columns[:l.keys]
	}
	name, there := s.staged[l]
	if !there {
		name = fmt.Sprintf("weir_%d", len(s.staged))
		err := s.exec(ctx, fmt.Sprintf("CREATE TEMPORARY TABLE %s ON COMMIT DELETE ROWS AS SELECT %s FROM %s WITH NO DATA", name, names(columns), l.target))
		if err != nil {
			return "", err
		}
		s.staged[l] = name
		l.sql = statements{}
	}
	if l.sql.before != "" {
		return l.sql.before, nil
	}
	var b bytes.Buffer
	fmt.Fprintf(&b, "COPY pg_temp.%s FROM STDIN;", name)
	keys, others := l.columns[:l.keys], l.columns[l.keys:]
	switch {
	case gone:
		fmt.Fprintf(&b, "DELETE FROM %s t USING pg_temp.%s s WHERE %s", l.target, name, match(keys))
	case mode == "update" && len(others) == 0:
		b.WriteString("SELECT")
	case mode == "update":
		fmt.Fprintf(&b, "UPDATE %s t SET %s FROM pg_temp.%s s WHERE %s", l.target, listed(others, ",", func(c column) string { return c.name + "=s." + c.name }), name, match(keys))
	default:
		fmt.Fprintf(&b, "INSERT INTO %s (%s) SELECT %s FROM pg_temp.%s ON CONFLICT (%s) DO ", l.target, names(l.columns), names(l.columns), name, names(keys))
		if len(others) == 0 {
			b.WriteString("NOTHING")
		} else {
			b.WriteString("UPDATE SET " + listed(others, ",", func(c column) string { return c.name + "=EXCLUDED." + c.name }))
		}
	}
	l.sql.before = b.String()
	return l.sql.before, nil
}
