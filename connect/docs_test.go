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

// TestDocs holds the tables of options and metrics against those that there are.
func TestDocs(t *testing.T) {
	const name = "../docs/connect.md"
	b, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	var options, metrics strings.Builder
	options.WriteString("| option | default | meaning |\n| --- | --- | --- |\n")
	for _, o := range connect.WorkerOptions() {
		fmt.Fprintf(&options, "| `%s` | %s | %s |\n", o.Name, code(o.Default), o.Doc)
	}
	metrics.WriteString("| metric | labels | meaning | in Kafka Connect |\n| --- | --- | --- | --- |\n")
	for _, m := range connect.Metrics {
		fmt.Fprintf(&metrics, "| `%s` | %s | %s | %s |\n", m.Name, strings.Join(m.Labels, ", "), m.Help, code(m.Kafka))
	}
	want := filled(t, string(b), "<!-- options -->\n", options.String())
	want = filled(t, want, "<!-- metrics -->\n", metrics.String())
	if *update {
		if err := os.WriteFile(name, []byte(want), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	if string(b) != want {
		t.Errorf("%s is not what the tables say: run go generate ./connect", name)
	}
}

func code(text string) string {
	if text == "" {
		return ""
	}
	return "`" + text + "`"
}

// filled puts a table between a mark and the next heading.
func filled(t *testing.T, page, mark, table string) string {
	before, rest, ok := strings.Cut(page, mark)
	_, after, ok2 := strings.Cut(rest, "\n## ")
	if !ok || !ok2 {
		t.Fatalf("there is no place for %s", mark)
	}
	return before + mark + "\n" + table + "\n## " + after
}
