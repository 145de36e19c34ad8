package transform

import (
	"fmt"
	"slices"
	"strings"

	"github.com/weir/weir/connect/sdk"
	"github.com/weir/weir/connect/values"
)

// Chain is what a connector's transforms do, one after the other. It is for one goroutine.
type Chain struct {
	stages []stage
}

type stage struct {
	name      string
	transform transform
	when      predicate // nil: always
	negate    bool
}

// transform changes a record, or drops it. It replaces keys, values and headers, and never changes what is in them.
type transform interface {
	apply(r *sdk.Record) (keep bool, err error)
}

type predicate func(r *sdk.Record) bool

// New makes the chain of a connector's configuration. Its errors name the options by all of their names.
func New(props map[string]string) (*Chain, []sdk.OptionError) {
	options, wrong := Options(props)
	v, more := sdk.Parse(options, props)
	wrong = append(wrong, more...)
	if len(wrong) > 0 {
		return nil, wrong
	}
	chain := &Chain{}
	for _, alias := range aliases(props, "transforms") {
		prefix := "transforms." + alias + "."
		made, err := find(props[prefix+"type"], KindTransform).make(config{v, prefix})
		if err != nil {
			wrong = append(wrong, sdk.OptionError{Option: prefix + "type", Err: err})
			continue
		}
		s := stage{name: alias, transform: made.(transform), negate: v.Bool(prefix + "negate")}
		if name := v.String(prefix + "predicate"); name != "" {
			at := "predicates." + name + "."
			p := find(props[at+"type"], KindPredicate)
			if p == nil {
				wrong = append(wrong, sdk.OptionError{Option: prefix + "predicate", Err: fmt.Errorf("There is no predicate %s; name it in predicates, and give %stype", name, at)})
				continue
			}
			made, err := p.make(config{v, at})
			if err != nil {
				wrong = append(wrong, sdk.OptionError{Option: at + "type", Err: err})
				continue
			}
			s.when = made.(predicate)
		}
		chain.stages = append(chain.stages, s)
	}
	if len(wrong) > 0 {
		return nil, wrong
	}
	return chain, nil
}

// Empty tells whether all records stay as they are.
func (c *Chain) Empty() bool { return len(c.stages) == 0 }

// Apply gives the transformed record; nil: it is dropped. The one that is given stays as it is.
func (c *Chain) Apply(r *sdk.Record) (*sdk.Record, error) {
	if len(c.stages) == 0 {
		return r, nil
	}
	out := *r
	for i := range c.stages {
		s := &c.stages[i]
		if s.when != nil && s.when(&out) == s.negate {
			continue
		}
		keep, err := s.transform.apply(&out)
		if err != nil {
			return nil, err
		}
		if !keep {
			return nil, nil
		}
	}
	return &out, nil
}

// Options gives the options that a configuration's transforms and predicates have, with all of their names: what validation shows
// and checks. The errors are of types that are missing or unknown.
func Options(props map[string]string) ([]sdk.Option, []sdk.OptionError) {
	var out []sdk.Option
	var wrong []sdk.OptionError
	for _, k := range []struct {
		kind       Kind
		list, name string
		extra      []sdk.Option
	}{
		{KindTransform, "transforms", "Transformation", implicit},
		{KindPredicate, "predicates", "Predicate", nil},
	} {
		for _, alias := range aliases(props, k.list) {
			prefix := k.list + "." + alias + "."
			group := strings.ToUpper(k.list[:1]) + k.list[1:] + ": " + alias
			given := props[prefix+"type"]
			c := find(given, k.kind)
			out = append(out, typeOption(k.kind, prefix, alias, k.name))
			if c == nil && given != "" {
				wrong = append(wrong, sdk.OptionError{Option: prefix + "type", Err: fmt.Errorf("Invalid value %s for configuration %stype: Class %s could not be found.", given, prefix, given)})
			}
			version := Version
			if c != nil {
				version = c.Version
			}
			own := []sdk.Option{versionOption(strings.ToLower(k.name), alias, version)}
			own = append(own, k.extra...)
			if c != nil {
				own = append(own, c.options...)
			}
			for _, o := range own {
				o.Name, o.Display = prefix+o.Name, o.Name
				if o.Display == "plugin.version" {
					o.Display = k.name + " version for " + alias
				}
				o.Group = group
				out = append(out, o)
			}
			renumber(out, group)
			_, negated := props[prefix+"negate"]
			if _, has := props[prefix+"predicate"]; negated && !has && k.kind == KindTransform {
				wrong = append(wrong, sdk.OptionError{Option: prefix + "type", Err: fmt.Errorf("Config '%snegate' was provided but there is no config '%spredicate' defining a predicate to be negated.", prefix, prefix)})
			}
		}
	}
	return out, wrong
}

// renumber gives the options of a group the order in which they are there.
func renumber(options []sdk.Option, group string) {
	n := 0
	for i := range options {
		if options[i].Group == group {
			options[i].Order = n
			n++
		}
	}
}

// implicit are the options that each transform has.
var implicit = []sdk.Option{
	{Name: "negate", Kind: sdk.BooleanOption, Default: "false", Importance: sdk.Medium, Doc: "Whether the configured predicate should be negated."},
	{Name: "predicate", Kind: sdk.StringOption, NoDefault: true, Importance: sdk.Medium, Doc: "The alias of a predicate used to determine whether to apply this transformation."},
}

func typeOption(kind Kind, prefix, alias, name string) sdk.Option {
	return sdk.Option{
		Name: prefix + "type", Kind: sdk.ClassOption, Required: true, Importance: sdk.High, Width: "LONG",
		Doc: fmt.Sprintf("Class for the '%s' %s.", alias, strings.ToLower(name)), Display: fmt.Sprintf("%s type for %s", name, alias),
		Group: strings.ToUpper(prefix[:1]) + strings.TrimSuffix(strings.Replace(prefix[1:], ".", ": ", 1), "."),
		Recommended: func(sdk.Values) []string {
			var names []string
			for _, p := range Plugins() {
				if p.Kind == kind {
					names = append(names, p.Class)
				}
			}
			return names
		},
	}
}

func versionOption(name, alias, version string) sdk.Option {
	return sdk.Option{
		Name: "plugin.version", Kind: sdk.StringOption, Default: version, Importance: sdk.High, Width: "LONG",
		Doc:         fmt.Sprintf("Version of the '%s' %s.", alias, name),
		Recommended: func(sdk.Values) []string { return []string{version} },
	}
}

// aliases gives the names in a list of transforms or predicates, each once.
func aliases(props map[string]string, list string) []string {
	var out []string
	for _, a := range strings.Split(props[list], ",") {
		if a = strings.TrimSpace(a); a != "" && !slices.Contains(out, a) {
			out = append(out, a)
		}
	}
	return out
}

// config gives the values of one transform's or predicate's options.
type config struct {
	v      sdk.Values
	prefix string
}

func (c config) String(name string) string { return c.v.String(c.prefix + name) }
func (c config) Bool(name string) bool     { return c.v.Bool(c.prefix + name) }
func (c config) List(name string) []string { return c.v.List(c.prefix + name) }
func (c config) Int(name string) int64     { return c.v.Int(c.prefix + name) }
func (c config) Has(name string) bool      { return c.v.Has(c.prefix + name) }

// side is the half of a record that a transform works on.
type side bool

const (
	key   side = false
	value side = true
)

func (s side) get(r *sdk.Record) (*sdk.Schema, any) {
	if s == key {
		return r.KeySchema, r.Key
	}
	return r.ValueSchema, r.Value
}

func (s side) set(r *sdk.Record, schema *sdk.Schema, v any) {
	if s == key {
		r.KeySchema, r.Key = schema, v
	} else {
		r.ValueSchema, r.Value = schema, v
	}
}

// cache remembers what became of schemas.
type cache map[*sdk.Schema]*sdk.Schema

// schemasMost is how many schemas a transform remembers. (Kafka: 16.) Sources that make new ones all the time do not fill the memory.
const schemasMost = 256

func (c cache) get(s *sdk.Schema, make func() (*sdk.Schema, error)) (*sdk.Schema, error) {
	if made := c[s]; made != nil {
		return made, nil
	}
	made, err := make()
	if err != nil {
		return nil, err
	}
	if len(c) >= schemasMost {
		clear(c)
	}
	c[s] = made
	return made, nil
}

// basics makes a structure's schema with fields, and name, version, doc and parameters of another schema: it is not optional.
func basics(from *sdk.Schema, fields []sdk.Field) *sdk.Schema {
	s := sdk.NewStructure(from.Name, fields...)
	s.Version, s.Doc, s.Params = from.Version, from.Doc, from.Params
	return s
}

func requireMap(v any, purpose string) (map[string]any, error) {
	m, ok := v.(map[string]any)
	if !ok {
		return nil, fmt.Errorf("Only Map objects supported in absence of schema for [%s], found: %s", purpose, className(v))
	}
	return m, nil
}

func requireStruct(v any, purpose string) (*sdk.Struct, error) {
	s, ok := v.(*sdk.Struct)
	if !ok {
		return nil, fmt.Errorf("Only Struct objects supported for [%s], found: %s", purpose, className(v))
	}
	return s, nil
}

func structOrNil(v any, purpose string) (*sdk.Struct, error) {
	if v == nil {
		return nil, nil
	}
	return requireStruct(v, purpose)
}

func className(v any) string { return strings.TrimPrefix(values.Class(v), "class ") }

// fieldValue gives a field's value; defaults: its default if it is null.
func fieldValue(s *sdk.Struct, i int, defaults bool) any {
	if defaults {
		return values.WithDefault(s, i)
	}
	return s.Values[i]
}

// put sets a field, if the value may be there.
func put(s *sdk.Struct, i int, v any) error {
	f := &s.Schema.Fields[i]
	if err := values.Check(f.Schema, v, "field: \""+f.Name+"\""); err != nil {
		return err
	}
	s.Values[i] = v
	return nil
}

// split is Java's String.split: what is empty at the end is not there.
func split(s, by string) []string {
	parts := strings.Split(s, by)
	for len(parts) > 1 && parts[len(parts)-1] == "" {
		parts = parts[:len(parts)-1]
	}
	return parts
}

// invalid is what a validator says in Kafka.
func invalid(name string, value any, why string) error {
	if list, ok := value.([]string); ok {
		value = "[" + strings.Join(list, ", ") + "]"
	}
	return fmt.Errorf("Invalid value %v for configuration %s: %s", value, name, why)
}
