package sql

import (
	"context"
	"time"

	"github.com/weir/weir/connect/sdk"
)

// form is how values are written for one kind of database.
type form interface {
	// columnType is the type of a column that is made for values of a schema.
	columnType(s *sdk.Schema, key bool) (string, error)
	// writer writes values of a schema for a column of a type.
	writer(s *sdk.Schema, typ string) (writer, error)
}

// statements are the texts of statements for a layout.
type statements struct{ before, after string }

// sinkSession is a connection that rows are written by.
type sinkSession interface {
	form() form
	framing() *framing
	quoter() quoter
	// most is how many bytes of rows fit in a statement.
	most() int
	// describe looks at a table; nil: there is none.
	describe(ctx context.Context, id tableID) (*table, error)
	exec(ctx context.Context, sql string) error
	// write does what segments say, all or nothing; within a transaction that was begun by exec, if within.
	write(ctx context.Context, segments []*segment, mode string, within bool) error
	close()
}

// connect opens a session.
func (t *target) connect(ctx context.Context, zone, dates *time.Location, never bool) (sinkSession, error) {
	if t.postgres {
		return connectPostgres(ctx, t, zone, dates, never)
	}
	return connectMySQL(ctx, t, zone, dates, never)
}
