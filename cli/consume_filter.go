package cli

import (
	"bytes"
	"regexp"
	"slices"
	"strings"

	"github.com/spf13/cobra"
	"github.com/twmb/franz-go/pkg/kgo"
)

// recordFilter are conditions, all of which a record must meet to be printed.
type recordFilter []func(*kgo.Record) bool

func (f recordFilter) wants(r *kgo.Record) bool {
	return !slices.ContainsFunc(f, func(meets func(*kgo.Record) bool) bool { return !meets(r) })
}

// filter makes the conditions of the flags.
func (c *consume) filter(cmd *cobra.Command) (recordFilter, error) {
	var f recordFilter
	for _, part := range []struct {
		flag, pattern string
		of            func(*kgo.Record) []byte
	}{
		{"key", c.key, func(r *kgo.Record) []byte { return r.Key }},
		{"value", c.value, func(r *kgo.Record) []byte { return r.Value }},
	} {
		if !cmd.Flags().Changed(part.flag) {
			continue
		}
		matches, err := matcher("--"+part.flag, part.pattern)
		if err != nil {
			return nil, err
		}
		f = append(f, func(r *kgo.Record) bool { return matches(part.of(r)) })
	}
	for _, header := range c.headers {
		meets, err := headerFilter(header)
		if err != nil {
			return nil, err
		}
		f = append(f, meets)
	}
	return f, nil
}

// headerFilter is met by records that have a header of a name, and if the filter says one, of a value.
func headerFilter(header string) (func(*kgo.Record) bool, error) {
	name, pattern, hasValue := strings.Cut(header, "=")
	if name == "" {
		return nil, usagef("--header %q names no header: use name or name=value", header)
	}
	matches := func([]byte) bool { return true }
	if hasValue {
		var err error
		if matches, err = matcher("--header", pattern); err != nil {
			return nil, err
		}
	}
	return func(r *kgo.Record) bool {
		return slices.ContainsFunc(r.Headers, func(h kgo.RecordHeader) bool { return h.Key == name && matches(h.Value) })
	}, nil
}

// matcher tells of bytes whether they are a text, or match a /regular expression/. What is absent matches nothing.
func matcher(flag, pattern string) (func([]byte) bool, error) {
	if len(pattern) < 2 || pattern[0] != '/' || pattern[len(pattern)-1] != '/' {
		text := []byte(pattern)
		return func(b []byte) bool { return b != nil && bytes.Equal(b, text) }, nil
	}
	expression, err := regexp.Compile(pattern[1 : len(pattern)-1])
	if err != nil {
		return nil, usagef("%s %q: %v", flag, pattern, err)
	}
	return func(b []byte) bool { return b != nil && expression.Match(b) }, nil
}
