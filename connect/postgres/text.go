package postgres

import (
	"bytes"
	"encoding/hex"
	"errors"
	"fmt"
	"math"
	"strconv"
	"time"

	"github.com/weir/weir/connect/sdk"
)

// Functions here read what PostgreSQL prints, under the settings of connect: dates in ISO order, UTC, intervals in its own style.

func wrong(b []byte, what string) error { return fmt.Errorf("%q is no %s", b, what) }

// number reads a whole number.
func number(b []byte) (int64, error) {
	digits, negative := b, false
	if len(b) > 0 && b[0] == '-' {
		digits, negative = b[1:], true
	}
	if len(digits) == 0 || len(digits) > 18 {
		n, err := strconv.ParseInt(string(b), 10, 64)
		if err != nil {
			return 0, wrong(b, "whole number")
		}
		return n, nil
	}
	n := int64(0)
	for _, c := range digits {
		if c < '0' || c > '9' {
			return 0, wrong(b, "whole number")
		}
		n = n*10 + int64(c-'0')
	}
	if negative {
		n = -n
	}
	return n, nil
}

// scan reads fixed forms: digits and separators.
type scan struct {
	b   []byte
	bad bool
}

// year reads a number of four digits at least.
func (s *scan) year() int64 {
	n, i := int64(0), 0
	for i < len(s.b) && s.b[i]-'0' <= 9 && i < 18 {
		n = n*10 + int64(s.b[i]-'0')
		i++
	}
	if i < 4 {
		s.bad = true
	}
	s.b = s.b[i:]
	return n
}

// two reads a number of two digits.
func (s *scan) two() int64 {
	if len(s.b) < 2 || s.b[0]-'0' > 9 || s.b[1]-'0' > 9 {
		s.bad, s.b = true, nil
		return 0
	}
	n := int64(s.b[0]-'0')*10 + int64(s.b[1]-'0')
	s.b = s.b[2:]
	return n
}

func (s *scan) skip(c byte) bool {
	if len(s.b) > 0 && s.b[0] == c {
		s.b = s.b[1:]
		return true
	}
	return false
}

func (s *scan) must(c byte) {
	if !s.skip(c) {
		s.bad = true
	}
}

// fraction reads what is after the point of seconds, in microseconds.
func (s *scan) fraction() int64 {
	if !s.skip('.') {
		return 0
	}
	n, scale := int64(0), int64(1_000_000)
	for len(s.b) > 0 && s.b[0] >= '0' && s.b[0] <= '9' {
		if scale > 1 {
			scale /= 10
			n += int64(s.b[0]-'0') * scale
		}
		s.b = s.b[1:]
	}
	return n
}

// date reads year-month-day; an era comes only at the end of the whole, so the year may have to be turned around later.
func (s *scan) date() (year, month, day int64) {
	year = s.year()
	s.must('-')
	month = s.two()
	s.must('-')
	day = s.two()
	return year, month, day
}

// clock reads hours:minutes:seconds, as microseconds.
func (s *scan) clock() int64 {
	h := s.two()
	s.must(':')
	m := s.two()
	s.must(':')
	return ((h*60+m)*60+s.two())*1_000_000 + s.fraction()
}

// zone reads +hours[:minutes[:seconds]], as microseconds.
func (s *scan) zone() int64 {
	sign := int64(1)
	if s.skip('-') {
		sign = -1
	} else {
		s.must('+')
	}
	seconds := s.two() * 3600
	if s.skip(':') {
		seconds += s.two() * 60
		if s.skip(':') {
			seconds += s.two()
		}
	}
	return sign * seconds * 1_000_000
}

// era reads " BC" and gives the year in the count that has a year 0.
func (s *scan) era(year int64) int64 {
	if bytes.Equal(s.b, []byte(" BC")) {
		s.b = nil
		return 1 - year
	}
	return year
}

func (s *scan) done() bool { return !s.bad && len(s.b) == 0 }

// days gives the days from 1970-01-01 to a date in the proleptic Gregorian calendar.
func days(year, month, day int64) int64 {
	if month <= 2 {
		year--
		month += 12
	}
	era := floor(year, 400)
	yoe := year - era*400
	doy := (153*(month-3)+2)/5 + day - 1
	return era*146_097 + yoe*365 + yoe/4 - yoe/100 + doy - 719_468
}

// civil is the opposite of days.
func civil(n int64) (year, month, day int64) {
	n += 719_468
	era := floor(n, 146_097)
	doe := n - era*146_097
	yoe := (doe - doe/1460 + doe/36_524 - doe/146_096) / 365
	doy := doe - (365*yoe + yoe/4 - yoe/100)
	mp := (5*doy + 2) / 153
	day = doy - (153*mp+2)/5 + 1
	month = mp + 3
	year = yoe + era*400
	if month > 12 {
		month -= 12
		year++
	}
	return year, month, day
}

func floor(a, b int64) int64 {
	q := a / b
	if a%b != 0 && a < 0 != (b < 0) {
		q--
	}
	return q
}

const day = 86_400_000_000 // microseconds

// infinity tells whether a date or time is infinite: 1, -1, or 0 if it is not.
func infinity(b []byte) int {
	switch {
	case len(b) == 8 && string(b) == "infinity":
		return 1
	case len(b) == 9 && string(b) == "-infinity":
		return -1
	}
	return 0
}

// readDate gives the days after 1970-01-01.
func readDate(b []byte) (int64, error) {
	s := scan{b: b}
	y, m, d := s.date()
	y = s.era(y)
	if !s.done() {
		return 0, wrong(b, "date")
	}
	return days(y, m, d), nil
}

// readTime gives the microseconds after midnight.
func readTime(b []byte) (int64, error) {
	s := scan{b: b}
	t := s.clock()
	if !s.done() {
		return 0, wrong(b, "time")
	}
	return t, nil
}

// readTimestamp gives the microseconds after 1970. The zone, if there is one, is taken off.
func readTimestamp(b []byte, zoned bool) (int64, error) {
	s := scan{b: b}
	y, m, d := s.date()
	s.must(' ')
	t := s.clock()
	if zoned {
		t -= s.zone()
	}
	y = s.era(y)
	if !s.done() {
		return 0, wrong(b, "timestamp")
	}
	return days(y, m, d)*day + t, nil
}

// appendISODate writes a date as ISO 8601 does: years have four digits at least, those of five and more a sign.
func appendISODate(b []byte, n int64) []byte {
	y, m, d := civil(n)
	switch {
	case y > 9999:
		b = append(b, '+')
	case y < 0:
		b = append(b, '-')
		y = -y
	}
	b = pad(b, y, 4)
	b = pad(append(b, '-'), m, 2)
	return pad(append(b, '-'), d, 2)
}

func pad(b []byte, n int64, width int) []byte {
	if width == 2 && n >= 0 && n < 100 {
		return append(b, byte('0'+n/10), byte('0'+n%10))
	}
	var digits [20]byte
	text := strconv.AppendInt(digits[:0], n, 10)
	for i := len(text); i < width; i++ {
		b = append(b, '0')
	}
	return append(b, text...)
}

// appendISOTime writes a time of day with so many digits of its fraction; 0: as many as it needs.
func appendISOTime(b []byte, micros int64, width int32) []byte {
	seconds, fraction := micros/1_000_000, micros%1_000_000
	b = pad(b, seconds/3600, 2)
	b = pad(append(b, ':'), seconds/60%60, 2)
	b = pad(append(b, ':'), seconds%60, 2)
	if width <= 0 {
		if fraction == 0 {
			return b
		}
		width = 6
		for ; fraction%10 == 0; width-- {
			fraction /= 10
		}
		return pad(append(b, '.'), fraction, int(width))
	}
	for i := width; i < 6; i++ {
		fraction /= 10
	}
	return pad(append(b, '.'), fraction, int(width))
}

// appendISOTimestamp writes a moment in UTC.
func appendISOTimestamp(b []byte, micros int64, width int32) []byte {
	n := floor(micros, day)
	b = append(appendISODate(b, n), 'T')
	return append(appendISOTime(b, micros-n*day, width), 'Z')
}

// interval is a length of time as PostgreSQL keeps it.
type interval struct {
	years, months, days, hours, minutes int64
	seconds                             float64
}

// readInterval reads such as "1 year 2 mons -3 days 04:05:06.789".
func readInterval(b []byte) (interval, error) {
	var v interval
	fields := bytes.Fields(b)
	for i := 0; i < len(fields); i++ {
		if bytes.IndexByte(fields[i], ':') >= 0 {
			clock, negative := fields[i], false
			if clock[0] == '-' || clock[0] == '+' {
				clock, negative = clock[1:], clock[0] == '-'
			}
			parts := bytes.Split(clock, []byte{':'})
			if len(parts) != 3 {
				return v, wrong(b, "interval")
			}
			h, err1 := number(parts[0])
			m, err2 := number(parts[1])
			s, err3 := strconv.ParseFloat(string(parts[2]), 64)
			if err1 != nil || err2 != nil || err3 != nil {
				return v, wrong(b, "interval")
			}
			if negative {
				h, m, s = -h, -m, -s
			}
			v.hours, v.minutes, v.seconds = h, m, s
			continue
		}
		n, err := number(bytes.TrimPrefix(fields[i], []byte{'+'}))
		if err != nil || i+1 == len(fields) {
			return v, wrong(b, "interval")
		}
		i++
		switch string(fields[i]) {
		case "year", "years":
			v.years = n
		case "mon", "mons":
			v.months = n
		case "day", "days":
			v.days = n
		default:
			return v, wrong(b, "interval")
		}
	}
	return v, nil
}

// micros gives the length with years of 365.25 days and months of a twelfth of that, computed in this order because it is rounded.
func (v interval) micros() int64 {
	const perMonth = 365.25 / 12.0
	d := float64(v.years*12+v.months)*perMonth + float64(v.days)
	s := (((d*24+float64(v.hours))*60)+float64(v.minutes))*60 + v.seconds
	return int64(s * 1e6)
}

// iso writes the length as ISO 8601 does, all parts of it.
func (v interval) iso() string {
	b := append(strconv.AppendInt([]byte{'P'}, v.years, 10), 'Y')
	b = append(strconv.AppendInt(b, v.months, 10), 'M')
	b = append(strconv.AppendInt(b, v.days, 10), "DT"...)
	b = append(strconv.AppendInt(b, v.hours, 10), 'H')
	b = append(strconv.AppendInt(b, v.minutes, 10), 'M')
	return string(append(strconv.AppendFloat(b, v.seconds+0, 'f', -1, 64), 'S'))
}

// special tells whether a number is NaN or infinite.
func special(b []byte) bool {
	return len(b) > 0 && (b[0] == 'N' || b[0] == 'I' || len(b) > 1 && b[1] == 'I')
}

func readFloat(b []byte, bits int) (float64, error) {
	switch string(b) {
	case "NaN":
		return math.NaN(), nil
	case "Infinity":
		return math.Inf(1), nil
	case "-Infinity":
		return math.Inf(-1), nil
	}
	f, err := strconv.ParseFloat(string(b), bits)
	if err != nil && !errors.Is(err, strconv.ErrRange) { // out of range: infinite, or 0
		return 0, wrong(b, "number")
	}
	return f, nil
}

// readDecimal reads plain digits.
func readDecimal(b []byte) (sdk.Decimal, error) {
	if len(b) <= 18 {
		n, scale, point, i := int64(0), int32(0), false, 0
		if len(b) > 0 && b[0] == '-' {
			i = 1
		}
		ok := i < len(b)
		for ; i < len(b); i++ {
			switch c := b[i]; {
			case c >= '0' && c <= '9':
				n = n*10 + int64(c-'0')
				if point {
					scale++
				}
			case c == '.' && !point:
				point = true
			default:
				ok = false
			}
		}
		if ok {
			if b[0] == '-' {
				n = -n
			}
			return sdk.Decimal{Unscaled: n, Scale: scale}, nil
		}
	}
	d, ok := sdk.ParseDecimal(string(b))
	if !ok {
		return d, wrong(b, "decimal number")
	}
	return d, nil
}

// readMoney reads an amount such as "-$1,234.56" as plain digits.
func readMoney(b []byte) []byte {
	out := make([]byte, 0, len(b))
	if len(b) > 0 && (b[0] == '-' || b[0] == '(') {
		out = append(out, '-')
	}
	for _, c := range b {
		if c >= '0' && c <= '9' || c == '.' {
			out = append(out, c)
		}
	}
	return out
}

// readBytes reads bytea's hexadecimal form.
func readBytes(b []byte) ([]byte, error) {
	if len(b) < 2 || b[0] != '\\' || b[1] != 'x' {
		return nil, wrong(b, "bytea")
	}
	out := make([]byte, hex.DecodedLen(len(b)-2))
	if _, err := hex.Decode(out, b[2:]); err != nil {
		return nil, wrong(b, "bytea")
	}
	return out, nil
}

// readBits reads bits, the last first, without the zero bytes at the end.
func readBits(b []byte) ([]byte, error) {
	out := make([]byte, 0, (len(b)+7)/8)
	for i := range b {
		switch b[len(b)-1-i] {
		case '1':
			for len(out) <= i/8 {
				out = append(out, 0)
			}
			out[i/8] |= 1 << (i % 8)
		case '0':
		default:
			return nil, wrong(b, "bit string")
		}
	}
	return out, nil
}

// readArray gives the elements of an array's text; nil: null. Arrays in it are elements.
func readArray(b []byte) ([]datum, error) {
	if len(b) > 0 && b[0] == '[' { // bounds that do not begin at 1
		if i := bytes.IndexByte(b, '='); i > 0 {
			b = b[i+1:]
		}
	}
	if len(b) < 2 || b[0] != '{' || b[len(b)-1] != '}' {
		return nil, wrong(b, "array")
	}
	rest := b[1 : len(b)-1]
	var out []datum
	for len(rest) > 0 {
		var d datum
		switch rest[0] {
		case '"':
			text, n, ok := quoted(rest)
			if !ok {
				return nil, wrong(b, "array")
			}
			d, rest = datum{kind: 't', text: text}, rest[n:]
		case '{':
			n := nested(rest)
			if n == 0 {
				return nil, wrong(b, "array")
			}
			d, rest = datum{kind: '{', text: rest[:n]}, rest[n:]
		default:
			n := bytes.IndexByte(rest, ',')
			if n < 0 {
				n = len(rest)
			}
			d, rest = datum{kind: 't', text: rest[:n]}, rest[n:]
			if string(d.text) == "NULL" {
				d = datum{kind: 'n'}
			}
		}
		out = append(out, d)
		if len(rest) > 0 {
			if rest[0] != ',' {
				return nil, wrong(b, "array")
			}
			rest = rest[1:]
		}
	}
	return out, nil
}

// quoted reads a text between quotes, and gives how long it is with them.
func quoted(b []byte) (text []byte, n int, ok bool) {
	for i := 1; i < len(b); i++ {
		switch b[i] {
		case '\\':
			i++
			if i < len(b) {
				text = append(text, b[i])
			}
		case '"':
			if text == nil {
				text = []byte{}
			}
			return text, i + 1, true
		default:
			text = append(text, b[i])
		}
	}
	return nil, 0, false
}

// nested gives how long an array in an array is.
func nested(b []byte) int {
	depth, in := 0, false
	for i := 0; i < len(b); i++ {
		switch b[i] {
		case '\\':
			i++
		case '"':
			in = !in
		case '{':
			if !in {
				depth++
			}
		case '}':
			if !in {
				depth--
			}
			if depth == 0 {
				return i + 1
			}
		}
	}
	return 0
}

// readPairs reads hstore's text: "key"=>"value", "key"=>NULL.
func readPairs(b []byte) (keys []string, values []any, err error) {
	rest := bytes.TrimSpace(b)
	for len(rest) > 0 {
		if rest[0] != '"' {
			return nil, nil, wrong(b, "hstore")
		}
		key, n, ok := quoted(rest)
		if !ok || !bytes.HasPrefix(rest[n:], []byte("=>")) {
			return nil, nil, wrong(b, "hstore")
		}
		rest = rest[n+2:]
		var value any
		if bytes.HasPrefix(rest, []byte("NULL")) {
			rest = rest[4:]
		} else {
			text, n, ok := []byte(nil), 0, false
			if len(rest) > 0 && rest[0] == '"' {
				text, n, ok = quoted(rest)
			}
			if !ok {
				return nil, nil, wrong(b, "hstore")
			}
			value, rest = string(text), rest[n:]
		}
		keys, values = append(keys, string(key)), append(values, value)
		rest = bytes.TrimPrefix(bytes.TrimSpace(rest), []byte(","))
		rest = bytes.TrimSpace(rest)
	}
	return keys, values, nil
}

// floats reads the numbers of a geometric value, whatever is between them.
func floats(b []byte) ([]float64, error) {
	var out []float64
	for _, f := range bytes.FieldsFunc(b, func(r rune) bool { return bytes.ContainsRune([]byte("()[]{}<>, "), r) }) {
		v, err := readFloat(f, 64)
		if err != nil {
			return nil, wrong(b, "geometric value")
		}
		out = append(out, v)
	}
	return out, nil
}

// midnight gives the moment that a number of days after 1970 is.
func midnight(days int64) time.Time { return time.Unix(days*86_400, 0).UTC() }
