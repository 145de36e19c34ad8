package cli

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"os"
	"slices"
	"strings"

	"github.com/spf13/cobra"
)

const (
	connectEnv     = "WEIR_CONNECT_URL"
	connectDefault = "http://127.0.0.1:8083"
)

func connectCommand(o *options) *cobra.Command {
	c := &connectClient{o: o}
	cmd := group(&cobra.Command{
		Use:   "connect",
		Short: "Run connectors, which bring data into topics and out of them",
		Long: `Run connectors, which bring data into topics and out of them, and work with those that run.

Connectors are run by workers. 'weir serve' has one; 'weir connect worker' and 'weir connect standalone' are
workers by themselves, for any Kafka cluster. All other commands ask the REST API of a worker, of Weir or of
Kafka Connect: the one at --url, or at $` + connectEnv + `.`,
		Example: `  weir connect plugins
  weir connect create lines.json
  weir connect status --watch
  weir connect restart lines`,
	})
	cmd.PersistentFlags().StringVar(&c.url, "url", connectDefault, "the REST API of a worker; $"+connectEnv+" sets another default")
	cmd.AddCommand(connectWorkerCommand(o), connectStandaloneCommand(o), c.list(), c.create(), c.status(), c.config(),
		c.aim("pause", "Let connectors wait", "Lets connectors wait: their tasks are there and do nothing, until they are resumed.", "pause", http.MethodPut, "paused"),
		c.aim("resume", "Let connectors go on", "Lets connectors go on that were paused or stopped.", "resume", http.MethodPut, "resumed"),
		c.aim("stop", "Stop connectors", "Stops connectors: they have no tasks any more until they are resumed. Only then their offsets can be set.", "stop", http.MethodPut, "stopped"),
		c.restart(), c.delete(), c.offsets(), c.plugins(), c.validate(), c.new())
	return cmd
}

// connectClient asks the REST API of a worker.
type connectClient struct {
	o   *options
	url string
}

// connectError is an answer that says no.
type connectError struct {
	status int
	text   string
}

func (e *connectError) Error() string { return e.text }

// ask sends a request, with body as JSON unless it is nil, and reads the answer into out unless that is nil.
func (c *connectClient) ask(ctx context.Context, cmd *cobra.Command, method, path string, body, out any) error {
	base := c.url
	if env := os.Getenv(connectEnv); env != "" && !cmd.Flags().Changed("url") {
		base = env
	}
	if !strings.Contains(base, "://") {
		base = "http://" + base
	}
	var send io.Reader
	if body != nil {
		b, err := json.Marshal(body)
		if err != nil {
			return err
		}
		send = bytes.NewReader(b)
	}
	ctx, cancel := context.WithTimeout(ctx, c.o.timeout)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, method, strings.TrimSuffix(base, "/")+path, send)
	if err != nil {
		return usagef("--url %s: write it as http://host:port", base)
	}
	if body != nil {
		req.Header.Set("Content-Type", "application/json")
	}
	req.Header.Set("Accept", "application/json")
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return explainConnect(err, base, ctx)
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	if err != nil {
		return explainConnect(err, base, ctx)
	}
	if resp.StatusCode >= 300 {
		var told struct{ Message string }
		if json.Unmarshal(b, &told) != nil || told.Message == "" {
			return fmt.Errorf("%s answers %s: is it the REST API of Kafka Connect?", base, resp.Status)
		}
		return &connectError{resp.StatusCode, told.Message}
	}
	if out == nil || len(b) == 0 {
		return nil
	}
	if err := json.Unmarshal(b, out); err != nil {
		return fmt.Errorf("the answer of %s is not one of Kafka Connect's: %w", base, err)
	}
	return nil
}

// explainConnect says why there is no answer, and what to do.
func explainConnect(err error, base string, ctx context.Context) error {
	var dns *net.DNSError
	switch {
	case errors.Is(ctx.Err(), context.DeadlineExceeded):
		return fmt.Errorf("no answer from the worker at %s in time: --timeout waits longer", base)
	case ctx.Err() != nil:
		return ctx.Err()
	case errors.As(err, &dns):
		return fmt.Errorf("host %q is not known: check --url", dns.Name)
	}
	var failed *url.Error
	if errors.As(err, &failed) {
		err = failed.Err
	}
	return fmt.Errorf("no worker of Kafka Connect answers at %s (%v): `weir serve` runs one, and --url names another", base, err)
}

// connectorPath is where a connector is in the REST API.
func connectorPath(name string, more ...string) string {
	return strings.Join(append([]string{"/connectors", url.PathEscape(name)}, more...), "/")
}

// names completes the names of connectors.
func (c *connectClient) names(many bool) completion {
	return func(cmd *cobra.Command, args []string, _ string) ([]string, cobra.ShellCompDirective) {
		if len(args) > 0 && !many {
			return nil, cobra.ShellCompDirectiveNoFileComp
		}
		ctx, cancel := context.WithTimeout(context.Background(), completionTimeout)
		defer cancel()
		var names []string
		_ = c.ask(ctx, cmd, http.MethodGet, "/connectors", nil, &names) // without an answer there is nothing to offer
		slices.Sort(names)
		return names, cobra.ShellCompDirectiveNoFileComp
	}
}

// each does something with each of some connectors, and tells what was done.
func (c *connectClient) each(cmd *cobra.Command, names []string, done string, f func(name string) error) error {
	p := c.o.printer(cmd)
	ok := []string{}
	var failed []error
	for _, name := range names {
		if err := f(name); err != nil {
			failed = append(failed, fmt.Errorf("%s: %w", name, err))
			continue
		}
		ok = append(ok, name)
		if !p.json {
			failed = append(failed, p.line("%s: %s", escape(name), done))
		}
	}
	if p.json {
		failed = append(failed, p.document(ok))
	}
	return joined(failed...)
}

// aim makes a command that sets the state of connectors.
func (c *connectClient) aim(use, short, long, path, method, done string) *cobra.Command {
	return &cobra.Command{
		Use:               use + " CONNECTOR...",
		Short:             short,
		Long:              long + "\n\nJSON: a list of the names of those for which it was done.",
		Example:           "  weir connect " + use + " orders",
		Args:              needs("connector", true),
		ValidArgsFunction: c.names(true),
		RunE: c.o.run(func(ctx context.Context, cmd *cobra.Command, args []string) error {
			return c.each(cmd, args, done, func(name string) error {
				return c.ask(ctx, cmd, method, connectorPath(name, path), nil, nil)
			})
		}),
	}
}

func (c *connectClient) restart() *cobra.Command {
	var failed, only bool
	var task int
	cmd := &cobra.Command{
		Use:   "restart CONNECTOR...",
		Short: "Start connectors and their tasks anew",
		Long: `Starts connectors and their tasks anew: all of them, only what has failed, only the connectors themselves,
or only one task.

JSON: a list of the names of those for which it was done.`,
		Example: `  weir connect restart orders
  weir connect restart orders --failed
  weir connect restart orders --task 2`,
		Args:              needs("connector", true),
		ValidArgsFunction: c.names(true),
		RunE: c.o.run(func(ctx context.Context, cmd *cobra.Command, args []string) error {
			if task >= 0 && (failed || only) {
				return usagef("--task does not go with --failed or --connector-only")
			}
			return c.each(cmd, args, "restarting", func(name string) error {
				path := fmt.Sprintf("%s?includeTasks=%t&onlyFailed=%t", connectorPath(name, "restart"), !only, failed)
				if task >= 0 {
					path = connectorPath(name, "tasks", fmt.Sprint(task), "restart")
				}
				return c.ask(ctx, cmd, http.MethodPost, path, nil, nil)
			})
		}),
	}
	cmd.Flags().BoolVar(&failed, "failed", false, "only what has failed")
	cmd.Flags().BoolVar(&only, "connector-only", false, "not the tasks")
	cmd.Flags().IntVar(&task, "task", -1, "only the task with this `number`")
	return cmd
}

func (c *connectClient) delete() *cobra.Command {
	d := deleter{kind: "connector"}
	cmd := &cobra.Command{
		Use:   "delete CONNECTOR...",
		Short: "Delete connectors",
		Long: `Deletes connectors with their tasks. What they have written stays, and so does how far they were: one that
is created again under the same name goes on there ('weir connect offsets --reset' lets it begin anew).

JSON: a list of the names of those that were deleted.`,
		Example:           "  weir connect delete orders",
		Args:              needs("connector", true),
		ValidArgsFunction: c.names(true),
		RunE: c.o.run(func(ctx context.Context, cmd *cobra.Command, args []string) error {
			if err := d.confirm(ctx, cmd, args, "their tasks"); err != nil {
				return err
			}
			return d.print(c.o.printer(cmd), args, func(name string) (bool, error) {
				err := c.ask(ctx, cmd, http.MethodDelete, connectorPath(name), nil, nil)
				var told *connectError
				return errors.As(err, &told) && told.status == http.StatusNotFound, err
			})
		}),
	}
	d.flags(cmd)
	return cmd
}

func (c *connectClient) list() *cobra.Command {
	return &cobra.Command{
		Use:   "list",
		Short: "List connectors",
		Long: `List connectors.

JSON: a list of objects with the fields name, type (source or sink), class, state, tasks (how many) and
failed (how many of them).`,
		Example: `  weir connect list
  weir connect list -o json | jq -r '.[] | select(.failed > 0).name'`,
		Args:              noArgs,
		ValidArgsFunction: cobra.NoFileCompletions,
		RunE: c.o.run(func(ctx context.Context, cmd *cobra.Command, _ []string) error {
			var known map[string]struct {
				Status connectStatus
				Info   struct {
					Type   string
					Config map[string]string
				}
			}
			if err := c.ask(ctx, cmd, http.MethodGet, "/connectors?expand=status&expand=info", nil, &known); err != nil {
				return err
			}
			type summary struct {
				Name   string `json:"name"`
				Type   string `json:"type"`
				Class  string `json:"class"`
				State  string `json:"state"`
				Tasks  int    `json:"tasks"`
				Failed int    `json:"failed"`
			}
			out := []summary{}
			for name, k := range known {
				s := summary{Name: name, Type: k.Info.Type, Class: k.Info.Config["connector.class"], State: k.Status.Connector.State, Tasks: len(k.Status.Tasks)}
				for _, t := range k.Status.Tasks {
					if t.State == stateFailed {
						s.Failed++
					}
				}
				out = append(out, s)
			}
			slices.SortFunc(out, func(a, b summary) int { return strings.Compare(a.Name, b.Name) })
			p := c.o.printer(cmd)
			if p.json {
				return p.document(out)
			}
			t := newTable("CONNECTOR", "TYPE", "STATE", "TASKS", "FAILED", "CLASS")
			for _, s := range out {
				t.row(s.Name, s.Type, s.State, s.Tasks, s.Failed, s.Class)
			}
			return p.table(t)
		}),
	}
}

// readConnector reads a connector's configuration: an object with name and config, as it is sent to create one, or only the config, as
// JSON, or a properties file. file is "-" for standard input.
func readConnector(cmd *cobra.Command, file string) (name string, config map[string]string, err error) {
	b, err := readFileOr(cmd, file)
	if err != nil {
		return "", nil, err
	}
	if config, err = connectorConfig(b); err != nil {
		return "", nil, fmt.Errorf("%s: %w", file, err)
	}
	return config["name"], config, nil
}

// readFileOr reads a file, or standard input if it is called "-".
func readFileOr(cmd *cobra.Command, file string) ([]byte, error) {
	if file == "-" {
		return io.ReadAll(cmd.InOrStdin())
	}
	return os.ReadFile(file)
}
