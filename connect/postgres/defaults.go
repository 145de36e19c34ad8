package postgres

import (
	"strings"

	"github.com/weir/weir/connect/sdk"
)

var (
	literal  = lazily(`'([^']*(?:''[^']*)*)'`)
	function = lazily(`^[(]?[A-Za-z0-9_.]+\((?:.+(?:, ?.+)*)?\)`)
)

// placeholders stand, for each type, for a default that is computed.
var placeholders = map[uint32]string{
	oidBit: "00", oidVarbit: "0", oidBool: "f", oidBpchar: "", oidVarchar: "", oidText: "", oidNumeric: "0.0", oidFloat4: "0.0", oidFloat8: "0.0",
	oidInt2: "0", oidInt4: "0", oidInt8: "0", oidJSON: "{}", oidJSONB: "{}", oidXML: "", oidUUID: "00000000-0000-0000-0000-000000000000",
	oidDate: "1970-01-01", oidTime: "00:00:00", oidTimestamp: "1970-01-01 00:00:00", oidTimestamptz: "1970-01-01 00:00:00+00", oidInterval: "00:00:00",
}

// defaultOf gives the default that a column's schema tells; nil: none, or one that a schema cannot have. Only literals are told; what
// an expression computes is told as a placeholder.
func defaultOf(t *pgType, k kind, expression string) any {
	text, ok := defaultText(t, expression)
	if !ok {
		return nil
	}
	v, err := k.read(&slab{}, []byte(text))
	if err != nil {
		return nil
	}
	if _, ok := v.(*sdk.Struct); ok {
		return nil
	}
	return v
}

func defaultText(t *pgType, expression string) (string, bool) {
	if t.labels != nil {
		text := unquote(expression)
		return text, strings.HasPrefix(expression, "'")
	}
	placeholder, ok := placeholders[t.oid]
	if !ok || expression == "" || strings.HasPrefix(expression, "NULL::") {
		return "", false
	}
	switch lower := strings.ToLower(expression); {
	case function().MatchString(expression), lower == "current_timestamp", lower == "current_time", lower == "current_date", lower == "localtime", lower == "localtimestamp":
		return placeholder, true
	}
	text := unquote(expression)
	switch t.oid {
	case oidBool:
		text = map[string]string{"true": "t", "false": "f"}[strings.ToLower(text)]
	case oidTimestamp:
		text = withClock(text)
	case oidTimestamptz:
		if text = withClock(text); !strings.ContainsAny(text[min(len(text), 10):], "+-Z") {
			text += "+00"
		}
	}
	return text, text != "" || placeholder == ""
}

// withClock gives a date that has no time of day the first of it.
func withClock(text string) string {
	if len(text) == len("2000-01-01") {
		return text + " 00:00:00"
	}
	return text
}

func unquote(expression string) string {
	if m := literal().FindStringSubmatch(expression); m != nil {
		return strings.ReplaceAll(m[1], "''", "'")
	}
	return expression
}
