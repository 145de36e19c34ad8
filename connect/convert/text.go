package convert

import (
	"strings"
	"unicode/utf16"
	"unicode/utf8"

	"github.com/weir/weir/connect/sdk"
	"github.com/weir/weir/connect/values"
)

var encodingOption = sdk.Option{
	Name: "converter.encoding", Kind: sdk.StringOption, Default: "UTF-8", Importance: sdk.High, Order: -1, Width: "MEDIUM", Display: "Encoding",
	Doc: "The name of the Java character set to use for encoding strings as byte arrays.",
}

// text is the converter of strings. Values of other types become what Java's toString makes of them.
type text struct {
	encode func(dst []byte, s string) []byte
	decode func(b []byte) string
}

func newText(v sdk.Values, _ use) (any, error) {
	name := v.String("converter.encoding")
	switch strings.ToUpper(name) {
	case "UTF-8", "UTF8":
		return &text{func(dst []byte, s string) []byte { return append(dst, strings.ToValidUTF8(s, "?")...) }, decodeUTF8}, nil
	case "ISO-8859-1", "ISO8859_1", "ISO_8859_1", "LATIN1":
		return &text{narrow(0xff), widen(0xff)}, nil
	case "US-ASCII", "ASCII":
		return &text{narrow(0x7f), widen(0x7f)}, nil
	case "UTF-16", "UTF_16", "UTF-16BE":
		return &text{encodeUTF16(name), decodeUTF16}, nil
	}
	return nil, sdk.Misconfigured("converter.encoding: there is no character set %s; choose UTF-8, ISO-8859-1, US-ASCII or UTF-16", name)
}

func (t *text) From(_ string, _ *sdk.Schema, value any, dst []byte) ([]byte, error) {
	switch v := value.(type) {
	case nil:
		return nil, nil
	case string:
		return present(t.encode(dst, v)), nil
	}
	return present(t.encode(dst, values.JavaString(value))), nil
}

func (t *text) To(_ string, b []byte) (*sdk.Schema, any, error) {
	if b == nil {
		return sdk.OptionalStringSchema, nil, nil
	}
	return sdk.OptionalStringSchema, t.decode(b), nil
}

func (t *text) FromHeader(topic, _ string, schema *sdk.Schema, value any, dst []byte) ([]byte, error) {
	return t.From(topic, schema, value, dst)
}

func (t *text) ToHeader(topic, _ string, b []byte) (*sdk.Schema, any, error) { return t.To(topic, b) }

func decodeUTF8(b []byte) string { return strings.ToValidUTF8(string(b), "\uFFFD") }

// narrow writes characters up to most as a byte and others as question marks, as Java does.
func narrow(most rune) func([]byte, string) []byte {
	return func(dst []byte, s string) []byte {
		for _, r := range s {
			if r > most {
				r = '?'
			}
			dst = append(dst, byte(r))
		}
		return dst
	}
}

func widen(most byte) func([]byte) string {
	return func(b []byte) string {
		out := make([]rune, len(b))
		for i, c := range b {
			out[i] = rune(c)
			if c > most {
				out[i] = utf8.RuneError
			}
		}
		return string(out)
	}
}

func encodeUTF16(name string) func([]byte, string) []byte {
	return func(dst []byte, s string) []byte {
		if !strings.HasSuffix(strings.ToUpper(name), "BE") {
			dst = append(dst, 0xfe, 0xff) // Java marks the byte order if the name does not say it
		}
		for _, u := range utf16.Encode([]rune(s)) {
			dst = append(dst, byte(u>>8), byte(u))
		}
		return dst
	}
}

func decodeUTF16(b []byte) string {
	little := len(b) >= 2 && b[0] == 0xff && b[1] == 0xfe
	if little || len(b) >= 2 && b[0] == 0xfe && b[1] == 0xff {
		b = b[2:]
	}
	units := make([]uint16, 0, len(b)/2+1)
	for ; len(b) >= 2; b = b[2:] {
		if little {
			units = append(units, uint16(b[1])<<8|uint16(b[0]))
		} else {
			units = append(units, uint16(b[0])<<8|uint16(b[1]))
		}
	}
	if len(b) == 1 {
		units = append(units, utf8.RuneError)
	}
	return string(utf16.Decode(units))
}
