package runtime

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"runtime/debug"
	"sync"
	"sync/atomic"
	"time"

	"github.com/weir/weir/connect/sdk"
)

// Task is a task that was started. It goes on until it is stopped, over failures.
type Task struct {
	r       *Runtime
	spec    Spec
	ctx     context.Context // ends when it is asked to stop
	cancel  context.CancelFunc
	done    chan struct{}
	givenUp atomic.Bool // nobody waits for it any more: it must not keep anything

	mu      sync.Mutex
	paused  bool
	changed chan struct{} // closed when paused changes

	meter meter
}

// Start starts a task. It does not wait.
func (r *Runtime) Start(spec Spec) *Task {
	t := &Task{r: r, spec: spec, done: make(chan struct{}), changed: make(chan struct{})}
	t.ctx, t.cancel = context.WithCancel(context.Background())
	go t.live()
	return t
}

// Pause lets the task do nothing until it is resumed.
func (t *Task) Pause() { t.setPaused(true) }

// Resume ends a pause.
func (t *Task) Resume() { t.setPaused(false) }

func (t *Task) setPaused(p bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.paused != p {
		t.paused = p
		close(t.changed)
		t.changed = make(chan struct{})
	}
}

// pausing tells whether the task shall pause, and gives a channel that closes when that changes.
func (t *Task) pausing() (bool, <-chan struct{}) {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.paused, t.changed
}

// Stop ends the task with all that it has done kept. If it has not ended when ctx does, it is given up: it keeps nothing from then on.
func (t *Task) Stop(ctx context.Context) {
	t.cancel()
	select {
	case <-t.done:
	case <-ctx.Done():
		t.givenUp.Store(true)
		t.spec.Logger.Error("a task does not end in time and is given up; it keeps no offsets any more", "task", t.spec.name())
	}
}

// Details tells how the task fares.
func (t *Task) Details() Details { return t.meter.details(time.Now()) }

// errPaused ends a run of a task that is to pause: a pause is a stop and a start.
var errPaused = errors.New("the task pauses")

// live runs the task, and again after it failed or paused.
func (t *Task) live() {
	defer close(t.done)
	for failures := 0; t.ctx.Err() == nil; {
		if paused, changed := t.pausing(); paused {
			t.spec.Status(Status{State: Paused})
			select {
			case <-changed:
			case <-t.ctx.Done():
			}
			continue
		}
		begun := time.Now()
		err := t.run()
		if t.ctx.Err() != nil || errors.Is(err, errPaused) {
			if err != nil && !errors.Is(err, errPaused) && !errors.Is(err, context.Canceled) {
				t.spec.Logger.Warn("a task did not end well", "task", t.spec.name(), "error", err)
			}
			continue
		}
		cause := sdk.CauseOf(err)
		if time.Since(begun) > backoffMost {
			failures = 0
		}
		failures++
		wait := retryAfter(cause, failures)
		t.meter.failed(cause)
		t.spec.Logger.Error("a task failed; it is started again by itself", "task", t.spec.name(), "cause", string(cause), "in", wait.String(), "error", err)
		t.spec.Status(Status{State: Failed, Trace: err.Error(), Cause: cause})
		_, changed := t.pausing()
		select {
		case <-time.After(wait):
		case <-changed:
		case <-t.ctx.Done():
		}
	}
}

const backoffMost = time.Minute

// retryAfter is how long it takes until a failed task is started again.
func retryAfter(cause sdk.Cause, failures int) time.Duration {
	switch cause {
	case sdk.Configuration, sdk.Lost:
		return 5 * backoffMost // somebody has to do something first
	case sdk.Poison:
		return backoffMost
	}
	return min(time.Second<<min(failures-1, 10), backoffMost)
}

// run runs the task once, until it fails, pauses or is stopped.
func (t *Task) run() (err error) {
	defer func() {
		if p := recover(); p != nil {
			t.spec.Logger.Error("a connector panicked", "task", t.spec.name(), "panic", fmt.Sprint(p), "stack", string(debug.Stack()))
			err = fmt.Errorf("the connector has a mistake, please report it: %v", p)
		}
	}()
	config, err := t.r.Resolve(t.spec.Config)
	if err != nil {
		return sdk.Misconfigured("%w", err)
	}
	values, wrong := sdk.Parse(t.spec.Type.Options(), config)
	if len(wrong) > 0 {
		return sdk.Misconfigured("%w", wrong[0].Err)
	}
	ctx, cancel := context.WithCancel(t.ctx)
	defer cancel()
	if paused, changed := t.pausing(); !paused {
		go func() { // a pause ends the run
			select {
			case <-changed:
				cancel()
			case <-ctx.Done():
			}
		}()
	}
	switch c := t.spec.Type.(type) {
	case sdk.Source:
		err = t.runSource(ctx, c, config, values)
	case sdk.Sink:
		err = t.runSink(ctx, c, config, values)
	default:
		err = fmt.Errorf("BUG: %T is neither source nor sink", c)
	}
	if paused, _ := t.pausing(); paused && ctx.Err() != nil && (err == nil || errors.Is(err, context.Canceled)) {
		return errPaused
	}
	return err
}

// taskContext is what a task is given of the runtime.
type taskContext struct{ t *Task }

func (c taskContext) Logger() *slog.Logger { return c.t.spec.Logger }
func (c taskContext) Connector() string    { return c.t.spec.Connector }
func (c taskContext) Task() int            { return c.t.spec.Task }

// patience waits longer after each attempt in vain, from 100 ms up to most.
type patience struct {
	next time.Duration
	most time.Duration
}

func (p *patience) step() time.Duration {
	p.next = min(max(2*p.next, 100*time.Millisecond), p.most)
	return p.next
}

func (p *patience) wait(ctx context.Context) error {
	timer := time.NewTimer(p.step())
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}
