package cli

import (
	"flag"
	"fmt"
	"os"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
)

const referenceFile = "../docs/cli.md"

var update = flag.Bool("update", false, "write "+referenceFile)

// TestReferenceIsCurrent fails when docs/cli.md is not what the commands say; `go generate ./cli` writes it.
func TestReferenceIsCurrent(t *testing.T) {
	want := reference()
	if *update {
		if err := os.WriteFile(referenceFile, []byte(want), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	got, err := os.ReadFile(referenceFile)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(want, string(got)); diff != "" {
		t.Errorf("docs/cli.md is stale, `go generate ./cli` updates it (-want +got):\n%s", diff)
	}
}

// TestEveryCommandTeaches makes sure that nothing of the reference is missing.
func TestEveryCommandTeaches(t *testing.T) {
	for _, cmd := range commands(Root()) {
		if cmd.Short == "" || cmd.Example == "" {
			t.Errorf("%s has no short description or no example", cmd.CommandPath())
		}
		if !cmd.HasSubCommands() && cmd.Long == "" {
			t.Errorf("%s has no description", cmd.CommandPath())
		}
		for line := range strings.Lines(cmd.Long) {
			if len(line) > 110 {
				t.Errorf("%s: a line of the help is too wide for a terminal: %q", cmd.CommandPath(), line)
			}
		}
		for line := range strings.Lines(cmd.Example) {
			if !strings.Contains(line, "weir ") {
				t.Errorf("%s: %q is no example", cmd.CommandPath(), line)
			}
		}
	}
}

// commands gives a command and all below it, in order, without the one that cobra adds.
func commands(cmd *cobra.Command) []*cobra.Command {
	all := []*cobra.Command{cmd}
	for _, sub := range cmd.Commands() {
		if sub.Name() != "help" {
			all = append(all, commands(sub)...)
		}
	}
	return all
}

// reference writes the help of all commands as Markdown.
func reference() string {
	var b strings.Builder
	b.WriteString("<!-- Made from the commands' own help by `go generate ./cli`. -->\n# Command line\n")
	for _, cmd := range commands(Root()) {
		if cmd.HasParent() {
			fmt.Fprintf(&b, "\n## %s\n", cmd.CommandPath())
		}
		fmt.Fprintf(&b, "\n%s.\n", cmd.Short)
		if cmd.Long != "" {
			fmt.Fprintf(&b, "\n```text\n%s\n```\n", strings.TrimPrefix(strings.TrimPrefix(cmd.Long, cmd.Short+".\n\n"), cmd.Short+". "))
		}
		if !cmd.HasSubCommands() {
			fmt.Fprintf(&b, "\nUsage: `%s`\n", cmd.UseLine())
		}
		fmt.Fprintf(&b, "\n```sh\n%s\n```\n", unindented(cmd.Example))
		writeFlags(&b, cmd)
	}
	return b.String()
}

func unindented(example string) string {
	lines := strings.Split(example, "\n")
	for i, line := range lines {
		lines[i] = strings.TrimPrefix(line, "  ")
	}
	return strings.Join(lines, "\n")
}

func writeFlags(b *strings.Builder, cmd *cobra.Command) {
	flags := cmd.NonInheritedFlags()
	first := true
	flags.VisitAll(func(f *pflag.Flag) {
		if f.Hidden || f.Name == "help" {
			return
		}
		if first {
			b.WriteString("\n| option | meaning |\n| --- | --- |\n")
			first = false
		}
		name, usage := pflag.UnquoteUsage(f)
		option := "--" + f.Name
		if f.Shorthand != "" {
			option = "-" + f.Shorthand + ", " + option
		}
		if name != "" {
			option += " " + name
		}
		if f.DefValue != "" && f.DefValue != "false" && f.DefValue != "[]" && f.DefValue != "-1" {
			usage += fmt.Sprintf(" (default `%s`)", f.DefValue)
		}
		fmt.Fprintf(b, "| `%s` | %s |\n", strings.ReplaceAll(option, "|", "\\|"), strings.ReplaceAll(usage, "|", "\\|"))
	})
}
