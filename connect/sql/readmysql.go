package sql

import (
	"context"
	"database/sql"
	"strings"
	"time"

	"github.com/go-sql-driver/mysql"
)

// mysqlReader reads by the text protocol.
type mysqlReader struct {
	db   *sql.DB
	conn *sql.Conn
	own  string // the database of the connection
}

func openMySQL(ctx context.Context, t *target) (*mysqlReader, error) {
	connector, err := mysql.NewConnector(t.mysqlConfig())
	if err != nil {
		return nil, err
	}
	r := &mysqlReader{db: sql.OpenDB(connector), own: t.database}
	if r.conn, err = r.db.Conn(ctx); err != nil {
		_ = r.db.Close()
		return nil, err
	}
	return r, nil
}

func (r *mysqlReader) quoter() quoter { return quoter{mark: "`"} }

func (r *mysqlReader) close() {
	_ = r.conn.Close()
	_ = r.db.Close()
}

func literal(s string) string { return string(mysqlForm{backslash: true}.appendText(nil, s)) }

func (r *mysqlReader) tables(ctx context.Context, f *filter) ([]tableID, error) {
	var types []string
	for _, typ := range f.types {
		switch strings.ToUpper(typ) {
		case "TABLE":
			types = append(types, "'BASE TABLE'")
		case "VIEW":
			types = append(types, "'VIEW'")
		}
	}
	if len(types) == 0 {
		return nil, nil
	}
	where := ""
	switch {
	case f.catalog != "":
		where = " AND table_schema LIKE " + literal(f.catalog)
	case r.own != "" && !f.qualified():
		where = " AND table_schema = " + literal(r.own)
	}
	rows, err := r.conn.QueryContext(ctx, "SELECT table_schema, table_name FROM information_schema.tables WHERE table_type IN ("+strings.Join(types, ",")+
		") AND table_schema NOT IN ('mysql', 'sys', 'information_schema', 'performance_schema')"+where+" ORDER BY 1, 2")
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	var out []tableID
	for rows.Next() {
		var id tableID
		if err := rows.Scan(&id.schema, &id.name); err != nil {
			return nil, err
		}
		out = append(out, id)
	}
	return out, rows.Err()
}

func (r *mysqlReader) now(ctx context.Context) (time.Time, error) {
	var b []byte
	if err := r.conn.QueryRowContext(ctx, "SELECT CURRENT_TIMESTAMP(6)").Scan(&b); err != nil {
		return time.Time{}, err
	}
	return parseStamp(b, time.UTC)
}

func (r *mysqlReader) stamp(ctx context.Context, t time.Time, zone *time.Location, id *tableID, column string) (string, error) {
	if id != nil {
		typ := ""
		err := r.conn.QueryRowContext(ctx, "SELECT data_type FROM information_schema.columns WHERE table_schema = "+literal(id.schema)+" AND table_name = "+literal(id.name)+
			" AND column_name = "+literal(column)).Scan(&typ)
		if err != nil && err != sql.ErrNoRows {
			return "", err
		}
		if strings.EqualFold(typ, "timestamp") {
			zone = time.UTC
		}
	}
	return "'" + string(appendStamp(nil, t.In(zone), false)) + "'", nil
}

func (r *mysqlReader) counting(ctx context.Context, id tableID) (string, error) {
	name := ""
	err := r.conn.QueryRowContext(ctx, "SELECT column_name FROM information_schema.columns WHERE table_schema = "+literal(id.schema)+" AND table_name = "+literal(id.name)+
		" AND extra LIKE '%auto_increment%'").Scan(&name)
	if err == sql.ErrNoRows {
		return "", nil
	}
	return name, err
}

func (r *mysqlReader) query(ctx context.Context, statement string) (answer, error) {
	rows, err := r.conn.QueryContext(ctx, statement)
	if err != nil {
		return nil, err
	}
	types, err := rows.ColumnTypes()
	if err != nil {
		_ = rows.Close()
		return nil, err
	}
	a := &mysqlAnswer{rows: rows, raw: make([]sql.RawBytes, len(types)), into: make([]any, len(types)), out: make([][]byte, len(types))}
	for i, t := range types {
		c := readColumn{name: t.Name(), nullable: true, plain: true}
		if nullable, ok := t.Nullable(); ok {
			c.nullable = nullable
		}
		c.asMySQL(t)
		a.cols = append(a.cols, c)
		a.into[i] = &a.raw[i]
	}
	return a, nil
}

type mysqlAnswer struct {
	rows *sql.Rows
	cols []readColumn
	raw  []sql.RawBytes
	into []any
	out  [][]byte
	err  error
}

func (a *mysqlAnswer) columns() []readColumn { return a.cols }

func (a *mysqlAnswer) next() bool {
	if a.err != nil || !a.rows.Next() {
		return false
	}
	a.err = a.rows.Scan(a.into...)
	for i, b := range a.raw {
		a.out[i] = b
	}
	return a.err == nil
}

func (a *mysqlAnswer) row() [][]byte { return a.out }

func (a *mysqlAnswer) close() error {
	if a.err == nil {
		a.err = a.rows.Err()
	}
	if err := a.rows.Close(); a.err == nil {
		a.err = err
	}
	return a.err
}

// mysqlKinds are what the JDBC driver makes of types.
var mysqlKinds = map[string]kind{
	"TINYINT": kindInt8, "UNSIGNED TINYINT": kindInt16, "SMALLINT": kindInt16, "UNSIGNED SMALLINT": kindInt32, "MEDIUMINT": kindInt32, "UNSIGNED MEDIUMINT": kindInt64,
	"INT": kindInt32, "UNSIGNED INT": kindInt64, "BIGINT": kindInt64, "UNSIGNED BIGINT": kindInt64, "FLOAT": kindFloat32, "DOUBLE": kindFloat64, "DECIMAL": kindDecimal,
	"CHAR": kindString, "VARCHAR": kindString, "TINYTEXT": kindString, "TEXT": kindString, "MEDIUMTEXT": kindString, "LONGTEXT": kindString, "ENUM": kindString, "SET": kindString, "JSON": kindString,
	"BINARY": kindBytes, "VARBINARY": kindBytes, "TINYBLOB": kindBytes, "BLOB": kindBytes, "MEDIUMBLOB": kindBytes, "LONGBLOB": kindBytes, "GEOMETRY": kindBytes,
	"BIT": kindBits, "DATE": kindDate, "YEAR": kindDate, "TIME": kindTime, "DATETIME": kindStamp, "TIMESTAMP": kindStamp,
}

func (c *readColumn) asMySQL(t *sql.ColumnType) {
	c.typ = t.DatabaseTypeName()
	c.kind = mysqlKinds[c.typ]
	if precision, scale, ok := t.DecimalSize(); ok && c.kind == kindDecimal {
		c.precision, c.scale = int32(precision), int32(scale)
	}
}
