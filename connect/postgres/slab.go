package postgres

import "github.com/weir/weir/connect/sdk"

// slab makes what a poll's records consist of, many at a time: they come and go together, so one allocation serves many of them.
type slab struct {
	records []sdk.Record
	structs []sdk.Struct
	values  []any
}

const slabSize = 512

func (s *slab) record() *sdk.Record {
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
		s.structs = make([]sdk.Struct, slabSize)
	}
	out := &s.structs[0]
	s.structs = s.structs[1:]
	n := len(schema.Fields)
	if len(s.values) < n {
		s.values = make([]any, max(n, 4*slabSize))
	}
	out.Schema, out.Values = schema, s.values[:n:n]
	s.values = s.values[n:]
	return out
}

func (s *slab) string(b []byte) any   { return string(b) }
func (s *slab) int16(n int16) any     { return n }
func (s *slab) int32(n int32) any     { return n }
func (s *slab) int64(n int64) any     { return n }
func (s *slab) float64(f float64) any { return f }
