package convert

import (
	"bytes"
	"encoding/base64"
	"encoding/binary"
	"errors"
	"fmt"
	"math/big"
	"strconv"
	"strings"
	"unicode/utf16"
	"unicode/utf8"

	"github.com/weir/weir/connect/sdk"
	"github.com/weir/weir/connect/values"
)

// jsonSyntax is why bytes are no JSON.
type jsonSyntax struct {
	what string
	at   int
}

func (e *jsonSyntax) Error() string { return fmt.Sprintf("%s at byte %d", e.what, e.at) }

// reader goes through JSON. As Kafka's, it takes numbers with leading zeros.
type reader struct {
	b     []byte
	pos   int
	depth int
	hint  string // a key, of plain characters, that is likely to come next
}

func (r *reader) done() bool { return r.pos >= len(r.b) }

// peek gives the next byte; 0: there is none.
func (r *reader) peek() byte {
	if r.done() {
		return 0
	}
	return r.b[r.pos]
}

func (r *reader) space() {
	for r.pos < len(r.b) && (r.b[r.pos] == ' ' || r.b[r.pos] == '\n' || r.b[r.pos] == '\r' || r.b[r.pos] == '\t') {
		r.pos++
	}
}

func (r *reader) bad(what string) error { return &jsonSyntax{what, r.pos} }

// passed tells whether the value that comes next is the text.
func (r *reader) passed(text string) bool {
	end := r.pos + len(text)
	return end < len(r.b) && string(r.b[r.pos:end]) == text && (r.b[end] == ',' || r.b[end] == '}')
}

// end wants a number that is all there is to end well. Anything else may be followed by anything, as in Kafka.
func (r *reader) end() error {
	if r.done() || !isNumber(r.b[r.pos-1]) || strings.IndexByte(" \n\r\t", r.b[r.pos]) >= 0 {
		return nil
	}
	return r.bad("a number that does not end well")
}

func isNumber(c byte) bool { return c >= '0' && c <= '9' }

func (r *reader) enter() error {
	if r.depth++; r.depth > depthMost {
		return r.bad("values lie in each other deeper than 1000")
	}
	r.pos++
	r.space()
	return nil
}

// object reads an object: field is called with each key, before its value, and reads that.
func (r *reader) object(field func(key []byte) error) error {
	if err := r.enter(); err != nil {
		return err
	}
	for first := true; ; first = false {
		if r.peek() == '}' && first {
			break
		}
		if r.peek() != '"' {
			return r.bad("no key of an object")
		}
		key, err := r.key()
		if err != nil {
			return err
		}
		r.space()
		if r.peek() != ':' {
			return r.bad("no colon after a key")
		}
		r.pos++
		r.space()
		if err := field(key); err != nil {
			return err
		}
		r.space()
		if r.peek() == '}' {
			break
		}
		if r.peek() != ',' {
			return r.bad("an object that does not end")
		}
		r.pos++
		r.space()
	}
	r.pos++
	r.depth--
	return nil
}

// array reads an array: element reads each of its elements.
func (r *reader) array(element func() error) error {
	if err := r.enter(); err != nil {
		return err
	}
	for first := true; ; first = false {
		if r.peek() == ']' && first {
			break
		}
		if err := element(); err != nil {
			return err
		}
		r.space()
		if r.peek() == ']' {
			break
		}
		if r.peek() != ',' {
			return r.bad("an array that does not end")
		}
		r.pos++
		r.space()
	}
	r.pos++
	r.depth--
	return nil
}

// skip goes over a value, and checks it.
func (r *reader) skip() error {
	switch c := r.peek(); {
	case c == '{':
		return r.object(func([]byte) error { return r.skip() })
	case c == '[':
		return r.array(r.skip)
	case c == '"':
		_, _, err := r.raw()
		return err
	case c == '-' || isNumber(c):
		_, err := r.number()
		return err
	}
	for _, word := range [...]string{"null", "true", "false"} {
		if r.word(word) {
			return nil
		}
	}
	return r.bad("no JSON")
}

func (r *reader) word(w string) bool {
	end := r.pos + len(w)
	if end > len(r.b) || string(r.b[r.pos:end]) != w || end < len(r.b) && isWord(r.b[end]) {
		return false
	}
	r.pos = end
	return true
}

func isWord(c byte) bool {
	return c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || isNumber(c) || c == '_' || c == '$'
}

// raw reads a string and gives what is between its quotes; plain: that is the string.
func (r *reader) raw() (_ []byte, plain bool, _ error) {
	r.pos++
	start := r.pos
	plain = true
	for i := start + plainBytes(r.b[start:]); i < len(r.b); i++ {
		switch c := r.b[i]; {
		case c == '"':
			r.pos = i + 1
			return r.b[start:i], plain, nil
		case c == '\\':
			plain = false
			i++
		case c < 0x20:
			r.pos = i
			return nil, false, r.bad("a control character in a string")
		case c >= utf8.RuneSelf:
			ru, n := utf8.DecodeRune(r.b[i:])
			if ru == utf8.RuneError && n == 1 {
				r.pos = i
				return nil, false, r.bad("no UTF-8")
			}
			i += n - 1
		}
	}
	r.pos = len(r.b)
	return nil, false, r.bad("a string that does not end")
}

// plainBytes counts bytes that are plain characters of a string, eight at a time.
func plainBytes(b []byte) (n int) {
	const ones, highs = 0x0101010101010101, 0x8080808080808080
	for ; len(b)-n >= 8; n += 8 {
		x := binary.LittleEndian.Uint64(b[n:])
		quote, slash := x^'"'*ones, x^'\\'*ones
		// A byte that is zero, or less than a space, borrows from its highest bit.
		if (x|(x-' '*ones)|(quote-ones)|(slash-ones))&highs != 0 {
			break
		}
	}
	return n
}

func (r *reader) key() ([]byte, error) {
	start := r.pos
	if end := start + 1 + len(r.hint); r.hint != "" && end < len(r.b) && r.b[end] == '"' && string(r.b[start+1:end]) == r.hint {
		r.pos = end + 1
		return r.b[start+1 : end], nil
	}
	raw, plain, err := r.raw()
	if err != nil || plain {
		return raw, err
	}
	out, ok := unescape(raw)
	if !ok {
		r.pos = start
		return nil, r.bad("an escape in a string that is none")
	}
	return out, nil
}

func (r *reader) text() (string, error) {
	b, err := r.key()
	return string(b), err
}

// unescape gives the text of a string with escapes. A half of a pair of surrogates alone becomes the replacement character.
func unescape(raw []byte) ([]byte, bool) {
	out := make([]byte, 0, len(raw))
	for i := 0; i < len(raw); i++ {
		if raw[i] != '\\' {
			out = append(out, raw[i])
			continue
		}
		if i++; i == len(raw) {
			return nil, false
		}
		if raw[i] == 'u' {
			u, ok := hex4(raw[i+1:])
			if !ok {
				return nil, false
			}
			i += 4
			if next := raw[i+1:]; utf16.IsSurrogate(u) && len(next) >= 6 && next[0] == '\\' && next[1] == 'u' {
				low, ok := hex4(next[2:])
				if pair := utf16.DecodeRune(u, low); ok && pair != utf8.RuneError {
					u = pair
					i += 6
				}
			}
			out = utf8.AppendRune(out, u)
			continue
		}
		at := strings.IndexByte(`"\/bfnrt`, raw[i])
		if at < 0 {
			return nil, false
		}
		out = append(out, "\"\\/\b\f\n\r\t"[at])
	}
	return out, true
}

func hex4(b []byte) (rune, bool) {
	if len(b) < 4 {
		return 0, false
	}
	n, err := strconv.ParseUint(string(b[:4]), 16, 16)
	return rune(n), err == nil
}

// number is a number as it is written.
type number struct {
	text     []byte
	integral bool
}

// numberOf gives the number that a text is; its zero value: it is none.
func numberOf(text []byte) number {
	r := reader{b: text}
	if n, err := r.number(); err == nil && r.done() {
		return n
	}
	return number{}
}

// digitsMost is how long a number may be, as in Kafka's JSON.
const digitsMost = 1000

func (r *reader) number() (number, error) {
	start := r.pos
	if r.peek() == '-' {
		r.pos++
	}
	whole := r.digits()
	integral, ok := true, whole > 0
	if r.peek() == '.' {
		r.pos++
		integral = false
		ok = ok && r.digits() > 0
	}
	if c := r.peek(); c == 'e' || c == 'E' {
		r.pos++
		integral = false
		if c := r.peek(); c == '+' || c == '-' {
			r.pos++
		}
		ok = ok && r.digits() > 0
	}
	switch {
	case !ok:
		return number{}, r.bad("no JSON number")
	case r.pos-start > digitsMost:
		return number{}, r.bad("a number of more than 1000 characters")
	}
	return number{r.b[start:r.pos], integral}, nil
}

func (r *reader) digits() int {
	start := r.pos
	for r.pos < len(r.b) && isNumber(r.b[r.pos]) {
		r.pos++
	}
	return r.pos - start
}

// short gives a whole number of few digits.
func (n number) short() (v int64, ok bool) {
	digits := n.text
	if digits[0] == '-' {
		digits = digits[1:]
	}
	if len(digits) > 18 {
		return 0, false
	}
	for _, c := range digits {
		v = v*10 + int64(c-'0')
	}
	if len(digits) < len(n.text) {
		v = -v
	}
	return v, true
}

// long gives the number as Java's longValue.
func (n number) long() int64 {
	if n.text == nil {
		return 0
	}
	if n.integral {
		if v, ok := n.short(); ok {
			return v
		}
		if v, err := strconv.ParseInt(string(n.text), 10, 64); err == nil {
			return v
		}
		v, _ := new(big.Int).SetString(string(n.text), 10)
		return values.LowBits(v)
	}
	v, _ := values.Long(n.decimal())
	return v
}

func (n number) decimal() sdk.Decimal {
	d, _ := values.ParseDecimal(string(n.text)) // an exponent without bounds: zero
	return d
}

func (n number) float(bits int) float64 {
	if n.text == nil {
		return 0
	}
	f, _ := strconv.ParseFloat(string(n.text), bits) // out of range: infinite
	return f
}

// textOf gives a JSON string's text; false: it is none.
func textOf(b []byte) (string, bool) {
	if len(b) == 0 || b[0] != '"' {
		return "", false
	}
	r := reader{b: b}
	s, err := r.text()
	return s, err == nil
}

// fromBase64 reads bytes as Jackson does, with white space between groups of four.
func fromBase64(text string) ([]byte, error) {
	plain := make([]byte, 0, len(text))
	for i := 0; i < len(text); i++ {
		if text[i] > ' ' || len(plain)%4 != 0 {
			plain = append(plain, text[i])
		}
	}
	n := base64.StdEncoding.DecodedLen(len(plain))
	out := make([]byte, n)
	n, err := base64.StdEncoding.Decode(out, plain)
	if err != nil || bytes.ContainsAny(plain, "\r\n") {
		return nil, errors.New("Invalid bytes field")
	}
	return out[:n], nil
}
