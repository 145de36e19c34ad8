package cli

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/http"
	"os"
	"slices"
	"strings"

	"github.com/spf13/cobra"
	"golang.org/x/term"
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
worker check all of them against the live system, writes them to a JSON file, and starts the connector.
The class is one that 'weir connect plugins' shows, the last part of it, or one of:
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
	if err := askOptions(ctx, cmd, options, config); err != nil {
		return err
	}
	v, err := c.check(ctx, cmd, config)
	if err != nil {
		return err
	}
	if faults := v.faults(); len(faults) > 0 {
		if err := printFaults(c.o.printer(cmd), faults); err != nil {
			return err
		}
		return exitCode(exitFailed)
	}
	if !n.dry {
		var told *connectError
		switch err := c.ask(ctx, cmd, http.MethodGet, connectorPath(config["name"]), nil, nil); {
		case err == nil:
			return fmt.Errorf("there is a connector %s already: choose another --name, or change it with `weir connect config %s --set ...`", config["name"], config["name"])
		case !errors.As(err, &told) || told.status != http.StatusNotFound:
			return err
		}
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

// askOptions asks on a terminal for options that are missing: those that have to be set, and of the connector's own the important
// ones.
func askOptions(ctx context.Context, cmd *cobra.Command, options []connectOption, config map[string]string) error {
	in := cmd.InOrStdin()
	if !isTerminal(in) {
		return nil
	}
	lines := bufio.NewReader(in)
	for _, o := range options {
		own := o.Group == nil || *o.Group != "Common"
		_, set := config[o.Name]
		if set || !o.Required && (!own || o.Importance != "HIGH") {
			continue
		}
		meaning, _, _ := strings.Cut(oneLine(o.Doc), ". ")
		cmd.PrintErrf("%s\n", meaning)
		shown := ""
		if o.Default != nil && *o.Default != "" {
			shown = " [" + *o.Default + "]"
		}
		cmd.PrintErrf("  %s%s: ", o.Name, shown)
		answer, err := readAnswer(ctx, in, lines, o.Type == "PASSWORD")
		if err != nil {
			return err
		}
		if answer != "" {
			config[o.Name] = answer
		}
	}
	return nil
}

// readAnswer reads a line, without showing it if it is secret.
func readAnswer(ctx context.Context, in io.Reader, lines *bufio.Reader, secret bool) (string, error) {
	type answer struct {
		text string
		err  error
	}
	got := make(chan answer, 1)
	go func() {
		if f, ok := in.(*os.File); ok && secret && lines.Buffered() == 0 {
			b, err := term.ReadPassword(int(f.Fd()))
			fmt.Fprintln(os.Stderr)
			got <- answer{string(b), err}
			return
		}
		text, err := lines.ReadString('\n')
		got <- answer{strings.TrimSpace(text), err}
	}()
	select {
	case <-ctx.Done():
		return "", ctx.Err()
	case a := <-got:
		return a.text, a.err
	}
}
