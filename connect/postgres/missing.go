package postgres

import (
	"context"
	"fmt"
	"regexp"
	"slices"
	"strings"
)

// findMissing looks for patterns of table.include.list that no table matches yet. That may be a mistake, and may be
// meant, so it is told and is no error.
func (t *task) findMissing(ctx context.Context, w *wire) error {
	all, err := listTables(ctx, w)
	if err != nil {
		return err
	}
	t.missing = slices.Clone(t.o.tableInclude)
	for _, tb := range all {
		t.meets(tb)
	}
	t.tellMissing()
	return nil
}

// met takes note of a table that is there.
func (t *task) met(tb tableName) {
	if before := len(t.missing); before > 0 {
		if t.meets(tb); len(t.missing) < before {
			t.tellMissing()
		}
	}
}

func (t *task) meets(tb tableName) {
	t.missing = slices.DeleteFunc(t.missing, func(p *regexp.Regexp) bool { return p.MatchString(tb.String()) })
}

func (t *task) tellMissing() {
	if len(t.missing) == 0 {
		t.note("")
		return
	}
	var list []string
	for _, p := range t.missing {
		list = append(list, strings.TrimSuffix(strings.TrimPrefix(p.String(), patternBegin), patternEnd))
	}
	text := fmt.Sprintf("no table in database %q matches %s: create it, which is noticed, or correct table.include.list, whose names are as public.orders", t.o.database, strings.Join(list, ", "))
	t.log.Warn(text)
	t.note(text)
}
