package process

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"time"

	"github.com/weir/weir/connect/sdk"
)

// The options that all connectors of programs have.
const (
	answerOption = "process.timeout.ms"
	stopOption   = "process.stop.timeout.ms"
	lineOption   = "process.message.max.bytes"
	splitOption  = "process.split.interval.ms"
)

const defaultLine = 8 << 20

var processOptions = []sdk.Option{
	{Name: answerOption, Kind: sdk.LongOption, Default: "60000", Importance: sdk.Low, Check: sdk.AtLeast(1), Group: "Process", Order: 1, Doc: "How long the connector's process may take to answer a request. After that it is ended, and the task has failed."},
	{Name: stopOption, Kind: sdk.LongOption, Default: "3000", Importance: sdk.Low, Check: sdk.AtLeast(1), Group: "Process", Order: 2, Doc: "How long the connector's process may take to end when it has to. After that it is killed."},
	{Name: lineOption, Kind: sdk.LongOption, Default: fmt.Sprint(defaultLine), Importance: sdk.Low, Check: sdk.AtLeast(1024), Group: "Process", Order: 3, Doc: "The most bytes of a message that the connector's process may send."},
}

// splitting is the option of those that divide their work.
var splitting = sdk.Option{Name: splitOption, Kind: sdk.LongOption, Default: "60000", Importance: sdk.Low, Check: sdk.AtLeast(0), Group: "Process", Order: 4, Doc: "How often the connector is asked again how to divide its work. If it is another way then, its tasks begin anew. 0: only when it starts."}

// plugin is a connector that a program has. It may be used by several goroutines.
type plugin struct {
	described
	program string
	options []sdk.Option
}

type source struct{ *plugin }

type sink struct{ *plugin }

// Info implements sdk.Connector.
func (p *plugin) Info() sdk.Info { return sdk.Info{Class: p.Class, Version: p.Version, Doc: p.Doc} }

// Options implements sdk.Connector.
func (p *plugin) Options() []sdk.Option { return p.options }

// Defaults implements sdk.Preset.
func (p *plugin) Defaults() map[string]string { return p.described.Defaults }

// HasOption implements sdk.Patterned.
func (p *plugin) HasOption(name string) bool {
	return slices.ContainsFunc(p.described.Options, func(o option) bool { return o.pattern() && strings.HasPrefix(name, strings.TrimSuffix(o.Name, "*")) })
}

// NewTask implements sdk.Source.
func (s source) NewTask() sdk.SourceTask { return &sourceTask{plugin: s.plugin} }

// NewTask implements sdk.Sink.
func (s sink) NewTask() sdk.SinkTask {
	t := &sinkTask{plugin: s.plugin}
	if s.uses(usesFlush) {
		return flusher{t}
	}
	return t
}

func (p *plugin) uses(what string) bool { return slices.Contains(p.Uses, what) }

// config gives what a process is told of a configuration: all of it, with the defaults of its options.
func (p *plugin) config(v sdk.Values) map[string]string {
	out := map[string]string{}
	for _, o := range p.options {
		if o.Default != "" && !o.NoDefault {
			out[o.Name] = o.Default
		}
	}
	for name, value := range v.Map() {
		out[name] = value
	}
	return out
}

// fields appends what a request has besides its kind.
func fields(b []byte, more ...any) []byte {
	for i := 0; i < len(more); i += 2 {
		b = append(append(append(append(b, `,"`...), more[i].(string)...), `":`...), inJSON(more[i+1])...)
	}
	return b
}

func inJSON(v any) []byte {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	if err := e.Encode(v); err != nil {
		panic("BUG: a request that is no JSON: " + err.Error())
	}
	return bytes.TrimSuffix(b.Bytes(), []byte("\n"))
}

// masks hides the values of passwords.
func (p *plugin) masks(v sdk.Values) func(string) string {
	var secrets []string
	for _, o := range p.options {
		if secret := v.String(o.Name); o.Kind == sdk.PasswordOption && len(secret) >= shortestSecret {
			secrets = append(secrets, secret, "[hidden]")
		}
	}
	return masked(strings.NewReplacer(secrets...).Replace, v.Map())
}

// masked hides besides what mask does also how that looks in JSON, which a process may repeat.
func masked(mask func(string) string, config map[string]string) func(string) string {
	var secrets []string
	for _, value := range config {
		quoted := string(inJSON(value))
		if quoted = quoted[1 : len(quoted)-1]; quoted != value && mask(value) != value {
			secrets = append(secrets, quoted, "[hidden]")
		}
	}
	inside := strings.NewReplacer(secrets...)
	return func(text string) string { return mask(inside.Replace(text)) }
}

// shortestSecret is how long a value has to be to be hidden: the letters of a shorter one are everywhere.
const shortestSecret = 3

// open starts a process for a configuration, and hears that it still is the connector that it was.
func (p *plugin) open(ctx context.Context, v sdk.Values, hear hearers) (*conn, error) {
	l := limits{answer: v.Milliseconds(answerOption), stop: v.Milliseconds(stopOption), line: int(v.Int(lineOption))}
	c, err := dial(p.program, l, hear)
	if err != nil {
		return nil, err
	}
	h, err := c.hello(ctx)
	if err == nil && !slices.ContainsFunc(h.Connectors, func(d described) bool { return d.Class == p.Class && d.Kind == p.Kind }) {
		err = sdk.Misconfigured("The program %s is no %s %s any more; restart the worker, which asks it again what it is", p.program, p.Kind, p.Class)
	}
	if err != nil {
		_ = c.close()
		return nil, err
	}
	return c, nil
}

// once makes one request of a process of its own. Its log is not logged: with values that the configuration refers to, nobody knows what is
// secret in it.
func (p *plugin) once(ctx context.Context, v sdk.Values, kind string, more ...any) (*message, error) {
	c, err := p.open(ctx, v, hearers{mask: p.masks(v)})
	if err != nil {
		return nil, err
	}
	defer func() { _ = c.close() }()
	return c.call(ctx, kind, fields(nil, append(more, "class", p.Class, "config", p.config(v))...))
}

// Validate implements sdk.Validator.
func (p *plugin) Validate(ctx context.Context, v sdk.Values) []sdk.OptionError {
	if !p.uses(usesValidate) {
		return nil
	}
	var faults []sdk.OptionError
	m, err := p.once(ctx, v, "validate")
	if err == nil {
		faults, err = m.faults()
	}
	if err != nil {
		return []sdk.OptionError{{Option: "connector.class", Err: fmt.Errorf("the configuration cannot be checked: %w", err)}}
	}
	mask := p.masks(v)
	for i := range faults {
		faults[i].Err = fmt.Errorf("%s", mask(faults[i].Err.Error()))
	}
	return faults
}

// Split implements sdk.Splitter.
func (p *plugin) Split(ctx context.Context, v sdk.Values, most int) ([]map[string]string, error) {
	switch {
	case p.uses(usesSplit):
	case p.Kind == "sink":
		return make([]map[string]string, most), nil
	default:
		return make([]map[string]string, 1), nil
	}
	m, err := p.once(ctx, v, "split", "most", most)
	if err != nil {
		return nil, fmt.Errorf("the work cannot be divided: %w", err)
	}
	tasks, err := m.tasks()
	if err != nil {
		return nil, fmt.Errorf("the work cannot be divided: the answer to split is not right: %w", err)
	}
	return tasks, nil
}

// Watch implements sdk.Watcher: the work is divided anew from time to time, which changes nothing if it is the same.
func (p *plugin) Watch(ctx context.Context, v sdk.Values, changed func()) error {
	each := v.Milliseconds(splitOption)
	if each <= 0 { // also if it does not divide its work
		<-ctx.Done()
		return nil
	}
	tick := time.NewTicker(each)
	defer tick.Stop()
	for {
		select {
		case <-tick.C:
			changed()
		case <-ctx.Done():
			return nil
		}
	}
}

// CheckPositions implements sdk.OffsetChecker.
func (s source) CheckPositions(v sdk.Values, positions []sdk.Position) error {
	if !s.uses(usesOffsets) {
		return nil
	}
	_, err := s.once(context.Background(), v, "offsets", "positions", inWords(positions))
	return err
}

// position is one as processes are told of it.
type position struct {
	Partition map[string]any `json:"partition"`
	Offset    map[string]any `json:"offset"` // nil: it is forgotten
}

func inWords(positions []sdk.Position) []position {
	out := make([]position, len(positions))
	for i, p := range positions {
		out[i] = position(p)
	}
	return out
}

// taskContext is what tasks of both kinds are given by the runtime.
type taskContext interface {
	Logger() *slog.Logger
	Connector() string
	Task() int
}

// start starts the process of a task.
func (p *plugin) start(ctx context.Context, t taskContext, v sdk.Values) (*conn, error) {
	h := hearers{log: logLine(t.Logger().With("program", p.program)), mask: p.masks(v)}
	if m, ok := t.(sdk.Masking); ok {
		h.mask = masked(m.Mask, v.Map())
	}
	if n, ok := t.(sdk.Noting); ok {
		h.noting = n.Note
	}
	return p.open(ctx, v, h)
}
