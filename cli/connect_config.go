package cli

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strings"

	"github.com/magiconair/properties"
	"github.com/spf13/cobra"
)

// connectorConfig reads a connector's configuration from JSON or properties. Its name is among the options.
func connectorConfig(b []byte) (map[string]string, error) {
	config := map[string]string{}
	if !bytes.HasPrefix(bytes.TrimSpace(b), []byte("{")) {
		loading := properties.Loader{Encoding: properties.UTF8, DisableExpansion: true}
		p, err := loading.LoadBytes(b)
		if err != nil {
			return nil, fmt.Errorf("it is neither JSON nor properties: %w", err)
		}
		for name, value := range p.Map() {
			config[name] = strings.TrimSpace(value)
		}
		return config, nil
	}
	var whole struct {
		Name   string
		Config json.RawMessage
	}
	if err := json.Unmarshal(b, &whole); err == nil && whole.Config != nil {
		b = whole.Config
	}
	var values map[string]any
	d := json.NewDecoder(bytes.NewReader(b))
	d.UseNumber()
	if err := d.Decode(&values); err != nil {
		return nil, fmt.Errorf("it is not right as JSON: %w", err)
	}
	for name, value := range values {
		switch value.(type) {
		case string, json.Number, bool:
			config[name] = fmt.Sprint(value)
		default:
			return nil, fmt.Errorf("the value of %s has to be a string", name)
		}
	}
	if whole.Name != "" {
		if own, ok := config["name"]; ok && own != whole.Name {
			return nil, fmt.Errorf("it has two names, %s and %s", whole.Name, own)
		}
		config["name"] = whole.Name
	}
	return config, nil
}

func (c *connectClient) create() *cobra.Command {
	var update bool
	cmd := &cobra.Command{
		Use:   "create FILE",
		Short: "Create a connector",
		Long: `Creates a connector from a file: JSON with name and config, as it is sent to the REST API, or only the
config, or properties. - reads standard input. With --update one that is there already is changed.

JSON: the connector as the REST API tells it: name, config, tasks, type.`,
		Example: `  weir connect create lines.json
  jq '.config.topic = "other"' lines.json | weir connect create --update -`,
		Args: needs("file", false),
		RunE: c.o.run(func(ctx context.Context, cmd *cobra.Command, args []string) error {
			name, config, err := readConnector(cmd, args[0])
			if err != nil {
				return err
			}
			if name == "" {
				return fmt.Errorf("%s: it has no name", args[0])
			}
			return c.write(ctx, cmd, name, config, update)
		}),
	}
	cmd.Flags().BoolVar(&update, "update", false, "change it if it is there")
	return cmd
}

// write creates or changes a connector, and shows it.
func (c *connectClient) write(ctx context.Context, cmd *cobra.Command, name string, config map[string]string, update bool) error {
	var out json.RawMessage
	var err error
	if update {
		err = c.ask(ctx, cmd, http.MethodPut, connectorPath(name, "config"), config, &out)
	} else {
		err = c.ask(ctx, cmd, http.MethodPost, "/connectors", map[string]any{"name": name, "config": config}, &out)
	}
	if err != nil {
		return shortened(err)
	}
	p := c.o.printer(cmd)
	if p.json {
		return p.document(out)
	}
	done := "created"
	if update {
		done = "configured"
	}
	return p.line("Connector %s is %s; `weir connect status %s` shows how it fares.", escape(name), done, escape(name))
}

// shortened leaves out of an error what only helps those who use the REST API.
func shortened(err error) error {
	var told *connectError
	if !errors.As(err, &told) {
		return err
	}
	text, _, _ := strings.Cut(told.text, "\nYou can also find the above list of errors")
	return &connectError{told.status, text}
}

func (c *connectClient) config() *cobra.Command {
	var set, unset []string
	cmd := &cobra.Command{
		Use:   "config CONNECTOR",
		Short: "Show or change the configuration of a connector",
		Long: `Shows the configuration of a connector, or changes some of it with --set and --unset.

JSON: an object with the options.`,
		Example: `  weir connect config orders
  weir connect config orders --set tasks.max=4 --unset transforms`,
		Args:              needs("connector", false),
		ValidArgsFunction: c.names(false),
		RunE: c.o.run(func(ctx context.Context, cmd *cobra.Command, args []string) error {
			changes := map[string]any{}
			for _, kv := range set {
				name, value, ok := strings.Cut(kv, "=")
				if !ok {
					return usagef("--set %s: write it as name=value", kv)
				}
				changes[name] = value
			}
			for _, name := range unset {
				changes[name] = nil
			}
			config := map[string]string{}
			if len(changes) > 0 {
				var changed struct{ Config map[string]string }
				if err := c.ask(ctx, cmd, http.MethodPatch, connectorPath(args[0], "config"), changes, &changed); err != nil {
					return shortened(err)
				}
				config = changed.Config
			} else if err := c.ask(ctx, cmd, http.MethodGet, connectorPath(args[0], "config"), nil, &config); err != nil {
				return err
			}
			p := c.o.printer(cmd)
			if p.json {
				return p.document(config)
			}
			t := newTable("OPTION", "VALUE")
			for _, name := range slices.Sorted(maps.Keys(config)) {
				t.row(name, config[name])
			}
			return p.table(t)
		}),
	}
	cmd.Flags().StringArrayVar(&set, "set", nil, "an option as `name=value`; may be given several times")
	cmd.Flags().StringArrayVar(&unset, "unset", nil, "the `name` of an option to remove; may be given several times")
	return cmd
}

// connectValidation is what a worker says of a configuration.
type connectValidation struct {
	Errors  int `json:"error_count"`
	Configs []struct {
		Definition *connectOption
		Value      struct {
			Name     string
			Value    *string
			Errors   []string
			Warnings []string
		}
	}
}

type connectOption struct {
	Name       string
	Type       string
	Required   bool
	Default    *string `json:"default_value"`
	Importance string
	Doc        string `json:"documentation"`
	Group      *string
}

// connectFault is what is wrong with an option. Its JSON names are documented in the help.
type connectFault struct {
	Option string `json:"option"`
	Error  string `json:"error"`
}

// warn tells of what is no error: options that have no effect.
func (v connectValidation) warn(cmd *cobra.Command) {
	for _, option := range v.Configs {
		for _, w := range option.Value.Warnings {
			cmd.PrintErrf("%s\n", oneLine(w))
		}
	}
}

func (v connectValidation) faults() []connectFault {
	out := []connectFault{}
	for _, option := range v.Configs {
		for _, e := range option.Value.Errors {
			out = append(out, connectFault{option.Value.Name, e})
		}
	}
	return out
}

// check has the worker check a configuration.
func (c *connectClient) check(ctx context.Context, cmd *cobra.Command, config map[string]string) (v connectValidation, err error) {
	class := config["connector.class"]
	if class == "" {
		return v, errors.New("it has no connector.class")
	}
	err = c.ask(ctx, cmd, http.MethodPut, "/connector-plugins/"+class+"/config/validate", config, &v)
	v.warn(cmd)
	return v, err
}

func (c *connectClient) validate() *cobra.Command {
	return &cobra.Command{
		Use:   "validate FILE",
		Short: "Check the configuration of a connector without creating it",
		Long: `Checks the configuration of a connector without creating it: the options by themselves and, as far as the
connector does that, against the system that it is for. The file is one as for 'weir connect create'. If
anything is wrong, the exit code is 1.

JSON: a list of objects with the fields option and error.`,
		Example: "  weir connect validate lines.json",
		Args:    needs("file", false),
		RunE: c.o.run(func(ctx context.Context, cmd *cobra.Command, args []string) error {
			_, config, err := readConnector(cmd, args[0])
			if err != nil {
				return err
			}
			v, err := c.check(ctx, cmd, config)
			if err != nil {
				return err
			}
			faults := v.faults()
			if err := printFaults(c.o.printer(cmd), faults); err != nil || len(faults) == 0 {
				return err
			}
			return exitCode(exitFailed)
		}),
	}
}

func printFaults(p *printer, faults []connectFault) error {
	switch {
	case p.json:
		return p.document(faults)
	case len(faults) == 0:
		return p.line("Nothing is wrong with it.")
	}
	t := newTable("OPTION", "ERROR")
	for _, f := range faults {
		t.row(f.Option, oneLine(f.Error))
	}
	return p.table(t)
}

func (c *connectClient) plugins() *cobra.Command {
	var all bool
	cmd := &cobra.Command{
		Use:   "plugins [CLASS]",
		Short: "List the connectors that there are, or the options of one",
		Long: `Lists the connectors that a worker can run, with --all also transforms, predicates and converters; or the
options of one of them, by its class or by a name that 'weir connect new' takes.

JSON: a list of objects with the fields class, type and version; of options those with which the REST API
tells them: name, type, required, default_value, importance, documentation, group, order_in_group, width,
display_name, dependents.`,
		Example: `  weir connect plugins
  weir connect plugins postgres-cdc`,
		Args: cobra.MaximumNArgs(1),
		RunE: c.o.run(func(ctx context.Context, cmd *cobra.Command, args []string) error {
			p := c.o.printer(cmd)
			if len(args) == 1 {
				return c.showOptions(ctx, cmd, p, longClass(args[0]))
			}
			var plugins []struct {
				Class   string `json:"class"`
				Type    string `json:"type"`
				Version string `json:"version"`
			}
			if err := c.ask(ctx, cmd, http.MethodGet, fmt.Sprintf("/connector-plugins?connectorsOnly=%t", !all), nil, &plugins); err != nil {
				return err
			}
			if p.json {
				return p.document(orEmpty(plugins))
			}
			t := newTable("CLASS", "TYPE", "VERSION")
			for _, plugin := range plugins {
				t.row(plugin.Class, plugin.Type, plugin.Version)
			}
			return p.table(t)
		}),
	}
	cmd.Flags().BoolVar(&all, "all", false, "also transforms, predicates and converters")
	return cmd
}

func (c *connectClient) showOptions(ctx context.Context, cmd *cobra.Command, p *printer, class string) error {
	var raw json.RawMessage
	if err := c.ask(ctx, cmd, http.MethodGet, "/connector-plugins/"+class+"/config", nil, &raw); err != nil {
		return err
	}
	if p.json {
		return p.document(raw)
	}
	var options []connectOption
	if err := json.Unmarshal(raw, &options); err != nil {
		return err
	}
	t := newTable("OPTION", "TYPE", "DEFAULT", "MEANING")
	for _, o := range options {
		shown := ""
		switch {
		case o.Required:
			shown = "(required)"
		case o.Default != nil:
			shown = *o.Default
		}
		meaning, _, _ := strings.Cut(oneLine(o.Doc), ". ")
		t.row(o.Name, strings.ToLower(o.Type), shown, meaning)
	}
	return p.table(t)
}
