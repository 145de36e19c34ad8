package values

import (
	"fmt"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"
)

// DateFormat writes and reads times by a pattern of java.text.SimpleDateFormat, in UTC and English, as Kafka Connect's
// transforms do. As there, reading is lenient: a 13th month is next year's first, and what follows the pattern's end is ignored.
type DateFormat struct {
	pattern string
	parts   []part
}

// part is a run of one letter of the pattern, or text that stands for itself (letter 0).
type part struct {
	letter byte
	count  int
	text   string
}

const dateLetters = "GyYMLwWDdFEuaHkKhmsSzZX"

// NewDateFormat reads a pattern. The error is in Java's words.
func NewDateFormat(pattern string) (*DateFormat, error) {
	f := &DateFormat{pattern: pattern}
	for i := 0; i < len(pattern); {
		c := pattern[i]
		switch {
		case c == '\'':
			text, end, ok := quoted(pattern, i)
			if !ok {
				return nil, fmt.Errorf("Unterminated quote")
			}
			f.literal(text)
			i = end
		case c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z':
			if strings.IndexByte(dateLetters, c) < 0 {
				return nil, fmt.Errorf("Illegal pattern character '%c'", c)
			}
			start := i
			for i < len(pattern) && pattern[i] == c {
				i++
			}
			if c == 'X' && i-start > 3 {
				return nil, fmt.Errorf("invalid ISO 8601 format: length=%d", i-start)
			}
			f.parts = append(f.parts, part{letter: c, count: i - start})
		default:
			_, n := utf8.DecodeRuneInString(pattern[i:])
			f.literal(pattern[i : i+n])
			i += n
		}
	}
	return f, nil
}

// quoted reads text in quotes from a pattern; two of them are one that is meant.
func quoted(pattern string, i int) (string, int, bool) {
	if strings.HasPrefix(pattern[i+1:], "'") {
		return "'", i + 2, true
	}
	var text strings.Builder
	for i++; i < len(pattern); i++ {
		if pattern[i] != '\'' {
			text.WriteByte(pattern[i])
		} else if strings.HasPrefix(pattern[i+1:], "'") {
			text.WriteByte('\'')
			i++
		} else {
			return text.String(), i + 1, true
		}
	}
	return "", 0, false
}

func (f *DateFormat) literal(text string) {
	if n := len(f.parts); n > 0 && f.parts[n-1].letter == 0 {
		f.parts[n-1].text += text
	} else if text != "" {
		f.parts = append(f.parts, part{text: text})
	}
}

// Format gives a time as text.
func (f *DateFormat) Format(t time.Time) string {
	t = t.UTC()
	var b []byte
	for _, p := range f.parts {
		b = p.format(b, t)
	}
	return string(b)
}

func (p part) format(b []byte, t time.Time) []byte {
	switch p.letter {
	case 0:
		return append(b, p.text...)
	case 'G':
		if t.Year() < 1 {
			return append(b, "BC"...)
		}
		return append(b, "AD"...)
	case 'y', 'Y':
		year := t.Year()
		if p.letter == 'Y' {
			year, _ = week(t)
		}
		if year < 1 {
			year = 1 - year
		}
		if p.count == 2 {
			year %= 100
		}
		return pad(b, year, p.count)
	case 'M', 'L':
		switch {
		case p.count >= 4:
			return append(b, t.Month().String()...)
		case p.count == 3:
			return append(b, t.Month().String()[:3]...)
		}
		return pad(b, int(t.Month()), p.count)
	case 'E':
		if p.count >= 4 {
			return append(b, t.Weekday().String()...)
		}
		return append(b, t.Weekday().String()[:3]...)
	case 'a':
		return t.AppendFormat(b, "PM")
	case 'z':
		if p.count >= 4 {
			return append(b, "Coordinated Universal Time"...)
		}
		return append(b, "UTC"...)
	case 'Z':
		return append(b, "+0000"...)
	case 'X':
		return append(b, 'Z')
	}
	return pad(b, p.number(t), p.count)
}

// number gives the value of the letters that are only ever numbers.
func (p part) number(t time.Time) int {
	switch p.letter {
	case 'w':
		_, n := week(t)
		return n
	case 'W':
		first := time.Date(t.Year(), t.Month(), 1, 0, 0, 0, 0, time.UTC)
		return (t.Day()-1+int(first.Weekday()))/7 + 1
	case 'F':
		return (t.Day()-1)/7 + 1
	case 'D':
		return t.YearDay()
	case 'd':
		return t.Day()
	case 'u':
		return (int(t.Weekday())+6)%7 + 1
	case 'H':
		return t.Hour()
	case 'k':
		return (t.Hour()+23)%24 + 1
	case 'K':
		return t.Hour() % 12
	case 'h':
		return (t.Hour()+11)%12 + 1
	case 'm':
		return t.Minute()
	case 's':
		return t.Second()
	case 'S':
		return t.Nanosecond() / 1e6
	}
	panic("BUG: date letter " + string(p.letter))
}

// week gives the year and number of a week that begins on Sunday; the first is that of January 1st.
func week(t time.Time) (year, n int) {
	saturday := t.AddDate(0, 0, 6-int(t.Weekday()))
	first := time.Date(saturday.Year(), 1, 1, 0, 0, 0, 0, time.UTC)
	return saturday.Year(), (saturday.YearDay() + int(first.Weekday())) / 7
}

func pad(b []byte, n, width int) []byte {
	text := strconv.Itoa(n)
	for i := len(text); i < width; i++ {
		b = append(b, '0')
	}
	return append(b, text...)
}

// Parse reads a time from text. Its error is in Java's words.
func (f *DateFormat) Parse(text string) (time.Time, error) {
	t, _, ok := f.parse(text)
	if !ok {
		return time.Time{}, fmt.Errorf("Unparseable date: \"%s\"", text)
	}
	return t, nil
}

// calendar collects what parts of a text say.
type calendar struct {
	year, month, day, hour, minute, second, ms int
	yearDay                                    int
	half                                       int // 12 in the afternoon
	halves                                     bool
	bc                                         bool
	offset                                     time.Duration
}

// parse reads text and tells how much of it it took.
func (f *DateFormat) parse(text string) (time.Time, int, bool) {
	c := calendar{year: 1970, month: 1, day: 1}
	at := 0
	for i, p := range f.parts {
		if p.letter == 0 {
			if !strings.HasPrefix(text[at:], p.text) {
				return time.Time{}, at, false
			}
			at += len(p.text)
			continue
		}
		// digits that another field follows without anything between are as many as the pattern has letters
		tight := i+1 < len(f.parts) && f.parts[i+1].letter != 0
		n, ok := p.parse(&c, text[at:], tight)
		if !ok {
			return time.Time{}, at, false
		}
		at += n
	}
	return c.time(), at, at > 0
}

func (c *calendar) time() time.Time {
	hour := c.hour
	if c.halves {
		hour = c.hour%12 + c.half
	}
	year, month, day := c.year, c.month, c.day
	if c.bc {
		year = 1 - year
	}
	if c.yearDay != 0 {
		month, day = 1, c.yearDay
	}
	t := time.Date(year, time.Month(month), day, hour, c.minute, c.second, 0, time.UTC)
	return t.Add(time.Duration(c.ms)*time.Millisecond - c.offset)
}

func (p part) parse(c *calendar, text string, tight bool) (int, bool) {
	blanks := len(text) - len(strings.TrimLeft(text, " \t"))
	text = text[blanks:]
	n, ok := p.parseText(c, text, tight)
	return blanks + n, ok
}

func (p part) parseText(c *calendar, text string, tight bool) (int, bool) {
	switch p.letter {
	case 'G':
		switch {
		case hasFold(text, "AD"):
			return 2, true
		case hasFold(text, "BC"):
			c.bc = true
			return 2, true
		}
		return 0, false
	case 'M', 'L':
		if p.count >= 3 {
			for m := time.January; m <= time.December; m++ {
				if n := name(text, m.String()); n > 0 {
					c.month = int(m)
					return n, true
				}
			}
			return 0, false
		}
	case 'E':
		for d := time.Sunday; d <= time.Saturday; d++ {
			if n := name(text, d.String()); n > 0 {
				return n, true
			}
		}
		return 0, false
	case 'a':
		switch {
		case hasFold(text, "PM"):
			c.half = 12
			return 2, true
		case hasFold(text, "AM"):
			return 2, true
		}
		return 0, false
	case 'z', 'Z', 'X':
		return p.zone(c, text)
	case 'w', 'W', 'F', 'Y':
		return 0, false // a date by its week: not supported
	}
	v, n, ok := digits(text, p.count, tight)
	if !ok {
		return 0, false
	}
	p.set(c, v, n, text)
	return n, true
}

// centuryStart is the first year that two digits can mean. (Java's is 80 years before the program began.)
const centuryStart = 1946

func (p part) set(c *calendar, v, n int, text string) {
	switch p.letter {
	case 'y':
		c.year = v
		if p.count <= 2 && n == 2 && text[0] != '-' {
			c.year = centuryStart/100*100 + v
			if c.year < centuryStart {
				c.year += 100
			}
		}
	case 'M', 'L':
		c.month = v
	case 'D':
		c.yearDay = v
	case 'd':
		c.day = v
	case 'H':
		c.hour = v
	case 'k':
		c.hour = v % 24
	case 'K', 'h':
		c.hour, c.halves = v, true
	case 'm':
		c.minute = v
	case 's':
		c.second = v
	case 'S':
		c.ms = v
	}
}

// digits reads a number: all digits that there are, or count of them.
func digits(text string, count int, tight bool) (v, n int, ok bool) {
	if tight {
		if len(text) < count {
			return 0, 0, false
		}
		text = text[:count]
	}
	if strings.HasPrefix(text, "-") {
		n++
	}
	for n < len(text) && text[n] >= '0' && text[n] <= '9' {
		n++
	}
	v, err := strconv.Atoi(text[:n])
	return v, n, err == nil && v < 1e9 && v > -1e9
}

// name tells how many bytes a name takes at the beginning of a text, in full or its first three letters; 0: it is not there.
func name(text, full string) int {
	switch {
	case hasFold(text, full):
		return len(full)
	case hasFold(text, full[:3]):
		return 3
	}
	return 0
}

func hasFold(text, prefix string) bool {
	return len(text) >= len(prefix) && strings.EqualFold(text[:len(prefix)], prefix)
}

// zones are the names of time zones that are read, besides offsets. Hours east of Greenwich.
var zones = []struct {
	name  string
	hours int
}{
	{"UTC", 0}, {"GMT", 0}, {"CEST", 2}, {"CET", 1}, {"EEST", 3}, {"EET", 2}, {"WEST", 1}, {"WET", 0}, {"BST", 1}, {"MSK", 3}, {"JST", 9},
	{"EST", -5}, {"EDT", -4}, {"CST", -6}, {"CDT", -5}, {"MST", -7}, {"MDT", -6}, {"PST", -8}, {"PDT", -7},
}

func (p part) zone(c *calendar, text string) (int, bool) {
	if p.letter == 'X' && strings.HasPrefix(text, "Z") {
		return 1, true
	}
	at := 0
	if p.letter != 'X' {
		if hasFold(text, "GMT") && len(text) > 3 && (text[3] == '+' || text[3] == '-') {
			at = 3
		}
		for _, z := range zones {
			if at == 0 && hasFold(text, z.name) {
				c.offset = time.Duration(z.hours) * time.Hour
				return len(z.name), true
			}
		}
	}
	n, ok := p.offset(c, text[at:], at > 0)
	return at + n, ok
}

// offset reads ±hh, ±hhmm or ±hh:mm, as the letters allow; after GMT the hours may be one digit and a colon is needed.
func (p part) offset(c *calendar, text string, gmt bool) (int, bool) {
	if text == "" || text[0] != '+' && text[0] != '-' {
		return 0, false
	}
	hours, n, ok := digits(text[1:], 2, len(text) > 2 && text[2] != ':')
	if !ok || text[1] == '-' {
		return 0, false
	}
	n++
	minutes := 0
	if p.letter != 'X' || p.count > 1 {
		colon := n < len(text) && text[n] == ':'
		if colon != (gmt || p.letter == 'X' && p.count == 3) && (gmt || p.letter == 'X') {
			return 0, false
		}
		if colon {
			n++
		}
		m, taken, ok := digits(text[n:], 2, true)
		if !ok || m < 0 {
			return 0, false
		}
		minutes = m
		n += taken
	}
	c.offset = time.Duration(hours)*time.Hour + time.Duration(minutes)*time.Minute
	if text[0] == '-' {
		c.offset = -c.offset
	}
	return n, hours < 24 && minutes < 60
}
