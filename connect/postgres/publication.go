package postgres

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/weir/weir/connect/sdk"
)

// publish makes the publication, or adds and removes tables, as publication.autocreate.mode says.
func (t *task) publish(ctx context.Context, w *wire) error {
	name := t.o.publication
	rows, err := w.query(ctx, "SELECT puballtables FROM pg_catalog.pg_publication WHERE pubname = "+quoteText(name))
	if err != nil {
		return err
	}
	there := len(rows) > 0
	with := ""
	if t.o.viaRoot {
		with = " WITH (publish_via_partition_root = true)"
	}
	var sql string
	switch {
	case there && t.o.autocreate != "filtered":
		return nil
	case there && rows[0][0] == "t":
		return sdk.Misconfigured("publication %q is for all tables and cannot be changed to some: drop it, or set publication.autocreate.mode=all_tables", name)
	case t.o.autocreate == "disabled":
		return sdk.Misconfigured("there is no publication %q and publication.autocreate.mode=disabled: run CREATE PUBLICATION %s FOR TABLE …", name, quoteIdent(name))
	case t.o.autocreate == "all_tables":
		sql = fmt.Sprintf("CREATE PUBLICATION %s FOR ALL TABLES%s", quoteIdent(name), with)
	case t.o.autocreate == "no_tables":
		sql = fmt.Sprintf("CREATE PUBLICATION %s%s", quoteIdent(name), with)
	default:
		tables, err := t.capturedTables(ctx, w)
		if err != nil {
			return err
		}
		var list []string
		for _, tb := range tables {
			list = append(list, tb.quoted())
		}
		if len(list) == 0 {
			return sdk.Misconfigured("no table matches the filters, so there is nothing to publish: check table.include.list and schema.include.list")
		}
		if there {
			same, err := t.publishes(ctx, w, tables)
			if err != nil || same {
				return err
			}
			sql = fmt.Sprintf("ALTER PUBLICATION %s SET TABLE %s", quoteIdent(name), strings.Join(list, ", "))
		} else {
			sql = fmt.Sprintf("CREATE PUBLICATION %s FOR TABLE %s%s", quoteIdent(name), strings.Join(list, ", "), with)
		}
	}
	t.log.Info("publishing", "statement", sql)
	if _, err := w.query(ctx, sql); err != nil {
		return sdk.Misconfigured("cannot make publication %q: %w. Somebody with the right to has to run: %s", name, err, sql)
	}
	return nil
}

// publishes tells whether the publication has just these tables.
func (t *task) publishes(ctx context.Context, w *wire, tables []tableName) (bool, error) {
	rows, err := w.query(ctx, "SELECT schemaname, tablename FROM pg_catalog.pg_publication_tables WHERE pubname = "+quoteText(t.o.publication))
	if err != nil {
		return false, err
	}
	var have, want []string
	for _, r := range rows {
		have = append(have, r[0]+"."+r[1])
	}
	for _, tb := range tables {
		want = append(want, tb.String())
	}
	slices.Sort(have)
	slices.Sort(want)
	return slices.Equal(have, want), nil
}

// capturedTables gives the tables whose changes become records or are signals.
func (t *task) capturedTables(ctx context.Context, w *wire) ([]tableName, error) {
	all, err := listTables(ctx, w)
	if err != nil {
		return nil, err
	}
	return slices.DeleteFunc(all, func(tb tableName) bool {
		switch {
		case tb.String() == t.o.signalTable:
			return false
		case tb.partition && t.o.viaRoot:
			return true
		}
		return !t.o.captures(tb)
	}), nil
}

// identify sets replica identities as replica.identity.autoset.values says.
func (t *task) identify(ctx context.Context, w *wire) error {
	if len(t.o.identities) == 0 {
		return nil
	}
	tables, err := t.capturedTables(ctx, w)
	if err != nil {
		return err
	}
	for _, tb := range tables {
		for _, rule := range t.o.identities {
			if !rule.tables.MatchString(tb.String()) {
				continue
			}
			rows, err := w.query(ctx, fmt.Sprintf("SELECT relreplident FROM pg_catalog.pg_class WHERE oid = %d", tb.oid))
			if err != nil {
				return err
			}
			letter := map[string]string{"FULL": "f", "DEFAULT": "d", "NOTHING": "n"}[rule.clause]
			if len(rows) == 0 || rows[0][0] == letter {
				break
			}
			if _, err := w.query(ctx, fmt.Sprintf("ALTER TABLE %s REPLICA IDENTITY %s", tb.quoted(), rule.clause)); err != nil {
				return sdk.Misconfigured("cannot set the replica identity of table %s: %w", tb, err)
			}
			break
		}
	}
	return nil
}
