package values

import "strings"

// tokens splits text at delimiters that no backslash precedes. It can go back.
type tokens struct {
	text  string
	at    int    // behind what was read, ahead included
	ahead string // a token that was looked at but not consumed
	has   bool   // whether there is one
}

func (t *tokens) mark() int {
	if t.has {
		return t.at - len(t.ahead)
	}
	return t.at
}

func (t *tokens) rewind(to int) { t.at, t.ahead, t.has = to, "", false }

func (t *tokens) left() bool { return t.at < len(t.text) }

func (t *tokens) more() bool { return t.has || t.left() }

func (t *tokens) next() string {
	if t.has {
		t.has = false
		return t.ahead
	}
	return t.scan()
}

// several reads n tokens, or none if there are fewer.
func (t *tokens) several(n int) (string, bool) {
	start := t.mark()
	for range n {
		if !t.more() {
			t.rewind(start)
			return "", false
		}
		t.next()
	}
	return t.text[start:t.at], true
}

func (t *tokens) scan() string {
	start, escaped := t.at, false
	for ; t.at < len(t.text); t.at++ {
		switch c := t.text[t.at]; {
		case c == '\\':
			escaped = !escaped
			continue
		case !escaped && strings.IndexByte(`:,{}[]"`, c) >= 0:
			if t.at == start {
				t.at++
			}
			return t.text[start:t.at]
		}
		escaped = false
	}
	return t.text[start:]
}

// consume takes the next token if it is the expected one, white space aside.
func (t *tokens) consume(expected string) bool {
	if !t.has {
		if !t.left() {
			return false
		}
		t.ahead, t.has = t.scan(), true
	}
	for trim(t.ahead) == "" && t.left() {
		t.ahead = t.scan()
	}
	if trim(t.ahead) != expected {
		return false
	}
	t.has = false
	return true
}

// trim takes off what Java's String.trim does: all up to the space.
func trim(s string) string { return strings.TrimFunc(s, func(r rune) bool { return r <= ' ' }) }
