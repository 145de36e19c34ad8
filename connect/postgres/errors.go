package postgres

import (
	"errors"
	"fmt"
	"io"
	"net"
	"strings"
	"syscall"

	"github.com/jackc/pgx/v5/pgconn"
	"github.com/weir/weir/connect/sdk"
)

// innermost gives what an error says at its heart: those of connecting say the same at each level.
func innermost(err error) error {
	for {
		var more []error
		switch e := err.(type) {
		case interface{ Unwrap() []error }:
			more = e.Unwrap()
		case interface{ Unwrap() error }:
			more = []error{e.Unwrap()}
		}
		var number syscall.Errno
		var dns *net.DNSError
		switch {
		case len(more) == 0 || more[0] == nil:
			return err
		case errors.As(err, &dns):
			return errors.New(dns.Err)
		case errors.As(err, &number):
			return number
		}
		err = more[0]
	}
}

// explain gives an error of the server its kind, and says what to do where somebody has to do something.
func explain(o *options, err error) error {
	var e *pgconn.PgError
	if !errors.As(err, &e) {
		var n net.Error
		var c *pgconn.ConnectError
		if errors.As(err, &c) {
			return sdk.Retry(fmt.Errorf("PostgreSQL at %s:%d cannot be reached: %s. Check database.hostname and database.port, and whether it runs", o.pg.Host, o.pg.Port, innermost(c)))
		}
		if errors.As(err, &n) || errors.Is(err, io.ErrUnexpectedEOF) || errors.Is(err, io.EOF) || errors.Is(err, net.ErrClosed) {
			return sdk.Retry(fmt.Errorf("PostgreSQL at %s:%d cannot be reached: %w", o.pg.Host, o.pg.Port, err))
		}
		return err
	}
	told := e.Message
	switch {
	case e.Code == "28P01" || e.Code == "28000" && strings.Contains(told, "authentication"):
		return sdk.Misconfigured("PostgreSQL refuses user %q: %s. Check database.user and database.password", o.pg.User, told)
	case e.Code == "28000":
		return sdk.Misconfigured("PostgreSQL refuses user %q: %s. Check database.user, and pg_hba.conf for this host", o.pg.User, told)
	case e.Code == "3D000":
		return sdk.Misconfigured("there is no database %q: %s. Check database.dbname", o.database, told)
	case e.Code == "42501" && strings.Contains(told, "replication"):
		return sdk.Misconfigured("user %q may not replicate: %s. Run: ALTER ROLE %s REPLICATION", o.pg.User, told, quoteIdent(o.pg.User))
	case e.Code == "42501":
		return sdk.Misconfigured("user %q lacks a privilege: %s. Grant it, for tables by: GRANT SELECT ON ALL TABLES IN SCHEMA … TO %s", o.pg.User, told, quoteIdent(o.pg.User))
	case e.Code == "55000" && strings.Contains(told, "wal_level"):
		return sdk.Misconfigured("%s: set wal_level = logical in postgresql.conf and restart PostgreSQL", told)
	case e.Code == "55000" && strings.Contains(told, "can no longer"), e.Code == "55000" && strings.Contains(told, "cannot be acquired"), e.Code == "55000" && strings.Contains(told, "invalidated"):
		return sdk.Gone("replication slot %q cannot be used any more: %s. Drop it and reset the connector's offsets to take a new snapshot (or set snapshot.mode=when_needed)", o.slot, told)
	case e.Code == "55006":
		return sdk.Retry(fmt.Errorf("replication slot %q is used by somebody else: %s. If it is another connector, give each its own slot.name", o.slot, told))
	case e.Code == "53400":
		return sdk.Misconfigured("%s: raise max_replication_slots in postgresql.conf, or drop slots that nobody uses (see pg_replication_slots)", told)
	case e.Code == "53300":
		return sdk.Retry(fmt.Errorf("%s: raise max_wal_senders and max_connections in postgresql.conf if this lasts", told))
	case e.Code == "42704" && strings.Contains(told, "publication"):
		return sdk.Misconfigured("%s: the publication has to be there before the replication slot. Create it, drop the slot, and reset the connector's offsets", told)
	case e.Code == "42704" && strings.Contains(told, "replication slot"):
		return sdk.Gone("%s: reset the connector's offsets to take a new snapshot (or set snapshot.mode=when_needed)", told)
	case strings.HasPrefix(e.Code, "57P"), strings.HasPrefix(e.Code, "08"), strings.HasPrefix(e.Code, "53"), e.Code == "40001", e.Code == "40P01", e.Code == "55P03":
		return sdk.Retry(fmt.Errorf("PostgreSQL at %s:%d: %w", o.pg.Host, o.pg.Port, err))
	}
	return fmt.Errorf("PostgreSQL at %s:%d: %w", o.pg.Host, o.pg.Port, err)
}
