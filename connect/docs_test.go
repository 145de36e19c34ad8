package connect_test

import (
	"flag"
	"fmt"
	"os"
	"strings"
	"testing"

	"github.com/weir/weir/connect"
)

//go:generate go test -run TestDocs . -args -update

var update = flag.Bool("update", false, "write the table of options in docs/connect.md anew")

// TestDocs holds the table of options against the options.
func TestDocs(t *testing.T) {
	const name, mark, next = "../docs/connect.md", "<!-- options -->\n", "\n## What is not"
	b, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	before, rest, ok := strings.Cut(string(b), mark)
	_, after, ok2 := strings.Cut(rest, next)
	if !ok || !ok2 {
		t.Fatalf("%s has no place for the options", name)
	}
	var table strings.Builder
	table.WriteString("\n| option | default | meaning |\n| --- | --- | --- |\n")
	for _, o := range connect.WorkerOptions() {
		shown := ""
		if o.Default != "" {
			shown = "`" + o.Default + "`"
		}
		fmt.Fprintf(&table, "| `%s` | %s | %s |\n", o.Name, shown, o.Doc)
	}
	want := before + mark + table.String() + next + after
	if *update {
		if err := os.WriteFile(name, []byte(want), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	if string(b) != want {
		t.Errorf("%s is not what the options say: run go generate ./connect", name)
	}
}
