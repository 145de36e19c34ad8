package cli

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"strings"
	"syscall"
	"time"

	"github.com/spf13/cobra"
)

const (
	exitOK     = 0
	exitFailed = 1
	exitUsage  = 2

	bootstrapEnv     = "WEIR_BOOTSTRAP_SERVER"
	bootstrapDefault = "localhost:9092"
	timeoutDefault   = 15 * time.Second
)

// options are the flags that all commands share.
type options struct {
	bootstrap string
	output    outputFormat
	timeout   time.Duration
}

// exitCode ends a command whose exit code is part of its answer, which it has given.
type exitCode int

func (c exitCode) Error() string { return fmt.Sprintf("exit code %d", int(c)) }

// Main runs the command that the process was started with and gives the exit code. The first SIGINT or SIGTERM cancels the
// command's context, the second ends the process.
func Main() int {
	// A reader that goes away, as in `weir consume t | head`, is an error of the write then, not the end of the process.
	signal.Ignore(syscall.SIGPIPE)
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	context.AfterFunc(ctx, stop)
	return Run(ctx, Root())
}

// Run executes the command tree, tells a failure on its standard error, and gives the exit code.
func Run(ctx context.Context, root *cobra.Command) int {
	cmd, err := root.ExecuteContextC(ctx)
	if err == nil || errors.Is(err, syscall.EPIPE) {
		return exitOK
	}
	var verdict exitCode
	if errors.As(err, &verdict) {
		return int(verdict)
	}
	root.PrintErrln("weir: " + oneLine(err.Error()))
	var usage *usageError
	if !errors.As(err, &usage) {
		return exitFailed
	}
	root.PrintErrf("See '%s --help'.\n", cmd.CommandPath())
	return exitUsage
}

// Root gives the whole command tree.
func Root() *cobra.Command {
	o := &options{output: outputTable}
	root := group(&cobra.Command{
		Use:   "weir",
		Short: "A Kafka broker in one binary, and the tools to work with any Kafka cluster",
		Long: `Weir is an Apache Kafka replacement in one binary. Its commands work with any Kafka cluster.

The cluster is the one at --bootstrap-server, or at $` + bootstrapEnv + `. Results go to standard
output, as tables or, with --output json, as JSON with the field names that each command's help lists.

Exit codes: 0 all went well, 1 something failed, 2 the command was used wrongly. 'weir cluster health' has
its own.`,
		Example: `  weir topic create orders --partitions 3
  echo 'hello' | weir produce orders
  weir consume orders --follow
  weir group describe billing`,
		SilenceUsage:      true,
		SilenceErrors:     true,
		PersistentPreRunE: func(cmd *cobra.Command, _ []string) error { return o.complete(cmd) },
	})
	flags := root.PersistentFlags()
	flags.StringVarP(&o.bootstrap, "bootstrap-server", "b", bootstrapDefault, "`host:port` of a broker, or several with commas; $"+bootstrapEnv+" sets another default")
	flags.VarP(&o.output, "output", "o", "table for people, json for scripts")
	flags.DurationVar(&o.timeout, "timeout", timeoutDefault, "how long to wait for the cluster")
	root.SetFlagErrorFunc(func(_ *cobra.Command, err error) error { return &usageError{err.Error()} })
	_ = root.RegisterFlagCompletionFunc("output", cobra.FixedCompletions([]string{string(outputTable), string(outputJSON)}, cobra.ShellCompDirectiveNoFileComp))
	root.AddCommand(
		serveCommand(o),
		topicCommand(o),
		produceCommand(o),
		consumeCommand(o),
		groupCommand(o),
		partitionCommand(o),
		configCommand(o),
		clusterCommand(o),
		connectCommand(o),
		logCommand(o),
		benchCommand(o),
		completionCommand(),
		versionCommand(o),
	)
	return root
}

// complete checks the shared flags and takes what they leave open from the environment.
func (o *options) complete(cmd *cobra.Command) error {
	if env := os.Getenv(bootstrapEnv); env != "" && !cmd.Flags().Changed("bootstrap-server") {
		o.bootstrap = env
	}
	if len(o.seeds()) == 0 {
		return usagef("--bootstrap-server names no broker: give it as host:port")
	}
	if o.timeout <= 0 {
		return usagef("--timeout must be more than 0")
	}
	return nil
}

// seeds gives the brokers to ask first.
func (o *options) seeds() []string {
	return strings.FieldsFunc(o.bootstrap, func(r rune) bool { return r == ',' || r == ' ' })
}

// run makes f a command's action. Its context is that of the process; its error is put in words a person can act on.
func (o *options) run(f func(ctx context.Context, cmd *cobra.Command, args []string) error) func(*cobra.Command, []string) error {
	return func(cmd *cobra.Command, args []string) error {
		return o.explain(f(cmd.Context(), cmd, args))
	}
}

// group makes cmd a command that only holds others: alone it shows its help.
func group(cmd *cobra.Command) *cobra.Command {
	cmd.Args = func(cmd *cobra.Command, args []string) error {
		if len(args) == 0 {
			return nil
		}
		text := fmt.Sprintf("there is no command %q", cmd.CommandPath()+" "+args[0])
		if near := cmd.SuggestionsFor(args[0]); len(near) > 0 {
			text += fmt.Sprintf(": did you mean %q?", cmd.CommandPath()+" "+near[0])
		}
		return &usageError{text}
	}
	cmd.RunE = func(cmd *cobra.Command, _ []string) error { return cmd.Help() }
	cmd.SuggestionsMinimumDistance = 2
	return cmd
}

// needs makes sure that a command gets its arguments: what at least once and, unless many, only once.
func needs(what string, many bool) cobra.PositionalArgs {
	return func(cmd *cobra.Command, args []string) error {
		switch {
		case len(args) == 0:
			return usagef("%s needs a %s", cmd.CommandPath(), what)
		case len(args) > 1 && !many:
			return usagef("%s takes one %s, but got %d", cmd.CommandPath(), what, len(args))
		}
		return nil
	}
}

// noArgs refuses arguments.
func noArgs(cmd *cobra.Command, args []string) error {
	if len(args) > 0 {
		return usagef("%s takes no arguments, but got %q", cmd.CommandPath(), args[0])
	}
	return nil
}
