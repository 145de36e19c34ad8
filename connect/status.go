package connect

import (
	"context"
	"net/http"
	"net/url"

	"encoding/json"

	"github.com/weir/weir/connect/herder"
)

// connectorStatus is what is told of how a connector is doing.
type connectorStatus struct {
	Name      string     `json:"name"`
	Connector state      `json:"connector"`
	Tasks     []toldTask `json:"tasks"`
	Type      string     `json:"type"`
}

type state struct {
	State   herder.State `json:"state"`
	Worker  string       `json:"worker_id"`
	Version string       `json:"version,omitempty"`
	Trace   string       `json:"trace,omitempty"`
}

type toldTask struct {
	ID int `json:"id"`
	state
	Details *taskDetails `json:"details,omitempty"`
}

func stateOf(s herder.Status) state {
	return state{State: s.State, Worker: s.Worker, Version: s.Version, Trace: s.Trace}
}

// statusOf tells how a connector is doing; false: nothing is known of it. Under mu.
func (w *Worker) statusOf(name string) (connectorStatus, bool) {
	s, known := w.statuses.Get(herder.ID{Connector: name, Task: herder.Itself})
	if !known {
		return connectorStatus{}, false
	}
	out := connectorStatus{Name: name, Connector: stateOf(s), Tasks: []toldTask{}, Type: "unknown"}
	if c := w.configs.Connector(name); c != nil {
		out.Type = w.kindOf(c.Config)
	}
	for _, n := range w.statuses.Tasks(name) {
		t, _ := w.statuses.Get(herder.ID{Connector: name, Task: n})
		out.Tasks = append(out.Tasks, toldTask{ID: n, state: stateOf(t)})
	}
	return out, true
}

// details adds what only the workers know that run the tasks. local: only of this worker's.
func (w *Worker) details(ctx context.Context, s *connectorStatus, local bool) {
	elsewhere := map[string]bool{}
	w.mu.Lock()
	for i := range s.Tasks {
		id := herder.ID{Connector: s.Name, Task: s.Tasks[i].ID}
		status, _ := w.statuses.Get(id)
		if slot := w.slots[id]; slot != nil && slot.task != nil {
			d := slot.task.Details()
			d.Cause = status.Cause
			s.Tasks[i].Details = &d
		} else if status.Worker != w.id && w.owners[id] != "" {
			elsewhere[w.owners[id]] = true
		}
		if s.Tasks[i].Details == nil && status.Cause != "" {
			s.Tasks[i].Details = &taskDetails{Cause: status.Cause}
		}
	}
	w.mu.Unlock()
	if local {
		return
	}
	for to := range elsewhere {
		answer, err := w.send(ctx, to, Request{Method: http.MethodGet, Path: "/connectors/" + url.PathEscape(s.Name) + "/status", Query: "details=local", Accept: jsonType})
		var other connectorStatus
		if err != nil || json.Unmarshal(answer.Body, &other) != nil {
			continue // then its part is missing
		}
		for _, t := range other.Tasks {
			for i := range s.Tasks {
				if s.Tasks[i].ID == t.ID && t.Details != nil {
					s.Tasks[i].Details = t.Details
				}
			}
		}
	}
}
