package sql

import (
	"fmt"
	"strings"
	"time"
)

// zones reads an option that names a time zone, as Java has them.
func zone(name string) (*time.Location, error) {
	name = strings.TrimSpace(name)
	if offset, ok := strings.CutPrefix(strings.TrimPrefix(name, "GMT"), "UTC"); ok || strings.HasPrefix(name, "GMT") || name != "" && strings.IndexByte("+-", name[0]) >= 0 {
		switch {
		case offset == "" || offset == "Z":
			return time.UTC, nil
		}
		for _, form := range []string{"-07:00", "-0700", "-07"} {
			if t, err := time.Parse(form, offset); err == nil {
				_, seconds := t.Zone()
				return time.FixedZone(name, seconds), nil
			}
		}
	}
	l, err := time.LoadLocation(name)
	if err != nil || name == "Local" || name == "" {
		return nil, fmt.Errorf("Invalid value %s: it is no time zone; write it as Europe/Berlin or +02:00", name)
	}
	return l, nil
}

func two(dst []byte, n int) []byte { return append(dst, byte('0'+n/10%10), byte('0'+n%10)) }

// appendDate writes a day as both kinds of databases read it.
func appendDate(dst []byte, t time.Time) []byte {
	y, m, d := t.Date()
	bc := y <= 0
	if bc {
		y = 1 - y
	}
	if y > 9999 {
		dst = fmt.Append(dst, y)
	} else {
		dst = two(two(dst, y/100), y%100)
	}
	dst = two(append(two(append(dst, '-'), int(m)), '-'), d)
	if bc {
		dst = append(dst, " BC"...)
	}
	return dst
}

// appendClock writes a time of day, to the microsecond.
func appendClock(dst []byte, t time.Time) []byte {
	h, m, s := t.Clock()
	dst = two(append(two(append(two(dst, h), ':'), m), ':'), s)
	micros := t.Nanosecond() / 1000
	if micros == 0 {
		return dst
	}
	dst = append(dst, '.')
	return two(two(two(dst, micros/10000), micros/100), micros)
}

// appendStamp writes a day and a time, and with offset the zone's.
func appendStamp(dst []byte, t time.Time, offset bool) []byte {
	bc := t.Year() <= 0
	if bc { // BC comes at the end
		dst = appendDate(dst, t)
		dst = dst[:len(dst)-len(" BC")]
	} else {
		dst = appendDate(dst, t)
	}
	dst = appendClock(append(dst, ' '), t)
	if offset {
		_, seconds := t.Zone()
		sign := byte('+')
		if seconds < 0 {
			sign, seconds = '-', -seconds
		}
		dst = two(append(dst, sign), seconds/3600)
		dst = two(append(dst, ':'), seconds/60%60)
		if seconds%60 != 0 {
			dst = two(append(dst, ':'), seconds%60)
		}
	}
	if bc {
		dst = append(dst, " BC"...)
	}
	return dst
}
