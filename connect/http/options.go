package http

import (
	"fmt"
	"net/url"
	"strings"

	"golang.org/x/net/http/httpguts"

	"github.com/weir/weir/connect/sdk"
)

// option makes an option's description. A fallback of noValue: it has no default.
func option(group, name string, kind sdk.Kind, fallback string, importance sdk.Importance, doc string) sdk.Option {
	o := sdk.Option{Name: name, Kind: kind, Default: fallback, Importance: importance, Doc: doc, Group: group, Width: "MEDIUM", Display: name}
	if fallback == noValue {
		o.Default, o.NoDefault = "", true
	}
	return o
}

const noValue = "\x00"

func checked(o sdk.Option, check func(sdk.Values, any) error) sdk.Option {
	o.Check = check
	return o
}

func required(o sdk.Option) sdk.Option {
	o.Required, o.NoDefault, o.Default = true, false, ""
	return o
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

func within(least, most int64) func(sdk.Values, any) error {
	return func(_ sdk.Values, v any) error {
		if n, _ := v.(int64); n < least || n > most {
			return fmt.Errorf("Invalid value %v: it must be between %d and %d", v, least, most)
		}
		return nil
	}
}

func webAddress(_ sdk.Values, v any) error {
	s, _ := v.(string)
	if s == "" {
		return nil
	}
	if u, err := url.Parse(s); err != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https" {
		return fmt.Errorf("Invalid value: it must be an address such as https://host/path")
	}
	return nil
}

// headersOf reads headers as name:value.
func headersOf(list []string) (out [][2]string, err error) {
	for _, one := range list {
		name, value, found := strings.Cut(one, ":")
		name, value = strings.TrimSpace(name), strings.TrimSpace(value)
		if !found || !httpguts.ValidHeaderFieldName(name) || !httpguts.ValidHeaderFieldValue(value) {
			return nil, fmt.Errorf("Invalid value: each header has to be as name:value")
		}
		for _, before := range out {
			if strings.EqualFold(before[0], name) {
				return nil, fmt.Errorf("Invalid value: the header %s comes twice", name)
			}
		}
		out = append(out, [2]string{name, value})
	}
	return out, nil
}

func headerList(_ sdk.Values, v any) error {
	list, _ := v.([]string)
	_, err := headersOf(list)
	return err
}

// unescaped gives an option as it was written, spaces and all, with \n and the like in it read. fallback: it was not set.
func unescaped(v sdk.Values, name, fallback string) string {
	s, set := v.Map()[name]
	if !set {
		return fallback
	}
	return strings.NewReplacer(`\\`, `\`, `\n`, "\n", `\r`, "\r", `\t`, "\t", `\"`, `"`, `\'`, `'`).Replace(s)
}
