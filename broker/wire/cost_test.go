//go:build !race

package wire

// The race detector makes allocations larger, so this is left to runs without it.

import (
	"reflect"
	"runtime"
	"testing"

	"github.com/twmb/franz-go/pkg/kmsg"
)

// crowd puts n elements into every list of a request, and a value wherever there may be one.
func crowd(v reflect.Value, n int) {
	switch v.Kind() {
	case reflect.Struct:
		for i := range v.NumField() {
			if name := v.Type().Field(i).Name; name != "Version" && name != "UnknownTags" {
				crowd(v.Field(i), n)
			}
		}
	case reflect.Slice:
		v.Set(reflect.MakeSlice(v.Type(), n, n))
		for i := range n {
			crowd(v.Index(i), max(n/5, 1))
		}
	case reflect.Pointer:
		v.Set(reflect.New(v.Type().Elem()))
		crowd(v.Elem(), n)
	case reflect.String:
		v.SetString("some text")
	}
}

// TestCostIsWhatDecodingTakes holds the guard's estimate against what the decoder allocates.
func TestCostIsWhatDecodingTakes(t *testing.T) {
	for key, l := range layouts() {
		for _, version := range []int16{0, l.newest / 2, l.newest} {
			req := kmsg.RequestForKey(key)
			req.SetVersion(version)
			crowd(reflect.ValueOf(req).Elem(), 100)
			h, body := Header{Key: key, Version: version}, req.AppendTo(nil)
			cost, err := Check(key, version, body)
			if err != nil {
				t.Fatalf("%s version %d: %v", l.name, version, err)
			}
			const times = 10
			var before, after runtime.MemStats
			runtime.ReadMemStats(&before)
			for range times {
				if _, err := Decode(h, body); err != nil {
					t.Fatalf("%s version %d: %v", l.name, version, err)
				}
			}
			runtime.ReadMemStats(&after)
			took := int(after.TotalAlloc-before.TotalAlloc) / times
			if took > 4096 && (took > 2*cost || cost > 3*took) {
				t.Errorf("%s version %d: %d bytes are estimated at %d, and took %d", l.name, version, len(body), cost, took)
			}
		}
	}
}
