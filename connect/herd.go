package connect

import (
	"bytes"
	"context"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/weir/weir/connect/herder"
)

// leadership waits until this worker is in the group, and tells whether it leads. It wakes a worker that sleeps.
func (w *Worker) leadership(ctx context.Context) (leads bool, err error) {
	w.wake()
	err = w.await(ctx, func() bool {
		leads = w.leads
		return w.ready && (w.leads || w.leader != "")
	})
	if errors.Is(err, context.DeadlineExceeded) {
		w.mu.Lock()
		defer w.mu.Unlock()
		if w.broken != nil {
			return false, failed(http.StatusInternalServerError, "Request timed out. This worker is not ready: %v", w.broken)
		}
		return false, failed(http.StatusConflict, "Cannot complete request momentarily due to no known leader URL, likely because a rebalance was underway.")
	}
	return leads, err
}

// led lets the leader do something: this worker, or the one that the request is handed on to.
func (w *Worker) led(ctx context.Context, r Request, f func() (Response, error)) (Response, error) {
	leads, err := w.leadership(ctx)
	if err != nil {
		return Response{}, err
	}
	if leads {
		return f()
	}
	w.mu.Lock()
	to := w.leader
	w.mu.Unlock()
	return w.handOn(ctx, to, r)
}

// handOn lets another worker answer a request. It may hand it on once more, since who leads may just have changed.
func (w *Worker) handOn(ctx context.Context, to string, r Request) (Response, error) {
	query, err := url.ParseQuery(r.Query)
	if err != nil {
		return Response{}, failed(http.StatusBadRequest, "the query cannot be read: %v", err)
	}
	switch query.Get("forward") {
	case "false":
		return Response{}, failed(http.StatusConflict, "Cannot complete request because of a conflicting operation (e.g. worker rebalance)")
	case "true":
		query.Set("forward", "false")
	default:
		query.Set("forward", "true")
	}
	r.Query = query.Encode()
	answer, err := w.send(ctx, to, r)
	if err != nil {
		return Response{}, failed(http.StatusInternalServerError, "IO Error trying to forward REST request: %v", err)
	}
	return answer, nil
}

// send sends a request to another worker.
func (w *Worker) send(ctx context.Context, to string, r Request) (Response, error) {
	if w.cfg.Forward != nil && !strings.HasPrefix(to, "http://") {
		return w.cfg.Forward(ctx, to, r)
	}
	if strings.HasPrefix(to, nodeURL) {
		return Response{}, w.inNodes()
	}
	return sendHTTP(ctx, to, r)
}

// inNodes says why a worker by itself cannot be in one group with those that are in nodes.
func (w *Worker) inNodes() error {
	return fmt.Errorf("the workers inside the nodes of this cluster are in the group %s too, and only nodes reach them: stop this worker and let connectors run in the nodes, "+
		"or turn their workers off (connect.listener= in the nodes' configuration), or give this one a group.id and three storage topics of its own", w.settings.group)
}

func sendHTTP(ctx context.Context, to string, r Request) (Response, error) {
	at := strings.TrimSuffix(to, "/") + r.Path
	if r.Query != "" {
		at += "?" + r.Query
	}
	req, err := http.NewRequestWithContext(ctx, r.Method, at, bytes.NewReader(r.Body))
	if err != nil {
		return Response{}, err
	}
	for name, value := range map[string]string{"Content-Type": r.Type, "Accept": r.Accept, signatureHeader: r.Signature, algorithmHeader: r.Algorithm} {
		if value != "" {
			req.Header.Set(name, value)
		}
	}
	answer, err := http.DefaultClient.Do(req)
	if err != nil {
		return Response{}, err
	}
	defer answer.Body.Close()
	body, err := io.ReadAll(answer.Body)
	return Response{Status: answer.StatusCode, Type: answer.Header.Get("Content-Type"), Location: answer.Header.Get("Location"), Body: body}, err
}

// configure writes to the config topic, and waits until it is in effect here.
func (w *Worker) configure(ctx context.Context, records ...herder.Record) error {
	w.mu.Lock()
	s := w.store
	w.mu.Unlock()
	if s == nil {
		return failed(http.StatusInternalServerError, "this worker is not ready")
	}
	return s.configure(ctx, records...)
}

// connectorInfo is what is told of a connector.
type connectorInfo struct {
	Name   string   `json:"name"`
	Config object   `json:"config"`
	Tasks  []taskID `json:"tasks"`
	Type   string   `json:"type"`
}

type taskID struct {
	Connector string `json:"connector"`
	Task      int    `json:"task"`
}

// info describes a connector; false: there is none. Under mu.
func (w *Worker) info(name string) (connectorInfo, bool) {
	c := w.configs.Connector(name)
	if c == nil {
		return connectorInfo{}, false
	}
	info := connectorInfo{Name: name, Config: objectOf(c.Config), Tasks: []taskID{}, Type: w.kindOf(c.Config)}
	for i := range c.Tasks {
		info.Tasks = append(info.Tasks, taskID{name, i})
	}
	return info, true
}

// has tells whether there is a connector.
func (w *Worker) has(name string) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.configs.Connector(name) != nil
}

// kindOf gives the type of a connector as it is told.
func (w *Worker) kindOf(config map[string]string) string {
	if p := w.plugins.find(config["connector.class"], sinkKind, sourceKind); p != nil {
		return p.kind
	}
	return "unknown"
}

// put creates or changes a connector. config is in the order in which it is shown.
func (w *Worker) put(ctx context.Context, name string, config object, initial herder.Target, mayExist bool) (Response, error) {
	exists := failed(http.StatusConflict, "Connector %s already exists", name)
	if w.has(name) && !mayExist {
		return Response{}, exists
	}
	v, err := w.validate(ctx, config.values)
	if err == nil {
		err = v.refuse()
	}
	if err != nil {
		return Response{}, err
	}
	records := []herder.Record{herder.ConfigRecord(name, config.values)}
	if initial != "" {
		records = append([]herder.Record{herder.TargetRecord(name, initial)}, records...)
	}
	w.herding.Lock()
	defer w.herding.Unlock()
	w.mu.Lock()
	info, there := w.info(name)
	w.mu.Unlock()
	if there && !mayExist {
		return Response{}, exists
	}
	if err := w.configure(ctx, records...); err != nil {
		return Response{}, err
	}
	info.Name, info.Config, info.Type = name, config, w.kindOf(config.values)
	if there {
		return answerJSON(http.StatusOK, info), nil
	}
	info.Tasks = []taskID{}
	answer := answerJSON(http.StatusCreated, info)
	answer.Location = "http://" + w.id + "/connectors/" + url.PathEscape(name)
	return answer, nil
}

// remove deletes a connector and all that is told of it. Its positions stay, as with Kafka's workers.
func (w *Worker) remove(ctx context.Context, name string) error {
	w.herding.Lock()
	defer w.herding.Unlock()
	if !w.has(name) {
		return notFound(name)
	}
	if err := w.configure(ctx, herder.RemoveRecords(name)...); err != nil {
		return err
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	w.forget(herder.ID{Connector: name, Task: herder.Itself})
	for _, n := range w.statuses.Tasks(name) {
		w.forget(herder.ID{Connector: name, Task: n})
	}
	for _, topic := range w.statuses.Topics(name) {
		w.record(herder.ForgetTopicRecord(name, topic))
	}
	return nil
}

// aim sets the state that a connector shall be in.
func (w *Worker) aim(ctx context.Context, name string, target herder.Target) error {
	w.herding.Lock()
	defer w.herding.Unlock()
	if !w.has(name) {
		return failed(http.StatusNotFound, "Unknown connector %s", name)
	}
	records := []herder.Record{herder.TargetRecord(name, target)}
	if target == herder.Stopped {
		records = append(herder.TaskRecords(name, nil), records...)
	}
	return w.configure(ctx, records...)
}

// putTasks writes the tasks of a connector. Only the leader may.
func (w *Worker) putTasks(ctx context.Context, name string, tasks []map[string]string) error {
	w.herding.Lock()
	defer w.herding.Unlock()
	w.mu.Lock()
	c := w.configs.Connector(name)
	w.mu.Unlock()
	if c == nil {
		return notFound(name)
	}
	if c.Target == herder.Stopped {
		return nil // stopped meanwhile
	}
	records := herder.TaskRecords(name, tasks)
	if len(records) > 1 { // all tasks have to be there before they are put into effect
		if err := w.configure(ctx, records[:len(records)-1]...); err != nil {
			return err
		}
	}
	return w.configure(ctx, records[len(records)-1])
}

// Requests between workers are signed with the session key.
const (
	signatureHeader  = "X-Connect-Authorization"
	algorithmHeader  = "X-Connect-Request-Signature-Algorithm"
	keyAlgorithm     = "HmacSHA256"
	keyBytes         = 32
	keyLife          = time.Hour
	unsignedText     = "Internal request missing required signature"
	badSignatureText = "Internal request contained invalid signature."
)

func sign(key, body []byte) []byte {
	mac := hmac.New(sha256.New, key)
	mac.Write(body)
	return mac.Sum(nil)
}

// sendTasks hands the tasks of a connector to the leader.
func (w *Worker) sendTasks(ctx context.Context, name string, body []byte) error {
	w.mu.Lock()
	to, key := w.leader, w.configs.Key
	w.mu.Unlock()
	if key == nil {
		return errors.New("there is no session key yet")
	}
	answer, err := w.send(ctx, to, Request{
		Method: http.MethodPost, Path: "/connectors/" + url.PathEscape(name) + "/tasks", Query: "forward=false", Body: body, Type: jsonType,
		Signature: base64.StdEncoding.EncodeToString(sign(key.Key, body)), Algorithm: keyAlgorithm,
	})
	if err != nil {
		return err
	}
	if answer.Status >= 300 {
		return failed(answer.Status, "%s", answer.Body)
	}
	return nil
}

// signed checks that a request comes from another worker.
func (w *Worker) signed(r Request) error {
	signature, err := base64.StdEncoding.DecodeString(r.Signature)
	switch {
	case r.Signature == "" || r.Algorithm == "":
		return failed(http.StatusBadRequest, unsignedText)
	case r.Algorithm != keyAlgorithm:
		return failed(http.StatusBadRequest, "This worker does not support the '%s' key signing algorithm used by other workers. This worker is currently configured to use: %s.", r.Algorithm, "["+keyAlgorithm+"]")
	}
	w.mu.Lock()
	key := w.configs.Key
	w.mu.Unlock()
	if err != nil || key == nil || !hmac.Equal(signature, sign(key.Key, r.Body)) {
		return failed(http.StatusForbidden, badSignatureText)
	}
	return nil
}

// handOutKey writes a session key, if there is none or the one that there is has become old.
func (w *Worker) handOutKey() {
	w.herding.Lock()
	defer w.herding.Unlock()
	w.mu.Lock()
	key, leads := w.configs.Key, w.leads
	w.mu.Unlock()
	now := time.Now()
	if !leads || key != nil && now.Sub(time.UnixMilli(key.Created)) < keyLife {
		return
	}
	next := herder.SessionKey{Key: make([]byte, keyBytes), Algorithm: keyAlgorithm, Created: now.UnixMilli()}
	if _, err := rand.Read(next.Key); err != nil {
		panic("BUG: the system has no random numbers: " + err.Error())
	}
	ctx, cancel := context.WithTimeout(w.ctx, openTime)
	defer cancel()
	if err := w.configure(ctx, herder.KeyRecord(next)); err != nil && w.ctx.Err() == nil {
		w.logger.Warn("the key with which workers sign their requests to each other cannot be written; it is tried again with the next rebalance", "error", err)
	}
}

// restartPlan tells what a restart would leave a connector's status as; false: there is no such connector. Under mu.
func (w *Worker) restartPlan(name string, r herder.Restart) (connectorStatus, bool) {
	s, ok := w.statusOf(name)
	if !ok {
		return s, false
	}
	if w.restarts(herder.ID{Connector: name, Task: herder.Itself}, r) {
		s.Connector.State = herder.Restarting
	}
	for i := range s.Tasks {
		if w.restarts(herder.ID{Connector: name, Task: s.Tasks[i].ID}, r) {
			s.Tasks[i].State = herder.Restarting
		}
	}
	return s, true
}

// restartHere begins a connector or task anew, if this worker has it. Else it gives the worker to ask: the leader, or, on the leader,
// the one that has it.
func (w *Worker) restartHere(id herder.ID) (here bool, to string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if s := w.slots[id]; s != nil && s.want.on {
		w.restartSlot(s)
		return true, ""
	}
	if w.leads {
		return false, w.owners[id]
	}
	return false, w.leader
}

// merged gives a connector's configuration with some changes.
func merged(config map[string]string, changes object) object {
	out := object{values: maps.Clone(config)}
	names := objectOf(config).names
	for _, name := range changes.names {
		if changes.nulls[name] {
			delete(out.values, name)
			continue
		}
		if _, ok := out.values[name]; !ok {
			names = append(names, name)
		}
		out.values[name] = changes.values[name]
	}
	var left []string
	for _, name := range names {
		if _, ok := out.values[name]; ok {
			left = append(left, name)
		}
	}
	out.names = inHashOrder(left, len(config))
	return out
}

// settled waits until nothing of a connector runs any more.
func (w *Worker) settled(ctx context.Context, name string) error {
	ctx, cancel := context.WithTimeout(ctx, w.settings.grace+time.Second)
	defer cancel()
	err := w.await(ctx, func() bool { return len(w.statuses.Tasks(name)) == 0 })
	if err != nil {
		return fmt.Errorf("the tasks of %s have not stopped yet", name)
	}
	return nil
}
