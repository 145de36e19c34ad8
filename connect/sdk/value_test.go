package sdk

import (
	"math/big"
	"testing"

	"pgregory.net/rapid"
)

// TestDecimals: a decimal comes back from its digits and from its bytes, which are as few as hold it.
func TestDecimals(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		digits := rapid.StringMatching(`-?[1-9][0-9]{0,40}(\.[0-9]{1,20})?|0|-?0\.[1-9]`).Draw(t, "digits")
		d, ok := ParseDecimal(digits)
		if !ok || d.String() != digits {
			t.Fatalf("%s is read as %s, %v", digits, d, ok)
		}
		b := d.AppendBytes(nil)
		if back := DecimalFromBytes(b, d.Scale); back.String() != digits {
			t.Fatalf("%s comes back as %s from %x", digits, back, b)
		}
		if len(b) > 1 && (b[0] == 0 && b[1] < 0x80 || b[0] == 0xff && b[1] >= 0x80) {
			t.Fatalf("%s is %x: a byte too many", digits, b)
		}
	})
	for _, edge := range []string{"-128", "-129", "127", "128", "-32768", "-9223372036854775808", "-9223372036854775809", "-170141183460469231731687303715884105728"} {
		n, _ := new(big.Int).SetString(edge, 10)
		d := Decimal{Big: n}.short()
		if got := DecimalFromBytes(d.AppendBytes(nil), 0).String(); got != edge {
			t.Errorf("%s comes back as %s", edge, got)
		}
		if got := len((Decimal{Big: n}).AppendBytes(nil)); got != len(d.AppendBytes(nil)) {
			t.Errorf("%s takes %d bytes as a big number", edge, got)
		}
	}
	for _, wrong := range []string{"", "-", "1e5", "1.-2", "NaN", "1_000", "0x1"} {
		if d, ok := ParseDecimal(wrong); ok {
			t.Errorf("%q is read as %s", wrong, d)
		}
	}
}
