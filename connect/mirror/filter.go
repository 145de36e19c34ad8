package mirror

import (
	"fmt"
	"regexp"
	"strings"

	"github.com/weir/weir/connect/sdk"
)

// filter chooses names by lists of names and regular expressions. What is excluded is not included.
type filter struct{ include, exclude *regexp.Regexp }

func (f filter) has(name string) bool {
	return f.include.MatchString(name) && !f.exclude.MatchString(name)
}

// nothing matches no name.
var nothing = regexp.MustCompile(`[^\s\S]`)

// pattern makes one expression of a list.
func pattern(list []string) (*regexp.Regexp, error) {
	if len(list) == 0 {
		return nothing, nil
	}
	return regexp.Compile("^(?:" + strings.Join(list, "|") + ")$")
}

// checkPatterns is a Check of an option that is such a list.
func checkPatterns(_ sdk.Values, value any) error {
	list, _ := value.([]string)
	if _, err := pattern(list); err != nil {
		return fmt.Errorf("Invalid value %s: it must be a list of names and regular expressions: %w", strings.Join(list, ","), err)
	}
	return nil
}

// patternOf gives that of an option, which is right; the first of its names that is set counts.
func patternOf(v sdk.Values, names ...string) *regexp.Regexp {
	name := names[0]
	for _, n := range names {
		if v.Has(n) {
			name = n
			break
		}
	}
	p, err := pattern(v.List(name))
	if err != nil {
		panic("BUG: a pattern that was checked is wrong: " + err.Error())
	}
	return p
}
