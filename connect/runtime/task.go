package runtime

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"runtime/debug"
	"strings"
	"sync"
	"time"

	"github.com/weir/weir/connect/sdk"
)

// Task is a task that was started. It goes on until it is stopped, over failures.
type Task struct {
	r       *Runtime
	spec    Spec
	ctx     context.Context // ends when it is asked to stop
	cancel  context.CancelFunc
	waited  context.Context // ends when nobody waits for it any more
	abandon context.CancelFunc
	done    chan struct{}

	mu      sync.Mutex
	paused  bool
	changed chan struct{} // closed when paused changes

	tooLarge map[string]bool // topics that take smaller batches only

	telling sync.Mutex
	told    Status
	meter   meter
}

// Start starts a task. It does not wait.
func (r *Runtime) Start(spec Spec) *Task {
	t := &Task{r: r, spec: spec, tooLarge: map[string]bool{}, done: make(chan struct{}), changed: make(chan struct{})}
	if t.spec.Logger == nil {
		t.spec.Logger = r.cfg.Logger
	}
	t.meter.behind.Store(-1)
	t.ctx, t.cancel = context.WithCancel(context.Background())
	t.waited, t.abandon = context.WithCancel(context.Background())
	go t.live()
	return t
}

// Pause lets the task do nothing until it is resumed. It ends the run, and Resume begins another one, so that nothing is held meanwhile.
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

// Stop ends the task with all that it has done kept. If it has not ended when ctx does, it is abandoned: whatever the connector does then,
// it can send and keep nothing any more.
func (t *Task) Stop(ctx context.Context) {
	t.cancel()
	select {
	case <-t.done:
	case <-ctx.Done():
		t.abandon()
		<-t.done
	}
}

// Details tells how the task fares.
func (t *Task) Details() Details { return t.meter.details(time.Now()) }

// tell tells a status if it is news.
func (t *Task) tell(s Status) {
	t.telling.Lock()
	defer t.telling.Unlock()
	if s != t.told && t.waited.Err() == nil {
		t.told = s
		t.spec.Status(s)
	}
}

// live runs the task, and again after it failed or paused.
func (t *Task) live() {
	defer close(t.done)
	for failures := 0; t.ctx.Err() == nil; {
		paused, changed := t.pausing()
		if paused {
			t.tell(Status{State: Paused})
			select {
			case <-changed:
			case <-t.ctx.Done():
			}
			continue
		}
		begun := time.Now()
		err := t.runOnce(changed)
		if err != nil && t.ctx.Err() != nil {
			t.spec.Logger.Warn("a task did not end well", "task", t.spec.name(), "error", err)
			continue
		}
		var small *tooLarge
		if errors.As(err, &small) {
			t.tooLarge[small.topic] = true
			continue
		}
		if err == nil {
			continue
		}
		if time.Since(begun) > backoffMost {
			failures = 0
		}
		failures++
		cause := causeOf(err)
		wait := t.r.retryAfter(cause, failures)
		t.meter.failures.Add(1)
		t.meter.failed(cause)
		t.meter.rests()
		t.spec.Logger.Error("a task failed; it starts again by itself", "task", t.spec.name(), "cause", string(cause), "in", wait.String(), "error", err)
		t.tell(Status{State: Failed, Trace: err.Error(), Cause: cause})
		select {
		case <-time.After(wait):
		case <-changed:
		case <-t.ctx.Done():
		}
	}
}

const backoffMost = time.Minute

// retryAfter is how long it takes until a failed task starts again.
func retryAfter(cause sdk.Cause, failures int) time.Duration {
	switch cause {
	case sdk.Configuration, sdk.Lost:
		return 5 * time.Minute // somebody has to do something first
	case sdk.Poison:
		return backoff(failures, 10*time.Second, 5*time.Minute)
	}
	return backoff(failures, time.Second, backoffMost)
}

// runOnce runs the task until it fails, which is what it gives, or is to stop or to pause. changed closes when it is to pause.
func (t *Task) runOnce(changed <-chan struct{}) error {
	r := newRun(t)
	defer r.cut(nil)
	ended := make(chan error, 1)
	go func() { ended <- r.guard(r.work) }()
	select {
	case err := <-ended:
		return r.outcome(err)
	case <-changed:
	case <-t.ctx.Done():
	case <-r.failed.Done():
	}
	r.end()
	grace := time.NewTimer(t.r.cfg.Grace)
	defer grace.Stop()
	late := grace.C
	if t.ctx.Err() != nil {
		late = nil // then Stop says how long
	}
	select {
	case err := <-ended:
		return r.outcome(err)
	case <-late:
	case <-t.waited.Done():
	case <-t.ctx.Done(): // it was to pause or failed, and now is to stop
		select {
		case err := <-ended:
			return r.outcome(err)
		case <-t.waited.Done():
		}
	}
	err := errors.New("the connector does not end when it has to; it is left alone, and can keep nothing any more")
	t.spec.Logger.Error("a task is given up", "task", t.spec.name(), "error", err)
	return r.outcome(err)
}

// run is one run of a task.
type run struct {
	t      *Task
	logger *slog.Logger
	config map[string]string // resolved
	common sdk.Values        // of settings
	values sdk.Values        // of the connector's options

	told    sync.Mutex // a run that is given up at once may still learn of secrets
	secrets []string

	noting  sync.Mutex
	note    string // of the connector, for people, while all is well
	well    bool
	trouble string // that was told

	// Contexts, from the first to end to the last. ctx ends when the run is to end; soft when what is under way then has to be given up;
	// hard when the run is over or cut off: then nothing may be sent or kept.
	ctx, soft, hard context.Context
	end             context.CancelFunc
	cut             context.CancelCauseFunc
	failed          context.Context // ends, with the cause, when something fails that the connector's own goroutine does not see
	fail            context.CancelCauseFunc
}

func newRun(t *Task) *run {
	r := &run{t: t, logger: t.spec.Logger}
	r.hard, r.cut = context.WithCancelCause(context.Background())
	r.failed, r.fail = context.WithCancelCause(r.hard)
	r.ctx, r.end = context.WithCancel(r.failed)
	soft, giveUp := context.WithCancel(r.hard)
	r.soft = soft
	context.AfterFunc(r.ctx, func() { // what is under way gets half of the time there is, and keeping it the rest
		timer := time.AfterFunc(t.r.cfg.Grace/2, giveUp)
		context.AfterFunc(r.hard, func() { timer.Stop() })
	})
	return r
}

// guard makes an error of a panic: a mistake in a connector is the connector's failure.
func (r *run) guard(f func() error) (err error) {
	defer func() {
		if p := recover(); p != nil {
			r.logger.Error("a connector panicked", "task", r.t.spec.name(), "panic", r.mask(fmt.Sprint(p)), "stack", string(debug.Stack()))
			err = fmt.Errorf("the connector has a mistake, please report it: panic: %v", p)
		}
	}()
	return f()
}

// outcome gives the failure of a run that has ended with err; nil: it has ended because it had to.
func (r *run) outcome(err error) error {
	if cause := context.Cause(r.failed); r.failed.Err() != nil && r.hard.Err() == nil {
		err = cause // that is why it has ended
	} else if r.ctx.Err() != nil {
		if err != nil && !errors.Is(err, context.Canceled) {
			r.logger.Warn("a task did not end well", "task", r.t.spec.name(), "error", r.mask(err.Error()))
		}
		return nil
	}
	if err == nil {
		panic("BUG: a run has ended for no reason")
	}
	return &masked{r.mask(err.Error()), err}
}

// masked is an error whose text has no secrets.
type masked struct {
	text string
	err  error
}

func (m *masked) Error() string { return m.text }
func (m *masked) Unwrap() error { return m.err }

// mask hides the values of options that nobody may see.
func (r *run) mask(text string) string {
	r.told.Lock()
	defer r.told.Unlock()
	for _, s := range r.secrets {
		text = strings.ReplaceAll(text, s, "[hidden]")
	}
	return text
}

// shortestSecret is how long a value has to be to be hidden: the letters of a shorter one are everywhere.
const shortestSecret = 3

func (r *run) hide(secret string) {
	r.told.Lock()
	defer r.told.Unlock()
	if len(secret) >= shortestSecret {
		r.secrets = append(r.secrets, secret)
	}
}

// work is a run, in the goroutine that calls the connector.
func (r *run) work() (err error) {
	var looked []string
	r.config, looked, err = r.t.r.providers.look(r.t.spec.Config)
	if err != nil {
		return err
	}
	for _, v := range looked {
		r.hide(v)
	}
	preset(r.t.spec.Type, r.config)
	r.config[sdk.FileRoot] = r.t.r.cfg.Options[sdk.FileRoot]
	options := r.t.spec.Type.Options()
	for i := range options {
		if options[i].Kind == sdk.PasswordOption {
			r.hide(r.config[options[i].Name])
		}
	}
	if r.values, err = parse(options, r.config); err != nil {
		return err
	}
	if r.common, err = parse(settings, r.config); err != nil {
		return err
	}
	switch c := r.t.spec.Type.(type) {
	case sdk.Source:
		return r.source(c)
	case sdk.Sink:
		return r.sink(c)
	}
	panic(fmt.Sprintf("BUG: %T is neither source nor sink", r.t.spec.Type))
}

// troubled tells that something is wrong that passes, and that it is tried again. Told only after a while, as most such things are over
// soon, and again when it becomes something else.
func (r *run) troubled(tries int, err error) {
	r.t.meter.retries.Add(1)
	r.t.meter.failed(sdk.Transient)
	text := r.mask(err.Error())
	r.logger.Warn("a task tries again", "task", r.t.spec.name(), "tries", tries, "error", text)
	if tries < troubleAfter {
		return
	}
	r.noting.Lock()
	defer r.noting.Unlock()
	if r.well || r.trouble != text {
		r.well, r.trouble = false, text
		r.t.tell(Status{State: Running, Trace: text, Cause: sdk.Transient})
	}
}

const troubleAfter = 3

// nextTry tells of an error that passes and gives how long to wait until it is tried again; an error: it is not, as the task's options say.
func (r *run) nextTry(task any, tries int, err error) (time.Duration, error) {
	wait := backoff(tries, retrySoon, retryLate)
	if t, ok := task.(sdk.Retrying); ok {
		most, each := t.Retries(err)
		if most >= 0 && tries > most {
			return 0, fmt.Errorf("it was tried %d times, as the options say: %w", tries, err)
		}
		if each >= 0 {
			wait = each
		}
	}
	r.troubled(tries, err)
	return wait, nil
}

// fine takes back troubled.
func (r *run) fine() {
	r.noting.Lock()
	defer r.noting.Unlock()
	r.well = true
	r.t.tell(Status{State: Running, Trace: r.note})
}

// Note implements sdk.Noting.
func (c taskContext) Note(text string) {
	c.r.noting.Lock()
	defer c.r.noting.Unlock()
	if c.r.note = c.r.mask(text); c.r.well {
		c.r.t.tell(Status{State: Running, Trace: c.r.note})
	}
}

// Mask implements sdk.Masking.
func (c taskContext) Mask(text string) string { return c.r.mask(text) }

// sleep waits between two tries. The error says that the run is to end.
func (r *run) sleep(d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-r.ctx.Done():
		return r.ctx.Err()
	}
}

// How long it takes until something is tried again that passes.
const (
	retrySoon = 100 * time.Millisecond
	retryLate = 10 * time.Second
)

// taskContext is what a task is given of the runtime.
type taskContext struct{ r *run }

func (c taskContext) Logger() *slog.Logger { return c.r.logger }
func (c taskContext) Connector() string    { return c.r.t.spec.Connector }
func (c taskContext) Task() int            { return c.r.t.spec.Task }
