package postgres

import (
	"github.com/weir/weir/connect/sdk"
	box "github.com/weir/weir/connect/values"
)

// slab makes what a poll's records consist of, many at a time, as box.Boxes makes plain values.
type slab struct {
	records []sdk.Record
	structs []sdk.Struct
	values  []any
	boxes   box.Boxes

	made, most struct{ structs, values int } // of the record that is being made, and of any so far
}

// slabSize is how many records structures and their values are allocated for at once.
const slabSize = 64

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

func (s *slab) string(b []byte) any       { return s.boxes.String(b) }
func (s *slab) int16(n int16) any         { return n }
func (s *slab) int32(n int32) any         { return s.boxes.Int32(n) }
func (s *slab) int64(n int64) any         { return s.boxes.Int64(n) }
func (s *slab) float64(f float64) any     { return s.boxes.Float64(f) }
func (s *slab) decimal(d sdk.Decimal) any { return s.boxes.Decimal(d) }
