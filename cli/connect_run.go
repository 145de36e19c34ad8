package cli

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"strings"

	"github.com/magiconair/properties"
	"github.com/spf13/cobra"

	"github.com/weir/weir/config"
	"github.com/weir/weir/connect"
	"github.com/weir/weir/connect/builtin"
)

// workerFlags are those of commands that run a worker.
type workerFlags struct {
	file string
	set  []string
}

func (f *workerFlags) flags(cmd *cobra.Command) {
	cmd.Flags().StringVar(&f.file, "config", "", "a `file` with options of the worker, by Kafka's names, as in connect-distributed.properties")
	cmd.Flags().StringArrayVar(&f.set, "set", nil, "an option of the worker as `name=value`; may be given several times")
}

// options puts the worker's options together.
func (f *workerFlags) options(o *options, cmd *cobra.Command) (map[string]string, error) {
	out := map[string]string{}
	if f.file != "" {
		b, err := os.ReadFile(f.file)
		if err != nil {
			return nil, fmt.Errorf("the configuration cannot be read: %w", err)
		}
		loading := properties.Loader{Encoding: properties.UTF8, DisableExpansion: true}
		p, err := loading.LoadBytes(b)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", f.file, err)
		}
		for name, value := range p.Map() {
			out[name] = strings.TrimSpace(value)
		}
	}
	for _, kv := range f.set {
		name, value, ok := strings.Cut(kv, "=")
		if !ok {
			return nil, usagef("--set %s: write it as name=value", kv)
		}
		out[name] = value
	}
	if _, set := out["bootstrap.servers"]; !set || cmd.Flags().Changed("bootstrap-server") {
		out["bootstrap.servers"] = strings.Join(o.seeds(), ",")
	}
	return out, nil
}

func connectWorkerCommand(o *options) *cobra.Command {
	var f workerFlags
	cmd := &cobra.Command{
		Use:   "worker",
		Short: "Run a worker that shares the work with others",
		Long: `Runs a worker that shares the work with all others of the same group.id, and has the REST API on port 8083
unless the option listeners says otherwise. The cluster at --bootstrap-server may be of Weir or of Kafka;
what connectors there are and how far they are is kept there, in three topics.

Options have the names that they have for Kafka's workers. SIGINT and SIGTERM stop the worker cleanly: its
tasks wait a while for its return, then others get them.`,
		Example: `  weir connect worker --bootstrap-server kafka:9092
  weir connect worker --config connect-distributed.properties --set group.id=etl`,
		Args: noArgs,
		RunE: o.run(func(ctx context.Context, cmd *cobra.Command, _ []string) error {
			options, err := f.options(o, cmd)
			if err != nil {
				return err
			}
			return runWorker(ctx, cmd, connect.Config{Options: options}, nil)
		}),
	}
	f.flags(cmd)
	return cmd
}

func connectStandaloneCommand(o *options) *cobra.Command {
	var f workerFlags
	var offsets string
	cmd := &cobra.Command{
		Use:   "standalone FILE...",
		Short: "Run connectors from files, without other workers",
		Long: `Runs connectors from files, which are as for 'weir connect create', without other workers. How far sources
are is kept in the file that --offsets names. The REST API is there as well; what is changed with it is
forgotten when the worker stops.`,
		Example: `  weir connect standalone lines.properties
  weir connect standalone --bootstrap-server kafka:9092 orders.json search.json`,
		Args: needs("file", true),
		RunE: o.run(func(ctx context.Context, cmd *cobra.Command, args []string) error {
			options, err := f.options(o, cmd)
			if err != nil {
				return err
			}
			if options["offset.storage.file.filename"] == "" || cmd.Flags().Changed("offsets") {
				options["offset.storage.file.filename"] = offsets
			}
			var connectors []map[string]string
			for _, file := range args {
				name, c, err := readConnector(cmd, file)
				if err != nil {
					return err
				}
				if name == "" {
					return fmt.Errorf("%s: it has no name", file)
				}
				connectors = append(connectors, c)
			}
			return runWorker(ctx, cmd, connect.Config{Options: options, Standalone: true}, connectors)
		}),
	}
	f.flags(cmd)
	cmd.Flags().StringVar(&offsets, "offsets", "connect.offsets", "the `file` that keeps how far sources are")
	return cmd
}

// runWorker runs a worker with connectors until ctx ends.
func runWorker(ctx context.Context, cmd *cobra.Command, cfg connect.Config, connectors []map[string]string) error {
	defaults, _, err := config.Load(config.Sources{})
	if err != nil {
		return err
	}
	cfg.Logger, cfg.Level = newLogger(cmd.ErrOrStderr(), defaults)
	cfg.Connectors, cfg.Commit = builtin.Connectors(), version
	w, err := connect.New(cfg)
	if err != nil {
		return fmt.Errorf("the configuration of the worker is not right: %w", err)
	}
	w.Start()
	defer w.Stop()
	for _, c := range connectors {
		body, err := json.Marshal(map[string]any{"name": c["name"], "config": c})
		if err != nil {
			return err
		}
		answer := w.Handle(ctx, connect.Request{Method: http.MethodPost, Path: "/connectors", Type: "application/json", Body: body})
		if answer.Status >= 300 {
			var told struct{ Message string }
			_ = json.Unmarshal(answer.Body, &told)
			return fmt.Errorf("connector %s: %w", c["name"], shortened(&connectError{answer.Status, told.Message}))
		}
	}
	if address := w.Addr(); address != "" {
		cmd.PrintErrf("The worker is ready: http://%s\n", local(address))
	}
	<-ctx.Done()
	return nil
}
