package connect

import (
	"cmp"
	"slices"
	"strings"

	"github.com/weir/weir/connect/sdk"
)

// plugin is something that configurations name: a connector, converter, transform or predicate.
type plugin struct {
	class     string
	kind      string // as the REST API calls it
	version   string
	options   []sdk.Option
	connector sdk.Connector // of connectors
}

// The kinds of plugins, in the order in which they are listed.
const (
	sinkKind            = "sink"
	sourceKind          = "source"
	transformKind       = "transformation"
	predicateKind       = "predicate"
	converterKind       = "converter"
	headerConverterKind = "header_converter"
)

var kinds = []string{sinkKind, sourceKind, transformKind, predicateKind, converterKind, headerConverterKind}

// plugins are all there are, in the order in which they are listed.
type plugins []plugin

func newPlugins(connectors []sdk.Connector, others []plugin) plugins {
	all := slices.Clone(others)
	for _, c := range connectors {
		kind := sourceKind
		if _, ok := c.(sdk.Sink); ok {
			kind = sinkKind
		}
		info := c.Info()
		for _, class := range append([]string{info.Class}, info.Aliases...) {
			all = append(all, plugin{class: class, kind: kind, version: info.Version, options: c.Options(), connector: c})
		}
	}
	slices.SortStableFunc(all, func(a, b plugin) int {
		return cmp.Or(cmp.Compare(slices.Index(kinds, a.kind), slices.Index(kinds, b.kind)), cmp.Compare(a.class, b.class))
	})
	return all
}

// find gives the plugin that a configuration names: by its class, or by the last part of that, with or without the kind at its end. kinds
// are those that it may be of; none: any.
func (p plugins) find(name string, kinds ...string) *plugin {
	for i := range p {
		if len(kinds) > 0 && !slices.Contains(kinds, p[i].kind) {
			continue
		}
		if slices.Contains(p[i].names(), name) {
			return &p[i]
		}
	}
	return nil
}

// suffixes end the classes of a kind. Kafka lets people leave them out.
var suffixes = map[string]string{
	sinkKind: "Connector", sourceKind: "Connector", converterKind: "Converter", headerConverterKind: "Converter",
	transformKind: "Transformation", predicateKind: "Predicate",
}

func (p *plugin) names() []string {
	simple := p.class[strings.LastIndexByte(p.class, '.')+1:]
	return []string{p.class, simple, strings.TrimSuffix(simple, suffixes[p.kind])}
}

// classes lists those of some kinds.
func (p plugins) classes(kinds ...string) []string {
	var out []string
	for i := range p {
		if slices.Contains(kinds, p[i].kind) && !slices.Contains(out, p[i].class) {
			out = append(out, p[i].class)
		}
	}
	return out
}

// taskClass is what tasks of a connector are called in their configuration. No worker of ours looks at it.
func taskClass(class string) string {
	if base, ok := strings.CutSuffix(class, "SourceConnector"); ok {
		return base + "SourceTask"
	}
	if base, ok := strings.CutSuffix(class, "SinkConnector"); ok {
		return base + "SinkTask"
	}
	return class + "Task"
}
