package postgres

import (
	"context"
	"fmt"
	"slices"
	"strings"
)

// described is a table, as the catalogs describe it now.
type described struct {
	oid          uint32
	schema, name string
	columns      []describedColumn
	key          []string // the columns of its primary key, or else of its first unique index
}

type describedColumn struct {
	name      string
	typ       uint32
	mod       int32
	notNull   bool
	def       string // the expression of its default
	generated bool
	identity  bool
}

func (d *described) column(name string) *describedColumn {
	if i := slices.IndexFunc(d.columns, func(c describedColumn) bool { return c.name == name }); i >= 0 {
		return &d.columns[i]
	}
	return nil
}

// describe asks for a table by its number. It gives one without columns if there is none any more.
func describe(ctx context.Context, w *wire, oid uint32) (*described, error) {
	d := &described{oid: oid}
	rows, err := w.query(ctx, fmt.Sprintf(`SELECT a.attname, a.atttypid, a.atttypmod, a.attnotnull, pg_catalog.pg_get_expr(ad.adbin, ad.adrelid),
 a.attgenerated <> '', a.attidentity <> '', n.nspname, c.relname
 FROM pg_catalog.pg_attribute a JOIN pg_catalog.pg_class c ON c.oid = a.attrelid JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
 LEFT JOIN pg_catalog.pg_attrdef ad ON ad.adrelid = a.attrelid AND ad.adnum = a.attnum
 WHERE a.attrelid = %d AND a.attnum > 0 AND NOT a.attisdropped ORDER BY a.attnum`, oid))
	if err != nil {
		return nil, err
	}
	for _, r := range rows {
		d.columns = append(d.columns, describedColumn{name: r[0], typ: oidOf(r[1]), mod: modOf(r[2]), notNull: r[3] == "t", def: r[4],
			generated: r[5] == "t", identity: r[6] == "t"})
		d.schema, d.name = r[7], r[8]
	}
	rows, err = w.query(ctx, fmt.Sprintf(`SELECT i.indexrelid, a.attname FROM pg_catalog.pg_index i JOIN pg_catalog.pg_class c ON c.oid = i.indexrelid
 CROSS JOIN LATERAL pg_catalog.unnest(i.indkey::int2[]) WITH ORDINALITY k(num, place)
 LEFT JOIN pg_catalog.pg_attribute a ON a.attrelid = i.indrelid AND a.attnum = k.num AND k.num > 0
 WHERE i.indrelid = %d AND i.indisunique AND k.place <= i.indnkeyatts AND (i.indisprimary OR i.indpred IS NULL)
 ORDER BY NOT i.indisprimary, c.relname, k.place`, oid))
	if err != nil {
		return nil, err
	}
	for _, r := range rows {
		if r[0] != rows[0][0] {
			break
		}
		if r[1] != "" { // else an expression
			d.key = append(d.key, r[1])
		}
	}
	return d, nil
}

// tableName is a table that may be captured.
type tableName struct {
	oid          uint32
	schema, name string
	kind         byte // r: a table, p: one in partitions
	partition    bool
}

func (t tableName) String() string { return t.schema + "." + t.name }

// quoted gives the name as it is written in statements.
func (t tableName) quoted() string { return quoteIdent(t.schema) + "." + quoteIdent(t.name) }

// listTables gives the tables that are not the server's own, in the order of their names.
func listTables(ctx context.Context, w *wire) ([]tableName, error) {
	rows, err := w.query(ctx, `SELECT c.oid, n.nspname, c.relname, c.relkind, c.relispartition FROM pg_catalog.pg_class c
 JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace WHERE c.relkind IN ('r', 'p') AND c.relpersistence = 'p'
 AND n.nspname !~ '^pg_' AND n.nspname <> 'information_schema'`)
	if err != nil {
		return nil, err
	}
	var out []tableName
	for _, r := range rows {
		out = append(out, tableName{oid: oidOf(r[0]), schema: r[1], name: r[2], kind: r[3][0], partition: r[4] == "t"})
	}
	slices.SortFunc(out, func(a, b tableName) int { return strings.Compare(a.String(), b.String()) })
	return out, nil
}

func quoteIdent(s string) string { return `"` + strings.ReplaceAll(s, `"`, `""`) + `"` }

// quoteText writes a value as a literal, whatever standard_conforming_strings says.
func quoteText(s string) string {
	return `E'` + strings.ReplaceAll(strings.ReplaceAll(s, `\`, `\\`), `'`, `''`) + `'`
}
