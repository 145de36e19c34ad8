package cli

import (
	"context"
	"runtime"

	"github.com/spf13/cobra"
)

// Version and commit of the build, set with -ldflags "-X github.com/weir/weir/cli.version=1.2.3 -X …cli.commit=abc".
var (
	version = "development"
	commit  = ""
)

// build is what `weir version` tells; its JSON names are documented in the help.
type build struct {
	Version  string `json:"version"`
	Commit   string `json:"commit"`
	Go       string `json:"go"`
	Platform string `json:"platform"`
}

func versionCommand(o *options) *cobra.Command {
	return &cobra.Command{
		Use:   "version",
		Short: "Print the version of this binary",
		Long: `Print the version of this binary.

JSON fields: version, commit, go, platform.`,
		Example: `  weir version
  weir version -o json | jq -r .version`,
		Args:              noArgs,
		ValidArgsFunction: cobra.NoFileCompletions,
		RunE: o.run(func(_ context.Context, cmd *cobra.Command, _ []string) error {
			b := build{version, commit, runtime.Version(), runtime.GOOS + "/" + runtime.GOARCH}
			p := o.printer(cmd)
			if p.json {
				return p.document(b)
			}
			text := "weir " + b.Version
			if b.Commit != "" {
				text += " (" + b.Commit + ")"
			}
			return p.line("%s, %s, %s", text, b.Go, b.Platform)
		}),
	}
}
