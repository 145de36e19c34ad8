package sql

import (
	"context"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/jackc/pgx/v5/pgconn"
)

// postgresReader reads by the extended protocol, values as text.
type postgresReader struct {
	conn *pgconn.PgConn
}

func openPostgres(ctx context.Context, t *target) (*postgresReader, error) {
	config, err := t.postgresConfig()
	if err != nil {
		return nil, err
	}
	conn, err := pgconn.ConnectConfig(ctx, config)
	if err != nil {
		return nil, err
	}
	return &postgresReader{conn}, nil
}

func (r *postgresReader) quoter() quoter { return quoter{mark: `"`} }

func (r *postgresReader) close() {
	ctx, cancel := context.WithTimeout(context.Background(), time.Second)
	defer cancel()
	_ = r.conn.Close(ctx)
}

func (r *postgresReader) ask(ctx context.Context, sql string) ([][][]byte, error) {
	results, err := r.conn.Exec(ctx, sql).ReadAll()
	if err != nil || len(results) == 0 {
		return nil, err
	}
	return results[0].Rows, nil
}

// relations are the letters that the server has for JDBC's types of tables.
var relations = map[string]string{"TABLE": "r", "PARTITIONED TABLE": "p", "VIEW": "v", "MATERIALIZED VIEW": "m", "FOREIGN TABLE": "f"}

func (r *postgresReader) tables(ctx context.Context, f *filter) ([]tableID, error) {
	var letters []string
	for _, typ := range f.types {
		if letter, ok := relations[strings.ToUpper(typ)]; ok {
			letters = append(letters, text(letter))
		}
	}
	if len(letters) == 0 {
		return nil, nil
	}
	where := ""
	if f.schema != "" {
		where = " AND n.nspname LIKE " + text(f.schema)
	}
	rows, err := r.ask(ctx, "SELECT n.nspname, c.relname FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace WHERE c.relkind IN ("+
		strings.Join(letters, ",")+") AND n.nspname NOT LIKE 'pg\\_%' AND n.nspname <> 'information_schema'"+where+" ORDER BY 1, 2")
	var out []tableID
	for _, row := range rows {
		out = append(out, tableID{schema: string(row[0]), name: string(row[1])})
	}
	return out, err
}

func (r *postgresReader) now(ctx context.Context) (time.Time, error) {
	rows, err := r.ask(ctx, "SELECT CURRENT_TIMESTAMP")
	if err != nil {
		return time.Time{}, err
	}
	return parseStamp(rows[0][0], time.UTC)
}

// stamp has the offset too: columns without a zone do not heed it.
func (r *postgresReader) stamp(_ context.Context, t time.Time, zone *time.Location, _ *tableID, _ string) (string, error) {
	return "'" + string(appendStamp(nil, t.In(zone), true)) + "'", nil
}

func (r *postgresReader) counting(ctx context.Context, id tableID) (string, error) {
	rows, err := r.ask(ctx, `SELECT a.attname FROM pg_catalog.pg_attribute a LEFT JOIN pg_catalog.pg_attrdef d ON d.adrelid = a.attrelid AND d.adnum = a.attnum
 WHERE a.attrelid = pg_catalog.to_regclass(`+text(r.quoter().table(id))+`) AND a.attnum > 0 AND (a.attidentity <> '' OR pg_catalog.pg_get_expr(d.adbin, d.adrelid) LIKE 'nextval(%') ORDER BY a.attnum LIMIT 1`)
	if err != nil || len(rows) == 0 {
		return "", err
	}
	return string(rows[0][0]), nil
}

func (r *postgresReader) query(ctx context.Context, sql string) (answer, error) {
	described, err := r.conn.Prepare(ctx, "", sql, nil)
	if err != nil {
		return nil, err
	}
	columns, err := r.describe(ctx, described.Fields)
	if err != nil {
		return nil, err
	}
	return &postgresAnswer{r.conn.ExecParams(ctx, sql, nil, nil, nil, nil), columns}, nil
}

type postgresAnswer struct {
	rows *pgconn.ResultReader
	cols []readColumn
}

func (a *postgresAnswer) columns() []readColumn { return a.cols }
func (a *postgresAnswer) next() bool            { return a.rows.NextRow() }
func (a *postgresAnswer) row() [][]byte         { return a.rows.Values() }
func (a *postgresAnswer) close() error {
	_, err := a.rows.Close()
	return err
}

// describe finds what the server knows about columns beyond what an answer says.
func (r *postgresReader) describe(ctx context.Context, fields []pgconn.FieldDescription) ([]readColumn, error) {
	columns := make([]readColumn, len(fields))
	var types, places []string
	for i, f := range fields {
		columns[i] = readColumn{name: f.Name, nullable: true}
		types = append(types, strconv.Itoa(int(f.DataTypeOID)))
		places = append(places, fmt.Sprintf("(%d::oid,%d::int2)", f.TableOID, f.TableAttributeNumber))
	}
	if len(fields) == 0 {
		return columns, nil
	}
	rows, err := r.ask(ctx, `SELECT t.oid, COALESCE(b.typname, t.typname), COALESCE(b.typtype, t.typtype), t.typtypmod FROM pg_catalog.pg_type t
 LEFT JOIN pg_catalog.pg_type b ON b.oid = t.typbasetype AND t.typtype = 'd' WHERE t.oid IN (`+strings.Join(types, ",")+`)`)
	if err != nil {
		return nil, err
	}
	for _, row := range rows {
		for i := range fields {
			if types[i] != string(row[0]) {
				continue
			}
			modifier := fields[i].TypeModifier
			if n, _ := strconv.Atoi(string(row[3])); n >= 0 {
				modifier = int32(n)
			}
			columns[i].asPostgres(string(row[1]), string(row[2]) == "e", modifier)
		}
	}
	if rows, err = r.ask(ctx, "SELECT attrelid, attnum FROM pg_catalog.pg_attribute WHERE attnotnull AND (attrelid, attnum) IN ("+strings.Join(places, ",")+")"); err != nil {
		return nil, err
	}
	for _, row := range rows {
		if i := slices.Index(places, fmt.Sprintf("(%s::oid,%s::int2)", row[0], row[1])); i >= 0 {
			for ; i < len(places); i++ {
				columns[i].nullable = columns[i].nullable && places[i] != fmt.Sprintf("(%s::oid,%s::int2)", row[0], row[1])
			}
		}
	}
	return columns, nil
}

// postgresKinds are what the JDBC driver makes of types. Others have no place in records.
var postgresKinds = map[string]kind{
	"bool": kindBool, "int2": kindInt16, "int4": kindInt32, "int8": kindInt64, "oid": kindInt64, "float4": kindFloat32, "float8": kindFloat64, "money": kindFloat64,
	"numeric": kindNumeric, "text": kindString, "varchar": kindString, "bpchar": kindString, "char": kindString, "name": kindString, "citext": kindString,
	"json": kindString, "jsonb": kindString, "uuid": kindString, "xml": kindString, "bytea": kindBytes, "date": kindDate, "time": kindTime, "timetz": kindTime,
	"timestamp": kindStamp, "timestamptz": kindStamp,
}

func (c *readColumn) asPostgres(typ string, enum bool, modifier int32) {
	c.typ, c.kind = typ, postgresKinds[typ]
	switch {
	case enum:
		c.kind = kindString
	case typ == "numeric" && modifier >= 4:
		c.precision, c.scale = (modifier-4)>>16&0xffff, (modifier-4)&0x7ff
		if c.scale&0x400 != 0 {
			c.scale -= 0x800
		}
	case typ == "bit" && modifier <= 1:
		c.kind = kindBool
	case typ == "bit" && modifier <= 8:
		c.kind, c.base = kindInt8, 2
	case typ == "bit":
		c.kind, c.plain = kindBytes, true
	}
}
