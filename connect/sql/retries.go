package sql

import (
	"errors"
	"time"

	"github.com/weir/weir/connect/sdk"
)

// retries say how often a task is tried again, where somebody has configured that; else it is up to the runtime.
type retries struct{ connecting, other limit }

type limit struct {
	most int           // < 0: for ever
	wait time.Duration // before each; < 0: as the runtime thinks fit
}

// retriesOf reads the options about connections, and those of the names given about everything else. "": there is none.
func retriesOf(v sdk.Values, most, wait string) retries {
	r := retries{limit{-1, -1}, limit{-1, -1}}
	if v.Has("connection.attempts") {
		r.connecting.most = int(v.Int("connection.attempts")) - 1
	}
	if v.Has("connection.backoff.ms") {
		r.connecting.wait = v.Milliseconds("connection.backoff.ms")
	}
	if v.Has(most) {
		r.other.most = int(v.Int(most))
	}
	if v.Has(wait) {
		r.other.wait = v.Milliseconds(wait)
	}
	return r
}

// unconnected is an error of a connection that does not come about.
type unconnected struct{ error }

func (u *unconnected) Unwrap() error { return u.error }

// after gives the limit for an error.
func (r retries) after(err error) (most int, wait time.Duration) {
	var u *unconnected
	if errors.As(err, &u) {
		return r.connecting.most, r.connecting.wait
	}
	return r.other.most, r.other.wait
}
