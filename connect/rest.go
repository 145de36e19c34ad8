package connect

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"net/url"
	"os"
	"slices"
	"strconv"
	"strings"

	"github.com/weir/weir/connect/herder"
)

// bodyMost bounds the body of a request, in bytes.
const bodyMost = 8 << 20

// ServeHTTP answers a request to the REST API.
func (w *Worker) ServeHTTP(out http.ResponseWriter, in *http.Request) {
	body, err := io.ReadAll(http.MaxBytesReader(out, in.Body, bodyMost))
	var answer Response
	if err != nil {
		answer = answerError(err)
	} else {
		ctx, cancel := context.WithTimeout(in.Context(), requestTime)
		defer cancel()
		answer = w.Handle(ctx, Request{
			Method: in.Method, Path: in.URL.EscapedPath(), Query: in.URL.RawQuery, Body: body,
			Type: in.Header.Get("Content-Type"), Accept: in.Header.Get("Accept"),
			Signature: in.Header.Get(signatureHeader), Algorithm: in.Header.Get(algorithmHeader),
		})
	}
	h := out.Header()
	for name, value := range map[string]string{"Content-Type": answer.Type, "Location": answer.Location, "Allow": answer.Allow, "Access-Control-Allow-Origin": w.settings.origin} {
		if value != "" {
			h.Set(name, value)
		}
	}
	if answer.Allow != "" && w.settings.methods != "" {
		h.Set("Access-Control-Allow-Methods", w.settings.methods)
	}
	out.WriteHeader(answer.Status)
	if in.Method != http.MethodHead {
		_, _ = out.Write(answer.Body) // an error is the client's: it is gone
	}
}

// route is what a path can be asked.
type route struct {
	method  string
	path    []string // {} stands for anything
	reads   bool     // it has a body that is JSON
	handler func(*Worker, context.Context, call) (Response, error)
}

// call is a request that has found its route.
type call struct {
	Request
	args  []string // what stands for {}
	query url.Values
}

func at(method, path string, handler func(*Worker, context.Context, call) (Response, error)) route {
	return route{method: method, path: strings.Split(path, "/")[1:], handler: handler}
}

func reading(r route) route {
	r.reads = true
	return r
}

var routes = []route{
	at("GET", "/", (*Worker).getRoot),
	at("GET", "/health", (*Worker).getHealth),
	at("GET", "/connectors", (*Worker).getConnectors),
	reading(at("POST", "/connectors", (*Worker).postConnector)),
	at("GET", "/connectors/{}", (*Worker).getConnector),
	at("DELETE", "/connectors/{}", (*Worker).deleteConnector),
	at("GET", "/connectors/{}/config", (*Worker).getConfig),
	reading(at("PUT", "/connectors/{}/config", (*Worker).putConfig)),
	reading(at("PATCH", "/connectors/{}/config", (*Worker).patchConfig)),
	at("GET", "/connectors/{}/status", (*Worker).getStatus),
	at("GET", "/connectors/{}/tasks", (*Worker).getTasks),
	reading(at("POST", "/connectors/{}/tasks", (*Worker).postTasks)),
	at("PUT", "/connectors/{}/fence", (*Worker).putFence),
	at("GET", "/connectors/{}/tasks/{}/status", (*Worker).getTaskStatus),
	at("POST", "/connectors/{}/tasks/{}/restart", (*Worker).restartTask),
	at("PUT", "/connectors/{}/pause", aimAt(herder.Paused, http.StatusAccepted)),
	at("PUT", "/connectors/{}/resume", aimAt(herder.Started, http.StatusAccepted)),
	at("PUT", "/connectors/{}/stop", aimAt(herder.Stopped, http.StatusNoContent)),
	at("POST", "/connectors/{}/restart", (*Worker).restartConnector),
	at("GET", "/connectors/{}/topics", (*Worker).getTopics),
	at("PUT", "/connectors/{}/topics/reset", (*Worker).resetTopics),
	at("GET", "/connectors/{}/offsets", (*Worker).getOffsets),
	reading(at("PATCH", "/connectors/{}/offsets", (*Worker).patchOffsets)),
	at("DELETE", "/connectors/{}/offsets", (*Worker).deleteOffsets),
	at("GET", "/connector-plugins", (*Worker).getPlugins),
	at("GET", "/connector-plugins/{}/config", (*Worker).getPluginConfig),
	reading(at("PUT", "/connector-plugins/{}/config/validate", (*Worker).putValidate)),
	at("GET", "/admin/loggers", (*Worker).getLoggers),
	at("GET", "/admin/loggers/{}", (*Worker).getLogger),
	reading(at("PUT", "/admin/loggers/{}", (*Worker).putLogger)),
}

// Handle answers a request.
func (w *Worker) Handle(ctx context.Context, r Request) Response {
	answer, err := w.handle(ctx, r)
	if err != nil {
		switch {
		case errors.Is(err, context.DeadlineExceeded):
			err = failed(http.StatusInternalServerError, "Request timed out")
		case errors.Is(err, errStopped):
			err = failed(http.StatusServiceUnavailable, "this worker is shutting down")
		}
		return answerError(err)
	}
	return answer
}

func (w *Worker) handle(ctx context.Context, r Request) (Response, error) {
	segments := strings.Split(strings.TrimPrefix(r.Path, "/"), "/")
	if len(segments) > 1 && segments[len(segments)-1] == "" {
		segments = segments[:len(segments)-1]
	}
	c := call{Request: r}
	var err error
	if c.query, err = url.ParseQuery(r.Query); err != nil {
		return Response{}, failed(http.StatusBadRequest, "the query cannot be read: %v", err)
	}
	var allowed []string
	for _, route := range routes {
		args, ok := route.match(segments)
		if !ok {
			continue
		}
		allowed = append(allowed, route.method)
		method := r.Method
		if method == http.MethodHead {
			method = http.MethodGet
		}
		if route.method != method {
			continue
		}
		if !accepts(r.Accept) {
			return Response{}, failed(http.StatusNotAcceptable, "HTTP 406 Not Acceptable")
		}
		if kind, _, _ := strings.Cut(r.Type, ";"); route.reads && strings.TrimSpace(kind) != jsonType {
			return Response{}, failed(http.StatusUnsupportedMediaType, "HTTP 415 Unsupported Media Type")
		}
		c.args = args
		return route.handler(w, ctx, c)
	}
	switch {
	case len(allowed) == 0:
		return Response{}, failed(http.StatusNotFound, "HTTP 404 Not Found")
	case r.Method == http.MethodOptions:
		allow := allowing(allowed)
		return Response{Status: http.StatusOK, Type: "text/plain", Allow: strings.Join(allow, ","), Body: []byte(strings.Join(allow, ", "))}, nil
	}
	return Response{}, failed(http.StatusMethodNotAllowed, "HTTP 405 Method Not Allowed")
}

func (r route) match(segments []string) (args []string, ok bool) {
	if len(segments) != len(r.path) {
		return nil, false
	}
	for i, want := range r.path {
		if want != "{}" {
			if segments[i] != want {
				return nil, false
			}
			continue
		}
		arg, err := url.PathUnescape(segments[i])
		if err != nil || arg == "" {
			return nil, false
		}
		if i == 3 && r.path[2] == "tasks" {
			if n, err := strconv.Atoi(arg); err != nil || n < 0 {
				return nil, false
			}
		}
		args = append(args, arg)
	}
	return args, true
}

// accepts tells whether a client takes JSON.
func accepts(header string) bool {
	if header == "" {
		return true
	}
	for kind := range strings.SplitSeq(header, ",") {
		kind, _, _ = strings.Cut(strings.TrimSpace(kind), ";")
		if kind == "*/*" || kind == "application/*" || kind == jsonType {
			return true
		}
	}
	return false
}

// allowing lists methods as Kafka's workers do.
func allowing(methods []string) (out []string) {
	order := []string{"HEAD", "DELETE", "POST", "GET", "OPTIONS", "PUT", "PATCH"}
	methods = append(methods, http.MethodOptions)
	if slices.Contains(methods, http.MethodGet) {
		methods = append(methods, http.MethodHead)
	}
	for _, m := range order {
		if slices.Contains(methods, m) {
			out = append(out, m)
		}
	}
	return out
}

func (w *Worker) getRoot(ctx context.Context, _ call) (Response, error) {
	return answerJSON(http.StatusOK, struct {
		Version string `json:"version"`
		Commit  string `json:"commit"`
		Cluster string `json:"kafka_cluster_id"`
	}{APIVersion, w.cfg.Commit, w.cluster(ctx)}), nil
}

func (w *Worker) getHealth(context.Context, call) (Response, error) {
	w.mu.Lock()
	ready := w.ready || w.asleep
	w.mu.Unlock()
	type health struct {
		Status  string `json:"status"`
		Message string `json:"message"`
	}
	if !ready {
		return answerJSON(http.StatusServiceUnavailable, health{"starting", "Worker is still starting up."}), nil
	}
	return answerJSON(http.StatusOK, health{"healthy", "Worker has completed startup and is ready to handle requests."}), nil
}

func (w *Worker) getConnectors(_ context.Context, c call) (Response, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	names := inHashOrder(w.configs.Names(), 0)
	expand, ok := c.query["expand"]
	if !ok {
		if names == nil {
			names = []string{}
		}
		return answerJSON(http.StatusOK, names), nil
	}
	b := []byte{'{'}
	for _, name := range names {
		parts := []string{}
		for _, e := range expand {
			switch e {
			case "status":
				if s, known := w.statusOf(name); known {
					parts = append(parts, `"status":`+string(plainJSON(s)))
				}
			case "info":
				info, _ := w.info(name)
				parts = append(parts, `"info":`+string(plainJSON(info)))
			}
		}
		if len(b) > 1 {
			b = append(b, ',')
		}
		b = append(append(append(b, plainJSON(name)...), ":{"...), strings.Join(parts, ",")...)
		b = append(b, '}')
	}
	return Response{Status: http.StatusOK, Type: jsonType, Body: append(b, '}')}, nil
}

// createRequest is the body of a request to create a connector.
type createRequest struct {
	Name    *string        `json:"name"`
	Config  *object        `json:"config"`
	Initial *herder.Target `json:"initial_state"`
}

// readBody reads a body. What it has that nobody knows is an error.
func readBody(b []byte, v any) error {
	d := json.NewDecoder(bytes.NewReader(b))
	d.DisallowUnknownFields()
	if err := d.Decode(v); err != nil {
		if errors.Is(err, io.EOF) {
			err = errors.New("it is empty")
		}
		return failed(http.StatusInternalServerError, "the body cannot be read as JSON: %v", err)
	}
	return nil
}

func (w *Worker) postConnector(ctx context.Context, c call) (Response, error) {
	var in createRequest
	if err := readBody(c.Body, &in); err != nil {
		return Response{}, err
	}
	if in.Config == nil {
		return Response{}, failed(http.StatusInternalServerError, "the body has no config")
	}
	initial := herder.Target("")
	if in.Initial != nil {
		switch strings.ToUpper(string(*in.Initial)) {
		case "RUNNING":
			initial = herder.Started
		case "PAUSED":
			initial = herder.Paused
		case "STOPPED":
			initial = herder.Stopped
		default:
			return Response{}, failed(http.StatusInternalServerError, "initial_state %s is none of RUNNING, PAUSED, STOPPED", *in.Initial)
		}
	}
	name := ""
	if in.Name != nil {
		name = strings.TrimSpace(*in.Name)
	}
	if err := setName(in.Config, name); err != nil {
		return Response{}, err
	}
	return w.led(ctx, c.Request, func() (Response, error) { return w.put(ctx, name, *in.Config, initial, false) })
}

// setName puts the connector's name into its configuration, where it must not be another one.
func setName(config *object, name string) error {
	if own, ok := config.values["name"]; ok && own != name {
		return failed(http.StatusBadRequest, "Connector name configuration (%s) doesn't match connector name in the URL (%s)", own, name)
	}
	config.set("name", name)
	return nil
}

func (w *Worker) getConnector(_ context.Context, c call) (Response, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	info, ok := w.info(c.args[0])
	if !ok {
		return Response{}, notFound(c.args[0])
	}
	return answerJSON(http.StatusOK, info), nil
}

func (w *Worker) getConfig(_ context.Context, c call) (Response, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	info, ok := w.info(c.args[0])
	if !ok {
		return Response{}, notFound(c.args[0])
	}
	return answerJSON(http.StatusOK, info.Config), nil
}

func (w *Worker) deleteConnector(ctx context.Context, c call) (Response, error) {
	return w.led(ctx, c.Request, func() (Response, error) {
		return Response{Status: http.StatusNoContent}, w.remove(ctx, c.args[0])
	})
}

func (w *Worker) putConfig(ctx context.Context, c call) (Response, error) {
	var config object
	if err := readBody(c.Body, &config); err != nil {
		return Response{}, err
	}
	if err := setName(&config, c.args[0]); err != nil {
		return Response{}, err
	}
	return w.led(ctx, c.Request, func() (Response, error) { return w.put(ctx, c.args[0], config, "", true) })
}

func (w *Worker) patchConfig(ctx context.Context, c call) (Response, error) {
	var changes object
	if err := readBody(c.Body, &changes); err != nil {
		return Response{}, err
	}
	return w.led(ctx, c.Request, func() (Response, error) {
		w.mu.Lock()
		known := w.configs.Connector(c.args[0])
		w.mu.Unlock()
		if known == nil {
			return Response{}, notFound(c.args[0])
		}
		config := merged(known.Config, changes)
		if err := setName(&config, c.args[0]); err != nil {
			return Response{}, err
		}
		return w.put(ctx, c.args[0], config, "", true)
	})
}

func (w *Worker) getStatus(ctx context.Context, c call) (Response, error) {
	detailed := c.query.Get("details")
	w.mu.Lock()
	status, known := w.statusOf(c.args[0])
	elsewhere := detailed == "true" && !w.leads && w.leader != ""
	w.mu.Unlock()
	if !known {
		return Response{}, failed(http.StatusNotFound, "No status found for connector %s", c.args[0])
	}
	if elsewhere { // the leader knows who runs what
		if answer, err := w.led(ctx, c.Request, func() (Response, error) { return w.getStatus(ctx, c) }); err == nil {
			return answer, nil
		}
	}
	if detailed != "" {
		w.details(ctx, &status, detailed != "true")
	}
	return answerJSON(http.StatusOK, status), nil
}

func (w *Worker) getTasks(_ context.Context, c call) (Response, error) {
	type taskInfo struct {
		ID     taskID `json:"id"`
		Config object `json:"config"`
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	known := w.configs.Connector(c.args[0])
	if known == nil {
		return Response{}, notFound(c.args[0])
	}
	out := []taskInfo{}
	for i, config := range known.Tasks {
		out = append(out, taskInfo{taskID{c.args[0], i}, objectOf(config)})
	}
	return answerJSON(http.StatusOK, out), nil
}

func (w *Worker) postTasks(ctx context.Context, c call) (Response, error) {
	if err := w.signed(c.Request); err != nil {
		return Response{}, err
	}
	var in []object
	if err := readBody(c.Body, &in); err != nil {
		return Response{}, err
	}
	tasks := make([]map[string]string, len(in))
	for i := range in {
		tasks[i] = in[i].values
	}
	return w.led(ctx, c.Request, func() (Response, error) {
		return Response{Status: http.StatusNoContent}, w.putTasks(ctx, c.args[0], tasks)
	})
}

func (w *Worker) putFence(_ context.Context, c call) (Response, error) {
	if err := w.signed(c.Request); err != nil {
		return Response{}, err
	}
	return Response{}, failed(http.StatusConflict, "exactly.once.source.support is disabled on this worker, so there is nothing to fence")
}

func taskOf(c call) herder.ID {
	n, _ := strconv.Atoi(c.args[1]) // its route takes nothing else
	return herder.ID{Connector: c.args[0], Task: n}
}

func (w *Worker) getTaskStatus(_ context.Context, c call) (Response, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	id := taskOf(c)
	s, known := w.statuses.Get(id)
	if !known {
		return Response{}, failed(http.StatusNotFound, "No status found for task %s", id)
	}
	return answerJSON(http.StatusOK, toldTask{ID: id.Task, state: stateOf(s)}), nil
}

func aimAt(target herder.Target, status int) func(*Worker, context.Context, call) (Response, error) {
	return func(w *Worker, ctx context.Context, c call) (Response, error) {
		return w.led(ctx, c.Request, func() (Response, error) {
			return Response{Status: status}, w.aim(ctx, c.args[0], target)
		})
	}
}

func (w *Worker) restartConnector(ctx context.Context, c call) (Response, error) {
	name := c.args[0]
	r := herder.Restart{OnlyFailed: c.query.Get("onlyFailed") == "true", IncludeTasks: c.query.Get("includeTasks") == "true"}
	unknown := failed(http.StatusNotFound, "Unknown connector: %s", name)
	if !r.OnlyFailed && !r.IncludeTasks {
		return w.restartOne(ctx, c, herder.ID{Connector: name, Task: herder.Itself}, unknown)
	}
	return w.led(ctx, c.Request, func() (Response, error) {
		w.herding.Lock()
		defer w.herding.Unlock()
		w.mu.Lock()
		plan, known := w.restartPlan(name, r)
		known = known && w.configs.Connector(name) != nil
		w.mu.Unlock()
		if !known {
			return Response{}, unknown
		}
		if err := w.configure(ctx, herder.RestartRecord(name, r)); err != nil {
			return Response{}, err
		}
		return answerJSON(http.StatusAccepted, plan), nil
	})
}

func (w *Worker) restartTask(ctx context.Context, c call) (Response, error) {
	id := taskOf(c)
	unknown := failed(http.StatusNotFound, "Unknown connector: %s", id.Connector)
	if w.has(id.Connector) {
		unknown = failed(http.StatusNotFound, "Unknown task: %s", id)
	}
	return w.restartOne(ctx, c, id, unknown)
}

// restartOne restarts a connector or task where it is.
func (w *Worker) restartOne(ctx context.Context, c call, id herder.ID, unknown error) (Response, error) {
	if _, err := w.leadership(ctx); err != nil {
		return Response{}, err
	}
	w.mu.Lock()
	known := w.configs.Connector(id.Connector)
	w.mu.Unlock()
	if known == nil || id.Task >= len(known.Tasks) {
		return Response{}, unknown
	}
	here, to := w.restartHere(id)
	switch {
	case here:
		return Response{Status: http.StatusNoContent}, nil
	case to == "" || to == w.url:
		return Response{}, failed(http.StatusConflict, "Cannot complete request because of a conflicting operation (e.g. worker rebalance)")
	}
	return w.handOn(ctx, to, c.Request)
}

func (w *Worker) getTopics(_ context.Context, c call) (Response, error) {
	if !w.settings.tracking {
		return Response{}, failed(http.StatusForbidden, "Topic tracking is disabled.")
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	topics := w.statuses.Topics(c.args[0])
	if topics == nil {
		topics = []string{}
	}
	return answerJSON(http.StatusOK, map[string]any{c.args[0]: map[string]any{"topics": topics}}), nil
}

func (w *Worker) resetTopics(_ context.Context, c call) (Response, error) {
	switch {
	case !w.settings.tracking:
		return Response{}, failed(http.StatusForbidden, "Topic tracking is disabled.")
	case !w.settings.resetTopics:
		return Response{}, failed(http.StatusForbidden, "Topic tracking reset is disabled.")
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, topic := range w.statuses.Topics(c.args[0]) {
		w.record(herder.ForgetTopicRecord(c.args[0], topic))
	}
	return Response{Status: http.StatusAccepted}, nil
}

func (w *Worker) getOffsets(ctx context.Context, c call) (Response, error) {
	return w.offsets(ctx, c.args[0])
}

func (w *Worker) patchOffsets(ctx context.Context, c call) (Response, error) {
	return w.led(ctx, c.Request, func() (Response, error) { return w.setOffsets(ctx, c.args[0], c.Body, false) })
}

func (w *Worker) deleteOffsets(ctx context.Context, c call) (Response, error) {
	return w.led(ctx, c.Request, func() (Response, error) { return w.setOffsets(ctx, c.args[0], nil, true) })
}

func (w *Worker) getPlugins(_ context.Context, c call) (Response, error) {
	type pluginInfo struct {
		Class   string `json:"class"`
		Type    string `json:"type"`
		Version string `json:"version"`
	}
	out := []pluginInfo{}
	for _, p := range w.plugins {
		if c.query.Get("connectorsOnly") == "false" || p.kind == sinkKind || p.kind == sourceKind {
			out = append(out, pluginInfo{p.class, p.kind, p.version})
		}
	}
	return answerJSON(http.StatusOK, out), nil
}

func (w *Worker) getPluginConfig(_ context.Context, c call) (Response, error) {
	p := w.plugins.find(c.args[0])
	if p == nil {
		return Response{}, failed(http.StatusNotFound, "Unknown plugin %s.", c.args[0])
	}
	if version := c.query.Get("version"); version != "" && version != "latest" && version != p.version {
		return Response{}, failed(http.StatusNotFound, "Unknown plugin %s with version %s.", c.args[0], version)
	}
	options := p.options
	if p.connector != nil {
		options = slices.Concat(p.options, w.optionsOf(p))
	}
	out := []*definition{}
	for _, o := range options {
		if o.Internal {
			continue
		}
		d := define(o)
		if p.connector != nil && strings.Contains(o.Name, ".converter") {
			d.Default = nil // Kafka's workers tell the default only to who validates
		}
		out = append(out, d)
	}
	return answerJSON(http.StatusOK, out), nil
}

func (w *Worker) putValidate(ctx context.Context, c call) (Response, error) {
	var config object
	if err := readBody(c.Body, &config); err != nil {
		return Response{}, err
	}
	p, err := w.pluginOf(config.values)
	if err != nil { // Kafka's workers answer so
		return Response{}, failed(http.StatusInternalServerError, "org.apache.kafka.connect.runtime.rest.errors.BadRequestException: %s", err.Error())
	}
	if !slices.Contains(p.names(), c.args[0]) {
		return Response{}, failed(http.StatusBadRequest, "Included connector type %s does not match request type %s", config.values["connector.class"], c.args[0])
	}
	v, err := w.validate(ctx, config.values)
	if err != nil {
		return Response{}, err
	}
	return answerJSON(http.StatusOK, v), nil
}

func (w *Worker) getLoggers(context.Context, call) (Response, error) {
	return answerJSON(http.StatusOK, w.loggers.all()), nil
}

func (w *Worker) getLogger(_ context.Context, c call) (Response, error) {
	l, ok := w.loggers.get(c.args[0])
	if !ok {
		return Response{}, failed(http.StatusNotFound, "Logger %s not found.", c.args[0])
	}
	return answerJSON(http.StatusOK, l), nil
}

func (w *Worker) putLogger(ctx context.Context, c call) (Response, error) {
	var in object
	if err := readBody(c.Body, &in); err != nil {
		return Response{}, err
	}
	level, ok := in.values["level"]
	if !ok {
		return Response{}, failed(http.StatusBadRequest, "Desired 'level' parameter was not specified in request.")
	}
	if _, ok := parseLevel(level); !ok {
		return Response{}, failed(http.StatusNotFound, "invalid log level '%s'.", level)
	}
	if !strings.EqualFold(c.query.Get("scope"), "cluster") {
		return answerJSON(http.StatusOK, w.loggers.set(c.args[0], level)), nil
	}
	if _, err := w.leadership(ctx); err != nil {
		return Response{}, err
	}
	return Response{Status: http.StatusNoContent}, w.configure(ctx, herder.LevelRecord(c.args[0], strings.ToUpper(level)))
}

// hostName is where other workers reach one that listens on all interfaces.
func hostName() string {
	name, err := os.Hostname()
	if err != nil {
		return "localhost"
	}
	return name
}
