package sdk

import (
	"fmt"
	"maps"
	"math"
	"slices"
	"strconv"
	"strings"
	"time"
)

// Kind is the type of an option, by the name that Kafka has for it.
type Kind string

// The types of options.
const (
	BooleanOption  Kind = "BOOLEAN"
	StringOption   Kind = "STRING"
	IntOption      Kind = "INT"
	ShortOption    Kind = "SHORT"
	LongOption     Kind = "LONG"
	DoubleOption   Kind = "DOUBLE"
	ListOption     Kind = "LIST"
	ClassOption    Kind = "CLASS"
	PasswordOption Kind = "PASSWORD" // never shown
)

// FileRoot is the name under which Values.Map has, in a task, the folder under which connectors may use files; "": any. It is the worker's
// option, and not for those who configure connectors to set.
const FileRoot = "file.root"

// Importance says how likely somebody sets an option.
type Importance string

// The importances.
const (
	High   Importance = "HIGH"
	Medium Importance = "MEDIUM"
	Low    Importance = "LOW"
)

// Option describes an option of a connector, a transform or a converter: what the REST API's validation tells of it (KIP-26).
type Option struct {
	Name       string
	Kind       Kind
	Required   bool
	Default    string // as it would be written
	NoDefault  bool   // it may be left out and has no value then; else, if it is not Required, it has Default
	Importance Importance
	Doc        string

	Group   string
	Order   int    // in the group
	Width   string // NONE, SHORT, MEDIUM, LONG; "": NONE
	Display string // "": the name
	// Dependents are options whose validity or visibility depends on this one's value.
	Dependents []string

	// Check gives what is wrong with a value that is of the option's type; nil: nothing.
	Check func(v Values, value any) error
	// Recommended are the values to choose from.
	Recommended func(v Values) []string
	// Hidden tells whether the option means nothing with the other options' values.
	Hidden func(v Values) bool
	// Unsupported says why Weir does not do what the option asks for when it is set to anything but Accepts: an option that other makers'
	// connectors have. "": it is supported.
	Unsupported string
	Accepts     []string
	// NoEffect says why it makes no difference here what the option is set to, though nothing that was asked for is missing: an option of
	// other makers' connectors for something that there is not here, such as a queue. A value other than the default is told of, and is no
	// error. "": the option does something.
	NoEffect string
	// Internal options are not told of.
	Internal bool
}

// OptionError is what is wrong with an option.
type OptionError struct {
	Option string
	Err    error
}

func (e OptionError) Error() string { return e.Err.Error() }

// Values are the values of options.
type Values struct {
	raw     map[string]string
	parsed  map[string]any
	options map[string]*Option
}

// Parse reads the options that props gives. Those that are wrong have the zero value in what it gives.
// Errors are worded as Kafka's.
func Parse(options []Option, props map[string]string) (Values, []OptionError) {
	v := Values{raw: props, parsed: make(map[string]any, len(options)), options: make(map[string]*Option, len(options))}
	var wrong []OptionError
	for i := range options {
		o := &options[i]
		v.options[o.Name] = o
		text, set := props[o.Name]
		switch {
		case !set && o.Required:
			wrong = append(wrong, OptionError{o.Name, fmt.Errorf("Missing required configuration \"%s\" which has no default value.", o.Name)})
			continue
		case !set && o.NoDefault:
			continue
		case !set:
			text = o.Default
		}
		value, err := parse(o, text)
		if err != nil {
			wrong = append(wrong, OptionError{o.Name, err})
			continue
		}
		v.parsed[o.Name] = value
	}
	for i := range options {
		o := &options[i]
		value, ok := v.parsed[o.Name]
		if !ok {
			continue
		}
		if o.Check != nil {
			if err := o.Check(v, value); err != nil {
				wrong = append(wrong, OptionError{o.Name, err})
			}
		}
		if text, set := props[o.Name]; set && o.Unsupported != "" && !o.isDefault(text) && !slices.Contains(o.Accepts, text) {
			wrong = append(wrong, OptionError{o.Name, fmt.Errorf("%s is not supported: %s", o.Name, o.Unsupported)})
		}
	}
	return v, wrong
}

func (o *Option) isDefault(text string) bool {
	return strings.EqualFold(strings.TrimSpace(text), o.Default)
}

// Idle names the options that are set to something other than their defaults and have no effect, with the reasons.
func (v Values) Idle() (told []OptionError) {
	for _, name := range slices.Sorted(maps.Keys(v.raw)) {
		o := v.options[name]
		if o == nil || o.NoEffect == "" || o.isDefault(v.raw[name]) {
			continue
		}
		told = append(told, OptionError{name, fmt.Errorf("%s has no effect here: %s", name, o.NoEffect)})
	}
	return told
}

func parse(o *Option, text string) (any, error) {
	bad := func(why string) error {
		shown := text
		if o.Kind == PasswordOption {
			shown = "[hidden]"
		}
		return fmt.Errorf("Invalid value %s for configuration %s: %s", shown, o.Name, why)
	}
	trimmed := strings.TrimSpace(text)
	switch o.Kind {
	case BooleanOption:
		switch strings.ToLower(trimmed) {
		case "true":
			return true, nil
		case "false":
			return false, nil
		}
		return nil, bad("Expected value to be either true or false")
	case ShortOption, IntOption, LongOption:
		bits := map[Kind]int{ShortOption: 16, IntOption: 32, LongOption: 64}[o.Kind]
		n, err := strconv.ParseInt(trimmed, 10, bits)
		if err != nil {
			return nil, bad("Not a number of type " + string(o.Kind))
		}
		return n, nil
	case DoubleOption:
		n, err := strconv.ParseFloat(trimmed, 64)
		if err != nil || math.IsNaN(n) {
			return nil, bad("Not a number of type DOUBLE")
		}
		return n, nil
	case ListOption:
		if trimmed == "" {
			return []string{}, nil
		}
		parts := strings.Split(trimmed, ",")
		for i := range parts {
			parts[i] = strings.TrimSpace(parts[i])
		}
		return parts, nil
	case PasswordOption:
		return text, nil
	}
	return trimmed, nil
}

// Map gives all options as they were written, also those that are no connector's.
func (v Values) Map() map[string]string { return v.raw }

// Value gives the value of an option by its type: bool, int64, float64, string or []string. false: it has none, or a wrong one.
func (v Values) Value(name string) (any, bool) { value, ok := v.parsed[name]; return value, ok }

// Has tells whether an option was set by who configured the connector.
func (v Values) Has(name string) bool { _, ok := v.raw[name]; return ok }

// String gives the value of an option that is a string, class or password. "": it has none.
func (v Values) String(name string) string { s, _ := v.parsed[name].(string); return s }

// Int gives the value of an option that is a number.
func (v Values) Int(name string) int64 { n, _ := v.parsed[name].(int64); return n }

// Float gives the value of an option that is a number with a fraction.
func (v Values) Float(name string) float64 { n, _ := v.parsed[name].(float64); return n }

// Bool gives the value of an option that is a boolean.
func (v Values) Bool(name string) bool { b, _ := v.parsed[name].(bool); return b }

// List gives the value of an option that is a list.
func (v Values) List(name string) []string { l, _ := v.parsed[name].([]string); return l }

// Milliseconds gives the value of an option that is a time in milliseconds.
func (v Values) Milliseconds(name string) time.Duration {
	return time.Duration(v.Int(name)) * time.Millisecond
}

// OneOf is a Check that a value is one of some. Letters' case does not matter.
func OneOf(values ...string) func(Values, any) error {
	return func(_ Values, value any) error {
		s, _ := value.(string)
		if slices.ContainsFunc(values, func(v string) bool { return strings.EqualFold(v, s) }) {
			return nil
		}
		return fmt.Errorf("Invalid value %s: it must be one of %s", s, strings.Join(values, ", "))
	}
}

// AtLeast is a Check that a number is large enough.
func AtLeast(least int64) func(Values, any) error {
	return func(_ Values, value any) error {
		if n, _ := value.(int64); n < least {
			return fmt.Errorf("Invalid value %v: Value must be at least %d", value, least)
		}
		return nil
	}
}
