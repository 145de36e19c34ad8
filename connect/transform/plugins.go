package transform

import (
	"fmt"
	"slices"

	"github.com/weir/weir/connect/sdk"
)

// Versions of what these do the same as.
const (
	Version         = "4.3.1"       // of Kafka Connect
	debeziumVersion = "3.7.0.Final" // of Debezium
)

// Kind is what a plugin is, as GET /connector-plugins has it.
type Kind string

// The kinds of plugins.
const (
	KindTransform Kind = "transformation"
	KindPredicate Kind = "predicate"
)

// Plugin describes a transform or a predicate.
type Plugin struct {
	Class   string
	Kind    Kind
	Version string
	Options []sdk.Option
}

type class struct {
	Plugin
	options []sdk.Option
	make    func(c config) (any, error)
}

const (
	kafka      = "org.apache.kafka.connect.transforms."
	predicates = kafka + "predicates."
)

var all = classes()

func classes() []class {
	var out []class
	add := func(name string, kind Kind, version string, options []sdk.Option, make func(c config) (any, error)) {
		for i := range options {
			options[i].Order = -1
		}
		out = append(out, class{Plugin{name, kind, version, options}, options, make})
	}
	one := func(name string, options []sdk.Option, make func(c config) (any, error)) {
		add(kafka+name, KindTransform, Version, options, make)
	}
	sided := func(name string, options []sdk.Option, make func(c config, on side) (any, error)) {
		one(name+"$Key", options, func(c config) (any, error) { return make(c, key) })
		one(name+"$Value", options, func(c config) (any, error) { return make(c, value) })
	}
	add("io.debezium.transforms.ExtractNewRecordState", KindTransform, debeziumVersion, unwrapOptions, newUnwrap)
	sided("Cast", castOptions, newCast)
	one("DropHeaders", dropHeadersOptions, newDropHeaders)
	sided("ExtractField", extractOptions, newExtract)
	one("Filter", nil, newFilter)
	sided("Flatten", flattenOptions, newFlatten)
	sided("HeaderFrom", headerFromOptions, newHeaderFrom)
	sided("HoistField", hoistOptions, newHoist)
	sided("InsertField", insertOptions, newInsert)
	one("InsertHeader", insertHeaderOptions, newInsertHeader)
	sided("MaskField", maskOptions, newMask)
	one("RegexRouter", regexRouterOptions, newRegexRouter)
	sided("ReplaceField", replaceOptions, newReplace)
	sided("SetSchemaMetadata", metadataOptions, newMetadata)
	sided("TimestampConverter", timestampOptions, newTimestamp)
	one("TimestampRouter", timestampRouterOptions, newTimestampRouter)
	one("ValueToKey", valueToKeyOptions, newValueToKey)
	add(predicates+"HasHeaderKey", KindPredicate, Version, hasHeaderOptions, newHasHeader)
	add(predicates+"RecordIsTombstone", KindPredicate, Version, nil, newTombstone)
	add(predicates+"TopicNameMatches", KindPredicate, Version, topicMatchesOptions, newTopicMatches)
	return out
}

// Plugins describes all transforms and predicates.
func Plugins() []Plugin {
	var out []Plugin
	for _, c := range all {
		out = append(out, c.Plugin)
	}
	return out
}

// find gives a class by its name, or the last part of it; nil: there is none.
func find(name string, kind Kind) *class {
	for i := range all {
		if c := &all[i]; c.Kind == kind && (c.Class == name || simple(c.Class) == name) {
			return c
		}
	}
	return nil
}

// replaceNull is an option of most transforms.
var replaceNull = sdk.Option{
	Name: "replace.null.with.default", Kind: sdk.BooleanOption, Default: "true", Importance: sdk.Medium,
	Doc: "Whether to replace fields that have a default value and that are null to the default value. When set to true, the default value is used, otherwise null is used.",
}

// filled wants a list with something in each place.
func filled(name string) func(sdk.Values, any) error {
	return func(_ sdk.Values, v any) error {
		list, _ := v.([]string)
		if len(list) == 0 {
			return fmt.Errorf("Configuration '%s' must not be empty. Valid values include: any non-empty value", name)
		}
		if slices.Contains(list, "") {
			return fmt.Errorf("Configuration '%s' values must not be empty.", name)
		}
		return nil
	}
}

func nonEmptyList(name string) func(sdk.Values, any) error {
	return func(_ sdk.Values, v any) error {
		if list, _ := v.([]string); len(list) == 0 {
			return invalid(name, list, "Empty list")
		}
		return nil
	}
}

func nonEmptyString(name string) func(sdk.Values, any) error {
	return func(_ sdk.Values, v any) error {
		if v == "" {
			return invalid(name, v, "String must be non-empty")
		}
		return nil
	}
}

// oneOf is Kafka's ValidString: one of some, in their letters.
func oneOf(name string, values ...string) func(sdk.Values, any) error {
	return func(_ sdk.Values, v any) error {
		text := ""
		for i, s := range values {
			if s == v {
				return nil
			}
			if i > 0 {
				text += ", "
			}
			text += s
		}
		return invalid(name, v, "String must be one of: "+text)
	}
}
