package s3

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/weir/weir/connect/sdk"
)

// option makes an option's description. fallback is the default; a value of noValue: there is none.
func option(group, name string, kind sdk.Kind, fallback string, importance sdk.Importance, doc string) sdk.Option {
	o := sdk.Option{Name: name, Kind: kind, Default: fallback, Importance: importance, Doc: doc, Group: group, Width: "MEDIUM", Display: name}
	if fallback == noValue {
		o.Default, o.NoDefault = "", true
	}
	return o
}

const noValue = "\x00"

// other makes the description of an option that other makers' connectors have and this one does not do.
func other(group, name string, kind sdk.Kind, fallback, why string, accepts ...string) sdk.Option {
	o := option(group, name, kind, fallback, sdk.Low, "Not supported: "+why+".")
	o.Unsupported, o.Accepts = why, accepts
	return o
}

// idle makes the description of an option that means nothing here, whatever its value.
func idle(group, name string, kind sdk.Kind, fallback, why string) sdk.Option {
	o := option(group, name, kind, fallback, sdk.Low, "Has no effect here: "+why+".")
	o.NoEffect = why
	return o
}

// setOr gives the number that an option is set to, or another if it is not.
func setOr(v sdk.Values, name string, otherwise int) int {
	if v.Has(name) {
		return int(v.Int(name))
	}
	return otherwise
}

// waitOf gives the time that an option is set to. < 0: it is not.
func waitOf(v sdk.Values, name string) time.Duration {
	if v.Has(name) {
		return v.Milliseconds(name)
	}
	return -1
}

// ordered numbers the options of each group.
func ordered(options []sdk.Option) []sdk.Option {
	count := map[string]int{}
	for i := range options {
		count[options[i].Group]++
		options[i].Order = count[options[i].Group]
	}
	return options
}

func checked(o sdk.Option, check func(sdk.Values, any) error) sdk.Option {
	o.Check = check
	return o
}

func required(o sdk.Option) sdk.Option {
	o.Required, o.NoDefault, o.Default = true, false, ""
	return o
}

// classOf is a Check that a value is one of some classes. What stands before their names does not matter.
func classOf(option string, names ...string) func(sdk.Values, any) error {
	return func(_ sdk.Values, v any) error {
		s, _ := v.(string)
		if slices.Contains(names, simple(s)) || s == "" {
			return nil
		}
		return fmt.Errorf("Invalid value %s for configuration %s: it must be one of %s", s, option, strings.Join(names, ", "))
	}
}

// simple gives a class's name without what stands before it.
func simple(class string) string { return class[strings.LastIndexAny(class, ".$")+1:] }

// within is a Check that a number is in a range.
func within(least, most int64) func(sdk.Values, any) error {
	return func(_ sdk.Values, v any) error {
		if n, _ := v.(int64); n < least || n > most {
			return fmt.Errorf("Invalid value %v: it must be between %d and %d", v, least, most)
		}
		return nil
	}
}

// atFault finds the option that an error names first, to show the error with it. fallback: it names none.
func atFault(options []sdk.Option, err error, fallback string) []sdk.OptionError {
	at, text := fallback, err.Error()
	first := len(text)
	for _, o := range options {
		if i := strings.Index(text, o.Name); i >= 0 && i < first {
			at, first = o.Name, i
		}
	}
	return []sdk.OptionError{{Option: at, Err: err}}
}
