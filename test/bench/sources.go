package main

import (
	"context"
	"errors"
	"fmt"
)

// measureSnapshot reads the table twice: the first time warms a JVM up.
func measureSnapshot(ctx context.Context, s *site) (values, error) {
	rows := s.r.sizes.count(600_000)
	if err := s.orders(ctx, rows); err != nil {
		return nil, err
	}
	var v values
	for range 2 {
		name := s.name("snapshot")
		if err := s.create(ctx, name, s.source(name, "initial")); err != nil {
			return nil, err
		}
		var err error
		if v, err = s.carry(ctx, name, rows, func(ctx context.Context) (int, error) { return s.held(ctx, topicOf(name)) }); err != nil {
			return nil, err
		}
		if err := s.drop(ctx, name); err != nil {
			return nil, err
		}
	}
	return v, nil
}

// follow makes a source that reads no rows, and returns when its topic has the first change.
func (s *site) follow(ctx context.Context, what string) (name string, err error) {
	name = s.name(what)
	if err := s.create(ctx, name, s.source(name, "no_data")); err != nil {
		return "", err
	}
	if err := s.slot(ctx, name, true); err != nil {
		return "", err
	}
	_, err = s.carry(ctx, name, 1, func(ctx context.Context) (int, error) {
		if err := s.pg.run(ctx, "UPDATE orders SET qty = qty + 1 WHERE id = 1"); err != nil {
			return 0, err
		}
		return s.held(ctx, topicOf(name))
	})
	return name, err
}

// measureStream lets changes wait in the slot of a connector that is stopped, and starts it. Changes made while it runs warm a JVM up.
func measureStream(ctx context.Context, s *site) (values, error) {
	const transaction = 1000
	n := s.r.sizes.count(300_000)
	if err := s.orders(ctx, n); err != nil {
		return nil, err
	}
	name, err := s.follow(ctx, "stream")
	if err != nil {
		return nil, err
	}
	held := func(ctx context.Context) (int, error) { return s.held(ctx, topicOf(name)) }
	var v values
	for _, waits := range []bool{false, true} {
		if waits {
			if _, err := s.worker.ask(ctx, "PUT", "/connectors/"+name+"/stop", nil); err != nil {
				return nil, err
			}
			if err := s.slot(ctx, name, false); err != nil {
				return nil, err
			}
		}
		had, err := s.settled(ctx, topicOf(name))
		if err != nil {
			return nil, err
		}
		for from := 1; from <= n; from += transaction {
			if err := s.pg.run(ctx, "UPDATE orders SET qty = qty + 1, status = 'paid' WHERE id BETWEEN $1 AND $2", from, min(from+transaction-1, n)); err != nil {
				return nil, err
			}
		}
		if waits {
			if _, err := s.worker.ask(ctx, "PUT", "/connectors/"+name+"/resume", nil); err != nil {
				return nil, err
			}
		}
		if v, err = s.carry(ctx, name, n, func(ctx context.Context) (int, error) {
			n, err := held(ctx)
			return n - had, err
		}); err != nil {
			return nil, err
		}
	}
	return v, s.drop(ctx, name)
}

// settled gives how many records a topic holds, once no more come.
func (s *site) settled(ctx context.Context, topic string) (int, error) {
	last := -1
	for {
		n, err := s.held(ctx, topic)
		if err != nil || n == last {
			return n, err
		}
		last = n
		if err := wait(ctx, quietTime); err != nil {
			return 0, err
		}
	}
}

// measureLatency inserts rows one by one, and looks when they are to be seen.
func measureLatency(ctx context.Context, s *site) (values, error) {
	name, t, err := s.trickling(ctx, "latency")
	if err != nil {
		return nil, err
	}
	err = wait(ctx, s.r.sizes.trickle)
	if err = errors.Join(err, t.end(ctx)); err != nil {
		return nil, fmt.Errorf("%w: %s", err, s.status(ctx, name))
	}
	return values{"p50": t.latency(.5), "p99": t.latency(.99)}, s.drop(ctx, name)
}

// measureKill kills the worker while rows are inserted, and starts it at once.
func measureKill(ctx context.Context, s *site) (values, error) {
	name, t, err := s.trickling(ctx, "kill")
	if err != nil {
		return nil, err
	}
	defer t.stop()
	if err := wait(ctx, s.r.sizes.trickle); err != nil {
		return nil, err
	}
	if err := s.worker.kill(); err != nil {
		return nil, err
	}
	t.cut()
	if err := s.worker.start(ctx); err != nil {
		return nil, err
	}
	if err := t.end(ctx); err != nil {
		return nil, fmt.Errorf("%w: %s", err, s.status(ctx, name))
	}
	return values{"gap": t.gap.Seconds(), "again": float64(t.again)}, s.drop(ctx, name)
}

// trickling makes a source, and inserts rows.
func (s *site) trickling(ctx context.Context, what string) (name string, t *trickle, err error) {
	if err := s.orders(ctx, 1000); err != nil {
		return "", nil, err
	}
	if name, err = s.follow(ctx, what); err != nil {
		return "", nil, err
	}
	t, err = newTrickle(ctx, s.pg, s.node.bootstrap()[0], topicOf(name))
	return name, t, err
}
