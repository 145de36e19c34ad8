package cli

import (
	"math"
	"strings"
	"testing"
	"time"
	"unicode"
	"unicode/utf8"

	"pgregory.net/rapid"
)

func TestParsePosition(t *testing.T) {
	zone := time.FixedZone("east", 2*60*60)
	now := time.Date(2026, 11, 24, 12, 0, 0, 0, zone)
	at := func(year int, month time.Month, day, hour, minute, second int) position {
		return position{fromTime, time.Date(year, month, day, hour, minute, second, 0, zone).UnixMilli()}
	}
	for _, test := range []struct {
		text string
		want position
	}{
		{"start", position{fromStart, 0}},
		{"end", position{fromEnd, 0}},
		{"0", position{fromOffset, 0}},
		{"12", position{fromOffset, 12}},
		{"-12", position{fromEnd, 12}},
		{"-0", position{fromEnd, 0}},
		{"9223372036854775807", position{fromOffset, math.MaxInt64}},
		{"-9223372036854775808", position{fromEnd, math.MaxInt64}},
		{"2026-11-24T08:30:00Z", at(2026, 11, 24, 10, 30, 0)},
		{"2026-11-24T08:30:00.5+02:00", position{fromTime, at(2026, 11, 24, 8, 30, 0).n + 500}},
		{"2026-11-24T08:30:01", at(2026, 11, 24, 8, 30, 1)},
		{"2026-11-24T08:30", at(2026, 11, 24, 8, 30, 0)},
		{"2026-11-24 08:30", at(2026, 11, 24, 8, 30, 0)},
		{"2026-11-24", at(2026, 11, 24, 0, 0, 0)},
		{"-5m", at(2026, 11, 24, 11, 55, 0)},
		{"-90s", at(2026, 11, 24, 11, 58, 30)},
		{"-1h30m", at(2026, 11, 24, 10, 30, 0)},
		{"-7d", at(2026, 11, 17, 12, 0, 0)},
		{"1960-01-01", position{fromTime, 0}},
	} {
		got, err := parsePosition(test.text, now)
		if err != nil || got != test.want {
			t.Errorf("%q: %v, %v, want %v", test.text, got, err, test.want)
		}
	}
	for _, text := range []string{"", "x", "-", "--5m", "-x", "5m", "+-3", "2026-13-01", "2026-11-24T", "9223372036854775808", "-1.5", "-99999d", "1e3", "end ", "-d"} {
		if got, err := parsePosition(text, now); err == nil {
			t.Errorf("%q was taken as %v", text, got)
		}
	}
}

func TestPositionStaysInThePartition(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		start := rapid.Int64Range(0, math.MaxInt64).Draw(t, "start")
		end := rapid.Int64Range(start, math.MaxInt64).Draw(t, "end")
		p := position{positionKind(rapid.IntRange(0, 3).Draw(t, "kind")), rapid.Int64Range(0, math.MaxInt64).Draw(t, "n")}
		got := p.at(start, end, rapid.Int64Range(0, math.MaxInt64).Draw(t, "byTime"))
		if got < start || got > end {
			t.Fatalf("%v in %d to %d is %d", p, start, end, got)
		}
	})
}

func TestEscapedTextIsPrintable(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		raw := rapid.SliceOf(rapid.Byte()).Draw(t, "raw")
		got := escape(string(raw))
		if !utf8.ValidString(got) || strings.ContainsFunc(got, func(r rune) bool { return !unicode.IsPrint(r) }) {
			t.Fatalf("%q became %q", raw, got)
		}
		if text := rapid.StringMatching(`[ -~äöü日本語]*`).Draw(t, "text"); escape(text) != text {
			t.Fatalf("%q became %q", text, escape(text))
		}
	})
}
