package postgres

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/weir/weir/connect/sdk"
)

// Connectors gives the package's connectors.
func Connectors() []sdk.Connector { return []sdk.Connector{source{}} }

// source is the connector.
type source struct{}

func (source) Info() sdk.Info {
	return sdk.Info{Class: "io.debezium.connector.postgresql.PostgresConnector", Aliases: []string{"PostgresConnector", "PostgresCdcSource"}, Version: version,
		Doc: "Captures the changes of a PostgreSQL database: a snapshot of its tables, then every insert, update, delete and truncate as it is committed."}
}

func (source) Options() []sdk.Option { return optionTable() }

func (source) NewTask() sdk.SourceTask { return &task{} }

// HasOption tells of options whose names are only known by their form.
func (source) HasOption(name string) bool {
	return maskOption().MatchString(name) || truncateOption().MatchString(name) || hashOption().MatchString(name) || strings.HasPrefix(name, "snapshot.select.statement.overrides.")
}

// Validate checks the options together and, if they are right, whether the database lets them.
func (source) Validate(ctx context.Context, v sdk.Values) []sdk.OptionError {
	o, wrong := parseOptions(v)
	if len(wrong) > 0 {
		return wrong
	}
	at := func(option string, err error) []sdk.OptionError {
		return []sdk.OptionError{{Option: option, Err: fmt.Errorf("Error while validating connector config: %w", err)}}
	}
	ctx, cancel := context.WithTimeout(ctx, o.validateIn)
	defer cancel()
	w, err := dial(ctx, o.pg)
	if err != nil {
		return at("database.hostname", explain(o, err))
	}
	defer w.close()
	rows, err := w.query(ctx, `SELECT current_setting('wal_level'), rolsuper OR rolreplication OR pg_catalog.pg_has_role(current_user, oid, 'MEMBER') AND rolreplication,
 (SELECT count(*) FROM pg_catalog.pg_roles r WHERE r.rolname = 'rds_replication' AND pg_catalog.pg_has_role(current_user, r.oid, 'MEMBER'))
 FROM pg_catalog.pg_roles WHERE rolname = current_user`)
	switch {
	case err != nil:
		return at("database.hostname", err)
	case len(rows) == 0:
	case rows[0][0] != "logical" && o.snapshotMode != "initial_only":
		return at("database.hostname", fmt.Errorf("wal_level is %s, but changes can only be read with logical: set wal_level = logical in postgresql.conf and restart PostgreSQL", rows[0][0]))
	case rows[0][1] != "t" && rows[0][2] == "0":
		return at("database.user", fmt.Errorf("user %q may not replicate: run ALTER ROLE %s REPLICATION", o.pg.User, quoteIdent(o.pg.User)))
	}
	return nil
}

// CheckPositions refuses offsets that are none of this connector's.
func (source) CheckPositions(v sdk.Values, positions []sdk.Position) error {
	for _, p := range positions {
		if len(p.Partition) != 1 || p.Partition["server"] != v.String("topic.prefix") {
			return fmt.Errorf(`the partition must be {"server": %q}, the connector's topic.prefix`, v.String("topic.prefix"))
		}
		if p.Offset == nil {
			continue
		}
		if n, ok := sdk.Int64Of(p.Offset, "lsn"); !ok || n <= 0 {
			return errors.New("the offset must have lsn, a whole number")
		}
	}
	return nil
}

func values(list ...string) func(sdk.Values) []string {
	return func(sdk.Values) []string { return list }
}

// checkQueue and checkInterval refuse what Debezium refuses, though neither does anything here.
func checkQueue(v sdk.Values, value any) error {
	if n, _ := value.(int64); n <= v.Int("max.batch.size") {
		return errors.New("The 'max.queue.size' value is invalid: Must be larger than the maximum batch size")
	}
	return nil
}

func checkInterval(_ sdk.Values, value any) error {
	if n, _ := value.(int64); n <= 0 {
		return errors.New("The 'poll.interval.ms' value is invalid: A positive, non-zero integer value is expected")
	}
	return nil
}

// oneOf checks that an option has one of some values, in the words that Debezium has for it.
func oneOf(name string, list ...string) func(sdk.Values, any) error {
	return func(_ sdk.Values, value any) error {
		s, _ := value.(string)
		if slices.ContainsFunc(list, func(v string) bool { return strings.EqualFold(v, s) }) || name == "snapshot.mode" && strings.EqualFold(s, "never") {
			return nil
		}
		return fmt.Errorf("The '%s' value is invalid: Value must be one of %s", name, strings.Join(list, ", "))
	}
}
