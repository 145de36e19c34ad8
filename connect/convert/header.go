package convert

import (
	"strings"
	"unicode/utf8"

	"github.com/weir/weir/connect/sdk"
	"github.com/weir/weir/connect/values"
)

// simple writes headers as text, and reads from it what it looks like.
type simple struct{}

func newSimple(sdk.Values, use) (any, error) { return simple{}, nil }

func (simple) FromHeader(_, _ string, _ *sdk.Schema, value any, dst []byte) ([]byte, error) {
	if value == nil {
		return nil, nil
	}
	out, err := values.Append(dst, value)
	if err != nil {
		return nil, err
	}
	return present(out), nil
}

func (simple) ToHeader(_, _ string, b []byte) (*sdk.Schema, any, error) {
	if b == nil {
		return nil, nil, nil
	}
	s := string(b)
	if !utf8.ValidString(s) {
		s = strings.ToValidUTF8(s, "\uFFFD")
	}
	return values.Parse(s)
}
