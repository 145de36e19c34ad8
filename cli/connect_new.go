package cli

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"os"
	"slices"
	"strings"

	"github.com/spf13/cobra"
)

// shortClasses are names for connectors that are easier to remember than their classes.
var shortClasses = map[string]string{
	"datagen":           "org.weir.connect.datagen.DatagenConnector",
	"file-sink":         "org.apache.kafka.connect.file.FileStreamSinkConnector",
	"file-source":       "org.apache.kafka.connect.file.FileStreamSourceConnector",
	"http-sink":         "io.aiven.kafka.connect.http.HttpSinkConnector",
	"mirror":            "org.apache.kafka.connect.mirror.MirrorSourceConnector",
	"mirror-groups":     "org.apache.kafka.connect.mirror.MirrorCheckpointConnector",
	"mirror-heartbeats": "org.apache.kafka.connect.mirror.MirrorHeartbeatConnector",
	"opensearch-sink":   "io.aiven.kafka.connect.opensearch.OpenSearchSinkConnector",
	"postgres-cdc":      "io.debezium.connector.postgresql.PostgresConnector",
	"s3-sink":           "io.confluent.connect.s3.S3SinkConnector",
	"s3-source":         "io.confluent.connect.s3.source.S3SourceConnector",
	"sql-sink":          "io.confluent.connect.jdbc.JdbcSinkConnector",
	"sql-source":        "io.confluent.connect.jdbc.JdbcSourceConnector",
	"webhook-source":    "weir.http.WebhookSource",
}

// shortNames lists them, in lines that a terminal has room for.
func shortNames() string {
	var lines []string
	for some := range slices.Chunk(slices.Sorted(maps.Keys(shortClasses)), 6) {
		lines = append(lines, strings.Join(some, ", "))
	}
	return strings.Join(lines, ",\n")
}

// longClass gives the class that a name is for.
func longClass(name string) string {
	if long, ok := shortClasses[name]; ok {
		return long
	}
	return name
}

// newConnector is what `connect new` is asked for.
type newConnector struct {
	name, file string
	set        []string
	dry        bool
}

func (c *connectClient) new() *cobra.Command {
	var n newConnector
	cmd := &cobra.Command{
		Use:   "new CLASS",
		Short: "Make a connector step by step: ask, check, write, start",
		Long: `Makes a connector: takes its options from --set, asks on a terminal for those that are missing, has the
worker check all of them against the live system, asks again for those that are wrong, writes them to a
JSON file, and starts the connector. The class is one that 'weir connect plugins' shows, the last part of
it, or one of:
` + shortNames() + `.

If anything is wrong, nothing is written, and the exit code is 1. JSON: the connector as the REST API tells
it, or what is wrong as for 'weir connect validate'.`,
		Example: `  weir connect new postgres-cdc
  weir connect new file-source --name lines --set file=in.txt --set topic=lines`,
		Args: needs("class", false),
		ValidArgsFunction: func(*cobra.Command, []string, string) ([]string, cobra.ShellCompDirective) {
			return slices.Sorted(maps.Keys(shortClasses)), cobra.ShellCompDirectiveNoFileComp
		},
		RunE: c.o.run(func(ctx context.Context, cmd *cobra.Command, args []string) error {
			return c.make(ctx, cmd, args[0], n)
		}),
	}
	cmd.Flags().StringVar(&n.name, "name", "", "the connector's `name`")
	cmd.Flags().StringArrayVar(&n.set, "set", nil, "an option as `name=value`; may be given several times")
	cmd.Flags().StringVar(&n.file, "file", "", "the `file` to write; NAME.json unless given")
	cmd.Flags().BoolVar(&n.dry, "no-start", false, "write the file and start nothing")
	return cmd
}

func (c *connectClient) make(ctx context.Context, cmd *cobra.Command, class string, n newConnector) error {
	short := class
	class = longClass(class)
	var options []connectOption
	if err := c.ask(ctx, cmd, http.MethodGet, "/connector-plugins/"+class+"/config", nil, &options); err != nil {
		return err
	}
	config := map[string]string{"connector.class": class}
	for _, kv := range n.set {
		name, value, ok := strings.Cut(kv, "=")
		if !ok {
			return usagef("--set %s: write it as name=value", kv)
		}
		config[name] = value
	}
	if n.name != "" {
		config["name"] = n.name
	}
	q := newQuestions(cmd)
	if err := c.askName(ctx, cmd, q, short, config, n.dry); err != nil {
		return err
	}
	if err := q.options(ctx, options, config); err != nil {
		return err
	}
	if err := c.checked(ctx, cmd, q, options, config); err != nil {
		return err
	}
	if n.file == "" {
		n.file = strings.ReplaceAll(config["name"], "/", "_") + ".json"
	}
	b, err := json.MarshalIndent(struct {
		Name   string            `json:"name"`
		Config map[string]string `json:"config"`
	}{config["name"], config}, "", "  ")
	if err != nil {
		return err
	}
	// It may hold a password, which is nobody else's to read.
	if err := os.WriteFile(n.file, append(b, '\n'), 0o600); err != nil {
		return err
	}
	cmd.PrintErrf("Written to %s.\n", escape(n.file))
	if n.dry {
		return nil
	}
	return c.write(ctx, cmd, config["name"], config, false)
}

// askName finds out the connector's name, and that no other has it if it is to be started.
func (c *connectClient) askName(ctx context.Context, cmd *cobra.Command, q *questions, short string, config map[string]string, dry bool) error {
	for {
		asked := config["name"] == "" && q != nil
		if asked {
			name, err := q.ask(ctx, "Name of the connector.", "name", short, false)
			if err != nil {
				return err
			}
			config["name"] = name
		}
		if dry || config["name"] == "" {
			return nil // that it is missing is told with all else
		}
		var told *connectError
		switch err := c.ask(ctx, cmd, http.MethodGet, connectorPath(config["name"]), nil, nil); {
		case err == nil && asked:
			cmd.PrintErrf("There is a connector %s already: choose another name.\n", escape(config["name"]))
			delete(config, "name")
		case err == nil:
			return fmt.Errorf("there is a connector %s already: choose another --name, or change it with `weir connect config %s --set ...`", config["name"], config["name"])
		case !errors.As(err, &told) || told.status != http.StatusNotFound:
			return err
		default:
			return nil
		}
	}
}

// checked has the worker check a configuration. On a terminal it asks again for the options that are wrong, until none is or nothing is
// changed any more.
func (c *connectClient) checked(ctx context.Context, cmd *cobra.Command, q *questions, options []connectOption, config map[string]string) error {
	for {
		v, err := c.check(ctx, cmd, config)
		if err != nil {
			return err
		}
		faults := v.faults()
		if len(faults) == 0 {
			return nil
		}
		changed := false
		if q != nil {
			if changed, err = q.correct(ctx, options, faults, config); err != nil {
				return err
			}
		}
		if changed {
			continue
		}
		if err := printFaults(c.o.printer(cmd), faults); err != nil {
			return err
		}
		return exitCode(exitFailed)
	}
}
