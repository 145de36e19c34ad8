package connect

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"time"

	"github.com/weir/weir/connect/herder"
	"github.com/weir/weir/connect/sdk"
)

// slot is a connector or task that this worker runs. One goroutine at a time brings what it has to what is wanted, and there is none as
// long as both are the same; so nothing that one connector does holds up another.
type slot struct {
	id   herder.ID
	want wanted
	have wanted
	busy bool
	run  int // counts what was started, so that late news of the one before are known as such

	task     task               // of tasks: what runs; nil: nothing
	unwatch  context.CancelFunc // of connectors: ends Watch
	failures int                // in a row
	failed   bool
	retry    *time.Timer
}

// wanted is what a slot shall run.
type wanted struct {
	on       bool
	version  int64             // of a connector's config
	config   map[string]string // of a task: its own
	target   herder.Target
	restarts int // how often it was asked to begin anew
	looks    int // how often a connector was asked to divide its work anew
}

func (a wanted) same(b wanted) bool {
	return a.on == b.on && a.version == b.version && a.target == b.target && a.restarts == b.restarts && a.looks == b.looks && maps.Equal(a.config, b.config)
}

// reconcile brings slots to what this worker owns and to what the config topic says. Under mu.
func (w *Worker) reconcile() {
	for id := range w.owned {
		if w.slots[id] == nil {
			w.slots[id] = &slot{id: id}
		}
	}
	for id, s := range w.slots {
		next := wanted{restarts: s.want.restarts, looks: s.want.looks}
		c := w.configs.Connector(id.Connector)
		if w.owned[id] && c != nil && !w.stopping {
			next.target = c.Target
			if id.Task == herder.Itself {
				next.on, next.version = true, c.Version
			} else if id.Task < len(c.Tasks) && !c.Inconsistent && c.Target != herder.Stopped {
				next.on, next.config = true, c.Tasks[id.Task]
			}
		}
		s.want = next
		w.stir(s)
	}
}

// stir lets a slot go to work if there is any. Under mu.
func (w *Worker) stir(s *slot) {
	if s.busy {
		return
	}
	if s.want.same(s.have) {
		if !s.want.on {
			delete(w.slots, s.id)
			w.change()
		}
		return
	}
	s.busy = true
	go w.settle(s)
}

// settle brings a slot to what is wanted.
func (w *Worker) settle(s *slot) {
	for {
		w.mu.Lock()
		want := s.want
		if want.same(s.have) {
			s.busy = false
			w.stir(s) // it may be over and done with
			w.mu.Unlock()
			return
		}
		if s.retry != nil {
			s.retry.Stop()
			s.retry = nil
		}
		w.mu.Unlock()
		if s.id.Task == herder.Itself {
			w.settleConnector(s, want)
		} else {
			w.settleTask(s, want)
		}
		w.mu.Lock()
		s.have = want
		w.change()
		w.mu.Unlock()
	}
}

func (w *Worker) settleConnector(s *slot, want wanted) {
	again := want.restarts != s.have.restarts || want.version != s.have.version || want.target != s.have.target
	if s.unwatch != nil && (!want.on || again) {
		s.unwatch()
		s.unwatch = nil
	}
	switch {
	case !want.on:
		w.leave(s.id)
		return
	case want.target == herder.Paused:
		w.status(s.id, herder.Status{State: herder.Pausing})
		return
	case want.target == herder.Stopped:
		w.status(s.id, herder.Status{State: herder.Ended})
		return
	}
	if again || s.failed { // else it only looks again how to divide its work
		w.status(s.id, herder.Status{State: herder.Running})
	}
	err := w.divide(s, want)
	w.mu.Lock()
	defer w.mu.Unlock()
	s.failed = err != nil
	if err == nil {
		s.failures = 0
		return
	}
	if errors.Is(err, errStopped) || !s.want.same(want) {
		return
	}
	cause := sdk.CauseOf(err)
	w.setStatus(s.id, herder.Status{State: herder.Failed, Trace: err.Error(), Cause: string(cause)})
	w.logger.Error("a connector failed; it is tried again", "connector", s.id.Connector, "cause", cause, "error", err)
	s.failures++
	s.retry = time.AfterFunc(retryAfter(cause, s.failures), func() { w.look(s) })
}

// retryAfter is how long it takes until a failed connector is tried again.
func retryAfter(cause sdk.Cause, failures int) time.Duration {
	if cause == sdk.Configuration || cause == sdk.Lost {
		return 5 * time.Minute
	}
	return min(time.Second<<min(failures-1, 10), time.Minute)
}

// look lets a connector divide its work anew.
func (w *Worker) look(s *slot) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.slots[s.id] == s && s.want.on {
		s.want.looks++
		w.stir(s)
	}
}

// divideTime bounds how long a connector may take to find out which tasks it needs.
const divideTime = time.Minute

// divide finds out which tasks a connector has to have, writes them if they are not those that it has, and watches for changes.
func (w *Worker) divide(s *slot, want wanted) error {
	name := s.id.Connector
	w.mu.Lock()
	c := w.configs.Connector(name)
	w.mu.Unlock()
	if c == nil {
		return nil
	}
	p, err := w.pluginOf(c.Config)
	if err != nil {
		return sdk.Misconfigured("%s", err.Error())
	}
	resolved, err := w.engine.Resolve(c.Config)
	if err != nil {
		return sdk.Misconfigured("%s", err.Error())
	}
	ctx, cancel := context.WithTimeout(w.ctx, divideTime)
	defer cancel()
	tasks, values, err := w.split(ctx, p, c.Config, resolved)
	if err != nil {
		return err
	}
	if !slices.EqualFunc(tasks, c.Tasks, maps.Equal) || c.Inconsistent {
		if err := w.submitTasks(ctx, name, tasks); err != nil {
			return err
		}
	}
	if watcher, ok := p.connector.(sdk.Watcher); ok && s.unwatch == nil {
		ctx, cancel := context.WithCancel(w.ctx)
		s.unwatch = cancel
		w.running.Go(func() {
			err := w.guarded(func() error { return watcher.Watch(ctx, values, func() { w.look(s) }) })
			if err != nil && ctx.Err() == nil {
				w.logger.Warn("a connector cannot watch for changes any more; a restart lets it begin again", "connector", name, "error", err)
			}
		})
	}
	return nil
}

// guarded makes an error of a panic: a mistake in a connector is the connector's.
func (w *Worker) guarded(f func() error) (err error) {
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("the connector has a mistake, please report it: %v", p)
		}
	}()
	return f()
}

// split gives the configurations of a connector's tasks. What the connector's own refers to stays a reference in them.
func (w *Worker) split(ctx context.Context, p *plugin, config, resolved map[string]string) ([]map[string]string, sdk.Values, error) {
	values, wrong := sdk.Parse(p.options, resolved)
	if len(wrong) > 0 {
		return nil, values, sdk.Misconfigured("%s", wrong[0].Error())
	}
	common, wrong := sdk.Parse(w.optionsOf(p), resolved)
	if len(wrong) > 0 {
		return nil, values, sdk.Misconfigured("%s", wrong[0].Error())
	}
	most := int(common.Int("tasks.max"))
	var parts []map[string]string
	if splitter, ok := p.connector.(sdk.Splitter); ok {
		err := w.guarded(func() (err error) { parts, err = splitter.Split(ctx, values, most); return err })
		if err != nil {
			return nil, values, err
		}
	} else {
		parts = make([]map[string]string, 1)
		if p.kind == sinkKind {
			parts = make([]map[string]string, most)
		}
	}
	if len(parts) > most && common.Bool("tasks.max.enforce") {
		return nil, values, sdk.Misconfigured("The connector %s has generated %d tasks, which is greater than %d, the maximum number of tasks it is configured to create. Set tasks.max to a larger value, or tasks.max.enforce to false.", config["name"], len(parts), most)
	}
	tasks := make([]map[string]string, len(parts))
	for i, part := range parts {
		tasks[i] = maps.Clone(config)
		for name, value := range part {
			if raw, ok := config[name]; !ok || resolved[name] != value {
				tasks[i][name] = value
			} else {
				tasks[i][name] = raw
			}
		}
		tasks[i]["task.class"] = taskClass(p.class)
	}
	return tasks, values, nil
}

func (w *Worker) settleTask(s *slot, want wanted) {
	again := !maps.Equal(want.config, s.have.config) || want.restarts != s.have.restarts
	if s.task != nil && (!want.on || again) {
		ctx, cancel := context.WithTimeout(context.Background(), w.settings.grace)
		s.task.Stop(ctx)
		cancel()
		w.mu.Lock()
		s.run++
		s.task = nil
		w.mu.Unlock()
	}
	switch {
	case !want.on:
		w.leave(s.id)
	case want.target == herder.Paused && s.task == nil:
		w.status(s.id, herder.Status{State: herder.Pausing})
	case want.target == herder.Paused:
		s.task.Pause()
	case s.task == nil:
		w.startTask(s, want)
	default:
		s.task.Resume()
	}
}

func (w *Worker) startTask(s *slot, want wanted) {
	p, err := w.pluginOf(want.config)
	if err != nil {
		w.status(s.id, herder.Status{State: herder.Failed, Trace: err.Error(), Cause: string(sdk.Configuration)})
		return
	}
	w.mu.Lock()
	s.run++
	run := s.run
	w.mu.Unlock()
	started := w.engine.Start(taskSpec{
		id: s.id, connector: p.connector, config: want.config, logger: w.loggers.of(w.logger, p, s.id),
		used: func(topic string) { w.uses(s.id, topic) },
	}, func(news taskStatus) {
		w.mu.Lock()
		defer w.mu.Unlock()
		if s.run == run && w.slots[s.id] == s {
			w.setStatus(s.id, herder.Status{State: news.state, Trace: news.trace, Cause: string(news.cause)})
		}
	})
	w.mu.Lock()
	s.task = started
	w.mu.Unlock()
}

// leave says that this worker does not have a connector or task any more, or that it is no more.
func (w *Worker) leave(id herder.ID) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if !w.configs.Work()[id] {
		w.forget(id)
		return
	}
	w.setStatus(id, herder.Status{State: herder.Unassigned})
}

// forget takes back a status. Under mu.
func (w *Worker) forget(ids ...herder.ID) {
	for _, id := range ids {
		if _, known := w.statuses.Get(id); known {
			w.record(herder.ForgetRecord(id))
		}
	}
}

func (w *Worker) status(id herder.ID, v herder.Status) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.setStatus(id, v)
}

// setStatus tells a status to all. Under mu.
func (w *Worker) setStatus(id herder.ID, v herder.Status) {
	c := w.configs.Connector(id.Connector)
	if c == nil {
		return // it was deleted meanwhile
	}
	v.Worker, v.Generation = w.id, max(w.generation, 0)
	if p, err := w.pluginOf(c.Config); err == nil {
		v.Version = p.version
	}
	if old, known := w.statuses.Get(id); known && old == v || !w.statuses.Supersedes(id, v) {
		return
	}
	w.record(herder.StatusRecord(id, v))
	w.change()
}

// record writes to the status topic. This worker knows it at once. Under mu.
func (w *Worker) record(r herder.Record) {
	if err := w.statuses.Apply(r.Key, r.Value); err != nil {
		panic("BUG: a status of our own cannot be read: " + err.Error())
	}
	if w.store != nil {
		w.store.tell(r)
	}
}

// uses takes note of a topic that a task uses.
func (w *Worker) uses(id herder.ID, topic string) {
	if !w.settings.tracking {
		return
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	if slices.Contains(w.statuses.Topics(id.Connector), topic) || w.configs.Connector(id.Connector) == nil {
		return
	}
	w.record(herder.TopicRecord(herder.TopicUse{Topic: topic, Connector: id.Connector, Task: id.Task, Discovered: time.Now().UnixMilli()}))
}

// restart begins anew what this worker has of a connector. Under mu.
func (w *Worker) restart(connector string, r herder.Restart) {
	for id, s := range w.slots {
		if id.Connector == connector && s.want.on && w.restarts(id, r) {
			w.restartSlot(s)
		}
	}
}

// restarts tells whether a restart concerns a connector or task. Under mu.
func (w *Worker) restarts(id herder.ID, r herder.Restart) bool {
	if id.Task != herder.Itself && !r.IncludeTasks {
		return false
	}
	status, known := w.statuses.Get(id)
	return known && (!r.OnlyFailed || status.State == herder.Failed)
}

func (w *Worker) restartSlot(s *slot) {
	w.setStatus(s.id, herder.Status{State: herder.Restarting})
	s.want.restarts++
	w.stir(s)
}

// submitTasks has the leader write the tasks of a connector.
func (w *Worker) submitTasks(ctx context.Context, name string, tasks []map[string]string) error {
	body := make([]object, len(tasks))
	for i, t := range tasks {
		body[i] = objectOf(t)
	}
	for delay := retryFirst; ; delay = min(2*delay, time.Second) {
		leads, err := w.leadership(ctx)
		if err == nil && leads {
			err = w.putTasks(ctx, name, tasks)
		} else if err == nil {
			err = w.sendTasks(ctx, name, plainJSON(body))
		}
		var f *failure
		switch {
		case err == nil, errors.As(err, &f) && f.status == http.StatusNotFound: // it was deleted meanwhile
			return nil
		case ctx.Err() != nil:
			return sdk.Retry(fmt.Errorf("the tasks cannot be handed to the leader of the group: %w", err))
		}
		select {
		case <-time.After(delay):
		case <-ctx.Done():
		}
	}
}
