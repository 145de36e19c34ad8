package s3

import (
	"fmt"
	"math"
	"strconv"
	"strings"
	"time"
	_ "time/tzdata" // for machines that know no zones

	"github.com/weir/weir/connect/sdk"
	"github.com/weir/weir/connect/values"
)

// layout says in which files records go.
type layout interface {
	// folder appends what the files of a record have in common: all but what tells the files of one folder apart.
	folder(dst []byte, r *sdk.Record) ([]byte, error)
	// key names the file in a folder that begins with a record.
	key(folder string, first *sdk.Record) string
}

// clock gives the time by which records are sorted into folders and batches.
type clock func(r *sdk.Record) (time.Time, error)

func wallClock(*sdk.Record) (time.Time, error) { return time.Now(), nil }

func recordClock(r *sdk.Record) (time.Time, error) {
	if r.Timestamp.IsZero() {
		return time.Time{}, fmt.Errorf("the record has no timestamp")
	}
	return r.Timestamp, nil
}

// fieldClock reads the time from a field of the value: milliseconds since 1970, a time, or text as ISO 8601 has it.
func fieldClock(name string) clock {
	path := strings.Split(name, ".")
	return func(r *sdk.Record) (time.Time, error) {
		switch v := dig(r.Value, path).(type) {
		case int64:
			return time.UnixMilli(v), nil
		case int32:
			return time.UnixMilli(int64(v)), nil
		case float64:
			return time.UnixMilli(int64(v)), nil
		case time.Time:
			return v, nil
		case string:
			for _, form := range []string{time.RFC3339Nano, "2006-01-02T15:04:05", "2006-01-02"} {
				if t, err := time.Parse(form, v); err == nil {
					return t, nil
				}
			}
			return time.Time{}, fmt.Errorf("the field %s is no time: %q", name, v)
		case nil:
			return time.Time{}, fmt.Errorf("the value has no field %s to take the time from", name)
		}
		return time.Time{}, fmt.Errorf("the field %s is no time", name)
	}
}

// dig finds what lies in a value under names; nil: nothing.
func dig(v any, path []string) any {
	for _, name := range path {
		switch in := v.(type) {
		case *sdk.Struct:
			v = in.Get(name)
		case map[string]any:
			v = in[name]
		default:
			return nil
		}
	}
	return v
}

// tree is Confluent's layout: top/topic/PARTITION/topic+0+0000000000.json.
type tree struct {
	top, slash, delimiter string
	width                 int // digits of offsets
	extension             string
	sub                   func(dst []byte, r *sdk.Record) ([]byte, error) // PARTITION
}

func (l *tree) folder(dst []byte, r *sdk.Record) ([]byte, error) {
	if l.top != "" {
		dst = append(append(dst, l.top...), l.slash...)
	}
	dst = append(append(dst, r.Topic...), l.slash...)
	return l.sub(dst, r)
}

// key has the topic that the record was read from, whatever transforms made of it: two topics may have become one, and files of both go in one folder.
func (l *tree) key(folder string, first *sdk.Record) string {
	return fmt.Sprintf("%s%s%s%s%d%s%0*d%s", folder, l.slash, first.From.Topic, l.delimiter, first.From.Partition, l.delimiter, l.width, first.Offset, l.extension)
}

// byPartition sorts by the partition of the topic.
func byPartition(dst []byte, r *sdk.Record) ([]byte, error) {
	return strconv.AppendInt(append(dst, "partition="...), int64(r.From.Partition), 10), nil
}

// byFields sorts by fields of the value.
func byFields(names []string, slash string, named bool) func([]byte, *sdk.Record) ([]byte, error) {
	paths := make([][]string, len(names))
	for i, name := range names {
		paths[i] = strings.Split(name, ".")
	}
	return func(dst []byte, r *sdk.Record) ([]byte, error) {
		for i, path := range paths {
			if i > 0 {
				dst = append(dst, slash...)
			}
			if named {
				dst = append(append(dst, names[i]...), '=')
			}
			switch v := dig(r.Value, path).(type) {
			case nil:
				return nil, fmt.Errorf("the value has no field %s, which names its folder", names[i])
			case string:
				dst = append(dst, v...)
			case bool, int8, int16, int32, int64, float32, float64:
				dst = append(dst, values.JavaString(v)...)
			default:
				return nil, fmt.Errorf("the field %s, which names the folder, is neither text nor a number", names[i])
			}
		}
		return dst, nil
	}
}

// byTime sorts by a time.
func byTime(pattern string, zone *time.Location, each time.Duration, at clock) (func([]byte, *sdk.Record) ([]byte, error), error) {
	format, err := values.NewDateFormat(yearsOfJoda(pattern))
	if err != nil {
		return nil, err
	}
	last, text := int64(math.MinInt64), ""
	return func(dst []byte, r *sdk.Record) ([]byte, error) {
		t, err := at(r)
		if err != nil {
			return nil, err
		}
		begin := floor(local(t, zone).UnixMilli(), max(1, each.Milliseconds()))
		if begin != last {
			last, text = begin, format.Format(time.UnixMilli(begin))
		}
		return append(dst, text...), nil
	}, nil
}

func floor(n, by int64) int64 {
	if rest := n % by; rest < 0 {
		return n - rest - by
	} else {
		return n - rest
	}
}

// local gives the time in UTC at which clocks show there what those of the zone show at t.
func local(t time.Time, zone *time.Location) time.Time {
	_, offset := t.In(zone).Zone()
	return t.Add(time.Duration(offset) * time.Second)
}

// yearsOfJoda has years for the letter Y, which are the years of weeks in Java's own patterns.
func yearsOfJoda(pattern string) string {
	out, quoted := []byte(pattern), false
	for i, c := range out {
		switch {
		case c == '\'':
			quoted = !quoted
		case c == 'Y' && !quoted:
			out[i] = 'y'
		}
	}
	return string(out)
}

// template is Aiven's layout: a pattern such as {{topic}}-{{partition}}-{{start_offset}}.gz.
type template struct {
	parts []templatePart
	zone  *time.Location
	at    clock
}

type templatePart struct {
	text string // as it is
	name string // "": there is only text
	pad  bool
	time *values.DateFormat
}

// parseTemplate reads a pattern. A file begins with one record, so that all names but start_offset are of its folder.
func parseTemplate(pattern string, zone *time.Location, at clock) (*template, error) {
	t := &template{zone: zone, at: at}
	for pattern != "" {
		before, rest, found := strings.Cut(pattern, "{{")
		part := templatePart{text: before}
		if !found {
			t.parts = append(t.parts, part)
			break
		}
		inside, after, closed := strings.Cut(rest, "}}")
		if !closed {
			return nil, fmt.Errorf("{{ without }}")
		}
		name, parameter, _ := strings.Cut(strings.TrimSpace(inside), ":")
		part.name, pattern = strings.TrimSpace(name), after
		key, value, _ := strings.Cut(strings.TrimSpace(parameter), "=")
		switch part.name {
		case "topic":
		case "partition", "start_offset":
			part.pad = key == "padding" && value == "true"
		case "timestamp", "utc_date", "local_date":
			form := map[string]string{"yyyy": "yyyy", "MM": "MM", "dd": "dd", "HH": "HH"}[value]
			if part.name != "timestamp" {
				form = "yyyy-MM-dd"
			}
			if form == "" {
				return nil, fmt.Errorf("{{timestamp}} needs a unit: {{timestamp:unit=yyyy}}, or MM, dd or HH")
			}
			part.time, _ = values.NewDateFormat(form)
		case "key":
			return nil, fmt.Errorf("{{key}} is not supported: files with the last record of each key are not written")
		default:
			return nil, fmt.Errorf("{{%s}} is not supported: use topic, partition, start_offset and timestamp", part.name)
		}
		t.parts = append(t.parts, part)
	}
	for _, needed := range []string{"topic", "partition", "start_offset"} {
		if !t.has(needed) {
			return nil, fmt.Errorf("{{%s}} is missing: files would replace one another", needed)
		}
	}
	return t, nil
}

func (t *template) has(name string) bool {
	for _, p := range t.parts {
		if p.name == name {
			return true
		}
	}
	return false
}

// offsetMark stands in a folder for the offset, which only the file's first record has.
const offsetMark = 0

func (t *template) folder(dst []byte, r *sdk.Record) ([]byte, error) {
	var when time.Time
	for i := range t.parts {
		p := &t.parts[i]
		dst = append(dst, p.text...)
		switch p.name {
		case "":
		case "topic":
			dst = append(dst, r.From.Topic...)
		case "partition":
			dst = appendPadded(dst, int64(r.From.Partition), p.pad, 10)
		case "start_offset":
			dst = append(dst, offsetMark)
		default:
			if when.IsZero() {
				at, err := t.at(r)
				if err != nil {
					return nil, err
				}
				when = local(at, t.zone)
			}
			dst = append(dst, p.time.Format(when)...)
		}
	}
	return dst, nil
}

func appendPadded(dst []byte, n int64, pad bool, width int) []byte {
	if !pad {
		return strconv.AppendInt(dst, n, 10)
	}
	return fmt.Appendf(dst, "%0*d", width, n)
}

func (t *template) key(folder string, first *sdk.Record) string {
	for i := range t.parts {
		if p := &t.parts[i]; p.name == "start_offset" {
			folder = strings.Replace(folder, string(rune(offsetMark)), string(appendPadded(nil, first.Offset, p.pad, 20)), 1)
		}
	}
	return folder
}
