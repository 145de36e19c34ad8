package postgres

import (
	"unsafe"

	"github.com/weir/weir/connect/sdk"
)

// slab makes what a poll's records consist of, many at a time: they come and go together, so one allocation serves many of them.
// Allocating each for itself, and marking them for the garbage collector, would be most of the work.
type slab struct {
	records []sdk.Record
	structs []sdk.Struct
	values  []any
	text    []byte

	made, most struct{ structs, values int } // of the record that is being made, and of any so far

	strings  chunk[string]
	ints     chunk[int32]
	longs    chunk[int64]
	doubles  chunk[float64]
	decimals chunk[sdk.Decimal]
}

const (
	slabSize  = 64 // records that structures and their values are allocated for
	textSize  = 32 << 10
	longText  = 2 << 10 // from here on a text is allocated for itself
	chunkSize = 256
)

// record makes the record whose structures were made since the one before.
//
// No record has structures of two allocations, unless it is larger than all before it: structures refer to each other, so that record would
// keep the former allocation alive with the latter, as one in that would keep the one before, and so on to the first: nothing would ever
// be freed.
func (s *slab) record() *sdk.Record {
	s.most.structs, s.most.values = max(s.most.structs, s.made.structs), max(s.most.values, s.made.values)
	s.made.structs, s.made.values = 0, 0
	if len(s.structs) < s.most.structs || len(s.values) < s.most.values {
		s.structs, s.values = nil, nil
	}
	if len(s.records) == 0 {
		s.records = make([]sdk.Record, slabSize)
	}
	r := &s.records[0]
	s.records = s.records[1:]
	return r
}

// structure makes a structure whose values are all null.
func (s *slab) structure(schema *sdk.Schema) *sdk.Struct {
	if len(s.structs) == 0 {
		s.structs = make([]sdk.Struct, max(1, slabSize*s.most.structs))
	}
	out := &s.structs[0]
	s.structs = s.structs[1:]
	n := len(schema.Fields)
	if len(s.values) < n {
		s.values = make([]any, max(n, slabSize*s.most.values))
	}
	s.made.structs++
	s.made.values += n
	out.Schema, out.Values = schema, s.values[:n:n]
	s.values = s.values[n:]
	return out
}

// string gives a copy of a text.
func (s *slab) string(b []byte) any {
	n := len(b)
	if n >= longText || n == 0 {
		return string(b)
	}
	if cap(s.text)-len(s.text) < n {
		s.text = make([]byte, 0, textSize)
	}
	s.text = append(s.text, b...)
	return s.strings.box(unsafe.String(&s.text[len(s.text)-n], n)) // what is there is not written again
}

func (s *slab) int16(n int16) any { return n }

func (s *slab) int32(n int32) any {
	if n >= 0 && n < 256 {
		return n // costs nothing
	}
	return s.ints.box(n)
}

func (s *slab) int64(n int64) any {
	if n >= 0 && n < 256 {
		return n
	}
	return s.longs.box(n)
}

func (s *slab) float64(f float64) any     { return s.doubles.box(f) }
func (s *slab) decimal(d sdk.Decimal) any { return s.decimals.box(d) }

// chunk makes interface values whose values lie side by side.
type chunk[T string | int32 | int64 | float64 | sdk.Decimal] struct {
	free []T
	kind any // one of them
}

func (c *chunk[T]) box(v T) any {
	if len(c.free) == 0 {
		c.free = make([]T, chunkSize)
		c.kind = c.free[0]
	}
	p := &c.free[0]
	c.free = c.free[1:]
	*p = v
	// An interface value is a type and, for these types, a pointer to the value: a copy of one of the type is made to point here.
	out := c.kind
	(*[2]unsafe.Pointer)(unsafe.Pointer(&out))[1] = unsafe.Pointer(p)
	return out
}
