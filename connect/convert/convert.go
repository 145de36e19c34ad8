package convert

import (
	"fmt"
	"slices"
	"strings"

	"github.com/weir/weir/connect/sdk"
)

// Version is the release of Kafka Connect whose converters these are.
const Version = "4.3.1"

// Converter turns the keys or the values of records into bytes and back. It is for one goroutine.
type Converter interface {
	// From appends a value's bytes to dst and gives all of it. nil: the record has none, it is a tombstone if it is the value. After an
	// error dst is as long as it was.
	From(topic string, schema *sdk.Schema, value any, dst []byte) ([]byte, error)
	// To reads what From wrote; nil bytes are a null. The value may refer to b.
	To(topic string, b []byte) (*sdk.Schema, any, error)
}

// HeaderConverter turns the values of headers into bytes and back. It is for one goroutine.
type HeaderConverter interface {
	// FromHeader is Converter.From for a header.
	FromHeader(topic, name string, schema *sdk.Schema, value any, dst []byte) ([]byte, error)
	// ToHeader is Converter.To for a header.
	ToHeader(topic, name string, b []byte) (*sdk.Schema, any, error)
}

// Kind is what a plugin is for, as GET /connector-plugins has it.
type Kind string

// The kinds of plugins.
const (
	KindConverter       Kind = "converter"
	KindHeaderConverter Kind = "header_converter"
)

// Plugin describes a converter. One that is for values and for headers is two of them.
type Plugin struct {
	Class   string
	Kind    Kind
	Version string
	Options []sdk.Option
}

// use says what a converter is made for.
type use string

const (
	forKey    use = "key"
	forValue  use = "value"
	forHeader use = "header"
)

type class struct {
	name    string
	kinds   []Kind
	version string
	options []sdk.Option
	make    func(v sdk.Values, u use) (any, error)
}

var both = []Kind{KindConverter, KindHeaderConverter}

// classes are all converters, in the order in which a worker lists them.
func classes() []class {
	const kafka = "org.apache.kafka.connect."
	return []class{
		{kafka + "converters.BooleanConverter", both, Version, typeOption, primitive(booleans)},
		{kafka + "converters.ByteArrayConverter", both, Version, typeOption, primitive(byteArrays)},
		{kafka + "converters.DoubleConverter", both, Version, typeOption, primitive(doubles)},
		{kafka + "converters.FloatConverter", both, Version, typeOption, primitive(floats)},
		{kafka + "converters.IntegerConverter", both, Version, typeOption, primitive(integers)},
		{kafka + "converters.LongConverter", both, Version, typeOption, primitive(longs)},
		{kafka + "converters.ShortConverter", both, Version, typeOption, primitive(shorts)},
		{kafka + "json.JsonConverter", both, Version, jsonOptions, newJSON},
		{kafka + "storage.SimpleHeaderConverter", []Kind{KindHeaderConverter}, Version, nil, newSimple},
		{kafka + "storage.StringConverter", both, Version, append(slices.Clip(typeOption), encodingOption), newText},
	}
}

// typeOption is what all converters have. The runtime knows how it uses a converter, so that nobody has to set it.
var typeOption = []sdk.Option{{
	Name: "converter.type", Kind: sdk.StringOption, Required: true, Importance: sdk.Low, Order: -1,
	Check: sdk.OneOf("key", "value", "header"), Doc: "How this converter will be used.",
}}

// New makes a converter of the class with its options, without the prefix (as "key.converter.") that they have in a configuration.
// The error is one for whoever configured it.
func New(class string, props map[string]string, key bool) (Converter, error) {
	u := forValue
	if key {
		u = forKey
	}
	made, err := create(class, KindConverter, props, u)
	if err != nil {
		return nil, err
	}
	return made.(Converter), nil
}

// NewHeader makes a converter for headers. It is otherwise as New.
func NewHeader(class string, props map[string]string) (HeaderConverter, error) {
	made, err := create(class, KindHeaderConverter, props, forHeader)
	if err != nil {
		return nil, err
	}
	return made.(HeaderConverter), nil
}

func create(name string, kind Kind, props map[string]string, u use) (any, error) {
	for _, c := range classes() {
		if !c.named(name) || !slices.Contains(c.kinds, kind) {
			continue
		}
		all := make(map[string]string, len(props)+1)
		for k, v := range props {
			all[k] = v
		}
		all["converter.type"] = string(u)
		v, wrong := sdk.Parse(c.options, all)
		if len(wrong) > 0 {
			return nil, sdk.Misconfigured("%s: %w", c.name, wrong[0])
		}
		return c.make(v, u)
	}
	var known []string
	for _, c := range classes() {
		if slices.Contains(c.kinds, kind) {
			known = append(known, c.name)
		}
	}
	return nil, sdk.Misconfigured("There is no %s %s; choose one of %s", strings.ReplaceAll(string(kind), "_", " "), name, strings.Join(known, ", "))
}

// named tells whether somebody who writes name means the class: by all of its name, the last part of it, or that without what it is.
func (c *class) named(name string) bool {
	last := c.name[strings.LastIndexByte(c.name, '.')+1:]
	return name == c.name || name == last || name == strings.TrimSuffix(last, "Converter") || name == strings.TrimSuffix(last, "HeaderConverter")
}

// Plugins describes all converters.
func Plugins() []Plugin {
	var out []Plugin
	for _, kind := range both {
		for _, c := range classes() {
			if slices.Contains(c.kinds, kind) {
				out = append(out, Plugin{c.name, kind, c.version, c.options})
			}
		}
	}
	return out
}

// failed gives an error in the words that a failed conversion has in Kafka.
func failed(format string, args ...any) ([]byte, error) { return nil, fmt.Errorf(format, args...) }
