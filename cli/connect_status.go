package cli

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"
)

// stateFailed is the state of what has failed, and is tried again later.
const stateFailed = "FAILED"

// connectStatus is how a connector fares. Its JSON names are documented in the help.
type connectStatus struct {
	Name      string        `json:"name"`
	Type      string        `json:"type"`
	Connector connectState  `json:"connector"`
	Tasks     []connectTask `json:"tasks"`
}

type connectState struct {
	State  string `json:"state"`
	Worker string `json:"worker_id"`
	Trace  string `json:"trace,omitempty"`
}

type connectTask struct {
	ID int `json:"id"`
	connectState
	Details *struct {
		Records int64   `json:"records"`
		Rate    float64 `json:"records_per_second"`
		Lag     *int64  `json:"lag"`
		LagMS   *int64  `json:"lag_ms"`
		Cause   string  `json:"cause,omitempty"`
		Stuck   bool    `json:"stuck,omitempty"`
	} `json:"details,omitempty"`
}

func (c *connectClient) status() *cobra.Command {
	var w watching
	cmd := &cobra.Command{
		Use:   "status [CONNECTOR...]",
		Short: "Show how connectors and their tasks fare",
		Long: `Shows how connectors and their tasks fare: the state of each, how many records it moves each second, how far
it is behind (a sink in records, a source in time, if it knows), and why it has failed, with the kind of
the cause: transient (it passes), configuration, poison record, source gone, unknown. What has failed is
tried again by itself. A task that is RUNNING and moves nothing, though there is something to move, is
shown as stuck.

JSON: a list of objects with the fields name, type, connector (state, worker_id, trace) and tasks, of
which each has id, state, worker_id, trace and details (records, records_per_second, lag, lag_ms, cause,
stuck).`,
		Example: `  weir connect status
  weir connect status orders --watch`,
		ValidArgsFunction: c.names(true),
		RunE: c.o.run(func(ctx context.Context, cmd *cobra.Command, args []string) error {
			return w.repeat(ctx, cmd, c.o.printer(cmd), func(p *printer) error {
				all, err := c.statuses(ctx, cmd, args)
				if err != nil {
					return err
				}
				return printConnectStatus(p, all)
			})
		}),
	}
	w.flags(cmd)
	return cmd
}

func (c *connectClient) statuses(ctx context.Context, cmd *cobra.Command, names []string) ([]connectStatus, error) {
	all := []connectStatus{}
	if len(names) == 0 {
		if err := c.ask(ctx, cmd, http.MethodGet, "/connectors", nil, &names); err != nil {
			return nil, err
		}
		slices.Sort(names)
	}
	for _, name := range names {
		var s connectStatus
		err := c.ask(ctx, cmd, http.MethodGet, connectorPath(name, "status")+"?details=true", nil, &s)
		var told *connectError
		if errors.As(err, &told) && told.status == http.StatusNotFound && c.ask(ctx, cmd, http.MethodGet, connectorPath(name), nil, nil) == nil {
			s, err = connectStatus{Name: name, Connector: connectState{State: "UNASSIGNED"}}, nil // it was created just now
		}
		if err != nil {
			return nil, err
		}
		all = append(all, s)
	}
	return all, nil
}

func printConnectStatus(p *printer, all []connectStatus) error {
	if p.json {
		return p.document(all)
	}
	t := newTable("CONNECTOR", "TASK", "STATE", "WORKER", "RECORDS/S", "LAG", "CAUSE?", "ERROR?")
	for _, s := range all {
		t.row(s.Name, "", s.Connector.State, s.Connector.Worker, "", "", "", firstLine(s.Connector.Trace))
		for _, task := range s.Tasks {
			rate, lag, cause, state := "", "", "", task.State
			if d := task.Details; d != nil {
				rate, lag, cause = fmt.Sprintf("%.0f", d.Rate), number(d.Lag), d.Cause
				if d.LagMS != nil {
					lag = (time.Duration(*d.LagMS) * time.Millisecond).String()
				}
				if d.Stuck {
					state += " (stuck)"
				}
			}
			trace := firstLine(task.Trace)
			if trace == "" && task.Details != nil && task.Details.Stuck {
				trace = fmt.Sprintf("nothing has moved for more than a minute; if that is no wonder, wait, or else: weir connect restart %s --task %d", s.Name, task.ID)
			}
			t.row(s.Name, task.ID, state, task.Worker, rate, lag, cause, trace)
		}
	}
	return p.table(t)
}

func firstLine(trace string) string {
	line, _, _ := strings.Cut(trace, "\n")
	return line
}

func (c *connectClient) offsets() *cobra.Command {
	var set string
	var reset bool
	cmd := &cobra.Command{
		Use:   "offsets CONNECTOR",
		Short: "Show or set how far a connector is",
		Long: `Shows how far a connector is: of a source the place in each part of it, of a sink the offset in each
partition. It can be set, or with --reset begin anew, when the connector is stopped ('weir connect stop').
--set takes a file in the form of the JSON that is shown; an offset of null resets one.

JSON: an object with the field offsets, a list of objects with the fields partition and offset.`,
		Example: `  weir connect offsets orders
  weir connect offsets orders --reset
  weir connect offsets orders --set offsets.json`,
		Args:              needs("connector", false),
		ValidArgsFunction: c.names(false),
		RunE: c.o.run(func(ctx context.Context, cmd *cobra.Command, args []string) error {
			path := connectorPath(args[0], "offsets")
			p := c.o.printer(cmd)
			switch {
			case reset && set != "":
				return usagef("--reset does not go with --set")
			case reset:
				return c.moved(ctx, cmd, p, http.MethodDelete, path, nil)
			case set != "":
				b, err := readFileOr(cmd, set)
				if err != nil {
					return err
				}
				if !json.Valid(b) {
					return fmt.Errorf("%s is not JSON", set)
				}
				return c.moved(ctx, cmd, p, http.MethodPatch, path, json.RawMessage(b))
			}
			var raw json.RawMessage
			if err := c.ask(ctx, cmd, http.MethodGet, path, nil, &raw); err != nil {
				return err
			}
			if p.json {
				return p.document(raw)
			}
			var known struct {
				Offsets []struct{ Partition, Offset json.RawMessage }
			}
			if err := json.Unmarshal(raw, &known); err != nil {
				return err
			}
			t := newTable("PARTITION", "OFFSET")
			for _, o := range known.Offsets {
				t.row(string(o.Partition), string(o.Offset))
			}
			return p.table(t)
		}),
	}
	cmd.Flags().StringVar(&set, "set", "", "a `file` with offsets; - is standard input")
	cmd.Flags().BoolVar(&reset, "reset", false, "begin anew")
	return cmd
}

func (c *connectClient) moved(ctx context.Context, cmd *cobra.Command, p *printer, method, path string, body any) error {
	var told struct {
		Message string `json:"message"`
	}
	if err := c.ask(ctx, cmd, method, path, body, &told); err != nil {
		return err
	}
	if p.json {
		return p.document(told)
	}
	return p.line("%s", told.Message)
}
