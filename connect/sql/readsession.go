package sql

import (
	"context"
	"time"
)

// readSession is a connection that rows are read by. It has one answer open at a time.
type readSession interface {
	quoter() quoter
	// tables lists the tables of which the filters may choose.
	tables(ctx context.Context, f *filter) ([]tableID, error)
	// now gives the server's time.
	now(ctx context.Context) (time.Time, error)
	// stamp writes a point in time to compare with a column of a table's, or, if id is nil, of a query's.
	stamp(ctx context.Context, t time.Time, zone *time.Location, id *tableID, column string) (string, error)
	// counting finds the column that the server numbers rows with; "": there is none.
	counting(ctx context.Context, id tableID) (string, error)
	// query asks for rows.
	query(ctx context.Context, sql string) (answer, error)
	close()
}

// answer is rows on their way.
type answer interface {
	columns() []readColumn
	next() bool
	// row gives the values of a row, until next; nil is null.
	row() [][]byte
	// close ends it, and tells whether it was whole if next gave false.
	close() error
}

// open opens a session.
func (t *target) open(ctx context.Context) (readSession, error) {
	if t.postgres {
		return openPostgres(ctx, t)
	}
	return openMySQL(ctx, t)
}
