package postgres

import (
	"fmt"
	"regexp"
	"strings"
)

// patterns are regular expressions of which one has to match a whole name.
type patterns []*regexp.Regexp

// What is around a pattern.
const (
	patternBegin = `(?i)^(?:`
	patternEnd   = `)$`
)

// compilePatterns reads regular expressions. What Java's have and Go's have not (possessive quantifiers, look-around) is an error.
func compilePatterns(list []string) (patterns, error) {
	var out patterns
	for _, p := range list {
		re, err := regexp.Compile(patternBegin + p + patternEnd)
		if err != nil {
			return nil, fmt.Errorf("A comma-separated list of valid regular expressions is expected, but %s: %w", p, err)
		}
		out = append(out, re)
	}
	return out, nil
}

func (p patterns) match(name string) bool {
	for _, re := range p {
		if re.MatchString(name) {
			return true
		}
	}
	return false
}

// chosen tells whether lists of names to have and not to have choose one.
func chosen(include, exclude patterns, name string) bool {
	switch {
	case len(include) > 0:
		return include.match(name)
	case len(exclude) > 0:
		return !exclude.match(name)
	}
	return true
}

// splitList divides a list at its commas, except those that a backslash precedes or that are within a repetition such as {2,3}.
func splitList(text string) []string {
	var out []string
	part, depth := strings.Builder{}, 0
	flush := func() {
		if p := strings.TrimSpace(part.String()); p != "" {
			out = append(out, p)
		}
		part.Reset()
	}
	for i := 0; i < len(text); i++ {
		switch c := text[i]; {
		case c == '\\' && i+1 < len(text) && text[i+1] == ',':
			part.WriteByte(',')
			i++
		case c == '{' && i > 0 && text[i-1] != '\\':
			depth++
			part.WriteByte(c)
		case c == '}' && depth > 0:
			depth--
			part.WriteByte(c)
		case c == ',' && depth == 0:
			flush()
		default:
			part.WriteByte(c)
		}
	}
	flush()
	return out
}
