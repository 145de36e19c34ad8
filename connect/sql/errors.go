package sql

import (
	"context"
	"database/sql/driver"
	"errors"
	"fmt"
	"io"
	"net"
	"slices"
	"strings"

	"github.com/go-sql-driver/mysql"
	"github.com/jackc/pgx/v5/pgconn"

	"github.com/weir/weir/connect/sdk"
)

// isRecords tells whether an error is about the values of rows, so that other rows may be taken.
func isRecords(err error) bool {
	var p *pgconn.PgError
	if errors.As(err, &p) {
		class := p.Code[:min(2, len(p.Code))]
		return class == "22" || class == "23" || class == "21" || class == "44" || class == "54" || class == "P0" || p.Code == "42804" || p.Code == "428C9"
	}
	var m *mysql.MySQLError
	if errors.As(err, &m) {
		class := string(m.SQLState[:2])
		return class == "22" || class == "23" || class == "45" || slices.Contains(mysqlRecordErrors, m.Number)
	}
	return errors.Is(err, mysql.ErrPktTooLarge)
}

// mysqlRecordErrors are errors about values that have no class of their own.
var mysqlRecordErrors = []uint16{1048, 1062, 1118, 1153, 1264, 1265, 1292, 1364, 1366, 1390, 1406, 1411, 1416, 1451, 1452, 1526, 1690, 3140, 3141, 3156, 3819, 4025, 4038, 4078}

// isStructure tells whether an error may come from a table that has changed since it was looked at.
func isStructure(err error) bool {
	var p *pgconn.PgError
	if errors.As(err, &p) {
		return p.Code == "42P01" || p.Code == "42703" || p.Code == "0A000" || p.Code == "42804" || p.Code == "42P16"
	}
	var m *mysql.MySQLError
	return errors.As(err, &m) && (m.Number == 1146 || m.Number == 1054 || m.Number == 1136)
}

// explain gives an error of the server its kind, and says what to do where somebody has to do something.
func (t *target) explain(err error) error {
	if err == nil || sdk.CauseOf(err) != sdk.Unknown {
		return err
	}
	var p *pgconn.PgError
	var m *mysql.MySQLError
	switch {
	case errors.As(err, &p):
		return t.explainPostgres(p, err)
	case errors.As(err, &m):
		return t.explainMySQL(m)
	}
	var n net.Error
	var c *pgconn.ConnectError
	switch {
	case errors.Is(err, context.Canceled):
		return err
	case errors.As(err, &c), errors.As(err, &n), errors.Is(err, io.ErrUnexpectedEOF), errors.Is(err, io.EOF), errors.Is(err, net.ErrClosed),
		errors.Is(err, mysql.ErrInvalidConn), errors.Is(err, driver.ErrBadConn), errors.Is(err, context.DeadlineExceeded), strings.Contains(err.Error(), "conn closed"):
		return sdk.Retry(fmt.Errorf("%s cannot be reached: %w", t.where(), err))
	}
	return fmt.Errorf("%s: %w", t.where(), err)
}

func (t *target) explainPostgres(e *pgconn.PgError, err error) error {
	told := e.Message
	switch {
	case e.Code == "28P01", e.Code == "28000":
		return sdk.Misconfigured("PostgreSQL refuses user %q: %s. Check connection.user and connection.password, and pg_hba.conf for this host", t.user, told)
	case e.Code == "3D000":
		return sdk.Misconfigured("there is no database %q: %s. Check connection.url", t.database, told)
	case e.Code == "42501":
		return sdk.Misconfigured("user %q lacks a privilege: %s. Grant it", t.user, told)
	case e.Code == "42P10":
		return sdk.Misconfigured("%s: insert.mode=upsert needs a table whose primary key, or a unique constraint, has just the columns of the records' key. Add it, or set pk.fields", told)
	case e.Code == "42P01", e.Code == "42703", e.Code == "3F000", e.Code == "42601", e.Code == "42602", e.Code == "0A000", e.Code == "42883":
		return sdk.Misconfigured("%s refuses a statement: %s. Check the names of tables and columns, and the query", t.where(), told)
	case strings.HasPrefix(e.Code, "57"), strings.HasPrefix(e.Code, "08"), strings.HasPrefix(e.Code, "53"), strings.HasPrefix(e.Code, "58"), strings.HasPrefix(e.Code, "40"), e.Code == "55P03", e.Code == "25006":
		return sdk.Retry(fmt.Errorf("%s: %w", t.where(), err))
	}
	return fmt.Errorf("%s: %w", t.where(), err)
}

func (t *target) explainMySQL(e *mysql.MySQLError) error {
	switch e.Number {
	case 1045, 1698, 1251, 1862:
		return sdk.Misconfigured("MySQL refuses user %q: %s. Check connection.user and connection.password", t.user, e.Message)
	case 1049, 1046:
		return sdk.Misconfigured("there is no database %q: %s. Check connection.url", t.database, e.Message)
	case 1044, 1142, 1143, 1227:
		return sdk.Misconfigured("user %q lacks a privilege: %s. Grant it", t.user, e.Message)
	case 1146, 1054, 1064, 1109, 1305:
		return sdk.Misconfigured("%s refuses a statement: %s. Check the names of tables and columns, and the query", t.where(), e.Message)
	case 1040, 1053, 1129, 1158, 1159, 1160, 1161, 1203, 1205, 1213, 1226, 1290, 1836, 1927, 2006, 2013, 3024, 3058, 4031:
		return sdk.Retry(fmt.Errorf("%s: %w", t.where(), e))
	}
	return fmt.Errorf("%s: %w", t.where(), e)
}

// said gives what the server says about a row.
func said(err error) string {
	var p *pgconn.PgError
	if errors.As(err, &p) {
		s := p.Message
		if p.Detail != "" {
			s += ": " + p.Detail
		}
		if p.ColumnName != "" {
			s += " (column " + p.ColumnName + ")"
		}
		return s
	}
	return err.Error()
}
