package process

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/weir/weir/connect/sdk"
)

// helloTime is how long a program may take to say what it is.
const helloTime = 10 * time.Second

// atOnce is how many programs are asked at the same time.
const atOnce = 4

// Find asks the programs in folders, but not in those under them, which connectors they are. known are those that there are already: a class
// belongs to the first that has it. What cannot be used is logged and left out.
func Find(folders []string, known []sdk.Connector, logger *slog.Logger) []sdk.Connector {
	programs := programsIn(folders, logger)
	found := make([][]sdk.Connector, len(programs))
	failed := make([]error, len(programs))
	var asking sync.WaitGroup
	slots := make(chan struct{}, atOnce)
	for i, program := range programs {
		asking.Go(func() {
			slots <- struct{}{}
			defer func() { <-slots }()
			found[i], failed[i] = Describe(program)
		})
	}
	asking.Wait()
	owner := map[string]string{}
	for _, c := range known {
		for _, class := range append([]string{c.Info().Class}, c.Info().Aliases...) {
			owner[class] = "Weir itself"
		}
	}
	var out []sdk.Connector
	for i, program := range programs {
		if failed[i] != nil {
			logger.Error("a program in plugin.path is no connector that can be used, and is left out", "program", program, "error", failed[i])
			continue
		}
		for _, c := range found[i] {
			class := c.Info().Class
			if of, taken := owner[class]; taken {
				logger.Error("a connector in plugin.path is left out: another one has its class", "program", program, "class", class, "other", of)
				continue
			}
			owner[class] = program
			out = append(out, c)
			logger.Info("found a connector in plugin.path", "class", class, "version", c.Info().Version, "program", program)
		}
	}
	return out
}

// programsIn lists what can be executed in folders.
func programsIn(folders []string, logger *slog.Logger) []string {
	var out []string
	for _, folder := range folders {
		if folder = strings.TrimSpace(folder); folder == "" {
			continue
		}
		folder, err := filepath.Abs(folder)
		var files []os.DirEntry
		if err == nil {
			files, err = os.ReadDir(folder)
		}
		if err != nil {
			logger.Error("a folder of plugin.path cannot be read; there are no connectors from it", "folder", folder, "error", err)
			continue
		}
		for _, f := range files {
			name := filepath.Join(folder, f.Name())
			info, err := os.Stat(name)
			if err != nil || !info.Mode().IsRegular() || info.Mode()&0o111 == 0 || slices.Contains(out, name) {
				continue
			}
			if strings.HasPrefix(f.Name(), ".") || strings.HasSuffix(f.Name(), ".jar") { // Kafka's plugin.path has those
				continue
			}
			out = append(out, name)
		}
	}
	return out
}

// Describe asks a program which connectors it is.
func Describe(program string) ([]sdk.Connector, error) {
	ctx, cancel := context.WithTimeout(context.Background(), helloTime)
	defer cancel()
	c, err := dial(program, limits{answer: helloTime, stop: time.Second, line: defaultLine}, hearers{})
	if err != nil {
		return nil, err
	}
	h, err := c.hello(ctx)
	ended := c.close()
	if errors.Is(err, context.DeadlineExceeded) {
		return nil, fmt.Errorf("it has not answered hello for %v", helloTime)
	}
	if err != nil {
		return nil, err
	}
	if ended != nil {
		return nil, fmt.Errorf("it does not end as it should when its standard input ends: %w", ended)
	}
	out, err := h.connectors(program)
	if err != nil {
		return nil, fmt.Errorf("what it says of itself is not right: %w", err)
	}
	return out, nil
}

// hello is what a program says of itself.
type hello struct {
	Protocol   int64       `json:"protocol"`
	Connectors []described `json:"connectors"`
}

// described is a connector of a program.
type described struct {
	Class    string            `json:"class"`
	Kind     string            `json:"kind"`
	Version  string            `json:"version"`
	Doc      string            `json:"doc"`
	Uses     []string          `json:"uses"`
	Defaults map[string]string `json:"defaults"`
	Options  []option          `json:"options"`
}

// option is one of a described connector.
type option struct {
	Name       string         `json:"name"`
	Type       sdk.Kind       `json:"type"`
	Required   bool           `json:"required"`
	Default    *scalar        `json:"default"`
	Importance sdk.Importance `json:"importance"`
	Doc        string         `json:"doc"`
	Group      string         `json:"group"`
	Display    string         `json:"display"`
	Values     []string       `json:"values"`
	Least      *int64         `json:"least"`
}

// scalar is a text, a number or a boolean, as text.
type scalar string

// UnmarshalJSON implements json.Unmarshaler.
func (s *scalar) UnmarshalJSON(b []byte) error {
	var v any
	if err := json.Unmarshal(b, &v); err != nil {
		return err
	}
	switch v := v.(type) {
	case string:
		*s = scalar(v)
	case bool, float64:
		*s = scalar(b)
	default:
		return errors.New("a default is a text, a number or a boolean")
	}
	return nil
}

// What a connector may ask for besides what all do.
const (
	usesValidate   = "validate"
	usesSplit      = "split"
	usesOffsets    = "offsets"
	usesCommit     = "commit"
	usesDurable    = "durable"
	usesFlush      = "flush"
	usesPartitions = "partitions"
)

var usable = map[string][]string{
	"source": {usesValidate, usesSplit, usesOffsets, usesCommit, usesDurable},
	"sink":   {usesValidate, usesSplit, usesFlush, usesPartitions},
}

// Bounds of what a program may say of itself.
const (
	mostConnectors = 100
	mostOptions    = 1000
)

var className = regexp.MustCompile(`^[A-Za-z_][A-Za-z0-9_.$-]{0,199}$`)

func (h *hello) connectors(program string) ([]sdk.Connector, error) {
	if len(h.Connectors) == 0 || len(h.Connectors) > mostConnectors {
		return nil, fmt.Errorf("it has %d connectors; there have to be 1 to %d", len(h.Connectors), mostConnectors)
	}
	var out []sdk.Connector
	for _, d := range h.Connectors {
		p := &plugin{program: program, described: d}
		if err := p.complete(); err != nil {
			return nil, fmt.Errorf("connector %q: %w", short(d.Class), err)
		}
		if d.Kind == "source" {
			out = append(out, source{p})
		} else {
			out = append(out, sink{p})
		}
	}
	return out, nil
}

// complete checks what is described, and makes the options.
func (p *plugin) complete() error {
	switch {
	case !className.MatchString(p.Class):
		return errors.New("a class is letters, digits, dots, underscores, dollars and hyphens")
	case usable[p.Kind] == nil:
		return fmt.Errorf(`its kind is %q; it has to be "source" or "sink"`, short(p.Kind))
	case p.Version == "":
		return errors.New("it has no version")
	case len(p.described.Options) > mostOptions:
		return fmt.Errorf("it has %d options; there may be %d", len(p.described.Options), mostOptions)
	}
	for _, u := range p.Uses {
		if !slices.Contains(usable[p.Kind], u) {
			return fmt.Errorf("it uses %q, which a %s may not: choose of %s", short(u), p.Kind, strings.Join(usable[p.Kind], ", "))
		}
	}
	for i := range p.described.Options {
		o, err := p.described.Options[i].make()
		if err != nil {
			return fmt.Errorf("option %q: %w", short(p.described.Options[i].Name), err)
		}
		p.options = append(p.options, o)
	}
	p.options = append(p.options, processOptions...)
	if p.uses(usesSplit) {
		p.options = append(p.options, splitting)
	}
	names := map[string]bool{}
	for _, o := range p.options {
		if names[o.Name] {
			return fmt.Errorf("option %q: there are two of it", o.Name)
		}
		names[o.Name] = true
	}
	_, wrong := sdk.Parse(p.options, nil)
	for _, w := range wrong {
		if o := p.option(w.Option); o != nil && !o.Required {
			return fmt.Errorf("option %q: its default is not right: %w", w.Option, w.Err)
		}
	}
	return nil
}

func (p *plugin) option(name string) *sdk.Option {
	if i := slices.IndexFunc(p.options, func(o sdk.Option) bool { return o.Name == name }); i >= 0 {
		return &p.options[i]
	}
	return nil
}

var (
	kinds       = []sdk.Kind{sdk.BooleanOption, sdk.StringOption, sdk.IntOption, sdk.ShortOption, sdk.LongOption, sdk.DoubleOption, sdk.ListOption, sdk.ClassOption, sdk.PasswordOption}
	importances = []sdk.Importance{sdk.High, sdk.Medium, sdk.Low}
)

// make gives the option that is described.
func (o *option) make() (sdk.Option, error) {
	out := sdk.Option{Name: o.Name, Kind: o.Type, Required: o.Required, Importance: o.Importance, Doc: o.Doc, Group: o.Group, Display: o.Display}
	if out.Kind == "" {
		out.Kind = sdk.StringOption
	}
	if out.Importance == "" {
		out.Importance = sdk.Medium
	}
	switch {
	case o.Name == "" || strings.ContainsAny(o.Name, " \t\n=,"):
		return out, errors.New("that is no name of an option")
	case !slices.Contains(kinds, out.Kind):
		return out, fmt.Errorf("there is no type %q: choose of %v", short(string(out.Kind)), kinds)
	case !slices.Contains(importances, out.Importance):
		return out, fmt.Errorf("there is no importance %q: choose of %v", short(string(out.Importance)), importances)
	case o.Required && o.Default != nil:
		return out, errors.New("it is required and has a default")
	case o.Required && o.pattern():
		return out, errors.New("it is required and stands for many")
	}
	if out.NoDefault = o.Default == nil && !o.Required; o.Default != nil {
		out.Default = string(*o.Default)
	}
	switch {
	case len(o.Values) > 0:
		out.Check = sdk.OneOf(o.Values...)
		out.Recommended = func(sdk.Values) []string { return o.Values }
	case o.Least != nil:
		out.Check = sdk.AtLeast(*o.Least)
	}
	return out, nil
}

// pattern tells whether the option stands for all whose names begin as it does: header.*
func (o *option) pattern() bool { return strings.HasSuffix(o.Name, "*") }
