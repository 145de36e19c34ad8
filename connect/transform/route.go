package transform

import (
	"fmt"
	"regexp"
	"strconv"
	"strings"

	"github.com/weir/weir/connect/sdk"
	"github.com/weir/weir/connect/values"
)

var regexRouterOptions = []sdk.Option{
	{Name: "regex", Kind: sdk.StringOption, Required: true, Importance: sdk.High, Check: validRegex("regex"), Doc: "Regular expression to use for matching."},
	{Name: "replacement", Kind: sdk.StringOption, Required: true, Importance: sdk.High, Doc: "Replacement string."},
}

// pattern is a regular expression that has to match the whole of a text.
type pattern struct {
	whole, some *regexp.Regexp
}

func compile(expr string) (*pattern, error) {
	some, err := regexp.Compile(expr)
	if err != nil {
		return nil, err
	}
	return &pattern{regexp.MustCompile(`\A(?:` + expr + `)\z`), some}, nil
}

func validRegex(name string) func(sdk.Values, any) error {
	return func(_ sdk.Values, v any) error {
		if _, err := compile(v.(string)); err != nil {
			return invalid(name, v, "Invalid regex: "+reason(err))
		}
		return nil
	}
}

// reason says what is wrong with an expression, and that it may be one of those that only Java has.
func reason(err error) string {
	text := strings.TrimPrefix(err.Error(), "error parsing regexp: ")
	if strings.Contains(text, "(?") || strings.Contains(text, `\`) {
		text += " (look-around, back references and possessive quantifiers are not supported)"
	}
	return text
}

// regexRouter makes the topic another one, by a regular expression.
type regexRouter struct {
	pattern     *pattern
	replacement string
}

func newRegexRouter(c config) (any, error) {
	p, err := compile(c.String("regex"))
	return &regexRouter{p, c.String("replacement")}, err
}

func (t *regexRouter) apply(r *sdk.Record) (bool, error) {
	if !t.pattern.whole.MatchString(r.Topic) {
		return true, nil
	}
	at := t.pattern.some.FindStringSubmatchIndex(r.Topic) // as Matcher.replaceFirst, which begins anew
	text, err := t.pattern.expand(t.replacement, r.Topic, at)
	r.Topic = r.Topic[:at[0]] + text + r.Topic[at[1]:]
	return true, err
}

// expand fills in a replacement in Java's form: $1, ${name}, and a backslash before what stands for itself.
func (p *pattern) expand(replacement, text string, at []int) (string, error) {
	var out strings.Builder
	group := func(n int) {
		if at[2*n] >= 0 {
			out.WriteString(text[at[2*n]:at[2*n+1]])
		}
	}
	for i := 0; i < len(replacement); i++ {
		switch c := replacement[i]; c {
		default:
			out.WriteByte(c)
		case '\\':
			if i++; i == len(replacement) {
				return "", fmt.Errorf("character to be escaped is missing")
			}
			out.WriteByte(replacement[i])
		case '$':
			if name, _, ok := strings.Cut(replacement[i+1:], "}"); ok && strings.HasPrefix(name, "{") {
				n := p.some.SubexpIndex(name[1:])
				if n < 0 {
					return "", fmt.Errorf("No group with name {%s}", name[1:])
				}
				group(n)
				i += len(name) + 1
				continue
			}
			n, digits := p.number(replacement[i+1:])
			if digits == 0 {
				return "", fmt.Errorf("Illegal group reference: group index is missing")
			}
			if n > p.some.NumSubexp() {
				return "", fmt.Errorf("No group %d", n)
			}
			group(n)
			i += digits
		}
	}
	return out.String(), nil
}

// number reads a group's number: as many digits as there is such a group for.
func (p *pattern) number(s string) (n, digits int) {
	for digits < len(s) && s[digits] >= '0' && s[digits] <= '9' {
		next := n*10 + int(s[digits]-'0')
		if digits > 0 && next > p.some.NumSubexp() {
			break
		}
		n = next
		digits++
	}
	return n, digits
}

var timestampRouterOptions = []sdk.Option{
	{Name: "topic.format", Kind: sdk.StringOption, Default: "${topic}-${timestamp}", Importance: sdk.High,
		Doc: "Format string which can contain <code>${topic}</code> and <code>${timestamp}</code> as placeholders for the topic and timestamp, respectively."},
	{Name: "timestamp.format", Kind: sdk.StringOption, Default: "yyyyMMdd", Importance: sdk.High,
		Doc: "Format string for the timestamp that is compatible with <code>java.text.SimpleDateFormat</code>."},
}

// timestampRouter makes the topic another one, by the record's time.
type timestampRouter struct {
	topic  string
	format *values.DateFormat
}

func newTimestampRouter(c config) (any, error) {
	f, err := values.NewDateFormat(c.String("timestamp.format"))
	return &timestampRouter{c.String("topic.format"), f}, err
}

func (t *timestampRouter) apply(r *sdk.Record) (bool, error) {
	if r.Timestamp.IsZero() {
		return false, fmt.Errorf("Timestamp missing on record: topic='%s', kafkaPartition=%s", r.Topic, partitionText(r.Partition))
	}
	topic := strings.ReplaceAll(t.topic, "${topic}", r.Topic)
	r.Topic = strings.ReplaceAll(topic, "${timestamp}", t.format.Format(r.Timestamp))
	return true, nil
}

func partitionText(p int32) string {
	if p < 0 {
		return "null"
	}
	return strconv.Itoa(int(p))
}

// filter drops all records: it is of use with a predicate.
type filter struct{}

func newFilter(config) (any, error) { return filter{}, nil }

func (filter) apply(*sdk.Record) (bool, error) { return false, nil }

var hasHeaderOptions = []sdk.Option{{
	Name: "name", Kind: sdk.StringOption, Required: true, Importance: sdk.Medium, Check: nonEmptyString("name"), Doc: "The header name.",
}}

func newHasHeader(c config) (any, error) {
	name := c.String("name")
	return predicate(func(r *sdk.Record) bool {
		for _, h := range r.Headers {
			if h.Key == name {
				return true
			}
		}
		return false
	}), nil
}

func newTombstone(config) (any, error) {
	return predicate(func(r *sdk.Record) bool { return r.Value == nil }), nil
}

var topicMatchesOptions = []sdk.Option{{
	Name: "pattern", Kind: sdk.StringOption, Required: true, Importance: sdk.Medium,
	Check: func(v sdk.Values, value any) error {
		if err := nonEmptyString("pattern")(v, value); err != nil {
			return err
		}
		return validRegex("pattern")(v, value)
	},
	Doc: "A Java regular expression for matching against the name of a record's topic.",
}}

func newTopicMatches(c config) (any, error) {
	p, err := compile(c.String("pattern"))
	if err != nil {
		return nil, err
	}
	return predicate(func(r *sdk.Record) bool { return p.whole.MatchString(r.Topic) }), nil
}
