package config

import (
	"flag"
	"fmt"
	"os"
	"strings"
	"testing"
)

//go:generate go test -run TestDocs . -args -update

var update = flag.Bool("update", false, "write docs/configuration.md anew")

// TestDocs holds the reference page against the tables.
func TestDocs(t *testing.T) {
	const name = "../docs/configuration.md"
	want := page()
	if *update {
		if err := os.WriteFile(name, []byte(want), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	got, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	if string(got) != want {
		t.Fatalf("%s is not what the tables say: run go generate ./config", name)
	}
}

func page() string {
	var b strings.Builder
	b.WriteString("# Configuration\n\n")
	b.WriteString("This page is made from the option tables; `go generate ./config` writes it anew.\n\n")
	b.WriteString("Broker options come, the strongest first, from `weir serve --set name=value`, from environment variables (`WEIR_LOG_DIRS` is `log.dirs`), ")
	b.WriteString("from the file given with `--config`, and from the defaults below. Names and meanings are Kafka's; a KRaft `server.properties` for one node starts as it is. ")
	b.WriteString("An unknown option is refused.\n\nTopic options are set when a topic is created, and changed with any Kafka tool; they take effect at once.\n")
	table := func(title string, t *Table) {
		fmt.Fprintf(&b, "\n## %s\n\n| option | type | default | values | meaning |\n| --- | --- | --- | --- | --- |\n", title)
		for _, o := range t.Options {
			if o.Used {
				fmt.Fprintf(&b, "| `%s` | %s | %s | %s | %s |\n", o.Name, o.Type, shown(o.Default), values(o), meaning(o))
			}
		}
	}
	table("Broker options", BrokerOptions())
	table("Topic options", TopicOptions())
	b.WriteString("\n## Options of Kafka without effect\n\nThese are accepted, so that existing files and tools work, and change nothing. Those of a file are named at start.\n\n")
	for _, t := range []struct {
		title string
		table *Table
	}{{"Brokers", BrokerOptions()}, {"Topics", TopicOptions()}, {"Groups", GroupOptions()}} {
		var names []string
		for _, o := range t.table.Options {
			if !o.Used {
				names = append(names, "`"+o.Name+"`")
			}
		}
		fmt.Fprintf(&b, "%s: %s.\n\n", t.title, strings.Join(names, ", "))
	}
	return strings.TrimSuffix(b.String(), "\n")
}

func shown(v *string) string {
	switch {
	case v == nil:
		return "none"
	case *v == "":
		return "empty"
	}
	return "`" + *v + "`"
}

func values(o *Option) string {
	switch {
	case len(o.Allowed) > 0:
		return strings.Join(o.Allowed, ", ")
	case o.Least != "" && o.Most != "":
		return o.Least + " to " + o.Most
	case o.Least != "":
		return "at least " + o.Least
	case o.Most != "":
		return "at most " + o.Most
	}
	return ""
}

func meaning(o *Option) string {
	text := o.Doc
	if o.Dynamic {
		text += " Can be changed while the broker runs."
	}
	if len(o.Synonyms) > 0 {
		text += " Default of all topics: `" + strings.Join(o.Synonyms, "`, `") + "`."
	}
	return strings.ReplaceAll(text, "|", "\\|")
}
