package sql

import (
	"strings"
)

// tableID names a table. schema is the database, of MySQL; what is "" was not said.
type tableID struct{ catalog, schema, name string }

// String gives the name without quotes, as offsets have it.
func (t tableID) String() string {
	s := t.name
	if t.schema != "" {
		s = t.schema + "." + s
	}
	if t.catalog != "" {
		s = t.catalog + "." + s
	}
	return s
}

// parseTable reads a name with dots, the parts of which may be quoted.
func parseTable(s string) tableID {
	var parts []string
	for rest := s; ; {
		part := ""
		if rest != "" && strings.IndexByte("\"`", rest[0]) >= 0 {
			if end := strings.IndexByte(rest[1:], rest[0]); end >= 0 {
				part, rest = rest[1:end+1], rest[end+2:]
			}
		}
		more := ""
		end := strings.IndexByte(rest, '.')
		if end < 0 {
			parts = append(parts, part+rest)
			break
		}
		more, rest = rest[:end], rest[end+1:]
		parts = append(parts, part+more)
	}
	switch n := len(parts); {
	case n == 1:
		return tableID{name: parts[0]}
	case n == 2:
		return tableID{schema: parts[0], name: parts[1]}
	default:
		return tableID{parts[0], parts[1], strings.Join(parts[2:], ".")}
	}
}

// quoter writes names in statements.
type quoter struct {
	mark  string
	never bool // quote.sql.identifiers
}

// name quotes a name that is known to be there.
func (q quoter) name(s string) string {
	return q.mark + strings.ReplaceAll(s, q.mark, q.mark+q.mark) + q.mark
}

// chosen quotes a name that somebody has chosen, if it is to be quoted.
func (q quoter) chosen(s string) string {
	if q.never {
		return s
	}
	return q.name(s)
}

func (q quoter) table(t tableID) string {
	s := q.chosen(t.name)
	if t.schema != "" {
		s = q.chosen(t.schema) + "." + s
	}
	if t.catalog != "" {
		s = q.chosen(t.catalog) + "." + s
	}
	return s
}

// text writes a text in a statement that both kinds of databases read alike.
func text(s string) string { return "'" + strings.ReplaceAll(s, "'", "''") + "'" }
