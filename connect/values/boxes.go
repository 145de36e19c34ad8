package values

import (
	"unsafe"

	"github.com/weir/weir/connect/sdk"
)

// Boxes makes interface values of plain ones, many at a time: those of records come and go together, so one allocation serves many of them.
// Allocating each for itself, and marking them for the garbage collector, would be most of the work. Its zero value can be used.
type Boxes struct {
	text     []byte
	strings  chunk[string]
	ints     chunk[int32]
	longs    chunk[int64]
	doubles  chunk[float64]
	decimals chunk[sdk.Decimal]
}

const (
	textSize  = 32 << 10
	longText  = 2 << 10 // from here on a text is allocated for itself
	chunkSize = 256
)

// String gives a copy of a text.
func (s *Boxes) String(b []byte) any {
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

// Int32 gives a number.
func (s *Boxes) Int32(n int32) any {
	if n >= 0 && n < 256 {
		return n // costs nothing
	}
	return s.ints.box(n)
}

// Int64 gives a number.
func (s *Boxes) Int64(n int64) any {
	if n >= 0 && n < 256 {
		return n
	}
	return s.longs.box(n)
}

// Float64 gives a number.
func (s *Boxes) Float64(f float64) any { return s.doubles.box(f) }

// Decimal gives a number.
func (s *Boxes) Decimal(d sdk.Decimal) any { return s.decimals.box(d) }

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
