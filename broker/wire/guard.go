package wire

import (
	_ "embed"
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"strconv"
	"strings"
	"sync"
)

// Limits on what a well-formed request may claim (those of Kafka 4.4).
const (
	elementsMax = 1_000_000
	tagsMax     = 10_000
)

//go:embed layouts.txt
var layoutsText string

// layout is what the guard knows of a request.
type layout struct {
	name     string
	newest   int16
	flexible int16 // first flexible version; math.MaxInt16: none
	fields   []field
	line     string
	once     sync.Once
}

type kind uint8

const (
	fixed kind = iota // of size bytes
	str
	blob
	array
	structure
)

type field struct {
	from, to int16 // versions
	kind     kind
	size     int
	nullable int16 // from which version on it may be null; math.MaxInt16: never
	of       []field
	each     int // bytes of memory for an element of an array
	tag      int // -1: not tagged
}

// memory gives the bytes that a field takes in a decoded request, without what it refers to.
func (f *field) memory() int {
	switch f.kind {
	case fixed:
		return f.size
	case str:
		return 16
	case structure:
		return memoryOf(f.of)
	}
	return 24
}

// memoryOf gives the bytes that a structure takes, with its unknown tags and some filling.
func memoryOf(fields []field) int {
	n := 8
	for i := range fields {
		n += fields[i].memory()
	}
	return (n + 7) &^ 7
}

// layouts gives the lines of the table by key; a line is parsed when it is first needed.
var layouts = sync.OnceValue(func() map[int16]*layout {
	out := map[int16]*layout{}
	for line := range strings.Lines(layoutsText) {
		if strings.HasPrefix(line, "#") {
			continue
		}
		head, fields, _ := strings.Cut(strings.TrimSpace(line), ":")
		f := strings.Fields(head)
		l := &layout{name: f[1], newest: version(f[2]), flexible: math.MaxInt16, line: fields}
		if f[3] != "-" {
			l.flexible = version(f[3])
		}
		out[version(f[0])] = l
	}
	return out
})

func version(s string) int16 {
	n, err := strconv.ParseInt(s, 10, 16)
	if err != nil {
		panic("BUG: layouts.txt: " + err.Error())
	}
	return int16(n)
}

func find(key int16) *layout {
	l := layouts()[key]
	if l != nil {
		l.once.Do(func() {
			p := layoutParser{strings.Fields(strings.NewReplacer(",", " , ", "[", " [ ", "]", " ] ", "{", " { ", "}", " } ").Replace(l.line))}
			l.fields = p.fields("")
		})
	}
	return l
}

type layoutParser struct{ words []string }

func (p *layoutParser) peek() string {
	if len(p.words) == 0 {
		return ""
	}
	return p.words[0]
}

func (p *layoutParser) next() string {
	w := p.peek()
	p.words = p.words[min(1, len(p.words)):]
	return w
}

func (p *layoutParser) fields(end string) []field {
	var out []field
	for p.peek() != end {
		if p.peek() == "," {
			p.next()
			continue
		}
		out = append(out, p.field())
	}
	p.next()
	return out
}

func (p *layoutParser) field() field {
	f := field{to: math.MaxInt16, nullable: math.MaxInt16, tag: -1}
	if w := p.peek(); w[0] >= '0' && w[0] <= '9' {
		p.next()
		from, to, ranged := strings.Cut(w, "-")
		if f.from = version(strings.TrimSuffix(from, "+")); ranged {
			f.to = version(to)
		}
	}
	if w := p.peek(); w[0] == '#' {
		p.next()
		f.tag = int(version(w[1:]))
	}
	p.next() // the name
	p.kind(&f, p.next())
	return f
}

var sizes = map[string]int{"i8": 1, "bool": 1, "i16": 2, "u16": 2, "i32": 4, "u32": 4, "i64": 8, "f64": 8, "uuid": 16}

func (p *layoutParser) kind(f *field, word string) {
	if rest, ok := strings.CutPrefix(word, "?"); ok {
		f.nullable = 0
		if word = rest; word == "" || word[0] >= '0' && word[0] <= '9' {
			if word != "" {
				f.nullable = version(word)
			}
			word = p.next()
		}
	}
	switch word {
	case "str":
		f.kind = str
	case "bytes":
		f.kind = blob
	case "{":
		f.kind, f.of = structure, p.fields("}")
	case "[":
		f.kind = array
		if element := p.words[0]; len(p.words) > 1 && p.words[1] == "]" {
			p.next()
			p.next()
			e := field{to: math.MaxInt16, nullable: math.MaxInt16, tag: -1}
			p.kind(&e, element)
			f.of, f.size, f.each = []field{e}, 1, e.memory() // an array of plain values
			return
		}
		f.of = p.fields("]")
		f.each = memoryOf(f.of)
	default:
		size, ok := sizes[word]
		if !ok {
			panic("BUG: layouts.txt: unknown kind " + word)
		}
		f.size = size
	}
}

// ErrUnknown says that the guard does not know a request or its version.
var ErrUnknown = errors.New("unknown request or version")

// Check walks a request's body. cost is about what decoding it will allocate, in bytes. Bytes that follow the request are
// passed over, as Kafka does: librdkafka 2 sends some after Metadata 13.
func Check(key, version int16, body []byte) (cost int, err error) {
	cost, _, err = check(key, version, body)
	return cost, err
}

// check also gives the number of bytes that follow the request.
func check(key, version int16, body []byte) (cost, left int, err error) {
	l := find(key)
	if l == nil || version < 0 || version > l.newest {
		return 0, 0, ErrUnknown
	}
	w := walker{b: body, version: version, flexible: version >= l.flexible}
	if w.structure(l.fields); w.bad != "" {
		return 0, 0, fmt.Errorf("malformed %s request of version %d: %s, %d bytes before its end", l.name, version, w.bad, len(w.b))
	}
	return w.cost, len(w.b), nil
}

// walker goes over a body without decoding it. Once bad says what is wrong it stays put.
type walker struct {
	b        []byte
	version  int16
	flexible bool
	cost     int
	bad      string
}

func (w *walker) fail(what string) {
	if w.bad == "" {
		w.bad = what
	}
}

func (w *walker) skip(n int) {
	if n < 0 || n > len(w.b) {
		w.fail("a length goes beyond the end")
		return
	}
	w.b = w.b[n:]
}

func (w *walker) uvarint() int {
	v, n := binary.Uvarint(w.b)
	if n <= 0 || n > 5 || v > math.MaxUint32 {
		w.fail("a number is malformed")
		return 0
	}
	w.b = w.b[n:]
	return int(v)
}

// length reads a length: -1 for null.
func (w *walker) length(wide bool) int {
	if w.flexible {
		return w.uvarint() - 1
	}
	size := 2
	if wide {
		size = 4
	}
	if len(w.b) < size {
		w.fail("it ends early")
		return 0
	}
	n := int(int16(binary.BigEndian.Uint16(w.b)))
	if wide {
		n = int(int32(binary.BigEndian.Uint32(w.b)))
	}
	w.b = w.b[size:]
	return n
}

// tagCost is what a tagged field takes, or a structure that may be null.
const tagCost = 160

func (w *walker) structure(fields []field) {
	for i := range fields {
		f := &fields[i]
		if f.tag >= 0 || w.version < f.from || w.version > f.to {
			continue
		}
		if w.value(f); w.bad != "" {
			return
		}
	}
	if w.flexible {
		w.tags(fields)
	}
}

func (w *walker) value(f *field) {
	switch f.kind {
	case fixed:
		w.skip(f.size)
	case structure:
		if f.nullable != math.MaxInt16 && !w.present() {
			return
		}
		w.structure(f.of)
	case str, blob:
		n := w.length(f.kind == blob)
		switch {
		case n == -1 && w.version >= f.nullable:
			return
		case n < 0:
			w.fail("a length is negative")
			return
		case f.kind == str:
			w.cost += (n + 7) &^ 7
		}
		w.skip(n)
	case array:
		w.array(f)
	}
}

// present reads the byte before a structure that may be null: -1 when it is.
func (w *walker) present() bool {
	if len(w.b) == 0 {
		w.fail("it ends early")
		return false
	}
	there := int8(w.b[0]) != -1
	w.b = w.b[1:]
	w.cost += tagCost
	return there
}

func (w *walker) array(f *field) {
	n := w.length(true)
	if n == -1 && w.version >= f.nullable {
		return
	}
	if n < 0 || n > elementsMax || n > len(w.b)/w.least(f) {
		w.fail("an array claims more elements than there can be")
		return
	}
	w.cost += n * f.each
	for range n {
		if f.size == 1 {
			w.value(&f.of[0])
		} else {
			w.structure(f.of)
		}
		if w.bad != "" {
			return
		}
	}
}

// least is the smallest number of bytes that an element of an array takes.
func (w *walker) least(f *field) int {
	n := 0
	if w.flexible && f.size != 1 {
		n = 1
	}
	for i := range f.of {
		e := &f.of[i]
		if e.tag >= 0 || w.version < e.from || w.version > e.to {
			continue
		}
		switch {
		case e.kind == fixed:
			n += e.size
		case e.kind == structure:
		case w.flexible:
			n++
		case e.kind == str:
			n += 2
		default:
			n += 4
		}
	}
	return max(n, 1)
}

func (w *walker) tags(fields []field) {
	n := w.uvarint()
	if n > tagsMax || n > len(w.b)/2 {
		w.fail("there are more tagged fields than there can be")
		return
	}
	last := -1
	for range n {
		tag := w.uvarint()
		size := w.uvarint()
		if w.bad == "" && tag <= last {
			w.fail("tagged fields are not in order")
		}
		if w.bad == "" && size > len(w.b) {
			w.fail("a tagged field goes beyond the end")
		}
		if w.bad != "" {
			return
		}
		last = tag
		rest := w.b[size:]
		w.b = w.b[:size]
		w.cost += tagCost
		known := false
		for i := range fields {
			if f := &fields[i]; f.tag == tag {
				known = true
				if w.value(f); w.bad == "" && len(w.b) > 0 {
					w.fail("a tagged field is longer than what is in it")
				}
				if w.bad != "" {
					return
				}
			}
		}
		if !known {
			w.cost += size
		}
		w.b = rest
	}
}
