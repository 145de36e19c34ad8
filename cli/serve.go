package cli

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"maps"
	"net"
	"os"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/weir/weir/config"
	"github.com/weir/weir/connect"
	"github.com/weir/weir/connect/builtin"
	"github.com/weir/weir/node"
)

func serveCommand(o *options) *cobra.Command {
	var file, level, format string
	var set, join []string
	cmd := &cobra.Command{
		Use:   "serve",
		Short: "Run a node",
		Long: `Runs a node: a Kafka broker with its data in ./weir-data, for clients on port 9092, with health and
metrics on http://127.0.0.1:8080 and the REST API of Kafka Connect on http://127.0.0.1:8083, unless options
say otherwise.

Options have Kafka's names. They come from --set, from environment variables (WEIR_LOG_DIRS is log.dirs),
from a server.properties and from the defaults, the strongest first. docs/configuration.md lists them.

The node writes its messages to standard error: as text, or with --log-format json as one object a line.

SIGINT and SIGTERM stop the node cleanly. After a crash nothing that was acknowledged is lost.`,
		Example: `  weir serve
  weir serve --set log.dirs=/var/lib/weir --set num.partitions=6
  weir serve --config server.properties
  weir serve --set listeners=PLAINTEXT://:9092,CONTROLLER://:9093
  weir serve --join first-host:9093 --set listeners=PLAINTEXT://:9092,CONTROLLER://:9093
  WEIR_LISTENERS=PLAINTEXT://0.0.0.0:9092 weir serve`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if cmd.Flags().Changed("log-level") {
				set = append(set, "log.level="+level)
			}
			if cmd.Flags().Changed("log-format") {
				set = append(set, "log.format="+format)
			}
			if len(join) > 0 {
				set = append(set, "controller.quorum.bootstrap.servers="+strings.Join(join, ","))
			}
			return serve(cmd.Context(), cmd.ErrOrStderr(), file, set)
		},
	}
	cmd.Flags().StringVar(&file, "config", "", "a `server.properties`")
	cmd.Flags().StringArrayVar(&set, "set", nil, "an option as `name=value`; may be given several times")
	cmd.Flags().StringSliceVar(&join, "join", nil, "join the cluster of the node that others reach at `host:port`: the option controller.quorum.bootstrap.servers")
	cmd.Flags().StringVar(&level, "log-level", "info", "debug, info, warn or error: the option log.level")
	cmd.Flags().StringVar(&format, "log-format", "text", "text or json: the option log.format")
	return cmd
}

// serve runs a node until ctx ends or the node fails.
func serve(ctx context.Context, out io.Writer, file string, set []string) error {
	sources := config.Sources{FileName: file, Env: os.Environ(), Set: set}
	if file != "" {
		b, err := os.ReadFile(file)
		if err != nil {
			return fmt.Errorf("the configuration cannot be read: %w", err)
		}
		sources.File = b
	}
	cfg, notes, err := config.Load(sources)
	if err != nil {
		return fmt.Errorf("the configuration is not right: %w", err)
	}
	logger, level := newLogger(out, cfg)
	if len(notes.NoEffect) > 0 {
		logger.Info("these options of Kafka have no effect here", "options", strings.Join(notes.NoEffect, ", "))
	}
	collectSeldom()
	n, err := node.Start(node.Options{Context: ctx, Config: cfg, Logger: logger, LogLevel: level, Version: version, Connect: connect.InNode(builtin.Connectors())})
	if err != nil {
		return err
	}
	tell := func(what string) { fmt.Fprintln(out, what) }
	if cfg.LogFormat == "json" { // whoever reads the messages wants nothing else there
		tell = func(what string) { logger.Info(what, "node", n.ID(), "cluster", n.ClusterID()) }
		tell("Weir is ready.")
	} else {
		greet(out, n, cfg)
	}
	select {
	case <-ctx.Done():
		if err := n.Stop(); err != nil {
			return fmt.Errorf("the node did not stop cleanly, the next start will recover: %w", err)
		}
		tell("Weir has stopped.")
		return nil
	case err := <-n.Failed():
		return fmt.Errorf("the node stops because its data directory cannot be trusted: %w; what was acknowledged is on disk; look after the disk, then start it again", err)
	}
}

// newLogger makes what the node writes its own messages with, and its level, which can be changed.
func newLogger(out io.Writer, cfg *config.Config) (*slog.Logger, *slog.LevelVar) {
	least := new(slog.LevelVar)
	if err := least.UnmarshalText([]byte(cfg.LogLevel)); err != nil {
		panic("BUG: a configuration was let through: " + err.Error())
	}
	opts := &slog.HandlerOptions{Level: least}
	if cfg.LogFormat == "json" {
		return slog.New(slog.NewJSONHandler(out, opts)), least
	}
	return slog.New(slog.NewTextHandler(out, opts)), least
}

// greet tells where everything is and what to try next.
func greet(out io.Writer, n *node.Node, cfg *config.Config) {
	fmt.Fprintf(out, "Weir is ready: node %d of cluster %s\n", n.ID(), n.ClusterID())
	fmt.Fprintf(out, "  data      %s\n", cfg.LogDirs[0])
	addresses := n.Addresses()
	bootstrap := ""
	for _, name := range slices.Sorted(maps.Keys(addresses)) {
		fmt.Fprintf(out, "  kafka     %s (%s)\n", local(addresses[name]), name)
		if bootstrap == "" {
			bootstrap = local(addresses[name])
		}
	}
	if n.HTTPAddress() != "" {
		fmt.Fprintf(out, "  http      http://%s (health, metrics, api)\n", local(n.HTTPAddress()))
	}
	if n.ConnectAddress() != "" {
		fmt.Fprintf(out, "  connect   http://%s (Kafka Connect's REST API)\n", local(n.ConnectAddress()))
	}
	flag := ""
	if bootstrap != bootstrapDefault {
		flag = " -b " + bootstrap
	}
	fmt.Fprintf(out, "\nTry, in another terminal:\n  echo hello | %[1]s produce greetings%[2]s\n  %[1]s consume greetings --from start%[2]s\n", os.Args[0], flag)
}

// local gives an address that can be connected to from here.
func local(address string) string {
	host, port, err := net.SplitHostPort(address)
	if ip := net.ParseIP(host); err == nil && ip != nil && ip.IsUnspecified() {
		return "localhost:" + port
	}
	return address
}
