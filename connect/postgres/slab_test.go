package postgres

import (
	"runtime"
	"testing"
	"weak"

	"github.com/weir/weir/connect/sdk"
)

// TestSlabLetsRecordsGo: records that nobody has any more are freed, however many are made after them by the same slab.
func TestSlabLetsRecordsGo(t *testing.T) {
	row := sdk.NewStructure("row", sdk.Field{Name: "a", Schema: sdk.Int64Schema}, sdk.Field{Name: "b", Schema: sdk.StringSchema}, sdk.Field{Name: "c", Schema: sdk.Int64Schema})
	envelope := sdk.NewStructure("envelope", sdk.Field{Name: "before", Schema: row}, sdk.Field{Name: "after", Schema: row})
	s := &slab{}
	change := func(n int) *sdk.Record {
		key, after, env := s.structure(row), s.structure(row), s.structure(envelope)
		if n%7 == 0 {
			env.Values[0] = s.structure(row)
		}
		after.Values[0], after.Values[1] = s.int64(int64(n)+1000), s.string([]byte("a text"))
		env.Values[1] = after
		r := s.record()
		r.Key, r.Value = key, env
		return r
	}
	var made []weak.Pointer[sdk.Struct]
	var last *sdk.Record
	const records = 20_000
	for n := range records {
		last = change(n)
		made = append(made, weak.Make(last.Value.(*sdk.Struct)))
	}
	runtime.GC()
	alive := 0
	for _, p := range made {
		if p.Value() != nil {
			alive++
		}
	}
	if alive > 3*slabSize {
		t.Errorf("%d of %d records are still there", alive, records)
	}
	runtime.KeepAlive(last)
	runtime.KeepAlive(s)
}
